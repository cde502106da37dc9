/* Whom the signer for the page's buttons lets in, and what it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "approver.h"

#define PAGE "http://127.0.0.1:8643"
#define HOST "127.0.0.1:8650"
#define TASK "01M8P0QFCM0BH6EAE75WWKJ2YD"
#define HASH "edb21c9fe7b4e56460130c44f018347c64d1b618c37b4f2b878f740ab8b9c61c"

static struct approver_gate gate = { .host = HOST, .origin = PAGE };

static int
draw(void **state)
{
	struct digest *d = digest_new();

	(void)state;
	digest_of(d, "secret", 6, gate.token);
	digest_free(d);
	return 0;
}

static void
who_is_let_in(void **state)
{
	static const struct {
		const char *host, *origin, *authorization;
		bool preflight;
		unsigned status;
	} v[] = {
		{ HOST, PAGE, "Bearer secret", false, 0 },
		{ HOST, PAGE, NULL, true, 0 },
		/* A name that points here */
		{ "evil.example:8650", PAGE, "Bearer secret", false, 403 },
		{ "localhost:8650", PAGE, "Bearer secret", false, 403 },
		{ "127.0.0.1", PAGE, "Bearer secret", false, 403 },
		{ NULL, PAGE, "Bearer secret", false, 403 },
		{ "evil.example:8650", PAGE, NULL, true, 403 },
		/* Another page */
		{ HOST, NULL, "Bearer secret", false, 403 },
		{ HOST, "null", "Bearer secret", false, 403 },
		{ HOST, "http://127.0.0.1:8644", "Bearer secret", false, 403 },
		{ HOST, PAGE ".evil.example", "Bearer secret", false, 403 },
		{ HOST, PAGE "/", "Bearer secret", false, 403 },
		{ HOST, "http://localhost:8643", NULL, true, 403 },
		/* Without the link */
		{ HOST, PAGE, NULL, false, 401 },
		{ HOST, PAGE, "secret", false, 401 },
		{ HOST, PAGE, "Bearer ", false, 401 },
		{ HOST, PAGE, "Bearer secre", false, 401 },
		{ HOST, PAGE, "Bearer secrets", false, 401 },
		{ HOST, PAGE, "bearer secret", false, 401 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct err e = { 0 };

		if (approver_admits(&gate, v[i].host, v[i].origin, v[i].authorization, v[i].preflight, &e) != v[i].status)
			fail_msg("%zu: %s", i, e.msg);
		assert_int_equal(e.code == ERR_NONE, v[i].status == 0);
	}
}

static void
a_decision_is_read(void **state)
{
	static const char yes[] = "{\"task\":\"01m8p0qfcm0bh6eae75wwkj2yd\",\"hash\":\"" HASH "\",\"decision\":\"approve\"}";
	static const char no[] = "{\"task\":\"" TASK "\",\"hash\":\"" HASH "\",\"decision\":\"deny\",\"reason\":\"not today\"}";
	struct approver_ask k;

	(void)state;
	assert_int_equal(approver_parse(&k, yes, strlen(yes), NULL), 0);
	assert_true(k.approve);
	assert_string_equal(k.task, TASK);
	assert_string_equal(k.hash, HASH);
	assert_string_equal(k.reason, "");
	assert_int_equal(approver_parse(&k, no, strlen(no), NULL), 0);
	assert_false(k.approve);
	assert_string_equal(k.reason, "not today");
}

static void
what_is_none_is_refused(void **state)
{
	static const struct {
		const char *task, *hash, *decision, *reason, *field;
	} v[] = {
		{ "x", HASH, "approve", "", "task" },
		{ TASK, "edb21c9fe7b4e564", "approve", "", "hash" },
		{ TASK, "EDB21C9FE7B4E56460130C44F018347C64D1B618C37B4F2B878F740AB8B9C61C", "approve", "", "hash" },
		{ TASK, HASH, "yes", "", "decision" },
		{ TASK, HASH, "deny", "", "reason" },
		{ TASK, HASH, "deny", " \\n\\t", "reason" },
	};
	char text[400], reason[SOVEREIGN_WHY + 1];
	struct approver_ask k;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		snprintf(text, sizeof text, "{\"task\":\"%s\",\"hash\":\"%s\",\"decision\":\"%s\",\"reason\":\"%s\"}", v[i].task, v[i].hash,
		    v[i].decision, v[i].reason);
		assert_int_equal(approver_parse(&k, text, strlen(text), &e), -1);
		assert_string_equal(e.field, v[i].field);
	}
	snprintf(reason, sizeof reason, "%0*d", SOVEREIGN_WHY, 1);
	snprintf(text, sizeof text, "{\"task\":\"" TASK "\",\"hash\":\"" HASH "\",\"decision\":\"deny\",\"reason\":\"%s\"}", reason);
	assert_int_equal(approver_parse(&k, text, strlen(text), &e), -1);
	assert_string_equal(e.field, "reason");
	assert_int_equal(approver_parse(&k, "", 0, &e), -1);
	assert_int_equal(approver_parse(&k, "[]", 2, &e), -1);
	assert_int_equal(approver_parse(&k, "{}", 2, &e), -1);
	snprintf(text, sizeof text, "{\"task\":\"" TASK "\",\"hash\":\"" HASH "\",\"decision\":\"approve\",\"for\":\"1d\"}");
	assert_int_equal(approver_parse(&k, text, strlen(text), &e), -1);
	assert_string_equal(e.field, "for");
}

static void
an_origin_is_written_as_browsers_do(void **state)
{
	static const struct {
		const char *address, *origin;   /* NULL: refused */
	} v[] = {
		{ "http://127.0.0.1:8643", PAGE },
		{ "http://127.0.0.1:8643/", PAGE },
		{ "http://localhost:8643", "http://localhost:8643" },
		{ "http://[::1]:8643", "http://[::1]:8643" },
		{ "https://Ezra.Example.org:8643", "https://ezra.example.org:8643" },
		{ "https://ezra.example.org:443/", "https://ezra.example.org" },
		{ "https://ezra.example.org", "https://ezra.example.org" },
		/* Anybody on the way could put another page in its place */
		{ "http://ezra.example.org:8643", NULL },
		{ "http://127.0.0.1.evil.example", NULL },
		/* Where it listens, not what it is called */
		{ "https://0.0.0.0:8643", NULL },
		{ "https://[::]:8643", NULL },
		{ "ftp://ezra.example.org", NULL },
		{ "https://", NULL },
		{ "https://user@ezra.example.org", NULL },
		{ "https://ezra.example.org/path", NULL },
		{ "https://ezra.example.org:0", NULL },
		{ "https://ezra.example.org:70000", NULL },
		{ "https://ezra.example.org:", NULL },
		{ "https://ezra.example.org:+443", NULL },
		{ "https://[::1", NULL },
		{ "https://[", NULL },
		{ "https://a\"b", NULL },
		{ "", NULL },
	};
	char origin[APPROVER_ORIGIN];

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		int rc = approver_origin(origin, v[i].address, NULL);

		if (rc != (v[i].origin ? 0 : -1))
			fail_msg("%s", v[i].address);
		if (v[i].origin)
			assert_string_equal(origin, v[i].origin);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_is_let_in, draw),
		cmocka_unit_test(a_decision_is_read),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(an_origin_is_written_as_browsers_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
