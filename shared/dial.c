#include "dial.h"

#include <string.h>

#include "buf.h"

#define LIMIT_ONLY_MS 10000             /* with one broker, there is nothing better to do than to wait */
#define LIMIT_NEXT_MS 3000
#define LOOKUP_MS 1000                  /* then an address of before serves */
#define POLL_MS 100
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000

void
dial_init(struct dial *d, const struct config *c)
{
	*d = (struct dial){ .config = c };
	for (size_t i = 0; i < c->nbrokers; i++)
		d->addresses[i].host = c->brokers[i].host;
}

void
dial_release(struct dial *d)
{
	for (size_t i = 0; d->config && i < d->config->nbrokers; i++)
		address_release(&d->addresses[i]);
}

const struct config_broker *
dial_broker(const struct dial *d)
{
	return &d->config->brokers[d->broker];
}

bool
dial_is_late(const struct dial *d, int64_t now_ms)
{
	return d->begun_ms && now_ms - d->begun_ms > (d->config->nbrokers > 1 ? LIMIT_NEXT_MS : LIMIT_ONLY_MS);
}

static bool
is_known(const struct dial *d, const struct address *a, int64_t now_ms)
{
	return !a->looking || (a->n && now_ms - d->begun_ms >= LOOKUP_MS);
}

const char *
dial_address(struct dial *d, int64_t now_ms)
{
	struct address *a = &d->addresses[d->broker];

	if (now_ms < d->retry_ms)
		return NULL;
	if (d->left)
		return address_text(a);
	if (!d->begun_ms) {
		d->begun_ms = now_ms;
		address_look(a);
	}
	address_read(a);
	if (is_known(d, a, now_ms) && a->n) {
		d->left = a->n;
		return address_text(a);
	}
	if (!a->looking || dial_is_late(d, now_ms))
		dial_failed(d, a->looking ? "its name is not resolved" : a->why, now_ms);
	return NULL;
}

int64_t
dial_wait_ms(const struct dial *d, int64_t now_ms)
{
	if (d->retry_ms > now_ms)
		return d->retry_ms - now_ms;
	return d->addresses[d->broker].looking ? POLL_MS : 0;
}

int
dial_fd(const struct dial *d)
{
	const struct address *a = &d->addresses[d->broker];

	return a->looking && d->begun_ms ? a->fd : -1;
}

static void
next_broker(struct dial *d, int64_t now_ms)
{
	int rounds = d->failures / (int)d->config->nbrokers;
	int64_t wait = RETRY_MIN_MS << (rounds > 5 ? 5 : rounds);

	d->failures++;
	d->retry_ms = now_ms + (wait > RETRY_MAX_MS ? RETRY_MAX_MS : wait);
	d->broker = (d->broker + 1) % d->config->nbrokers;
	d->begun_ms = 0;
	d->left = 0;
}

static void
note(struct dial *d, const char *why)
{
	snprintf(d->why[d->broker], sizeof d->why[0], "%.*s", (int)sizeof d->why[0] - 1, why);
}

void
dial_succeeded(struct dial *d)
{
	d->failures = 0;
	d->begun_ms = 0;
	d->left = 0;
	memset(d->why, 0, sizeof d->why);
}

void
dial_failed(struct dial *d, const char *why, int64_t now_ms)
{
	note(d, why);
	address_next(&d->addresses[d->broker]);
	if (d->left > 1 && !dial_is_late(d, now_ms))
		d->left--;
	else
		next_broker(d, now_ms);
}

void
dial_lost(struct dial *d, const char *why, int64_t now_ms)
{
	note(d, why);
	next_broker(d, now_ms);
}

void
dial_why(const struct dial *d, char *out, size_t size)
{
	struct buf b = { .max = 4096 };

	for (size_t i = 0; i < d->config->nbrokers; i++)
		if (d->why[i][0])
			buf_addf(&b, "%s%s:%d: %s", b.len ? "; " : "", d->config->brokers[i].host, d->config->brokers[i].port,
			    d->why[i]);
	snprintf(out, size, "%.*s", (int)size - 1, buf_str(&b));
	buf_free(&b);
}
