/* SPDX-License-Identifier: ISC */
/* PCI configuration mechanism 1, and the reset register in its midst. */
#include <string.h>

#include "daemon/dev/pci.h"
#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define ADDR 0xcf8
#define DATA 0xcfc
#define ENABLE 0x80000000u

static struct fakemach f;
static struct dev *host;

static void
up(void)
{
	fakemach_open(&f, 1 << 20, 1);
	host = fakemach_add(&f, fakemach_slot(&dev_pci_host));
	fakemach_add(&f, fakemach_slot(&dev_reset_ctl));
}

static void
down(void)
{
	fakemach_close(&f);
}

/* One access as a BIOS does it: reg's low bits choose the data port. */
static uint32_t
cfg_in(uint32_t bdf, unsigned reg, unsigned bytes)
{
	fake_out(&f, ADDR, 4, ENABLE | bdf << 8 | (reg & 0xfc));
	return (fake_in(&f, (uint16_t)(DATA + (reg & 3)), bytes));
}

static void
cfg_out(uint32_t bdf, unsigned reg, unsigned bytes, uint32_t v)
{
	fake_out(&f, ADDR, 4, ENABLE | bdf << 8 | (reg & 0xfc));
	fake_out(&f, (uint16_t)(DATA + (reg & 3)), bytes, v);
}

static void
identity(void)
{
	up();
	CHECK_EQ(cfg_in(0, 0, 4), 0x12378086);
	CHECK_EQ(cfg_in(0, 0, 2), 0x8086);
	CHECK_EQ(cfg_in(0, 2, 2), 0x1237);
	CHECK_EQ(cfg_in(0, 8, 4), 0x06000002);
	CHECK_EQ(cfg_in(0, 0x0e, 1), 0); /* one function */
	CHECK_EQ(cfg_in(0, 4, 2), 6);
	CHECK_EQ(fake_in(&f, ADDR, 4), ENABLE | 4);
	fake_outb(&f, ADDR + 3, 1); /* Linux's check for mechanism 1 */
	CHECK_EQ(fake_in(&f, ADDR, 4), ENABLE | 4);
	fake_out(&f, ADDR, 4, 0);
	CHECK_EQ(fake_in(&f, DATA, 4), 0xffffffff);
	down();
}

/* Nobody at any other bus, device or function; writes to them go nowhere. */
static void
absent(void)
{
	unsigned bdf, bad = 0;

	up();
	for (bdf = 1; bdf < 0x10000; bdf++) {
		cfg_out(bdf, 4, 4, 0xffffffff);
		if (cfg_in(bdf, 0, 4) != 0xffffffff ||
		    cfg_in(bdf, 0xfc, 4) != 0xffffffff)
			bad++;
	}
	CHECK_EQ(bad, 0);
	CHECK_EQ(cfg_in(0, 4, 2), 6);
	down();
}

/* Which bits of the host bridge the guest may write: the rest is zero. */
static const struct {
	uint8_t reg, mask;
} golden[] = {
	{ 0x04, 0x40 },
	{ 0x05, 0x01 },
	{ 0x0d, 0xf8 },
	{ 0x59, 0x30 },
	{ 0x5a, 0x33 },
	{ 0x5b, 0x33 },
	{ 0x5c, 0x33 },
	{ 0x5d, 0x33 },
	{ 0x5e, 0x33 },
	{ 0x5f, 0x33 },
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
		cfg_out(0, reg, 1, 0xff);
		ones = (uint8_t)cfg_in(0, reg, 1);
		cfg_out(0, reg, 1, 0);
		zeros = (uint8_t)cfg_in(0, reg, 1);
		CHECK_MSG((ones ^ zeros) == want[reg],
		    "reg 0x%02x: bits 0x%02x can be written, not 0x%02x", reg,
		    ones ^ zeros, want[reg]);
	}
	for (reg = 0; reg < 256; reg += 4)
		cfg_out(0, reg, 4, 0xffffffff);
	CHECK_EQ(cfg_in(0, 0, 4), 0x12378086);
	dev_reset(host);
	CHECK_EQ(cfg_in(0, 0x58, 4), 0);
	down();
}

/* Every 0xcf8 offset with every data port and width: bytes agree. */
static void
widths(void)
{
	static const unsigned bytes[] = { 1, 2, 4 };
	unsigned reg, lane, w, i, bad = 0;
	uint32_t v, want;

	up();
	for (i = 0x59; i < 0x60; i++)
		cfg_out(0, i, 1, i * 7);
	for (reg = 0; reg < 256; reg++)
		for (lane = 0; lane < 4; lane++)
			for (w = 0; w < 3; w++) {
				if (lane + bytes[w] > 4)
					continue;
				for (want = 0, i = bytes[w]; i-- > 0;)
					want = want << 8 |
					    cfg_in(
						0, (reg & 0xfc) + lane + i, 1);
				fake_out(&f, ADDR, 4, ENABLE | reg);
				v = fake_in(
				    &f, (uint16_t)(DATA + lane), bytes[w]);
				if (bytes[w] < 4)
					v &= (1u << 8 * bytes[w]) - 1;
				if (v != want)
					bad++;
			}
	CHECK_EQ(bad, 0);
	/* Over the end of the data port: nobody. */
	fake_out(&f, ADDR, 4, ENABLE | 0xfc);
	CHECK_EQ(fake_in(&f, DATA + 2, 4), 0xffffffff);
	CHECK_EQ(fake_in(&f, DATA + 3, 2) & 0xffff, 0xffff);
	/* Over its start: the bus hands it to one range that holds it whole. */
	CHECK_EQ(fake_in(&f, DATA - 2, 4), 0xffffffff);
	fake_out(&f, DATA - 2, 4, 0xffffffff);
	CHECK_EQ(fake_in(&f, ADDR, 4), ENABLE | 0xfc);
	down();
}

/* Any address value, any width, all ones written: the bridge stays itself. */
static void
any_address(void)
{
	uint32_t addr, i;

	up();
	for (i = 0; i < 1u << 16; i++) {
		addr = i * 0x9e3779b1u;
		fake_out(&f, ADDR, 4, addr);
		CHECK_EQ(fake_in(&f, ADDR, 4), addr & 0x80fffffc);
		fake_out(&f, (uint16_t)(DATA + (i & 3)), 1u << (i >> 2 & 1),
		    0xffffffff);
		fake_in(&f, DATA, 4);
	}
	CHECK_EQ(cfg_in(0, 0, 4), 0x12378086);
	CHECK_EQ(cfg_in(0, 8, 4), 0x06000002);
	CHECK_EQ(f.resets, 0);
	down();
}

static void
other_slots(void)
{
	static struct pci_func fn;
	struct err e;

	up();
	pci_put16(&fn, PCI_VENDOR, 0x1af4);
	pci_put16(&fn, PCI_DEVICE, 0x1042);
	fn.wmask[0x3c] = 0xff;
	CHECK_EQ(pci_add(host, 0, &fn, &e), -1);
	CHECK_EQ(pci_add(host, 32, &fn, &e), -1);
	CHECK_EQ(pci_add(host, 31, &fn, &e), 0);
	CHECK_EQ(pci_add(host, 31, &fn, &e), -1);
	CHECK_EQ(cfg_in(31 << 3, 0, 4), 0x10421af4);
	CHECK_EQ(cfg_in(31 << 3 | 1, 0, 4), 0xffffffff);
	CHECK_EQ(cfg_in(30 << 3, 0, 4), 0xffffffff);
	cfg_out(31 << 3, 0x3c, 4, 0xffffffff);
	CHECK_EQ(cfg_in(31 << 3, 0x3c, 4), 0xff);
	CHECK_EQ(cfg_in(0, 0x3c, 4), 0);
	down();
}

static void
reset_register(void)
{
	up();
	CHECK_EQ(fake_inb(&f, 0xcf9), 0);
	fake_outb(&f, 0xcf9, 0x02);
	CHECK_EQ(fake_inb(&f, 0xcf9), 0x02);
	CHECK_EQ(f.resets, 0);
	fake_outb(&f, 0xcf9, 0x06);
	CHECK_EQ(f.resets, 1);
	CHECK_EQ(fake_inb(&f, 0xcf9), 0x02);
	fake_outb(&f, 0xcf9, 0x0e);
	CHECK_EQ(f.resets, 2);
	fake_out(&f, ADDR, 4, 0xffffffff); /* holds 0xcf9, is not for it */
	fake_outb(&f, 0xcf8, 0x06);
	fake_outb(&f, 0xcfa, 0x06);
	CHECK_EQ(f.resets, 2);
	CHECK_EQ(fake_in(&f, ADDR, 4), 0x80fffffc);
	down();
}

static const struct tap_case cases[] = {
	{ "pci host bridge identity", identity },
	{ "T34 pci: other buses, devices, functions", absent },
	{ "T34 pci: write masks against the golden table", write_masks },
	{ "T34 pci: all offsets and widths", widths },
	{ "T34 pci: 0xcfc with any 0xcf8", any_address },
	{ "pci functions in other slots", other_slots },
	{ "reset register at 0xcf9", reset_register },
};

TAP_MAIN(cases)
