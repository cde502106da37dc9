#!/bin/sh
# A house goes to an agent that reaches what it needs. Each of the two agents has a configuration of its own, in which the
# same need stands for another server; so one can be without it while the other has it.
. "$(dirname "$0")/lib.sh"

serve() {
	"$HELPERS/echo" "$T/requests" ${1:+"$1"} >"$T/port" &
	server=$!
	wait_for 5 test -s "$T/port"
}

# starts AGENT URL
starts() {
	sed "s|^  allegro:|&\n    needs: [\"$2\"]|" "$T/c/houses.yaml" >"$T/c/$1.yaml"
	"$UW" agent --agent "$1" --config "$T/c/$1.yaml" >"$T/$1.log" 2>&1 &
	eval "pid_$(echo "$1" | tr - _)=$!"
}

owns() {
	[ "$(owner_of allegro)" = "$1" ]
}

lacks() {
	"$UW" house list --json | jq -e --arg agent "$1" '.[] | select(.house == "allegro") | .candidates[] | select(.agent == $agent) | .lacks' >/dev/null
}

cluster_up --houses allegro,ezra --agents-per-house 1
for a in allegro-1 ezra-1; do
	kill "$(cat "$T/c/run/$a.pid")"
	wait_for 10 sh -c "! kill -0 $(cat "$T/c/run/$a.pid") 2>/dev/null"
done
on_exit 'kill $pid_allegro_1 $pid_ezra_1 $server 2>/dev/null'
serve
port=$(cat "$T/port")
starts allegro-1 "http://127.0.0.1:$port"
starts ezra-1 "http://127.0.0.1:$UW_PORT"
check "the house is its home agent's" wait_for 20 owns allegro-1

kill $server
check "who does not reach what the house needs hands it over, within 30 s" wait_for 30 owns ezra-1
like "its log says why" "$(cat "$T/allegro-1.log")" "house allegro: this host does not reach http://127.0.0.1:$port"
check "a task for the house is done there" "$UW" submit noop --house allegro --wait --within 10
check "house list says who lacks it" lacks allegro-1

serve "$port"
check "who reaches it again gets the house back" wait_for 60 owns allegro-1
check "and lacks nothing" not lacks allegro-1

sed 's|^  allegro:|&\n    needs: ["git.example.org:22"]|' "$T/c/houses.yaml" >"$T/bad.yaml"
like "what is no URL is refused" "$("$UW" config check --config "$T/bad.yaml" 2>&1)" 'houses.allegro.needs.*a list of http://host:port or https://host:port'
