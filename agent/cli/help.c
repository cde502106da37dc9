#include "cmd.h"

#define HELP_COLUMN 30

static const char *const exit_codes[] = {
	[EXIT_OK] = "success",
	[EXIT_NOT_SUCCEEDED] = "the task ended other than succeeded, or something failed",
	[EXIT_USAGE] = "wrong usage or configuration",
	[EXIT_REJECTED] = "the task was rejected",
	[EXIT_SPOOLED] = "the task waits in the local outbox and will go out later",
	[EXIT_NO_ANSWER] = "no answer in time",
	[EXIT_WAITING] = "the task waits for approval",
	[EXIT_UNCERTAIN] = "it is not known whether the task had its effect",
};

const char *
cmd_exit_text(int code)
{
	return code >= 0 && (size_t)code < sizeof exit_codes / sizeof *exit_codes ? exit_codes[code] : NULL;
}

static const char *
on(const char *color)
{
	return cmd_color(STDOUT_FILENO, color);
}

/* left, then right at a fixed column, on a line of its own when left is too long. */
static void
print_pair(const char *left, const char *right)
{
	size_t n = strlen(left);

	if (n + 4 > HELP_COLUMN)
		printf("  %s\n%*s%s\n", left, HELP_COLUMN, "", right);
	else
		printf("  %s%*s%s\n", left, (int)(HELP_COLUMN - 2 - n), "", right);
}

static void
print_option(const struct cmd_opt *o)
{
	char left[64], letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	print_pair(left, o->help);
}

static void
help_command(const struct cmd *c)
{
	printf("usage: %suni-wizard %s%s [options]%s%s\n\n%s.\n", on("bold"), c->name, on("reset"),
	    c->args ? " " : "", c->args ? c->args : "", c->help);
	if (c->more)
		printf("\n%s\n", c->more);
	printf("\n%sOptions%s\n", on("bold"), on("reset"));
	for (const struct cmd_opt *o = c->opts; o && o->name; o++)
		print_option(o);
	for (const struct cmd_opt *o = common_opts; o->name; o++)
		if (cmd_takes(c, o))
			print_option(o);
}

static bool
is_in_group(const struct cmd *c, const char *group)
{
	size_t n = group ? strlen(group) : 0;

	return !group || (strncmp(c->name, group, n) == 0 && c->name[n] == ' ');
}

static void
print_commands(const char *group)
{
	const char *heading = NULL;

	for (const struct cmd *const *c = commands; *c; c++) {
		char left[64];

		if (!(*c)->run)
			heading = (*c)->help;
		if (!(*c)->run || ((*c)->flags & CMD_HIDDEN) || !is_in_group(*c, group))
			continue;
		if (heading && !group)
			printf("\n%s%s%s\n", on("bold"), heading, on("reset"));
		heading = NULL;
		snprintf(left, sizeof left, "%s%s%s", (*c)->name, (*c)->args ? " " : "",
		    (*c)->args ? (*c)->args : "");
		print_pair(left, (*c)->help);
	}
}

static void
help_program(void)
{
	printf("usage: %suni-wizard%s COMMAND [options]\n\nA self-hosted worker cluster over MQTT.\n",
	    on("bold"), on("reset"));
	print_commands(NULL);
	printf("\nuni-wizard COMMAND --help tells more; uni-wizard --version prints the version.\n\n%sExit "
	       "codes%s\n",
	    on("bold"), on("reset"));
	for (int i = 0; cmd_exit_text(i); i++)
		printf("  %d  %s\n", i, cmd_exit_text(i));
}

void
cmd_help(const struct cmd *c, const char *group)
{
	if (c) {
		help_command(c);
	} else if (group) {
		printf("usage: %suni-wizard %s%s COMMAND [options]\n\n", on("bold"), group, on("reset"));
		print_commands(group);
	} else {
		help_program();
	}
}
