#include "canonical.h"

#include <openssl/evp.h>

#include "json.h"

/* UTF-16 puts U+10000 and above (surrogates, from D800) before U+E000 to U+FFFF; UTF-8 does not. */
static unsigned
rank_of(unsigned char c)
{
	if (c >= 0xf0)
		return c - 2u;
	return c >= 0xee ? c + 5u : c;
}

static int
compare_names(const void *a, const void *b)
{
	const unsigned char *p = (const unsigned char *)(*(const cJSON *const *)a)->string;
	const unsigned char *q = (const unsigned char *)(*(const cJSON *const *)b)->string;

	while (*p && *p == *q) {
		p++;
		q++;
	}
	return (int)rank_of(*p) - (int)rank_of(*q);
}

static int
put_escaped(struct buf *b, unsigned char c)
{
	static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *at = strchr(names, c);

	if (at)
		buf_addf(b, "\\%c", letters[at - names]);
	else
		buf_addf(b, "\\u%04x", c);
	return 1;
}

static int
put_text(struct buf *b, const char *s, struct err *e)
{
	const char *run = s, *end = s + strlen(s);

	buf_addc(b, '"');
	while (s < end) {
		unsigned char c = (unsigned char)*s;
		int n = c < 0x80 ? 1 : json_utf8_len(s, (size_t)(end - s));

		if (!n)
			return err_set(e, ERR_INVALID, "text that is not UTF-8 has no canonical form");
		if (c >= 0x20 && c != '"' && c != '\\') {
			s += n;
			continue;
		}
		buf_add(b, run, (size_t)(s - run));
		s += put_escaped(b, c);
		run = s;
	}
	buf_add(b, run, (size_t)(s - run));
	buf_addc(b, '"');
	return 0;
}

static int put(struct buf *b, const cJSON *v, int depth, struct err *e);

static int
put_members(struct buf *b, const cJSON **members, size_t n, int depth, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (i && strcmp(members[i - 1]->string, members[i]->string) == 0)
			return err_field(e, ERR_INVALID, members[i]->string, "a second one", "each member name once");
		if (i)
			buf_addc(b, ',');
		if (put_text(b, members[i]->string, e))
			return -1;
		buf_addc(b, ':');
		if (put(b, members[i], depth, e))
			return -1;
	}
	return 0;
}

static int
put_object(struct buf *b, const cJSON *v, int depth, struct err *e)
{
	size_t n = (size_t)cJSON_GetArraySize(v), i = 0;
	const cJSON **members = xcalloc(n + 1, sizeof *members), *m;
	int rc;

	cJSON_ArrayForEach(m, v)
		members[i++] = m;
	qsort(members, n, sizeof *members, compare_names);
	buf_addc(b, '{');
	rc = put_members(b, members, n, depth, e);
	buf_addc(b, '}');
	free(members);
	return rc;
}

static int
put_array(struct buf *b, const cJSON *v, int depth, struct err *e)
{
	const cJSON *m;

	buf_addc(b, '[');
	cJSON_ArrayForEach(m, v) {
		if (m != v->child)
			buf_addc(b, ',');
		if (put(b, m, depth, e))
			return -1;
	}
	buf_addc(b, ']');
	return 0;
}

static int
put(struct buf *b, const cJSON *v, int depth, struct err *e)
{
	int64_t n;

	if (depth == 0)
		return err_set(e, ERR_INVALID, "nested deeper than %d", JSON_MAX_DEPTH);
	if (cJSON_IsObject(v))
		return put_object(b, v, depth - 1, e);
	if (cJSON_IsArray(v))
		return put_array(b, v, depth - 1, e);
	if (cJSON_IsString(v))
		return put_text(b, v->valuestring, e);
	if (cJSON_IsBool(v) || cJSON_IsNull(v)) {
		buf_adds(b, cJSON_IsNull(v) ? "null" : cJSON_IsTrue(v) ? "true" : "false");
		return 0;
	}
	if (!json_int(v, &n))
		return err_set(e, ERR_INVALID, "only integers within 2^53 have a canonical form here");
	buf_addf(b, "%lld", (long long)n);
	return 0;
}

int
canonical_put(struct buf *b, const cJSON *v, struct err *e)
{
	size_t before = b->len;

	if (put(b, v, JSON_MAX_DEPTH + 1, e)) {
		buf_cut(b, before);
		return -1;
	}
	return buf_ok(b) ? 0 : err_set(e, ERR_TOO_BIG, "larger than %zu bytes in canonical form", b->max);
}

/* Compared before anything is believed: what reads in two ways could be shown in one and obeyed in the other. */
cJSON *
canonical_parse(const char *text, size_t len, struct err *e)
{
	cJSON *v = json_parse(text, len, e);
	struct buf b = { 0 };
	int rc = -1;

	if (v && canonical_put(&b, v, e) == 0) {
		if (b.len == len && memcmp(b.data, text, len) == 0)
			rc = 0;
		else
			err_set(e, ERR_PARSE, "not canonical JSON (RFC 8785)");
	}
	buf_free(&b);
	if (rc == 0)
		return v;
	cJSON_Delete(v);
	return NULL;
}

void
hash_hex(const void *p, size_t len, char hex[CANONICAL_HASH])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;

	if (EVP_Digest(p, len, md, &n, EVP_sha256(), NULL) != 1)
		abort();
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

int
canonical_hash(const cJSON *v, char hex[CANONICAL_HASH], struct err *e)
{
	struct buf b = { 0 };
	int rc = canonical_put(&b, v, e);

	if (rc == 0)
		hash_hex(buf_str(&b), b.len, hex);
	buf_free(&b);
	return rc;
}
