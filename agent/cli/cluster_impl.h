/*
 * cluster_impl.h - between the parts of the cluster on this machine:
 *
 *   cluster.c       up, down, and what is done to one member
 *   cluster_file.c  houses.yaml
 *   cluster_dir.c   what else is in the directory: certificates, env
 *   member.c        brokers, agents and witnesses: names, start, readiness, end
 *   cluster_sovereign.c  the sovereign's key, and the first policy
 *   owners.c        whether every house has an owner
 */
#ifndef UW_CLUSTER_IMPL_H
#define UW_CLUSTER_IMPL_H

#include "buf.h"
#include "cluster.h"

/* Caller frees. */
char *cluster_path(const char *dir, const char *name);
bool cluster_has(const char *dir, const char *name);

/* cluster_file.c */
int cluster_file_write(const struct cluster_up *o, const char *dir, struct err *e);
/* Lines with what a house of the founding document is for; none for others. */
void cluster_file_put_role(struct buf *b, const char *house);
int cluster_file_load(struct cluster *c, struct err *e);
/* The file is the user's by now, so options that say otherwise are an error and not an order. */
int cluster_file_agrees(const struct cluster *c, const struct cluster_up *o, struct err *e);

/* cluster_dir.c */
int cluster_dir_make(const struct cluster *c, struct err *e);
int cluster_dir_check_run(const struct cluster *c, struct err *e);
/* *broker_changed: its certificate is new, or others are revoked than it was last told. */
int cluster_dir_certs(const struct cluster *c, bool *broker_changed, struct err *e);
void cluster_dir_not_told(const struct cluster *c);
int cluster_dir_env(const struct cluster *c, struct err *e);

/* member.c. Who listens for WebSockets is nobody's business but the broker's: those ports are not in houses.yaml. */
void member_broker_name(char *out, size_t size, size_t i);
bool member_is_broker(const char *name);                /* by its name */
int member_keep_ws_ports(struct cluster *c, struct err *e);
int member_write_brokers(const struct cluster *c, bool *changed, struct err *e);
const char *member_name(const struct cluster *c, size_t i);
bool member_is_ready(const struct cluster *c, const char *name);
int member_start(struct cluster *c, const char *name, struct err *e);
void member_ask_to_end(const struct cluster *c, const char *name);
/* Has been asked to end, if it lives: waits for it, and ends it by force when the time is over. */
int member_wait_end(const struct cluster *c, const char *name, int64_t until, struct err *e);
/* Workers of an agent that was killed end by themselves; this proves it. Returns how many were left. */
int member_sweep(const struct cluster *c, const char *agent);
/* Processes of this directory whose record was deleted would hold its ports and databases. Returns how many. */
int member_end_strays(const char *dir);

/* cluster_sovereign.c: a key, pinned in what is to become houses.yaml; and the first policy, once the agents are ready */
int cluster_key_make(const char *dir, struct buf *yaml, struct err *e);
int cluster_policy_begin(const struct cluster *c, struct err *e);

/* owners.c */
int owners_wait(const struct config *c, int64_t limit_ms, const struct cluster_up *o, struct err *e);

#endif
