/* Whether a record that needed the sovereign's word has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "json.h"
#include "right.h"
#include "sovereign.h"

#define TASK "01KAV9FT000000000000000001"
#define OTHER "01KAV9FT000000000000000002"
#define HASH "8105599aa60420d60197095bbccfdba7f205029a2cc85c19c6e09289fca3512c"
#define OTHER_HASH "9105599aa60420d60197095bbccfdba7f205029a2cc85c19c6e09289fca3512c"

static struct config config = { .cluster = "home" };
static struct sign_key *key;
static struct buf approval;
static struct audit_record record;
static struct err e;

static void
make_approval(const char *task, const char *decision, int64_t expires)
{
	struct buf members = { 0 }, envelope = { 0 };
	cJSON *o;

	buf_addf(&members, "{\"task\":\"%s\",\"hash\":\"%s\",\"decision\":\"%s\",\"time\":1000,\"expires\":%lld,\"note\":\"why\"}", task, HASH,
	    decision, (long long)expires);
	o = json_parse_object(members.data, members.len, &e);
	if (!o || sovereign_seal(&envelope, SOVEREIGN_DECISION, "home", o, key, &e))
		fail_msg("%s", e.msg);
	cJSON_Delete(o);
	buf_clear(&approval);
	json_put_open(&approval, '{');
	json_kv_str(&approval, "decision", envelope.data);
	json_kv_str(&approval, "hash", HASH);
	json_put_close(&approval, '}');
	record.approval = (struct audit_text){ approval.data, approval.len };
	buf_free(&members);
	buf_free(&envelope);
}

static int
setup(void **state)
{
	(void)state;
	key = sign_key_new();
	config.sovereign_keys.n = 1;
	config.sovereign_keys.v[0] = *sign_key_public(key);
	record = (struct audit_record){ .started = 5000, .role = audit_text("outcome"), .mode = audit_text("sovereign"),
		.state = audit_text("succeeded") };
	assert_true(ulid_parse(TASK, &record.task));
	make_approval(TASK, "approve", 9000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sign_key_free(key);
	buf_free(&approval);
	return 0;
}

static void
a_decision_for_this_task_is_good(void **state)
{
	(void)state;
	assert_int_equal(right_check(&config, &record, &e), RIGHT_GOOD);
}

static void
one_for_something_else_is_wrong(void **state)
{
	char *hash;

	(void)state;
	make_approval(OTHER, "approve", 9000);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_WRONG);
	make_approval(TASK, "deny", 9000);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_WRONG);
	make_approval(TASK, "approve", 4999);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_WRONG);
	make_approval(TASK, "approve", 9000);
	hash = strstr(approval.data, "\"hash\":\"" HASH);
	memcpy(strstr(hash, HASH), OTHER_HASH, 64);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_WRONG);
	assert_non_null(strstr(e.msg, "another hash"));
}

static void
another_key_is_not_known(void **state)
{
	struct sign_key *other = sign_key_new();

	(void)state;
	config.sovereign_keys.v[0] = *sign_key_public(other);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_UNKNOWN);
	sign_key_free(other);
}

static void
a_sovereign_task_that_ran_needs_one(void **state)
{
	(void)state;
	record.approval = audit_text(NULL);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_WRONG);
	record.state = audit_text("denied");
	assert_int_equal(right_check(&config, &record, &e), RIGHT_NOT_NEEDED);
	record.state = audit_text("succeeded");
	record.mode = audit_text(NULL);
	assert_int_equal(right_check(&config, &record, &e), RIGHT_NOT_NEEDED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_decision_for_this_task_is_good),
		T(one_for_something_else_is_wrong),
		T(another_key_is_not_known),
		T(a_sovereign_task_that_ran_needs_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
