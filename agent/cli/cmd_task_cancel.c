#include <string.h>

#include "json.h"
#include "remote.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "ask only this house", .complete = "houses" },
	{ .name = NULL },
};

struct cancel {
	const struct cmd_args *a;
	struct remote r;
	struct ulid id;
	int asked, answered;
	bool done, known;
	int rc;
	char message[512];
};

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct cancel *s = arg;
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	const char *code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "code"));
	const char *msg = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "message"));

	s->answered++;
	if (strcmp(r->type, "cancel") == 0) {
		s->known = s->done = true;
		s->rc = EXIT_OK;
		if (s->a->json)
			printf("%.*s\n", (int)r->len, r->line);
		else
			printf("%s %s\n", s->a->argv[0], reply_text(r, "state"));
	} else if (code && strcmp(code, "unknown_task") != 0) {
		s->known = true;
		s->rc = EXIT_NOT_SUCCEEDED;
		snprintf(s->message, sizeof s->message, "%s", msg ? msg : code);
	}
	if (s->answered >= s->asked)
		s->done = true;
}

static int
cancel_run(const struct cmd_args *a)
{
	struct cancel s = { .a = a, .rc = EXIT_NOT_SUCCEEDED };
	char request[64];
	int rc;

	if (remote_task_id(a->argv[0], &s.id))
		return EXIT_USAGE;
	if ((rc = remote_open(&s.r, a, on_reply, NULL, &s)))
		return rc;
	snprintf(request, sizeof request, "{\"id\":\"%s\"}", a->argv[0]);
	s.asked = remote_ask(&s.r, TOPIC_CANCEL, cmd_text(a, "house", NULL), request);
	rc = remote_wait(&s.r, &s.done, remote_answer_ms(&s.r));
	if (s.known)
		rc = s.rc ? cmd_fail(s.rc, "%s", s.message) : 0;
	else if (rc == EXIT_NO_ANSWER && !s.answered)
		rc = remote_no_answer(&s.r, "any house");
	else
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "no house knows a task %s (%d of %d answered)", a->argv[0], s.answered, s.asked);
	remote_close(&s.r);
	return rc;
}

const struct cmd cmd_task_cancel = {
	.name = "task cancel",
	.args = "ID",
	.help = "Cancel a task; one that runs is stopped, its processes with it",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = cancel_run,
};
