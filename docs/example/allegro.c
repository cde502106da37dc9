/*
 * Allegro's calls, one by one: issues of a repository, a pull request, something for Hermes to do, telemetry, health.
 *
 *   cc allegro.c $(pkg-config --cflags --libs uniwizard) -o allegro
 *   ./allegro allegro issues timmy/work
 *   ./allegro allegro telemetry '[{"type":"deploy.finished","ms":1200}]'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uni_wizard.h>

typedef int call_fn(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e);

/* v: what was given, then NULL. */
static int
issues(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e)
{
	return uw_get_gitea_issues(h, v[0], v[1], r, e);
}

static int
pr(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e)
{
	return uw_create_pr(h, v[0], v[1], v[2], v[3], r, e);
}

static int
hermes(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e)
{
	return uw_run_with_hermes(h, v[0], v[1], r, e);
}

static int
telemetry(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e)
{
	return uw_stream_telemetry(h, v[0], r, e);
}

static int
health(struct uw_harness *h, char **v, struct uw_result **r, struct uw_error *e)
{
	return uw_check_health(h, v[0], v[0] ? v[1] : NULL, r, e);
}

static const struct {
	const char *name, *args;
	int min, max;
	call_fn *f;
} calls[] = {
	{ "issues", "REPOSITORY [ASSIGNEE]", 1, 2, issues },
	{ "pr", "REPOSITORY BRANCH TITLE [BODY]", 3, 4, pr },
	{ "hermes", "PROMPT [MODEL]", 1, 2, hermes },
	{ "telemetry", "EVENTS", 1, 1, telemetry },
	{ "health", "[TARGET [CA_FILE]]", 0, 2, health },
};
#define NCALLS (sizeof calls / sizeof *calls)

static int
usage(void)
{
	for (size_t i = 0; i < NCALLS; i++)
		fprintf(stderr, "%s allegro HOUSE %s %s\n", i ? "      " : "usage:", calls[i].name, calls[i].args);
	return 2;
}

int
main(int argc, char **argv)
{
	const char *wait_ms = getenv("WAIT_MS");
	struct uw_harness *h;
	struct uw_result *r;
	struct uw_options o;
	struct uw_error e;
	size_t i = 0;
	int rc;

	while (argc > 2 && i < NCALLS && strcmp(calls[i].name, argv[2]) != 0)
		i++;
	if (argc < 3 || i == NCALLS || argc - 3 < calls[i].min || argc - 3 > calls[i].max)
		return usage();
	uw_options_init(&o);
	if (wait_ms)
		o.wait_ms = (int)strtol(wait_ms, NULL, 10);
	/* At an agent if one answers: it keeps the task safe. Otherwise here. */
	if (uw_harness_open_with(argv[1], UW_INTELLIGENT, &o, &h, &e)) {
		fprintf(stderr, "%s: %s\n", e.code, e.message);
		return 2;
	}
	rc = calls[i].f(h, argv + 3, &r, &e);
	if (rc)
		fprintf(stderr, "%s: %s\n", e.code, e.message);
	else
		puts(uw_result_json(r));
	uw_result_free(r);
	uw_harness_close(h);
	return rc ? 1 : 0;
}
