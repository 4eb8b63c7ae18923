/* SPDX-License-Identifier: ISC */
/* T37: ports and memory where nobody lives, string I/O; and PCI (T34). */
#include "regress/guests/guest.h"

static void
unknown(void)
{
	static const uint16_t ports[] = { 0x0f0, 0x200, 0x2f8, 0x3bc, 0x1234,
		0xfffc };
	unsigned i;

	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		outb(ports[i], 0);
		outw(ports[i], 0);
		outl(ports[i], 0);
		report_eq(inb(ports[i]), 0xff, "unknown port, byte");
		report_eq(inw(ports[i]), 0xffff, "unknown port, word");
		report_eq(inl(ports[i]), 0xffffffff, "unknown port, long");
	}
	/* Over the end of the port space, and over the end of a device. */
	report_eq(inb(0xffff), 0xff, "last port");
	report_eq(inl(0xd0000000 & 0xffff), 0xffffffff, "port 0");
	put32(0xd0000000, 0);
	report_eq(get32(0xd0000000), 0xffffffff, "unknown memory");
	report_eq(
	    *(volatile uint8_t *)0xd0000003, 0xff, "unknown memory, byte");
}

static void
string(void)
{
	static uint32_t buf[9];
	const void *from;
	void *to;
	uint64_t n;
	unsigned i;

	to = buf;
	n = 8;
	__asm__ volatile("rep insl"
			 : "+D"(to), "+c"(n)
			 : "d"((uint16_t)0x1234)
			 : "memory");
	for (i = 0; i < 8 && buf[i] == 0xffffffff; i++)
		;
	report_eq(i, 8, "rep insl fills all of it");
	report_eq(buf[8], 0, "and no more");
	report_eq(n, 0, "and ends");
	to = (uint8_t *)buf + 1;
	n = 3;
	outb(UART + 7, 0x77);
	__asm__ volatile("rep insb"
			 : "+D"(to), "+c"(n)
			 : "d"((uint16_t)(UART + 7))
			 : "memory");
	report_eq(buf[0], 0x777777ff, "rep insb reads the device each time");
	from = "0123456789\n";
	n = 11;
	__asm__ volatile("rep outsb"
			 : "+S"(from), "+c"(n)
			 : "d"((uint16_t)UART)
			 : "memory");
	report_eq(n, 0, "rep outsb ends");
	n = 0;
	__asm__ volatile("rep outsb"
			 : "+S"(from), "+c"(n)
			 : "d"((uint16_t)UART)
			 : "memory");
	report_eq(n, 0, "no repeats, no access");
}

static uint32_t
pci(unsigned dev, unsigned fn, unsigned reg)
{
	outl(0xcf8, 0x80000000u | dev << 11 | fn << 8 | reg);
	return (inl(0xcfc));
}

static void
pci_config(void)
{
	uint32_t id;

	id = pci(0, 0, 0);
	report(id != 0xffffffff && id != 0, "host bridge is there");
	report_eq(pci(0, 0, 8) >> 16, 0x0600, "and is a host bridge");
	report_eq(inl(0xcf8), 0x80000008, "address register reads back");
	outl(0xcf8, 0x80000000);
	report_eq(inw(0xcfc), id & 0xffff, "vendor as a word");
	report_eq(inw(0xcfe), id >> 16, "device as a word");
	report_eq(inb(0xcff), id >> 24, "its last byte");
	outl(0xcfc, 0x12345678);
	report_eq(pci(0, 0, 0), id, "identity cannot be written");
	report_eq(pci(31, 7, 0), 0xffffffff, "nobody in slot 31");
	report_eq(pci(0, 1, 0), 0xffffffff, "no function 1");
	outl(0xcf8, 0x80010000);
	report_eq(inl(0xcfc), 0xffffffff, "no bus 1");
	outl(0xcf8, 0);
	report_eq(inl(0xcfc), 0xffffffff, "nothing unless enabled");
}

void
guest(void)
{
	unknown();
	string();
	pci_config();
}
