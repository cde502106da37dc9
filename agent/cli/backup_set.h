/*
 * backup_set.h - gathering what belongs into a backup, and writing it: see backup.h.
 *
 * Databases are copied first, each as of one moment, into a directory of their own in `state`; all else is small and is
 * kept in memory. One backup of a state directory is made at a time; what one left behind that was killed goes with the
 * next.
 */
#ifndef UW_BACKUP_SET_H
#define UW_BACKUP_SET_H

#include "backup.h"
#include "buf.h"

struct backup_set {
	const struct config *config;
	struct backup_manifest about;
	struct buf *texts;              /* of about.files: what is small; */
	char **copies;                  /* or NULL, and a file of ours */
	char *dir;                      /* these lie there; NULL: none */
	int lock;
};

/* agent NULL: all that have their database here. keys: the authority's, the sovereign's and everybody's too. Release it,
 * also after a failure. */
int backup_set_gather(struct backup_set *s, const struct config *c, const char *agent, bool keys, struct err *e);
int backup_set_write(const struct backup_set *s, struct sink to, struct err *e);
int64_t backup_set_bytes(const struct backup_set *s);           /* what the archive will have, about */
void backup_set_release(struct backup_set *s);

/* A whole copy of another database, whoever has it open. */
int backup_copy_base(const struct config *c, const char *from, const char *to, struct err *e);

/* The same of an agent's own, by the agent itself if it runs. */
int backup_copy_store(const struct config *c, const char *agent, const char *to, struct err *e);

/* Of a database that nobody has open: looks it through, and makes it one file. In *version its own, in store, if not NULL,
 * the name of that life of its agent. */
int backup_check_store(const char *path, int64_t *version, char *store, size_t size, struct err *e);

#endif
