#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/timex.h>
#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#endif

#include "buf.h"
#include "clock.h"

bool
host_file(const char *path, size_t max, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return false;
	b->max = max;
	while (b->len < max && (n > 0 || (n < 0 && errno == EINTR))) {
		size_t room = max - b->len < 4096 ? max - b->len : 4096;

		n = read(fd, buf_reserve(b, room), room);
		b->len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	buf_add(b, "", 0);      /* the NUL at its end */
	return n >= 0;
}

/* "Name:   12 kB" at the beginning of a line. */
static int64_t
kilobytes(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) == 0 && p[len] == ':') {
			int64_t n = strtoll(p + len + 1, NULL, 10);

			return n > 0 && n < (int64_t)1 << 42 ? n * 1024 : 0;
		}
	}
	return 0;
}

bool
host_meminfo_parse(const char *text, struct host_memory *m)
{
	*m = (struct host_memory){
		.total = kilobytes(text, "MemTotal"),
		.available = kilobytes(text, "MemAvailable"),
		.swap_total = kilobytes(text, "SwapTotal"),
		.swap_free = kilobytes(text, "SwapFree"),
	};
	return m->total > 0;
}

/* The value of NAME=value or NAME="value". */
static void
release_value(const char *text, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) == 0 && p[len] == '=') {
			const char *v = p + len + 1;
			size_t n = strcspn(v, "\n");

			if (n >= 2 && (*v == '"' || *v == '\'') && v[n - 1] == *v) {
				v++;
				n -= 2;
			}
			snprintf(out, size, "%.*s", (int)n, v);
			return;
		}
	}
}

void
host_os_release_parse(const char *text, struct host_system *s)
{
	release_value(text, "ID", s->id, sizeof s->id);
	release_value(text, "PRETTY_NAME", s->name, sizeof s->name);
	release_value(text, "VERSION_ID", s->version, sizeof s->version);
}

bool
host_load(double load[3])
{
	return getloadavg(load, 3) == 3;
}

int
host_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (int)n : 1;
}

int64_t
host_uptime_ms(void)
{
	return clock_mono_ms();
}

#ifdef __linux__

bool
host_memory_read(struct host_memory *m)
{
	struct buf b = { 0 };
	bool ok = host_file("/proc/meminfo", 65536, &b) && host_meminfo_parse(buf_str(&b), m);

	buf_free(&b);
	return ok;
}

void
host_cpu_model(char *out, size_t size)
{
	struct buf b = { 0 };
	const char *at = host_file("/proc/cpuinfo", 65536, &b) ? strstr(buf_str(&b), "model name") : NULL;

	at = at ? strchr(at, ':') : NULL;
	at = at ? at + 1 + strspn(at + 1, " \t") : "";
	snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
	buf_free(&b);
}

void
host_system_read(struct host_system *s)
{
	struct buf b = { 0 };

	*s = (struct host_system){ .id = "linux", .name = "Linux" };
	if (host_file("/etc/os-release", 65536, &b) || host_file("/usr/lib/os-release", 65536, &b))
		host_os_release_parse(buf_str(&b), s);
	buf_free(&b);
}

/* The kernel's own figure, which does not waver with the wall clock as now minus uptime does. */
int64_t
host_boot_ms(void)
{
	struct buf b = { 0 };
	const char *at = host_file("/proc/stat", 1 << 20, &b) ? strstr(buf_str(&b), "\nbtime ") : NULL;
	int64_t s = at ? strtoll(at + 7, NULL, 10) : 0;

	buf_free(&b);
	return s ? s * 1000 : clock_wall_ms() - host_uptime_ms();
}

void
host_boot_id(char *out, size_t size)
{
	struct buf b = { 0 };

	host_file("/proc/sys/kernel/random/boot_id", 64, &b);
	snprintf(out, size, "%.*s", (int)strcspn(buf_str(&b), "\n"), buf_str(&b));
	buf_free(&b);
}

/* Reading needs no privilege: modes is 0. */
void
host_clock_read(struct host_clock *c)
{
	struct timex t = { .modes = 0 };

	*c = (struct host_clock){ 0 };
	if (adjtimex(&t) < 0)
		return;
	c->known = true;
	c->synced = !(t.status & STA_UNSYNC);
	c->error_us = t.maxerror;
	c->offset_us = t.status & STA_NANO ? t.offset / 1000 : t.offset;
}

#elif defined(__APPLE__)

static bool
ctl(const char *name, void *out, size_t size)
{
	return sysctlbyname(name, out, &size, NULL, 0) == 0;
}

bool
host_memory_read(struct host_memory *m)
{
	mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
	mach_port_t host = mach_host_self();
	vm_statistics64_data_t vm;
	struct xsw_usage swap = { 0 };
	kern_return_t rc = host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&vm, &n);
	uint64_t total = 0;

	mach_port_deallocate(mach_task_self(), host);
	if (rc != KERN_SUCCESS || !ctl("hw.memsize", &total, sizeof total))
		return false;
	ctl("vm.swapusage", &swap, sizeof swap);
	*m = (struct host_memory){
		.total = (int64_t)total,
		.available = (int64_t)(vm.free_count + vm.inactive_count + vm.purgeable_count) *
		    (int64_t)sysconf(_SC_PAGESIZE),
		.swap_total = (int64_t)swap.xsu_total,
		.swap_free = (int64_t)swap.xsu_avail,
	};
	return true;
}

void
host_cpu_model(char *out, size_t size)
{
	if (!ctl("machdep.cpu.brand_string", out, size))
		out[0] = '\0';
}

void
host_system_read(struct host_system *s)
{
	*s = (struct host_system){ .id = "macos" };
	ctl("kern.osproductversion", s->version, sizeof s->version);
	snprintf(s->name, sizeof s->name, "macOS %s", s->version);
}

int64_t
host_boot_ms(void)
{
	struct timeval tv = { 0 };

	return ctl("kern.boottime", &tv, sizeof tv) ? (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 :
	    clock_wall_ms() - host_uptime_ms();
}

void
host_boot_id(char *out, size_t size)
{
	if (!ctl("kern.bootsessionuuid", out, size))
		out[0] = '\0';
}

/* The kernel's flag is not kept by macOS's timed, so it would tell nothing. */
void
host_clock_read(struct host_clock *c)
{
	*c = (struct host_clock){ 0 };
}

#else
#error "host.c needs a way to ask this system"
#endif
