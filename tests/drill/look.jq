# The heartbeats of the last seconds ("time json" a line): "OWNER TERM BROKER settled" when every agent is in step with the
# one owner, all on one broker; "OWNER TERM BROKER" when not; "- 0 0" without an owner.
def part: .houses[] | select(.house == $house);
def term_number: (part.term // "0") | tostring | split(".")[0] | tonumber;

[inputs | capture("^(?<at>[0-9.]+) (?<json>\\{.*)$") | .at as $at | .json | fromjson? | { at: ($at | tonumber), beat: . }] |
map(select(.at > now - 2.5)) | group_by(.beat.agent) | map(max_by(.at).beat) | map(select(.state == "online")) |
. as $all |
map(select(any(part; (.role // "owner") == "owner"))) as $owners |
if $owners == [] then "- 0 0"
else
	($owners | max_by(term_number)) as $owner |
	($owner | part) as $its |
	[$owner.agent, ($its.term // "0"), (($owner.broker // 0) + 1 | tostring)] +
	if ($all | length) == $agents and ($owners | length) == 1 and
	    ($its.in_step == null or (($its.in_step - [$owner.agent]) | length) == $agents - 1) and
	    ([$all[].broker] | unique | length) == 1
	then ["settled"] else [] end | join(" ")
end
