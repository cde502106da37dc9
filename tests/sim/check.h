/*
 * check.h - what the parts of the checker share: check.c (tasks: what is done and told about them), stream.c (the
 * numbers of events), owners.c (leases and claims), inside.c (rows and counters of the cores).
 */
#ifndef UW_SIM_CHECK_H
#define UW_SIM_CHECK_H

#include <cjson/cJSON.h>

#include "sim.h"
#include "ulid.h"

#define BUCKETS 4096

struct stream;
struct streams;
struct owners;
struct orders;
struct turns;
struct breakers;

#define SAID_MAX 8
#define OTHERS_MAX 3

/* What was said of a task in one stream: the last event. */
struct said {
	const struct stream *in;
	int64_t seq;
};

/* A task, by its id. */
#define WROTE_MAX 16

struct record {
	char id[ULID_TEXT];
	char house[NAME_MAX_LEN + 1];   /* where it was accepted */
	unsigned hosts;                 /* that said they have it */
	unsigned runners;               /* that began it */
	bool told, exempt;
	bool audited;                   /* its outcome is in a chain */
	bool refused;                   /* by policy, after it was handed on */
	bool denied;                    /* a run of a schedule, by policy */
	bool moved;                     /* the router sent it where its id would not have */
	bool alias;                     /* of a task that a house has under another id, for its key */
	int64_t copies;                 /* as the house told; 0: it did not yet */
	int64_t handed_copies;          /* as told by who handed it on */
	int losses;                     /* of disks that may have held it */
	int handed_losses;              /* of disks of those that handed it on */
	bool key_lost;                  /* none of these knows its key any more */
	bool blocked;                   /* an attempt may have had the effect of an exclusive tool, or used an approval */
	bool exclusive;                 /* its tool */
	bool approved;                  /* the latest attempt did */
	bool approved_once;             /* some attempt that began did */
	char grant[NAME_MAX_LEN + 1];   /* by which it was approved; empty: none */
	int crashes, crashes_allowed;
	int tries;                      /* that its sender asked for; 0: not known */
	int failures, failures_allowed; /* attempts that its owner heard fail */
	int hopeless, hopeless_allowed; /* ... for good */
	bool stopping, cancelled;       /* as told to who cancelled */
	bool doubted;                   /* told as uncertain, at some time */
	int64_t stopping_us;
	char state[20];                 /* outcome, first one that is final */
	int64_t ended_us;               /* when that was told */
	uint64_t what;
	char conflict[160];             /* two things were told */
	char other[ULID_TEXT];          /* under whose key it was accepted too */
	const struct stream *accepted_in;       /* told of it last */
	struct said said[SAID_MAX];
	int nsaid;
	bool overflow;                  /* more was said */
	struct record *others[OTHERS_MAX];      /* that it waits for */
	int nothers;
	bool followed;                  /* one that waits for it has begun */
	int64_t wrote[WROTE_MAX];       /* what attempts of it had written when they ended */
	int nwrote;
	int given_by, given;            /* the owner's host and 1; the attempt that it was seen to begin */
	struct record *next;
};

/* Who used a key for what; a store that was lost. */
struct key {
	char text[96], id[ULID_TEXT];
	struct key *next;
};

/* Lines of a plain publisher, which nobody sends again. */
struct plain {
	char name[2 * NAME_MAX_LEN + 4];        /* house/sender */
	unsigned hosts;                 /* that may take them */
	int64_t sent, taken;
	struct plain *next;
};

/* Where an agent was in the stream of a house. */
struct followed {
	uint64_t term;                  /* of the owner it followed; 0: it followed none */
	int64_t head;
};

struct check {
	struct sim *sim;
	struct record *records[BUCKETS];
	struct key *keys;
	struct streams *streams;
	struct owners *owners;
	struct orders *orders;
	struct turns *waiting;
	struct plain *plains;
	unsigned unreliable;            /* hosts whose sessions or disks lost something */
	int64_t dropped[HOSTS_MAX];     /* events, in former lives */
	int64_t turns[HOSTS_MAX], turns_from_us[HOSTS_MAX];
	struct followed followed[HOSTS_MAX][CONFIG_MAX_HOUSES + 2];     /* after the last turn */
	int64_t lost_us[HOSTS_MAX];     /* its disk */
	int losses;                     /* of disks */
	char store[HOSTS_MAX][12];      /* the last one it had */
	struct key *lost;               /* stores */
	struct breakers *breakers[HOSTS_MAX];
	int64_t both_us[HOSTS_MAX][HOSTS_MAX];  /* two say the same alert since then; 0: they do not */
	int64_t opened;                 /* turns in which one was open */
};


/* check.c */
uint64_t check_hash(const char *p, size_t len);         /* never 0 */
uint64_t check_hash_json(const cJSON *v);
const char *check_text(const cJSON *o, const char *name);       /* "" if there is none */
int check_host(const struct check *k, const char *name);        /* -1: none of that name */
unsigned check_bit(const struct check *k, const char *host);
struct record *check_record(struct check *k, const char *id);
const struct config_names *check_candidates(const struct check *k, const char *house);
unsigned check_candidate_bits(const struct check *k, const char *house);
/* A house has another owner: what the former one had not yet written down is not held against the new one. */
void check_new_term(struct check *k, const char *house);
bool check_missed(const struct check *k, const struct record *r);
int64_t check_dropped(const struct check *k, int host);
void check_plains(struct check *k);

/* stream.c */
struct streams *streams_new(struct check *k);
void streams_free(struct streams *s);
/* NULL: the line was here before, or is no good. */
const struct stream *streams_take(struct streams *s, const struct topic *t, const cJSON *o, const char *line, size_t len,
    int64_t *seq);
/* Says after what the term begins. */
void streams_claim(struct streams *s, const char *house, const cJSON *claim);
/* Some later owner of the house took it over without that event. */
bool streams_missed(const struct streams *all, const struct stream *s, int64_t seq);
/* It was said by somebody who took the house over uncleanly, and some other owner goes on without it. */
bool streams_beside(const struct streams *all, const struct stream *s, int64_t seq);
int64_t streams_head(struct streams *s, const char *house, const char *of);
/* Every event up to the head was seen, through all terms. */
void streams_check(struct streams *s, const char *house, const char *term, int64_t head);

/* owners.c */
struct owners *owners_new(struct check *k);
void owners_free(struct owners *o);
void owners_claim(struct owners *o, const struct topic *t, const struct msg *m);
void owners_arrived(struct owners *o, int host);        /* its heartbeat, at a broker */
bool owners_are_quiet(struct owners *o, struct quiet *q);
void owners_check(struct owners *o);

/* orders.c */
struct orders *orders_new(struct check *k);
void orders_free(struct orders *o);
void orders_heard(struct orders *o, int host, const struct topic *t, const struct packet *p);
void orders_turn(struct orders *o, int host);
void orders_died(struct orders *o, int host);
void orders_disk_lost(struct orders *o, int host);
bool orders_are_quiet(struct orders *o, struct quiet *q);
void orders_check(struct orders *o);

/* turns.c */
struct turns *turns_new(struct check *k);
void turns_free(struct turns *x);
void turns_look(struct turns *x, int host, const struct core *c);       /* after its turn */

/* inside.c */
/* What it holds by now, by kind; the policy, the halt, the grants. */
int64_t inside_signed(const struct core *c, int kind);
void inside_turn(struct check *k, struct host *h);
void inside_died(struct check *k, int host, const struct core *c);
/* The next task that waits for the sovereign, after the one of that number. */
bool inside_waiting(const struct core *c, int64_t *seq, char house[NAME_MAX_LEN + 1], char id[ULID_TEXT]);
bool inside_is_quiet(struct host *h, struct quiet *q);
void inside_show(struct check *k, struct host *h);
int64_t inside_dropped(const struct core *c);
/* In which term one of these hosts owns the house, by what it holds itself; 0: none does. */
int64_t inside_term(const struct check *k, const char *house, unsigned hosts);
/* Whoever owns that house says that the task has not ended. */
bool inside_is_open(const struct check *k, const char *house, const char *id);
/* That host ends an attempt of it: its owner knows by whom and under which term it was given. */
void inside_given(struct check *k, const struct record *r, const struct host *at);
/* Whoever owns that house runs it otherwise than usual, for what was learned. */
bool inside_is_adapted(const struct check *k, const char *house, const char *id);
void inside_check_schedules(struct check *k);
void inside_check(struct check *k);
void audits_check(struct check *k);     /* audit.c */

/* alerts.c */
void alerts_turn(struct check *k, struct host *h);
void alerts_check(struct check *k);

/* breakers.c */
void breakers_turn(struct check *k, struct host *h);
void breakers_died(struct check *k, int host);
void breakers_check(struct check *k);

/* routines.c */
void routines_check(struct check *k);

#endif
