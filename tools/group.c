#include "group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "buf.h"
#include "clock.h"
#include "err.h"

#define LEDGER_MAX 65536
#define LEDGER_GROUPS 1024
#define ENVIRON_MAX (256 << 10)

#ifdef __linux__

struct stat_line {
	char state;
	pid_t pgrp;
	int64_t start;
};

static ssize_t
read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	out[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

/* The name, second field, may hold anything, ") 1 (" included: count from the last parenthesis. */
static int
stat_read(pid_t pid, struct stat_line *s)
{
	char path[40], text[1024], *p;
	long long start;
	int pgrp;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strrchr(text, ')')))
		return -1;
	if (sscanf(p + 1, " %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
	    &s->state, &pgrp, &start) != 3)
		return -1;
	s->pgrp = pgrp;
	s->start = start;
	return 0;
}

static bool
is_dead(const struct stat_line *s)
{
	return s->state == 'Z' || s->state == 'X';
}

int64_t
group_start(pid_t pid)
{
	struct stat_line s;

	return stat_read(pid, &s) || is_dead(&s) ? -1 : s.start;
}

static const char *
boot_id(void)
{
	static char id[64];

	if (!id[0] && read_file("/proc/sys/kernel/random/boot_id", id, sizeof id) > 0)
		id[strcspn(id, "\n")] = '\0';
	return id[0] ? id : "unknown";
}

/* Calls visit for each process until it returns true; true if one did. */
static bool
each_process(bool (*visit)(pid_t pid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir))) {
		char *end;
		long pid = strtol(d->d_name, &end, 10);

		if (pid > 0 && pid <= INT_MAX && *end == '\0')
			found = visit((pid_t)pid, arg);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool
lives_in_group(pid_t pid, void *arg)
{
	struct stat_line s;

	return stat_read(pid, &s) == 0 && s.pgrp == *(pid_t *)arg && !is_dead(&s);
}

static bool
has_living_member(pid_t pgid)
{
	return each_process(lives_in_group, &pgid);
}

struct marked {
	const char *mark;
	bool prefix;
	char *environ;
	int killed;
	pid_t found;
};

static bool
carries_mark(const char *env, size_t len, const struct marked *m)
{
	static const char name[] = GROUP_MARK "=";
	size_t n = sizeof name - 1, mark_len = strlen(m->mark);

	for (const char *p = env, *end = env + len; p < end; p += strlen(p) + 1) {
		if (strncmp(p, name, n) != 0 || strncmp(p + n, m->mark, mark_len) != 0)
			continue;
		if (m->prefix || p[n + mark_len] == '\0')
			return true;
	}
	return false;
}

static bool
is_marked(pid_t pid, const struct marked *m)
{
	char path[40];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	len = read_file(path, m->environ, ENVIRON_MAX);
	return len > 0 && pid != getpid() && carries_mark(m->environ, (size_t)len, m);
}

static bool
kill_if_marked(pid_t pid, void *arg)
{
	struct marked *m = arg;

	if (is_marked(pid, m) && kill(pid, SIGKILL) == 0)
		m->killed++;
	return false;
}

static bool
find_if_marked(pid_t pid, void *arg)
{
	struct marked *m = arg;

	m->found = is_marked(pid, m) ? pid : 0;
	return m->found;
}

static pid_t
find_marked(const char *mark)
{
	struct marked m = { .mark = mark, .prefix = true, .environ = malloc(ENVIRON_MAX) };

	if (m.environ && mark[0])
		each_process(find_if_marked, &m);
	free(m.environ);
	return m.found;
}

int
group_kill_marked(const char *mark, bool prefix)
{
	struct marked m = { .mark = mark, .prefix = prefix, .environ = malloc(ENVIRON_MAX) };

	if (m.environ && mark[0])
		each_process(kill_if_marked, &m);
	free(m.environ);
	return m.killed;
}

#else

static const char *
boot_id(void)
{
	return "any";   /* start times are absolute here */
}

#ifdef __APPLE__

int64_t
group_start(pid_t pid)
{
	int mib[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID, pid };
	struct kinfo_proc info;
	size_t size = sizeof info;

	if (sysctl(mib, 4, &info, &size, NULL, 0) || size == 0 || info.kp_proc.p_stat == SZOMB)
		return -1;
	return (int64_t)info.kp_proc.p_starttime.tv_sec * 1000000 + info.kp_proc.p_starttime.tv_usec;
}

#else

int64_t
group_start(pid_t pid)
{
	(void)pid;
	return -1;
}

#endif

static bool
has_living_member(pid_t pgid)
{
	return kill(-pgid, 0) == 0;
}

int
group_kill_marked(const char *mark, bool prefix)
{
	(void)mark;
	(void)prefix;
	return 0;
}

static pid_t
find_marked(const char *mark)
{
	(void)mark;
	return 0;
}

#endif

bool
group_is_gone(pid_t pid, bool thorough)
{
	if (kill(-pid, 0) && errno == ESRCH)
		return true;
	return thorough && !has_living_member(pid);
}

static int
write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Not synced: after a power cut there is nothing left to be found. */
static int
replace_file(const char *path, const char *text, size_t len, struct err *e)
{
	char temp[PATH_MAX];
	int fd;

	if (snprintf(temp, sizeof temp, "%s.new", path) >= (int)sizeof temp)
		return err_set(e, ERR_IO, "worker ledger %s: name too long", path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, ERR_IO, "worker ledger %s: %s", temp, strerror(errno));
	if (write_all(fd, text, len) | close(fd) || rename(temp, path)) {
		err_set(e, ERR_IO, "worker ledger %s: %s", path, strerror(errno));
		unlink(temp);
		return -1;
	}
	return 0;
}

int
ledger_write(const char *path, const char *mark, const struct group *v, size_t n, struct err *e)
{
	struct buf text = { .max = LEDGER_MAX };
	int rc;

	buf_addf(&text, "boot %s\nmark %s\n", boot_id(), mark);
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "worker %lld %lld\n", (long long)v[i].pid, (long long)v[i].start);
	rc = replace_file(path, buf_str(&text), text.len, e);
	buf_free(&text);
	return rc;
}

struct ledger {
	char boot[64], mark[128];
	struct group v[LEDGER_GROUPS];
	size_t n;
};

static void
ledger_line(struct ledger *l, const char *line)
{
	long long pid, start;

	if (sscanf(line, "worker %lld %lld", &pid, &start) == 2) {
		if (l->n < LEDGER_GROUPS && pid > 1 && pid <= INT_MAX && start >= 0)
			l->v[l->n++] = (struct group){ (pid_t)pid, start };
	} else if (sscanf(line, "boot %63s", l->boot) != 1) {
		sscanf(line, "mark %127s", l->mark);
	}
}

/* Lines that make no sense are passed over: a ledger never keeps an agent from starting. */
static int
ledger_read(const char *path, struct ledger *l)
{
	FILE *f = fopen(path, "re");
	char line[256];

	*l = (struct ledger){ 0 };
	if (!f)
		return -1;
	for (int left = LEDGER_MAX; left > 0 && fgets(line, sizeof line, f); left -= (int)strlen(line) + 1)
		ledger_line(l, line);
	fclose(f);
	return strcmp(l->boot, boot_id()) == 0 ? 0 : -1;
}

/* A leader with the right start time proves the group ours. Once the leader is dead only marks tell. */
static int
kill_led(const struct ledger *l)
{
	int killed = 0;

	for (size_t i = 0; i < l->n; i++)
		if (group_start(l->v[i].pid) == l->v[i].start && kill(-l->v[i].pid, SIGKILL) == 0)
			killed++;
	return killed;
}

pid_t
ledger_living(const char *path)
{
	struct ledger *l = xmalloc(sizeof *l);
	pid_t pid = 0;

	if (ledger_read(path, l) == 0) {
		for (size_t i = 0; i < l->n && !pid; i++)
			if (group_start(l->v[i].pid) == l->v[i].start)
				pid = l->v[i].pid;
		if (!pid)
			pid = find_marked(l->mark);
	}
	free(l);
	return pid;
}

int
ledger_sweep(const char *path, int64_t limit_ms)
{
	struct ledger *l = xmalloc(sizeof *l);
	int64_t until = clock_mono_ms() + limit_ms;
	int led = 0, strays = 0;

	if (ledger_read(path, l) == 0) {
		led = kill_led(l);
		strays = group_kill_marked(l->mark, true);
		while ((kill_led(l) | group_kill_marked(l->mark, true)) && clock_mono_ms() < until)
			poll(NULL, 0, 5);
	}
	unlink(path);
	free(l);
	return led ? led : strays > 0;
}
