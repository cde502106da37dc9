#include "triage.h"

#include <string.h>

/* What each role is for, and which tools speak for it. A tool that ends in '*' stands for all that begin so. */
static const struct rule {
	const char *tool;
	const char *role;
	const char *why;
} rules[] = {
	{ "git_status",      "archivist",         "reading a repository is the archivist's" },
	{ "git_log",         "archivist",         "reading a repository is the archivist's" },
	{ "git_diff",        "archivist",         "reading a repository is the archivist's" },
	{ "git_branch_list", "archivist",         "reading a repository is the archivist's" },
	{ "file_write",      "artificer",         "making things is the artificer's" },
	{ "file_*",          "archivist",         "reading files is the archivist's" },
	{ "git_*",           "artificer",         "changing a repository is the artificer's" },
	{ "deploy*",         "artificer",         "making things is the artificer's" },
	{ "service_control", "artificer",         "changing a service is the artificer's" },
	{ "http_*",          "tempo-and-dispatch", "the network is the dispatcher's" },
	{ "port_check",      "tempo-and-dispatch", "the network is the dispatcher's" },
	{ "gitea_*",         "tempo-and-dispatch", "the network is the dispatcher's" },
	{ "hermes_*",        "tempo-and-dispatch", "the network is the dispatcher's" },
};

static bool
matches(const char *pattern, const char *tool)
{
	size_t n = strcspn(pattern, "*");

	return pattern[n] ? strncmp(pattern, tool, n) == 0 : strcmp(pattern, tool) == 0;
}

static const struct config_house *
house_with_role(const struct config *c, const char *role)
{
	for (size_t i = 0; i < c->nhouses; i++)
		if (c->houses[i].role && strcmp(c->houses[i].role, role) == 0)
			return &c->houses[i];
	return NULL;
}

/* "/srv/ezra/site" has the part "ezra", not the first. */
static bool
has_part(const char *path, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = path; (p = strchr(p, '/'));)
		if (strncmp(++p, name, n) == 0 && (p[n] == '/' || !p[n]))
			return true;
	return false;
}

/* A path that lies beneath a directory named like a house is that house's. */
static const struct config_house *
house_of_path(const struct config *c, const cJSON *params)
{
	static const char *const names[] = { "repo_path", "path", "directory", NULL };

	for (const char *const *p = names; *p; p++) {
		const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, *p));

		for (size_t i = 0; path && i < c->nhouses; i++) {
			if (has_part(path, c->houses[i].name))
				return &c->houses[i];
		}
	}
	return NULL;
}

const struct config_house *
triage(const struct config *c, const char *tool, const cJSON *params, const char **why)
{
	const struct config_house *h = house_of_path(c, params);

	*why = "its path names the house";
	if (h)
		return h;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (matches(rules[i].tool, tool) && (h = house_with_role(c, rules[i].role))) {
			*why = rules[i].why;
			return h;
		}
	return NULL;
}

const struct config_house *
triage_evenly(const struct config *c, uint64_t hash)
{
	return c->nhouses ? &c->houses[hash % c->nhouses] : NULL;
}
