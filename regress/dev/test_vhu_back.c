/* SPDX-License-Identifier: ISC */
/* The back end behind its socket: devices as they are, resets, broken rings. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "regress/lib/slowdev.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

#define SIZE SLOW_SIZE

static struct fakefront f;

/* ---- As it should be ----------------------------------------------------- */

static void
hello(void)
{
	struct vhu_msg m, r;

	slow_open(&f);
	CHECK_EQ(ff_get(&f, VHU_GET_FEATURES),
	    VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1 |
		VHU_F_PROTOCOL_FEATURES);
	ff_hello(&f, 0);
	CHECK_EQ(ff_get(&f, VHU_GET_QUEUE_NUM), FF_QUEUES);
	CHECK_EQ(ff_get(&f, VHU_GET_STATUS), 0);
	CHECK_EQ(ff_u64(&f, VHU_SET_STATUS, 0xf), 0);
	CHECK_EQ(ff_get(&f, VHU_GET_STATUS), 0xf);
	CHECK_EQ(ff_u64(&f, VHU_SET_STATUS, 0x100), 1);
	vhu_msg_init(&m, VHU_GET_CONFIG);
	m.body.config.off_bytes = 10;
	m.body.config.bytes = 20; /* QEMU knows more fields than we have */
	m.size = VHU_CONFIG_HEAD_BYTES + 20;
	CHECK_EQ(ff_ask(&f, &m, &r), 0);
	CHECK_EQ(r.size, m.size);
	CHECK_EQ(memcmp(r.body.config.data, "abcdef\0\0\0\0\0\0\0\0", 14), 0);
	vhu_msg_init(&m, VHU_SET_CONFIG);
	m.body.config.bytes = 1;
	CHECK_EQ(ff_send(&f, &m), 1); /* read-only */
	vhu_msg_init(&m, VHU_RESET_OWNER);
	CHECK_EQ(ff_send(&f, &m), 0);
	CHECK_EQ(f.page->state, DEVP_RUNS);
	ff_close(&f);
	CHECK_EQ(f.served, 0);
}

static void
works(void)
{
	unsigned i;

	slow_open(&f);
	ff_up(&f, FF_QUEUES, SIZE);
	for (i = 0; i < 20; i++)
		slow_round(&f, i % FF_QUEUES, SIZE / 2);
	CHECK_EQ(slow.starts, 1);
	CHECK_EQ(ff_base(&f, 1), 5 * SIZE / 2);
	ff_hangup(&f);
	CHECK_EQ(f.served, 0);
	/* Another one comes; nothing of the first is left. */
	ff_connect(&f);
	CHECK_EQ(
	    ff_get(&f, VHU_GET_FEATURES) & VIO_F_VERSION_1, VIO_F_VERSION_1);
	ff_up(&f, 2, 16);
	slow_round(&f, 1, 8);
	ff_close(&f);
}

/* The same rng as in the vm process: here its timer is the queue's thread. */
static void
rng(void)
{
	uint32_t id, len;
	unsigned i, n;
	uint64_t sum = 0;

	ff_open(&f, &vio_rng, 1, NULL, 0);
	ff_up(&f, 1, 8);
	for (n = 0; n < 12; n++) { /* beyond its burst of 64 KiB */
		for (i = 0; i < 8; i++) {
			ff_desc(
			    &f, 0, i, FF_DATA + 1024 * i, 1024, FF_WRITE, 0);
			ff_avail(&f, 0, (uint16_t)i);
		}
		ff_kick(&f, 0);
		for (i = 0; i < 8; i++) {
			ff_used_wait(&f, 0, &id, &len);
			CHECK(id < 8 && len > 0 && len <= 1024);
			sum += len;
		}
	}
	CHECK(sum > 64 << 10);
	CHECK_EQ(ff_base(&f, 0), 12 * 8);
	ff_close(&f);
}

static void
nonblocking(void)
{
	unsigned i;

	slow_open(&f);
	ff_up(&f, 2, SIZE);
	CHECK_EQ(fd_set_nonblock(f.q[0].kick), 0); /* as QEMU's are */
	for (i = 0; i < 100; i++)
		slow_round(&f, 0, 1 + i % 20);
	CHECK_EQ(ff_base(&f, 0), f.q[0].avail_idx);
	CHECK_EQ(ff_start(&f, 0), 0);
	slow_round(&f, 0, 5);
	ff_close(&f);
}

/* Calls, memory and enable change under a queue that works. */
static void
on_the_fly(void)
{
	unsigned i;
	uint32_t id, len;
	int fd;

	slow_open(&f);
	ff_up(&f, 2, SIZE);
	for (i = 0; i < 300; i++) {
		slow_request(&f, 0, i % 32);
		ff_kick(&f, 0);
		switch (i % 4) {
		case 0:
			fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			CHECK_EQ(ff_fd(&f, VHU_SET_VRING_CALL, 0, fd), 0);
			close(f.q[0].call);
			f.q[0].call = fd;
			break;
		case 1:
			CHECK_EQ(ff_mem_table(&f), 0);
			break;
		case 2:
			CHECK_EQ(ff_state(&f, VHU_SET_VRING_ENABLE, 0, 0), 0);
			CHECK_EQ(ff_state(&f, VHU_SET_VRING_ENABLE, 0, 1), 0);
			break;
		default:
			CHECK_EQ(
			    ff_fd(&f, VHU_SET_VRING_KICK, 0, f.q[0].kick), 0);
			break;
		}
		slow_answers(&f, 0, 1);
	}
	/* No call at all: the ring is the only news. */
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_CALL, 0, -1), 0);
	slow_request(&f, 0, 0);
	ff_kick(&f, 0);
	while (!ff_used(&f, 0, &id, &len))
		sched_yield();
	CHECK_EQ(ff_base(&f, 0), 301);
	ff_close(&f);
	CHECK_EQ(slow.starts, 1);
}

/* ---- Stuck, broken ------------------------------------------------------- */

static void
stuck(void)
{
	uint32_t id, len;
	struct err e;
	unsigned i;

	slow_open(&f);
	ff_up(&f, 2, SIZE);
	slow.stuck = true;
	for (i = 0; i < 3; i++)
		slow_request(&f, 0, i);
	ff_kick(&f, 0);
	CHECK(ff_bell(f.q[0].err));
	CHECK_EQ(f.page->state, DEVP_STUCK);
	devpage_err_get(f.page, &e);
	CHECK_EQ(e.code, ENOSPC);
	CHECK_STR(e.text, "disk: the host is full");
	CHECK(!ff_used(&f, 0, &id, &len));
	CHECK_EQ(ff_base(&f, 0), 1);
	slow.stuck = false;
	ff_queue_send(&f, 0, 1);
	CHECK_EQ(ff_start(&f, 0), 0);
	slow_answers(&f, 0, 3);
	CHECK_EQ(f.page->state, DEVP_RUNS);
	CHECK_EQ(slow.done, 3);
	ff_close(&f);
}

static void
broken(void)
{
	struct vhu_msg m;
	struct err e;

	slow_open(&f);
	ff_up(&f, 2, SIZE);
	ff_avail(&f, 0, SIZE + 3); /* T01 */
	ff_kick(&f, 0);
	CHECK(ff_bell(f.q[0].err));
	devpage_err_get(f.page, &e);
	CHECK_EQ(e.code, EPROTO);
	CHECK_EQ(f.page->broken_rings, 1);
	slow_round(&f, 1, 10); /* the other one goes on */
	ff_kick(&f, 0);
	CHECK_EQ(ff_base(&f, 0), 0);
	vhu_msg_init(&m, VHU_RESET_DEVICE);
	CHECK_EQ(ff_send(&f, &m), 0);
	CHECK_EQ(slow.resets, 1);
	ff_up(&f, 1, SIZE);
	slow_round(&f, 0, 10);
	CHECK_EQ(slow.starts, 2);
	ff_close(&f);
}

/*
 * A ring that its guest broke before anybody served it, or while it stood, is
 * broken no less: the guest's affair, no reason to refuse the front end, which
 * would have us replaced, again and again, by others that refuse it too.
 */
static void
broken_before(void)
{
	static const struct {
		uint16_t avail, used;
	} idx[] = { { SIZE + 1, 0 }, { 0, 5 }, { 0x8000, 0 }, { 3, 0x4000 } };
	uint16_t ring[2] = { 0 };
	struct err e;
	unsigned i;

	slow_open(&f);
	ff_up(&f, 2, SIZE);
	for (i = 0; i < sizeof(idx) / sizeof(idx[0]); i++) {
		ff_base(&f, 0);
		ff_queue(&f, 0, SIZE);
		ring[1] = idx[i].avail;
		mem_write(&f.mem, f.q[0].avail, ring, sizeof(ring));
		ring[1] = idx[i].used;
		mem_write(&f.mem, f.q[0].used, ring, sizeof(ring));
		CHECK_EQ(ff_start(&f, 0), 0);
		CHECK(ff_bell(f.q[0].err));
		CHECK_EQ(f.page->broken_rings, i + 1);
		devpage_err_get(f.page, &e);
		CHECK_EQ(e.code, EPROTO);
		slow_round(&f, 1, 10);
	}
	ff_base(&f, 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	slow_round(&f, 0, 10);
	ff_close(&f);
}

/* ---- Resets and stops against requests ----------------------------------- */

static void *
reset_thread(void *arg)
{
	struct vhu_msg m;

	(void)arg;
	vhu_msg_init(&m, VHU_RESET_DEVICE);
	CHECK_EQ(ff_send(&f, &m), 0);
	return (NULL);
}

/* T13: the answer to a reset comes when nobody writes any more. */
static void
reset_slow(void)
{
	static uint8_t after[FF_MEM_BYTES];
	pthread_t t;
	unsigned i, n;

	for (n = 0; n < 20; n++) {
		slow_open(&f);
		ff_up(&f, 1, 128);
		slow_gate(true);
		for (i = 0; i < 64; i++)
			slow_request(&f, 0, i);
		ff_kick(&f, 0);
		slow_gate_wait(1);
		CHECK_EQ(pthread_create(&t, NULL, reset_thread, NULL), 0);
		slow_gate(false);
		pthread_join(t, NULL);
		memcpy(after, f.mem.base, sizeof(after));
		ff_kick(&f, 0);
		CHECK_EQ(ff_get(&f, VHU_GET_QUEUE_NUM), FF_QUEUES);
		CHECK_EQ(memcmp(after, f.mem.base, sizeof(after)), 0);
		ff_close(&f);
	}
}

static atomic_bool hammering;

static void *
hammer(void *arg)
{
	(void)arg;
	while (atomic_load(&hammering))
		ff_kick(&f, 0);
	return (NULL);
}

static void
hammer_start(pthread_t *t)
{
	atomic_store(&hammering, true);
	CHECK_EQ(pthread_create(t, NULL, hammer, NULL), 0);
}

static void
hammer_stop(pthread_t t)
{
	atomic_store(&hammering, false);
	pthread_join(t, NULL);
}

/* T12: stops and starts while the guest kicks, 10^5 of them. */
static void
stop_race(void)
{
	struct vhu_msg off, on;
	unsigned i, sent = 0;
	pthread_t t;
	uint32_t id, len;
	struct err e;

	slow_open(&f);
	ff_up(&f, 1, SIZE);
	hammer_start(&t);
	vhu_msg_init(&off, VHU_SET_VRING_ENABLE);
	vhu_msg_init(&on, VHU_SET_VRING_ENABLE);
	on.body.state.num = 1;
	for (i = 0; i < 100000; i++) {
		if (vhu_send(f.sock, &off, &e) == -1 ||
		    vhu_send(f.sock, &on, &e) == -1)
			break;
		if (i % 8 == 0 && sent - f.q[0].used_seen < SIZE / 2)
			slow_request(&f, 0, sent++ % (SIZE / 2));
		while (ff_used(&f, 0, &id, &len))
			CHECK_EQ(len, 4);
	}
	CHECK_EQ(i, 100000);
	CHECK_EQ(ff_get(&f, VHU_GET_QUEUE_NUM), FF_QUEUES);
	hammer_stop(t);
	ff_kick(&f, 0);
	while (f.q[0].used_seen != (uint16_t)sent)
		ff_used_wait(&f, 0, &id, &len);
	CHECK_EQ(ff_base(&f, 0), sent);
	CHECK_EQ(slow.done, sent);
	ff_close(&f);
}

/* T12: resets and new drivers, with requests in flight. */
static void
reset_race(void)
{
	struct vhu_msg m;
	unsigned i, n;
	pthread_t t;

	slow_open(&f);
	for (n = 0; n < 2000; n++) {
		ff_up(&f, 1, SIZE);
		if (n == 0)
			hammer_start(&t);
		for (i = 0; i < 5; i++)
			slow_request(&f, 0, i);
		if (n % 2 == 0)
			slow_answers(&f, 0, 5);
		vhu_msg_init(&m, VHU_RESET_DEVICE);
		CHECK_EQ(ff_send(&f, &m), 0);
	}
	hammer_stop(t);
	CHECK_EQ(slow.resets, 2000);
	ff_close(&f);
}

/* The front end takes for itself what was meant to wake our thread. */
static void *
thief(void *arg)
{
	uint64_t n;

	(void)arg;
	while (atomic_load(&hammering))
		if (read(f.q[0].kick, &n, sizeof(n)) == -1)
			sched_yield();
	return (NULL);
}

static void
thieves(void)
{
	pthread_t t;
	unsigned i;

	slow_open(&f);
	ff_up(&f, 1, SIZE);
	CHECK_EQ(fd_set_nonblock(f.q[0].kick), 0);
	atomic_store(&hammering, true);
	CHECK_EQ(pthread_create(&t, NULL, thief, NULL), 0);
	for (i = 0; i < 50; i++) {
		CHECK(ff_base(&f, 0) >= 0);
		CHECK_EQ(ff_start(&f, 0), 0);
	}
	atomic_store(&hammering, false);
	pthread_join(t, NULL);
	ff_close(&f);
}

static const struct tap_case cases[] = {
	{ "vhu back: hello", hello },
	{ "vhu back: four queues", works },
	{ "vhu back: rng, the very same", rng },
	{ "vhu back: kicks that do not block", nonblocking },
	{ "vhu back: changes while it runs", on_the_fly },
	{ "vhu back: stuck", stuck },
	{ "T01 vhu back: a broken ring", broken },
	{ "T01 vhu back: a ring that is broken already", broken_before },
	{ "T12 vhu back: stops against kicks", stop_race },
	{ "T12 vhu back: resets against kicks", reset_race },
	{ "T13 vhu back: reset with 64 requests in flight", reset_slow },
	{ "vhu back: who reads our kicks", thieves },
};

TAP_MAIN(cases)
