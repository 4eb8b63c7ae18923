/* SPDX-License-Identifier: ISC */
/*
 * The parent's own state.  It knows the configuration and the table of VMs,
 * opens what they need, starts processes and reaps them; it talks to control
 * and vmm, never to a guest's process or a client.
 * Runs in: parent.  Trusts: root's configuration, and nobody's message.
 */
#ifndef PARENT_PARENT_H
#define PARENT_PARENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/parent/conf.h"
#include "daemon/proc/open.h"
#include "daemon/proc/proc.h"
#include "shared/err.h"
#include "shared/peer.h"
#include "shared/proto.h"

struct event;
struct event_base;
struct parent;

/* A request of a client that is answered later; gone when control dies. */
enum wait_for {
	WAIT_START,
	WAIT_END,    /* however it ends */
	WAIT_RESULT, /* and how */
	WAIT_PAUSED,
	WAIT_RUNNING,
};
struct waiter {
	TAILQ_ENTRY(waiter) entry;
	uint32_t reqno;
	enum wait_for what;
};

/* A disk or a share of a VM: a process of its own serves it. */
struct vmdev {
	struct vment *v;
	unsigned index;
	uint32_t kind; /* enum dev_kind */
	enum dev_state state;
	char name[DEV_NAME_BYTES]; /* "blk0" */
	const struct proc_desc *desc;
	int dir_fd; /* of a share; -1: an earlier vmd opened it */
	/* The image or directory that it has; image_ino 0: none yet. */
	uint64_t image_dev, image_ino, image_bytes;
	bool direct; /* as it was opened */
	uint32_t nqueues;
	int page_fd; /* -1: an earlier vmd's */
	struct devpage *page;
	/* Its process; pidfd -1: none. */
	pid_t pid;
	uint64_t pid_start;
	int pidfd;
	bool ours;      /* our child: waitid() works */
	bool let_go;    /* the VM says that it has no use for it any more */
	bool shot;      /* so we killed it */
	bool launching; /* a share's pidfd is to come; a disk's image */
	/* vmdev_image.c: of a disk that is launching */
	int image_sock;
	bool image_found;
	struct event *ev_image;
	int vm_sock; /* -1: the vm has it; what it is told of when that is done */
	struct event *ev_pidfd, *ev_look;
	struct event *ev_again; /* a new one; or the last moment of this one */
	uint64_t started_ns;
	unsigned quick;    /* deaths soon after the start, in a row */
	uint64_t paid_ns;  /* vmdev_wait_ms() */
	uint64_t again_ns; /* no other process before this */
	bool tired;        /* it dies again and again; its log is silent */
	bool trial;        /* and ev_again is when it has lived long enough */
	uint32_t replaced;
	char reason[ERR_TEXT_BYTES]; /* for any state but up */
};

/* A VM: a row of the table, running or not. */
struct vment {
	TAILQ_ENTRY(vment) entry;
	struct parent *p;
	uint32_t id;
	enum vm_state state;
	bool configured;             /* from vm.conf: stays when stopped */
	bool leaves;                 /* left vm.conf: goes when stopped */
	struct conf_vm conf;         /* what it runs with, or would */
	struct conf_vm *later;       /* what a reload wants it to be next */
	char reason[ERR_TEXT_BYTES]; /* of the last failed run; "" none */
	uint64_t told_ns; /* what its events have used up; parent_event() */
	unsigned untold;

	/* of the run; valid unless VM_STOPPED, VM_WAITING */
	pid_t pid;
	uint64_t pid_start; /* field 22 of /proc/PID/stat */
	int pidfd;
	struct event *ev_pidfd;
	struct event *ev_kill; /* backstop of a stop */
	struct event *ev_gone; /* vmm did not say the last word */
	bool ours;             /* our child: waitid() works */
	uid_t uid;             /* of its process */
	uint32_t starter;      /* uid that started it */
	int64_t started_s;
	uint32_t restarts;
	uint32_t step_open_us;
	uint8_t token[TOKEN_BYTES];
	bool failed, powered_off, killed; /* how it ended, so far */
	bool stop_asked;
	bool unpausing;  /* when its disks are there */
	bool gone;       /* all but its device processes */
	bool lingers;    /* one of those does not end; who asked was told */
	bool dev_failed; /* reason is a device's */
	bool damaged;    /* taken back, but for what it has and does */
	struct msg_reaped reaped;
	struct vmdev *dev; /* ndevs: a disk has its index, shares follow */
	unsigned ndevs;
	/* Who started it: the last asked_disks of conf are his wish. */
	struct msg_cred asker;
	uint32_t asked_disks;
	TAILQ_HEAD(, waiter) waiters;
};
TAILQ_HEAD(vmhead, vment);
struct loan;
struct orphan;

/* control or vmm: started again when it dies; launch, which has down(), not. */
struct child {
	struct parent *p;
	const struct proc_desc *desc;
	const struct msg_handler *handlers;
	size_t nhandlers;
	void (*up)(struct parent *, struct child *);   /* has a fresh peer */
	void (*down)(struct parent *, struct child *); /* for good */
	pid_t pid;
	int pidfd;
	struct event *ev_pidfd, *ev_again;
	struct peer *peer; /* NULL while it is down */
	uint64_t started_ns;
};

struct parent {
	struct event_base *base;
	struct conf *conf;
	struct conf *first;    /* read, its VMs not yet in the table */
	const char *conf_path; /* NULL: the default, which may be missing */
	const char *const *macros;
	size_t nmacros;
	bool foreground, stopping, leaving;
	int verbose;
	int state_fd; /* O_PATH of STATE/vm */
	int lock_fd;
	int listen_fd;
	uid_t uid; /* _vmd */
	gid_t gid;
	uint32_t next_id;
	bool leftovers; /* there may be VMs that no row tells of */
	struct vmhead vms;
	TAILQ_HEAD(, loan) loans;
	uint32_t next_loan;
	LIST_HEAD(, orphan) orphans;
	struct child control, vmm, launch;
	struct event *ev_stagger;
	struct event *ev_sig[5];
};

/* parent.c */
int parent_main(struct parent *);
/* v: the VM that it is of, or NULL; of one VM 20 a minute in the long run. */
void parent_event(struct parent *, struct vment *, bool bad, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
void parent_maybe_end(struct parent *);

/* child.c: control and vmm */
int child_start(struct child *, struct err *);
void child_stop(struct child *);
/*
 * A child that is nobody's any more, and was of the VM id or of none: killed at
 * once, reaped when it has ended.  Which may be never, and nobody waits for it.
 */
void child_end(struct parent *, pid_t, uint32_t id);
unsigned child_left(const struct parent *, uint32_t id); /* of these */

/* vmtab.c: the table */
struct vment *vmtab_add(struct parent *, const struct conf_vm *, struct err *);
void vmtab_remove(struct vment *, const char *reason);
struct vment *vmtab_find(struct parent *, const struct vm_ref *);
struct vment *vmtab_id(struct parent *, uint32_t id);
bool vm_runs(const struct vment *); /* has a process */
unsigned vmtab_running(const struct parent *);
unsigned vmtab_devs(const struct parent *); /* of the running ones */
void vm_row(const struct vment *, struct msg_row *);
void vm_changed(struct vment *); /* tell control */
/* A uid of the configured range that no running VM has. */
int vmtab_uid(struct parent *, uid_t *, struct err *);

/* vmdev.c: device processes */
int vmdev_open(struct vment *, struct err *); /* directories, pages */
/* Its process runs and vmm has its VM_NEW: make theirs, hand them over. */
int vmdev_start(struct vment *, struct err *);
void vmdev_event(struct vment *, const struct msg_vm_event *); /* WHAT_DEV_* */
int vmdev_retry(struct vment *, struct err *); /* before it is unpaused */
void vmdev_running(struct vment *);            /* it has been */
void vmdev_stop(struct vment *);               /* it has been told to stop */
void vmdev_end(struct vment *); /* its VM's process is dead: theirs follow */
bool vmdev_ended(const struct vment *);
void vmdev_left(const struct vment *, char *buf, size_t len); /* in words */
void vmdev_clear(struct vment *);
/* The words of one that failed to start, if there are any. */
bool vmdev_words(const struct vment *, char *buf, size_t len);
/* Of a record: the process an earlier vmd started, alive or not. */
int vmdev_adopt(struct vment *, const struct vmdev *, int *pidfd, struct err *);
void vmdev_record(const struct vmdev *);

/* vmdev_again.c: a process has died; it, or another, is there or is not */
/* One has died now: how long the next one has to wait. */
unsigned vmdev_wait_ms(struct vmdev *, uint64_t now_ns);
/* A share's process is there (takes *pidfd), or is not: pidfd -1 and why. */
void vmdev_launched(struct vmdev *, pid_t, int *pidfd, const struct err *why);
/* It has its image; or it has not, and is killed. */
void vmdev_opened(struct vmdev *);
void vmdev_refused(struct vmdev *, const struct err *why);

/* vmdev_image.c: how a disk's process comes to its image */
/* Ask for it: *fd is for the process. */
int vmdev_image_order(struct vmdev *, int *fd, struct err *);
/* Now it runs: vmdev_opened() or vmdev_refused(), in a few seconds at most. */
int vmdev_image_watch(struct vmdev *, struct err *);
/* It has it, or is not to have it any more. */
void vmdev_image_end(struct vmdev *);
bool vmdev_launching(const struct vment *); /* a disk's image is to come */

/* vmdev_row.c: what clients see of them */
unsigned vmdev_count(const struct vment *); /* disks, then shares */
void vmdev_name(const struct vment *, unsigned index, char *buf, size_t len);
const char *vmdev_word(const struct vmdev *); /* "disk", "share" */
const char *vmdev_path(const struct vmdev *);
void vmdev_rows(const struct vment *); /* tell control of all */
void vmdev_set(struct vmdev *, enum dev_state, const char *reason);

/* vmdev_run.c: one process of a device */
int vmdev_page(struct vmdev *, struct err *);
void vmdev_page_fill(struct vmdev *);
int vmdev_spawn(struct vmdev *, struct err *);
/* To the vm process, through vmm; gives *fd. */
int vmdev_send(struct vmdev *, enum dev_fd, int *fd, struct err *);
/* Its process is dead, which the vm may be waiting for. */
void vmdev_send_gone(const struct vmdev *);
/* The vm waits for its devices no longer than this, ever. */
int vmdev_limit(const struct vmdev *, int sock, struct err *);
const struct conf_disk *vmdev_disk(const struct vmdev *);

/* share.c: devices that are shared directories, and who makes their processes */
void share_init(struct parent *);
int share_start(struct parent *, struct err *); /* launch, if one is needed */
int share_open(struct vmdev *, struct err *);
int share_spawn(struct vmdev *, struct err *);
const struct conf_share *share_conf(const struct vmdev *);
/* Who the guest's root is on the host. */
void share_ids(const struct conf_owner *, uint32_t *uid, uint32_t *gid);

/* lend.c: kernels and initrds that a client brings */
int lend(struct parent *, const struct msg_lend *, uint32_t *id, int *fd,
    struct err *);
/* Gives the file of that loan of the asker's; -1 in *fd for id 0. */
int lend_take(struct parent *, const struct msg_cred *, uint32_t id, int *fd,
    struct err *);
void lend_clear(struct parent *);

/* start.c */
struct open_owner open_owner(const struct conf_owner *);
void vm_spec(const struct vment *, struct msg_vm_spec *);
/* What the client brought, or -1; left open where it was not needed. */
struct given {
	int kernel, initrd;
};
int vm_start(struct vment *, uint32_t starter, struct given *, struct err *);
void vm_start_enabled(struct parent *);
void vm_stagger_stop(struct parent *);

/* life.c: what happens to a running one */
int vm_watch(struct vment *, struct err *);
void vm_event(struct vment *, const struct msg_vm_event *);
void vm_gone(struct vment *);       /* vmm has said all it knows */
bool vm_ends(const struct vment *); /* or has ended, but for its devices */
int vm_refuse(const struct vment *, struct err *); /* so it is not asked */
/* Why a process ended, in words; "" when it did what it should. */
void proc_cause(const struct msg_reaped *, char *buf, size_t len);
int vm_stop(struct vment *, uint32_t grace_ms, bool force, struct err *);
int vm_op(struct vment *, enum vm_op, struct err *);
/* Disks that an unpause waits for are there, or one will not be: why. */
void vm_unpause(struct vment *, const struct err *why);
/* It cannot do without a device: paused, also while it stops. */
void vm_hold(struct vment *);
void vm_wait(struct vment *, uint32_t reqno, enum wait_for);
/* Of its last run: -1 with why, when that failed. */
int vm_result(const struct vment *, struct err *);
void vm_kill(struct vment *);
/* No process: what it ran with for once, or until its end, is over. */
void vm_settle(struct vment *);
void vm_forget_waiter(struct parent *, uint32_t reqno);
void vm_forget_waiters(struct parent *);

/* link.c: rendezvous with running VM processes */
int link_listen(struct vment *, int *fd, struct err *);
int link_connect(struct vment *, enum role, int *fd, struct err *);
void link_control(struct vment *); /* give control its link */

/* record.c: what the next vmd has to know */
int record_write(const struct vment *, struct err *);
void record_remove(const struct vment *);
void record_take_back(struct parent *);
/* Name processes of VMs that could not be; once control is there. */
void record_leftovers(struct parent *);
/* The VM of a damaged record is dead: what is left of it follows. */
void record_end_uid(struct parent *, uid_t);
/* By a process that nobody knows. */
bool record_uid_used(struct parent *, uid_t);
/* 0 when there is no such process. */
uint64_t pid_start_time(pid_t);
/* The very process that started then, or -1. */
int pid_open(pid_t, uint64_t start, uid_t, struct err *);

/* request.c: what clients ask, through control; vmm's events */
extern const struct msg_handler parent_from_control[], parent_from_vmm[];
extern const size_t parent_nfrom_control, parent_nfrom_vmm;
int parent_on_log(void *, struct peer *, struct msg *, struct err *);

/* reload.c */
int parent_load(struct parent *, const char *path, bool add_only, struct err *);
/*
 * At the start: read the file (sockets and directories count at once), and
 * later fill the table from it, when running VMs have been taken back.
 */
int parent_first_load(struct parent *, struct err *);
int parent_first_apply(struct parent *, struct err *);
void parent_forget_vms(struct parent *);

#endif
