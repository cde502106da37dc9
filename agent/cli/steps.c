#include "steps.h"

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "err.h"
#include "json.h"
#include "ssh.h"

#define NOTE_MAX 2048

enum state { DONE, ALREADY, PLANNED, FAILED };

static const struct {
	const char *name, *color;
} states[] = { { "done", "green" }, { "already", "dim" }, { "planned", "yellow" }, { "failed", "red" } };

struct run {
	const struct steps_opts *o;
	struct buf *json;
	int i, n;
	bool blind;                     /* of a dry run: something could not be looked at */
};

static void
put_json(struct buf *json, const struct step *s, enum state state, const struct buf *note, int64_t ms)
{
	json_put_open(json, '{');
	json_kv_str(json, "step", s->name);
	json_kv_str(json, "what", s->what);
	json_kv_str(json, "undo", s->undo);
	json_kv_str(json, "state", states[state].name);
	json_kv_str(json, "note", note->len ? note->data : NULL);
	json_put_key(json, "seconds");
	buf_addf(json, "%.1f", (double)ms / 1000);
	json_put_close(json, '}');
}

static void
report(const struct run *r, const struct step *s, enum state state, const struct buf *note, int64_t ms)
{
	if (r->json)
		put_json(r->json, s, state, note, ms);
	if (r->o->quiet)
		return;
	printf("[%d/%d] %s%-8s%s %-14s%s", r->i, r->n, cmd_color(1, states[state].color), states[state].name, cmd_color(1, "reset"),
	    s->name, state == PLANNED || !note->len ? s->what : note->data);
	if (state == DONE && ms >= 1000)
		printf(" (%.1f s)", (double)ms / 1000);
	if (state == PLANNED && note->len)
		printf("; %s", note->data);
	putchar('\n');
	if (state == PLANNED && s->undo)
		printf("%*sundo: %s\n", 31, "", s->undo);
	fflush(stdout);
}

static int
look(struct run *r, const struct step *s, void *ctx, struct buf *note, struct err *e)
{
	int done = s->done && !r->blind ? s->done(ctx, note, e) : 0;

	if (done >= 0 || !r->o->dry_run)
		return done;
	r->blind = true;
	buf_clear(note);
	buf_addf(note, "cannot look: %s", e->msg);
	return 0;
}

static int
run_one(struct run *r, const struct step *s, void *ctx, struct err *e)
{
	struct buf note = { .max = NOTE_MAX };
	int64_t begun = clock_mono_ms();
	int done = look(r, s, ctx, &note, e), rc = done < 0 ? -1 : 0;

	if (done == 0 && !r->o->dry_run) {
		buf_clear(&note);
		rc = s->act(ctx, &note, e);
	}
	if (rc) {
		buf_clear(&note);
		buf_addf(&note, "%s", e->msg);
		err_wrap(e, "%s", s->name);
	}
	ssh_make_harmless(&note);
	report(r, s, rc ? FAILED : done ? ALREADY : r->o->dry_run ? PLANNED : DONE, &note, clock_mono_ms() - begun);
	buf_free(&note);
	return rc;
}

static bool
is_wanted(const struct step *s, const void *ctx)
{
	return !s->wanted || s->wanted(ctx);
}

int
steps_run(const struct step *steps, void *ctx, const struct steps_opts *o, struct buf *json, struct err *e)
{
	struct run r = { .o = o, .json = json };
	int rc = 0;

	for (const struct step *s = steps; s->name; s++)
		r.n += is_wanted(s, ctx);
	if (json)
		json_put_open(json, '[');
	for (const struct step *s = steps; s->name && rc == 0; s++) {
		if (!is_wanted(s, ctx))
			continue;
		r.i++;
		rc = run_one(&r, s, ctx, e);
	}
	if (json)
		json_put_close(json, ']');
	return rc;
}
