#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <time.h>

#include "base64.h"
#include "clock.h"
#include "diff.h"
#include "file.h"
#include "guard.h"
#include "notes.h"
#include "param.h"
#include "tool.h"

#define LOCK_MS 10000           /* how long another writer in the same directory is waited for */

/*
 * The new content is written beside the file and renamed over it, so that a reader, a crash
 * or a full disk sees the old file or the new one. Writers lock the directory, which makes comparing
 * and replacing one step among them.
 */
struct write {
	const char *path, *expected;
	struct buf content;
	char hash[FILE_HASH_HEX];       /* of content */
	char old[FILE_HASH_HEX];        /* of what is there; empty: nothing */
	struct stat st;                 /* likewise */
	int dir;
	char name[NAME_MAX + 1], temp[32];
	char *real;                     /* where it is, links followed; NULL unless somebody asks */
	int mode;                       /* -1: not given */
};

static int
decode(const struct tool_run *r, struct write *w, struct err *e)
{
	const char *text = param_str(r, "content"), *mode = param_str(r, "mode");

	w->path = param_str(r, "path");
	w->expected = param_str(r, "expected_sha256");
	w->mode = mode ? (int)strtol(mode, NULL, 8) : -1;
	if (strcmp(param_str(r, "encoding"), "utf-8") == 0) {
		buf_adds(&w->content, text);
	} else if (base64_decode(&w->content, text, strlen(text), e)) {
		struct err why = *e;

		return err_field(e, ERR_INVALID, "params.content", text, "base64 (%s)", why.msg);
	}
	file_hash_bytes(buf_str(&w->content), w->content.len, w->hash);
	return 0;
}

static int
lock(const struct write *w, int64_t deadline_ms, struct err *e)
{
	int64_t until_ms = clock_mono_ms() + LOCK_MS;
	struct timespec pause = { .tv_nsec = 5000000 };

	if (deadline_ms && deadline_ms < until_ms)
		until_ms = deadline_ms;
	while (flock(w->dir, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, ERR_IO, "cannot lock the directory of %s: %s", w->path,
			    strerror(errno));
		if (clock_mono_ms() >= until_ms)
			return err_set(e, ERR_BUSY, "%s: another writer holds its directory, try again",
			    w->path);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int
hash_old(struct write *w, int64_t deadline_ms, struct err *e)
{
	int fd, rc;

	if (fstatat(w->dir, w->name, &w->st, AT_SYMLINK_NOFOLLOW)) {
		w->old[0] = '\0';
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, "%s: %s", w->path, strerror(errno));
	}
	if (S_ISLNK(w->st.st_mode))
		return err_field(e, ERR_PATH, "params.path", w->path, "a path that is no symbolic link");
	if (!S_ISREG(w->st.st_mode))
		return err_field(e, ERR_INVALID, "params.path", file_type(w->st.st_mode),
		    "a regular file or a new name");
	fd = openat(w->dir, w->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_IO, "cannot read %s: %s", w->path, strerror(errno));
	rc = fstat(fd, &w->st) || file_hash(fd, "sha256", deadline_ms, w->old, NULL, e);
	close(fd);
	return rc ? err_wrap(e, "%s", w->path) : 0;
}

/* The same content is what a run that was cut off before it could answer leaves behind: done. */
static int
compare(const struct write *w, struct err *e)
{
	if (!w->expected || strcmp(w->old, w->hash) == 0)
		return 0;
	if (strcmp(w->expected, "absent") == 0)
		return w->old[0] ? err_field(e, ERR_CONFLICT, "params.expected_sha256", w->old,
		    "no file %s yet; read it and decide anew", w->path) : 0;
	if (strcmp(w->expected, w->old) == 0)
		return 0;
	return err_field(e, ERR_CONFLICT, "params.expected_sha256", w->old[0] ? w->old : "absent",
	    "%s to have %s; it was changed, read it again", w->path, w->expected);
}

static int
write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static mode_t
mode_of(const struct write *w)
{
	if (w->mode >= 0)
		return (mode_t)w->mode;
	return w->old[0] ? w->st.st_mode & 0777 : 0644;
}

/* Owner and group are kept where we may, else the file becomes ours, as with any editor. Set-uid
 * bits are not kept: they were given to the old content. */
static int
finish_temp(const struct write *w, int fd)
{
	if (w->old[0] && (w->st.st_uid != geteuid() || w->st.st_gid != getegid()) &&
	    fchown(fd, w->st.st_uid, w->st.st_gid) && errno != EPERM)
		return -1;
	if (write_all(fd, buf_str(&w->content), w->content.len))
		return -1;
	return fchmod(fd, mode_of(w)) || fsync(fd) ? -1 : 0;
}

/* The temporary name belongs to whoever holds the lock: one left by a crash is simply removed. */
static int
make_temp(const struct write *w, struct err *e)
{
	int fd, rc;

	unlinkat(w->dir, w->temp, 0);
	fd = openat(w->dir, w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_IO, "cannot write in the directory of %s: %s", w->path,
		    strerror(errno));
	rc = finish_temp(w, fd);
	if (rc)
		err_set(e, ERR_IO, "cannot write %s: %s; what was there is unchanged", w->path,
		    strerror(errno));
	if (close(fd) && rc == 0)
		rc = err_set(e, ERR_IO, "cannot write %s: %s; what was there is unchanged", w->path,
		    strerror(errno));
	return rc;
}

/* A new file is linked into place: that fails if somebody who does not lock took the name meanwhile. */
static int
put_in_place(const struct write *w)
{
	if (w->expected && !w->old[0])
		return linkat(w->dir, w->temp, w->dir, w->name, 0);
	return renameat(w->dir, w->temp, w->dir, w->name);
}

static int
replace(const struct write *w, struct err *e)
{
	int error;

	if (make_temp(w, e) == 0) {
		if (put_in_place(w) == 0) {
			unlinkat(w->dir, w->temp, 0);
			return fsync(w->dir) ? err_set(e, ERR_IO,
			    "%s is written, but its directory is not yet on disk: %s",
			    w->path, strerror(errno)) : 0;
		}
		error = errno;
		err_set(e, error == EEXIST ? ERR_CONFLICT : ERR_IO, "cannot put %s in place: %s; %s", w->path,
		    strerror(error), error == EEXIST ? "somebody made it meanwhile" : "nothing was changed");
	}
	unlinkat(w->dir, w->temp, 0);
	return -1;
}

static bool
has_mode(const struct write *w)
{
	return w->mode < 0 || (int)(w->st.st_mode & 0777) == w->mode;
}

/* Not of a file with several names: the others may lie where nothing may be changed. */
static int
set_mode(const struct write *w, struct err *e)
{
	if (has_mode(w))
		return 0;
	if (w->st.st_nlink > 1)
		return replace(w, e);
	if (fchmodat(w->dir, w->name, (mode_t)w->mode, 0))
		return err_set(e, ERR_IO, "cannot set the mode of %s: %s", w->path, strerror(errno));
	return 0;
}

/* The directory is open and locked now: what was agreed is looked at where it counts. */
static int
write_locked(struct tool_run *r, struct write *w, struct err *e)
{
	if (hash_old(w, r->deadline_ms, e) || compare(w, e))
		return -1;
	if (r->agreed && touch_agreed(r, PLAN_PATH, w->real, w->old, e))
		return -1;
	return strcmp(w->old, w->hash) == 0 ? set_mode(w, e) : replace(w, e);
}

static void
put_written(const struct write *w, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "path", w->path);
	json_kv_int(result, "bytes", (int64_t)w->content.len);
	json_kv_str(result, "sha256", w->hash);
	json_kv_str(result, "previous_sha256", w->old[0] ? w->old : NULL);
	json_kv_bool(result, "created", !w->old[0]);
	json_kv_bool(result, "changed", strcmp(w->old, w->hash) != 0);
	file_put_mode(result, mode_of(w));
	json_put_close(result, '}');
}

static void
name_temp(struct write *w)
{
	char hex[FILE_HASH_HEX];

	file_hash_bytes(w->name, strlen(w->name), hex);
	snprintf(w->temp, sizeof w->temp, ".uw-%.16s.tmp", hex);
}

static int
write_open(const struct tool_run *r, struct write *w, bool real, struct err *e)
{
	*w = (struct write){ .dir = -1 };
	if (decode(r, w, e))
		return -1;
	w->dir = path_open_parent(&r->env->roots, "path", w->path, w->name, sizeof w->name, e);
	if (w->dir < 0)
		return -1;
	name_temp(w);
	if (real && !(w->real = file_real_name(w->dir, w->name)))
		return err_set(e, ERR_IO, "%s: the system does not tell where it is", w->path);
	return 0;
}

static void
write_close(struct write *w)
{
	if (w->dir >= 0)
		close(w->dir);
	buf_free(&w->content);
	free(w->real);
}

static int
file_write_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct write w;
	int rc = write_open(r, &w, r->agreed || r->notes, e);

	if (rc == 0)
		rc = lock(&w, r->deadline_ms, e) || write_locked(r, &w, e) ? -1 : 0;
	if (rc == 0) {
		put_written(&w, result);
		note_write(r, PLAN_PATH, w.real, w.hash);
	}
	write_close(&w);
	return rc;
}

static int
show_line(void *arg, char mark, const char *text, size_t len)
{
	struct plan *p = arg;

	plan_show(p, &mark, 1);
	plan_show(p, text, len);
	return 0;
}

static bool
is_text(const char *p, size_t len)
{
	bool text;

	return file_text_fits(p, len, SIZE_MAX, &text) == len && text;
}

/* The content of what is there, if it can be shown and is still what was hashed. */
static bool
read_old(const struct write *w, struct buf *old)
{
	char hex[FILE_HASH_HEX];
	int fd = w->st.st_size <= DIFF_MAX ? openat(w->dir, w->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && old->len <= DIFF_MAX) {
		char *to = buf_reserve(old, DIFF_MAX + 1);

		n = read(fd, to, DIFF_MAX + 1);
		old->len += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (fd < 0 || n || old->len > DIFF_MAX || !is_text(buf_str(old), old->len))
		return false;
	file_hash_bytes(buf_str(old), old->len, hex);
	return strcmp(hex, w->old) == 0;
}

static void
show_sizes(const struct write *w, struct plan *p)
{
	if (w->old[0])
		plan_showf(p, "-%lld bytes, sha256 %s\n", (long long)w->st.st_size, w->old);
	plan_showf(p, "+%zu bytes, sha256 %s\n", w->content.len, w->hash);
}

static void
show_change(const struct write *w, struct plan *p)
{
	struct buf old = { 0 };
	bool text = w->content.len <= DIFF_MAX && is_text(buf_str(&w->content), w->content.len);

	plan_showf(p, "--- %s\n+++ %s\n", w->old[0] ? w->real : "/dev/null", w->real);
	if (w->old[0] && !has_mode(w))
		plan_showf(p, "mode %04o -> %04o\n", (unsigned)(w->st.st_mode & 0777), (unsigned)w->mode);
	if (text && (!w->old[0] || read_old(w, &old)))
		diff_texts(buf_str(&old), old.len, buf_str(&w->content), w->content.len, show_line, p);
	else
		show_sizes(w, p);
	buf_free(&old);
}

static const char *
change_name(const struct write *w)
{
	if (!w->old[0])
		return "a new file";
	return strcmp(w->old, w->hash) == 0 ? has_mode(w) ? "no change" : "the mode alone" : "replaces the content";
}

static int
file_write_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct write w;
	int rc = write_open(r, &w, true, e);

	if (rc == 0)
		rc = hash_old(&w, r->deadline_ms, e) || compare(&w, e) ||
		    plan_touch(p, PLAN_PATH, PLAN_WRITES, w.real, w.old, e) ? -1 : 0;
	if (rc == 0) {
		plan_target(p, "%s (%s, %zu bytes)", w.real, change_name(&w), w.content.len);
		if (p->wants_dry_run)
			show_change(&w, p);
	}
	write_close(&w);
	return rc;
}

static int
file_write_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *expected = json_text(result, "sha256");
	char hex[FILE_HASH_HEX] = "";
	struct stat st;
	int fd = file_open(r, "path", &st, e), rc;

	if (fd < 0)
		return -1;
	rc = file_hash(fd, "sha256", r->deadline_ms, hex, NULL, e);
	close(fd);
	return rc ? -1 : note_check(r, "file_hash", param_str(r, "path"), strcmp(hex, expected) == 0, hex,
	    expected, e);
}

const struct tool tool_file_write = {
	.name = "file_write",
	.summary = "Writes a whole file: all of it or nothing, on request only over a known content",
	.schema = "{\"type\":\"object\",\"required\":[\"path\",\"content\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A file beneath a writable root; its directory must exist. Not a symbolic "
	    "link.\"},"
	    "\"content\":{\"type\":\"string\",\"description\":\"The whole new content.\"},"
	    "\"encoding\":{\"enum\":[\"utf-8\",\"base64\"],\"default\":\"utf-8\","
	    "\"description\":\"How content is given.\"},"
	    "\"expected_sha256\":{\"type\":\"string\",\"pattern\":\"^([0-9a-f]{64}|absent)$\","
	    "\"description\":\"Write only if the file has this content now, or does not exist (absent). If "
	    "it has the "
	    "new content already, that is success with changed false.\"},"
	    "\"mode\":{\"type\":\"string\",\"pattern\":\"^0?[0-7]{3}$\","
	    "\"description\":\"Permission bits in octal; without it they are kept, 0644 for a new file.\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 60,
	.run = file_write_run,
	.plan = file_write_plan,
	.prove = file_write_prove,
};
