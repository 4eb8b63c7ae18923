/* SPDX-License-Identifier: ISC */
/*
 * Shared directories: a process of another project, virtiofsd, serves each.
 * This makes it, in namespaces of its own where the guest's root is the VM's
 * owner and nobody else exists.  Runs in: launch.
 */
#ifndef LAUNCH_LAUNCH_H
#define LAUNCH_LAUNCH_H

#include <sys/types.h>

#include "shared/err.h"
#include "shared/proto.h"

/*
 * Serve dir on the listening socket; both are borrowed.  *pid: the process, a
 * child of our parent's, or 0.  -1: it does not serve, and ends if it is there.
 */
int share_serve(const struct msg_launch *, int listen_fd, int dir_fd,
    pid_t *pid, struct err *);

/* On this process, beside launch's: what virtiofsd must not do.  For ever. */
int share_filter(struct err *);

/* What there is of it on this host: its path; NULL with words. */
const char *share_program(struct err *);

#endif
