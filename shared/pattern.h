/*
 * pattern.h - POSIX extended regular expressions from people and programs we do not know.
 *
 * regcomp() unrolls + and {n,m}, nested ones into millions of nodes, and back references make
 * matching exponential: the size after unrolling is bounded here, and the latter are refused.
 */
#ifndef UW_PATTERN_H
#define UW_PATTERN_H

#include <regex.h>

#define PATTERN_MAX 256

struct err;

/* flags as for regcomp(); REG_EXTENDED is added. -1 with e, whose msg is what was expected; nothing to
 * free then. */
int pattern_compile(regex_t *out, const char *text, int flags, struct err *e);

#endif
