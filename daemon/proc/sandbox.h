/* SPDX-License-Identifier: ISC */
/*
 * What a process may do, as data: one const struct a role, in policies.c, each
 * line with its reason.  A test compares every live process with its row.
 */
#ifndef PROC_SANDBOX_H
#define PROC_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

/*
 * One allowed system call.  values: the argument arg must be one of these, 0
 * ends the list, so that 0 itself can't be in it but as the first of one; NULL:
 * any.  With bits the argument is compared under that mask: what the mask
 * leaves of it must be values[0] (which may be 0).
 */
struct sandbox_call {
	int nr; /* SCMP_SYS(read) */
	const char *why;
	const unsigned long *values;
	unsigned arg; /* which argument values are of */
	unsigned long bits;
};

/* A seccomp filter: everything else kills the process. */
struct sandbox_filter {
	const char *name; /* "vm/vcpu" */
	const struct sandbox_call *calls;
	size_t ncalls;
};

enum sandbox_uid {
	SANDBOX_ROOT,   /* stays root, with caps only */
	SANDBOX_DAEMON, /* the user _vmd */
	SANDBOX_OWN,    /* a uid of its own, given at the start */
};

/* What /proc/PID/fd/N may point to, and how many of these.  link NULL ends. */
struct sandbox_fd {
	const char
	    *link; /* a part of the link's text: "socket:"; "/x": its end */
	unsigned min, max;
	const char *why;
};

struct sandbox {
	const char *name; /* as in the role table */
	enum sandbox_uid uid;
	unsigned namespaces; /* CLONE_NEW*; made by the clone that spawns it */
	int empty_root;      /* 1: pivot_root to an empty read-only tmpfs */
	const int *caps;     /* CAP_*, -1-terminated; NULL: none */
	uint32_t nofile;     /* RLIMIT_NOFILE */
	uint32_t nproc;      /* RLIMIT_NPROC of its uid; UINT32_MAX: as it is */
	uint64_t as_bytes;   /* RLIMIT_AS beyond guest memory; 0: unlimited */
	const struct sandbox_filter *filter; /* of its main thread */
	const struct sandbox_fd *fds; /* what it may hold, 0-2 too; T65 */
};

/*
 * Everything but seccomp: close all fds from keep_fds up, rlimits, empty root,
 * groups/gid/uid, capabilities (all five sets), no_new_privs, not dumpable,
 * landlock where the kernel has it (no path at all for an empty root).  The
 * namespaces are there already.  uid, gid: for SANDBOX_DAEMON and SANDBOX_OWN.
 */
int sandbox_enter(const struct sandbox *, uid_t uid, gid_t gid,
    unsigned keep_fds, struct err *);
/* Put the filter on the calling thread.  No way back. */
int sandbox_filter_enter(const struct sandbox_filter *, struct err *);
/* On all threads of the process at once; each is past its own start. */
int sandbox_filter_enter_all(const struct sandbox_filter *, struct err *);

extern const struct sandbox sandbox_parent, sandbox_control, sandbox_vmm,
    sandbox_vm, sandbox_launch, sandbox_blk;
extern const struct sandbox_filter filter_parent, filter_control, filter_vmm,
    filter_vm, filter_vcpu, filter_launch, filter_blk;

#endif
