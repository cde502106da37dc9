/*
 * gitea_impl.h - what the files of Gitea's client share; nobody else includes it.
 *
 * gitea.c          whom to ask: its turn, one request, what became of it
 * gitea_list.c     pages
 * gitea_call.c     one call per need
 * gitea_read.c     objects to structs
 * gitea_once.c     what is written once: by the calls alone
 */
#ifndef UW_GITEA_IMPL_H
#define UW_GITEA_IMPL_H

#include "buf.h"
#include "config.h"
#include "err.h"
#include "gitea.h"
#include "json.h"

struct gitea {
	char *base;                     /* with /api/v1 at its end */
	struct config_secret token;
	struct buf ca;
	int64_t each_us, burst;
	int64_t timeout_ms, deadline_ms;
	bool (*stop)(void *arg);
	void (*on_write)(void *arg);
	void *arg;
	void *line;                     /* of http.h */
	struct gitea_turn own, *turn;
	char login[GITEA_LOGIN_MAX];    /* "": not asked yet */
	struct gitea_failure failure;
};

/* One request. */
struct gitea_ask {
	const char *method;
	const struct buf *path;         /* and query, beneath base */
	const struct buf *body;         /* JSON; NULL: none */
	int64_t next_page, total;       /* of a listing: 0, -1 if nothing was said of it */
};

/* The request, and what is to become of it. *out: the answer, NULL at first; out NULL: nobody wants it. */
int gitea_ask(struct gitea *g, struct gitea_ask *q, cJSON **out, struct err *e);

/* Both return -1. strange: the answer to q is none that makes sense. */
int gitea_fail(struct gitea *g, enum gitea_kind kind, struct err *e, const char *what);
int gitea_strange(struct gitea *g, const struct gitea_ask *q, struct err *e, const char *why);

/* Percent-coded; a value that is NULL adds nothing. */
void gitea_put_coded(struct buf *b, const char *text);
void gitea_put_query(struct buf *path, const char *name, const char *value);

/* Several lists can be one listing. seen is freed by who has it. */
struct gitea_listing {
	gitea_each *each;
	void *arg;
	int64_t *seen;                  /* ids, sorted */
	size_t n;
	int64_t total;                  /* that there were, by the page before; -1: not said */
	bool ended;                     /* each() has had enough */
	bool shrunk;                    /* some have gone: what came after them has moved up, maybe to a page that was read */
};

/* All pages of a list. */
int gitea_list(struct gitea *g, const struct buf *path, struct gitea_listing *l, int64_t per_page, struct err *e);
void gitea_show_page(struct gitea_listing *l, const cJSON *page);

#endif
