/*
 * manifest.h - own tools: an executable described by a JSON manifest.
 *
 * A tools.d directory holds <anything>.json, each one tool. What may stand in it is said by
 * manifest_schema, itself a JSON Schema. The program gets its parameters as one JSON object on
 * standard input and answers with one JSON value on standard output and exit code 0. Standard error
 * is live output, and its end is the reason when the program fails.
 *
 * Its environment: PATH, HOME, LANG, UW_TOOL, UW_HOUSE, UW_TASK_ID, TMPDIR, UW_ROOTS and
 * UW_READ_ROOTS (separated by ':'), UW_PARAM_<name> for each parameter that is text, number, true or false, the
 * manifest's env, and the secrets it names. Nothing is inherited. It runs in /.
 *
 * Parameters listed under paths are checked to lie beneath the roots and handed on as absolute paths.
 * That is a check of the name: a program that wants to be safe from renames beneath the roots must itself
 * open with care.
 */
#ifndef UW_MANIFEST_H
#define UW_MANIFEST_H

#include <stddef.h>

#include "tool.h"

extern const char manifest_schema[];

/* Text of a manifest to a tool; dir is where it lies, source its path, for messages. NULL with e. */
struct tool *manifest_parse(const char *text, size_t len, const char *dir, const char *source, struct err *e);

/* Reads one file. A manifest or program that everybody may write is refused. */
struct tool *manifest_load(const char *path, struct err *e);
void manifest_free(struct tool *t);

struct digest;
/* Adds all that the manifest says, and the program as it was when it was loaded. */
void manifest_digest(const struct manifest *m, struct digest *d);

/* Directories that the program may write beneath, beside the roots: NULL at the end. */
const char *const *manifest_writes(const struct manifest *m);

/* For tool_put(): "source", "exec", "secrets", "no_effect" and "limits". */
void manifest_put(struct buf *b, const struct manifest *m);

/* What a program wrote becomes the result: exactly one JSON value of at most max bytes, on one line. */
int manifest_result(const char *text, size_t len, size_t total, size_t max, struct buf *result,
    struct err *e);

#endif
