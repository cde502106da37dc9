# One run: the lines of trickle, what was done, when. Prints "recovery_ms longest_wait_ms tasks lost
# twice uncertain rejected".
#
# -v at=MS                  the fault
# -v old=AGENT              who owned the house then; recovered with the first outcome of another's that was told
# -v broker=1               it was the broker: recovered with the first outcome told on a new connection
#
# -v since=MS               the longest wait is that of tasks given from then on
# -v live=1                 it is not over: what was not accepted may be yet
# -v deaf=1                 who listens lost the broker, too, and may have missed what the highest term said
#
# Recovery is -1 when there was none. Lost: told accepted, without an end, or never told anything. Twice: the sender
# was told two different ends, one term has two, or the highest term has another than the sender was told; what an
# owner wrote down whose term came to nothing counts for nothing. An uncertain task may still be settled.

function note_end(n, state, digest, where) {
	if (state == "uncertain")
		uncertain[n] = 1
	else if (!((n, where) in digest_of))
		digest_of[n, where] = digest
	else if (digest_of[n, where] != digest)
		twice[n] = 1
}
$2 == "put" { put[$3] = $1 }
$2 == "accepted" { accepted[$3] = 1 }
$2 == "rejected" { ended[$3] = 1; rejected++ }
$2 == "up" && $1 > at { fresh = 1 }
$2 == "event" {
	term = $7 + 0
	note_end($3, $4, $5, term)
	if (!($3 in by) || term >= highest[$3]) {
		by[$3] = $6
		highest[$3] = term
	}
}
$2 == "outcome" {
	ended[$3] = 1
	note_end($3, $4, $5, "told")
	if (!($3 in told)) {
		told[$3] = $1
		told_fresh[$3] = fresh
	}
}
END {
	recovery = -1
	for (n in put) {
		tasks++
		if (!(n in ended) && (!live || n in accepted))
			lost++
		if (!deaf && (n, "told") in digest_of && (n, highest[n]) in digest_of && digest_of[n, highest[n]] != digest_of[n, "told"])
			twice[n] = 1
		if (n in told && put[n] >= since && told[n] - put[n] > longest)
			longest = told[n] - put[n]
		if (!(n in told) || told[n] <= at || (broker ? !told_fresh[n] : !(n in by) || by[n] == old))
			continue
		if (recovery < 0 || told[n] - at < recovery)
			recovery = told[n] - at
	}
	for (n in twice)
		duplicated++
	for (n in uncertain)
		unsure++
	print recovery, longest + 0, tasks + 0, lost + 0, duplicated + 0, unsure + 0, rejected + 0
}
