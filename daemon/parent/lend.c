/* SPDX-License-Identifier: ISC */
/*
 * Memory files lent to clients, for the kernels and initrds that they bring.
 *
 * A client does not send the file that it opened.  Whoever holds an fd of a
 * client's has to close it one day, and close(2) of a file of a FUSE mount
 * waits for its server, in a way that not even SIGKILL ends; so does the exit
 * of who holds it.  To look at the file first does not help: it is held by
 * then.  So fds go the other way only: the client asks for room, gets a memory
 * file of ours, writes into it, and names it in START.
 *
 * Size and room are settled when it is lent.  In START it is closed to further
 * write(2)s; who has it mapped may go on to change it, and gets the guest that
 * he deserves: a kernel is read as something hostile anyway.
 *
 * Runs in: parent.  Trusts: nobody who asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <event2/event.h>

#include "daemon/parent/parent.h"
#include "daemon/proc/perm.h"
#include "shared/fd.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* linux 5.1 */
#endif

#define LOANS_UID 4 /* two VMs at once */
#define LOANS_MAX 64
#define LOANS_ROOT 8 /* places that are kept for root */
#define LOAN_S 60

struct loan {
	TAILQ_ENTRY(loan) entry;
	struct parent *p;
	uint32_t id, uid;
	int fd;
	struct event *timer;
};

static void
loan_free(struct loan *l)
{
	TAILQ_REMOVE(&l->p->loans, l, entry);
	if (l->timer != NULL)
		event_free(l->timer);
	fd_close(&l->fd);
	free(l);
}

static void
on_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	loan_free(arg);
}

/* One user must not take the places of the others, nor all of them root's. */
static int
loan_room(const struct parent *p, uint32_t uid, struct err *e)
{
	unsigned all = 0, own = 0;
	const struct loan *l;

	TAILQ_FOREACH(l, &p->loans, entry) {
		all++;
		own += l->uid == uid;
	}
	if (all >= LOANS_MAX - (uid != 0 ? LOANS_ROOT : 0) ||
	    (uid != 0 && own >= LOANS_UID))
		return (err_set(e, EAGAIN,
		    "%u kernels of uid %u, %u in all, are on their way to vms "
		    "already: try again in a minute",
		    own, uid, all));
	return (0);
}

/* Only who may start something is lent memory to start it from. */
static bool
may_start(const struct parent *p, const struct msg_cred *cred)
{
	const struct vment *v;
	struct perm_vm pv;

	if (cred->uid == 0)
		return (true);
	TAILQ_FOREACH(v, &p->vms, entry) {
		pv = (struct perm_vm){ .owner_uid = v->conf.owner.uid,
			.owner_gid = v->conf.owner.gid };
		if (perm_ok(cred, PERM_START, &pv))
			return (true);
	}
	return (false);
}

int
lend(struct parent *p, const struct msg_lend *m, uint32_t *id, int *fd,
    struct err *e)
{
	struct timeval late = { .tv_sec = LOAN_S };
	struct loan *l;

	if (!may_start(p, &m->cred))
		return (err_set(e, EPERM,
		    "you do not own any vm: ask root, or an owner in "
		    "vm.conf"));
	if (loan_room(p, m->cred.uid, e) == -1)
		return (-1);
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (err_errno(e, "room for a kernel"));
	TAILQ_INSERT_TAIL(&p->loans, l, entry);
	l->p = p;
	l->uid = m->cred.uid;
	l->fd = memfd_lent("kernel", m->bytes);
	l->timer = evtimer_new(p->base, on_late, l);
	if (l->fd == -1 || l->timer == NULL ||
	    event_add(l->timer, &late) == -1 ||
	    (*fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		err_errno(e, "room for a kernel");
		loan_free(l);
		return (-1);
	}
	if (++p->next_loan == 0)
		p->next_loan = 1;
	*id = l->id = p->next_loan;
	return (0);
}

int
lend_take(struct parent *p, const struct msg_cred *cred, uint32_t id, int *fd,
    struct err *e)
{
	struct loan *l;

	*fd = -1;
	if (id == 0)
		return (0);
	TAILQ_FOREACH(l, &p->loans, entry)
		if (l->id == id && l->uid == cred->uid)
			break;
	if (l == NULL)
		return (err_set(e, ENOENT,
		    "the kernel or initrd that came with the request is not "
		    "here (any more): try once more"));
	if (fcntl(l->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == -1)
		return (err_errno(e, "the kernel that came with the request"));
	*fd = fd_move(&l->fd);
	loan_free(l);
	return (0);
}

void
lend_clear(struct parent *p)
{
	while (!TAILQ_EMPTY(&p->loans))
		loan_free(TAILQ_FIRST(&p->loans));
}
