#include "lesson.h"

#include <string.h>

#include "buf.h"
#include "comment.h"
#include "err.h"
#include "json.h"
#include "rule.h"
#include "said.h"

#define HOUSE_LABEL "house/"

enum { Q_ALL, Q_FIND, Q_ADD, Q_SAVE, Q_UNREAD, Q_TAUGHT, Q_SCORED, Q_PRUNE, Q_PRUNE_NEW, Q_COUNT };

#define COLUMNS "row, repo, number, pull, words, rule, house, said, truth, at_ms, known FROM lesson "

static const char *const sql[Q_COUNT] = {
	[Q_ALL] = "SELECT " COLUMNS "WHERE truth IS NOT NULL ORDER BY at_ms, row",
	[Q_FIND] = "SELECT " COLUMNS "WHERE repo = ?1 AND number = ?2",
	[Q_ADD] = "INSERT OR IGNORE INTO lesson (repo, number, pull, words) VALUES (?1, ?2, ?3, ?4)",
	[Q_SAVE] = "UPDATE lesson SET words = ?2, rule = ?3, house = ?4, said = ?5, truth = ?6, at_ms = ?7, known = ?8 WHERE row = ?1",
	[Q_UNREAD] = "SELECT " COLUMNS "WHERE truth IS NOT NULL AND known = 0 ORDER BY at_ms DESC LIMIT 1",
	[Q_TAUGHT] = "SELECT count(*) FROM lesson WHERE truth IS NOT NULL",
	[Q_SCORED] = "SELECT " COLUMNS "WHERE truth IS NOT NULL AND said IS NOT NULL",
	[Q_PRUNE] = "DELETE FROM lesson WHERE row IN (SELECT row FROM lesson WHERE truth IS NOT NULL ORDER BY at_ms DESC LIMIT -1 OFFSET ?1)",
	[Q_PRUNE_NEW] = "DELETE FROM lesson WHERE row IN (SELECT row FROM lesson WHERE truth IS NULL ORDER BY row DESC LIMIT -1 OFFSET ?1)",
};

struct lesson {
	int64_t row, number;
	char repo[GITEA_REPO_MAX];
	bool pull;
	struct suggest_words w;
	char rule[NAME_MAX_LEN + 1];
	char house[NAME_MAX_LEN + 1];   /* whose task succeeded */
	char *said, *truth;             /* JSON; NULL: none */
	int64_t at_ms;                  /* of the truth, by Gitea's clock */
	bool known;                     /* rule, house, said and paths are what they will be */
};

/* ---- rows ---- */

static void
release(struct lesson *x)
{
	free(x->said);
	free(x->truth);
	*x = (struct lesson){ 0 };
}

static void
get_text(sqlite3_stmt *s, int i, char *out, size_t size)
{
	snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, i));
}

static char *
take_text(sqlite3_stmt *s, int i)
{
	const char *text = (const char *)sqlite3_column_text(s, i);

	return text ? xstrdup(text) : NULL;
}

static void
get_words(sqlite3_stmt *s, int i, struct suggest_words *w)
{
	size_t n = (size_t)sqlite3_column_bytes(s, i) / sizeof w->v[0];
	const void *p = sqlite3_column_blob(s, i);

	w->n = n < SUGGEST_WORDS ? n : SUGGEST_WORDS;
	if (w->n)
		memcpy(w->v, p, w->n * sizeof w->v[0]);
}

static int
read_row(struct lessons *l, sqlite3_stmt *s, struct lesson *x, struct err *e)
{
	int rc = db_step(l->db, s, e);

	*x = (struct lesson){ 0 };
	if (rc != 1)
		return rc;
	x->row = sqlite3_column_int64(s, 0);
	get_text(s, 1, x->repo, sizeof x->repo);
	x->number = sqlite3_column_int64(s, 2);
	x->pull = sqlite3_column_int(s, 3) != 0;
	get_words(s, 4, &x->w);
	get_text(s, 5, x->rule, sizeof x->rule);
	get_text(s, 6, x->house, sizeof x->house);
	x->said = take_text(s, 7);
	x->truth = take_text(s, 8);
	x->at_ms = sqlite3_column_int64(s, 9);
	x->known = sqlite3_column_int(s, 10) != 0;
	return 1;
}

static int
read_one(struct lessons *l, sqlite3_stmt *s, struct lesson *x, struct err *e)
{
	int rc = read_row(l, s, x, e);

	sqlite3_reset(s);
	return rc;
}

static int
find(struct lessons *l, const char *repo, int64_t number, struct lesson *x, struct err *e)
{
	sqlite3_stmt *s = db_use(l->db, l->q + Q_FIND);

	db_text(s, 1, repo);
	db_int(s, 2, number);
	return read_one(l, s, x, e);
}

static int
save(struct lessons *l, const struct lesson *x, struct err *e)
{
	sqlite3_stmt *s = db_use(l->db, l->q + Q_SAVE);

	db_int(s, 1, x->row);
	db_blob(s, 2, x->w.v, x->w.n * sizeof x->w.v[0]);
	db_text(s, 3, x->rule);
	db_text(s, 4, x->house);
	db_text(s, 5, x->said);
	db_text(s, 6, x->truth);
	db_int(s, 7, x->at_ms);
	db_int(s, 8, x->known);
	l->scored = false;
	return db_run(l->db, s, e);
}

/* It is there afterwards. */
static int
find_or_add(struct lessons *l, const cJSON *facts, const cJSON *paths, struct lesson *x, struct err *e)
{
	const char *repo = json_text(facts, "repo");
	int64_t number = json_number(facts, "number", 0);
	struct suggest_words w = { 0 };
	sqlite3_stmt *s;
	int rc = find(l, repo, number, x, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	lesson_words(&w, facts, paths);
	s = db_use(l->db, l->q + Q_ADD);
	db_text(s, 1, repo);
	db_int(s, 2, number);
	db_int(s, 3, strcmp(json_text(facts, "kind"), "pull") == 0);
	db_blob(s, 4, w.v, w.n * sizeof w.v[0]);
	if (db_run(l->db, s, e))
		return -1;
	return find(l, repo, number, x, e) == 1 ? 0 : -1;
}

/* ---- what it is known by ---- */

/* A file is known by its directory and by what its name ends in. */
static void
add_path(struct suggest_words *w, const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");

	suggest_fact(w, "in", dir);
	if (dot)
		suggest_fact(w, "file", dot);
	free(dir);
}

void
lesson_words(struct suggest_words *w, const cJSON *facts, const cJSON *paths)
{
	const cJSON *v;
	int n = 0;

	suggest_fact(w, "kind", json_text(facts, "kind"));
	suggest_fact(w, "repo", json_text(facts, "repo"));
	suggest_fact(w, "author", json_text(facts, "author"));
	cJSON_ArrayForEach(v, paths)
		if (cJSON_IsString(v) && n++ < LESSON_PATHS)
			add_path(w, v->valuestring);
	suggest_text(w, json_text(facts, "title"));
	suggest_text(w, json_text(facts, "body"));
}

/* ---- what people made of it ---- */

static bool
has_text(const cJSON *list, const char *text)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (cJSON_IsString(v) && strcmp(v->valuestring, text) == 0)
			return true;
	return false;
}

static const cJSON *
list_of(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

static bool
is_ours(const struct config_triage *rule, const cJSON *said, const char *label)
{
	for (size_t i = 0; rule && i < rule->add.n; i++)
		if (strcmp(rule->add.v[i], label) == 0)
			return true;
	return said_has_set(said, label);
}

static bool
teaches(const struct config_triage *rule, const cJSON *said, const cJSON *facts)
{
	const cJSON *v;

	if (!json_is_true(facts, "open"))
		return true;
	cJSON_ArrayForEach(v, list_of(facts, "labels"))
		if (!is_ours(rule, said, v->valuestring))
			return true;
	cJSON_ArrayForEach(v, list_of(facts, "assignees"))
		if (!rule || !rule->assignee || strcmp(rule->assignee, v->valuestring) != 0)
			return true;
	return false;
}

static bool
has_labels_of(const struct config_triage *rule, const cJSON *labels)
{
	for (size_t i = 0; i < rule->add.n; i++)
		if (!has_text(labels, rule->add.v[i]))
			return false;
	return true;
}

static const char *
category_of(const struct config *c, const struct config_triage *rule, const cJSON *labels)
{
	if (rule && rule->category && has_labels_of(rule, labels))
		return rule->category;
	for (size_t i = 0; i < c->ntriages; i++) {
		const struct config_triage *t = &c->triages[i];

		if (t->category && t->add.n && has_labels_of(t, labels))
			return t->category;
	}
	return "";
}

static const char *
house_of(const struct config *c, const char *succeeded, const cJSON *labels)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, labels)
		if (strncmp(v->valuestring, HOUSE_LABEL, strlen(HOUSE_LABEL)) == 0 &&
		    config_house_find(c, v->valuestring + strlen(HOUSE_LABEL)))
			return v->valuestring + strlen(HOUSE_LABEL);
	return succeeded;
}

/* Labels and assignees as in facts, or in a truth; the rest anew. The caller frees it. */
static char *
truth_text(const struct lessons *l, const struct lesson *x, const cJSON *labels, const cJSON *assignees)
{
	const struct {
		const char *name;
		const cJSON *list;
		const char *one;
	} members[] = {
		{ "label", labels, NULL },
		{ "category", NULL, category_of(l->c, rule_named(l->c, x->rule), labels) },
		{ "house", NULL, house_of(l->c, x->house, labels) },
		{ "assignee", assignees, NULL },
	};
	struct buf b = { 0 };

	json_put_open(&b, '{');
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const cJSON *v;

		json_put_key(&b, members[i].name);
		json_put_open(&b, '[');
		if (members[i].one && *members[i].one)
			json_put_str(&b, members[i].one);
		cJSON_ArrayForEach(v, members[i].list)
			if (said_is_plain(v->valuestring))
				json_put_str(&b, v->valuestring);
		json_put_close(&b, ']');
	}
	json_put_close(&b, '}');
	return buf_take(&b);
}

static void
read_truth(const char *text, struct suggest_truth *t)
{
	cJSON *o = cJSON_Parse(text);
	const cJSON *v;

	for (int k = 0; k < SUGGEST_NKINDS; k++)
		cJSON_ArrayForEach(v, list_of(o, suggest_kind_name((enum suggest_kind)k)))
			if (cJSON_IsString(v))
				suggest_is(t, (enum suggest_kind)k, v->valuestring);
	cJSON_Delete(o);
}

static void
learn(struct lessons *l, const struct lesson *x)
{
	struct suggest_truth t = { 0 };

	if (l->deferred)
		return;
	read_truth(x->truth, &t);
	suggest_learn(l->s, x->row, &x->w, &t);
}

/* Takes the text. */
static int
set_truth(struct lessons *l, struct lesson *x, char *text, struct err *e)
{
	free(x->truth);
	x->truth = text;
	if (save(l, x, e))
		return -1;
	learn(l, x);
	return 0;
}

/* With what is known of it by now. */
static int
renew_truth(struct lessons *l, struct lesson *x, struct err *e)
{
	cJSON *o = x->truth ? cJSON_Parse(x->truth) : NULL;
	int rc;

	if (!o)
		return save(l, x, e);
	rc = set_truth(l, x, truth_text(l, x, list_of(o, "label"), list_of(o, "assignee")), e);
	cJSON_Delete(o);
	return rc;
}

/* ---- suggesting ---- */

/* What a label sets off must be a person's. */
static bool
sets_off(const struct config *c, const char *label)
{
	for (size_t i = 0; i < c->ntriages; i++)
		for (size_t j = 0; j < c->triages[i].labels.n; j++)
			if (strcmp(c->triages[i].labels.v[j], label) == 0)
				return true;
	return false;
}

static bool
is_set(const struct config *c, const struct suggest_said *x)
{
	return x->kind == SUGGEST_LABEL && strcmp(c->bridge.suggest, "apply") == 0 && x->p * 100 >= (double)c->bridge.suggest_at &&
	    !sets_off(c, x->name);
}

static bool
is_open(const struct matter *x, const struct config_triage *rule, enum suggest_kind kind)
{
	switch (kind) {
	case SUGGEST_LABEL:
		return !rule || !rule->add.n;
	case SUGGEST_CATEGORY:
		return !rule || !rule->category;
	case SUGGEST_HOUSE:
		return !*x->house;
	case SUGGEST_ASSIGNEE:
		return (!rule || !rule->assignee) && !json_is_true(x->facts, "assigned");
	case SUGGEST_NKINDS:
		break;
	}
	return false;
}

/* One label "a/b" is there at a time. */
static bool
is_taken(const cJSON *names, const char *label)
{
	const char *slash = strrchr(label, '/');
	size_t n = slash ? (size_t)(slash - label) + 1 : 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, names)
		if (strcmp(v->valuestring, label) == 0 || (n && strncmp(v->valuestring, label, n) == 0 && !strchr(v->valuestring + n, '/')))
			return true;
	return false;
}

/* The caller frees it. */
static cJSON *
pick(const struct lessons *l, const struct matter *x, const struct config_triage *rule, const struct suggest_said *all, size_t n)
{
	cJSON *list = cJSON_CreateArray(), *labels = cJSON_Duplicate(list_of(x->facts, "labels"), true);
	int count[SUGGEST_NKINDS] = { 0 };

	if (!labels)
		labels = cJSON_CreateArray();
	for (size_t i = 0; i < n; i++) {
		bool label = all[i].kind == SUGGEST_LABEL;

		if (!is_open(x, rule, all[i].kind) || count[all[i].kind] == (label ? LESSON_LABELS : 1) || !said_is_plain(all[i].name) ||
		    (label && is_taken(labels, all[i].name)))
			continue;
		count[all[i].kind]++;
		said_add(list, &all[i], is_set(l->c, &all[i]));
		if (label)
			cJSON_AddItemToArray(labels, cJSON_CreateString(all[i].name));
	}
	cJSON_Delete(labels);
	return list;
}

static char *
suggestions(const struct lessons *l, const struct lesson *y, const struct matter *x, const struct config_triage *rule)
{
	struct suggest_said *all = xcalloc(SUGGEST_VALUES, sizeof *all);
	size_t n = suggest_say(l->s, &y->w, y->row, LESSON_SAY, all, SUGGEST_VALUES);
	cJSON *list = pick(l, x, rule, all, n);
	struct buf b = { 0 };

	if (cJSON_GetArraySize(list))
		json_put_tree(&b, list);
	cJSON_Delete(list);
	free(all);
	return b.len ? buf_take(&b) : NULL;
}

static void
copy_matter(struct lesson *y, const struct matter *x)
{
	snprintf(y->rule, sizeof y->rule, "%s", x->rule);
	if (strcmp(x->state, "succeeded") == 0)
		snprintf(y->house, sizeof y->house, "%s", x->house);
	y->known = true;
}

int
lesson_suggest(struct lessons *l, struct matter *x, const struct config_triage *rule, const cJSON *paths, struct err *e)
{
	struct lesson y;
	int rc;

	if (!l->s)
		return 0;
	if (find_or_add(l, x->facts, paths, &y, e))
		return -1;
	y.w.n = 0;
	lesson_words(&y.w, x->facts, paths);
	copy_matter(&y, x);
	free(y.said);
	y.said = suggestions(l, &y, x, rule);
	rc = renew_truth(l, &y, e);
	free(x->said);
	x->said = y.said;
	y.said = NULL;
	release(&y);
	return rc;
}

int
lesson_adopt(struct lessons *l, const struct matter *x, struct err *e)
{
	struct lesson y;
	int rc;

	if (!l->s)
		return 0;
	if (find_or_add(l, x->facts, NULL, &y, e))
		return -1;
	copy_matter(&y, x);
	/* Its files may still be asked for. */
	y.known = !y.pull;
	if (x->said && !y.said)
		y.said = xstrdup(x->said);
	rc = renew_truth(l, &y, e);
	release(&y);
	return rc;
}

/* ---- learning ---- */

/* 1: it is another than before. */
static int
see(struct lessons *l, struct lesson *x, const cJSON *facts, struct err *e)
{
	char *text = truth_text(l, x, list_of(facts, "labels"), list_of(facts, "assignees"));

	if (x->truth && strcmp(x->truth, text) == 0) {
		free(text);
		return 0;
	}
	if (!x->row && find_or_add(l, facts, NULL, x, e)) {
		free(text);
		return -1;
	}
	x->at_ms = json_number(facts, "updated", 0);
	return set_truth(l, x, text, e) ? -1 : 1;
}

int
lesson_see(struct lessons *l, const cJSON *facts, struct err *e)
{
	struct lesson x;
	cJSON *said;
	int rc;

	if (!l->s)
		return 0;
	rc = find(l, json_text(facts, "repo"), json_number(facts, "number", 0), &x, e);
	if (rc < 0)
		return -1;
	said = x.said ? cJSON_Parse(x.said) : NULL;
	rc = teaches(rule_named(l->c, x.rule), said, facts) ? see(l, &x, facts, e) : 0;
	cJSON_Delete(said);
	release(&x);
	return rc;
}

int
lesson_house(struct lessons *l, const char *repo, int64_t number, const char *house, struct err *e)
{
	struct lesson x;
	int rc;

	if (!l->s)
		return 0;
	rc = find(l, repo, number, &x, e);
	if (rc == 1) {
		snprintf(x.house, sizeof x.house, "%s", house);
		rc = renew_truth(l, &x, e);
	}
	release(&x);
	return rc < 0 ? -1 : 0;
}

int
lesson_unread(struct lessons *l, char repo[GITEA_REPO_MAX], int64_t *number, bool *is_pull, struct err *e)
{
	struct lesson x;
	int rc;

	if (!l->s)
		return 0;
	rc = read_one(l, db_use(l->db, l->q + Q_UNREAD), &x, e);
	memcpy(repo, x.repo, sizeof x.repo);
	*number = x.number;
	*is_pull = x.pull;
	release(&x);
	return rc;
}

int
lesson_read(struct lessons *l, const struct matter *x, const cJSON *paths, struct err *e)
{
	struct lesson y;
	const cJSON *v;
	int n = 0, rc;

	if (!l->s)
		return 0;
	rc = find(l, x->repo, x->number, &y, e);
	if (rc == 1) {
		copy_matter(&y, x);
		cJSON_ArrayForEach(v, paths)
			if (cJSON_IsString(v) && n++ < LESSON_PATHS)
				add_path(&y.w, v->valuestring);
		if (x->said && !y.said)
			y.said = xstrdup(x->said);
		rc = renew_truth(l, &y, e);
	}
	release(&y);
	return rc < 0 ? -1 : 0;
}

int64_t
lesson_row(struct lessons *l, const char *repo, int64_t number)
{
	struct lesson x;
	int64_t row = find(l, repo, number, &x, NULL) == 1 ? x.row : 0;

	release(&x);
	return row;
}

/* ---- how right it was ---- */

static void
score_one(struct score scores[SUGGEST_NKINDS], const struct lesson *x)
{
	struct suggest_truth t = { 0 };
	cJSON *said = cJSON_Parse(x->said);
	const cJSON *o;

	read_truth(x->truth, &t);
	cJSON_ArrayForEach(o, said) {
		enum suggest_kind kind;

		if (said_kind(o, &kind) && suggest_knows(&t, kind))
			score_add(&scores[kind], cJSON_GetNumberValue(list_of(o, "p")), suggest_has(&t, kind, json_text(o, "name")));
	}
	cJSON_Delete(said);
}

const struct score *
lessons_scores(struct lessons *l)
{
	sqlite3_stmt *s;
	struct lesson x;

	if (!l->s || l->scored)
		return l->scores;
	memset(l->scores, 0, sizeof l->scores);
	s = db_use(l->db, l->q + Q_SCORED);
	while (read_row(l, s, &x, NULL) == 1) {
		score_one(l->scores, &x);
		release(&x);
	}
	sqlite3_reset(s);
	l->scored = true;
	return l->scores;
}

uint64_t
lessons_right(const struct score *s)
{
	double came = 0;

	for (int i = 0; i < SCORE_BINS; i++)
		came += s->bins[i].came;
	return (uint64_t)came;
}

int64_t
lessons_count(struct lessons *l)
{
	sqlite3_stmt *s;
	int64_t n;

	if (!l->s)
		return 0;
	s = db_use(l->db, l->q + Q_TAUGHT);
	n = db_step(l->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return n;
}

/* ---- beginning and end ---- */

int
lessons_learn(struct lessons *l, struct err *e)
{
	sqlite3_stmt *s = db_use(l->db, l->q + Q_ALL);
	struct lesson x;
	int rc;

	suggest_free(l->s);
	l->s = suggest_new();
	l->deferred = false;
	while ((rc = read_row(l, s, &x, e)) == 1) {
		learn(l, &x);
		release(&x);
	}
	sqlite3_reset(s);
	return rc;
}

int
lessons_open(struct lessons *l, struct matters *m, const struct config *c, struct err *e)
{
	*l = (struct lessons){ .db = &m->db, .c = c };
	if (strcmp(c->bridge.suggest, "off") == 0)
		return 0;
	if (db_more(l->db, sql, Q_COUNT, &l->q, e))
		return -1;
	return lessons_learn(l, e);
}

void
lessons_close(struct lessons *l)
{
	suggest_free(l->s);
	l->s = NULL;
}

int
lessons_prune(struct lessons *l, struct err *e)
{
	static const struct {
		int q;
		int64_t most;
	} bounds[] = { { Q_PRUNE, SUGGEST_ITEMS }, { Q_PRUNE_NEW, MATTERS_DONE_MAX } };

	for (size_t i = 0; l->s && i < sizeof bounds / sizeof *bounds; i++) {
		sqlite3_stmt *s = db_use(l->db, l->q + bounds[i].q);

		db_int(s, 1, bounds[i].most);
		if (db_run(l->db, s, e))
			return -1;
	}
	return 0;
}
