/* SPDX-License-Identifier: ISC */
/*
 * A virtiofsd in its place, in the only order that works:
 *
 * we, with the parent's mounts	a copy of the one mount that the directory is in,
 *				with the directory as its root, read-only unless
 *				asked otherwise, nosuid, nodev, noexec
 * its process, still root	mounts of its own; the copy at SHARE_DIR, its
 *				own /proc; then a user namespace, and with it
 *				once more mounts: what was set is now locked
 * we again			the one line of its user and group map
 * its process			root there, the owner here; fewer capabilities;
 *				a filter; virtiofsd, which then makes that
 *				directory its root, drops more and puts on its own
 *
 * The user namespace is root's, not the owner's: so his other processes cannot
 * enter it, nor trace virtiofsd, which has the guest's memory.
 *
 * Runs in: launch.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/launch/launch.h"
#include "shared/fd.h"

#define SHARE_DIR "/tmp" /* is there on every host; hidden by the share */
#define ANSWER_S 5
#define FD_TEXT 16

/* The newer one first; QEMU's own, of its last years in C, takes others. */
static const struct {
	const char *path;
	bool qemu;
} programs[] = {
	{ "/usr/libexec/virtiofsd", false },
	{ "/usr/lib/qemu/virtiofsd", true },
};
#define NPROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* What it starts with; of these it keeps those about files. */
static const int caps[] = {
	CAP_SYS_ADMIN,    /* its root, its namespaces */
	CAP_SETPCAP,      /* it drops the rest */
	CAP_SETUID,       /* who makes a file, of all one that there are */
	CAP_SETGID,       /* the same */
	CAP_CHOWN,        /* the same */
	CAP_FOWNER,       /* as the guest's root: of the owner's files only */
	CAP_FSETID,       /* the same */
	CAP_DAC_OVERRIDE, /* the same */
	CAP_MKNOD,        /* fifos, sockets; devices need more than that */
	CAP_SETFCAP,      /* good in that namespace only */
};
#define NCAPS (sizeof(caps) / sizeof(caps[0]))

static int
program(struct err *e)
{
	size_t i;

	for (i = 0; i < NPROGRAMS; i++)
		if (access(programs[i].path, X_OK) == 0)
			return ((int)i);
	return (err_set(e, ENOENT,
	    "a share needs virtiofsd: install the package virtiofsd, or in "
	    "Debian 12 qemu-system-common"));
}

const char *
share_program(struct err *e)
{
	int i = program(e);

	return (i == -1 ? NULL : programs[i].path);
}

/* ---- the child ---- */

struct job {
	const struct msg_launch *m;
	int program, listen_fd, tree_fd, sync_fd;
};

static int
child_mounts(const struct job *j, struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return (err_errno(e, "make mounts private"));
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		NULL) == -1)
		return (err_errno(e, "mount proc"));
	if (move_mount(j->tree_fd, "", AT_FDCWD, SHARE_DIR,
		MOVE_MOUNT_F_EMPTY_PATH) == -1)
		return (err_errno(e, "mount the directory"));
	return (0);
}

/* From here on root is root of a namespace that has nobody else. */
static int
child_user(const struct job *j, struct err *e)
{
	char c = 'u';

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
		return (err_errno(e,
		    "user namespace (does user.max_user_namespaces of sysctl "
		    "forbid it?)"));
	if (send(j->sync_fd, &c, 1, MSG_NOSIGNAL) != 1 ||
	    recv(j->sync_fd, &c, 1, 0) != 1)
		return (err_set(e, EPIPE, "no user map"));
	if (setresgid(0, 0, 0) == -1 || setresuid(0, 0, 0) == -1)
		return (err_errno(e, "become the owner"));
	return (0);
}

static bool
has_cap(int cap)
{
	size_t i;

	for (i = 0; i < NCAPS; i++)
		if (caps[i] == cap)
			return (true);
	return (false);
}

static int
child_caps(struct err *e)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!has_cap(cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return (err_errno(e, "drop capability %d", cap));
	return (0);
}

/*
 * A guest makes no program that runs with its owner's rights when another user
 * of the host starts it.  openat2(2) has its mode where no filter sees it; who
 * is told that there is none uses openat(2).
 *
 * Nor does it make a file block: kicks and calls are the vm process's as well,
 * which would wait for it in read(2) and write(2).  The other way to do that,
 * FIONBIO, is an ioctl, which launch's filter has not.
 */
int
share_filter(struct err *e)
{
	static const struct {
		int nr;
		unsigned arg; /* the mode */
	} calls[] = {
		{ SCMP_SYS(fchmod), 1 },
		{ SCMP_SYS(chmod), 1 },
		{ SCMP_SYS(fchmodat), 2 },
		{ SCMP_SYS(openat), 3 },
		{ SCMP_SYS(open), 2 },
		{ SCMP_SYS(mknodat), 2 },
	};
	static const unsigned long bits[] = { S_ISUID, S_ISGID };
	static const struct scmp_arg_cmp blocks[] = {
		/* The kernel looks at 32 bits of it. */
		SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETFL),
		SCMP_CMP(2, SCMP_CMP_MASKED_EQ, O_NONBLOCK, 0),
	};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp cmp;
	size_t i, b;
	int rc = f == NULL ? -ENOMEM : 0;

	if (rc == 0)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (b = 0; rc == 0 && b < 2; b++) {
			cmp = SCMP_CMP(
			    calls[i].arg, SCMP_CMP_MASKED_EQ, bits[b], bits[b]);
			rc = seccomp_rule_add_array(
			    f, SCMP_ACT_ERRNO(EPERM), calls[i].nr, 1, &cmp);
		}
	if (rc == 0)
		rc = seccomp_rule_add_array(
		    f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0, NULL);
	if (rc == 0)
		rc = seccomp_rule_add_array(
		    f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 2, blocks);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	return (rc == 0 ? 0 : err_set(e, -rc, "filter: %s", strerror(-rc)));
}

static int
child_exec(const struct job *j, struct err *e)
{
	static const char *const qemu[] = { "-f", "-o",
		"source=" SHARE_DIR ",sandbox=namespace,log_level=err", NULL };
	static const char *const own[] = { "--shared-dir=" SHARE_DIR,
		"--sandbox=namespace", "--log-level=error", NULL };
	const char *path = programs[j->program].path;
	const char *const *a = programs[j->program].qemu ? qemu : own;
	char fd[FD_TEXT], *argv[8], *envp[1] = { NULL };
	size_t n = 0;

	snprintf(fd, sizeof(fd), "--fd=%d", j->listen_fd);
	argv[n++] = (char *)(uintptr_t)path;
	argv[n++] = fd;
	argv[n++] = (char *)(uintptr_t) "--rlimit-nofile=0"; /* as it is */
	while (*a != NULL)
		argv[n++] = (char *)(uintptr_t)*a++;
	argv[n] = NULL;
	if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) == -1 ||
	    fcntl(j->listen_fd, F_SETFD, 0) == -1)
		return (err_errno(e, "fds"));
	execve(path, argv, envp);
	return (err_errno(e, "%s", path));
}

__attribute__((noreturn)) static void
child(const struct job *j)
{
	struct err e = { 0 };

	if (setsid() == -1)
		err_errno(&e, "setsid");
	else if (child_mounts(j, &e) == 0 && child_user(j, &e) == 0 &&
	    child_caps(&e) == 0 && share_filter(&e) == 0)
		child_exec(j, &e);
	(void)send(j->sync_fd, &e, sizeof(e), MSG_NOSIGNAL);
	_exit(1);
}

/* ---- we ---- */

static int
map_write(pid_t pid, const char *file, uint32_t id, struct err *e)
{
	char path[64], line[32];
	int fd, n;
	ssize_t done;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	n = snprintf(line, sizeof(line), "0 %u 1\n", (unsigned)id);
	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return (err_errno(e, "%s", path));
	done = write(fd, line, (size_t)n);
	if (done != n)
		err_errno(e, "%s", path);
	close(fd);
	return (done == n ? 0 : -1);
}

/* Its words, or that it has begun: then its end of the socket is closed. */
static int
child_meet(const struct job *j, pid_t pid, int sync, struct err *e)
{
	struct err words;
	bool mapped = false;
	ssize_t n;

	for (;;) {
		n = recv(sync, &words, sizeof(words), 0);
		if (n == 0 && mapped)
			return (0);
		if (n == 0)
			return (err_set(e, ECHILD, "virtiofsd died early"));
		if (n == -1)
			return (err_errno(e, "virtiofsd does not start"));
		if (n == sizeof(words)) {
			words.text[sizeof(words.text) - 1] = '\0';
			return (err_set(
			    e, words.code, "virtiofsd: %s", words.text));
		}
		if (mapped)
			return (err_set(e, EPROTO, "virtiofsd: no sense"));
		if (map_write(pid, "gid_map", j->m->gid, e) == -1 ||
		    map_write(pid, "uid_map", j->m->uid, e) == -1)
			return (-1);
		mapped = true;
		if (send(sync, "u", 1, MSG_NOSIGNAL) != 1)
			return (err_errno(e, "virtiofsd"));
	}
}

/* A mount of what is in that directory and in no mount below it. */
static int
tree_open(const struct msg_launch *m, int dir_fd, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID |
		    MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
		    (m->readonly ? MOUNT_ATTR_RDONLY : 0) };
	struct stat st;
	int fd;

	if (fstat(dir_fd, &st) == -1)
		return (err_errno(e, "directory"));
	if (!S_ISDIR(st.st_mode))
		return (err_set(e, ENOTDIR, "not a directory"));
	fd = open_tree(
	    dir_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd == -1)
		return (err_errno(e, "mount of the directory"));
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == -1) {
		err_errno(e, "mount options");
		fd_close(&fd);
	}
	return (fd);
}

/*
 * Its parent is ours, which is told how it ends.  As process 1 of its own it
 * takes all it has made along.
 */
static int
serve_spawn(struct job *j, int sv[2], pid_t *pid, struct err *e)
{
	struct clone_args args = {
		.flags =
		    CLONE_PARENT | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC,
	};
	long rc;

	j->sync_fd = sv[1];
	if ((rc = syscall(SYS_clone3, &args, sizeof(args))) == 0)
		child(j);
	fd_close(&sv[1]);
	if (rc == -1)
		return (err_errno(e, "clone"));
	*pid = (pid_t)rc;
	return (child_meet(j, *pid, sv[0], e));
}

int
share_serve(const struct msg_launch *m, int listen_fd, int dir_fd, pid_t *pid,
    struct err *e)
{
	const struct timeval limit = { .tv_sec = ANSWER_S };
	struct job j = { .m = m, .listen_fd = listen_fd };
	int sv[2], rc = -1;

	*pid = 0;
	if ((j.program = program(e)) == -1 ||
	    (j.tree_fd = tree_open(m, dir_fd, e)) == -1)
		return (-1);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		err_errno(e, "socketpair");
	else {
		if (setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit,
			sizeof(limit)) == -1)
			err_errno(e, "time limit");
		else
			rc = serve_spawn(&j, sv, pid, e);
		fd_close(&sv[0]);
		fd_close(&sv[1]);
	}
	fd_close(&j.tree_fd);
	return (rc);
}
