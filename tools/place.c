#include "place.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#define MAX_LINKS 40            /* as many as Linux follows */

/* Resolving one path: out is what is settled, rest what is still to be looked at. */
struct walk {
	struct buf out;
	char *rest;
	int links;
};

static void
pop(struct buf *out)
{
	while (out->len && out->data[out->len - 1] != '/')
		buf_cut(out, out->len - 1);
	if (out->len)
		buf_cut(out, out->len - 1);
}

/* The link's text goes in front of what is left; it is looked at like everything else. */
static int
follow(struct walk *w)
{
	char to[PATH_MAX];
	ssize_t n = readlink(w->out.data, to, sizeof to);
	struct buf b = { .max = 2 * PATH_MAX };

	if (n < 0 || n == (ssize_t)sizeof to || ++w->links > MAX_LINKS)
		return -1;
	buf_add(&b, to, (size_t)n);
	buf_addf(&b, "/%s", w->rest);
	free(w->rest);
	w->rest = buf_take(&b);
	pop(&w->out);
	if (to[0] == '/')
		buf_clear(&w->out);
	return b.full ? -1 : 0;
}

static int
step(struct walk *w)
{
	char *name = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(name, "/");
	struct stat st;
	char *rest;

	rest = xstrdup(name + n);
	if (n == 2 && name[0] == '.' && name[1] == '.')
		pop(&w->out);
	else if (n && !(n == 1 && name[0] == '.'))
		buf_addf(&w->out, "/%.*s", (int)n, name);
	else
		n = 0;
	free(w->rest);
	w->rest = rest;
	if (!n || !w->out.len)
		return 0;
	if (w->out.full)
		return -1;
	if (lstat(w->out.data, &st))
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	return S_ISLNK(st.st_mode) ? follow(w) : 0;
}

char *
place_resolve(const char *path)
{
	struct walk w = { .out = { .max = PATH_MAX }, .rest = xstrdup(path) };
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

static int
no_place(const char *text, struct err *e)
{
	return err_set(e, ERR_DENIED, "the policy marks a place as production that cannot be looked at: %.200s",
	    text);
}

int
place_parse(struct place *p, const char *text, struct err *e)
{
	size_t n = strcspn(text, ":");
	char kind[16];

	p->name = NULL;
	snprintf(kind, sizeof kind, "%.*s", (int)(n < sizeof kind ? n : 0), text);
	if (!text[n] || !text[n + 1] || plan_kind_parse(kind, &p->kind) || p->kind == PLAN_REF)
		return no_place(text, e);
	if (p->kind == PLAN_PATH || p->kind == PLAN_REPO)
		p->name = place_resolve(text + n + 1);
	else
		p->name = xstrdup(text + n + 1);
	return p->name ? 0 : no_place(text, e);
}

void
place_release(struct place *p)
{
	free(p->name);
}

/* b is a or lies beneath it. */
static bool
holds(const char *a, size_t alen, const char *b, size_t blen)
{
	if (alen && a[alen - 1] == '/')
		alen--;
	return blen >= alen && memcmp(a, b, alen) == 0 && (blen == alen || b[alen] == '/');
}

static bool
on_disk(enum plan_kind kind, const char *name)
{
	return kind == PLAN_PATH || kind == PLAN_REPO || (kind == PLAN_REF && name[0] == '/');
}

bool
place_covers(const struct place *p, const struct touch *t)
{
	size_t n = strlen(p->name);

	if (on_disk(p->kind, p->name) != on_disk(t->kind, t->name))
		return false;
	if (on_disk(p->kind, p->name))
		return holds(p->name, n, t->name, t->base) || holds(t->name, t->base, p->name, n);
	if (p->kind == PLAN_SERVICE || t->kind == PLAN_SERVICE)
		return p->kind == t->kind && strcmp(p->name, t->name) == 0;
	return holds(p->name, n, t->name, t->base);
}
