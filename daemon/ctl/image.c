/* SPDX-License-Identifier: ISC */
/*
 * Making disk images: see image.h.
 * Runs in: vmctl, as the caller, whose rights are all that it uses.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ctl/image.h"
#include "shared/fd.h"
#include "shared/size.h"
#include "shared/str.h"

struct image {
	int dir, fd;
	const char *path, *name; /* name: in dir */
	char temp[32];           /* "": the file has no name yet */
};

/* The directory, opened, and the name there. */
static int
open_dir(struct image *m, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";

	m->path = path;
	m->name = slash == NULL ? path : slash + 1;
	if (m->name[0] == '\0')
		return (err_set(e, EINVAL, "\"%s\" names no file", path));
	if (slash != NULL && (size_t)(slash - path) + 2 > sizeof(dir))
		return (err_set(e, ENAMETOOLONG, "the path is too long"));
	if (slash != NULL) /* with its slash, so that "/x" is in "/" */
		strlcpy(dir, path, (size_t)(slash - path) + 2);
	m->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir == -1)
		return (err_errno(e, "cannot open directory %s", dir));
	return (0);
}

/* A file that nobody sees; where there is no such thing, a hidden one. */
static int
open_file(struct image *m, struct err *e)
{
	uint64_t salt = 0;

	m->fd = openat(m->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (m->fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		if (getrandom(&salt, sizeof(salt), 0) == -1)
			return (err_errno(e, "no random name"));
		snprintf(m->temp, sizeof(m->temp), ".vmctl-%016" PRIx64, salt);
		m->fd = openat(m->dir, m->temp,
		    O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (m->fd == -1)
			m->temp[0] = '\0';
	}
	if (m->fd == -1)
		return (err_errno(e, "cannot create %s", m->path));
	if (fchmod(m->fd, 0600) == -1) /* whatever the umask is */
		return (err_errno(e, "cannot set the mode of %s", m->path));
	return (0);
}

static int
set_size(struct image *m, uint64_t bytes, struct err *e)
{
	char text[SIZE_TEXT_BYTES];

	if (ftruncate(m->fd, (off_t)bytes) == 0)
		return (0);
	if (errno == EFBIG || errno == EINVAL)
		return (err_set(e, EFBIG,
		    "the file system of %s has no files of %s", m->path,
		    size_format(text, sizeof(text), bytes)));
	return (err_errno(e, "cannot make %s that large", m->path));
}

/* Neither way replaces a file that is there. */
static int
give_name(struct image *m, struct err *e)
{
	char proc[32];
	int r;

	if (m->temp[0] == '\0') {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", m->fd);
		r = linkat(AT_FDCWD, proc, m->dir, m->name, AT_SYMLINK_FOLLOW);
	} else {
		r = renameat2(
		    m->dir, m->temp, m->dir, m->name, RENAME_NOREPLACE);
		if (r == -1 && errno == EINVAL) /* NFS links instead */
			r = linkat(m->dir, m->temp, m->dir, m->name, 0);
		else if (r == 0)
			m->temp[0] = '\0';
	}
	if (r == -1 && errno == EEXIST)
		return (err_set(e, EEXIST,
		    "%s is there already; remove it first, or take another name",
		    m->path));
	return (r == 0 ? 0 : err_errno(e, "cannot create %s", m->path));
}

int
image_create(const char *path, uint64_t bytes, struct err *e)
{
	struct image m = { .dir = -1, .fd = -1 };
	int r = -1;

	if (open_dir(&m, path, e) == -1 || open_file(&m, e) == -1 ||
	    set_size(&m, bytes, e) == -1)
		goto out;
	if (fsync(m.fd) == -1) {
		err_errno(e, "cannot write %s", path);
		goto out;
	}
	if ((r = give_name(&m, e)) == 0 && fsync(m.dir) == -1)
		r = err_errno(e, "cannot write the directory of %s", path);
out:
	if (m.temp[0] != '\0')
		unlinkat(m.dir, m.temp, 0);
	fd_close(&m.fd);
	fd_close(&m.dir);
	return (r);
}
