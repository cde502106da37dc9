/*
 * `house move` over the socket of an owner on this machine, which is played here.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#include "buf.h"
#include "cmd.h"

extern const struct cmd cmd_house_move;

static char dir[] = "/tmp/t_house_move.XXXXXX";
static char config_file[64], out_file[64], asked[512];

/* What the agent bezalel-1 says: NULL ends the connection, "" waits until the other side does. */
static struct {
	const char *health, *answer;
	int listener;
} agent;

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
group_setup(void **state)
{
	char run[64], text[256];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(config_file, sizeof config_file, "%s/houses.yaml", dir);
	snprintf(out_file, sizeof out_file, "%s/out", dir);
	snprintf(run, sizeof run, "%s/run", dir);
	snprintf(text, sizeof text, "houses:\n  ezra:\n  bezalel:\nrun: run\nstate: %s\nbrokers: ['127.0.0.1:1']\n", dir);
	write_file(config_file, text);
	return mkdir(run, 0700);
}

static void
remove_in_dir(const char *name)
{
	char path[96];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	remove(path);
}

static int
group_teardown(void **state)
{
	static const char *const names[] = { "houses.yaml", "out", "run", "outbox-operator.db", "" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		remove_in_dir(names[i]);
	return 0;
}

static int
setup(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)state;
	asked[0] = '\0';
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/run/bezalel-1.sock", dir);
	agent.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	return bind(agent.listener, (struct sockaddr *)&sa, sizeof sa) || listen(agent.listener, 1);
}

static int
teardown(void **state)
{
	(void)state;
	close(agent.listener);
	remove_in_dir("run/bezalel-1.sock");
	return 0;
}

/* A line without its end; empty when the other side has gone. */
static void
read_line(int fd, char *to, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(fd, to + n, 1) == 1 && to[n] != '\n')
		n++;
	to[n] = '\0';
}

static void *
play(void *arg)
{
	int fd = accept(agent.listener, NULL, NULL);
	char line[512];

	(void)arg;
	read_line(fd, line, sizeof line);
	assert_string_equal(line, "{\"op\":\"health\"}");
	dprintf(fd, "%s\n", agent.health);
	read_line(fd, asked, sizeof asked);
	if (asked[0] && agent.answer)
		dprintf(fd, "%s%s", agent.answer, *agent.answer ? "\n" : "");
	if (asked[0] && agent.answer)
		read_line(fd, line, sizeof line);
	close(fd);
	return NULL;
}

/* With standard output and error in out_file. */
static int
run_quietly(const struct cmd_args *a)
{
	int out = dup(1), err = dup(2), fd = open(out_file, O_CREAT | O_TRUNC | O_WRONLY, 0600), rc;

	fflush(stdout);         /* not all: the other thread has a stream, too */
	dup2(fd, 1);
	dup2(fd, 2);
	rc = cmd_house_move.run(a);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	close(fd);
	return rc;
}

/* Moves ezra to ezra-1 in at most a second; *out is what was printed. */
static int
move(const char *health, const char *answer, bool json, char out[1024])
{
	char *argv[] = { (char[]){ "ezra" } };
	struct cmd_args a = { .cmd = &cmd_house_move, .argv = argv, .argc = 1, .json = json, .config = config_file,
		.opt = { { .set = true, .text = "ezra-1" }, { .set = true, .num = 1 } } };
	pthread_t thread;
	FILE *f;
	size_t n;
	int rc;

	agent.health = health;
	agent.answer = answer;
	assert_int_equal(pthread_create(&thread, NULL, play, NULL), 0);
	rc = run_quietly(&a);
	assert_int_equal(pthread_join(thread, NULL), 0);
	f = fopen(out_file, "r");
	assert_non_null(f);
	n = fread(out, 1, 1023, f);
	out[n] = '\0';
	fclose(f);
	return rc;
}

#define OWNER "{\"state\":\"online\",\"houses\":[{\"house\":\"bezalel\"},{\"house\":\"ezra\",\"role\":\"owner\"}]}"
#define FOLLOWER "{\"state\":\"online\",\"houses\":[{\"house\":\"ezra\",\"role\":\"follower\"}]}"
#define MOVED "{\"type\":\"moved\",\"house\":\"ezra\",\"term\":\"12.ezra-1\",\"owner\":\"ezra-1\"}"

static void
the_owner_on_this_machine_is_asked_over_its_socket(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(move(OWNER, MOVED, false, out), EXIT_OK);
	assert_string_equal(asked, "{\"op\":\"move\",\"house\":\"ezra\",\"to\":\"ezra-1\"}");
	assert_non_null(strstr(out, "asked bezalel-1 to hand ezra over to ezra-1\n"));
	assert_non_null(strstr(out, "ezra moved to ezra-1, term 12\n"));
}

static void
other_lines_are_passed_over_and_json_is_the_answer_alone(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(move(OWNER, "{\"type\":\"pong\"}\n" MOVED, true, out), EXIT_OK);
	assert_string_equal(out, MOVED "\n");
}

static void
a_refusal_is_told_with_its_reason(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(move(OWNER, "{\"type\":\"error\",\"error\":{\"code\":\"state\",\"message\":\"ezra-1 is behind\"}}",
	    false, out), EXIT_NOT_SUCCEEDED);
	assert_non_null(strstr(out, "ezra was not moved: state: ezra-1 is behind\n"));
}

static void
an_owner_that_does_not_answer_is_not_waited_for_for_ever(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(move(OWNER, "", false, out), EXIT_NO_ANSWER);
	assert_non_null(strstr(out, "bezalel-1 did not answer within 1 s"));
	assert_int_equal(move(OWNER, NULL, false, out), EXIT_NOT_SUCCEEDED);
}

static void
who_only_follows_is_not_asked(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(move(FOLLOWER, MOVED, false, out), EXIT_NOT_SUCCEEDED);
	assert_string_equal(asked, "");
	assert_non_null(strstr(out, "asked its owner to hand ezra over to ezra-1\n"));
	/* The broker was next, for which there is no certificate here. */
	assert_non_null(strstr(out, "CA file"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_owner_on_this_machine_is_asked_over_its_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(other_lines_are_passed_over_and_json_is_the_answer_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_with_its_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_that_does_not_answer_is_not_waited_for_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(who_only_follows_is_not_asked, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
