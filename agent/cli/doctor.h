/*
 * doctor.h - what can be wrong with an installation, as a table, and how a check tells what it found.
 *
 * A check (cmd_doctor.c has them, in their order) looks at one thing, for this host or for one subject: an identity
 * whose certificate lies here. It says well, note, skipped (and why) or wrong; what is wrong is a row of the table
 * below, so that it has a name, a cause and a remedy, and docs/TROUBLESHOOTING.md is printed from it.
 *
 * Each check runs in a process of its own that is killed when its time is over: whatever hangs, the doctor does not.
 * None changes anything: what is published to try the access list is never released to anybody, or goes to a house
 * that does not exist.
 */
#ifndef UW_DOCTOR_H
#define UW_DOCTOR_H

#include "config.h"
#include "doctor_wire.h"
#include "err.h"

#define DOCTOR_SOON_DAYS 30

/* In symptom and remedy {} stands for what it is about: a name, a file, a setting. */
/*        symbol                 name             what is seen, the cause, the remedy */
#define DOCTOR_FINDINGS(X) \
	X(FOUND_NO_END,          "doctor.stuck", \
	  "A check gives no answer", "A disk, a name server or a program hangs; the check was given up", \
	  "look at what {} looks at by hand") \
	X(FOUND_CONFIG,          "config.invalid", \
	  "Every command ends with exit code 2 and a line of houses.yaml", "houses.yaml cannot be read or has a mistake", \
	  "correct what is named; `uni-wizard config check` reads it again") \
	X(FOUND_CONFIG_ODD,      "config.odd", \
	  "`warning:` when a command starts", "Something in houses.yaml is allowed, but hardly meant", \
	  "change what is named in houses.yaml, or set the variable that is missing") \
	X(FOUND_IDENTITY,        "config.identity", \
	  "`not authorised` for all that {} does", "houses.yaml does not list the name, so the broker gives it no rights", \
	  "list {} under operators, watchers or a house's agents, then `uni-wizard broker config` and SIGHUP to the broker") \
	X(FOUND_CERT_MISSING,    "cert.missing", \
	  "`cannot use the certificate`, `cannot use the CA file`", "A certificate or key is not on this host", \
	  "bring {} from where ca.key is, or make it there with `uni-wizard pki issue`") \
	X(FOUND_CERT_UNREADABLE, "cert.unreadable", \
	  "`cannot use the certificate` though the file is there", "The file is damaged, of another kind, or not this user's", \
	  "bring {} anew from where ca.key is; it must be readable by the user who needs it") \
	X(FOUND_CERT_NAME,       "cert.name", \
	  "The broker takes {} for somebody else", "The certificate's common name is not the file's name", \
	  "`uni-wizard pki issue {} --replace` where ca.key is, and bring {}.crt and {}.key here") \
	X(FOUND_CERT_USE,        "cert.use", \
	  "TLS ends with `unsupported certificate`", "A broker's certificate is used by a client, or the other way round", \
	  "`uni-wizard pki issue {} --replace` where ca.key is, without --san for a client") \
	X(FOUND_CERT_UNTRUSTED,  "cert.untrusted", \
	  "TLS ends with `unknown ca`", "ca.crt here is not of the authority that signed {}", \
	  "bring the present ca.crt and {} from where ca.key is") \
	X(FOUND_CERT_EXPIRED,    "cert.expired", \
	  "TLS ends with `certificate expired`", "The certificate's last day is past", \
	  "`uni-wizard pki renew {}` where ca.key is, and bring the file; nothing has to be restarted") \
	X(FOUND_CERT_SOON,       "cert.soon", \
	  "Nothing yet", "The certificate ends within 30 days", \
	  "`uni-wizard pki renew {}` where ca.key is, and bring the file; nothing has to be restarted") \
	X(FOUND_CERT_FUTURE,     "cert.future", \
	  "TLS ends with `certificate is not yet valid`", "This host's clock is behind, or that of the authority's was ahead", \
	  "set this host's clock (`timedatectl`); if it is right: `uni-wizard pki renew {}` where ca.key is") \
	X(FOUND_CERT_KEY,        "cert.key", \
	  "`key values mismatch`", "The key beside the certificate is another one's", \
	  "bring {}.crt and {}.key together; if the key is lost: `uni-wizard pki renew {} --new-key`") \
	X(FOUND_CERT_MODE,       "cert.mode", \
	  "Commands refuse the key: `others can read it`", "Whoever reads the key can speak as its owner", \
	  "chmod 600 {}; if others may have read it, also `uni-wizard pki renew --new-key` and `pki revoke --former`") \
	X(FOUND_CERT_REVOKED,    "cert.revoked", \
	  "TLS ends with `certificate revoked`", "The certificate was taken back", \
	  "if {} is to be used again: `uni-wizard pki issue {}` where ca.key is") \
	X(FOUND_CRL_MISSING,     "crl.missing", \
	  "The broker does not start, or lets nobody in", "The list of what is revoked is missing, damaged or lacks an authority", \
	  "`uni-wizard pki init` where ca.key is writes it; bring ca.crl to the broker, and SIGHUP") \
	X(FOUND_CRL_EXPIRED,     "crl.expired", \
	  "The broker lets nobody in: `CRL has expired`", "The list of what is revoked has an end of its own, and it is past", \
	  "`uni-wizard pki init` where ca.key is signs it anew; bring ca.crl to the broker, and SIGHUP") \
	X(FOUND_CRL_SOON,        "crl.soon", \
	  "Nothing yet", "The list of what is revoked ends within 30 days; then the broker lets nobody in", \
	  "`uni-wizard pki init` where ca.key is signs it anew; bring ca.crl to the broker, and SIGHUP") \
	X(FOUND_BROKER_NAME,     "broker.name", \
	  "`its name is not resolved`", "No name server knows the broker's host", \
	  "correct `brokers` in houses.yaml, or the entry in DNS or /etc/hosts; `getent hosts {}` tries it") \
	X(FOUND_BROKER_PORT,     "broker.port", \
	  "`Connection refused`, or no answer", "The broker does not run, listens elsewhere, or a firewall is between", \
	  "start the broker at {}; compare its `listener` lines with `brokers` in houses.yaml, and the firewall's rules") \
	X(FOUND_BROKER_TLS,      "broker.tls", \
	  "`certificate verify failed`", "The broker's certificate is expired or of another authority, or the port speaks no TLS", \
	  "at the broker: `uni-wizard pki renew` of its certificate, bring it with ca.crl, SIGHUP; here: the present ca.crt") \
	X(FOUND_BROKER_SAN,      "broker.san", \
	  "`certificate verify failed`: hostname or IP address mismatch", "The broker's certificate names other hosts", \
	  "`uni-wizard pki renew broker --san {}` (with its other names) where ca.key is, bring it, SIGHUP to the broker") \
	X(FOUND_BROKER_CLIENT,   "broker.client", \
	  "TLS ends with an alert of the broker", "The broker does not take this certificate: its ca.crt or ca.crl differ from those here", \
	  "bring the present ca.crt and ca.crl to the broker at {}; restart it for ca.crt, SIGHUP for ca.crl") \
	X(FOUND_BROKER_REFUSED,  "broker.refused", \
	  "Connected, and refused at once", "The broker answers the MQTT connect with a reason, or not at all", \
	  "look into the broker's log at {}; `uni-wizard broker config` writes settings that let this cluster in") \
	X(FOUND_BROKER_VERSION,  "broker.version", \
	  "Sessions or messages are lost", "Mosquitto older than 2.0.11 has faults that this cluster cannot work around", \
	  "upgrade mosquitto to 2.0.11 or newer, best 2.0.20") \
	X(FOUND_BROKER_OPEN,     "broker.open", \
	  "Strangers can connect", "The broker lets in who has no certificate, so nobody's name is proved", \
	  "`require_certificate true` and `allow_anonymous false`: `uni-wizard broker config`, then restart the broker at {}") \
	X(FOUND_BROKER_SETTING,  "broker.setting", \
	  "Slow, or messages are lost while an agent is away", "A setting of the broker is not what this cluster needs", \
	  "set {} as `uni-wizard broker config` writes it, and restart the broker") \
	X(FOUND_BROKER_ACL,      "broker.acl", \
	  "Nothing yet; after the broker's next SIGHUP some may do too much or too little", \
	  "The access list is not what houses.yaml gives", "`uni-wizard broker config`, then SIGHUP to the broker") \
	X(FOUND_ACL_NARROW,      "acl.narrow", \
	  "`not authorised`, or messages that never come", "The broker's access list lacks a line that {} needs", \
	  "`uni-wizard broker config` from this houses.yaml at the broker, then SIGHUP") \
	X(FOUND_ACL_WIDE,        "acl.wide", \
	  "Nothing; it is an open door", "{} may publish or read what is another's: the access list is old or not in use", \
	  "`uni-wizard broker config` from this houses.yaml at the broker, then SIGHUP; `acl_file` must be in mosquitto.conf") \
	X(FOUND_CLOCK,           "clock.skew", \
	  "Decisions count as out of date, certificates as not valid, schedules run at odd times", "The clocks of two hosts differ", \
	  "set the clock of {} by NTP: `timedatectl set-ntp true`") \
	X(FOUND_NO_OWNER,        "house.owner", \
	  "Tasks of a house stay where they are", "None of the house's candidates lives, is connected and is in step", \
	  "start an agent that may own {}; `uni-wizard house list` shows who that is") \
	X(FOUND_BEHIND,          "sovereign.behind", \
	  "Agents are alive and nothing starts", "An agent holds no policy, or has heard of a newer one than it holds", \
	  "`uni-wizard policy show`; if there is none: `uni-wizard policy sign`; the sovereign's key here must be the pinned one") \
	X(FOUND_DISK_FULL,       "disk.full", \
	  "`busy: the disk is nearly full`", "Less is free than limits.min_free_bytes", \
	  "make room where {} is, or give it a larger disk") \
	X(FOUND_DISK_SLOW,       "disk.slow", \
	  "Everything waits", "What must be on the disk takes longer than 100 ms: a worn disk, a busy neighbour, a network disk", \
	  "put {} on a local SSD; look for what else writes there (`iostat -x 1`)") \
	X(FOUND_DISK_WRITE,      "disk.write", \
	  "`cannot make the directory`, `unable to open database file`", "The state directory is not there or not writable", \
	  "make {} a directory of the user who runs the agent, mode 700") \
	X(FOUND_DISK_MODE,       "disk.mode", \
	  "Nothing; it is an open door", "Others on this host can read tasks, results and keys", \
	  "chmod 700 {}") \
	X(FOUND_STORE_DAMAGED,   "store.damaged", \
	  "`database disk image is malformed`", "The database was damaged: by the disk, or by who copied or edited it", \
	  "stop the agent, move {} away and start it: its house's other candidates give it what they have") \
	X(FOUND_STORE_NEWER,     "store.newer", \
	  "`use the newer program` when the agent starts", "The database was written by a newer program", \
	  "install the newer uni-wizard again; or stop the agent and move {} and {}-wal away: its house's other candidates " \
	  "give it what they have (if there are none: {}.before is what it was before)") \
	X(FOUND_OUTBOX,          "outbox.stuck", \
	  "What was submitted never starts", "Tasks wait in the local outbox: their house was not reached or did not accept", \
	  "`uni-wizard outbox list` shows them, `uni-wizard outbox send` tries again and says why not") \
	X(FOUND_GIT,             "tools.git", \
	  "git_* tools fail with `not found`", "git is not where tools look for programs", \
	  "install git") \
	X(FOUND_MANIFEST,        "tools.manifest", \
	  "`unknown_tool` for a tool of your own", "A manifest is wrong, or its program is missing, not executable or writable by all", \
	  "correct what is named; `uni-wizard tool list` shows what is left out; agents read manifests when they start") \
	X(FOUND_ROOT,            "tools.root", \
	  "`path: outside of the configured roots`", "A directory of tools.roots or tools.read_roots is missing or not usable", \
	  "make the directory {}, or take it out of houses.yaml") \
	X(FOUND_SANDBOX,         "tools.sandbox", \
	  "The agent does not start its workers", "Workers cannot become the user that workers.user names", \
	  "correct workers.user in houses.yaml, or start the agent as root") \
	X(FOUND_SYNC_SILENT,     "sync.silent", \
	  "Artifacts of this host do not reach others, nor theirs this one", "This host's Syncthing does not answer, or not to this key", \
	  "start Syncthing, which is to answer at {}, and bring its API key (`syncthing cli config gui apikey get`) to where the secret is") \
	X(FOUND_SYNC_SETUP,      "sync.setup", \
	  "Files are not shared as houses.yaml says, or Syncthing talks to others", "Settings of Syncthing at {} are not those of houses.yaml", \
	  "`uni-wizard sync setup`; with --dry-run it only prints what it would change") \
	X(FOUND_SYNC_AWAY,       "sync.away", \
	  "What {} shares does not come: `artifact get` waits in vain", "Its Syncthing is not connected to this host's", \
	  "start Syncthing on {}; look at its id and address in houses.yaml and at the way to it") \
	X(FOUND_SYNC_FAULT,      "sync.fault", \
	  "Artifacts of {} are missing here, or are refused", "Somebody wrote into another host's folder, or a file could not be brought here", \
	  "`uni-wizard sync status`, `uni-wizard artifact verify`; then Revert Local Changes on Syncthing's page where it was changed, or Override Changes on the writer's") \
	X(FOUND_NO_KEYS,         "sovereign.unpinned", \
	  "Everything starts without approval", "sovereign_keys is empty: whose signature counts is not known", \
	  "`uni-wizard key init` on the sovereign's machine, and its public half as sovereign_keys in every houses.yaml") \
	X(FOUND_SIGNING_KEY,     "sovereign.key", \
	  "Decisions and policies that were signed here are ignored", "The sovereign's key here cannot be used, or is not a pinned one", \
	  "`uni-wizard key show`; pin its public half in every houses.yaml, or bring the right key, mode 600, as {}") \
	X(FOUND_AGENT_DOWN,      "agent.down", \
	  "Its house is with another agent, or with none", "The agent that lives on this host does not run", \
	  "start it: its service, or `uni-wizard agent --agent {}`; its log says why it ended") \
	X(FOUND_AGENT_SILENT,    "agent.silent", \
	  "It runs, and others took its houses", "The agent's process does not answer on its socket: stopped, or stuck in a write", \
	  "look at the process of {} (`ps`, state T or D); `kill -CONT` what was stopped, or restart it") \
	X(FOUND_AGENT_CUT,       "agent.cut", \
	  "It runs, and others took its houses", "The agent is not connected, although the broker lets its certificate in from here", \
	  "its log says why; restart {} if it does not come back") \
	X(FOUND_AGENT_OLD,       "agent.old", \
	  "A new feature does not work", "The agent that runs is of another version than this program", \
	  "restart {}") \
	X(FOUND_AGENT_DEGRADED,  "agent.degraded", \
	  "Tasks of low priority are refused as `busy`, live output comes slowly", "Something is short on the agent's host, or its houses are behind", \
	  "free what is named, or change its limit under `stress`; it ends by itself") \
	X(FOUND_LEFT,            "process.left", \
	  "Load, locks or ports that nobody explains", "A process that a tool of a former life of the agent started still runs", \
	  "`ps -fp {}`, then kill it; the agent does so when it is restarted") \
	X(FOUND_UNIT_FAILED,     "unit.failed", \
	  "The agent is away after a crash or boot", "systemd gave the service up", \
	  "`journalctl -u {}` says why; then `systemctl reset-failed {}` and `systemctl start {}`") \
	X(FOUND_UNIT_DISABLED,   "unit.disabled", \
	  "The agent is away after the next boot", "The service is not enabled", \
	  "`systemctl enable {}`")

enum doctor_finding {
#define X(sym, name, symptom, cause, mend) sym,
	DOCTOR_FINDINGS(X)
#undef X
	DOCTOR_NFINDINGS
};

struct doctor_row {
	const char *name, *symptom, *cause, *mend;
};
extern const struct doctor_row doctor_rows[DOCTOR_NFINDINGS];

enum doctor_status { DOCTOR_WELL, DOCTOR_NOTE, DOCTOR_SKIPPED, DOCTOR_WRONG };

/* What a check is given. */
struct doctor {
	const char *config_path;
	const struct config *config;    /* NULL: it could not be read, config_err says why */
	const struct err *config_err;
	char *const *warnings;          /* of reading it */
	size_t nwarnings;
	const char *subject;            /* "": the host itself */
	bool is_agent;                  /* the subject is one, or a witness */
	const char *broker_dir;         /* NULL: no broker's files are known here */
	int fd;                         /* where it tells: doctor.c */
};

/* about fills {} of the remedy. */
void doctor_wrong(struct doctor *d, enum doctor_finding f, const char *about, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void doctor_well(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_note(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_skip(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One thing that a check said. */
struct doctor_said {
	enum doctor_status status;
	enum doctor_finding finding;    /* DOCTOR_WRONG */
	char about[256], text[700], mend[700];
};

/* Runs a check in a process of its own, at most so long, and hands on what it says, in order. */
void doctor_run(struct doctor *d, const char *name, void (*check)(struct doctor *d), int limit_ms,
    void (*said)(void *arg, const struct doctor_said *s), void *arg);

/* doctor_broker.c: with the subject's certificate, to broker i, or to the first that lets us in. NULL with e. */
struct wire *doctor_connect(const struct doctor *d, size_t i, int keepalive_s, enum wire_step *step, struct err *e);
struct wire *doctor_connect_any(const struct doctor *d, enum wire_step *step, struct err *e);

struct buf;
/* Symptom, cause and remedy of everything, as a Markdown table. */
void doctor_markdown(struct buf *out);

/* The checks. */
void doctor_config(struct doctor *d);           /* doctor_config.c: houses.yaml, the subject's place in it */
void doctor_identity(struct doctor *d);
void doctor_cert(struct doctor *d);             /* doctor_cert.c */
void doctor_crl(struct doctor *d);
void doctor_broker(struct doctor *d);           /* doctor_broker.c: name, TCP, TLS, CONNACK of each */
void doctor_settings(struct doctor *d);         /* what it says of itself, and its files if they are here */
void doctor_acl(struct doctor *d);              /* doctor_acl.c */
void doctor_peers(struct doctor *d);            /* doctor_peers.c: clocks, owners, policy, by heartbeats */
void doctor_disk(struct doctor *d);             /* doctor_disk.c */
void doctor_store(struct doctor *d);            /* doctor_store.c */
void doctor_outbox(struct doctor *d);
void doctor_tools(struct doctor *d);            /* doctor_tools.c: git, manifests, roots, sandbox */
void doctor_sync(struct doctor *d);             /* doctor_sync.c: Syncthing, as houses.yaml wants it, connected */
void doctor_sovereign(struct doctor *d);        /* doctor_sovereign.c: pinned keys, the key itself */
void doctor_agent(struct doctor *d);            /* doctor_agent.c: runs, answers, is connected */
void doctor_left(struct doctor *d);             /* processes of a former life */
void doctor_unit(struct doctor *d);             /* systemd */

#endif
