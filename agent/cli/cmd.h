/*
 * cmd.h - one command, one file: a row with name, usage, options and a function.
 *
 * cmd.c finds the row ("task list" may be two words), reads the options by its table, checks the
 * number of arguments, prints --help, and calls run(). Help, shell completion and man pages come
 * from the same rows.
 */
#ifndef UW_CMD_H
#define UW_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

/* Exit codes, the same for every command. */
enum cmd_exit {
	EXIT_OK = 0,
	EXIT_NOT_SUCCEEDED = 1,         /* the task ended other than succeeded; something failed */
	EXIT_USAGE = 2,
	EXIT_REJECTED = 3,
	EXIT_SPOOLED = 4,               /* in the local outbox, will go out later */
	EXIT_NO_ANSWER = 5,
	EXIT_WAITING = 6,               /* for approval */
	EXIT_UNCERTAIN = 7,
};

enum cmd_opt_kind { OPT_FLAG, OPT_TEXT, OPT_INT };

struct cmd_opt {
	const char *name;               /* "house", given as --house H or --house=H */
	char letter;                    /* 0: none */
	enum cmd_opt_kind kind;
	const char *arg;                /* "H" in the help */
	const char *help;
	int64_t min, max;               /* OPT_INT */
	const char *complete;           /* what the shell offers: CMD_OFFERS in cmd_complete.c, or words "a b" */
};

#define CMD_MAX_OPTS 24

struct cmd_args {
	const struct cmd *cmd;
	char **argv;                    /* what is left after the options */
	int argc;
	bool json;                      /* --json is understood by every command that prints data */
	const char *config;             /* --config F */
	const char *identity;           /* --as NAME */
	struct {
		bool set;
		const char *text;
		int64_t num;
	} opt[CMD_MAX_OPTS];            /* by index in cmd->opts */
};

#define CMD_JSON 1u                     /* has --json */
#define CMD_HIDDEN 2u                   /* not in the help */
#define CMD_NO_CONFIG 4u                /* does not take --config or --as */
#define CMD_RAW 8u                      /* every word after the command's name is an argument */

struct cmd {
	const char *name;               /* "task list" */
	const char *args;               /* "[HOUSE]" */
	const char *help;               /* one line */
	const char *more;               /* paragraphs for --help; NULL: none */
	const struct cmd_opt *opts;     /* ended by name NULL; NULL: none */
	int min_args, max_args;         /* max -1: any number */
	unsigned flags;
	const char *complete;           /* for the arguments, as in cmd_opt */
	int (*run)(const struct cmd_args *a);
};

/* The table, ended by NULL: agent/cli/commands.c. A row without run() is a heading of the overview. */
extern const struct cmd *const commands[];

/* Options that every command takes as its flags say, ended by name NULL. */
extern const struct cmd_opt common_opts[];
bool cmd_takes(const struct cmd *c, const struct cmd_opt *common);

const struct cmd_opt *cmd_opt_find(const struct cmd *c, const char *name, size_t len);

/* The row that argv begins with, and in *used how many words its name is; NULL if none. */
const struct cmd *cmd_find(int argc, char *const *argv, int *used);

/* Help on standard output: of the program (c NULL, group NULL), of "task" (group), of one command. */
void cmd_help(const struct cmd *c, const char *group);

/* What an exit code means; NULL past the last one. */
const char *cmd_exit_text(int code);

/* main() of the program. */
int cmd_main(int argc, char **argv);

/* By option name; NULL, or fallback, when not given. name must be in the row: assert. */
bool cmd_flag(const struct cmd_args *a, const char *name);
const char *cmd_text(const struct cmd_args *a, const char *name, const char *fallback);
int64_t cmd_int(const struct cmd_args *a, const char *name, int64_t fallback);

/* Loads the configuration that --config or the environment names; prints warnings to standard error.
 * On failure prints the error and returns EXIT_USAGE; otherwise 0. */
int cmd_config(const struct cmd_args *a, struct config *c);

/* The same for commands that also make sense on a machine that has no configuration: when none is named
 * and the usual file does not exist, defaults with the one house `timmy`. */
int cmd_config_or_default(const struct cmd_args *a, struct config *c);

/* For registry_new() and config_load(): "uni-wizard: warning: message" on standard error. */
void cmd_warn(const char *msg, void *arg);

/* "uni-wizard: message" on standard error; returns code, so `return cmd_fail(EXIT_USAGE, "...")`. */
int cmd_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Colour only on a terminal, never with NO_COLOR set: the escape sequence or "". */
const char *cmd_color(int fd, const char *name);        /* "red" "green" "yellow" "dim" "bold" "reset" */

/* Columns that fit their content: add cells row by row, then print. */
struct table;
struct table *table_new(const char *const *heads);      /* ended by NULL */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct table *t);                      /* prints and frees */

/* "12s" "5m" "3h" "2d" */
void age_text(char *out, size_t size, int64_t ms);

#endif
