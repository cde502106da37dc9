#include "config_impl.h"

#include <arpa/inet.h>

#include <ctype.h>

static void
text_clear(void *at)
{
	char **p = at;

	free(*p);
	*p = NULL;
}

static bool
text_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	(void)r;
	(void)k;
	if (!*text || strlen(text) > CONFIG_TEXT_MAX)
		return false;
	text_clear(at);
	*(char **)at = xstrdup(text);
	return true;
}

static void
text_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "text of 1 to %d bytes", CONFIG_TEXT_MAX);
}

static bool
choice_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
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
choice_expect(const struct config_key *k, struct buf *out)
{
	buf_adds(out, "one of ");
	for (const char *p = k->allowed; *p; p++)
		buf_adds(out, *p == ' ' ? ", " : (char[]){ *p, '\0' });
}

static bool
path_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	char **p = at;

	(void)k;
	if (!*text || *text == '~' || strlen(text) > CONFIG_TEXT_MAX)
		return false;
	text_clear(at);
	if (*text == '/' || !r->dir) {
		*p = xstrdup(text);
	} else {
		struct buf b = { .max = 3 * CONFIG_TEXT_MAX };

		buf_addf(&b, "%s/%s", strcmp(r->dir, "/") == 0 ? "" : r->dir, text);
		*p = buf_take(&b);
	}
	return true;
}

static void
path_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a path (write ${HOME}, not ~)");
}

static bool
url_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	size_t n = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;

	if (!n || strcspn(text + n, "/:@?#") == 0 || strpbrk(text, " \"'<>\\"))
		return text[n] == '[' && n && text_put(r, k, text, at);
	return text_put(r, k, text, at);
}

static void
url_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "http://host:port or https://host:port");
}

/* Numbers only: what a name stands for may change, and with it who can connect. */
static bool
listen_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	unsigned char address[sizeof(struct in6_addr)];
	char host[64], port[8], end;
	int n;

	if (strcmp(text, "off") != 0 && sscanf(text, "[%63[0-9a-fA-F:.]]:%7[0-9]%c", host, port, &end) != 2 &&
	    sscanf(text, "%63[0-9.]:%7[0-9]%c", host, port, &end) != 2)
		return false;
	if (strcmp(text, "off") != 0) {
		n = (int)strtol(port, NULL, 10);
		if (n > 65535 || inet_pton(*text == '[' ? AF_INET6 : AF_INET, host, address) != 1)
			return false;
	}
	return text_put(r, k, text, at);
}

static void
listen_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "address:port with a numeric address, such as 127.0.0.1:8643 or [::]:8643, or off");
}

static bool
ssh_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	struct config_ssh ssh;

	return config_ssh(text, &ssh) && text_put(r, k, text, at);
}

static void
ssh_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "user@host or user@host:port, or local for this machine");
}

static bool
address_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	return config_address_ok(text) && text_put(r, k, text, at);
}

static void
address_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a host name or an address");
}

static bool
urls_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	struct config_urls *urls = at;

	if (urls->n == CONFIG_MAX_NEEDS || !url_put(r, k, text, &urls->v[urls->n]))
		return false;
	urls->n++;
	return true;
}

static void
urls_clear(void *at)
{
	struct config_urls *urls = at;

	while (urls->n)
		text_clear(&urls->v[--urls->n]);
}

static void
urls_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of http://host:port or https://host:port");
}

static bool
name_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	(void)r;
	(void)k;
	if (!name_ok(text))
		return false;
	snprintf(at, sizeof(config_name), "%s", text);
	return true;
}

static void
name_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
}

static bool
names_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
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
names_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_addf(out, "a list of names ([a-z0-9-], at most %d)", NAME_MAX_LEN);
}

static bool
paths_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
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

static bool
texts_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	struct config_texts *texts = at;

	if (texts->n == CONFIG_MAX_TEXTS || !text_put(r, k, text, &texts->v[texts->n]))
		return false;
	texts->n++;
	return true;
}

static void
texts_clear(void *at)
{
	struct config_texts *texts = at;

	while (texts->n)
		text_clear(&texts->v[--texts->n]);
}

static void
texts_expect(const struct config_key *k, struct buf *out)
{
	buf_addf(out, "a list of %lld to %lld texts", (long long)k->min, (long long)k->max);
}

static void
paths_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of paths (write ${HOME}, not ~)");
}

/* Names that are nothing but dots would be steps in a path. */
static bool
repository_part_ok(const char *s, size_t n)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return n > 0 && n <= 100 && strspn(s, ok) >= n && strspn(s, ".") < n;
}

bool
config_repository_ok(const char *repository)
{
	const char *slash = strchr(repository, '/');

	return slash && repository_part_ok(repository, (size_t)(slash - repository)) &&
	    repository_part_ok(slash + 1, strlen(slash + 1));
}

static bool
repositories_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	struct config_repositories *repositories = at;

	if (repositories->n == CONFIG_MAX_REPOSITORIES || !config_repository_ok(text) ||
	    !text_put(r, k, text, &repositories->v[repositories->n]))
		return false;
	repositories->n++;
	return true;
}

static void
repositories_clear(void *at)
{
	struct config_repositories *repositories = at;

	while (repositories->n)
		text_clear(&repositories->v[--repositories->n]);
}

static void
repositories_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of repositories (owner/name)");
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
units_put(const struct config_key *k, const struct unit *units, const char *text, void *at)
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
int_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, plain_units, text, at);
}

static void
int_expect(const struct config_key *k, struct buf *out)
{
	buf_addf(out, "a whole number from %lld to %lld", (long long)k->min, (long long)k->max);
}

static bool
bytes_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, byte_units, text, at);
}

static void
range_expect(const struct config_key *k, const char *what, const struct unit *units, struct buf *out)
{
	buf_addf(out, "%s from ", what);
	units_add(out, units, k->min);
	buf_adds(out, " to ");
	units_add(out, units, k->max);
}

static void
bytes_expect(const struct config_key *k, struct buf *out)
{
	range_expect(k, "a size (bytes, KiB, MiB, GiB)", byte_units, out);
}

static bool
time_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	(void)r;
	return units_put(k, time_units, text, at);
}

static void
time_expect(const struct config_key *k, struct buf *out)
{
	range_expect(k, "a time (45s, 30m, 24h, 7d)", time_units, out);
}

static const struct unit rate_units[] = { { "/s", 1000000 }, { "/m", 60000000 }, { "/h", 3600000000 }, { NULL, 0 } };

/* Kept as the time for one, rounded up: never more than was said. */
static bool
rate_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	int64_t n;

	(void)r;
	if (!number_parse(text, &text, &n) || n < k->min || n > k->max)
		return false;
	for (const struct unit *u = rate_units; u->name; u++)
		if (strcmp(u->name, text) == 0) {
			*(int64_t *)at = (u->factor + n - 1) / n;
			return true;
		}
	return false;
}

static void
rate_expect(const struct config_key *k, struct buf *out)
{
	buf_addf(out, "a rate (10/s, 30/m, 100/h) of %lld to %lld", (long long)k->min, (long long)k->max);
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
brokers_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
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
brokers_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of host:port or mqtts://host:port");
}

bool
config_variable_ok(const char *s)
{
	return (isalpha((unsigned char)*s) || *s == '_') &&
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool
variable_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	return config_variable_ok(text) && text_put(r, k, text, at);
}

static void
variable_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "the name of an environment variable");
}

static bool
signers_put(const struct config_reader *r, const struct config_key *k, const char *text, void *at)
{
	struct config_signers *signers = at;

	(void)r;
	(void)k;
	if (signers->n == CONFIG_MAX_SIGNERS || sign_public_parse(&signers->v[signers->n], text, NULL))
		return false;
	signers->n++;
	return true;
}

static void
signers_clear(void *at)
{
	((struct config_signers *)at)->n = 0;
}

static void
signers_expect(const struct config_key *k, struct buf *out)
{
	(void)k;
	buf_adds(out, "a list of public keys (ed25519:<base64 of 32 bytes>)");
}

#define TYPE(sym, type, list, stem, clear) \
	const struct config_type sym = { type, list, stem##_put, clear, stem##_expect }
TYPE(TYPE_TEXT, "text", false, text, text_clear);
TYPE(TYPE_CHOICE, "word", false, choice, text_clear);
TYPE(TYPE_URL, "URL", false, url, text_clear);
TYPE(TYPE_URLS, "list of URLs", true, urls, urls_clear);
TYPE(TYPE_LISTEN, "address", false, listen, text_clear);
TYPE(TYPE_SSH, "destination", false, ssh, text_clear);
TYPE(TYPE_ADDRESS, "host", false, address, text_clear);
TYPE(TYPE_PATH, "path", false, path, text_clear);
TYPE(TYPE_PATHS, "list of paths", true, paths, paths_clear);
TYPE(TYPE_TEXTS, "list of texts", true, texts, texts_clear);
TYPE(TYPE_NAME, "name", false, name, NULL);
TYPE(TYPE_NAMES, "list of names", true, names, names_clear);
TYPE(TYPE_INT, "number", false, int, NULL);
TYPE(TYPE_BYTES, "size", false, bytes, NULL);
TYPE(TYPE_TIME, "time", false, time, NULL);
TYPE(TYPE_RATE, "rate", false, rate, NULL);
TYPE(TYPE_REPOSITORIES, "list of repositories", true, repositories, repositories_clear);
TYPE(TYPE_BROKERS, "list of brokers", true, brokers, brokers_clear);
TYPE(TYPE_SIGNERS, "list of keys", true, signers, signers_clear);
TYPE(TYPE_VARIABLE, "variable name", false, variable, text_clear);

