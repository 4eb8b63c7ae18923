/* SPDX-License-Identifier: ISC */
/* A device process of any kind. */
#ifndef VHU_DEVPROC_H
#define VHU_DEVPROC_H

#include "daemon/dev/virtio.h"
#include "daemon/proc/sandbox.h"

/*
 * Threads, then the filter on all of them, then the device itself: what is in
 * an image is looked at under the filter.  Then serves the one front end of
 * sock until it goes: 0.  -1 leaves the words in the page too.
 */
int devproc_serve(const struct vio_ops *, const struct sandbox_filter *,
    const struct vio_conf *, int sock, struct err *);

#endif
