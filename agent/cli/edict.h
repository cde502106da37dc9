/*
 * edict.h - what commands share that speak for the sovereign: listening, signing, publishing, and seeing that
 * the agents took it.
 *
 * They act as the sovereign unless --as says otherwise: the broker lets nobody else publish there, and agents take
 * only what his key signed.
 */
#ifndef UW_EDICT_H
#define UW_EDICT_H

#include "known.h"
#include "remote.h"

struct edict {
	const struct cmd_args *a;
	struct remote r;
	struct known known;
	struct sign_key *key;
	bool local;                     /* no broker: only the agents on this machine are spoken to */
	bool done;                      /* what is waited for has come */
	bool (*is_done)(const struct edict *x);
	const char *waits_for;          /* the task whose request is to go */
	enum sovereign_kind kind;       /* what was published last, and its number */
	int64_t n;
};

#define EDICT_PASSPHRASE { .name = "passphrase-file", .kind = OPT_TEXT, .arg = "FILE", .complete = "files", \
	.help = "file with the passphrase of the key, else it is asked for" }
#define EDICT_NO_PASSPHRASE { .name = "no-passphrase", .kind = OPT_FLAG, \
	.help = "leave the key without one: whoever can read the file can sign" }
#define EDICT_WITHIN { .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 3600, \
	.help = "wait for the agents at most so many seconds (default 5)" }

/* Without a broker it makes do with the agents on this machine, which pass on what they are given.
 *
 * Configuration, connection, and what the broker keeps; for numbers also what each agent says that it holds, which takes
 * a second. 0 or an exit code, the error printed. */
int edict_open(struct edict *x, const struct cmd_args *a, bool numbers);
void edict_close(struct edict *x);

/* Only the configuration, with the sovereign as identity; 0 or an exit code. */
int edict_config(const struct cmd_args *a, struct config *c);

/* The private key, with its passphrase asked for if it has one; it must be among the pinned ones. */
int edict_key(struct edict *x);
/* The same for a file of any name, whether it is pinned or not. NULL with the error printed. */
struct sign_key *edict_key_load(const struct cmd_args *a, const char *path);

/* A new key in a new file, and its public half beside it in <path>.pub; NULL with the error printed and the exit code in *rc. The
 * command has both options of a passphrase. */
struct sign_key *edict_key_make(const struct cmd_args *a, const char *path, int *rc);

/* Signs members (takes them; kind, cluster, n and time are put in), publishes them under id, and waits until the
 * agents that are there hold them. 0 or an exit code, the error printed. */
int edict_send(struct edict *x, enum sovereign_kind kind, const char *id, cJSON *members);

/* edict_local.c: agents on this machine, over their sockets. The first returns how many are there, the second how many
 * took the envelope. */
int edict_local_hear(struct edict *x);
int edict_local_give(struct edict *x, const struct buf *line);

/* Prints who holds what was sent: a sentence, or with --json an object with the given members in front. */
int edict_report(struct edict *x, const char *what);

/* Members of a policy that asks for nothing but what the houses' roles mean. The caller frees it. */
cJSON *edict_first_policy(const struct config *c);

/* A warning if no tool that is known here matches the pattern: most likely it is misspelt. */
void edict_warn_tool(const struct config *c, const char *field, const char *pattern);

/* Text from outside for a terminal: each line after `indent`, nothing in it that moves the cursor or turns text. */
void print_foreign(const char *text, const char *indent);

/* "in 5 m", "2 h ago" */
void print_when(char *out, size_t size, int64_t at_ms, int64_t now_ms);

/* A time from now as people write it, "10m", "2h", "7d", in milliseconds; -1 if it is none. */
int64_t duration_ms(const char *text);

#endif
