/*
 * cmd_dashboard.c - dashboard: a link that opens the page of an agent on this host, signed in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "json.h"

#define ADDRESS_MAX 160

/* state/<agent>.http is written by the agent when it listens. */
static bool
read_address(const struct config *c, const char *agent, char address[ADDRESS_MAX])
{
	char path[512];
	FILE *f;
	bool got;

	snprintf(path, sizeof path, "%s/%s.http", c->state_dir, agent);
	f = fopen(path, "re");
	got = f && fgets(address, ADDRESS_MAX, f);
	if (f)
		fclose(f);
	if (got)
		address[strcspn(address, "\n")] = '\0';
	return got;
}

/* The named one, or the first in the file's order that listens here. NULL: none does. */
static const char *
choose(const struct config *c, const char *named, config_name *names, char address[ADDRESS_MAX])
{
	size_t n = config_voters(c, names, CONFIG_MAX_VOTERS);

	for (size_t i = 0; i < n; i++)
		if ((!named || strcmp(named, names[i]) == 0) && read_address(c, names[i], address))
			return names[i];
	return NULL;
}

/* In the fragment, which a browser sends to nobody. */
static void
put_link(struct buf *b, const char *address, const char *token)
{
	buf_addf(b, "%s/#token=", address);
	for (const unsigned char *p = (const unsigned char *)token; *p; p++)
		buf_addf(b, strchr("-._~", *p) || (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') ? "%c" : "%%%02X", *p);
}

static int
show(const struct cmd_args *a, const struct config *c, const char *agent, const char *address)
{
	const struct config_house *home = config_home(c, agent);
	struct buf link = { 0 }, b = { 0 };

	if (!home || !home->auth_token || !home->auth_token[0])
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s answers at %s, but its house has no token; set houses.%s.auth_token and restart it",
		    agent, address, home ? home->name : "<house>");
	put_link(&link, address, home->auth_token);
	json_put_open(&b, '{');
	json_kv_str(&b, "agent", agent);
	json_kv_str(&b, "address", address);
	json_kv_str(&b, "link", buf_str(&link));
	json_put_close(&b, '}');
	puts(buf_str(a->json ? &b : &link));
	buf_free(&link);
	buf_free(&b);
	return EXIT_OK;
}

static int
dashboard_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	config_name *names = xcalloc(CONFIG_MAX_VOTERS, sizeof *names);
	const char *named = cmd_text(a, "agent", NULL), *agent;
	char address[ADDRESS_MAX];
	int rc = cmd_config(a, c);

	if (!rc) {
		agent = choose(c, named, names, address);
		rc = agent ? show(a, c, agent, address) : cmd_fail(EXIT_NOT_SUCCEEDED,
		    "%s on this host answers HTTP: there is no %s/%s.http; is it running?", named ? named : "no agent", c->state_dir,
		    named ? named : "<agent>");
		config_release(c);
	}
	free(names);
	free(c);
	return rc;
}

const struct cmd cmd_dashboard = {
	.name = "dashboard",
	.help = "Print a link to the dashboard of an agent on this host",
	.more = "Open it in a browser: whoever has the link is signed in with the auth_token of the agent's house, and may do\n"
	        "what that token allows. The token is behind the #, which browsers send to nobody.",
	.opts = (const struct cmd_opt[]){
		{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .help = "That agent's, not the first one's that listens here", .complete = "agents" },
		{ .name = NULL },
	},
	.flags = CMD_JSON,
	.run = dashboard_run,
};
