/*
 * reload.c - SIGHUP. If what was read when the agent began has not changed, it only connects anew, and so takes up new
 * certificates. If it has, and makes sense, the agent ends its work as when it stops and then becomes the same program
 * once more, under the same process id: it reads everything as after a start, and nothing is left of before.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "buf.h"
#include "log.h"
#include "notify.h"
#include "sandbox.h"

/* What a file is, without its contents: a new one differs in number or size, however quickly it came. */
static void
add_file(struct digest *d, const char *path)
{
	struct stat st;
	int64_t is[4] = { 0 };

	if (stat(path, &st) == 0) {
		is[0] = (int64_t)st.st_mtime;
		is[1] = (int64_t)st.st_ino;
		is[2] = (int64_t)st.st_size;
		is[3] = (int64_t)st.st_ctime;
	}
	digest_add(d, path, strlen(path) + 1);
	digest_add(d, is, sizeof is);
}

static void
add_text(struct digest *d, const char *path)
{
	char part[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	digest_add(d, path, strlen(path) + 1);
	while (f && (n = fread(part, 1, sizeof part, f)) > 0)
		digest_add(d, part, n);
	if (f)
		fclose(f);
}

/* In any order: a sum. */
static void
add_dir(struct digest *d, const char *dir)
{
	unsigned char sum[DIGEST_SIZE] = { 0 }, one[DIGEST_SIZE];
	struct digest *file = digest_new();
	struct dirent *entry;
	char path[1024];
	DIR *v = opendir(dir);

	while (v && (entry = readdir(v))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%.255s", dir, entry->d_name);
		add_file(file, path);
		digest_end(file, one);
		for (int i = 0; i < DIGEST_SIZE; i++)
			sum[i] = (unsigned char)(sum[i] + one[i]);
	}
	if (v)
		closedir(v);
	digest_free(file);
	digest_add(d, sum, sizeof sum);
}

/* Of all that is read once: houses.yaml and what it refers to, own tools, HTTP's certificate, this program. */
static void
look(const struct agent *a, const struct config *c, unsigned char out[DIGEST_SIZE])
{
	struct digest *d = digest_new();

	add_file(d, a->o.exe);
	add_text(d, c->path);
	add_text(d, c->http_certificate);
	for (size_t i = 0; i < c->nsecrets; i++)
		digest_add(d, c->secrets[i].value, strlen(c->secrets[i].value) + 1);
	for (size_t i = 0; i < c->tool_dirs.n; i++)
		add_dir(d, c->tool_dirs.v[i]);
	digest_end(d, out);
	digest_free(d);
}

void
reload_init(struct agent *a)
{
	look(a, a->o.config, a->read);
}

static void
warn(const char *msg, void *arg)
{
	(void)arg;
	log_warnx("%s", msg);
}

/* Whether the agent could begin with it. */
static int
check(const struct agent *a, struct config *c, struct err *e)
{
	if (access(a->o.exe, X_OK))
		return err_set(e, ERR_IO, "%s cannot be run: %s", a->o.exe, strerror(errno));
	if (config_load(c, a->o.config->path, warn, NULL, e))
		return -1;
	if (config_identity_kind(c, a->o.id) != IDENTITY_AGENT)
		err_set(e, ERR_CONFIG, "%s: houses: no house has an agent %s any more; to end it, stop its service", c->path, a->o.id);
	else if (sandbox_check(c, e) == 0)
		return 0;
	config_release(c);
	return -1;
}

bool
reload_asked(struct agent *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	unsigned char now[DIGEST_SIZE];
	bool changed = false;
	struct err e;

	notify_reloading();
	if (check(a, c, &e)) {
		log_warnx("agent %s: goes on with what it read before: %s", a->o.id, e.msg);
	} else {
		look(a, c, now);
		changed = memcmp(now, a->read, sizeof now) != 0;
		config_release(c);
		if (changed) {
			log_info("agent %s: begins anew, with %s as it is now", a->o.id, a->o.config->path);
		} else {
			log_info("agent %s: reconnecting with the certificates as they are now", a->o.id);
			link_reload(a);
		}
	}
	if (!changed)
		notify("READY=1");
	free(c);
	return changed;
}
