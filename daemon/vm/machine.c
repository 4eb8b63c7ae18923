/* SPDX-License-Identifier: ISC */
/*
 * A virtual machine, from its parts: see machine.h.
 * Runs in: vm process, main thread.  Trusts: nobody.
 *
 * vCPU threads never decide anything: what a guest asks for beyond its devices
 * is a bit in requests and a turn of the event loop, with every vCPU standing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/vm/machine_int.h"
#include "shared/clock.h"

static void
machine_wake(struct machine *m)
{
	uint64_t one = 1;

	/* Fails only when the counter is full: then it is yet to be read. */
	if (write(m->wake_fd, &one, sizeof(one)) == -1)
		return;
}

void
machine_note(struct machine *m, enum machine_note what)
{
	if (!(atomic_fetch_or(&m->notes, what) & what))
		machine_wake(m);
}

void
machine_request(struct machine *m, enum machine_request what)
{
	if (!(atomic_fetch_or(&m->requests, what) & what))
		machine_wake(m);
}

void
machine_poke(struct machine *m)
{
	machine_note(m, NOTE_POKE);
}

static void
step_done(struct machine *m, enum start_step step, uint64_t *since_ns)
{
	uint64_t now = clock_now_ns();

	m->step_us[step] = (uint32_t)((now - *since_ns) / 1000);
	*since_ns = now;
}

static void
machine_event(struct machine *m, enum machine_event what, uint32_t arg,
    const struct err *why)
{
	m->conf.ops->event(m->conf.ctx, what, arg, why);
}

/* It stands and will not run again. */
static void
machine_end(struct machine *m, enum machine_event what, uint32_t arg,
    const struct err *why)
{
	m->stopped = true;
	machine_timers_arm(m);
	machine_event(m, what, arg, why);
}

static int
machine_load(struct machine *m, struct err *e)
{
	struct hv_regs entry;

	memset(&entry, 0, sizeof(entry));
	if (m->conf.ops->load(m->conf.ctx, &m->mem, &entry, e) == -1)
		return (-1);
	m->last_start_ns = clock_now_ns();
	return (m->conf.hv->boot(m->vcpu[0].hv, &entry, e));
}

/* Nobody but us writes to its memory. */
static int
machine_anew(struct machine *m, struct err *e)
{
	m->clearing = false;
	event_del(m->clear_ev);
	if (mem_clear(&m->mem, e) == -1 || m->conf.hv->reset(m->hv, e) == -1 ||
	    machine_load(m, e) == -1)
		return (err_prefix(e, "cannot restart the guest"));
	if (m->paused)
		m->conf.hv->hold(m->hv);
	return (0);
}

/*
 * As after power-on, but for the console, the clocks and who watches.  A device
 * whose process is lost may have a read under way that ends in guest memory, and
 * one that a guest has taken over may have closed its socket for no other
 * reason: first it has to be dead, as the parent says, or has its time.
 */
static int
machine_again(struct machine *m, struct err *e)
{
	struct timeval tv;
	uint64_t ns;
	unsigned i;

	for (i = 0; i < MACHINE_ALL; i++)
		if (m->dev[i] != NULL)
			dev_reset(m->dev[i]);
	machine_devs_sync(m);
	m->restarts++;
	if ((ns = machine_devs_linger(m)) == 0)
		return (machine_anew(m, e));
	tv.tv_sec = (time_t)(ns / 1000000000);
	tv.tv_usec = (suseconds_t)(ns % 1000000000 / 1000);
	if (evtimer_add(m->clear_ev, &tv) == -1)
		return (err_set(e, ENOMEM, "no memory for a timer"));
	m->clearing = true;
	return (0);
}

void
machine_clear(struct machine *m, bool late)
{
	struct err e;

	if (!m->clearing || m->stopped ||
	    (!late && machine_devs_linger(m) != 0))
		return;
	if (machine_anew(m, &e) == -1)
		machine_end(m, MACHINE_FAILED, 0, &e);
	machine_go(m);
}

static void
on_clear(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	machine_clear(arg, true);
}

void
machine_go(struct machine *m)
{
	if (!m->paused && !m->stopped && m->started && !m->clearing)
		vcpus_release(m);
}

/* vmd's rule against a guest that does nothing but restart. */
static bool
restarts_too_fast(struct machine *m, struct err *e)
{
	uint64_t since_ns = clock_now_ns() - m->last_start_ns;

	if (since_ns >= MACHINE_RESTART_S * 1000000000ull)
		m->quick_restarts = 0;
	else
		m->quick_restarts++;
	if (m->quick_restarts < MACHINE_RESTARTS_MAX)
		return (false);
	err_set(e, ELOOP,
	    "the guest restarted %d times, each time within %d seconds of the "
	    "one before: given up; look at the end of its console",
	    MACHINE_RESTARTS_MAX, MACHINE_RESTART_S);
	return (true);
}

static void
guest_reset(struct machine *m, bool triple)
{
	struct err e;

	err_clear(&e);
	if (restarts_too_fast(m, &e) || machine_again(m, &e) == -1) {
		machine_end(m, MACHINE_FAILED, 0, &e);
		return;
	}
	if (triple)
		err_set(&e, EFAULT, "triple fault");
	machine_event(m, MACHINE_RESET, m->restarts, &e);
}

/* The gravest wish of those that came together is done. */
static void
machine_requests(struct machine *m)
{
	unsigned req;

	if (atomic_load(&m->requests) == 0 || m->stopped)
		return;
	vcpus_hold(m);
	req = atomic_load(&m->requests);
	if (req & REQ_DEVICE)
		machine_devs_sync(m);
	if (req & REQ_ERROR)
		machine_end(m, MACHINE_FAILED, 0, &m->why);
	else if (req & REQ_EXIT)
		machine_end(m, MACHINE_EXIT, atomic_load(&m->exit_code), NULL);
	else if (req & REQ_POWEROFF)
		machine_end(m, MACHINE_POWEROFF, 0, NULL);
	else if (req & (REQ_RESET | REQ_TRIPLE))
		guest_reset(m, (req & REQ_TRIPLE) != 0);
	atomic_store(&m->requests, 0);
	machine_go(m);
}

static void
on_wake(int fd, short what, void *arg)
{
	struct machine *m = arg;
	unsigned notes;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	notes = atomic_exchange(&m->notes, 0);
	if (notes & NOTE_TIMER)
		machine_timers_arm(m);
	if (notes & NOTE_ROOM)
		m->conf.ops->console_room(m->conf.ctx);
	if (notes & NOTE_DEV)
		machine_devs_told(m);
	if (notes & NOTE_POKE && m->conf.ops->poked != NULL)
		m->conf.ops->poked(m->conf.ctx);
	if (notes & NOTE_STARTED) {
		m->step_us[STEP_RUN] =
		    (uint32_t)((atomic_load(&m->first_run_ns) -
				   m->load_done_ns) /
			1000);
		machine_event(m, MACHINE_STARTED, 0, NULL);
	}
	machine_requests(m);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct machine *m = arg;

	(void)fd;
	(void)what;
	machine_timers_run(m);
	machine_timers_arm(m);
}

static int
machine_events_open(struct machine *m, struct err *e)
{
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->wake_fd == -1)
		return (err_errno(e, "eventfd"));
	m->wake_ev = event_new(
	    m->conf.base, m->wake_fd, EV_READ | EV_PERSIST, on_wake, m);
	m->timer_ev = evtimer_new(m->conf.base, on_timer, m);
	m->clear_ev = evtimer_new(m->conf.base, on_clear, m);
	if (m->wake_ev == NULL || m->timer_ev == NULL || m->clear_ev == NULL ||
	    event_add(m->wake_ev, NULL) == -1)
		return (err_set(e, ENOMEM, "no memory for events"));
	return (0);
}

static int
machine_board_open(struct machine *m, struct err *e)
{
	unsigned i;

	m->mach.pio = bus_open("port", 0x10000);
	m->mach.mmio = bus_open("memory", 1ull << 52);
	if (m->mach.pio == NULL || m->mach.mmio == NULL)
		return (err_set(e, ENOMEM, "no memory for buses"));
	for (i = 0; i < board_pc_n; i++) {
		if (board_pc[i].debug_only && !m->conf.debug_exit)
			continue;
		m->dev[i] = dev_open(&board_pc[i], &m->mach, e);
		if (m->dev[i] == NULL)
			return (-1);
		if (board_pc[i].ops == &dev_uart)
			m->uart = m->dev[i];
		else if (board_pc[i].ops == &dev_acpi_pm)
			m->pm = m->dev[i];
	}
	return (machine_devs_open(m, e));
}

static int
machine_build(struct machine *m, struct err *e)
{
	struct hv_vm_conf hc = {
		.kvm_fd = m->conf.kvm_fd,
		.ncpus = m->conf.ncpus,
		.mem = &m->mem,
	};
	uint64_t t = clock_now_ns();

	if (machine_events_open(m, e) == -1)
		return (-1);
	if (mem_open(&m->mem, m->conf.name, m->conf.mem_bytes,
		m->conf.hugepages, e) == -1)
		return (-1);
	step_done(m, STEP_MEMORY, &t);
	if (m->conf.hv->vm_open(&m->hv, &hc, e) == -1)
		return (-1);
	step_done(m, STEP_KVM, &t);
	if (machine_board_open(m, e) == -1 || vcpus_open(m, e) == -1 ||
	    m->conf.hv->mark(m->hv, e) == -1)
		return (-1);
	step_done(m, STEP_VCPU, &t);
	return (0);
}

static int
machine_init(struct machine *m, const struct machine_conf *c, struct err *e)
{
	m->conf = *c;
	m->wake_fd = -1;
	m->mem.fd = -1;
	m->mach.ops = &machine_mach_ops;
	m->mach.ctx = m;
	m->mach.mem = &m->mem;
	m->mach.ncpus = c->ncpus;
	atomic_store(&m->hold, true);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->timer_lock, NULL);
	pthread_cond_init(&m->parked_cond, NULL);
	pthread_cond_init(&m->go_cond, NULL);
	if (c->figures != NULL)
		return (0);
	if ((m->own_figures = calloc(1, sizeof(*m->own_figures))) == NULL)
		return (err_errno(e, "figures"));
	m->conf.figures = m->own_figures;
	return (0);
}

int
machine_open(struct machine **out, const struct machine_conf *c, struct err *e)
{
	struct machine *m;

	if (c->ncpus < 1 || c->ncpus > MACHINE_CPUS)
		return (err_set(e, EINVAL, "%u vCPUs: must be 1 to %d",
		    c->ncpus, MACHINE_CPUS));
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return (err_errno(e, "cannot make a machine"));
	if (machine_init(m, c, e) == -1 || machine_build(m, e) == -1) {
		machine_close(m);
		return (-1);
	}
	*out = m;
	return (0);
}

void
machine_close(struct machine *m)
{
	unsigned i;

	if (m == NULL)
		return;
	vcpus_close(m);
	for (i = 0; i < MACHINE_ALL; i++)
		dev_close(m->dev[i]);
	machine_devs_close(m);
	bus_close(m->mach.pio);
	bus_close(m->mach.mmio);
	m->conf.hv->vm_close(m->hv);
	mem_close(&m->mem);
	if (m->wake_ev != NULL)
		event_free(m->wake_ev);
	if (m->timer_ev != NULL)
		event_free(m->timer_ev);
	if (m->clear_ev != NULL)
		event_free(m->clear_ev);
	if (m->wake_fd != -1)
		close(m->wake_fd);
	pthread_cond_destroy(&m->go_cond);
	pthread_cond_destroy(&m->parked_cond);
	pthread_mutex_destroy(&m->timer_lock);
	pthread_mutex_destroy(&m->lock);
	free(m->own_figures);
	free(m);
}

int
machine_start(struct machine *m, struct err *e)
{
	uint64_t t = clock_now_ns();

	if (machine_load(m, e) == -1)
		return (-1);
	step_done(m, STEP_LOAD, &t);
	m->load_done_ns = t;
	m->started = true;
	machine_go(m);
	return (0);
}

int
machine_reset(struct machine *m, struct err *e)
{
	if (m->stopped || !m->started)
		return (err_set(e, EINVAL, "the guest does not run"));
	vcpus_hold(m);
	if (machine_again(m, e) == -1) {
		machine_end(m, MACHINE_FAILED, 0, e);
		return (-1);
	}
	/* What it asked for in the meantime was of the old life. */
	atomic_store(&m->requests, 0);
	machine_go(m);
	return (0);
}

void
machine_pause(struct machine *m)
{
	if (m->paused || m->stopped)
		return;
	m->paused = true;
	vcpus_hold(m);
	machine_devs_hold(m, true);
	m->conf.hv->hold(m->hv);
	machine_clock_freeze(m, true);
	machine_timers_arm(m);
}

void
machine_unpause(struct machine *m)
{
	if (!m->paused)
		return;
	m->paused = false;
	m->conf.hv->release(m->hv);
	machine_clock_freeze(m, false);
	machine_devs_hold(m, false);
	machine_timers_arm(m);
	machine_go(m);
}

bool
machine_paused(const struct machine *m)
{
	return (m->paused);
}

unsigned
machine_restarts(const struct machine *m)
{
	return (m->restarts);
}

const uint32_t *
machine_steps(const struct machine *m)
{
	return (m->step_us);
}

size_t
machine_input(struct machine *m, const void *buf, size_t len)
{
	size_t n;

	/*
	 * Before the UART's lock is taken: a guest that reads after it finds
	 * the flag, one that read before it has made the room already.
	 */
	atomic_store(&m->input_waits, true);
	n = uart_input(m->uart, buf, len);
	if (n == len)
		atomic_store(&m->input_waits, false);
	return (n);
}

void
machine_break(struct machine *m)
{
	uart_break(m->uart);
}

void
machine_power_button(struct machine *m)
{
	acpi_pm_power_button(m->pm);
}

static uint64_t
thread_ns(pthread_t t)
{
	struct timespec ts;
	clockid_t clock;

	if (pthread_getcpuclockid(t, &clock) != 0 ||
	    clock_gettime(clock, &ts) == -1)
		return (0);
	return ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

void
machine_sample(struct machine *m)
{
	struct figures *f = m->conf.figures;
	unsigned i;

	for (i = 0; i < m->conf.ncpus; i++)
		atomic_store_explicit(&f->vcpu[i].run_ns,
		    thread_ns(m->vcpu[i].thread), memory_order_relaxed);
	atomic_store_explicit(
	    &f->resident_bytes, mem_resident(&m->mem), memory_order_relaxed);
	atomic_store_explicit(
	    &f->sampled_ns, clock_now_ns(), memory_order_relaxed);
}
