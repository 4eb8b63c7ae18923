/* SPDX-License-Identifier: ISC */
/* Log lines of a process without a log of its own: sent up its link. */
#ifndef PROC_LINK_H
#define PROC_LINK_H

#include "shared/peer.h"

/*
 * From now on log lines of this process go to *peer as MSG_LOG; while *peer is
 * NULL they are lost.  peer stays the caller's variable.  Only for processes
 * whose main thread alone logs; a vm process has its own queue.
 */
void log_to_peer(struct peer **peer);

#endif
