#include "ask.h"

#include "json.h"
#include "local.h"

#define ANSWER_MS 5000

static cJSON *
ask_one(const struct config *c, const char *agent, const struct buf *request, struct err *e)
{
	char path[512], *line;
	struct local *l = NULL;
	cJSON *o = NULL;
	size_t len;

	snprintf(path, sizeof path, "%s/%s.sock", c->run_dir, agent);
	if (local_open(&l, path, ANSWER_MS, e) == 0 && local_send(l, request->data, request->len, ANSWER_MS, e) == 0) {
		int rc = local_read(l, ANSWER_MS, &line, &len, e);

		if (rc == 1)
			o = json_parse_object(line, len, e);
		else if (rc == 0)
			err_set(e, ERR_TIMEOUT, "agent %s did not answer in %d s", agent, ANSWER_MS / 1000);
	}
	local_close(l);
	if (o && strcmp(json_text(o, "type"), "error") == 0) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "error");

		err_set(e, err_code_parse(json_text(v, "code")), "%s", json_text(v, "message"));
		cJSON_Delete(o);
		o = NULL;
	}
	return o;
}

static cJSON *
ask_first(const struct config *c, const struct config_names *agents, const struct buf *request, const char **who, struct err *e)
{
	for (size_t i = 0; i < agents->n; i++) {
		cJSON *o = ask_one(c, *who = agents->v[i], request, e);

		/* An answer, though it says no, is one. */
		if (o || (e->code != ERR_NETWORK && e->code != ERR_TIMEOUT))
			return o;
	}
	return NULL;
}

cJSON *
ask_agent(const struct config *c, const char *agent, const char *house, const struct buf *request, const char **who, struct err *e)
{
	const struct config_house *home = house ? config_house_find(c, house) : NULL;
	cJSON *o = NULL;

	if (agent) {
		*who = agent;
		return ask_one(c, agent, request, e);
	}
	err_set(e, ERR_NETWORK, "no agent answers here, in %s", c->run_dir);
	if (home && ((o = ask_first(c, &home->agents, request, who, e)) || (e->code != ERR_NETWORK && e->code != ERR_TIMEOUT)))
		return o;
	for (size_t i = 0; i <= c->nhouses; i++) {
		if (i < c->nhouses && &c->houses[i] == home)
			continue;
		o = ask_first(c, i < c->nhouses ? &c->houses[i].agents : &c->routers, request, who, e);
		if (o || (e->code != ERR_NETWORK && e->code != ERR_TIMEOUT))
			return o;
	}
	err_set(e, ERR_NETWORK, "no agent answers here, in %s", c->run_dir);
	return NULL;
}
