/*
 * approval.c - who may start what: each task is judged by the signed policy when it comes and again before each
 * start; what needs the sovereign's word waits for it, holding no worker.
 *
 * While it waits, an agent of its house is asked what the task would touch (its plan). Then the request is
 * published, retained; a decision binds to the hash of the request's subject, which is the task with all that it
 * touches. What is known so far is one JSON object, in the task's row and told with its events, so that whoever
 * takes the house over goes on from there:
 *
 *   why, begun                                              the rule or place that asks, and since when
 *   subject, hash, agent, target, dry_run, asked, expires   once it is planned
 *   by, until, and decision (an envelope) or grant (an id)  once it is given
 *
 * Whoever runs the task, owner or not, judges it once more by what it holds itself, and looks that what was given
 * holds for exactly this task; the worker looks, right before the tool begins, that what it touches is still the
 * same.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define PLAN_AGAIN_MS 60000             /* a plan that was asked for and did not come */
#define PLAN_SOON_MS 1000               /* nobody could make it now; later, the longer it has waited */
#define PLAN_SLOW_DOWN 8
#define APPROVAL_S 86400                /* how long a request waits, without a policy that says so */
#define CHAIN_MAX 16                    /* tasks back from one to the next by "parent" */
#define READS_MAX 256                   /* of a chain */

/* ---- what is known of it ---- */

static enum approval_stage
stage_of(const cJSON *o)
{
	if (!cJSON_IsObject(o))
		return APPROVAL_NONE;
	if (cJSON_HasObjectItem(o, "until"))
		return APPROVAL_GIVEN;
	return cJSON_HasObjectItem(o, "hash") ? APPROVAL_ASKED : APPROVAL_PLAN;
}

void
approval_set(struct task *t, char *json)
{
	cJSON *o = json ? cJSON_Parse(json) : NULL;

	free(t->approval);
	t->approval = json;
	t->stage = stage_of(o);
	t->until_ms = json_number(o, "until", 0);
	if (t->stage != APPROVAL_NONE)
		t->quick = false;
	cJSON_Delete(o);
}

void
approval_follow(struct core *c, struct task *t, const cJSON *o)
{
	const char *grant = json_text(o, "grant");

	approval_set(t, cJSON_PrintUnformatted(o));
	if (name_ok(grant))
		store_use(c, grant, &t->id);
}

static bool
same_text(const cJSON *o, const char *name, const char *text)
{
	return strcmp(json_text(o, name), text) == 0;
}

static cJSON *
approval_of(const struct task *t)
{
	return t->approval ? cJSON_Parse(t->approval) : NULL;
}

static void
tell(struct core *c, struct task *t, const char *type)
{
	struct buf *b = out_task_event(c, t, type);

	json_kv_str(b, "state", task_state_name(t->state));
	if (t->due_ms)
		json_kv_int(b, "due", t->due_ms);
	json_kv_raw(b, "approval", t->approval, strlen(t->approval));
	out_end_line(b);
}

/* ---- what policy says ---- */

static struct policy_question
question(const char *house, const struct tool *tool, const char *sender, enum task_mode mode, const cJSON *touches)
{
	return (struct policy_question){ .house = house, .tool = tool->name, .sender = sender,
		.effect = tool_effect_name(tool->effect), .sovereign = mode == MODE_SOVEREIGN, .touches = touches };
}

/* Who submits must be another than who approves, unless policy says otherwise. */
static bool
may_ask(const struct core *c, const char *sender)
{
	const struct policy *p = signed_policy(c);

	return strcmp(sender, c->o.config->sovereign) != 0 || (p && p->self_approval);
}

/* Of a task that says nothing yet of what it touches: as if it touched nothing. Its worker looks whether that is so. */
static enum policy_verdict
judge(const struct core *c, const char *house, const struct tool *tool, const char *sender, enum task_mode mode,
    const cJSON *touches, char why[SOVEREIGN_WHY])
{
	const struct policy *p = signed_policy(c);
	cJSON *nothing = touches ? NULL : cJSON_CreateArray();
	struct policy_question q = question(house, tool, sender, mode, touches ? touches : nothing);
	struct policy_answer a = { 0 };

	policy_judge(p, &q, &a);
	cJSON_Delete(nothing);
	snprintf(why, SOVEREIGN_WHY, "%s", a.why);
	if (a.verdict == POLICY_APPROVE && !may_ask(c, sender)) {
		snprintf(why, SOVEREIGN_WHY, "it needs %s's approval, and who submits must be another than who approves", sender);
		return POLICY_DENY;
	}
	return a.verdict;
}

/* The house's checks that can be told before it runs. */
static int
check_profile(const struct core *c, const char *house, const struct tool *tool, struct err *e)
{
	const struct policy *p = signed_policy(c);

	if (p && policy_profile(p, house)->proof && tool->effect != TOOL_READ && !tool->prove)
		return err_set(e, ERR_UNPROVEN, "house %s wants proof, and %s declares none; see `uni-wizard tool show %s`", house,
		    tool->name, tool->name);
	return 0;
}

/* Whether policy lets it run in that house, whatever it touches: there is nothing to approve, wherever it goes. */
bool
approval_may_move(const struct core *c, const struct task *t, const char *house)
{
	const struct policy *p = signed_policy(c);
	struct policy_question q = question(house, t->tool, t->sender, (enum task_mode)t->mode, NULL);
	char why[SOVEREIGN_WHY];
	struct err e;

	if (!signed_is_on(c))
		return true;
	return p && !policy_needs_touches(p, &q) && check_profile(c, house, t->tool, &e) == 0 &&
	    judge(c, house, t->tool, t->sender, (enum task_mode)t->mode, NULL, why) == POLICY_ALLOW;
}

static int
denied(struct err *e, const char *why)
{
	return err_set(e, ERR_DENIED, "denied by policy: %s", *why ? why : "a rule of the policy");
}

int
approval_admit(const struct core *c, const struct house *h, const struct tool *tool, const char *sender,
    enum task_mode mode, struct err *e)
{
	char why[SOVEREIGN_WHY];

	if (!signed_is_on(c))
		return mode == MODE_SOVEREIGN ? err_field(e, ERR_DENIED, "mode", "sovereign",
		    "another mode: this cluster has no sovereign_keys; `uni-wizard key init` makes one") : 0;
	if (!signed_policy(c) || h->local)
		return 0;
	if (judge(c, h->name, tool, sender, mode, NULL, why) == POLICY_DENY)
		return denied(e, why);
	return check_profile(c, h->name, tool, e);
}

/* Our own user's while nobody can be reached: what no policy could mind. */
bool
approval_is_free(const struct core *c, const struct task *t, const char *house)
{
	char why[SOVEREIGN_WHY];

	if (!signed_is_on(c))
		return true;
	return signed_policy(c) && t->tool->effect == TOOL_READ && strcmp(house, "_") != 0 &&
	    judge(c, house, t->tool, t->sender, (enum task_mode)t->mode, NULL, why) == POLICY_ALLOW;
}

/* ---- the plan ---- */

static bool
may_plan(const struct core *c, const struct task *t)
{
	return t->tool && signed_may_start(c) && !signed_halt(c, t->house->name, t->tool_name) &&
	    lease_may_start(c, t->house) && !t->house->heir && !c->draining;
}

static int64_t
begun_ms(const struct core *c, const struct task *t)
{
	cJSON *o = approval_of(t);
	int64_t at = json_number(o, "begun", c->now.wall_ms);

	cJSON_Delete(o);
	return at;
}

/* Many may wait for a house that is halted for long. */
static void
plan_later(struct core *c, struct task *t)
{
	int64_t ms = (c->now.wall_ms - begun_ms(c, t)) / PLAN_SLOW_DOWN;

	t->due_ms = c->now.wall_ms + (ms < PLAN_SOON_MS ? PLAN_SOON_MS : ms > PLAN_AGAIN_MS ? PLAN_AGAIN_MS : ms);
	c->due_changed = true;
}

static void
ask_for_plan(struct core *c, struct task *t)
{
	struct peer *at;
	struct err e;

	task_dirty(c, t);
	if (!t->tool) {
		err_set(&e, ERR_UNKNOWN_TOOL, "tool %s is no longer known", t->tool_name);
		attempt_finish(c, t, TASK_FAILED, &e);
		return;
	}
	plan_later(c, t);
	if (!may_plan(c, t) || !work_choose(c, t->house, t, true, &at))
		return;
	t->due_ms = c->now.wall_ms + PLAN_AGAIN_MS;
	work_plan(c, t, at);
}

void
approval_begin(struct core *c, struct task *t, const char *why)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "why", why);
	/* Such attempts ended before they began: they are not counted as tries. */
	json_kv_int(&b, "attempts", t->attempt);
	json_kv_int(&b, "begun", c->now.wall_ms);
	json_put_close(&b, '}');
	approval_set(t, buf_take(&b));
	lane_leave(c, t);
	t->due_ms = 0;
	task_enter(c, t, TASK_WAITING);
	tell(c, t, "waiting_approval");
	ask_for_plan(c, t);
}

static void
end_denied(struct core *c, struct task *t, const struct err *e)
{
	lane_leave(c, t);
	attempt_finish(c, t, TASK_DENIED, e);
}

/* Right after it was accepted; true if that is all that happens to it for now. */
bool
approval_place(struct core *c, struct task *t)
{
	char why[SOVEREIGN_WHY];

	if (!signed_is_on(c) || !signed_policy(c) || !t->tool || t->house->local)
		return false;
	t->judged = signed_policy_number(c);
	if (judge(c, t->house->name, t->tool, t->sender, (enum task_mode)t->mode, NULL, why) != POLICY_APPROVE)
		return false;
	approval_begin(c, t, why);
	return true;
}

static char *
params_of(const struct core *c, const struct task *t, cJSON **params, struct err *e)
{
	cJSON *body = cJSON_ParseWithLength(t->body, t->body_len);
	char *text;

	*params = cJSON_DetachItemFromObjectCaseSensitive(body, "params");
	cJSON_Delete(body);
	if (!*params)
		*params = cJSON_CreateObject();
	if (registry_check(c->o.tools, t->tool, *params, e)) {
		cJSON_Delete(*params);
		*params = NULL;
		return NULL;
	}
	text = cJSON_PrintUnformatted(*params);
	return text;
}

/* All that a decision is about. Takes params and touches. */
static cJSON *
make_subject(const struct core *c, const struct task *t, cJSON *params, const char *tool_digest, cJSON *touches)
{
	cJSON *o = cJSON_CreateObject();
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	cJSON_AddStringToObject(o, "cluster", c->o.config->cluster);
	cJSON_AddStringToObject(o, "house", t->house->name);
	cJSON_AddStringToObject(o, "task", id);
	cJSON_AddStringToObject(o, "tool", t->tool_name);
	cJSON_AddStringToObject(o, "tool_digest", tool_digest);
	cJSON_AddStringToObject(o, "effect", tool_effect_name(t->tool->effect));
	cJSON_AddStringToObject(o, "mode", task_mode_name((enum task_mode)t->mode));
	cJSON_AddStringToObject(o, "sender", t->sender);
	cJSON_AddItemToObject(o, "params", params);
	cJSON_AddItemToObject(o, "touches", touches);
	return o;
}

static void
move_member(cJSON *to, cJSON *from, const char *name)
{
	cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(from, name);

	if (v)
		cJSON_AddItemToObject(to, name, v);
}

/* The approval, from now on with what the plan says. */
static int
add_plan(struct core *c, struct task *t, cJSON *plan, const char *agent, const char *tool_digest, struct err *e)
{
	cJSON *touches = cJSON_DetachItemFromObjectCaseSensitive(plan, "touches"), *params, *subject, *o;
	char *text = params_of(c, t, &params, e), hash[CANONICAL_HASH];

	cJSON_free(text);
	if (!params) {
		cJSON_Delete(touches);
		return -1;
	}
	subject = make_subject(c, t, params, tool_digest, touches ? touches : cJSON_CreateNull());
	if (canonical_hash(subject, hash, e)) {
		cJSON_Delete(subject);
		return err_wrap(e, "it cannot be signed");
	}
	o = approval_of(t);
	cJSON_AddItemToObject(o, "subject", subject);
	cJSON_AddStringToObject(o, "hash", hash);
	cJSON_AddStringToObject(o, "agent", agent);
	move_member(o, plan, "target");
	move_member(o, plan, "dry_run");
	cJSON_AddNumberToObject(o, "asked", (double)c->now.wall_ms);
	t->due_ms = c->now.wall_ms + signed_policy(c)->approval_s * 1000;
	cJSON_AddNumberToObject(o, "expires", (double)t->due_ms);
	approval_set(t, cJSON_PrintUnformatted(o));
	cJSON_Delete(o);
	c->due_changed = true;
	return 0;
}

/* ---- the request ---- */

static void
request_topic(const struct core *c, const struct task *t, char topic[TOPIC_MAX])
{
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	topic_format(topic, c->o.config->cluster, TOPIC_REQUEST, t->house->name, id);
}

static void
put_member(struct buf *b, const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	if (!v)
		return;
	json_put_key(b, name);
	json_put_tree(b, v);
}

static void
publish_request(struct core *c, struct task *t)
{
	char topic[TOPIC_MAX], id[ULID_TEXT];
	cJSON *o = approval_of(t);
	struct buf *b;

	if (!c->up) {
		cJSON_Delete(o);
		return;
	}
	request_topic(c, t, topic);
	ulid_format(&t->id, id);
	b = out_now(c, topic, 1, true, 0);
	json_put_open(b, '{');
	json_kv_str(b, "task", id);
	put_member(b, o, "hash");
	put_member(b, o, "subject");
	json_kv_str(b, "by", c->o.agent);
	put_member(b, o, "agent");
	json_kv_time(b, "time", json_number(o, "asked", 0));
	json_kv_time(b, "expires", json_number(o, "expires", 0));
	put_member(b, o, "why");
	put_member(b, o, "target");
	put_member(b, o, "dry_run");
	learn_put_predicted(c, b, t);
	out_end_line(b);
	cJSON_Delete(o);
}

/* An empty retained message takes away what was there. */
static void
clear_request(struct core *c, const char *topic)
{
	if (c->up)
		buf_addc(out_now(c, topic, 1, true, 0), '\n');
}

void
approval_leave(struct core *c, struct task *t)
{
	char topic[TOPIC_MAX];

	if (t->stage != APPROVAL_ASKED && t->stage != APPROVAL_GIVEN)
		return;
	request_topic(c, t, topic);
	clear_request(c, topic);
}

static bool
is_ours(const struct task *t, const struct mqtt_msg *m)
{
	cJSON *theirs = json_parse_object(m->payload, m->len, NULL), *ours = approval_of(t);
	bool same = theirs && same_text(theirs, "hash", json_text(ours, "hash"));

	cJSON_Delete(theirs);
	cJSON_Delete(ours);
	return same;
}

/* One that waits no longer: its last owner could not clear it away. Of one that waits, what the owner says is there to
 * be decided, and nothing else. m: what is there now; NULL: something. */
static void
look_at_request(struct core *c, struct house *h, const struct ulid *id, const struct mqtt_msg *m)
{
	struct task *t = task_by_id(c, h, id);
	char topic[TOPIC_MAX], text[ULID_TEXT];

	if (t && t->state == TASK_WAITING && t->stage == APPROVAL_ASKED) {
		if (m && !is_ours(t, m))
			publish_request(c, t);
		return;
	}
	if (m && m->len <= 1)
		return;
	ulid_format(id, text);
	topic_format(topic, c->o.config->cluster, TOPIC_REQUEST, h->name, text);
	clear_request(c, topic);
}

static struct request **
find_request(struct core *c, const struct house *h, const struct ulid *id)
{
	struct request **p = &c->requests;

	while (*p && ((*p)->house != h || !ulid_equal(&(*p)->id, id)))
		p = &(*p)->next;
	return p;
}

static void
note_request(struct core *c, struct house *h, const struct ulid *id, bool there)
{
	struct request **p = find_request(c, h, id), *r = *p;

	if (there && !r && c->nrequests < REQUESTS_MAX) {
		r = xcalloc(1, sizeof *r);
		r->house = h;
		r->id = *id;
		r->at_ms = c->now.mono_ms;
		*p = r;
		c->nrequests++;
	} else if (!there && r) {
		*p = r->next;
		c->nrequests--;
		free(r);
	}
}

/* What is retained comes when we do not own anything yet: it is looked at again when we do. */
void
approval_request_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct house *h = house_find(c, t->name);
	struct ulid id;

	if (!h || !ulid_parse(t->id, &id))
		return;
	note_request(c, h, &id, m->len > 1);
	if (h->owned && !h->heir)
		look_at_request(c, h, &id, m);
}

void
approval_forget_requests(struct core *c)
{
	for (struct request *r = c->requests, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	c->requests = NULL;
	c->nrequests = 0;
}

/* ---- the decision ---- */

static void
go_on(struct core *c, struct task *t)
{
	struct task_msg m = { 0 };
	cJSON *body = cJSON_ParseWithLength(t->body, t->body_len);

	if (body)
		task_msg_read(body, &m, NULL);
	cJSON_Delete(body);
	after_place(c, t, m.not_before_ms);
	t->judged = signed_policy_number(c);
	tell(c, t, "approved");
}

static void
give(struct core *c, struct task *t, const char *by, int64_t until, const char *key, const char *value)
{
	cJSON *o = approval_of(t);

	cJSON_AddStringToObject(o, "by", by);
	cJSON_AddNumberToObject(o, "until", (double)until);
	cJSON_AddStringToObject(o, key, value);
	approval_set(t, cJSON_PrintUnformatted(o));
	cJSON_Delete(o);
	go_on(c, t);
}

static bool
give_by_grant(struct core *c, struct task *t)
{
	cJSON *o = approval_of(t), *subject = cJSON_GetObjectItemCaseSensitive(o, "subject");
	struct grant_question q = { .house = t->house->name, .tool = t->tool_name, .sender = t->sender,
		.params = cJSON_GetObjectItemCaseSensitive(subject, "params"), .now_ms = c->now.wall_ms };
	const struct grant *g = t->mode == MODE_SOVEREIGN ? NULL : signed_grant_for(c, &q, &t->id);

	if (g) {
		store_use(c, g->id, &t->id);
		give(c, t, c->o.config->sovereign, g->expires_ms, "grant", g->id);
	}
	cJSON_Delete(o);
	return g;
}

/* True if it was for this task as it stands; what it says is done then. */
static bool
decide(struct core *c, struct task *t, const struct sovereign *s, const char *envelope)
{
	const struct decision *d = &s->u.decision;
	cJSON *o = approval_of(t);
	struct err e;
	const char *hash = IS_MUTANT(MUTANT_ANY_HASH) ? d->hash : json_text(o, "hash");
	bool holds = decision_check(d, &t->id, hash, false, c->now.wall_ms, &e) == 0;

	cJSON_Delete(o);
	if (!holds) {
		log_warnx("a decision was refused: %s", e.msg);
		return false;
	}
	if (d->approve) {
		give(c, t, c->o.config->sovereign, d->expires_ms, "decision", envelope);
		return true;
	}
	err_set(&e, ERR_DENIED, "denied by %s%s%s", c->o.config->sovereign, d->note[0] ? ": " : "", d->note);
	end_denied(c, t, &e);
	return true;
}

static struct task *
find_asked(struct core *c, const struct ulid *id)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];
		struct task *t = h->owned && !h->heir ? task_by_id(c, h, id) : NULL;

		if (t && t->state == TASK_WAITING && t->stage == APPROVAL_ASKED)
			return t;
	}
	return NULL;
}

/* The sovereign still sees a request for what waits no longer. */
static void
decided_again(struct core *c, const struct ulid *id)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->place < 0 || !task_by_id(c, h, id))
			continue;
		note_request(c, h, id, true);
		if (h->owned && !h->heir)
			look_at_request(c, h, id, NULL);
	}
}

/* It comes again with each connection, and its signature costs more than all else. What waits looks for it by itself. */
static bool
is_kept(struct core *c, const char *task, const char *envelope, size_t len)
{
	char *kept = store_find_signed(c, SOVEREIGN_DECISION, task);
	bool same = kept && strlen(kept) == len && memcmp(kept, envelope, len) == 0;

	free(kept);
	return same;
}

/* Kept for whoever owns the house by the time it can be used; whoever has used it may have to use it again, if another
 * went on without what he knew. */
void
approval_decision(struct core *c, const char *task, const char *envelope, size_t len)
{
	struct sovereign s;
	struct ulid its;
	struct task *t;
	struct err e;
	char id[ULID_TEXT], *text;

	if (ulid_parse(task, &its) && is_kept(c, task, envelope, len)) {
		decided_again(c, &its);
		return;
	}
	if (signed_open_decision(c, envelope, len, &s, &e)) {
		log_warnx("a decision was refused: %s", e.msg);
		return;
	}
	text = xstrndup(envelope, len);
	t = find_asked(c, &s.u.decision.task);
	if (t)
		decide(c, t, &s, text);
	else
		decided_again(c, &s.u.decision.task);
	if (s.u.decision.expires_ms > c->now.wall_ms && !IS_MUTANT(MUTANT_DROP_DECISION)) {
		ulid_format(&s.u.decision.task, id);
		store_signed(c, SOVEREIGN_DECISION, id, s.u.decision.expires_ms, text);
	}
	free(text);
	sovereign_release(&s);
}

static bool
decide_by_kept(struct core *c, struct task *t)
{
	char id[ULID_TEXT], *text;
	struct sovereign s;
	bool done = false;

	ulid_format(&t->id, id);
	text = store_find_signed(c, SOVEREIGN_DECISION, id);
	if (text && signed_open_decision(c, text, strlen(text), &s, NULL) == 0) {
		done = decide(c, t, &s, text);
		sovereign_release(&s);
	}
	free(text);
	return done;
}

/* ---- from plan to request ---- */

static const cJSON *
touches_of(const cJSON *approval)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(approval, "subject"), "touches");
}

/* Now that it is known what it touches, production may be among it. */
static bool
is_denied(struct core *c, struct task *t, struct err *e)
{
	cJSON *o = approval_of(t);
	char why[SOVEREIGN_WHY];
	bool no = judge(c, t->house->name, t->tool, t->sender, (enum task_mode)t->mode, touches_of(o), why) == POLICY_DENY;

	if (no) {
		denied(e, why);
	} else if (*why) {
		cJSON_DeleteItemFromObjectCaseSensitive(o, "why");
		cJSON_AddStringToObject(o, "why", why);
		approval_set(t, cJSON_PrintUnformatted(o));
	}
	cJSON_Delete(o);
	return no;
}

static void
ask(struct core *c, struct task *t)
{
	if (give_by_grant(c, t) || decide_by_kept(c, t))
		return;
	tell(c, t, "waiting_approval");
	publish_request(c, t);
}

static void
take_plan(struct core *c, struct task *t, cJSON *o, const char *agent)
{
	cJSON *plan = cJSON_GetObjectItemCaseSensitive(o, "plan");
	struct err e;

	if (!signed_policy(c) || !t->tool)
		return;
	if (add_plan(c, t, plan, agent, json_text(o, "tool_digest"), &e))
		attempt_finish(c, t, TASK_FAILED, &e);
	else if (is_denied(c, t, &e))
		end_denied(c, t, &e);
	else
		ask(c, t);
}

/* o is changed. */
void
approval_planned(struct core *c, struct house *h, const char *agent, cJSON *o)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(o, "error");
	struct ulid id;
	struct task *t;
	struct err e;

	if (!ulid_parse(json_text(o, "id"), &id) || !(t = task_by_id(c, h, &id)) || t->state != TASK_WAITING ||
	    t->stage != APPROVAL_PLAN || h->heir)
		return;
	task_dirty(c, t);
	if (cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(o, "plan"))) {
		take_plan(c, t, o, agent);
	} else if (!error || json_is_true(o, "later")) {
		plan_later(c, t);
	} else {
		err_set(&e, err_code_parse(json_text(error, "code")), "it cannot be said what it would do: %s",
		    json_text(error, "message"));
		attempt_finish(c, t, TASK_FAILED, &e);
	}
}

void
approval_due(struct core *c, struct task *t)
{
	int64_t s = signed_policy(c) ? signed_policy(c)->approval_s : APPROVAL_S;
	bool asked = t->stage == APPROVAL_ASKED;
	struct err e;

	if (t->state != TASK_WAITING)
		return;
	if (!asked && c->now.wall_ms < begun_ms(c, t) + s * 1000) {
		ask_for_plan(c, t);
		return;
	}
	err_set(&e, ERR_DENIED, asked ? "nobody approved it within %lld s: time-out means denied" :
	    "nobody could say within %lld s what it would touch: time-out means denied", (long long)s);
	end_denied(c, t, &e);
}

void
approval_take_up(struct core *c, struct task *t)
{
	if (t->state != TASK_WAITING)
		return;
	if (t->stage == APPROVAL_ASKED && (give_by_grant(c, t) || decide_by_kept(c, t)))
		return;
	if (t->stage == APPROVAL_ASKED)
		publish_request(c, t);
	else
		ask_for_plan(c, t);
}

static void
release_by_grant(struct core *c, struct task *t)
{
	if (t->state == TASK_WAITING && t->stage == APPROVAL_ASKED)
		give_by_grant(c, t);
}

/* What waits may be covered by a new one. */
void
approval_granted(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->owned && !h->heir)
			store_in_state(c, h, TASK_WAITING, release_by_grant);
	}
}

void
approval_resume(struct core *c, struct house *h)
{
	if (signed_is_on(c))
		store_in_state(c, h, TASK_WAITING, approval_take_up);
	for (const struct request *r = c->requests; r; r = r->next)
		if (r->house == h)
			look_at_request(c, h, &r->id, NULL);
}

/* ---- before it starts ---- */

/* Whether what was given is for exactly this task, and still holds. */
static int
check_given(struct core *c, const struct start *s, const cJSON *approval, struct err *e)
{
	const cJSON *subject = cJSON_GetObjectItemCaseSensitive(approval, "subject");
	const char *envelope = json_text(approval, "decision"), *id = json_text(approval, "grant");
	char hash[CANONICAL_HASH], text[ULID_TEXT];
	const struct grant *g;
	struct sovereign d;
	int rc;

	ulid_format(s->id, text);
	if (canonical_hash(subject, hash, e))
		return -1;
	if (!same_text(subject, "cluster", c->o.config->cluster) || !same_text(subject, "house", s->house) ||
	    !same_text(subject, "task", text) || !same_text(subject, "tool", s->tool->name) ||
	    !same_text(subject, "effect", tool_effect_name(s->tool->effect)) ||
	    !same_text(subject, "mode", task_mode_name(s->mode)) || !same_text(subject, "sender", s->sender) ||
	    !cJSON_Compare(cJSON_GetObjectItemCaseSensitive(subject, "params"), s->params, true))
		return err_set(e, ERR_DENIED, "it is not the task that was approved");
	/* Else what was shown would bind to nothing. */
	if (s->tool->plan && !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(subject, "touches")))
		return err_set(e, ERR_DENIED, "what was approved does not say what it touches, and tool %s can tell", s->tool->name);
	if (!same_text(subject, "tool_digest", registry_digest(c->o.tools, s->tool)))
		return err_set(e, ERR_DENIED, "tool %s is another here than the one that was approved", s->tool->name);
	if (*envelope) {
		if (signed_open_decision(c, envelope, strlen(envelope), &d, e))
			return -1;
		rc = decision_check(&d.u.decision, s->id, IS_MUTANT(MUTANT_ANY_HASH) ? d.u.decision.hash : hash,
		    store_has_use(c, USED_HERE, s->id), c->now.wall_ms, e);
		if (!rc && !d.u.decision.approve)
			rc = err_set(e, ERR_DENIED, "it was denied");
		*s->until_ms = d.u.decision.expires_ms;
		sovereign_release(&d);
		return rc;
	}
	g = *id ? signed_grant_find(c, id) : NULL;
	if (!g || s->mode == MODE_SOVEREIGN || !grant_covers(g, &(struct grant_question){ .house = s->house,
	    .tool = s->tool->name, .sender = s->sender, .params = s->params, .now_ms = c->now.wall_ms,
	    .used = store_uses(c, id, s->id) }))
		return err_set(e, ERR_DENIED, "grant %s does not cover it any more", id);
	if (store_has_use(c, USED_HERE, s->id))
		return err_set(e, ERR_DENIED, "it ran already by grant %s", id);
	store_use(c, id, s->id);
	*s->until_ms = g->expires_ms;
	return 0;
}

static int
put_touches(struct buf *b, const cJSON *approval, struct err *e)
{
	const cJSON *touches = touches_of(approval);
	char hash[CANONICAL_HASH];

	json_kv_bool(b, "approved", true);
	if (!cJSON_IsArray(touches))
		return 0;
	if (canonical_hash(touches, hash, e))
		return -1;
	json_kv_str(b, "touches", hash);
	return 0;
}

static void
put_production(struct buf *b, const struct policy *p, const struct policy_question *q)
{
	if (!policy_needs_touches(p, q))
		return;
	json_put_key(b, "production");
	json_put_open(b, '[');
	for (size_t i = 0; i < p->nproduction; i++)
		json_put_str(b, p->production[i]);
	json_put_close(b, ']');
}

char *
approval_terms(struct core *c, const struct start *s, const cJSON *approval, const cJSON *reads, struct err *e)
{
	const struct policy *p = signed_policy(c);
	struct policy_question q = question(s->house, s->tool, s->sender, s->mode, NULL);
	const struct profile *profile = policy_profile(p, s->house);
	char why[SOVEREIGN_WHY];
	struct buf b = { 0 };
	bool given = stage_of(approval) == APPROVAL_GIVEN;
	/* What was given may be denied by a policy that came after it was asked for. */
	enum policy_verdict v = judge(c, s->house, s->tool, s->sender, s->mode, given ? touches_of(approval) : NULL, why);

	if (v == POLICY_DENY) {
		denied(e, why);
		return NULL;
	}
	if (v == POLICY_APPROVE && !given) {
		err_set(e, ERR_APPROVAL, "%s", why);
		return NULL;
	}
	if (check_profile(c, s->house, s->tool, e) || (given && check_given(c, s, approval, e)))
		return NULL;
	json_put_open(&b, '{');
	if (given && put_touches(&b, approval, e)) {
		buf_free(&b);
		return NULL;
	}
	if (s->tool->effect != TOOL_READ) {
		if (s->tool->manifest)
			json_kv_str(&b, "tool", registry_digest(c->o.tools, s->tool));
		if (!given)
			put_production(&b, p, &q);
		if (profile->reads) {
			json_put_key(&b, "reads");
			if (reads)
				json_put_tree(&b, reads);
			else
				buf_adds(&b, "[]");
		}
		if (profile->proof)
			json_kv_bool(&b, "proof", true);
	}
	json_put_close(&b, '}');
	return buf_take(&b);
}

/* ---- what a chain of tasks has read ---- */

static struct task *
parent_of(struct core *c, const char *body, size_t len)
{
	cJSON *o = cJSON_ParseWithLength(body, len);
	struct task *t = NULL;
	struct ulid id;

	if (o && ulid_parse(json_text(o, "parent"), &id))
		for (int i = 0; i < c->nhouses && (!t || t->forward); i++) {
			struct task *k = task_by_id(c, &c->houses[i], &id);

			t = k ? k : t;
		}
	cJSON_Delete(o);
	return t;
}

static void
add_notes(cJSON *reads, const struct task *t)
{
	cJSON *o = t->outcome ? cJSON_Parse(t->outcome) : NULL;
	cJSON *notes = cJSON_GetObjectItemCaseSensitive(o, "notes");

	for (const char *const *p = (const char *const[]){ "reads", "writes", NULL }; *p; p++) {
		const cJSON *v;

		cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(notes, *p))
			if (cJSON_GetArraySize(reads) < READS_MAX)
				cJSON_AddItemToArray(reads, cJSON_Duplicate(v, true));
	}
	cJSON_Delete(o);
}

cJSON *
approval_reads(struct core *c, const struct task *t)
{
	cJSON *reads = cJSON_CreateArray();
	const struct task *k = t;

	for (int i = 0; i < CHAIN_MAX && (k = parent_of(c, k->body, k->body_len)); i++)
		if (k->state == TASK_SUCCEEDED)
			add_notes(reads, k);
	return reads;
}

bool
approval_wants_reads(const struct core *c, const struct task *t)
{
	const struct policy *p = signed_policy(c);

	return signed_is_on(c) && p && t->tool && t->tool->effect != TOOL_READ && policy_profile(p, t->house->name)->reads;
}

/* ---- the owner, before each start ---- */

/* Its terms, from our own point of view; whoever runs it asks himself again. */
static int
set_terms(struct core *c, struct task *t, struct err *e)
{
	cJSON *params = cJSON_Parse(t->params), *approval = approval_of(t),
	    *reads = approval_wants_reads(c, t) ? approval_reads(c, t) : NULL;
	struct start s = { .id = &t->id, .house = t->house->name, .tool = t->tool, .params = params, .sender = t->sender,
		.mode = (enum task_mode)t->mode, .until_ms = &t->until_ms };

	free(t->terms);
	t->terms = approval_terms(c, &s, approval, reads, e);
	cJSON_Delete(params);
	cJSON_Delete(approval);
	cJSON_Delete(reads);
	return t->terms ? 0 : -1;
}

/* What answers from memory within microseconds needs no terms; that it is allowed was found out with the policy in
 * force. */
static bool
is_simple(const struct core *c, const struct task *t)
{
	return !t->approval && t->quick && t->judged == signed_policy_number(c);
}

/* Our own user's, that was begun outside of its house. */
static bool
is_free_still(struct core *c, struct task *t)
{
	char house[NAME_MAX_LEN + 1];
	struct err e;

	forward_house(c, t, house);
	if (approval_is_free(c, t, house))
		return true;
	err_set(&e, ERR_DENIED, "policy does not let it start outside of house %s any more; submit it anew", house);
	end_denied(c, t, &e);
	return false;
}

bool
approval_may_start(struct core *c, struct task *t)
{
	struct err e;

	if (!signed_is_on(c) || is_simple(c, t))
		return true;
	if (t->house->local)
		return is_free_still(c, t);
	if (set_terms(c, t, &e) == 0) {
		t->judged = signed_policy_number(c);
		if (t->quick) {
			free(t->terms);
			t->terms = NULL;
		}
		return true;
	}
	if (e.code == ERR_APPROVAL)
		approval_begin(c, t, e.msg);
	else
		end_denied(c, t, &e);
	return false;
}

/* An attempt came back without having begun: it touches what needs an approval, or is not as it was approved. True
 * if the task goes on from here. */
bool
approval_refused(struct core *c, struct task *t, const struct err *e)
{
	struct err why = *e;

	if (!signed_is_on(c) || (e->code != ERR_APPROVAL && e->code != ERR_DENIED))
		return false;
	if (e->code == ERR_APPROVAL && t->stage != APPROVAL_GIVEN && may_ask(c, t->sender))
		approval_begin(c, t, e->msg);
	else
		attempt_finish(c, t, TASK_DENIED, &why);
	return true;
}
