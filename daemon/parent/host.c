/* SPDX-License-Identifier: ISC */
/* The host's side of the parent: see host.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* linux 6.16 */
#endif
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define BACKLOG 64
#define LOCK_TRIES 40
#define LOCK_PAUSE_NS 50000000 /* two seconds in all */

int
pidfd_kill(int pidfd, int sig)
{
	return ((int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0));
}

void
host_notify(const char *text)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    (len = strlen(path)) >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&sun,
		offsetof(struct sockaddr_un, sun_path) + len) == -1)
		log_warn("NOTIFY_SOCKET %s", path);
	close(fd);
}

/* The first bytes of a small file, as a string; -1 when it can't be read. */
static int
file_head(const char *path, char *buf, size_t len)
{
	ssize_t n;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return (-1);
	buf[n] = '\0';
	return (0);
}

void
host_hugepages(const struct conf *conf)
{
	char now[128];
	int fd;

	if (conf->hugepages != CONF_HUGE_ADVISE ||
	    file_head(SHMEM_ENABLED, now, sizeof(now)) == -1 ||
	    strstr(now, "[never]") == NULL)
		return;
	if ((fd = open(SHMEM_ENABLED, O_WRONLY | O_CLOEXEC)) == -1 ||
	    write(fd, "advise", 6) != 6)
		log_warn("%s: guests get no huge pages", SHMEM_ENABLED);
	else
		log_info("%s: set to advise; \"huge pages off\" in vm.conf "
			 "leaves it alone",
		    SHMEM_ENABLED);
	fd_close(&fd);
}

bool
host_oom_killed(void)
{
	static unsigned long long last;
	unsigned long long now = 0;
	char line[128];
	bool more;
	FILE *f;

	if ((f = fopen("/proc/vmstat", "re")) == NULL)
		return (false);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "oom_kill %llu", &now) == 1)
			break;
	fclose(f);
	more = now > last;
	last = now;
	return (more);
}

int
host_files(struct err *e)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return (err_errno(e, "getrlimit"));
	if (rl.rlim_cur >= HOST_FILES_MIN)
		return (0);
	rl.rlim_cur = HOST_FILES_MIN;
	if (rl.rlim_max < HOST_FILES_MIN)
		rl.rlim_max = HOST_FILES_MIN;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		return (err_set(e, EMFILE,
		    "too many open files: vmd needs a limit of %d of them, and "
		    "may not raise it (ulimit -n, or LimitNOFILE= of the unit)",
		    HOST_FILES_MIN));
	return (0);
}

int
host_files_for(unsigned nvms, unsigned ndevs, struct err *e)
{
	struct rlimit rl;
	uint64_t most;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return (err_errno(e, "getrlimit"));
	most = rl.rlim_cur < HOST_FILES_MIN
	    ? 0
	    : (rl.rlim_cur - HOST_FILES_BASE) / HOST_FILES_VM;
	if (nvms > most)
		return (err_set(e, EMFILE,
		    "too many open files: their limit of %llu is enough for "
		    "%llu running vms (ulimit -n, or LimitNOFILE= of the unit)",
		    (unsigned long long)rl.rlim_cur, (unsigned long long)most));
	if (nvms + (uint64_t)ndevs * HOST_FILES_DEV >
	    rl.rlim_cur - HOST_FILES_BASE)
		return (err_set(e, EMFILE,
		    "too many open files: their limit of %llu is not enough "
		    "for %u disks of %u running vms (ulimit -n, or "
		    "LimitNOFILE= of the unit)",
		    (unsigned long long)rl.rlim_cur, ndevs, nvms));
	return (0);
}

/* mkdir -p for the last two components; the directory must be root's own. */
static int
state_dir(const char *dir, int *fd, struct err *e)
{
	struct stat st;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return (err_errno(e, "state directory %s", dir));
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return (err_errno(e, "state directory %s", dir));
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return (err_set(e, EPERM,
		    "state directory %s: must belong to "
		    "root and be writable by nobody else",
		    dir));
	return (0);
}

/*
 * A vmd that was killed holds its lock until its exit is through, and so does a
 * child that it was just making: give them a moment.
 */
static int
lock_take(int fd)
{
	struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return (0);
		if (errno != EWOULDBLOCK)
			return (-1);
		nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return (-1);
}

int
host_state_open(struct parent *p, struct err *e)
{
	const char *dir = p->conf->state_dir;
	int top = -1, rc = -1;

	if (state_dir(dir, &top, e) == -1)
		goto out;
	p->lock_fd = openat(
	    top, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->lock_fd == -1) {
		err_errno(e, "%s/lock", dir);
		goto out;
	}
	if (lock_take(p->lock_fd) == -1) {
		err_set(e, errno,
		    "another vmd runs with state directory %s: "
		    "stop it, or name another one in vm.conf",
		    dir);
		goto out;
	}
	if (mkdirat(top, "vm", 0700) == -1 && errno != EEXIST) {
		err_errno(e, "%s/vm", dir);
		goto out;
	}
	p->state_fd =
	    openat(top, "vm", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->state_fd == -1) {
		err_errno(e, "%s/vm", dir);
		goto out;
	}
	rc = 0;
out:
	fd_close(&top);
	return (rc);
}

int
host_listen(struct parent *p, struct err *e)
{
	const struct conf *c = p->conf;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, rc, no = 0;
	mode_t mask;

	strlcpy(sun.sun_path, c->socket_path, sizeof(sun.sun_path));
	/* The lock on the state directory is ours: a socket there is stale. */
	if (unlink(sun.sun_path) == -1 && errno != ENOENT)
		return (err_errno(e, "socket %s", sun.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return (err_errno(e, "socket"));
	/*
	 * No fd may come from a client, and where the kernel knows this none is
	 * even sent.  Elsewhere who connects can make control wait: the last
	 * close of a TCP socket with SO_LINGER is in the hands of who drops it
	 * unread.  Accepted sockets inherit it.
	 */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
	mask = umask(0117);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (rc == -1 ||
	    chown(sun.sun_path, c->socket_owner.uid,
		c->socket_owner.gid == CONF_NONE ? (gid_t)-1
						 : c->socket_owner.gid) == -1 ||
	    listen(fd, BACKLOG) == -1) {
		err_errno(e, "socket %s", sun.sun_path);
		close(fd);
		return (-1);
	}
	p->listen_fd = fd;
	return (0);
}
