#include <string.h>

#include "buf.h"
#include "cmd.h"
#include "config.h"
#include "json.h"
#include "restore.h"
#include "save.h"

static const char *const fates[] = {
	[RESTORE_NEW] = "new",
	[RESTORE_SAME] = "is there",
	[RESTORE_THERE] = "put aside",
};

/* ---- telling ---- */

static void
put_result(struct buf *b, const struct restore *r, bool done)
{
	json_put_open(b, '{');
	json_kv_bool(b, "restored", done);
	json_kv_str(b, "time", r->about->time);
	json_kv_str(b, "host", r->about->host);
	json_put_key(b, "agents");
	json_put_open(b, '[');
	for (size_t i = 0; i < r->about->nagents; i++)
		if (!r->o.agent || strcmp(r->o.agent, r->about->agents[i].agent) == 0)
			json_put_str(b, r->about->agents[i].agent);
	json_put_close(b, ']');
	json_put_key(b, "files");
	json_put_open(b, '[');
	for (size_t i = 0; i < r->nitems; i++) {
		json_put_open(b, '{');
		json_kv_str(b, "path", r->items[i].target);
		json_kv_str(b, "fate", fates[r->items[i].fate]);
		if (r->items[i].aside)
			json_kv_str(b, "aside", r->items[i].aside);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
	json_put_key(b, "chains");
	json_put_open(b, '[');
	for (size_t i = 0; i < r->nchains; i++)
		json_put_str(b, r->chains[i]);
	json_put_close(b, ']');
	json_put_close(b, '}');
}

static void
print_files(const struct restore *r)
{
	struct table *t = table_new((const char *const[]){ "FILE", "FATE", NULL });

	for (size_t i = 0; i < r->nitems; i++) {
		table_cell(t, "%s", r->items[i].target);
		table_cell(t, "%s", fates[r->items[i].fate]);
	}
	table_print(t);
}

/* Other directories than those that were filled: only with --to. */
static void
warn_places(const struct restore *r)
{
	struct config *c = xcalloc(1, sizeof *c);
	char yaml[PATH_MAX], dir[PATH_MAX];

	snprintf(yaml, sizeof yaml, "%s/houses.yaml", r->o.to);
	if (config_load(c, yaml, NULL, NULL, NULL) == 0) {
		if (strcmp(c->pki_dir, restore_dir(r, "pki", dir, sizeof dir)) != 0)
			printf("%s says pki: %s, not %s\n", yaml, c->pki_dir, dir);
		if (strcmp(c->state_dir, restore_dir(r, "state", dir, sizeof dir)) != 0)
			printf("%s says state: %s, not %s\n", yaml, c->state_dir, dir);
		config_release(c);
	}
	free(c);
}

static void
print_next(const struct restore *r)
{
	const struct backup_manifest *m = r->about;

	for (size_t i = 0; i < r->nchains; i++)
		printf("the audit chain until then: %s; `uni-wizard audit verify` reads it\n", r->chains[i]);
	for (size_t i = 0; i < m->nagents; i++) {
		const char *agent = m->agents[i].agent;

		if (r->o.agent && strcmp(r->o.agent, agent) != 0)
			continue;
		printf("%s knows what was so at %s. Next: uni-wizard doctor --agent %s; then start it. It follows before it owns;\n"
		       "where nobody else has its house, what may have run since then is uncertain and asks:\n"
		       "  uni-wizard house list; uni-wizard task list --state uncertain\n", agent, m->time, agent);
	}
	if (m->keys && !r->o.only)
		printf("with all keys: who else could read this backup? docs/disaster.md says what to revoke if somebody could\n");
}

static int
finish(const struct cmd_args *a, const struct restore *r, bool done)
{
	struct buf b = { 0 };

	if (a->json) {
		put_result(&b, r, done);
		puts(buf_str(&b));
		buf_free(&b);
		return EXIT_OK;
	}
	print_files(r);
	if (!done) {
		puts("all of it is as it was written; nothing was changed");
		return EXIT_OK;
	}
	if (r->o.to)
		warn_places(r);
	print_next(r);
	return EXIT_OK;
}

/* ---- the command ---- */

static int
code_of(const struct err *e)
{
	return e->code == ERR_CONFLICT || e->code == ERR_BUSY ? EXIT_REJECTED : EXIT_NOT_SUCCEEDED;
}

static int
restore(const struct cmd_args *a, struct backup *b, const struct restore_opts *o)
{
	bool dry = cmd_flag(a, "dry-run");
	struct restore r;
	struct err e = { 0 };
	int rc = restore_plan(&r, b, o, &e);

	if (rc == 0)
		rc = dry ? backup_read(b, NULL, &e) : restore_do(&r, b, &e);
	rc = rc ? cmd_fail(code_of(&e), "%s: %s", a->argv[0], e.msg) : finish(a, &r, !dry);
	restore_release(&r);
	return rc;
}

static int
check_only(const char *only)
{
	static const char *const parts[] = { "config", "pki", "state", "sovereign" };

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!only || strcmp(only, parts[i]) == 0)
			return EXIT_OK;
	return cmd_fail(EXIT_USAGE, "--only: expected config, pki, state or sovereign, got %.40s", only);
}

static int
restore_run(const struct cmd_args *a)
{
	struct backup_keys keys = { .identity = cmd_text(a, "identity", NULL), .passphrase_file = cmd_text(a, "passphrase-file", NULL) };
	struct restore_opts o = { .agent = cmd_text(a, "agent", NULL), .only = cmd_text(a, "only", NULL), .force = cmd_flag(a, "force") };
	char *to = cmd_text(a, "to", NULL) ? save_absolute(cmd_text(a, "to", NULL)) : NULL;
	struct backup *b = NULL;
	struct err e = { 0 };
	int rc = check_only(o.only);

	o.to = to;
	if (rc == EXIT_OK && backup_open(&b, a->argv[0], &keys, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (rc == EXIT_OK)
		rc = restore(a, b, &o);
	backup_close(b);
	free(to);
	return rc;
}

const struct cmd cmd_restore = {
	.name = "restore",
	.args = "FILE",
	.help = "Put a backup back, or onto another host",
	.more = "First all of it is read and checked, then it is put in place; an agent that runs, or whatever is there already and is\n"
	        "not the same, stops it. Databases begin another life of their agents: what is older than others know is caught up\n"
	        "before they own anything, and no term, number or audit record is used twice. docs/disaster.md has the cases.",
	.opts = (const struct cmd_opt[]){
		{ .name = "to", .letter = 't', .kind = OPT_TEXT, .arg = "DIR", .complete = "files",
		  .help = "all beneath this directory (else where it was)" },
		{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
		  .help = "of databases this agent's alone" },
		{ .name = "only", .letter = 0, .kind = OPT_TEXT, .arg = "PART", .complete = "config pki state sovereign",
		  .help = "this part alone: config, pki, state, sovereign" },
		{ .name = "dry-run", .letter = 'n', .kind = OPT_FLAG, .help = "read and check all of it, change nothing" },
		{ .name = "force", .letter = 'f', .kind = OPT_FLAG, .help = "put aside what is there, as <file>.before-<time>" },
		BACKUP_OPTS,
		{ .name = NULL } },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.complete = "files",
	.run = restore_run,
};
