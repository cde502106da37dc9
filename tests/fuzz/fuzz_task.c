/* Bytes that arrive on an agent's topics, through the whole core. The first byte chooses the topic; 'P' and 'L'
 * split what follows by NUL into several messages of one turn. Whatever leaves must be lines of strict JSON. */
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct registry *tools;

static void
set_up(void)
{
	static const char text[] = "houses:\n  ezra: {}\n  timmy: {}\nrouter: [ezra-1]\nlimits: { task_bytes: 4KiB, payload_bytes: 16KiB }\n";

	if (config_parse(&config, "houses.yaml", text, sizeof text - 1, NULL, NULL, NULL))
		abort();
	tools = registry_new(&config, NULL, NULL);
}

static void
check_lines(const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		cJSON *v = json_parse_object(p, n, NULL);

		if (!v)
			abort();
		cJSON_Delete(v);
		p += n + 1;
	}
}

static void
turn(struct core *c)
{
	struct pool_start s;
	struct core_publish p;
	const char *text;
	uint64_t conn;
	size_t len;
	int mid = 0;

	core_slots(c, 2, 8);
	while (core_next_start(c, 2, 8, &s))
		if (s.handle % 2)
			core_attempt_end(c, &(struct pool_end){ .handle = s.handle, .how = POOL_SUCCEEDED, .result = s.params,
			    .result_len = s.params_len });
	core_tick(c);
	if (core_commit(c, NULL))
		abort();
	core_release(c, (struct core_now){ 1764000000000, 1000 });
	while (core_next_publish(c, &p)) {
		if (p.len)
			check_lines(p.payload, p.len);
		core_publish_sent(c, &p, ++mid);
	}
	while (core_next_local(c, &conn, &text, &len))
		check_lines(text, len);
	core_end(c);
}

static void
feed(struct core *c, int kind, const char *p, size_t len)
{
	static const char *const where[] = { "uw/home/house/ezra/task/me", "uw/home/house/_/task/me", "uw/home/house/ezra/task/ezra-1",
		"uw/home/house/ezra/cancel/operator", "uw/home/house/ezra/query/me", "uw/home/client/ezra-1/reply/forward" };

	if (kind == 6)
		core_local(c, 1, p, len, "local");
	else
		core_message(c, &(struct mqtt_msg){ .topic = where[kind], .payload = p, .len = len, .mid = 1 + (int)(len % 99), .qos = 1,
		    .response_topic = kind == 2 ? "uw/home/client/ezra-1/reply/x" : "uw/home/client/me/reply/x", .correlation = "c",
		    .correlation_len = 1 });
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct core_now now = { 1764000000000, 1000 };
	struct core *c;
	const char *p, *end;

	if (!tools)
		set_up();
	if (!size || core_open(&c, &(struct core_opts){ .config = &config, .tools = tools, .agent = "ezra-1", .store_path = ":memory:",
	    .seed = 1, .version = "4", .host = "here" }, now, NULL))
		return 0;
	core_begin(c, now);
	core_link_up(c, 0, false);
	end = (const char *)data + size;
	for (p = (const char *)data; p < end;) {
		const char *nul = memchr(p, '\0', (size_t)(end - p));
		size_t n = (size_t)((nul ? nul : end) - p);

		if (n)
			feed(c, (unsigned char)*p % 7, p + 1, n - 1);
		p += n + 1;
	}
	turn(c);
	now.wall_ms += 100000;
	now.mono_ms += 100000;
	core_begin(c, now);
	turn(c);
	core_close(c);
	return 0;
}
