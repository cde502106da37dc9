/*
 * mqtt.h - one connection to a broker, driven by the caller's loop.
 *
 * The point of this module is when a PUBACK leaves: libmosquitto, marked as threaded but driven by
 * hand, queues it until mqtt_write(). So: mqtt_read() everything, commit, then mqtt_write(). Between
 * the first message read and the commit mqtt_write() must not be called; mqtt_hold() asserts that.
 *
 * A connection object lives for one connection. When it ends (on_down) nothing is sent again by
 * itself: the caller's outbox does that. mqtt_connect() then makes a new one; it reads certificates
 * anew, so rotated ones are taken up.
 *
 * MQTT 5 is tried first. A broker that refuses it, or closes at once, is spoken to in MQTT 3.1.1 from the next
 * connection on: then there are no properties, and nobody says that nobody listens.
 *
 * Nothing here blocks: names are resolved by the caller's loop (address is numeric), TCP and TLS
 * are asynchronous.
 */
#ifndef UW_MQTT_H
#define UW_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct mqtt;

struct mqtt_msg {
	const char *topic;
	const void *payload;            /* payload[len] is a NUL, not part of it */
	size_t len;
	int mid;                        /* the broker's packet id; 0 for QoS 0 */
	int qos;
	bool retained;
	const char *response_topic;     /* MQTT 5; NULL: none */
	const void *correlation;        /* MQTT 5 */
	size_t correlation_len;
};

/* What is known of a broker's version; all zero in the beginning. It outlives the connections: one for each broker. */
struct mqtt_known {
	bool old;                       /* it said that it does not speak MQTT 5 */
	unsigned char closed;           /* so often it closed at once, and said nothing */
	bool again;                     /* the connection ended for this reason: the other version may be tried at once */
};

struct mqtt_opts {
	const char *client_id;
	const char *host;               /* as in the configuration: the certificate must name it */
	const char *address;            /* numeric, resolved from host */
	int port;
	const char *cafile, *certfile, *keyfile;
	struct mqtt_known *known;       /* NULL: MQTT 5 and nothing else */
	int keepalive_s;                /* at least 5 */
	uint32_t session_expiry_s;      /* 0: clean session */
	bool clean;                     /* forget a former session */
	uint16_t receive_max;           /* QoS 1 messages the broker may have in flight to us */
	uint32_t max_packet;
	const char *will_topic;         /* NULL: none; retained, QoS 1 */
	const void *will;
	size_t will_len;
	void *arg;
	void (*on_up)(void *arg, bool session_present);
	void (*on_down)(void *arg, const char *why);            /* once; the object is dead after it */
	void (*on_message)(void *arg, const struct mqtt_msg *m);
	/* QoS 1 publish number mid is in the broker's hands; reason >= 0x80: refused; 0x10: nobody subscribed */
	void (*on_sent)(void *arg, int mid, int reason);
	void (*on_subscribed)(void *arg, int mid, int granted); /* granted >= 0x80: refused */
};

/* Starts connecting. Returns NULL with e when that cannot even begin (certificates unreadable...). */
struct mqtt *mqtt_connect(const struct mqtt_opts *o, struct err *e);

/* Sends a DISCONNECT if it can (no will then), closes, frees. NULL is fine. Callbacks are not called. */
void mqtt_close(struct mqtt *m, bool polite);

int mqtt_fd(const struct mqtt *m);              /* -1 when down */
bool mqtt_want_write(const struct mqtt *m);
bool mqtt_is_up(const struct mqtt *m);
bool mqtt_is_v5(const struct mqtt *m);

/* Reads until nothing is left, or `budget` messages came; a large one counts as several. True if there may be
 * more, which poll() need not show. */
bool mqtt_read(struct mqtt *m, int budget);

/* Everything read so far is on disk: PUBACKs and publishes may go. Writes until the socket is full. */
void mqtt_write(struct mqtt *m);

/* Keepalive; call about once a second. */
void mqtt_tick(struct mqtt *m);

/* Without MQTT 5 response topic, correlation and expiry are left out. Queues a publish; returns its mid (> 0), or -1 with e: ERR_INVALID if this broker will never take it (too large,
 * a bad topic), else the connection is at fault. payload is copied. */
int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, int qos, bool retain,
    const char *response_topic, const void *correlation, size_t correlation_len, uint32_t expiry_s,
    struct err *e);
int mqtt_subscribe(struct mqtt *m, const char *filter, int qos, struct err *e);
/* What fails is for the connection's end to show. */
void mqtt_unsubscribe(struct mqtt *m, const char *filter);

#endif
