#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "event.h"
#include "json.h"
#include "log.h"

#define WAIT_MS 100                     /* for a message; a webhook waits no longer either */
#define FIGURES_MS 5000
#define PRUNE_MS 60000
#define YIELD_AGAIN_MAX_MS 3600000
#define YIELD_ASK_MS 30000              /* who does not take the house by then does not want it */

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static void
store_failed(struct bridge *b, const struct err *e)
{
	log_warnx("bridge: %s", e->msg);
	b->failed = true;
}

/* ---- once in a while ---- */

/* What was measured goes from memory to the file. */
static void
keep_sums(struct bridge *b)
{
	struct err e = { 0 };

	if (b->up.sum_ms == 0)
		return;
	if (matters_count_up(&b->m, "seen_ms", b->up.sum_ms, &e) || matters_count_up(&b->m, "up_ms", b->up.up_sum_ms, &e))
		store_failed(b, &e);
	b->up.sum_ms = b->up.up_sum_ms = 0;
}

static const char *
other_candidate(const struct bridge *b, const struct config_names *names)
{
	size_t us = 0;

	while (us < names->n && strcmp(names->v[us], b->agent) != 0)
		us++;
	return names->v[(us + 1 + (size_t)b->yields % (names->n - 1)) % names->n];
}

/* Somebody else may reach Gitea where we cannot. If he does not either, the house comes back, and goes again ever more
 * rarely, for that is kept; if he does not take it, the next one is asked. */
static void
yield_house(struct bridge *b)
{
	const struct config_names *names = config_candidates(b->c, b->c->bridge.house);
	int64_t now = clock_mono_ms(), wait = b->c->bridge.yield_s * 1000;
	struct err e = { 0 };
	struct buf q = { 0 };
	const char *to;

	for (int64_t i = 0; i < b->yields && wait < YIELD_AGAIN_MAX_MS; i++)
		wait *= 2;
	if (!wait || uplink_down_for(&b->up, now) < wait || now < b->yield_ms || names->n < 2)
		return;
	b->yield_ms = now + YIELD_ASK_MS;
	to = other_candidate(b, names);
	b->yields++;
	if (matters_count_up(&b->m, "yields", 1, &e))
		store_failed(b, &e);
	log_warnx("bridge: Gitea cannot be reached from here for %" PRId64 " s; house %s is to go to %s",
	    uplink_down_for(&b->up, now) / 1000, b->c->bridge.house, to);
	json_put_open(&q, '{');
	json_put_key(&q, "move");
	json_put_open(&q, '{');
	json_kv_str(&q, "to", to);
	json_put_close(&q, '}');
	json_put_close(&q, '}');
	client_request(b->client, TOPIC_QUERY, b->c->bridge.house, buf_str(&q), NULL);
	buf_free(&q);
}

/* The port may still be that of another bridge, which is about to end. */
static void
listen_on(struct bridge *b)
{
	struct err e = { 0 };

	if (!b->hook || b->listens)
		return;
	b->listens = hook_listen(b->hook, &e);
	if (b->listens)
		log_info("bridge: takes webhooks at %s", b->c->bridge.listen);
	else if (!b->told_listen)
		log_warnx("bridge: %s: %s; tried again each second", b->c->bridge.listen, e.msg);
	b->told_listen = true;
}

static void
now_and_then(struct bridge *b)
{
	int64_t now = clock_mono_ms();
	struct err e = { 0 };

	if (now >= b->second_ms) {
		b->second_ms = now + 1000;
		answer_ask(b);
		yield_house(b);
		listen_on(b);
	}
	if (now >= b->figures_ms) {
		b->figures_ms = now + FIGURES_MS;
		keep_sums(b);
		figures_write(b);
	}
	if (now >= b->prune_ms) {
		b->prune_ms = now + PRUNE_MS;
		if (matters_prune(&b->m, &e) || lessons_prune(&b->lessons, &e))
			store_failed(b, &e);
	}
}

/* ---- what came ---- */

static void
take_one(struct bridge *b, const struct hook_delivery *d)
{
	struct err e = { 0 };
	cJSON *facts;

	if (event_webhook(d->event, d->body, d->len, &facts, &e))
		log_warnx("bridge: webhook %s: %s", d->id, e.msg);
	else if (facts)
		desk_take(b, facts, MATTER_WEBHOOK);
	if (matters_deliver(&b->m, d->id, d->at_ms, &e))
		store_failed(b, &e);
}

/* Beyond the bound they are dropped: a later poll finds the same. */
static void
take_webhooks(struct bridge *b)
{
	struct hook_delivery d;
	int64_t room = -1;

	while (b->hook && hook_take(b->hook, &d)) {
		if (room < 0)
			room = b->c->bridge.open - matters_open_count(&b->m);
		uplink_heard(&b->up);
		if (room-- > 0)
			take_one(b, &d);
		free(d.body);
	}
}

/* The agent writes something each second while the house is its own. At the end of it there is no agent any more. */
static bool
is_kept(struct bridge *b)
{
	char bytes[64];
	ssize_t n = read(0, bytes, sizeof bytes);

	if (n > 0)
		b->heard_ms = clock_mono_ms();
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static int
turn(struct bridge *b, bool *busy, struct err *e)
{
	/* One fsync for all that came. */
	if (matters_begin(&b->m, e) || client_run(b->client, *busy ? 0 : WAIT_MS, e))
		return -1;
	take_webhooks(b);
	if (matters_commit(&b->m, e))
		return -1;
	*busy = clock_mono_ms() - b->heard_ms < BRIDGE_SILENCE_MS && desk_step(b);
	if (client_commit(b->client, e))
		return -1;
	now_and_then(b);
	return 0;
}

/* ---- beginning and end ---- */

static void
know_delivery(void *arg, const char *id)
{
	hook_know(arg, id);
}

static int
open_hook(struct bridge *b, struct err *e)
{
	const struct config_bridge *o = &b->c->bridge;
	const struct config_secret *key = config_secret_find(b->c, o->secret);

	if (!o->secret || strcmp(o->listen, "off") == 0)
		return 0;
	if (!key)
		return err_set(e, ERR_CONFIG, "%s: bridge.secret: there is no secret %s here", b->c->path, o->secret);
	b->hook = hook_open(o->listen, key->value);
	matters_deliveries(&b->m, know_delivery, b->hook);
	return 0;
}

/* What a former life left in the outbox is known to be out by our own file, and is given again from there. */
static int
open_client(struct bridge *b, struct err *e)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[512], file[520];

	snprintf(path, sizeof path, "%s/%s.bridge-outbox.db", b->c->state_dir, b->agent);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
		unlink(file);
	}
	return client_open(&b->client, &(struct client_opts){ .config = b->c, .identity = b->c->bridge.identity,
	    .outbox_path = path, .keep_busy = true, .arg = b, .on_reply = answer_take }, e);
}

/* Tasks that are out are given again: the houses know them, and tell us how they are. */
static int
resume(struct bridge *b, struct err *e)
{
	struct matter x;
	int64_t row = 0;
	int rc;

	while ((rc = matters_next_out(&b->m, row, &x, e)) == 1) {
		row = x.row;
		rc = answer_submit(b, &x, rule_named(b->c, x.rule), e);
		matter_release(&x);
		if (rc < 0)
			return -1;
	}
	return rc;
}

static int
open_all(struct bridge *b, struct err *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s.bridge.db", b->c->state_dir, b->agent);
	b->rules = rules_new(b->c);
	b->labels = cJSON_CreateObject();
	b->started_ms = b->heard_ms = clock_mono_ms();
	b->gitea = gitea_open_configured(b->c, &(struct gitea_options){ 0 }, e);
	if (!b->gitea || matters_open(&b->m, path, e) || matters_doubt(&b->m, e) || lessons_open(&b->lessons, &b->m, b->c, e))
		return -1;
	b->yields = matters_sum(&b->m, "yields");
	return open_hook(b, e) || open_client(b, e) || resume(b, e) ? -1 : 0;
}

static void
close_all(struct bridge *b)
{
	hook_close(b->hook);
	if (b->client)
		client_close(b->client);
	gitea_close(b->gitea);
	lessons_close(&b->lessons);
	if (b->m.db.h)
		matters_close(&b->m);
	cJSON_Delete(b->labels);
	rules_free(b->rules);
}

int
bridge_run(const struct config *c, const char *agent)
{
	struct bridge *b = xcalloc(1, sizeof *b);
	bool busy = false;
	struct err e = { 0 };
	int rc;

	b->c = c;
	b->agent = agent;
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	fcntl(0, F_SETFL, O_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (open_all(b, &e)) {
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "bridge: %s", e.msg);
	} else {
		while (!b->failed && !interrupted && is_kept(b))
			if (turn(b, &busy, &e))
				store_failed(b, &e);
		rc = b->failed ? EXIT_NOT_SUCCEEDED : EXIT_OK;
		if (!b->failed)
			keep_sums(b);
	}
	close_all(b);
	free(b);
	return rc;
}
