/* SPDX-License-Identifier: ISC */
/* The device in slot 2 of a flat guest, served as guests.ini says. */
#ifndef REGRESS_GUESTDEV_H
#define REGRESS_GUESTDEV_H

#include <sys/types.h>

#include "daemon/vm/machine.h"
#include "regress/lib/backthread.h"
#include "regress/lib/ini.h"

#define POOL 32 /* device processes, one after another */

struct event;
struct event_base;

struct guestdev {
	/* By who opens it. */
	struct machine **m;
	void (*failed)(void *ctx, const char *why);
	void *ctx;

	struct machine_dev_conf dev;
	struct devpage_conf conf;
	struct devpage page; /* of a device that is served here */
	int fd;              /* the image, or the only fd of the proxy */
	struct backthread *back;
	pid_t qsd;
	struct {
		struct devpage *page;
		pid_t pid[POOL];
		int sock[POOL];
		unsigned nkilled;
		struct event *killer;
	} pool;
};

/* Nothing where the section has no device.  Makes processes: no thread yet. */
int guestdev_open(struct guestdev *, const struct ini_section *,
    struct event_base *, struct machine_conf *, struct err *);
/* After the machine; one of zeros, too. */
void guestdev_close(struct guestdev *);

#endif
