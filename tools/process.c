#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>

#include "buf.h"
#include "err.h"
#include "host.h"
#ifdef __APPLE__
#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/sysctl.h>
#endif

#define MAX_PROCESSES 100000
#define PF_KTHREAD 0x00200000           /* from the kernel's sched.h */

static void
processes_add(struct processes *ps, const struct process *p)
{
	if ((ps->n & (ps->n - 1)) == 0)
		ps->v = xrealloc(ps->v, (ps->n ? 2 * ps->n : 1) * sizeof *ps->v);
	ps->v[ps->n++] = *p;
}

void
processes_release(struct processes *ps)
{
	free(ps->v);
	*ps = (struct processes){ 0 };
}

/* No real figure is larger, and none of this size overflows when units are changed. */
static int64_t
capped(unsigned long long n)
{
	return n < 1ull << 40 ? (int64_t)n : (int64_t)1 << 40;
}

/* The name stands in parentheses and may hold any byte, parentheses too: its end is the last one. */
bool
process_stat_parse(const char *text, int64_t boot_ms, int64_t ticks, int64_t page, struct process *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long utime, stime, began;
	long long threads, rss;
	unsigned flags;
	int ppid;

	if (!open || !close || close < open)
		return false;
	*p = (struct process){ .pid = (pid_t)strtol(text, NULL, 10) };
	snprintf(p->name, sizeof p->name, "%.*s", (int)(close - open - 1), open + 1);
	if (sscanf(close + 1, " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %lld %*d "
	    "%llu %*u %lld", &p->state, &ppid, &flags, &utime, &stime, &threads, &began, &rss) != 8)
		return false;
	p->ppid = ppid;
	p->kernel = flags & PF_KTHREAD;
	p->threads = threads;
	p->rss = rss > 0 ? capped((unsigned long long)rss) * page : 0;
	p->cpu_ms = (capped(utime) + capped(stime)) * 1000 / ticks;
	p->began_ms = boot_ms + capped(began) * 1000 / ticks;
	return p->pid > 0;
}

static bool
needs_quotes(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (isspace((unsigned char)p[i]) || iscntrl((unsigned char)p[i]) || p[i] == '\'')
			return true;
	return len == 0;
}

void
process_args_format(const char *p, size_t len, struct buf *out)
{
	const char *end = p + len;

	while (p < end) {
		size_t n = strnlen(p, (size_t)(end - p));
		bool quotes = needs_quotes(p, n);

		buf_adds(out, out->len ? " " : "");
		buf_adds(out, quotes ? "'" : "");
		buf_add(out, p, n);
		buf_adds(out, quotes ? "'" : "");
		p += n + 1;
	}
}

#ifdef __linux__

/* "Uid: real effective saved filesystem" */
static bool
read_uid(pid_t pid, uid_t *uid)
{
	struct buf b = { 0 };
	char path[64];
	const char *at;
	unsigned effective;
	bool ok;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	ok = host_file(path, 16384, &b) && (at = strstr(buf_str(&b), "\nUid:")) &&
	    sscanf(at + 5, "%*u %u", &effective) == 1;
	if (ok)
		*uid = effective;
	buf_free(&b);
	return ok;
}

static bool
read_process(pid_t pid, int64_t boot_ms, struct process *p)
{
	struct buf b = { 0 };
	char path[64];
	bool ok;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	ok = host_file(path, 4096, &b) &&
	    process_stat_parse(buf_str(&b), boot_ms, sysconf(_SC_CLK_TCK), sysconf(_SC_PAGESIZE), p) &&
	    read_uid(pid, &p->uid);
	buf_free(&b);
	return ok;
}

int
processes_read(struct processes *ps, struct err *e)
{
	DIR *d = opendir("/proc");
	int64_t boot_ms = host_boot_ms();
	struct dirent *entry;
	struct process p;

	*ps = (struct processes){ 0 };
	if (!d)
		return err_set(e, ERR_IO, "/proc: %s", strerror(errno));
	while (ps->n < MAX_PROCESSES && (entry = readdir(d))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && read_process(pid, boot_ms, &p))
			processes_add(ps, &p);
	}
	closedir(d);
	return 0;
}

bool
process_args(pid_t pid, size_t max, struct buf *out)
{
	struct buf b = { 0 };
	char path[64];
	bool ok;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	ok = host_file(path, max, &b);
	process_args_format(buf_str(&b), b.len, out);
	buf_free(&b);
	return ok;
}

#else

/* As ps(1) shows it, from <sys/proc.h>'s SIDL, SRUN, SSLEEP, SSTOP, SZOMB. */
static char
state_letter(unsigned status)
{
	return status < 6 ? "?IRSTZ"[status] : '?';
}

static int64_t
ticks_to_ms(uint64_t ticks)
{
	static mach_timebase_info_data_t base;

	if (!base.denom)
		mach_timebase_info(&base);
	return (int64_t)(ticks / 1000000 * base.numer / base.denom);
}

static bool
read_process(pid_t pid, struct process *p)
{
	struct proc_bsdinfo bsd;
	struct proc_taskinfo task;

	if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &bsd, sizeof bsd) != (int)sizeof bsd)
		return false;
	*p = (struct process){
		.pid = pid,
		.ppid = (pid_t)bsd.pbi_ppid,
		.uid = bsd.pbi_uid,
		.state = state_letter(bsd.pbi_status),
		.began_ms = (int64_t)bsd.pbi_start_tvsec * 1000 + (int64_t)bsd.pbi_start_tvusec / 1000,
	};
	snprintf(p->name, sizeof p->name, "%s", bsd.pbi_name[0] ? bsd.pbi_name : bsd.pbi_comm);
	/* Only of one's own processes, unless one is root. */
	if (proc_pidinfo(pid, PROC_PIDTASKINFO, 0, &task, sizeof task) == (int)sizeof task) {
		p->threads = task.pti_threadnum;
		p->rss = (int64_t)task.pti_resident_size;
		p->cpu_ms = ticks_to_ms(task.pti_total_user + task.pti_total_system);
	}
	return true;
}

int
processes_read(struct processes *ps, struct err *e)
{
	int n = proc_listallpids(NULL, 0), room = (n > 0 ? n : 0) + 64;
	pid_t *pids = xcalloc((size_t)room, sizeof *pids);
	struct process p;

	*ps = (struct processes){ 0 };
	n = proc_listallpids(pids, room * (int)sizeof *pids);
	for (int i = 0; i < n && i < room && ps->n < MAX_PROCESSES; i++)
		if (pids[i] > 0 && read_process(pids[i], &p))
			processes_add(ps, &p);
	free(pids);
	return n > 0 ? 0 : err_set(e, ERR_IO, "the list of processes: %s", strerror(errno));
}

/* argc, the program's path, NULs, then the arguments; the environment that follows is not touched. */
bool
process_args(pid_t pid, size_t max, struct buf *out)
{
	int mib[] = { CTL_KERN, KERN_PROCARGS2, pid }, argc;
	size_t size = 1 << 20;
	char *all = xcalloc(1, size + 1), *p, *begin;
	bool ok = sysctl(mib, 3, all, &size, NULL, 0) == 0 && size > sizeof argc;

	if (ok) {
		memcpy(&argc, all, sizeof argc);
		p = all + sizeof argc;
		p += strnlen(p, (size_t)(all + size - p));
		while (p < all + size && !*p)
			p++;
		begin = p;
		while (argc-- > 0 && p < all + size)
			p += strnlen(p, (size_t)(all + size - p)) + 1;
		if (p > all + size)
			p = all + size;
		process_args_format(begin, (size_t)(p - begin) < max ? (size_t)(p - begin) : max, out);
	}
	free(all);
	return ok;
}

#endif
