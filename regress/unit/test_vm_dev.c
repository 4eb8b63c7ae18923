/* SPDX-License-Identifier: ISC */
/*
 * A machine with a device that another process serves, on the fake hypervisor:
 * its vCPUs do what a driver does, and what none should.
 */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dev/virtio_pci.h"
#include "daemon/hv/fake.h"
#include "daemon/vm/machine.h"
#include "regress/lib/backthread.h"
#include "regress/lib/tap.h"

#define MIB (1ull << 20)
/* Slot 2's BARs, and where the rings are. */
#define IO 0xc040u
#define MEM 0xe0002000u
#define TABLE (MEM + 0x1000)
#define CFG 0x80001000u
#define DESC 0x10000u
#define AVAIL 0x11000u
#define USED 0x12000u
#define DATA 0x13000u
#define SIZE 64
#define CPUS 4

struct script {
	struct fake_step *step;
	uint32_t *val;
	size_t n, room;
};

struct rig {
	struct event_base *base;
	struct machine *m;
	struct machine_conf conf;
	struct machine_dev_conf dev;
	struct backthread t;
	struct fake fake;
	struct script script[CPUS];
	struct mem *mem;
	unsigned told[MACH_DEV_EVENTS], resets, loads;
	struct err why;
	uint16_t avail;
};

static atomic_bool hard;
static atomic_uint served;

static void
fill_kick(struct vio *v, struct vq *q)
{
	struct vq_chain c;
	struct err e;
	int r;

	while ((r = vq_pop(q, &c)) == 1) {
		if (hard) {
			err_set(&e, ENOSPC, "no room");
			v->carrier->stuck(v, q, &e);
			return;
		}
		if (c.nin > 0)
			memset(c.in[0].iov_base, 0x5a, c.in[0].iov_len);
		vq_push(q, &c, c.in_bytes);
		atomic_fetch_add(&served, 1);
	}
	if (r == -1)
		v->carrier->needs_reset(v);
}

static const uint16_t fill_queues[] = { 64, 64 };
static const struct vio_ops fill_ops = {
	.name = "fill",
	.spec = "none",
	.queue_max = fill_queues,
	.id = 63,
	.nqueues = 2,
	.version = 1,
	.kick = fill_kick,
};

/* ---- Scripts ---------------------------------------------------------------- */

static void
push(struct script *s, bool mmio, uint64_t addr, uint8_t len, uint32_t v)
{
	if (s->n == s->room) {
		s->room = s->room * 2 + 64;
		s->step = realloc(s->step, s->room * sizeof(*s->step));
		s->val = realloc(s->val, s->room * sizeof(*s->val));
	}
	s->val[s->n] = v;
	s->step[s->n++] = (struct fake_step){
		.why = mmio ? HV_MMIO : HV_IO,
		.write = true,
		.addr = addr,
		.len_bytes = len,
	};
}

static void
push_hold(struct script *s, bool mmio, uint64_t addr, uint8_t len, uint32_t v)
{
	push(s, mmio, addr, len, v);
	s->step[s->n - 1].hold = true;
}

static void
status(struct script *s, uint8_t v)
{
	push(s, true, MEM + 0x14, 1, v);
}

static void
msix(struct script *s)
{
	unsigned i;

	for (i = 0; i < 3; i++) {
		push(s, true, TABLE + 16 * i, 4, 0xfee00000);
		push(s, true, TABLE + 16 * i + 8, 4, 0x40 + i);
		push(s, true, TABLE + 16 * i + 12, 4, 0);
	}
	push(s, false, 0xcf8, 4, CFG | 0x40);
	push(s, false, 0xcfe, 2, 0x8000);
}

static void
driver(struct script *s)
{
	status(s, 0);
	status(s, 1);
	status(s, 3);
	push(s, true, MEM + 0x08, 4, 1);
	push(s, true, MEM + 0x0c, 4, 1);
	status(s, 11);
	push(s, true, MEM + 0x16, 2, 0);
	push(s, true, MEM + 0x18, 2, SIZE);
	push(s, true, MEM + 0x1a, 2, 1);
	push(s, true, MEM + 0x20, 4, DESC);
	push(s, true, MEM + 0x28, 4, AVAIL);
	push(s, true, MEM + 0x30, 4, USED);
	push(s, true, MEM + 0x1c, 2, 1);
	status(s, 15);
}

/* ---- The machine ------------------------------------------------------------ */

static int
rig_load(void *ctx, struct mem *mem, struct hv_regs *regs, struct err *e)
{
	struct rig *r = ctx;

	(void)regs;
	(void)e;
	r->mem = mem;
	r->loads++;
	return (0);
}

static void
rig_event(
    void *ctx, enum machine_event what, uint32_t arg, const struct err *why)
{
	struct rig *r = ctx;

	(void)arg;
	if (what == MACHINE_RESET)
		r->resets++;
	if (what == MACHINE_FAILED)
		tap_fail(__FILE__, __LINE__, "%s", why->text);
}

static void
rig_dev(
    void *ctx, unsigned index, enum mach_dev_event what, const struct err *why)
{
	struct rig *r = ctx;

	CHECK_EQ(index, 0);
	r->told[what]++;
	r->why = *why;
}

static void
rig_console(void *ctx, const void *buf, size_t len)
{
	(void)ctx;
	(void)buf;
	(void)len;
}

static void
rig_room(void *ctx)
{
	(void)ctx;
}

static const struct machine_ops rig_ops = {
	.load = rig_load,
	.event = rig_event,
	.dev = rig_dev,
	.console = rig_console,
	.console_room = rig_room,
};

static void
rig_open(struct rig *r, unsigned ncpus)
{
	struct err e;
	unsigned i, j;

	hard = false;
	served = 0;
	backthread_open(&r->t, &fill_ops, NULL, NULL, 0);
	r->base = event_base_new();
	fake_init(&r->fake);
	fake_use(&r->fake);
	for (i = 0; i < ncpus; i++) {
		for (j = 0; j < r->script[i].n; j++)
			r->script[i].step[j].data = &r->script[i].val[j];
		r->fake.script[i].step = r->script[i].step;
		r->fake.script[i].nsteps = r->script[i].n;
	}
	r->dev = (struct machine_dev_conf){
		.name = "fill0", .vio = &r->t.proxy, .conf = r->t.vio
	};
	r->conf = (struct machine_conf){
		.name = "t",
		.hv = &hv_fake,
		.kvm_fd = -1,
		.ncpus = ncpus,
		.mem_bytes = 2 * MIB,
		.base = r->base,
		.ops = &rig_ops,
		.ctx = r,
		.devs = &r->dev,
		.ndevs = 1,
	};
	if (machine_open(&r->m, &r->conf, &e) == -1 ||
	    machine_start(r->m, &e) == -1) {
		tap_fail(__FILE__, __LINE__, "%s", e.text);
		abort();
	}
}

static void
rig_close(struct rig *r)
{
	unsigned i;

	machine_close(r->m);
	CHECK_EQ(r->fake.neventfds, 0);
	(void)backthread_join(&r->t);
	vhu_back_free(r->t.b);
	fake_fini(&r->fake);
	event_base_free(r->base);
	for (i = 0; i < CPUS; i++) {
		free(r->script[i].step);
		free(r->script[i].val);
	}
	memset(r, 0, sizeof(*r));
}

static void
turn(struct rig *r)
{
	event_base_loop(r->base, EVLOOP_NONBLOCK);
	(void)poll(NULL, 0, 1);
}

#define UNTIL(r, cond)                                                         \
	do {                                                                   \
		unsigned i_;                                                   \
                                                                               \
		for (i_ = 0; i_ < 20000 && !(cond); i_++)                      \
			turn(r);                                               \
		CHECK(cond);                                                   \
	} while (0)

static uint16_t
used(struct rig *r)
{
	uint16_t n = 0;

	mem_read(r->mem, USED + 2, &n, 2);
	return (n);
}

/* One more request in the ring: a vCPU's next step is the kick. */
static void
request(struct rig *r)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { DATA, 16, 2, 0 };

	mem_write(r->mem, DESC, &d, sizeof(d));
	r->avail++;
	mem_write(r->mem, AVAIL + 2, &r->avail, 2);
}

/* Kick, eventfd, back end, eventfd, message: no exit in between. */
static void
t_path(void)
{
	static struct rig r;
	unsigned i;

	msix(&r.script[0]);
	driver(&r.script[0]);
	for (i = 0; i < 3; i++)
		push_hold(&r.script[0], false, IO, 2, 0);
	rig_open(&r, 1);
	UNTIL(&r, r.fake.neventfds == 2); /* one of each */
	for (i = 1; i <= 3; i++) {
		request(&r);
		fake_go(&r.fake, 1);
		UNTIL(&r, used(&r) == i);
		UNTIL(&r, fake_irqs(&r.fake) > 0 || r.fake.nmsis == i);
		CHECK_EQ(r.fake.last_data, 0x41);
	}
	CHECK(r.fake.nkicked > 0); /* an idle one's first makes an exit */
	CHECK_EQ(r.fake.nroutes, 1);
	rig_close(&r);
}

/* Paused, nothing is done; what came meanwhile is done after it. */
static void
t_pause(void)
{
	static struct rig r;
	struct err e;

	driver(&r.script[0]);
	push_hold(&r.script[0], false, IO, 2, 0);
	rig_open(&r, 1);
	UNTIL(&r, r.fake.neventfds == 1);
	machine_pause(r.m);
	request(&r);
	machine_unpause(r.m);
	UNTIL(&r, used(&r) == 1);
	machine_pause(r.m);
	CHECK_EQ(machine_reset(r.m, &e), 0);
	CHECK_EQ(used(&r), 0);
	CHECK_EQ(r.fake.neventfds, 0);
	machine_unpause(r.m);
	rig_close(&r);
}

/* The host is full: paused with words, and again until it is not. */
static void
t_stuck(void)
{
	static struct rig r;

	driver(&r.script[0]);
	push_hold(&r.script[0], false, IO, 2, 0);
	rig_open(&r, 1);
	UNTIL(&r, r.fake.neventfds == 1);
	hard = true;
	request(&r);
	fake_go(&r.fake, 1);
	UNTIL(&r, r.told[MACH_DEV_STUCK] == 1);
	CHECK(machine_paused(r.m));
	CHECK_STR(r.why.text, "no room");
	machine_unpause(r.m);
	UNTIL(&r, r.told[MACH_DEV_STUCK] == 2);
	CHECK(machine_paused(r.m));
	hard = false;
	machine_unpause(r.m);
	UNTIL(&r, used(&r) == 1);
	CHECK(!machine_paused(r.m));
	rig_close(&r);
}

/* It dies with a request in flight, and the next one does it. */
static void
t_replace(void)
{
	static struct rig r;
	unsigned round;
	struct err e;
	int none = -1;

	driver(&r.script[0]);
	for (round = 0; round < 10; round++)
		push_hold(&r.script[0], false, IO, 2, 0);
	rig_open(&r, 1);
	UNTIL(&r, r.fake.neventfds == 1);
	for (round = 1; round <= 10; round++) {
		hard = true;
		request(&r);
		fake_go(&r.fake, 1);
		UNTIL(&r, r.told[MACH_DEV_STUCK] == round);
		backthread_kill(&r.t);
		UNTIL(&r, r.told[MACH_DEV_LOST] == round);
		(void)backthread_join(&r.t);
		hard = false;
		backthread_again(&r.t);
		CHECK_EQ(machine_dev_replace(r.m, 0, &r.t.sock, &e), 0);
		machine_unpause(r.m);
		UNTIL(&r, used(&r) == round);
		UNTIL(&r, r.told[MACH_DEV_OK] == round);
	}
	CHECK_EQ(machine_dev_replace(r.m, 1, &none, &e), -1);
	rig_close(&r);
}

/* How what was there before a reset goes on, in the tests of this. */
enum clears { BY_WORD, BY_REPLACEMENT, BY_TIME };

/*
 * T13: guest memory is not cleared, and no guest runs, while a process that is
 * lost may write there.
 */
static void
reset_waits(enum clears how)
{
	static struct rig r;
	uint64_t mark = 0x5a5a5a5a5a5a5a5a, got;
	unsigned i, loads;
	struct err e;

	driver(&r.script[0]);
	push_hold(&r.script[0], false, IO, 2, 0);
	rig_open(&r, 1);
	UNTIL(&r, r.fake.neventfds == 1);
	mem_write(r.mem, DATA, &mark, sizeof(mark));
	backthread_kill(&r.t);
	UNTIL(&r, r.told[MACH_DEV_LOST] == 1);
	CHECK_EQ(machine_reset(r.m, &e), 0);
	for (i = 0; i < 20; i++) {
		turn(&r);
		/* What a person may ask for meanwhile changes nothing. */
		machine_pause(r.m);
		machine_unpause(r.m);
	}
	mem_read(r.mem, DATA, &got, sizeof(got));
	loads = r.loads;
	if (virtio_pci_lingers(machine_dev(r.m, 0)) > 0) { /* no slow host */
		CHECK_EQ(got, mark);
		CHECK_EQ(loads, 1);
	}
	(void)backthread_join(&r.t);
	backthread_again(&r.t);
	if (how == BY_WORD)
		machine_dev_gone(r.m, 0);
	else if (how == BY_REPLACEMENT)
		CHECK_EQ(machine_dev_replace(r.m, 0, &r.t.sock, &e), 0);
	UNTIL(&r, r.loads == 2);
	mem_read(r.mem, DATA, &got, sizeof(got));
	CHECK_EQ(got, 0);
	CHECK_EQ(machine_restarts(r.m), 1);
	if (how != BY_REPLACEMENT)
		CHECK_EQ(machine_dev_replace(r.m, 0, &r.t.sock, &e), 0);
	rig_close(&r);
}

static void
t_reset_waits(void)
{
	reset_waits(BY_WORD);
	reset_waits(BY_REPLACEMENT);
	reset_waits(BY_TIME);
}

/* As many as there may be; those past the pins have messages only. */
static void
t_many(void)
{
	static struct machine_dev_conf devs[MACHINE_DEVS_MAX + 1];
	static struct rig r;
	struct machine_conf conf;
	const struct dev *d;
	struct machine *m;
	struct err e;
	unsigned i;

	rig_open(&r, 1);
	fake_use(&r.fake);
	for (i = 0; i <= MACHINE_DEVS_MAX; i++)
		devs[i].vio = &fill_ops;
	conf = r.conf;
	conf.devs = devs;
	conf.ndevs = MACHINE_DEVS_MAX + 1;
	CHECK_EQ(machine_open(&m, &conf, &e), -1);
	conf.ndevs = MACHINE_DEVS_MAX;
	if (machine_open(&m, &conf, &e) == -1) {
		tap_fail(__FILE__, __LINE__, "%s", e.text);
		return;
	}
	for (i = 0; i < MACHINE_DEVS_MAX; i++) {
		d = machine_dev(m, i);
		CHECK_EQ(d->gsi, i < 7 ? 17 + i : DEV_NO_GSI);
		CHECK_EQ(((struct vpci *)d->state)->fn.bar[0],
		    0xc000 + 0x40 * (i + 1));
	}
	CHECK(machine_dev(m, MACHINE_DEVS_MAX) == NULL);
	machine_close(m);
	rig_close(&r);
}

/* T18: vCPUs that reset, mask, move and kick what another is setting up. */
static uint32_t seed = 1;

static uint32_t
rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8);
}

static void
anything(struct script *s)
{
	switch (rnd() % 8) {
	case 0:
		driver(s);
		break;
	case 1:
		status(s, rnd() & 15);
		break;
	case 2:
		push(s, true, TABLE + 16 * (rnd() % 3) + 12, 4, rnd() & 1);
		break;
	case 3:
		push(s, true, TABLE + 16 * (rnd() % 3) + 8, 4, rnd() & 0xff);
		break;
	case 4:
		push(s, false, 0xcf8, 4, CFG | 0x10);
		push(s, false, 0xcfc, 4, IO + 0x40 * (rnd() % 3));
		break;
	case 5:
		push(s, false, 0xcf8, 4, CFG | 0x40);
		push(s, false, 0xcfe, 2, rnd() & 0xc000);
		break;
	default:
		push(s, false, IO + 2 * (rnd() % 3), 2, 0);
		break;
	}
}

static void
t_race(void)
{
	static struct rig r;
	struct machine *m;
	unsigned i, j, round, done = 0;
	struct err e;

	for (i = 0; i < CPUS; i++)
		for (j = 0; j < 150; j++)
			anything(&r.script[i]);
	rig_open(&r, CPUS);
	m = r.m;
	for (round = 0; round < 20000 && done < CPUS; round++) {
		request(&r);
		if (round % 16 == 3) {
			machine_pause(m);
			machine_unpause(m);
		}
		if (round == 40) {
			backthread_kill(&r.t);
			(void)backthread_join(&r.t);
			backthread_again(&r.t);
			CHECK_EQ(machine_dev_replace(m, 0, &r.t.sock, &e), 0);
		}
		(void)fake_irqs(&r.fake);
		turn(&r);
		pthread_mutex_lock(&r.fake.lock);
		done = r.fake.ndone;
		pthread_mutex_unlock(&r.fake.lock);
	}
	CHECK_EQ(done, CPUS);
	for (i = 0; i < 3; i++)
		turn(&r);
	rig_close(&r);
}

static const struct tap_case cases[] = {
	{ "vm: kick to message by eventfds alone", t_path },
	{ "vm: a device stands in a pause and in a reset", t_pause },
	{ "vm: paused when a device is stuck, and tried again", t_stuck },
	{ "vm: a device's process is replaced ten times", t_replace },
	{ "T13 vm: a reset waits for a process that dies", t_reset_waits },
	{ "vm: sixteen devices, and not one more", t_many },
	{ "T18 vm: four vCPUs, one device, no order", t_race },
};
TAP_MAIN(cases)
