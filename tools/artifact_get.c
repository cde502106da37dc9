#include <poll.h>

#include "artifact.h"
#include "base64.h"
#include "clock.h"
#include "file.h"
#include "param.h"
#include "tool.h"

#define ROOM 1024               /* of the result, for everything but the content */
#define LOOK_EVERY_MS 100

/* The first that is right; with its content if that is no more than fits. */
static int
read_one(const struct tool_run *r, struct artifact *a, struct buf *content, struct err *e)
{
	const struct config *c = r->env->config;
	const char *hash = param_str(r, "hash");
	int64_t max = param_int(r, "max_bytes");

	err_set(e, ERR_NOT_FOUND, "no artifact %.12s... is on this host; `uni-wizard artifact get` says who may have it", hash);
	for (size_t i = 0; artifact_find(c, hash, i, a); i++) {
		buf_clear(content);
		if ((a->bytes <= max ? artifact_read(c, a, content, e) : artifact_copy(c, a, -1, e)) == 0)
			return 0;
	}
	return -1;
}

static void
put_content(const struct tool_run *r, const struct artifact *a, const struct buf *content, struct buf *result)
{
	size_t room = r->max_output > ROOM ? r->max_output - ROOM : 0;
	bool whole = (int64_t)content->len == a->bytes, text;

	text = file_text_fits(buf_str(content), content->len, room, &text) == content->len && text;
	whole = whole && (text || content->len <= room / 4 * 3);
	json_kv_bool(result, "truncated", !whole);
	if (!whole)
		return;
	json_kv_str(result, "encoding", text ? "utf-8" : "base64");
	json_put_key(result, "content");
	if (text) {
		json_put_strn(result, buf_str(content), content->len);
		return;
	}
	buf_addc(result, '"');
	base64_put(result, buf_str(content), content->len);
	buf_addc(result, '"');
}

static int
artifact_get_run(struct tool_run *r, struct buf *result, struct err *e)
{
	int64_t until = clock_mono_ms() + 1000 * param_int(r, "wait_s"), end = run_deadline(r, 1000);
	struct buf content = { .max = (size_t)param_int(r, "max_bytes") };
	struct artifact a;
	char *path;
	int rc;

	if (!r->env->config->share_dir)
		return err_set(e, ERR_CONFIG, "houses.yaml of this host has no syncthing.dir: nothing is shared");
	until = until < end ? until : end;
	while ((rc = read_one(r, &a, &content, e)) && e->code == ERR_NOT_FOUND && clock_mono_ms() < until)
		poll(NULL, 0, LOOK_EVERY_MS);
	if (rc == 0) {
		path = artifact_path(r->env->config->share_dir, a.writer, "artifacts", a.hash);
		json_put_open(result, '{');
		json_kv_str(result, "hash", a.hash);
		json_kv_str(result, "device", a.writer);
		json_kv_int(result, "bytes", a.bytes);
		json_kv_str(result, "file", path);
		put_content(r, &a, &content, result);
		json_put_close(result, '}');
		free(path);
	}
	buf_free(&content);
	return rc;
}

const struct tool tool_artifact_get = {
	.name = "artifact_get",
	.summary = "Finds an artifact by its hash, whoever put it: looks whether it is whole, and gives its content or where it lies",
	.schema = "{\"type\":\"object\",\"required\":[\"hash\"],\"properties\":{"
	    "\"hash\":{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\","
	    "\"description\":\"SHA-256, as artifact_put gave it.\"},"
	    "\"wait_s\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":3600,\"default\":0,"
	    "\"description\":\"How long it may be on its way to this host.\"},"
	    "\"max_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":4194304,\"default\":65536,"
	    "\"description\":\"Of a larger one only where it lies is told, and truncated says so.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = artifact_get_run,
};
