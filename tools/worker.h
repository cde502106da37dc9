/*
 * worker.h - the other end of pool.h: the process that runs tools.
 */
#ifndef UW_WORKER_H
#define UW_WORKER_H

struct tool;
struct tool_env;

/* `uni-wizard worker`: serves requests on descriptor 3 until end of file, then takes its process
 * group along. Returns the exit code. */
int worker_main(const char *config_path, const char *agent);

/* worker_main() in two parts, for programs that bring their own tools. The first one checks that this is a
 * worker at all, closes what it has inherited and sets up signals; non-zero if it is not. The second one
 * does not return. find may return NULL. */
typedef const struct tool *worker_find(const void *arg, const char *name);
int worker_begin(void);
_Noreturn void worker_serve(const struct tool_env *env, worker_find *find, const void *arg);

#endif
