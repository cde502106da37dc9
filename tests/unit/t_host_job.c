/* t_host_job.c - what `host add` and `host remove` make of houses.yaml, and how packages are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_add.h"
#include "pki.h"

#define HOUSES "houses:\n  ezra:\n    role: archivist   # keeps\n  timmy: {agents: [timmy-1, timmy-2]}\n  bezalel:\n"

static struct host_job job;

static void
begin(const char *text)
{
	struct err e = { 0 };

	job = (struct host_job){ .path = xstrdup("/nowhere/houses.yaml") };
	buf_adds(&job.text, text);
	if (host_job_read(&job, &e))
		fail_msg("%s", e.msg);
}

static void
expect(const char *text)
{
	if (strcmp(buf_str(&job.text), text) != 0)
		fail_msg("expected:\n%s\ngot:\n%s", text, buf_str(&job.text));
}

static void
add(const char *name, const struct host_plan *p)
{
	struct err e = { 0 };

	if (host_plan_add(&job, name, p, &e))
		fail_msg("%s", e.msg);
}

static void
refuse(const char *name, const struct host_plan *p, const char *says)
{
	struct err e = { 0 };

	assert_int_equal(host_plan_add(&job, name, p, &e), -1);
	if (!strstr(e.msg, says))
		fail_msg("expected %s in: %s", says, e.msg);
}

static void
a_host_is_added(void **state)
{
	(void)state;
	begin(HOUSES);
	add("h1", &(struct host_plan){ .house = "ezra", .ssh = "root@192.0.2.7", .broker = true });
	expect("houses:\n  ezra:\n    role: archivist   # keeps\n  timmy: {agents: [timmy-1, timmy-2]}\n  bezalel:\n"
	    "hosts:\n  h1: {ssh: \"root@192.0.2.7\", broker: \"on\", agents: [ezra-1]}\nbrokers: [\"192.0.2.7:8883\"]\n");
	/* Again: nothing more. */
	add("h1", &(struct host_plan){ .house = "ezra", .ssh = "root@192.0.2.7", .broker = true });
	add("h1", &(struct host_plan){ .house = NULL });
	/* The second host of a house brings a further agent; of one that has more, the first that runs nowhere. */
	add("h2", &(struct host_plan){ .house = "ezra", .ssh = "deb@h2:2222", .address = "10.0.0.2" });
	add("h3", &(struct host_plan){ .house = "timmy", .ssh = "root@[2001:db8::3]:22", .broker = true });
	add("h4", &(struct host_plan){ .house = "timmy", .agent = "timmy-2", .ssh = "h4" });
	add("h5", &(struct host_plan){ .house = "bezalel", .ssh = "h5" });
	add("h6", &(struct host_plan){ .witness = true, .ssh = "h6" });
	expect("houses:\n  ezra:\n    role: archivist   # keeps\n    agents: [ezra-1, ezra-2]\n  timmy: {agents: [timmy-1, timmy-2]}\n"
	    "  bezalel:\n"
	    "hosts:\n  h1: {ssh: \"root@192.0.2.7\", broker: \"on\", agents: [ezra-1]}\n"
	    "  h2: {ssh: \"deb@h2:2222\", address: \"10.0.0.2\", agents: [ezra-2]}\n"
	    "  h3: {ssh: \"root@[2001:db8::3]:22\", broker: \"on\", agents: [timmy-1]}\n"
	    "  h4: {ssh: \"h4\", agents: [timmy-2]}\n  h5: {ssh: \"h5\", agents: [bezalel-1]}\n  h6: {ssh: \"h6\", agents: [h6]}\n"
	    "brokers: [\"192.0.2.7:8883\", \"[2001:db8::3]:8883\"]\nwitnesses: [h6]\n");
	assert_int_equal(host_broker_port(job.config, config_host_find(job.config, "h3")), 8883);
	host_job_close(&job);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	(void)state;
	begin(HOUSES "brokers: [\"b:8883\"]\n");
	refuse("h1", &(struct host_plan){ .house = "ezra" }, "expected --ssh user@host");
	refuse("h1", &(struct host_plan){ .house = "ezra", .ssh = "-oProxyCommand=id" }, "ssh: expected user@host");
	refuse("h1", &(struct host_plan){ .house = "ezar", .ssh = "h" }, "house: expected a house of /nowhere/houses.yaml");
	refuse("h1", &(struct host_plan){ .house = "ezra", .ssh = "h", .address = "a b" }, "address: expected a host name");
	refuse("H1", &(struct host_plan){ .house = "ezra", .ssh = "h" }, "NAME: expected a name");
	refuse("a-name-that-has-28-characters", &(struct host_plan){ .ssh = "h", .broker = true }, "at most 25 bytes");
	host_job_close(&job);
	begin(HOUSES "brokers: [\"b:8883\"]\n");
	refuse("h1", &(struct host_plan){ .ssh = "h" }, "nothing would run on h1");
	host_job_close(&job);
	begin(HOUSES);
	refuse("h1", &(struct host_plan){ .house = "ezra", .ssh = "h" }, "the cluster has no broker yet");
	host_job_close(&job);
	begin(HOUSES "brokers: [\"b:8883\"]\nhosts: {h1: {ssh: h, agents: [ezra-1]}}\n");
	refuse("h2", &(struct host_plan){ .house = "ezra", .agent = "ezra-1", .ssh = "h" }, "ezra-1 runs on h1 already");
	refuse("h2", &(struct host_plan){ .house = "ezra", .agent = "timmy-1", .ssh = "h" }, "timmy-1 is at home in timmy");
	host_job_close(&job);
}

static void
strike(const char *name)
{
	struct err e = { 0 };

	if (host_job_choose(&job, name, &e) || host_plan_strike(&job, &e))
		fail_msg("%s", e.msg);
}

static void
a_host_is_struck(void **state)
{
	struct err e = { 0 };

	(void)state;
	begin("brokers: [\"a:8883\", b]\nrouter: [ezra-1, timmy-1]\nhouses:\n  ezra:\n    agents:\n    - ezra-1\n    - ezra-2\n"
	    "    candidates: [ezra-1]   # alone\n  timmy: {candidates: [timmy-1, ezra-1]}\n"
	    "witnesses: [w]\nhosts:\n  a: {ssh: a, agents: [ezra-1, w], broker: on}\n  # b\n  b: {ssh: b, broker: on, agents: [timmy-1]}\n");
	strike("a");
	assert_int_equal(job.nagents, 2);
	assert_string_equal(job.agents[1], "w");
	expect("brokers: [b]\nrouter: [timmy-1]\nhouses:\n  ezra:\n    agents:\n    - ezra-2\n"
	    "  timmy: {candidates: [timmy-1]}\n"
	    "hosts:\n  a: {ssh: a, agents: [], broker: \"off\"}\n  # b\n  b: {ssh: b, broker: on, agents: [timmy-1]}\n");
	assert_int_equal(host_plan_forget(&job, "a", &e), 0);
	/* The last one of a house leaves it a name that nobody has had; and the last broker goes with the last host only. */
	strike("b");
	expect("houses:\n  ezra:\n    agents:\n    - ezra-2\n  timmy: {agents: [timmy-2]}\n"
	    "hosts:\n  # b\n  b: {ssh: b, broker: \"off\", agents: []}\n");
	host_job_close(&job);
}

static void
hosts_get_what_is_not_of_this_machine(void **state)
{
	(void)state;
	begin("# c\nstate: state # here\npki: pki\nrun: run\nidentity: op\noperators: [op]\nhosts:\n  a:\n    ssh: a\nhouses: {ezra: }\n");
	assert_string_equal(job.bare.data, "# From the machine that looks after this cluster: what is changed here is lost.\n"
	    "# c\noperators: [op]\nhouses: {ezra: }\n");
	host_job_close(&job);
}

static void
packages_have_names(void **state)
{
	char v[64], a[24];

	(void)state;
	assert_true(host_package_name("/a/b/uni-wizard_4.0.0-1_amd64.deb", v, sizeof v, a, sizeof a));
	assert_string_equal(v, "4.0.0-1");
	assert_string_equal(a, "amd64");
	assert_false(host_package_name("uni-wizard-dbgsym_4.0.0-1_amd64.deb", v, sizeof v, a, sizeof a));
	assert_false(host_package_name("uni-wizard_4.0.0-1.deb", v, sizeof v, a, sizeof a));
	assert_false(host_package_name("uni-wizard__amd64.deb", v, sizeof v, a, sizeof a));
	assert_false(host_package_name("uni-wizard_4_amd64.deb.part", v, sizeof v, a, sizeof a));
	assert_false(host_package_name("", v, sizeof v, a, sizeof a));
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)what;
	(void)ftw;
	return remove(path);
}

static bool
is_issued(const char *address)
{
	struct config_host h = { .name = "h1", .address = xstrdup(address) };
	struct err e = { 0 };
	bool issued;

	job.host = &h;
	if (host_issue(&job, "broker-h1", true, &issued, &e))
		fail_msg("%s", e.msg);
	job.host = NULL;
	free(h.address);
	return issued;
}

/* One that has another address than it had. */
static void
a_broker_has_a_certificate_of_its_address(void **state)
{
	char dir[] = "/tmp/t_host_job-XXXXXX";
	struct buf text = { 0 };
	bool created;
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	buf_addf(&text, HOUSES "pki: %s\n", dir);
	begin(text.data);
	assert_int_equal(pki_init(dir, 0, &created, &e), 0);
	assert_true(is_issued("192.0.2.11"));
	assert_false(is_issued("192.0.2.11"));
	assert_true(is_issued("192.0.2.1"));
	assert_true(is_issued("2001:db8:0::1"));
	assert_false(is_issued("2001:DB8::1"));
	assert_true(is_issued("h1.example.org"));
	assert_false(is_issued("H1.example.org"));
	assert_true(is_issued("example.org"));
	assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	buf_free(&text);
	host_job_close(&job);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_added),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(a_host_is_struck),
		cmocka_unit_test(hosts_get_what_is_not_of_this_machine),
		cmocka_unit_test(packages_have_names),
		cmocka_unit_test(a_broker_has_a_certificate_of_its_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
