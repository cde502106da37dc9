#include "pace.h"

#define WINDOW_MIN 16
#define WINDOW_START 64
#define AGE_US 10000000         /* so often the fastest answer is taken for 1 % slower: a path may have changed */

static int
smaller(int a, int b)
{
	return a < b ? a : b;
}

int
pace_window(struct pace *p, int64_t unanswered)
{
	if (!p->window)
		p->window = WINDOW_START;
	if (unanswered > PACE_FEW && !p->many) {
		p->many = true;
		p->window = smaller(p->window, WINDOW_START);
	}
	if (unanswered == 0)
		p->many = false;
	return p->window;
}

static void
learn(struct pace *p, int64_t now_us, int64_t lag_us)
{
	if (!p->fastest_us || lag_us < p->fastest_us) {
		p->fastest_us = lag_us;
		p->aged_us = now_us;
	} else if (now_us - p->aged_us >= AGE_US) {
		p->fastest_us += p->fastest_us / 100 + 1;
		p->aged_us = now_us;
	}
}

/* Of many: up slowly, down in proportion, but no further than to the half, for one slow answer tells little. */
void
pace_answer(struct pace *p, int64_t now_us, int64_t lag_us)
{
	int64_t window = p->window, limit_us;

	learn(p, now_us, lag_us);
	limit_us = p->fastest_us * 3 / 2;
	if (!p->many)
		window *= 2;
	else if (lag_us <= limit_us)
		window += 1 + window / 16;
	else if (lag_us < 2 * limit_us)
		window = window * limit_us / lag_us;
	else
		window /= 2;
	p->window = window < WINDOW_MIN ? WINDOW_MIN : smaller((int)window, PACE_FEW);
}

void
pace_forget(struct pace *p)
{
	p->fastest_us = 0;
	p->window = 0;
}
