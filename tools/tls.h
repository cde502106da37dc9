/*
 * tls.h - what a TLS server shows of itself: protocol, certificate, whether we would trust it.
 */
#ifndef UW_TLS_H
#define UW_TLS_H

#include <stdint.h>

struct buf;
struct err;

/* Shakes hands on a connected non-blocking socket and appends one JSON object. host is what the
 * certificate has to name; ca (PEM) is trusted instead of the system's authorities unless empty. A
 * certificate that cannot be trusted is no failure but "trusted": false; neither is a server that breaks
 * off after it has shown its own, as those do that ask for ours: "refused". ERR_TIMEOUT, ERR_NETWORK,
 * ERR_INVALID (params.ca_file). */
int tls_inspect(int fd, const char *host, const struct buf *ca, int64_t deadline_ms, struct buf *out,
    struct err *e);

#endif
