/* SPDX-License-Identifier: ISC */
/* vmctl create: whole or not at all, and never over another file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/image.h"
#include "regress/lib/tap.h"

static char dir[64];

static void
enter(void)
{
	strcpy(dir, "/tmp/vmd-image.XXXXXX");
	if (mkdtemp(dir) == NULL || chdir(dir) == -1)
		tap_fail(__FILE__, __LINE__, "no directory");
}

/* How many names there are, hidden ones too; then away with them. */
static int
leave(void)
{
	DIR *d = opendir(".");
	struct dirent *de;
	int n = 0;

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		n++;
		unlinkat(AT_FDCWD, de->d_name, 0);
	}
	closedir(d);
	if (chdir("/") == -1 || rmdir(dir) == -1)
		tap_fail(__FILE__, __LINE__, "%s is not empty", dir);
	return (n);
}

static void
made(void)
{
	mode_t mask = umask(0377);
	struct stat st;
	struct err e;

	enter();
	CHECK_EQ(image_create("x.img", 10ull << 30, &e), 0);
	umask(mask);
	CHECK_EQ(stat("x.img", &st), 0);
	CHECK_EQ(st.st_size, 10ll << 30);
	CHECK_EQ(st.st_blocks, 0);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(leave(), 1);
}

/* What is there stays as it is: file, dangling link, directory. */
static void
never_over(void)
{
	char buf[8] = "";
	struct err e;
	int fd;

	enter();
	fd = open("file", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(write(fd, "mine", 4), 4);
	CHECK_EQ(symlink("nowhere", "link"), 0);
	CHECK_EQ(image_create("file", 512, &e), -1);
	CHECK_EQ(e.code, EEXIST);
	CHECK_STR(e.text,
	    "file is there already; remove it first, or take another name");
	CHECK_EQ(image_create("./link", 512, &e), -1);
	CHECK_EQ(e.code, EEXIST);
	CHECK_EQ(image_create(dir, 512, &e), -1);
	CHECK_EQ(e.code, EEXIST);
	CHECK_EQ(pread(fd, buf, sizeof(buf), 0), 4);
	CHECK_STR(buf, "mine");
	CHECK_EQ(access("nowhere", F_OK), -1);
	close(fd);
	CHECK_EQ(leave(), 2);
}

static void
refused(void)
{
	char longer[5000];
	struct err e;

	enter();
	CHECK_EQ(image_create("", 512, &e), -1);
	CHECK_EQ(e.code, EINVAL);
	CHECK_EQ(image_create("x/", 512, &e), -1);
	CHECK_STR(e.text, "\"x/\" names no file");
	CHECK_EQ(image_create("none/x", 512, &e), -1);
	CHECK_STR(
	    e.text, "cannot open directory none/: No such file or directory");
	memset(longer, 'x', sizeof(longer));
	longer[4990] = '/';
	longer[sizeof(longer) - 1] = '\0';
	CHECK_EQ(image_create(longer, 512, &e), -1);
	CHECK_EQ(e.code, ENAMETOOLONG);
	CHECK_EQ(image_create("x", 7ull << 60, &e), -1);
	CHECK_EQ(e.code, EFBIG);
	CHECK_STR(e.text, "the file system of x has no files of 7.0E");
	CHECK_EQ(leave(), 0);
}

/* A file system without O_TMPFILE, and without RENAME_NOREPLACE. */
static int
poor(bool no_rename, const char *name)
{
	scmp_filter_ctx f;
	struct err e = { 0 };
	int status;
	pid_t pid;

	if ((pid = fork()) != 0) {
		waitpid(pid, &status, 0);
		return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	}
	f = seccomp_init(SCMP_ACT_ALLOW);
	seccomp_rule_add(f, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(openat), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, O_TMPFILE, O_TMPFILE));
	if (no_rename)
		seccomp_rule_add(
		    f, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(renameat2), 0);
	if (seccomp_load(f) != 0)
		_exit(99);
	image_create(name, 4096, &e);
	_exit(e.code);
}

static void
poor_fs(void)
{
	struct stat st;

	enter();
	CHECK_EQ(poor(false, "a"), 0);
	CHECK_EQ(poor(true, "b"), 0);
	CHECK_EQ(poor(false, "a"), EEXIST);
	CHECK_EQ(poor(true, "b"), EEXIST);
	CHECK_EQ(stat("a", &st), 0);
	CHECK_EQ(st.st_size, 4096);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_EQ(stat("b", &st), 0);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(leave(), 2);
}

static int
run(const char *size, const char *path, struct err *e)
{
	char *argv[] = { "create", "-s", (char *)(uintptr_t)size,
		(char *)(uintptr_t)path, NULL };
	struct ctl ctl = { 0 };

	return (cmd_create.run(&ctl, 4, argv, e));
}

/* Sizes as people write them, up to whole sectors; names as OpenBSD's. */
static void
words(void)
{
	static const struct {
		const char *size, *path, *name;
		long long bytes; /* -1: refused */
	} row[] = {
		{ "1", "a", "a", 512 },
		{ "512", "b", "b", 512 },
		{ "1000", "c", "c", 1024 },
		{ "1.5K", "d", "d", 1536 },
		{ "3m", "e", "e", 3 << 20 },
		{ "2G", "raw:f", "f", 2ll << 30 },
		{ "1T", "raw:g.qcow2", "g.qcow2", 1ll << 40 },
		{ "0", "x", "x", -1 },
		{ "-1", "x", "x", -1 },
		{ "10X", "x", "x", -1 },
		{ "9E", "x", "x", -1 },
		{ "7.9999999999999999999E", "x", "x", -1 },
		{ "1M", "qcow2:x", "x", -1 },
		{ "1M", "x.qcow2", "x.qcow2", -1 },
		{ "1M", "x.qc2", "x.qc2", -1 },
	};
	struct stat st;
	struct err e;
	size_t i;

	enter();
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		e.text[0] = '\0';
		CHECK_EQ(run(row[i].size, row[i].path, &e),
		    row[i].bytes < 0 ? -1 : 0);
		if (row[i].bytes < 0) {
			CHECK_MSG(e.text[0] != '\0', "%s", row[i].size);
			CHECK_EQ(stat(row[i].name, &st), -1);
			continue;
		}
		CHECK_MSG(
		    stat(row[i].name, &st) == 0 && st.st_size == row[i].bytes,
		    "%s", row[i].size);
	}
	CHECK_EQ(leave(), 7);
}

static void
command_line(void)
{
	char *none[] = { "create", "x", NULL };
	char *two[] = { "create", "-s", "1M", "x", "y", NULL };
	struct ctl ctl = { 0 };
	struct err e;

	CHECK_EQ(cmd_create.run(&ctl, 2, none, &e), -1);
	CHECK_STR(e.text, "say how large: -s 10G");
	CHECK_EQ(cmd_create.run(&ctl, 5, two, &e), CMD_USAGE);
}

static const struct tap_case cases[] = {
	{ "image: sparse, mode 0600", made },
	{ "image: never over what is there", never_over },
	{ "image: what is refused", refused },
	{ "image: file systems that have less", poor_fs },
	{ "image: sizes and names", words },
	{ "image: command line", command_line },
};
TAP_MAIN(cases)
