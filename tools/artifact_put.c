#include "artifact.h"
#include "clock.h"
#include "file.h"
#include "guard.h"
#include "notes.h"
#include "param.h"
#include "spot.h"
#include "tool.h"

/* What is shared, from where, and where it will lie: both with links followed. */
struct put {
	struct stat st;
	int fd;
	char *from, *dir;
	config_name self;
};

static void
put_close(struct put *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->from);
	free(p->dir);
}

static int
put_open(struct tool_run *r, struct put *p, struct err *e)
{
	*p = (struct put){ .fd = -1 };
	if (artifact_self(r->env->config, p->self, e))
		return -1;
	p->fd = file_open(r, "path", &p->st, e);
	if (p->fd < 0)
		return -1;
	p->from = spot_of_fd(p->fd);
	p->dir = realpath(r->env->config->share_dir, NULL);
	return p->from && p->dir ? 0 : err_set(e, ERR_IO, "%s: the system does not tell where it is", param_str(r, "path"));
}

static void
put_result(struct tool_run *r, const struct put *p, const struct artifact *made, bool was_here, struct buf *result)
{
	char *place = artifact_path(p->dir, p->self, "artifacts", made->hash);

	note_read(r, PLAN_PATH, p->from, made->hash);
	note_write(r, PLAN_PATH, place, made->hash);
	free(place);
	json_put_open(result, '{');
	json_kv_str(result, "hash", made->hash);
	json_kv_str(result, "device", made->writer);
	json_kv_int(result, "bytes", made->bytes);
	json_kv_bool(result, "was_here", was_here);
	json_put_close(result, '}');
}

static int
artifact_put_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct artifact_draft d;
	struct artifact made;
	bool was_here;
	struct put p;
	int rc = put_open(r, &p, e);

	if (rc == 0 && (rc = artifact_begin(&d, r->env->config, e)) == 0) {
		rc = artifact_add_from(&d, p.fd, e);
		if (rc)
			err_wrap(e, "%s", param_str(r, "path"));
		else if ((rc = touch_agreed(r, PLAN_PATH, p.from, artifact_seal(&d), e)) == 0)
			rc = artifact_keep(&d, p.self, &made, &was_here, e);
		artifact_drop(&d);
	}
	if (rc == 0)
		put_result(r, &p, &made, was_here, result);
	put_close(&p);
	return rc;
}

static void
name_artifact(struct artifact *a, const char *writer, const char *hash)
{
	*a = (struct artifact){ .bytes = 0 };
	snprintf(a->hash, sizeof a->hash, "%.64s", hash);
	snprintf(a->writer, sizeof a->writer, "%s", writer);
}

/* What lies there already has the same in it, and stays; or it is damaged. */
static int
plan_places(struct tool_run *r, struct plan *p, const struct put *put, const char *hash, struct err *e)
{
	char *place = artifact_path(put->dir, put->self, "artifacts", hash);
	struct artifact a;
	bool there;
	int rc;

	name_artifact(&a, put->self, hash);
	there = artifact_copy(r->env->config, &a, -1, NULL) == 0;
	rc = plan_touch(p, PLAN_PATH, PLAN_READS, put->from, hash, e) ||
	    plan_touch(p, PLAN_PATH, there ? PLAN_READS : PLAN_WRITES, place, there ? hash : NULL, e) ? -1 : 0;
	free(place);
	return rc;
}

static int
artifact_put_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	char hash[FILE_HASH_HEX];
	struct put put;
	int64_t bytes;
	int rc = put_open(r, &put, e);

	if (rc == 0)
		rc = file_hash(put.fd, "sha256", r->deadline_ms, hash, &bytes, e) || plan_places(r, p, &put, hash, e) ? -1 : 0;
	if (rc == 0)
		plan_target(p, "%s (%lld bytes), for all hosts", put.from, (long long)bytes);
	put_close(&put);
	return rc;
}

static int
artifact_put_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *hash = json_text(result, "hash");
	struct err why = { 0 };
	struct artifact a;
	bool holds;

	name_artifact(&a, json_text(result, "device"), hash);
	holds = artifact_copy(r->env->config, &a, -1, &why) == 0;
	return note_check(r, "file_hash", hash, holds, holds ? hash : why.msg, hash, e);
}

const struct tool tool_artifact_put = {
	.name = "artifact_put",
	.summary = "Shares a file with the other hosts, under the hash of what is in it",
	.schema = "{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"A regular file beneath a root; relative paths are relative to the first "
	    "root.\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 300,
	.run = artifact_put_run,
	.plan = artifact_put_plan,
	.prove = artifact_put_prove,
};
