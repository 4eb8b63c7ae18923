/* SPDX-License-Identifier: ISC */
/*
 * hv_kvm: T40 and T76 on data, and tiny real-mode guests where /dev/kvm opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/hv/kvm_x86.h"
#include "regress/lib/tap.h"

#define GUEST_GPA 0x1000
#define MIB (1ull << 20)

struct rig {
	int kvm;
	struct mem mem;
	struct hv_vm *vm;
	struct hv_vcpu *cpu;
	struct hv_exit x;
};

static int
kvm_fd(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd == -1)
		tap_skip("/dev/kvm cannot be opened");
	return (fd);
}

static struct hv_regs
real_mode(uint64_t rip)
{
	struct hv_seg code = {
		.limit = 0xffff, .type = 11, .s = 1, .present = 1
	};
	struct hv_seg data = {
		.limit = 0xffff, .type = 3, .s = 1, .present = 1
	};
	struct hv_seg tr = { .limit = 0xffff, .type = 11, .present = 1 };

	return ((struct hv_regs){
	    .rip = rip,
	    .rsp = 0x8000,
	    .cr0 = 0x10,
	    .cs = code,
	    .ds = data,
	    .ss = data,
	    .tr = tr,
	    .idt_limit = 0x3ff,
	});
}

/* One vCPU, 2 MiB, code at GUEST_GPA, entered in real mode. */
static bool
rig_open(struct rig *r, const void *code, size_t len)
{
	struct hv_vm_conf c = { .ncpus = 1 };
	struct hv_regs regs = real_mode(GUEST_GPA);
	struct err e;

	memset(r, 0, sizeof(*r));
	if ((r->kvm = kvm_fd()) == -1)
		return (false);
	err_clear(&e);
	if (mem_open(&r->mem, "t", 2 * MIB, false, &e) == -1)
		goto fail;
	c.kvm_fd = r->kvm;
	c.mem = &r->mem;
	if (hv_kvm.vm_open(&r->vm, &c, &e) == -1)
		goto fail;
	close(r->kvm); /* it may go */
	if (hv_kvm.vcpu_open(&r->cpu, r->vm, 0, &e) == -1 ||
	    hv_kvm.mark(r->vm, &e) == -1 ||
	    hv_kvm.boot(r->cpu, &regs, &e) == -1)
		goto fail;
	memcpy(mem_ptr(&r->mem, GUEST_GPA, len), code, len);
	return (true);
fail:
	tap_fail(__FILE__, __LINE__, "%s", e.text);
	return (false);
}

static void
rig_close(struct rig *r)
{
	hv_kvm.vcpu_close(r->cpu);
	hv_kvm.vm_close(r->vm);
	mem_close(&r->mem);
}

static void
t_io(void)
{
	/* in al,0x71; inc al; out 0x70,al; mov ax,[0]; hlt */
	static const uint8_t code[] = { 0xe4, 0x71, 0xfe, 0xc0, 0xe6, 0x70,
		0xba, 0x34, 0x12, 0xed, 0xf4 }; /* mov dx,0x1234; in ax,dx */
	struct rig r;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_IO);
	CHECK_EQ(r.x.addr, 0x71);
	CHECK_EQ(r.x.count, 1);
	CHECK_EQ(r.x.len_bytes, 1);
	CHECK(!r.x.write);
	*(uint8_t *)r.x.data = 0x41;
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_IO);
	CHECK_EQ(r.x.addr, 0x70);
	CHECK(r.x.write);
	CHECK_EQ(*(uint8_t *)r.x.data, 0x42);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0x1234);
	CHECK_EQ(r.x.len_bytes, 2);
	CHECK_EQ(hv_kvm.rip(r.cpu), GUEST_GPA + 10); /* settled past it */
	rig_close(&r);
}

static void
t_mmio(void)
{
	/* mov ax,0xd000>>? : real mode reaches 1 MiB + 64 KiB only; RAM is 2 MiB,
	 * so use a 32-bit address: mov ebx,0xd0000000; mov [ebx],al (unreal) */
	static const uint8_t code[] = { 0x66, 0xbb, 0x00, 0x00, 0x00, 0xd0,
		0xb0, 0x5a, 0x67, 0x88, 0x03, 0xf4 };
	struct hv_regs regs = real_mode(GUEST_GPA);
	struct err e;
	struct rig r;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	regs.ds.limit = 0xffffffff;
	regs.ds.g = 1;
	CHECK_EQ(hv_kvm.boot(r.cpu, &regs, &e), 0);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_MMIO);
	CHECK_EQ(r.x.addr, 0xd0000000);
	CHECK(r.x.write);
	CHECK_EQ(r.x.len_bytes, 1);
	CHECK_EQ(*(uint8_t *)r.x.data, 0x5a);
	rig_close(&r);
}

static void *
kicker(void *arg)
{
	hv_kvm.kick(arg);
	return (NULL);
}

static void
t_kick(void)
{
	static const uint8_t code[] = { 0xeb, 0xfe }; /* jmp . */
	pthread_t t;
	struct rig r;
	int i;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	hv_kvm.kick(r.cpu); /* before the call is as good as during */
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_INTR);
	for (i = 0; i < 50; i++) { /* hangs when a kick is lost */
		REQUIRE(pthread_create(&t, NULL, kicker, r.cpu) == 0);
		CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
		CHECK_EQ(r.x.why, HV_INTR);
		pthread_join(t, NULL);
	}
	CHECK_EQ(hv_kvm.rip(r.cpu), GUEST_GPA);
	rig_close(&r);
}

/* Two states of a vCPU, but for what time moves. */
static void
check_same(const struct kvm_cpu_state *a, const struct kvm_cpu_state *b)
{
	uint32_t i;

	CHECK(memcmp(&a->regs, &b->regs, sizeof(a->regs)) == 0);
	CHECK(memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)) == 0);
	CHECK(memcmp(&a->events, &b->events, sizeof(a->events)) == 0);
	CHECK(memcmp(&a->lapic, &b->lapic, sizeof(a->lapic)) == 0);
	CHECK(memcmp(&a->xcrs, &b->xcrs, sizeof(a->xcrs)) == 0);
	CHECK(memcmp(&a->debug, &b->debug, sizeof(a->debug)) == 0);
	CHECK_EQ(a->mp.mp_state, b->mp.mp_state);
	REQUIRE(a->msrs->nmsrs == b->msrs->nmsrs);
	for (i = 0; i < a->msrs->nmsrs; i++)
		if (a->msrs->entries[i].data != b->msrs->entries[i].data)
			tap_fail(__FILE__, __LINE__,
			    "MSR 0x%x is 0x%llx, "
			    "was 0x%llx",
			    a->msrs->entries[i].index,
			    (unsigned long long)b->msrs->entries[i].data,
			    (unsigned long long)a->msrs->entries[i].data);
}

static void
t_reset(void)
{
	/*
	 * mov ebp,0x1234; mov ecx,0x174 (SYSENTER_CS); mov eax,0x55;
	 * xor edx,edx; wrmsr; mov ax,0x10fb; mov es,ax; out 0x21,al; out 0x80,al
	 */
	static const uint8_t code[] = { 0x66, 0xbd, 0x34, 0x12, 0, 0, 0x66,
		0xb9, 0x74, 0x01, 0, 0, 0x66, 0xb8, 0x55, 0, 0, 0, 0x66, 0x31,
		0xd2, 0x0f, 0x30, 0xb8, 0xfb, 0x10, 0x8e, 0xc0, 0xe6, 0x21,
		0xe6, 0x80, 0xf4 };
	struct kvm_cpu_state first;
	struct kvm_chips chips;
	struct rig r;
	struct err e;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	first = r.cpu->mark;
	chips = r.vm->chips;
	memset(&r.cpu->mark, 0, sizeof(r.cpu->mark));
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_IO); /* 0x21 went to the PIC in the kernel */
	CHECK_EQ(r.x.addr, 0x80);
	hv_kvm.settle(r.cpu);
	CHECK_EQ(hv_kvm.mark(r.vm, &e), 0); /* it did change something */
	CHECK_EQ(r.cpu->mark.regs.rbp, 0x1234);
	CHECK_EQ(r.cpu->mark.sregs.es.selector, 0x10fb);
	CHECK(memcmp(&chips.chip, &r.vm->chips.chip, sizeof(chips.chip)) != 0);
	kvm_cpu_free(&r.cpu->mark);
	r.cpu->mark = first;
	r.vm->chips = chips;
	CHECK_EQ(hv_kvm.reset(r.vm, &e), 0);
	memset(&r.cpu->mark, 0, sizeof(r.cpu->mark));
	CHECK_EQ(hv_kvm.mark(r.vm, &e), 0);
	check_same(&first, &r.cpu->mark);
	CHECK(memcmp(&chips.chip, &r.vm->chips.chip, sizeof(chips.chip)) == 0);
	kvm_cpu_free(&first);
	rig_close(&r);
}

static void
t_triple(void)
{
	static const uint8_t code[] = { 0x0f, 0x0b }; /* ud2, no IDT */
	struct hv_regs regs = real_mode(GUEST_GPA);
	struct err e;
	struct rig r;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	regs.idt_limit = 0;
	regs.cr0 = 0x11;
	regs.cs.db = regs.cs.g = 1;
	regs.cs.limit = 0xffffffff;
	regs.cs.sel = 8;
	CHECK_EQ(hv_kvm.boot(r.cpu, &regs, &e), 0);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.why, HV_SHUTDOWN);
	rig_close(&r);
}

static const struct kvm_cpuid_entry2 *
leaf(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < c->nent; i++)
		if (c->entries[i].function == function &&
		    c->entries[i].index == index)
			return (&c->entries[i]);
	return (NULL);
}

static struct kvm_cpuid2 *
supported(int fd)
{
	struct kvm_cpuid2 *c;

	c = calloc(1, sizeof(*c) + KVM_CPUID_MAX * sizeof(c->entries[0]));
	c->nent = KVM_CPUID_MAX;
	CHECK_EQ(ioctl(fd, KVM_GET_SUPPORTED_CPUID, c), 0);
	return (c);
}

static void
t_cpuid(void)
{
	static const uint32_t features[] = { 0x1, 0x7, 0xd, 0x80000001,
		0x80000007, 0x40000001 };
	const struct kvm_cpuid_entry2 *a, *b;
	struct kvm_host h;
	struct kvm_cpuid2 *c;
	struct err e;
	size_t i;
	int fd;

	memset(&h, 0, sizeof(h));
	if ((fd = kvm_fd()) == -1)
		return;
	CHECK_EQ(kvm_host_read(&h, fd, 2, &e), 0);
	c = supported(fd);
	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if ((a = leaf(h.cpuid, features[i], 0)) == NULL)
			continue;
		b = leaf(c, features[i], 0);
		REQUIRE(b != NULL);
		/* bit 24: the cap says it; 31: we are one; HTT: two vCPUs */
		CHECK_EQ(a->ecx & ~b->ecx &
			~(features[i] == 1 ? 1u << 24 | 1u << 31 : 0),
		    0);
		CHECK_EQ(
		    a->edx & ~b->edx & ~(features[i] == 1 ? 1u << 28 : 0), 0);
		if (features[i] == 0x7)
			CHECK_EQ(a->ebx & ~b->ebx, 0);
	}
	a = leaf(h.cpuid, 0x1, 0);
	CHECK_EQ(a->ecx & (1u << 5), 0); /* VMX */
	CHECK((a->ecx & (1u << 31)) != 0);
	if ((a = leaf(h.cpuid, 0x80000001, 0)) != NULL)
		CHECK_EQ(a->ecx & 4, 0); /* SVM */
	a = leaf(h.cpuid, 0x40000000, 0);
	REQUIRE(a != NULL);
	CHECK_EQ(a->ebx, 0x4b4d564b); /* "KVMK" */
	kvm_host_free(&h);
	free(c);
	close(fd);
}

/* A host that has everything: what must not be shown is not. */
static void
t_hidden(void)
{
	static const uint32_t leaves[] = { 0x1, 0x7, 0xa, 0x12, 0x80000001,
		0x8000000a };
	struct kvm_cpuid_entry2 *n;
	struct kvm_host h;
	size_t i;

	memset(&h, 0, sizeof(h));
	h.cpuid = calloc(
	    1, sizeof(*h.cpuid) + KVM_CPUID_MAX * sizeof(h.cpuid->entries[0]));
	for (i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		n = &h.cpuid->entries[h.cpuid->nent++];
		memset(n, 0xff, sizeof(*n));
		n->function = leaves[i];
		n->index = 0;
	}
	kvm_cpuid_filter(&h, 1);
	CHECK_EQ(leaf(h.cpuid, 0x1, 0)->ecx & (1u << 5 | 1u << 3), 0);
	CHECK_EQ(leaf(h.cpuid, 0x7, 0)->ebx & 4, 0);
	CHECK_EQ(leaf(h.cpuid, 0xa, 0)->eax, 0);
	CHECK_EQ(leaf(h.cpuid, 0x12, 0)->eax, 0);
	CHECK_EQ(leaf(h.cpuid, 0x80000001, 0)->ecx & 4, 0);
	CHECK_EQ(leaf(h.cpuid, 0x8000000a, 0)->edx, 0);
	kvm_host_free(&h);
}

/* T76: any exit reason, also one of tomorrow, is an answer with words. */
static void
t_reasons(void)
{
	static const struct {
		uint32_t reason;
		const char *name;
	} row[] = {
		{ KVM_EXIT_UNKNOWN, "UNKNOWN" },
		{ KVM_EXIT_EXCEPTION, "EXCEPTION" },
		{ KVM_EXIT_HYPERCALL, "HYPERCALL" },
		{ KVM_EXIT_DEBUG, "DEBUG" },
		{ KVM_EXIT_FAIL_ENTRY, "FAIL_ENTRY" },
		{ KVM_EXIT_SET_TPR, "SET_TPR" },
		{ KVM_EXIT_TPR_ACCESS, "TPR_ACCESS" },
		{ KVM_EXIT_NMI, "NMI" },
		{ KVM_EXIT_INTERNAL_ERROR, "INTERNAL_ERROR" },
		{ KVM_EXIT_WATCHDOG, "WATCHDOG" },
		{ KVM_EXIT_IOAPIC_EOI, "IOAPIC_EOI" },
		{ KVM_EXIT_HYPERV, "HYPERV" },
		{ KVM_EXIT_X86_RDMSR, "X86_RDMSR" },
		{ KVM_EXIT_X86_WRMSR, "X86_WRMSR" },
		{ KVM_EXIT_DIRTY_RING_FULL, "DIRTY_RING_FULL" },
		{ KVM_EXIT_AP_RESET_HOLD, "AP_RESET_HOLD" },
		{ KVM_EXIT_X86_BUS_LOCK, "X86_BUS_LOCK" },
		{ KVM_EXIT_XEN, "XEN" },
		{ KVM_EXIT_NOTIFY, "NOTIFY" },
		{ 39, "MEMORY_FAULT" },
		{ 1000, "(1000)" },
		{ 0xffffffff, "4294967295" },
	};
	static struct kvm_run run;
	struct hv_vm vm = { .fd = -1 };
	struct hv_vcpu v = { .vm = &vm, .fd = -1, .id = 3, .run = &run };
	struct hv_exit x;
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		memset(&run, 0, sizeof(run));
		memset(&x, 0, sizeof(x));
		run.exit_reason = row[i].reason;
		run.s.regs.regs.rip = 0xfee1dead;
		CHECK_EQ(kvm_exit_decode(&v, &x), 0);
		CHECK_EQ(x.why, HV_ERROR);
		CHECK(x.err.code != 0);
		CHECK_MSG(strstr(x.err.text, row[i].name) != NULL, "%s: %s",
		    row[i].name, x.err.text);
		CHECK_MSG(
		    strstr(x.err.text, "0xfee1dead") != NULL, "%s", x.err.text);
		CHECK(strstr(x.err.text, "vCPU 3") != NULL);
	}
	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run.emulation_failure.ndata = 4;
	run.emulation_failure.flags =
	    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.emulation_failure.insn_size = 255; /* too many */
	memset(run.emulation_failure.insn_bytes, 0x0f, 15);
	CHECK_EQ(kvm_exit_decode(&v, &x), 0);
	CHECK_MSG(strstr(x.err.text, "insn 0f 0f") != NULL, "%s", x.err.text);
}

/* Port writes of the right width count in an eventfd and make no exit. */
static void
t_ioeventfd(void)
{
	/* mov dx,0xc002; out dx,ax; out dx,ax; out dx,al; out 0x80,al; out dx,ax */
	static const uint8_t code[] = { 0xba, 0x02, 0xc0, 0xef, 0xef, 0xee,
		0xe6, 0x80, 0xef, 0xf4 };
	int efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct rig r;
	uint64_t n = 0;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	CHECK_EQ(hv_kvm.ioeventfd(r.vm, efd, false, 0xc002, 2, NULL, true), 0);
	CHECK_EQ(hv_kvm.ioeventfd(r.vm, efd, false, 0xc002, 2, NULL, true), -1);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0xc002); /* a byte is another access */
	CHECK_EQ(r.x.len_bytes, 1);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0x80);
	CHECK_EQ(read(efd, &n, sizeof(n)), sizeof(n));
	CHECK_EQ(n, 2);
	CHECK_EQ(hv_kvm.ioeventfd(r.vm, efd, false, 0xc002, 2, NULL, false), 0);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0xc002);
	CHECK_EQ(r.x.len_bytes, 2);
	rig_close(&r);
	close(efd);
}

static void
t_irqfd(void)
{
	/* mov dword [0xfee000f0],0x1ff; out 0x80,al; sti; 1: hlt; jmp 1b
	 * 0x1018: out 0x81,al; mov dword [0xfee000b0],0; iret */
	static const uint8_t code[] = { 0x66, 0x67, 0xc7, 0x05, 0xf0, 0x00,
		0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00, 0xe6, 0x80, 0xfb, 0xf4,
		0xeb, 0xfd, 0, 0, 0, 0, 0, 0, 0xe6, 0x81, 0x66, 0x67, 0xc7,
		0x05, 0xb0, 0x00, 0xe0, 0xfe, 0, 0, 0, 0, 0xcf };
	static const uint16_t entry[2] = { GUEST_GPA + 0x18, 0 };
	struct hv_route route[2] = {
		{ .gsi = HV_MSI_GSI + 7, .addr = 0xfee00000, .data = 0x42 },
		{ .gsi = HV_MSI_GSI + 9, .addr = 0xfee00000, .data = 0x41 },
	};
	struct hv_regs regs = real_mode(GUEST_GPA);
	int efd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t one = 1;
	struct rig r;

	if (!rig_open(&r, code, sizeof(code)))
		return;
	regs.ds.limit = 0xffffffff;
	regs.ds.g = 1;
	CHECK_EQ(hv_kvm.boot(r.cpu, &regs, NULL), 0);
	mem_write(&r.mem, 0x41 * 4, entry, sizeof(entry));
	CHECK_EQ(hv_kvm.routes(r.vm, route, HV_ROUTES_MAX + 1), -1);
	CHECK_EQ(hv_kvm.routes(r.vm, route, 2), 0);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0x80); /* its local APIC is on */
	CHECK_EQ(hv_kvm.irqfd(r.vm, efd, HV_MSI_GSI + 9, true), 0);
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0); /* it was full already */
	CHECK_EQ(r.x.addr, 0x81);
	CHECK_EQ(write(efd, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(hv_kvm.run(r.cpu, &r.x), 0);
	CHECK_EQ(r.x.addr, 0x81);
	CHECK_EQ(hv_kvm.irqfd(r.vm, efd, HV_MSI_GSI + 9, false), 0);
	CHECK_EQ(write(efd, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(read(efd, &one, sizeof(one)), sizeof(one)); /* still there */
	rig_close(&r);
	close(efd);
}

static const struct tap_case cases[] = {
	{ "T76 kvm: every exit reason has a name and a RIP", t_reasons },
	{ "T40 kvm: CPUID is a subset, no VMX, no SVM", t_cpuid },
	{ "T40 kvm: VMX, SVM, SGX and counters are hidden", t_hidden },
	{ "kvm: port exits, in and out", t_io },
	{ "kvm: memory exits", t_mmio },
	{ "kvm: no kick is lost", t_kick },
	{ "kvm: ioeventfd: a write of its width makes no exit", t_ioeventfd },
	{ "kvm: irqfd: a message by its route", t_irqfd },
	{ "kvm: reset brings power-on state back", t_reset },
	{ "kvm: a triple fault is a shutdown", t_triple },
};
TAP_MAIN(cases)
