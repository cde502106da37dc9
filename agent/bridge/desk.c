/*
 * desk.c - what needs Gitea, one thing at a time: who we are, what is new in a repository, looking at something new,
 * following its rule, telling what became of it; and when nothing else is to be done, learning (study.c).
 *
 * Each step may be done again: what it has done already it finds. Only then the row says so.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "bridge.h"
#include "buf.h"
#include "clock.h"
#include "comment.h"
#include "err.h"
#include "json.h"
#include "log.h"
#include "said.h"

#define OVERLAP_MS 60000                /* listings come from an index that lags, in whole seconds */
#define TRIES 8                         /* of one matter that Gitea refuses */
#define AGAIN_MS 1000                   /* doubled each time, to ... */
#define AGAIN_MAX_MS 600000
#define PATHS_MAX 3000                  /* changed files that rules look at */
#define TOLD_MS 60000
#define COLOR "#6f42c1"
#define CONTEXT "uni-wizard/triage"

/* ---- how it went ---- */

/* A token that is not valid concerns them all too, and may become so. */
static bool
is_away(const struct gitea_failure *f)
{
	switch (f->kind) {
	case GITEA_LIMITED:
	case GITEA_UNAVAILABLE:
	case GITEA_UNREACHABLE:
	case GITEA_STOPPED:
	case GITEA_STRANGE:
		return true;
	default:
		return f->kind == GITEA_FORBIDDEN && f->status == 401;
	}
}

/* What goes on for long is not told each time. */
void
desk_complain(struct bridge *b, const struct err *e)
{
	int64_t now = clock_mono_ms();

	if (!b->told_ms || now - b->told_ms > TOLD_MS) {
		log_warnx("bridge: %s", e->msg);
		b->told_ms = now;
	}
}

void
desk_failed(struct bridge *b, const struct err *e)
{
	log_warnx("bridge: %s", e->msg);
	b->failed = true;
}

static void
count(struct bridge *b, const char *name, int64_t by)
{
	struct err e = { 0 };

	if (matters_count_up(&b->m, name, by, &e))
		desk_failed(b, &e);
}

/* True if all of Gitea is concerned. */
bool
desk_note(struct bridge *b, int rc, const struct err *e)
{
	const struct gitea_failure *f = gitea_failure(b->gitea);
	int64_t now = clock_mono_ms();
	struct ulid random;

	if (rc == 0 || !is_away(f)) {
		if (b->up.down_ms && now - b->up.down_ms > 1000)
			log_info("bridge: Gitea answers again, after %" PRId64 " ms", now - b->up.down_ms);
		if (b->up.down_ms)
			b->told_ms = 0;
		uplink_works(&b->up, now);
		if (b->yields)
			count(b, "yields", -b->yields);
		b->yields = 0;
		return false;
	}
	ulid_now(&random);
	desk_complain(b, e);
	uplink_fails(&b->up, f->retry_after_s, (uint32_t)random.b[14] << 8 | random.b[15], now);
	return true;
}

static void
save(struct bridge *b, const struct matter *x)
{
	struct err e = { 0 };

	if (matters_save(&b->m, x, &e))
		desk_failed(b, &e);
}

/* When Gitea is away it costs the matter nothing. What Gitea refuses is tried some times more, and what it forbids until it
 * does so no longer: somebody has to give us the right. */
static void
put_off(struct bridge *b, struct matter *x, const struct err *e)
{
	int64_t wait = AGAIN_MS;

	if (desk_note(b, -1, e))
		return;
	for (int i = 0; i < x->tries && wait < AGAIN_MAX_MS; i++)
		wait *= 2;
	x->next_ms = clock_wall_ms() + (wait < AGAIN_MAX_MS ? wait : AGAIN_MAX_MS);
	if (x->tries < TRIES)
		log_warnx("bridge: %s#%" PRId64 ": %s", x->repo, x->number, e->msg);
	if (++x->tries >= TRIES && gitea_failure(b->gitea)->kind != GITEA_FORBIDDEN) {
		log_warnx("bridge: %s#%" PRId64 ": given up", x->repo, x->number);
		x->stage = MATTER_GIVEN_UP;
	}
	save(b, x);
}

static bool
is_pull(const struct matter *x)
{
	return strcmp(json_text(x->facts, "kind"), "pull") == 0;
}

/* ---- what is new ---- */

/* As the configuration writes it, which may differ in case; NULL: it is not watched. */
static const char *
watched(const struct bridge *b, const char *repo)
{
	for (size_t i = 0; i < b->c->bridge.repos.n; i++)
		if (strcasecmp(b->c->bridge.repos.v[i], repo) == 0)
			return b->c->bridge.repos.v[i];
	return NULL;
}

void
desk_learn(struct bridge *b, const cJSON *facts)
{
	struct err e = { 0 };

	if (strcmp(json_text(facts, "author"), b->login) != 0 && lesson_see(&b->lessons, facts, &e) < 0)
		desk_failed(b, &e);
}

bool
desk_take(struct bridge *b, cJSON *facts, enum matter_source source)
{
	const char *repo = watched(b, json_text(facts, "repo"));
	int64_t now = clock_wall_ms(), number = json_number(facts, "number", 0), merged = json_number(facts, "merged", 0);
	bool young = json_number(facts, "created", 0) > now - b->c->bridge.backlog_s * 1000;
	struct err e = { 0 };
	int rc = 0;

	if (repo)
		cJSON_ReplaceItemInObjectCaseSensitive(facts, "repo", cJSON_CreateString(repo));
	if (repo && merged)
		rc = matters_merged(&b->m, repo, number, merged, &e);
	else if (repo && json_is_true(facts, "open"))
		rc = matters_add(&b->m, facts, source, young, now, &e);
	else if (repo)
		rc = matters_closed(&b->m, facts, source, young, now, &e);
	if (repo)
		desk_learn(b, facts);
	cJSON_Delete(facts);
	if (rc < 0)
		desk_failed(b, &e);
	return rc > 0;
}

struct reading {
	struct bridge *b;
	const char *repo;
	int64_t newest_ms;
	int64_t room;
};

static bool
on_issue(void *arg, const cJSON *item)
{
	struct reading *r = arg;
	struct err e = { 0 };
	cJSON *facts = event_facts(r->repo, item, &e);

	if (!facts) {
		log_warnx("bridge: %s: %s", r->repo, e.msg);
		return true;
	}
	if (json_number(facts, "updated", 0) > r->newest_ms)
		r->newest_ms = json_number(facts, "updated", 0);
	if (desk_take(r->b, facts, MATTER_POLL))
		r->room--;
	return r->room > 0 && !r->b->failed;
}

/* Only a listing that was read to its end moves the cursor. */
static void
poll_repo(struct bridge *b, size_t i)
{
	const char *repo = b->c->bridge.repos.v[i];
	int64_t cursor = matters_cursor(&b->m, repo), from = clock_wall_ms() - b->c->bridge.backlog_s * 1000;
	struct reading r = { .b = b, .repo = repo, .newest_ms = cursor, .room = b->c->bridge.open - matters_open_count(&b->m) };
	struct err e = { 0 }, why = { 0 };
	char since[32];
	int rc;

	b->poll_ms[i] = clock_mono_ms() + b->c->bridge.poll_s * 1000;
	if (r.room <= 0)
		return;
	clock_format(cursor ? cursor - OVERLAP_MS : from, since, sizeof since);
	/* A long listing changes nothing there. */
	gitea_deadline(b->gitea, 0);
	if (matters_begin(&b->m, &e)) {
		desk_failed(b, &e);
		return;
	}
	rc = gitea_issues(b->gitea, repo, &(struct gitea_issue_query){ .state = "all", .since = since }, on_issue, &r, &e);
	if (matters_commit(&b->m, &why) ||
	    (rc == 0 && r.room > 0 && r.newest_ms > cursor && matters_set_cursor(&b->m, repo, r.newest_ms, &why)))
		desk_failed(b, &why);
	if (rc && !desk_note(b, rc, &e))
		desk_complain(b, &e);
	else if (rc)
		b->poll_ms[i] = 0;
	else
		desk_note(b, 0, NULL);
}

/* ---- a first look ---- */

struct finding {
	struct bridge *b;
	struct matter *x;
	char key[EVENT_KEY_MAX];
	bool *has_record;
};

/* The oldest of ours that has the marker. */
static bool
on_comment(void *arg, const cJSON *item)
{
	struct finding *f = arg;
	struct gitea_comment c;

	if (gitea_comment_read(item, &c, NULL) || strcmp(c.author, f->b->login) != 0 || !gitea_is_marked(c.body, f->key))
		return true;
	f->x->comment = c.id;
	*f->has_record = comment_read(c.body, f->x);
	return false;
}

int
desk_find(struct bridge *b, const char *repo, int64_t number, struct matter *x, bool *has_record, struct err *e)
{
	struct finding f = { .b = b, .x = x, .has_record = has_record };

	*has_record = false;
	event_key(f.key, repo, number);
	return gitea_comments(b->gitea, repo, number, NULL, on_comment, &f, e);
}

/* Somebody did this before us: a former life of ours, or whoever owned the house. */
static void
adopt(struct bridge *b, struct matter *x, bool has_record)
{
	struct err e = { 0 };

	x->adopted = true;
	x->stage = !has_record || (*x->task && comment_is_final(x->state)) ? MATTER_DONE : MATTER_SHOWN;
	count(b, "adopted", 1);
	save(b, x);
	if (lesson_adopt(&b->lessons, x, &e))
		desk_failed(b, &e);
}

static bool
on_file(void *arg, const cJSON *item)
{
	cJSON *paths = arg;

	if (*json_text(item, "filename"))
		cJSON_AddItemToArray(paths, cJSON_CreateString(json_text(item, "filename")));
	return cJSON_GetArraySize(paths) < PATHS_MAX;
}

/* Listings of issues have no branches, webhooks and pull requests have. */
static int
complete_facts(struct bridge *b, struct matter *x, struct err *e)
{
	cJSON *o, *facts, *first;

	if (!is_pull(x) || *json_text(x->facts, "sha"))
		return 0;
	if (gitea_pull_get(b->gitea, x->repo, x->number, &o, e))
		return -1;
	facts = event_facts(x->repo, o, e);
	cJSON_Delete(o);
	if (!facts)
		return -1;
	first = cJSON_DetachItemFromObjectCaseSensitive(x->facts, EVENT_OPENED_WITH);
	if (first)
		cJSON_AddItemToObject(facts, EVENT_OPENED_WITH, first);
	cJSON_Delete(x->facts);
	x->facts = facts;
	return 0;
}

int
desk_files(struct bridge *b, const struct matter *x, cJSON **paths, struct err *e)
{
	*paths = cJSON_CreateArray();
	return gitea_pull_files(b->gitea, x->repo, x->number, on_file, *paths, e);
}

static void
take_rule(struct bridge *b, struct matter *x, const struct config_triage *rule)
{
	char key[EVENT_KEY_MAX];
	struct ulid id;

	event_task_key(key, x->repo, x->number, x->round);
	snprintf(x->rule, sizeof x->rule, "%s", rule ? rule->name : "");
	snprintf(x->house, sizeof x->house, "%s", rule ? rule->house : "");
	x->first[0] = x->task[0] = x->state[0] = '\0';
	if (rule_steps(rule)) {
		rule_task_id(&id, key, x->created_ms, clock_wall_ms(), b->c->keep_finished_s * 1000 / 2);
		ulid_format(&id, x->first);
		memcpy(x->task, x->first, sizeof x->task);
		snprintf(x->state, sizeof x->state, "given");
	}
}

static int
decide(struct bridge *b, struct matter *x, struct err *e)
{
	const struct config_triage *rule;
	struct err why = { 0 };
	cJSON *paths = NULL;
	bool wants_paths;

	if (complete_facts(b, x, e))
		return -1;
	rule = rules_find(b->rules, x->facts, NULL, &wants_paths);
	if (wants_paths || (b->lessons.s && is_pull(x))) {
		if (desk_files(b, x, &paths, e)) {
			cJSON_Delete(paths);
			return -1;
		}
		rule = rules_find(b->rules, x->facts, paths, &wants_paths);
	}
	take_rule(b, x, rule);
	if (lesson_suggest(&b->lessons, x, rule, paths, &why))
		desk_failed(b, &why);
	cJSON_Delete(paths);
	return 0;
}

/* The comment comes before the task: from then on everybody can see that it is ours, and how to go on. */
static int
show(struct bridge *b, struct matter *x, struct err *e)
{
	char key[EVENT_KEY_MAX];
	struct buf text = { .max = GITEA_BODY_MAX };
	cJSON *o = NULL;
	int rc;

	event_key(key, x->repo, x->number);
	comment_put(&text, x, rule_named(b->c, x->rule), b->c->bridge.link, key);
	rc = x->comment ? gitea_comment_edit(b->gitea, x->repo, x->comment, buf_str(&text), NULL, e) :
	    gitea_comment_create(b->gitea, x->repo, x->number, buf_str(&text), &o, e);
	buf_free(&text);
	if (rc)
		return -1;
	if (o)
		x->comment = json_number(o, "id", 0);
	cJSON_Delete(o);
	memcpy(x->shown, x->state, sizeof x->shown);
	x->stage = MATTER_SHOWN;
	x->again = MATTER_SETTLED;
	x->tries = 0;
	return 0;
}

/* What was of the round before is over. */
static void
begin_round(struct matter *x)
{
	x->known[0] = x->shown[0] = '\0';
	x->step = 0;
	free(x->outcome);
	free(x->past);
	x->outcome = x->past = NULL;
	x->adopted = false;
}

/* As somebody before us left it. */
static void
take_over(struct matter *x, struct matter *was)
{
	memcpy(x->rule, was->rule, sizeof x->rule);
	memcpy(x->house, was->house, sizeof x->house);
	memcpy(x->first, was->first, sizeof x->first);
	memcpy(x->task, was->task, sizeof x->task);
	memcpy(x->state, was->state, sizeof x->state);
	memcpy(x->shown, was->shown, sizeof x->shown);
	x->round = was->round;
	free(x->said);
	x->said = was->said;
	was->said = NULL;
}

/* It was opened again. Which time that is, is on disk before our comment says so: whoever finds there that this round was begun goes
 * on from it. So if somebody else saw to that while the house was his, it is not done a second time. */
static void
look_again(struct bridge *b, struct matter *x)
{
	struct matter was = { 0 };
	struct err e = { 0 };
	bool has_record;

	if (desk_find(b, x->repo, x->number, &was, &has_record, &e)) {
		put_off(b, x, &e);
		return;
	}
	desk_note(b, 0, NULL);
	if (x->again == MATTER_REOPENED) {
		x->round = (x->round < 0 ? was.round : x->round) + 1;
		x->again = MATTER_COUNTED;
		save(b, x);
	}
	x->comment = was.comment;
	begin_round(x);
	if (was.round >= x->round) {
		take_over(x, &was);
		x->again = MATTER_SETTLED;
		adopt(b, x, has_record);
	} else if (decide(b, x, &e) || show(b, x, &e)) {
		put_off(b, x, &e);
	} else {
		count(b, "reopened", 1);
		save(b, x);
	}
	matter_release(&was);
}

static void
look(struct bridge *b, struct matter *x)
{
	struct err e = { 0 };
	bool has_record;

	/* What we wrote ourselves needs no triage, and a task that opens an issue must not make another one. */
	if (strcmp(json_text(x->facts, "author"), b->login) == 0) {
		x->stage = MATTER_DONE;
		x->adopted = true;
		count(b, "own", 1);
		save(b, x);
		return;
	}
	if (x->again) {
		look_again(b, x);
		return;
	}
	if (desk_find(b, x->repo, x->number, x, &has_record, &e)) {
		put_off(b, x, &e);
		return;
	}
	desk_note(b, 0, NULL);
	if (x->comment) {
		adopt(b, x, has_record);
		return;
	}
	if (decide(b, x, &e) || show(b, x, &e)) {
		put_off(b, x, &e);
		return;
	}
	desk_note(b, 0, NULL);
	save(b, x);
}

/* ---- following the rule ---- */

static bool
on_label(void *arg, const cJSON *item)
{
	cJSON *ids = arg;
	struct gitea_label l;

	if (gitea_label_read(item, &l, NULL) == 0 && !cJSON_GetObjectItemCaseSensitive(ids, l.name))
		cJSON_AddNumberToObject(ids, l.name, (double)l.id);
	return true;
}

/* Ids by name; made when they are first needed. NULL with e. */
static cJSON *
labels_of(struct bridge *b, const char *repo, struct err *e)
{
	cJSON *ids = cJSON_GetObjectItemCaseSensitive(b->labels, repo);

	if (ids)
		return ids;
	ids = cJSON_CreateObject();
	if (gitea_labels(b->gitea, repo, on_label, ids, e)) {
		cJSON_Delete(ids);
		return NULL;
	}
	cJSON_AddItemToObject(b->labels, repo, ids);
	return ids;
}

static int
label_id(struct bridge *b, const char *repo, const char *name, int64_t *id, struct err *e)
{
	cJSON *ids = labels_of(b, repo, e), *o = NULL;

	if (!ids)
		return -1;
	*id = json_number(ids, name, 0);
	if (*id)
		return 0;
	if (gitea_label_create(b->gitea, repo, name, COLOR, "", strchr(name, '/') != NULL, &o, e))
		return -1;
	*id = json_number(o, "id", 0);
	cJSON_Delete(o);
	cJSON_AddNumberToObject(ids, name, (double)*id);
	return 0;
}

static int
add_labels(struct bridge *b, const struct matter *x, const struct config_triage *rule, struct err *e)
{
	int64_t ids[CONFIG_MAX_TEXTS];

	for (size_t i = 0; i < rule->add.n; i++)
		if (label_id(b, x->repo, rule->add.v[i], &ids[i], e))
			return -1;
	if (rule->add.n == 0 || gitea_issue_label_add(b->gitea, x->repo, x->number, ids, rule->add.n, NULL, e) == 0)
		return 0;
	/* Somebody may have removed a label that we know. */
	cJSON_DeleteItemFromObjectCaseSensitive(b->labels, x->repo);
	return -1;
}

/* Those that were suggested, and are to be given. What somebody has removed from the repository meanwhile is not made again. */
static int
add_suggested(struct bridge *b, const struct matter *x, struct err *e)
{
	cJSON *said = x->said ? cJSON_Parse(x->said) : NULL, *known = NULL;
	int64_t ids[SAID_MAX];
	const cJSON *o;
	size_t n = 0;
	int rc = 0;

	cJSON_ArrayForEach(o, said) {
		if (!json_is_true(o, "set") || n == SAID_MAX)
			continue;
		if (!known && !(known = labels_of(b, x->repo, e))) {
			rc = -1;
			break;
		}
		ids[n] = json_number(known, json_text(o, "name"), 0);
		n += ids[n] != 0;
	}
	cJSON_Delete(said);
	if (rc || n == 0 || gitea_issue_label_add(b->gitea, x->repo, x->number, ids, n, NULL, e) == 0)
		return rc;
	cJSON_DeleteItemFromObjectCaseSensitive(b->labels, x->repo);
	return -1;
}

/* Assignees are set all at once, so it is looked first whether there are any. That one cannot be holds up nothing else. */
static int
assign(struct bridge *b, const struct matter *x, const struct config_triage *rule, struct err *e)
{
	const char *who = rule->assignee;
	cJSON *o = NULL, *facts;
	bool assigned;

	if (!who || json_is_true(x->facts, "assigned"))
		return 0;
	if (gitea_issue_get(b->gitea, x->repo, x->number, &o, e))
		return -1;
	facts = event_facts(x->repo, o, NULL);
	assigned = json_is_true(facts, "assigned");
	cJSON_Delete(o);
	cJSON_Delete(facts);
	if (assigned || gitea_issue_edit(b->gitea, x->repo, x->number, &(struct gitea_issue_edit){ .assignees = &who, .nassignees = 1 },
	    NULL, e) == 0)
		return 0;
	if (is_away(gitea_failure(b->gitea)))
		return -1;
	log_warnx("bridge: %s#%" PRId64 ": not given to %s: %s", x->repo, x->number, who, e->msg);
	return 0;
}

static int
set_status(struct bridge *b, const struct matter *x, struct err *e)
{
	const char *sha = json_text(x->facts, "sha");
	char link[1100];

	if (!is_pull(x) || !*sha || !*x->task)
		return 0;
	snprintf(link, sizeof link, "%s%s", b->c->bridge.link ? b->c->bridge.link : "", *x->known ? x->known : x->task);
	return gitea_status_create(b->gitea, x->repo, sha, comment_commit_state(x), CONTEXT, *x->state ? x->state : "triaged",
	    b->c->bridge.link ? link : NULL, NULL, e);
}

static void
follow(struct bridge *b, struct matter *x)
{
	const struct config_triage *rule = rule_named(b->c, x->rule);
	struct err e = { 0 };

	/* A rule that is no longer in the file says nothing more. */
	if (add_suggested(b, x, &e) ||
	    (rule && (complete_facts(b, x, &e) || add_labels(b, x, rule, &e) || assign(b, x, rule, &e) || set_status(b, x, &e)))) {
		put_off(b, x, &e);
		return;
	}
	desk_note(b, 0, NULL);
	if (!x->triaged_ms && !x->adopted) {
		x->triaged_ms = clock_wall_ms();
		count(b, is_pull(x) ? "pulls" : "issues", 1);
	}
	x->tries = 0;
	x->next_ms = 0;
	x->stage = *x->task ? MATTER_OUT : MATTER_DONE;
	/* What its rule no longer says is only asked for. */
	if (*x->task && answer_submit(b, x, rule, &e)) {
		desk_failed(b, &e);
		return;
	}
	save(b, x);
}

/* ---- telling ---- */

static void
tell(struct bridge *b, struct matter *x)
{
	struct buf text = { .max = GITEA_BODY_MAX };
	bool final = comment_is_final(x->state);
	char key[EVENT_KEY_MAX];
	struct err e = { 0 };
	int rc;

	event_key(key, x->repo, x->number);
	comment_put(&text, x, rule_named(b->c, x->rule), b->c->bridge.link, key);
	rc = gitea_comment_edit(b->gitea, x->repo, x->comment, buf_str(&text), NULL, &e);
	buf_free(&text);
	/* A comment that somebody took away is not written again. */
	if ((rc && gitea_failure(b->gitea)->kind != GITEA_NOT_FOUND) || (final && set_status(b, x, &e))) {
		put_off(b, x, &e);
		return;
	}
	desk_note(b, 0, NULL);
	memcpy(x->shown, x->state, sizeof x->shown);
	x->tries = 0;
	x->next_ms = 0;
	if (final) {
		x->stage = MATTER_DONE;
		count(b, strcmp(x->state, "succeeded") == 0 ? "tasks_succeeded" : "tasks_not_succeeded", 1);
		if (strcmp(x->state, "succeeded") == 0 && lesson_house(&b->lessons, x->repo, x->number, x->house, &e))
			desk_failed(b, &e);
	}
	save(b, x);
}

/* ---- one thing ---- */

static void
who_are_we(struct bridge *b)
{
	struct err e = { 0 };

	if (gitea_whoami(b->gitea, b->login, &e)) {
		/* Nothing can be done without. */
		if (!desk_note(b, -1, &e)) {
			desk_complain(b, &e);
			uplink_fails(&b->up, 10, 0, clock_mono_ms());
		}
		return;
	}
	desk_note(b, 0, NULL);
	log_info("bridge: is %s at %s, repositories watched: %zu", b->login, b->c->gitea.url, b->c->bridge.repos.n);
}

static bool
poll_due(struct bridge *b)
{
	for (size_t i = 0; i < b->c->bridge.repos.n; i++)
		if (clock_mono_ms() >= b->poll_ms[i]) {
			poll_repo(b, i);
			return true;
		}
	return false;
}

static int
next_matter(struct bridge *b, struct matter *x, void (**what)(struct bridge *, struct matter *), struct err *e)
{
	int64_t now = clock_wall_ms();
	int rc;

	*what = follow;
	if ((rc = matters_due(&b->m, MATTER_SHOWN, now, x, e)))
		return rc;
	*what = look;
	if ((rc = matters_due(&b->m, MATTER_NEW, now, x, e)))
		return rc;
	*what = tell;
	return matters_behind(&b->m, now, x, e);
}

bool
desk_step(struct bridge *b)
{
	void (*what)(struct bridge *, struct matter *);
	struct matter x = { 0 };
	struct err e = { 0 };
	int rc;

	if (!uplink_may(&b->up, clock_mono_ms()))
		return false;
	gitea_deadline(b->gitea, b->heard_ms + BRIDGE_STOP_MS);
	if (!b->login[0]) {
		who_are_we(b);
		return true;
	}
	if (poll_due(b))
		return true;
	rc = next_matter(b, &x, &what, &e);
	if (rc < 0)
		desk_failed(b, &e);
	if (rc == 1)
		what(b, &x);
	matter_release(&x);
	return rc == 1 || (rc == 0 && study_step(b));
}
