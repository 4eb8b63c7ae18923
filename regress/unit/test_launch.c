/* SPDX-License-Identifier: ISC */
/* The role launch at the end of its link: orders that make no sense. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/launch/launch.h"
#include "daemon/proc/proc.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/imsg.h"
#include "shared/str.h"

struct link {
	struct imsgbuf buf;
	int fd;
	pid_t pid;
};

/* No root is needed: it gets no order that it could follow. */
static void
launch_open(struct link *l)
{
	struct proc_start start = { .title = "launch" };
	int sv[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	if ((l->pid = fork()) == 0) {
		close(sv[0]);
		start.link_fd = sv[1];
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
			_exit(9);
		_exit(launch_run(&start));
	}
	close(sv[1]);
	l->fd = sv[0];
	CHECK_EQ(imsgbuf_init(&l->buf, l->fd), 0);
	imsgbuf_allow_fdpass(&l->buf);
}

static void
order(struct link *l, uint32_t type, uint32_t what, int fd)
{
	struct msg_launch m = { .id = 1, .what = what, .uid = 1, .gid = 1 };

	CHECK_EQ(imsg_compose(&l->buf, type, 0, 0, fd, &m, sizeof(m)), 1);
	CHECK_EQ(imsgbuf_flush(&l->buf), 0);
}

/* The next answer's words; "": it has hung up. */
static const char *
answer(struct link *l)
{
	static struct msg_launched a;
	struct imsg imsg;
	int n;

	while ((n = imsgbuf_get(&l->buf, &imsg)) == 0)
		if (imsgbuf_read(&l->buf) != 1)
			return ("");
	if (n == -1)
		return ("broken");
	memset(&a, 0, sizeof(a));
	CHECK_EQ(imsg.hdr.type, MSG_LAUNCHED);
	CHECK_EQ(imsg_get_data(&imsg, &a, sizeof(a)), 0);
	imsg_free(&imsg);
	CHECK_EQ(a.id, 1);
	CHECK_EQ(a.pid, 0);
	CHECK(a.why.code != 0);
	return (a.why.text);
}

/* How it ended: its status, or minus the signal. */
static int
launch_end(struct link *l)
{
	int status;

	imsgbuf_clear(&l->buf);
	close(l->fd);
	CHECK_EQ(waitpid(l->pid, &status, 0), l->pid);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static void
test_orders(void)
{
	struct link l;

	launch_open(&l);
	order(&l, MSG_LAUNCH, LAUNCHFD_DIR, open("/", O_PATH | O_CLOEXEC));
	CHECK_STR(answer(&l), "a directory without its socket");
	/* A socket is good once, and for one device. */
	order(&l, MSG_LAUNCH, LAUNCHFD_SOCKET, socket(AF_UNIX, SOCK_STREAM, 0));
	order(&l, MSG_LAUNCH, LAUNCHFD_DIR,
	    open("/dev/null", O_RDONLY | O_CLOEXEC));
	CHECK_MSG(strstr(answer(&l), "socket") == NULL, "it was there");
	order(&l, MSG_LAUNCH, LAUNCHFD_DIR, open("/", O_PATH | O_CLOEXEC));
	CHECK_STR(answer(&l), "a directory without its socket");
	CHECK_EQ(launch_end(&l), 0);
}

static void
refused(uint32_t type, uint32_t what, bool fd)
{
	struct link l;

	launch_open(&l);
	order(&l, type, what, fd ? open("/", O_PATH | O_CLOEXEC) : -1);
	CHECK_STR(answer(&l), "");
	CHECK_EQ(launch_end(&l), 0);
}

/* It hangs up, and ends without a sound. */
static void
test_hostile(void)
{
	refused(MSG_LAUNCH, LAUNCHFD_N, true);
	refused(MSG_LAUNCH, LAUNCHFD_DIR, false);
	refused(MSG_LAUNCHED, 0, true);
	refused(MSG_VM_GO, 0, false);
	refused(MSG_NTYPES, 0, false);
}

/* 0: done; else errno.  The kernel ignores the upper half of the command. */
static int
set_flags(int fd, unsigned long upper, int flags)
{
	return (syscall(SYS_fcntl, fd, upper << 32 | F_SETFL, flags) == 0
		? 0
		: errno);
}

/* Eventfds of a VM that virtiofsd has as well: it cannot make them block. */
static void
test_blocks(void)
{
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), status;
	struct err e;
	pid_t pid;

	if ((pid = fork()) == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    share_filter(&e) == -1)
			_exit(1);
		if (set_flags(efd, 0, O_RDWR) != EPERM ||
		    set_flags(efd, 1, O_RDWR) != EPERM ||
		    set_flags(efd, 0, O_RDWR | O_APPEND) != EPERM)
			_exit(2);
		if (set_flags(efd, 0, O_RDWR | O_NONBLOCK) != 0 ||
		    !(fcntl(efd, F_GETFL) & O_NONBLOCK))
			_exit(3);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
	close(efd);
}

static const struct tap_case cases[] = {
	{ "orders in another order", test_orders },
	{ "no orders at all", test_hostile },
	{ "what virtiofsd must not do to its VM", test_blocks },
};
TAP_MAIN(cases)
