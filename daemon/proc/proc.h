/* SPDX-License-Identifier: ISC */
/*
 * Processes: the table of roles, how the parent starts one, how one begins.
 * Each role is the same executable, executed again with -P, so that no two
 * share an address layout.  Knows nothing about VMs.
 */
#ifndef PROC_PROC_H
#define PROC_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/proc/sandbox.h"
#include "shared/err.h"
#include "shared/proto.h"

#define PROC_LINK_FD 3   /* to the parent (vm: to vmm) */
#define PROC_LISTEN_FD 4 /* vm: its rendezvous socket */
#define PROC_PAGE_FD 4   /* device: its page, shared/devpage.h */
#define PROC_IMAGE_FD 5  /* device: the way to its image, then that; opener.h */
#define PROC_FDS_MAX 8   /* what a process can be given */

struct proc_start {            /* what a role's run() gets */
	const char *title;     /* "vm/alpine" */
	uint32_t id;           /* of the VM, or 0 */
	uint64_t spawned_ns;   /* CLOCK_MONOTONIC when the parent cloned */
	uint64_t sandboxed_ns; /* when sandbox_enter() was done */
	uint64_t entered_ns;   /* when main() began */
	int verbose;
	int link_fd, listen_fd;       /* -1: not given */
	const struct proc_desc *desc; /* its row */
};

struct vio_ops;

struct proc_desc {
	const char *name; /* -P argument */
	const char *word; /* before the title's slash; NULL: name */
	enum role role;   /* 0: a device process, which speaks no imsg */
	const struct sandbox *sandbox;
	uint32_t peers;            /* ROLE_*: who has a channel to it */
	unsigned nfds;             /* from PROC_LINK_FD on */
	const struct vio_ops *vio; /* of a device process: what it serves */
	/* As root, before sandbox_enter(); optional.  -1: it ends. */
	int (*before)(struct err *);
	/* Inside sandbox_enter(); puts on its own filters.  Exit status. */
	int (*run)(const struct proc_start *);
};
/* THE process table; the parent is row 0. */
extern const struct proc_desc proc_table[];
extern const size_t proc_ntable;
const struct proc_desc *proc_find(const char *name);

/* In the parent, once, before it enters its sandbox: finds its own executable. */
int proc_init(struct err *);

/*
 * The user and group _vmd, of control and vmm.  Before the sandbox.  -1 with
 * words that name the sysusers entry.
 */
int proc_daemon_user(uid_t *, gid_t *, struct err *);

struct proc_spawn_conf {
	/* "" or the VM's name, in ps "vmd: vm/NAME"; "NAME/blk0" of a device */
	const char *title;
	uint32_t id;
	uid_t uid;
	gid_t gid;
	int verbose;
	/* The row's nfds of them become PROC_LINK_FD and on; borrowed. */
	int fd[PROC_FDS_MAX];
};
/*
 * clone3 into the row's namespaces, with a pidfd, and execute.  The pid is of
 * our own namespace; pidfd is given to the caller.
 */
int proc_spawn(const struct proc_desc *, const struct proc_spawn_conf *,
    pid_t *pid, int *pidfd, struct err *);

/* main() of `vmd -P name ...`: never returns. */
void proc_child_main(int argc, char **argv) __attribute__((noreturn));

/* The run() of each role. */
int control_run(const struct proc_start *);
int vmm_run(const struct proc_start *);
int vm_run(const struct proc_start *);
int launch_run(const struct proc_start *);
int devproc_run(const struct proc_start *); /* of all devices */

#endif
