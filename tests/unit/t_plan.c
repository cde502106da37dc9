#include "tooltest.h"

#include <sys/mount.h>

#include "diff.h"
#include "file.h"
#include "plan.h"
#include "place.h"
#include "spot.h"

static void
a_list_of_touches_is_sorted_and_has_each_once(void **state)
{
	struct plan p;
	struct buf b = { 0 };

	(void)state;
	plan_init(&p, true);
	assert_int_equal(plan_touch(&p, PLAN_URL, PLAN_WRITES, "https://x/", NULL, &fx.e), 0);
	assert_int_equal(plan_touch_ref(&p, PLAN_READS, "/srv/s#ite", "a#b", "11", &fx.e), 0);
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, "/b", "22", &fx.e), 0);
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, "/a", NULL, &fx.e), 0);
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, "/b", "22", &fx.e), 0);
	plan_sort(&p);
	assert_int_equal(p.n, 4);
	assert_int_equal(plan_find(&p, PLAN_REF, "/srv/s#ite#a#b")->base, strlen("/srv/s#ite"));
	plan_put(&b, &p);
	assert_string_equal(b.data, "{\"touches\":["
	    "{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/a\",\"sha256\":null},"
	    "{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/b\",\"sha256\":\"22\"},"
	    "{\"access\":\"read\",\"kind\":\"ref\",\"name\":\"/srv/s#ite#a#b\",\"sha256\":\"11\"},"
	    "{\"access\":\"write\",\"kind\":\"url\",\"name\":\"https://x/\",\"sha256\":null}],"
	    "\"target\":\"\",\"dry_run\":\"\"}");
	buf_free(&b);
	plan_release(&p);
}

/* As whoever reads the plan makes it: SHA-256 over the list as canonical JSON. */
static void
the_digest_is_that_of_the_canonical_list(void **state)
{
	static const char list[] = "[{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/\xc3\xa4\\\"\\\\\",\"sha256\":null}]";
	char hex[PLAN_DIGEST], expected[FILE_HASH_HEX];
	struct plan p;

	(void)state;
	plan_init(&p, false);
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, "/\xc3\xa4\"\\", NULL, &fx.e), 0);
	assert_int_equal(plan_digest(&p, hex, &fx.e), 0);
	file_hash_bytes(list, sizeof list - 1, expected);
	assert_string_equal(hex, expected);
	plan_release(&p);
}

static void
names_that_nobody_can_read_and_lists_without_end_are_refused(void **state)
{
	static const char *const bad[] = { "/a\n", "/\x1b[2J", "/\xff", "/\x7f" };
	char name[32];
	struct plan p;

	(void)state;
	plan_init(&p, false);
	for (size_t i = 0; i < 4; i++)
		fx_failed(plan_touch(&p, PLAN_PATH, PLAN_WRITES, bad[i], NULL, &fx.e), ERR_INVALID, NULL);
	for (int i = 0; i < PLAN_MAX; i++) {
		snprintf(name, sizeof name, "/%d", i);
		assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, name, NULL, &fx.e), 0);
	}
	fx_failed(plan_touch(&p, PLAN_PATH, PLAN_WRITES, "/x", NULL, &fx.e), ERR_TOO_BIG, NULL);
	plan_release(&p);
}

static void
a_dry_run_is_cut_between_characters_and_counted(void **state)
{
	struct plan p;
	size_t total = 0;

	(void)state;
	plan_init(&p, true);
	plan_show(&p, "x", 1);
	for (total = 1; total < PLAN_DRY_RUN_MAX + 100; total += 2)
		plan_show(&p, "\xc3\xa4", 2);
	assert_int_equal(p.dry_run.len, PLAN_DRY_RUN_MAX - 1);
	assert_int_equal(p.dry_run.len + p.left_out, total);
	plan_release(&p);
	plan_init(&p, false);
	plan_showf(&p, "%d", 1);
	assert_int_equal(p.dry_run.len + p.left_out, 0);
	plan_release(&p);
}

static int
add_line(void *arg, char mark, const char *text, size_t len)
{
	buf_addc(arg, mark);
	buf_add(arg, text, len);
	return 0;
}

static const char *
diff(const char *a, const char *b)
{
	static struct buf out;

	buf_clear(&out);
	diff_texts(a, strlen(a), b, strlen(b), add_line, &out);
	return buf_str(&out);
}

static void
a_diff_says_what_changed_with_a_little_around_it(void **state)
{
	(void)state;
	assert_string_equal(diff("a\nb\n", "a\nb\n"), "");
	assert_string_equal(diff("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
	assert_string_equal(diff("a\n", ""), "@@ -1,1 +0,0 @@\n-a\n");
	assert_string_equal(diff("a\nb\nc\n", "a\nx\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
	assert_string_equal(diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n"),
	    "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
	assert_string_equal(diff("a", "b"),
	    "@@ -1,1 +1,1 @@\n-a\n\\ no line end at the end of the file\n+b\n\\ no line end at the end of the file\n");
}

static const char *
next_line(const char *p)
{
	return p + strcspn(p, "\n") + 1;
}

/* What patch(1) would make of a, for texts whose lines all end. */
static void
apply(const char *a, const char *d, struct buf *out)
{
	unsigned long from, count, line = 1;

	while (*d) {
		assert_int_equal(sscanf(d, "@@ -%lu,%lu", &from, &count), 2);
		for (from += count == 0; line < from; line++, a = next_line(a))
			buf_add(out, a, (size_t)(next_line(a) - a));
		for (d = next_line(d); *d && *d != '@'; d = next_line(d)) {
			size_t n = (size_t)(next_line(d) - d);

			if (*d != '+') {
				assert_memory_equal(a, d + 1, n - 1);
				a = next_line(a);
				line++;
			}
			if (*d != '-')
				buf_add(out, d + 1, n - 1);
		}
	}
	buf_adds(out, a);
}

static void
a_diff_makes_the_new_text_from_the_old_one(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct buf a = { 0 }, b = { 0 }, made = { 0 };

		for (int i = rand_r(&seed) % 60; i > 0; i--) {
			int what = rand_r(&seed) % 8, line = rand_r(&seed) % 3;

			if (what != 0)
				buf_addf(&a, "%d\n", line);
			if (what != 1)
				buf_addf(&b, "%d\n", what == 2 ? 9 : line);
		}
		apply(buf_str(&a), diff(buf_str(&a), buf_str(&b)), &made);
		assert_string_equal(buf_str(&made), buf_str(&b));
		buf_free(&a);
		buf_free(&b);
		buf_free(&made);
	}
}

static void
texts_too_large_to_compare_are_shown_as_a_whole(void **state)
{
	struct buf a = { 0 }, b = { 0 };
	const char *d;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		buf_addf(&a, "%d\n", i);
		buf_addf(&b, "%d\n", 4000 + i);
	}
	d = diff(a.data, b.data);
	for (const char *p = d; *p; p += strcspn(p, "\n") + 1)
		n++;
	assert_int_equal(n, 8001);
	buf_free(&a);
	buf_free(&b);
}

static void
assert_resolves(const char *path, const char *expected)
{
	char *got = spot_resolve(path);

	assert_string_equal(got, expected);
	free(got);
}

static void
a_path_is_resolved_whatever_of_it_exists(void **state)
{
	(void)state;
	assert_int_equal(mkdir(fx_path("root/d"), 0755), 0);
	assert_int_equal(symlink("d", fx_path("root/l")), 0);
	assert_int_equal(symlink(fx_path("root/missing/x"), fx_path("root/dangling")), 0);
	assert_int_equal(symlink("loop", fx_path("root/loop")), 0);
	assert_resolves("/", "/");
	assert_resolves("//..//.", "/");
	assert_resolves(fx_path("root/l/../l/./f"), fx_path("root/d/f"));
	assert_resolves(fx_path("root/dangling/y"), fx_path("root/missing/x/y"));
	assert_resolves(fx_path("root/none/../d"), fx_path("root/d"));
	assert_null(spot_resolve(fx_path("root/loop")));
	assert_null(spot_resolve("relative"));
	assert_null(spot_resolve(""));
}

static bool
overlap(const char *a, const char *b)
{
	struct spot x, y;
	struct buf mounts = { 0 };
	bool yes;

	spot_mounts(&mounts);
	assert_int_equal(spot_find(&x, a, &mounts) | spot_find(&y, b, &mounts), 0);
	yes = spot_overlap(&x, &y);
	assert_int_equal(yes, spot_overlap(&y, &x));
	spot_release(&x);
	spot_release(&y);
	buf_free(&mounts);
	return yes;
}

static void
spots_overlap_when_one_lies_in_the_other(void **state)
{
	(void)state;
	fx_put("root/f", "");
	assert_true(overlap(fx_path("root"), fx_path("root")));
	assert_true(overlap(fx_path("root"), fx_path("root/none/yet")));
	assert_true(overlap("/", fx_path("root")));
	assert_false(overlap(fx_path("root"), fx_path("root2")));
	assert_false(overlap(fx_path("root"), fx_path("ro")));
	assert_false(overlap(fx_path("root/none"), fx_path("root/none2")));
	assert_int_equal(link(fx_path("root/f"), fx_path("root/hard")), 0);
	assert_true(overlap(fx_path("root/f"), fx_path("root/hard")));
}

/* The same directory, or a part of it, mounted at a second place. */
static void
a_bind_mount_is_no_detour(void **state)
{
	(void)state;
	EXEC("mkdir", "-p", fx_path("root/www/sub"), fx_path("root/whole"), fx_path("root/part"));
	if (mount(fx_path("root/www"), fx_path("root/whole"), NULL, MS_BIND, NULL))
		skip();
	assert_int_equal(mount(fx_path("root/www/sub"), fx_path("root/part"), NULL, MS_BIND, NULL), 0);
	assert_true(overlap(fx_path("root/www"), fx_path("root/whole/f")));
	assert_true(overlap(fx_path("root/www"), fx_path("root/part/f/g")));
	assert_true(overlap(fx_path("root/part"), fx_path("root/whole")));
	assert_false(overlap(fx_path("root/part"), fx_path("root/whole/other")));
	umount(fx_path("root/part"));
	umount(fx_path("root/whole"));
}

static void
an_address_has_one_spelling(void **state)
{
	static const char *const urls[][2] = {
		{ "https://X.example/a/../b/./c//d?q=1#f", "https://x.example/b/c/d" },
		{ "HTTPS://user:pw@x:0443", "https://x/" },
		{ "http://x.:8080/%61%2fb%2e%2e/../c", "http://x:8080/a/c" },
		{ "https://x/%2e%2e/%2E%2e/a", "https://x/a" },
		{ "https://x\\y/../z", "https://x/z" },
		{ "https://[::1]:443/a", "https://[::1]/a" },
		{ "git@host:org/site.git", "ssh://host/org/site.git" },
		{ "ssh://git@host:22/org/site.git", "ssh://host/org/site.git" },
		{ "https://x/a%00b%3F%5C", "https://x/a%00b%3f" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		char *got = place_url(urls[i][0]);

		assert_string_equal(got, urls[i][1]);
		free(got);
	}
	assert_null(place_url("no address"));
	assert_null(place_url("https://"));
	assert_null(place_url("https://:80/"));
	assert_null(place_url("https://a b/"));
	assert_null(place_url("://x/"));
	assert_null(place_url(""));
}

static bool
covers(const char *place, enum plan_kind kind, const char *name, size_t base)
{
	const struct touch *found;
	const char *which;
	struct plan p;

	plan_init(&p, false);
	assert_int_equal(plan_touch(&p, kind, PLAN_WRITES, name, NULL, &fx.e), 0);
	p.v[0].base = base ? base : p.v[0].base;
	assert_int_equal(place_find(&place, 1, &p, &found, &which, &fx.e), 0);
	plan_release(&p);
	return found != NULL;
}

static void
a_place_covers_what_belongs_to_it(void **state)
{
	char place[PATH_MAX];

	(void)state;
	assert_int_equal(mkdir(fx_path("root/site"), 0755), 0);
	assert_int_equal(symlink("site", fx_path("root/link")), 0);
	snprintf(place, sizeof place, "repo:%s", fx_path("root/link"));
	assert_true(covers(place, PLAN_PATH, fx_path("root/site/x"), 0));
	assert_true(covers(place, PLAN_REF, fx_path("root/site#main"), strlen(fx_path("root/site"))));
	assert_true(covers(place, PLAN_REPO, fx_path("root"), 0));
	assert_false(covers(place, PLAN_PATH, fx_path("root/sites"), 0));
	assert_false(covers(place, PLAN_URL, "https://x/", 0));
	assert_int_equal(mkdir(fx_path("root/links"), 0755), 0);
	assert_int_equal(symlink("../link", fx_path("root/links/current")), 0);
	assert_false(covers(place, PLAN_REPO, fx_path("root/links"), 0));
	snprintf(place, sizeof place, "path:%s", fx_path("root/links/current/x"));
	assert_true(covers(place, PLAN_REPO, fx_path("root/links"), 0));
	assert_true(covers(place, PLAN_PATH, fx_path("root/link"), 0));
	assert_true(covers(place, PLAN_PATH, fx_path("root/site/x/y"), 0));
	assert_false(covers(place, PLAN_PATH, fx_path("root/site/y"), 0));
	assert_false(covers(place, PLAN_PATH, fx_path("root/links/other"), 0));
	snprintf(place, sizeof place, "repo:%s", fx_path("root/link"));
	assert_false(covers(place, PLAN_SERVICE, fx_path("root/site"), 0));
	assert_true(covers("url:https://x/api/", PLAN_URL, "https://x/api/v1", 0));
	assert_true(covers("url:https://x/api", PLAN_URL, "http://x/api", 0));
	assert_true(covers("url:https://x/", PLAN_URL, PLACE_ANY_URL, 0));
	assert_true(covers("url:https://x/site", PLAN_REF, "ssh://x/site.git#main", strlen("ssh://x/site.git")));
	assert_false(covers("url:https://x/api", PLAN_URL, "https://x/apis", 0));
	assert_false(covers("url:https://x/", PLAN_URL, "https://xy/", 0));
	assert_false(covers("url:https://x/", PLAN_URL, "https://x:8443/", 0));
#ifndef __APPLE__
	assert_true(covers("service:nginx", PLAN_SERVICE, "nginx.service", 0));
	assert_true(covers("service:backup.timer", PLAN_SERVICE, "backup.timer", 0));
	assert_false(covers("service:nginx", PLAN_SERVICE, "nginx.timer", 0));
#endif
	assert_false(covers("service:nginx", PLAN_PATH, "/nginx", 0));
}

static void
what_is_no_place_stops_everything(void **state)
{
	static const char *const bad[] = {
		"", "path", "path:", "path:relative", "ref:/srv/site#main", "nothing:/srv", "url:x", ":/srv",
		"pathologically_long_kind:/srv",
	};
	const struct touch *found;
	const char *which;
	struct plan p;

	(void)state;
	plan_init(&p, false);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		fx_failed(place_find(&bad[i], 1, &p, &found, &which, &fx.e), ERR_DENIED, NULL);
	plan_release(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_list_of_touches_is_sorted_and_has_each_once),
		T(the_digest_is_that_of_the_canonical_list),
		T(names_that_nobody_can_read_and_lists_without_end_are_refused),
		T(a_dry_run_is_cut_between_characters_and_counted),
		T(a_diff_says_what_changed_with_a_little_around_it),
		T(a_diff_makes_the_new_text_from_the_old_one),
		T(texts_too_large_to_compare_are_shown_as_a_whole),
		T(a_path_is_resolved_whatever_of_it_exists),
		T(spots_overlap_when_one_lies_in_the_other),
		T(a_bind_mount_is_no_detour),
		T(an_address_has_one_spelling),
		T(a_place_covers_what_belongs_to_it),
		T(what_is_no_place_stops_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
