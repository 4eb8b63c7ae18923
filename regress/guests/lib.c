/* SPDX-License-Identifier: ISC */
#include "regress/guests/guest.h"

#define PIC1 0x20
#define PIC2 0xa0
#define PIT 0x40
#define PIT_HZ 1193182
#define TICK_HZ 100
#define TICKS_MAX 500
#define CMOS_COUNT 0x41

void guest_main(void);
void trap(uint64_t vec, uint64_t rip);

extern uint8_t vec_stubs[];
extern uint64_t idt[VECTORS * 2];

static uint32_t ngood, nbad;
static void (*handlers[VECTORS])(void);

void
putch(char c)
{
	outb(UART, (uint8_t)c);
}

void
print(const char *s)
{
	while (*s != '\0')
		putch(*s++);
}

void
print_hex(uint64_t v)
{
	int i;

	for (i = 60; i > 0 && v >> i == 0; i -= 4)
		;
	for (; i >= 0; i -= 4)
		putch("0123456789abcdef"[v >> i & 15]);
}

void
report(bool ok, const char *what)
{
	if (ok) {
		ngood++;
		return;
	}
	nbad++;
	print("not ok ");
	print(what);
	putch('\n');
}

void
report_eq(uint64_t got, uint64_t want, const char *what)
{
	report(got == want, what);
	if (got == want)
		return;
	print("  got 0x");
	print_hex(got);
	print(" not 0x");
	print_hex(want);
	putch('\n');
}

void
die(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void
finish(void)
{
	outl(DEBUG_EXIT, ngood << 16 | nbad);
	die();
}

char
prompt(void)
{
	putch('?');
	while ((inb(UART + 5) & 1) == 0)
		;
	return ((char)inb(UART));
}

bool
mem_eq(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	while (n > 0 && *p == *q) {
		p++;
		q++;
		n--;
	}
	return (n == 0);
}

bool
str_eq(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return (*a == *b);
}

/* An exception that nobody expects ends the guest with its name. */
void
trap(uint64_t vec, uint64_t rip)
{
	if (handlers[vec] != NULL) {
		handlers[vec]();
		return;
	}
	print("not ok trap 0x");
	print_hex(vec);
	print(" at 0x");
	print_hex(rip);
	putch('\n');
	nbad++;
	finish();
}

void
trap_set(unsigned vec, void (*fn)(void))
{
	handlers[vec] = fn;
}

/* Intel SDM 3A, 6.14.1: 64-bit interrupt gates. */
static void
idt_open(void)
{
	uint64_t at;
	unsigned i;

	at = (uint64_t)vec_stubs;
	for (i = 0; i < VECTORS; i++, at += 16) {
		idt[i * 2] = (at & 0xffff) | 0x10ull << 16 | 0x8eull << 40 |
		    (at >> 16 & 0xffff) << 48;
		idt[i * 2 + 1] = at >> 32;
	}
}

/* 8259A datasheet: ICW1..4, edge triggered, the slave on line 2. */
void
pic_open(uint16_t irqs)
{
	if ((irqs & 0xff00) != 0)
		irqs |= 1 << 2;
	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1 + 1, VEC_IRQ);
	outb(PIC2 + 1, VEC_IRQ + 8);
	outb(PIC1 + 1, 4);
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1);
	outb(PIC2 + 1, 1);
	outb(PIC1 + 1, (uint8_t)~irqs);
	outb(PIC2 + 1, (uint8_t)(~irqs >> 8));
}

void
pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(PIC2, 0x20);
	outb(PIC1, 0x20);
}

void
pit_open(unsigned hz)
{
	unsigned div;

	div = PIT_HZ / hz;
	outb(PIT + 3, 0x36); /* channel 0, both bytes, mode 3 */
	outb(PIT, (uint8_t)div);
	outb(PIT, (uint8_t)(div >> 8));
}

static volatile unsigned nticks;

static void
on_tick(void)
{
	nticks++;
	pic_eoi(0);
}

bool
wait_for(const volatile unsigned *n, unsigned want)
{
	trap_set(VEC_IRQ, on_tick);
	outb(PIC1 + 1, inb(PIC1 + 1) & 0xfe);
	pit_open(TICK_HZ);
	for (nticks = 0; *n < want && nticks < TICKS_MAX;)
		irq_wait();
	outb(PIC1 + 1, inb(PIC1 + 1) | 0x01);
	return (*n >= want);
}

unsigned
begun(void)
{
	uint8_t n;

	outb(0x70, CMOS_COUNT);
	n = inb(0x71);
	outb(0x71, (uint8_t)(n + 1));
	return (n);
}

uint64_t
start_rsdp(void)
{
	if (start.protocol == 1)
		return (*(uint64_t *)(start.info + 32));
	return (*(uint64_t *)(start.info + 0x70));
}

const char *
start_cmdline(void)
{
	if (start.protocol == 1)
		return ((const char *)*(uint64_t *)(start.info + 24));
	return ((const char *)(uint64_t)get32(start.info + 0x228));
}

static bool
sums_to_zero(const uint8_t *p, size_t n)
{
	uint8_t sum;

	for (sum = 0; n > 0; n--)
		sum += *p++;
	return (sum == 0);
}

const uint8_t *
acpi_find(const char sig[4])
{
	const uint8_t *rsdp, *xsdt, *t;
	uint32_t i, n;

	rsdp = (const uint8_t *)start_rsdp();
	if (rsdp == NULL || !mem_eq(rsdp, "RSD PTR ", 8) ||
	    !sums_to_zero(rsdp, 20) || !sums_to_zero(rsdp, 36))
		return (NULL);
	xsdt = (const uint8_t *)*(const uint64_t *)(rsdp + 24);
	n = *(const uint32_t *)(xsdt + 4);
	if (!mem_eq(xsdt, "XSDT", 4) || n > 4096 || !sums_to_zero(xsdt, n))
		return (NULL);
	for (i = 36; i + 8 <= n; i += 8) {
		t = (const uint8_t *)*(const uint64_t *)(xsdt + i);
		if (mem_eq(t, sig, 4))
			return (sums_to_zero(t, *(const uint32_t *)(t + 4))
				? t
				: NULL);
	}
	return (NULL);
}

void
guest_main(void)
{
	idt_open();
	guest();
	finish();
}

void ap_main(void);

/* Guests with more than one CPU have their own. */
__attribute__((weak)) void
ap_main(void)
{
}
