# The table of a drill. Input: "FAULT LIMIT_MS MEASURED_MS TASKS LOST TWICE UNCERTAIN REJECTED WHAT..." for each run, -1 for never.
# Ends with 1 when a limit was missed. -v json=FILE writes the figures there too, -v about=TEXT beside them.

function seconds(ms) { return ms < 0 ? "never" : sprintf("%.2f s", ms / 1000) }

# As nearest rank: of 20 runs the 99th percentile is the largest.
function quantile(f, q,    i, j, v, n, a) {
	n = runs[f]
	for (i = 1; i <= n; i++) {
		v = figure[f, i] < 0 ? 1e9 : figure[f, i]
		for (j = i - 1; j > 0 && a[j] > v; j--)
			a[j + 1] = a[j]
		a[j + 1] = v
	}
	i = int(q * n)
	if (i < q * n)
		i++
	return a[i] == 1e9 ? -1 : a[i]
}
function keeps(f, p99) {
	return p99 >= 0 && p99 <= limit[f] && !lost[f] && !twice[f] && !rejected[f]
}
function json_row(f, p50, p99, max, good) {
	return sprintf("{\"fault\":\"%s\",\"what\":\"%s\",\"runs\":%d,\"median_ms\":%d,\"p99_ms\":%d,\"max_ms\":%d,\"limit_ms\":%d," \
	    "\"tasks\":%d,\"lost\":%d,\"duplicated\":%d,\"uncertain\":%d,\"rejected\":%d,\"kept\":%s}", f, what[f], runs[f], p50, p99, max,
	    limit[f], tasks[f], lost[f], twice[f], uncertain[f], rejected[f], good ? "true" : "false")
}
{
	f = $1
	if (!(f in runs))
		order[++faults] = f
	figure[f, ++runs[f]] = $3
	limit[f] = $2
	tasks[f] += $4
	lost[f] += $5
	twice[f] += $6
	uncertain[f] += $7
	rejected[f] += $8
	what[f] = $9
	for (i = 10; i <= NF; i++)
		what[f] = what[f] " " $i
}
END {
	row = "%-46s %4s %9s %9s %9s %9s %7s %5s %10s %9s  %s\n"
	printf row, "fault", "runs", "median", "p99", "max", "limit", "tasks", "lost", "duplicated", "uncertain", ""
	for (i = 1; i <= faults; i++) {
		f = order[i]
		p50 = quantile(f, 0.5); p99 = quantile(f, 0.99); max = quantile(f, 1)
		good = keeps(f, p99)
		bad += !good
		printf row, what[f], runs[f], seconds(p50), seconds(p99), seconds(max), seconds(limit[f]), tasks[f], lost[f] + 0,
		    twice[f] + 0, uncertain[f] + 0, good ? "kept" : "MISSED"
		rows = rows (i > 1 ? "," : "") json_row(f, p50, p99, max, good)
	}
	if (json)
		printf "{\"about\":\"%s\",\"faults\":[%s],\"kept\":%s}\n", about, rows, bad ? "false" : "true" >json
	exit bad > 0 || !faults
}
