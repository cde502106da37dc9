#include "sync.h"

#include <dirent.h>
#include <stdarg.h>
#include <string.h>

#include "artifact.h"
#include "buf.h"
#include "err.h"
#include "json.h"
#include "save.h"

#define RESCAN_S 300                    /* beside what the kernel tells of changes */
#define WATCH_DELAY_S 1
#define FREE_PERCENT 5
#define DEPTH_MAX 4
#define RELAY "dynamic+https://relays.syncthing.net/endpoint"

struct comparing {
	struct syncthing *s;
	const struct config *c;
	const struct config_device *self;
	bool apply;
	int n;
	void (*tell)(void *arg, const char *line);
	void *arg;
	struct err *e;
};

static void __attribute__((format(printf, 2, 3)))
differs(struct comparing *k, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	k->n++;
	k->tell(k->arg, line);
}

/* ---- a thing of Syncthing's, member by member ---- */

static const char *
text_of(const cJSON *v, struct buf *b)
{
	buf_clear(b);
	if (v)
		json_put_tree(b, v);
	return v ? buf_str(b) : "nothing";
}

static bool
shares_with(const cJSON *list, const char *id)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (strcmp(json_text(v, "deviceID"), id) == 0)
			return true;
	return false;
}

/* Of who shares a folder only the IDs, in any order. */
static bool
is_same(const cJSON *want, const cJSON *have)
{
	const cJSON *v;

	if (!cJSON_HasObjectItem(cJSON_GetArrayItem(want, 0), "deviceID"))
		return cJSON_Compare(want, have, true);
	cJSON_ArrayForEach(v, want)
		if (!shares_with(have, json_text(v, "deviceID")))
			return false;
	return cJSON_GetArraySize(want) == cJSON_GetArraySize(have);
}

static void
tell_member(struct comparing *k, const char *what, const cJSON *want, const cJSON *have)
{
	struct buf a = { .max = 400 }, b = { .max = 400 };

	if (cJSON_HasObjectItem(cJSON_GetArrayItem(want, 0), "deviceID"))
		differs(k, "%s: it is shared with %d devices, to be those %d of houses.yaml", what, cJSON_GetArraySize(have),
		    cJSON_GetArraySize(want));
	else
		differs(k, "%s: %s is %s, to be %s", what, want->string, text_of(have, &a), text_of(want, &b));
	buf_free(&a);
	buf_free(&b);
}

/* One thing with what it has to have; have NULL: there is none yet, and it is put as a whole. */
static int
compare(struct comparing *k, const char *what, const char *path, const cJSON *want, const cJSON *have)
{
	const cJSON *v;
	int before = k->n;

	if (!have)
		differs(k, "%s: to be added", what);
	else
		cJSON_ArrayForEach(v, want) {
			const cJSON *there = cJSON_GetObjectItemCaseSensitive(have, v->string);

			if (!is_same(v, there))
				tell_member(k, what, v, there);
		}
	if (k->n == before || !k->apply)
		return 0;
	return syncthing_send(k->s, have ? "PATCH" : "PUT", path, want, k->e) ? err_wrap(k->e, "%s", what) : 0;
}

/* ---- options ---- */

/* Said, or the address itself if it is one of numbers, or its port everywhere. */
static void
listens_at(const struct config_device *d, char *out, size_t size)
{
	const char *host = strstr(d->address, "://"), *colon = strrchr(d->address, ':');
	bool numeric = host && (host[3] == '[' || host + 3 + strspn(host + 3, "0123456789.") == colon);

	if (d->listen || numeric)
		snprintf(out, size, "%s", d->listen ? d->listen : d->address);
	else if (host)
		snprintf(out, size, "%.*s://:%s", (int)(host - d->address), d->address, colon + 1);
	else
		snprintf(out, size, "tcp://:22000");
}

static int
compare_options(struct comparing *k)
{
	cJSON *want = cJSON_CreateObject(), *have = syncthing_get(k->s, "/rest/config/options", k->e), *list;
	char at[320];
	int rc = -1;

	for (const struct syncthing_option *o = syncthing_options; o->member; o++) {
		bool on = o->word && config_names_has(&k->c->share_outside, o->word);

		cJSON_AddItemToObject(want, o->member, cJSON_Parse(on ? o->on : o->off));
	}
	listens_at(k->self, at, sizeof at);
	list = cJSON_AddArrayToObject(want, "listenAddresses");
	cJSON_AddItemToArray(list, cJSON_CreateString(at));
	if (config_names_has(&k->c->share_outside, "relays"))
		cJSON_AddItemToArray(list, cJSON_CreateString(RELAY));
	if (have)
		rc = compare(k, "options", "/rest/config/options", want, have);
	cJSON_Delete(want);
	cJSON_Delete(have);
	return rc;
}

/* ---- devices ---- */

static const cJSON *
find(const cJSON *list, const char *member, const char *text)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (strcmp(json_text(v, member), text) == 0)
			return v;
	return NULL;
}

static int
compare_device(struct comparing *k, const struct config_device *d, const cJSON *all)
{
	cJSON *want = cJSON_CreateObject(), *list;
	char what[64], path[128];
	int rc;

	cJSON_AddStringToObject(want, "deviceID", d->id);
	cJSON_AddStringToObject(want, "name", d->name);
	list = cJSON_AddArrayToObject(want, "addresses");
	cJSON_AddItemToArray(list, cJSON_CreateString(d->address));
	/* Nobody else says whom this host knows, or what it shares. */
	cJSON_AddFalseToObject(want, "introducer");
	cJSON_AddFalseToObject(want, "autoAcceptFolders");
	cJSON_AddFalseToObject(want, "paused");
	snprintf(what, sizeof what, "device %s", d->name);
	snprintf(path, sizeof path, "/rest/config/devices/%s", d->id);
	rc = compare(k, what, path, want, find(all, "deviceID", d->id));
	cJSON_Delete(want);
	return rc;
}

static int
compare_devices(struct comparing *k)
{
	cJSON *all = syncthing_get(k->s, "/rest/config/devices", k->e);
	int rc = all ? 0 : -1;

	for (size_t i = 0; i < k->c->ndevices && rc == 0; i++)
		if (&k->c->devices[i] != k->self)
			rc = compare_device(k, &k->c->devices[i], all);
	cJSON_Delete(all);
	return rc;
}

/* ---- folders ---- */

static cJSON *
folder_wanted(const struct comparing *k, const struct config_device *d, const char *id)
{
	cJSON *want = cJSON_CreateObject(), *list;
	struct buf text = { 0 };

	cJSON_AddStringToObject(want, "id", id);
	buf_addf(&text, "uni-wizard: %s", d->name);
	cJSON_AddStringToObject(want, "label", buf_str(&text));
	buf_clear(&text);
	buf_addf(&text, "%s/%s", k->c->share_dir, d->name);
	cJSON_AddStringToObject(want, "path", buf_str(&text));
	buf_free(&text);
	cJSON_AddStringToObject(want, "type", d == k->self ? "sendonly" : "receiveonly");
	cJSON_AddFalseToObject(want, "paused");
	cJSON_AddFalseToObject(want, "ignoreDelete");
	cJSON_AddTrueToObject(want, "fsWatcherEnabled");
	cJSON_AddNumberToObject(want, "fsWatcherDelayS", WATCH_DELAY_S);
	cJSON_AddNumberToObject(want, "rescanIntervalS", RESCAN_S);
	/* What others send must not take what the agent needs. */
	list = cJSON_AddObjectToObject(want, "minDiskFree");
	cJSON_AddNumberToObject(list, "value", FREE_PERCENT);
	cJSON_AddStringToObject(list, "unit", "%");
	list = cJSON_AddArrayToObject(want, "devices");
	for (size_t i = 0; i < k->c->ndevices; i++) {
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "deviceID", k->c->devices[i].id);
		cJSON_AddStringToObject(one, "introducedBy", "");
		cJSON_AddStringToObject(one, "encryptionPassword", "");
		cJSON_AddItemToArray(list, one);
	}
	return want;
}

static int
compare_folders(struct comparing *k)
{
	cJSON *all = syncthing_get(k->s, "/rest/config/folders", k->e);
	char id[2 * NAME_MAX_LEN + 2], what[96], path[128];
	int rc = all ? 0 : -1;

	for (size_t i = 0; i < k->c->ndevices && rc == 0; i++) {
		const struct config_device *d = &k->c->devices[i];
		cJSON *want;

		syncthing_folder(k->c, d->name, id, sizeof id);
		want = folder_wanted(k, d, id);
		snprintf(what, sizeof what, "folder %s", id);
		snprintf(path, sizeof path, "/rest/config/folders/%s", id);
		if (k->apply)
			rc = save_dir(cJSON_GetObjectItemCaseSensitive(want, "path")->valuestring, 0755, k->e);
		if (rc == 0)
			rc = compare(k, what, path, want, find(all, "id", id));
		cJSON_Delete(want);
	}
	cJSON_Delete(all);
	return rc;
}

/* ---- this host ---- */

static int
compare_self(struct comparing *k)
{
	config_name was = "";
	struct buf path = { 0 }, text = { 0 };
	int rc = 0;

	if (artifact_self(k->c, was, NULL) == 0 && strcmp(was, k->self->name) == 0)
		return 0;
	buf_addf(&path, "%s/self", k->c->share_dir);
	buf_addf(&text, "%s\n", k->self->name);
	differs(k, "%s: this host is %s, to be %s", buf_str(&path), was[0] ? was : "nobody", k->self->name);
	if (k->apply)
		rc = save_dir(k->c->share_dir, 0750, k->e) || save_file(path.data, text.data, text.len, 0644, k->e) ? -1 : 0;
	buf_free(&path);
	buf_free(&text);
	return rc;
}

int
sync_compare(struct syncthing *s, bool apply, const struct config_device **self, void (*tell)(void *arg, const char *line),
    void *arg, struct err *e)
{
	struct comparing k = { .s = s, .c = s->c, .apply = apply, .tell = tell, .arg = arg, .e = e };

	*self = k.self = syncthing_self(s, e);
	if (!k.self)
		return -1;
	/* What may talk outside comes first. */
	if (compare_options(&k) || compare_self(&k) || compare_devices(&k) || compare_folders(&k))
		return -1;
	return k.n;
}

/* ---- conflicts ---- */

static long
count_beneath(const char *dir, int depth)
{
	DIR *d = opendir(dir);
	const struct dirent *v;
	long n = 0;

	while (d && (v = readdir(d))) {
		struct buf path = { 0 };

		n += strstr(v->d_name, ".sync-conflict-") != NULL;
		buf_addf(&path, "%s/%s", dir, v->d_name);
		if (v->d_name[0] != '.' && v->d_type == DT_DIR && depth < DEPTH_MAX)
			n += count_beneath(path.data, depth + 1);
		buf_free(&path);
	}
	if (d)
		closedir(d);
	return n;
}

long
sync_conflicts(const struct config *c, const char *device)
{
	struct buf path = { 0 };
	long n;

	buf_addf(&path, "%s/%s", c->share_dir, device);
	n = count_beneath(path.data, 0);
	buf_free(&path);
	return n;
}
