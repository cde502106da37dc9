/*
 * beanstalk.c - the benchmark's job on beanstalkd: a no-op whose result goes back through a second tube.
 *
 * beanstalk window -n JOBS -p PORT                as many a second as go through
 * beanstalk pace   -n JOBS -p PORT -r RATE -H HIST
 * beanstalk knock  -p PORT                        whether anybody listens
 *
 * Three processes: one puts jobs, WINDOW of them unanswered at once; one works, taking what is ready (at most
 * WINDOW) at a time; one collects results. The job carries the time it was put at.
 * Prints per_s (window only) and clients_us, the processor time of the three.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "hist.h"
#include "log.h"

#define WINDOW 64
#define JOB_MAX 65536

struct conn {
	int fd;
	char in[JOB_MAX * 2];
	size_t from, to;                /* what is unread of it */
	struct buf out;                 /* commands that were not sent yet */
};

struct job {
	char id[24];
	char body[JOB_MAX];
	size_t len;
};

static struct {
	long jobs, rate;
	int port, bytes;
	const char *hist_path;
} opt = { .jobs = 5000, .rate = 100, .bytes = 200 };

static void
flush(struct conn *c)
{
	for (size_t done = 0; done < c->out.len;) {
		ssize_t n = send(c->fd, c->out.data + done, c->out.len - done, 0);

		if (n <= 0)
			fatal("beanstalk: send");
		done += (size_t)n;
	}
	buf_clear(&c->out);
}

static void
fill(struct conn *c)
{
	ssize_t n;

	if (c->from) {
		memmove(c->in, c->in + c->from, c->to - c->from);
		c->to -= c->from;
		c->from = 0;
	}
	n = recv(c->fd, c->in + c->to, sizeof c->in - c->to, 0);
	if (n <= 0)
		fatal("beanstalk: recv");
	c->to += (size_t)n;
}

static void
read_line(struct conn *c, char *line, size_t size)
{
	char *nl;
	size_t len;

	while (!(nl = memchr(c->in + c->from, '\n', c->to - c->from)))
		fill(c);
	len = (size_t)(nl - (c->in + c->from)) + 1;
	snprintf(line, size, "%.*s", (int)len - 2, c->in + c->from);
	c->from += len;
}

static void
read_body(struct conn *c, char *body, size_t len)
{
	while (c->to - c->from < len + 2)
		fill(c);
	memcpy(body, c->in + c->from, len);
	c->from += len + 2;
}

static void
expect(struct conn *c, const char *word)
{
	char line[256];

	read_line(c, line, sizeof line);
	if (strncmp(line, word, strlen(word)) != 0)
		fatalx("beanstalk: expected %s, got %s", word, line);
}

static struct conn *
conn_open(const char *use, const char *watch)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct conn *c = xcalloc(1, sizeof *c);
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at))
		fatal("beanstalk: port %d", opt.port);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (use) {
		buf_addf(&c->out, "use %s\r\n", use);
		flush(c);
		expect(c, "USING");
	}
	if (watch) {
		buf_addf(&c->out, "watch %s\r\nignore default\r\n", watch);
		flush(c);
		expect(c, "WATCHING");
		expect(c, "WATCHING");
	}
	return c;
}

static void
conn_close(struct conn *c)
{
	close(c->fd);
	buf_free(&c->out);
	free(c);
}

static void
put(struct conn *c, const char *body, size_t len)
{
	buf_addf(&c->out, "put 1024 0 120 %zu\r\n", len);
	buf_add(&c->out, body, len);
	buf_add(&c->out, "\r\n", 2);
}

static bool
read_job(struct conn *c, struct job *j)
{
	char line[256];

	read_line(c, line, sizeof line);
	if (strcmp(line, "TIMED_OUT") == 0)
		return false;
	if (sscanf(line, "RESERVED %23s %zu", j->id, &j->len) != 2 || j->len > sizeof j->body)
		fatalx("beanstalk: expected RESERVED, got %s", line);
	read_body(c, j->body, j->len);
	return true;
}

/* Waits for one job and takes what else is ready, as many more as there were last time and some. */
static int
reserve(struct conn *c, struct job *jobs, int *ask)
{
	int n = 0;

	buf_adds(&c->out, "reserve\r\n");
	for (int i = 1; i < *ask; i++)
		buf_adds(&c->out, "reserve-with-timeout 0\r\n");
	flush(c);
	for (int i = 0; i < *ask; i++)
		n += read_job(c, &jobs[n]);
	*ask = n * 2 > WINDOW ? WINDOW : n * 2;
	return n;
}

static void
work(void)
{
	struct conn *c = conn_open("results", "jobs");
	struct job *jobs = xcalloc(WINDOW, sizeof *jobs);
	int ask = 1;

	for (long done = 0; done < opt.jobs;) {
		int n = reserve(c, jobs, &ask);

		for (int i = 0; i < n; i++) {
			put(c, jobs[i].body, jobs[i].len);
			buf_addf(&c->out, "delete %s\r\n", jobs[i].id);
		}
		flush(c);
		for (int i = 0; i < n; i++) {
			expect(c, "INSERTED");
			expect(c, "DELETED");
		}
		done += n;
	}
	free(jobs);
	conn_close(c);
}

static void
produce(bool paced)
{
	struct conn *c = conn_open("jobs", NULL);
	char *body = xcalloc(1, (size_t)opt.bytes);
	long sent = 0, answered = 0;
	int64_t start = clock_mono_us(), now;

	memset(body, 'x', (size_t)opt.bytes);
	while (answered < opt.jobs) {
		int64_t left;

		while (paced && (left = start + sent * 1000000 / opt.rate - clock_mono_us()) > 0)
			poll(NULL, 0, (int)((left + 999) / 1000));
		while (sent < opt.jobs && sent - answered < (paced ? 1 : WINDOW)) {
			now = clock_mono_us();
			memcpy(body, &now, sizeof now);
			put(c, body, (size_t)opt.bytes);
			sent++;
		}
		flush(c);
		expect(c, "INSERTED");
		for (answered++; answered < sent && c->from < c->to; answered++)
			expect(c, "INSERTED");
	}
	free(body);
	conn_close(c);
}

static void
collect(struct hist *h)
{
	struct conn *c = conn_open(NULL, "results");
	struct job *jobs = xcalloc(WINDOW, sizeof *jobs);
	int ask = 1;

	for (long done = 0; done < opt.jobs;) {
		int n = reserve(c, jobs, &ask);
		int64_t now = clock_mono_us(), then;

		for (int i = 0; i < n; i++) {
			memcpy(&then, jobs[i].body, sizeof then);
			hist_add(h, (uint64_t)(now - then));
			buf_addf(&c->out, "delete %s\r\n", jobs[i].id);
		}
		flush(c);
		for (int i = 0; i < n; i++)
			expect(c, "DELETED");
		done += n;
	}
	free(jobs);
	conn_close(c);
}

static pid_t
child(void (*run)(bool), bool arg)
{
	pid_t pid = fork();

	if (pid < 0)
		fatal("beanstalk: fork");
	if (pid == 0) {
		run(arg);
		_exit(0);
	}
	return pid;
}

static void
work_child(bool arg)
{
	(void)arg;
	work();
}

static int64_t
cpu_us(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void
read_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:p:r:b:H:")) != -1) {
		long n = optarg ? strtol(optarg, NULL, 10) : 0;

		switch (c) {
		case 'n': opt.jobs = n; break;
		case 'p': opt.port = (int)n; break;
		case 'r': opt.rate = n; break;
		case 'b': opt.bytes = (int)n; break;
		case 'H': opt.hist_path = optarg; break;
		default: fatalx("beanstalk: see the head of tests/bench/beanstalk.c for what it takes");
		}
	}
}

int
main(int argc, char **argv)
{
	static struct hist h;
	bool paced = argc > 1 && strcmp(argv[1], "pace") == 0, knock = argc > 1 && strcmp(argv[1], "knock") == 0;
	int64_t start_us, end_us;
	int status, failures = 0;

	if (argc < 2 || !(paced || knock || strcmp(argv[1], "window") == 0))
		fatalx("usage: beanstalk window|pace|knock options");
	read_options(argc - 1, argv + 1);
	if (knock) {
		conn_close(conn_open(NULL, NULL));
		return 0;
	}
	child(work_child, false);
	start_us = clock_mono_us();
	child(produce, paced);
	collect(&h);
	end_us = clock_mono_us();
	while (wait(&status) > 0)
		failures += status != 0;
	if (failures)
		return 1;
	if (!paced)
		printf("per_s %.0f\n", (double)opt.jobs * 1e6 / (double)(end_us - start_us));
	else if (hist_save(&h, opt.hist_path))
		fatal("beanstalk: %s", opt.hist_path);
	printf("clients_us %" PRId64 "\n", cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN));
	return 0;
}
