#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <yaml.h>

#include "buf.h"
#include "err.h"
#include "nearest.h"

#define FILE_MAX_BYTES (1u << 20)
#define SECRET_MAX_BYTES (64u << 10)
#define TEXT_MAX_BYTES 4096
#define DEPTH_MAX 8
#define FIELD_MAX 80

#ifdef __APPLE__
#define STATE_DIR "/usr/local/var/uni-wizard"
#define RUN_DIR "/usr/local/var/run/uni-wizard"
#else
#define STATE_DIR "/var/lib/uni-wizard"
#define RUN_DIR "/run/uni-wizard"
#endif

struct reader {
	struct config *c;
	const char *name;               /* of the file, for messages */
	char *dir;                      /* relative paths start here */
	bool exposed;                   /* others can read the file */
	yaml_document_t doc;
	void (*warn)(const char *msg, void *arg);
	void *arg;
	struct err *e;
};

struct key;

/* How one kind of value is read. A list puts its items one by one. */
struct kind {
	const char *type;               /* in the documentation */
	bool list;
	bool (*put)(const struct reader *r, const struct key *k, const char *text, void *at);
	void (*clear)(void *at);        /* NULL: plain memory */
	void (*expect)(const struct key *k, struct buf *out);
};

struct key {
	const char *path;               /* "houses.*.endpoint": * is any name */
	const struct kind *kind;
	const char *def;                /* list items are parted by spaces; NULL: none */
	const char *implied;            /* the default in the documentation's words, when it depends */
	int64_t min, max;               /* of a number; how many items in a list; 0 and 0: any */
	const char *allowed;            /* words parted by spaces */
	size_t offset;
	bool secret;                    /* never shown; an unset variable is only a warning */
	const char *help;
};

/* Kinds of values */

static void
text_clear(void *at)
{
	char **p = at;

	free(*p);
	*p = NULL;
}

static bool
text_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	(void)r;
	(void)k;
	if (!*text || strlen(text) > TEXT_MAX_BYTES)
		return false;
	text_clear(at);
	*(char **)at = xstrdup(text);
	return true;
}

static void
text_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "text of 1 to %d bytes", TEXT_MAX_BYTES);
}

static bool
choice_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	size_t len = strlen(text);

	for (const char *w = k->allowed; *w; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");

		if (n == len && memcmp(w, text, n) == 0)
			return text_put(r, k, text, at);
		w += n;
	}
	return false;
}

static void
choice_expect(const struct key *k, struct buf *out)
{
	buf_adds(out, "one of ");
	for (const char *p = k->allowed; *p; p++)
		buf_adds(out, *p == ' ' ? ", " : (char[]){ *p, '\0' });
}

static bool
path_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	char **p = at;

	(void)k;
	if (!*text || *text == '~' || strlen(text) > TEXT_MAX_BYTES)
		return false;
	text_clear(at);
	if (*text == '/' || !r->dir) {
		*p = xstrdup(text);
	} else {
		struct buf b = { .max = 3 * TEXT_MAX_BYTES };

		buf_addf(&b, "%s/%s", strcmp(r->dir, "/") == 0 ? "" : r->dir, text);
		*p = buf_take(&b);
	}
	return true;
}

static void
path_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a path (write ${HOME}, not ~)");
}

static bool
url_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	size_t n = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;

	if (!n || strcspn(text + n, "/:@?#") == 0 || strpbrk(text, " \"'<>\\"))
		return text[n] == '[' && n && text_put(r, k, text, at);
	return text_put(r, k, text, at);
}

static void
url_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "http://host:port or https://host:port");
}

static bool
name_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	(void)r;
	(void)k;
	if (!name_ok(text))
		return false;
	snprintf(at, sizeof(config_name), "%s", text);
	return true;
}

static void
name_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
}

static bool
names_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	struct config_names *names = at;

	if (names->n == CONFIG_MAX_PEOPLE || !name_put(r, k, text, names->v[names->n]))
		return false;
	names->n++;
	return true;
}

static void
names_clear(void *at)
{
	((struct config_names *)at)->n = 0;
}

static void
names_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "a list of names ([a-z0-9-], at most %d)", NAME_MAX_LEN);
}

static bool
paths_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	struct config_paths *paths = at;

	if (paths->n == CONFIG_MAX_PATHS || !path_put(r, k, text, &paths->v[paths->n]))
		return false;
	paths->n++;
	return true;
}

static void
paths_clear(void *at)
{
	struct config_paths *paths = at;

	while (paths->n)
		text_clear(&paths->v[--paths->n]);
}

static void
paths_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of paths (write ${HOME}, not ~)");
}

/* A whole number without sign games, leading zeros or what YAML 1.1 would make of them. */
static bool
number_parse(const char *text, const char **end, int64_t *out)
{
	int64_t n = 0;

	if (!isdigit((unsigned char)*text) || (*text == '0' && isdigit((unsigned char)text[1])))
		return false;
	for (; isdigit((unsigned char)*text); text++) {
		if (n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (*text - '0');
	}
	*end = text;
	*out = n;
	return true;
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit plain_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit byte_units[] = {
	{ "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 }, { "", 1 }, { NULL, 0 }
};
static const struct unit time_units[] = {
	{ "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 }, { "", 1 }, { NULL, 0 }
};

static bool
units_put(const struct key *k, const struct unit *units, const char *text, void *at)
{
	int64_t n;

	if (!number_parse(text, &text, &n))
		return false;
	for (const struct unit *u = units; u->name; u++) {
		if (strcmp(u->name, text) != 0)
			continue;
		if (n > k->max / u->factor || n * u->factor < k->min)
			return false;
		*(int64_t *)at = n * u->factor;
		return true;
	}
	return false;
}

/* The number in the largest unit that leaves no rest: 65536 is 64KiB. */
static void
units_add(struct buf *out, const struct unit *units, int64_t n)
{
	const struct unit *u = units;

	while (n % u->factor || (n == 0 && u->factor > 1))
		u++;
	buf_addf(out, "%lld%s", (long long)(n / u->factor), u->name);
}

static bool
int_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, plain_units, text, at);
}

static void
int_expect(const struct key *k, struct buf *out)
{
	buf_addf(out, "a whole number from %lld to %lld", (long long)k->min, (long long)k->max);
}

static bool
bytes_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, byte_units, text, at);
}

static void
range_expect(const struct key *k, const char *what, const struct unit *units, struct buf *out)
{
	buf_addf(out, "%s from ", what);
	units_add(out, units, k->min);
	buf_adds(out, " to ");
	units_add(out, units, k->max);
}

static void
bytes_expect(const struct key *k, struct buf *out)
{
	range_expect(k, "a size (bytes, KiB, MiB, GiB)", byte_units, out);
}

static bool
time_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, time_units, text, at);
}

static void
time_expect(const struct key *k, struct buf *out)
{
	range_expect(k, "a time (45s, 30m, 24h, 7d)", time_units, out);
}


/* host, host:port, [address]:port; the scheme may be there, but nothing other than TLS is spoken. */
static bool
broker_parse(const char *text, struct config_broker *b)
{
	const char *p = strncmp(text, "mqtts://", 8) == 0 ? text + 8 : text, *end = p;
	size_t len;
	int64_t port = 8883;

	if (*p == '[') {
		len = strcspn(++p, "]");
		end = p + len + (p[len] == ']');
		if (end == p + len)
			return false;
	} else {
		len = strcspn(p, ":");
		end = p + len;
	}
	if (*end == ':' && (!number_parse(end + 1, &end, &port) || port < 1 || port > 65535))
		return false;
	if (*end || len == 0 || len > 253 || strcspn(p, " /@[?#") < len)
		return false;
	b->host = xstrndup(p, len);
	b->port = (int)port;
	return true;
}

/* The rows' offset leads to brokers[0]; the count is the struct's own field. */
static struct config *
brokers_owner(void *at)
{
	return (struct config *)(void *)((char *)at - offsetof(struct config, brokers));
}

static bool
brokers_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	struct config *c = brokers_owner(at);

	(void)r;
	(void)k;
	if (c->nbrokers == CONFIG_MAX_BROKERS || !broker_parse(text, &c->brokers[c->nbrokers]))
		return false;
	c->nbrokers++;
	return true;
}

static void
brokers_clear(void *at)
{
	struct config *c = brokers_owner(at);

	while (c->nbrokers)
		text_clear(&c->brokers[--c->nbrokers].host);
}

static void
brokers_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of host:port or mqtts://host:port");
}

static bool
variable_ok(const char *s)
{
	return (isalpha((unsigned char)*s) || *s == '_') &&
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool
variable_put(const struct reader *r, const struct key *k, const char *text, void *at)
{
	return variable_ok(text) && text_put(r, k, text, at);
}

static void
variable_expect(const struct key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "the name of an environment variable");
}

#define KIND(sym, type, list, stem, clear) \
	static const struct kind sym = { type, list, stem##_put, clear, stem##_expect }
KIND(KIND_TEXT, "text", false, text, text_clear);
KIND(KIND_CHOICE, "word", false, choice, text_clear);
KIND(KIND_URL, "URL", false, url, text_clear);
KIND(KIND_PATH, "path", false, path, text_clear);
KIND(KIND_PATHS, "list of paths", true, paths, paths_clear);
KIND(KIND_NAME, "name", false, name, NULL);
KIND(KIND_NAMES, "list of names", true, names, names_clear);
KIND(KIND_INT, "number", false, int, NULL);
KIND(KIND_BYTES, "size", false, bytes, NULL);
KIND(KIND_TIME, "time", false, time, NULL);
KIND(KIND_BROKERS, "list of brokers", true, brokers, brokers_clear);
KIND(KIND_VARIABLE, "variable name", false, variable, text_clear);

/* Where a secret comes from; only its value is kept. */
struct secret_source {
	char *file, *env;
};

#define CONF(member) .offset = offsetof(struct config, member)
#define HOUSE(member) .offset = offsetof(struct config_house, member)
#define SOURCE(member) .offset = offsetof(struct secret_source, member)
#define KiB ((int64_t)1 << 10)
#define MiB ((int64_t)1 << 20)
#define GiB ((int64_t)1 << 30)
#define DAY ((int64_t)86400)

/* The master copy: reading, defaults, messages, `config keys` and docs/configuration.md come from it. */
static const struct key keys[] = {
	{ "cluster", &KIND_NAME, "home", CONF(cluster),
	  .help = "Name of the cluster; every topic begins with `uw/<cluster>/`." },
	{ "identity", &KIND_NAME, "operator", CONF(identity),
	  .help = "Who the command line is when `--as` is not given: a person or an agent." },
	{ "brokers", &KIND_BROKERS, "localhost:8883", .min = 1, .max = CONFIG_MAX_BROKERS, CONF(brokers),
	  .help = "MQTT brokers in order of preference, always over TLS; the port may be left out." },
	{ "pki", &KIND_PATH, "pki", CONF(pki_dir),
	  .help = "Directory with `ca.crt`, `<identity>.crt` and `<identity>.key`." },
	{ "state", &KIND_PATH, STATE_DIR, "`/var/lib/uni-wizard`, on macOS `/usr/local/var/uni-wizard`", CONF(state_dir),
	  .help = "Directory of the databases: `<agent>.db`, `outbox-<identity>.db`." },
	{ "run", &KIND_PATH, RUN_DIR, "`/run/uni-wizard`, on macOS `/usr/local/var/run/uni-wizard`", CONF(run_dir),
	  .help = "Directory of sockets and process ids: `<agent>.sock`, `<agent>.pid`." },
	{ "log_level", &KIND_CHOICE, "info", .allowed = "warn info debug", CONF(log_level),
	  .help = "How much is written to standard error." },
	{ "sovereign", &KIND_NAME, "timmy", CONF(sovereign),
	  .help = "The person whose signed decisions release sovereign tasks." },
	{ "operators", &KIND_NAMES, "operator", .max = CONFIG_MAX_PEOPLE, CONF(operators),
	  .help = "People and programs that may submit, and cancel any task." },
	{ "watchers", &KIND_NAMES, "watcher", .max = CONFIG_MAX_PEOPLE, CONF(watchers),
	  .help = "People and programs that may only read." },
	{ "router", &KIND_NAMES, NULL, "allegro's first agent, else the first house's", .min = 1,
	  .max = CONFIG_MAX_AGENTS, CONF(router),
	  .help = "Agents that may own the house `_`, where tasks that name no house arrive, in order." },

	{ "houses.*.endpoint", &KIND_URL, HOUSE(endpoint),
	  .help = "Where the house's HTTP interface is reached." },
	{ "houses.*.auth_token", &KIND_TEXT, HOUSE(auth_token), .secret = true,
	  .help = "Bearer token of the endpoint; write `${VAR}`, not the token itself." },
	{ "houses.*.priority", &KIND_CHOICE, "normal", .allowed = "low normal high critical", HOUSE(priority),
	  .help = "How much the house matters when something has to give." },
	{ "houses.*.role", &KIND_CHOICE, NULL, "`judgement` for the sovereign's own house, else `worker`",
	  .allowed = "judgement archivist artificer tempo-and-dispatch worker", HOUSE(role),
	  .help = "What the house's policy asks of its tasks." },
	{ "houses.*.agents", &KIND_NAMES, NULL, "`<house>-1`", .min = 1, .max = CONFIG_MAX_AGENTS, HOUSE(agents),
	  .help = "Agents at home in this house; an agent has one home." },
	{ "houses.*.candidates", &KIND_NAMES, NULL, "the house's agents", .min = 1, .max = CONFIG_MAX_AGENTS,
	  HOUSE(candidates), .help = "Agents, of any house, that may own this one, in order." },

	{ "limits.payload_bytes", &KIND_BYTES, "1MiB", .min = 4 * KiB, .max = 16 * MiB, CONF(max_payload_bytes),
	  .help = "Largest MQTT message." },
	{ "limits.payload_lines", &KIND_INT, "4096", .min = 1, .max = 65536, CONF(max_payload_lines),
	  .help = "Most tasks in one message." },
	{ "limits.task_bytes", &KIND_BYTES, "256KiB", .min = 1 * KiB, .max = 16 * MiB, CONF(max_task_bytes),
	  .help = "Largest single task." },
	{ "limits.queued", &KIND_INT, "1000000", .min = 1, .max = 100000000, CONF(max_queued),
	  .help = "Most unfinished tasks of one house; beyond it new ones are refused as `busy`." },
	{ "limits.outbox_bytes", &KIND_BYTES, "256MiB", .min = 1 * MiB, .max = 64 * GiB, CONF(max_outbox_bytes),
	  .help = "Most that may wait to be sent while the broker is away." },
	{ "limits.min_free_bytes", &KIND_BYTES, "64MiB", .min = 0, .max = 1024 * GiB, CONF(min_free_bytes),
	  .help = "Disk space below which new tasks are refused." },

	{ "retention.finished_s", &KIND_TIME, "7d", .min = 60, .max = 3650 * DAY, CONF(keep_finished_s),
	  .help = "How long finished tasks and their results are kept." },
	{ "retention.finished", &KIND_INT, "1000000", .min = 1, .max = 100000000, CONF(keep_finished),
	  .help = "How many finished tasks are kept at most." },
	{ "retention.rejected", &KIND_INT, "1000", .min = 0, .max = 1000000, CONF(keep_rejected),
	  .help = "How many rejected tasks are remembered." },
	{ "retention.keys_s", &KIND_TIME, "24h", .min = 60, .max = 3650 * DAY, CONF(keep_keys_s),
	  .help = "How long an idempotency key is remembered." },

	{ "workers.count", &KIND_INT, "0", .min = 0, .max = 512, CONF(workers),
	  .help = "Worker processes of an agent; 0: one per processor, at least 2." },
	{ "workers.grace_ms", &KIND_INT, "5000", .min = 0, .max = 600000, CONF(stop_grace_ms),
	  .help = "Milliseconds from SIGTERM to SIGKILL." },
	{ "workers.output_bytes", &KIND_BYTES, "256KiB", .min = 1 * KiB, .max = 16 * MiB, CONF(max_output_bytes),
	  .help = "Largest result of a tool." },
	{ "workers.timeout_cap_s", &KIND_TIME, "1d", .min = 1, .max = 30 * DAY, CONF(max_timeout_s),
	  .help = "Longest time a task may ask for." },
	{ "workers.crashes", &KIND_INT, "3", .min = 1, .max = 100, CONF(max_crashes),
	  .help = "Workers a task may kill before it is given up." },
	{ "workers.memory_bytes", &KIND_BYTES, "2GiB", .min = 0, .max = 1024 * GiB, CONF(worker_memory_bytes),
	  .help = "Address space of a worker and what it starts; 0: no limit." },

	{ "tools.roots", &KIND_PATHS, .max = CONFIG_MAX_PATHS, CONF(roots),
	  .help = "Tools may read and write beneath these directories." },
	{ "tools.read_roots", &KIND_PATHS, .max = CONFIG_MAX_PATHS, CONF(read_roots),
	  .help = "Tools may read beneath these directories." },
	{ "tools.dirs", &KIND_PATHS, .max = CONFIG_MAX_PATHS, CONF(tool_dirs),
	  .help = "Directories with manifests of own tools." },

	{ "secrets.*.file", &KIND_PATH, SOURCE(file),
	  .help = "File that holds the secret; only its owner may be able to read it." },
	{ "secrets.*.env", &KIND_VARIABLE, SOURCE(env),
	  .help = "Environment variable that holds the secret." },
};

#define NKEYS (sizeof keys / sizeof *keys)
#define EACH_KEY(k) (const struct key *k = keys; k < keys + NKEYS; k++)

static const struct key *
key_find(const char *path)
{
	for EACH_KEY(k)
		if (strcmp(k->path, path) == 0)
			return k;
	return NULL;
}

/* The part of a key's path that follows "prefix."; NULL if it is not beneath. "" is above all. */
static const char *
key_beneath(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0)
		return path;
	return strncmp(path, prefix, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

static bool
is_section(const char *path)
{
	for EACH_KEY(k)
		if (key_beneath(k->path, path))
			return true;
	return false;
}

/* Rows that lie directly beneath prefix, or in a plain section of it: those that share its base. */
static bool
key_shares_base(const struct key *k, const char *prefix)
{
	const char *rest = key_beneath(k->path, prefix);

	return rest && !strchr(rest, '*');
}

static void
defaults_put(const struct reader *r, const char *prefix, void *base)
{
	for EACH_KEY(k) {
		if (!key_shares_base(k, prefix) || !k->def)
			continue;
		k->kind->put(r, k, k->def, (char *)base + k->offset);
	}
}

static void
values_clear(const char *prefix, void *base)
{
	for EACH_KEY(k)
		if (key_shares_base(k, prefix) && k->kind->clear)
			k->kind->clear((char *)base + k->offset);
}

/* Messages: every one names file, line and key. */

static int
fail(const struct reader *r, int line, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_CONFIG, "%s:%d: %s", r->name, line, text);
}

static int
fail_field(const struct reader *r, int line, const char *field, const char *expected, const char *got)
{
	err_field(r->e, ERR_CONFIG, field, got, "%s", expected);
	return err_wrap(r->e, "%s:%d", r->name, line);
}

static void
warn(const struct reader *r, int line, const char *fmt, ...)
{
	char text[400], whole[700];
	va_list ap;

	if (!r->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "%s:%d: %s", r->name, line, text);
	r->warn(whole, r->arg);
}

/* The document */

static int
line_of(const yaml_node_t *n)
{
	return (int)n->start_mark.line + 1;
}

static yaml_node_t *
node_at(struct reader *r, int i)
{
	return yaml_document_get_node(&r->doc, i);
}

static const char *
scalar_text(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

/* What stands where nothing was written, or YAML's words for it. */
static bool
is_nothing(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return n->data.scalar.length == 0 || strcmp(scalar_text(n), "~") == 0 || strcmp(scalar_text(n), "null") == 0;
}

/* As written, so that what a variable holds is not shown. */
static const char *
node_brief(const yaml_node_t *n)
{
	if (n->type == YAML_MAPPING_NODE)
		return "a mapping";
	if (n->type == YAML_SEQUENCE_NODE)
		return "a list";
	return is_nothing(n) ? "nothing" : n->data.scalar.length ? scalar_text(n) : "\"\"";
}

static yaml_node_t *
mapping_find(struct reader *r, yaml_node_t *map, const char *name, size_t len)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *key = node_at(r, p->key);

		if (key->type == YAML_SCALAR_NODE && strlen(scalar_text(key)) == len &&
		    memcmp(scalar_text(key), name, len) == 0)
			return node_at(r, p->value);
	}
	return NULL;
}

/* The line of a dotted path, or of what is nearest above it. */
static int
line_of_path(struct reader *r, const char *path)
{
	yaml_node_t *n = yaml_document_get_root_node(&r->doc), *next;

	while (n) {
		size_t len = strcspn(path, ".");

		next = mapping_find(r, n, path, len);
		if (!next)
			break;
		n = next;
		if (!path[len])
			break;
		path += len + 1;
	}
	return n ? line_of(n) : 1;
}

/* ${VAR} is the environment's value, $${ a literal ${. Returns text that the caller frees; NULL with
 * the variable in unset (its length in *unset_len, 0: the braces are not right). */
static char *
expand(const char *text, const char **unset, size_t *unset_len)
{
	struct buf b = { .max = SECRET_MAX_BYTES };
	char name[128];

	while (*text) {
		size_t n;
		const char *value = NULL;

		if (strncmp(text, "$${", 3) == 0) {
			buf_adds(&b, "${");
			text += 3;
			continue;
		}
		if (strncmp(text, "${", 2) != 0) {
			buf_addc(&b, *text++);
			continue;
		}
		n = strcspn(text + 2, "}");
		snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), text + 2);
		if (text[2 + n] == '}' && variable_ok(name))
			value = getenv(name);
		else
			n = 0;
		if (!value) {
			*unset = text + 2;
			*unset_len = n;
			buf_free(&b);
			return NULL;
		}
		buf_adds(&b, value);
		text += n + 3;
	}
	return buf_take(&b);
}

/* Expanded text of a scalar without control characters. 1: leave the default, -1: failed. */
static int
scalar_read(struct reader *r, const struct key *k, const char *field, yaml_node_t *n, char **out)
{
	struct buf expected = { .max = 400 };
	const char *unset = NULL;
	size_t unset_len = 0;
	char *text;
	int rc = -1;

	k->kind->expect(k, &expected);
	if (n->type != YAML_SCALAR_NODE || is_nothing(n)) {
		fail_field(r, line_of(n), field, buf_str(&expected), node_brief(n));
		goto out;
	}
	text = expand(scalar_text(n), &unset, &unset_len);
	if (!text && unset_len && k->secret) {
		warn(r, line_of(n), "%s: environment variable %.*s is not set", field, (int)unset_len, unset);
		rc = 1;
	} else if (!text && unset_len) {
		fail(r, line_of(n), "%s: environment variable %.*s is not set", field, (int)unset_len, unset);
	} else if (!text) {
		fail_field(r, line_of(n), field, "${VARIABLE}, or $${ for a literal ${", k->secret ? NULL : node_brief(n));
	} else {
		*out = text;
		rc = 0;
	}
out:
	buf_free(&expected);
	return rc;
}

static bool
has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static int
value_read(struct reader *r, const struct key *k, const char *field, yaml_node_t *n, void *at)
{
	struct buf expected = { .max = 400 };
	char *text = NULL;
	int rc = scalar_read(r, k, field, n, &text);

	if (rc)
		return rc < 0 ? -1 : 0;
	/* libyaml turns "\0" into a byte that would silently end the text. */
	if (n->data.scalar.length != strlen(scalar_text(n)) || has_control(text)) {
		rc = fail_field(r, line_of(n), field, "text without control characters", NULL);
	} else if (!k->kind->put(r, k, text, at)) {
		k->kind->expect(k, &expected);
		rc = fail_field(r, line_of(n), field, buf_str(&expected), k->secret ? NULL : node_brief(n));
	}
	buf_free(&expected);
	free(text);
	return rc;
}

static int
check_repeated(struct reader *r, const char *field, const yaml_node_t *list, const yaml_node_item_t *item)
{
	yaml_node_t *n = node_at(r, *item), *other;

	for (yaml_node_item_t *i = list->data.sequence.items.start; i < item; i++) {
		other = node_at(r, *i);
		if (n->type == YAML_SCALAR_NODE && strcmp(scalar_text(other), scalar_text(n)) == 0)
			return fail(r, line_of(n), "%s: %.100s is given twice", field, scalar_text(n));
	}
	return 0;
}

static int
list_read(struct reader *r, const struct key *k, const char *field, yaml_node_t *n, void *at)
{
	struct buf expected = { .max = 400 };
	ptrdiff_t count;
	int rc = -1;

	k->kind->expect(k, &expected);
	if (n->type != YAML_SEQUENCE_NODE) {
		fail_field(r, line_of(n), field, buf_str(&expected), node_brief(n));
		goto out;
	}
	count = n->data.sequence.items.top - n->data.sequence.items.start;
	if (count < k->min || count > k->max) {
		fail(r, line_of(n), "%s: expected %lld to %lld items, got %td", field, (long long)k->min,
		    (long long)k->max, count);
		goto out;
	}
	k->kind->clear(at);
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
		if (check_repeated(r, field, n, i) || value_read(r, k, field, node_at(r, *i), at))
			goto out;
	rc = 0;
out:
	buf_free(&expected);
	return rc;
}

static int mapping_read(struct reader *r, const char *pattern, const char *shown, yaml_node_t *n, void *base);

/* Mappings whose keys are names that the user chose. */

static int
house_add(struct reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	const char *name = scalar_text(key);
	struct config_house *h = &c->houses[c->nhouses];
	char shown[FIELD_MAX];

	if (!name_ok(name))
		return fail_field(r, line_of(key), "houses", "names of houses ([a-z0-9-], at most 32)", node_brief(key));
	if (c->nhouses == CONFIG_MAX_HOUSES)
		return fail(r, line_of(key), "houses: more than %d", CONFIG_MAX_HOUSES);
	c->nhouses++;
	snprintf(h->name, sizeof h->name, "%s", name);
	snprintf(shown, sizeof shown, "houses.%s", name);
	defaults_put(r, "houses.*", h);
	return mapping_read(r, "houses.*", shown, value, h);
}

static bool
secret_name_ok(const char *s)
{
	return *s >= 'A' && *s <= 'Z' && strlen(s) <= 64 &&
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

/* 1: left out with a warning, because a file that is the same everywhere names secrets that only
 * some hosts, or only the agent's user, can read. */
static int
secret_file_read(struct reader *r, int line, const char *shown, const char *path, struct buf *out)
{
	struct stat st;
	ssize_t n = -1;
	char *to = buf_reserve(out, SECRET_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;

	if (fd < 0 || fstat(fd, &st)) {
		warn(r, line, "%s.file: cannot read %.200s: %s", shown, path, strerror(errno));
		rc = 1;
	} else if (!S_ISREG(st.st_mode)) {
		rc = fail(r, line, "%s.file: %.200s is not a regular file", shown, path);
	} else if (st.st_mode & 077) {
		rc = fail(r, line, "%s.file: %.200s has mode %03o, others can read it; chmod 600", shown, path,
		    (unsigned)st.st_mode & 0777);
	} else if (st.st_size >= (off_t)SECRET_MAX_BYTES || (n = read(fd, to, SECRET_MAX_BYTES - 1)) < 0) {
		rc = fail(r, line, "%s.file: %.200s cannot be read, or is larger than %u bytes", shown, path,
		    SECRET_MAX_BYTES);
	} else {
		while (n && (to[n - 1] == '\n' || to[n - 1] == '\r'))
			n--;
		to[n] = '\0';
		out->len = (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
secret_keep(struct reader *r, int line, const char *shown, const char *name, const char *value)
{
	struct config_secret *s = &r->c->secrets[r->c->nsecrets];

	if (!*value || strpbrk(value, "\n\r"))
		return fail(r, line, "%s: a secret must be one line that is not empty", shown);
	s->name = xstrdup(name);
	s->value = xstrdup(value);
	r->c->nsecrets++;
	return 0;
}

static int
secret_resolve(struct reader *r, int line, const char *shown, const char *name, const struct secret_source *from)
{
	struct buf b = { .max = SECRET_MAX_BYTES };
	const char *value = from->env ? getenv(from->env) : NULL;
	int rc;

	if (!from->file == !from->env)
		return fail(r, line, "%s: expected either file or env", shown);
	if (from->env && !value) {
		warn(r, line, "%s.env: environment variable %.100s is not set", shown, from->env);
		return 0;
	}
	rc = from->env ? 0 : secret_file_read(r, line, shown, from->file, &b);
	if (rc == 0)
		rc = secret_keep(r, line, shown, name, value ? value : buf_str(&b));
	buf_free(&b);
	return rc < 0 ? -1 : 0;
}

static int
secret_add(struct reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct secret_source from = { NULL, NULL };
	const char *name = scalar_text(key);
	char shown[FIELD_MAX];
	int rc;

	if (!secret_name_ok(name))
		return fail_field(r, line_of(key), "secrets", "names of secrets ([A-Z][A-Z0-9_]*, at most 64)",
		    node_brief(key));
	if (r->c->nsecrets == CONFIG_MAX_SECRETS)
		return fail(r, line_of(key), "secrets: more than %d", CONFIG_MAX_SECRETS);
	snprintf(shown, sizeof shown, "secrets.%.70s", name);
	rc = mapping_read(r, "secrets.*", shown, value, &from);
	if (rc == 0)
		rc = secret_resolve(r, line_of(key), shown, name, &from);
	values_clear("secrets.*", &from);
	return rc;
}

static const struct free_map {
	const char *path;
	ptrdiff_t max;
	int (*add)(struct reader *r, yaml_node_t *key, yaml_node_t *value);
} free_maps[] = {
	{ "houses", CONFIG_MAX_HOUSES, house_add },
	{ "secrets", CONFIG_MAX_SECRETS, secret_add },
};

/* Mappings */

static int
key_unknown(const struct reader *r, const yaml_node_t *key, const char *pattern, const char *shown)
{
	struct nearest n = { .word = scalar_text(key) };
	char words[NKEYS][32];
	const char *best;

	for EACH_KEY(k) {
		const char *rest = key_beneath(k->path, pattern);
		char *word = words[k - keys];

		if (!rest)
			continue;
		snprintf(word, sizeof words[0], "%.*s", (int)strcspn(rest, "."), rest);
		nearest_try(&n, word);
	}
	best = nearest_word(&n);
	return fail(r, line_of(key), "%s%s%.60s: no such key%s%s%s", shown, *shown ? "." : "", n.word,
	    best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static int
key_check(struct reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair, const char *shown)
{
	yaml_node_t *key = node_at(r, pair->key), *other;

	if (key->type != YAML_SCALAR_NODE)
		return fail(r, line_of(key), "%s: expected a key, got %s", *shown ? shown : "top level", node_brief(key));
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		other = node_at(r, p->key);
		if (strcmp(scalar_text(other), scalar_text(key)) == 0)
			return fail(r, line_of(key), "%s%s%.60s: given twice, first on line %d", shown, *shown ? "." : "",
			    scalar_text(key), line_of(other));
	}
	return 0;
}

static int
free_map_read(struct reader *r, const struct free_map *m, yaml_node_t *n)
{
	ptrdiff_t count = n->data.mapping.pairs.top - n->data.mapping.pairs.start;

	if (is_nothing(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return fail_field(r, line_of(n), m->path, "a mapping from names", node_brief(n));
	if (count > m->max)
		return fail(r, line_of(n), "%s: expected at most %td, got %td", m->path, m->max, count);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (key_check(r, n, p, m->path) || m->add(r, node_at(r, p->key), node_at(r, p->value)))
			return -1;
	return 0;
}

static const struct free_map *
free_map_find(const char *path)
{
	for (size_t i = 0; i < sizeof free_maps / sizeof *free_maps; i++)
		if (strcmp(free_maps[i].path, path) == 0)
			return &free_maps[i];
	return NULL;
}

static void
join(char *out, const char *parent, const char *name)
{
	snprintf(out, FIELD_MAX, "%.45s%s%.32s", parent, *parent ? "." : "", name);
}

static int
pair_read(struct reader *r, const char *pattern, const char *shown, yaml_node_t *key, yaml_node_t *value, void *base)
{
	const char *name = scalar_text(key);
	char path[FIELD_MAX], field[FIELD_MAX];
	const struct key *k;
	const struct free_map *m;

	join(path, pattern, name);
	join(field, shown, name);
	/* A dot or a star would reach rows that belong to another struct. */
	if (!*name || strlen(name) > 32 || strpbrk(name, ".*"))
		return key_unknown(r, key, pattern, shown);
	if ((m = free_map_find(path)))
		return free_map_read(r, m, value);
	if ((k = key_find(path)))
		return (k->kind->list ? list_read : value_read)(r, k, field, value, (char *)base + k->offset);
	if (is_section(path))
		return mapping_read(r, path, field, value, base);
	return key_unknown(r, key, pattern, shown);
}

static int
mapping_read(struct reader *r, const char *pattern, const char *shown, yaml_node_t *n, void *base)
{
	if (is_nothing(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return fail_field(r, line_of(n), *shown ? shown : "top level", "a mapping (key: value)", node_brief(n));
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (key_check(r, n, p, shown) ||
		    pair_read(r, pattern, shown, node_at(r, p->key), node_at(r, p->value), base))
			return -1;
	return 0;
}

/* Defaults that depend on other keys */

static int
house_complete(struct reader *r, struct config_house *h)
{
	if (!h->role)
		h->role = xstrdup(strcmp(h->name, r->c->sovereign) == 0 ? "judgement" : "worker");
	if (h->agents.n == 0) {
		char agent[NAME_MAX_LEN + 3], path[FIELD_MAX];

		snprintf(agent, sizeof agent, "%s-1", h->name);
		join(path, "houses", h->name);
		if (!name_ok(agent))
			return fail(r, line_of_path(r, path), "%s.agents: %s would be too long a name, give one", path, agent);
		memcpy(h->agents.v[h->agents.n++], agent, strlen(agent) + 1);
	}
	if (h->candidates.n == 0)
		h->candidates = h->agents;
	return 0;
}

static int
complete(struct reader *r)
{
	struct config *c = r->c;
	const struct config_house *h;

	if (c->nhouses == 0)
		return fail(r, line_of_path(r, "houses"), "houses: expected at least one house, got none");
	for (size_t i = 0; i < c->nhouses; i++)
		if (house_complete(r, &c->houses[i]))
			return -1;
	if (c->router.n == 0) {
		h = config_house_find(c, "allegro");
		h = h ? h : &c->houses[0];
		memcpy(c->router.v[c->router.n++], h->agents.v[0], sizeof(config_name));
	}
	return 0;
}

/* Checks across keys */

static int
check_people(struct reader *r)
{
	const struct config *c = r->c;

	for (size_t i = 0; i < c->watchers.n; i++)
		if (config_names_has(&c->operators, c->watchers.v[i]) || strcmp(c->watchers.v[i], c->sovereign) == 0)
			return fail(r, line_of_path(r, "watchers"), "watchers: %s may do more already, as %s", c->watchers.v[i],
			    config_names_has(&c->operators, c->watchers.v[i]) ? "an operator" : "the sovereign");
	return 0;
}

static bool
is_person(const struct config *c, const char *name)
{
	return strcmp(name, c->sovereign) == 0 || config_names_has(&c->operators, name) ||
	    config_names_has(&c->watchers, name);
}

static int
check_agents(struct reader *r, const struct config_house *h)
{
	char path[FIELD_MAX];

	snprintf(path, sizeof path, "houses.%s.agents", h->name);
	for (size_t i = 0; i < h->agents.n; i++) {
		const char *agent = h->agents.v[i];
		const struct config_house *home = config_home(r->c, agent);

		if (home != h)
			return fail(r, line_of_path(r, path), "%s: %s is already at home in %s", path, agent, home->name);
		if (is_person(r->c, agent))
			return fail(r, line_of_path(r, path), "%s: %s is a person's name (sovereign, operators, watchers)",
			    path, agent);
	}
	return 0;
}

/* Every name in a list of candidates must be somebody's agent. */
static int
check_known(struct reader *r, const char *path, const struct config_names *names)
{
	const struct config *c = r->c;

	for (size_t i = 0; i < names->n; i++) {
		struct nearest n = { .word = names->v[i] };
		const char *best;

		if (config_home(c, names->v[i]))
			continue;
		for (size_t h = 0; h < c->nhouses; h++)
			for (size_t a = 0; a < c->houses[h].agents.n; a++)
				nearest_try(&n, c->houses[h].agents.v[a]);
		best = nearest_word(&n);
		return fail(r, line_of_path(r, path), "%s: no house has an agent %s%s%s%s", path, names->v[i],
		    best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
	}
	return 0;
}

static bool
is_loopback(const char *url)
{
	static const char *const hosts[] = { "localhost", "127.", "[::1]" };
	const char *host = strstr(url, "://") + 3;

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strncmp(host, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

static int
check_house(struct reader *r, const struct config_house *h)
{
	char path[FIELD_MAX];

	snprintf(path, sizeof path, "houses.%s.endpoint", h->name);
	if (h->endpoint && strncmp(h->endpoint, "http:", 5) == 0 && !is_loopback(h->endpoint))
		warn(r, line_of_path(r, path), "%s: plain http to another host can be read on the way", path);
	snprintf(path, sizeof path, "houses.%s.auth_token", h->name);
	if (h->auth_token && r->exposed)
		warn(r, line_of_path(r, path), "%s: others can read this file; keep the token in a variable, or chmod 600",
		    path);
	snprintf(path, sizeof path, "houses.%s.candidates", h->name);
	return check_agents(r, h) || check_known(r, path, &h->candidates) ? -1 : 0;
}

/* With more than one broker a majority of agents decides which is the one in use. */
static int
check_brokers(struct reader *r)
{
	size_t voters = 0;

	for (size_t i = 0; i < r->c->nhouses; i++)
		voters += r->c->houses[i].agents.n;
	if (r->c->nbrokers > 1 && voters < 3)
		return fail(r, line_of_path(r, "brokers"), "brokers: %zu brokers need at least three agents, there %s %zu",
		    r->c->nbrokers, voters == 1 ? "is" : "are", voters);
	if (r->c->nbrokers > 1 && voters % 2 == 0)
		warn(r, line_of_path(r, "brokers"), "brokers: %zu agents vote on the broker; an odd number stands more faults",
		    voters);
	return 0;
}

static int
check(struct reader *r)
{
	const struct config *c = r->c;

	if (check_people(r))
		return -1;
	for (size_t i = 0; i < c->nhouses; i++)
		if (check_house(r, &c->houses[i]))
			return -1;
	if (check_known(r, "router", &c->router) || check_brokers(r))
		return -1;
	if (config_identity_kind(c, c->identity) == IDENTITY_UNKNOWN)
		warn(r, line_of_path(r, "identity"), "identity: %s is neither a person nor an agent of this cluster",
		    c->identity);
	if (c->max_task_bytes > c->max_payload_bytes)
		return fail(r, line_of_path(r, "limits.task_bytes"), "limits.task_bytes: larger than limits.payload_bytes");
	return 0;
}

/* Text to document */

static int
fail_yaml(struct reader *r, const yaml_parser_t *p)
{
	const char *problem = p->problem ? p->problem : "cannot be read";

	if (p->error == YAML_READER_ERROR)
		return fail(r, (int)p->mark.line + 1, "not valid YAML: %s (byte %zu)", problem, p->problem_offset);
	if (p->context)
		return fail(r, (int)p->problem_mark.line + 1, "not valid YAML: %s, %s on line %zu", problem, p->context,
		    p->context_mark.line + 1);
	return fail(r, (int)p->problem_mark.line + 1, "not valid YAML: %s", problem);
}

static const char *
event_refused(const yaml_event_t *ev, int depth, int documents)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	}
	if (ev->type == YAML_ALIAS_EVENT || anchor)
		return "anchors and aliases (& and *) are not used here; put text that begins with them in quotes";
	if (tag)
		return "tags (!) are not used here; put text that begins with ! in quotes";
	if (depth > DEPTH_MAX)
		return "nested too deeply";
	return documents > 1 ? "a second document begins (---); expected one" : NULL;
}

/* libyaml builds whatever tree the text asks for: look at the events first. */
static int
prescan(struct reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	yaml_event_t ev;
	int depth = 0, documents = 0, rc = 0;
	bool end = false;

	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (!rc && !end) {
		const char *why;

		if (!yaml_parser_parse(&p, &ev)) {
			rc = fail_yaml(r, &p);
			break;
		}
		depth += ev.type == YAML_MAPPING_START_EVENT || ev.type == YAML_SEQUENCE_START_EVENT;
		depth -= ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
		documents += ev.type == YAML_DOCUMENT_START_EVENT;
		end = ev.type == YAML_STREAM_END_EVENT;
		if ((why = event_refused(&ev, depth, documents)))
			rc = fail(r, (int)ev.start_mark.line + 1, "%s", why);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&p);
	return rc;
}

/* libyaml's own words for this are "found character that cannot start any token". */
static int
check_tabs(struct reader *r, const char *text, size_t len)
{
	int line = 1;

	for (size_t i = 0; i < len; line++) {
		bool tab = false;

		for (; i < len && (text[i] == ' ' || text[i] == '\t'); i++)
			tab |= text[i] == '\t';
		if (tab && i < len && text[i] != '\n' && text[i] != '\r' && text[i] != '#')
			return fail(r, line, "a tab in the indentation; YAML wants spaces");
		while (i < len && text[i] != '\n')
			i++;
		i++;
	}
	return 0;
}

static int
document_load(struct reader *r, const char *text, size_t len)
{
	yaml_parser_t p;
	int rc = 0;

	if (len > FILE_MAX_BYTES)
		return err_set(r->e, ERR_CONFIG, "%s: larger than %u bytes", r->name, FILE_MAX_BYTES);
	if (check_tabs(r, text, len) || prescan(r, text, len))
		return -1;
	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &r->doc))
		rc = fail_yaml(r, &p);
	yaml_parser_delete(&p);
	return rc;
}

static int
root_read(struct reader *r)
{
	yaml_node_t *root = yaml_document_get_root_node(&r->doc);

	defaults_put(r, "", r->c);
	if (!root)
		return fail(r, 1, "expected at least houses: with one house, got an empty file");
	return mapping_read(r, "", "", root, r->c) || complete(r) || check(r) ? -1 : 0;
}

/* The directory of the file, absolute, so that reading it from elsewhere means the same. */
static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char cwd[TEXT_MAX_BYTES];
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

static int
parse(struct reader *r, const char *text, size_t len)
{
	int rc;

	*r->c = (struct config){ .path = xstrdup(r->name) };
	r->dir = dir_of(r->name);
	rc = document_load(r, text, len);
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
	struct reader r = { .c = c, .name = name, .warn = warnf, .arg = arg, .e = e };

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
	struct reader r = { .c = c, .name = path, .warn = warnf, .arg = arg, .e = e };
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
	values_clear("", c);
	for (size_t i = 0; i < c->nhouses; i++)
		values_clear("houses.*", &c->houses[i]);
	for (size_t i = 0; i < c->nsecrets; i++) {
		free(c->secrets[i].name);
		free(c->secrets[i].value);
	}
	free(c->path);
	*c = (struct config){ 0 };
}

/* Questions */

const char *
config_path(const char *option)
{
	const char *env = getenv("UNI_WIZARD_CONFIG");

	return option ? option : env && *env ? env : "/etc/uni-wizard/houses.yaml";
}

const struct config_house *
config_house_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nhouses; i++)
		if (strcmp(c->houses[i].name, name) == 0)
			return &c->houses[i];
	return NULL;
}

const struct config_house *
config_home(const struct config *c, const char *agent)
{
	for (size_t i = 0; i < c->nhouses; i++)
		if (config_names_has(&c->houses[i].agents, agent))
			return &c->houses[i];
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
	return config_home(c, identity) ? IDENTITY_AGENT : IDENTITY_UNKNOWN;
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
	return n;
}

/* What a reader may write: the message's words without the article. */
static void
markdown_row(struct buf *out, const struct key *k)
{
	struct buf range = { .max = 400 };

	buf_addf(out, "| `");
	for (const char *p = k->path; *p; p++)
		buf_adds(out, *p == '*' ? "<name>" : (char[]){ *p, '\0' });
	if (k->implied || !k->def)
		buf_addf(out, "` | %s | %s | ", k->kind->type, k->implied ? k->implied : "none");
	else
		buf_addf(out, "` | %s | `%s` | ", k->kind->type, k->def);
	k->kind->expect(k, &range);
	buf_adds(out, buf_str(&range));
	if (k->kind->list)
		buf_addf(out, "; %lld to %lld of them", (long long)k->min, (long long)k->max);
	buf_addf(out, " | %s |\n", k->help);
	buf_free(&range);
}

void
config_keys_markdown(struct buf *out)
{
	buf_adds(out, "| key | type | default | accepted | meaning |\n|---|---|---|---|---|\n");
	for EACH_KEY(k)
		markdown_row(out, k);
}
