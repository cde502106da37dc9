/*
 * store_copy.h - a copy of an agent's database, to be looked at while the agent has the original to itself: nothing is
 * read under a lock, nothing of the original is touched.
 */
#ifndef UW_STORE_COPY_H
#define UW_STORE_COPY_H

#include <stdint.h>

struct err;

#define STORE_COPY_MAX (INT64_C(512) << 20)

struct store_copy {
	char dir[600], path[700], log[700];     /* path is to be opened */
	int lock;                       /* of dir: whoever finds it without has found what was left */
};

/* Within dir, of which keep_free bytes stay free; copies in it whose makers were killed are removed first. ERR_TOO_BIG; ERR_BUSY when it is written to all the time. */
int store_copy_make(const char *dir, const char *db, int64_t keep_free, struct store_copy *c, struct err *e);
void store_copy_remove(struct store_copy *c);

#endif
