/* SPDX-License-Identifier: ISC */
/* Virtio devices, whoever carries them: see virtio.h. */
#include <string.h>

#include "daemon/dev/virtio.h"

void
vio_init(struct vio *v, const struct vio_ops *ops,
    const struct vio_carrier *carrier, void *ctx)
{
	memset(v, 0, sizeof(*v));
	v->ops = ops;
	v->carrier = carrier;
	v->carrier_ctx = ctx;
	v->features_own = ops->features;
	v->nqueues = ops->nqueues;
}
