#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "mcp_jobs.h"
#include "remote.h"
#include "spool.h"
#include "task.h"

#define WAIT_S 50                       /* clients wait 60 s and more for an answer */
#define ALLOW_MAX 64
#define READ_BYTES 65536
#define OUT_HIGH (1u << 20)             /* waits to be read by the client: nothing more is read from it */
#define OUT_MAX (256u << 20)
#define LEAVE_MS 1000                   /* after the client has gone, for what is on its way */

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house that runs what is called; default: the router chooses" },
	{ .name = "mode", .letter = 'm', .kind = OPT_TEXT, .arg = "M", .complete = "simple intelligent sovereign",
	  .help = "simple (default), intelligent or sovereign" },
	{ .name = "tools", .kind = OPT_TEXT, .arg = "GLOB,...", .complete = "tools",
	  .help = "offer only these tools, as git_*,file_read" },
	{ .name = "timeout", .letter = 't', .kind = OPT_INT, .arg = "S", .min = 1, .max = MCP_WAIT_MAX,
	  .help = "a call waits so many seconds for its end at most (default 50)" },
	{ .name = NULL },
};

struct server {
	const struct cmd_args *a;
	struct remote r;
	struct registry *tools;
	struct jobs *jobs;
	struct mcp *mcp;
	char *patterns;
	const char *allow[ALLOW_MAX + 1];
	struct buf out;
	size_t sent;                    /* of out */
	bool gone;                      /* the client does not read or write any more */
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static void
catch_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal };

	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Lines */

static void
on_line(void *arg, const char *line, size_t len)
{
	struct server *s = arg;

	buf_add(&s->out, line, len);
	buf_addc(&s->out, '\n');
	s->gone |= !buf_ok(&s->out);
}

/* No more at once than a pipe takes without waiting. */
static void
write_some(struct server *s)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (s->sent < s->out.len && poll(&p, 1, 0) > 0) {
		size_t n = s->out.len - s->sent;
		ssize_t rc = write(STDOUT_FILENO, s->out.data + s->sent, n > PIPE_BUF ? PIPE_BUF : n);

		if (rc < 0 && errno != EINTR && errno != EAGAIN) {
			s->gone = true;
			s->sent = s->out.len;
		}
		if (rc <= 0)
			break;
		s->sent += (size_t)rc;
	}
	if (!s->sent || (s->sent < s->out.len && s->sent < OUT_HIGH))
		return;
	memmove(s->out.data, s->out.data + s->sent, s->out.len - s->sent);
	buf_cut(&s->out, s->out.len - s->sent);
	s->sent = 0;
}

static void
read_some(struct server *s)
{
	char data[READ_BYTES];
	ssize_t n = read(STDIN_FILENO, data, sizeof data);

	if (n > 0)
		mcp_feed(s->mcp, data, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		s->gone = true;
}

/* The turn */

static void
turn(struct server *s)
{
	int wait_ms = jobs_tick(s->jobs, clock_mono_ms());
	bool reads = !s->gone && s->out.len - s->sent < OUT_HIGH;
	struct pollfd fds[2] = { { .fd = reads ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = s->out.len ? STDOUT_FILENO : -1, .events = POLLOUT } };
	struct err e = { 0 };

	client_watch(s->r.client, fds, 2);
	if (client_run(s->r.client, wait_ms, &e)) {
		jobs_fail(s->jobs, &e);
		poll(fds, 2, wait_ms);
	}
	client_watch(s->r.client, NULL, 0);
	if (fds[0].fd >= 0 && fds[0].revents)
		read_some(s);
	write_some(s);
}

static void
serve(struct server *s)
{
	int64_t end;

	while (!s->gone && !interrupted)
		turn(s);
	s->gone = true;
	end = clock_mono_ms() + LEAVE_MS;
	while ((jobs_are_busy(s->jobs) || s->out.len) && buf_ok(&s->out) && clock_mono_ms() < end)
		turn(s);
}

/* What no house has taken goes on being sent. */
static void
leave_rest(struct server *s, const char *identity)
{
	struct err e;

	if (client_pending(s->r.client) && spool_start(&s->r.config, identity, &e))
		cmd_warn(e.msg, NULL);
}

/* Options */

static int
read_patterns(struct server *s)
{
	const char *text = cmd_text(s->a, "tools", NULL);
	size_t n = 0;

	if (!text)
		return 0;
	s->patterns = xstrdup(text);
	for (char *save, *p = strtok_r(s->patterns, ", ", &save); p; p = strtok_r(NULL, ", ", &save)) {
		if (n == ALLOW_MAX)
			return cmd_fail(EXIT_USAGE, "--tools: expected at most %d patterns", ALLOW_MAX);
		s->allow[n++] = p;
	}
	return n ? 0 : cmd_fail(EXIT_USAGE, "--tools: expected patterns such as git_*,file_read, got \"%s\"", text);
}

static int
check_mode(const char *mode)
{
	if (!mode)
		return 0;
	for (int m = 0; m < TASK_NMODES; m++)
		if (strcmp(mode, task_mode_name((enum task_mode)m)) == 0)
			return 0;
	return cmd_fail(EXIT_USAGE, "--mode: expected simple, intelligent or sovereign, got \"%.40s\"", mode);
}

/* What an AI asks for in his name he would seem to have asked for himself. */
static int
check_identity(const struct config *c, const char *identity)
{
	if (strcmp(identity, c->sovereign) != 0)
		return 0;
	return cmd_fail(EXIT_USAGE, "--as: expected an identity for the client, got that of %s, who decides; add one to `operators` and give it a "
	    "certificate with `uni-wizard pki issue`", c->sovereign);
}

static int
mcp_run_open(struct server *s, const char *identity)
{
	s->tools = registry_new(&s->r.config, cmd_warn, NULL);
	s->mcp = mcp_new(&(struct mcp_opts){ .tools = s->tools, .allow = s->patterns ? s->allow : NULL,
	    .sovereign = s->r.config.sovereign, .arg = s->jobs, .line_arg = s, .on_line = on_line, .on_begin = jobs_on_begin,
	    .on_stop = jobs_on_stop, .warn = cmd_warn });
	jobs_connect(s->jobs, s->mcp, s->r.client);
	s->out.max = OUT_MAX;
	catch_signals();
	fprintf(stderr, "uni-wizard: MCP server for %s, house %s; it ends when standard input does\n", identity, cmd_text(s->a, "house", "_"));
	serve(s);
	leave_rest(s, identity);
	mcp_free(s->mcp);
	registry_free(s->tools);
	buf_free(&s->out);
	return EXIT_OK;
}

static int
mcp_run(const struct cmd_args *a)
{
	struct server s = { .a = a };
	const char *identity = a->identity ? a->identity : s.r.config.identity;
	int rc = check_mode(cmd_text(a, "mode", NULL));

	if (rc || (rc = read_patterns(&s)) || (rc = cmd_config(a, &s.r.config))) {
		free(s.patterns);
		return rc;
	}
	s.jobs = jobs_new(&(struct jobs_opts){ .config = &s.r.config, .identity = identity, .house = cmd_text(a, "house", "_"),
	    .mode = cmd_text(a, "mode", NULL), .wait_ms = cmd_int(a, "timeout", WAIT_S) * 1000 });
	if ((rc = check_identity(&s.r.config, identity)) || (rc = remote_check_house(&s.r, cmd_text(a, "house", NULL))))
		config_release(&s.r.config);
	else if (!(rc = remote_connect(&s.r, a, jobs_on_reply, jobs_on_message, s.jobs))) {
		rc = mcp_run_open(&s, identity);
		remote_close(&s.r);
	}
	jobs_free(s.jobs);
	free(s.patterns);
	return rc;
}

const struct cmd cmd_mcp = {
	.name = "mcp",
	.help = "Offer the cluster's tools to an AI agent: a server of the Model Context Protocol",
	.more = "An MCP client (Hermes, an editor) starts this and speaks to it over standard input and output. Each call of a tool is a task\n"
	        "in the name of --as, judged like any other; what needs approval is answered at once as pending, and nothing can be approved\n"
	        "from here. docs/mcp.md shows how clients are set up.",
	.opts = opts,
	.max_args = 0,
	.run = mcp_run,
};
