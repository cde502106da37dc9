/*
 * What comes from Gitea, and from whoever says that he is Gitea: bodies of webhooks, signatures, comments with a record.
 * Facts are bounded and well-formed, and stay text in a task, whatever is in them.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "comment.h"
#include "config.h"
#include "err.h"
#include "event.h"
#include "hook.h"
#include "json.h"
#include "rule.h"
#include "suggest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char houses[] =
    "houses: {ezra: }\n"
    "triage:\n"
    "  a: {kind: issue, words: [crash, a b], task: '{\"tool\":\"noop\",\"params\":{\"x\":\"{title}{body}{{number}\",\"y\":[\"{sha}\"]}}'}\n"
    "  b: {match: '(a|b)+c', labels: [bug]}\n"
    "  c: {kind: pull, paths: ['*.c'], repo: 'timmy/*', author: x}\n"
    "  e: {words: [chain], tasks: ['{\"tool\":\"noop\"}', '{\"tool\":\"noop\",\"params\":{\"x\":[\"uw/{number}\",\"{body}\"]}}']}\n"
    "  d: {task: '{\"tool\":\"noop\",\"params\":{\"{title}\":\"{title}\"}}'}\n";

static void
try_task(const struct config_triage *t, size_t step, const cJSON *facts, const char *key)
{
	char *line = rule_task(t, step, facts, key, step ? "01M8N74YXSZWG7ES1ZAJWJZXM0" : NULL);
	cJSON *task = json_parse_object(line, strlen(line), NULL);

	if (!task || strcmp(json_text(task, "tool"), "noop") != 0 || strncmp(json_text(task, "key"), key, strlen(key)) != 0 ||
	    strchr(line, '\n') || cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(task, "after")) != (step > 0))
		abort();
	cJSON_Delete(task);
	free(line);
}

static void
try_facts(const struct rules *rules, const cJSON *facts)
{
	const struct config_triage *t;
	char key[EVENT_KEY_MAX];
	struct buf b = { 0 };
	bool wants;

	json_put_tree(&b, facts);
	if (json_check(buf_str(&b), b.len, NULL) || b.len > 8 * (EVENT_BODY_MAX + 65536) || json_number(facts, "number", 0) <= 0)
		abort();
	buf_free(&b);
	event_key(key, json_text(facts, "repo"), json_number(facts, "number", 0));
	if (!gitea_id_ok(key))
		abort();
	t = rules_find(rules, facts, cJSON_GetObjectItemCaseSensitive(facts, "labels"), &wants);
	for (size_t i = 0; i < rule_steps(t); i++)
		try_task(t, i, facts, key);
}

/* Each word of a text is found again by its hash. */
static void
try_words(const char *text)
{
	struct suggest_words w = { 0 };
	char word[SUGGEST_WORD + 1];

	suggest_text(&w, text);
	for (size_t i = 0; i < w.n; i++)
		if (!suggest_word(text, w.v[i], word) || (i && w.v[i - 1] >= w.v[i]))
			abort();
}

static void
try_comment(const char *text)
{
	struct matter x = { 0 }, y = { 0 };
	struct buf b = { 0 };

	if (!comment_read(text, &x))
		return;
	comment_put(&b, &x, NULL, NULL, "key");
	if (!comment_read(buf_str(&b), &y) || strcmp(x.task, y.task) != 0 || strcmp(x.house, y.house) != 0 ||
	    strcmp(x.state, y.state) != 0 || !x.said != !y.said || (x.said && strcmp(x.said, y.said) != 0))
		abort();
	free(x.said);
	free(y.said);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "issues", "pull_request", "push" };
	static struct config config;
	static struct rules *rules;
	char *text;

	if (!rules) {
		if (config_parse(&config, "fuzz", houses, sizeof houses - 1, NULL, NULL, NULL))
			abort();
		rules = rules_new(&config);
	}
	if (size > 65536)
		return 0;
	text = xstrndup((const char *)data, size);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		cJSON *facts;

		if (event_webhook(names[i], text, size, &facts, NULL) == 0 && facts)
			try_facts(rules, facts);
		cJSON_Delete(facts);
	}
	if (hook_is_signed("key", text, data, size) || hook_is_signed("", text, data, size))
		abort();
	try_comment(text);
	try_words(text);
	free(text);
	return 0;
}
