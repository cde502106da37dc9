#include "edict.h"

#include <ctype.h>

#include "clock.h"
#include "glob.h"
#include "json.h"
#include "passphrase.h"
#include "policy.h"
#include "tool.h"

#define LISTEN_MS 2500                  /* heartbeats come each second */
#define FIND_MS 6000                    /* and with several brokers, the one where they are is to be found first */
#define WITHIN_S 5
#define SETTLE_MS 300                   /* kept messages come right after the subscription */

/* Listening */

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct edict *x = arg;

	known_take(&x->known, topic, payload, len);
	x->done = x->is_done && x->is_done(x);
}

static int
wait_until(struct edict *x, bool (*is_done)(const struct edict *), int64_t ms)
{
	x->is_done = is_done;
	x->done = is_done && is_done(x);
	return remote_wait(&x->r, &x->done, ms);
}

static bool
heard_all(const struct edict *x)
{
	return known_heard_all(&x->known);
}

static bool
heard_any(const struct edict *x)
{
	for (size_t i = 0; i < x->known.nagents; i++)
		if (x->known.agents[i].heard)
			return true;
	return false;
}

/* Heartbeats last: what the broker keeps of the others comes before a fresh one does. */
static int
subscribe(struct edict *x)
{
	static const enum topic_kind kinds[] = { TOPIC_POLICY, TOPIC_HALT, TOPIC_GRANT, TOPIC_RELAY, TOPIC_REQUEST, TOPIC_HEALTH };
	char filter[TOPIC_MAX];
	struct err e;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		topic_format(filter, x->r.config.cluster, kinds[i], "+", "+");
		if (client_subscribe(x->r.client, filter, &e))
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	return 0;
}

/* Any message, so that with several brokers it is the one where somebody is. */
static bool
hears(const struct edict *x)
{
	return client_is_up(x->r.client) && (x->r.config.nbrokers == 1 || heard_any(x));
}

static int
wait_up(struct edict *x, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, now;
	int rc = EXIT_NO_ANSWER;

	while (rc == EXIT_NO_ANSWER && (now = clock_mono_ms()) < end)
		rc = wait_until(x, hears, end - now > 20 ? 20 : end - now);
	return rc;
}

static int
hear(struct edict *x, bool numbers)
{
	int rc = subscribe(x);

	if (rc)
		return rc;
	rc = numbers ? wait_until(x, heard_all, LISTEN_MS) : wait_up(x, LISTEN_MS);
	if (rc == EXIT_NO_ANSWER && x->r.config.nbrokers > 1 && !heard_any(x))
		rc = numbers ? wait_until(x, heard_all, FIND_MS) : wait_up(x, FIND_MS);
	if (rc == 0 && !numbers)
		rc = wait_until(x, NULL, SETTLE_MS);
	if (rc == 0)
		return 0;
	if (rc != EXIT_NO_ANSWER)
		return rc;
	/* An agent that is away is told of later. */
	if (client_is_up(x->r.client))
		return 0;
	x->local = edict_local_hear(x) > 0;
	if (!x->local)
		return remote_no_answer(&x->r, "the broker");
	fprintf(stderr, "uni-wizard: no connection to the broker: %s; the agents on this machine are asked, and pass it on\n",
	    client_why_down(x->r.client));
	return 0;
}

int
edict_config(const struct cmd_args *a, struct config *c)
{
	int rc = cmd_config(a, c);

	if (!rc && !a->identity)
		memcpy(c->identity, c->sovereign, sizeof c->identity);
	return rc;
}

static int
check_pinned(const struct config *c)
{
	if (c->sovereign_keys.n)
		return 0;
	return cmd_fail(EXIT_USAGE, "%s pins no key of %s: `uni-wizard key init` makes one and says what to write there", c->path,
	    c->sovereign);
}

int
edict_open(struct edict *x, const struct cmd_args *a, bool numbers)
{
	struct cmd_args as = *a;
	int rc;

	*x = (struct edict){ .a = a };
	if ((rc = edict_config(a, &x->r.config)))
		return rc;
	if ((rc = check_pinned(&x->r.config))) {
		config_release(&x->r.config);
		return rc;
	}
	as.identity = x->r.config.identity;
	if ((rc = remote_connect(&x->r, &as, NULL, on_message, x)))
		return rc;
	known_init(&x->known, &x->r.config);
	if ((rc = hear(x, numbers)))
		edict_close(x);
	return rc;
}

void
edict_close(struct edict *x)
{
	sign_key_free(x->key);
	known_release(&x->known);
	remote_close(&x->r);
}

/* The key */

static const char *
passphrase_option(const struct cmd_args *a)
{
	for (const struct cmd_opt *o = a->cmd->opts; o && o->name; o++)
		if (strcmp(o->name, "passphrase-file") == 0)
			return cmd_text(a, "passphrase-file", NULL);
	return NULL;
}

struct sign_key *
edict_key_load(const struct cmd_args *a, const char *path)
{
	struct buf passphrase = { 0 };
	struct sign_key *key = NULL;
	struct err e = { 0 };
	bool locked = sign_key_is_locked(path);

	if (!locked || passphrase_get(&passphrase, passphrase_option(a), "Passphrase of the sovereign's key: ", false, &e) == 0)
		key = sign_key_load(path, locked ? buf_str(&passphrase) : NULL, &e);
	passphrase_wipe(&passphrase);
	if (!key && e.code == ERR_NOT_FOUND)
		cmd_fail(EXIT_NOT_SUCCEEDED, "%s; `sovereign_key` in the configuration says where the key lies, `uni-wizard key "
		    "init` makes one", e.msg);
	else if (!key)
		cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return key;
}

static bool
is_pinned(const struct config *c, const struct sign_public *p)
{
	for (size_t i = 0; i < c->sovereign_keys.n; i++)
		if (sign_public_equal(&c->sovereign_keys.v[i], p))
			return true;
	return false;
}

int
edict_key(struct edict *x)
{
	const struct config *c = &x->r.config;

	if (x->key)
		return 0;
	x->key = edict_key_load(x->a, c->sovereign_key);
	if (!x->key)
		return EXIT_NOT_SUCCEEDED;
	if (is_pinned(c, sign_key_public(x->key)))
		return 0;
	return cmd_fail(EXIT_REJECTED, "%s: the key %s is not among sovereign_keys of %s, so no agent would take what it signs",
	    c->sovereign_key, sign_key_public(x->key)->id, c->path);
}

/* Sending */

static const enum topic_kind topic_of[SOVEREIGN_NKINDS] = {
	[SOVEREIGN_POLICY] = TOPIC_POLICY, [SOVEREIGN_HALT] = TOPIC_HALT, [SOVEREIGN_GRANT] = TOPIC_GRANT,
	[SOVEREIGN_DECISION] = TOPIC_DECISION,
};

static void
set_number(cJSON *o, const char *name, int64_t n)
{
	cJSON_DeleteItemFromObjectCaseSensitive(o, name);
	cJSON_AddNumberToObject(o, name, (double)n);
}

static bool
is_kept(const struct edict *x)
{
	return client_has_retained(x->r.client);
}

/* Of those that are there, everybody holds it; a request is gone when its owner has taken the decision. */
static bool
is_taken(const struct edict *x)
{
	if (!is_kept(x))
		return false;
	if (x->waits_for)
		return !known_request(&x->known, x->waits_for);
	for (size_t i = 0; i < x->known.nagents; i++)
		if (x->known.agents[i].heard && x->known.agents[i].holds[x->kind] < x->n)
			return false;
	return true;
}

/* A PUBACK is no message, so it is looked for between short waits. */
static int
wait_taken(struct edict *x)
{
	bool option = false;
	int64_t end, now = clock_mono_ms();
	int rc = EXIT_NO_ANSWER;

	for (const struct cmd_opt *o = x->a->cmd->opts; o && o->name; o++)
		option |= strcmp(o->name, "within") == 0;
	end = now + 1000 * (option ? cmd_int(x->a, "within", WITHIN_S) : WITHIN_S);
	while (rc == EXIT_NO_ANSWER && (now = clock_mono_ms()) < end)
		rc = wait_until(x, is_taken, end - now > 50 ? 50 : end - now);
	return rc;
}

static int
publish(struct edict *x, const char *id, const struct buf *line)
{
	char topic[TOPIC_MAX];
	int rc;

	if (x->local)
		return edict_local_give(x, line) ? 0 : cmd_fail(EXIT_NOT_SUCCEEDED, "no agent on this machine took it");
	topic_format(topic, x->r.config.cluster, topic_of[x->kind], x->r.config.sovereign, id);
	client_retain(x->r.client, topic, line->data, line->len);
	known_take(&x->known, topic, line->data, line->len);
	rc = wait_taken(x);
	if (rc == EXIT_NO_ANSWER && !is_kept(x))
		return remote_no_answer(&x->r, "the broker");
	return rc == EXIT_NO_ANSWER ? 0 : rc;
}

int
edict_send(struct edict *x, enum sovereign_kind kind, const char *id, cJSON *members)
{
	struct buf line = { 0 };
	struct err e = { 0 };
	int rc = edict_key(x);

	x->kind = kind;
	x->n = kind == SOVEREIGN_DECISION ? 0 : known_highest(&x->known, kind) + 1;
	if (x->n)
		set_number(members, "n", x->n);
	set_number(members, "time", clock_wall_ms());
	if (!rc && sovereign_seal(&line, kind, x->r.config.cluster, members, x->key, &e))
		rc = cmd_fail(EXIT_USAGE, "%s", e.msg);
	if (!rc)
		rc = publish(x, id, &line);
	cJSON_Delete(members);
	buf_free(&line);
	return rc;
}

/* Telling */

enum { HOLDS, LACKS, AWAY, SILENT, NSTATES };

static int
state_of(const struct edict *x, const struct known_agent *a)
{
	if (a->away)
		return AWAY;
	if (!a->heard)
		return SILENT;
	return a->holds[x->kind] >= x->n ? HOLDS : LACKS;
}

static void
put_agents(struct buf *b, const struct edict *x)
{
	static const char *const words[NSTATES] = { "holds", "lacks", "away", "silent" };

	json_put_key(b, "agents");
	json_put_open(b, '{');
	for (size_t i = 0; i < x->known.nagents; i++)
		json_kv_str(b, x->known.agents[i].name, words[state_of(x, &x->known.agents[i])]);
	json_put_close(b, '}');
}

static void
print_agents(const struct edict *x)
{
	static const char *const words[NSTATES] = { "held by", "not yet taken by", "away", "silent" };

	for (int s = 0; s < NSTATES; s++) {
		struct buf names = { 0 };

		for (size_t i = 0; i < x->known.nagents; i++)
			if (state_of(x, &x->known.agents[i]) == s)
				buf_addf(&names, "%s%s", names.len ? ", " : "", x->known.agents[i].name);
		if (names.len)
			printf("  %s: %s\n", words[s], names.data);
		buf_free(&names);
	}
}

int
edict_report(struct edict *x, const char *what)
{
	struct buf b = { 0 };
	int rc = EXIT_OK;

	for (size_t i = 0; i < x->known.nagents; i++)
		if (state_of(x, &x->known.agents[i]) == LACKS)
			rc = EXIT_NO_ANSWER;
	if (x->a->json) {
		json_put_open(&b, '{');
		json_kv_str(&b, "kind", sovereign_kind_name(x->kind));
		json_kv_int(&b, "n", x->n);
		put_agents(&b, x);
		json_put_close(&b, '}');
		puts(buf_str(&b));
	} else {
		printf("%s\n", what);
		print_agents(x);
	}
	buf_free(&b);
	return rc;
}

cJSON *
edict_first_policy(const struct config *c)
{
	cJSON *o = cJSON_CreateObject(), *houses = cJSON_AddObjectToObject(o, "houses");

	for (size_t i = 0; i < c->nhouses; i++)
		cJSON_AddStringToObject(cJSON_AddObjectToObject(houses, c->houses[i].name), "profile",
		    profile_of(profile_for_role(c->houses[i].role))->name);
	cJSON_AddArrayToObject(o, "production");
	cJSON_AddArrayToObject(o, "rules");
	cJSON_AddNumberToObject(o, "approval_s", 86400);
	cJSON_AddFalseToObject(o, "self_approval");
	return o;
}

void
edict_warn_tool(const struct config *c, const char *field, const char *pattern)
{
	struct registry *r = registry_new(c, NULL, NULL);
	char text[240];
	bool known = false;

	for (size_t i = 0; i < registry_count(r); i++)
		known |= glob_match(pattern, registry_at(r, i)->name);
	registry_free(r);
	if (known)
		return;
	snprintf(text, sizeof text, "%.60s: no tool that is known here is called %.64s", field, pattern);
	cmd_warn(text, NULL);
}

/* Printing what others wrote */

/* Characters that are not seen but change how what follows is read: marks of direction, of joining, line separators. */
static bool
turns_text(const unsigned char *p)
{
	if (p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa0 && p[2] <= 0xaf;
	return (p[0] == 0xd8 && p[1] == 0x9c) || (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
}

/* Prints one character and returns its length. */
static size_t
put_foreign(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;
	int n = json_utf8_len(p, len);

	if (n == 1 && *u >= 0x20 && *u != 0x7f)
		putchar(*u);
	else if (n == 1)
		printf("\\x%02x", *u);
	else if (n == 0)
		printf("\\x%02x", *u);
	else if ((n == 2 && u[0] == 0xc2 && u[1] < 0xa0) || turns_text(u))
		for (int i = 0; i < n; i++)
			printf("\\x%02x", u[i]);
	else
		fwrite(p, 1, (size_t)n, stdout);
	return n ? (size_t)n : 1;
}

void
print_foreign(const char *text, const char *indent)
{
	const char *end = text + strlen(text);

	while (text < end) {
		fputs(indent, stdout);
		while (text < end && *text != '\n') {
			if (*text == '\t') {
				putchar(*text++);
				continue;
			}
			text += put_foreign(text, (size_t)(end - text));
		}
		putchar('\n');
		text += text < end;
	}
}

static const struct unit {
	char letter;
	int64_t ms;
} units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 } };

void
print_when(char *out, size_t size, int64_t at_ms, int64_t now_ms)
{
	int64_t away = at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms;
	size_t u = 0;

	while (u < 3 && away < 2 * units[u].ms)
		u++;
	snprintf(out, size, "%s%lld %c%s", at_ms > now_ms ? "in " : "", (long long)(away / units[u].ms), units[u].letter,
	    at_ms > now_ms ? "" : " ago");
}

int64_t
duration_ms(const char *text)
{
	char *end;
	long long n = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : -1;

	if (n < 1 || n > 1000000 || !*end || end[1])
		return -1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (*end == units[i].letter)
			return n * units[i].ms;
	return -1;
}
