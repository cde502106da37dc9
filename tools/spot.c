#include "spot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "host.h"

#define MAX_LINKS 40            /* as many as Linux follows */
#define MAX_MOUNTS (4u << 20)

#ifdef O_PATH
#define O_LOOK (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#else
#define O_LOOK (O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)
#endif

/* Resolving one path: out is what is settled, rest what is still to be looked at. */
struct walk {
	struct buf out;
	char *rest;
	int links;
	struct buf *seen;       /* where the links were; or NULL */
};

static void
pop(struct buf *out)
{
	const char *slash = out->len ? strrchr(out->data, '/') : NULL;

	buf_cut(out, slash ? (size_t)(slash - out->data) : 0);
}

/* The link's text goes in front of what is left; it is looked at like everything else. */
static int
follow(struct walk *w)
{
	char to[PATH_MAX];
	ssize_t n = readlink(w->out.data, to, sizeof to);
	struct buf b = { .max = 16 * PATH_MAX };

	if (n <= 0 || n == (ssize_t)sizeof to || ++w->links > MAX_LINKS)
		return -1;
	if (w->seen)
		buf_add(w->seen, w->out.data, w->out.len + 1);
	buf_add(&b, to, (size_t)n);
	buf_addc(&b, '/');
	buf_adds(&b, w->rest);
	if (b.full) {
		buf_free(&b);
		return -1;
	}
	free(w->rest);
	w->rest = buf_take(&b);
	if (to[0] == '/')
		buf_clear(&w->out);
	else
		pop(&w->out);
	return 0;
}

/* "." and empty names change nothing. */
static bool
is_nothing(const char *name, size_t n)
{
	return n == 0 || (n == 1 && name[0] == '.');
}

static int
enter(struct walk *w, const char *name, size_t n)
{
	struct stat st;

	if (is_nothing(name, n))
		return 0;
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		pop(&w->out);
		return 0;
	}
	buf_addc(&w->out, '/');
	buf_add(&w->out, name, n);
	if (w->out.full)
		return -1;
	if (lstat(w->out.data, &st))
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	return S_ISLNK(st.st_mode) ? follow(w) : 0;
}

static int
step(struct walk *w)
{
	char *whole = w->rest, *name = whole + strspn(whole, "/");
	size_t n = strcspn(name, "/");
	int rc;

	w->rest = xstrdup(name + n);
	rc = enter(w, name, n);
	free(whole);
	return rc;
}

char *
spot_resolve(const char *path)
{
	return spot_resolve_links(path, NULL);
}

char *
spot_resolve_links(const char *path, struct buf *links)
{
	struct walk w = { .out = { .max = PATH_MAX }, .rest = xstrdup(path), .seen = links };
	int rc = path[0] == '/' ? 0 : -1;

	while (rc == 0 && w.rest[0])
		rc = step(&w);
	free(w.rest);
	if (rc) {
		buf_free(&w.out);
		return NULL;
	}
	if (!w.out.len)
		buf_addc(&w.out, '/');
	return buf_take(&w.out);
}

char *
spot_of_fd(int fd)
{
	char to[PATH_MAX];
#ifdef __APPLE__
	return fcntl(fd, F_GETPATH, to) == 0 ? xstrdup(to) : NULL;
#else
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, to, sizeof to);
	return n > 0 && n < (ssize_t)sizeof to && to[0] == '/' ? xstrndup(to, (size_t)n) : NULL;
#endif
}

#ifdef __linux__

void
spot_mounts(struct buf *mounts)
{
	if (!host_file("/proc/self/mountinfo", MAX_MOUNTS, mounts))
		buf_clear(mounts);
}

/* Of what is open: the number that its line in mountinfo begins with; -1: not told. */
static long
mount_id(int fd)
{
	char path[64];
	struct buf b = { 0 };
	const char *at;
	long id = -1;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	if (host_file(path, 4096, &b) && (at = strstr(b.data, "mnt_id:")))
		id = strtol(at + strlen("mnt_id:"), NULL, 10);
	buf_free(&b);
	return id;
}

/* "36 35 98:0 /root /mount options..." with its fields, as long as the line's own. */
struct mount_line {
	long id;
	char device[32], root[PATH_MAX], at[PATH_MAX];
};

/* Blanks and backslashes are written as \040 and the like. */
static void
copy_field(char *to, size_t size, const char *from, size_t len)
{
	size_t n = 0;

	while (len && n + 1 < size) {
		bool coded = len >= 4 && from[0] == '\\';
		size_t used = coded ? 4 : 1;

		to[n++] = coded ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
		from += used;
		len -= used;
	}
	to[n] = '\0';
}

static bool
read_line(const char *line, struct mount_line *m)
{
	const struct { char *to; size_t size; } fields[] = {
		{ NULL, 0 }, { m->device, sizeof m->device }, { m->root, sizeof m->root }, { m->at, sizeof m->at },
	};
	char *end;

	m->id = strtol(line, &end, 10);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const char *from = end + strspn(end, " ");
		size_t n = strcspn(from, " \n");

		if (!n)
			return false;
		if (fields[i].to)
			copy_field(fields[i].to, fields[i].size, from, n);
		end += (size_t)(from - end) + n;
	}
	return true;
}

static bool
find_mount(const struct buf *mounts, long id, struct mount_line *m)
{
	const char *line = buf_str(mounts);

	while (*line) {
		if (strtol(line, NULL, 10) == id)
			return read_line(line, m);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

/* fd is what exists of name, up to `there`. */
static char *
find_origin(int fd, const char *name, const struct buf *mounts)
{
	static struct mount_line m;
	long id = mount_id(fd);
	struct buf b = { 0 };
	size_t n;

	if (id < 0 || !find_mount(mounts, id, &m))
		return NULL;
	n = strcmp(m.at, "/") == 0 ? 0 : strlen(m.at);
	if (!spot_holds(m.at, strlen(m.at), name, strlen(name)))
		return NULL;
	buf_addf(&b, "%s%s%s", m.device, strcmp(m.root, "/") == 0 ? "" : m.root, name + n);
	while (b.len && b.data[b.len - 1] == '/')
		buf_cut(&b, b.len - 1);
	return buf_take(&b);
}

#else

void
spot_mounts(struct buf *mounts)
{
	buf_clear(mounts);
}

static char *
find_origin(int fd, const char *name, const struct buf *mounts)
{
	(void)fd;
	(void)name;
	(void)mounts;
	return NULL;
}

#endif

/* path is what exists, from the thing itself up to, but without, the root. */
static int
find_up(struct spot *s, char *path)
{
	struct stat st;
	char *slash;

	while ((slash = strrchr(path, '/')) && slash[1]) {
		if (s->n == SPOT_DEPTH || lstat(path, &st))
			return -1;
		s->up[s->n].dev = st.st_dev;
		s->up[s->n++].ino = st.st_ino;
		*slash = '\0';
		if (slash == path)
			break;
	}
	return 0;
}

/* Cuts path back to what exists and opens that. */
static int
open_existing(char *path, bool *whole)
{
	int fd;

	*whole = true;
	while ((fd = open(path, O_LOOK)) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		char *slash = strrchr(path, '/');

		*whole = false;
		slash[slash == path] = '\0';
	}
	return fd;
}

int
spot_find(struct spot *s, const char *name, const struct buf *mounts)
{
	char *path = xstrdup(name);
	int fd, rc = -1;

	*s = (struct spot){ .name = xstrdup(name) };
	fd = name[0] == '/' ? open_existing(path, &s->exists) : -1;
	if (fd >= 0) {
		s->origin = find_origin(fd, name, mounts);
		rc = find_up(s, path);
		close(fd);
	}
	free(path);
	return rc;
}

void
spot_release(struct spot *s)
{
	free(s->name);
	free(s->origin);
}

bool
spot_holds(const char *a, size_t alen, const char *b, size_t blen)
{
	if (alen && a[alen - 1] == '/')
		alen--;
	return blen >= alen && memcmp(a, b, alen) == 0 && (blen == alen || b[alen] == '/');
}

static bool
text_overlap(const char *a, const char *b)
{
	size_t alen = strlen(a), blen = strlen(b);

	return spot_holds(a, alen, b, blen) || spot_holds(b, blen, a, alen);
}

/* a is one of the directories in which b lies, or b itself. */
static bool
is_above(const struct spot *a, const struct spot *b)
{
	for (size_t i = 0; a->exists && a->n && i < b->n; i++)
		if (a->up[0].dev == b->up[i].dev && a->up[0].ino == b->up[i].ino)
			return true;
	return false;
}

bool
spot_overlap(const struct spot *a, const struct spot *b)
{
	return text_overlap(a->name, b->name) || (a->origin && b->origin && text_overlap(a->origin, b->origin)) ||
	    is_above(a, b) || is_above(b, a);
}
