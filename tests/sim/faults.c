/*
 * faults.c - what a seed is like, and what breaks in it. Each seed has some kinds of faults and some tight limits,
 * not all of them: a run in which everything breaks all the time finds less.
 */
#include "sim.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define CLOCK_ERROR_MS 29000            /* no two differ by more than a minute, which is what agents bear */
#define OPERATOR_CONN UINT64_MAX

static struct rng *
rng(struct sim *s)
{
	return &s->rng[RNG_FAULT];
}

static int64_t
draw(struct sim *s, int64_t min, int64_t max)
{
	return rng_between(rng(s), min, max);
}

static struct host *
any_host(struct sim *s)
{
	return s->hosts[draw(s, 0, s->nhosts - 1)];
}

/* ---- faults that end by themselves: each undoes what it did ---- */

static void
undo_disk(void *arg, uint64_t x)
{
	(void)x;
	disk_fill(host_disk(arg), false);
	disk_fail(host_disk(arg), 0);
}

static void
undo_net(void *arg, uint64_t x)
{
	struct node *n = arg;

	(void)x;
	n->lag_us = 0;
	net_cut(n, ALL_BROKERS, false, false);
}

static void
undo_low(void *arg, uint64_t x)
{
	(void)x;
	host_disk_low(arg, false);
}

static void
undo_broker(void *arg, uint64_t i)
{
	struct sim *s = arg;

	if (!broker_is_up(s->brokers[i])) {
		sim_log(s, "fault: broker %d is back", (int)i);
		broker_start(s->brokers[i]);
	}
}

static void
undo_cuts(void *arg, uint64_t x)
{
	struct sim *s = arg;

	(void)x;
	sim_log(s, "fault: the network is whole again");
	for (int i = 0; i < s->nhosts; i++)
		net_cut(host_node(s->hosts[i]), ALL_BROKERS, false, false);
	for (int i = 0; i < s->nclients; i++)
		net_cut(client_node(s->clients[i]), ALL_BROKERS, false, false);
}

/* ---- the kinds ---- */

static void
crash(struct sim *s)
{
	host_crash(any_host(s), CRASH_PROCESS);
}

static void
crash_in_turn(struct sim *s)
{
	host_crash_soon(any_host(s), CRASH_PROCESS, (int)draw(s, 1, 60), 0);
}

static void
crash_in_commit(struct sim *s)
{
	host_crash_soon(any_host(s), draw(s, 0, 1) ? CRASH_PROCESS : CRASH_POWER, 0, (int)draw(s, 1, 40));
}

static void
power(struct sim *s)
{
	host_crash(any_host(s), CRASH_POWER);
}

static void
power_in_turn(struct sim *s)
{
	host_crash_soon(any_host(s), CRASH_POWER, (int)draw(s, 1, 60), 0);
}

static void
lose_disk(struct sim *s)
{
	host_crash(any_host(s), CRASH_DISK);
}

static void
stop(struct sim *s)
{
	host_stop(any_host(s));
}

static void
full_disk(struct sim *s)
{
	struct host *h = any_host(s);

	sim_log(s, "fault: %s: its disk is full", host_name(h));
	disk_fill(host_disk(h), true);
	sim_in(s, draw(s, 1, 20) * SECOND, undo_disk, h, 0);
}

static void
failing_disk(struct sim *s)
{
	struct host *h = any_host(s);

	sim_log(s, "fault: %s: its disk fails now and then", host_name(h));
	disk_fail(host_disk(h), (int)draw(s, 5, 300));
	sim_in(s, draw(s, 1, 20) * SECOND, undo_disk, h, 0);
}

static void
low_disk(struct sim *s)
{
	struct host *h = any_host(s);

	sim_log(s, "fault: %s: its disk is nearly full", host_name(h));
	host_disk_low(h, true);
	sim_in(s, draw(s, 1, 20) * SECOND, undo_low, h, 0);
}

static void
freeze(struct sim *s)
{
	struct host *h = any_host(s);

	sim_log(s, "fault: %s: freezes", host_name(h));
	host_freeze(h, draw(s, 100, 20000) * MS);
}

static void
long_freeze(struct sim *s)
{
	struct host *h = any_host(s);

	sim_log(s, "fault: %s: freezes for long", host_name(h));
	host_freeze(h, draw(s, 5, 60) * SECOND);
}

static void
jump(struct sim *s)
{
	struct host *h = any_host(s);
	int64_t ms = draw(s, -60000, 60000);

	sim_log(s, "fault: %s: its clock is set by %lld ms", host_name(h), (long long)ms);
	host_jump(h, ms);
}

static void
drift(struct sim *s)
{
	host_set_rate(any_host(s), (int)draw(s, -500, 500));
}

static struct node *
any_node(struct sim *s)
{
	if (s->nclients && draw(s, 0, 3) == 0)
		return client_node(s->clients[draw(s, 0, s->nclients - 1)]);
	return host_node(any_host(s));
}

static void
cut_node(struct sim *s, struct node *n)
{
	static const char *const ways[] = { "", "", ", nothing goes out", ", nothing comes in" };
	int broker = draw(s, 0, 1) ? ALL_BROKERS : (int)draw(s, 0, s->nbrokers - 1);
	int64_t which = draw(s, 0, 3);

	sim_log(s, "fault: %s: cut from %s%s", n->name, broker < 0 ? "all" : broker ? "broker 1" : "broker 0", ways[which]);
	net_cut(n, broker, which != 3, which != 2);
	sim_in(s, draw(s, 200, 30000) * MS, undo_net, n, 0);
}

static void
cut(struct sim *s)
{
	cut_node(s, any_node(s));
}

static struct node *
node_of(struct sim *s, int i)
{
	return i < s->nhosts ? host_node(s->hosts[i]) : client_node(s->clients[i - s->nhosts]);
}

/* Some see one broker, some the other, and some both. */
static void
divide(struct sim *s)
{
	if (s->nbrokers < 2)
		return;
	sim_log(s, "fault: the brokers are divided");
	for (int i = 0; i < s->nhosts + s->nclients; i++) {
		int64_t side = draw(s, 0, 4);

		if (side < 4)
			net_cut(node_of(s, i), side & 1, true, true);
		sim_trace(s, "fault: %s: sees %s", node_of(s, i)->name, side < 4 ? side & 1 ? "broker 0" : "broker 1" : "both");
	}
	sim_in(s, draw(s, 1, 60) * SECOND, undo_cuts, s, 0);
}

/* ---- at whoever owns a house ---- */

static struct host *
any_owner(struct sim *s)
{
	int64_t i = draw(s, -1, (int64_t)s->config.nhouses - 1);
	struct host *h = check_owner(s->check, i < 0 ? "_" : s->config.houses[i].name);

	return h ? h : any_host(s);
}

static void
crash_owner(struct sim *s)
{
	host_crash(any_owner(s), draw(s, 0, 2) ? CRASH_PROCESS : CRASH_POWER);
}

static void
crash_owner_in_turn(struct sim *s)
{
	host_crash_soon(any_owner(s), CRASH_PROCESS, (int)draw(s, 1, 60), 0);
}

static void
freeze_owner(struct sim *s)
{
	struct host *h = any_owner(s);

	sim_log(s, "fault: %s: freezes, who owns a house", host_name(h));
	host_freeze(h, draw(s, 1000, 20000) * MS);
}

static void
cut_owner(struct sim *s)
{
	cut_node(s, host_node(any_owner(s)));
}

static void
stop_owner(struct sim *s)
{
	host_stop(any_owner(s));
}

static void
move(struct sim *s)
{
	const struct config_house *house = &s->config.houses[draw(s, 0, (int64_t)s->config.nhouses - 1)];
	const char *to = house->candidates.v[draw(s, 0, (int64_t)house->candidates.n - 1)];
	char line[160];

	sim_log(s, "fault: house %s is asked to move to %s", house->name, to);
	snprintf(line, sizeof line, "{\"op\":\"move\",\"house\":\"%s\",\"to\":\"%s\"}", house->name, to);
	host_local(draw(s, 0, 1) ? any_host(s) : any_owner(s), OPERATOR_CONN, line);
}

static void
lag(struct sim *s)
{
	struct node *n = any_node(s);

	sim_log(s, "fault: %s: a slow network", n->name);
	n->lag_us = draw(s, 20, 3000) * MS;
	sim_in(s, draw(s, 1, 30) * SECOND, undo_net, n, 0);
}

static void
kick(struct sim *s)
{
	struct node *n = any_node(s);

	sim_log(s, "fault: %s: its connection is reset", n->name);
	for (int i = 0; i < s->nbrokers; i++)
		broker_kick(s->brokers[i], n->name);
}

/* ---- brokers ---- */

/* The first more often: it is the one that is used. */
static int
any_broker(struct sim *s)
{
	return draw(s, 0, 2) ? 0 : (int)draw(s, 0, s->nbrokers - 1);
}

static void
kill_broker(struct sim *s, enum broker_loss loss, const char *what)
{
	int i = any_broker(s);

	sim_log(s, "fault: broker %d dies, %s", i, what);
	broker_kill(s->brokers[i], loss, false);
	sim_in(s, draw(s, 50, draw(s, 0, 2) ? 15000 : 90000) * MS, undo_broker, s, (uint64_t)i);
}

/* With the agent that runs there. */
static void
lose_machine(struct sim *s)
{
	int i = any_broker(s), at = s->plan.carrier[i];

	sim_log(s, "fault: broker %d loses power%s%s", i, at < 0 ? "" : ", and so does ", at < 0 ? "" : s->places[at].name);
	broker_kill(s->brokers[i], s->plan.ages ? LOSS_SOME : LOSS_ALL, true);
	if (at >= 0)
		host_crash(s->hosts[at], CRASH_POWER);
	sim_in(s, draw(s, 1, 60) * SECOND, undo_broker, s, (uint64_t)i);
}

/* Nobody sees it except who is on the same machine, and he sees nothing else. */
static void
cut_machine(struct sim *s)
{
	int i = any_broker(s), at = s->plan.carrier[i];

	sim_log(s, "fault: broker %d is cut off%s%s", i, at < 0 ? "" : ", and so is ", at < 0 ? "" : s->places[at].name);
	for (int k = 0; k < s->nhosts + s->nclients; k++)
		if (k != at)
			net_cut(node_of(s, k), i, true, true);
	for (int b = 0; at >= 0 && b < s->nbrokers; b++)
		if (b != i)
			net_cut(host_node(s->hosts[at]), b, true, true);
	sim_in(s, draw(s, 1, 60) * SECOND, undo_cuts, s, 0);
}

static void
restart_broker(struct sim *s)
{
	kill_broker(s, LOSS_NONE, "and keeps everything");
}

static void
age_broker(struct sim *s)
{
	kill_broker(s, LOSS_SOME, "and has what it last saved");
}

static void
wipe_broker(struct sim *s)
{
	kill_broker(s, LOSS_ALL, "and loses everything");
}

static void
kill_worker(struct sim *s)
{
	struct host *h = any_host(s);

	if (host_is_up(h))
		workers_kill_one(host_workers(h));
}

static const struct {
	void (*f)(struct sim *s);
	int weight;
} faults[] = {
	{ crash, 3 }, { crash_in_turn, 6 }, { crash_in_commit, 4 }, { power, 3 }, { power_in_turn, 4 }, { lose_disk, 1 },
	{ stop, 2 }, { full_disk, 2 }, { failing_disk, 2 }, { low_disk, 1 }, { freeze, 2 }, { long_freeze, 1 }, { jump, 2 },
	{ drift, 1 }, { cut, 4 }, { lag, 2 }, { kick, 4 }, { restart_broker, 2 }, { age_broker, 1 }, { wipe_broker, 1 },
	{ kill_worker, 3 }, { divide, 2 }, { crash_owner, 3 }, { crash_owner_in_turn, 3 }, { freeze_owner, 3 },
	{ cut_owner, 3 }, { stop_owner, 2 }, { move, 3 }, { lose_machine, 1 }, { cut_machine, 2 },
};

/* ---- the plan ---- */

static int64_t
pick(struct sim *s, const int64_t *v, size_t n)
{
	return v[rng_between(&s->rng[RNG_PLAN], 0, (int64_t)n - 1)];
}

#define PICK(s, ...) pick(s, (const int64_t[]){ __VA_ARGS__ }, COUNT(((const int64_t[]){ __VA_ARGS__ })))

static unsigned
pick_faults(struct sim *s)
{
	unsigned bits = 0;
	int permille = (int)PICK(s, 150, 300, 300, 600);

	for (size_t i = 0; i < COUNT(faults); i++)
		if (rng_chance(&s->rng[RNG_PLAN], permille))
			bits |= 1u << i;
	return bits;
}

/* A broker comes back with what it saved before. */
static bool
may_age(const struct sim *s)
{
	for (size_t i = 0; i < COUNT(faults); i++)
		if ((faults[i].f == age_broker || faults[i].f == lose_machine) && s->plan.faults >> i & 1)
			return true;
	return false;
}

void
faults_plan(struct sim *s)
{
	s->plan = (struct plan){
		.nagents = (int)PICK(s, 2, 3, 4, 5, 5, 5), .nclients = (int)PICK(s, 6, 8, 10, 12),
		.nbrokers = (int)PICK(s, 1, 2, 2),
		.heal_us = 600 * SECOND, .limit_us = 1800 * SECOND,
		.tasks_per_minute = (int)PICK(s, 5, 10, 10, 20),
		.faults = pick_faults(s), .fault_every_us = PICK(s, 4, 10, 10, 30) * SECOND,
		.delay_max_us = PICK(s, 200, 2000, 20000), .receive_max = (int)PICK(s, 1, 20, 1024),
		.read_max = (int)PICK(s, 2, 16, 256), .queue_max = PICK(s, 50, 100000, 100000, 100000),
		.queue_bytes = PICK(s, 20000, 64 << 20, 64 << 20, 64 << 20),
		.autosave_us = PICK(s, 1, 10, 60) * SECOND,
		.session_expiry_us = PICK(s, 5, 86400, 86400, 86400) * SECOND,
		.commit_max_us = PICK(s, 500, 5000, 50000), .workers = (int)PICK(s, 1, 2, 4),
		.fail = (int)PICK(s, 0, 50, 200), .crash = (int)PICK(s, 0, 20, 100), .hang = (int)PICK(s, 0, 10, 50),
		.slow = (int)PICK(s, 0, 50, 300), .crashy = (int)PICK(s, 0, 10, 40),
		.same_bodies = PICK(s, 0, 1), .short_memory = PICK(s, 0, 0, 0, 1), .floods = (int)PICK(s, 0, 0, 10), .flow = PICK(s, 0, 0, 1),
		.clock_error_ms = PICK(s, CLOCK_ERROR_MS, CLOCK_ERROR_MS, 20 * CLOCK_ERROR_MS),
	};
	if (sim_full) {
		s->plan.nagents = 5;
		s->plan.nbrokers = 2;
	}
	s->plan.sovereign = rng_chance(&s->rng[RNG_TIMMY], 850);
	s->plan.approval_s = (const int64_t[]){ 20, 120, 86400, 86400 }[rng_between(&s->rng[RNG_TIMMY], 0, 3)];
	s->plan.touched_us = (const int64_t[]){ 30, 300 }[rng_between(&s->rng[RNG_TIMMY], 0, 1)] * SECOND;
	s->plan.ages = may_age(s);
	stress_plan(s);
	s->plan.witness = s->plan.nbrokers > 1 && (s->plan.nagents % 2 == 0 || s->plan.nagents < 3);
}

bool sim_full;

static int64_t injected;

int64_t
faults_count(void)
{
	return injected;
}

static size_t
choose(struct sim *s)
{
	int total = 0;
	int64_t at;
	size_t i;

	for (i = 0; i < COUNT(faults); i++)
		total += s->plan.faults >> i & 1 ? faults[i].weight : 0;
	if (!total)
		return COUNT(faults);
	at = draw(s, 0, total - 1);
	for (i = 0; at >= 0; i++)
		at -= s->plan.faults >> i & 1 ? faults[i].weight : 0;
	return i - 1;
}

static void
next_fault(void *arg, uint64_t x)
{
	struct sim *s = arg;
	size_t i = choose(s);

	(void)x;
	if (s->healed || i == COUNT(faults))
		return;
	injected++;
	faults[i].f(s);
	sim_in(s, draw(s, 1, 2 * s->plan.fault_every_us), next_fault, s, 0);
}

void
faults_begin(struct sim *s)
{
	injected = 0;
	sim_at(s, 10 * SECOND, next_fault, s, 0);
	stress_begin(s);
	lacks_begin(s);
}

void
faults_heal(struct sim *s)
{
	s->healed = true;
	for (int i = 0; i < s->nbrokers; i++)
		broker_heal(s->brokers[i]);
	for (int i = 0; i < s->nhosts; i++)
		host_heal(s->hosts[i]);
	for (int i = 0; i < s->nclients; i++)
		undo_net(client_node(s->clients[i]), 0);
	if (s->timmy)
		timmy_heal(s->timmy);
	sim_log(s, "fault: everything is mended");
}
