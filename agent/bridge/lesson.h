/*
 * lesson.h - what the bridge learns from: each issue and pull request, by what it was known, what was suggested for it, and what
 * people made of it. In the bridge's file, beside its matters (matters.h), and like all of that to save work: a successor with an
 * empty file reads it from Gitea again, see desk.c.
 *
 * One teaches when it is closed, or has a label or an assignee that the bridge did not give it: then somebody has looked. What it
 * teaches is what it has by then, and changes with it.
 *
 *   label, assignee   those that it has
 *   category          that of the rule which fitted, while the labels of that rule are there; else that of the first rule whose
 *                     labels are
 *   house             by a label house/NAME; else the one whose task succeeded
 */
#ifndef UW_LESSON_H
#define UW_LESSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "matters.h"
#include "score.h"
#include "suggest.h"

struct err;

#define LESSON_SAY 0.5                  /* what is less likely is not suggested */
#define LESSON_LABELS 3                 /* suggested for one issue */
#define LESSON_PATHS 16                 /* changed files that count */

struct lessons {
	struct db *db;                  /* of the matters */
	const struct config *c;
	struct suggest *s;              /* NULL: nothing is learned, and all below do nothing */
	int q;                          /* its first statement */
	struct score scores[SUGGEST_NKINDS];
	bool scored;                    /* they are up to date */
	bool deferred;                  /* what is seen now is learned by lessons_learn() */
};

/* The matters outlive them. What was learned before is learned again. */
int lessons_open(struct lessons *l, struct matters *m, const struct config *c, struct err *e);
void lessons_close(struct lessons *l);
int lessons_learn(struct lessons *l, struct err *e);    /* all anew, in the order in which people dealt with it */
/* Its number in `s`; 0: not known. */
int64_t lesson_row(struct lessons *l, const char *repo, int64_t number);

/* paths: names of the files that a pull request changes; NULL: not known. */
void lesson_words(struct suggest_words *w, const cJSON *facts, const cJSON *paths);

/* What is suggested where the rule leaves it open, into x->said, and that on disk. */
int lesson_suggest(struct lessons *l, struct matter *x, const struct config_triage *rule, const cJSON *paths, struct err *e);
/* Triaged by somebody before us, as x says. */
int lesson_adopt(struct lessons *l, const struct matter *x, struct err *e);

/* It is so now. 1: something was learned. */
int lesson_see(struct lessons *l, const cJSON *facts, struct err *e);
/* The task of that house succeeded. */
int lesson_house(struct lessons *l, const char *repo, int64_t number, const char *house, struct err *e);

/* Of one that taught, our comment and its files have not been looked at since it was learned of from a listing. 1: there is one. */
int lesson_unread(struct lessons *l, char repo[GITEA_REPO_MAX], int64_t *number, bool *is_pull, struct err *e);
/* They were: x has what its comment says (zero: nothing), paths may be NULL. */
int lesson_read(struct lessons *l, const struct matter *x, const cJSON *paths, struct err *e);

int64_t lessons_count(struct lessons *l);       /* that teach */
/* How right suggestions were, by kind; of what people have made something else of or the same. */
const struct score *lessons_scores(struct lessons *l);
uint64_t lessons_right(const struct score *s);

int lessons_prune(struct lessons *l, struct err *e);

#endif
