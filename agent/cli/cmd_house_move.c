#include <string.h>

#include "beat.h"
#include "clock.h"
#include "json.h"
#include "local.h"
#include "nearest.h"
#include "remote.h"

#define LOOK_MS 500             /* for an agent on this machine to say what it owns */
#define TELL_MS 5000            /* how often a person is told that we still wait */

static const struct cmd_opt opts[] = {
	{ .name = "to", .kind = OPT_TEXT, .arg = "AGENT", .complete = "candidates",
	  .help = "the candidate that is to own the house" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 3600,
	  .help = "wait at most so many seconds (default 30)" },
	{ .name = NULL },
};

struct move {
	const struct cmd_args *a;
	struct remote r;
	const char *house, *to;
	int64_t within_ms;
	bool done;
	int rc;
};

/* ---- the answer ---- */

static int
moved(const struct move *m, const cJSON *o)
{
	const char *owner = beat_text(o, "owner");

	if (strcmp(owner, m->to) != 0)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s did not go to %s: %s owns it now", m->house, m->to, owner);
	if (!m->a->json && beat_term(o))
		printf("%s moved to %s, term %lld\n", m->house, owner, (long long)beat_term(o));
	else if (!m->a->json)
		printf("%s moved to %s\n", m->house, owner);
	return EXIT_OK;
}

static int
failed(const struct move *m, const cJSON *o)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
	const char *code = beat_text(e, "code"), *msg = beat_text(e, "message");

	return cmd_fail(strcmp(code, "denied") == 0 ? EXIT_REJECTED : EXIT_NOT_SUCCEEDED, "%s was not moved: %s: %s",
	    m->house, *code ? code : "error", *msg ? msg : "no reason given");
}

static void
take_answer(struct move *m, const cJSON *o, const char *line, size_t len)
{
	bool is_moved = strcmp(beat_text(o, "type"), "moved") == 0;

	if (!is_moved && strcmp(beat_text(o, "type"), "error") != 0)
		return;
	if (m->a->json)
		printf("%.*s\n", (int)len, line);
	m->rc = is_moved ? moved(m, o) : failed(m, o);
	m->done = true;
}

/* ---- waiting ---- */

static void
tell(const struct move *m, const char *who, int64_t waited_s)
{
	if (m->a->json)
		return;
	if (waited_s)
		fprintf(stderr, "still waiting for %s (%lld s)\n", who, (long long)waited_s);
	else
		fprintf(stderr, "asked %s to hand %s over to %s\n", who, m->house, m->to);
}

/* wait() until the answer came, in pieces, so that a person sees that it goes on. */
static int
wait_telling(struct move *m, const char *who, int (*wait)(struct move *m, void *arg, int64_t ms), void *arg)
{
	int64_t begun = clock_mono_ms(), left, now;
	int rc = EXIT_NO_ANSWER;

	tell(m, who, 0);
	while (rc == EXIT_NO_ANSWER && (left = begun + m->within_ms - (now = clock_mono_ms())) > 0) {
		if (now - begun >= TELL_MS)
			tell(m, who, (now - begun) / 1000);
		rc = wait(m, arg, left < TELL_MS ? left : TELL_MS);
	}
	return m->done ? m->rc : rc;
}

/* ---- over the socket of an agent on this machine ---- */

static cJSON *
local_ask(struct local *l, const char *request)
{
	char *line;
	size_t len;

	if (local_send(l, request, strlen(request), LOOK_MS, NULL) || local_read(l, LOOK_MS, &line, &len, NULL) != 1)
		return NULL;
	return json_parse_object(line, len, NULL);
}

static struct local *
local_owner(const struct move *m, const char *agent)
{
	struct local *l;
	char path[512];
	cJSON *health;
	bool owns;

	snprintf(path, sizeof path, "%s/%s.sock", m->r.config.run_dir, agent);
	if (local_open(&l, path, LOOK_MS, NULL))
		return NULL;
	health = local_ask(l, "{\"op\":\"health\"}");
	owns = beat_owns(beat_house(health, m->house));
	cJSON_Delete(health);
	if (owns)
		return l;
	local_close(l);
	return NULL;
}

static int
local_wait(struct move *m, void *arg, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, left;
	struct err e;
	char *line;
	size_t len;
	int n;

	while (!m->done && (left = end - clock_mono_ms()) > 0) {
		cJSON *o = NULL;

		if ((n = local_read(arg, left, &line, &len, &e)) < 0)
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
		if (n && (o = json_parse_object(line, len, NULL)))
			take_answer(m, o, line, len);
		cJSON_Delete(o);
	}
	return m->done ? EXIT_OK : EXIT_NO_ANSWER;
}

static int
local_move(struct move *m, struct local *l, const char *owner)
{
	struct buf b = { .max = 512 };
	struct err e;
	int rc;

	json_put_open(&b, '{');
	json_kv_str(&b, "op", "move");
	json_kv_str(&b, "house", m->house);
	json_kv_str(&b, "to", m->to);
	json_put_close(&b, '}');
	if (local_send(l, buf_str(&b), b.len, LOOK_MS, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	else
		rc = wait_telling(m, owner, local_wait, l);
	if (rc == EXIT_NO_ANSWER)
		cmd_fail(rc, "%s did not answer within %lld s; `uni-wizard house list` shows who owns %s", owner,
		    (long long)m->within_ms / 1000, m->house);
	buf_free(&b);
	return rc;
}

/* ---- over the broker ---- */

static void
on_reply(void *arg, const struct client_reply *r)
{
	take_answer(arg, r->obj, r->line, r->len);
}

static int
remote_wait_piece(struct move *m, void *arg, int64_t ms)
{
	(void)arg;
	return remote_wait(&m->r, &m->done, ms);
}

static int
check_identity(const struct move *m)
{
	const struct config *c = &m->r.config;
	const char *who = m->a->identity ? m->a->identity : c->identity;
	enum config_kind kind = config_identity_kind(c, who);

	if (kind == IDENTITY_OPERATOR || kind == IDENTITY_SOVEREIGN)
		return 0;
	return cmd_fail(EXIT_REJECTED, "denied: %s may not move houses, operators and %s may; --as names another identity",
	    who, c->sovereign);
}

/* The configuration goes with the connection. */
static int
remote_move(struct move *m)
{
	struct buf b = { .max = 512 };
	int rc = check_identity(m);

	if (rc) {
		config_release(&m->r.config);
		return rc;
	}
	if ((rc = remote_connect(&m->r, m->a, on_reply, NULL, m)))
		return rc;
	json_put_open(&b, '{');
	json_put_key(&b, "move");
	json_put_open(&b, '{');
	json_kv_str(&b, "to", m->to);
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	remote_ask(&m->r, TOPIC_QUERY, m->house, buf_str(&b));
	rc = wait_telling(m, "its owner", remote_wait_piece, NULL);
	if (rc == EXIT_NO_ANSWER)
		remote_no_answer(&m->r, "the owner of the house");
	buf_free(&b);
	remote_close(&m->r);
	return rc;
}

/* ---- the command ---- */

static int
check_candidate(const struct move *m, const struct config_names *candidates)
{
	struct nearest n = { .word = m->to };
	struct buf b = { .max = 4096 };
	const char *best;

	if (config_names_has(candidates, m->to))
		return 0;
	for (size_t i = 0; i < candidates->n; i++) {
		buf_addf(&b, "%s%s", i ? ", " : "", candidates->v[i]);
		nearest_try(&n, candidates->v[i]);
	}
	best = nearest_word(&n);
	cmd_fail(EXIT_USAGE, "--to: expected a candidate of %s (%s), got \"%s\"%s%s%s", m->house, buf_str(&b), m->to,
	    best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
	buf_free(&b);
	return EXIT_USAGE;
}

static int
check(const struct move *m)
{
	const struct config_names *candidates = config_candidates(&m->r.config, m->house);

	if (!candidates)
		return cmd_fail(EXIT_USAGE, "HOUSE: expected a house of %s, or _ for the router's, got \"%s\"",
		    m->r.config.path, m->house);
	if (!m->to)
		return cmd_fail(EXIT_USAGE, "--to: expected the agent that is to own %s", m->house);
	return check_candidate(m, candidates);
}

static struct local *
owner_here(const struct move *m, const char **owner)
{
	const struct config_names *candidates = config_candidates(&m->r.config, m->house);
	struct local *l = NULL;

	for (size_t i = 0; i < candidates->n && !l; i++)
		l = local_owner(m, *owner = candidates->v[i]);
	return l;
}

static int
move_run(const struct cmd_args *a)
{
	struct move m = { .a = a, .house = a->argv[0], .to = cmd_text(a, "to", NULL),
		.within_ms = cmd_int(a, "within", 30) * 1000 };
	const char *owner = NULL;
	struct local *l = NULL;
	int rc = cmd_config(a, &m.r.config);

	if (rc)
		return rc;
	if (!(rc = check(&m)) && !(l = owner_here(&m, &owner)))
		return remote_move(&m);
	if (l)
		rc = local_move(&m, l, owner);
	local_close(l);
	config_release(&m.r.config);
	return rc;
}

const struct cmd cmd_house_move = {
	.name = "house move",
	.args = "HOUSE",
	.help = "Hand a house over to another of its candidates, without a gap",
	.more = "Returns when the new owner has claimed it. Asks the owner over its local socket if it runs on this machine,\n"
	        "else over the broker, where only operators and the sovereign may. HOUSE may be _, the router's. The new\n"
	        "owner must be in step (see `uni-wizard house list`); what runs goes on. Exit code 1 if the owner refuses,\n"
	        "5 if nobody answers: then nothing is known, and the house may move yet.",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "houses",
	.run = move_run,
};
