/*
 * Terms, with the tool that writes files: what they forbid does not happen.
 */
#include "tooltest.h"

#include <signal.h>

#include "file.h"

/* The digest that `touches` has in terms, and the dry run, of the plan that was made last. */
static char touches[FILE_HASH_HEX];

static void
plan(const char *tool, const char *params)
{
	struct buf b = { 0 };

	fx.plan = true;
	fx_ok(fx_run(tool, "%s", params));
	fx.plan = false;
	json_put_tree(&b, fx_at("touches"));
	file_hash_bytes(b.data, b.len, touches);
	buf_free(&b);
}

static int
write_under(const char *terms, ...)
{
	static char text[4096];
	va_list ap;
	int rc;

	va_start(ap, terms);
	vsnprintf(text, sizeof text, terms, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	fx.terms = text;
	rc = fx_run("file_write", "{'path':'%s','content':'new'}", fx_path("root/f"));
	fx.terms = NULL;
	return rc;
}

static void
assert_untouched(void)
{
	assert_string_equal(fx_get("root/f"), "old");
}

static int
setup(void **state)
{
	fx_setup(state);
	fx_put("root/f", "old");
	return 0;
}

static void
terms_that_are_not_well_formed_let_nothing_run(void **state)
{
	static const char *const bad[] = {
		"", "[]", "null", "{", "{'production':['path:/x']", "{'production':'path:/x'}",
		"{'production':[1]}", "{'production':null}", "{'production':{}}", "{'approved':1}", "{'approved':'yes'}",
		"{'approved':null}", "{'touches':''}", "{'touches':null}", "{'touches':'xyz'}", "{'touches':['a']}", "{'tool':1}", "{'tool':'ff'}",
		"{'reads':{}}", "{'reads':[1]}", "{'reads':[{'kind':'path','name':'/x'}]}",
		"{'reads':[{'kind':'what','name':'/x','sha256':null}]}",
		"{'reads':[{'kind':'path','name':'','sha256':null}]}",
		"{'reads':[{'kind':'path','name':'/x','sha256':'short'}]}", "{'proof':'no'}", "{'proof':null}",
		"{'unknown':true}", "{'Approved':true}", "{'approved':true,'approved':false}", "{} {}",
		"{'production':['nonsense']}", "{'production':['path:f']}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (write_under("%s", bad[i]) == 0)
			fail_msg("it ran under %s", bad[i]);
		if (fx.e.code != ERR_DENIED)
			fail_msg("%s: %s", bad[i], fx.e.msg);
		assert_untouched();
	}
	fx_ok(write_under("{}"));
}

static void
a_place_in_production_needs_approval(void **state)
{
	(void)state;
	fx_failed(write_under("{'production':['path:%s']}", fx_path("root")), ERR_APPROVAL, NULL);
	assert_non_null(strstr(fx.e.msg, fx_path("root/f")));
	fx_failed(write_under("{'production':['path:/none','path:%s'],'approved':false}", fx_path("root/f")),
	    ERR_APPROVAL, NULL);
	fx_failed(write_under("{'production':['repo:%s']}", fx_path("root/f/beneath")), ERR_APPROVAL, NULL);
	assert_untouched();
	fx_ok(write_under("{'production':['path:%s','url:https://x/','service:f']}", fx_path("root/g")));
	fx_put("root/f", "old");
	fx_ok(write_under("{'production':['path:%s'],'approved':true}", fx_path("root")));
}

/* Every way that leads to the same file. */
static void
no_detour_leads_to_a_place_in_production(void **state)
{
	static const char *const ways[] = {
		"www/f", "link/f", "chain/f", "www/../www/f", "./www//f", "deep/up/www/f", "link/sub/../f",
	};

	(void)state;
	EXEC("mkdir", "-p", fx_path("root/www/sub"), fx_path("root/deep"));
	fx_put("root/www/f", "old");
	assert_int_equal(symlink("www", fx_path("root/link")), 0);
	assert_int_equal(symlink("deep/../link", fx_path("root/chain")), 0);
	assert_int_equal(symlink("..", fx_path("root/deep/up")), 0);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		for (int real = 0; real < 2; real++) {
			char terms[PATH_MAX + 64];

			snprintf(terms, sizeof terms, "{\"production\":[\"path:%s\"]}",
			    fx_path(real ? "root/www" : "root/chain"));
			fx.terms = terms;
			if (fx_run("file_write", "{'path':'%s','content':'new'}", ways[i]) == 0)
				fail_msg("written by way of %s", ways[i]);
			fx_failed(-1, fx.e.code == ERR_PATH ? ERR_PATH : ERR_APPROVAL, NULL);
			assert_string_equal(fx_get("root/www/f"), "old");
		}
	}
}

/* Only the name is changed by a write, not what other names of the file have. */
static void
a_second_name_of_a_file_in_production_is_no_way_to_it(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(fx_path("root/www"), 0755), 0);
	fx_put("root/www/f", "new");
	assert_int_equal(chmod(fx_path("root/www/f"), 0600), 0);
	assert_int_equal(link(fx_path("root/www/f"), fx_path("root/hard")), 0);
	fx_ok(fx_run("file_write", "{'path':'hard','content':'new','mode':'0777'}"));
	assert_int_equal(stat(fx_path("root/www/f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(fx_path("root/hard"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0777);
	fx_put("root/www/f", "old");
	fx_ok(fx_run("file_write", "{'path':'hard','content':'newer'}"));
	assert_string_equal(fx_get("root/www/f"), "old");
}

static void
what_changed_since_it_was_approved_is_refused(void **state)
{
	(void)state;
	plan("file_write", "{'path':'f','content':'new'}");
	fx_put("root/f", "other");
	fx_failed(write_under("{'approved':true,'touches':'%s'}", touches), ERR_DENIED, NULL);
	assert_string_equal(fx_get("root/f"), "other");
	fx_put("root/f", "old");
	fx_ok(write_under("{'approved':true,'touches':'%s'}", touches));
	assert_int_equal(unlink(fx_path("root/f")), 0);
	fx_failed(write_under("{'touches':'%s'}", touches), ERR_DENIED, NULL);
	plan("file_write", "{'path':'f','content':'new'}");
	fx_ok(write_under("{'touches':'%s'}", touches));
	fx_failed(write_under("{'touches':'%s'}", touches), ERR_DENIED, NULL);
}

static void
another_place_by_the_same_name_is_refused(void **state)
{
	char terms[256];

	(void)state;
	EXEC("mkdir", "-p", fx_path("root/a"), fx_path("root/b"));
	fx_put("root/a/f", "old");
	fx_put("root/b/f", "old");
	assert_int_equal(symlink("a", fx_path("root/l")), 0);
	plan("file_write", "{'path':'l/f','content':'new'}");
	assert_int_equal(unlink(fx_path("root/l")), 0);
	assert_int_equal(symlink("b", fx_path("root/l")), 0);
	snprintf(terms, sizeof terms, "{\"touches\":\"%s\"}", touches);
	fx.terms = terms;
	fx_failed(fx_run("file_write", "{'path':'l/f','content':'new'}"), ERR_DENIED, NULL);
	assert_string_equal(fx_get("root/b/f"), "old");
}

static void
what_is_overwritten_was_read_before(void **state)
{
	char hex[FILE_HASH_HEX];

	(void)state;
	file_hash_bytes("old", 3, hex);
	fx_failed(write_under("{'reads':[]}"), ERR_DENIED, NULL);
	assert_non_null(strstr(fx.e.msg, fx_path("root/f")));
	fx_failed(write_under("{'reads':[{'kind':'path','name':'%s','sha256':'%s'}]}", fx_path("root/g"), hex),
	    ERR_DENIED, NULL);
	fx_failed(write_under("{'reads':[{'kind':'ref','name':'%s','sha256':'%s'}]}", fx_path("root/f"), hex),
	    ERR_DENIED, NULL);
	fx_failed(write_under("{'reads':[{'kind':'path','name':'%s','sha256':null}]}", fx_path("root/f")),
	    ERR_DENIED, NULL);
	hex[0] ^= 1;
	fx_failed(write_under("{'reads':[{'kind':'path','name':'%s','sha256':'%s'}]}", fx_path("root/f"), hex),
	    ERR_DENIED, NULL);
	assert_untouched();
	hex[0] ^= 1;
	fx_ok(write_under("{'reads':[{'kind':'path','name':'%s','sha256':'%s'}]}", fx_path("root/f"), hex));
	assert_int_equal(unlink(fx_path("root/f")), 0);
	fx_ok(write_under("{'reads':[]}"));
}

/* The notes of a reading task are what a later task is let through by. */
static void
what_was_noted_as_read_may_be_overwritten(void **state)
{
	static const char *const readers[] = { "file_read", "file_hash" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		cJSON *notes;
		char *reads;

		fx_put("root/f", "old");
		fx.terms = "{}";
		fx_ok(fx_run(readers[i], "{'path':'f'}"));
		notes = json_parse(fx.notes.data, fx.notes.len, &fx.e);
		reads = cJSON_PrintUnformatted(cJSON_GetObjectItem(notes, "reads"));
		fx_ok(write_under("{'reads':%s}", reads));
		cJSON_Delete(notes);
		cJSON_free(reads);
	}
	fx.terms = "{}";
	fx_ok(fx_run("file_read", "{'path':'f','max_bytes':1}"));
	assert_string_equal(fx.notes.data, "{\"reads\":[],\"writes\":[]}");
	fx_ok(fx_run("file_hash", "{'path':'f','algorithm':'sha512'}"));
	assert_string_equal(fx.notes.data, "{\"reads\":[],\"writes\":[]}");
}

static void
tools_that_only_read_are_under_no_terms(void **state)
{
	char terms[PATH_MAX + 64];

	(void)state;
	snprintf(terms, sizeof terms, "{\"production\":[\"path:%s\"],\"reads\":[],\"proof\":true,\"touches\":\"%064d\"}",
	    fx_path("root"), 0);
	fx.terms = terms;
	fx_ok(fx_run("file_read", "{'path':'f'}"));
	fx_ok(fx_run("noop", "{}"));
}

static void
a_plan_of_a_write_shows_the_change(void **state)
{
	(void)state;
	fx_put("root/f", "one\ntwo\n");
	plan("file_write", "{'path':'f','content':'one\\n2\\n','mode':'0600'}");
	assert_string_equal(fx_str("touches.0.kind"), "path");
	assert_string_equal(fx_str("touches.0.name"), fx_path("root/f"));
	assert_string_equal(fx_str("touches.0.access"), "write");
	assert_non_null(strstr(fx_str("dry_run"), "mode 0644 -> 0600\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"));
	assert_string_equal(fx_get("root/f"), "one\ntwo\n");
	plan("file_write", "{'path':'g','content':'x\\n'}");
	assert_true(cJSON_IsNull(fx_at("touches.0.sha256")));
	assert_non_null(strstr(fx_str("dry_run"), "--- /dev/null\n"));
	assert_int_equal(access(fx_path("root/g"), F_OK), -1);
	plan("file_write", "{'path':'f','content':'AAAA','encoding':'base64'}");
	assert_non_null(strstr(fx_str("dry_run"), "+3 bytes, sha256 709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c"));
	fx.plan = true;
	fx_failed(fx_run("file_write", "{'path':'none/f','content':'x'}"), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("file_write", "{'path':'/etc/passwd','content':'x'}"), ERR_PATH, NULL);
	fx_ok(fx_run("file_read", "{'path':'f'}"));
	assert_int_equal(cJSON_GetArraySize(fx_at("touches")), 0);
}

static void
writes_and_their_proof_are_noted(void **state)
{
	const char *hash = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
	char expected[PATH_MAX + 512];

	(void)state;
	fx_ok(write_under("{'proof':true}"));
	snprintf(expected, sizeof expected, "{\"reads\":[],\"writes\":[{\"kind\":\"path\",\"name\":\"%s\",\"sha256\":\"%s\"}],"
	    "\"proof\":{\"ok\":true,\"checks\":[{\"check\":\"file_hash\",\"name\":\"%s\",\"ok\":true,\"found\":\"%s\"}]}}",
	    fx_path("root/f"), hash, fx_path("root/f"), hash);
	assert_string_equal(fx.notes.data, expected);
}

/* Half a second of somebody who points a link at two places in turn. */
static void
a_link_that_is_switched_all_the_time_never_leads_to_production(void **state)
{
	char terms[PATH_MAX + 64];
	int status, written = 0;
	pid_t pid;

	(void)state;
	EXEC("mkdir", "-p", fx_path("root/a"), fx_path("root/www"));
	fx_put("root/www/f", "old");
	pid = fork();
	if (pid == 0) {
		for (;;)
			for (int i = 0; i < 2; i++) {
				unlink(fx_path("root/tmp"));
				if (symlink(i ? "a" : "www", fx_path("root/tmp")) == 0)
					rename(fx_path("root/tmp"), fx_path("root/l"));
			}
	}
	snprintf(terms, sizeof terms, "{\"production\":[\"path:%s\"]}", fx_path("root/www"));
	fx.terms = terms;
	for (int64_t end = clock_mono_ms() + 500; clock_mono_ms() < end;)
		written += fx_run("file_write", "{'path':'l/f','content':'new'}") == 0;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_string_equal(fx_get("root/www/f"), "old");
	assert_true(written > 0);
}

static double
write_us(const char *under)
{
	int64_t began_us = clock_mono_us();

	fx.terms = under;
	for (int i = 0; i < 100; i++)
		fx_ok(fx_run("file_write", "{'path':'f','content':'old'}"));
	fx.terms = NULL;
	return (double)(clock_mono_us() - began_us) / 100;
}

static void
terms_cost_little(void **state)
{
	struct buf b = { 0 };
	double none, empty, all;

	(void)state;
	buf_adds(&b, "{\"production\":[");
	for (int i = 0; i < 256; i++)
		buf_addf(&b, "%s\"path:/srv/www/%d\"", i ? "," : "", i);
	buf_adds(&b, "],\"proof\":true}");
	none = write_us(NULL);
	empty = write_us("{}");
	all = write_us(b.data);
	printf("# a write of what is there already: %.0f us; with notes %.0f, under 256 places and with proof %.0f\n", none,
	    empty, all);
	assert_true(all < none + 50000);
	buf_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(terms_that_are_not_well_formed_let_nothing_run),
		T(a_place_in_production_needs_approval),
		T(no_detour_leads_to_a_place_in_production),
		T(a_second_name_of_a_file_in_production_is_no_way_to_it),
		T(what_changed_since_it_was_approved_is_refused),
		T(another_place_by_the_same_name_is_refused),
		T(what_is_overwritten_was_read_before),
		T(what_was_noted_as_read_may_be_overwritten),
		T(tools_that_only_read_are_under_no_terms),
		T(a_plan_of_a_write_shows_the_change),
		T(writes_and_their_proof_are_noted),
		T(terms_cost_little),
		T(a_link_that_is_switched_all_the_time_never_leads_to_production),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
