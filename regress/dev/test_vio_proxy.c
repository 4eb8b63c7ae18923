/* SPDX-License-Identifier: ISC */
/*
 * Devices that another process serves, over vhost-user with our own back end in
 * a thread: the guest's driver cannot tell.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dev/pci.h"
#include "daemon/dev/snap.h"
#include "daemon/dev/virtio_pci.h"
#include "regress/lib/backthread.h"
#include "regress/lib/fakeguest.h"
#include "regress/lib/tap.h"

#define OFFERED (VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1)
#define BAR_IO 0xc000u
#define WAIT_MS 20000 /* for a test that hangs */

static struct fakeguest g;
static struct backthread t;
/* What the device does: a request that begins so cannot be done; sleeps. */
static atomic_bool hard, lazy, lazy_kicked;

/* Copies what it reads to where it may write; gets stuck on a '!'. */
static void
copy_kick(struct vio *v, struct vq *q)
{
	struct vq_chain c;
	struct err e;
	uint32_t n;
	int r;

	if (lazy) {
		lazy_kicked = true;
		return;
	}
	while ((r = vq_pop(q, &c)) == 1) {
		n = 0;
		if (c.nout > 0 && c.nin > 0) {
			n = (uint32_t)c.iov[0].iov_len;
			if (n > c.in[0].iov_len)
				n = (uint32_t)c.in[0].iov_len;
			if (hard && *(char *)c.iov[0].iov_base == '!') {
				err_set(&e, ENOSPC, "the host is full");
				v->carrier->stuck(v, q, &e);
				return;
			}
			memmove(c.in[0].iov_base, c.iov[0].iov_base, n);
		}
		vq_push(q, &c, n);
	}
	if (r == -1)
		v->carrier->needs_reset(v);
}

static int
copy_open(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	(void)conf;
	(void)e;
	memcpy(v->cfg, "0123456789abcdef", 16);
	return (0);
}

static const uint16_t copy_queues[] = { 128, 16, 256 };
static const struct vio_ops copy_ops = {
	.name = "copy",
	.spec = "none",
	.features = 1ull << 5,
	.queue_max = copy_queues,
	.cfg_bytes = 10,
	.id = 63,
	.nqueues = 3,
	.version = 1,
	.open = copy_open,
	.kick = copy_kick,
};

static void
up(void)
{
	hard = lazy = false;
	backthread_open(&t, &copy_ops, NULL, NULL, 0);
	fg_open_conf(&g, &t.proxy, &t.vio);
}

static void
down(void)
{
	fg_close(&g);
	CHECK_EQ(backthread_join(&t), 0);
	vhu_back_free(t.b);
}

static struct vio_proxy *
proxy(void)
{
	return (((struct vpci *)g.dev->state)->vio.state);
}

/* That of queue 0, or NULL while it has none. */
static const struct fake_fd *
doorbell(void)
{
	return (fakemach_fd(&g.f, FAKE_DOORBELL, proxy()->kick_fd[0]));
}

/* Until cond, or no more. */
#define UNTIL(cond)                                                            \
	do {                                                                   \
		unsigned i_;                                                   \
                                                                               \
		for (i_ = 0; i_ < WAIT_MS && !(cond); i_++)                    \
			fakemach_poll(&g.f, 1);                                \
		CHECK(cond);                                                   \
	} while (0)

static void
put(const char *text)
{
	char buf[8] = "";

	memcpy(buf, text, strnlen(text, sizeof(buf) - 1));
	mem_write(&g.f.mem, FG_DATA, buf, sizeof(buf));
	fg_desc(&g, 0, 0, FG_DATA, 8, FG_NEXT, 1);
	fg_desc(&g, 0, 1, FG_DATA + 64, 9, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
}

static uint16_t
used_idx(void)
{
	uint16_t n = 0;

	mem_read(&g.f.mem, g.q[0].used + 2, &n, 2);
	return (n);
}

/* One request, there and back. */
static void
copies(const char *text)
{
	uint16_t was = used_idx();
	uint32_t id, len;
	char buf[8] = "";

	put(text);
	UNTIL(used_idx() != was);
	CHECK(fg_used(&g, 0, &id, &len) && len == 8);
	mem_read(&g.f.mem, FG_DATA + 64, buf, 8);
	CHECK_STR(buf, text);
}

/* The device, and a driver that it has served. */
static void
serving(void)
{
	up();
	fg_up(&g, OFFERED, 64);
	copies("before");
}

static void
intx(void)
{
	up();
	CHECK_EQ(fg_cfg_in(&g, 0, 4), 0x107f1af4);
	CHECK_EQ(g.device.length, 10);
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 3);
	CHECK_EQ(fg_mem_in(&g, g.device.addr + 2, 4), 0x35343332);
	CHECK_EQ(fg_offered(&g), OFFERED | 1ull << 5);
	fg_up(&g, OFFERED, 64);
	copies("abcdefg");
	UNTIL(g.f.line[16]);
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 1);
	CHECK(!g.f.line[16]);
	down();
}

/* By message, past us; kept while it is masked, sent when it is not. */
static void
messages(void)
{
	uint64_t ctl;

	up();
	fg_msix(&g);
	CHECK(fg_negotiate(&g, OFFERED));
	fg_out(&g, FG_Q_SEL, 0);
	fg_out(&g, FG_Q_VECTOR, 2);
	fg_queue(&g, 0, 64);
	fg_out(&g, FG_STATUS, 15);
	CHECK(doorbell() != NULL);
	CHECK(fakemach_fd(&g.f, FAKE_IRQFD, proxy()->call_fd[0]) != NULL);
	CHECK_EQ(g.f.route[24].data, 0x42);
	copies("abcdefg");
	UNTIL(g.f.msis == 1);
	CHECK_EQ(g.f.msi_data, 0x42);
	ctl = g.table.addr + 2 * 16 + 12;
	fg_mem_out(&g, ctl, 4, 1);
	CHECK(fakemach_fd(&g.f, FAKE_IRQFD, proxy()->call_fd[0]) == NULL);
	/* used_event as it is: that of the request that is done next. */
	mem_write(&g.f.mem, g.q[0].avail + 4 + 2 * 64, "\x01\x00", 2);
	copies("masked!");
	UNTIL(fg_mem_in(&g, g.pba.addr, 4) == 4);
	CHECK_EQ(g.f.msis, 1);
	fg_mem_out(&g, g.table.addr + 2 * 16 + 8, 4, 0x77);
	fg_mem_out(&g, ctl, 4, 0);
	CHECK_EQ(g.f.msis, 2);
	CHECK_EQ(g.f.msi_data, 0x77);
	CHECK_EQ(g.f.route[24].data, 0x77);
	mem_write(&g.f.mem, g.q[0].avail + 4 + 2 * 64, "\x02\x00", 2);
	copies("through");
	UNTIL(g.f.msis == 3);
	CHECK_EQ(g.f.msi_data, 0x77);
	/* A reset takes all of it away. */
	fg_out(&g, FG_STATUS, 0);
	CHECK(fakemach_fd(&g.f, FAKE_IRQFD, proxy()->call_fd[0]) == NULL);
	CHECK(doorbell() == NULL);
	fg_up(&g, OFFERED, 16);
	copies("anew");
	CHECK_EQ(g.f.dev_events[MACH_DEV_LOST], 0);
	down();
}

/* A host that has none of it: by hand, with exits. */
static void
by_hand(void)
{
	up();
	g.f.fail_doorbell = g.f.fail_irqfd = true;
	fg_msix(&g);
	CHECK(fg_negotiate(&g, VIO_F_VERSION_1));
	fg_out(&g, FG_Q_SEL, 0);
	fg_out(&g, FG_Q_VECTOR, 1);
	fg_queue(&g, 0, 8);
	fg_out(&g, FG_STATUS, 15);
	CHECK(doorbell() == NULL);
	copies("abcdefg");
	UNTIL(g.f.msis == 1);
	CHECK_EQ(g.f.msi_data, 0x41);
	g.f.fail_irqfd = false;
	g.f.fail_routes = true;
	fg_mem_out(&g, g.table.addr + 16 + 8, 4, 0x55);
	copies("again");
	UNTIL(g.f.msis == 2);
	CHECK_EQ(g.f.msi_data, 0x55);
	down();
}

/* Held still, nothing is done; let go, it goes on where it was. */
static void
pauses(void)
{
	uint16_t was;
	unsigned i;

	up();
	fg_up(&g, OFFERED, 64);
	for (i = 0; i < 3; i++) {
		copies("before");
		dev_quiesce(g.dev);
		CHECK(!proxy()->running);
		was = used_idx();
		put("later");
		CHECK_EQ(used_idx(), was);
		dev_resume(g.dev);
		UNTIL(used_idx() == (uint16_t)(was + 1));
		g.q[0].used_seen = used_idx();
	}
	down();
}

/* ENOSPC: told once, in flight until it can be done; T24. */
static void
sticks(void)
{
	uint64_t one = 1;

	serving();
	hard = true;
	put("!full");
	UNTIL(g.f.dev_events[MACH_DEV_STUCK] == 1);
	CHECK_STR(g.f.dev_err.text, "the host is full");
	CHECK_EQ(g.f.dev_err.code, ENOSPC);
	CHECK_EQ(used_idx(), 1);
	dev_quiesce(g.dev);
	/* It may ring as often as it likes. */
	CHECK(write(proxy()->err_fd, &one, sizeof(one)) == sizeof(one));
	CHECK_EQ(fakemach_poll(&g.f, 5000), 1);
	CHECK_EQ(g.f.dev_events[MACH_DEV_STUCK], 1);
	CHECK_EQ(vq_inflight(&((struct vpci *)g.dev->state)->vio.vq[0]), 1);
	dev_resume(g.dev);
	UNTIL(g.f.dev_events[MACH_DEV_STUCK] == 2); /* it still is */
	dev_quiesce(g.dev);
	hard = false;
	dev_resume(g.dev);
	UNTIL(used_idx() == 2);
	CHECK(!fg_needs_reset(&g));
	down();
}

/* The process dies with a request in flight; the next one does it. */
static void
dies(void)
{
	struct snap_w w;
	struct snap_r r;
	struct err e;
	uint64_t one = 1;

	serving();
	hard = true;
	put("!full");
	UNTIL(g.f.dev_events[MACH_DEV_STUCK] == 1);
	backthread_kill(&t);
	UNTIL(g.f.dev_events[MACH_DEV_LOST] == 1);
	CHECK(!vio_proxy_there(&((struct vpci *)g.dev->state)->vio));
	CHECK_EQ(backthread_join(&t), 0);
	/* Meanwhile the guest goes on asking. */
	put("more");
	CHECK(write(proxy()->kick_fd[0], &one, sizeof(one)) == sizeof(one));
	CHECK_EQ(used_idx(), 1);
	/* What is saved now could be loaded, too. */
	dev_quiesce(g.dev);
	snap_w_init(&w);
	dev_save(g.dev, &w);
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(g.dev, &r, &e), 0);
	snap_w_fini(&w);
	dev_resume(g.dev);
	hard = false;
	backthread_again(&t);
	CHECK_EQ(virtio_pci_replace(g.dev, &t.sock, &e), 0);
	CHECK_EQ(t.sock, -1);
	UNTIL(used_idx() == 3);
	CHECK_EQ(g.f.dev_events[MACH_DEV_OK], 1);
	g.q[0].used_seen = used_idx();
	copies("after");
	CHECK(!fg_needs_reset(&g));
	down();
}

/* Gone, reset and set up anew by the guest, then there again. */
static void
reset_while_gone(void)
{
	struct err e;

	serving();
	backthread_kill(&t);
	UNTIL(g.f.dev_events[MACH_DEV_LOST] == 1);
	CHECK_EQ(backthread_join(&t), 0);
	fg_out(&g, FG_STATUS, 0);
	virtio_pci_gone(g.dev);
	CHECK_EQ(fg_in(&g, FG_STATUS), 0);
	fg_up(&g, OFFERED, 16);
	put("waits");
	backthread_again(&t);
	CHECK_EQ(virtio_pci_replace(g.dev, &t.sock, &e), 0);
	UNTIL(used_idx() == 1);
	g.q[0].used_seen = used_idx();
	copies("after");
	down();
}

/* A ring that its guest broke: that device, and no more than it. */
static void
broken_ring(void)
{
	serving();
	fg_avail(&g, 0, 64); /* no such descriptor */
	fg_kick(&g, 0);
	UNTIL(fg_needs_reset(&g));
	CHECK(!proxy()->running);
	CHECK_EQ(g.f.dev_events[MACH_DEV_LOST], 0);
	fg_up(&g, OFFERED, 64);
	copies("after");
	CHECK(!fg_needs_reset(&g));
	down();
}

/*
 * One that was broken before there was anybody to serve it: no process is lost
 * for that, as the next one would be lost, too.
 */
static void
broken_early(void)
{
	uint16_t idx = 65;
	unsigned i;

	up();
	for (i = 0; i < 3; i++) {
		CHECK(fg_negotiate(&g, OFFERED));
		fg_queue(&g, 0, 64);
		mem_write(&g.f.mem, g.q[0].avail + 2, &idx, sizeof(idx));
		fg_out(&g, FG_STATUS, 15);
		UNTIL(fg_needs_reset(&g));
	}
	CHECK_EQ(g.f.dev_events[MACH_DEV_LOST], 0);
	fg_up(&g, OFFERED, 64);
	copies("after");
	CHECK(!fg_needs_reset(&g));
	down();
}

/* T25: hung is named within five seconds, and no clock ticks for the idle. */
static void
hangs(void)
{
	unsigned n;

	serving();
	fakemach_run(&g.f, 4000000000ull);
	CHECK_EQ(fakemach_armed(&g.f, g.dev), ~0ull); /* idle */
	CHECK(doorbell() == NULL);
	CHECK_EQ(g.f.dev_events[MACH_DEV_HUNG], 0);
	lazy = true;
	put("waits");
	UNTIL(lazy_kicked); /* it took the kick, and that was all */
	CHECK(fakemach_armed(&g.f, g.dev) != ~0ull);
	fakemach_run(&g.f, 0);
	CHECK(doorbell() != NULL);
	fakemach_run(&g.f, 2900000000ull);
	CHECK_EQ(g.f.dev_events[MACH_DEV_HUNG], 0);
	fakemach_run(&g.f, 1000000000ull);
	CHECK_EQ(g.f.dev_events[MACH_DEV_HUNG], 1);
	CHECK(strstr(g.f.dev_err.text, "copy") != NULL);
	fakemach_run(&g.f, 100000000000ull);
	CHECK_EQ(g.f.dev_events[MACH_DEV_HUNG], 1); /* once */
	lazy = false;
	fg_kick(&g, 0);
	UNTIL(used_idx() == 2);
	fakemach_run(&g.f, 1500000000ull);
	CHECK_EQ(g.f.dev_events[MACH_DEV_OK], 1);
	n = g.f.timer_fired;
	fakemach_run(&g.f, 100000000000ull);
	CHECK(g.f.timer_fired <= n + 1);
	down();
}

/* T35: the doorbell is where BAR 0 is, and only while it is decoded. */
static void
bar_moves(void)
{
	unsigned port;
	const struct fake_fd *x;

	up();
	fg_up(&g, OFFERED, 16);
	for (port = 0; port < 0x10000; port += 0x40) {
		fg_cfg_out(&g, PCI_BAR, 4, port);
		x = doorbell();
		CHECK((x != NULL) == (port >= PCI_IO_FIRST));
		CHECK(x == NULL || x->arg == port);
	}
	fg_cfg_out(&g, PCI_BAR, 4, 0x2000);
	fg_cfg_out(&g, PCI_COMMAND, 2, 6);
	CHECK(doorbell() == NULL);
	fg_cfg_out(&g, PCI_COMMAND, 2, 7);
	x = doorbell();
	CHECK(x != NULL && x->arg == 0x2000);
	dev_reset(g.dev);
	fakemach_sync(&g.f);
	CHECK(doorbell() == NULL);
	down();
}

/* Was the doorbell of queue i rung?  Once, and it is taken. */
static bool
rung(unsigned i)
{
	struct pollfd p = { .fd = proxy()->kick_fd[i], .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 0) != 1)
		return (false);
	CHECK(read(p.fd, &n, sizeof(n)) == sizeof(n));
	return (true);
}

/* T09: the whole BAR of doorbells, all widths: a queue that is, or nothing. */
static void
notifies(void)
{
	static const unsigned widths[] = { 1, 2, 4 };
	unsigned off, w, i;

	up();
	CHECK(fg_negotiate(&g, OFFERED));
	fg_queue(&g, 0, 8);
	fg_queue(&g, 2, 8);
	fg_out(&g, FG_STATUS, 15);
	dev_quiesce(g.dev); /* nobody takes the kicks but us */
	for (i = 0; i < 3; i++)
		(void)rung(i);
	for (off = 0; off < 64; off++)
		for (w = 0; w < 3; w++) {
			fake_out(&g.f, (uint16_t)(BAR_IO + off), widths[w],
			    0xffff8000u);
			for (i = 0; i < 3; i++)
				CHECK_EQ(rung(i),
				    widths[w] == 2 && i != 1 && off == 2 * i);
		}
	CHECK(!fg_needs_reset(&g));
	dev_resume(g.dev);
	down();
}

/* T36: vectors that are not there, for queues and configuration. */
static void
vectors(void)
{
	unsigned v, calls;

	up();
	fg_up(&g, VIO_F_VERSION_1, 64);
	fg_msix(&g);
	calls = g.f.route_calls;
	for (v = 0; v < 0x10000; v += v < 64 ? 1 : 61) {
		fg_out(&g, FG_Q_SEL, 0);
		fg_out(&g, FG_Q_VECTOR, v);
		CHECK_EQ(fg_in(&g, FG_Q_VECTOR), v < 4 ? v : 0xffff);
		CHECK((fakemach_fd(&g.f, FAKE_IRQFD, proxy()->call_fd[0]) !=
			  NULL) == (v < 4));
	}
	CHECK_EQ(g.f.route_calls, calls + 4);
	/* Without a vector it is told nothing, and nothing stays behind. */
	copies("silent");
	while (fakemach_poll(&g.f, 20) > 0)
		;
	CHECK_EQ(g.f.msis, 0);
	down();
}

/* T08: each register of common configuration, on one that runs. */
static void
frozen(void)
{
	static const unsigned regs[] = { FG_Q_SIZE, FG_Q_ENABLE,
		FG_Q_NOTIFY_OFF, FG_Q_DESC, FG_Q_DESC + 4, FG_Q_AVAIL,
		FG_Q_AVAIL + 4, FG_Q_USED, FG_Q_USED + 4, FG_NUM_QUEUES,
		FG_GENERATION, FG_DEV_FEATURES, FG_DRV_FEATURES };
	uint32_t was;
	unsigned q, i, n;

	serving();
	for (q = 0; q < 3; q++)
		for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
			for (n = 0; n < 32; n++) {
				fg_out(&g, FG_Q_SEL, q);
				was = fg_in(&g, regs[i]);
				fg_out(&g, regs[i], 1u << n);
				CHECK_EQ(fg_in(&g, regs[i]), was);
			}
	copies("after");
	down();
}

/* The same driver, the same words: what is saved does not say where. */
static void
life(void)
{
	fg_msix(&g);
	CHECK(fg_negotiate(&g, OFFERED));
	fg_out(&g, FG_CFG_VECTOR, 0);
	fg_out(&g, FG_Q_SEL, 0);
	fg_out(&g, FG_Q_VECTOR, 2);
	fg_queue(&g, 0, 64);
	fg_queue(&g, 2, 256);
	fg_out(&g, FG_STATUS, 15);
	copies("one");
	copies("two");
	UNTIL(g.f.msis == 1);
	fg_mem_out(&g, g.table.addr + 2 * 16 + 12, 4, 1);
	mem_write(&g.f.mem, g.q[0].avail + 4 + 2 * 64, "\x02\x00", 2);
	copies("three");
	dev_quiesce(g.dev);
}

static void
same_record(void)
{
	struct snap_w here, there;

	hard = false;
	fg_open(&g, &copy_ops);
	life();
	snap_w_init(&here);
	dev_save(g.dev, &here);
	fg_close(&g);
	up();
	life();
	snap_w_init(&there);
	dev_save(g.dev, &there);
	CHECK_EQ(here.len_bytes, there.len_bytes);
	CHECK(memcmp(here.buf, there.buf, here.len_bytes) == 0);
	down();
	snap_w_fini(&here);
	snap_w_fini(&there);
}

/* Saved with a request in flight; loaded into another, which does it. */
static void
saved_in_flight(void)
{
	static uint8_t ram[FG_MEM_BYTES];
	struct fg_queue q;
	struct snap_w w, again;
	struct snap_r r;
	struct err e;
	size_t i;

	serving();
	hard = true;
	put("!full");
	UNTIL(g.f.dev_events[MACH_DEV_STUCK] == 1);
	dev_quiesce(g.dev);
	snap_w_init(&w);
	dev_save(g.dev, &w);
	memcpy(ram, g.f.mem.base, sizeof(ram));
	q = g.q[0];
	down();
	up();
	memcpy(g.f.mem.base, ram, sizeof(ram));
	g.q[0] = q;
	dev_quiesce(g.dev);
	/* Cut short or changed, it is refused or it is good; never worse. */
	for (i = 0; i < w.len_bytes; i++) {
		snap_r_init(&r, w.buf, i);
		CHECK(dev_load(g.dev, &r, &e) == -1);
		w.buf[i] ^= 0xff;
		snap_r_init(&r, w.buf, w.len_bytes);
		(void)dev_load(g.dev, &r, &e);
		w.buf[i] ^= 0xff;
	}
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(g.dev, &r, &e), 0);
	snap_w_init(&again);
	dev_save(g.dev, &again);
	CHECK_EQ(again.len_bytes, w.len_bytes);
	CHECK(memcmp(again.buf, w.buf, w.len_bytes) == 0);
	CHECK_EQ(used_idx(), 1);
	dev_resume(g.dev);
	UNTIL(used_idx() == 2);
	g.q[0].used_seen = used_idx();
	copies("after");
	down();
	snap_w_fini(&w);
	snap_w_fini(&again);
}

static const struct tap_case cases[] = {
	{ "proxy: INTx through the main thread", intx },
	{ "proxy: MSI-X past it, masked and not", messages },
	{ "proxy: without eventfds in the hypervisor", by_hand },
	{ "proxy: pause and unpause", pauses },
	{ "proxy: a request that cannot be done now", sticks },
	{ "proxy: its process dies, another one goes on", dies },
	{ "proxy: reset while its process is gone", reset_while_gone },
	{ "proxy: a broken ring is that device's alone", broken_ring },
	{ "proxy: a ring that is broken before it runs", broken_early },
	{ "T25 proxy: a device that hangs is named", hangs },
	{ "T35 proxy: the doorbell follows BAR 0", bar_moves },
	{ "T09 proxy: notifications of queues that are not", notifies },
	{ "T36 proxy: vectors that are not there", vectors },
	{ "T08 proxy: registers after DRIVER_OK", frozen },
	{ "proxy: saved state is that of a device here", same_record },
	{ "proxy: saved with a request in flight", saved_in_flight },
};
TAP_MAIN(cases)
