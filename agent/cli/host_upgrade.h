/*
 * host_upgrade.h - another version of the program on one host, and the former one again if it does not do well.
 *
 *   watch.c          the cluster meanwhile: who owns what, who is in step, who speaks which protocol; moving houses
 *   host_upgrade.c   the steps on one host
 *   cmd_host_upgrade.c   which hosts, in which order
 *
 * On the host packages are in /var/cache/uni-wizard, root's alone: the one that is installed and the one before. It is not in the
 * agent's own directory, for whoever had the agent could put another package there for root to install.
 */
#ifndef UW_HOST_UPGRADE_H
#define UW_HOST_UPGRADE_H

#include "buf.h"
#include "err.h"
#include "ssh.h"
#include "watch.h"

#define UPGRADE_CACHE "/var/cache/uni-wizard"

/* What was found on a host. */
struct upgrade_look {
	char arch[24], installed[64];   /* of the package; "": it is not installed */
	int order;                      /* of the installed version to the new one: -1 older, 0 the same, 1 newer */
	bool begun;                     /* an upgrade was cut off: units wait to be started */
	int64_t free_bytes, store_bytes;
	int store;                      /* the highest version of an agent's database, as far as it can be seen; 0: not */
};

struct upgrade {
	struct watch *watch;
	const char *package;            /* file here */
	const char *file;               /* its name */
	struct buf data;
	char sha256[65];
	char version[64], arch[24];     /* of the package */
	int64_t within_ms;              /* until agents must be well again */
	bool gap;                       /* houses may be without an owner meanwhile */
	/* Of the host that it is about: */
	const struct config_host *host;
	struct ssh ssh;
	struct upgrade_look look;
	char program[64], former[64];   /* versions as heartbeats say them: of the package's program, and of before */
	bool touched;                   /* something was stopped: if it fails now, it is brought back */
	bool back;                      /* the former version runs again */
};

/* Reads the package. */
int upgrade_open(struct upgrade *u, const char *package, struct err *e);
void upgrade_close(struct upgrade *u);

/* Turns to a host, looks at it, and whether the package could be installed there. Changes nothing. */
int upgrade_look(struct upgrade *u, const struct config_host *h, bool accept_new, struct err *e);

/* The steps on it; the former version runs again if they fail (u->back). Lists of steps, those of the way back apart; NULL: none. */
int upgrade_run(struct upgrade *u, bool dry_run, bool quiet, struct buf *json, struct buf *json_back, struct err *e);

#endif
