#!/bin/sh
# limit: 300
# The cluster on one screen: what it shows and says in a real terminal, what its keys do, and how it leaves the terminal.
. "$(dirname "$0")/lib.sh"

POLICY=roles
cluster_up --houses timmy,ezra,bezalel
owners() { [ -n "$(owner_of timmy)" ] && [ -n "$(owner_of ezra)" ] && [ -n "$(owner_of bezalel)" ] && [ -n "$(owner_of _)" ]; }
check "houses have owners" wait_for 30 owners

# As text, where there is no terminal.
"$UW" top --once >"$T/once" </dev/null
is "one screen is printed as text" $? 0
like "with each house and its owner" "$(cat "$T/once")" '^ezra +ezra-1 +online '
like "with the agents" "$(cat "$T/once")" '^timmy-1 +online .*timmy'
like "and says that it is live" "$(head -n 1 "$T/once")" '^ uni-wizard home .* live  [0-9:]+Z$'
is "it has no control characters" "$(tr -d '\n -~' <"$T/once" | wc -c | tr -d ' ')" 0
is "and no line longer than it may be" "$(COLUMNS=60 "$UW" top --once | awk 'length > 60')" ""
"$UW" top </dev/null >"$T/out" 2>"$T/err"
is "without a terminal the screen is refused as wrong usage" $? 2
like "with what to do instead" "$(cat "$T/err")" 'expected a terminal on standard output; --once'
refuse "an unknown house is named" 2 "$UW" top --once --house nobody

"$UW" submit noop --house ezra --wait >"$T/out" 2>&1
like "and what it did before" "$("$UW" top --once)" '^succeeded .* ezra +noop'
is "a watcher sees the houses, too" "$("$UW" top --once --as watcher 2>"$T/err" | grep -c '^ezra .* online')" 1
like "and is told what he may not" "$(cat "$T/err")" 'watcher may not ask for tasks'

if ! command -v tmux >/dev/null; then
	skip "the screen itself" "needs tmux"
	exit
fi

# A terminal of 80x24. Keys go to it, and its text is read back.
TM="tmux -L top$$ -f /dev/null"
on_exit "$TM kill-server 2>/dev/null"
LC_ALL=C.UTF-8 $TM new-session -d -s t -x 80 -y 24 "env -u NO_COLOR PS1='ready> ' LC_ALL=C.UTF-8 sh"
ESC=$(printf '\033')
TTY=$($TM display-message -p '#{pane_tty}')
text() { $TM capture-pane -p; }
keys() { $TM send-keys "$@"; }
shows() { text | grep -Eq -- "$1"; }
shows_not() { ! shows "$1"; }
bar() { text | head -n 1 | grep -Eq -- "$1"; }
sees() { if wait_for 15 shows "$2"; then ok "$1"; else not_ok "$1" "$(text)"; fi; }
sees_not() { if wait_for 15 shows_not "$2"; then ok "$1"; else not_ok "$1" "$(text)"; fi; }
says() { if wait_for 15 bar "$2"; then ok "$1"; else not_ok "$1" "$(text)"; fi; }
# choose PATTERN: the line that has it, by the arrow keys; the chosen one is in reverse.
is_chosen() {
	$TM capture-pane -p -e | sed 1d | grep -E "^($ESC\[[0-9;]*m)*$ESC\[([0-9]+;)*7m" | sed "s/$ESC\[[0-9;]*m//g" |
	    grep -Eq -- "$1"
}
choose() {
	keys Home
	for _i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sleep 0.1
		is_chosen "$1" && return 0
		keys Down
	done
	return 1
}
chosen() { if wait_for 5 choose "$2"; then ok "$1"; else not_ok "$1" "$(text)"; fi; }

sees "a shell waits in the terminal" 'ready>'
keys "$UW top" Enter
says "the screen is live" 'uni-wizard home .*live  [0-9:]+Z'
sees "it shows who owns a house, and its candidates" '^bezalel +bezalel-1 +online .*timmy-1'
sees "and that nothing needs a look" 'No alert, and nothing waits for approval'
sees "and the keys" 'q quit'
is "it fits" "$(text | sed 's/…/~/g' | awk 'length > 80' | wc -l | tr -d ' ')" 0
like "there are colours" "$($TM capture-pane -p -e | grep bezalel-1 | head -n 1)" "$ESC\\[32m"

# A task from its start to its end.
ID=$("$UW" submit wait ms=3000 --house ezra --json | jq -r .id)
sees "a task is seen running, and where" '^running +[0-9]+s +ezra +wait +operator +on ezra-1'
sees "the house says so" '^ezra +ezra-1 +online +[0-9]+ +[0-9]+[smh] +0 +1 '
sees "and its end" '^succeeded +[0-9]+s +ezra +wait +operator'
chosen "arrows choose it" '^.*succeeded.*wait'
keys Enter
sees "Enter shows all of it" "^Task $ID"
sees "how it went" '^  20.* succeeded'
sees "and what it was asked" '"ms": 3000'
keys Escape
sees "Esc goes back" '^AGENT'

# Cancelling.
ID=$("$UW" submit wait ms=120000 --house bezalel --json | jq -r .id)
sees "another runs" '^running .*bezalel +wait'
chosen "it is chosen" 'running.*bezalel'
keys c
sees "c asks first" "Cancel $ID\\? y: yes"
keys n
sees_not "another key leaves it" 'Cancel .*y: yes'
like "and it runs" "$("$UW" task show "$ID" --json | jq -r .state)" 'running'
keys c
sees "c asks again" "Cancel $ID"
keys y
sees "y cancels" '^(cancelled|stopping) .*bezalel +wait'
ended() { [ "$("$UW" task show "$ID" --json | jq -r .state)" = cancelled ]; }
check "the house says so, too" wait_for 15 ended

# Approving and denying: on the plain terminal, signed as the commands do.
printf 'old\n' >"$T/c/work/page.txt"
ID=$("$UW" submit file_write path=page.txt content=new --house timmy --json | jq -r .id)
sees "what waits for approval needs a look" '1 approval$'
chosen "it is chosen, too" 'approval .*file_write in timmy'
keys Enter
sees "Enter shows what it would do" '^  \+new'
sees "and the hash" "^hash +$("$UW" approvals "$ID" --json | jq -r .hash)"
keys a
sees "a leaves the screen and asks" '^Approve exactly this: \[y\]es, \[n\]o\? \[n\]'
keys n Enter
sees "no decides nothing" 'nothing was decided'
keys Enter
sees "and the screen is back" "^Approval of task $ID"
keys a
sees_not "asked once more" 'Esc back'
sees "with the question" '^Approve exactly this: \[y\]es, \[n\]o\? \[n\] *$'
keys y Enter
sees "yes approves" "^$ID approved"
keys Enter
sees "the task is seen to its end" '^state +succeeded'
is "it has done it" "$(cat "$T/c/work/page.txt")" new
keys Escape
ID=$("$UW" submit file_write path=page.txt content=third --house timmy --json | jq -r .id)
sees "another waits" '1 approval$'
chosen "and is chosen" 'approval .*file_write in timmy'
KEY=$T/c/pki/sovereign.key
cp "$KEY" "$T/key" && openssl pkcs8 -topk8 -v2 aes-256-cbc -in "$T/key" -out "$KEY" -passout pass:'open sesame'
keys d
sees "d asks why" '^Deny it. Why\?'
keys 'not today' Enter
sees "a locked key's passphrase is asked for" "^Passphrase of the sovereign's key: *\$"
keys 'open sesame' Enter
sees "and denies" "^$ID denied"
keys Enter
sees "which is seen" '^denied .*timmy +file_write.*denied by timmy'

# One house, some tasks, help.
chosen "a house is chosen" '^.*bezalel +bezalel-1'
keys Enter
says "Enter shows only its tasks" 'only bezalel'
sees_not "no others" '^[a-z]+ +[0-9]+s +timmy +file_write'
keys Escape
sees "Esc shows all" '^denied .*timmy'
keys s s s
sees "s shows only what ended badly" '^TASKS +only ended badly'
sees_not "nothing else" '^succeeded'
keys Escape
sees "and back" '^succeeded'
keys '?'
sees "? tells the keys" 'ask the houses for their tasks again'
keys Escape

# The window changes.
$TM resize-window -x 130 -y 40
sees "a wide window shows ids" "^denied .*$ID"
$TM resize-window -x 50 -y 12
sees "a small one what matters" '^AGENTS +[0-9] of [0-9] online'
sees "houses that are not shown are counted" '^[0-9] of 4 +OWNER'
is "and fits" "$(text | sed 's/…/~/g' | awk 'length > 50' | wc -l | tr -d ' ')" 0
$TM resize-window -x 12 -y 3
sees "a tiny one is survived" '^ uni-wiz'
$TM resize-window -x 80 -y 24
sees "and it comes back" '^bezalel +bezalel-1 +online'

# A house changes hands.
"$UW" cluster kill bezalel-1 >"$T/out"
sees "a lost agent is seen" '^bezalel-1 +(silent|away)'
sees "and who took its house over" '^bezalel +(ezra|timmy)-1 +online'
"$UW" cluster start bezalel-1 >"$T/out"
sees "it comes back" '^bezalel-1 +online'

# The broker goes, stands still, and comes back.
"$UW" cluster kill broker >"$T/out"
says "a lost broker is said, and of when the rest is" 'DISCONNECTED for [0-9]+s, as of [0-9:]+Z: .*refused'
sees "what was known stays" '^bezalel +[a-z]+-1 +online'
keys c
"$UW" cluster start broker >"$T/out"
says "it connects again by itself" 'live  [0-9:]+Z'
ID=$("$UW" submit wait ms=10 --house ezra --json --wait | jq -r .id)
sees "and hears what happens" '^succeeded +[0-9]s +ezra +wait'
"$UW" cluster freeze broker >"$T/out"
says "a broker that stands still is said, too" 'STALE: no agent heard for [0-9]+s, as of|DISCONNECTED'
"$UW" cluster thaw broker >"$T/out"
says "and when it goes on" 'live  [0-9:]+Z'

# How it ends.
keys q
sees "q ends it" 'ready>$'
keys 'echo rc=$?' Enter
sees "with success" '^rc=0'
like "and leaves the terminal as it was" "$(stty -F "$TTY" -a 2>/dev/null || stty -f "$TTY" -a)" ' icanon.* echo |[^-]echo .*icanon'
keys "clear; NO_COLOR=1 $UW top" Enter
says "without colours" 'live'
is "it uses none" "$($TM capture-pane -p -e | grep -c "$ESC\\[[0-9;]*3[1-7]m")" 0
keys C-c
sees "an interrupt ends it" 'ready>'
sees_not "cleanly" '^AGENT'
keys "clear; TERM=vt100 LC_ALL=C $UW top" Enter
says "on an old terminal that knows only ASCII" 'live'
sees "it is the same" '^ezra +[a-z]+-1 +online'
is "in ASCII" "$(text | tr -d '\n -~' | wc -c | tr -d ' ')" 0
PID=$(ps -e -o pid= -o tty= -o args= | awk -v t="${TTY#/dev/}" '$2 == t && $4 == "top" { print $1 }')
kill -TERM "$PID"
sees "a signal ends it cleanly" 'ready>'
like "and the terminal is usable" "$(stty -F "$TTY" -a 2>/dev/null || stty -f "$TTY" -a)" '[^-]icanon'
keys "clear; TERM=dumb $UW top; echo rc=\$?" Enter
sees "a terminal without a screen is refused" 'TERM: expected a terminal with a screen, got dumb'
sees "as wrong usage" '^rc=2'
