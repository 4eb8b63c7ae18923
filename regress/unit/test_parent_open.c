/* SPDX-License-Identifier: ISC */
/* Whose rights the parent opens a file with: kernels and disks.  T66. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/str.h"

#define ALICE 12345

static int
try_open(const char *name, uid_t uid, gid_t gid, struct err *e)
{
	struct conf_owner owner = { .uid = uid, .gid = gid };
	char path[96];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", par_dir, name);
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
	par_open();
	par_put("secret", "root's", 0600, 0);
	par_put("open", "everybody's", 0644, 0);
	par_put("mine", "alice's", 0600, ALICE);
	par_put("group", "a group's", 0640, 0);
	CHECK_EQ(fchownat(parent.state_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("secret", parent.state_fd, "link"), 0);
	CHECK_EQ(symlinkat("open", parent.state_fd, "fine"), 0);
	CHECK_EQ(symlinkat(".", parent.state_fd, "d"), 0);
	CHECK_EQ(mkfifoat(parent.state_fd, "fifo", 0666), 0);
	CHECK_EQ(try_open("link", 0, CONF_NONE, &e), 0);
	CHECK_EQ(try_open("fifo", 0, CONF_NONE, &e), -1);
	CHECK_EQ(try_open("fifo", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(try_open("mine", ALICE, CONF_NONE, &e), 0);
	CHECK_EQ(try_open("open", ALICE, CONF_NONE, &e), 0);
	CHECK_EQ(try_open("fine", ALICE, CONF_NONE, &e), 0);
	CHECK_EQ(try_open("group", 0, 777, &e), 0);
	/* Root's own, named by root himself. */
	CHECK_EQ(try_open("secret", ALICE, CONF_NONE, &e), 0);
	CHECK_EQ(try_open("link", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(e.code, EACCES);
	CHECK_EQ(try_open("link", 0, 777, &e), -1);
	CHECK_EQ(try_open("d/secret", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(
	    linkat(parent.state_fd, "secret", parent.state_fd, "second", 0), 0);
	CHECK_EQ(try_open("second", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(try_open("none", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(e.code, ENOENT);
	par_close();
}

static int
try_disk(const char *name, uid_t uid, const struct msg_cred *asker,
    bool readonly, struct err *e)
{
	struct conf_owner owner = { .uid = uid, .gid = CONF_NONE };
	struct conf_disk d;
	bool direct;
	int fd, rc, mode;

	conf_disk_init(&d);
	d.readonly = readonly;
	snprintf(d.path, sizeof(d.path), "%s/%s", par_dir, name);
	rc = open_disk(&d, &owner, asker, &direct, &fd, e);
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
	par_open();
	par_put("root", "root's", 0600, 0);
	par_put("shown", "to be read", 0644, 0);
	par_put("mine", "alice's", 0600, ALICE);
	par_put("group", "a group's", 0660, 0);
	CHECK_EQ(fchownat(parent.state_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("root", parent.state_fd, "link"), 0);
	CHECK_EQ(
	    linkat(parent.state_fd, "shown", parent.state_fd, "second", 0), 0);
	CHECK_EQ(mkfifoat(parent.state_fd, "fifo", 0666), 0);
	CHECK_EQ(fchmodat(parent.state_fd, "fifo", 0666, 0), 0);
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
	par_close();
}

/* T66: a link that changes while it is opened leads nowhere new. */
static void
test_swap(void)
{
	unsigned i, opened = 0;
	struct stat st, secret;
	struct conf_owner owner = { .uid = ALICE, .gid = CONF_NONE };
	struct conf_disk d;
	bool direct;
	struct err e;
	pid_t pid;
	int fd;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	CHECK_EQ(setgroups(0, NULL), 0);
	par_open();
	par_put("secret", "root's", 0600, 0);
	par_put("mine", "alice's", 0600, ALICE);
	CHECK_EQ(fstatat(parent.state_fd, "secret", &secret, 0), 0);
	CHECK_EQ(symlinkat("secret", parent.state_fd, "trap"), 0);
	CHECK_EQ(symlinkat("mine", parent.state_fd, "disk"), 0);
	conf_disk_init(&d);
	snprintf(d.path, sizeof(d.path), "%s/disk", par_dir);
	fflush(stdout);
	if ((pid = fork()) == 0)
		for (;;)
			renameat2(parent.state_fd, "trap", parent.state_fd,
			    "disk", RENAME_EXCHANGE);
	for (i = 0; i < 20000; i++) {
		if (open_disk(&d, &owner, NULL, &direct, &fd, &e) == 0) {
			opened++;
			CHECK_EQ(fstat(fd, &st), 0);
			CHECK(st.st_ino != secret.st_ino);
		}
		fd_close(&fd);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK(opened > 0);
	par_close();
}

/*
 * T66: /proc/self is the parent here, and what it holds is not the asker's nor
 * the owner's, though a memory file's mode lets anybody in: pages of devices,
 * kernels that others were lent.
 */
static void
test_own_fds(void)
{
	struct conf_owner owner = { .uid = ALICE, .gid = CONF_NONE };
	struct msg_cred alice = { .uid = ALICE, .gid = ALICE };
	struct conf_disk d;
	char path[96];
	struct err e;
	bool direct;
	int fd, own;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	par_open();
	own = memfd_sealed("page", 4096, F_SEAL_SHRINK | F_SEAL_GROW);
	REQUIRE(own != -1);
	conf_disk_init(&d);
	snprintf(d.path, sizeof(d.path), "/proc/self/fd/%d", own);
	CHECK_EQ(open_disk(&d, &owner, &alice, &direct, &fd, &e), -1);
	fd_close(&fd);
	d.readonly = true;
	CHECK_EQ(open_disk(&d, &owner, &alice, &direct, &fd, &e), -1);
	fd_close(&fd);
	/* By a link of the owner's, in the place of what vm.conf named. */
	snprintf(path, sizeof(path), "%s/disk", par_dir);
	CHECK_EQ(symlink(d.path, path), 0);
	strlcpy(d.path, path, sizeof(d.path));
	CHECK_EQ(open_disk(&d, &owner, NULL, &direct, &fd, &e), -1);
	fd_close(&fd);
	CHECK_EQ(open_image("kernel", path, &owner, &fd, &e), -1);
	fd_close(&fd);
	fd_close(&own);
	par_close();
}

static const struct tap_case cases[] = {
	{ "T66 parent: kernels with the owner's rights", test_open },
	{ "T66 parent: disks with their rights", test_open_disk },
	{ "T66 parent: a link that is changed meanwhile", test_swap },
	{ "T66 parent: what the parent itself holds", test_own_fds },
};

TAP_MAIN(cases)
