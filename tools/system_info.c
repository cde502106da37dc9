#include <sys/utsname.h>

#include "host.h"
#include "tool.h"

static void
put_system(struct buf *result)
{
	struct host_system s;
	struct utsname u;

	host_system_read(&s);
	json_put_key(result, "os");
	json_put_open(result, '{');
	json_kv_str(result, "id", s.id);
	json_kv_str(result, "name", s.name);
	json_kv_str(result, "version", s.version);
	json_put_close(result, '}');
	if (uname(&u))
		return;
	json_put_key(result, "kernel");
	json_put_open(result, '{');
	json_kv_str(result, "name", u.sysname);
	json_kv_str(result, "release", u.release);
	json_kv_str(result, "version", u.version);
	json_put_close(result, '}');
	json_kv_str(result, "host", u.nodename);
	json_kv_str(result, "architecture", u.machine);
}

static void
put_cpu(struct buf *result)
{
	char model[HOST_TEXT];
	double load[3];

	host_cpu_model(model, sizeof model);
	json_put_key(result, "cpu");
	json_put_open(result, '{');
	json_kv_int(result, "count", host_cpus());
	json_kv_str(result, "model", model[0] ? model : NULL);
	json_put_close(result, '}');
	if (!host_load(load))
		return;
	json_put_key(result, "load");
	json_put_open(result, '[');
	for (int i = 0; i < 3; i++)
		json_put_num(result, load[i]);
	json_put_close(result, ']');
}

static void
put_memory(struct buf *result)
{
	struct host_memory m;

	if (!host_memory_read(&m))
		return;
	json_put_key(result, "memory");
	json_put_open(result, '{');
	json_kv_int(result, "total_bytes", m.total);
	json_kv_int(result, "available_bytes", m.available);
	json_kv_int(result, "swap_total_bytes", m.swap_total);
	json_kv_int(result, "swap_free_bytes", m.swap_free);
	json_put_close(result, '}');
}

static void
put_clock(struct buf *result)
{
	struct host_clock c;

	host_clock_read(&c);
	if (!c.known)
		return;
	json_put_key(result, "clock");
	json_put_open(result, '{');
	json_kv_bool(result, "synced", c.synced);
	json_kv_num(result, "max_error_ms", (double)c.error_us / 1000);
	json_put_close(result, '}');
}

static int
system_info_run(struct tool_run *r, struct buf *result, struct err *e)
{
	char boot_id[64];

	(void)r, (void)e;
	host_boot_id(boot_id, sizeof boot_id);
	json_put_open(result, '{');
	put_system(result);
	put_cpu(result);
	put_memory(result);
	put_clock(result);
	json_kv_int(result, "uptime_s", host_uptime_ms() / 1000);
	json_kv_time(result, "booted", host_boot_ms());
	json_kv_str(result, "boot_id", boot_id[0] ? boot_id : NULL);
	json_kv_str(result, "agent_version", UW_VERSION);
	json_put_close(result, '}');
	return 0;
}

const struct tool tool_system_info = {
	.name = "system_info",
	.summary = "The machine: system, kernel, processors, memory, load, clock, uptime",
	.schema = "{\"type\":\"object\",\"properties\":{}}",
	.effect = TOOL_READ,
	.timeout_s = 10,
	.run = system_info_run,
};
