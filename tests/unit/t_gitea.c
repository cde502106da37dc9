/* The client of Gitea and the tools that use it, against the double of tests/gitea; without node only what needs no server. */
#include "tooltest.h"

#include <signal.h>

#include "gitea.h"
#include "http.h"

#define TOKEN "t-allegro-s3cret"
#define REPO "timmy/work"
#define PATIENCE_MS 30000       /* with a machine that does something else; nothing here waits for it to end */
#define SHA "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static pid_t double_pid, tls_pid;
static char url[64], control[64];
static struct gitea *g;
static struct err e;
static char sentence[sizeof e.msg];

/* The double */

/* What it prints; NULL where there is no node. */
static char *
double_start(pid_t *pid, const char *option, const char *value)
{
	static char line[128];
	int out[2];
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	*pid = fork();
	if (*pid == 0) {
		dup2(out[1], 1);
		alarm(600);     /* whatever becomes of us */
		execlp("node", "node", "tests/gitea/gitea.mjs", value ? option : NULL, value, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	n = read(out[0], line, sizeof line - 1);
	close(out[0]);
	if (n > 0)
		line[n] = '\0';
	return n > 0 ? line : NULL;
}

static void
command(const char *method, const char *path, const char *json, struct buf *out)
{
	struct http_request q = { .method = method, .post = json, .post_len = json ? strlen(json) : 0, .content_type = "application/json",
		.timeout_ms = PATIENCE_MS, .connect_ms = PATIENCE_MS, .max_body = 8u << 20 };
	struct http_answer a;
	char to[128];

	snprintf(to, sizeof to, "%s%s", control, path);
	q.url = to;
	assert_int_equal(http_run(&q, &a, &e), 0);
	assert_int_equal(a.status, 200);
	if (out)
		buf_add(out, a.body.data, a.body.len);
	http_answer_release(&a);
}

static void
fault(const char *json)
{
	command("POST", "/faults", json, NULL);
}

/* How many requests there were whose method and path begin so. */
static int
asked(const char *method, const char *path)
{
	struct buf b = { .max = 8u << 20 };
	const cJSON *one;
	cJSON *all;
	int n = 0;

	command("GET", "/requests", NULL, &b);
	all = json_parse(buf_str(&b), b.len, &e);
	assert_non_null(all);
	cJSON_ArrayForEach(one, all)
		n += strcmp(json_text(one, "method"), method) == 0 &&
		    strncmp(json_text(one, "path"), path, strlen(path)) == 0;
	cJSON_Delete(all);
	buf_free(&b);
	return n;
}

static struct gitea *
open_as(const char *token, int64_t each_us)
{
	struct gitea_options o = { .url = url, .token = token, .each_us = each_us, .timeout_ms = PATIENCE_MS };
	struct gitea *one = gitea_open(&o, &e);

	assert_non_null(one);
	return one;
}

static void
ok(int rc)
{
	if (rc)
		fail_msg("%s: %s", gitea_kind_name(gitea_failure(g)->kind), e.msg);
}

static void
bad(int rc, enum gitea_kind kind, bool unsure)
{
	if (rc == 0)
		fail_msg("it went well");
	if (gitea_failure(g)->kind != kind)
		fail_msg("expected %s, got %s: %s", gitea_kind_name(kind), gitea_kind_name(gitea_failure(g)->kind), e.msg);
	assert_int_equal(gitea_failure(g)->unsure, unsure);
	assert_null(strstr(e.msg, TOKEN));
	snprintf(sentence, sizeof sentence, "%s", e.msg);
	e = (struct err){ 0 };
}

static int64_t
new_issue(const char *title)
{
	struct gitea_issue_new n = { .title = title };
	struct gitea_issue i;
	cJSON *o;

	ok(gitea_issue_create(g, REPO, &n, &o, &e));
	ok(gitea_issue_read(o, &i, &e));
	cJSON_Delete(o);
	return i.number;
}

static bool
count(void *arg, const cJSON *item)
{
	(void)item;
	++*(int *)arg;
	return true;
}

static int
comments_of(int64_t number)
{
	int n = 0;

	ok(gitea_comments(g, REPO, number, NULL, count, &n, &e));
	return n;
}

static int
setup_all(void **state)
{
	/* GITEA_RECORD: a file for all that is asked. */
	char *line = double_start(&double_pid, "--record", getenv("GITEA_RECORD"));
	int api, other;

	fx_setup(state);
	if (!line)
		return 0;
	assert_int_equal(sscanf(line, "gitea: api %d control %d", &api, &other), 2);
	snprintf(url, sizeof url, "http://127.0.0.1:%d/", api);
	snprintf(control, sizeof control, "http://127.0.0.1:%d", other);
	command("POST", "/users", "{\"login\":\"allegro\",\"token\":\"" TOKEN "\"}", NULL);
	command("POST", "/users", "{\"login\":\"reader\",\"token\":\"t-reader\",\"scopes\":[\"read:issue\",\"read:user\"]}", NULL);
	command("POST", "/users", "{\"login\":\"mallory\",\"token\":\"t-mallory\"}", NULL);
	command("POST", "/repos", "{\"full_name\":\"" REPO "\",\"writers\":[\"allegro\"],\"org_labels\":[\"house/ezra\",\"house/bezalel\"],"
	    "\"branches\":{\"main\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"fix/a b\":\"" SHA "\",\"same\":"
	    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"two\":\"cccccccccccccccccccccccccccccccccccccccc\"}}", NULL);
	command("POST", "/repos", "{\"full_name\":\"timmy/old\",\"writers\":[\"allegro\"],\"archived\":true}", NULL);
	command("POST", "/repos", "{\"full_name\":\"timmy/secret\",\"private\":true}", NULL);
	fx.config.gitea = (struct config_gitea){ .url = url, .token = (char *)(uintptr_t)"GITEA", .burst = 100, .each_us = 1000,
		.timeout_s = PATIENCE_MS / 1000, .repositories = { .v = { (char *)(uintptr_t)REPO, (char *)(uintptr_t)"timmy/old" }, .n = 2 } };
	fx.config.secrets[fx.config.nsecrets++] =
	    (struct config_secret){ .name = (char *)(uintptr_t)"GITEA", .value = (char *)(uintptr_t)TOKEN };
	return 0;
}

static int
teardown_all(void **state)
{
	kill(double_pid, SIGKILL);
	waitpid(double_pid, NULL, 0);
	if (tls_pid) {
		kill(tls_pid, SIGKILL);
		waitpid(tls_pid, NULL, 0);
	}
	return fx_teardown(state);
}

static int
setup(void **state)
{
	(void)state;
	if (!control[0])
		return 0;
	command("DELETE", "/faults", NULL, NULL);
	command("DELETE", "/requests", NULL, NULL);
	e = (struct err){ 0 };
	g = open_as(TOKEN, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	gitea_close(g);
	g = NULL;
	return 0;
}

#define NEEDS_DOUBLE                                                                          \
	do {                                                                                  \
		(void)state;                                                                  \
		if (!control[0]) {                                                            \
			print_message("# needs node (apt-get install nodejs)\n");             \
			skip();                                                               \
		}                                                                             \
	} while (0)

/* Without a server */

static void
of_a_link_header_the_number_of_the_next_page_counts(void **state)
{
	static const struct {
		const char *link;
		int64_t next;
	} cases[] = {
		{ "<http://x/api/v1/i?limit=2&page=2&state=open>; rel=\"next\",<http://x/i?page=4>; rel=\"last\"", 2 },
		{ "<http://x/i?page=1>; rel=\"first\", <http://x/i?page=7>; rel=\"next\"", 7 },
		{ "<http://x/i?page=3>; rel=\"last\",<http://x/i?page=1>; rel=\"first\"", 0 },
		{ "<http://x/i?page=3>;title=\"a\" ; rel=next", 3 },
		{ "<http://x/i?per_page=3&page=5#page=9>; rel=\"next\"", 5 },
		{ "<http://x/i?q=%2Cpage=8>; rel=\"next\"", 0 },
		{ "<http://x/i?page=>; rel=\"next\"", 0 },
		{ "<http://x/i?page=2x>; rel=\"next\"", 0 },
		{ "<http://x/i?page=99999999999999999999>; rel=\"next\"", 0 },
		{ "<http://x/i>; rel=\"next\"", 0 },
		{ "<http://x/i?page=2; rel=\"next\"", 0 },
		{ "", 0 }, { "<", 0 }, { "<>", 0 }, { ">;rel=next<", 0 }, { "<?page=2>", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (gitea_link_next(cases[i].link) != cases[i].next)
			fail_msg("%s: %lld", cases[i].link, (long long)gitea_link_next(cases[i].link));
}

static void
readers_take_null_for_what_is_absent_and_name_what_is_wrong(void **state)
{
	static const char issue[] = "{\"id\":7,\"number\":3,\"title\":\"t\",\"body\":null,\"state\":\"open\",\"labels\":null,"
	    "\"assignees\":null,\"user\":{\"login\":\"ezra\"},\"pull_request\":{\"merged\":true}}";
	struct gitea_issue i;
	cJSON *o = json_parse(issue, strlen(issue), &e);

	(void)state;
	assert_int_equal(gitea_issue_read(o, &i, &e), 0);
	assert_string_equal(i.author, "ezra");
	assert_string_equal(i.body, "");
	assert_string_equal(i.updated_at, "");
	assert_null(i.labels);
	assert_true(i.is_pull && i.merged);
	cJSON_ReplaceItemInObjectCaseSensitive(o, "number", cJSON_CreateString("3"));
	assert_int_equal(gitea_issue_read(o, &i, &e), -1);
	assert_string_equal(e.field, "number");
	cJSON_DeleteItemFromObjectCaseSensitive(o, "number");
	assert_int_equal(gitea_issue_read(o, &i, &e), -1);
	assert_int_equal(e.code, ERR_MISSING);
	cJSON_Delete(o);
	assert_int_equal(gitea_issue_read(NULL, &i, &e), -1);
}

static void
a_marker_is_known_again_and_cannot_be_broken_out_of(void **state)
{
	char marker[GITEA_MARKER_MAX];

	(void)state;
	gitea_marker("01J/progress:a-b", marker);
	assert_string_equal(marker, "<!-- uni-wizard:01J/progress:a-b -->");
	assert_true(gitea_is_marked("text\n\n<!-- uni-wizard:01J -->\n", "01J"));
	assert_false(gitea_is_marked("text\n\n<!-- uni-wizard:01J/x -->\n", "01J"));
	assert_true(gitea_id_ok("a-b.c_d:e/f"));
	assert_false(gitea_id_ok("a--b"));
	assert_false(gitea_id_ok("a b"));
	assert_false(gitea_id_ok(""));
}

static void
what_cannot_be_a_url_or_token_is_refused_at_once(void **state)
{
	static const char *const urls[] = { "ftp://x", "x", "http://x/?a", "http://x y", NULL };
	static const char *const tokens[] = { "", "a b", "a\nb", "\xc3\xa4", NULL };

	(void)state;
	for (size_t i = 0; urls[i]; i++)
		assert_null(gitea_open(&(struct gitea_options){ .url = urls[i], .token = "t" }, &e));
	for (size_t i = 0; tokens[i]; i++) {
		assert_null(gitea_open(&(struct gitea_options){ .url = "http://x", .token = tokens[i] }, &e));
		assert_string_equal(e.got, "");
	}
}

static void
nobody_there_is_unreachable(void **state)
{
	(void)state;
	gitea_close(g);
	g = gitea_open(&(struct gitea_options){ .url = "http://127.0.0.1:1", .token = TOKEN }, &e);
	bad(gitea_issue_get(g, REPO, 1, &(cJSON *){ NULL }, &e), GITEA_UNREACHABLE, false);
	bad(gitea_comment_create(g, REPO, 1, "x", NULL, &e), GITEA_UNREACHABLE, false);
}

/* The client */

static void
it_knows_whom_it_speaks_to_and_as_whom(void **state)
{
	char version[64], login[GITEA_LOGIN_MAX];

	NEEDS_DOUBLE;
	ok(gitea_version(g, version, &e));
	assert_string_equal(version, "1.26.3");
	ok(gitea_whoami(g, login, &e));
	ok(gitea_whoami(g, login, &e));
	assert_string_equal(login, "allegro");
	assert_int_equal(asked("GET", "/api/v1/user"), 1);
}

static void
an_issue_is_made_read_edited_and_closed(void **state)
{
	struct gitea_issue_new n = { .title = "T\xc3\xa4st \"<&", .body = "line\n\ttab \xf0\x9f\x90\x9b", .assignees =
	    (const char *const[]){ "reader" }, .nassignees = 1 };
	struct gitea_issue i;
	int64_t number;
	cJSON *o;

	NEEDS_DOUBLE;
	ok(gitea_issue_create(g, REPO, &n, &o, &e));
	ok(gitea_issue_read(o, &i, &e));
	assert_string_equal(i.title, n.title);
	assert_string_equal(i.body, n.body);
	assert_int_equal(cJSON_GetArraySize(i.assignees), 1);
	number = i.number;
	cJSON_Delete(o);
	ok(gitea_issue_edit(g, REPO, number, &(struct gitea_issue_edit){ .state = "closed" }, NULL, &e));
	ok(gitea_issue_get(g, REPO, number, &o, &e));
	ok(gitea_issue_read(o, &i, &e));
	assert_string_equal(i.state, "closed");
	assert_string_equal(i.body, n.body);
	cJSON_Delete(o);
}

static bool
take_number(void *arg, const cJSON *item)
{
	int64_t *last = arg, n = json_number(item, "number", 0);

	assert_true(n < *last);
	*last = n;
	return true;
}

static void
a_listing_goes_through_all_pages_newest_first(void **state)
{
	struct gitea_issue_query q = { .state = "all", .per_page = 7 };
	int64_t last = INT64_MAX, newest = 0;
	int n = 0;

	NEEDS_DOUBLE;
	for (int i = 0; i < 30; i++)
		newest = new_issue("one of many");
	ok(gitea_issues(g, REPO, &q, count, &n, &e));
	assert_int_equal(n, newest);
	ok(gitea_issues(g, REPO, &q, take_number, &last, &e));
	assert_int_equal(last, 1);
	/* A server that gives less than it was asked for is no end. */
	command("POST", "/settings", "{\"max_items\":4}", NULL);
	n = 0;
	ok(gitea_issues(g, REPO, &q, count, &n, &e));
	assert_int_equal(n, newest);
	command("POST", "/settings", "{\"max_items\":50}", NULL);
}

/* Closes one of the first page while the second is asked for: what was on the third moves up. */
struct moving {
	int seen;
	int64_t close, lost;
	bool found;
};

static bool
close_one(void *arg, const cJSON *item)
{
	struct moving *m = arg;

	m->seen++;
	m->found = m->found || json_number(item, "number", 0) == m->lost;
	if (m->seen == 3) {
		struct gitea *other = open_as(TOKEN, 0);

		assert_int_equal(gitea_issue_edit(other, REPO, m->close, &(struct gitea_issue_edit){ .state = "closed" }, NULL, &e), 0);
		gitea_close(other);
	}
	return true;
}

static void
what_moves_to_a_page_that_was_read_is_seen_all_the_same(void **state)
{
	struct gitea_issue_query q = { .state = "open", .per_page = 5 };
	struct moving m = { .close = 0 };
	int64_t newest = 0;
	int open = 0;

	NEEDS_DOUBLE;
	for (int i = 0; i < 12; i++)
		newest = new_issue("it moves");
	ok(gitea_issues(g, REPO, &q, count, &open, &e));
	m.close = newest;
	m.lost = newest - 5;
	ok(gitea_issues(g, REPO, &q, close_one, &m, &e));
	assert_true(m.found);
	assert_int_equal(m.seen, open);
}

static void
since_is_told_in_any_zone(void **state)
{
	struct gitea_issue_query q = { .state = "all" };
	char time[32];
	int n = 0;

	NEEDS_DOUBLE;
	new_issue("new");
	clock_format(clock_wall_ms() + 60000, time, sizeof time);
	q.since = time;
	ok(gitea_issues(g, REPO, &q, count, &n, &e));
	assert_int_equal(n, 0);
	q.since = "2020-01-01T00:00:00+02:00";
	ok(gitea_issues(g, REPO, &q, count, &n, &e));
	assert_true(n > 0);
	q.since = "yesterday";
	bad(gitea_issues(g, REPO, &q, count, &n, &e), GITEA_REFUSED, false);
}

static void
labels_are_those_of_the_repository_and_of_its_organisation(void **state)
{
	int64_t number, id, ids[1];
	struct gitea_label l;
	cJSON *o;
	int n = 0;

	NEEDS_DOUBLE;
	number = new_issue("labelled");
	ok(gitea_label_create(g, REPO, "bug", "#EE0701", "broken", false, &o, &e));
	ok(gitea_label_read(o, &l, &e));
	assert_string_equal(l.color, "ee0701");
	id = l.id;
	cJSON_Delete(o);
	ok(gitea_labels(g, REPO, count, &n, &e));
	assert_int_equal(n, 3);
	ids[0] = id;
	ok(gitea_issue_label_add(g, REPO, number, ids, 1, &o, &e));
	assert_int_equal(cJSON_GetArraySize(o), 1);
	cJSON_Delete(o);
	ok(gitea_issue_label_remove(g, REPO, number, id, &e));
	ok(gitea_issue_label_remove(g, REPO, number, id, &e));
	bad(gitea_label_create(g, REPO, "x", "red", NULL, false, NULL, &e), GITEA_REFUSED, false);
	n = 0;
	ok(gitea_labels(g, "timmy/old", count, &n, &e));
}

static void
each_refusal_is_of_its_kind(void **state)
{
	struct gitea_issue_new n = { .title = "t" };
	struct gitea *reader;
	cJSON *o;
	int k = 0;

	NEEDS_DOUBLE;
	bad(gitea_issue_get(g, REPO, 999999, &o, &e), GITEA_NOT_FOUND, false);
	bad(gitea_issue_get(g, "timmy/secret", 1, &o, &e), GITEA_NOT_FOUND, false);
	assert_non_null(strstr(sentence, "may not see"));
	bad(gitea_issue_create(g, "timmy/old", &n, NULL, &e), GITEA_LOCKED, false);
	n.title = "";
	bad(gitea_issue_create(g, REPO, &n, NULL, &e), GITEA_REFUSED, false);
	assert_non_null(strstr(sentence, "[Title]: Required"));
	bad(gitea_issues(g, REPO, &(struct gitea_issue_query){ .assignee = "nobody" }, count, &k, &e), GITEA_NOT_FOUND, false);
	assert_int_equal(gitea_issue_get(g, "../admin", 1, &o, &e), -1);
	assert_string_equal(e.field, "repository");
	reader = open_as("t-reader", 0);
	assert_int_equal(gitea_comment_create(reader, REPO, 1, "x", NULL, &e), -1);
	assert_int_equal(gitea_failure(reader)->kind, GITEA_FORBIDDEN);
	assert_non_null(strstr(e.msg, "scope"));
	gitea_close(reader);
	reader = open_as("t-unknown", 0);
	assert_int_equal(gitea_issue_get(reader, REPO, 1, &o, &e), -1);
	assert_int_equal(gitea_failure(reader)->kind, GITEA_FORBIDDEN);
	gitea_close(reader);
}

static void
who_is_asked_to_come_later_does(void **state)
{
	cJSON *o;

	NEEDS_DOUBLE;
	new_issue("limited");
	fault("{\"status\":429,\"retry_after\":600}");
	bad(gitea_issue_get(g, REPO, 1, &o, &e), GITEA_LIMITED, false);
	assert_int_equal(gitea_failure(g)->retry_after_s, 600);
	assert_int_equal(gitea_failure(g)->status, 429);
	command("DELETE", "/requests", NULL, NULL);
	bad(gitea_issue_get(g, REPO, 1, &o, &e), GITEA_LIMITED, false);
	assert_int_equal(asked("GET", "/api/v1/"), 0);
	gitea_close(g);
	g = open_as(TOKEN, 0);
	fault("{\"status\":429,\"retry_after\":1}");
	bad(gitea_issue_get(g, REPO, 1, &o, &e), GITEA_LIMITED, false);
	usleep(1100000);
	ok(gitea_issue_get(g, REPO, 1, &o, &e));
	cJSON_Delete(o);
	fault("{\"status\":503,\"retry_after\":7}");
	bad(gitea_issue_get(g, REPO, 1, &o, &e), GITEA_UNAVAILABLE, false);
	assert_int_equal(gitea_failure(g)->retry_after_s, 7);
}

static void
of_a_change_it_says_whether_it_may_have_happened(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	number = new_issue("maybe");
	fault("{\"method\":\"POST\",\"status\":500,\"after\":true}");
	bad(gitea_comment_create(g, REPO, number, "one", NULL, &e), GITEA_UNAVAILABLE, true);
	assert_int_equal(comments_of(number), 1);
	fault("{\"method\":\"POST\",\"cut\":\"after\"}");
	bad(gitea_comment_create(g, REPO, number, "two", NULL, &e), GITEA_UNREACHABLE, true);
	assert_int_equal(gitea_failure(g)->status, 0);
	assert_int_equal(comments_of(number), 2);
	fault("{\"method\":\"POST\",\"cut\":\"before\"}");
	bad(gitea_comment_create(g, REPO, number, "three", NULL, &e), GITEA_UNREACHABLE, true);
	assert_int_equal(comments_of(number), 2);
	/* Each was sent once: nothing below asks again. */
	assert_int_equal(asked("POST", "/api/v1/repos/timmy/work/issues/"), 3);
	fault("{\"method\":\"GET\",\"cut\":\"after\",\"times\":0}");
	bad(gitea_issue_get(g, REPO, number, &(cJSON *){ NULL }, &e), GITEA_UNREACHABLE, false);
}

static void
answers_that_make_no_sense_are_strange(void **state)
{
	struct gitea_issue_query q = { .state = "all" };
	int64_t number;
	int n = 0;
	cJSON *o;

	NEEDS_DOUBLE;
	number = new_issue("strange");
	fault("{\"body\":\"<html>Please log in</html>\"}");
	bad(gitea_issue_get(g, REPO, number, &o, &e), GITEA_STRANGE, false);
	fault("{\"body\":\"{}\"}");
	bad(gitea_issues(g, REPO, &q, count, &n, &e), GITEA_STRANGE, false);
	fault("{\"path\":\"comments\",\"body\":\"{}\"}");
	bad(gitea_comment_once(g, REPO, number, "X", "x", NULL, NULL, &e), GITEA_STRANGE, false);
	fault("{\"body\":\"[],\",\"repeat\":3000000}");
	bad(gitea_issues(g, REPO, &q, count, &n, &e), GITEA_STRANGE, false);
	assert_non_null(strstr(sentence, "8 MiB"));
	fault("{\"link\":\"<http://x/?page=1>; rel=\\\"next\\\"\"}");
	bad(gitea_issues(g, REPO, &q, count, &n, &e), GITEA_STRANGE, false);
	fault("{\"link\":\"<http://x/?page=201>; rel=\\\"next\\\"\"}");
	bad(gitea_issues(g, REPO, &q, count, &n, &e), GITEA_STRANGE, false);
	/* Of a change it may have been the answer all the same. */
	fault("{\"method\":\"POST\",\"body\":\"nonsense\"}");
	bad(gitea_comment_create(g, REPO, number, "x", &o, &e), GITEA_STRANGE, true);
	assert_int_equal(comments_of(number), 1);        /* that one, and none of "X" */
	/* Nor is the token told on that a message echoes. */
	fault("{\"status\":400,\"body\":\"{\\\"message\\\":\\\"bad header: token " TOKEN "\\\"}\"}");
	bad(gitea_issue_get(g, REPO, number, &o, &e), GITEA_REFUSED, false);
}

static void
nobody_is_spoken_to_who_cannot_prove_his_name(void **state)
{
	struct gitea_options none = { .timeout_ms = PATIENCE_MS };
	char version[64], tls_url[64], *line;
	const char *before = fx.config.gitea.url;
	int api, other;

	NEEDS_DOUBLE;
	EXEC("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=gitea",
	    "-addext", "subjectAltName=DNS:localhost", "-keyout", fx_path("key.pem"), "-out", fx_path("cert.pem"));
	EXEC("sh", "-c", "cat \"$1/cert.pem\" \"$1/key.pem\" >\"$1/both.pem\"", "sh", fx.top);
	line = double_start(&tls_pid, "--tls", fx_path("both.pem"));
	assert_non_null(line);
	assert_int_equal(sscanf(line, "gitea: api %d control %d", &api, &other), 2);
	snprintf(tls_url, sizeof tls_url, "https://localhost:%d", api);
	fx.config.gitea.url = tls_url;
	gitea_close(g);
	g = gitea_open_configured(&fx.config, &none, &e);
	bad(gitea_version(g, version, &e), GITEA_UNREACHABLE, false);
	gitea_close(g);
	fx.config.gitea.ca = fx_path("cert.pem");
	g = gitea_open_configured(&fx.config, &none, &e);
	assert_non_null(g);
	bad(gitea_version(g, version, &e), GITEA_FORBIDDEN, false);      /* it answers: it does not know our user */
	gitea_close(g);
	fx.config.gitea.ca = fx_path("key.pem.none");
	g = gitea_open_configured(&fx.config, &none, &e);
	assert_null(g);
	assert_int_equal(e.code, ERR_CONFIG);
	fx.config.gitea.ca = NULL;
	fx.config.gitea.url = (char *)(uintptr_t)before;
}

static bool
stop(void *arg)
{
	return clock_mono_ms() > *(int64_t *)arg;
}

static void
slow_silent_and_cut_answers_end_in_time(void **state)
{
	int64_t until = clock_mono_ms() + 300, began = clock_mono_ms();
	struct gitea_options o = { .url = url, .token = TOKEN, .stop = stop, .arg = &until };
	cJSON *x;

	NEEDS_DOUBLE;
	fault("{\"cut\":\"middle\"}");
	bad(gitea_issue_get(g, REPO, 1, &x, &e), GITEA_UNREACHABLE, false);
	fault("{\"delay_ms\":20000}");
	gitea_deadline(g, clock_mono_ms() + 300);
	bad(gitea_issue_get(g, REPO, 1, &x, &e), GITEA_STOPPED, false);
	gitea_close(g);
	g = gitea_open(&o, &e);
	until = clock_mono_ms() + 300;
	fault("{\"slow\":100}");
	bad(gitea_issue_get(g, REPO, 1, &x, &e), GITEA_STOPPED, false);
	assert_true(clock_mono_ms() - began < 10000);
}

static void
requests_are_made_no_faster_than_allowed(void **state)
{
	int64_t began;
	cJSON *o;

	NEEDS_DOUBLE;
	gitea_close(g);
	g = open_as(TOKEN, 50000);
	began = clock_mono_ms();
	for (int i = 0; i < 7; i++) {
		ok(gitea_issue_get(g, REPO, 1, &o, &e));
		cJSON_Delete(o);
	}
	assert_true(clock_mono_ms() - began >= 300);
	/* Nor later than is of use: it does not wait for its turn. */
	gitea_close(g);
	g = open_as(TOKEN, 60 * INT64_C(1000000));
	ok(gitea_issue_get(g, REPO, 1, &o, &e));
	cJSON_Delete(o);
	gitea_deadline(g, clock_mono_ms() + 10);
	bad(gitea_issue_get(g, REPO, 1, &o, &e), GITEA_STOPPED, false);
}

static void
a_rate_can_be_that_of_many_clients(void **state)
{
	struct gitea_turn turn = { .credit_us = 0 };
	struct gitea_options opt = { .url = url, .token = TOKEN, .each_us = 50000, .turn = &turn };
	int64_t began = clock_mono_ms();
	cJSON *o;

	NEEDS_DOUBLE;
	for (int i = 0; i < 7; i++) {
		gitea_close(g);
		g = gitea_open(&opt, &e);
		ok(gitea_issue_get(g, REPO, 1, &o, &e));
		cJSON_Delete(o);
	}
	assert_true(clock_mono_ms() - began >= 300);
}

static void
a_comment_is_written_once_and_then_edited(void **state)
{
	int64_t number, id;
	enum gitea_once what;
	struct gitea *mallory;
	cJSON *o;

	NEEDS_DOUBLE;
	number = new_issue("commented");
	/* Somebody who quotes the marker is not us. */
	mallory = open_as("t-mallory", 0);
	assert_int_equal(gitea_comment_create(mallory, REPO, number, "<!-- uni-wizard:T1 -->", NULL, &e), 0);
	gitea_close(mallory);
	ok(gitea_comment_once(g, REPO, number, "T1", "accepted", &what, &o, &e));
	assert_int_equal(what, GITEA_CREATED);
	id = json_number(o, "id", 0);
	cJSON_Delete(o);
	ok(gitea_comment_once(g, REPO, number, "T1", "accepted", &what, NULL, &e));
	assert_int_equal(what, GITEA_THERE);
	ok(gitea_comment_once(g, REPO, number, "T1", "done", &what, &o, &e));
	assert_int_equal(what, GITEA_EDITED);
	assert_int_equal(json_number(o, "id", 0), id);
	cJSON_Delete(o);
	ok(gitea_comment_once(g, REPO, number, "T2", "done", &what, NULL, &e));
	assert_int_equal(comments_of(number), 3);
	assert_int_equal(gitea_comment_once(g, REPO, number, "T3", "<!-- uni-wizard:T1 -->", &what, NULL, &e), -1);
	assert_string_equal(e.field, "body");
}

static void
what_may_have_happened_does_not_happen_again(void **state)
{
	struct gitea_issue_new n = { .title = "from a task", .body = "text" };
	struct gitea_pull_new p = { .title = "Fix", .head = "fix/a b", .base = "main" };
	char since[32];
	enum gitea_once what;
	int64_t number;
	int before = 0, after = 0;
	cJSON *o;

	NEEDS_DOUBLE;
	number = new_issue("commented");
	clock_format(clock_wall_ms() - 60000, since, sizeof since);
	ok(gitea_issues(g, REPO, &(struct gitea_issue_query){ .state = "all" }, count, &before, &e));
	fault("{\"method\":\"POST\",\"path\":\"comments\",\"cut\":\"after\"}");
	bad(gitea_comment_once(g, REPO, number, "A", "x", &what, NULL, &e), GITEA_UNREACHABLE, true);
	ok(gitea_comment_once(g, REPO, number, "A", "x", &what, NULL, &e));
	assert_int_equal(what, GITEA_THERE);
	fault("{\"method\":\"POST\",\"status\":502,\"after\":true}");
	bad(gitea_issue_once(g, REPO, "B", since, &n, &what, NULL, &e), GITEA_UNAVAILABLE, true);
	ok(gitea_issue_once(g, REPO, "B", since, &n, &what, &o, &e));
	assert_int_equal(what, GITEA_THERE);
	cJSON_Delete(o);
	fault("{\"method\":\"POST\",\"path\":\"pulls\",\"cut\":\"after\"}");
	bad(gitea_pull_once(g, REPO, "C", since, &p, &what, NULL, &e), GITEA_UNREACHABLE, true);
	ok(gitea_pull_once(g, REPO, "C", since, &p, &what, &o, &e));
	assert_int_equal(what, GITEA_THERE);
	/* Another task of the same branches finds the one that is open. */
	number = json_number(o, "number", 0);
	cJSON_Delete(o);
	ok(gitea_pull_once(g, REPO, "D", since, &p, &what, &o, &e));
	assert_int_equal(what, GITEA_THERE);
	assert_int_equal(json_number(o, "number", 0), number);
	cJSON_Delete(o);
	ok(gitea_issues(g, REPO, &(struct gitea_issue_query){ .state = "all" }, count, &after, &e));
	assert_int_equal(after, before + 2);
	p.head = "same";
	bad(gitea_pull_once(g, REPO, "E", since, &p, &what, NULL, &e), GITEA_REFUSED, false);
	p.head = "gone";
	bad(gitea_pull_once(g, REPO, "F", since, &p, &what, NULL, &e), GITEA_NOT_FOUND, false);
}

static bool
last_state(void *arg, const cJSON *item)
{
	struct gitea_status s;

	assert_int_equal(gitea_status_read(item, &s, &e), 0);
	snprintf(arg, 16, "%s", s.state);
	return false;
}

static void
commits_have_states_and_the_combined_one_is_the_worst(void **state)
{
	char text[16] = "";
	cJSON *o;

	NEEDS_DOUBLE;
	ok(gitea_status_create(g, REPO, SHA, "pending", "uni-wizard/ezra", "queued", "http://x/y", NULL, &e));
	ok(gitea_status_create(g, REPO, SHA, "success", "uni-wizard/ezra", "done", NULL, NULL, &e));
	ok(gitea_status_create(g, REPO, SHA, "failure", "lint", NULL, NULL, NULL, &e));
	ok(gitea_statuses(g, REPO, SHA, last_state, text, &e));
	assert_string_equal(text, "failure");
	ok(gitea_status_combined(g, REPO, SHA, &o, &e));
	assert_string_equal(json_text(o, "state"), "failure");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "statuses")), 2);
	cJSON_Delete(o);
	bad(gitea_status_create(g, REPO, SHA, "great", "x", NULL, NULL, NULL, &e), GITEA_REFUSED, false);
	assert_int_equal(gitea_status_combined(g, REPO, "..", &o, &e), -1);
}

static bool
read_hook(void *arg, const cJSON *item)
{
	struct gitea_hook h;

	assert_int_equal(gitea_hook_read(item, &h, &e), 0);
	assert_true(h.active);
	assert_string_equal(h.url, "http://127.0.0.1:9/hook");
	++*(int *)arg;
	return true;
}

static void
a_webhook_is_made_and_is_active(void **state)
{
	static const char *const events[] = { "issues", "issue_comment" };
	int n = 0;

	NEEDS_DOUBLE;
	ok(gitea_hook_create(g, REPO, "http://127.0.0.1:9/hook", "s3cret", events, 2, NULL, &e));
	ok(gitea_hooks(g, REPO, read_hook, &n, &e));
	assert_int_equal(n, 1);
}

/* The tools */

static void
tools_speak_of_configured_repositories_alone(void **state)
{
	NEEDS_DOUBLE;
	fx_failed(fx_run("gitea_list_issues", "{'repository':'timmy/wrok'}"), ERR_DENIED, NULL);
	assert_non_null(strstr(fx.e.msg, "did you mean timmy/work?"));
	fx_failed(fx_run("gitea_list_issues", "{'repository':'timmy/../work'}"), ERR_INVALID, "params.repository");
	fx.config.nsecrets--;
	fx_failed(fx_run("gitea_list_issues", "{'repository':'timmy/work'}"), ERR_CONFIG, NULL);
	fx.config.nsecrets++;
}

static void
a_tool_opens_an_issue_once_and_reads_it_with_its_thread(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	fx_ok(fx_run("gitea_label", "{'repository':'timmy/work','number':1,'add':['kind/bug'],'create':true}"));
	fx_ok(fx_run("gitea_create_issue",
	    "{'repository':'timmy/work','title':'By a task','body':'Text','labels':['kind/bug','house/ezra'],"
	    "'assignees':['allegro']}"));
	assert_true(fx_true("created"));
	number = fx_int("number");
	assert_int_equal(cJSON_GetArraySize(fx_at("labels")), 2);
	assert_null(fx_at("unassigned"));
	fx_ok(fx_run("gitea_create_issue", "{'repository':'timmy/work','title':'By a task','body':'Text'}"));
	assert_false(fx_true("created"));
	assert_int_equal(fx_int("number"), number);
	fx_ok(fx_run("gitea_create_issue", "{'repository':'timmy/work','title':'Weekly','key':'weekly/49'}"));
	assert_true(fx_true("created"));
	fx_failed(fx_run("gitea_create_issue",
	    "{'repository':'timmy/work','title':'x','labels':['kind/bgu'],'key':'k'}"), ERR_INVALID, "params.labels");
	assert_non_null(strstr(fx.e.msg, "such as kind/bug"));
	fx_ok(fx_run("gitea_comment", "{'repository':'timmy/work','number':%lld,'body':'Seen'}", (long long)number));
	assert_true(fx_true("created"));
	fx_ok(fx_run("gitea_comment", "{'repository':'timmy/work','number':%lld,'body':'Seen'}", (long long)number));
	assert_false(fx_true("created") || fx_true("edited"));
	fx_ok(fx_run("gitea_comment", "{'repository':'timmy/work','number':%lld,'body':'Done','key':'state'}", (long long)number));
	fx_ok(fx_run("gitea_comment",
	    "{'repository':'timmy/work','number':%lld,'body':'Done it','key':'state'}", (long long)number));
	assert_true(fx_true("edited"));
	fx_ok(fx_run("gitea_get_issue", "{'repository':'timmy/work','number':%lld}", (long long)number));
	assert_string_equal(fx_str("body"), "Text");
	assert_int_equal(cJSON_GetArraySize(fx_at("thread")), 2);
	assert_string_equal(fx_str("thread.1.body"), "Done it");
	fx_failed(fx_run("gitea_get_issue", "{'repository':'timmy/work','number':999999}"), ERR_NOT_FOUND, NULL);
}

static void
a_tool_changes_labels_and_says_how_they_are(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	number = new_issue("to label");
	fx_ok(fx_run("gitea_label",
	    "{'repository':'timmy/work','number':%lld,'add':['kind/bug','house/ezra'],'create':true}", (long long)number));
	fx_ok(fx_run("gitea_label",
	    "{'repository':'timmy/work','number':%lld,'add':['house/bezalel'],'remove':['kind/bug']}", (long long)number));
	assert_int_equal(cJSON_GetArraySize(fx_at("labels")), 1);
	assert_string_equal(fx_str("labels.0"), "house/bezalel");
	command("DELETE", "/requests", NULL, NULL);
	fx_ok(fx_run("gitea_label",
	    "{'repository':'timmy/work','number':%lld,'add':['house/bezalel'],'remove':['kind/bug']}", (long long)number));
	assert_int_equal(asked("POST", "/"), 0);
	assert_int_equal(asked("DELETE", "/"), 0);
}

static void
a_tool_lists_what_has_all_labels_and_says_what_it_left_out(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	number = new_issue("the only one");
	fx_ok(fx_run("gitea_label", "{'repository':'timmy/work','number':%lld,'add':['rare'],'create':true}", (long long)number));
	fx_ok(fx_run("gitea_list_issues", "{'repository':'timmy/work','labels':['rare'],'bodies':true}"));
	assert_int_equal(fx_int("count"), 1);
	assert_int_equal(fx_int("issues.0.number"), number);
	assert_false(fx_true("truncated"));
	fx_failed(fx_run("gitea_list_issues",
	    "{'repository':'timmy/work','labels':['rare','unknown']}"), ERR_INVALID, "params.labels");
	fx_ok(fx_run("gitea_list_issues", "{'repository':'timmy/work','state':'all','max':3}"));
	assert_int_equal(fx_int("count"), 3);
	assert_true(fx_true("truncated"));
	fx.max_output = 2000;
	fx_ok(fx_run("gitea_list_issues", "{'repository':'timmy/work','state':'all'}"));
	assert_true(fx_true("truncated"));
	fx.max_output = 262144;
	fx_failed(fx_run("gitea_list_issues", "{'repository':'timmy/work','since':'yesterday'}"), ERR_INVALID, "params.since");
}

static void
a_tool_opens_a_pull_request_and_tells_how_it_stands(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	fx_ok(fx_run("gitea_create_pr", "{'repository':'timmy/work','title':'Two','head':'two','body':'why'}"));
	assert_true(fx_true("created"));
	number = fx_int("number");
	fx_ok(fx_run("gitea_create_pr", "{'repository':'timmy/work','title':'Two','head':'two','body':'why'}"));
	assert_false(fx_true("created"));
	assert_int_equal(fx_int("number"), number);
	ok(gitea_status_create(g, REPO, "cccccccccccccccccccccccccccccccccccccccc", "pending", "ci", NULL, NULL, NULL, &e));
	fx_ok(fx_run("gitea_pr_status", "{'repository':'timmy/work','number':%lld}", (long long)number));
	assert_string_equal(fx_str("state"), "open");
	assert_string_equal(fx_str("checks"), "pending");
	assert_string_equal(fx_str("statuses.0.context"), "ci");
	assert_int_equal(fx_int("approvals"), 0);
	assert_true(fx_true("mergeable"));
	fx_failed(fx_run("gitea_create_pr",
	    "{'repository':'timmy/work','title':'x','head':'nowhere','key':'k'}"), ERR_NOT_FOUND, NULL);
}

static void
what_a_tool_would_write_is_said_beforehand_and_proved_after(void **state)
{
	int64_t number;

	NEEDS_DOUBLE;
	number = new_issue("planned");
	fx.plan = true;
	fx_ok(fx_run("gitea_comment", "{'repository':'timmy/work','number':%lld,'body':'What it says'}", (long long)number));
	fx.plan = false;
	assert_non_null(strstr(fx_str("touches.0.name"), "/timmy/work/issues/"));
	assert_non_null(strstr(fx_str("dry_run"), "What it says"));
	assert_int_equal(comments_of(number), 0);
	fx.terms = "{\"proof\":true}";
	fx_ok(fx_run("gitea_comment", "{'repository':'timmy/work','number':%lld,'body':'What it says'}", (long long)number));
	fx_ok(fx_run("gitea_label", "{'repository':'timmy/work','number':%lld,'add':['proved'],'create':true}", (long long)number));
	fx.terms = NULL;
	assert_non_null(strstr(buf_str(&fx.notes), "\"gitea_labels\""));
}

static void
failures_of_gitea_are_told_to_who_tries_again(void **state)
{
	const struct tool *t = registry_find(fx.registry, "gitea_comment");

	NEEDS_DOUBLE;
	fault("{\"status\":502}");
	fx_failed(fx_run("gitea_get_issue", "{'repository':'timmy/work','number':1}"), ERR_NETWORK, NULL);
	assert_true(retry_is_worth(t, &fx.e, 502));
	fx_failed(fx_run("gitea_comment", "{'repository':'timmy/old','number':1,'body':'x'}"), ERR_NOT_FOUND, NULL);
	assert_false(retry_is_worth(t, &fx.e, 404));
	fault("{\"status\":429,\"retry_after\":9}");
	fx_failed(fx_run("gitea_get_issue", "{'repository':'timmy/work','number':1}"), ERR_BUSY, NULL);
	assert_true(retry_is_worth(t, &fx.e, 429));
	/* The next one does not even ask. */
	command("DELETE", "/requests", NULL, NULL);
	fx_failed(fx_run("gitea_get_issue", "{'repository':'timmy/work','number':2}"), ERR_BUSY, NULL);
	assert_int_equal(asked("GET", "/"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_a_link_header_the_number_of_the_next_page_counts),
		TEST(readers_take_null_for_what_is_absent_and_name_what_is_wrong),
		TEST(a_marker_is_known_again_and_cannot_be_broken_out_of),
		TEST(what_cannot_be_a_url_or_token_is_refused_at_once),
		TEST(nobody_there_is_unreachable),
		TEST(it_knows_whom_it_speaks_to_and_as_whom),
		TEST(an_issue_is_made_read_edited_and_closed),
		TEST(a_listing_goes_through_all_pages_newest_first),
		TEST(what_moves_to_a_page_that_was_read_is_seen_all_the_same),
		TEST(since_is_told_in_any_zone),
		TEST(labels_are_those_of_the_repository_and_of_its_organisation),
		TEST(each_refusal_is_of_its_kind),
		TEST(who_is_asked_to_come_later_does),
		TEST(of_a_change_it_says_whether_it_may_have_happened),
		TEST(answers_that_make_no_sense_are_strange),
		TEST(nobody_is_spoken_to_who_cannot_prove_his_name),
		TEST(slow_silent_and_cut_answers_end_in_time),
		TEST(requests_are_made_no_faster_than_allowed),
		TEST(a_rate_can_be_that_of_many_clients),
		TEST(a_comment_is_written_once_and_then_edited),
		TEST(what_may_have_happened_does_not_happen_again),
		TEST(commits_have_states_and_the_combined_one_is_the_worst),
		TEST(a_webhook_is_made_and_is_active),
		TEST(tools_speak_of_configured_repositories_alone),
		TEST(a_tool_opens_an_issue_once_and_reads_it_with_its_thread),
		TEST(a_tool_changes_labels_and_says_how_they_are),
		TEST(a_tool_lists_what_has_all_labels_and_says_what_it_left_out),
		TEST(a_tool_opens_a_pull_request_and_tells_how_it_stands),
		TEST(what_a_tool_would_write_is_said_beforehand_and_proved_after),
		TEST(failures_of_gitea_are_told_to_who_tries_again),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
