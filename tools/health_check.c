#include <stdarg.h>

#include "clock.h"
#include "host.h"
#include "http.h"
#include "mount.h"
#include "net.h"
#include "param.h"
#include "service.h"
#include "tool.h"

#define SPARE_MS 1000           /* to report before the worker is stopped */
#define LEAST_MS 200            /* a check is not begun with less time than this */
#define MAX_CHECKS 400          /* in the list; all are counted */
#define MAX_HEALTH 65536        /* of what an agent says of its health */

/*        symbol            in the result */
#define HEALTHS(X)                        \
	X(HEALTH_UNKNOWN, "unknown")      \
	X(HEALTH_OK,      "ok")           \
	X(HEALTH_WARN,    "warn")         \
	X(HEALTH_FAIL,    "fail")

enum health {
#define X(sym, name) sym,
	HEALTHS(X)
#undef X
	NHEALTHS
};

static const char *const health_names[NHEALTHS] = {
#define X(sym, name) [sym] = name,
	HEALTHS(X)
#undef X
};

struct report {
	const struct tool_run *r;
	struct buf checks, reasons;     /* the members of two arrays */
	struct buf ca;                  /* authorities; empty: the system's */
	enum health worst;
	int64_t count[NHEALTHS], listed;
};

/* One check: its state, what was checked, and what was found. */
static void __attribute__((format(printf, 4, 5)))
note(struct report *p, enum health h, const char *name, const char *fmt, ...)
{
	char text[600], reason[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->count[h]++;
	p->worst = h > p->worst ? h : p->worst;
	if (p->listed++ < MAX_CHECKS) {
		json_put_open(&p->checks, '{');
		json_kv_str(&p->checks, "name", name);
		json_kv_str(&p->checks, "status", health_names[h]);
		json_kv_str(&p->checks, "detail", text);
		json_put_close(&p->checks, '}');
	}
	snprintf(reason, sizeof reason, "%s: %s", name, text);
	if (h >= HEALTH_WARN)
		json_put_str(&p->reasons, reason);
}

/* Where a value lies between the limits in two parameters, which are numbers. */
static enum health
judge(const struct report *p, double value, const char *warn, const char *fail)
{
	const cJSON *w = cJSON_GetObjectItemCaseSensitive(p->r->params, warn);
	const cJSON *f = cJSON_GetObjectItemCaseSensitive(p->r->params, fail);

	if (cJSON_IsNumber(f) && value >= f->valuedouble)
		return HEALTH_FAIL;
	return cJSON_IsNumber(w) && value >= w->valuedouble ? HEALTH_WARN : HEALTH_OK;
}

static void
check_load(struct report *p)
{
	double load[3], each;

	if (!host_load(load)) {
		note(p, HEALTH_UNKNOWN, "load", "the system does not tell");
		return;
	}
	each = load[1] / host_cpus();
	note(p, judge(p, each, "load_warn", "load_fail"), "load", "%.2f over 5 minutes, %.2f per processor",
	    load[1], each);
}

static void
check_memory(struct report *p)
{
	struct host_memory m;
	double used;

	if (!host_memory_read(&m)) {
		note(p, HEALTH_UNKNOWN, "memory", "the system does not tell");
		return;
	}
	used = 100.0 * (double)(m.total - m.available) / (double)m.total;
	note(p, judge(p, used, "memory_warn", "memory_fail"), "memory", "%.1f %% used, %lld MiB available",
	    used, (long long)(m.available >> 20));
}

/* A file system that nobody can write to is full by nature. */
static void
check_disk(struct report *p, const struct mount *m)
{
	double used = mount_used_percent(m), inodes = mount_inodes_percent(m);
	enum health h = judge(p, used > inodes ? used : inodes, "disk_warn", "disk_fail");
	char name[300];

	if (m->read_only)
		return;
	snprintf(name, sizeof name, "disk %s", m->path);
	if (inodes > used)
		note(p, h, name, "%.1f %% of the inodes used", inodes);
	else
		note(p, h, name, "%.1f %% used, %lld MiB available", used, (long long)(m->available >> 20));
}

static void
check_disks(struct report *p)
{
	static struct mounts ms;

	mounts_read(&ms, false);
	for (size_t i = 0; i < ms.n; i++)
		check_disk(p, &ms.v[i]);
	mounts_release(&ms);
}

static void
check_clock(struct report *p)
{
	struct host_clock c;

	host_clock_read(&c);
	if (!c.known)
		note(p, HEALTH_UNKNOWN, "clock", "the system does not tell");
	else if (!c.synced)
		note(p, HEALTH_WARN, "clock", "not synchronized");
	else
		note(p, judge(p, (double)c.error_us / 1000, "clock_warn_ms", ""), "clock",
		    "synchronized, at most %lld ms off", (long long)(c.error_us / 1000));
}

static int64_t
deadline_of(const struct report *p)
{
	int64_t until = clock_mono_ms() + param_int(p->r, "timeout_ms"), last = run_deadline(p->r, SPARE_MS);

	return until < last ? until : last;
}

/* False, and said so, if there is no time for another check. */
static bool
has_time(struct report *p, const char *name)
{
	if (run_deadline(p->r, SPARE_MS) - clock_mono_ms() >= LEAST_MS)
		return true;
	note(p, HEALTH_WARN, name, "not checked, there is no time left");
	return false;
}

/* False, and said so, if there is no answer, or no time for one. */
static bool
ask(struct report *p, const char *name, struct http_request *q, struct http_answer *a)
{
	struct err e = { 0 };

	if (!has_time(p, name))
		return false;
	q->ca = p->ca;
	q->timeout_ms = q->connect_ms = deadline_of(p) - clock_mono_ms();
	if (http_run(q, a, &e) == 0)
		return true;
	note(p, HEALTH_FAIL, name, "%s", e.msg);
	return false;
}

static void
check_url(struct report *p, const char *url)
{
	struct http_request q = { .url = url, .max_body = 512 };
	struct http_answer a = { 0 };
	char name[256];

	http_url_brief(url, name, sizeof name);
	if (ask(p, name, &q, &a))
		note(p, a.status >= 400 ? HEALTH_FAIL : HEALTH_OK, name, "status %d in %lld ms", a.status,
		    (long long)(a.total_us / 1000));
	http_answer_release(&a);
}

static void
check_urls(struct report *p)
{
	const cJSON *urls = cJSON_GetObjectItemCaseSensitive(p->r->params, "urls"), *one;

	cJSON_ArrayForEach(one, urls)
		check_url(p, one->valuestring);
}

/* ---- agents elsewhere ---- */

/* The house whose endpoint is meant, by its own name or that of an agent, whose home it is. */
static const struct config_house *
house_of(const struct report *p, const char *name)
{
	const struct config_house *h = config_house_find(p->r->env->config, name);

	return h ? h : config_home(p->r->env->config, name);
}

/* What an agent says is not well, in a line. */
static void
put_failing(struct buf *b, const cJSON *health)
{
	const cJSON *check;

	cJSON_ArrayForEach(check, cJSON_GetObjectItemCaseSensitive(health, "checks"))
		if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(check, "ok")))
			buf_addf(b, "%s%s (%s)", b->len ? ", " : "", check->string, json_text(check, "detail"));
}

/* What an agent's /health says: that it is well, and that it is the one that was meant. */
static void
judge_agent(struct report *p, const char *name, const struct config_names *meant, const struct http_answer *a)
{
	struct err e = { 0 };
	struct buf failing = { .max = 500 };
	cJSON *o = a->cut ? NULL : json_parse_object(buf_str(&a->body), a->body.len, &e);
	const char *agent = json_text(o, "agent"), *status = json_text(o, "status");
	long long ms = a->total_us / 1000;

	put_failing(&failing, o);
	if (!*agent || !*status)
		note(p, HEALTH_FAIL, name, "status %d, and not what an agent says of its health", a->status);
	else if (!config_names_has(meant, agent))
		note(p, HEALTH_FAIL, name, "it is %s that answers", agent);
	else if (a->status != 200 || strcmp(status, "ok") != 0)
		note(p, HEALTH_FAIL, name, "%s: %s", agent, failing.len ? buf_str(&failing) : status);
	else if (json_is_true(o, "degraded"))
		note(p, HEALTH_WARN, name, "%s is under stress; it answered in %lld ms", agent, ms);
	else
		note(p, HEALTH_OK, name, "%s is well; it answered in %lld ms", agent, ms);
	cJSON_Delete(o);
	buf_free(&failing);
}

static void
check_house(struct report *p, const char *target)
{
	const struct config_house *h = house_of(p, target);
	struct config_names one = { .n = 1 };
	struct http_request q = { .max_body = MAX_HEALTH };
	struct http_answer a = { 0 };
	struct buf url = { 0 };
	char name[64];
	bool is_house = strcmp(h->name, target) == 0;

	snprintf(one.v[0], sizeof one.v[0], "%s", target);
	snprintf(name, sizeof name, "%s %s", is_house ? "house" : "agent", target);
	buf_adds(&url, h->endpoint);
	while (url.data[url.len - 1] == '/')
		buf_cut(&url, url.len - 1);
	buf_adds(&url, "/health");
	q.url = buf_str(&url);
	if (ask(p, name, &q, &a))
		judge_agent(p, name, is_house ? &h->agents : &one, &a);
	http_answer_release(&a);
	buf_free(&url);
}

/* All names first, then the checks. */
static int
check_houses(struct report *p, struct err *e)
{
	const cJSON *houses = cJSON_GetObjectItemCaseSensitive(p->r->params, "houses"), *one;
	const struct config_house *h;
	char field[64];
	int i = 0;

	cJSON_ArrayForEach(one, houses) {
		snprintf(field, sizeof field, "params.houses.%d", i++);
		h = house_of(p, one->valuestring);
		if (!h)
			return err_field(e, ERR_UNKNOWN_HOUSE, field, one->valuestring, "a house of houses.yaml, or an agent of one");
		if (!h->endpoint)
			return err_field(e, ERR_CONFIG, field, one->valuestring, "one whose house has an `endpoint` in houses.yaml");
	}
	cJSON_ArrayForEach(one, houses)
		check_house(p, one->valuestring);
	return 0;
}

/* ---- ports and services ---- */

/* "host:port" or "[address]:port" to both. */
static void
split_port(const char *text, char *host, size_t size, int *port)
{
	const char *colon = strrchr(text, ':');
	bool brackets = text[0] == '[';

	snprintf(host, size, "%.*s", (int)(colon - text) - (brackets ? 2 : 0), text + brackets);
	*port = (int)strtol(colon + 1, NULL, 10);
}

static void
check_port(struct report *p, const char *name)
{
	struct net_addrs addrs;
	struct net_dial d = { .addrs = &addrs };
	struct err e = { 0 };
	char host[256];

	if (!has_time(p, name))
		return;
	split_port(name, host, sizeof host, &d.port);
	if (net_resolve(host, &addrs, &e)) {
		note(p, HEALTH_FAIL, name, "%s", e.msg);
		return;
	}
	net_dial(&d, 1, deadline_of(p));
	if (d.fd >= 0)
		close(d.fd);
	note(p, d.state == NET_OPEN ? HEALTH_OK : HEALTH_FAIL, name, "%s (%s) after %lld ms",
	    net_state_name(d.state), d.address, (long long)(d.us / 1000));
}

static int
check_ports(struct report *p, struct err *e)
{
	const cJSON *ports = cJSON_GetObjectItemCaseSensitive(p->r->params, "ports"), *one;
	char host[256], field[48];
	int port, i = 0;

	cJSON_ArrayForEach(one, ports) {
		split_port(one->valuestring, host, sizeof host, &port);
		snprintf(field, sizeof field, "params.ports.%d", i++);
		if (port < 1 || port > 65535)
			return err_field(e, ERR_INVALID, field, one->valuestring,
			    "host:port with a port up to 65535");
	}
	cJSON_ArrayForEach(one, ports)
		check_port(p, one->valuestring);
	return 0;
}

static void
check_service(struct report *p, const char *unit)
{
	struct service s;
	struct err e = { 0 };
	char name[300];
	bool starting;

	snprintf(name, sizeof name, "service %s", unit);
	if (!has_time(p, name))
		return;
	if (service_read(unit, deadline_of(p), &s, &e)) {
		note(p, HEALTH_FAIL, name, "%s", e.msg);
		return;
	}
	starting = strcmp(s.active, "activating") == 0;
	note(p, service_is_fine(&s) ? HEALTH_OK : starting ? HEALTH_WARN : HEALTH_FAIL, name, "%s (%s)",
	    s.active, s.sub);
}

static void
check_services(struct report *p)
{
	const cJSON *services = cJSON_GetObjectItemCaseSensitive(p->r->params, "services"), *one;

	cJSON_ArrayForEach(one, services)
		check_service(p, one->valuestring);
}

static int
check_all(struct report *p, struct err *e)
{
	if (param_bool(p->r, "host")) {
		check_load(p);
		check_memory(p);
		check_disks(p);
		check_clock(p);
	}
	if (http_ca_read(p->r, &p->ca, e) || check_ports(p, e) || check_houses(p, e))
		return -1;
	check_urls(p);
	check_services(p);
	return p->listed ? 0 : err_field(e, ERR_MISSING, "params.host", NULL,
	    "true, or houses, urls, ports or services to check");
}

static void
put_list(const char *name, const struct buf *members, struct buf *result)
{
	json_put_key(result, name);
	json_put_open(result, '[');
	if (members->len)
		json_put_raw(result, members->data, members->len);
	json_put_close(result, ']');
}

static int
put_report(const struct report *p, struct buf *result, struct err *e)
{
	json_put_open(result, '{');
	json_kv_str(result, "status", health_names[p->worst]);
	put_list("reasons", &p->reasons, result);
	for (int h = HEALTH_FAIL; h >= HEALTH_UNKNOWN; h--)
		json_kv_int(result, health_names[h], p->count[h]);
	put_list("checks", &p->checks, result);
	json_kv_bool(result, "truncated", p->listed > MAX_CHECKS);
	json_put_close(result, '}');
	if (result->len <= p->r->max_output)
		return 0;
	return err_set(e, ERR_TOO_BIG, "the result would have %zu bytes, the limit is %zu: check less",
	    result->len, p->r->max_output);
}

/* A check that finds something bad has done its work; who wants it to fail says from where on. */
static int
check_fail_on(const struct report *p, struct err *e)
{
	const char *fail_on = param_str(p->r, "fail_on");
	bool warn = strcmp(fail_on, "warn") == 0, fail = strcmp(fail_on, "fail") == 0;

	if (p->worst < HEALTH_WARN || (!warn && !(fail && p->worst == HEALTH_FAIL)))
		return 0;
	return err_set(e, ERR_TOOL, "%s: %.400s", health_names[p->worst], buf_str(&p->reasons));
}

static int
health_check_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct report p = { .r = r };
	int rc = check_all(&p, e);

	if (rc == 0)
		rc = check_fail_on(&p, e);
	if (rc == 0)
		rc = put_report(&p, result, e);
	buf_free(&p.checks);
	buf_free(&p.reasons);
	buf_free(&p.ca);
	return rc;
}

#define LIMIT(name, max, value, text) \
	"\"" name "\":{\"type\":\"number\",\"minimum\":0,\"maximum\":" max ",\"default\":" value "," \
	"\"description\":\"" text "\"},"

const struct tool tool_health_check = {
	.name = "health_check",
	.summary = "Whether this host and given houses, URLs, ports and services are well: ok, warn or fail, and why",
	.schema = "{\"type\":\"object\",\"properties\":{"
	    "\"host\":{\"type\":\"boolean\",\"default\":true,"
	    "\"description\":\"Load, memory, disks and clock of this host.\"},"
	    "\"houses\":{\"type\":\"array\",\"maxItems\":64,"
	    "\"items\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9][a-z0-9-]*$\",\"maxLength\":32},"
	    "\"description\":\"Houses, or agents, whose home's it is: at their `endpoint` an agent has to say that it is well.\"},"
	    "\"urls\":{\"type\":\"array\",\"maxItems\":16,\"items\":{\"type\":\"string\",\"maxLength\":8192},"
	    "\"description\":\"http or https; they have to answer with a status below 400.\"},"
	    "\"ports\":{\"type\":\"array\",\"maxItems\":32,\"items\":{\"type\":\"string\",\"maxLength\":255,"
	    "\"pattern\":\"^(\\\\[[0-9A-Fa-f:.]+\\\\]|[A-Za-z0-9_.-]+):[0-9]+$\"},"
	    "\"description\":\"host:port; they have to be open.\"},"
	    "\"services\":{\"type\":\"array\",\"maxItems\":16,"
	    "\"items\":{\"type\":\"string\",\"pattern\":\"" SERVICE_UNIT_PATTERN "\",\"maxLength\":255},"
	    "\"description\":\"Units; they have to be active, or oneshots that ended well.\"},"
	    "\"ca_file\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"PEM file beneath a root: trust these authorities for houses and URLs.\"},"
	    LIMIT("load_warn", "10000", "2", "Load over 5 minutes per processor.")
	    LIMIT("load_fail", "10000", "8", "Load over 5 minutes per processor.")
	    LIMIT("memory_warn", "1000", "90", "Percent of the memory in use.")
	    LIMIT("memory_fail", "1000", "98", "Percent of the memory in use.")
	    LIMIT("disk_warn", "1000", "85", "Percent of a file system, bytes or inodes.")
	    LIMIT("disk_fail", "1000", "95", "Percent of a file system, bytes or inodes.")
	    LIMIT("clock_warn_ms", "100000", "1000", "What the clock may be off at most.")
	    "\"timeout_ms\":{\"type\":\"integer\",\"minimum\":10,\"maximum\":60000,\"default\":5000,"
	    "\"description\":\"For each house, URL, port and service.\"},"
	    "\"fail_on\":{\"enum\":[\"none\",\"warn\",\"fail\"],\"default\":\"none\","
	    "\"description\":\"The task itself fails from this status on.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 120,
	.run = health_check_run,
};
