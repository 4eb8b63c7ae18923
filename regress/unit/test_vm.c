/* SPDX-License-Identifier: ISC */
/*
 * A machine on a fake hypervisor: exits, events, resets, pauses, errors; and
 * once on /dev/kvm.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dev/acpi.h"
#include "daemon/hv/fake.h"
#include "daemon/vm/console.h"
#include "daemon/vm/machine.h"
#include "regress/lib/tap.h"

#define MIB (1ull << 20)
#define N(a) (sizeof(a) / sizeof((a)[0]))

#define OUT(port, n, bytes)                                                    \
	{                                                                      \
		.why = HV_IO, .write = true, .addr = (port), .len_bytes = (n), \
		.data = (bytes)                                                \
	}
#define IN(port, n, bytes)                                                     \
	{                                                                      \
		.why = HV_IO, .addr = (port), .len_bytes = (n),                \
		.data = (bytes)                                                \
	}
#define HOLD_OUT(port, n, bytes)                                               \
	{                                                                      \
		.why = HV_IO, .write = true, .addr = (port), .len_bytes = (n), \
		.data = (bytes), .hold = true                                  \
	}
#define RESET OUT(0xcf9, 1, "\x06")
#define POWEROFF OUT(ACPI_PM1_CNT, 2, "\x00\x34") /* SLP_EN, type 5 */

struct rig {
	struct event_base *base;
	struct machine *m;
	struct machine_conf conf;
	struct fake fake;
	struct figures figures;
	struct err err; /* of the last event */
	unsigned events[MACHINE_FAILED + 1];
	uint32_t arg;
	unsigned loads, rooms;
	uint8_t dirty; /* what load found in memory */
	char out[256];
	size_t nout;
};

static int
rig_load(void *ctx, struct mem *mem, struct hv_regs *r, struct err *e)
{
	struct rig *rig = ctx;

	(void)e;
	rig->loads++;
	rig->dirty |= mem->base[0x5000];
	mem->base[0x5000] = 0x77;
	r->rip = 0x1234;
	return (0);
}

static void
rig_event(
    void *ctx, enum machine_event what, uint32_t arg, const struct err *why)
{
	struct rig *rig = ctx;

	rig->events[what]++;
	rig->arg = arg;
	if (why != NULL)
		rig->err = *why;
}

static void
rig_console(void *ctx, const void *buf, size_t len)
{
	struct rig *rig = ctx;

	if (len > sizeof(rig->out) - rig->nout)
		len = sizeof(rig->out) - rig->nout;
	memcpy(rig->out + rig->nout, buf, len);
	rig->nout += len;
}

static void
rig_room(void *ctx)
{
	struct rig *rig = ctx;

	rig->rooms++;
}

static const struct machine_ops rig_ops = {
	.load = rig_load,
	.event = rig_event,
	.console = rig_console,
	.console_room = rig_room,
};

static void
rig_init(struct rig *r, const struct fake_step *steps, size_t n)
{
	memset(r, 0, sizeof(*r));
	r->base = event_base_new();
	fake_init(&r->fake);
	fake_use(&r->fake);
	r->fake.script[0].step = steps;
	r->fake.script[0].nsteps = n;
	r->conf = (struct machine_conf){
		.name = "t",
		.hv = &hv_fake,
		.kvm_fd = -1,
		.ncpus = 1,
		.mem_bytes = 2 * MIB,
		.debug_exit = true,
		.base = r->base,
		.ops = &rig_ops,
		.ctx = r,
		.figures = &r->figures,
	};
}

static bool
rig_start(struct rig *r)
{
	struct err e;

	if (machine_open(&r->m, &r->conf, &e) == -1 ||
	    machine_start(r->m, &e) == -1) {
		tap_fail(__FILE__, __LINE__, "%s", e.text);
		return (false);
	}
	return (true);
}

static void
rig_fini(struct rig *r)
{
	machine_close(r->m);
	CHECK_EQ(r->fake.nopen, 0);
	fake_fini(&r->fake);
	event_base_free(r->base);
}

/* Turns of the loop until that event has come n times. */
static void
rig_until(struct rig *r, enum machine_event what, unsigned n)
{
	while (r->events[what] < n)
		event_base_loop(r->base, EVLOOP_ONCE);
}

static void
t_exits(void)
{
	static const struct fake_step steps[] = {
		OUT(0x3f8, 1, "H"),
		{ .why = HV_IO,
		    .write = true,
		    .addr = 0x3f8,
		    .len_bytes = 1,
		    .count = 4,
		    .data = "ello" },
		IN(0x3fd, 1, "\x60"),            /* transmitter empty */
		IN(0x80, 4, "\xff\xff\xff\xff"), /* nobody there */
		{ .why = HV_MMIO,
		    .addr = 0xfed00000,
		    .len_bytes = 8,
		    .count = 1,
		    .data = "\xff\xff\xff\xff\xff\xff\xff\xff" },
		{ .why = HV_MMIO,
		    .write = true,
		    .addr = 0xfed00000,
		    .len_bytes = 4,
		    .data = "abcd" },
		OUT(0xf4, 4, "\x2a\0\0\0"),
	};
	struct figures_vcpu *f;
	static struct rig r;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_EXIT, 1);
	CHECK_EQ(r.arg, 42);
	CHECK_EQ(r.nout, 5);
	CHECK(memcmp(r.out, "Hello", 5) == 0);
	CHECK_MSG(r.fake.wrong == 0, "0x%llx read 0x%llx",
	    (unsigned long long)r.fake.wrong_addr,
	    (unsigned long long)r.fake.wrong_got);
	CHECK_EQ(r.fake.entry.rip, 0x1234);
	CHECK_EQ(r.fake.nmarks, 1);
	CHECK_EQ(r.events[MACHINE_STARTED], 1);
	f = &r.figures.vcpu[0];
	CHECK_EQ(f->exits[EXIT_PIO_OUT], 3);
	CHECK_EQ(f->exits[EXIT_PIO_IN], 2);
	CHECK_EQ(f->exits[EXIT_MMIO_READ], 1);
	CHECK_EQ(f->exits[EXIT_MMIO_WRITE], 1);
	CHECK_EQ(r.figures.console_bytes, 5);
	machine_sample(r.m);
	CHECK(r.figures.sampled_ns > 0);
	CHECK(r.figures.resident_bytes >= 4096);
	rig_fini(&r);
}

static void
t_poweroff(void)
{
	static const struct fake_step steps[] = { POWEROFF,
		OUT(0x3f8, 1, "X") };
	static struct rig r;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_POWEROFF, 1);
	CHECK_EQ(r.nout, 0); /* not one instruction more */
	CHECK_EQ(r.fake.nresets, 0);
	rig_fini(&r);
}

static void
t_reset(void)
{
	static const struct fake_step steps[] = {
		OUT(0x3fb, 1, "\x03"), /* UART's LCR */
		RESET,
		IN(0x3fb, 1, "\x00"),
		OUT(0x3f8, 1, "2"),
		POWEROFF,
	};
	static struct rig r;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_POWEROFF, 1);
	CHECK_EQ(r.events[MACHINE_RESET], 1);
	CHECK_EQ(machine_restarts(r.m), 1);
	CHECK_EQ(r.fake.nresets, 1);
	CHECK_EQ(r.fake.nboots, 2);
	CHECK_EQ(r.loads, 2);
	CHECK_EQ(r.dirty, 0); /* memory was cleared before the second */
	CHECK_EQ(r.fake.wrong, 0);
	CHECK_EQ(r.out[0], '2');
	rig_fini(&r);
}

/* T76: a storm of them ends, and says why. */
static void
t_storm(void)
{
	static const struct fake_step steps[] = { { .why = HV_SHUTDOWN },
		{ .why = HV_SHUTDOWN }, { .why = HV_SHUTDOWN },
		OUT(0x3f8, 1, "X") };
	static struct rig r;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_FAILED, 1);
	CHECK_EQ(r.events[MACHINE_RESET], MACHINE_RESTARTS_MAX - 1);
	CHECK_MSG(
	    strstr(r.err.text, "restarted 3 times") != NULL, "%s", r.err.text);
	CHECK_EQ(r.nout, 0);
	CHECK_EQ(r.figures.vcpu[0].exits[EXIT_SHUTDOWN], 3);
	rig_fini(&r);
}

/* One step that must end the machine with these words. */
static void
ends(const struct fake_step *step, enum machine_event what, const char *words)
{
	static struct rig r;

	rig_init(&r, step, 1);
	if (!rig_start(&r))
		return;
	rig_until(&r, what, 1);
	CHECK_MSG(strstr(r.err.text, words) != NULL, "%s", r.err.text);
	rig_fini(&r);
}

static void
t_errors(void)
{
	static const struct fake_step error = { .why = HV_ERROR,
		.text = "KVM exit INTERNAL_ERROR, RIP 0x42" };
	static const struct fake_step cannot = { .fail_errno = EFAULT };
	static const struct fake_step hlt = { .why = HV_HLT };
	static const struct fake_step crash = { .why = HV_SYSTEM, .system = 3 };
	static const struct fake_step odd = { .why = HV_SYSTEM, .system = 99 };
	static const struct fake_step off = { .why = HV_SYSTEM, .system = 1 };
	static const struct fake_step again = { .why = HV_SYSTEM, .system = 2 };
	static const struct fake_step none = { .why = (enum hv_exit_why)77 };

	ends(&error, MACHINE_FAILED, "RIP 0x42");
	ends(&cannot, MACHINE_FAILED, "cannot run: Bad address");
	ends(&hlt, MACHINE_FAILED, "RIP 0x1");
	ends(&crash, MACHINE_FAILED, "the guest crashed");
	ends(&odd, MACHINE_FAILED, "system event 99");
	ends(&none, MACHINE_FAILED, "exit 77");
	ends(&off, MACHINE_POWEROFF, "");
	ends(&again, MACHINE_RESET, "");
}

static void
t_open_fails(void)
{
	static struct rig r;
	struct err e;

	rig_init(&r, NULL, 0);
	r.fake.fail_vm_open = ENODEV;
	CHECK_EQ(machine_open(&r.m, &r.conf, &e), -1);
	CHECK_EQ(e.code, ENODEV);
	r.fake.fail_vm_open = 0;
	r.fake.fail_mark = EIO;
	CHECK_EQ(machine_open(&r.m, &r.conf, &e), -1);
	CHECK_EQ(e.code, EIO);
	CHECK_EQ(r.fake.nopen, 0);
	r.fake.fail_mark = 0;
	r.conf.mem_bytes = 12345;
	CHECK_EQ(machine_open(&r.m, &r.conf, &e), -1);
	r.conf.ncpus = 65;
	CHECK_EQ(machine_open(&r.m, &r.conf, &e), -1);
	CHECK(r.m == NULL);
	fake_fini(&r.fake);
	event_base_free(r.base);
}

static void
t_reset_fails(void)
{
	static const struct fake_step steps[] = { RESET };
	static struct rig r;

	rig_init(&r, steps, N(steps));
	r.fake.fail_reset = EIO;
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_FAILED, 1);
	CHECK_MSG(strstr(r.err.text, "cannot restart the guest") != NULL, "%s",
	    r.err.text);
	rig_fini(&r);
}

static void
t_pause(void)
{
	static const struct fake_step steps[] = {
		HOLD_OUT(0x3f8, 1, "a"),
		POWEROFF,
	};
	static struct rig r;
	struct err e;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	rig_until(&r, MACHINE_STARTED, 1);
	machine_pause(r.m);
	machine_pause(r.m);
	CHECK(machine_paused(r.m));
	CHECK_EQ(r.fake.nholds, 1);
	CHECK(r.fake.nsettles >= 1);
	fake_go(&r.fake, 1); /* the guest would, but stands */
	CHECK_EQ(r.nout, 0);
	CHECK_EQ(machine_reset(r.m, &e), 0); /* stays paused */
	CHECK_EQ(r.loads, 2);
	CHECK(machine_paused(r.m));
	machine_unpause(r.m);
	machine_unpause(r.m);
	CHECK_EQ(r.fake.nreleases, 1);
	rig_until(&r, MACHINE_POWEROFF, 1);
	CHECK_EQ(r.nout, 1);
	CHECK_EQ(machine_reset(r.m, &e), -1);
	rig_fini(&r);
}

static void
t_keys(void)
{
	static const struct fake_step steps[] = {
		OUT(0x3fa, 1, "\x01"), /* FIFO on */
		HOLD_OUT(0x80, 1, "\0"),
		IN(0x3f8, 1, "k"),
		OUT(0xf4, 4, "\0\0\0\0"),
	};
	static struct rig r;

	rig_init(&r, steps, N(steps));
	if (!rig_start(&r))
		return;
	while (!fake_held(&r.fake)) /* the FIFO is on by then, and empty */
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	CHECK_EQ(machine_input(r.m, "keys", 4), 4);
	CHECK_EQ(machine_input(r.m, "0123456789abcdef", 16), 12);
	CHECK_EQ(r.rooms, 0);
	fake_go(&r.fake, 1);
	rig_until(&r, MACHINE_EXIT, 1);
	CHECK_EQ(r.rooms, 1);
	CHECK_EQ(r.fake.wrong, 0);
	CHECK_EQ(machine_input(r.m, "xy", 2), 1);
	rig_fini(&r);
}

static void
t_many(void)
{
	static const struct fake_step steps[] = { HOLD_OUT(0xcf9, 1, "\x06"),
		POWEROFF };
	static struct rig r;
	unsigned i;

	rig_init(&r, steps, N(steps));
	r.conf.ncpus = 64;
	if (!rig_start(&r))
		return;
	CHECK_EQ(r.fake.nopen, 64);
	for (i = 0; i < 20; i++) {
		machine_pause(r.m);
		machine_unpause(r.m);
	}
	fake_go(&r.fake, 1);
	rig_until(&r, MACHINE_POWEROFF, 1);
	CHECK_EQ(r.events[MACHINE_RESET], 1);
	rig_fini(&r);
}

/* Keys: credit of one control, left-overs of the one before. */
static size_t take_max;
static char taken[64];

static size_t
take(void *ctx, const void *buf, size_t len)
{
	size_t n = len < take_max ? len : take_max;

	(void)ctx;
	memcpy(taken, buf, n < sizeof(taken) ? n : sizeof(taken));
	return (n);
}

static void
t_console(void)
{
	static uint8_t big[VM_INPUT_BYTES];
	static struct console c;
	struct err e;

	REQUIRE(vmcons_open(&c, 100000, &e) == 0);
	CHECK_EQ(c.size, 131072);
	CHECK(fcntl(c.ring_fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
	CHECK(!(fcntl(c.page_fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE));
	CHECK_EQ(vmcons_keys(&c, "abc", 3), 0);
	take_max = 2;
	CHECK_EQ(vmcons_pump(&c, take, NULL), 0); /* not worth a message */
	vmcons_new_control(&c);                   /* "c" is not of its credit */
	CHECK_EQ(vmcons_keys(&c, big, sizeof(big)), 0);
	CHECK_EQ(vmcons_keys(&c, "x", 1), -1);
	CHECK_EQ(vmcons_pump(&c, take, NULL), 0);
	CHECK_EQ(taken[0], 'c');
	take_max = CONS_INPUT_BYTES / 4 - 2;
	CHECK_EQ(vmcons_pump(&c, take, NULL), 0);
	take_max = 1;
	CHECK_EQ(vmcons_pump(&c, take, NULL), CONS_INPUT_BYTES / 4);
	CHECK_EQ(vmcons_pump(&c, take, NULL), 0);
	vmcons_new_control(&c);
	CHECK_EQ(vmcons_keys(&c, big, sizeof(big)), 0);
	vmcons_new_control(&c); /* and one more who is never read */
	CHECK_EQ(vmcons_keys(&c, "d", 1), 0);
	CHECK_EQ(c.len, VM_INPUT_BYTES + 1);
	take_max = ~(size_t)0;
	CHECK_EQ(vmcons_pump(&c, take, NULL), 1);
	CHECK_EQ(c.len, 0);
	CHECK_EQ(vmcons_pump(&c, take, NULL), 0);
	vmcons_close(&c);
}

/* mov dx,0x3f8; mov al,'K'; out dx,al; mov dx,0x604; mov ax,0x3400; out dx,ax */
static const uint8_t kvm_code[] = { 0xba, 0xf8, 0x03, 0xb0, 'K', 0xee, 0xba,
	0x04, 0x06, 0xb8, 0x00, 0x34, 0xef, 0xf4 };

static int
kvm_load(void *ctx, struct mem *mem, struct hv_regs *r, struct err *e)
{
	struct hv_seg code = {
		.limit = 0xffff, .type = 11, .s = 1, .present = 1
	};
	struct hv_seg data = {
		.limit = 0xffff, .type = 3, .s = 1, .present = 1
	};
	struct hv_seg tr = { .limit = 0xffff, .type = 11, .present = 1 };
	struct rig *rig = ctx;

	(void)e;
	/* The first life resets the machine: mov al,6; out 0xcf9 by dx */
	static const uint8_t again[] = { 0xba, 0xf9, 0x0c, 0xb0, 6, 0xee,
		0xf4 };
	if (rig->loads++ == 0)
		mem_write(mem, 0x1000, again, sizeof(again));
	else
		mem_write(mem, 0x1000, kvm_code, sizeof(kvm_code));
	*r = (struct hv_regs){
		.rip = 0x1000,
		.rsp = 0x8000,
		.cr0 = 0x10,
		.cs = code,
		.ds = data,
		.ss = data,
		.tr = tr,
		.idt_limit = 0x3ff,
	};
	return (0);
}

static void
t_kvm(void)
{
	struct machine_ops ops = rig_ops;
	static struct rig r;
	int fd;

	if ((fd = open("/dev/kvm", O_RDWR | O_CLOEXEC)) == -1) {
		tap_skip("/dev/kvm cannot be opened");
		return;
	}
	ops.load = kvm_load;
	rig_init(&r, NULL, 0);
	r.conf.hv = &hv_kvm;
	r.conf.kvm_fd = fd;
	r.conf.ncpus = 2;
	r.conf.ops = &ops;
	if (!rig_start(&r))
		return;
	close(fd);
	rig_until(&r, MACHINE_POWEROFF, 1);
	CHECK_EQ(r.events[MACHINE_RESET], 1);
	CHECK_EQ(r.nout, 1);
	CHECK_EQ(r.out[0], 'K');
	CHECK(machine_steps(r.m)[STEP_KVM] > 0);
	rig_fini(&r);
}

static const struct tap_case cases[] = {
	{ "T37 vm: exits reach devices, figures count them", t_exits },
	{ "vm: power-off ends it at once", t_poweroff },
	{ "vm: reset starts over in place", t_reset },
	{ "T76 vm: a restart storm is given up", t_storm },
	{ "T76 vm: every end has words", t_errors },
	{ "vm: a start that fails leaves nothing", t_open_fails },
	{ "vm: a reset that fails says so", t_reset_fails },
	{ "vm: pause, reset in it, unpause", t_pause },
	{ "vm: keys wait for the UART", t_keys },
	{ "vm: 64 vCPUs", t_many },
	{ "vm: console seals, credit of two controls", t_console },
	{ "vm: reset and power-off on /dev/kvm", t_kvm },
};
TAP_MAIN(cases)
