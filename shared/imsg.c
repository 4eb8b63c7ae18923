/* SPDX-License-Identifier: ISC */
/* Messages: making and taking apart; see imsg.h.  The socket: imsgbuf.c. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shared/imsg.h"

_Static_assert(sizeof(struct imsg_hdr) == 16, "16 bytes on the wire");

static int
fail(int code)
{
	errno = code;
	return (-1);
}

/* What a queued message holds of our memory. */
static size_t
ibuf_cost(const struct ibuf *msg)
{
	return (sizeof(*msg) + msg->size);
}

static bool
is_full(const struct imsgbuf *imsgbuf, const struct ibuf *msg)
{
	return (imsgbuf->queue_len > 0 &&
	    imsgbuf->queue_cost + ibuf_cost(msg) > imsgbuf->queue_limit);
}

struct ibuf *
imsg_create(
    struct imsgbuf *imsgbuf, uint32_t type, uint32_t id, pid_t pid, size_t len)
{
	struct imsg_hdr hdr = { .type = type, .peerid = id };
	struct ibuf *msg;

	if (len > imsgbuf->maxsize - IMSG_HEADER_SIZE) {
		errno = ERANGE;
		return (NULL);
	}
	if ((msg = ibuf_open(IMSG_HEADER_SIZE + len)) == NULL)
		return (NULL);
	if (is_full(imsgbuf, msg)) {
		ibuf_free(msg);
		errno = ENOBUFS;
		return (NULL);
	}
	hdr.pid = (uint32_t)(pid == 0 ? imsgbuf->pid : pid);
	ibuf_add(msg, &hdr, sizeof(hdr));
	return (msg);
}

int
imsg_add(struct ibuf *msg, const void *data, size_t len)
{
	if (ibuf_add(msg, data, len) == -1) {
		ibuf_free(msg);
		return (-1);
	}
	return ((int)len);
}

int
imsg_close(struct imsgbuf *imsgbuf, struct ibuf *msg)
{
	uint32_t len = (uint32_t)msg->wpos;
	int code = 0;

	if (msg->fd != -1 && !imsgbuf->allow_fdpass)
		code = EINVAL;
	else if (msg->wpos > imsgbuf->maxsize)
		code = ERANGE;
	else if (is_full(imsgbuf, msg))
		code = ENOBUFS;
	if (code != 0) {
		ibuf_free(msg);
		return (fail(code));
	}
	if (msg->fd != -1)
		len |= IMSG_FD_MARK;
	memcpy(msg->buf + offsetof(struct imsg_hdr, len), &len, sizeof(len));
	TAILQ_INSERT_TAIL(&imsgbuf->queue, msg, entry);
	imsgbuf->queue_len++;
	imsgbuf->queue_bytes += msg->wpos;
	imsgbuf->queue_cost += ibuf_cost(msg);
	return (1);
}

int
imsg_composev(struct imsgbuf *imsgbuf, uint32_t type, uint32_t id, pid_t pid,
    int fd, const struct iovec *iov, int niov)
{
	struct ibuf *msg;
	size_t len = 0;
	int i;

	if (fd != -1 && !imsgbuf->allow_fdpass)
		return (fail(EINVAL));
	for (i = 0; i < niov; i++) {
		if (iov[i].iov_len > MAX_IMSGSIZE - len)
			return (fail(ERANGE));
		len += iov[i].iov_len;
	}
	if ((msg = imsg_create(imsgbuf, type, id, pid, len)) == NULL)
		return (-1);
	for (i = 0; i < niov; i++)
		ibuf_add(msg, iov[i].iov_base, iov[i].iov_len);
	/* All that imsg_close() refuses was checked: fd is taken, or kept. */
	msg->fd = fd;
	return (imsg_close(imsgbuf, msg));
}

int
imsg_compose(struct imsgbuf *imsgbuf, uint32_t type, uint32_t id, pid_t pid,
    int fd, const void *data, size_t len)
{
	struct ibuf *msg;

	if (fd != -1 && !imsgbuf->allow_fdpass)
		return (fail(EINVAL));
	if ((msg = imsg_create(imsgbuf, type, id, pid, len)) == NULL)
		return (-1);
	ibuf_add(msg, data, len);
	msg->fd = fd;
	return (imsg_close(imsgbuf, msg));
}

int
imsg_forward(struct imsgbuf *imsgbuf, const struct imsg *imsg)
{
	return (imsg_compose(imsgbuf, imsg->hdr.type, imsg->hdr.peerid,
	    (pid_t)imsg->hdr.pid, -1, imsg->data,
	    imsg->hdr.len - IMSG_HEADER_SIZE));
}

void
imsg_free(struct imsg *imsg)
{
	ibuf_free(imsg->buf);
	imsg->buf = NULL;
	imsg->data = NULL;
}

uint32_t
imsg_get_type(const struct imsg *imsg)
{
	return (imsg->hdr.type);
}

uint32_t
imsg_get_id(const struct imsg *imsg)
{
	return (imsg->hdr.peerid);
}

pid_t
imsg_get_pid(const struct imsg *imsg)
{
	return ((pid_t)imsg->hdr.pid);
}

size_t
imsg_get_len(const struct imsg *imsg)
{
	return (ibuf_size(imsg->buf));
}

int
imsg_get_fd(struct imsg *imsg)
{
	return (ibuf_fd_get(imsg->buf));
}

int
imsg_get_data(struct imsg *imsg, void *data, size_t len)
{
	if (len == 0)
		return (fail(EINVAL));
	if (ibuf_size(imsg->buf) != len)
		return (fail(EBADMSG));
	return (ibuf_get(imsg->buf, data, len));
}

int
imsg_get_buf(struct imsg *imsg, void *data, size_t len)
{
	return (ibuf_get(imsg->buf, data, len));
}

int
imsg_get_strbuf(struct imsg *imsg, char *str, size_t len)
{
	return (ibuf_get_strbuf(imsg->buf, str, len));
}

int
imsg_get_ibuf(struct imsg *imsg, struct ibuf *ibuf)
{
	size_t len = ibuf_size(imsg->buf);

	if (len == 0)
		return (fail(EBADMSG));
	ibuf_from_buffer(ibuf, ibuf_data(imsg->buf), len);
	return (ibuf_skip(imsg->buf, len));
}
