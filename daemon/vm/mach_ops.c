/* SPDX-License-Identifier: ISC */
/*
 * What devices may ask of their machine: interrupts, clocks, timers, events.
 * Runs in: vm process, vCPU threads and main thread.
 */
#include <string.h>
#include <time.h>

#include "daemon/vm/machine_int.h"

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

uint64_t
machine_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

static uint64_t
op_mono_ns(struct mach *mach)
{
	struct machine *m = mach->ctx;
	uint64_t frozen = atomic_load(&m->frozen_ns);

	if (frozen != 0)
		return (frozen);
	return (machine_now_ns() - atomic_load(&m->skew_ns));
}

/* While frozen the guest's clock shows one time; then it goes on from there. */
void
machine_clock_freeze(struct machine *m, bool freeze)
{
	uint64_t frozen = atomic_load(&m->frozen_ns);

	if (freeze && frozen == 0)
		atomic_store(&m->frozen_ns, op_mono_ns(&m->mach));
	else if (!freeze && frozen != 0) {
		atomic_store(&m->skew_ns, machine_now_ns() - frozen);
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
	unsigned i, slot = BOARD_DEVS;

	pthread_mutex_lock(&m->timer_lock);
	for (i = 0; i < BOARD_DEVS; i++) {
		if (m->timer[i].dev == dev) {
			slot = i;
			break;
		}
		if (m->timer[i].dev == NULL && slot == BOARD_DEVS)
			slot = i;
	}
	if (slot < BOARD_DEVS &&
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
	for (i = 0; i < BOARD_DEVS && d == NULL; i++)
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
	for (i = 0; i < BOARD_DEVS; i++)
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

const struct mach_ops machine_mach_ops = {
	.irq = op_irq,
	.msi = op_msi,
	.mono_ns = op_mono_ns,
	.wall_s = op_wall_s,
	.event = op_event,
	.console = op_console,
	.console_room = op_console_room,
	.timer = op_timer,
};
