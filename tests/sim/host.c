/*
 * host.c - a machine with an agent on it: clock, disk, workers, and the shell around the real core. Its turn is
 * agent.c's and link.c's: begin, read, schedule, tick, commit; then, a commit later, stops, starts,
 * acknowledgements and publishes; then the end. The host may die between any two of these steps.
 */
#include "sim.h"

#include "buf.h"
#include "mutant.h"

#define CONNECT_TIMEOUT_MS 10000
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000
#define STUCK_RETRY_US (200 * MS)
#define PROBE_LIMIT_US (3 * SECOND)
#define FILTER_ID 60000

struct line {
	uint64_t conn;
	char *text;
	struct line *next;
};

struct link {
	bool up, lost, connecting;
	int broker, failures, subscribing, mid;
	int64_t since_ms, retry_us;
	int *acks;                      /* packet ids read in this turn */
	size_t nacks, acks_cap;
};

/* A try of another broker beside the connection. */
struct probe {
	int broker;
	bool out, over, answered;
};

enum phase { HOST_DOWN, HOST_RUNS, HOST_DRAINS };

struct host {
	struct node node;
	struct sim *sim;
	char id[NAME_MAX_LEN + 1];
	struct disk *disk;
	struct core *core;
	struct workers *workers;
	struct packet *inbox, *inbox_tail;
	struct line *lines, *lines_tail;
	struct link link;
	enum phase phase;
	uint64_t life;                  /* of the process: events of former ones are void */
	bool open, stuck, planned, committing, beat_due, drain_due;
	struct probe probe;
	int64_t due_us, froze_us, frozen_us, drain_until_us;
	int64_t turns, now_ms, offset_ms, boot_us, run_base_us, run_from_us;
	int rate_ppm;
	int steps;                      /* until it dies; 0: it does not */
	enum crash how;
	bool dying, low;
	unsigned lacks;
	struct core_measures measures;
};

/* ---- clock ---- */

static int64_t
run_us(const struct host *h)
{
	int64_t us = h->sim->now_us - h->run_from_us;

	return h->run_base_us + us + us / 1000 * h->rate_ppm / 1000;
}

static int64_t
mono_us(const struct host *h)
{
	return h->boot_us + run_us(h);
}

static int64_t
mono_ms(const struct host *h)
{
	return mono_us(h) / MS;
}

static struct core_now
host_now(const struct host *h)
{
	return (struct core_now){ .wall_ms = WALL_BASE_MS + run_us(h) / MS + h->offset_ms, .mono_ms = mono_ms(h) };
}

int64_t
host_wall_ms(const struct host *h)
{
	return host_now(h).wall_ms;
}

void
host_set_rate(struct host *h, int ppm)
{
	h->run_base_us = run_us(h);
	h->run_from_us = h->sim->now_us;
	h->rate_ppm = ppm;
}

void
host_jump(struct host *h, int64_t ms)
{
	int64_t max = h->sim->plan.clock_error_ms;

	h->offset_ms += ms;
	if (h->offset_ms > max)
		h->offset_ms = max;
	if (h->offset_ms < -max)
		h->offset_ms = -max;
}

/* ---- dying ---- */

/* Between any two steps of a turn. True: the process is dead and does nothing more. */
static bool
step(struct host *h)
{
	if (h->steps && --h->steps == 0)
		h->dying = true;
	if (disk_is_frozen(h->disk))
		h->dying = true;
	return h->dying;
}

static void
drop_inbox(struct host *h)
{
	for (struct packet *p = h->inbox, *next; p; p = next) {
		next = p->next;
		packet_free(p);
	}
	h->inbox = h->inbox_tail = NULL;
}

static void
drop_lines(struct host *h)
{
	for (struct line *l = h->lines, *next; l; l = next) {
		next = l->next;
		free(l->text);
		free(l);
	}
	h->lines = h->lines_tail = NULL;
}

/* A machine without power says nothing to the broker; a process's kernel does. */
static void
leave_network(struct host *h, enum crash kind)
{
	if (kind == CRASH_PROCESS) {
		net_close(&h->node, false);
	} else if (h->node.conn) {
		h->node.conn->node = NULL;
		h->node.conn = NULL;
	}
	free(h->link.acks);
	h->link = (struct link){ 0 };
	check_link_lost(h->sim->check, h);
}

static void
forget_process(struct host *h, enum crash kind)
{
	h->phase = HOST_DOWN;
	h->life++;
	leave_network(h, kind);
	workers_die(h->workers);
	drop_inbox(h);
	drop_lines(h);
	h->core = NULL;
	h->open = h->stuck = h->planned = h->committing = h->beat_due = h->drain_due = h->dying = false;
	h->probe = (struct probe){ 0 };
	h->steps = 0;
	h->due_us = 0;
	client_local_lost(h->sim, h->id);
}

static void
start_callback(void *arg, uint64_t life)
{
	struct host *h = arg;

	if (h->phase == HOST_DOWN && h->life == life)
		host_start(h);
}

static void
start_later(struct host *h, int64_t min_us, int64_t max_us)
{
	sim_in(h->sim, rng_between(&h->sim->rng[RNG_HOST], min_us, max_us), start_callback, h, h->life);
}

void
host_crash(struct host *h, enum crash kind)
{
	static const char *const names[] = { "its process dies", "it loses power", "it loses power and its disk" };

	if (h->phase == HOST_DOWN)
		return;
	sim_log(h->sim, "fault: %s: %s", h->id, names[kind]);
	check_agent_died(h->sim->check, h->id, h->core);
	disk_freeze(h->disk);
	core_close(h->core);
	forget_process(h, kind);
	disk_settle(h->disk, kind != CRASH_PROCESS);
	if (kind == CRASH_DISK) {
		disk_wipe(h->disk);
		check_disk_lost(h->sim->check, h->id);
	}
	start_later(h, 100 * MS, kind == CRASH_PROCESS ? 5 * SECOND : 30 * SECOND);
}

void
host_crash_soon(struct host *h, enum crash kind, int steps, int writes)
{
	if (h->phase == HOST_DOWN)
		return;
	h->how = kind;
	h->steps = steps;
	disk_die_after(h->disk, writes);
}

/* ---- turns are planned by whatever comes in ---- */

static void turn_callback(void *arg, uint64_t life);

static void
plan_turn(struct host *h, int64_t in_us)
{
	if (h->planned || h->phase == HOST_DOWN)
		return;
	h->planned = true;
	sim_in(h->sim, in_us, turn_callback, h, h->life);
}

void
host_input(struct host *h)
{
	if (!h->committing && !h->stuck)
		plan_turn(h, rng_between(&h->sim->rng[RNG_HOST], 10, 400));
}

static void
due_callback(void *arg, uint64_t at_us)
{
	struct host *h = arg;

	if (h->due_us == (int64_t)at_us)
		host_input(h);
}

/* On this machine's clock, which may be slow or fast. */
static void
plan_due(struct host *h, int64_t next_ms)
{
	int64_t us = next_ms * MS - mono_us(h), at = h->sim->now_us + (us < MS ? MS : us + us / 1000);

	h->due_us = at;
	sim_at(h->sim, at, due_callback, h, (uint64_t)at);
}

/* ---- the link ---- */

static void
retry_callback(void *arg, uint64_t life)
{
	struct host *h = arg;
	struct buf will = { 0 };
	struct msg *m;

	if (h->life != life || h->phase == HOST_DOWN || h->node.conn)
		return;
	core_will(h->core, &will);
	m = msg_new(core_health_topic(h->core), will.data, will.len, 1);
	m->retain = true;
	buf_free(&will);
	h->link.connecting = true;
	h->link.since_ms = mono_ms(h);
	h->link.broker = core_broker(h->core);
	net_connect(&h->node, h->link.broker, m);
	msg_unref(m);
}

static void
retry_later(struct host *h)
{
	int64_t limit = RETRY_MIN_MS << (h->link.failures > 6 ? 6 : h->link.failures);

	if (limit > RETRY_MAX_MS)
		limit = RETRY_MAX_MS;
	h->link.failures++;
	limit = RETRY_MIN_MS / 2 + rng_between(&h->sim->rng[RNG_HOST], 0, limit - 1);
	sim_in(h->sim, limit * MS, retry_callback, h, h->life);
}

static void
take_down(struct host *h)
{
	net_close(&h->node, false);
	drop_inbox(h);
	h->link.up = h->link.lost = h->link.connecting = false;
	h->link.nacks = 0;
	check_link_lost(h->sim->check, h);
	core_link_down(h->core);
	retry_later(h);
}

static void
subscribe_all(struct host *h)
{
	char topic[TOPIC_MAX];
	int qos;

	h->link.subscribing = 0;
	for (size_t i = 0; core_subscription(h->core, i, topic, &qos); i++) {
		struct msg *filter = msg_new(topic, NULL, 0, qos);

		net_send(&h->node, PACKET_SUBSCRIBE, FILTER_ID + (int)i, 0, filter);
		msg_unref(filter);
		h->link.subscribing++;
	}
}

static void
connected(struct host *h, bool session)
{
	h->link.up = true;
	h->link.connecting = false;
	h->link.failures = 0;
	h->link.since_ms = mono_ms(h);
	core_link_up(h->core, h->link.broker, session);
	subscribe_all(h);
	sim_log(h->sim, "%s: connected to broker %d%s", h->id, h->link.broker, session ? ", session resumed" : "");
}

static void
note_ack(struct host *h, int mid)
{
	struct link *l = &h->link;

	if (l->nacks == l->acks_cap) {
		l->acks_cap = l->acks_cap ? 2 * l->acks_cap : 64;
		l->acks = xrealloc(l->acks, l->acks_cap * sizeof *l->acks);
	}
	l->acks[l->nacks++] = mid;
}

static void
got_message(struct host *h, const struct packet *p)
{
	const struct msg *m = p->msg;

	core_message(h->core, &(struct mqtt_msg){ .topic = m->topic, .payload = m->payload, .len = m->len,
	    .mid = p->mid, .qos = p->mid ? 1 : 0, .retained = p->retained, .response_topic = m->response_topic, .correlation = m->correlation,
	    .correlation_len = m->correlation_len });
	check_heard(h->sim->check, h, p, h->now_ms);
	if (p->mid)
		note_ack(h, p->mid);
}

static void
take_packet(struct host *h, const struct packet *p)
{
	switch (p->type) {
	case PACKET_CONNACK:
		connected(h, p->reason);
		break;
	case PACKET_SUBACK:
		if (--h->link.subscribing == 0)
			h->beat_due = true;
		break;
	case PACKET_PUBLISH:
		got_message(h, p);
		break;
	case PACKET_PUBACK:
		core_sent(h->core, p->mid, p->reason);
		break;
	case PACKET_CLOSED:
		h->link.lost = true;
		break;
	default:
		break;
	}
}

static void
on_packet(struct node *n, struct packet *p)
{
	struct host *h = (struct host *)n;

	if (h->phase == HOST_DOWN) {
		packet_free(p);
		return;
	}
	p->next = NULL;
	if (h->inbox)
		h->inbox_tail->next = p;
	else
		h->inbox = p;
	h->inbox_tail = p;
	host_input(h);
}

/* ---- trying a better broker beside the connection ---- */

static bool
reaches(const struct host *h, int broker)
{
	return broker_is_up(h->sim->brokers[broker]) && !h->node.cut[broker][UP] && !h->node.cut[broker][DOWN];
}

static void
probe_callback(void *arg, uint64_t life)
{
	struct host *h = arg;

	if (h->life != life || h->phase == HOST_DOWN)
		return;
	h->probe.over = true;
	h->probe.answered &= reaches(h, h->probe.broker);
	host_input(h);
}

static void
probe(struct host *h, int broker)
{
	int64_t us = 2 * rng_between(&h->sim->rng[RNG_HOST], 100, h->sim->plan.delay_max_us) + 2 * h->node.lag_us;

	if (broker < 0 || h->probe.out)
		return;
	h->probe = (struct probe){ .broker = broker, .out = true, .answered = reaches(h, broker) };
	sim_in(h->sim, h->probe.answered || us > PROBE_LIMIT_US ? us : PROBE_LIMIT_US, probe_callback, h, h->life);
}

static void
read_probe(struct host *h)
{
	if (!h->probe.over)
		return;
	core_probed(h->core, h->probe.broker, h->probe.answered);
	h->probe = (struct probe){ 0 };
}

/* ---- the turn, up to the commit ---- */

static void
read_link(struct host *h)
{
	int left = (int)rng_between(&h->sim->rng[RNG_HOST], 1, h->sim->plan.read_max);

	if (h->link.lost)
		take_down(h);
	while (h->inbox && left-- > 0 && !step(h)) {
		struct packet *p = h->inbox;

		h->inbox = p->next;
		take_packet(h, p);
		packet_free(p);
		if (h->link.lost)
			take_down(h);
	}
}

static void
start_work(struct host *h)
{
	struct pool_start s;
	bool any;

	do {
		any = false;
		core_slots(h->core, workers_idle(h->workers), workers_quick(h->workers));
		while (core_next_start(h->core, workers_idle(h->workers), workers_quick(h->workers), &s)) {
			if (step(h))
				return;
			workers_start(h->workers, &s);
			any = true;
		}
	} while (any && !h->sim->failed);
}

static void
read_lines(struct host *h)
{
	while (h->lines) {
		struct line *l = h->lines;

		h->lines = l->next;
		if (l->text)
			core_local(h->core, l->conn, l->text, strlen(l->text), "root");
		else
			core_local_gone(h->core, l->conn);
		free(l->text);
		free(l);
	}
	h->lines_tail = NULL;
}

static void
gather(struct host *h)
{
	int rounds = (int)rng_between(&h->sim->rng[RNG_HOST], 1, 2);

	core_disk_low(h->core, h->low);
	lacks_tell(h, h->sim);
	if (h->drain_due)
		core_drain(h->core);
	h->drain_due = false;
	read_probe(h);
	read_lines(h);
	for (int i = 0; i < rounds && !step(h); i++) {
		read_link(h);
		if (h->dying)
			return;
		workers_read(h->workers, h->core);
		start_work(h);
	}
	if (step(h))
		return;
	if (h->beat_due && h->sim->plan.stress)
		core_measured(h->core, &h->measures);
	if (h->beat_due)
		core_beat(h->core, NULL);
	core_tick(h->core);
	if (h->beat_due)
		probe(h, core_probe(h->core));
	h->beat_due = false;
}

static void
send_acks(struct host *h)
{
	for (size_t i = 0; i < h->link.nacks && !step(h); i++)
		net_send(&h->node, PACKET_PUBACK, h->link.acks[i], 0, NULL);
	h->link.nacks = 0;
}

static void effects_callback(void *arg, uint64_t life);

static void
die(struct host *h)
{
	host_crash(h, h->how);
}

static void
turn_failed(struct host *h, const struct err *e)
{
	if (!h->stuck)
		sim_log(h->sim, "%s: commit: %s", h->id, e->msg);
	h->stuck = true;
	plan_turn(h, STUCK_RETRY_US);
}

static void
begin(struct host *h)
{
	if (h->open)
		return;
	h->now_ms = mono_ms(h);
	core_begin(h->core, host_now(h));
	h->open = true;
}

static void
turn(struct host *h)
{
	struct err e = { 0 };
	int64_t us;
	bool dirty;

	h->turns++;
	h->sim->speaker = h->id;
	begin(h);
	if (!h->stuck)
		gather(h);
	if (step(h)) {
		die(h);
		return;
	}
	if (IS_MUTANT(MUTANT_ACK_EARLY))
		send_acks(h);
	dirty = core_is_dirty(h->core);
	if (core_commit(h->core, &e)) {
		if (step(h))
			die(h);
		else
			turn_failed(h, &e);
		return;
	}
	h->stuck = false;
	h->committing = true;
	us = dirty ? rng_between(&h->sim->rng[RNG_HOST], 100, h->sim->plan.commit_max_us) : 5;
	sim_in(h->sim, us, effects_callback, h, h->life);
}

/* A frozen machine does what it was about to do when it thaws. */
static bool
is_frozen(struct host *h, void (*f)(void *, uint64_t), uint64_t life)
{
	if (h->frozen_us <= h->sim->now_us)
		return false;
	sim_at(h->sim, h->frozen_us, f, h, life);
	return true;
}

static void
turn_callback(void *arg, uint64_t life)
{
	struct host *h = arg;

	if (h->life != life || is_frozen(h, turn_callback, life))
		return;
	h->planned = false;
	turn(h);
}

/* ---- the turn, after the commit ---- */

static struct msg *
to_msg(const struct host *h, const struct core_publish *p)
{
	struct msg *m = msg_new(p->topic, p->payload, p->len, p->qos);

	m->retain = p->retain;
	m->response_topic = p->response_topic ? xstrdup(p->response_topic) : NULL;
	m->correlation = p->correlation_len ? xstrndup(p->correlation, p->correlation_len) : NULL;
	m->correlation_len = p->correlation_len;
	m->expires_us = p->expiry_s ? h->sim->now_us + p->expiry_s * SECOND : 0;
	return m;
}

static int
next_mid(struct host *h)
{
	h->link.mid = h->link.mid % UINT16_MAX + 1;
	return h->link.mid;
}

static void
send_publishes(struct host *h)
{
	struct core_publish p;

	while (core_next_publish(h->core, &p)) {
		struct msg *m = to_msg(h, &p);
		int mid = p.qos ? next_mid(h) : 0;

		if (!step(h)) {
			check_said(h->sim->check, h, m, h->now_ms);
			net_send(&h->node, PACKET_PUBLISH, mid, 0, m);
		}
		msg_unref(m);
		if (h->dying)
			return;
		core_publish_sent(h->core, &p, mid);
	}
}

static void
send_all(struct host *h)
{
	if (!h->link.up)
		return;
	send_acks(h);
	if (h->dying)
		return;
	send_publishes(h);
}

static void
answer_lines(struct host *h)
{
	const char *text;
	uint64_t conn;
	size_t len;

	while (core_next_local(h->core, &conn, &text, &len))
		if (!step(h))
			client_local_line(h->sim, h->id, conn, text, len);
}

static void
effects(struct host *h)
{
	uint64_t handle;

	while (core_next_stop(h->core, &handle))
		if (!step(h))
			workers_stop(h->workers, handle);
	if (!step(h))
		start_work(h);
	if (!step(h))
		send_all(h);
	if (!step(h))
		answer_lines(h);
}

static void leave(struct host *h);

static void
effects_callback(void *arg, uint64_t life)
{
	struct host *h = arg;
	int64_t next;

	if (h->life != life || is_frozen(h, effects_callback, life))
		return;
	h->sim->speaker = h->id;
	core_release(h->core, host_now(h));
	effects(h);
	if (step(h)) {
		die(h);
		return;
	}
	h->committing = h->open = false;
	next = core_end(h->core);
	if (step(h)) {
		die(h);
		return;
	}
	if (h->link.up && core_must_reconnect(h->core)) {
		sim_log(h->sim, "%s: reconnects: %s", h->id, core_must_reconnect(h->core));
		h->link.lost = true;
	}
	check_turn(h->sim->check, h);
	plan_due(h, next);
	if (h->phase == HOST_DRAINS && !h->drain_due && workers_are_idle(h->workers) && core_is_drained(h->core))
		leave(h);
	else if (h->inbox || h->lines || h->link.lost || !workers_are_read(h->workers))
		host_input(h);
}

/* ---- once a second ---- */

static void
check_link(struct host *h)
{
	int64_t now = mono_ms(h);

	if (h->link.connecting && now - h->link.since_ms > CONNECT_TIMEOUT_MS)
		h->link.lost = true;
}

static void
beat(void *arg, uint64_t life)
{
	struct host *h = arg;

	if (h->life != life || is_frozen(h, beat, life))
		return;
	if (!h->stuck) {
		check_link(h);
		h->beat_due = true;
		host_input(h);
	}
	if (h->phase == HOST_DRAINS && h->sim->now_us > h->drain_until_us)
		workers_stop_all(h->workers);
	sim_in(h->sim, SECOND, beat, h, life);
}

/* ---- life ---- */

struct host *
host_new(struct sim *s, const char *name)
{
	struct host *h = xcalloc(1, sizeof *h);
	const struct plan *p = &s->plan;

	h->sim = s;
	snprintf(h->id, sizeof h->id, "%s", name);
	h->node = (struct node){ .sim = s, .agent = true, .receive_max = p->receive_max, .session_expiry_us = p->session_expiry_us,
		.on_packet = on_packet };
	snprintf(h->node.name, sizeof h->node.name, "%s", name);
	h->disk = disk_of(s->disks, name);
	h->workers = workers_new(s, h, p->workers);
	h->boot_us = rng_between(&s->rng[RNG_HOST], 1, 1000) * SECOND;
	return h;
}

void
host_free(struct host *h)
{
	if (h->core) {
		disk_freeze(h->disk);
		core_close(h->core);
	}
	workers_free(h->workers);
	drop_inbox(h);
	drop_lines(h);
	free(h->link.acks);
	free(h);
}

void
host_start(struct host *h)
{
	struct core_opts o = { .config = &h->sim->config, .tools = h->sim->tools, .agent = h->id, .vfs = DISK_VFS,
		.seed = rng_next(&h->sim->rng[RNG_HOST]), .version = "sim", .host = h->id };
	char path[80], secret[33];
	struct err e;

	snprintf(path, sizeof path, "/%s/store", h->id);
	snprintf(secret, sizeof secret, "%016llx", (unsigned long long)rng_next(&h->sim->rng[RNG_HOST]));
	o.store_path = path;
	o.secret = secret;
	h->life++;
	h->sim->speaker = h->id;
	if (core_open(&h->core, &o, host_now(h), &e)) {
		sim_log(h->sim, "%s: cannot start: %s", h->id, e.msg);
		h->core = NULL;
		disk_settle(h->disk, disk_is_frozen(h->disk) && h->how != CRASH_PROCESS);
		start_later(h, 200 * MS, 2 * SECOND);
		return;
	}
	sim_log(h->sim, "%s: starts", h->id);
	snprintf(h->node.client_id, sizeof h->node.client_id, "%s", core_client_id(h->core));
	h->phase = HOST_RUNS;
	sim_in(h->sim, rng_between(&h->sim->rng[RNG_HOST], 1, 999) * MS, beat, h, h->life);
	retry_callback(h, h->life);
	host_input(h);
}

/* The orderly end of a process that was asked to stop. */
static void
leave(struct host *h)
{
	sim_log(h->sim, "%s: has stopped", h->id);
	check_agent_died(h->sim->check, h->id, h->core);
	net_close(&h->node, true);
	core_close(h->core);
	forget_process(h, CRASH_PROCESS);
	start_later(h, 100 * MS, 5 * SECOND);
}

void
host_stop(struct host *h)
{
	if (h->phase != HOST_RUNS)
		return;
	sim_log(h->sim, "fault: %s: is asked to stop", h->id);
	h->phase = HOST_DRAINS;
	h->drain_until_us = h->sim->now_us + 5 * SECOND;
	h->drain_due = true;
	host_input(h);
}

void
host_freeze(struct host *h, int64_t us)
{
	if (h->frozen_us <= h->sim->now_us)
		h->froze_us = h->sim->now_us;
	h->frozen_us = h->sim->now_us + us;
}

bool
host_overslept(const struct host *h, int64_t us)
{
	return h->froze_us <= us && us < h->frozen_us && h->sim->now_us - h->frozen_us < SECOND;
}

void
host_disk_low(struct host *h, bool low)
{
	h->low = low;
}

unsigned *
host_lacks(struct host *h)
{
	return &h->lacks;
}

struct core_measures *
host_measures(struct host *h)
{
	return &h->measures;
}

void
host_heal(struct host *h)
{
	disk_fill(h->disk, false);
	disk_fail(h->disk, 0);
	disk_die_after(h->disk, 0);
	net_cut(&h->node, ALL_BROKERS, false, false);
	h->node.lag_us = 0;
	h->low = false;
	h->lacks = 0;
	stress_heal(h);
	h->steps = 0;
	host_set_rate(h, 0);
	h->offset_ms = (h->sim->now_us - run_us(h)) / MS;
}

void
host_local(struct host *h, uint64_t conn, const char *text)
{
	struct line *l = xcalloc(1, sizeof *l);

	l->conn = conn;
	l->text = text ? xstrdup(text) : NULL;
	if (h->lines)
		h->lines_tail->next = l;
	else
		h->lines = l;
	h->lines_tail = l;
	host_input(h);
}

const char *
host_name(const struct host *h)
{
	return h->id;
}

struct node *
host_node(struct host *h)
{
	return &h->node;
}

struct disk *
host_disk(struct host *h)
{
	return h->disk;
}

struct core *
host_core(struct host *h)
{
	return h->core;
}

struct workers *
host_workers(struct host *h)
{
	return h->workers;
}

bool
host_is_up(const struct host *h)
{
	return h->phase != HOST_DOWN;
}

int
host_is_able(const struct host *h)
{
	if (h->phase != HOST_RUNS || h->stuck || h->low || h->frozen_us > h->sim->now_us || !h->link.up || !h->node.conn ||
	    disk_is_bad(h->disk) || !reaches(h, h->link.broker))
		return -1;
	return h->link.broker;
}

bool
host_is_quiet(const struct host *h, struct quiet *q)
{
	if (h->frozen_us <= h->sim->now_us && !h->inbox && !h->lines)
		return true;
	snprintf(q->why, sizeof q->why, "%s has not read all that was sent to it", h->id);
	snprintf(q->subject, sizeof q->subject, "%s", h->id);
	return false;
}

int64_t
host_turns(const struct host *h)
{
	return h->turns;
}
