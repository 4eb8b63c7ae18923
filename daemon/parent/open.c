/* SPDX-License-Identifier: ISC */
/*
 * Kernels and initrds.  Their bytes end up in a guest, where the VM's owner can
 * read them; and vm.conf may well name a file in a directory of that owner.  So
 * they are opened with his rights, and what he cannot read only where no
 * symbolic link and no second name of his can have led us to it.  T66.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/parent/parent.h"
#include "shared/fd.h"

#define NOBODY 65534
/* Never a device or fifo that would block or act. */
#define FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/*
 * With the file system uid and gid alone: FUSE looks at the others, so a mount
 * of the owner's cannot make us wait.
 */
static int
open_as(const char *path, uid_t uid, gid_t gid)
{
	int fd = -1, code = EPERM;

	setfsgid(gid);
	setfsuid(uid);
	if ((uid_t)setfsuid((uid_t)-1) == uid &&
	    (gid_t)setfsgid((gid_t)-1) == gid) {
		fd = open(path, FLAGS);
		code = errno;
	}
	setfsuid(0);
	setfsgid(0);
	errno = code;
	return (fd);
}

static int
open_plainly(const char *what, const char *path, int *fd, struct err *e)
{
	struct open_how how = { .flags = FLAGS,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	struct stat st;

	*fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (*fd == -1 && errno == ELOOP)
		return (err_set(e, EACCES,
		    "%s %s: the vm's owner may not read it, and a symbolic "
		    "link leads there: name the file itself",
		    what, path));
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (st.st_nlink > 1)
		return (err_set(e, EACCES,
		    "%s %s: the vm's owner may not read it, and it has other "
		    "names: make a copy of its own",
		    what, path));
	return (0);
}

int
open_image(const char *what, const char *path, const struct conf_owner *owner,
    int *fd, struct err *e)
{
	bool has_group = owner->gid != CONF_NONE;
	struct stat st;

	if (owner->uid == 0 && !has_group)
		*fd = open(path, FLAGS);
	else
		*fd = open_as(path, owner->uid != 0 ? owner->uid : NOBODY,
		    has_group ? owner->gid : NOBODY);
	if (*fd == -1 && errno == EACCES) {
		if (open_plainly(what, path, fd, e) == -1)
			return (-1);
	} else if (*fd == -1)
		return (err_errno(e, "%s %s", what, path));
	if (fstat(*fd, &st) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (!S_ISREG(st.st_mode))
		return (err_set(
		    e, EINVAL, "%s %s: not a regular file", what, path));
	return (0);
}
