/*
 * roff.h - text of --help and of tables as source of manual pages, in the macros of man(7).
 */
#ifndef UW_ROFF_H
#define UW_ROFF_H

struct buf;

/* Paragraphs parted by empty lines. Lines that begin with a space are shown as they are; where they say "TERM  what it
 * is", as a list. `code` and --options stand out. */
void roff_text(struct buf *out, const char *text);

/* Within one line: --options, and WORDS IN CAPITALS, which stand for something. */
void roff_args(struct buf *out, const char *args);

/* So that nothing in s is more than a letter. */
void roff_literal(struct buf *out, const char *s);

#endif
