/* SPDX-License-Identifier: ISC */
/*
 * Message buffers: see imsg.h.
 * Full-size ones, as a console stream uses by the thousand, come from a short
 * free list; small ones are best served by malloc(3)'s own.
 */
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/imsg.h"

#define BIG_BYTES MAX_IMSGSIZE
#define SMALL_BYTES 4096 /* above it, a buffer has BIG_BYTES */
#define SPARE_MAX 4      /* 64 KiB at rest in a process */

struct big_ibuf {
	struct ibuf head;
	alignas(max_align_t) unsigned char room[];
};

static pthread_mutex_t spare_mtx = PTHREAD_MUTEX_INITIALIZER;
static struct ibufqueue spares = TAILQ_HEAD_INITIALIZER(spares);
static unsigned nspares; /* lock: spare_mtx, as spares */

static struct ibuf *
spare_take(void)
{
	struct ibuf *buf;

	pthread_mutex_lock(&spare_mtx);
	if ((buf = TAILQ_FIRST(&spares)) != NULL) {
		TAILQ_REMOVE(&spares, buf, entry);
		nspares--;
	}
	pthread_mutex_unlock(&spare_mtx);
	return (buf);
}

static int
spare_put(struct ibuf *buf)
{
	int kept = 0;

	if (buf->size != BIG_BYTES)
		return (0);
	pthread_mutex_lock(&spare_mtx);
	if (nspares < SPARE_MAX) {
		TAILQ_INSERT_HEAD(&spares, buf, entry);
		nspares++;
		kept = 1;
	}
	pthread_mutex_unlock(&spare_mtx);
	return (kept);
}

struct ibuf *
ibuf_open(size_t len)
{
	struct ibuf *buf = NULL;
	struct big_ibuf *b;

	if (len > BIG_BYTES) {
		errno = ERANGE;
		return (NULL);
	}
	if (len > SMALL_BYTES) {
		len = BIG_BYTES;
		buf = spare_take();
	}
	if (buf == NULL) {
		if ((b = malloc(sizeof(*b) + len)) == NULL)
			return (NULL);
		buf = &b->head;
		buf->buf = b->room;
		buf->size = len;
	}
	buf->wpos = buf->rpos = 0;
	buf->fd = -1;
	return (buf);
}

void
ibuf_free(struct ibuf *buf)
{
	int saved = errno;

	if (buf == NULL)
		return;
	if (buf->fd != -1)
		close(buf->fd);
	if (!spare_put(buf))
		free(buf); /* head is the first member of what was allocated */
	errno = saved;
}

int
ibuf_add(struct ibuf *buf, const void *data, size_t len)
{
	if (len > buf->size - buf->wpos) {
		errno = ERANGE;
		return (-1);
	}
	if (len > 0)
		memcpy(buf->buf + buf->wpos, data, len);
	buf->wpos += len;
	return (0);
}

size_t
ibuf_size(const struct ibuf *buf)
{
	return (buf->wpos - buf->rpos);
}

void *
ibuf_data(const struct ibuf *buf)
{
	return (buf->buf + buf->rpos);
}

int
ibuf_skip(struct ibuf *buf, size_t len)
{
	if (len > ibuf_size(buf)) {
		errno = EBADMSG;
		return (-1);
	}
	buf->rpos += len;
	return (0);
}

int
ibuf_get(struct ibuf *buf, void *data, size_t len)
{
	const void *from = ibuf_data(buf);

	if (ibuf_skip(buf, len) == -1)
		return (-1);
	if (len > 0)
		memcpy(data, from, len);
	return (0);
}

int
ibuf_get_strbuf(struct ibuf *buf, char *str, size_t len)
{
	if (len == 0) {
		errno = EINVAL;
		return (-1);
	}
	if (ibuf_get(buf, str, len) == -1)
		return (-1);
	if (memchr(str, '\0', len) == NULL) {
		str[len - 1] = '\0';
		errno = EOVERFLOW;
		return (-1);
	}
	return (0);
}

void
ibuf_from_buffer(struct ibuf *buf, void *data, size_t len)
{
	memset(buf, 0, sizeof(*buf));
	buf->buf = data;
	buf->size = buf->wpos = len;
	buf->fd = -1;
}

void
ibuf_fd_set(struct ibuf *buf, int fd)
{
	if (buf->fd != -1)
		close(buf->fd);
	buf->fd = fd;
}

int
ibuf_fd_get(struct ibuf *buf)
{
	int fd = buf->fd;

	buf->fd = -1;
	return (fd);
}
