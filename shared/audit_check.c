#include "audit_check.h"

#include <stdarg.h>
#include <string.h>

#include "base64.h"
#include "dsse.h"
#include "json.h"

static void __attribute__((format(printf, 2, 3)))
complain(struct audit_check *k, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	k->problems++;
	if (k->problem)
		k->problem(k->arg, k->name, text);
}

/* ---- the first line ---- */

struct head {
	char type[16], agent[64], cluster[64], store[16], hash[DIGEST_HEX], checkpoint[2048];
	int64_t n, pages, time, since_page;
	const cJSON *keys;
};

static const struct json_field head_fields[] = {
	JSON_FIELD(struct head, type, JSON_TEXT, true),
	JSON_FIELD(struct head, checkpoint, JSON_TEXT, false),
	JSON_FIELD(struct head, agent, JSON_TEXT, true),
	JSON_FIELD(struct head, cluster, JSON_TEXT, true),
	JSON_FIELD(struct head, store, JSON_TEXT, true),
	JSON_FIELD(struct head, hash, JSON_TEXT, true),
	JSON_FIELD_INT(struct head, n, 0, JSON_INT_MAX, true),
	JSON_FIELD_INT(struct head, pages, 0, JSON_INT_MAX, true),
	JSON_FIELD_INT(struct head, time, 0, JSON_INT_MAX, true),
	JSON_FIELD_INT(struct head, since_page, 0, JSON_INT_MAX, false),
	JSON_FIELD(struct head, keys, JSON_ARRAY, true),
	JSON_END
};

/* What is not known could be something that was hidden from this check. */
static int
read_line(const cJSON *o, const struct json_field *fields, void *out, struct err *e)
{
	const char *other = json_unknown(o, fields);

	if (json_read(o, fields, out, e))
		return -1;
	return other ? err_field(e, ERR_INVALID, other, "a member", "nothing of that name") : 0;
}

static void
take_key(struct audit_check *k, const cJSON *v)
{
	char agent[64] = "";
	struct sign_public key;
	struct err e = { 0 };

	if (!cJSON_IsString(v) || !k->key || k->nkeys == AUDIT_CHECK_KEYS)
		return;
	if (k->key(k->arg, v->valuestring, agent, &key, &e))
		complain(k, "a key is not taken: %s", e.msg);
	else if (strcmp(agent, k->agent) != 0)
		complain(k, "a key is not taken: it is %s's, the chain is %s's", agent, k->agent);
	else
		k->keys[k->nkeys++] = key;
}

/* The payload of an envelope that one of the keys has signed, or the text itself where nothing is signed. True if it is
 * to be believed. */
static bool
open_signed(struct audit_check *k, const char *what, int64_t n, const char *text, const char *type, struct buf *payload)
{
	struct dsse *d = xcalloc(1, sizeof *d);
	struct err e = { 0 };
	bool good = false;

	if (!k->key) {
		buf_adds(payload, text);
		good = true;
	} else if (dsse_open(d, text, strlen(text), &e)) {
		complain(k, "%s %lld is not signed: %s", what, (long long)n, e.msg);
	} else {
		if (strcmp(d->type, type) != 0)
			complain(k, "%s %lld is signed as %s", what, (long long)n, d->type);
		else if (!dsse_verify(d, k->keys, k->nkeys))
			complain(k, "%s %lld: no key of %s's has signed it", what, (long long)n, k->agent);
		else
			good = true;
		buf_add(payload, buf_str(&d->payload), d->payload.len);
		dsse_release(d);
	}
	free(d);
	return good;
}

static void
take_checkpoint(struct audit_check *k, const char *text)
{
	struct audit_checkpoint c = { 0 };
	struct buf payload = { 0 };
	struct err e;

	if (open_signed(k, "the checkpoint", 0, text, AUDIT_CHECKPOINT_PAYLOAD, &payload)) {
		if (audit_read_checkpoint(buf_str(&payload), payload.len, &c, &e))
			complain(k, "%s", e.msg);
		else if (strcmp(c.agent, k->agent) != 0 || strcmp(c.store, k->store) != 0 || strcmp(c.cluster, k->cluster) != 0)
			complain(k, "the checkpoint is of another chain: %s's, store %s", c.agent, c.store);
		else
			k->checkpoint = c;
	}
	buf_free(&payload);
}

static void
take_head(struct audit_check *k, const cJSON *o)
{
	struct head h = { .time = 0 };
	const cJSON *v;
	struct err e;

	if (read_line(o, head_fields, &h, &e)) {
		complain(k, "the first line: %s", e.msg);
		return;
	}
	snprintf(k->agent, sizeof k->agent, "%s", h.agent);
	snprintf(k->cluster, sizeof k->cluster, "%s", h.cluster);
	snprintf(k->store, sizeof k->store, "%s", h.store);
	snprintf(k->head_hash, sizeof k->head_hash, "%s", h.hash);
	k->head_n = h.n;
	k->head_pages = h.pages;
	k->made_ms = h.time;
	k->since_page = h.since_page;
	cJSON_ArrayForEach(v, h.keys)
		take_key(k, v);
	if (k->key && !k->nkeys && h.pages)
		complain(k, "it has no key that is %s's", k->agent);
	if (h.checkpoint[0])
		take_checkpoint(k, h.checkpoint);
}

/* ---- pages ---- */

static void
begin(struct audit_check *k, const struct audit_seal *s)
{
	bool anywhere = k->part || k->since_page == s->page;

	k->begun = true;
	k->first_n = s->first;
	k->first_ms = s->time;
	if (anywhere) {
		k->page_at = s->page - 1;
		k->n = s->first - 1;
		digest_parse(s->before, k->hash);
		return;
	}
	k->page_at = k->checkpoint.page;
	k->n = k->checkpoint.n;
	if (k->checkpoint.page)
		digest_parse(k->checkpoint.hash, k->hash);
}

static void
check_place(struct audit_check *k, const struct audit_seal *s)
{
	char before[DIGEST_HEX];

	digest_format(k->hash, before);
	if (strcmp(s->agent, k->agent) != 0 || strcmp(s->store, k->store) != 0 || strcmp(s->cluster, k->cluster) != 0)
		complain(k, "page %lld is of another chain: %s's, store %s", (long long)s->page, s->agent, s->store);
	if (s->page != k->page_at + 1)
		complain(k, "page %lld is where page %lld should be", (long long)s->page, (long long)k->page_at + 1);
	else if (s->first != k->n + 1)
		complain(k, "page %lld begins with record %lld, not %lld", (long long)s->page, (long long)s->first,
		    (long long)k->n + 1);
	else if (strcmp(s->before, before) != 0)
		complain(k, "page %lld: the chain before it is not the one that it was sealed with", (long long)s->page);
}

struct page {
	char type[16];
	int64_t page;
	const cJSON *own;
};

static const struct json_field page_fields[] = {
	JSON_FIELD(struct page, type, JSON_TEXT, true),
	JSON_FIELD_INT(struct page, page, 1, JSON_INT_MAX, true),
	JSON_FIELD(struct page, own, JSON_ARRAY, true),
	JSON_END
};

static const char *
own_of(const cJSON *list, int64_t n)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (json_number(v, "n", 0) == n)
			return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "envelope"));
	return NULL;
}

/* It says what the record says. */
static void
check_own(struct audit_check *k, const struct audit_record *r, const char *envelope)
{
	struct buf payload = { 0 }, text = { 0 };

	audit_put_record(&text, r);
	if (open_signed(k, "the envelope of record", r->n, envelope, AUDIT_STATEMENT_PAYLOAD, &payload) &&
	    (payload.len != text.len || memcmp(payload.data, text.data, text.len) != 0))
		complain(k, "record %lld: its own envelope says something else", (long long)r->n);
	buf_free(&payload);
	buf_free(&text);
}

static bool
is_text(const struct audit_text *t, const char *s)
{
	return t->s && t->len == strlen(s) && memcmp(t->s, s, t->len) == 0;
}

static void
check_record(struct audit_check *k, const struct audit_record *r, const struct audit_seal *s, const cJSON *own)
{
	const char *envelope = own_of(own, r->n);

	if (!is_text(&r->agent, s->agent) || !is_text(&r->store, s->store) || !is_text(&r->cluster, s->cluster))
		complain(k, "record %lld is of another chain", (long long)r->n);
	if (envelope)
		check_own(k, r, envelope);
	else if (k->key && (is_text(&r->mode, "sovereign") || r->approval.s))
		complain(k, "record %lld has no envelope of its own", (long long)r->n);
	k->records++;
	if (k->record)
		k->record(k->arg, r, s, envelope);
}

/* Packed again it is the same. */
static bool
unpack(struct audit_check *k, const struct buf *packed, const struct audit_seal *s, const cJSON *own, bool tell)
{
	const unsigned char *p = (const unsigned char *)buf_str(packed), *end = p + packed->len;
	struct audit_record r = { 0 };
	int64_t n = 0;

	audit_pack_begin(&k->pack);
	for (; p < end && n < s->count; n++) {
		if (audit_unpack(&p, end, &r))
			return false;
		r.n = s->first + n;
		if (!tell)
			audit_pack_add(&k->pack, &r);
		else
			check_record(k, &r, s, own);
	}
	return p == end && n == s->count &&
	    (tell || (k->pack.out.len == packed->len && memcmp(buf_str(&k->pack.out), buf_str(packed), packed->len) == 0));
}

static void
check_records(struct audit_check *k, const char *text, const cJSON *own, const struct audit_seal *s)
{
	unsigned char sum[DIGEST_SIZE];
	struct buf packed = { 0 };
	char hex[DIGEST_HEX];
	const cJSON *v;

	base64_decode(&packed, text, strlen(text), NULL);
	digest_of(k->digest, buf_str(&packed), packed.len, sum);
	digest_format(sum, hex);
	if (strcmp(hex, s->records) != 0)
		complain(k, "page %lld: its records (%lld to %lld) are not those that were sealed", (long long)s->page,
		    (long long)s->first, (long long)(s->first + s->count - 1));
	else if (!unpack(k, &packed, s, own, false) || !unpack(k, &packed, s, own, true))
		complain(k, "page %lld: its records cannot be read", (long long)s->page);
	cJSON_ArrayForEach(v, own)
		if (json_number(v, "n", 0) < s->first || json_number(v, "n", 0) >= s->first + s->count)
			complain(k, "page %lld has an envelope of a record that is not in it", (long long)s->page);
	buf_free(&packed);
}

static void
note_end(struct audit_check *k)
{
	if (k->nends == k->ends_cap) {
		k->ends_cap = k->ends_cap ? 2 * k->ends_cap : 256;
		k->ends = xrealloc(k->ends, k->ends_cap * sizeof *k->ends);
	}
	k->ends[k->nends].n = k->n;
	memcpy(k->ends[k->nends++].hash, k->hash, DIGEST_SIZE);
}

static void
check_head(struct audit_check *k)
{
	char hash[DIGEST_HEX];

	digest_format(k->hash, hash);
	if (k->n != k->head_n || strcmp(hash, k->head_hash) != 0)
		complain(k, "behind page %lld the chain is not what its first line says", (long long)k->page_at);
}

static void
check_page(struct audit_check *k, const struct page *p, const char *records, const char *envelope)
{
	struct buf seal = { 0 };
	struct audit_seal s;
	struct err e;

	open_signed(k, "page", p->page, envelope, AUDIT_STATEMENT_PAYLOAD, &seal);
	if (audit_read_seal(buf_str(&seal), seal.len, &s, &e)) {
		complain(k, "page %lld: %s", (long long)p->page, e.msg);
		buf_free(&seal);
		return;
	}
	if (!k->begun)
		begin(k, &s);
	check_place(k, &s);
	if (p->page != s.page)
		complain(k, "page %lld stands in the line of page %lld", (long long)s.page, (long long)p->page);
	check_records(k, records, p->own, &s);
	/* Where it says that it is: what follows is judged by that. */
	k->page_at = s.page;
	k->n = s.first + s.count - 1;
	k->last_ms = s.time;
	digest_parse(s.before, k->hash);
	audit_chain(k->digest, k->hash, seal.data, seal.len);
	note_end(k);
	if (k->page_at == k->head_pages && !k->part)
		check_head(k);
	if (k->page)
		k->page(k->arg, &s, envelope);
	buf_free(&seal);
}

/* The two texts, which may be long, are taken out of the line before the rest is read. */
static void
take_page(struct audit_check *k, cJSON *o)
{
	cJSON *records = cJSON_DetachItemFromObjectCaseSensitive(o, "records"),
	    *envelope = cJSON_DetachItemFromObjectCaseSensitive(o, "seal");
	struct page p = { .page = 0 };
	struct err e;

	k->pages++;
	if (!cJSON_IsString(records) || !cJSON_IsString(envelope))
		complain(k, "line %lld is no page", (long long)k->pages + 1);
	else if (read_line(o, page_fields, &p, &e))
		complain(k, "line %lld: %s", (long long)k->pages + 1, e.msg);
	else
		check_page(k, &p, records->valuestring, envelope->valuestring);
	cJSON_Delete(records);
	cJSON_Delete(envelope);
}

void
audit_check_line(struct audit_check *k, const char *line, size_t len)
{
	struct err e;
	cJSON *o = json_parse_object(line, len, &e);

	if (!k->digest)
		k->digest = digest_new();
	if (!o)
		complain(k, "line %lld: %s", (long long)k->pages + 2, e.msg);
	else if (strcmp(json_text(o, "type"), "audit") == 0)
		take_head(k, o);
	else if (strcmp(json_text(o, "type"), "audit_page") == 0)
		take_page(k, o);
	else
		complain(k, "line %lld is none of a chain", (long long)k->pages + 2);
	cJSON_Delete(o);
}

void
audit_check_end(struct audit_check *k)
{
	if (!k->agent[0])
		complain(k, "it is no audit chain");
	else if (!k->part && k->page_at < k->head_pages)
		complain(k, "it ends with page %lld, and has %lld", (long long)k->page_at, (long long)k->head_pages);
	else if (!k->part && !k->live && k->page_at > k->head_pages)
		complain(k, "it has pages behind %lld, its last", (long long)k->head_pages);
}

void
audit_check_release(struct audit_check *k)
{
	free(k->ends);
	k->ends = NULL;
	k->nends = k->ends_cap = 0;
	digest_free(k->digest);
	k->digest = NULL;
	audit_pack_free(&k->pack);
}

enum audit_known
audit_check_knows(const struct audit_check *k, int64_t n, const char *hash)
{
	unsigned char sum[DIGEST_SIZE];
	size_t low = 0, high = k->nends;

	if (digest_parse(hash, sum))
		return AUDIT_OTHER;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (k->ends[mid].n < n)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low; i < k->nends && k->ends[i].n == n; i++)
		if (memcmp(k->ends[i].hash, sum, DIGEST_SIZE) == 0)
			return AUDIT_KNOWN;
	if (n > k->n)
		return AUDIT_BEYOND;
	if (!k->begun || n < k->first_n)
		return AUDIT_FORGOTTEN;
	/* A page without records at the end may be one that is not here yet. */
	return n == k->n ? AUDIT_BEYOND : AUDIT_OTHER;
}
