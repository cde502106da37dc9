/*
 * notes.h - what a tool read and wrote, and what proves it.
 *
 * Tools call these while they run; nothing happens, and nothing is computed, when nobody asked for notes
 * (r->notes is NULL: the task has no terms). At most NOTES_MAX entries are kept: what is left out is
 * counted, and what was not noted counts as not read.
 *
 *   {"reads":[{"kind","name","sha256"}],"writes":[...],
 *    "proof":{"ok":true,"checks":[{"check":"file_hash","name":...,"ok":true,"found":...}]},"left_out":n}
 *
 * Kinds and names are those of plan.h, so that a read can be compared with what a later plan would
 * overwrite.
 */
#ifndef UW_NOTES_H
#define UW_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "plan.h"

struct tool_run;

#define NOTES_MAX 64
#define NOTES_BYTES 48000u      /* all entries together, as JSON; less than FRAME_NOTES_MAX */

struct notes {
	struct buf reads, writes, checks;
	size_t n;
	int64_t left_out;
	bool proved, ok;        /* proof was looked for; it holds */
};

void notes_release(struct notes *n);

/* Whether somebody wants to know: before work that is done for notes alone. */
bool notes_wanted(const struct tool_run *r);

/* digest may be NULL or empty: nothing there. */
void note_read(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest);
void note_write(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest);

/* One check of prove(): what was looked at, and what was found there. Returns 0 if it holds, else -1 with
 * ERR_UNPROVEN, which says what was expected. found may be NULL. */
int note_check(struct tool_run *r, const char *check, const char *name, bool holds, const char *found,
    const char *expected, struct err *e);

/* The object above; without "proof" if there was none. */
void notes_put(struct buf *b, const struct notes *n);

#endif
