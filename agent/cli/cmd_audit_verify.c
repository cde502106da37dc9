#include <string.h>

#include "chain.h"
#include "clock.h"
#include "cmd.h"
#include "cross.h"
#include "json.h"
#include "right.h"

#define CHAINS_MAX 256

static const struct cmd_opt opts[] = {
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A",
	  .help = "only this agent's chain, of those here", .complete = "agents" },
	{ .name = NULL },
};

struct source {
	struct verify *v;
	const char *name, *file;        /* file NULL: an agent here */
	struct audit_check check;
	bool unread;
	int64_t decisions, unknown;     /* of the sovereign's: good ones, and by keys that are not pinned */
};

struct verify {
	const struct cmd_args *a;
	struct config config;
	struct source *source;
	size_t n;
	struct cross *cross;            /* NULL: there is only one */
	struct buf problems;            /* JSON */
	int64_t nproblems;
};

static void
print_problem(struct verify *v, const char *name, const char *text)
{
	v->nproblems++;
	if (!v->a->json) {
		printf("%s%s: %s%s\n", cmd_color(STDOUT_FILENO, "red"), name, text, cmd_color(STDOUT_FILENO, "reset"));
		return;
	}
	json_put_open(&v->problems, '{');
	json_kv_str(&v->problems, "chain", name);
	json_kv_str(&v->problems, "problem", text);
	json_put_close(&v->problems, '}');
}

static void
on_problem(void *arg, const char *name, const char *text)
{
	const struct source *s = arg;

	print_problem(s->v, name, text);
}

static void
on_cross_problem(void *arg, const char *name, const char *text)
{
	print_problem(arg, name, text);
}

static void
on_record(void *arg, const struct audit_record *r, const struct audit_seal *seal, const char *own)
{
	struct source *s = arg;
	struct err e;
	char text[600];

	(void)seal;
	(void)own;
	switch (right_check(&s->v->config, r, &e)) {
	case RIGHT_NOT_NEEDED:
		break;
	case RIGHT_GOOD:
		s->decisions++;
		break;
	case RIGHT_UNKNOWN:
		s->unknown++;
		break;
	case RIGHT_WRONG:
		snprintf(text, sizeof text, "record %lld: %s", (long long)r->n, e.msg);
		s->check.problems++;
		print_problem(s->v, s->name, text);
		break;
	}
	if (s->v->cross)
		cross_record(s->v->cross, &s->check, r);
}

static void
on_page(void *arg, const struct audit_seal *seal, const char *envelope)
{
	struct source *s = arg;

	(void)envelope;
	if (s->v->cross)
		cross_page(s->v->cross, &s->check, seal);
}

static int
on_key(void *arg, const char *binding, char agent[64], struct sign_public *out, struct err *e)
{
	const struct source *s = arg;

	return chain_key(&s->v->config, binding, agent, out, e);
}

static void
on_line(void *arg, const char *line, size_t len)
{
	struct source *s = arg;

	audit_check_line(&s->check, line, len);
}

static void
add_source(struct verify *v, const char *name, const char *file)
{
	struct source *s = &v->source[v->n++];

	*s = (struct source){ .v = v, .name = name, .file = file };
	s->check = (struct audit_check){ .name = name, .arg = s, .problem = on_problem, .record = on_record, .page = on_page,
		.key = on_key, .live = !file };
}

static void
read_source(struct source *s)
{
	struct err e;
	int rc = s->file ? chain_read_file(s->file, on_line, s, &e) :
	    chain_read_agent(&s->v->config, s->name, 0, on_line, s, &e);

	if (rc) {
		s->unread = true;
		print_problem(s->v, s->name, e.msg);
		return;
	}
	audit_check_end(&s->check);
}

/* ---- what came of it ---- */

static void
print_text(const struct verify *v)
{
	static const char *const heads[] = { "CHAIN", "AGENT", "STORE", "RECORDS", "PAGES", "FROM", "TO", "VERDICT", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < v->n; i++) {
		const struct audit_check *k = &v->source[i].check;
		char from[32] = "-", to[32] = "-";

		if (k->begun) {
			clock_format(k->first_ms, from, sizeof from);
			clock_format(k->last_ms, to, sizeof to);
		}
		table_cell(t, "%s", v->source[i].name);
		table_cell(t, "%s", k->agent);
		table_cell(t, "%s", k->store);
		table_cell(t, "%lld", (long long)k->records);
		table_cell(t, "%lld", (long long)k->pages);
		table_cell(t, "%s", from);
		table_cell(t, "%s", to);
		if (v->source[i].unread || k->problems)
			table_cell(t, "%swrong%s", cmd_color(STDOUT_FILENO, "red"), cmd_color(STDOUT_FILENO, "reset"));
		else if (k->since_page > 1 && k->since_page > k->checkpoint.page + 1)
			table_cell(t, "good, begins with record %lld", (long long)k->first_n);
		else if (k->checkpoint.page)
			table_cell(t, "good, %lld forgotten before it", (long long)k->checkpoint.n);
		else
			table_cell(t, "%sgood%s", cmd_color(STDOUT_FILENO, "green"), cmd_color(STDOUT_FILENO, "reset"));
	}
	table_print(t);
}

static void
put_chain(struct buf *b, const struct source *s)
{
	const struct audit_check *k = &s->check;

	json_put_open(b, '{');
	json_kv_str(b, "chain", s->name);
	json_kv_str(b, "agent", k->agent);
	json_kv_str(b, "store", k->store);
	json_kv_int(b, "records", k->records);
	json_kv_int(b, "pages", k->pages);
	json_kv_int(b, "first", k->first_n);
	json_kv_int(b, "last", k->n);
	json_kv_int(b, "forgotten", k->checkpoint.n);
	json_kv_int(b, "decisions", s->decisions);
	json_kv_int(b, "unpinned_decisions", s->unknown);
	if (k->begun) {
		json_kv_time(b, "from", k->first_ms);
		json_kv_time(b, "to", k->last_ms);
	}
	json_kv_bool(b, "good", !s->unread && k->problems == 0);
	json_put_close(b, '}');
}

static void
print_json(const struct verify *v)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_put_key(&b, "chains");
	json_put_open(&b, '[');
	for (size_t i = 0; i < v->n; i++)
		put_chain(&b, &v->source[i]);
	json_put_close(&b, ']');
	json_put_key(&b, "problems");
	json_put_open(&b, '[');
	if (v->problems.len)
		json_put_raw(&b, v->problems.data, v->problems.len);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	puts(b.data);
	buf_free(&b);
}

static void
print_decisions(const struct verify *v)
{
	int64_t good = 0, unknown = 0;

	for (size_t i = 0; i < v->n; i++) {
		good += v->source[i].decisions;
		unknown += v->source[i].unknown;
	}
	if (good)
		printf("decisions of %s: %lld, each for its task and hash\n", v->config.sovereign, (long long)good);
	if (unknown)
		printf("decisions by keys that are not pinned here (any more): %lld\n", (long long)unknown);
}

static void
hold_against_each_other(struct verify *v)
{
	struct audit_check *k[CHAINS_MAX];
	int64_t tasks, heads;

	for (size_t i = 0; i < v->n; i++)
		k[i] = &v->source[i].check;
	cross_end(v->cross, k, v->n);
	cross_counts(v->cross, &tasks, &heads);
	if (!v->a->json)
		printf("held against each other: %lld tasks, %lld heads of chains\n", (long long)tasks, (long long)heads);
}

static int
check_all(struct verify *v)
{
	if (v->n > 1)
		v->cross = cross_new(on_cross_problem, v);
	for (size_t i = 0; i < v->n; i++)
		read_source(&v->source[i]);
	if (v->cross)
		hold_against_each_other(v);
	if (!v->a->json)
		print_decisions(v);
	(v->a->json ? print_json : print_text)(v);
	return v->nproblems ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static int
choose(struct verify *v)
{
	const char *agents[CHAINS_MAX], *only = cmd_text(v->a, "agent", NULL);
	size_t n = chain_agents(&v->config, agents, CHAINS_MAX);

	for (int i = 0; i < v->a->argc && i < CHAINS_MAX; i++)
		add_source(v, v->a->argv[i], v->a->argv[i]);
	for (size_t i = 0; i < n && !v->a->argc; i++)
		if (!only || strcmp(only, agents[i]) == 0)
			add_source(v, agents[i], NULL);
	if (only && !v->n)
		return cmd_fail(EXIT_USAGE, "%s: no agent of this name has its database in %s", only, v->config.state_dir);
	return v->n ? EXIT_OK : cmd_fail(EXIT_USAGE, "no agent has its database in %s; name files", v->config.state_dir);
}

static int
verify_run(const struct cmd_args *a)
{
	struct verify *v = xcalloc(1, sizeof *v);
	int rc;

	v->a = a;
	v->source = xcalloc(CHAINS_MAX, sizeof *v->source);
	if ((rc = cmd_config(a, &v->config)) == EXIT_OK) {
		if ((rc = choose(v)) == EXIT_OK)
			rc = check_all(v);
		config_release(&v->config);
	}
	for (size_t i = 0; i < v->n; i++)
		audit_check_release(&v->source[i].check);
	cross_free(v->cross);
	buf_free(&v->problems);
	free(v->source);
	free(v);
	return rc;
}

const struct cmd cmd_audit_verify = {
	.name = "audit verify",
	.args = "[FILE...]",
	.help = "Check audit chains: signatures, order, nothing left out; several against each other",
	.more =
	    "Without files, the chains of all agents whose databases lie here, whether they run or not. Files\n"
	    "are those of `audit export`. Keys are believed by ca.crt alone. Ends with 1 if anything is wrong.",
	.opts = opts,
	.max_args = -1,
	.flags = CMD_JSON,
	.complete = "files",
	.run = verify_run,
};
