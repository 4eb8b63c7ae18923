/* SPDX-License-Identifier: ISC */
/*
 * A whole vm process, in a child with both its filters on, and the ends of its
 * links that vmm and control have.  Needs /dev/kvm; the rendezvous takes root.
 *
 * The guest prints "A", echoes its keys, and of these: q powers it off, r
 * resets it, t is a triple fault, d makes it deaf to the power button.
 */
#ifndef REGRESS_VMRIG_H
#define REGRESS_VMRIG_H

#include <stdbool.h>
#include <sys/types.h>

#include <event2/event.h>

#include "shared/figures.h"
#include "shared/peer.h"
#include "shared/ring.h"

#define RIG_ID 7 /* of the VM */

struct rig_side {          /* a link as vmm or control has it */
	struct peer *peer; /* NULL: closed by the other end */
	unsigned got[MSG_NTYPES];
	struct msg_vm_event event;
	struct msg_attached_vm attached;
	struct msg_err err;
	uint32_t reqno, credit;
	int fd[MSG_NTYPES];
};

struct rig {
	struct event_base *base;
	char dir[32], path[64];
	uint8_t token[TOKEN_BYTES];
	pid_t pid;
	struct rig_side vmm, control;
	struct ring_r ring;
	const struct figures *figures;
	uint64_t off;
};

/* The loop, until that is so; a run that hangs is ended by SIGALRM. */
#define RIG_UNTIL(r, cond)                                                     \
	do {                                                                   \
		while (!(cond))                                                \
			event_base_loop((r)->base, EVLOOP_ONCE);               \
	} while (0)

/* The process, with its link; nothing said yet.  false: there is no KVM. */
bool rig_spawn(struct rig *);
/* With the guest, which runs. */
bool rig_open(struct rig *, unsigned ncpus);
/* Its exit status; what it still says is read first. */
int rig_close(struct rig *);
void rig_side_close(struct rig_side *);

/* What vmm sends it.  Takes fd. */
void rig_new(struct rig *, unsigned ncpus);
void rig_send_fd(struct rig *, enum vm_fd, int fd);
void rig_go(struct rig *, uint32_t reqno);
void rig_op(struct rig *, enum vm_op, uint32_t grace_ms, uint32_t reqno);
int rig_kernel_fd(void);

/* Call it, as this role; flip: bits of the token that are wrong. */
void rig_call(struct rig *, struct rig_side *, enum role, uint8_t flip);
/* As control, with its pages. */
void rig_attach(struct rig *);
void rig_keys(struct rig_side *, const char *text);
/* The console's next bytes, as soon as they are there. */
void rig_expect(struct rig *, const char *text);

#endif
