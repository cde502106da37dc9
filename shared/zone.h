/*
 * zone.h - a time zone as the system's tzdata has it (TZif, RFC 9636), read as a file: no environment, no clock, no
 * state of the process. So the same file gives the same times wherever it is asked.
 */
#ifndef UW_ZONE_H
#define UW_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct zone;

/* "Europe/Berlin"; "UTC" needs no file. The caller frees it with zone_free(). */
struct zone *zone_open(const char *name, struct err *e);
/* The same from a file's bytes. */
struct zone *zone_read(const void *data, size_t len, struct err *e);
void zone_free(struct zone *z);

/* What clocks there are ahead of UTC at that time (seconds since 1970). */
int32_t zone_offset(const struct zone *z, int64_t s);
/* The first time from which on the clocks there show this or more (seconds since 1970 as if it were UTC). In a gap that
 * is the gap's end; of two it is the first. */
int64_t zone_instant(const struct zone *z, int64_t local_s);

#endif
