#include "hist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static unsigned
bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < 2u << HIST_SUB_BITS)
		return (unsigned)value;
	shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
	return (shift << HIST_SUB_BITS) + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t
bucket_top(unsigned i)
{
	unsigned shift = i >> HIST_SUB_BITS;

	if (i < 2u << HIST_SUB_BITS)
		return i;
	shift--;
	return ((uint64_t)(i - (shift << HIST_SUB_BITS)) << shift) + ((uint64_t)1 << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t value)
{
	h->count[bucket_of(value)]++;
	h->total++;
	if (value > h->max)
		h->max = value;
}

uint64_t
hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->total + 0.999999), seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen && seen >= want)
			return bucket_top(i) < h->max ? bucket_top(i) : h->max;
	}
	return h->max;
}

int
hist_load(struct hist *h, const char *path)
{
	uint64_t value, n;
	FILE *f = fopen(path, "r");

	if (!f)
		return errno == ENOENT ? 0 : -1;
	while (fscanf(f, "%" SCNu64 " %" SCNu64, &value, &n) == 2) {
		h->count[bucket_of(value)] += n;
		h->total += n;
		if (value > h->max)
			h->max = value;
	}
	fclose(f);
	return 0;
}

/* The maximum is written as it is, not as the top of its bucket. */
static void
print_bucket(FILE *f, const struct hist *h, unsigned i)
{
	if (h->count[i])
		fprintf(f, "%" PRIu64 " %" PRIu64 "\n", bucket_top(i) < h->max ? bucket_top(i) : h->max, h->count[i]);
}

int
hist_save(const struct hist *h, const char *path)
{
	struct hist sum = *h;
	FILE *f;

	if (hist_load(&sum, path) || !(f = fopen(path, "w")))
		return -1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		print_bucket(f, &sum, i);
	return fclose(f);
}
