/* SPDX-License-Identifier: ISC */
/*
 * KVM: the VM, its exits, interrupts and kicks.  See hv.h.
 * Runs in: vm process.  Trusts: the kernel.  Reference: Linux,
 * Documentation/virt/kvm/api.rst (sections in brackets).
 *
 * A kick is immediate_exit in the run page and then a signal whose handler does
 * nothing [4.10, kvm_run]: whether it finds the vCPU inside KVM_RUN or on its
 * way there, KVM_RUN returns.  So a vCPU thread needs no signal mask call and
 * no sigtimedwait in its seccomp filter, only rt_sigreturn.
 *
 * Registers travel in the run page too [KVM_CAP_SYNC_REGS]: entry point, reset
 * and the RIP of an error cost no ioctl of their own.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/hv/hv.h"
#include "daemon/hv/kvm_x86.h"

#define KICK_SIGNAL SIGUSR1

/* Intel's real mode needs three pages and one [4.52, 4.41]; free addresses. */
#define KVM_TSS_GPA 0xfffbd000ul
#define KVM_IDENTITY_GPA 0xfffbc000ull

/* T76: an exit that nothing here handles is still called by its name. */
static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "UNKNOWN",
	[KVM_EXIT_EXCEPTION] = "EXCEPTION",
	[KVM_EXIT_IO] = "IO",
	[KVM_EXIT_HYPERCALL] = "HYPERCALL",
	[KVM_EXIT_DEBUG] = "DEBUG",
	[KVM_EXIT_HLT] = "HLT",
	[KVM_EXIT_MMIO] = "MMIO",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
	[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
	[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
	[KVM_EXIT_INTR] = "INTR",
	[KVM_EXIT_SET_TPR] = "SET_TPR",
	[KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS",
	[KVM_EXIT_NMI] = "NMI",
	[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	[KVM_EXIT_WATCHDOG] = "WATCHDOG",
	[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
	[KVM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
	[KVM_EXIT_HYPERV] = "HYPERV",
	[KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
	[KVM_EXIT_X86_WRMSR] = "X86_WRMSR",
	[KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
	[KVM_EXIT_AP_RESET_HOLD] = "AP_RESET_HOLD",
	[KVM_EXIT_X86_BUS_LOCK] = "X86_BUS_LOCK",
	[KVM_EXIT_XEN] = "XEN",
	[KVM_EXIT_NOTIFY] = "NOTIFY",
	[38] = "TDX", /* newer than Debian 12's header */
	[39] = "MEMORY_FAULT",
};

static const char *
exit_name(uint32_t reason)
{
	if (reason >= sizeof(exit_names) / sizeof(exit_names[0]) ||
	    exit_names[reason] == NULL)
		return ("?");
	return (exit_names[reason]);
}

/* It only has to interrupt KVM_RUN. */
static void
on_kick(int sig)
{
	(void)sig;
}

static int
vm_slots(int fd, const struct mem *mem, struct err *e)
{
	struct kvm_userspace_memory_region r;
	unsigned i;

	for (i = 0; i < mem->nslots; i++) {
		memset(&r, 0, sizeof(r));
		r.slot = i;
		r.guest_phys_addr = mem->slot[i].gpa;
		r.memory_size = mem->slot[i].len_bytes;
		r.userspace_addr =
		    (uintptr_t)mem->base + mem->slot[i].off_bytes;
		if (ioctl(fd, KVM_SET_USER_MEMORY_REGION, &r) == -1)
			return (err_errno(e,
			    "KVM refuses %llu bytes of memory at 0x%llx",
			    (unsigned long long)r.memory_size,
			    (unsigned long long)r.guest_phys_addr));
	}
	return (0);
}

/*
 * The order is for speed: a memory slot set after the irqchip waits for a grace
 * period of the kernel, some 7 ms; and TSS and identity map are slots as well.
 */
static int
vm_build(int fd, const struct mem *mem, struct err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = KVM_IDENTITY_GPA;

	if (vm_slots(fd, mem, e) == -1)
		return (-1);
	if (ioctl(fd, KVM_SET_TSS_ADDR, KVM_TSS_GPA) == -1)
		return (err_errno(e, "KVM_SET_TSS_ADDR"));
	if (ioctl(fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) == -1)
		return (err_errno(e, "KVM_SET_IDENTITY_MAP_ADDR"));
	if (ioctl(fd, KVM_CREATE_IRQCHIP, 0) == -1)
		return (err_errno(e, "KVM_CREATE_IRQCHIP"));
	if (ioctl(fd, KVM_CREATE_PIT2, &pit) == -1)
		return (err_errno(e, "KVM_CREATE_PIT2"));
	return (0);
}

static void
kvm_vm_close(struct hv_vm *vm)
{
	if (vm == NULL)
		return;
	kvm_host_free(&vm->host);
	free(vm->routes);
	if (vm->fd != -1)
		close(vm->fd);
	free(vm);
}

static int
kvm_vm_open(struct hv_vm **out, const struct hv_vm_conf *c, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };
	struct hv_vm *vm;

	if (c->ncpus < 1 || c->ncpus > KVM_VCPUS)
		return (err_set(e, EINVAL, "%u vCPUs: must be 1 to %d",
		    c->ncpus, KVM_VCPUS));
	if ((vm = calloc(1, sizeof(*vm))) == NULL)
		return (err_errno(e, "cannot make a VM"));
	vm->fd = -1;
	vm->ncpus = c->ncpus;
	vm->pid = getpid();
	if ((vm->routes = calloc(1, KVM_ROUTES_BYTES)) == NULL) {
		err_errno(e, "cannot make a VM");
		goto fail;
	}
	if (kvm_host_read(&vm->host, c->kvm_fd, c->ncpus, e) == -1)
		goto fail;
	if ((vm->fd = ioctl(c->kvm_fd, KVM_CREATE_VM, 0)) == -1) {
		err_errno(e, "KVM cannot make a VM");
		goto fail;
	}
	if (vm_build(vm->fd, c->mem, e) == -1)
		goto fail;
	sigemptyset(&sa.sa_mask);
	if (sigaction(KICK_SIGNAL, &sa, NULL) == -1) {
		err_errno(e, "sigaction");
		goto fail;
	}
	*out = vm;
	return (0);
fail:
	kvm_vm_close(vm);
	return (-1);
}

static int
kvm_line(struct hv_vm *vm, unsigned gsi, bool level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	return (ioctl(vm->fd, KVM_IRQ_LINE, &l));
}

static int
kvm_msi(struct hv_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi m = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	return (ioctl(vm->fd, KVM_SIGNAL_MSI, &m) == -1 ? -1 : 0);
}

static void
route_pin(struct kvm_irq_routing *r, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	r->entries[r->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* KVM_SET_GSI_ROUTING [4.51] takes the place of all: the default ones too. */
static void
route_pins(struct kvm_irq_routing *r)
{
	uint32_t i;

	for (i = 0; i < 24; i++) {
		route_pin(r, i, KVM_IRQCHIP_IOAPIC, i);
		if (i < 16)
			route_pin(r, i,
			    i < 8 ? KVM_IRQCHIP_PIC_MASTER
				  : KVM_IRQCHIP_PIC_SLAVE,
			    i & 7);
	}
}

static int
kvm_routes(struct hv_vm *vm, const struct hv_route *route, unsigned n)
{
	struct kvm_irq_routing *r = vm->routes;
	unsigned i;

	if (n > HV_ROUTES_MAX) {
		errno = E2BIG;
		return (-1);
	}
	memset(r, 0, KVM_ROUTES_BYTES);
	route_pins(r);
	for (i = 0; i < n; i++)
		r->entries[r->nr++] = (struct kvm_irq_routing_entry){
			.gsi = route[i].gsi,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = (uint32_t)route[i].addr,
			    .address_hi = (uint32_t)(route[i].addr >> 32),
			    .data = route[i].data },
		};
	return (ioctl(vm->fd, KVM_SET_GSI_ROUTING, r));
}

static int
kvm_irqfd(struct hv_vm *vm, int efd, unsigned gsi, bool assign)
{
	struct kvm_irqfd q = {
		.fd = (uint32_t)efd,
		.gsi = gsi,
		.flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return (ioctl(vm->fd, KVM_IRQFD, &q));
}

static int
kvm_ioeventfd(struct hv_vm *vm, int efd, bool mmio, uint64_t addr,
    unsigned len_bytes, const uint64_t *match, bool assign)
{
	struct kvm_ioeventfd q = {
		.addr = addr,
		.len = len_bytes,
		.fd = efd,
		.datamatch = match != NULL ? *match : 0,
	};

	if (!mmio)
		q.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (match != NULL)
		q.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	if (!assign)
		q.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	return (ioctl(vm->fd, KVM_IOEVENTFD, &q));
}

static int
chips_read(struct hv_vm *vm, struct err *e)
{
	uint32_t i;

	for (i = 0; i < 3; i++) {
		vm->chips.chip[i].chip_id = i;
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &vm->chips.chip[i]) == -1)
			return (err_errno(e, "KVM_GET_IRQCHIP %u", i));
	}
	if (ioctl(vm->fd, KVM_GET_PIT2, &vm->chips.pit) == -1)
		return (err_errno(e, "KVM_GET_PIT2"));
	if (ioctl(vm->fd, KVM_GET_CLOCK, &vm->chips.clock) == -1)
		return (err_errno(e, "KVM_GET_CLOCK"));
	vm->chips.clock.flags = 0; /* set it as it is, add no time passed */
	return (0);
}

static int
chips_write(struct hv_vm *vm, struct err *e)
{
	uint32_t i;

	for (i = 0; i < 3; i++)
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &vm->chips.chip[i]) == -1)
			return (err_errno(e, "KVM_SET_IRQCHIP %u", i));
	if (ioctl(vm->fd, KVM_SET_PIT2, &vm->chips.pit) == -1)
		return (err_errno(e, "KVM_SET_PIT2"));
	if (ioctl(vm->fd, KVM_SET_CLOCK, &vm->chips.clock) == -1)
		return (err_errno(e, "KVM_SET_CLOCK"));
	return (0);
}

static int
kvm_mark(struct hv_vm *vm, struct err *e)
{
	unsigned i;

	for (i = 0; i < vm->ncpus; i++)
		if (vm->vcpu[i] != NULL && kvm_cpu_mark(vm->vcpu[i], e) == -1)
			return (-1);
	return (chips_read(vm, e));
}

static int
kvm_reset(struct hv_vm *vm, struct err *e)
{
	unsigned i;

	for (i = 0; i < vm->ncpus; i++)
		if (vm->vcpu[i] != NULL && kvm_cpu_reset(vm->vcpu[i], e) == -1)
			return (-1);
	return (chips_write(vm, e));
}

static void
kvm_hold(struct hv_vm *vm)
{
	if (ioctl(vm->fd, KVM_GET_CLOCK, &vm->held) == -1)
		vm->held.clock = 0;
}

/* Guest time goes on where it stood; its watchdogs are told of the gap. */
static void
kvm_release(struct hv_vm *vm)
{
	unsigned i;

	vm->held.flags = 0;
	if (vm->held.clock != 0)
		(void)ioctl(vm->fd, KVM_SET_CLOCK, &vm->held);
	if (!vm->host.clock_ctrl)
		return;
	/* EINVAL: a guest that does not use kvmclock [4.73]. */
	for (i = 0; i < vm->ncpus; i++)
		if (vm->vcpu[i] != NULL)
			(void)ioctl(vm->vcpu[i]->fd, KVM_KVMCLOCK_CTRL, 0);
}

static void
kvm_vcpu_close(struct hv_vcpu *v)
{
	if (v == NULL)
		return;
	if (v->vm->vcpu[v->id] == v)
		v->vm->vcpu[v->id] = NULL;
	kvm_cpu_free(&v->mark);
	if (v->run != NULL)
		munmap(v->run, v->vm->host.run_bytes);
	if (v->fd != -1)
		close(v->fd);
	free(v);
}

static int
kvm_vcpu_open(
    struct hv_vcpu **out, struct hv_vm *vm, unsigned id, struct err *e)
{
	struct hv_vcpu *v;
	void *p;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		return (err_errno(e, "cannot make vCPU %u", id));
	v->vm = vm;
	v->id = id;
	v->tid = gettid();
	if ((v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)id)) == -1) {
		err_errno(e, "KVM cannot make vCPU %u", id);
		goto fail;
	}
	p = mmap(NULL, vm->host.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
	    v->fd, 0);
	if (p == MAP_FAILED) {
		err_errno(e, "cannot map the run page of vCPU %u", id);
		goto fail;
	}
	v->run = p;
	if (kvm_cpu_init(v, e) == -1)
		goto fail;
	vm->vcpu[id] = v;
	*out = v;
	return (0);
fail:
	kvm_vcpu_close(v);
	return (-1);
}

static void
kvm_kick(struct hv_vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/* Not pthread_kill(3), which takes three more system calls. */
	(void)syscall(SYS_tgkill, v->vm->pid, v->tid, KICK_SIGNAL);
}

/* Into KVM_RUN and out: finishes the last exit, does not run the guest. */
static void
kvm_settle(struct hv_vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	(void)ioctl(v->fd, KVM_RUN, 0);
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

static uint64_t
kvm_rip(struct hv_vcpu *v)
{
	v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	kvm_settle(v);
	v->run->kvm_valid_regs = 0;
	return (v->run->s.regs.regs.rip);
}

static const char *
suberror_name(uint32_t n)
{
	static const char *const names[] = {
		"unknown",
		"cannot emulate an instruction",
		"simultaneous exceptions",
		"exit while delivering an event",
		"unexpected hardware exit",
	};

	return (n < sizeof(names) / sizeof(names[0]) ? names[n] : names[0]);
}

/* " insn 0f 01 c1": what the kernel could not emulate, where it says so. */
static void
insn_text(const struct kvm_run *r, char *buf, size_t size)
{
	size_t i, n, at;

	buf[0] = '\0';
	if (r->emulation_failure.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    r->emulation_failure.ndata < 3 ||
	    !(r->emulation_failure.flags &
		KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	n = r->emulation_failure.insn_size;
	if (n > sizeof(r->emulation_failure.insn_bytes))
		n = sizeof(r->emulation_failure.insn_bytes);
	at = (size_t)snprintf(buf, size, ", insn");
	for (i = 0; i < n && at + 4 <= size; i++)
		at += (size_t)snprintf(buf + at, size - at, " %02x",
		    r->emulation_failure.insn_bytes[i]);
}

static int
exit_error(struct hv_vcpu *v, struct hv_exit *x)
{
	struct kvm_run copy = *v->run; /* kvm_rip() enters the kernel again */
	unsigned long long rip = kvm_rip(v);
	char insn[64];

	x->why = HV_ERROR;
	switch (copy.exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		err_set(&x->err, EIO,
		    "vCPU %u: KVM exit FAIL_ENTRY, hardware reason 0x%llx, "
		    "RIP 0x%llx",
		    v->id,
		    (unsigned long long)
			copy.fail_entry.hardware_entry_failure_reason,
		    rip);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		insn_text(&copy, insn, sizeof(insn));
		err_set(&x->err, EIO,
		    "vCPU %u: KVM exit INTERNAL_ERROR %u (%s), RIP 0x%llx%s",
		    v->id, copy.internal.suberror,
		    suberror_name(copy.internal.suberror), rip, insn);
		break;
	case KVM_EXIT_UNKNOWN:
		err_set(&x->err, EIO,
		    "vCPU %u: KVM exit UNKNOWN, hardware reason 0x%llx, "
		    "RIP 0x%llx",
		    v->id, (unsigned long long)copy.hw.hardware_exit_reason,
		    rip);
		break;
	case KVM_EXIT_EXCEPTION:
		err_set(&x->err, EIO,
		    "vCPU %u: KVM exit EXCEPTION %u, code 0x%x, RIP 0x%llx",
		    v->id, copy.ex.exception, copy.ex.error_code, rip);
		break;
	default:
		err_set(&x->err, ENOTSUP,
		    "vCPU %u: KVM exit %s (%u), which vmd did not ask for, "
		    "RIP 0x%llx",
		    v->id, exit_name(copy.exit_reason), copy.exit_reason, rip);
		break;
	}
	return (0);
}

static int
run_failed(struct hv_vcpu *v, struct hv_exit *x, int code)
{
	x->why = HV_ERROR;
	err_set(&x->err, code, "vCPU %u: KVM_RUN: %s, last exit %s%s", v->id,
	    strerror(code), exit_name(v->run->exit_reason),
	    code == EFAULT ? "; is the host out of memory?" : "");
	return (0);
}

int
kvm_exit_decode(struct hv_vcpu *v, struct hv_exit *x)
{
	struct kvm_run *r = v->run;

	switch (r->exit_reason) {
	case KVM_EXIT_IO:
		x->why = HV_IO;
		x->addr = r->io.port;
		x->data = (uint8_t *)r + r->io.data_offset;
		x->count = r->io.count;
		x->len_bytes = r->io.size;
		x->write = r->io.direction == KVM_EXIT_IO_OUT;
		return (0);
	case KVM_EXIT_MMIO:
		x->why = HV_MMIO;
		x->addr = r->mmio.phys_addr;
		x->data = r->mmio.data;
		x->count = 1;
		x->len_bytes = (uint8_t)r->mmio.len;
		x->write = r->mmio.is_write != 0;
		return (0);
	case KVM_EXIT_HLT:
		x->why = HV_HLT;
		return (0);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		x->why = HV_INTR;
		return (0);
	case KVM_EXIT_SHUTDOWN:
		x->why = HV_SHUTDOWN;
		return (0);
	case KVM_EXIT_SYSTEM_EVENT:
		x->why = HV_SYSTEM;
		x->system = r->system_event.type;
		return (0);
	default:
		return (exit_error(v, x));
	}
}

static int
kvm_run(struct hv_vcpu *v, struct hv_exit *x)
{
	x->count = 0;
	while (ioctl(v->fd, KVM_RUN, 0) == -1) {
		/* EAGAIN: a waiting processor was just given its SIPI. */
		if (errno == EAGAIN)
			continue;
		if (errno != EINTR)
			return (run_failed(v, x, errno));
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		x->why = HV_INTR;
		return (0);
	}
	return (kvm_exit_decode(v, x));
}

const unsigned long hv_kvm_vcpu_ioctls[] = {
	KVM_RUN,
	KVM_IRQ_LINE,   /* devices answer in the vCPU's thread */
	KVM_SIGNAL_MSI, /* likewise */
	0,
};

const unsigned long hv_kvm_main_ioctls[] = {
	KVM_IRQ_LINE,   /* keys, timers, the power button */
	KVM_SIGNAL_MSI, /* timers of devices with MSI-X */
	KVM_SET_GSI_ROUTING,
	KVM_IRQFD, /* devices in processes of their own, and so is the next */
	KVM_IOEVENTFD,
	KVM_GET_CLOCK,     /* hold */
	KVM_SET_CLOCK,     /* release, reset */
	KVM_KVMCLOCK_CTRL, /* release */
	KVM_SET_IRQCHIP,   /* reset, and so is all below */
	KVM_SET_PIT2,
	KVM_SET_REGS,
	KVM_SET_SREGS,
	KVM_SET_VCPU_EVENTS,
	KVM_SET_XCRS,
	KVM_SET_DEBUGREGS,
	KVM_SET_LAPIC,
	KVM_SET_MP_STATE,
	KVM_SET_XSAVE,
	KVM_SET_MSRS,
	0,
};

const struct hv_ops hv_kvm = {
	.name = "kvm",
	.vm_open = kvm_vm_open,
	.vm_close = kvm_vm_close,
	.line = kvm_line,
	.msi = kvm_msi,
	.routes = kvm_routes,
	.irqfd = kvm_irqfd,
	.ioeventfd = kvm_ioeventfd,
	.mark = kvm_mark,
	.reset = kvm_reset,
	.hold = kvm_hold,
	.release = kvm_release,
	.vcpu_open = kvm_vcpu_open,
	.vcpu_close = kvm_vcpu_close,
	.boot = kvm_cpu_boot,
	.run = kvm_run,
	.kick = kvm_kick,
	.settle = kvm_settle,
	.rip = kvm_rip,
};
