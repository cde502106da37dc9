/*
 * cmd_backup_list.c - looking at a backup: what is in it, and whether all of it is as it was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "age_key.h"
#include "backup.h"
#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include <openssl/crypto.h>

static const struct cmd_opt opts[] = { BACKUP_OPTS, { .name = NULL } };

static int
open_it(const struct cmd_args *a, struct backup **b)
{
	struct backup_keys keys = { .identity = cmd_text(a, "identity", NULL), .passphrase_file = cmd_text(a, "passphrase-file", NULL) };
	struct err e = { 0 };

	if (backup_open(b, a->argv[0], &keys, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return EXIT_OK;
}

static int
finish(const struct cmd_args *a, struct buf *json)
{
	if (a->json)
		puts(buf_str(json));
	buf_free(json);
	return EXIT_OK;
}

/* ---- list ---- */

static void
print_list(const struct backup *b)
{
	const struct backup_manifest *m = backup_about(b);
	struct table *t = table_new((const char *const[]){ "FILE", "BYTES", "MODE", NULL });

	printf("made %s on %s by uni-wizard %s, cluster %s%s%s\n", m->time, m->host, m->program, m->cluster,
	    strcmp(backup_encryption(b), "none") == 0 ? "" : ", encrypted", m->keys ? ", with all keys" : "");
	for (size_t i = 0; i < m->nagents; i++)
		printf("agent %s: store %s, version %lld\n", m->agents[i].agent, m->agents[i].store, (long long)m->agents[i].version);
	for (size_t i = 0; i < m->nfiles; i++) {
		table_cell(t, "%s", m->files[i].path);
		table_cell(t, "%lld", (long long)m->files[i].bytes);
		table_cell(t, "%04o", (unsigned)m->files[i].mode);
	}
	table_print(t);
}

static int
list_run(const struct cmd_args *a)
{
	struct backup *b = NULL;
	struct buf json = { 0 };
	int rc = open_it(a, &b);

	if (rc != EXIT_OK)
		return rc;
	if (a->json)
		backup_manifest_put(&json, backup_about(b));
	else
		print_list(b);
	backup_close(b);
	return finish(a, &json);
}

const struct cmd cmd_backup_list = {
	.name = "backup list",
	.args = "FILE",
	.help = "Show what a backup says of itself, and which files are in it",
	.more = "Only its beginning is read: `backup verify` reads all of it.",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.complete = "files",
	.run = list_run,
};

/* ---- verify ---- */

static void
put_verified(struct buf *json, const struct backup *b, const char *path)
{
	json_put_open(json, '{');
	json_kv_str(json, "path", path);
	json_kv_bool(json, "good", true);
	json_kv_str(json, "encryption", backup_encryption(b));
	json_kv_str(json, "time", backup_about(b)->time);
	json_kv_int(json, "files", (int64_t)backup_about(b)->nfiles);
	json_put_close(json, '}');
}

static int
verify_run(const struct cmd_args *a)
{
	struct backup *b = NULL;
	struct buf json = { 0 };
	struct err e = { 0 };
	int rc = open_it(a, &b);

	if (rc != EXIT_OK)
		return rc;
	if (backup_read(b, NULL, &e)) {
		backup_close(b);
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", a->argv[0], e.msg);
	}
	put_verified(&json, b, a->argv[0]);
	if (!a->json)
		printf("%s: %zu files, each as it was written on %s at %s\n", a->argv[0], backup_about(b)->nfiles, backup_about(b)->host,
		    backup_about(b)->time);
	backup_close(b);
	return finish(a, &json);
}

const struct cmd cmd_backup_verify = {
	.name = "backup verify",
	.args = "FILE",
	.help = "Read all of a backup: each file by its digest, to the very end",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.complete = "files",
	.run = verify_run,
};

/* ---- key ---- */

/* As age-keygen writes it. */
static int
write_key(const char *path, const unsigned char secret[AGE_KEY], const char *public, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	char text[AGE_TEXT], now[40];
	struct buf b = { .max = 512 };

	if (fd < 0 && errno == EEXIST)
		return err_set(e, ERR_CONFLICT, "%s is there already, and a key is not written over: give another name", path);
	if (fd < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	buf_reserve(&b, 500);
	age_key_format_secret(secret, text);
	clock_format(clock_wall_ms(), now, sizeof now);
	buf_addf(&b, "# created: %s\n# public key: %s\n%s\n", now, public, text);
	rc = bytes_put_fd(&fd, b.data, b.len, e);
	if (rc == 0 && fsync(fd))
		rc = err_set(e, ERR_IO, "%s", strerror(errno));
	close(fd);
	if (rc) {
		err_wrap(e, "%s", path);
		unlink(path);
	}
	OPENSSL_cleanse(text, sizeof text);
	OPENSSL_cleanse(b.data, b.cap);
	buf_free(&b);
	return rc;
}

static int
key_run(const struct cmd_args *a)
{
	unsigned char secret[AGE_KEY], key[AGE_KEY];
	struct buf json = { 0 };
	char public[AGE_TEXT];
	struct err e = { 0 };
	int rc = age_key_make(secret, &e) || age_key_public(secret, key, &e);

	if (rc == 0) {
		age_key_format(key, public);
		rc = write_key(a->argv[0], secret, public, &e);
	}
	OPENSSL_cleanse(secret, sizeof secret);
	if (rc)
		return cmd_fail(e.code == ERR_CONFLICT ? EXIT_USAGE : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	json_put_open(&json, '{');
	json_kv_str(&json, "path", a->argv[0]);
	json_kv_str(&json, "recipient", public);
	json_put_close(&json, '}');
	if (!a->json)
		printf("%s\n", public);
	return finish(a, &json);
}

const struct cmd cmd_backup_key = {
	.name = "backup key",
	.args = "FILE",
	.help = "Make a key for backups: the secret half into a new file, the public one is printed",
	.more = "Hosts need the public half alone (`backup --recipient`), so none of them can read its own backups. Keep the file\n"
	        "where no host is, and on paper: without it they are worth nothing.",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.complete = "files",
	.run = key_run,
};
