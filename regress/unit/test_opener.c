/* SPDX-License-Identifier: ISC */
/*
 * Files opened with others' rights, and how a device process comes to its image:
 * the order, the answers, what is open at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc/opener.h"
#include "daemon/proc/proc.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/str.h"

#define ALICE 12345
#define HIGH 100 /* an fd above those of a process */

static char dir[64];
static int dir_fd;

static void
setup(void)
{
	strlcpy(dir, "/tmp/vmd-opener.XXXXXX", sizeof(dir));
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		tap_fail(__FILE__, __LINE__, "mkdtemp");
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
teardown(void)
{
	char cmd[128];

	fd_close(&dir_fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static void
put(const char *name, const char *text, mode_t mode, uid_t uid)
{
	int fd = openat(
	    dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_EQ(fchmod(fd, mode), 0);
	CHECK_EQ(fchown(fd, uid, uid), 0);
	close(fd);
}

static int
try_open(const char *name, uid_t uid, gid_t gid, struct err *e)
{
	struct open_owner owner = { .uid = uid, .gid = gid };
	char path[96];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = open_image("initrd", path, &owner, &fd, e);
	fd_close(&fd);
	return (rc);
}

/* T66: no owner gets to see by vm.conf's words what he may not read. */
static void
test_open(void)
{
	struct err e;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	CHECK_EQ(setgroups(0, NULL), 0); /* as the sandbox does */
	setup();
	put("secret", "root's", 0600, 0);
	put("open", "everybody's", 0644, 0);
	put("mine", "alice's", 0600, ALICE);
	put("group", "a group's", 0640, 0);
	CHECK_EQ(fchownat(dir_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("secret", dir_fd, "link"), 0);
	CHECK_EQ(symlinkat("open", dir_fd, "fine"), 0);
	CHECK_EQ(symlinkat(".", dir_fd, "d"), 0);
	CHECK_EQ(mkfifoat(dir_fd, "fifo", 0666), 0);
	CHECK_EQ(try_open("link", 0, OPEN_NO_GROUP, &e), 0);
	CHECK_EQ(try_open("fifo", 0, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(try_open("fifo", ALICE, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(try_open("mine", ALICE, OPEN_NO_GROUP, &e), 0);
	CHECK_EQ(try_open("open", ALICE, OPEN_NO_GROUP, &e), 0);
	CHECK_EQ(try_open("fine", ALICE, OPEN_NO_GROUP, &e), 0);
	CHECK_EQ(try_open("group", 0, 777, &e), 0);
	/* Root's own, named by root himself. */
	CHECK_EQ(try_open("secret", ALICE, OPEN_NO_GROUP, &e), 0);
	CHECK_EQ(try_open("link", ALICE, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(e.code, EACCES);
	CHECK_EQ(try_open("link", 0, 777, &e), -1);
	CHECK_EQ(try_open("d/secret", ALICE, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(linkat(dir_fd, "secret", dir_fd, "second", 0), 0);
	CHECK_EQ(try_open("second", ALICE, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(try_open("none", ALICE, OPEN_NO_GROUP, &e), -1);
	CHECK_EQ(e.code, ENOENT);
	teardown();
}

static int
try_disk(const char *name, uid_t uid, const struct msg_cred *asker,
    bool readonly, struct err *e)
{
	char path[96];
	struct open_disk d = { .path = path,
		.readonly = readonly,
		.owner = { .uid = uid, .gid = OPEN_NO_GROUP },
		.asker = asker };
	bool direct;
	int fd, rc, mode;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = open_disk(&d, &direct, &fd, e);
	if (rc == 0) {
		mode = fcntl(fd, F_GETFL);
		CHECK_EQ(mode & O_ACCMODE, readonly ? O_RDONLY : O_RDWR);
		CHECK_EQ(mode & O_NONBLOCK, 0);
	}
	fd_close(&fd);
	return (rc);
}

/* T66: an asker has his own rights alone, an owner root's at plain files. */
static void
test_open_disk(void)
{
	struct msg_cred alice = { .uid = ALICE, .gid = ALICE };
	struct msg_cred member = {
		.uid = ALICE, .gid = ALICE, .ngroups = 1, .groups = { 777 }
	};
	struct msg_cred root = { .uid = 0 };
	gid_t groups[4];
	struct err e;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	CHECK_EQ(setgroups(0, NULL), 0);
	setup();
	put("root", "root's", 0600, 0);
	put("shown", "to be read", 0644, 0);
	put("mine", "alice's", 0600, ALICE);
	put("group", "a group's", 0660, 0);
	CHECK_EQ(fchownat(dir_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("root", dir_fd, "link"), 0);
	CHECK_EQ(linkat(dir_fd, "shown", dir_fd, "second", 0), 0);
	CHECK_EQ(mkfifoat(dir_fd, "fifo", 0666), 0);
	CHECK_EQ(fchmodat(dir_fd, "fifo", 0666, 0), 0);
	/* vmctl start -d */
	CHECK_EQ(try_disk("mine", 0, &alice, false, &e), 0);
	CHECK_EQ(try_disk("root", 0, &root, false, &e), 0);
	CHECK_EQ(try_disk("root", 0, &alice, false, &e), -1);
	CHECK_EQ(e.code, EACCES);
	CHECK_EQ(try_disk("link", 0, &alice, false, &e), -1);
	CHECK_EQ(try_disk("shown", 0, &alice, true, &e), 0);
	CHECK_EQ(try_disk("shown", 0, &alice, false, &e), -1);
	CHECK_EQ(try_disk("group", 0, &alice, false, &e), -1);
	CHECK_EQ(try_disk("group", 0, &member, false, &e), 0);
	CHECK_EQ(getgroups(4, groups), 0); /* and not for longer */
	CHECK_EQ(try_disk("fifo", 0, &alice, false, &e), -1);
	CHECK_EQ(e.code, EINVAL);
	/* vm.conf */
	CHECK_EQ(try_disk("mine", ALICE, NULL, false, &e), 0);
	CHECK_EQ(try_disk("root", ALICE, NULL, false, &e), 0);
	CHECK_EQ(try_disk("link", ALICE, NULL, false, &e), -1);
	CHECK(strstr(e.text, "symbolic link") != NULL);
	CHECK_EQ(try_disk("second", ALICE, NULL, true, &e), 0);
	CHECK_EQ(try_disk("second", ALICE, NULL, false, &e), -1);
	CHECK(strstr(e.text, "other names") != NULL);
	CHECK_EQ(try_disk("none", 0, NULL, false, &e), -1);
	CHECK(strstr(e.text, "vmctl create") != NULL);
	teardown();
}

/* T66: a link that changes while it is opened leads nowhere new. */
static void
test_swap(void)
{
	unsigned i, opened = 0;
	struct stat st, secret;
	char path[96];
	struct open_disk d = { .path = path,
		.owner = { .uid = ALICE, .gid = OPEN_NO_GROUP } };
	bool direct;
	struct err e;
	pid_t pid;
	int fd;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	CHECK_EQ(setgroups(0, NULL), 0);
	setup();
	put("secret", "root's", 0600, 0);
	put("mine", "alice's", 0600, ALICE);
	CHECK_EQ(fstatat(dir_fd, "secret", &secret, 0), 0);
	CHECK_EQ(symlinkat("secret", dir_fd, "trap"), 0);
	CHECK_EQ(symlinkat("mine", dir_fd, "disk"), 0);
	snprintf(path, sizeof(path), "%s/disk", dir);
	fflush(stdout);
	if ((pid = fork()) == 0)
		for (;;)
			renameat2(
			    dir_fd, "trap", dir_fd, "disk", RENAME_EXCHANGE);
	for (i = 0; i < 20000; i++) {
		if (open_disk(&d, &direct, &fd, &e) == 0) {
			opened++;
			CHECK_EQ(fstat(fd, &st), 0);
			CHECK(st.st_ino != secret.st_ino);
		}
		fd_close(&fd);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK(opened > 0);
	teardown();
}

/*
 * T66: /proc/self is whoever opens, and what that holds is not the asker's nor
 * the owner's, though a memory file's mode lets anybody in: pages of devices,
 * kernels that others were lent.
 */
static void
test_own_fds(void)
{
	char own_path[96], path[96];
	struct open_owner owner = { .uid = ALICE, .gid = OPEN_NO_GROUP };
	struct msg_cred alice = { .uid = ALICE, .gid = ALICE };
	struct open_disk d = {
		.path = own_path, .owner = owner, .asker = &alice
	};
	struct err e;
	bool direct;
	int fd, own;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	setup();
	own = memfd_sealed("page", 4096, F_SEAL_SHRINK | F_SEAL_GROW);
	REQUIRE(own != -1);
	snprintf(own_path, sizeof(own_path), "/proc/self/fd/%d", own);
	CHECK_EQ(open_disk(&d, &direct, &fd, &e), -1);
	fd_close(&fd);
	d.readonly = true;
	CHECK_EQ(open_disk(&d, &direct, &fd, &e), -1);
	fd_close(&fd);
	/* By a link of the owner's, in the place of what vm.conf named. */
	snprintf(path, sizeof(path), "%s/disk", dir);
	CHECK_EQ(symlink(own_path, path), 0);
	d.path = path;
	d.asker = NULL;
	CHECK_EQ(open_disk(&d, &direct, &fd, &e), -1);
	fd_close(&fd);
	CHECK_EQ(open_image("kernel", path, &owner, &fd, &e), -1);
	fd_close(&fd);
	fd_close(&own);
	teardown();
}

/* A device process: 0 when it has its image, at PROC_IMAGE_FD and nowhere else. */
__attribute__((noreturn)) static void
process(int sock)
{
	struct stat st, image;
	struct err e;
	int fd;

	if (dup2(sock, HIGH) != HIGH || dup2(0, PROC_LINK_FD) == -1 ||
	    dup2(0, PROC_PAGE_FD) == -1 || dup2(HIGH, PROC_IMAGE_FD) == -1 ||
	    close_range(PROC_IMAGE_FD + 1, ~0u, 0) == -1)
		_exit(2);
	if (opener_run(&e) == -1)
		_exit(1);
	if (fstat(PROC_IMAGE_FD, &image) == -1 || !S_ISREG(image.st_mode))
		_exit(3);
	for (fd = PROC_IMAGE_FD + 1; fd < HIGH; fd++)
		if (fstat(fd, &st) == 0)
			_exit(4);
	_exit(0);
}

static pid_t
order(const struct opener_order *o, int *sock)
{
	struct err e;
	pid_t pid;
	int sv[2];

	CHECK_EQ(opener_order(sv, o, &e), 0);
	fflush(stdout);
	if ((pid = fork()) == 0)
		process(sv[1]);
	fd_close(&sv[1]);
	*sock = sv[0];
	return (pid);
}

/* The next answer, waited for here. */
static int
answer(int sock, struct opener_answer *a, struct err *e)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	if (poll(&p, 1, 30000) != 1)
		return (0);
	return (opener_answer(sock, a, e));
}

static int
ended(pid_t pid)
{
	int status = 0;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void
order_for(struct opener_order *o, const char *name)
{
	memset(o, 0, sizeof(*o));
	snprintf(o->path, sizeof(o->path), "%s/%s", dir, name);
	o->owner.gid = OPEN_NO_GROUP;
}

static void
test_order(void)
{
	struct opener_answer a;
	struct opener_order o;
	struct stat st;
	struct err e;
	int sock;
	pid_t pid;

	setup();
	put("a.img", "image", 0600, 0);
	CHECK_EQ(fstatat(dir_fd, "a.img", &st, 0), 0);
	order_for(&o, "a.img");
	pid = order(&o, &sock);
	REQUIRE(answer(sock, &a, &e) == 1);
	CHECK_EQ(a.what, OPENER_FOUND);
	CHECK_EQ(a.dev, st.st_dev);
	CHECK_EQ(a.ino, st.st_ino);
	CHECK_EQ(a.bytes, 5);
	CHECK_EQ(a.direct, 0);
	CHECK_EQ(opener_answer(sock, &a, &e), 0); /* it waits for its go */
	CHECK_EQ(opener_go(sock, &e), 0);
	REQUIRE(answer(sock, &a, &e) == 1);
	CHECK_EQ(a.what, OPENER_LOCKED);
	CHECK_EQ(ended(pid), 0);
	fd_close(&sock);
	teardown();
}

/* Words, and a process that waits for its end. */
static void
test_refused(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct opener_answer a;
	struct opener_order o;
	struct err e;
	int sock, fd;
	pid_t pid;

	setup();
	put("a.img", "image", 0600, 0);
	order_for(&o, "none.img");
	pid = order(&o, &sock);
	REQUIRE(answer(sock, &a, &e) == 1);
	CHECK_EQ(a.what, OPENER_FAILED);
	CHECK_EQ(a.code, ENOENT);
	CHECK(strstr(a.text, "none.img: no such file") != NULL);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	fd_close(&sock);
	CHECK_EQ(ended(pid), 1);
	/* One that has another's lock. */
	fd = openat(dir_fd, "a.img", O_RDWR | O_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_OFD_SETLK, &fl), 0);
	order_for(&o, "a.img");
	pid = order(&o, &sock);
	REQUIRE(answer(sock, &a, &e) == 1);
	CHECK_EQ(a.what, OPENER_FOUND);
	CHECK_EQ(opener_go(sock, &e), 0);
	REQUIRE(answer(sock, &a, &e) == 1);
	CHECK_EQ(a.what, OPENER_FAILED);
	CHECK_EQ(a.code, EBUSY);
	/* A go, after that, is none. */
	CHECK_EQ(opener_go(sock, &e), 0);
	CHECK_EQ(ended(pid), 1);
	fd_close(&sock);
	fd_close(&fd);
	teardown();
}

/* Whom nobody waits for any more, goes. */
static void
test_nobody(void)
{
	struct opener_answer a;
	struct opener_order o;
	struct err e;
	int sock;
	pid_t pid;

	setup();
	put("a.img", "image", 0600, 0);
	order_for(&o, "a.img");
	pid = order(&o, &sock);
	REQUIRE(answer(sock, &a, &e) == 1);
	fd_close(&sock);
	CHECK_EQ(ended(pid), 1);
	/* And one that has gone is noticed. */
	pid = order(&o, &sock);
	REQUIRE(answer(sock, &a, &e) == 1);
	kill(pid, SIGKILL);
	CHECK_EQ(ended(pid), -1);
	CHECK_EQ(answer(sock, &a, &e), -1);
	CHECK_EQ(e.code, ECHILD);
	fd_close(&sock);
	teardown();
}

/* Any bytes are an answer, or none; its words can be shown. */
static void
test_answers(void)
{
	struct opener_answer a, good = { .what = OPENER_FAILED, .code = EIO };
	uint8_t raw[sizeof(a) + 8];
	unsigned i, k, taken = 0;
	struct err e;
	int sv[2];

	memset(good.text, 0x1b, sizeof(good.text)); /* and no NUL */
	a = good;
	CHECK_EQ(opener_answer_check(&a, sizeof(a), &e), 0);
	CHECK(strnlen(a.text, sizeof(a.text)) < sizeof(a.text));
	CHECK(strchr(a.text, 0x1b) == NULL);
	a = good;
	a.code = 0;
	CHECK_EQ(opener_answer_check(&a, sizeof(a), &e), -1);
	a = good;
	a.what = OPENER_N;
	CHECK_EQ(opener_answer_check(&a, sizeof(a), &e), -1);
	a = good;
	a.what = OPENER_FOUND; /* nothing */
	CHECK_EQ(opener_answer_check(&a, sizeof(a), &e), -1);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	for (i = 1; i <= sizeof(raw); i++) {
		for (k = 0; k < i; k++)
			raw[k] = (uint8_t)(i * 7 + k * 31);
		raw[0] = OPENER_FOUND;
		if (i > 4)
			memset(raw + 1, 0, 3);
		CHECK_EQ(send(sv[1], raw, i, 0), i);
		if (opener_answer(sv[0], &a, &e) == 1) {
			taken++;
			CHECK_EQ(i, sizeof(a));
		}
	}
	CHECK_EQ(taken, 1);
	CHECK_EQ(opener_answer(sv[0], &a, &e), 0);
	fd_close(&sv[0]);
	fd_close(&sv[1]);
}

static const struct tap_case cases[] = {
	{ "T66 opener: kernels with the owner's rights", test_open },
	{ "T66 opener: disks with their rights", test_open_disk },
	{ "T66 opener: a link that is changed meanwhile", test_swap },
	{ "T66 opener: what it holds itself", test_own_fds },
	{ "opener: an image is found and locked", test_order },
	{ "T49 opener: one that cannot be had", test_refused },
	{ "opener: one that nobody wants any more", test_nobody },
	{ "opener: answers that make no sense", test_answers },
};

TAP_MAIN(cases)
