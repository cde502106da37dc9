#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "doctor.h"
#include "json.h"

#define SUBJECTS_MAX 64
#define WARNINGS_MAX 32

/* What it is asked about. */
enum per {
	PER_HOST,
	PER_FIRST,              /* of the subjects: one is enough to ask a broker */
	PER_SUBJECT,
	PER_AGENT,              /* a subject that lives here as an agent */
	PER_PERSON,
};

#define CHECKS(X)                                                                                  \
	X(CONFIG,    "configuration", PER_HOST,    5,  0, doctor_config)                           \
	X(IDENTITY,  "identity",      PER_SUBJECT, 5,  IN(CONFIG), doctor_identity)                \
	X(AUTHORITY, "authority",     PER_HOST,    10, IN(CONFIG), doctor_cert)                    \
	X(CERT,      "certificate",   PER_SUBJECT, 10, IN(CONFIG) | IN(AUTHORITY), doctor_cert)    \
	X(CRL,       "revocation",    PER_HOST,    10, IN(CONFIG) | IN(AUTHORITY), doctor_crl)     \
	X(BROKER,    "broker",        PER_SUBJECT, 60, IN(CONFIG) | IN(AUTHORITY) | IN(CERT), doctor_broker) \
	X(ACL,       "access",        PER_SUBJECT, 45, IN(CONFIG) | IN(IDENTITY) | IN(BROKER), doctor_acl) \
	X(SETTINGS,  "settings",      PER_FIRST,   30, IN(CONFIG) | IN(IDENTITY) | IN(BROKER) | IN(ACL), doctor_settings) \
	X(AGENT,     "agent",         PER_AGENT,   15, IN(CONFIG) | IN(BROKER), doctor_agent)      \
	X(LEFT,      "processes",     PER_AGENT,   15, IN(CONFIG), doctor_left)                    \
	X(PEERS,     "cluster",       PER_FIRST,   20, IN(CONFIG) | IN(IDENTITY) | IN(BROKER) | IN(ACL), doctor_peers) \
	X(DISK,      "disk",          PER_HOST,    20, IN(CONFIG), doctor_disk)                    \
	X(STORE,     "store",         PER_AGENT,   40, IN(CONFIG) | IN(DISK), doctor_store)        \
	X(OUTBOX,    "outbox",        PER_PERSON,  10, IN(CONFIG) | IN(DISK), doctor_outbox)       \
	X(TOOLS,     "tools",         PER_HOST,    20, IN(CONFIG), doctor_tools)                   \
	X(SYNC,      "sharing",       PER_HOST,    20, IN(CONFIG), doctor_sync)                    \
	X(SOVEREIGN, "sovereign",     PER_HOST,    10, IN(CONFIG), doctor_sovereign)               \
	X(UNIT,      "service",       PER_HOST,    15, 0, doctor_unit)

enum check {
#define X(sym, name, per, limit_s, needs, run) CHECK_##sym,
	CHECKS(X)
#undef X
	NCHECKS
};

#define IN(sym) (1u << CHECK_##sym)

/* In the order in which one explains the next: what is wrong is told once, not also by what follows from it. */
static const struct check_row {
	const char *name;
	enum per per;
	int limit_s;
	unsigned needs;         /* nothing may be wrong in these, for the host or the subject */
	void (*run)(struct doctor *d);
} checks[NCHECKS] = {
#define X(sym, name, per, limit_s, needs, run) [CHECK_##sym] = { name, per, limit_s, needs, run },
	CHECKS(X)
#undef X
};

struct subject {
	config_name name;
	bool is_agent;
	unsigned wrong;         /* checks, by bit; also those that could not be made for it */
};

struct examination {
	const struct cmd_args *a;
	struct config config;
	struct err config_err;
	bool loaded;
	char *warnings[WARNINGS_MAX];
	size_t nwarnings;
	char broker_dir[600];
	struct subject subjects[SUBJECTS_MAX];
	size_t nsubjects;
	unsigned wrong_host;
	struct buf json;
	int count[DOCTOR_WRONG + 1];
	/* the check that goes on */
	enum check check;
	struct subject *subject;        /* NULL: the host */
	int64_t begun_ms;
};

static const struct {
	const char *word, *color;
} statuses[] = {
	[DOCTOR_WELL] = { "well", "green" }, [DOCTOR_NOTE] = { "note", "yellow" }, [DOCTOR_SKIPPED] = { "skipped", "dim" },
	[DOCTOR_WRONG] = { "wrong", "red" },
};

/* ---- telling ---- */

static void
print_said(const struct examination *x, const struct doctor_said *s)
{
	const char *finding = s->status == DOCTOR_WRONG ? doctor_rows[s->finding].name : "";

	printf("%s%-8s%s %-13s %-10s %s%s%s\n", cmd_color(STDOUT_FILENO, statuses[s->status].color), statuses[s->status].word,
	    cmd_color(STDOUT_FILENO, "reset"), checks[x->check].name, x->subject ? x->subject->name : "", finding,
	    *finding ? ": " : "", s->text);
	if (s->mend[0])
		printf("%34smend: %s\n", "", s->mend);
	fflush(stdout);
}

static void
put_said(struct examination *x, const struct doctor_said *s)
{
	struct buf *b = &x->json;

	json_put_open(b, '{');
	json_kv_str(b, "check", checks[x->check].name);
	json_kv_str(b, "subject", x->subject ? x->subject->name : NULL);
	json_kv_str(b, "status", statuses[s->status].word);
	if (s->status == DOCTOR_WRONG) {
		json_kv_str(b, "finding", doctor_rows[s->finding].name);
		json_kv_str(b, "about", s->about);
		json_kv_str(b, "mend", s->mend);
	}
	json_kv_str(b, "text", s->text);
	json_kv_int(b, "ms", clock_mono_ms() - x->begun_ms);
	json_put_close(b, '}');
}

static void
note_wrong(struct examination *x)
{
	unsigned *wrong = x->subject ? &x->subject->wrong : &x->wrong_host;

	*wrong |= 1u << x->check;
}

static void
said(void *arg, const struct doctor_said *s)
{
	struct examination *x = arg;

	x->count[s->status]++;
	if (s->status == DOCTOR_WRONG)
		note_wrong(x);
	if (x->a->json)
		put_said(x, s);
	else
		print_said(x, s);
}

static void
say_skipped(struct examination *x, const char *fmt, const char *what)
{
	struct doctor_said s = { .status = DOCTOR_SKIPPED };

	snprintf(s.text, sizeof s.text, fmt, what);
	said(x, &s);
}

/* ---- examining ---- */

static void
examine(struct examination *x, enum check check, struct subject *subject)
{
	const struct check_row *row = &checks[check];
	struct doctor d = { .config_path = config_path(x->a->config), .config = x->loaded ? &x->config : NULL,
		.config_err = &x->config_err, .warnings = x->warnings, .nwarnings = x->nwarnings,
		.subject = subject ? subject->name : "", .is_agent = subject && subject->is_agent,
		.broker_dir = x->broker_dir[0] ? x->broker_dir : NULL };
	unsigned missing = row->needs & (x->wrong_host | (subject ? subject->wrong : 0));

	x->check = check;
	x->subject = subject;
	x->begun_ms = clock_mono_ms();
	for (int i = 0; i < NCHECKS; i++)
		/* What is merely odd in houses.yaml stops nothing. */
		if (missing & 1u << i && !(i == CHECK_CONFIG && x->loaded)) {
			say_skipped(x, "first mend what is wrong with: %s", checks[i].name);
			note_wrong(x);
			return;
		}
	doctor_run(&d, row->name, row->run, row->limit_s * 1000, said, x);
}

static bool
is_asked(enum per per, const struct subject *s, size_t i)
{
	switch (per) {
	case PER_HOST:
		return false;
	case PER_FIRST:
		return i == 0;
	case PER_SUBJECT:
		return true;
	case PER_AGENT:
		return s->is_agent;
	case PER_PERSON:
		return !s->is_agent;
	}
	return false;
}

static void
examine_all(struct examination *x)
{
	for (int c = 0; c < NCHECKS; c++) {
		if (checks[c].per == PER_HOST)
			examine(x, (enum check)c, NULL);
		for (size_t i = 0; i < x->nsubjects; i++)
			if (is_asked(checks[c].per, &x->subjects[i], i))
				examine(x, (enum check)c, &x->subjects[i]);
		if (c == CHECK_CONFIG && x->loaded && x->nsubjects == 0)
			say_skipped(x, "no certificate of anybody is in %s: nobody's rights are tried", x->config.pki_dir);
	}
}

/* ---- whom ---- */

static void
subject_add(struct examination *x, const char *name)
{
	struct subject *s = &x->subjects[x->nsubjects];

	if (x->nsubjects == SUBJECTS_MAX)
		return;
	*s = (struct subject){ .is_agent = config_identity_kind(&x->config, name) == IDENTITY_AGENT };
	snprintf(s->name, sizeof s->name, "%.*s", (int)sizeof s->name - 1, name);
	x->nsubjects++;
}

static bool
has_file(const char *dir, const char *name, const char *suffix)
{
	char path[700];

	snprintf(path, sizeof path, "%.600s/%s%s", dir, name, suffix);
	return access(path, F_OK) == 0;
}

/* Who is named; else who lives here: a person whose certificate or key does, and agents with a database. */
static void
subjects_find(struct examination *x)
{
	const char *one = cmd_text(x->a, "agent", x->a->identity);
	size_t n = config_voters(&x->config, NULL, 0);
	config_name *names;
	bool here = false;

	if (one) {
		subject_add(x, one);
		return;
	}
	names = xcalloc(n, sizeof *names);
	config_voters(&x->config, names, n);
	for (size_t i = 0; i < n; i++)
		here |= has_file(x->config.state_dir, names[i], ".db");
	if (!here || has_file(x->config.pki_dir, x->config.identity, ".crt") ||
	    has_file(x->config.pki_dir, x->config.identity, ".key"))
		subject_add(x, x->config.identity);
	for (size_t i = 0; i < n; i++)
		if (has_file(x->config.state_dir, names[i], ".db") && strcmp(names[i], x->config.identity) != 0)
			subject_add(x, names[i]);
	free(names);
}

static void
keep_warning(const char *msg, void *arg)
{
	struct examination *x = arg;

	if (x->nwarnings < WARNINGS_MAX)
		x->warnings[x->nwarnings++] = xstrdup(msg);
}

/* `cluster up` puts the first broker's files beside houses.yaml. */
static void
broker_dir_find(struct examination *x)
{
	const char *given = cmd_text(x->a, "broker", NULL), *end = strrchr(x->config.path, '/');

	if (given)
		snprintf(x->broker_dir, sizeof x->broker_dir, "%.599s", given);
	else if (end)
		snprintf(x->broker_dir, sizeof x->broker_dir, "%.*s/broker", (int)(end - x->config.path), x->config.path);
	if (!given && !has_file(x->broker_dir, "mosquitto", ".conf"))
		x->broker_dir[0] = '\0';
}

static void
load(struct examination *x)
{
	x->loaded = config_load(&x->config, config_path(x->a->config), keep_warning, x, &x->config_err) == 0;
	if (!x->loaded)
		return;
	if (x->a->identity)
		snprintf(x->config.identity, sizeof x->config.identity, "%s", x->a->identity);
	subjects_find(x);
	broker_dir_find(x);
}

static void
finish(struct examination *x)
{
	int wrong = x->count[DOCTOR_WRONG];

	if (x->a->json) {
		json_put_close(&x->json, ']');
		json_kv_bool(&x->json, "ok", wrong == 0);
		json_put_close(&x->json, '}');
		puts(buf_str(&x->json));
	} else if (wrong) {
		printf("%s%d thing%s wrong%s\n", cmd_color(STDOUT_FILENO, "red"), wrong, wrong == 1 ? " is" : "s are",
		    cmd_color(STDOUT_FILENO, "reset"));
	} else {
		printf("%sall is well%s: %d looked at, %d to note, %d skipped\n", cmd_color(STDOUT_FILENO, "green"),
		    cmd_color(STDOUT_FILENO, "reset"), x->count[DOCTOR_WELL], x->count[DOCTOR_NOTE], x->count[DOCTOR_SKIPPED]);
	}
}

static int
print_table(void)
{
	struct buf b = { 0 };

	doctor_markdown(&b);
	fputs(buf_str(&b), stdout);
	buf_free(&b);
	return EXIT_OK;
}

static int
doctor_exec(const struct cmd_args *a)
{
	const char *name = cmd_text(a, "agent", a->identity);
	struct examination *x;
	int rc;

	if (cmd_flag(a, "findings"))
		return print_table();
	if (name && !name_ok(name))
		return cmd_fail(EXIT_USAGE, "%s: expected a name ([a-z0-9-], at most %d), got %.60s",
		    cmd_text(a, "agent", NULL) ? "--agent" : "--as", NAME_MAX_LEN, name);
	x = xcalloc(1, sizeof *x);
	x->a = a;
	json_put_open(&x->json, '{');
	json_put_key(&x->json, "results");
	json_put_open(&x->json, '[');
	load(x);
	examine_all(x);
	finish(x);
	rc = x->count[DOCTOR_WRONG] ? EXIT_NOT_SUCCEEDED : EXIT_OK;
	for (size_t i = 0; i < x->nwarnings; i++)
		free(x->warnings[i]);
	if (x->loaded)
		config_release(&x->config);
	buf_free(&x->json);
	free(x);
	return rc;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.help = "Look at everything this host needs, and say what is wrong and how to mend it",
	.more = "Changes nothing. Looks at houses.yaml, certificates, brokers, the access list line by line, clocks, the disk, databases,\n"
	        "tools, keys and services: for the identity of the command line, if its certificate is here, and for each agent that\n"
	        "lives on this host; with --as or --agent for that one alone. What does not apply is skipped, with the reason. Each\n"
	        "check ends in bounded time.\n"
	        "Every finding has a name; docs/TROUBLESHOOTING.md has them all. Exit code 0: all is well; 1: something is wrong.",
	.opts = (const struct cmd_opt[]){
		{ .name = "agent", .kind = OPT_TEXT, .arg = "ID", .complete = "agents", .help = "look at this agent alone" },
		{ .name = "broker", .kind = OPT_TEXT, .arg = "DIR", .complete = "files",
		  .help = "where mosquitto.conf and acl of this host's broker are (else broker/ beside houses.yaml)" },
		{ .name = "findings", .kind = OPT_FLAG, .help = "print what can be found, as a Markdown table, and look at nothing" },
		{ .name = NULL } },
	.flags = CMD_JSON,
	.run = doctor_exec,
};
