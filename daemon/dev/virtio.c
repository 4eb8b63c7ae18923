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
	v->transport = VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1;
	v->nqueues = ops->nqueues;
}

int
vio_open(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	const struct vio_ops *ops = v->ops;

	if ((ops->prepare == NULL || ops->prepare(v, conf, e) == 0) &&
	    (ops->open == NULL || ops->open(v, conf, e) == 0))
		return (0);
	if (ops->close != NULL)
		ops->close(v);
	return (-1);
}
