/*
 * host_job.h - what the commands of `uni-wizard host` share: houses.yaml as it is and as it is to be, the host they are about,
 * and the pieces of work that more than one of them needs.
 *
 * On each host:
 *   /etc/uni-wizard/houses.yaml       what is not of this machine alone: bare, below
 *   /etc/uni-wizard/env               UNI_WIZARD_AGENT, and secrets that a person put there
 *   /etc/uni-wizard/pki/              ca.crt, <agent>.crt, <agent>.key
 *   /etc/mosquitto/uni-wizard/        where there is a broker: its configuration, access list, what they are made from, certificate,
 *                                     ca.crl
 *
 *   host_job.c    houses.yaml, and what is planned in it
 *   host_do.c     what is done on a host
 *   host_hear.c   what agents' heartbeats say
 *   host_add.c    the steps of `host add`; host_remove.c, host_rotate.c likewise
 */
#ifndef UW_HOST_JOB_H
#define UW_HOST_JOB_H

#include "buf.h"
#include "cmd.h"
#include "err.h"
#include "ssh.h"

#define HOST_ETC "/etc/uni-wizard"
#define HOST_BROKER_DIR "/etc/mosquitto/uni-wizard"
#define HOST_USER "uni-wizard:uni-wizard"
#define HOST_BROKER_USER "mosquitto:mosquitto"
#define HOST_BROKER_NAME_MAX (NAME_MAX_LEN - 7)         /* its certificate is called broker-<host> */
#define HOST_STEP_MS 5000
#define HOST_HEALTH_MS 60000            /* until agents that were started must be heard */

struct host_job {
	const struct cmd_args *a;
	char *path;                     /* of houses.yaml: the file itself, whatever links lead to it */
	struct buf before, text;        /* as it is, and as it is to be */
	struct config *config;          /* of text */
	struct buf bare;                /* what hosts get of it */
	const struct config_host *host;
	struct ssh ssh;                 /* to it */
	char arch[24];                  /* "amd64", once it was looked at */
	char *package;                  /* file to install; NULL: what apt has */
	config_name agents[CONFIG_MAX_AGENTS];  /* of host remove: those that are struck */
	size_t nagents;
	bool changed;                   /* something that its agents read is new there */
	bool anew;                      /* something that only a start reads */
};

/* 0 or an exit code, the error printed. */
int host_job_open(struct host_job *j, const struct cmd_args *a);
void host_job_close(struct host_job *j);
/* Chooses the host in what is planned: -1 if there is none of that name. */
int host_job_choose(struct host_job *j, const char *name, struct err *e);
/* Reads text anew after a change of it, and makes what hosts get. */
int host_job_read(struct host_job *j, struct err *e);
bool host_job_is_saved(const struct host_job *j);
/* Puts text in the place of the file, unless somebody changed that meanwhile. */
int host_job_save(struct host_job *j, struct err *e);

struct host_plan {
	const char *house, *agent;      /* NULL: not said */
	const char *ssh, *address;
	bool broker, witness;
};

/* Plans the host in text: adds what is missing of it. 0 also if it is there already. */
int host_plan_add(struct host_job *j, const char *name, const struct host_plan *p, struct err *e);
/* Takes its agents and its broker out of everything; the host itself stays, with no agents. */
int host_plan_strike(struct host_job *j, struct err *e);
int host_plan_forget(struct host_job *j, const char *name, struct err *e);

bool host_has_broker(const struct config_host *h);
/* The port that the brokers' list gives it. */
int host_broker_port(const struct config *c, const struct config_host *h);
/* "broker-h1": name of its broker's certificate. out has room for a name. */
void host_broker_name(const struct config_host *h, char *out);

/* host_do.c: on one host, over its own connection. */
int host_put_houses(struct host_job *j, struct ssh *s, bool *changed, struct err *e);
int host_put_cert(struct host_job *j, struct ssh *s, const char *name, bool is_broker, bool *changed, struct err *e);
int host_issue(struct host_job *j, const char *name, bool is_broker, bool *issued, struct err *e);
/* Configuration, access list and list of revoked certificates of its broker; started, or told by SIGHUP. */
int host_set_broker(struct host_job *j, struct ssh *s, const struct config_host *h, struct err *e);
/* Those of every other host. -1 if one could not be told. */
int host_tell_brokers(struct host_job *j, struct buf *note, struct err *e);
/* houses.yaml to every other host, whose agents take it up, one host after the other. */
int host_tell_others(struct host_job *j, struct buf *note, struct err *e);
/* The unit of its i-th agent. */
void host_unit(const struct config_host *h, size_t i, char *out, size_t size);

/* What was heard of an agent. */
struct host_heard {
	const char *agent;
	bool live, online;              /* heartbeats come; and it says that all is well with it */
	int64_t beats, seq, up_s;
	char boot[40], state[16], version[24];
};

/* Listens to these agents' heartbeats until all are online, at most limit_ms. -1 with e only if that could not be done or, with
 * must, if one is not. */
int host_hear(struct host_job *j, struct host_heard *v, size_t n, int64_t limit_ms, bool must, struct err *e);
/* The same for the agents of one host. */
int host_hear_agents(struct host_job *j, const struct config_host *h, struct err *e);
/* For one agent, and then until it is in step with the houses that it may own, or HOST_STEP_MS have passed: it may be that an owner
 * is yet to learn of it. */
int host_settle(struct host_job *j, const char *agent, struct err *e);

/* Publishes the policy that `init` signed, unless there is one; 1: it did. */
int host_first_policy(struct host_job *j, struct err *e);

#endif
