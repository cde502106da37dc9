/*
 * cmd_hermes_tail.c - hermes tail: tells the cluster what Hermes does on this host, until it is stopped.
 *
 * One loop: what arrived at hermes.listen and what is new in state.db goes into the book, the book is committed, and what is in
 * it goes out. Beside it, now and then, `intelligence import` lets the agent learn from what is new.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <uv.h>

#include "clock.h"
#include "cmd.h"
#include "hermes_listen.h"
#include "hermes_out.h"
#include "hermes_state.h"
#include "log.h"
#include "notify.h"

#define WAIT_MAX_MS 500
#define LEARN_MS 30000
#define TELL_MS 60000
#define END_MS 2000             /* for what is under way */

static const struct cmd_opt opts[] = {
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
	  .help = "in whose name it is told, and who learns (default: the first of the configuration whose key is here)" },
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house for which is learned (default: the agent's own)" },
	{ .name = "all", .kind = OPT_FLAG, .help = "of a database that was never followed, also what is in it already" },
	{ .name = "no-learn", .kind = OPT_FLAG, .help = "only tell; let nobody learn from it" },
	{ .name = NULL },
};

struct tail {
	const struct cmd_args *a;
	struct config config;
	const char *agent;
	struct hermes_book book;
	struct hermes_state state;
	struct hermes_listen *listen;
	struct hermes_out out;
	char self[PATH_MAX];            /* this program */
	pid_t learner;                  /* 0: none runs */
	int64_t learned_rows, learn_ms, tell_ms, told;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* ---- learning ---- */

/* A process of its own: it opens the database for itself, and may take its time. */
static void
start_learner(struct tail *t)
{
	char source[512];
	const char *argv[16] = { "uni-wizard", "intelligence", "import", "hermes", t->state.path, "--source", source, "--agent", t->agent,
		"--config", t->config.path, "--json" };
	size_t n = 12;

	hermes_state_source(&t->state, source, sizeof source);
	if (cmd_text(t->a, "house", NULL)) {
		argv[n++] = "--house";
		argv[n++] = cmd_text(t->a, "house", NULL);
	}
	argv[n] = NULL;
	t->learned_rows = t->state.rows;
	t->learner = fork();
	if (t->learner == 0) {
		dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		execv(t->self, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (t->learner < 0) {
		log_warn("hermes: nobody can learn now");
		t->learner = 0;
	}
}

static void
learn(struct tail *t, int64_t now_ms)
{
	int status;

	if (t->learner && waitpid(t->learner, &status, WNOHANG) == t->learner) {
		t->learner = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			log_warnx("hermes: the agent could not learn; it is tried again");
			t->learned_rows = -1;
		}
	}
	if (cmd_flag(t->a, "no-learn") || t->learner || now_ms < t->learn_ms || t->state.rows == t->learned_rows || !t->state.db)
		return;
	t->learn_ms = now_ms + LEARN_MS;
	start_learner(t);
}

static void
end_learner(struct tail *t)
{
	int64_t until_ms = clock_mono_ms() + END_MS;
	pid_t ended = 0;

	if (!t->learner)
		return;
	kill(t->learner, SIGTERM);
	while (!(ended = waitpid(t->learner, NULL, WNOHANG)) && clock_mono_ms() < until_ms)
		poll(NULL, 0, 20);
	if (ended)
		return;
	kill(t->learner, SIGKILL);
	waitpid(t->learner, NULL, 0);
}

/* ---- the loop ---- */

static int
take_pushed(struct tail *t, struct err *e)
{
	struct hermes_event v;
	int rc = 0;

	while (rc >= 0 && !hermes_book_is_full(&t->book) && hermes_listen_next(t->listen, &v)) {
		rc = hermes_book_take(&t->book, &v, e);
		hermes_event_release(&v);
	}
	return rc < 0 ? -1 : 0;
}

static void
tell(struct tail *t, int64_t now_ms)
{
	int64_t refused, full;

	if (now_ms < t->tell_ms || t->book.taken == t->told)
		return;
	hermes_listen_counts(t->listen, &refused, &full);
	log_info("hermes: %lld events, %lld told twice, %lld wait; %lld webhooks refused, %lld events without room",
	    (long long)t->book.taken, (long long)t->book.repeated, (long long)(t->book.seq - t->out.arrived), (long long)refused,
	    (long long)(full + t->book.dropped));
	t->told = t->book.taken;
	t->tell_ms = now_ms + TELL_MS;
}

static int
turn(struct tail *t, struct err *e)
{
	/* While there is no room in the book they wait, and more than can wait are answered 503. */
	int pushed = hermes_book_is_full(&t->book) ? -1 : hermes_listen_fd(t->listen);
	struct pollfd fds[3] = { { .fd = pushed, .events = POLLIN }, { .fd = t->state.notice, .events = POLLIN } };
	int64_t now_ms = clock_mono_ms(), wait_ms = *t->state.path ? hermes_state_wait_ms(&t->state, now_ms) : WAIT_MAX_MS;
	int timeout_ms = wait_ms < WAIT_MAX_MS ? (int)wait_ms : WAIT_MAX_MS;

	hermes_out_wants(&t->out, &fds[2], &timeout_ms);
	poll(fds, 3, timeout_ms);
	now_ms = clock_mono_ms();
	if (take_pushed(t, e))
		return -1;
	if (*t->state.path && hermes_state_read(&t->state, fds[1].revents != 0, now_ms, e))
		return -1;
	if (hermes_book_commit(&t->book, clock_wall_ms(), e) || hermes_out_send(&t->out, e) || hermes_out_run(&t->out, e) ||
	    hermes_out_send(&t->out, e))
		return -1;
	hermes_book_sweep(&t->book);
	learn(t, now_ms);
	tell(t, now_ms);
	return 0;
}

/* What was taken is told, if that can be done soon. */
static int
finish(struct tail *t, struct err *e)
{
	int64_t until_ms = clock_mono_ms() + END_MS;
	struct pollfd p;
	int timeout_ms, rc = 0;

	while (!rc && t->out.up && t->out.arrived < t->book.seq && clock_mono_ms() < until_ms) {
		timeout_ms = 50;
		hermes_out_wants(&t->out, &p, &timeout_ms);
		poll(&p, 1, timeout_ms);
		rc = hermes_out_run(&t->out, e) || hermes_out_send(&t->out, e);
	}
	return rc || hermes_book_commit(&t->book, clock_wall_ms(), e) ? -1 : 0;
}

/* ---- start and end ---- */

static bool
has_key(const struct config *c, const char *agent)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s.key", c->pki_dir, agent);
	return access(path, R_OK) == 0;
}

static const char *
find_agent(const struct tail *t)
{
	for (size_t i = 0; i < t->config.nhouses; i++)
		for (size_t j = 0; j < t->config.houses[i].agents.n; j++)
			if (has_key(&t->config, t->config.houses[i].agents.v[j]))
				return t->config.houses[i].agents.v[j];
	return NULL;
}

static int
check(struct tail *t)
{
	const char *given = cmd_text(t->a, "agent", NULL);

	t->agent = given ? given : find_agent(t);
	if (!t->agent)
		return cmd_fail(EXIT_USAGE, "--agent: expected an agent whose key is here, got none: there is none in %s", t->config.pki_dir);
	if (config_identity_kind(&t->config, t->agent) != IDENTITY_AGENT)
		return cmd_fail(EXIT_USAGE, "--agent: expected an agent of the configuration, got \"%s\"", t->agent);
	if (!t->config.hermes_home && strcmp(t->config.hermes_listen, "off") == 0)
		return cmd_fail(EXIT_USAGE, "%s: hermes: expected home or listen, got neither: there is nothing to follow", t->config.path);
	return 0;
}

static int
open_all(struct tail *t, struct err *e)
{
	char path[512];
	size_t len = sizeof t->self;

	if (uv_exepath(t->self, &len))
		return err_set(e, ERR_INTERNAL, "it does not know where its own program is");
	if (mkdir(t->config.state_dir, 0700) && errno != EEXIST)
		return err_set(e, ERR_IO, "cannot make the directory %s: %s", t->config.state_dir, strerror(errno));
	snprintf(path, sizeof path, "%s/hermes-%s.db", t->config.state_dir, t->agent);
	if (hermes_book_open(&t->book, path, t->agent, hermes_share_find(t->config.hermes_share), t->config.hermes_spool_bytes, e))
		return err_wrap(e, "%s", path);
	if (t->config.hermes_home)
		hermes_state_init(&t->state, t->config.hermes_home, &t->book, cmd_flag(t->a, "all"));
	hermes_out_init(&t->out, &t->config, t->agent, &t->book);
	return hermes_listen_open(&t->listen, &t->config, e);
}

static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int
tail_run(const struct cmd_args *a)
{
	struct tail *t = xcalloc(1, sizeof *t);
	struct err e = { 0 };
	int rc;

	t->a = a;
	t->state.notice = t->book.lock = -1;
	rc = cmd_config(a, &t->config);
	if (rc) {
		free(t);
		return rc;
	}
	rc = check(t);
	if (!rc) {
		log_init("hermes", LOG_LEVEL_INFO);
		log_set_level((enum log_level)log_level_find(t->config.log_level));
		log_as_json(strcmp(t->config.log_format, "json") == 0);
		catch_signals();
		rc = open_all(t, &e);
		if (!rc)
			notify("READY=1");
		while (!rc && !interrupted)
			rc = turn(t, &e);
		if (!rc)
			rc = finish(t, &e);
		if (rc)
			rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
		end_learner(t);
		hermes_listen_close(t->listen);
		hermes_state_release(&t->state);
		if (t->out.config)
			hermes_out_release(&t->out);
		hermes_book_close(&t->book);
	}
	config_release(&t->config);
	free(t);
	return rc;
}

const struct cmd cmd_hermes_tail = {
	.name = "hermes tail",
	.help = "Tell the cluster what Hermes does on this host, until it is stopped",
	.more = "A service for each host with a Hermes, run as Hermes's own user. It follows HERMES_HOME/state.db (hermes.home), takes\n"
	        "webhooks and our own runs' events (hermes.listen), and publishes each thing once on the agent's telemetry topic. What\n"
	        "of it leaves the host is said by hermes.share. While the broker is away it waits on the disk.",
	.opts = opts,
	.run = tail_run,
};
