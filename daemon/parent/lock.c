/* SPDX-License-Identifier: ISC */
/*
 * One image, one user: an OFD lock on the open file that a device process
 * shares with us.  It holds as long as either has the image open; who writes
 * is alone, who reads shares with readers.  T49.
 * Runs in: parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/parent/parent.h"
#include "shared/str.h"

/* Another device of ours that has this file, and one of the two writes. */
static const struct vment *
lock_vm(const struct vmdev *d, const struct stat *st)
{
	bool readonly = vmdev_disk(d)->readonly;
	const struct vmdev *o;
	const struct vment *v;

	TAILQ_FOREACH(v, &d->v->p->vms, entry)
		for (o = v->dev; o < v->dev + v->ndevs; o++)
			if (o != d && o->image_ino != 0 &&
			    o->image_dev == st->st_dev &&
			    o->image_ino == st->st_ino &&
			    !(readonly && vmdev_disk(o)->readonly))
				return (v);
	return (NULL);
}

/* A process's name from /proc, printable; "" when it cannot be read. */
static void
pid_name(pid_t pid, char *name, size_t size)
{
	char path[64], text[64];
	ssize_t n = -1;
	int fd;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
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

/* Who is in the way: a process that locked by its pid, or some. */
static int
lock_refused(const char *path, int fd, struct flock *fl, struct err *e)
{
	char name[128];

	if (fcntl(fd, F_OFD_GETLK, fl) == 0 && fl->l_type != F_UNLCK &&
	    fl->l_pid > 0) {
		pid_name(fl->l_pid, name, sizeof(name));
		return (err_set(e, EBUSY, "disk %s is in use by process %d%s%s",
		    path, (int)fl->l_pid, name[0] != '\0' ? ", " : "", name));
	}
	return (err_set(e, EBUSY,
	    "disk %s is in use by another program (fuser tells which)", path));
}

/*
 * Our own table is asked before the lock: nobody has that of a VM which an
 * earlier vmd started, from the death of its device's process until another
 * takes over.
 */
int
lock_image(const struct vmdev *d, const struct stat *st, struct err *e)
{
	const struct conf_disk *disk = vmdev_disk(d);
	struct flock fl = { .l_type = disk->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET };
	const struct vment *v;

	if ((v = lock_vm(d, st)) != NULL)
		return (err_set(e, EBUSY, "disk %s is in use by vm %s",
		    disk->path, v->conf.name));
	if (fcntl(d->image_fd, F_OFD_SETLK, &fl) == 0)
		return (0);
	if (errno == EAGAIN || errno == EACCES)
		return (lock_refused(disk->path, d->image_fd, &fl, e));
	return (err_errno(e,
	    "disk %s cannot be locked, so nothing would keep a second vm from "
	    "it",
	    disk->path));
}
