/* t_ssh.c - scripts on other machines: quoting, what goes over, what failures say. A program of ours stands for ssh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "save.h"
#include "ssh.h"

static char dir[] = "/tmp/t_ssh-XXXXXX";
static char program[64];

static const char *const nasty[] = {
	"", " ", "plain", "two words", "it's", "''", "'; touch pwned; '", "$(touch pwned)", "`touch pwned`", "\"", "\\", "\\'", "-n", "--", "*",
	"a\nb", "\n", "~root", "!!", "#x", "x #y", "&", "|", "<in", ">pwned", "END_OF_PAYLOAD", "payload", "${HOME}", "%s", "\t", "\xc3\xa9\xff",
};

static void
pretend(const char *script)
{
	struct err e;

	assert_int_equal(save_file(program, script, strlen(script), 0700, &e), 0);
	setenv("UNI_WIZARD_SSH", program, 1);
}

/* Stands for ssh: its last argument is the command, which a shell there runs. */
#define THERE "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n"

static struct ssh
host(const char *at)
{
	static char path[128];
	struct config c = { .path = path };
	struct config_host h = { .name = "h1", .ssh = (char *)(uintptr_t)at };
	struct ssh s;

	snprintf(path, sizeof path, "%s/houses.yaml", dir);
	ssh_init(&s, &c, &h);
	return s;
}

static void
every_text_is_one_word(void **state)
{
	struct ssh s = host("local");
	struct buf out = { 0 };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
		buf_clear(&out);
		assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = "printf '%s/%s' $# \"$1\"; test ! -e pwned",
		    .args = (const char *const[]){ nasty[i], NULL } }, &out, &e), 0);
		/* The line end at the end of a script's output is not part of it. */
		if (strcmp(nasty[i], "\n") == 0)
			assert_string_equal(buf_str(&out), "1/");
		else
			assert_memory_equal(buf_str(&out) + 2, nasty[i], strlen(nasty[i]) + 1);
	}
	buf_free(&out);
	ssh_close(&s);
}

static void
files_arrive_as_they_are(void **state)
{
	struct ssh s = host("root@there:2200");
	struct buf got = { 0 };
	char all[1000], path[128], *owner;
	bool changed;
	struct stat st;
	struct err e = { 0 };

	(void)state;
	pretend(THERE);
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)(i * 7);
	owner = getuid() == 0 ? "root:root" : NULL;
	if (!owner)
		skip();
	for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
		snprintf(path, sizeof path, "%s/f%s", dir, nasty[i]);
		if (strchr(nasty[i], '\\'))
			continue;
		assert_int_equal(ssh_put(&s, path, "640", owner, all, sizeof all - i, &changed, &e), 0);
		assert_true(changed);
		assert_int_equal(ssh_put(&s, path, "640", owner, all, sizeof all - i, &changed, &e), 0);
		assert_false(changed);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		buf_clear(&got);
		assert_int_equal(save_read(path, &got, &e), 0);
		assert_int_equal(got.len, sizeof all - i);
		assert_memory_equal(got.data, all, got.len);
		unlink(path);
	}
	buf_free(&got);
	ssh_close(&s);
}

static void
what_is_asked_of_ssh(void **state)
{
	struct ssh s = host("root@[2001:db8::1]:2200");
	struct buf out = { 0 };
	struct err e = { 0 };

	(void)state;
	s.accept_new = true;
	pretend("#!/bin/sh\necho \"$@\"\n");
	assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = ":" }, &out, &e), 0);
	assert_non_null(strstr(buf_str(&out), "-T -o BatchMode=yes -o ConnectTimeout=10"));
	assert_non_null(strstr(buf_str(&out), "-o StrictHostKeyChecking=accept-new -p 2200 -- root@2001:db8::1 exec sh"));
	buf_free(&out);
	ssh_close(&s);
}

static void
failures_say_what_to_do(void **state)
{
	static const struct {
		const char *script;
		enum err_code code;
		const char *says;
	} cases[] = {
		{ "#!/bin/sh\necho 'root@there: Permission denied (publickey).' >&2; exit 255\n", ERR_DENIED, "ssh-copy-id" },
		{ "#!/bin/sh\necho 'Host key verification failed.' >&2; exit 255\n", ERR_DENIED, "--accept-new" },
		{ "#!/bin/sh\necho 'REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.' >&2; exit 255\n", ERR_DENIED,
		    "another one than before" },
		{ "#!/bin/sh\necho 'connect to host there port 22: Connection refused' >&2; exit 255\n", ERR_NETWORK, "no sshd" },
		{ "#!/bin/sh\nexit 255\n", ERR_NETWORK, "host h1: ssh to root@there failed; it said: nothing" },
		{ "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n", ERR_DENIED, "without a password" },
		{ "#!/bin/sh\necho 'disk full' >&2; exit 3\n", ERR_TOOL, "host h1: make room; it said: disk full" },
		{ "#!/bin/sh\nkill -9 $$\n", ERR_CRASH, "host h1: ended by signal 9" },
		{ "#!/bin/sh\nsleep 30\n", ERR_TIMEOUT, "host h1" },
	};
	struct ssh s = host("root@there");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = { 0 };

		pretend(cases[i].script);
		assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = ":", .fix = "make room", .deadline_ms = 300 }, NULL, &e), -1);
		assert_int_equal(e.code, cases[i].code);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("expected %s in: %s", cases[i].says, e.msg);
	}
	ssh_close(&s);
}

static void
a_script_ends_at_its_first_failure(void **state)
{
	struct ssh s = host("local");
	struct buf out = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = "echo a; false; echo b" }, &out, &e), -1);
	assert_int_equal(e.code, ERR_TOOL);
	/* What reads its standard input gets nothing, not the rest of the script. */
	assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = "cat; echo c\necho d" }, &out, &e), 0);
	assert_string_equal(buf_str(&out), "c\nd");
	buf_free(&out);
	ssh_close(&s);
}

/* Whoever has the directory can put a link where the new file is written first. */
static void
files_go_through_no_link(void **state)
{
	struct ssh s = host("local");
	struct buf got = { 0 };
	char path[128], link[128], victim[128];
	struct err e = { 0 };

	(void)state;
	if (getuid() != 0)
		skip();
	snprintf(path, sizeof path, "%s/f", dir);
	snprintf(link, sizeof link, "%s/f.uw-new", dir);
	snprintf(victim, sizeof victim, "%s/victim", dir);
	assert_int_equal(save_file(victim, "mine", 4, 0600, &e), 0);
	assert_int_equal(symlink(victim, link), 0);
	assert_int_equal(ssh_put(&s, path, "644", "root:root", "new", 3, NULL, &e), 0);
	assert_int_equal(save_read(victim, &got, &e), 0);
	assert_int_equal(got.len, 4);
	buf_free(&got);
	unlink(path);
	unlink(victim);
	ssh_close(&s);
}

/* As one script, which another machine runs later. */
static void
recorded_scripts_end_at_the_first_failure(void **state)
{
	static const char *const wrong[] = { "false; echo after", "test -z \"\" && false; echo after", "false | false; echo after" };
	struct ssh s = host("root@there");
	struct buf all = { 0 }, out = { 0 };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct ssh here = host("local");

		buf_clear(&all);
		buf_clear(&out);
		s.record = &all;
		assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = "test \"$1\" = a; echo first", .args = (const char *const[]){ "a",
		    NULL } }, NULL, &e), 0);
		assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = wrong[i] }, NULL, &e), 0);
		assert_int_equal(ssh_run(&s, &(struct ssh_script){ .text = "echo last" }, NULL, &e), 0);
		assert_int_equal(ssh_run(&here, &(struct ssh_script){ .text = "sh -c \"$1\" 2>&1 || echo failed",
		    .args = (const char *const[]){ all.data, NULL } }, &out, &e), 0);
		assert_string_equal(buf_str(&out), "first\nfailed");
		ssh_close(&here);
	}
	buf_free(&all);
	buf_free(&out);
	ssh_close(&s);
}

static void
what_a_machine_says_drives_no_terminal(void **state)
{
	struct buf b = { 0 };

	(void)state;
	ssh_make_harmless(&b);
	buf_adds(&b, "a\n\x1b[2J\x7f\xc2\x9b\xc3\xa9\t.\xc2");
	ssh_make_harmless(&b);
	assert_string_equal(b.data, "a ?[2J???\xc3\xa9 .\xc2");
	buf_free(&b);
}

static int
set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(program, sizeof program, "%s/ssh", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(program);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_text_is_one_word),
		cmocka_unit_test(files_arrive_as_they_are),
		cmocka_unit_test(what_is_asked_of_ssh),
		cmocka_unit_test(failures_say_what_to_do),
		cmocka_unit_test(a_script_ends_at_its_first_failure),
		cmocka_unit_test(files_go_through_no_link),
		cmocka_unit_test(recorded_scripts_end_at_the_first_failure),
		cmocka_unit_test(what_a_machine_says_drives_no_terminal),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
