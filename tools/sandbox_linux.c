/*
 * sandbox_linux.c - seccomp, Landlock, capabilities. By hand, for each is a page of code: no library.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "sandbox_impl.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define FOREIGN_FROM 0x40000000u        /* x32: the same kernel by other numbers */
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* Numbers that are the same everywhere, for headers that are older than the kernel. */
enum {
	CALL_IO_URING_SETUP = 425, CALL_IO_URING_ENTER, CALL_IO_URING_REGISTER, CALL_OPEN_TREE, CALL_MOVE_MOUNT,
	CALL_FSOPEN, CALL_FSCONFIG, CALL_FSMOUNT, CALL_FSPICK,
	CALL_CLONE3 = 435, CALL_PIDFD_GETFD = 438, CALL_PROCESS_MADVISE = 440, CALL_MOUNT_SETATTR = 442,
	CALL_QUOTACTL_FD = 443, CALL_LANDLOCK_CREATE = 444, CALL_LANDLOCK_ADD, CALL_LANDLOCK_RESTRICT,
	CALL_OPEN_TREE_ATTR = 467,
};

/*
 * What no tool needs. ENOSYS where programs know what to do without the call; so clone3, whose flags a
 * filter cannot see, makes them use clone, whose flags it can.
 */
static const struct refused {
	unsigned nr;
	int error;
} refused[] = {
#ifndef SANITIZED       /* its search for leaks is a debugger's work */
	{ SYS_ptrace, EPERM }, { SYS_process_vm_readv, EPERM },
#endif
	{ SYS_process_vm_writev, EPERM }, { SYS_kcmp, EPERM }, { CALL_PIDFD_GETFD, EPERM },
	{ CALL_PROCESS_MADVISE, EPERM },
	{ SYS_mount, EPERM }, { SYS_umount2, EPERM }, { SYS_pivot_root, EPERM }, { CALL_OPEN_TREE, EPERM },
	{ CALL_MOVE_MOUNT, EPERM }, { CALL_FSOPEN, EPERM }, { CALL_FSCONFIG, EPERM }, { CALL_FSMOUNT, EPERM },
	{ CALL_FSPICK, EPERM }, { CALL_MOUNT_SETATTR, EPERM }, { CALL_OPEN_TREE_ATTR, EPERM },
	{ SYS_unshare, EPERM }, { SYS_setns, EPERM }, { CALL_CLONE3, ENOSYS },
	{ SYS_init_module, EPERM }, { SYS_finit_module, EPERM }, { SYS_delete_module, EPERM },
	{ SYS_kexec_load, EPERM }, { SYS_kexec_file_load, EPERM }, { SYS_reboot, EPERM },
	{ SYS_swapon, EPERM }, { SYS_swapoff, EPERM }, { SYS_acct, EPERM }, { SYS_quotactl, EPERM },
	{ CALL_QUOTACTL_FD, EPERM }, { SYS_syslog, EPERM }, { SYS_vhangup, EPERM }, { SYS_nfsservctl, ENOSYS },
	{ SYS_sethostname, EPERM }, { SYS_setdomainname, EPERM },
	{ SYS_settimeofday, EPERM }, { SYS_clock_settime, EPERM },
	{ SYS_bpf, EPERM }, { SYS_perf_event_open, EPERM }, { SYS_userfaultfd, EPERM },
	{ SYS_add_key, ENOSYS }, { SYS_request_key, ENOSYS }, { SYS_keyctl, ENOSYS },
	{ SYS_fanotify_init, EPERM }, { SYS_open_by_handle_at, EPERM }, { SYS_lookup_dcookie, ENOSYS },
	{ CALL_IO_URING_SETUP, ENOSYS }, { CALL_IO_URING_ENTER, ENOSYS }, { CALL_IO_URING_REGISTER, ENOSYS },
#ifdef __x86_64__
	{ SYS_iopl, EPERM }, { SYS_ioperm, EPERM }, { SYS_modify_ldt, EPERM }, { SYS_uselib, ENOSYS },
	{ SYS_create_module, ENOSYS }, { SYS_get_kernel_syms, ENOSYS }, { SYS_query_module, ENOSYS },
	{ SYS_sysfs, ENOSYS }, { SYS__sysctl, ENOSYS },
#endif
};

#define N(v) (sizeof (v) / sizeof *(v))

#ifdef ARCH

#define NEW_SPACES (CLONE_NEWNS | 0x02000000u /* CLONE_NEWCGROUP */ | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
    CLONE_NEWPID | CLONE_NEWNET)
#define FIELD(member) ((uint32_t)offsetof(struct seccomp_data, member))
#define FLAG_SPEC_ALLOW 4u      /* SECCOMP_FILTER_FLAG_SPEC_ALLOW: no slower kernel for our sake */

struct program {
	struct sock_filter v[2 * N(refused) + 16];
	unsigned short n;
};

static void
add(struct program *p, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	p->v[p->n++] = (struct sock_filter){ (uint16_t)code, (uint8_t)yes, (uint8_t)no, k };
}

static void
add_load(struct program *p, uint32_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void
add_error(struct program *p, int error)
{
	add(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error, 0, 0);
}

/* The low half of an argument comes first: both processors are little-endian. */
static void
filter_make(struct program *p)
{
	add_load(p, FIELD(arch));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	add_error(p, ENOSYS);
	add_load(p, FIELD(nr));
#ifdef FOREIGN_FROM
	add(p, BPF_JMP | BPF_JGE | BPF_K, FOREIGN_FROM, 0, 1);
	add_error(p, ENOSYS);
#endif
	for (size_t i = 0; i < N(refused); i++) {
		add(p, BPF_JMP | BPF_JEQ | BPF_K, refused[i].nr, 0, 1);
		add_error(p, refused[i].error);
	}
	add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	add_load(p, FIELD(args[0]));
	add(p, BPF_JMP | BPF_JSET | BPF_K, NEW_SPACES, 0, 1);
	add_error(p, EPERM);
	add(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

unsigned
system_calls(void)
{
	struct program p = { .n = 0 };
	struct sock_fprog prog = { .filter = p.v };

	filter_make(&p);
	prog.len = p.n;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FLAG_SPEC_ALLOW, &prog) == 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return SANDBOX_SECCOMP;
	return 0;
}

#else

unsigned
system_calls(void)
{
	(void)refused;
	return 0;
}

#endif

unsigned
system_offers(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;
	bool filters = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

	return SANDBOX_NO_NEW_PRIVS | (filters ? SANDBOX_SECCOMP : 0);
}

/* Capabilities */

static const unsigned char unneeded[] = {
	CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_PACCT, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_TIME,
	CAP_SYS_TTY_CONFIG, CAP_SYS_RESOURCE, CAP_MKNOD, CAP_AUDIT_CONTROL, CAP_AUDIT_READ, CAP_LINUX_IMMUTABLE,
	CAP_MAC_OVERRIDE, CAP_MAC_ADMIN, CAP_SYSLOG, CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND,
	38 /* CAP_PERFMON */, 39 /* CAP_BPF */, 40 /* CAP_CHECKPOINT_RESTORE */,
};

static void
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct v[2];

	for (size_t i = 0; i < N(unneeded); i++)
		prctl(PR_CAPBSET_DROP, unneeded[i], 0, 0, 0);
	if (syscall(SYS_capget, &head, v))
		return;
	for (size_t i = 0; i < N(unneeded); i++) {
		v[unneeded[i] / 32].effective &= ~(1u << unneeded[i] % 32);
		v[unneeded[i] / 32].permitted &= ~(1u << unneeded[i] % 32);
		v[unneeded[i] / 32].inheritable &= ~(1u << unneeded[i] % 32);
	}
	syscall(SYS_capset, &head, v);
}

unsigned
system_privileges(void)
{
	drop_capabilities();
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? SANDBOX_NO_NEW_PRIVS : 0;
}

int
system_user(const char *name, uid_t uid, gid_t gid)
{
	int sig = 0;

	prctl(PR_GET_PDEATHSIG, &sig);
	if (initgroups(name, gid) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -1;
	return prctl(PR_SET_PDEATHSIG, sig);
}

void
sandbox_hide(void)
{
#ifndef SANITIZED
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

/*
 * Landlock. Rights are granted beneath directories and cannot be taken back further down; so what shall not
 * be read is left out by granting, one by one, what lies beside it.
 */

struct ruleset {
	uint64_t handled;
};

struct rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

enum { WRITE_FILE = 1 << 1, READ_FILE = 1 << 2, REMOVE_DIR = 1 << 4, REMOVE_FILE = 1 << 5, MAKE_CHAR = 1 << 6,
	MAKE_DIR = 1 << 7, MAKE_REG = 1 << 8, MAKE_SOCK = 1 << 9, MAKE_FIFO = 1 << 10, MAKE_BLOCK = 1 << 11,
	MAKE_SYM = 1 << 12, REFER = 1 << 13, TRUNCATE = 1 << 14 };

#define LANDLOCK_VERSION 1u     /* flag: asks for the version */
#define PATH_BENEATH 1
/* The first version lets no file be moved to another directory, which even git needs. */
#define LEAST_VERSION 2

/* Devices are made by nobody. */
#define WRITES_DIR (WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM | \
    REFER | TRUNCATE)
#define WRITES (WRITES_DIR | MAKE_CHAR | MAKE_BLOCK)
#define RIGHTS_FILE (WRITE_FILE | READ_FILE | TRUNCATE)

unsigned
fence_version(void)
{
	long v = syscall(CALL_LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);

	return v < LEAST_VERSION ? 0 : v > 255 ? 255 : (unsigned)v;
}

struct builder {
	int fd;
	uint64_t handled;
	const struct fence *f;
};

/* What is not there needs no right. */
static void
grant(const struct builder *b, const char *path, uint64_t rights, int flags)
{
	int fd = open(path, O_PATH | O_CLOEXEC | flags);
	struct rule r = { .allowed = rights & b->handled, .fd = fd };
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		r.allowed &= RIGHTS_FILE;
	if (r.allowed)
		syscall(CALL_LANDLOCK_ADD, b->fd, PATH_BENEATH, &r, 0);
	close(fd);
}

static const char *
after(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 ? path + n : NULL;
}

/* Of the hidden paths, whether one is this or lies beneath it. */
static void
look_for_hidden(const struct builder *b, const char *path, bool *is, bool *holds)
{
	*is = *holds = false;
	for (const char *const *h = b->f->hidden; *h; h++) {
		const char *rest = after(*h, path);

		*is |= rest && !*rest;
		*holds |= rest && *rest == '/';
	}
}

static void grant_reading(const struct builder *b, const char *path);

static void
grant_entry(const struct builder *b, const char *path, const char *name, size_t len)
{
	char sub[PATH_MAX];

	if (snprintf(sub, sizeof sub, "%s/%.*s", path, (int)len, name) < (int)sizeof sub)
		grant_reading(b, sub);
}

/* A directory that one may pass through and not list: of its entries those are known that lead to what is hidden. */
static void
grant_known(const struct builder *b, const char *path)
{
	for (const char *const *h = b->f->hidden; *h; h++) {
		const char *rest = after(*h, path);

		if (rest && *rest == '/')
			grant_entry(b, path, rest + 1, strcspn(rest + 1, "/"));
	}
}

/* path has no slash at its end, so the root is "". */
static void
grant_reading(const struct builder *b, const char *path)
{
	bool is, holds;
	struct dirent *entry;
	DIR *d;

	look_for_hidden(b, path, &is, &holds);
	if (!is && !holds)
		grant(b, *path ? path : "/", READ_FILE, O_NOFOLLOW);
	if (is || !holds)
		return;
	d = opendir(*path ? path : "/");
	if (!d) {
		grant_known(b, path);
		return;
	}
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && entry->d_type != DT_LNK)
			grant_entry(b, path, entry->d_name, strlen(entry->d_name));
	closedir(d);
}

int
fence_make(const struct fence *f)
{
	unsigned version = fence_version();
	struct ruleset set = { .handled = WRITES | (f->hidden ? READ_FILE : 0) };
	struct builder b = { .f = f };

	if (!version)
		return -1;
	if (version < 3)
		set.handled &= ~(uint64_t)TRUNCATE;
	b.handled = set.handled;
	b.fd = (int)syscall(CALL_LANDLOCK_CREATE, &set, sizeof set, 0);
	if (b.fd < 0)
		return -2;
	for (const char *const *w = f->writable; *w; w++)
		grant(&b, *w, WRITES_DIR | READ_FILE, 0);
	for (const char *const *r = f->readable; r && *r; r++)
		grant(&b, *r, READ_FILE, 0);
	if (f->hidden)
		grant_reading(&b, "");
	return b.fd;
}

int
fence_enter(int fd)
{
	return (int)syscall(CALL_LANDLOCK_RESTRICT, fd, 0);
}
