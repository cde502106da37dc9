/*
 * cmd_drill.c - uni-wizard drill: a house changes hands and comes back, while small tasks are given to it all
 * the time. The longest that one of them waited is the recovery time.
 */
#include <inttypes.h>
#include <string.h>

#include "beat.h"
#include "clock.h"
#include "json.h"
#include "local.h"
#include "remote.h"

#define LISTEN_MS 3000          /* heartbeats come each second */
#define AROUND_MS 1000          /* tasks before the first move, between both, and after the second */
#define PROBE_MS 100
#define PROBES_MAX 4096
#define LOCAL_MS 500            /* for an agent on this machine to answer */

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house that changes hands and comes back" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 600,
	  .help = "give up when a move takes longer than S seconds (default 30)" },
	{ .name = NULL },
};

/* A task that does nothing. */
struct probe {
	struct ulid id;
	int64_t put_ms, told_ms;        /* 0: not told how it ended */
};

struct drill {
	const struct cmd_args *a;
	struct remote r;
	const char *house;
	const struct config_names *candidates;
	cJSON *beats[CONFIG_MAX_PEOPLE];        /* the newest of each candidate that was heard twice */
	bool live[CONFIG_MAX_PEOPLE];
	config_name from, to;                   /* whose it was; who had it meanwhile */
	const char *target;                     /* of the move that goes on */
	bool moved, refused;
	int refusal;                            /* exit code */
	char why[256];
	struct probe probes[PROBES_MAX];
	size_t n, ended, failed;
	bool probing;
	int64_t next_ms;
	int64_t moved_ms, back_ms;              /* from asking until it was done */
};

/* ---- what heartbeats say ---- */

static int
index_of(const struct drill *d, const char *agent)
{
	for (size_t i = 0; i < d->candidates->n; i++)
		if (strcmp(d->candidates->v[i], agent) == 0)
			return (int)i;
	return -1;
}

static const cJSON *
part_of(const struct drill *d, size_t i)
{
	return d->live[i] ? beat_house(d->beats[i], d->house) : NULL;
}

/* By the highest term that is claimed; -1: nobody. */
static int
owner_of(const struct drill *d)
{
	int64_t best = -1;
	int owner = -1;

	for (size_t i = 0; i < d->candidates->n; i++) {
		const cJSON *part = part_of(d, i);

		if (beat_owns(part) && beat_term(part) > best) {
			best = beat_term(part);
			owner = (int)i;
		}
	}
	return owner;
}

static bool
is_in_step(const struct drill *d, int owner, const char *agent)
{
	const cJSON *p, *part = owner < 0 ? NULL : part_of(d, (size_t)owner);

	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(part, "in_step"))
		if (cJSON_IsString(p) && strcmp(p->valuestring, agent) == 0)
			return true;
	return false;
}

static bool
all_heard(const struct drill *d)
{
	for (size_t i = 0; i < d->candidates->n; i++)
		if (!d->live[i])
			return false;
	return owner_of(d) >= 0;
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct drill *d = arg;
	struct topic t;
	int i = topic_parse(topic, d->r.config.cluster, &t, NULL) ? -1 : index_of(d, t.name);
	cJSON *o = i < 0 ? NULL : json_parse_object(payload, len, NULL);

	if (!o)
		return;
	/* The first may be what the broker kept of a life that has ended. */
	d->live[i] = d->beats[i] != NULL;
	cJSON_Delete(d->beats[i]);
	d->beats[i] = o;
}

/* ---- replies ---- */

static void
note_probe(struct drill *d, const struct client_reply *r)
{
	const char *state = reply_text(r, "state");

	if (client_reply_busy_s(r) || (strcmp(r->type, "outcome") != 0 && strcmp(r->type, "rejected") != 0))
		return;
	for (size_t i = 0; i < d->n; i++) {
		struct probe *p = &d->probes[i];

		if (p->told_ms || !ulid_equal(&p->id, &r->id))
			continue;
		p->told_ms = clock_mono_ms();
		d->ended++;
		d->failed += !state || strcmp(state, "succeeded") != 0;
	}
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	struct drill *d = arg;

	if (strcmp(r->type, "moved") == 0) {
		d->moved = d->target && strcmp(beat_text(r->obj, "owner"), d->target) == 0;
	} else if (strcmp(r->type, "error") == 0 && !cJSON_HasObjectItem(r->obj, "id")) {
		d->refused = true;
		d->refusal = strcmp(beat_text(e, "code"), "denied") == 0 ? EXIT_REJECTED : EXIT_NOT_SUCCEEDED;
		snprintf(d->why, sizeof d->why, "%s", beat_text(e, "message"));
	} else {
		note_probe(d, r);
	}
}

/* ---- the run ---- */

static int
probe(struct drill *d)
{
	static const char task[] = "{\"tool\":\"noop\"}";
	int64_t now = clock_mono_ms();
	struct probe *p = &d->probes[d->n];
	struct err e;

	if (!d->probing || now < d->next_ms || d->n == PROBES_MAX)
		return 0;
	d->next_ms = now + PROBE_MS;
	p->put_ms = now;
	ulid_now(&p->id);
	d->n++;
	if (client_submit(d->r.client, d->house, task, sizeof task - 1, &p->id, true, &e) ||
	    client_commit(d->r.client, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return 0;
}

static bool
never(const struct drill *d)
{
	(void)d;
	return false;
}

static bool
is_answered(const struct drill *d)
{
	int owner = owner_of(d);

	return d->refused || d->moved || (owner >= 0 && strcmp(d->candidates->v[owner], d->target) == 0);
}

static bool
may_return(const struct drill *d)
{
	return is_in_step(d, owner_of(d), d->from);
}

static bool
all_ended(const struct drill *d)
{
	return d->ended == d->n;
}

/* 0: done(); EXIT_NO_ANSWER: not within ms. Another exit code: it is told why. */
static int
run_until(struct drill *d, bool (*done)(const struct drill *d), int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;
	const bool no = false;
	int rc = EXIT_NO_ANSWER;

	while (rc == EXIT_NO_ANSWER && !done(d) && clock_mono_ms() < end)
		rc = probe(d) ? EXIT_NOT_SUCCEEDED : remote_wait(&d->r, &no, d->probing ? PROBE_MS / 5 : PROBE_MS);
	return rc == EXIT_NO_ANSWER && done(d) ? EXIT_OK : rc;
}

static int
run_for(struct drill *d, int64_t ms)
{
	int rc = run_until(d, never, ms);

	return rc == EXIT_NO_ANSWER ? EXIT_OK : rc;
}

static int64_t
within_ms(const struct drill *d)
{
	return cmd_int(d->a, "within", 30) * 1000;
}

/* Asks the owner; the answer may get lost with a connection, but heartbeats show who has it. */
static int
move(struct drill *d, const char *to, int64_t *took_ms)
{
	int64_t begun = clock_mono_ms();
	char request[128];
	struct err e;
	int rc;

	d->target = to;
	d->moved = d->refused = false;
	snprintf(request, sizeof request, "{\"move\":{\"to\":\"%s\",\"pin\":false}}", to);
	if (client_request(d->r.client, TOPIC_QUERY, d->house, request, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = run_until(d, is_answered, within_ms(d));
	*took_ms = clock_mono_ms() - begun;
	if (rc == EXIT_NO_ANSWER)
		return cmd_fail(rc, "%s is not %s's after %" PRId64 " s; `uni-wizard house list` shows whose it is",
		    d->house, to, within_ms(d) / 1000);
	if (rc == EXIT_OK && d->refused)
		return cmd_fail(d->refusal, "%s does not go to %s: %s", d->house, to, d->why);
	return rc;
}

static int
move_back(struct drill *d)
{
	int rc = run_until(d, may_return, within_ms(d));

	if (rc == EXIT_NO_ANSWER)
		cmd_fail(rc, "%s is not in step with %s after %" PRId64 " s", d->from, d->to,
		    within_ms(d) / 1000);
	if (!rc)
		rc = move(d, d->from, &d->back_ms);
	if (rc)
		fprintf(stderr, "%s is with %s now; back: uni-wizard house move %s --to %s\n", d->house, d->to, d->house,
		    d->from);
	return rc;
}

/* The owner, and of the candidates in step with it the first. */
static int
choose(struct drill *d)
{
	int owner = owner_of(d);

	if (owner < 0)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s has no owner; `uni-wizard house list` shows who is there",
		    d->house);
	memcpy(d->from, d->candidates->v[owner], sizeof d->from);
	for (size_t i = 0; i < d->candidates->n; i++)
		if ((int)i != owner && d->live[i] && is_in_step(d, owner, d->candidates->v[i])) {
			memcpy(d->to, d->candidates->v[i], sizeof d->to);
			return 0;
		}
	return cmd_fail(EXIT_NOT_SUCCEEDED, "%s has nowhere to go: no other candidate is in step with %s; "
	    "`uni-wizard house list` shows why", d->house, d->from);
}

static int
hear(struct drill *d)
{
	char filter[TOPIC_MAX];
	struct err e;
	int rc;

	topic_format(filter, d->r.config.cluster, TOPIC_HEALTH, "+", "state");
	if (client_subscribe(d->r.client, filter, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = run_until(d, all_heard, LISTEN_MS);
	if (rc == EXIT_NO_ANSWER && !client_is_up(d->r.client))
		return remote_no_answer(&d->r, "the broker");
	return rc == EXIT_NO_ANSWER ? EXIT_OK : rc;
}

static int
run(struct drill *d)
{
	int rc;

	if ((rc = hear(d)) || (rc = choose(d)))
		return rc;
	if (!d->a->json)
		fprintf(stderr, "%s goes from %s to %s and back\n", d->house, d->from, d->to);
	d->probing = true;
	if ((rc = run_for(d, AROUND_MS)) || (rc = move(d, d->to, &d->moved_ms)) || (rc = run_for(d, AROUND_MS)) ||
	    (rc = move_back(d)) || (rc = run_for(d, AROUND_MS)))
		return rc;
	d->probing = false;
	return run_until(d, all_ended, within_ms(d)) == EXIT_OK ? EXIT_OK
	    : cmd_fail(EXIT_NO_ANSWER, "%zu of %zu tasks have no outcome", d->n - d->ended, d->n);
}

/* ---- what came of it ---- */

static int64_t
recovery_ms(const struct drill *d)
{
	int64_t longest = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->probes[i].told_ms - d->probes[i].put_ms > longest)
			longest = d->probes[i].told_ms - d->probes[i].put_ms;
	return longest;
}

static bool
tell_local(const struct drill *d, const char *agent, const char *request)
{
	struct local *l;
	char path[512], *line;
	bool taken = false;
	cJSON *o = NULL;
	size_t len;

	snprintf(path, sizeof path, "%s/%s.sock", d->r.config.run_dir, agent);
	if (local_open(&l, path, LOCAL_MS, NULL))
		return false;
	if (local_send(l, request, strlen(request), LOCAL_MS, NULL) == 0 &&
	    local_read(l, LOCAL_MS, &line, &len, NULL) == 1)
		o = json_parse_object(line, len, NULL);
	taken = strcmp(beat_text(o, "type"), "drilled") == 0;
	cJSON_Delete(o);
	local_close(l);
	return taken;
}

/* So that health shows it: over the owner's socket if it runs here, else over the broker. */
static void
publish(struct drill *d)
{
	char request[200];

	snprintf(request, sizeof request, "{\"op\":\"drilled\",\"house\":\"%s\",\"recovery_ms\":%" PRId64 "}", d->house,
	    recovery_ms(d));
	if (tell_local(d, d->from, request))
		return;
	snprintf(request, sizeof request, "{\"drilled\":{\"recovery_ms\":%" PRId64 "}}", recovery_ms(d));
	if (client_request(d->r.client, TOPIC_QUERY, d->house, request, NULL) == 0)
		run_for(d, LOCAL_MS);
}

static void
print_json(const struct drill *d)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "house", d->house);
	json_kv_str(&b, "from", d->from);
	json_kv_str(&b, "to", d->to);
	json_kv_int(&b, "recovery_ms", recovery_ms(d));
	json_kv_int(&b, "moved_ms", d->moved_ms);
	json_kv_int(&b, "back_ms", d->back_ms);
	json_kv_int(&b, "tasks", (int64_t)d->n);
	json_kv_int(&b, "failed", (int64_t)d->failed);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
report(struct drill *d)
{
	publish(d);
	if (d->a->json)
		print_json(d);
	else
		printf("%s went to %s in %" PRId64 " ms and back in %" PRId64 " ms; of %zu tasks none waited longer than "
		    "%" PRId64 " ms\n", d->house, d->to, d->moved_ms, d->back_ms, d->n, recovery_ms(d));
	if (d->failed)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%zu of %zu tasks did not succeed", d->failed, d->n);
	return EXIT_OK;
}

static int
check(struct drill *d)
{
	d->candidates = config_candidates(&d->r.config, d->house);
	if (!d->candidates)
		return cmd_fail(EXIT_USAGE, "--house: expected a house of %s, or _ for the router's, got \"%s\"",
		    d->r.config.path, d->house);
	if (d->candidates->n < 2)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s has only one candidate, %s: nobody else may own it; "
		    "`candidates` in %s names more", d->house, d->candidates->n ? d->candidates->v[0] : "none", d->r.config.path);
	return 0;
}

/* Tasks that do nothing are not worth to be sent later. */
static void
leave(struct drill *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (!d->probes[i].told_ms)
			client_drop(d->r.client, &d->probes[i].id, NULL);
	for (size_t i = 0; i < d->candidates->n; i++)
		cJSON_Delete(d->beats[i]);
	remote_close(&d->r);
}

static int
drill_run(const struct cmd_args *a)
{
	struct drill *d = xcalloc(1, sizeof *d);
	int rc;

	d->a = a;
	d->house = cmd_text(a, "house", NULL);
	rc = d->house ? cmd_config(a, &d->r.config)
	    : cmd_fail(EXIT_USAGE, "--house: expected the house that is to change hands");
	if (rc == 0 && (rc = check(d)) != 0)
		config_release(&d->r.config);
	if (rc == 0 && (rc = remote_connect(&d->r, a, on_reply, on_message, d)) == 0) {
		rc = run(d);
		if (rc == 0)
			rc = report(d);
		leave(d);
	}
	free(d);
	return rc;
}

const struct cmd cmd_drill = {
	.name = "drill",
	.help = "Try on a live cluster that a house changes hands, and show how long its tasks had to wait",
	.more = "The house goes to the first candidate in step and comes back, as with `uni-wizard house move`, while\n"
	        "tasks that do nothing are given to it ten times a second. What runs goes on, nothing is lost. The\n"
	        "longest that one of them waited is the recovery time; health shows it too. Operators and the\n"
	        "sovereign may do it.\n\n"
	        "Exit code 1: the house has nobody to go to, or a task did not succeed; 3: not allowed; 5: a move took\n"
	        "too long. The recovery after a crash is measured by `make drill`.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = drill_run,
};
