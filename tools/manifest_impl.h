/*
 * manifest_impl.h - inside of own tools: manifest.c reads manifests and runs the programs, manifest_plan.c
 * plans and proves what they do.
 */
#ifndef UW_MANIFEST_IMPL_H
#define UW_MANIFEST_IMPL_H

#include "file.h"
#include "manifest.h"
#include "proc.h"

#define MAX_ENV 192
#define MAX_WRITES 16
#define MAX_ARGS 16

struct manifest {
	struct tool tool;
	cJSON *doc;                     /* passed manifest_schema, defaults filled in */
	char *source, *exec, *schema;
	struct proc_limits limits;
	int64_t max_output;             /* 0: the worker's */
	char program[FILE_HASH_HEX];    /* sha256 of exec; empty if it could not be read */
	const char *writes[MAX_WRITES + 1];     /* borrowed from doc */
	struct retry_rule retry;
	struct target_rule target;      /* likewise; params[0] NULL: none */
};

/* One task for the program: its environment, and its parameters with absolute paths. */
struct own {
	struct tool_run *r;
	char *env[MAX_ENV + 1];
	size_t nenv;
	cJSON *params;
};

/* o is to be closed either way. */
int own_open(struct own *o, struct tool_run *r, struct err *e);
void own_close(struct own *o);
void own_env(struct own *o, const char *name, const char *value);

/* Runs it with these arguments (NULL-ended; NULL: none) as proc_run() does. */
int own_program(const struct own *o, const char *const *args, bool read_only, size_t max_out, struct proc_end *end,
    struct err *e);

/* It did not end with exit code 0: why. Returns -1. */
int own_failed(const struct manifest *m, const struct proc_end *end, struct err *e);

/* manifest_plan.c */
int own_check_plan(const cJSON *doc, struct err *e);    /* what the schema cannot say */
int own_plan(struct tool_run *r, struct plan *p, struct err *e);
int own_prove(struct tool_run *r, const cJSON *result, struct err *e);

#endif
