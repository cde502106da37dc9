/*
 * storm.c - a sender of the end-to-end tests: gives a house many tasks and writes down what it is told.
 *
 *   storm IDENTITY HOUSE RATE SECONDS <tasks >replies
 *
 * Each line of standard input is a task without an id. RATE of them are submitted a second; 0: all at once.
 * Every reply is printed as it came. Ends with 0 when each task had its outcome or refusal, with 1 when that took
 * longer than SECONDS. The configuration is that of $UNI_WIZARD_CONFIG, the outbox $OUTBOX, if set.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "config.h"
#include "err.h"

#define STEP 200                /* submitted between two looks at the connection */

#define TASKS_MAX 1000000

struct storm {
	struct config config;
	struct client *client;
	const char *house;
	long sent, ended;
	bool at_end;            /* of standard input */
	bool heard[TASKS_MAX];  /* by number: its end */
};

/* The number is in the id, so that a reply leads back to it. */
static void
make_id(struct ulid *id, uint32_t n)
{
	ulid_now(id);
	memcpy(id->b + sizeof id->b - sizeof n, &n, sizeof n);
}

static uint32_t
number_of(const struct ulid *id)
{
	uint32_t n;

	memcpy(&n, id->b + sizeof id->b - sizeof n, sizeof n);
	return n;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct storm *s = arg;

	uint32_t n = number_of(&r->id);

	printf("%.*s\n", (int)r->len, r->line);
	if (strcmp(r->type, "accepted") == 0 || n >= s->sent || s->heard[n])
		return;
	s->heard[n] = true;
	s->ended++;
}

static int
submit_line(struct storm *s, struct err *e)
{
	static char line[1 << 20];
	struct ulid id;

	if (s->sent == TASKS_MAX || !fgets(line, sizeof line, stdin)) {
		s->at_end = true;
		return 0;
	}
	make_id(&id, (uint32_t)s->sent++);
	return client_submit(s->client, s->house, line, strcspn(line, "\n"), &id, true, e);
}

/* As many as are due by now. */
static int
submit_due(struct storm *s, int64_t began_ms, long rate, struct err *e)
{
	long due = rate ? (clock_mono_ms() - began_ms) * rate / 1000 : s->sent + STEP;

	for (int i = 0; i < STEP && s->sent < due && !s->at_end; i++)
		if (submit_line(s, e))
			return -1;
	return client_commit(s->client, e);
}

static int
run(struct storm *s, long rate, long seconds, struct err *e)
{
	int64_t began_ms = clock_mono_ms();

	while (!s->at_end || s->ended < s->sent) {
		if (clock_mono_ms() - began_ms > seconds * 1000)
			return err_set(e, ERR_TIMEOUT, "%ld of %ld tasks have no end after %ld s", s->sent - s->ended,
			    s->sent, seconds);
		if (submit_due(s, began_ms, rate, e) || client_run(s->client, s->at_end ? 100 : 5, e))
			return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct storm s;
	struct err e;
	int rc = 1;

	if (argc != 5 || config_load(&s.config, getenv("UNI_WIZARD_CONFIG"), NULL, NULL, &e))
		return 2;
	s.house = argv[2];
	if (client_open(&s.client, &(struct client_opts){ .config = &s.config, .identity = argv[1], .arg = &s,
	    .outbox_path = getenv("OUTBOX"), .on_reply = on_reply }, &e) || run(&s, strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10), &e))
		fprintf(stderr, "storm: %s\n", e.msg);
	else
		rc = 0;
	client_close(s.client);
	config_release(&s.config);
	return rc;
}
