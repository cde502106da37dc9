/*
 * doctor_config.c - houses.yaml itself, and whether it knows the subject.
 */
#include "doctor.h"

void
doctor_config(struct doctor *d)
{
	const struct config *c = d->config;

	if (!c) {
		doctor_wrong(d, FOUND_CONFIG, d->config_path, "%s", d->config_err->msg);
		return;
	}
	for (size_t i = 0; i < d->nwarnings; i++)
		doctor_wrong(d, FOUND_CONFIG_ODD, d->config_path, "%s", d->warnings[i]);
	if (d->nwarnings == 0)
		doctor_well(d, "%s: %zu houses, %zu broker%s, cluster %s", d->config_path, c->nhouses, c->nbrokers,
		    c->nbrokers == 1 ? "" : "s", c->cluster);
}

void
doctor_identity(struct doctor *d)
{
	static const char *const kinds[] = { [IDENTITY_AGENT] = "an agent", [IDENTITY_SOVEREIGN] = "the sovereign",
		[IDENTITY_OPERATOR] = "an operator", [IDENTITY_WATCHER] = "a watcher" };
	enum config_kind kind = config_identity_kind(d->config, d->subject);

	if (kind == IDENTITY_UNKNOWN)
		doctor_wrong(d, FOUND_IDENTITY, d->subject, "%s does not know %s", d->config_path, d->subject);
	else
		doctor_well(d, "%s is %s", d->subject, kinds[kind]);
}
