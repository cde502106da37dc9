#include "request.h"

#include <string.h>

#include "clock.h"
#include "json.h"

const cJSON *
request_subject(const struct known_request *r)
{
	return cJSON_GetObjectItemCaseSensitive(r->o, "subject");
}

int64_t
request_time(const cJSON *o, const char *name)
{
	int64_t ms = json_number(o, name, 0);

	if (!ms)
		clock_parse(json_text(o, name), &ms, NULL);
	return ms;
}

int
request_check(const struct edict *x, const struct known_request *r, char hash[CANONICAL_HASH], struct err *e)
{
	const cJSON *subject = request_subject(r);
	int64_t expires = request_time(r->o, "expires");

	if (!cJSON_IsObject(subject))
		return err_set(e, ERR_INVALID, "the request has no subject");
	if (canonical_hash(subject, hash, e))
		return err_wrap(e, "the request's subject");
	if (strcmp(json_text(r->o, "hash"), hash) != 0)
		return err_set(e, ERR_DENIED, "the request claims the hash %.16s..., but what it shows has %.16s...: somebody "
		    "changed it", json_text(r->o, "hash"), hash);
	if (strcmp(json_text(subject, "task"), r->task) != 0 || strcmp(json_text(subject, "house"), r->house) != 0 ||
	    strcmp(json_text(subject, "cluster"), x->r.config.cluster) != 0)
		return err_set(e, ERR_DENIED, "the request is about another task, house or cluster than where it was published");
	if (expires && clock_wall_ms() >= expires)
		return err_set(e, ERR_STALE, "the request has expired");
	return 0;
}

static bool
is_own(const struct edict *x, const struct known_request *r)
{
	const struct known_object *p = &x->known.policy;

	return strcmp(json_text(request_subject(r), "sender"), x->r.config.sovereign) == 0 &&
	    !(p->line && p->s.u.policy.self_approval);
}

static cJSON *
decision_of(const struct known_request *r, const char *hash, const struct word *w)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "task", r->task);
	cJSON_AddStringToObject(o, "hash", hash);
	cJSON_AddStringToObject(o, "decision", w->approve ? "approve" : "deny");
	cJSON_AddNumberToObject(o, "expires", (double)(clock_wall_ms() + w->for_ms));
	if (*w->note)
		cJSON_AddStringToObject(o, "note", w->note);
	return o;
}

/* The request may go while it is waited for, so its id is copied. */
int
request_decide(struct edict *x, const struct known_request *r, const char *hash, const struct word *w, struct err *e)
{
	char task[ULID_TEXT];
	int rc;

	memcpy(task, r->task, sizeof task);
	if (w->approve && is_own(x, r)) {
		err_set(e, ERR_DENIED, "denied: %s submitted task %s himself, and the policy does not let him approve his own "
		    "(self_approval)", x->r.config.sovereign, task);
		return EXIT_REJECTED;
	}
	x->waits_for = task;
	rc = edict_send(x, SOVEREIGN_DECISION, task, decision_of(r, hash, w));
	x->waits_for = NULL;
	return rc;
}
