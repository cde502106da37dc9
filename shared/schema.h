/*
 * schema.h - the part of JSON Schema (2020-12) that tool parameters need.
 *
 * Understood: type (one name or a list), properties, required, additionalProperties (false is the
 * default here: a misspelt parameter is an error; a schema that says nothing of type or members takes
 * anything), enum, const, minimum, maximum, minLength,
 * maxLength, pattern (POSIX extended, matched with regexec), items, minItems, maxItems, default,
 * and the annotations title, description, examples. Any other keyword is an error when the schema
 * is compiled: a check that would silently not happen is worse than none.
 */
#ifndef UW_SCHEMA_H
#define UW_SCHEMA_H

#include <cjson/cJSON.h>
#include <stddef.h>

struct err;
struct schema;

/* Takes text; NULL with e (field: where in the schema) if it is not one of ours. */
struct schema *schema_compile(const char *text, size_t len, struct err *e);
void schema_free(struct schema *s);

/* Checks v and adds defaults of absent members. e->field is the path within v ("files.0.name"). */
int schema_check(const struct schema *s, cJSON *v, struct err *e);

#endif
