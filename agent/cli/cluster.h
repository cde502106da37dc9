/*
 * cluster.h - a whole cluster on this machine, under one directory: brokers and the agents of houses.yaml as
 * daemons on loopback ports, with certificates for everybody.
 *
 *   houses.yaml   the configuration; written once, then the user's
 *   env           shell variables for commands and Mosquitto's clients
 *   pki/ broker/ broker-2/ state/ run/ log/ work/ tools.d/
 *
 * One command at a time changes a cluster: the others wait at a lock.
 */
#ifndef UW_CLUSTER_H
#define UW_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

struct err;

#define CLUSTER_HOUSES "timmy,ezra,bezalel,allegro"
#define CLUSTER_HOST "127.0.0.1"
#define CLUSTER_BROKER "broker"         /* the first one's name, and that of the certificate of all */

struct cluster_broker {
	char name[NAME_MAX_LEN + 1];    /* "broker", "broker-2", ... */
	int port, ws_port;
};

struct cluster {
	char *dir;                      /* absolute */
	struct config *config;
	struct cluster_broker brokers[CONFIG_MAX_BROKERS];      /* in the configuration's order */
	size_t nbrokers;
	int lock;                       /* -1: not held */
	char failed[NAME_MAX_LEN + 1];  /* whose log says why; empty: nobody's */
};

struct cluster_up {
	const char *dir;
	const char *houses;             /* NULL: as they are, or CLUSTER_HOUSES */
	int agents_per_house, brokers;  /* 0: as they are, or 1 */
	void (*on_wait)(void *arg, const char *houses);         /* still without an owner */
	void *arg;
};

/* One that is there: ERR_NOT_FOUND if dir has none. */
int cluster_open(struct cluster *c, const char *dir, struct err *e);
void cluster_release(struct cluster *c);

/* Makes what is missing and starts what does not run; returns when every agent is ready and every house has an
 * owner. On failure too the caller releases c. */
int cluster_up(struct cluster *c, const struct cluster_up *o, struct err *e);

/* Ends everything, by force where it must be. *killed counts what was left of agents that had died. */
int cluster_down(const char *dir, int *stopped, int *killed, struct err *e);

/* What can be done to one member. */
enum cluster_verb {
	CLUSTER_START,                  /* if it does not run; returns when it is ready */
	CLUSTER_STOP,                   /* asks it to end, by force at last */
	CLUSTER_RESTART,
	CLUSTER_KILL,                   /* without a word: it looks as if it had died */
	CLUSTER_FREEZE,                 /* stands still, with all its connections, until it thaws */
	CLUSTER_THAW,
};

/* name may be "broker-1" for the first broker. */
int cluster_do(struct cluster *c, enum cluster_verb verb, const char *name, struct err *e);

struct cluster_member {
	char name[NAME_MAX_LEN + 1];
	const char *kind;               /* "broker", "agent", "witness" */
	const char *house;              /* of an agent; else NULL */
	pid_t pid;                      /* 0: does not run */
	const char *state;              /* "running", "frozen", "died", "stopped" */
	bool ready;
	int64_t since_ms;
};

/* The brokers, the agents, the witnesses. */
size_t cluster_count(const struct cluster *c);
void cluster_member(const struct cluster *c, size_t i, struct cluster_member *out);
bool cluster_has_broker(const struct cluster *c);       /* that runs */

#endif
