/* SPDX-License-Identifier: ISC */
/* Bytes of many buffers as if they were one: see iov.h. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shared/iov.h"

static size_t
copy(const struct iovec *v, unsigned n, size_t off, uint8_t *buf, size_t len,
    bool put)
{
	size_t done = 0, part;
	uint8_t *p;
	unsigned i;

	for (i = 0; i < n && done < len; i++) {
		if (off >= v[i].iov_len) {
			off -= v[i].iov_len;
			continue;
		}
		p = (uint8_t *)v[i].iov_base + off;
		part = v[i].iov_len - off;
		if (part > len - done)
			part = len - done;
		memcpy(put ? p : buf + done, put ? buf + done : p, part);
		done += part;
		off = 0;
	}
	return (done);
}

size_t
iov_get(const struct iovec *v, unsigned n, size_t off, void *buf, size_t len)
{
	return (copy(v, n, off, buf, len, false));
}

size_t
iov_put(
    const struct iovec *v, unsigned n, size_t off, const void *buf, size_t len)
{
	/* copy() only reads it then. */
	return (copy(v, n, off, (uint8_t *)(uintptr_t)buf, len, true));
}

unsigned
iov_cut_front(struct iovec *v, unsigned n, size_t bytes)
{
	unsigned i;

	for (i = 0; i < n && bytes >= v[i].iov_len; i++)
		bytes -= v[i].iov_len;
	if (i > 0)
		memmove(v, v + i, (n - i) * sizeof(*v));
	if (n > i) {
		v[0].iov_base = (uint8_t *)v[0].iov_base + bytes;
		v[0].iov_len -= bytes;
	}
	return (n - i);
}

unsigned
iov_cut_back(struct iovec *v, unsigned n, size_t bytes)
{
	while (n > 0 && bytes >= v[n - 1].iov_len)
		bytes -= v[--n].iov_len;
	if (n > 0)
		v[n - 1].iov_len -= bytes;
	return (n);
}
