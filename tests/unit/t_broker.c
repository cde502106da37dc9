#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "broker.h"
#include "buf.h"
#include "config.h"
#include "err.h"

static struct config config;
static char dir[] = "/tmp/t_broker.XXXXXX";

static const char yaml[] =
    "houses:\n"
    "  ezra:\n    agents: [ezra-1, ezra-2]\n    candidates: [ezra-1, bezalel-1]\n"
    "  bezalel:\n    candidates: [bezalel-1]\n"
    "  allegro:\n"
    "operators: [operator, deployer]\n"
    "witnesses: [witness-1]\n"
    "router: [bezalel-1]\n";

static int
set_up(void **state)
{
	struct err e;

	(void)state;
	if (!mkdtemp(dir) || config_parse(&config, "houses.yaml", yaml, strlen(yaml), NULL, NULL, &e))
		return -1;
	return 0;
}

static int
tear_down(void **state)
{
	char path[128];
	static const char *const names[] = { "/mosquitto.conf", "/acl", "/a b/mosquitto.conf", "/a b/acl" };
	static const char *const dirs[] = { "/data", "/a b/data", "/a b", "" };

	(void)state;
	config_release(&config);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s%s", dir, names[i]);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		snprintf(path, sizeof path, "%s%s", dir, dirs[i]);
		rmdir(path);
	}
	return 0;
}

/* The lines of one user, NULL if there is none. Caller frees. */
static char *
lines_of(const char *acl, const char *user)
{
	char head[80];
	const char *p, *end;

	snprintf(head, sizeof head, "\nuser %s\n", user);
	p = strstr(acl, head);
	if (!p)
		return NULL;
	end = strstr(p + 1, "\nuser ");
	return xstrndup(p, end ? (size_t)(end - p) : strlen(p));
}

static bool
allows(const char *user, const char *line)
{
	struct buf acl = { 0 };
	char *lines, whole[200];
	bool found;

	broker_acl_put(&acl, &config);
	lines = lines_of(acl.data, user);
	snprintf(whole, sizeof whole, "\ntopic %s\n", line);
	found = lines && strstr(lines, whole);
	free(lines);
	buf_free(&acl);
	return found;
}

static bool
allows_any(const char *user, const char *words)
{
	struct buf acl = { 0 };
	char *lines;
	bool found;

	broker_acl_put(&acl, &config);
	lines = lines_of(acl.data, user);
	found = lines && strstr(lines, words);
	free(lines);
	buf_free(&acl);
	return found;
}

static void
everybody_writes_under_the_own_name_only(void **state)
{
	(void)state;
	assert_true(allows("operator", "write uw/home/house/+/task/operator"));
	assert_true(allows("ezra-1", "write uw/home/house/+/task/ezra-1"));
	assert_true(allows("ezra-1", "write uw/home/agent/ezra-1/health/+"));
	assert_true(allows("ezra-1", "write uw/home/agent/+/work/ezra-1"));
	assert_false(allows_any("ezra-1", "ezra-2"));
	assert_false(allows_any("operator", "deployer"));
	assert_false(allows_any("operator", "write uw/home/agent"));
}

static void
a_watcher_writes_nothing(void **state)
{
	(void)state;
	assert_true(allows("watcher", "read uw/home/house/+/event/+"));
	assert_false(allows_any("watcher", "write"));
	assert_false(allows_any("watcher", "cancel"));
}

static void
replies_are_read_by_the_client_alone(void **state)
{
	(void)state;
	assert_true(allows("operator", "read uw/home/client/operator/reply/+"));
	assert_true(allows("ezra-1", "write uw/home/client/+/reply/+"));
	assert_true(allows("ezra-1", "read uw/home/client/ezra-1/reply/+"));
	assert_false(allows("ezra-1", "read uw/home/client/+/reply/+"));
	assert_false(allows("operator", "write uw/home/client/+/reply/+"));
}

static void
only_the_sovereign_decides(void **state)
{
	static const char *const others[] = { "operator", "deployer", "watcher", "ezra-1", "bezalel-1" };

	(void)state;
	assert_true(allows("timmy", "write uw/home/sovereign/timmy/decision/+"));
	assert_true(allows("timmy", "write uw/home/sovereign/timmy/halt/+"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(allows_any(others[i], "write uw/home/sovereign"));
}

static void
candidates_ask_for_approval_for_their_houses(void **state)
{
	(void)state;
	assert_true(allows("ezra-1", "write uw/home/approval/ezra/request/+"));
	assert_true(allows("bezalel-1", "write uw/home/approval/ezra/request/+"));
	assert_true(allows("bezalel-1", "write uw/home/approval/bezalel/request/+"));
	assert_true(allows("bezalel-1", "write uw/home/approval/_/request/+"));
	assert_true(allows("ezra-2", "write uw/home/approval/allegro/request/+"));
	assert_false(allows_any("ezra-2", "write uw/home/approval/ezra"));
	assert_false(allows("ezra-1", "write uw/home/approval/bezalel/request/+"));
}

static void
only_candidates_claim_a_house_and_say_what_they_have_of_it(void **state)
{
	(void)state;
	assert_true(allows("ezra-1", "write uw/home/house/ezra/claim/ezra-1"));
	assert_true(allows("bezalel-1", "write uw/home/house/ezra/claim/bezalel-1"));
	assert_true(allows("bezalel-1", "write uw/home/house/_/claim/bezalel-1"));
	assert_true(allows("bezalel-1", "write uw/home/agent/bezalel-1/have/ezra"));
	/* Stands in by default: of three, the first two of the file. */
	assert_true(allows("ezra-2", "write uw/home/house/allegro/claim/ezra-2"));
	assert_true(allows("ezra-2", "write uw/home/agent/ezra-2/have/allegro"));
	assert_false(allows_any("bezalel-1", "allegro"));
	assert_false(allows_any("ezra-2", "house/ezra/claim"));
	assert_false(allows_any("ezra-2", "have/ezra"));
	assert_false(allows_any("ezra-1", "house/_/claim"));
	assert_false(allows_any("operator", "claim/operator"));
}

static void
candidates_hear_and_tell_each_other_what_owning_needs(void **state)
{
	static const char *const reads[] = { "house/+/task/+", "house/+/cancel/+", "house/+/query/+", "house/+/event/+",
		"house/+/claim/+", "agent/+/health/+", "agent/+/have/+", "agent/ezra-1/work/+", "agent/ezra-1/echo/+" };
	static const char *const writes[] = { "house/+/event/ezra-1", "house/+/log/ezra-1", "agent/+/work/ezra-1",
		"agent/ezra-1/health/+", "agent/ezra-1/echo/+", "agent/ezra-1/alert/+", "client/+/reply/+" };
	char line[100];

	(void)state;
	for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
		snprintf(line, sizeof line, "read uw/home/%s", reads[i]);
		assert_true(allows("ezra-1", line));
	}
	for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
		snprintf(line, sizeof line, "write uw/home/%s", writes[i]);
		assert_true(allows("ezra-1", line));
	}
	assert_false(allows("ezra-1", "read uw/home/agent/+/work/+"));
	assert_false(allows("ezra-1", "read uw/home/agent/+/echo/+"));
}

static void
a_witness_is_heard_and_owns_nothing(void **state)
{
	static const char *const never[] = { "write uw/home/client", "claim/witness-1", "event/witness-1",
		"log/witness-1", "work/witness-1", "witness-1/have", "write uw/home/approval", "$SYS" };

	(void)state;
	assert_true(allows("witness-1", "write uw/home/agent/witness-1/health/+"));
	assert_true(allows("witness-1", "write uw/home/agent/witness-1/echo/+"));
	assert_true(allows("witness-1", "read uw/home/agent/witness-1/echo/+"));
	assert_true(allows("witness-1", "read uw/home/agent/+/health/+"));
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		assert_false(allows_any("witness-1", never[i]));
}

static void
whoever_is_not_in_the_configuration_has_no_lines(void **state)
{
	struct buf acl = { 0 };

	(void)state;
	broker_acl_put(&acl, &config);
	assert_null(lines_of(acl.data, "stranger"));
	/* Lines for everybody: these would be for strangers too. */
	assert_null(strstr(acl.data, "pattern"));
	assert_true(strstr(acl.data, "topic") > strstr(acl.data, "user"));
	buf_free(&acl);
}

static struct broker
broker(void)
{
	return (struct broker){ .dir = dir, .port = 1883, .ws_port = 1884, .pki_dir = "/etc/pki dir",
		.cert = "broker" };
}

static void
the_configuration_has_what_safety_rests_on(void **state)
{
	static const char *const lines[] = { "\nallow_anonymous false\n", "\nrequire_certificate true\n",
		"\nuse_identity_as_username true\n", "\ntls_version tlsv1.2\n", "\nmax_inflight_messages 1024\n",
		"\nmax_queued_bytes 268435456\n", "\nmessage_size_limit 4194304\n", "\npersistence true\n",
		"\ncafile /etc/pki dir/ca.crt\n", "\nlistener 1883\n", "\nlistener 1884\n" };
	struct broker b = broker();
	struct buf conf = { 0 };

	(void)state;
	broker_conf_put(&conf, &config, &b);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_non_null(strstr(conf.data, lines[i]));
	/* Both listeners ask for a certificate. */
	assert_non_null(strstr(strstr(conf.data, "listener 1884"), "\nrequire_certificate true\n"));
	assert_non_null(strstr(strstr(conf.data, "listener 1884"), "\nuse_identity_as_username true\n"));
	buf_free(&conf);
}

static void
files_are_written_once_and_for_the_owner_only(void **state)
{
	static const char *const names[] = { "mosquitto.conf", "acl" };
	struct broker b = broker();
	struct stat st;
	struct err e;
	char path[128];
	bool changed;

	(void)state;
	assert_int_equal(broker_write(&config, &b, &changed, &e), 0);
	assert_true(changed);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(broker_write(&config, &b, &changed, &e), 0);
	assert_false(changed);
	b.port = 1999;
	assert_int_equal(broker_write(&config, &b, &changed, &e), 0);
	assert_true(changed);
}

static void
what_cannot_stand_in_a_line_is_refused(void **state)
{
	struct broker b = broker();
	struct err e;
	bool changed;

	(void)state;
	b.pki_dir = "/etc\nuser root";
	assert_int_equal(broker_write(&config, &b, &changed, &e), -1);
	assert_string_equal(e.field, "pki");
	b = broker();
	b.dir = "relative";
	assert_int_equal(broker_write(&config, &b, &changed, &e), -1);
	assert_string_equal(e.field, "dir");
	b = broker();
	b.bind = "127.0.0.1 9";
	assert_int_equal(broker_write(&config, &b, &changed, &e), -1);
	assert_string_equal(e.field, "bind");
	b = broker();
	b.ws_port = b.port;
	assert_int_equal(broker_write(&config, &b, &changed, &e), -1);
	assert_string_equal(e.field, "port");
	if (geteuid() == 0) {
		b = broker();
		b.user = "nobody-of-that-name";
		assert_int_equal(broker_write(&config, &b, &changed, &e), -1);
		assert_string_equal(e.field, "user");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_writes_under_the_own_name_only),
		cmocka_unit_test(a_watcher_writes_nothing),
		cmocka_unit_test(replies_are_read_by_the_client_alone),
		cmocka_unit_test(only_the_sovereign_decides),
		cmocka_unit_test(candidates_ask_for_approval_for_their_houses),
		cmocka_unit_test(only_candidates_claim_a_house_and_say_what_they_have_of_it),
		cmocka_unit_test(candidates_hear_and_tell_each_other_what_owning_needs),
		cmocka_unit_test(a_witness_is_heard_and_owns_nothing),
		cmocka_unit_test(whoever_is_not_in_the_configuration_has_no_lines),
		cmocka_unit_test(the_configuration_has_what_safety_rests_on),
		cmocka_unit_test(files_are_written_once_and_for_the_owner_only),
		cmocka_unit_test(what_cannot_stand_in_a_line_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
