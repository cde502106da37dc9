/*
 * broker.h - the broker's files: mosquitto.conf and the access list, made from the configuration.
 *
 * Who may publish and read what comes from the table in topic.h and the names in houses.yaml; every
 * line is for one identity, so a certificate whose name is not in houses.yaml may do nothing. The
 * files suit Mosquitto 2.0.11 and newer.
 */
#ifndef UW_BROKER_H
#define UW_BROKER_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct config;
struct err;

#define BROKER_PORT 8883
#define BROKER_WS_PORT 8884

struct broker {
	const char *dir;        /* absolute: mosquitto.conf and acl, and data/ for the broker's own database */
	const char *bind;       /* address to listen on; NULL: all */
	int port, ws_port;      /* ws_port 0: no listener for WebSockets */
	const char *pki_dir;    /* absolute: ca.crt, ca.crl, <cert>.crt, <cert>.key */
	const char *cert;       /* "broker" */
	const char *user;       /* the broker runs as; NULL: whoever starts it */
	const char *log;        /* absolute file; NULL: standard error */
};

void broker_conf_put(struct buf *out, const struct config *c, const struct broker *b);
void broker_acl_put(struct buf *out, const struct config *c);
/* The block of one: "user NAME", then its lines. */
void broker_acl_identity_put(struct buf *out, const struct config *c, const char *identity);

/* Bytes of a payload that the broker has to take. */
int64_t broker_message_size(const struct config *c);

/* Writes both files, for the user b->user if this process may give files away. *changed: a running broker
 * has to be told (SIGHUP; of mosquitto.conf it re-reads most, not the listeners). */
int broker_write(const struct config *c, const struct broker *b, bool *changed, struct err *e);

/* Where mosquitto is: in PATH or where packages put it; NULL if nowhere. Caller frees. */
char *broker_program(void);

#endif
