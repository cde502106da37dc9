/*
 * sim.c - virtual time: a heap of events, run one after the other.
 */
#include "sim.h"

#include <stdarg.h>

#include "buf.h"

#define QUIET_EVERY (5 * SECOND)

struct sim *sim_current;

static bool
is_before(const struct event *a, const struct event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->n < b->n);
}

static void
swap(struct event *a, struct event *b)
{
	struct event x = *a;

	*a = *b;
	*b = x;
}

void
sim_at(struct sim *s, int64_t at_us, void (*f)(void *arg, uint64_t x), void *arg, uint64_t x)
{
	size_t i = s->nheap;

	if (s->nheap == s->heap_cap) {
		s->heap_cap = s->heap_cap ? 2 * s->heap_cap : 1024;
		s->heap = xrealloc(s->heap, s->heap_cap * sizeof *s->heap);
	}
	s->heap[s->nheap++] = (struct event){ at_us > s->now_us ? at_us : s->now_us, s->nevents++, f, arg, x };
	for (; i && is_before(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}

static struct event
pop(struct sim *s)
{
	struct event first = s->heap[0];
	size_t i = 0, child;

	s->heap[0] = s->heap[--s->nheap];
	while ((child = 2 * i + 1) < s->nheap) {
		if (child + 1 < s->nheap && is_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!is_before(&s->heap[child], &s->heap[i]))
			break;
		swap(&s->heap[i], &s->heap[child]);
		i = child;
	}
	return first;
}

/* ---- the history ---- */

static void
remember(struct sim *s, const char *line)
{
	for (const char *p = line; *p; p++)
		s->history = (s->history ^ (unsigned char)*p) * 1099511628211u;
	s->history ^= (uint64_t)s->now_us;
}

static void
print_time(const struct sim *s)
{
	printf("%4lld.%06lld  ", (long long)(s->now_us / SECOND), (long long)(s->now_us % SECOND));
}

/* Of a message with many lines only those that matter, each with its topic. */
static void
print_lines(const struct sim *s, const char *text)
{
	const char *body = strstr(text, ": {");
	int topic = body ? (int)(body - text) + 2 : 0;

	for (const char *p = text + topic; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		int len = (int)strcspn(p, "\n");
		const char *at = strstr(p, s->only);

		if (!at || at >= p + len)
			continue;
		print_time(s);
		printf("%.*s%.*s\n", topic, text, len, p);
	}
}

static void
print(const struct sim *s, const char *line)
{
	if (!s->trace)
		return;
	if (s->only && strncmp(line, "fault", 5) != 0) {
		print_lines(s, line);
	} else {
		print_time(s);
		puts(line);
	}
}

void
sim_log(struct sim *s, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	remember(s, line);
	print(s, line);
}

/* Too much to be part of the history. */
void
sim_trace(struct sim *s, const char *fmt, ...)
{
	char line[16384];
	va_list ap;

	if (!s->trace)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	print(s, line);
}

void
sim_fail(struct sim *s, const char *subject, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	snprintf(s->subject, sizeof s->subject, "%s", subject);
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof s->why, fmt, ap);
	va_end(ap);
	sim_log(s, "fault: VIOLATION: %s: %s", s->subject, s->why);
}

/* ---- a run ---- */

static void
warn(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "sim: %s\n", text);
}

static void
build(struct sim *s)
{
	for (int i = 0; i < RNG_COUNT; i++)
		rng_seed(&s->rng[i], s->seed, (uint64_t)i);
	faults_plan(s);
	layout_plan(s);
	layout_config(s);
	s->acl = acl_new(&s->config);
	s->tools = registry_new(&s->config, warn, NULL);
	s->disks = disks_new(s);
	for (s->nbrokers = 0; s->nbrokers < s->plan.nbrokers; s->nbrokers++)
		s->brokers[s->nbrokers] = broker_new(s, s->nbrokers);
	s->check = check_new(s);
	for (s->nhosts = 0; s->nhosts < s->nplaces; s->nhosts++)
		s->hosts[s->nhosts] = host_new(s, s->places[s->nhosts].name);
	for (s->nclients = 0; s->nclients < s->plan.nclients; s->nclients++)
		s->clients[s->nclients] = client_new(s, s->nclients);
	if (s->plan.sovereign)
		s->timmy = timmy_new(s);
	for (int i = 0; i < s->nhosts; i++)
		host_start(s->hosts[i]);
	faults_begin(s);
}

static void
destroy(struct sim *s)
{
	struct conn *conns[BROKERS_MAX];

	for (int i = 0; i < s->nhosts; i++)
		host_free(s->hosts[i]);
	for (int i = 0; i < s->nclients; i++)
		client_free(s->clients[i]);
	timmy_free(s->timmy);
	for (int i = 0; i < s->nbrokers; i++) {
		conns[i] = broker_conns(s->brokers[i]);
		broker_free(s->brokers[i]);
	}
	for (int i = 0; i < s->nbrokers; i++)
		net_release(s, conns[i]);
	disks_free(s->disks);
	check_free(s->check);
	registry_free(s->tools);
	acl_free(s->acl);
	config_release(&s->config);
	free(s->heap);
}

static void
run_until(struct sim *s, int64_t us)
{
	while (!s->failed && s->nheap && s->heap[0].at_us <= us) {
		struct event e = pop(s);

		s->now_us = e.at_us;
		e.f(e.arg, e.x);
	}
	if (!s->failed)
		s->now_us = us;
}

static void
run(struct sim *s)
{
	struct quiet q = { 0 };

	run_until(s, s->plan.heal_us);
	faults_heal(s);
	do
		run_until(s, s->now_us + QUIET_EVERY);
	while (!s->failed && !check_is_quiet(s->check, &q) && s->now_us < s->plan.limit_us);
	if (!s->failed && !check_is_quiet(s->check, &q))
		check_show(s->check);
	if (!s->failed && !check_is_quiet(s->check, &q))
		sim_fail(s, q.subject, "not quiet %lld s after the last fault: %s",
		    (long long)((s->now_us - s->plan.heal_us) / SECOND), q.why);
	if (!s->failed)
		check_end(s->check);
}

void
sim_run(uint64_t seed, bool trace, const char *only, struct sim_result *out)
{
	struct sim *s = xcalloc(1, sizeof *s);

	s->seed = seed;
	s->trace = trace;
	s->only = only;
	sim_current = s;
	build(s);
	run(s);
	*out = (struct sim_result){ .failed = s->failed, .virtual_us = s->now_us, .history = s->history,
		.faults = faults_count() };
	memcpy(out->why, s->why, sizeof out->why);
	memcpy(out->subject, s->subject, sizeof out->subject);
	for (int i = 0; i < s->nclients; i++)
		out->tasks += client_sent(s->clients[i]);
	for (int i = 0; i < s->nhosts; i++)
		out->turns += host_turns(s->hosts[i]);
	destroy(s);
	sim_current = NULL;
	free(s);
}
