/* SPDX-License-Identifier: ISC */
/*
 * Virtio over PCI by a driver that keeps to the rules and by one that does
 * not, on a device of three queues that copies what it reads to where it may
 * write.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "daemon/dev/pci.h"
#include "daemon/dev/snap.h"
#include "regress/lib/fakeguest.h"
#include "regress/lib/tap.h"

#define F_ODD (1ull << 5)
#define OFFERED (F_ODD | VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1)
#define CFG_BYTES 10
#define BAR_MEM 0xe0000000u
#define BAR_IO 0xc000u

static struct fakeguest g;
static unsigned kicks, starts, resets;
static unsigned kicked; /* which queue */

static void
copy_kick(struct vio *v, struct vq *q)
{
	struct vq_chain c;
	uint32_t n;
	int r;

	kicks++;
	kicked = (unsigned)(q - v->vq);
	if (kicked == 1) { /* what a resized disk would do */
		v->cfg[0]++;
		v->carrier->cfg_changed(v);
	}
	while ((r = vq_pop(q, &c)) == 1) {
		n = c.nout > 0 && c.nin > 0 &&
			c.iov[0].iov_len < c.in[0].iov_len
		    ? (uint32_t)c.iov[0].iov_len
		    : 0;
		if (n > 0)
			memmove(c.in[0].iov_base, c.iov[0].iov_base, n);
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

static void
copy_start(struct vio *v)
{
	(void)v;
	starts++;
}

static void
copy_reset(struct vio *v)
{
	(void)v;
	resets++;
}

static const uint16_t copy_queues[] = { 128, 16, 256 };
static const struct vio_ops copy_ops = {
	.name = "copy",
	.spec = "none",
	.features = F_ODD,
	.queue_max = copy_queues,
	.cfg_bytes = CFG_BYTES,
	.id = 63,
	.nqueues = 3,
	.version = 1,
	.open = copy_open,
	.kick = copy_kick,
	.start = copy_start,
	.reset = copy_reset,
};

static void
up(void)
{
	fg_open(&g, &copy_ops);
	kicks = starts = resets = 0;
}

static void
down(void)
{
	fg_close(&g);
}

static void
identity(void)
{
	up();
	CHECK_EQ(fg_cfg_in(&g, 0, 4), 0x107f1af4);
	CHECK_EQ(fg_cfg_in(&g, 8, 4), 0x00ff0001);
	CHECK_EQ(fg_cfg_in(&g, PCI_SUBSYS_VENDOR, 4), 0x107f1af4);
	CHECK_EQ(fg_cfg_in(&g, PCI_INT_LINE, 2), 0x0110);
	CHECK(g.common.there && g.common.addr == BAR_MEM);
	CHECK(g.common.length >= 0x38);
	CHECK(g.notify.there && g.notify.io && g.notify.addr == BAR_IO);
	CHECK_EQ(g.notify.length, 3 * g.multiplier);
	CHECK(g.isr.there && g.isr.length == 1);
	CHECK(g.device.there && g.device.length == CFG_BYTES);
	CHECK(g.window.there && g.table.there);
	CHECK_EQ(g.table.length, 4);
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 3);
	CHECK_EQ(fg_offered(&g), OFFERED);
	down();
}

static void
works(void)
{
	uint32_t id, len;
	char buf[8] = "";

	up();
	fg_up(&g, OFFERED, 64);
	CHECK_EQ(starts, 1);
	mem_write(&g.f.mem, FG_DATA, "abcdefg", 8);
	fg_desc(&g, 0, 0, FG_DATA, 8, FG_NEXT, 1);
	fg_desc(&g, 0, 1, FG_DATA + 64, 9, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK(fg_used(&g, 0, &id, &len) && len == 8);
	mem_read(&g.f.mem, FG_DATA + 64, buf, 8);
	CHECK_STR(buf, "abcdefg");
	CHECK(g.f.line[16]);
	CHECK_EQ(fg_cfg_in(&g, PCI_STATUS, 2) & PCI_STATUS_INTX, 8);
	fg_cfg_out(&g, PCI_COMMAND, 2, 7 | PCI_CMD_NO_INTX);
	CHECK(!g.f.line[16]);
	CHECK_EQ(fg_cfg_in(&g, PCI_STATUS, 2) & PCI_STATUS_INTX, 8);
	fg_cfg_out(&g, PCI_COMMAND, 2, 7);
	CHECK(g.f.line[16]);
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 1);
	CHECK(!g.f.line[16]);
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 0);
	down();
}

/* T34: which bits of the function's configuration the guest may write. */
static const struct {
	uint8_t reg, mask;
} golden[] = {
	{ 0x04, 0x47 },
	{ 0x05, 0x05 },
	{ 0x0d, 0xf8 }, /* command, latency */
	{ 0x10, 0xc0 },
	{ 0x11, 0xff },
	{ 0x12, 0xff },
	{ 0x13, 0xff },
	{ 0x15, 0xe0 },
	{ 0x16, 0xff },
	{ 0x17, 0xff }, /* BARs */
	{ 0x3c, 0xff }, /* interrupt line */
	{ 0x43, 0xc0 }, /* MSI-X: enable, mask */
	{ 0x54, 0xff }, /* the window: BAR, offset, length, data */
	{ 0x58, 0xff },
	{ 0x59, 0xff },
	{ 0x5a, 0xff },
	{ 0x5b, 0xff },
	{ 0x5c, 0xff },
	{ 0x5d, 0xff },
	{ 0x5e, 0xff },
	{ 0x5f, 0xff },
	{ 0x60, 0xff },
	{ 0x61, 0xff },
	{ 0x62, 0xff },
	{ 0x63, 0xff },
};

static void
write_masks(void)
{
	uint8_t want[256] = { 0 }, ones, zeros;
	unsigned reg, i;

	for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
		want[golden[i].reg] = golden[i].mask;
	up();
	for (reg = 0; reg < 256; reg++) {
		fg_cfg_out(&g, reg, 1, 0xff);
		ones = (uint8_t)fg_cfg_in(&g, reg, 1);
		fg_cfg_out(&g, reg, 1, 0);
		zeros = (uint8_t)fg_cfg_in(&g, reg, 1);
		CHECK_MSG((ones ^ zeros) == want[reg],
		    "reg 0x%02x: bits 0x%02x, not 0x%02x", reg, ones ^ zeros,
		    want[reg]);
	}
	down();
}

/* Is the device there? */
static bool
answers(uint32_t mem)
{
	return ((fg_mem_in(&g, mem + FG_NUM_QUEUES, 2) & 0xffff) == 3);
}

/* T35 */
static void
bars(void)
{
	static const uint32_t bad[] = { 0, 0x2000, 0xa0000, 0x100000,
		0xbfffe000, 0xfec00000, 0xfee00000, 0xffffe000, 0x80000000 };
	unsigned i;

	up();
	fg_cfg_out(&g, PCI_BAR, 4, ~0u);
	fg_cfg_out(&g, PCI_BAR + 4, 4, ~0u);
	CHECK_EQ(fg_cfg_in(&g, PCI_BAR, 4), 0xffffffc1);
	CHECK_EQ(fg_cfg_in(&g, PCI_BAR + 4, 4), 0xffffe000);
	CHECK(!answers(BAR_MEM));
	for (i = 2; i < 6; i++) { /* no more BARs, and no high half */
		fg_cfg_out(&g, PCI_BAR + 4 * i, 4, ~0u);
		CHECK_EQ(fg_cfg_in(&g, PCI_BAR + 4 * i, 4), 0);
	}
	for (i = 0; i < 190; i++) {
		fg_cfg_out(&g, PCI_BAR + 4, 4, PCI_MEM_FIRST + i * 0x54000);
		CHECK(answers(PCI_MEM_FIRST + i * 0x54000));
		CHECK(i == 0 || !answers(PCI_MEM_FIRST + (i - 1) * 0x54000));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fg_cfg_out(&g, PCI_BAR + 4, 4, bad[i]);
		CHECK_EQ(fg_cfg_in(&g, PCI_BAR + 4, 4), bad[i]);
		CHECK(!answers(bad[i]));
	}
	/* The last place there is; decoding off and on; power-on. */
	fg_cfg_out(&g, PCI_BAR + 4, 4, 0xfebfe000);
	CHECK(answers(0xfebfe000));
	fg_cfg_out(&g, PCI_COMMAND, 2, 5);
	CHECK(!answers(0xfebfe000));
	fg_cfg_out(&g, PCI_COMMAND, 2, 7);
	CHECK(answers(0xfebfe000));
	dev_reset(g.dev);
	CHECK(answers(BAR_MEM) && !answers(0xfebfe000));
	down();
}

/* T35: ports: ISA devices are never covered, the notification follows. */
static void
io_bar(void)
{
	unsigned port, n;

	up();
	fg_up(&g, 0, 16);
	for (port = 0; port < 0x10000; port += 0x40) {
		fg_cfg_out(&g, PCI_BAR, 4, port);
		n = kicks;
		fake_out(&g.f, (uint16_t)port, 2, 0);
		CHECK_EQ(kicks - n, port >= PCI_IO_FIRST);
	}
	CHECK_EQ(fg_cfg_in(&g, 0, 2), 0x1af4);
	/* Another function's place: the second one gets nothing. */
	{
		static struct fakeguest o;
		struct dev *d;

		o.slot = g.slot;
		o.slot.pci_slot = 2;
		d = fakemach_add(&g.f, &o.slot); /* at BAR_IO, BAR_MEM */
		CHECK(answers(BAR_MEM));
		fg_cfg_out(&g, PCI_BAR + 4, 4, 0xd0000000);
		CHECK(answers(0xd0000000) && !answers(BAR_MEM));
		dev_reset(d);
		CHECK(answers(BAR_MEM));
	}
	down();
}

/* T34: the window into the BARs. */
static void
window(void)
{
	unsigned at, len, off;

	up();
	at = g.window.at;
	fg_cfg_out(&g, at + 4, 1, 1);
	for (len = 0; len < 9; len++)
		for (off = 0; off < 0x40; off++) {
			fg_cfg_out(&g, at + 8, 4, off);
			fg_cfg_out(&g, at + 12, 4, len);
			fg_cfg_in(&g, at + 16, 4);
			fg_cfg_out(&g, at + 16, 4, 0);
		}
	fg_cfg_out(&g, at + 8, 4, FG_NUM_QUEUES);
	fg_cfg_out(&g, at + 12, 4, 2);
	CHECK_EQ(fg_cfg_in(&g, at + 16, 2), 3);
	fg_cfg_out(&g, at + 8, 4, FG_STATUS);
	fg_cfg_out(&g, at + 12, 4, 1);
	fg_cfg_out(&g, at + 16, 1, 3);
	CHECK_EQ(fg_in(&g, FG_STATUS), 3);
	CHECK_EQ(fg_cfg_in(&g, at + 16, 1), 3);
	/* Past the BAR, no such BAR. */
	fg_cfg_out(&g, at + 8, 4, 0x2000);
	fg_cfg_out(&g, at + 16, 1, 0x55);
	CHECK_EQ(fg_cfg_in(&g, at + 16, 1), 0x55);
	fg_cfg_out(&g, at + 8, 4, 0xfffffffc);
	CHECK_EQ(fg_cfg_in(&g, at + 16, 1), 0x55);
	for (off = 2; off < 256; off++) {
		fg_cfg_out(&g, at + 4, 1, off);
		fg_cfg_out(&g, at + 16, 1, 0x55);
		CHECK_EQ(fg_cfg_in(&g, at + 16, 1), 0x55);
	}
	down();
}

/* T17 */
static uint64_t seed = 17;

static uint64_t
rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed ^ seed >> 29);
}

static void
features(void)
{
	uint64_t f;
	unsigned i, bad = 0;

	up();
	for (i = 0; i < 64; i++) {
		f = VIO_F_VERSION_1 | 1ull << i;
		if (fg_negotiate(&g, f) != !(f & ~OFFERED))
			bad++;
		if (fg_negotiate(&g, 1ull << i) !=
		    (1ull << i == VIO_F_VERSION_1))
			bad++;
	}
	for (i = 0; i < 10000; i++) {
		f = i % 2 ? rnd() : rnd() & OFFERED;
		if (fg_negotiate(&g, f) !=
		    (!(f & ~OFFERED) && (f & VIO_F_VERSION_1)))
			bad++;
		/* Refused: it may not go on. */
		fg_out(&g, FG_STATUS, 7);
		if (!(fg_in(&g, FG_STATUS) & 8) && fg_in(&g, FG_STATUS) & 4)
			bad++;
	}
	CHECK_EQ(bad, 0);
	/* Agreed: what comes later changes nothing. */
	CHECK(fg_negotiate(&g, VIO_F_VERSION_1 | F_ODD));
	fg_out(&g, FG_DRV_SEL, 0);
	fg_out(&g, FG_DRV_FEATURES, ~0u);
	CHECK_EQ(fg_in(&g, FG_DRV_FEATURES), F_ODD);
	for (i = 2; i < 100; i++) {
		fg_out(&g, FG_DRV_SEL, i);
		fg_out(&g, FG_DEV_SEL, i);
		fg_out(&g, FG_DRV_FEATURES, ~0u);
		CHECK_EQ(fg_in(&g, FG_DRV_FEATURES), 0);
		CHECK_EQ(fg_in(&g, FG_DEV_FEATURES), 0);
	}
	/* DRIVER_OK without FEATURES_OK, then FEATURES_OK. */
	fg_out(&g, FG_STATUS, 0);
	fg_out(&g, FG_STATUS, 7);
	CHECK_EQ(fg_in(&g, FG_STATUS), 3);
	/* NEEDS_RESET is not the driver's to set. */
	fg_out(&g, FG_STATUS, 0xf3);
	CHECK_EQ(fg_in(&g, FG_STATUS), 0x83);
	down();
}

/* T08: each register, all of its values, on a device that runs. */
static void
frozen(void)
{
	static const unsigned regs[] = { FG_Q_SIZE, FG_Q_ENABLE,
		FG_Q_NOTIFY_OFF, FG_Q_DESC, FG_Q_DESC + 4, FG_Q_AVAIL,
		FG_Q_AVAIL + 4, FG_Q_USED, FG_Q_USED + 4, FG_NUM_QUEUES,
		FG_GENERATION, FG_DEV_FEATURES, FG_DRV_FEATURES, FG_STATUS };
	struct snap_w w;
	struct snap_r r;
	struct err e;
	uint32_t was, v;
	unsigned q, i, n, round;

	up();
	fg_up(&g, OFFERED, 64);
	snap_w_init(&w);
	for (round = 0; round < 2; round++) {
		for (q = 0; q < 3; q++)
			for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
				for (n = 0; n < 40; n++) {
					fg_out(&g, FG_Q_SEL, q);
					was = fg_in(&g, regs[i]);
					v = n < 32 ? 1u << n : (uint32_t)rnd();
					if (regs[i] == FG_STATUS)
						v = (v & 15) | 1;
					fg_out(&g, regs[i], v);
					CHECK_EQ(fg_in(&g, regs[i]), was);
				}
		/* And once more on one that was saved and loaded. */
		dev_save(g.dev, &w);
		dev_reset(g.dev);
		snap_r_init(&r, w.buf, w.len_bytes);
		CHECK(round > 0 || dev_load(g.dev, &r, &e) == 0);
	}
	snap_w_fini(&w);
	down();
}

/* T09 T37: the whole notification BAR, all widths and values. */
static void
notifies(void)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 0x8000, 0xffff,
		0xffffffff };
	static const unsigned widths[] = { 1, 2, 4 };
	unsigned off, w, v, n;
	bool want;

	up();
	fg_kick(&g, 0); /* before anything is set up */
	CHECK_EQ(kicks, 0);
	CHECK(fg_negotiate(&g, VIO_F_VERSION_1));
	fg_kick(&g, 0);
	fg_queue(&g, 0, 8);
	fg_queue(&g, 2, 8);
	fg_kick(&g, 0);
	CHECK_EQ(kicks, 0); /* not before DRIVER_OK */
	fg_out(&g, FG_STATUS, 15);
	for (off = 0; off < 64; off++)
		for (w = 0; w < 3; w++)
			for (v = 0; v < 7; v++) {
				n = kicks;
				fake_out(&g.f, (uint16_t)(BAR_IO + off),
				    widths[w], values[v]);
				fake_in(
				    &g.f, (uint16_t)(BAR_IO + off), widths[w]);
				want = widths[w] == 2 && (off == 0 || off == 4);
				CHECK_EQ(kicks - n, want);
				CHECK(!want || kicked == off / 2);
			}
	CHECK(!fg_needs_reset(&g));
	down();
}

/* T10 T36 T37: every offset and width of the memory BAR. */
static void
offsets(void)
{
	static const char digits[CFG_BYTES + 1] = "0123456789";
	static const unsigned widths[] = { 1, 2, 4, 8 };
	uint64_t v, want;
	unsigned off, w;

	up();
	for (off = 0; off < 0x1000; off++)
		for (w = 0; w < 4; w++) {
			v = fg_mem_in(&g, g.device.addr + off, widths[w]);
			want = 0;
			if (off + widths[w] <= CFG_BYTES)
				memcpy(&want, digits + off, widths[w]);
			if (off < 0x400)
				CHECK_EQ(v, want);
			fg_mem_out(&g, g.device.addr + off, widths[w], ~0ull);
		}
	down();
	up();
	for (off = 0; off <= 0x2000; off++)
		for (w = 0; w < 4; w++) {
			fg_mem_in(&g, BAR_MEM + off, widths[w]);
			fg_mem_out(&g, BAR_MEM + off, widths[w], rnd());
		}
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 3);
	down();
}

static void
msix_masks(void)
{
	uint64_t vec = 0;

	up();
	CHECK_EQ(fg_mem_in(&g, g.table.addr + 12, 4), 1); /* masked at first */
	fg_msix(&g);
	fg_up(&g, 0, 8);
	fg_out(&g, FG_Q_VECTOR, 2);
	vec = g.table.addr + 2 * 16;
	fg_mem_out(&g, vec + 12, 4, 1);
	fg_desc(&g, 0, 0, FG_DATA, 8, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK_EQ(g.f.msis, 0);
	CHECK_EQ(fg_mem_in(&g, g.pba.addr, 8), 4);
	fg_mem_out(&g, vec + 12, 4, 0);
	CHECK_EQ(g.f.msis, 1);
	CHECK_EQ(g.f.msi_data, 0x42);
	CHECK_EQ(g.f.msi_addr, 0xfee00000);
	CHECK_EQ(fg_mem_in(&g, g.pba.addr, 8), 0);
	/* The whole function, and two that wait as one. */
	fg_cfg_out(&g, g.table.at + 2, 2, 0xc000);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK_EQ(g.f.msis, 1);
	fg_mem_out(&g, g.pba.addr, 8, 0); /* read-only */
	fg_cfg_out(&g, g.table.at + 2, 2, 0x8000);
	CHECK_EQ(g.f.msis, 2);
	CHECK(!g.f.line[16] && g.f.rises[16] == 0);
	/* No vector: no message, and no line either. */
	fg_out(&g, FG_Q_VECTOR, 0xffff);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK_EQ(g.f.msis, 2);
	CHECK(!g.f.line[16]);
	down();
}

/* T36: vectors that are not there; the table's end. */
static void
msix_bounds(void)
{
	unsigned v, bad = 0;
	uint64_t off;

	up();
	for (v = 0; v < 0x10000; v++) {
		fg_out(&g, FG_CFG_VECTOR, v);
		fg_out(&g, FG_Q_VECTOR, v);
		if (fg_in(&g, FG_CFG_VECTOR) != (v < 4 ? v : 0xffff) ||
		    fg_in(&g, FG_Q_VECTOR) != (v < 4 ? v : 0xffff))
			bad++;
	}
	CHECK_EQ(bad, 0);
	for (off = 0; off < 0x400; off += 4) {
		fg_mem_out(&g, g.table.addr + off, 4, 0xffffffff);
		v = (uint32_t)fg_mem_in(&g, g.table.addr + off, 4);
		CHECK_EQ(v,
		    off >= 64            ? 0
			: off % 16 == 0  ? 0xfffffffc
			: off % 16 == 12 ? 1
					 : 0xffffffff);
	}
	for (off = 0; off < 0x40; off++) { /* odd widths: nothing */
		fg_mem_out(&g, g.table.addr + off, 1, 0);
		fg_mem_out(&g, g.table.addr + off, 2, 0);
		CHECK_EQ(fg_mem_in(&g, g.table.addr + off, 1), 0);
		CHECK_EQ(fg_mem_in(&g, g.table.addr + off, 2), 0);
	}
	fg_mem_out(&g, g.table.addr + 16, 8, 0x12345678fee01000);
	CHECK_EQ(fg_mem_in(&g, g.table.addr + 16, 4), 0xfee01000);
	CHECK_EQ(fg_mem_in(&g, g.table.addr + 20, 4), 0x12345678);
	CHECK_EQ(fg_mem_in(&g, g.table.addr + 16, 8), 0x12345678fee01000);
	down();
}

/* A broken ring: the device wants a reset, says so, and works after it. */
static void
broken(void)
{
	unsigned n;

	up();
	fg_up(&g, 0, 8);
	fg_desc(&g, 0, 0, PCI_MEM_FIRST, 8, FG_WRITE, 0); /* T14 */
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK(fg_needs_reset(&g));
	CHECK(g.f.line[16]);
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 2);
	n = kicks;
	fg_kick(&g, 0);
	CHECK_EQ(kicks, n);
	fg_out(&g, FG_STATUS, 15);
	CHECK(fg_needs_reset(&g));
	fg_up(&g, 0, 8);
	CHECK(!fg_needs_reset(&g));
	fg_kick(&g, 0);
	CHECK_EQ(kicks, n + 1);
	/* T11: rings that cannot be leave the queue off. */
	fg_negotiate(&g, VIO_F_VERSION_1);
	fg_out(&g, FG_Q_SEL, 1);
	fg_out64(&g, FG_Q_DESC, ~0ull << 4);
	fg_out(&g, FG_Q_ENABLE, 1);
	CHECK_EQ(fg_in(&g, FG_Q_ENABLE), 0);
	CHECK(fg_needs_reset(&g));
	CHECK(!g.f.line[16]); /* no interrupt before DRIVER_OK */
	/* Nor may it be enabled before features are agreed. */
	fg_out(&g, FG_STATUS, 0);
	fg_queue(&g, 0, 8);
	CHECK_EQ(fg_in(&g, FG_Q_ENABLE), 0);
	down();
}

static void
queue_regs(void)
{
	unsigned v;

	up();
	for (v = 0; v < 0x10000; v++) {
		fg_out(&g, FG_Q_SEL, 0);
		fg_out(&g, FG_Q_SIZE, 64);
		fg_out(&g, FG_Q_SIZE, v);
		if (fg_in(&g, FG_Q_SIZE) !=
		    (v > 0 && v <= 128 && (v & (v - 1)) == 0 ? v : 64))
			CHECK_EQ(v, ~0u);
	}
	for (v = 3; v < 0x10000; v++) {
		fg_out(&g, FG_Q_SEL, v);
		fg_out(&g, FG_Q_SIZE, 8);
		fg_out64(&g, FG_Q_DESC, 0x1000);
		fg_out(&g, FG_Q_ENABLE, 1);
		if (fg_in(&g, FG_Q_SIZE) != 0 || fg_in(&g, FG_Q_ENABLE) != 0 ||
		    fg_in(&g, FG_Q_DESC) != 0)
			CHECK_EQ(v, ~0u);
	}
	CHECK(!fg_needs_reset(&g));
	fg_out(&g, FG_Q_SEL, 1);
	CHECK_EQ(fg_in(&g, FG_Q_SIZE), 16);
	down();
}

/* Reset forgets all of it; a driver's reset leaves PCI as it is. */
static void
reset(void)
{
	up();
	fg_msix(&g);
	fg_up(&g, OFFERED, 8);
	fg_out(&g, FG_STATUS, 0);
	CHECK_EQ(resets, 2); /* fg_up() begins with one */
	CHECK_EQ(fg_in(&g, FG_STATUS), 0);
	fg_out(&g, FG_Q_SEL, 0);
	CHECK_EQ(fg_in(&g, FG_Q_ENABLE), 0);
	CHECK_EQ(fg_in(&g, FG_Q_SIZE), 128);
	CHECK_EQ(fg_in(&g, FG_Q_DESC), 0);
	CHECK_EQ(fg_in(&g, FG_DRV_FEATURES), 0);
	CHECK_EQ(fg_cfg_in(&g, g.table.at + 2, 2) & 0x8000, 0x8000);
	dev_reset(g.dev);
	CHECK_EQ(fg_cfg_in(&g, g.table.at + 2, 2) & 0x8000, 0);
	down();
}

/* The generation and an interrupt tell of a changed configuration. */
static void
generation(void)
{
	uint32_t was;

	up();
	CHECK(fg_negotiate(&g, VIO_F_VERSION_1));
	fg_queue(&g, 1, 8);
	fg_out(&g, FG_STATUS, 15);
	was = fg_in(&g, FG_GENERATION);
	fg_kick(&g, 1);
	CHECK_EQ(fg_in(&g, FG_GENERATION), (was + 1) & 0xff);
	CHECK_EQ(fg_mem_in(&g, g.device.addr, 1), '1');
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 2);
	down();
}

/* T12: one processor notifies while another resets and sets up again. */
static bool racing;

static void *
race_main(void *arg)
{
	unsigned *n = arg;
	uint16_t zero = 0;

	while (__atomic_load_n(&racing, __ATOMIC_RELAXED)) {
		bus_rw(g.f.m.pio, BAR_IO, &zero, sizeof(zero), true);
		__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
	}
	return (NULL);
}

static void
race(void)
{
	unsigned i, n = 0;
	pthread_t t;

	up();
	fg_msix(&g);
	fg_up(&g, OFFERED, 8);
	fg_desc(&g, 0, 0, FG_DATA, 8, FG_NEXT, 1);
	fg_desc(&g, 0, 1, FG_DATA + 64, 8, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	racing = true;
	pthread_create(&t, NULL, race_main, &n);
	while (__atomic_load_n(&n, __ATOMIC_RELAXED) == 0)
		sched_yield();
	for (i = 0; i < 10000; i++) {
		fg_negotiate(&g, i % 2 ? OFFERED : VIO_F_VERSION_1);
		fg_out(&g, FG_Q_SEL, 0);
		fg_out(&g, FG_Q_SIZE, 8);
		fg_out(&g, FG_Q_VECTOR, 1);
		fg_out64(&g, FG_Q_DESC, g.q[0].desc);
		fg_out64(&g, FG_Q_AVAIL, g.q[0].avail);
		fg_out64(&g, FG_Q_USED, g.q[0].used);
		fg_out(&g, FG_Q_ENABLE, 1);
		fg_out(&g, FG_STATUS, 15);
		if (fg_needs_reset(&g))
			break;
	}
	__atomic_store_n(&racing, false, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	CHECK_EQ(i, 10000);
	CHECK(n > 0);
	down();
}

/* T51: each bit flipped: refused, or taken and the same again. */
static void
flips(void)
{
	struct snap_w w, a, b;
	struct snap_r r;
	struct err e;
	size_t bit, head = strlen("virtio_pci") + 7;
	unsigned taken = 0, bad = 0, n;

	up();
	fg_msix(&g);
	fg_up(&g, OFFERED, 8);
	snap_w_init(&w);
	dev_save(g.dev, &w);
	for (bit = 0; bit < w.len_bytes * 8; bit++) {
		w.buf[bit / 8] ^= 1u << bit % 8;
		snap_r_init(&r, w.buf, w.len_bytes);
		if (dev_load(g.dev, &r, &e) == 0) {
			taken++;
			if (bit / 8 < head)
				bad++;
			snap_w_init(&a);
			snap_w_init(&b);
			dev_save(g.dev, &a);
			snap_r_init(&r, a.buf, a.len_bytes);
			if (dev_load(g.dev, &r, &e) == -1)
				bad++;
			dev_save(g.dev, &b);
			if (a.len_bytes != b.len_bytes ||
			    memcmp(a.buf, b.buf, a.len_bytes) != 0)
				bad++;
			snap_w_fini(&a);
			snap_w_fini(&b);
			fg_kick(&g, 0);
		}
		w.buf[bit / 8] ^= 1u << bit % 8;
	}
	CHECK_EQ(bad, 0);
	CHECK(taken > 100);
	for (n = 0; n < w.len_bytes; n++) {
		snap_r_init(&r, w.buf, n);
		CHECK_EQ(dev_load(g.dev, &r, &e), -1);
	}
	snap_w_fini(&w);
	down();
}

static const struct tap_case cases[] = {
	{ "virtio_pci: identity and capabilities", identity },
	{ "virtio_pci: a request, INTx", works },
	{ "T34 virtio_pci: write masks", write_masks },
	{ "T34 virtio_pci: the configuration window", window },
	{ "T35 virtio_pci: the memory BAR", bars },
	{ "T35 virtio_pci: the port BAR, BARs that meet", io_bar },
	{ "T17 virtio_pci: features", features },
	{ "T08 virtio_pci: frozen once it runs", frozen },
	{ "T09 T37 virtio_pci: notifications", notifies },
	{ "T10 T36 T37 virtio_pci: offsets and widths", offsets },
	{ "T36 msix: masks and pending bits", msix_masks },
	{ "T36 msix: vectors and table bounds", msix_bounds },
	{ "T11 T14 virtio_pci: broken rings", broken },
	{ "virtio_pci: queue registers", queue_regs },
	{ "virtio_pci: both kinds of reset", reset },
	{ "virtio_pci: configuration generation", generation },
	{ "T12 virtio_pci: reset while another notifies", race },
	{ "T51 virtio_pci: saved state, every bit", flips },
};

TAP_MAIN(cases)
