/* SPDX-License-Identifier: ISC */
/* shared/fd.h */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "shared/fd.h"

#define SHAPE (F_SEAL_SHRINK | F_SEAL_GROW)

static void
test_move(void)
{
	int fd = open("/dev/null", O_RDONLY), copy = fd, got;

	got = fd_move(&fd);
	CHECK_EQ(got, copy);
	CHECK_EQ(fd, -1);
	errno = ENOENT;
	fd_close(&fd);
	fd_close(&got);
	CHECK_EQ(got, -1);
	got = 100000; /* not open */
	fd_close(&got);
	CHECK_EQ(got, -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_EQ(fcntl(copy, F_GETFD), -1);
}

static void
test_flags(void)
{
	int p[2];

	REQUIRE(pipe(p) == 0);
	CHECK_EQ(fd_set_nonblock(p[0]), 0);
	CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	CHECK_EQ(fd_cloexec(p[0]), 0);
	CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	close(p[0]);
	close(p[1]);
	CHECK_EQ(fd_set_nonblock(p[0]), -1);
	CHECK_EQ(fd_cloexec(p[0]), -1);
}

static void
test_memfd(void)
{
	struct stat st;
	int fd;

	REQUIRE((fd = memfd_sealed("t", 8192, SHAPE)) != -1);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 8192);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GET_SEALS) & (SHAPE | F_SEAL_SEAL),
	    SHAPE | F_SEAL_SEAL);
	CHECK_EQ(ftruncate(fd, 4096), -1);
	CHECK_EQ(ftruncate(fd, 16384), -1);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	close(fd);
	CHECK_EQ(memfd_sealed("t", UINT64_MAX, SHAPE), -1);
	CHECK_EQ(errno, EFBIG);
}

/* What the maker maps is the only writable view. */
static void
test_memfd_map(void)
{
	void *map = NULL, *ro;
	int fd;

	fd = memfd_sealed_map("t", 4096, SHAPE | F_SEAL_FUTURE_WRITE, &map);
	REQUIRE(fd != -1);
	strcpy(map, "hello");
	CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
	CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(ro != MAP_FAILED);
	CHECK_STR((char *)ro, "hello");
	CHECK_EQ(mprotect(ro, 4096, PROT_READ | PROT_WRITE), -1);
	munmap(ro, 4096);
	munmap(map, 4096);
	close(fd);
	CHECK_EQ(memfd_sealed_map("t", 0, SHAPE, &map), -1);
}

static char big[1 << 20], got[1 << 20];

static void *
sender(void *arg)
{
	int *fd = arg;

	CHECK_EQ(sendall(*fd, big, sizeof(big)), 0);
	fd_close(fd);
	return (NULL);
}

/* Far more than the socket holds, neither end blocks. */
static void
test_all(void)
{
	pthread_t t;
	int sv[2];

	REQUIRE(fd_socketpair(sv) == 0);
	CHECK(fcntl(sv[0], F_GETFL) & O_NONBLOCK);
	CHECK_EQ(fcntl(sv[1], F_GETFD), FD_CLOEXEC);
	memset(big, 'x', sizeof(big));
	pthread_create(&t, NULL, sender, &sv[0]);
	CHECK_EQ(readall(sv[1], got, 1000), 1000);
	CHECK_EQ(
	    readall(sv[1], got + 1000, sizeof(got) - 1000), sizeof(got) - 1000);
	pthread_join(t, NULL);
	CHECK_EQ(memcmp(big, got, sizeof(big)), 0);
	CHECK_EQ(readall(sv[1], got, 1), 0);
	CHECK_EQ(sendall(sv[1], "x", 1), -1); /* and no SIGPIPE */
	CHECK_EQ(errno, EPIPE);
	close(sv[1]);
	CHECK_EQ(readall(sv[1], got, 1), -1);
	CHECK_EQ(errno, EBADF);
}

static const struct tap_case cases[] = {
	{ "fd move and close", test_move },
	{ "fd flags", test_flags },
	{ "fd sealed memfd", test_memfd },
	{ "fd memfd with one writable view", test_memfd_map },
	{ "fd sendall, readall", test_all },
};

TAP_MAIN(cases)
