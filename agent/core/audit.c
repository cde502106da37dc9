/*
 * audit.c - the agent's own account of what it decided and what ran here: see audit.h of shared/.
 *
 * A record is made when a task or an attempt ends, and goes to the disk with it: the turn's records are a page,
 * sealed and signed once, in the same transaction. A page that could not be written waits in memory with all else
 * of its turn; it is not made anew.
 */
#include "audit.h"

#include <string.h>

#include "audit_store.h"
#include "canonical.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define PAGE_BYTES (1 << 20)            /* of records, packed; more are more pages */
#define SEEN_EVERY_MS 60000
#define SEEN_FIRST_MS 5000              /* after the start */
#define PRUNE_PAGES 512                 /* looked at in one go */

enum {
	A_PUT, A_PUT_OWN, A_PUT_KEY, A_LAST, A_OLDEST, A_KEYS, A_DROP, A_DROP_OWN, A_META_SET, A_COUNT
};

static const char *const sql[A_COUNT] = {
	[A_PUT] = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[A_PUT_OWN] = "INSERT INTO audit_own VALUES (?1, ?2)",
	[A_PUT_KEY] = "INSERT INTO audit_keys (binding) VALUES (?1)",
	[A_LAST] = "SELECT page, first, count, bytes, hash FROM audit ORDER BY page DESC LIMIT 1",
	[A_OLDEST] = "SELECT page, first, count, at_ms, bytes, hash FROM audit ORDER BY page LIMIT ?1",
	[A_KEYS] = "SELECT binding FROM audit_keys ORDER BY n",
	[A_DROP] = "DELETE FROM audit WHERE page <= ?1",
	[A_DROP_OWN] = "DELETE FROM audit_own WHERE n <= ?1",
	[A_META_SET] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
};

/* A page that is sealed and not written yet. */
struct sealed {
	struct audit_seal s;
	unsigned char hash[DIGEST_SIZE];        /* with its seal */
	struct buf records;
	char *text;                             /* the seal's envelope, or the seal itself */
	struct sealed *next;
};

struct own {
	int64_t n;
	char *envelope;
	struct own *next;
};

struct audit {
	int writes, reads;                      /* first statements */
	struct digest *digest;
	struct audit_pack pack;                 /* the open page */
	int64_t count;                          /* its records */
	unsigned char hash[DIGEST_SIZE];        /* behind the last sealed page */
	int64_t page, n;                        /* of the last sealed page; of the last record */
	struct sealed *sealed, **sealed_end;
	struct own *own, **own_end;
	int64_t bytes;                          /* that were ever written */
	int64_t stored_n;
	char stored_hash[DIGEST_HEX];
	int64_t pruned_page, pruned_n;          /* as the next checkpoint says */
	char term_text[TERM_TEXT];              /* of term */
	struct term term;
	int64_t seen_ms;                        /* mono: the last seal that said what was heard */
	bool unsigned_told;
};

static sqlite3_stmt *
use(struct core *c, int q)
{
	return db_use(&c->db, c->audit->writes + q);
}

/* ---- records ---- */

static void
fill(struct core *c, struct audit_record *r, const char *role)
{
	*r = (struct audit_record){ .n = c->audit->n + 1, .ended = c->now.wall_ms };
	r->agent = audit_text(c->o.agent);
	r->cluster = audit_text(c->o.config->cluster);
	r->host = audit_text(c->o.host);
	r->role = audit_text(role);
	r->store = audit_text(c->store_id);
	r->version = audit_text(c->o.version);
}

static struct audit_text
term_of(struct core *c, const struct house *h)
{
	struct audit *a = c->audit;

	if (!h || !h->term.n)
		return audit_text(NULL);
	if (!term_equal(&a->term, &h->term)) {
		a->term = h->term;
		term_format(&h->term, a->term_text);
	}
	return audit_text(a->term_text);
}

static void
fill_tool(struct core *c, struct audit_record *r, const char *name)
{
	const struct tool *tool = registry_find(c->o.tools, name);

	r->tool = audit_text(name);
	r->tool_digest = audit_text(tool ? registry_digest(c->o.tools, tool) : NULL);
}

/* What the worker noted: canonical text of some of its members. */
static void
fill_notes(struct audit_record *r, const char *notes, struct buf texts[3])
{
	struct audit_text *const to[3] = { &r->proof, &r->reads, &r->writes };
	static const char *const names[3] = { "proof", "reads", "writes" };
	cJSON *o = notes ? cJSON_Parse(notes) : NULL;

	for (int i = 0; o && i < 3; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, names[i]);

		if (v && !cJSON_IsNull(v) && canonical_put(&texts[i], v, NULL) == 0)
			*to[i] = (struct audit_text){ texts[i].data, texts[i].len };
	}
	cJSON_Delete(o);
}

static void
sign_own(struct core *c, const struct audit_record *r)
{
	struct audit *a = c->audit;
	struct buf text = { 0 }, envelope = { 0 };
	struct own *x;

	if (!c->o.sign)
		return;
	audit_put_record(&text, r);
	if (c->o.sign(c->o.sign_arg, AUDIT_STATEMENT_PAYLOAD, text.data, text.len, &envelope, NULL) == 0) {
		x = xcalloc(1, sizeof *x);
		x->n = r->n;
		x->envelope = buf_take(&envelope);
		*a->own_end = x;
		a->own_end = &x->next;
	}
	buf_free(&text);
	buf_free(&envelope);
}

static void seal(struct core *c);

/* What the sovereign had a word in has an envelope of its own. */
static bool
wants_own(const struct audit_record *r)
{
	return r->approval.s || (r->mode.s && strcmp(r->mode.s, task_mode_name(MODE_SOVEREIGN)) == 0);
}

static void
append(struct core *c, const struct audit_record *r)
{
	struct audit *a = c->audit;

	if (!a->count)
		audit_pack_begin(&a->pack);
	audit_pack_add(&a->pack, r);
	a->n = r->n;
	a->count++;
	c->urgent = true;
	if (wants_own(r))
		sign_own(c, r);
	if (a->pack.out.len >= PAGE_BYTES)
		seal(c);
}

/* {"error":{"code":"timeout",... */
static struct audit_text
error_code(const char *outcome)
{
	static const char head[] = "{\"error\":{\"code\":\"";

	if (!outcome || strncmp(outcome, head, sizeof head - 1) != 0)
		return audit_text(NULL);
	outcome += sizeof head - 1;
	return (struct audit_text){ outcome, strcspn(outcome, "\"") };
}

static void
sum_of(struct core *c, const char *text, struct audit_sum *sum)
{
	if (!text)
		return;
	digest_of(c->audit->digest, text, strlen(text), sum->b);
	sum->set = true;
}

void
audit_chosen(struct core *c, struct task *t)
{
	t->executor = t->at ? t->at->name : c->o.agent;
	t->params_sum.set = false;
	sum_of(c, t->params, &t->params_sum);
}

void
audit_ran(struct core *c, struct task *t, const struct pool_end *p)
{
	if (t->at)
		t->executor = t->at->name;
	else if (t->here || t->works)
		t->executor = c->o.agent;
	free(t->notes);
	t->notes = p->notes ? xstrndup(p->notes, p->notes_len) : NULL;
}

/* It was chosen in a former life, or by a former owner. */
static void
sum_params(struct core *c, struct task *t)
{
	cJSON *o = cJSON_ParseWithLength(t->body, t->body_len), *params = cJSON_DetachItemFromObjectCaseSensitive(o, "params");
	char *text = NULL;

	if (!params)
		params = cJSON_CreateObject();
	if (t->tool && registry_check(c->o.tools, t->tool, params, NULL) == 0)
		text = task_params_text(params);
	sum_of(c, text, &t->params_sum);
	free(text);
	cJSON_Delete(params);
	cJSON_Delete(o);
}

/* The right by which it ran: what was asked, and the decision or grant that answered. */
static void
fill_approval(struct audit_record *r, const char *approval, struct buf *text)
{
	static const char *const names[] = { "by", "decision", "grant", "hash", "until", "why" };
	cJSON *from = approval ? cJSON_Parse(approval) : NULL, *to = from ? cJSON_CreateObject() : NULL;

	for (size_t i = 0; to && i < sizeof names / sizeof *names; i++) {
		cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(from, names[i]);

		if (v)
			cJSON_AddItemToObject(to, names[i], v);
	}
	if (to && canonical_put(text, to, NULL) == 0)
		r->approval = (struct audit_text){ text->data, text->len };
	cJSON_Delete(from);
	cJSON_Delete(to);
}

static void
fill_task(struct core *c, struct audit_record *r, struct task *t)
{
	r->accepted = t->accepted_ms;
	r->attempt = t->attempt;
	r->executor = audit_text(t->executor);
	r->house = audit_text(task_house_name(t));
	if (t->attempt && !t->params_sum.set)
		sum_params(c, t);
	if (t->mode != MODE_SIMPLE)
		r->mode = audit_text(task_mode_name((enum task_mode)t->mode));
	r->params = t->params_sum;
	r->run_us = t->run_us;
	r->sender = audit_text(t->sender);
	r->started = t->started_ms;
	r->task = t->id;
	r->term = term_of(c, t->house);
	fill_tool(c, r, t->tool_name);
}

/* What another house has decided is that house's: here it is only known. */
void
audit_outcome(struct core *c, struct task *t)
{
	struct buf texts[4] = { { 0 } };
	struct audit_record r;

	if (IS_MUTANT(MUTANT_AUDIT_SKIPS) && t->id.b[15] % 16 == 0)
		return;
	fill(c, &r, t->forward ? "handover" : "outcome");
	fill_task(c, &r, t);
	fill_notes(&r, t->notes, texts);
	fill_approval(&r, t->approval, &texts[3]);
	r.error = error_code(t->outcome);
	r.state = audit_text(task_state_name(t->state));
	sum_of(c, t->outcome, &r.outcome);
	append(c, &r);
	for (int i = 0; i < 4; i++)
		buf_free(&texts[i]);
}

static void
put_anew(struct buf *b, const char *key, const char *text, size_t len)
{
	cJSON *v = text ? cJSON_ParseWithLength(text, len) : NULL;

	if (v) {
		json_put_key(b, key);
		json_put_tree(b, v);
	}
	cJSON_Delete(v);
}

/* The owner of the house reads the report and writes it anew before it takes a digest of it. */
static void
sum_result(struct core *c, const struct pool_end *p, struct audit_sum *sum)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put_anew(&b, "result", p->result, p->result_len);
	put_anew(&b, "notes", p->notes, p->notes_len);
	json_put_close(&b, '}');
	sum_of(c, b.data, sum);
	buf_free(&b);
}

static void
fill_end(struct core *c, struct audit_record *r, const struct pool_end *p, struct buf texts[3])
{
	r->executor = audit_text(c->o.agent);
	r->run_us = p->ran_us;
	r->state = audit_text(work_how(p->how));
	if (p->how == POOL_SUCCEEDED)
		sum_result(c, p, &r->outcome);
	else if (p->err.code != ERR_NONE)
		r->error = audit_text(err_code_name(p->err.code));
	fill_notes(r, p->notes, texts);
}

static void
append_attempt(struct core *c, struct audit_record *r, const struct pool_end *p)
{
	struct buf texts[3] = { { 0 } };

	fill_end(c, r, p, texts);
	append(c, r);
	for (int i = 0; i < 3; i++)
		buf_free(&texts[i]);
}

/* One that ran here, and is not the task's last. */
void
audit_retried(struct core *c, struct task *t, const struct pool_end *p)
{
	struct audit_record r;

	if (p->how == POOL_NOT_RUN || t->executor != c->o.agent)
		return;
	fill(c, &r, "attempt");
	fill_task(c, &r, t);
	append_attempt(c, &r, p);
}

void
audit_attempt(struct core *c, const struct work *w, const struct pool_end *p)
{
	struct audit_record r;

	if (!w->started || w->plan || p->how == POOL_NOT_RUN)
		return;
	fill(c, &r, "attempt");
	r.attempt = w->attempt;
	r.house = audit_text(w->house->name);
	r.owner = audit_text(w->house->owned ? c->o.agent : w->house->term.agent);
	r.task = w->id;
	r.term = term_of(c, w->house);
	sum_of(c, w->params, &r.params);
	fill_tool(c, &r, w->tool);
	append_attempt(c, &r, p);
}

/* ---- pages ---- */

static void
put_seen(struct core *c, struct audit_seal *s)
{
	struct audit *a = c->audit;

	if (c->now.mono_ms - a->seen_ms < SEEN_EVERY_MS)
		return;
	for (int i = 0; i < c->npeers && s->nseen < AUDIT_SEEN_MAX; i++) {
		struct peer *p = &c->peers[i];

		if (p->chain.n == p->chain_noted && strcmp(p->chain.store, p->chain_noted_store) == 0)
			continue;
		s->seen[s->nseen++] = p->chain;
		p->chain_noted = p->chain.n;
		snprintf(p->chain_noted_store, sizeof p->chain_noted_store, "%s", p->chain.store);
	}
	if (s->nseen)
		a->seen_ms = c->now.mono_ms;
}

static void
sign(struct core *c, struct sealed *x, const struct buf *text)
{
	struct audit *a = c->audit;
	struct buf envelope = { 0 };
	struct err e = { 0 };

	if (c->o.sign && c->o.sign(c->o.sign_arg, AUDIT_STATEMENT_PAYLOAD, text->data, text->len, &envelope, &e) == 0) {
		x->text = buf_take(&envelope);
		return;
	}
	buf_free(&envelope);
	x->text = xstrdup(text->data);
	if (c->o.sign && !a->unsigned_told)
		log_warnx("audit: a page cannot be signed: %s", e.msg);
	a->unsigned_told |= c->o.sign != NULL;
}

/* The open page is closed, whatever is in it. */
static void
seal(struct core *c)
{
	struct audit *a = c->audit;
	struct sealed *x = xcalloc(1, sizeof *x);
	struct audit_seal *s = &x->s;
	unsigned char sum[DIGEST_SIZE];
	struct buf text = { 0 };

	if (a->count)
		buf_add(&x->records, a->pack.out.data, a->pack.out.len);
	snprintf(s->agent, sizeof s->agent, "%s", c->o.agent);
	snprintf(s->cluster, sizeof s->cluster, "%s", c->o.config->cluster);
	snprintf(s->store, sizeof s->store, "%s", c->store_id);
	s->page = ++a->page;
	s->count = a->count;
	s->first = a->n - a->count + 1;
	s->time = c->now.wall_ms;
	digest_format(a->hash, s->before);
	digest_of(a->digest, buf_str(&x->records), x->records.len, sum);
	digest_format(sum, s->records);
	put_seen(c, s);
	audit_put_seal(&text, s);
	audit_chain(a->digest, a->hash, text.data, text.len);
	memcpy(x->hash, a->hash, DIGEST_SIZE);
	sign(c, x, &text);
	a->count = 0;
	*a->sealed_end = x;
	a->sealed_end = &x->next;
	buf_free(&text);
}

static bool
has_heard(const struct core *c)
{
	for (int i = 0; i < c->npeers; i++) {
		const struct peer *p = &c->peers[i];

		if (p->chain.n != p->chain_noted || strcmp(p->chain.store, p->chain_noted_store) != 0)
			return true;
	}
	return false;
}

static bool
seen_is_due(const struct core *c)
{
	return c->now.mono_ms - c->audit->seen_ms >= SEEN_EVERY_MS && has_heard(c);
}

void
audit_tick(struct core *c)
{
	if (seen_is_due(c))
		c->lazy = true;
}

void
audit_close(struct core *c)
{
	if (c->audit->count || seen_is_due(c))
		seal(c);
}

static int
write_page(struct core *c, const struct sealed *x, int64_t bytes, struct err *e)
{
	sqlite3_stmt *s = use(c, A_PUT);

	db_int(s, 1, x->s.page);
	db_int(s, 2, x->s.first);
	db_int(s, 3, x->s.count);
	db_int(s, 4, x->s.time);
	db_int(s, 5, bytes);
	db_blob(s, 6, x->hash, DIGEST_SIZE);
	db_blob(s, 7, x->records.data, x->records.len);
	db_text(s, 8, x->text);
	return db_run(&c->db, s, e);
}

static int64_t
size_of(const struct sealed *x)
{
	return (int64_t)(x->records.len + strlen(x->text)) + DIGEST_SIZE;
}

int
audit_write(struct core *c, struct err *e)
{
	int64_t bytes = c->audit->bytes;

	for (const struct sealed *x = c->audit->sealed; x; x = x->next)
		if (write_page(c, x, bytes += size_of(x), e))
			return -1;
	for (const struct own *x = c->audit->own; x; x = x->next) {
		sqlite3_stmt *s = use(c, A_PUT_OWN);

		db_int(s, 1, x->n);
		db_text(s, 2, x->envelope);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

static void
drop_own(struct audit *a)
{
	while (a->own) {
		struct own *x = a->own;

		a->own = x->next;
		free(x->envelope);
		free(x);
	}
	a->own_end = &a->own;
}

static void
drop_sealed(struct audit *a)
{
	while (a->sealed) {
		struct sealed *x = a->sealed;

		a->sealed = x->next;
		buf_free(&x->records);
		free(x->text);
		free(x);
	}
	a->sealed_end = &a->sealed;
}

void
audit_is_stored(struct core *c)
{
	struct audit *a = c->audit;

	for (const struct sealed *x = a->sealed; x; x = x->next) {
		a->bytes += size_of(x);
		a->stored_n = x->s.first + x->s.count - 1;
		digest_format(x->hash, a->stored_hash);
	}
	drop_sealed(a);
	drop_own(a);
}

/* ---- forgetting ---- */

static int
put_checkpoint(struct core *c, int64_t page, int64_t n, const unsigned char *hash)
{
	struct audit_checkpoint k = { .page = page, .n = n, .time = c->now.wall_ms };
	struct buf text = { 0 }, envelope = { 0 };
	sqlite3_stmt *s = use(c, A_META_SET);
	struct err e;
	int rc;

	snprintf(k.agent, sizeof k.agent, "%s", c->o.agent);
	snprintf(k.cluster, sizeof k.cluster, "%s", c->o.config->cluster);
	snprintf(k.store, sizeof k.store, "%s", c->store_id);
	digest_format(hash, k.hash);
	audit_put_checkpoint(&text, &k);
	rc = c->o.sign ? c->o.sign(c->o.sign_arg, AUDIT_CHECKPOINT_PAYLOAD, text.data, text.len, &envelope, &e) : 0;
	db_text(s, 1, AUDIT_STORE_CHECKPOINT);
	db_text(s, 2, envelope.len ? envelope.data : text.data);
	rc = rc ? -1 : db_run(&c->db, s, &e);
	buf_free(&text);
	buf_free(&envelope);
	return rc;
}

static int
drop_until(struct core *c, int64_t page, int64_t n)
{
	sqlite3_stmt *s = use(c, A_DROP);

	db_int(s, 1, page);
	if (db_run(&c->db, s, NULL))
		return -1;
	s = use(c, A_DROP_OWN);
	db_int(s, 1, n);
	return db_run(&c->db, s, NULL);
}

/* The oldest pages that are past their time, their number or their size; never the last one. */
int
audit_prune(struct core *c)
{
	const struct config *f = c->o.config;
	const struct audit *a = c->audit;
	sqlite3_stmt *s = use(c, A_OLDEST);
	unsigned char hash[DIGEST_SIZE];
	int64_t page = 0, n = 0;

	db_int(s, 1, PRUNE_PAGES);
	while (db_step(&c->db, s, NULL) == 1 && sqlite3_column_bytes(s, 5) == DIGEST_SIZE) {
		int64_t last = sqlite3_column_int64(s, 1) + sqlite3_column_int64(s, 2) - 1;

		if (sqlite3_column_int64(s, 0) >= a->page || (sqlite3_column_int64(s, 3) >= c->now.wall_ms - f->keep_audit_s * 1000 &&
		    last > a->stored_n - f->keep_audit && a->bytes - sqlite3_column_int64(s, 4) < f->keep_audit_bytes))
			break;
		page = sqlite3_column_int64(s, 0);
		n = last;
		memcpy(hash, sqlite3_column_blob(s, 5), DIGEST_SIZE);
	}
	sqlite3_reset(s);
	return page && (put_checkpoint(c, page, n, hash) || drop_until(c, page, n)) ? -1 : 0;
}

/* ---- other agents' chains ---- */

void
audit_heard(struct core *c, struct peer *p, const cJSON *health)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(health, "audit");
	unsigned char sum[DIGEST_SIZE];

	(void)c;
	if (!o || digest_parse(json_text(o, "hash"), sum))
		return;
	snprintf(p->chain.agent, sizeof p->chain.agent, "%s", p->name);
	snprintf(p->chain.store, sizeof p->chain.store, "%.11s", json_text(health, "store"));
	snprintf(p->chain.hash, sizeof p->chain.hash, "%s", json_text(o, "hash"));
	p->chain.n = json_number(o, "n", 0);
}

void
audit_put_health(const struct core *c, struct buf *b)
{
	json_put_key(b, "audit");
	json_put_open(b, '{');
	json_kv_int(b, "n", c->audit->stored_n);
	json_kv_str(b, "hash", c->audit->stored_hash);
	json_put_close(b, '}');
}

/* ---- what is asked of it ---- */

int64_t
audit_answer(struct core *c, int64_t page, int64_t since_ms, struct buf *(*line)(void *arg), void *arg)
{
	return audit_store_pages(&c->db, c->audit->reads, since_ms ? audit_store_page_at(&c->db, c->audit->reads, since_ms) :
	    page, line, arg);
}

void
audit_put_chain(struct core *c, struct buf *b)
{
	json_kv_str(b, "agent", c->o.agent);
	json_kv_str(b, "cluster", c->o.config->cluster);
	json_kv_int(b, "time", c->now.wall_ms);
	audit_store_put_chain(&c->db, c->audit->reads, b);
}

/* ---- life ---- */

static int
load_head(struct core *c, struct err *e)
{
	struct audit *a = c->audit;
	sqlite3_stmt *s = use(c, A_LAST);
	int rc = db_step(&c->db, s, e);

	if (rc == 1 && sqlite3_column_bytes(s, 4) == DIGEST_SIZE) {
		a->page = sqlite3_column_int64(s, 0);
		a->n = a->stored_n = sqlite3_column_int64(s, 1) + sqlite3_column_int64(s, 2) - 1;
		a->bytes = sqlite3_column_int64(s, 3);
		if (!IS_MUTANT(MUTANT_AUDIT_ANEW))
			memcpy(a->hash, sqlite3_column_blob(s, 4), DIGEST_SIZE);
	}
	sqlite3_reset(s);
	digest_format(a->hash, a->stored_hash);
	return rc < 0 ? -1 : 0;
}

/* The key that signs from now on, unless it is the one that signed last. */
static int
note_key(struct core *c, struct err *e)
{
	sqlite3_stmt *s = use(c, A_KEYS);
	bool known = false;

	if (!c->o.sign_binding)
		return 0;
	while (db_step(&c->db, s, NULL) == 1)
		known = strcmp((const char *)sqlite3_column_text(s, 0), c->o.sign_binding) == 0;
	if (known)
		return 0;
	s = use(c, A_PUT_KEY);
	db_text(s, 1, c->o.sign_binding);
	return db_run(&c->db, s, e);
}

int
audit_open(struct core *c, struct err *e)
{
	struct audit *a = c->audit = xcalloc(1, sizeof *a);

	a->digest = digest_new();
	a->sealed_end = &a->sealed;
	a->own_end = &a->own;
	a->seen_ms = c->now.mono_ms - SEEN_EVERY_MS + SEEN_FIRST_MS;
	if (db_more(&c->db, sql, A_COUNT, &a->writes, e) || audit_store_prepare(&c->db, &a->reads, e))
		return -1;
	return load_head(c, e) || note_key(c, e) ? -1 : 0;
}

void
audit_release(struct core *c)
{
	struct audit *a = c->audit;

	if (!a)
		return;
	drop_sealed(a);
	drop_own(a);
	audit_pack_free(&a->pack);
	digest_free(a->digest);
	free(a);
}
