/*
 * worker.h - the other end of pool.h: the process that runs tools.
 */
#ifndef UW_WORKER_H
#define UW_WORKER_H

/* `uni-wizard worker`: serves requests on descriptor 3 until end of file, then takes its process
 * group along. Returns the exit code. */
int worker_main(const char *config_path, const char *agent);

#endif
