#include <inttypes.h>
#include <string.h>

#include "bridge.h"
#include "buf.h"
#include "cmd.h"
#include "json.h"
#include "remote.h"

/* The latest that a bridge on this host has told; NULL: none has. */
static cJSON *
latest(const struct config *c)
{
	const struct config_names *names = config_candidates(c, c->bridge.house);
	cJSON *found = NULL;

	for (size_t i = 0; names && i < names->n; i++) {
		cJSON *o = figures_read(c, names->v[i]);

		/* Times of one form sort as texts. */
		if (o && (!found || strcmp(json_text(o, "time"), json_text(found, "time")) > 0)) {
			cJSON_Delete(found);
			found = o;
		} else {
			cJSON_Delete(o);
		}
	}
	return found;
}

static const cJSON *
part(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

static void
print_latency(const cJSON *o, const char *name)
{
	const cJSON *l = part(part(o, "triage"), name);

	printf("triage by %-8s p50 %.1f s, p99 %.1f s of %" PRId64 "\n", name, (double)json_number(l, "p50_ms", 0) / 1000,
	    (double)json_number(l, "p99_ms", 0) / 1000, json_number(l, "n", 0));
}

static void
print_suggestions(const cJSON *o)
{
	const char *before = "; right:";

	printf("suggestions       %s, learned from %" PRId64, json_text(o, "mode"), json_number(o, "learned_from", 0));
	for (int k = 0; k < SUGGEST_NKINDS; k++) {
		const cJSON *x = part(o, suggest_kind_name((enum suggest_kind)k));

		if (!json_number(x, "judged", 0))
			continue;
		printf("%s %s %" PRId64 " of %" PRId64 " (Brier %.3f)", before, suggest_kind_name((enum suggest_kind)k),
		    json_number(x, "right", 0), json_number(x, "judged", 0), cJSON_GetNumberValue(part(x, "brier")));
		before = ",";
	}
	putchar('\n');
}

static void
print_status(const cJSON *o, bool runs)
{
	const cJSON *g = part(o, "gitea"), *e = part(o, "events"), *s = part(o, "sums"), *p = part(o, "pulls_merged");
	char down[16];

	printf("bridge            %s, of %s\n", runs ? "runs" : "does not run", json_text(o, "agent"));
	age_text(down, sizeof down, json_number(g, "down_ms", 0));
	if (json_is_true(g, "reachable"))
		printf("Gitea             answers");
	else
		printf("Gitea             has not answered for %s", down);
	printf(", available %.3f %%\n", 100 * cJSON_GetNumberValue(part(g, "availability")));
	printf("open              %" PRId64 " new, %" PRId64 " shown, %" PRId64 " with houses\n", json_number(e, "new", 0),
	    json_number(e, "shown", 0), json_number(e, "out", 0));
	printf("triaged           %" PRId64 " issues, %" PRId64 " pull requests, %" PRId64 " again; %" PRId64 " taken over, %" PRId64 " given up\n",
	    json_number(s, "issues", 0), json_number(s, "pulls", 0), json_number(s, "reopened", 0), json_number(s, "adopted", 0), json_number(e, "given_up", 0));
	print_suggestions(part(o, "suggestions"));
	printf("tasks             %" PRId64 " succeeded, %" PRId64 " did not\n", json_number(s, "tasks_succeeded", 0),
	    json_number(s, "tasks_not_succeeded", 0));
	print_latency(o, "webhook");
	print_latency(o, "poll");
	printf("pull requests     %" PRId64 " opened by tasks; %" PRId64 " merged in the last week, %" PRId64 " in all\n",
	    json_number(s, "pulls_opened", 0), json_number(p, "week", 0), json_number(p, "all", 0));
}

static int
show(const struct cmd_args *a, const struct config *c)
{
	cJSON *o;
	bool runs;

	if (!c->bridge.repos.n)
		return cmd_fail(EXIT_USAGE, "%s: bridge.repos: expected repositories to watch, got none", c->path);
	o = latest(c);
	if (!o)
		return cmd_fail(EXIT_NO_ANSWER, "no bridge has run on this host, in %s; the owner of house %s keeps it, see `uni-wizard "
		    "house list`", c->state_dir, c->bridge.house);
	runs = figures_are_fresh(o);
	cJSON_AddBoolToObject(o, "runs", runs);
	if (a->json)
		print_pretty(o);
	else
		print_status(o, runs);
	cJSON_Delete(o);
	return runs ? EXIT_OK : EXIT_NO_ANSWER;
}

static int
run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	int rc = cmd_config(a, c);

	if (rc == 0) {
		rc = show(a, c);
		config_release(c);
	}
	free(c);
	return rc;
}

static const struct cmd_opt opts[] = {
	{ .name = "status", .kind = OPT_FLAG, .help = "what the bridge measures; nothing else is shown without it either" },
	{ .name = NULL },
};

const struct cmd cmd_allegro = {
	.name = "allegro",
	.help = "Show how the bridge to Gitea is: availability, triage latency, throughput",
	.more = "Of the bridge on this host that told last, also after it ended: then the exit code is 5. What the figures mean is in\n"
	    "docs/bridge.md.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = run,
};
