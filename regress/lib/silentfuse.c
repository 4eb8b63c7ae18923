/* SPDX-License-Identifier: ISC */
/* A FUSE server that keeps silent: see silentfuse.h and linux/fuse.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/silentfuse.h"
#include "shared/fd.h"

#define FILE_NODE 2
#define DEV_FD 3 /* in the server */

static void
answer(const struct fuse_in_header *in, int error, void *body, size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len),
		.error = error,
		.unique = in->unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { body, len } };

	if (writev(DEV_FD, iov, 2) == -1 && errno != ENOENT)
		_exit(1);
}

static void
file_attr(struct fuse_attr *a)
{
	a->ino = FILE_NODE;
	a->mode = S_IFREG | 0644;
	a->nlink = 1;
	a->size = 4096;
}

static void
serve(const struct fuse_in_header *in)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096 };
	struct fuse_entry_out entry = { .nodeid = FILE_NODE };
	struct fuse_attr_out attr = { .attr_valid = 0 };
	struct fuse_open_out opened = { .fh = 1 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		file_attr(&entry.attr);
		answer(in, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		file_attr(&attr.attr);
		answer(in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(in, 0, &opened, sizeof(opened));
		break;
	case FUSE_FORGET:
		break;
	default:
		answer(in, 0, NULL, 0);
	}
}

__attribute__((noreturn)) static void
server(int dev, pid_t friend)
{
	_Alignas(8) static uint8_t buf[65536];
	struct fuse_in_header in;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(dev, DEV_FD) == -1 || close_range(DEV_FD + 1, ~0u, 0) == -1)
		_exit(1);
	for (;;) {
		if (read(DEV_FD, buf, sizeof(buf)) < (ssize_t)sizeof(in)) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			_exit(0);
		}
		memcpy(&in, buf, sizeof(in));
		if (in.opcode == FUSE_INIT || (pid_t)in.pid == friend)
			serve(&in);
	}
}

int
silentfuse_mount(const char *dir, const char *more_options)
{
	char opts[96];
	int dev;

	if ((dev = open("/dev/fuse", O_RDWR | O_CLOEXEC)) == -1)
		return (-1);
	snprintf(opts, sizeof(opts),
	    "fd=%d,rootmode=40000,user_id=0,group_id=0%s", dev, more_options);
	if (mount("silent", dir, "fuse", MS_NOSUID | MS_NODEV, opts) == -1)
		fd_close(&dev);
	return (dev);
}

int
silentfuse_open(struct silentfuse *f)
{
	int dev = -1, fd = -1;
	char path[48];

	strcpy(f->dir, "/tmp/silent.XXXXXX");
	if (mkdtemp(f->dir) == NULL || unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    (dev = silentfuse_mount(f->dir, "")) == -1 ||
	    (f->pid = fork()) == -1)
		goto out;
	if (f->pid == 0)
		server(dev, getppid());
	snprintf(path, sizeof(path), "%s/file", f->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
out:
	fd_close(&dev);
	return (fd);
}

void
silentfuse_close(struct silentfuse *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	umount2(f->dir, MNT_DETACH);
	rmdir(f->dir);
}
