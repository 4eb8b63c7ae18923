/* SPDX-License-Identifier: ISC */
/* Bytes on their way to standard output: see out.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/ctl/out.h"
#include "shared/fd.h"

/* poll(2) promises a pipe's PIPE_BUF, and as much is moderate for the rest. */
#define CHUNK_BYTES 4096

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	out_flush(arg);
}

/*
 * O_NONBLOCK belongs to the open file, which we share with the shell and
 * whoever else writes there.  So open it anew for ourselves; where that is not
 * allowed (a socket, another user's terminal) we write little at a time.
 */
static int
own_description(int fd)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) == -1 ||
	    (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode)))
		return (-1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

int
out_init(
    struct out *o, struct event_base *base, int fd, size_t size, struct err *e)
{
	o->own_fd = own_description(fd);
	o->fd = o->own_fd != -1 ? o->own_fd : fd;
	o->size = size;
	o->head = o->len = 0;
	o->buf = malloc(size);
	o->ev = event_new(base, o->fd, EV_WRITE, on_writable, o);
	if (o->buf == NULL || o->ev == NULL) {
		out_fini(o);
		return (err_set(e, ENOMEM, "no memory for the console"));
	}
	return (0);
}

void
out_fini(struct out *o)
{
	if (o->ev != NULL)
		event_free(o->ev);
	o->ev = NULL;
	free(o->buf);
	o->buf = NULL;
	fd_close(&o->own_fd);
}

bool
out_put(struct out *o, const void *data, size_t n)
{
	size_t tail = (o->head + o->len) % o->size;
	size_t first = o->size - tail;

	if (n > o->size - o->len)
		return (false);
	if (first > n)
		first = n;
	memcpy(o->buf + tail, data, first);
	memcpy(o->buf, (const uint8_t *)data + first, n - first);
	o->len += n;
	return (true);
}

/* May a write of CHUNK_BYTES begin?  One that waits for nobody may always. */
static bool
writable(const struct out *o)
{
	struct pollfd pfd = { .fd = o->fd, .events = POLLOUT };

	return (o->own_fd != -1 || poll(&pfd, 1, 0) != 0);
}

void
out_flush(struct out *o)
{
	size_t want, done = 0;
	ssize_t n;

	while (o->len > 0 && writable(o)) {
		want = o->size - o->head;
		if (want > o->len)
			want = o->len;
		if (o->own_fd == -1 && want > CHUNK_BYTES)
			want = CHUNK_BYTES;
		n = write(o->fd, o->buf + o->head, want);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1) {
			o->len = 0;
			o->failed(o->ctx, errno);
			return;
		}
		o->head = (o->head + (size_t)n) % o->size;
		o->len -= (size_t)n;
		done += (size_t)n;
	}
	if (o->len > 0)
		event_add(o->ev, NULL);
	if (done > 0)
		o->wrote(o->ctx, done);
}
