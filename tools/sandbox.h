/*
 * sandbox.h - what a worker, and whatever it starts, may do: no more than tools need.
 *
 * A worker walls itself in once, before it serves: the user it runs as, limits, no new privileges, no system
 * calls that no tool needs (seccomp), nothing written except beneath the roots and in its temporary
 * directory (Landlock). Programs inherit that. Each gets a second, narrower wall between fork and exec: it
 * cannot read what is the agent's own (keys, databases, secrets), nor look into the worker that started it.
 *
 * What the kernel does not have is left out, and said: sandbox_put().
 */
#ifndef UW_SANDBOX_H
#define UW_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct config;
struct err;
struct path_roots;

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Walls that stand; the version of Landlock is in the bits from SANDBOX_LANDLOCK on. */
#define SANDBOX_NO_NEW_PRIVS 1u
#define SANDBOX_SECCOMP 2u
#define SANDBOX_USER 4u
#define SANDBOX_LANDLOCK 8

struct sandbox {
	const struct config *config;
	const struct path_roots *roots;
	const char *temp;               /* the worker's temporary directory; NULL: none */
	const char *const *writes;      /* what own tools may write beside the roots, ended by NULL */
};

/* Once for a process, for good. Keeps what it is given. Returns the walls, or -1 with e. */
int sandbox_enter(const struct sandbox *s, struct err *e);

/* Whether this process may start workers as the configuration says. */
int sandbox_check(const struct config *c, struct err *e);

/* The walls that a worker would have on this host. */
unsigned sandbox_offers(const struct config *c);

/* {"no_new_privs":true,"seccomp":true,"landlock":7,"own_user":false}; landlock is its version, 0 where there
 * is none; own_user: not the agent's. */
void sandbox_put(struct buf *b, unsigned walls);

/* For programs; without a sandbox around them these do nothing. */

struct sandbox_program {
	bool read_only;                 /* the program is to change nothing: only its temporary directory is writable */
	const char *const *writes;      /* may be NULL */
};

/* Prepares the program's own wall, in the parent: a descriptor, which is kept for the next one; -1 where there is
 * none, -2 with e. */
int sandbox_program(const struct sandbox_program *p, struct err *e);

/* In the child, right before exec; 0 if the wall stands. */
int sandbox_program_enter(int fd);

/* Nobody of the same user can look into this process: its environment and memory hold secrets. */
void sandbox_hide(void);

#endif
