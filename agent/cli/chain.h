/*
 * chain.h - where audit chains are read from: an agent that runs here, its database, a file. All come as the lines of
 * audit_store.h, the first one first.
 */
#ifndef UW_CHAIN_H
#define UW_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "audit_check.h"
#include "config.h"

typedef void chain_line(void *arg, const char *line, size_t len);

int chain_read_file(const char *path, chain_line *f, void *arg, struct err *e);

/* Asks the agent; if it does not run, reads its database. since_ms 0: from the beginning. */
int chain_read_agent(const struct config *c, const char *agent, int64_t since_ms, chain_line *f, void *arg,
    struct err *e);

/* The agents whose databases lie here; returns how many, at most max. */
size_t chain_agents(const struct config *c, const char **out, size_t max);

/* For struct audit_check: by the authorities of this configuration. */
int chain_key(const struct config *c, const char *binding, char agent[64], struct sign_public *out, struct err *e);

#endif
