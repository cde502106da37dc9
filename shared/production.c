#include "production.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "err.h"

#define BASE_MAX 4096

/* Paths. Either may lie beneath the other: who changes all of /srv changes /srv/www. */

static bool
is_beneath(const char *path, const char *above, size_t len)
{
	while (len && above[len - 1] == '/')
		len--;
	return strncmp(path, above, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool
paths_meet(const char *a, const char *b)
{
	return is_beneath(a, b, strlen(b)) || is_beneath(b, a, strlen(a));
}

/* A repository or ref may be somebody else's, with an address for a name. */
static bool
is_on_disk(const char *kind, const char *name)
{
	return strcmp(kind, "path") == 0 || (name[0] == '/' && (strcmp(kind, "repo") == 0 || strcmp(kind, "ref") == 0));
}

/* What a ref is one of; everything else as it is. In doubt, because it is too long, false. */
static bool
base_of(const char *kind, const char *name, char out[BASE_MAX])
{
	const char *branch = strcmp(kind, "ref") == 0 ? strrchr(name, '#') : NULL;
	size_t len = branch ? (size_t)(branch - name) : strlen(name);

	if (len >= BASE_MAX)
		return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return true;
}

static bool
path_covers(const char *place, const char *kind, const char *name)
{
	char base[BASE_MAX];

	return is_on_disk(kind, name) && (!base_of(kind, name, base) || paths_meet(base, place));
}

static bool
path_ok(const char *p)
{
	size_t len = strlen(p);

	if (p[0] != '/' || (len > 1 && p[len - 1] == '/') || strstr(p, "//"))
		return false;
	for (const char *at = p; (at = strstr(at, "/.")); at += 2)
		if (at[2] == '/' || at[2] == '\0' || (at[2] == '.' && (at[3] == '/' || at[3] == '\0')))
			return false;
	return true;
}

/* Services */

static size_t
service_len(const char *name)
{
	size_t len = strlen(name);

	return len > 8 && strcmp(name + len - 8, ".service") == 0 ? len - 8 : len;
}

static bool
service_covers(const char *place, const char *kind, const char *name)
{
	size_t len = service_len(place);

	return strcmp(kind, "service") == 0 && service_len(name) == len && memcmp(name, place, len) == 0;
}

static bool
service_ok(const char *p)
{
	return *p && !strpbrk(p, "/ ");
}

/* Addresses. Their parts, without user and standard port, so that one cannot be written in two ways. http or
 * https is no difference: behind both is one server. */

struct url {
	const char *host, *port, *path;
	size_t host_len, port_len;
	bool tls;
};

static void
port_drop_standard(struct url *u)
{
	const char *standard = u->tls ? "443" : "80";

	while (u->port_len > 1 && *u->port == '0') {
		u->port++;
		u->port_len--;
	}
	if (u->port_len == strlen(standard) && memcmp(u->port, standard, u->port_len) == 0)
		u->port_len = 0;
}

static bool
url_parse(const char *text, struct url *u)
{
	const char *end, *at = strstr(text, "://");

	if (!at)
		return false;
	*u = (struct url){ .host = at + 3, .tls = at - text == 5 };
	u->path = u->host + strcspn(u->host, "/?#\\");
	for (end = u->host; end < u->path; end++)
		if (*end == '@')
			u->host = end + 1;
	end = *u->host == '[' ? memchr(u->host, ']', (size_t)(u->path - u->host)) : u->host;
	end = end ? memchr(end, ':', (size_t)(u->path - end)) : NULL;
	u->port = end ? end + 1 : u->path;
	u->port_len = (size_t)(u->path - u->port);
	u->host_len = (size_t)((end ? end : u->path) - u->host);
	if (u->host_len && u->host[u->host_len - 1] == '.')
		u->host_len--;
	port_drop_standard(u);
	return u->host_len > 0;
}

static bool
same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* A path that a server may take for another one. */
static bool
is_ambiguous(const char *path)
{
	size_t len = strcspn(path, "?#");

	for (size_t i = 0; i < len; i++)
		if (path[i] == '%' || path[i] == '\\' || (path[i] == '/' && (path[i + 1] == '.' || path[i + 1] == '/')))
			return true;
	return false;
}

/* A repository has the same address with ".git" at its end. */
static size_t
path_len(const char *path)
{
	size_t len = strcspn(path, "?#");

	while (len && path[len - 1] == '/')
		len--;
	return len > 4 && memcmp(path + len - 4, ".git", 4) == 0 ? len - 4 : len;
}

static bool
urls_meet(const char *place, const char *name)
{
	struct url p, u;
	size_t len, of;

	if (!url_parse(place, &p) || !url_parse(name, &u))
		return true;
	if (!same_text(p.host, p.host_len, u.host, u.host_len) || !same_text(p.port, p.port_len, u.port, u.port_len))
		return false;
	len = path_len(p.path);
	of = path_len(u.path);
	if (len == 0 || is_ambiguous(u.path))
		return true;
	return of >= len && memcmp(u.path, p.path, len) == 0 && (of == len || u.path[len] == '/');
}

static bool
url_covers(const char *place, const char *kind, const char *name)
{
	char base[BASE_MAX];

	if (strcmp(kind, "service") == 0 || is_on_disk(kind, name))
		return false;
	return !base_of(kind, name, base) || urls_meet(place, base);
}

static bool
url_ok(const char *p)
{
	struct url u;

	if ((strncmp(p, "http://", 7) != 0 && strncmp(p, "https://", 8) != 0 && strncmp(p, "ssh://", 6) != 0) || strpbrk(p, "@?# \\") || !url_parse(p, &u))
		return false;
	return !is_ambiguous(u.path);
}

static const struct place {
	const char *prefix, *expected;
	bool (*ok)(const char *rest);
	bool (*covers)(const char *rest, const char *kind, const char *name);
} places[] = {
	{ "path:", "an absolute path without . or .. in it and without / at its end", path_ok, path_covers },
	{ "repo:", "the absolute path of a repository", path_ok, path_covers },
	{ "service:", "the name of a service", service_ok, service_covers },
	{ "url:", "an http, https or ssh address without user, query or fragment", url_ok, url_covers },
};

static const struct place *
place_find(const char *text, const char **rest)
{
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		size_t n = strlen(places[i].prefix);

		if (strncmp(text, places[i].prefix, n) == 0) {
			*rest = text + n;
			return &places[i];
		}
	}
	return NULL;
}

int
production_check(const char *text, struct err *e)
{
	const char *rest;
	const struct place *p = place_find(text, &rest);

	if (strlen(text) > PRODUCTION_MAX)
		return err_field(e, ERR_TOO_BIG, "production", NULL, "at most %d bytes a place", PRODUCTION_MAX);
	if (!p)
		return err_field(e, ERR_INVALID, "production", text, "path:, repo:, service: or url: and what it is");
	if (!p->ok(rest))
		return err_field(e, ERR_INVALID, "production", text, "%s%s", p->prefix, p->expected);
	return 0;
}

bool
production_covers(const char *place, const char *kind, const char *name)
{
	const char *rest;
	const struct place *p = place_find(place, &rest);

	return !p || p->covers(rest, kind, name);
}
