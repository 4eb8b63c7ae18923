/* SPDX-License-Identifier: ISC */
/*
 * The message table: what each field of each body may hold, as data, so that
 * the tests of bad fields are made from the same rows.  The engine that walks
 * it is proto_check.c.
 * Runs in: every process.  Trusts: nobody.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "shared/devpage.h"
#include "shared/imsg.h"
#include "shared/proto.h"
#include "shared/ring.h"

#define GRACE_MAX_MS 86400000u /* a day */
#define CREDIT_MAX (1u << 30)
#define DEV_KINDS_MAX 8
#define MEM_MAX_BYTES (UINT64_C(1) << 46)

static int
rule_start(const void *body, struct err *e)
{
	const struct msg_start *m = body;
	uint32_t i;

	if (((m->set & START_MEMORY) != 0) != (m->mem_bytes != 0))
		return (err_set(e, EINVAL,
		    "mem_bytes is %" PRIu64 ", and set says otherwise",
		    m->mem_bytes));
	if (((m->set & START_CPUS) != 0) != (m->ncpus != 0))
		return (err_set(e, EINVAL,
		    "ncpus is %u, and set says otherwise", m->ncpus));
	for (i = 0; i < m->ndisks; i++)
		if (m->disk[i].path[0] == '\0')
			return (err_set(e, EINVAL, "disk %u has no path", i));
	if ((m->set & START_CMDLINE) == 0 && m->cmdline[0] != '\0')
		return (err_set(e, EINVAL, "cmdline, and set says otherwise"));
	return (0);
}

static int
rule_subscribe(const void *body, struct err *e)
{
	const struct msg_subscribe *m = body;

	if ((m->what & SUB_FIGURES) != 0 && m->interval_ms < 200)
		return (err_set(e, EINVAL, "interval_ms is %u, least is 200",
		    m->interval_ms));
	return (0);
}

static int
rule_attach(const void *body, struct err *e)
{
	const struct msg_attach *m = body;

	if ((m->flags & CONS_FROM) == 0 && m->from != 0)
		return (err_set(e, EINVAL, "from without its flag"));
	if ((m->flags & CONS_FROM) != 0 && (m->flags & CONS_NOREPLAY) != 0)
		return (err_set(e, EINVAL, "from and no replay"));
	return (0);
}

static int
rule_attached(const void *body, struct err *e)
{
	const struct msg_attached *m = body;

	if (m->start > m->end)
		return (err_set(e, EINVAL,
		    "start %" PRIu64 " after end %" PRIu64, m->start, m->end));
	return (0);
}

static int
rule_gap(const void *body, struct err *e)
{
	const struct msg_gap *m = body;

	if (m->lost > UINT64_MAX - m->off)
		return (err_set(e, EINVAL, "off + lost is over 64 bits"));
	return (0);
}

static int
rule_cons_peers(const void *body, struct err *e)
{
	const struct msg_cons_peers *m = body;
	uint32_t i;

	for (i = 0; i < m->n; i++)
		if (m->peer[i].writer > 1)
			return (err_set(e, EINVAL, "writer of peer %u is %u", i,
			    m->peer[i].writer));
	return (0);
}

static int
rule_spec(const void *body, struct err *e)
{
	const struct msg_vm_spec *m = body;

	if (m->mem_bytes % (1u << 20) != 0)
		return (err_set(e, EINVAL,
		    "mem_bytes %" PRIu64 " is not a multiple of 1 MiB",
		    m->mem_bytes));
	if ((m->console_bytes & (m->console_bytes - 1)) != 0)
		return (
		    err_set(e, EINVAL, "console_bytes %u is not a power of two",
			m->console_bytes));
	return (0);
}

static int
rule_rendezvous(const void *body, struct err *e)
{
	const struct msg_rendezvous *m = body;

	if (m->role != ROLE_VMM && m->role != ROLE_CONTROL)
		return (err_set(e, EINVAL, "role is 0x%x", m->role));
	return (0);
}

/* clang-format off */
#define FIELD(s, f, kind, min, max)					\
	{ #f, offsetof(struct msg_##s, f),				\
	    sizeof(((struct msg_##s *)0)->f), kind, min, max, NULL }
#define NUM(s, f, min, max) FIELD(s, f, FIELD_NUM, min, max)
#define PAD(s, f) FIELD(s, f, FIELD_NUM, 0, 0)
#define BOOL(s, f) FIELD(s, f, FIELD_NUM, 0, 1)
#define ID(s) FIELD(s, id, FIELD_NUM, 1, UINT32_MAX)
#define CHAN(s) FIELD(s, chan, FIELD_NUM, 0, CONS_CHANS - 1)
#define BITS(s, f, mask) FIELD(s, f, FIELD_BITS, 0, mask)
#define STR(s, f) FIELD(s, f, FIELD_STR, 0, 0)
#define TEXT(s, f) FIELD(s, f, FIELD_TEXT, 0, 0)
#define NAME(s, f) FIELD(s, f, FIELD_NAME, 1, 0)
#define NAME_OPT(s, f) FIELD(s, f, FIELD_NAME, 0, 0)
#define REF(s) FIELD(s, vm, FIELD_REF, 1, 0)
#define REF_OPT(s) FIELD(s, vm, FIELD_REF, 0, 0)
#define CRED(s) FIELD(s, cred.ngroups, FIELD_NUM, 0, CRED_GROUPS)
#define WHY(s)								\
	FIELD(s, why.code, FIELD_NUM, 0, 4095),				\
	FIELD(s, why.text, FIELD_TEXT, 0, 0)
#define RULE(name, fn) { name, 0, 0, FIELD_RULE, 0, 0, fn }

static const struct msg_field fields_empty[] = { };
static const struct msg_field fields_sample[] = { };
static const struct msg_field fields_err[] = {
	NUM(err, code, 1, 4095), TEXT(err, text),
};
static const struct msg_field fields_hello[] = { TEXT(hello, text) };
static const struct msg_field fields_level[] = { BOOL(level, level) };
static const struct msg_field fields_ref[] = { CRED(ref), REF(ref) };
static const struct msg_field fields_stop[] = {
	CRED(stop), REF(stop), BITS(stop, flags, STOP_FORCE | STOP_WAIT),
	NUM(stop, grace_ms, 0, GRACE_MAX_MS),
};
#define START_DISK(n)							\
	NUM(start, disk[n].format, 0, 2),				\
	FIELD(start, disk[n].path, FIELD_PATH, 0, 0)
_Static_assert(START_DISKS_MAX == 4, "a START_DISK each");
static const struct msg_field fields_start[] = {
	CRED(start), REF(start),
	BITS(start, set, START_MEMORY | START_CPUS | START_CMDLINE),
	NUM(start, ncpus, 0, VM_CPUS_MAX),
	NUM(start, mem_bytes, 0, MEM_MAX_BYTES),
	NUM(start, ndisks, 0, START_DISKS_MAX), NUM(start, nifs, 0, 64),
	BOOL(start, local), NUM(start, bootdev, 0, 3),
	NAME_OPT(start, template_name),
	START_DISK(0), START_DISK(1), START_DISK(2), START_DISK(3),
	STR(start, cdrom), STR(start, cmdline),
	RULE("set", rule_start),
};
static const struct msg_field fields_lend[] = {
	CRED(lend), PAD(lend, pad), NUM(lend, bytes, 1, LEND_MAX_BYTES),
};
static const struct msg_field fields_lent[] = { ID(lent) };
static const struct msg_field fields_started[] = { ID(started) };
static const struct msg_field fields_load[] = {
	CRED(load), FIELD(load, path, FIELD_PATH, 1, 0),
};
static const struct msg_field fields_reset[] = {
	CRED(reset), NUM(reset, what, 1, UINT32_MAX),
	BITS(reset, what, RESET_VMS | RESET_SWITCHES | RESET_CONF),
};
static const struct msg_field fields_verbose[] = {
	CRED(verbose), BOOL(verbose, level),
};
static const struct msg_field fields_list[] = {
	REF_OPT(list), BITS(list, flags, LIST_RUNNING | LIST_DEVS),
};
static const struct msg_field fields_row[] = {
	ID(row), NUM(row, state, 0, VM_NSTATES - 1),
	BITS(row, flags, ROW_DISABLED | ROW_CONFIGURED | ROW_FAILED),
	NUM(row, ncpus, 0, VM_CPUS_MAX), NUM(row, ndevs, 0, VM_DEVS_MAX),
	NAME(row, name), TEXT(row, reason), PAD(row, pad),
};
static const struct msg_field fields_gone[] = {
	ID(gone), NAME(gone, name), TEXT(gone, reason),
};
static const struct msg_field fields_subscribe[] = {
	BITS(subscribe, what, SUB_ROWS | SUB_FIGURES | SUB_EVENTS | SUB_DEVS),
	NUM(subscribe, interval_ms, 0, 60000),
	RULE("interval_ms", rule_subscribe),
};
static const struct msg_field fields_figures[] = {
	ID(figures), NUM(figures, ncpus, 0, VM_CPUS_MAX),
};
static const struct msg_field fields_dev_row[] = {
	ID(dev_row), NUM(dev_row, index, 0, VM_DEVS_MAX - 1),
	NUM(dev_row, nqueues, 0, 16),
	NUM(dev_row, kind, 1, DEV_KINDS_MAX),
	NUM(dev_row, state, 0, DEV_NSTATES - 1),
	BITS(dev_row, flags, DEV_READONLY | DEV_DIRECT),
	TEXT(dev_row, name), TEXT(dev_row, format), TEXT(dev_row, serial),
	TEXT(dev_row, path), TEXT(dev_row, reason), PAD(dev_row, pad),
};
static const struct msg_field fields_dev_figures[] = {
	ID(dev_figures), NUM(dev_figures, index, 0, VM_DEVS_MAX - 1),
	NUM(dev_figures, kind, 1, DEV_KINDS_MAX), PAD(dev_figures, pad),
};
static const struct msg_field fields_event[] = {
	BOOL(event, bad), NAME_OPT(event, name), TEXT(event, text),
	PAD(event, pad),
};
static const struct msg_field fields_attach[] = {
	REF(attach), CHAN(attach),
	BITS(attach, flags,
	    CONS_WRITE | CONS_TAKE | CONS_FROM | CONS_NOREPLAY),
	NUM(attach, credit, 0, CREDIT_MAX),
	RULE("from", rule_attach),
};
static const struct msg_field fields_attached[] = {
	CHAN(attached), ID(attached), BOOL(attached, writer),
	NUM(attached, input_credit, 0, CREDIT_MAX),
	RULE("start", rule_attached),
};
static const struct msg_field fields_chan[] = { CHAN(chan) };
static const struct msg_field fields_credit[] = {
	CHAN(credit), NUM(credit, bytes, 1, CREDIT_MAX),
};
static const struct msg_field fields_gap[] = {
	CHAN(gap), PAD(gap, pad), NUM(gap, lost, 1, UINT64_MAX),
	RULE("lost", rule_gap),
};
static const struct msg_field fields_cons_peers[] = {
	CHAN(cons_peers), NUM(cons_peers, n, 0, CONS_PEERS_MAX),
	BOOL(cons_peers, you_write), PAD(cons_peers, pad),
	RULE("peer", rule_cons_peers),
};
static const struct msg_field fields_cons_closed[] = {
	CHAN(cons_closed), WHY(cons_closed),
};
static const struct msg_field fields_chunk[] = { CHAN(chunk) };
static const struct msg_field fields_logline[] = { NUM(logline, prio, 0, 7) };
static const struct msg_field fields_vm_channel[] = { ID(vm_channel) };
static const struct msg_field fields_vm_spec[] = {
	ID(vm_spec), NUM(vm_spec, uid, 1, UINT32_MAX - 1),
	NUM(vm_spec, ncpus, 1, VM_CPUS_MAX),
	NUM(vm_spec, console_bytes, RING_MIN_BYTES, RING_MAX_BYTES),
	NUM(vm_spec, mem_bytes, 1u << 20, MEM_MAX_BYTES),
	BOOL(vm_spec, hugepages), NUM(vm_spec, grace_ms, 0, GRACE_MAX_MS),
	NUM(vm_spec, ndevs, 0, VM_DEVS_MAX), PAD(vm_spec, pad),
	NAME(vm_spec, name), STR(vm_spec, cmdline),
	RULE("mem_bytes", rule_spec),
};
static const struct msg_field fields_vm_fd[] = {
	ID(vm_fd), NUM(vm_fd, which, 0, VMFD_N - 1),
};
static const struct msg_field fields_vm_dev[] = {
	ID(vm_dev), NUM(vm_dev, index, 0, VM_DEVS_MAX - 1),
	NUM(vm_dev, kind, 1, DEV_KINDS_MAX),
	NUM(vm_dev, what, 0, DEVFD_N - 1),
	FIELD(vm_dev, name, FIELD_TEXT, 1, 0),
};
static const struct msg_field fields_vm_dev_gone[] = {
	ID(vm_dev_gone), NUM(vm_dev_gone, index, 0, VM_DEVS_MAX - 1),
};
static const struct msg_field fields_launch[] = {
	ID(launch), NUM(launch, index, 0, VM_DEVS_MAX - 1),
	NUM(launch, what, 0, LAUNCHFD_N - 1),
	NUM(launch, uid, 0, UINT32_MAX - 1),
	NUM(launch, gid, 0, UINT32_MAX - 1), BOOL(launch, readonly),
};
static const struct msg_field fields_launched[] = {
	ID(launched), NUM(launched, index, 0, VM_DEVS_MAX - 1),
	WHY(launched),
};
static const struct msg_field fields_vm_go[] = { ID(vm_go), PAD(vm_go, pad) };
static const struct msg_field fields_vm_op[] = {
	ID(vm_op), NUM(vm_op, op, 0, OP_N - 1),
	NUM(vm_op, grace_ms, 0, GRACE_MAX_MS),
};
static const struct msg_field fields_vm_event[] = {
	ID(vm_event), NUM(vm_event, what, 0, WHAT_N - 1),
	NUM(vm_event, state, 0, VM_NSTATES - 1),
	NUM(vm_event, dev, 0, VM_DEVS_MAX - 1), WHY(vm_event),
};
static const struct msg_field fields_reaped[] = {
	ID(reaped), BOOL(reaped, oom),
};
static const struct msg_field fields_rendezvous[] = {
	PAD(rendezvous, pad), RULE("role", rule_rendezvous),
};
static const struct msg_field fields_attached_vm[] = {
	ID(attached_vm), NUM(attached_vm, state, 0, VM_NSTATES - 1),
	NUM(attached_vm, console_bytes, 0, RING_MAX_BYTES),
	NAME(attached_vm, name),
};
static const struct msg_field fields_page[] = {
	ID(page), NUM(page, bytes, 0, RING_HEAD_BYTES + RING_MAX_BYTES),
};
static const struct msg_field fields_page_dev[] = {
	ID(page_dev), NUM(page_dev, index, 0, VM_DEVS_MAX - 1),
	NUM(page_dev, kind, 1, DEV_KINDS_MAX),
	NUM(page_dev, bytes, 1, 1u << 20),
};

/* Fixed width means that these numbers are the same everywhere. */
#define SIZE(s, n) _Static_assert(sizeof(struct msg_##s) == (n), #s)
SIZE(cred, 140); SIZE(empty, 0); SIZE(err, 256); SIZE(hello, 64);
SIZE(level, 4); SIZE(ref, 208); SIZE(stop, 216); SIZE(start, 7496);
SIZE(lend, 152); SIZE(lent, 4);
SIZE(started, 40); SIZE(load, 1164); SIZE(reset, 144); SIZE(verbose, 144);
SIZE(list, 72); SIZE(row, 392); SIZE(gone, 320); SIZE(subscribe, 8);
SIZE(figures, 136); SIZE(event, 336); SIZE(attach, 88); SIZE(attached, 32);
SIZE(chan, 4); SIZE(credit, 8); SIZE(gap, 24); SIZE(cons_peer, 8);
SIZE(cons_peers, 272); SIZE(cons_closed, 260); SIZE(chunk, 16);
SIZE(logline, 8); SIZE(vm_spec, 2152); SIZE(vm_fd, 8); SIZE(vm_go, 40);
SIZE(vm_op, 12); SIZE(vm_event, 312); SIZE(reaped, 16);
SIZE(rendezvous, 40); SIZE(attached_vm, 80); SIZE(page, 8); SIZE(sample, 4);
SIZE(vm_channel, 4); SIZE(vm_dev, 36); SIZE(vm_dev_gone, 12); SIZE(page_dev, 16);
SIZE(dev_row, 1376); SIZE(dev_figures, 600); SIZE(launch, 28);
SIZE(launched, 272);

_Static_assert(DEV_HIST == DEVPAGE_HIST, "histograms");
_Static_assert(sizeof(struct msg_chunk) + CONS_DATA_BYTES +
    sizeof(struct imsg_hdr) <= MAX_IMSGSIZE, "CONS_DATA");
#define MSG(id, body, from, fd, kind)					\
	_Static_assert(sizeof(struct msg_##body) +			\
	    sizeof(struct imsg_hdr) <= MAX_IMSGSIZE, #id);
#include "shared/proto.def"
#undef MSG

const struct msg_desc msg_table[MSG_NTYPES] = {
#define MSG(id, body, from, fd, kind)					\
	[MSG_##id] = { #id, sizeof(struct msg_##body), from, fd, kind,	\
	    fields_##body, sizeof(fields_##body) / sizeof(struct msg_field) },
#include "shared/proto.def"
#undef MSG
};
