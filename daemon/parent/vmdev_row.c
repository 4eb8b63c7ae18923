/* SPDX-License-Identifier: ISC */
/* Devices as clients see them: of a VM that runs, and of one that would. */
#include <stdio.h>
#include <string.h>

#include "daemon/parent/parent.h"
#include "shared/devpage.h"
#include "shared/str.h"

unsigned
vmdev_count(const struct vment *v)
{
	return (v->conf.ndisks + v->conf.nshares);
}

void
vmdev_name(const struct vment *v, unsigned i, char *buf, size_t len)
{
	if (i < v->conf.ndisks)
		snprintf(buf, len, "blk%u", i);
	else
		snprintf(buf, len, "fs%u", i - v->conf.ndisks);
}

const char *
vmdev_word(const struct vmdev *d)
{
	return (d->kind == DEV_FS ? "share" : "disk");
}

const char *
vmdev_path(const struct vmdev *d)
{
	return (d->kind == DEV_FS ? share_conf(d)->path : vmdev_disk(d)->path);
}

static void
vmdev_row_disk(const struct conf_disk *disk, struct msg_dev_row *m)
{
	static const char *const formats[] = { "raw", "raw", "qcow2" };

	m->flags = disk->readonly ? DEV_READONLY : 0;
	strlcpy(m->format, formats[disk->format], sizeof(m->format));
	strlcpy(m->serial, disk->serial, sizeof(m->serial));
	strlcpy(m->path, disk->path, sizeof(m->path));
}

static void
vmdev_row_share(const struct conf_share *share, struct msg_dev_row *m)
{
	m->flags = share->writable ? 0 : DEV_READONLY;
	strlcpy(m->format, "share", sizeof(m->format));
	strlcpy(m->serial, share->tag, sizeof(m->serial));
	strlcpy(m->path, share->path, sizeof(m->path));
}

static void
vmdev_row(const struct vment *v, unsigned i, struct msg_dev_row *m)
{
	const struct vmdev *d = i < v->ndevs ? &v->dev[i] : NULL;

	memset(m, 0, sizeof(*m));
	m->id = v->id;
	m->index = i;
	m->kind = i < v->conf.ndisks ? DEV_BLK : DEV_FS;
	vmdev_name(v, i, m->name, sizeof(m->name));
	if (m->kind == DEV_BLK)
		vmdev_row_disk(&v->conf.disks[i], m);
	else
		vmdev_row_share(&v->conf.shares[i - v->conf.ndisks], m);
	if (d == NULL)
		return;
	m->flags |= d->direct ? DEV_DIRECT : 0;
	m->state = d->state;
	m->pid = d->pidfd != -1 ? (uint32_t)d->pid : 0;
	m->replaced = d->replaced;
	m->nqueues = d->nqueues;
	m->size_bytes = d->image_bytes;
	if (d->state != DEV_UP)
		strlcpy(m->reason, d->reason, sizeof(m->reason));
}

void
vmdev_rows(const struct vment *v)
{
	struct peer *control = v->p->control.peer;
	struct msg_dev_row m;
	unsigned i;

	for (i = 0; control != NULL && i < vmdev_count(v); i++) {
		vmdev_row(v, i, &m);
		peer_send(control, MSG_DEV_ROW, 0, NULL, &m, sizeof(m));
	}
}

void
vmdev_set(struct vmdev *d, enum dev_state state, const char *reason)
{
	struct peer *control = d->v->p->control.peer;
	struct msg_dev_row m;

	d->state = state;
	strlcpy(d->reason, reason, sizeof(d->reason));
	vmdev_row(d->v, d->index, &m);
	if (control != NULL)
		peer_send(control, MSG_DEV_ROW, 0, NULL, &m, sizeof(m));
}
