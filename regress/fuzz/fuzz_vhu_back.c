/* SPDX-License-Identifier: ISC */
/*
 * The back end against a front end of bytes: messages as they come from the
 * socket, then judged and handled, with memory, logs and eventfds of all kinds.
 * Queues are served by this thread, at once and whenever the program says so, so
 * that a run is one sequence; their threads are test_vhu_back's matter.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/vhu/back_int.h"
#include "regress/fuzz/input.h"
#include "shared/devpage.h"
#include "shared/fd.h"

#define MEM_BYTES 0x10000
#define NFDS 6

/* ---- Instead of backq.c: no threads -------------------------------------- */

static void
serve(struct backq *q)
{
	if (q->runs && !q->broken && !q->stuck && !vq_stopped(q->vq))
		q->b->vio.ops->kick(&q->b->vio, q->vq);
}

int
bq_open(struct backq *q, struct err *e)
{
	(void)e;
	q->runs = false;
	return (0);
}

void
bq_close(struct backq *q)
{
	(void)q;
}

void
bq_start(struct backq *q)
{
	q->runs = true;
	q->broken = q->stuck = false;
	serve(q);
}

int
bq_stop(struct backq *q, struct err *e)
{
	(void)e;
	vq_stop(q->vq, true);
	q->runs = false;
	return (0);
}

bool
bq_runs(struct backq *q)
{
	return (q->runs);
}

void
bq_set_call(struct backq *q, int *fd)
{
	fd_close(&q->call_fd);
	q->call_fd = fd_move(fd);
}

void
bq_set_err(struct backq *q, int *fd)
{
	fd_close(&q->err_fd);
	q->err_fd = fd_move(fd);
}

void
bq_fail(struct backq *q, const struct err *e)
{
	devpage_err_put(q->b->page, e);
}

void
bq_broken(struct backq *q)
{
	devpage_count(&q->b->page->broken_rings, 1);
}

int
bq_ring(int fd, uint64_t n)
{
	return (write(fd, &n, sizeof(n)) == sizeof(n) ? 0 : -1);
}

static void
on_needs_reset(struct vio *v)
{
	struct vhu_back *b = v->carrier_ctx;
	unsigned i;

	for (i = 0; i < b->nthreads; i++)
		b->q[i].broken = true;
}

static void
on_signal(struct vio *v, struct vq *q)
{
	(void)v;
	vq_signal(q);
}

static void
on_stuck(struct vio *v, struct vq *vq, const struct err *e)
{
	struct vhu_back *b = v->carrier_ctx;

	b->q[vq - v->vq].stuck = true;
	bq_fail(&b->q[vq - v->vq], e);
}

const struct vio_carrier back_carrier = {
	.needs_reset = on_needs_reset,
	.signal = on_signal,
	.stuck = on_stuck,
};

/* ---- A device ------------------------------------------------------------ */

static void
kick(struct vio *v, struct vq *q)
{
	static struct vq_chain c;
	struct err e;
	unsigned n;
	int r = 0;

	for (n = 0; n < 64 && (r = vq_pop(q, &c)) == 1; n++) {
		if (c.out_bytes == 7) {
			err_set(&e, 28, "full");
			v->carrier->stuck(v, q, &e);
			return;
		}
		vq_push(q, &c, c.in_bytes);
	}
	if (r == -1)
		v->carrier->needs_reset(v);
}

static void
cfg(struct vio *v, struct bus_access *a)
{
	if (a->off_bytes >= 16)
		abort();
	if (a->write)
		v->cfg[a->off_bytes] = (uint8_t)a->val;
	else
		a->val = v->cfg[a->off_bytes];
}

static void
nothing(struct vio *v)
{
	(void)v;
}

static const uint16_t queues[] = { 256, 1024 };
static const struct vio_ops device = {
	.name = "fuzz",
	.queue_max = queues,
	.cfg_bytes = 16,
	.nqueues = 2,
	.kick = kick,
	.cfg = cfg,
	.start = nothing,
	.reset = nothing,
};

/* ---- The front end ------------------------------------------------------- */

static struct vhu_back *b;
static int fds[NFDS], sv[2];
static uint8_t *guest;

static int
memory(const char *name, unsigned seals)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1 || ftruncate(fd, MEM_BYTES) == -1 ||
	    fcntl(fd, F_ADD_SEALS, seals) == -1)
		abort();
	return (fd);
}

static void
once(void)
{
	static struct devpage page;
	static struct devpage_conf conf;
	struct vio_conf vc = { .conf = &conf, .page = &page };
	struct err e;

	fds[0] = memory("guest", F_SEAL_SHRINK);
	fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[2] = memory("log", F_SEAL_SHRINK | F_SEAL_GROW);
	fds[3] = memory("open", 0);
	fds[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[5] = fds[1];
	guest = mmap(
	    NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	vhu_back_free(vhu_back_new(&device, 2, &e)); /* and another one: */
	if ((b = vhu_back_new(&device, 2, &e)) == NULL ||
	    vhu_back_prepare(b, &vc, &e) == -1 ||
	    vhu_back_open(b, &vc, &e) == -1 || guest == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1 ||
	    fd_set_nonblock(sv[1]) == -1)
		abort();
}

/* Which of the fds, and how many, is in what would else be unused. */
static void
fds_give(struct vhu_msg *m, uint8_t which)
{
	unsigned i, n = which >> 5;

	if (n == 7)
		n = m->request == VHU_SET_MEM_TABLE ? m->body.mem.nregions : 8;
	for (i = 0; i < n && i < VHU_FDS_MAX; i++)
		m->fd[m->nfds++] =
		    fcntl(fds[(which + i) % NFDS], F_DUPFD_CLOEXEC, 0);
}

static void
answer_check(const struct vhu_msg *reply)
{
	struct err e;

	if (vhu_check(reply, &e) == -1 || !(reply->flags & VHU_REPLY))
		abort();
}

/* As vhu_back_serve() does, without a socket. */
static bool
message(struct input *g)
{
	struct vhu_msg m, reply;
	uint8_t which, n;
	struct err e;
	unsigned i;
	int r;

	vhu_msg_init(&m, take_byte(g));
	which = take_byte(g);
	m.flags |= which & 1 ? VHU_NEED_REPLY : 0;
	n = take_byte(g);
	if (n != 0)
		m.size = n;
	for (i = 0; i < m.size && i < sizeof(m.body); i++)
		((uint8_t *)&m.body)[i] = take_byte(g);
	fds_give(&m, which);
	r = vhu_check(&m, &e);
	if (r == 0 && (r = vhu_back_request(b, &m, &reply, &e)) == 1)
		answer_check(&reply);
	vhu_msg_close(&m);
	return (r != -1);
}

/* Bytes and fds as they come from a socket, cut where the program ends. */
static void
stream(struct input *g)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 15)];
	} control = { .room = { 0 } };
	uint8_t buf[512], how = take_byte(g);
	unsigned i, nfds = how & 15;
	struct iovec iov = { buf, g->left < sizeof(buf) ? g->left : 512 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;
	struct err e;

	memcpy(buf, g->p, iov.iov_len);
	if (nfds > 0) {
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	}
	for (i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int),
		    &fds[(how / 16 + i) % NFDS], sizeof(int));
	if (iov.iov_len > 0 && sendmsg(sv[0], &mh, 0) == -1)
		abort();
	(void)vhu_back_serve(b, sv[1], &e); /* too late: it does not block */
	while (recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (recv(sv[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* Descriptor 0 in ring after ring; or any byte. */
static void
guest_does(struct input *g)
{
	unsigned at = take_byte(g), v = take_byte(g);
	uint8_t *p = guest + (at & 0xf) * 0x1000u;

	p[(at >> 4) * 2 + (v & 1)] = (uint8_t)v;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input g = { data, size };
	unsigned n;

	if (b == NULL)
		once();
	for (n = 0; g.left > 0 && n < 64; n++) {
		switch (take_byte(&g) & 7) {
		case 0:
			guest_does(&g);
			break;
		case 1:
			serve(&b->q[take_byte(&g) & 1]);
			break;
		case 2:
			stream(&g);
			g.left = 0;
			break;
		default:
			if (!message(&g))
				g.left = 0;
			break;
		}
	}
	if (vhu_back_hangup(b, NULL) == -1)
		abort();
	for (n = 0; n < 16; n++)
		memset(guest + n * 0x1000, 0, 64);
	return (0);
}
