#include "right.h"

#include <string.h>

#include "json.h"
#include "sovereign.h"
#include "task.h"

static bool
is(const struct audit_text *t, const char *s)
{
	return t->s && t->len == strlen(s) && memcmp(t->s, s, t->len) == 0;
}

static enum right
compare(const struct decision *d, const struct audit_record *r, const char *hash, struct err *e)
{
	if (!ulid_equal(&d->task, &r->task))
		err_set(e, ERR_DENIED, "its decision is for another task");
	else if (!d->approve)
		err_set(e, ERR_DENIED, "its decision is to deny it");
	else if (strcmp(d->hash, hash) != 0)
		err_set(e, ERR_DENIED, "its decision is for another hash");
	else if (r->started > d->expires_ms)
		err_set(e, ERR_DENIED, "its decision had expired when it began");
	else
		return RIGHT_GOOD;
	return RIGHT_WRONG;
}

static enum right
check_decision(const struct config *c, const struct audit_record *r, const cJSON *approval, struct err *e)
{
	const char *envelope = json_text(approval, "decision");
	struct sovereign s;
	enum right right;

	if (sovereign_open(&s, SOVEREIGN_DECISION, c->cluster, c->sovereign_keys.v, c->sovereign_keys.n, envelope, strlen(envelope),
	    e))
		return e->code == ERR_DENIED ? RIGHT_UNKNOWN : RIGHT_WRONG;
	right = compare(&s.u.decision, r, json_text(approval, "hash"), e);
	sovereign_release(&s);
	return right;
}

enum right
right_check(const struct config *c, const struct audit_record *r, struct err *e)
{
	bool needed = is(&r->mode, task_mode_name(MODE_SOVEREIGN)) && is(&r->role, "outcome") && is(&r->state, "succeeded");
	cJSON *approval = r->approval.s ? cJSON_ParseWithLength(r->approval.s, r->approval.len) : NULL;
	enum right right = RIGHT_NOT_NEEDED;

	if (cJSON_HasObjectItem(approval, "decision"))
		right = check_decision(c, r, approval, e);
	else if (needed) {
		err_set(e, ERR_DENIED, "a sovereign task ran, and has no decision");
		right = RIGHT_WRONG;
	}
	cJSON_Delete(approval);
	return right;
}
