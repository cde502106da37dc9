#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bridge.h"
#include "buf.h"
#include "cmd.h"
#include "event.h"
#include "gitea.h"
#include "json.h"
#include "remote.h"
#include "store_copy.h"

#define SHOWN 3                         /* of each kind */

static const struct cmd_opt opts[] = {
	{ .name = "title", .letter = 't', .kind = OPT_TEXT, .arg = "T", .help = "of one that is not there yet" },
	{ .name = "body", .letter = 'b', .kind = OPT_TEXT, .arg = "T", .help = "likewise" },
	{ .name = "author", .kind = OPT_TEXT, .arg = "USER", .help = "likewise" },
	{ .name = NULL },
};

/* What is asked about. */
struct subject {
	cJSON *facts, *paths;
	int64_t row;                    /* what it taught itself does not count; 0: nothing */
};

/* The file that a bridge on this host wrote to last. */
static bool
newest_file(const struct config *c, char *out, size_t size)
{
	const struct config_names *names = config_candidates(c, c->bridge.house);
	struct stat st, newest = { 0 };
	char path[512];

	*out = '\0';
	for (size_t i = 0; names && i < names->n; i++) {
		snprintf(path, sizeof path, "%s/%s.bridge.json", c->state_dir, names->v[i]);
		if (stat(path, &st) || (*out && st.st_mtime <= newest.st_mtime))
			continue;
		newest = st;
		snprintf(out, size, "%s/%s.bridge.db", c->state_dir, names->v[i]);
	}
	return *out != '\0';
}

/* ---- what it is about ---- */

static bool
on_file(void *arg, const cJSON *item)
{
	cJSON_AddItemToArray(arg, cJSON_CreateString(json_text(item, "filename")));
	return cJSON_GetArraySize(arg) < LESSON_PATHS;
}

static int
ask_gitea(const struct config *c, const char *repo, int64_t number, struct subject *x, struct err *e)
{
	struct gitea *g = gitea_open_configured(c, &(struct gitea_options){ 0 }, e);
	cJSON *o = NULL;
	int rc = -1;

	if (g && gitea_issue_get(g, repo, number, &o, e) == 0 && (x->facts = event_facts(repo, o, e))) {
		x->paths = cJSON_CreateArray();
		rc = strcmp(json_text(x->facts, "kind"), "pull") != 0 ? 0 : gitea_pull_files(g, repo, number, on_file, x->paths, e);
	}
	cJSON_Delete(o);
	gitea_close(g);
	return rc;
}

static cJSON *
made_up(const struct cmd_args *a, const char *repo)
{
	cJSON *f = cJSON_CreateObject();

	cJSON_AddStringToObject(f, "repo", repo);
	cJSON_AddStringToObject(f, "kind", "issue");
	cJSON_AddStringToObject(f, "title", cmd_text(a, "title", ""));
	cJSON_AddStringToObject(f, "body", cmd_text(a, "body", ""));
	cJSON_AddStringToObject(f, "author", cmd_text(a, "author", ""));
	return f;
}

/* ---- telling ---- */

static bool
is_fact(const char *name, const char *value, uint32_t hash, struct buf *out)
{
	if (suggest_fact_hash(name, value) != hash)
		return false;
	buf_addf(out, "%s %s", name, value);
	return true;
}

static bool
is_path(const char *path, uint32_t hash, struct buf *out)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	bool is = is_fact("in", dir, hash, out) || (dot && is_fact("file", dot, hash, out));

	free(dir);
	return is;
}

/* Only its hash is known of a word, but it is one of these. */
static void
put_word(const struct subject *x, uint32_t hash, struct buf *out)
{
	static const char *const facts[] = { "kind", "repo", "author" };
	char word[SUGGEST_WORD + 1];
	const cJSON *v;

	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
		if (is_fact(facts[i], json_text(x->facts, facts[i]), hash, out))
			return;
	cJSON_ArrayForEach(v, x->paths)
		if (is_path(v->valuestring, hash, out))
			return;
	if (suggest_word(json_text(x->facts, "title"), hash, word) || suggest_word(json_text(x->facts, "body"), hash, word))
		buf_addf(out, "\"%s\"", word);
}

static void
put_why(struct buf *b, const struct subject *x, const struct suggest_said *s)
{
	json_put_key(b, "why");
	json_put_open(b, '[');
	for (size_t i = 0; i < s->nwhy; i++) {
		struct buf word = { 0 };

		put_word(x, s->why[i].word, &word);
		json_put_open(b, '{');
		json_kv_str(b, "word", buf_str(&word));
		json_kv_num(b, "logit", s->why[i].by);
		json_kv_int(b, "of", s->why[i].of);
		json_kv_int(b, "with", s->why[i].with);
		json_put_close(b, '}');
		buf_free(&word);
	}
	json_put_close(b, ']');
}

static void
print_json(const struct subject *x, const struct lessons *l, const struct suggest_said *all, size_t n)
{
	struct buf b = { 0 };
	cJSON *o;

	json_put_open(&b, '{');
	json_kv_int(&b, "learned_from", suggest_items(l->s));
	json_put_key(&b, "suggestions");
	json_put_open(&b, '[');
	for (size_t i = 0; i < n; i++) {
		json_put_open(&b, '{');
		json_kv_str(&b, "kind", suggest_kind_name(all[i].kind));
		json_kv_str(&b, "name", all[i].name);
		json_kv_num(&b, "p", all[i].p);
		json_kv_bool(&b, "said", all[i].p >= LESSON_SAY);
		json_kv_int(&b, "like", all[i].like);
		json_kv_int(&b, "of", all[i].of);
		json_kv_int(&b, "with", all[i].with);
		put_why(&b, x, &all[i]);
		json_put_close(&b, '}');
	}
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	o = cJSON_Parse(buf_str(&b));
	print_pretty(o);
	cJSON_Delete(o);
	buf_free(&b);
}

static void
print_one(const struct subject *x, const struct suggest_said *s)
{
	printf("%-9s %s: %.0f %%, from %u like it%s\n", suggest_kind_name(s->kind), s->name, 100 * s->p, s->like,
	    s->p < LESSON_SAY ? " (too little to be said)" : "");
	printf("          of %u, %u have it\n", s->of, s->with);
	for (size_t i = 0; i < s->nwhy; i++) {
		struct buf word = { 0 };

		put_word(x, s->why[i].word, &word);
		printf("          %s, by %s: of %u with that, %u have it\n", s->why[i].by > 0 ? "more" : "less", buf_str(&word),
		    s->why[i].of, s->why[i].with);
		buf_free(&word);
	}
}

static void
tell(const struct cmd_args *a, const struct subject *x, const struct lessons *l)
{
	struct suggest_said *all = xcalloc(SUGGEST_VALUES, sizeof *all);
	struct suggest_words w = { 0 };
	int count[SUGGEST_NKINDS] = { 0 };
	size_t n, kept = 0;

	lesson_words(&w, x->facts, x->paths);
	n = suggest_say(l->s, &w, x->row, 0, all, SUGGEST_VALUES);
	for (size_t i = 0; i < n; i++)
		if (count[all[i].kind]++ < SHOWN)
			all[kept++] = all[i];
	if (a->json) {
		print_json(x, l, all, kept);
	} else {
		printf("learned from %u issues and pull requests\n", suggest_items(l->s));
		for (size_t i = 0; i < kept; i++)
			print_one(x, &all[i]);
		if (kept == 0)
			printf("nothing is suggested: a value must have been there %d times, of at least %d that people dealt with\n", SUGGEST_LEAST,
			    SUGGEST_KNOWN);
	}
	free(all);
}

/* ---- the command ---- */

static int
with_lessons(const struct cmd_args *a, const struct config *c, struct subject *x, const char *path)
{
	struct matters m = { 0 };
	struct lessons l = { 0 };
	struct err e = { 0 };
	int rc = EXIT_OK;

	if (matters_open(&m, path, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (lessons_open(&l, &m, c, &e)) {
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	} else {
		x->row = lesson_row(&l, json_text(x->facts, "repo"), json_number(x->facts, "number", 0));
		tell(a, x, &l);
	}
	lessons_close(&l);
	matters_close(&m);
	return rc;
}

static int
with_copy(const struct cmd_args *a, const struct config *c, struct subject *x)
{
	struct store_copy copy;
	struct err e = { 0 };
	char path[600];
	int rc;

	if (!newest_file(c, path, sizeof path))
		return cmd_fail(EXIT_NO_ANSWER, "no bridge has run on this host, in %s; the owner of house %s keeps it, see `uni-wizard "
		    "house list`", c->state_dir, c->bridge.house);
	if (store_copy_make(c->state_dir, path, c->min_free_bytes, &copy, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = with_lessons(a, c, x, copy.path);
	store_copy_remove(&copy);
	return rc;
}

static int
find_subject(const struct cmd_args *a, const struct config *c, struct subject *x)
{
	const char *repo = a->argc ? a->argv[0] : c->bridge.repos.n ? c->bridge.repos.v[0] : "";
	struct err e = { 0 };
	char *end = NULL;
	long long number;

	if (!c->bridge.repos.n)
		return cmd_fail(EXIT_USAGE, "%s: bridge.repos: expected repositories to watch, got none", c->path);
	if (strcmp(c->bridge.suggest, "off") == 0)
		return cmd_fail(EXIT_USAGE, "%s: bridge.suggest: expected say or apply, got off: nothing is learned", c->path);
	if (!config_repository_ok(repo))
		return cmd_fail(EXIT_USAGE, "OWNER/REPO: expected a repository, got %s", repo);
	if (a->argc < 2) {
		if (!cmd_text(a, "title", NULL) && !cmd_text(a, "body", NULL))
			return cmd_fail(EXIT_USAGE, "expected OWNER/REPO NUMBER, or --title or --body");
		x->facts = made_up(a, repo);
		return 0;
	}
	number = strtoll(a->argv[1], &end, 10);
	if (number <= 0 || *end)
		return cmd_fail(EXIT_USAGE, "NUMBER: expected the number of an issue or pull request, got %s", a->argv[1]);
	if (ask_gitea(c, repo, number, x, &e))
		return cmd_fail(e.code == ERR_NETWORK || e.code == ERR_TIMEOUT ? EXIT_NO_ANSWER : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return 0;
}

static int
run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct subject x = { 0 };
	int rc = cmd_config(a, c);

	if (rc == 0) {
		rc = find_subject(a, c, &x);
		if (rc == 0)
			rc = with_copy(a, c, &x);
		cJSON_Delete(x.facts);
		cJSON_Delete(x.paths);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_allegro_suggest = {
	.name = "allegro suggest",
	.args = "[OWNER/REPO [NUMBER]]",
	.help = "What the bridge would suggest for an issue, how probable that is, and why",
	.more = "By what the bridge on this host has learned from people. With NUMBER the issue is read from Gitea, and what it has taught\n"
	    "itself does not count; without, it is made up by --title and --body. Changes nothing. docs/bridge.md says what is learned.",
	.opts = opts,
	.max_args = 2,
	.flags = CMD_JSON,
	.run = run,
};
