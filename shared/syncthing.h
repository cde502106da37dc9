/*
 * syncthing.h - this host's Syncthing, over its REST interface: what it is asked, and how it stands.
 *
 * Each device of houses.yaml is the only writer of one folder, <folder>-<device> at <dir>/<device>: on its host that is of
 * type sendonly, on all others receiveonly. So hosts that are set up so never change what another wrote, and there is nothing
 * to be in conflict. One that is not can: what it has reaches others, not the writer, who sees that.
 * Needs libcurl (curl.h): not for the agent itself.
 */
#ifndef UW_SYNCTHING_H
#define UW_SYNCTHING_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct buf;
struct err;
struct nearest;

/* ---- what may talk to others than the devices ---- */

struct syncthing_option {
	const char *word;               /* in syncthing.outside; NULL: nobody can ask for it */
	const char *member;             /* of Syncthing's options */
	const char *off, *on;           /* JSON */
};

extern const struct syncthing_option syncthing_options[];       /* ended by member NULL */

/* False: there is no such word; n was told of those that there are. */
bool syncthing_outside(const char *word, struct nearest *n);

/* ---- asking ---- */

struct syncthing {
	const struct config *c;
	const struct curl_api *curl;
	void *h;
	int64_t deadline_ms;            /* clock_mono_ms(), for all that is asked */
};

/* ERR_CONFIG: this host lacks the directory or the key. Nothing is asked yet. */
int syncthing_open(struct syncthing *s, const struct config *c, int64_t timeout_ms, struct err *e);
void syncthing_close(struct syncthing *s);

/* path: "/rest/...". The caller frees the answer. NULL with ERR_NETWORK or ERR_TIMEOUT (it does not answer), ERR_DENIED (not
 * to this key), ERR_NOT_FOUND (404), ERR_PARSE. */
cJSON *syncthing_get(struct syncthing *s, const char *path, struct err *e);
int syncthing_send(struct syncthing *s, const char *method, const char *path, const cJSON *body, struct err *e);

/* The device of houses.yaml that it is; ERR_CONFIG names its ID if it is none. */
const struct config_device *syncthing_self(struct syncthing *s, struct err *e);

/* "uw-ezra" */
void syncthing_folder(const struct config *c, const char *device, char *out, size_t size);

/* ---- how it stands ---- */

struct sync_device {
	const struct config_device *d;
	bool is_self;
	bool connected, paused;         /* of others */
	char address[128];
	int64_t lacks;                  /* items of ours that it does not have yet; -1: it is not connected, or not known */
	/* its folder, here */
	bool shared;                    /* Syncthing has the folder */
	char state[32];                 /* idle, scanning, syncing, error, ... */
	char error[160];
	int64_t items, need_items, need_bytes;
	int64_t errors;                 /* files that could not be brought here */
	int64_t changed;                /* items that are otherwise here than their writer has them; of ours: elsewhere */
};

struct sync_status {
	const struct config_device *self;
	struct sync_device v[CONFIG_MAX_DEVICES];
	size_t n;
	long conflicts;                 /* files put aside; -1: nobody counted them */
	size_t faults;                  /* devices that are away or whose folder has a fault */
	int64_t need_items;             /* still to come, of all */
	bool ok;                        /* no faults. Files may be on their way */
	char text[400];                 /* that in a sentence */
};

int syncthing_look(struct syncthing *s, struct sync_status *out, struct err *e);

/* {"self":...,"ok":...,"text":...,"faults":...,"need_items":...,"devices":[...]} */
void syncthing_put(struct buf *b, const struct sync_status *st);

#endif
