#include "cluster.h"
#include "cmd.h"
#include "tool.h"

/* What a row's `complete` may name. Anything else is a list of words. */
#define CMD_OFFERS(X)                                                             \
	X(files,    "files and directories")                                      \
	X(houses,   "houses of the configuration")                                \
	X(agents,   "agents of the configuration")                                \
	X(hosts,    "hosts of the configuration")                                 \
	X(members,  "brokers and agents of a cluster on this machine")            \
	X(candidates, "those that may own the house which is the first argument") \
	X(people,   "every identity of the configuration")                        \
	X(tools,    "tools")                                                      \
	X(call,     "a tool, then its parameters as key=")                        \
	X(scheduled, "a name of one's own, then as call")                         \
	X(parameters, "parameters of the tool that --tool names")                 \
	X(alerts,   "alerts that may be raised")                                  \
	X(devices,  "devices that share files")                                   \
	X(commands, "commands")

struct asking {
	const struct cmd *cmd;
	const char *current;            /* the word under the cursor, as far as it is typed */
	const char *prefix;             /* "--house=": put in front of each answer */
	const char *config_path;
	int nargs;                      /* arguments before the word under the cursor */
	const char *first, *second;     /* of them */
	const char *tool;               /* value of --tool */
};

/* One answer a line; the shells show what follows the tab. */
static void
offer(const struct asking *q, const char *word, const char *end, const char *help)
{
	if (strncmp(word, q->current, strlen(q->current)) == 0)
		printf("%s%s%s\t%s\n", q->prefix, word, end, help ? help : "");
}

static struct config *
config_quiet(const struct asking *q)
{
	struct config *c = xcalloc(1, sizeof *c);
	static const char none[] = "houses: {timmy: }\n";

	if (config_load(c, config_path(q->config_path), NULL, NULL, NULL) &&
	    config_parse(c, "none", none, sizeof none - 1, NULL, NULL, NULL))
		abort();
	return c;
}

static void
config_done(struct config *c)
{
	config_release(c);
	free(c);
}

static void
offer_files(const struct asking *q)
{
	(void)q;
	puts(":files");
}

static void
offer_houses(const struct asking *q)
{
	struct config *c = config_quiet(q);

	for (size_t i = 0; i < c->nhouses; i++)
		offer(q, c->houses[i].name, "", c->houses[i].role);
	config_done(c);
}

static void
offer_agents(const struct asking *q)
{
	struct config *c = config_quiet(q);

	for (size_t i = 0; i < c->nhouses; i++)
		for (size_t k = 0; k < c->houses[i].agents.n; k++)
			offer(q, c->houses[i].agents.v[k], "", c->houses[i].name);
	for (size_t i = 0; i < c->routers.n; i++)
		offer(q, c->routers.v[i], "", "router");
	for (size_t i = 0; i < c->witnesses.n; i++)
		offer(q, c->witnesses.v[i], "", "witness");
	config_done(c);
}

/* With brokers under the names that they have among the daemons. */
static void
offer_hosts(const struct asking *q)
{
	struct config *c = config_quiet(q);

	for (size_t i = 0; i < c->nhosts; i++)
		offer(q, c->hosts[i].name, "", c->hosts[i].ssh);
	config_done(c);
}

static void
offer_members(const struct asking *q)
{
	struct config *c = config_quiet(q);
	char name[32];

	for (size_t i = 0; i < c->nbrokers; i++) {
		snprintf(name, sizeof name, i ? CLUSTER_BROKER "-%zu" : CLUSTER_BROKER, i + 1);
		offer(q, name, "", "broker");
	}
	config_done(c);
	offer_agents(q);
}

static void
offer_candidates(const struct asking *q)
{
	struct config *c = config_quiet(q);
	const struct config_names *names = config_candidates(c, q->first ? q->first : "");

	for (size_t i = 0; names && i < names->n; i++)
		offer(q, names->v[i], "", q->first);
	config_done(c);
	if (!names)
		offer_agents(q);
}

static void
offer_alerts(const struct asking *q)
{
	for (int k = 0; k < ALERT_COUNT; k++)
		offer(q, alert_rules[k].name, "", alert_rules[k].what);
}

static void
offer_devices(const struct asking *q)
{
	struct config *c = config_quiet(q);

	for (size_t i = 0; i < c->ndevices; i++)
		offer(q, c->devices[i].name, "", c->devices[i].address);
	config_done(c);
}

static void
offer_people(const struct asking *q)
{
	struct config *c = config_quiet(q);
	const char *names[512];
	size_t n = config_identities(c, names, sizeof names / sizeof *names);

	for (size_t i = 0; i < n; i++)
		offer(q, names[i], "", "");
	config_done(c);
}

static void
offer_tools(const struct asking *q)
{
	struct config *c = config_quiet(q);
	struct registry *r = registry_new(c, NULL, NULL);

	for (size_t i = 0; i < registry_count(r); i++)
		offer(q, registry_at(r, i)->name, "", registry_at(r, i)->summary);
	registry_free(r);
	config_done(c);
}

static void
offer_keys(const struct asking *q, const char *tool)
{
	struct config *c = config_quiet(q);
	struct registry *r = registry_new(c, NULL, NULL);
	const struct tool *t = registry_find(r, tool);
	cJSON *schema = t ? json_parse(t->schema, strlen(t->schema), NULL) : NULL;
	const cJSON *p;

	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
		offer(q, p->string, "=",
		    cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "description")));
	cJSON_Delete(schema);
	registry_free(r);
	config_done(c);
}

static void
offer_call(const struct asking *q)
{
	if (q->nargs == 0)
		offer_tools(q);
	else if (!strchr(q->current, '='))
		offer_keys(q, q->first);
}

static void
offer_scheduled(const struct asking *q)
{
	if (q->nargs == 1)
		offer_tools(q);
	else if (q->nargs > 1 && !strchr(q->current, '='))
		offer_keys(q, q->second);
}

static void
offer_parameters(const struct asking *q)
{
	if (q->tool && !strchr(q->current, '='))
		offer_keys(q, q->tool);
}

/* Commands that go on from the words that stand already ("task" -> list, show). */
static void
offer_next_word(const struct asking *q, int argc, char *const *argv)
{
	char word[64], last[64] = "";

	for (const struct cmd *const *c = commands; *c; c++) {
		const char *p = (*c)->name;
		int i = 0;

		if (!(*c)->run || ((*c)->flags & CMD_HIDDEN))
			continue;
		for (; i < argc && strncmp(p, argv[i], strlen(argv[i])) == 0 && p[strlen(argv[i])] == ' ';
		     i++)
			p += strlen(argv[i]) + 1;
		snprintf(word, sizeof word, "%.*s", (int)strcspn(p, " "), p);
		if (i < argc || strcmp(word, last) == 0)
			continue;
		offer(q, word, "", strchr(p, ' ') ? "" : (*c)->help);
		memcpy(last, word, sizeof last);
	}
}

static void
offer_commands(const struct asking *q)
{
	offer_next_word(q, 0, NULL);
}

static void
offer_words(const struct asking *q, const char *words)
{
	char word[64];

	while (*words) {
		size_t n = strcspn(words, " ");

		snprintf(word, sizeof word, "%.*s", (int)n, words);
		offer(q, word, "", "");
		words += n + strspn(words + n, " ");
	}
}

static void
offer_kind(const struct asking *q, const char *kind)
{
	static const struct {
		const char *kind;
		void (*offer)(const struct asking *q);
	} kinds[] = {
#define X(name, what) { #name, offer_##name },
		CMD_OFFERS(X)
#undef X
	};

	for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, kind) == 0) {
			kinds[i].offer(q);
			return;
		}
	if (kind)
		offer_words(q, kind);
}

static void
offer_options(const struct asking *q)
{
	char word[64];

	for (const struct cmd_opt *o = q->cmd ? q->cmd->opts : NULL; o && o->name; o++) {
		snprintf(word, sizeof word, "--%s", o->name);
		offer(q, word, "", o->help);
	}
	for (const struct cmd_opt *o = common_opts; o->name; o++) {
		snprintf(word, sizeof word, "--%s", o->name);
		if (!q->cmd || cmd_takes(q->cmd, o))
			offer(q, word, "", o->help);
	}
}

static const struct cmd_opt *
option_of(const struct cmd *c, const char *word)
{
	return strncmp(word, "--", 2) == 0 ? cmd_opt_find(c, word + 2, strcspn(word + 2, "=")) : NULL;
}

/* Values that decide what else can be offered. */
static void
keep_value(struct asking *q, const struct cmd_opt *o, const char *value)
{
	if (strcmp(o->name, "config") == 0)
		q->config_path = value;
	else if (strcmp(o->name, "tool") == 0)
		q->tool = value;
}

/* Goes over the words before the cursor as the program would; returns the option that waits for its
 * value, if one does. */
static const struct cmd_opt *
read_before(struct asking *q, int argc, char **argv)
{
	const struct cmd_opt *waits = NULL;

	for (int i = 0; i < argc; i++) {
		const struct cmd_opt *o = option_of(q->cmd, argv[i]);
		const char *value = strchr(argv[i], '=');

		if (waits) {
			keep_value(q, waits, argv[i]);
			waits = NULL;
		} else if (o && o->kind != OPT_FLAG && !value) {
			waits = o;
		} else if (o && value) {
			keep_value(q, o, value + 1);
		} else if (argv[i][0] != '-') {
			q->first = q->nargs ? q->first : argv[i];
			q->second = q->nargs++ == 1 ? argv[i] : q->second;
		}
	}
	return waits;
}

/* bash cuts words at '=': "--house", "=", "ti". Such a value is answered without the option. */
static int
drop_equals(char **argv, int argc)
{
	static char empty[] = "";
	int n = 0;

	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "=") != 0)
			argv[n++] = argv[i];
		else if (i + 1 == argc)
			argv[n++] = empty;
	return n;
}

static void
answer(struct asking *q, const struct cmd_opt *waits)
{
	const struct cmd_opt *o = option_of(q->cmd, q->current);
	const char *value = strchr(q->current, '=');
	char prefix[64];

	if (waits) {
		offer_kind(q, waits->complete);
	} else if (o && value) {
		snprintf(prefix, sizeof prefix, "--%s=", o->name);
		q->prefix = prefix;
		q->current = value + 1;
		offer_kind(q, o->complete);
		q->prefix = "";
	} else if (q->current[0] == '-') {
		offer_options(q);
	} else if (q->cmd) {
		offer_kind(q, q->cmd->complete);
	}
}

static int
complete_run(const struct cmd_args *a)
{
	struct asking q = { .current = "", .prefix = "" };
	char **argv = a->argv;
	int used = 0, argc;
	const struct cmd_opt *waits;

	if (a->argc && strcmp(argv[0], "--") == 0)
		argv++;
	argc = drop_equals(argv, a->argc - (int)(argv - a->argv));
	if (argc > 0)
		q.current = argv[--argc];
	q.cmd = cmd_find(argc, argv, &used);
	waits = read_before(&q, argc - used, argv + used);
	if (!q.cmd && !waits && q.current[0] != '-')
		offer_next_word(&q, argc, argv);
	else
		answer(&q, waits);
	return EXIT_OK;
}

const struct cmd cmd_complete = {
	.name = "complete",
	.args = "-- WORD...",
	.help = "Say what could stand in place of the last word; asked by the shells",
	.max_args = -1,
	.flags = CMD_HIDDEN | CMD_NO_CONFIG | CMD_RAW,
	.run = complete_run,
};
