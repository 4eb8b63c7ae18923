/* SPDX-License-Identifier: ISC */
/*
 * Devices that another process serves, over vhost-user with our own back end in
 * a thread: the guest's driver cannot tell.
 */
#include <errno.h>
#include <poll.h>
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
static bool hard; /* the next request cannot be done */

/* Copies what it reads to where it may write; gets stuck on a '!'. */
static void
copy_kick(struct vio *v, struct vq *q)
{
	struct vq_chain c;
	struct err e;
	uint32_t n;
	int r;

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
	hard = false;
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
	mem_write(&g.f.mem, FG_DATA, text, 8);
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
	CHECK(fakemach_fd(&g.f, FAKE_DOORBELL, proxy()->kick_fd[0]) != NULL);
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
	CHECK(fakemach_fd(&g.f, FAKE_DOORBELL, proxy()->kick_fd[0]) == NULL);
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
	CHECK(fakemach_fd(&g.f, FAKE_DOORBELL, proxy()->kick_fd[0]) == NULL);
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

static const struct tap_case cases[] = {
	{ "proxy: INTx through the main thread", intx },
	{ "proxy: MSI-X past it, masked and not", messages },
	{ "proxy: without eventfds in the hypervisor", by_hand },
};
TAP_MAIN(cases)
