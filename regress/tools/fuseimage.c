/* SPDX-License-Identifier: ISC */
/*
 * usage: fuseimage DIR BYTES
 *
 * Mount a FUSE file system on DIR, for everybody; whatever a file is called
 * there, it is the same image of so many bytes.  And serve it: after SIGUSR1 who
 * opens it waits, after SIGHUP who asks for a hole in it (which it never gets),
 * after SIGUSR2 nobody does.  Ends when it is unmounted.
 */
#include <err.h>
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "regress/lib/silentfuse.h"

#define FILE_NODE 2
#define WRITE_MAX (128u << 10)
#define HELD_MAX 64

static int dev;
static uint8_t *image;
static uint64_t image_bytes;
static volatile sig_atomic_t silent;         /* to these: an opcode, or 0 */
static struct fuse_in_header held[HELD_MAX]; /* that wait for their answer */
static unsigned nheld;

static void
answer(uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len),
		.error = error,
		.unique = unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) },
		{ (void *)(uintptr_t)body, len } };

	/* Who asked may be dead. */
	if (writev(dev, iov, 2) == -1 && errno != ENOENT)
		err(1, "answer");
}

static void
answer_late(const struct fuse_in_header *in)
{
	struct fuse_open_out opened = { .fh = 1 };

	if (in->opcode == FUSE_OPEN)
		answer(in->unique, 0, &opened, sizeof(opened));
	else
		answer(in->unique, -EOPNOTSUPP, NULL, 0);
}

static void
serve_late(const struct fuse_in_header *in)
{
	if (silent != (int)in->opcode)
		answer_late(in);
	else if (nheld < HELD_MAX)
		held[nheld++] = *in;
}

static void
attr_fill(struct fuse_attr *a, uint64_t node)
{
	a->ino = node;
	a->nlink = node == FILE_NODE ? 1 : 2;
	a->mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0755;
	a->size = node == FILE_NODE ? image_bytes : 0;
	a->blksize = 4096;
}

static void
serve_read(const struct fuse_in_header *in, const struct fuse_read_in *r)
{
	uint64_t n = r->size;

	if (r->offset >= image_bytes)
		n = 0;
	else if (n > image_bytes - r->offset)
		n = image_bytes - r->offset;
	answer(in->unique, 0, image + (n > 0 ? r->offset : 0), n);
}

static void
serve_write(const struct fuse_in_header *in, const struct fuse_write_in *w)
{
	struct fuse_write_out out = { .size = w->size };

	if (w->offset > image_bytes || w->size > image_bytes - w->offset) {
		answer(in->unique, -ENOSPC, NULL, 0);
		return;
	}
	memcpy(image + w->offset, w + 1, w->size);
	answer(in->unique, 0, &out, sizeof(out));
}

static void
serve(const struct fuse_in_header *in, const void *body)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = WRITE_MAX };
	struct fuse_entry_out entry = { .nodeid = FILE_NODE };
	struct fuse_attr_out attr = { .attr_valid = 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		attr_fill(&entry.attr, FILE_NODE);
		answer(in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		attr_fill(&attr.attr, in->nodeid);
		answer(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_FALLOCATE:
		serve_late(in);
		break;
	case FUSE_READ:
		serve_read(in, body);
		break;
	case FUSE_WRITE:
		serve_write(in, body);
		break;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
		answer(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* not even then */
		break;
	default:
		answer(in->unique, -ENOSYS, NULL, 0);
	}
}

static void
on_signal(int sig)
{
	silent = sig == SIGUSR1 ? FUSE_OPEN
	    : sig == SIGHUP     ? FUSE_FALLOCATE
				: 0;
}

static void
release(void)
{
	while (!silent && nheld > 0)
		answer_late(&held[--nheld]);
}

int
main(int argc, char **argv)
{
	_Alignas(8) static uint8_t buf[WRITE_MAX + 4096];
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t all, none;
	struct pollfd p;
	struct fuse_in_header in;
	ssize_t n;

	if (argc != 3)
		errx(2, "usage: fuseimage DIR BYTES");
	image_bytes = strtoull(argv[2], NULL, 10);
	image = mmap(NULL, image_bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image == MAP_FAILED)
		err(1, "%s bytes", argv[2]);
	sigemptyset(&none);
	sigemptyset(&all);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, SIGUSR2);
	sigaddset(&all, SIGHUP);
	sigprocmask(SIG_BLOCK, &all, NULL); /* they come in ppoll(2) only */
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if ((dev = silentfuse_mount(argv[1], ",allow_other")) == -1)
		err(1, "%s", argv[1]);
	puts("mounted");
	fflush(stdout);
	for (;;) {
		release();
		p = (struct pollfd){ .fd = dev, .events = POLLIN };
		if (ppoll(&p, 1, NULL, &none) == -1 && errno == EINTR)
			continue;
		n = read(dev, buf, sizeof(buf));
		if (n == -1 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(in))
			return (n == -1 && errno != ENODEV ? 1 : 0);
		memcpy(&in, buf, sizeof(in));
		serve(&in, buf + sizeof(in));
	}
}
