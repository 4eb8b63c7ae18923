/* SPDX-License-Identifier: ISC */
/*
 * The shared page of counters: see figures.h.
 * Runs in: vm process.  Its counters are written by vCPU threads (vcpu.c) and,
 * when somebody asks, by machine_sample().
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/vm/figures.h"
#include "shared/fd.h"

int
figures_open(struct figures **page, unsigned ncpus, struct err *e)
{
	void *p;
	int fd;

	fd = memfd_sealed_map("figures", FIGURES_BYTES,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE, &p);
	if (fd == -1)
		return (err_errno(e, "cannot make the page of figures"));
	*page = p;
	(*page)->ncpus = ncpus;
	(*page)->magic = FIGURES_MAGIC;
	return (fd);
}

void
figures_close(struct figures *page)
{
	if (page != NULL)
		munmap(page, FIGURES_BYTES);
}
