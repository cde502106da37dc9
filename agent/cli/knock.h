/*
 * knock.h - one connection to a broker's listener for WebSockets.
 *
 * Mosquitto 2.0 learns of this listener's certificates when somebody connects, and reads them again, with who
 * is revoked, only after that. So whoever has started a broker knocks, and sends SIGHUP.
 */
#ifndef UW_KNOCK_H
#define UW_KNOCK_H

#include <stdbool.h>

/* Somebody with this certificate is let in. Takes a few milliseconds, at most seconds. */
bool knock(int port, const char *pki_dir, const char *identity);

#endif
