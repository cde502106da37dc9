/*
 * hermes_out.h - from the book to the agent's telemetry topic, agent/<agent>/telemetry/hermes, by a connection of its own.
 *
 * QoS 1, so that it is known what the broker has: only that leaves the book. After a lost connection the rest is sent again,
 * with the same numbers.
 */
#ifndef UW_HERMES_OUT_H
#define UW_HERMES_OUT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "dial.h"
#include "hermes_book.h"
#include "mqtt.h"

#define HERMES_FLIGHT_MAX 32            /* messages sent and not acknowledged */

struct hermes_out {
	const struct config *config;
	const char *agent;
	struct hermes_book *book;
	char topic[TOPIC_MAX], client_id[80];
	struct dial dial;
	struct mqtt *mqtt;
	struct mqtt_known known[CONFIG_MAX_BROKERS];
	bool up, lost;
	char why[500];
	struct {
		int mid;
		int64_t upto;           /* the number of its last event */
		bool arrived;
	} flight[HERMES_FLIGHT_MAX];
	int nflight;
	int64_t sent, arrived;          /* up to these numbers; 0: none */
	struct buf text;
};

void hermes_out_init(struct hermes_out *o, const struct config *c, const char *agent, struct hermes_book *book);
void hermes_out_release(struct hermes_out *o);

/* What to wait for, and how long at most. */
void hermes_out_wants(const struct hermes_out *o, struct pollfd *p, int *timeout_ms);

/* Connects if need be, reads, writes. -1 with e only if the book or the configuration (its certificates) is at fault. */
int hermes_out_run(struct hermes_out *o, struct err *e);

/* Sends what has been committed. */
int hermes_out_send(struct hermes_out *o, struct err *e);

#endif
