#include "syncthing.h"

#include <string.h>

#include "buf.h"
#include "clock.h"
#include "curl.h"
#include "err.h"
#include "json.h"
#include "nearest.h"

#define ANSWER_MAX (4u << 20)
#define PATH_TEXT 256

const struct syncthing_option syncthing_options[] = {
	{ "relays", "relaysEnabled", "false", "true" },
	{ "global-discovery", "globalAnnounceEnabled", "false", "true" },
	{ "local-discovery", "localAnnounceEnabled", "false", "true" },
	{ "nat", "natEnabled", "false", "true" },
	{ "nat", "stunKeepaliveStartS", "0", "180" },
	{ "usage-reports", "urAccepted", "-1", "3" },
	{ "crash-reports", "crashReportingEnabled", "false", "true" },
	{ "upgrades", "autoUpgradeIntervalH", "0", "12" },
	{ NULL, "announceLANAddresses", "false", NULL },
	{ NULL, "startBrowser", "false", NULL },
	{ NULL, "urSeen", "3", NULL },                  /* it need not ask */
	{ NULL, "reconnectionIntervalS", "10", NULL },
	{ .member = NULL },
};

bool
syncthing_outside(const char *word, struct nearest *n)
{
	for (const struct syncthing_option *o = syncthing_options; o->member; o++) {
		if (!o->word)
			continue;
		if (strcmp(o->word, word) == 0)
			return true;
		nearest_try(n, o->word);
	}
	return false;
}

/* ---- asking ---- */

int
syncthing_open(struct syncthing *s, const struct config *c, int64_t timeout_ms, struct err *e)
{
	*s = (struct syncthing){ .c = c, .deadline_ms = clock_mono_ms() + timeout_ms };
	if (!c->share_dir || !c->ndevices)
		return err_set(e, ERR_CONFIG, "syncthing.%s: houses.yaml names none, so nothing is shared", c->share_dir ? "devices" : "dir");
	if (!c->share_key)
		return err_set(e, ERR_CONFIG, "syncthing.api_key: expected the name of a secret with the API key, got nothing");
	if (!config_secret_value(c, c->share_key))
		return err_set(e, ERR_CONFIG, "syncthing.api_key: this host has no secret %s, or this user cannot read it", c->share_key);
	s->curl = curl_load(e);
	if (!s->curl)
		return -1;
	s->h = s->curl->easy_init();
	return s->h ? 0 : err_set(e, ERR_INTERNAL, "libcurl gives no handle");
}

void
syncthing_close(struct syncthing *s)
{
	if (s->h)
		s->curl->easy_cleanup(s->h);
	s->h = NULL;
}

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_add(b, p, size * n);
	return buf_ok(b) ? size * n : 0;
}

static int
judge(const struct syncthing *s, long status, const char *path, const struct buf *answer, struct err *e)
{
	size_t len = strcspn(buf_str(answer), "\r\n");

	if (status / 100 == 2)
		return 0;
	if (status == 401 || status == 403)
		return err_set(e, ERR_DENIED, "Syncthing at %s does not take the key %s", s->c->share_api, s->c->share_key);
	return err_set(e, status == 404 ? ERR_NOT_FOUND : ERR_NETWORK, "Syncthing at %s answers %ld to %s: %.*s", s->c->share_api,
	    status, path, (int)(len < 200 ? len : 200), buf_str(answer));
}

#define SET(option, value) s->curl->easy_setopt(s->h, option, value)

/* No proxy, no redirect: the key goes to nobody else. */
static int
ask(struct syncthing *s, const char *method, const char *path, const char *body, struct buf *answer, struct err *e)
{
	char url[1024], header[512], why[CURL_ERROR_SIZE] = "";
	int64_t left = s->deadline_ms - clock_mono_ms();
	size_t base = strlen(s->c->share_api);
	struct curl_slist *headers;
	CURLcode code;
	long status = 0;

	if (left <= 0)
		return err_set(e, ERR_TIMEOUT, "Syncthing at %s did not answer everything in time", s->c->share_api);
	while (base && s->c->share_api[base - 1] == '/')
		base--;
	snprintf(url, sizeof url, "%.*s%s", (int)base, s->c->share_api, path);
	snprintf(header, sizeof header, "X-API-Key: %s", config_secret_value(s->c, s->c->share_key));
	headers = s->curl->slist_append(NULL, header);
	headers = s->curl->slist_append(headers, "Content-Type: application/json");
	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_CUSTOMREQUEST, method);
	SET(CURLOPT_POSTFIELDS, body);
	if (!body)
		SET(CURLOPT_HTTPGET, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)left);
	SET(CURLOPT_ERRORBUFFER, why);
	SET(CURLOPT_WRITEFUNCTION, take);
	SET(CURLOPT_WRITEDATA, answer);
	code = s->curl->easy_perform(s->h);
	s->curl->easy_getinfo(s->h, CURLINFO_RESPONSE_CODE, &status);
	SET(CURLOPT_ERRORBUFFER, NULL);
	s->curl->slist_free_all(headers);
	if (!buf_ok(answer))
		return err_set(e, ERR_TOO_BIG, "Syncthing at %s answers more than %u bytes to %s", s->c->share_api, ANSWER_MAX, path);
	if (code != CURLE_OK)
		return err_set(e, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_NETWORK, "Syncthing at %s does not answer: %.200s",
		    s->c->share_api, why[0] ? why : s->curl->easy_strerror(code));
	return judge(s, status, path, answer, e);
}

cJSON *
syncthing_get(struct syncthing *s, const char *path, struct err *e)
{
	struct buf answer = { .max = ANSWER_MAX };
	cJSON *v = NULL;

	if (ask(s, "GET", path, NULL, &answer, e) == 0) {
		v = json_parse(buf_str(&answer), answer.len, e);
		if (!v)
			err_wrap(e, "Syncthing's answer to %s", path);
	}
	buf_free(&answer);
	return v;
}

int
syncthing_send(struct syncthing *s, const char *method, const char *path, const cJSON *body, struct err *e)
{
	struct buf answer = { .max = ANSWER_MAX }, text = { 0 };
	int rc;

	json_put_tree(&text, body);
	rc = ask(s, method, path, buf_str(&text), &answer, e);
	buf_free(&answer);
	buf_free(&text);
	return rc;
}

static const struct config_device *
device_of_id(const struct config *c, const char *id)
{
	for (size_t i = 0; i < c->ndevices; i++)
		if (strcmp(c->devices[i].id, id) == 0)
			return &c->devices[i];
	return NULL;
}

const struct config_device *
syncthing_self(struct syncthing *s, struct err *e)
{
	cJSON *o = syncthing_get(s, "/rest/system/status", e);
	const struct config_device *d = NULL;

	if (o && !(d = device_of_id(s->c, json_text(o, "myID"))))
		err_set(e, ERR_CONFIG, "syncthing.devices: none has the id of this host's Syncthing, which is %.80s", json_text(o, "myID"));
	cJSON_Delete(o);
	return d;
}

void
syncthing_folder(const struct config *c, const char *device, char *out, size_t size)
{
	snprintf(out, size, "%s-%s", c->share_folder, device);
}

/* ---- how it stands ---- */

static int
look_at_connections(struct syncthing *s, struct sync_status *st, struct err *e)
{
	cJSON *o = syncthing_get(s, "/rest/system/connections", e);
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(o, "connections");

	if (!o)
		return -1;
	for (size_t i = 0; i < st->n; i++) {
		struct sync_device *v = &st->v[i];
		const cJSON *one = cJSON_GetObjectItemCaseSensitive(all, v->d->id);

		v->connected = json_is_true(one, "connected");
		v->paused = json_is_true(one, "paused");
		snprintf(v->address, sizeof v->address, "%s", v->connected ? json_text(one, "address") : "");
	}
	cJSON_Delete(o);
	return 0;
}

/* 1: there is no such folder. */
static int
ask_of_folder(struct syncthing *s, const char *what, const char *device, const char *more, cJSON **o, struct err *e)
{
	char folder[2 * NAME_MAX_LEN + 2], path[PATH_TEXT];
	struct err why = { 0 };

	syncthing_folder(s->c, device, folder, sizeof folder);
	snprintf(path, sizeof path, "/rest/db/%s?folder=%s%s", what, folder, more);
	*o = syncthing_get(s, path, &why);
	if (*o)
		return 0;
	if (why.code == ERR_NOT_FOUND)
		return 1;
	if (e)
		*e = why;
	return -1;
}

static int
look_at_folder(struct syncthing *s, struct sync_device *v, struct err *e)
{
	cJSON *o;
	int rc = ask_of_folder(s, "status", v->d->name, "", &o, e);

	v->shared = rc == 0;
	snprintf(v->state, sizeof v->state, "%s", json_text(o, "state"));
	snprintf(v->error, sizeof v->error, "%s", json_text(o, "error"));
	v->items = json_number(o, "globalTotalItems", 0);
	v->need_items = json_number(o, "needTotalItems", 0);
	v->need_bytes = json_number(o, "needBytes", 0);
	v->errors = json_number(o, "errors", 0);
	v->changed = v->is_self ? v->need_items : json_number(o, "receiveOnlyTotalItems", 0);
	/* Those it will not take. */
	if (v->is_self)
		v->need_items = v->need_bytes = 0;
	cJSON_Delete(o);
	return rc < 0 ? -1 : 0;
}

/* A percentage says nothing: it is 100 of a device that is not connected, and of an empty folder. */
static int
look_at_what_it_lacks(struct syncthing *s, const struct sync_status *st, struct sync_device *v, struct err *e)
{
	char more[96];
	cJSON *o;
	int rc;

	v->lacks = -1;
	if (v->is_self || !v->connected)
		return 0;
	snprintf(more, sizeof more, "&device=%s", v->d->id);
	rc = ask_of_folder(s, "completion", st->self->name, more, &o, e);
	if (o)
		v->lacks = json_number(o, "needItems", 0) + json_number(o, "needDeletes", 0);
	cJSON_Delete(o);
	return rc < 0 ? -1 : 0;
}

/* "2 of 3 other devices are connected (not ezra); 4 items are still to come, 0 to go; ..." */
static void
sum_up(struct sync_status *st)
{
	struct buf b = { .max = sizeof st->text - 1 }, away = { .max = 200 }, bad = { .max = 200 };
	int64_t go = 0;
	size_t connected = 0;

	for (size_t i = 0; i < st->n; i++) {
		const struct sync_device *v = &st->v[i];
		bool is_away = !v->is_self && !v->connected;

		connected += v->connected && !v->is_self;
		if (is_away)
			buf_addf(&away, "%s%s%s", away.len ? ", " : "", v->d->name, v->paused ? " (paused)" : "");
		st->need_items += v->need_items;
		st->faults += is_away || !v->shared || v->error[0] || v->errors || v->changed;
		go += v->lacks > 0 ? v->lacks : 0;
		if (!v->shared)
			buf_addf(&bad, "; there is no folder of %s", v->d->name);
		else if (v->error[0] || v->errors)
			buf_addf(&bad, "; folder of %s: %lld errors%s%.60s", v->d->name, (long long)v->errors, v->error[0] ? ", " : "", v->error);
		if (v->changed)
			buf_addf(&bad, "; folder of %s: %lld items were changed %s", v->d->name, (long long)v->changed,
			    v->is_self ? "elsewhere" : "here");
	}
	st->ok = st->faults == 0;
	buf_addf(&b, "%zu of %zu other devices are connected", connected, st->n - 1);
	if (away.len)
		buf_addf(&b, ", not %s", buf_str(&away));
	buf_addf(&b, "; %lld items are to come, %lld to go%s", (long long)st->need_items, (long long)go,
	    buf_str(&bad));
	snprintf(st->text, sizeof st->text, "%s", buf_str(&b));
	buf_free(&b);
	buf_free(&away);
	buf_free(&bad);
}

int
syncthing_look(struct syncthing *s, struct sync_status *st, struct err *e)
{
	*st = (struct sync_status){ .self = syncthing_self(s, e), .n = s->c->ndevices, .conflicts = -1 };
	if (!st->self)
		return -1;
	for (size_t i = 0; i < st->n; i++) {
		st->v[i].d = &s->c->devices[i];
		st->v[i].is_self = st->v[i].d == st->self;
	}
	if (look_at_connections(s, st, e))
		return -1;
	for (size_t i = 0; i < st->n; i++)
		if (look_at_folder(s, &st->v[i], e) || look_at_what_it_lacks(s, st, &st->v[i], e))
			return -1;
	sum_up(st);
	return 0;
}

static void
put_device(struct buf *b, const struct sync_device *v)
{
	json_put_open(b, '{');
	json_kv_str(b, "device", v->d->name);
	json_kv_bool(b, "self", v->is_self);
	if (!v->is_self) {
		json_kv_bool(b, "connected", v->connected);
		json_kv_bool(b, "paused", v->paused);
		json_kv_str(b, "address", v->address[0] ? v->address : NULL);
		if (v->lacks >= 0)
			json_kv_int(b, "lacks_items", v->lacks);
	}
	json_kv_bool(b, "shared", v->shared);
	json_kv_str(b, "state", v->state);
	if (v->error[0])
		json_kv_str(b, "error", v->error);
	json_kv_int(b, "items", v->items);
	json_kv_int(b, "need_items", v->need_items);
	json_kv_int(b, "need_bytes", v->need_bytes);
	json_kv_int(b, "errors", v->errors);
	json_kv_int(b, v->is_self ? "changed_elsewhere" : "changed_here", v->changed);
	json_put_close(b, '}');
}

void
syncthing_put(struct buf *b, const struct sync_status *st)
{
	json_put_open(b, '{');
	json_kv_str(b, "self", st->self->name);
	json_kv_bool(b, "ok", st->ok);
	json_kv_str(b, "text", st->text);
	json_kv_int(b, "faults", (int64_t)st->faults);
	json_kv_int(b, "need_items", st->need_items);
	if (st->conflicts >= 0)
		json_kv_int(b, "conflicts", st->conflicts);
	json_put_key(b, "devices");
	json_put_open(b, '[');
	for (size_t i = 0; i < st->n; i++)
		put_device(b, &st->v[i]);
	json_put_close(b, ']');
	json_put_close(b, '}');
}
