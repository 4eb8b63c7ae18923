/* SPDX-License-Identifier: ISC */
/*
 * Devices with processes of their own: what the parent says of them, and their
 * figures, read from pages that the VM process shares.
 * Runs in: control.  Trusts: the parent.  Not: what stands in a page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/control/control.h"
#include "shared/clock.h"
#include "shared/devpage.h"

int
on_dev_row(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_dev_row *m = msg->body;
	struct control *ctl = ctx;
	struct cvm *v;

	(void)from;
	if ((v = cvm_id(ctl, m->id)) == NULL || m->index >= v->row.ndevs)
		return (0);
	if (v->dev[m->index] == NULL &&
	    (v->dev[m->index] = malloc(sizeof(*m))) == NULL)
		return (err_errno(e, "device"));
	*v->dev[m->index] = *m;
	client_push(ctl, SUB_DEVS, MSG_DEV_ROW, m, sizeof(*m));
	return (0);
}

void
cdev_forget(struct cvm *v, unsigned from)
{
	unsigned i;

	for (i = from; i < VM_DEVS_MAX; i++) {
		free(v->dev[i]);
		v->dev[i] = NULL;
	}
}

void
cdev_unmap(struct cons *c)
{
	unsigned i;

	for (i = 0; i < VM_DEVS_MAX; i++) {
		if (c->dev[i] != NULL)
			munmap((void *)(uintptr_t)c->dev[i], DEVPAGE_BYTES);
		c->dev[i] = NULL;
	}
}

/* A later page takes the place of an earlier one. */
int
cdev_map(struct cons *c, const struct msg_page_dev *m, int fd, struct err *e)
{
	const struct devpage *page;

	if (m->bytes != DEVPAGE_BYTES)
		return (err_set(
		    e, EINVAL, "a device's page of %u bytes", m->bytes));
	if ((page = page_map(fd, DEVPAGE_BYTES, PROT_READ, e)) == NULL)
		return (-1);
	if (c->dev[m->index] != NULL)
		munmap((void *)(uintptr_t)c->dev[m->index], DEVPAGE_BYTES);
	c->dev[m->index] = page;
	return (0);
}

static uint64_t
figure(const _Atomic uint64_t *p)
{
	return (atomic_load_explicit(p, memory_order_relaxed));
}

/* Each number is read once; what is no number of anything is shown as it is. */
static void
cdev_figures(const struct cvm *v, unsigned i, struct msg_dev_figures *m)
{
	const struct devpage *p = v->cons->dev[i];
	unsigned k;

	memset(m, 0, sizeof(*m));
	m->id = v->row.id;
	m->index = i;
	m->kind = v->dev[i]->kind;
	m->now_ns = clock_now_ns();
	m->reads = figure(&p->reads);
	m->writes = figure(&p->writes);
	m->flushes = figure(&p->flushes);
	m->discards = figure(&p->discards);
	m->errors = figure(&p->errors);
	m->read_bytes = figure(&p->read_bytes);
	m->write_bytes = figure(&p->write_bytes);
	m->inflight = figure(&p->inflight);
	for (k = 0; k < DEV_HIST; k++) {
		m->flush_hist[k] = figure(&p->flush_hist[k]);
		m->io_hist[k] = figure(&p->io_hist[k]);
	}
}

void
cdev_send_figures(struct peer *to, uint32_t reqno, const struct cvm *v)
{
	struct msg_dev_figures m;
	unsigned i;

	if (v->cons == NULL || v->cons->link == NULL)
		return;
	for (i = 0; i < VM_DEVS_MAX; i++) {
		/* virtiofsd counts nothing, and not there. */
		if (v->dev[i] == NULL || v->cons->dev[i] == NULL ||
		    v->dev[i]->kind == DEV_FS)
			continue;
		cdev_figures(v, i, &m);
		peer_send(to, MSG_DEV_FIGURES, reqno, NULL, &m, sizeof(m));
	}
}

void
cdev_send_rows(struct peer *to, uint32_t reqno, const struct cvm *v)
{
	unsigned i;

	for (i = 0; i < VM_DEVS_MAX; i++)
		if (v->dev[i] != NULL)
			peer_send(to, MSG_DEV_ROW, reqno, NULL, v->dev[i],
			    sizeof(*v->dev[i]));
}
