#include "doctor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"

const struct doctor_row doctor_rows[DOCTOR_NFINDINGS] = {
#define X(sym, name, symptom, cause, mend) [sym] = { name, symptom, cause, mend },
	DOCTOR_FINDINGS(X)
#undef X
};

/* ---- telling: status, finding, about, text; each line a record, with tabs between ---- */

#define SAID_MAX 2048

static void
plain(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ')
			*s = ' ';
}

static void
tell(struct doctor *d, enum doctor_status status, enum doctor_finding f, const char *about, const char *fmt, va_list ap)
{
	struct doctor_said s;
	char line[SAID_MAX];
	int n;

	snprintf(s.about, sizeof s.about, "%s", about);
	vsnprintf(s.text, sizeof s.text, fmt, ap);
	plain(s.about);
	plain(s.text);
	n = snprintf(line, sizeof line, "%d\t%d\t%s\t%s\n", (int)status, (int)f, s.about, s.text);
	if (write(d->fd, line, (size_t)n) != n)
		_exit(1);
}

void
doctor_wrong(struct doctor *d, enum doctor_finding f, const char *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(d, DOCTOR_WRONG, f, about, fmt, ap);
	va_end(ap);
}

#define TELLS(name, status)                                                    \
	void name(struct doctor *d, const char *fmt, ...)                      \
	{                                                                      \
		va_list ap;                                                    \
		va_start(ap, fmt);                                             \
		tell(d, status, DOCTOR_NFINDINGS, "", fmt, ap);                \
		va_end(ap);                                                    \
	}
TELLS(doctor_well, DOCTOR_WELL)
TELLS(doctor_note, DOCTOR_NOTE)
TELLS(doctor_skip, DOCTOR_SKIPPED)

/* ---- hearing ---- */

static void
fill(char *out, size_t size, const char *with, const char *about)
{
	struct buf b = { .max = size - 1 };
	const char *gap;

	while ((gap = strstr(with, "{}"))) {
		buf_add(&b, with, (size_t)(gap - with));
		buf_adds(&b, about);
		with = gap + 2;
	}
	buf_adds(&b, with);
	snprintf(out, size, "%s", buf_str(&b));
	buf_free(&b);
}

static bool
field(char **p, char *out, size_t size)
{
	char *end = strchr(*p, '\t');

	if (!end)
		return false;
	snprintf(out, size, "%.*s", (int)(end - *p), *p);
	*p = end + 1;
	return true;
}

static void
said_finish(struct doctor_said *s)
{
	s->mend[0] = '\0';
	if (s->status == DOCTOR_WRONG && s->finding < DOCTOR_NFINDINGS)
		fill(s->mend, sizeof s->mend, doctor_rows[s->finding].mend, s->about);
}

static void
hear_line(char *line, void (*said)(void *arg, const struct doctor_said *s), void *arg)
{
	struct doctor_said s;
	char number[16];

	if (!field(&line, number, sizeof number))
		return;
	s.status = (enum doctor_status)strtol(number, NULL, 10);
	if (!field(&line, number, sizeof number))
		return;
	s.finding = (enum doctor_finding)strtol(number, NULL, 10);
	if (!field(&line, s.about, sizeof s.about))
		return;
	snprintf(s.text, sizeof s.text, "%s", line);
	said_finish(&s);
	said(arg, &s);
}

static void
hear_lines(struct buf *in, void (*said)(void *arg, const struct doctor_said *s), void *arg)
{
	char *nl, *p = in->data;

	while (p && (nl = memchr(p, '\n', in->len - (size_t)(p - in->data)))) {
		*nl = '\0';
		hear_line(p, said, arg);
		p = nl + 1;
	}
	if (p) {
		size_t left = in->len - (size_t)(p - in->data);

		memmove(in->data, p, left);
		buf_cut(in, left);
	}
}

/* True when it has come to its end. */
static bool
hear(int fd, int limit_ms, void (*said)(void *arg, const struct doctor_said *s), void *arg)
{
	int64_t until = clock_mono_ms() + limit_ms, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct buf in = { 0 };
	ssize_t n = 1;

	while (n > 0 && (left = until - clock_mono_ms()) > 0) {
		char *at = buf_reserve(&in, SAID_MAX);

		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, at, SAID_MAX);
		if (n > 0)
			in.len += (size_t)n;
		hear_lines(&in, said, arg);
	}
	buf_free(&in);
	return n <= 0;
}

static void
say_stuck(const char *name, const char *how, void (*said)(void *arg, const struct doctor_said *s), void *arg)
{
	struct doctor_said s = { .status = DOCTOR_WRONG, .finding = FOUND_NO_END };

	snprintf(s.about, sizeof s.about, "%s", name);
	snprintf(s.text, sizeof s.text, "%s", how);
	said_finish(&s);
	said(arg, &s);
}

void
doctor_run(struct doctor *d, const char *name, void (*check)(struct doctor *d), int limit_ms,
    void (*said)(void *arg, const struct doctor_said *s), void *arg)
{
	char how[80];
	int fds[2], status = 0;
	bool ended;
	pid_t pid;

	fflush(NULL);
	if (pipe(fds) || (pid = fork()) < 0) {
		snprintf(how, sizeof how, "cannot start the check: %s", strerror(errno));
		say_stuck(name, how, said, arg);
		return;
	}
	if (pid == 0) {
		close(fds[0]);
		d->fd = fds[1];
		check(d);
		_exit(0);
	}
	close(fds[1]);
	ended = hear(fds[0], limit_ms, said, arg);
	if (!ended)
		kill(pid, SIGKILL);
	close(fds[0]);
	/* One that stands in the kernel for a disk cannot even be killed: it is left to init. */
	for (int i = 0; waitpid(pid, &status, ended ? 0 : WNOHANG) == 0 && i < 20; i++)
		poll(NULL, 0, 5);
	snprintf(how, sizeof how, ended ? "the check itself failed: signal %d" : "no answer within %d s",
	    ended ? WTERMSIG(status) : limit_ms / 1000);
	if (!ended || WIFSIGNALED(status))
		say_stuck(name, how, said, arg);
}

/* ---- the table ---- */

static void
put_cell(struct buf *out, const char *text, const char *about)
{
	char filled[700];

	fill(filled, sizeof filled, text, about);
	for (const char *p = filled; *p; p++)
		buf_addf(out, "%s%c", *p == '|' ? "\\" : "", *p);
	buf_adds(out, " |");
}

void
doctor_markdown(struct buf *out)
{
	buf_adds(out, "| finding | what is seen | cause | what to do |\n|---|---|---|---|\n");
	for (size_t i = 0; i < DOCTOR_NFINDINGS; i++) {
		const struct doctor_row *r = &doctor_rows[i];

		buf_addf(out, "| `%s` | ", r->name);
		put_cell(out, r->symptom, "NAME");
		buf_addc(out, ' ');
		put_cell(out, r->cause, "NAME");
		buf_addc(out, ' ');
		put_cell(out, r->mend, "NAME");
		buf_addc(out, '\n');
	}
}
