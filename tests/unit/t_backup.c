/* The file of a backup: what may be in it, and that not one byte of it may be another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backup.h"
#include "buf.h"
#include "core.h"
#include "err.h"
#include "restore.h"
#include "tar.h"

static struct err e;
static int version = 13;

static int
put(void *arg, const void *p, size_t len, struct err *x)
{
	(void)x;
	buf_add(arg, p, len);
	return 0;
}

struct bytes {
	const char *p;
	size_t left;
};

static ssize_t
get(void *arg, void *p, size_t max, struct err *x)
{
	struct bytes *b = arg;
	size_t n = b->left < max ? b->left : max;

	(void)x;
	memcpy(p, b->p, n);
	b->p += n;
	b->left -= n;
	return (ssize_t)n;
}

static const char *const names[] = { "houses.yaml", "state/ezra-1.db", "pki/empty.crt" };
static const char *const texts[] = { "houses: {ezra: }\n", "not a database, but who looks", "" };
#define N (sizeof names / sizeof *names)

static void
fill(struct backup_manifest *m, struct backup_file files[N], struct backup_agent *a)
{
	struct digest *d = digest_new();
	unsigned char sum[DIGEST_SIZE];

	*m = (struct backup_manifest){ .format = BACKUP_FORMAT, .program = "4.0.0", .time = "2026-11-30T12:00:00.000Z", .host = "here",
		.cluster = "home", .config = "/etc/houses.yaml", .pki = "/etc/pki", .state = "/var/state", .agents = a, .nagents = 1,
		.files = files, .nfiles = N };
	*a = (struct backup_agent){ .agent = "ezra-1", .store = "40058b7a", .version = version };
	for (size_t i = 0; i < N; i++) {
		files[i] = (struct backup_file){ .bytes = (int64_t)strlen(texts[i]), .mode = 0600 };
		snprintf(files[i].path, sizeof files[i].path, "%s", names[i]);
		digest_of(d, texts[i], strlen(texts[i]), sum);
		digest_format(sum, files[i].sha256);
	}
	digest_free(d);
}

static void
archive(struct buf *out)
{
	struct backup_file files[N];
	struct backup_agent a;
	struct backup_manifest m;
	struct buf manifest = { 0 }, sums = { 0 };
	struct tar *t = tar_new((struct sink){ put, out }, 1764000000000);

	fill(&m, files, &a);
	backup_manifest_put(&manifest, &m);
	backup_sums_put(&sums, &m, manifest.data, manifest.len);
	tar_add(t, BACKUP_MANIFEST, manifest.data, manifest.len);
	for (size_t i = 0; i < N; i++)
		tar_add(t, names[i], texts[i], strlen(texts[i]));
	tar_add(t, BACKUP_SUMS, sums.data, sums.len);
	assert_int_equal(tar_close(t, &e), 0);
	buf_free(&manifest);
	buf_free(&sums);
}

static int
read_all(const char *p, size_t len, const struct backup_visit *v)
{
	struct bytes from = { p, len };
	struct backup *b = NULL;
	int rc;

	e = (struct err){ 0 };
	rc = backup_from(&b, (struct source){ get, &from }, &e);
	if (rc == 0)
		rc = backup_read(b, v, &e);
	backup_close(b);
	return rc;
}

static int
begin_one(void *arg, const struct backup_file *f, struct err *x)
{
	(void)x;
	buf_addf(arg, "<%s>", f->path);
	return 0;
}

static int
end_one(void *arg, const struct backup_file *f, struct err *x)
{
	(void)x;
	(void)f;
	buf_adds(arg, "</>");
	return 0;
}

static void
what_was_written_is_read(void **state)
{
	struct buf text = { 0 }, got = { 0 };
	struct backup_visit v = { begin_one, put, end_one, &got };

	(void)state;
	archive(&text);
	if (read_all(text.data, text.len, &v))
		fail_msg("%s", e.msg);
	assert_string_equal(buf_str(&got), "<houses.yaml>houses: {ezra: }\n</><state/ezra-1.db>not a database, but who looks</><pki/empty.crt></>");
	buf_free(&text);
	buf_free(&got);
}

static void
every_byte_counts(void **state)
{
	struct buf text = { 0 };

	(void)state;
	archive(&text);
	for (size_t i = 0; i < text.len; i++) {
		text.data[i] = (char)(text.data[i] ^ 1);
		if (read_all(text.data, text.len, NULL) == 0)
			fail_msg("byte %zu may be another", i);
		assert_true(e.msg[0]);
		text.data[i] = (char)(text.data[i] ^ 1);
	}
	for (size_t n = 0; n < text.len; n += n % 512 == 511 ? 1 : 73)
		if (read_all(text.data, n, NULL) == 0)
			fail_msg("it may end after %zu bytes", n);
	buf_addc(&text, '\0');
	assert_int_equal(read_all(text.data, text.len, NULL), -1);
	buf_free(&text);
}

static void
names_lead_nowhere_else(void **state)
{
	static const char *const good[] = { "houses.yaml", "env", "pki/ca.crt", "pki/issued/00FF.crt", "sovereign/timmy.key", "state/hermes-ezra-1.db" };
	static const char *const bad[] = { "", "/etc/passwd", "pki/", "pki", "pki/../x", "pki/..", "pki/.hidden", "state/a/b", "../houses.yaml",
		"houses.yaml/x", "state//x", "state/\nx", "bin/sh", "pki/issued/../../x", "manifest.json" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(backup_path_ok(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(backup_path_ok(bad[i]));
}

#define HEAD "{\"format\":1,\"program\":\"4\",\"time\":\"t\",\"host\":\"h\",\"cluster\":\"c\",\"config\":\"/c\",\"pki\":\"/p\"," \
	"\"state\":\"/s\",\"sovereign_key\":\"\",\"keys\":false,\"agents\":[],"
#define SUM "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\""

static void
a_manifest_is_read_strictly(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "{}", "format" },
		{ "{\"format\":2}", "it has format 2, this program knows up to 1: use a newer one" },
		{ HEAD "\"files\":7}", "files" },
		{ HEAD "\"files\":[{\"path\":\"/x\",\"bytes\":1,\"mode\":\"0600\"," SUM "}]}", "files.path" },
		{ HEAD "\"files\":[{\"path\":\"env\",\"bytes\":-1,\"mode\":\"0600\"," SUM "}]}", "files.bytes" },
		{ HEAD "\"files\":[{\"path\":\"env\",\"bytes\":1,\"mode\":\"4755\"," SUM "}]}", "files.mode" },
		{ HEAD "\"files\":[{\"path\":\"env\",\"bytes\":1,\"mode\":\"0600\",\"sha256\":\"00\"}]}", "files.sha256" },
		{ HEAD "\"files\":[{\"path\":\"env\",\"bytes\":1,\"mode\":\"0600\"," SUM "},{\"path\":\"env\",\"bytes\":1,\"mode\":\"0600\"," SUM "}]}",
		  "each name once" },
	};
	struct backup_manifest m;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(backup_manifest_read(&m, bad[i].text, strlen(bad[i].text), &e), -1);
		if (!strstr(e.msg, bad[i].error))
			fail_msg("%s: %s", bad[i].error, e.msg);
	}
	assert_int_equal(backup_manifest_read(&m, HEAD "\"files\":[]}", strlen(HEAD "\"files\":[]}"), &e), 0);
	backup_manifest_release(&m);
}

/* What a newer program wrote is refused before anything is looked at on the disk. */
static void
a_newer_database_is_refused(void **state)
{
	struct buf text = { 0 };
	struct backup *b = NULL;
	struct restore r;
	struct bytes from;

	(void)state;
	version = core_store_version() + 1;
	archive(&text);
	version = 13;
	from = (struct bytes){ text.data, text.len };
	assert_int_equal(backup_from(&b, (struct source){ get, &from }, &e), 0);
	assert_int_equal(restore_plan(&r, b, &(struct restore_opts){ .to = "/nowhere" }, &e), -1);
	assert_int_equal(e.code, ERR_STORE);
	assert_non_null(strstr(e.msg, "use a newer one"));
	restore_release(&r);
	backup_close(b);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(names_lead_nowhere_else),
		cmocka_unit_test(a_manifest_is_read_strictly),
		cmocka_unit_test(a_newer_database_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
