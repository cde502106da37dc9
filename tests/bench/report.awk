# report.awk - medians, limits and verdicts from "name value" lines; the exit status says whether all limits hold.
#
# -v json=FILE writes them there too; -v about=TEXT is put into it; -v bytes=N is the size of a task;
# -v peers=1 makes the table of `make bench-peers`, -v flood=1 that of `make bench-flood`, -v lag=1 with events=N
# and outage_s=SECONDS that of `make bench-lag`.

{
	if (!($1 in runs))
		names[++count] = $1
	value[$1, ++runs[$1]] = $2 + 0
}

function sort_runs(name, out,   i, j, v) {
	for (i = 1; i <= runs[name]; i++) {
		v = value[name, i]
		for (j = i - 1; j >= 1 && out[j] > v; j--)
			out[j + 1] = out[j]
		out[j + 1] = v
	}
}

function median(name,   s, n) {
	n = runs[name]
	if (!n)
		return "missing"
	sort_runs(name, s)
	return n % 2 ? s[(n + 1) / 2] : (s[n / 2] + s[n / 2 + 1]) / 2
}

function spread(name,   s, n) {
	n = runs[name]
	if (n < 2)
		return ""
	sort_runs(name, s)
	return sprintf("[%s-%s]", show(s[1]), show(s[n]))
}

# name: b divided by a, repetition by repetition
function divide(name, a, b,   i) {
	for (i = 1; i <= runs[a] && i <= runs[b]; i++)
		if (value[a, i] > 0)
			value[name, ++runs[name]] = value[b, i] / value[a, i]
}

function scale(name, from, factor,   i) {
	for (i = 1; i <= runs[from]; i++)
		value[name, ++runs[name]] = value[from, i] * factor
}

function show(v) {
	if (v == "missing")
		return v
	if (v >= 1000)
		return sprintf("%.0f", v)
	return v >= 100 ? sprintf("%.1f", v) : v >= 1 ? sprintf("%.2f", v) : sprintf("%.3f", v)
}

function put_json(label, unit, m, op, limit, verdict, name,   line) {
	line = sprintf("{\"name\":\"%s\",\"unit\":\"%s\",\"measured\":%s,\"runs\":%d", label, unit, m == "missing" ? "null" : m,
	    samples[name] ? samples[name] : runs[name])
	if (op != "")
		line = line sprintf(",\"op\":\"%s\",\"limit\":%s,\"pass\":%s", op, limit == "missing" ? "null" : limit,
		    verdict == "pass" ? "true" : "false")
	rows[++nrows] = line "}"
}

function print_row(label, m, unit, limit, ratio, verdict, name) {
	printf "%-52s %10s %-5s %-12s %-6s %-6s %s\n", label, show(m), unit, limit, ratio, verdict,
	    samples[name] ? "n=" samples[name] " in " slices[name] " runs" : "n=" runs[name] " " spread(name)
}

# A figure without a limit.
function info(label, name, unit,   m) {
	m = median(name)
	if (m == "missing")
		return
	print_row(label, m, unit, "", "", "", name)
	put_json(label, unit, m, "", 0, "", name)
}

# A figure with one: op is "<=" or ">=".
function judge(label, name, unit, op, limit,   m, verdict, ratio) {
	m = median(name)
	verdict = "FAIL"
	if (m != "missing" && limit != "missing" && (op == "<=" ? m <= limit : m >= limit))
		verdict = "pass"
	if (verdict != "pass")
		failed++
	judged++
	ratio = m == "missing" || limit == "missing" || limit == 0 ? "-" : sprintf("%.2f", m / limit)
	print_row(label, m, unit, op " " show(limit), ratio, verdict, name)
	put_json(label, unit, m, op, limit, verdict, name)
}

function sampled(name,   i, q) {
	split("p50 p99 p999 max", q, " ")
	for (i in q) {
		samples[name "_" q[i]] = median(name "_n")
		slices[name "_" q[i]] = runs["slices"] && name !~ /^lag_/ ? median("slices") : 1
	}
}

function sum(a, b) {
	return a == "missing" || b == "missing" ? "missing" : a + b
}

function times(k, a) {
	return a == "missing" ? a : k * a
}

function heading(text) {
	printf "\n%-52s %10s %-5s %-12s %-6s %-6s %s\n", text, "measured", "", "limit", "ratio", "", "runs [least-most]"
}

function report_bench() {
	heading("Throughput (" bytes "-byte tasks, no-op, result back)")
	info("raw: one hop, QoS 1, mutual TLS", "raw_hop_per_s", "/s")
	info("raw: round trip, one message per task", "raw_trip_per_s", "/s")
	info("tasks: durable at both ends", "tasks_per_s", "/s")
	judge("tasks / raw round trips (aim 3.00)", "over_trip", "x", ">=", 1.5)
	judge("CPU of all processes for 10,000 tasks", "cpu_s_per_10k", "s", "<=", 1.5)
	info("  of one task: broker", "cpu_broker_us", "us")
	info("  of one task: agent", "cpu_agent_us", "us")
	info("  of one task: workers", "cpu_workers_us", "us")
	info("  of one task: submitter", "cpu_submitter_us", "us")
	info("  recording it for audit, 100 a commit", "audit_us", "us")
	judge("  that, of a task's CPU", "audit_percent", "%", "<=", 5)

	heading("The same with three candidates: on their disks before it is told")
	info("tasks", "copies_tasks_per_s", "/s")
	info("tasks / those with one candidate", "copies_share", "x")
	info("CPU of all processes for 10,000 tasks", "copies_cpu_s_per_10k", "s")
	info("  of one task: the three agents", "copies_cpu_agent_us", "us")

	heading("Intelligence")
	judge("tasks in mode intelligent / simple", "intelligent_share", "x", ">=", 0.9)
	info("  agent's CPU for a task, the same way round", "intelligent_cpu", "x")

	heading("Sovereignty")
	judge("tasks where a policy is in force / where no key is", "signed_share", "x", ">=", 0.95)
	info("  agent's CPU for a task, the same way round", "signed_cpu", "x")
	judge("a decision is published until its task starts, p50", "approval_ms", "ms", "<=", 50)
	info("  until its outcome is heard, p50", "approval_ms_outcome", "ms")

	heading("Latency at 100 tasks/s, submit to outcome")
	info("disk: fdatasync, back to back, p50", "disk_us_p50", "us")
	info("disk: fdatasync, back to back, p99", "disk_us_p99", "us")
	info("disk: fdatasync, 100/s, p50", "disk_paced_us_p50", "us")
	info("disk: fdatasync, 100/s, p99", "disk_paced_us_p99", "us")
	info("raw round trip p50", "raw_us_p50", "us")
	info("raw round trip p99", "raw_us_p99", "us")
	info("raw round trip p99.9", "raw_us_p999", "us")
	judge("task p50: 1 ms + 2 fsyncs", "task_us_p50", "us", "<=", sum(1000, times(2, median("disk_us_p50"))))
	judge("task p99: 5 x p50 + 2 x p99 of fsync", "task_us_p99", "us", "<=",
	    sum(times(5, median("task_us_p50")), times(2, median("disk_us_p99"))))
	info("task p99.9", "task_us_p999", "us")
	info("task, the slowest", "task_us_max", "us")

	report_lag()

	heading("Depth: 100,000 tasks queued behind")
	info("dispatch with none behind", "dispatch_empty_per_s", "/s")
	info("dispatch with 100,000 behind", "dispatch_deep_per_s", "/s")
	judge("rate with 100,000 behind / with none", "deep_share", "x", ">=", 0.9)
	judge("agent's memory with 100,000 queued", "rss_queued", "MiB", "<=", 40)

	heading("At rest")
	judge("agent's memory, idle since its start", "rss_idle", "MiB", "<=", 12)
	judge("agent's memory, idle 5 s after all that load", "rss_after", "MiB", "<=", 12)
	judge("CPU of agent and workers, idle", "idle_agent_percent", "%", "<=", 0.2)
	info("CPU of the broker, idle", "idle_broker_percent", "%")
	judge("ready after start, empty store", "ready_empty_ms", "ms", "<=", 200)
	judge("ready after start, 1,000,000 finished tasks", "ready_million_ms", "ms", "<=", 2000)
}

function report_peer(label, name) {
	if (!runs[name "_per_s"])
		return
	heading(label)
	info("no-op tasks with their result back", name "_per_s", "/s")
	info("CPU of all processes for 10,000", name "_cpu", "s")
	info("at 100/s, p50", name "_us_p50", "us")
	info("at 100/s, p99", name "_us_p99", "us")
	info("at 100/s, p99.9", name "_us_p999", "us")
}

function report_peers() {
	heading("The broker alone")
	info("raw: round trip, one message per task", "raw_trip_per_s", "/s")
	report_peer("Here: TLS, fsync at both ends before any acknowledgement", "ours")
	report_peer("beanstalkd -f 0: fsync of every write", "beanstalkd")
	report_peer("BullMQ, Redis with appendfsync always", "bullmq")
}

function report_flood() {
	heading(tasks " tasks at once for one house")
	info("accepted", "flood_accepted", "")
	info("refused as busy", "flood_busy", "")
	judge("accepted, refused", "flood_told", "", ">=", tasks)
	info("worked off", "flood_tasks_per_s", "/s")
	judge("agent's memory, the most", "flood_rss", "MiB", "<=", 64)

	heading("Another house meanwhile, at 100 tasks/s")
	info("p50 before", "calm_us_p50", "us")
	info("p50 meanwhile", "flood_us_p50", "us")
	info("p99 before", "calm_us_p99", "us")
	judge("p99 meanwhile", "flood_us_p99", "us", "<=", times(2, median("calm_us_p99")))
	info("the slowest meanwhile", "flood_us_max", "us")
}

function report_lag() {
	heading("Lag at 1,000 events/s, from when the task was given")
	info("events a second", "events_per_s", "/s")
	info("until a plain subscriber has it, p50", "lag_wire_us_p50", "us")
	info("until a plain subscriber has it, p99", "lag_wire_us_p99", "us")
	info("until Timmy's agent has it on disk, p50", "lag_store_us_p50", "us")
	judge("until Timmy's agent has it on disk, p99", "lag_store_us_p99", "us", "<=", 20000)
	info("until Timmy's agent has it on disk, the most", "lag_store_us_max", "us")
	info("until the page has it, p50", "lag_page_us_p50", "us")
	judge("until the page has it, p99", "lag_page_us_p99", "us", "<=", 20000)
	info("until the page has it, the most", "lag_page_us_max", "us")
	info("progress, from when the tool tells it, p50", "lag_progress_us_p50", "us")
	judge("progress, from when the tool tells it, p99", "lag_progress_us_p99", "us", "<=", 20000)
	judge("events missing or twice", "wrong", "", "<=", 0)
}

function report_outage(who, name) {
	heading(who " cut off for " outage_s " s")
	info("events made meanwhile", name "back_events", "")
	judge("missing, or out of order", name "back_missing", "", "<=", 0)
	judge("twice", name "back_repeated", "", "<=", 0)
	info("until the first has come", name "back_first_s", "s")
	info("from the first to the last", name "back_drain_s", "s")
	info("another house's events, on disk, p99 before", name "store_us_p99", "us")
	info("in the page, p99 before", name "page_us_p99", "us")
}

function report_outages() {
	report_outage("The agent that makes them", "maker_")
	judge("on disk, p99 meanwhile", "maker_back_store_us_p99", "us", "<=", sum(100000, median("maker_store_us_p99")))
	judge("in the page, p99 meanwhile", "maker_back_page_us_p99", "us", "<=", sum(100000, median("maker_page_us_p99")))
	info("on disk, the most meanwhile", "maker_back_store_us_max", "us")
	report_outage("The agent that wants them", "reader_")
	info("on disk, p99 meanwhile", "reader_back_store_us_p99", "us")
	info("in the page, p99 meanwhile", "reader_back_page_us_p99", "us")
}

function write_json(   i) {
	gsub(/[\\"]/, "", about)
	gsub(/\n/, "; ", about)
	printf "{\"about\":\"%s\",\"limits\":%d,\"missed\":%d,\"figures\":[\n", about, judged, failed >json
	for (i = 1; i <= nrows; i++)
		printf "%s%s\n", rows[i], i < nrows ? "," : "" >json
	print "]}" >json
}

END {
	n = split("disk_us disk_paced_us raw_us task_us ours_us beanstalkd_us bullmq_us calm_us flood_us lag_wire_us " \
	    "lag_store_us lag_page_us lag_progress_us maker_store_us maker_page_us maker_back_store_us maker_back_page_us " \
	    "reader_store_us reader_page_us reader_back_store_us reader_back_page_us", sampled_names, " ")
	for (i = 1; i <= n; i++)
		sampled(sampled_names[i])
	divide("over_trip", "raw_trip_per_s", "tasks_per_s")
	divide("deep_share", "dispatch_empty_per_s", "dispatch_deep_per_s")
	divide("copies_share", "tasks_per_s", "copies_tasks_per_s")
	divide("intelligent_share", "tasks_per_s", "intelligent_tasks_per_s")
	divide("intelligent_cpu", "cpu_agent_us", "intelligent_cpu_agent_us")
	divide("signed_share", "unsigned_tasks_per_s", "tasks_per_s")
	divide("signed_cpu", "unsigned_cpu_agent_us", "cpu_agent_us")
	# Seconds for 10,000 are hundreds of microseconds for one.
	divide("audit_percent", "cpu_s_per_10k", "audit_us")
	scale("rss_idle", "rss_idle_bytes", 1 / 1048576)
	scale("rss_after", "rss_after_bytes", 1 / 1048576)
	scale("rss_queued", "rss_queued_bytes", 1 / 1048576)
	scale("flood_rss", "flood_rss_bytes", 1 / 1048576)
	if (runs["missing"])
		value["wrong", ++runs["wrong"]] = value["missing", 1] + value["repeated", 1]
	if (runs["flood_accepted"])
		value["flood_told", ++runs["flood_told"]] = value["flood_accepted", 1] + value["flood_busy", 1]
	if (peers)
		report_peers()
	else if (flood)
		report_flood()
	else if (lag) {
		info("raw: round trip at 100/s before, p99", "raw_us_p99", "us")
		report_lag()
		report_outages()
	}
	else
		report_bench()
	if (!peers)
		printf "\n%d limits, %d missed\n", judged, failed
	if (json != "")
		write_json()
	exit failed > 0
}
