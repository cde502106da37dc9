/*
 * cmd_alerts.c - alerts, alerts ack, alerts silence, alerts rules: what is raised, and what people say of it.
 */
#include <signal.h>
#include <string.h>

#include "board.h"
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "patient.h"
#include "remote.h"

#define MORE_MS 300                     /* after the first heartbeat, what the broker kept has come */
#define ACK_MS (INT64_C(7) * 86400000)
#define SILENCE_MAX_MS (INT64_C(30) * 86400000)

static const struct cmd_opt list_opts[] = {
	{ .name = "watch", .letter = 'w', .kind = OPT_FLAG, .help = "go on, and print each change" },
	{ .name = "all", .kind = OPT_FLAG, .help = "those too that somebody has seen or silenced" },
	{ .name = NULL },
};

static const struct cmd_opt ack_opts[] = {
	{ .name = "note", .kind = OPT_TEXT, .arg = "TEXT", .help = "why, for others" },
	{ .name = NULL },
};

static const struct cmd_opt silence_opts[] = {
	{ .name = "for", .kind = OPT_TEXT, .arg = "TIME", .help = "how long: 30m, 1h (default), 2d; 0s: no longer" },
	{ .name = "note", .kind = OPT_TEXT, .arg = "TEXT", .help = "why, for others" },
	{ .name = NULL },
};

struct alerts {
	const struct cmd_args *a;
	struct remote r;
	struct board board;
	bool heard;                     /* a heartbeat: what the broker kept has come before, or comes now */
	bool never;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct alerts *x = arg;

	if (!board_take(&x->board, x->r.config.cluster, topic, payload, len, clock_wall_ms()))
		x->heard = true;
}

static int
listen_to(struct alerts *x, enum topic_kind kind, const char *id)
{
	char filter[TOPIC_MAX];
	struct err e;

	topic_format(filter, x->r.config.cluster, kind, "+", id);
	return client_subscribe(x->r.client, filter, &e) ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : 0;
}

/* What is raised now. Where no agent is heard, what the broker kept is all there is. */
static int
gather(struct alerts *x)
{
	int rc;

	if ((rc = listen_to(x, TOPIC_ALERT, "+")) || (rc = listen_to(x, TOPIC_MUTE, "+")) ||
	    (rc = listen_to(x, TOPIC_HEALTH, "state")))
		return rc;
	rc = remote_wait(&x->r, &x->heard, remote_answer_ms(&x->r));
	if (rc == EXIT_NO_ANSWER && !client_is_up(x->r.client))
		return remote_no_answer(&x->r, "the broker");
	if (rc == EXIT_NO_ANSWER)
		fprintf(stderr, "uni-wizard: warning: no agent is heard; this is what the broker kept\n");
	else if (rc)
		return rc;
	rc = remote_wait(&x->r, &x->never, MORE_MS);
	return rc == EXIT_NO_ANSWER ? 0 : rc;
}

static int
alerts_open(struct alerts *x, const struct cmd_args *a)
{
	int rc;

	*x = (struct alerts){ .a = a };
	if ((rc = remote_open(&x->r, a, NULL, on_message, x)))
		return rc;
	if ((rc = gather(x))) {
		remote_close(&x->r);
		board_release(&x->board);
	}
	return rc;
}

static void
alerts_close(struct alerts *x)
{
	remote_close(&x->r);
	board_release(&x->board);
}

/* ---- alerts ---- */

static bool
is_shown(const struct alerts *x, const struct board_alert *b, int64_t now)
{
	return board_is_raised(b, now) && (cmd_flag(x->a, "all") || !board_mute(&x->board, b, now));
}

/* Critical first, then by name. */
static int
by_weight(const void *a, const void *b)
{
	const struct board_alert *x = a, *y = b;
	int n = strcmp(alert_rules[x->kind].severity, alert_rules[y->kind].severity);

	n = n ? n : strcmp(x->name, y->name);
	return n ? n : strcmp(x->agent, y->agent);
}

static void
put_one(const struct alerts *x, const struct board_alert *b, int64_t now, struct buf *out)
{
	json_put_open(out, '{');
	board_put(out, &x->board, b, now);
	json_put_close(out, '}');
}

static void
value_text(const struct board_alert *b, char *out, size_t size)
{
	const struct alert_rule *r = &alert_rules[b->kind];

	snprintf(out, size, "%lld%s%.16s", (long long)json_number(b->o, "value", 0), r->unit[0] ? " " : "", r->unit);
}

static void
print_json(const struct alerts *x, int64_t now)
{
	struct buf out = { 0 };

	json_put_open(&out, '[');
	for (size_t i = 0; i < x->board.nalerts; i++)
		if (is_shown(x, &x->board.alerts[i], now))
			put_one(x, &x->board.alerts[i], now, &out);
	json_put_close(&out, ']');
	puts(buf_str(&out));
	buf_free(&out);
}

static void
print_table(const struct alerts *x, int64_t now)
{
	static const char *const heads[] = { "SEVERITY", "ALERT", "VALUE", "SINCE", "SAID BY", "", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < x->board.nalerts; i++) {
		const struct board_alert *b = &x->board.alerts[i];
		const struct board_mute *m = board_mute(&x->board, b, now);
		const char *severity = alert_rules[b->kind].severity;
		char value[48];

		if (!is_shown(x, b, now))
			continue;
		value_text(b, value, sizeof value);
		table_cell(t, "%s%s%s", cmd_color(STDOUT_FILENO, strcmp(severity, "critical") == 0 ? "red" : "yellow"), severity,
		    cmd_color(STDOUT_FILENO, "reset"));
		table_cell(t, "%s", b->name);
		table_cell(t, "%s", value);
		table_cell(t, "%.19s", json_text(b->o, "since"));
		table_cell(t, "%s", b->agent);
		table_cell(t, "%s%s", m ? m->ack ? "seen by " : "silenced by " : "", m ? m->who : "");
	}
	table_print(t);
	for (size_t i = 0; i < x->board.nalerts; i++) {
		const struct board_alert *b = &x->board.alerts[i];
		const struct alert_rule *r = &alert_rules[b->kind];

		if (is_shown(x, b, now))
			printf("\n%s: %s\n  do: %s\n  see docs/TROUBLESHOOTING.md#%s\n", b->name, r->what, r->mend, r->name);
	}
}

static size_t
count_shown(const struct alerts *x, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < x->board.nalerts; i++)
		n += is_shown(x, &x->board.alerts[i], now);
	return n;
}

/* told_ms is the raising that was printed. */
static void
print_changes(struct alerts *x, int64_t now)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < x->board.nalerts; i++) {
		struct board_alert *b = &x->board.alerts[i];
		bool shown = is_shown(x, b, now);
		char value[48], time[32];

		if (shown ? b->told_ms == b->since_ms : !b->told_ms)
			continue;
		b->told_ms = shown ? b->since_ms : 0;
		buf_clear(&out);
		put_one(x, b, now, &out);
		value_text(b, value, sizeof value);
		clock_format(now, time, sizeof time);
		if (x->a->json)
			puts(buf_str(&out));
		else
			printf("%.19s %-8s %s%s%s, %s: %s\n", time, alert_rules[b->kind].severity, b->name,
			    shown ? " raised by " : board_is_raised(b, now) ? " muted, of " : " cleared, of ", b->agent, value, alert_rules[b->kind].what);
		fflush(stdout);
	}
	buf_free(&out);
}

static int
watch(struct alerts *x)
{
	int rc = EXIT_NO_ANSWER;

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	while (rc == EXIT_NO_ANSWER && !interrupted) {
		print_changes(x, clock_wall_ms());
		rc = remote_wait(&x->r, &x->never, 250);
	}
	return rc == EXIT_NO_ANSWER ? EXIT_OK : rc;
}

static int
alerts_run(const struct cmd_args *a)
{
	struct alerts x;
	int64_t now;
	int rc = alerts_open(&x, a);

	if (rc)
		return rc;
	now = clock_wall_ms();
	if (x.board.nalerts && !cmd_flag(a, "watch"))
		qsort(x.board.alerts, x.board.nalerts, sizeof *x.board.alerts, by_weight);
	if (cmd_flag(a, "watch")) {
		rc = watch(&x);
	} else {
		if (a->json)
			print_json(&x, now);
		else if (count_shown(&x, now))
			print_table(&x, now);
		else
			puts("no alert is raised");
		rc = count_shown(&x, now) ? EXIT_NOT_SUCCEEDED : EXIT_OK;
	}
	alerts_close(&x);
	return rc;
}

const struct cmd cmd_alerts = {
	.name = "alerts",
	.help = "Show the alerts that are raised, and what to do",
	.more = "Each is named by its kind and what it is about: queue-age.ezra, agent-gone.timmy-1. Those that somebody has\n"
	    "seen (`alerts ack`) or silenced are left out without --all. Exit code 0: none is shown; 1: some are.",
	.opts = list_opts,
	.flags = CMD_JSON,
	.run = alerts_run,
};

/* ---- alerts ack, alerts silence ---- */

static int
check_name(const char *name)
{
	if (board_name_kind(name) < ALERT_COUNT && strlen(name) < ALERT_NAME_MAX)
		return 0;
	return cmd_fail(EXIT_USAGE, "NAME: expected an alert such as queue-age or queue-age.ezra, got \"%.80s\"; `uni-wizard alerts rules` "
	    "lists them", name);
}

/* A PUBACK is no message, so it is looked for between short waits. */
static int
keep(struct alerts *x, const char *name, const struct buf *line)
{
	const char *who = x->a->identity ? x->a->identity : x->r.config.identity;
	int64_t end = clock_mono_ms() + remote_answer_ms(&x->r);
	enum config_kind kind = config_identity_kind(&x->r.config, who);
	char topic[TOPIC_MAX];
	int rc = EXIT_NO_ANSWER;

	if (kind != IDENTITY_OPERATOR && kind != IDENTITY_SOVEREIGN)
		return cmd_fail(EXIT_REJECTED, "denied: %s is neither an operator nor the sovereign; --as names another", who);
	topic_format(topic, x->r.config.cluster, TOPIC_MUTE, who, name);
	client_retain(x->r.client, topic, line->data, line->len);
	while (rc == EXIT_NO_ANSWER && !client_has_retained(x->r.client) && clock_mono_ms() < end)
		rc = remote_wait(&x->r, &x->never, 50);
	if (client_has_retained(x->r.client))
		return 0;
	return rc == EXIT_NO_ANSWER ? remote_no_answer(&x->r, "the broker") : rc;
}

static void
mute_put(struct buf *b, const char *how, const char *note, int64_t now, int64_t until)
{
	json_put_open(b, '{');
	json_kv_str(b, "mute", how);
	json_kv_time(b, "time", now);
	json_kv_time(b, "until", until);
	if (note)
		json_kv_str(b, "note", note);
	json_put_close(b, '}');
	buf_addc(b, '\n');
}

static int
ack(struct alerts *x, const char *name)
{
	int64_t now = clock_wall_ms(), at = now;
	struct buf line = { 0 };
	size_t n = 0, len = strlen(name);
	int rc;

	for (size_t i = 0; i < x->board.nalerts; i++) {
		const struct board_alert *b = &x->board.alerts[i];

		if (!board_is_raised(b, now) || strncmp(b->name, name, len) != 0 || (b->name[len] && b->name[len] != '.'))
			continue;
		n++;
		/* The clock of who raised it may be ahead of ours. */
		at = b->since_ms > at ? b->since_ms : at;
	}
	if (!n)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no alert %s is raised; `uni-wizard alerts --all` shows those that are", name);
	mute_put(&line, "ack", cmd_text(x->a, "note", NULL), at, now + ACK_MS);
	rc = keep(x, name, &line);
	buf_free(&line);
	if (!rc && x->a->json)
		printf("{\"name\":\"%s\",\"acknowledged\":%zu}\n", name, n);
	else if (!rc)
		printf("%s: seen; it is shown again when it is raised anew\n", name);
	return rc;
}

static int
ack_run(const struct cmd_args *a)
{
	struct alerts x;
	int rc = check_name(a->argv[0]);

	if (rc || (rc = alerts_open(&x, a)))
		return rc;
	rc = ack(&x, a->argv[0]);
	alerts_close(&x);
	return rc;
}

const struct cmd cmd_alerts_ack = {
	.name = "alerts ack",
	.args = "NAME",
	.help = "Say that an alert was seen: it is told no more until it is raised anew",
	.opts = ack_opts,
	.min_args = 1,
	.max_args = 1,
	.complete = "alerts",
	.flags = CMD_JSON,
	.run = ack_run,
};

static int
silence_run(const struct cmd_args *a)
{
	const char *text = cmd_text(a, "for", "1h"), *name = a->argv[0];
	int64_t now = clock_wall_ms(), ms = duration_ms(text);
	bool ends = text[0] == '0' && text[strspn(text, "0")] && !text[strspn(text, "0") + 1];
	struct alerts x = { .a = a };
	struct buf line = { 0 };
	int rc = check_name(name);

	if (rc)
		return rc;
	if ((ms <= 0 || ms > SILENCE_MAX_MS) && !ends)
		return cmd_fail(EXIT_USAGE, "--for: expected a time such as 30m, 1h or 2d, at most 30d, got \"%s\"", text);
	if ((rc = remote_open(&x.r, a, NULL, on_message, &x)))
		return rc;
	if (!ends)
		mute_put(&line, "silence", cmd_text(a, "note", NULL), now, now + ms);
	rc = keep(&x, name, &line);
	if (!rc && a->json)
		printf("{\"name\":\"%s\",\"silenced_ms\":%lld}\n", name, ends ? 0 : (long long)ms);
	else if (!rc)
		printf("%s: %s%s\n", name, ends ? "not silenced any more" : "silenced for ", ends ? "" : text);
	buf_free(&line);
	alerts_close(&x);
	return rc;
}

const struct cmd cmd_alerts_silence = {
	.name = "alerts silence",
	.args = "NAME",
	.help = "Tell nothing of an alert for a time",
	.more = "NAME may be a kind, such as queue-age: then it is about all of that kind. What was said last by the same person\n"
	    "about the same NAME, here or with `alerts ack`, counts.",
	.opts = silence_opts,
	.min_args = 1,
	.max_args = 1,
	.complete = "alerts",
	.flags = CMD_JSON,
	.run = silence_run,
};

/* ---- alerts rules ---- */

static int
rules_run(const struct cmd_args *a)
{
	struct buf b = { 0 };

	(void)a;
	alert_rules_markdown(&b);
	patient_alerts_markdown(&b);
	fputs(buf_str(&b), stdout);
	buf_free(&b);
	return EXIT_OK;
}

const struct cmd cmd_alerts_rules = {
	.name = "alerts rules",
	.help = "Print every alert there is: what it means, its threshold, what to do",
	.flags = CMD_NO_CONFIG,
	.run = rules_run,
};
