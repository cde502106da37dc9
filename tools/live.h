/*
 * live.h - what a tool writes while it runs, on its way out of the worker: secrets masked, made valid UTF-8, bounded.
 *
 * Output never holds up the tool: it is handed on at LIVE_RATE at most, in pieces; of what has to wait the last
 * LIVE_KEEP bytes are kept, and a line in the text says how much was left out before them. So a tool that floods its
 * output and then fails is still heard to the end.
 */
#ifndef UW_LIVE_H
#define UW_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define LIVE_RATE (256 << 10)           /* bytes a second ... */
#define LIVE_BURST (512 << 10)          /* ... after so many at once */
#define LIVE_KEEP (64u << 10)
#define LIVE_PIECE 8192u
#define LIVE_NOTE 200                   /* bytes of the text beside a percentage */
#define LIVE_QUIET_MS 500               /* of an attempt that is over sooner no progress is told ... */
#define LIVE_TELL_MS 250                /* ... and of any so often at most */

struct config;

struct live {
	const struct config *config;    /* whose secrets are masked; NULL: none */
	struct buf said;                /* may be the beginning of a secret, or of a character */
	struct buf text;                /* may go */
	size_t left_out;                /* bytes before it */
	int64_t tokens, at_ms;

	int64_t begun_ms, told_ms;
	int percent;                    /* -1: not known */
	char note[LIVE_NOTE + 1];
	bool news;
};

/* One attempt begins. */
void live_begin(struct live *l, const struct config *c, int64_t now_ms);
void live_release(struct live *l);

void live_add(struct live *l, const char *text, size_t len);
/* No more will come. */
void live_end(struct live *l);

/* The first piece that may go now; 0: none. last: at whatever rate. It stays until live_drop(). */
size_t live_peek(struct live *l, int64_t now_ms, bool last, const char **text);
void live_drop(struct live *l, size_t len);

/* percent -1: not known. note NULL: none. Cut to what fits. */
void live_progress(struct live *l, int percent, const char *note);
/* True if it should be told now; percent and note say what. */
bool live_has_news(struct live *l, int64_t now_ms);

/* Lines of a tool's output that begin with a word of its manifest are progress: "WORD 40 copying" or "WORD copying". The
 * rest goes through. */
struct live_lines {
	const char *word;
	struct buf line;                /* its beginning, which may be the word */
	bool inside;                    /* a line that is not progress */
	void (*text)(void *arg, const char *text, size_t len);
	void (*progress)(void *arg, int percent, const char *note);
	void *arg;
};

void live_lines_add(struct live_lines *l, const char *text, size_t len);
void live_lines_end(struct live_lines *l);

#endif
