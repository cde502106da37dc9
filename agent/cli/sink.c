#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "curl.h"
#include "digest.h"
#include "json.h"
#include "log.h"
#include "mac.h"
#include "proc.h"

#define TRIES 8
#define WAIT_MIN_MS 1000                /* doubled each time: two minutes between all of them */
#define WAIT_MAX_MS 60000
#define TRY_MS 10000
#define QUEUE_MAX (64u << 10)

/* ---- in the sink's own process ---- */

struct letter {
	const char *line;               /* JSON, without the newline */
	size_t len;
	cJSON *o;
	struct buf text;                /* for people */
	size_t read;                    /* of text, by curl */
};

static const char *
secret_of(const struct sink *s)
{
	return s->c->secret ? config_secret_value(s->config, s->c->secret) : NULL;
}

static bool
is_raised(const struct letter *l)
{
	return strcmp(json_text(l->o, "state"), "raised") == 0;
}

static void
put_title(struct buf *b, const struct letter *l)
{
	buf_addf(b, "%s %s: %s", json_text(l->o, "severity"), json_text(l->o, "name"), json_text(l->o, "state"));
}

static void
put_text(struct buf *b, const struct letter *l)
{
	buf_addf(b, "%s.\r\n%lld %s, since %s, said by %s.\r\nDo: %s.\r\nSee %s\r\n", json_text(l->o, "text"),
	    (long long)json_number(l->o, "value", 0), json_text(l->o, "unit"), json_text(l->o, "since"), json_text(l->o, "agent"),
	    json_text(l->o, "do"), json_text(l->o, "runbook"));
}

static size_t
swallow(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static size_t
give(char *p, size_t size, size_t n, void *arg)
{
	struct letter *l = arg;
	size_t len = l->text.len - l->read;

	len = len < size * n ? len : size * n;
	memcpy(p, l->text.data + l->read, len);
	l->read += len;
	return len;
}

struct request {
	const struct curl_api *curl;
	CURL *h;
	struct curl_slist *list;        /* headers, or receivers */
	char why[CURL_ERROR_SIZE];
};

static void __attribute__((format(printf, 2, 3)))
add(struct request *q, const char *fmt, ...)
{
	struct curl_slist *list;
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	list = q->curl->slist_append(q->list, text);
	q->list = list ? list : q->list;
}

/* Lower-case hexadecimal, as GitHub's webhooks have it. */
static void
add_signature(struct request *q, const char *key, const struct letter *l)
{
	char hex[DIGEST_HEX];

	mac_of(key, l->line, l->len, hex);
	add(q, "X-Uni-Wizard-Signature: sha256=%s", hex);
}

#define SET(option, value) q->curl->easy_setopt(q->h, option, value)

static void
prepare_webhook(const struct sink *s, struct request *q, struct letter *l)
{
	const char *key = secret_of(s);

	add(q, "Content-Type: application/json");
	add(q, "X-Uni-Wizard-Event: alert");
	if (key)
		add_signature(q, key, l);
	SET(CURLOPT_HTTPHEADER, q->list);
	SET(CURLOPT_POSTFIELDSIZE, (long)l->len);
	SET(CURLOPT_POSTFIELDS, l->line);
}

static void
prepare_ntfy(const struct sink *s, struct request *q, struct letter *l)
{
	struct buf title = { 0 };

	put_title(&title, l);
	put_text(&l->text, l);
	add(q, "Title: %s", buf_str(&title));
	add(q, "Priority: %d", !is_raised(l) ? 2 : strcmp(json_text(l->o, "severity"), "critical") == 0 ? 5 : 3);
	add(q, "Tags: %s", is_raised(l) ? "warning" : "white_check_mark");
	if (secret_of(s))
		add(q, "Authorization: Bearer %s", secret_of(s));
	SET(CURLOPT_HTTPHEADER, q->list);
	SET(CURLOPT_POSTFIELDSIZE, (long)l->text.len);
	SET(CURLOPT_POSTFIELDS, l->text.data);
	buf_free(&title);
}

/* A password goes through TLS only. */
static void
prepare_mail(const struct sink *s, struct request *q, struct letter *l)
{
	char date[64];
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	buf_addf(&l->text, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s-%s-%s@uni-wizard>\r\nSubject: [uni-wizard] ", date,
	    s->c->from, s->c->to, json_text(l->o, "name"), json_text(l->o, "state"), json_text(l->o, "since"));
	put_title(&l->text, l);
	buf_adds(&l->text, "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	put_text(&l->text, l);
	add(q, "<%s>", s->c->to);
	SET(CURLOPT_MAIL_FROM, s->c->from);
	SET(CURLOPT_MAIL_RCPT, q->list);
	SET(CURLOPT_USE_SSL, s->c->user ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
	if (s->c->user) {
		SET(CURLOPT_USERNAME, s->c->user);
		SET(CURLOPT_PASSWORD, secret_of(s) ? secret_of(s) : "");
	}
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_READFUNCTION, give);
	SET(CURLOPT_READDATA, l);
}

/* 0: it has it. 1: it refuses it, and will again. -1: try again. */
static int
by_curl(const struct sink *s, struct letter *l, struct err *e)
{
	bool mail = strcmp(s->c->kind, "mail") == 0, hook = strcmp(s->c->kind, "webhook") == 0;
	struct request one = { .curl = curl_load(e) }, *q = &one;
	CURLcode code;
	long status = 0;

	if (!q->curl)
		return 1;
	q->h = q->curl->easy_init();
	if (!q->h)
		return err_set(e, ERR_INTERNAL, "libcurl gives no handle");
	buf_clear(&l->text);
	l->read = 0;
	(mail ? prepare_mail : hook ? prepare_webhook : prepare_ntfy)(s, q, l);
	SET(CURLOPT_ERRORBUFFER, q->why);
	SET(CURLOPT_URL, s->c->url);
	SET(CURLOPT_PROTOCOLS_STR, mail ? "smtp,smtps" : "http,https");
	SET(CURLOPT_USERAGENT, "uni-wizard/" UW_VERSION);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)TRY_MS);
	SET(CURLOPT_WRITEFUNCTION, swallow);
	code = q->curl->easy_perform(q->h);
	q->curl->easy_getinfo(q->h, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK)
		err_set(e, ERR_NETWORK, "%.200s", q->why[0] ? q->why : q->curl->easy_strerror(code));
	else if (!mail && status / 100 != 2)
		err_set(e, ERR_NETWORK, "it answers %ld", status);
	q->curl->easy_cleanup(q->h);
	q->curl->slist_free_all(q->list);
	if (code == CURLE_OK && (mail || status / 100 == 2))
		return 0;
	/* Of mail: 5xx is for good. */
	if (mail)
		return status >= 500 ? 1 : -1;
	return code == CURLE_OK && status / 100 == 4 && status != 408 && status != 429 ? 1 : -1;
}

static int
by_command(const struct sink *s, struct letter *l, struct err *e)
{
	const char *argv[] = { s->c->command, NULL };
	struct proc p = { .argv = argv, .deadline_ms = clock_mono_ms() + TRY_MS,
		.grace_ms = 1000, .max_out = 1024, .max_err = 1024 };
	struct proc_end end = { 0 };
	int rc;

	buf_clear(&l->text);
	buf_add(&l->text, l->line, l->len);
	buf_addc(&l->text, '\n');
	p.in = l->text.data;
	p.in_len = l->text.len;
	rc = proc_run(&p, &end, e);
	if (!rc && (end.status || end.signal))
		rc = err_set(e, ERR_TOOL, "it ends with %s %d: %.100s", end.signal ? "signal" : "exit code",
		    end.signal ? end.signal : end.status, buf_str(&end.err));
	proc_end_release(&end);
	return rc ? -1 : 0;
}

static void
deliver(const struct sink *s, const char *line, size_t len)
{
	struct letter l = { .line = line, .len = len, .o = json_parse_object(line, len, NULL) };
	int64_t wait = WAIT_MIN_MS;
	struct err e = { 0 };
	int rc = -1;

	for (int n = 1; rc < 0 && n <= TRIES; n++) {
		rc = (strcmp(s->c->kind, "command") == 0 ? by_command : by_curl)(s, &l, &e);
		if (rc == 0)
			log_info("sink %s: has %s, %s", s->c->name, json_text(l.o, "name"), json_text(l.o, "state"));
		else
			log_warnx("sink %s: %s, %s: %s%s", s->c->name, json_text(l.o, "name"), json_text(l.o, "state"), e.msg,
			    rc > 0 || n == TRIES ? "; given up" : "");
		if (rc < 0 && n < TRIES)
			poll(NULL, 0, (int)wait);
		wait = 2 * wait < WAIT_MAX_MS ? 2 * wait : WAIT_MAX_MS;
	}
	cJSON_Delete(l.o);
	buf_free(&l.text);
}

static void
serve(const struct sink *s, int fd)
{
	FILE *f = fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while (f && (n = getline(&line, &size, f)) > 0)
		if (line[n - 1] == '\n')
			deliver(s, line, (size_t)n - 1);
	free(line);
	_exit(0);
}

/* ---- in the process that hears alerts ---- */

static int
check(const struct sink *s, struct err *e)
{
	if (s->c->secret && !secret_of(s))
		return err_set(e, ERR_CONFIG, "sinks.%s.secret: this host has no secret %s", s->c->name, s->c->secret);
	if (s->c->command && access(s->c->command, X_OK))
		return err_set(e, ERR_CONFIG, "sinks.%s.command: %s cannot be run: %s", s->c->name, s->c->command, strerror(errno));
	return strcmp(s->c->kind, "command") != 0 && !curl_load(e) ? -1 : 0;
}

int
sink_open(struct sink *s, const struct config *config, const struct config_sink *c, const struct sink *others, size_t n,
    struct err *e)
{
	int fd[2];

	*s = (struct sink){ .config = config, .c = c, .fd = -1 };
	if (check(s, e))
		return -1;
	if (pipe(fd))
		return err_set(e, ERR_IO, "pipe: %s", strerror(errno));
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0)
		return err_set(e, ERR_IO, "fork: %s", strerror(errno));
	if (s->pid == 0) {
		/* Those are for who gives us work: he closes the pipe. */
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		fcntl(fd[0], F_SETFD, FD_CLOEXEC);
		close(fd[1]);
		for (size_t i = 0; i < n; i++)
			close(others[i].fd);
		serve(s, fd[0]);
	}
	close(fd[0]);
	s->fd = fd[1];
	fcntl(s->fd, F_SETFD, FD_CLOEXEC);
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

void
sink_put(struct sink *s, const char *line, size_t len)
{
	ssize_t n;

	if (s->fd < 0)
		return;
	if (s->queue.len + len <= QUEUE_MAX)
		buf_add(&s->queue, line, len);
	else if (!s->dropped++ || s->dropped % 100 == 0)
		log_warnx("sink %s: its queue is full, %lld alerts were dropped", s->c->name, s->dropped);
	n = s->queue.len ? write(s->fd, s->queue.data, s->queue.len) : 0;
	if (n > 0) {
		memmove(s->queue.data, s->queue.data + n, s->queue.len - (size_t)n);
		buf_cut(&s->queue, s->queue.len - (size_t)n);
	}
}

void
sink_close(struct sink *s, int ms)
{
	int64_t end = clock_mono_ms() + ms;

	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	buf_free(&s->queue);
	while (waitpid(s->pid, NULL, WNOHANG) == 0) {
		if (clock_mono_ms() > end)
			kill(s->pid, SIGKILL);
		poll(NULL, 0, 20);
	}
}
