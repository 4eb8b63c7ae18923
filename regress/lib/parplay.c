/* SPDX-License-Identifier: ISC */
/* The parent without its processes: see parplay.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/str.h"

struct parent parent;
struct wire par_control;
char par_dir[64];

void
par_open(void)
{
	struct peer_conf conf = { .other = ROLE_CONTROL };
	struct err e;
	int sv[2];

	memset(&parent, 0, sizeof(parent));
	TAILQ_INIT(&parent.vms);
	TAILQ_INIT(&parent.loans);
	parent.base = event_base_new();
	parent.conf = conf_new();
	parent.lock_fd = parent.listen_fd = -1;
	parent.control.p = parent.vmm.p = &parent;
	strlcpy(par_dir, "/tmp/vmd-parent.XXXXXX", sizeof(par_dir));
	if (mkdtemp(par_dir) == NULL || chmod(par_dir, 0755) == -1)
		tap_fail(__FILE__, __LINE__, "mkdtemp");
	parent.state_fd = open(par_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	parent.control.peer = peer_open(parent.base, &sv[0], &conf, &e);
	wire_init(&par_control, sv[1]);
}

void
par_end_process(struct vmdev *d)
{
	if (d->pidfd == -1)
		return;
	pidfd_kill(d->pidfd, SIGKILL);
	CHECK_EQ(waitid(P_PIDFD, (id_t)d->pidfd, NULL, WEXITED), 0);
	fd_close(&d->pidfd);
}

void
par_drop(struct vment *v)
{
	struct event *ev[] = { v->ev_pidfd, v->ev_kill, v->ev_gone };
	size_t i;

	for (i = 0; i < sizeof(ev) / sizeof(ev[0]); i++)
		if (ev[i] != NULL)
			event_free(ev[i]);
	fd_close(&v->pidfd);
	for (i = 0; i < v->ndevs; i++)
		if (v->dev[i].ours)
			par_end_process(&v->dev[i]);
	v->state = VM_STOPPED;
	vmtab_remove(v, "test");
}

void
par_close(void)
{
	char cmd[128];

	lend_clear(&parent);
	while (!TAILQ_EMPTY(&parent.vms))
		par_drop(TAILQ_FIRST(&parent.vms));
	while (!LIST_EMPTY(&parent.orphans))
		event_base_loop(parent.base, EVLOOP_ONCE);
	peer_close(parent.control.peer);
	wire_close(&par_control);
	fd_close(&parent.state_fd);
	conf_free(parent.conf);
	if (parent.ev_stagger != NULL)
		event_free(parent.ev_stagger);
	event_base_free(parent.base);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", par_dir);
	CHECK_EQ(system(cmd), 0);
}

struct vment *
par_add(const char *name)
{
	struct conf_vm c;
	struct vment *v;
	struct err e;

	conf_vm_init(&c);
	strlcpy(c.name, name, sizeof(c.name));
	strlcpy(c.boot, "/boot/kernel", sizeof(c.boot));
	v = vmtab_add(&parent, &c, &e);
	v->configured = true;
	return (v);
}

int
par_ask(enum msg_type type, uint32_t reqno, const void *body, size_t len,
    struct err *e)
{
	struct msg m = {
		.type = type, .reqno = reqno, .body = body, .len = len, .fd = -1
	};
	size_t i;

	for (i = 0; i < parent_nfrom_control; i++)
		if (parent_from_control[i].type == type)
			return (parent_from_control[i].fn(
			    &parent.control, parent.control.peer, &m, e));
	return (err_set(e, ENOENT, "no handler"));
}

void
par_turn(void)
{
	event_base_loop(parent.base, EVLOOP_NONBLOCK);
}

void
par_put(const char *name, const char *text, mode_t mode, uid_t uid)
{
	int fd = openat(parent.state_fd, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_EQ(fchmod(fd, mode), 0);
	CHECK_EQ(fchown(fd, uid, uid), 0);
	close(fd);
}
