/* SPDX-License-Identifier: ISC */
/* The console ring and its bell: order, gaps, lying pages, a racing writer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "shared/ring.h"

#define SIZE RING_MIN_BYTES
#define MAP_BYTES (RING_HEAD_BYTES + SIZE)

struct rig {
	struct ring_head *head;
	uint8_t *data;
	struct bell_page *bell;
	struct ring_w w;
	struct ring_r r;
};

/* The byte that belongs at an offset: tells places a whole ring apart. */
static uint8_t
byte_at(uint64_t off)
{
	return ((uint8_t)(off * 31 + (off >> 8) * 17 + (off >> 16) * 101));
}

static void
rig_open(struct rig *g)
{
	uint8_t *p;

	memset(g, 0, sizeof(*g));
	p = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	g->head = (void *)p;
	g->bell = (void *)(p + RING_HEAD_BYTES / 2);
	g->data = p + RING_HEAD_BYTES;
	g->head->magic = RING_MAGIC;
	g->head->size = SIZE;
	g->w = (struct ring_w){
		.head = g->head,
		.data = g->data,
		.size = SIZE,
		.bell = g->bell,
		.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	g->r = (struct ring_r){
		.head_ro = g->head,
		.data = g->data,
		.size = SIZE,
	};
}

static void
rig_close(struct rig *g)
{
	close(g->w.bell_fd);
	munmap(g->head, MAP_BYTES);
}

static void
put(struct rig *g, size_t len)
{
	uint8_t *buf = malloc(len > 0 ? len : 1);
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = byte_at(g->w.end + i);
	ring_write(&g->w, buf, len);
	free(buf);
}

static bool
right(const uint8_t *buf, uint64_t off, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (buf[i] != byte_at(off + i))
			return (false);
	return (true);
}

static void
t_order(void)
{
	static uint8_t buf[SIZE];
	static struct rig g;
	uint64_t off = 0, lost = 0;
	size_t n, step;

	rig_open(&g);
	CHECK_EQ(ring_read(&g.r, &off, buf, sizeof(buf), &lost), 0);
	for (step = 1; step < 3000; step += 7) { /* over the end many times */
		put(&g, step);
		n = ring_read(&g.r, &off, buf, sizeof(buf), &lost);
		CHECK_EQ(n, step);
		CHECK(right(buf, off - n, n));
	}
	CHECK_EQ(lost, 0);
	CHECK(off > 2 * SIZE);
	CHECK_EQ(ring_end(&g.r), off);
	CHECK_EQ(ring_oldest(&g.r), off - SIZE);
	rig_close(&g);
}

static void
t_gap(void)
{
	static uint8_t buf[SIZE];
	static struct rig g;
	uint64_t off = 0, lost = 0;

	rig_open(&g);
	put(&g, SIZE);
	CHECK_EQ(ring_oldest(&g.r), 0); /* all of it is still there */
	put(&g, 10);
	CHECK_EQ(ring_oldest(&g.r), 10);
	CHECK_EQ(ring_read(&g.r, &off, buf, 100, &lost), 100);
	CHECK_EQ(lost, 10);
	CHECK_EQ(off, 110);
	CHECK(right(buf, 10, 100));
	put(&g, 3 * SIZE + 5); /* in one go, more than it holds */
	lost = 0;
	CHECK_EQ(ring_read(&g.r, &off, buf, sizeof(buf), &lost), SIZE);
	CHECK_EQ(lost, 3 * SIZE + 5 + 10 - 110);
	CHECK(right(buf, off - SIZE, SIZE));
	CHECK_EQ(off, g.w.end);
	rig_close(&g);
}

/* The page is its writer's, who may be anybody. */
static void
t_lies(void)
{
	static const uint64_t num[] = { 0, 1, SIZE - 1, SIZE, SIZE + 1,
		3 * SIZE, 1ull << 32, 1ull << 63, ~0ull - SIZE, ~0ull };
	static uint8_t buf[SIZE + 64];
	static struct rig g;
	uint64_t off, lost, was;
	size_t i, j, k, n;

	rig_open(&g);
	for (i = 0; i < 10; i++)
		for (j = 0; j < 10; j++)
			for (k = 0; k < 10; k++) {
				atomic_store(&g.head->oldest, num[i]);
				atomic_store(&g.head->end, num[j]);
				g.head->size = (uint32_t)num[i];
				off = was = num[k];
				lost = 0;
				n = ring_read(
				    &g.r, &off, buf, SIZE + 64, &lost);
				CHECK(n <= SIZE);
				CHECK(off >= was);
				CHECK(ring_oldest(&g.r) <= ring_end(&g.r));
				if (num[j] <= num[k]) /* ran backwards */
					CHECK_EQ(n, 0);
			}
	rig_close(&g);
}

static uint64_t
rung(struct rig *g)
{
	uint64_t n = 0;

	if (read(g->w.bell_fd, &n, sizeof(n)) == -1)
		return (0);
	return (n);
}

static void
t_bell(void)
{
	static struct rig g;

	rig_open(&g);
	put(&g, 5);
	CHECK_EQ(rung(&g), 0);            /* nobody watches: no call */
	CHECK(bell_arm(g.bell, &g.r, 0)); /* bytes are there: do not sleep */
	CHECK(!bell_arm(g.bell, &g.r, 5));
	put(&g, 1);
	put(&g, 1);
	CHECK_EQ(rung(&g), 1); /* once for each arming */
	put(&g, 1);
	CHECK_EQ(rung(&g), 0);
	CHECK_EQ(atomic_load(&g.bell->armed), 0);
	rig_close(&g);
}

#define RACE_BYTES (6u << 20)

static void
racing_writer(struct rig *g)
{
	size_t n = 1;

	while (g->w.end < RACE_BYTES) {
		put(g, n);
		n = n * 7 % 4099 + 1;
	}
}

/*
 * Two processes, as in life.  Each byte comes at most once, in order, as it was
 * written at that offset; what is missing is counted.  Asleep only when the
 * bell was armed: a wake-up that is lost hangs the test.
 */
static void
t_race(void)
{
	static uint8_t buf[8192];
	static struct rig g;
	uint64_t off = 0, lost = 0, got = 0, wrong = 0, one;
	int status;
	pid_t pid;
	size_t n;

	rig_open(&g);
	close(g.w.bell_fd);
	g.w.bell_fd = eventfd(0, EFD_CLOEXEC); /* read() sleeps */
	fflush(stdout);
	REQUIRE((pid = fork()) != -1);
	if (pid == 0) {
		racing_writer(&g);
		_exit(0);
	}
	while (off < RACE_BYTES) {
		n = ring_read(&g.r, &off, buf, sizeof(buf), &lost);
		got += n;
		wrong += !right(buf, off - n, n);
		if (n == 0 && !bell_arm(g.bell, &g.r, off) &&
		    read(g.w.bell_fd, &one, sizeof(one)) != sizeof(one))
			break;
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	/* Its last piece may end behind RACE_BYTES. */
	while ((n = ring_read(&g.r, &off, buf, sizeof(buf), &lost)) > 0) {
		got += n;
		wrong += !right(buf, off - n, n);
	}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(got + lost, off);
	CHECK_EQ(off, ring_end(&g.r));
	rig_close(&g);
}

static long
resident_kib(void)
{
	long pages = 0, all;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f != NULL) {
		CHECK_EQ(fscanf(f, "%ld %ld", &all, &pages), 2);
		fclose(f);
	}
	return (pages * (sysconf(_SC_PAGESIZE) / 1024));
}

/* T30: 1 GiB of output and nobody reads: no memory beyond the ring, and the
 * last of it is there, whole. */
static void
t_gigabyte(void)
{
	static uint8_t buf[4096], got[SIZE];
	uint64_t off = 0, lost = 0, total = 1ull << 30;
	struct rig g;
	long before;
	size_t i, n;

	rig_open(&g);
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = byte_at(i);
	ring_write(&g.w, buf, sizeof(buf));
	before = resident_kib();
	for (; g.w.end < total; ring_write(&g.w, buf, sizeof(buf)))
		;
	CHECK_MSG(resident_kib() - before <= 1024, "%ld KiB more",
	    resident_kib() - before);
	n = ring_read(&g.r, &off, got, sizeof(got), &lost);
	CHECK_EQ(n, SIZE);
	CHECK_EQ(lost, total - SIZE);
	CHECK_EQ(off, total);
	for (i = 0; i < n; i += sizeof(buf))
		CHECK(memcmp(got + i, buf, sizeof(buf)) == 0);
	rig_close(&g);
}

static const struct tap_case cases[] = {
	{ "ring: every byte, in order, around the end", t_order },
	{ "ring: gaps have their size", t_gap },
	{ "ring: a page that lies", t_lies },
	{ "ring: the bell rings once for each arming", t_bell },
	{ "T30 ring: 1 GiB and nobody reads", t_gigabyte },
	{ "ring: a writer that races the reader", t_race },
};
TAP_MAIN(cases)
