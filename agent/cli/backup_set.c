#include "backup_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain.h"
#include "clock.h"
#include "err.h"
#include "save.h"

#define SMALL_MAX (16u << 20)           /* bytes of what is no database */
#define PIECE 65536

/* What else an agent keeps in state. */
static const char *const small_of_agent[] = { "%s.audit.key", "%s.audit.binding" };
static const char *const bases_of_agent[] = { "%s.bridge.db", "%s.bridge-outbox.db", "hermes-%s.db" };

/* ---- one file ---- */

static struct backup_file *
add(struct backup_set *s, const char *path, mode_t mode)
{
	struct backup_manifest *m = &s->about;
	struct backup_file *f;

	m->files = xrealloc(m->files, (m->nfiles + 1) * sizeof *m->files);
	s->texts = xrealloc(s->texts, (m->nfiles + 1) * sizeof *s->texts);
	s->copies = xrealloc(s->copies, (m->nfiles + 1) * sizeof *s->copies);
	f = &m->files[m->nfiles];
	*f = (struct backup_file){ .mode = mode & 0777 };
	snprintf(f->path, sizeof f->path, "%s", path);
	s->texts[m->nfiles] = (struct buf){ .max = SMALL_MAX };
	s->copies[m->nfiles++] = NULL;
	return f;
}

static void
format_sum(struct digest *d, char out[DIGEST_HEX])
{
	unsigned char sum[DIGEST_SIZE];

	digest_end(d, sum);
	digest_format(sum, out);
}

static int
check_count(const struct backup_set *s, const char *path, struct err *e)
{
	if (!backup_path_ok(path) || strlen(path) > TAR_NAME_MAX)
		return err_set(e, ERR_INVALID, "%s: a backup has no file of such a name", path);
	return s->about.nfiles < BACKUP_FILES_MAX ? 0 : err_set(e, ERR_TOO_BIG, "more than %d files", BACKUP_FILES_MAX);
}

static int
add_small(struct backup_set *s, const char *path, const char *from, struct err *e)
{
	struct digest *d;
	struct backup_file *f;
	struct stat st;
	struct buf *text;

	if (check_count(s, path, e))
		return -1;
	if (stat(from, &st))
		return err_set(e, ERR_IO, "%s: %s", from, strerror(errno));
	f = add(s, path, st.st_mode);
	text = &s->texts[s->about.nfiles - 1];
	if (save_read(from, text, e))
		return -1;
	d = digest_new();
	digest_add(d, buf_str(text), text->len);
	format_sum(d, f->sha256);
	digest_free(d);
	f->bytes = (int64_t)text->len;
	return 0;
}

/* What need not be there. */
static int
add_if(struct backup_set *s, const char *path, const char *from, struct err *e)
{
	return access(from, F_OK) && errno == ENOENT ? 0 : add_small(s, path, from, e);
}

static int
sum_file(const char *path, char out[DIGEST_HEX], int64_t *bytes, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digest *d = digest_new();
	char piece[PIECE];
	ssize_t n = -1;

	*bytes = 0;
	while (fd >= 0 && (n = bytes_get_fd(&fd, piece, sizeof piece, e)) > 0) {
		digest_add(d, piece, (size_t)n);
		*bytes += n;
	}
	format_sum(d, out);
	digest_free(d);
	if (fd < 0)
		err_set(e, ERR_IO, "%s", strerror(errno));
	else
		close(fd);
	return n < 0 ? err_wrap(e, "%s", path) : *bytes > TAR_FILE_MAX ? err_set(e, ERR_TOO_BIG, "%s has more than %lld bytes", path,
	    (long long)TAR_FILE_MAX) : 0;
}

/* The copy, which lies in s->dir, is the set's from now on. */
static int
add_copy(struct backup_set *s, const char *name, const char *copy, struct err *e)
{
	char path[TAR_NAME_MAX + 1];
	struct backup_file *f;

	snprintf(path, sizeof path, "state/%.80s", name);
	if (check_count(s, path, e))
		return -1;
	f = add(s, path, 0600);
	s->copies[s->about.nfiles - 1] = xstrdup(copy);
	return sum_file(copy, f->sha256, &f->bytes, e);
}

/* ---- databases ---- */

static int
add_store(struct backup_set *s, const char *agent, struct err *e)
{
	struct backup_manifest *m = &s->about;
	char copy[600], name[80];
	struct backup_agent *a;

	m->agents = xrealloc(m->agents, (m->nagents + 1) * sizeof *m->agents);
	a = &m->agents[m->nagents++];
	*a = (struct backup_agent){ .version = 0 };
	snprintf(a->agent, sizeof a->agent, "%s", agent);
	snprintf(name, sizeof name, "%s.db", agent);
	snprintf(copy, sizeof copy, "%s/%s", s->dir, name);
	return backup_copy_store(s->config, agent, copy, e) ||
	    backup_check_store(copy, &a->version, a->store, sizeof a->store, e) || add_copy(s, name, copy, e) ? -1 : 0;
}

static int
add_base(struct backup_set *s, const char *name, struct err *e)
{
	char from[600], copy[600];
	int64_t version;

	snprintf(from, sizeof from, "%.500s/%s", s->config->state_dir, name);
	snprintf(copy, sizeof copy, "%s/%s", s->dir, name);
	if (access(from, F_OK))
		return 0;
	return backup_copy_base(s->config, from, copy, e) || backup_check_store(copy, &version, NULL, 0, e) ||
	    add_copy(s, name, copy, e) ? -1 : 0;
}

static void
name_of(char *out, size_t size, const char *pattern, const char *agent)
{
	const char *at = strstr(pattern, "%s");

	snprintf(out, size, "%.*s%s%s", (int)(at - pattern), pattern, agent, at + 2);
}

static int
add_agent(struct backup_set *s, const char *agent, struct err *e)
{
	char name[80], path[TAR_NAME_MAX + 1], from[600];

	if (add_store(s, agent, e))
		return -1;
	for (size_t i = 0; i < sizeof bases_of_agent / sizeof *bases_of_agent; i++) {
		name_of(name, sizeof name, bases_of_agent[i], agent);
		if (add_base(s, name, e))
			return -1;
	}
	for (size_t i = 0; i < sizeof small_of_agent / sizeof *small_of_agent; i++) {
		name_of(name, sizeof name, small_of_agent[i], agent);
		snprintf(path, sizeof path, "state/%s", name);
		snprintf(from, sizeof from, "%.500s/%s", s->config->state_dir, name);
		if (add_if(s, path, from, e))
			return -1;
	}
	return 0;
}

/* ---- directories ---- */

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n > k && strcmp(name + n - k, end) == 0;
}

typedef bool wanted_fn(const struct backup_set *s, const char *name);
typedef int add_fn(struct backup_set *s, const char *path, const char *from, struct err *e);

/* In the order of their names; a directory that is not there is empty. */
static int
add_dir(struct backup_set *s, const char *dir, const char *to, wanted_fn *wanted, add_fn *f, struct err *e)
{
	struct dirent **all = NULL;
	int n = scandir(dir, &all, NULL, alphasort), rc = 0;
	char path[TAR_NAME_MAX + 1], from[BACKUP_PATH_MAX + 300];
	struct stat st;

	if (n < 0)
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		const char *name = all[i]->d_name;

		snprintf(path, sizeof path, "%s%.80s", to, name);
		snprintf(from, sizeof from, "%.511s/%s", dir, name);
		if (rc == 0 && backup_path_ok(path) && wanted(s, name) && stat(from, &st) == 0 && S_ISREG(st.st_mode))
			rc = f(s, path, from, e);
		free(all[i]);
	}
	free(all);
	return rc;
}

static bool
is_agents(const struct backup_set *s, const char *key)
{
	size_t n = strlen(key) - strlen(".key");

	for (size_t i = 0; i < s->about.nagents; i++)
		if (strlen(s->about.agents[i].agent) == n && strncmp(s->about.agents[i].agent, key, n) == 0)
			return true;
	return false;
}

/* All but what a write leaves for a moment; without the keys only those that the agents themselves need. */
static bool
is_of_pki(const struct backup_set *s, const char *name)
{
	if (strstr(name, ".tmp-") || ends_with(name, ".lock"))
		return false;
	return s->about.keys || ends_with(name, ".crt") || ends_with(name, ".crl") || (ends_with(name, ".key") && is_agents(s, name));
}

static bool
is_cert(const struct backup_set *s, const char *name)
{
	(void)s;
	return ends_with(name, ".crt");
}

static bool
is_outbox(const struct backup_set *s, const char *name)
{
	(void)s;
	return strncmp(name, "outbox-", 7) == 0 && ends_with(name, ".db");
}

static int
add_outbox(struct backup_set *s, const char *path, const char *from, struct err *e)
{
	(void)from;
	return add_base(s, path + strlen("state/"), e);
}

/* ---- all of it ---- */

static int
add_config(struct backup_set *s, struct err *e)
{
	const char *path = s->config->path, *end = strrchr(path, '/');
	char env[BACKUP_PATH_MAX];

	snprintf(env, sizeof env, "%.*s/env", end ? (int)(end - path) : 1, end ? path : ".");
	return add_small(s, "houses.yaml", path, e) || add_if(s, "env", env, e) ? -1 : 0;
}

static bool
lies_in(const char *file, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(file, dir, n) == 0 && file[n] == '/' && !strchr(file + n + 1, '/');
}

static int
add_keys(struct backup_set *s, struct err *e)
{
	const struct config *c = s->config;
	const char *key = c->sovereign_key, *base = key ? strrchr(key, '/') : NULL;
	char issued[BACKUP_PATH_MAX + 8], path[TAR_NAME_MAX + 1];

	snprintf(issued, sizeof issued, "%.500s/issued", c->pki_dir);
	if (add_dir(s, issued, "pki/issued/", is_cert, add_small, e))
		return -1;
	if (!base || lies_in(key, c->pki_dir))
		return 0;
	snprintf(path, sizeof path, "sovereign/%.80s", base + 1);
	return add_if(s, path, key, e);
}

static void
describe(struct backup_set *s, bool keys)
{
	struct backup_manifest *m = &s->about;
	const struct config *c = s->config;

	m->format = BACKUP_FORMAT;
	m->keys = keys;
	snprintf(m->program, sizeof m->program, "%s", UW_VERSION);
	clock_format(clock_wall_ms(), m->time, sizeof m->time);
	if (gethostname(m->host, sizeof m->host - 1))
		snprintf(m->host, sizeof m->host, "localhost");
	snprintf(m->cluster, sizeof m->cluster, "%s", c->cluster);
	snprintf(m->config, sizeof m->config, "%s", c->path);
	snprintf(m->pki, sizeof m->pki, "%s", c->pki_dir);
	snprintf(m->state, sizeof m->state, "%s", c->state_dir);
	snprintf(m->sovereign_key, sizeof m->sovereign_key, "%s", c->sovereign_key ? c->sovereign_key : "");
}

/* Through no link: who runs this may be root, and the directory an agent's. */
static void
remove_dir(int in, const char *name)
{
	int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0 && unlinkat(fd, x->d_name, 0) &&
		    (errno == EISDIR || errno == EPERM))
			remove_dir(fd, x->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	unlinkat(in, name, AT_REMOVEDIR);
}

/* Nobody else makes one here, so whatever lies there was left. */
static void
remove_left(const char *state)
{
	DIR *d = opendir(state);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (strncmp(x->d_name, "backup.", 7) == 0 && strlen(x->d_name) == 13)
			remove_dir(dirfd(d), x->d_name);
	if (d)
		closedir(d);
}

static int
make_dir(struct backup_set *s, struct err *e)
{
	const char *state = s->config->state_dir;
	char path[BACKUP_PATH_MAX + 20];

	/* Of the directory itself, so that nothing is left of it. */
	s->lock = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0)
		return errno == ENOENT ? 0 : err_set(e, ERR_IO, "%s: %s", state, strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB))
		return err_busy(e, 60, "another backup of %s is being made", state);
	remove_left(state);
	snprintf(path, sizeof path, "%.500s/backup.XXXXXX", state);
	if (!mkdtemp(path))
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	s->dir = xstrdup(path);
	return 0;
}

static int
add_agents(struct backup_set *s, const char *only, struct err *e)
{
	const char *agents[BACKUP_AGENTS_MAX];
	size_t n = chain_agents(s->config, agents, BACKUP_AGENTS_MAX), found = 0;

	for (size_t i = 0; i < n; i++) {
		if (only && strcmp(only, agents[i]) != 0)
			continue;
		found++;
		if (add_agent(s, agents[i], e))
			return -1;
	}
	return only && !found ? err_set(e, ERR_NOT_FOUND, "%s: no agent of this name has its database in %s", only, s->config->state_dir) : 0;
}

int
backup_set_gather(struct backup_set *s, const struct config *c, const char *agent, bool keys, struct err *e)
{
	*s = (struct backup_set){ .config = c, .lock = -1 };
	describe(s, keys);
	if (make_dir(s, e) || add_agents(s, agent, e) || add_config(s, e) ||
	    add_dir(s, c->pki_dir, "pki/", is_of_pki, add_small, e) || (keys && add_keys(s, e)))
		return -1;
	return s->dir ? add_dir(s, c->state_dir, "state/", is_outbox, add_outbox, e) : 0;
}

void
backup_set_release(struct backup_set *s)
{
	for (size_t i = 0; i < s->about.nfiles; i++) {
		if (s->texts[i].data)
			OPENSSL_cleanse(s->texts[i].data, s->texts[i].cap);
		buf_free(&s->texts[i]);
		free(s->copies[i]);
	}
	free(s->texts);
	free(s->copies);
	backup_manifest_release(&s->about);
	if (s->dir)
		remove_dir(AT_FDCWD, s->dir);
	free(s->dir);
	if (s->lock >= 0)
		close(s->lock);
}

/* ---- writing ---- */

int64_t
backup_set_bytes(const struct backup_set *s)
{
	int64_t bytes = 65536;

	for (size_t i = 0; i < s->about.nfiles; i++)
		bytes += s->about.files[i].bytes + 1024 + 300;
	return bytes + bytes / 1024;
}

/* Not more than was counted, whatever became of the file. */
static int
write_copy(struct tar *t, const char *path, int64_t left, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[PIECE];
	ssize_t n = -1;

	if (fd < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	while (left && (n = bytes_get_fd(&fd, piece, left < PIECE ? (size_t)left : PIECE, e)) > 0) {
		tar_put(t, piece, (size_t)n);
		left -= n;
	}
	close(fd);
	return n < 0 && left ? -1 : left ? err_set(e, ERR_IO, "%s became shorter", path) : 0;
}

static int
write_file(const struct backup_set *s, struct tar *t, size_t i, struct err *e)
{
	const struct backup_file *f = &s->about.files[i];

	tar_begin(t, f->path, f->mode, f->bytes);
	if (s->copies[i])
		return write_copy(t, s->copies[i], f->bytes, e);
	if (f->bytes)
		tar_put(t, s->texts[i].data, s->texts[i].len);
	return 0;
}

int
backup_set_write(const struct backup_set *s, struct sink to, struct err *e)
{
	struct tar *t = tar_new(to, clock_wall_ms());
	struct buf manifest = { 0 }, sums = { 0 };
	struct err end;
	int rc = 0;

	backup_manifest_put(&manifest, &s->about);
	backup_sums_put(&sums, &s->about, buf_str(&manifest), manifest.len);
	tar_add(t, BACKUP_MANIFEST, buf_str(&manifest), manifest.len);
	for (size_t i = 0; rc == 0 && i < s->about.nfiles; i++)
		rc = write_file(s, t, i, e);
	if (rc == 0)
		tar_add(t, BACKUP_SUMS, buf_str(&sums), sums.len);
	if (tar_close(t, rc ? &end : e))
		rc = -1;
	buf_free(&manifest);
	buf_free(&sums);
	return rc;
}
