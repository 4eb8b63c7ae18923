/* SPDX-License-Identifier: ISC */
/* The host's side of the parent: sockets, state directory, kernel knobs. */
#ifndef PARENT_HOST_H
#define PARENT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"

struct conf;
struct parent;

/* sd_notify(3)'s datagram, "READY=1"; nothing without $NOTIFY_SOCKET. */
/* Too few fds would fail us somewhere in between: refuse them at the start. */
#define HOST_FILES_MIN 64
#define HOST_FILES_BASE 32
#define HOST_FILES_VM 3  /* what one takes in control, the most of all */
#define HOST_FILES_DEV 3 /* what a device takes here: process, page, one more */
int host_files(struct err *);
/* Of that many VMs none must take the fd that a client needs. */
int host_files_for(unsigned nvms, unsigned ndevs, struct err *);
void host_notify(const char *text);
/* shmem_enabled: never -> advise, unless vm.conf says no. */
void host_hugepages(const struct conf *);
/* STATE/vm, 0700, and the lock that keeps a second vmd away. */
int host_state_open(struct parent *, struct err *);
/* The control socket. */
int host_listen(struct parent *, struct err *);
/* Did the kernel's OOM killer strike since the last call? */
bool host_oom_killed(void);
/* pidfd_send_signal(2): no other way to signal is used.  T77. */
int pidfd_kill(int pidfd, int sig);

#endif
