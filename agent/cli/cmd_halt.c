/*
 * cmd_halt.c - halt, resume: nothing starts in the cluster, in a house, or by a tool.
 *
 * A halt is the whole state of what is halted, so each is made from the newest that is known.
 */
#include "edict.h"
#include "json.h"
#include "policy.h"

#define OPT_HOUSE(text) { .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses", .help = text }
#define OPT_TOOL(text) { .name = "tool", .kind = OPT_TEXT, .arg = "T", .complete = "tools", .help = text }
#define OPT_END { .name = NULL }

/* What the options mean. */
struct scope {
	const char *kind;               /* "cluster", "house", "tool" */
	const char *name;               /* NULL for the cluster */
};

static int
scope_read(const struct cmd_args *a, const struct edict *x, struct scope *s)
{
	const char *house = cmd_text(a, "house", NULL), *tool = cmd_text(a, "tool", NULL);

	if (house && tool)
		return cmd_fail(EXIT_USAGE, "--house and --tool: one of them; two halts may stand beside each other");
	*s = house ? (struct scope){ "house", house } : tool ? (struct scope){ "tool", tool } : (struct scope){ "cluster", NULL };
	return house ? remote_check_house(&x->r, house) : 0;
}

static bool
is_same(const cJSON *entry, const struct scope *s)
{
	return strcmp(json_text(entry, "scope"), s->kind) == 0 && (!s->name || strcmp(json_text(entry, "name"), s->name) == 0);
}

/* The entries in force without that one (NULL: all of them); *found tells whether it was among them. */
static cJSON *
others(const struct known *k, const struct scope *except, bool *found)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *entry;

	*found = false;
	if (!k->halt.line)
		return list;
	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(k->halt.s.tree, "halts")) {
		bool same = is_same(entry, except);

		*found |= same;
		if (!same)
			cJSON_AddItemToArray(list, cJSON_Duplicate(entry, true));
	}
	return list;
}

static cJSON *
entry_of(const struct scope *s)
{
	cJSON *entry = cJSON_CreateObject();

	cJSON_AddStringToObject(entry, "scope", s->kind);
	if (s->name)
		cJSON_AddStringToObject(entry, "name", s->name);
	return entry;
}

/* Takes list. */
static int
give(struct edict *x, cJSON *list, const char *why)
{
	cJSON *members = cJSON_CreateObject();

	cJSON_AddItemToObject(members, "halts", list);
	cJSON_AddStringToObject(members, "why", why);
	return edict_send(x, SOVEREIGN_HALT, "current", members);
}

/* What still stands, for whoever lifts one of several. */
static void
print_halts(const struct edict *x)
{
	const struct halt *h = &x->known.halt.s.u.halt;
	char text[SOVEREIGN_WHY * 2];

	for (size_t i = 0; i < h->nhalts; i++) {
		halt_describe(&h->halts[i], h->why, text);
		print_foreign(text, "  ");
	}
}

static const struct cmd_opt halt_opts[] = {
	OPT_HOUSE("only this house"),
	OPT_TOOL("only this tool, in every house"),
	{ .name = "why", .kind = OPT_TEXT, .arg = "TEXT", .help = "the reason; whoever waits is told it" },
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

static int
halt_run(const struct cmd_args *a)
{
	const char *why = cmd_text(a, "why", NULL);
	struct scope s;
	struct edict x;
	char what[160];
	bool found;
	int rc;

	if (!why || !*why)
		return cmd_fail(EXIT_USAGE, "--why: expected the reason");
	if ((rc = edict_open(&x, a, true)))
		return rc;
	if (!(rc = scope_read(a, &x, &s))) {
		cJSON *list = others(&x.known, &s, &found);

		if (cmd_text(a, "tool", NULL))
			edict_warn_tool(&x.r.config, "--tool", s.name);
		cJSON_AddItemToArray(list, entry_of(&s));
		rc = give(&x, list, why);
	}
	if (!rc) {
		snprintf(what, sizeof what, "%s%s%.60s is halted (%lld): nothing starts there until it is resumed", s.kind,
		    s.name ? " " : "", s.name ? s.name : "", (long long)x.n);
		rc = edict_report(&x, what);
	}
	edict_close(&x);
	return rc;
}

const struct cmd cmd_halt = {
	.name = "halt",
	.help = "Let nothing start any more: in the cluster, in a house, or by a tool",
	.more = "What runs goes on; cancel it if it must not. Agents that are away obey when they come back, and a halt outlives the\n"
	        "restart of everything. Exit code 5 if an agent that is there does not hold it in time.",
	.opts = halt_opts,
	.flags = CMD_JSON,
	.run = halt_run,
};

static const struct cmd_opt resume_opts[] = {
	OPT_HOUSE("lift the halt of this house"),
	OPT_TOOL("lift the halt of this tool"),
	{ .name = "all", .kind = OPT_FLAG, .help = "lift every halt" },
	{ .name = "why", .kind = OPT_TEXT, .arg = "TEXT", .help = "the reason, if it is worth telling" },
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

/* The reason of what still stands stays, unless there is a new one. */
static int
lift(struct edict *x, const struct scope *s)
{
	const struct halt *h = &x->known.halt.s.u.halt;
	char why[SOVEREIGN_WHY];
	bool found, all = cmd_flag(x->a, "all");
	cJSON *list = others(&x->known, s, &found);

	if (all) {
		cJSON_Delete(list);
		list = cJSON_CreateArray();
	}
	if (!x->known.halt.line || h->nhalts == 0 || !(found || all)) {
		cJSON_Delete(list);
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no such halt is in force: %s%s%s", s->kind, s->name ? " " : "",
		    s->name ? s->name : "");
	}
	snprintf(why, sizeof why, "%s", cmd_text(x->a, "why", list->child ? h->why : "resumed"));
	return give(x, list, why);
}

static int
resume_run(const struct cmd_args *a)
{
	struct scope s;
	struct edict x;
	char what[64];
	int rc = edict_open(&x, a, true);

	if (rc)
		return rc;
	if (!(rc = scope_read(a, &x, &s)))
		rc = lift(&x, &s);
	if (!rc) {
		snprintf(what, sizeof what, "resumed (%lld)", (long long)x.n);
		rc = edict_report(&x, what);
		if (!a->json && x.known.halt.s.u.halt.nhalts)
			puts("what still stands:");
		if (!a->json)
			print_halts(&x);
	} else if (rc == EXIT_NOT_SUCCEEDED && !a->json && x.known.halt.line) {
		print_halts(&x);
	}
	edict_close(&x);
	return rc;
}

const struct cmd cmd_resume = {
	.name = "resume",
	.help = "Lift a halt: that of the cluster, of a house or of a tool, or all of them",
	.opts = resume_opts,
	.flags = CMD_JSON,
	.run = resume_run,
};
