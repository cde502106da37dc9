/*
 * ssh.h - running a script as root on another machine, with OpenSSH's own program, or on this one.
 *
 * What goes over is one shell script on standard input: neither a value nor a secret is ever in an argument, and what the
 * user's shell there makes of words does not matter. A script's arguments are "$1", "$2" and so on; they were quoted by
 * ssh_quote(), the only way in which text becomes part of a script.
 *
 * ssh runs with BatchMode: it asks nobody. It reads `ssh_config` beside houses.yaml if there is one, else the user's own
 * configuration. $UNI_WIZARD_SSH names another program that takes the same arguments. One connection to each machine serves
 * all scripts (ControlMaster) until ssh_close().
 */
#ifndef UW_SSH_H
#define UW_SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct buf;
struct err;

#define SSH_CONNECT_S 10                /* until a machine must have answered */
#define SSH_DEADLINE_MS 60000           /* of a script that names no other */
#define SSH_OUTPUT_MAX (1u << 20)       /* what a script may print */
#define SSH_PAYLOAD_MAX (256u << 20)

struct ssh {
	char name[NAME_MAX_LEN + 1];    /* the host's, for messages */
	struct config_ssh at;
	char *config;                   /* for -F; NULL: the user's own */
	char *control;                  /* directory of the connection's socket; NULL: none yet */
	bool accept_new;                /* takes the key of a machine that was never seen */
	struct buf *record;             /* scripts are appended here instead, to be run as one; NULL: they run */
};

/* Of a host in houses.yaml. Nothing is connected yet. */
void ssh_init(struct ssh *s, const struct config *c, const struct config_host *h);
void ssh_close(struct ssh *s);

struct ssh_script {
	const char *text;               /* POSIX shell, under set -eu; the command `payload` prints the bytes below */
	const char *const *args;        /* "$1" ...; ended by NULL; NULL: none */
	const void *payload;
	size_t payload_len;             /* at most SSH_PAYLOAD_MAX */
	int64_t deadline_ms;            /* how long it may take; 0: SSH_DEADLINE_MS */
	const char *fix;                /* what to do if it fails, for the message; NULL: nothing to say */
};

/* Runs it as root; what it prints on standard output is appended to out (NULL: dropped), without the last line end.
 * ERR_NETWORK: the machine was not reached; ERR_DENIED: not as root, or its key is not known; ERR_TIMEOUT; ERR_TOOL: the script
 * failed, with the end of what it said. */
int ssh_run(struct ssh *s, const struct ssh_script *script, struct buf *out, struct err *e);

/* A whole file, beside which it is written and then renamed; owner "user:group". *changed (may be NULL): it was not there with
 * that content, mode and owner. */
int ssh_put(struct ssh *s, const char *path, const char *mode, const char *owner, const void *data, size_t len, bool *changed,
    struct err *e);

/* Appends text as one word of a POSIX shell. No NUL can be in it. */
void ssh_quote(struct buf *out, const char *text);

/* What ssh_run() sends. */
void ssh_script_put(struct buf *out, const struct ssh_script *script);

/* What a machine said, for a terminal: one line, nothing in it that drives one. */
void ssh_make_harmless(struct buf *text);

#endif
