/*
 * acl.c - may somebody publish this? Asked of the access list itself that `uni-wizard broker config` writes for
 * a real broker; what was allowed once is remembered.
 */
#include "sim.h"

#include "broker.h"
#include "buf.h"

#define ALLOWED_BUCKETS 1024

struct rule {
	char user[NAME_MAX_LEN + 1];
	char *filter;
	struct rule *next;
};

struct allowed {
	char *name, *topic;
	struct allowed *next;
};

struct acl {
	struct rule *rules;
	struct allowed *allowed[ALLOWED_BUCKETS];
};

static void
add_rule(struct acl *a, const char *user, const char *filter)
{
	struct rule *r = xcalloc(1, sizeof *r);

	snprintf(r->user, sizeof r->user, "%s", user);
	r->filter = xstrdup(filter);
	r->next = a->rules;
	a->rules = r;
}

/* "user NAME", then its "topic read|write FILTER". */
static void
read_rules(struct acl *a, char *text)
{
	char user[NAME_MAX_LEN + 1] = "", *save;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "user ", 5) == 0)
			snprintf(user, sizeof user, "%.*s", NAME_MAX_LEN, line + 5);
		else if (strncmp(line, "topic write ", 12) == 0)
			add_rule(a, user, line + 12);
		else if (strncmp(line, "topic readwrite ", 16) == 0)
			add_rule(a, user, line + 16);
	}
}

struct acl *
acl_new(const struct config *c)
{
	struct acl *a = xcalloc(1, sizeof *a);
	struct buf b = { 0 };

	broker_acl_put(&b, c);
	read_rules(a, b.data);
	buf_free(&b);
	return a;
}

void
acl_free(struct acl *a)
{
	void *next;

	for (struct rule *r = a->rules; r; r = next) {
		next = r->next;
		free(r->filter);
		free(r);
	}
	for (int i = 0; i < ALLOWED_BUCKETS; i++)
		for (struct allowed *x = a->allowed[i]; x; x = next) {
			next = x->next;
			free(x->name);
			free(x->topic);
			free(x);
		}
	free(a);
}

static unsigned
bucket(const char *name, const char *topic)
{
	unsigned h = 5381;

	while (*name)
		h = h * 33 ^ (unsigned char)*name++;
	while (*topic)
		h = h * 33 ^ (unsigned char)*topic++;
	return h % ALLOWED_BUCKETS;
}

static bool
ask_rules(const struct acl *a, const char *name, const char *topic)
{
	for (const struct rule *r = a->rules; r; r = r->next)
		if (strcmp(r->user, name) == 0 && topic_matches(r->filter, topic))
			return true;
	return false;
}

bool
acl_may_publish(struct acl *a, const char *name, const char *topic)
{
	unsigned i = bucket(name, topic);
	struct allowed *x = a->allowed[i];

	while (x && (strcmp(x->topic, topic) != 0 || strcmp(x->name, name) != 0))
		x = x->next;
	if (x)
		return true;
	if (!ask_rules(a, name, topic))
		return false;
	x = xcalloc(1, sizeof *x);
	x->name = xstrdup(name);
	x->topic = xstrdup(topic);
	x->next = a->allowed[i];
	a->allowed[i] = x;
	return true;
}
