/* SPDX-License-Identifier: ISC */
/*
 * KVM: what is of x86.  CPUID, MSRs, and the whole state of a vCPU, to be
 * remembered at power-on and put back at a guest's reset.
 * Runs in: vm process.  Trusts: the kernel.
 * References: Intel SDM 2A (CPUID) and 3A, AMD APM 3 appendix E,
 * Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "daemon/hv/kvm_x86.h"
#include "shared/log.h"

#define MSR_TSC 0x10
#define MSR_TSC_ADJUST 0x3b
#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 0x1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_WRITE_BACK 0x806 /* enabled, fixed ranges off, type 6 */

#define EBX1_HTT (1u << 28)
#define ECX1_MONITOR (1u << 3)
#define ECX1_VMX (1u << 5)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR (1u << 31)
#define EBX7_SGX (1u << 2)
#define EXT_SVM (1u << 2)      /* 0x80000001 ecx */
#define EXT_PERFCTR (3u << 23) /* AMD's extended counters, same place */
#define EXT_TOPOEXT (1u << 22)

#define LEAF_KVM 0x40000000u
#define LEAF_KVM_TSC 0x40000010u /* eax: TSC kHz, ebx: local APIC timer kHz */
#define APIC_BUS_KHZ 1000000     /* KVM counts the APIC timer in ns */

static struct kvm_cpuid2 *
cpuid_alloc(void)
{
	struct kvm_cpuid2 *c;

	c = calloc(
	    1, sizeof(*c) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	if (c != NULL)
		c->nent = KVM_CPUID_MAX;
	return (c);
}

/* Bits of x that are needed to number n things. */
static unsigned
width(unsigned n)
{
	unsigned w = 0;

	while ((1u << w) < n)
		w++;
	return (w);
}

static void
leaf_clear(struct kvm_cpuid_entry2 *c)
{
	c->eax = c->ebx = c->ecx = c->edx = 0;
}

/*
 * T40: what every vCPU of the guest is told; only ever fewer feature bits than
 * KVM supports.  No virtualisation inside, no counters (their MSRs cost exits),
 * no SGX.  TSC_DEADLINE is KVM's own exception: it is there with its irqchip.
 */
static void
cpuid_features(
    struct kvm_cpuid_entry2 *c, const struct kvm_host *h, unsigned ncpus)
{
	switch (c->function) {
	case 0x1:
		c->ecx &= ~(ECX1_MONITOR | ECX1_VMX);
		c->ecx |= ECX1_HYPERVISOR;
		if (h->tsc_deadline)
			c->ecx |= ECX1_TSC_DEADLINE;
		c->ebx = (c->ebx & 0xff00) | (ncpus << 16);
		c->edx &= ~EBX1_HTT;
		if (ncpus > 1)
			c->edx |= EBX1_HTT;
		break;
	case 0x7:
		if (c->index == 0)
			c->ebx &= ~EBX7_SGX;
		break;
	case 0x5:        /* MONITOR/MWAIT */
	case 0xa:        /* counters */
	case 0x12:       /* SGX */
	case 0x14:       /* processor trace */
	case 0x8000000a: /* SVM */
	case 0x80000022: /* AMD counters, version 2 */
		leaf_clear(c);
		break;
	case 0x80000001:
		c->ecx &= ~(EXT_SVM | EXT_PERFCTR);
		if (ncpus == 1)
			c->ecx &= ~EXT_TOPOEXT;
		break;
	case 0x80000008: /* APM 3, E.4.7: cores and the width of their ids */
		c->ecx = ncpus > 1 ? width(ncpus) << 12 | (ncpus - 1) : 0;
		break;
	case LEAF_KVM:
		if (c->eax < LEAF_KVM_TSC)
			c->eax = LEAF_KVM_TSC;
		break;
	}
}

/* One package, a core a vCPU, one thread a core; APIC id = vCPU number. */
static void
cpuid_topology(struct kvm_cpuid_entry2 *c, unsigned id, unsigned ncpus)
{
	switch (c->function) {
	case 0x1:
		c->ebx = (c->ebx & 0xffffff) | id << 24;
		break;
	case 0x4: /* sharing: caches below level 3 by one, it by all */
		if ((c->eax & 0x1f) == 0)
			break;
		c->eax &= 0x3fff;
		c->eax |= ((1u << width(ncpus)) - 1) << 26;
		if (((c->eax >> 5) & 7) >= 3)
			c->eax |= (ncpus - 1) << 14;
		break;
	case 0x8000001d: /* the same for AMD */
		if ((c->eax & 0x1f) == 0)
			break;
		c->eax &= 0x3fff;
		if (((c->eax >> 5) & 7) >= 3)
			c->eax |= (ncpus - 1) << 14;
		break;
	case 0xb:
	case 0x1f:
		c->edx = id;
		c->eax = c->ebx = 0;
		c->ecx = c->index & 0xff;
		if (c->index == 0) { /* threads of a core */
			c->ebx = 1;
			c->ecx |= 1 << 8;
		} else if (c->index == 1) { /* cores of the package */
			c->eax = width(ncpus);
			c->ebx = ncpus;
			c->ecx |= 2 << 8;
		}
		break;
	case 0x8000001e:
		c->eax = id;
		c->ebx = id & 0xff;
		c->ecx = 0;
		break;
	}
}

static bool
cpuid_has(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	unsigned i;

	for (i = 0; i < c->nent; i++)
		if (c->entries[i].function == function &&
		    c->entries[i].index == index)
			return (true);
	return (false);
}

/* KVM may list the first level of a topology leaf only. */
static void
cpuid_levels(struct kvm_cpuid2 *c)
{
	static const uint32_t leaf[] = { 0xb, 0x1f };
	struct kvm_cpuid_entry2 *n;
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (!cpuid_has(c, leaf[i], 0) || cpuid_has(c, leaf[i], 1) ||
		    c->nent == KVM_CPUID_MAX)
			continue;
		n = &c->entries[c->nent++];
		memset(n, 0, sizeof(*n));
		n->function = leaf[i];
		n->index = 1;
		n->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

void
kvm_cpuid_filter(struct kvm_host *h, unsigned ncpus)
{
	unsigned i;

	for (i = 0; i < h->cpuid->nent; i++)
		cpuid_features(&h->cpuid->entries[i], h, ncpus);
	cpuid_levels(h->cpuid);
}

static int
host_cpuid(struct kvm_host *h, int kvm_fd, unsigned ncpus, struct err *e)
{
	if ((h->cpuid = cpuid_alloc()) == NULL)
		return (err_errno(e, "CPUID table"));
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, h->cpuid) == -1)
		return (err_errno(e, "KVM_GET_SUPPORTED_CPUID"));
	kvm_cpuid_filter(h, ncpus);
	return (0);
}

static int
host_msrs(struct kvm_host *h, int kvm_fd, struct err *e)
{
	h->msrs = calloc(
	    1, sizeof(*h->msrs) + KVM_MSRS_MAX * sizeof(h->msrs->indices[0]));
	if (h->msrs == NULL)
		return (err_errno(e, "MSR list"));
	h->msrs->nmsrs = KVM_MSRS_MAX;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, h->msrs) == -1)
		return (err_errno(e, "KVM_GET_MSR_INDEX_LIST"));
	return (0);
}

int
kvm_host_read(struct kvm_host *h, int kvm_fd, unsigned ncpus, struct err *e)
{
	const int sync = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	int n;

	n = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	if (n != KVM_API_VERSION)
		return (err_set(e, ENOTSUP,
		    "this is not KVM, or one of another age (version %d)", n));
	n = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	if (n == -1 || (n & sync) != sync ||
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return (err_set(e, ENOTSUP,
		    "this KVM is too old; Linux 6.1 or later is needed"));
	n = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (n > 0 && ncpus > (unsigned)n)
		return (err_set(
		    e, EINVAL, "%u vCPUs: KVM here takes %d", ncpus, n));
	if ((n = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0)) <
	    (int)sizeof(struct kvm_run))
		return (err_set(e, EIO, "KVM_GET_VCPU_MMAP_SIZE: %d", n));
	h->run_bytes = (size_t)n;
	n = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	h->xsave_bytes = n > (int)sizeof(struct kvm_xsave)
	    ? (size_t)n
	    : sizeof(struct kvm_xsave);
	h->tsc_deadline =
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	h->clock_ctrl =
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_KVMCLOCK_CTRL) > 0;
	if (host_cpuid(h, kvm_fd, ncpus, e) == -1)
		return (-1);
	return (host_msrs(h, kvm_fd, e));
}

void
kvm_host_free(struct kvm_host *h)
{
	free(h->cpuid);
	free(h->msrs);
	h->cpuid = NULL;
	h->msrs = NULL;
}

/* The TSC's rate, where a guest looks for it before it measures. */
static void
cpuid_tsc(struct kvm_cpuid2 *c, int vcpu_fd)
{
	struct kvm_cpuid_entry2 *n;
	int khz;

	khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	if (khz <= 0 || c->nent == KVM_CPUID_MAX ||
	    cpuid_has(c, LEAF_KVM_TSC, 0))
		return;
	n = &c->entries[c->nent++];
	memset(n, 0, sizeof(*n));
	n->function = LEAF_KVM_TSC;
	n->eax = (uint32_t)khz;
	n->ebx = APIC_BUS_KHZ;
}

static int
cpu_cpuid(struct hv_vcpu *v, struct err *e)
{
	const struct kvm_cpuid2 *host = v->vm->host.cpuid;
	struct kvm_cpuid2 *c;
	unsigned i;
	int rc;

	if ((c = cpuid_alloc()) == NULL)
		return (err_errno(e, "CPUID table"));
	c->nent = host->nent;
	memcpy(c->entries, host->entries, host->nent * sizeof(c->entries[0]));
	for (i = 0; i < c->nent; i++)
		cpuid_topology(&c->entries[i], v->id, v->vm->ncpus);
	cpuid_tsc(c, v->fd);
	rc = ioctl(v->fd, KVM_SET_CPUID2, c);
	if (rc == -1) { /* then without what we added to its own list */
		if (!atomic_exchange(&v->vm->cpuid_logged, true))
			log_warn("KVM refuses our CPUID leaves, "
				 "going on with its own");
		c->nent = host->nent;
		for (i = 0; i < c->nent; i++) {
			c->entries[i] = host->entries[i];
			if (c->entries[i].function == 0x1)
				cpuid_topology(
				    &c->entries[i], v->id, v->vm->ncpus);
		}
		rc = ioctl(v->fd, KVM_SET_CPUID2, c);
	}
	free(c);
	return (rc == -1 ? err_errno(e, "KVM_SET_CPUID2") : 0);
}

static struct kvm_msrs *
msrs_alloc(size_t n)
{
	struct kvm_msrs *m;

	m = calloc(1, sizeof(*m) + n * sizeof(m->entries[0]));
	if (m != NULL)
		m->nmsrs = (uint32_t)n;
	return (m);
}

/* One line a VM, whatever the number of MSRs and vCPUs. */
static void
msr_refused(struct hv_vm *vm, uint32_t index, const char *verb)
{
	if (!atomic_exchange(&vm->msr_logged, true))
		log_info("KVM does not %s MSR 0x%x; it is left out, and so "
			 "are others like it",
		    verb, index);
}

/* Get or set them all; KVM stops at one that it refuses: that one is dropped. */
static void
msrs_all(struct hv_vcpu *v, struct kvm_msrs *m, bool set)
{
	const struct kvm_msrs *from = m;
	struct kvm_msrs *part;
	uint32_t done = 0;
	int n;

	if ((part = msrs_alloc(m->nmsrs)) == NULL) {
		m->nmsrs = 0;
		return;
	}
	while (done < m->nmsrs) {
		part->nmsrs = m->nmsrs - done;
		memcpy(part->entries, from->entries + done,
		    part->nmsrs * sizeof(m->entries[0]));
		n = ioctl(v->fd, set ? KVM_SET_MSRS : KVM_GET_MSRS, part);
		if (n < 0)
			n = 0;
		memcpy(m->entries + done, part->entries,
		    (size_t)n * sizeof(m->entries[0]));
		done += (uint32_t)n;
		if (done >= m->nmsrs)
			break;
		msr_refused(
		    v->vm, m->entries[done].index, set ? "set" : "give");
		m->nmsrs--;
		memmove(m->entries + done, m->entries + done + 1,
		    (m->nmsrs - done) * sizeof(m->entries[0]));
	}
	free(part);
}

int
kvm_cpu_init(struct hv_vcpu *v, struct err *e)
{
	struct kvm_msrs *m;

	if (cpu_cpuid(v, e) == -1)
		return (-1);
	if ((m = msrs_alloc(2)) == NULL)
		return (err_errno(e, "MSRs"));
	m->entries[0].index = MSR_MISC_ENABLE;
	m->entries[0].data = MISC_ENABLE_FAST_STRING;
	m->entries[1].index = MSR_MTRR_DEF_TYPE;
	m->entries[1].data = MTRR_WRITE_BACK;
	msrs_all(v, m, true);
	free(m);
	return (0);
}

static int
mark_msrs(struct hv_vcpu *v, struct err *e)
{
	const struct kvm_msr_list *l = v->vm->host.msrs;
	struct kvm_msrs *m;
	uint32_t i;

	if ((m = msrs_alloc(l->nmsrs)) == NULL)
		return (err_errno(e, "MSRs"));
	for (i = 0; i < l->nmsrs; i++)
		m->entries[i].index = l->indices[i];
	msrs_all(v, m, false);
	/* From 0 on, all of them: KVM sees that and keeps them in step. */
	for (i = 0; i < m->nmsrs; i++)
		if (m->entries[i].index == MSR_TSC ||
		    m->entries[i].index == MSR_TSC_ADJUST)
			m->entries[i].data = 0;
	v->mark.msrs = m;
	return (0);
}

/*
 * The fixed-size parts, got and set in this order: SREGS hold the APIC base,
 * which says how LAPIC is to be read; the MSRs come after both.
 */
#define STATE_TABLE(X)                                                         \
	X(KVM_GET_REGS, KVM_SET_REGS, regs)                                    \
	X(KVM_GET_SREGS, KVM_SET_SREGS, sregs)                                 \
	X(KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, events)                    \
	X(KVM_GET_XCRS, KVM_SET_XCRS, xcrs)                                    \
	X(KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, debug)                         \
	X(KVM_GET_LAPIC, KVM_SET_LAPIC, lapic)                                 \
	X(KVM_GET_MP_STATE, KVM_SET_MP_STATE, mp)

int
kvm_cpu_mark(struct hv_vcpu *v, struct err *e)
{
	struct kvm_cpu_state *s = &v->mark;
	unsigned long get_xsave;

	kvm_cpu_free(s);
#define GET(get, set, field)                                                   \
	if (ioctl(v->fd, get, &s->field) == -1)                                \
		return (err_errno(e, #get));
	STATE_TABLE(GET)
#undef GET
	if ((s->xsave = calloc(1, v->vm->host.xsave_bytes)) == NULL)
		return (err_errno(e, "vCPU %u", v->id));
	get_xsave = v->vm->host.xsave_bytes > sizeof(struct kvm_xsave)
	    ? KVM_GET_XSAVE2
	    : KVM_GET_XSAVE;
	if (ioctl(v->fd, get_xsave, s->xsave) == -1)
		return (err_errno(e, "KVM_GET_XSAVE"));
	return (mark_msrs(v, e));
}

int
kvm_cpu_reset(struct hv_vcpu *v, struct err *e)
{
	struct kvm_cpu_state *s = &v->mark;

	if (s->msrs == NULL)
		return (err_set(e, EINVAL, "vCPU %u was never marked", v->id));
	if (ioctl(v->fd, KVM_SET_XSAVE, s->xsave) == -1)
		return (err_errno(e, "KVM_SET_XSAVE"));
#define SET(get, set, field)                                                   \
	if (ioctl(v->fd, set, &s->field) == -1)                                \
		return (err_errno(e, #set));
	STATE_TABLE(SET)
#undef SET
	msrs_all(v, s->msrs, true);
	v->run->kvm_dirty_regs = 0;
	return (0);
}

void
kvm_cpu_free(struct kvm_cpu_state *s)
{
	free(s->xsave);
	free(s->msrs);
	s->xsave = NULL;
	s->msrs = NULL;
}

static struct kvm_segment
segment(const struct hv_seg *s)
{
	return ((struct kvm_segment){
	    .base = s->base,
	    .limit = s->limit,
	    .selector = s->sel,
	    .type = s->type,
	    .present = s->present,
	    .dpl = s->dpl,
	    .db = s->db,
	    .s = s->s,
	    .l = s->l,
	    .g = s->g,
	    .avl = s->avl,
	    .unusable = !s->present,
	});
}

/*
 * Into the run page; the next KVM_RUN takes it over.  Needs mark().  For the
 * boot processor alone: one that waits for its SIPI would take them over after
 * that, and lose its way.
 */
int
kvm_cpu_boot(struct hv_vcpu *v, const struct hv_regs *r, struct err *e)
{
	struct kvm_sync_regs *sync = &v->run->s.regs;
	struct kvm_sregs *s = &sync->sregs;

	if (v->mark.msrs == NULL)
		return (err_set(e, EINVAL, "vCPU %u was never marked", v->id));
	*s = v->mark.sregs;
	s->cs = segment(&r->cs);
	s->ds = s->es = s->fs = s->gs = segment(&r->ds);
	s->ss = segment(&r->ss);
	s->tr = segment(&r->tr);
	s->gdt.base = r->gdt_base;
	s->gdt.limit = r->gdt_limit;
	s->idt.base = r->idt_base;
	s->idt.limit = r->idt_limit;
	s->cr0 = r->cr0;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->efer = r->efer;
	sync->regs = (struct kvm_regs){
		.rax = r->rax,
		.rbx = r->rbx,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rbp = r->rbp,
		.rsp = r->rsp,
		.rip = r->rip,
		.rflags = r->rflags | 2, /* bit 1 is always one: SDM 1, 3.4.3 */
	};
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return (0);
}
