/* SPDX-License-Identifier: ISC */
/*
 * Messages: the connection; see imsg.h.
 * Runs in: every process.  Trusts: nobody at the other end.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/imsg.h"

#define SCM_FDS_MAX 253 /* of one sendmsg(2): the kernel's SCM_MAX_FD */
#define WRITE_IOVS 64

union fd_control {
	struct cmsghdr hdr;
	unsigned char room[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
};

/* Asked once: a sandbox need not allow it for links that come later. */
static pid_t
own_pid(void)
{
	static _Atomic pid_t pid;

	if (pid == 0)
		pid = getpid();
	return (pid);
}

int
imsgbuf_init(struct imsgbuf *imsgbuf, int fd)
{
	memset(imsgbuf, 0, sizeof(*imsgbuf));
	TAILQ_INIT(&imsgbuf->queue);
	if ((imsgbuf->rbuf = malloc(IMSG_READ_BYTES)) == NULL)
		return (-1);
	imsgbuf->queue_limit = IMSG_QUEUE_BYTES;
	imsgbuf->maxsize = MAX_IMSGSIZE;
	imsgbuf->pid = own_pid();
	imsgbuf->fd = fd;
	return (0);
}

void
imsgbuf_allow_fdpass(struct imsgbuf *imsgbuf)
{
	imsgbuf->allow_fdpass = imsgbuf->take_fds = 1;
}

void
imsgbuf_refuse_fds(struct imsgbuf *imsgbuf)
{
	imsgbuf->take_fds = 0;
}

int
imsgbuf_set_maxsize(struct imsgbuf *imsgbuf, uint32_t max)
{
	if (max < IMSG_HEADER_SIZE || max > MAX_IMSGSIZE) {
		errno = EINVAL;
		return (-1);
	}
	imsgbuf->maxsize = max;
	return (0);
}

void
imsgbuf_set_queuelimit(struct imsgbuf *imsgbuf, size_t bytes)
{
	imsgbuf->queue_limit = bytes;
}

static void
drop_fds(struct imsgbuf *imsgbuf)
{
	while (imsgbuf->nfds > 0)
		close(imsgbuf->fds[--imsgbuf->nfds]);
}

static void
queue_drop_first(struct imsgbuf *imsgbuf)
{
	struct ibuf *msg = TAILQ_FIRST(&imsgbuf->queue);

	TAILQ_REMOVE(&imsgbuf->queue, msg, entry);
	imsgbuf->queue_len--;
	imsgbuf->queue_cost -= sizeof(*msg) + msg->size;
	ibuf_free(msg);
}

void
imsgbuf_clear(struct imsgbuf *imsgbuf)
{
	while (imsgbuf->queue_len > 0)
		queue_drop_first(imsgbuf);
	imsgbuf->queue_bytes = 0;
	drop_fds(imsgbuf);
	free(imsgbuf->rbuf);
	imsgbuf->rbuf = NULL;
	imsgbuf->rpos = imsgbuf->wpos = 0;
	imsgbuf->read_errno = EBADF; /* whoever goes on using it */
	imsgbuf->fd = -1;
}

/* The peer broke the rules: nothing of it is read again. */
static int
read_fail(struct imsgbuf *imsgbuf, int code)
{
	drop_fds(imsgbuf);
	imsgbuf->read_errno = errno = code;
	return (-1);
}

/* Queue the fds of one recvmsg(2), or close them all: 0 or -1. */
static int
take_fds(struct imsgbuf *imsgbuf, struct msghdr *mh)
{
	struct cmsghdr *c;
	int fd, code = 0;
	size_t i, n;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (imsgbuf->nfds < IMSG_READ_FDS)
				imsgbuf->fds[imsgbuf->nfds++] = fd;
			else {
				close(fd);
				code = EBADMSG;
			}
		}
	}
	/* With room for all, the kernel cuts only what it cannot install. */
	if (code == 0 && (mh->msg_flags & MSG_CTRUNC) != 0)
		code = imsgbuf->take_fds ? EMFILE : EBADMSG;
	return (code == 0 ? 0 : read_fail(imsgbuf, code));
}

/* Move what is left to the front of the buffer. */
static void
rbuf_pack(struct imsgbuf *imsgbuf)
{
	size_t left = imsgbuf->wpos - imsgbuf->rpos;

	if (imsgbuf->rpos > 0 && left > 0)
		memmove(imsgbuf->rbuf, imsgbuf->rbuf + imsgbuf->rpos, left);
	imsgbuf->rpos = 0;
	imsgbuf->wpos = left;
}

int
imsgbuf_read(struct imsgbuf *imsgbuf)
{
	union fd_control ctl;
	struct msghdr mh = { 0 };
	struct iovec iov;
	ssize_t n;

	if (imsgbuf->read_errno != 0) {
		errno = imsgbuf->read_errno;
		return (-1);
	}
	rbuf_pack(imsgbuf);
	if (imsgbuf->wpos == IMSG_READ_BYTES) {
		errno = ENOBUFS;
		return (-1);
	}
	iov.iov_base = imsgbuf->rbuf + imsgbuf->wpos;
	iov.iov_len = IMSG_READ_BYTES - imsgbuf->wpos;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	mh.msg_control = imsgbuf->take_fds ? ctl.room : NULL;
	mh.msg_controllen = imsgbuf->take_fds ? sizeof(ctl.room) : 0;
	do
		n = recvmsg(imsgbuf->fd, &mh, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return (1);
	/* It closed with bytes of ours unread (unix(7)): a close, too. */
	if (n == -1)
		return (errno == ECONNRESET ? 0 : -1);
	if (take_fds(imsgbuf, &mh) == -1)
		return (-1);
	imsgbuf->wpos += (size_t)n;
	return (n > 0 ? 1 : 0);
}

/*
 * No whole message is left of what came.  An fd travels with the first byte of
 * its message, so one may wait for the rest, and no other.
 */
static int
check_rest(struct imsgbuf *imsgbuf, const struct imsg_hdr *hdr, size_t left)
{
	unsigned may = left > 0;

	if (hdr != NULL && (hdr->len & IMSG_FD_MARK) == 0)
		may = 0;
	return (imsgbuf->nfds <= may ? 0 : read_fail(imsgbuf, EBADMSG));
}

/* A whole message of len bytes with its fd; 1 or -1. */
static int
take_msg(struct imsgbuf *imsgbuf, struct imsg *imsg, size_t len, int has_fd)
{
	const unsigned char *from = imsgbuf->rbuf + imsgbuf->rpos;
	struct ibuf *buf;

	if (has_fd && imsgbuf->nfds == 0)
		return (read_fail(imsgbuf, EBADMSG));
	len -= IMSG_HEADER_SIZE;
	if ((buf = ibuf_open(len)) == NULL)
		return (read_fail(imsgbuf, ENOMEM));
	ibuf_add(buf, from + IMSG_HEADER_SIZE, len);
	if (has_fd) {
		buf->fd = imsgbuf->fds[0];
		imsgbuf->nfds--;
		memmove(imsgbuf->fds, imsgbuf->fds + 1,
		    imsgbuf->nfds * sizeof(int));
	}
	imsg->buf = buf;
	imsg->data = len > 0 ? buf->buf : NULL;
	return (1);
}

int
imsgbuf_get(struct imsgbuf *imsgbuf, struct imsg *imsg)
{
	size_t left = imsgbuf->wpos - imsgbuf->rpos;
	struct imsg_hdr hdr;
	uint32_t len;

	memset(imsg, 0, sizeof(*imsg));
	if (imsgbuf->read_errno != 0) {
		errno = imsgbuf->read_errno;
		return (-1);
	}
	if (left < IMSG_HEADER_SIZE)
		return (check_rest(imsgbuf, NULL, left));
	memcpy(&hdr, imsgbuf->rbuf + imsgbuf->rpos, sizeof(hdr));
	len = hdr.len & ~IMSG_FD_MARK;
	if (len < IMSG_HEADER_SIZE)
		return (read_fail(imsgbuf, EBADMSG));
	if (len > imsgbuf->maxsize)
		return (read_fail(imsgbuf, ERANGE));
	if (left < len)
		return (check_rest(imsgbuf, &hdr, left));
	if (take_msg(imsgbuf, imsg, len, len != hdr.len) == -1)
		return (-1);
	imsgbuf->rpos += len;
	imsg->hdr = hdr;
	imsg->hdr.len = len;
	return (1);
}

ssize_t
imsg_get(struct imsgbuf *imsgbuf, struct imsg *imsg)
{
	int r = imsgbuf_get(imsgbuf, imsg);

	return (r == 1 ? (ssize_t)imsg->hdr.len : r);
}

/*
 * Gather the head of the queue.  An fd goes with the first byte of a
 * sendmsg(2), so the message that has one starts it.
 */
static int
gather(struct imsgbuf *imsgbuf, struct iovec *iov)
{
	struct ibuf *msg;
	int n = 0;

	msg = TAILQ_FIRST(&imsgbuf->queue);
	for (; msg != NULL && n < WRITE_IOVS; msg = TAILQ_NEXT(msg, entry)) {
		if (n > 0 && msg->fd != -1)
			break;
		iov[n].iov_base = ibuf_data(msg);
		iov[n++].iov_len = ibuf_size(msg);
	}
	return (n);
}

/* n bytes are out: step over them, free the messages that are out whole. */
static void
drained(struct imsgbuf *imsgbuf, size_t n)
{
	struct ibuf *msg;

	imsgbuf->queue_bytes -= n;
	while ((msg = TAILQ_FIRST(&imsgbuf->queue)) != NULL && n > 0) {
		ibuf_fd_set(msg, -1); /* its first byte took the fd along */
		if (n < ibuf_size(msg)) {
			ibuf_skip(msg, n);
			return;
		}
		n -= ibuf_size(msg);
		queue_drop_first(imsgbuf);
	}
}

static void
attach_fd(struct msghdr *mh, union fd_control *ctl, int fd)
{
	memset(ctl->room, 0, CMSG_SPACE(sizeof(int)));
	mh->msg_control = ctl->room;
	mh->msg_controllen = CMSG_SPACE(sizeof(int));
	ctl->hdr.cmsg_level = SOL_SOCKET;
	ctl->hdr.cmsg_type = SCM_RIGHTS;
	ctl->hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl->hdr), &fd, sizeof(fd));
}

int
imsgbuf_write(struct imsgbuf *imsgbuf)
{
	struct iovec iov[WRITE_IOVS];
	union fd_control ctl;
	struct msghdr mh;
	ssize_t n;

	while (imsgbuf->queue_len > 0) {
		memset(&mh, 0, sizeof(mh));
		mh.msg_iov = iov;
		mh.msg_iovlen = (size_t)gather(imsgbuf, iov);
		if (TAILQ_FIRST(&imsgbuf->queue)->fd != -1)
			attach_fd(&mh, &ctl, TAILQ_FIRST(&imsgbuf->queue)->fd);
		n = sendmsg(imsgbuf->fd, &mh, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (
			    errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1);
		drained(imsgbuf, (size_t)n);
	}
	return (0);
}

int
imsgbuf_flush(struct imsgbuf *imsgbuf)
{
	struct pollfd pfd = { .fd = imsgbuf->fd, .events = POLLOUT };

	while (imsgbuf->queue_len > 0) {
		if (imsgbuf_write(imsgbuf) == -1)
			return (-1);
		if (imsgbuf->queue_len > 0 && poll(&pfd, 1, -1) == -1 &&
		    errno != EINTR)
			return (-1);
	}
	return (0);
}

uint32_t
imsgbuf_queuelen(const struct imsgbuf *imsgbuf)
{
	return (imsgbuf->queue_len);
}

size_t
imsgbuf_queuebytes(const struct imsgbuf *imsgbuf)
{
	return (imsgbuf->queue_bytes);
}
