#include "notes.h"

#include "json.h"
#include "tool.h"

void
notes_release(struct notes *n)
{
	buf_free(&n->reads);
	buf_free(&n->writes);
	buf_free(&n->checks);
}

bool
notes_wanted(const struct tool_run *r)
{
	return r->notes != NULL;
}

/* Whole entries only: one that does not fit is left out. */
static bool
begin(struct notes *n, struct buf *list, size_t *before)
{
	*before = list->len;
	if (n->n == NOTES_MAX) {
		n->left_out++;
		return false;
	}
	json_put_open(list, '{');
	return true;
}

static void
finish(struct notes *n, struct buf *list, size_t before)
{
	json_put_close(list, '}');
	if (list->full || n->reads.len + n->writes.len + n->checks.len > NOTES_BYTES) {
		list->full = false;
		buf_cut(list, before);
		n->left_out++;
	} else {
		n->n++;
	}
}

static void
note(struct notes *n, struct buf *list, enum plan_kind kind, const char *name, const char *digest)
{
	size_t before;

	if (!begin(n, list, &before))
		return;
	json_kv_str(list, "kind", plan_kind_name(kind));
	json_kv_str(list, "name", name);
	json_kv_str(list, "sha256", digest && digest[0] ? digest : NULL);
	finish(n, list, before);
}

void
note_read(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest)
{
	if (r->notes)
		note(r->notes, &r->notes->reads, kind, name, digest);
}

void
note_write(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest)
{
	if (r->notes)
		note(r->notes, &r->notes->writes, kind, name, digest);
}

int
note_check(struct tool_run *r, const char *check, const char *name, bool holds, const char *found,
    const char *expected, struct err *e)
{
	struct notes *n = r->notes;
	size_t before;

	if (n && begin(n, &n->checks, &before)) {
		json_kv_str(&n->checks, "check", check);
		json_kv_str(&n->checks, "name", name);
		json_kv_bool(&n->checks, "ok", holds);
		json_kv_str(&n->checks, "found", found && found[0] ? found : NULL);
		finish(n, &n->checks, before);
	}
	return holds ? 0 : err_set(e, ERR_UNPROVEN, "%s of %s: found %s, expected %s", check, name,
	    found && found[0] ? found : "nothing", expected);
}

static void
put_list(struct buf *b, const char *key, const struct buf *list)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	buf_add(b, buf_str(list), list->len);
	json_put_close(b, ']');
}

void
notes_put(struct buf *b, const struct notes *n)
{
	json_put_open(b, '{');
	put_list(b, "reads", &n->reads);
	put_list(b, "writes", &n->writes);
	if (n->proved) {
		json_put_key(b, "proof");
		json_put_open(b, '{');
		json_kv_bool(b, "ok", n->ok);
		put_list(b, "checks", &n->checks);
		json_put_close(b, '}');
	}
	if (n->left_out)
		json_kv_int(b, "left_out", n->left_out);
	json_put_close(b, '}');
}
