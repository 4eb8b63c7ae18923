/* SPDX-License-Identifier: ISC */
/* Bytes of many buffers as if they were one. */
#ifndef SHARED_IOV_H
#define SHARED_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/*
 * Copy len bytes from or to the row of buffers, from its byte off on; how many
 * there were.
 */
size_t iov_get(
    const struct iovec *, unsigned n, size_t off, void *, size_t len);
size_t iov_put(
    const struct iovec *, unsigned n, size_t off, const void *, size_t len);
/* Make the row shorter by so many bytes, which it has; the new n. */
unsigned iov_cut_front(struct iovec *, unsigned n, size_t bytes);
unsigned iov_cut_back(struct iovec *, unsigned n, size_t bytes);

#endif
