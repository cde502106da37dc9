/*
 * What the git tools say they would touch, that it is what they touch, and its proof.
 */
#include "tooltest.h"

#include "file.h"

#define IN(dir, ...) EXEC("git", "-C", fx_path("%s", dir), "-c", "user.name=Test", "-c", \
    "user.email=t@example.org", "-c", "protocol.file.allow=always", __VA_ARGS__)

static char touches[FILE_HASH_HEX], terms[8192];

static int
setup(void **state)
{
	fx_setup(state);
	setenv("HOME", fx_path("outside"), 1);
	fx_put("outside/.gitconfig", "[user]\n\tname = House\n\temail = house@example.org\n"
	    "[init]\n\tdefaultBranch = main\n");
	EXEC("git", "init", "-q", "-b", "main", fx_path("root/r"));
	fx_put("root/r/a", "one\n");
	IN("root/r", "add", "a");
	IN("root/r", "commit", "-q", "-m", "first");
	EXEC("git", "clone", "-q", "--bare", fx_path("root/r"), fx_path("root/hub.git"));
	IN("root/r", "remote", "add", "origin", fx_path("root/hub.git"));
	IN("root/r", "fetch", "-q");
	IN("root/r", "branch", "-q", "--set-upstream-to=origin/main");
	return 0;
}

static void
commit_in(const char *dir, const char *file, const char *text)
{
	char name[128];

	snprintf(name, sizeof name, "%s/%s", dir, file);
	fx_put(name, text);
	IN(dir, "add", "-A");
	IN(dir, "commit", "-q", "-m", text);
}

/* What `git rev-parse` says. */
static const char *
rev(const char *dir, const char *name)
{
	static char text[4][128];
	static int at;
	char command[PATH_MAX];
	int fds[2];
	ssize_t n;
	pid_t pid;

	snprintf(command, sizeof command, "%s", fx_path("%s", dir));
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execlp("git", "git", "-C", command, "rev-parse", name, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], text[++at % 4], 127);
	close(fds[0]);
	waitpid(pid, NULL, 0);
	text[at % 4][n > 0 ? n - 1 : 0] = '\0';
	return text[at % 4];
}

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

/* A touch of the last plan; digest "" for none. */
static void
assert_touches(const char *access, const char *kind, const char *name, const char *digest)
{
	const cJSON *t;
	char *text;

	cJSON_ArrayForEach(t, fx_at("touches"))
		if (strcmp(json_text(t, "access"), access) == 0 && strcmp(json_text(t, "kind"), kind) == 0 &&
		    strcmp(json_text(t, "name"), name) == 0 && strcmp(json_text(t, "sha256"), digest) == 0)
			return;
	text = cJSON_Print(fx_at("touches"));
	fail_msg("no %s %s %s %s in %s", access, kind, name, digest, text);
}

static int
run_under(const char *tool, const char *params, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(terms, sizeof terms, fmt, ap);
	va_end(ap);
	for (char *p = terms; *p; p++)
		if (*p == '\'')
			*p = '"';
	fx.terms = terms;
	rc = fx_run(tool, "%s", params);
	fx.terms = NULL;
	return rc;
}

static void
a_commit_is_planned_without_a_trace(void **state)
{
	const char *params = "{'repo_path':'r','message':'second','paths':['a','b']}";
	const char *before;
	struct stat st, now;

	(void)state;
	fx_put("root/r/a", "two\n");
	fx_put("root/r/b", "new\n");
	before = rev("root/r", "HEAD");
	assert_int_equal(stat(fx_path("root/r/.git/index"), &st), 0);
	plan("git_commit", params);
	assert_touches("write", "ref", fx_path("root/r#main"), before);
	assert_int_equal(cJSON_GetArraySize(fx_at("touches")), 2);
	assert_non_null(strstr(fx_str("dry_run"), "-one\n+two\n"));
	assert_non_null(strstr(fx_str("dry_run"), "2 files changed"));
	assert_string_equal(rev("root/r", "HEAD"), before);
	assert_int_equal(stat(fx_path("root/r/.git/index"), &now), 0);
	assert_int_equal(now.st_ino, st.st_ino);
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_int_equal(fx_int("staged"), 0);
	plan("git_commit", params);
	fx_ok(run_under("git_commit", params, "{'touches':'%s','proof':true}", touches));
	assert_non_null(strstr(fx.notes.data, rev("root/r", "HEAD")));
	assert_non_null(strstr(fx.notes.data, "\"check\":\"commit\""));
}

/* What was approved is the content, not only the names of files. */
static void
a_commit_of_something_else_is_refused(void **state)
{
	const char *params = "{'repo_path':'r','message':'second','paths':['a']}";
	const char *before;

	(void)state;
	fx_put("root/r/a", "two\n");
	plan("git_commit", params);
	fx_put("root/r/a", "tww\n");
	before = rev("root/r", "HEAD");
	fx_failed(run_under("git_commit", params, "{'touches':'%s'}", touches), ERR_DENIED, NULL);
	assert_string_equal(rev("root/r", "HEAD"), before);
	fx_put("root/r/a", "two\n");
	fx_ok(run_under("git_commit", params, "{'touches':'%s'}", touches));
	fx_put("root/r/a", "two\n");
	IN("root/r", "reset", "-q", "--soft", "HEAD~1");
	commit_in("root/r", "c", "moved on");
	fx_put("root/r/a", "three\n");
	fx_failed(run_under("git_commit", params, "{'touches':'%s'}", touches), ERR_DENIED, NULL);
}

static void
a_repository_in_production_is_not_committed_to(void **state)
{
	const char *before = rev("root/r", "HEAD");

	(void)state;
	fx_put("root/r/a", "two\n");
	fx_failed(run_under("git_commit", "{'repo_path':'r','message':'m','all':true}", "{'production':['repo:%s']}",
	    fx_path("root/r")), ERR_APPROVAL, NULL);
	assert_string_equal(rev("root/r", "HEAD"), before);
	fx_ok(run_under("git_commit", "{'repo_path':'r','message':'m','all':true}",
	    "{'production':['repo:%s'],'approved':true}", fx_path("root/r")));
}

/* A working tree elsewhere, a directory whose refs are a link, and one that says its refs are elsewhere. */
static void
no_detour_moves_a_ref_in_production(void **state)
{
	const char *before = rev("root/r", "main");
	char production[PATH_MAX + 64];

	(void)state;
	snprintf(production, sizeof production, "{'production':['repo:%s']}", fx_path("root/r"));
	IN("root/r", "worktree", "add", "-q", fx_path("root/wt"), "-b", "side");
	fx_put("root/wt/a", "two\n");
	fx_failed(run_under("git_commit", "{'repo_path':'wt','message':'m','all':true}", production), ERR_APPROVAL,
	    NULL);
	assert_string_equal(rev("root/r", "side"), before);
	EXEC("git", "clone", "-q", fx_path("root/r"), fx_path("root/linked"));
	EXEC("rm", "-rf", fx_path("root/linked/.git/refs"));
	assert_int_equal(symlink("../../r/.git/refs", fx_path("root/linked/.git/refs")), 0);
	fx_put("root/linked/a", "two\n");
	fx_failed(run_under("git_commit", "{'repo_path':'linked','message':'m','all':true}", production), ERR_APPROVAL,
	    NULL);
	assert_string_equal(rev("root/r", "main"), before);
	assert_int_equal(symlink("r", fx_path("root/name")), 0);
	fx_put("root/r/a", "two\n");
	fx_failed(run_under("git_commit", "{'repo_path':'name','message':'m','all':true}", production), ERR_APPROVAL,
	    NULL);
	assert_string_equal(rev("root/r", "main"), before);
}

static void
a_push_is_planned_by_what_it_would_move(void **state)
{
	const char *old, *new;

	(void)state;
	commit_in("root/r", "b", "second");
	old = rev("root/hub.git", "main");
	new = rev("root/r", "HEAD");
	plan("git_push", "{'repo_path':'r'}");
	assert_touches("write", "ref", fx_path("root/hub.git#main"), old);
	assert_touches("read", "ref", fx_path("root/r#main"), new);
	assert_int_equal(cJSON_GetArraySize(fx_at("touches")), 2);
	assert_non_null(strstr(fx_str("dry_run"), "second\n"));
	assert_string_equal(rev("root/hub.git", "main"), old);
	fx_failed(run_under("git_push", "{'repo_path':'r'}", "{'production':['path:%s']}", fx_path("root/hub.git")),
	    ERR_APPROVAL, NULL);
	assert_string_equal(rev("root/hub.git", "main"), old);
	fx_ok(run_under("git_push", "{'repo_path':'r'}", "{'production':['path:%s']}", fx_path("root/r")));
	assert_string_equal(rev("root/hub.git", "main"), new);
	plan("git_push", "{'repo_path':'r'}");
	assert_non_null(strstr(fx_str("dry_run"), "nothing to push"));
}

static void
a_push_of_another_commit_than_the_approved_one_is_refused(void **state)
{
	const char *old = rev("root/hub.git", "main");

	(void)state;
	commit_in("root/r", "b", "second");
	plan("git_push", "{'repo_path':'r'}");
	commit_in("root/r", "b", "third");
	fx_failed(run_under("git_push", "{'repo_path':'r'}", "{'touches':'%s'}", touches), ERR_DENIED, NULL);
	assert_string_equal(rev("root/hub.git", "main"), old);
	plan("git_push", "{'repo_path':'r'}");
	EXEC("git", "clone", "-q", fx_path("root/hub.git"), fx_path("root/other"));
	commit_in("root/other", "x", "theirs");
	IN("root/other", "push", "-q");
	fx_failed(run_under("git_push", "{'repo_path':'r'}", "{'touches':'%s'}", touches), ERR_DENIED, NULL);
}

static void
a_push_is_proven_by_asking_the_remote(void **state)
{
	char check[512];

	(void)state;
	commit_in("root/r", "b", "second");
	plan("git_push", "{'repo_path':'r'}");
	fx_ok(run_under("git_push", "{'repo_path':'r'}", "{'touches':'%s','proof':true}", touches));
	snprintf(check, sizeof check, "{\"check\":\"remote_ref\",\"name\":\"%s\",\"ok\":true,\"found\":\"%s\"}",
	    fx_path("root/hub.git#main"), rev("root/r", "HEAD"));
	assert_non_null(strstr(fx.notes.data, check));
}

/* The archivist's rule for refs: what the branch was, somebody has looked at. */
static void
a_ref_is_overwritten_only_if_it_was_read(void **state)
{
	cJSON *notes;
	char *reads;

	(void)state;
	fx_put("root/r/a", "two\n");
	fx_failed(run_under("git_commit", "{'repo_path':'r','message':'m','all':true}", "{'reads':[]}"), ERR_DENIED,
	    NULL);
	fx_ok(run_under("git_log", "{'repo_path':'r'}", "{}"));
	notes = json_parse(fx.notes.data, fx.notes.len, &fx.e);
	reads = cJSON_PrintUnformatted(cJSON_GetObjectItem(notes, "reads"));
	fx_ok(run_under("git_commit", "{'repo_path':'r','message':'m','all':true}", "{'reads':%s}", reads));
	fx_put("root/r/a", "three\n");
	fx_failed(run_under("git_commit", "{'repo_path':'r','message':'m','all':true}", "{'reads':%s}", reads),
	    ERR_DENIED, NULL);
	cJSON_Delete(notes);
	cJSON_free(reads);
}

static void
reading_tools_note_the_branches_they_show(void **state)
{
	static const struct { const char *tool, *params; int refs; } readers[] = {
		{ "git_status", "{'repo_path':'r'}", 2 },
		{ "git_log", "{'repo_path':'r','ref':'main'}", 1 },
		{ "git_log", "{'repo_path':'r','ref':'origin/main'}", 1 },
		{ "git_diff", "{'repo_path':'r','staged':true}", 2 },
		{ "git_diff", "{'repo_path':'r','from':'origin/main','to':'main'}", 2 },
		{ "git_branch_list", "{'repo_path':'r','remotes':true}", 2 },
		{ "git_branch_list", "{'repo_path':'r'}", 1 },
		{ "git_diff", "{'repo_path':'r'}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
		int n = 0;

		fx_ok(run_under(readers[i].tool, readers[i].params, "{}"));
		for (const char *p = fx.notes.data; (p = strstr(p, rev("root/r", "HEAD"))); p++)
			n++;
		if (n != readers[i].refs)
			fail_msg("%s %s: %s", readers[i].tool, readers[i].params, fx.notes.data);
	}
	fx_ok(run_under("git_log", "{'repo_path':'r','ref':'origin/main'}", "{}"));
	assert_non_null(strstr(fx.notes.data, fx_path("root/hub.git#main")));
}

static void
a_checkout_touches_the_tree_head_and_a_branch_it_makes(void **state)
{
	const char *first = rev("root/r", "HEAD");

	(void)state;
	IN("root/r", "branch", "-q", "topic");
	commit_in("root/r", "b", "second");
	plan("git_checkout", "{'repo_path':'r','ref':'topic'}");
	assert_touches("write", "repo", fx_path("root/r"), "");
	assert_touches("write", "ref", fx_path("root/r#HEAD"), rev("root/r", "main"));
	assert_touches("read", "ref", fx_path("root/r#topic"), first);
	assert_non_null(strstr(fx_str("dry_run"), "1 file changed"));
	assert_int_equal(access(fx_path("root/r/b"), F_OK), 0);
	fx_ok(run_under("git_checkout", "{'repo_path':'r','ref':'topic'}", "{'touches':'%s','proof':true}", touches));
	assert_string_equal(rev("root/r", "HEAD"), first);
	plan("git_checkout", "{'repo_path':'r','ref':'new','create':true,'start':'main'}");
	assert_touches("write", "ref", fx_path("root/r#new"), "");
	fx_failed(run_under("git_checkout", "{'repo_path':'r','ref':'new','create':true}",
	    "{'production':['path:%s']}", fx_path("root/r/b")), ERR_APPROVAL, NULL);
	fx_ok(run_under("git_checkout", "{'repo_path':'r','ref':'new','create':true,'start':'main'}",
	    "{'touches':'%s','proof':true}", touches));
	assert_string_equal(rev("root/r", "HEAD"), rev("root/r", "main"));
	plan("git_checkout", "{'repo_path':'r','ref':'topic'}");
	IN("root/r", "branch", "-q", "-f", "topic", "main");
	fx_failed(run_under("git_checkout", "{'repo_path':'r','ref':'topic'}", "{'touches':'%s'}", touches), ERR_DENIED,
	    NULL);
}

static void
a_working_tree_touches_its_place_and_a_branch_that_it_makes(void **state)
{
	(void)state;
	plan("git_worktree", "{'repo_path':'r','path':'seven','ref':'seven','start':'main'}");
	assert_touches("write", "repo", fx_path("root/seven"), "");
	assert_touches("write", "ref", fx_path("root/r#seven"), "");
	assert_touches("read", "ref", fx_path("root/r#main"), rev("root/r", "main"));
	assert_int_equal(access(fx_path("root/seven"), F_OK), -1);
	fx_failed(run_under("git_worktree", "{'repo_path':'r','path':'seven','ref':'seven','start':'main'}",
	    "{'production':['path:%s']}", fx_path("root/seven/a")), ERR_APPROVAL, NULL);
	fx_failed(run_under("git_worktree", "{'repo_path':'r','path':'seven','ref':'seven','start':'main'}",
	    "{'production':['repo:%s']}", fx_path("root/r")), ERR_APPROVAL, NULL);
	fx_ok(run_under("git_worktree", "{'repo_path':'r','path':'seven','ref':'seven','start':'main'}",
	    "{'touches':'%s','proof':true}", touches));
	assert_string_equal(rev("root/seven", "HEAD"), rev("root/r", "main"));
	plan("git_worktree", "{'repo_path':'r','path':'eight','ref':'eight','start':'main'}");
	commit_in("root/r", "b", "second");
	fx_failed(run_under("git_worktree", "{'repo_path':'r','path':'eight','ref':'eight','start':'main'}", "{'touches':'%s'}", touches),
	    ERR_DENIED, NULL);
	plan("git_worktree", "{'repo_path':'r','path':'seven','remove':true}");
	assert_touches("write", "repo", fx_path("root/seven"), "");
	assert_int_equal(access(fx_path("root/seven/a"), F_OK), 0);
	fx_ok(run_under("git_worktree", "{'repo_path':'r','path':'seven','remove':true}", "{'touches':'%s','proof':true}", touches));
	assert_int_equal(access(fx_path("root/seven"), F_OK), -1);
}

static void
a_pull_shows_what_would_come_and_fetches_nothing(void **state)
{
	const char *old = rev("root/r", "HEAD"), *new;

	(void)state;
	EXEC("git", "clone", "-q", fx_path("root/hub.git"), fx_path("root/other"));
	commit_in("root/other", "x", "theirs");
	IN("root/other", "push", "-q");
	unlink(fx_path("root/r/.git/FETCH_HEAD"));
	new = rev("root/other", "HEAD");
	plan("git_pull", "{'repo_path':'r'}");
	assert_touches("write", "repo", fx_path("root/r"), "");
	assert_touches("write", "ref", fx_path("root/r#main"), old);
	assert_touches("read", "ref", fx_path("root/hub.git#main"), new);
	assert_non_null(strstr(fx_str("dry_run"), "theirs\n"));
	assert_string_equal(rev("root/r", "origin/main"), old);
	assert_int_equal(access(fx_path("root/r/.git/FETCH_HEAD"), F_OK), -1);
	fx_exec(1, (const char *const[]){ "git", "-C", fx_path("root/r"), "cat-file", "-e", new, NULL });
	fx_ok(run_under("git_pull", "{'repo_path':'r'}", "{'touches':'%s','proof':true}", touches));
	assert_string_equal(rev("root/r", "HEAD"), new);
	plan("git_pull", "{'repo_path':'r'}");
	assert_non_null(strstr(fx_str("dry_run"), "nothing to do"));
	commit_in("root/other", "x", "more");
	IN("root/other", "push", "-q");
	fx_failed(run_under("git_pull", "{'repo_path':'r'}", "{'touches':'%s'}", touches), ERR_DENIED, NULL);
	assert_string_equal(rev("root/r", "HEAD"), new);
}

static void
a_plan_says_no_where_the_tool_would(void **state)
{
	(void)state;
	fx.plan = true;
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m'}"), ERR_WRONG_STATE, NULL);
	fx_failed(fx_run("git_commit", "{'repo_path':'hub.git','message':'m'}"), ERR_WRONG_STATE, NULL);
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','paths':['none']}"), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'none'}"), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("git_push", "{'repo_path':'r','remote':'none'}"), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("git_pull", "{'repo_path':'r','remote':'origin','branch':'none'}"), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("git_pull", "{'repo_path':'%s'}", fx_path("outside")), ERR_PATH, NULL);
}

static void
nothing_is_left_of_what_was_tried(void **state)
{
	(void)state;
	fx_put("root/r/a", "two\n");
	plan("git_commit", "{'repo_path':'r','message':'m','all':true}");
	EXEC("sh", "-c", "! find /tmp -maxdepth 1 -name 'uw-plan-*' -user $(id -u) -mmin -1 | grep .");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_commit_is_planned_without_a_trace),
		T(a_commit_of_something_else_is_refused),
		T(a_repository_in_production_is_not_committed_to),
		T(no_detour_moves_a_ref_in_production),
		T(a_push_is_planned_by_what_it_would_move),
		T(a_push_of_another_commit_than_the_approved_one_is_refused),
		T(a_push_is_proven_by_asking_the_remote),
		T(a_ref_is_overwritten_only_if_it_was_read),
		T(reading_tools_note_the_branches_they_show),
		T(a_checkout_touches_the_tree_head_and_a_branch_it_makes),
		T(a_working_tree_touches_its_place_and_a_branch_that_it_makes),
		T(a_pull_shows_what_would_come_and_fetches_nothing),
		T(a_plan_says_no_where_the_tool_would),
		T(nothing_is_left_of_what_was_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
