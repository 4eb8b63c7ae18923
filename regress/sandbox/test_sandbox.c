/* SPDX-License-Identifier: ISC */
/*
 * Every role's sandbox on live processes: this program is its own vmd, whose
 * run() of each role does not serve but shows itself, or tries what a
 * taken-over process would.  Needs root, as the parent does.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc/filter.h"
#include "daemon/proc/opener.h"
#include "daemon/proc/proc.h"
#include "regress/lib/live.h"
#include "regress/lib/tap.h"
#include "regress/sandbox/hostile.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define UID 61234
#define GID 61235
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define SHOW UINT32_MAX /* in place of an attempt: stay until the link ends */

static const struct {
	const char *role;
	const struct sandbox_filter *filter;
	const char *of, *title; /* what it is made with, and called then */
	bool listens;
} under_test[] = {
	{ "control", &filter_control, "", "control", false },
	{ "vmm", &filter_vmm, "", "vmm", false },
	{ "vm", &filter_vm, "web", "vm/web", true },
	{ "vm", &filter_vcpu, "web", "vm/web", true },
	{ "blk", &filter_blk, "web/blk0", "vm/web/blk0", false },
};
#define NTEST (sizeof(under_test) / sizeof(under_test[0]))

/* What a child is told, in place of its first message. */
struct order {
	uint32_t filter; /* index of under_test */
	uint32_t attempt;
};
/* And what it answers before and after. */
struct answer {
	long result;
	int code;
	uint64_t id, spawned_ns, sandboxed_ns, entered_ns;
	int link_fd, listen_fd, verbose;
	char title[64];
};

static bool has_write; /* in the filter that is on, or is about to be */

/* What each of the lists allows: write, or sendmsg. */
static long
raw_write(const void *p, size_t len)
{
	struct iovec iov = { .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (has_write)
		return (syscall(SYS_write, PROC_LINK_FD, p, len));
	memcpy(&iov.iov_base, &p, sizeof(p));
	return (syscall(SYS_sendmsg, PROC_LINK_FD, &mh, 0));
}

static bool
filter_has(const struct sandbox_filter *f, int nr)
{
	size_t i;

	for (i = 0; i < f->ncalls; i++)
		if (f->calls[i].nr == nr)
			return (true);
	return (false);
}

/*
 * Until the link ends.  Every list has one of them, and few have anything else
 * that waits: fill the link and hang there.
 */
static void
wait_end(void)
{
	static const char full[4096];

	while (raw_write(full, sizeof(full)) != -1)
		continue;
}

static int
act(const struct proc_start *start)
{
	struct order o;
	struct answer a = { 0 };
	struct err e;

	a.id = start->id;
	a.spawned_ns = start->spawned_ns;
	a.entered_ns = start->entered_ns;
	a.sandboxed_ns = start->sandboxed_ns;
	a.link_fd = start->link_fd;
	a.listen_fd = start->listen_fd;
	a.verbose = start->verbose;
	strlcpy(a.title, start->title, sizeof(a.title));
	signal(SIGPIPE, SIG_IGN);
	if (readall(start->link_fd, &o, sizeof(o)) != sizeof(o))
		_exit(70);
	has_write = filter_has(under_test[o.filter].filter, SCMP_SYS(write));
	if (sandbox_filter_enter(under_test[o.filter].filter, &e) == -1)
		_exit(71);
	raw_write(&a, sizeof(a));
	if (o.attempt == SHOW) { /* until the link ends */
		wait_end();
		_exit(0);
	}
	a.result = attempts[o.attempt].try();
	a.code = errno;
	raw_write(&a, sizeof(a));
	_exit(0);
}

int
control_run(const struct proc_start *start)
{
	return (act(start));
}

int
vmm_run(const struct proc_start *start)
{
	return (act(start));
}

int
vm_run(const struct proc_start *start)
{
	return (act(start));
}

int
devproc_run(const struct proc_start *start)
{
	return (act(start));
}

struct kid {
	pid_t pid;
	int pidfd, link;
	int image; /* a device's: its way to that */
	siginfo_t si;
};

/* What stands for an image: this program. */
static void
image_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	path[n > 0 ? n : 0] = '\0';
}

/* The order and its go; fd is for the child. */
static int
kid_image(struct kid *k, int *fd, struct err *e)
{
	struct opener_order o = { .owner.gid = OPEN_NO_GROUP, .readonly = 1 };
	int sv[2];

	image_path(o.path, sizeof(o.path));
	if (opener_order(sv, &o, e) == -1)
		return (-1);
	k->image = sv[0];
	*fd = sv[1];
	return (opener_go(sv[0], e));
}

static int
kid_start(struct kid *k, size_t i, uint32_t attempt)
{
	struct proc_spawn_conf conf = { .title = under_test[i].of,
		.id = 7,
		.uid = UID,
		.gid = GID,
		.verbose = 1,
		.fd = { -1, -1 } };
	const struct proc_desc *desc = proc_find(under_test[i].role);
	struct order o = { (uint32_t)i, attempt };
	int sv[2], sv2[2];
	struct err e;

	/* Blocking, unlike the daemon's own. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sv2) == -1)
		return (-1);
	conf.fd[0] = sv[1];
	conf.fd[1] = sv2[1];
	k->image = -1;
	if ((desc->before != NULL && kid_image(k, &conf.fd[2], &e) == -1) ||
	    proc_spawn(desc, &conf, &k->pid, &k->pidfd, &e) == -1) {
		tap_fail(__FILE__, __LINE__, "%s", e.text);
		return (-1);
	}
	close(sv[1]);
	close(sv2[0]);
	close(sv2[1]);
	if (desc->before != NULL)
		close(conf.fd[2]);
	k->link = sv[0];
	return (sendall(k->link, &o, sizeof(o)));
}

static void
kid_end(struct kid *k)
{
	fd_close(&k->link);
	fd_close(&k->image);
	memset(&k->si, 0, sizeof(k->si));
	CHECK_EQ(waitid(P_PIDFD, (id_t)k->pidfd, &k->si, WEXITED), 0);
	fd_close(&k->pidfd);
}

/* A vCPU thread does not end its process; one that tries is killed. */
static bool
ended_well(size_t i, const siginfo_t *si)
{
	if (si->si_code == CLD_EXITED)
		return (si->si_status == 0);
	return (si->si_status == SIGSYS &&
	    !filter_has(under_test[i].filter, SYS_exit_group));
}

static bool
not_root(void)
{
	if (geteuid() == 0)
		return (false);
	tap_skip("needs root: it makes namespaces and other users' processes");
	return (true);
}

static void
say(const char *line)
{
	printf("# %s\n", line);
}

/* Fds that must not arrive, at numbers that are in the way. */
static void
litter(int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		fds[i] = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
	dup2(fds[0], 200);
}

static void
test_live(void)
{
	struct answer a;
	struct kid k;
	size_t i, n;
	char path[64], text[256];
	int fds[20], fd;

	if (not_root())
		return;
	litter(fds, 20);
	for (i = 0; i < NTEST; i++) {
		REQUIRE(kid_start(&k, i, SHOW) == 0);
		CHECK_EQ(readall(k.link, &a, sizeof(a)), sizeof(a));
		CHECK_EQ(
		    live_check(k.pid, proc_find(under_test[i].role)->sandbox,
			UID, GID, say),
		    0);
		CHECK_EQ(a.id, 7);
		CHECK_EQ(a.verbose, 1);
		printf("# %s: %.1f ms to main(), %.1f ms into its sandbox\n",
		    under_test[i].filter->name,
		    (double)(a.entered_ns - a.spawned_ns) / 1e6,
		    (double)(a.sandboxed_ns - a.entered_ns) / 1e6);
		CHECK(a.spawned_ns > 0 && a.spawned_ns < a.entered_ns &&
		    a.entered_ns < a.sandboxed_ns);
		CHECK_STR(a.title, under_test[i].title);
		CHECK_EQ(a.link_fd, PROC_LINK_FD);
		CHECK_EQ(
		    a.listen_fd, under_test[i].listens ? PROC_LISTEN_FD : -1);
		/* ps(1): the title, and no option. */
		snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)k.pid);
		fd = open(path, O_RDONLY);
		n = (size_t)readall(fd, text, sizeof(text) - 1);
		close(fd);
		text[n] = '\0';
		CHECK(strncmp(text, "vmd: ", 5) == 0);
		CHECK_STR(text + 5, under_test[i].title);
		snprintf(path, sizeof(path), "/proc/%d/environ", (int)k.pid);
		fd = open(path, O_RDONLY);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		CHECK_EQ(readall(fd, text, sizeof(text)), 0);
#endif
		close(fd);
		kid_end(&k);
		CHECK_MSG(ended_well(i, &k.si), "%s ended with %d, %d",
		    under_test[i].filter->name, k.si.si_code, k.si.si_status);
	}
	for (i = 0; i < 20; i++)
		close(fds[i]);
	close(200);
}

/* The links of 0 to n, or "-" where there is none. */
static void
fd_link(pid_t pid, int fd, char *buf, size_t len)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, buf, len - 1);
	if (n <= 0)
		strlcpy(buf, "-", len);
	else
		buf[n] = '\0';
}

static void
test_fds(void)
{
	struct answer a;
	char link[256], image[256];
	int fds[20], fd, want;
	struct kid k;
	size_t i;

	if (not_root())
		return;
	litter(fds, 20);
	image_path(image, sizeof(image));
	for (i = 0; i < NTEST; i++) {
		REQUIRE(kid_start(&k, i, SHOW) == 0);
		CHECK_EQ(readall(k.link, &a, sizeof(a)), sizeof(a));
		want = PROC_LINK_FD + (int)proc_find(under_test[i].role)->nfds;
		for (fd = 0; fd < 256; fd++) {
			fd_link(k.pid, fd, link, sizeof(link));
			if (SANITIZED && fd == STDERR_FILENO)
				continue;
			if (fd < 3)
				CHECK_STR(link, "/dev/null");
			else if (fd == PROC_IMAGE_FD && fd < want)
				CHECK_STR(link, image);
			else if (fd < want)
				CHECK(strncmp(link, "socket:", 7) == 0);
			else
				CHECK_STR(link, "-");
		}
		kid_end(&k);
	}
	for (i = 0; i < 20; i++)
		close(fds[i]);
	close(200);
}

/* In a fork: the links come from these two numbers.  0, or what went wrong. */
static int
overlap(int link, int listener, int first_free)
{
	const struct proc_desc *desc = proc_find("vm");
	struct proc_spawn_conf conf = {
		.title = "web", .uid = UID, .gid = GID
	};
	struct order o = { 2, SHOW };
	int sv[2], sv2[2], mine, fd;
	char text[64];
	struct answer a;
	struct kid k;
	struct err e;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv2);
	mine = fcntl(sv[0], F_DUPFD, 50);
	dup2(sv[1], 60);
	dup2(sv2[1], 70);
	close_range(3, 49, 0);
	for (fd = 3; fd < first_free; fd++)
		dup2(STDIN_FILENO, fd);
	if (proc_init(&e) == -1) /* the executable and /dev/null sit there */
		return (1);
	dup2(60, link);
	dup2(70, listener);
	close(60);
	close(70);
	conf.fd[0] = link;
	conf.fd[1] = listener;
	if (proc_spawn(desc, &conf, &k.pid, &k.pidfd, &e) == -1)
		return (2);
	close(link);
	if (sendall(mine, &o, sizeof(o)) == -1 ||
	    readall(mine, &a, sizeof(a)) != sizeof(a))
		return (3);
	fd_link(k.pid, PROC_LISTEN_FD, text, sizeof(text));
	if (strncmp(text, "socket:", 7) != 0)
		return (4);
	fd_link(k.pid, PROC_LISTEN_FD + 1, text, sizeof(text));
	return (strcmp(text, "-") == 0 ? 0 : 5);
}

static void
test_fd_overlap(void)
{
	static const int nums[][3] = { { 3, 4, 20 }, { 4, 3, 20 }, { 4, 5, 20 },
		{ 5, 3, 20 }, { 4, 9, 20 }, { 9, 3, 20 }, { 10, 11, 20 },
		{ 11, 10, 20 }, { 5, 6, 3 }, { 6, 5, 3 }, { 12, 13, 10 } };
	size_t i;
	int status;
	pid_t pid;

	if (not_root())
		return;
	for (i = 0; i < sizeof(nums) / sizeof(nums[0]); i++) {
		fflush(stdout);
		if ((pid = fork()) == 0)
			_exit(overlap(nums[i][0], nums[i][1], nums[i][2]));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_MSG(status == 0, "case %zu: 0x%x", i, (unsigned)status);
	}
}

/* One attempt in one role: killed, or refused where the number is allowed. */
static void
attempt_one(size_t i, size_t j)
{
	const struct attempt *t = &attempts[j];
	const struct sandbox_filter *f = under_test[i].filter;
	struct answer a;
	ssize_t n;
	struct kid k;

	REQUIRE(kid_start(&k, i, (uint32_t)j) == 0);
	CHECK_MSG(readall(k.link, &a, sizeof(a)) == sizeof(a),
	    "%s did not come up", f->name);
	n = readall(k.link, &a, sizeof(a));
	kid_end(&k);
	if (n == sizeof(a)) {
		CHECK_MSG(a.result == -1, "%s: %s worked", f->name, t->name);
		CHECK_MSG(filter_has(f, t->nr), "%s: %s only failed (errno %d)",
		    f->name, t->name, a.code);
		return;
	}
	CHECK_MSG((k.si.si_code == CLD_KILLED || k.si.si_code == CLD_DUMPED) &&
		(k.si.si_status == SIGSYS ||
		    (t->nr == -1 && k.si.si_status == SIGSEGV)),
	    "%s: %s ended with %d, %d", f->name, t->name, k.si.si_code,
	    k.si.si_status);
}

/* A sanitizer's runtime needs more; the plain build looks at these. */
static bool
is_sanitizers(int nr)
{
	size_t i;

	for (i = 0; i < filter_nsanitizer; i++)
		if (filter_sanitizer[i].nr == nr)
			return (true);
	return (false);
}

static void
test_hostile(void)
{
	size_t i, j;

	if (not_root())
		return;
	CHECK(nattempts >= 60);
	for (i = 0; i < NTEST; i++)
		for (j = 0; j < nattempts; j++)
			if (!is_sanitizers(attempts[j].nr))
				attempt_one(i, j);
}

/* The parent's own list, on a fork: what it lacks kills. */
static void
test_hostile_parent(void)
{
	size_t j;
	siginfo_t si;
	struct err e;
	pid_t pid;

	if (not_root())
		return;
	for (j = 0; j < nattempts; j++) {
		if (filter_has(&filter_parent, attempts[j].nr))
			continue;
		fflush(stdout);
		if ((pid = fork()) == 0) {
			if (sandbox_enter(
				&sandbox_parent, 0, 0, UINT32_MAX, &e) == -1 ||
			    sandbox_filter_enter(&filter_parent, &e) == -1)
				_exit(1);
			attempts[j].try();
			_exit(0);
		}
		CHECK_EQ(waitid(P_PID, (id_t)pid, &si, WEXITED), 0);
		CHECK_MSG(si.si_code != CLD_EXITED &&
			(si.si_status == SIGSYS ||
			    (attempts[j].nr == -1 && si.si_status == SIGSEGV)),
		    "parent: %s ended with %d, %d", attempts[j].name,
		    si.si_code, si.si_status);
	}
}

/*
 * The whole thing as it is: a parent in its sandbox and under its filter makes
 * each child, and the child gets as far as without.
 */
static void
test_stacked(void)
{
	struct answer a;
	int status;
	struct kid k;
	struct err e;
	size_t i;
	pid_t pid;

	if (not_root())
		return;
	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (sandbox_enter(&sandbox_parent, 0, 0, UINT32_MAX, &e) ==
			-1 ||
		    sandbox_filter_enter(&filter_parent, &e) == -1)
			_exit(1);
		for (i = 0; i < NTEST; i++) {
			if (kid_start(&k, i, SHOW) == -1)
				_exit(2);
			if (readall(k.link, &a, sizeof(a)) != sizeof(a))
				_exit(3);
			kid_end(&k);
			if (!ended_well(i, &k.si))
				_exit(4);
		}
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "ended with status 0x%x", (unsigned)status);
}

/* The parent's capabilities, which no test above looks at. */
static void
test_live_parent(void)
{
	int sv[2];
	pid_t pid;
	struct err e;
	char c;

	if (not_root())
		return;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		close(sv[0]);
		if (sandbox_enter(&sandbox_parent, 0, 0, UINT32_MAX, &e) ==
			-1 ||
		    sandbox_filter_enter(&filter_parent, &e) == -1)
			_exit(1);
		if (write(sv[1], "x", 1) != 1 || read(sv[1], &c, 1) != 0)
			_exit(2);
		_exit(0);
	}
	close(sv[1]);
	CHECK_EQ(readall(sv[0], &c, 1), 1);
	CHECK_EQ(live_check(pid, &sandbox_parent, 0, 0, say), 0);
	close(sv[0]);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/* T72: fifty dead at once are fifty that can be waited for. */
static void
test_many(void)
{
	struct kid k[50];
	struct pollfd pfd;
	size_t i;

	if (not_root())
		return;
	for (i = 0; i < 50; i++)
		REQUIRE(kid_start(&k[i], 1, SHOW) == 0);
	for (i = 0; i < 50; i++)
		syscall(SYS_pidfd_send_signal, k[i].pidfd, SIGKILL, NULL, 0);
	for (i = 0; i < 50; i++) {
		pfd.fd = k[i].pidfd;
		pfd.events = POLLIN;
		CHECK_EQ(poll(&pfd, 1, 10000), 1);
		kid_end(&k[i]);
		CHECK_EQ(k[i].si.si_pid, k[i].pid);
		CHECK_EQ(k[i].si.si_status, SIGKILL);
	}
}

/* A role without a uid must not come up as root; it says why on its link. */
static void
test_no_uid(void)
{
	struct proc_spawn_conf conf = { .title = "" };
	char text[512];
	struct kid k;
	struct err e;
	int sv[2];
	ssize_t n;

	if (not_root())
		return;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	conf.fd[0] = sv[1];
	conf.fd[1] = -1;
	REQUIRE(proc_spawn(proc_find("vmm"), &conf, &k.pid, &k.pidfd, &e) == 0);
	close(sv[1]);
	k.link = sv[0];
	n = readall(sv[0], text, sizeof(text) - 1);
	CHECK(n > 24);
	text[n > 0 ? n : 0] = '\0';
	CHECK(n > 24 && strstr(text + 24, "must not run as root") != NULL);
	kid_end(&k);
	CHECK(k.si.si_code == CLD_EXITED && k.si.si_status == 1);
}

static const struct tap_case cases[] = {
	{ "T67 S2 ids, capabilities, namespaces of live processes", test_live },
	{ "T67 S2 the parent keeps its few capabilities", test_live_parent },
	{ "T65 no fd but its own reaches a child", test_fds },
	{ "T65 fds in each other's way", test_fd_overlap },
	{ "sandbox children of a parent under its filter", test_stacked },
	{ "sandbox no role comes up as root", test_no_uid },
	{ "T72 fifty die at once", test_many },
	{ "S3 a taken-over child", test_hostile },
	{ "S3 a taken-over parent", test_hostile_parent },
};

int
main(int argc, char **argv)
{
	/* Something to lose; T67 is about groups that stayed. */
	static const gid_t groups[] = { 1, 2, 3 };
	struct err e;

	if (argc > 1 && strcmp(argv[1], "-P") == 0)
		proc_child_main(argc, argv);
	if (proc_init(&e) == -1)
		fatalx("%s", e.text);
	if (geteuid() == 0 && setgroups(3, groups) == -1)
		fatal("setgroups");
	return (tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0])));
}
