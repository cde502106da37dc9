#include "config_impl.h"
#include "log.h"

#ifdef __APPLE__
#define STATE_DIR "/usr/local/var/uni-wizard"
#define RUN_DIR "/usr/local/var/run/uni-wizard"
#else
#define STATE_DIR "/var/lib/uni-wizard"
#define RUN_DIR "/run/uni-wizard"
#endif

#define CONF(member) .offset = offsetof(struct config, member)
#define HOUSE(member) .offset = offsetof(struct config_house, member)
#define SCHEDULE(member) .offset = offsetof(struct config_schedule, member)
#define FLOW(member) .offset = offsetof(struct config_flow, member)
#define ALERT(member) .offset = offsetof(struct config_alert, member)
#define STRESS(member) .offset = offsetof(struct config_stress, member)
#define SINK(member) .offset = offsetof(struct config_sink, member)
#define TRIAGE(member) .offset = offsetof(struct config_triage, member)
#define HOST(member) .offset = offsetof(struct config_host, member)
#define DEVICE(member) .offset = offsetof(struct config_device, member)
#define SOURCE(member) .offset = offsetof(struct config_secret_source, member)
#define KiB ((int64_t)1 << 10)
#define MiB ((int64_t)1 << 20)
#define GiB ((int64_t)1 << 30)
#define DAY ((int64_t)86400)

/* The master copy: reading, defaults, messages, `config keys` and docs/configuration.md come from it. */
const struct config_key config_keys[] = {
	{ "cluster", &TYPE_NAME, "home", CONF(cluster),
	    .help = "Name of the cluster; every topic begins with `uw/<cluster>/`." },
	{ "identity", &TYPE_NAME, "operator", CONF(identity),
	    .help = "Who the command line is when `--as` is not given: a person or an agent." },
	{ "brokers", &TYPE_BROKERS, "localhost:8883", .min = 1, .max = CONFIG_MAX_BROKERS, CONF(brokers),
	    .help = "MQTT brokers in order of preference, always over TLS; the port may be left out." },
	{ "pki", &TYPE_PATH, "pki", CONF(pki_dir),
	    .help = "Directory with `ca.crt`, `<identity>.crt` and `<identity>.key`." },
	{ "state", &TYPE_PATH, STATE_DIR, "`/var/lib/uni-wizard`, on macOS `/usr/local/var/uni-wizard`",
	    CONF(state_dir), .help = "Directory of the databases: `<agent>.db`, `outbox-<identity>.db`." },
	{ "run", &TYPE_PATH, RUN_DIR, "`/run/uni-wizard`, on macOS `/usr/local/var/run/uni-wizard`",
	    CONF(run_dir), .help = "Directory of sockets and process ids: `<agent>.sock`, `<agent>.pid`." },
	{ "log_level", &TYPE_CHOICE, "info", .allowed = LOG_LEVELS, CONF(log_level),
	    .help = "How much is written to standard error; `uni-wizard agent log-level` changes it while an agent runs." },
	{ "log_format", &TYPE_CHOICE, "text", .allowed = "text json", CONF(log_format),
	    .help = "How: lines of text, or of JSON." },
	{ "sovereign", &TYPE_NAME, "timmy", CONF(sovereign),
	    .help = "The person whose signed decisions release sovereign tasks." },
	{ "sovereign_keys", &TYPE_SIGNERS, .max = CONFIG_MAX_SIGNERS, CONF(sovereign_keys),
	    .help = "Public keys of the sovereign; with one, agents start nothing without a policy signed by it." },
	{ "sovereign_key", &TYPE_PATH, NULL, "`sovereign.key` in the directory `pki`", CONF(sovereign_key),
	    .help = "Where the sovereign's private key lies, on his own machine." },
	{ "operators", &TYPE_NAMES, "operator", .max = CONFIG_MAX_PEOPLE, CONF(operators),
	    .help = "People and programs that may submit, and cancel any task." },
	{ "watchers", &TYPE_NAMES, "watcher", .max = CONFIG_MAX_PEOPLE, CONF(watchers),
	    .help = "People and programs that may only read." },
	{ "router", &TYPE_NAMES, NULL, "three: allegro's agents, else the first house's, then others", .min = 1,
	    .max = CONFIG_MAX_AGENTS, CONF(router),
	    .help = "Agents that may own the house `_`, where tasks that name no house arrive, in order. One that is at home in no house only routes." },
	{ "witnesses", &TYPE_NAMES, .max = CONFIG_MAX_AGENTS, CONF(witnesses),
	    .help = "Agents that own nothing and only vote on which of several brokers is the one in use." },

	{ "houses.*.endpoint", &TYPE_URL, HOUSE(endpoint),
	    .help = "Where the house's HTTP interface is reached." },
	{ "houses.*.auth_token", &TYPE_TEXT, HOUSE(auth_token), .secret = true,
	    .help = "Bearer token of the endpoint; write `${VAR}`, not the token itself." },
	{ "houses.*.priority", &TYPE_CHOICE, "normal", .allowed = "low normal high critical", HOUSE(priority),
	    .help = "How much the house matters when something has to give." },
	{ "houses.*.role", &TYPE_CHOICE, NULL, "`judgement` for the sovereign's own house, else `worker`",
	    .allowed = "judgement archivist artificer tempo-and-dispatch worker", HOUSE(role),
	    .help = "What the house's policy asks of its tasks." },
	{ "houses.*.agents", &TYPE_NAMES, NULL, "`<house>-1`", .min = 1, .max = CONFIG_MAX_AGENTS,
	    HOUSE(agents), .help = "Agents at home in this house; an agent has one home." },
	{ "houses.*.candidates", &TYPE_NAMES, NULL, "the house's agents, then others up to three", .min = 1,
	    .max = CONFIG_MAX_AGENTS, HOUSE(candidates),
	    .help = "Agents, of any house, that may own this one, in order: exactly these." },
	{ "houses.*.timeout_cap_s", &TYPE_TIME, "0", .min = 0, .max = 30 * DAY, HOUSE(timeout_cap_s),
	    .help = "Longest time an attempt of this house may take; 0: `workers.timeout_cap_s` alone." },
	{ "houses.*.needs", &TYPE_URLS, .max = CONFIG_MAX_NEEDS, HOUSE(needs),
	    .help = "What its owner must reach, such as a Gitea or a model's provider: who does not lets others have the house." },
	{ "houses.*.copies", &TYPE_CHOICE, "all", .allowed = "all 1", HOUSE(copies),
	    .help = "What `accepted` waits for: every candidate that keeps up, or the owner's disk alone." },

	{ "hosts.*.ssh", &TYPE_SSH, HOST(ssh),
	    .help = "How `uni-wizard host` reaches the machine; see [provisioning.md](provisioning.md)." },
	{ "hosts.*.address", &TYPE_ADDRESS, NULL, "the host in `ssh`", HOST(address),
	    .help = "Where the other machines reach it." },
	{ "hosts.*.agents", &TYPE_NAMES, .max = CONFIG_MAX_AGENTS, HOST(agents),
	    .help = "Agents and witnesses that run there; each runs on one host." },
	{ "hosts.*.broker", &TYPE_CHOICE, "off", .allowed = "on off", HOST(broker),
	    .help = "Whether a broker runs there." },

	{ "schedules.*.cron", &TYPE_TEXT, SCHEDULE(cron_text),
	    .help = "When: minute, hour, day of the month, month, day of the week as in crontab; or `@daily` and the like." },
	{ "schedules.*.zone", &TYPE_TEXT, "UTC", SCHEDULE(zone_name),
	    .help = "The time zone that this is meant in, such as `Europe/Berlin`." },
	{ "schedules.*.house", &TYPE_NAME, SCHEDULE(house),
	    .help = "The house whose owner makes the tasks, and which does them." },
	{ "schedules.*.task", &TYPE_TEXT, SCHEDULE(task),
	    .help = "The task as somebody would submit it, without id, key and times: `'{\"tool\":\"git_pull\",\"params\":{...}}'`." },
	{ "schedules.*.missed", &TYPE_CHOICE, "once", .allowed = "once none all", SCHEDULE(missed),
	    .help = "When nobody could run it in time: one late run, however many were missed; none; or all, at most the last 100." },

	{ "http.listen", &TYPE_LISTEN, NULL, "`127.0.0.1`, at the port of the `endpoint` of the agent's house, else 8643",
	    CONF(http_listen), .help = "Where an agent answers HTTP: `address:port`, port 0 for one that is free, or `off`." },
	{ "http.certificate", &TYPE_PATH, NULL, "`http.crt` in the directory `pki`", CONF(http_certificate),
	    .help = "Certificate for HTTPS, which is spoken wherever others can connect." },
	{ "http.key", &TYPE_PATH, NULL, "`http.key` in the directory `pki`", CONF(http_key),
	    .help = "Private key of that certificate." },

	{ "flow.*.house", &TYPE_NAME, FLOW(house),
	    .help = "The house that this is about; not given: each house, counted for itself." },
	{ "flow.*.tool", &TYPE_TEXT, FLOW(tool),
	    .help = "The tool that this is about; not given: all of them together." },
	{ "flow.*.key", &TYPE_TEXT, FLOW(key),
	    .help = "A parameter of the tool, such as `repo_path` of `git_push`: each of its values is counted for itself." },
	{ "flow.*.running", &TYPE_INT, NULL, "`1`; where there is a `rate`, any number", .min = 1, .max = 1000000, FLOW(running),
	    .help = "Attempts that may run at once; more wait in the queue, and what is not concerned passes them by." },
	{ "flow.*.rate", &TYPE_RATE, .min = 1, .max = 1000000, FLOW(each_us),
	    .help = "Attempts that may be given out in a second, a minute, or an hour, evenly: `10/s`, `100/h`." },
	{ "flow.*.burst", &TYPE_INT, "1", .min = 1, .max = 1000000, FLOW(burst),
	    .help = "Attempts of `rate` that may be saved up and then be given out at once." },

	{ "alerts.*.limit", &TYPE_INT, NULL, "see [TROUBLESHOOTING.md](TROUBLESHOOTING.md#alerts)", .min = 0, .max = INT64_C(1000000000),
	    ALERT(limit), .help = "Threshold of the alert of that name, in its unit." },
	{ "alerts.*.raise_s", &TYPE_TIME, NULL, "likewise", .min = 0, .max = 7 * DAY, ALERT(raise_s),
	    .help = "How long it is beyond the threshold before the alert is raised." },
	{ "alerts.*.clear_s", &TYPE_TIME, NULL, "likewise", .min = 0, .max = 7 * DAY, ALERT(clear_s),
	    .help = "How long it is within the threshold before the alert is cleared." },
	{ "alerts.*.use", &TYPE_CHOICE, "on", .allowed = "on off", ALERT(use),
	    .help = "Whether it is raised at all." },

	{ "stress.*.limit", &TYPE_INT, NULL, "see [reliability.md](reliability.md#under-stress)", .min = 0, .max = INT64_C(1000000000),
	    STRESS(limit), .help = "Threshold of the stress of that name, in its unit." },
	{ "stress.*.clear", &TYPE_INT, NULL, "half of the limit; of `memory` and `disk` half as much again", .min = 0,
	    .max = INT64_C(2000000000), STRESS(clear), .help = "The value within which it is over." },
	{ "stress.*.raise_s", &TYPE_TIME, NULL, "see there", .min = 0, .max = 7 * DAY, STRESS(raise_s),
	    .help = "How long it is beyond the limit before it counts." },
	{ "stress.*.clear_s", &TYPE_TIME, NULL, "see there", .min = 0, .max = 7 * DAY, STRESS(clear_s),
	    .help = "How long it is within `clear` before it is over." },
	{ "stress.*.use", &TYPE_CHOICE, "on", .allowed = "on off", STRESS(use),
	    .help = "Whether it is looked at." },

	{ "sinks.*.kind", &TYPE_CHOICE, "webhook", .allowed = "webhook ntfy mail command", SINK(kind),
	    .help = "How `uni-wizard alerts deliver` brings alerts there." },
	{ "sinks.*.url", &TYPE_TEXT, SINK(url), .secret = true,
	    .help = "Where: `https://host/path` for webhook, with the topic for ntfy; `smtp://host:25` or `smtps://host` for mail." },
	{ "sinks.*.secret", &TYPE_VARIABLE, SINK(secret),
	    .help = "Name in `secrets` of the key that signs a webhook (HMAC-SHA256), of ntfy's token, of the password for mail." },
	{ "sinks.*.user", &TYPE_TEXT, SINK(user),
	    .help = "User of the mail server." },
	{ "sinks.*.from", &TYPE_TEXT, SINK(from),
	    .help = "Sender of mails." },
	{ "sinks.*.to", &TYPE_TEXT, SINK(to),
	    .help = "Whom mails are for." },
	{ "sinks.*.command", &TYPE_PATH, SINK(command),
	    .help = "Program that gets each alert as a line of JSON on its standard input; exit code 0: it has it." },
	{ "sinks.*.severity", &TYPE_CHOICE, "warning", .allowed = "warning critical", SINK(severity),
	    .help = "The least that goes there." },

	{ "gitea.url", &TYPE_URL, CONF(gitea.url),
	    .help = "The Gitea that the tools `gitea_*` speak to, without `/api/v1`; see [gitea.md](gitea.md)." },
	{ "gitea.token", &TYPE_VARIABLE, CONF(gitea.token),
	    .help = "Name in `secrets` of the token: its scopes are `write:issue`, `write:repository` and `read:user`." },
	{ "gitea.ca", &TYPE_PATH, CONF(gitea.ca),
	    .help = "PEM file of the authorities to trust instead of the system's." },
	{ "gitea.repositories", &TYPE_REPOSITORIES, .max = CONFIG_MAX_REPOSITORIES, CONF(gitea.repositories),
	    .help = "Repositories there, as `owner/name`: of these and no others." },
	{ "gitea.rate", &TYPE_RATE, "10/s", .min = 1, .max = 1000000, CONF(gitea.each_us),
	    .help = "Requests that one process may make in a second, a minute, or an hour, evenly." },
	{ "gitea.burst", &TYPE_INT, "20", .min = 1, .max = 1000000, CONF(gitea.burst),
	    .help = "Requests of `rate` that may be saved up and then be made at once." },
	{ "gitea.timeout_s", &TYPE_TIME, "30s", .min = 1, .max = 600, CONF(gitea.timeout_s),
	    .help = "How long one request may take." },

	{ "bridge.repos", &TYPE_REPOSITORIES, .max = CONFIG_MAX_REPOSITORIES, CONF(bridge.repos),
	    .help = "Repositories at `gitea.url` that are watched, as `owner/name`; see [bridge.md](bridge.md). None: there is no bridge." },
	{ "bridge.house", &TYPE_NAME, "allegro", CONF(bridge.house),
	    .help = "The house whose owner runs the bridge." },
	{ "bridge.identity", &TYPE_NAME, "gitea", CONF(bridge.identity),
	    .help = "The operator in whose name its tasks are; each agent that may own the house needs that certificate." },
	{ "bridge.listen", &TYPE_LISTEN, "127.0.0.1:8660", CONF(bridge.listen),
	    .help = "Where it takes webhooks, at `/gitea`: `address:port`, or `off`." },
	{ "bridge.secret", &TYPE_VARIABLE, CONF(bridge.secret),
	    .help = "Name in `secrets` of the key that signs webhooks; without it none are taken." },
	{ "bridge.link", &TYPE_URL, CONF(bridge.link),
	    .help = "What comes before a task's id to make a link of it in comments." },
	{ "bridge.poll_s", &TYPE_TIME, "30s", .min = 1, .max = 1 * DAY, CONF(bridge.poll_s),
	    .help = "How often the repositories are asked for what no webhook told." },
	{ "bridge.backlog_s", &TYPE_TIME, "7d", .min = 60, .max = 3650 * DAY, CONF(bridge.backlog_s),
	    .help = "What is older when it is first seen is left alone." },
	{ "bridge.open", &TYPE_INT, "10000", .min = 10, .max = 1000000, CONF(bridge.open),
	    .help = "Events that may wait or have a task that runs; beyond it no more are taken in." },
	{ "bridge.yield_s", &TYPE_TIME, "60s", .min = 0, .max = 1 * DAY, CONF(bridge.yield_s),
	    .help = "How long Gitea cannot be reached from here before the house goes to another of its candidates; 0: it stays." },

	{ "bridge.suggest", &TYPE_CHOICE, "say", .allowed = "off say apply", CONF(bridge.suggest),
	    .help = "What becomes of what was learned from people: nothing, a line in the comment where no rule speaks, or labels too." },
	{ "bridge.suggest_at", &TYPE_INT, "90", .min = 50, .max = 100, CONF(bridge.suggest_at),
	    .help = "How probable a label must be, in per cent, to be given with `apply`." },

	{ "triage.*.kind", &TYPE_CHOICE, "any", .allowed = "any issue pull", TRIAGE(kind),
	    .help = "What the rule is about. The first that fits is followed." },
	{ "triage.*.repo", &TYPE_TEXT, TRIAGE(repo),
	    .help = "In such a repository, `*` standing for anything." },
	{ "triage.*.author", &TYPE_TEXT, TRIAGE(author),
	    .help = "From this user." },
	{ "triage.*.match", &TYPE_TEXT, TRIAGE(match),
	    .help = "Extended regular expression that title or body match, in either case." },
	{ "triage.*.words", &TYPE_TEXTS, .min = 1, .max = CONFIG_MAX_TEXTS, TRIAGE(words),
	    .help = "One of these words is in title or body, in either case." },
	{ "triage.*.labels", &TYPE_TEXTS, .min = 1, .max = CONFIG_MAX_TEXTS, TRIAGE(labels),
	    .help = "It has one of these labels." },
	{ "triage.*.paths", &TYPE_TEXTS, .min = 1, .max = CONFIG_MAX_TEXTS, TRIAGE(paths),
	    .help = "A pull request that changes such a file, `*` standing for anything." },
	{ "triage.*.add", &TYPE_TEXTS, .min = 1, .max = CONFIG_MAX_TEXTS, TRIAGE(add),
	    .help = "Labels that it gets; made where they do not exist." },
	{ "triage.*.category", &TYPE_TEXT, TRIAGE(category),
	    .help = "What the comment says that it is." },
	{ "triage.*.assignee", &TYPE_TEXT, TRIAGE(assignee),
	    .help = "User that it is given to, if nobody has it." },
	{ "triage.*.house", &TYPE_NAME, TRIAGE(house),
	    .help = "House that does the task; not given: the router chooses." },
	{ "triage.*.task", &TYPE_TEXT, TRIAGE(task),
	    .help = "The task as in `schedules`, also with a priority, with `{repo}`, `{number}`, `{title}`, `{body}`, `{author}`, `{url}`, `{branch}` and `{sha}` "
	    "in its texts; not given: nothing is run." },
	{ "triage.*.tasks", &TYPE_TEXTS, .min = 1, .max = CONFIG_MAX_STEPS, TRIAGE(tasks),
	    .help = "Instead of `task`: several, each of which begins when the one before has succeeded, in one house." },
	{ "triage.*.report", &TYPE_CHOICE, "state", .allowed = "state result", TRIAGE(report),
	    .help = "What the comment shows of its end: how it ended, or the beginning of the result too." },
	{ "syncthing.dir", &TYPE_PATH, CONF(share_dir),
	    .help = "Directory of what hosts share (see [syncthing.md](syncthing.md)); not given: nothing is shared." },
	{ "syncthing.folder", &TYPE_NAME, "uw", CONF(share_folder),
	    .help = "Folders in Syncthing are called `<folder>-<device>`." },
	{ "syncthing.api", &TYPE_URL, "http://127.0.0.1:8384", CONF(share_api),
	    .help = "Where this host's Syncthing answers REST: on loopback, or https." },
	{ "syncthing.api_key", &TYPE_VARIABLE, CONF(share_key),
	    .help = "Name in `secrets` of its API key." },
	{ "syncthing.outside", &TYPE_NAMES, .max = 8, CONF(share_outside),
	    .help = "What of Syncthing may talk to others than the devices: `relays`, `global-discovery`, `local-discovery`, `nat`, "
	    "`usage-reports`, `crash-reports`, `upgrades`. The rest is switched off." },
	{ "syncthing.devices.*.id", &TYPE_TEXT, DEVICE(id),
	    .help = "The device ID of the Syncthing on the host of that name, as `syncthing --device-id` prints it." },
	{ "syncthing.devices.*.address", &TYPE_TEXT, DEVICE(address),
	    .help = "Where the other hosts reach it: `tcp://host:22000`, `quic://host:22000`; `dynamic` with a discovery in `outside`." },
	{ "syncthing.devices.*.listen", &TYPE_TEXT, NULL, "a numeric `address` itself, else all addresses at its port", DEVICE(listen),
	    .help = "Where it listens: `tcp://0.0.0.0:22000`." },

	{ "limits.payload_bytes", &TYPE_BYTES, "1MiB", .min = 4 * KiB, .max = 16 * MiB,
	    CONF(max_payload_bytes), .help = "Largest MQTT message." },
	{ "limits.payload_lines", &TYPE_INT, "4096", .min = 1, .max = 65536, CONF(max_payload_lines),
	    .help = "Most tasks in one message." },
	{ "limits.task_bytes", &TYPE_BYTES, "256KiB", .min = 1 * KiB, .max = 16 * MiB, CONF(max_task_bytes),
	    .help = "Largest single task." },
	{ "limits.queued", &TYPE_INT, "1000000", .min = 1, .max = 100000000, CONF(max_queued),
	    .help = "Most unfinished tasks of one house; beyond it new ones are refused as `busy`." },
	{ "limits.schedules", &TYPE_INT, "64", .min = 0, .max = 1024, CONF(max_schedules),
	    .help = "Most schedules that may be added to one house by command; beyond it new ones are refused as `busy`." },
	{ "limits.outbox_bytes", &TYPE_BYTES, "256MiB", .min = 1 * MiB, .max = 64 * GiB,
	    CONF(max_outbox_bytes), .help = "Most that may wait to be sent while the broker is away." },
	{ "limits.stress_priority", &TYPE_INT, "4", .min = 0, .max = 9, CONF(stress_priority),
	    .help = "Under stress new tasks of a lower priority are refused as `busy`; 0: none." },
	{ "limits.artifact_bytes", &TYPE_BYTES, "1GiB", .min = 1 * KiB, .max = 1024 * GiB, CONF(max_artifact_bytes),
	    .help = "Largest artifact, and largest export that is published." },
	{ "limits.min_free_bytes", &TYPE_BYTES, "64MiB", .min = 0, .max = 1024 * GiB, CONF(min_free_bytes),
	    .help = "Disk space below which new tasks are refused." },

	{ "retention.finished_s", &TYPE_TIME, "7d", .min = 60, .max = 3650 * DAY, CONF(keep_finished_s),
	    .help = "How long finished tasks and their results are kept." },
	{ "retention.finished", &TYPE_INT, "1000000", .min = 1, .max = 100000000, CONF(keep_finished),
	    .help = "How many finished tasks are kept; up to twice as many while ids as old as theirs still come." },
	{ "retention.rejected", &TYPE_INT, "1000", .min = 0, .max = 1000000, CONF(keep_rejected),
	    .help = "How many rejected tasks are remembered." },
	{ "retention.keys_s", &TYPE_TIME, "24h", .min = 60, .max = 3650 * DAY, CONF(keep_keys_s),
	    .help = "How long an idempotency key is remembered." },
	{ "retention.audit_s", &TYPE_TIME, "365d", .min = 60, .max = 36500 * DAY, CONF(keep_audit_s),
	    .help = "How long audit records are kept; a signed checkpoint stands for those before." },
	{ "retention.audit", &TYPE_INT, "10000000", .min = 1, .max = 1000000000, CONF(keep_audit),
	    .help = "How many audit records are kept at most." },
	{ "retention.audit_bytes", &TYPE_BYTES, "1GiB", .min = 64 * KiB, .max = 64 * GiB, CONF(keep_audit_bytes),
	    .help = "Most that the audit records take on disk." },
	{ "retention.patterns", &TYPE_INT, "100000", .min = 1000, .max = 10000000, CONF(keep_patterns),
	    .help = "Attempts that an agent remembers to learn from; those of the sovereign's own house keep all, to 10000000." },
	{ "retention.output_bytes", &TYPE_BYTES, "64MiB", .min = 0, .max = 64 * GiB, CONF(keep_output_bytes),
	    .help = "Most that the output of tools takes on the disk of the agent that ran them; 0: none is kept." },

	{ "retention.artifacts_s", &TYPE_TIME, "30d", .min = 60, .max = 3650 * DAY, CONF(keep_artifacts_s),
	    .help = "How long a host keeps the artifacts that it put, when `uni-wizard artifact prune` is run." },
	{ "retention.artifacts_bytes", &TYPE_BYTES, "10GiB", .min = 0, .max = 1024 * GiB, CONF(keep_artifacts_bytes),
	    .help = "Most that they may take; the oldest go." },

	{ "breakers.failures", &TYPE_INT, "5", .min = 0, .max = 1000, CONF(breaker_failures),
	    .help = "Failures in a row of an agent that speak of a tool's target, until it is given no work for that; 0: any." },
	{ "breakers.open_s", &TYPE_TIME, "10s", .min = 1, .max = 1 * DAY, CONF(breaker_open_s),
	    .help = "How long, before one task tries again; twice as long each time that this fails." },
	{ "breakers.open_cap_s", &TYPE_TIME, "5m", .min = 1, .max = 1 * DAY, CONF(breaker_cap_s),
	    .help = "At most so long." },

	{ "workers.count", &TYPE_INT, "0", .min = 0, .max = 512, CONF(workers),
	    .help = "Worker processes of an agent; 0: one per processor, at least 2." },
	{ "workers.grace_ms", &TYPE_INT, "5000", .min = 0, .max = 600000, CONF(stop_grace_ms),
	    .help = "Milliseconds from SIGTERM to SIGKILL." },
	{ "workers.output_bytes", &TYPE_BYTES, "256KiB", .min = 1 * KiB, .max = 16 * MiB,
	    CONF(max_output_bytes), .help = "Largest result of a tool." },
	{ "workers.timeout_cap_s", &TYPE_TIME, "1d", .min = 1, .max = 30 * DAY, CONF(max_timeout_s),
	    .help = "Longest time a task may ask for." },
	{ "workers.crashes", &TYPE_INT, "3", .min = 1, .max = 100, CONF(max_crashes),
	    .help = "Workers a task may kill before it is given up." },
	{ "workers.retry_after_cap_s", &TYPE_TIME, "1h", .min = 1, .max = 7 * DAY, CONF(max_retry_after_s),
	    .help = "Longest wait before another try that a server may ask for (Retry-After)." },
	{ "workers.memory_bytes", &TYPE_BYTES, "2GiB", .min = 0, .max = 1024 * GiB, CONF(worker_memory_bytes),
	    .help = "Address space of a worker and what it starts; 0: no limit." },
	{ "workers.file_bytes", &TYPE_BYTES, "4GiB", .min = 0, .max = 1024 * GiB, CONF(worker_file_bytes),
	    .help = "Largest file that a tool may write; 0: no limit." },
	{ "workers.open_files", &TYPE_INT, "1024", .min = 64, .max = 1048576, CONF(worker_open_files),
	    .help = "Files that a worker, and each program it starts, may have open." },
	{ "workers.processes", &TYPE_INT, "8192", .min = 0, .max = 4194304, CONF(worker_processes),
	    .help = "Processes and threads beyond which tools start no more, counted over all of their user's; 0: no "
	    "limit. The system does not hold root to it." },
	{ "workers.user", &TYPE_TEXT, CONF(worker_user),
	    .help = "The user that tools run as, when the agent runs as root; not given: the agent's own." },
	{ "workers.temp_dir", &TYPE_PATH, "/tmp", CONF(temp_dir),
	    .help = "Where the temporary directories of tools are made; each is emptied when its tool has ended." },
	{ "workers.temp_bytes", &TYPE_BYTES, "1GiB", .min = 0, .max = 1024 * GiB, CONF(temp_bytes),
	    .help = "What one of them may hold; a tool that puts more there is stopped. 0: no limit." },

	{ "hermes.url", &TYPE_URL, CONF(hermes_url),
	    .help = "API server of Hermes that `hermes_run` uses, such as `http://127.0.0.1:8642`; not given: its command line." },
	{ "hermes.secret", &TYPE_VARIABLE, CONF(hermes_secret),
	    .help = "Name in `secrets` of its `API_SERVER_KEY`." },
	{ "hermes.program", &TYPE_PATH, CONF(hermes_program),
	    .help = "Command line of Hermes, used by `hermes_run` where there is no `url`." },
	{ "hermes.home", &TYPE_PATH, CONF(hermes_home),
	    .help = "`HERMES_HOME`: of that command line, and of the `state.db` that `uni-wizard hermes tail` follows." },
	{ "hermes.listen", &TYPE_LISTEN, "off", CONF(hermes_listen),
	    .help = "Where `uni-wizard hermes tail` takes webhooks: a loopback address and a port, such as `127.0.0.1:8650`." },
	{ "hermes.webhook_secret", &TYPE_VARIABLE, CONF(hermes_webhook_secret),
	    .help = "Name in `secrets` of the key by which they are signed; without one none are taken." },
	{ "hermes.share", &TYPE_CHOICE, "facts", .allowed = "facts previews texts", CONF(hermes_share),
	    .help = "What leaves this host: names, times and results; the beginning of what tools are told, too; or messages as well." },
	{ "hermes.spool_bytes", &TYPE_BYTES, "16MiB", .min = 64 * KiB, .max = 4 * GiB, CONF(hermes_spool_bytes),
	    .help = "Most that waits on the disk while the broker is away; then `state.db` is read on later." },

	{ "tools.roots", &TYPE_PATHS, .max = CONFIG_MAX_PATHS, CONF(roots),
	    .help = "Tools may read and write beneath these directories." },
	{ "tools.read_roots", &TYPE_PATHS, .max = CONFIG_MAX_PATHS, CONF(read_roots),
	    .help = "Tools may read beneath these directories." },
	{ "tools.dirs", &TYPE_PATHS, .max = CONFIG_MAX_PATHS, CONF(tool_dirs),
	    .help = "Directories with manifests of own tools." },

	{ "secrets.*.file", &TYPE_PATH, SOURCE(file),
	    .help = "File that holds the secret; only its owner may be able to read it." },
	{ "secrets.*.env", &TYPE_VARIABLE, SOURCE(env),
	    .help = "Environment variable that holds the secret." },
	{ "secrets.*.origin", &TYPE_URL, SOURCE(origin),
	    .help = "Where `http_get` and `http_post` may send it as bearer token; none: nowhere." },
	{ .path = NULL },
};

const struct config_key *
config_key_find(const char *path)
{
	for EACH_KEY(k)
		if (strcmp(k->path, path) == 0)
			return k;
	return NULL;
}

const char *
config_key_beneath(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0)
		return path;
	return strncmp(path, prefix, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

bool
config_is_section(const char *path)
{
	for EACH_KEY(k)
		if (config_key_beneath(k->path, path))
			return true;
	return false;
}

/* Rows that lie directly beneath prefix, or in a plain section of it: those that share its base. */
static bool
key_shares_base(const struct config_key *k, const char *prefix)
{
	const char *rest = config_key_beneath(k->path, prefix);

	return rest && !strchr(rest, '*');
}

void
config_defaults_put(const struct config_reader *r, const char *prefix, void *base)
{
	for EACH_KEY(k) {
		if (!key_shares_base(k, prefix) || !k->def)
			continue;
		k->type->put(r, k, k->def, (char *)base + k->offset);
	}
}

void
config_values_clear(const char *prefix, void *base)
{
	for EACH_KEY(k)
		if (key_shares_base(k, prefix) && k->type->clear)
			k->type->clear((char *)base + k->offset);
}

void
config_join(char *out, const char *parent, const char *name)
{
	snprintf(out, CONFIG_FIELD_MAX, "%.45s%s%.32s", parent, *parent ? "." : "", name);
}
