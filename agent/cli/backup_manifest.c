#include <string.h>

#include "backup.h"
#include "buf.h"
#include "clock.h"
#include "json.h"

#define FIELD_TEXT(member, required) JSON_FIELD(struct backup_manifest, member, JSON_TEXT, required)

static const struct json_field fields[] = {
	JSON_FIELD_INT(struct backup_manifest, format, 1, JSON_INT_MAX, true),
	FIELD_TEXT(program, true),
	FIELD_TEXT(time, true),
	FIELD_TEXT(host, true),
	FIELD_TEXT(cluster, true),
	FIELD_TEXT(config, true),
	FIELD_TEXT(pki, true),
	FIELD_TEXT(state, true),
	FIELD_TEXT(sovereign_key, true),
	JSON_FIELD(struct backup_manifest, keys, JSON_BOOL, true),
	JSON_END,
};

static const struct json_field agent_fields[] = {
	JSON_FIELD(struct backup_agent, agent, JSON_TEXT, true),
	JSON_FIELD(struct backup_agent, store, JSON_TEXT, true),
	JSON_FIELD_INT(struct backup_agent, version, 0, 1000000, true),
	JSON_END,
};

/* ---- names ---- */

static const struct {
	const char *path;
	bool below;                     /* a directory: what lies in it */
} places[] = {
	{ "houses.yaml", false },
	{ "env", false },
	{ "pki/", true },
	{ "pki/issued/", true },
	{ "sovereign/", true },
	{ "state/", true },
};

/* Letters that no file of ours is without, and no dot in front. */
static bool
is_plain_name(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n && !name[n] && name[0] != '.';
}

bool
backup_path_ok(const char *path)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		size_t n = strlen(places[i].path);

		if (places[i].below ? strncmp(path, places[i].path, n) == 0 && is_plain_name(path + n) : strcmp(path, places[i].path) == 0)
			return true;
	}
	return false;
}

/* ---- writing ---- */

static void
put_file(struct buf *b, const struct backup_file *f)
{
	char mode[8];

	snprintf(mode, sizeof mode, "%04o", (unsigned)f->mode & 0777u);
	json_put_open(b, '{');
	json_kv_str(b, "path", f->path);
	json_kv_int(b, "bytes", f->bytes);
	json_kv_str(b, "mode", mode);
	json_kv_str(b, "sha256", f->sha256);
	json_put_close(b, '}');
}

static void
put_agent(struct buf *b, const struct backup_agent *a)
{
	json_put_open(b, '{');
	json_kv_str(b, "agent", a->agent);
	json_kv_str(b, "store", a->store);
	json_kv_int(b, "version", a->version);
	json_put_close(b, '}');
}

void
backup_manifest_put(struct buf *b, const struct backup_manifest *m)
{
	json_put_open(b, '{');
	json_kv_int(b, "format", m->format);
	json_kv_str(b, "program", m->program);
	json_kv_str(b, "time", m->time);
	json_kv_str(b, "host", m->host);
	json_kv_str(b, "cluster", m->cluster);
	json_kv_str(b, "config", m->config);
	json_kv_str(b, "pki", m->pki);
	json_kv_str(b, "state", m->state);
	json_kv_str(b, "sovereign_key", m->sovereign_key);
	json_kv_bool(b, "keys", m->keys);
	json_put_key(b, "agents");
	json_put_open(b, '[');
	for (size_t i = 0; i < m->nagents; i++)
		put_agent(b, &m->agents[i]);
	json_put_close(b, ']');
	json_put_key(b, "files");
	json_put_open(b, '[');
	for (size_t i = 0; i < m->nfiles; i++)
		put_file(b, &m->files[i]);
	json_put_close(b, ']');
	json_put_close(b, '}');
}

void
backup_sums_put(struct buf *b, const struct backup_manifest *m, const char *manifest, size_t len)
{
	struct digest *d = digest_new();
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX];

	digest_of(d, manifest, len, sum);
	digest_format(sum, hex);
	digest_free(d);
	buf_addf(b, "%s  " BACKUP_MANIFEST "\n", hex);
	for (size_t i = 0; i < m->nfiles; i++)
		buf_addf(b, "%s  %s\n", m->files[i].sha256, m->files[i].path);
}

/* ---- reading ---- */

static int
read_file(struct backup_file *f, const cJSON *o, struct err *e)
{
	const char *path = json_text(o, "path"), *mode = json_text(o, "mode"), *sum = json_text(o, "sha256");
	unsigned char bytes[DIGEST_SIZE];
	char *end;

	if (!backup_path_ok(path) || strlen(path) > TAR_NAME_MAX)
		return err_field(e, ERR_INVALID, "files.path", path, "a name as `uni-wizard backup` gives them, such as state/ezra-1.db");
	snprintf(f->path, sizeof f->path, "%s", path);
	f->bytes = json_number(o, "bytes", -1);
	if (f->bytes < 0 || f->bytes > TAR_FILE_MAX)
		return err_field(e, ERR_INVALID, "files.bytes", NULL, "0 to %lld", (long long)TAR_FILE_MAX);
	f->mode = (mode_t)strtoul(mode, &end, 8);
	if (strlen(mode) != 4 || *end || f->mode > 0777)
		return err_field(e, ERR_INVALID, "files.mode", mode, "four octal digits, such as 0600");
	if (digest_parse(sum, bytes))
		return err_field(e, ERR_INVALID, "files.sha256", sum, "64 hexadecimal digits");
	snprintf(f->sha256, sizeof f->sha256, "%s", sum);
	return 0;
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
check_once(const struct backup_manifest *m, struct err *e)
{
	const char **paths = xcalloc(m->nfiles + 1, sizeof *paths);
	int rc = 0;

	for (size_t i = 0; i < m->nfiles; i++)
		paths[i] = m->files[i].path;
	qsort(paths, m->nfiles, sizeof *paths, compare_paths);
	for (size_t i = 1; rc == 0 && i < m->nfiles; i++)
		if (strcmp(paths[i - 1], paths[i]) == 0)
			rc = err_field(e, ERR_INVALID, "files.path", paths[i], "each name once");
	free(paths);
	return rc;
}

static int
read_files(struct backup_manifest *m, const cJSON *list, struct err *e)
{
	int n = cJSON_GetArraySize(list);
	const cJSON *v;

	if (!cJSON_IsArray(list) || n > BACKUP_FILES_MAX)
		return err_field(e, ERR_INVALID, "files", NULL, "a list of at most %d", BACKUP_FILES_MAX);
	m->files = xcalloc((size_t)n + 1, sizeof *m->files);
	cJSON_ArrayForEach(v, list)
		if (read_file(&m->files[m->nfiles++], v, e))
			return -1;
	return check_once(m, e);
}

static int
read_agents(struct backup_manifest *m, const cJSON *list, struct err *e)
{
	int n = cJSON_GetArraySize(list);
	const cJSON *v;

	if (!cJSON_IsArray(list) || n > BACKUP_AGENTS_MAX)
		return err_field(e, ERR_INVALID, "agents", NULL, "a list of at most %d", BACKUP_AGENTS_MAX);
	m->agents = xcalloc((size_t)n + 1, sizeof *m->agents);
	cJSON_ArrayForEach(v, list) {
		struct backup_agent *a = &m->agents[m->nagents++];

		if (json_read(v, agent_fields, a, e))
			return err_in(e, "agents");
		if (!is_plain_name(a->agent))
			return err_field(e, ERR_INVALID, "agents.agent", a->agent, "the name of an agent");
	}
	return 0;
}

int
backup_manifest_read(struct backup_manifest *m, const char *text, size_t len, struct err *e)
{
	cJSON *o = json_parse_object(text, len, e);
	int rc = -1;

	*m = (struct backup_manifest){ 0 };
	if (!o)
		return -1;
	m->format = json_number(o, "format", 0);
	if (m->format > BACKUP_FORMAT)
		err_set(e, ERR_INVALID, "it has format %lld, this program knows up to %d: use a newer one", (long long)m->format,
		    BACKUP_FORMAT);
	else if (json_read(o, fields, m, e) == 0 && read_agents(m, cJSON_GetObjectItemCaseSensitive(o, "agents"), e) == 0)
		rc = read_files(m, cJSON_GetObjectItemCaseSensitive(o, "files"), e);
	cJSON_Delete(o);
	if (rc)
		backup_manifest_release(m);
	return rc;
}

void
backup_manifest_release(struct backup_manifest *m)
{
	free(m->agents);
	free(m->files);
	*m = (struct backup_manifest){ 0 };
}
