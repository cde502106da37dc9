/*
 * scratch.h - temporary directories: each attempt that starts a program finds one in TMPDIR that is empty, and emptied
 * when it ends.
 *
 *   <temp_dir>/uni-wizard-scratch-<agent>-XXXXXX  the pool's, locked while its process lives, so that others can tell
 *                                                 what is left of one that died
 *   .../<worker>                                  a worker's: mode 0700, and the worker's user
 */
#ifndef UW_SCRATCH_H
#define UW_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define SCRATCH_PATH 256

struct scratch {
	char path[SCRATCH_PATH];        /* "": none */
	int lock;
};

/* The pool's side. Removes what dead pools left in dir, then makes one of its own there. */
int scratch_open(struct scratch *s, const char *dir, const char *agent, struct err *e);
void scratch_close(struct scratch *s);

/* The worker's side: path is its own directory, emptied here of what a former worker left. An attempt may put
 * max bytes there; 0: any number. */
int scratch_begin(const char *path, int64_t max, struct err *e);

/* The running attempt's directory; NULL if there is none to be had. */
const char *scratch_dir(void);
void scratch_end(void);

/* Whether it holds more than it may. */
bool scratch_is_over(void);
int64_t scratch_max(void);

#endif
