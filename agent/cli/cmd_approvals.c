/*
 * cmd_approvals.c - approvals, approve, deny: what waits for the sovereign, and his word on it.
 */

#include <termios.h>

#include "approvals.h"
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "passphrase.h"
#include "request.h"

#define FOR_DEFAULT REQUEST_FOR
#define OPT_END { .name = NULL }
#define OPT_FOR(text) { .name = "for", .kind = OPT_TEXT, .arg = "TIME", .help = text }
#define OPT_HASH { .name = "hash", .kind = OPT_TEXT, .arg = "H", \
	.help = "only if the request's hash begins so: it is the one that was looked at" }

/* Showing */

static void
print_field(const char *name, const char *text)
{
	if (!*text)
		return;
	printf("  %-12s", name);
	print_foreign(text, "");
}

static void
print_ends(const struct known_request *r)
{
	int64_t expires = request_time(r->o, "expires");
	char when[40];

	print_when(when, sizeof when, expires, clock_wall_ms());
	if (expires)
		print_field("denied", when);
}

static void
print_params(const cJSON *subject)
{
	char *text = cJSON_Print(cJSON_GetObjectItemCaseSensitive(subject, "params"));

	puts("  parameters");
	print_foreign(text ? text : "none", "    ");
	cJSON_free(text);
}

static void
print_touch(const cJSON *t)
{
	struct buf b = { 0 };
	const char *sha = json_text(t, "sha256");

	buf_addf(&b, "%s %s %s", *json_text(t, "access") ? json_text(t, "access") : "write", json_text(t, "kind"),
	    json_text(t, "name"));
	if (*sha)
		buf_addf(&b, "  (now %.16s...)", sha);
	else if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(t, "sha256")))
		buf_adds(&b, "  (not there yet)");
	print_foreign(buf_str(&b), "    ");
	buf_free(&b);
}

static void
print_touches(const cJSON *subject)
{
	const cJSON *touches = cJSON_GetObjectItemCaseSensitive(subject, "touches"), *t;

	puts("  touches");
	if (!cJSON_IsArray(touches))
		puts("    it cannot say what");
	else if (!touches->child)
		puts("    nothing");
	cJSON_ArrayForEach(t, touches)
		print_touch(t);
}

static void
print_predicted(const cJSON *o)
{
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, "predicted"), *rate = cJSON_GetObjectItemCaseSensitive(p, "success");

	const cJSON *low = cJSON_GetObjectItemCaseSensitive(p, "low"), *high = cJSON_GetObjectItemCaseSensitive(p, "high");

	if (!cJSON_IsNumber(rate))
		return;
	printf("  %-12s%.0f of 100 like it succeed", "predicted", 100 * rate->valuedouble);
	if (cJSON_IsNumber(low) && cJSON_IsNumber(high))
		printf(" (%.0f to %.0f)", 100 * low->valuedouble, 100 * high->valuedouble);
	printf(", by %lld that were seen\n", (long long)json_number(p, "of", 0));
}

void
approvals_print(const struct known_request *r, const char *hash)
{
	const cJSON *subject = request_subject(r);
	struct buf tool = { 0 };

	buf_addf(&tool, "%s (%s), mode %s", json_text(subject, "tool"), json_text(subject, "effect"), json_text(subject, "mode"));
	printf("%stask %s in house %s%s\n", cmd_color(1, "bold"), r->task, r->house, cmd_color(1, "reset"));
	print_field("asked by", json_text(subject, "sender"));
	print_field("tool", buf_str(&tool));
	print_field("target", json_text(r->o, "target"));
	print_field("why", json_text(r->o, "why"));
	print_field("told by", json_text(r->o, "by"));
	print_ends(r);
	print_field("hash", hash);
	print_predicted(r->o);
	print_params(subject);
	print_touches(subject);
	if (*json_text(r->o, "dry_run")) {
		puts("  what it would do");
		print_foreign(json_text(r->o, "dry_run"), "    ");
	}
	buf_free(&tool);
}

/* The error line of one that must not be decided upon. */
static void
print_refused(const struct known_request *r, const struct err *e)
{
	printf("%stask %s in house %s: not to be approved: %s%s\n", cmd_color(1, "red"), r->task, r->house, e->msg,
	    cmd_color(1, "reset"));
}

/* Deciding */

static int
report(const struct edict *x, const char *task, const char *hash, const struct word *w)
{
	bool taken = !known_request(&x->known, task);
	struct buf b = { 0 };

	if (x->a->json) {
		json_put_open(&b, '{');
		json_kv_str(&b, "task", task);
		json_kv_str(&b, "hash", hash);
		json_kv_str(&b, "decision", w->approve ? "approve" : "deny");
		json_kv_bool(&b, "taken", taken);
		json_put_close(&b, '}');
		puts(buf_str(&b));
		buf_free(&b);
	} else {
		printf("%s %s%s\n", task, w->approve ? "approved" : "denied",
		    taken ? "" : "; it is published, but the owner of the house has not taken it yet");
	}
	return taken ? EXIT_OK : EXIT_NO_ANSWER;
}

static int
decide(struct edict *x, const struct known_request *r, const char *hash, const struct word *w)
{
	char task[ULID_TEXT];
	struct err e = { 0 };
	int rc;

	memcpy(task, r->task, sizeof task);
	rc = request_decide(x, r, hash, w, &e);
	if (e.code)
		return cmd_fail(rc, "%s", e.msg);
	return rc ? rc : report(x, task, hash, w);
}

/* approvals */

static const struct cmd_opt list_opts[] = {
	{ .name = "interactive", .letter = 'i', .kind = OPT_FLAG, .help = "show each and ask: approve, deny or skip" },
	OPT_FOR("with -i: what is approved may start within this time, 10m, 2h (default " FOR_DEFAULT ")"),
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

/* Oldest first: ids sort by time. */
static int
by_task(const void *a, const void *b)
{
	return strcmp(((const struct known_request *)a)->task, ((const struct known_request *)b)->task);
}

static void
list_text(const struct edict *x)
{
	static const char *const heads[] = { "ID", "HOUSE", "TOOL", "ASKED BY", "TARGET", "WHY", "DENIED", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < x->known.nrequests; i++) {
		const struct known_request *r = &x->known.requests[i];
		char hash[CANONICAL_HASH], when[40];
		struct err e = { 0 };
		bool good = request_check(x, r, hash, &e) == 0;

		print_when(when, sizeof when, request_time(r->o, "expires"), clock_wall_ms());
		table_cell(t, "%s", r->task);
		table_cell(t, "%s", r->house);
		table_cell(t, "%s", json_text(request_subject(r), "tool"));
		table_cell(t, "%s", json_text(request_subject(r), "sender"));
		table_cell(t, "%.60s", json_text(r->o, "target"));
		table_cell(t, "%.80s", good ? json_text(r->o, "why") : e.msg);
		table_cell(t, "%s", when);
	}
	table_print(t);
}

static void
put_request(struct buf *b, const struct edict *x, const struct known_request *r)
{
	char hash[CANONICAL_HASH] = "";
	struct err e = { 0 };
	bool good = request_check(x, r, hash, &e) == 0;

	json_put_open(b, '{');
	json_kv_str(b, "task", r->task);
	json_kv_str(b, "house", r->house);
	json_kv_str(b, "hash", hash);
	json_kv_bool(b, "valid", good);
	if (!good) {
		json_put_key(b, "error");
		json_put_err(b, &e);
	}
	json_put_key(b, "request");
	json_put_tree(b, r->o);
	json_put_close(b, '}');
}

static void
list_json(const struct edict *x)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < x->known.nrequests; i++)
		put_request(&b, x, &x->known.requests[i]);
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

/* What was asked of the person, and his word on it. 'q': enough. */
static char
ask_word(struct word *w, struct buf *why)
{
	char letter;

	fflush(stdout);
	letter = ask_letter("[a]pprove, [d]eny, [s]kip, [q]uit? [s] ", "sadq");
	if (letter == 'd' && ask_line(why, "Why? ") != 0)
		letter = 's';
	w->approve = letter == 'a';
	w->note = buf_str(why);
	return letter ? letter : 'q';
}

/* In a copy: the list changes while decisions are sent. */
static int
ask_each(struct edict *x, struct word *w)
{
	size_t n = x->known.nrequests;
	struct known_request *list = xcalloc(n + 1, sizeof *list);
	char letter = 's', hash[CANONICAL_HASH];
	int rc = 0, failed = 0;

	for (size_t i = 0; i < n; i++) {
		list[i] = x->known.requests[i];
		list[i].o = cJSON_Duplicate(list[i].o, true);
	}
	qsort(list, n, sizeof *list, by_task);
	for (size_t i = 0; i < n && letter != 'q'; i++) {
		struct buf why = { .max = SOVEREIGN_WHY - 1 };
		struct err e = { 0 };

		if (request_check(x, &list[i], hash, &e)) {
			print_refused(&list[i], &e);
			continue;
		}
		approvals_print(&list[i], hash);
		letter = ask_word(w, &why);
		if ((letter == 'a' || letter == 'd') && (rc = decide(x, &list[i], hash, w)))
			failed = rc;
		buf_free(&why);
		putchar('\n');
	}
	for (size_t i = 0; i < n; i++)
		cJSON_Delete(list[i].o);
	free(list);
	return failed;
}

static int
show_one(const struct edict *x, const struct known_request *r)
{
	char hash[CANONICAL_HASH];
	struct err e = { 0 };
	struct buf b = { 0 };
	int bad = request_check(x, r, hash, &e);

	if (x->a->json) {
		put_request(&b, x, r);
		puts(buf_str(&b));
	} else if (bad) {
		print_refused(r, &e);
	} else {
		approvals_print(r, hash);
	}
	buf_free(&b);
	return bad ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static const struct known_request *
find(const struct edict *x, const char *text, int *rc)
{
	const struct known_request *r = NULL;
	char task[ULID_TEXT];
	struct ulid id;

	*rc = EXIT_USAGE;
	if (remote_task_id(text, &id))
		return NULL;
	ulid_format(&id, task);
	r = known_request(&x->known, task);
	*rc = r ? 0 : cmd_fail(EXIT_NOT_SUCCEEDED, "no task %s waits for approval; `uni-wizard approvals` lists those that do", task);
	return r;
}

static int
list_run_open(struct edict *x, struct word *w)
{
	const struct known_request *r;
	int rc = 0;

	if (x->a->argc) {
		r = find(x, x->a->argv[0], &rc);
		return r ? show_one(x, r) : rc;
	}
	qsort(x->known.requests, x->known.nrequests, sizeof *x->known.requests, by_task);
	if (cmd_flag(x->a, "interactive"))
		return ask_each(x, w);
	if (x->a->json)
		list_json(x);
	else if (x->known.nrequests)
		list_text(x);
	else
		puts("nothing waits for approval");
	return 0;
}

static int
for_read(const struct cmd_args *a, struct word *w)
{
	const char *text = cmd_text(a, "for", FOR_DEFAULT);

	w->for_ms = duration_ms(text);
	return w->for_ms > 0 ? 0 : cmd_fail(EXIT_USAGE, "--for: expected a time such as 10m, 2h or 1d, got \"%.40s\"", text);
}

static int
list_run(const struct cmd_args *a)
{
	struct word w = { .note = "" };
	struct edict x;
	int rc = for_read(a, &w);

	if (!rc && !(rc = edict_open(&x, a, false))) {
		rc = list_run_open(&x, &w);
		edict_close(&x);
	}
	return rc;
}

const struct cmd cmd_approvals = {
	.name = "approvals",
	.args = "[ID]",
	.help = "List what waits for the sovereign's approval; with ID, show all of one request",
	.more = "A request whose hash is not that of what it shows, or that was published where it does not belong, is marked and\n"
	        "cannot be approved.",
	.opts = list_opts,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = list_run,
};

/* approve, deny */

static bool
hash_fits(const struct cmd_args *a, const char *hash)
{
	const char *wanted = cmd_text(a, "hash", "");

	return strncmp(hash, wanted, strlen(wanted)) == 0;
}

/* The request, if it may be decided upon; else NULL, the error printed. */
static const struct known_request *
find_good(const struct edict *x, const char *task, char hash[CANONICAL_HASH], int *rc)
{
	const struct known_request *r = find(x, task, rc);
	struct err e = { 0 };

	if (!r || !request_check(x, r, hash, &e))
		return r;
	*rc = cmd_fail(e.code == ERR_STALE ? EXIT_NOT_SUCCEEDED : EXIT_REJECTED, "task %s: %s", r->task, e.msg);
	return NULL;
}

static int
decide_one(struct edict *x, const struct word *w)
{
	char hash[CANONICAL_HASH];
	int rc;
	const struct known_request *r = find_good(x, x->a->argv[0], hash, &rc);

	if (!r)
		return rc;
	if (!hash_fits(x->a, hash))
		return cmd_fail(EXIT_REJECTED, "task %s: the request's hash is %s, so it is not the one that was looked at", r->task, hash);
	if (!x->a->json)
		approvals_print(r, hash);
	return decide(x, r, hash, w);
}

static int
decide_run(const struct cmd_args *a, struct word *w)
{
	struct edict x;
	int rc = for_read(a, w);

	if (strlen(w->note) >= SOVEREIGN_WHY)
		rc = cmd_fail(EXIT_USAGE, "%s: expected at most %d bytes", w->approve ? "--note" : "--why", SOVEREIGN_WHY - 1);
	if (!rc && !(rc = edict_open(&x, a, false))) {
		rc = decide_one(&x, w);
		edict_close(&x);
	}
	return rc;
}

static const struct cmd_opt approve_opts[] = {
	OPT_FOR("it may start within this time, 10m, 2h (default " FOR_DEFAULT ")"),
	{ .name = "note", .kind = OPT_TEXT, .arg = "TEXT", .help = "kept with the decision" },
	OPT_HASH,
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

static int
approve_run(const struct cmd_args *a)
{
	return decide_run(a, &(struct word){ .approve = true, .note = cmd_text(a, "note", "") });
}

const struct cmd cmd_approve = {
	.name = "approve",
	.args = "ID",
	.help = "Approve one task, exactly as its request shows it",
	.more = "Shows the request, computes its hash and signs that: if anything in it changes until the tool starts, or what it\n"
	        "touches does, it does not start. Used once. Exit code 5 if the owner of the house has not taken it in time.",
	.opts = approve_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = approve_run,
};

static const struct cmd_opt deny_opts[] = {
	{ .name = "why", .kind = OPT_TEXT, .arg = "TEXT", .help = "the reason; whoever asked is told it" },
	OPT_FOR("an owner that is away may still take it within this time (default " FOR_DEFAULT ")"),
	OPT_HASH,
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

static int
deny_run(const struct cmd_args *a)
{
	const char *why = cmd_text(a, "why", "");

	if (!*why)
		return cmd_fail(EXIT_USAGE, "--why: expected the reason");
	return decide_run(a, &(struct word){ .note = why });
}

const struct cmd cmd_deny = {
	.name = "deny",
	.args = "ID",
	.help = "Deny one task: it ends and never starts",
	.opts = deny_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = deny_run,
};

/* Asked by others */

static int
ask_one(struct edict *x, const char *task, struct word *w)
{
	struct buf why = { .max = SOVEREIGN_WHY - 1 };
	char hash[CANONICAL_HASH];
	int rc;
	const struct known_request *r = find_good(x, task, hash, &rc);

	if (!r)
		return rc;
	approvals_print(r, hash);
	putchar('\n');
	fflush(stdout);
	/* What was typed before this was seen is no answer to it. */
	tcflush(STDIN_FILENO, TCIFLUSH);
	if (w->approve ? ask_letter("Approve exactly this: [y]es, [n]o? [n] ", "ny") != 'y' :
	    ask_line(&why, "Deny it. Why? (nothing: leave it) ") != 0 || !why.len) {
		puts("nothing was decided");
	} else {
		w->note = buf_str(&why);
		rc = decide(x, r, hash, w);
	}
	buf_free(&why);
	return rc;
}

int
approvals_ask(const struct cmd_args *a, const char *task, bool approve)
{
	struct word w = { .approve = approve, .for_ms = duration_ms(FOR_DEFAULT), .note = "" };
	struct edict x;
	int rc = edict_open(&x, a, false);

	if (!rc) {
		rc = ask_one(&x, task, &w);
		edict_close(&x);
	}
	return rc;
}
