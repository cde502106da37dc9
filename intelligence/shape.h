/*
 * shape.h - the shape of a task's parameters: their names, types and coarse sizes, never their values.
 *
 * Two tasks have one shape when the same parameters are given with values of about the same size: texts, lists and objects
 * by their lengths in powers of four, numbers by their sign and their digits. What a parameter holds cannot be read from it,
 * nor be tried for, beyond its size. The order of members does not matter.
 */
#ifndef UW_SHAPE_H
#define UW_SHAPE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

/* Never 0. params may be NULL: none. */
uint64_t shape_of(const cJSON *params);

/* Of a name, for the other members of struct about; 0 for NULL. */
uint64_t shape_name(const char *name);

#endif
