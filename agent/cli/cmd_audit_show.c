#include <string.h>

#include "chain.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "right.h"
#include "remote.h"

#define AGENTS_MAX 256
#define EARLIER_MS 60000        /* clocks of sender and agent differ */

static const struct cmd_opt opts[] = {
	{ .name = "file", .letter = 'f', .kind = OPT_TEXT, .arg = "FILE", .help = "look into an exported chain",
	  .complete = "files" },
	{ .name = NULL },
};

/* A record of the task, until its page is complete. */
struct found {
	char *statement, *own;
	const char *right;              /* NULL: nothing to say */
	int64_t n;
	struct found *next;
};

struct show {
	const struct cmd_args *a;
	struct config config;
	struct ulid id;
	const char *name;               /* of the chain that is read */
	struct audit_check *check;
	struct found *page, **page_end;
	struct buf json;
	struct buf problems;
	int64_t shown;
};

static void
on_record(void *arg, const struct audit_record *r, const struct audit_seal *seal, const char *own)
{
	static const char *const rights[] = {
		[RIGHT_GOOD] = "for this task and hash, in time, by a key that is pinned",
		[RIGHT_UNKNOWN] = "by a key that is not pinned here (any more)",
		[RIGHT_WRONG] = "WRONG",
	};
	struct show *s = arg;
	struct buf b = { 0 };
	struct found *f;
	struct err e;

	(void)seal;
	if (!ulid_equal(&r->task, &s->id))
		return;
	audit_put_record(&b, r);
	f = xcalloc(1, sizeof *f);
	f->statement = buf_take(&b);
	f->own = own ? xstrdup(own) : NULL;
	f->n = r->n;
	f->right = rights[right_check(&s->config, r, &e)];
	*s->page_end = f;
	s->page_end = &f->next;
}

/* Text that is JSON is put in as it is. */
static void
put_envelope(struct buf *b, const char *key, const char *text)
{
	json_kv_raw(b, key, text, strlen(text));
}

static void
put_found(struct show *s, const struct found *f, const struct audit_seal *seal, const char *envelope)
{
	struct buf *b = &s->json;

	json_put_open(b, '{');
	json_kv_str(b, "chain", s->name);
	json_kv_int(b, "record", f->n);
	json_kv_int(b, "page", seal->page);
	json_kv_bool(b, "good", s->check->problems == 0);
	json_kv_raw(b, "statement", f->statement, strlen(f->statement));
	if (f->own)
		put_envelope(b, "envelope", f->own);
	put_envelope(b, "seal", envelope);
	json_put_close(b, '}');
}

static void
print_time(const char *name, const cJSON *p, const char *key)
{
	int64_t ms = json_number(p, key, 0);
	char text[32];

	if (!ms)
		return;
	clock_format(ms, text, sizeof text);
	printf("  %-10s %s\n", name, text);
}

static void
print_member(const char *name, const cJSON *p, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(p, key);
	char *text;

	if (!v)
		return;
	text = cJSON_IsString(v) ? xstrdup(v->valuestring) : cJSON_PrintUnformatted(v);
	printf("  %-10s %s\n", name, text);
	free(text);
}

static void
print_approval(const cJSON *a, const char *right)
{
	if (!a)
		return;
	print_member("asked for", a, "why");
	print_member("its hash", a, "hash");
	print_member("given by", a, "by");
	print_member("grant", a, "grant");
	print_time("until", a, "until");
	if (right)
		printf("  %-10s %s\n", "decision", right);
}

static void
print_found(struct show *s, const struct found *f, const struct audit_seal *seal)
{
	static const struct {
		const char *name, *key;
	} rows[] = {
		{ "error", "error" }, { "house", "house" }, { "term", "term" }, { "asked by", "sender" }, { "owner", "owner" },
		{ "tool", "tool" }, { "its digest", "tool_digest" }, { "params", "params" }, { "attempt", "attempt" },
		{ "ran at", "executor" }, { "mode", "mode" }, { "predicted", "predicted" },
		{ "reads", "reads" }, { "writes", "writes" }, { "proof", "proof" },
	};
	cJSON *o = cJSON_Parse(f->statement);
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, "predicate"),
	    *subject = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "subject"), 0);

	printf("%s%s %s%s, by %s on %s (%s)\n", cmd_color(STDOUT_FILENO, "bold"), json_text(p, "role"), json_text(p, "state"),
	    cmd_color(STDOUT_FILENO, "reset"), json_text(p, "agent"), json_text(p, "host"), json_text(p, "version"));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		print_member(rows[i].name, p, rows[i].key);
	print_approval(cJSON_GetObjectItemCaseSensitive(p, "approval"), f->right);
	print_member("outcome", cJSON_GetObjectItemCaseSensitive(subject, "digest"), "sha256");
	print_time("accepted", p, "accepted");
	print_time("started", p, "started");
	print_time("ended", p, "ended");
	printf("  %-10s record %lld, page %lld of %s, store %s%s\n", "chain", (long long)f->n, (long long)seal->page, seal->agent,
	    seal->store, f->own ? ", with an envelope of its own" : "");
	printf("  %-10s %s\n", "signature", s->check->problems ? "WRONG" : "good");
	cJSON_Delete(o);
}

static void
on_page(void *arg, const struct audit_seal *seal, const char *envelope)
{
	struct show *s = arg;

	while (s->page) {
		struct found *f = s->page;

		if (s->a->json)
			put_found(s, f, seal, envelope);
		else
			print_found(s, f, seal);
		s->shown++;
		s->page = f->next;
		free(f->statement);
		free(f->own);
		free(f);
	}
	s->page_end = &s->page;
}

static void
on_problem(void *arg, const char *name, const char *text)
{
	(void)arg;
	cmd_warn(text, NULL);
	(void)name;
}

static int
on_key(void *arg, const char *binding, char agent[64], struct sign_public *out, struct err *e)
{
	const struct show *s = arg;

	return chain_key(&s->config, binding, agent, out, e);
}

static void
on_line(void *arg, const char *line, size_t len)
{
	const struct show *s = arg;

	audit_check_line(s->check, line, len);
}

static int
look_into(struct show *s, const char *name, bool is_file)
{
	struct audit_check k = { .name = name, .arg = s, .problem = on_problem, .record = on_record, .page = on_page,
		.key = on_key, .part = true };
	int64_t since = ulid_time_ms(&s->id) - EARLIER_MS;
	struct err e;
	int rc;

	s->name = name;
	s->check = &k;
	rc = is_file ? chain_read_file(name, on_line, s, &e) :
	    chain_read_agent(&s->config, name, since > 0 ? since : 1, on_line, s, &e);
	audit_check_release(&k);
	return rc ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", name, e.msg) : k.problems ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static int
look(struct show *s)
{
	const char *agents[AGENTS_MAX], *file = cmd_text(s->a, "file", NULL);
	size_t n = file ? 0 : chain_agents(&s->config, agents, AGENTS_MAX);
	int rc = EXIT_OK, one;

	json_put_open(&s->json, '[');
	if (file)
		rc = look_into(s, file, true);
	for (size_t i = 0; i < n; i++)
		if ((one = look_into(s, agents[i], false)) != EXIT_OK)
			rc = one;
	json_put_close(&s->json, ']');
	if (s->a->json)
		puts(s->json.data);
	if (!s->shown && rc == EXIT_OK)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no chain %s has a record of task %s", file ? "there" : "of an agent here",
		    s->a->argv[0]);
	return rc;
}

static int
show_run(const struct cmd_args *a)
{
	struct show *s = xcalloc(1, sizeof *s);
	int rc;

	s->a = a;
	s->page_end = &s->page;
	if (remote_task_id(a->argv[0], &s->id))
		rc = EXIT_USAGE;
	else if ((rc = cmd_config(a, &s->config)) == EXIT_OK) {
		rc = look(s);
		config_release(&s->config);
	}
	buf_free(&s->json);
	free(s);
	return rc;
}

const struct cmd cmd_audit_show = {
	.name = "audit show",
	.args = "ID",
	.help = "Show what agents here have recorded of a task: who asked, what ran where, with what outcome",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = show_run,
};
