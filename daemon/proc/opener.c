/* SPDX-License-Identifier: ISC */
/*
 * Both ends of the way to an image: see opener.h.
 * Runs in: parent; a device process, before it enters its sandbox.
 * Trusts: the parent its own table; the process the parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/proc/opener.h"
#include "daemon/proc/proc.h"
#include "shared/fd.h"
#include "shared/str.h"

#define GO 'g'

/* ---- the parent ---- */

static int
say(int sock, const void *body, size_t bytes, struct err *e)
{
	ssize_t n;

	n = send(sock, body, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == -1)
		return (err_errno(e, "way to an image"));
	return (0); /* whole or not at all */
}

int
opener_order(int sv[2], const struct opener_order *o, struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		return (err_errno(e, "way to an image: socketpair"));
	if (say(sv[0], o, sizeof(*o), e) == 0)
		return (0);
	fd_close(&sv[0]);
	fd_close(&sv[1]);
	return (-1);
}

int
opener_go(int sock, struct err *e)
{
	const char go = GO;

	return (say(sock, &go, sizeof(go), e));
}

int
opener_answer_check(struct opener_answer *a, size_t bytes, struct err *e)
{
	char text[ERR_TEXT_BYTES];

	if (bytes != sizeof(*a) || a->what >= OPENER_N ||
	    (a->what == OPENER_FAILED && a->code == 0) ||
	    (a->what == OPENER_FOUND && a->ino == 0))
		return (err_set(e, EPROTO,
		    "its process gives an answer that makes no sense"));
	a->text[sizeof(a->text) - 1] = '\0';
	memcpy(text, a->text, sizeof(text));
	str_vis(a->text, sizeof(a->text), text);
	return (0);
}

int
opener_answer(int sock, struct opener_answer *a, struct err *e)
{
	ssize_t n;

	memset(a, 0, sizeof(*a));
	n = recv(sock, a, sizeof(*a), MSG_DONTWAIT | MSG_TRUNC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return (0);
	if (n == -1)
		return (err_errno(e, "way to an image"));
	if (n == 0)
		return (err_set(e, ECHILD, "its process ended early"));
	return (opener_answer_check(a, (size_t)n, e) == -1 ? -1 : 1);
}

/* ---- the device process ---- */

static int
tell(int sock, const struct opener_answer *a, struct err *e)
{
	if (send(sock, a, sizeof(*a), MSG_NOSIGNAL) != sizeof(*a))
		return (err_errno(e, "nobody wants the image any more"));
	return (0);
}

/* The next message of the parent's; 0 bytes are its end. */
static int
hear(int sock, void *body, size_t bytes, struct err *e)
{
	ssize_t n;

	do
		n = recv(sock, body, bytes, 0);
	while (n == -1 && errno == EINTR);
	if (n == (ssize_t)bytes)
		return (0);
	return (err_set(e, ECHILD, "nobody wants the image any more"));
}

/* Its words reach the parent before its end does: so it waits for that. */
static int
tell_failed(int sock, const struct err *why, struct err *e)
{
	struct opener_answer a = { .what = OPENER_FAILED, .code = why->code };
	char none;

	strlcpy(a.text, why->text, sizeof(a.text));
	if (tell(sock, &a, e) == -1)
		return (-1);
	return (hear(sock, &none, sizeof(none), e) == 0
		? err_set(e, EPROTO, "go, without an image")
		: -1);
}

static int
find(const struct opener_order *o, struct opener_answer *a, int *fd,
    struct err *e)
{
	struct open_disk d = {
		.path = o->path,
		.readonly = o->readonly != 0,
		.direct = o->direct != 0,
		.owner = o->owner,
		.asker = o->has_asker ? &o->asker : NULL,
	};
	struct stat st;
	bool direct;

	if (open_disk(&d, &direct, fd, e) == -1)
		return (-1);
	if (fstat(*fd, &st) == -1)
		return (err_errno(e, "disk %s", o->path));
	a->what = OPENER_FOUND;
	a->direct = direct;
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	a->bytes = (uint64_t)st.st_size;
	return (0);
}

static int
find_and_lock(int sock, const struct opener_order *o, int *fd, struct err *e)
{
	struct opener_answer a = { .code = 0 };
	struct err why;
	char go;

	if (find(o, &a, fd, &why) == -1)
		return (tell_failed(sock, &why, e));
	if (tell(sock, &a, e) == -1 || hear(sock, &go, sizeof(go), e) == -1)
		return (-1);
	if (opener_lock(o->path, o->readonly != 0, *fd, &why) == -1)
		return (tell_failed(sock, &why, e));
	a.what = OPENER_LOCKED;
	return (tell(sock, &a, e));
}

/*
 * The socket makes room first: no fd of the image is ever a copy that would have
 * to be closed, which may wait as well.
 */
int
opener_run(struct err *e)
{
	struct opener_order o;
	int sock, fd = -1, rc;

	sock = fcntl(PROC_IMAGE_FD, F_DUPFD_CLOEXEC, PROC_IMAGE_FD + 1);
	if (sock == -1 || close(PROC_IMAGE_FD) == -1)
		return (err_errno(e, "way to an image"));
	if ((rc = hear(sock, &o, sizeof(o), e)) == 0)
		rc = find_and_lock(sock, &o, &fd, e);
	fd_close(&sock);
	if (rc == 0 && fd != PROC_IMAGE_FD)
		return (err_set(e, EBADF, "the image has fd %d, not %d", fd,
		    PROC_IMAGE_FD));
	return (rc);
}
