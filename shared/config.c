#include "config_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES (1u << 20)
#define SYSTEM_FILE "/etc/uni-wizard/houses.yaml"

static int
root_read(struct config_reader *r)
{
	yaml_node_t *root = yaml_document_get_root_node(&r->doc);

	config_defaults_put(r, "", r->c);
	if (!root)
		return config_fail(r, 1, "expected at least houses: with one house, got an empty file");
	return config_mapping_read(r, "", "", root, r->c) || config_complete(r) || config_check(r) ? -1 : 0;
}

/* The directory of the file, absolute, so that reading it from elsewhere means the same. */
static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char cwd[CONFIG_TEXT_MAX];
	struct buf b = { 0 };

	if (slash == path)
		return xstrdup("/");
	if (path[0] != '/') {
		buf_adds(&b, getcwd(cwd, sizeof cwd) ? cwd : ".");
		if (slash)
			buf_addc(&b, '/');
	}
	if (slash)
		buf_add(&b, path, (size_t)(slash - path));
	return buf_take(&b);
}

/* The file itself, absolute: workers are told it, and their working directory is another. */
static char *
path_in(const char *dir, const char *name)
{
	const char *slash = strrchr(name, '/');
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, slash ? slash + 1 : name);
	return buf_take(&b);
}

static int
parse(struct config_reader *r, const char *text, size_t len)
{
	int rc;

	r->dir = dir_of(r->name);
	*r->c = (struct config){ .path = path_in(r->dir, r->name) };
	rc = config_document_load(r, text, len);
	if (rc == 0) {
		rc = root_read(r);
		yaml_document_delete(&r->doc);
	}
	free(r->dir);
	if (rc)
		config_release(r->c);
	return rc;
}

int
config_parse(struct config *c, const char *name, const char *text, size_t len,
    void (*warnf)(const char *msg, void *arg), void *arg, struct err *e)
{
	struct config_reader r = { .c = c, .name = name, .warn = warnf, .arg = arg, .e = e };

	return parse(&r, text, len);
}

static int
file_read(int fd, struct buf *out)
{
	char *to;
	ssize_t n;

	while ((to = buf_reserve(out, 64 << 10))) {
		n = read(fd, to, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
	}
	errno = EFBIG;
	return -1;
}

int
config_load(struct config *c, const char *path, void (*warnf)(const char *msg, void *arg), void *arg,
    struct err *e)
{
	struct config_reader r = { .c = c, .name = path, .warn = warnf, .arg = arg, .e = e };
	struct buf text = { .max = FILE_MAX_BYTES + (128u << 10) };
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;

	*c = (struct config){ 0 };
	if (fd < 0 || fstat(fd, &st) || file_read(fd, &text)) {
		err_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	} else {
		r.exposed = (st.st_mode & 077) != 0;
		rc = parse(&r, buf_str(&text), text.len);
	}
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return rc;
}

void
config_release(struct config *c)
{
	config_values_clear("", c);
	for (size_t i = 0; i < c->nhouses; i++)
		config_values_clear("houses.*", &c->houses[i]);
	for (size_t i = 0; i < c->nschedules; i++) {
		config_values_clear("schedules.*", &c->schedules[i]);
		zone_free(c->schedules[i].zone);
	}
	for (size_t i = 0; i < c->nflows; i++)
		config_values_clear("flow.*", &c->flows[i]);
	for (int k = 0; k < ALERT_COUNT; k++)
		if (c->alerts[k].given)
			config_values_clear("alerts.*", &c->alerts[k]);
	for (int k = 0; k < STRESS_COUNT; k++)
		if (c->stresses[k].given)
			config_values_clear("stress.*", &c->stresses[k]);
	for (size_t i = 0; i < c->nsinks; i++)
		config_values_clear("sinks.*", &c->sinks[i]);
	for (size_t i = 0; i < c->ntriages; i++)
		config_values_clear("triage.*", &c->triages[i]);
	for (size_t i = 0; i < c->ndevices; i++)
		config_values_clear("syncthing.devices.*", &c->devices[i]);
	for (size_t i = 0; i < c->nhosts; i++)
		config_values_clear("hosts.*", &c->hosts[i]);
	for (size_t i = 0; i < c->nsecrets; i++) {
		free(c->secrets[i].name);
		free(c->secrets[i].value);
		free(c->secrets[i].file);
		free(c->secrets[i].origin);
	}
	free(c->path);
	*c = (struct config){ 0 };
}

/* Questions */

const char *
config_user_dir(char *out, size_t size)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = xdg && *xdg == '/' ? snprintf(out, size, "%s/uni-wizard", xdg)
	    : home && *home == '/' ? snprintf(out, size, "%s/.config/uni-wizard", home) : -1;

	return n > 0 && (size_t)n < size ? out : NULL;
}

/* That of the machine first: what runs as a service must not be led by a file in its home. */
const char *
config_path(const char *option)
{
	static _Thread_local char path[CONFIG_TEXT_MAX];
	const char *env = getenv("UNI_WIZARD_CONFIG");
	char dir[CONFIG_TEXT_MAX - 16];

	if (option || (env && *env))
		return option ? option : env;
	if (access(SYSTEM_FILE, R_OK) && config_user_dir(dir, sizeof dir)) {
		snprintf(path, sizeof path, "%s/houses.yaml", dir);
		if (access(path, F_OK) == 0)
			return path;
	}
	return SYSTEM_FILE;
}

const struct config_house *
config_house_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nhouses; i++)
		if (strcmp(c->houses[i].name, name) == 0)
			return &c->houses[i];
	return NULL;
}

const struct config_device *
config_device_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->ndevices; i++)
		if (strcmp(c->devices[i].name, name) == 0)
			return &c->devices[i];
	return NULL;
}

const struct config_host *
config_host_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nhosts; i++)
		if (strcmp(c->hosts[i].name, name) == 0)
			return &c->hosts[i];
	return NULL;
}

const struct config_host *
config_host_of(const struct config *c, const char *agent)
{
	for (size_t i = 0; i < c->nhosts; i++)
		if (config_names_has(&c->hosts[i].agents, agent))
			return &c->hosts[i];
	return NULL;
}

bool
config_address_ok(const char *text)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	struct in6_addr raw;

	if (strchr(text, ':'))
		return inet_pton(AF_INET6, text, &raw) == 1;
	return *text && *text != '-' && *text != '.' && strlen(text) < sizeof((struct config_ssh *)0)->host && !text[strspn(text, set)];
}

static bool
ssh_port(const char *text, int *port)
{
	char *end;
	long n = strtol(text, &end, 10);

	*port = (int)n;
	return *text >= '0' && *text <= '9' && !*end && n > 0 && n < 65536;
}

/* user@, then host, host:port, or [address]:port. */
bool
config_ssh(const char *text, struct config_ssh *out)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *at = strchr(text, '@'), *host = at ? at + 1 : text, *end;
	size_t user = at ? (size_t)(at - text) : 0;
	bool bracket = *host == '[';

	*out = (struct config_ssh){ .local = strcmp(text, "local") == 0 };
	if (out->local)
		return true;
	if (*text == '-' || (at && (!user || user > 32 || strspn(text, set) < user)))
		return false;
	host += bracket;
	end = host + strcspn(host, bracket ? "]" : ":");
	if (end - host >= (ptrdiff_t)sizeof out->host)
		return false;
	snprintf(out->host, sizeof out->host, "%.*s", (int)(end - host), host);
	snprintf(out->destination, sizeof out->destination, "%.*s%s%s", (int)user, text, at ? "@" : "", out->host);
	if (bracket && *end++ != ']')
		return false;
	return config_address_ok(out->host) && (!*end || (*end == ':' && ssh_port(end + 1, &out->port)));
}

const char *
config_secret_value(const struct config *c, const char *name)
{
	const struct config_secret *s = config_secret_find(c, name);

	return s ? s->value : NULL;
}

bool
config_alert(const struct config *c, enum alert_kind kind, struct alert_rule *r)
{
	const struct config_alert *a = &c->alerts[kind];

	*r = alert_rules[kind];
	if (!a->given)
		return true;
	r->limit = a->limit;
	r->raise_s = a->raise_s;
	r->clear_s = a->clear_s;
	return strcmp(a->use, "on") == 0;
}

bool
config_stress(const struct config *c, enum stress_kind kind, struct stress_rule *r)
{
	const struct config_stress *s = &c->stresses[kind];

	stress_rule(kind, r);
	if (!s->given)
		return true;
	r->limit = s->limit;
	r->clear = s->clear >= 0 ? s->clear : stress_clear_of(r->side, s->limit);
	r->raise_s = s->raise_s;
	r->clear_s = s->clear_s;
	return strcmp(s->use, "on") == 0;
}

int64_t
config_timeout_cap_s(const struct config *c, const char *house)
{
	const struct config_house *h = config_house_find(c, house);

	return h && h->timeout_cap_s && h->timeout_cap_s < c->max_timeout_s ? h->timeout_cap_s : c->max_timeout_s;
}

const struct config_names *
config_candidates(const struct config *c, const char *house)
{
	const struct config_house *h = config_house_find(c, house);

	return h ? &h->candidates : strcmp(house, "_") == 0 ? &c->router : NULL;
}

const struct config_house *
config_home(const struct config *c, const char *agent)
{
	for (size_t i = 0; i < c->nhouses; i++)
		if (config_names_has(&c->houses[i].agents, agent))
			return &c->houses[i];
	return NULL;
}

/* Of "http://host:8643/": 0 if it names none. */
static int
url_port(const char *url)
{
	const char *host = strstr(url, "://") + 3, *bracket = strchr(host, ']');
	const char *colon = strchr(bracket ? bracket : host, ':');

	return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

bool
config_listen(const char *text, char *address, size_t size, int *port)
{
	const char *colon = strrchr(text, ':');

	*port = (int)strtol(colon + 1, NULL, 10);
	snprintf(address, size, "%.*s", (int)(colon - text), text);
	if (*text == '[')
		snprintf(address, size, "%.*s", (int)(colon - text) - 2, text + 1);
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

bool
config_http(const struct config *c, const char *agent, char *address, size_t size, int *port, bool *loopback)
{
	const struct config_house *home = config_home(c, agent);
	const char *text = c->http_listen;

	*port = home && home->endpoint ? url_port(home->endpoint) : 0;
	if (!*port)
		*port = CONFIG_HTTP_PORT;
	snprintf(address, size, "127.0.0.1");
	*loopback = true;
	if (!text)
		return true;
	if (strcmp(text, "off") == 0)
		return false;
	*loopback = config_listen(text, address, size, port);
	return true;
}

const struct config_secret *
config_secret_find(const struct config *c, const char *name)
{
	for (size_t i = 0; name && i < c->nsecrets; i++)
		if (strcmp(c->secrets[i].name, name) == 0)
			return &c->secrets[i];
	return NULL;
}

bool
config_names_has(const struct config_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], name) == 0)
			return true;
	return false;
}

enum config_kind
config_identity_kind(const struct config *c, const char *identity)
{
	if (strcmp(identity, c->sovereign) == 0)
		return IDENTITY_SOVEREIGN;
	if (config_names_has(&c->operators, identity))
		return IDENTITY_OPERATOR;
	if (config_names_has(&c->watchers, identity))
		return IDENTITY_WATCHER;
	return config_home(c, identity) || config_names_has(&c->routers, identity) ||
	    config_names_has(&c->witnesses, identity) ? IDENTITY_AGENT : IDENTITY_UNKNOWN;
}

static size_t
identities_add(const struct config_names *names, const char *except, const char **out, size_t n, size_t max)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], except) != 0 && n < max)
			out[n++] = names->v[i];
	return n;
}

size_t
config_identities(const struct config *c, const char **out, size_t max)
{
	size_t n = 0;

	if (max)
		out[n++] = c->sovereign;
	n = identities_add(&c->operators, c->sovereign, out, n, max);
	n = identities_add(&c->watchers, c->sovereign, out, n, max);
	for (size_t i = 0; i < c->nhouses; i++)
		n = identities_add(&c->houses[i].agents, c->sovereign, out, n, max);
	n = identities_add(&c->routers, c->sovereign, out, n, max);
	return identities_add(&c->witnesses, c->sovereign, out, n, max);
}

static size_t
voters_add(const struct config_names *names, config_name *out, size_t n, size_t max)
{
	for (size_t i = 0; i < names->n; i++, n++)
		if (n < max)
			memcpy(out[n], names->v[i], sizeof *out);
	return n;
}

size_t
config_voters(const struct config *c, config_name *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nhouses; i++)
		n = voters_add(&c->houses[i].agents, out, n, max);
	n = voters_add(&c->routers, out, n, max);
	return voters_add(&c->witnesses, out, n, max);
}

static void
row_path(const char *path, char out[CONFIG_ROW_PATH])
{
	struct buf b = { .max = CONFIG_ROW_PATH - 1 };

	for (const char *p = path; *p; p++)
		buf_adds(&b, *p == '*' ? "<name>" : (char[]){ *p, '\0' });
	snprintf(out, CONFIG_ROW_PATH, "%s", buf_str(&b));
	buf_free(&b);
}

bool
config_row(size_t i, struct config_row *row)
{
	const struct config_key *k = &config_keys[i];
	struct buf range = { .max = sizeof row->accepted - 1 };

	if (!k->path)
		return false;
	row_path(k->path, row->path);
	row->type = k->type->name;
	row->help = k->help;
	row->value = !k->implied && k->def;
	row->def = k->implied ? k->implied : k->def ? k->def : "none";
	k->type->expect(k, &range);
	if (k->type->list)
		buf_addf(&range, "; %lld to %lld of them", (long long)k->min, (long long)k->max);
	snprintf(row->accepted, sizeof row->accepted, "%s", buf_str(&range));
	buf_free(&range);
	return true;
}

void
config_keys_markdown(struct buf *out)
{
	struct config_row k;

	buf_adds(out, "| key | type | default | accepted | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; config_row(i, &k); i++) {
		buf_addf(out, "| `%s` | %s | ", k.path, k.type);
		buf_addf(out, k.value ? "`%s`" : "%s", k.def);
		buf_addf(out, " | %s | %s |\n", k.accepted, k.help);
	}
}
