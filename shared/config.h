/*
 * config.h - houses.yaml: one file for the whole cluster, the same on every host.
 *
 * Read once into plain structs; everything has a default, so the smallest file is the
 * founding one that only names houses. The table of keys in config.c holds key, type,
 * range, default and help; `uni-wizard config keys` and docs/configuration.md print it.
 *
 * ${VAR} in any scalar is replaced by the environment's value.
 */
#ifndef UW_CONFIG_H
#define UW_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert.h"
#include "stress.h"
#include "cron.h"
#include "sign.h"
#include "topic.h"

struct err;

#define CONFIG_MAX_HOUSES 64
#define CONFIG_MAX_NEEDS 8              /* of a house */
#define CONFIG_MAX_AGENTS 32            /* agents per house, candidates, and witnesses */
#define CONFIG_MAX_BROKERS 8
#define CONFIG_MAX_PEOPLE 64
#define CONFIG_MAX_PATHS 64
#define CONFIG_MAX_SECRETS 64
#define CONFIG_MAX_SIGNERS 8
#define CONFIG_MAX_SCHEDULES 64
#define CONFIG_MAX_FLOWS 32
#define CONFIG_MAX_HOSTS 64
#define CONFIG_MAX_SINKS 16
#define CONFIG_MAX_TEXTS 32             /* in a list of them */
#define CONFIG_MAX_STEPS 8              /* tasks of one rule */
#define CONFIG_MAX_TRIAGES 64
#define CONFIG_MAX_REPOSITORIES 64
#define CONFIG_MAX_DEVICES 32
#define CONFIG_MAX_VOTERS (CONFIG_MAX_HOUSES * CONFIG_MAX_AGENTS + 2 * CONFIG_MAX_AGENTS)
#define CONFIG_MAX_IDENTITIES (1 + 2 * CONFIG_MAX_PEOPLE + CONFIG_MAX_VOTERS)

typedef char config_name[NAME_MAX_LEN + 1];

struct config_names {
	config_name v[CONFIG_MAX_PEOPLE];
	size_t n;
};

struct config_paths {
	char *v[CONFIG_MAX_PATHS];      /* absolute */
	size_t n;
};

struct config_texts {
	char *v[CONFIG_MAX_TEXTS];
	size_t n;
};

struct config_urls {
	char *v[CONFIG_MAX_NEEDS];
	size_t n;
};

struct config_signers {
	struct sign_public v[CONFIG_MAX_SIGNERS];
	size_t n;
};

struct config_house {
	config_name name;
	char *endpoint;                 /* NULL: none */
	char *auth_token;               /* NULL: none; never logged or printed */
	char *priority;                 /* low normal high critical */
	char *role;                     /* judgement archivist artificer tempo-and-dispatch worker */
	struct config_names agents;     /* home agents; default <house>-1 */
	struct config_names candidates; /* may own the house, in order; default its agents, then others */
	char *copies;                   /* all 1: whose commits an accepted reply waits for */
	int64_t timeout_cap_s;          /* of an attempt in this house; 0: max_timeout_s alone */
	struct config_urls needs;       /* what its owner must reach */
};

struct config_broker {
	char *host;
	int port;
};

struct config_secret {
	char *name;                     /* [A-Z][A-Z0-9_]* */
	char *value;                    /* from file: or env:, already read; never printed */
	char *file;                     /* NULL: from env: */
	char *origin;                   /* "https://host:port": HTTP tools may send it there; NULL: nowhere */
};

struct config_schedule {
	config_name name, house;
	char *cron_text, *zone_name;
	char *task;                     /* JSON, an object */
	char *missed;                   /* once none all */
	struct cron cron;
	struct zone *zone;
};

/* How much of something may go on at once, in each house for itself. */
struct config_flow {
	config_name name, house;        /* house "": every one */
	char *tool;                     /* NULL: every one */
	char *key;                      /* a parameter: each of its values for itself; NULL: all together */
	int64_t running;                /* attempts at once; 0: any number */
	int64_t each_us;                /* a token comes each so many microseconds; 0: none are needed */
	int64_t burst;                  /* that may be saved up */
};

/* What the file says of one alert; the rest is as the table in alert.h has it. */
struct config_alert {
	bool given;
	int64_t limit, raise_s, clear_s;
	char *use;                      /* on off */
};

/* Likewise of one stress, see stress.h. */
struct config_stress {
	bool given;
	int64_t limit, raise_s, clear_s;
	int64_t clear;                  /* -1: not said */
	char *use;                      /* on off */
};

/* Where `uni-wizard alerts deliver` brings alerts. */
struct config_sink {
	config_name name;
	char *kind;                     /* webhook ntfy mail command */
	char *url;                      /* http(s):// or smtp(s)://; NULL for a command */
	char *secret;                   /* by its name in secrets; NULL: none */
	char *user, *from, *to;         /* of mail */
	char *command;
	char *severity;                 /* warning: all; critical */
};

struct config_repositories {
	char *v[CONFIG_MAX_REPOSITORIES];       /* "owner/name" */
	size_t n;
};

/* What becomes of a new issue or pull request: what it must be, and what is done then. What is not given is not asked, or
 * not done. */
struct config_triage {
	config_name name;
	char *kind;                     /* any issue pull */
	char *repo;                     /* a pattern, see glob.h */
	char *author;
	char *match;                    /* extended regular expression, title and body, either case */
	struct config_texts words;      /* one of them, in title or body, either case */
	struct config_texts labels;     /* one of them */
	struct config_texts paths;      /* patterns; one of them, one of the changed files */

	struct config_texts add;        /* labels */
	char *category;
	char *assignee;
	config_name house;              /* "": the router chooses */
	char *task;                     /* JSON, with {title} and so on in its texts; NULL: none */
	struct config_texts tasks;      /* such ones, each after the one before; never with task */
	char *report;                   /* state result */
};

/* The watch over a Gitea, see docs/bridge.md. */
struct config_bridge {
	struct config_repositories repos;       /* none: there is no watch */
	config_name house;              /* whose owner keeps it */
	config_name identity;           /* an operator, whose tasks they are */
	char *listen;                   /* address:port for webhooks; "off" */
	char *secret;                   /* by its name in secrets: signs them; NULL: none are taken */
	char *link;                     /* before a task's id, in comments; NULL: no link */
	int64_t poll_s, backlog_s, yield_s;
	int64_t open;                   /* events at once */
	char *suggest;                  /* off say apply */
	int64_t suggest_at;             /* per cent, from which a label is given */
};

/* See tools/gitea.h. */
struct config_gitea {
	char *url;                      /* NULL: there is none */
	char *token;                    /* by its name in secrets */
	char *ca;                       /* file with authorities; NULL: the system's */
	struct config_repositories repositories;        /* these and no others */
	int64_t each_us, burst;         /* requests of one process */
	int64_t timeout_s;              /* of one */
};

/* A host with a Syncthing, of which it owns one folder. */
struct config_device {
	config_name name;
	char *id;                       /* "AAAAAAA-...": of its Syncthing */
	char *address;                  /* where the others reach it: tcp://host:port, quic://host:port, dynamic */
	char *listen;                   /* where it listens; NULL: at that port of every address */
};

/* A machine that `uni-wizard host` looks after. */
struct config_host {
	config_name name;
	char *ssh;                      /* user@host:port, or "local": this machine, without ssh */
	char *address;                  /* where the others reach it */
	struct config_names agents;     /* of houses, and witnesses: on one host each */
	char *broker;                   /* on off */
};

struct config {
	char *path;                     /* the file this came from, absolute */
	config_name cluster;            /* "home" */
	config_name identity;           /* who the command line is: "operator" */
	struct config_broker brokers[CONFIG_MAX_BROKERS];       /* in order of preference */
	size_t nbrokers;                /* default one: localhost 8883 */
	char *pki_dir;                  /* ca.crt, <identity>.crt, <identity>.key */
	char *state_dir;                /* databases: <agent>.db, outbox-<identity>.db */
	char *run_dir;                  /* <agent>.sock, <agent>.pid */
	char *log_level;                /* warn info debug */
	char *log_format;               /* text json */
	char *http_listen;              /* "127.0.0.1:8643", "off"; NULL: see config_http() */
	char *http_certificate, *http_key;

	struct config_house houses[CONFIG_MAX_HOUSES];
	size_t nhouses;
	struct config_names router;     /* candidates of the house "_", in order */
	struct config_names routers;    /* of these the agents that are at home in no house, and only route */
	struct config_names witnesses;  /* agents that own nothing and only vote */
	config_name sovereign;          /* "timmy" */
	struct config_signers sovereign_keys;   /* whose signature is his; none: nothing signed is asked for */
	char *sovereign_key;            /* where his private key lies, on his machine */
	struct config_names operators, watchers;
	struct config_host hosts[CONFIG_MAX_HOSTS];
	size_t nhosts;

	int64_t max_payload_bytes;      /* one message; 1 MiB */
	int64_t max_payload_lines;      /* 4096 */
	int64_t max_task_bytes;         /* one task line; 256 KiB */
	int64_t max_schedules;          /* of one house, added by command; 64 */
	int64_t max_queued;             /* tasks of one house that are not terminal; 1,000,000 */
	int64_t max_outbox_bytes;       /* 256 MiB */
	int64_t keep_finished_s;        /* 7 days */
	int64_t keep_finished;          /* count; 1,000,000 */
	int64_t keep_rejected;          /* count; 1,000 */
	int64_t keep_keys_s;            /* idempotency keys; 24 h */
	int64_t keep_audit_s;           /* 365 days */
	int64_t keep_audit;             /* records; 10,000,000 */
	int64_t keep_audit_bytes;       /* 1 GiB */
	int64_t keep_patterns;          /* attempts; 100,000 */
	int64_t keep_output_bytes;      /* 64 MiB; 0: none */
	int64_t min_free_bytes;         /* disk reserve below which tasks are refused; 64 MiB */
	int64_t stress_priority;        /* under stress those below it are refused; 4 */

	int64_t workers;                /* processes; 0: one per core, at least 2 */
	int64_t stop_grace_ms;          /* SIGTERM to SIGKILL; 5,000 */
	int64_t max_output_bytes;       /* one tool result; 256 KiB */
	int64_t max_timeout_s;          /* cap on a task's timeout_s; 86,400 */
	int64_t max_crashes;            /* crash budget; 3 */
	int64_t max_retry_after_s;      /* how long somebody who was asked may have us wait; 3,600 */
	int64_t breaker_failures, breaker_open_s, breaker_cap_s;        /* see agent/core/breaker.c */
	int64_t worker_memory_bytes;    /* RLIMIT_AS of a worker and its children; 2 GiB, 0: none */
	int64_t worker_file_bytes;      /* RLIMIT_FSIZE; 4 GiB, 0: none */
	int64_t worker_open_files;      /* RLIMIT_NOFILE; 1,024 */
	int64_t worker_processes;       /* RLIMIT_NPROC, of the whole user; 8,192, 0: none */
	char *worker_user;              /* NULL: the agent's */
	char *temp_dir;                 /* holds the temporary directories of attempts */
	int64_t temp_bytes;             /* in one of them; 1 GiB, 0: no limit */

	char *hermes_url;               /* of its API server; NULL: none, see tools/hermes_run.c */
	char *hermes_secret;            /* by its name in secrets, as below; NULL: none */
	char *hermes_program;           /* used where there is no URL; NULL: none */
	char *hermes_home;              /* HERMES_HOME; NULL: none */
	char *hermes_listen;            /* where its webhooks arrive, "127.0.0.1:8650" or "off" */
	char *hermes_webhook_secret;
	char *hermes_share;             /* facts previews texts: what leaves this host */
	int64_t hermes_spool_bytes;     /* 16 MiB */

	struct config_paths roots;      /* tools may read and write beneath these */
	struct config_paths read_roots; /* tools may read beneath these */
	struct config_paths tool_dirs;  /* own tools: directories with *.json manifests */
	struct config_secret secrets[CONFIG_MAX_SECRETS];
	size_t nsecrets;
	struct config_schedule schedules[CONFIG_MAX_SCHEDULES];
	size_t nschedules;
	struct config_flow flows[CONFIG_MAX_FLOWS];
	size_t nflows;
	struct config_alert alerts[ALERT_COUNT];
	struct config_stress stresses[STRESS_COUNT];
	struct config_sink sinks[CONFIG_MAX_SINKS];
	size_t nsinks;
	struct config_bridge bridge;
	struct config_triage triages[CONFIG_MAX_TRIAGES];       /* in the order of the file */
	size_t ntriages;
	struct config_gitea gitea;

	char *share_dir;                /* files that hosts share, see artifact.h; NULL: none */
	config_name share_folder;       /* folders of Syncthing are <this>-<device> */
	char *share_api, *share_key;    /* its REST interface; its key, by its name in secrets */
	struct config_names share_outside;      /* what of it may talk to others than the devices, see syncthing.h */
	struct config_device devices[CONFIG_MAX_DEVICES];
	size_t ndevices;
	int64_t max_artifact_bytes;     /* 1 GiB */
	int64_t keep_artifacts_s;       /* 30 days */
	int64_t keep_artifacts_bytes;   /* 10 GiB, of one host */
};

/* The message of e names file, line, key, what was expected and what came. On failure *c is
 * released. warn, if not NULL, is called for what is odd but usable. */
int config_load(struct config *c, const char *path, void (*warn)(const char *msg, void *arg), void *arg,
    struct err *e);
int config_parse(struct config *c, const char *name, const char *text, size_t len,
    void (*warn)(const char *msg, void *arg), void *arg, struct err *e);
void config_release(struct config *c);

/* --config, else $UNI_WIZARD_CONFIG, else /etc/uni-wizard/houses.yaml if it can be read, else houses.yaml of config_user_dir() if
 * there is one, else the former. Borrowed, until the next call. */
const char *config_path(const char *option);

/* "$XDG_CONFIG_HOME/uni-wizard", or under ~/.config: where `uni-wizard init` puts a cluster. NULL: nobody's home is known. */
const char *config_user_dir(char *out, size_t size);

const struct config_house *config_house_find(const struct config *c, const char *name);

const struct config_device *config_device_find(const struct config *c, const char *name);
const struct config_host *config_host_find(const struct config *c, const char *name);
/* The host that an agent is on; NULL if the file does not say. */
const struct config_host *config_host_of(const struct config *c, const char *agent);

struct config_ssh {
	bool local;                     /* no ssh; the rest is empty */
	char destination[200];          /* "user@host": of an address of IPv6 without brackets */
	char host[160];
	int port;                       /* 0: ssh's own default */
};

/* False: not as TYPE_SSH takes it. Nothing that passes can be an option of ssh or hold what a shell takes for its own. */
bool config_ssh(const char *text, struct config_ssh *out);
/* A host name, or an address without brackets. */
bool config_address_ok(const char *text);

/* The value of a secret; NULL: this host has none of that name. */
const char *config_secret_value(const struct config *c, const char *name);

/* Its row of the table with what the file says of it. False: it is switched off. */
bool config_alert(const struct config *c, enum alert_kind kind, struct alert_rule *r);
bool config_stress(const struct config *c, enum stress_kind kind, struct stress_rule *r);

/* Longest time of an attempt there; of a house that is not configured: of any. */
int64_t config_timeout_cap_s(const struct config *c, const char *house);

/* Who may own the house, in order; "_" is the router's. NULL if there is no such house. */
const struct config_names *config_candidates(const struct config *c, const char *house);

/* The house an agent calls home; NULL if nobody lists it, and for a witness. */
const struct config_house *config_home(const struct config *c, const char *agent);

#define CONFIG_HTTP_PORT 8643

/* Where an agent answers HTTP: a numeric address, and a port, which may be 0. False: nowhere. loopback: only this
 * machine can connect. */
bool config_http(const struct config *c, const char *agent, char *address, size_t size, int *port, bool *loopback);

/* owner/name, each of up to 100 of [A-Za-z0-9._-], not dots alone. */
bool config_repository_ok(const char *repository);

/* "127.0.0.1:8643" or "[::1]:8643", as TYPE_LISTEN takes it: the address alone, and the port. True: only this machine
 * can connect. */
bool config_listen(const char *text, char *address, size_t size, int *port);

/* The secret of that name; NULL if there is none, or name is NULL. */
const struct config_secret *config_secret_find(const struct config *c, const char *name);

bool config_names_has(const struct config_names *names, const char *name);

/* What an identity may do, by the lists above. */
enum config_kind { IDENTITY_UNKNOWN, IDENTITY_AGENT, IDENTITY_SOVEREIGN, IDENTITY_OPERATOR, IDENTITY_WATCHER };
enum config_kind config_identity_kind(const struct config *c, const char *identity);

/* Each identity once, the sovereign first; returns how many, out has room for max. All are at most
 * CONFIG_MAX_IDENTITIES. */
size_t config_identities(const struct config *c, const char **out, size_t max);

/* Those whose majority says which broker is the one in use: the agents of all houses, then the witnesses, each
 * once. Copies at most max names, of which there are at most CONFIG_MAX_VOTERS; returns how many there are, so
 * out may be NULL with max 0. */
size_t config_voters(const struct config *c, config_name *out, size_t max);

struct cJSON;
/* Other YAML, or JSON, which is YAML too, as a tree: plain true, false and whole numbers are such, all else is
 * text. As strict as houses.yaml. The caller frees it; NULL with file and line in e. */
struct cJSON *config_tree(const char *name, const char *text, size_t len, struct err *e);

#define CONFIG_ROW_PATH 96

/* A key of the file as documentation shows it. */
struct config_row {
	char path[CONFIG_ROW_PATH];     /* "houses.<name>.agents" */
	const char *type, *def, *help;
	bool value;                     /* def is a value, not words about it */
	char accepted[400];
};

/* The i-th; false past the last. */
bool config_row(size_t i, struct config_row *row);

struct buf;
/* Every key with type, default, range and help, as a Markdown table. */
void config_keys_markdown(struct buf *out);

#endif
