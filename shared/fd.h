/* SPDX-License-Identifier: ISC */
/*
 * File descriptors.  An fd has one owner; the variable of who does not own one
 * holds -1.  Thin wrappers: -1 with errno unless said otherwise.  Any thread.
 */
#ifndef SHARED_FD_H
#define SHARED_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Gives *fd and leaves -1 there: how an fd changes its owner. */
int fd_move(int *fd);
/* Close *fd if there is one and leave -1 there; errno stays as it was. */
void fd_close(int *fd);
int fd_set_nonblock(int fd);
int fd_cloexec(int fd);

/*
 * A connected pair of AF_UNIX SOCK_STREAM sockets for imsg, both close-on-exec
 * and non-blocking; sv is { -1, -1 } after a failure.
 */
int fd_socketpair(int sv[2]);

/*
 * A memory file of size_bytes, close-on-exec, no exec bit where the kernel
 * knows MFD_NOEXEC_SEAL, with seals (F_SEAL_*) and F_SEAL_SEAL set.  The name
 * is for /proc only.  Gives the fd.
 */
int memfd_sealed(const char *name, uint64_t size_bytes, unsigned seals);
/* The same, of a size that is settled, and open to further seals. */
int memfd_lent(const char *name, uint64_t size_bytes);
/*
 * A sealed one, mapped shared and writable at *map (size_bytes > 0; the caller
 * unmaps) before it is sealed: with F_SEAL_FUTURE_WRITE this mapping stays the
 * only writable one, whoever gets the fd.
 */
int memfd_sealed_map(
    const char *name, uint64_t size_bytes, unsigned seals, void **map);

/*
 * Send all len bytes to a socket without SIGPIPE, waiting in poll(2) where it
 * does not block.  0 or -1.
 */
int sendall(int fd, const void *data, size_t len);
/*
 * Read until len bytes are there or the file ends, waiting likewise: the bytes
 * read (less than len: the end came), or -1.
 */
ssize_t readall(int fd, void *data, size_t len);

#endif
