/*
 * cmd_sync.c - sync setup, status: Syncthing as houses.yaml wants it, and how it stands.
 */
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "sync.h"

#define SETUP_MS 60000
#define STATUS_MS 10000

static int
fail(const struct err *e)
{
	return cmd_fail(e->code == ERR_CONFIG ? EXIT_USAGE : e->code == ERR_NETWORK || e->code == ERR_TIMEOUT ? EXIT_NO_ANSWER :
	    EXIT_NOT_SUCCEEDED, "%s", e->msg);
}

/* ---- setup ---- */

struct setup {
	const struct cmd_args *a;
	struct buf json;
};

static void
tell(void *arg, const char *line)
{
	struct setup *t = arg;

	if (t->a->json)
		json_put_str(&t->json, line);
	else
		puts(line);
}

/* Not everything is taken while it runs; 1.19 takes all that is changed here. */
static bool
wants_restart(struct syncthing *s)
{
	cJSON *o = syncthing_get(s, "/rest/config/restart-required", NULL);
	bool wants = json_is_true(o, "requiresRestart");

	cJSON_Delete(o);
	return wants;
}

static void
print_setup(struct setup *t, const struct config_device *self, int n, bool dry, bool restart)
{
	if (t->a->json) {
		json_put_close(&t->json, ']');
		json_kv_str(&t->json, "device", self->name);
		json_kv_int(&t->json, "differences", n);
		json_kv_bool(&t->json, "applied", !dry && n > 0);
		json_kv_bool(&t->json, "restart_required", restart);
		json_put_close(&t->json, '}');
		puts(buf_str(&t->json));
		return;
	}
	if (n == 0)
		printf("%s: Syncthing has all that houses.yaml says; nothing is changed\n", self->name);
	else
		printf("%s: %d difference%s%s\n", self->name, n, n == 1 ? "" : "s", dry ? "; nothing is changed (--dry-run)" : ", now mended");
	if (restart)
		puts("restart Syncthing: some of it holds from its next start");
}

static int
setup_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct setup t = { .a = a };
	const struct config_device *self = NULL;
	bool dry = cmd_flag(a, "dry-run");
	struct syncthing s = { .h = NULL };
	struct err e = { 0 };
	int rc = cmd_config(a, c), n = -1;

	if (rc) {
		free(c);
		return rc;
	}
	json_put_open(&t.json, '{');
	json_put_key(&t.json, "changes");
	json_put_open(&t.json, '[');
	if (syncthing_open(&s, c, SETUP_MS, &e) == 0)
		n = sync_compare(&s, !dry, &self, tell, &t, &e);
	if (n >= 0)
		print_setup(&t, self, n, dry, wants_restart(&s));
	rc = n < 0 ? fail(&e) : EXIT_OK;
	syncthing_close(&s);
	buf_free(&t.json);
	config_release(c);
	free(c);
	return rc;
}

const struct cmd cmd_sync_setup = {
	.name = "sync setup",
	.help = "Set this host's Syncthing up as houses.yaml says, and print what that changes",
	.more = "Each device gets a folder of which it is the only writer: sendonly on its own host, receiveonly on all others. Whatever\n"
	        "could talk to anybody else (relays, discovery, NAT, reports, upgrades) is switched off unless syncthing.outside names\n"
	        "it. Devices and folders that are not of houses.yaml are left alone. A second run changes nothing.",
	.opts = (const struct cmd_opt[]){
		{ .name = "dry-run", .kind = OPT_FLAG, .help = "print it, and change nothing" },
		{ .name = NULL },
	},
	.flags = CMD_JSON,
	.run = setup_run,
};

/* ---- status ---- */

static void
print_status(const struct config *c, const struct sync_status *st)
{
	static const char *const heads[] = { "DEVICE", "CONNECTED", "LACKS OF OURS", "ITS FOLDER", "ITEMS", "TO COME", "ERRORS", "CHANGED",
		"CONFLICTS", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < st->n; i++) {
		const struct sync_device *v = &st->v[i];

		table_cell(t, "%s", v->d->name);
		table_cell(t, "%s", v->is_self ? "this host" : v->connected ? v->address : v->paused ? "paused" : "no");
		if (v->lacks >= 0)
			table_cell(t, "%lld", (long long)v->lacks);
		else
			table_cell(t, "%s", "-");
		table_cell(t, "%s", v->shared ? v->state : "none");
		table_cell(t, "%lld", (long long)v->items);
		table_cell(t, "%lld", (long long)v->need_items);
		table_cell(t, "%lld", (long long)v->errors);
		table_cell(t, "%lld", (long long)v->changed);
		table_cell(t, "%ld", sync_conflicts(c, v->d->name));
	}
	table_print(t);
	printf("%s%s%s\n", cmd_color(STDOUT_FILENO, st->ok ? "green" : "red"), st->text, cmd_color(STDOUT_FILENO, "reset"));
}

static void
print_json(const struct sync_status *st)
{
	struct buf b = { 0 };

	syncthing_put(&b, st);
	puts(buf_str(&b));
	buf_free(&b);
}

static void
count_conflicts(const struct config *c, struct sync_status *st)
{
	st->conflicts = 0;
	for (size_t i = 0; i < st->n; i++)
		st->conflicts += sync_conflicts(c, st->v[i].d->name);
	st->ok &= !st->conflicts;
}

static int
status_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct sync_status *st = xcalloc(1, sizeof *st);
	struct syncthing s = { .h = NULL };
	struct err e = { 0 };
	int rc = cmd_config(a, c);

	if (!rc && (syncthing_open(&s, c, STATUS_MS, &e) || syncthing_look(&s, st, &e))) {
		rc = fail(&e);
	} else if (!rc) {
		count_conflicts(c, st);
		rc = st->ok ? EXIT_OK : EXIT_NOT_SUCCEEDED;
		if (a->json)
			print_json(st);
		else
			print_status(c, st);
	}
	syncthing_close(&s);
	config_release(c);
	free(st);
	free(c);
	return rc;
}

const struct cmd cmd_sync_status = {
	.name = "sync status",
	.help = "Which hosts are connected, and what is still to come from them and to go there",
	.more = "Exit code 0: all are connected, and nothing is wrong; files may still be on their way. 1: something is: a host that is\n"
	        "away, a file that cannot be brought here, one that somebody changed in a folder that is not his (here, or of ours\n"
	        "elsewhere), a conflict. 5: this host's Syncthing does not answer.",
	.flags = CMD_JSON,
	.run = status_run,
};
