/* SPDX-License-Identifier: ISC */
/* The shared page of counters: figures.h of shared/ says what is in it. */
#ifndef VM_FIGURES_H
#define VM_FIGURES_H

#include "shared/err.h"
#include "shared/figures.h"

/* Its fd, sealed so that others map it read-only; *page: ours.  -1: see err. */
int figures_open(struct figures **page, unsigned ncpus, struct err *);
void figures_close(struct figures *);

#endif
