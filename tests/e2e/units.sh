#!/bin/sh
# The units that are installed: systemd takes them, they let little through, and the router's runs an agent that only
# routes. (Where systemd really runs them is tests/hosts.)
. "$(dirname "$0")/lib.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
units=$T/usr/lib/systemd/system

# What `make install` would put there, with programs that are there.
mkdir -p "$units/mosquitto.service.d" "$T/bin"
ln -s "$UW" "$T/bin/uni-wizard"
check "the units are made" make -s -C "$root" services PREFIX="$T" B="$T/b"
cp "$T"/b/systemd/* "$units"
cp "$root/deploy/systemd/mosquitto.service.d/uni-wizard.conf" "$units/mosquitto.service.d"
is "nothing in them is left open" "$(grep -h '@[A-Z]' "$units"/*.service)" ""
is "each starts this program" "$(grep -h '^ExecStart=' "$units"/*.service | grep -cv "^ExecStart=$T/bin/uni-wizard ")" 0

if command -v systemd-analyze >"$T/out"; then
	for unit in "$units"/*.service "$units"/*.timer; do
		check "${unit##*/} is one" systemd-analyze verify --man=no "$unit"
		[ "${unit##*.}" = timer ] ||
			check "${unit##*/} lets little through" systemd-analyze security --offline=yes --threshold=20 "$unit"
	done
	mosquitto=$(find /usr/lib/systemd/system /lib/systemd/system -name mosquitto.service 2>"$T/out" | head -n 1)
	if [ -n "$mosquitto" ]; then
		cp "$mosquitto" "$units"
		check "so does the broker's" systemd-analyze security --offline=yes --threshold=20 "$units/mosquitto.service"
	else
		skip "so does the broker's" "there is no mosquitto.service on this machine"
	fi
else
	skip "systemd takes them, and they let little through" "THERE IS NO systemd-analyze ON THIS MACHINE"
fi

# An agent that is at home in no house and only routes, as timmy-router.service runs it
cluster_up --houses ezra,bezalel
check "the cluster stops" "$UW" cluster down --dir "$T/c"
printf 'router: [gate, ezra-1]\n' >>"$T/c/houses.yaml"
check "an agent of no house may route" "$UW" config check "$T/c/houses.yaml"
restart_all
owns() { [ "$(owner_of "$1")" = "$2" ]; }
check "it owns the router's house" wait_for 20 owns _ gate
like "a task that names no house is done, through it" "$("$UW" submit noop --wait --json 2>&1)" '"state":"succeeded"'
is "in a house of others" "$("$UW" task list --json | jq -r '[.[] | select(.state == "succeeded") | .agent] | map(select(. == "gate")) | length')" 0
"$UW" house list --json >"$T/houses"
is "it is candidate of nothing else" "$(jq -r '[.[] | select(.candidates[]?.agent == "gate") | .house] | join(" ")' "$T/houses")" _
check "killed" "$UW" cluster kill gate
check "another takes its place" wait_for 20 owns _ ezra-1
like "and routes" "$("$UW" submit noop --wait --json 2>&1)" '"state":"succeeded"'
