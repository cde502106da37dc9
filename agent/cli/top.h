/*
 * top.h - what `uni-wizard top` knows, and how it is laid out on pages.
 */
#ifndef UW_TOP_H
#define UW_TOP_H

#include "board.h"
#include "houses.h"
#include "known.h"
#include "page.h"
#include "recent.h"

#define TOP_STALE_MS 3500               /* heartbeats come each second */
#define TOP_OUTPUT_MAX (64u << 10)      /* of the task that is looked at, its end */

struct top_output {
	struct buf text;
	int attempt;
	int64_t next;                   /* offset */
};

struct top {
	const struct config *config;
	struct houses houses;
	struct known known;
	struct board board;
	struct recent recent;
	double rate;                    /* tasks that ended, a second */

	bool up;                        /* the connection */
	char why_down[400];
	int64_t changed_ms;             /* when that changed */
	int64_t heard_ms, heard_wall_ms;        /* an agent; 0: none yet */

	const struct config_house *house;       /* only of it; NULL: of all */
	int group;                      /* only these tasks; -1: of all a few */
	char open[PAGE_KEY_MAX];        /* what is looked at closely; "": everything at a glance */
	cJSON *task;                    /* of that, what its house answered last */
	struct top_output output;
};

/* The first line: where, and whether what is seen is so. */
void top_put_bar(struct page *p, const struct top *t, int64_t now_ms);
/* What goes into so many lines, if it must. */
void top_put_glance(struct page *p, const struct top *t, int lines);
/* What t->open names. */
void top_put_open(struct page *p, const struct top *t);
void top_put_help(struct page *p);

/* "task", "approval", ...: what a line's key is about, and after the colon its name; NULL if it is about something else. */
const char *top_key_name(const char *key, const char *kind);

#endif
