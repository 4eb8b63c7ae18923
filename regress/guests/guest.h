/* SPDX-License-Identifier: ISC */
/*
 * What the flat guests share.  They run alone on a virtual machine: 64-bit
 * ring 0, everything mapped one to one below 4 GiB, no library, no SSE.  A
 * software KVM interprets them at half a million instructions a second, so
 * each stays below 50000 of these and 2000 exits.
 */
#ifndef REGRESS_GUEST_H
#define REGRESS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART 0x3f8
#define DEBUG_EXIT 0xf4
#define LAPIC 0xfee00000u
#define PM1_EVT 0x600 /* daemon/dev/acpi.h; the entry guest checks the FADT */
#define PM1_CNT 0x604
#define PM_TMR 0x608
#define VEC_IRQ 0x20 /* IRQ n of the PICs comes as vector VEC_IRQ + n */
#define VECTORS 64

/* Registers at the very first instruction, kept by start_*.S in this order. */
struct start {
	uint64_t protocol; /* 1: PVH, 2: Linux 64-bit */
	uint64_t info;     /* EBX or RSI */
	uint64_t cr0, cr3, cr4, efer, rflags, cs, ds, ss, tr;
	uint8_t gdtr[10];
	uint8_t bss[6]; /* not written: the memory of a new machine */
};
extern struct start start;

static inline void
outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void
outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void
outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t
inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return (v);
}

static inline uint16_t
inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return (v);
}

static inline uint32_t
inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return (v);
}

static inline uint32_t
get32(uint64_t gpa)
{
	return (*(volatile uint32_t *)gpa);
}

static inline void
put32(uint64_t gpa, uint32_t v)
{
	*(volatile uint32_t *)gpa = v;
}

static inline uint64_t
rdmsr(uint32_t n)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return ((uint64_t)hi << 32 | lo);
}

static inline void
wrmsr(uint32_t n, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "0"(leaf), "2"(sub));
	return (r);
}

static inline void
irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void
irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Wait for an interrupt with none lost between: sti holds for one insn. */
static inline void
irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* One fact.  Good ones are counted, bad ones are told on the console. */
void report(bool ok, const char *what);
void report_eq(uint64_t got, uint64_t want, const char *what);
/* End: the code says how many were good and bad. */
void finish(void) __attribute__((noreturn));
void die(void) __attribute__((noreturn)); /* cli; hlt */

void putch(char);
void print(const char *);
void print_hex(uint64_t);
/* Ask the host (prompts of guests.ini) and take the key that it sends. */
char prompt(void);

bool mem_eq(const void *, const void *, size_t);
bool str_eq(const char *, const char *);

/* Handlers by vector, and the PICs with all but these lines masked. */
void trap_set(unsigned vec, void (*fn)(void));
void pic_open(uint16_t irqs);
void pic_eoi(unsigned irq);
/* PIT channel 0, square wave of about hz. */
void pit_open(unsigned hz);
/*
 * Halt until *n has come to want, with a tick (IRQ 0) beside it so that no
 * wake-up that went missing hangs us; false: it does not come.
 */
bool wait_for(const volatile unsigned *n, unsigned want);
/* From CMOS memory, which outlives a reset: how often was this called? */
unsigned begun(void);

/* ACPI, from the RSDP on: NULL if there is none or a checksum is wrong. */
const uint8_t *acpi_find(const char sig[4]);
uint64_t start_rsdp(void);
const char *start_cmdline(void);

void guest(void); /* the guest's own part; may return */

#endif
