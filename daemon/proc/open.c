/* SPDX-License-Identifier: ISC */
/*
 * Kernels, initrds, disks and shared directories.  Their bytes end up in a
 * guest, where the VM's owner can read them, and those of disks are his to
 * change; and vm.conf may well name a file in a directory of that owner.  So
 * they are opened with his rights, and what he cannot read only where no
 * symbolic link and no second name of his can have led us to it.  T66.
 *
 * Runs in: parent; of disks, a device process before it enters its sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/proc/open.h"
#include "shared/log.h"

#define NOBODY 65534
/* Read-only; never a device or fifo that would block or act. */
#define FLAGS (O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/*
 * Links of /proc/self/fd would lead to what we hold ourselves, and memory files
 * have a mode that lets anybody in: nobody's path goes there.
 */
static int
open_path(const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (unsigned)flags,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS };

	return ((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

/*
 * With the file system ids and groups alone: FUSE looks at the others, so a
 * mount of the owner's alone is not for us; but one with allow_other is, and
 * whoever opens something there, or on NFS, waits for its server.
 */
static int
open_as(const char *path, int flags, const struct msg_cred *c)
{
	int fd = -1, code = EPERM;

	/* Of this thread, which is the only one. */
	if (syscall(SYS_setgroups, c->ngroups, c->groups) == -1)
		return (-1);
	setfsgid(c->gid);
	setfsuid(c->uid);
	if ((uid_t)setfsuid((uid_t)-1) == c->uid &&
	    (gid_t)setfsgid((gid_t)-1) == c->gid) {
		fd = open_path(path, flags, 0);
		code = errno;
	}
	setfsuid(0);
	setfsgid(0);
	if (syscall(SYS_setgroups, 0, NULL) == -1)
		fatal("setgroups");
	errno = code;
	return (fd);
}

static int
open_plainly(
    const char *what, const char *path, int flags, int *fd, struct err *e)
{
	const char *verb = (flags & O_ACCMODE) == O_RDONLY ? "read" : "write";
	struct stat st;

	*fd = open_path(path, flags, RESOLVE_NO_SYMLINKS);
	if (*fd == -1 && errno == ELOOP)
		return (err_set(e, EACCES,
		    "%s %s: the vm's owner may not %s it, and a symbolic "
		    "link leads there: name the file itself",
		    what, path, verb));
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (st.st_nlink > 1 && !S_ISDIR(st.st_mode))
		return (err_set(e, EACCES,
		    "%s %s: the vm's owner may not %s it, and it has other "
		    "names: make a copy of its own",
		    what, path, verb));
	return (0);
}

static int
open_error(const char *what, const char *path, struct err *e)
{
	if (errno == ENOENT && strcmp(what, "disk") == 0)
		return (err_set(e, ENOENT,
		    "disk %s: no such file (vmctl create -s SIZE makes one)",
		    path));
	if (errno == ELOOP)
		return (err_set(e, ELOOP,
		    "%s %s: symbolic links in a circle, or one of /proc, which "
		    "would lead into vmd: name the file itself",
		    what, path));
	return (err_errno(e, "%s %s", what, path));
}

/* What may hold an image, and nothing else. */
static int
open_is_file(const char *what, const char *path, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (!S_ISREG(st.st_mode))
		return (err_set(
		    e, EINVAL, "%s %s: not a regular file", what, path));
	return (0);
}

/* As the owner; where his rights end, as root without a way to be misled. */
static int
open_for(const char *what, const char *path, int flags,
    const struct open_owner *owner, int *fd, struct err *e)
{
	bool has_group = owner->gid != OPEN_NO_GROUP;
	struct msg_cred c = { .uid = owner->uid != 0 ? owner->uid : NOBODY,
		.gid = has_group ? owner->gid : NOBODY };

	if (owner->uid == 0 && !has_group)
		*fd = open_path(path, flags, 0);
	else
		*fd = open_as(path, flags, &c);
	if (*fd == -1 && errno == EACCES)
		return (open_plainly(what, path, flags, fd, e));
	return (*fd == -1 ? open_error(what, path, e) : 0);
}

int
open_image(const char *what, const char *path, const struct open_owner *owner,
    int *fd, struct err *e)
{
	if (open_for(what, path, FLAGS, owner, fd, e) == -1)
		return (-1);
	return (open_is_file(what, path, *fd, e));
}

/* No more than a name for it, whose owner's rights count again in there. */
int
open_directory(
    const char *path, const struct open_owner *owner, int *fd, struct err *e)
{
	return (open_for(
	    "share", path, O_PATH | O_DIRECTORY | O_CLOEXEC, owner, fd, e));
}

static int
disk_try(const struct open_disk *d, int flags, int *fd, struct err *e)
{
	if (d->asker == NULL)
		return (open_for("disk", d->path, flags, &d->owner, fd, e));
	if (d->asker->uid == 0)
		*fd = open_path(d->path, flags, 0);
	else
		*fd = open_as(d->path, flags, d->asker);
	return (*fd == -1 ? open_error("disk", d->path, e) : 0);
}

int
open_disk(const struct open_disk *d, bool *direct, int *fd, struct err *e)
{
	int flags = FLAGS | (d->readonly ? O_RDONLY : O_RDWR);
	int on = d->direct ? O_DIRECT : 0;
	bool done;

	*direct = d->direct;
	done = disk_try(d, flags | on, fd, e) == 0;
	if (!done && on != 0 && e->code == EINVAL) {
		*direct = false; /* a file system that has no such way */
		on = 0;
		done = disk_try(d, flags, fd, e) == 0;
	}
	if (!done || open_is_file("disk", d->path, *fd, e) == -1)
		return (-1);
	/* It was for the opening; I/O is to wait. */
	if (fcntl(*fd, F_SETFL, on) == -1)
		return (err_errno(e, "disk %s", d->path));
	return (0);
}
