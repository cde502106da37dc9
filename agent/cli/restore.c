#include "restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup_set.h"
#include "buf.h"
#include "clock.h"
#include "core.h"
#include "err.h"
#include "restore_store.h"
#include "save.h"

#define STAGE ".restoring"
#define SYSTEM_USER "uni-wizard"
#define PIECE 65536

/* A directory that files go to, and the one in it where they wait. */
struct restore_stage {
	char *dir, *path;
	bool config;
	int lock;
	uid_t uid;
	gid_t gid;
};

/* ---- names ---- */

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool
ends(const char *text, const char *with)
{
	size_t n = strlen(text), k = strlen(with);

	return n > k && strcmp(text + n - k, with) == 0;
}

static char *
joined(const char *dir, const char *name)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s", dir, name);
	return buf_take(&b);
}

static char *
dir_of(const char *path)
{
	const char *end = strrchr(path, '/');

	return !end ? xstrdup(".") : end == path ? xstrdup("/") : xstrndup(path, (size_t)(end - path));
}

static const char *
base_of(const char *path)
{
	const char *end = strrchr(path, '/');

	return end ? end + 1 : path;
}

/* Absolute, as in the configuration that was loaded. */
static char *
place_of(const struct restore *r, const char *path)
{
	const struct backup_manifest *m = r->about;
	char *dir, *out;

	if (r->o.to)
		return joined(r->o.to, path);
	if (begins(path, "pki/"))
		return joined(m->pki, path + 4);
	if (begins(path, "state/"))
		return joined(m->state, path + 6);
	if (begins(path, "sovereign/"))
		return xstrdup(m->sovereign_key);
	if (strcmp(path, "houses.yaml") == 0)
		return xstrdup(m->config);
	dir = dir_of(m->config);
	out = joined(dir, path);
	free(dir);
	return out;
}

const char *
restore_dir(const struct restore *r, const char *part, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", r->o.to ? r->o.to : strcmp(part, "pki") == 0 ? r->about->pki : r->about->state,
	    r->o.to ? "/" : "", r->o.to ? part : "");
	return out;
}

/* ---- what is wanted ---- */

static bool
is_store_of(const char *path, const char *agent)
{
	size_t n = strlen(agent);

	return begins(path, "state/") && strncmp(path + 6, agent, n) == 0 && strcmp(path + 6 + n, ".db") == 0;
}

static const struct backup_agent *
store_of(const struct backup_manifest *m, const char *path)
{
	for (size_t i = 0; i < m->nagents; i++)
		if (is_store_of(path, m->agents[i].agent))
			return &m->agents[i];
	return NULL;
}

/* "ezra-1.db", "ezra-1.audit.key", "hermes-ezra-1.db" */
static bool
belongs_to(const char *name, const char *agent)
{
	size_t n = strlen(agent);

	if (begins(name, "hermes-"))
		name += 7;
	return strncmp(name, agent, n) == 0 && name[n] == '.';
}

static bool
is_wanted(const struct restore *r, const char *path)
{
	const char *only = r->o.only;
	size_t n = only ? strlen(only) : 0;

	if (r->o.agent && begins(path, "state/") && !belongs_to(path + 6, r->o.agent))
		return false;
	if (!only)
		return true;
	return strcmp(only, "config") == 0 ? !strchr(path, '/') : strncmp(path, only, n) == 0 && path[n] == '/';
}

static int
check_agents(const struct restore *r, struct err *e)
{
	const struct backup_manifest *m = r->about;
	bool found = !r->o.agent;

	for (size_t i = 0; i < m->nagents; i++) {
		if (r->o.agent && strcmp(r->o.agent, m->agents[i].agent) != 0)
			continue;
		found = true;
		if (m->agents[i].version > core_store_version())
			return err_set(e, ERR_STORE, "the database of %s has version %lld, this program knows up to %d: use a newer one, %s or later",
			    m->agents[i].agent, (long long)m->agents[i].version, core_store_version(), m->program);
	}
	return found ? 0 : err_set(e, ERR_NOT_FOUND, "%s: the backup has no agent of this name", r->o.agent);
}

/* ---- what is there ---- */

static bool
has_digest(const char *path, const struct backup_file *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digest *d = digest_new();
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX], piece[PIECE];
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == f->bytes)
		while ((n = bytes_get_fd(&fd, piece, sizeof piece, NULL)) > 0)
			digest_add(d, piece, (size_t)n);
	digest_end(d, sum);
	digest_format(sum, hex);
	digest_free(d);
	if (fd >= 0)
		close(fd);
	return n == 0 && strcmp(hex, f->sha256) == 0;
}

static const char *const beside[] = { "-wal", "-shm", "-journal" };

static bool
is_there(const char *path)
{
	struct stat st;
	bool there = lstat(path, &st) == 0;

	for (size_t i = 0; !there && ends(path, ".db") && i < sizeof beside / sizeof *beside; i++) {
		char *more = xcalloc(1, strlen(path) + 16);

		snprintf(more, strlen(path) + 16, "%s%s", path, beside[i]);
		there = lstat(more, &st) == 0;
		free(more);
	}
	return there;
}

/* An agent has its database to itself. */
static bool
is_in_use(const char *path)
{
	sqlite3 *h = NULL;
	int rc = access(path, F_OK) ? SQLITE_OK : sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (h && rc == SQLITE_OK)
		rc = sqlite3_exec(h, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
	sqlite3_close(h);
	return rc == SQLITE_BUSY;
}

static int
look_at(const struct restore *r, struct restore_item *i, struct err *e)
{
	const struct backup_agent *a = store_of(r->about, i->file->path);

	if (a && is_in_use(i->target))
		return err_set(e, ERR_BUSY, "agent %s runs, and has %s open: stop it first", a->agent, i->target);
	if (!is_there(i->target))
		i->fate = RESTORE_NEW;
	else if (a ? restore_is_marked(i->target, r->mark) : has_digest(i->target, i->file))
		i->fate = RESTORE_SAME;
	else
		i->fate = RESTORE_THERE;
	if (i->fate == RESTORE_THERE && !r->o.force)
		return err_set(e, ERR_CONFLICT, "%s is there already, and is not what the backup has: --only leaves it out, --force puts it aside",
		    i->target);
	return 0;
}

static void
make_mark(struct restore *r)
{
	struct digest *d = digest_new();
	unsigned char sum[DIGEST_SIZE];
	struct buf b = { 0 };

	backup_manifest_put(&b, r->about);
	digest_of(d, b.data, b.len, sum);
	digest_format(sum, r->mark);
	digest_free(d);
	buf_free(&b);
}

/* A backup says itself where it goes, and encryption does not tell who wrote it: nothing is put anywhere under a name that other
 * programs obey. */
static bool
is_ours(const char *target)
{
	static const char *const kinds[] = { ".crt", ".crl", ".key", ".json", ".jsonl", ".db", ".binding", ".yaml", ".yml", "/env" };

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (ends(target, kinds[i]))
			return true;
	return false;
}

int
restore_plan(struct restore *r, const struct backup *b, const struct restore_opts *o, struct err *e)
{
	const struct backup_manifest *m = backup_about(b);
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct restore_item *item;
	struct tm t;

	*r = (struct restore){ .o = *o, .about = m, .fd = -1 };
	strftime(r->stamp, sizeof r->stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &t));
	make_mark(r);
	r->items = xcalloc(m->nfiles + 1, sizeof *r->items);
	if (check_agents(r, e))
		return -1;
	for (size_t i = 0; i < m->nfiles; i++) {
		if (!is_wanted(r, m->files[i].path))
			continue;
		item = &r->items[r->nitems++];
		*item = (struct restore_item){ .file = &m->files[i], .target = place_of(r, m->files[i].path) };
		if (item->target[0] != '/')
			return err_set(e, ERR_INVALID, "%s: the backup does not say where it was; --to says where it goes", m->files[i].path);
		if (!o->to && !is_ours(item->target))
			return err_set(e, ERR_DENIED, "%s: not a name of a certificate, key, database or configuration; --to DIR puts it beneath DIR",
			    item->target);
		if (look_at(r, item, e))
			return -1;
	}
	return r->nitems ? 0 : err_set(e, ERR_NOT_FOUND, "the backup has nothing of what was asked for");
}

/* ---- where it waits ---- */

/* Root gives it to whoever has that directory, or to the package's user, who only reads the configuration. */
static void
choose_owner(struct restore_stage *s)
{
	struct stat st;
	const struct passwd *p = getpwnam(SYSTEM_USER);

	s->uid = geteuid();
	s->gid = getegid();
	if (s->uid != 0)
		return;
	if (stat(s->dir, &st) == 0 && (st.st_uid != 0 || s->config)) {
		s->uid = st.st_uid;
		s->gid = st.st_gid;
	} else if (p) {
		s->uid = s->config ? 0 : p->pw_uid;
		s->gid = p->pw_gid;
	}
}

static void
empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
			unlinkat(dirfd(d), x->d_name, 0);
	if (d)
		closedir(d);
}

static int
make_target_dir(const struct restore_stage *s, struct err *e)
{
	if (access(s->dir, F_OK) == 0)
		return 0;
	if (save_dir(s->dir, s->config ? 0750 : 0700, e))
		return -1;
	return geteuid() != 0 || chown(s->dir, s->uid, s->gid) == 0 ? 0 : err_set(e, ERR_IO, "%s: %s", s->dir, strerror(errno));
}

static int
open_stage(struct restore_stage *s, struct err *e)
{
	if (make_target_dir(s, e))
		return -1;
	if (mkdir(s->path, 0700) && errno != EEXIST)
		return err_set(e, ERR_IO, "%s: %s", s->path, strerror(errno));
	s->lock = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->lock < 0)
		return err_set(e, ERR_IO, "%s: %s", s->path, strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB)) {
		close(s->lock);
		s->lock = -1;
		return err_busy(e, 10, "somebody else restores into %s", s->dir);
	}
	empty(s->path);
	return 0;
}

static struct restore_stage *
stage_for(struct restore *r, const struct restore_item *i, struct err *e)
{
	char *dir = dir_of(i->target);
	struct restore_stage *s;

	for (size_t k = 0; k < r->nstages; k++)
		if (strcmp(r->stages[k].dir, dir) == 0) {
			free(dir);
			return &r->stages[k];
		}
	r->stages = xrealloc(r->stages, (r->nstages + 1) * sizeof *r->stages);
	s = &r->stages[r->nstages++];
	*s = (struct restore_stage){ .dir = dir, .path = joined(dir, STAGE), .config = !strchr(i->file->path, '/'), .lock = -1 };
	choose_owner(s);
	return open_stage(s, e) ? NULL : s;
}

/* ---- reading ---- */

/* Keys and what is in state are their owner's alone, whatever they were. */
static mode_t
mode_of(const struct backup_file *f)
{
	return begins(f->path, "state/") || ends(f->path, ".key") ? f->mode & 0700 : f->mode;
}

static struct restore_item *
item_of(struct restore *r, const struct backup_file *f)
{
	return r->at < r->nitems && r->items[r->at].file == f ? &r->items[r->at] : NULL;
}

static int
begin_file(void *arg, const struct backup_file *f, struct err *e)
{
	struct restore *r = arg;
	struct restore_item *i = item_of(r, f);
	struct restore_stage *s;

	if (!i)
		return 0;
	/* Of one that was killed when all was in place, the directory is still there. */
	if (!(s = stage_for(r, i, e)))
		return -1;
	if (i->fate == RESTORE_SAME)
		return 0;
	i->staged = joined(s->path, base_of(i->target));
	r->fd = open(i->staged, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return r->fd >= 0 ? 0 : err_set(e, ERR_IO, "%s: %s", i->staged, strerror(errno));
}

static int
put_bytes(void *arg, const void *p, size_t len, struct err *e)
{
	struct restore *r = arg;

	if (r->fd < 0 || bytes_put_fd(&r->fd, p, len, e) == 0)
		return 0;
	return err_wrap(e, "%s", r->items[r->at].target);
}

static int
end_file(void *arg, const struct backup_file *f, struct err *e)
{
	struct restore *r = arg;
	struct restore_item *i = item_of(r, f);
	int rc = 0;

	if (r->fd >= 0) {
		rc = fsync(r->fd) ? err_set(e, ERR_IO, "%s: %s", i->target, strerror(errno)) : 0;
		close(r->fd);
		r->fd = -1;
	}
	r->at += i != NULL;
	return rc;
}

/* ---- making it fit ---- */

static int
fit_store(struct restore *r, struct restore_item *i, const struct backup_agent *a, struct err *e)
{
	char *dir = dir_of(i->staged), chain[800];
	int64_t version;
	int rc = backup_check_store(i->staged, &version, NULL, 0, e);

	if (rc == 0 && version > core_store_version())
		rc = err_set(e, ERR_STORE, "the database of %s has version %lld, this program knows up to %d", a->agent, (long long)version,
		    core_store_version());
	if (rc == 0 && (rc = restore_store(dir, a->agent, r->about->cluster, r->mark, chain, sizeof chain, e)) == 0 && *chain) {
		r->chains = xrealloc(r->chains, (r->nchains + 1) * sizeof *r->chains);
		r->chains[r->nchains++] = xstrdup(chain);
	}
	free(dir);
	return rc;
}

static int
fit(struct restore *r, struct restore_item *i, struct err *e)
{
	const char *path = i->file->path;
	const struct backup_agent *a = store_of(r->about, path);
	int64_t version;

	if (a)
		return fit_store(r, i, a, e);
	if (!begins(path, "state/") || !ends(path, ".db"))
		return 0;
	if (backup_check_store(i->staged, &version, NULL, 0, e))
		return -1;
	return begins(path, "state/hermes-") ? restore_hermes(i->staged, e) : 0;
}

static int
give(const struct restore *r, const char *path, mode_t mode, struct err *e)
{
	char *stage = dir_of(path);
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < r->nstages; k++)
		if (strcmp(r->stages[k].path, stage) == 0 && geteuid() == 0 && chown(path, r->stages[k].uid, r->stages[k].gid))
			rc = -1;
	if (rc || chmod(path, mode))
		rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	free(stage);
	return rc;
}

/* ---- putting it in place ---- */

static int
put_aside(const struct restore *r, struct restore_item *i, struct err *e)
{
	struct buf from = { 0 }, to = { 0 };
	int rc = 0;

	buf_addf(&to, "%s.before-%s", i->target, r->stamp);
	if (rename(i->target, to.data) && errno != ENOENT)
		rc = err_set(e, ERR_IO, "%s: %s", i->target, strerror(errno));
	i->aside = xstrdup(to.data);
	/* Or SQLite would take the log of the former database for this one's. */
	for (size_t k = 0; rc == 0 && ends(i->target, ".db") && k < sizeof beside / sizeof *beside; k++) {
		buf_clear(&from);
		buf_clear(&to);
		buf_addf(&from, "%s%s", i->target, beside[k]);
		buf_addf(&to, "%s%s", i->aside, beside[k]);
		if (rename(from.data, to.data) && errno != ENOENT)
			rc = err_set(e, ERR_IO, "%s: %s", from.data, strerror(errno));
	}
	buf_free(&from);
	buf_free(&to);
	return rc;
}

/* It took a while to get here: an agent may have been started meanwhile, with an empty disk. */
static int
look_again(const struct restore *r, const struct restore_item *i, struct err *e)
{
	if (store_of(r->about, i->file->path) && is_in_use(i->target))
		return err_set(e, ERR_BUSY, "%s was opened meanwhile: stop its agent", i->target);
	if (i->fate == RESTORE_NEW && is_there(i->target))
		return err_set(e, ERR_CONFLICT, "%s was made meanwhile: move it away", i->target);
	return 0;
}

static int
put_in_place(const struct restore *r, struct restore_item *i, struct err *e)
{
	if (look_again(r, i, e))
		return -1;
	if (i->fate == RESTORE_THERE && put_aside(r, i, e))
		return -1;
	return rename(i->staged, i->target) ? err_set(e, ERR_IO, "%s: %s", i->target, strerror(errno)) : 0;
}

/* Databases come last, and of those the agents' own: without them nothing begins. */
static int
turn_of(const struct restore *r, const struct restore_item *i)
{
	return store_of(r->about, i->file->path) ? 2 : ends(i->file->path, ".db") ? 1 : 0;
}

static int
sync_dirs(const struct restore *r, struct err *e)
{
	for (size_t k = 0; k < r->nstages; k++)
		if (save_sync_dir(r->stages[k].dir, e))
			return -1;
	return 0;
}

static int
put_chains(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->nchains; i++) {
		char *stage = dir_of(r->chains[i]), *dir = dir_of(stage), *to = joined(dir, base_of(r->chains[i]));
		int rc = give(r, r->chains[i], 0600, e) || rename(r->chains[i], to) ? -1 : 0;

		free(r->chains[i]);
		r->chains[i] = to;
		free(stage);
		free(dir);
		if (rc)
			return err_set(e, ERR_IO, "%s: %s", to, strerror(errno));
	}
	return 0;
}

static int
put_all(struct restore *r, struct err *e)
{
	if (put_chains(r, e))
		return -1;
	for (int turn = 0; turn < 3; turn++) {
		for (size_t i = 0; i < r->nitems; i++)
			if (r->items[i].staged && turn_of(r, &r->items[i]) == turn && put_in_place(r, &r->items[i], e))
				return -1;
		if (sync_dirs(r, e))
			return -1;
	}
	return 0;
}

int
restore_do(struct restore *r, struct backup *b, struct err *e)
{
	struct backup_visit v = { .begin = begin_file, .put = put_bytes, .end = end_file, .arg = r };

	if (backup_read(b, &v, e))
		return err_wrap(e, "nothing was restored");
	for (size_t i = 0; i < r->nitems; i++)
		if (r->items[i].staged && (fit(r, &r->items[i], e) || give(r, r->items[i].staged, mode_of(r->items[i].file), e)))
			return err_wrap(e, "nothing was restored");
	return put_all(r, e) ? err_wrap(e, "only a part is in place, the same command once more goes on from there") : 0;
}

void
restore_release(struct restore *r)
{
	if (r->fd >= 0)
		close(r->fd);
	for (size_t k = 0; k < r->nstages; k++) {
		if (r->stages[k].lock >= 0) {
			empty(r->stages[k].path);
			rmdir(r->stages[k].path);
			close(r->stages[k].lock);
		}
		free(r->stages[k].dir);
		free(r->stages[k].path);
	}
	for (size_t i = 0; i < r->nitems; i++) {
		free(r->items[i].target);
		free(r->items[i].staged);
		free(r->items[i].aside);
	}
	for (size_t i = 0; i < r->nchains; i++)
		free(r->chains[i]);
	free(r->stages);
	free(r->items);
	free(r->chains);
}
