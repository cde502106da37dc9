#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "agent.h"
#include "ask.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "remote.h"
#include "sandbox.h"

#define CHILDREN_MS 1000                /* they were killed: that long only if one hangs in the kernel */

static const struct cmd_opt opts[] = {
	{ .name = "agent", .kind = OPT_TEXT, .arg = "ID",
	  .help = "which agent of the configuration to be, such as ezra-1 (else $UNI_WIZARD_AGENT)",
	  .complete = "agents" },
	{ .name = NULL },
};

/* Of children that were killed nobody would take notice, once this process is one that does not know them. */
static void
wait_for_children(void)
{
	pid_t pid = 1;

	for (int64_t until = clock_mono_ms() + CHILDREN_MS; pid >= 0 && clock_mono_ms() < until;)
		if ((pid = waitpid(-1, NULL, WNOHANG)) == 0)
			poll(NULL, 0, 5);
}

/* In the place of this process: its id stays, and who started it notices nothing. */
static int
run_again(const char *exe, const char *config, const char *id)
{
	wait_for_children();
	execl(exe, "uni-wizard", "agent", "--config", config, "--agent", id, (char *)NULL);
	return cmd_fail(EXIT_NOT_SUCCEEDED, "agent %s: cannot run %s: %s", id, exe, strerror(errno));
}

static int
agent_cmd_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	const char *id = cmd_text(a, "agent", getenv("UNI_WIZARD_AGENT"));
	char exe[PATH_MAX];
	size_t len = sizeof exe;
	struct err e;
	int rc, ended;

	if (!id || !*id)
		rc = cmd_fail(EXIT_USAGE, "--agent: expected the agent's name, such as ezra-1, here or in $UNI_WIZARD_AGENT");
	else if (uv_exepath(exe, &len))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "cannot find this program's own file");
	else if ((rc = cmd_config(a, c)) == 0) {
		log_init(NULL, (enum log_level)log_level_find(c->log_level));
		log_as_json(strcmp(c->log_format, "json") == 0);
		sandbox_hide();
		ended = agent_run(&(struct agent_opts){ .config = c, .id = id, .exe = exe }, &e);
		if (ended)
			rc = ended < 0 ? cmd_fail(EXIT_NOT_SUCCEEDED, "agent %s: %s", id, e.msg) : run_again(exe, c->path, id);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_agent = {
	.name = "agent",
	.help = "Run an agent: take its house's tasks from the broker and run them",
	.more = "Runs in the foreground until SIGTERM or SIGINT. SIGHUP connects anew (certificates are read again); if houses.yaml has\n"
	        "changed and is right, the agent ends its work, hands its houses over and begins anew in the same process.\n"
	        "Its database is <state>/<agent>.db, its local socket <run>/<agent>.sock.",
	.opts = opts,
	.run = agent_cmd_run,
};

/* ---- agent log-level ---- */

static const struct cmd_opt level_opts[] = {
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
	  .help = "which agent (default: the first that runs here)" },
	{ .name = NULL },
};

static int
ask_level(const struct cmd_args *a, const struct config *c, const char *level)
{
	struct buf request = { 0 };
	const char *who = NULL;
	struct err e = { 0 };
	int rc = EXIT_OK;
	cJSON *o;

	json_put_open(&request, '{');
	json_kv_str(&request, "op", "log_level");
	if (level)
		json_kv_str(&request, "level", level);
	json_put_close(&request, '}');
	o = ask_agent(c, cmd_text(a, "agent", NULL), NULL, &request, &who, &e);
	if (!o)
		rc = cmd_fail(e.code == ERR_NETWORK || e.code == ERR_TIMEOUT ? EXIT_NO_ANSWER : EXIT_USAGE, "%s", e.msg);
	else if (a->json)
		print_pretty(o);
	else if (level)
		printf("%s logs %s now, it was %s\n", who, json_text(o, "level"), json_text(o, "was"));
	else
		printf("%s logs %s\n", who, json_text(o, "level"));
	cJSON_Delete(o);
	buf_free(&request);
	return rc;
}

static int
log_level_run(const struct cmd_args *a)
{
	const char *level = a->argc ? a->argv[0] : NULL;
	struct config *c;
	int rc;

	if (level && log_level_find(level) < 0)
		return cmd_fail(EXIT_USAGE, "LEVEL: expected one of " LOG_LEVELS ", got %.40s", level);
	c = xcalloc(1, sizeof *c);
	if ((rc = cmd_config(a, c)) == 0) {
		rc = ask_level(a, c, level);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_agent_log_level = {
	.name = "agent log-level",
	.args = "[LEVEL]",
	.help = "Change how much an agent that runs here logs, or show it",
	.more = "LEVEL is warn, info or debug. At debug each event of a task is a line, with the task's id. It lasts until the agent ends; "
	        "after that `log_level` of houses.yaml counts again.",
	.opts = level_opts,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = LOG_LEVELS,
	.run = log_level_run,
};
