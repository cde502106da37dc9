/*
 * Runs a tool of a house, once and waiting for it, then a few times at once in a loop of its own.
 *
 *   cc harness.c $(pkg-config --cflags --libs uniwizard) -o harness
 *   ./harness ezra noop '{"payload":"hello"}' [here|agent]
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <uni_wizard.h>

#define AT_ONCE 5

static void
print_outcome(void *arg, const struct uw_result *r)
{
	int *succeeded = arg;

	if (uw_result_state(r) == UW_SUCCEEDED)
		++*succeeded;
	else
		fprintf(stderr, "call %lld: %s: %s\n", (long long)uw_result_call(r), uw_result_state_name(r),
		    uw_result_error(r)->message);
}

static int
run_several(struct uw_harness *h, const char *tool, const char *params)
{
	struct uw_error e;
	int succeeded = 0;

	for (int i = 0; i < AT_ONCE; i++)
		if (uw_execute_async(h, tool, params, print_outcome, &succeeded, &e) < 0)
			fprintf(stderr, "%s: %s\n", e.code, e.message);
	while (uw_harness_pending(h) > 0) {
		struct pollfd fd = { .fd = uw_harness_fd(h), .events = POLLIN };

		/* Together with whatever else the program waits for. */
		poll(&fd, 1, uw_harness_timeout(h));
		uw_harness_run(h, 0);
	}
	printf("%d of %d succeeded\n", succeeded, AT_ONCE);
	return succeeded == AT_ONCE ? 0 : 1;
}

static int
run_one(struct uw_harness *h, const char *tool, const char *params)
{
	struct uw_result *r;
	struct uw_error e;
	int rc = uw_execute(h, tool, params, &r, &e);

	if (rc)
		fprintf(stderr, "%s: %s\n", e.code, e.message);
	else
		printf("task %s, run %s: %s\n", uw_result_id(r), uw_harness_where(h), uw_result_json(r));
	uw_result_free(r);
	return rc ? 1 : 0;
}

int
main(int argc, char **argv)
{
	struct uw_options o;
	struct uw_harness *h;
	struct uw_error e;
	int rc;

	if (argc < 4) {
		fprintf(stderr, "usage: %s HOUSE TOOL PARAMS [here|agent]\n", argv[0]);
		return 2;
	}
	uw_options_init(&o);
	if (argc > 4)
		o.where = strcmp(argv[4], "agent") == 0 ? UW_AGENT : UW_HERE;
	if (uw_harness_open_with(argv[1], UW_INTELLIGENT, &o, &h, &e)) {
		fprintf(stderr, "%s: %s\n", e.code, e.message);
		return 2;
	}
	rc = run_one(h, argv[2], argv[3]);
	if (rc == 0)
		rc = run_several(h, argv[2], argv[3]);
	uw_harness_close(h);
	return rc;
}
