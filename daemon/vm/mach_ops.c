/* SPDX-License-Identifier: ISC */
/*
 * What devices may ask of their machine: interrupts, clocks, timers, events.
 * Runs in: vm process, vCPU threads and main thread.
 */
#include <string.h>
#include <time.h>

#include "daemon/vm/machine_int.h"
#include "shared/clock.h"

static void
op_irq(struct mach *mach, unsigned gsi, bool level)
{
	struct machine *m = mach->ctx;

	(void)m->conf.hv->line(m->hv, gsi, level);
}

static void
op_msi(struct mach *mach, uint64_t addr, uint32_t data)
{
	struct machine *m = mach->ctx;

	(void)m->conf.hv->msi(m->hv, addr, data);
}

static uint64_t
op_mono_ns(struct mach *mach)
{
	struct machine *m = mach->ctx;
	uint64_t frozen = atomic_load(&m->frozen_ns);

	if (frozen != 0)
		return (frozen);
	return (clock_now_ns() - atomic_load(&m->skew_ns));
}

/* While frozen the guest's clock shows one time; then it goes on from there. */
void
machine_clock_freeze(struct machine *m, bool freeze)
{
	uint64_t frozen = atomic_load(&m->frozen_ns);

	if (freeze && frozen == 0)
		atomic_store(&m->frozen_ns, op_mono_ns(&m->mach));
	else if (!freeze && frozen != 0) {
		atomic_store(&m->skew_ns, clock_now_ns() - frozen);
		atomic_store(&m->frozen_ns, 0);
	}
}

static int64_t
op_wall_s(struct mach *mach)
{
	struct timespec t;

	(void)mach;
	clock_gettime(CLOCK_REALTIME, &t);
	return (t.tv_sec);
}

static void
op_event(struct mach *mach, enum mach_event what, uint32_t arg)
{
	struct machine *m = mach->ctx;

	switch (what) {
	case MACH_RESET:
		machine_request(m, REQ_RESET);
		break;
	case MACH_POWEROFF:
		machine_request(m, REQ_POWEROFF);
		break;
	case MACH_EXIT:
		atomic_store(&m->exit_code, arg);
		machine_request(m, REQ_EXIT);
		break;
	}
}

static void
op_console(struct mach *mach, const void *buf, size_t len)
{
	struct machine *m = mach->ctx;

	m->conf.ops->console(m->conf.ctx, buf, len);
	atomic_store_explicit(&m->conf.figures->console_bytes,
	    atomic_load_explicit(
		&m->conf.figures->console_bytes, memory_order_relaxed) +
		len,
	    memory_order_relaxed);
}

/* Only wake the main thread when keys are waiting there. */
static void
op_console_room(struct mach *mach, size_t taken_bytes)
{
	struct machine *m = mach->ctx;

	(void)taken_bytes;
	if (atomic_exchange(&m->input_waits, false))
		machine_note(m, NOTE_ROOM);
}

/* The device's lock is held: remember it, the main thread does the rest. */
static void
op_timer(struct mach *mach, struct dev *dev, uint64_t at_ns)
{
	struct machine *m = mach->ctx;
	bool changed = false;
	unsigned i, slot = MACHINE_ALL;

	pthread_mutex_lock(&m->timer_lock);
	for (i = 0; i < MACHINE_ALL; i++) {
		if (m->timer[i].dev == dev) {
			slot = i;
			break;
		}
		if (m->timer[i].dev == NULL && slot == MACHINE_ALL)
			slot = i;
	}
	if (slot < MACHINE_ALL &&
	    (m->timer[slot].dev == dev || at_ns != ~0ull)) {
		changed = m->timer[slot].at_ns != at_ns;
		m->timer[slot].dev = at_ns == ~0ull ? NULL : dev;
		m->timer[slot].at_ns = at_ns;
	}
	pthread_mutex_unlock(&m->timer_lock);
	if (changed)
		machine_note(m, NOTE_TIMER);
}

/* The next device that is due, taken out of the table; NULL: none. */
static struct dev *
timer_take(struct machine *m, uint64_t now)
{
	struct dev *d = NULL;
	unsigned i;

	pthread_mutex_lock(&m->timer_lock);
	for (i = 0; i < MACHINE_ALL && d == NULL; i++)
		if (m->timer[i].dev != NULL && m->timer[i].at_ns <= now) {
			d = m->timer[i].dev;
			m->timer[i].dev = NULL;
			m->timer[i].at_ns = ~0ull;
		}
	pthread_mutex_unlock(&m->timer_lock);
	return (d);
}

void
machine_timers_run(struct machine *m)
{
	uint64_t now = op_mono_ns(&m->mach);
	struct dev *d;

	while ((d = timer_take(m, now)) != NULL)
		dev_timer(d);
}

/* No timer, no wake-up; a paused machine's time stands still. */
void
machine_timers_arm(struct machine *m)
{
	uint64_t now, next = ~0ull;
	struct timeval tv;
	unsigned i;

	pthread_mutex_lock(&m->timer_lock);
	for (i = 0; i < MACHINE_ALL; i++)
		if (m->timer[i].dev != NULL && m->timer[i].at_ns < next)
			next = m->timer[i].at_ns;
	pthread_mutex_unlock(&m->timer_lock);
	if (next == ~0ull || m->paused || m->stopped) {
		evtimer_del(m->timer_ev);
		return;
	}
	now = op_mono_ns(&m->mach);
	next = next > now ? (next - now + 999) / 1000 : 0; /* us, rounded up */
	tv.tv_sec = (time_t)(next / 1000000);
	tv.tv_usec = (suseconds_t)(next % 1000000);
	evtimer_add(m->timer_ev, &tv);
}

/* Known only once it is open; then machine_devs_open() does it anyhow. */
static void
op_defer(struct mach *mach, struct dev *dev)
{
	struct machine *m = mach->ctx;
	unsigned i;

	for (i = 0; i < MACHINE_ALL; i++)
		if (m->dev[i] == dev) {
			atomic_fetch_or(&m->deferred, 1u << i);
			machine_request(m, REQ_DEVICE);
		}
}

static int
op_doorbell(struct mach *mach, int efd, uint16_t port, bool on)
{
	struct machine *m = mach->ctx;

	return (m->conf.hv->ioeventfd(m->hv, efd, false, port, 2, NULL, on));
}

static int
op_irqfd(struct mach *mach, int efd, unsigned gsi, bool on)
{
	struct machine *m = mach->ctx;

	return (m->conf.hv->irqfd(m->hv, efd, gsi, on));
}

/* Those of these GSIs go, the new ones come; the hypervisor wants all. */
static int
op_routes(
    struct mach *mach, unsigned gsi, const struct mach_msi *msi, unsigned n)
{
	struct machine *m = mach->ctx;
	struct hv_route *r = m->route;
	unsigned i, kept = 0;

	for (i = 0; i < m->nroutes; i++)
		if (r[i].gsi < gsi || r[i].gsi >= gsi + n)
			r[kept++] = r[i];
	for (i = 0; i < n && kept < HV_ROUTES_MAX; i++)
		if (msi[i].addr != 0 || msi[i].data != 0)
			r[kept++] = (struct hv_route){
				.gsi = gsi + i,
				.addr = msi[i].addr,
				.data = msi[i].data,
			};
	m->nroutes = kept;
	return (m->conf.hv->routes(m->hv, r, kept));
}

static void
on_watch(int fd, short what, void *arg)
{
	struct machine_watch *w = arg;

	(void)fd;
	(void)what;
	dev_ready(w->dev, w->which);
}

static void
op_watch(struct mach *mach, struct dev *dev, unsigned which, int fd, bool on)
{
	struct machine *m = mach->ctx;
	struct machine_watch *w;
	int i = machine_dev_index(m, dev);

	if (i == -1)
		return;
	w = &m->extra[i].watch[which];
	if (w->ev != NULL)
		event_free(w->ev);
	w->ev = NULL;
	if (!on)
		return;
	w->m = m;
	w->dev = dev;
	w->which = which;
	w->ev = event_new(m->conf.base, fd, EV_READ | EV_PERSIST, on_watch, w);
	if (w->ev != NULL)
		event_add(w->ev, NULL);
}

/* The device's lock is held: told in a turn of the loop. */
static void
op_dev_event(struct mach *mach, struct dev *dev, enum mach_dev_event what,
    const struct err *why)
{
	struct machine *m = mach->ctx;
	int i = machine_dev_index(m, dev);

	if (i == -1)
		return;
	err_clear(&m->extra[i].why[what]);
	if (why != NULL)
		m->extra[i].why[what] = *why;
	atomic_fetch_or(&m->extra[i].events, 1u << what);
	machine_note(m, NOTE_DEV);
}

const struct mach_ops machine_mach_ops = {
	.irq = op_irq,
	.msi = op_msi,
	.mono_ns = op_mono_ns,
	.wall_s = op_wall_s,
	.event = op_event,
	.console = op_console,
	.console_room = op_console_room,
	.timer = op_timer,
	.defer = op_defer,
	.doorbell = op_doorbell,
	.irqfd = op_irqfd,
	.routes = op_routes,
	.watch = op_watch,
	.dev_event = op_dev_event,
};
