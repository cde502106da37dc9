/*
 * attempt.c - what follows when an attempt ends: the outcome, another attempt, or a question.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define LOST_MS 6000                    /* after a change of owner: who runs something reports it by then */

int64_t
attempt_timeout_ms(const struct house *h, const struct tool *tool, int64_t asked_s)
{
	int64_t s = asked_s ? asked_s : tool->timeout_s;

	return (s < h->timeout_cap_s ? s : h->timeout_cap_s) * 1000;
}

/* "result":... or "error":..., and what was noted on the way, with the braces of an object around it. */
static void
set_outcome(struct task *t, const char *key, const char *json, size_t len, const struct pool_end *p)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_raw(&b, key, json, len);
	if (p && p->notes)
		json_kv_raw(&b, "notes", p->notes, p->notes_len);
	json_put_close(&b, '}');
	free(t->outcome);
	t->outcome = buf_take(&b);
}

void
attempt_take_outcome(struct task *t, const cJSON *o)
{
	static const char *const members[] = { "result", "error", "notes" };
	struct buf b = { 0 };

	json_put_open(&b, '{');
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, members[i]);

		if (!v)
			continue;
		json_put_key(&b, members[i]);
		json_put_tree(&b, v);
	}
	if (b.len == 1)
		json_kv_raw(&b, "error", "null", 4);
	json_put_close(&b, '}');
	free(t->outcome);
	t->outcome = buf_take(&b);
}

static void
set_error(struct task *t, const struct err *e)
{
	struct buf b = { 0 };

	json_put_err(&b, e);
	set_outcome(t, "error", b.data, b.len, NULL);
	buf_free(&b);
}

void
attempt_put_outcome(struct buf *b, const struct task *t)
{
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	json_kv_str(b, "id", id);
	if (t->house)
		json_kv_str(b, "house", task_house_name(t));
	json_kv_str(b, "tool", t->tool_name);
	json_kv_str(b, "state", task_state_name(t->state));
	json_kv_int(b, "attempt", t->attempt);
	if (*t->traceparent)
		json_kv_str(b, "traceparent", t->traceparent);
	if (t->executor)
		json_kv_str(b, "agent", t->executor);
	if (t->run_us)
		json_kv_num(b, "run_ms", (double)t->run_us / 1000);
	if (t->outcome)
		json_put_raw(b, t->outcome + 1, strlen(t->outcome) - 2);
}

void
attempt_reply_outcome(struct buf *b, const struct task *t)
{
	json_put_open(b, '{');
	json_kv_str(b, "type", "outcome");
	attempt_put_outcome(b, t);
	out_end_line(b);
}

/* What whoever follows must know to go on from there. */
static void
put_budget(struct buf *b, const struct task *t)
{
	if (t->crashes)
		json_kv_int(b, "crashes", t->crashes);
	if (t->failures)
		json_kv_int(b, "failures", t->failures);
	history_put(b, t);
}

/* Tells everybody who should know: the stream, whoever set a reply address, a local connection. */
static void
tell(struct core *c, struct task *t)
{
	struct buf *b = out_event(c, t->house, "outcome");

	out_version(c, t);
	attempt_put_outcome(b, t);
	json_kv_str(b, "sender", t->sender);
	put_budget(b, t);
	out_end_line(b);
	if (t->reply_topic)
		attempt_reply_outcome(out_reply(c, t->house, t->reply_topic, t->correlation, t->correlation_len), t);
	if (t->conn)
		attempt_reply_outcome(out_local(c, t->house, t->conn), t);
}

static void
end(struct core *c, struct task *t, enum task_state to)
{
	t->due_ms = 0;
	t->cancelled = t->stopping = false;
	task_enter(c, t, to);
	t->finished_ms = task_ends_in(t, to) ? c->now.wall_ms : 0;
	audit_outcome(c, t);
	tell(c, t);
	after_ended(c, t);
}

void
attempt_finish(struct core *c, struct task *t, enum task_state to, const struct err *e)
{
	if (e)
		set_error(t, e);
	end(c, t, to);
}

void
attempt_announce(struct core *c, struct task *t)
{
	struct buf *b = out_task_event(c, t, t->state == TASK_STARTING ? "starting" : "started");

	json_kv_str(b, "tool", t->tool_name);
	json_kv_int(b, "attempt", t->attempt);
	if (t->crashes)
		json_kv_int(b, "crashes", t->crashes);
	json_kv_str(b, "agent", t->at ? t->at->name : c->o.agent);
	if (!term_equal(&t->term, &t->house->log))
		term_put(b, "given", &t->term);
	out_end_line(b);
	t->announced = true;
}

/* Told only to those who were told that it had begun, or have to hear what became of it. */
static void
requeue(struct core *c, struct task *t)
{
	struct buf *b;

	t->due_ms = 0;
	task_enter(c, t, TASK_QUEUED);
	lane_put(c, t);
	if ((!t->announced && !t->history) || !lease_is_shared(t->house))
		return;
	b = out_task_event(c, t, "requeued");
	json_kv_int(b, "attempt", t->attempt);
	put_budget(b, t);
	out_end_line(b);
	t->announced = false;
}

/* Exponential with full jitter: between nothing and min(cap, base * 2^n). */
static int64_t
backoff_ms(struct core *c, const struct task *t)
{
	int64_t limit = t->retry_base_s * 1000LL, cap = t->retry_cap_s * 1000LL;

	for (int i = 1; i < t->failures && limit < cap; i++)
		limit *= 2;
	if (limit > cap)
		limit = cap;
	return 1 + (int64_t)(core_random(c) % (uint64_t)limit);
}

/* Whoever was asked may say when to come again: not before that, but what he says is bounded. */
static int64_t
wait_ms(struct core *c, const struct task *t, int64_t after_s)
{
	int64_t ms = backoff_ms(c, t), most = c->o.config->max_retry_after_s;

	if (after_s > most)
		after_s = most;
	return after_s * 1000 > ms ? after_s * 1000 : ms;
}

static void
retry_later(struct core *c, struct task *t, const struct pool_end *p)
{
	struct buf *b;

	t->due_ms = c->now.wall_ms + wait_ms(c, t, p->retry_after_s);
	task_enter(c, t, TASK_RETRYING);
	b = out_task_event(c, t, "retrying");
	json_kv_int(b, "attempt", t->attempt);
	put_budget(b, t);
	json_kv_time(b, "not_before", t->due_ms);
	if (t->executor && t->executor != c->o.agent)
		json_kv_str(b, "agent", t->executor);
	if (t->run_us)
		json_kv_num(b, "run_ms", (double)t->run_us / 1000);
	json_put_key(b, "error");
	json_put_err(b, &p->err);
	out_end_line(b);
}

static bool
has_exclusive_tool(const struct task *t)
{
	return !t->tool || t->tool->effect == TOOL_EXCLUSIVE;
}

/* An approval that was used may have had its effect. */
static bool
is_exclusive(const struct task *t)
{
	return has_exclusive_tool(t) || t->stage == APPROVAL_GIVEN;
}

static void
ask(struct core *c, struct task *t, const struct err *why)
{
	struct err e = *why;

	err_wrap(&e, "it may or may not have had its effect; look, then decide");
	set_error(t, &e);
	end(c, t, TASK_UNCERTAIN);
}

/* The tool reports a failure, or ran out of time. */
static void
failed(struct core *c, struct task *t, const struct pool_end *p)
{
	bool repeatable = !has_exclusive_tool(t) || p->no_effect || IS_MUTANT(MUTANT_REPEAT_FAILED);
	bool hopeless = p->hopeless && !IS_MUTANT(MUTANT_REPEAT_HOPELESS);
	struct err e = p->err;

	t->failures += !IS_MUTANT(MUTANT_RETRY_BUDGET);
	if (!repeatable) {
		ask(c, t, &e);
	} else if (!hopeless && !t->given_up && t->failures < t->retry_max) {
		retry_later(c, t, p);
	} else {
		if (t->given_up)
			err_wrap(&e, "given up early: by what was learned, fewer than 10 of 100 such attempts succeed");
		if (hopeless && t->failures < t->retry_max)
			err_wrap(&e, "another try would not help");
		attempt_finish(c, t, t->retry_max > 1 ? TASK_DEAD : TASK_FAILED, &e);
	}
}

static void
crashed(struct core *c, struct task *t, const struct pool_end *p)
{
	struct err e = p->err;

	t->crashes += !IS_MUTANT(MUTANT_CRASH_BUDGET);
	if (is_exclusive(t)) {
		ask(c, t, &e);
	} else if (t->crashes >= c->o.config->max_crashes) {
		err_wrap(&e, "killed its worker %d times", t->crashes);
		attempt_finish(c, t, TASK_DEAD, &e);
	} else {
		requeue(c, t);
	}
}

/* A cancel was asked for, and the attempt did not end better than by being stopped. If it may have had an effect
 * on its way to another end, that has to be told instead. */
static bool
is_cancelled(const struct task *t, const struct pool_end *p)
{
	if (!t->cancelled || p->how == POOL_SUCCEEDED)
		return false;
	return p->how == POOL_STOPPED || p->how == POOL_NOT_RUN || !is_exclusive(t) || p->no_effect;
}

/* What is known of its processes. The pool says that it was stopped when their group is gone, and not before. p NULL:
 * whoever ran it is gone. */
static void
cancelled(struct core *c, struct task *t, const struct pool_end *p)
{
	struct err e;

	if (!p)
		err_set(&e, ERR_LOST, "cancelled; the agent that ran it is gone, and nobody saw its processes end");
	else if (p->how == POOL_NOT_RUN)
		err_set(&e, ERR_DENIED, "cancelled before it began");
	else if (p->how == POOL_STOPPED)
		err_set(&e, ERR_DENIED, "cancelled while it ran; its processes are gone");
	else
		err_set(&e, ERR_DENIED, "cancelled while it ran; it ended before it was stopped: %.300s", p->err.msg);
	attempt_finish(c, t, TASK_CANCELLED, &e);
}

/* By the agent that ends and will go on later. */
static void
stopped(struct core *c, struct task *t, const struct pool_end *p)
{
	struct err e = p->err;

	if (is_exclusive(t)) {
		if (e.code == ERR_NONE)
			err_set(&e, ERR_LOST, "stopped with its agent");
		ask(c, t, &e);
	} else {
		requeue(c, t);
	}
}

static void
free_slot(struct core *c, struct task *t)
{
	if (t->here) {
		c->quick_out -= t->quick;
		c->running--;
	}
	if (t->at && t->at->given)
		t->at->given--;
	flow_ends(c, t);
	breaker_is_over(c, t);
	t->here = t->works = false;
	t->at = NULL;
	t->lost_ms = 0;
}

void
attempt_ended(struct core *c, struct task *t, const struct pool_end *p)
{
	audit_ran(c, t, p);
	if (p->how != POOL_SUCCEEDED && p->how != POOL_NOT_RUN && !p->refused)
		history_add(c, t, p, &p->err);
	learn_ended(c, t, p);
	breaker_ended(c, t, p);
	free_slot(c, t);
	t->run_us = p->ran_us;
	if (is_cancelled(t, p)) {
		cancelled(c, t, p);
		return;
	}
	switch (p->how) {
	case POOL_SUCCEEDED:
		set_outcome(t, "result", p->result, p->result_len, p);
		end(c, t, TASK_SUCCEEDED);
		break;
	case POOL_FAILED:
		if (p->refused && approval_refused(c, t, &p->err))
			break;
		if (p->refused)
			history_add(c, t, p, &p->err);
		failed(c, t, p);
		break;
	case POOL_TIMEOUT:
		failed(c, t, p);
		break;
	case POOL_CRASHED:
		crashed(c, t, p);
		break;
	case POOL_STOPPED:
		stopped(c, t, p);
		break;
	case POOL_NOT_RUN:
		requeue(c, t);
		break;
	}
	/* The former owner may have heard of that end, and gone on from there. */
	if (t->started_ms < t->house->doubt_ms)
		attempt_doubt(c, t);
	if (t->state == TASK_RETRYING || t->state == TASK_QUEUED)
		audit_retried(c, t, p);
}

/* A former attempt may still run here, for an owner that the house had in between. */
uint64_t
attempt_handle(const struct task *t)
{
	return (uint64_t)(t->attempt & HANDLE_ATTEMPT_MAX) << HANDLE_SEQ_BITS | (uint64_t)t->seq;
}

struct task *
attempt_by_handle(struct core *c, uint64_t handle)
{
	struct task *t = task_by_seq(c, HANDLE_SEQ(handle));

	return t && attempt_handle(t) == handle ? t : NULL;
}

void
core_attempt_end(struct core *c, const struct pool_end *p)
{
	struct work *w = work_find(c, p->handle);
	struct task *t = w ? NULL : attempt_by_handle(c, p->handle);

	output_end(c, p->handle);
	if (w)
		work_end(c, w, p);
	else if (!t || t->state != TASK_RUNNING || !t->here)
		log_warnx("attempt %llu ended, but is not running", (unsigned long long)p->handle);
	else
		attempt_ended(c, t, p);
}

static void
take_back(struct core *c, struct task *t)
{
	list_remove(t->late ? &c->starts_late : &c->starts, t);
	c->chosen--;
	t->chosen = t->late = false;
	free_slot(c, t);
}

/* It never began, so it may be queued again whatever its tool. */
void
attempt_unchoose(struct core *c, struct task *t)
{
	take_back(c, t);
	requeue(c, t);
}

/* That a stop was asked for is with all who may own the house before whoever asked is told: the next owner goes on with
 * it. Those who did not know that it runs hear it first. */
static void
note_cancelled(struct core *c, struct task *t)
{
	struct buf *b;

	if (t->cancelled)
		return;
	t->cancelled = true;
	if (!t->announced && lease_is_shared(t->house))
		attempt_announce(c, t);
	b = out_task_event(c, t, "cancelling");
	json_kv_int(b, "attempt", t->attempt);
	json_kv_bool(b, "cancelled", true);
	out_end_line(b);
	task_dirty(c, t);
}

/* Chosen but not handed out, it never began; running, its group is stopped first. So is what may run somewhere, as
 * far as a new owner knows. */
void
attempt_cancel(struct core *c, struct task *t, const char *by)
{
	struct err e;

	if (t->chosen) {
		take_back(c, t);
	} else if (t->state == TASK_RUNNING || t->state == TASK_STARTING) {
		if (!t->stopping && t->at)
			work_stop(c, t);
		else if (!t->stopping && t->here)
			core_queue_stop(c, attempt_handle(t));
		else if (!t->stopping && t->works)
			work_stop_here(c, t);
		t->stopping = true;
		note_cancelled(c, t);
		return;
	}
	lane_leave(c, t);
	err_set(&e, ERR_DENIED, "cancelled by %s", by);
	attempt_finish(c, t, TASK_CANCELLED, &e);
}

/* Whoever ran it is gone. */
void
attempt_lost(struct core *c, struct task *t)
{
	struct err e;

	err_set(&e, ERR_LOST, "the agent that ran it died");
	history_add(c, t, NULL, &e);
	free_slot(c, t);
	if (t->cancelled && !is_exclusive(t))
		cancelled(c, t, NULL);
	else if (is_exclusive(t) && !IS_MUTANT(MUTANT_REPEAT_LOST))
		ask(c, t, &e);
	else
		requeue(c, t);
}

/* Others may run it, and will say so. */
static bool
may_live(const struct core *c, const struct house *h)
{
	bool others = h->home && (h->home->n > 1 || strcmp(h->home->v[0], c->o.agent) != 0);

	return h->place >= 0 && (lease_is_shared(h) || others);
}

/* It is given up if nobody reports it within this time. */
void
attempt_await(struct core *c, struct task *t, int64_t ms)
{
	t->lost_ms = c->now.mono_ms + ms;
	t->asked = false;
	c->awaits = true;
}

/* It ran under the former owner, or in our former life. */
void
attempt_resume(struct core *c, struct task *t)
{
	if (!task_has_begun(t->state) || IS_MUTANT(MUTANT_NO_RECOVERY))
		return;
	flow_begins(c, t);
	t->announced = true;
	task_touch(c, t);
	if (may_live(c, t->house))
		attempt_await(c, t, LOST_MS);
	else
		attempt_lost(c, t);
}

/* We may have missed that it was begun. */
void
attempt_doubt(struct core *c, struct task *t)
{
	struct err e;

	if (!is_exclusive(t) || t->forward || !task_may_enter(t->state, TASK_UNCERTAIN) || IS_MUTANT(MUTANT_NO_DOUBT))
		return;
	err_set(&e, ERR_LOST, "its house was taken over by an agent that may have missed that it ran");
	lane_leave(c, t);
	ask(c, t, &e);
}

/* It may have ended here in any way before it was forgotten. */
void
attempt_forgotten(struct core *c, struct task *t)
{
	struct err e;

	if (t->forward || !task_may_enter(t->state, TASK_UNCERTAIN))
		return;
	err_set(&e, ERR_STALE, "it is as old as tasks that its house has forgotten");
	/* Whoever waited for it may have been told. */
	task_reply_to(t, NULL, NULL, 0);
	lane_leave(c, t);
	ask(c, t, &e);
}

/* It is uncertain for that reason: its sender may have been told an outcome, so none that comes settles it. */
bool
attempt_was_forgotten(const struct task *t)
{
	static const char error[] = "{\"error\":{\"code\":\"stale\"";

	return t->state == TASK_UNCERTAIN && t->outcome && strncmp(t->outcome, error, sizeof error - 1) == 0;
}

/* The house is another agent's from now on: what runs here runs for him. */
void
attempt_let_go(struct core *c, struct task *t)
{
	bool begun = t->state == TASK_RUNNING || t->state == TASK_STARTING;

	if (t->chosen) {
		list_remove(t->late ? &c->starts_late : &c->starts, t);
		c->chosen--;
		t->chosen = t->late = false;
		work_not_run(c, t);
	} else if (begun && t->here) {
		work_keep(c, t);
	} else if (begun && t->at) {
		work_given_away(t);
	}
	if (begun)
		free_slot(c, t);
}

/* It ran under a former owner, and nobody has said yet that it still does. */
bool
attempt_is_awaited(const struct task *t)
{
	return t->house->owned && (t->state == TASK_RUNNING || t->state == TASK_STARTING) && !t->here && !t->works &&
	    !t->chosen && !t->at;
}

/* The legal way from what it is. */
void
attempt_settle(struct core *c, struct task *t, enum task_state to)
{
	if (attempt_is_awaited(t))
		free_slot(c, t);
	lane_leave(c, t);
	if (t->state == TASK_STARTING)
		task_enter(c, t, TASK_RUNNING);
	if (t->state == TASK_SCHEDULED || t->state == TASK_RETRYING || t->state == TASK_WAITING)
		task_enter(c, t, TASK_QUEUED);
	if (t->state == TASK_QUEUED)
		task_enter(c, t, TASK_RUNNING);
	if (task_may_enter(t->state, to))
		attempt_finish(c, t, to, NULL);
}

void
attempt_tell_again(struct core *c, struct task *t)
{
	struct buf *b = out_reply(c, t->house, t->reply_topic, t->correlation, t->correlation_len);
	char id[ULID_TEXT];

	if (task_state_is_terminal(t->state) || t->state == TASK_UNCERTAIN) {
		attempt_reply_outcome(b, t);
		return;
	}
	ulid_format(&t->id, id);
	json_put_open(b, '{');
	json_kv_str(b, "type", "accepted");
	json_kv_str(b, "id", id);
	json_kv_str(b, "house", t->house->name);
	json_kv_str(b, "state", task_state_name(t->state));
	json_kv_int(b, "copies", copies_count(t->house));
	out_end_line(b);
}

/* Whoever takes the house over must know of all that runs. */
void
attempt_announce_all(struct core *c, const struct house *h)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->house == h && t->state == TASK_RUNNING && !t->announced)
				task_dirty(c, t);
}

void
attempt_due(struct core *c, struct task *t)
{
	if (t->held)
		breaker_let_go(c, t);
	else if (t->state == TASK_RETRYING || (t->state == TASK_SCHEDULED && !after_holds(c, t)))
		requeue(c, t);
}

void
attempt_expire(struct core *c, struct task *t)
{
	struct err e;

	if (!task_may_enter(t->state, TASK_EXPIRED) || t->state == TASK_RUNNING || t->state == TASK_STARTING ||
	    t->state == TASK_FORWARDED)
		return;
	lane_leave(c, t);
	err_set(&e, ERR_TIMEOUT, "its deadline passed before it could run");
	attempt_finish(c, t, TASK_EXPIRED, &e);
}
