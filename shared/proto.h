/* SPDX-License-Identifier: ISC */
/*
 * Every message between the processes of vmd and its clients: declared once in
 * proto.def, checked once in proto.c.  Bodies are fixed width, native byte
 * order (both ends are one machine), without pointers; padding is named and
 * zero.  Private state of a process has no place here.
 *
 * The imsg header's peerid is the request number: a reply carries the number
 * of its request; pushed messages carry 0.
 */
#ifndef SHARED_PROTO_H
#define SHARED_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define PROTO_VERSION 2
#define VM_NAME_BYTES 64 /* with NUL */
#define VM_CPUS_MAX 64
#define VM_CMDLINE_BYTES 2048 /* with NUL */
#define VM_DEVS_MAX 16        /* device processes of a VM */
#define DEV_NAME_BYTES 16     /* "blk0", with NUL */
#define PATH_BYTES 1024       /* with NUL */
#define TOKEN_BYTES 32
#define CRED_GROUPS 32
#define CONS_CHANS 16 /* consoles a client may have open */
#define CONS_PEERS_MAX 32
#define CONS_INPUT_BYTES 1024 /* of one CONS_INPUT, and the first credit */
#define CONS_DATA_BYTES 16000 /* of one CONS_DATA */
#define LOG_LINE_BYTES 512

/* Who sends; bits, so that a set is an or. */
enum role {
	ROLE_CLIENT = 1u << 0,
	ROLE_PARENT = 1u << 1,
	ROLE_CONTROL = 1u << 2,
	ROLE_VMM = 1u << 3,
	ROLE_VM = 1u << 4,
	ROLE_LAUNCH = 1u << 5,
};

enum fd_rule { FD_NONE, FD_ONE, FD_OPT };

enum vm_state {
	VM_STOPPED, /* defined, not running */
	VM_WAITING, /* for its turn in a staggered start */
	VM_STARTING,
	VM_RUNNING,
	VM_PAUSED,
	VM_STOPPING, /* asked to shut down */
	VM_NSTATES
};
const char *vm_state_name(uint32_t state); /* "running"; "?" out of range */

/* Steps of a start, in order; each with the microseconds it took. */
enum start_step {
	STEP_OPEN,    /* parent: rights, kernel, initrd, sockets */
	STEP_SPAWN,   /* clone, exec, up to the first message in the child */
	STEP_SANDBOX, /* namespaces, root, uid, capabilities */
	STEP_MEMORY,  /* memfd, mapping */
	STEP_KVM,     /* VM, slots, irqchip */
	STEP_VCPU,    /* vCPUs, threads, their filters */
	STEP_LOAD,    /* kernel, initrd, tables into guest memory */
	STEP_RUN,     /* up to the first KVM_RUN */
	STEP_N
};
const char *start_step_name(uint32_t step);

/* Why a guest's run ended, or what happened to it. */
enum vm_what {
	WHAT_STEPS,    /* a start went well; step_us holds the figures */
	WHAT_STATE,    /* state changed: running, paused, stopping */
	WHAT_POWEROFF, /* the guest powered itself off: the process ends */
	WHAT_RESET,  /* the guest reset itself or tripled: restarted in place */
	WHAT_FAILED, /* cannot go on: err says why; the process ends */
	WHAT_GONE,   /* vmm: its process is reaped, its link read to the end */
	/* of one device, in vm_event.dev; err says why */
	WHAT_DEV_STUCK, /* the VM is paused: a request cannot be done now */
	WHAT_DEV_HUNG,  /* its process does not answer, or does not go on */
	WHAT_DEV_OK,    /* it goes on again */
	WHAT_DEV_LOST,  /* its socket is closed: replace its process */
	WHAT_N
};

/* What one exit of a guest to user space was for; indexes figures. */
enum exit_kind {
	EXIT_PIO_IN,
	EXIT_PIO_OUT,
	EXIT_MMIO_READ,
	EXIT_MMIO_WRITE,
	EXIT_HLT,
	EXIT_INTR,
	EXIT_SHUTDOWN,
	EXIT_SYSTEM,
	EXIT_ERROR,
	EXIT_OTHER,
	EXIT_N = 12 /* room for two; part of the page's layout */
};
const char *exit_kind_name(uint32_t kind);

/* Filled by control from SO_PEERCRED and SO_PEERGROUPS, whatever was sent. */
struct msg_cred {
	uint32_t uid, gid;
	uint32_t ngroups; /* <= CRED_GROUPS */
	uint32_t groups[CRED_GROUPS];
};

/* A VM by id, or by name when id is 0. */
struct vm_ref {
	uint32_t id;
	char name[VM_NAME_BYTES];
};

struct msg_empty {
	uint8_t none[0];
};

struct msg_err { /* body of ERR: struct err in fixed width */
	int32_t code;
	char text[ERR_TEXT_BYTES];
};

struct msg_hello { /* client: its version; control: ours */
	uint32_t version;
	uint32_t uid;  /* control's answer: who you are */
	char text[56]; /* "vmd 0.1" / "vmctl 0.1" */
};

struct msg_level {
	uint32_t level;
};

struct msg_ref { /* pause, unpause, reset, wait: */
	struct msg_cred cred;
	struct vm_ref vm;
};

#define STOP_FORCE 0x1 /* without asking the guest */
#define STOP_WAIT 0x2  /* answer when it is gone */
struct msg_stop {
	struct msg_cred cred;
	struct vm_ref vm;
	uint32_t flags;
	uint32_t grace_ms; /* 0: as vm.conf says */
};

/*
 * A memory file is lent to a client, which writes a kernel or an initrd into it
 * and names it in START.  One that is not named within a minute is forgotten.
 */
#define LEND_MAX_BYTES (UINT64_C(1) << 30)
struct msg_lend {
	struct msg_cred cred;
	uint32_t pad;
	uint64_t bytes; /* its size, for good */
};

struct msg_lent {
	uint32_t id;
};

#define START_MEMORY 0x1 /* set: which fields count */
#define START_CPUS 0x2
#define START_CMDLINE 0x4
#define START_DISKS_MAX 4
/* Opened by the parent, with the rights of who asks. */
struct msg_start_disk {
	uint32_t format; /* enum conf_format: 0 not said, 1 raw, 2 qcow2 */
	char path[PATH_BYTES];
};
struct msg_start {
	struct msg_cred cred;
	struct vm_ref vm;
	uint32_t set;
	uint32_t ncpus;
	uint64_t mem_bytes;
	uint32_t kernel, initrd; /* loans that hold them; 0: as vm.conf says */
	uint32_t ndisks;         /* -d: beside those of vm.conf, for this run */
	/* -B, -i, -L, -n, -r, -t: settings to be refused by name */
	uint32_t nifs, local, bootdev; /* bootdev: 0 none, else 1..3 */
	char template_name[VM_NAME_BYTES];
	struct msg_start_disk disk[START_DISKS_MAX];
	char cdrom[PATH_BYTES];
	char cmdline[VM_CMDLINE_BYTES];
};

struct msg_started {
	uint32_t id;
	uint32_t pid;
	uint32_t step_us[STEP_N];
};

struct msg_load {
	struct msg_cred cred;
	char path[PATH_BYTES]; /* absolute; opened by the parent, root only */
};

#define RESET_VMS 0x1
#define RESET_SWITCHES 0x2
#define RESET_CONF 0x4
struct msg_reset {
	struct msg_cred cred;
	uint32_t what;
};

struct msg_verbose {
	struct msg_cred cred;
	uint32_t level; /* 0 brief, 1 verbose */
};

#define LIST_RUNNING 0x1
#define LIST_DEVS 0x2 /* after each row its DEV_ROWs and DEV_FIGURES */
struct msg_list {
	struct vm_ref vm; /* both empty: all */
	uint32_t flags;
};

#define ROW_DISABLED 0x1   /* "disable" in vm.conf */
#define ROW_CONFIGURED 0x2 /* from vm.conf: stays when stopped */
#define ROW_FAILED 0x4     /* reason holds why the last run or start ended */
struct msg_row {
	uint32_t id, state, flags, pid;
	uint32_t ncpus, owner_uid, owner_gid; /* gid ~0: no group */
	uint32_t restarts;                    /* of the guest since the start */
	uint64_t mem_bytes;                   /* configured */
	uint64_t resident_bytes; /* of guest memory; 0: not running */
	int64_t started_s;       /* CLOCK_REALTIME; 0: not running */
	uint64_t console_bytes;  /* written since the start */
	uint32_t console_ring;   /* its size in bytes */
	uint32_t ndevs;          /* DEV_ROWs it has */
	char name[VM_NAME_BYTES];
	char reason[ERR_TEXT_BYTES];
	uint32_t pad;
};

struct msg_gone {
	uint32_t id;
	char name[VM_NAME_BYTES];
	char reason[ERR_TEXT_BYTES]; /* why it ended */
};

#define SUB_ROWS 0x1    /* VM_ROW and VM_GONE as things change */
#define SUB_FIGURES 0x2 /* VM_FIGURES every interval, running VMs only */
#define SUB_EVENTS 0x4  /* EVENT */
#define SUB_DEVS 0x8    /* DEV_ROW, and with SUB_FIGURES DEV_FIGURES */
struct msg_subscribe {
	uint32_t what;        /* 0: nothing any more */
	uint32_t interval_ms; /* 200..60000 */
};

struct msg_figures {
	uint32_t id, ncpus;
	uint64_t now_ns; /* CLOCK_MONOTONIC of the sample */
	uint64_t run_ns; /* CPU time of all vCPU threads */
	uint64_t resident_bytes;
	uint64_t console_bytes;
	uint64_t exits[EXIT_N];
};

/* A device that has a process, or would have. */
enum dev_state {
	DEV_ENDED, /* its VM does not run */
	DEV_UP,
	DEV_HUNG,  /* does not answer, or does not go on */
	DEV_STUCK, /* a request waits for the host: the VM is paused */
	DEV_DOWN,  /* its process died and is being replaced */
	DEV_LOST,  /* died too often: the VM is paused */
	DEV_NSTATES
};
const char *dev_state_name(uint32_t state); /* "up"; "?" out of range */
#define DEV_READONLY 0x1
#define DEV_DIRECT 0x2
#define DEV_SERIAL_BYTES 24 /* with NUL */
struct msg_dev_row {
	uint32_t id, index; /* of the VM; < its ndevs */
	uint32_t kind, state, flags;
	uint32_t nqueues;    /* at most, one thread each; 0: not running */
	uint32_t pid;        /* 0: no process */
	uint32_t replaced;   /* processes before this one */
	uint64_t size_bytes; /* of the image; 0: not known */
	char name[DEV_NAME_BYTES]; /* "blk0" */
	char format[DEV_NAME_BYTES];
	char serial[DEV_SERIAL_BYTES];
	char path[PATH_BYTES];
	char reason[ERR_TEXT_BYTES]; /* of any state but up */
	uint32_t pad;
};

#define DEV_HIST 32
struct msg_dev_figures { /* since the start of the VM */
	uint32_t id, index, kind, pad;
	uint64_t now_ns; /* CLOCK_MONOTONIC of the sample */
	uint64_t reads, writes, flushes, discards, errors;
	uint64_t read_bytes, write_bytes;
	uint64_t inflight; /* requests now */
	/* [n]: how many took 2^n to 2^(n+1) - 1 us; [0]: 0 us too */
	uint64_t flush_hist[DEV_HIST], io_hist[DEV_HIST];
};

struct msg_event {
	int64_t time_s; /* CLOCK_REALTIME */
	uint32_t id;    /* VM, 0: the daemon */
	uint32_t bad;   /* 1: a person should look */
	char name[VM_NAME_BYTES];
	char text[ERR_TEXT_BYTES];
	uint32_t pad;
};

/* Consoles.  chan is the client's own number for this attachment, < CONS_CHANS. */
#define CONS_WRITE 0x1    /* wants the keyboard; watches if it is taken */
#define CONS_TAKE 0x2     /* takes the keyboard from who has it */
#define CONS_FROM 0x4     /* from is valid: go on there after a reconnect */
#define CONS_NOREPLAY 0x8 /* start at the present end */
struct msg_attach {
	struct vm_ref vm;
	uint32_t chan, flags;
	uint32_t credit; /* bytes of CONS_DATA it takes before more credit */
	uint64_t from;
};
struct msg_attached {
	uint32_t chan, id;
	uint32_t writer;       /* 1: the keyboard is yours */
	uint32_t input_credit; /* bytes of CONS_INPUT that may be sent */
	uint64_t start;        /* offset of the first byte that will come */
	uint64_t end;          /* offset of the guest's next byte now */
};
struct msg_chan {
	uint32_t chan;
};
struct msg_credit {
	uint32_t chan, bytes;
}; /* both directions; adds up */
struct msg_gap {
	uint32_t chan, pad;
	uint64_t off, lost; /* bytes [off, off + lost) are not to be had */
};
struct msg_cons_peer {
	uint32_t uid, writer;
};
struct msg_cons_peers {
	uint32_t chan, n; /* of who is attached, you among them */
	uint32_t you_write, pad;
	struct msg_cons_peer peer[CONS_PEERS_MAX];
};
struct msg_cons_closed {
	uint32_t chan;
	struct msg_err why;
};
/* The variable ones: the body is this head and then len bytes. */
struct msg_chunk {
	uint32_t chan, len;
	uint64_t off; /* CONS_DATA: offset of the first byte; else 0 */
};
struct msg_logline {        /* a sandboxed process's line, to the parent */
	uint32_t prio, len; /* len < LOG_LINE_BYTES, no NUL */
};

/* parent <-> vmm <-> vm */
struct msg_vm_spec {
	uint32_t id, uid; /* uid of its process */
	uint32_t ncpus, console_bytes;
	uint64_t mem_bytes; /* multiple of 1 MiB */
	uint32_t hugepages; /* 1: advise */
	uint32_t grace_ms;
	uint32_t ndevs; /* VM_DEVs that come before VM_GO, two of each */
	uint32_t pad;
	char name[VM_NAME_BYTES];
	char cmdline[VM_CMDLINE_BYTES];
};
/*
 * Of device `index`: before VM_GO its page (shared/devpage.h), then the vm's end
 * of its vhost-user socket; after VM_GO the socket of a process that replaces
 * the one before, with a page before it if another vmd starts that.
 */
enum dev_fd { DEVFD_PAGE, DEVFD_SOCKET, DEVFD_N };
struct msg_vm_dev {
	uint32_t id, index; /* < VM_DEVS_MAX */
	uint32_t kind;      /* enum dev_kind */
	uint32_t what;      /* enum dev_fd */
	uint32_t gen;       /* which process of the device, from 0 on */
	char name[DEV_NAME_BYTES];
};
/* That process is dead: it writes to no memory any more. */
struct msg_vm_dev_gone {
	uint32_t id, index, gen;
};
/*
 * Parent -> launch: serve a shared directory as device `index`.  First the
 * socket that virtiofsd is to listen on, then the directory, which makes it
 * begin.  What the guest is allowed there is what uid and gid are.
 */
enum launch_fd { LAUNCHFD_SOCKET, LAUNCHFD_DIR, LAUNCHFD_N };
struct msg_launch {
	uint32_t id, index, gen; /* as in vm_dev */
	uint32_t what;           /* enum launch_fd */
	uint32_t uid, gid;       /* of the host, for the guest's root */
	uint32_t readonly;
};
/* Its answer: a child of the parent's; 0: there is none.  why: it will end. */
struct msg_launched {
	uint32_t id, index, gen, pid;
	struct msg_err why; /* code 0: all is well */
};
enum vm_fd { VMFD_KVM, VMFD_KERNEL, VMFD_INITRD, VMFD_N };
struct msg_vm_fd {
	uint32_t id, which;
};
struct msg_vm_go {
	uint32_t id, pad;
	uint8_t token[TOKEN_BYTES];
};
enum vm_op { OP_PAUSE, OP_UNPAUSE, OP_RESET, OP_STOP, OP_KILL, OP_N };
struct msg_vm_op {
	uint32_t id, op;
	uint32_t grace_ms; /* OP_STOP: then killed */
};
struct msg_vm_event {
	uint32_t id, what, state, restarts;
	uint32_t step_us[STEP_N];
	uint32_t dev; /* WHAT_DEV_*: its index; else 0 */
	uint32_t gen; /* and of which process it speaks */
	struct msg_err why;
};
/* How a process ended, as waitid(2) told its Unix parent. */
struct msg_reaped {
	uint32_t id;
	int32_t code, status; /* si_code and si_status; code 0: not our child */
	uint32_t oom;         /* 1: the kernel's OOM killer counted up */
};
struct msg_rendezvous {
	uint32_t role,
	    pad; /* ROLE_VMM or ROLE_CONTROL: who will hold this link */
	uint8_t token[TOKEN_BYTES];
};
struct msg_attached_vm { /* the vm process's answer on a taken-back link */
	uint32_t id, state, restarts, console_bytes;
	char name[VM_NAME_BYTES];
};
struct msg_page {
	uint32_t id, bytes;
};                    /* a shared page's fd and size */
struct msg_page_dev { /* a device's page: vm -> control */
	uint32_t id, index, kind, bytes;
};
struct msg_sample {
	uint32_t seq;
};
struct msg_vm_channel {
	uint32_t id;
};

#define MSG_ENUM(id, body, from, fd, kind) MSG_##id,
enum msg_type {
	MSG_NONE, /* never sent */
#define MSG MSG_ENUM
#include "shared/proto.def"
#undef MSG
	MSG_NTYPES
};

enum msg_kind { FIXED, CHUNK };

enum field_kind {
	FIELD_NUM,  /* 4 or 8 bytes, min..max; padding is 0..0 */
	FIELD_BITS, /* 4 bytes, no bit outside max */
	FIELD_STR,  /* NUL-terminated, any other byte; min: least length */
	FIELD_TEXT, /* the same, no control byte: it will be shown */
	FIELD_NAME, /* of a VM, or empty if min is 0 */
	FIELD_PATH, /* absolute, or empty if min is 0 */
	FIELD_REF,  /* struct vm_ref, not empty if min is 1 */
	FIELD_RULE, /* what ties fields together: rule() */
};

/* What one field of a body may hold.  A field without a row may hold all. */
struct msg_field {
	const char *name;
	uint16_t off, bytes;
	enum field_kind kind;
	uint64_t min, max;
	/* body is whole and aligned, the rows before this one hold. */
	int (*rule)(const void *body, struct err *);
};

struct msg_desc {
	const char *name;
	uint32_t body_bytes; /* exact; of a CHUNK, its head */
	uint32_t from;       /* ROLE_* bits */
	enum fd_rule fd;
	enum msg_kind kind;
	const struct msg_field *fields;
	size_t nfields;
};
extern const struct msg_desc msg_table[MSG_NTYPES];

const char *msg_name(uint32_t type); /* "VM_START"; "?" when unknown */

/*
 * The one check: type known, sender allowed, length exact (of a chunk: head
 * plus its len), the body's own rules, fd as the table says.  body need not be
 * aligned when len is 0.  0, or -1 with words that name the message.
 */
int msg_check(uint32_t type, enum role from, const void *body, size_t len,
    bool has_fd, struct err *);

/* Most data bytes that a CHUNK message may carry; 0: not one of these. */
uint32_t msg_chunk_max(uint32_t type);

/* struct err <-> its body. */
void msg_from_err(struct msg_err *, const struct err *);
void msg_to_err(const struct msg_err *, struct err *);
/* Letters, digits, ".", "-", "_", the first a letter or digit; 1..63 of them. */
bool vm_name_ok(const char *);
/* Fill a reference from "7" (an id) or a name; -1: neither. */
int vm_ref_parse(struct vm_ref *, const char *text, struct err *);

#endif
