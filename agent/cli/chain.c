#include "chain.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit_store.h"
#include "buf.h"
#include "clock.h"
#include "json.h"
#include "local.h"
#include "signer.h"

#define ANSWER_MS 20000
#define TRIES 5

/* An agent, or its database. */
struct place {
	const struct config *config;
	const char *agent;
	struct local *local;            /* NULL: the database */
	struct db db;
	int first;
};

struct lines {
	char **v;
	size_t n;
	int64_t next;                   /* page; 0: no more */
};

static void
lines_add(struct lines *l, const char *text, size_t len)
{
	l->v = xrealloc(l->v, (l->n + 1) * sizeof *l->v);
	l->v[l->n++] = xstrndup(text, len);
}

static void
lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lines){ 0 };
}

/* ---- an agent that runs ---- */

static int
take_answer(struct lines *out, const char *line, size_t len, struct err *e)
{
	cJSON *o = json_parse_object(line, len, e);
	const char *type = json_text(o, "type");
	int rc = o ? 0 : -1;

	if (o && strcmp(type, "error") == 0) {
		rc = err_set(e, ERR_INVALID, "%s", json_text(cJSON_GetObjectItemCaseSensitive(o, "error"), "message"));
	} else if (o && strcmp(type, "end") == 0) {
		out->next = json_number(o, "next", 0);
		rc = 1;
	} else if (o) {
		lines_add(out, line, len);
	}
	cJSON_Delete(o);
	return rc;
}

static int
ask(struct place *p, const char *request, struct lines *out, struct err *e)
{
	char *line;
	size_t len;
	int rc = local_send(p->local, request, strlen(request), ANSWER_MS, e);

	while (rc == 0) {
		int n = local_read(p->local, ANSWER_MS, &line, &len, e);

		if (n <= 0)
			return n < 0 ? -1 : err_set(e, ERR_TIMEOUT, "agent %s does not answer", p->agent);
		rc = take_answer(out, line, len, e);
	}
	return rc > 0 ? 0 : -1;
}

/* ---- a database ---- */

static int
open_database(struct place *p, struct err *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s.db", p->config->state_dir, p->agent);
	if (access(path, R_OK))
		return err_set(e, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
	if (sqlite3_open_v2(path, &p->db.h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
		err_set(e, ERR_STORE, "%s", p->db.h ? sqlite3_errmsg(p->db.h) : "out of memory");
	else if (audit_store_prepare(&p->db, &p->first, e) == 0)
		return 0;
	db_close(&p->db);
	return err_wrap(e, "%s", path);
}

struct gathered {
	struct lines *out;
	struct buf b;
};

static void
gather_last(struct gathered *g)
{
	if (g->b.len)
		lines_add(g->out, g->b.data, g->b.len - 1);
	buf_clear(&g->b);
}

static struct buf *
next_line(void *gathered)
{
	struct gathered *g = gathered;

	gather_last(g);
	json_put_open(&g->b, '{');
	json_kv_str(&g->b, "type", "audit_page");
	return &g->b;
}

static void
put_head(struct place *p, struct lines *out)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "type", "audit");
	json_kv_str(&b, "agent", p->agent);
	json_kv_str(&b, "cluster", p->config->cluster);
	json_kv_int(&b, "time", clock_wall_ms());
	audit_store_put_chain(&p->db, p->first, &b);
	json_put_close(&b, '}');
	lines_add(out, b.data, b.len);
	buf_free(&b);
}

/* ---- either ---- */

static int
get_head(struct place *p, struct lines *out, struct err *e)
{
	if (p->local)
		return ask(p, "{\"op\":\"audit\"}", out, e);
	put_head(p, out);
	return 0;
}

static int
get_pages(struct place *p, int64_t page, int64_t since_ms, struct lines *out, struct err *e)
{
	struct gathered g = { .out = out };
	char request[80];

	if (p->local) {
		snprintf(request, sizeof request, "{\"op\":\"audit\",\"%s\":%lld}", since_ms ? "since" : "page",
		    (long long)(since_ms ? since_ms : page));
		return ask(p, request, out, e);
	}
	if (since_ms)
		page = audit_store_page_at(&p->db, p->first, since_ms);
	out->next = audit_store_pages(&p->db, p->first, page, next_line, &g);
	gather_last(&g);
	buf_free(&g.b);
	return 0;
}

static char *
checkpoint_of(const struct lines *head)
{
	cJSON *o = head->n ? cJSON_Parse(head->v[0]) : NULL;
	char *text = xstrdup(json_text(o, "checkpoint"));

	cJSON_Delete(o);
	return text;
}

/* The head, and the pages that it begins with: what is forgotten between the two is asked for again. */
static int
get_beginning(struct place *p, int64_t since_ms, struct lines *head, struct lines *pages, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		struct lines again = { 0 };
		char *before, *after;
		bool same;

		lines_free(head);
		lines_free(pages);
		if (get_head(p, head, e) || get_pages(p, 1, since_ms, pages, e) || get_head(p, &again, e)) {
			lines_free(&again);
			return -1;
		}
		before = checkpoint_of(head);
		after = checkpoint_of(&again);
		same = strcmp(before, after) == 0;
		free(before);
		free(after);
		lines_free(&again);
		if (same)
			return 0;
	}
	return err_set(e, ERR_BUSY, "it changes faster than it can be read");
}

/* A chain that is handed on in part says where it begins. */
static void
tell_head(const struct lines *head, const struct lines *pages, bool part, chain_line *f, void *arg)
{
	cJSON *o = cJSON_Parse(head->v[0]), *first = pages->n ? cJSON_Parse(pages->v[0]) : NULL;
	char *text;

	if (part && first)
		cJSON_AddNumberToObject(o, "since_page", (double)json_number(first, "page", 0));
	text = cJSON_PrintUnformatted(o);
	f(arg, text, strlen(text));
	cJSON_free(text);
	cJSON_Delete(first);
	cJSON_Delete(o);
}

static int
read_place(struct place *p, int64_t since_ms, chain_line *f, void *arg, struct err *e)
{
	struct lines head = { 0 }, pages = { 0 };
	int rc = get_beginning(p, since_ms, &head, &pages, e);

	if (rc == 0 && head.n)
		tell_head(&head, &pages, since_ms > 0, f, arg);
	while (rc == 0) {
		int64_t next = pages.next;

		for (size_t i = 0; i < pages.n; i++)
			f(arg, pages.v[i], strlen(pages.v[i]));
		lines_free(&pages);
		if (!next)
			break;
		rc = get_pages(p, next, 0, &pages, e);
	}
	lines_free(&head);
	lines_free(&pages);
	return rc;
}

int
chain_read_agent(const struct config *c, const char *agent, int64_t since_ms, chain_line *f, void *arg, struct err *e)
{
	struct place p = { .config = c, .agent = agent };
	char path[512];
	int rc;

	snprintf(path, sizeof path, "%s/%s.sock", c->run_dir, agent);
	if (local_open(&p.local, path, ANSWER_MS, NULL) && open_database(&p, e))
		return -1;
	rc = read_place(&p, since_ms, f, arg, e);
	if (p.local)
		local_close(p.local);
	else
		db_close(&p.db);
	return rc;
}

int
chain_read_file(const char *path, chain_line *f, void *arg, struct err *e)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	if (!in)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	while ((n = getline(&line, &cap, in)) > 0)
		f(arg, line, (size_t)n - (line[n - 1] == '\n'));
	if (ferror(in))
		rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	free(line);
	if (in != stdin)
		fclose(in);
	return rc;
}

size_t
chain_agents(const struct config *c, const char **out, size_t max)
{
	static config_name names[CONFIG_MAX_VOTERS];
	size_t total = config_voters(c, names, CONFIG_MAX_VOTERS), n = 0;

	for (size_t i = 0; i < total && n < max; i++) {
		char path[512];

		snprintf(path, sizeof path, "%s/%s.db", c->state_dir, names[i]);
		if (access(path, F_OK) == 0)
			out[n++] = names[i];
	}
	return n;
}

int
chain_key(const struct config *c, const char *binding, char agent[64], struct sign_public *out, struct err *e)
{
	struct binding b;

	if (binding_check(binding, c->pki_dir, &b, e))
		return -1;
	if (strcmp(b.cluster, c->cluster) != 0)
		return err_set(e, ERR_DENIED, "it is of cluster %s", b.cluster);
	snprintf(agent, 64, "%s", b.agent);
	*out = b.key;
	return 0;
}
