/*
 * routines.c - schedules that clients add and remove: all candidates of a house know the same ones, each of their times was one
 * task, and what a client was told of his is so.
 */
#include "check.h"

#include "state.h"

static const struct house *
owned(const struct check *k, const char *house, struct core **at)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		struct core *c = host_core(k->sim->hosts[i]);
		const struct house *h = c ? house_find(c, house) : NULL;

		if (h && h->owned) {
			*at = c;
			return h;
		}
	}
	return NULL;
}

static const struct routine *
find(const struct house *h, const char *name)
{
	for (int i = 0; i < h->nroutines; i++)
		if (strcmp(h->routines[i].name, name) == 0)
			return &h->routines[i];
	return NULL;
}

static void
compare(struct check *k, const struct house *owners, const struct house *h, const char *agent)
{
	if (owners->nroutines != h->nroutines)
		sim_fail(k->sim, agent, "%s knows of %d schedules of house %s, its owner of %d", agent, h->nroutines, h->name,
		    owners->nroutines);
	for (int i = 0; i < owners->nroutines; i++) {
		const struct routine *r = &owners->routines[i], *x = find(h, r->name);

		if (!x || !ulid_equal(&x->id, &r->id) || x->after_ms != r->after_ms || x->paused != r->paused || x->born != r->born)
			sim_fail(k->sim, agent, "%s knows schedule %s otherwise than its owner", agent, r->name);
	}
}

/* Since it was added; those of a removed one of its name are older. */
static int64_t
runs(struct core *c, const struct house *h, const struct routine *r)
{
	static const uint8_t none[10];
	sqlite3_stmt *s = NULL;
	struct ulid first;
	int64_t n = 0;

	if (sqlite3_prepare_v2(c->db.h, "SELECT count(*) FROM tasks WHERE house = ?1 AND sender = ?2"
	    " AND body ->> '$.labels.schedule' = ?3 AND id >= ?4", -1, &s, NULL) == SQLITE_OK) {
		ulid_make(&first, r->added_ms, none);
		sqlite3_bind_text(s, 1, h->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, r->sender, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 3, r->name, -1, SQLITE_STATIC);
		sqlite3_bind_blob(s, 4, &first, sizeof first, SQLITE_STATIC);
		n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
	}
	sqlite3_finalize(s);
	return n;
}

/* Of one that makes up for all that was missed and never paused none is missing, but what policy denied. */
static void
check_runs(struct check *k, struct core *c, const struct house *h, const struct routine *r)
{
	int64_t n = 0, at = r->added_ms, made = runs(c, h, r), denied = 0;

	while ((at = cron_next(&r->cron, r->zone, at)) && at <= r->after_ms) {
		char text[ULID_TEXT];
		struct ulid id;

		routine_task_id(r, at, &id);
		ulid_format(&id, text);
		denied += check_record(k, text)->denied || check_record(k, text)->exempt;
		n++;
	}
	/* Added anew, since an owner who had it alone could not answer, who then came back with what he had made of it. */
	if (check_missed(k, check_record(k, r->name)))
		return;
	/* By a clock that was set back, a removed one of its name may have been run at these times. */
	if (made > n && !check_record(k, r->name)->cancelled)
		sim_fail(k->sim, r->name, "schedule %s came %lld times and was run %lld times", r->name, (long long)n, (long long)made);
	if (r->missed == ROUTINE_ALL && !check_record(k, r->name)->denied && made + denied < n)
		sim_fail(k->sim, r->name, "schedule %s came %lld times and was run %lld times", r->name, (long long)n, (long long)made);
}

void
routines_told(struct check *k, const char *house, const char *name, enum routine_told told)
{
	struct core *c;
	const struct house *h = owned(k, house, &c);
	const struct routine *r = h ? find(h, name) : NULL;

	/* What an owner said alone, and another has gone on without it. */
	if (!h || k->losses || check_missed(k, check_record(k, name)))
		return;
	if (told == ROUTINE_TOLD_GONE && r)
		sim_fail(k->sim, name, "schedule %s was removed, and is still there", name);
	if (told != ROUTINE_TOLD_GONE && !r)
		sim_fail(k->sim, name, "schedule %s was added, and is not there", name);
	if (r && told != ROUTINE_TOLD_GONE && r->paused != (told == ROUTINE_TOLD_PAUSED))
		sim_fail(k->sim, name, "schedule %s was %s, and is not", name, r->paused ? "resumed" : "paused");
}

void
routines_check(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		struct core *c = host_core(k->sim->hosts[i]);

		for (int j = 0; c && j < c->nhouses; j++) {
			const struct house *h = &c->houses[j];

			if (!h->owned || h->local)
				continue;
			for (int n = 0; n < h->nroutines && !k->losses && !k->sim->plan.short_memory; n++)
				check_runs(k, c, h, &h->routines[n]);
			for (int n = 0; n < k->sim->nhosts; n++) {
				struct core *other = host_core(k->sim->hosts[n]);
				const struct house *x = other && n != i ? house_find(other, h->name) : NULL;

				if (x && x->place >= 0)
					compare(k, h, x, host_name(k->sim->hosts[n]));
			}
		}
	}
	for (int i = 0; i < k->sim->nclients; i++)
		client_check_regulars(k->sim->clients[i], k);
}
