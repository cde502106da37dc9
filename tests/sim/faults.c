/*
 * faults.c - what a seed is like, and what breaks in it. Each seed has some kinds of faults and some tight limits,
 * not all of them: a run in which everything breaks all the time finds less.
 */
#include "sim.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

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
	net_cut(n, false, false);
}

static void
undo_low(void *arg, uint64_t x)
{
	(void)x;
	host_disk_low(arg, false);
}

static void
undo_broker(void *arg, uint64_t x)
{
	struct sim *s = arg;

	(void)x;
	if (!broker_is_up(s->broker)) {
		sim_log(s, "fault: the broker is back");
		broker_start(s->broker);
	}
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
cut(struct sim *s)
{
	struct node *n = any_node(s);
	static const char *const ways[] = { "", "", ", nothing goes out", ", nothing comes in" };
	int64_t which = draw(s, 0, 3);

	sim_log(s, "fault: %s: cut%s", n->name, ways[which]);
	net_cut(n, which != 3, which != 2);
	sim_in(s, draw(s, 200, 30000) * MS, undo_net, n, 0);
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
	broker_kick(s->broker, n->name);
}

static void
kill_broker(struct sim *s, enum broker_loss loss, const char *what)
{
	sim_log(s, "fault: the broker dies, %s", what);
	broker_kill(s->broker, loss);
	sim_in(s, draw(s, 50, 15000) * MS, undo_broker, s, 0);
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
	{ stop, 2 }, { full_disk, 2 }, { failing_disk, 2 }, { low_disk, 1 }, { freeze, 2 }, { jump, 2 }, { drift, 1 },
	{ cut, 4 }, { lag, 2 }, { kick, 4 }, { restart_broker, 2 }, { age_broker, 1 }, { wipe_broker, 1 },
	{ kill_worker, 3 },
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
	int permille = (int)PICK(s, 150, 350, 350, 700);

	for (size_t i = 0; i < COUNT(faults); i++)
		if (rng_chance(&s->rng[RNG_PLAN], permille))
			bits |= 1u << i;
	return bits;
}

void
faults_plan(struct sim *s)
{
	s->plan = (struct plan){
		.nhosts = (int)PICK(s, 2, 3, 5, 5), .nclients = (int)PICK(s, 6, 8, 10, 12),
		.heal_us = 480 * SECOND, .limit_us = 1500 * SECOND,
		.tasks_per_minute = (int)PICK(s, 5, 10, 10, 20),
		.faults = pick_faults(s), .fault_every_us = PICK(s, 4, 10, 10, 30) * SECOND,
		.delay_max_us = PICK(s, 200, 2000, 20000), .receive_max = (int)PICK(s, 1, 20, 1024),
		.read_max = (int)PICK(s, 2, 16, 256), .queue_max = PICK(s, 50, 100000, 100000, 100000),
		.autosave_us = PICK(s, 1, 10, 60) * SECOND,
		.session_expiry_us = PICK(s, 5, 86400, 86400, 86400) * SECOND,
		.commit_max_us = PICK(s, 500, 5000, 50000), .workers = (int)PICK(s, 1, 2, 4),
		.fail = (int)PICK(s, 0, 50, 200), .crash = (int)PICK(s, 0, 20, 100), .hang = (int)PICK(s, 0, 10, 50),
		.slow = (int)PICK(s, 0, 50, 300), .crashy = (int)PICK(s, 0, 10, 40),
		.same_bodies = PICK(s, 0, 1), .short_memory = PICK(s, 0, 0, 0, 1),
	};
}

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
}

void
faults_heal(struct sim *s)
{
	s->healed = true;
	broker_heal(s->broker);
	for (int i = 0; i < s->nhosts; i++)
		host_heal(s->hosts[i]);
	for (int i = 0; i < s->nclients; i++)
		undo_net(client_node(s->clients[i]), 0);
	sim_log(s, "fault: everything is mended");
}
