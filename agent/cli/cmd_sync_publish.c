/*
 * cmd_sync_publish.c - sync publish: the audit chains of the agents that live here, and what they have learned, as files that
 * the other hosts get: <dir>/<device>/audit/<agent>.ndjson and patterns/<agent>.json.
 */
#include <string.h>

#include "artifact.h"
#include "ask.h"
#include "chain.h"
#include "cmd.h"
#include "json.h"

#define AGENTS_MAX 256

struct publishing {
	const struct cmd_args *a;
	const struct config *c;
	config_name self;
	struct buf json;
	int failed;
};

/* ---- telling ---- */

static void
tell(struct publishing *p, const char *kind, const char *agent, const char *what, int64_t bytes, const char *why)
{
	if (!p->a->json) {
		printf("%-9s %-16s %s%s%s\n", kind, agent, what, why ? ": " : "", why ? why : "");
		return;
	}
	json_put_open(&p->json, '{');
	json_kv_str(&p->json, "kind", kind);
	json_kv_str(&p->json, "agent", agent);
	json_kv_str(&p->json, "outcome", what);
	if (bytes >= 0)
		json_kv_int(&p->json, "bytes", bytes);
	if (why)
		json_kv_str(&p->json, "why", why);
	json_put_close(&p->json, '}');
}

/* Ends the draft. rc: how it was filled. */
static void
finish(struct publishing *p, struct artifact_draft *d, int rc, const char *kind, const char *agent, const char *suffix,
    const struct err *filled)
{
	struct err e = *filled;
	char name[NAME_MAX_LEN + 16];
	bool changed = false;

	snprintf(name, sizeof name, "%s%s", agent, suffix);
	if (rc == 0)
		rc = artifact_publish(d, p->self, kind, name, &changed, &e);
	if (rc == 0) {
		tell(p, kind, agent, changed ? "published" : "unchanged", d->bytes, NULL);
	} else {
		tell(p, kind, agent, "failed", -1, e.msg);
		p->failed++;
	}
	artifact_drop(d);
}

/* ---- audit ---- */

struct chain_copy {
	struct artifact_draft *d;
	char *head;                     /* its first line */
	struct err e;
	int rc;
};

static void
on_line(void *arg, const char *line, size_t len)
{
	struct chain_copy *x = arg;

	if (!x->head)
		x->head = xstrndup(line, len);
	if (x->rc == 0)
		x->rc = artifact_add(x->d, line, len, &x->e) || artifact_add(x->d, "\n", 1, &x->e) ? -1 : 0;
}

/* What the first line says of the chain: where it begins and ends, its keys; not when it was read. */
static cJSON *
chain_of(const char *head)
{
	cJSON *o = head ? json_parse_object(head, strlen(head), NULL) : NULL;

	cJSON_DeleteItemFromObjectCaseSensitive(o, "time");
	return o;
}

static bool
is_published(const struct publishing *p, const char *agent, const char *head)
{
	char name[NAME_MAX_LEN + 16], *path, *line = NULL;
	cJSON *now = chain_of(head), *then = NULL;
	size_t size = 0;
	FILE *f;
	bool same;

	snprintf(name, sizeof name, "%s.ndjson", agent);
	path = artifact_path(p->c->share_dir, p->self, "audit", name);
	f = fopen(path, "re");
	if (f && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		then = chain_of(line);
	}
	same = now && then && cJSON_Compare(now, then, true);
	if (f)
		fclose(f);
	cJSON_Delete(now);
	cJSON_Delete(then);
	free(line);
	free(path);
	return same;
}

static void
publish_audit(struct publishing *p, const char *agent)
{
	struct artifact_draft d;
	struct chain_copy x = { .d = &d };

	if (artifact_begin(&d, p->c, &x.e)) {
		tell(p, "audit", agent, "failed", -1, x.e.msg);
		p->failed++;
		return;
	}
	if (chain_read_agent(p->c, agent, 0, on_line, &x, &x.e))
		x.rc = -1;
	if (x.rc == 0 && is_published(p, agent, x.head)) {
		tell(p, "audit", agent, "unchanged", d.bytes, NULL);
		artifact_drop(&d);
	} else {
		finish(p, &d, x.rc, "audit", agent, ".ndjson", &x.e);
	}
	free(x.head);
}

/* ---- patterns ---- */

static cJSON *
ask_what_was_learned(const struct publishing *p, const char *agent, const char *what, struct err *e)
{
	struct buf request = { 0 };
	const char *who = NULL;
	cJSON *o;

	json_put_open(&request, '{');
	json_kv_str(&request, "op", "intelligence");
	json_kv_str(&request, "do", what);
	json_put_close(&request, '}');
	o = ask_agent(p->c, agent, NULL, &request, &who, e);
	buf_free(&request);
	return o;
}

static void
publish_patterns(struct publishing *p, const char *agent)
{
	struct err e = { 0 };
	cJSON *state = ask_what_was_learned(p, agent, "show", &e), *report = state ? ask_what_was_learned(p, agent, "report", &e) : NULL;
	struct artifact_draft d;
	struct buf b = { 0 };
	int rc;

	if (!report) {
		/* What was published last stands. */
		tell(p, "patterns", agent, "skipped", -1, e.msg);
	} else if (artifact_begin(&d, p->c, &e)) {
		tell(p, "patterns", agent, "failed", -1, e.msg);
		p->failed++;
	} else {
		json_put_open(&b, '{');
		json_kv_str(&b, "agent", agent);
		json_put_key(&b, "learned");
		json_put_tree(&b, state);
		json_put_key(&b, "report");
		json_put_tree(&b, report);
		json_put_close(&b, '}');
		buf_addc(&b, '\n');
		rc = artifact_add(&d, b.data, b.len, &e);
		finish(p, &d, rc, "patterns", agent, ".json", &e);
	}
	buf_free(&b);
	cJSON_Delete(state);
	cJSON_Delete(report);
}

static int
publish(struct publishing *p)
{
	const char *agents[AGENTS_MAX];
	size_t n = chain_agents(p->c, agents, AGENTS_MAX);
	struct err e = { 0 };

	if (artifact_self(p->c, p->self, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	json_put_open(&p->json, '[');
	for (size_t i = 0; i < n; i++) {
		publish_audit(p, agents[i]);
		publish_patterns(p, agents[i]);
	}
	json_put_close(&p->json, ']');
	if (p->a->json)
		puts(buf_str(&p->json));
	else if (!n)
		printf("no agent has its database in %s: there is nothing to publish\n", p->c->state_dir);
	return p->failed ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static int
publish_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct publishing p = { .a = a, .c = c };
	int rc = cmd_config(a, c);

	if (!rc)
		rc = publish(&p);
	buf_free(&p.json);
	config_release(c);
	free(c);
	return rc;
}

const struct cmd cmd_sync_publish = {
	.name = "sync publish",
	.help = "Share the audit chains of the agents that live here, and what they have learned",
	.more = "Writes audit/<agent>.ndjson, which `uni-wizard audit verify` checks on any host, and patterns/<agent>.json into this host's\n"
	        "shared directory. What is the same as before is left as it is; each file is replaced whole. Meant for a timer.",
	.flags = CMD_JSON,
	.run = publish_run,
};
