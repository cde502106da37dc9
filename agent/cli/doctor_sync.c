/*
 * doctor_sync.c - sharing of files: Syncthing answers, has what houses.yaml says, and is connected.
 */
#include "artifact.h"
#include "doctor.h"
#include "sync.h"

#define LIMIT_MS 15000

struct first {
	char line[400];
	bool any;
};

static void
keep_first(void *arg, const char *line)
{
	struct first *f = arg;

	if (!f->any)
		snprintf(f->line, sizeof f->line, "%s", line);
	f->any = true;
}

static void
check_settings(struct doctor *d, struct syncthing *s)
{
	const struct config_device *self;
	struct first first = { .any = false };
	struct err e = { 0 };
	int n = sync_compare(s, false, &self, keep_first, &first, &e);

	if (n < 0)
		doctor_wrong(d, FOUND_SYNC_SETUP, d->config->share_api, "%s", e.msg);
	else if (n)
		doctor_wrong(d, FOUND_SYNC_SETUP, d->config->share_api, "%d settings are not those of houses.yaml, such as %s", n, first.line);
	else
		doctor_well(d, "Syncthing has what houses.yaml says, as device %s", self->name);
}

static void
check_device(struct doctor *d, const struct sync_device *v)
{
	const char *name = v->d->name;
	long conflicts = sync_conflicts(d->config, name);

	if (!v->is_self && !v->connected)
		doctor_wrong(d, FOUND_SYNC_AWAY, name, "%s is not connected%s", name, v->paused ? ": it is paused" : "");
	if (v->error[0] || v->errors || v->changed || conflicts)
		doctor_wrong(d, FOUND_SYNC_FAULT, name, "folder of %s: %lld errors, %lld items changed %s, %ld in conflict%s%s", name,
		    (long long)v->errors, (long long)v->changed, v->is_self ? "elsewhere" : "here", conflicts, v->error[0] ? ": " : "", v->error);
	else if (v->is_self || v->connected)
		doctor_well(d, "%s: %lld items, %lld to come, %lld to go", name, (long long)v->items, (long long)v->need_items,
		    (long long)(v->lacks > 0 ? v->lacks : 0));
}

static void
check_devices(struct doctor *d, struct syncthing *s)
{
	static struct sync_status st;
	struct err e = { 0 };

	if (syncthing_look(s, &st, &e))
		doctor_wrong(d, FOUND_SYNC_SILENT, d->config->share_api, "%s", e.msg);
	else
		for (size_t i = 0; i < st.n; i++)
			check_device(d, &st.v[i]);
}

void
doctor_sync(struct doctor *d)
{
	const struct config *c = d->config;
	struct syncthing s = { .h = NULL };
	struct err e = { 0 };
	config_name self;
	bool set_up = artifact_self(c, self, &e) == 0;

	if (!c->share_dir && !c->ndevices) {
		doctor_skip(d, "houses.yaml has no syncthing.dir: nothing is shared");
	} else if (!set_up && c->share_key && !config_secret_value(c, c->share_key)) {
		doctor_skip(d, "this host has no secret %s, and was never set up: it takes no part", c->share_key);
	} else if (syncthing_open(&s, c, LIMIT_MS, &e) || !syncthing_self(&s, &e)) {
		doctor_wrong(d, e.code == ERR_CONFIG ? FOUND_SYNC_SETUP : FOUND_SYNC_SILENT, c->share_api, "%s", e.msg);
	} else {
		check_settings(d, &s);
		if (set_up)
			check_devices(d, &s);
	}
	syncthing_close(&s);
}
