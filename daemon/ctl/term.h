/* SPDX-License-Identifier: ISC */
/*
 * The terminal of vmctl console: raw while we are attached, and always put back
 * as it was: at exit, on signals, when suspended, when we crash.
 */
#ifndef CTL_TERM_H
#define CTL_TERM_H

#include "shared/err.h"

/* Make it raw (again).  One terminal a process; 0 or -1. */
int term_raw(int fd, struct err *);
/* Put it back; does nothing when it is not raw. */
void term_restore(void);
/* Is it raw now? */
int term_is_raw(void);

#endif
