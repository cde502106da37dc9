/*
 * doctor_sovereign.c - whose word counts: pinned public keys, and on the sovereign's machine his private one.
 */
#include "doctor.h"
#include "sign.h"

static bool
is_pinned(const struct config *c, const struct sign_public *p)
{
	for (size_t i = 0; i < c->sovereign_keys.n; i++)
		if (sign_public_equal(&c->sovereign_keys.v[i], p))
			return true;
	return false;
}

static void
check_private(struct doctor *d, const char *path)
{
	struct err e = { 0 };
	struct sign_key *k;

	if (sign_key_is_locked(path)) {
		doctor_well(d, "%s has a passphrase", path);
		return;
	}
	k = sign_key_load(path, NULL, &e);
	if (!k)
		doctor_wrong(d, FOUND_SIGNING_KEY, path, "%s", e.msg);
	else if (!is_pinned(d->config, sign_key_public(k)))
		doctor_wrong(d, FOUND_SIGNING_KEY, path, "%s is key %s, which %s does not pin", path, sign_key_public(k)->id,
		    d->config_path);
	else
		doctor_well(d, "%s is pinned", path);
	sign_key_free(k);
}

void
doctor_sovereign(struct doctor *d)
{
	const struct config *c = d->config;

	if (c->sovereign_keys.n == 0) {
		doctor_wrong(d, FOUND_NO_KEYS, "sovereign_keys", "%s pins no key", d->config_path);
		return;
	}
	if (access(c->sovereign_key, F_OK))
		doctor_well(d, "%zu key%s pinned; the sovereign's own is not on this host", c->sovereign_keys.n,
		    c->sovereign_keys.n == 1 ? "" : "s");
	else
		check_private(d, c->sovereign_key);
}
