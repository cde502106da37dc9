#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "age.h"
#include "backup_set.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "passphrase.h"
#include "save.h"

#define PART ".part"
#define STAMP "YYYYMMDDTHHMMSSZ"

struct job {
	const struct cmd_args *a;
	struct backup_set set;
	struct age_keys to;             /* of --recipient */
	struct buf passphrase;          /* of --encrypt */
	bool encrypt;
	char *path, *part;
	char *dir, *base;               /* of --dir: what its files begin with */
	int fd;
	struct buf removed;             /* JSON list of former ones */
	int64_t bytes, began_ms;
};

/* ---- options ---- */

static int
check_options(const struct cmd_args *a)
{
	bool encrypted = cmd_flag(a, "encrypt") || cmd_text(a, "recipient", NULL);

	if (cmd_flag(a, "encrypt") && cmd_text(a, "recipient", NULL))
		return cmd_fail(EXIT_USAGE, "--encrypt is for a passphrase, --recipient for a key: not both");
	if (cmd_text(a, "passphrase-file", NULL) && !cmd_flag(a, "encrypt"))
		return cmd_fail(EXIT_USAGE, "--passphrase-file: only with --encrypt");
	if (cmd_text(a, "out", NULL) && cmd_text(a, "dir", NULL))
		return cmd_fail(EXIT_USAGE, "--out names the file, --dir where one of a name by time goes: not both");
	if (cmd_int(a, "keep", 0) && !cmd_text(a, "dir", NULL))
		return cmd_fail(EXIT_USAGE, "--keep: only with --dir");
	if (cmd_flag(a, "keys") && !encrypted)
		return cmd_fail(EXIT_USAGE, "--keys: who has these keys is the cluster: only with --recipient or --encrypt");
	return EXIT_OK;
}

static int
take_keys(struct job *j, struct err *e)
{
	const char *to = cmd_text(j->a, "recipient", NULL);

	j->encrypt = to || cmd_flag(j->a, "encrypt");
	if (to)
		return age_key_recipients(to, &j->to, e) ? err_wrap(e, "--recipient") : 0;
	return j->encrypt ? passphrase_get(&j->passphrase, cmd_text(j->a, "passphrase-file", NULL), "Passphrase for the backup: ",
	    true, e) : 0;
}

/* ---- the file's name ---- */

static void
put_host(struct buf *b)
{
	char host[256] = "host";

	if (gethostname(host, sizeof host - 1))
		snprintf(host, sizeof host, "host");
	for (const char *p = host; *p && *p != '.'; p++)
		buf_addc(b, isalnum((unsigned char)*p) || *p == '-' ? *p : '_');
}

/* "uni-wizard-HOST-" and the time; of one agent alone its name before that. */
static void
name_file(struct job *j)
{
	const char *agent = cmd_text(j->a, "agent", NULL), *dir = cmd_text(j->a, "dir", "."), *out = cmd_text(j->a, "out", NULL);
	struct buf base = { 0 }, path = { 0 };
	time_t now = (time_t)(clock_wall_ms() / 1000);
	char stamp[sizeof STAMP];
	struct tm t;

	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &t));
	buf_adds(&base, "uni-wizard-");
	put_host(&base);
	buf_addf(&base, "%s%s-", agent ? "-" : "", agent ? agent : "");
	if (out)
		buf_adds(&path, out);
	else
		buf_addf(&path, "%s/%s%s.tar%s", dir, buf_str(&base), stamp, j->encrypt ? ".age" : "");
	j->base = buf_take(&base);
	j->path = buf_take(&path);
	buf_addf(&path, "%s" PART, j->path);
	j->part = buf_take(&path);
	j->dir = xstrdup(j->path);
	if (strrchr(j->dir, '/'))
		*(strrchr(j->dir, '/') + (strrchr(j->dir, '/') == j->dir)) = '\0';
	else
		snprintf(j->dir, strlen(j->dir) + 1, ".");
}

/* "<base><time>.tar" or with ".age": one of ours. In *part whether it is one that was not ended. */
static bool
is_ours(const struct job *j, const char *name, bool *part)
{
	size_t n = strlen(j->base);
	const char *p = name + n;

	if (strncmp(name, j->base, n) != 0)
		return false;
	for (const char *s = STAMP; *s; s++, p++)
		if (strchr("TZ", *s) ? *p != *s : !isdigit((unsigned char)*p))
			return false;
	if (strncmp(p, ".tar", 4) != 0)
		return false;
	p += 4;
	p += strncmp(p, ".age", 4) == 0 ? 4 : 0;
	*part = strcmp(p, PART) == 0;
	return *part || !*p;
}

/* ---- former ones ---- */

static void
remove_one(struct job *j, const char *name)
{
	struct buf path = { 0 };

	buf_addf(&path, "%s/%s", j->dir, name);
	if (unlink(path.data) == 0)
		json_put_str(&j->removed, path.data);
	else
		fprintf(stderr, "uni-wizard: warning: %s: %s\n", path.data, strerror(errno));
	buf_free(&path);
}

/* Whoever writes it has it locked. */
static bool
was_left(const struct job *j, const char *name)
{
	struct buf path = { 0 };
	bool left;
	int fd;

	buf_addf(&path, "%s/%s", j->dir, name);
	fd = open(path.data, O_RDONLY | O_CLOEXEC);
	left = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	return left;
}

/* Names of one beginning stand in the order of their time. */
static void
keep_newest(struct job *j, int64_t keep)
{
	struct dirent **all = NULL;
	int n = scandir(j->dir, &all, NULL, alphasort);
	int64_t seen = 0;
	bool part;

	for (int i = n - 1; i >= 0; i--) {
		if (is_ours(j, all[i]->d_name, &part) && (part ? was_left(j, all[i]->d_name) : ++seen > keep))
			remove_one(j, all[i]->d_name);
		free(all[i]);
	}
	if (n >= 0)
		free(all);
}

/* ---- writing ---- */

static int
check_room(const struct job *j, struct err *e)
{
	int64_t bytes = backup_set_bytes(&j->set), free_bytes;
	struct statvfs v;

	if (statvfs(j->dir, &v))
		return err_set(e, ERR_IO, "%s: %s", j->dir, strerror(errno));
	free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	if (free_bytes - bytes >= j->set.config->min_free_bytes)
		return 0;
	return err_set(e, ERR_TOO_BIG, "%s has no room for it: it has %lld MB free, the backup takes %lld, and limits.min_free_bytes stay free",
	    j->dir, (long long)(free_bytes >> 20), (long long)((bytes >> 20) + 1));
}

static int
write_encrypted(struct job *j, struct sink to, struct err *e)
{
	struct age_for by = { .passphrase = cmd_flag(j->a, "encrypt") ? buf_str(&j->passphrase) : NULL, .keys = &j->to };
	struct age_writer *w = NULL;
	int rc = age_writer_new(&w, &by, to, e);

	if (rc == 0)
		rc = backup_set_write(&j->set, (struct sink){ age_write, w }, e) || age_writer_end(w, e) ? -1 : 0;
	age_writer_free(w);
	return rc;
}

static int
fill(struct job *j, struct err *e)
{
	struct sink to = { bytes_put_fd, &j->fd };
	struct stat st;

	if (j->encrypt ? write_encrypted(j, to, e) : backup_set_write(&j->set, to, e))
		return err_wrap(e, "%s", j->part);
	if (fsync(j->fd) || fstat(j->fd, &st))
		return err_set(e, ERR_IO, "%s: %s", j->part, strerror(errno));
	j->bytes = (int64_t)st.st_size;
	return rename(j->part, j->path) ? err_set(e, ERR_IO, "%s: %s", j->path, strerror(errno)) : save_sync_dir(j->dir, e);
}

static int
write_file(struct job *j, struct err *e)
{
	int rc;

	if (access(j->path, F_OK) == 0)
		return err_set(e, ERR_CONFLICT, "%s is there already", j->path);
	if (check_room(j, e))
		return -1;
	unlink(j->part);
	j->fd = open(j->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return err_set(e, ERR_IO, "%s: %s", j->part, strerror(errno));
	flock(j->fd, LOCK_EX | LOCK_NB);
	rc = fill(j, e);
	if (rc)
		unlink(j->part);
	return rc;
}

/* ---- the command ---- */

static void
report_json(const struct job *j)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "path", j->path);
	json_kv_int(&b, "bytes", j->bytes);
	json_kv_str(&b, "encryption", !j->encrypt ? "none" : cmd_flag(j->a, "encrypt") ? "passphrase" : "key");
	json_kv_bool(&b, "keys", j->set.about.keys);
	json_kv_int(&b, "files", (int64_t)j->set.about.nfiles);
	json_put_key(&b, "agents");
	json_put_open(&b, '[');
	for (size_t i = 0; i < j->set.about.nagents; i++)
		json_put_str(&b, j->set.about.agents[i].agent);
	json_put_close(&b, ']');
	json_put_key(&b, "removed");
	json_put_raw(&b, j->removed.data, j->removed.len);
	json_kv_int(&b, "ms", clock_mono_ms() - j->began_ms);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
report(const struct job *j)
{
	printf("%s: %zu files, %.1f MB, %s\n", j->path, j->set.about.nfiles, (double)j->bytes / 1e6,
	    !j->encrypt ? "not encrypted: who reads it has this host's certificate, tasks and results" :
	    cmd_flag(j->a, "encrypt") ? "encrypted with a passphrase" : "encrypted for a key");
	if (!j->set.about.keys && access(j->set.config->pki_dir, F_OK) == 0) {
		struct buf ca = { 0 };

		buf_addf(&ca, "%s/ca.key", j->set.config->pki_dir);
		if (access(ca.data, F_OK) == 0)
			printf("without the authority's key and the sovereign's, which are here and nowhere else: --keys has them in it\n");
		buf_free(&ca);
	}
}

static int
backup(struct job *j, const struct config *c)
{
	const struct cmd_args *a = j->a;
	struct err e = { 0 };

	if (take_keys(j, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	name_file(j);
	if ((cmd_text(a, "dir", NULL) && save_dir(j->dir, 0700, &e)) ||
	    backup_set_gather(&j->set, c, cmd_text(a, "agent", NULL), cmd_flag(a, "keys"), &e) || write_file(j, &e))
		return cmd_fail(e.code == ERR_CONFLICT ? EXIT_USAGE : EXIT_NOT_SUCCEEDED, "no backup was made: %s", e.msg);
	json_put_open(&j->removed, '[');
	if (cmd_text(a, "dir", NULL))
		keep_newest(j, cmd_int(a, "keep", INT64_MAX));
	json_put_close(&j->removed, ']');
	if (a->json)
		report_json(j);
	else
		report(j);
	return EXIT_OK;
}

static int
backup_run(const struct cmd_args *a)
{
	struct job *j = xcalloc(1, sizeof *j);
	struct config *c = xcalloc(1, sizeof *c);
	int rc = check_options(a);

	j->a = a;
	j->fd = j->set.lock = -1;
	j->began_ms = clock_mono_ms();
	if (rc == EXIT_OK && (rc = cmd_config(a, c)) == EXIT_OK) {
		rc = backup(j, c);
		backup_set_release(&j->set);
		config_release(c);
	}
	if (j->fd >= 0)
		close(j->fd);
	passphrase_wipe(&j->passphrase);
	buf_free(&j->removed);
	free(j->path);
	free(j->part);
	free(j->dir);
	free(j->base);
	free(c);
	free(j);
	return rc;
}

const struct cmd cmd_backup = {
	.name = "backup",
	.help = "Put what this host alone has into one file: databases, configuration, certificates",
	.more = "Agents go on meanwhile: each copies its own database, in small pieces between its turns. The file is a tar archive with\n"
	        "a manifest and digests; encrypted it is one of age (https://age-encryption.org), so that `age -d | tar x` reads it, too.\n"
	        "Only you can read it. Private keys of others than this host's agents are in it with --keys alone.",
	.opts = (const struct cmd_opt[]){
		{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
		  .help = "this one's database alone (else of all that have theirs here)" },
		{ .name = "out", .letter = 'o', .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "the file, which must not be there yet (else uni-wizard-<host>-<time>.tar here)" },
		{ .name = "dir", .letter = 'd', .kind = OPT_TEXT, .arg = "DIR", .complete = "files",
		  .help = "into this directory, under a name by host and time" },
		{ .name = "keep", .letter = 'k', .kind = OPT_INT, .arg = "N", .min = 1, .max = 10000,
		  .help = "afterwards of those in the directory only the newest N stay" },
		{ .name = "recipient", .letter = 'r', .kind = OPT_TEXT, .arg = "KEY", .complete = "files",
		  .help = "encrypt for this public key, age1..., or those in a file; `backup key` makes one" },
		{ .name = "encrypt", .letter = 'e', .kind = OPT_FLAG, .help = "encrypt with a passphrase" },
		{ .name = "passphrase-file", .letter = 0, .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "it is the first line of this file (else it is asked for)" },
		{ .name = "keys", .letter = 0, .kind = OPT_FLAG,
		  .help = "with all keys that are here: the authority's, the sovereign's, everybody's" },
		{ .name = NULL } },
	.flags = CMD_JSON,
	.run = backup_run,
};
