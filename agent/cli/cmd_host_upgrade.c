/*
 * cmd_host_upgrade.c - host upgrade: another version on one host after the other, while the others carry on.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "host_job.h"
#include "host_upgrade.h"
#include "json.h"
#include "nearest.h"

#define LISTEN_MS 2500

static const struct cmd_opt opts[] = {
	{ .name = "package", .kind = OPT_TEXT, .arg = "FILE", .complete = "files", .help = "uni-wizard_VERSION_ARCH.deb" },
	{ .name = "all", .kind = OPT_FLAG, .help = "every host of houses.yaml" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 5, .max = 3600,
	  .help = "how long agents may take to be in step again, before the former version is brought back (default 120)" },
	{ .name = "gap", .kind = OPT_FLAG, .help = "go on although a house has nobody to go to: it waits meanwhile" },
	{ .name = "accept-new", .kind = OPT_FLAG,
	  .help = "take the ssh key of a machine that was never seen (one that changed is still refused)" },
	{ .name = "dry-run", .kind = OPT_FLAG, .help = "look, and say what would be done; change nothing" },
	{ .name = NULL },
};

enum how { NOT_REACHED, CURRENT, UPGRADED, PLANNED, BROUGHT_BACK, FAILED };

static const char *const hows[] = { "untouched", "current", "upgraded", "planned", "brought_back", "failed" };

struct row {
	const struct config_host *host;
	enum how how;
	char from[64];
	int64_t took_ms;
	struct buf steps, back;         /* JSON */
	struct err e;
};

struct rows {
	struct row v[CONFIG_MAX_HOSTS];
	size_t n;
};

/* ---- which, and in which order ---- */

/* What all depend on comes last: who owns the router, if he is well, and brokers. */
static int
rank(const struct config *c, const struct config_host *h)
{
	return (c->router.n && config_names_has(&h->agents, c->router.v[0])) + 2 * host_has_broker(h);
}

static int
no_such_host(const struct config *c, const char *name)
{
	struct nearest near = { .word = name };
	const char *best;

	for (size_t i = 0; i < c->nhosts; i++)
		nearest_try(&near, c->hosts[i].name);
	best = nearest_word(&near);
	return cmd_fail(EXIT_USAGE, "NAME: expected one of `hosts` in %s, got \"%s\"%s%s%s", c->path, name, best ? "; did you mean " : "",
	    best ? best : "", best ? "?" : "");
}

static int
choose(const struct cmd_args *a, const struct config *c, struct rows *r)
{
	if (!cmd_text(a, "package", NULL))
		return cmd_fail(EXIT_USAGE, "--package: expected the file of the package to install");
	if (cmd_flag(a, "all") == (a->argc > 0))
		return cmd_fail(EXIT_USAGE, "expected names of hosts, or --all");
	for (int i = 0; i < a->argc; i++)
		if (!config_host_find(c, a->argv[i]))
			return no_such_host(c, a->argv[i]);
	for (int k = 0; k < 4; k++)
		for (size_t i = 0; i < c->nhosts; i++) {
			const struct config_host *h = &c->hosts[i];
			bool named = cmd_flag(a, "all");

			for (int n = 0; n < a->argc; n++)
				named |= strcmp(a->argv[n], h->name) == 0;
			if (named && rank(c, h) == k)
				r->v[r->n++].host = h;
		}
	return r->n ? 0 : cmd_fail(EXIT_USAGE, "%s names no hosts; `uni-wizard host add` adds one", c->path);
}

/* ---- going through them ---- */

static void
say(const struct cmd_args *a, const struct upgrade *u, const struct row *r)
{
	if (!a->json)
		printf("%s%s%s: %s -> %s\n", cmd_color(1, "bold"), r->host->name, cmd_color(1, "reset"), r->from, u->version);
}

/* All of them first: if one could not be done, none is begun. */
static int
look_at_all(const struct cmd_args *a, struct upgrade *u, struct rows *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++) {
		if (upgrade_look(u, r->v[i].host, cmd_flag(a, "accept-new"), e)) {
			r->v[i].how = FAILED;
			r->v[i].e = *e;
			return -1;
		}
		snprintf(r->v[i].from, sizeof r->v[i].from, "%s", u->look.installed);
	}
	return 0;
}

static int
do_one(const struct cmd_args *a, struct upgrade *u, struct row *r)
{
	bool dry = cmd_flag(a, "dry-run");
	int64_t begun = clock_mono_ms();
	int rc = upgrade_look(u, r->host, cmd_flag(a, "accept-new"), &r->e);

	if (rc == 0) {
		say(a, u, r);
		rc = upgrade_run(u, dry, a->json, a->json ? &r->steps : NULL, a->json ? &r->back : NULL, &r->e);
	}
	r->took_ms = clock_mono_ms() - begun;
	r->how = rc ? u->back ? BROUGHT_BACK : FAILED : u->look.order == 0 && !u->look.begun ? CURRENT : dry ? PLANNED : UPGRADED;
	return rc;
}

static int
go_through(const struct cmd_args *a, struct upgrade *u, struct rows *r, struct err *e)
{
	if (look_at_all(a, u, r, e))
		return -1;
	for (size_t i = 0; i < r->n; i++)
		if (do_one(a, u, &r->v[i])) {
			*e = r->v[i].e;
			return -1;
		}
	return 0;
}

/* ---- what came of it ---- */

static void
put_names(struct buf *b, const struct rows *r, enum how how, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].how == how)
			buf_addf(b, "%s%s", n++ ? ", " : b->len ? "; " : "", r->v[i].host->name);
	if (n)
		buf_addf(b, " %s", what);
}

static void
print_text(const struct upgrade *u, const struct rows *r, int rc, const struct err *e)
{
	struct buf b = { 0 };
	char with[96];

	snprintf(with, sizeof with, "with %s now", u->version);
	put_names(&b, r, UPGRADED, with);
	put_names(&b, r, CURRENT, "had it already");
	put_names(&b, r, PLANNED, "would be upgraded");
	put_names(&b, r, BROUGHT_BACK, "was brought back to the former version");
	put_names(&b, r, FAILED, "failed");
	put_names(&b, r, NOT_REACHED, "not touched");
	if (rc)
		cmd_fail(0, "%s", e->msg);
	fprintf(rc ? stderr : stdout, "%s\n", buf_str(&b));
	buf_free(&b);
}

static void
print_json(const struct upgrade *u, const struct rows *r, int rc, bool dry)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "package", u->file);
	json_kv_str(&b, "version", u->version);
	json_kv_bool(&b, "ok", rc == 0);
	json_kv_bool(&b, "dry_run", dry);
	json_put_key(&b, "hosts");
	json_put_open(&b, '[');
	for (size_t i = 0; i < r->n; i++) {
		const struct row *v = &r->v[i];

		json_put_open(&b, '{');
		json_kv_str(&b, "host", v->host->name);
		json_kv_str(&b, "state", hows[v->how]);
		json_kv_str(&b, "from", v->from[0] ? v->from : NULL);
		json_kv_int(&b, "took_ms", v->took_ms);
		if (v->steps.len)
			json_kv_raw(&b, "steps", v->steps.data, v->steps.len);
		if (v->back.len)
			json_kv_raw(&b, "back", v->back.data, v->back.len);
		if (v->e.code) {
			json_put_key(&b, "error");
			json_put_err(&b, &v->e);
		}
		json_put_close(&b, '}');
	}
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
upgrade(const struct cmd_args *a, struct watch *w, struct rows *r)
{
	struct upgrade u = { .watch = w, .within_ms = cmd_int(a, "within", 120) * 1000, .gap = cmd_flag(a, "gap") };
	struct err e = { 0 };
	int rc = upgrade_open(&u, cmd_text(a, "package", NULL), &e);

	if (rc) {
		rc = cmd_fail(EXIT_USAGE, "%s", e.msg);
	} else if (watch_for(w, LISTEN_MS, &e) || !houses_heard_any(&w->houses)) {
		rc = e.code ? cmd_fail(EXIT_REJECTED, "%s", e.msg) : remote_no_answer(&w->r, "any agent");
	} else {
		rc = go_through(a, &u, r, &e);
		if (a->json)
			print_json(&u, r, rc, cmd_flag(a, "dry-run"));
		else
			print_text(&u, r, rc, &e);
		rc = rc ? EXIT_NOT_SUCCEEDED : EXIT_OK;
	}
	upgrade_close(&u);
	return rc;
}

static int
upgrade_cmd_run(const struct cmd_args *a)
{
	struct rows *r = xcalloc(1, sizeof *r);
	struct watch w;
	int rc = watch_open(&w, a);

	if (rc == 0) {
		if ((rc = choose(a, &w.r.config, r)) == 0)
			rc = upgrade(a, &w, r);
		watch_close(&w);
	}
	for (size_t i = 0; i < r->n; i++) {
		buf_free(&r->v[i].steps);
		buf_free(&r->v[i].back);
	}
	free(r);
	return rc;
}

const struct cmd cmd_host_upgrade = {
	.name = "host upgrade",
	.args = "[NAME...]",
	.help = "Bring another version to hosts, one after the other, while houses stand elsewhere",
	.more = "Each host is looked at before the first is begun. Then on one after the other, brokers' and the router's last: the package is\n"
	        "brought there, its program says which protocol it speaks and which databases it reads, houses move to candidates in step on\n"
	        "other hosts, agents are stopped, the package is installed, agents are started, and when they are in step the next host\n"
	        "follows. If they are not within --within seconds, the former package is installed again, with the databases as they were, and it\n"
	        "ends there. Cut off, run it again. Mosquitto itself is not upgraded.\n\n"
	        "Exit code 1: a host was brought back, or could not be done; what became of each is said. 3: not allowed; 5: no agent is heard.",
	.opts = opts,
	.max_args = -1,
	.flags = CMD_JSON,
	.complete = "hosts",
	.run = upgrade_cmd_run,
};
