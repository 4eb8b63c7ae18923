/* SPDX-License-Identifier: ISC */
/*
 * Running VM processes, found again.
 *
 * Each vm process listens on a socket of its own, STATE/vm/ID.sock, which the
 * parent made for it.  Who holds the VM's token may connect and become its vmm
 * or its control: the parent connects, shows the token and hands the socket to
 * that role.  record.c keeps what the next vmd must know to do the same.
 *
 * Runs in: parent.  Trusts: the state directory, which is root's alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/parent/parent.h"
#include "shared/fd.h"
#include "shared/imsg.h"
#include "shared/log.h"
#include "shared/str.h"

/* A path that is short whatever the state directory's is. */
static void
link_addr(const struct vment *v, struct sockaddr_un *sun)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	snprintf(sun->sun_path, sizeof(sun->sun_path),
	    "/proc/self/fd/%d/%" PRIu32 ".sock", v->p->state_fd, v->id);
}

int
link_listen(struct vment *v, int *fd, struct err *e)
{
	struct sockaddr_un sun;
	char file[32];

	if (getrandom(v->token, sizeof(v->token), 0) != sizeof(v->token))
		return (err_errno(e, "getrandom"));
	link_addr(v, &sun);
	snprintf(file, sizeof(file), "%" PRIu32 ".sock", v->id);
	if (unlinkat(v->p->state_fd, file, 0) == -1 && errno != ENOENT)
		return (err_errno(e, "state directory: %s", file));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd == -1)
		return (err_errno(e, "socket"));
	if (bind(*fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(*fd, 8) == -1) {
		err_errno(e, "state directory: %s", file);
		fd_close(fd);
		return (-1);
	}
	return (0);
}

int
link_connect(struct vment *v, enum role role, int *fd, struct err *e)
{
	struct msg_rendezvous body = { .role = role };
	struct imsgbuf buf;
	struct sockaddr_un sun;
	int rc = -1;

	link_addr(v, &sun);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd == -1)
		return (err_errno(e, "socket"));
	if (connect(*fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		err_errno(e, "the process of vm %s does not take calls",
		    v->conf.name);
		fd_close(fd);
		return (-1);
	}
	memcpy(body.token, v->token, sizeof(body.token));
	if (imsgbuf_init(&buf, *fd) == -1 ||
	    imsg_compose(&buf, MSG_RENDEZVOUS, 0, 0, -1, &body, sizeof(body)) ==
		-1 ||
	    imsgbuf_flush(&buf) == -1)
		err_errno(
		    e, "the process of vm %s does not listen", v->conf.name);
	else
		rc = 0;
	imsgbuf_clear(&buf);
	explicit_bzero(&body, sizeof(body));
	if (rc == -1)
		fd_close(fd);
	return (rc);
}

void
link_control(struct vment *v)
{
	struct msg_vm_channel body = { .id = v->id };
	struct err e;
	int fd;

	if (v->p->control.peer == NULL || !vm_runs(v))
		return;
	if (link_connect(v, ROLE_CONTROL, &fd, &e) == -1) {
		parent_event(v->p, v, true, "no console: %s", e.text);
		return;
	}
	peer_send(v->p->control.peer, MSG_CTL_VM, 0, &fd, &body, sizeof(body));
}
