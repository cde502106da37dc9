/*
 * study.c - what was in Gitea before: learned from when nothing else is to be done, so that a successor whose file is empty comes to
 * know what his predecessor knew.
 */
#include <string.h>

#include "bridge.h"
#include "clock.h"
#include "err.h"
#include "event.h"

#define LOOK_UP_MS 1000                 /* between two of which more is asked */
#define AGAIN_MS 60000                  /* when Gitea did not list them */

struct history {
	struct bridge *b;
	const char *repo;
	int64_t room;
};

static bool
on_past_issue(void *arg, const cJSON *item)
{
	struct history *h = arg;
	cJSON *facts = event_facts(h->repo, item, NULL);

	if (facts) {
		desk_learn(h->b, facts);
		h->room--;
	}
	cJSON_Delete(facts);
	return h->room > 0 && !h->b->failed;
}

/* Once for each repository in the life of the file: it may be a successor's, who knows nothing yet. */
static void
read_history(struct bridge *b, const char *repo, const char *cursor)
{
	struct history h = { .b = b, .repo = repo, .room = SUGGEST_ITEMS / (int64_t)b->c->bridge.repos.n + 1 };
	struct err e = { 0 }, why = { 0 };
	int rc;

	b->lesson_ms = clock_mono_ms() + AGAIN_MS;
	gitea_deadline(b->gitea, 0);
	if (matters_begin(&b->m, &why)) {
		desk_failed(b, &why);
		return;
	}
	/* The listing has the newest first. */
	b->lessons.deferred = true;
	rc = gitea_issues(b->gitea, repo, &(struct gitea_issue_query){ .state = "all" }, on_past_issue, &h, &e);
	if (matters_commit(&b->m, &why) || lessons_learn(&b->lessons, &why) ||
	    (rc == 0 && matters_set_cursor(&b->m, cursor, 1, &why)))
		desk_failed(b, &why);
	if (rc && !desk_note(b, rc, &e))
		desk_complain(b, &e);
	if (rc == 0) {
		desk_note(b, 0, NULL);
		b->lesson_ms = 0;
	}
}

/* What our comment there says, and which files it changes, of one that a listing told of. What Gitea refuses is left at that. */
static void
look_up(struct bridge *b, struct matter *x, bool is_pull)
{
	struct err e = { 0 }, why = { 0 };
	cJSON *paths = NULL;
	bool has_record;
	int rc = desk_find(b, x->repo, x->number, x, &has_record, &e) || (is_pull && desk_files(b, x, &paths, &e)) ? -1 : 0;

	if (!desk_note(b, rc, &e) && (matters_round(&b->m, x->repo, x->number, x->round, &why) ||
	    lesson_read(&b->lessons, x, rc ? NULL : paths, &why)))
		desk_failed(b, &why);
	cJSON_Delete(paths);
}

bool
study_step(struct bridge *b)
{
	struct matter x = { 0 };
	struct err e = { 0 };
	char cursor[GITEA_REPO_MAX + 8];
	bool is_pull;
	int rc;

	if (!b->lessons.s || clock_mono_ms() < b->lesson_ms)
		return false;
	for (size_t i = 0; i < b->c->bridge.repos.n; i++) {
		snprintf(cursor, sizeof cursor, "before:%s", b->c->bridge.repos.v[i]);
		if (matters_cursor(&b->m, cursor) == 0) {
			read_history(b, b->c->bridge.repos.v[i], cursor);
			return true;
		}
	}
	b->lesson_ms = clock_mono_ms() + LOOK_UP_MS;
	rc = lesson_unread(&b->lessons, x.repo, &x.number, &is_pull, &e);
	if (rc == 1)
		look_up(b, &x, is_pull);
	else if (rc < 0)
		desk_failed(b, &e);
	matter_release(&x);
	return rc == 1;
}
