/* Chains of several agents held against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cross.h"

static struct audit_check ezra, timmy;
static struct cross *cross;
static char said[512];

static void
on_problem(void *arg, const char *name, const char *text)
{
	(void)arg;
	if (!said[0])
		snprintf(said, sizeof said, "%s: %s", name, text);
}

static void
begin(struct audit_check *k, const char *agent)
{
	*k = (struct audit_check){ .name = agent, .begun = true, .first_n = 1, .n = 100, .first_ms = 0, .last_ms = 10000000,
		.made_ms = 10000000 };
	snprintf(k->agent, sizeof k->agent, "%s", agent);
	snprintf(k->store, sizeof k->store, "1a2b3c4d");
}

static int
setup(void **state)
{
	(void)state;
	begin(&ezra, "ezra-1");
	begin(&timmy, "timmy-1");
	cross = cross_new(on_problem, NULL);
	said[0] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cross_free(cross);
	return 0;
}

/* sum: what its outcome was. */
static void
tell(const struct audit_check *in, const char *role, const char *state, const char *term, const char *executor, char sum)
{
	struct audit_record r = { .n = 7, .attempt = 1, .ended = 5000000 };

	r.role = audit_text(role);
	r.state = audit_text(state);
	r.term = audit_text(term);
	r.house = audit_text("ezra");
	r.executor = audit_text(executor);
	r.task.b[15] = 9;
	memset(r.outcome.b, sum, DIGEST_SIZE);
	r.outcome.set = true;
	cross_record(cross, in, &r);
}

static int64_t
problems(void)
{
	struct audit_check *all[] = { &ezra, &timmy };

	return cross_end(cross, all, 2);
}

static void
what_two_say_alike_is_good(void **state)
{
	int64_t tasks, heads;

	(void)state;
	tell(&ezra, "outcome", "succeeded", "3.ezra-1.x", "timmy-1", 1);
	tell(&timmy, "attempt", "succeeded", "3.ezra-1.x", "timmy-1", 1);
	assert_int_equal(problems(), 0);
	cross_counts(cross, &tasks, &heads);
	assert_int_equal(tasks, 1);
}

static void
two_outcomes_under_one_term_are_a_problem(void **state)
{
	(void)state;
	tell(&ezra, "outcome", "succeeded", "3.ezra-1.x", "ezra-1", 1);
	tell(&timmy, "outcome", "failed", "3.ezra-1.x", "timmy-1", 2);
	assert_int_equal(problems(), 1);
	assert_non_null(strstr(said, "both under term 3 of house ezra"));
}

static void
a_later_term_may_decide_otherwise_and_what_was_uncertain_be_settled(void **state)
{
	(void)state;
	tell(&ezra, "outcome", "succeeded", "3.ezra-1.x", "ezra-1", 1);
	tell(&timmy, "outcome", "failed", "4.timmy-1.x", "timmy-1", 2);
	tell(&timmy, "outcome", "uncertain", "3.ezra-1.x", "timmy-1", 3);
	tell(&ezra, "handover", "failed", "3.ezra-1.x", "ezra-1", 4);
	assert_int_equal(problems(), 0);
}

static void
an_executor_that_had_another_outcome_is_a_problem(void **state)
{
	(void)state;
	tell(&ezra, "outcome", "succeeded", "3.ezra-1.x", "timmy-1", 1);
	tell(&timmy, "attempt", "succeeded", "3.ezra-1.x", "timmy-1", 2);
	assert_int_equal(problems(), 1);
	assert_non_null(strstr(said, "with another outcome"));
}

static void
an_executor_that_has_no_record_is_a_problem_if_its_chain_is_of_that_time(void **state)
{
	(void)state;
	tell(&ezra, "outcome", "succeeded", "3.ezra-1.x", "timmy-1", 1);
	assert_int_equal(problems(), 1);
	assert_non_null(strstr(said, "which has no record of it"));
	timmy.last_ms = 4000000;
	assert_int_equal(problems(), 1);
}

/* Heads of ezra-1's chain, heard by timmy-1. */
static void
hear(int64_t n, int64_t at_ms)
{
	struct audit_seal s = { .page = 1, .time = at_ms, .nseen = 1 };

	snprintf(s.seen[0].agent, sizeof s.seen[0].agent, "ezra-1");
	snprintf(s.seen[0].store, sizeof s.seen[0].store, "1a2b3c4d");
	memset(s.seen[0].hash, '0', DIGEST_HEX - 1);
	s.seen[0].n = n;
	cross_page(cross, &timmy, &s);
}

static void
a_head_that_was_heard_must_be_in_the_chain(void **state)
{
	struct audit_check_end ends[] = { { .n = 50, .hash = { 0 } }, { .n = 100, .hash = { 1 } } };

	(void)state;
	ezra.ends = ends;
	ezra.nends = 2;
	hear(50, 1000);
	assert_int_equal(problems(), 0);
	hear(60, 1000);
	assert_int_equal(problems(), 1);
	assert_non_null(strstr(said, "it is not the chain that timmy-1 has heard of"));
}

static void
a_head_beyond_the_end_is_a_cut_unless_it_was_heard_later(void **state)
{
	(void)state;
	hear(120, ezra.made_ms + 1);
	assert_int_equal(problems(), 0);
	hear(120, ezra.made_ms - 60000);
	assert_int_equal(problems(), 1);
	assert_non_null(strstr(said, "ends with record 100, but timmy-1 has heard of record 120"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_two_say_alike_is_good),
		T(two_outcomes_under_one_term_are_a_problem),
		T(a_later_term_may_decide_otherwise_and_what_was_uncertain_be_settled),
		T(an_executor_that_had_another_outcome_is_a_problem),
		T(an_executor_that_has_no_record_is_a_problem_if_its_chain_is_of_that_time),
		T(a_head_that_was_heard_must_be_in_the_chain),
		T(a_head_beyond_the_end_is_a_cut_unless_it_was_heard_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
