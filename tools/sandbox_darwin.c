/*
 * sandbox_darwin.c - macOS has no supported way for a program to wall itself in: what is left are the user,
 * limits, the clean environment and the temporary directory.
 */
#include <grp.h>
#include <unistd.h>

#include "sandbox_impl.h"

unsigned
system_privileges(void)
{
	return 0;
}

unsigned
system_calls(void)
{
	return 0;
}

unsigned
system_offers(void)
{
	return 0;
}

int
fence_make(const struct fence *f)
{
	(void)f;
	return -1;
}

int
fence_enter(int fd)
{
	(void)fd;
	return 0;
}

unsigned
fence_version(void)
{
	return 0;
}

int
system_user(const char *name, uid_t uid, gid_t gid)
{
	return initgroups(name, (int)gid) || setgid(gid) || setuid(uid) ? -1 : 0;
}

void
sandbox_hide(void)
{
}
