/* SPDX-License-Identifier: ISC */
/* The back end behind its socket, and front ends that lie. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/vhu/back_int.h"
#include "regress/lib/slowdev.h"
#include "regress/lib/tap.h"

#define SIZE SLOW_SIZE
#define PAGE 4096

static struct fakefront f;

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
	char path[] = "/tmp/vmd-table.XXXXXX";
	int fds[8], open_fd, file, i, big;

	slow_open(&f);
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
	REQUIRE((file = mkstemp(path)) != -1);
	unlink(path);
	CHECK_EQ(ftruncate(file, PAGE), 0);
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, file), 1);
	close(file);
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, f.q[0].kick), 1);
	CHECK_EQ(table1(0, PAGE, FF_USER, 0, f.sock), 1);
	CHECK_EQ(fcntl(open_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	/* Each refusal left the table that was. */
	slow_round(&f, 0, 10);
	for (i = 0; i < 8; i++) {
		r[i] = (struct vhu_region){ (uint64_t)i * PAGE * 2, PAGE,
			FF_USER + (uint64_t)i * PAGE, 0 };
		fds[i] = open_fd;
	}
	CHECK_EQ(table(8, r, fds), 1); /* good, but the ring is not in it */
	CHECK_EQ(ff_mem_table(&f), 0);
	slow_round(&f, 0, 10);
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
	slow_round(&f, 0, 10);
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

	slow_open(&f);
	ff_hello(&f, VIO_F_EVENT_IDX);
	fds[0] = fds[1] = f.mem.fd;
	CHECK_EQ(table(2, r, fds), 0);
	ff_queue(&f, 0, SIZE);
	CHECK_EQ(ff_start(&f, 0), 0);
	slow_round(&f, 0, 20);
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

	slow_open(&f);
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
	slow_round(&f, 0, 10);
	ff_close(&f);
}

static void
numbers(void)
{
	static const uint32_t requests[] = { VHU_SET_VRING_NUM,
		VHU_SET_VRING_BASE, VHU_SET_VRING_ENABLE };
	struct vhu_msg m;
	unsigned i;

	slow_open(&f);
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
	slow_round(&f, 0, 10);
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
	slow_open(&f);
	ff_up(&f, 1, SIZE);
	for (i = 0; i < n; i++)
		for (k = 0; k < 3; k++)
			CHECK_MSG(ff_fd(&f, requests[k], 0, fds[i]) == 1,
			    "fd %d as %s", i, vhu_row(requests[k])->name);
	slow_round(&f, 0, 10);
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

	slow_open(&f);
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
	slow_round(&f, 0, 10);
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

	slow_open(&f);
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
	slow_round(&f, 0, 10);
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

	slow_open(&f);
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
	slow_round(&f, 0, 10);
	ff_close(&f);
	close(fds[0]);
}

static void
unasked(void)
{
	struct vhu_msg m, r;
	struct err e;

	/* Before REPLY_ACK a no is the end. */
	slow_open(&f);
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

static const struct tap_case cases[] = {
	{ "vhu back: memory tables", tables },
	{ "vhu back: regions", regions },
	{ "T11 vhu back: where rings may be", ring_places },
	{ "T09 T17 vhu back: numbers", numbers },
	{ "vhu back: bells that are none", bells },
	{ "vhu back: logs", logs },
	{ "vhu back: an index that has wrapped", wrapped },
	{ "T63 vhu back: disorder", disorder },
	{ "T63 vhu back: nobody asked", unasked },
};

TAP_MAIN(cases)
