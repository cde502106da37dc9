#include <fcntl.h>

#include "clock.h"
#include "file.h"
#include "hermes.h"
#include "proc.h"
#include "tool.h"

#define PROMPT_MAX 120000       /* an argument has 128 KiB on Linux */
#define GRACE_MS 3000
#define ERR_BYTES 16384

static const char session_mark[] = "session_id: ";

static void
on_output(void *arg, const char *text, size_t len)
{
	struct hermes *h = arg;

	if (h->r->log)
		h->r->log(h->r->arg, text, len);
}

/* "session_id: 2026..." is a line of standard error. */
static void
take_session(struct hermes *h, const char *text)
{
	const char *at = strstr(text, session_mark);

	if (!at)
		return;
	at += sizeof session_mark - 1;
	snprintf(h->session, sizeof h->session, "%.*s", (int)strcspn(at, " \r\n"), at);
}

/* The last line that says something, for the person who reads the error. */
static void
last_words(const char *text, char *out, size_t size)
{
	const char *line = text;
	size_t n;

	out[0] = '\0';
	for (; *line; line += n + (line[n] != '\0')) {
		n = strcspn(line, "\r\n");
		if (n && strncmp(line, session_mark, sizeof session_mark - 1) != 0)
			snprintf(out, size, "%.*s", (int)n, line);
	}
}

static bool
is_blank(const struct buf *b)
{
	return strspn(buf_str(b), " \t\r\n") == b->len;
}

static int
judge(struct hermes *h, struct proc_end *end, struct err *e)
{
	char words[300];

	take_session(h, buf_str(&end->err));
	last_words(buf_str(&end->err), words, sizeof words);
	tool_failed_with(h->r, end->status, 0);
	if (end->signal)
		return err_set(e, ERR_TOOL, "Hermes ended by signal %d%s%s", end->signal, *words ? ": " : "", words);
	if (end->status)
		return err_set(e, ERR_TOOL, "Hermes failed, exit code %d%s%s", end->status, *words ? ": " : "", words);
	if (is_blank(&end->out))
		return err_set(e, ERR_TOOL, "Hermes ended without a text%s%s", *words ? ": " : "", words);
	buf_add(&h->output, end->out.data, end->out.len);
	h->output.full |= end->out_total > end->out.len;
	return 0;
}

static int
check(const struct hermes *h, struct err *e)
{
	if (cJSON_GetObjectItemCaseSensitive(h->r->params, "allow"))
		return err_field(e, ERR_INVALID, "params.allow", NULL, "none: only over HTTP (hermes.url) Hermes can be told that it may");
	if (strlen(h->prompt) > PROMPT_MAX)
		return err_field(e, ERR_TOO_BIG, "params.prompt", NULL, "at most %d bytes for its command line, or hermes.url for more", PROMPT_MAX);
	return 0;
}

/* argparse takes what begins with - for an option. */
static void
put_args(const struct hermes *h, const char **v, struct buf *prompt, char turns[16])
{
	const struct { const char *option, *value; } options[] = {
		{ "--model", h->model }, { "--provider", h->provider }, { "--toolsets", *h->toolsets ? h->toolsets : NULL },
		{ "--resume", *h->session ? h->session : NULL }, { "--max-turns", h->max_turns ? turns : NULL },
	};
	size_t n = 0;

	snprintf(turns, 16, "%lld", (long long)h->max_turns);
	buf_addf(prompt, "%s%s", *h->prompt == '-' ? " " : "", h->prompt);
	v[n++] = h->r->env->config->hermes_program;
	v[n++] = "chat";
	v[n++] = "-Q";
	v[n++] = "--source";
	v[n++] = "tool";
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (!options[i].value)
			continue;
		v[n++] = options[i].option;
		v[n++] = options[i].value;
	}
	v[n++] = "-q";
	v[n++] = buf_str(prompt);
	v[n] = NULL;
}

int
hermes_cli(struct hermes *h, struct err *e)
{
	const struct config *c = h->r->env->config;
	const char *argv[24], *env[6] = { "PATH=" PROC_PATH, "LANG=C.UTF-8" };
	struct buf prompt = { 0 }, home = { 0 }, user = { 0 };
	struct proc_end end = { 0 };
	struct proc p = { .argv = argv, .env = env, .deadline_ms = h->until_ms, .grace_ms = GRACE_MS, .max_out = 1u << 20,
		.max_err = ERR_BYTES, .on_output = on_output, .live_err_only = true, .arg = h };
	char turns[16];
	size_t nenv = 2;
	int rc;

	if (check(h, e))
		return -1;
	if (h->path) {
		p.cwd_fd = path_open(&h->r->env->roots, "path", h->path, O_RDONLY | O_DIRECTORY, 0, e);
		if (p.cwd_fd < 0)
			return -1;
	}
	put_args(h, argv, &prompt, turns);
	buf_addf(&home, "HERMES_HOME=%s", c->hermes_home ? c->hermes_home : "");
	if (c->hermes_home)
		env[nenv++] = buf_str(&home);
	buf_addf(&user, "HOME=%s", getenv("HOME") ? getenv("HOME") : "/");
	env[nenv] = buf_str(&user);
	tool_effect_begins(h->r);
	rc = proc_run(&p, &end, e);
	if (rc && (e->code == ERR_NOT_FOUND || e->code == ERR_IO))
		tool_effect_none(h->r);         /* it did not start */
	if (rc == 0)
		rc = judge(h, &end, e);
	if (p.cwd_fd > 0)
		close(p.cwd_fd);
	proc_end_release(&end);
	buf_free(&prompt);
	buf_free(&home);
	buf_free(&user);
	return rc;
}
