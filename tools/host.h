/*
 * host.h - the machine we run on: its system, processors, memory, load and clock.
 */
#ifndef UW_HOST_H
#define UW_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct host_memory {
	int64_t total, available;       /* bytes; available: without swapping */
	int64_t swap_total, swap_free;
};

struct host_clock {
	bool known;                     /* the system tells */
	bool synced;
	int64_t error_us;               /* largest error the kernel believes it may have */
	int64_t offset_us;
};

#define HOST_TEXT 256

struct host_system {
	char id[64];                    /* "debian", "macos" */
	char name[HOST_TEXT];           /* "Debian GNU/Linux 12 (bookworm)" */
	char version[64];               /* "12" */
};

bool host_memory_read(struct host_memory *m);
bool host_load(double load[3]);
int host_cpus(void);                    /* on line; at least 1 */
void host_cpu_model(char *out, size_t size);    /* empty: unknown */
void host_system_read(struct host_system *s);
int64_t host_uptime_ms(void);           /* counts sleep */
int64_t host_boot_ms(void);             /* wall clock */
void host_boot_id(char *out, size_t size);      /* empty: unknown */
void host_clock_read(struct host_clock *c);

/* A file of which the size is not told, as in /proc, at most max bytes; false if it cannot be read. */
bool host_file(const char *path, size_t max, struct buf *b);

/* The parsers, apart, for tests. */
bool host_meminfo_parse(const char *text, struct host_memory *m);
void host_os_release_parse(const char *text, struct host_system *s);

#endif
