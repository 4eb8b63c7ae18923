/* SPDX-License-Identifier: ISC */
/*
 * A virtio function that another process serves, between a guest, that process
 * and a hypervisor each of which does as it likes: BARs and vectors that move,
 * queues reset under way, calls and errors out of turn, answers that do not
 * come, eventfds that the hypervisor does not take, pause, saved state and
 * another process at any time.  The front end's messages are fuzz_vhu_front's
 * matter: its functions are here and only succeed or fail.  No eventfd may have
 * two owners, and no doorbell go that was not there.
 *
 * An execution: whatever the one before left, power-on, a process and a driver
 * make the device run; then a program of INPUT_MAX bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/vio_proxy.h"
#include "daemon/dev/virtio_pci.h"
#include "daemon/vhu/wire.h"
#include "regress/fuzz/input.h"
#include "regress/lib/fakeguest.h"

NO_COVERAGE_BEGIN

#define INPUT_MAX 48
#define SOCK 0x7ffffff0 /* never open */
#define QUEUES 2

enum {
	CFG_IN,
	CFG_OUT,
	TABLE,
	COMMON,
	NOTIFY,
	UP,
	RING,
	CALL,
	ERR,
	CLOSED,
	TIME,
	PAUSE,
	REPLACE,
	FAULT,
	REFUSE,
	RESET,
};

static struct input in;
static struct fakeguest g;
static struct devpage page;

static struct vpci *
vpci(void)
{
	return (g.dev->state);
}

static struct vio_proxy *
proxy(void)
{
	return (vpci()->vio.state);
}

/* ---- The process: instead of front.c ------------------------------------ */

static struct {
	unsigned after; /* so many answers; then none */
	bool armed, closes;
	uint64_t features;
	unsigned nqueues;
	uint8_t cfg;
	uint16_t base; /* of all queues, when they stop */
	bool own_base;
} back;

static int
answer(struct vhu_front *f, struct err *e)
{
	if (f->lost || f->sock != SOCK)
		abort();
	if (!back.armed || back.after-- > 0)
		return (0);
	back.armed = false;
	f->lost = true;
	return (err_set(e, back.closes ? EPIPE : ETIMEDOUT, "no answer"));
}

void
vhu_front_init(struct vhu_front *f)
{
	memset(f, 0, sizeof(*f));
	f->sock = -1;
}

void
vhu_front_close(struct vhu_front *f)
{
	f->sock = -1;
}

void
vhu_front_begin(struct vhu_front *f)
{
	(void)f;
}

int
vhu_front_open(struct vhu_front *f, int *sock, struct err *e)
{
	vhu_front_init(f);
	f->sock = *sock;
	*sock = -1;
	f->features = back.features;
	f->nqueues = back.nqueues;
	f->protocol = VHU_P_CONFIG;
	return (answer(f, e));
}

int
vhu_front_config(struct vhu_front *f, void *buf, unsigned bytes, struct err *e)
{
	uint8_t *p = buf;

	memset(p, back.cfg, bytes);
	p[34] = QUEUES; /* virtio 1.2, 5.2.4 */
	p[35] = 0;
	return (answer(f, e));
}

int
vhu_front_mem(struct vhu_front *f, const struct mem *m, struct err *e)
{
	if (m != &g.f.mem)
		abort();
	return (answer(f, e));
}

int
vhu_front_features(struct vhu_front *f, uint64_t features, struct err *e)
{
	if (features & ~f->features)
		abort();
	return (answer(f, e));
}

int
vhu_front_inflight(
    struct vhu_front *f, int fd, unsigned n, unsigned size, struct err *e)
{
	if (fd != proxy()->log_fd || n > QUEUES || size > 256)
		abort();
	return (answer(f, e));
}

int
vhu_front_start(
    struct vhu_front *f, const struct vhu_front_queue *q, struct err *e)
{
	if (q->index >= QUEUES || q->rings->size == 0 || q->rings->size > 256)
		abort();
	return (answer(f, e));
}

int
vhu_front_stop(
    struct vhu_front *f, unsigned index, uint16_t *base, struct err *e)
{
	*base = back.own_base ? back.base
			      : (uint16_t)(vpci()->vio.vq[index].next_avail);
	return (answer(f, e));
}

int
vhu_front_status(struct vhu_front *f, uint8_t status, struct err *e)
{
	if (!(status & VIO_DRIVER_OK))
		abort();
	return (answer(f, e));
}

int
vhu_front_reset(struct vhu_front *f, struct err *e)
{
	return (answer(f, e));
}

static void
honest(void)
{
	memset(&back, 0, sizeof(back));
	back.features = ~0ull;
	back.nqueues = QUEUES;
}

static void
ring(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* The kernel passes it on, to the guest or to the main thread: not to both. */
static void
call(unsigned i)
{
	int fd = proxy()->call_fd[i];
	bool watched = fakemach_fd(&g.f, FAKE_WATCH, fd) != NULL,
	     routed = fakemach_fd(&g.f, FAKE_IRQFD, fd) != NULL;
	uint64_t n;

	ring(fd);
	if (watched && routed)
		abort();
	if (watched)
		dev_ready(g.dev, i);
	else if (routed && read(fd, &n, sizeof(n)) != sizeof(n))
		abort();
}

static void
err(unsigned how)
{
	struct err e;

	if (how & 1)
		devpage_count(&page.broken_rings, 1);
	atomic_store(&page.state, how & 2 ? DEVP_STUCK : DEVP_FAILED);
	err_set(&e, how & 4 ? ENOSPC : 0, "words");
	devpage_err_put(&page, &e);
	ring(proxy()->err_fd);
	dev_ready(g.dev, VIO_QUEUES_MAX);
}

/* What both ends of a ring write, and the log. */
static void
rings(unsigned how)
{
	unsigned i = how & 1, slot = how >> 5;
	struct vq_log *log = vio_proxy_log(&vpci()->vio, i);
	uint16_t idx[2] = { 0 };

	if (g.q[i].size == 0)
		return;
	mem_read(&g.f.mem, g.q[i].avail + 2, &idx[0], 2);
	mem_read(&g.f.mem, g.q[i].used + 2, &idx[1], 2);
	idx[0] = (uint16_t)(idx[0] + (how >> 1 & 3));
	idx[1] = (uint16_t)(idx[1] + (how >> 3 & 3));
	mem_write(&g.f.mem, g.q[i].avail + 2, &idx[0], 2);
	mem_write(&g.f.mem, g.q[i].used + 2, &idx[1], 2);
	if (slot == 0)
		return;
	log->version = 1;
	log->desc_num = vpci()->q[i].rings.size;
	log->used_idx = idx[1];
	log->desc[slot].inflight = (uint8_t)(take(&in, 1) & 3);
	log->desc[slot].counter = take(&in, 1);
}

/* ---- The machine -------------------------------------------------------- */

static void
replace(unsigned how)
{
	int sock = SOCK;
	struct err e;

	if (how & 1)
		back.features = take(&in, 1) & 2 ? VIO_F_VERSION_1 : 0;
	if (how & 2)
		back.nqueues = (unsigned)take(&in, 1) % 4;
	if (how & 4)
		back.cfg = (uint8_t)take(&in, 1);
	(void)virtio_pci_replace(g.dev, &sock, &e);
	if (sock != -1)
		abort();
	back.features = ~0ull;
	back.nqueues = QUEUES;
	fakemach_sync(&g.f);
}

static void
save(struct snap_w *w)
{
	w->len_bytes = 0;
	dev_save(g.dev, w);
}

/* A process may have left what cannot be: then it is not taken. */
static void
reload(void)
{
	static struct snap_w a, b;
	struct snap_r r;
	struct err e;
	size_t at;

	save(&a);
	snap_r_init(&r, a.buf, a.len_bytes);
	if (dev_load(g.dev, &r, &e) == 0) {
		save(&b);
		if (a.len_bytes != b.len_bytes ||
		    memcmp(a.buf, b.buf, a.len_bytes) != 0)
			abort();
	}
	if (in.left > 2) {
		at = take(&in, 2) % a.len_bytes;
		a.buf[at] ^= (uint8_t)take(&in, 1);
		snap_r_init(&r, a.buf, a.len_bytes);
		(void)dev_load(g.dev, &r, &e);
	}
}

static void
pause_machine(unsigned how)
{
	dev_quiesce(g.dev);
	if (proxy()->running)
		abort();
	if (how & 1)
		reload();
	if (how & 2)
		replace(how >> 4);
	if (how & 4)
		dev_reset(g.dev);
	fakemach_sync(&g.f);
	dev_resume(g.dev);
}

/* ---- The guest ---------------------------------------------------------- */

static void
up(unsigned how)
{
	unsigned i;

	fg_negotiate(&g,
	    VIO_F_VERSION_1 | 1ull << 12 /* MQ */ |
		(how & 1 ? VIO_F_INDIRECT : VIO_F_EVENT_IDX));
	for (i = 0; i <= (how >> 1 & 1); i++)
		fg_queue(&g, i, 8);
	if (how & 4) {
		fg_out(&g, FG_Q_SEL, 0);
		fg_out(&g, FG_Q_VECTOR, 1);
		fg_mem_out(&g, g.table.addr + 16, 8, 0xfee00000);
		fg_mem_out(&g, g.table.addr + 24, 8, 0x41);
		fg_cfg_out(&g, g.table.at + 2, 2, 0x8000);
	}
	fg_out(&g, FG_STATUS, 15);
}

static void
config(bool write)
{
	unsigned at = (unsigned)take(&in, 1), bytes = 1u << (at & 3) % 3;

	at = at & 0xfc;
	if (write)
		fg_cfg_out(&g, at, bytes, (uint32_t)take(&in, bytes));
	else
		fg_cfg_in(&g, at, bytes);
}

static void
guest(unsigned op, unsigned how)
{
	uint32_t port = vpci()->fn.bar[0];

	switch (op) {
	case CFG_IN:
	case CFG_OUT:
		config(op == CFG_OUT);
		break;
	case TABLE:
		fg_mem_out(&g, g.table.addr + how % 12 * 4, how & 0x80 ? 8 : 4,
		    take(&in, how & 0x80 ? 8 : 4));
		break;
	case COMMON:
		if (how & 0x80)
			fg_out(&g, how & 0x3f, (uint32_t)take(&in, 2));
		else
			fg_in(&g, how & 0x3f);
		break;
	case NOTIFY:
		if (port != 0)
			fake_out(&g.f, (uint16_t)(port + how % 68),
			    how & 0x80 ? 1 : 2, 0);
		break;
	default:
		up(how);
		break;
	}
}

static void
step(void)
{
	unsigned op = (unsigned)take(&in, 1) & 15, how = (unsigned)take(&in, 1);

	switch (op) {
	case RING:
		rings(how);
		break;
	case CALL:
		call(how % QUEUES);
		break;
	case ERR:
		err(how);
		break;
	case CLOSED:
		dev_ready(g.dev, how % DEV_WATCHES);
		break;
	case TIME:
		fakemach_run(&g.f, (uint64_t)how << 28);
		break;
	case PAUSE:
		pause_machine(how);
		break;
	case REPLACE:
		replace(how);
		break;
	case FAULT:
		back.armed = (how & 15) != 15;
		back.after = how & 15;
		back.closes = how & 16;
		back.own_base = how & 32;
		back.base = (uint16_t)(how >> 6);
		break;
	case REFUSE:
		g.f.fail_doorbell = how & 1;
		g.f.fail_irqfd = how & 2;
		g.f.fail_routes = how & 4;
		break;
	case RESET:
		if (how & 1)
			dev_reset(g.dev);
		else
			fg_out(&g, FG_STATUS, 0);
		break;
	default:
		guest(op, how);
		break;
	}
	fakemach_sync(&g.f);
}

/* ---- Once, and before each ---------------------------------------------- */

static void
once(void)
{
	static struct vio_conf conf = { .conf = &page.conf, .page = &page };
	int sock = SOCK;
	struct err e;

	conf.fd = &sock;
	conf.nfds = 1;
	honest();
	back.armed = true;
	if (fg_try(&g, &vio_proxy_blk, &conf, &e))
		abort(); /* of a process that says nothing */
	sock = SOCK;
	honest();
	fg_open_conf(&g, &vio_proxy_blk, &conf);
	fg_close(&g);
	sock = SOCK;
	fg_open_conf(&g, &vio_proxy_blk, &conf);
}

/* Nothing that was can keep it from running. */
static void
begin(void)
{
	honest();
	g.f.fail_doorbell = g.f.fail_irqfd = g.f.fail_routes = false;
	page.state = DEVP_RUNS;
	dev_reset(g.host);
	dev_reset(g.dev);
	fakemach_sync(&g.f);
	if (!vio_proxy_there(&vpci()->vio))
		replace(0);
	up(0);
	if (!vio_proxy_there(&vpci()->vio) || !proxy()->running ||
	    fg_in(&g, FG_STATUS) != 15 || proxy()->started != 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (g.dev == NULL)
		once();
	in.left = 0;
	begin();
	in = (struct input){ data, size };
	while (in.left > 0)
		step();
	return (0);
}

NO_COVERAGE_END
