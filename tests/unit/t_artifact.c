#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact.h"
#include "buf.h"
#include "clock.h"
#include "err.h"

/* sha256 of "abc" */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char top[64];
static struct config conf;
static struct err e;

static const char *
at(const char *rest)
{
	static char path[4][512];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof path[i], "%s/%s", top, rest);
	return path[i];
}

static void
write_text(const char *path, const char *text)
{
	FILE *f;

	chmod(path, 0644);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/artifact.XXXXXX");
	assert_non_null(mkdtemp(top));
	conf = (struct config){ .share_dir = top, .ndevices = 2, .max_artifact_bytes = 100000, .keep_artifacts_s = 3600,
		.keep_artifacts_bytes = 1000, .devices = { { .name = "ezra" }, { .name = "laptop" } } };
	write_text(at("self"), "ezra\n");
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct artifact
put_as(const char *self, const char *text, size_t len)
{
	struct artifact_draft d;
	struct artifact a = { .bytes = 0 };
	bool was_here;

	if (artifact_begin(&d, &conf, &e) || artifact_add(&d, text, len, &e) || artifact_keep(&d, self, &a, &was_here, &e))
		fail_msg("%s", e.msg);
	artifact_drop(&d);
	return a;
}

static int
count(void *arg, const struct artifact *a)
{
	(void)a;
	++*(int *)arg;
	return 0;
}

static int
how_many(const char *writer)
{
	int n = 0;

	artifact_each(&conf, writer, count, &n);
	return n;
}

static void
what_is_put_has_its_hash_for_a_name(void **state)
{
	struct artifact a = put_as("ezra", "abc", 3), found;

	(void)state;
	assert_string_equal(a.hash, ABC);
	assert_int_equal(a.bytes, 3);
	assert_int_equal(access(at("ezra/artifacts/ba/" ABC), R_OK), 0);
	assert_true(artifact_find(&conf, ABC, 0, &found));
	assert_string_equal(found.writer, "ezra");
	assert_int_equal(found.bytes, 3);
	assert_false(artifact_find(&conf, ABC, 1, &found));
	assert_int_equal(artifact_copy(&conf, &a, -1, &e), 0);
	put_as("ezra", "abc", 3);
	assert_int_equal(how_many(NULL), 1);
}

static void
each_writer_has_his_own(void **state)
{
	struct artifact found;

	(void)state;
	put_as("ezra", "abc", 3);
	put_as("laptop", "abc", 3);
	assert_int_equal(how_many(NULL), 2);
	assert_int_equal(how_many("laptop"), 1);
	assert_true(artifact_find(&conf, ABC, 1, &found));
	assert_string_equal(found.writer, "laptop");
}

static void
a_draft_is_seen_by_nobody(void **state)
{
	struct artifact_draft d;

	(void)state;
	assert_int_equal(artifact_begin(&d, &conf, &e), 0);
	assert_int_equal(artifact_add(&d, "abc", 3, &e), 0);
	assert_int_equal(how_many(NULL), 0);
	assert_int_equal(access(d.path, F_OK), 0);
	artifact_drop(&d);
	assert_int_equal(rmdir(at("new")), 0);
}

static void
one_that_is_too_large_is_refused(void **state)
{
	static const char zeros[60000];
	struct artifact_draft d;

	(void)state;
	assert_int_equal(artifact_begin(&d, &conf, &e), 0);
	assert_int_equal(artifact_add(&d, zeros, sizeof zeros, &e), 0);
	assert_int_equal(artifact_add(&d, zeros, sizeof zeros, &e), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	artifact_drop(&d);
	assert_int_equal(rmdir(at("new")), 0);
}

static void
what_somebody_changed_is_refused(void **state)
{
	struct artifact a = put_as("ezra", "abc", 3);

	(void)state;
	write_text(at("ezra/artifacts/ba/" ABC), "abd");
	assert_int_equal(artifact_copy(&conf, &a, -1, &e), -1);
	assert_int_equal(e.code, ERR_UNPROVEN);
	assert_non_null(strstr(e.msg, "is not what its name says: its hash is a52d159f"));
	/* Who puts it again mends it. */
	put_as("ezra", "abc", 3);
	assert_int_equal(artifact_copy(&conf, &a, -1, &e), 0);
}

/* Others write there: a link could lead to what is nobody's but ours. */
static void
links_and_other_names_are_passed_over(void **state)
{
	struct artifact a = put_as("ezra", "abc", 3), found;

	(void)state;
	assert_int_equal(rename(at("ezra/artifacts/ba/" ABC), at("abc")), 0);
	assert_int_equal(symlink(at("abc"), at("ezra/artifacts/ba/" ABC)), 0);
	write_text(at("ezra/artifacts/ba/.syncthing." ABC ".tmp"), "ab");
	write_text(at("ezra/artifacts/ba/ba.sync-conflict-1"), "ab");
	assert_false(artifact_find(&conf, ABC, 0, &found));
	assert_int_equal(how_many(NULL), 0);
	assert_int_equal(artifact_copy(&conf, &a, -1, &e), -1);
}

static void
exports_are_replaced_only_when_they_differ(void **state)
{
	static const struct {
		const char *text;
		bool changed;
	} steps[] = { { "one", true }, { "one", false }, { "two", true } };
	struct artifact_draft d;
	bool changed;

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		assert_int_equal(artifact_begin(&d, &conf, &e), 0);
		assert_int_equal(artifact_add(&d, steps[i].text, 3, &e), 0);
		assert_int_equal(artifact_publish(&d, "ezra", "audit", "ezra-1.ndjson", &changed, &e), 0);
		artifact_drop(&d);
		assert_int_equal(changed, steps[i].changed);
	}
	assert_int_equal(access(at("ezra/audit/ezra-1.ndjson"), R_OK), 0);
	assert_int_equal(rmdir(at("new")), 0);
}

static void
nothing(void *arg, const struct artifact *a)
{
	++*(int *)arg;
	(void)a;
}

static void
make_old(const struct artifact *a, int64_t seconds)
{
	char *path = artifact_path(conf.share_dir, a->writer, "artifacts", a->hash);
	struct timespec t[2] = { { .tv_sec = clock_wall_ms() / 1000 - seconds } };

	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	free(path);
}

static void
only_ones_own_are_pruned_the_oldest_first(void **state)
{
	static const char zeros[600];
	struct artifact old = put_as("ezra", "abc", 3), large = put_as("ezra", zeros, 600), new = put_as("ezra", zeros, 599),
	    other = put_as("laptop", "abc", 3), found;
	int told = 0;

	(void)state;
	make_old(&old, 7200);
	make_old(&other, 7200);
	make_old(&large, 60);
	assert_int_equal(artifact_prune(&conf, "ezra", clock_wall_ms(), true, nothing, &told, &e), 2);
	assert_int_equal(how_many(NULL), 4);
	assert_int_equal(artifact_prune(&conf, "ezra", clock_wall_ms(), false, nothing, &told, &e), 2);
	assert_int_equal(told, 4);
	assert_int_equal(how_many("ezra"), 1);
	assert_true(artifact_find(&conf, new.hash, 0, &found));
	assert_int_equal(how_many("laptop"), 1);
}

static void
a_draft_that_was_left_is_forgotten_after_a_day(void **state)
{
	struct timespec t[2] = { { .tv_sec = clock_wall_ms() / 1000 - 90000 } };
	int told = 0;

	(void)state;
	put_as("ezra", "abc", 3);
	t[1] = t[0];
	write_text(at("new/left"), "ab");
	write_text(at("new/young"), "ab");
	assert_int_equal(utimensat(AT_FDCWD, at("new/left"), t, 0), 0);
	assert_int_equal(artifact_prune(&conf, "ezra", clock_wall_ms(), false, nothing, &told, &e), 0);
	assert_int_equal(access(at("new/left"), F_OK), -1);
	assert_int_equal(access(at("new/young"), F_OK), 0);
}

static void
who_this_host_is_has_to_be_known(void **state)
{
	config_name self;

	(void)state;
	assert_int_equal(artifact_self(&conf, self, &e), 0);
	assert_string_equal(self, "ezra");
	write_text(at("self"), "bezalel\n");
	assert_int_equal(artifact_self(&conf, self, &e), -1);
	assert_non_null(strstr(e.msg, "houses.yaml has no device bezalel"));
	write_text(at("self"), "../ezra\n");
	assert_int_equal(artifact_self(&conf, self, &e), -1);
	unlink(at("self"));
	assert_int_equal(artifact_self(&conf, self, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "uni-wizard sync setup"));
}

static void
only_hashes_are_hashes(void **state)
{
	(void)state;
	assert_true(artifact_hash_ok(ABC, &e));
	assert_false(artifact_hash_ok(ABC "0", &e));
	assert_false(artifact_hash_ok("../../../etc/passwd", &e));
	assert_string_equal(e.field, "hash");
	assert_false(artifact_hash_ok("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &e));
}

static void
a_full_disk_is_left_alone(void **state)
{
	struct artifact_draft d;

	(void)state;
	conf.min_free_bytes = INT64_MAX;
	assert_int_equal(artifact_begin(&d, &conf, &e), -1);
	assert_int_equal(e.code, ERR_BUSY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_has_its_hash_for_a_name),
		TEST(each_writer_has_his_own),
		TEST(a_draft_is_seen_by_nobody),
		TEST(one_that_is_too_large_is_refused),
		TEST(what_somebody_changed_is_refused),
		TEST(links_and_other_names_are_passed_over),
		TEST(exports_are_replaced_only_when_they_differ),
		TEST(only_ones_own_are_pruned_the_oldest_first),
		TEST(a_draft_that_was_left_is_forgotten_after_a_day),
		TEST(who_this_host_is_has_to_be_known),
		TEST(only_hashes_are_hashes),
		TEST(a_full_disk_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
