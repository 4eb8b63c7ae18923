/* SPDX-License-Identifier: ISC */
/* By command line: CPUID (T40), a KVM error (T76), pause, console flood. */
#include "regress/guests/guest.h"

#define COUNTER 0x500000ull /* watched by the host: run_guests.c */
#define NOWHERE 0xd0000000ull

/* kvm-clock: KVM fills the page that the MSR names, the version is even. */
static void
kvm_clock(void)
{
	static volatile uint32_t page[8] __attribute__((aligned(32)));
	struct cpuid c;

	c = cpuid(0x40000001, 0);
	report((c.a & 1 << 3) != 0, "kvm-clock is offered");
	wrmsr(0x4b564d01, (uint64_t)page | 1);
	report(page[0] != 0 && (page[0] & 1) == 0, "kvm-clock: version");
	report(page[6] != 0, "kvm-clock: scale");
}

static void
check_cpuid(void)
{
	struct cpuid c;
	uint32_t max;

	c = cpuid(0, 0);
	max = c.a;
	report(max >= 7, "CPUID: leaves up to 7");
	c = cpuid(1, 0);
	report((c.c >> 31) == 1, "CPUID: a hypervisor is there");
	report((c.c & 1 << 3) == 0, "CPUID: no MONITOR");
	report((c.c & 1 << 5) == 0, "CPUID: no VMX");
	report_eq(c.b >> 24, get32(LAPIC + 0x20) >> 24, "CPUID: APIC id");
	report((c.d & 1 << 9) != 0, "CPUID: APIC");
	c = cpuid(0x80000001, 0);
	report((c.c & 1 << 2) == 0, "CPUID: no SVM");
	report((c.d & 1 << 29) != 0, "CPUID: long mode");
	c = cpuid(0x40000000, 0);
	report_eq(c.b, 0x4b4d564b, "CPUID: KVMK");
	report(c.a >= 0x40000001, "CPUID: KVM features");
	kvm_clock();
}

/* There is no code where nothing is: KVM gives up, and says where. */
static void
fail(void)
{
	print("up\n");
	((void (*)(void))NOWHERE)();
}

/* Count until the host, which pauses us meanwhile, says that it is enough. */
static void
count(void)
{
	volatile uint64_t *n;

	n = (volatile uint64_t *)COUNTER;
	putch('?');
	while ((inb(UART + 5) & 1) == 0)
		++*n;
	report_eq(inb(UART), 'q', "the key");
	report(*n > 0, "counted");
}

/* 64 KiB that nobody reads, as fast as it goes. */
static void
flood(void)
{
	static char line[64];
	const char *from;
	unsigned i;
	uint64_t n;

	for (i = 0; i < sizeof(line); i++)
		line[i] = (char)('@' + i);
	for (i = 0; i < 1024; i++) {
		from = line;
		n = sizeof(line);
		__asm__ volatile("rep outsb"
				 : "+S"(from), "+c"(n)
				 : "d"((uint16_t)UART)
				 : "memory");
	}
	report(true, "console never held us up");
}

void
guest(void)
{
	const char *what;

	what = start_cmdline();
	if (str_eq(what, "cpuid"))
		check_cpuid();
	else if (str_eq(what, "error"))
		fail();
	else if (str_eq(what, "pause"))
		count();
	else if (str_eq(what, "flood"))
		flood();
	else
		report(false, "a command line that is known");
}
