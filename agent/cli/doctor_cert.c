/*
 * doctor_cert.c - certificates, keys, and the list of what is revoked: what lies on this host.
 */
#include <errno.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "doctor.h"
#include "pki.h"

#define DAY_MS INT64_C(86400000)

struct files {
	char ca[600], crt[600], key[600];
};

static struct files
files_of(const struct doctor *d, const char *name)
{
	struct files f;

	snprintf(f.ca, sizeof f.ca, "%.500s/ca.crt", d->config->pki_dir);
	snprintf(f.crt, sizeof f.crt, "%.500s/%s.crt", d->config->pki_dir, name);
	snprintf(f.key, sizeof f.key, "%.500s/%s.key", d->config->pki_dir, name);
	return f;
}

/* False, and told, if it is not there or not ours to read. */
static bool
is_there(struct doctor *d, const char *path)
{
	if (access(path, R_OK) == 0)
		return true;
	doctor_wrong(d, errno == ENOENT ? FOUND_CERT_MISSING : FOUND_CERT_UNREADABLE, path, "%s: %s", path, strerror(errno));
	return false;
}

static bool
is_private(struct doctor *d, const char *path)
{
	struct stat st;

	if (stat(path, &st) || !(st.st_mode & 077))
		return true;
	doctor_wrong(d, FOUND_CERT_MODE, path, "%s has mode %03o", path, (unsigned)st.st_mode & 0777);
	return false;
}

static bool
dates_fit(struct doctor *d, const struct pki_cert *c, const char *name, const char *file)
{
	int64_t now = clock_wall_ms(), left = c->until_ms - now;
	char day[32];

	clock_format(c->until_ms, day, sizeof day);
	if (left < 0) {
		doctor_wrong(d, FOUND_CERT_EXPIRED, name, "%s ended on %.10s", file, day);
		return false;
	}
	if (c->from_ms > now) {
		clock_format(c->from_ms, day, sizeof day);
		doctor_wrong(d, FOUND_CERT_FUTURE, name, "%s begins at %s, and it is not that late here", file, day);
		return false;
	}
	if (left < DOCTOR_SOON_DAYS * DAY_MS)
		doctor_wrong(d, FOUND_CERT_SOON, name, "%s ends on %.10s, in %d days", file, day, (int)(left / DAY_MS));
	return left >= DOCTOR_SOON_DAYS * DAY_MS;
}

/* One complaint a certificate: the first that explains the others. */
static bool
cert_fits(struct doctor *d, const struct pki_cert *c, const char *name, const struct files *f, bool server)
{
	if (strcmp(c->name, name) != 0)
		doctor_wrong(d, FOUND_CERT_NAME, name, "%s names %s", f->crt, c->name);
	else if (c->use != (server ? PKI_SERVER : PKI_CLIENT))
		doctor_wrong(d, FOUND_CERT_USE, name, "%s is for a %s", f->crt, pki_use_name(c->use));
	else if (c->revoked)
		doctor_wrong(d, FOUND_CERT_REVOKED, name, "%s, number %s, is in ca.crl", f->crt, c->serial);
	else if (!dates_fit(d, c, name, f->crt))
		return false;
	else if (!c->trusted)
		doctor_wrong(d, FOUND_CERT_UNTRUSTED, f->crt, "%s is not signed by an authority of %s", f->crt, f->ca);
	else if (!c->has_key)
		doctor_wrong(d, FOUND_CERT_KEY, name, "%s does not belong to %s", f->key, f->crt);
	else
		return true;
	return false;
}

static bool
check_cert(struct doctor *d, const char *name, bool server, struct pki_cert *c)
{
	struct files f = files_of(d, name);
	struct err e = { 0 };

	if (!is_there(d, f.crt) || !is_there(d, f.key) || !is_private(d, f.key))
		return false;
	if (pki_read(d->config->pki_dir, name, c, &e)) {
		doctor_wrong(d, FOUND_CERT_UNREADABLE, f.crt, "%s", e.msg);
		return false;
	}
	return cert_fits(d, c, name, &f, server);
}

struct authorities {
	struct doctor *d;
	const char *file;
	int n;
	bool good;
	char why[480];
};

static void
each_authority(void *arg, const char *file, const struct pki_cert *c, const char *why)
{
	struct authorities *a = arg;

	if (strcmp(file, "ca.crt") != 0)
		return;
	if (!c) {
		snprintf(a->why, sizeof a->why, "%s", why);
		return;
	}
	a->n++;
	a->good &= dates_fit(a->d, c, "the authority", a->file);
}

static bool
check_authority(struct doctor *d)
{
	struct files f = files_of(d, "ca");
	struct authorities a = { .d = d, .file = f.ca, .good = true };
	struct err e = { 0 };

	if (!is_there(d, f.ca))
		return false;
	if (pki_each(d->config->pki_dir, each_authority, &a, &e))
		snprintf(a.why, sizeof a.why, "%s", e.msg);
	if (a.n == 0)
		doctor_wrong(d, FOUND_CERT_UNREADABLE, f.ca, "%s: %s", f.ca, a.why[0] ? a.why : "no certificate in it");
	return a.n > 0 && a.good && (access(f.key, F_OK) || is_private(d, f.key));
}

/* A broker's certificate that lies here serves a broker of this host, or waits to be brought to one. */
static void
check_broker_cert(struct doctor *d)
{
	struct files f = files_of(d, "broker");
	struct pki_cert c;

	if (access(f.crt, F_OK) == 0 && access(f.key, F_OK) == 0 && check_cert(d, "broker", true, &c))
		doctor_well(d, "the broker's names %s", c.sans);
}

void
doctor_cert(struct doctor *d)
{
	struct pki_cert c;
	char day[32];

	if (!d->subject[0]) {
		if (check_authority(d))
			doctor_well(d, "the authority is good");
		check_broker_cert(d);
	} else if (check_cert(d, d->subject, false, &c)) {
		clock_format(c.until_ms, day, sizeof day);
		doctor_well(d, "good until %.10s", day);
	}
}

void
doctor_crl(struct doctor *d)
{
	char path[600], key[600];
	struct pki_crl crl;
	struct err e = { 0 };
	int64_t left;

	snprintf(path, sizeof path, "%.500s/ca.crl", d->config->pki_dir);
	snprintf(key, sizeof key, "%.500s/ca.key", d->config->pki_dir);
	if (access(key, F_OK) && access(path, F_OK)) {
		doctor_skip(d, "neither ca.key nor ca.crl is here: this host has no part in it");
		return;
	}
	if (pki_crl_read(d->config->pki_dir, &crl, &e)) {
		doctor_wrong(d, FOUND_CRL_MISSING, path, "%s", e.msg);
		return;
	}
	left = crl.until_ms - clock_wall_ms();
	if (left < 0)
		doctor_wrong(d, FOUND_CRL_EXPIRED, path, "%s has expired", path);
	else if (left < DOCTOR_SOON_DAYS * DAY_MS)
		doctor_wrong(d, FOUND_CRL_SOON, path, "%s ends in %d days", path, (int)(left / DAY_MS));
	else
		doctor_well(d, "%d revoked, the list is good for %d days", crl.revoked, (int)(left / DAY_MS));
}
