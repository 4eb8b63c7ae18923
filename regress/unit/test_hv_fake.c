/* SPDX-License-Identifier: ISC */
/* hv_fake does what its script says: other tests stand on that. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/hv/fake.h"
#include "regress/lib/tap.h"

struct rig {
	struct fake f;
	struct hv_vm *vm;
	struct hv_vcpu *v;
	struct hv_exit x;
};

static void
rig_open(struct rig *r, const struct fake_step *steps, size_t n)
{
	struct hv_vm_conf c = { .ncpus = 1 };
	struct err e;

	memset(r, 0, sizeof(*r));
	fake_init(&r->f);
	fake_use(&r->f);
	r->f.script[0].step = steps;
	r->f.script[0].nsteps = n;
	CHECK_EQ(hv_fake.vm_open(&r->vm, &c, &e), 0);
	CHECK_EQ(hv_fake.vcpu_open(&r->v, r->vm, 0, &e), 0);
}

static void
rig_close(struct rig *r)
{
	hv_fake.vcpu_close(r->v);
	hv_fake.vm_close(r->vm);
	CHECK_EQ(r->f.nopen, 0);
	fake_fini(&r->f);
}

static void
t_script(void)
{
	static const struct fake_step steps[] = {
		{ .why = HV_IO,
		    .write = true,
		    .addr = 0x80,
		    .len_bytes = 2,
		    .count = 2,
		    .data = "abcd" },
		{ .why = HV_IO, .addr = 0x81, .len_bytes = 1, .data = "x" },
		{ .why = HV_IO, .addr = 0x82, .len_bytes = 1, .data = "y" },
		{ .why = HV_ERROR, .text = "words" },
		{ .fail_errno = ENOMEM },
	};
	struct rig r;

	rig_open(&r, steps, 5);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.x.addr, 0x80);
	CHECK_EQ(r.x.count, 2);
	CHECK(memcmp(r.x.data, "abcd", 4) == 0);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	memcpy(r.x.data, "x", 1);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.f.wrong, 0);
	memcpy(r.x.data, "z", 1); /* not what it must get */
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.f.wrong, 1);
	CHECK_EQ(r.f.wrong_addr, 0x82);
	CHECK_EQ(r.x.why, HV_ERROR);
	CHECK_STR(r.x.err.text, "words");
	CHECK_EQ(hv_fake.run(r.v, &r.x), -1);
	CHECK_EQ(errno, ENOMEM);
	rig_close(&r);
}

static void *
kicker(void *arg)
{
	struct rig *r = arg;

	fake_wait_done(&r->f, 1);
	hv_fake.kick(r->v);
	return (NULL);
}

/* Like a halted guest: asleep at the end, awake for a kick, early or late. */
static void
t_kick(void)
{
	struct rig r;
	pthread_t t;

	rig_open(&r, NULL, 0);
	hv_fake.kick(r.v);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.x.why, HV_INTR);
	REQUIRE(pthread_create(&t, NULL, kicker, &r) == 0);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.x.why, HV_INTR);
	pthread_join(t, NULL);
	CHECK_EQ(r.f.nkicks, 2);
	rig_close(&r);
}

/* What devices in other processes need: as in test_hv_kvm. */
static void
t_eventfds(void)
{
	static const struct fake_step steps[] = {
		{ .why = HV_IO,
		    .write = true,
		    .addr = 0xc002,
		    .len_bytes = 2,
		    .data = "ab" },
		{ .why = HV_IO,
		    .write = true,
		    .addr = 0xc002,
		    .len_bytes = 1,
		    .data = "c" },
	};
	struct hv_route route = { .gsi = 30, .data = 0x41 };
	int io = eventfd(0, EFD_NONBLOCK), irq = eventfd(0, EFD_NONBLOCK);
	uint64_t n = 0;
	struct rig r;

	rig_open(&r, steps, 2);
	CHECK_EQ(hv_fake.ioeventfd(r.vm, io, false, 0xc002, 2, NULL, true), 0);
	CHECK_EQ(
	    hv_fake.ioeventfd(r.vm, irq, false, 0xc002, 2, NULL, true), -1);
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.x.why, HV_INTR);
	CHECK_EQ(read(io, &n, sizeof(n)), sizeof(n));
	CHECK_EQ(hv_fake.run(r.v, &r.x), 0);
	CHECK_EQ(r.x.why, HV_IO);
	CHECK_EQ(r.f.nkicked, 1);
	CHECK_EQ(hv_fake.routes(r.vm, &route, 1), 0);
	CHECK_EQ(hv_fake.irqfd(r.vm, irq, 30, true), 0);
	CHECK_EQ(write(irq, &n, sizeof(n)), sizeof(n));
	CHECK_EQ(fake_irqs(&r.f), 1);
	CHECK_EQ(fake_irqs(&r.f), 0);
	CHECK_EQ(r.f.last_data, 0x41);
	CHECK_EQ(r.f.neventfds, 2);
	CHECK_EQ(hv_fake.irqfd(r.vm, irq, 30, false), 0);
	CHECK_EQ(hv_fake.irqfd(r.vm, irq, 30, false), -1);
	rig_close(&r);
	close(io);
	close(irq);
}

static const struct tap_case cases[] = {
	{ "fake: exits of the script, data both ways", t_script },
	{ "fake: eventfds of ports and of messages", t_eventfds },
	{ "fake: sleeps at its end until kicked", t_kick },
};
TAP_MAIN(cases)
