#include "config_impl.h"

#include <regex.h>

#include "json.h"
#include "task.h"

#include "nearest.h"
#include "syncthing.h"

/* So many may own a house unless the file says otherwise: each more is one more disk that everything which is
 * accepted waits for. */
#define CANDIDATES 3

/* Defaults that depend on other keys */

static int
house_complete(struct config_reader *r, struct config_house *h)
{
	if (!h->role)
		h->role = xstrdup(strcmp(h->name, r->c->sovereign) == 0 ? "judgement" : "worker");
	if (h->agents.n == 0) {
		char agent[NAME_MAX_LEN + 3], path[CONFIG_FIELD_MAX];

		snprintf(agent, sizeof agent, "%s-1", h->name);
		config_join(path, "houses", h->name);
		if (!name_ok(agent))
			return config_fail(r, config_line_of(r, path),
			    "%s.agents: %s would be too long a name, give one", path, agent);
		memcpy(h->agents.v[h->agents.n++], agent, strlen(agent) + 1);
	}
	return 0;
}

static void
path_complete(const struct config *c, char **path, const char *name)
{
	struct buf b = { 0 };

	if (*path)
		return;
	buf_addf(&b, "%s/%s", c->pki_dir, name);
	*path = buf_take(&b);
}

static void
candidates_add(struct config_names *candidates, const struct config_names *agents)
{
	for (size_t i = 0; i < agents->n && candidates->n < CANDIDATES; i++)
		if (!config_names_has(candidates, agents->v[i]))
			memcpy(candidates->v[candidates->n++], agents->v[i], sizeof(config_name));
}

/* Those who stand in for the house's own, in the order of the file. */
static void
stand_ins_add(struct config_names *candidates, const struct config *c)
{
	for (size_t i = 0; i < c->nhouses; i++)
		candidates_add(candidates, &c->houses[i].agents);
}

static void
candidates_complete(struct config *c)
{
	const struct config_house *dispatch = config_house_find(c, "allegro");

	for (size_t i = 0; i < c->nhouses; i++)
		if (c->houses[i].candidates.n == 0) {
			c->houses[i].candidates = c->houses[i].agents;
			stand_ins_add(&c->houses[i].candidates, c);
		}
	if (c->router.n == 0) {
		candidates_add(&c->router, dispatch ? &dispatch->agents : &c->houses[0].agents);
		stand_ins_add(&c->router, c);
	}
	for (size_t i = 0; i < c->router.n; i++)
		if (!config_home(c, c->router.v[i]) && !config_names_has(&c->witnesses, c->router.v[i]))
			memcpy(c->routers.v[c->routers.n++], c->router.v[i], sizeof(config_name));
}

static void
host_complete(struct config_host *h)
{
	struct config_ssh ssh;

	if (!h->address && h->ssh && config_ssh(h->ssh, &ssh))
		h->address = xstrdup(ssh.local ? "localhost" : ssh.host);
}

int
config_complete(struct config_reader *r)
{
	struct config *c = r->c;

	if (c->nhouses == 0)
		return config_fail(
		    r, config_line_of(r, "houses"), "houses: expected at least one house, got none");
	for (size_t i = 0; i < c->nhouses; i++)
		if (house_complete(r, &c->houses[i]))
			return -1;
	candidates_complete(c);
	for (size_t i = 0; i < c->nhosts; i++)
		host_complete(&c->hosts[i]);
	/* On machines of others there is no such file, and nobody asks for it. */
	path_complete(c, &c->sovereign_key, "sovereign.key");
	path_complete(c, &c->http_certificate, "http.crt");
	path_complete(c, &c->http_key, "http.key");
	return 0;
}

/* Checks across keys */

static int
check_people(struct config_reader *r)
{
	const struct config *c = r->c;

	for (size_t i = 0; i < c->watchers.n; i++)
		if (config_names_has(&c->operators, c->watchers.v[i]) ||
		    strcmp(c->watchers.v[i], c->sovereign) == 0)
			return config_fail(r, config_line_of(r, "watchers"),
			    "watchers: %s may do more already, as %s", c->watchers.v[i],
			    config_names_has(&c->operators, c->watchers.v[i]) ? "an operator"
									      : "the sovereign");
	return 0;
}

static bool
is_person(const struct config *c, const char *name)
{
	return strcmp(name, c->sovereign) == 0 || config_names_has(&c->operators, name) ||
	    config_names_has(&c->watchers, name);
}

static int
check_agents(struct config_reader *r, const struct config_house *h)
{
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "houses.%s.agents", h->name);
	for (size_t i = 0; i < h->agents.n; i++) {
		const char *agent = h->agents.v[i];
		const struct config_house *home = config_home(r->c, agent);

		if (home != h)
			return config_fail(r, config_line_of(r, path), "%s: %s is already at home in %s",
			    path, agent, home->name);
		if (is_person(r->c, agent))
			return config_fail(r, config_line_of(r, path),
			    "%s: %s is a person's name (sovereign, operators, watchers)", path, agent);
	}
	return 0;
}

static int
check_witnesses(struct config_reader *r)
{
	const struct config *c = r->c;

	for (size_t i = 0; i < c->witnesses.n; i++) {
		const char *witness = c->witnesses.v[i];
		const struct config_house *home = config_home(c, witness);

		if (home)
			return config_fail(r, config_line_of(r, "witnesses"),
			    "witnesses: %s is an agent of %s and votes already", witness, home->name);
		if (is_person(c, witness))
			return config_fail(r, config_line_of(r, "witnesses"),
			    "witnesses: %s is a person's name (sovereign, operators, watchers)", witness);
	}
	return 0;
}

static const char *
nearest_agent(const struct config *c, struct nearest *n)
{
	for (size_t h = 0; h < c->nhouses; h++)
		for (size_t a = 0; a < c->houses[h].agents.n; a++)
			nearest_try(n, c->houses[h].agents.v[a]);
	return nearest_word(n);
}

/* Every name in a list of candidates must be somebody's agent; in the router's, an agent of no house is one that only
 * routes, unless it looks like a slip. */
static int
check_known(struct config_reader *r, const char *path, const struct config_names *names)
{
	const struct config *c = r->c;

	for (size_t i = 0; i < names->n; i++) {
		struct nearest n = { .word = names->v[i] };
		const char *best;

		if (config_home(c, names->v[i]))
			continue;
		if (config_names_has(&c->witnesses, names->v[i]))
			return config_fail(r, config_line_of(r, path),
			    "%s: %s is a witness, which owns nothing", path, names->v[i]);
		if (is_person(c, names->v[i]))
			return config_fail(r, config_line_of(r, path),
			    "%s: %s is a person's name (sovereign, operators, watchers)", path, names->v[i]);
		best = nearest_agent(c, &n);
		if (names == &c->router && !best)
			continue;
		return config_fail(r, config_line_of(r, path), "%s: no house has an agent %s%s%s%s", path,
		    names->v[i], best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
	}
	return 0;
}

static bool
is_loopback(const char *url)
{
	static const char *const hosts[] = { "localhost", "[::1]" };
	const char *host = strstr(url, "://") + 3;
	size_t n = strncmp(host, "127.", 4) == 0 ? strspn(host, "0123456789.") : 0;

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strncmp(host, hosts[i], strlen(hosts[i])) == 0)
			n = strlen(hosts[i]);
	return n && (!host[n] || host[n] == ':' || host[n] == '/');
}

static int
check_house(struct config_reader *r, const struct config_house *h)
{
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "houses.%s.endpoint", h->name);
	if (h->endpoint && strncmp(h->endpoint, "http:", 5) == 0 && !is_loopback(h->endpoint))
		config_warn(r, config_line_of(r, path),
		    "%s: plain http to another host can be read on the way", path);
	snprintf(path, sizeof path, "houses.%s.auth_token", h->name);
	if (h->auth_token && r->exposed)
		config_warn(r, config_line_of(r, path),
		    "%s: others can read this file; keep the token in a variable, or chmod 600", path);
	snprintf(path, sizeof path, "houses.%s.candidates", h->name);
	return check_agents(r, h) || check_known(r, path, &h->candidates) ? -1 : 0;
}

/* With more than one broker a majority of voters decides which is the one in use. */
static int
check_brokers(struct config_reader *r)
{
	size_t voters = config_voters(r->c, NULL, 0), brokers = r->c->nbrokers;

	if (brokers > 1 && voters < 3)
		return config_fail(r, config_line_of(r, "brokers"), "brokers: %zu brokers need at least three voters "
		    "(agents and witnesses), there %s %zu", brokers, voters == 1 ? "is" : "are", voters);
	if (brokers > 1 && voters % 2 == 0)
		config_warn(r, config_line_of(r, "brokers"), "brokers: %zu agents and witnesses vote on the "
		    "broker; an odd number stands more faults", voters);
	return 0;
}

static bool
holds(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	return strcmp(dir, "/") == 0 || (strncmp(dir, path, n) == 0 && (path[n] == '/' || !path[n]));
}

/* Tools are kept from the agents' own files, but not from what they are given. */
static void
check_roots(struct config_reader *r, const char *key, const struct config_paths *roots)
{
	/* What is shared may be read. */
	const char *const ours[] = { r->c->state_dir, r->c->pki_dir, r->c->sovereign_key,
		roots == &r->c->roots ? r->c->share_dir : NULL };

	for (size_t i = 0; i < roots->n; i++)
		for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
			if (ours[k] && holds(roots->v[i], ours[k])) {
				config_warn(r, config_line_of(r, key), "%s: %.100s holds %.100s, which is not for tools",
				    key, roots->v[i], ours[k]);
				break;
			}
}

static int
schedule_fail(struct config_reader *r, const struct config_schedule *s, const char *member, const char *why)
{
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "schedules.%s.%s", s->name, member);
	return config_fail(r, config_line_of(r, path), "%s: %s", path, why);
}

/* Checked as a house would, but for what only its agents know: the tool and its parameters. */
static int
check_template(const char *task, struct err *e)
{
	static const char *const ours[] = { "id", "key", "not_before", "deadline", "from", "reply", "house", "after" };
	struct task_msg m;
	cJSON *o = json_parse_object(task, strlen(task), e);
	int rc = !o || task_msg_read(o, &m, e) ? -1 : 0;

	for (size_t i = 0; rc == 0 && i < sizeof ours / sizeof *ours; i++)
		if (cJSON_HasObjectItem(o, ours[i]))
			rc = err_set(e, ERR_INVALID, "expected a task without id, key, times, house and the like");
	cJSON_Delete(o);
	return rc;
}

static int
check_schedule(struct config_reader *r, struct config_schedule *s)
{
	struct err e;

	if (!s->cron_text || cron_parse(s->cron_text, &s->cron, &e))
		return schedule_fail(r, s, "cron", s->cron_text ? e.msg : "expected five fields, got nothing");
	if (!(s->zone = zone_open(s->zone_name, &e)))
		return schedule_fail(r, s, "zone", e.msg);
	if (!config_house_find(r->c, s->house))
		return schedule_fail(r, s, "house", "expected a house of this file");
	if (!s->task)
		return schedule_fail(r, s, "task", "expected a task, got nothing");
	return check_template(s->task, &e) ? schedule_fail(r, s, "task", e.msg) : 0;
}

static int
check_flow(struct config_reader *r, struct config_flow *f)
{
	char path[CONFIG_FIELD_MAX];

	if (!f->running && !f->each_us)
		f->running = 1;
	snprintf(path, sizeof path, "flow.%s.burst", f->name);
	if (f->burst > 1 && !f->each_us)
		return config_fail(r, config_line_of(r, path), "%s: expected a rate beside it", path);
	snprintf(path, sizeof path, "flow.%s.house", f->name);
	if (f->house[0] && !config_house_find(r->c, f->house))
		return config_fail(r, config_line_of(r, path), "%s: expected a house of this file, got %s", path, f->house);
	return 0;
}

static int
sink_fail(struct config_reader *r, const struct config_sink *s, const char *key, const char *expected)
{
	char path[CONFIG_FIELD_MAX], parent[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "sinks.%s.%s", s->name, key);
	snprintf(parent, sizeof parent, "sinks.%s", s->name);
	return config_fail(r, config_line_of(r, path) ? config_line_of(r, path) : config_line_of(r, parent), "%s: expected %s", path,
	    expected);
}

static bool
begins(const char *text, const char *a, const char *b)
{
	return text && (strncmp(text, a, strlen(a)) == 0 || strncmp(text, b, strlen(b)) == 0);
}

static int
check_sink(struct config_reader *r, const struct config_sink *s)
{
	bool command = strcmp(s->kind, "command") == 0, mail = strcmp(s->kind, "mail") == 0;

	if (command)
		return s->command ? 0 : sink_fail(r, s, "command", "a program, for kind command");
	if (mail && !begins(s->url, "smtp://", "smtps://"))
		return sink_fail(r, s, "url", "smtp://host:port or smtps://host:port, for kind mail");
	if (mail && (!s->from || !s->to || strpbrk(s->from, "<> ") || strpbrk(s->to, "<> ")))
		return sink_fail(r, s, s->from ? "to" : "from", "one mail address");
	if (!mail && !begins(s->url, "http://", "https://"))
		return sink_fail(r, s, "url", "http://host/path or https://host/path");
	return 0;
}

static int
gitea_fail(struct config_reader *r, const char *path, const char *expected)
{
	return config_fail(r, config_line_of(r, path), "%s: expected %s", path, expected);
}

/* Whether there is a secret of that name is asked when it is needed: this host may have none, and no need. */
static int
check_gitea(struct config_reader *r)
{
	const struct config_gitea *g = &r->c->gitea;

	if (!g->url)
		return g->token || g->repositories.n ? gitea_fail(r, "gitea.url", "the URL of a Gitea") : 0;
	if (!g->token)
		return gitea_fail(r, "gitea.token", "the name of a secret, which is the token");
	if (strpbrk(g->url, "?#@"))
		return gitea_fail(r, "gitea.url", "a URL without user name, ? and #");
	if (strncmp(g->url, "http:", 5) == 0 && !is_loopback(g->url))
		config_warn(r, config_line_of(r, "gitea.url"), "gitea.url: over plain http to another host the token can be read on the way");
	return 0;
}

static int
triage_fail(struct config_reader *r, const struct config_triage *t, const char *member, const char *why)
{
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "triage.%s.%s", t->name, member);
	return config_fail(r, config_line_of(r, path), "%s: %s", path, why);
}

/* The bridge says what it follows, and a step whose forerunner failed never begins. */
static int
check_step(const char *task, struct err *e)
{
	static const char *const ours[] = { "parent", "after_failed" };
	cJSON *o;
	int rc = 0;

	if (check_template(task, e))
		return -1;
	o = cJSON_Parse(task);
	for (size_t i = 0; rc == 0 && i < sizeof ours / sizeof *ours; i++)
		if (cJSON_HasObjectItem(o, ours[i]))
			rc = err_set(e, ERR_INVALID, "expected a task without %s: each follows the one before", ours[i]);
	cJSON_Delete(o);
	return rc;
}

static int
check_triage(struct config_reader *r, const struct config_triage *t)
{
	char why[160];
	regex_t re;
	struct err e;
	int rc;

	if (t->match && (rc = regcomp(&re, t->match, REG_EXTENDED | REG_ICASE | REG_NOSUB))) {
		regerror(rc, &re, why, sizeof why);
		return triage_fail(r, t, "match", why);
	}
	if (t->match)
		regfree(&re);
	if (t->house[0] && !config_house_find(r->c, t->house))
		return triage_fail(r, t, "house", "expected a house of this file");
	if (t->paths.n && strcmp(t->kind, "issue") == 0)
		return triage_fail(r, t, "paths", "an issue changes no files");
	if (t->task && t->tasks.n)
		return triage_fail(r, t, "tasks", "expected either task or tasks, got both");
	if (t->task && check_template(t->task, &e))
		return triage_fail(r, t, "task", e.msg);
	for (size_t i = 0; i < t->tasks.n; i++)
		if (check_step(t->tasks.v[i], &e)) {
			snprintf(why, sizeof why, "number %zu: %.120s", i + 1, e.msg);
			return triage_fail(r, t, "tasks", why);
		}
	return 0;
}

static int
check_bridge(struct config_reader *r)
{
	const struct config *c = r->c;

	if (c->bridge.repos.n == 0)
		return 0;
	if (!c->gitea.url)
		return config_fail(r, config_line_of(r, "bridge.repos"), "bridge.repos: expected gitea.url beside it, got nothing");
	if (!config_house_find(c, c->bridge.house))
		return config_fail(r, config_line_of(r, "bridge.house"), "bridge.house: expected a house of this file, got %s",
		    c->bridge.house);
	if (!config_names_has(&c->operators, c->bridge.identity))
		return config_fail(r, config_line_of(r, "bridge.identity"), "bridge.identity: expected one of `operators`, got %s; add it "
		    "there, and uni-wizard pki issue %s", c->bridge.identity, c->bridge.identity);
	return 0;
}

/* Both are names in secrets, and what is signed but not encrypted stays on this machine. */
static int
check_hermes(struct config_reader *r)
{
	const struct { const char *key, *name; } named[] = {
		{ "hermes.secret", r->c->hermes_secret }, { "hermes.webhook_secret", r->c->hermes_webhook_secret },
	};
	const char *listen = r->c->hermes_listen;
	char address[64];
	int port;

	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (named[i].name && !config_secret_find(r->c, named[i].name))
			return config_fail_field(r, config_line_of(r, named[i].key), named[i].key, "a name in secrets", named[i].name);
	if (strcmp(listen, "off") == 0)
		return 0;
	if (!config_listen(listen, address, sizeof address, &port))
		return config_fail_field(r, config_line_of(r, "hermes.listen"), "hermes.listen", "a loopback address and a port", listen);
	if (!r->c->hermes_webhook_secret)
		return config_fail_field(r, config_line_of(r, "hermes.listen"), "hermes.webhook_secret",
		    "a name in secrets, for what arrives at hermes.listen", "nothing");
	return 0;
}

/* Whoever has the key to Syncthing's REST interface reads every file that it does. */
static int
check_share(struct config_reader *r)
{
	const struct config *c = r->c;

	if (strncmp(c->share_api, "http:", 5) == 0 && !is_loopback(c->share_api))
		return config_fail(r, config_line_of(r, "syncthing.api"),
		    "syncthing.api: expected https, or http on this host (127.0.0.1), got %.100s: the key could be read on the way",
		    c->share_api);
	for (size_t i = 0; i < c->share_outside.n; i++) {
		struct nearest n = { .word = c->share_outside.v[i] };

		if (syncthing_outside(c->share_outside.v[i], &n))
			continue;
		return config_fail(r, config_line_of(r, "syncthing.outside"), "syncthing.outside: nothing is called %s%s%s%s",
		    c->share_outside.v[i], nearest_word(&n) ? "; did you mean " : "", nearest_word(&n) ? nearest_word(&n) : "",
		    nearest_word(&n) ? "?" : "");
	}
	if (c->ndevices && !c->share_dir)
		return config_fail(r, config_line_of(r, "syncthing"), "syncthing.dir: expected a directory, for devices that share it");
	return 0;
}

static int
device_fail(struct config_reader *r, const struct config_device *d, const char *key, const char *expected, const char *got)
{
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "syncthing.devices.%s.%s", d->name, key);
	return config_fail(r, config_line_of(r, path), "%s: expected %s, got %.80s", path, expected, got ? got : "nothing");
}

/* Eight groups of seven, in the letters of base32. Syncthing itself checks the digits in it that check the others. */
static bool
is_device_id(const char *s)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

	for (int i = 0; i < 8; i++, s += 8)
		if (strspn(s, letters) != 7 || s[7] != (i < 7 ? '-' : '\0'))
			return false;
	return true;
}

static bool
is_address(const char *text)
{
	const char *host = begins(text, "tcp://", "quic://") ? strstr(text, "://") + 3 : NULL, *colon = host ? strrchr(host, ':') : NULL;
	long port;
	char *end;

	if (!colon || colon == host || strpbrk(host, " \"/?#@"))
		return false;
	port = strtol(colon + 1, &end, 10);
	return !*end && colon[1] >= '0' && colon[1] <= '9' && port > 0 && port < 65536;
}

static int
check_device(struct config_reader *r, const struct config_device *d)
{
	const struct config *c = r->c;
	bool found = config_names_has(&c->share_outside, "global-discovery") || config_names_has(&c->share_outside, "local-discovery");

	/* Those lie beside the directories of devices. */
	if (strcmp(d->name, "new") == 0 || strcmp(d->name, "self") == 0)
		return config_fail(r, config_line_of(r, "syncthing.devices"), "syncthing.devices: no device can be called %s", d->name);
	if (!d->id || !is_device_id(d->id))
		return device_fail(r, d, "id", "a device ID, as `syncthing --device-id` prints it (8 groups of 7 letters and digits)", d->id);
	if (!(d->address && found && strcmp(d->address, "dynamic") == 0) && !is_address(d->address))
		return device_fail(r, d, "address", "tcp://host:port or quic://host:port (dynamic: with a discovery in outside)",
		    d->address);
	if (d->listen && !is_address(d->listen))
		return device_fail(r, d, "listen", "tcp://address:port or quic://address:port", d->listen);
	for (const struct config_device *o = c->devices; o < d; o++)
		if (strcmp(o->id, d->id) == 0)
			return device_fail(r, d, "id", "another one than that of each other device", d->id);
	return 0;
}

static bool
is_broker_of(const struct config *c, const char *address)
{
	for (size_t i = 0; i < c->nbrokers; i++)
		if (strcmp(c->brokers[i].host, address) == 0)
			return true;
	return false;
}

static int
check_host(struct config_reader *r, const struct config_host *h)
{
	const struct config *c = r->c;
	char path[CONFIG_FIELD_MAX];

	snprintf(path, sizeof path, "hosts.%s", h->name);
	if (!h->ssh)
		return config_fail(r, config_line_of(r, path), "%s.ssh: expected user@host, or local for this machine, got nothing", path);
	if (strcmp(h->broker, "on") == 0 && !is_broker_of(c, h->address))
		config_warn(r, config_line_of(r, path), "%s: its broker at %.100s is not among `brokers`, so nobody connects to it", path,
		    h->address);
	snprintf(path, sizeof path, "hosts.%s.agents", h->name);
	for (size_t i = 0; i < h->agents.n; i++) {
		const char *agent = h->agents.v[i];

		if (config_identity_kind(c, agent) != IDENTITY_AGENT)
			return config_fail(r, config_line_of(r, path), "%s: no house has an agent %s, and it is no witness", path, agent);
		if (config_host_of(c, agent) != h)
			return config_fail(r, config_line_of(r, path), "%s: %s runs on %s already", path, agent,
			    config_host_of(c, agent)->name);
	}
	return 0;
}

int
config_check(struct config_reader *r)
{
	const struct config *c = r->c;

	if (check_people(r) || check_witnesses(r))
		return -1;
	for (size_t i = 0; i < c->nhouses; i++)
		if (check_house(r, &c->houses[i]))
			return -1;
	for (size_t i = 0; i < c->nhosts; i++)
		if (check_host(r, &c->hosts[i]))
			return -1;
	if (c->nschedules && config_identity_kind(c, "schedule") != IDENTITY_UNKNOWN)
		return config_fail(r, config_line_of(r, "schedules"), "schedules: nobody else may be called schedule, the sender of their tasks");
	for (size_t i = 0; i < c->nschedules; i++)
		if (check_schedule(r, &r->c->schedules[i]))
			return -1;
	for (size_t i = 0; i < c->nflows; i++)
		if (check_flow(r, &r->c->flows[i]))
			return -1;
	for (size_t i = 0; i < c->nsinks; i++)
		if (check_sink(r, &c->sinks[i]))
			return -1;
	for (size_t i = 0; i < c->ntriages; i++)
		if (check_triage(r, &c->triages[i]))
			return -1;
	if (check_gitea(r) || check_bridge(r) || check_hermes(r))
		return -1;
	if (check_share(r))
		return -1;
	for (size_t i = 0; i < c->ndevices; i++)
		if (check_device(r, &c->devices[i]))
			return -1;
	if (check_known(r, "router", &c->router) || check_brokers(r))
		return -1;
	check_roots(r, "tools.roots", &c->roots);
	check_roots(r, "tools.read_roots", &c->read_roots);
	if (config_identity_kind(c, c->identity) == IDENTITY_UNKNOWN)
		config_warn(r, config_line_of(r, "identity"),
		    "identity: %s is neither a person nor an agent of this cluster", c->identity);
	if (c->max_task_bytes > c->max_payload_bytes)
		return config_fail(r, config_line_of(r, "limits.task_bytes"),
		    "limits.task_bytes: larger than limits.payload_bytes");
	return 0;
}
