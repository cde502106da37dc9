/*
 * pool_answer.c - what a worker says, of which nothing is believed unseen, and what its attempts
 * came to.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "clock.h"
#include "json.h"
#include "live.h"
#include "pool_state.h"

#define READ_BUDGET (1u << 20)          /* of one worker, in one pool_read() */

/* The attempt that the worker is at, or was at last and has not answered; 0: none that is out. */
uint64_t
worker_begun(const struct worker *w)
{
	uint64_t seq = atomic_load(&w->l.page->begun);

	if (atomic_load(&w->l.page->not_begun) != ~seq || seq >= w->tail)
		return held(w) ? w->head : 0;
	return seq >= w->head ? seq : 0;
}

static void
count_end(struct pool *p, enum pool_how how)
{
	uint64_t *const counters[] = {
		[POOL_SUCCEEDED] = &p->count.succeeded, [POOL_FAILED] = &p->count.failed,
		[POOL_TIMEOUT] = &p->count.timeouts, [POOL_CRASHED] = &p->count.crashed,
		[POOL_STOPPED] = &p->count.stopped, [POOL_NOT_RUN] = &p->count.not_run,
	};

	++*counters[how];
}

/* Ends the oldest attempt of w. p->end.err and result are set by the caller where they matter. */
static void
end_oldest(struct pool *p, struct worker *w, enum pool_how how, int64_t ran_us)
{
	struct pool_end *end = &p->end;

	end->handle = attempt_at(w, w->head)->handle;
	end->how = how;
	end->ran_us = ran_us;
	end->pid = (int)w->l.pid;
	if (w->notes.len && (how == POOL_SUCCEEDED || how == POOL_FAILED)) {
		end->notes = w->notes.data;
		end->notes_len = w->notes.len;
	}
	w->head++;
	if (w->head == w->tail)
		w->slow = false;
	p->ended++;
	count_end(p, how);
	p->o.on_end(p->o.arg, end);
	end->result = NULL;
	end->result_len = 0;
	end->no_effect = end->refused = end->hopeless = end->down = false;
	end->retry_after_s = 0;
	end->notes = NULL;
	end->notes_len = 0;
	buf_clear(&w->notes);
	if (end->err.code != ERR_NONE)
		end->err = (struct err){ .code = ERR_NONE };
}

void
worker_describe(const struct worker *w, char *out, size_t size)
{
	if (w->said[0])
		snprintf(out, size, "%s", w->said);
	else if (w->why[0])
		snprintf(out, size, "%s", w->why);
	else if (w->status >= 0 && WIFSIGNALED(w->status))
		snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(w->status),
		    strsignal(WTERMSIG(w->status)));
	else if (w->status >= 0)
		snprintf(out, size, "ended by itself with exit code %d", WEXITSTATUS(w->status));
	else
		snprintf(out, size, "died");
}

static enum pool_how
how_it_ended(struct worker *w, uint64_t seq, uint64_t current)
{
	if (seq == w->blame)
		return w->how;
	if (attempt_at(w, seq)->stop_ms || (w->pool->closing && seq == current))
		return POOL_STOPPED;
	if (seq == current && !w->blame)
		return POOL_CRASHED;
	return POOL_NOT_RUN;
}

static void
explain(struct worker *w, enum pool_how how, const struct attempt *a, struct err *e)
{
	char what[240];

	switch (how) {
	case POOL_TIMEOUT:
		err_set(e, ERR_TIMEOUT, "the tool was stopped after %lld ms", (long long)a->timeout_ms);
		break;
	case POOL_CRASHED:
		worker_describe(w, what, sizeof what);
		err_set(e, ERR_CRASH, "the worker was lost: %s", what);
		break;
	case POOL_NOT_RUN:
		err_set(e, ERR_LOST, "its worker died before it began");
		break;
	case POOL_STOPPED:
	case POOL_SUCCEEDED:
	case POOL_FAILED:
		break;
	}
}

/* The worker is gone: everything it held has ended. */
void
worker_end_all(struct pool *p, struct worker *w)
{
	uint64_t current = worker_begun(w);
	int64_t now_us = clock_mono_us(), began_us = current ? atomic_load(&w->l.page->begun_us) : 0;

	while (held(w)) {
		uint64_t seq = w->head;
		enum pool_how how = how_it_ended(w, seq, current);
		bool ran = seq == current && began_us > 0 && began_us < now_us;

		explain(w, how, attempt_at(w, seq), &p->end.err);
		end_oldest(p, w, how, ran ? now_us - began_us : 0);
	}
}

static void
bad_reply(struct worker *w, const char *what)
{
	char why[160];

	snprintf(why, sizeof why, "bad reply: %s", what);
	worker_condemn(w, why);
}

static void
take_hello(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)body;
	if (w->stage == ENDING || w->stage == KILLED)
		return;
	if (w->stage != STARTING || len || f->seq != FRAME_VERSION) {
		bad_reply(w, f->seq == FRAME_VERSION ? "hello twice" : "not the same version");
		return;
	}
	worker_enter(w, READY);
	p->walls = atomic_load(&w->l.page->walls);
	p->walled = true;
}

static void
take_broken(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)p;
	(void)f;
	snprintf(w->said, sizeof w->said, "%.*s", (int)(len < sizeof w->said ? len : sizeof w->said), body);
}

static bool
answers_oldest(struct worker *w, const struct frame *f)
{
	if (held(w) && f->seq == w->head)
		return true;
	bad_reply(w, "for an attempt that is not out");
	return false;
}

static int64_t
time_in_tool(const struct frame *f)
{
	return f->time >= 0 && f->time <= INT64_MAX / 2 ? f->time : 0;
}

static void
take_result(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	struct err e;

	if (!answers_oldest(w, f))
		return;
	if (len < 2 || body[len - 1] || len - 1 > p->o.max_output) {
		bad_reply(w, "result has a wrong length");
		return;
	}
	if (memchr(body, '\n', len) || memchr(body, '\r', len) || json_check_inner(body, len - 1, &e)) {
		bad_reply(w, "result is not one line of JSON");
		return;
	}
	p->end.result = body;
	p->end.result_len = len - 1;
	end_oldest(p, w, POOL_SUCCEEDED, time_in_tool(f));
}

/* Copies one text that is ended by NUL, without control characters; NULL if it does not fit. */
static const char *
take_text(const char *p, const char *end, char *out, size_t size)
{
	const char *nul = memchr(p, '\0', (size_t)(end - p));
	size_t n;

	if (!nul || (size_t)(nul - p) >= size)
		return NULL;
	n = (size_t)(nul - p);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		out[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? ' ' : p[i];
	}
	out[n] = '\0';
	return nul + 1;
}

static int
take_err(const char *body, size_t len, struct err *e, int64_t *retry_after_s)
{
	uint32_t head[2];
	const char *p = body + sizeof head, *end = body + len;

	if (len < sizeof head)
		return -1;
	memcpy(head, body, sizeof head);
	if (head[0] == ERR_NONE || head[0] >= ERR_NCODES)
		return -1;
	e->code = (enum err_code)head[0];
	*retry_after_s = head[1];
	if (!(p = take_text(p, end, e->field, sizeof e->field)) ||
	    !(p = take_text(p, end, e->expected, sizeof e->expected)) ||
	    !(p = take_text(p, end, e->got, sizeof e->got)) ||
	    !(p = take_text(p, end, e->msg, sizeof e->msg)))
		return -1;
	return p == end ? 0 : -1;
}

/* Kept until the answer that they belong to, which follows at once. */
static void
take_notes(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	struct err e;

	(void)p;
	if (!answers_oldest(w, f))
		return;
	if (w->notes.len || len < 3 || len > FRAME_NOTES_MAX || body[0] != '{' || body[len - 1] ||
	    memchr(body, '\n', len) || memchr(body, '\r', len) || json_check_inner(body, len - 1, &e))
		bad_reply(w, "notes are not one line of JSON");
	else
		buf_add(&w->notes, body, len - 1);
}

static void
take_failure(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	if (!answers_oldest(w, f))
		return;
	if (take_err(body, len, &p->end.err, &p->end.retry_after_s)) {
		p->end.err = (struct err){ .code = ERR_NONE };
		p->end.retry_after_s = 0;
		bad_reply(w, "failure without an error");
		return;
	}
	p->end.no_effect = f->flags & FRAME_NO_EFFECT;
	p->end.refused = f->flags & FRAME_REFUSED;
	p->end.hopeless = f->flags & FRAME_HOPELESS;
	p->end.down = f->flags & FRAME_DOWN;
	end_oldest(p, w, POOL_FAILED, time_in_tool(f));
}

static void
take_skipped(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)body;
	if (!answers_oldest(w, f))
		return;
	if (len || !attempt_at(w, f->seq)->stop_ms)
		bad_reply(w, "skipped an attempt that was not called off");
	else
		end_oldest(p, w, POOL_STOPPED, 0);
}

static bool
is_text(const char *p, size_t len)
{
	for (int n; len; p += n, len -= (size_t)n)
		if (!*p || (n = json_utf8_len(p, len)) <= 0)
			return false;
	return true;
}

static void
take_log(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	if (len > FRAME_LOG_MAX)
		bad_reply(w, "log too long");
	else if (!is_text(body, len))
		bad_reply(w, "log is not text");
	else if (answers_oldest(w, f) && p->o.on_log && len)
		p->o.on_log(p->o.arg, attempt_at(w, f->seq)->handle, body, len);
}

static void
take_progress(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	if (len > LIVE_NOTE || !is_text(body, len) || f->time < -1 || f->time > 100)
		bad_reply(w, "progress is not one");
	else if (answers_oldest(w, f) && p->o.on_progress)
		p->o.on_progress(p->o.arg, attempt_at(w, f->seq)->handle, (int)f->time, body, len);
}

static void (*const take[FRAME_NKINDS])(struct pool *, struct worker *, const struct frame *, const char *,
    size_t) = {
	[FRAME_HELLO] = take_hello,
	[FRAME_BROKEN] = take_broken,
	[FRAME_RESULT] = take_result,
	[FRAME_FAILURE] = take_failure,
	[FRAME_SKIPPED] = take_skipped,
	[FRAME_LOG] = take_log,
	[FRAME_NOTES] = take_notes,
	[FRAME_PROGRESS] = take_progress,
};

size_t
worker_take(struct pool *p, struct worker *w, const char *data, size_t len)
{
	struct frame f;
	size_t at = 0;

	while (!w->deaf && len - at >= sizeof f) {
		memcpy(&f, data + at, sizeof f);
		if (f.len < sizeof f || f.len > p->max_frame || f.kind >= FRAME_NKINDS || !take[f.kind]) {
			bad_reply(w, "not a frame");
			break;
		}
		if (len - at < f.len)
			break;
		take[f.kind](p, w, &f, data + at + sizeof f, f.len - sizeof f);
		at += f.len;
	}
	return w->deaf ? len : at;
}

/* Returns what recv() did, with 0 for "later". End of file or an error is noted in w. */
static size_t
receive(struct worker *w, char *into, size_t size)
{
	ssize_t n;

	do
		n = recv(w->l.fd, into, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		w->hung_up = true;
	return 0;
}

/* Straight from the shared chunk while frames come whole, as they nearly always do. */
static size_t
read_chunk(struct pool *p, struct worker *w)
{
	size_t n = receive(w, p->chunk, POOL_READ_CHUNK), used;

	if (!n)
		return 0;
	used = worker_take(p, w, p->chunk, n);
	if (used < n)
		buf_add(&w->in, p->chunk + used, n - used);
	return n;
}

/* The rest of a frame of which the beginning is in w->in. */
static size_t
read_rest(struct pool *p, struct worker *w)
{
	char *into = buf_reserve(&w->in, POOL_READ_CHUNK);
	size_t n = receive(w, into, POOL_READ_CHUNK), used;

	if (!n)
		return 0;
	w->in.len += n;
	used = worker_take(p, w, w->in.data, w->in.len);
	memmove(w->in.data, w->in.data + used, w->in.len - used);
	buf_cut(&w->in, w->in.len - used);
	return n;
}

/* Bounded: what a noisy worker has left stays in the socket, and fills it. */
void
worker_read(struct pool *p, struct worker *w)
{
	uint64_t head = w->head;

	for (size_t got = 0, n; got < READ_BUDGET && !w->hung_up && !w->deaf; got += n) {
		n = w->in.len ? read_rest(p, w) : read_chunk(p, w);
		if (n < POOL_READ_CHUNK)
			break;
	}
	w->readable = false;
	if (w->head != head) {
		w->progress_ms = clock_mono_ms();
		w->served = true;
	}
}
