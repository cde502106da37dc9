/*
 * cmd_pki.c - pki init, issue, renew, revoke, show: the cluster's certificates.
 */
#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "pki.h"

#define DAY_MS 86400000
#define SOON_DAYS 30

#define OPT_DIR { .name = "dir", .kind = OPT_TEXT, .arg = "DIR", .complete = "files", \
	.help = "directory of the certificates (else `pki` of the configuration)" }
#define OPT_DAYS(how_many) { .name = "days", .kind = OPT_INT, .arg = "N", .min = 1, .max = PKI_MAX_DAYS, \
	.help = "valid for so many days (" how_many ")" }
#define OPT_SAN { .name = "san", .kind = OPT_TEXT, .arg = "LIST", \
	.help = "host names and addresses of a broker, with commas between them" }
#define OPT_END { .name = NULL }

/* Caller frees; NULL after a message. */
static char *
dir_get(const struct cmd_args *a)
{
	const char *option = cmd_text(a, "dir", NULL);
	struct config *c;
	char *dir = NULL;

	if (option)
		return xstrdup(option);
	c = xcalloc(1, sizeof *c);
	if (cmd_config(a, c) == 0) {
		dir = xstrdup(c->pki_dir);
		config_release(c);
	}
	free(c);
	return dir;
}

/* The list is cut in place. */
static size_t
sans_split(char *list, const char **out)
{
	size_t n = 0;
	char *save;

	for (char *s = strtok_r(list, ", ", &save); s && n <= PKI_MAX_SANS; s = strtok_r(NULL, ", ", &save))
		out[n++] = s;
	return n;
}

/* Printing */

static int64_t
days_left(const struct pki_cert *c)
{
	return (c->until_ms - clock_wall_ms()) / DAY_MS;
}

static void
put_cert(struct buf *b, const char *file, const struct pki_cert *c)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", c->name);
	json_kv_str(b, "file", file);
	json_kv_str(b, "use", pki_use_name(c->use));
	json_kv_str(b, "serial", c->serial);
	json_kv_str(b, "sans", c->sans);
	json_kv_time(b, "from", c->from_ms);
	json_kv_time(b, "until", c->until_ms);
	json_kv_int(b, "days_left", days_left(c));
	json_kv_bool(b, "trusted", c->trusted);
	json_kv_bool(b, "revoked", c->revoked);
	json_kv_bool(b, "has_key", c->has_key);
	json_put_close(b, '}');
}

static void
print_cert(const struct cmd_args *a, const char *name, const struct pki_cert *c)
{
	char until[32], file[80];
	struct buf b = { 0 };

	clock_format(c->until_ms, until, sizeof until);
	snprintf(file, sizeof file, "%s.crt", name);
	if (a->json) {
		put_cert(&b, file, c);
		puts(buf_str(&b));
	} else {
		printf("%s: %s certificate until %.10s%s%s\n", c->name, pki_use_name(c->use), until,
		    c->sans[0] ? ", for " : "", c->sans);
	}
	buf_free(&b);
}

static int
done(const struct cmd_args *a, char *dir, const char *name, int rc, struct err *e)
{
	struct pki_cert c;

	if (rc == 0)
		rc = pki_read(dir, name, &c, e);
	free(dir);
	if (rc)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e->msg);
	print_cert(a, name, &c);
	return EXIT_OK;
}

/* Commands */

static int
init_run(const struct cmd_args *a)
{
	int days = (int)cmd_int(a, "days", 0), rc;
	struct err e = { 0 };
	bool created;
	char *dir;

	if (cmd_flag(a, "next") && cmd_flag(a, "forget"))
		return cmd_fail(EXIT_USAGE, "--next and --forget are two steps: between them all certificates are renewed");
	dir = dir_get(a);
	if (!dir)
		return EXIT_USAGE;
	if (cmd_flag(a, "next"))
		rc = pki_init_next(dir, days, &e);
	else if (cmd_flag(a, "forget"))
		rc = pki_forget_former(dir, &e);
	else
		rc = pki_init(dir, days, &created, &e);
	return done(a, dir, "ca", rc, &e);
}

static int
issue_run(const struct cmd_args *a)
{
	const char *list = cmd_text(a, "san", NULL), *sans[PKI_MAX_SANS + 1], *name = a->argv[0];
	struct err e = { 0 };
	char *dir = dir_get(a), *copy;
	struct pki_cert old;
	size_t n;
	int rc;

	if (!dir)
		return EXIT_USAGE;
	if (!cmd_flag(a, "replace") && pki_read(dir, name, &old, NULL) == 0) {
		free(dir);
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s has a certificate already: `pki renew %s`, or --replace", name,
		    name);
	}
	copy = xstrdup(list ? list : "");
	n = sans_split(copy, sans);
	rc = pki_issue(dir, name, list ? PKI_SERVER : PKI_CLIENT, sans, n, (int)cmd_int(a, "days", 0), &e);
	free(copy);
	return done(a, dir, name, rc, &e);
}

static int
renew_run(const struct cmd_args *a)
{
	const char *list = cmd_text(a, "san", NULL), *sans[PKI_MAX_SANS + 1], *name = a->argv[0];
	char *dir = dir_get(a), *copy;
	struct err e = { 0 };
	size_t n;
	int rc;

	if (!dir)
		return EXIT_USAGE;
	copy = xstrdup(list ? list : "");
	n = sans_split(copy, sans);
	rc = pki_renew(dir, name, list ? sans : NULL, n, (int)cmd_int(a, "days", 0), cmd_flag(a, "new-key"), &e);
	free(copy);
	return done(a, dir, name, rc, &e);
}

static int
revoke_run(const struct cmd_args *a)
{
	const char *name = a->argv[0];
	struct buf b = { 0 };
	struct err e = { 0 };
	char *dir = dir_get(a);
	int n, rc;

	if (!dir)
		return EXIT_USAGE;
	rc = pki_revoke(dir, name, cmd_flag(a, "former"), &n, &e);
	if (rc == 0 && a->json) {
		json_put_open(&b, '{');
		json_kv_str(&b, "name", name);
		json_kv_int(&b, "revoked", n);
		json_put_close(&b, '}');
		puts(buf_str(&b));
	} else if (rc == 0) {
		printf("%s: %d certificate%s revoked\nA broker knows it when it has this %s/ca.crl and SIGHUP; who is "
		    "connected stays until the broker is restarted.\n", name, n, n == 1 ? "" : "s", dir);
	}
	buf_free(&b);
	free(dir);
	return rc ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : EXIT_OK;
}

struct show {
	struct table *table;    /* NULL: JSON */
	struct buf json;
	bool bad;               /* something is expired, untrusted or unreadable */
};

static const char *
state_of(const struct pki_cert *c)
{
	if (c->revoked)
		return "revoked";
	if (c->until_ms < clock_wall_ms())
		return "expired";
	if (!c->trusted)
		return "not trusted";
	return days_left(c) < SOON_DAYS ? "expires soon" : "good";
}

static void
show_row(struct table *t, const char *file, const struct pki_cert *c, const char *why)
{
	char until[32];

	table_cell(t, "%s", file);
	if (!c) {
		for (const char *const *cell = (const char *const[]){ "", "", "", "", NULL }; *cell; cell++)
			table_cell(t, "%s", *cell);
		table_cell(t, "%s", why);
		return;
	}
	clock_format(c->until_ms, until, sizeof until);
	table_cell(t, "%s", c->name);
	table_cell(t, "%s", pki_use_name(c->use));
	table_cell(t, "%.10s", until);
	table_cell(t, "%s", c->has_key ? "yes" : "no");
	table_cell(t, "%s", state_of(c));
}

static void
show_cert(void *arg, const char *file, const struct pki_cert *c, const char *why)
{
	struct show *s = arg;

	s->bad |= !c || (!c->trusted && !c->revoked);
	if (s->table) {
		show_row(s->table, file, c, why);
	} else if (c) {
		put_cert(&s->json, file, c);
	} else {
		json_put_open(&s->json, '{');
		json_kv_str(&s->json, "file", file);
		json_kv_str(&s->json, "error", why);
		json_put_close(&s->json, '}');
	}
}

static int
show_run(const struct cmd_args *a)
{
	static const char *const heads[] = { "file", "name", "use", "until", "key", "state", NULL };
	struct show s = { .table = a->json ? NULL : table_new(heads) };
	struct err e = { 0 };
	char *dir = dir_get(a);
	int rc;

	if (!dir)
		return EXIT_USAGE;
	json_put_open(&s.json, '[');
	rc = pki_each(dir, show_cert, &s, &e);
	json_put_close(&s.json, ']');
	if (rc == 0 && s.table)
		table_print(s.table);
	else if (rc == 0)
		puts(buf_str(&s.json));
	buf_free(&s.json);
	free(dir);
	if (rc)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return s.bad ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

const struct cmd cmd_pki_init = {
	.name = "pki init",
	.help = "Create the certificate authority if there is none",
	.more = "A change of authority takes two steps: `pki init --next` puts a new one in front of the present "
	    "one (ca.crt then trusts both), and `pki init --forget` leaves only the new one when everybody has "
	    "ca.crt and renewed certificates. See broker-config/README.md.",
	.opts = (const struct cmd_opt[]){
		OPT_DIR,
		OPT_DAYS("3650"),
		{ .name = "next", .kind = OPT_FLAG, .help = "a new authority beside the present one" },
		{ .name = "forget", .kind = OPT_FLAG, .help = "trust only the authority that signs" },
		OPT_END },
	.flags = CMD_JSON,
	.run = init_run,
};

const struct cmd cmd_pki_issue = {
	.name = "pki issue",
	.args = "NAME",
	.help = "Issue a certificate and its key: NAME.crt, NAME.key",
	.more = "NAME is who speaks with it: a person, an agent, or with --san a broker. With --san the certificate "
	    "serves a broker and no client, without it a client and no broker.",
	.opts = (const struct cmd_opt[]){
		OPT_DIR,
		OPT_SAN,
		OPT_DAYS("365"),
		{ .name = "replace", .kind = OPT_FLAG, .help = "even if NAME has a certificate" },
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "people",
	.run = issue_run,
};

const struct cmd cmd_pki_renew = {
	.name = "pki renew",
	.args = "NAME",
	.help = "Issue the same certificate anew",
	.more = "Agents take it up when they next connect, a broker when it is sent SIGHUP; nothing has to be "
	    "restarted. The key stays unless --new-key is given.",
	.opts = (const struct cmd_opt[]){
		OPT_DIR,
		OPT_SAN,
		OPT_DAYS("365"),
		{ .name = "new-key", .kind = OPT_FLAG, .help = "a new key as well" },
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "people",
	.run = renew_run,
};

const struct cmd cmd_pki_revoke = {
	.name = "pki revoke",
	.args = "NAME",
	.help = "Take back every certificate of NAME that has not expired",
	.more = "NAME.crt and NAME.key are removed, and the certificates are listed in ca.crl, which brokers read when they "
	    "start and on SIGHUP. `pki issue NAME` afterwards gives the name a new certificate and a new key. To change a "
	    "key without a gap: `pki renew NAME --new-key`, bring it out, `pki revoke NAME --former`. "
	    "See broker-config/README.md.",
	.opts = (const struct cmd_opt[]){
		OPT_DIR,
		{ .name = "former", .kind = OPT_FLAG, .help = "all but the present one, which stays" },
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "people",
	.run = revoke_run,
};

const struct cmd cmd_pki_show = {
	.name = "pki show",
	.help = "Show every certificate: whose it is, until when, whether it is trusted or revoked",
	.more = "Exit code 1 if one is expired, not trusted or unreadable.",
	.opts = (const struct cmd_opt[]){ OPT_DIR, OPT_END },
	.flags = CMD_JSON,
	.run = show_run,
};
