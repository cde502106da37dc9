#include "agent.h"

#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "clock.h"
#include "keep.h"
#include "log.h"
#include "notify.h"
#include "sandbox.h"
#include "signer.h"

/* A turn ends after this long however much there is to do, for others wait for its commit; on a slow disk a
 * bit later, so that the commit is not most of it. */
#define TURN_MIN_US 8000
#define TURN_MAX_US 50000
#define TURN_COMMITS 4
#define TURN_MAX_MESSAGES 256

#define HAND_OVER_MS 2000               /* for others to take the houses, however short the grace of running work */
#define DRAIN_LINK_MS 1000              /* for a lost link to come back, so that there is somebody to take them */
#define READY_S 15                      /* without a broker it has work all the same, and who waits for its start waits no longer */

struct core_now
agent_now(void)
{
	return (struct core_now){ .wall_ms = clock_wall_ms(), .mono_ms = clock_mono_ms() };
}

static void
idle_callback(uv_idle_t *h)
{
	(void)h;
}

void
agent_input(struct agent *a)
{
	if (!a->open) {
		core_begin(a->core, agent_now());
		a->open = true;
	}
	a->wanted = true;
	if (!a->stuck)
		uv_idle_start(&a->again, idle_callback);
}

/* ---- the turn ---- */

static void
start_work(struct agent *a)
{
	struct pool_start s;
	bool any;

	do {
		any = false;
		core_slots(a->core, pool_free(a->pool), pool_free_quick(a->pool));
		while (core_next_start(a->core, pool_free(a->pool), pool_free_quick(a->pool), &s)) {
			pool_start(a->pool, &s);
			any = true;
		}
	} while (any);
	pool_flush(a->pool);
}

/* Quick work that is out now can still be part of this commit. Worth waiting for as long as a commit takes,
 * for missing it costs one more. */
static bool
worth_waiting(const struct agent *a, int64_t idle_us)
{
	int64_t limit = a->commit_us;

	if (limit < 100)
		limit = 100;
	if (limit > 1000)
		limit = 1000;
	return core_quick_out(a->core) > 0 && idle_us < limit && pool_wait(a->pool, limit - idle_us);
}

static int64_t
turn_limit_us(const struct agent *a)
{
	int64_t us = TURN_COMMITS * a->commit_us;

	return us < TURN_MIN_US ? TURN_MIN_US : us > TURN_MAX_US ? TURN_MAX_US : us;
}

static void
gather(struct agent *a)
{
	int64_t begun = clock_mono_us(), progress = begun, limit = turn_limit_us(a), now;

	a->messages = 0;
	socket_feed(a);
	http_feed(a);
	for (;;) {
		bool came = link_read(a);

		came |= pool_read(a->pool) > 0;
		start_work(a);
		now = clock_mono_us();
		if (now - begun > limit || a->messages > TURN_MAX_MESSAGES)
			break;
		if (came)
			progress = now;
		else if (!worth_waiting(a, now - progress))
			break;
	}
	core_tick(a->core);
}

static void
effects(struct agent *a)
{
	uint64_t handle;

	while (core_next_stop(a->core, &handle))
		pool_stop(a->pool, handle);
	start_work(a);
	link_effects(a);
	socket_effects(a);
}

static void
due_callback(uv_timer_t *t)
{
	agent_input(t->data);
}

static void
turn_failed(struct agent *a, const struct err *e)
{
	if (!a->stuck)
		log_warnx("store: %s; nothing is taken in or given out until it works again", e->msg);
	a->stuck = true;
	uv_idle_stop(&a->again);
	health_commit(a, e->msg);
	copy_stop(a, "the agent cannot write its own database");
	keeper_stop(a);
	/* What waits in sockets would be reported again and again. */
	link_pause(a);
	a->retry_ms = clock_mono_ms() + 200;
	uv_timer_start(&a->due, due_callback, 200, 0);
}

static void close_when_idle(struct agent *a);

static int
commit(struct agent *a, struct err *e)
{
	bool dirty = core_is_dirty(a->core);
	int64_t from = clock_mono_us(), us;
	int rc = core_commit(a->core, e);

	if (dirty && rc == 0) {
		us = clock_mono_us() - from;
		a->commit_us += (us - a->commit_us) / 8;
		a->commits_us += us;
		a->ncommits++;
		histogram_add(&a->metrics.commits, us);
	}
	return rc;
}

static void
turn(struct agent *a)
{
	struct err e;
	int64_t next, now, from = clock_mono_us();

	agent_input(a);
	a->turns++;
	a->wanted = false;
	uv_idle_stop(&a->again);
	if (!a->stuck)
		gather(a);
	if (commit(a, &e)) {
		turn_failed(a, &e);
		return;
	}
	if (a->stuck)
		log_info("store: works again");
	a->stuck = false;
	health_commit(a, NULL);
	core_release(a->core, agent_now());
	effects(a);
	a->open = false;
	next = core_end(a->core);
	now = clock_mono_ms();
	histogram_add(&a->metrics.turns, clock_mono_us() - from);
	uv_update_time(&a->loop);
	uv_timer_start(&a->due, due_callback, next > now ? (uint64_t)(next - now) : 1, 0);
	link_watch(a);
	keeper_look(a);
	close_when_idle(a);
}

static void
check_callback(uv_check_t *h)
{
	struct agent *a = h->data;

	if (!a->wanted || a->phase == AGENT_ENDS)
		return;
	if (a->stuck && clock_mono_ms() < a->retry_ms)
		poll(NULL, 0, 20);      /* workers' sockets would keep the loop spinning */
	else
		turn(a);
}

/* ---- the pool's side ---- */

static void
attempt_ended(void *arg, const struct pool_end *end)
{
	struct agent *a = arg;

	if (health_attempt_end(a, end))
		return;
	if (end->ran_us)
		histogram_add(&a->metrics.attempts, end->ran_us);
	agent_input(a);
	core_attempt_end(a->core, end);
}

static void
attempt_log(void *arg, uint64_t handle, const char *text, size_t len)
{
	struct agent *a = arg;

	agent_input(a);
	core_attempt_log(a->core, handle, text, len);
}

static void
attempt_progress(void *arg, uint64_t handle, int percent, const char *note, size_t len)
{
	struct agent *a = arg;

	agent_input(a);
	core_attempt_progress(a->core, handle, percent, note, len);
}

static void
pool_has_something(void *arg)
{
	agent_input(arg);
}

static int
start_pool(struct agent *a, struct err *e)
{
	const struct config *f = a->o.config;
	char ledger[512];
	unsigned workers = (unsigned)f->workers;
	int killed;

	if (!workers)
		workers = uv_available_parallelism() < 2 ? 2 : uv_available_parallelism();
	if (sandbox_check(f, e))
		return -1;
	snprintf(ledger, sizeof ledger, "%s/%s.workers", f->state_dir, a->o.id);
	killed = pool_sweep(ledger);
	if (killed)
		log_info("agent %s: killed %d worker groups that a former life left", a->o.id, killed);
	return pool_new(&a->pool, &(struct pool_opts){ .loop = &a->loop, .exe = a->o.exe, .config_path = f->path,
	    .agent = a->o.id, .ledger = ledger, .temp_dir = f->temp_dir, .workers = workers, .grace_ms = f->stop_grace_ms,
	    .max_output = (size_t)f->max_output_bytes, .arg = a, .on_end = attempt_ended, .on_log = attempt_log,
	    .on_progress = attempt_progress, .on_ready = pool_has_something }, e);
}

/* ---- once a second ---- */

/* What is free on Linux does not count what the system would give back at once. */
static int64_t
memory_free(void)
{
	char line[128];
	int64_t kib = -1, bytes = (int64_t)uv_get_free_memory();
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && kib < 0 && fgets(line, sizeof line, f))
		if (strncmp(line, "MemAvailable:", 13) == 0)
			kib = strtoll(line + 13, NULL, 10);
	if (f)
		fclose(f);
	return kib >= 0 ? kib * 1024 : bytes ? bytes : -1;
}

static void
measure(struct agent *a)
{
	struct core_measures m = { .disk_free_bytes = -1, .memory_free_bytes = memory_free(),
		.commit_us = a->ncommits ? a->commits_us / a->ncommits : 0, .cert_until_ms = link_cert_until_ms(a) };
	struct statvfs v;

	if (statvfs(a->o.config->state_dir, &v) == 0) {
		m.disk_free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
		core_disk_low(a->core, m.disk_free_bytes < a->o.config->min_free_bytes);
	}
	health_measure(a, &m);
	core_measured(a->core, &m);
	needs_look(a);
	a->commits_us = a->ncommits = 0;
}

/* After a time of work, the memory that it took goes back to the system. */
static void
give_memory_back(struct agent *a)
{
	bool busy = core_running(a->core) > 0 || a->turns > 20;

	a->turns = 0;
	if (busy)
		a->was_busy = true;
	else if (a->was_busy) {
		a->was_busy = false;
		core_shrink(a->core);
#ifdef __GLIBC__
		malloc_trim(0);
#endif
	}
}

static void
second_callback(uv_timer_t *t)
{
	struct agent *a = t->data;

	a->beats++;
	if (!a->stuck) {
		agent_input(a);
		measure(a);
		link_beat(a);
		give_memory_back(a);
	}
	keeper_second(a);
	http_second(a);
	health_second(a);
	if (!a->ready && a->beats == READY_S)
		notify("READY=1");
	close_when_idle(a);
}

void
agent_is_ready(struct agent *a)
{
	if (a->ready)
		return;
	a->ready = true;
	log_info("agent %s: ready", a->o.id);
	notify("READY=1");
}

/* ---- stopping ---- */

static void
end_loop(struct agent *a)
{
	a->phase = AGENT_ENDS;
	copy_stop(a, "the agent stops");
	keeper_stop(a);
	link_stop(a);
	needs_stop(a);
	socket_close(a);
	http_close(a);
	uv_stop(&a->loop);
}

static void
pool_closed(void *arg)
{
	struct agent *a = arg;

	/* What the pool ended is decided and committed in one last turn. */
	a->pool = NULL;
	if (!a->open) {
		core_begin(a->core, agent_now());
		a->open = true;
	}
	if (core_commit(a->core, &(struct err){ 0 }) == 0) {
		core_release(a->core, agent_now());
		link_effects(a);
		socket_effects(a);
		core_end(a->core);
	}
	end_loop(a);
}

/* Whether waiting may still do any good: to hand houses over while there is a link, or will be in a moment, and
 * for work that runs. */
static bool
can_drain(const struct agent *a)
{
	int64_t ms = clock_mono_ms() - a->drain_since_ms;
	bool linked = link_is_up(a) && !a->gave_way;

	if (ms < (linked ? HAND_OVER_MS : DRAIN_LINK_MS) && !a->gave_way)
		return true;
	return ms < a->o.config->stop_grace_ms && (linked || core_running(a->core) > 0);
}

/* Houses go to others, and running work gets the grace to end by itself; then the pool stops it. */
static void
close_when_idle(struct agent *a)
{
	if (a->phase != AGENT_DRAINS || (!core_is_drained(a->core) && can_drain(a)))
		return;
	a->phase = AGENT_CLOSES;
	pool_close(a->pool, pool_closed);
}

static void
drain(struct agent *a)
{
	a->phase = AGENT_DRAINS;
	a->drain_since_ms = clock_mono_ms();
	agent_input(a);
	core_drain(a->core);
}

static void
stop(struct agent *a)
{
	bool anew = a->anew;

	a->anew = false;
	if (a->phase != AGENT_RUNS && !anew)
		return;
	log_info("agent %s: stopping", a->o.id);
	notify("STOPPING=1");
	if (a->phase == AGENT_RUNS)
		drain(a);
}

void
agent_give_way(struct agent *a)
{
	a->gave_way = true;
	stop(a);
}

static void
stop_callback(uv_signal_t *s, int signum)
{
	struct agent *a = s->data;

	(void)signum;
	stop(a);
}

static void
reload_callback(uv_signal_t *s, int signum)
{
	struct agent *a = s->data;

	(void)signum;
	if (a->phase != AGENT_RUNS || !reload_asked(a))
		return;
	a->anew = true;
	drain(a);
}

/* One that came while nobody would have heard it is heard then. */
static void
hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

/* ---- starting ---- */

static void
watch_signal(struct agent *a, uv_signal_t *s, int signum, uv_signal_cb cb)
{
	uv_signal_init(&a->loop, s);
	s->data = a;
	uv_signal_start(s, cb, signum);
}

static void
start_loop(struct agent *a)
{
	uv_loop_init(&a->loop);
	uv_check_init(&a->loop, &a->check);
	uv_idle_init(&a->loop, &a->again);
	uv_timer_init(&a->loop, &a->due);
	uv_timer_init(&a->loop, &a->second);
	a->check.data = a->due.data = a->second.data = a;
	uv_check_start(&a->check, check_callback);
	uv_timer_start(&a->second, second_callback, 1000, 1000);
	watch_signal(a, &a->term, SIGTERM, stop_callback);
	watch_signal(a, &a->intr, SIGINT, stop_callback);
	watch_signal(a, &a->hup, SIGHUP, reload_callback);
	hold_signals(SIG_UNBLOCK);
}

static int
make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(e, ERR_IO, "cannot make the directory %s: %s", path, strerror(errno));
	return 0;
}

/* Letters that are good in a client id: MQTT promises no others. */
static void
make_secret(char *out, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
	unsigned char random[32];

	if (RAND_bytes(random, sizeof random) != 1)
		fatalx("no random numbers");
	for (size_t i = 0; i + 1 < n && i < sizeof random; i++)
		out[i] = letters[random[i] % 32];
}

void
agent_cert_path(const struct agent *a, char *out, size_t size, const char *name, const char *ext)
{
	snprintf(out, size, "%s/%s.%s", a->o.config->pki_dir, name, ext);
}

/* Without a certificate it signs all the same; what it signs can be bound to it later. */
static int
start_signer(struct agent *a, struct err *e)
{
	if (signer_open(&a->signer, a->o.config, a->o.id, e))
		return -1;
	if (e->code != ERR_NONE)
		log_warnx("%s", e->msg);
	return 0;
}

static int
start_core(struct agent *a, struct err *e)
{
	const struct config *f = a->o.config;
	char path[512], secret[33] = "";
	static char host[256];
	uint64_t seed;

	if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
		return err_set(e, ERR_INTERNAL, "no random numbers");
	make_secret(secret, sizeof secret);
	gethostname(host, sizeof host - 1);
	snprintf(path, sizeof path, "%s/%s.db", f->state_dir, a->o.id);
	if (keep_before(path, core_store_version(), agent_now().wall_ms, e))
		return -1;
	return core_open(&a->core, &(struct core_opts){ .config = f, .tools = a->tools, .agent = a->o.id,
	    .store_path = path, .seed = seed, .secret = secret, .version = UW_VERSION, .host = host,
	    .sign = signer_sign, .sign_arg = a->signer, .sign_binding = signer_binding(a->signer) }, agent_now(), e);
}

static void
warn_tool(const char *msg, void *arg)
{
	(void)arg;
	log_warnx("tool: %s", msg);
}

/* A service sees most of the file system read-only, until its unit says otherwise. */
static void
look_at_roots(const struct config *f)
{
	for (size_t i = 0; i < f->roots.n; i++)
		if (access(f->roots.v[i], W_OK) && errno == EROFS)
			log_warnx("tools.roots: %s is read-only for this agent; in a unit, ReadWritePaths= is to name it", f->roots.v[i]);
}

static void
close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void
stop_loop(struct agent *a)
{
	uv_walk(&a->loop, close_handle, NULL);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	uv_loop_close(&a->loop);
}

int
agent_run(const struct agent_opts *o, struct err *e)
{
	struct agent *a = xcalloc(1, sizeof *a);
	int rc = -1;

	a->o = *o;
	a->commit_us = 300;
	signal(SIGPIPE, SIG_IGN);
	reload_init(a);
	start_loop(a);
	if (config_identity_kind(o->config, o->id) != IDENTITY_AGENT) {
		err_set(e, ERR_CONFIG, "%s: no house has an agent %s; add it to houses.<house>.agents, to router or to witnesses",
		    o->config->path, o->id);
		goto out;
	}
	a->tools = registry_new(o->config, warn_tool, NULL);
	if (make_dir(o->config->state_dir, e) || make_dir(o->config->run_dir, e) || start_signer(a, e) ||
	    start_core(a, e) ||
	    start_pool(a, e) || socket_open(a, e))
		goto out;
	look_at_roots(o->config);
	link_start(a);
	needs_start(a);
	health_init(a);
	copy_init(a);
	http_open(a);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	rc = a->gave_way ? err_set(e, ERR_CONFLICT, "another agent of this name is connected to the broker") : a->anew;
	if (a->anew)
		hold_signals(SIG_BLOCK);
out:
	stop_loop(a);
	http_free(a);
	core_close(a->core);
	signer_close(a->signer);
	registry_free(a->tools);
	free(a);
	return rc;
}
