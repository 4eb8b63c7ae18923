/* SPDX-License-Identifier: ISC */
/* The back end behind its socket: devices as they are, front ends that lie. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/vhu/back_int.h"
#include "regress/lib/fakefront.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

#define SIZE 64
#define PAGE 4096

static struct fakefront f;

/* ---- A device that copies, and is slow or stuck where we say so ---------- */

#define HELD 64

struct held {
	struct vq_chain c[HELD];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool closed; /* the gate: requests wait behind it */
	unsigned waiting;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.cond = PTHREAD_COND_INITIALIZER };
static atomic_uint kicks, done, starts, resets, stuck_on;

static void
gate_pass(unsigned n)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting += n;
	pthread_cond_broadcast(&gate.cond);
	while (gate.closed)
		pthread_cond_wait(&gate.cond, &gate.lock);
	gate.waiting -= n;
	pthread_mutex_unlock(&gate.lock);
}

static void
gate_set(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
}

static void
gate_wait(unsigned n)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting < n)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static uint32_t
copy(struct vq_chain *c)
{
	uint32_t n = c->out_bytes < c->in_bytes ? c->out_bytes : c->in_bytes;

	if (c->nout == 1 && c->nin == 1)
		memcpy(c->in[0].iov_base, c->iov[0].iov_base, n);
	return (n);
}

static void
slow_kick(struct vio *v, struct vq *q)
{
	struct held *h = (struct held *)v->state + (q - v->vq);
	struct err e;
	unsigned i, n;
	int r;

	atomic_fetch_add(&kicks, 1);
	do {
		for (n = 0; n < HELD && (r = vq_pop(q, &h->c[n])) == 1; n++)
			if (atomic_load(&stuck_on)) {
				err_set(&e, ENOSPC, "disk: the host is full");
				v->carrier->stuck(v, q, &e);
				return;
			}
		if (n > 0)
			gate_pass(n);
		for (i = n; i-- > 0;)
			vq_push(q, &h->c[i], copy(&h->c[i]));
		atomic_fetch_add(&done, n);
		v->carrier->signal(v, q);
	} while (n > 0 && r != -1);
	if (r == -1)
		v->carrier->needs_reset(v);
}

static void
slow_start(struct vio *v)
{
	CHECK(v->features & VIO_F_VERSION_1);
	atomic_fetch_add(&starts, 1);
}

static void
slow_reset(struct vio *v)
{
	(void)v;
	atomic_fetch_add(&resets, 1);
}

static int
slow_open(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	(void)e;
	CHECK(conf->page != NULL);
	memcpy(v->cfg, "0123456789abcdef", 16);
	return (0);
}

static const uint16_t slow_queues[] = { 1024, 1024, 1024, 1024 };
static const struct vio_ops slow = {
	.name = "slow",
	.spec = "none",
	.queue_max = slow_queues,
	.cfg_bytes = 16,
	.state_bytes = FF_QUEUES * sizeof(struct held),
	.id = 63,
	.nqueues = FF_QUEUES,
	.version = 1,
	.kick = slow_kick,
	.open = slow_open,
	.start = slow_start,
	.reset = slow_reset,
};

static void
begin(void)
{
	kicks = done = starts = resets = stuck_on = 0;
	ff_open(&f, &slow, FF_QUEUES, NULL, 0);
}

/* Request number n of a queue: a word to be copied. */
static void
request(unsigned q, unsigned n)
{
	uint64_t at = FF_DATA + 0x10000ull * q + 16ull * n;
	unsigned head = 2 * n % f.q[q].size;
	uint32_t word = 0x1000 + n, none = 0;

	mem_write(&f.mem, at, &word, 4);
	mem_write(&f.mem, at + 4, &none, 4);
	ff_desc(&f, q, head, at, 4, FF_NEXT, (uint16_t)(head + 1));
	ff_desc(&f, q, head + 1, at + 4, 4, FF_WRITE, 0);
	ff_avail(&f, q, (uint16_t)head);
}

static void
answers(unsigned q, unsigned n)
{
	uint32_t id, len, word;
	bool seen[SIZE] = { false };

	while (n-- > 0) {
		ff_used_wait(&f, q, &id, &len);
		REQUIRE(id < SIZE && id % 2 == 0);
		CHECK(!seen[id]);
		seen[id] = true;
		CHECK_EQ(len, 4);
		mem_read(&f.mem, FF_DATA + 0x10000 * q + 8 * id + 4, &word, 4);
		CHECK_EQ(word, 0x1000 + id / 2);
	}
}

static void
round_trip(unsigned q, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		request(q, i);
	ff_kick(&f, q);
	answers(q, n);
}

/* ---- As it should be ----------------------------------------------------- */

static void
hello(void)
{
	struct vhu_msg m, r;

	begin();
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

	begin();
	ff_up(&f, FF_QUEUES, SIZE);
	for (i = 0; i < 20; i++)
		round_trip(i % FF_QUEUES, SIZE / 2);
	CHECK_EQ(starts, 1);
	CHECK_EQ(ff_base(&f, 1), 5 * SIZE / 2);
	ff_hangup(&f);
	CHECK_EQ(f.served, 0);
	/* Another one comes; nothing of the first is left. */
	ff_connect(&f);
	CHECK_EQ(
	    ff_get(&f, VHU_GET_FEATURES) & VIO_F_VERSION_1, VIO_F_VERSION_1);
	ff_up(&f, 2, 16);
	round_trip(1, 8);
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

	begin();
	ff_up(&f, 2, SIZE);
	CHECK_EQ(fd_set_nonblock(f.q[0].kick), 0); /* as QEMU's are */
	for (i = 0; i < 100; i++)
		round_trip(0, 1 + i % 20);
	CHECK_EQ(ff_base(&f, 0), f.q[0].avail_idx);
	CHECK_EQ(ff_start(&f, 0), 0);
	round_trip(0, 5);
	ff_close(&f);
}

/* Calls, memory and enable change under a queue that works. */
static void
on_the_fly(void)
{
	unsigned i;
	uint32_t id, len;
	int fd;

	begin();
	ff_up(&f, 2, SIZE);
	for (i = 0; i < 300; i++) {
		request(0, i % 32);
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
		answers(0, 1);
	}
	/* No call at all: the ring is the only news. */
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_CALL, 0, -1), 0);
	request(0, 0);
	ff_kick(&f, 0);
	while (!ff_used(&f, 0, &id, &len))
		sched_yield();
	CHECK_EQ(ff_base(&f, 0), 301);
	ff_close(&f);
	CHECK_EQ(starts, 1);
}

/* ---- Stuck, broken ------------------------------------------------------- */

static void
stuck(void)
{
	uint32_t id, len;
	struct err e;
	unsigned i;

	begin();
	ff_up(&f, 2, SIZE);
	stuck_on = 1;
	for (i = 0; i < 3; i++)
		request(0, i);
	ff_kick(&f, 0);
	CHECK(ff_bell(f.q[0].err));
	CHECK_EQ(f.page->state, DEVP_STUCK);
	devpage_err_get(f.page, &e);
	CHECK_EQ(e.code, ENOSPC);
	CHECK_STR(e.text, "disk: the host is full");
	CHECK(!ff_used(&f, 0, &id, &len));
	CHECK_EQ(ff_base(&f, 0), 1);
	stuck_on = 0;
	ff_queue_send(&f, 0, 1);
	CHECK_EQ(ff_start(&f, 0), 0);
	answers(0, 3);
	CHECK_EQ(f.page->state, DEVP_RUNS);
	CHECK_EQ(done, 3);
	ff_close(&f);
}

static void
broken(void)
{
	struct vhu_msg m;
	struct err e;

	begin();
	ff_up(&f, 2, SIZE);
	ff_avail(&f, 0, SIZE + 3); /* T01 */
	ff_kick(&f, 0);
	CHECK(ff_bell(f.q[0].err));
	devpage_err_get(f.page, &e);
	CHECK_EQ(e.code, EPROTO);
	CHECK_EQ(f.page->broken_rings, 1);
	round_trip(1, 10); /* the other one goes on */
	ff_kick(&f, 0);
	CHECK_EQ(ff_base(&f, 0), 0);
	vhu_msg_init(&m, VHU_RESET_DEVICE);
	CHECK_EQ(ff_send(&f, &m), 0);
	CHECK_EQ(resets, 1);
	ff_up(&f, 1, SIZE);
	round_trip(0, 10);
	CHECK_EQ(starts, 2);
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

	begin();
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
		round_trip(1, 10);
	}
	ff_base(&f, 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	round_trip(0, 10);
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
		begin();
		ff_up(&f, 1, 128);
		gate_set(true);
		for (i = 0; i < 64; i++)
			request(0, i);
		ff_kick(&f, 0);
		gate_wait(1);
		CHECK_EQ(pthread_create(&t, NULL, reset_thread, NULL), 0);
		gate_set(false);
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

	begin();
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
			request(0, sent++ % (SIZE / 2));
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
	CHECK_EQ(done, sent);
	ff_close(&f);
}

/* T12: resets and new drivers, with requests in flight. */
static void
reset_race(void)
{
	struct vhu_msg m;
	unsigned i, n;
	pthread_t t;

	begin();
	for (n = 0; n < 2000; n++) {
		ff_up(&f, 1, SIZE);
		if (n == 0)
			hammer_start(&t);
		for (i = 0; i < 5; i++)
			request(0, i);
		if (n % 2 == 0)
			answers(0, 5);
		vhu_msg_init(&m, VHU_RESET_DEVICE);
		CHECK_EQ(ff_send(&f, &m), 0);
	}
	hammer_stop(t);
	CHECK_EQ(resets, 2000);
	ff_close(&f);
}

/* ---- Front ends that lie ------------------------------------------------- */

static int
table(unsigned n, const struct vhu_region *r, const int *fd)
{
	struct vhu_msg m;
	unsigned i;

	vhu_msg_init(&m, VHU_SET_MEM_TABLE);
	m.body.mem.nregions = n;
	m.size = (uint32_t)VHU_MEM_BYTES(n);
	m.nfds = n;
	for (i = 0; i < n; i++) {
		m.body.mem.region[i] = r[i];
		m.fd[i] = fd[i];
	}
	return (ff_send(&f, &m));
}

static int
table1(uint64_t gpa, uint64_t bytes, uint64_t user, uint64_t off, int fd)
{
	struct vhu_region r = { gpa, bytes, user, off };

	return (table(1, &r, &fd));
}

static void
tables(void)
{
	struct vhu_region r[8];
	int fds[8], open_fd, file, i, big;

	begin();
	ff_up(&f, 1, SIZE);
	CHECK_EQ(table1(0, 0, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(0, FF_MEM_BYTES + PAGE, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(0, FF_MEM_BYTES, FF_USER, PAGE, f.mem.fd), 1);
	CHECK_EQ(table1(0, 100, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(100, PAGE, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(0, PAGE, FF_USER, 100, f.mem.fd), 1);
	CHECK_EQ(table1(0, PAGE, FF_USER, -(uint64_t)PAGE, f.mem.fd), 1);
	CHECK_EQ(table1(-(uint64_t)PAGE, PAGE, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(0, -(uint64_t)PAGE, FF_USER, 0, f.mem.fd), 1);
	CHECK_EQ(table1(0, 1ull << 63, FF_USER, 1ull << 63, f.mem.fd), 1);
	CHECK_EQ(table1(0, PAGE, -(uint64_t)100, 0, f.mem.fd), 1);
	/* What can shrink, and what is no memory at all. */
	open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(open_fd, PAGE), 0);
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, open_fd), 1);
	file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file != -1) {
		CHECK_EQ(ftruncate(file, PAGE), 0);
		CHECK_EQ(table1(0, PAGE, FF_USER, 0, file), 1);
		close(file);
	}
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, f.q[0].kick), 1);
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, f.sock), 1);
	CHECK_EQ(fcntl(open_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	/* Each refusal left the table that was. */
	round_trip(0, 10);
	for (i = 0; i < 8; i++) {
		r[i] = (struct vhu_region){ (uint64_t)i * PAGE * 2, PAGE,
			FF_USER + (uint64_t)i * PAGE, 0 };
		fds[i] = open_fd;
	}
	CHECK_EQ(table(8, r, fds), 1); /* good, but the ring is not in it */
	CHECK_EQ(ff_mem_table(&f), 0);
	round_trip(0, 10);
	r[7].gpa = r[2].gpa;
	CHECK_EQ(table(8, r, fds), 1);
	r[7].gpa = r[2].gpa + PAGE;
	r[6].gpa = r[7].gpa + PAGE;
	r[6].bytes = 2 * PAGE; /* and ends inside of its file no more */
	CHECK_EQ(table(8, r, fds), 1);
	/* 200 GiB of address space, of holes. */
	big = memfd_create("big", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(big, 128ll << 30), 0);
	CHECK_EQ(fcntl(big, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	for (i = 0; i < 8; i++) {
		r[i] = (struct vhu_region){ (uint64_t)i << 40, 128ull << 30,
			(uint64_t)i << 40, 0 };
		fds[i] = big;
	}
	CHECK_EQ(table(8, r, fds), 1);
	close(big);
	round_trip(0, 10);
	close(open_fd);
	ff_close(&f);
}

/* Two regions, and rings by their user addresses. */
static void
regions(void)
{
	struct vhu_region r[2] = {
		{ 0, FF_DATA, FF_USER, 0 },
		{ FF_DATA, FF_MEM_BYTES - FF_DATA, FF_USER + (1ull << 40),
		    FF_DATA },
	};
	int fds[2];

	begin();
	ff_hello(&f, VIO_F_EVENT_IDX);
	fds[0] = fds[1] = f.mem.fd;
	CHECK_EQ(table(2, r, fds), 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	round_trip(0, 20);
	/* A buffer from one into the other is in neither. */
	ff_desc(&f, 0, 0, FF_DATA - 2, 4, 0, 0);
	ff_avail(&f, 0, 0);
	ff_kick(&f, 0);
	CHECK(ff_bell(f.q[0].err));
	ff_close(&f);
}

static void
ring_places(void)
{
	static const struct {
		uint64_t desc, avail, used;
	} places[] = {
		{ FF_USER + FF_MEM_BYTES, FF_USER, FF_USER + 0x1000 },
		{ FF_USER + FF_MEM_BYTES - 16, FF_USER, FF_USER + 0x1000 },
		{ FF_USER, FF_USER + FF_MEM_BYTES - 2, FF_USER + 0x1000 },
		{ FF_USER, FF_USER + 0x1000, FF_USER + FF_MEM_BYTES - 4 },
		{ FF_USER - 16, FF_USER + 0x1000, FF_USER + 0x2000 },
		{ 0, 0x1000, 0x2000 },
		{ FF_USER + 8, FF_USER + 0x1000, FF_USER + 0x2000 },
		{ FF_USER, FF_USER, FF_USER },
		{ ~0ull, ~0ull, ~0ull },
		{ ~15ull, FF_USER + 0x1000, FF_USER + 0x2000 },
	};
	struct vhu_msg m;
	unsigned i;

	begin();
	ff_up(&f, 1, SIZE);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		vhu_msg_init(&m, VHU_SET_VRING_ADDR);
		m.body.addr.desc = places[i].desc;
		m.body.addr.avail = places[i].avail;
		m.body.addr.used = places[i].used;
		CHECK_MSG(ff_send(&f, &m) == 1, "place %u", i);
		CHECK_EQ(ff_state(&f, VHU_SET_VRING_ENABLE, 0, 1), 1);
	}
	m.body.addr.flags = 1; /* a log of writes */
	CHECK_EQ(ff_send(&f, &m), 1);
	ff_queue_send(&f, 0, 0);
	round_trip(0, 10);
	ff_close(&f);
}

static void
numbers(void)
{
	static const uint32_t requests[] = { VHU_SET_VRING_NUM,
		VHU_SET_VRING_BASE, VHU_SET_VRING_ENABLE };
	struct vhu_msg m;
	unsigned i;

	begin();
	ff_up(&f, 1, SIZE);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(ff_state(&f, requests[i], FF_QUEUES, 1), 1);
		CHECK_EQ(ff_state(&f, requests[i], ~0u, 1), 1);
		CHECK_EQ(ff_state(&f, requests[i], 0x100, 1), 1);
	}
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_KICK, FF_QUEUES, f.q[0].kick), 1);
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_CALL, 0xff, f.q[0].call), 1);
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_ERR, 0x80, f.q[0].err), 1);
	CHECK_EQ(ff_fd(&f, VHU_SET_VRING_KICK, 0, -1), 1); /* polling */
	for (i = 0; i < 70000; i += i < 40 ? 1 : 997)
		CHECK_EQ(ff_state(&f, VHU_SET_VRING_NUM, 1, i),
		    i != 0 && i <= 1024 && (i & (i - 1)) == 0 ? 0 : 1);
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_NUM, 1, 2048), 1);
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_NUM, 0, SIZE / 2), 1); /* runs */
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_BASE, 0, 0), 1);
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_BASE, 1, 0x10000), 1);
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_ENABLE, 0, 2), 1);
	/* T17: what was not offered; no driver of before 1.0; not now. */
	for (i = 0; i < 64; i++)
		CHECK_EQ(ff_u64(&f, VHU_SET_FEATURES, 1ull << i), 1);
	CHECK_EQ(
	    ff_u64(&f, VHU_SET_FEATURES, VIO_F_VERSION_1 | VIO_F_EVENT_IDX), 1);
	CHECK_EQ(ff_u64(&f, VHU_SET_FEATURES, VIO_F_VERSION_1 | VIO_F_INDIRECT),
	    0); /* as it is */
	CHECK_EQ(ff_u64(&f, VHU_SET_PROTOCOL_FEATURES, ~0ull), 1);
	round_trip(0, 10);
	/* More in flight than was made available. */
	CHECK_EQ(ff_base(&f, 0), 10);
	CHECK_EQ(ff_state(&f, VHU_SET_VRING_BASE, 0, 11), 0);
	CHECK_EQ(ff_start(&f, 0), 1);
	CHECK_EQ(ff_base(&f, 0), 11);
	vhu_msg_init(&m, VHU_GET_VRING_BASE);
	m.body.state.index = FF_QUEUES;
	CHECK_EQ(ff_ask(&f, &m, &m), -1); /* nobody asked for an answer */
	CHECK_EQ(ff_wait_end(&f), -1);
	ff_close(&f);
}

static void
bells(void)
{
	static const uint32_t requests[] = { VHU_SET_VRING_KICK,
		VHU_SET_VRING_CALL, VHU_SET_VRING_ERR };
	int fds[16], n = 0, i, k, p[2], sv[2];

	CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
	fds[n++] = p[0];
	fds[n++] = p[1];
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fds[n++] = sv[0];
	fds[n++] = sv[1];
	fds[n++] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[n++] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[n++] = open("/", O_RDONLY | O_CLOEXEC);
	fds[n++] = memfd_create("bell", MFD_CLOEXEC);
	fds[n++] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	fds[n++] = epoll_create1(EPOLL_CLOEXEC);
	begin();
	ff_up(&f, 1, SIZE);
	for (i = 0; i < n; i++)
		for (k = 0; k < 3; k++)
			CHECK_MSG(ff_fd(&f, requests[k], 0, fds[i]) == 1,
			    "fd %d as %s", i, vhu_row(requests[k])->name);
	round_trip(0, 10);
	ff_close(&f);
	while (n > 0)
		close(fds[--n]);
}

static int
log_set(uint64_t bytes, uint64_t off, unsigned nqueues, unsigned size, int fd)
{
	struct vhu_msg m;

	vhu_msg_init(&m, VHU_SET_INFLIGHT_FD);
	m.body.inflight = (struct vhu_inflight){
		.map_bytes = bytes,
		.off_bytes = off,
		.nqueues = (uint16_t)nqueues,
		.queue_size = (uint16_t)size,
	};
	m.fd[0] = fd;
	m.nfds = 1;
	return (ff_send(&f, &m));
}

/* Gives the fd. */
static int
log_get(unsigned nqueues, unsigned size, uint64_t *bytes)
{
	struct vhu_msg m, r;

	vhu_msg_init(&m, VHU_GET_INFLIGHT_FD);
	m.body.inflight.nqueues = (uint16_t)nqueues;
	m.body.inflight.queue_size = (uint16_t)size;
	if (ff_ask(&f, &m, &r) == -1)
		return (-1);
	CHECK_EQ(r.body.inflight.nqueues, nqueues);
	CHECK_EQ(r.body.inflight.off_bytes, 0);
	*bytes = r.body.inflight.map_bytes;
	return (r.fd[0]);
}

static void
logs(void)
{
	uint64_t bytes;
	int fd, open_fd;

	begin();
	ff_hello(&f, VIO_F_EVENT_IDX);
	fd = log_get(FF_QUEUES, 128, &bytes);
	REQUIRE(fd != -1);
	CHECK_EQ(bytes, FF_QUEUES * 2112);
	CHECK_EQ(log_set(bytes, 0, FF_QUEUES, 128, fd), 0);
	CHECK_EQ(log_set(bytes - 1, 0, FF_QUEUES, 128, fd), 1);
	CHECK_EQ(log_set(bytes, 1, FF_QUEUES, 128, fd), 1);
	CHECK_EQ(log_set(bytes, 1ull << 40, FF_QUEUES, 128, fd), 1);
	CHECK_EQ(log_set(bytes, -(uint64_t)PAGE, FF_QUEUES, 128, fd), 1);
	CHECK_EQ(log_set(~0ull, 0, 0, 128, fd), 1);
	CHECK_EQ(log_set(~0ull, 0, 17, 128, fd), 1);
	CHECK_EQ(log_set(~0ull, 0, 1, 0, fd), 1);
	CHECK_EQ(log_set(~0ull, 0, 1, 2048, fd), 1);
	open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(open_fd, 1 << 20), 0);
	CHECK_EQ(log_set(bytes, 0, FF_QUEUES, 128, open_fd), 1);
	close(open_fd);
	CHECK_EQ(ff_mem_table(&f), 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	round_trip(0, 10);
	CHECK_EQ(log_set(bytes, 0, FF_QUEUES, 128, fd), 1); /* it runs */
	/* A queue that is larger than its log. */
	ff_queue(&f, 1, 256);
	CHECK_EQ(ff_start(&f, 1), 1);
	close(fd);
	CHECK_EQ(log_get(FF_QUEUES, 128, &bytes), -1);
	CHECK_EQ(ff_wait_end(&f), -1);
	ff_connect(&f);
	ff_hello(&f, 0);
	CHECK_EQ(log_get(FF_QUEUES + 1, 128, &bytes), -1);
	ff_close(&f);
}

/*
 * Who had served 65536 requests, and died before he said so of the last one,
 * has left an index of 0 and a log that is not new.
 */
static void
wrapped(void)
{
	struct vq_log *log;
	uint64_t bytes;
	int fd;

	begin();
	ff_hello(&f, VIO_F_EVENT_IDX);
	fd = log_get(FF_QUEUES, 128, &bytes);
	log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(log != MAP_FAILED);
	log->version = 1;
	log->desc_num = SIZE;
	log->desc[2].counter = 65536;
	CHECK_EQ(log_set(bytes, 0, FF_QUEUES, 128, fd), 0);
	CHECK_EQ(ff_mem_table(&f), 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	CHECK(ff_bell(f.q[0].call));
	round_trip(0, 10);
	munmap(log, bytes);
	close(fd);
	ff_close(&f);
}

/* Requests in any order and out of place, with fds of all kinds. */
static void
disorder(void)
{
	int fds[5], n, i;
	unsigned seed = 1, k;
	struct vhu_msg m, r;
	const struct vhu_row *row;
	struct err e;

	begin();
	fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[1] = f.mem.fd;
	fds[2] = f.page_fd;
	fds[3] = f.back_sock;
	fds[4] = f.sock;
	ff_hello(&f, 0);
	for (n = 0; n < 20000; n++) {
		seed = seed * 1664525 + 1013904223;
		row = &vhu_table[(seed >> 16) % vhu_ntable];
		vhu_msg_init(&m, row->request);
		for (k = 0; k < m.size; k++)
			((uint8_t *)&m.body)[k] =
			    (uint8_t)((seed >> k % 24) % 3);
		if (row->fds == VHU_FD_REGIONS)
			m.body.mem.nregions = 1;
		if (row->request == VHU_GET_CONFIG ||
		    row->request == VHU_SET_CONFIG)
			m.body.config =
			    (struct vhu_config){ seed % 250, 1, 0, { 0 } };
		if (row->request == VHU_SET_VRING_ADDR)
			m.body.addr.flags = 0;
		m.nfds = row->fds == VHU_FD_NONE ||
			(row->fds == VHU_FD_VRING &&
			    m.body.u64 & VHU_VRING_NOFD)
		    ? 0
		    : 1;
		m.fd[0] = m.nfds ? fds[(seed >> 10) % 5] : -1;
		m.flags |= VHU_NEED_REPLY;
		if (row->request == VHU_SET_PROTOCOL_FEATURES)
			m.body.u64 = VHU_BACK_PROTOCOL;
		if (vhu_send(f.sock, &m, &e) == 0 &&
		    (i = vhu_recv(f.sock, &r, &e)) == 1) {
			vhu_msg_close(&r);
			continue;
		}
		/* A GET that was refused: begin again. */
		ff_hangup(&f);
		ff_connect(&f);
		fds[3] = f.back_sock;
		fds[4] = f.sock;
		ff_hello(&f, 0);
	}
	ff_hangup(&f);
	ff_connect(&f);
	ff_up(&f, 1, SIZE);
	round_trip(0, 10);
	ff_close(&f);
	close(fds[0]);
}

static void
unasked(void)
{
	struct vhu_msg m, r;
	struct err e;

	/* Before REPLY_ACK a no is the end. */
	begin();
	vhu_msg_init(&m, VHU_SET_VRING_NUM);
	m.flags |= VHU_NEED_REPLY;
	CHECK_EQ(vhu_send(f.sock, &m, &e), 0);
	CHECK_EQ(ff_wait_end(&f), -1);
	CHECK(strstr(f.why.text, "SET_VRING_NUM") != NULL);
	/* What was not negotiated; a reply to nobody; half a message. */
	ff_connect(&f);
	vhu_msg_init(&m, VHU_GET_STATUS);
	CHECK_EQ(vhu_send(f.sock, &m, &e), 0);
	CHECK_EQ(ff_wait_end(&f), -1);
	ff_connect(&f);
	vhu_msg_init(&m, VHU_SET_OWNER);
	vhu_msg_reply(&r, &m);
	CHECK_EQ(vhu_send(f.sock, &r, &e), 0);
	CHECK_EQ(ff_wait_end(&f), -1);
	ff_connect(&f);
	CHECK_EQ(write(f.sock, "half", 4), 4);
	shutdown(f.sock, SHUT_WR);
	CHECK_EQ(ff_wait_end(&f), -1);
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

	begin();
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
	{ "vhu back: memory tables", tables },
	{ "vhu back: regions", regions },
	{ "T11 vhu back: where rings may be", ring_places },
	{ "T09 T17 vhu back: numbers", numbers },
	{ "vhu back: bells that are none", bells },
	{ "vhu back: logs", logs },
	{ "vhu back: an index that has wrapped", wrapped },
	{ "T63 vhu back: disorder", disorder },
	{ "T63 vhu back: nobody asked", unasked },
	{ "vhu back: who reads our kicks", thieves },
};

TAP_MAIN(cases)
