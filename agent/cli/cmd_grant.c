/*
 * cmd_grant.c - grant add, list, revoke: standing leave for tasks that would need approval one by one.
 *
 * Each grant lists all that are in force with it, so an agent knows from the newest one which others it must have.
 */
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "params.h"
#include "policy.h"

#define OPT_END { .name = NULL }

/* Those in force, without the one named. */
static cJSON *
live_others(const struct known *k, const char *except)
{
	const struct known_object *newest = known_newest_grant(k);
	cJSON *list = cJSON_CreateArray();
	int64_t now = clock_wall_ms();

	for (size_t i = 0; newest && i < newest->s.u.grant.nlive; i++) {
		const struct grant_live *l = &newest->s.u.grant.live[i];
		const struct known_object *g = known_grant(k, l->id);
		cJSON *one;

		if (strcmp(l->id, except) == 0 || (g && g->s.n == l->n && now >= g->s.u.grant.expires_ms))
			continue;
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "id", l->id);
		cJSON_AddNumberToObject(one, "n", (double)l->n);
		cJSON_AddItemToArray(list, one);
	}
	return list;
}

/* Takes members; its list of the living is put in. */
static int
give(struct edict *x, const char *id, cJSON *members, bool revoked)
{
	cJSON *live = live_others(&x->known, id);

	if (!revoked) {
		cJSON *self = cJSON_CreateObject();

		cJSON_AddStringToObject(self, "id", id);
		cJSON_AddNumberToObject(self, "n", (double)(known_highest(&x->known, SOVEREIGN_GRANT) + 1));
		cJSON_AddItemToArray(live, self);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(members, "live");
	cJSON_DeleteItemFromObjectCaseSensitive(members, "revoked");
	cJSON_AddItemToObject(members, "live", live);
	cJSON_AddBoolToObject(members, "revoked", revoked);
	return edict_send(x, SOVEREIGN_GRANT, id, members);
}

/* grant add */

static const struct cmd_opt add_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses", .help = "the house (required)" },
	{ .name = "tool", .kind = OPT_TEXT, .arg = "T", .complete = "tools",
	  .help = "the tool, or a pattern such as \"git_*\" (required)" },
	{ .name = "sender", .kind = OPT_TEXT, .arg = "LIST", .complete = "people",
	  .help = "only tasks of these, with commas between them (default: anybody's)" },
	{ .name = "count", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = 1000000,
	  .help = "so many tasks (default 1)" },
	{ .name = "for", .kind = OPT_TEXT, .arg = "TIME", .help = "ends after 30m, 12h, 7d (default 1h)" },
	{ .name = "from", .kind = OPT_TEXT, .arg = "TIME", .help = "begins at this time (RFC 3339; default: now)" },
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

static int
add_times(const struct cmd_args *a, cJSON *o)
{
	const char *from = cmd_text(a, "from", NULL), *length = cmd_text(a, "for", "1h");
	int64_t begin = clock_wall_ms(), ms = duration_ms(length);
	struct err e = { 0 };

	if (from && clock_parse(from, &begin, &e))
		return cmd_fail(EXIT_USAGE, "--from: %s", e.msg);
	if (ms < 0)
		return cmd_fail(EXIT_USAGE, "--for: expected a time such as 30m, 12h or 7d, got \"%.40s\"", length);
	cJSON_AddNumberToObject(o, "not_before", (double)begin);
	cJSON_AddNumberToObject(o, "expires", (double)(begin + ms));
	return 0;
}

static void
add_senders(const struct cmd_args *a, cJSON *o)
{
	char *list = xstrdup(cmd_text(a, "sender", "")), *save;
	cJSON *senders = *list ? cJSON_AddArrayToObject(o, "senders") : NULL;

	for (char *s = strtok_r(list, ", ", &save); s; s = strtok_r(NULL, ", ", &save))
		cJSON_AddItemToArray(senders, cJSON_CreateString(s));
	free(list);
}

static int
add_params(const struct cmd_args *a, cJSON *o)
{
	struct err e = { 0 };
	cJSON *params;

	if (a->argc < 2)
		return 0;
	params = params_read(a->argc - 1, a->argv + 1, NULL, &e);
	if (!params)
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	cJSON_AddItemToObject(o, "params", params);
	return 0;
}

/* NULL with the error printed. */
static cJSON *
members_read(const struct cmd_args *a)
{
	const char *house = cmd_text(a, "house", NULL), *tool = cmd_text(a, "tool", NULL);
	cJSON *o;

	if (!house || !tool) {
		cmd_fail(EXIT_USAGE, "grant add: expected --house and --tool; a grant says what it is for");
		return NULL;
	}
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "id", a->argv[0]);
	cJSON_AddStringToObject(o, "house", house);
	cJSON_AddStringToObject(o, "tool", tool);
	cJSON_AddNumberToObject(o, "count", (double)cmd_int(a, "count", 1));
	add_senders(a, o);
	if (add_times(a, o) || add_params(a, o)) {
		cJSON_Delete(o);
		return NULL;
	}
	return o;
}

static int
add_run(const struct cmd_args *a)
{
	cJSON *members = members_read(a);
	struct edict x;
	char what[160];
	int rc;

	if (!members)
		return EXIT_USAGE;
	if ((rc = edict_open(&x, a, true))) {
		cJSON_Delete(members);
		return rc;
	}
	if ((rc = remote_check_house(&x.r, cmd_text(a, "house", NULL))))
		cJSON_Delete(members);
	else
		edict_warn_tool(&x.r.config, "--tool", cmd_text(a, "tool", ""));
	if (!rc && !(rc = give(&x, a->argv[0], members, false))) {
		snprintf(what, sizeof what, "grant %.32s (%lld) is in force until it expires, is used up or revoked", a->argv[0],
		    (long long)x.n);
		rc = edict_report(&x, what);
	}
	edict_close(&x);
	return rc;
}

const struct cmd cmd_grant_add = {
	.name = "grant add",
	.args = "ID [KEY=VALUE...]",
	.help = "Give leave to tasks that would need approval: a tool, a house, some parameters, so often and so long",
	.more = "ID is a name for it; one that is there is replaced, and what was used of its count stays used. Tasks must have each\n"
	        "parameter as it is given here, or, for texts, matching it where it has *; a * never reaches over \"..\".\n"
	        "KEY:=JSON for anything that is no text.",
	.opts = add_opts,
	.min_args = 1,
	.max_args = -1,
	.flags = CMD_JSON,
	.run = add_run,
};

/* grant list */

static const struct cmd_opt list_opts[] = {
	{ .name = "all", .letter = 'a', .kind = OPT_FLAG, .help = "those that have ended too" },
	OPT_END
};

static const char *
state_of(const struct known *k, const struct known_object *g, int64_t now)
{
	if (g->s.u.grant.revoked)
		return "revoked";
	if (now >= g->s.u.grant.expires_ms)
		return "expired";
	if (!known_grant_in_force(k, &g->s.u.grant, g->s.n, now))
		return "replaced";
	return now < g->s.u.grant.not_before_ms ? "not yet" : "in force";
}

static bool
is_listed(const struct cmd_args *a, const char *state)
{
	return cmd_flag(a, "all") || strcmp(state, "in force") == 0 || strcmp(state, "not yet") == 0;
}

static void
params_cell(struct table *t, const cJSON *params)
{
	struct buf b = { .max = 1000 };

	if (params)
		canonical_put(&b, params, NULL);
	table_cell(t, "%s", params ? buf_str(&b) : "any");
	buf_free(&b);
}

static void
senders_cell(struct table *t, const struct grant *g)
{
	struct buf b = { .max = 4000 };

	for (size_t i = 0; i < g->nsenders; i++)
		buf_addf(&b, "%s%s", i ? ", " : "", g->senders[i]);
	table_cell(t, "%s", g->nsenders ? buf_str(&b) : "anybody");
	buf_free(&b);
}

static void
list_text(const struct cmd_args *a, const struct known *k)
{
	static const char *const heads[] = { "ID", "N", "HOUSE", "TOOL", "PARAMETERS", "SENDERS", "COUNT", "ENDS", "STATE", NULL };
	struct table *t = table_new(heads);
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < k->ngrants; i++) {
		const struct grant *g = &k->grants[i].s.u.grant;
		const char *state = state_of(k, &k->grants[i], now);
		char when[40];

		if (!is_listed(a, state))
			continue;
		print_when(when, sizeof when, g->expires_ms, now);
		table_cell(t, "%s", g->id);
		table_cell(t, "%lld", (long long)k->grants[i].s.n);
		table_cell(t, "%s", g->house);
		table_cell(t, "%s", g->tool);
		params_cell(t, g->params);
		senders_cell(t, g);
		table_cell(t, "%lld", (long long)g->count);
		table_cell(t, "%s", when);
		table_cell(t, "%s", state);
	}
	table_print(t);
}

static void
list_json(const struct cmd_args *a, const struct known *k)
{
	struct buf b = { 0 };
	int64_t now = clock_wall_ms();

	json_put_open(&b, '[');
	for (size_t i = 0; i < k->ngrants; i++) {
		const char *state = state_of(k, &k->grants[i], now);

		if (!is_listed(a, state))
			continue;
		json_put_open(&b, '{');
		json_kv_str(&b, "state", state);
		json_put_key(&b, "grant");
		json_put_tree(&b, k->grants[i].s.tree);
		json_put_close(&b, '}');
	}
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
list_run(const struct cmd_args *a)
{
	struct edict x;
	int rc = edict_open(&x, a, false);

	if (rc)
		return rc;
	(a->json ? list_json : list_text)(a, &x.known);
	edict_close(&x);
	return 0;
}

const struct cmd cmd_grant_list = {
	.name = "grant list",
	.help = "List the standing grants",
	.opts = list_opts,
	.flags = CMD_JSON,
	.run = list_run,
};

/* grant revoke */

static const struct cmd_opt revoke_opts[] = { EDICT_PASSPHRASE, EDICT_WITHIN, OPT_END };

static int
take_back(struct edict *x, const char *id)
{
	const struct known_object *g = known_grant(&x->known, id);
	char what[160];
	int rc;

	if (!g)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no grant %.40s is known; `uni-wizard grant list` shows them", id);
	if (g->s.u.grant.revoked)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "grant %s is revoked already", id);
	if ((rc = give(x, id, cJSON_Duplicate(g->s.tree, true), true)))
		return rc;
	snprintf(what, sizeof what, "grant %.32s is revoked (%lld)", id, (long long)x->n);
	return edict_report(x, what);
}

static int
revoke_run(const struct cmd_args *a)
{
	struct edict x;
	int rc = edict_open(&x, a, true);

	if (rc)
		return rc;
	rc = take_back(&x, a->argv[0]);
	edict_close(&x);
	return rc;
}

const struct cmd cmd_grant_revoke = {
	.name = "grant revoke",
	.args = "ID",
	.help = "Take a standing grant back; tasks that started by it go on",
	.opts = revoke_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = revoke_run,
};
