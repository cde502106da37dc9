#include <string.h>

#include "json.h"
#include "remote.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "ask only this house", .complete = "houses" },
	{ .name = NULL },
};

struct show {
	const struct cmd_args *a;
	struct remote r;
	struct ulid id;
	int asked, answered;
	cJSON *found;
	bool done;
};

/* The router knows a task that it handed on, the house knows how it went: the house's word counts. */
static void
on_reply(void *arg, const struct client_reply *r)
{
	struct show *s = arg;
	const char *state = reply_text(r, "state");

	if (strcmp(r->type, "task") == 0 && ulid_equal(&r->id, &s->id)) {
		s->answered++;
		if (!s->found || (state && strcmp(state, "forwarded") != 0)) {
			cJSON_Delete(s->found);
			s->found = cJSON_Duplicate(r->obj, true);
		}
		s->done = state && strcmp(state, "forwarded") != 0;
	} else if (strcmp(r->type, "error") == 0) {
		s->answered++;
	}
	if (s->answered >= s->asked)
		s->done = true;
}

static void
print_found(struct show *s)
{
	if (s->a->json) {
		char *text = cJSON_PrintUnformatted(s->found);

		puts(text);
		cJSON_free(text);
	} else {
		cJSON_DeleteItemFromObjectCaseSensitive(s->found, "type");
		print_pretty(s->found);
	}
}

static int
show_run(const struct cmd_args *a)
{
	struct show s = { .a = a };
	char request[64];
	int rc;

	if (remote_task_id(a->argv[0], &s.id))
		return EXIT_USAGE;
	if ((rc = remote_open(&s.r, a, on_reply, NULL, &s)))
		return rc;
	snprintf(request, sizeof request, "{\"id\":\"%s\"}", a->argv[0]);
	s.asked = remote_ask(&s.r, TOPIC_QUERY, cmd_text(a, "house", NULL), request);
	rc = remote_wait(&s.r, &s.done, remote_answer_ms(&s.r));
	if (s.found) {
		print_found(&s);
		rc = EXIT_OK;
	} else if (rc == EXIT_NO_ANSWER && s.answered == 0) {
		rc = remote_no_answer(&s.r, "any house");
	} else {
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "no house knows a task %s (%d of %d answered)", a->argv[0], s.answered, s.asked);
	}
	cJSON_Delete(s.found);
	remote_close(&s.r);
	return rc;
}

const struct cmd cmd_task_show = {
	.name = "task show",
	.args = "ID",
	.help = "Show a task: state, times, result or error",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = show_run,
};
