/*
 * tls.h - what a TLS server shows of itself: protocol, certificate, whether we would trust it.
 */
#ifndef UW_TLS_H
#define UW_TLS_H

#include <stdint.h>

struct buf;
struct err;

/* Shakes hands on a connected non-blocking socket and appends one JSON object. host is what the
 * certificate has to name. A certificate that cannot be trusted is no failure but "trusted": false.
 * ERR_TIMEOUT, ERR_NETWORK. */
int tls_inspect(int fd, const char *host, int64_t deadline_ms, struct buf *out, struct err *e);

#endif
