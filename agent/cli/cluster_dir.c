#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "buf.h"
#include "clock.h"
#include "cluster_impl.h"
#include "err.h"
#include "pki.h"
#include "save.h"

#define RENEW_DAYS 30

char *
cluster_path(const char *dir, const char *name)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s", dir, name);
	return buf_take(&b);
}

bool
cluster_has(const char *dir, const char *name)
{
	char *path = cluster_path(dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

int
cluster_dir_make(const struct cluster *c, struct err *e)
{
	static const char *const names[] = { "pki", "run", "log", "state", "work", "tools.d" };
	int rc = save_dir(c->dir, 0700, e);

	for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
		char *path = cluster_path(c->dir, names[i]);

		rc = save_dir(path, 0700, e);
		free(path);
	}
	return rc;
}

/* /tmp is everybody's: a directory that somebody else put in the place of ours is not used. */
int
cluster_dir_check_run(const struct cluster *c, struct err *e)
{
	const char *dir = c->config->run_dir;
	struct stat st;

	if (save_dir(dir, 0700, e))
		return -1;
	if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, ERR_DENIED, "%s: expected a directory that only this user can write", dir);
	return 0;
}

static bool
cert_is_good(const char *dir, const char *name, enum pki_use use)
{
	struct pki_cert cert;

	return pki_read(dir, name, &cert, NULL) == 0 && cert.trusted && cert.has_key && cert.use == use &&
	    cert.until_ms > clock_wall_ms() + RENEW_DAYS * INT64_C(86400000);
}

/* The brokers were told of what is in run/ca.crl. */
static int
is_news(const struct cluster *c, bool *news, struct err *e)
{
	char *from = cluster_path(c->config->pki_dir, "ca.crl"), *told = cluster_path(c->dir, "run/ca.crl");
	struct buf list = { 0 };
	int rc = save_read(from, &list, e) || save_if_changed(told, buf_str(&list), list.len, 0600, news, e) ? -1 : 0;

	buf_free(&list);
	free(from);
	free(told);
	return rc;
}

void
cluster_dir_not_told(const struct cluster *c)
{
	char *told = cluster_path(c->dir, "run/ca.crl");

	unlink(told);
	free(told);
}

int
cluster_dir_certs(const struct cluster *c, bool *broker_changed, struct err *e)
{
	static const char *const sans[] = { "localhost", CLUSTER_HOST, "::1" };
	size_t max = CONFIG_MAX_IDENTITIES, n;
	const char **who = xcalloc(max, sizeof *who), *dir = c->config->pki_dir;
	bool created, news = false;
	int rc = pki_init(dir, 0, &created, e);

	*broker_changed = !cert_is_good(dir, CLUSTER_BROKER, PKI_SERVER);
	if (rc == 0 && *broker_changed)
		rc = pki_issue(dir, CLUSTER_BROKER, PKI_SERVER, sans, sizeof sans / sizeof *sans, 0, e);
	n = config_identities(c->config, who, max);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!cert_is_good(dir, who[i], PKI_CLIENT))
			rc = pki_issue(dir, who[i], PKI_CLIENT, NULL, 0, 0, e);
	free(who);
	if (rc == 0)
		rc = is_news(c, &news, e);
	*broker_changed |= news;
	return rc;
}

/* In single quotes nothing is special but the quote itself. */
static void
put_var(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "export %s='", name);
	for (const char *p = value; *p; p++)
		if (*p == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *p);
	buf_adds(b, "'\n");
}

static void
put_number(struct buf *b, const char *name, int value)
{
	buf_addf(b, "export %s=%d\n", name, value);
}

/* This program, behind whatever is found already; once, however often the file is read. */
static void
put_path(struct buf *b)
{
	char exe[PATH_MAX], *slash;
	size_t len = sizeof exe;

	if (uv_exepath(exe, &len) || !(slash = strrchr(exe, '/')))
		return;
	*slash = '\0';
	put_var(b, "UW_BIN", exe);
	buf_adds(b, "case :$PATH: in *:\"$UW_BIN\":*) ;; *) PATH=$PATH:$UW_BIN; export PATH ;; esac\n");
}

/* UW_PORT, UW_PORT_2, ... */
static void
put_ports(struct buf *b, const struct cluster *c)
{
	char name[32];

	put_number(b, "UW_PORT", c->brokers[0].port);
	put_number(b, "UW_WS_PORT", c->brokers[0].ws_port);
	for (size_t i = 1; i < c->nbrokers; i++) {
		snprintf(name, sizeof name, "UW_PORT_%zu", i + 1);
		put_number(b, name, c->brokers[i].port);
		snprintf(name, sizeof name, "UW_WS_PORT_%zu", i + 1);
		put_number(b, name, c->brokers[i].ws_port);
	}
}

int
cluster_dir_env(const struct cluster *c, struct err *e)
{
	char *config = cluster_path(c->dir, "houses.yaml"), *ca = cluster_path(c->config->pki_dir, "ca.crt");
	char *path = cluster_path(c->dir, "env");
	struct buf b = { 0 };
	bool changed;
	int rc;

	buf_adds(&b, "# To be read by a shell:  . this-file\n");
	put_var(&b, "UNI_WIZARD_CONFIG", config);
	put_var(&b, "UW_DIR", c->dir);
	put_var(&b, "UW_HOST", CLUSTER_HOST);
	put_ports(&b, c);
	put_var(&b, "UW_CAFILE", ca);
	put_path(&b);
	rc = save_if_changed(path, b.data, b.len, 0600, &changed, e);
	buf_free(&b);
	free(config);
	free(ca);
	free(path);
	return rc;
}
