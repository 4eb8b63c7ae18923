/* SPDX-License-Identifier: ISC */
/*
 * A hostile peer on an imsg connection.  Input: a run of sends, each a byte for
 * the fds it brings along (0 to 7; 8: read by the other side in between; 16:
 * close at the end), a byte for its length, and that many bytes.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/imsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lowest fd that is free: as long as it stays, none leaks. */
static int
lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return (fd);
}

static void
put(int sock, int passed, const uint8_t *data, size_t len, size_t nfds)
{
	union {
		struct cmsghdr hdr;
		unsigned char room[CMSG_SPACE(7 * sizeof(int))];
	} c;
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t i;

	memset(&c, 0, sizeof(c));
	if (nfds > 0) {
		mh.msg_control = c.room;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c.hdr.cmsg_level = SOL_SOCKET;
		c.hdr.cmsg_type = SCM_RIGHTS;
		c.hdr.cmsg_len = CMSG_LEN(nfds * sizeof(int));
	}
	for (i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(&c.hdr) + i * sizeof(int), &passed,
		    sizeof(passed));
	if (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		return;
}

/* What every message must hold, whoever sent it. */
static void
use(struct imsg *m, struct imsgbuf *back)
{
	size_t len = imsg_get_len(m);
	char part[16];
	struct ibuf view;
	int fd;

	if (m->hdr.len > MAX_IMSGSIZE || len + IMSG_HEADER_SIZE != m->hdr.len ||
	    (m->data == NULL) != (len == 0))
		abort();
	if (imsg_forward(back, m) == -1)
		abort();
	if (imsg_get_type(m) % 2 && (fd = imsg_get_fd(m)) != -1)
		close(fd);
	if (imsg_get_buf(m, part, 3) == 0 &&
	    imsg_get_strbuf(m, part, sizeof(part)) == 0 && strlen(part) > 15)
		abort();
	if (imsg_get_ibuf(m, &view) == 0 && ibuf_size(&view) > len)
		abort();
	imsg_free(m);
}

/* 0 to go on. */
static int
serve(struct imsgbuf *in, struct imsgbuf *back)
{
	struct imsg m;
	int r;

	if (imsgbuf_read(in) != 1)
		return (-1);
	while ((r = imsgbuf_get(in, &m)) == 1)
		use(&m, back);
	if (r == 0 && in->wpos - in->rpos >= MAX_IMSGSIZE)
		abort(); /* a whole message must have been in there */
	return (r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imsgbuf in, back;
	int sv[2], first = lowest_free(), bye = 0, r = 0;
	size_t len;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1 ||
	    imsgbuf_init(&in, sv[1]) == -1 || imsgbuf_init(&back, sv[1]) == -1)
		abort();
	imsgbuf_allow_fdpass(&in);
	while (size >= 2 && r == 0) {
		len = data[1] < size - 2 ? data[1] : size - 2;
		put(sv[0], sv[0], data + 2, len, data[0] & 7);
		if (data[0] & 8)
			r = serve(&in, &back);
		bye |= data[0] & 16;
		data += 2 + len;
		size -= 2 + len;
	}
	if (bye)
		shutdown(sv[0], SHUT_WR);
	while (r == 0 && (r = serve(&in, &back)) == 0 && bye)
		;
	if (imsgbuf_write(&back) == -1)
		abort();
	imsgbuf_clear(&in);
	imsgbuf_clear(&back);
	close(sv[0]);
	close(sv[1]);
	if (lowest_free() != first)
		abort();
	return (0);
}
