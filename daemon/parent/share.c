/* SPDX-License-Identifier: ISC */
/*
 * Devices that are shared directories.  The process of each, virtiofsd, is made
 * by the role launch (daemon/launch/share.c says how); it is our child, and from
 * then on like any device's.  What it knew of a guest's open files is gone with
 * it: the guest sees errors until it mounts again.
 *
 * Runs in: parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/parent/parent.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define NOBODY 65534
#define NO_LAUNCH                                                              \
	"shares need a restart of vmd, which started without any (or its "     \
	"launch died); guests run on"

const struct conf_share *
share_conf(const struct vmdev *d)
{
	return (&d->v->conf.shares[d->index - d->v->conf.ndisks]);
}

/* As open.c has it for a VM that is a group's or nobody's. */
void
share_ids(const struct conf_owner *o, uint32_t *uid, uint32_t *gid)
{
	struct passwd *pw;

	*uid = o->uid;
	*gid = o->gid;
	if (o->gid != CONF_NONE) {
		if (o->uid == 0)
			*uid = NOBODY;
		return;
	}
	if (o->uid == 0)
		*gid = 0;
	else {
		pw = getpwuid(o->uid);
		*gid = pw != NULL ? pw->pw_gid : NOBODY;
	}
}

/* Open the directory: the very same, when an earlier vmd had it open. */
int
share_open(struct vmdev *d, struct err *e)
{
	struct open_owner owner = open_owner(&d->v->conf.owner);
	const struct conf_share *s = share_conf(d);
	struct stat st;

	if (d->v->p->launch.peer == NULL)
		return (err_set(e, EAGAIN, "share %s: " NO_LAUNCH, s->path));
	if (open_directory(s->path, &owner, &d->dir_fd, e) == -1)
		return (-1);
	if (fstat(d->dir_fd, &st) == -1)
		err_errno(e, "share %s", s->path);
	else if (d->image_ino != 0 &&
	    (d->image_dev != st.st_dev || d->image_ino != st.st_ino))
		err_set(e, ESTALE,
		    "share %s is not the directory any more that the vm has",
		    s->path);
	else {
		d->image_dev = st.st_dev;
		d->image_ino = st.st_ino;
		return (0);
	}
	fd_close(&d->dir_fd);
	return (-1);
}

/*
 * virtiofsd takes no socket but one that listens.  Only root gets at where its
 * name is, which is gone when this returns.
 */
static int
share_socket(const struct vmdev *d, int *listen_fd, int *fd, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const int state_fd = d->v->p->state_fd;
	char file[64];
	int rc = -1;

	snprintf(file, sizeof(file), "%" PRIu32 ".%s.sock", d->v->id, d->name);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s",
	    state_fd, file);
	*listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlinkat(state_fd, file, 0);
	if (*listen_fd == -1 || *fd == -1 ||
	    bind(*listen_fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(*listen_fd, 1) == -1 ||
	    connect(*fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		err_errno(e, "%s: socket", d->name);
	else
		rc = 0;
	unlinkat(state_fd, file, 0);
	return (rc);
}

static int
share_order(struct vmdev *d, enum launch_fd what, int *fd, struct err *e)
{
	struct msg_launch m = {
		.id = d->v->id,
		.index = d->index,
		.gen = d->replaced,
		.what = what,
		.readonly = !share_conf(d)->writable,
	};
	struct peer *launch = d->v->p->launch.peer;

	share_ids(&d->v->conf.owner, &m.uid, &m.gid);
	if (launch == NULL ||
	    peer_send(launch, MSG_LAUNCH, 0, fd, &m, sizeof(m)) == -1)
		return (err_set(e, EAGAIN, NO_LAUNCH));
	return (0);
}

int
share_spawn(struct vmdev *d, struct err *e)
{
	int listen_fd, fd, dir = -1, rc = -1;

	vmdev_page_fill(d);
	if (share_socket(d, &listen_fd, &fd, e) == 0 &&
	    vmdev_limit(d, fd, e) == 0) {
		if ((dir = dup(d->dir_fd)) == -1)
			err_errno(e, "%s", d->name);
		else if (share_order(d, LAUNCHFD_SOCKET, &listen_fd, e) == 0 &&
		    share_order(d, LAUNCHFD_DIR, &dir, e) == 0)
			rc = vmdev_send(d, DEVFD_SOCKET, &fd, e);
	}
	fd_close(&listen_fd);
	fd_close(&fd);
	fd_close(&dir);
	d->launching = rc == 0;
	return (rc);
}

/* ---- the launcher ---- */

/* Of a disk the same word means that its image is to come. */
static bool
share_launching(const struct vmdev *d)
{
	return (d->kind == DEV_FS && d->launching);
}

static struct vmdev *
share_find(struct parent *p, const struct msg_launched *m)
{
	struct vment *v = vmtab_id(p, m->id);
	struct vmdev *d;

	if (v == NULL || m->index >= v->ndevs)
		return (NULL);
	d = &v->dev[m->index];
	return (share_launching(d) && d->replaced == m->gen ? d : NULL);
}

/* It is a child of ours and not yet reaped: the pid is its own. */
static int
share_pidfd(uint32_t pid, struct err *e)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

	return (fd == -1 ? err_errno(e, "process %u", (unsigned)pid) : fd);
}

static int
on_launched(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_launched *m = msg->body;
	struct child *c = ctx;
	struct vmdev *d;
	bool lost = false;
	struct err why;
	int pidfd = -1;

	(void)from;
	why.code = m->why.code;
	memcpy(why.text, m->why.text, sizeof(why.text));
	if (m->pid != 0 && (pidfd = share_pidfd(m->pid, e)) == -1) {
		why = *e;
		err_clear(e);
		lost = true; /* no fd is free */
	}
	if ((d = share_find(c->p, m)) != NULL)
		vmdev_launched(d, (pid_t)m->pid, &pidfd, &why);
	else if (m->pid != 0)
		log_warnx("launch: process %u is of no device, and ended",
		    (unsigned)m->pid);
	if (m->pid != 0 && (d == NULL || lost))
		child_end(c->p, (pid_t)m->pid, 0);
	fd_close(&pidfd);
	return (0);
}

static const struct msg_handler from_launch[] = {
	{ MSG_LAUNCHED, on_launched },
	{ MSG_LOG, parent_on_log },
};

/* What it has made runs on; what it was about to make is lost. */
static void
launch_down(struct parent *p, struct child *c)
{
	const struct err why = { .code = ECHILD, .text = "launch died" };
	struct vment *v, *next;
	unsigned i, n;
	int none = -1;

	(void)c;
	for (v = TAILQ_FIRST(&p->vms); v != NULL; v = next) {
		next = TAILQ_NEXT(v, entry);
		for (i = n = 0; i < v->ndevs; i++)
			n += share_launching(&v->dev[i]);
		/* With the last of them the VM may be gone. */
		for (i = 0; n > 0; i++)
			if (share_launching(&v->dev[i])) {
				n--;
				vmdev_launched(&v->dev[i], 0, &none, &why);
			}
	}
}

static void
launch_up(struct parent *p, struct child *c)
{
	(void)p;
	(void)c;
}

void
share_init(struct parent *p)
{
	p->launch = (struct child){
		.p = p,
		.desc = proc_find("launch"),
		.pidfd = -1,
		.handlers = from_launch,
		.nhandlers = sizeof(from_launch) / sizeof(from_launch[0]),
		.up = launch_up,
		.down = launch_down,
	};
}

/* Before our filter is on: what it makes needs more than that allows. */
int
share_start(struct parent *p, struct err *e)
{
	size_t i;

	for (i = 0; i < p->first->nvms; i++)
		if (p->first->vms[i].nshares > 0)
			return (child_start(&p->launch, e));
	return (0);
}
