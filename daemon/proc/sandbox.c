/* SPDX-License-Identifier: ISC */
/*
 * Walking into a sandbox: see sandbox.h.  The steps are in the only order that
 * works: what needs a capability comes before they go, what needs
 * no_new_privs after it, and landlock after the mounts that it would forbid.
 * Runs in: every process of the daemon, once.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/proc/sandbox.h"

#define ROOT_DIR "/proc" /* is there on every host; hidden, then gone */
#define ROOT_OPTS "size=4096,nr_inodes=2,mode=0555"
#define CAP_WORDS 2 /* of _LINUX_CAPABILITY_VERSION_3 */

/* A sanitizer maps terabytes and wants threads of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#else
#define SANITIZER 0
#endif

/* linux/landlock.h of 6.1 ends at ABI 2; the kernel may know more. */
struct landlock_attr {
	uint64_t fs, net, scoped;
};
#define LL_FS_ABI1 ((UINT64_C(1) << 13) - 1)
#define LL_FS_REFER (UINT64_C(1) << 13)
#define LL_FS_TRUNCATE (UINT64_C(1) << 14)
#define LL_FS_IOCTL_DEV (UINT64_C(1) << 15)
#define LL_NET_TCP UINT64_C(3)    /* bind, connect */
#define LL_SCOPE_BOTH UINT64_C(3) /* abstract sockets, signals */

static int
set_limit(int what, const char *name, uint64_t want, struct err *e)
{
	struct rlimit old, new;

	if (getrlimit(what, &old) == -1)
		return (err_errno(e, "getrlimit %s", name));
	new.rlim_cur = new.rlim_max = want < old.rlim_max ? want : old.rlim_max;
	if (setrlimit(what, &new) == -1)
		return (err_errno(e, "setrlimit %s", name));
	return (0);
}

static int
set_limits(const struct sandbox *sb, struct err *e)
{
	if (set_limit(RLIMIT_NOFILE, "nofile", sb->nofile, e) == -1 ||
	    set_limit(RLIMIT_CORE, "core", 0, e) == -1)
		return (-1);
	if (SANITIZER)
		return (0);
	if (sb->nproc != UINT32_MAX &&
	    set_limit(RLIMIT_NPROC, "nproc", sb->nproc, e) == -1)
		return (-1);
	if (sb->as_bytes != 0 &&
	    set_limit(RLIMIT_AS, "as", sb->as_bytes, e) == -1)
		return (-1);
	return (0);
}

/*
 * A tmpfs becomes the root and what was the root is let go.  Both sit at "."
 * after pivot_root(2), the old one on top, so no directory is needed for it.
 */
static int
empty_root(struct err *e)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return (err_errno(e, "make mounts private"));
	if (mount("none", ROOT_DIR, "tmpfs", flags, ROOT_OPTS) == -1)
		return (err_errno(e, "mount an empty root"));
	if (chdir(ROOT_DIR) == -1 || syscall(SYS_pivot_root, ".", ".") == -1)
		return (err_errno(e, "pivot_root"));
	if (umount2(".", MNT_DETACH) == -1 || chdir("/") == -1)
		return (err_errno(e, "let go of the old root"));
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | flags, ROOT_OPTS) ==
	    -1)
		return (err_errno(e, "make the empty root read-only"));
	return (0);
}

static int
has_cap(const struct sandbox *sb, int cap)
{
	const int *c;

	for (c = sb->caps; c != NULL && *c != -1; c++)
		if (*c == cap)
			return (1);
	return (0);
}

/* What is not in the bounding set does not come back by any exec. */
static int
drop_bounding(const struct sandbox *sb, struct err *e)
{
	int cap, set;

	for (cap = 0; (set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		if (set == 1 && !has_cap(sb, cap) &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return (err_errno(e, "drop capability %d", cap));
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return (err_errno(e, "drop ambient capabilities"));
	return (0);
}

static int
set_caps(const struct sandbox *sb, struct err *e)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
		0 };
	struct __user_cap_data_struct data[CAP_WORDS] = { 0 };
	const int *c;

	for (c = sb->caps; c != NULL && *c != -1; c++) {
		data[*c / 32].permitted |= 1u << (*c % 32);
		data[*c / 32].effective |= 1u << (*c % 32);
	}
	if (syscall(SYS_capset, &head, data) == -1)
		return (err_errno(e, "set capabilities"));
	return (0);
}

/* Groups first, the user last: the other way round the groups would stay. */
static int
set_ids(const struct sandbox *sb, uid_t uid, gid_t gid, struct err *e)
{
	if (sb->uid == SANDBOX_ROOT)
		uid = gid = 0;
	else if (uid == 0 || gid == 0)
		return (err_set(e, EINVAL,
		    "%s must not run as root: "
		    "no uid was given",
		    sb->name));
	if (setgroups(0, NULL) == -1)
		return (err_errno(e, "setgroups"));
	if (setresgid(gid, gid, gid) == -1)
		return (err_errno(e, "setresgid %u", (unsigned)gid));
	if (setresuid(uid, uid, uid) == -1)
		return (err_errno(e, "setresuid %u", (unsigned)uid));
	return (0);
}

/* No path, no TCP, no abstract socket or signal beyond us.  As far as it goes. */
static void
set_landlock(void)
{
	struct landlock_attr a = { .fs = LL_FS_ABI1 };
	size_t bytes = sizeof(a.fs);
	int abi, fd;

	abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return; /* an older kernel, or not switched on */
	if (abi >= 2)
		a.fs |= LL_FS_REFER;
	if (abi >= 3)
		a.fs |= LL_FS_TRUNCATE;
	if (abi >= 4) {
		a.net = LL_NET_TCP;
		bytes = 2 * sizeof(a.fs);
	}
	if (abi >= 5)
		a.fs |= LL_FS_IOCTL_DEV;
	if (abi >= 6) {
		a.scoped = LL_SCOPE_BOTH;
		bytes = sizeof(a);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &a, bytes, 0);
	if (fd == -1)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

int
sandbox_enter(const struct sandbox *sb, uid_t uid, gid_t gid, unsigned keep_fds,
    struct err *e)
{
	if (keep_fds != UINT32_MAX && close_range(keep_fds, ~0u, 0) == -1)
		return (err_errno(e, "close_range"));
	if (set_limits(sb, e) == -1)
		return (-1);
	if (sb->empty_root && empty_root(e) == -1)
		return (-1);
	if (drop_bounding(sb, e) == -1 || set_ids(sb, uid, gid, e) == -1 ||
	    set_caps(sb, e) == -1)
		return (-1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (err_errno(e, "no_new_privs"));
	/* Not sooner: a change of uid sets it to what suid_dumpable says. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return (err_errno(e, "dumpable"));
	if (sb->empty_root)
		set_landlock();
	return (0);
}
