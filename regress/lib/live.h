/* SPDX-License-Identifier: ISC */
/* A live process, read from /proc, against its row of the process table. */
#ifndef REGRESS_LIVE_H
#define REGRESS_LIVE_H

#include <stddef.h>
#include <sys/types.h>

#include "daemon/proc/sandbox.h"

/*
 * Compare process pid with its row: uids, gids, groups, the five capability
 * sets, no_new_privs, dumpable, core limit, seccomp of each thread, namespaces
 * against ours, its root.  Each difference is one line, "pid 7 (vm): ...", given
 * to say().  The number of differences.  We must be root in the parent's
 * namespaces.  T67, S2.
 */
unsigned live_check(pid_t pid, const struct sandbox *, uid_t uid, gid_t gid,
    void (*say)(const char *));
/* The same for its fds against the row's list; T65. */
unsigned live_check_fds(
    pid_t pid, const struct sandbox *, void (*say)(const char *));

#endif
