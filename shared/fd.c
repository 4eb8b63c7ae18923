/* SPDX-License-Identifier: ISC */
/* File descriptors: see fd.h. */
#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "shared/fd.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* linux 6.3 */
#endif

int
fd_move(int *fd)
{
	int r = *fd;

	*fd = -1;
	return (r);
}

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(fd_move(fd));
	errno = saved;
}

int
fd_set_nonblock(int fd)
{
	int flags;

	if ((flags = fcntl(fd, F_GETFL)) == -1)
		return (-1);
	return (fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -1 : 0);
}

int
fd_cloexec(int fd)
{
	int flags;

	if ((flags = fcntl(fd, F_GETFD)) == -1)
		return (-1);
	return (fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == -1 ? -1 : 0);
}

int
fd_socketpair(int sv[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		sv) == 0)
		return (0);
	sv[0] = sv[1] = -1;
	return (-1);
}

static int
memfd_sized(const char *name, uint64_t size_bytes)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (size_bytes > INT64_MAX) {
		errno = EFBIG;
		return (-1);
	}
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL) /* before linux 6.3 */
		fd = memfd_create(name, flags);
	if (fd != -1 && ftruncate(fd, (off_t)size_bytes) == -1)
		fd_close(&fd);
	return (fd);
}

int
memfd_sealed(const char *name, uint64_t size_bytes, unsigned seals)
{
	int fd;

	if ((fd = memfd_sized(name, size_bytes)) == -1)
		return (-1);
	if (fcntl(fd, F_ADD_SEALS, (int)(seals | F_SEAL_SEAL)) == -1)
		fd_close(&fd);
	return (fd);
}

int
memfd_lent(const char *name, uint64_t size_bytes)
{
	int fd;

	if ((fd = memfd_sized(name, size_bytes)) == -1)
		return (-1);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1)
		fd_close(&fd);
	return (fd);
}

int
memfd_sealed_map(
    const char *name, uint64_t size_bytes, unsigned seals, void **map)
{
	void *p;
	int fd;

	if ((fd = memfd_sized(name, size_bytes)) == -1)
		return (-1);
	p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED &&
	    fcntl(fd, F_ADD_SEALS, (int)(seals | F_SEAL_SEAL)) == 0) {
		*map = p;
		return (fd);
	}
	fd_close(&fd);
	if (p != MAP_FAILED)
		munmap(p, size_bytes);
	return (-1);
}

/* After EINTR or EAGAIN: 0 when it is worth another try. */
static int
wait_for(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	if (errno == EINTR)
		return (0);
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return (-1);
	return (poll(&pfd, 1, -1) == -1 && errno != EINTR ? -1 : 0);
}

int
sendall(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n == -1 && wait_for(fd, POLLOUT) == -1)
			return (-1);
		if (n == -1)
			continue;
		p += n;
		len -= (size_t)n;
	}
	return (0);
}

ssize_t
readall(int fd, void *data, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = read(fd, (char *)data + have, len - have);
		if (n == 0)
			break;
		if (n == -1 && wait_for(fd, POLLIN) == -1)
			return (-1);
		if (n > 0)
			have += (size_t)n;
	}
	return ((ssize_t)have);
}
