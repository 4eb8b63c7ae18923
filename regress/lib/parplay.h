/* SPDX-License-Identifier: ISC */
/*
 * The parent in a test, without its processes: what a client asks is handed to
 * its handlers, what it tells control is read.  There is one at a time.
 */
#ifndef REGRESS_PARPLAY_H
#define REGRESS_PARPLAY_H

#include "daemon/parent/parent.h"
#include "regress/lib/wire.h"

extern struct parent parent;
extern struct wire par_control;
extern char par_dir[64]; /* its state directory */

void par_open(void);
void par_close(void);
/* A VM of the table, and none any more. */
struct vment *par_add(const char *name);
void par_drop(struct vment *);
/* A child that is the process of this device, if there is one. */
void par_end_process(struct vmdev *);
/* What a handler of control's messages says to this one. */
int par_ask(
    enum msg_type, uint32_t reqno, const void *body, size_t len, struct err *);
void par_turn(void); /* of its loop */
/* A file in its directory. */
void par_put(const char *name, const char *text, mode_t mode, uid_t uid);

#endif
