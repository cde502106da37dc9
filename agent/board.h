/*
 * board.h - alerts as they are heard, and what people said of them: seen (ack), or silenced for a time.
 *
 * What an agent has not said again within the time that it gave is over: the agent is gone, and somebody else says so. That
 * time begins when it is heard, for clocks differ.
 */
#ifndef UW_BOARD_H
#define UW_BOARD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "alert.h"
#include "buf.h"
#include "topic.h"

#define BOARD_ALERTS 4096
#define BOARD_MUTES 1024
#define ALERT_NAME_MAX 64                       /* "queue-age.ezra" */

struct board_alert {
	char agent[NAME_MAX_LEN + 1], name[ALERT_NAME_MAX];
	enum alert_kind kind;
	cJSON *o;                               /* as it was said last */
	bool raised;
	int64_t since_ms, until_ms;             /* wall */
	int64_t told_ms;                        /* for whoever passes it on: the raising that he told; 0: none */
	int64_t told_mute_ms;                   /* and until when he told that it is muted */
};

struct board_mute {
	char who[NAME_MAX_LEN + 1], name[ALERT_NAME_MAX];
	cJSON *o;
	bool ack;
	int64_t at_ms, until_ms;
};

struct board {
	struct board_alert *alerts;
	struct board_mute *mutes;
	size_t nalerts, nmutes;
};

void board_release(struct board *b);
/* One message of a subscription. True if it was about an alert or a mute. */
bool board_take(struct board *b, const char *cluster, const char *topic, const char *payload, size_t len, int64_t now_ms);
/* A new connection: what is still so the broker gives again, at once. What is not heard until then is over; mutes count from when they
 * are heard again. */
void board_doubt(struct board *b, int64_t until_ms);
bool board_is_raised(const struct board_alert *a, int64_t now_ms);
/* Who wants to hear no more of it, NULL: nobody. An ack is for this raising alone. */
const struct board_mute *board_mute(const struct board *b, const struct board_alert *a, int64_t now_ms);
/* Members of an object: all that is known, and what to do. Texts are ours, not what came: they go into headers of mails. */
void board_put(struct buf *out, const struct board *b, const struct board_alert *a, int64_t now_ms);
/* "queue-age" or "queue-age.ezra": the kind, ALERT_COUNT if the name is none. */
enum alert_kind board_name_kind(const char *name);

#endif
