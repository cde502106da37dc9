#include <fcntl.h>

#include "clock.h"
#include "file.h"
#include "mount.h"
#include "param.h"
#include "tool.h"

#define MAX_SEEN 5000000
#define MAX_LINKED 65536        /* files with several names that are remembered */
#define ROOM 1024               /* of the result, for everything but the list */

struct inode {
	dev_t dev;
	ino_t ino;
};

/* What stands directly beneath the directory, with all that is in it. */
struct child {
	char *name;
	bool dir;
	int64_t bytes, apparent, files;
};

struct usage {
	struct file_walk walk;
	struct child *v;
	size_t n, cap;
	int64_t bytes, apparent, files, dirs;
	struct inode *linked;           /* open addressing; a free place has ino 0 */
	size_t nlinked;
	bool linked_full;
};

/* True the first time. When the table is full everything is new, which counts too much and is said. */
static bool
first_name(struct usage *u, const struct stat *st)
{
	size_t at;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return true;
	if (!u->linked)
		u->linked = xcalloc(2 * MAX_LINKED, sizeof *u->linked);
	at = (size_t)((uint64_t)st->st_ino * 0x9e3779b97f4a7c15u >> 32) % (2 * MAX_LINKED);
	for (; u->linked[at].ino; at = (at + 1) % (2 * MAX_LINKED))
		if (u->linked[at].ino == st->st_ino && u->linked[at].dev == st->st_dev)
			return false;
	if (u->nlinked == MAX_LINKED) {
		u->linked_full = true;
		return true;
	}
	u->linked[at] = (struct inode){ .dev = st->st_dev, .ino = st->st_ino };
	u->nlinked++;
	return true;
}

static struct child *
child_of(struct usage *u, const struct file_entry *f)
{
	size_t len = strcspn(f->path, "/");

	/* The walk goes depth first, so the last child is the one. */
	if (f->path[len] == '/')
		return &u->v[u->n - 1];
	if (u->n == u->cap) {
		u->cap = u->cap ? 2 * u->cap : 64;
		u->v = xrealloc(u->v, u->cap * sizeof *u->v);
	}
	u->v[u->n] = (struct child){ .name = xstrdup(f->path), .dir = S_ISDIR(f->st.st_mode) };
	return &u->v[u->n++];
}

static int
usage_visit(void *arg, const struct file_entry *f)
{
	struct usage *u = arg;
	struct child *c = child_of(u, f);
	bool first = first_name(u, &f->st);
	int64_t bytes = first ? (int64_t)f->st.st_blocks * 512 : 0;
	int64_t apparent = first && S_ISREG(f->st.st_mode) ? f->st.st_size : 0;

	c->bytes += bytes;
	c->apparent += apparent;
	c->files += !S_ISDIR(f->st.st_mode);
	u->bytes += bytes;
	u->apparent += apparent;
	u->files += !S_ISDIR(f->st.st_mode);
	u->dirs += S_ISDIR(f->st.st_mode);
	return 0;
}

static int
largest_first(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void
put_child(const struct child *c, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "name", c->name);
	json_kv_str(result, "type", c->dir ? "dir" : "file");
	json_kv_int(result, "bytes", c->bytes);
	json_kv_int(result, "apparent_bytes", c->apparent);
	if (c->dir)
		json_kv_int(result, "files", c->files);
	json_put_close(result, '}');
}

/* The largest ones, as many as wanted and as fit. */
static size_t
put_children(const struct usage *u, size_t max, size_t max_output, struct buf *result)
{
	size_t i;

	json_put_key(result, "largest");
	json_put_open(result, '[');
	for (i = 0; i < u->n && i < max; i++) {
		size_t before = result->len;

		put_child(&u->v[i], result);
		if (result->len + ROOM > max_output) {
			buf_cut(result, before);
			break;
		}
	}
	json_put_close(result, ']');
	return i;
}

static void
put_usage(const struct tool_run *r, const struct usage *u, struct buf *result)
{
	size_t shown;

	json_put_open(result, '{');
	json_kv_str(result, "path", param_str(r, "path"));
	json_kv_int(result, "bytes", u->bytes);
	json_kv_int(result, "apparent_bytes", u->apparent);
	json_kv_int(result, "files", u->files);
	json_kv_int(result, "dirs", u->dirs);
	shown = put_children(u, (size_t)param_int(r, "limit"), r->max_output, result);
	json_kv_int(result, "listed", (int64_t)shown);
	json_kv_int(result, "total", (int64_t)u->n);
	json_kv_bool(result, "truncated", shown < u->n || u->walk.stopped_by);
	json_kv_bool(result, "complete", !u->walk.stopped_by && !u->walk.unreadable);
	if (u->walk.stopped_by)
		json_kv_str(result, "stopped_by", u->walk.stopped_by);
	if (u->walk.unreadable)
		json_kv_int(result, "unreadable_dirs", u->walk.unreadable);
	if (u->linked_full)
		json_kv_bool(result, "links_counted_twice", true);
	json_put_close(result, '}');
}

static int
directory_usage(const struct tool_run *r, struct buf *result, struct err *e)
{
	int dir = path_open(&r->env->roots, "path", param_str(r, "path"), O_RDONLY | O_DIRECTORY, 0, e);
	struct usage u = {
		.walk = {
			.max_depth = 128,
			.max_seen = MAX_SEEN,
			.deadline_ms = r->deadline_ms ? r->deadline_ms - 1000 : 0,
			.hidden = true,
			.one_device = !param_bool(r, "cross_devices"),
			.visit = usage_visit,
		},
	};

	if (dir < 0)
		return -1;
	u.walk.arg = &u;
	file_walk(&u.walk, dir);
	if (u.n)
		qsort(u.v, u.n, sizeof *u.v, largest_first);
	put_usage(r, &u, result);
	for (size_t i = 0; i < u.n; i++)
		free(u.v[i].name);
	free(u.v);
	free(u.linked);
	return 0;
}

static void
put_mount(const struct mount *m, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "mount", m->path);
	json_kv_str(result, "device", m->device);
	json_kv_str(result, "type", m->type);
	json_kv_int(result, "size_bytes", m->size);
	json_kv_int(result, "used_bytes", m->used);
	json_kv_int(result, "available_bytes", m->available);
	json_kv_num(result, "used_percent", mount_used_percent(m));
	if (m->inodes)
		json_kv_num(result, "inodes_used_percent", mount_inodes_percent(m));
	json_kv_bool(result, "read_only", m->read_only);
	json_put_close(result, '}');
}

static int
mounts_usage(const struct tool_run *r, struct buf *result)
{
	static struct mounts ms;
	size_t shown;

	mounts_read(&ms, param_bool(r, "network"));
	json_put_open(result, '{');
	json_put_key(result, "mounts");
	json_put_open(result, '[');
	for (shown = 0; shown < ms.n; shown++) {
		size_t before = result->len;

		put_mount(&ms.v[shown], result);
		if (result->len + ROOM > r->max_output) {
			buf_cut(result, before);
			break;
		}
	}
	json_put_close(result, ']');
	json_kv_bool(result, "truncated", ms.cut || shown < ms.n);
	json_put_close(result, '}');
	mounts_release(&ms);
	return 0;
}

static int
disk_usage_run(struct tool_run *r, struct buf *result, struct err *e)
{
	return param_str(r, "path") ? directory_usage(r, result, e) : mounts_usage(r, result);
}

const struct tool tool_disk_usage = {
	.name = "disk_usage",
	.summary = "How full the file systems are, or what takes the space in a directory",
	.schema = "{\"type\":\"object\",\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A directory beneath a root, added up; without it all file systems.\"},"
	    "\"limit\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000,\"default\":20,"
	    "\"description\":\"How many of the largest entries of the directory are listed.\"},"
	    "\"cross_devices\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Also what is mounted beneath the directory.\"},"
	    "\"network\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Network file systems too; they hang if their server is gone.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 120,
	.run = disk_usage_run,
};
