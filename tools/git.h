/*
 * git.h - running git on a repository beneath the roots, and reading what it says.
 *
 * A repository's own config, hooks and attributes can name programs, and its .git can point
 * anywhere. So: the directory of the repository, its common directory, alternates and included config
 * must lie beneath the roots (ERR_PATH); hooks, fsmonitor, editors, pagers and prompts are off; a
 * config of the repository that would run a program is refused (ERR_DENIED). The config of the
 * agent's own user is trusted: identity, credentials and filters belong there.
 *
 * Local remotes must lie beneath the roots as well. Arguments from outside never stand where an
 * option could, and never reach a shell.
 */
#ifndef UW_GIT_H
#define UW_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "plan.h"
#include "proc.h"

struct err;
struct tool_run;

#define GIT_OID 65                      /* a commit's name in hexadecimal and the NUL; SHA-1 or SHA-256 */
#define GIT_NAME 256                    /* branches, remotes */
#define GIT_MAX_ENV 48

extern const struct target_rule git_target;     /* the repository and the remote, as they are called */

#define GIT_PARAM_REPO                                                                     \
	"\"repo_path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"           \
	"\"description\":\"The top directory of a working tree, or a bare repository, beneath a root.\"}"
#define GIT_SCHEMA_REMOTE                                                                  \
	"\"type\":\"string\",\"maxLength\":200,\"pattern\":\"^[A-Za-z0-9_][A-Za-z0-9._/-]*$\""
#define GIT_SCHEMA_BRANCH                                                                  \
	"\"type\":\"string\",\"maxLength\":200,\"pattern\":\"^[^-:+^~?*[:space:]][^:^~?*[:space:]]*$\""

struct git {
	struct tool_run *r;
	const char *repo;               /* repo_path */
	char *git_dir;                  /* as GIT_DIR: ".git", "." or what a .git file names */
	int top;
	bool bare;
	char *env[GIT_MAX_ENV + 1];
	size_t nenv;
	struct proc_end end;            /* of the last command */
	struct buf line;                /* of its standard error, which may be progress */
	char *top_name, *place;         /* once asked for: git_top_name(), git_place() */
};

/* Opens params.repo_path; write: it must lie beneath a writable root. g must be closed either way. */
int git_open(struct git *g, struct tool_run *r, bool write, struct err *e);
void git_close(struct git *g);
void git_env(struct git *g, const char *name, const char *value);

/* Runs git with these arguments; what it wrote is in g->end. Returns its exit code, or -1 with e. */
int git_exec(struct git *g, const char *const *args, size_t max_out, struct err *e);
int git_exec_in(struct git *g, const char *const *args, const char *in, size_t in_len, size_t max_out,
    struct err *e);
#define GIT(g, e, ...) git_exec(g, (const char *const[]){ __VA_ARGS__, NULL }, 65536, e)

/* The last command failed: what happened and what to do, from its standard error. Returns -1. */
int git_failed(struct git *g, const char *doing, struct err *e);

/* The first line of the last command's output, without its end; the buffer is cut there. */
const char *git_line(struct git *g);

/* The commit that a name from params.<param> stands for; -1 with ERR_NOT_FOUND. */
int git_resolve(struct git *g, const char *param, const char *name, char oid[GIT_OID], struct err *e);
/* The same without a complaint: false if there is none. */
bool git_lookup(struct git *g, const char *name, char oid[GIT_OID]);
/* A local branch of exactly this name. */
bool git_lookup_branch(struct git *g, const char *branch, char oid[GIT_OID]);
bool git_is_ancestor(struct git *g, const char *old, const char *new);

/* Where a remote leads: its first URL without a password. Local ones must lie beneath the roots (for a push:
 * a writable one). */
struct git_remote {
	char name[GIT_NAME], branch[GIT_NAME];  /* filled by the caller */
	char url[512];
	bool local;
};
int git_remote_check(struct git *g, struct git_remote *r, bool push, struct err *e);

/* branch.<branch>.<what>, "" when it is not set. */
void git_branch_config(struct git *g, const char *branch, const char *what, char *out, size_t size);

/* What stands between NULs: the next one, or NULL at the end (what is cut off does not count). */
struct git_tokens {
	const char *at, *end;
};
const char *git_token(struct git_tokens *t);

/* git status. */
struct git_entry {
	char index, tree;               /* porcelain v2's XY: one of .MADRCTU?! */
	bool conflict;
	const char *path, *from;
};

struct git_state {
	char branch[GIT_NAME];          /* empty: detached */
	char oid[GIT_OID];              /* empty: no commit yet */
	char upstream[GIT_NAME];        /* empty: none */
	bool has_counts;                /* ahead and behind are known: the upstream exists here */
	int64_t ahead, behind, stash;
	int64_t staged, changed, untracked, ignored, conflicts;
	bool cut;                       /* there was more than could be read */
};

/* untracked: "no", "normal" or "all". on_entry may be NULL. */
int git_state_read(struct git *g, const char *untracked, bool ignored, struct git_state *s,
    void (*on_entry)(void *arg, const struct git_entry *entry), void *arg, struct err *e);
const char *git_change_name(char letter);       /* 'M': "modified"; '.': "unchanged" */

/* Working trees that are in the middle of something: "merge", "rebase", "cherry-pick", "revert", NULL. */
const char *git_in_progress(struct git *g);

/*
 * git_plan.c: a repository as something that is touched. Its refs belong to its place: the top directory, of a
 * linked working tree that of the repository it is linked to, and of a remote its path or URL.
 */
const char *git_top_name(struct git *g, struct err *e);         /* links followed; NULL with e */
const char *git_place(struct git *g, struct err *e);

/* The working tree as a whole, HEAD of it, a branch of the repository. What leads out of the git directory by a
 * link is touched as well as soon as a ref or HEAD is written. */
int git_touch_tree(struct git *g, struct plan *p, const char *tree, struct err *e);
int git_touch_head(struct git *g, struct plan *p, const char *oid, struct err *e);
int git_touch_ref(struct git *g, struct plan *p, enum plan_access access, const char *branch, const char *oid,
    struct err *e);

/* touch_agreed() for these. */
int git_tree_agreed(struct git *g, const char *tree, struct err *e);
int git_head_agreed(struct git *g, const char *oid, struct err *e);
int git_ref_agreed(struct git *g, const char *branch, const char *oid, struct err *e);

/* Empty branch: HEAD alone. Nothing happens if nobody wants notes. */
void git_note_read(struct git *g, const char *branch, const char *oid);
void git_note_write(struct git *g, const char *branch, const char *oid);
void git_note_remote(struct git *g, const char *remote, const char *branch, const char *oid);
/* Whatever branches a name like HEAD, main or origin/main stands for. */
void git_note_name(struct git *g, const char *name, const char *oid);

/* What a branch of a remote is now, asked of each of its URLs, as a touch; or as proof that it is `oid`. tip is
 * that of the first one; empty: it has no such branch. */
int git_touch_remote(struct git *g, const struct git_remote *r, bool push, struct plan *p,
    enum plan_access access, char tip[GIT_OID], struct err *e);
int git_remote_agreed(struct git *g, const struct git_remote *r, const char *oid, struct err *e);
int git_prove_remote(struct git *g, const struct git_remote *r, const char *oid, struct err *e);
void git_note_pushed(struct git *g, const struct git_remote *r, const char *oid);

/* A local branch (empty: HEAD) has this commit, or has grown from it since. */
int git_prove_ref(struct git *g, const char *branch, const char *oid, struct err *e);

/* What a command writes goes into the dry run. */
void git_show(struct git *g, struct plan *p, const char *const *args);
#define GIT_SHOW(g, p, ...) git_show(g, p, (const char *const[]){ __VA_ARGS__, NULL })

/* An index and object store of its own for commands that only try something; removed by git_untry(). */
#define GIT_TRY 320
int git_try(struct git *g, char dir[GIT_TRY], struct err *e);
void git_untry(const char *dir);

/* Files and lines that differ between two commits (an empty old: from nothing). */
struct git_numbers {
	int64_t files, insertions, deletions;
};
int git_numbers_read(struct git *g, const char *old, const char *new, struct git_numbers *n, struct err *e);
void git_numbers_put(struct buf *b, const struct git_numbers *n);

#endif
