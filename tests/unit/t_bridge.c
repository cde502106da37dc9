#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "clock.h"
#include "comment.h"
#include "event.h"
#include "hook.h"
#include "json.h"
#include "lesson.h"
#include "matters.h"
#include "rule.h"
#include "said.h"
#include "save.h"
#include "uplink.h"

#define KEY "s3cret"

/* ---- webhooks ---- */

static char *
read_file(const char *name, size_t *len)
{
	struct buf b = { 0 };
	char path[128];

	snprintf(path, sizeof path, "tests/gitea/hooks/%s", name);
	assert_int_equal(save_read(path, &b, NULL), 0);
	*len = b.len;
	return buf_take(&b);
}

static void
signatures_of_gitea_are_known(void **state)
{
	static const struct {
		const char *file, *signature;
	} hooks[] = {
		{ "issue_opened.json", "de0db68dd22b6f5e52b997d76361cd20676d1a2c9c2d84af50177a26356f6a38" },
		{ "pr_opened.json", "38467b284cd123540fa5fd9b6781727df76385d5f164a3a6237c45d573fc1c46" },
		{ "issue_comment.json", "5c0b25b89863aa3b2bf404fe8c122b8ec6eb83b2c0dcfba094d775a0884841bc" },
		{ "issue_label_updated.json", "e718d4c682069de35f5a84fb9e29e70b8355e10ab23f741649580cd5b51c0af0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
		size_t len;
		char *body = read_file(hooks[i].file, &len);

		assert_true(hook_is_signed(KEY, hooks[i].signature, body, len));
		assert_false(hook_is_signed("s3creT", hooks[i].signature, body, len));
		assert_false(hook_is_signed(KEY, hooks[i].signature, body, len - 1));
		body[len / 2] ^= 1;
		assert_false(hook_is_signed(KEY, hooks[i].signature, body, len));
		free(body);
	}
}

static void
what_is_no_signature_is_none(void **state)
{
	static const char *const bad[] = { "", "0", "de0db68d", "sha256=de0db68dd22b6f5e52b997d76361cd20676d1a2c9c2d84af50177a26356f6a38",
		"DE0DB68DD22B6F5E52B997D76361CD20676D1A2C9C2D84AF50177A26356F6A38",
		"ze0db68dd22b6f5e52b997d76361cd20676d1a2c9c2d84af50177a26356f6a38" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(hook_is_signed(KEY, bad[i], "", 0));
	assert_false(hook_is_signed(KEY, NULL, "", 0));
	/* Of an empty key everybody knows the signature. */
	assert_false(hook_is_signed("", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "", 0));
}

static cJSON *
facts_of(const char *event, const char *file)
{
	struct err e = { 0 };
	cJSON *facts;
	size_t len;
	char *body = read_file(file, &len);

	assert_int_equal(event_webhook(event, body, len, &facts, &e), 0);
	free(body);
	return facts;
}

static void
a_webhook_becomes_facts(void **state)
{
	cJSON *f = facts_of("issues", "issue_opened.json");
	int64_t ms;

	(void)state;
	assert_string_equal(json_text(f, "repo"), "timmy/work");
	assert_int_equal(json_number(f, "number", 0), 8);
	assert_string_equal(json_text(f, "kind"), "issue");
	assert_string_equal(json_text(f, "title"), "Add retry to uploader");
	assert_string_equal(json_text(f, "author"), "allegro");
	assert_true(json_is_true(f, "open"));
	assert_false(json_is_true(f, "assigned"));
	assert_int_equal(clock_parse("2026-11-23T10:00:00Z", &ms, NULL), 0);
	assert_int_equal(json_number(f, "created", 0), ms);
	cJSON_Delete(f);
	f = facts_of("pull_request", "pr_opened.json");
	assert_string_equal(json_text(f, "kind"), "pull");
	assert_int_equal(json_number(f, "number", 0), 9);
	assert_int_equal(strlen(json_text(f, "sha")), 40);
	assert_int_equal(json_number(f, "merged", 0), 0);
	cJSON_Delete(f);
	assert_null(facts_of("issue_comment", "issue_comment.json"));
	assert_null(facts_of("push", "issue_opened.json"));
}

static void
bad_webhook(const char *body, const char *expected)
{
	struct err e = { 0 };
	cJSON *facts;

	assert_int_equal(event_webhook("issues", body, strlen(body), &facts, &e), -1);
	assert_null(facts);
	assert_string_equal(e.msg, expected);
}

static void
what_gitea_does_not_send_is_refused(void **state)
{
	struct err e = { 0 };
	cJSON *facts;

	(void)state;
	assert_int_equal(event_webhook("issues", "[]", 2, &facts, &e), -1);
	bad_webhook("{\"repository\":{\"full_name\":\"a/b\"}}", "issue: expected an object, got nothing");
	bad_webhook("{\"repository\":{\"full_name\":\"../b\"},\"issue\":{\"number\":1}}", "repository.full_name: expected owner/name, got ../b");
	bad_webhook("{\"repository\":{\"full_name\":\"a/b\"},\"issue\":{\"number\":0}}", "number: expected a whole number from 1, got something else");
	bad_webhook("{\"repository\":{\"full_name\":\"a/b\"},\"issue\":{\"number\":1,\"created_at\":\"now\"}}",
	    "created_at: expected a time as in RFC 3339, got now");
}

static void
facts_are_bounded(void **state)
{
	struct buf b = { 0 };
	cJSON *o, *f;

	(void)state;
	buf_adds(&b, "{\"number\":1,\"state\":\"open\",\"title\":\"");
	for (int i = 0; i < 5000; i++)
		buf_adds(&b, "\xc3\xa4");
	buf_adds(&b, "\",\"body\":\"");
	for (int i = 0; i < 50000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\",\"labels\":[");
	for (int i = 0; i < 100; i++)
		buf_addf(&b, "%s{\"name\":\"l%d\"}", i ? "," : "", i);
	buf_adds(&b, "]}");
	o = json_parse_object(b.data, b.len, NULL);
	f = event_facts("a/b", o, NULL);
	assert_int_equal(strlen(json_text(f, "title")), EVENT_TITLE_MAX);
	assert_int_equal(strlen(json_text(f, "body")), EVENT_BODY_MAX);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(f, "labels")), EVENT_LABELS_MAX);
	cJSON_Delete(o);
	cJSON_Delete(f);
	buf_free(&b);
}

static void
keys_are_markers_and_differ(void **state)
{
	char a[EVENT_KEY_MAX], b[EVENT_KEY_MAX], name[202];

	(void)state;
	event_key(a, "timmy/work", 8);
	assert_string_equal(a, "gitea:timmy/work/8:opened");
	event_task_key(b, "timmy/work", 8, 0);
	assert_string_equal(a, b);
	event_task_key(b, "timmy/work", 8, 2);
	assert_string_equal(b, "gitea:timmy/work/8:r2");
	event_key(a, "timmy/a--b", 8);
	event_key(b, "timmy/a--c", 8);
	assert_true(gitea_id_ok(a) && gitea_id_ok(b));
	assert_string_not_equal(a, b);
	memset(name, 'x', 201);
	name[100] = '/';
	name[201] = '\0';
	event_key(a, name, 8);
	event_key(b, name, 9);
	assert_true(gitea_id_ok(a));
	assert_string_not_equal(a, b);
}

/* ---- rules ---- */

static const char houses[] =
    "houses: {ezra: , bezalel: }\n"
    "triage:\n"
    "  docs: {kind: pull, paths: ['docs/*', '*.md'], add: [documentation]}\n"
    "  urgent: {labels: [critical, blocker], house: bezalel, task: '{\"tool\":\"noop\"}'}\n"
    "  bot: {author: renovate}\n"
    "  other: {repo: 'timmy/site*'}\n"
    "  crash: {kind: issue, words: [crash, segmentation fault], house: ezra, add: [bug], category: a fault,\n"
    "    task: '{\"tool\":\"http_get\",\"params\":{\"url\":\"{title}\",\"list\":[\"{repo}#{number} by {author}: {other}\"],\"n\":1}}'}\n"
    "  slow: {match: 'takes? .*(hours|days)$'}\n"
    "  chain: {words: [please], house: ezra, tasks: ['{\"tool\":\"noop\"}',\n"
    "    '{\"tool\":\"http_get\",\"params\":{\"url\":\"uw/issue-{number}\"}}', '{\"tool\":\"gitea_create_pr\"}']}\n"
    "  asks: {labels: [question]}\n";

static struct config config;
static struct rules *rules;

static const char *
rule_for(const char *facts, const char *paths)
{
	cJSON *f = cJSON_Parse(facts), *p = paths ? cJSON_Parse(paths) : NULL;
	const struct config_triage *t;
	bool wants;

	assert_non_null(f);
	t = rules_find(rules, f, p, &wants);
	cJSON_Delete(f);
	cJSON_Delete(p);
	return wants ? "paths?" : t ? t->name : "none";
}

static void
the_first_rule_that_fits_is_followed(void **state)
{
#define I "{\"repo\":\"timmy/work\",\"kind\":\"issue\",\"author\":\"x\",\"labels\":[\"l\"],"
	(void)state;
	assert_string_equal(rule_for(I "\"title\":\"A CRASH\",\"body\":\"\"}", NULL), "crash");
	assert_string_equal(rule_for(I "\"title\":\"x\",\"body\":\"a Segmentation Fault.\"}", NULL), "crash");
	assert_string_equal(rule_for(I "\"title\":\"crashes, uncrash, crash_2\",\"body\":\"\"}", NULL), "none");
	assert_string_equal(rule_for(I "\"title\":\"It takes two Days\",\"body\":\"\"}", NULL), "slow");
	assert_string_equal(rule_for(I "\"title\":\"It takes two days more\",\"body\":\"\"}", NULL), "none");
	assert_string_equal(rule_for("{\"repo\":\"timmy/site-2\",\"kind\":\"issue\",\"title\":\"crash\"}", NULL), "other");
	assert_string_equal(rule_for("{\"repo\":\"a/b\",\"kind\":\"issue\",\"title\":\"crash\",\"labels\":[\"a\",\"blocker\"]}", NULL), "urgent");
	assert_string_equal(rule_for("{\"repo\":\"a/b\",\"kind\":\"issue\",\"author\":\"renovate\"}", NULL), "bot");
	assert_string_equal(rule_for("{\"repo\":\"a/b\",\"kind\":\"pull\",\"title\":\"crash\"}", NULL), "paths?");
	assert_string_equal(rule_for("{\"repo\":\"a/b\",\"kind\":\"pull\",\"title\":\"crash\"}", "[\"src/a.c\"]"), "none");
	assert_string_equal(rule_for("{\"repo\":\"a/b\",\"kind\":\"pull\",\"title\":\"crash\"}", "[\"src/a.c\",\"docs/x/y\"]"), "docs");
#undef I
}

static void
strangers_text_stays_text(void **state)
{
	cJSON *f = cJSON_Parse("{\"repo\":\"a/b\",\"number\":7,\"kind\":\"issue\",\"author\":\"{title}\",\"title\":\"crash \\\"},\\\"tool\\\":\\\"rm\"}");
	cJSON *task, *params;
	bool wants;
	char *line;

	(void)state;
	line = rule_task(rules_find(rules, f, NULL, &wants), 0, f, "k", NULL);
	task = json_parse_object(line, strlen(line), NULL);
	params = cJSON_GetObjectItem(task, "params");
	assert_string_equal(json_text(task, "tool"), "http_get");
	assert_string_equal(json_text(task, "key"), "k");
	assert_string_equal(json_text(params, "url"), "crash \"},\"tool\":\"rm");
	assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(params, "list"), 0)->valuestring, "a/b#7 by {title}: {other}");
	cJSON_Delete(task);
	cJSON_Delete(f);
	free(line);
}

static void
each_of_a_chain_follows_the_one_before(void **state)
{
	cJSON *f = cJSON_Parse("{\"repo\":\"a/b\",\"number\":7,\"kind\":\"issue\",\"title\":\"please\"}"), *task;
	const struct config_triage *t = rule_named(&config, "chain");
	char *line;

	(void)state;
	assert_int_equal(rule_steps(t), 3);
	assert_int_equal(rule_steps(rule_named(&config, "crash")), 1);
	assert_int_equal(rule_steps(rule_named(&config, "slow")), 0);
	assert_int_equal(rule_steps(rule_named(&config, "gone")), 0);
	line = rule_task(t, 0, f, "k", NULL);
	assert_string_equal(line, "{\"tool\":\"noop\",\"key\":\"k\"}");
	free(line);
	line = rule_task(t, 1, f, "k", "01A");
	task = cJSON_Parse(line);
	assert_string_equal(json_text(cJSON_GetObjectItem(task, "params"), "url"), "uw/issue-7");
	assert_string_equal(json_text(task, "key"), "k.2");
	assert_string_equal(json_text(task, "parent"), "01A");
	assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(task, "after"), 0)->valuestring, "01A");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(task, "after")), 1);
	free(line);
	line = rule_tool(t, 1);
	assert_string_equal(line, "http_get");
	free(line);
	cJSON_Delete(task);
	cJSON_Delete(f);
}

#define TASK "01M8N74YXSZWG7ES1ZAJWJZXM0"

static void
ids_of_a_chain_follow_from_the_first(void **state)
{
	char ids[3][ULID_TEXT], again[ULID_TEXT];
	struct ulid first, id;

	(void)state;
	assert_true(ulid_parse(TASK, &first));
	for (size_t i = 0; i < 3; i++) {
		rule_step_id(ids[i], TASK, i);
		rule_step_id(again, TASK, i);
		assert_string_equal(ids[i], again);
		assert_true(ulid_parse(ids[i], &id));
		assert_int_equal(ulid_time_ms(&id), ulid_time_ms(&first));
	}
	assert_string_equal(ids[0], TASK);
	assert_string_not_equal(ids[1], ids[0]);
	assert_string_not_equal(ids[2], ids[1]);
	rule_step_id(again, "01M8N74YXSZWG7ES1ZAJWJZXM1", 1);
	assert_string_not_equal(again, ids[1]);
}

static void
bad_chains_are_named(void **state)
{
	static const struct {
		const char *rule, *why;
	} bad[] = {
		{ "task: '{\"tool\":\"noop\"}', tasks: ['{\"tool\":\"noop\"}']", "triage.r.tasks: expected either task or tasks, got both" },
		{ "tasks: []", "triage.r.tasks: expected 1 to 8 items, got 0" },
		{ "tasks: [a, a, a, a, a, a, a, a, a]", "triage.r.tasks: expected 1 to 8 items, got 9" },
		{ "tasks: ['{\"tool\":\"noop\"}', '{']", "triage.r.tasks: number 2: " },
		{ "tasks: ['{\"tool\":\"noop\",\"after\":[\"" TASK "\"]}']", "triage.r.tasks: number 1: expected a task without id, key" },
		{ "tasks: ['{\"tool\":\"noop\",\"after_failed\":\"run\"}']", "number 1: expected a task without after_failed" },
		{ "tasks: ['{\"tool\":\"noop\",\"parent\":\"x\"}']", "number 1: expected a task without parent" },
	};
	static struct config c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[400];
		struct err e = { 0 };

		snprintf(text, sizeof text, "houses: {ezra: }\ntriage:\n  r: {%s}\n", bad[i].rule);
		assert_int_equal(config_parse(&c, "rules", text, strlen(text), NULL, NULL, &e), -1);
		if (!strstr(e.msg, bad[i].why))
			fail_msg("%s: %s", bad[i].rule, e.msg);
	}
}

static void
a_task_has_one_id(void **state)
{
	int64_t now = clock_wall_ms();
	struct ulid a, b;

	(void)state;
	rule_task_id(&a, "gitea:a/b/1:opened", now - 5000, now, 60000);
	rule_task_id(&b, "gitea:a/b/1:opened", now - 5000, now + 3000, 60000);
	assert_true(ulid_equal(&a, &b));
	assert_int_equal(ulid_time_ms(&a), now - 5000);
	rule_task_id(&b, "gitea:a/b/2:opened", now - 5000, now, 60000);
	assert_false(ulid_equal(&a, &b));
	/* Of a time that houses may have forgotten, or that is to come. */
	rule_task_id(&a, "gitea:a/b/1:opened", now - 70000, now, 60000);
	assert_true(ulid_time_ms(&a) >= now);
	rule_task_id(&a, "gitea:a/b/1:opened", now + 70000, now, 60000);
	assert_true(ulid_time_ms(&a) < now + 60000);
}

/* ---- comments ---- */

static void
a_comment_tells_its_successor(void **state)
{
	struct matter x = { .rule = "crash", .house = "ezra", .first = TASK, .task = TASK, .state = "running" }, y = { 0 };
	struct buf b = { 0 };

	(void)state;
	comment_put(&b, &x, &config.triages[4], "https://t/#task/", "gitea:a/b/1:opened");
	assert_true(comment_read(b.data, &y));
	assert_string_equal(y.rule, "crash");
	assert_string_equal(y.house, "ezra");
	assert_string_equal(y.first, TASK);
	assert_string_equal(y.task, TASK);
	assert_string_equal(y.state, "running");
	assert_true(gitea_is_marked(b.data, "gitea:a/b/1:opened"));
	assert_non_null(strstr(b.data, "[`" TASK "`](https://t/#task/" TASK ") is running."));
	buf_clear(&b);
	x.round = 3;
	comment_put(&b, &x, NULL, NULL, "k");
	assert_true(comment_read(b.data, &y));
	assert_int_equal(y.round, 3);
	assert_non_null(strstr(b.data, "**Triage**, as it was opened again: "));
	buf_clear(&b);
	x = (struct matter){ .rule = "" };
	comment_put(&b, &x, NULL, NULL, "k");
	assert_true(comment_read(b.data, &y));
	assert_string_equal(y.task, "");
	assert_string_equal(y.house, "");
	buf_free(&b);
}

#define SAID "[{\"kind\":\"label\",\"name\":\"good first issue\",\"p\":0.874,\"like\":42,\"set\":true}," \
	"{\"kind\":\"house\",\"name\":\"ezra\",\"p\":0.5,\"like\":7}]"

static void
a_comment_tells_what_is_probable(void **state)
{
	struct matter x = { .said = (char *)SAID }, y = { 0 };
	struct buf b = { 0 };

	(void)state;
	comment_put(&b, &x, NULL, NULL, "k");
	assert_non_null(strstr(b.data, "looks at it.\n\nProbably `good first issue` (87 %, from 42 like it; set), house `ezra` "
	    "(50 %, from 7 like it).\n\n<"));
	assert_true(comment_read(b.data, &y));
	assert_string_equal(y.said, SAID);
	free(y.said);
	buf_free(&b);
}

static void
what_is_no_suggestion_is_none(void **state)
{
	static const char *const bad[] = { "", "{}", "[1]", "[{}]", "[{\"kind\":\"x\",\"name\":\"a\",\"p\":0,\"like\":0}]",
		"[{\"kind\":\"label\",\"name\":\"\",\"p\":0,\"like\":0}]", "[{\"kind\":\"label\",\"name\":\"a`b\",\"p\":0,\"like\":0}]",
		"[{\"kind\":\"label\",\"name\":\"a-->\",\"p\":0,\"like\":0}]", "[{\"kind\":\"label\",\"name\":\"a\",\"p\":2,\"like\":0}]",
		"[{\"kind\":\"label\",\"name\":\"a\",\"p\":0,\"like\":-1}]", "[{\"kind\":\"label\",\"name\":\"a\\n\",\"p\":0,\"like\":0}]" };
	cJSON *good = said_read(SAID, strlen(SAID));

	(void)state;
	assert_non_null(good);
	assert_true(said_has_set(good, "good first issue"));
	assert_false(said_has_set(good, "ezra"));
	cJSON_Delete(good);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(said_read(bad[i], strlen(bad[i])));
}

static void
a_comment_tells_each_of_a_chain(void **state)
{
	const struct config_triage *t = rule_named(&config, "chain");
	struct matter x = { .rule = "chain", .house = "ezra", .first = TASK, .step = 1, .state = "waiting_approval",
		.past = (char *)"[{\"attempt\":1,\"run_ms\":5,\"agent\":\"ezra-1\"}]" }, y = { 0 };
	struct buf b = { 0 };
	char want[400], last[ULID_TEXT];

	(void)state;
	rule_step_id(x.task, TASK, 1);
	rule_step_id(last, TASK, 2);
	comment_put(&b, &x, t, NULL, "k");
	snprintf(want, sizeof want, "1. `noop` `" TASK "` succeeded. Attempt 1, 5 ms. Run by `ezra-1`.\n"
	    "2. `http_get` `%s` **waits for an approval**.\n3. `gitea_create_pr` `%s` waits for the one before it.\n\n<", x.task, last);
	assert_non_null(strstr(b.data, want));
	assert_true(comment_read(b.data, &y));
	assert_string_equal(y.task, TASK);
	buf_clear(&b);
	snprintf(x.state, sizeof x.state, "denied");
	comment_put(&b, &x, t, NULL, "k");
	assert_non_null(strstr(b.data, " is not run.\n\nIt ended with task 2 of 3, which **was denied**."));
	buf_clear(&b);
	snprintf(x.state, sizeof x.state, "succeeded");
	x.step = 2;
	memcpy(x.task, last, sizeof x.task);
	x.outcome = (char *)"{\"tool\":\"gitea_create_pr\",\"result\":{\"number\":9,\"url\":\"https://g/a/b/pulls/9\"}}";
	comment_put(&b, &x, t, NULL, "k");
	assert_non_null(strstr(b.data, "**succeeded**. Opened [#9](https://g/a/b/pulls/9).\n\nAll of it **succeeded**. "));
	buf_clear(&b);
	x.outcome = (char *)"{\"tool\":\"gitea_create_pr\",\"result\":{\"number\":9,\"url\":\"https://g/) <b>\"}}";
	comment_put(&b, &x, t, NULL, "k");
	assert_non_null(strstr(b.data, " Opened #9.\n"));
	buf_free(&b);
}

static void
what_is_no_record_is_none(void **state)
{
	static const char *const bad[] = { "", "<!-- uni-wizard-triage ", "x<!-- uni-wizard-triage rule=a house=- task=- state=- -->",
		"<!-- uni-wizard-triage rule=a house=- task=01 state=- -->", "<!-- uni-wizard-triage rule=A/b house=- task=- state=- -->",
		"<!-- uni-wizard-triage rule=a house=../x task=- state=- -->", "<!-- uni-wizard-triage rule=a house=- task=- state=- --",
		"<!-- uni-wizard-triage rule=a house=- task=- state=- round=0 -->", "<!-- uni-wizard-triage rule=a house=- task=- state=- round=2x -->",
		"<!-- uni-wizard-triage rule=a house=- task=- state=- round= -->", "<!-- uni-wizard-triage rule=a house=- task=- state=- round=99999999999 -->",
		"<!-- uni-wizard-triage rule=a house=- task=- state=0123456789012345678901234567890123456789 -->" };
	struct matter x = { .rule = "as it was" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(comment_read(bad[i], &x));
	assert_string_equal(x.rule, "as it was");
}

static void
a_result_stays_in_its_fence_and_home(void **state)
{
	struct config_triage rule = { .name = "r", .report = (char *)"result" };
	struct matter x = { .rule = "r", .house = "ezra", .task = TASK, .state = "failed", .outcome =
	    (char *)"{\"attempt\":2,\"run_ms\":12.34,\"agent\":\"ezra-1\",\"error\":{\"code\":\"tool\",\"message\":\"a ```` secret\"}}" };
	struct buf b = { 0 };

	(void)state;
	comment_put(&b, &x, &rule, NULL, "k");
	assert_non_null(strstr(b.data, "**failed**. Attempt 2, 12 ms. Run by `ezra-1`. Error: `tool`.\n\n`````\na ```` secret\n`````\n"));
	rule.report = (char *)"state";
	buf_clear(&b);
	comment_put(&b, &x, &rule, NULL, "k");
	assert_null(strstr(b.data, "secret"));
	assert_non_null(strstr(b.data, "Error: `tool`"));
	buf_free(&b);
}

static void
states_of_tasks_are_those_of_commits(void **state)
{
	static const char *const table[][2] = { { "given", "pending" }, { "waiting_approval", "pending" }, { "uncertain", "pending" },
		{ "succeeded", "success" }, { "failed", "failure" }, { "denied", "error" }, { "of tomorrow", "pending" } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct matter x = { .task = TASK };

		snprintf(x.state, sizeof x.state, "%s", table[i][0]);
		assert_string_equal(comment_commit_state(&x), table[i][1]);
		assert_int_equal(comment_is_final(x.state), strcmp(table[i][1], "pending") != 0);
	}
}

/* ---- Gitea away ---- */

static void
what_fails_is_left_alone_ever_longer(void **state)
{
	struct uplink u = { 0 };
	int64_t now = 1000;

	(void)state;
	assert_true(uplink_may(&u, now));
	uplink_fails(&u, 0, 0, now);
	assert_true(uplink_may(&u, now));               /* once is nothing */
	uplink_fails(&u, 0, 0, now);
	assert_false(uplink_may(&u, now + 499));
	assert_true(uplink_may(&u, now + 500));
	uplink_fails(&u, 0, UINT32_MAX, now);
	assert_false(uplink_may(&u, now + 1000));
	assert_true(uplink_may(&u, now + 2000));
	for (int i = 0; i < 20; i++)
		uplink_fails(&u, 0, UINT32_MAX, now);
	assert_true(uplink_may(&u, now + UPLINK_PAUSE_MAX_MS));
	uplink_heard(&u);
	assert_true(uplink_may(&u, now));
	uplink_fails(&u, 100, 0, now);
	uplink_heard(&u);
	assert_false(uplink_may(&u, now + 99999));
	uplink_fails(&u, INT64_MAX, 0, now);
	assert_true(uplink_may(&u, now + UPLINK_ASKED_MAX_MS));
	assert_int_equal(uplink_down_for(&u, now + 7), 7);
	uplink_works(&u, now + 7);
	assert_true(uplink_may(&u, now + 7));
	assert_int_equal(uplink_down_for(&u, now + 8), 0);
}

static void
availability_is_a_share_of_time(void **state)
{
	struct uplink u = { 0 };

	(void)state;
	assert_true(uplink_availability(&u) == 1);
	uplink_works(&u, 1000);
	uplink_works(&u, 4000);
	uplink_fails(&u, 0, 0, 4000);
	uplink_fails(&u, 0, 0, 4500);
	uplink_works(&u, 5000);
	assert_true(uplink_availability(&u) == .75);
}

/* ---- the file ---- */

#define FILE_NAME "/tmp/uw-t-bridge.db"

static cJSON *
facts(int number, int64_t created)
{
	cJSON *f = cJSON_CreateObject();

	cJSON_AddStringToObject(f, "repo", "a/b");
	cJSON_AddNumberToObject(f, "number", number);
	cJSON_AddNumberToObject(f, "created", (double)created);
	return f;
}

static void
open_file(struct matters *m, char path[64])
{
	snprintf(path, 64, "%s.%d", FILE_NAME, (int)getpid());
	assert_int_equal(matters_open(m, path, NULL), 0);
}

static void
remove_file(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char name[80];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		unlink(name);
	}
}

static void
what_is_told_twice_is_one_matter(void **state)
{
	cJSON *f = facts(1, 500);
	struct matters m = { 0 };
	struct matter x;
	char path[64];

	(void)state;
	open_file(&m, path);
	assert_int_equal(matters_add(&m, f, MATTER_WEBHOOK, true, 1000, NULL), 1);
	assert_int_equal(matters_add(&m, f, MATTER_POLL, true, 2000, NULL), 0);
	assert_int_equal(matters_due(&m, MATTER_NEW, 1000, &x, NULL), 1);
	assert_int_equal(x.source, MATTER_WEBHOOK);
	x.stage = MATTER_OUT;
	x.triaged_ms = 1500;
	snprintf(x.task, sizeof x.task, TASK);
	snprintf(x.state, sizeof x.state, "given");
	snprintf(x.shown, sizeof x.shown, "given");
	assert_int_equal(matters_save(&m, &x, NULL), 0);
	matter_release(&x);
	assert_int_equal(matters_due(&m, MATTER_NEW, 5000, &x, NULL), 0);
	assert_int_equal(matters_behind(&m, 5000, &x, NULL), 0);
	matters_close(&m);
	/* In the next life it is the same. */
	open_file(&m, path);
	assert_int_equal(matters_add(&m, f, MATTER_POLL, true, 9000, NULL), 0);
	assert_int_equal(matters_by_task(&m, TASK, &x, NULL), 1);
	snprintf(x.state, sizeof x.state, "running");
	x.next_ms = 6000;
	assert_int_equal(matters_save(&m, &x, NULL), 0);
	matter_release(&x);
	assert_int_equal(matters_behind(&m, 5999, &x, NULL), 0);
	assert_int_equal(matters_behind(&m, 6000, &x, NULL), 1);
	matter_release(&x);
	assert_int_equal(matters_open_count(&m), 1);
	assert_int_equal(matters_by_task(&m, "", &x, NULL), 0);
	matters_close(&m);
	cJSON_Delete(f);
	remove_file(path);
}

static cJSON *
updated(int number, int64_t updated_ms)
{
	cJSON *f = facts(number, 500);

	cJSON_AddNumberToObject(f, "updated", (double)updated_ms);
	cJSON_AddItemToObject(f, "labels", cJSON_Parse(updated_ms == 1000 ? "[\"blocker\"]" : "[\"question\"]"));
	cJSON_AddStringToObject(f, "kind", "issue");
	return f;
}

static void
is_news(struct matters *m, int number, int64_t updated_ms, bool open, int news)
{
	cJSON *f = updated(number, updated_ms);

	assert_int_equal(open ? matters_add(m, f, MATTER_POLL, true, 5000, NULL) : matters_closed(m, f, MATTER_POLL, true, 5000, NULL), news);
	cJSON_Delete(f);
}

static void
end_of(struct matters *m)
{
	struct matter x;

	assert_int_equal(matters_due(m, MATTER_NEW, 9000, &x, NULL), 1);
	x.stage = MATTER_DONE;
	x.again = MATTER_SETTLED;
	assert_int_equal(matters_save(m, &x, NULL), 0);
	matter_release(&x);
}

static void
what_is_opened_again_is_news_once(void **state)
{
	struct matters m = { 0 };
	struct matter x;
	char path[64];
	bool wants;

	(void)state;
	open_file(&m, path);
	is_news(&m, 1, 1000, true, 1);
	is_news(&m, 1, 1000, true, 0);
	/* Not before it is done, nor if it was never closed. */
	is_news(&m, 1, 2000, false, 0);
	is_news(&m, 1, 3000, true, 0);
	end_of(&m);
	is_news(&m, 1, 4000, true, 0);
	is_news(&m, 1, 5000, false, 0);
	/* Told late. */
	is_news(&m, 1, 4500, true, 0);
	is_news(&m, 1, 6000, true, 1);
	is_news(&m, 1, 6000, true, 0);
	is_news(&m, 1, 5000, false, 0);
	is_news(&m, 1, 7000, true, 0);
	assert_int_equal(matters_due(&m, MATTER_NEW, 9000, &x, NULL), 1);
	assert_int_equal(x.again, MATTER_REOPENED);
	assert_int_equal(json_number(x.facts, "updated", 0), 6000);
	/* A rule goes by the labels that it was opened with, which only who may write could give it. */
	assert_string_equal(rules_find(rules, x.facts, NULL, &wants)->name, "urgent");
	assert_string_equal(cJSON_GetObjectItem(x.facts, "labels")->child->valuestring, "question");
	matter_release(&x);
	end_of(&m);
	/* One that was closed when it was first seen. */
	is_news(&m, 2, 1000, false, 0);
	assert_int_equal(matters_due(&m, MATTER_NEW, 9000, &x, NULL), 0);
	is_news(&m, 2, 2000, true, 1);
	assert_int_equal(matters_due(&m, MATTER_NEW, 9000, &x, NULL), 1);
	assert_int_equal(x.round, -1);
	assert_null(rules_find(rules, x.facts, NULL, &wants));
	matter_release(&x);
	/* In the next life that is not known to be news, unless its round is known. */
	is_news(&m, 3, 1000, false, 0);
	is_news(&m, 4, 1000, false, 0);
	assert_int_equal(matters_round(&m, "a/b", 4, 2, NULL), 0);
	assert_int_equal(matters_doubt(&m, NULL), 0);
	is_news(&m, 3, 2000, true, 0);
	is_news(&m, 4, 2000, true, 1);
	matters_close(&m);
	remove_file(path);
}

static void
figures_are_kept(void **state)
{
	struct matters m = { 0 };
	struct matter x;
	char path[64];
	int64_t n;

	(void)state;
	open_file(&m, path);
	for (int i = 1; i <= 100; i++) {
		cJSON *f = facts(i, 1000);

		assert_int_equal(matters_add(&m, f, MATTER_POLL, true, 1000, NULL), 1);
		cJSON_Delete(f);
		assert_int_equal(matters_due(&m, MATTER_NEW, 1000, &x, NULL), 1);
		x.stage = MATTER_DONE;
		x.triaged_ms = 1000 + i;
		x.adopted = i > 90;
		assert_int_equal(matters_save(&m, &x, NULL), 0);
		matter_release(&x);
	}
	assert_int_equal(matters_latency(&m, MATTER_POLL, .5, &n), 46);
	assert_int_equal(n, 90);
	assert_int_equal(matters_latency(&m, MATTER_POLL, .99, &n), 90);
	assert_int_equal(matters_latency(&m, MATTER_WEBHOOK, .99, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(matters_count_up(&m, "issues", 2, NULL), 0);
	assert_int_equal(matters_count_up(&m, "issues", 3, NULL), 0);
	assert_int_equal(matters_sum(&m, "issues"), 5);
	assert_int_equal(matters_merged(&m, "a/b", 7, 5000, NULL), 1);
	assert_int_equal(matters_merged(&m, "a/b", 7, 5000, NULL), 0);
	assert_int_equal(matters_merged_since(&m, 5000), 1);
	assert_int_equal(matters_merged_since(&m, 5001), 0);
	assert_int_equal(matters_prune(&m, NULL), 0);
	matters_close(&m);
	remove_file(path);
}

/* ---- what people teach ---- */

static struct matters teachings;
static struct lessons lessons;
static char teachings_path[64];

static void
lessons_up(void)
{
	open_file(&teachings, teachings_path);
	assert_int_equal(lessons_open(&lessons, &teachings, &config, NULL), 0);
}

static void
lessons_down(void)
{
	lessons_close(&lessons);
	matters_close(&teachings);
}

/* labels and assignees: JSON. */
static cJSON *
issue_of(int number, const char *title, const char *labels, const char *assignees, bool open)
{
	cJSON *f = facts(number, 1000);

	cJSON_AddStringToObject(f, "kind", "issue");
	cJSON_AddStringToObject(f, "title", title);
	cJSON_AddItemToObject(f, "labels", cJSON_Parse(labels));
	cJSON_AddItemToObject(f, "assignees", cJSON_Parse(assignees));
	cJSON_AddBoolToObject(f, "open", open);
	cJSON_AddNumberToObject(f, "updated", 1000 + number);
	return f;
}

static int
see(int number, const char *title, const char *labels, const char *assignees, bool open)
{
	cJSON *f = issue_of(number, title, labels, assignees, open);
	int rc = lesson_see(&lessons, f, NULL);

	cJSON_Delete(f);
	return rc;
}

/* Triage of an open one, by that rule. */
static void
triage(int number, const char *title, const char *rule, struct matter *x)
{
	*x = (struct matter){ .number = number, .facts = issue_of(number, title, "[]", "[]", true) };
	snprintf(x->repo, sizeof x->repo, "a/b");
	snprintf(x->rule, sizeof x->rule, "%s", rule);
	assert_int_equal(lesson_suggest(&lessons, x, rule_named(&config, rule), NULL, NULL), 0);
}

static struct suggest_said
said_of(const char *title, enum suggest_kind kind)
{
	struct suggest_words w = { 0 };
	struct suggest_said all[16];
	size_t n;

	suggest_text(&w, title);
	n = suggest_say(lessons.s, &w, 0, 0, all, 16);
	for (size_t i = 0; i < n; i++)
		if (all[i].kind == kind)
			return all[i];
	return (struct suggest_said){ .name = "" };
}

static void
who_has_looked_teaches(void **state)
{
	struct matter x;

	(void)state;
	lessons_up();
	assert_int_equal(see(1, "open", "[]", "[]", true), 0);
	assert_int_equal(lessons_count(&lessons), 0);
	assert_int_equal(see(1, "open", "[\"bug\"]", "[]", true), 1);
	assert_int_equal(see(1, "open", "[\"bug\"]", "[]", true), 0);
	assert_int_equal(see(1, "open", "[\"wish\"]", "[]", true), 1);
	assert_int_equal(see(2, "open", "[]", "[\"ezra\"]", true), 1);
	assert_int_equal(see(3, "closed", "[]", "[]", false), 1);
	/* What its rule gave it is nobody's word until it is closed. */
	triage(4, "a crash", "crash", &x);
	matter_release(&x);
	assert_int_equal(see(4, "a crash", "[\"bug\"]", "[]", true), 0);
	assert_int_equal(see(4, "a crash", "[\"bug\"]", "[]", false), 1);
	assert_int_equal(lessons_count(&lessons), 4);
	lessons_down();
	remove_file(teachings_path);
}

static void
what_people_taught_is_kept(void **state)
{
	struct suggest_said before, after;
	struct matter x;

	(void)state;
	lessons_up();
	for (int i = 1; i <= 20; i++)
		see(i, i % 2 ? "it crashes" : "a wish", i % 2 ? "[\"bug\",\"house/ezra\"]" : "[\"wish\"]", i % 2 ? "[\"ezra\"]" : "[]", false);
	before = said_of("it crashes", SUGGEST_ASSIGNEE);
	assert_string_equal(before.name, "ezra");
	assert_true(before.p > LESSON_SAY);
	/* A label corrects the category and names the house. */
	assert_string_equal(said_of("it crashes", SUGGEST_CATEGORY).name, "a fault");
	assert_int_equal(said_of("it crashes", SUGGEST_HOUSE).with, 10);
	triage(21, "it crashes", "", &x);
	assert_non_null(strstr(x.said, "{\"kind\":\"label\",\"name\":\"bug\""));
	assert_non_null(strstr(x.said, "\"house\""));
	assert_non_null(strstr(x.said, "\"assignee\""));
	assert_null(strstr(x.said, "\"set\""));
	matter_release(&x);
	lessons_down();
	/* The next life has the same. */
	lessons_up();
	after = said_of("it crashes", SUGGEST_ASSIGNEE);
	assert_true(after.p == before.p && after.like == before.like);
	assert_int_equal(lessons_scores(&lessons)[SUGGEST_LABEL].n, 0);
	see(21, "it crashes", "[\"bug\"]", "[\"timmy\"]", true);
	assert_int_equal(lessons_scores(&lessons)[SUGGEST_LABEL].n, 2);
	assert_int_equal(lessons_right(&lessons_scores(&lessons)[SUGGEST_LABEL]), 1);
	assert_int_equal(lessons_right(&lessons_scores(&lessons)[SUGGEST_ASSIGNEE]), 0);
	/* Nobody has said which house; then its task succeeds there. */
	assert_int_equal(lessons_scores(&lessons)[SUGGEST_HOUSE].n, 0);
	assert_int_equal(lesson_house(&lessons, "a/b", 21, "ezra", NULL), 0);
	assert_int_equal(lessons_right(&lessons_scores(&lessons)[SUGGEST_HOUSE]), 1);
	lessons_down();
	remove_file(teachings_path);
}

static void
what_the_rule_says_is_not_suggested(void **state)
{
	char *mode = config.bridge.suggest;
	struct matter x;

	(void)state;
	lessons_up();
	for (int i = 1; i <= 20; i++)
		see(i, "it crashes", "[\"bug\",\"question\"]", "[\"ezra\"]", false);
	triage(30, "it crashes", "crash", &x);
	assert_true(!x.said || !strstr(x.said, "label"));
	matter_release(&x);
	/* What sets off a rule is for people to give. */
	config.bridge.suggest = (char *)(uintptr_t)"apply";
	config.bridge.suggest_at = 50;
	triage(31, "it crashes", "", &x);
	assert_non_null(strstr(x.said, "\"bug\",\"p\":"));
	assert_non_null(strstr(strstr(x.said, "\"bug\""), "\"set\""));
	assert_null(strstr(strstr(x.said, "\"question\""), "\"set\""));
	matter_release(&x);
	config.bridge.suggest = mode;
	config.bridge.suggest_at = 90;
	lessons_down();
	remove_file(teachings_path);
}

static void
what_is_learned_is_bounded(void **state)
{
	(void)state;
	lessons_up();
	assert_int_equal(matters_begin(&teachings, NULL), 0);
	for (int i = 1; i <= SUGGEST_ITEMS + 5; i++)
		see(i, "x", "[]", "[]", false);
	assert_int_equal(matters_commit(&teachings, NULL), 0);
	assert_int_equal(lessons_prune(&lessons, NULL), 0);
	assert_int_equal(lessons_count(&lessons), SUGGEST_ITEMS);
	assert_int_equal(lesson_row(&lessons, "a/b", 5), 0);
	assert_true(lesson_row(&lessons, "a/b", 6) > 0);
	lessons_down();
	remove_file(teachings_path);
}

static int known;

static void
count_id(void *arg, const char *id)
{
	known += strcmp(arg, id) == 0;
}

static void
deliveries_are_known_again(void **state)
{
	struct matters m = { 0 };
	char path[64], id[24];

	(void)state;
	open_file(&m, path);
	assert_int_equal(matters_begin(&m, NULL), 0);
	for (int i = 0; i < MATTERS_DELIVERIES_MAX + 10; i++) {
		snprintf(id, sizeof id, "d%d", i);
		assert_int_equal(matters_deliver(&m, id, i, NULL), 0);
	}
	assert_int_equal(matters_prune(&m, NULL), 0);
	assert_int_equal(matters_commit(&m, NULL), 0);
	matters_deliveries(&m, count_id, (void *)(uintptr_t)"d9");
	assert_int_equal(known, 0);
	matters_deliveries(&m, count_id, (void *)(uintptr_t)"d10");
	assert_int_equal(known, 1);
	matters_close(&m);
	remove_file(path);
}

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(config_parse(&config, "rules", houses, strlen(houses), NULL, NULL, NULL), 0);
	rules = rules_new(&config);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rules_free(rules);
	config_release(&config);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_of_gitea_are_known),
		cmocka_unit_test(what_is_no_signature_is_none),
		cmocka_unit_test(a_webhook_becomes_facts),
		cmocka_unit_test(what_gitea_does_not_send_is_refused),
		cmocka_unit_test(facts_are_bounded),
		cmocka_unit_test(keys_are_markers_and_differ),
		cmocka_unit_test(the_first_rule_that_fits_is_followed),
		cmocka_unit_test(strangers_text_stays_text),
		cmocka_unit_test(each_of_a_chain_follows_the_one_before),
		cmocka_unit_test(ids_of_a_chain_follow_from_the_first),
		cmocka_unit_test(bad_chains_are_named),
		cmocka_unit_test(a_task_has_one_id),
		cmocka_unit_test(a_comment_tells_its_successor),
		cmocka_unit_test(a_comment_tells_what_is_probable),
		cmocka_unit_test(what_is_no_suggestion_is_none),
		cmocka_unit_test(a_comment_tells_each_of_a_chain),
		cmocka_unit_test(what_is_no_record_is_none),
		cmocka_unit_test(a_result_stays_in_its_fence_and_home),
		cmocka_unit_test(states_of_tasks_are_those_of_commits),
		cmocka_unit_test(what_fails_is_left_alone_ever_longer),
		cmocka_unit_test(availability_is_a_share_of_time),
		cmocka_unit_test(what_is_told_twice_is_one_matter),
		cmocka_unit_test(what_is_opened_again_is_news_once),
		cmocka_unit_test(figures_are_kept),
		cmocka_unit_test(who_has_looked_teaches),
		cmocka_unit_test(what_people_taught_is_kept),
		cmocka_unit_test(what_the_rule_says_is_not_suggested),
		cmocka_unit_test(what_is_learned_is_bounded),
		cmocka_unit_test(deliveries_are_known_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
