/*
 * doctor_wire.h - a connection to a broker that tells at which step it failed, and sees what others do not: the
 * answers of MQTT 5 to each packet. It never completes a QoS 2 publish, so the broker says whether it would take
 * one and delivers it to nobody.
 *
 * It blocks, each call at most the time that it is given.
 */
#ifndef UW_DOCTOR_WIRE_H
#define UW_DOCTOR_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct wire;

/* What was being done when it failed. */
enum wire_step {
	WIRE_NAME,
	WIRE_TCP,
	WIRE_TLS,                       /* the broker's certificate, or no TLS at all */
	WIRE_SAN,                       /* a good certificate, of other hosts */
	WIRE_CLIENT,                    /* the broker broke off TLS over our certificate */
	WIRE_MQTT,                      /* CONNACK: a reason, or none */
	WIRE_OLD,                       /* it speaks no MQTT 5 */
	WIRE_FILES,                     /* our own certificates cannot be used */
};

struct wire_opts {
	const char *host;
	int port;
	const char *cafile;
	const char *certfile, *keyfile; /* NULL: none */
	int keepalive_s;
	int limit_ms;                   /* for each step */
};

/* What the broker said of itself; -1: it did not. */
struct wire_connack {
	int64_t receive_max, max_packet, keepalive_s, max_qos;
};

/* NULL with *step and e when it failed. */
struct wire *wire_open(const struct wire_opts *o, enum wire_step *step, struct err *e);
void wire_close(struct wire *w);

const struct wire_connack *wire_connack(const struct wire *w);

/* Days until the broker's certificate ends. */
int wire_cert_days(const struct wire *w);

/* QoS 2: the broker's reason, < 0x80 if it would take it. It does not get it. -1: no answer. */
int wire_try(struct wire *w, const char *topic, struct err *e);

/* QoS 0, for real. */
int wire_publish(struct wire *w, const char *topic, const char *text, struct err *e);

/* QoS 0. Returns the broker's reason, < 0x80 if granted; -1: no answer. */
int wire_subscribe(struct wire *w, const char *filter, struct err *e);

struct wire_message {
	char topic[256];
	const char *payload;            /* valid until the next call */
	size_t len;
	int retained;
};

/* The next message: 1; none in that time: 0; -1: the connection is gone. */
int wire_read(struct wire *w, int limit_ms, struct wire_message *m, struct err *e);

#endif
