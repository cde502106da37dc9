/*
 * cluster_sovereign.c - the sovereign of a cluster on this machine: his key is made with it, and a first policy that
 * asks for nothing but what the houses' roles mean. Both are the user's from then on.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cluster_impl.h"
#include "edict.h"
#include "json.h"
#include "local.h"

#define ANSWER_MS 5000

int
cluster_key_make(const char *dir, struct buf *yaml, struct err *e)
{
	char *path = cluster_path(dir, "pki/sovereign.key"), text[SIGN_TEXT];
	struct sign_key *k = sign_key_new();
	int rc = sign_key_save(k, path, NULL, e);

	if (rc && e->code == ERR_CONFLICT) {
		sign_key_free(k);
		k = sign_key_load(path, NULL, e);
		rc = k ? 0 : -1;
	}
	if (rc == 0) {
		sign_public_format(sign_key_public(k), text);
		buf_addf(yaml, "# Whose word counts; the private half is pki/sovereign.key: `uni-wizard key --help`.\n"
		    "sovereign_keys: [\"%s\"]\n", text);
	}
	sign_key_free(k);
	free(path);
	return rc;
}

/* One line of the agent's answer: 1: it was the last, 0: there are more. */
static int
take_line(const char *agent, const char *line, size_t len, bool *has, struct err *e)
{
	cJSON *o = json_parse_object(line, len, e);
	const char *type = json_text(o, "type");
	int rc = !o ? -1 : strcmp(type, "end") == 0;

	if (strcmp(type, "error") == 0)
		rc = err_set(e, ERR_DENIED, "%s: %s", agent,
		    json_text(cJSON_GetObjectItemCaseSensitive(o, "error"), "message"));
	*has |= strcmp(type, "signed") == 0 && strcmp(json_text(o, "kind"), "policy") == 0;
	cJSON_Delete(o);
	return rc;
}

/* Whether it holds a policy, after what the request brings. */
static int
ask(const struct cluster *c, const char *agent, const struct buf *request, bool *has, struct err *e)
{
	struct buf path = { 0 };
	struct local *l = NULL;
	char *line;
	size_t len;
	int rc;

	*has = false;
	buf_addf(&path, "%s/%s.sock", c->config->run_dir, agent);
	rc = local_open(&l, path.data, ANSWER_MS, e) || local_send(l, request->data, request->len, ANSWER_MS, e) ? -1 : 0;
	while (rc == 0) {
		int got = local_read(l, ANSWER_MS, &line, &len, e);

		rc = got == 1 ? take_line(agent, line, len, has, e) : got == 0
		    ? err_set(e, ERR_TIMEOUT, "%s does not say what it holds", agent) : -1;
	}
	local_close(l);
	buf_free(&path);
	return rc < 0 ? -1 : 0;
}

static int
seal_first(const struct cluster *c, struct buf *request, struct err *e)
{
	cJSON *members = edict_first_policy(c->config);
	struct sign_key *k = sign_key_load(c->config->sovereign_key, NULL, e);
	struct buf line = { 0 };
	int rc;

	cJSON_AddNumberToObject(members, "n", 1);
	cJSON_AddNumberToObject(members, "time", (double)clock_wall_ms());
	rc = k ? sovereign_seal(&line, SOVEREIGN_POLICY, c->config->cluster, members, k, e) : -1;
	if (rc == 0) {
		json_put_open(request, '{');
		json_kv_str(request, "op", "signed");
		json_kv_str(request, "envelope", line.data);
		json_put_close(request, '}');
	}
	buf_free(&line);
	sign_key_free(k);
	cJSON_Delete(members);
	return rc;
}

/* Agents pass on to each other what one of them has: only where nobody has a policy it is the first. */
int
cluster_policy_begin(const struct cluster *c, struct err *e)
{
	struct buf question = { 0 }, request = { 0 };
	size_t n = cluster_count(c);
	bool any = false, has;
	int rc = 0;

	if (!c->config->sovereign_keys.n)
		return 0;
	buf_adds(&question, "{\"op\":\"signed\"}");
	for (size_t i = c->nbrokers; i < n && rc == 0 && !any; i++)
		rc = ask(c, member_name(c, i), &question, &any, e);
	if (rc == 0 && !any)
		rc = seal_first(c, &request, e);
	for (size_t i = c->nbrokers; i < n && rc == 0 && !any; i++)
		rc = ask(c, member_name(c, i), &request, &has, e);
	buf_free(&question);
	buf_free(&request);
	return rc ? err_wrap(e, "no policy is signed yet, so nothing starts: `uni-wizard policy sign`") : 0;
}
