/* SPDX-License-Identifier: ISC */
/*
 * Virtio over PCI for devices that another process serves: what the guest has
 * written is compared with how things are, and made so.  A kick fills an
 * eventfd, the device's answer sends a message, and nobody here runs for either
 * (mach_ops.doorbell, irqfd); where that cannot be, with INTx or a vector that
 * is masked, the main thread looks at the eventfd.
 * Runs in: vm process, main thread, the device's lock held.  Trusts: nobody.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dev/vio_proxy.h"
#include "daemon/dev/virtio_pci.h"

/* Which of ready(). */
#define WATCH_CALL(q) (q)
#define WATCH_ERR VIO_QUEUES_MAX
#define WATCH_SOCK (VIO_QUEUES_MAX + 1)
_Static_assert(WATCH_SOCK < DEV_WATCHES, "mach_ops.watch");

/*
 * T25: two looks without a step make it hung.  It may have stopped right behind
 * the one before: that makes three spans, within five seconds.
 */
#define LOOK_NS 1500000000ull

/* A process that was late is killed within a second, if it is not in a call
 * that nothing ends; a guest is not kept from its reset for ever by that. */
#define LINGERS_NS 60000000000ull
/* One that has closed its socket has mostly ended, and if not is killed sooner;
 * no vmd may be there to say so. */
#define CLOSED_NS 2000000000ull

static bool
proxied(const struct vpci *p)
{
	return (p->vio.ops->proxy != NULL);
}

void
vpci_proxy_defer(struct dev *d)
{
	if (proxied(d->state))
		d->mach->ops->defer(d->mach, d);
}

static int
watch_fd(const struct vio_proxy *x, unsigned which)
{
	if (which < VIO_QUEUES_MAX)
		return (x->call_fd[which]);
	if (which == WATCH_ERR)
		return (x->err_fd);
	return (x->front.sock);
}

static void
watch(struct dev *d, unsigned which, bool on)
{
	struct vpci *p = d->state;
	uint64_t bit = 1ull << which;

	if (((p->proxy.watched & bit) != 0) == on)
		return;
	p->proxy.watched ^= bit;
	d->mach->ops->watch(
	    d->mach, d, which, watch_fd(p->vio.state, which), on);
}

static void
tell(struct dev *d, enum mach_dev_event what, const struct err *e)
{
	d->mach->ops->dev_event(d->mach, d, what, e);
}

/* Its queues run on as if there were nothing to do, until it is replaced. */
static void
lost(struct dev *d, struct err *e)
{
	struct vpci *p = d->state;

	watch(d, WATCH_SOCK, false); /* before the fd is another's */
	p->proxy.lingers_ns = 0;
	if (!p->proxy.gone)
		p->proxy.lingers_ns = d->mach->ops->mono_ns(d->mach) +
		    (e->code == EPIPE || e->code == ECONNRESET ? CLOSED_NS
							       : LINGERS_NS);
	vio_proxy_words(&p->vio, e);
	vio_proxy_drop(&p->vio);
	tell(d, MACH_DEV_LOST, e);
}

static void
look_at(struct dev *d, uint64_t in_ns)
{
	d->mach->ops->timer(d->mach, d, d->mach->ops->mono_ns(d->mach) + in_ns);
}

/* It has something to do: doorbells, and looks. */
static void
wake(struct dev *d)
{
	struct vpci *p = d->state;

	p->proxy.awake = true;
	p->proxy.woken = false;
	(void)vio_proxy_look(&p->vio, true);
	look_at(d, LOOK_NS);
}

/* ---- Queues ----------------------------------------------------------------- */

/* An eventfd's number, which is 0 afterwards. */
static uint64_t
take(int efd)
{
	uint64_t n;

	return (read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0);
}

static void
follow_reset(struct dev *d)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;
	struct err e;
	unsigned i;
	bool hung;

	if (p->proxy.resets == p->resets)
		return;
	p->proxy.resets = p->resets;
	hung = x->hung;
	if (vio_proxy_reset(&p->vio, &e) == -1)
		lost(d, &e);
	else if (hung)
		tell(d, MACH_DEV_OK, NULL);
	for (i = 0; i < p->vio.nqueues; i++)
		(void)take(x->call_fd[i]); /* of its former life */
}

static void
follow_status(struct dev *d)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;
	bool want = vpci_runs(p) && !p->proxy.held;
	struct err e;
	int rc = 0;

	if (!vio_proxy_there(&p->vio) || want == x->running)
		return;
	if (want) {
		wake(d);
		rc = vio_proxy_start(&p->vio, d->mach->mem, p->status, &e);
	} else
		rc = vio_proxy_stop(&p->vio, &e);
	if (rc == -1)
		lost(d, &e);
}

/* ---- Doorbells and interrupts ----------------------------------------------- */

static uint32_t
open_queues(const struct vpci *p)
{
	uint32_t mask = 0;
	unsigned i;

	if (!vpci_runs(p))
		return (0);
	for (i = 0; i < p->vio.nqueues; i++)
		if (vq_is_open(&p->vio.vq[i]))
			mask |= 1u << i;
	return (mask);
}

static void
doorbells(struct dev *d, uint16_t port, uint32_t queues, bool on)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;
	unsigned i;

	for (i = 0; i < p->vio.nqueues; i++) {
		if (!(queues & 1u << i))
			continue;
		if (d->mach->ops->doorbell(d->mach, x->kick_fd[i],
			(uint16_t)(port + VIO_PCI_NOTIFY_STRIDE * i),
			on) == -1 &&
		    on)
			continue; /* then it makes an exit */
		p->proxy.doorbells ^= 1u << i;
	}
}

/* T35: where BAR 0 is decoded, and nowhere else; none for the idle. */
static void
follow_bar(struct dev *d)
{
	struct vpci *p = d->state;
	struct vpci_proxy *y = &p->proxy;
	uint16_t port = (uint16_t)p->fn.bar[0];
	uint32_t want = port != 0 && y->awake ? open_queues(p) : 0;

	if (port != y->port)
		doorbells(d, y->port, y->doorbells, false);
	doorbells(d, y->port, y->doorbells & ~want, false);
	y->port = port;
	doorbells(d, port, want & ~y->doorbells, true);
}

/* Messages by which queues are told now; and a route for each. */
static uint32_t
messages(struct dev *d, uint32_t queues)
{
	struct vpci *p = d->state;
	struct vpci_proxy *y = &p->proxy;
	uint32_t mask = 0;
	bool changed = false;
	struct mach_msi m;
	unsigned i, vec;

	for (i = 0; i < p->vio.nqueues; i++) {
		vec = p->q[i].vector;
		if (!(queues & 1u << i) || !msix_may_send(&p->msix, vec))
			continue;
		mask |= 1u << i;
		m.addr = p->msix.entry[vec].addr;
		m.data = p->msix.entry[vec].data;
		if (m.addr == y->msi[i].addr && m.data == y->msi[i].data)
			continue;
		y->msi[i] = m;
		changed = true;
	}
	if (changed &&
	    d->mach->ops->routes(d->mach, MACH_MSI_GSI(d->slot->pci_slot, 0),
		y->msi, p->vio.nqueues) == -1) {
		memset(y->msi, 0, sizeof(y->msi));
		return (0);
	}
	return (mask);
}

static bool
irqfd(struct dev *d, unsigned i, bool on)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;

	if (((p->proxy.irqfds >> i & 1) != 0) == on)
		return (true);
	if (d->mach->ops->irqfd(d->mach, x->call_fd[i],
		MACH_MSI_GSI(d->slot->pci_slot, i), on) == -1 &&
	    on)
		return (false);
	p->proxy.irqfds ^= 1u << i;
	return (true);
}

/* An eventfd is never with both: whoever has it takes all that is in it. */
static void
follow_vectors(struct dev *d)
{
	struct vpci *p = d->state;
	uint32_t queues = open_queues(p), send = messages(d, queues);
	unsigned i;

	for (i = 0; i < p->vio.nqueues; i++) {
		if (send & 1u << i) {
			watch(d, WATCH_CALL(i), false);
			if (irqfd(d, i, true))
				continue;
		}
		(void)irqfd(d, i, false);
		watch(d, WATCH_CALL(i), (queues & 1u << i) != 0);
	}
}

static void
call_ready(struct dev *d, unsigned i)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;

	if (take(x->call_fd[i]) != 0 && vpci_runs(p))
		vpci_interrupt(d, p->q[i].vector, VIO_ISR_QUEUE);
}

/* ---- Does it go on? --------------------------------------------------------- */

/*
 * The first kick of an idle device made an exit, so that none is missed that
 * the device takes and never answers; the next ones need not.  vCPU thread.
 */
void
vpci_proxy_kicked(struct dev *d)
{
	struct vpci *p = d->state;

	if (!proxied(p) || p->proxy.awake || p->proxy.woken)
		return;
	p->proxy.woken = true;
	look_at(d, 0);
}

static void
look(struct dev *d)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;
	struct err e;

	if (!vio_proxy_look(&p->vio, false))
		return;
	err_set(&e, ETIMEDOUT,
	    "%s: requests wait and none was done for %u seconds",
	    p->vio.ops->name, (unsigned)(2 * LOOK_NS / 1000000000));
	tell(d, x->hung ? MACH_DEV_HUNG : MACH_DEV_OK, x->hung ? &e : NULL);
}

void
vpci_proxy_timer(struct dev *d)
{
	struct vpci *p = d->state;
	struct vpci_proxy *y = &p->proxy;

	if (!((struct vio_proxy *)p->vio.state)->running) {
		y->awake = y->woken = false;
		return;
	}
	if (y->woken)
		wake(d);
	else if (y->awake) {
		look(d);
		if (vio_proxy_busy(&p->vio))
			look_at(d, LOOK_NS);
		else
			y->awake = false;
	}
	follow_bar(d);
	/* It rang while its doorbell was taken away. */
	if (!y->awake && vio_proxy_busy(&p->vio))
		vpci_proxy_kicked(d);
}

/* ---- What its process says -------------------------------------------------- */

/* By its page: a ring that its guest broke, or a request that has to wait. */
static void
err_ready(struct dev *d)
{
	struct vpci *p = d->state;
	struct vio_proxy *x = p->vio.state;
	uint64_t broken = atomic_load(&x->page->broken_rings);
	struct err e;

	if (take(x->err_fd) == 0)
		return;
	if (broken == x->broken_rings &&
	    atomic_load(&x->page->state) == DEVP_STUCK) {
		/* Once is enough: it is tried, and told, again at resume. */
		if (p->proxy.held)
			return;
		devpage_err_get(x->page, &e);
		if (e.code == 0)
			err_set(&e, EIO, "a request cannot be done now");
		tell(d, MACH_DEV_STUCK, &e);
		return;
	}
	x->broken_rings = broken;
	vpci_needs_reset(d);
}

void
vpci_proxy_ready(struct dev *d, unsigned which)
{
	struct vpci *p = d->state;
	struct err e;

	if (!(p->proxy.watched >> which & 1))
		return; /* it was there before somebody looked away */
	if (which < VIO_QUEUES_MAX)
		call_ready(d, which);
	else if (which == WATCH_ERR)
		err_ready(d);
	else if (which == WATCH_SOCK) {
		err_set(&e, EPIPE, "%s: its process has closed its socket",
		    p->vio.ops->name);
		lost(d, &e);
	}
}

/* ---- What the machine asks for ---------------------------------------------- */

void
vpci_proxy_sync(struct dev *d)
{
	struct vpci *p = d->state;

	if (!proxied(p))
		return;
	follow_reset(d);
	follow_status(d);
	follow_bar(d);
	follow_vectors(d);
	watch(d, WATCH_ERR, true);
	watch(d, WATCH_SOCK, vio_proxy_there(&p->vio));
}

/* What it has told by then is known here: it may be in saved state. */
void
vpci_proxy_quiesce(struct dev *d)
{
	struct vpci *p = d->state;
	unsigned i;

	if (!proxied(p))
		return;
	p->proxy.held = true;
	vpci_proxy_sync(d);
	vio_proxy_settle(&p->vio);
	for (i = 0; i < p->vio.nqueues; i++)
		if (p->proxy.watched >> WATCH_CALL(i) & 1)
			call_ready(d, i);
}

void
vpci_proxy_resume(struct dev *d)
{
	struct vpci *p = d->state;

	if (!proxied(p))
		return;
	p->proxy.held = false;
	vpci_proxy_sync(d);
}

void
vpci_proxy_loaded(struct dev *d)
{
	struct vpci *p = d->state;
	unsigned i;

	if (!proxied(p))
		return;
	p->resets++;
	follow_reset(d);
	for (i = 0; i < p->vio.nqueues; i++)
		if (vq_is_open(&p->vio.vq[i]))
			p->vio.vq[i].log = vio_proxy_log(&p->vio, i);
}

uint64_t
vpci_lingers(const struct vpci *p)
{
	const struct mach *m = p->fn.dev->mach;
	uint64_t now;

	if (p->proxy.lingers_ns == 0)
		return (0);
	now = m->ops->mono_ns(p->fn.dev->mach);
	return (now < p->proxy.lingers_ns ? p->proxy.lingers_ns - now : 0);
}

uint64_t
virtio_pci_lingers(struct dev *d)
{
	uint64_t ns;

	pthread_mutex_lock(&d->lock);
	ns = vpci_lingers(d->state);
	pthread_mutex_unlock(&d->lock);
	return (ns);
}

/* What it has logged since a reset is of no device. */
static void
gone(struct vpci *p)
{
	p->proxy.gone = true;
	if (p->proxy.lingers_ns != 0 && p->status == 0)
		vio_proxy_forget(&p->vio);
	p->proxy.lingers_ns = 0;
}

void
virtio_pci_gone(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	gone(d->state);
	pthread_mutex_unlock(&d->lock);
}

int
virtio_pci_replace(struct dev *d, int *sock, struct err *e)
{
	struct vpci *p = d->state;
	int rc;

	pthread_mutex_lock(&d->lock);
	watch(d, WATCH_SOCK, false);
	gone(p); /* nobody comes before the one before has died */
	p->proxy.gone = false;
	rc = vio_proxy_replace(&p->vio, sock, e);
	if (rc == 0)
		vpci_proxy_sync(d);
	else if (e->code == ENOTSUP)
		vpci_needs_reset(
		    d); /* what it is now, its guest does not know */
	if (rc == 0 && vio_proxy_there(&p->vio))
		tell(d, MACH_DEV_OK, NULL);
	pthread_mutex_unlock(&d->lock);
	return (rc);
}

void
vpci_proxy_fini(struct dev *d)
{
	struct vpci *p = d->state;
	unsigned i;

	if (!proxied(p))
		return;
	doorbells(d, p->proxy.port, p->proxy.doorbells, false);
	for (i = 0; i < p->vio.nqueues; i++)
		(void)irqfd(d, i, false);
	for (i = 0; i < DEV_WATCHES; i++)
		watch(d, i, false);
}
