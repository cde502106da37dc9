#include "config_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "nearest.h"

#define SECRET_MAX_BYTES (64u << 10)

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
		if (text[2 + n] == '}' && config_variable_ok(name))
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
scalar_read(
    struct config_reader *r, const struct config_key *k, const char *field, yaml_node_t *n, char **out)
{
	struct buf expected = { .max = 400 };
	const char *unset = NULL;
	size_t unset_len = 0;
	char *text;
	int rc = -1;

	k->type->expect(k, &expected);
	if (n->type != YAML_SCALAR_NODE || config_is_nothing(n)) {
		config_fail_field(r, config_line(n), field, buf_str(&expected), config_brief(n));
		goto out;
	}
	text = expand(config_text(n), &unset, &unset_len);
	if (!text && unset_len && k->secret) {
		config_warn(r, config_line(n), "%s: environment variable %.*s is not set", field,
		    (int)unset_len, unset);
		rc = 1;
	} else if (!text && unset_len) {
		config_fail(r, config_line(n), "%s: environment variable %.*s is not set", field,
		    (int)unset_len, unset);
	} else if (!text) {
		config_fail_field(r, config_line(n), field, "${VARIABLE}, or $${ for a literal ${",
		    k->secret ? NULL : config_brief(n));
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
value_read(struct config_reader *r, const struct config_key *k, const char *field, yaml_node_t *n, void *at)
{
	struct buf expected = { .max = 400 };
	char *text = NULL;
	int rc = scalar_read(r, k, field, n, &text);

	if (rc)
		return rc < 0 ? -1 : 0;
	/* libyaml turns "\0" into a byte that would silently end the text. */
	if (n->data.scalar.length != strlen(config_text(n)) || has_control(text)) {
		rc = config_fail_field(r, config_line(n), field, "text without control characters", NULL);
	} else if (!k->type->put(r, k, text, at)) {
		k->type->expect(k, &expected);
		rc = config_fail_field(
		    r, config_line(n), field, buf_str(&expected), k->secret ? NULL : config_brief(n));
	}
	buf_free(&expected);
	free(text);
	return rc;
}

static int
check_repeated(
    struct config_reader *r, const char *field, const yaml_node_t *list, const yaml_node_item_t *item)
{
	yaml_node_t *n = config_node(r, *item), *other;

	for (yaml_node_item_t *i = list->data.sequence.items.start; i < item; i++) {
		other = config_node(r, *i);
		if (n->type == YAML_SCALAR_NODE && strcmp(config_text(other), config_text(n)) == 0)
			return config_fail(
			    r, config_line(n), "%s: %.100s is given twice", field, config_text(n));
	}
	return 0;
}

static int
list_read(struct config_reader *r, const struct config_key *k, const char *field, yaml_node_t *n, void *at)
{
	struct buf expected = { .max = 400 };
	ptrdiff_t count;
	int rc = -1;

	k->type->expect(k, &expected);
	if (n->type != YAML_SEQUENCE_NODE) {
		config_fail_field(r, config_line(n), field, buf_str(&expected), config_brief(n));
		goto out;
	}
	count = n->data.sequence.items.top - n->data.sequence.items.start;
	if (count < k->min || count > k->max) {
		config_fail(r, config_line(n), "%s: expected %lld to %lld items, got %td", field,
		    (long long)k->min, (long long)k->max, count);
		goto out;
	}
	k->type->clear(at);
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
		if (check_repeated(r, field, n, i) || value_read(r, k, field, config_node(r, *i), at))
			goto out;
	rc = 0;
out:
	buf_free(&expected);
	return rc;
}

/* Mappings whose keys are names that the user chose. */

static int
house_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	const char *name = config_text(key);
	struct config_house *h = &c->houses[c->nhouses];
	char shown[CONFIG_FIELD_MAX];

	if (!name_ok(name))
		return config_fail_field(r, config_line(key), "houses",
		    "names of houses ([a-z0-9-], at most 32)", config_brief(key));
	if (c->nhouses == CONFIG_MAX_HOUSES)
		return config_fail(r, config_line(key), "houses: more than %d", CONFIG_MAX_HOUSES);
	c->nhouses++;
	snprintf(h->name, sizeof h->name, "%s", name);
	snprintf(shown, sizeof shown, "houses.%s", name);
	config_defaults_put(r, "houses.*", h);
	return config_mapping_read(r, "houses.*", shown, value, h);
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
secret_file_read(struct config_reader *r, int line, const char *shown, const char *path, struct buf *out)
{
	struct stat st;
	ssize_t n = -1;
	char *to = buf_reserve(out, SECRET_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;

	if (fd < 0 || fstat(fd, &st)) {
		config_warn(r, line, "%s.file: cannot read %.200s: %s", shown, path, strerror(errno));
		rc = 1;
	} else if (!S_ISREG(st.st_mode)) {
		rc = config_fail(r, line, "%s.file: %.200s is not a regular file", shown, path);
	} else if (st.st_mode & 077) {
		rc = config_fail(r, line, "%s.file: %.200s has mode %03o, others can read it; chmod 600",
		    shown, path, (unsigned)st.st_mode & 0777);
	} else if (st.st_size >= (off_t)SECRET_MAX_BYTES || (n = read(fd, to, SECRET_MAX_BYTES - 1)) < 0) {
		rc = config_fail(r, line, "%s.file: %.200s cannot be read, or is larger than %u bytes", shown,
		    path, SECRET_MAX_BYTES);
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
secret_keep(struct config_reader *r, int line, const char *shown, const char *name, const char *value,
    const struct config_secret_source *from)
{
	struct config_secret *s = &r->c->secrets[r->c->nsecrets];

	if (!*value || strpbrk(value, "\n\r"))
		return config_fail(r, line, "%s: a secret must be one line that is not empty", shown);
	s->name = xstrdup(name);
	s->value = xstrdup(value);
	s->file = from->file ? xstrdup(from->file) : NULL;
	s->origin = from->origin ? xstrdup(from->origin) : NULL;
	r->c->nsecrets++;
	return 0;
}

static int
secret_resolve(struct config_reader *r, int line, const char *shown, const char *name,
    const struct config_secret_source *from)
{
	struct buf b = { .max = SECRET_MAX_BYTES };
	const char *value = from->env ? getenv(from->env) : NULL;
	int rc;

	if (!from->file == !from->env)
		return config_fail(r, line, "%s: expected either file or env", shown);
	if (from->env && !value) {
		config_warn(r, line, "%s.env: environment variable %.100s is not set", shown, from->env);
		return 0;
	}
	rc = from->env ? 0 : secret_file_read(r, line, shown, from->file, &b);
	if (rc == 0)
		rc = secret_keep(r, line, shown, name, value ? value : buf_str(&b), from);
	buf_free(&b);
	return rc < 0 ? -1 : 0;
}

static int
secret_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config_secret_source from = { 0 };
	const char *name = config_text(key);
	char shown[CONFIG_FIELD_MAX];
	int rc;

	if (!secret_name_ok(name))
		return config_fail_field(r, config_line(key), "secrets",
		    "names of secrets ([A-Z][A-Z0-9_]*, at most 64)", config_brief(key));
	if (r->c->nsecrets == CONFIG_MAX_SECRETS)
		return config_fail(r, config_line(key), "secrets: more than %d", CONFIG_MAX_SECRETS);
	snprintf(shown, sizeof shown, "secrets.%.70s", name);
	rc = config_mapping_read(r, "secrets.*", shown, value, &from);
	if (rc == 0)
		rc = secret_resolve(r, config_line(key), shown, name, &from);
	config_values_clear("secrets.*", &from);
	return rc;
}

/* One more of those that have names of their own; section: "flow", what: "limits". False: refused, and said so in r. */
static bool
named_add(struct config_reader *r, yaml_node_t *key, const char *section, const char *what, config_name name, size_t *n, size_t max)
{
	char expected[80];

	if (!name_ok(config_text(key))) {
		snprintf(expected, sizeof expected, "names of %s ([a-z0-9-], at most 32)", what);
		config_fail_field(r, config_line(key), section, expected, config_brief(key));
		return false;
	}
	if (*n == max) {
		config_fail(r, config_line(key), "%s: more than %zu", section, max);
		return false;
	}
	++*n;
	snprintf(name, sizeof(config_name), "%s", config_text(key));
	return true;
}

/* The house may come later in the file: see config_check.c. */
static int
schedule_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_schedule *s = &c->schedules[c->nschedules];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "schedules", "schedules", s->name, &c->nschedules, CONFIG_MAX_SCHEDULES))
		return -1;
	snprintf(shown, sizeof shown, "schedules.%s", s->name);
	config_defaults_put(r, "schedules.*", s);
	return config_mapping_read(r, "schedules.*", shown, value, s);
}

static int
flow_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_flow *f = &c->flows[c->nflows];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "flow", "limits", f->name, &c->nflows, CONFIG_MAX_FLOWS))
		return -1;
	snprintf(shown, sizeof shown, "flow.%s", f->name);
	config_defaults_put(r, "flow.*", f);
	return config_mapping_read(r, "flow.*", shown, value, f);
}

static int
alert_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	enum alert_kind kind = alert_kind_find(config_text(key));
	struct config_alert *a = &r->c->alerts[kind < ALERT_COUNT ? kind : 0];
	char shown[CONFIG_FIELD_MAX];

	if (kind == ALERT_COUNT) {
		struct nearest n = { .word = config_text(key) };

		for (int k = 0; k < ALERT_COUNT; k++)
			nearest_try(&n, alert_rules[k].name);
		return config_fail(r, config_line(key), "alerts: expected the name of an alert, got %.60s%s%s", config_text(key),
		    nearest_word(&n) ? "; did you mean " : "", nearest_word(&n) ? nearest_word(&n) : "");
	}
	a->given = true;
	a->limit = alert_rules[kind].limit;
	a->raise_s = alert_rules[kind].raise_s;
	a->clear_s = alert_rules[kind].clear_s;
	snprintf(shown, sizeof shown, "alerts.%s", alert_rules[kind].name);
	config_defaults_put(r, "alerts.*", a);
	return config_mapping_read(r, "alerts.*", shown, value, a);
}

static int
stress_unknown(struct config_reader *r, yaml_node_t *key)
{
	struct nearest n = { .word = config_text(key) };
	struct stress_rule rule;

	for (int k = 0; k < STRESS_COUNT; k++) {
		stress_rule((enum stress_kind)k, &rule);
		nearest_try(&n, rule.name);
	}
	return config_fail(r, config_line(key), "stress: expected the name of a stress, got %.60s%s%s", config_text(key),
	    nearest_word(&n) ? "; did you mean " : "", nearest_word(&n) ? nearest_word(&n) : "");
}

/* It would end at a value at which it begins. */
static bool
is_turned_round(const struct stress_rule *rule, const struct config_stress *s)
{
	return s->clear >= 0 && (rule->side == ALERT_ABOVE ? s->clear > s->limit : s->clear < s->limit);
}

static int
stress_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	enum stress_kind kind = stress_kind_find(config_text(key));
	struct stress_rule rule;
	struct config_stress *s;
	char shown[CONFIG_FIELD_MAX];

	if (kind == STRESS_COUNT)
		return stress_unknown(r, key);
	s = &r->c->stresses[kind];
	stress_rule(kind, &rule);
	s->given = true;
	s->limit = rule.limit;
	s->clear = -1;
	s->raise_s = rule.raise_s;
	s->clear_s = rule.clear_s;
	snprintf(shown, sizeof shown, "stress.%s", rule.name);
	config_defaults_put(r, "stress.*", s);
	if (config_mapping_read(r, "stress.*", shown, value, s))
		return -1;
	if (!is_turned_round(&rule, s))
		return 0;
	return config_fail(r, config_line(value), "%s.clear: expected %s its limit %lld, got %lld", shown,
	    rule.side == ALERT_ABOVE ? "at most" : "at least", (long long)s->limit, (long long)s->clear);
}

static int
sink_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_sink *s = &c->sinks[c->nsinks];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "sinks", "sinks", s->name, &c->nsinks, CONFIG_MAX_SINKS))
		return -1;
	snprintf(shown, sizeof shown, "sinks.%s", s->name);
	config_defaults_put(r, "sinks.*", s);
	return config_mapping_read(r, "sinks.*", shown, value, s);
}

static int
triage_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_triage *t = &c->triages[c->ntriages];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "triage", "rules", t->name, &c->ntriages, CONFIG_MAX_TRIAGES))
		return -1;
	snprintf(shown, sizeof shown, "triage.%s", t->name);
	config_defaults_put(r, "triage.*", t);
	return config_mapping_read(r, "triage.*", shown, value, t);
}

static int
device_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_device *d = &c->devices[c->ndevices];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "syncthing.devices", "devices", d->name, &c->ndevices, CONFIG_MAX_DEVICES))
		return -1;
	snprintf(shown, sizeof shown, "syncthing.devices.%s", d->name);
	config_defaults_put(r, "syncthing.devices.*", d);
	return config_mapping_read(r, "syncthing.devices.*", shown, value, d);
}

static int
host_add(struct config_reader *r, yaml_node_t *key, yaml_node_t *value)
{
	struct config *c = r->c;
	struct config_host *h = &c->hosts[c->nhosts];
	char shown[CONFIG_FIELD_MAX];

	if (!named_add(r, key, "hosts", "hosts", h->name, &c->nhosts, CONFIG_MAX_HOSTS))
		return -1;
	snprintf(shown, sizeof shown, "hosts.%s", h->name);
	config_defaults_put(r, "hosts.*", h);
	return config_mapping_read(r, "hosts.*", shown, value, h);
}

static const struct free_map {
	const char *path;
	ptrdiff_t max;
	int (*add)(struct config_reader *r, yaml_node_t *key, yaml_node_t *value);
} free_maps[] = {
	{ "houses", CONFIG_MAX_HOUSES, house_add },
	{ "hosts", CONFIG_MAX_HOSTS, host_add },
	{ "flow", CONFIG_MAX_FLOWS, flow_add },
	{ "alerts", ALERT_COUNT, alert_add },
	{ "stress", STRESS_COUNT, stress_add },
	{ "sinks", CONFIG_MAX_SINKS, sink_add },
	{ "triage", CONFIG_MAX_TRIAGES, triage_add },
	{ "schedules", CONFIG_MAX_SCHEDULES, schedule_add },
	{ "syncthing.devices", CONFIG_MAX_DEVICES, device_add },
	{ "secrets", CONFIG_MAX_SECRETS, secret_add },
};

/* Mappings */

static int
key_unknown(const struct config_reader *r, const yaml_node_t *key, const char *pattern, const char *shown)
{
	struct nearest n = { .word = config_text(key) };
	const char *best;

	for EACH_KEY(k) {
		const char *rest = config_key_beneath(k->path, pattern);

		if (rest)
			nearest_tryn(&n, rest, strcspn(rest, "."));
	}
	best = nearest_word(&n);
	return config_fail(r, config_line(key), "%s%s%.60s: no such key%s%s%s", shown, *shown ? "." : "",
	    n.word, best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static int
key_check(struct config_reader *r, const yaml_node_t *map, const yaml_node_pair_t *pair, const char *shown)
{
	yaml_node_t *key = config_node(r, pair->key), *other;

	if (key->type != YAML_SCALAR_NODE)
		return config_fail(r, config_line(key), "%s: expected a key, got %s",
		    *shown ? shown : "top level", config_brief(key));
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		other = config_node(r, p->key);
		if (strcmp(config_text(other), config_text(key)) == 0)
			return config_fail(r, config_line(key), "%s%s%.60s: given twice, first on line %d",
			    shown, *shown ? "." : "", config_text(key), config_line(other));
	}
	return 0;
}

static int
free_map_read(struct config_reader *r, const struct free_map *m, yaml_node_t *n)
{
	ptrdiff_t count = n->data.mapping.pairs.top - n->data.mapping.pairs.start;

	if (config_is_nothing(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return config_fail_field(r, config_line(n), m->path, "a mapping from names", config_brief(n));
	if (count > m->max)
		return config_fail(
		    r, config_line(n), "%s: expected at most %td, got %td", m->path, m->max, count);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (key_check(r, n, p, m->path) ||
		    m->add(r, config_node(r, p->key), config_node(r, p->value)))
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

static int
pair_read(struct config_reader *r, const char *pattern, const char *shown, yaml_node_t *key,
    yaml_node_t *value, void *base)
{
	const char *name = config_text(key);
	char path[CONFIG_FIELD_MAX], field[CONFIG_FIELD_MAX];
	const struct config_key *k;
	const struct free_map *m;

	config_join(path, pattern, name);
	config_join(field, shown, name);
	/* A dot or a star would reach rows that belong to another struct. */
	if (!*name || strlen(name) > 32 || strpbrk(name, ".*"))
		return key_unknown(r, key, pattern, shown);
	if ((m = free_map_find(path)))
		return free_map_read(r, m, value);
	if ((k = config_key_find(path)))
		return (k->type->list ? list_read : value_read)(r, k, field, value, (char *)base + k->offset);
	if (config_is_section(path))
		return config_mapping_read(r, path, field, value, base);
	return key_unknown(r, key, pattern, shown);
}

int
config_mapping_read(
    struct config_reader *r, const char *pattern, const char *shown, yaml_node_t *n, void *base)
{
	if (config_is_nothing(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return config_fail_field(r, config_line(n), *shown ? shown : "top level",
		    "a mapping (key: value)", config_brief(n));
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		if (key_check(r, n, p, shown) ||
		    pair_read(r, pattern, shown, config_node(r, p->key), config_node(r, p->value), base))
			return -1;
	return 0;
}
