/* SPDX-License-Identifier: ISC */
/* What the files of devices with processes of their own share. */
#ifndef VMDEV_INT_H
#define VMDEV_INT_H

#include "daemon/parent/parent.h"

#define LAST_MOMENT_MS 200 /* when its VM has ended */

/* vmdev.c */
/* Goes on in vmdev_launched(); or in vmdev_opened(), vmdev_refused(). */
int vmdev_run(struct vmdev *, struct err *);
int vmdev_send_page(struct vmdev *, struct err *);
int vmdev_watch(struct vmdev *, struct err *);
void vmdev_unwatch(struct vmdev *);
/* It is killed, and not waited for: it may be where nothing gets it out of. */
void vmdev_let_go(struct vmdev *);

/* vmdev_again.c */
void vmdev_died(int pidfd, short, void *vmdev); /* ev_pidfd */
void vmdev_due(int, short, void *vmdev);        /* ev_again */
void vmdev_after(struct vmdev *, unsigned ms);
/* It is to be gone by then. */
void vmdev_kill_after(struct vmdev *, unsigned ms);
/* Another process, but not before its time. */
void vmdev_soon(struct vmdev *);
int vmdev_replace(struct vmdev *, struct err *);
/* It will not do: the guest stands, and somebody has to look. */
void vmdev_lost(struct vmdev *, const char *why);
/* Its VM is paused for it. */
void vmdev_stands(const struct vmdev *, const char *why);

#endif
