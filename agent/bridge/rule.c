#include "rule.h"

#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "digest.h"
#include "event.h"
#include "glob.h"
#include "json.h"

struct rules {
	const struct config *c;
	regex_t match[CONFIG_MAX_TRIAGES];
};

struct rules *
rules_new(const struct config *c)
{
	struct rules *r = xcalloc(1, sizeof *r);

	r->c = c;
	/* They were compiled once already, when the file was read. */
	for (size_t i = 0; i < c->ntriages; i++)
		if (c->triages[i].match && regcomp(&r->match[i], c->triages[i].match, REG_EXTENDED | REG_ICASE | REG_NOSUB))
			abort();
	return r;
}

void
rules_free(struct rules *r)
{
	for (size_t i = 0; r && i < r->c->ntriages; i++)
		if (r->c->triages[i].match)
			regfree(&r->match[i]);
	free(r);
}

/* ---- does it fit ---- */

static bool
is_word_end(char c)
{
	return !isalnum((unsigned char)c) && c != '_' && (unsigned char)c < 0x80;
}

static bool
has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strcasestr(p, word)); p++)
		if ((p == text || is_word_end(p[-1])) && is_word_end(p[n]))
			return true;
	return false;
}

static bool
has_a_word(const struct config_triage *t, const cJSON *facts)
{
	for (size_t i = 0; i < t->words.n; i++)
		if (has_word(json_text(facts, "title"), t->words.v[i]) || has_word(json_text(facts, "body"), t->words.v[i]))
			return true;
	return false;
}

static bool
has_a_label(const struct config_triage *t, const cJSON *facts)
{
	const cJSON *first = cJSON_GetObjectItemCaseSensitive(facts, EVENT_OPENED_WITH), *v;

	if (!first)
		first = cJSON_GetObjectItemCaseSensitive(facts, "labels");
	cJSON_ArrayForEach(v, first)
		for (size_t i = 0; i < t->labels.n; i++)
			if (strcmp(v->valuestring, t->labels.v[i]) == 0)
				return true;
	return false;
}

static bool
has_a_path(const struct config_triage *t, const cJSON *paths)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, paths)
		for (size_t i = 0; i < t->paths.n; i++)
			if (cJSON_IsString(v) && glob_match(t->paths.v[i], v->valuestring))
				return true;
	return false;
}

static bool
matches(const regex_t *re, const cJSON *facts)
{
	return regexec(re, json_text(facts, "title"), 0, NULL, 0) == 0 || regexec(re, json_text(facts, "body"), 0, NULL, 0) == 0;
}

/* In all but the changed files. */
static bool
fits(const struct rules *r, size_t i, const cJSON *facts)
{
	const struct config_triage *t = &r->c->triages[i];

	return (strcmp(t->kind, "any") == 0 || strcmp(t->kind, json_text(facts, "kind")) == 0) &&
	    (!t->repo || glob_match(t->repo, json_text(facts, "repo"))) &&
	    (!t->author || strcmp(t->author, json_text(facts, "author")) == 0) &&
	    (!t->match || matches(&r->match[i], facts)) && (!t->words.n || has_a_word(t, facts)) &&
	    (!t->labels.n || has_a_label(t, facts));
}

const struct config_triage *
rules_find(const struct rules *r, const cJSON *facts, const cJSON *paths, bool *wants_paths)
{
	bool pull = strcmp(json_text(facts, "kind"), "pull") == 0;

	*wants_paths = false;
	for (size_t i = 0; i < r->c->ntriages; i++) {
		const struct config_triage *t = &r->c->triages[i];

		if ((t->paths.n && !pull) || !fits(r, i, facts))
			continue;
		if (t->paths.n && !paths) {
			*wants_paths = true;
			return NULL;
		}
		if (!t->paths.n || has_a_path(t, paths))
			return t;
	}
	return NULL;
}

/* ---- its task ---- */

static const char *const holes[] = { "repo", "number", "title", "body", "author", "url", "branch", "sha" };

/* The fact that "{name}" at p stands for; *len is how much of the text that is. NULL: it stands for itself. */
static const char *
fact_at(const char *p, const cJSON *facts, size_t *len, char number[24])
{
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		size_t n = strlen(holes[i]);

		if (strncmp(p + 1, holes[i], n) != 0 || p[1 + n] != '}')
			continue;
		*len = n + 2;
		if (strcmp(holes[i], "number") != 0)
			return json_text(facts, holes[i]);
		snprintf(number, 24, "%lld", (long long)json_number(facts, "number", 0));
		return number;
	}
	return NULL;
}

static void
fill_text(cJSON *v, const cJSON *facts)
{
	struct buf b = { 0 };
	char number[24];

	for (const char *p = v->valuestring; *p;) {
		size_t len = 1;
		const char *fact = *p == '{' ? fact_at(p, facts, &len, number) : NULL;

		if (fact)
			buf_adds(&b, fact);
		else
			buf_addc(&b, *p);
		p += len;
	}
	cJSON_free(v->valuestring);
	v->valuestring = cJSON_malloc(b.len + 1);
	if (!v->valuestring)
		abort();
	memcpy(v->valuestring, buf_str(&b), b.len + 1);
	buf_free(&b);
}

/* The configuration's reader has bounded the depth. */
static void
fill(cJSON *v, const cJSON *facts)
{
	cJSON *child;

	if (cJSON_IsString(v) && strchr(v->valuestring, '{'))
		fill_text(v, facts);
	cJSON_ArrayForEach(child, v)
		fill(child, facts);
}

const struct config_triage *
rule_named(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->ntriages; i++)
		if (strcmp(c->triages[i].name, name) == 0)
			return &c->triages[i];
	return NULL;
}

size_t
rule_steps(const struct config_triage *t)
{
	return !t ? 0 : t->task ? 1 : t->tasks.n;
}

static const char *
step_text(const struct config_triage *t, size_t step)
{
	return t->task ? t->task : t->tasks.v[step];
}

char *
rule_tool(const struct config_triage *t, size_t step)
{
	cJSON *task = cJSON_Parse(step_text(t, step));
	char *tool = xstrdup(json_text(task, "tool"));

	cJSON_Delete(task);
	return tool;
}

static void
add_key(cJSON *task, const char *key, size_t step)
{
	char text[201];

	if (step)
		snprintf(text, sizeof text, "%s.%zu", key, step + 1);
	cJSON_AddStringToObject(task, "key", step ? text : key);
}

char *
rule_task(const struct config_triage *t, size_t step, const cJSON *facts, const char *key, const char *after)
{
	cJSON *task = cJSON_Parse(step_text(t, step));
	struct buf line = { 0 };

	fill(cJSON_GetObjectItemCaseSensitive(task, "params"), facts);
	add_key(task, key, step);
	if (after) {
		cJSON_AddItemToArray(cJSON_AddArrayToObject(task, "after"), cJSON_CreateString(after));
		cJSON_AddStringToObject(task, "parent", after);
	}
	json_put_tree(&line, task);
	cJSON_Delete(task);
	return buf_take(&line);
}

void
rule_task_id(struct ulid *out, const char *key, int64_t created_ms, int64_t now_ms, int64_t young_ms)
{
	unsigned char sum[DIGEST_SIZE];
	struct digest *d;

	if (created_ms < now_ms - young_ms || created_ms > now_ms + young_ms) {
		ulid_now(out);
		return;
	}
	d = digest_new();
	digest_of(d, key, strlen(key), sum);
	digest_free(d);
	ulid_make(out, created_ms, sum);
}

void
rule_step_id(char out[ULID_TEXT], const char *first, size_t step)
{
	unsigned char sum[DIGEST_SIZE];
	char text[ULID_TEXT + 24];
	struct digest *d;
	struct ulid id;
	int n;

	snprintf(out, ULID_TEXT, "%s", first);
	if (step == 0 || !ulid_parse(first, &id))
		return;
	n = snprintf(text, sizeof text, "%s.%zu", first, step + 1);
	d = digest_new();
	digest_of(d, text, (size_t)n, sum);
	digest_free(d);
	ulid_make(&id, ulid_time_ms(&id), sum);
	ulid_format(&id, out);
}
