#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "buf.h"
#include "score.h"
#include "suggest.h"

static struct suggest *s;
static int64_t next_id;

static int
set_up(void **state)
{
	(void)state;
	s = suggest_new();
	next_id = 1;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	suggest_free(s);
	return 0;
}

/* An item with one value at most of each kind. */
static void
learn(const char *text, const char *label, const char *house)
{
	struct suggest_words w = { 0 };
	struct suggest_truth t = { 0 };

	suggest_text(&w, text);
	if (label)
		suggest_is(&t, SUGGEST_LABEL, label);
	if (house)
		suggest_is(&t, SUGGEST_HOUSE, house);
	suggest_learn(s, next_id++, &w, &t);
}

/* What is said of the value; p 0: nothing. */
static struct suggest_said
say(const char *text, enum suggest_kind kind, const char *name)
{
	struct suggest_said all[SUGGEST_VALUES];
	struct suggest_words w = { 0 };
	size_t n;

	suggest_text(&w, text);
	n = suggest_say(s, &w, 0, 0, all, SUGGEST_VALUES);
	for (size_t i = 0; i < n; i++)
		if (all[i].kind == kind && strcmp(all[i].name, name) == 0)
			return all[i];
	return (struct suggest_said){ 0 };
}

/* ---- words ---- */

static void
words_are_those_of_people(void **state)
{
	struct suggest_words a = { 0 }, b = { 0 };
	char word[SUGGEST_WORD + 1], longest[SUGGEST_WORD + 3];

	(void)state;
	suggest_text(&a, "The Upload fails; UPLOAD to /srv 42 x \xc3\xbc" "ber");
	suggest_text(&b, "\xc3\xbc" "ber srv to fails upload the");
	assert_int_equal(a.n, 6);
	assert_int_equal(b.n, 6);
	assert_memory_equal(a.v, b.v, sizeof a.v);
	for (size_t i = 0; i < a.n; i++)
		assert_true(suggest_word("to THE upload fails srv \xc3\xbc" "ber", a.v[i], word));
	assert_false(suggest_word("nothing of the kind", a.v[0] ^ 1, word));
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	suggest_text(&b, longest);
	assert_int_equal(b.n, 6);
	longest[SUGGEST_WORD] = '\0';
	suggest_text(&b, longest);
	assert_int_equal(b.n, 7);
}

static void
words_are_bounded(void **state)
{
	struct suggest_words w = { 0 };
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "w%d ", i);
	suggest_text(&w, buf_str(&b));
	suggest_fact(&w, "author", "x");
	assert_int_equal(w.n, SUGGEST_WORDS);
	for (size_t i = 1; i < w.n; i++)
		assert_true(w.v[i - 1] < w.v[i]);
	buf_free(&b);
}

/* ---- little is known ---- */

static void
nothing_is_said_of_nothing(void **state)
{
	(void)state;
	assert_true(say("crash", SUGGEST_LABEL, "bug").p == 0);
	for (int i = 0; i < SUGGEST_KNOWN - 1; i++)
		learn("crash", "bug", NULL);
	assert_true(say("crash", SUGGEST_LABEL, "bug").p == 0);
	learn("crash", "bug", NULL);
	assert_true(say("crash", SUGGEST_LABEL, "bug").p > 0.8);
}

static void
what_came_twice_is_not_said(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		learn("question", i < SUGGEST_LEAST - 1 ? "rare" : "often", NULL);
	assert_true(say("question", SUGGEST_LABEL, "rare").p == 0);
	assert_true(say("question", SUGGEST_LABEL, "often").p > 0.8);
}

static void
a_few_tell_apart_what_differs(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		learn("crash at start", "bug", "ezra");
		learn("please add a button", "wish", "bezalel");
		learn("how is this done", NULL, NULL);
	}
	assert_true(say("a crash", SUGGEST_LABEL, "bug").p > 0.55);
	assert_true(say("a crash", SUGGEST_LABEL, "wish").p < 0.2);
	assert_true(say("please a button", SUGGEST_LABEL, "wish").p > 0.55);
	assert_true(say("how done", SUGGEST_LABEL, "bug").p < 0.2);
	/* Of the house only what is known counts. */
	assert_int_equal(say("a crash", SUGGEST_HOUSE, "ezra").of, 16);
	assert_int_equal(say("a crash", SUGGEST_HOUSE, "ezra").with, 8);
	assert_true(say("a crash", SUGGEST_HOUSE, "ezra").p > 0.55);
}

static void
words_that_were_never_seen_say_nothing(void **state)
{
	struct suggest_said x;

	(void)state;
	for (int i = 0; i < 40; i++)
		learn(i % 4 ? "this or that" : "crash", i % 4 ? NULL : "bug", NULL);
	x = say("entirely other words, and many of them", SUGGEST_LABEL, "bug");
	assert_true(fabs(x.p - 10.5 / 41) < 0.1);
	assert_int_equal(x.nwhy, 0);
	assert_int_equal(x.like, 40);
	assert_true(say("", SUGGEST_LABEL, "bug").p == x.p);
}

static void
it_says_what_it_rests_on(void **state)
{
	char word[SUGGEST_WORD + 1];
	struct suggest_said x;

	(void)state;
	for (int i = 0; i < 30; i++)
		learn(i % 3 ? "the button" : "the crash", i % 3 ? NULL : "bug", NULL);
	x = say("the crash of tomorrow", SUGGEST_LABEL, "bug");
	assert_true(x.nwhy >= 1);
	assert_true(suggest_word("the crash of tomorrow", x.why[0].word, word));
	assert_string_equal(word, "crash");
	assert_int_equal(x.why[0].of, 10);
	assert_int_equal(x.why[0].with, 10);
	assert_true(x.why[0].by > 0);
	assert_int_equal(x.like, 10);
	assert_int_equal(x.of, 30);
	assert_int_equal(x.with, 10);
}

/* ---- minds change ---- */

static void
what_is_learned_anew_takes_the_place_of_what_was(void **state)
{
	struct suggest_words w = { 0 };
	struct suggest_truth bug = { 0 }, wish = { 0 };

	(void)state;
	suggest_text(&w, "crash");
	suggest_is(&bug, SUGGEST_LABEL, "bug");
	suggest_is(&wish, SUGGEST_LABEL, "wish");
	for (int64_t i = 1; i <= 20; i++)
		suggest_learn(s, i, &w, &bug);
	for (int64_t i = 1; i <= 20; i++)
		suggest_learn(s, i, &w, &wish);
	assert_int_equal(suggest_items(s), 20);
	assert_true(say("crash", SUGGEST_LABEL, "bug").p == 0);
	assert_int_equal(say("crash", SUGGEST_LABEL, "wish").with, 20);
}

static void
an_item_is_explained_without_itself(void **state)
{
	struct suggest_said out[8];
	struct suggest_words w = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		learn("crash", "bug", NULL);
	suggest_text(&w, "crash");
	assert_int_equal(suggest_say(s, &w, 7, 0, out, 8), 1);
	assert_int_equal(out[0].of, 19);
	assert_int_equal(out[0].like, 19);
	assert_int_equal(suggest_say(s, &w, 7, 0.999, out, 8), 0);
}

static void
it_is_bounded_and_forgets_the_oldest(void **state)
{
	char name[SUGGEST_NAME + 3], text[32];
	struct suggest_truth t = { 0 };

	(void)state;
	for (int i = 0; i < SUGGEST_ITEMS; i++) {
		snprintf(text, sizeof text, "old w%d", i);
		snprintf(name, sizeof name, "l%d", i % 300);
		learn(text, name, NULL);
	}
	assert_true(say("old", SUGGEST_LABEL, "l0").p > 0);
	assert_true(say("old", SUGGEST_LABEL, "l299").p == 0);
	for (int i = 0; i < SUGGEST_ITEMS; i++)
		learn("new", "l1", NULL);
	assert_int_equal(suggest_items(s), SUGGEST_ITEMS);
	assert_true(say("old", SUGGEST_LABEL, "l0").p == 0);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_false(suggest_is(&t, SUGGEST_LABEL, name));
	assert_false(suggest_is(&t, SUGGEST_LABEL, ""));
	for (int i = 0; i < SUGGEST_TRUE; i++)
		assert_true(suggest_is(&t, SUGGEST_LABEL, "x"));
	assert_false(suggest_is(&t, SUGGEST_LABEL, "x"));
}

/* ---- is it right ---- */

static uint64_t seed;

static double
uniform(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(seed >> 11) / 9007199254740992.0;
}

/* A topic has words of its own; words come in pairs, so that they are not independent; and a label comes by its topic, but not
 * always. noise: the share of items whose label has nothing to do with what they say. */
static const char *
synthetic(double noise, struct buf *text)
{
	static const char *const labels[] = { "bug", "wish", "docs", NULL };
	int topic = (int)(uniform() * 4), told = uniform() < noise ? (int)(uniform() * 4) : topic;

	buf_clear(text);
	for (int i = 0; i < 12; i++) {
		int of = uniform() < 0.3 ? topic : 4, w = (int)(uniform() * 20);

		buf_addf(text, "w%dx%d and%dx%d ", of, w, of, w);
	}
	return labels[told];
}

/* Each is asked about before it is learned. */
static void
try_synthetic(double noise, int n, struct score *said, struct score *by_rate, struct score *high)
{
	static const char *const labels[] = { "bug", "wish", "docs" };
	struct buf text = { 0 };

	for (int i = 0; i < n; i++) {
		const char *label = synthetic(noise, &text);

		for (size_t l = 0; l < 3; l++) {
			struct suggest_said x = say(buf_str(&text), SUGGEST_LABEL, labels[l]);
			bool came = label && strcmp(label, labels[l]) == 0;

			if (x.of < 50)
				continue;
			score_add(said, x.p, came);
			score_add(by_rate, (x.with + .5) / (x.of + 1.), came);
			if (x.p >= .9)
				score_add(high, x.p, came);
		}
		learn(buf_str(&text), label, NULL);
	}
	buf_free(&text);
}

static void
what_it_says_comes_as_often_as_it_says(void **state)
{
	static const double noises[] = { 0, 0.3, 0.6, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof noises / sizeof *noises; i++)
		for (uint64_t run = 1; run <= 2; run++) {
			struct score said = { 0 }, by_rate = { 0 }, high = { 0 };

			tear_down(NULL);
			set_up(NULL);
			seed = run * 1000 + i;
			try_synthetic(noises[i], 600, &said, &by_rate, &high);
			print_message("noise %.1f: Brier %.3f (rate %.3f), off by %.3f, %d above 90 %%: %.2f came\n", noises[i],
			    score_brier(&said), score_brier(&by_rate), score_ece(&said), (int)high.n,
			    high.n ? high.bins[SCORE_BINS - 1].came / (double)high.n : 0);
			assert_true(score_ece(&said) < 0.06);
			/* Where words tell nothing it is hardly worse than the rate; elsewhere it is better. */
			assert_true(score_skill(&said, &by_rate) > (noises[i] < 1 ? 0.02 : -0.02));
			assert_true(high.n < 20 || high.bins[SCORE_BINS - 1].came / (double)high.n > 0.85);
		}
}

static void
what_was_learned_in_an_order_is_the_same_again(void **state)
{
	double p[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct buf text = { 0 };

		tear_down(NULL);
		set_up(NULL);
		seed = 5;
		for (int j = 0; j < 200; j++) {
			const char *label = synthetic(0.2, &text);

			learn(buf_str(&text), label, NULL);
		}
		p[i] = say(buf_str(&text), SUGGEST_LABEL, "bug").p;
		buf_free(&text);
	}
	assert_true(p[0] == p[1] && p[0] > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_those_of_people),
		cmocka_unit_test(words_are_bounded),
		cmocka_unit_test_setup_teardown(nothing_is_said_of_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_came_twice_is_not_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_few_tell_apart_what_differs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(words_that_were_never_seen_say_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_says_what_it_rests_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_learned_anew_takes_the_place_of_what_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_item_is_explained_without_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_bounded_and_forgets_the_oldest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_it_says_comes_as_often_as_it_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_learned_in_an_order_is_the_same_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
