/*
 * sandbox_impl.h - what sandbox.c asks of the system: sandbox_linux.c, sandbox_darwin.c.
 */
#ifndef UW_SANDBOX_IMPL_H
#define UW_SANDBOX_IMPL_H

#include "sandbox.h"

/* Where a process may write, and what it may not read. A list ends with NULL. */
struct fence {
	const char *const *writable;    /* and readable */
	const char *const *hidden;      /* NULL: everything may be read */
	const char *const *readable;    /* even beneath what is hidden; may be NULL */
};

/* No way back to more privileges, and the root user without the capabilities that no tool needs. */
unsigned system_privileges(void);
unsigned system_calls(void);
unsigned system_offers(void);   /* what these two would return */

/* A descriptor that holds the fence; -1: there is no such thing here; -2 with errno. */
int fence_make(const struct fence *f);
int fence_enter(int fd);
unsigned fence_version(void);

/* Sets the user for good. What is lost with it on the way (the signal at the parent's death) is kept. */
int system_user(const char *name, uid_t uid, gid_t gid);

#endif
