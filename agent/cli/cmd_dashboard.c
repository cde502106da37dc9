/*
 * cmd_dashboard.c - dashboard: a link that opens the page of an agent on this host, signed in; and, with the sovereign's key,
 * one with which the page can have decisions signed here.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>

#include "approver.h"
#include "clock.h"
#include "edict.h"
#include "json.h"

#define ADDRESS_MAX 160
#define DOOR_MAX 300
#define SESSION_DEFAULT "8h"
#define SESSION_MAX_MS (INT64_C(24) * 3600000)

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
put_part(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "%s%s=", strchr(buf_str(b), '#') ? "&" : "/#", name);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		buf_addf(b, strchr("-._~:", *p) || (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') ? "%c" : "%%%02X", *p);
}

/* ---- the link, signed in ---- */

struct page {
	const char *agent;              /* NULL: none is named */
	const char *token;              /* NULL: it is to be typed in the page */
	char address[ADDRESS_MAX];
};

static int
show(const struct cmd_args *a, const struct page *p)
{
	struct buf link = { 0 }, b = { 0 };

	if (!p->token)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s answers at %s, but its house has no token; set houses.<house>.auth_token and restart it",
		    p->agent ? p->agent : "it", p->address);
	buf_adds(&link, p->address);
	put_part(&link, "token", p->token);
	json_put_open(&b, '{');
	json_kv_str(&b, "agent", p->agent);
	json_kv_str(&b, "address", p->address);
	json_kv_str(&b, "link", buf_str(&link));
	json_put_close(&b, '}');
	puts(buf_str(a->json ? &b : &link));
	buf_free(&link);
	buf_free(&b);
	return EXIT_OK;
}

/* ---- the link with which decisions are signed here ---- */

/* A file of ours that leads to it: in a command's words everybody on this machine could read it. */
static int
write_door(char path[DOOR_MAX], const char *link)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int fd;
	FILE *f;

	snprintf(path, DOOR_MAX, "%.200s/uni-wizard-XXXXXX.html", dir && *dir == '/' ? dir : "/tmp");
	fd = mkstemps(path, 5);
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "--open: %s: %s", path, strerror(errno));
	fprintf(f, "<!doctype html><meta charset=utf-8><title>Uni-Wizard</title><script>location.replace(\"%s\")</script>\n", link);
	return fclose(f) ? cmd_fail(EXIT_NOT_SUCCEEDED, "--open: %s: %s", path, strerror(errno)) : 0;
}

/* It is not waited for: some openers stay as long as the browser does. Ctrl-C is for us alone. */
static void
open_door(char path[DOOR_MAX])
{
#ifdef __APPLE__
	char opener[] = "open";
#else
	char opener[] = "xdg-open";
#endif
	extern char **environ;
	char *argv[] = { opener, path, NULL };
	posix_spawnattr_t attr;
	sigset_t usual;
	pid_t pid;
	int rc;

	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawnp(&pid, opener, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc)
		cmd_fail(EXIT_NOT_SUCCEEDED, "--open: %s: %s; open the link yourself", opener, strerror(rc));
}

static void
tell(const struct cmd_args *a, const struct approver *s, const char *origin, const char *link)
{
	struct buf b = { 0 };
	char until[32];

	clock_format(approver_until_ms(s), until, sizeof until);
	json_put_open(&b, '{');
	json_kv_str(&b, "link", link);
	json_kv_str(&b, "origin", origin);
	json_kv_str(&b, "sovereign", approver_name(s));
	json_kv_str(&b, "key", approver_key_id(s));
	json_kv_str(&b, "until", until);
	json_put_close(&b, '}');
	if (a->json)
		puts(buf_str(&b));
	else
		printf("%s\n\nWhoever has this link can approve and deny as %s until %.19s UTC: it signs with the key %s here,\n"
		    "for the page at %s alone. Every decision is told here. Ctrl-C ends it.\n\n", link, approver_name(s), until,
		    approver_key_id(s), origin);
	fflush(stdout);
	buf_free(&b);
}

static int
serve(const struct cmd_args *a, const struct page *p, struct approver *s, const char *origin)
{
	struct buf link = { 0 }, signer = { 0 };
	char door[DOOR_MAX] = "";
	int rc = 0;

	approver_put(s, &signer);
	buf_adds(&link, origin);
	if (p->token)
		put_part(&link, "token", p->token);
	put_part(&link, "signer", buf_str(&signer));
	tell(a, s, origin, buf_str(&link));
	if (cmd_flag(a, "open") && !(rc = write_door(door, buf_str(&link))))
		open_door(door);
	buf_free(&signer);
	buf_free(&link);
	if (!rc)
		approver_run(s);
	if (*door)
		unlink(door);
	return rc;
}

static int
approve(const struct cmd_args *a, const struct page *p)
{
	const char *text = cmd_text(a, "session", SESSION_DEFAULT);
	int64_t session = duration_ms(text);
	char origin[APPROVER_ORIGIN];
	struct approver *s;
	struct err e;
	int rc;

	if (session <= 0 || session > SESSION_MAX_MS)
		return cmd_fail(EXIT_USAGE, "--session: expected a time such as 30m or 8h, at most 24h, got \"%.40s\"", text);
	if (approver_origin(origin, p->address, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	rc = approver_open(&s, a, origin, (int)cmd_int(a, "port", 0), session);
	if (rc)
		return rc;
	rc = serve(a, p, s, origin);
	approver_close(s);
	if (!a->json)
		puts("The key is forgotten.");
	return rc;
}

/* ---- the command ---- */

static int
find_page(const struct cmd_args *a, const struct config *c, config_name *names, struct page *p)
{
	const char *url = cmd_text(a, "url", NULL);
	const struct config_house *home;

	p->agent = cmd_text(a, "agent", NULL);
	if (url)
		snprintf(p->address, sizeof p->address, "%s", url);
	else if (!(p->agent = choose(c, p->agent, names, p->address)))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s on this host answers HTTP: there is no %s/%s.http; is it running?",
		    cmd_text(a, "agent", "no agent"), c->state_dir, cmd_text(a, "agent", "<agent>"));
	home = p->agent ? config_home(c, p->agent) : NULL;
	if (home && home->auth_token && home->auth_token[0])
		p->token = home->auth_token;
	return 0;
}

static int
check_options(const struct cmd_args *a)
{
	static const char *const needing[] = { "session", "port", "url", "open", "passphrase-file" };

	for (size_t i = 0; i < sizeof needing / sizeof *needing; i++)
		if (cmd_flag(a, needing[i]) && !cmd_flag(a, "approve"))
			return cmd_fail(EXIT_USAGE, "--%s is for --approve", needing[i]);
	return 0;
}

static int
dashboard_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	config_name *names = xcalloc(CONFIG_MAX_VOTERS, sizeof *names);
	struct page p = { .token = NULL };
	int rc = check_options(a);

	if (!rc && !(rc = cmd_config(a, c))) {
		rc = find_page(a, c, names, &p);
		if (!rc)
			rc = cmd_flag(a, "approve") ? approve(a, &p) : show(a, &p);
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
	        "what that token allows. The token is behind the #, which browsers send to nobody.\n\n"
	        "With --approve it asks for the passphrase of the sovereign's key, keeps the key in memory, and stays: the page behind\n"
	        "the link then has buttons that approve and deny, and what they ask for is signed here, on 127.0.0.1, after the\n"
	        "request was read again and its hash compared. Each decision is told. Ctrl-C ends it.",
	.opts = (const struct cmd_opt[]){
		{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .help = "That agent's, not the first one's that listens here", .complete = "agents" },
		{ .name = "approve", .kind = OPT_FLAG, .help = "sign for the page's buttons, here, until it is ended" },
		{ .name = "session", .kind = OPT_TEXT, .arg = "TIME", .help = "with --approve: end by itself after this time, at most 24h (default " SESSION_DEFAULT ")" },
		{ .name = "port", .kind = OPT_INT, .arg = "N", .min = 1, .max = 65535, .help = "with --approve: listen on this port of 127.0.0.1 (default: a free one)" },
		{ .name = "url", .kind = OPT_TEXT, .arg = "URL", .help = "with --approve: for the page at this https address, of an agent elsewhere" },
		{ .name = "open", .kind = OPT_FLAG, .help = "with --approve: open the browser, too" },
		EDICT_PASSPHRASE,
		{ .name = NULL },
	},
	.flags = CMD_JSON,
	.run = dashboard_run,
};
