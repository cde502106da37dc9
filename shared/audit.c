#include "audit.h"

#include <string.h>

#include "json.h"

enum kind { INT, TEXT, JSON, SUM, ID, NUMBER };

struct field {
	const char *key;                /* ,"name": */
	size_t key_len, offset;
	enum kind kind;
};

/* The outcome comes last: it is packed with the others, and stands elsewhere in the statement. */
static const struct field fields[] = {
#define X(k, name) { ",\"" #name "\":", sizeof ",\"" #name "\":" - 1, offsetof(struct audit_record, name), k },
	AUDIT_FIELDS(X)
#undef X
	{ "", 0, offsetof(struct audit_record, outcome), SUM },
};

#define NFIELDS (sizeof fields / sizeof *fields)
#define NPUT (NFIELDS - 1)
#define MASK_BYTES ((NFIELDS + 7) / 8)
#define NUMBER_MAX 10                   /* bytes */

static const void *
at(const struct audit_record *r, size_t i)
{
	return (const char *)r + fields[i].offset;
}

static void *
at_out(struct audit_record *r, size_t i)
{
	return (char *)r + fields[i].offset;
}

/* ---- the statement ---- */

#define ESCAPED_MAX 6                   /* bytes that one byte of text may need */
#define FIXED_MAX 2048                  /* all else of a statement */

static char *
add(char *o, const void *p, size_t len)
{
	memcpy(o, p, len);
	return o + len;
}

#define ADD(o, text) add(o, text, sizeof text - 1)

static char *
add_int(char *o, int64_t n)
{
	char text[24], *p = text + sizeof text;
	uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (n < 0)
		*--p = '-';
	return add(o, p, (size_t)(text + sizeof text - p));
}

static char *
add_sum(char *o, const struct audit_sum *sum)
{
	char hex[DIGEST_HEX];

	digest_format(sum->b, hex);
	*o++ = '"';
	o = add(o, hex, DIGEST_HEX - 1);
	*o++ = '"';
	return o;
}

static char *
add_id(char *o, const struct ulid *id)
{
	char text[ULID_TEXT];

	ulid_format(id, text);
	return add(o, text, ULID_TEXT - 1);
}

/* Nothing in it that would have to be written in another way. */
static bool
is_plain(const struct audit_text *t)
{
	for (size_t i = 0; i < t->len; i++)
		if ((unsigned char)t->s[i] < 0x20 || (unsigned char)t->s[i] > 0x7e || t->s[i] == '"' || t->s[i] == '\\')
			return false;
	return true;
}

static char *
add_text(char *o, const struct audit_text *t)
{
	struct buf b = { 0 };

	if (is_plain(t)) {
		*o++ = '"';
		o = add(o, t->s, t->len);
		*o++ = '"';
		return o;
	}
	json_put_strn(&b, t->s, t->len);
	o = add(o, b.data, b.len);
	buf_free(&b);
	return o;
}

static char *
add_value(char *o, const struct audit_record *r, size_t i)
{
	const struct audit_text *t = at(r, i);

	switch (fields[i].kind) {
	case INT:
	case NUMBER:
		return add_int(o, *(const int64_t *)at(r, i));
	case TEXT:
		return add_text(o, t);
	case JSON:
		return add(o, t->s, t->len);
	case SUM:
		return add_sum(o, at(r, i));
	case ID:
		*o++ = '"';
		o = add_id(o, at(r, i));
		*o++ = '"';
		return o;
	}
	return o;
}

static bool
is_set(const struct audit_record *r, size_t i)
{
	switch (fields[i].kind) {
	case INT:
	case NUMBER:
		return *(const int64_t *)at(r, i) != 0;
	case TEXT:
	case JSON:
		return ((const struct audit_text *)at(r, i))->s != NULL;
	case SUM:
		return ((const struct audit_sum *)at(r, i))->set;
	case ID:
		return true;
	}
	return false;
}

static size_t
room_for(const struct audit_record *r)
{
	size_t n = FIXED_MAX;

	for (size_t i = 0; i < NPUT; i++)
		if (fields[i].kind == TEXT || fields[i].kind == JSON)
			n += ESCAPED_MAX * ((const struct audit_text *)at(r, i))->len;
	return n;
}

void
audit_put_record(struct buf *b, const struct audit_record *r)
{
	char *begin = buf_reserve(b, room_for(r)), *o = begin;
	bool first = true;

	if (!begin)
		return;
	o = ADD(o, "{\"_type\":\"" AUDIT_STATEMENT_TYPE "\",\"predicate\":{");
	for (size_t i = 0; i < NPUT; i++)
		if (is_set(r, i)) {
			o = add(o, fields[i].key + first, fields[i].key_len - first);
			o = add_value(o, r, i);
			first = false;
		}
	o = ADD(o, "},\"predicateType\":\"" AUDIT_PREDICATE_TYPE "\",\"subject\":[{\"digest\":{\"sha256\":");
	o = add_sum(o, &r->outcome);
	o = ADD(o, "},\"name\":\"task:");
	o = add_id(o, &r->task);
	o = ADD(o, "\"}]}");
	*o = '\0';
	b->len += (size_t)(o - begin);
}

/* ---- packing ---- */

/* Seven bits a byte, the lowest first; the sign goes into the lowest bit. */
static void
pack_number(struct buf *b, int64_t n)
{
	uint64_t u = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);

	for (; u >= 0x80; u >>= 7)
		buf_addc(b, (char)(u | 0x80));
	buf_addc(b, (char)u);
}

static int
unpack_number(const unsigned char **p, const unsigned char *end, int64_t *n)
{
	uint64_t u = 0;

	for (int i = 0; i < NUMBER_MAX && *p < end; i++) {
		unsigned char c = *(*p)++;

		u |= (uint64_t)(c & 0x7f) << (7 * i);
		if (c & 0x80)
			continue;
		/* A number has one form, or a record would have several: no zeros above it, no bits beyond 64. */
		if (i && (!c || u >> (7 * i) != c))
			return -1;
		*n = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
		return 0;
	}
	return -1;
}

static bool
text_equal(const struct audit_text *a, const struct audit_text *b)
{
	return a->len == b->len && !a->s == !b->s && (!a->len || memcmp(a->s, b->s, a->len) == 0);
}

static bool
sum_equal(const struct audit_sum *a, const struct audit_sum *b)
{
	return a->set == b->set && (!a->set || memcmp(a->b, b->b, DIGEST_SIZE) == 0);
}

static bool
is_same(const struct audit_record *a, const struct audit_record *b, size_t i)
{
	switch (fields[i].kind) {
	case INT:
		return *(const int64_t *)at(a, i) == *(const int64_t *)at(b, i);
	case TEXT:
	case JSON:
		return text_equal(at(a, i), at(b, i));
	case SUM:
		return sum_equal(at(a, i), at(b, i));
	case ID:
		return ulid_equal(at(a, i), at(b, i));
	case NUMBER:
		return true;            /* known from where the record is */
	}
	return true;
}

static void
pack_value(struct buf *b, const struct audit_record *r, const struct audit_record *last, size_t i)
{
	const struct audit_text *t = at(r, i);
	const struct audit_sum *sum = at(r, i);

	switch (fields[i].kind) {
	case INT:
		pack_number(b, (int64_t)((uint64_t)*(const int64_t *)at(r, i) - (uint64_t)*(const int64_t *)at(last, i)));
		break;
	case TEXT:
	case JSON:
		pack_number(b, t->s ? (int64_t)t->len : -1);
		buf_add(b, t->s, t->len);
		break;
	case SUM:
		buf_addc(b, (char)sum->set);
		if (sum->set)
			buf_add(b, sum->b, DIGEST_SIZE);
		break;
	case ID:
		buf_add(b, at(r, i), sizeof(struct ulid));
		break;
	case NUMBER:
		break;
	}
}

/* The caller's texts are gone by the next record. */
static void
keep_text(struct audit_pack *p, const struct audit_text *t, size_t i)
{
	struct audit_text *to = at_out(&p->last, i);

	*to = (struct audit_text){ 0 };
	if (!t->s)
		return;
	buf_clear(&p->texts[i]);
	buf_add(&p->texts[i], t->s, t->len);
	*to = (struct audit_text){ buf_str(&p->texts[i]), t->len };
}

static void
keep(struct audit_pack *p, const struct audit_record *r, size_t i)
{
	size_t size = fields[i].kind == SUM ? sizeof(struct audit_sum) :
	    fields[i].kind == ID ? sizeof(struct ulid) : sizeof(int64_t);

	if (fields[i].kind == TEXT || fields[i].kind == JSON)
		keep_text(p, at(r, i), i);
	else
		memcpy(at_out(&p->last, i), at(r, i), size);
}

void
audit_pack_begin(struct audit_pack *p)
{
	if (!p->texts)
		p->texts = xcalloc(NFIELDS, sizeof *p->texts);
	p->last = (struct audit_record){ 0 };
	buf_clear(&p->out);
}

void
audit_pack_add(struct audit_pack *p, const struct audit_record *r)
{
	unsigned char mask[MASK_BYTES] = { 0 };

	for (size_t i = 0; i < NFIELDS; i++)
		if (!is_same(r, &p->last, i))
			mask[i / 8] |= (unsigned char)(1u << i % 8);
	buf_add(&p->out, mask, sizeof mask);
	for (size_t i = 0; i < NFIELDS; i++)
		if (mask[i / 8] & 1u << i % 8) {
			pack_value(&p->out, r, &p->last, i);
			keep(p, r, i);
		}
}

void
audit_pack_free(struct audit_pack *p)
{
	for (size_t i = 0; p->texts && i < NFIELDS; i++)
		buf_free(&p->texts[i]);
	free(p->texts);
	buf_free(&p->out);
	*p = (struct audit_pack){ 0 };
}

static int
unpack_text(const unsigned char **p, const unsigned char *end, struct audit_text *t)
{
	int64_t len;

	if (unpack_number(p, end, &len) || len < -1 || len > end - *p)
		return -1;
	*t = (struct audit_text){ len < 0 ? NULL : (const char *)*p, len < 0 ? 0 : (size_t)len };
	*p += t->len;
	return 0;
}

static int
unpack_bytes(const unsigned char **p, const unsigned char *end, void *out, size_t len)
{
	if ((size_t)(end - *p) < len)
		return -1;
	memcpy(out, *p, len);
	*p += len;
	return 0;
}

static int
unpack_sum(const unsigned char **p, const unsigned char *end, struct audit_sum *sum)
{
	if (*p == end || **p > 1)
		return -1;
	*sum = (struct audit_sum){ .set = *(*p)++ };
	return sum->set ? unpack_bytes(p, end, sum->b, DIGEST_SIZE) : 0;
}

static int
unpack_value(const unsigned char **p, const unsigned char *end, struct audit_record *r, size_t i)
{
	int64_t n;

	switch (fields[i].kind) {
	case INT:
		if (unpack_number(p, end, &n))
			return -1;
		*(int64_t *)at_out(r, i) = (int64_t)((uint64_t)*(int64_t *)at_out(r, i) + (uint64_t)n);
		return n ? 0 : -1;
	case TEXT:
	case JSON:
		return unpack_text(p, end, at_out(r, i));
	case SUM:
		return unpack_sum(p, end, at_out(r, i));
	case ID:
		return unpack_bytes(p, end, at_out(r, i), sizeof(struct ulid));
	case NUMBER:
		return -1;
	}
	return -1;
}

int
audit_unpack(const unsigned char **p, const unsigned char *end, struct audit_record *r)
{
	const unsigned char *mask = *p;
	struct audit_record before = *r;

	if ((size_t)(end - *p) < MASK_BYTES)
		return -1;
	*p += MASK_BYTES;
	for (size_t i = 0; i < 8 * MASK_BYTES; i++) {
		if (!(mask[i / 8] & 1u << i % 8))
			continue;
		/* What is marked as other is other. */
		if (i >= NFIELDS || unpack_value(p, end, r, i) || is_same(r, &before, i))
			return -1;
	}
	return 0;
}

/* ---- the chain ---- */

void
audit_chain(struct digest *d, unsigned char hash[DIGEST_SIZE], const void *text, size_t len)
{
	unsigned char sum[DIGEST_SIZE];

	digest_of(d, text, len, sum);
	digest_add(d, hash, DIGEST_SIZE);
	digest_add(d, sum, DIGEST_SIZE);
	digest_end(d, hash);
}

/* ---- seals and checkpoints ---- */

static void
put_seen(struct buf *b, const struct audit_seal *s)
{
	json_put_key(b, "seen");
	json_put_open(b, '[');
	for (int i = 0; i < s->nseen; i++) {
		json_put_open(b, '{');
		json_kv_str(b, "agent", s->seen[i].agent);
		json_kv_str(b, "hash", s->seen[i].hash);
		json_kv_int(b, "n", s->seen[i].n);
		json_kv_str(b, "store", s->seen[i].store);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

static void
put_subject(struct buf *b, const char *name, const char *sum)
{
	json_put_key(b, "subject");
	json_put_open(b, '[');
	json_put_open(b, '{');
	json_put_key(b, "digest");
	json_put_open(b, '{');
	json_kv_str(b, "sha256", sum);
	json_put_close(b, '}');
	json_kv_str(b, "name", name);
	json_put_close(b, '}');
	json_put_close(b, ']');
}

void
audit_put_seal(struct buf *b, const struct audit_seal *s)
{
	json_put_open(b, '{');
	json_kv_str(b, "_type", AUDIT_STATEMENT_TYPE);
	json_put_key(b, "predicate");
	json_put_open(b, '{');
	json_kv_str(b, "agent", s->agent);
	json_kv_str(b, "before", s->before);
	json_kv_str(b, "cluster", s->cluster);
	json_kv_int(b, "count", s->count);
	json_kv_int(b, "first", s->first);
	json_kv_int(b, "page", s->page);
	if (s->nseen)
		put_seen(b, s);
	json_kv_str(b, "store", s->store);
	json_kv_int(b, "time", s->time);
	json_put_close(b, '}');
	json_kv_str(b, "predicateType", AUDIT_SEAL_TYPE);
	put_subject(b, "records", s->records);
	json_put_close(b, '}');
}

static const struct json_field seen_fields[] = {
	JSON_FIELD(struct audit_seen, agent, JSON_TEXT, true),
	JSON_FIELD(struct audit_seen, hash, JSON_TEXT, true),
	JSON_FIELD_INT(struct audit_seen, n, 0, JSON_INT_MAX, true),
	JSON_FIELD(struct audit_seen, store, JSON_TEXT, true),
	JSON_END
};

struct seal_message {
	struct audit_seal s;
	const cJSON *seen;
};

#define SEAL_TEXT(m) { .name = #m, .kind = JSON_TEXT, .required = true, \
	.offset = offsetof(struct seal_message, s.m), .size = sizeof(((struct audit_seal *)0)->m) }
#define SEAL_INT(m, lo) { .name = #m, .kind = JSON_INT, .required = true, \
	.offset = offsetof(struct seal_message, s.m), .min = lo, .max = JSON_INT_MAX }

static const struct json_field seal_fields[] = {
	SEAL_TEXT(agent), SEAL_TEXT(before), SEAL_TEXT(cluster), SEAL_INT(count, 0), SEAL_INT(first, 1), SEAL_INT(page, 1),
	JSON_FIELD(struct seal_message, seen, JSON_ARRAY, false), SEAL_TEXT(store), SEAL_INT(time, 0),
	JSON_END
};

static int
read_seen(const cJSON *list, struct audit_seal *s, struct err *e)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (s->nseen == AUDIT_SEEN_MAX)
			return err_field(e, ERR_TOO_BIG, "seen", NULL, "at most %d", AUDIT_SEEN_MAX);
		else if (json_read(v, seen_fields, &s->seen[s->nseen++], e))
			return -1;
	return 0;
}

/* What is not read here must not say anything else: written again it is the same text. */
int
audit_read_seal(const char *text, size_t len, struct audit_seal *s, struct err *e)
{
	struct seal_message m = { 0 };
	cJSON *o = json_parse_object(text, len, e);
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, "predicate"),
	    *subject = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "subject"), 0);
	struct buf again = { 0 };
	int rc = -1;

	if (o && json_read(p, seal_fields, &m, e) == 0 && read_seen(m.seen, &m.s, e) == 0) {
		snprintf(m.s.records, sizeof m.s.records, "%s",
		    json_text(cJSON_GetObjectItemCaseSensitive(subject, "digest"), "sha256"));
		audit_put_seal(&again, &m.s);
		rc = again.len == len && memcmp(again.data, text, len) == 0 ? 0 : err_set(e, ERR_INVALID, "not one of this kind");
	}
	buf_free(&again);
	cJSON_Delete(o);
	*s = m.s;
	return rc ? err_wrap(e, "a seal") : 0;
}

void
audit_put_checkpoint(struct buf *b, const struct audit_checkpoint *k)
{
	json_put_open(b, '{');
	json_kv_str(b, "agent", k->agent);
	json_kv_str(b, "cluster", k->cluster);
	json_kv_str(b, "hash", k->hash);
	json_kv_str(b, "kind", "checkpoint");
	json_kv_int(b, "n", k->n);
	json_kv_int(b, "page", k->page);
	json_kv_str(b, "store", k->store);
	json_kv_int(b, "time", k->time);
	json_put_close(b, '}');
}

static const struct json_field checkpoint_fields[] = {
	JSON_FIELD(struct audit_checkpoint, agent, JSON_TEXT, true),
	JSON_FIELD(struct audit_checkpoint, cluster, JSON_TEXT, true),
	JSON_FIELD(struct audit_checkpoint, hash, JSON_TEXT, true),
	JSON_FIELD_INT(struct audit_checkpoint, n, 0, JSON_INT_MAX, true),
	JSON_FIELD_INT(struct audit_checkpoint, page, 1, JSON_INT_MAX, true),
	JSON_FIELD(struct audit_checkpoint, store, JSON_TEXT, true),
	JSON_FIELD_INT(struct audit_checkpoint, time, 0, JSON_INT_MAX, true),
	JSON_END
};

int
audit_read_checkpoint(const char *text, size_t len, struct audit_checkpoint *k, struct err *e)
{
	cJSON *o = json_parse_object(text, len, e);
	struct buf again = { 0 };
	int rc = -1;

	*k = (struct audit_checkpoint){ 0 };
	if (o && json_read(o, checkpoint_fields, k, e) == 0) {
		audit_put_checkpoint(&again, k);
		rc = again.len == len && memcmp(again.data, text, len) == 0 ? 0 : err_set(e, ERR_INVALID, "not one of this kind");
	}
	buf_free(&again);
	cJSON_Delete(o);
	return rc ? err_wrap(e, "a checkpoint") : 0;
}
