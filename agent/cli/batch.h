/*
 * batch.h - a file of tasks, one a line, given to their houses: `submit --batch`.
 */
#ifndef UW_BATCH_H
#define UW_BATCH_H

#include "cmd.h"

#define BATCH_WINDOW 256
#define BATCH_WINDOW_MAX 4096

int batch_run(const struct cmd_args *a, const char *path);

#endif
