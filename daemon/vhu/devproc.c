/* SPDX-License-Identifier: ISC */
/*
 * A device process: its row says which device and which filter, its page how
 * that is configured.  It has no link to anybody: the vm process speaks
 * vhost-user with it, and its words are in its page.
 * Runs in: device processes.  Trusts: the parent's part of its page.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "daemon/vhu/back.h"
#include "daemon/vhu/devproc.h"
#include "shared/devpage.h"
#include "shared/fd.h"

int
devproc_serve(const struct vio_ops *ops, const struct sandbox_filter *filter,
    const struct vio_conf *conf, int sock, struct err *e)
{
	struct vhu_back *b;

	if ((b = vhu_back_new(ops, conf->conf->nqueues, e)) != NULL &&
	    vhu_back_prepare(b, conf, e) == 0 &&
	    sandbox_filter_enter_all(filter, e) == 0 &&
	    vhu_back_open(b, conf, e) == 0 && vhu_back_serve(b, sock, e) == 0)
		return (0);
	/* No vhu_back_free(): its threads cannot end under the filter. */
	devpage_err_put(conf->page, e);
	atomic_store(&conf->page->state, DEVP_FAILED);
	return (-1);
}

static struct devpage *
page_map(void)
{
	int fd = PROC_PAGE_FD;
	struct stat st;
	void *p;

	if (fstat(fd, &st) == -1 || st.st_size != DEVPAGE_BYTES)
		return (NULL);
	p = mmap(
	    NULL, DEVPAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fd_close(&fd);
	return (p == MAP_FAILED ? NULL : p);
}

int
devproc_run(const struct proc_start *ps)
{
	const struct proc_desc *row = ps->desc;
	int fd[PROC_FDS_MAX];
	unsigned i, n = row->nfds - (PROC_IMAGE_FD - PROC_LINK_FD);
	struct devpage_conf conf;
	struct vio_conf vc = { .conf = &conf, .fd = fd, .nfds = n };
	struct err e;

	for (i = 0; i < n; i++)
		fd[i] = PROC_IMAGE_FD + (int)i;
	/* A limit of file sizes is a write's error, not the end. */
	signal(SIGXFSZ, SIG_IGN);
	if ((vc.page = page_map()) == NULL)
		return (1); /* and no place to say so */
	if (devpage_conf_get(vc.page, &conf, &e) == -1) {
		devpage_err_put(vc.page, &e);
		atomic_store(&vc.page->state, DEVP_FAILED);
		return (1);
	}
	return (devproc_serve(
		    row->vio, row->sandbox->filter, &vc, PROC_LINK_FD, &e) == 0
		? 0
		: 1);
}
