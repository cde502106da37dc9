#include "tooltest.h"

#define IN(dir, ...) EXEC("git", "-C", fx_path("%s", dir), "-c", "user.name=Test", "-c", \
    "user.email=t@example.org", \
    "-c", "protocol.file.allow=always", __VA_ARGS__)

static int
git_setup(void **state)
{
	fx_setup(state);
	setenv("HOME", fx_path("outside"), 1);
	fx_put("outside/.gitconfig", "[user]\n\tname = House\n\temail = house@example.org\n"
	    "[init]\n\tdefaultBranch = main\n");
	EXEC("git", "init", "-q", "-b", "main", fx_path("root/r"));
	fx_put("root/r/a", "one\n");
	IN("root/r", "add", "a");
	IN("root/r", "commit", "-q", "-m", "first");
	return 0;
}

static void
make_remote(void)
{
	EXEC("git", "clone", "-q", "--bare", fx_path("root/r"), fx_path("root/hub.git"));
	IN("root/r", "remote", "add", "origin", fx_path("root/hub.git"));
	IN("root/r", "fetch", "-q");
	IN("root/r", "branch", "-q", "--set-upstream-to=origin/main");
	EXEC("git", "clone", "-q", fx_path("root/hub.git"), fx_path("root/other"));
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

static void
status_tells_each_kind_of_change(void **state)
{
	(void)state;
	make_remote();
	commit_in("root/other", "x", "theirs");
	IN("root/other", "push", "-q");
	commit_in("root/r", "b with blank", "two");
	commit_in("root/r", "c", "a file with enough text in it to be found again after renaming\n");
	IN("root/r", "fetch", "-q");
	fx_put("root/r/a", "changed");
	fx_put("root/r/new\nline", "untracked");
	IN("root/r", "mv", "c", "d");
	fx_put("root/r/staged", "staged");
	IN("root/r", "add", "staged");
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_string_equal(fx_str("branch"), "main");
	assert_string_equal(fx_str("upstream"), "origin/main");
	assert_int_equal(fx_int("ahead"), 2);
	assert_int_equal(fx_int("behind"), 1);
	assert_false(fx_true("clean"));
	assert_int_equal(fx_int("staged"), 2);
	assert_int_equal(fx_int("changed"), 1);
	assert_int_equal(fx_int("untracked"), 1);
	assert_string_equal(fx_str("entries.0.path"), "a");
	assert_string_equal(fx_str("entries.0.worktree"), "modified");
	assert_string_equal(fx_str("entries.1.from"), "c");
	assert_string_equal(fx_str("entries.1.staged"), "renamed");
	assert_string_equal(fx_str("entries.3.path"), "new\nline");
	fx_ok(fx_run("git_status", "{'repo_path':'r','max_entries':1}"));
	assert_true(fx_true("truncated"));
	assert_int_equal(fx_int("total"), 4);
	fx_ok(fx_run("git_status", "{'repo_path':'%s','untracked':'no'}", fx_path("root/r")));
	assert_int_equal(fx_int("untracked"), 0);
}

static void
an_empty_repository_is_no_error(void **state)
{
	(void)state;
	EXEC("git", "init", "-q", "-b", "main", fx_path("root/e"));
	fx_ok(fx_run("git_status", "{'repo_path':'e'}"));
	assert_true(fx_true("clean"));
	assert_true(cJSON_IsNull(fx_at("commit")));
	fx_failed(fx_run("git_log", "{'repo_path':'e'}"), ERR_NOT_FOUND, NULL);
	fx_ok(fx_run("git_branch_list", "{'repo_path':'e'}"));
	assert_int_equal(fx_int("total"), 0);
	fx_put("root/e/f", "x");
	fx_ok(fx_run("git_commit", "{'repo_path':'e','message':'first','paths':['f'],"
	    "'expected_head':'none'}"));
	assert_true(cJSON_IsNull(fx_at("parent")));
	assert_int_equal(fx_int("files_changed"), 1);
	assert_int_equal(fx_int("insertions"), 1);
}

static void
what_is_no_repository_is_told_so(void **state)
{
	(void)state;
	assert_int_equal(mkdir(fx_path("root/plain"), 0755), 0);
	fx_failed(fx_run("git_status", "{'repo_path':'plain'}"), ERR_NOT_FOUND, "params.repo_path");
	fx_failed(fx_run("git_status", "{'repo_path':'none'}"), ERR_NOT_FOUND, "params.repo_path");
	fx_failed(fx_run("git_status", "{'repo_path':'r/a'}"), ERR_NOT_FOUND, "params.repo_path");
	fx_failed(fx_run("git_status", "{}"), ERR_MISSING, "params.repo_path");
	EXEC("git", "clone", "-q", "--bare", fx_path("root/r"), fx_path("root/hub.git"));
	fx_failed(fx_run("git_status", "{'repo_path':'hub.git'}"), ERR_WRONG_STATE, NULL);
	fx_ok(fx_run("git_log", "{'repo_path':'hub.git'}"));
}

static void
no_git_directory_leads_out_of_the_roots(void **state)
{
	static const char *const tools[] = { "git_status", "git_log", "git_diff", "git_branch_list" };
	char text[PATH_MAX + 32];

	(void)state;
	EXEC("git", "init", "-q", fx_path("outside/o"));
	fx_put("outside/o/secret", "s");
	IN("outside/o", "add", "-A");
	IN("outside/o", "commit", "-q", "-m", "secret");
	for (int i = 0; i < 3; i++)
		assert_int_equal(mkdir(fx_path("root/g%d", i), 0755), 0);
	snprintf(text, sizeof text, "gitdir: %s\n", fx_path("outside/o/.git"));
	fx_put("root/g0/.git", text);
	fx_put("root/g1/.git", "gitdir: ../../outside/o/.git\n");
	assert_int_equal(symlink(fx_path("outside/o/.git"), fx_path("root/g2/.git")), 0);
	assert_int_equal(symlink("../outside/o", fx_path("root/g3")), 0);
	for (int i = 0; i < 4; i++)
		for (size_t k = 0; k < sizeof tools / sizeof *tools; k++)
			fx_failed(fx_run(tools[k], "{'repo_path':'g%d'}", i), ERR_PATH, "params.repo_path");
	fx_failed(fx_run("git_status", "{'repo_path':'%s'}", fx_path("outside/o")), ERR_PATH,
	    "params.repo_path");
}

static void
no_part_of_a_git_directory_leads_out_of_the_roots(void **state)
{
	char text[PATH_MAX + 32];

	(void)state;
	EXEC("git", "init", "-q", fx_path("outside/o"));
	snprintf(text, sizeof text, "%s\n", fx_path("outside/o/.git/objects"));
	fx_put("root/r/.git/objects/info/alternates", text);
	fx_failed(fx_run("git_log", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
	fx_put("root/r/.git/objects/info/alternates", "../../../../outside/o/.git/objects\n");
	fx_failed(fx_run("git_log", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
	assert_int_equal(unlink(fx_path("root/r/.git/objects/info/alternates")), 0);
	fx_ok(fx_run("git_log", "{'repo_path':'r'}"));

	fx_put("root/r/.git/commondir", "../../../outside/o/.git");
	fx_failed(fx_run("git_log", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
	assert_int_equal(unlink(fx_path("root/r/.git/commondir")), 0);

	IN("root/r", "config", "core.worktree", fx_path("outside"));
	fx_failed(fx_run("git_status", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
	IN("root/r", "config", "--unset", "core.worktree");

	IN("root/r", "config", "include.path", fx_path("outside/.gitconfig"));
	fx_failed(fx_run("git_status", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
	IN("root/r", "config", "--unset", "include.path");

	assert_int_equal(rename(fx_path("root/r/.git/refs"), fx_path("outside/refs")), 0);
	assert_int_equal(symlink(fx_path("outside/refs"), fx_path("root/r/.git/refs")), 0);
	fx_failed(fx_run("git_log", "{'repo_path':'r'}"), ERR_PATH, "params.repo_path");
}

static void
working_trees_and_submodules_that_stay_inside_work(void **state)
{
	(void)state;
	IN("root/r", "worktree", "add", "-q", "-b", "side", fx_path("root/wt"));
	fx_ok(fx_run("git_status", "{'repo_path':'wt'}"));
	assert_string_equal(fx_str("branch"), "side");
	fx_put("root/wt/w", "w");
	fx_ok(fx_run("git_commit", "{'repo_path':'wt','message':'in a worktree','paths':['w']}"));
	EXEC("git", "init", "-q", fx_path("root/super"));
	IN("root/super", "submodule", "--quiet", "add", fx_path("root/r"), "sub");
	fx_ok(fx_run("git_status", "{'repo_path':'super/sub'}"));
	assert_string_equal(fx_str("branch"), "main");
	fx_ok(fx_run("git_status", "{'repo_path':'super'}"));
	assert_int_equal(fx_int("staged"), 2);
}

static void
put_program(const char *name, const char *text)
{
	fx_put(name, text);
	assert_int_equal(chmod(fx_path("%s", name), 0755), 0);
}

/* Every way known to us by which a repository can start a program of its own. */
static void
a_repository_starts_no_program_of_its_own(void **state)
{
	static const char *const refused[][2] = {
		{ "filter.x.clean", "evil" }, { "filter.x.smudge", "evil" }, { "filter.x.process", "evil" },
		{ "merge.x.driver", "evil" }, { "remote.origin.uploadpack", "evil" },
		{ "credential.helper", "!evil" }, { "remote.origin.vcs", "evil" },
		{ "core.gitProxy", "evil" },
		{ "gpg.program", "evil" },
		{ "core.alternateRefsCommand", "evil" }, { "Filter.x.CLEAN", "evil" },
	};
	static const char *const harmless[][2] = {
		{ "core.fsmonitor", "evil" }, { "core.pager", "evil" }, { "core.editor", "evil" },
		{ "diff.external", "evil" }, { "diff.x.textconv", "evil" }, { "diff.x.command", "evil" },
		{ "core.sshCommand", "evil" }, { "core.askPass", "evil" },
		{ "sequence.editor", "evil" }, { "pager.log", "evil" }, { "alias.status", "!evil" },
	};
	static const char *const hooks[] = {
		"pre-commit", "post-commit", "post-checkout", "pre-push", "post-merge",
		"reference-transaction",
		"post-index-change", "pre-merge-commit", "prepare-commit-msg", "commit-msg",
	};
	char script[PATH_MAX + 64];
	const char *evil = strdup(fx_path("root/evil"));

	(void)state;
	snprintf(script, sizeof script, "#!/bin/sh\necho >>%s\ncat\n", fx_path("root/ran"));
	put_program("root/evil", script);
	make_remote();
	assert_int_equal(mkdir(fx_path("root/hooks"), 0755), 0);
	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
		char name[64];

		snprintf(name, sizeof name, "root/r/.git/hooks/%s", hooks[i]);
		put_program(name, script);
		snprintf(name, sizeof name, "root/hooks/%s", hooks[i]);
		put_program(name, script);
	}
	fx_put("root/r/.gitattributes", "* diff=x\n");
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		IN("root/r", "-c", "core.fsmonitor=false", "-c", "core.pager=cat", "config", harmless[i][0],
		    strcmp(harmless[i][1], "evil") == 0 ? evil : harmless[i][1]);
	IN("root/r", "-c", "core.fsmonitor=false", "config", "core.hooksPath", fx_path("root/hooks"));
	unlink(fx_path("root/ran"));
	fx_put("root/r/a", "changed\n");
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	fx_ok(fx_run("git_diff", "{'repo_path':'r'}"));
	assert_non_null(strstr(fx_str("files.0.patch"), "+changed"));
	fx_ok(fx_run("git_log", "{'repo_path':'r'}"));
	fx_ok(fx_run("git_commit", "{'repo_path':'r','message':'x','all':true}"));
	fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'topic','create':true}"));
	fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'main'}"));
	fx_ok(fx_run("git_push", "{'repo_path':'r'}"));
	commit_in("root/other", "y", "theirs");
	IN("root/other", "pull", "-q", "--rebase");
	IN("root/other", "push", "-q");
	fx_ok(fx_run("git_pull", "{'repo_path':'r'}"));
	assert_int_equal(fx.percent, 100);
	assert_null(strstr(buf_str(&fx.log), "%"));
	assert_true(fx_true("updated"));
	assert_int_equal(access(fx_path("root/ran"), F_OK), -1);
	IN("root/r", "config", "--remove-section", "core");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		IN("root/r", "config", refused[i][0], refused[i][1]);
		fx_failed(fx_run("git_status", "{'repo_path':'r'}"), ERR_DENIED, NULL);
		IN("root/r", "config", "--unset", refused[i][0]);
	}
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_int_equal(access(fx_path("root/ran"), F_OK), -1);
	free((char *)(uintptr_t)evil);
}

static void
values_are_never_read_as_options(void **state)
{
	static const char *const calls[][2] = {
		{ "git_log", "'ref':'--output=/tmp/uw-never'" }, { "git_log", "'ref':'-n1'" },
		{ "git_checkout", "'ref':'--orphan'" }, { "git_diff", "'from':'--output=x'" },
		{ "git_push", "'remote':'--receive-pack=evil'" },
		{ "git_pull", "'remote':'--upload-pack=evil'" },
		{ "git_pull", "'remote':'ext::sh'" }, { "git_push", "'branch':'+main'" },
		{ "git_push", "'branch':'a:b'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		fx_failed(fx_run(calls[i][0], "{'repo_path':'r',%s}", calls[i][1]), ERR_INVALID, NULL);
	fx_put("root/r/-rf", "x");
	fx_ok(fx_run("git_commit", "{'repo_path':'r','message':'--amend','paths':['-rf']}"));
	fx_ok(fx_run("git_log", "{'repo_path':'r','path':'-rf','author':'--x','since':'2000-01-01'}"));
	assert_int_equal(fx_int("listed"), 0);
	fx_ok(fx_run("git_log", "{'repo_path':'r','path':'-rf'}"));
	assert_string_equal(fx_str("commits.0.subject"), "--amend");
	fx_ok(fx_run("git_diff", "{'repo_path':'r','paths':['--cached',':(top)a']}"));
}

static void
the_log_comes_in_pages(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		char text[32];

		snprintf(text, sizeof text, "commit %d", i);
		commit_in("root/r", i % 2 ? "odd" : "even", text);
	}
	fx_ok(fx_run("git_log", "{'repo_path':'r','max_count':2}"));
	assert_int_equal(fx_int("listed"), 2);
	assert_true(fx_true("truncated"));
	assert_string_equal(fx_str("commits.0.subject"), "commit 4");
	assert_string_equal(fx_str("commits.0.author.email"), "t@example.org");
	assert_int_equal(strlen(fx_str("commits.0.commit")), 40);
	fx_ok(fx_run("git_log", "{'repo_path':'r','max_count':4,'skip':%d}", (int)fx_int("next_skip")));
	assert_int_equal(fx_int("listed"), 4);
	assert_false(fx_true("truncated"));
	assert_int_equal(cJSON_GetArraySize(fx_at("commits.3.parents")), 0);
	fx_ok(fx_run("git_log", "{'repo_path':'r','path':'odd'}"));
	assert_int_equal(fx_int("listed"), 2);
	fx_failed(fx_run("git_log", "{'repo_path':'r','ref':'nothere'}"), ERR_NOT_FOUND, "params.ref");
	fx_failed(fx_run("git_log", "{'repo_path':'r','ref':'HEAD..main'}"), ERR_NOT_FOUND, "params.ref");
	fx.max_output = 2200;
	fx_ok(fx_run("git_log", "{'repo_path':'r'}"));
	assert_true(fx_true("truncated"));
	assert_true(fx_int("listed") >= 1 && fx_int("listed") < 6);
}

static void
messages_of_any_shape_survive(void **state)
{
	(void)state;
	fx_ok(fx_run("git_commit", "{'repo_path':'r','message':'# not a comment\\n\\nbody \\u00e4\\n\\u001f "
	    "and \\\"\\n',"
	    "'allow_empty':true,'author_name':'A B','author_email':'a@b.c'}"));
	fx_ok(fx_run("git_log", "{'repo_path':'r','max_count':1}"));
	assert_string_equal(fx_str("commits.0.subject"), "# not a comment");
	assert_string_equal(fx_str("commits.0.body"), "body \xc3\xa4\n\x1f and \"");
	assert_string_equal(fx_str("commits.0.author.name"), "A B");
	assert_string_equal(fx_str("commits.0.committer.name"), "House");
}

static void
a_diff_shares_its_patch_among_the_files(void **state)
{
	char big[12000] = "";

	(void)state;
	fx_put("root/r/b", "a line that stays\nanother\nthird\n");
	assert_int_equal(symlink("a", fx_path("root/r/link")), 0);
	IN("root/r", "add", "-A");
	IN("root/r", "commit", "-q", "-m", "two");
	fx_put("root/r/a", "one\nmore\n");
	assert_int_equal(rename(fx_path("root/r/b"), fx_path("root/r/moved")), 0);
	assert_int_equal(unlink(fx_path("root/r/link")), 0);
	fx_put("root/r/link", "now a file\n");
	IN("root/r", "add", "-A");
	fx_put("root/r/z", "unstaged");
	fx_ok(fx_run("git_diff", "{'repo_path':'r'}"));
	assert_int_equal(fx_int("files_changed"), 0);
	fx_ok(fx_run("git_diff", "{'repo_path':'r','staged':true}"));
	assert_int_equal(fx_int("files_changed"), 3);
	assert_string_equal(fx_str("files.0.path"), "a");
	assert_int_equal(fx_int("files.0.insertions"), 1);
	assert_non_null(strstr(fx_str("files.0.patch"), "+more"));
	assert_string_equal(fx_str("files.1.change"), "type changed");
	assert_non_null(strstr(fx_str("files.1.patch"), "+now a file"));
	assert_string_equal(fx_str("files.2.from"), "b");
	assert_non_null(strstr(fx_str("files.2.patch"), "rename to moved"));
	fx_ok(fx_run("git_diff", "{'repo_path':'r','from':'HEAD~1','to':'HEAD'}"));
	assert_int_equal(fx_int("files_changed"), 2);
	assert_string_equal(fx_str("files.0.change"), "added");
	for (int i = 0; i < 1000; i++)
		snprintf(big + strlen(big), 16, "line %d\n", i);
	fx_put("root/r/a", big);
	fx.max_output = 6000;
	fx_ok(fx_run("git_diff", "{'repo_path':'r'}"));
	assert_true(fx_true("truncated"));
	assert_true(fx_true("files.0.patch_truncated"));
	assert_int_equal(fx_int("files.0.insertions"), 1000);
	assert_true(fx_int("patch_bytes") > 6000);
	fx_failed(fx_run("git_diff", "{'repo_path':'r','to':'HEAD'}"), ERR_INVALID, "params.to");
}

static void
conflicts_are_seen_as_such(void **state)
{
	(void)state;
	IN("root/r", "checkout", "-q", "-b", "side");
	commit_in("root/r", "a", "side\n");
	IN("root/r", "checkout", "-q", "main");
	commit_in("root/r", "a", "main\n");
	fx_exec(1, (const char *const[]){ "git", "-C", fx_path("root/r"), "merge", "-q", "side", NULL });
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_int_equal(fx_int("conflicts"), 1);
	assert_string_equal(fx_str("in_progress"), "merge");
	assert_string_equal(fx_str("entries.0.state"), "conflict");
	fx_ok(fx_run("git_diff", "{'repo_path':'r'}"));
	assert_int_equal(fx_int("files_changed"), 1);
	assert_string_equal(fx_str("files.0.change"), "unmerged");
	assert_non_null(strstr(fx_str("files.0.patch"), "<<<<<<<"));
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m'}"), ERR_WRONG_STATE, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'side'}"), ERR_WRONG_STATE, NULL);
	fx_failed(fx_run("git_pull", "{'repo_path':'r'}"), ERR_WRONG_STATE, NULL);
}

static void
branches_are_listed_with_their_upstreams(void **state)
{
	(void)state;
	make_remote();
	commit_in("root/r", "b", "two");
	IN("root/r", "branch", "topic/one", "HEAD~1");
	fx_ok(fx_run("git_branch_list", "{'repo_path':'r','remotes':true}"));
	assert_int_equal(fx_int("total"), 3);
	assert_string_equal(fx_str("branches.0.name"), "main");
	assert_true(fx_true("branches.0.current"));
	assert_int_equal(fx_int("branches.0.ahead"), 1);
	assert_string_equal(fx_str("branches.0.subject"), "two");
	fx_ok(fx_run("git_branch_list", "{'repo_path':'r','match':'topic/*'}"));
	assert_int_equal(fx_int("total"), 1);
	fx_ok(fx_run("git_branch_list", "{'repo_path':'r','max_branches':1}"));
	assert_true(fx_true("truncated"));
	assert_int_equal(fx_int("total"), 2);
}

static void
checking_out_keeps_local_changes_or_is_refused(void **state)
{
	(void)state;
	make_remote();
	IN("root/other", "checkout", "-q", "-b", "theirs");
	commit_in("root/other", "t", "t");
	IN("root/other", "push", "-q", "origin", "theirs");
	IN("root/r", "fetch", "-q");
	fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'theirs'}"));
	assert_string_equal(fx_str("upstream"), "origin/theirs");
	assert_string_equal(fx_str("previous_branch"), "main");
	assert_true(fx_true("changed"));
	fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'theirs'}"));
	assert_false(fx_true("changed"));
	fx_put("root/r/t", "mine");
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'main'}"), ERR_WRONG_STATE, NULL);
	assert_string_equal(fx_get("root/r/t"), "mine");
	IN("root/r", "checkout", "-q", "--", "t");
	fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'main~0'}"));
	assert_true(fx_true("detached"));
	for (int i = 0; i < 2; i++) {
		fx_ok(fx_run("git_checkout", "{'repo_path':'r','ref':'new','create':true,'start':'main'}"));
		assert_string_equal(fx_str("branch"), "new");
	}
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'new','create':true,'start':'theirs'}"),
	    ERR_CONFLICT, "params.ref");
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'a..b','create':true}"), ERR_INVALID,
	    "params.ref");
	/* A file's name is not taken for a branch. */
	fx_failed(fx_run("git_checkout", "{'repo_path':'r','ref':'a'}"), ERR_NOT_FOUND, "params.ref");
}

static void
a_branch_has_a_working_tree_of_its_own(void **state)
{
	char first[80];

	(void)state;
	for (int i = 0; i < 2; i++) {
		fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
		assert_int_equal(fx_true("changed"), i == 0);
		assert_string_equal(fx_str("path"), fx_path("root/seven"));
		assert_string_equal(fx_str("branch"), "issue-7");
	}
	snprintf(first, sizeof first, "%s", fx_str("commit"));
	/* Work on another goes on beside it, and neither sees the other. */
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'%s','ref':'issue-8','start':'main'}", fx_path("root/eight")));
	fx_put("root/seven/a", "seven\n");
	fx_put("root/eight/b", "eight\n");
	fx_ok(fx_run("git_commit", "{'repo_path':'seven','message':'seven','all':true}"));
	assert_string_equal(fx_str("branch"), "issue-7");
	fx_ok(fx_run("git_commit", "{'repo_path':'eight','message':'eight','paths':['b']}"));
	assert_string_equal(fx_get("root/eight/a"), "one\n");
	assert_string_equal(fx_get("root/r/a"), "one\n");
	fx_ok(fx_run("git_diff", "{'repo_path':'r','from':'main','to':'issue-8'}"));
	assert_int_equal(fx_int("files_changed"), 1);
	/* One that has grown is the same. */
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
	assert_string_not_equal(fx_str("commit"), first);

	/* Another, or something else, is not taken over. */
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-8'}"), ERR_CONFLICT, "params.path");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'nine','ref':'issue-8'}"), ERR_WRONG_STATE, NULL);
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'nine','ref':'issue-9'}"), ERR_NOT_FOUND, "params.ref");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'nine','ref':'a..b','start':'main'}"), ERR_INVALID, NULL);
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'nine'}"), ERR_MISSING, "params.ref");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'r','ref':'main'}"), ERR_CONFLICT, "params.path");
	EXEC("mkdir", fx_path("root/other"));
	fx_put("root/other/x", "x");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'other','ref':'x','start':'main'}"), ERR_CONFLICT, "params.path");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'no/where','ref':'x','start':'main'}"), ERR_NOT_FOUND, "params.path");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'%s','ref':'x','start':'main'}", fx_path("outside/x")), ERR_PATH,
	    "params.path");
}

static void
a_working_tree_is_taken_away_with_nothing_lost(void **state)
{
	(void)state;
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
	fx_put("root/seven/b", "not committed\n");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'seven','remove':true}"), ERR_WRONG_STATE, NULL);
	assert_string_equal(fx_get("root/seven/b"), "not committed\n");
	fx_ok(fx_run("git_commit", "{'repo_path':'seven','message':'b','paths':['b']}"));
	for (int i = 0; i < 2; i++) {
		fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','remove':true}"));
		assert_int_equal(fx_true("changed"), i == 0);
		assert_int_equal(access(fx_path("root/seven"), F_OK), -1);
	}
	fx_ok(fx_run("git_log", "{'repo_path':'r','ref':'issue-7'}"));
	assert_string_equal(fx_str("commits.0.subject"), "b");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'r','remove':true}"), ERR_CONFLICT, "params.path");
	EXEC("mkdir", fx_path("root/other"));
	fx_put("root/other/x", "x");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'other','remove':true}"), ERR_CONFLICT, "params.path");
	assert_string_equal(fx_get("root/other/x"), "x");
}

/* Killed while it is made, git leaves files out, and the mark that it has not ended: whoever commits there would take them away. */
static void
a_working_tree_that_is_half_there_is_made_anew(void **state)
{
	(void)state;
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
	fx_put("root/r/.git/worktrees/seven/locked", "initializing");
	unlink(fx_path("root/seven/a"));
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
	assert_true(fx_true("changed"));
	assert_string_equal(fx_get("root/seven/a"), "one\n");
	/* Or somebody took it away by hand. */
	EXEC("rm", "-r", fx_path("root/seven"));
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','ref':'issue-7','start':'main'}"));
	assert_true(fx_true("changed"));
	assert_string_equal(fx_get("root/seven/a"), "one\n");
	EXEC("rm", "-r", fx_path("root/seven"));
	fx_ok(fx_run("git_worktree", "{'repo_path':'r','path':'seven','remove':true}"));
	assert_int_equal(access(fx_path("root/r/.git/worktrees/seven"), F_OK), -1);
}

static void
a_commit_says_whether_it_had_an_effect(void **state)
{
	char head[65];

	(void)state;
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m'}"), ERR_WRONG_STATE, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':' \\n'}"), ERR_INVALID, "params.message");
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','paths':['none']}"), ERR_NOT_FOUND,
	    NULL);
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','paths':['../outside']}"), ERR_PATH,
	    NULL);
	assert_false(fx.effect);
	fx_put("root/r/a", "two\n");
	fx_put("root/r/n", "new\n");
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','all':true,'expected_head':'%040d'}",
	    1),
	    ERR_CONFLICT, "params.expected_head");
	fx_ok(fx_run("git_commit", "{'repo_path':'r','message':'two','all':true}"));
	assert_true(fx.effect);
	assert_int_equal(fx_int("files_changed"), 1);
	snprintf(head, sizeof head, "%s", fx_str("commit"));
	fx_ok(fx_run("git_commit", "{'repo_path':'r','message':'three','paths':['n'],'expected_head':'%s'}",
	    head));
	assert_string_equal(fx_str("parent"), head);
	/* A name that git will not take: the commit fails, and HEAD shows that nothing came of it. */
	fx_put("root/r/a", "three\n");
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','all':true,'author_name':'<>'}"),
	    ERR_INVALID, NULL);
	assert_false(fx.effect);
	fx_put("root/r/.git/index.lock", "");
	fx_failed(fx_run("git_commit", "{'repo_path':'r','message':'m','all':true}"), ERR_BUSY, NULL);
	assert_non_null(strstr(fx.e.msg, "remove it"));
}

static void
a_pull_forwards_merges_or_leaves_everything_as_it_was(void **state)
{
	(void)state;
	fx_failed(fx_run("git_pull", "{'repo_path':'r'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "no upstream"));
	make_remote();
	fx_ok(fx_run("git_pull", "{'repo_path':'r'}"));
	assert_false(fx_true("updated"));
	commit_in("root/other", "x", "theirs");
	IN("root/other", "push", "-q");
	fx_ok(fx_run("git_pull", "{'repo_path':'r'}"));
	assert_true(fx_true("fast_forward"));
	assert_int_equal(fx_int("files_changed"), 1);
	assert_string_equal(fx_get("root/r/x"), "theirs");

	commit_in("root/other", "y", "theirs");
	IN("root/other", "push", "-q");
	commit_in("root/r", "z", "ours");
	fx_failed(fx_run("git_pull", "{'repo_path':'r'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "diverged (1 commits here, 1 there)"));
	fx_ok(fx_run("git_pull", "{'repo_path':'r','strategy':'merge'}"));
	assert_true(fx_true("updated"));
	assert_false(fx_true("fast_forward"));

	commit_in("root/other", "a", "theirs\n");
	IN("root/other", "push", "-q");
	commit_in("root/r", "a", "ours\n");
	fx_failed(fx_run("git_pull", "{'repo_path':'r','strategy':'merge'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "conflicts in 1 files (a)"));
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_true(fx_true("clean"));
	assert_string_equal(fx_get("root/r/a"), "ours\n");

	fx_failed(fx_run("git_pull", "{'repo_path':'r','remote':'nowhere'}"), ERR_NOT_FOUND, "params.remote");
	fx_failed(fx_run("git_pull", "{'repo_path':'r','branch':'nothere'}"), ERR_NOT_FOUND, NULL);
}

static void
a_pull_over_local_changes_is_refused(void **state)
{
	(void)state;
	make_remote();
	commit_in("root/other", "a", "theirs\n");
	IN("root/other", "push", "-q");
	fx_put("root/r/a", "mine\n");
	fx_failed(fx_run("git_pull", "{'repo_path':'r'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "commit or stash"));
	assert_string_equal(fx_get("root/r/a"), "mine\n");
}

static void
remotes_outside_of_the_roots_are_refused(void **state)
{
	static const char *const tools[] = { "git_pull", "git_push" };
	char other[PATH_MAX];

	(void)state;
	EXEC("git", "clone", "-q", "--bare", fx_path("root/r"), fx_path("outside/hub.git"));
	snprintf(other, sizeof other, "x:%s", fx_path("outside/hub.git"));
	for (size_t i = 0; i < 2; i++) {
		IN("root/r", "config", "remote.origin.url", fx_path("outside/hub.git"));
		fx_failed(fx_run(tools[i], "{'repo_path':'r','remote':'origin'}"), ERR_PATH, "params.remote");
		IN("root/r", "config", "remote.origin.url", "../../outside/hub.git");
		fx_failed(fx_run(tools[i], "{'repo_path':'r','remote':'origin'}"), ERR_PATH, "params.remote");
		IN("root/r", "config", "remote.origin.url", other);
		IN("root/r", "config", "url.file://.insteadOf", "x:");
		fx_failed(fx_run(tools[i], "{'repo_path':'r','remote':'origin'}"), ERR_PATH, "params.remote");
		IN("root/r", "config", "--unset", "url.file://.insteadOf");
		IN("root/r", "config", "remote.origin.url", "ext::touch /tmp/uw-never");
		fx_failed(fx_run(tools[i], "{'repo_path':'r','remote':'origin'}"), ERR_DENIED, NULL);
	}
	assert_false(fx.effect);
}

static void
a_push_that_is_refused_had_no_effect(void **state)
{
	char theirs[65];

	(void)state;
	fx_failed(fx_run("git_push", "{'repo_path':'r'}"), ERR_NOT_FOUND, "params.remote");
	make_remote();
	commit_in("root/r", "b", "ours");
	fx_ok(fx_run("git_push", "{'repo_path':'r'}"));
	assert_true(fx.effect);
	assert_true(fx_true("pushed"));
	fx_ok(fx_run("git_push", "{'repo_path':'r'}"));
	assert_false(fx_true("pushed"));
	commit_in("root/other", "x", "theirs");
	IN("root/other", "pull", "-q", "--rebase");
	IN("root/other", "push", "-q");
	commit_in("root/r", "c", "more");
	fx_failed(fx_run("git_push", "{'repo_path':'r'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "pull first"));
	assert_false(fx.effect);
	fx_failed(fx_run("git_push", "{'repo_path':'r','expected_remote':'%040d'}", 1), ERR_CONFLICT, NULL);
	assert_false(fx.effect);
	IN("root/r", "fetch", "-q");
	fx_ok(fx_run("git_log", "{'repo_path':'r','ref':'origin/main'}"));
	snprintf(theirs, sizeof theirs, "%s", fx_str("from"));
	fx_ok(fx_run("git_push", "{'repo_path':'r','expected_remote':'%s'}", theirs));
	assert_true(fx_true("forced"));
	IN("root/r", "checkout", "-q", "-b", "topic");
	fx_ok(fx_run("git_push", "{'repo_path':'r','set_upstream':true}"));
	assert_true(fx_true("created"));
	fx_ok(fx_run("git_status", "{'repo_path':'r'}"));
	assert_string_equal(fx_str("upstream"), "origin/topic");
}

static void
a_remote_that_says_no_is_reported_with_its_reason(void **state)
{
	(void)state;
	make_remote();
	IN("root/hub.git", "config", "receive.denyNonFastForwards", "true");
	IN("root/hub.git", "config", "receive.hideRefs", "refs/heads/main");
	commit_in("root/r", "b", "ours");
	fx_failed(fx_run("git_push", "{'repo_path':'r'}"), ERR_DENIED, NULL);
	assert_false(fx.effect);
	put_program("root/hub.git/hooks/update", "#!/bin/sh\nexit 1\n");
	fx_failed(fx_run("git_push", "{'repo_path':'r'}"), ERR_DENIED, NULL);
	assert_non_null(strstr(fx.e.msg, "hook update"));
}

static void
a_remote_that_is_not_there_says_so(void **state)
{
	(void)state;
	IN("root/r", "remote", "add", "origin", "http://user:hunter2@127.0.0.1:1/x.git");
	fx_failed(fx_run("git_push", "{'repo_path':'r'}"), ERR_NETWORK, NULL);
	assert_null(strstr(fx.e.msg, "hunter2"));
	fx_failed(fx_run("git_pull", "{'repo_path':'r','remote':'origin'}"), ERR_NETWORK, NULL);
	assert_null(strstr(fx.e.msg, "hunter2"));
}

static void
only_writable_roots_are_written(void **state)
{
	char repo[PATH_MAX];

	(void)state;
	EXEC("git", "clone", "-q", fx_path("root/r"), fx_path("ro/r"));
	snprintf(repo, sizeof repo, "%s", fx_path("ro/r"));
	fx_ok(fx_run("git_status", "{'repo_path':'%s'}", repo));
	fx_failed(fx_run("git_commit", "{'repo_path':'%s','message':'m'}", repo), ERR_PATH,
	    "params.repo_path");
	fx_failed(fx_run("git_checkout", "{'repo_path':'%s','ref':'main'}", repo), ERR_PATH,
	    "params.repo_path");
	fx_failed(fx_run("git_pull", "{'repo_path':'%s'}", repo), ERR_PATH, "params.repo_path");
	fx_failed(fx_run("git_push", "{'repo_path':'%s'}", repo), ERR_PATH, "params.repo_path");
	fx_failed(fx_run("git_worktree", "{'repo_path':'%s','path':'t','ref':'x','start':'main'}", repo), ERR_PATH, "params.repo_path");
	fx_failed(fx_run("git_worktree", "{'repo_path':'r','path':'%s','ref':'x','start':'main'}", fx_path("ro/t")), ERR_PATH,
	    "params.path");
}

#define T(f) cmocka_unit_test_setup_teardown(f, git_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(status_tells_each_kind_of_change),
		T(an_empty_repository_is_no_error),
		T(what_is_no_repository_is_told_so),
		T(no_git_directory_leads_out_of_the_roots),
		T(no_part_of_a_git_directory_leads_out_of_the_roots),
		T(working_trees_and_submodules_that_stay_inside_work),
		T(a_repository_starts_no_program_of_its_own),
		T(values_are_never_read_as_options),
		T(the_log_comes_in_pages),
		T(messages_of_any_shape_survive),
		T(a_diff_shares_its_patch_among_the_files),
		T(conflicts_are_seen_as_such),
		T(branches_are_listed_with_their_upstreams),
		T(checking_out_keeps_local_changes_or_is_refused),
		T(a_branch_has_a_working_tree_of_its_own),
		T(a_working_tree_is_taken_away_with_nothing_lost),
		T(a_working_tree_that_is_half_there_is_made_anew),
		T(a_commit_says_whether_it_had_an_effect),
		T(a_pull_forwards_merges_or_leaves_everything_as_it_was),
		T(a_pull_over_local_changes_is_refused),
		T(remotes_outside_of_the_roots_are_refused),
		T(a_push_that_is_refused_had_no_effect),
		T(a_remote_that_says_no_is_reported_with_its_reason),
		T(a_remote_that_is_not_there_says_so),
		T(only_writable_roots_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
