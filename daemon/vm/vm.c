/* SPDX-License-Identifier: ISC */
/*
 * The life of a vm process: take a VM's parts from vmm, make the machine, lock
 * the door, load the kernel, run until the guest or a person ends it.
 *
 * The kernel, its command line and the guest are hostile; all of them are
 * first looked at with both seccomp filters in place.
 * Runs in: vm process, main thread.  Trusts: vmm, as far as the table goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/dev/acpi.h"
#include "daemon/dev/vio_proxy.h"
#include "daemon/proc/sandbox.h"
#include "daemon/vm/figures.h"
#include "daemon/vm/vm_int.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"

static void
vm_state(struct vm *vm, enum vm_state state)
{
	vm->state = state;
	vmlink_event(vm, WHAT_STATE, NULL);
}

static bool
vm_goes(const struct vm *vm)
{
	return (vm->state == VM_RUNNING || vm->state == VM_STOPPING);
}

void
vmproc_end(struct vm *vm, enum vm_what what, const struct err *why)
{
	if (vm->ended)
		return;
	vm->ended = true;
	vm->status = what == WHAT_FAILED ? 1 : 0;
	vmlink_event(vm, what, why);
	event_base_loopbreak(vm->base);
}

/* Guest memory is zero: tables, kernel, initrd. */
static int
guest_load(void *ctx, struct mem *mem, struct hv_regs *entry, struct err *e)
{
	struct vm *vm = ctx;
	struct boot_conf conf = {
		.initrd = vm->fd[VMFD_INITRD] != -1 ? &vm->initrd : NULL,
		.cmdline = vm->spec.cmdline,
		.ncpus = vm->spec.ncpus,
	};

	if (acpi_write(mem, vm->spec.ncpus, &conf.rsdp_gpa, e) == -1)
		return (-1);
	return (boot_load(&vm->kernel, &conf, mem, entry, e));
}

static void
guest_event(
    void *ctx, enum machine_event what, uint32_t arg, const struct err *why)
{
	struct vm *vm = ctx;
	struct err e;

	switch (what) {
	case MACHINE_STARTED:
		vm->state = VM_RUNNING;
		vmlink_event(vm, WHAT_STEPS, NULL);
		break;
	case MACHINE_RESET:
		err_set(&e, 0, "%s", why->code != 0 ? why->text : "by itself");
		vmlink_event(vm, WHAT_RESET, &e);
		break;
	case MACHINE_POWEROFF:
		vmproc_end(vm, WHAT_POWEROFF, NULL);
		break;
	case MACHINE_EXIT:
		err_set(&e, EIO, "the guest left with code %u", arg);
		vmproc_end(vm, WHAT_FAILED, &e);
		break;
	case MACHINE_FAILED:
		vmproc_end(vm, WHAT_FAILED, why);
		break;
	}
}

static void
guest_console(void *ctx, const void *buf, size_t len)
{
	struct vm *vm = ctx;

	ring_write(&vm->console.ring, buf, len);
}

static size_t
keys_take(void *ctx, const void *buf, size_t len)
{
	return (machine_input(ctx, buf, len));
}

void
vmproc_keys(struct vm *vm)
{
	vmlink_credit(vm, vmcons_pump(&vm->console, keys_take, vm->machine));
}

static void
guest_room(void *ctx)
{
	vmproc_keys(ctx);
}

static void
guest_poked(void *ctx)
{
	vmlink_log_flush(ctx);
}

static int
guest_thread(void *ctx, unsigned id, struct err *e)
{
	(void)ctx;
	(void)id;
	return (sandbox_filter_enter(&filter_vcpu, e));
}

/*
 * A device whose request waits: paused until a person says to try again.  That
 * befalls a guest that shuts down as well: then its disks have most to write.
 */
static void
guest_dev(
    void *ctx, unsigned index, enum mach_dev_event what, const struct err *why)
{
	static const enum vm_what told[MACH_DEV_EVENTS] = {
		[MACH_DEV_STUCK] = WHAT_DEV_STUCK,
		[MACH_DEV_HUNG] = WHAT_DEV_HUNG,
		[MACH_DEV_OK] = WHAT_DEV_OK,
		[MACH_DEV_LOST] = WHAT_DEV_LOST,
	};
	struct vm *vm = ctx;

	if (what == MACH_DEV_STUCK && vm_goes(vm))
		vm->state = VM_PAUSED;
	vmlink_dev_event(vm, told[what], index, why);
}

static const struct machine_ops guest_ops = {
	.load = guest_load,
	.event = guest_event,
	.console = guest_console,
	.console_room = guest_room,
	.dev = guest_dev,
	.poked = guest_poked,
	.thread = guest_thread,
};

static int
dev_page(struct vm_dev *d, int *fd, struct err *e)
{
	struct stat st;
	int seals;
	void *p;

	/* One that could shrink would be a SIGBUS. */
	if (fstat(*fd, &st) == -1 || st.st_size != DEVPAGE_BYTES ||
	    (seals = fcntl(*fd, F_GET_SEALS)) == -1 || !(seals & F_SEAL_SHRINK))
		return (err_set(e, EINVAL, "that is no page of a device"));
	p = mmap(NULL, DEVPAGE_BYTES, PROT_READ, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		return (err_errno(e, "cannot map a device's page"));
	d->page = p;
	d->page_fd = fd_move(fd);
	return (0);
}

/*
 * The page of a process that a later vmd starts, in the place of the former:
 * who reads there goes on reading.  mmap(2) of our filter maps so or not at all.
 */
static int
dev_page_again(struct vm_dev *d, int *fd, struct err *e)
{
	uint64_t lost = atomic_load(&d->page->lost);
	struct stat st;

	if (fstat(*fd, &st) == -1 || st.st_size != DEVPAGE_BYTES)
		return (err_set(e, EINVAL, "that is no page of a device"));
	if (mmap(d->page, DEVPAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, *fd, 0) == MAP_FAILED)
		return (err_errno(e, "cannot map a device's page"));
	/* What is not to be forgotten; before its process has a request. */
	if (lost != 0)
		atomic_store(&d->page->lost, 1);
	fd_close(&d->page_fd);
	d->page_fd = fd_move(fd);
	return (0);
}

int
vmproc_dev(struct vm *vm, const struct msg_vm_dev *b, int *fd, struct err *e)
{
	struct vm_dev *d = &vm->dev[b->index];

	if (b->index >= vm->spec.ndevs)
		return (err_set(e, EINVAL, "this VM has %u devices, none is %u",
		    vm->spec.ndevs, b->index));
	if (b->what == DEVFD_SOCKET)
		d->gen = b->gen;
	if (vm->machine != NULL && b->what == DEVFD_SOCKET)
		return (machine_dev_replace(vm->machine, b->index, fd, e));
	if (vm->machine != NULL) {
		if (dev_page_again(d, fd, e) == -1)
			return (-1);
		vmlink_dev_page(vm, b->index);
		return (0);
	}
	if (b->what == DEVFD_PAGE && d->page != NULL)
		return (err_set(e, EBUSY, "%s has its page", d->name));
	memcpy(d->name, b->name, sizeof(d->name));
	d->kind = b->kind;
	if (b->what == DEVFD_PAGE)
		return (dev_page(d, fd, e));
	fd_close(&d->sock);
	d->sock = fd_move(fd);
	return (0);
}

/* Of one before the present one it says nothing new. */
void
vmproc_dev_gone(struct vm *vm, const struct msg_vm_dev_gone *b)
{
	if (vm->machine != NULL && b->index < vm->spec.ndevs &&
	    b->gen == vm->dev[b->index].gen)
		machine_dev_gone(vm->machine, b->index);
}

/* What the machine is to make of them. */
static int
devs_conf(struct vm *vm, struct devpage_conf page[],
    struct machine_dev_conf conf[], struct err *e)
{
	struct vm_dev *d;
	unsigned i;

	for (i = 0; i < vm->spec.ndevs; i++) {
		d = &vm->dev[i];
		if (d->page == NULL || d->sock == -1)
			return (err_set(e, EINVAL,
			    "VM_GO came before all of device %u", i));
		if (devpage_conf_get(d->page, &page[i], e) == -1)
			return (err_prefix(e, "%s", d->name));
		memcpy(conf[i].name, d->name, sizeof(d->name));
		conf[i].vio = vio_proxy_ops(d->kind);
		if (conf[i].vio == NULL)
			return (err_set(e, ENOTSUP, "%s: no device of kind %u",
			    d->name, d->kind));
		conf[i].conf = (struct vio_conf){
			.conf = &page[i],
			.page = d->page,
			.fd = &d->sock,
			.nfds = 1,
		};
	}
	return (0);
}

/* What may be made before the door is locked; nothing hostile is looked at. */
static int
vm_make(struct vm *vm, struct err *e)
{
	struct machine_dev_conf devs[VM_DEVS_MAX];
	struct devpage_conf page[VM_DEVS_MAX];
	struct machine_conf conf = {
		.name = vm->spec.name,
		.hv = &hv_kvm,
		.kvm_fd = vm->fd[VMFD_KVM],
		.ncpus = vm->spec.ncpus,
		.mem_bytes = vm->spec.mem_bytes,
		.hugepages = vm->spec.hugepages != 0,
		.base = vm->base,
		.ops = &guest_ops,
		.ctx = vm,
		.devs = devs,
		.ndevs = vm->spec.ndevs,
	};

	if (devs_conf(vm, page, devs, e) == -1)
		return (-1);
	if (vmcons_open(&vm->console, vm->spec.console_bytes, e) == -1)
		return (-1);
	vm->figures_fd = figures_open(&vm->figures, vm->spec.ncpus, e);
	if (vm->figures_fd == -1)
		return (-1);
	conf.figures = vm->figures;
	if (machine_open(&vm->machine, &conf, e) == -1)
		return (-1);
	fd_close(&vm->fd[VMFD_KVM]);
	return (0);
}

int
vmproc_go(struct vm *vm, struct err *e)
{
	if (vm->fd[VMFD_KVM] == -1 || vm->fd[VMFD_KERNEL] == -1)
		return (err_set(e, EINVAL, "VM_GO came before %s",
		    vm->fd[VMFD_KVM] == -1 ? "/dev/kvm" : "the kernel"));
	vm->state = VM_STARTING;
	if (vm_make(vm, e) == -1 || sandbox_filter_enter(&filter_vm, e) == -1)
		return (-1);
	if (boot_img_fd(&vm->kernel, vm->fd[VMFD_KERNEL], e) == -1)
		return (err_prefix(e, "kernel"));
	if (vm->fd[VMFD_INITRD] != -1 &&
	    boot_img_fd(&vm->initrd, vm->fd[VMFD_INITRD], e) == -1)
		return (err_prefix(e, "initrd"));
	return (machine_start(vm->machine, e));
}

static void
on_grace(int fd, short what, void *arg)
{
	struct err e;

	(void)fd;
	(void)what;
	err_set(&e, ETIMEDOUT, "did not shut down in time, powered off");
	vmproc_end(arg, WHAT_POWEROFF, &e);
}

/* Ask the guest; a paused one cannot hear, so it is let go first. */
static int
op_stop(struct vm *vm, uint32_t grace_ms, struct err *e)
{
	struct timeval tv;

	if (grace_ms == 0)
		grace_ms = vm->spec.grace_ms;
	if (vm->grace_ev == NULL)
		vm->grace_ev = evtimer_new(vm->base, on_grace, vm);
	tv.tv_sec = grace_ms / 1000;
	tv.tv_usec = (suseconds_t)(grace_ms % 1000) * 1000;
	if (vm->grace_ev == NULL || evtimer_add(vm->grace_ev, &tv) == -1)
		return (err_set(e, ENOMEM, "no memory for a timer"));
	machine_unpause(vm->machine);
	machine_power_button(vm->machine);
	vm->stopping = true;
	vm_state(vm, VM_STOPPING);
	return (0);
}

static int
op_reset(struct vm *vm, struct err *e)
{
	struct err why;

	if (machine_reset(vm->machine, e) == -1)
		return (-1);
	err_set(&why, 0, "by request");
	vmlink_event(vm, WHAT_RESET, &why);
	return (0);
}

static int
op_pause(struct vm *vm, struct err *e)
{
	if (!vm_goes(vm))
		return (err_set(e, EINVAL, "vm %s is %s, not running",
		    vm->spec.name, vm_state_name(vm->state)));
	machine_pause(vm->machine);
	vm_state(vm, VM_PAUSED);
	return (0);
}

static int
op_unpause(struct vm *vm, struct err *e)
{
	if (vm->state != VM_PAUSED)
		return (err_set(e, EINVAL, "vm %s is %s, not paused",
		    vm->spec.name, vm_state_name(vm->state)));
	machine_unpause(vm->machine);
	vm_state(vm, vm->stopping ? VM_STOPPING : VM_RUNNING);
	return (0);
}

int
vmproc_op(struct vm *vm, const struct msg_vm_op *op, struct err *e)
{
	if (vm->machine == NULL)
		return (err_set(e, EINVAL, "the VM does not run yet"));
	switch ((enum vm_op)op->op) {
	case OP_PAUSE:
		return (op_pause(vm, e));
	case OP_UNPAUSE:
		return (op_unpause(vm, e));
	case OP_RESET:
		return (op_reset(vm, e));
	case OP_STOP:
		return (op_stop(vm, op->grace_ms, e));
	case OP_KILL:
		vmproc_end(vm, WHAT_POWEROFF, NULL);
		return (0);
	case OP_N:
		break;
	}
	return (err_set(e, EINVAL, "unknown operation %u", op->op));
}

/* A terminal's signals are not for guests; the daemon's word is. */
static void
vm_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE,
		SIGTERM };
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static int
vm_init(struct vm *vm, const struct proc_start *start, struct err *e)
{
	size_t i;

	/* vCPU threads do not allocate: one arena will do. */
	mallopt(M_ARENA_MAX, 1);
	vm_signals();
	vm->start = start;
	vm->figures_fd = -1;
	for (i = 0; i < VMFD_N; i++)
		vm->fd[i] = -1;
	for (i = 0; i < VM_DEVS_MAX; i++)
		vm->dev[i].page_fd = vm->dev[i].sock = -1;
	vm->status = 1;
	if ((vm->base = event_base_new()) == NULL)
		return (err_set(e, ENOMEM, "no memory for events"));
	return (vmlink_open(vm, e));
}

/*
 * Run until the end.  Nothing is taken apart: the exit does that, and KVM takes
 * its time with it, when the last word is already sent.
 */
int
vm_run(const struct proc_start *start)
{
	static struct vm vm;
	struct err e;

	if (vm_init(&vm, start, &e) == -1) {
		log_warnx("%s", e.text);
		return (1);
	}
	event_base_dispatch(vm.base);
	vmlink_close(&vm);
	return (vm.status);
}
