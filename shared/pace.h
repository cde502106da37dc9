/*
 * pace.h - how many tasks a sender has out at a time: sent, and not answered yet. They stand in line before everybody
 * else's.
 *
 * A few go out as fast as they are answered. Whoever has more than PACE_FEW has time, and keeps the line short: it has as
 * many out as do not make an answer take more than half as long again as the fastest did. So it takes what is left over, and little of
 * what others need.
 *
 * The idea is that of LEDBAT (RFC 6817) and TCP Vegas: the delay is the signal, nothing has to be lost.
 */
#ifndef UW_PACE_H
#define UW_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_FEW 2048           /* and the most that are out at a time */

/* All zero: nothing is known yet. */
struct pace {
	bool many;              /* more than PACE_FEW wait, or did and are not through yet */
	int window;
	int64_t fastest_us;     /* answer; 0: there was none. It ages. */
	int64_t aged_us;
};

/* How many may be out while so many have no answer yet, sent or not. */
int pace_window(struct pace *p, int64_t unanswered);

/* An answer came after lag_us: of one task in each round, sent after the last such answer. */
void pace_answer(struct pace *p, int64_t now_us, int64_t lag_us);

/* Another connection: how long an answer takes there is to be seen. */
void pace_forget(struct pace *p);

#endif
