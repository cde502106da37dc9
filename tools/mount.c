#include "mount.h"

#include <sys/statvfs.h>
#ifdef __APPLE__
#include <sys/mount.h>
#endif

#include "buf.h"
#include "host.h"

/* Types that are no storage. */
static const char *const pseudo[] = {
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devfs", "devpts",
	"devtmpfs", "efivarfs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fusectl", "hugetlbfs",
	"mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs",
	"tracefs",
};

static const char *const remote[] = {
	"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.glusterfs", "fuse.rclone",
	"fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
	"webdav",
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static bool
listed(const char *const *list, size_t n, const char *type)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], type) == 0)
			return true;
	return false;
}

static bool
is_wanted(const char *type, bool network)
{
	return !listed(pseudo, COUNT(pseudo), type) && (network || !listed(remote, COUNT(remote), type));
}

static double
percent(int64_t used, int64_t all)
{
	double tenths = all > 0 ? 1000.0 * (double)used / (double)all : 0;
	int64_t whole = (int64_t)tenths;

	return (double)(whole + (tenths > (double)whole)) / 10;
}

double
mount_used_percent(const struct mount *m)
{
	return percent(m->used, m->used + m->available);
}

double
mount_inodes_percent(const struct mount *m)
{
	return percent(m->inodes_used, m->inodes);
}

/* Sizes; false if it has none or cannot be asked. */
static bool
measure(struct mount *m)
{
	struct statvfs st;
	int64_t block;

	if (statvfs(m->path, &st) || !st.f_blocks)
		return false;
	block = (int64_t)(st.f_frsize ? st.f_frsize : st.f_bsize);
	m->size = (int64_t)st.f_blocks * block;
	m->used = (int64_t)(st.f_blocks - st.f_bfree) * block;
	m->available = (int64_t)st.f_bavail * block;
	m->inodes = (int64_t)st.f_files;
	m->inodes_used = (int64_t)(st.f_files - st.f_ffree);
	m->read_only = st.f_flag & ST_RDONLY;
	return true;
}

static bool
is_known(const struct mounts *ms, const struct mount *m)
{
	for (size_t i = 0; i < ms->n; i++)
		if (ms->v[i].id == m->id)
			return true;
	return false;
}

static void
mounts_add(struct mounts *ms, const struct mount *found)
{
	struct mount m = *found;

	if (is_known(ms, &m) || !measure(&m))
		return;
	if (ms->n == MOUNT_MAX) {
		ms->cut = true;
		return;
	}
	m.path = xstrdup(found->path);
	m.device = xstrdup(found->device);
	m.type = xstrdup(found->type);
	ms->v[ms->n++] = m;
}

void
mounts_release(struct mounts *ms)
{
	for (size_t i = 0; i < ms->n; i++) {
		free(ms->v[i].path);
		free(ms->v[i].device);
		free(ms->v[i].type);
	}
	ms->n = 0;
}

/* Blanks and backslashes are written as \040 and the like. */
static void
unescape(char *p)
{
	char *to = p;

	while (*p) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
		    p[3] <= '7') {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mount options [optional]... - type device superoptions" */
bool
mount_parse(char *line, struct mount *m)
{
	char *rest = strstr(line, " - "), *p = line, *field[6];
	unsigned major, minor;

	if (!rest)
		return false;
	*rest = '\0';
	rest += 3;
	for (int i = 0; i < 6; i++)
		if (!(field[i] = strtok_r(p, " ", &p)))
			return false;
	if (sscanf(field[2], "%u:%u", &major, &minor) != 2)
		return false;
	*m = (struct mount){ .id = (uint64_t)major << 32 | minor, .path = field[4] };
	m->type = strtok_r(rest, " ", &rest);
	m->device = m->type ? strtok_r(rest, " ", &rest) : NULL;
	if (!m->device)
		return false;
	unescape(m->path);
	unescape(m->device);
	return true;
}

#ifdef __linux__

void
mounts_read(struct mounts *ms, bool network)
{
	struct buf b = { 0 };
	char *line, *rest;

	ms->n = 0;
	ms->cut = false;
	if (host_file("/proc/self/mountinfo", 1 << 20, &b)) {
		rest = b.data;
		while (rest && (line = strtok_r(rest, "\n", &rest))) {
			struct mount m;

			if (mount_parse(line, &m) && is_wanted(m.type, network))
				mounts_add(ms, &m);
		}
	}
	buf_free(&b);
}

#else

/* MNT_NOWAIT: what the kernel knows already, so that a dead server does not hang the list itself. */
void
mounts_read(struct mounts *ms, bool network)
{
	struct statfs *v;
	int n = getmntinfo(&v, MNT_NOWAIT);

	ms->n = 0;
	ms->cut = false;
	for (int i = 0; i < n; i++) {
		struct mount m = {
			.path = v[i].f_mntonname,
			.device = v[i].f_mntfromname,
			.type = v[i].f_fstypename,
			.id = (uint64_t)(uint32_t)v[i].f_fsid.val[0] << 32 | (uint32_t)v[i].f_fsid.val[1],
		};

		if (is_wanted(m.type, network) && (network || v[i].f_flags & MNT_LOCAL))
			mounts_add(ms, &m);
	}
}

#endif
