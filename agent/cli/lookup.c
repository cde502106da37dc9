#include "lookup.h"

#include <string.h>

#include "remote.h"

struct lookup {
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
	struct lookup *s = arg;
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

int
lookup_task(const struct cmd_args *a, const char *id, const char *house, cJSON **found)
{
	struct lookup s = { .answered = 0 };
	char request[64];
	int rc;

	*found = NULL;
	if (remote_task_id(id, &s.id))
		return EXIT_USAGE;
	if ((rc = remote_open(&s.r, a, on_reply, NULL, &s)))
		return rc;
	snprintf(request, sizeof request, "{\"id\":\"%s\"}", id);
	s.asked = remote_ask(&s.r, TOPIC_QUERY, house, request);
	rc = remote_wait(&s.r, &s.done, remote_answer_ms(&s.r));
	if (s.found)
		rc = EXIT_OK;
	else if (rc == EXIT_NO_ANSWER && s.answered == 0)
		rc = remote_no_answer(&s.r, "any house");
	else
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "no house knows a task %s (%d of %d answered)", id, s.answered, s.asked);
	*found = s.found;
	remote_close(&s.r);
	return rc;
}
