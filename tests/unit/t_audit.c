/* The audit chain: packed and printed records, and that nothing can be done to a chain unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "audit_check.h"
#include "base64.h"
#include "canonical.h"
#include "dsse.h"
#include "json.h"

#define RECORDS 10000
#define RATE 5000                       /* records a second, of the slowest kind of chain */

/* A chain as lines. */
struct chain {
	char **line;
	size_t n;
	struct audit_seal *seal;        /* of line i + 1 */
};

static struct sign_key *key, *other_key;
static bool signs = true;
static char said[512];                  /* the first problem of a check */

static char *const hosts[] = { "ezra.example", "h\xc3\xb4te \"2\"" };

static void
make_record(struct audit_record *r, int64_t n)
{
	static char state[3][12] = { "succeeded", "failed", "uncertain" };

	*r = (struct audit_record){ .n = n, .accepted = 1700000000000 + n, .started = 1700000000001 + n,
		.ended = 1700000000005 + n, .attempt = 1 + n % 2, .run_us = n * 7 % 1000 };
	r->agent = audit_text("ezra-1");
	r->cluster = audit_text("home");
	r->executor = audit_text(n % 5 ? "ezra-1" : NULL);
	r->host = audit_text(hosts[n % 11 == 0]);
	r->house = audit_text("ezra");
	r->role = audit_text("outcome");
	r->sender = audit_text(n % 3 ? "operator" : "timmy");
	r->state = audit_text(state[n % 3]);
	r->error = audit_text(n % 3 == 1 ? "timeout" : NULL);
	r->reads = audit_text(n % 7 ? NULL : "[{\"kind\":\"path\",\"name\":\"/srv/a\",\"sha256\":\"00\"}]");
	r->store = audit_text("1a2b3c4d");
	r->term = audit_text("3 ezra-1 1a2b3c4d");
	r->tool = audit_text("noop");
	r->tool_digest = audit_text("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	r->version = audit_text("4.0.0");
	r->params.set = n % 4 != 0;
	memset(r->params.b, r->params.set ? (int)n : 0, DIGEST_SIZE);
	r->outcome.set = true;
	memset(r->outcome.b, (int)n * 3, DIGEST_SIZE);
	for (int i = 0; i < 8; i++)
		r->task.b[8 + i] = (unsigned char)(n >> (56 - 8 * i));
}

static char *
page_line(const struct audit_seal *s, const struct buf *packed, const struct sign_key *by, struct buf *text)
{
	struct buf b = { 0 }, envelope = { 0 };

	buf_clear(text);
	audit_put_seal(text, s);
	if (by)
		dsse_make(&envelope, AUDIT_STATEMENT_PAYLOAD, text->data, text->len, by);
	json_put_open(&b, '{');
	json_kv_str(&b, "type", "audit_page");
	json_kv_int(&b, "page", s->page);
	json_put_key(&b, "records");
	buf_addc(&b, '"');
	base64_put(&b, buf_str(packed), packed->len);
	buf_addc(&b, '"');
	json_kv_str(&b, "seal", by ? envelope.data : text->data);
	json_put_key(&b, "own");
	json_put_raw(&b, "[]", 2);
	json_put_close(&b, '}');
	buf_free(&envelope);
	return buf_take(&b);
}

static char *
head_line(int64_t pages, int64_t n, const unsigned char *hash)
{
	struct buf b = { 0 };
	char hex[DIGEST_HEX];

	digest_format(hash, hex);
	buf_addf(&b, "{\"type\":\"audit\",\"agent\":\"ezra-1\",\"cluster\":\"home\",\"time\":1,\"store\":\"1a2b3c4d\","
	    "\"pages\":%lld,\"n\":%lld,\"hash\":\"%s\",\"keys\":[\"of ezra-1\"]}", (long long)pages, (long long)n, hex);
	return buf_take(&b);
}

static void
chain_make(struct chain *c, int64_t records, int64_t each, const struct sign_key *by)
{
	struct digest *d = digest_new();
	unsigned char hash[DIGEST_SIZE] = { 0 }, sum[DIGEST_SIZE];
	struct audit_pack pack = { .texts = NULL };
	struct buf text = { 0 };

	*c = (struct chain){ .line = xcalloc((size_t)records + 2, sizeof *c->line),
		.seal = xcalloc((size_t)records + 2, sizeof *c->seal), .n = 1 };
	for (int64_t n = 1; n <= records; c->n++) {
		struct audit_seal *s = &c->seal[c->n];

		*s = (struct audit_seal){ .agent = "ezra-1", .cluster = "home", .store = "1a2b3c4d", .page = (int64_t)c->n,
			.first = n, .count = each < records - n + 1 ? each : records - n + 1, .time = 1700000000000 + n };
		audit_pack_begin(&pack);
		for (int64_t i = 0; i < s->count; i++) {
			struct audit_record r;

			make_record(&r, n++);
			audit_pack_add(&pack, &r);
		}
		digest_format(hash, s->before);
		digest_of(d, pack.out.data, pack.out.len, sum);
		digest_format(sum, s->records);
		c->line[c->n] = page_line(s, &pack.out, by, &text);
		audit_chain(d, hash, text.data, text.len);
	}
	c->line[0] = head_line((int64_t)c->n - 1, records, hash);
	audit_pack_free(&pack);
	buf_free(&text);
	digest_free(d);
}

static void
chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->line[i]);
	free(c->line);
	free(c->seal);
}

static void
note(void *arg, const char *name, const char *text)
{
	(void)arg;
	(void)name;
	if (!said[0])
		snprintf(said, sizeof said, "%s", text);
}

static int
key_of(void *arg, const char *binding, char agent[64], struct sign_public *out, struct err *e)
{
	(void)arg;
	(void)e;
	snprintf(agent, 64, "%s", binding + 3);
	*out = *sign_key_public(key);
	return 0;
}

/* How many problems; the first is in said. */
static int64_t
check_lines(char *const *line, size_t n)
{
	struct audit_check k = { .name = "test", .problem = note, .key = signs ? key_of : NULL };

	said[0] = '\0';
	for (size_t i = 0; i < n; i++)
		audit_check_line(&k, line[i], strlen(line[i]));
	audit_check_end(&k);
	audit_check_release(&k);
	return k.problems;
}

static void
found(const struct chain *c, const char *what, size_t at)
{
	if (!check_lines(c->line, c->n))
		fail_msg("%s at %zu was not found", what, at);
}

/* ---- records ---- */

static void
a_statement_is_canonical_and_in_toto(void **state)
{
	struct buf b = { 0 };
	struct audit_record r;
	struct err e;

	(void)state;
	for (int n = 1; n < 200; n++) {
		cJSON *o;

		make_record(&r, n);
		buf_clear(&b);
		audit_put_record(&b, &r);
		o = canonical_parse(b.data, b.len, &e);
		if (!o)
			fail_msg("%s: %s", e.msg, b.data);
		assert_string_equal(json_text(o, "_type"), AUDIT_STATEMENT_TYPE);
		assert_string_equal(json_text(o, "predicateType"), AUDIT_PREDICATE_TYPE);
		assert_int_equal(json_number(cJSON_GetObjectItemCaseSensitive(o, "predicate"), "n", 0), n);
		assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "subject")), 1);
		cJSON_Delete(o);
	}
	buf_free(&b);
}

static void
what_is_packed_comes_out_again(void **state)
{
	struct audit_pack pack = { .texts = NULL };
	struct buf a = { 0 }, b = { 0 };
	struct audit_record in, out = { 0 };
	const unsigned char *p, *end;

	(void)state;
	audit_pack_begin(&pack);
	for (int n = 1; n <= 1000; n++) {
		make_record(&in, n);
		audit_pack_add(&pack, &in);
	}
	p = (const unsigned char *)pack.out.data;
	end = p + pack.out.len;
	for (int n = 1; n <= 1000; n++) {
		make_record(&in, n);
		assert_int_equal(audit_unpack(&p, end, &out), 0);
		out.n = n;
		buf_clear(&a);
		buf_clear(&b);
		audit_put_record(&a, &in);
		audit_put_record(&b, &out);
		assert_string_equal(a.data, b.data);
	}
	assert_ptr_equal(p, end);
	print_message("packed: %zu bytes a record, %zu as a statement\n", pack.out.len / 1000, b.len);
	audit_pack_free(&pack);
	buf_free(&a);
	buf_free(&b);
}

static void
packed_bytes_that_are_cut_are_not_read_past(void **state)
{
	struct audit_pack pack = { .texts = NULL };
	struct audit_record r;

	(void)state;
	audit_pack_begin(&pack);
	make_record(&r, 7);
	audit_pack_add(&pack, &r);
	for (size_t len = 0; len < pack.out.len; len++) {
		unsigned char *copy = len ? malloc(len) : NULL;
		const unsigned char *p = copy;
		struct audit_record out = { 0 };

		if (copy)
			memcpy(copy, pack.out.data, len);
		assert_int_equal(audit_unpack(&p, copy + len, &out), -1);
		free(copy);
	}
	audit_pack_free(&pack);
}

/* ---- what is done to a chain ---- */

static void
a_chain_as_it_was_written_is_good(void **state)
{
	static const int64_t each[] = { 1, 3, 100, 1000 };
	struct chain c;

	(void)state;
	for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
		chain_make(&c, 1000, each[i], key);
		if (check_lines(c.line, c.n))
			fail_msg("%s", said);
		chain_free(&c);
	}
}

/* Like `sum of records`, by somebody who has not the key: the page's line is made anew from its records. */
static void
rewrite_page(struct chain *c, size_t i, const struct audit_record *r, size_t n, bool seal_anew)
{
	struct audit_pack pack = { .texts = NULL };
	struct digest *d = digest_new();
	struct audit_seal s = c->seal[i];
	unsigned char sum[DIGEST_SIZE];
	struct buf text = { 0 };

	audit_pack_begin(&pack);
	for (size_t k = 0; k < n; k++)
		audit_pack_add(&pack, &r[k]);
	if (seal_anew) {
		digest_of(d, pack.out.data, pack.out.len, sum);
		digest_format(sum, s.records);
		s.count = (int64_t)n;
	}
	free(c->line[i]);
	/* Without the key there is only another one; or the old seal. */
	c->line[i] = page_line(&s, &pack.out, seal_anew ? other_key : key, &text);
	audit_pack_free(&pack);
	digest_free(d);
	buf_free(&text);
}

enum deed { EDITED, DELETED, DUPLICATED, REORDERED, NDEEDS };
static const char *const deeds[NDEEDS] = { "edited", "deleted", "duplicated", "reordered" };

/* One record of page i; which: in the page. */
static void
do_to_record(struct chain *c, size_t i, size_t which, enum deed deed, bool seal_anew)
{
	const struct audit_seal *s = &c->seal[i];
	size_t n = (size_t)s->count;
	struct audit_record *r = xcalloc(n + 1, sizeof *r);

	for (size_t k = 0; k < n; k++)
		make_record(&r[k], s->first + (int64_t)k);
	if (deed == EDITED) {
		r[which].sender = audit_text("stranger");
	} else if (deed == DELETED) {
		memmove(&r[which], &r[which + 1], (n - which - 1) * sizeof *r);
		n--;
	} else if (deed == DUPLICATED) {
		memmove(&r[which + 1], &r[which], (n - which) * sizeof *r);
		n++;
	} else {
		struct audit_record swap = r[which];
		size_t with = which + 1 < n ? which + 1 : which - 1;

		r[which] = r[with];
		r[with] = swap;
	}
	rewrite_page(c, i, r, n, seal_anew);
	free(r);
}

static void
any_record_that_was_touched_is_found(void **state)
{
	size_t tried[NDEEDS] = { 0 };
	struct chain c;

	(void)state;
	chain_make(&c, RECORDS, 100, key);
	assert_int_equal(check_lines(c.line, c.n), 0);
	for (size_t n = 0; n < RECORDS; n += 397)
		for (int deed = 0; deed < NDEEDS; deed++) {
			size_t i = n / 100 + 1;
			char *kept = xstrdup(c.line[i]);

			do_to_record(&c, i, n % 100, (enum deed)deed, (n + (size_t)deed) % 2);
			found(&c, deeds[deed], n);
			tried[deed]++;
			free(c.line[i]);
			c.line[i] = kept;
		}
	for (int deed = 0; deed < NDEEDS; deed++)
		print_message("%zu records %s in a chain of %d: all found\n", tried[deed], deeds[deed], RECORDS);
	assert_int_equal(check_lines(c.line, c.n), 0);
	chain_free(&c);
}

/* Whole pages, which are single records where one task came at a time. */
static void
do_to_page(struct chain *c, size_t i, enum deed deed)
{
	if (deed == EDITED) {
		do_to_record(c, i, 0, EDITED, true);
	} else if (deed == DELETED) {
		free(c->line[i]);
		memmove(&c->line[i], &c->line[i + 1], (c->n - i - 1) * sizeof *c->line);
		c->n--;
	} else if (deed == DUPLICATED) {
		memmove(&c->line[i + 1], &c->line[i], (c->n - i) * sizeof *c->line);
		c->line[i] = xstrdup(c->line[i]);
		c->n++;
	} else {
		char *swap = c->line[i];

		c->line[i] = c->line[i + 1];
		c->line[i + 1] = swap;
	}
}

static void
any_page_that_was_touched_is_found(void **state)
{
	static const int at[] = { 0, 1, 250, 499, 501, 997, 998 };
	struct chain c;

	(void)state;
	for (size_t k = 0; k < sizeof at / sizeof *at; k++)
		for (int deed = 0; deed < NDEEDS; deed++) {
			chain_make(&c, 1000, 10, key);
			do_to_page(&c, (size_t)at[k] / 10 + 1 - (at[k] / 10 == 99 && deed == REORDERED), (enum deed)deed);
			found(&c, deeds[deed], (size_t)at[k]);
			chain_free(&c);
		}
}

/* By somebody who has the store, and so makes all the rest anew, unsigned or with a key of his own. */
static void
a_chain_that_was_made_anew_is_not_signed(void **state)
{
	struct chain c;

	(void)state;
	chain_make(&c, 300, 10, other_key);
	found(&c, "another key", 0);
	assert_non_null(strstr(said, "no key of ezra-1's has signed it"));
	chain_free(&c);
	chain_make(&c, 300, 10, NULL);
	found(&c, "no signature", 0);
	assert_non_null(strstr(said, "is not signed"));
	chain_free(&c);
}

/* Without any signature, the chain alone: as the simulator has it. */
static void
the_chain_alone_shows_it_too(void **state)
{
	struct chain c;

	(void)state;
	signs = false;
	for (int deed = 0; deed < NDEEDS; deed++)
		for (size_t i = 1; i < 29; i += 3) {
			chain_make(&c, 300, 10, NULL);
			assert_int_equal(check_lines(c.line, c.n), 0);
			do_to_page(&c, i, (enum deed)deed);
			found(&c, deeds[deed], i);
			chain_free(&c);
		}
	signs = true;
}

static void
every_byte_of_a_page_counts(void **state)
{
	struct chain c;
	size_t len, tried = 0;

	(void)state;
	chain_make(&c, 3, 1, key);
	len = strlen(c.line[2]);
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit += 3) {
			c.line[2][i] ^= (char)(1 << bit);
			found(&c, "a byte", i);
			c.line[2][i] ^= (char)(1 << bit);
			tried++;
		}
	print_message("%zu changes of a byte in one page: all found\n", tried);
	chain_free(&c);
}

static void
an_end_that_was_cut_is_found_by_who_knows_the_head(void **state)
{
	struct audit_check k = { .name = "test", .problem = note, .key = key_of };
	struct chain c;
	struct err e;
	cJSON *head;

	(void)state;
	chain_make(&c, 1000, 10, key);
	head = json_parse_object(c.line[0], strlen(c.line[0]), &e);
	/* The first line says it. */
	c.n -= 3;
	found(&c, "the end", 97);
	assert_non_null(strstr(said, "it ends with page 97, and has 100"));
	/* Or it was made to fit, and another agent has heard the head. */
	for (size_t i = 0; i < c.n; i++)
		audit_check_line(&k, c.line[i], strlen(c.line[i]));
	assert_int_equal(k.n, 970);
	assert_int_equal(audit_check_knows(&k, 1000, json_text(head, "hash")), AUDIT_BEYOND);
	assert_int_equal(audit_check_knows(&k, 960, c.seal[97].before), AUDIT_KNOWN);
	assert_int_equal(audit_check_knows(&k, 950, c.seal[97].before), AUDIT_OTHER);
	audit_check_release(&k);
	cJSON_Delete(head);
	c.n += 3;
	chain_free(&c);
}

static double
rate_of(int64_t each)
{
	struct chain c;
	clock_t from;
	double s;

	chain_make(&c, RECORDS, each, key);
	from = clock();
	assert_int_equal(check_lines(c.line, c.n), 0);
	s = (double)(clock() - from) / CLOCKS_PER_SEC;
	chain_free(&c);
	return RECORDS / s;
}

static void
verifying_is_fast(void **state)
{
	const char *slow = getenv("SLOW");
	double single = rate_of(1), paged = rate_of(100), limit = RATE / (slow ? strtod(slow, NULL) : 1);

	(void)state;
	print_message("verified: %.0f records/s signed one by one, %.0f/s in pages of 100 (limit %.0f)\n", single, paged, limit);
#ifndef __SANITIZE_ADDRESS__
	assert_true(single > limit);
	assert_true(paged > limit);
#endif
}

static int
make_keys(void **state)
{
	(void)state;
	key = sign_key_new();
	other_key = sign_key_new();
	return 0;
}

static int
free_keys(void **state)
{
	(void)state;
	sign_key_free(key);
	sign_key_free(other_key);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_statement_is_canonical_and_in_toto),
		cmocka_unit_test(what_is_packed_comes_out_again),
		cmocka_unit_test(packed_bytes_that_are_cut_are_not_read_past),
		cmocka_unit_test(a_chain_as_it_was_written_is_good),
		cmocka_unit_test(any_record_that_was_touched_is_found),
		cmocka_unit_test(any_page_that_was_touched_is_found),
		cmocka_unit_test(a_chain_that_was_made_anew_is_not_signed),
		cmocka_unit_test(the_chain_alone_shows_it_too),
		cmocka_unit_test(every_byte_of_a_page_counts),
		cmocka_unit_test(an_end_that_was_cut_is_found_by_who_knows_the_head),
		cmocka_unit_test(verifying_is_fast),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
