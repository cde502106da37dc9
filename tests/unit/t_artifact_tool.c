#include "tooltest.h"

#include "plan.h"

/* sha256 of "abc" */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define NONE "0000000000000000000000000000000000000000000000000000000000000000"

static char dir[128];

static int
begin(void **state)
{
	fx_setup(state);
	snprintf(dir, sizeof dir, "%s", fx_path("shared"));
	fx.config.share_dir = dir;
	fx.config.ndevices = 2;
	fx.config.devices[0] = (struct config_device){ .name = "ezra" };
	fx.config.devices[1] = (struct config_device){ .name = "laptop" };
	fx.config.max_artifact_bytes = 1 << 20;
	assert_int_equal(mkdir(dir, 0755), 0);
	fx_put("shared/self", "ezra\n");
	fx_put("root/f", "abc");
	fx.terms = NULL;
	fx.plan = false;
	return 0;
}

static void
what_is_put_can_be_got(void **state)
{
	(void)state;
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	assert_string_equal(fx_str("hash"), ABC);
	assert_string_equal(fx_str("device"), "ezra");
	assert_false(fx_true("was_here"));
	fx_ok(fx_run("artifact_get", "{'hash':'%s'}", ABC));
	assert_string_equal(fx_str("content"), "abc");
	assert_string_equal(fx_str("encoding"), "utf-8");
	assert_string_equal(fx_str("file"), fx_path("shared/ezra/artifacts/ba/" ABC));
	fx_ok(fx_run("artifact_get", "{'hash':'%s','max_bytes':2}", ABC));
	assert_true(fx_true("truncated"));
	assert_int_equal(fx_int("bytes"), 3);
}

static void
bytes_come_in_base64_and_what_does_not_fit_stays_where_it_is(void **state)
{
	(void)state;
	fx_put("root/f", "\xff\xfe");
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	fx_ok(fx_run("artifact_get", "{'hash':'%s'}", fx_str("hash")));
	assert_string_equal(fx_str("encoding"), "base64");
	assert_string_equal(fx_str("content"), "//4=");
	fx.max_output = 1024;
	fx_ok(fx_run("artifact_get", "{'hash':'%s'}", fx_str("hash")));
	assert_true(fx_true("truncated"));
}

static void
what_is_not_here_or_not_right_is_an_error(void **state)
{
	(void)state;
	fx_failed(fx_run("artifact_get", "{'hash':'%s'}", NONE), ERR_NOT_FOUND, NULL);
	fx_failed(fx_run("artifact_get", "{'hash':'x'}"), ERR_INVALID, "params.hash");
	fx_failed(fx_run("artifact_put", "{'path':'../outside/f'}"), ERR_PATH, "params.path");
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	chmod(fx_path("shared/ezra/artifacts/ba/" ABC), 0644);
	fx_put("shared/ezra/artifacts/ba/" ABC, "abd");
	fx_failed(fx_run("artifact_get", "{'hash':'%s'}", ABC), ERR_UNPROVEN, NULL);
	fx_failed(fx_run("artifact_get", "{'hash':'%s','max_bytes':0}", ABC), ERR_UNPROVEN, NULL);
	unlink(fx_path("shared/self"));
	fx_failed(fx_run("artifact_put", "{'path':'f'}"), ERR_CONFIG, NULL);
}

static void
it_says_what_it_would_touch(void **state)
{
	(void)state;
	fx.plan = true;
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	assert_int_equal(cJSON_GetArraySize(fx_at("touches")), 2);
	assert_non_null(strstr(fx_str("target"), "root/f (3 bytes), for all hosts"));
	assert_int_equal(access(fx_path("shared/ezra"), F_OK), -1);
}

/* The artificer's terms; and what was agreed holds for what is read, not for what was there when it was planned. */
static void
terms_are_kept(void **state)
{
	struct buf terms = { 0 };
	char digest[PLAN_DIGEST], place[256];
	struct plan p;

	(void)state;
	fx.terms = "{\"proof\":true}";
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	assert_non_null(strstr(buf_str(&fx.notes), "\"proof\":{\"ok\":true"));
	assert_non_null(strstr(buf_str(&fx.notes), "shared/ezra/artifacts/ba/" ABC));
	unlink(fx_path("shared/ezra/artifacts/ba/" ABC));

	plan_init(&p, false);
	snprintf(place, sizeof place, "%s", fx_path("shared/ezra/artifacts/ba/" ABC));
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_READS, fx_path("root/f"), ABC, &fx.e), 0);
	assert_int_equal(plan_touch(&p, PLAN_PATH, PLAN_WRITES, place, NULL, &fx.e), 0);
	plan_sort(&p);
	assert_int_equal(plan_digest(&p, digest, &fx.e), 0);
	plan_release(&p);
	buf_addf(&terms, "{\"approved\":true,\"touches\":\"%s\"}", digest);
	fx.terms = buf_str(&terms);
	fx_put("root/f", "old");
	fx_failed(fx_run("artifact_put", "{'path':'f'}"), ERR_DENIED, NULL);
	fx_put("root/f", "abc");
	fx_ok(fx_run("artifact_put", "{'path':'f'}"));
	fx.terms = NULL;
	buf_free(&terms);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_can_be_got),
		TEST(bytes_come_in_base64_and_what_does_not_fit_stays_where_it_is),
		TEST(what_is_not_here_or_not_right_is_an_error),
		TEST(it_says_what_it_would_touch),
		TEST(terms_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
