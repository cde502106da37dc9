#include "histogram.h"

static const int64_t ends[HISTOGRAM_NENDS] = {
#define X(us) us,
	HISTOGRAM_ENDS(X)
#undef X
};

int64_t
histogram_end_us(int i)
{
	return ends[i];
}

void
histogram_add(struct histogram *h, int64_t us)
{
	int i = 0;

	if (us < 0)
		us = 0;
	while (i < HISTOGRAM_NENDS && us > ends[i])
		i++;
	h->count[i]++;
	h->sum_us += (uint64_t)us;
}
