/*
 * json.h - strict JSON in, compact JSON out.
 *
 * In: cJSON's trees, from a reader of our own: what it checks it has read, so nothing is read twice. json_check()
 * accepts exactly RFC 8259 with valid UTF-8 and nothing after the value, and refuses what cJSON would let through: raw control
 * characters, \u0000, lone surrogates, integers beyond 2^53, numbers that overflow, nesting
 * deeper than JSON_MAX_DEPTH. json_parse() adds: no duplicate keys in any object.
 *
 * Out: json_put_*() append to a struct buf and work out the commas by themselves from
 * the last byte, so a value is written the same way wherever it stands.
 */
#ifndef UW_JSON_H
#define UW_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

#define JSON_MAX_DEPTH 32
#define JSON_INNER_DEPTH 24             /* tasks, results: what is put inside other objects */
#define JSON_MAX_KEYS 1024              /* members of one object */
#define JSON_INT_MAX 9007199254740991   /* 2^53 - 1 */

/* Syntax only, no allocation: safe and cheap on bytes from anywhere. ERR_PARSE names the offset. */
int json_check(const char *text, size_t len, struct err *e);

/* The same for what will be put inside an event or a reply, whose readers stop at JSON_MAX_DEPTH. */
int json_check_inner(const char *text, size_t len, struct err *e);

/* Returns a tree that the caller frees with cJSON_Delete(), or NULL with e filled in. */
cJSON *json_parse(const char *text, size_t len, struct err *e);

/* json_parse() that also insists on an object. */
cJSON *json_parse_object(const char *text, size_t len, struct err *e);

/* A table of fields turns an object into a struct; unknown members are left alone. */
enum json_kind {
	JSON_TEXT,      /* char[size] in the struct; max is its length in bytes */
	JSON_INT,       /* int64_t, min <= value <= max */
	JSON_BOOL,      /* bool */
	JSON_OBJECT,    /* const cJSON *, borrowed from the tree; NULL when absent */
	JSON_ARRAY,     /* likewise */
};

struct json_field {
	const char *name;
	enum json_kind kind;
	bool required;
	size_t offset, size;
	int64_t min, max;       /* JSON_INT only; both 0: any integer within 2^53 */
};

#define JSON_FIELD(type, member, kind_, required_)                                   \
	{ .name = #member, .kind = kind_, .required = required_,                     \
	  .offset = offsetof(type, member), .size = sizeof(((type *)0)->member) }
#define JSON_FIELD_INT(type, member, lo, hi, required_)                              \
	{ .name = #member, .kind = JSON_INT, .required = required_,                  \
	  .offset = offsetof(type, member), .min = lo, .max = hi }
#define JSON_END { .name = NULL }

/* Members that are absent leave the struct's value as it was (set defaults first); null
 * counts as absent. On failure names the field, what was expected and what came. */
int json_read(const cJSON *obj, const struct json_field *fields, void *out, struct err *e);

/* Members that no field has: returns the first such name or NULL. */
const char *json_unknown(const cJSON *obj, const struct json_field *fields);

/* A member of an object: its text, "" if it has none; its whole number, or `otherwise`; whether it is true. o may
 * be NULL. */
const char *json_text(const cJSON *o, const char *name);
int64_t json_number(const cJSON *o, const char *name, int64_t otherwise);
bool json_is_true(const cJSON *o, const char *name);

/* True if v is a whole number within +-2^53; *out then has it. */
bool json_int(const cJSON *v, int64_t *out);

/* Bytes of the UTF-8 sequence at p, 0 if it is none (cut off, overlong, a surrogate). len > 0. */
int json_utf8_len(const char *p, size_t len);

/* For messages: the value in a few characters, "\"abc\"", "12", "an object". */
const char *json_brief(const cJSON *v, char *out, size_t size);

void json_put_open(struct buf *b, char bracket);        /* '{' or '[' */
void json_put_close(struct buf *b, char bracket);       /* '}' or ']' */
void json_put_key(struct buf *b, const char *key);
void json_put_str(struct buf *b, const char *s);        /* NULL: null. Invalid UTF-8 becomes U+FFFD */
void json_put_strn(struct buf *b, const char *s, size_t len);
void json_put_int(struct buf *b, int64_t n);             /* beyond 2^53 as a string: readers would lose digits */
void json_put_num(struct buf *b, double n);             /* shortest form that reads back; not finite: null */
void json_put_bool(struct buf *b, bool v);
void json_put_raw(struct buf *b, const char *json, size_t len);   /* text that is JSON already */
void json_put_tree(struct buf *b, const cJSON *v);

/* key and value in one call */
void json_kv_str(struct buf *b, const char *key, const char *s);
void json_kv_int(struct buf *b, const char *key, int64_t n);
void json_kv_num(struct buf *b, const char *key, double n);
void json_kv_bool(struct buf *b, const char *key, bool v);
void json_kv_raw(struct buf *b, const char *key, const char *json, size_t len);
void json_kv_time(struct buf *b, const char *key, int64_t wall_ms);     /* RFC 3339 */

/* {"code":...,"field":...,"expected":...,"got":...,"message":...}, empty members left out. */
void json_put_err(struct buf *b, const struct err *e);

#endif
