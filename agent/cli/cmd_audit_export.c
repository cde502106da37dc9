#include <errno.h>
#include <string.h>

#include "chain.h"
#include "clock.h"
#include "cmd.h"

#define AGENTS_MAX 256

static const struct cmd_opt opts[] = {
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A",
	  .help = "whose chain; needed if several agents are here", .complete = "agents" },
	{ .name = "since", .letter = 's', .kind = OPT_TEXT, .arg = "TIME",
	  .help = "from there on: RFC 3339, or 90m, 12h, 7d ago" },
	{ .name = "output", .letter = 'o', .kind = OPT_TEXT, .arg = "FILE", .help = "not to standard output",
	  .complete = "files" },
	{ .name = "statements", .letter = 0, .kind = OPT_FLAG,
	  .help = "the records as in-toto statements, one a line, which cannot be verified by themselves" },
	{ .name = NULL },
};

struct export {
	FILE *out;
	bool statements;
	struct audit_check check;       /* of statements */
	int64_t since_ms;
};

static int
read_since(const char *text, int64_t *ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	char *end;
	long long n = strtoll(text, &end, 10);
	struct err e;

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (n > 0 && n < 1000000 && end[0] == units[i].unit && !end[1]) {
			*ms = clock_wall_ms() - n * units[i].ms;
			return EXIT_OK;
		}
	if (clock_parse(text, ms, &e) == 0 && *ms > 0)
		return EXIT_OK;
	return cmd_fail(EXIT_USAGE, "--since: expected a time such as 2026-11-24T15:00:00Z, or 90m, 12h, 7d, got %.60s", text);
}

static void
on_line(void *arg, const char *line, size_t len)
{
	struct export *x = arg;

	if (x->statements) {
		audit_check_line(&x->check, line, len);
		return;
	}
	fwrite(line, 1, len, x->out);
	putc('\n', x->out);
}

static void
on_record(void *arg, const struct audit_record *r, const struct audit_seal *s, const char *own)
{
	struct export *x = arg;
	struct buf b = { 0 };

	(void)s;
	(void)own;
	/* A page begins a bit earlier than what was asked for. */
	if (r->ended < x->since_ms)
		return;
	audit_put_record(&b, r);
	fprintf(x->out, "%s\n", b.data);
	buf_free(&b);
}

static int
choose_agent(const struct cmd_args *a, const struct config *c, const char **agent)
{
	const char *agents[AGENTS_MAX];
	size_t n = chain_agents(c, agents, AGENTS_MAX);

	*agent = cmd_text(a, "agent", n == 1 ? agents[0] : NULL);
	if (!n)
		return cmd_fail(EXIT_USAGE, "no agent has its database in %s", c->state_dir);
	if (!*agent)
		return cmd_fail(EXIT_USAGE, "--agent: %zu agents are here, such as %s: say whose chain", n, agents[0]);
	if (config_identity_kind(c, *agent) != IDENTITY_AGENT)
		return cmd_fail(EXIT_USAGE, "--agent: no agent is called %s", *agent);
	return EXIT_OK;
}

static int
export_to(struct export *x, const struct cmd_args *a, const struct config *c, const char *agent)
{
	const char *path = cmd_text(a, "output", NULL);
	struct err e;
	int rc;

	x->out = path ? fopen(path, "w") : stdout;
	if (!x->out)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", path, strerror(errno));
	x->check = (struct audit_check){ .name = agent, .arg = x, .record = on_record, .part = true };
	rc = chain_read_agent(c, agent, x->since_ms, on_line, x, &e) ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", agent, e.msg) :
	    EXIT_OK;
	audit_check_release(&x->check);
	if ((ferror(x->out) || (path ? fclose(x->out) : fflush(x->out))) && rc == EXIT_OK)
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", path ? path : "standard output", strerror(errno));
	return rc;
}

static int
export_run(const struct cmd_args *a)
{
	struct export x = { .statements = cmd_flag(a, "statements") };
	struct config *c = xcalloc(1, sizeof *c);
	const char *since = cmd_text(a, "since", NULL), *agent;
	int rc = since ? read_since(since, &x.since_ms) : EXIT_OK;

	if (!rc && (rc = cmd_config(a, c)) == EXIT_OK) {
		if ((rc = choose_agent(a, c, &agent)) == EXIT_OK)
			rc = export_to(&x, a, c, agent);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_audit_export = {
	.name = "audit export",
	.help = "Write an agent's audit chain to a file that `audit verify` can check anywhere",
	.opts = opts,
	.run = export_run,
};
