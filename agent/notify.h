/*
 * notify.h - telling the service manager how we are: the protocol of sd_notify(3), which is one
 * datagram of text. libsystemd would cost every agent a megabyte of memory for it.
 */
#ifndef UW_NOTIFY_H
#define UW_NOTIFY_H

#include <stdint.h>

/* "READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=...". Does nothing where nobody asked ($NOTIFY_SOCKET). */
void notify(const char *state);

/* What is shown of the service: one line. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Within this time "WATCHDOG=1" is expected, again and again ($WATCHDOG_USEC); 0: nobody waits for it. */
int64_t notify_watchdog_ms(void);

/* "RELOADING=1", until the next "READY=1". */
void notify_reloading(void);

#endif
