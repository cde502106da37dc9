/*
 * notify.h - telling the service manager how we are: the protocol of sd_notify(3), which is one
 * datagram of text. libsystemd would cost every agent a megabyte of memory for it.
 */
#ifndef UW_NOTIFY_H
#define UW_NOTIFY_H

/* "READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=...". Does nothing where nobody asked ($NOTIFY_SOCKET). */
void notify(const char *state);

#endif
