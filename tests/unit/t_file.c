#include "tooltest.h"

#include <sys/resource.h>
#include <signal.h>
#include <pthread.h>

#include "base64.h"
#include "file.h"

static void
reading_gives_text_with_its_hash(void **state)
{
	(void)state;
	fx_put("root/a.txt", "hello\n\"world\"\x01");
	fx_ok(fx_run("file_read", "{'path':'%s'}", fx_path("root/a.txt")));
	assert_string_equal(fx_str("content"), "hello\n\"world\"\x01");
	assert_string_equal(fx_str("encoding"), "utf-8");
	assert_int_equal(fx_int("size"), 14);
	assert_false(fx_true("truncated"));
	assert_int_equal(strlen(fx_str("sha256")), 64);
}

static void
relative_paths_begin_at_the_first_root(void **state)
{
	(void)state;
	fx_put("root/a.txt", "x");
	fx_ok(fx_run("file_read", "{'path':'a.txt'}"));
	fx_failed(fx_run("file_read", "{'path':'../outside/a.txt'}"), ERR_PATH, "params.path");
}

static void
reading_cuts_at_the_limit_and_goes_on_where_it_cut(void **state)
{
	char whole[4096] = "", got[4096] = "";
	int64_t offset = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		snprintf(whole + strlen(whole), 16, "%d \xc3\xa4\xe2\x82\xac\n", i);
	fx_put("root/a.txt", whole);
	for (int turns = 0; turns < 1000; turns++) {
		fx_ok(fx_run("file_read", "{'path':'a.txt','max_bytes':77,'offset':%d}", (int)offset));
		assert_string_equal(fx_str("encoding"), "utf-8");
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s", fx_str("content"));
		if (!fx_true("truncated"))
			break;
		offset = fx_int("next_offset");
	}
	assert_string_equal(got, whole);
}

static void
a_result_stays_within_its_limit_however_much_escaping_it_needs(void **state)
{
	static char ones[65000];

	(void)state;
	memset(ones, 1, sizeof ones - 1);
	fx_put("root/a", ones);
	fx.max_output = 4000;
	fx_ok(fx_run("file_read", "{'path':'a'}"));
	assert_true(fx_true("truncated"));
	assert_true(fx_int("bytes") > 100);
	assert_int_equal(fx_int("next_offset"), fx_int("bytes"));
}

static void
binary_content_comes_as_base64_and_goes_back_the_same(void **state)
{
	const char *hash;
	char content[64], want[65];
	int fd;

	(void)state;
	fd = open(fx_path("root/bin"), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "\x00\xff\xfe\x01z", 5), 5);
	close(fd);
	fx_ok(fx_run("file_read", "{'path':'bin'}"));
	assert_string_equal(fx_str("encoding"), "base64");
	snprintf(content, sizeof content, "%s", fx_str("content"));
	snprintf(want, sizeof want, "%s", fx_str("sha256"));
	fx_ok(fx_run("file_write", "{'path':'copy','content':'%s','encoding':'base64'}", content));
	fx_ok(fx_run("file_hash", "{'path':'copy'}"));
	hash = fx_str("hash");
	assert_string_equal(hash, want);
	fx_failed(fx_run("file_read", "{'path':'bin','encoding':'utf-8'}"), ERR_INVALID, "params.encoding");
}

static void
base64_is_taken_only_as_it_must_be(void **state)
{
	static const char *const wrong[] = { "A", "AB", "ABC", "AB=C", "A===", "AB C", "AB\\n=", "====" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		fx_failed(fx_run("file_write", "{'path':'x','content':'%s','encoding':'base64'}", wrong[i]),
		    ERR_INVALID, "params.content");
	assert_int_equal(access(fx_path("root/x"), F_OK), -1);
	for (size_t n = 0; n < 70; n++) {
		struct buf text = { 0 }, back = { 0 };
		unsigned char bytes[70];

		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(i * 37 + n);
		base64_put(&text, bytes, n);
		assert_int_equal(base64_decode(&back, buf_str(&text), text.len, &fx.e), 0);
		assert_int_equal(back.len, n);
		assert_memory_equal(buf_str(&back), bytes, n);
		buf_free(&text);
		buf_free(&back);
	}
}

static void
no_way_leads_out_of_the_roots(void **state)
{
	static const char *const ways[] = {
		"root/../outside/s", "outside/s", "root/link/s", "root/abs", "root/rel",
		"root/proc/root/etc/passwd",
		"root/./../outside/s", "root//..//outside/s", "rootx", "root/up/outside/s",
	};

	(void)state;
	fx_put("outside/s", "secret");
	fx_put("rootx", "secret");
	assert_int_equal(symlink("../outside", fx_path("root/link")), 0);
	assert_int_equal(symlink(fx_path("outside/s"), fx_path("root/abs")), 0);
	assert_int_equal(symlink("../outside/s", fx_path("root/rel")), 0);
	assert_int_equal(symlink("/proc/self", fx_path("root/proc")), 0);
	assert_int_equal(symlink("..", fx_path("root/up")), 0);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		fx_failed(fx_run("file_read", "{'path':'%s'}", fx_path("%s", ways[i])), ERR_PATH,
		    "params.path");
		fx_failed(fx_run("file_hash", "{'path':'%s'}", fx_path("%s", ways[i])), ERR_PATH,
		    "params.path");
		fx_failed(fx_run("file_write", "{'path':'%s','content':'x'}", fx_path("%s", ways[i])),
		    ERR_PATH, NULL);
	}
	fx_failed(fx_run("file_list", "{'path':'%s'}", fx_path("root/link")), ERR_PATH, "params.path");
	fx_failed(fx_run("file_search", "{'path':'%s','text':'e'}", fx_path("root/up")), ERR_PATH,
	    "params.path");
	fx_failed(fx_run("file_read", "{'path':'/proc/self/root/etc/passwd'}"), ERR_PATH, "params.path");
	fx_failed(fx_run("file_write", "{'path':'%s','content':'x'}", fx_path("outside/new")), ERR_PATH,
	    NULL);
	assert_string_equal(fx_get("outside/s"), "secret");
}

static void
links_that_stay_beneath_the_root_are_followed_for_reading(void **state)
{
	(void)state;
	fx_put("root/a", "text");
	assert_int_equal(mkdir(fx_path("root/d"), 0755), 0);
	assert_int_equal(symlink("../a", fx_path("root/d/l")), 0);
	fx_ok(fx_run("file_read", "{'path':'d/l'}"));
	assert_string_equal(fx_str("content"), "text");
	fx_failed(fx_run("file_write", "{'path':'d/l','content':'x'}"), ERR_PATH, "params.path");
	assert_string_equal(fx_get("root/a"), "text");
}

static volatile bool swapping;

/* Turns root/x from a directory into a link to outside and back as fast as it can. */
static void *
swap(void *arg)
{
	char *dir = ((char **)arg)[0], *link = ((char **)arg)[1], *x = ((char **)arg)[2];

	while (swapping) {
		rename(x, dir);
		rename(link, x);
		rename(x, link);
		rename(dir, x);
	}
	return NULL;
}

static void
a_rename_under_our_feet_does_not_lead_outside(void **state)
{
	char *names[] = { strdup(fx_path("root/real")), strdup(fx_path("root/link")),
	    strdup(fx_path("root/x")) };
	int64_t until_ms = clock_mono_ms() + 700;
	int good = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(mkdir(names[2], 0755), 0);
	fx_put("root/x/s", "public");
	fx_put("outside/s", "secret");
	assert_int_equal(symlink(fx_path("outside"), names[1]), 0);
	swapping = true;
	assert_int_equal(pthread_create(&thread, NULL, swap, names), 0);
	while (clock_mono_ms() < until_ms) {
		if (fx_run("file_read", "{'path':'x/s'}") == 0) {
			assert_string_equal(fx_str("content"), "public");
			good++;
		}
		fx_run("file_write", "{'path':'x/w','content':'x'}");
	}
	swapping = false;
	pthread_join(thread, NULL);
	assert_true(good > 0);
	assert_int_equal(access(fx_path("outside/w"), F_OK), -1);
	for (int i = 0; i < 3; i++)
		free(names[i]);
}

static void
a_read_root_is_read_but_not_written(void **state)
{
	(void)state;
	fx_put("ro/a", "x");
	fx_ok(fx_run("file_read", "{'path':'%s'}", fx_path("ro/a")));
	fx_failed(fx_run("file_write", "{'path':'%s','content':'y'}", fx_path("ro/a")), ERR_PATH,
	    "params.path");
	assert_string_equal(fx_get("ro/a"), "x");
}

static void
what_is_not_a_regular_file_is_refused_without_waiting(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(fx_path("root/fifo"), 0600), 0);
	fx_failed(fx_run("file_read", "{'path':'fifo'}"), ERR_INVALID, "params.path");
	fx_failed(fx_run("file_hash", "{'path':'fifo'}"), ERR_INVALID, "params.path");
	fx_failed(fx_run("file_write", "{'path':'fifo','content':''}"), ERR_INVALID, "params.path");
	fx_failed(fx_run("file_read", "{'path':'.'}"), ERR_INVALID, "params.path");
	fx_failed(fx_run("file_read", "{'path':'none'}"), ERR_NOT_FOUND, "params.path");
	fx_failed(fx_run("file_write", "{'path':'no/dir','content':''}"), ERR_NOT_FOUND, "params.path");
	fx_failed(fx_run("file_write", "{'path':'.','content':''}"), ERR_PATH, "params.path");
	fx_failed(fx_run("file_list", "{'path':'none'}"), ERR_NOT_FOUND, "params.path");
}

static void
writing_keeps_the_mode_and_says_what_it_replaced(void **state)
{
	struct stat st;

	(void)state;
	fx_put("root/a", "old");
	assert_int_equal(chmod(fx_path("root/a"), 0751), 0);
	fx_ok(fx_run("file_write", "{'path':'a','content':'new'}"));
	assert_string_equal(fx_get("root/a"), "new");
	assert_int_equal(stat(fx_path("root/a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(strlen(fx_str("previous_sha256")), 64);
	assert_false(fx_true("created"));
	fx_ok(fx_run("file_write", "{'path':'b','content':'','mode':'0600'}"));
	assert_true(fx_true("created"));
	assert_int_equal(stat(fx_path("root/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
an_expected_hash_must_match_what_is_there(void **state)
{
	char hash[65];

	(void)state;
	fx_put("root/a", "one");
	fx_ok(fx_run("file_read", "{'path':'a'}"));
	snprintf(hash, sizeof hash, "%s", fx_str("sha256"));
	fx_put("root/a", "two");
	fx_failed(fx_run("file_write", "{'path':'a','content':'x','expected_sha256':'%s'}", hash),
	    ERR_CONFLICT, "params.expected_sha256");
	fx_failed(fx_run("file_write", "{'path':'a','content':'x','expected_sha256':'absent'}"), ERR_CONFLICT,
	    NULL);
	fx_failed(fx_run("file_write", "{'path':'n','content':'x','expected_sha256':'%s'}", hash),
	    ERR_CONFLICT, NULL);
	assert_string_equal(fx_get("root/a"), "two");
	fx_put("root/a", "one");
	fx_ok(fx_run("file_write", "{'path':'a','content':'x','expected_sha256':'%s'}", hash));
	assert_string_equal(fx_get("root/a"), "x");
	fx_ok(fx_run("file_write", "{'path':'n','content':'x','expected_sha256':'absent'}"));
}

static void
a_second_run_of_the_same_write_succeeds_and_changes_nothing(void **state)
{
	char hash[65];

	(void)state;
	fx_put("root/a", "one");
	fx_ok(fx_run("file_hash", "{'path':'a'}"));
	snprintf(hash, sizeof hash, "%s", fx_str("hash"));
	for (int i = 0; i < 2; i++) {
		fx_ok(fx_run("file_write", "{'path':'a','content':'x','expected_sha256':'%s'}", hash));
		assert_int_equal(fx_true("changed"), i == 0);
	}
}

static int
files_in(const char *dir)
{
	fx_ok(fx_run("file_list", "{'path':'%s'}", dir));
	return (int)fx_int("total");
}

static void
a_disk_that_is_full_leaves_the_old_file_and_no_other(void **state)
{
	struct rlimit old, small;
	static char big[8001];
	int rc;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	fx_put("root/a", "old");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ 1000, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);
	rc = fx_run("file_write", "{'path':'a','content':'%s'}", big);
	setrlimit(RLIMIT_FSIZE, &old);
	fx_failed(rc, ERR_IO, NULL);
	assert_string_equal(fx_get("root/a"), "old");
	assert_int_equal(files_in("."), 1);
}

/* A reader sees one of the two contents whole, and a writer killed at any moment leaves one of them. */
static void
a_writer_killed_at_any_moment_leaves_a_whole_file(void **state)
{
	static char a[6001], b[6001];

	(void)state;
	memset(a, 'a', sizeof a - 1);
	memset(b, 'b', sizeof b - 1);
	fx_put("root/f", a);
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();
		const char *got;

		if (pid == 0) {
			for (;;) {
				fx_run("file_write", "{'path':'f','content':'%s'}", a);
				fx_run("file_write", "{'path':'f','content':'%s'}", b);
			}
		}
		for (int64_t until_us = clock_mono_us() + 500 + i * 331; clock_mono_us() < until_us;)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		got = fx_get("root/f");
		assert_true(strcmp(got, a) == 0 || strcmp(got, b) == 0);
	}
	fx_ok(fx_run("file_write", "{'path':'f','content':'end'}"));
	assert_int_equal(files_in("."), 1);
}

static void
writers_of_the_same_file_do_not_lose_each_others_work(void **state)
{
	pid_t pids[4];

	(void)state;
	fx_put("root/n", "0");
	for (int k = 0; k < 4; k++) {
		if ((pids[k] = fork()) != 0)
			continue;
		for (int done = 0; done < 25;) {
			char hash[65];
			int n;

			if (fx_run("file_read", "{'path':'n'}"))
				_exit(1);
			n = (int)strtol(fx_str("content"), NULL, 10);
			snprintf(hash, sizeof hash, "%s", fx_str("sha256"));
			if (fx_run("file_write", "{'path':'n','content':'%d','expected_sha256':'%s'}", n + 1,
			    hash) == 0)
				done += fx_true("changed");     /* not: somebody else wrote the same */
			else if (fx.e.code != ERR_CONFLICT && fx.e.code != ERR_BUSY)
				_exit(2);
		}
		_exit(0);
	}
	for (int k = 0; k < 4; k++) {
		int status;

		waitpid(pids[k], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_string_equal(fx_get("root/n"), "100");
}

static void
make_tree(void)
{
	char name[64];

	assert_int_equal(mkdir(fx_path("root/d"), 0755), 0);
	assert_int_equal(mkdir(fx_path("root/d/e"), 0755), 0);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof name, "root/d/f%02d.txt", i);
		fx_put(name, "first line\nneedle in line two\r\nthird NEEDLE\n");
	}
	fx_put("root/d/e/deep.log", "needle");
	fx_put("root/d/.hidden", "needle");
	assert_int_equal(symlink("../../outside", fx_path("root/d/out")), 0);
	fx_put("outside/needle.txt", "needle");
}

static void
a_list_is_sorted_counted_and_cut(void **state)
{
	(void)state;
	make_tree();
	fx_ok(fx_run("file_list", "{'path':'d','max_entries':5}"));
	assert_int_equal(fx_int("listed"), 5);
	assert_int_equal(fx_int("total"), 33);
	assert_true(fx_true("truncated"));
	assert_string_equal(fx_str("entries.0.name"), ".hidden");
	assert_string_equal(fx_str("entries.1.type"), "dir");
	fx_ok(fx_run("file_list", "{'path':'d','depth':9,'match':'*.log'}"));
	assert_int_equal(fx_int("total"), 1);
	assert_string_equal(fx_str("entries.0.name"), "e/deep.log");
	fx_ok(fx_run("file_list", "{'path':'d','depth':9,'match':'out*'}"));
	assert_string_equal(fx_str("entries.0.type"), "link");
	assert_string_equal(fx_str("entries.0.target"), "../../outside");
	assert_int_equal(fx_int("total"), 1);
	fx.max_output = 2000;
	fx_ok(fx_run("file_list", "{'path':'d'}"));
	assert_true(fx_true("truncated"));
	assert_int_equal(fx_int("total"), 33);
	assert_true(fx_int("listed") > 3);
}

static void
a_search_finds_lines_and_says_why_it_stopped(void **state)
{
	(void)state;
	make_tree();
	fx_ok(fx_run("file_search", "{'path':'.','text':'needle'}"));
	assert_int_equal(fx_int("found"), 31);
	assert_false(fx_true("truncated"));
	assert_string_equal(fx_str("matches.0.file"), "d/e/deep.log");
	assert_string_equal(fx_str("matches.1.text"), "needle in line two");
	assert_int_equal(fx_int("matches.1.line"), 2);
	fx_ok(fx_run("file_search", "{'path':'.','text':'NEEDLE','ignore_case':true,'hidden':true}"));
	assert_int_equal(fx_int("found"), 62);
	fx_ok(fx_run("file_search", "{'path':'d','pattern':'^third +[A-Z]+$'}"));
	assert_int_equal(fx_int("found"), 30);
	fx_ok(fx_run("file_search", "{'path':'d','text':'needle','max_matches':3}"));
	assert_int_equal(fx_int("found"), 3);
	assert_string_equal(fx_str("stopped_by"), "matches");
	fx_ok(fx_run("file_search", "{'path':'d','text':'needle','max_files':3}"));
	assert_string_equal(fx_str("stopped_by"), "files");
	fx_ok(fx_run("file_search", "{'path':'d','text':'nothing','max_bytes':100}"));
	assert_string_equal(fx_str("stopped_by"), "bytes");
	fx_ok(fx_run("file_search", "{'path':'d/e/deep.log','text':'eed'}"));
	assert_int_equal(fx_int("matches.0.column"), 2);
	fx.max_output = 2000;
	fx_ok(fx_run("file_search", "{'path':'d','text':'needle'}"));
	assert_string_equal(fx_str("stopped_by"), "output");
	fx_failed(fx_run("file_search", "{'path':'d'}"), ERR_MISSING, "params.text");
	fx_failed(fx_run("file_search", "{'path':'d','text':'a','pattern':'b'}"), ERR_INVALID,
	    "params.pattern");
	fx_failed(fx_run("file_search", "{'path':'d','pattern':'('}"), ERR_INVALID, "params.pattern");
	fx_failed(fx_run("file_search", "{'path':'d','pattern':'(a*)\\\\1'}"), ERR_INVALID, "params.pattern");
	fx_failed(fx_run("file_search", "{'path':'d','pattern':'((a{1,255}){1,255}){1,255}'}"), ERR_INVALID,
	    "params.pattern");
}

static void
a_line_longer_than_any_buffer_is_searched_too(void **state)
{
	FILE *f;

	(void)state;
	f = fopen(fx_path("root/long"), "w");
	for (int i = 0; i < 300000; i++)
		fputs("xy", f);
	fputs("needle", f);
	for (int i = 0; i < 300000; i++)
		fputs("yz", f);
	fclose(f);
	fx_ok(fx_run("file_search", "{'path':'long','text':'needle'}"));
	assert_int_equal(fx_int("found"), 1);
	assert_true(fx_true("matches.0.cut"));
	assert_non_null(strstr(fx_str("matches.0.text"), "needle"));
}

static void
hashes_agree_with_the_systems_own(void **state)
{
	(void)state;
	fx_put("root/a", "abc");
	fx_ok(fx_run("file_hash", "{'path':'a'}"));
	assert_string_equal(fx_str("hash"),
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	fx_ok(fx_run("file_hash", "{'path':'a','algorithm':'sha1'}"));
	assert_string_equal(fx_str("hash"), "a9993e364706816aba3e25717850c26c9cd0d89d");
	fx_failed(fx_run("file_hash", "{'path':'a','algorithm':'md5'}"), ERR_INVALID, "params.algorithm");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(reading_gives_text_with_its_hash),
		T(relative_paths_begin_at_the_first_root),
		T(reading_cuts_at_the_limit_and_goes_on_where_it_cut),
		T(a_result_stays_within_its_limit_however_much_escaping_it_needs),
		T(binary_content_comes_as_base64_and_goes_back_the_same),
		T(base64_is_taken_only_as_it_must_be),
		T(no_way_leads_out_of_the_roots),
		T(links_that_stay_beneath_the_root_are_followed_for_reading),
		T(a_rename_under_our_feet_does_not_lead_outside),
		T(a_read_root_is_read_but_not_written),
		T(what_is_not_a_regular_file_is_refused_without_waiting),
		T(writing_keeps_the_mode_and_says_what_it_replaced),
		T(an_expected_hash_must_match_what_is_there),
		T(a_second_run_of_the_same_write_succeeds_and_changes_nothing),
		T(a_disk_that_is_full_leaves_the_old_file_and_no_other),
		T(a_writer_killed_at_any_moment_leaves_a_whole_file),
		T(writers_of_the_same_file_do_not_lose_each_others_work),
		T(a_list_is_sorted_counted_and_cut),
		T(a_search_finds_lines_and_says_why_it_stopped),
		T(a_line_longer_than_any_buffer_is_searched_too),
		T(hashes_agree_with_the_systems_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
