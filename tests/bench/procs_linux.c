#include <ctype.h>
#include <dirent.h>

#include "procs.h"

struct usage {
	int pid, parent;
	int64_t us;             /* user and system */
	int64_t children_us;    /* of those that were waited for */
	bool counted;
};

/* To the nanosecond, while stat counts in ticks of 10 ms: what an idle process uses would not show. Threads
 * that have ended are missing, so it is a lower bound. */
static int64_t
threads_us(int pid)
{
	char path[300];
	struct dirent *e;
	int64_t ns = 0;
	long long one;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
		f = isdigit((unsigned char)e->d_name[0]) ? fopen(path, "r") : NULL;
		if (f && fscanf(f, "%lld", &one) == 1)
			ns += one;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return ns / 1000;
}

static int64_t
ticks_us(int64_t ticks)
{
	return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

/* The name in field 2 may hold spaces and brackets: the numbers start after the last one. */
static bool
read_stat(int pid, struct usage *u)
{
	char path[64], line[1024], *p;
	unsigned long user, sys;
	long cuser, csys;
	FILE *f;
	bool ok;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	p = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
	ok = p && sscanf(p + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &u->parent,
	    &user, &sys, &cuser, &csys) == 5;
	fclose(f);
	if (ok) {
		u->pid = pid;
		u->us = ticks_us((int64_t)(user + sys));
		u->children_us = ticks_us(cuser + csys);
		u->counted = false;
	}
	return ok;
}

static size_t
read_all(struct usage *all, size_t max)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	while (d && n < max && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]) && read_stat((int)strtol(e->d_name, NULL, 10), &all[n]))
			n++;
	if (d)
		closedir(d);
	return n;
}

static bool
is_named(const struct procs *p, int pid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->pid[i] == pid)
			return true;
	return false;
}

static bool
has_counted_parent(const struct usage *all, size_t n, int parent)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].pid == parent)
			return all[i].counted;
	return false;
}

static int64_t
total_us(const struct usage *u)
{
	int64_t us = threads_us(u->pid);

	return (us > u->us ? us : u->us) + u->children_us;
}

int64_t
procs_cpu_us(const struct procs *p, bool descendants)
{
	static struct usage all[8192];
	size_t n = read_all(all, sizeof all / sizeof *all);
	int64_t us = 0;
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (all[i].counted || !(is_named(p, all[i].pid) ||
			    (descendants && has_counted_parent(all, n, all[i].parent))))
				continue;
			all[i].counted = more = true;
			us += total_us(&all[i]);
		}
	}
	return us;
}

int64_t
procs_rss_bytes(const struct procs *p)
{
	int64_t pages = 0;

	for (size_t i = 0; i < p->n; i++) {
		char path[64];
		long resident = 0;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/statm", p->pid[i]);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%*d %ld", &resident) == 1)
			pages += resident;
		fclose(f);
	}
	return pages * sysconf(_SC_PAGESIZE);
}
