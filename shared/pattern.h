/*
 * pattern.h - POSIX extended regular expressions from people and programs we do not know.
 *
 * regcomp() unrolls {n,m} and back references make matching exponential: both are bounded here, so
 * that a pattern costs no more than its text.
 */
#ifndef UW_PATTERN_H
#define UW_PATTERN_H

#include <regex.h>

#define PATTERN_MAX 256

struct err;

/* flags as for regcomp(); REG_EXTENDED is added. -1 with e (no field); nothing to free then. */
int pattern_compile(regex_t *out, const char *text, int flags, struct err *e);

#endif
