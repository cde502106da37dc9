/*
 * gitea.h - Gitea's REST interface (v1), as far as it is needed: one call per need, bounded in time, size, pages and rate.
 *
 * A call that returns an object leaves it in *out, for the caller to free with cJSON_Delete(); NULL may be given to a call that
 * changes something when nobody wants it. A listing calls each() for every object, across pages, until that returns
 * false. The readers at the end turn an object, also one out of a webhook, into a struct whose texts are borrowed from it.
 *
 * Repositories are "owner/name"; times are RFC 3339 ("2026-11-30T15:04:05Z"). Optional texts are NULL when absent.
 *
 * Nothing is tried again here. A call that fails returns -1 with a sentence in e, and gitea_failure() says of what
 * kind it was, whether the change may have happened all the same, and when to come again. The token is in no message,
 * log or argument vector. One struct is for one thread; it keeps its connection between calls.
 */
#ifndef UW_GITEA_H
#define UW_GITEA_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct err;
struct gitea;

#define GITEA_REPO_MAX 201              /* owner, '/', name: bytes with the NUL */
#define GITEA_LOGIN_MAX 256
#define GITEA_PAGE 50                   /* objects per page: the most that an untouched Gitea gives */
#define GITEA_PAGES_MAX 200             /* of one listing */
#define GITEA_ANSWER_MAX (8u << 20)     /* bytes of one answer */
#define GITEA_BODY_MAX 65000u           /* bytes of a text that we write, with its marker */
#define GITEA_IDS_MAX 100               /* labels of one call */

/*        symbol              name            code              what it is */
#define GITEA_FAILURES(X)                                                                                           \
	X(GITEA_FINE,         "none",         ERR_NONE,         "no failure")                                       \
	X(GITEA_NOT_FOUND,    "not_found",    ERR_NOT_FOUND,    "404, or moved: also what the token may not see")   \
	X(GITEA_FORBIDDEN,    "forbidden",    ERR_DENIED,       "401, 403: no valid token, or a scope is missing")  \
	X(GITEA_REFUSED,      "refused",      ERR_INVALID,      "400, 422 and the like: it makes no sense there")   \
	X(GITEA_CONFLICT,     "conflict",     ERR_CONFLICT,     "409, 405, 412: exists already, or has changed")    \
	X(GITEA_LOCKED,       "locked",       ERR_WRONG_STATE,  "423: the repository is archived")                  \
	X(GITEA_LIMITED,      "limited",      ERR_BUSY,         "429, or asked before Retry-After is over")         \
	X(GITEA_UNAVAILABLE,  "unavailable",  ERR_NETWORK,      "408, 424, 5xx")                                    \
	X(GITEA_UNREACHABLE,  "unreachable",  ERR_NETWORK,      "no answer: name, connection, TLS, cut, too late")  \
	X(GITEA_STOPPED,      "stopped",      ERR_TIMEOUT,      "the deadline, or stop(), came first")              \
	X(GITEA_STRANGE,      "strange",      ERR_PARSE,        "an answer that is not Gitea's, or too big")

enum gitea_kind {
#define X(sym, name, code, text) sym,
	GITEA_FAILURES(X)
#undef X
	GITEA_NKINDS
};

const char *gitea_kind_name(enum gitea_kind k);

/* Of the last call. */
struct gitea_failure {
	enum gitea_kind kind;
	int status;                     /* 0: there was no answer */
	int64_t retry_after_s;          /* 0: nothing was said of it */
	bool unsure;                    /* it was to change something, and may have */
};

/* Whose turn it is: for who opens the same Gitea again and again, and keeps one rate. Zero at first. */
struct gitea_turn {
	int64_t credit_us;              /* saved up: each_us of it is a request */
	int64_t counted_us;             /* clock_mono_us() up to which it was; 0: not yet */
	int64_t not_before_ms;          /* by Retry-After */
};

struct gitea_options {
	const char *url;                /* "https://host[:port][/sub]", without /api/v1 */
	const char *token;
	const char *ca;                 /* PEM: trust these authorities instead of the system's; NULL */
	int64_t each_us, burst;         /* a request may be made each so often, and so many at once; 0: any */
	struct gitea_turn *turn;        /* NULL: of its own */
	int64_t timeout_ms;             /* of one request; 0: 30 s */
	bool (*stop)(void *arg);        /* asked while it waits, at least once a second; NULL */
	void (*on_write)(void *arg);    /* a request that changes something is about to be sent; NULL */
	void *arg;
};

/* All options are copied. ERR_INVALID for a URL or token that cannot be; nothing is sent yet. */
struct gitea *gitea_open(const struct gitea_options *o, struct err *e);
/* The Gitea of houses.yaml; what that says stands in for what o says. ERR_CONFIG if it names none, or the token is not
 * here. */
struct gitea *gitea_open_configured(const struct config *c, const struct gitea_options *o, struct err *e);
void gitea_close(struct gitea *g);

/* clock_mono_ms() at which calls end at the latest; 0: each has its own time alone. */
void gitea_deadline(struct gitea *g, int64_t mono_ms);

const struct gitea_failure *gitea_failure(const struct gitea *g);

/* False ends the listing, which is no failure. */
typedef bool gitea_each(void *arg, const cJSON *item);

int gitea_version(struct gitea *g, char out[64], struct err *e);
/* Whose token it is. Asked once. */
int gitea_whoami(struct gitea *g, char login[GITEA_LOGIN_MAX], struct err *e);

struct gitea_issue_query {
	const char *state;              /* open closed all; NULL: open */
	const char *type;               /* issues pulls; NULL: both */
	const char *labels;             /* names parted by commas: those that have all of them */
	const char *since, *before;     /* of updated_at, in whole seconds */
	const char *text;               /* to be found in it; an index that lags */
	const char *author, *assignee;  /* logins; an unknown assignee is GITEA_NOT_FOUND */
	int64_t per_page;               /* 0: GITEA_PAGE */
};

/* Newest first, each once, although pages shift while they are read: begins again when some have gone meanwhile, at
 * most twice. More than GITEA_PAGES_MAX pages are GITEA_STRANGE. */
int gitea_issues(struct gitea *g, const char *repo, const struct gitea_issue_query *q, gitea_each *each, void *arg,
    struct err *e);
int gitea_issue_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e);

struct gitea_issue_new {
	const char *title, *body;
	const int64_t *labels;          /* ids */
	size_t nlabels;
	const char *const *assignees;   /* without the right to assign Gitea leaves them out and says nothing: look */
	size_t nassignees;
};
int gitea_issue_create(struct gitea *g, const char *repo, const struct gitea_issue_new *n, cJSON **out, struct err *e);

struct gitea_issue_edit {
	const char *title, *body, *state;       /* open closed; NULL: as it is */
	const char *const *assignees;           /* all of them anew; NULL: as they are */
	size_t nassignees;
};
int gitea_issue_edit(struct gitea *g, const char *repo, int64_t number, const struct gitea_issue_edit *d, cJSON **out,
    struct err *e);

/* Oldest first; Gitea gives them without pages, all in one answer. Of pull requests too. since may be NULL. */
int gitea_comments(struct gitea *g, const char *repo, int64_t number, const char *since, gitea_each *each, void *arg,
    struct err *e);
int gitea_comment_create(struct gitea *g, const char *repo, int64_t number, const char *body, cJSON **out, struct err *e);
int gitea_comment_edit(struct gitea *g, const char *repo, int64_t id, const char *body, cJSON **out, struct err *e);

/* Labels of the repository; then those of the organisation that owns it, if one does. */
int gitea_labels(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e);
/* color "#00aabb". Gitea takes a second one of the same name: look first. */
int gitea_label_create(struct gitea *g, const char *repo, const char *name, const char *color, const char *description,
    bool exclusive, cJSON **out, struct err *e);
/* *out: all labels of it, an array. An exclusive label "a/b" takes the place of its sibling "a/c". */
int gitea_issue_label_add(struct gitea *g, const char *repo, int64_t number, const int64_t *ids, size_t n, cJSON **out,
    struct err *e);
/* Also if it is not there. */
int gitea_issue_label_remove(struct gitea *g, const char *repo, int64_t number, int64_t id, struct err *e);

struct gitea_pull_query {
	const char *state;              /* open closed all; NULL: open */
	const char *sort;               /* oldest recentupdate recentclose leastupdate ...; NULL: Gitea's own */
	const char *base, *author;
	int64_t per_page;
};
int gitea_pulls(struct gitea *g, const char *repo, const struct gitea_pull_query *q, gitea_each *each, void *arg,
    struct err *e);
int gitea_pull_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e);

/* The files that it changes, each an object with filename and status. */
int gitea_pull_files(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e);

struct gitea_pull_new {
	const char *title, *body;
	const char *head, *base;        /* head: "branch" or "owner:branch" */
	const int64_t *labels;
	size_t nlabels;
	const char *const *assignees, *const *reviewers;
	size_t nassignees, nreviewers;
};
/* GITEA_CONFLICT: there is an open one of these branches. GITEA_REFUSED: no difference between them. */
int gitea_pull_create(struct gitea *g, const char *repo, const struct gitea_pull_new *n, cJSON **out, struct err *e);

int gitea_reviews(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e);

/* Of a commit, newest first: all that were ever set, several of one context. */
int gitea_statuses(struct gitea *g, const char *repo, const char *sha, gitea_each *each, void *arg, struct err *e);
/* {"state","statuses":[the last of each context],...} of a commit, branch or tag. */
int gitea_status_combined(struct gitea *g, const char *repo, const char *ref, cJSON **out, struct err *e);
/* state: pending success error failure warning skipped. sha in full. target_url may be NULL. */
int gitea_status_create(struct gitea *g, const char *repo, const char *sha, const char *state, const char *context,
    const char *description, const char *target_url, cJSON **out, struct err *e);

int gitea_hooks(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e);
/* Active at once, with JSON bodies signed by HMAC-SHA256 with secret. events: "issues", "issue_comment", ... */
int gitea_hook_create(struct gitea *g, const char *repo, const char *url, const char *secret, const char *const *events,
    size_t nevents, cJSON **out, struct err *e);

/*
 * Once, whatever is repeated: what is written carries "<!-- uni-wizard:ID -->" at its end, which nobody sees, and before
 * it is written it is looked for in what the token's own user wrote. id: [A-Za-z0-9._:/-]{1,100} without "--". Who is
 * cut off in the middle asks again with the same id. What is left: a first request that Gitea begins to work on only
 * after the second one has looked.
 */
#define GITEA_MARKER_MAX 128

enum gitea_once { GITEA_CREATED, GITEA_EDITED, GITEA_THERE };

bool gitea_id_ok(const char *id);
void gitea_marker(const char *id, char out[GITEA_MARKER_MAX]);
/* Whether a text carries it, and whether it carries anybody's. */
bool gitea_is_marked(const char *text, const char *id);
bool gitea_has_marker(const char *text);

/* One comment with that id on it: made, or brought up to date if its text is another. */
int gitea_comment_once(struct gitea *g, const char *repo, int64_t number, const char *id, const char *body,
    enum gitea_once *what, cJSON **out, struct err *e);
/* since: a time before which there can be none with that id, to be looked through no further; NULL: all. */
int gitea_issue_once(struct gitea *g, const char *repo, const char *id, const char *since, const struct gitea_issue_new *n,
    enum gitea_once *what, cJSON **out, struct err *e);
/* Also GITEA_THERE: another one is open of the same branches. */
int gitea_pull_once(struct gitea *g, const char *repo, const char *id, const char *since, const struct gitea_pull_new *n,
    enum gitea_once *what, cJSON **out, struct err *e);

/* Readers. Texts that are absent or null are "", lists NULL. ERR_INVALID names the member. */

struct gitea_issue {
	int64_t id, number, comments;
	const char *title, *body, *state, *url, *author, *created_at, *updated_at;
	const cJSON *labels, *assignees;        /* arrays of objects with name, of objects with login */
	bool is_pull, merged;
};
int gitea_issue_read(const cJSON *o, struct gitea_issue *out, struct err *e);

struct gitea_comment {
	int64_t id;
	const char *body, *author, *url, *created_at, *updated_at;
};
int gitea_comment_read(const cJSON *o, struct gitea_comment *out, struct err *e);

struct gitea_label {
	int64_t id;
	const char *name, *color, *description;
	bool exclusive;
};
int gitea_label_read(const cJSON *o, struct gitea_label *out, struct err *e);

struct gitea_pull {
	int64_t id, number, comments;
	const char *title, *body, *state, *url, *author, *created_at, *updated_at, *merged_at;
	const char *head, *head_sha, *head_repo, *base, *merge_sha;
	const cJSON *labels, *assignees;
	bool draft, merged, mergeable;
};
int gitea_pull_read(const cJSON *o, struct gitea_pull *out, struct err *e);

struct gitea_status {
	int64_t id;
	const char *state, *context, *description, *target_url, *author, *updated_at;
};
int gitea_status_read(const cJSON *o, struct gitea_status *out, struct err *e);

struct gitea_review {
	int64_t id;
	const char *state, *author, *body, *commit, *submitted_at;      /* APPROVED REQUEST_CHANGES COMMENT PENDING ... */
	bool stale, dismissed, official;
};
int gitea_review_read(const cJSON *o, struct gitea_review *out, struct err *e);

struct gitea_hook {
	int64_t id;
	const char *url;                        /* where it goes to */
	const cJSON *events;
	bool active;
};
int gitea_hook_read(const cJSON *o, struct gitea_hook *out, struct err *e);

/* The number of the page that a Link header calls next: 0 if none. Only the number is taken: Gitea writes URLs as it is
 * told to (ROOT_URL), not as it is reached. */
int64_t gitea_link_next(const char *link);

#endif
