/*
 * watch.h - the cluster as its heartbeats show it, kept up to date while something is done to it.
 */
#ifndef UW_WATCH_H
#define UW_WATCH_H

#include "houses.h"
#include "remote.h"

struct err;

struct watch {
	struct remote r;
	struct houses houses;
	bool refused;                   /* the latest request was */
	char why[256];
};

/* 0 or an exit code, the error printed. Needs the rights of an operator. */
int watch_open(struct watch *w, const struct cmd_args *a);
void watch_close(struct watch *w);

/* Listens for so long; -1 if the connection is lost for good. */
int watch_for(struct watch *w, int64_t ms, struct err *e);

/* Listens until holds(arg), at most so long. 1: it does; 0: not in time; -1. */
int watch_until(struct watch *w, bool (*holds)(struct watch *w, void *arg), void *arg, int64_t ms, struct err *e);

/* The house's views one after the other, the router's last: false at the end. */
bool watch_house(struct watch *w, size_t i, struct house_view *v);

/* Moves a house to one of its candidates and waits until that owns it; it goes back by itself when its first candidate is in step again. */
int watch_move(struct watch *w, const char *house, const char *to, int64_t ms, struct err *e);

#endif
