/*
 * cmd_artifact.c - artifact put, list, verify, prune: files that hosts share, by what is in them. get is in
 * cmd_artifact_get.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "artifact.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"

/* Loads the configuration and runs f; a failure of f is printed. */
static int
with_config(const struct cmd_args *a, int (*f)(const struct cmd_args *a, const struct config *c, struct err *e))
{
	struct config *c = xcalloc(1, sizeof *c);
	struct err e = { 0 };
	int rc = cmd_config(a, c);

	if (!rc) {
		rc = !c->share_dir ? cmd_fail(EXIT_USAGE, "syncthing.dir: houses.yaml names no directory that is shared") : f(a, c, &e);
		if (rc < 0)
			rc = cmd_fail(e.code == ERR_CONFIG || e.code == ERR_INVALID ? EXIT_USAGE : EXIT_NOT_SUCCEEDED, "%s", e.msg);
		config_release(c);
	}
	free(c);
	return rc;
}

static void
put_artifact(struct buf *b, const struct artifact *a)
{
	json_kv_str(b, "hash", a->hash);
	json_kv_str(b, "device", a->writer);
	json_kv_int(b, "bytes", a->bytes);
	json_kv_time(b, "put", a->wall_ms);
}

/* ---- put ---- */

static void
print_put(const struct cmd_args *a, const struct artifact *made, bool was_here)
{
	struct buf b = { 0 };

	if (!a->json) {
		puts(made->hash);
		return;
	}
	json_put_open(&b, '{');
	put_artifact(&b, made);
	json_kv_bool(&b, "was_here", was_here);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
put(const struct cmd_args *a, const struct config *c, struct err *e)
{
	const char *path = a->argv[0];
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc = -1;
	struct artifact_draft d;
	struct artifact made;
	config_name self;
	bool was_here;

	if (fd < 0)
		return err_set(e, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
	if (artifact_self(c, self, e) == 0 && artifact_begin(&d, c, e) == 0) {
		if (artifact_add_from(&d, fd, e))
			err_wrap(e, "%s", path);
		else
			rc = artifact_keep(&d, self, &made, &was_here, e);
		artifact_drop(&d);
	}
	if (fd != STDIN_FILENO)
		close(fd);
	if (rc == 0)
		print_put(a, &made, was_here);
	return rc;
}

static int
put_run(const struct cmd_args *a)
{
	return with_config(a, put);
}

const struct cmd cmd_artifact_put = {
	.name = "artifact put",
	.args = "FILE",
	.help = "Share a file with the other hosts, and print its hash",
	.more = "FILE may be -, for standard input. Nobody sees it before all of it is on this disk; a file that was put before is only as\n"
	        "young as now. `uni-wizard artifact get HASH` has it on every host, once Syncthing has brought it there.",
	.min_args = 1, .max_args = 1,
	.flags = CMD_JSON,
	.complete = "files",
	.run = put_run,
};

/* ---- list, verify ---- */

struct listing {
	const struct cmd_args *a;
	const struct config *c;
	struct table *table;
	struct buf json;
	bool verify;
	long n, bad;
};

static void
row(struct listing *l, const struct artifact *a, const char *fault)
{
	char age[16];

	if (l->a->json) {
		json_put_open(&l->json, '{');
		put_artifact(&l->json, a);
		if (l->verify)
			json_kv_bool(&l->json, "ok", !fault);
		if (fault)
			json_kv_str(&l->json, "fault", fault);
		json_put_close(&l->json, '}');
		printf("%s\n", buf_str(&l->json));
		buf_clear(&l->json);
	} else if (l->verify) {
		if (fault)
			printf("%s\n", fault);
	} else {
		age_text(age, sizeof age, clock_wall_ms() - a->wall_ms);
		table_cell(l->table, "%s", a->hash);
		table_cell(l->table, "%s", a->writer);
		table_cell(l->table, "%lld", (long long)a->bytes);
		table_cell(l->table, "%s", age);
	}
}

static int
on_artifact(void *arg, const struct artifact *a)
{
	struct listing *l = arg;
	struct err e = { 0 };
	bool bad = l->verify && artifact_copy(l->c, a, -1, &e);

	l->n++;
	l->bad += bad;
	row(l, a, bad ? e.msg : NULL);
	return 0;
}

static int
check_device(const struct cmd_args *a, const struct config *c, const char **device, struct err *e)
{
	*device = cmd_text(a, "device", NULL);
	if (!*device || config_device_find(c, *device))
		return 0;
	return err_set(e, ERR_INVALID, "--device: houses.yaml has no device %.40s", *device);
}

static int
list_or_verify(struct listing *l, struct err *e)
{
	static const char *const heads[] = { "HASH", "DEVICE", "BYTES", "AGE", NULL };
	const char *device;

	if (check_device(l->a, l->c, &device, e))
		return -1;
	l->table = l->a->json || l->verify ? NULL : table_new(heads);
	artifact_each(l->c, device, on_artifact, l);
	if (l->table)
		table_print(l->table);
	if (l->verify && !l->a->json)
		printf("%ld artifacts, %ld of them %s not what their names say\n", l->n, l->bad, l->bad == 1 ? "is" : "are");
	buf_free(&l->json);
	return l->bad ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static int
list(const struct cmd_args *a, const struct config *c, struct err *e)
{
	return list_or_verify(&(struct listing){ .a = a, .c = c }, e);
}

static int
verify(const struct cmd_args *a, const struct config *c, struct err *e)
{
	return list_or_verify(&(struct listing){ .a = a, .c = c, .verify = true }, e);
}

static int
list_run(const struct cmd_args *a)
{
	return with_config(a, list);
}

static int
verify_run(const struct cmd_args *a)
{
	return with_config(a, verify);
}

static const struct cmd_opt device_opts[] = {
	{ .name = "device", .kind = OPT_TEXT, .arg = "D", .help = "only what that host put", .complete = "devices" },
	{ .name = NULL },
};

const struct cmd cmd_artifact_list = {
	.name = "artifact list",
	.help = "Artifacts that are on this host, and who put them",
	.more = "With --json one object a line.",
	.opts = device_opts,
	.flags = CMD_JSON,
	.run = list_run,
};

const struct cmd cmd_artifact_verify = {
	.name = "artifact verify",
	.help = "Read every artifact on this host and compare it with its hash",
	.more = "Exit code 1: some are not what their names say. `artifact get` refuses those. With --json one object a line.",
	.opts = device_opts,
	.flags = CMD_JSON,
	.run = verify_run,
};

/* ---- prune ---- */

static void
on_pruned(void *arg, const struct artifact *a)
{
	row(arg, a, NULL);
}

static int
prune(const struct cmd_args *a, const struct config *c, struct err *e)
{
	static const char *const heads[] = { "HASH", "DEVICE", "BYTES", "AGE", NULL };
	struct listing l = { .a = a, .c = c, .table = a->json ? NULL : table_new(heads) };
	bool dry = cmd_flag(a, "dry-run");
	config_name self;
	int n = artifact_self(c, self, e) ? -1 : artifact_prune(c, self, clock_wall_ms(), dry, on_pruned, &l, e);

	if (l.table)
		table_print(l.table);
	if (n >= 0 && !a->json)
		printf("%d artifact%s %s\n", n, n == 1 ? "" : "s", dry ? "would be removed" : "removed");
	buf_free(&l.json);
	return n < 0 ? -1 : EXIT_OK;
}

static int
prune_run(const struct cmd_args *a)
{
	return with_config(a, prune);
}

const struct cmd cmd_artifact_prune = {
	.name = "artifact prune",
	.help = "Remove artifacts of this host that are too old, or too many",
	.more = "By retention.artifacts_s and retention.artifacts_bytes, the oldest first; only what this host put, and with it the copies\n"
	        "on all others. Meant for a timer.",
	.opts = (const struct cmd_opt[]){
		{ .name = "dry-run", .kind = OPT_FLAG, .help = "print what would be removed" },
		{ .name = NULL },
	},
	.flags = CMD_JSON,
	.run = prune_run,
};
