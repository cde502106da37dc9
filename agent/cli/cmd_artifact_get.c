/*
 * cmd_artifact_get.c - artifact get: a file by its hash, from wherever it is. What may still come is waited for, and who has it
 * is said. Not a byte is handed out before all of it was found right.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "syncthing.h"

#define LOOK_EVERY_MS 100
#define ASK_EVERY_MS 1000
#define ASK_MS 2000
#define HOPE_MAX 400                    /* a struct err has room for it */
#define WAIT_DEFAULT_S 10

struct getting {
	const struct cmd_args *a;
	const struct config *c;
	const char *hash, *to;          /* to NULL: standard output */
	char temp[4200];
	int fd;                         /* of temp */
	struct artifact got;
};

/* ---- who may have it ---- */

static const char *
name_of(const struct config *c, const char *id)
{
	for (size_t i = 0; i < c->ndevices; i++)
		if (strcmp(c->devices[i].id, id) == 0)
			return c->devices[i].name;
	return "another device";
}

/* What Syncthing knows of one device's file: nothing, or from whom it can be had. */
static void
put_source(struct syncthing *s, const char *hash, const char *device, struct buf *out)
{
	char folder[2 * NAME_MAX_LEN + 2], path[256];
	struct buf who = { .max = 200 };
	cJSON *o;
	const cJSON *v;

	syncthing_folder(s->c, device, folder, sizeof folder);
	snprintf(path, sizeof path, "/rest/db/file?folder=%s&file=artifacts/%.2s/%s", folder, hash, hash);
	o = syncthing_get(s, path, NULL);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "availability"))
		buf_addf(&who, "%s%s", who.len ? ", " : "", name_of(s->c, json_text(v, "id")));
	if (o && !json_is_true(cJSON_GetObjectItemCaseSensitive(o, "global"), "deleted"))
		buf_addf(out, "; %s put it, and %s has it", device, who.len ? buf_str(&who) : "nobody who is connected");
	cJSON_Delete(o);
	buf_free(&who);
}

static void
put_away(const struct sync_status *st, struct buf *out)
{
	const char *comma = "; not connected, and may have it: ";

	for (size_t i = 0; i < st->n; i++)
		if (!st->v[i].is_self && !st->v[i].connected) {
			buf_addf(out, "%s%s", comma, st->v[i].d->name);
			comma = ", ";
		}
}

/* "; ezra put it, and ezra, timmy has it", "; not connected, and may have it: bezalel" */
static void
put_hope(const struct config *c, const char *hash, struct buf *out)
{
	struct sync_status *st = xcalloc(1, sizeof *st);
	struct syncthing s = { .h = NULL };
	struct err e = { 0 };

	if (syncthing_open(&s, c, ASK_MS, &e) || syncthing_look(&s, st, &e)) {
		buf_addf(out, "; whether it is on its way is not known: %s", e.msg);
	} else {
		for (size_t i = 0; i < c->ndevices; i++)
			put_source(&s, hash, c->devices[i].name, out);
		if (!out->len)
			buf_adds(out, "; none that is connected has told of it");
		put_away(st, out);
	}
	syncthing_close(&s);
	free(st);
}

/* ---- getting it ---- */

/* Beside the file that it is to be, or nowhere. */
static int
open_temp(struct getting *g, struct err *e)
{
	if (g->to)
		snprintf(g->temp, sizeof g->temp, "%.4096s.XXXXXX", g->to);
	else
		snprintf(g->temp, sizeof g->temp, "%s/XXXXXX", g->c->temp_dir);
	g->fd = mkostemp(g->temp, O_CLOEXEC);
	if (g->fd < 0)
		return err_set(e, ERR_IO, "cannot write %s: %s", g->temp, strerror(errno));
	if (!g->to)
		unlink(g->temp);
	return 0;
}

/* The first that is right. -1 with ERR_NOT_FOUND: none is here; ERR_UNPROVEN: none that is here is right. */
static int
copy_one(struct getting *g, struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "%s is not here", g->hash);
	for (size_t i = 0; artifact_find(g->c, g->hash, i, &g->got); i++) {
		if (lseek(g->fd, 0, SEEK_SET) || ftruncate(g->fd, 0))
			return err_set(e, ERR_IO, "%s: %s", g->temp, strerror(errno));
		if (artifact_copy(g->c, &g->got, g->fd, e) == 0)
			return 0;
	}
	return -1;
}

static int
hand_out(struct getting *g, struct err *e)
{
	char piece[65536];
	ssize_t n;
	mode_t mask = umask(0);

	umask(mask);
	if (g->to) {
		if (fchmod(g->fd, 0666 & ~mask) || fsync(g->fd) || rename(g->temp, g->to))
			return err_set(e, ERR_IO, "cannot write %s: %s", g->to, strerror(errno));
		return 0;
	}
	lseek(g->fd, 0, SEEK_SET);
	while ((n = read(g->fd, piece, sizeof piece)) > 0)
		fwrite(piece, 1, (size_t)n, stdout);
	return n < 0 || fflush(stdout) || ferror(stdout) ? err_set(e, ERR_IO, "cannot write: %s", strerror(errno)) : 0;
}

/* Says it once, and again when it has become another. */
static void
tell_hope(const struct getting *g, struct buf *told)
{
	struct buf hope = { .max = HOPE_MAX };

	put_hope(g->c, g->hash, &hope);
	if (strcmp(buf_str(&hope), buf_str(told)) != 0)
		fprintf(stderr, "uni-wizard: not here yet%s\n", buf_str(&hope));
	buf_clear(told);
	buf_adds(told, buf_str(&hope));
	buf_free(&hope);
}

static int
wait_for_it(struct getting *g, struct err *e)
{
	int64_t wait_s = cmd_int(g->a, "wait", WAIT_DEFAULT_S), until = clock_mono_ms() + 1000 * wait_s, ask_at = 0;
	struct buf told = { .max = HOPE_MAX };
	int rc;

	while ((rc = copy_one(g, e)) && e->code == ERR_NOT_FOUND && clock_mono_ms() < until) {
		if (clock_mono_ms() >= ask_at) {
			tell_hope(g, &told);
			ask_at = clock_mono_ms() + ASK_EVERY_MS;
		}
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	if (rc && e->code == ERR_NOT_FOUND) {
		buf_clear(&told);
		put_hope(g->c, g->hash, &told);
		err_set(e, ERR_NOT_FOUND, "%.12s... is not here after %lld s%s", g->hash, (long long)wait_s, buf_str(&told));
	}
	buf_free(&told);
	return rc;
}

static void
print_got(const struct getting *g)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "hash", g->hash);
	json_kv_str(&b, "device", g->got.writer);
	json_kv_int(&b, "bytes", g->got.bytes);
	json_kv_str(&b, "file", g->to);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
get(struct getting *g, struct err *e)
{
	int rc = open_temp(g, e);

	if (rc == 0 && (rc = wait_for_it(g, e)) == 0)
		rc = hand_out(g, e);
	if (rc && g->to && g->fd >= 0)
		unlink(g->temp);
	if (g->fd >= 0)
		close(g->fd);
	if (rc == 0 && g->a->json)
		print_got(g);
	return rc;
}

static int
get_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct getting g = { .a = a, .c = c, .hash = a->argv[0], .to = cmd_text(a, "output", NULL), .fd = -1 };
	struct err e = { 0 };
	int rc;

	if (!artifact_hash_ok(g.hash, &e))
		rc = cmd_fail(EXIT_USAGE, "%s", e.msg);
	else if (a->json && !g.to)
		rc = cmd_fail(EXIT_USAGE, "--json: expected --output FILE beside it, for the artifact itself goes to standard output");
	else if ((rc = cmd_config(a, c)) == EXIT_OK) {
		if (!c->share_dir)
			rc = cmd_fail(EXIT_USAGE, "syncthing.dir: houses.yaml names no directory that is shared");
		else if (get(&g, &e))
			rc = cmd_fail(e.code == ERR_NOT_FOUND ? EXIT_NO_ANSWER : EXIT_NOT_SUCCEEDED, "%s", e.msg);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_artifact_get = {
	.name = "artifact get",
	.args = "HASH",
	.help = "Write out an artifact that any host has put, found by its hash",
	.more = "It is read whole and compared with its hash before anybody gets a byte of it. One that is not here yet is waited for, and who\n"
	        "has it is said on standard error. Exit code 1: what is here is not what its name says; 5: it did not come in time.",
	.opts = (const struct cmd_opt[]){
		{ .name = "output", .letter = 'o', .kind = OPT_TEXT, .arg = "FILE", .help = "not to standard output", .complete = "files" },
		{ .name = "wait", .letter = 'w', .kind = OPT_INT, .arg = "S", .help = "seconds at most for it to come (default 10; 0: none)",
		  .min = 0, .max = 86400 },
		{ .name = NULL },
	},
	.min_args = 1, .max_args = 1,
	.flags = CMD_JSON,
	.run = get_run,
};
