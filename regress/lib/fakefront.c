/* SPDX-License-Identifier: ISC */
/* A front end of vhost-user for tests: see fakefront.h. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/vhu/devproc.h"
#include "regress/lib/fakefront.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fakefront: %s\n", what);
	abort();
}

static void *
server_main(void *arg)
{
	struct fakefront *f = arg;

	err_clear(&f->why);
	f->served = vhu_back_serve(f->b, f->back_sock, &f->why);
	shutdown(f->back_sock, SHUT_RDWR);
	return (NULL);
}

void
ff_connect(struct fakefront *f)
{
	struct timeval limit = { .tv_sec = 60 };
	int sv[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0,
	    "socketpair");
	f->sock = sv[0];
	f->back_sock = sv[1];
	setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	need(pthread_create(&f->server, NULL, server_main, f) == 0, "thread");
}

int
ff_wait_end(struct fakefront *f)
{
	pthread_join(f->server, NULL);
	fd_close(&f->back_sock);
	fd_close(&f->sock);
	return (f->served);
}

void
ff_hangup(struct fakefront *f)
{
	if (f->sock == -1)
		return;
	shutdown(f->sock, SHUT_RDWR);
	ff_wait_end(f);
}

static void
queue_fds_close(struct ff_queue *q)
{
	fd_close(&q->kick);
	fd_close(&q->call);
	fd_close(&q->err);
}

static void
world(struct fakefront *f, unsigned nqueues)
{
	struct err e;
	void *map;
	unsigned i;

	f->conf.magic = DEVPAGE_MAGIC;
	f->conf.kind = DEV_BLK;
	f->conf.nqueues = nqueues;
	need(mem_open(&f->mem, "ff", FF_MEM_BYTES, false, &e) == 0, "memory");
	f->page_fd = memfd_sealed_map(
	    "page", DEVPAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW, &map);
	need(f->page_fd != -1, "page");
	f->page = map;
	f->page->conf = f->conf;
	f->sock = f->back_sock = -1;
	for (i = 0; i < FF_QUEUES; i++)
		f->q[i].kick = f->q[i].call = f->q[i].err = -1;
}

void
ff_open(struct fakefront *f, const struct vio_ops *ops, unsigned nqueues,
    int *fd, unsigned nfds)
{
	struct vio_conf vc = { .conf = &f->conf, .fd = fd, .nfds = nfds };
	struct err e;

	world(f, nqueues);
	vc.page = f->page;
	f->b = vhu_back_new(ops, nqueues, &e);
	need(f->b != NULL, "back end");
	if (vhu_back_prepare(f->b, &vc, &e) == -1 ||
	    vhu_back_open(f->b, &vc, &e) == -1)
		tap_fail(__FILE__, __LINE__, "open: %s", e.text);
	ff_connect(f);
}

void
ff_open_process(struct fakefront *f, unsigned nqueues)
{
	world(f, nqueues);
}

void
ff_spawn(struct fakefront *f, const struct vio_ops *ops,
    const struct sandbox_filter *filter, int *fd, unsigned nfds)
{
	struct vio_conf vc = {
		.conf = &f->conf,
		.page = f->page,
		.fd = fd,
		.nfds = nfds,
	};
	int sv[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0,
	    "socketpair");
	fflush(stdout);
	f->pid = fork();
	need(f->pid != -1, "fork");
	if (f->pid == 0) {
		close(sv[0]);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(devproc_serve(ops, filter, &vc, sv[1], &f->why) == 0 ? 0
									   : 1);
	}
	close(sv[1]);
	f->sock = sv[0];
}

int
ff_reap(struct fakefront *f, int sig)
{
	int status = 0;

	if (f->pid == 0)
		return (0);
	if (sig != 0)
		kill(f->pid, sig);
	fd_close(&f->sock);
	need(waitpid(f->pid, &status, 0) == f->pid, "waitpid");
	f->pid = 0;
	return (status);
}

void
ff_close(struct fakefront *f)
{
	unsigned i;

	if (f->b != NULL)
		ff_hangup(f);
	ff_reap(f, SIGKILL);
	vhu_back_free(f->b);
	for (i = 0; i < FF_QUEUES; i++)
		queue_fds_close(&f->q[i]);
	munmap(f->page, DEVPAGE_BYTES);
	fd_close(&f->page_fd);
	mem_close(&f->mem);
	memset(f, 0, sizeof(*f));
}

int
ff_ask(struct fakefront *f, struct vhu_msg *m, struct vhu_msg *reply)
{
	struct err e;

	if (vhu_send(f->sock, m, &e) == -1 || vhu_recv(f->sock, reply, &e) != 1)
		return (-1);
	CHECK_EQ(reply->request, m->request);
	CHECK_EQ(reply->flags, VHU_VERSION | VHU_REPLY);
	return (0);
}

int
ff_send(struct fakefront *f, struct vhu_msg *m)
{
	struct vhu_msg reply;

	m->flags |= VHU_NEED_REPLY;
	if (ff_ask(f, m, &reply) == -1)
		return (-1);
	return (reply.body.u64 == 0 ? 0 : 1);
}

int
ff_u64(struct fakefront *f, uint32_t request, uint64_t v)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.u64 = v;
	return (ff_send(f, &m));
}

int
ff_state(struct fakefront *f, uint32_t request, uint32_t i, uint32_t n)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.state.index = i;
	m.body.state.num = n;
	return (ff_send(f, &m));
}

int
ff_fd(struct fakefront *f, uint32_t request, uint32_t i, int fd)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.u64 = i | (fd == -1 ? VHU_VRING_NOFD : 0);
	m.fd[0] = fd;
	m.nfds = fd == -1 ? 0 : 1;
	return (ff_send(f, &m));
}

uint64_t
ff_get(struct fakefront *f, uint32_t request)
{
	struct vhu_msg m, reply;

	vhu_msg_init(&m, request);
	if (ff_ask(f, &m, &reply) == -1) {
		tap_fail(__FILE__, __LINE__, "request %u: closed", request);
		return (0);
	}
	return (reply.body.u64);
}

int
ff_base(struct fakefront *f, uint32_t i)
{
	struct vhu_msg m, reply;

	vhu_msg_init(&m, VHU_GET_VRING_BASE);
	m.body.state.index = i;
	if (ff_ask(f, &m, &reply) == -1)
		return (-1);
	CHECK_EQ(reply.body.state.index, i);
	return ((int)reply.body.state.num);
}

void
ff_hello(struct fakefront *f, uint64_t without)
{
	struct vhu_msg m;
	struct err e;
	uint64_t offered = ff_get(f, VHU_GET_FEATURES);

	CHECK_EQ(ff_get(f, VHU_GET_PROTOCOL_FEATURES), VHU_BACK_PROTOCOL);
	vhu_msg_init(&m, VHU_SET_PROTOCOL_FEATURES);
	m.body.u64 = VHU_BACK_PROTOCOL;
	CHECK_EQ(vhu_send(f->sock, &m, &e), 0);
	vhu_msg_init(&m, VHU_SET_OWNER);
	CHECK_EQ(ff_send(f, &m), 0);
	CHECK_EQ(ff_u64(f, VHU_SET_FEATURES, offered & ~without), 0);
}

int
ff_mem_table(struct fakefront *f)
{
	struct vhu_msg m;

	vhu_msg_init(&m, VHU_SET_MEM_TABLE);
	m.body.mem.nregions = 1;
	m.size = VHU_MEM_BYTES(1);
	m.body.mem.region[0] =
	    (struct vhu_region){ 0, FF_MEM_BYTES, FF_USER, 0 };
	m.fd[0] = f->mem.fd;
	m.nfds = 1;
	return (ff_send(f, &m));
}

void
ff_queue_send(struct fakefront *f, unsigned i, uint16_t base)
{
	struct ff_queue *q = &f->q[i];
	struct vhu_msg m;

	CHECK_EQ(ff_state(f, VHU_SET_VRING_NUM, i, q->size), 0);
	CHECK_EQ(ff_state(f, VHU_SET_VRING_BASE, i, base), 0);
	vhu_msg_init(&m, VHU_SET_VRING_ADDR);
	m.body.addr = (struct vhu_addr){
		.index = i,
		.desc = FF_USER + q->desc,
		.used = FF_USER + q->used,
		.avail = FF_USER + q->avail,
	};
	CHECK_EQ(ff_send(f, &m), 0);
	CHECK_EQ(ff_fd(f, VHU_SET_VRING_CALL, i, q->call), 0);
	CHECK_EQ(ff_fd(f, VHU_SET_VRING_ERR, i, q->err), 0);
}

void
ff_queue(struct fakefront *f, unsigned i, uint16_t size)
{
	struct ff_queue *q = &f->q[i];
	uint64_t at = FF_RINGS + 0x10000ull * i;

	q->size = size;
	q->avail_idx = q->used_seen = 0;
	q->desc = at;
	q->avail = at + 0x8000;
	q->used = at + 0xa000;
	memset(f->mem.base + at, 0, 0x10000);
	if (q->kick == -1) {
		q->kick = eventfd(0, EFD_CLOEXEC);
		q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	ff_queue_send(f, i, 0);
}

int
ff_start(struct fakefront *f, unsigned i)
{
	int r = ff_fd(f, VHU_SET_VRING_KICK, i, f->q[i].kick);

	return (r != 0 ? r : ff_state(f, VHU_SET_VRING_ENABLE, i, 1));
}

void
ff_up(struct fakefront *f, unsigned nqueues, uint16_t size)
{
	unsigned i;

	ff_hello(f, VIO_F_EVENT_IDX); /* this driver asks for every call */
	CHECK_EQ(ff_mem_table(f), 0);
	for (i = 0; i < nqueues; i++) {
		ff_queue(f, i, size);
		CHECK_EQ(ff_start(f, i), 0);
	}
}

static uint16_t
load16(struct fakefront *f, uint64_t gpa)
{
	return (__atomic_load_n(
	    (uint16_t *)(void *)(f->mem.base + gpa), __ATOMIC_SEQ_CST));
}

static void
store16(struct fakefront *f, uint64_t gpa, uint16_t v)
{
	__atomic_store_n(
	    (uint16_t *)(void *)(f->mem.base + gpa), v, __ATOMIC_SEQ_CST);
}

void
ff_desc(struct fakefront *f, unsigned q, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next)
{
	uint64_t rest = len | (uint64_t)flags << 32 | (uint64_t)next << 48;
	uint64_t *d = (void *)(f->mem.base + f->q[q].desc + 16 * i);

	__atomic_store_n(d, addr, __ATOMIC_RELAXED);
	__atomic_store_n(d + 1, rest, __ATOMIC_RELAXED);
}

void
ff_avail(struct fakefront *f, unsigned i, uint16_t head)
{
	struct ff_queue *q = &f->q[i];

	store16(f, q->avail + 4 + 2 * (q->avail_idx % q->size), head);
	store16(f, q->avail + 2, ++q->avail_idx);
}

void
ff_kick(struct fakefront *f, unsigned i)
{
	uint64_t one = 1;

	need(write(f->q[i].kick, &one, sizeof(one)) == sizeof(one), "kick");
}

bool
ff_used(struct fakefront *f, unsigned i, uint32_t *id, uint32_t *len)
{
	struct ff_queue *q = &f->q[i];
	uint32_t *u;

	if (load16(f, q->used + 2) == q->used_seen)
		return (false);
	u = (void *)(f->mem.base + q->used + 4 +
	    8 * (q->used_seen++ % q->size));
	*id = __atomic_load_n(u, __ATOMIC_RELAXED);
	*len = __atomic_load_n(u + 1, __ATOMIC_RELAXED);
	return (true);
}

bool
ff_bell(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	return (poll(&p, 1, 5000) == 1 && read(fd, &n, sizeof(n)) == 8);
}

void
ff_used_wait(struct fakefront *f, unsigned i, uint32_t *id, uint32_t *len)
{
	while (!ff_used(f, i, id, len))
		if (!ff_bell(f->q[i].call)) {
			tap_fail(__FILE__, __LINE__, "queue %u: no call", i);
			*id = *len = ~0u;
			return;
		}
}
