/*
 * ask.h - one question to an agent that runs on this machine, over its socket.
 */
#ifndef UW_ASK_H
#define UW_ASK_H

#include <cjson/cJSON.h>

#include "buf.h"
#include "config.h"
#include "err.h"

/* The agent's answer, which the caller frees; NULL with e. agent NULL: the first that answers, those at home in the house
 * before others (house may be NULL). *who: which it was. */
cJSON *ask_agent(const struct config *c, const char *agent, const char *house, const struct buf *request, const char **who,
    struct err *e);

#endif
