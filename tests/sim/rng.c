/*
 * rng.c - xoroshiro128+ (Blackman, Vigna 2018), seeded by splitmix64.
 */
#include "sim.h"

static uint64_t
splitmix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void
rng_seed(struct rng *r, uint64_t seed, uint64_t of)
{
	uint64_t x = seed * 1000003 + of;

	r->s[0] = splitmix(&x);
	r->s[1] = splitmix(&x);
}

static uint64_t
rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t
rng_next(struct rng *r)
{
	uint64_t a = r->s[0], b = r->s[1];

	r->s[0] = rotate(a, 24) ^ (a ^ b) ^ (a ^ b) << 16;
	r->s[1] = rotate(a ^ b, 37);
	return (a + b) >> 3;
}

int64_t
rng_between(struct rng *r, int64_t min, int64_t max)
{
	return min + (int64_t)(rng_next(r) % (uint64_t)(max - min + 1));
}

bool
rng_chance(struct rng *r, int permille)
{
	return (int)(rng_next(r) % 1000) < permille;
}
