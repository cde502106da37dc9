#include <errno.h>

#include "base64.h"
#include "clock.h"
#include "file.h"
#include "param.h"
#include "tool.h"

#define ROOM 512                /* of the result, for everything but path and content */

static int
read_window(int fd, int64_t offset, size_t max, struct buf *b, struct err *e)
{
	while (b->len < max) {
		char *to = buf_reserve(b, max - b->len);
		ssize_t n = to ? pread(fd, to, max - b->len, offset + (int64_t)b->len) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_IO, "cannot read: %s", strerror(errno));
		if (n == 0)
			break;
		b->len += (size_t)n;
	}
	return 0;
}

/* What of the bytes goes into the result, and how. */
struct content {
	const char *encoding;
	size_t len;
};

static int
choose(const struct tool_run *r, const struct buf *b, bool at_end, struct content *c, struct err *e)
{
	const char *wanted = param_str(r, "encoding");
	size_t taken = ROOM + 6 * strlen(param_str(r, "path"));
	size_t room = r->max_output > taken ? r->max_output - taken : 0;
	bool text;

	c->encoding = "utf-8";
	c->len = file_text_fits(buf_str(b), b->len, room, &text);
	/* A character cut off by the window is fine, one cut off by the end of the file is not text. */
	if (text && at_end && c->len < b->len && !json_utf8_len(b->data + c->len, b->len - c->len))
		text = false;
	if (strcmp(wanted, "base64") != 0 && text && (c->len || !b->len))
		return 0;
	if (strcmp(wanted, "utf-8") == 0)
		return err_field(e, ERR_INVALID, "params.encoding", wanted,
		    "base64 or auto, for the bytes from offset %lld are not UTF-8 text",
		    (long long)(param_int(r, "offset") + (int64_t)c->len));
	c->encoding = "base64";
	c->len = b->len < room / 4 * 3 ? b->len : room / 4 * 3;
	return 0;
}

static void
put_content(struct buf *result, const struct buf *b, const struct content *c)
{
	json_kv_str(result, "encoding", c->encoding);
	json_put_key(result, "content");
	if (c->encoding[0] == 'u') {
		json_put_strn(result, buf_str(b), c->len);
		return;
	}
	buf_addc(result, '"');
	base64_put(result, buf_str(b), c->len);
	buf_addc(result, '"');
}

/* One reading serves both when the window holds the whole file: then content and digest agree
 * even if somebody writes meanwhile. hex is empty when the file is too large to hash by the way. */
static int
hash_whole(const struct tool_run *r, int fd, const struct buf *b, int64_t *size, char hex[FILE_HASH_HEX],
    struct err *e)
{
	hex[0] = '\0';
	if (param_int(r, "offset") == 0 &&
	    ((int64_t)b->len < param_int(r, "max_bytes") || (int64_t)b->len == *size)) {
		*size = (int64_t)b->len;
		file_hash_bytes(buf_str(b), b->len, hex);
		return 0;
	}
	return *size <= FILE_HASH_MAX ? file_hash(fd, "sha256", r->deadline_ms, hex, size, e) : 0;
}

static int
put_file(struct tool_run *r, int fd, const struct stat *st, struct buf *b, struct buf *result,
    struct err *e)
{
	int64_t offset = param_int(r, "offset"), size = st->st_size;
	char hex[FILE_HASH_HEX];
	struct content c;

	if (read_window(fd, offset, (size_t)param_int(r, "max_bytes"), b, e))
		return -1;
	if (hash_whole(r, fd, b, &size, hex, e))
		return -1;
	if (choose(r, b, offset + (int64_t)b->len >= size, &c, e))
		return -1;
	json_put_open(result, '{');
	json_kv_str(result, "path", param_str(r, "path"));
	json_kv_int(result, "size", size);
	json_kv_str(result, "sha256", hex[0] ? hex : NULL);
	json_kv_time(result, "modified", file_mtime_ms(st));
	file_put_mode(result, st->st_mode);
	json_kv_int(result, "offset", offset);
	json_kv_int(result, "bytes", (int64_t)c.len);
	json_kv_bool(result, "truncated", offset + (int64_t)c.len < size);
	if (offset + (int64_t)c.len < size)
		json_kv_int(result, "next_offset", offset + (int64_t)c.len);
	put_content(result, b, &c);
	json_put_close(result, '}');
	if (offset == 0 && (int64_t)c.len == size)
		file_note_read(r, fd, hex);
	return 0;
}

static int
file_read_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct buf b = { 0 };
	struct stat st;
	int fd = file_open(r, "path", &st, e), rc;

	if (fd < 0)
		return -1;
	rc = put_file(r, fd, &st, &b, result, e);
	close(fd);
	buf_free(&b);
	return rc;
}

const struct tool tool_file_read = {
	.name = "file_read",
	.summary = "Reads a file or a part of it",
	.schema = "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A regular file beneath a root; relative paths are relative to the first "
	    "root.\"},"
	    "\"offset\":{\"type\":\"integer\",\"minimum\":0,\"default\":0,"
	    "\"description\":\"Where to begin, in bytes; next_offset of a truncated result goes on.\"},"
	    "\"max_bytes\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":4194304,\"default\":65536,"
	    "\"description\":\"How much to read; the limit on results may cut it shorter, and truncated says "
	    "so.\"},"
	    "\"encoding\":{\"enum\":[\"auto\",\"utf-8\",\"base64\"],\"default\":\"auto\","
	    "\"description\":\"How content is given; auto: utf-8 if it is text, else base64.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = file_read_run,
};
