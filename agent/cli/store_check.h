/*
 * store_check.h - whether an agent's database is whole, by a copy of it: the agent has the original to itself.
 */
#ifndef UW_STORE_CHECK_H
#define UW_STORE_CHECK_H

#include <stddef.h>
#include <stdint.h>

enum store_finding {
	STORE_WHOLE,
	STORE_DAMAGED,
	STORE_NEWER,            /* of a program that is newer than this one */
	STORE_NOT_CHECKED,      /* too large, written to all the time, no room for a copy */
};

/* The copy is made in dir, of which keep_free bytes stay free. text: what was found, for people. */
enum store_finding store_check(const char *dir, const char *db, int64_t keep_free, char *text, size_t size);

#endif
