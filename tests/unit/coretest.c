#include "coretest.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "state.h"

static const char base_config[] =
    "cluster: home\n"
    "state: /nowhere\n"
    "houses:\n"
    "  timmy: { agents: [timmy-1], candidates: [timmy-1] }\n"
    "  ezra: { agents: [ezra-1], candidates: [ezra-1] }\n"
    "  bezalel: { agents: [bezalel-1], candidates: [bezalel-1] }\n"
    "router: [ezra-1]\n";

static void
put_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

/* One tool of each effect whose parameters have a default. */
static void
put_tools(const char *dir)
{
	static const char *const effects[] = { "read", "idempotent", "exclusive" };
	char text[512], name[64];

	put_file(dir, "tool", "#!/bin/sh\necho '{}'\n", 0755);
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof text, "{\"name\":\"%s_tool\",\"summary\":\"a tool\",\"exec\":\"tool\",\"effect\":\"%s\","
		    "\"timeout_s\":7,\"parameters\":{\"type\":\"object\",\"properties\":{"
		    "\"n\":{\"type\":\"integer\",\"default\":3},\"s\":{\"type\":\"string\"}}}}", effects[i], effects[i]);
		snprintf(name, sizeof name, "%s.json", effects[i]);
		put_file(dir, name, text, 0644);
	}
}

static void
warn(const char *msg, void *arg)
{
	(void)arg;
	fprintf(stderr, "warning: %s\n", msg);
}

static void
set_up(struct coretest *t, const char *agent, const char *config, const char *more)
{
	struct buf b = { 0 };

	*t = (struct coretest){ .dir = "/tmp/uw-core-XXXXXX", .agent = agent, .idle = 4, .quick = 64, .seed = 1,
		.now = { .wall_ms = T0, .mono_ms = 5000 } };
	assert_non_null(mkdtemp(t->dir));
	put_tools(t->dir);
	buf_addf(&b, "%s%stools: { dirs: [\"%s\"] }\n", config, more ? more : "", t->dir);
	if (config_parse(&t->config, "houses.yaml", b.data, b.len, warn, NULL, &t->e))
		fail_msg("%s", t->e.msg);
	buf_free(&b);
	t->tools = registry_new(&t->config, warn, NULL);
}

void
ct_setup_agent(struct coretest *t, const char *agent, const char *more)
{
	set_up(t, agent, base_config, more);
	ct_open(t);
}

void
ct_setup(struct coretest *t, const char *more)
{
	ct_setup_agent(t, "ezra-1", more);
}

const char *
ct_store(const struct coretest *t)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/store.db", t->dir);
	return path;
}

void
ct_open(struct coretest *t)
{
	if (core_open(&t->core, &(struct core_opts){ .config = &t->config, .tools = t->tools, .agent = t->agent,
	    .store_path = ct_store(t), .seed = t->seed, .secret = "secret", .version = "4", .protocol = t->protocol, .host = "here",
	    .sign = t->sign, .sign_arg = t->sign_arg, .sign_binding = t->sign_binding }, t->now, &t->e))
		fail_msg("%s", t->e.msg);
	t->open = false;
}

static void
forget_run(struct coretest *t)
{
	for (size_t i = 0; i < t->nrun; i++) {
		free(t->run[i].params);
		free(t->run[i].terms);
	}
	t->nrun = t->nstopped = t->nunacked = 0;
}

static void
die(struct coretest *t)
{
	core_close(t->core);
	t->core = NULL;
	t->idle = 4;
	t->quick = 64;
	forget_run(t);
	t->out_mid = 0;
}

void
ct_kill(struct coretest *t)
{
	unsigned idle = t->idle, quick = t->quick;

	die(t);
	t->idle = idle;
	t->quick = quick;
	ct_open(t);
}

void
ct_give_house(struct coretest *t, int house, const char *agent)
{
	struct config_house *h = &t->config.houses[house];

	snprintf(h->agents.v[0], sizeof(config_name), "%s", agent);
	snprintf(h->candidates.v[0], sizeof(config_name), "%s", agent);
}

void
ct_forget(struct coretest *t)
{
	for (size_t i = 0; i < t->nlines; i++) {
		free(t->lines[i].topic);
		free(t->lines[i].response);
		free(t->lines[i].correlation);
		cJSON_Delete(t->lines[i].v);
	}
	t->nlines = 0;
}

void
ct_teardown(struct coretest *t)
{
	static const char *const files[] = { "tool", "read.json", "idempotent.json", "exclusive.json", "store.db",
		"store.db-wal", "store.db-shm", NULL };
	char path[160];

	core_close(t->core);
	forget_run(t);
	ct_forget(t);
	free(t->lines);
	free(t->run);
	free(t->unacked);
	registry_free(t->tools);
	config_release(&t->config);
	for (const char *const *f = files; *f; f++) {
		snprintf(path, sizeof path, "%s/%s", t->dir, *f);
		unlink(path);
	}
	rmdir(t->dir);
}

/* ---- turns ---- */

void
ct_begin(struct coretest *t)
{
	if (!t->open)
		core_begin(t->core, t->now);
	t->open = true;
}

static void
take_starts(struct coretest *t, bool committed)
{
	struct pool_start s;
	size_t before;

	do {
		before = t->nrun;
		core_slots(t->core, t->idle, t->quick);
		while (core_next_start(t->core, t->idle, t->quick, &s)) {
			struct started *r;

			if (t->nrun == t->cap_run) {
				t->cap_run = t->cap_run ? 2 * t->cap_run : 64;
				t->run = xrealloc(t->run, t->cap_run * sizeof *t->run);
			}
			r = &t->run[t->nrun++];
			*r = (struct started){ .handle = s.handle, .params = xstrndup(s.params, s.params_len),
				.terms = s.terms ? xstrndup(s.terms, s.terms_len) : NULL, .timeout_ms = s.timeout_ms,
				.quick = s.quick, .plan = s.plan, .committed = committed };
			snprintf(r->tool, sizeof r->tool, "%s", s.tool);
			snprintf(r->house, sizeof r->house, "%s", s.house);
			snprintf(r->id, sizeof r->id, "%s", s.task_id);
			snprintf(r->traceparent, sizeof r->traceparent, "%s", s.traceparent);
			t->nstarted++;
			if (s.quick)
				t->quick--;
			else
				t->idle--;
		}
	} while (t->nrun > before);
}

static void
keep_line(struct coretest *t, struct line l, const char *text, size_t len)
{
	struct err e;

	if (t->nlines == t->cap_lines) {
		t->cap_lines = t->cap_lines ? 2 * t->cap_lines : 256;
		t->lines = xrealloc(t->lines, t->cap_lines * sizeof *t->lines);
	}
	l.v = json_parse_object(text, len, &e);
	if (!l.v)
		fail_msg("a bad line left: %s: %.*s", e.msg, (int)(len > 300 ? 300 : len), text);
	l.message = t->messages;
	t->lines[t->nlines++] = l;
}

static void
keep_lines(struct coretest *t, const struct line *l, const char *p, size_t len)
{
	const char *end = p + len;

	t->messages++;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		struct line one = *l;

		one.topic = l->topic ? xstrdup(l->topic) : NULL;
		one.response = l->response ? xstrdup(l->response) : NULL;
		one.correlation = l->correlation ? xstrdup(l->correlation) : NULL;
		keep_line(t, one, p, n);
		p += n + 1;
	}
}

static void pass_on(struct coretest *t, const struct core_publish *p);

static void
take_publishes(struct coretest *t)
{
	struct core_publish p;

	while (core_next_publish(t->core, &p)) {
		char *correlation = p.correlation ? xstrndup(p.correlation, p.correlation_len) : NULL;
		struct line l = { .topic = (char *)(uintptr_t)p.topic, .response = (char *)(uintptr_t)p.response_topic,
			.correlation = correlation };

		if (!strstr(p.topic, "/echo/"))
			keep_lines(t, &l, p.payload, p.len);
		pass_on(t, &p);
		free(correlation);
		core_publish_sent(t->core, &p, ++t->out_mid);
		if (!p.seq)
			continue;
		t->unacked = xrealloc(t->unacked, (t->nunacked + 1) * sizeof *t->unacked);
		t->unacked[t->nunacked++] = t->out_mid;
	}
}

static void
take_local(struct coretest *t)
{
	const char *text;
	uint64_t conn;
	size_t len;

	while (core_next_local(t->core, &conn, &text, &len))
		keep_lines(t, &(struct line){ .conn = conn }, text, len);
}

static void
acknowledge(struct coretest *t)
{
	for (size_t i = 0; i < t->nunacked; i++)
		core_sent(t->core, t->unacked[i], 0);
	t->nunacked = 0;
}

int
ct_turn(struct coretest *t)
{
	ct_begin(t);
	if (!t->hold_acks)
		acknowledge(t);
	take_starts(t, false);
	core_tick(t->core);
	if (core_commit(t->core, &t->e))
		return -1;
	core_release(t->core, t->now);
	take_starts(t, true);
	while (core_next_stop(t->core, &t->stopped[t->nstopped % 64]))
		t->nstopped++;
	take_publishes(t);
	take_local(t);
	t->next = core_end(t->core);
	t->open = false;
	return 0;
}

void
ct_pass(struct coretest *t, int64_t ms)
{
	assert_false(t->open);
	t->now.wall_ms += ms;
	t->now.mono_ms += ms;
}

void
ct_up(struct coretest *t, bool session)
{
	ct_begin(t);
	core_link_up(t->core, 0, session);
	assert_int_equal(ct_turn(t), 0);
}

void
ct_down(struct coretest *t)
{
	ct_begin(t);
	t->nunacked = 0;
	core_link_down(t->core);
	assert_int_equal(ct_turn(t), 0);
}

/* ---- inputs ---- */

static char *
with_quotes(const char *text)
{
	char *s = xstrdup(text);

	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	return s;
}

void
ct_message(struct coretest *t, struct mqtt_msg m)
{
	ct_begin(t);
	core_message(t->core, &m);
}

void
ct_send(struct coretest *t, const char *topic, const char *text, const char *reply, const char *correlation)
{
	char *s = with_quotes(text);

	if (++t->mid > 65535)
		t->mid = 1;
	ct_message(t, (struct mqtt_msg){ .topic = topic, .payload = s, .len = strlen(s), .mid = t->mid, .qos = 1,
	    .response_topic = reply, .correlation = correlation,
	    .correlation_len = correlation ? strlen(correlation) : 0 });
	free(s);
}

void
ct_task(struct coretest *t, const char *house, const char *sender, const char *text)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX];

	topic_format(topic, "home", TOPIC_TASK, house, sender);
	topic_format(reply, "home", TOPIC_REPLY, sender, "r");
	ct_send(t, topic, text, reply, NULL);
}

void
ct_taskf(struct coretest *t, const char *house, const char *sender, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ct_task(t, house, sender, text);
}

void
ct_local(struct coretest *t, uint64_t conn, const char *text)
{
	char *s = with_quotes(text);

	ct_begin(t);
	core_local(t->core, conn, s, strlen(s), "local");
	free(s);
}

/* ---- attempts ---- */

struct started *
ct_running(struct coretest *t, const char *id)
{
	for (size_t i = t->nrun; i-- > 0;)
		if (strcmp(t->run[i].id, id) == 0)
			return &t->run[i];
	return NULL;
}

static void
end_with(struct coretest *t, size_t i, struct pool_end *p)
{
	struct started *r = &t->run[i];

	p->handle = r->handle;
	p->ran_us = p->ran_us ? p->ran_us : 1500;
	if (r->quick)
		t->quick++;
	else
		t->idle++;
	free(r->params);
	free(r->terms);
	memmove(r, r + 1, (t->nrun - i - 1) * sizeof *r);
	t->nrun--;
	ct_begin(t);
	core_attempt_end(t->core, p);
}

static void
end_one(struct coretest *t, size_t i, enum pool_how how, const char *result)
{
	struct pool_end p = { .how = how, .result = result ? result : "{}" };

	p.result_len = strlen(p.result);
	if (how == POOL_FAILED || how == POOL_TIMEOUT || how == POOL_CRASHED)
		err_set(&p.err, how == POOL_FAILED ? ERR_TOOL : how == POOL_TIMEOUT ? ERR_TIMEOUT : ERR_CRASH, "it ended badly");
	p.no_effect = how == POOL_FAILED && result && strcmp(result, "no effect") == 0;
	end_with(t, i, &p);
}

static size_t
running_at(struct coretest *t, const char *id)
{
	struct started *r = ct_running(t, id);

	if (!r)
		fail_msg("task %s does not run", id);
	return (size_t)(r - t->run);
}

void
ct_refuse(struct coretest *t, const char *id, enum err_code code, const char *why)
{
	struct pool_end p = { .how = POOL_FAILED, .no_effect = true, .refused = true };

	err_set(&p.err, code, "%s", why);
	end_with(t, running_at(t, id), &p);
}

void
ct_end_noted(struct coretest *t, const char *id, const char *result, const char *notes)
{
	struct pool_end p = { .how = POOL_SUCCEEDED, .result = result, .result_len = strlen(result), .notes = notes,
		.notes_len = strlen(notes) };

	end_with(t, running_at(t, id), &p);
}

void
ct_end_down(struct coretest *t, const char *id)
{
	struct pool_end p = { .how = POOL_FAILED, .no_effect = true, .down = true };

	err_set(&p.err, ERR_NETWORK, "connection refused");
	end_with(t, running_at(t, id), &p);
}

void
ct_end(struct coretest *t, const char *id, enum pool_how how, const char *result)
{
	end_one(t, running_at(t, id), how, result);
}

void
ct_end_with(struct coretest *t, const char *id, const struct pool_end *end)
{
	struct pool_end p = *end;

	end_with(t, running_at(t, id), &p);
}

void
ct_end_all(struct coretest *t)
{
	while (t->nrun)
		end_one(t, 0, POOL_SUCCEEDED, NULL);
}

/* ---- what came of it ---- */

static bool
matches(const struct line *l, const char *part, const char *id, const char *type)
{
	const char *its_id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l->v, "id"));
	const char *its_type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l->v, "type"));

	if (strcmp(part, "local") == 0 ? l->topic != NULL : !l->topic || !strstr(l->topic, part))
		return false;
	return (!id || (its_id && strcmp(its_id, id) == 0)) && (!type || (its_type && strcmp(its_type, type) == 0));
}

size_t
ct_count(const struct coretest *t, const char *part, const char *id, const char *type)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nlines; i++)
		n += matches(&t->lines[i], part, id, type);
	return n;
}

const cJSON *
ct_last(const struct coretest *t, const char *part, const char *id, const char *type)
{
	for (size_t i = t->nlines; i-- > 0;)
		if (matches(&t->lines[i], part, id, type))
			return t->lines[i].v;
	fail_msg("no line %s of %s on a topic with %s", type ? type : "*", id ? id : "*", part);
	return NULL;
}

static const cJSON *
at(const cJSON *v, const char *path)
{
	char name[64];

	while (v && *path) {
		size_t n = strcspn(path, ".");

		snprintf(name, sizeof name, "%.*s", (int)n, path);
		v = cJSON_GetObjectItemCaseSensitive(v, name);
		path += n + (path[n] == '.');
	}
	return v;
}

const char *
ct_str(const cJSON *v, const char *path)
{
	const char *s = cJSON_GetStringValue(at(v, path));

	return s ? s : "";
}

int64_t
ct_num(const cJSON *v, const char *path)
{
	int64_t n = -1;

	json_int(at(v, path), &n);
	return n;
}

const char *
ct_state(struct coretest *t, const char *id)
{
	static char state[32];
	char *text;
	struct buf b = { 0 };
	size_t before = t->nlines;

	buf_addf(&b, "{\"op\":\"query\",\"id\":\"%s\"}", id);
	ct_begin(t);
	core_local(t->core, 999, b.data, b.len, "local");
	buf_free(&b);
	take_local(t);
	assert_true(t->nlines > before);
	text = xstrdup(ct_str(t->lines[t->nlines - 1].v, "state"));
	snprintf(state, sizeof state, "%s", text);
	free(text);
	return state;
}

int64_t
ct_health(struct coretest *t, const char *house, const char *name)
{
	struct buf b = { 0 };
	cJSON *v, *h;
	int64_t n = -1;

	core_health(t->core, "online", NULL, &b);
	v = json_parse_object(b.data, b.len, &t->e);
	assert_non_null(v);
	if (!house)
		json_int(at(v, name), &n);
	cJSON_ArrayForEach(h, cJSON_GetObjectItemCaseSensitive(v, "houses"))
		if (house && strcmp(ct_str(h, "house"), house) == 0)
			json_int(at(h, name), &n);
	cJSON_Delete(v);
	buf_free(&b);
	return n;
}

/* ---- several cores, and a broker between them ---- */

struct net_message {
	char *topic, *payload, *response, *correlation;
	size_t len, correlation_len;
	int qos;
	bool retained;
	struct net_message *next;
};

static void
append(struct net_messages *l, const struct net_message *m, int qos, bool retained)
{
	struct net_message *x = xcalloc(1, sizeof *x);

	*x = *m;
	x->topic = xstrdup(m->topic);
	x->payload = xstrndup(m->payload, m->len);
	x->response = m->response ? xstrdup(m->response) : NULL;
	x->correlation = m->correlation_len ? xstrndup(m->correlation, m->correlation_len) : NULL;
	x->qos = qos;
	x->retained = retained;
	x->next = NULL;
	if (!l->end)
		l->end = &l->head;
	*l->end = x;
	l->end = &x->next;
}

/* *p leaves the list. */
static void
drop_message(struct net_messages *l, struct net_message **p)
{
	struct net_message *x = *p;

	*p = x->next;
	if (!*p)
		l->end = p;
	free(x->topic);
	free(x->payload);
	free(x->response);
	free(x->correlation);
	free(x);
}

static void
drop_messages(struct net_messages *l)
{
	while (l->head)
		drop_message(l, &l->head);
}

static bool
is_of(const char *filter, const char *topic)
{
	for (; *filter; filter++) {
		if (*filter == '+')
			topic += strcspn(topic, "/");
		else if (*filter != *topic++)
			return false;
	}
	return !*topic;
}

/* -1: it has not subscribed to that. */
static int
qos_of(const struct net_node *x, const char *topic)
{
	for (int i = 0; i < x->nfilters; i++)
		if (is_of(x->filters[i], topic))
			return x->qos[i];
	return -1;
}

static void
retain(struct net *net, const struct net_message *m)
{
	struct net_message **p = &net->retained.head;

	while (*p)
		if (strcmp((*p)->topic, m->topic) == 0)
			drop_message(&net->retained, p);
		else
			p = &(*p)->next;
	if (m->len)
		append(&net->retained, m, m->qos, true);
}

cJSON *
net_retained(const struct net *net, const char *part)
{
	for (const struct net_message *m = net->retained.head; m; m = m->next)
		if (strstr(m->topic, part))
			return json_parse_object(m->payload, m->len, NULL);
	return NULL;
}

void
net_drop_retained(struct net *net, const char *part)
{
	struct net_message **p = &net->retained.head;

	while (*p)
		if (strstr((*p)->topic, part))
			drop_message(&net->retained, p);
		else
			p = &(*p)->next;
}

static void
broker_takes(struct net *net, const struct net_message *m, bool retained)
{
	for (int i = 0; i < net->n; i++) {
		struct net_node *x = &net->node[i];
		int qos = qos_of(x, m->topic);

		if (qos > m->qos)
			qos = m->qos;
		if (qos < 0 || (qos == 0 && (!x->up || x->cut)) || (net->loses && net->loses(net, i, m->topic, m->payload)))
			continue;
		append(&x->inbox, m, qos, false);
	}
	if (retained)
		retain(net, m);
}

static struct net_node *
node_of(struct coretest *t)
{
	return (struct net_node *)((char *)t - offsetof(struct net_node, t));
}

static void
pass_on(struct coretest *t, const struct core_publish *p)
{
	char *payload;

	if (!t->net || node_of(t)->cut)
		return;
	payload = xstrndup(p->payload ? p->payload : "", p->len);
	broker_takes(t->net, &(struct net_message){ .topic = (char *)(uintptr_t)p->topic, .payload = payload, .len = p->len,
	    .qos = p->qos, .response = (char *)(uintptr_t)p->response_topic,
	    .correlation = (char *)(uintptr_t)p->correlation, .correlation_len = p->correlation_len }, p->retain);
	free(payload);
}

static void
subscribe(struct net *net, struct net_node *x)
{
	x->nfilters = 0;
	while (core_subscription(x->t.core, (size_t)x->nfilters, x->filters[x->nfilters], &x->qos[x->nfilters])) {
		x->nfilters++;
		assert_true(x->nfilters < 64);
	}
	for (struct net_message *m = net->retained.head; m; m = m->next)
		if (qos_of(x, m->topic) >= 0)
			append(&x->inbox, m, qos_of(x, m->topic), true);
}

void
net_up(struct net *net, int i)
{
	struct net_node *x = &net->node[i];
	struct buf will = { 0 };
	bool session = x->nfilters > 0;

	x->cut = x->t.hold_acks = false;
	x->up = true;
	core_will(x->t.core, &will);
	free(x->will);
	x->will = buf_take(&will);
	ct_up(&x->t, session);
	subscribe(net, x);
	x->beat_ms = 0;
}

static void
publish_will(struct net *net, struct net_node *x)
{
	char topic[TOPIC_MAX];

	if (!x->will)
		return;
	topic_format(topic, "home", TOPIC_HEALTH, x->t.agent, "state");
	broker_takes(net, &(struct net_message){ .topic = topic, .payload = x->will, .len = strlen(x->will), .qos = 1 }, true);
	free(x->will);
	x->will = NULL;
}

void
net_down(struct net *net, int i)
{
	struct net_node *x = &net->node[i];

	x->up = false;
	publish_will(net, x);
	ct_down(&x->t);
}

void
net_kill(struct net *net, int i)
{
	struct net_node *x = &net->node[i];

	x->up = false;
	x->dead = true;
	publish_will(net, x);
	die(&x->t);
}

void
net_start(struct net *net, int i)
{
	struct net_node *x = &net->node[i];

	x->dead = false;
	x->t.seed += NET_MAX;
	x->t.hold_acks = false;
	ct_open(&x->t);
	net_up(net, i);
}

static void
remove_store(const struct coretest *t)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[160];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", ct_store(t), ends[i]);
		unlink(path);
	}
}

void
net_lose_disk(struct net *net, int i)
{
	struct net_node *x = &net->node[i];

	remove_store(&x->t);
	x->nfilters = 0;
	drop_messages(&x->inbox);
}

static const char *const net_agents[NET_MAX] = { "ezra-1", "timmy-1", "bezalel-1" };

static void
put_net_config(struct buf *b, int n, const char *ezra, const char *router)
{
	buf_addf(b, "cluster: home\nstate: /nowhere\nrouter: [%s]\nhouses:\n  ezra: { %s, candidates: [%s] }\n", router, ezra,
	    n == 2 ? "ezra-1, timmy-1" : "ezra-1, timmy-1, bezalel-1");
	for (int i = 0; i < NET_MAX; i++)
		if (!strstr(ezra, net_agents[i]))
			buf_addf(b, "  house-%d: { agents: [%s], candidates: [%s] }\n", i, net_agents[i], net_agents[i]);
}

void
net_setup(struct net *net, int n, const char *ezra, const char *router)
{
	net_setup_more(net, n, ezra, router, NULL);
}

void
net_setup_more(struct net *net, int n, const char *ezra, const char *router, const char *more)
{
	struct buf text = { 0 };

	*net = (struct net){ .n = n };
	put_net_config(&text, n, ezra ? ezra : "agents: [ezra-1]", router ? router : "bezalel-1");
	for (int i = 0; i < n; i++) {
		struct coretest *t = &net->node[i].t;

		set_up(t, net_agents[i], text.data, more);
		t->net = net;
		t->seed = (uint64_t)i + 1;
		ct_open(t);
	}
	buf_free(&text);
	for (int i = 0; i < n; i++)
		net_up(net, i);
}

void
net_teardown(struct net *net)
{
	for (int i = 0; i < net->n; i++) {
		struct net_node *x = &net->node[i];

		ct_teardown(&x->t);
		free(x->will);
		drop_messages(&x->inbox);
	}
	drop_messages(&net->retained);
}

static void
deliver(struct net_node *x)
{
	struct net_messages l = x->inbox;

	x->inbox = (struct net_messages){ 0 };
	while (l.head) {
		const struct net_message *m = l.head;
		struct coretest *t = &x->t;

		if (m->qos && ++t->mid > 65535)
			t->mid = 1;
		ct_message(t, (struct mqtt_msg){ .topic = m->topic, .payload = m->payload, .len = m->len,
		    .mid = m->qos ? t->mid : 0, .qos = m->qos, .retained = m->retained, .response_topic = m->response,
		    .correlation = m->correlation, .correlation_len = m->correlation_len });
		drop_message(&l, &l.head);
	}
}

static void
step_node(struct net *net, int i)
{
	struct net_node *x = &net->node[i];
	struct coretest *t = &x->t;

	t->hold_acks = x->cut;
	ct_begin(t);
	if (x->up && !x->cut)
		deliver(x);
	if (x->up && t->now.mono_ms - x->beat_ms >= 1000) {
		core_beat(t->core, NULL);
		x->beat_ms = t->now.mono_ms;
	}
	assert_int_equal(ct_turn(t), 0);
	if (x->up && core_must_reconnect(t->core)) {
		x->up = false;
		ct_down(t);
		if (!x->cut)
			net_up(net, i);
	}
}

int
net_owner(const struct net *net)
{
	int owner = -1;

	for (int i = 0; i < net->n; i++) {
		const struct net_node *x = &net->node[i];

		if (x->dead || x->frozen || !house_find(x->t.core, "ezra")->owned)
			continue;
		if (owner >= 0)
			fail_msg("%s and %s own the house at once", net->node[owner].t.agent, x->t.agent);
		owner = i;
	}
	return owner;
}

/* What the test began. */
static void
end_turns(struct net *net)
{
	for (int i = 0; i < net->n; i++)
		if (net->node[i].t.open)
			assert_int_equal(ct_turn(&net->node[i].t), 0);
}

void
net_run(struct net *net, int64_t ms)
{
	end_turns(net);
	for (; ms > 0; ms -= NET_STEP_MS) {
		for (int i = 0; i < net->n; i++)
			ct_pass(&net->node[i].t, NET_STEP_MS);
		for (int i = 0; i < net->n; i++)
			if (!net->node[i].dead && !net->node[i].frozen)
				step_node(net, i);
		net_owner(net);
	}
}

int64_t
net_wait_owner(struct net *net, int i, int64_t max_ms)
{
	for (int64_t ms = 0; ms <= max_ms; ms += NET_STEP_MS) {
		if (net_owner(net) == i)
			return ms;
		net_run(net, NET_STEP_MS);
	}
	return -1;
}

struct house *
net_house(struct net *net, int i)
{
	return house_find(net->node[i].t.core, "ezra");
}

static bool
is_in_step(struct net *net, int i)
{
	int owner = net_owner(net);
	const struct house *h = owner < 0 || owner == i ? NULL : net_house(net, owner);

	for (int k = 0; h && k < h->ncopies; k++)
		if (strcmp(h->copies[k].peer->name, net->node[i].t.agent) == 0)
			return h->copies[k].in_step && net_house(net, i)->in_step_ms;
	return false;
}

int64_t
net_wait_in_step(struct net *net, int i, int64_t max_ms)
{
	for (int64_t ms = 0; ms <= max_ms; ms += NET_STEP_MS) {
		if (is_in_step(net, i))
			return ms;
		net_run(net, NET_STEP_MS);
	}
	return -1;
}

void
net_begin(struct net *net)
{
	assert_true(net_wait_owner(net, 0, 3000) >= 0);
	for (int i = 1; i < net->n; i++)
		assert_true(net_wait_in_step(net, i, 10000) >= 0);
}

void
net_publish(struct net *net, const char *topic, const char *text, const char *reply)
{
	char *s = with_quotes(text);

	broker_takes(net, &(struct net_message){ .topic = (char *)(uintptr_t)topic, .payload = s, .len = strlen(s), .qos = 1,
	    .response = (char *)(uintptr_t)reply }, false);
	free(s);
}

void
net_task(struct net *net, const char *sender, const char *fmt, ...)
{
	char text[4096], topic[TOPIC_MAX], reply[TOPIC_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	topic_format(topic, "home", TOPIC_TASK, "ezra", sender);
	topic_format(reply, "home", TOPIC_REPLY, sender, "r");
	net_publish(net, topic, text, reply);
}

void
net_query(struct net *net, const char *kind, const char *fmt, ...)
{
	char text[1024], topic[TOPIC_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(topic, sizeof topic, "uw/home/house/ezra/%s/me", kind);
	net_publish(net, topic, text, "uw/home/client/me/reply/q");
}

size_t
net_started(const struct net *net)
{
	size_t n = 0;

	for (int i = 0; i < net->n; i++)
		n += net->node[i].t.nstarted;
	return n;
}

size_t
net_count(const struct net *net, const char *part, const char *id, const char *type)
{
	size_t n = 0;

	for (int i = 0; i < net->n; i++)
		n += ct_count(&net->node[i].t, part, id, type);
	return n;
}

int64_t
ct_sql(struct coretest *t, const char *sql)
{
	sqlite3_stmt *s;
	int64_t n = -1;

	if (sqlite3_prepare_v2(t->core->db.h, sql, -1, &s, NULL))
		fail_msg("%s: %s", sql, sqlite3_errmsg(t->core->db.h));
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

const char *
ct_id_at(int64_t ms, int n)
{
	static char text[8][ULID_TEXT];
	static int k;
	char *out = text[k++ % 8];
	uint8_t random[10] = { 0 };
	struct ulid u;

	for (int i = 0; i < 4; i++)
		random[9 - i] = (uint8_t)(n >> (8 * i));
	ulid_make(&u, ms, random);
	ulid_format(&u, out);
	return out;
}

const char *
ct_id(int n)
{
	return ct_id_at(T0, n);
}
