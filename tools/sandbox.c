#include "sandbox.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "json.h"
#include "path.h"
#include "sandbox_impl.h"

#ifdef __APPLE__
#define CTIME_NS(st) (st).st_ctimespec.tv_nsec
#else
#define CTIME_NS(st) (st).st_ctim.tv_nsec
#endif

/* A list of borrowed paths that ends with NULL. */
struct list {
	const char **v;
	size_t n;
};

static void
list_add(struct list *l, const char *path)
{
	l->v = xrealloc(l->v, (l->n + 2) * sizeof *l->v);
	l->v[l->n++] = path;
	l->v[l->n] = NULL;
}

static void
list_add_all(struct list *l, const char *const *v)
{
	for (; v && *v; v++)
		list_add(l, *v);
}

/* What every process inside has in common; one process enters one sandbox. */
static struct {
	bool entered;
	const struct sandbox *s;
	struct list hidden;             /* resolved paths */
} inside;

static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", NULL };

static void
add_roots(struct list *l, const struct path_roots *roots, bool also_read_only)
{
	for (size_t i = 0; i < roots->n; i++)
		if (roots->v[i].writable || also_read_only)
			list_add(l, roots->v[i].path);
}

/* Resolved, for that is what the kernel compares. What is not there need not be hidden. */
static void
hide(struct list *l, const char *path)
{
	char *real = path ? realpath(path, NULL) : NULL;

	if (real)
		list_add(l, real);
}

/* A file that all may read holds no secret. */
static bool
is_for_all(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 && st.st_mode & S_IROTH;
}

static void
hide_what_is_ours(struct list *l, const struct config *c)
{
	hide(l, c->state_dir);
	hide(l, c->pki_dir);
	hide(l, c->sovereign_key);
	if (!is_for_all(c->path))
		hide(l, c->path);
	for (size_t i = 0; i < c->nsecrets; i++)
		hide(l, c->secrets[i].file);
}

static void
limit(int what, int64_t value)
{
	struct rlimit r;

	if (value <= 0 || getrlimit(what, &r))
		return;
	if (r.rlim_max == RLIM_INFINITY || (rlim_t)value < r.rlim_max)
		r.rlim_max = (rlim_t)value;
	r.rlim_cur = r.rlim_max;
	setrlimit(what, &r);
}

/* A sanitizer needs terabytes of addresses. */
static void
set_limits(const struct config *c)
{
	limit(RLIMIT_NOFILE, c->worker_open_files);
	limit(RLIMIT_FSIZE, c->worker_file_bytes);
	limit(RLIMIT_NPROC, c->worker_processes);
#ifndef SANITIZED
	limit(RLIMIT_AS, c->worker_memory_bytes);
#endif
}

/* The user to become; NULL with e->code ERR_NONE when that is nobody else. */
static const struct passwd *
user_find(const struct config *c, struct err *e)
{
	const struct passwd *pw;
	char me[32];

	*e = (struct err){ 0 };
	if (!c->worker_user)
		return NULL;
	errno = 0;
	pw = getpwnam(c->worker_user);
	if (!pw) {
		err_set(e, ERR_CONFIG, "workers.user: this host has no user %s", c->worker_user);
		return NULL;
	}
	if (pw->pw_uid == geteuid())
		return NULL;
	if (geteuid() != 0) {
		snprintf(me, sizeof me, "uid %u", (unsigned)geteuid());
		err_set(e, ERR_CONFIG, "workers.user: only an agent that runs as root can start workers as %s; this one "
		    "runs as %s: leave workers.user out, or start the agent as root", c->worker_user, me);
		return NULL;
	}
	return pw;
}

int
sandbox_check(const struct config *c, struct err *e)
{
	user_find(c, e);
	return e->code == ERR_NONE ? 0 : -1;
}

static int
become_user(const struct sandbox *s, unsigned *walls, struct err *e)
{
	const struct passwd *pw = user_find(s->config, e);

	if (!pw)
		return e->code == ERR_NONE ? 0 : -1;
	if (s->temp && chown(s->temp, pw->pw_uid, pw->pw_gid))
		return err_set(e, ERR_IO, "workers.user: cannot give %s to %s: %s", s->temp, pw->pw_name,
		    strerror(errno));
	setenv("HOME", pw->pw_dir, 1);
	if (system_user(pw->pw_name, pw->pw_uid, pw->pw_gid))
		return err_set(e, ERR_IO, "workers.user: cannot become %s: %s", pw->pw_name, strerror(errno));
	*walls |= SANDBOX_USER;
	return 0;
}

static int
fence_worker(const struct sandbox *s, unsigned *walls, struct err *e)
{
	struct list writable = { 0 };
	int fd;

	list_add_all(&writable, devices);
	list_add_all(&writable, s->writes);
	add_roots(&writable, s->roots, false);
	if (s->temp)
		list_add(&writable, s->temp);
	/* Our own tools put artifacts there; programs cannot. */
	if (s->config->share_dir)
		list_add(&writable, s->config->share_dir);
	fd = fence_make(&(struct fence){ .writable = writable.v });
	free(writable.v);
	if (fd == -1)
		return 0;
	if (fd < 0 || fence_enter(fd))
		return err_set(e, ERR_IO, "cannot set up Landlock: %s", strerror(errno));
	close(fd);
	*walls |= fence_version() << SANDBOX_LANDLOCK;
	return 0;
}

int
sandbox_enter(const struct sandbox *s, struct err *e)
{
	unsigned walls = 0;

	hide_what_is_ours(&inside.hidden, s->config);
	inside.s = s;
	set_limits(s->config);
	if (become_user(s, &walls, e))
		return -1;
	walls |= system_privileges();
	if (fence_worker(s, &walls, e))
		return -1;
	walls |= system_calls();
	sandbox_hide();
	inside.entered = true;
	return (int)walls;
}

static int
fence_program(const struct sandbox_program *p, struct err *e)
{
	struct list writable = { 0 }, readable = { 0 };
	int fd;

	list_add_all(&writable, devices);
	list_add_all(&writable, p->writes);
	if (inside.s->temp)
		list_add(&writable, inside.s->temp);
	if (!p->read_only)
		add_roots(&writable, inside.s->roots, false);
	add_roots(&readable, inside.s->roots, true);
	for (size_t i = 0; i < inside.s->config->tool_dirs.n; i++)
		list_add(&readable, inside.s->config->tool_dirs.v[i]);
	fd = fence_make(&(struct fence){ .writable = writable.v, .hidden = inside.hidden.v, .readable = readable.v });
	if (fd == -2)
		err_set(e, ERR_IO, "cannot set up Landlock: %s", strerror(errno));
	free(writable.v);
	free(readable.v);
	return fd;
}

/*
 * A fence names what lies beside hidden files, and the system replaces such files (/etc/resolv.conf), so it
 * holds only until one of their directories changes. Making one takes a good part of a millisecond.
 */

#define SETTLED_MS 100          /* a younger change may be followed by one with the same time */

static void
mix(uint64_t *sum, int64_t n)
{
	*sum = (*sum ^ (uint64_t)n) * 0x9e3779b97f4a7c15u;
	*sum ^= *sum >> 29;
}

/* Of the directories above a path; *newest is when one of them changed last. */
static void
mix_directories(const char *path, uint64_t *sum, int64_t *newest_ms)
{
	char dir[PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof dir, "%s", path);
	for (char *slash; (slash = strrchr(dir, '/'));) {
		int64_t ms;

		*slash = '\0';
		if (stat(dir[0] ? dir : "/", &st))
			continue;
		ms = (int64_t)st.st_ctime * 1000 + CTIME_NS(st) / 1000000;
		mix(sum, (int64_t)st.st_ino);
		mix(sum, ms);
		mix(sum, CTIME_NS(st));
		*newest_ms = ms > *newest_ms ? ms : *newest_ms;
	}
}

static struct made {
	struct sandbox_program p;
	uint64_t directories;
	int fd;
} made[] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

#define MADE (sizeof made / sizeof *made)

static struct made *
made_find(const struct sandbox_program *p)
{
	for (size_t i = 0; i < MADE; i++)
		if (made[i].fd >= 0 && made[i].p.read_only == p->read_only && made[i].p.writes == p->writes)
			return &made[i];
	return NULL;
}

static int
fence_kept(const struct sandbox_program *p, struct err *e)
{
	static size_t next;
	struct made *m = made_find(p);
	uint64_t sum = 1;
	int64_t newest_ms = 0;

	for (size_t i = 0; i < inside.hidden.n; i++)
		mix_directories(inside.hidden.v[i], &sum, &newest_ms);
	if (m && m->directories == sum)
		return m->fd;
	if (!m)
		m = &made[next++ % MADE];
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct made){ .p = *p, .fd = fence_program(p, e),
		.directories = clock_wall_ms() - newest_ms > SETTLED_MS ? sum : 0 };
	return m->fd;
}

/* The descriptor stays open here. */
int
sandbox_program(const struct sandbox_program *p, struct err *e)
{
	return inside.entered ? fence_kept(p, e) : -1;
}

int
sandbox_program_enter(int fd)
{
	return fd < 0 ? 0 : fence_enter(fd);
}

unsigned
sandbox_offers(const struct config *c)
{
	struct err e;
	unsigned walls = system_offers() | fence_version() << SANDBOX_LANDLOCK;

	return user_find(c, &e) ? walls | SANDBOX_USER : walls;
}

void
sandbox_put(struct buf *b, unsigned walls)
{
	json_put_open(b, '{');
	json_kv_bool(b, "no_new_privs", walls & SANDBOX_NO_NEW_PRIVS);
	json_kv_bool(b, "seccomp", walls & SANDBOX_SECCOMP);
	json_kv_int(b, "landlock", walls >> SANDBOX_LANDLOCK & 255);
	json_kv_bool(b, "own_user", walls & SANDBOX_USER);
	json_put_close(b, '}');
}
