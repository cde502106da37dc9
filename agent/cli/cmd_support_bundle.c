#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <mosquitto.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <uv.h>

#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "local.h"
#include "proc.h"
#include "redact.h"
#include "save.h"
#include "store_copy.h"
#include "tar.h"

#define PART_MAX (1u << 20)             /* bytes of one file in it */
#define TAIL_BYTES (256 << 10)
#define LINES 200
#define ANSWER_MS 3000
#define COMMAND_MS 240000

/* BSDs declare it nowhere. */
extern char **environ;

struct bundle {
	const struct cmd_args *a;
	struct config config;
	bool loaded;
	char *config_path, *exe;
	struct tar *tar;
	int parts, taken_out;
	int64_t lines;
};

/* Whatever goes into it comes through here. */
static void
part_add(struct bundle *b, const char *name, const char *text, size_t len)
{
	struct buf clean = { .max = 4 * PART_MAX };

	b->taken_out += redact(b->loaded ? &b->config : NULL, text, len, &clean);
	if (buf_ok(&clean)) {
		tar_add(b->tar, name, buf_str(&clean), clean.len);
		b->parts++;
	}
	buf_free(&clean);
}

/* ---- what programs say ---- */

static void
program_add(struct bundle *b, const char *name, const char *const *argv)
{
	struct proc p = { .argv = argv, .env = (const char *const *)environ, .deadline_ms = clock_mono_ms() + COMMAND_MS,
		.max_out = PART_MAX, .max_err = 16384 };
	struct proc_end end = { .status = -1 };
	struct buf text = { 0 };
	struct err e = { 0 };

	if (proc_run(&p, &end, &e))
		buf_addf(&text, "%s: %s\n", argv[0], e.msg);
	buf_add(&text, buf_str(&end.out), end.out.len);
	buf_add(&text, buf_str(&end.err), end.err.len);
	part_add(b, name, buf_str(&text), text.len);
	buf_free(&text);
	proc_end_release(&end);
}

/* This program's own commands that show nothing of tasks. */
static const struct {
	const char *name, *words[3];
} commands_in[] = {
	{ "doctor.json", { "doctor", "--json" } },
	{ "config.json", { "config", "check", "--json" } },
	{ "certificates.json", { "pki", "show", "--json" } },
	{ "houses.json", { "house", "list", "--json" } },
	{ "tools.json", { "tool", "list", "--json" } },
};

static void
commands_add(struct bundle *b)
{
	for (size_t i = 0; i < sizeof commands_in / sizeof *commands_in; i++) {
		const char *argv[10] = { b->exe };
		size_t n = 1;

		for (size_t k = 0; k < 3 && commands_in[i].words[k]; k++)
			argv[n++] = commands_in[i].words[k];
		argv[n++] = "--config";
		argv[n++] = b->config_path;
		if (b->a->identity) {
			argv[n++] = "--as";
			argv[n++] = b->a->identity;
		}
		fprintf(stderr, "%s\n", commands_in[i].name);
		program_add(b, commands_in[i].name, argv);
	}
}

static void
versions_add(struct bundle *b)
{
	char *mosquitto = broker_program();
	struct buf text = { 0 };
	struct utsname u = { .sysname = "" };
	int major, minor, patch;

	mosquitto_lib_version(&major, &minor, &patch);
	uname(&u);
	buf_addf(&text, "uni-wizard %s\nlibmosquitto %d.%d.%d\nsqlite %s\n%s\nlibuv %s\nsystem %s %s %s %s\n", UW_VERSION, major,
	    minor, patch, sqlite3_libversion(), OpenSSL_version(OPENSSL_VERSION), uv_version_string(), u.sysname, u.release,
	    u.version, u.machine);
	part_add(b, "versions.txt", buf_str(&text), text.len);
	buf_free(&text);
	if (mosquitto)
		program_add(b, "mosquitto.txt", (const char *const[]){ mosquitto, "-h", NULL });
	free(mosquitto);
}

/* ---- the agents of this host ---- */

static void
health_add(struct bundle *b, const char *agent)
{
	static const char ask[] = "{\"op\":\"health\"}";
	char path[600], name[60], *line;
	struct local *l = NULL;
	struct err e = { 0 };
	size_t len;

	snprintf(path, sizeof path, "%.500s/%s.sock", b->config.run_dir, agent);
	snprintf(name, sizeof name, "health-%.32s.json", agent);
	if (local_open(&l, path, ANSWER_MS, &e) == 0 && local_send(l, ask, sizeof ask - 1, ANSWER_MS, &e) == 0 &&
	    local_read(l, ANSWER_MS, &line, &len, &e) == 1)
		part_add(b, name, line, len);
	else
		part_add(b, name, e.msg[0] ? e.msg : "no answer", strlen(e.msg[0] ? e.msg : "no answer"));
	local_close(l);
}

static void
put_count(struct buf *out, sqlite3 *h, const char *table)
{
	char sql[200];
	sqlite3_stmt *s = NULL;

	sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM \"%w\"", table);
	if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		buf_addf(out, "%s %lld\n", table, (long long)sqlite3_column_int64(s, 0));
	else
		buf_addf(out, "%s: %s\n", table, sqlite3_errmsg(h));
	sqlite3_finalize(s);
}

/* Version, how many rows each table has, and what it looks like: no row itself. */
static void
put_store(struct buf *out, sqlite3 *h)
{
	static const char schema[] = "SELECT name, sql, type FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name";
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(h, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		buf_addf(out, "version %d\n", sqlite3_column_int(s, 0));
	sqlite3_finalize(s);
	s = NULL;
	if (sqlite3_prepare_v2(h, schema, -1, &s, NULL) != SQLITE_OK)
		buf_addf(out, "%s\n", sqlite3_errmsg(h));
	while (s && sqlite3_step(s) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(s, 0);

		if (strcmp((const char *)sqlite3_column_text(s, 2), "table") == 0)
			put_count(out, h, name);
		buf_addf(out, "  %s\n", (const char *)sqlite3_column_text(s, 1));
	}
	sqlite3_finalize(s);
}

static void
store_add(struct bundle *b, const char *agent, const char *db)
{
	struct buf text = { 0 };
	struct store_copy c;
	struct err e = { 0 };
	sqlite3 *h = NULL;
	char name[60];

	snprintf(name, sizeof name, "store-%.32s.txt", agent);
	if (store_copy_make(b->config.state_dir, db, b->config.min_free_bytes, &c, &e)) {
		buf_addf(&text, "%s\n", e.msg);
	} else {
		if (sqlite3_open_v2(c.path, &h, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
			put_store(&text, h);
		sqlite3_close(h);
		store_copy_remove(&c);
	}
	part_add(b, name, buf_str(&text), text.len);
	buf_free(&text);
}

static void
agents_add(struct bundle *b)
{
	size_t n = config_voters(&b->config, NULL, 0);
	config_name *names = xcalloc(n, sizeof *names);
	char db[600];

	config_voters(&b->config, names, n);
	for (size_t i = 0; i < n; i++) {
		snprintf(db, sizeof db, "%.500s/%s.db", b->config.state_dir, names[i]);
		if (access(db, F_OK))
			continue;
		health_add(b, names[i]);
		store_add(b, names[i], db);
	}
	free(names);
}

/* ---- logs ---- */

static void
tail_add(struct bundle *b, const char *name, const char *path)
{
	FILE *f = fopen(path, "re");
	struct buf text = { .max = TAIL_BYTES + 1 };
	int64_t lines = 0;
	size_t from;
	char *at = buf_reserve(&text, TAIL_BYTES);

	if (f && fseek(f, -TAIL_BYTES, SEEK_END))
		rewind(f);
	if (f)
		text.len = fread(at, 1, TAIL_BYTES, f);
	for (from = text.len; from > 0; from--)
		if (from < text.len && text.data[from - 1] == '\n' && ++lines == b->lines)
			break;
	part_add(b, name, text.data + from, text.len - from);
	if (f)
		fclose(f);
	buf_free(&text);
}

static void
log_files_add(struct bundle *b, const char *dir_path)
{
	DIR *dir = opendir(dir_path);
	struct dirent *d;
	char path[PATH_MAX + 300], name[70];

	while (dir && (d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		if (n < 5 || n > 50 || strcmp(d->d_name + n - 4, ".log") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir_path, d->d_name);
		snprintf(name, sizeof name, "log-%.50s", d->d_name);
		tail_add(b, name, path);
	}
	if (dir)
		closedir(dir);
}

/* Those of a cluster on one machine, beside houses.yaml; otherwise the journal's. */
static void
logs_add(struct bundle *b)
{
	const char *end = strrchr(b->config_path, '/');
	char dir[PATH_MAX], lines[24];

	snprintf(dir, sizeof dir, "%.*s/log", end ? (int)(end - b->config_path) : 0, b->config_path);
	snprintf(lines, sizeof lines, "%lld", (long long)b->lines);
	if (access(dir, R_OK) == 0)
		log_files_add(b, dir);
	else if (access("/run/systemd/system", F_OK) == 0)
		program_add(b, "journal.txt", (const char *const[]){ "journalctl", "--no-pager", "-o", "short-iso", "-n", lines, "-u",
		    "uni-wizard*", NULL });
}

/* ---- all of it ---- */

static void
about_add(struct bundle *b)
{
	static const char text[] = "A support bundle of uni-wizard.\n\n"
	    "In it: what the doctor says, the configuration as it was understood (whether there is a token, not which), certificates by\n"
	    "name and date, houses and their owners, tools, versions, each agent's health, the layout of its database with the number of\n"
	    "rows, and the last lines of logs.\n\n"
	    "Not in it: tasks, their parameters and results, keys, tokens and other secrets. Values of secrets that stand in a log\n"
	    "all the same were replaced by " REDACTED ". Names of hosts, people and paths are in it: look through it before you send it.\n";

	part_add(b, "ABOUT.txt", text, sizeof text - 1);
}

static void
fill(struct bundle *b)
{
	about_add(b);
	versions_add(b);
	commands_add(b);
	if (b->loaded)
		agents_add(b);
	logs_add(b);
}

static void
load(struct bundle *b)
{
	struct err e;

	b->config_path = save_absolute(config_path(b->a->config));
	b->loaded = config_load(&b->config, b->config_path, NULL, NULL, &e) == 0;
	if (!b->loaded)
		cmd_warn("houses.yaml cannot be read, so agents are left out, and secrets that stand in logs are not known", NULL);
}

static int
finish(struct bundle *b, const char *path)
{
	struct err e = { 0 };
	struct buf json = { 0 };

	if (tar_close(b->tar, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (b->a->json) {
		json_put_open(&json, '{');
		json_kv_str(&json, "path", path);
		json_kv_int(&json, "files", b->parts);
		json_kv_int(&json, "redacted", b->taken_out);
		json_put_close(&json, '}');
		puts(buf_str(&json));
		buf_free(&json);
	} else {
		printf("%s: %d files, %d secrets taken out; look through it before you send it\n", path, b->parts, b->taken_out);
	}
	return EXIT_OK;
}

static int
support_bundle_run(const struct cmd_args *a)
{
	struct bundle *b = xcalloc(1, sizeof *b);
	char name[64], path[PATH_MAX], exe[PATH_MAX];
	size_t len = sizeof exe;
	struct err e = { 0 };
	int rc;

	snprintf(name, sizeof name, "uni-wizard-support-%lld", (long long)(clock_wall_ms() / 1000));
	snprintf(path, sizeof path, "%s.tar", name);
	b->a = a;
	b->lines = cmd_int(a, "lines", LINES);
	b->exe = exe;
	if (uv_exepath(exe, &len)) {
		free(b);
		return cmd_fail(EXIT_NOT_SUCCEEDED, "cannot find this program's own file");
	}
	b->tar = tar_open(cmd_text(a, "out", path), name, clock_wall_ms(), &e);
	if (!b->tar) {
		free(b);
		return cmd_fail(e.code == ERR_CONFLICT ? EXIT_USAGE : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	load(b);
	fill(b);
	rc = finish(b, cmd_text(a, "out", path));
	if (b->loaded)
		config_release(&b->config);
	free(b->config_path);
	free(b);
	return rc;
}

const struct cmd cmd_support_bundle = {
	.name = "support-bundle",
	.help = "Gather what somebody who helps needs to see, without secrets, in one tar file",
	.more = "The doctor's findings, the configuration without tokens, certificates by name, houses, versions, each agent's health,\n"
	        "the layout of its database with the number of rows, the last lines of logs. No tasks, parameters, results, keys or\n"
	        "tokens; values of secrets that stand in a log are replaced. Only you can read the file; look through it before you\n"
	        "send it.",
	.opts = (const struct cmd_opt[]){
		{ .name = "out", .letter = 'o', .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "the file, which must not be there yet (else uni-wizard-support-<time>.tar here)" },
		{ .name = "lines", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 0, .max = 100000,
		  .help = "last lines of each log (200)" },
		{ .name = NULL } },
	.flags = CMD_JSON,
	.run = support_bundle_run,
};
