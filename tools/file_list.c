#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "clock.h"
#include "file.h"
#include "param.h"
#include "tool.h"

#define MAX_SEEN 100000
#define ROOM 512                /* of the result, for everything but the entries */

struct list {
	struct file_walk walk;
	struct buf entries;
	int64_t max_entries, total;
	int64_t listed;
	bool cut;
};

static void
put_link(struct buf *b, const struct file_entry *f)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(f->dir, f->name, target, sizeof target);

	if (n >= 0) {
		json_put_key(b, "target");
		json_put_strn(b, target, (size_t)n);
	}
}

static void
put_entry(struct buf *b, const struct file_entry *f)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", f->path);
	json_kv_str(b, "type", file_type(f->st.st_mode));
	json_kv_int(b, "size", f->st.st_size);
	file_put_mode(b, f->st.st_mode);
	json_kv_time(b, "modified", file_mtime_ms(&f->st));
	if (S_ISLNK(f->st.st_mode))
		put_link(b, f);
	json_put_close(b, '}');
}

/* Goes on counting when no more can be listed. */
static int
list_visit(void *arg, const struct file_entry *f)
{
	struct list *l = arg;
	size_t before = l->entries.len;

	l->total++;
	if (l->cut || l->listed == l->max_entries) {
		l->cut = true;
		return 0;
	}
	put_entry(&l->entries, f);
	if (buf_ok(&l->entries)) {
		l->listed++;
		return 0;
	}
	l->entries.full = false;
	buf_cut(&l->entries, before);
	l->cut = true;
	return 0;
}

static void
list_put(const struct list *l, const char *path, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "path", path);
	json_put_key(result, "entries");
	json_put_open(result, '[');
	if (l->entries.len)
		json_put_raw(result, l->entries.data, l->entries.len);
	json_put_close(result, ']');
	json_kv_int(result, "listed", l->listed);
	json_kv_int(result, "total", l->total);
	json_kv_bool(result, "truncated", l->cut || l->walk.stopped_by);
	if (l->walk.stopped_by)
		json_kv_str(result, "stopped_by", l->walk.stopped_by);
	if (l->walk.unreadable)
		json_kv_int(result, "unreadable_dirs", l->walk.unreadable);
	json_put_close(result, '}');
}

static int
file_list_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *path = param_str(r, "path");
	size_t taken = ROOM + 6 * strlen(path);
	struct list l = {
		.entries.max = r->max_output > taken ? r->max_output - taken : 1,
		.max_entries = param_int(r, "max_entries"),
		.walk = {
			.max_depth = (int)param_int(r, "depth"),
			.max_seen = MAX_SEEN,
			.deadline_ms = r->deadline_ms ? r->deadline_ms - 1000 : 0,
			.match = param_str(r, "match"),
			.hidden = param_bool(r, "hidden"),
			.visit = list_visit,
		},
	};
	int dir = path_open(&r->env->roots, "path", path, O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0)
		return e->code == ERR_NOT_FOUND ? err_field(e, ERR_NOT_FOUND, "params.path", path,
		    "a directory that exists") : -1;
	l.walk.arg = &l;
	file_walk(&l.walk, dir);
	list_put(&l, path, result);
	buf_free(&l.entries);
	return 0;
}

const struct tool tool_file_list = {
	.name = "file_list",
	.summary = "Lists a directory, on request with what is beneath it",
	.schema = "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A directory beneath a root; relative paths are relative to the first root.\"},"
	    "\"depth\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":32,\"default\":1,"
	    "\"description\":\"1 lists only the directory itself. Links are not followed.\"},"
	    "\"match\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256,"
	    "\"description\":\"Only names that match this glob, such as *.log.\"},"
	    "\"hidden\":{\"type\":\"boolean\",\"default\":true,"
	    "\"description\":\"Names that begin with a dot too.\"},"
	    "\"max_entries\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":1000,"
	    "\"description\":\"How many are listed; all (up to 100000) are counted in total.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = file_list_run,
};
