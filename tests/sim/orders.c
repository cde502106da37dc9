/*
 * orders.c - whether what begins is what the sovereign allows.
 *
 *   On an agent nothing begins, and nothing is planned, before it holds a policy, while it knows that another holds a
 *   higher number of something, or under a halt that it holds or has ever held, whatever happened to the agent since.
 *   What needs approval by the policy that it holds begins with a decision over exactly this, in time, or a grant;
 *   what that policy denies does not begin at all. By a grant no more tasks begin than it allows.
 *   At the end all hold the highest numbers.
 *
 * What is allowed is asked of the sovereign's own book (timmy.h), never of the cores.
 */
#include "check.h"

#include "json.h"
#include "timmy.h"

#define KINDS SOVEREIGN_DECISION
#define TURN_MS 2000                    /* from being chosen to being begun */
#define DELIVERED_MAX 256

struct delivered {
	char task[ULID_TEXT];
	uint64_t envelope;
};

/* A host; what it was delivered and has not committed yet. */
struct holds {
	int64_t held[KINDS];            /* on its disk */
	int64_t heard[KINDS];           /* others say so, in its present life */
	struct delivered delivered[DELIVERED_MAX];
	int ndelivered;
};

struct orders {
	struct check *check;
	struct sim *sim;
	struct holds hosts[HOSTS_MAX];
};

static const char *const names[KINDS] = { "policy", "halt", "grants" };

/* ---- what a host holds and hears ---- */

static void
heard_health(struct holds *h, const struct msg *m)
{
	static const char key[] = "\"sovereign\":{";
	const char *at = memmem(m->payload, m->len, key, sizeof key - 1);
	long long n[KINDS];

	if (!at || sscanf(at + sizeof key - 1, "\"policy\":%lld,\"halt\":%lld,\"grants\":%lld", &n[0], &n[1], &n[2]) != KINDS)
		return;
	for (int k = 0; k < KINDS; k++)
		if (n[k] > h->heard[k])
			h->heard[k] = n[k];
}

void
orders_heard(struct orders *o, int host, const struct topic *t, const struct packet *p)
{
	struct holds *h = &o->hosts[host];

	if (t->kind == TOPIC_HEALTH && !p->retained && check_host(o->check, t->name) != host)
		heard_health(h, p->msg);
	if (t->kind != TOPIC_DECISION || !p->msg->len || h->ndelivered == DELIVERED_MAX)
		return;
	snprintf(h->delivered[h->ndelivered].task, ULID_TEXT, "%.26s", t->id);
	h->delivered[h->ndelivered++].envelope = check_hash(p->msg->payload, p->msg->len);
}

/* It has committed. */
void
orders_turn(struct orders *o, int host)
{
	struct holds *h = &o->hosts[host];
	const struct core *c = host_core(o->sim->hosts[host]);

	for (int k = 0; k < KINDS; k++) {
		int64_t n = inside_signed(c, k);

		if (k != SOVEREIGN_GRANT && n < h->held[k])
			sim_fail(o->sim, host_name(o->sim->hosts[host]), "%s held %s %lld, and holds %lld now",
			    host_name(o->sim->hosts[host]), names[k], (long long)h->held[k], (long long)n);
		h->held[k] = n;
	}
	for (int i = 0; i < h->ndelivered && o->sim->timmy; i++)
		timmy_delivered(o->sim->timmy, h->delivered[i].envelope, h->delivered[i].task, host);
	h->ndelivered = 0;
}

void
orders_died(struct orders *o, int host)
{
	o->hosts[host].ndelivered = 0;
	memset(o->hosts[host].heard, 0, sizeof o->hosts[host].heard);
}

void
orders_disk_lost(struct orders *o, int host)
{
	memset(o->hosts[host].held, 0, sizeof o->hosts[host].held);
	if (o->sim->timmy)
		timmy_disk_lost(o->sim->timmy, host);
}

/* ---- what begins ---- */

static void
check_numbers(struct orders *o, struct host *at, const struct pool_start *s)
{
	const struct holds *h = &o->hosts[check_host(o->check, host_name(at))];
	int64_t halt = inside_signed(host_core(at), SOVEREIGN_HALT);

	if (!inside_signed(host_core(at), SOVEREIGN_POLICY))
		sim_fail(o->sim, s->task_id, "%s begins %s before it holds a policy", host_name(at), s->tool);
	for (int k = 0; k < KINDS; k++)
		if (inside_signed(host_core(at), k) < h->heard[k])
			sim_fail(o->sim, s->task_id, "%s begins %s while it holds %s %lld and has heard of %lld", host_name(at),
			    s->tool, names[k], (long long)inside_signed(host_core(at), k), (long long)h->heard[k]);
	if (halt < h->held[SOVEREIGN_HALT])
		halt = h->held[SOVEREIGN_HALT];
	if (timmy_has_halted(o->sim->timmy, halt, s->house, s->tool))
		sim_fail(o->sim, s->task_id, "%s begins %s of house %s under halt %lld", host_name(at), s->tool, s->house,
		    (long long)halt);
}

/* That its client gave it; -1: none. */
static long long
number_of(const struct pool_start *s)
{
	static const char *const members[] = { "payload", "ms", "content", "json" };
	cJSON *o = cJSON_ParseWithLength(s->params, s->params_len);
	long long n = -1;

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, members[i]);

		if (cJSON_IsNumber(v) && strcmp(s->tool, "file_write") != 0)
			n = (long long)v->valuedouble;
		else if (cJSON_IsString(v) && strcmp(s->tool, "file_write") == 0)
			n = strtoll(v->valuestring, NULL, 10);
	}
	cJSON_Delete(o);
	return n;
}

/* Clients give those in mode sovereign an odd number. */
static bool
is_sovereign(const struct pool_start *s)
{
	return number_of(s) > 0 && number_of(s) % 2;
}

/* Its terms say that it is approved: by what? */
static void
check_approval(struct orders *o, struct host *at, const struct pool_start *s, const struct deed *d, const char *touches)
{
	int64_t wall = host_wall_ms(at) - TURN_MS;

	if (!timmy_has_approved(o->sim->timmy, s->task_id, touches, wall) &&
	    !timmy_has_granted(o->sim->timmy, inside_signed(host_core(at), SOVEREIGN_GRANT), d, wall))
		sim_fail(o->sim, s->task_id, "%s begins %s as approved, but nobody has approved it", host_name(at), s->tool);
}

static void
check_policy(struct orders *o, struct host *at, const struct pool_start *s, bool refused)
{
	cJSON *terms = s->terms ? cJSON_ParseWithLength(s->terms, s->terms_len) : NULL;
	bool approved = json_is_true(terms, "approved");
	/* What its worker refuses was judged by what it said that it touches: nothing, until it was asked. */
	struct deed d = { .house = s->house, .tool = registry_find(o->sim->tools, s->tool), .sovereign = is_sovereign(s),
		.touches = (approved || !refused) && strcmp(s->tool, "file_write") == 0 };
	struct record *r = check_record(o->check, s->task_id);
	enum policy_verdict v = timmy_verdict(o->sim->timmy, inside_signed(host_core(at), SOVEREIGN_POLICY), &d);

	r->approved = approved;
	if (approved)
		check_approval(o, at, s, &d, json_text(terms, "touches"));
	else if (v == POLICY_APPROVE)
		sim_fail(o->sim, s->task_id, "%s begins %s of house %s, which needs approval%s", host_name(at), s->tool, s->house,
		    d.sovereign ? " by its mode" : "");
	if (v == POLICY_DENY)
		sim_fail(o->sim, s->task_id, "%s begins %s of house %s, which policy denies", host_name(at), s->tool, s->house);
	cJSON_Delete(terms);
}

/* What an agent runs for its own user while it reaches nobody only reads, and no policy is asked for more. */
static bool
is_own(const struct pool_start *s)
{
	return strcmp(s->house, "~") == 0;
}

/* What was learned changes how a task is run only where its client has let it, and not beyond its bounds. */
static void
check_learned(struct check *k, struct host *at, const struct pool_start *s)
{
	int64_t n = number_of(s), usual_ms = registry_find(k->sim->tools, s->tool)->timeout_s * 1000;

	if (n < 0)
		return;
	if (n % CLIENT_INTELLIGENT) {
		if (s->timeout_ms > CLIENT_TIMEOUT_S * 1000)
			sim_fail(k->sim, s->task_id, "%s begins it with a limit of %lld ms, which nobody has given it", host_name(at),
			    (long long)s->timeout_ms);
		if (inside_is_adapted(k, s->house, s->task_id))
			sim_fail(k->sim, s->task_id, "%s begins it as was learned, though it is not in that mode", host_name(at));
	} else if (s->timeout_ms > 2 * usual_ms || s->timeout_ms < 1000) {
		sim_fail(k->sim, s->task_id, "%s begins it with a limit of %lld ms", host_name(at), (long long)s->timeout_ms);
	}
}

/* Whoever runs it, the tool is told to which trace its task belongs. */
static void
check_trace(struct check *k, struct host *at, const struct pool_start *s)
{
	long long n = number_of(s);
	char expected[TRACE_MAX] = "";

	if (n < 0)
		return;
	if (CLIENT_IS_TRACED(n))
		snprintf(expected, sizeof expected, CLIENT_TRACE, n);
	if (strcmp(s->traceparent, expected) != 0)
		sim_fail(k->sim, s->task_id, "%s begins it in the trace \"%s\", its client said \"%s\"", host_name(at), s->traceparent,
		    expected);
}

void
check_started(struct check *k, struct host *at, const struct pool_start *s, bool refused)
{
	struct orders *o = k->orders;

	check_trace(k, at, s);
	if (!s->plan)
		check_learned(k, at, s);
	if (!o->sim->timmy)
		return;
	check_numbers(o, at, s);
	if (is_own(s) && registry_find(o->sim->tools, s->tool)->effect != TOOL_READ)
		sim_fail(o->sim, s->task_id, "%s begins %s for its own user", host_name(at), s->tool);
	if (!s->plan && !is_own(s) && !o->sim->failed)
		check_policy(o, at, s, refused);
}

/* ---- the end ---- */

bool
orders_are_quiet(struct orders *o, struct quiet *q)
{
	for (int i = 0; i < o->sim->nhosts && o->sim->timmy; i++)
		for (int k = 0; k < KINDS; k++) {
			int64_t n = timmy_number(o->sim->timmy, (enum sovereign_kind)k);

			if (inside_signed(host_core(o->sim->hosts[i]), k) == n)
				continue;
			snprintf(q->subject, sizeof q->subject, "%s", host_name(o->sim->hosts[i]));
			snprintf(q->why, sizeof q->why, "%s does not hold %s %lld", q->subject, names[k], (long long)n);
			return false;
		}
	return !o->sim->timmy || timmy_is_done(o->sim->timmy, q);
}

/* What began by that grant. One that was taken over by somebody who did not know of it is not held against him. */
static int64_t
count_uses(struct orders *o, const struct record *of)
{
	int64_t n = 0;

	for (int i = 0; i < BUCKETS; i++)
		for (const struct record *r = o->check->records[i]; r; r = r->next) {
			if (!r->approved_once || strcmp(r->grant, of->grant) != 0)
				continue;
			if (r->exempt || r->losses || check_missed(o->check, r))
				return 0;
			n++;
		}
	return n;
}

void
orders_check(struct orders *o)
{
	for (int i = 0; i < BUCKETS && o->sim->timmy; i++)
		for (const struct record *r = o->check->records[i]; r; r = r->next)
			if (r->grant[0] && count_uses(o, r) > timmy_grant_count(o->sim->timmy, r->grant))
				sim_fail(o->sim, r->id, "%lld tasks began by grant %s, which allows %lld", (long long)count_uses(o, r),
				    r->grant, (long long)timmy_grant_count(o->sim->timmy, r->grant));
}

struct orders *
orders_new(struct check *k)
{
	struct orders *o = xcalloc(1, sizeof *o);

	o->check = k;
	o->sim = k->sim;
	return o;
}

void
orders_free(struct orders *o)
{
	free(o);
}
