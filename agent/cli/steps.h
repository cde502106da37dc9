/*
 * steps.h - work in steps that can be looked at before, that go on where they were left, and that say how they are undone.
 *
 * A step is a row: what it does, how one sees that it is done already, how it does it. They run in order; the first that
 * fails ends it, and whoever runs them again goes on from there, since those before find that they are done.
 */
#ifndef UW_STEPS_H
#define UW_STEPS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

struct step {
	const char *name;               /* "package" */
	const char *what;               /* "install the package, with what it depends on" */
	const char *undo;               /* how a person would undo it; NULL: nothing is changed */
	bool (*wanted)(const void *ctx);        /* NULL: always */
	/* Changes nothing. 1: it is done, 0: it is not, -1. NULL: only doing it tells. Both may say in note what they found. */
	int (*done)(void *ctx, struct buf *note, struct err *e);
	int (*act)(void *ctx, struct buf *note, struct err *e);
};

struct steps_opts {
	bool dry_run;                   /* looks where it can, changes nothing */
	bool quiet;                     /* no line for each step on standard output */
};

/* steps ends with name NULL. json (may be NULL) gets a list with an object for each step that was come to: step, state
 * (done, already, planned, failed), note, seconds. 0, or -1 with e, which begins with the step's name. */
int steps_run(const struct step *steps, void *ctx, const struct steps_opts *o, struct buf *json, struct err *e);

#endif
