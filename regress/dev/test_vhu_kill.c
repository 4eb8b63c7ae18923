/* SPDX-License-Identifier: ISC */
/*
 * A disk's process, with its filter, killed again and again while a guest
 * writes: the next one goes on with the log, every request has one answer, every
 * byte is there.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/fakefront.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

#define SIZE 64
#define HEADS (SIZE / 4) /* requests of three descriptors */
#define BYTES 4096
#define ROUNDS 100
#define T_IN 0 /* virtio 1.2, 5.2.6 */
#define T_OUT 1
#define T_FLUSH 4

static struct fakefront f;
static int image, log_fd;
static uint64_t log_bytes;
static uint32_t seed = 1;
static uint8_t version[HEADS]; /* what was last written there */
static bool busy[HEADS];

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return ((seed >> 16) % n);
}

static uint64_t
at(unsigned n)
{
	return (FF_DATA + 0x2000ull * n);
}

/* Head at at(n), status behind it, data a page further. */
static void
submit(unsigned n, uint32_t type, uint8_t fill)
{
	struct {
		uint32_t type, pad;
		uint64_t sector;
	} head = { type, 0, n * BYTES / 512 };
	uint8_t status = 0xff;
	unsigned d = 4 * n;
	uint16_t in = type == T_IN ? FF_WRITE : 0;

	if (type == T_FLUSH)
		head.sector = 0;
	mem_write(&f.mem, at(n), &head, sizeof(head));
	mem_write(&f.mem, at(n) + 16, &status, 1);
	memset(f.mem.base + at(n) + BYTES, fill, BYTES);
	ff_desc(&f, 0, d, at(n), 16, FF_NEXT,
	    (uint16_t)(type == T_FLUSH ? d + 2 : d + 1));
	ff_desc(&f, 0, d + 1, at(n) + BYTES, BYTES, FF_NEXT | in,
	    (uint16_t)(d + 2));
	ff_desc(&f, 0, d + 2, at(n) + 16, 1, FF_WRITE, 0);
	ff_avail(&f, 0, (uint16_t)d);
	busy[n] = true;
}

static void
taken(uint32_t id)
{
	uint8_t status;

	REQUIRE(id < SIZE && id % 4 == 0);
	CHECK_MSG(busy[id / 4], "request %u has two answers", id / 4);
	busy[id / 4] = false;
	mem_read(&f.mem, at(id / 4) + 16, &status, 1);
	CHECK_EQ(status, 0);
}

static void
take_all(void)
{
	uint32_t id, len;
	unsigned i;

	for (i = 0; i < HEADS; i++)
		while (busy[i]) {
			ff_used_wait(&f, 0, &id, &len);
			if (id == ~0u)
				return;
			taken(id);
		}
}

static void
log_share(void)
{
	struct vhu_msg m, r;
	bool first = log_fd == -1;

	vhu_msg_init(&m, first ? VHU_GET_INFLIGHT_FD : VHU_SET_INFLIGHT_FD);
	m.body.inflight.nqueues = 1;
	m.body.inflight.queue_size = SIZE;
	if (first) {
		REQUIRE(ff_ask(&f, &m, &r) == 0 && r.nfds == 1);
		log_fd = r.fd[0];
		log_bytes = r.body.inflight.map_bytes;
		log_share();
		return;
	}
	m.body.inflight.map_bytes = log_bytes;
	m.fd[0] = log_fd;
	m.nfds = 1;
	CHECK_EQ(ff_send(&f, &m), 0);
}

static void
spawn(void)
{
	int fd = dup(image);

	ff_spawn(&f, &vio_blk, &filter_blk, &fd, 1);
	fd_close(&fd);
	ff_hello(&f, VIO_F_EVENT_IDX);
	log_share();
	CHECK_EQ(ff_mem_table(&f), 0);
}

static void
begin(void)
{
	image = memfd_create("image", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(image, 1 << 20), 0);
	log_fd = -1;
	memset(busy, 0, sizeof(busy));
	ff_open_process(&f, 1);
	spawn();
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
}

static void
end(void)
{
	ff_close(&f);
	fd_close(&log_fd);
	fd_close(&image);
}

static void
spin(uint32_t n)
{
	volatile uint32_t i;

	for (i = 0; i < n; i++)
		;
}

static void
killed(void)
{
	uint8_t want[BYTES], have[BYTES];
	uint32_t id, len;
	unsigned n, i;
	int status;

	begin();
	for (n = 0; n < ROUNDS; n++) {
		for (i = 0; i < HEADS; i++)
			submit(i, T_OUT, version[i] = (uint8_t)(rnd(255) + 1));
		ff_kick(&f, 0);
		spin(rnd(60000));
		status = ff_reap(&f, SIGKILL);
		CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "round %u: wait status 0x%x", n, (unsigned)status);
		while (ff_used(&f, 0, &id, &len))
			taken(id);
		spawn();
		ff_queue_send(&f, 0, 0); /* the log knows better */
		CHECK_EQ(ff_start(&f, 0), 0);
		take_all();
		for (i = 0; i < HEADS; i++) {
			memset(want, version[i], BYTES);
			CHECK_EQ(
			    pread(image, have, BYTES, (off_t)i * BYTES), BYTES);
			CHECK(memcmp(want, have, BYTES) == 0);
		}
	}
	end();
}

/* One of each under the filter; then it ends when its front end does. */
static void
filtered(void)
{
	unsigned i;
	int status;

	begin();
	for (i = 0; i < 3; i++)
		submit(i, T_OUT, 0x55);
	submit(i, T_FLUSH, 0);
	ff_kick(&f, 0);
	take_all();
	for (i = 0; i < 3; i++)
		submit(i, T_IN, 0);
	ff_kick(&f, 0);
	take_all();
	for (i = 0; i < 3 * BYTES; i++)
		CHECK_EQ(f.mem.base[at(i / BYTES) + BYTES + i % BYTES], 0x55);
	CHECK_EQ(fd_set_nonblock(f.q[0].kick), 0); /* by way of aio's poll */
	CHECK_EQ(ff_mem_table(&f), 0);
	for (i = 0; i < 20; i++) {
		submit(0, T_OUT, (uint8_t)i);
		ff_kick(&f, 0);
		take_all();
	}
	CHECK_EQ(ff_base(&f, 0), f.q[0].avail_idx);
	CHECK_EQ(f.page->state, DEVP_RUNS);
	status = ff_reap(&f, 0);
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "wait status 0x%x", (unsigned)status);
	end();
}

/* What it cannot open, and a front end that lies: its words are in its page. */
static void
words(void)
{
	int status, fd = -1;
	struct err e;

	ff_open_process(&f, 1);
	ff_spawn(&f, &vio_blk, &filter_blk, &fd, 1);
	status = ff_reap(&f, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CHECK_EQ(f.page->state, DEVP_FAILED);
	devpage_err_get(f.page, &e);
	CHECK(e.code != 0 && e.text[0] != '\0');
	ff_close(&f);

	begin();
	CHECK_EQ(write(f.sock, "this is not vhost-user", 22), 22);
	status = ff_reap(&f, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	CHECK_EQ(f.page->state, DEVP_FAILED);
	devpage_err_get(f.page, &e);
	CHECK(strstr(e.text, "vhost-user") != NULL);
	end();
}

static const struct tap_case cases[] = {
	{ "vhu process: under its filter", filtered },
	{ "vhu process: killed 100 times", killed },
	{ "vhu process: its words", words },
};

TAP_MAIN(cases)
