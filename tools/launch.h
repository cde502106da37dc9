/*
 * launch.h - starting one worker process: this program again, in a session of its own, with a
 * socketpair on FRAME_SOCKET, a page of shared memory on FRAME_PAGE and nothing else of ours.
 */
#ifndef UW_LAUNCH_H
#define UW_LAUNCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct worker_page;

struct launch {
	const char *exe, *config_path, *agent;
	const char *mark;       /* goes into its environment */
	const char *temp;       /* its temporary directory, which it makes; "": none */
	int64_t grace_ms;
	size_t max_output;
};

struct launched {
	pid_t pid;              /* also its process group */
	int fd;                 /* our end of the socketpair, not blocking */
	int pidfd;              /* readable when it has ended; -1 where there is no such thing */
	struct worker_page *page;
};

int launch_worker(const struct launch *l, struct launched *out, struct err *e);

/* Closes and unmaps; the process is not touched. */
void launched_release(struct launched *l);

#endif
