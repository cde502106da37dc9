#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "doctor.h"

static struct doctor_said heard[8];
static size_t nheard;

static void
hear(void *arg, const struct doctor_said *s)
{
	(void)arg;
	if (nheard < sizeof heard / sizeof *heard)
		heard[nheard++] = *s;
}

static void
run(void (*check)(struct doctor *d), int limit_ms)
{
	struct doctor d = { .subject = "ezra-1" };

	nheard = 0;
	doctor_run(&d, "the thing", check, limit_ms, hear, NULL);
}

static void
names_are_unique_and_have_two_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < DOCTOR_NFINDINGS; i++) {
		const struct doctor_row *r = &doctor_rows[i];
		size_t n = strspn(r->name, "abcdefghijklmnopqrstuvwxyz");

		assert_true(n > 2 && r->name[n] == '.' && r->name[n + 1]);
		assert_true(r->symptom[0] && r->cause[0] && strlen(r->mend) >= 10);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(doctor_rows[k].name, r->name);
	}
}

static void
three_things(struct doctor *d)
{
	doctor_well(d, "%s is good", d->subject);
	doctor_wrong(d, FOUND_DISK_MODE, "/srv/state", "mode %03o\nand\ta tab", 0755u);
	doctor_skip(d, "no reason");
}

static void
what_is_said_comes_in_order_with_its_remedy(void **state)
{
	(void)state;
	run(three_things, 2000);
	assert_int_equal(nheard, 3);
	assert_int_equal(heard[0].status, DOCTOR_WELL);
	assert_string_equal(heard[0].text, "ezra-1 is good");
	assert_string_equal(heard[0].mend, "");
	assert_int_equal(heard[1].finding, FOUND_DISK_MODE);
	assert_string_equal(heard[1].text, "mode 755 and a tab");
	assert_string_equal(heard[1].about, "/srv/state");
	assert_string_equal(heard[1].mend, "chmod 700 /srv/state");
	assert_int_equal(heard[2].status, DOCTOR_SKIPPED);
}

static void
stands_still(struct doctor *d)
{
	doctor_note(d, "before");
	for (;;)
		pause();
}

static void
a_check_that_hangs_is_given_up_and_named(void **state)
{
	int64_t begun = clock_mono_ms();

	(void)state;
	run(stands_still, 200);
	assert_true(clock_mono_ms() - begun < 5000);
	assert_int_equal(nheard, 2);
	assert_string_equal(heard[0].text, "before");
	assert_int_equal(heard[1].status, DOCTOR_WRONG);
	assert_int_equal(heard[1].finding, FOUND_NO_END);
	assert_string_equal(heard[1].about, "the thing");
}

static void
dies(struct doctor *d)
{
	(void)d;
	raise(SIGKILL);
}

static void
a_check_that_dies_is_named(void **state)
{
	(void)state;
	run(dies, 5000);
	assert_int_equal(nheard, 1);
	assert_int_equal(heard[0].finding, FOUND_NO_END);
	assert_non_null(strstr(heard[0].text, "signal 9"));
}

static void
talks(struct doctor *d)
{
	for (int i = 0; i < 5000; i++)
		doctor_note(d, "%0300d", i);
}

static size_t count;

static void
hear_many(void *arg, const struct doctor_said *s)
{
	(void)arg;
	count += strlen(s->text) == 300;
}

static void
whoever_talks_much_is_heard_to_the_end(void **state)
{
	struct doctor d = { .subject = "" };

	(void)state;
	doctor_run(&d, "talk", talks, 20000, hear_many, NULL);
	assert_int_equal(count, 5000);
}

static void
the_table_has_a_row_for_everything(void **state)
{
	struct buf b = { 0 };
	size_t lines = 0;

	(void)state;
	doctor_markdown(&b);
	for (const char *p = buf_str(&b); (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, DOCTOR_NFINDINGS + 2);
	assert_null(strstr(buf_str(&b), "{}"));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique_and_have_two_parts),
		cmocka_unit_test(what_is_said_comes_in_order_with_its_remedy),
		cmocka_unit_test(a_check_that_hangs_is_given_up_and_named),
		cmocka_unit_test(a_check_that_dies_is_named),
		cmocka_unit_test(whoever_talks_much_is_heard_to_the_end),
		cmocka_unit_test(the_table_has_a_row_for_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
