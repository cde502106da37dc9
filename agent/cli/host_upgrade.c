#include "host_upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "beat.h"
#include "digest.h"
#include "host_add.h"
#include "host_job.h"
#include "json.h"
#include "save.h"
#include "steps.h"

#define COPY_MS 600000                  /* a package over a slow line */
#define INSTALL_MS 600000               /* agents may first end what they do, and apt may have to wait */
#define MOVE_MS 30000
#define LEAVE_MS 3000                   /* until one that is on its way must be elsewhere */
#define AWAY_MS 30000                   /* until others have what the host had */
#define ROOM_KIB (64 * 1024)            /* beside twice the databases, of which copies may be kept */

/* ---- the package ---- */

int
upgrade_open(struct upgrade *u, const char *package, struct err *e)
{
	const char *slash = strrchr(package, '/');
	unsigned char sum[DIGEST_SIZE];
	struct digest *d;

	u->package = package;
	u->file = slash ? slash + 1 : package;
	u->data = (struct buf){ .max = SSH_PAYLOAD_MAX };
	if (!host_package_name(package, u->version, sizeof u->version, u->arch, sizeof u->arch))
		return err_field(e, ERR_INVALID, "package", package, "a file called uni-wizard_VERSION_ARCH.deb");
	if (save_read(package, &u->data, e))
		return err_in(e, "package");
	if (u->data.len < 8 || memcmp(u->data.data, "!<arch>\n", 8) != 0)
		return err_field(e, ERR_INVALID, "package", package, "a Debian package");
	d = digest_new();
	digest_of(d, u->data.data, u->data.len, sum);
	digest_format(sum, u->sha256);
	digest_free(d);
	return 0;
}

void
upgrade_close(struct upgrade *u)
{
	ssh_close(&u->ssh);
	buf_free(&u->data);
}

/* ---- looking ---- */

/* The version of a database stands in its head, unless it is in the log still: then what is installed may know. */
static const char look[] =
    "echo \"arch $(dpkg --print-architecture)\"\n"
    "has=$(dpkg-query -W -f '${Version}' uni-wizard 2>/dev/null || :)\n"
    "echo \"installed $has\"\n"
    "if test -z \"$has\" || dpkg --compare-versions \"$has\" lt \"$1\"; then echo order -1\n"
    "elif dpkg --compare-versions \"$has\" gt \"$1\"; then echo order 1\n"
    "else echo order 0; fi\n"
    "test ! -s \"$2/units\" || echo begun 1\n"
    "echo \"free $(df -Pk /var/lib | awk 'NR == 2 { print $4 }')\"\n"
    "for db in /var/lib/uni-wizard/*.db; do\n"
    "	test -f \"$db\" || continue\n"
    "	case $(basename \"$db\") in outbox-* | hermes-* | bridge*) continue ;; esac\n"
    "	v=$(od -An -tu1 -j60 -N4 \"$db\" | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')\n"
    "	echo \"store $v $(du -k \"$db\" | cut -f1)\"\n"
    "done\n"
    "echo \"program $(uni-wizard --version --json 2>/dev/null || :)\"\n";

static void
take_store(struct upgrade_look *l, const char *text)
{
	long long kib = 0;
	int version = 0;

	if (sscanf(text, "%d %lld", &version, &kib) != 2)
		return;
	l->store_bytes += kib * 1024;
	if (version > l->store)
		l->store = version;
}

static void
take_program(struct upgrade_look *l, const char *text)
{
	cJSON *o = json_parse_object(text, strlen(text), NULL);
	int version = (int)json_number(cJSON_GetObjectItemCaseSensitive(o, "stores"), "agent", 0);

	if (l->store_bytes && version > l->store)
		l->store = version;
	cJSON_Delete(o);
}

static void
take_line(struct upgrade_look *l, const char *line)
{
	const char *value = strchr(line, ' ');

	if (!value)
		return;
	value++;
	if (strncmp(line, "arch ", 5) == 0)
		snprintf(l->arch, sizeof l->arch, "%s", value);
	else if (strncmp(line, "installed ", 10) == 0)
		snprintf(l->installed, sizeof l->installed, "%s", value);
	else if (strncmp(line, "order ", 6) == 0)
		l->order = (int)strtol(value, NULL, 10);
	else if (strncmp(line, "begun ", 6) == 0)
		l->begun = true;
	else if (strncmp(line, "free ", 5) == 0)
		l->free_bytes = strtoll(value, NULL, 10) * 1024;
	else if (strncmp(line, "store ", 6) == 0)
		take_store(l, value);
	else if (strncmp(line, "program ", 8) == 0)
		take_program(l, value);
}

static int
judge_look(const struct upgrade *u, struct err *e)
{
	const struct upgrade_look *l = &u->look;
	int64_t need = 2 * l->store_bytes + (int64_t)ROOM_KIB * 1024 + 4 * (int64_t)u->data.len;

	if (!l->installed[0])
		return err_set(e, ERR_NOT_FOUND, "host %s: uni-wizard is not installed there as a package; `uni-wizard host add` brings it",
		    u->host->name);
	if (strcmp(u->arch, "all") != 0 && strcmp(u->arch, l->arch) != 0)
		return err_set(e, ERR_INVALID, "host %s: expected a package for %s, got %s", u->host->name, l->arch, u->arch);
	if (l->order > 0)
		return err_set(e, ERR_INVALID, "host %s has %s, which is newer than the package, %s", u->host->name, l->installed, u->version);
	if (l->order < 0 && l->free_bytes < need)
		return err_set(e, ERR_IO, "host %s: %lld MiB are free in /var/lib, %lld MiB are needed for packages and copies of databases",
		    u->host->name, (long long)(l->free_bytes >> 20), (long long)(need >> 20));
	return 0;
}

int
upgrade_look(struct upgrade *u, const struct config_host *h, bool accept_new, struct err *e)
{
	struct buf out = { .max = SSH_OUTPUT_MAX };
	const struct beat *b = h->agents.n ? houses_beat(&u->watch->houses, h->agents.v[0]) : NULL;
	int rc;

	ssh_close(&u->ssh);
	u->host = h;
	u->look = (struct upgrade_look){ .order = -1 };
	u->touched = u->back = false;
	u->program[0] = '\0';
	snprintf(u->former, sizeof u->former, "%s", b && b->o ? beat_text(b->o, "version") : "");
	ssh_init(&u->ssh, &u->watch->r.config, h);
	u->ssh.accept_new = accept_new;
	rc = ssh_run(&u->ssh, &(struct ssh_script){ .text = look, .args = (const char *const[]){ u->version, UPGRADE_CACHE, NULL } }, &out, e);
	for (char *save = NULL, *line = rc ? NULL : strtok_r(out.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(&u->look, line);
	buf_free(&out);
	return rc ? rc : judge_look(u, e);
}

/* ---- copy ---- */

static void
former_file(const struct upgrade *u, char *out, size_t size)
{
	snprintf(out, size, "uni-wizard_%.60s_%.20s.deb", u->look.installed, u->look.arch);
}

static int
copy_done(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] = "f=$1/$2; test -f \"$f\" && test \"$(sha256sum <\"$f\" | cut -c1-64)\" = \"$3\" && echo yes || echo no";
	struct upgrade *u = ctx;
	struct buf out = { 0 };
	int rc = ssh_run(&u->ssh, &(struct ssh_script){ .text = text, .args = (const char *const[]){ UPGRADE_CACHE, u->file, u->sha256, NULL } },
	    &out, e);
	bool yes = rc == 0 && strcmp(buf_str(&out), "yes") == 0;

	if (yes)
		buf_addf(note, "%s is there", u->file);
	buf_free(&out);
	return rc ? -1 : yes;
}

/* What it is called must be what it is. Beside it only what is installed is kept. */
static int
copy_act(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] =
	    "d=$1 f=$1/$2\n"
	    "install -d -m 700 -o root -g root \"$d\"\n"
	    "payload >\"$f.new\"\n"
	    "test \"$(sha256sum <\"$f.new\" | cut -c1-64)\" = \"$3\" || { echo 'it did not arrive whole' >&2; exit 1; }\n"
	    "is=$(dpkg-deb -f \"$f.new\" Package)_$(dpkg-deb -f \"$f.new\" Version)_$(dpkg-deb -f \"$f.new\" Architecture).deb\n"
	    "test \"$is\" = \"$2\" || { rm -f \"$f.new\"; echo \"it is called $2 and is $is\" >&2; exit 1; }\n"
	    "sync \"$f.new\"; mv \"$f.new\" \"$f\"\n"
	    "for old in \"$d\"/*.deb; do case $(basename \"$old\") in \"$2\" | \"$4\") ;; *) rm -f \"$old\" ;; esac; done\n";
	struct upgrade *u = ctx;
	char former[128];

	former_file(u, former, sizeof former);
	buf_addf(note, "%s, %lld KiB", u->file, (long long)u->data.len / 1024);
	return ssh_run(&u->ssh, &(struct ssh_script){ .text = text, .args = (const char *const[]){ UPGRADE_CACHE, u->file, u->sha256,
	    former, NULL }, .payload = u->data.data, .payload_len = u->data.len, .deadline_ms = COPY_MS }, NULL, e);
}

/* ---- trial ---- */

static int
check_protocol(const struct upgrade *u, int64_t protocol, struct err *e)
{
	const struct houses *h = &u->watch->houses;

	for (size_t i = 0; i < h->n; i++) {
		int64_t its = json_number(h->beats[i].o, "protocol", 1);

		if (h->beats[i].live && (its > protocol + 1 || its < protocol - 1))
			return err_set(e, ERR_INVALID, "it speaks protocol %lld, %s speaks %lld: they would not understand each other; upgrade to a version "
			    "in between first", (long long)protocol, h->agents[i], (long long)its);
	}
	return 0;
}

static int
judge_program(struct upgrade *u, const char *text, struct buf *note, struct err *e)
{
	cJSON *o = json_parse_object(text, strlen(text), NULL);
	int64_t protocol = json_number(o, "protocol", 0);
	int64_t store = json_number(cJSON_GetObjectItemCaseSensitive(o, "stores"), "agent", 0);
	int rc = 0;

	snprintf(u->program, sizeof u->program, "%s", json_text(o, "version"));
	if (!protocol || !store || !*u->program)
		rc = err_set(e, ERR_INVALID, "the package's program does not say which protocol it speaks and which databases it reads: it is older "
		    "than this way of upgrading");
	else if (store < u->look.store)
		rc = err_set(e, ERR_INVALID, "the databases there have version %d, the package's program knows up to %lld", u->look.store,
		    (long long)store);
	else
		rc = check_protocol(u, protocol, e);
	buf_addf(note, "%s runs there; protocol %lld, databases up to version %lld", u->program, (long long)protocol, (long long)store);
	if (u->look.store && store > u->look.store)
		buf_addf(note, ": from %d on, copies are kept", u->look.store);
	cJSON_Delete(o);
	return rc;
}

static int
trial_act(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] =
	    "rm -rf \"$1\"/trial.*\n"
	    "d=$(mktemp -d \"$1/trial.XXXXXX\"); trap 'rm -rf \"$d\"' EXIT\n"
	    "dpkg-deb --fsys-tarfile \"$1/$2\" | tar -x -C \"$d\" ./usr/bin/uni-wizard\n"
	    "\"$d/usr/bin/uni-wizard\" --version --json\n";
	struct upgrade *u = ctx;
	struct buf out = { 0 };
	int rc = ssh_run(&u->ssh, &(struct ssh_script){ .text = text, .args = (const char *const[]){ UPGRADE_CACHE, u->file, NULL },
	    .fix = "the package's program does not run there; does it need a library that is not installed?" }, &out, e);

	if (rc == 0)
		rc = judge_program(u, buf_str(&out), note, e);
	buf_free(&out);
	return rc;
}

/* ---- former ---- */

static int
former_done(void *ctx, struct buf *note, struct err *e)
{
	struct upgrade *u = ctx;
	struct buf out = { 0 };
	char file[128];
	int rc;

	former_file(u, file, sizeof file);
	rc = ssh_run(&u->ssh, &(struct ssh_script){ .text = "test -s \"$1/$2\" && echo yes || echo no",
	    .args = (const char *const[]){ UPGRADE_CACHE, file, NULL } }, &out, e);
	if (rc == 0)
		rc = strcmp(buf_str(&out), "yes") == 0;
	if (rc == 1)
		buf_addf(note, "%s is there", file);
	buf_free(&out);
	return rc;
}

/* Wherever it came from, what is installed is packed again, as it is. Of directories dpkg makes those that it needs. */
static int
former_act(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] =
	    "umask 022\n"
	    "rm -rf \"$1\"/former.*\n"
	    "d=$(mktemp -d \"$1/former.XXXXXX\"); trap 'rm -rf \"$d\"' EXIT\n"
	    "mkdir \"$d/t\" \"$d/t/DEBIAN\"\n"
	    "dpkg-query -s uni-wizard | awk '/^[^ ]/ { skip = /^(Status|Config-Version|Conffiles):/ } !skip' >\"$d/t/DEBIAN/control\"\n"
	    "for f in $(dpkg-query --control-list uni-wizard); do\n"
	    "	case $f in md5sums) continue ;; esac\n"
	    "	dpkg-query --control-show uni-wizard \"$f\" >\"$d/t/DEBIAN/$f\"\n"
	    "	case $f in preinst | postinst | prerm | postrm | config) chmod 755 \"$d/t/DEBIAN/$f\" ;; esac\n"
	    "done\n"
	    "dpkg-query -L uni-wizard | while IFS= read -r f; do test -d \"$f\" || printf '%s\\n' \"${f#/}\"; done >\"$d/files\"\n"
	    "tar -C / -cf - -T \"$d/files\" | tar -C \"$d/t\" -xpf -\n"
	    "dpkg-deb -Zgzip -z1 -b \"$d/t\" \"$d/$2\" >&2\n"
	    "sync \"$d/$2\"; mv \"$d/$2\" \"$1/$2\"\n";
	struct upgrade *u = ctx;
	char file[128];

	former_file(u, file, sizeof file);
	buf_addf(note, "%s/%s", UPGRADE_CACHE, file);
	return ssh_run(&u->ssh, &(struct ssh_script){ .text = text, .args = (const char *const[]){ UPGRADE_CACHE, file, NULL },
	    .deadline_ms = INSTALL_MS, .fix = "the package that is installed could not be kept" }, NULL, e);
}

/* ---- drain ---- */

static bool
is_here(const struct upgrade *u, const char *agent)
{
	return config_names_has(&u->host->agents, agent);
}

/* The first candidate on another host that is in step, those first that have all that the house needs. */
static const char *
heir_of(const struct upgrade *u, const struct house_view *v)
{
	const struct houses *h = &u->watch->houses;

	for (int lacking = 0; lacking < 2; lacking++)
		for (size_t i = 0; i < v->candidates->n; i++) {
			const char *agent = v->candidates->v[i];

			if (!is_here(u, agent) && strcmp(house_candidate_state(h, v, agent), "in step") == 0 &&
			    (lacking || !*house_candidate_lacks(h, v, agent)))
				return agent;
		}
	return NULL;
}

static bool
all_have_heirs(struct watch *w, void *arg)
{
	struct upgrade *u = arg;
	struct house_view v;

	for (size_t i = 0; watch_house(w, i, &v); i++)
		if (!house_is_held(&v) || (is_here(u, v.owner) && !heir_of(u, &v)))
			return false;
	return true;
}

/* Every house has an owner, and those of this host have somewhere to go. */
static int
check_houses(struct upgrade *u, struct buf *note, struct err *e)
{
	struct house_view v;
	int rc = watch_until(u->watch, all_have_heirs, u, u->gap ? 3000 : u->within_ms, e), n = 0;

	if (rc < 0)
		return -1;
	for (size_t i = 0; watch_house(u->watch, i, &v); i++) {
		const char *heir = heir_of(u, &v);

		if (!house_is_held(&v) && !u->gap)
			return err_set(e, ERR_WRONG_STATE, "house %s has no owner: mend that first (`uni-wizard house list`)", v.house);
		if (!house_is_held(&v) || !is_here(u, v.owner))
			continue;
		if (!heir && !u->gap)
			return err_set(e, ERR_WRONG_STATE, "house %s has nowhere to go: no candidate on another host is in step with %s; `uni-wizard "
			    "house list` shows why, --gap lets it wait meanwhile", v.house, v.owner);
		buf_addf(note, "%s%s %s%s", n++ ? ", " : "", v.house, heir ? "to " : "waits", heir ? heir : "");
	}
	if (!n)
		buf_adds(note, "it owns no house");
	return n ? 0 : 1;
}

static int
drain_done(void *ctx, struct buf *note, struct err *e)
{
	return check_houses(ctx, note, e);
}

struct leaving {
	const struct upgrade *u;
	const char *house;
};

static bool
has_left(struct watch *w, void *arg)
{
	const struct leaving *l = arg;
	struct house_view v;

	for (size_t i = 0; watch_house(w, i, &v); i++)
		if (strcmp(v.house, l->house) == 0)
			return house_is_held(&v) && !is_here(l->u, v.owner);
	return true;
}

/* Its owner may have been giving it away himself, back home: then he refuses, and it is as good. */
static int
move_away(struct upgrade *u, const char *house, const char *heir, struct err *e)
{
	struct leaving l = { u, house };
	struct err ignored;

	if (watch_move(u->watch, house, heir, MOVE_MS, e) == 0)
		return 0;
	return watch_until(u->watch, has_left, &l, LEAVE_MS, &ignored) == 1 ? 0 : -1;
}

static int
drain_act(void *ctx, struct buf *note, struct err *e)
{
	struct upgrade *u = ctx;
	struct house_view v;

	if (check_houses(u, note, e) < 0)
		return -1;
	for (size_t i = 0; watch_house(u->watch, i, &v); i++) {
		const char *heir = heir_of(u, &v);

		if (house_is_held(&v) && is_here(u, v.owner) && heir && move_away(u, v.house, heir, e))
			return -1;
	}
	return 0;
}

/* ---- install, and back ---- */

/* What runs, or should, is stopped and is to run again; the list stays until it does, so that whoever is cut off here goes on here. */
#define UNITS \
	"cd \"$1\"; shift\n" \
	"test -s units || { { systemctl list-units --plain --no-legend --state=active,activating,reloading uni-wizard.service \\\n" \
	"	'uni-wizard@*.service' timmy-router.service health-daemon.service | awk '{ print $1 }'\n" \
	"	for u in $units timmy-router.service; do systemctl is-enabled -q \"$u\" 2>/dev/null && echo \"$u\" || :; done; } |\n" \
	"	sort -u >units.new; mv units.new units; }\n" \
	"each() { test ! -s units || xargs systemctl \"$@\" <units; }\n"
#define GET \
	"get() { apt-get -q -y --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confold \\\n" \
	"	-o DPkg::Lock::Timeout=300 install \"./$1\" >log 2>&1 || { tail -n 5 log >&2; return 1; }; }\n" \
	"run() { systemctl daemon-reload; each reset-failed 2>/dev/null || :; each start; rm -f units log; }\n"

static void
put_units(const struct upgrade *u, struct buf *b)
{
	char unit[NAME_MAX_LEN + 32];

	for (size_t i = 0; i < u->host->agents.n; i++) {
		host_unit(u->host, i, unit, sizeof unit);
		buf_addf(b, "%s%s", i ? "\n" : "", unit);
	}
}

/* text begins with units=$1; shift and UNITS, after which a and b are its "$1" and "$2". */
static int
run_on_host(struct upgrade *u, const char *text, const char *a, const char *b, struct err *e)
{
	struct buf units = { 0 };
	int rc;

	put_units(u, &units);
	rc = ssh_run(&u->ssh, &(struct ssh_script){ .text = text, .args = (const char *const[]){ buf_str(&units), UPGRADE_CACHE, a, b, NULL },
	    .deadline_ms = INSTALL_MS, .fix = "journalctl -u 'uni-wizard*' there tells more" }, NULL, e);
	buf_free(&units);
	return rc;
}

static int
install_act(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] =
	    "units=$1; shift\n" UNITS GET
	    "each stop\n"
	    "rm -f /var/lib/uni-wizard/*.db.before\n"
	    "get \"$1\"\n"
	    "run\n";
	struct upgrade *u = ctx;

	u->touched = true;
	buf_addf(note, "%s instead of %s", u->version, u->look.installed);
	return run_on_host(u, text, u->file, NULL, e);
}

static bool
others_hold_all(struct watch *w, void *arg)
{
	struct upgrade *u = arg;
	struct house_view v;

	for (size_t i = 0; watch_house(w, i, &v); i++) {
		bool ours = false;

		for (size_t k = 0; k < v.candidates->n; k++)
			ours |= is_here(u, v.candidates->v[k]);
		if (ours && (!house_is_held(&v) || is_here(u, v.owner)))
			return false;
	}
	return true;
}

static int
stop_act(void *ctx, struct buf *note, struct err *e)
{
	(void)note;
	return run_on_host(ctx, "units=$1; shift\n" UNITS "each stop\n", NULL, NULL, e);
}

/* A database that the new program has changed is put away, and what was before takes its place: only if others hold all houses,
 * for they then know what was done since. */
static int
back_act(void *ctx, struct buf *note, struct err *e)
{
	static const char text[] =
	    "units=$1; shift\n" UNITS GET
	    "for f in /var/lib/uni-wizard/*.db.before; do\n"
	    "	test -f \"$f\" && test \"$2\" = no || continue\n"
	    "	run || :\n"
	    "	echo \"${f%.before} is of the new version already, and no other host holds all that is in it: what was installed stays\" >&2\n"
	    "	exit 1\n"
	    "done\n"
	    "get \"$1\"\n"
	    "for f in /var/lib/uni-wizard/*.db.before; do\n"
	    "	test -f \"$f\" || continue\n"
	    "	db=${f%.before}\n"
	    "	rm -f \"$db.newer\" \"$db.newer-wal\" \"$db-shm\"\n"
	    "	mv \"$db\" \"$db.newer\"\n"
	    "	test ! -f \"$db-wal\" || mv \"$db-wal\" \"$db.newer-wal\"\n"
	    "	mv \"$f\" \"$db\"\n"
	    "done\n"
	    "run\n";
	struct upgrade *u = ctx;
	char file[128];
	int held = watch_until(u->watch, others_hold_all, u, AWAY_MS, e);

	former_file(u, file, sizeof file);
	buf_addf(note, "%s again", u->look.installed);
	return held < 0 ? -1 : run_on_host(u, text, file, held ? "yes" : "no", e);
}

/* ---- health ---- */

static bool
is_well(const struct upgrade *u, const char *agent, struct buf *why)
{
	const struct houses *h = &u->watch->houses;
	const struct beat *b = houses_beat(h, agent);
	const char *wanted = u->back ? u->former : u->program;
	struct house_view v;

	if (!b)
		return true;            /* a witness: it owns nothing, and is not among those who are heard */
	if (!b->live || strcmp(beat_text(b->o, "state"), "online") != 0) {
		buf_addf(why, "%s is not heard", agent);
		return false;
	}
	if (*wanted && strcmp(beat_text(b->o, "version"), wanted) != 0) {
		buf_addf(why, "%s runs version %s, not %s", agent, beat_text(b->o, "version"), wanted);
		return false;
	}
	for (size_t i = 0; watch_house(u->watch, i, &v); i++) {
		const char *state = house_candidate_state(h, &v, agent);

		if (!config_names_has(v.candidates, agent) || strcmp(state, "owner") == 0 || strcmp(state, "in step") == 0)
			continue;
		buf_addf(why, "%s is not in step with house %s: %s", agent, v.house, state);
		return false;
	}
	return true;
}

static bool
all_well(struct watch *w, void *arg)
{
	struct upgrade *u = arg;
	struct buf why = { 0 };
	bool well = true;

	(void)w;
	for (size_t i = 0; well && i < u->host->agents.n; i++)
		well = is_well(u, u->host->agents.v[i], &why);
	buf_free(&why);
	return well;
}

static int
health_act(void *ctx, struct buf *note, struct err *e)
{
	struct upgrade *u = ctx;
	int rc = watch_until(u->watch, all_well, u, u->within_ms, e);
	struct buf why = { 0 };

	if (rc < 0)
		return -1;
	for (size_t i = 0; rc == 0 && !why.len && i < u->host->agents.n; i++)
		is_well(u, u->host->agents.v[i], &why);
	if (rc == 0)
		err_set(e, ERR_TIMEOUT, "%s, %lld s after it was started", buf_str(&why), (long long)u->within_ms / 1000);
	else
		buf_addf(note, "%s, %zu agent%s in step", u->back ? u->look.installed : u->version, u->host->agents.n, u->host->agents.n == 1 ? "" : "s");
	buf_free(&why);
	return rc == 1 ? 0 : -1;
}

/* ---- one host ---- */

static bool
is_older(const void *ctx)
{
	return ((const struct upgrade *)ctx)->look.order < 0;
}

static bool
must_install(const void *ctx)
{
	const struct upgrade *u = ctx;

	return u->look.order < 0 || u->look.begun;
}

static const struct step steps[] = {
	{ "copy", "bring the package there", NULL, must_install, copy_done, copy_act },
	{ "trial", "let its program say which protocol it speaks and which databases it reads, without installing it", NULL, must_install,
	    NULL, trial_act },
	{ "former", "keep the package that is installed", NULL, is_older, former_done, former_act },
	{ "drain", "move its houses to other hosts", "they come back by themselves", must_install, drain_done, drain_act },
	{ "install", "stop its agents, install the package, start them", "the former package is kept, and installed again if this fails", must_install,
	    NULL, install_act },
	{ "health", "wait until its agents are heard with the new version and in step", NULL, NULL, NULL, health_act },
	{ .name = NULL },
};

static const struct step steps_back[] = {
	{ "stop", "stop its agents; others take their houses", NULL, NULL, NULL, stop_act },
	{ "back", "install the former package again, and start them", NULL, NULL, NULL, back_act },
	{ "health", "wait until its agents are heard and in step", NULL, NULL, NULL, health_act },
	{ .name = NULL },
};

/* The first failure is what is told; that of the way back, if there is one, behind it. */
static int
go_back(struct upgrade *u, bool quiet, struct buf *json, struct err *e)
{
	struct err first = *e, again = { 0 };

	u->back = true;
	if (steps_run(steps_back, u, &(struct steps_opts){ .quiet = quiet }, json, &again) == 0)
		return 0;
	u->back = false;
	return err_set(e, first.code, "%.230s; and the way back failed: %.210s", first.msg, again.msg);
}

int
upgrade_run(struct upgrade *u, bool dry_run, bool quiet, struct buf *json, struct buf *json_back, struct err *e)
{
	int rc = steps_run(steps, u, &(struct steps_opts){ .dry_run = dry_run, .quiet = quiet }, json, e);

	if (rc && u->touched && u->look.order < 0)
		go_back(u, quiet, json_back, e);
	return rc;
}
