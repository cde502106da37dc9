/*
 * audit.c - the checker's look at the audit chains, which are unsigned here: each is good from its first record to the
 * head that its agent says, whatever happened to that agent; and unless a disk was lost, every outcome that was told
 * is in one of them.
 */
#include "check.h"

#include "audit_check.h"
#include "json.h"
#include "state.h"

struct reading {
	struct check *k;
	const char *host;
};

static void
on_problem(void *arg, const char *name, const char *text)
{
	const struct reading *in = arg;

	sim_fail(in->k->sim, in->host, "its audit chain: %s", text);
	(void)name;
}

static bool
is(const struct audit_text *t, const char *s)
{
	return t->s && t->len == strlen(s) && memcmp(t->s, s, t->len) == 0;
}

static void
on_record(void *arg, const struct audit_record *a, const struct audit_seal *s, const char *own)
{
	const struct reading *in = arg;
	char id[ULID_TEXT];
	struct record *r;

	(void)s;
	(void)own;
	if (!is(&a->role, "outcome"))
		return;
	ulid_format(&a->task, id);
	r = check_record(in->k, id);
	r->audited |= is(&a->state, r->state);
}

static struct buf *
next_line(void *arg)
{
	struct buf *b = arg;

	json_put_open(b, '{');
	json_kv_str(b, "type", "audit_page");
	return b;
}

static void
read_chain(struct check *k, struct core *c)
{
	struct reading in = { k, c->o.agent };
	struct audit_check chain = { .name = c->o.agent, .arg = &in, .problem = on_problem, .record = on_record };
	struct buf b = { 0 };
	int64_t page = 1;

	json_put_open(&b, '{');
	json_kv_str(&b, "type", "audit");
	audit_put_chain(c, &b);
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	while (page) {
		page = audit_answer(c, page, 0, next_line, &b);
		for (const char *p = buf_str(&b), *nl; (nl = strchr(p, '\n')); p = nl + 1)
			audit_check_line(&chain, p, (size_t)(nl - p));
		buf_clear(&b);
	}
	audit_check_end(&chain);
	audit_check_release(&chain);
	buf_free(&b);
}

void
audits_check(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		read_chain(k, host_core(k->sim->hosts[i]));
	for (int i = 0; i < BUCKETS && !k->losses; i++)
		for (const struct record *r = k->records[i]; r; r = r->next)
			if (r->state[0] && !r->audited && !r->exempt && !r->conflict[0] && !r->alias)
				sim_fail(k->sim, r->id, "told as %s, but no audit chain has it", r->state);
}
