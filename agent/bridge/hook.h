/*
 * hook.h - takes webhooks: POST /gitea, signed with HMAC-SHA256 over the body.
 *
 * Answers at once and leaves the rest to whoever calls hook_take(). What cannot be told apart from Gitea's own is refused:
 * 401 without the right signature, 409 for a delivery that came before, 413 past HOOK_BODY_MAX, 503 when HOOK_QUEUE wait.
 * A delivery that is lost is no loss: the repositories are polled too.
 */
#ifndef UW_HOOK_H
#define UW_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct hook;

#define HOOK_BODY_MAX (1u << 20)
#define HOOK_QUEUE 256
#define HOOK_QUEUE_BYTES (16u << 20)
#define HOOK_SEEN 4096                  /* deliveries that are known again */
#define HOOK_ID_MAX 64

/* In the time that it takes for any signature. False for an empty key or signature. */
bool hook_is_signed(const char *key, const char *signature, const void *body, size_t len);

struct hook_counts {
	uint64_t taken, unsigned_, repeated, too_big, strange, full;
};

struct hook_delivery {
	char id[HOOK_ID_MAX + 1], event[32];
	char *body;                     /* the caller frees it */
	size_t len;
	int64_t at_ms;                  /* wall */
};

/* listen: "address:port". It listens, or tries again in hook_second(). key: copied. */
struct hook *hook_open(const char *listen, const char *key);
void hook_close(struct hook *h);        /* NULL is fine */
bool hook_listen(struct hook *h, struct err *e);        /* true if it does now */

void hook_know(struct hook *h, const char *id); /* a delivery that a former life took */
bool hook_take(struct hook *h, struct hook_delivery *out);
void hook_count(struct hook *h, struct hook_counts *out);

#endif
