/*
 * doctor_tools.c - what tools need on this host: programs, manifests, directories, and the walls around workers.
 */
#include <errno.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "doctor.h"
#include "proc.h"
#include "sandbox.h"
#include "tool.h"

#define LANDLOCK_BITS 0xff

struct manifests {
	struct doctor *d;
	int wrong;
};

static void
check_git(struct doctor *d)
{
	const char *const argv[] = { "git", "--version", NULL };
	struct proc p = { .argv = argv, .deadline_ms = clock_mono_ms() + 5000, .max_out = 200, .max_err = 200 };
	struct proc_end end = { .status = -1 };
	struct err e = { 0 };

	if (proc_run(&p, &end, &e) || end.status != 0)
		doctor_wrong(d, FOUND_GIT, "git", "git is not found in %s, or fails", PROC_PATH);
	else
		doctor_well(d, "%.*s", (int)strcspn(buf_str(&end.out), "\n"), buf_str(&end.out));
	proc_end_release(&end);
}

static void
bad_manifest(const char *msg, void *arg)
{
	struct manifests *m = arg;

	m->wrong++;
	doctor_wrong(m->d, FOUND_MANIFEST, "tools.d", "%s", msg);
}

static void
check_manifests(struct doctor *d)
{
	struct manifests m = { .d = d };
	struct registry *r;

	for (size_t i = 0; i < d->config->tool_dirs.n; i++)
		if (access(d->config->tool_dirs.v[i], R_OK | X_OK)) {
			m.wrong++;
			doctor_wrong(d, FOUND_ROOT, d->config->tool_dirs.v[i], "%s: %s", d->config->tool_dirs.v[i], strerror(errno));
		}
	if (m.wrong)
		return;
	r = registry_new(d->config, bad_manifest, &m);
	if (!m.wrong)
		doctor_well(d, "%zu tools", registry_count(r));
	registry_free(r);
}

static void
check_root(struct doctor *d, const char *dir, int mode)
{
	struct stat st;

	if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (access(dir, mode) == 0)
		return;
	doctor_wrong(d, FOUND_ROOT, dir, "%s: %s", dir, strerror(errno));
}

static void
check_sandbox(struct doctor *d)
{
	unsigned walls = sandbox_offers(d->config);
	struct err e = { 0 };

	if (sandbox_check(d->config, &e))
		doctor_wrong(d, FOUND_SANDBOX, "workers.user", "%s", e.msg);
	if (!(walls & SANDBOX_SECCOMP))
		doctor_note(d, "the kernel filters no system calls of workers: no seccomp here");
	if (!(walls >> SANDBOX_LANDLOCK & LANDLOCK_BITS))
		doctor_note(d, "no Landlock in this kernel: own tools may write wherever their user may");
	else
		doctor_well(d, "workers are walled in: Landlock %u%s", walls >> SANDBOX_LANDLOCK & LANDLOCK_BITS,
		    walls & SANDBOX_SECCOMP ? ", seccomp" : "");
}

void
doctor_tools(struct doctor *d)
{
	const struct config *c = d->config;

	check_git(d);
	check_manifests(d);
	for (size_t i = 0; i < c->roots.n; i++)
		check_root(d, c->roots.v[i], R_OK | W_OK | X_OK);
	for (size_t i = 0; i < c->read_roots.n; i++)
		check_root(d, c->read_roots.v[i], R_OK | X_OK);
	check_sandbox(d);
}
