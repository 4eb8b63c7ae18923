/* SPDX-License-Identifier: ISC */
/* Inside of a vm process: vm.c (its life) and link.c (its words). */
#ifndef VM_VM_INT_H
#define VM_VM_INT_H

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>

#include "daemon/boot/boot.h"
#include "daemon/proc/proc.h"
#include "daemon/vm/console.h"
#include "daemon/vm/machine.h"
#include "shared/peer.h"
#include "shared/proto.h"

#define VM_CALLERS 4   /* connections that have not said who they are */
#define VM_LOGLINES 16 /* kept for the link; then the oldest goes */

struct vm;

struct vm_caller {
	struct vm *vm;
	struct peer *peer; /* NULL: free */
};

struct vm_log { /* any thread */
	pthread_mutex_t lock;
	unsigned first, n; /* lock */
	struct {
		int prio;
		char text[LOG_LINE_BYTES];
	} line[VM_LOGLINES]; /* lock */
};

struct devpage;

/* A device that a process of its own serves, as the parent gave it. */
struct vm_dev {
	char name[DEV_NAME_BYTES]; /* "": not there */
	uint32_t kind;             /* enum dev_kind */
	uint32_t gen;              /* of its process: the parent's number */
	int page_fd, sock;    /* -1: not yet; sock: until the machine has it */
	struct devpage *page; /* mapped to be read */
};

struct vm {
	const struct proc_start *start;
	struct event_base *base;
	struct event *listen_ev, *grace_ev;
	int listen_fd;
	struct peer *vmm, *control; /* NULL: nobody there */
	struct vm_caller caller[VM_CALLERS];

	bool have_spec;
	struct msg_vm_spec spec;
	int fd[VMFD_N]; /* kernel and initrd stay, for a reset */
	uint8_t token[TOKEN_BYTES];
	struct vm_dev dev[VM_DEVS_MAX]; /* spec.ndevs of them */

	struct machine *machine;
	struct console console;
	struct figures *figures;
	int figures_fd;
	struct boot_img kernel, initrd;
	struct vm_log log;

	enum vm_state state;
	bool stopping; /* asked to shut down; state may be VM_PAUSED */
	int status;    /* of the process */
	bool ended;
};

/* vm.c */
/* Everything is there: make the machine, lock the door, let it run. */
int vmproc_go(struct vm *, struct err *);
int vmproc_op(struct vm *, const struct msg_vm_op *, struct err *);
void vmproc_keys(struct vm *);
/* A page or a socket of a device; takes *fd. */
int vmproc_dev(struct vm *, const struct msg_vm_dev *, int *fd, struct err *);
void vmproc_dev_gone(struct vm *, const struct msg_vm_dev_gone *);
/* Report the end and leave the loop. */
void vmproc_end(struct vm *, enum vm_what, const struct err *);

/* link.c */
int vmlink_open(struct vm *, struct err *);
void vmlink_close(struct vm *);
void vmlink_event(struct vm *, enum vm_what, const struct err *);
/* WHAT_DEV_* of spec.ndevs's index. */
void vmlink_dev_event(
    struct vm *, enum vm_what, unsigned index, const struct err *);
/* Its page, to control if there is one. */
void vmlink_dev_page(struct vm *, unsigned index);
void vmlink_credit(struct vm *, size_t bytes);
/* Lines that other threads have logged, or that waited for a link. */
void vmlink_log_flush(struct vm *);

#endif
