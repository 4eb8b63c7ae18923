/* SPDX-License-Identifier: ISC */
/*
 * Files for vmd: it takes no fd of ours, it lends us memory for their bytes.
 * All is read before that, since a loan does not last for as long as a slow
 * file may take.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ctl/ctl.h"
#include "shared/fd.h"

static int
file_size(
    int fd, const char *what, const char *path, size_t *bytes, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (!S_ISREG(st.st_mode))
		return (err_set(
		    e, EINVAL, "%s %s is not a regular file", what, path));
	if (st.st_size == 0)
		return (err_set(e, EINVAL, "%s %s is empty", what, path));
	if ((uint64_t)st.st_size > LEND_MAX_BYTES)
		return (err_set(e, EFBIG,
		    "%s %s has %" PRIu64 " MiB: at most %" PRIu64
		    " may come with a request, more if vm.conf names it",
		    what, path, (uint64_t)st.st_size >> 20,
		    LEND_MAX_BYTES >> 20));
	*bytes = (size_t)st.st_size;
	return (0);
}

int
ctl_file_read(
    struct ctl_file *f, const char *what, const char *path, struct err *e)
{
	int fd, rc = -1;
	ssize_t n;

	ctl_file_free(f);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return (err_errno(e, "%s %s", what, path));
	if (file_size(fd, what, path, &f->bytes, e) == -1)
		goto out;
	if ((f->data = malloc(f->bytes)) == NULL ||
	    (n = readall(fd, f->data, f->bytes)) == -1)
		err_errno(e, "%s %s", what, path);
	else if ((size_t)n < f->bytes)
		err_set(e, EIO, "%s %s became shorter while it was read", what,
		    path);
	else
		rc = 0;
out:
	fd_close(&fd);
	return (rc);
}

struct loan {
	uint32_t id;
	int fd;
};

static void
on_lent(void *arg, const struct msg *m)
{
	const struct msg_lent *r = m->body;
	struct loan *l = arg;

	if (m->type != MSG_LENT || l->fd != -1)
		return;
	l->id = r->id;
	l->fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
}

int
ctl_file_lend(
    struct ctl *ctl, const struct ctl_file *f, uint32_t *id, struct err *e)
{
	struct msg_lend m = { .bytes = f->bytes };
	struct loan l = { 0, -1 };
	size_t done = 0;
	ssize_t n;

	if (client_call(ctl->client, MSG_LEND, &m, sizeof(m), on_lent, &l, e) ==
	    -1)
		return (-1);
	while (done < f->bytes) {
		n = write(l.fd, (const char *)f->data + done, f->bytes - done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			err_errno(e, "memory for what vmd is to start");
			fd_close(&l.fd);
			return (-1);
		}
		done += (size_t)n;
	}
	fd_close(&l.fd);
	*id = l.id;
	return (0);
}

void
ctl_file_free(struct ctl_file *f)
{
	free(f->data);
	f->data = NULL;
	f->bytes = 0;
}
