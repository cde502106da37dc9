#include "plan.h"

#include <stdarg.h>

#include "file.h"
#include "json.h"

static const char *const kind_names[PLAN_NKINDS] = {
#define X(sym, name) [sym] = name,
	PLAN_KINDS(X)
#undef X
};

static const char *const access_names[] = { [PLAN_WRITES] = "write", [PLAN_READS] = "read" };

const char *
plan_kind_name(enum plan_kind kind)
{
	return kind_names[kind];
}

int
plan_kind_parse(const char *name, enum plan_kind *out)
{
	for (int i = 0; i < PLAN_NKINDS; i++) {
		if (strcmp(kind_names[i], name) == 0) {
			*out = (enum plan_kind)i;
			return 0;
		}
	}
	return -1;
}

void
plan_init(struct plan *p, bool wants_dry_run)
{
	*p = (struct plan){ .wants_dry_run = wants_dry_run, .dry_run = { .max = PLAN_DRY_RUN_MAX } };
}

void
plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].name);
	free(p->v);
	buf_free(&p->dry_run);
}

/* UTF-8 without control characters: a person has to read it, and it is canonical as it stands. */
static bool
is_plain(const char *s)
{
	for (size_t left = strlen(s); left;) {
		int n = json_utf8_len(s, left);

		if (!n || (unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
		s += n;
		left -= (size_t)n;
	}
	return true;
}

int
plan_touch(struct plan *p, enum plan_kind kind, enum plan_access access, const char *name,
    const char *digest, struct err *e)
{
	struct touch *t;

	if (!is_plain(name) || strlen(name) > PLAN_NAME_MAX)
		return err_set(e, ERR_INVALID, "it would touch a %s whose name is not plain text, or too long",
		    kind_names[kind]);
	if (p->n == PLAN_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %d things would be touched", PLAN_MAX);
	p->v = xrealloc(p->v, (p->n + 1) * sizeof *p->v);
	t = &p->v[p->n++];
	*t = (struct touch){ .kind = kind, .access = access, .name = xstrdup(name), .base = strlen(name) };
	snprintf(t->digest, sizeof t->digest, "%s", digest ? digest : "");
	return 0;
}

int
plan_touch_ref(struct plan *p, enum plan_access access, const char *repo, const char *branch,
    const char *digest, struct err *e)
{
	struct buf b = { .max = 2 * PLAN_NAME_MAX };
	int rc;

	buf_addf(&b, "%s#%s", repo, branch);
	rc = plan_touch(p, PLAN_REF, access, buf_str(&b), digest, e);
	if (rc == 0)
		p->v[p->n - 1].base = strlen(repo);
	buf_free(&b);
	return rc;
}

void
plan_target(struct plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->target, sizeof p->target, fmt, ap);
	va_end(ap);
}

void
plan_show(struct plan *p, const char *text, size_t len)
{
	size_t room = p->dry_run.max - p->dry_run.len, n = len < room ? len : room;

	if (!p->wants_dry_run)
		return;
	while (n < len && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;    /* no half of a character */
	buf_add(&p->dry_run, text, n);
	p->left_out += len - n;
	if (n < len)
		p->dry_run.max = p->dry_run.len;
}

void
plan_showf(struct plan *p, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	plan_show(p, text, strlen(text));
}

static int
compare(const void *va, const void *vb)
{
	const struct touch *a = va, *b = vb;
	int d = strcmp(kind_names[a->kind], kind_names[b->kind]);

	d = d ? d : strcmp(a->name, b->name);
	d = d ? d : (int)a->access - (int)b->access;
	return d ? d : strcmp(a->digest, b->digest);
}

void
plan_sort(struct plan *p)
{
	size_t n = 0;

	if (p->n)
		qsort(p->v, p->n, sizeof *p->v, compare);
	for (size_t i = 0; i < p->n; i++) {
		if (n && compare(&p->v[n - 1], &p->v[i]) == 0)
			free(p->v[i].name);
		else
			p->v[n++] = p->v[i];
	}
	p->n = n;
}

const struct touch *
plan_find(const struct plan *p, enum plan_kind kind, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].kind == kind && strcmp(p->v[i].name, name) == 0)
			return &p->v[i];
	return NULL;
}

/* Members in the order of their names and no blanks: canonical as it stands. */
static void
put_touches(struct buf *b, const struct plan *p)
{
	json_put_open(b, '[');
	for (size_t i = 0; i < p->n; i++) {
		const struct touch *t = &p->v[i];

		json_put_open(b, '{');
		json_kv_str(b, "access", access_names[t->access]);
		json_kv_str(b, "kind", kind_names[t->kind]);
		json_kv_str(b, "name", t->name);
		json_kv_str(b, "sha256", t->digest[0] ? t->digest : NULL);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

void
plan_put(struct buf *b, const struct plan *p)
{
	json_put_open(b, '{');
	json_put_key(b, "touches");
	put_touches(b, p);
	json_kv_str(b, "target", p->target);
	json_kv_str(b, "dry_run", buf_str(&p->dry_run));
	if (p->left_out)
		json_kv_int(b, "left_out", (int64_t)p->left_out);
	json_put_close(b, '}');
}

void
plan_put_unknown(struct buf *b)
{
	buf_adds(b, "{\"touches\":null}");
}

int
plan_digest(const struct plan *p, char hex[PLAN_DIGEST], struct err *e)
{
	char digest[FILE_HASH_HEX];
	struct buf b = { 0 };
	int rc = 0;

	put_touches(&b, p);
	if (buf_ok(&b)) {
		file_hash_bytes(b.data, b.len, digest);
		snprintf(hex, PLAN_DIGEST, "%.64s", digest);
	} else {
		rc = err_set(e, ERR_TOO_BIG, "the list of what is touched is too long");
	}
	buf_free(&b);
	return rc;
}
