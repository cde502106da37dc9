/*
 * lease.c - who owns a house: claims with terms, holding, stepping down, handing over.
 *
 * A term is a number and an agent, compared as a pair. The owner's lease runs LEASE_MS from the moment it made the
 * latest pulse that came back to it through the broker; others believe it gone when they have not heard it for
 * longer than that, while they hear themselves. So, clocks running alike, an owner has stopped before another
 * begins; and what two owners could do in the moments when clocks do not, copies.c keeps from being told.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define LEASE_MS 4000
#define START_MS 3000           /* nothing is started on the rest of a lease */
#define SILENT_MS 5000          /* unheard for so long: gone */
#define FIRST_BEATS_MS 2500     /* after connecting: whoever lives was heard by then */
#define FRESH_PULSE_MS 2000
#define SETTLE_MS 200           /* for a higher claim that is on its way */
#define CLAIM_LOST_MS 3000
#define TERM_LEAP_MAX 1000
#define RESTORED_TERMS 500      /* so many terms nobody has between a backup and the loss: each is a start of ours */
#define TAKE_MS 3000            /* for the heir to claim */
#define WONT_MS 1000            /* before one that could not take it is asked again */
#define STEADY_MS 10000         /* in step for so long before the house is handed back */
#define LACKING_MS 6000         /* by then others know whether they lack it too */
#define HAND_BACK_MS 60000      /* not more often */

/* How long one waits with a claim, by what it knows of the former term; and its place in the order times this. */
#define WAIT_PLACE_MS 150
#define WAIT_FIRST_MS 500       /* likewise, when there has never been an owner */
#define WAIT_LACKING_MS 1500    /* for somebody who does not lack what the house needs */
#define WAIT_ONCE_IN_STEP_MS 3000
#define WAIT_UNCLEAN_MS 10000
#define TOGETHER_MS 900         /* most of us lost the former broker no later than this after our last pulse there */
#define WAIT_TOGETHER_MS 9000   /* after that pulse */
#define WAIT_BETTER_MS 10000    /* from when somebody was seen who knows more: he should */

/* ---- terms ---- */

static int
term_compare(const struct term *a, const struct term *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return strcmp(a->agent, b->agent) ? strcmp(a->agent, b->agent) : strcmp(a->store, b->store);
}

bool
term_is_less(const struct term *a, const struct term *b)
{
	return term_compare(a, b) < 0;
}

bool
term_equal(const struct term *a, const struct term *b)
{
	return term_compare(a, b) == 0;
}

void
term_put(struct buf *b, const char *key, const struct term *t)
{
	char text[TERM_TEXT];

	term_format(t, text);
	json_kv_str(b, key, text);
}

/* "8.ezra-1.40058b7a"; "0" for none. */
void
term_format(const struct term *t, char out[TERM_TEXT])
{
	snprintf(out, TERM_TEXT, t->n ? "%lld.%s.%s" : "0", (long long)t->n, t->agent, t->store);
}

bool
term_parse(const char *text, struct term *t)
{
	struct term got = { 0 };
	long long n;
	int end = 0;

	if (!text)
		return false;
	if (strcmp(text, "0") != 0 &&
	    (sscanf(text, "%12lld.%32[a-z0-9-].%11[0-9a-f]%n", &n, got.agent, got.store, &end) != 3 || text[end] || n < 1))
		return false;
	got.n = end ? n : 0;
	*t = got;
	return true;
}

/* ---- what follows from them ---- */

bool
lease_is_shared(const struct house *h)
{
	return h->ncopies > 0;
}

static bool
is_us(const struct core *c, const struct term *t)
{
	return strcmp(t->agent, c->o.agent) == 0;
}

static bool
was_ours(const struct core *c, const struct term *t)
{
	return is_us(c, t) && strcmp(t->store, c->store_id) == 0;
}

struct peer *
lease_owner(struct core *c, const struct house *h)
{
	return h->owned || !h->term.n ? NULL : peer_find(c, h->term.agent);
}

static bool
pulse_is_fresh(const struct core *c, int64_t ms)
{
	return c->up && c->greeted && c->now.mono_ms - c->pulse_ms <= ms;
}

static bool
lease_runs(const struct core *c, int64_t ms)
{
	return pulse_is_fresh(c, ms) && brokers_majority(c);
}

bool
lease_may_start(const struct core *c, const struct house *h)
{
	return !lease_is_shared(h) || lease_runs(c, START_MS);
}

static void
look_again_at(struct core *c, int64_t mono_ms)
{
	if (!c->lease_next_ms || mono_ms < c->lease_next_ms)
		c->lease_next_ms = mono_ms;
}

/* ---- not being the owner any more ---- */

static void
answer_move(struct core *c, struct house *h, const struct err *e)
{
	struct buf *b;

	if (!h->move_conn && !h->move_reply)
		return;
	b = h->move_conn ? out_local(c, NULL, h->move_conn) :
	    out_reply(c, NULL, h->move_reply, h->move_correlation.data, h->move_correlation.len);
	json_put_open(b, '{');
	json_kv_str(b, "type", e ? "error" : "moved");
	json_kv_str(b, "house", h->name);
	term_put(b, "term", &h->term);
	json_kv_str(b, "owner", h->term.agent);
	if (e) {
		json_put_key(b, "error");
		json_put_err(b, e);
	}
	out_end_line(b);
	free(h->move_reply);
	h->move_reply = NULL;
	h->move_conn = 0;
	buf_free(&h->move_correlation);
}

static void
keep_house(struct core *c, struct house *h, const char *why)
{
	struct err e;

	log_warnx("house %s: not handed over to %s: %s", h->name, h->heir->name, why);
	err_set(&e, ERR_TIMEOUT, "house %s stays with %s: %s", h->name, c->o.agent, why);
	h->heir = NULL;
	h->taking = false;
	answer_move(c, h, &e);
	seen_take(c, h);
}

/* Of whoever overslept it, it ended long ago. */
static int64_t
lease_end(const struct core *c)
{
	int64_t ms = c->pulse_ms + LEASE_MS;

	return ms < c->now.mono_ms ? ms : c->now.mono_ms;
}

static void
step_down(struct core *c, struct house *h, const char *why)
{
	bool moved = h->heir && strcmp(h->heir->name, h->term.agent) == 0;
	struct err e;

	log_info("house %s: no longer ours: %s", h->name, why);
	house_let_go(c, h);
	h->lease = LEASE_NONE;
	h->heir = NULL;
	h->taking = h->live = h->pinned = false;
	h->in_step_ms = 0;
	h->was_in_step = false;
	err_set(&e, ERR_TIMEOUT, "house %s was lost meanwhile: %s", h->name, why);
	answer_move(c, h, moved ? NULL : &e);
	h->left_ms = lease_end(c);
	h->heard_told = h->told;
	for (int i = 0; i < h->ncopies; i++) {
		h->copies[i].was_in_step = h->copies[i].in_step;
		h->copies[i].in_step = false;
	}
}

/* ---- claims ---- */

static void
send_claim(struct core *c, const struct house *h)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	topic_format(topic, c->o.config->cluster, TOPIC_CLAIM, h->name, c->o.agent);
	b = out_now(c, topic, 1, true, 0);
	json_put_open(b, '{');
	json_kv_str(b, "house", h->name);
	term_put(b, "term", &h->term);
	json_kv_str(b, "boot", c->boot);
	json_kv_int(b, "protocol", c->o.protocol);
	json_put_key(b, "base");
	json_put_open(b, '{');
	term_put(b, "term", &h->log);
	json_kv_int(b, "seq", h->head);
	json_put_close(b, '}');
	json_kv_bool(b, "unclean", h->unclean);
	out_end_line(b);
}

static void
be_ours(const struct core *c, struct term *t)
{
	snprintf(t->agent, sizeof t->agent, "%s", c->o.agent);
	snprintf(t->store, sizeof t->store, "%s", c->store_id);
}

static void
claim(struct core *c, struct house *h, bool handed, bool unclean)
{
	h->term.n += !(IS_MUTANT(MUTANT_EQUAL_TERMS) && h->term.n);
	be_ours(c, &h->term);
	h->lease = LEASE_CLAIMED;
	h->claimed_ms = c->now.mono_ms;
	h->back_ms = 0;
	h->handed = handed;
	h->unclean = unclean;
	h->abandoned = h->live = false;
	c->urgent = true;
	log_info("house %s: claimed, term %lld%s", h->name, (long long)h->term.n, unclean ? ", not in step" : "");
	send_claim(c, h);
	look_again_at(c, c->now.mono_ms + CLAIM_LOST_MS);
}

/* Replies that the former owner may not have sent any more. */
static void
tell_again(void *arg, struct task *t)
{
	struct core *c = arg;
	struct task *own = task_by_seq(c, t->seq);

	own = own ? own : task_by_id(c, t->house, &t->id);
	if (own && own->reply_topic && !own->forward)
		attempt_tell_again(c, own);
}

static void
tell_owner(struct core *c, struct house *h)
{
	struct buf *b = out_event(c, h, "owner");

	json_kv_bool(b, "unclean", h->unclean);
	out_end_line(b);
}

static void
begin_term(struct core *c, struct house *h, const cJSON *in_step)
{
	int64_t after = h->heard_told;

	/* Of a stream that came to nothing. */
	if (h->pruned > h->head)
		h->pruned = h->head;
	h->log = h->term;
	h->lease = LEASE_HELD;
	h->since_ms = c->now.wall_ms;
	h->held_ms = c->now.mono_ms;
	h->vacant_ms = 0;
	h->live = false;
	h->sync = SYNC_IDLE;
	stream_add_term(h, &h->term, h->head);
	copies_begin(c, h, in_step);
	if (lease_is_shared(h))
		tell_owner(c, h);
	if (h->unclean)
		h->doubt_ms = c->now.wall_ms;
	house_take_over(c, h);
	work_resume(c, h);
	work_ask(c, h);
	if (after)
		store_rows(c, h, false, &after, TELL_AGAIN_MAX, tell_again, c);
	seen_take(c, h);
}

/* Its candidates are we alone. */
void
lease_open(struct core *c, struct house *h)
{
	h->term.n += c->restored ? RESTORED_TERMS : 1;
	be_ours(c, &h->term);
	begin_term(c, h, NULL);
}

static void
act(struct core *c, struct house *h)
{
	int64_t settle = h->handed ? 0 : SETTLE_MS;

	if (!h->back_ms && c->now.mono_ms - h->claimed_ms > CLAIM_LOST_MS) {
		log_info("house %s: our claim did not come back", h->name);
		h->lease = LEASE_NONE;
	} else if (h->back_ms && c->now.mono_ms - h->back_ms >= settle && lease_runs(c, START_MS)) {
		log_info("house %s: ours, term %lld", h->name, (long long)h->term.n);
		begin_term(c, h, h->unclean ? NULL : h->step_list);
	} else {
		look_again_at(c, h->back_ms ? h->back_ms + settle : h->claimed_ms + CLAIM_LOST_MS);
	}
}

void
lease_check(struct core *c, bool begin)
{
	if (c->works && !pulse_is_fresh(c, LEASE_MS))
		work_drop_waiting(c);
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (!lease_is_shared(h))
			continue;
		if (h->owned && !lease_runs(c, LEASE_MS) && !IS_MUTANT(MUTANT_KEEP_LEASE))
			step_down(c, h, "our pulse does not come back");
		else if (begin && h->lease == LEASE_CLAIMED)
			act(c, h);
	}
}

void
lease_take_back(struct core *c)
{
	char topic[TOPIC_MAX];

	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->lease != LEASE_CLAIMED || h->claimed_ms != c->now.mono_ms)
			continue;
		h->lease = LEASE_NONE;
		topic_format(topic, c->o.config->cluster, TOPIC_CLAIM, h->name, c->o.agent);
		out_forget(c, topic);
	}
}

void
lease_heard(struct core *c, struct house *h, const struct term *t)
{
	if (!term_is_less(&h->term, t) || !lease_is_shared(h))
		return;
	if (t->n > h->term.n + TERM_LEAP_MAX && h->term.n) {
		log_warnx("house %s: %s claims term %lld, far above %lld: ignored", h->name, t->agent, (long long)t->n,
		    (long long)h->term.n);
		return;
	}
	h->term = *t;
	h->lease = LEASE_NONE;
	h->abandoned = h->live = false;
	/* Whether its owner waits for us too, only his heartbeat says. */
	h->vacant_ms = h->step_until_ms = h->in_step_ms = 0;
	h->since_ms = c->now.wall_ms;
	h->sync = SYNC_IDLE;
	c->urgent = true;
	if (h->owned)
		step_down(c, h, "it was claimed");
}

static void
our_claim(struct core *c, struct house *h, const struct term *t, const char *boot)
{
	if (h->lease == LEASE_CLAIMED && strcmp(boot, c->boot) == 0 && term_equal(t, &h->term)) {
		if (!h->back_ms)
			h->back_ms = c->now.mono_ms;
		look_again_at(c, c->now.mono_ms);
	} else {
		lease_heard(c, h, t);
	}
}

static void
their_claim(struct core *c, struct house *h, const struct term *t, const cJSON *o, bool retained)
{
	const cJSON *base = cJSON_GetObjectItemCaseSensitive(o, "base");
	struct peer *p = peer_find(c, t->agent);
	struct term log;
	int64_t seq = 0;

	if (term_is_less(t, &h->term))
		return;
	lease_heard(c, h, t);
	if (!term_equal(t, &h->term) || h->owned)
		return;
	/* What was kept may be old: its owner has gone on since. */
	if (retained)
		return;
	if (p) {
		p->heard_ms = c->now.mono_ms;
		p->offline = false;
		peer_speaks(c, p, o);
		if (!peer_is_understood(c, p))
			return;
	}
	if (json_int(cJSON_GetObjectItemCaseSensitive(base, "seq"), &seq) &&
	    term_parse(json_text(base, "term"), &log))
		stream_new_owner(c, h, &log, seq);
}

void
lease_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct house *h = house_find(c, t->name);
	cJSON *o = h && m->len ? json_parse_object(m->payload, m->len, NULL) : NULL;
	struct term term;

	if (!o || h->place < 0 || !term_parse(json_text(o, "term"), &term) ||
	    strcmp(term.agent, t->id) != 0)
		;
	else if (!house_may_own(c, h, t->id))
		log_warnx("house %s: a claim of %s, which is no candidate: ignored", h->name, t->id);
	else if (is_us(c, &term))
		our_claim(c, h, &term, json_text(o, "boot"));
	else
		their_claim(c, h, &term, o, m->retained);
	cJSON_Delete(o);
}

/* ---- is there an owner? ---- */

static bool
is_gone(const struct core *c, const struct peer *p)
{
	int64_t now = c->now.mono_ms;

	if (p->offline)
		return true;
	if (p->heard_ms < c->up_mono_ms)
		return now - c->up_mono_ms > FIRST_BEATS_MS && now - p->heard_ms > SILENT_MS;
	return now - p->heard_ms > SILENT_MS;
}

static bool
is_vacant(struct core *c, const struct house *h)
{
	struct peer *p = peer_find(c, h->term.agent);

	return !p || h->abandoned || is_gone(c, p);
}

/* One that knows more of the house than we, and lives. */
static bool
somebody_knows_more(const struct core *c, const struct house *h)
{
	for (int i = 0; i < h->ncopies; i++) {
		const struct copy *k = &h->copies[i];

		if (!peer_is_alive(c, k->peer, SILENT_MS) || k->peer->stopping)
			continue;
		if (term_is_less(&h->log, &k->log) || (term_equal(&h->log, &k->log) && k->have > h->head))
			return true;
	}
	return false;
}

/* Nobody can have owned it since we did: who could would have told us by now, and follows nobody whom we do not
 * know. */
static bool
nobody_since(const struct core *c, const struct house *h)
{
	bool soon = h->left_ms && c->now.mono_ms - h->left_ms < WAIT_ONCE_IN_STEP_MS;

	for (int i = 0; i < h->ncopies; i++) {
		const struct copy *k = &h->copies[i];

		if (!peer_is_understood(c, k->peer))
			return false;
		if (k->peer->heard_ms < c->up_mono_ms ? !(soon && !k->was_in_step) : !stream_knows_term(h, &k->log))
			return false;
	}
	return true;
}

/* We were in step until a broker fell silent, and it did so for most of us at once: then the owner lost its majority
 * there, 4 s later, before it could have gone on without us, after 5 s. */
static bool
came_together(const struct core *c, const struct house *h)
{
	return h->step_until_ms &&
	    brokers_lost_by_most(c, h->step_until_ms - LEASE_MS, h->step_until_ms + TOGETHER_MS);
}

/* Whoever lacks what the house needs comes after all who do not. */
static int
rank(int place, bool lacks)
{
	return place + (lacks ? COPIES_MAX : 0);
}

static bool
is_lacking(const struct house *h)
{
	return h->lacks[0] && !IS_MUTANT(MUTANT_KEEP_LACKING);
}

static bool
anybody_has_all(const struct core *c, const struct house *h)
{
	for (int i = 0; i < h->ncopies; i++)
		if (!h->copies[i].lacks && peer_is_alive(c, h->copies[i].peer, FIRST_BEATS_MS))
			return true;
	return false;
}

/* A candidate lives whose protocol is too new for us: it may know of what we could not have heard. */
static bool
is_outgrown(const struct core *c, const struct house *h)
{
	for (int i = 0; i < h->ncopies; i++)
		if (h->copies[i].peer->protocol > c->o.protocol + 1 && peer_is_alive(c, h->copies[i].peer, SILENT_MS))
			return true;
	return false;
}

/* After what time without an owner we claim. */
static int64_t
patience(const struct core *c, struct house *h, bool *unclean)
{
	int64_t place = h->place * WAIT_PLACE_MS + (is_lacking(h) && anybody_has_all(c, h) ? WAIT_LACKING_MS : 0);

	*unclean = false;
	if (!h->term.n)
		return h->place * WAIT_FIRST_MS;
	if (was_ours(c, &h->log) && was_ours(c, &h->term) && nobody_since(c, h))
		return 0;
	if (h->in_step_ms || IS_MUTANT(MUTANT_CLAIM_ANYHOW))
		return place;
	if (came_together(c, h))
		return place + (h->step_until_ms + WAIT_TOGETHER_MS > h->vacant_ms ?
		    h->step_until_ms + WAIT_TOGETHER_MS - h->vacant_ms : 0);
	*unclean = true;
	if (!somebody_knows_more(c, h))
		h->behind_ms = 0;
	else if (!h->behind_ms)
		h->behind_ms = c->now.mono_ms;
	if (h->behind_ms && c->now.mono_ms - h->behind_ms < WAIT_BETTER_MS)
		return h->behind_ms + WAIT_BETTER_MS - h->vacant_ms;
	return place + (h->was_in_step || was_ours(c, &h->log) ? WAIT_ONCE_IN_STEP_MS : WAIT_UNCLEAN_MS);
}

static void
consider_claim(struct core *c, struct house *h)
{
	bool unclean;
	int64_t at;

	if (!is_vacant(c, h)) {
		h->vacant_ms = 0;
		return;
	}
	/* Until we have a majority its owner may have one, on another broker. */
	if (!h->vacant_ms || !brokers_majority(c))
		h->vacant_ms = c->now.mono_ms;
	if (c->draining || !pulse_is_fresh(c, FRESH_PULSE_MS) || !brokers_majority(c))
		return;
	at = h->vacant_ms + patience(c, h, &unclean);
	if (unclean && is_outgrown(c, h))
		return;
	if (at <= c->now.mono_ms)
		claim(c, h, false, unclean);
	else
		look_again_at(c, at);
}

/* ---- handing over ---- */

static void
give(struct core *c, struct house *h, struct peer *heir, bool pin)
{
	log_info("house %s: handing over to %s", h->name, heir->name);
	h->heir = heir;
	h->heir_ms = h->gave_ms = c->now.mono_ms;
	h->pin_heir = pin;
	h->taking = false;
	house_give_back(c, h);
	attempt_announce_all(c, h);
	look_again_at(c, c->now.mono_ms + TAKE_MS);
}

static void
send_take(struct core *c, struct house *h)
{
	struct buf *b = work_line(c, h->heir->name, h, "take");

	json_kv_int(b, "head", h->stored_head);
	json_kv_bool(b, "pin", h->pin_heir);
	out_end_line(b);
	h->taking = true;
}

static void
pursue_hand_over(struct core *c, struct house *h)
{
	struct copy *k = house_copy(h, h->heir);

	if (c->now.mono_ms - h->heir_ms > TAKE_MS)
		keep_house(c, h, "it did not claim within 3 s");
	else if (!k->in_step)
		keep_house(c, h, "it is not in step any more");
	else if (!h->taking && k->have >= h->head && h->head == h->stored_head && !h->held && !h->held_local)
		send_take(c, h);
	else
		look_again_at(c, h->heir_ms + TAKE_MS);
}

static struct copy *
best_copy(const struct core *c, struct house *h)
{
	struct copy *best = NULL;

	for (int i = 0; i < h->ncopies; i++) {
		struct copy *k = &h->copies[i];

		if (k->in_step && peer_is_alive(c, k->peer, FIRST_BEATS_MS) && !k->peer->stopping &&
		    (!k->wont_ms || c->now.mono_ms - k->wont_ms > WONT_MS) &&
		    (!best || rank(k->place, k->lacks) < rank(best->place, best->lacks)))
			best = k;
	}
	return best;
}

static void
consider_hand_over(struct core *c, struct house *h)
{
	struct copy *k = best_copy(c, h);
	int64_t now = c->now.mono_ms;
	bool lacking = k && is_lacking(h) && !k->lacks && now - h->lacks_ms >= LACKING_MS;

	if (!k || (!c->draining && !lacking && (h->pinned || rank(k->place, k->lacks) > rank(h->place, is_lacking(h)))))
		return;
	if (c->draining || lacking ? h->gave_ms && now - h->gave_ms < TAKE_MS :
	    now - k->in_step_ms < STEADY_MS || now - h->held_ms < STEADY_MS || (h->gave_ms && now - h->gave_ms < HAND_BACK_MS))
		return;
	give(c, h, k->peer, false);
}

int
lease_move(struct core *c, struct house *h, const char *to, bool pin, struct err *e)
{
	struct peer *p = peer_find(c, to);
	struct copy *k = p ? house_copy(h, p) : NULL;

	if (strcmp(to, c->o.agent) == 0)
		return err_set(e, ERR_WRONG_STATE, "house %s is owned by %s already", h->name, to);
	if (!k)
		return err_field(e, ERR_INVALID, "to", to, "a candidate of house %s", h->name);
	if (!k->in_step)
		return err_set(e, ERR_WRONG_STATE, "%s is not in step with house %s; retry when `house list` shows it so", to,
		    h->name);
	if (h->heir)
		return err_busy(e, 5, "house %s is being handed over", h->name);
	give(c, h, p, pin);
	return 0;
}

static void
send_wont(struct core *c, const struct house *h, const struct peer *owner)
{
	struct buf *b = work_line(c, owner->name, h, "wont");

	json_kv_bool(b, "stopping", c->draining);
	out_end_line(b);
}

void
lease_wont(struct core *c, struct house *h, struct peer *from, const cJSON *o)
{
	if (json_is_true(o, "stopping"))
		from->stopping = true;
	if (!h->owned || h->heir != from)
		return;
	house_copy(h, from)->wont_ms = c->now.mono_ms;
	h->gave_ms = 0;
	keep_house(c, h, "it cannot take it now");
}

/* The owner wants us to have it. */
void
lease_take(struct core *c, struct house *h, const struct peer *from, const cJSON *o)
{
	int64_t head = 0;

	json_int(cJSON_GetObjectItemCaseSensitive(o, "head"), &head);
	if (h->owned || h->lease != LEASE_NONE || strcmp(h->term.agent, from->name) != 0)
		return;
	if (!h->live || h->head < head || c->draining || !pulse_is_fresh(c, START_MS)) {
		send_wont(c, h, from);
		return;
	}
	h->heard_told = h->head;
	claim(c, h, true, false);
	h->pinned = json_is_true(o, "pin");
}

/* ---- once a turn ---- */

static void
tick_owner(struct core *c, struct house *h)
{
	copies_check(c, h);
	if (h->heir)
		pursue_hand_over(c, h);
	else
		consider_hand_over(c, h);
}

/* Nobody can tell what we missed: what is sent again is doubted for as long as keys are known. */
static void
tick_alone(struct core *c, struct house *h)
{
	if (h->doubt_ms && c->now.wall_ms - h->doubt_ms > c->o.config->keep_keys_s * 1000) {
		h->doubt_ms = 0;
		c->lazy = true;
	}
}

void
lease_tick(struct core *c)
{
	c->lease_next_ms = 0;
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (!lease_is_shared(h)) {
			tick_alone(c, h);
			continue;
		}
		if (h->owned)
			tick_owner(c, h);
		else if (h->lease == LEASE_CLAIMED)
			look_again_at(c, h->back_ms ? h->back_ms + (h->handed ? 0 : SETTLE_MS) : h->claimed_ms + CLAIM_LOST_MS);
		else
			consider_claim(c, h);
		if (!h->owned)
			stream_tick(c, h);
	}
}

void
lease_link_up(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		h->vacant_ms = 0;
		if (h->owned && !lease_is_shared(h) && h->home)
			work_ask(c, h);
		if (h->owned && !lease_is_shared(h))
			approval_resume(c, h);
	}
}

static bool
owner_was_heard(struct core *c, const struct house *h)
{
	const struct peer *p = lease_owner(c, h);

	return p && c->o.config->nbrokers > 1 && c->pulse_ms - p->heard_ms < LEASE_MS;
}

/* left: we went by ourselves. The broker said so, and the owner may have gone on without us at once. */
void
lease_link_down(struct core *c, bool left)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (!lease_is_shared(h))
			continue;
		h->step_until_ms = h->in_step_ms && !left && owner_was_heard(c, h) ? c->pulse_ms : 0;
		if (h->owned)
			step_down(c, h, "the broker is away");
		h->lease = LEASE_NONE;
		h->live = false;
		h->in_step_ms = h->vacant_ms = 0;
		h->sync = SYNC_IDLE;
	}
}

bool
lease_is_drained(const struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		const struct house *h = &c->houses[i];

		if (h->owned && c->up && (h->heir || best_copy(c, (struct house *)h)))
			return false;
	}
	return true;
}
