#include "clock.h"
#include "file.h"
#include "param.h"
#include "tool.h"

static int
file_hash_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *algorithm = param_str(r, "algorithm");
	char hex[FILE_HASH_HEX];
	struct stat st;
	int64_t size;
	int fd = file_open(r, "path", &st, e), rc;

	if (fd < 0)
		return -1;
	rc = file_hash(fd, algorithm, r->deadline_ms, hex, &size, e);
	if (rc == 0 && strcmp(algorithm, "sha256") == 0)
		file_note_read(r, fd, hex);
	close(fd);
	if (rc)
		return err_wrap(e, "%s", param_str(r, "path"));
	json_put_open(result, '{');
	json_kv_str(result, "path", param_str(r, "path"));
	json_kv_str(result, "algorithm", algorithm);
	json_kv_str(result, "hash", hex);
	json_kv_int(result, "size", size);
	json_kv_time(result, "modified", file_mtime_ms(&st));
	json_put_close(result, '}');
	return 0;
}

const struct tool tool_file_hash = {
	.name = "file_hash",
	.summary = "Hashes a file",
	.schema = "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A regular file beneath a root; relative paths are relative to the first "
	    "root.\"},"
	    "\"algorithm\":{\"enum\":[\"sha256\",\"sha512\",\"sha1\"],\"default\":\"sha256\","
	    "\"description\":\"sha1 only to compare with old lists.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 300,
	.run = file_hash_run,
};
