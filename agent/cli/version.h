/*
 * version.h - uni-wizard --version: of the program, of what its agents say to each other, and of its databases.
 */
#ifndef UW_VERSION_H
#define UW_VERSION_H

#include <stdbool.h>

void version_print(bool json);

#endif
