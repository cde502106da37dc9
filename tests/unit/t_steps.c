/* t_steps.c - steps run in order, are looked at before, stop at the first failure and go on from there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "steps.h"

struct world {
	bool is[3];                     /* done */
	int looked, acted;
	int fails;                      /* the step that does; -1: none */
	bool blind, without_second;
};

static int
look(struct world *w, int i, struct buf *note, struct err *e)
{
	w->looked++;
	if (w->blind)
		return err_set(e, ERR_NETWORK, "out of reach");
	buf_addf(note, "it is %s", w->is[i] ? "there" : "not there");
	return w->is[i];
}

static int
act(struct world *w, int i, struct buf *note, struct err *e)
{
	w->acted++;
	if (w->fails == i)
		return err_set(e, ERR_TOOL, "no room");
	w->is[i] = true;
	buf_adds(note, "made");
	return 0;
}

#define STEP(i) \
	static int look_##i(void *w, struct buf *note, struct err *e) { return look(w, i, note, e); } \
	static int act_##i(void *w, struct buf *note, struct err *e) { return act(w, i, note, e); }
STEP(0)
STEP(1)
STEP(2)

static bool
second_wanted(const void *ctx)
{
	return !((const struct world *)ctx)->without_second;
}

static const struct step steps[] = {
	{ "first", "do the first", "take it away", NULL, look_0, act_0 },
	{ "second", "do the second", NULL, second_wanted, look_1, act_1 },
	{ "third", "do the third", NULL, NULL, look_2, act_2 },
	{ .name = NULL },
};

/* "first done, second failed" */
static void
expect(struct world *w, bool dry, int rc, const char *story)
{
	struct buf json = { 0 }, told = { 0 };
	struct err e = { 0 };
	cJSON *list, *o;

	assert_int_equal(steps_run(steps, w, &(struct steps_opts){ .dry_run = dry, .quiet = true }, &json, &e), rc);
	list = cJSON_Parse(json.data);
	assert_non_null(list);
	cJSON_ArrayForEach(o, list)
		buf_addf(&told, "%s%s %s", told.len ? ", " : "", cJSON_GetObjectItem(o, "step")->valuestring,
		    cJSON_GetObjectItem(o, "state")->valuestring);
	assert_string_equal(buf_str(&told), story);
	if (rc)
		assert_string_equal(e.msg, "second: no room");
	cJSON_Delete(list);
	buf_free(&told);
	buf_free(&json);
}

static void
what_is_done_is_left(void **state)
{
	struct world w = { .fails = -1 };

	(void)state;
	expect(&w, false, 0, "first done, second done, third done");
	assert_int_equal(w.acted, 3);
	expect(&w, false, 0, "first already, second already, third already");
	assert_int_equal(w.acted, 3);
	w.is[1] = false;
	expect(&w, false, 0, "first already, second done, third already");
}

static void
a_failure_ends_it_and_the_next_run_goes_on(void **state)
{
	struct world w = { .fails = 1 };

	(void)state;
	expect(&w, false, -1, "first done, second failed");
	assert_int_equal(w.acted, 2);
	w.fails = -1;
	expect(&w, false, 0, "first already, second done, third done");
}

static void
what_is_not_wanted_is_no_step(void **state)
{
	struct world w = { .fails = 1, .without_second = true };

	(void)state;
	expect(&w, false, 0, "first done, third done");
}

static void
a_dry_run_looks_and_does_nothing(void **state)
{
	struct world w = { .fails = -1, .is = { true } };

	(void)state;
	expect(&w, true, 0, "first already, second planned, third planned");
	assert_int_equal(w.looked, 3);
	/* Out of reach at the first, the rest is not asked for either. */
	w.blind = true;
	expect(&w, true, 0, "first planned, second planned, third planned");
	assert_int_equal(w.looked, 4);
	assert_int_equal(w.acted, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_done_is_left),
		cmocka_unit_test(a_failure_ends_it_and_the_next_run_goes_on),
		cmocka_unit_test(what_is_not_wanted_is_no_step),
		cmocka_unit_test(a_dry_run_looks_and_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
