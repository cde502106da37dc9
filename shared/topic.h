/*
 * topic.h - every topic there is, in one table: format, parse, ACL, subscriptions and
 * docs/protocol.md all come from it.
 *
 * uw/<cluster>/<scope>/<name>/<kind>/<id>: always four levels after the cluster. Who may
 * publish a topic is shown by the level that must hold the publisher's own name.
 */
#ifndef UW_TOPIC_H
#define UW_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

struct err;

#define NAME_MAX_LEN 32         /* houses, agents, identities, clusters: [a-z0-9-], or "_" */
#define TOPIC_MAX 256

enum topic_writer {
	WRITER_ID,              /* the identity named by <id> */
	WRITER_NAME,            /* the identity named by <name> */
	WRITER_AGENT_ID,        /* like WRITER_ID, agents of houses only */
	WRITER_AGENT_NAME,      /* like WRITER_NAME, agents and witnesses only */
	WRITER_PERSON,          /* the sovereign and operators, named by <name> */
	WRITER_SOVEREIGN,       /* the sovereign alone */
	WRITER_CANDIDATE,       /* candidates of the house <name> */
	WRITER_CANDIDATE_ID,    /* the same, and <id> names the writer */
	WRITER_CANDIDATE_NAME,  /* candidates of the house <id>, and <name> names the writer */
	WRITER_AGENTS,          /* any agent of a house */
};

enum topic_reader {
	READER_AGENTS,          /* every agent, the sovereign and operators */
	READER_ALL,             /* everybody, watchers too */
	READER_NAME,            /* only the identity named by <name> */
};

/*        symbol            scope        kind         qos retained writer                 reader         what */
#define TOPICS(X)                                                                                                \
	X(TOPIC_TASK,       "house",     "task",      1, false, WRITER_ID,             READER_ALL,    "tasks for the house; house _ means: router, choose") \
	X(TOPIC_CANCEL,     "house",     "cancel",    1, false, WRITER_ID,             READER_AGENTS, "cancel a task") \
	X(TOPIC_QUERY,      "house",     "query",     1, false, WRITER_ID,             READER_AGENTS, "ask for tasks' states and results") \
	X(TOPIC_EVENT,      "house",     "event",     1, false, WRITER_AGENT_ID,       READER_ALL,    "stream of life-cycle events") \
	X(TOPIC_LOG,        "house",     "log",       0, false, WRITER_AGENT_ID,       READER_ALL,    "live output of running tasks") \
	X(TOPIC_CLAIM,      "house",     "claim",     1, true,  WRITER_CANDIDATE_ID,   READER_ALL,    "lease claims") \
	X(TOPIC_HEALTH,     "agent",     "health",    1, true,  WRITER_AGENT_NAME,     READER_ALL,    "state, counters, houses held; last will") \
	X(TOPIC_ECHO,       "agent",     "echo",      1, false, WRITER_AGENT_NAME,     READER_NAME,   "an agent's own pulse") \
	X(TOPIC_HAVE,       "agent",     "have",      0, false, WRITER_CANDIDATE_NAME, READER_AGENTS, "what a follower has committed") \
	X(TOPIC_WORK,       "agent",     "work",      1, false, WRITER_AGENT_ID,       READER_NAME,   "work for the agent, and what passes between owner and followers") \
	X(TOPIC_TELEMETRY,  "agent",     "telemetry", 0, false, WRITER_AGENT_NAME,     READER_ALL,    "metrics and other measurements") \
	X(TOPIC_ALERT,      "agent",     "alert",     1, true,  WRITER_AGENT_NAME,     READER_ALL,    "raised and cleared alerts") \
	X(TOPIC_RELAY,      "agent",     "sovereign", 1, true,  WRITER_AGENT_NAME,     READER_ALL,    "signed objects, passed on unchanged") \
	X(TOPIC_DECISION,   "sovereign", "decision",  1, true,  WRITER_SOVEREIGN,      READER_ALL,    "signed approvals and denials") \
	X(TOPIC_POLICY,     "sovereign", "policy",    1, true,  WRITER_SOVEREIGN,      READER_ALL,    "signed policy") \
	X(TOPIC_HALT,       "sovereign", "halt",      1, true,  WRITER_SOVEREIGN,      READER_ALL,    "signed halt and resume") \
	X(TOPIC_GRANT,      "sovereign", "grant",     1, true,  WRITER_SOVEREIGN,      READER_ALL,    "signed standing grants") \
	X(TOPIC_REQUEST,    "approval",  "request",   1, true,  WRITER_CANDIDATE,      READER_ALL,    "what waits for the sovereign") \
	X(TOPIC_MUTE,       "client",    "mute",      1, true,  WRITER_PERSON,         READER_ALL,    "alerts that somebody has seen, or silenced") \
	X(TOPIC_REPLY,      "client",    "reply",     1, false, WRITER_AGENTS,         READER_NAME,   "replies to one client")

enum topic_kind {
#define X(sym, scope, kind, qos, retained, writer, reader, what) sym,
	TOPICS(X)
#undef X
	TOPIC_COUNT
};

struct topic_def {
	const char *scope, *kind;
	int qos;
	bool retained;
	enum topic_writer writer;
	enum topic_reader reader;
	const char *what;
};

extern const struct topic_def topics[TOPIC_COUNT];

/* [a-z0-9][a-z0-9-]{0,31}; "_" alone is the router's house and is not a name. */
bool name_ok(const char *name);

/* Writes the topic; name or id may be "+" for a filter. out has TOPIC_MAX bytes. */
void topic_format(char *out, const char *cluster, enum topic_kind kind, const char *name, const char *id);

struct topic {
	enum topic_kind kind;
	char name[NAME_MAX_LEN + 1];
	char id[64];
};

/* Takes apart a received topic; -1 if it is not one of ours. */
int topic_parse(const char *text, const char *cluster, struct topic *t, struct err *e);

#endif
