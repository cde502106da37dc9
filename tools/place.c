#include "place.h"

#include <ctype.h>
#include <strings.h>

#include "err.h"
#include "spot.h"

#define HOST_CHARS "-._~:[]"

static const struct {
	const char *scheme, *port;
} usual_ports[] = {
	{ "http", "80" }, { "https", "443" }, { "ssh", "22" }, { "git", "9418" }, { "ftp", "21" },
};

static bool
is_usual_port(const char *scheme, const char *port, size_t len)
{
	for (size_t i = 0; i < sizeof usual_ports / sizeof *usual_ports; i++)
		if (strcmp(usual_ports[i].scheme, scheme) == 0)
			return strlen(usual_ports[i].port) == len && strncmp(usual_ports[i].port, port, len) == 0;
	return false;
}

static void
add_lower(struct buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_addc(b, (char)tolower((unsigned char)s[i]));
}

/* "host", "host:port", "[::1]:port" */
static void
add_host(struct buf *b, const char *scheme, const char *host, size_t len)
{
	const char *from = host[0] == '[' ? memchr(host, ']', len) : host;
	const char *colon = from ? memchr(from, ':', (size_t)(host + len - from)) : NULL;
	size_t name = colon ? (size_t)(colon - host) : len, port = len - name;

	while (name && host[name - 1] == '.')
		name--;
	add_lower(b, host, name);
	while (port > 2 && colon[1] == '0')
		colon++, port--;
	if (port > 1 && !is_usual_port(scheme, colon + 1, port - 1)) {
		buf_addc(b, ':');
		buf_add(b, colon + 1, port - 1);
	}
}

/* What a server may take for a plain character is written as one. */
static void
decode(struct buf *out, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char hex[3] = { 0 };
		long c;

		if (p[i] == '%' && i + 2 < len && isxdigit((unsigned char)p[i + 1]) &&
		    isxdigit((unsigned char)p[i + 2])) {
			memcpy(hex, p + i + 1, 2);
			c = strtol(hex, NULL, 16);
			if (c > 0x20 && c < 0x7f && !strchr("%?#", (int)c))
				buf_addc(out, c == '\\' ? '/' : (char)c);
			else
				buf_addf(out, "%%%02lx", (unsigned long)c);
			i += 2;
			continue;
		}
		buf_addc(out, p[i] == '\\' ? '/' : p[i]);
	}
}

/* Without ".", ".." and doubled slashes. root is where it begins in b. */
static void
add_path(struct buf *b, const char *path)
{
	size_t root = b->len;

	for (size_t n; *path; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (b->len > root && b->data[b->len - 1] != '/')
				buf_cut(b, b->len - 1);
			if (b->len > root)
				buf_cut(b, b->len - 1);
		} else if (n && !(n == 1 && path[0] == '.')) {
			buf_addc(b, '/');
			buf_add(b, path, n);
		}
	}
	if (b->len == root)
		buf_addc(b, '/');
}

static char *
put_url(const char *scheme, const char *host, size_t host_len, const char *path)
{
	const char *user = host;
	struct buf b = { .max = 16384 }, plain = { .max = 16384 };

	for (size_t i = 0; i < host_len; i++)
		if (host[i] == '@')
			user = host + i + 1;
	for (const char *p = user; p < host + host_len; p++)
		if (!isalnum((unsigned char)*p) && !strchr(HOST_CHARS, *p) && (unsigned char)*p < 0x80)
			return NULL;
	buf_addf(&b, "%s://", scheme);
	add_host(&b, scheme, user, (size_t)(host + host_len - user));
	decode(&plain, path, strcspn(path, "?#"));
	add_path(&b, buf_str(&plain));
	buf_free(&plain);
	if (b.full || !b.len || strchr(":/", b.data[strlen(scheme) + 3])) {
		buf_free(&b);
		return NULL;
	}
	return buf_take(&b);
}

char *
place_url(const char *url)
{
	const char *sep = strstr(url, "://"), *host = sep ? sep + 3 : url;
	size_t n = sep ? strcspn(host, "/?#\\") : strcspn(host, ":");
	char scheme[16];

	if (!sep)
		return host[n] == ':' && !memchr(host, '/', n) ? put_url("ssh", host, n, host + n + 1) : NULL;
	if (sep == url || (size_t)(sep - url) >= sizeof scheme)
		return NULL;
	for (size_t i = 0; i <= (size_t)(sep - url); i++)
		scheme[i] = i < (size_t)(sep - url) ? (char)tolower((unsigned char)url[i]) : '\0';
	return put_url(scheme, host, n, host + n);
}

void
place_unit(const char *unit, char *out, size_t size)
{
	static const char *const types[] = {
		".service", ".socket", ".timer", ".path", ".mount", ".automount", ".swap", ".target", ".slice",
		".scope", ".device",
	};
	const char *dot = strrchr(unit, '.');

	for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++) {
		if (strcmp(dot, types[i]) == 0) {
			snprintf(out, size, "%s", unit);
			return;
		}
	}
#ifdef __APPLE__
	snprintf(out, size, "%s", unit);
#else
	snprintf(out, size, "%s.service", unit);
#endif
}

/* One place, or one thing that is touched, ready to be compared. */
struct thing {
	enum plan_kind kind;
	char *name;
	bool on_disk;
	struct spot spot;
	struct buf links;       /* of a place: those that lead to it, each ended by NUL */
};

static void
thing_release(struct thing *t)
{
	free(t->name);
	buf_free(&t->links);
	if (t->on_disk)
		spot_release(&t->spot);
}

static int
no_place(const char *text, struct err *e)
{
	return err_set(e, ERR_DENIED, "\"%.200s\" is marked as production, and where it is cannot be told: "
	    "nothing is run", text);
}

static int
thing_locate(struct thing *t, const struct buf *mounts)
{
	t->on_disk = true;
	return spot_find(&t->spot, t->name, mounts);
}

static char *
unit_name(const char *unit)
{
	char name[300];

	place_unit(unit, name, sizeof name);
	return xstrdup(name);
}

static int
place_parse(struct thing *t, const char *text, const struct buf *mounts, struct err *e)
{
	size_t n = strcspn(text, ":");
	const char *name = text[n] ? text + n + 1 : "";
	char kind[16] = "";

	*t = (struct thing){ .kind = PLAN_REF };
	if (n < sizeof kind)
		snprintf(kind, sizeof kind, "%.*s", (int)n, text);
	if (!*name || plan_kind_parse(kind, &t->kind) || t->kind == PLAN_REF)
		return no_place(text, e);
	switch (t->kind) {
	case PLAN_PATH:
	case PLAN_REPO:
		t->name = spot_resolve_links(name, &t->links);
		return t->name && thing_locate(t, mounts) == 0 ? 0 : no_place(text, e);
	case PLAN_URL:
		t->name = place_url(name);
		return t->name ? 0 : no_place(text, e);
	case PLAN_SERVICE:
		t->name = unit_name(name);
		return 0;
	case PLAN_REF:
	case PLAN_NKINDS:
		break;
	}
	return no_place(text, e);
}

/* Names in plans are resolved already. */
static int
touch_locate(struct thing *t, const struct touch *from, const struct buf *mounts, struct err *e)
{
	*t = (struct thing){ .kind = from->kind, .name = xstrndup(from->name, from->base) };
	if (from->name[0] != '/' || from->kind == PLAN_URL || from->kind == PLAN_SERVICE)
		return 0;
	return thing_locate(t, mounts) ? err_set(e, ERR_DENIED, "where %s is cannot be told: nothing is run",
	    t->name) : 0;
}

/* One server is reached by several schemes, and a repository with or without ".git": host and path count. */
static const char *
address(const char *url, size_t *len)
{
	const char *sep = strstr(url, "://"), *at = sep ? sep + 3 : url;

	*len = strlen(at);
	if (*len > 4 && strcmp(at + *len - 4, ".git") == 0)
		*len -= 4;
	return at;
}

static bool
url_covers(const char *place, const char *url)
{
	size_t n, m;
	const char *a = address(place, &n), *b = address(url, &m);

	return strcmp(url, PLACE_ANY_URL) == 0 || spot_holds(a, n, b, m);
}

/* Who changes a link changes what is found at its name. */
static bool
leads_through(const struct thing *place, const struct thing *t)
{
	const char *link = buf_str(&place->links), *end = link + place->links.len;

	for (; link < end; link += strlen(link) + 1)
		if (spot_holds(t->name, strlen(t->name), link, strlen(link)))
			return true;
	return false;
}

static bool
covers(const struct thing *place, const struct thing *t)
{
	if (place->on_disk || t->on_disk)
		return place->on_disk && t->on_disk &&
		    (spot_overlap(&place->spot, &t->spot) || leads_through(place, t));
	if (place->kind == PLAN_SERVICE || t->kind == PLAN_SERVICE)
		return place->kind == t->kind && strcmp(place->name, t->name) == 0;
	return url_covers(place->name, t->name);
}

static const struct touch *
first_in(const struct thing *place, const struct thing *things, const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].access == PLAN_WRITES && covers(place, &things[i]))
			return &p->v[i];
	return NULL;
}

int
place_find(const char *const *places, size_t n, const struct plan *p, const struct touch **touch,
    const char **place, struct err *e)
{
	struct thing *things = xcalloc(p->n, sizeof *things);
	struct buf mounts = { 0 };
	int rc = 0;

	*touch = NULL;
	spot_mounts(&mounts);
	for (size_t i = 0; rc == 0 && i < p->n; i++)
		rc = touch_locate(&things[i], &p->v[i], &mounts, e);
	for (size_t i = 0; rc == 0 && !*touch && i < n; i++) {
		struct thing t;

		rc = place_parse(&t, places[i], &mounts, e);
		if (rc == 0 && (*touch = first_in(&t, things, p)))
			*place = places[i];
		thing_release(&t);
	}
	for (size_t i = 0; i < p->n; i++)
		thing_release(&things[i]);
	free(things);
	buf_free(&mounts);
	return rc;
}
