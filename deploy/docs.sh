#!/bin/sh
# Writes the documentation that comes from tables in the code: deploy/docs.sh [--check] PROGRAM DIRECTORY
#
# --check writes nothing and tells, as TAP, whether the files are what the tables say.
set -u

check=
[ "${1:-}" != --check ] || { check=1; shift; }
program=$1 dir=$2 bad=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

configuration() {
	cat <<'END'
# Configuration

One file for the whole cluster, the same on every host: the one that `--config` names, else the one in the
environment variable `UNI_WIZARD_CONFIG`, else `/etc/uni-wizard/houses.yaml` if it can be read, else
`~/.config/uni-wizard/houses.yaml`, where `uni-wizard init` puts it on the machine that looks after the cluster.
Everything has a default, so this is a complete file:

```yaml
houses:
  timmy:
  allegro:
    role: tempo-and-dispatch
  ezra:
    role: archivist
  bezalel:
    role: artificer
```

`uni-wizard config check` reads the file and says what is in it, or what is wrong: file, line, key, what was
expected and what came. A key that is not in the table below is an error, as are a key given twice, anchors,
aliases, tags, tabs in the indentation and a second document.

`${VAR}` in a value is the environment variable VAR; `$${` is a plain `${`. A variable that is not set is an
error, except in `auth_token`, where it is a warning and no token. Relative paths begin in the directory of
the configuration file. Secrets for tools come from files that only their owner can read, or from the
environment, and no task can carry one. An own tool gets those that its manifest names; `http_get` and
`http_post` send the one that a task names, but only to its `origin` (scheme, host and port):

```yaml
secrets:
  GITEA_TOKEN: {file: /etc/uni-wizard/gitea.token, origin: "https://git.example.org"}
  DEPLOY_KEY: {env: DEPLOY_KEY}
```

An agent has one home. A house belongs to one agent at a time, and to the first of its `candidates` that is there;
the others follow what it does, so as to take over. The house's own agents come first, then others of the file,
three at most unless the house has more of its own. A house that lists `candidates` gets exactly these.
`copies: 1` makes `accepted` quicker and weaker: it waits for the owner's disk alone, so a task may be lost with it.

An agent in `router` that is at home in no house only routes: it may own `_`, where tasks that name no house arrive, and nothing else.
`router: [gate, ezra-1]` makes `gate` one, for a host that is to run no work ([timmy-router.service](OPERATIONS.md#services)).

With more than one of `brokers`, a majority of voters decides which is in use: all agents of houses, those that only route, and
`witnesses`. A witness owns and runs nothing; it is a third voter where two agents would not know which of them
was cut off. It needs a certificate and `uni-wizard agent --agent NAME` on a host of its own. Two brokers with
fewer than three voters are an error; an even number of voters is a warning.

```yaml
brokers: [mq-1.example, mq-2.example]
houses:
  ezra: {agents: [ezra-1], candidates: [ezra-1, bezalel-1]}
  bezalel: {copies: 1}
witnesses: [witness-1]
```

`flow` limits what runs at once and what begins in a time, in each house for itself, whoever owns it:

```yaml
flow:
  pushes: {tool: git_push, key: repo_path}                      # one of each repository at once
  gets: {house: ezra, tool: http_get, rate: 100/m, burst: 20}   # evenly, and up to 20 that were saved up
```

In any time no more of them are given out than its `rate` brings and `burst` more; a retry is one more. What waits for its
turn holds up nobody whom the limit does not concern. An owner that begins, after another or after a restart, has saved up
nothing: with `100/h` its first comes after 36 seconds. An attempt for another agent is given out when it is sent: what was
on its way for a while may begin together with the next.

Each agent answers HTTP ([http.md](http.md)), for this machine alone unless `http.listen` says otherwise: then with
TLS, which needs a certificate (`uni-wizard pki issue http --san NAME`). Who asks for more than `/health` and `/ready`
shows the `auth_token` of the agent's house.

```yaml
http: {listen: "[::]:8643"}
houses:
  ezra: {endpoint: "https://ezra.example:8643", auth_token: "${EZRA_TOKEN}"}
```

## Keys

This table is printed by `uni-wizard config keys`.

END
	"$program" config keys
}

# file FUNCTION: one document.
file() {
	"$2" >"$tmp/new" || exit 1
	if [ -z "$check" ]; then
		mkdir -p "$dir" && cp "$tmp/new" "$dir/$1"
	elif cmp -s "$tmp/new" "$dir/$1"; then
		echo "ok - $dir/$1 is what the tables say"
	else
		echo "not ok - $dir/$1 is stale; run make docs"
		bad=1
	fi
}

troubleshooting() {
	cat <<'END'
# When something is wrong

Ask first, on the host where it shows:

```sh
uni-wizard doctor              # everything that this host needs; changes nothing
uni-wizard doctor --as timmy   # one identity alone;  --agent ezra-1: one agent
```

It looks at houses.yaml, certificates and what is revoked, the way to each broker (name, TCP, TLS, MQTT), the broker's settings and
version, the access list line by line, clocks, owners, the policy that agents hold, the disk and how long a commit takes, databases,
the outbox, tools and their walls, the sovereign's keys, processes that were left, and systemd's services. Each line says *well*,
*note* (worth knowing, nothing to mend), *skipped* (and why) or *wrong*, with what to do. What follows from another fault is
skipped, so begin at the top. Exit code 0: nothing is wrong; 1: something is. `--json` is for scripts:

```sh
uni-wizard doctor --json | jq -r '.results[] | select(.status == "wrong") | "\(.finding) \(.about): \(.mend)"'
```

To try what an identity may publish, it publishes in QoS 2 and never completes it: the broker says whether it would take the message, and
delivers it to nobody. To try what it may read, it publishes to a house and an agent that do not exist. The disk is
measured with a file that has no name. A database is copied within the state directory, and the copy is looked at: the agent has the
original to itself. What takes longer than its time is given up and named: `doctor.stuck`.

| what you see | first command |
|---|---|
| anything | `uni-wizard doctor` |
| a task does not start | `uni-wizard task show ID`, then `uni-wizard approvals`: it may wait for Timmy, for other tasks, or for a time |
| nothing starts anywhere | `uni-wizard house list` (owners), `uni-wizard policy show`, `uni-wizard halt --help` (is there a halt?) |
| a submit ends with exit code 4 | `uni-wizard outbox list`; `uni-wizard outbox send` says why it does not go out |
| a task is refused as `stale` | its id is as old as tasks that the house has forgotten, and could be a repeat: submit it anew. If that happens to tasks that waited in an outbox, more come than are remembered: raise `retention.finished` above what comes in while one waits |
| a tool is unknown | `uni-wizard tool list` on the agent's host: it says which manifests it leaves out |
| an agent comes and goes | its log; `uni-wizard health` on its host; on one machine `uni-wizard cluster status` |
| a tool finds `Read-only file system` | the agent's log at its start; [which directories its unit lets it write](security.md#what-a-service-may-do) |

## Asking somebody

```sh
uni-wizard support-bundle      # uni-wizard-support-<time>.tar, readable by you alone
```

In it: what the doctor says, the configuration as it was understood (that there is a token, not which), certificates by name and date, houses and
owners, tools, versions, each agent's health, the layout of its database with the number of rows, the last lines of logs. Not in it: tasks,
parameters, results, keys, tokens. The values of secrets that houses.yaml knows, and private keys, are replaced by `[redacted]` wherever they stand.
Names of hosts, people and paths are in it; look through it before you send it.

## Alerts

`uni-wizard alerts` shows what is raised, `alerts --watch` what changes; each has its section here. Thresholds and times are
the usual ones; `alerts` in houses.yaml changes them. A house that an alert is about stands behind its name: `queue-age.ezra`.
`alerts ack NAME` says that it was seen, until it is raised anew; `alerts silence NAME --for 1h` tells nothing of it for a time.
`alerts deliver` brings them to webhooks, ntfy, mail or a program.

END
	"$program" alerts rules
	cat <<'END'
## What the doctor finds

This table is printed by `uni-wizard doctor --findings`. NAME is the name, file or setting that the finding is about.

END
	"$program" doctor --findings
}

reference() {
	awk -f docs/api.awk agent/uni_wizard.h
}

file configuration.md configuration
file API_REFERENCE.md reference
file TROUBLESHOOTING.md troubleshooting
exit "$bad"
