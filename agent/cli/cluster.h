/*
 * cluster.h - a whole cluster on this machine, under one directory: a broker and the agents of
 * houses.yaml as daemons on loopback ports, with certificates for everybody.
 *
 *   houses.yaml   the configuration; written once, then the user's
 *   env           shell variables for commands and Mosquitto's clients
 *   pki/ broker/ state/ run/ log/ work/ tools.d/
 *
 * One command at a time changes a cluster: the others wait at a lock.
 */
#ifndef UW_CLUSTER_H
#define UW_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "topic.h"

struct config;
struct err;

#define CLUSTER_HOUSES "timmy,ezra,bezalel,allegro"
#define CLUSTER_HOST "127.0.0.1"
#define CLUSTER_BROKER "broker"         /* its name among the daemons, and its certificate's */

struct cluster {
	char *dir;                      /* absolute */
	struct config *config;
	int port, ws_port;
	int lock;                       /* -1: not held */
	char failed[NAME_MAX_LEN + 1];  /* whose log says why; empty: nobody's */
};

/* One that is there: ERR_NOT_FOUND if dir has none. */
int cluster_open(struct cluster *c, const char *dir, struct err *e);
void cluster_release(struct cluster *c);

/* Makes what is missing and starts what does not run; returns when every agent is ready. houses NULL: as they
 * are, or CLUSTER_HOUSES; agents_per_house 0: as they are, or 1. On failure too the caller releases c. */
int cluster_up(struct cluster *c, const char *dir, const char *houses, int agents_per_house, struct err *e);

/* Ends everything, by force where it must be. *killed counts what was left of agents that had died. */
int cluster_down(const char *dir, int *stopped, int *killed, struct err *e);

/* Ends one, if it lives, and starts it; returns when it is ready. */
int cluster_restart(struct cluster *c, const char *name, struct err *e);

struct cluster_member {
	char name[NAME_MAX_LEN + 1];
	const char *house;              /* NULL: the broker */
	pid_t pid;                      /* 0: does not run */
	const char *state;              /* "running", "died", "stopped" */
	bool ready;
	int64_t since_ms;
};

size_t cluster_count(const struct cluster *c);
void cluster_member(const struct cluster *c, size_t i, struct cluster_member *out);

#endif
