/*
 * output.c - what tools write while they run here, and how far they say they are.
 *
 * Of each attempt the last OUTPUT_KEEP bytes are kept: in memory while it runs, in a row once it is over. Who follows
 * hears it on the house's log topic, a few pieces a second, each with its offset. Those messages are worth little (QoS 0,
 * thinned, none for what is over at once): whoever has missed something asks for it, and is answered from what is kept.
 * What comes after a pause is told at once: thinning is no delay for what is rare. Progress is thinned by the worker.
 */
#include <string.h>

#include "json.h"
#include "state.h"

#define EVERY_MS 250                    /* of one attempt */
#define STRESSED_MS 2000                /* likewise, while the agent or a house of its own is under stress */
#define GATHER_MS 10                    /* of all attempts in one message */
#define PIECE (32u << 10)               /* of one attempt, each time ... */
#define ROUND (128u << 10)              /* ... and of all in that time */
#define ANSWER_MAX (1u << 20)           /* bytes of output in one answer */

struct output {
	uint64_t handle;
	struct house *house;
	struct ulid id;
	int attempt;
	int64_t first;                  /* offset of what is kept */
	struct buf text;
	int64_t told_ms;                /* mono: when something was, or when it began */
	int64_t told;                   /* up to this offset */
	bool followed;                  /* some was told */
	int percent;                    /* -1: not known */
	char note[OUTPUT_NOTE + 1];
	bool news;                      /* these were not told */
	struct output *next;
};

static int64_t
end_of(const struct output *o)
{
	return o->first + (int64_t)o->text.len;
}

static bool
is_inside_char(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static struct output *
find(struct core *c, uint64_t handle)
{
	for (struct output *o = c->outputs; o; o = o->next)
		if (o->handle == handle)
			return o;
	return NULL;
}

/* NULL: nothing that an attempt of a task says; a plan says nothing. */
static struct output *
get(struct core *c, uint64_t handle)
{
	const struct work *w = work_find(c, handle);
	const struct task *t = w ? NULL : attempt_by_handle(c, handle);
	struct output *o = find(c, handle);

	if (o || (w && w->plan) || (!w && !(t && t->house && t->here)))
		return o;
	o = xcalloc(1, sizeof *o);
	o->handle = handle;
	o->house = w ? w->house : t->house;
	o->id = w ? w->id : t->id;
	o->attempt = w ? w->attempt : t->attempt;
	o->told_ms = c->now.mono_ms;
	o->percent = -1;
	o->next = c->outputs;
	c->outputs = o;
	c->noutputs++;
	return o;
}

static int64_t
due_ms(struct core *c, const struct output *o)
{
	if (stress_is_any(c))
		return o->told_ms + STRESSED_MS;
	return o->news ? c->now.mono_ms : o->told_ms + EVERY_MS;
}

static void
wake(struct core *c, int64_t ms)
{
	if (ms < c->output_told_ms + GATHER_MS)
		ms = c->output_told_ms + GATHER_MS;
	if (!c->output_ms || ms < c->output_ms)
		c->output_ms = ms;
}

/* A bit more than that may be there, so that not each piece moves all of it. */
static void
bound(struct core *c, struct output *o)
{
	size_t keep = OUTPUT_ALL / (size_t)c->noutputs < OUTPUT_KEEP ? OUTPUT_ALL / (size_t)c->noutputs : OUTPUT_KEEP, n;

	if (o->text.len <= keep + keep / 4)
		return;
	n = o->text.len - keep;
	while (n < o->text.len && is_inside_char(o->text.data[n]))
		n++;
	memmove(o->text.data, o->text.data + n, o->text.len - n);
	buf_cut(&o->text, o->text.len - n);
	o->first += (int64_t)n - (int64_t)IS_MUTANT(MUTANT_OUTPUT_OFFSET);
}

void
core_attempt_log(struct core *c, uint64_t handle, const char *text, size_t len)
{
	struct output *o = get(c, handle);

	if (!o)
		return;
	buf_add(&o->text, text, len);
	bound(c, o);
	wake(c, due_ms(c, o));
}

void
core_attempt_progress(struct core *c, uint64_t handle, int percent, const char *note, size_t len)
{
	struct output *o = get(c, handle);

	if (!o)
		return;
	o->percent = percent;
	snprintf(o->note, sizeof o->note, "%.*s", (int)(len < OUTPUT_NOTE ? len : OUTPUT_NOTE), note);
	o->news = true;
	wake(c, due_ms(c, o));
}

/* ---- telling ---- */

static struct buf *
line_for(struct core *c, const struct output *o, const char *type)
{
	char topic[TOPIC_MAX], id[ULID_TEXT];
	struct buf *b;

	ulid_format(&o->id, id);
	topic_format(topic, c->o.config->cluster, TOPIC_LOG, o->house->local ? "_" : o->house->name, c->o.agent);
	b = out_once(c, topic);
	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	json_kv_str(b, "time", c->stamp);
	json_kv_str(b, "id", id);
	json_kv_int(b, "attempt", o->attempt);
	return b;
}

static void
put_progress(struct buf *b, const struct output *o)
{
	if (o->percent >= 0)
		json_kv_int(b, "percent", o->percent);
	if (o->note[0])
		json_kv_str(b, "note", o->note);
}

/* The first so many bytes from an offset on, at least one character of it. */
static size_t
piece(const struct output *o, int64_t from, size_t max)
{
	const char *p = o->text.data + (from - o->first);
	size_t left = (size_t)(end_of(o) - from), n = left < max ? left : max;

	while (n < left && n > 4 && is_inside_char(p[n]))
		n--;
	return n;
}

static void
put_text(struct buf *b, const struct output *o, int64_t from, size_t len)
{
	json_kv_int(b, "offset", from);
	json_put_key(b, "text");
	json_put_strn(b, o->text.data + (from - o->first), len);
}

/* The newest of it; what is left out here can be asked for. */
static void
tell(struct core *c, struct output *o, size_t max)
{
	int64_t from = o->told > o->first ? o->told : o->first, end = end_of(o);
	struct buf *b;

	if (end - from > (int64_t)max) {
		from = end - (int64_t)max;
		while (from < end && is_inside_char(o->text.data[from - o->first]))
			from++;
	}
	if (o->news) {
		b = line_for(c, o, "progress");
		put_progress(b, o);
		out_end_line(b);
	}
	if (from < end) {
		b = line_for(c, o, "output");
		put_text(b, o, from, (size_t)(end - from));
		out_end_line(b);
	}
	o->told = end;
	o->told_ms = c->output_told_ms = c->now.mono_ms;
	o->news = false;
	o->followed = true;
}

static bool
has_news(const struct output *o)
{
	return o->news || end_of(o) > o->told;
}

void
output_tick(struct core *c)
{
	size_t max = c->noutputs ? ROUND / (size_t)c->noutputs : 0;

	if (!c->output_ms || c->output_ms > c->now.mono_ms)
		return;
	c->output_ms = 0;
	for (struct output *o = c->outputs; o; o = o->next) {
		if (!has_news(o))
			continue;
		if (!c->up)
			wake(c, c->now.mono_ms + EVERY_MS);
		else if (due_ms(c, o) > c->now.mono_ms)
			wake(c, due_ms(c, o));
		else
			tell(c, o, max < PIECE ? max : PIECE);
	}
}

/* ---- the end ---- */

static void
output_free(struct output *o)
{
	buf_free(&o->text);
	free(o);
}

/* Whoever has heard some of it hears the rest. */
void
output_end(struct core *c, uint64_t handle)
{
	struct output **p = &c->outputs, *o;

	while (*p && (*p)->handle != handle)
		p = &(*p)->next;
	o = *p;
	if (!o)
		return;
	*p = o->next;
	c->noutputs--;
	if (c->up && o->followed && has_news(o))
		tell(c, o, PIECE);
	if (!o->text.len || !c->o.config->keep_output_bytes) {
		output_free(o);
		return;
	}
	o->next = c->outputs_over;
	c->outputs_over = o;
	c->urgent = true;
}

int
output_write(struct core *c, struct err *e)
{
	for (const struct output *o = c->outputs_over; o; o = o->next)
		if (store_put_output(c, o->house->name, &o->id, o->attempt, o->first, o->text.data, o->text.len, e))
			return -1;
	return 0;
}

static void
free_all(struct output **list)
{
	for (struct output *o = *list, *next; o; o = next) {
		next = o->next;
		output_free(o);
	}
	*list = NULL;
}

void
output_is_stored(struct core *c)
{
	for (const struct output *o = c->outputs_over; o; o = o->next)
		c->output_bytes += (int64_t)o->text.len;
	free_all(&c->outputs_over);
}

void
output_release(struct core *c)
{
	free_all(&c->outputs);
	free_all(&c->outputs_over);
}

/* ---- answers ---- */

struct answer {
	struct core *c;
	const char *topic;
	struct buf correlation;
	const char *id;
	int attempt;                    /* from this one on ... */
	int64_t from;                   /* ... and of this one from here on */
	size_t left;
	bool more;                      /* it was too much for one answer */
};

static struct buf *
answer_line(struct answer *a, const char *type)
{
	struct buf *b = out_line(a->c, a->topic, NULL, a->correlation.data, a->correlation.len);

	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	json_kv_str(b, "id", a->id);
	json_kv_str(b, "agent", a->c->o.agent);
	return b;
}

static void
answer_one(struct answer *a, const struct output *o, bool over)
{
	int64_t from = o->attempt == a->attempt && a->from > o->first ? a->from : o->first, end = end_of(o);
	struct buf *b;

	if (o->attempt < a->attempt || a->more)
		return;
	while (from < end && a->left) {
		size_t n = piece(o, from, a->left < PIECE ? a->left : PIECE);

		b = answer_line(a, "output");
		json_kv_int(b, "attempt", o->attempt);
		put_text(b, o, from, n);
		out_end_line(b);
		from += (int64_t)n;
		a->left -= n < a->left ? n : a->left;
	}
	a->more = from < end;
	b = answer_line(a, "output_end");
	json_kv_int(b, "attempt", o->attempt);
	json_kv_int(b, "first", o->first);
	json_kv_int(b, "end", end);
	json_kv_bool(b, "over", over);
	put_progress(b, o);
	out_end_line(b);
}

static void
answer_row(void *arg, int attempt, int64_t first, const char *text, size_t len)
{
	struct output o = { .attempt = attempt, .first = first, .percent = -1,
		.text = { .data = (char *)(uintptr_t)text, .len = len } };

	answer_one(arg, &o, true);
}

/* Of one task, of which several may be here while a commit fails. */
static void
answer_list(struct answer *a, const struct output *list, const struct house *h, const struct ulid *id, bool over)
{
	for (const struct output *o = list; o; o = o->next)
		if (o->house == h && ulid_equal(&o->id, id))
			answer_one(a, o, over);
}

static void
answer(struct core *c, const struct house *h, const struct ulid *id, int attempt, int64_t from, const char *topic,
    const void *correlation, size_t len)
{
	struct answer a = { .c = c, .topic = topic, .attempt = attempt, .from = from, .left = ANSWER_MAX };
	char text[ULID_TEXT];
	struct buf *b;

	ulid_format(id, text);
	a.id = text;
	buf_add(&a.correlation, correlation, len);
	store_each_output(c, h->name, id, answer_row, &a);
	answer_list(&a, c->outputs_over, h, id, true);
	answer_list(&a, c->outputs, h, id, false);
	b = answer_line(&a, "output_all");
	json_kv_bool(b, "more", a.more);
	out_end_line(b);
	buf_free(&a.correlation);
}

/* The owner knows who may have run it, and each of those what it has. */
void
output_ask(struct core *c, const struct task *t, int attempt, int64_t from, const struct mqtt_msg *m, struct buf *b)
{
	struct house *h = t->house;
	struct buf silent = { 0 };
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	json_put_key(b, "asked");
	json_put_open(b, '[');
	json_put_open(&silent, '[');
	json_put_str(b, c->o.agent);
	for (int i = 0; i < c->npeers; i++) {
		struct peer *p = &c->peers[i];
		struct buf *to;

		if (!house_copy(h, p) && !(h->home && config_names_has(h->home, p->name)))
			continue;
		json_put_str(peer_is_alive(c, p, OUTPUT_ALIVE_MS) ? b : &silent, p->name);
		if (!peer_is_alive(c, p, OUTPUT_ALIVE_MS))
			continue;
		to = work_line(c, p->name, h, "output");
		json_kv_str(to, "id", id);
		json_kv_int(to, "attempt", attempt);
		json_kv_int(to, "from", from);
		json_kv_str(to, "reply", m->response_topic);
		if (m->correlation_len)
			stream_put_hex(to, "correlation", m->correlation, m->correlation_len);
		out_end_line(to);
	}
	json_put_close(b, ']');
	json_put_close(&silent, ']');
	json_kv_raw(b, "silent", silent.data, silent.len);
	buf_free(&silent);
}

void
output_answer(struct core *c, const struct task *t, int attempt, int64_t from, const struct mqtt_msg *m)
{
	answer(c, t->house, &t->id, attempt, from, m->response_topic, m->correlation, m->correlation_len);
}

/* Some owner's, for whom it is in place of us to answer. */
void
output_asked(struct core *c, const struct house *h, const cJSON *o)
{
	const char *reply = json_text(o, "reply");
	struct buf correlation = { 0 };
	struct topic t;
	struct ulid id;

	if (topic_parse(reply, c->o.config->cluster, &t, NULL) || t.kind != TOPIC_REPLY || strpbrk(reply, "+#") ||
	    !ulid_parse(json_text(o, "id"), &id))
		return;
	if (reply_to_correlation(json_text(o, "correlation"), &correlation, NULL) == 0)
		answer(c, h, &id, (int)json_number(o, "attempt", 0), json_number(o, "from", 0), reply, correlation.data,
		    correlation.len);
	buf_free(&correlation);
}
