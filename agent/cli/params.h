/*
 * params.h - key=value arguments to the parameters of a task.
 *
 *   key=text       as the tool's schema says: text, number, true or false, one item of a list
 *   key=a key=b    a list, when the schema wants one
 *   key:=json      any JSON value
 *   key=@file      the content of a file ("@-": standard input), verbatim; key=@@x is the text "@x"
 *   key:=@file     a file with a JSON value
 *
 * Without a schema (a tool that only another host knows) every key=value is text.
 */
#ifndef UW_PARAMS_H
#define UW_PARAMS_H

#include <cjson/cJSON.h>

struct err;

#define PARAMS_MAX_BYTES (1u << 20)     /* of one file */

/* schema: text of the tool's JSON Schema, or NULL. Returns an object that the caller frees, or NULL with the
 * field as "params.key". Whether the whole fits the schema is left to registry_check(). */
cJSON *params_read(int argc, char *const *argv, const char *schema, struct err *e);

#endif
