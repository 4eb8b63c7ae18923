/* SPDX-License-Identifier: ISC */
/* What the processes share that live at the end of a link to the parent. */
#ifndef PROC_LINK_H
#define PROC_LINK_H

#include "shared/peer.h"

struct event_base;
struct sandbox_filter;

/*
 * Log to *parent (MSG_LOG; lost while it is NULL), put the filter on and serve
 * until the loop is broken.  Returns the process's exit status.  *parent stays
 * the caller's variable; only for processes whose main thread alone logs.
 */
int link_run(
    struct event_base *, struct peer **parent, const struct sandbox_filter *);

/* Handler of MSG_VERBOSE. */
int link_verbose(void *ctx, struct peer *, struct msg *, struct err *);

#endif
