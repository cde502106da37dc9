/*
 * restore.h - a backup back onto a host: all of it is written beside where it goes to, looked through, made fit, and only
 * then put in place, databases last. Whoever is killed before has changed nothing; in between, the same once more goes on.
 */
#ifndef UW_RESTORE_H
#define UW_RESTORE_H

#include "backup.h"

struct restore_opts {
	const char *to;                 /* all beneath this directory; NULL: where it was */
	const char *agent;              /* of state this one's alone; NULL: everybody's */
	const char *only;               /* config pki state sovereign; NULL: all of them */
	bool force;                     /* what is there is put aside */
};

enum restore_fate { RESTORE_NEW, RESTORE_SAME, RESTORE_THERE };

struct restore_item {
	const struct backup_file *file;
	char *target, *staged;
	enum restore_fate fate;
	char *aside;                    /* where what was there is now; NULL: nothing was */
};

struct restore {
	struct restore_opts o;
	const struct backup_manifest *about;
	char mark[DIGEST_HEX];          /* which backup it is */
	char stamp[20];
	struct restore_item *items;
	size_t nitems;
	struct restore_stage *stages;
	size_t nstages;
	char **chains;                  /* files of former audit chains that were written besides */
	size_t nchains;
	int fd;                         /* of the file that is being read */
	size_t at;
};

/* What goes where, and what is there. ERR_CONFLICT: something is, and it is not to be put aside; ERR_BUSY: an agent has its
 * database open. Nothing is changed. Release it, also after a failure. */
int restore_plan(struct restore *r, const struct backup *b, const struct restore_opts *o, struct err *e);

/* Reads the backup and does it. */
int restore_do(struct restore *r, struct backup *b, struct err *e);
void restore_release(struct restore *r);

const char *restore_dir(const struct restore *r, const char *part, char *out, size_t size);    /* pki, state */

#endif
