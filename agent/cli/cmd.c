#include "cmd.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "nearest.h"
#include "version.h"

const struct cmd_opt common_opts[] = {
	{ .name = "json", .kind = OPT_FLAG, .help = "print JSON" },
	{ .name = "config", .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
	  .help = "read this houses.yaml (else $UNI_WIZARD_CONFIG, /etc/uni-wizard/houses.yaml, ~/.config/uni-wizard/houses.yaml)" },
	{ .name = "as", .kind = OPT_TEXT, .arg = "NAME", .complete = "people",
	  .help = "act as this identity" },
	{ .name = "help", .letter = 'h', .kind = OPT_FLAG, .help = "show this help" },
	{ .name = NULL },
};

enum common { COMMON_JSON, COMMON_CONFIG, COMMON_AS, COMMON_HELP };

bool
cmd_takes(const struct cmd *c, const struct cmd_opt *common)
{
	switch ((enum common)(common - common_opts)) {
	case COMMON_JSON:
		return c->flags & CMD_JSON;
	case COMMON_CONFIG:
	case COMMON_AS:
		return !(c->flags & CMD_NO_CONFIG);
	case COMMON_HELP:
		return true;
	}
	return false;
}

int
cmd_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("uni-wizard: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

void
cmd_warn(const char *msg, void *arg)
{
	(void)arg;
	fprintf(stderr, "uni-wizard: warning: %s\n", msg);
}

/* Finding the command */

/* How many words of argv are exactly the row's name; 0 if it is another command. */
static int
name_match(const struct cmd *c, int argc, char *const *argv)
{
	const char *p = c->name;
	int used = 0;

	while (*p) {
		size_t n = strcspn(p, " ");

		if (used == argc || strlen(argv[used]) != n || memcmp(argv[used], p, n) != 0)
			return 0;
		used++;
		p += n + (p[n] == ' ');
	}
	return used;
}

const struct cmd *
cmd_find(int argc, char *const *argv, int *used)
{
	const struct cmd *best = NULL;

	*used = 0;
	for (const struct cmd *const *c = commands; *c; c++) {
		int n = (*c)->run ? name_match(*c, argc, argv) : 0;

		if (n > *used) {
			best = *c;
			*used = n;
		}
	}
	return best;
}

static bool
is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct cmd *const *c = commands; *c; c++)
		if (strncmp((*c)->name, word, n) == 0 && (*c)->name[n] == ' ')
			return true;
	return false;
}

static bool
is_offered(const struct cmd *c)
{
	return c->run && !(c->flags & CMD_HIDDEN);
}

/* A slip in either word ("tsak list", "task lst"), in the first alone, or the second word alone ("list"). */
static void
nearest_command(struct nearest *whole, struct nearest *first)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		const char *name = (*c)->name;
		size_t n = strcspn(name, " ");

		if (!is_offered(*c))
			continue;
		nearest_try(whole, name);
		nearest_tryn(first, name, n);
		if (name[n] && strcmp(first->word, name + n + 1) == 0) {
			*first = (struct nearest){ .word = first->word };
			nearest_tryn(first, name, strlen(name));
			first->distance = 0;
			return;
		}
	}
}

static int
fail_unknown(int argc, char **argv)
{
	char words[96];
	struct nearest whole = { .word = words }, first = { .word = argv[0] };
	const char *best;

	if (is_group(argv[0]) && argc < 2) {
		cmd_help(NULL, argv[0]);
		return EXIT_USAGE;
	}
	snprintf(words, sizeof words, "%.40s%s%.40s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	nearest_command(&whole, &first);
	best = nearest_word(&whole);
	if (!best && !is_group(argv[0]))
		best = nearest_word(&first);
	if (best)
		return cmd_fail(EXIT_USAGE, "no such command: %s; did you mean %s?", words, best);
	return cmd_fail(EXIT_USAGE, "no such command: %s; see uni-wizard --help", words);
}

/* Reading options */

struct reading {
	struct cmd_args *a;
	const struct cmd *cmd;          /* NULL while only options of the program may come */
	int argc, i;
	char **argv;
	bool help, version;
};

static const struct cmd_opt *
find_in(const struct cmd_opt *opts, const char *name, size_t len)
{
	for (; opts && opts->name; opts++)
		if (strlen(opts->name) == len && memcmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

const struct cmd_opt *
cmd_opt_find(const struct cmd *c, const char *name, size_t len)
{
	const struct cmd_opt *o = c ? find_in(c->opts, name, len) : NULL;

	if (o)
		return o;
	o = find_in(common_opts, name, len);
	return o && (!c || cmd_takes(c, o)) ? o : NULL;
}

static const struct cmd_opt *
letter_find(const struct cmd *c, char letter)
{
	for (const struct cmd_opt *o = c ? c->opts : NULL; o && o->name; o++)
		if (o->letter == letter)
			return o;
	for (const struct cmd_opt *o = common_opts; o->name; o++)
		if (o->letter == letter && (!c || cmd_takes(c, o)))
			return o;
	return NULL;
}

static int
fail_option(const struct cmd *c, const char *word, size_t len)
{
	char name[64];
	struct nearest near = { .word = name };
	const char *best;

	snprintf(name, sizeof name, "%.*s", (int)(len < 60 ? len : 60), word);
	for (const struct cmd_opt *o = c ? c->opts : NULL; o && o->name; o++)
		nearest_try(&near, o->name);
	for (const struct cmd_opt *o = common_opts; o->name; o++)
		if (!c || cmd_takes(c, o))
			nearest_try(&near, o->name);
	best = nearest_word(&near);
	if (best)
		return cmd_fail(EXIT_USAGE, "no such option: --%s; did you mean --%s?", name, best);
	return cmd_fail(EXIT_USAGE, "no such option: --%s; see uni-wizard%s%s --help", name, c ? " " : "",
	    c ? c->name : "");
}

static int
number_read(const struct cmd_opt *o, const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (!errno && end != text && !*end && *out >= o->min && *out <= o->max)
		return 0;
	return cmd_fail(EXIT_USAGE, "--%s: expected a whole number from %lld to %lld, got %.60s", o->name,
	    (long long)o->min, (long long)o->max, text);
}

static void
common_set(struct reading *r, const struct cmd_opt *o, const char *text)
{
	switch ((enum common)(o - common_opts)) {
	case COMMON_JSON:
		r->a->json = true;
		break;
	case COMMON_CONFIG:
		r->a->config = text;
		break;
	case COMMON_AS:
		r->a->identity = text;
		break;
	case COMMON_HELP:
		r->help = true;
		break;
	}
}

static bool
is_common(const struct cmd_opt *o)
{
	return o >= common_opts && o < common_opts + sizeof common_opts / sizeof *common_opts;
}

/* value NULL: not given with '='. */
static int
option_set(struct reading *r, const struct cmd_opt *o, const char *value)
{
	size_t at;

	if (o->kind == OPT_FLAG && value)
		return cmd_fail(EXIT_USAGE, "--%s takes no value", o->name);
	if (o->kind != OPT_FLAG && !value) {
		if (r->i + 1 >= r->argc)
			return cmd_fail(EXIT_USAGE, "--%s needs a value: %s", o->name, o->arg);
		value = r->argv[++r->i];
	}
	if (is_common(o)) {
		common_set(r, o, value);
		return 0;
	}
	at = (size_t)(o - r->cmd->opts);
	assert(at < CMD_MAX_OPTS);
	r->a->opt[at].set = true;
	r->a->opt[at].text = value;
	return o->kind == OPT_INT ? number_read(o, value, &r->a->opt[at].num) : 0;
}

static int
long_read(struct reading *r, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct cmd_opt *o = cmd_opt_find(r->cmd, word, len);

	if (!r->cmd && strcmp(word, "version") == 0) {
		r->version = true;
		return 0;
	}
	if (!o)
		return fail_option(r->cmd, word, len);
	return option_set(r, o, word[len] ? word + len + 1 : NULL);
}

/* -n 5, -n5, and flags in one word: -jq. */
static int
letters_read(struct reading *r, const char *word)
{
	for (; *word; word++) {
		const struct cmd_opt *o = letter_find(r->cmd, *word);

		if (!o)
			return cmd_fail(EXIT_USAGE, "no such option: -%c", *word);
		if (o->kind != OPT_FLAG)
			return option_set(r, o, word[1] ? word + 1 : NULL);
		if (option_set(r, o, NULL))
			return EXIT_USAGE;
	}
	return 0;
}

static bool
is_option(const char *word)
{
	return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

static int
option_read(struct reading *r)
{
	const char *word = r->argv[r->i];

	return word[1] == '-' ? long_read(r, word + 2) : letters_read(r, word + 1);
}

/* Moves what is no option to the front of argv; options may stand anywhere before "--". */
static int
arguments_read(struct reading *r)
{
	bool only_arguments = r->cmd->flags & CMD_RAW;

	r->a->argv = r->argv + r->i;
	for (; r->i < r->argc; r->i++) {
		char *word = r->argv[r->i];

		if (only_arguments || !is_option(word))
			r->a->argv[r->a->argc++] = word;
		else if (strcmp(word, "--") == 0)
			only_arguments = true;
		else if (option_read(r))
			return EXIT_USAGE;
	}
	return 0;
}

static int
check_count(const struct cmd_args *a)
{
	const struct cmd *c = a->cmd;

	if (a->argc < c->min_args)
		return cmd_fail(
		    EXIT_USAGE, "%s: expected %s; see uni-wizard %s --help", c->name, c->args, c->name);
	if (c->max_args >= 0 && a->argc > c->max_args)
		return cmd_fail(EXIT_USAGE, "%s: unexpected argument %.60s; see uni-wizard %s --help",
		    c->name, a->argv[c->max_args], c->name);
	return 0;
}

static int
run(struct reading *r)
{
	int rc;

	if (r->help) {
		cmd_help(r->cmd, NULL);
		return EXIT_OK;
	}
	if ((rc = check_count(r->a)))
		return rc;
	return r->cmd->run(r->a);
}

static int
command_read(struct reading *r)
{
	int used, left = r->argc - r->i;
	char **words = r->argv + r->i;

	r->cmd = cmd_find(left, words, &used);
	if (!r->cmd && is_group(words[0]) &&
	    (r->help || (left > 1 && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0)))) {
		cmd_help(NULL, words[0]);
		return EXIT_OK;
	}
	if (!r->cmd)
		return fail_unknown(left, words);
	r->i += used;
	r->a->cmd = r->cmd;
	return arguments_read(r) ? EXIT_USAGE : run(r);
}

static int
main_read(struct reading *r)
{
	for (r->i = 1; r->i < r->argc && is_option(r->argv[r->i]); r->i++)
		if (option_read(r))
			return EXIT_USAGE;
	if (r->version) {
		version_print(r->a->json);
		return EXIT_OK;
	}
	if (r->i < r->argc)
		return command_read(r);
	cmd_help(NULL, NULL);
	return r->help ? EXIT_OK : EXIT_USAGE;
}

int
cmd_main(int argc, char **argv)
{
	struct cmd_args a = { 0 };
	struct reading r = { .a = &a, .argc = argc, .argv = argv };
	int rc = main_read(&r);

	/* Output that did not arrive must not look like success: a full disk, a closed descriptor. */
	if ((fflush(stdout) || ferror(stdout)) && rc == EXIT_OK)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "cannot write to standard output: %s", strerror(errno));
	return rc;
}

/* What commands ask for */

static size_t
opt_index(const struct cmd_args *a, const char *name)
{
	size_t i = 0;

	while (a->cmd->opts && a->cmd->opts[i].name && strcmp(a->cmd->opts[i].name, name) != 0)
		i++;
	assert(a->cmd->opts && a->cmd->opts[i].name);
	return i;
}

bool
cmd_flag(const struct cmd_args *a, const char *name)
{
	return a->opt[opt_index(a, name)].set;
}

const char *
cmd_text(const struct cmd_args *a, const char *name, const char *fallback)
{
	size_t i = opt_index(a, name);

	return a->opt[i].set ? a->opt[i].text : fallback;
}

int64_t
cmd_int(const struct cmd_args *a, const char *name, int64_t fallback)
{
	size_t i = opt_index(a, name);

	return a->opt[i].set ? a->opt[i].num : fallback;
}

int
cmd_config(const struct cmd_args *a, struct config *c)
{
	struct err e = { 0 };

	if (a->identity && !name_ok(a->identity))
		return cmd_fail(EXIT_USAGE, "--as: expected a name ([a-z0-9-], at most %d), got %.60s",
		    NAME_MAX_LEN, a->identity);
	if (config_load(c, config_path(a->config), cmd_warn, NULL, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	if (a->identity)
		snprintf(c->identity, sizeof c->identity, "%s", a->identity);
	return EXIT_OK;
}

int
cmd_config_or_default(const struct cmd_args *a, struct config *c)
{
	static const char text[] = "houses: {timmy: }\n";
	const char *path = config_path(a->config);
	struct err e = { 0 };

	if (a->config || getenv("UNI_WIZARD_CONFIG") || access(path, F_OK) == 0)
		return cmd_config(a, c);
	if (config_parse(c, path, text, sizeof text - 1, NULL, NULL, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	return EXIT_OK;
}

const char *
cmd_color(int fd, const char *name)
{
	static const struct {
		const char *name, *code;
	} colors[] = {
		{ "red", "\033[31m" }, { "green", "\033[32m" }, { "yellow", "\033[33m" },
		{ "dim", "\033[2m" }, { "bold", "\033[1m" }, { "reset", "\033[0m" },
	};
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if ((no && *no) || (term && strcmp(term, "dumb") == 0) || !isatty(fd))
		return "";
	for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
		if (strcmp(colors[i].name, name) == 0)
			return colors[i].code;
	assert(!"a colour that is in the table");
	return "";
}
