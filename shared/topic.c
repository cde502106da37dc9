#include "topic.h"

#include <stdio.h>
#include <string.h>

#include "err.h"

const struct topic_def topics[TOPIC_COUNT] = {
#define X(sym, scope, kind, qos, retained, writer, reader, what) \
	[sym] = { scope, kind, qos, retained, writer, reader, what },
	TOPICS(X)
#undef X
};

bool
name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= NAME_MAX_LEN && !name[n] && name[0] != '-';
}

void
topic_format(char *out, const char *cluster, enum topic_kind kind, const char *name, const char *id)
{
	snprintf(out, TOPIC_MAX, "uw/%s/%s/%s/%s/%s", cluster, topics[kind].scope, name, topics[kind].kind, id);
}

/* Copies one level and returns what follows its '/', NULL if there is no such level. */
static const char *
level(const char *p, char *out, size_t size, bool last)
{
	size_t n = strcspn(p, "/");

	if (n == 0 || n >= size || (p[n] == '\0') != last)
		return NULL;
	memcpy(out, p, n);
	out[n] = '\0';
	return p + n + !last;
}

int
topic_parse(const char *text, const char *cluster, struct topic *t, struct err *e)
{
	char root[4], ours[NAME_MAX_LEN + 1], scope[16], kind[16];
	const char *p = text;

	if (!(p = level(p, root, sizeof root, false)) || strcmp(root, "uw") != 0 ||
	    !(p = level(p, ours, sizeof ours, false)) || strcmp(ours, cluster) != 0 ||
	    !(p = level(p, scope, sizeof scope, false)) ||
	    !(p = level(p, t->name, sizeof t->name, false)) ||
	    !(p = level(p, kind, sizeof kind, false)) || !level(p, t->id, sizeof t->id, true))
		return err_set(e, ERR_PARSE, "topic %.100s is not uw/%s/<scope>/<name>/<kind>/<id>", text, cluster);
	for (int i = 0; i < TOPIC_COUNT; i++)
		if (strcmp(topics[i].scope, scope) == 0 && strcmp(topics[i].kind, kind) == 0) {
			t->kind = (enum topic_kind)i;
			return 0;
		}
	return err_set(e, ERR_PARSE, "topic %.100s: no such kind", text);
}
