/*
 * batch.c - a file of tasks, one a line, given to their houses.
 *
 * What became of each line is kept beside the file, in FILE.progress: its first line is a seed and a time, of which
 * with the line's number and text the id of its task is made. So whoever runs the same file again, after whatever,
 * asks for the same tasks: those that ended are passed over, those that may be on their way are sent again under
 * their ids, and their houses know them. A line that was changed is another task.
 *
 * At most a window of tasks is out. The file is read as it goes, once more before that to count.
 */
#include "batch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "json.h"
#include "remote.h"

#define LINES_MAX 5000000
#define SILENCE_MS 60000                /* without --wait; with it an hour */
#define SILENCE_WAIT_MS 3600000
#define TOLD_MAX 20                     /* what went wrong, without --json */
#define BAR_MS 100
#define BAR 30

/* How a line ended; the first are by their task's state. */
#define ENDS(X) \
	X(END_SUCCEEDED, "succeeded") X(END_ACCEPTED, "accepted") X(END_WAITING, "waiting_approval") \
	X(END_UNCERTAIN, "uncertain") X(END_REJECTED, "rejected") X(END_FAILED, "failed")

enum end {
#define X(sym, name) sym,
	ENDS(X)
#undef X
	END_COUNT
};

static const char *const ends[END_COUNT] = {
#define X(sym, name) [sym] = name,
	ENDS(X)
#undef X
};

/* One that is out. */
struct slot {
	bool used;
	int64_t line;
	struct ulid id;
	char *house, *task;
};

struct batch {
	const struct cmd_args *a;
	struct remote r;
	const char *path;
	FILE *in, *progress;
	char seed[2 * 16 + 1];
	int64_t time_ms;
	struct digest *digest;
	int64_t lines, tasks;           /* all; those that are not blank */
	int64_t next;                   /* line to be read */
	bool eof;
	struct slot slots[BATCH_WINDOW_MAX];
	int window, out;
	int64_t count[END_COUNT], before;       /* before: by former runs */
	int64_t told, begun_ms, heard_ms, bar_ms;
	bool wait, bar;
	bool fresh;                     /* something has to be written */
};

/* ---- what is kept beside the file ---- */

static void
keep(struct batch *b, int64_t line, const struct ulid *id, enum end how)
{
	char text[ULID_TEXT];

	ulid_format(id, text);
	fprintf(b->progress, "{\"line\":%lld,\"id\":\"%s\",\"state\":\"%s\"}\n", (long long)line, text, ends[how]);
	b->fresh = true;
}

static int
begin_progress(struct batch *b)
{
	struct ulid id;

	ulid_now(&id);
	b->time_ms = ulid_time_ms(&id);
	for (int i = 0; i < 16; i++)
		snprintf(b->seed + 2 * i, 3, "%02x", id.b[i]);
	fprintf(b->progress, "{\"seed\":\"%s\",\"time\":%lld}\n", b->seed, (long long)b->time_ms);
	return fflush(b->progress);
}

/* The task's id, by the file's seed, the line's number, and what stands there. */
static void
make_id(const struct batch *b, int64_t line, const char *text, size_t len, struct ulid *id)
{
	unsigned char out[DIGEST_SIZE];
	char head[64];
	int n = snprintf(head, sizeof head, "%s %lld ", b->seed, (long long)line);

	digest_add(b->digest, head, (size_t)n);
	digest_add(b->digest, text, len);
	digest_end(b->digest, out);
	ulid_make(id, b->time_ms, out);
}

/* Ids that former runs saw end, by line. */
struct past {
	struct ulid *ids;
	unsigned char *how;
	int64_t cap;
};

static void
note_past(struct past *p, int64_t line, const char *id, const char *state)
{
	if (line < 1 || line > LINES_MAX)
		return;
	if (line >= p->cap) {
		int64_t cap = line * 2 + 64;

		p->ids = xrealloc(p->ids, (size_t)cap * sizeof *p->ids);
		p->how = xrealloc(p->how, (size_t)cap);
		memset(p->how + p->cap, 0, (size_t)(cap - p->cap));
		p->cap = cap;
	}
	for (int i = 0; i < END_COUNT; i++)
		if (strcmp(state, ends[i]) == 0 && ulid_parse(id, &p->ids[line]))
			p->how[line] = (unsigned char)(i + 1);
}

/* A last line that was cut off says nothing. */
static int
read_progress(struct batch *b, struct past *p)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;
	int64_t n = 0;

	while ((len = getline(&text, &cap, b->progress)) > 0) {
		cJSON *o = text[len - 1] == '\n' ? json_parse_object(text, (size_t)len - 1, NULL) : NULL;
		int64_t line = 0;

		if (!n++) {
			snprintf(b->seed, sizeof b->seed, "%s", json_text(o, "seed"));
			json_int(cJSON_GetObjectItemCaseSensitive(o, "time"), &b->time_ms);
		} else if (json_int(cJSON_GetObjectItemCaseSensitive(o, "line"), &line)) {
			note_past(p, line, json_text(o, "id"), json_text(o, "state"));
		}
		cJSON_Delete(o);
	}
	free(text);
	if (n && (strlen(b->seed) != sizeof b->seed - 1 || !b->time_ms))
		return cmd_fail(EXIT_USAGE, "%s.progress: expected what a former run left there; remove it to begin anew", b->path);
	/* What was cut off must not run into what is written next. */
	fseek(b->progress, 0, SEEK_END);
	if (n && ftell(b->progress) > 0 && (fseek(b->progress, -1, SEEK_END) || getc(b->progress) != '\n')) {
		fseek(b->progress, 0, SEEK_END);
		putc('\n', b->progress);
	}
	fseek(b->progress, 0, SEEK_END);
	return n || !begin_progress(b) ? 0 : cmd_fail(EXIT_NOT_SUCCEEDED, "%s.progress: %s", b->path, strerror(errno));
}

/* ---- telling ---- */

static int64_t
done_here(const struct batch *b)
{
	int64_t n = 0;

	for (int i = 0; i < END_COUNT; i++)
		n += b->count[i];
	return n - b->before;
}

static void
show_bar(struct batch *b)
{
	int64_t now = clock_mono_ms(), here = done_here(b), done = here + b->before, ms = now - b->begun_ms;
	int64_t wrong = b->count[END_FAILED] + b->count[END_REJECTED] + b->count[END_UNCERTAIN];
	int full = b->tasks ? (int)(done * BAR / b->tasks) : BAR;
	char bar[BAR + 1], rest[64] = "";

	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)full);
	bar[BAR] = '\0';
	if (here > 0 && ms > 1000 && done < b->tasks)
		snprintf(rest, sizeof rest, ", %lld/s, %lld s left", (long long)(here * 1000 / ms),
		    (long long)((b->tasks - done) * ms / here / 1000));
	fprintf(stderr, "\r[%s] %3lld %% %lld of %lld", bar, (long long)(b->tasks ? done * 100 / b->tasks : 100), (long long)done,
	    (long long)b->tasks);
	if (wrong)
		fprintf(stderr, ", %s%lld not succeeded%s", cmd_color(2, "red"), (long long)wrong, cmd_color(2, "reset"));
	fprintf(stderr, "%s%s\033[K", rest, client_is_up(b->r.client) ? "" : ", no broker answers");
	b->bar_ms = now;
}

static void
clear_bar(const struct batch *b)
{
	if (b->bar)
		fputs("\r\033[K", stderr);
}

static void
tell(struct batch *b, int64_t line, const char *id, const char *state, const cJSON *error, const char *message)
{
	if (b->a->json) {
		struct buf out = { 0 };

		json_put_open(&out, '{');
		json_kv_int(&out, "line", line);
		if (id)
			json_kv_str(&out, "id", id);
		json_kv_str(&out, "state", state);
		if (error) {
			json_put_key(&out, "error");
			json_put_tree(&out, error);
		} else if (message) {
			json_put_key(&out, "error");
			json_put_open(&out, '{');
			json_kv_str(&out, "message", message);
			json_put_close(&out, '}');
		}
		json_put_close(&out, '}');
		puts(buf_str(&out));
		buf_free(&out);
		return;
	}
	if (!message || b->told++ >= TOLD_MAX)
		return;
	clear_bar(b);
	fprintf(stderr, "line %lld: %s%s%s: %s\n", (long long)line, id ? id : "", id ? " " : "", state, message);
	if (b->told == TOLD_MAX)
		fprintf(stderr, "what else does not succeed is only counted; --json tells all\n");
}

/* ---- lines ---- */

static struct slot *
slot_of(struct batch *b, const struct ulid *id)
{
	for (int i = 0; i < b->window; i++)
		if (b->slots[i].used && ulid_equal(&b->slots[i].id, id))
			return &b->slots[i];
	return NULL;
}

static void
slot_free(struct batch *b, struct slot *s)
{
	free(s->house);
	free(s->task);
	*s = (struct slot){ 0 };
	b->out--;
}

static bool
is_blank(const char *p)
{
	return p[strspn(p, " \t\r\n")] == '\0';
}

/* -1 with e: the line is no task. */
static int
read_line(struct batch *b, const char *text, size_t len, struct slot *s, struct err *e)
{
	const char *house = cmd_text(b->a, "house", "_"), *own;
	cJSON *o = json_parse_object(text, len, e);
	struct buf task = { 0 };
	int rc = -1;

	if (!o)
		return -1;
	own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "house"));
	house = own ? own : house;
	if (strcmp(house, "_") != 0 && !config_house_find(&b->r.config, house)) {
		err_field(e, ERR_UNKNOWN_HOUSE, "house", house, "a house of %s", b->r.config.path);
		goto out;
	}
	own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "id"));
	if (own && !ulid_parse(own, &s->id)) {
		err_field(e, ERR_INVALID, "id", own, "a ULID (26 characters)");
		goto out;
	}
	s->house = xstrdup(house);
	cJSON_DeleteItemFromObjectCaseSensitive(o, "house");
	cJSON_DeleteItemFromObjectCaseSensitive(o, "id");
	json_put_tree(&task, o);
	s->task = buf_take(&task);
	rc = 0;
out:
	cJSON_Delete(o);
	return rc;
}

static void
ended(struct batch *b, int64_t line, const struct ulid *id, enum end how, const char *state, const cJSON *error, const char *message)
{
	char text[ULID_TEXT];

	ulid_format(id, text);
	b->count[how]++;
	keep(b, line, id, how);
	tell(b, line, text, state, error, message);
}

static int
send_slot(struct batch *b, struct slot *s, struct err *e)
{
	if (client_submit(b->r.client, s->house, s->task, strlen(s->task), &s->id, b->wait, e) == 0) {
		b->fresh = true;
		return 0;
	}
	if (e->code == ERR_STORE || e->code == ERR_IO)
		return -1;
	ended(b, s->line, &s->id, END_REJECTED, "rejected", NULL, e->msg);
	slot_free(b, s);
	return 0;
}

/* It ended in a former run, and stands there unchanged. What was accepted only is asked for again if it is to be waited for. */
static bool
is_past(struct batch *b, const struct past *p, int64_t line, const struct ulid *id)
{
	int how = line < p->cap ? p->how[line] - 1 : -1;

	if (how < 0 || !ulid_equal(&p->ids[line], id) || (b->wait && (how == END_ACCEPTED || how == END_WAITING)))
		return false;
	b->count[how]++;
	b->before++;
	return true;
}

static struct slot *
free_slot(struct batch *b)
{
	for (int i = 0; i < b->window; i++)
		if (!b->slots[i].used)
			return &b->slots[i];
	return NULL;
}

static int
take_line(struct batch *b, const struct past *p, char *text, size_t len, struct err *e)
{
	struct slot *s = free_slot(b), x = { .used = true, .line = b->next };

	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	make_id(b, b->next, text, len, &x.id);
	if (is_past(b, p, b->next, &x.id))
		return 0;
	if (read_line(b, text, len, &x, e)) {
		free(x.house);
		ended(b, x.line, &x.id, END_REJECTED, "rejected", NULL, e->msg);
		return 0;
	}
	if (slot_of(b, &x.id)) {
		err_set(e, ERR_CONFLICT, "id: the same as in line %lld", (long long)slot_of(b, &x.id)->line);
		ended(b, x.line, &x.id, END_REJECTED, "rejected", NULL, e->msg);
		free(x.house);
		free(x.task);
		return 0;
	}
	*s = x;
	b->out++;
	return send_slot(b, s, e);
}

/* As many as the window takes. */
static int
fill(struct batch *b, const struct past *p, struct err *e)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len = 0;
	int rc = 0;

	while (rc == 0 && b->out < b->window && (len = getline(&text, &cap, b->in)) >= 0) {
		b->next++;
		if (!is_blank(text))
			rc = take_line(b, p, text, (size_t)len, e);
	}
	if (len < 0 && ferror(b->in))
		rc = err_set(e, ERR_IO, "%s: %s", b->path, strerror(errno));
	b->eof = len < 0;
	free(text);
	return rc;
}

/* ---- what comes back ---- */

static enum end
end_of(const char *state)
{
	for (int i = 0; i < END_COUNT; i++)
		if (strcmp(state, ends[i]) == 0)
			return (enum end)i;
	return END_FAILED;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct batch *b = arg;
	struct slot *s = slot_of(b, &r->id);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	const char *state = reply_text(r, "state"), *message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
	bool accepted = strcmp(r->type, "accepted") == 0, rejected = strcmp(r->type, "rejected") == 0;
	bool approval = state && strcmp(state, "waiting_approval") == 0;

	b->heard_ms = clock_mono_ms();
	if (!s || (!accepted && !rejected && strcmp(r->type, "outcome") != 0) || (accepted && b->wait && !approval))
		return;
	/* It is sent again. */
	if (client_reply_busy_s(r))
		return;
	state = rejected ? "rejected" : accepted && !approval ? "accepted" : state ? state : "failed";
	if (!message && strcmp(state, "succeeded") != 0 && !accepted)
		message = "no reason given";
	ended(b, s->line, &s->id, end_of(state), state, error, message);
	slot_free(b, s);
}

/* ---- the whole ---- */

static int
count_lines(struct batch *b)
{
	char *text = NULL;
	size_t cap = 0;

	while (getline(&text, &cap, b->in) >= 0 && ++b->lines <= LINES_MAX)
		b->tasks += !is_blank(text);
	free(text);
	if (b->lines > LINES_MAX)
		return cmd_fail(EXIT_USAGE, "%s: more than %d lines", b->path, LINES_MAX);
	if (fseek(b->in, 0, SEEK_SET))
		return cmd_fail(EXIT_USAGE, "--batch: %s: a file is needed, for its lines are counted first: %s", b->path, strerror(errno));
	return 0;
}

static int
open_files(struct batch *b)
{
	struct buf name = { 0 };
	int fd, rc = 0;

	b->in = fopen(b->path, "r");
	if (!b->in)
		return cmd_fail(EXIT_USAGE, "--batch: %s: %s", b->path, strerror(errno));
	buf_addf(&name, "%s.progress", b->path);
	fd = open(buf_str(&name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	b->progress = fd < 0 ? NULL : fdopen(fd, "r+");
	if (!b->progress)
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s, where it is kept how far this is: %s", name.data, strerror(errno));
	else if (flock(fd, LOCK_EX | LOCK_NB))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s: another run is at it", b->path);
	buf_free(&name);
	return rc ? rc : count_lines(b);
}

static int
work(struct batch *b, const struct past *p, struct err *e)
{
	int64_t silence = cmd_int(b->a, "within", 0) * 1000;

	if (!silence)
		silence = b->wait ? SILENCE_WAIT_MS : SILENCE_MS;
	b->begun_ms = b->heard_ms = clock_mono_ms();
	while (!b->eof || b->out) {
		if (!b->eof && fill(b, p, e))
			return -1;
		if (b->fresh && (fflush(b->progress) || client_commit(b->r.client, e)))
			return e->code ? -1 : err_set(e, ERR_IO, "%s.progress: %s", b->path, strerror(errno));
		b->fresh = false;
		if (!b->out)
			continue;
		if (client_run(b->r.client, BAR_MS, e))
			return -1;
		if (b->bar && clock_mono_ms() - b->bar_ms >= BAR_MS)
			show_bar(b);
		if (client_is_refused(b->r.client))
			return err_set(e, ERR_DENIED, "the broker does not let this identity give tasks");
		if (clock_mono_ms() - b->heard_ms > silence)
			return 0;
	}
	return fflush(b->progress) ? err_set(e, ERR_IO, "%s.progress: %s", b->path, strerror(errno)) : 0;
}

static int
summary(struct batch *b)
{
	int64_t done = done_here(b) + b->before, left = b->tasks - done;

	if (b->bar) {
		show_bar(b);
		fputc('\n', stderr);
	}
	if (b->a->json) {
		printf("{\"type\":\"summary\",\"tasks\":%lld,\"before\":%lld,\"left\":%lld", (long long)b->tasks, (long long)b->before,
		    (long long)left);
		for (int i = 0; i < END_COUNT; i++)
			printf(",\"%s\":%lld", ends[i], (long long)b->count[i]);
		puts("}");
	} else {
		printf("%lld tasks", (long long)b->tasks);
		for (int i = 0; i < END_COUNT; i++)
			if (b->count[i])
				printf(", %lld %s", (long long)b->count[i], ends[i]);
		if (left)
			printf(", %lld left: the same command goes on", (long long)left);
		if (b->before)
			printf(" (%lld by former runs)", (long long)b->before);
		putchar('\n');
	}
	if (b->count[END_FAILED])
		return EXIT_NOT_SUCCEEDED;
	if (b->count[END_REJECTED])
		return EXIT_REJECTED;
	if (left)
		return EXIT_NO_ANSWER;
	return b->count[END_UNCERTAIN] ? EXIT_UNCERTAIN : b->count[END_WAITING] ? EXIT_WAITING : EXIT_OK;
}

static int
run_in(struct batch *b)
{
	struct past p = { 0 };
	struct err e = { 0 };
	int rc, code;

	if ((rc = read_progress(b, &p)) == 0) {
		code = work(b, &p, &e);
		rc = summary(b);
		if (code)
			rc = cmd_fail(e.code == ERR_DENIED ? EXIT_REJECTED : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	free(p.ids);
	free(p.how);
	return rc;
}

int
batch_run(const struct cmd_args *a, const char *path)
{
	struct batch *b = xcalloc(1, sizeof *b);
	int rc;

	b->a = a;
	b->path = path;
	b->wait = cmd_flag(a, "wait");
	b->window = (int)cmd_int(a, "window", BATCH_WINDOW);
	b->bar = isatty(2) && !a->json;
	b->digest = digest_new();
	if ((rc = open_files(b)) == 0 && (rc = remote_open(&b->r, a, on_reply, NULL, b)) == 0) {
		rc = remote_check_house(&b->r, cmd_text(a, "house", NULL));
		rc = rc ? rc : run_in(b);
		remote_close(&b->r);
	}
	for (int i = 0; i < b->window; i++)
		if (b->slots[i].used)
			slot_free(b, &b->slots[i]);
	if (b->in)
		fclose(b->in);
	if (b->progress)
		fclose(b->progress);
	digest_free(b->digest);
	free(b);
	return rc;
}
