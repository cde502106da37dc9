#include <errno.h>
#include <fcntl.h>

#include "clock.h"
#include "file.h"
#include "param.h"
#include "pattern.h"
#include "tool.h"

#define MAX_SEEN 100000
#define CHUNK 65536             /* a longer line is searched in pieces */
#define MAX_LINE 400            /* bytes of a matching line that are shown */
#define ROOM 1024               /* of the result, for everything but the matches */

struct search {
	struct file_walk walk;
	const char *text;               /* NULL: pattern */
	size_t text_len;
	bool ignore_case;
	regex_t pattern;
	int64_t max_matches, max_files, max_bytes, deadline_ms;
	struct buf found;
	int64_t matches, files, bytes, binary, unreadable;
	const char *stopped_by;
	char *chunk;
};

static int
stop(struct search *s, const char *why)
{
	s->stopped_by = why;
	return -1;
}

/* Where the line matches, or NULL. The line is NUL-terminated. */
static const char *
match_text(const struct search *s, const char *line, size_t len)
{
	const char *end = line + len;

	if (!s->ignore_case)
		return memmem(line, len, s->text, s->text_len);
	for (; line + s->text_len <= end; line++)
		if (strncasecmp(line, s->text, s->text_len) == 0)
			return line;
	return NULL;
}

static const char *
match_line(struct search *s, const char *line, size_t len)
{
	regmatch_t where;
	int error;

	if (s->text)
		return match_text(s, line, len);
	error = regexec(&s->pattern, line, 1, &where, 0);
	if (error && error != REG_NOMATCH)
		s->stopped_by = "memory";
	return error ? NULL : line + where.rm_so;
}

/* The part of a long line that shows the match. */
static void
put_match(struct search *s, const char *file, int64_t number, const char *line, size_t len, const char *at)
{
	size_t from = (size_t)(at - line) > MAX_LINE / 2 ? (size_t)(at - line) - MAX_LINE / 2 : 0, n;

	while (from && ((unsigned char)line[from] & 0xc0) == 0x80)
		from--;
	n = len - from < MAX_LINE ? len - from : MAX_LINE;
	while (n < len - from && n && ((unsigned char)line[from + n] & 0xc0) == 0x80)
		n--;
	json_put_open(&s->found, '{');
	json_kv_str(&s->found, "file", file);
	json_kv_int(&s->found, "line", number);
	json_kv_int(&s->found, "column", at - line + 1);
	json_put_key(&s->found, "text");
	json_put_strn(&s->found, line + from, n);
	if (n < len)
		json_kv_bool(&s->found, "cut", true);
	json_put_close(&s->found, '}');
}

static int
search_line(struct search *s, const char *file, int64_t number, char *line, size_t len)
{
	size_t before = s->found.len;
	const char *at;

	if (len && line[len - 1] == '\r')
		line[--len] = '\0';
	at = match_line(s, line, len);
	if (!at)
		return s->stopped_by ? -1 : 0;
	if (s->matches == s->max_matches)
		return stop(s, "matches");
	put_match(s, file, number, line, len, at);
	if (!buf_ok(&s->found)) {
		s->found.full = false;
		buf_cut(&s->found, before);
		return stop(s, "output");
	}
	s->matches++;
	return 0;
}

/* Searches the whole lines of the chunk (at the end of the file, or when it holds no line end, all of it).
 * Returns how many bytes are done with, or -1. */
static ssize_t
search_chunk(struct search *s, const char *file, size_t len, bool last, int64_t *number)
{
	size_t at = 0;

	while (at < len) {
		char *line = s->chunk + at, *end = memchr(line, '\n', len - at);
		size_t n = end ? (size_t)(end - line) : len - at;

		if (!end && !last && (at || len < CHUNK))
			break;
		line[n] = '\0';
		if (search_line(s, file, *number, line, n))
			return -1;
		*number += end != NULL;
		at += n + (end != NULL);
	}
	return (ssize_t)at;
}

static int
search_more(struct search *s, int fd, const char *file, size_t *kept, int64_t *number)
{
	ssize_t n = read(fd, s->chunk + *kept, CHUNK - *kept), done;
	size_t len = *kept + (size_t)(n > 0 ? n : 0);

	if (n < 0) {
		s->unreadable += errno != EINTR;
		return errno == EINTR ? 1 : 0;
	}
	s->bytes += n;
	done = search_chunk(s, file, len, n == 0, number);
	if (done < 0)
		return -1;
	*kept = len - (size_t)done;
	memmove(s->chunk, s->chunk + done, *kept);
	if (n && s->bytes >= s->max_bytes)
		return stop(s, "bytes");
	if (n && clock_mono_ms() >= s->deadline_ms)
		return stop(s, "time");
	return n > 0;
}

static bool
is_binary(int fd)
{
	char head[4096];
	ssize_t n = pread(fd, head, sizeof head, 0);

	return n > 0 && memchr(head, '\0', (size_t)n);
}

static int
search_file(struct search *s, int fd, const char *file)
{
	size_t kept = 0;
	int64_t number = 1;
	int rc;

	if (is_binary(fd)) {
		s->binary++;
		return 0;
	}
	if (s->files == s->max_files)
		return stop(s, "files");
	s->files++;
	do
		rc = search_more(s, fd, file, &kept, &number);
	while (rc > 0);
	return rc;
}

static int
search_visit(void *arg, const struct file_entry *f)
{
	struct search *s = arg;
	struct stat st;
	int fd, rc = 0;

	if (!S_ISREG(f->st.st_mode))
		return 0;
	fd = openat(f->dir, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		s->unreadable++;
		return 0;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		rc = search_file(s, fd, f->path);
	close(fd);
	return rc;
}

static void
search_put(const struct search *s, const char *path, struct buf *result)
{
	const char *why = s->stopped_by ? s->stopped_by : s->walk.stopped_by;

	json_put_open(result, '{');
	json_kv_str(result, "path", path);
	json_put_key(result, "matches");
	json_put_open(result, '[');
	if (s->found.len)
		json_put_raw(result, s->found.data, s->found.len);
	json_put_close(result, ']');
	json_kv_int(result, "found", s->matches);
	json_kv_int(result, "files_searched", s->files);
	json_kv_int(result, "bytes_searched", s->bytes);
	json_kv_int(result, "binary_skipped", s->binary);
	json_kv_int(result, "unreadable", s->unreadable + s->walk.unreadable);
	json_kv_bool(result, "truncated", why);
	if (why)
		json_kv_str(result, "stopped_by", why);
	json_put_close(result, '}');
}

static int
search_path(struct search *s, const struct tool_run *r, struct err *e)
{
	const char *path = param_str(r, "path"), *name = strrchr(path, '/');
	int fd = path_open(&r->env->roots, "path", path, O_RDONLY, 0, e);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		file_walk(&s->walk, fd);
		return 0;
	}
	if (S_ISREG(st.st_mode))
		search_file(s, fd, name ? name + 1 : path);
	close(fd);
	return S_ISREG(st.st_mode) ? 0 : err_field(e, ERR_INVALID, "params.path", file_type(st.st_mode),
	    "a directory or a regular file");
}

static int
search_what(struct search *s, const struct tool_run *r, struct err *e)
{
	const char *pattern = param_str(r, "pattern");
	struct err why = { 0 };

	s->text = param_str(r, "text");
	s->ignore_case = param_bool(r, "ignore_case");
	if (!s->text == !pattern)
		return err_field(e, pattern ? ERR_INVALID : ERR_MISSING,
		    pattern ? "params.pattern" : "params.text", pattern ? "both" : "neither",
		    "either text or pattern");
	if (s->text)
		s->text_len = strlen(s->text);
	else if (pattern_compile(&s->pattern, pattern, s->ignore_case ? REG_ICASE : 0, &why))
		return err_field(e, ERR_INVALID, "params.pattern", pattern, "%s", why.msg);
	return 0;
}

static int64_t
deadline_of(const struct tool_run *r)
{
	int64_t own_ms = clock_mono_ms() + param_int(r, "max_ms");

	return r->deadline_ms && r->deadline_ms - 500 < own_ms ? r->deadline_ms - 500 : own_ms;
}

static int
file_search_run(struct tool_run *r, struct buf *result, struct err *e)
{
	size_t taken = ROOM + 6 * strlen(param_str(r, "path"));
	struct search s = {
		.max_matches = param_int(r, "max_matches"),
		.max_files = param_int(r, "max_files"),
		.max_bytes = param_int(r, "max_bytes"),
		.deadline_ms = deadline_of(r),
		.found.max = r->max_output > taken ? r->max_output - taken : 1,
		.walk = { .max_depth = 32, .max_seen = MAX_SEEN, .match = param_str(r, "match"),
		    .hidden = param_bool(r, "hidden"), .visit = search_visit },
	};
	int rc = search_what(&s, r, e);

	if (rc)
		return rc;
	s.walk.arg = &s;
	s.walk.deadline_ms = s.deadline_ms;
	s.chunk = xmalloc(CHUNK + 1);
	rc = search_path(&s, r, e);
	if (rc == 0)
		search_put(&s, param_str(r, "path"), result);
	if (!s.text)
		regfree(&s.pattern);
	free(s.chunk);
	buf_free(&s.found);
	return rc;
}

const struct tool tool_file_search = {
	.name = "file_search",
	.summary = "Finds lines that hold a text or match a regular expression",
	.schema = "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A directory (searched with all beneath it; links are not followed) or a "
	    "file.\"},"
	    "\"text\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024,"
	    "\"description\":\"Text to find; give this or pattern.\"},"
	    "\"pattern\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256,"
	    "\"description\":\"POSIX extended regular expression, matched line by line.\"},"
	    "\"ignore_case\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Capital and small letters (ASCII) are the same.\"},"
	    "\"match\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256,"
	    "\"description\":\"Only files whose name matches this glob, such as *.c.\"},"
	    "\"hidden\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Files and directories whose name begins with a dot too.\"},"
	    "\"max_matches\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5000,\"default\":200,"
	    "\"description\":\"Stop after so many matching lines.\"},"
	    "\"max_files\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000,\"default\":10000,"
	    "\"description\":\"Stop after so many files.\"},"
	    "\"max_bytes\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":4294967296,\"default\":268435456,"
	    "\"description\":\"Stop after so many bytes.\"},"
	    "\"max_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600000,\"default\":10000,"
	    "\"description\":\"Stop after so many milliseconds. stopped_by says which limit it was.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = file_search_run,
};
