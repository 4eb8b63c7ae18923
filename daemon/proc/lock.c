/* SPDX-License-Identifier: ISC */
/*
 * One image, one user: an OFD lock on the file that a device process has open.
 * It holds as long as that is so; who writes is alone, who reads shares with
 * readers.  T49.
 * Runs in: a device process, before it enters its sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/proc/opener.h"
#include "shared/str.h"

/* A process's name from /proc, printable; "" when it cannot be read. */
static void
pid_name(int pid, char *name, size_t size)
{
	char path[64], text[64];
	ssize_t n = -1;
	int fd;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	str_vis(name, size, text);
}

/* A line of /proc/locks: who locked that file by its pid; 0: not this one. */
static int
line_pid(const char *line, const struct stat *st)
{
	unsigned major_nr, minor_nr;
	unsigned long long ino;
	int pid;

	if (sscanf(line, "%*u: POSIX %*s %*s %d %x:%x:%llu", &pid, &major_nr,
		&minor_nr, &ino) != 4 ||
	    major(st->st_dev) != major_nr || minor(st->st_dev) != minor_nr ||
	    st->st_ino != ino)
		return (0);
	return (pid);
}

/*
 * Its number as the host counts: F_OFD_GETLK would tell it as this process sees
 * it, which is in a pid namespace of its own and sees none.
 */
static int
locker(int fd)
{
	char line[256];
	struct stat st;
	int pid = 0;
	FILE *f;

	if (fstat(fd, &st) == -1 || (f = fopen("/proc/locks", "re")) == NULL)
		return (0);
	while (pid <= 0 && fgets(line, sizeof(line), f) != NULL)
		pid = line_pid(line, &st);
	fclose(f);
	return (pid);
}

/* Who is in the way: a process that locked by its pid, or some. */
static int
lock_refused(const char *path, int fd, struct err *e)
{
	int pid = locker(fd);
	char name[128];

	if (pid > 0) {
		pid_name(pid, name, sizeof(name));
		return (err_set(e, EBUSY, "disk %s is in use by process %d%s%s",
		    path, pid, name[0] != '\0' ? ", " : "", name));
	}
	return (err_set(e, EBUSY,
	    "disk %s is in use by another program (fuser tells which)", path));
}

int
opener_lock(const char *path, bool readonly, int fd, struct err *e)
{
	struct flock fl = { .l_type = readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return (0);
	if (errno == EAGAIN || errno == EACCES)
		return (lock_refused(path, fd, e));
	return (err_errno(e,
	    "disk %s cannot be locked, so nothing would keep a second vm from "
	    "it",
	    path));
}
