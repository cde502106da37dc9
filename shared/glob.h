/*
 * glob.h - patterns in which * stands for any run of characters, also an empty one, and nothing else is special.
 */
#ifndef UW_GLOB_H
#define UW_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);

#endif
