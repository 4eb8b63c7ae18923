/* SPDX-License-Identifier: ISC */
/* A console session: a guest's serial line on standard input and output. */
#ifndef CTL_CONS_H
#define CTL_CONS_H

#include <stdbool.h>

#include "daemon/ctl/ctl.h"
#include "shared/err.h"
#include "shared/proto.h"

struct cons_conf {
	struct vm_ref vm;
	const char *name; /* as the person gave it */
	bool watch;       /* no keyboard */
	bool take;        /* the keyboard, from who has it */
	bool no_history;  /* begin at the present end */
};

/*
 * Attach, and stream until the person leaves or the VM ends: 0; or until
 * something fails: -1 with *e.  A signal that ends us ends us after the
 * terminal is put back.  Opens its own connection.
 */
int cons_run(struct ctl *, const struct cons_conf *, struct err *);

#endif
