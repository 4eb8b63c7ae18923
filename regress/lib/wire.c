/* SPDX-License-Identifier: ISC */
/* The other end of a link, for tests: see wire.h. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "regress/lib/wire.h"

#define LIMIT_MS 10000

void
wire_init(struct wire *w, int fd)
{
	w->fd = fd;
	if (imsgbuf_init(&w->buf, fd) == -1)
		tap_fail(__FILE__, __LINE__, "imsgbuf_init");
	imsgbuf_allow_fdpass(&w->buf);
}

void
wire_close(struct wire *w)
{
	if (w->fd == -1)
		return;
	imsgbuf_clear(&w->buf);
	close(w->fd);
	w->fd = -1;
}

void
wire_send(struct wire *w, uint32_t type, uint32_t reqno, int fd,
    const void *body, size_t len)
{
	if (imsg_compose(&w->buf, type, reqno, 0, fd, body, len) != 1 ||
	    imsgbuf_flush(&w->buf) == -1)
		tap_fail(__FILE__, __LINE__, "cannot send %s", msg_name(type));
}

void
wire_offer(struct wire *w, uint32_t type, const void *body, size_t len)
{
	if (imsg_compose(&w->buf, type, 0, 0, -1, body, len) != 1)
		tap_fail(__FILE__, __LINE__, "cannot make %s", msg_name(type));
	if (imsgbuf_flush(&w->buf) == -1 && errno != EPIPE &&
	    errno != ECONNRESET)
		tap_fail(__FILE__, __LINE__, "cannot send %s", msg_name(type));
}

void
wire_send_chunk(
    struct wire *w, uint32_t type, uint32_t chan, const void *data, size_t len)
{
	struct msg_chunk head = { .chan = chan, .len = len };
	struct iovec iov[2] = {
		{ &head, sizeof(head) },
		{ (void *)(uintptr_t)data, len },
	};

	if (imsg_composev(&w->buf, type, 0, 0, -1, iov, 2) != 1 ||
	    imsgbuf_flush(&w->buf) == -1)
		tap_fail(__FILE__, __LINE__, "cannot send %s", msg_name(type));
}

static int
wire_take(struct wire *w, struct wire_msg *m)
{
	struct imsg imsg;

	if (imsgbuf_get(&w->buf, &imsg) != 1)
		return (0);
	memset(m, 0, sizeof(*m));
	m->type = imsg_get_type(&imsg);
	m->reqno = imsg_get_id(&imsg);
	m->len = imsg_get_len(&imsg);
	m->fd = imsg_get_fd(&imsg);
	if (m->len > 0)
		imsg_get_data(&imsg, m->raw, m->len);
	imsg_free(&imsg);
	return (1);
}

static int
wire_wait(struct wire *w, struct wire_msg *m, int limit_ms)
{
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };

	for (;;) {
		if (wire_take(w, m))
			return (1);
		if (poll(&pfd, 1, limit_ms) != 1 || imsgbuf_read(&w->buf) != 1)
			return (0);
	}
}

int
wire_recv(struct wire *w, struct wire_msg *m)
{
	return (wire_wait(w, m, LIMIT_MS));
}

int
wire_poll(struct wire *w, struct wire_msg *m)
{
	return (wire_wait(w, m, 0));
}

int
wire_expect(struct wire *w, uint32_t type, struct wire_msg *m)
{
	while (wire_recv(w, m)) {
		if (m->type == type)
			return (1);
		if (m->fd != -1)
			close(m->fd);
	}
	tap_fail(__FILE__, __LINE__, "%s does not come", msg_name(type));
	memset(m, 0, sizeof(*m));
	m->fd = -1;
	return (0);
}
