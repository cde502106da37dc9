/*
 * What the system and its programs print: none of it may do harm, however odd a process is named or a
 * directory mounted.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "host.h"
#include "json.h"
#include "mount.h"
#include "process.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_service(bool parsed, const struct service *s)
{
	struct buf b = { 0 };
	struct err e = { 0 };

	if (!parsed)
		return;
	service_put(s, &b);
	if (json_check(buf_str(&b), b.len, &e))
		abort();
	buf_free(&b);
}

static void
try_mount(char *text)
{
	struct mount m;

	if (mount_parse(text, &m) && (!m.path || !m.device || !m.type))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_system system = { .id = "" };
	struct host_memory memory;
	struct buf b = { .max = 1 << 20 }, args = { .max = 1 << 20 };
	struct service s;
	struct process p;

	if (size > 65536)
		return 0;
	buf_add(&b, data, size);
	try_service(service_systemd_parse(buf_str(&b), &s), &s);
	try_service(service_launchd_parse(buf_str(&b), &s), &s);
	if (process_stat_parse(buf_str(&b), 0, 100, 4096, &p) && p.pid <= 0)
		abort();
	process_args_format(buf_str(&b), b.len, &args);
	host_meminfo_parse(buf_str(&b), &memory);
	host_os_release_parse(buf_str(&b), &system);
	try_mount(b.data);
	buf_free(&args);
	buf_free(&b);
	return 0;
}
