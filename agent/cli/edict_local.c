/*
 * edict_local.c - the sovereign's objects without a broker: an agent takes an envelope over its socket from its own user as
 * it takes one from a topic, for the signature counts and not who brings it.
 */
#include "edict.h"
#include "json.h"
#include "local.h"

#define ANSWER_MS 2000

static void
take_line(struct edict *x, const char *agent, const cJSON *o)
{
	const cJSON *envelope = cJSON_GetObjectItemCaseSensitive(o, "envelope");
	struct buf line = { .max = DSSE_MAX };

	if (strcmp(json_text(o, "type"), "signed") == 0 && canonical_put(&line, envelope, NULL) == 0)
		known_take_held(&x->known, agent, line.data, line.len);
	buf_free(&line);
}

/* 1: that was the last line and all is well; 0: there are more; -1: it is not. */
static int
take_answer(struct edict *x, const char *agent, const char *line, size_t len)
{
	cJSON *o = json_parse_object(line, len, NULL);
	const char *type = json_text(o, "type");
	int rc = strcmp(type, "end") == 0 ? 1 : !o || strcmp(type, "error") == 0 ? -1 : 0;

	take_line(x, agent, o);
	if (rc < 0)
		cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", agent, json_text(cJSON_GetObjectItemCaseSensitive(o, "error"), "message"));
	cJSON_Delete(o);
	return rc;
}

static bool
ask(struct edict *x, const char *agent, const struct buf *request)
{
	char path[512], *line;
	struct local *l = NULL;
	size_t len;
	int rc = 0;

	snprintf(path, sizeof path, "%s/%s.sock", x->r.config.run_dir, agent);
	if (local_open(&l, path, ANSWER_MS, NULL) || local_send(l, request->data, request->len, ANSWER_MS, NULL))
		rc = -1;
	while (rc == 0)
		rc = local_read(l, ANSWER_MS, &line, &len, NULL) == 1 ? take_answer(x, agent, line, len) : -1;
	local_close(l);
	if (rc == 1)
		known_take_held(&x->known, agent, NULL, 0);
	return rc == 1;
}

static int
ask_all(struct edict *x, const struct buf *request)
{
	int n = 0;

	for (size_t i = 0; i < x->known.nagents; i++)
		n += ask(x, x->known.agents[i].name, request);
	return n;
}

int
edict_local_hear(struct edict *x)
{
	struct buf request = { 0 };
	int n;

	buf_adds(&request, "{\"op\":\"signed\"}");
	n = ask_all(x, &request);
	buf_free(&request);
	return n;
}

int
edict_local_give(struct edict *x, const struct buf *line)
{
	struct buf request = { 0 };
	int n;

	json_put_open(&request, '{');
	json_kv_str(&request, "op", "signed");
	json_kv_str(&request, "envelope", line->data);
	json_put_close(&request, '}');
	n = ask_all(x, &request);
	buf_free(&request);
	return n;
}
