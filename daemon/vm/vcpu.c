/* SPDX-License-Identifier: ISC */
/*
 * vCPU threads: run, answer the exit from the bus, stand still when told to.
 * Runs in: vm process, threads vcpu-N.  Trusts: nobody; the guest picks every
 * address and length.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "daemon/vm/machine_int.h"
#include "shared/clock.h"

/* Room for a device's access and a log line; sanitizers want more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VCPU_STACK_BYTES (1024 << 10)
#else
#define VCPU_STACK_BYTES (64 << 10)
#endif

static bool
must_park(struct machine *m)
{
	return (atomic_load(&m->hold) || atomic_load(&m->requests) != 0);
}

/* Stand until let go: true; false: the machine is closed. */
static bool
vcpu_park(struct vcpu *v)
{
	struct machine *m = v->m;
	bool quit;

	m->conf.hv->settle(v->hv);
	pthread_mutex_lock(&m->lock);
	m->nparked++;
	pthread_cond_signal(&m->parked_cond);
	while (must_park(m) && !m->quit)
		pthread_cond_wait(&m->go_cond, &m->lock);
	m->nparked--;
	quit = m->quit;
	pthread_mutex_unlock(&m->lock);
	return (!quit);
}

/* One writer: no need of a locked add. */
static void
vcpu_count(struct vcpu *v, enum exit_kind kind)
{
	_Atomic uint64_t *c = &v->figures->exits[kind];

	atomic_store_explicit(c,
	    atomic_load_explicit(c, memory_order_relaxed) + 1,
	    memory_order_relaxed);
}

static void
vcpu_io(struct bus *bus, const struct hv_exit *x)
{
	uint8_t *p = x->data;
	uint32_t i;

	for (i = 0; i < x->count; i++, p += x->len_bytes)
		bus_rw(bus, x->addr, p, x->len_bytes, x->write);
}

static void
vcpu_error(struct vcpu *v, const struct err *e)
{
	struct machine *m = v->m;

	vcpu_count(v, EXIT_ERROR);
	pthread_mutex_lock(&m->lock);
	if (m->why.code == 0)
		m->why = *e;
	pthread_mutex_unlock(&m->lock);
	machine_request(m, REQ_ERROR);
}

/* Linux, include/uapi/linux/kvm.h: KVM_SYSTEM_EVENT_*. */
static void
vcpu_system(struct vcpu *v, uint32_t system)
{
	struct err e;

	vcpu_count(v, EXIT_SYSTEM);
	switch (system) {
	case 1:
		machine_request(v->m, REQ_POWEROFF);
		break;
	case 2:
		machine_request(v->m, REQ_RESET);
		break;
	default:
		err_set(&e, ENOTSUP, "vCPU %u: system event %u%s, RIP 0x%llx",
		    v->id, system, system == 3 ? " (the guest crashed)" : "",
		    (unsigned long long)v->m->conf.hv->rip(v->hv));
		vcpu_error(v, &e);
		break;
	}
}

static void
vcpu_exit(struct vcpu *v, struct hv_exit *x)
{
	struct err e;

	switch (x->why) {
	case HV_IO:
		vcpu_count(v, x->write ? EXIT_PIO_OUT : EXIT_PIO_IN);
		vcpu_io(v->m->mach.pio, x);
		break;
	case HV_MMIO:
		vcpu_count(v, x->write ? EXIT_MMIO_WRITE : EXIT_MMIO_READ);
		vcpu_io(v->m->mach.mmio, x);
		break;
	case HV_INTR:
		vcpu_count(v, EXIT_INTR);
		break;
	case HV_SHUTDOWN:
		vcpu_count(v, EXIT_SHUTDOWN);
		machine_request(v->m, REQ_TRIPLE);
		break;
	case HV_SYSTEM:
		vcpu_system(v, x->system);
		break;
	case HV_ERROR:
		vcpu_error(v, &x->err);
		break;
	case HV_HLT:
	default:
		vcpu_count(v, x->why == HV_HLT ? EXIT_HLT : EXIT_OTHER);
		err_set(&e, ENOTSUP,
		    "vCPU %u: exit %u with no irqchip here "
		    "to wake it, RIP 0x%llx",
		    v->id, (unsigned)x->why,
		    (unsigned long long)v->m->conf.hv->rip(v->hv));
		vcpu_error(v, &e);
		break;
	}
}

static void
vcpu_first_run(struct vcpu *v)
{
	struct machine *m = v->m;

	if (v->id != 0 || atomic_load(&m->first_run))
		return;
	atomic_store(&m->first_run, true);
	atomic_store(&m->first_run_ns, clock_now_ns());
	machine_note(m, NOTE_STARTED);
}

static void
vcpu_loop(struct vcpu *v)
{
	struct hv_exit x;
	struct err e;

	memset(&x, 0, sizeof(x));
	for (;;) {
		if (must_park(v->m)) {
			if (!vcpu_park(v))
				return;
			continue;
		}
		vcpu_first_run(v);
		if (v->m->conf.hv->run(v->hv, &x) == -1) {
			err_errno(&e, "vCPU %u cannot run", v->id);
			vcpu_error(v, &e);
			continue;
		}
		vcpu_exit(v, &x);
	}
}

/* The vCPU belongs to the thread that runs it; then its filter. */
static int
vcpu_init(struct vcpu *v, struct err *e)
{
	struct machine *m = v->m;
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "vcpu-%u", v->id);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&m->lock);
	rc = m->conf.hv->vcpu_open(&v->hv, m->hv, v->id, e);
	pthread_mutex_unlock(&m->lock);
	if (rc == -1)
		return (-1);
	if (m->conf.ops->thread != NULL)
		return (m->conf.ops->thread(m->conf.ctx, v->id, e));
	return (0);
}

static void *
vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	struct machine *m = v->m;
	struct err e;

	if (vcpu_init(v, &e) == 0) {
		vcpu_loop(v);
		return (NULL);
	}
	pthread_mutex_lock(&m->lock);
	m->why = e;
	m->open_failed = true;
	pthread_cond_signal(&m->parked_cond);
	pthread_mutex_unlock(&m->lock);
	return (NULL);
}

static int
vcpu_start(struct vcpu *v, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK_BYTES);
	rc = pthread_create(&v->thread, &attr, vcpu_main, v);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return (err_set(e, rc, "cannot start the thread of vCPU %u: %s",
		    v->id, strerror(rc)));
	v->started = true;
	return (0);
}

/* They park at once, since hold is set. */
int
vcpus_open(struct machine *m, struct err *e)
{
	bool failed;
	unsigned i;

	for (i = 0; i < m->conf.ncpus; i++) {
		m->vcpu[i].m = m;
		m->vcpu[i].id = i;
		m->vcpu[i].figures = &m->conf.figures->vcpu[i];
		if (vcpu_start(&m->vcpu[i], e) == -1)
			return (-1);
	}
	pthread_mutex_lock(&m->lock);
	while (m->nparked < m->conf.ncpus && !m->open_failed)
		pthread_cond_wait(&m->parked_cond, &m->lock);
	failed = m->open_failed;
	if (failed)
		*e = m->why;
	pthread_mutex_unlock(&m->lock);
	return (failed ? -1 : 0);
}

void
vcpus_close(struct machine *m)
{
	unsigned i;

	pthread_mutex_lock(&m->lock);
	m->quit = true;
	atomic_store(&m->hold, true);
	pthread_cond_broadcast(&m->go_cond);
	for (i = 0; i < m->conf.ncpus; i++)
		if (m->vcpu[i].hv != NULL)
			m->conf.hv->kick(m->vcpu[i].hv);
	pthread_mutex_unlock(&m->lock);
	for (i = 0; i < m->conf.ncpus; i++) {
		if (m->vcpu[i].started)
			pthread_join(m->vcpu[i].thread, NULL);
		if (m->vcpu[i].hv != NULL)
			m->conf.hv->vcpu_close(m->vcpu[i].hv);
	}
}

void
vcpus_hold(struct machine *m)
{
	unsigned i;

	pthread_mutex_lock(&m->lock);
	if (!atomic_exchange(&m->hold, true))
		for (i = 0; i < m->conf.ncpus; i++)
			m->conf.hv->kick(m->vcpu[i].hv);
	while (m->nparked < m->conf.ncpus)
		pthread_cond_wait(&m->parked_cond, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

void
vcpus_release(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	atomic_store(&m->hold, false);
	pthread_cond_broadcast(&m->go_cond);
	pthread_mutex_unlock(&m->lock);
}
