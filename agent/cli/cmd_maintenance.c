/*
 * cmd_maintenance.c - maintenance: what is to be done on a host now and then, beside agents that run.
 *
 * An agent keeps its own database small, and has it to itself; of it a copy is looked through. Others (outboxes, books) are
 * tidied up when nobody else has them. Artifacts and exports have commands of their own, which are run.
 */
#include <dirent.h>
#include <sqlite3.h>
#include <string.h>
#include <uv.h>

#include "artifact.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "proc.h"
#include "store_check.h"

#define STEP_MS 600000
#define BUSY_MS 1000
#define OUTPUT_MAX 16384

extern char **environ;

struct maintenance {
	const struct cmd_args *a;
	struct config config;
	struct buf json;
	int failed;
};

enum outcome { DONE, SKIPPED, FAILED };

static void
tell(struct maintenance *m, const char *step, const char *about, enum outcome how, const char *text)
{
	static const char *const outcomes[] = { [DONE] = "done", [SKIPPED] = "skipped", [FAILED] = "failed" };

	m->failed += how == FAILED;
	if (!m->a->json) {
		printf("%-9s %-20s %s%s%s\n", step, about, outcomes[how], *text ? ": " : "", text);
		return;
	}
	json_put_open(&m->json, '{');
	json_kv_str(&m->json, "step", step);
	json_kv_str(&m->json, "about", about);
	json_kv_str(&m->json, "outcome", outcomes[how]);
	json_kv_str(&m->json, "text", text);
	json_put_close(&m->json, '}');
}

/* ---- databases ---- */

static void
check_store(struct maintenance *m, const char *agent, const char *path)
{
	static const enum outcome of[] = { [STORE_WHOLE] = DONE, [STORE_DAMAGED] = FAILED, [STORE_NEWER] = FAILED,
		[STORE_NOT_CHECKED] = SKIPPED };
	char text[1024];
	enum store_finding found = store_check(m->config.state_dir, path, m->config.min_free_bytes, text, sizeof text);

	tell(m, "store", agent, of[found], text);
}

static void
tidy_up(struct maintenance *m, const char *name, const char *path)
{
	sqlite3 *h = NULL;
	int rc = sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL);

	sqlite3_busy_timeout(h, BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(h, "PRAGMA optimize; PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		tell(m, "database", name, SKIPPED, "it is in use");
	else
		tell(m, "database", name, rc == SQLITE_OK ? DONE : FAILED, rc == SQLITE_OK ? "" : sqlite3_errmsg(h));
	sqlite3_close(h);
}

static bool
is_agent(const struct config *c, const char *name)
{
	return name_ok(name) && config_identity_kind(c, name) == IDENTITY_AGENT;
}

static void
look_at(struct maintenance *m, const char *name)
{
	size_t n = strlen(name);
	char path[1024], agent[256];

	if (n < 4 || n > 255 || strcmp(name + n - 3, ".db") != 0)
		return;
	snprintf(path, sizeof path, "%.700s/%s", m->config.state_dir, name);
	snprintf(agent, sizeof agent, "%.*s", (int)n - 3, name);
	if (is_agent(&m->config, agent))
		check_store(m, agent, path);
	else
		tidy_up(m, name, path);
}

static void
look_at_databases(struct maintenance *m)
{
	struct dirent **names;
	int n = scandir(m->config.state_dir, &names, NULL, alphasort);

	if (n < 0)
		tell(m, "store", m->config.state_dir, FAILED, "this directory cannot be read");
	for (int i = 0; i < n; i++) {
		look_at(m, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

/* ---- commands of this program ---- */

static void
run_step(struct maintenance *m, const char *exe, const char *step, const char *noun, const char *verb)
{
	const char *argv[] = { exe, noun, verb, "--config", m->config.path, NULL };
	struct proc p = { .argv = argv, .env = (const char *const *)environ, .deadline_ms = clock_mono_ms() + STEP_MS,
		.grace_ms = BUSY_MS, .max_out = OUTPUT_MAX, .max_err = OUTPUT_MAX };
	struct proc_end end = { 0 };
	struct err e = { 0 };
	int rc = proc_run(&p, &end, &e);

	if (rc)
		tell(m, step, noun, FAILED, e.msg);
	else
		tell(m, step, noun, end.status == 0 ? DONE : FAILED, buf_str(end.status ? &end.err : &end.out));
	proc_end_release(&end);
}

static void
share(struct maintenance *m)
{
	config_name self;
	char exe[1024];
	size_t len = sizeof exe;

	if (!m->config.share_dir || artifact_self(&m->config, self, NULL))
		return;
	if (uv_exepath(exe, &len)) {
		tell(m, "share", "sync", FAILED, "cannot find this program's own file");
		return;
	}
	run_step(m, exe, "prune", "artifact", "prune");
	run_step(m, exe, "publish", "sync", "publish");
}

static int
maintenance_run(const struct cmd_args *a)
{
	struct maintenance *m = xcalloc(1, sizeof *m);
	int rc = cmd_config(a, &m->config);

	if (rc == 0) {
		m->a = a;
		json_put_open(&m->json, '[');
		look_at_databases(m);
		share(m);
		json_put_close(&m->json, ']');
		if (a->json)
			puts(buf_str(&m->json));
		rc = m->failed ? EXIT_NOT_SUCCEEDED : EXIT_OK;
		config_release(&m->config);
	}
	buf_free(&m->json);
	free(m);
	return rc;
}

const struct cmd cmd_maintenance = {
	.name = "maintenance",
	.help = "Look through the databases of this host, and tidy up; agents go on meanwhile",
	.more = "Of each agent's database a copy is looked through; it is left out if there is no room for one. Other databases are\n"
	        "tidied up. Where files are shared, also `artifact prune` and `sync publish`. Exit code 1: something failed, or a\n"
	        "database is damaged. uni-wizard-maintenance.timer runs it each night.",
	.flags = CMD_JSON,
	.run = maintenance_run,
};
