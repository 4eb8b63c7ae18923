/* SPDX-License-Identifier: ISC */
/* Guest memory: sizes, slots, seals, and every way past its end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/mach/mem.h"
#include "regress/lib/tap.h"

#define MIB (1ull << 20)

static void
t_sizes(void)
{
	static const uint64_t bad[] = { 0, 1, MIB - 1, MIB + 4096,
		(128ull << 30) + MIB, ~0ull, ~0ull << 20 };
	struct mem m;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(mem_open(&m, "t", bad[i], false, &e), -1);
		CHECK_EQ(e.code, EINVAL);
		CHECK(m.base == NULL);
		mem_close(&m);
	}
	CHECK_EQ(mem_open(&m, "t", MIB, true, &e), 0);
	CHECK_EQ(m.nslots, 1);
	CHECK_EQ((uintptr_t)m.base % (2 * MIB), 0);
	mem_close(&m);
}

static void
t_ptr(void)
{
	const uint64_t size = 2 * MIB;
	struct mem m;
	struct err e;

	REQUIRE(mem_open(&m, "t", size, false, &e) == 0);
	CHECK(mem_ptr(&m, 0, size) == m.base);
	CHECK(mem_ptr(&m, size - 1, 1) == m.base + size - 1);
	CHECK(mem_ptr(&m, size - 1, 2) == NULL);
	CHECK(mem_ptr(&m, size, 1) == NULL);
	CHECK(mem_ptr(&m, 0, size + 1) == NULL);
	CHECK(mem_ptr(&m, 0, ~0ull) == NULL);
	CHECK(mem_ptr(&m, ~0ull, 1) == NULL);
	CHECK(mem_ptr(&m, ~0ull, ~0ull) == NULL);
	CHECK(mem_ptr(&m, 1, ~0ull) == NULL);
	CHECK(mem_ptr(&m, MEM_HIGH_BASE, 1) == NULL);
	mem_close(&m);
}

static void
t_hole(void)
{
	struct mem m;
	struct err e;
	uint8_t b[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, c[8];

	REQUIRE(mem_open(&m, "t", MEM_LOW_MAX + 4 * MIB, false, &e) == 0);
	CHECK_EQ(m.nslots, 2);
	CHECK(mem_ptr(&m, MEM_LOW_MAX - 1, 1) != NULL);
	CHECK(mem_ptr(&m, MEM_LOW_MAX - 1, 2) == NULL);
	CHECK(mem_ptr(&m, MEM_LOW_MAX, 1) == NULL);
	CHECK(mem_ptr(&m, MEM_HIGH_BASE - 1, 1) == NULL);
	CHECK(mem_ptr(&m, MEM_HIGH_BASE - 1, 2) == NULL);
	CHECK(mem_ptr(&m, MEM_HIGH_BASE, 4 * MIB) == m.base + MEM_LOW_MAX);
	CHECK(mem_ptr(&m, MEM_HIGH_BASE, 4 * MIB + 1) == NULL);
	CHECK_EQ(mem_write(&m, MEM_HIGH_BASE + 8, b, 8), 0);
	CHECK_EQ(mem_read(&m, MEM_HIGH_BASE + 8, c, 8), 0);
	CHECK(memcmp(b, c, 8) == 0);
	errno = 0;
	CHECK_EQ(mem_write(&m, MEM_LOW_MAX - 4, b, 8), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(mem_read(&m, MEM_LOW_MAX - 4, c, 4), 0);
	CHECK(memcmp(c, "\0\0\0\0", 4) == 0); /* nothing was done */
	mem_close(&m);
}

static void
t_clear(void)
{
	struct mem m;
	struct err e;

	REQUIRE(mem_open(&m, "t", 8 * MIB, false, &e) == 0);
	CHECK_EQ(mem_resident(&m), 0);
	memset(m.base + MIB, 0xa5, MIB);
	CHECK_EQ(mem_resident(&m), MIB);
	CHECK_EQ(mem_clear(&m, &e), 0);
	CHECK_EQ(mem_resident(&m), 0);
	CHECK_EQ(m.base[MIB + 5], 0);
	mem_close(&m);
}

static void
t_seals(void)
{
	struct mem m, n;
	struct err e;
	int fd;

	REQUIRE(mem_open(&m, "t", 2 * MIB, false, &e) == 0);
	CHECK_EQ(ftruncate(m.fd, 0), -1);
	CHECK_EQ(ftruncate(m.fd, 1 << 24), -1);
	CHECK_EQ(fcntl(m.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	fd = dup(m.fd);
	CHECK_EQ(mem_attach(&n, &fd, 2 * MIB, &e), 0);
	CHECK_EQ(fd, -1);
	m.base[77] = 9;
	CHECK_EQ(n.base[77], 9);
	mem_close(&n);
	fd = dup(m.fd);
	CHECK_EQ(mem_attach(&n, &fd, 4 * MIB, &e), -1); /* a lie */
	CHECK_EQ(fd, -1);
	mem_close(&m);
	fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(fd, 2 * MIB), 0);
	CHECK_EQ(mem_attach(&n, &fd, 2 * MIB, &e), -1);
	CHECK_EQ(fd, -1);
}

static const struct tap_case cases[] = {
	{ "mem: sizes that are refused", t_sizes },
	{ "mem: every way past the end", t_ptr },
	{ "mem: the hole below 4 GiB", t_hole },
	{ "mem: clear gives pages back", t_clear },
	{ "mem: seals hold, a lying size is refused", t_seals },
};
TAP_MAIN(cases)
