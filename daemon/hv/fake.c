/* SPDX-License-Identifier: ISC */
/* The hypervisor for tests: see fake.h.  Runs in: tests only. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/hv/fake.h"

struct hv_vm {
	struct fake *f;
	unsigned ncpus;
};

struct hv_vcpu {
	struct fake *f;
	unsigned id;
	size_t at; /* next step; vCPU thread only */
	const struct fake_step
	    *check;  /* a read whose data is to be looked at */
	bool kicked; /* lock: f->lock */
	bool ended;
	uint8_t data[FAKE_DATA_BYTES];
};

static struct fake *next_fake;

void
fake_init(struct fake *f)
{
	unsigned i;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	for (i = 0; i < FAKE_EVENTFDS; i++)
		f->eventfd[i].fd = -1;
}

void
fake_fini(struct fake *f)
{
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->cond);
}

void
fake_use(struct fake *f)
{
	next_fake = f;
}

bool
fake_held(struct fake *f)
{
	bool held;

	pthread_mutex_lock(&f->lock);
	held = f->nheld > 0;
	pthread_mutex_unlock(&f->lock);
	return (held);
}

void
fake_go(struct fake *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	f->go += n;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

void
fake_wait_done(struct fake *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->ndone < n)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* Count something that was done to it. */
static void
count(struct fake *f, unsigned *what)
{
	pthread_mutex_lock(&f->lock);
	(*what)++;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static int
fake_vm_open(struct hv_vm **out, const struct hv_vm_conf *c, struct err *e)
{
	struct hv_vm *vm;

	if (next_fake == NULL)
		return (err_set(e, EINVAL, "fake: fake_use() comes first"));
	if (next_fake->fail_vm_open != 0)
		return (err_set(e, next_fake->fail_vm_open, "fake: vm_open"));
	if ((vm = calloc(1, sizeof(*vm))) == NULL)
		return (err_errno(e, "fake"));
	vm->f = next_fake;
	vm->ncpus = c->ncpus;
	*out = vm;
	return (0);
}

static void
fake_vm_close(struct hv_vm *vm)
{
	free(vm);
}

static int
fake_line(struct hv_vm *vm, unsigned gsi, bool level)
{
	struct fake *f = vm->f;

	pthread_mutex_lock(&f->lock);
	f->nlines++;
	f->last_gsi = gsi;
	if (gsi < 64)
		f->level[gsi] = level;
	pthread_mutex_unlock(&f->lock);
	return (0);
}

static int
fake_msi(struct hv_vm *vm, uint64_t addr, uint32_t data)
{
	(void)addr;
	vm->f->last_data = data;
	count(vm->f, &vm->f->nmsis);
	return (0);
}

static int
fake_routes(struct hv_vm *vm, const struct hv_route *route, unsigned n)
{
	struct fake *f = vm->f;

	if (n > HV_ROUTES_MAX)
		return (-1);
	pthread_mutex_lock(&f->lock);
	memcpy(f->route, route, n * sizeof(*route));
	f->nroutes = n;
	f->nroute_calls++;
	pthread_mutex_unlock(&f->lock);
	return (0);
}

/* As KVM: nothing twice at one place, nothing undone that is not there. */
static int
eventfd_change(struct fake *f, const struct fake_eventfd *want, bool assign)
{
	struct fake_eventfd *x, *place = NULL;
	unsigned i;
	int rc = -1;

	pthread_mutex_lock(&f->lock);
	for (i = 0; i < FAKE_EVENTFDS; i++) {
		x = &f->eventfd[i];
		if (x->fd == -1)
			place = assign && place == NULL ? x : place;
		else if (x->io == want->io && x->addr == want->addr &&
		    (x->io || x->fd == want->fd))
			break;
	}
	errno = i < FAKE_EVENTFDS ? EEXIST : ENOENT;
	if (assign && i == FAKE_EVENTFDS && place != NULL) {
		*place = *want;
		f->neventfds++;
		rc = 0;
	} else if (!assign && i < FAKE_EVENTFDS) {
		f->eventfd[i].fd = -1;
		f->neventfds--;
		rc = 0;
	}
	pthread_mutex_unlock(&f->lock);
	return (rc);
}

static int
fake_irqfd(struct hv_vm *vm, int efd, unsigned gsi, bool assign)
{
	struct fake_eventfd x = { .fd = efd, .addr = gsi };

	if (efd < 0 || (assign && vm->f->fail_irqfd != 0)) {
		errno = efd < 0 ? EBADF : vm->f->fail_irqfd;
		return (-1);
	}
	return (eventfd_change(vm->f, &x, assign));
}

static int
fake_ioeventfd(struct hv_vm *vm, int efd, bool mmio, uint64_t addr,
    unsigned len_bytes, const uint64_t *match, bool assign)
{
	struct fake_eventfd x = {
		.fd = efd, .io = true, .len_bytes = len_bytes, .addr = addr
	};

	if (efd < 0 || mmio || match != NULL ||
	    (assign && vm->f->fail_ioeventfd != 0)) {
		errno = efd < 0 ? EBADF : vm->f->fail_ioeventfd;
		return (-1);
	}
	return (eventfd_change(vm->f, &x, assign));
}

/* The message of a GSI's route; lock. */
static void
irq_send(struct fake *f, unsigned gsi)
{
	unsigned i;

	for (i = 0; i < f->nroutes; i++)
		if (f->route[i].gsi == gsi) {
			f->nmsis++;
			f->last_data = f->route[i].data;
		}
}

unsigned
fake_irqs(struct fake *f)
{
	struct pollfd p = { .events = POLLIN };
	unsigned i, was;
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	was = f->nmsis;
	for (i = 0; i < FAKE_EVENTFDS; i++) {
		p.fd = f->eventfd[i].io ? -1 : f->eventfd[i].fd;
		if (poll(&p, 1, 0) == 1 &&
		    read(p.fd, &n, sizeof(n)) == sizeof(n))
			irq_send(f, (unsigned)f->eventfd[i].addr);
	}
	was = f->nmsis - was;
	pthread_mutex_unlock(&f->lock);
	return (was);
}

static int
fake_mark(struct hv_vm *vm, struct err *e)
{
	count(vm->f, &vm->f->nmarks);
	if (vm->f->fail_mark != 0)
		return (err_set(e, vm->f->fail_mark, "fake: mark"));
	return (0);
}

static int
fake_reset(struct hv_vm *vm, struct err *e)
{
	count(vm->f, &vm->f->nresets);
	if (vm->f->fail_reset != 0)
		return (err_set(e, vm->f->fail_reset, "fake: reset"));
	return (0);
}

static void
fake_hold(struct hv_vm *vm)
{
	count(vm->f, &vm->f->nholds);
}

static void
fake_release(struct hv_vm *vm)
{
	count(vm->f, &vm->f->nreleases);
}

static int
fake_vcpu_open(
    struct hv_vcpu **out, struct hv_vm *vm, unsigned id, struct err *e)
{
	struct hv_vcpu *v;

	if (id >= vm->ncpus || (v = calloc(1, sizeof(*v))) == NULL)
		return (err_set(e, EINVAL, "fake: vCPU %u", id));
	v->f = vm->f;
	v->id = id;
	count(v->f, &v->f->nopen);
	*out = v;
	return (0);
}

static void
fake_vcpu_close(struct hv_vcpu *v)
{
	if (v == NULL)
		return;
	pthread_mutex_lock(&v->f->lock);
	v->f->nopen--;
	pthread_mutex_unlock(&v->f->lock);
	free(v);
}

static int
fake_boot(struct hv_vcpu *v, const struct hv_regs *r, struct err *e)
{
	(void)e;
	v->f->entry = *r;
	count(v->f, &v->f->nboots);
	return (0);
}

/* The data of the last read has come back: is it what the script says? */
static void
fake_check(struct hv_vcpu *v)
{
	const struct fake_step *s = v->check;
	size_t n;

	v->check = NULL;
	if (s == NULL || s->data == NULL)
		return;
	n = (size_t)s->len_bytes * (s->count > 0 ? s->count : 1);
	if (memcmp(v->data, s->data, n) == 0)
		return;
	v->f->wrong_addr = s->addr;
	memcpy(&v->f->wrong_got, v->data, n < 8 ? n : 8);
	count(v->f, &v->f->wrong);
}

static void
fake_exit(struct hv_vcpu *v, const struct fake_step *s, struct hv_exit *x)
{
	size_t n;

	x->why = s->why;
	x->addr = s->addr;
	x->count = s->count > 0 ? s->count : 1;
	x->len_bytes = s->len_bytes;
	x->write = s->write;
	x->system = s->system;
	x->data = v->data;
	if (s->why == HV_ERROR)
		err_set(&x->err, EIO, "%s", s->text != NULL ? s->text : "?");
	n = (size_t)s->len_bytes * x->count;
	if (s->write && s->data != NULL)
		memcpy(v->data, s->data, n);
	else
		memset(v->data, 0, n);
	if (!s->write)
		v->check = s;
}

/* Asleep, or held: until kicked (true) or let go. */
static bool
fake_sleep(struct hv_vcpu *v, bool hold)
{
	struct fake *f = v->f;
	bool kicked;

	pthread_mutex_lock(&f->lock);
	f->nheld += hold;
	while (!v->kicked && !(hold && f->go > 0))
		pthread_cond_wait(&f->cond, &f->lock);
	kicked = v->kicked;
	if (!kicked)
		f->go--;
	v->kicked = false;
	pthread_mutex_unlock(&f->lock);
	return (kicked);
}

/* A write that has an eventfd makes no exit. */
static bool
fake_kicks(struct fake *f, const struct fake_step *s)
{
	const struct fake_eventfd *x;
	uint64_t one = 1;
	bool hit = false;
	unsigned i;

	if (s->why != HV_IO || !s->write)
		return (false);
	pthread_mutex_lock(&f->lock);
	for (i = 0; i < FAKE_EVENTFDS; i++) {
		x = &f->eventfd[i];
		if (x->fd != -1 && x->io && x->addr == s->addr &&
		    x->len_bytes == s->len_bytes)
			hit = write(x->fd, &one, sizeof(one)) == sizeof(one);
	}
	f->nkicked += hit;
	pthread_mutex_unlock(&f->lock);
	return (hit);
}

static int
fake_run(struct hv_vcpu *v, struct hv_exit *x)
{
	const struct fake_step *s;

	fake_check(v);
	x->why = HV_INTR;
	if (v->at == v->f->script[v->id].nsteps) {
		if (!v->ended)
			count(v->f, &v->f->ndone);
		v->ended = true;
		(void)fake_sleep(v, false);
		return (0);
	}
	s = &v->f->script[v->id].step[v->at];
	if (s->hold && fake_sleep(v, true))
		return (0);
	v->at++;
	if (fake_kicks(v->f, s))
		return (0);
	if (s->fail_errno != 0) {
		errno = s->fail_errno;
		return (-1);
	}
	fake_exit(v, s, x);
	return (0);
}

static void
fake_kick(struct hv_vcpu *v)
{
	pthread_mutex_lock(&v->f->lock);
	v->kicked = true;
	v->f->nkicks++;
	pthread_cond_broadcast(&v->f->cond);
	pthread_mutex_unlock(&v->f->lock);
}

static void
fake_settle(struct hv_vcpu *v)
{
	fake_check(v);
	count(v->f, &v->f->nsettles);
}

static uint64_t
fake_rip(struct hv_vcpu *v)
{
	return (v->at);
}

const struct hv_ops hv_fake = {
	.name = "fake",
	.vm_open = fake_vm_open,
	.vm_close = fake_vm_close,
	.line = fake_line,
	.msi = fake_msi,
	.routes = fake_routes,
	.irqfd = fake_irqfd,
	.ioeventfd = fake_ioeventfd,
	.mark = fake_mark,
	.reset = fake_reset,
	.hold = fake_hold,
	.release = fake_release,
	.vcpu_open = fake_vcpu_open,
	.vcpu_close = fake_vcpu_close,
	.boot = fake_boot,
	.run = fake_run,
	.kick = fake_kick,
	.settle = fake_settle,
	.rip = fake_rip,
};
