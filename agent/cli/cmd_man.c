/*
 * cmd_man.c - manual pages, from the rows that --help shows: one of the program, one for each command or group of
 * them, and one of houses.yaml from the table of its keys.
 */
#include <ctype.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "roff.h"

#define PROGRAM "uni-wizard"
#define FILE_PAGE "houses.yaml"
#define NAME_SIZE 64

/* ---- which pages there are ---- */

static bool
is_shown(const struct cmd *c)
{
	return c->run && !(c->flags & CMD_HIDDEN);
}

/* The first word of a command's name: "task" of "task list". */
static const char *
group_of(const struct cmd *c, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%.*s", (int)strcspn(c->name, " "), c->name);
	return out;
}

static bool
is_in(const struct cmd *c, const char *group)
{
	char name[NAME_SIZE];

	return is_shown(c) && strcmp(group_of(c, name), group) == 0;
}

/* Whether no row before it has the same first word. */
static bool
is_first(const struct cmd *const *row)
{
	char name[NAME_SIZE];

	group_of(*row, name);
	for (const struct cmd *const *c = commands; c < row; c++)
		if (is_in(*c, name))
			return false;
	return is_shown(*row);
}

/* ---- what all pages have ---- */

/* Of the day of the sources if somebody says which (SOURCE_DATE_EPOCH), so that the same sources give the same pages. */
static void
put_head(struct buf *out, const char *title, int section)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	int64_t at_ms = epoch && *epoch ? strtoll(epoch, NULL, 10) * 1000 : clock_wall_ms();
	char date[32];

	clock_format(at_ms, date, sizeof date);
	buf_adds(out, ".TH ");
	for (const char *p = title; *p; p++)
		buf_addc(out, (char)toupper((unsigned char)*p));
	buf_addf(out, " %d %.10s \"Uni-Wizard " UW_VERSION "\" Uni-Wizard\n", section, date);
}

/* A sentence as a description: without its capital. */
static void
put_name(struct buf *out, const char *name, const char *what)
{
	char *lower = xstrdup(what);

	if (isupper((unsigned char)what[0]) && islower((unsigned char)what[1]))
		lower[0] = (char)tolower((unsigned char)what[0]);
	buf_adds(out, ".SH NAME\n");
	roff_literal(out, name);
	buf_adds(out, " \\-\n");
	roff_text(out, lower);
	free(lower);
}

/* A line in bold. */
static void
put_bold(struct buf *out, const char *macro, const char *first, const char *second)
{
	buf_addf(out, "%s ", macro);
	roff_literal(out, first);
	if (*second) {
		buf_addc(out, ' ');
		roff_literal(out, second);
	}
	buf_addc(out, '\n');
}

static void
put_usage(struct buf *out, const struct cmd *c)
{
	put_bold(out, ".B", PROGRAM, c->name);
	buf_adds(out, "[\\fIoptions\\fP]\n");
	if (c->args) {
		roff_args(out, c->args);
		buf_addc(out, '\n');
	}
}

static void
put_option(struct buf *out, const struct cmd_opt *o)
{
	buf_adds(out, ".TP\n");
	if (o->letter)
		buf_addf(out, "\\fB\\-%c\\fP, ", o->letter);
	buf_adds(out, "\\fB\\-\\-");
	roff_literal(out, o->name);
	buf_adds(out, "\\fP");
	if (o->arg)
		buf_addf(out, " \\fI%s\\fP", o->arg);
	buf_addc(out, '\n');
	roff_text(out, o->help);
}

static void
put_options(struct buf *out, const struct cmd_opt *opts)
{
	for (const struct cmd_opt *o = opts; o->name; o++)
		put_option(out, o);
}

/* Options that have their words in the page of the program. */
static void
put_common(struct buf *out, const struct cmd *c)
{
	const char *comma = "";

	buf_adds(out, c->opts ? ".PP\nAlso, as in\n" : ".PP\nOptions, as in\n");
	buf_adds(out, ".BR uni\\-wizard (1):\n");
	for (const struct cmd_opt *o = common_opts; o->name; o++) {
		if (!cmd_takes(c, o))
			continue;
		buf_addf(out, "%s\\fB\\-\\-%s\\fP", comma, o->name);
		comma = ", ";
	}
	buf_adds(out, ".\n");
}

static void
put_reference(struct buf *out, const char *first, const char *second, int section, const char *end)
{
	buf_adds(out, ".BR ");
	roff_literal(out, first);
	roff_literal(out, second);
	buf_addf(out, " (%d)%s\n", section, end);
}

/* Things and what they are. */
struct named {
	const char *name, *what;
};

static void
put_named(struct buf *out, const char *title, const struct named *rows, size_t n)
{
	buf_addf(out, ".SH %s\n", title);
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, ".TP\n");
		put_bold(out, ".B", rows[i].name, "");
		roff_text(out, rows[i].what);
	}
}

/* ---- a command, or a group of them ---- */

static void
put_command(struct buf *out, const struct cmd *c)
{
	struct buf text = { 0 };

	buf_addf(&text, "%s.\n\n%s", c->help, c->more ? c->more : "");
	roff_text(out, buf_str(&text));
	buf_free(&text);
	if (c->opts)
		put_options(out, c->opts);
	put_common(out, c);
}

/* Of a command what it does; of a group that is none itself what there is in it. */
static void
put_summary(struct buf *out, const struct cmd *first, const char *group, const char *title)
{
	size_t len = strlen(group), n = 0;
	struct buf what = { 0 };

	for (const struct cmd *const *c = commands; *c; c++)
		if (is_in(*c, group) && (*c)->name[len])
			buf_addf(&what, "%s%s", n++ ? ", " : "", (*c)->name + len + 1);
	put_name(out, title, first->name[len] && n > 1 ? buf_str(&what) : first->help);
	buf_free(&what);
}

static bool
command_page(struct buf *out, const char *group)
{
	char title[NAME_SIZE + sizeof PROGRAM];
	const struct cmd *first = NULL;
	size_t n = 0;

	for (const struct cmd *const *c = commands; *c; c++)
		if (is_in(*c, group) && n++ == 0)
			first = *c;
	if (!first)
		return false;
	snprintf(title, sizeof title, PROGRAM "-%s", group);
	put_head(out, title, 1);
	put_summary(out, first, group, title);
	buf_adds(out, ".SH SYNOPSIS\n");
	for (const struct cmd *const *c = commands; *c; c++)
		if (is_in(*c, group)) {
			buf_adds(out, *c == first ? "" : ".br\n");
			put_usage(out, *c);
		}
	buf_adds(out, ".SH DESCRIPTION\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		if (!is_in(*c, group))
			continue;
		if (n > 1)
			put_bold(out, ".SS", PROGRAM, (*c)->name);
		put_command(out, *c);
	}
	buf_adds(out, ".SH EXIT STATUS\nAs in\n");
	put_reference(out, PROGRAM, "", 1, ".");
	buf_adds(out, ".SH SEE ALSO\n");
	put_reference(out, PROGRAM, "", 1, ",");
	put_reference(out, FILE_PAGE, "", 5, "");
	return true;
}

/* ---- the program ---- */

static void
put_environment_and_files(struct buf *out)
{
	static const struct named variables[] = {
		{ "UNI_WIZARD_CONFIG", "The configuration, where `--config` names none." },
		{ "UNI_WIZARD_AGENT", "The agent to run, where `--agent` names none." },
		{ "UNI_WIZARD_SSH", "The program that `host` runs in the place of ssh." },
		{ "UNI_WIZARD_EXE", "The program that runs workers for the library, where the one that was installed with it shall not." },
		{ "TRACEPARENT", "The W3C trace that submitted tasks belong to." },
		{ "VISUAL", "The editor for `task retry --edit`; else that of EDITOR." },
		{ "NO_COLOR", "Not empty: no colours." },
	};
	static const struct named files[] = {
		{ "/etc/uni-wizard/houses.yaml", "The configuration of the cluster, the same on every host." },
		{ "~/.config/uni-wizard/houses.yaml", "The same where `init` puts it, on the machine that looks after the cluster." },
		{ "/etc/uni-wizard/pki", "Certificates and keys of this host." },
		{ "/etc/uni-wizard/env", "Variables of the services: which agent this is, and secrets that the configuration refers to." },
		{ "/var/lib/uni-wizard", "State: databases, and tasks that wait to go out." },
		{ "/run/uni-wizard", "Sockets of the agents." },
	};

	put_named(out, "ENVIRONMENT", variables, sizeof variables / sizeof *variables);
	put_named(out, "FILES", files, sizeof files / sizeof *files);
}

static void
put_commands(struct buf *out)
{
	buf_adds(out, ".SH COMMANDS\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		if (!(*c)->run) {
			put_bold(out, ".SS", (*c)->help, "");
		} else if (is_shown(*c)) {
			buf_adds(out, ".TP\n\\fB");
			roff_literal(out, (*c)->name);
			buf_adds(out, (*c)->args ? "\\fP " : "\\fP");
			roff_args(out, (*c)->args ? (*c)->args : "");
			buf_addc(out, '\n');
			roff_text(out, (*c)->help);
		}
	}
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
put_all_pages(struct buf *out)
{
	char *names[128];
	size_t n = 0;

	for (const struct cmd *const *c = commands; *c && n < sizeof names / sizeof *names; c++)
		if (is_first(c))
			names[n++] = xstrndup((*c)->name, strcspn((*c)->name, " "));
	qsort(names, n, sizeof *names, by_name);
	buf_adds(out, ".SH SEE ALSO\n");
	for (size_t i = 0; i < n; i++) {
		put_reference(out, PROGRAM "-", names[i], 1, ",");
		free(names[i]);
	}
	put_reference(out, FILE_PAGE, "", 5, "");
}

static void
program_page(struct buf *out)
{
	put_head(out, PROGRAM, 1);
	put_name(out, PROGRAM, "a self-hosted worker cluster over MQTT");
	buf_adds(out, ".SH SYNOPSIS\n");
	put_bold(out, ".B", PROGRAM, "");
	buf_adds(out, "\\fICOMMAND\\fP [\\fIoptions\\fP] [\\fIarguments\\fP]\n.br\n");
	put_bold(out, ".B", PROGRAM, "");
	buf_adds(out, "\\fICOMMAND\\fP \\fB\\-\\-help\\fP\n.br\n");
	put_bold(out, ".B", PROGRAM, "--version");
	buf_adds(out, ".SH DESCRIPTION\n");
	roff_text(out,
	    "Every host runs the same agent. Agents belong to houses; a task is a line of JSON on a house's topic. The house's owner takes "
	    "it from a Mosquitto broker over mutual TLS, commits it to SQLite, runs the tool in a worker process of its own, and answers. "
	    "Other agents follow, each with its own copy; when the owner dies, one of them goes on.\n\n"
	    "The same program is the agent and the command line. Each command, or group of commands, has a page of its own.");
	put_commands(out);
	buf_adds(out, ".SH OPTIONS\nThese are common to commands.\n");
	put_options(out, common_opts);
	put_environment_and_files(out);
	buf_adds(out, ".SH EXIT STATUS\n");
	for (int i = 0; cmd_exit_text(i); i++) {
		buf_addf(out, ".TP 4\n%d\n", i);
		roff_text(out, cmd_exit_text(i));
	}
	put_all_pages(out);
}

/* ---- houses.yaml ---- */

static void
put_key(struct buf *out, const struct config_row *k)
{
	struct buf text = { 0 };

	buf_adds(out, ".TP\n");
	put_bold(out, ".B", k->path, "");
	buf_addf(&text, "%s Accepted: %s. ", k->help, k->accepted);
	buf_addf(&text, k->value ? "Default: `%s`." : "Default: %s.", k->def);
	roff_text(out, buf_str(&text));
	buf_free(&text);
}

static void
file_page(struct buf *out)
{
	struct config_row k;

	put_head(out, FILE_PAGE, 5);
	put_name(out, FILE_PAGE, "configuration of a Uni-Wizard cluster");
	buf_adds(out, ".SH DESCRIPTION\n");
	roff_text(out,
	    "One file for the whole cluster, the same on every host: the one that `--config` names, else the one in the environment variable "
	    "UNI_WIZARD_CONFIG, else /etc/uni-wizard/houses.yaml, else ~/.config/uni-wizard/houses.yaml. Everything has a default but the names of the houses.\n\n"
	    "A key that is not among those below is an error, as are a key given twice, anchors, aliases, tags, tabs in the indentation and "
	    "a second document. `${VAR}` in a value is the environment variable VAR; `$${` is a plain `${`. Relative paths begin in the "
	    "directory of the file. `uni-wizard config check` says what is in it, or what is wrong.");
	buf_adds(out, ".SH KEYS\n");
	for (size_t i = 0; config_row(i, &k); i++)
		put_key(out, &k);
	buf_adds(out, ".SH EXAMPLES\n");
	roff_text(out,
	    "A complete file:\n\n"
	    "  houses:\n    timmy:\n    allegro:\n      role: tempo-and-dispatch\n    ezra:\n      role: archivist\n"
	    "    bezalel:\n      role: artificer\n");
	buf_adds(out, ".SH SEE ALSO\n");
	put_reference(out, PROGRAM, "", 1, ",");
	put_reference(out, PROGRAM "-config", "", 1, "");
}

/* ---- the command ---- */

static const struct cmd_opt opts[] = {
	{ .name = "list", .letter = 'l', .kind = OPT_FLAG, .help = "print the file names of all pages" },
	{ .name = NULL },
};

static int
list_pages(void)
{
	puts(PROGRAM ".1");
	for (const struct cmd *const *c = commands; *c; c++)
		if (is_first(c))
			printf(PROGRAM "-%.*s.1\n", (int)strcspn((*c)->name, " "), (*c)->name);
	puts(FILE_PAGE ".5");
	return EXIT_OK;
}

/* By a command's first word, or by the page's own name. */
static bool
page(struct buf *out, const char *name)
{
	if (strcmp(name, FILE_PAGE) == 0)
		file_page(out);
	else if (strcmp(name, PROGRAM) == 0)
		program_page(out);
	else
		return command_page(out, strncmp(name, PROGRAM "-", sizeof PROGRAM) == 0 ? name + sizeof PROGRAM : name);
	return true;
}

static int
man_run(const struct cmd_args *a)
{
	const char *name = a->argc ? a->argv[0] : PROGRAM;
	struct buf out = { 0 };

	if (cmd_flag(a, "list"))
		return list_pages();
	if (!page(&out, name))
		return cmd_fail(EXIT_USAGE, "man: expected a command or houses.yaml, got %.60s; --list shows all pages", name);
	fputs(buf_str(&out), stdout);
	buf_free(&out);
	return EXIT_OK;
}

const struct cmd cmd_man = {
	.name = "man",
	.args = "[COMMAND|houses.yaml]",
	.help = "Print the source of a manual page",
	.more = "  uni-wizard man submit | man -l -",
	.opts = opts,
	.max_args = 2,
	.flags = CMD_NO_CONFIG,
	.complete = "commands",
	.run = man_run,
};
