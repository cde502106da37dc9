#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "meter.h"
#include "remote.h"
#include "task.h"

#define ROUND_MS 3000           /* for all who are asked to answer */
#define AGAIN_MS 250            /* between two questions */
#define QUIET_MS 5000           /* nothing was heard for so long: is there anything? */
#define AGENTS_MAX (CONFIG_MAX_AGENTS + 1)

static const struct cmd_opt opts[] = {
	{ .name = "follow", .letter = 'f', .kind = OPT_FLAG,
	  .help = "go on until the task has ended; the exit code is the task's" },
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "ask only this house", .complete = "houses" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "follow for at most so many seconds (default: until it ends)" },
	{ .name = NULL },
};

/* A part of an attempt's output; or text NULL: that is all that an agent has of it. */
struct piece {
	int attempt;
	char agent[NAME_MAX_LEN + 1];
	int64_t offset, end;            /* of all that is kept, if it says that */
	bool over;
	char *text;
	size_t len;
};

struct logs {
	const struct cmd_args *a;
	struct remote r;
	struct ulid id;
	char id_text[ULID_TEXT];
	char house[NAME_MAX_LEN + 1];   /* "": not known yet */
	bool follow;

	/* What is printed: up to here of that attempt. */
	int attempt;
	char agent[NAME_MAX_LEN + 1];
	int64_t next;
	bool over;                      /* no more of it will come */
	bool any, at_line;

	/* A question, and what is answered. */
	bool asking, told;
	int64_t asked_ms, heard_ms;
	int houses, unknown;            /* asked, and those that do not know the task */
	char asked[AGENTS_MAX][NAME_MAX_LEN + 1], answered[AGENTS_MAX][NAME_MAX_LEN + 1];
	int nasked, nanswered;
	struct piece *pieces;
	size_t npieces;
	char state[24];
	int last;                       /* the task's latest attempt */
	bool want;                      /* ask again */
	bool said_away;
	bool done;
	int rc;
};

/* ---- printing ---- */

static void say(struct logs *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct logs *l, const char *fmt, ...)
{
	va_list ap;

	if (l->a->json)
		return;
	meter_clear();
	fflush(stdout);
	fprintf(stderr, "%s%s[", l->at_line ? "" : "\n", cmd_color(2, "dim"));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "]%s\n", cmd_color(2, "reset"));
	l->at_line = true;
}

/* What a terminal would obey is not for a tool to send. */
static void
print_tame(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)p[i + 1] < 0xa0;

		if ((c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 0x7f || c1)
			putchar('?');
		else
			putchar(c);
		i += c1;
	}
}

static void
print_json(const struct logs *l, const char *text, size_t len)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "type", "output");
	json_kv_int(&b, "attempt", l->attempt);
	json_kv_str(&b, "agent", l->agent);
	json_kv_int(&b, "offset", l->next);
	json_put_key(&b, "text");
	json_put_strn(&b, text, len);
	json_put_close(&b, '}');
	puts(b.data);
	buf_free(&b);
}

static void
print_text(struct logs *l, const char *text, size_t len)
{
	if (l->a->json) {
		print_json(l, text, len);
	} else {
		meter_clear();
		if (isatty(1))
			print_tame(text, len);
		else
			fwrite(text, 1, len, stdout);
		l->at_line = text[len - 1] == '\n';
	}
	fflush(stdout);
	l->any = true;
	l->next += (int64_t)len;
}

static void
skip_to(struct logs *l, int64_t offset)
{
	if (l->a->json)
		printf("{\"type\":\"missing\",\"attempt\":%d,\"agent\":\"%s\",\"offset\":%lld,\"bytes\":%lld}\n", l->attempt, l->agent,
		    (long long)l->next, (long long)(offset - l->next));
	else
		say(l, "%lld bytes are not kept any more", (long long)(offset - l->next));
	l->any = true;
	l->next = offset;
}

static void
print_piece(struct logs *l, const struct piece *p)
{
	int64_t skip = l->next - p->offset;

	if (skip < 0) {
		skip_to(l, p->offset);
		skip = 0;
	}
	if (skip < (int64_t)p->len)
		print_text(l, p->text + skip, p->len - (size_t)skip);
}

/* ---- what comes ---- */

static bool
is_among(char (*names)[NAME_MAX_LEN + 1], int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void
add_name(char (*names)[NAME_MAX_LEN + 1], int *n, const char *name)
{
	if (*n < AGENTS_MAX && name && !is_among(names, *n, name))
		snprintf(names[(*n)++], NAME_MAX_LEN + 1, "%.*s", NAME_MAX_LEN, name);
}

static void
piece_read(const cJSON *o, const char *agent, struct piece *p)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "text"));

	*p = (struct piece){ .attempt = (int)json_number(o, "attempt", 0), .offset = json_number(o, "offset", 0),
		.end = json_number(o, "end", 0), .over = json_is_true(o, "over") };
	snprintf(p->agent, sizeof p->agent, "%.*s", NAME_MAX_LEN, agent);
	if (text) {
		p->text = xstrdup(text);
		p->len = strlen(text);
	} else {
		p->offset = json_number(o, "first", 0);
	}
}

static void
keep(struct logs *l, const struct piece *p)
{
	if ((l->npieces & (l->npieces - 1)) == 0)
		l->pieces = xrealloc(l->pieces, (l->npieces ? 2 * l->npieces : 1) * sizeof *l->pieces);
	l->pieces[l->npieces++] = *p;
}

static bool
is_end(const char *state)
{
	enum task_state s;

	return task_state_parse(state, &s) == 0 && (task_state_is_terminal(s) || s == TASK_UNCERTAIN);
}

/* The router knows where it handed it to, the house how it goes. */
static void
take_state(struct logs *l, const cJSON *o)
{
	const cJSON *v;

	snprintf(l->house, sizeof l->house, "%.*s", NAME_MAX_LEN, json_text(o, "house"));
	if (strcmp(json_text(o, "state"), "forwarded") == 0)
		return;
	snprintf(l->state, sizeof l->state, "%.23s", json_text(o, "state"));
	l->last = (int)json_number(o, "attempt", 0);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "asked"))
		add_name(l->asked, &l->nasked, cJSON_GetStringValue(v));
	l->told = true;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct logs *l = arg;
	struct piece p;

	if (strcmp(r->type, "error") == 0)
		l->unknown++;
	if (!ulid_equal(&r->id, &l->id))
		return;
	if (strcmp(r->type, "logs") == 0) {
		take_state(l, r->obj);
	} else if (strcmp(r->type, "output") == 0 || strcmp(r->type, "output_end") == 0) {
		piece_read(r->obj, json_text(r->obj, "agent"), &p);
		keep(l, &p);
	} else if (strcmp(r->type, "output_all") == 0) {
		add_name(l->answered, &l->nanswered, json_text(r->obj, "agent"));
		l->want |= json_is_true(r->obj, "more");
	}
}

/* Straight on if it is the next, else it is asked for. */
static void
take_live(struct logs *l, const char *agent, const cJSON *o)
{
	struct piece p;

	l->heard_ms = clock_mono_ms();
	piece_read(o, agent, &p);
	if (p.attempt == l->attempt && strcmp(p.agent, l->agent) == 0 && p.offset <= l->next)
		print_piece(l, &p);
	else if (p.attempt >= l->attempt)
		l->want = true;
	free(p.text);
}

static void
take_line(struct logs *l, const struct topic *t, const char *line, size_t len)
{
	cJSON *o = memmem(line, len, l->id_text, strlen(l->id_text)) ? json_parse_object(line, len, NULL) : NULL;
	const char *type = json_text(o, "type");

	if (!o || strcmp(json_text(o, "id"), l->id_text) != 0)
		;
	else if (t->kind == TOPIC_EVENT && strcmp(type, "outcome") == 0)
		l->want = true;
	else if (t->kind == TOPIC_LOG && strcmp(type, "output") == 0)
		take_live(l, t->id, o);
	else if (t->kind == TOPIC_LOG && strcmp(type, "progress") == 0 && l->at_line && !l->a->json)
		meter_show(o);
	cJSON_Delete(o);
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct logs *l = arg;
	const char *p = payload, *end = payload + len;
	struct topic t;

	if (topic_parse(topic, l->r.config.cluster, &t, NULL))
		return;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n)
			take_line(l, &t, p, n);
		p += n + 1;
	}
}

/* ---- questions ---- */

static void
ask(struct logs *l)
{
	char request[128];

	for (size_t i = 0; i < l->npieces; i++)
		free(l->pieces[i].text);
	l->npieces = 0;
	l->nasked = l->nanswered = l->unknown = 0;
	l->told = l->want = false;
	l->asking = true;
	l->asked_ms = l->heard_ms = clock_mono_ms();
	snprintf(request, sizeof request, "{\"output\":{\"id\":\"%s\",\"attempt\":%d,\"from\":%lld}}", l->id_text, l->attempt,
	    (long long)l->next);
	l->houses = remote_ask(&l->r, TOPIC_QUERY, l->house[0] ? l->house : NULL, request);
}

static bool
all_answered(const struct logs *l)
{
	struct logs *x = (struct logs *)(uintptr_t)l;

	for (int i = 0; i < l->nasked; i++)
		if (!is_among(x->answered, l->nanswered, l->asked[i]))
			return false;
	return l->told;
}

static int
by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int agents = strcmp(x->agent, y->agent);

	if (x->attempt != y->attempt)
		return x->attempt < y->attempt ? -1 : 1;
	if (agents || !x->text != !y->text)
		return agents ? agents : x->text ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* The task has gone on without what we follow. */
static void
give_up(struct logs *l)
{
	bool there = is_among(l->answered, l->nanswered, l->agent);

	if (!l->attempt || l->over)
		return;
	if (l->a->json)
		printf("{\"type\":\"missing\",\"attempt\":%d,\"agent\":\"%s\",\"offset\":%lld}\n", l->attempt, l->agent,
		    (long long)l->next);
	else
		say(l, "attempt %d: %s %s, so nothing is known after byte %lld", l->attempt, l->agent,
		    there ? "has nothing of it any more" : "is not there", (long long)l->next);
	l->over = l->any = true;
}

static void
print_answers(struct logs *l)
{
	if (l->npieces)
		qsort(l->pieces, l->npieces, sizeof *l->pieces, by_place);
	for (size_t i = 0; i < l->npieces; i++) {
		const struct piece *p = &l->pieces[i];

		if (p->attempt < l->attempt || (p->attempt == l->attempt && strcmp(p->agent, l->agent) != 0))
			continue;
		if (p->attempt > l->attempt) {
			if (l->attempt || p->attempt > 1) {
				give_up(l);
				say(l, "attempt %d on %s", p->attempt, p->agent);
			}
			l->attempt = p->attempt;
			snprintf(l->agent, sizeof l->agent, "%s", p->agent);
			l->next = 0;
			l->over = false;
		}
		if (p->text)
			print_piece(l, p);
		else if (p->offset > l->next)
			skip_to(l, p->offset);
		l->over |= !p->text && p->over;
	}
}

static bool
has_lost_it(const struct logs *l)
{
	for (size_t i = 0; i < l->npieces; i++)
		if (l->pieces[i].attempt == l->attempt && strcmp(l->pieces[i].agent, l->agent) == 0)
			return false;
	return true;
}

static void
finish(struct logs *l)
{
	l->done = true;
	l->rc = EXIT_OK;
	if (l->a->json)
		printf("{\"type\":\"end\",\"id\":\"%s\",\"house\":\"%s\",\"state\":\"%s\"}\n", l->id_text, l->house, l->state);
	else if (!l->any)
		say(l, "no output is kept of it");
	if (!l->follow)
		return;
	l->rc = state_exit(l->state);
	if (!l->a->json) {
		meter_clear();
		fprintf(stderr, "%s%s %s%s%s\n", l->at_line ? "" : "\n", l->id_text, cmd_color(2, state_color(l->state)), l->state,
		    cmd_color(2, "reset"));
	}
}

static void
no_answer(struct logs *l)
{
	if (!l->follow) {
		l->done = true;
		l->rc = remote_no_answer(&l->r, l->house[0] ? "its house" : "any house");
	} else if (!l->said_away) {
		say(l, "no answer; waiting for house %s", l->house[0] ? l->house : "that knows it");
		l->said_away = true;
	}
	l->want = true;
}

static void
close_round(struct logs *l)
{
	l->asking = false;
	if (!l->told) {
		no_answer(l);
		return;
	}
	l->said_away = false;
	print_answers(l);
	if (has_lost_it(l) && (is_end(l->state) || l->last > l->attempt))
		give_up(l);
	if (!l->want && (is_end(l->state) || !l->follow))
		finish(l);
}

static int
listen_to_house(struct logs *l)
{
	static const enum topic_kind kinds[] = { TOPIC_LOG, TOPIC_EVENT };
	char filter[TOPIC_MAX];
	struct err e;

	for (int i = 0; i < 2; i++) {
		topic_format(filter, l->r.config.cluster, kinds[i], l->house, "+");
		if (client_subscribe(l->r.client, filter, &e))
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	l->want = true;                 /* what came before that is asked for */
	return 0;
}

static int
look(struct logs *l)
{
	int64_t now = clock_mono_ms(), limit = l->house[0] ? ROUND_MS : remote_answer_ms(&l->r);

	if (l->asking && l->unknown >= l->houses)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no house knows a task %s", l->id_text);
	if (l->asking && (all_answered(l) || now - l->asked_ms > limit))
		close_round(l);
	if (l->done || l->asking || !client_is_up(l->r.client))
		return 0;
	if ((l->want && now - l->asked_ms >= AGAIN_MS) || now - l->heard_ms >= QUIET_MS)
		ask(l);
	return 0;
}

static int
run_in(struct logs *l)
{
	int64_t begun = clock_mono_ms(), within = cmd_int(l->a, "within", 0) * 1000;
	bool listens = false, was_up = false;
	int rc = remote_check_house(&l->r, l->house[0] ? l->house : NULL);

	if (rc)
		return rc;
	ask(l);
	while (!rc && !l->done) {
		rc = remote_wait(&l->r, &l->done, l->asking ? 20 : 100);
		rc = rc == EXIT_NO_ANSWER ? look(l) : rc;
		if (!rc && l->follow && l->told && !listens) {
			listens = true;
			rc = listen_to_house(l);
		}
		if (client_is_up(l->r.client) && !was_up)
			l->want |= listens;
		was_up = client_is_up(l->r.client);
		if (within && clock_mono_ms() - begun > within && !rc && !l->done)
			return cmd_fail(EXIT_NO_ANSWER, "task %s has not ended yet", l->id_text);
	}
	return rc ? rc : l->rc;
}

static int
logs_run(const struct cmd_args *a)
{
	struct logs *l = xcalloc(1, sizeof *l);
	int rc = EXIT_USAGE;

	l->a = a;
	l->follow = cmd_flag(a, "follow");
	l->at_line = true;
	snprintf(l->house, sizeof l->house, "%.*s", NAME_MAX_LEN, cmd_text(a, "house", ""));
	if (remote_task_id(a->argv[0], &l->id) == 0 && (rc = remote_open(&l->r, a, on_reply, on_message, l)) == 0) {
		ulid_format(&l->id, l->id_text);
		rc = run_in(l);
		remote_close(&l->r);
	}
	for (size_t i = 0; i < l->npieces; i++)
		free(l->pieces[i].text);
	free(l->pieces);
	free(l);
	return rc;
}

const struct cmd cmd_logs = {
	.name = "logs",
	.args = "ID",
	.help = "Print what a task's tool wrote; -f as it writes it",
	.more = "What its agents have kept: of each attempt the last 256 KiB. With -f it goes on until the task has ended, over\n"
	        "lost connections and other attempts, and says what is missing. The text goes to standard output, all else to\n"
	        "standard error.",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = logs_run,
};
