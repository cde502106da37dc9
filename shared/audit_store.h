/*
 * audit_store.h - reading an audit chain out of an agent's database, as the lines in which it is handed on.
 *
 * {"type":"audit",...} says which chain it is, {"type":"audit_page",...} is a page. The agent answers in them, and a
 * file of an exported chain consists of them; see docs/protocol.md.
 */
#ifndef UW_AUDIT_STORE_H
#define UW_AUDIT_STORE_H

#include <stdint.h>

#include "db.h"

struct buf;

#define AUDIT_STORE_CHECKPOINT "audit_checkpoint"       /* in the table meta */

/* first: of the statements, for the others. */
int audit_store_prepare(struct db *d, int *first, struct err *e);

/* Members that say where the chain begins and ends, and which keys have signed it. */
void audit_store_put_chain(struct db *d, int first, struct buf *b);

/* Pages from that number on, a few at a time, each on a line that line() has begun. Returns where to go on, 0 at the
 * end. */
int64_t audit_store_pages(struct db *d, int first, int64_t page, struct buf *(*line)(void *arg), void *arg);

/* The first page that is not older; about, for clocks jump. */
int64_t audit_store_page_at(struct db *d, int first, int64_t ms);

#endif
