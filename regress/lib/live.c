/* SPDX-License-Identifier: ISC */
/* A live process against its row: see live.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "regress/lib/live.h"

struct look {
	pid_t pid;
	const struct sandbox *sb;
	void (*say)(const char *);
	unsigned bad;
};

__attribute__((format(printf, 2, 3))) static void
differs(struct look *l, const char *fmt, ...)
{
	char text[256], line[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "pid %d (%s): %s", (int)l->pid,
	    l->sb->name, text);
	l->say(line);
	l->bad++;
}

/* The words after "Key:" in a status file, "" when there are none. */
static int
status_get(const char *path, const char *key, char *buf, size_t len)
{
	char line[4096];
	size_t n = strlen(key);
	int found = -1;
	FILE *f;

	if ((f = fopen(path, "re")) == NULL)
		return (-1);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, n) != 0 || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		n++;
		n += strspn(line + n, " \t");
		snprintf(buf, len, "%s", line + n);
		for (n = strlen(buf); n > 0 && buf[n - 1] == ' '; n--)
			buf[n - 1] = '\0';
		found = 0;
		break;
	}
	fclose(f);
	return (found);
}

static void
expect(struct look *l, const char *path, const char *key, const char *want)
{
	char got[1024];

	if (status_get(path, key, got, sizeof(got)) == -1)
		differs(l, "%s has no %s", path, key);
	else if (strcmp(got, want) != 0)
		differs(l, "%s is \"%s\", not \"%s\"", key, got, want);
}

static void
look_ids(struct look *l, const char *status, uid_t uid, gid_t gid)
{
	char want[128];

	if (l->sb->uid == SANDBOX_ROOT)
		uid = gid = 0;
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	expect(l, status, "Uid", want);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", gid, gid, gid, gid);
	expect(l, status, "Gid", want);
	expect(l, status, "Groups", "");
}

static void
look_caps(struct look *l, const char *status)
{
	uint64_t set = 0;
	char want[32];
	const int *c;

	for (c = l->sb->caps; c != NULL && *c != -1; c++)
		set |= UINT64_C(1) << *c;
	snprintf(want, sizeof(want), "%016" PRIx64, set);
	expect(l, status, "CapPrm", want);
	expect(l, status, "CapEff", want);
	expect(l, status, "CapBnd", want);
	expect(l, status, "CapInh", "0000000000000000");
	expect(l, status, "CapAmb", "0000000000000000");
}

static void
look_threads(struct look *l)
{
	char dir[64], path[384];
	struct dirent *d;
	DIR *dp;

	snprintf(dir, sizeof(dir), "/proc/%d/task", (int)l->pid);
	if ((dp = opendir(dir)) == NULL) {
		differs(l, "%s: %s", dir, strerror(errno));
		return;
	}
	while ((d = readdir(dp)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
#if defined(__SANITIZE_THREAD__)
		/* Its runtime has a thread of its own, made before main(). */
		if (atoi(d->d_name) != l->pid)
			continue;
#endif
		snprintf(path, sizeof(path), "%s/%s/status", dir, d->d_name);
		expect(l, path, "Seccomp", "2");
		expect(l, path, "NoNewPrivs", "1");
	}
	closedir(dp);
}

static void
look_namespaces(struct look *l)
{
	static const struct {
		const char *name;
		unsigned flag;
	} ns[] = {
		{ "mnt", CLONE_NEWNS },
		{ "net", CLONE_NEWNET },
		{ "ipc", CLONE_NEWIPC },
		{ "uts", CLONE_NEWUTS },
		{ "pid", CLONE_NEWPID },
		{ "user", CLONE_NEWUSER },
	};
	char path[64], mine[64], its[64];
	int own, want;
	ssize_t n;
	size_t i;

	for (i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", ns[i].name);
		n = readlink(path, mine, sizeof(mine) - 1);
		mine[n > 0 ? n : 0] = '\0';
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)l->pid,
		    ns[i].name);
		n = readlink(path, its, sizeof(its) - 1);
		its[n > 0 ? n : 0] = '\0';
		own = strcmp(mine, its) != 0;
		want = (l->sb->namespaces & ns[i].flag) != 0;
		if (n <= 0 || own != want)
			differs(l, "namespace %s is %s", ns[i].name,
			    n <= 0    ? "not to be seen"
				: own ? "its own"
				      : "ours");
	}
}

static void
look_root(struct look *l)
{
	struct statvfs vfs;
	struct dirent *d;
	char path[64];
	DIR *dp;

	if (!l->sb->empty_root)
		return;
	snprintf(path, sizeof(path), "/proc/%d/root/", (int)l->pid);
	if (statvfs(path, &vfs) == -1 || (vfs.f_flag & ST_RDONLY) == 0)
		differs(l, "its root can be written");
	if ((dp = opendir(path)) == NULL) {
		differs(l, "%s: %s", path, strerror(errno));
		return;
	}
	while ((d = readdir(dp)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			differs(l, "its root holds %s", d->d_name);
	closedir(dp);
}

/* What is in /proc/PID belongs to root when the process is not dumpable. */
static void
look_rest(struct look *l)
{
	char path[64], line[256];
	int core = 0;
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)l->pid);
	if (stat(path, &st) == -1 || st.st_uid != 0)
		differs(l, "it can be dumped");
	snprintf(path, sizeof(path), "/proc/%d/limits", (int)l->pid);
	if ((f = fopen(path, "re")) != NULL) {
		while (fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line, "Max core file size 0 0 byte%n",
				&core) == 0 &&
			    core > 0)
				break;
		fclose(f);
	}
	if (core == 0)
		differs(l, "its core limit is not 0");
}

unsigned
live_check(pid_t pid, const struct sandbox *sb, uid_t uid, gid_t gid,
    void (*say)(const char *))
{
	struct look l = { pid, sb, say, 0 };
	char status[64];

	snprintf(status, sizeof(status), "/proc/%d/status", (int)pid);
	look_ids(&l, status, uid, gid);
	look_caps(&l, status);
	look_threads(&l);
	look_namespaces(&l);
	look_root(&l);
	look_rest(&l);
	return (l.bad);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* A file's name stands at the end; anything else anywhere. */
static bool
fd_is(const char *link, const char *part)
{
	size_t n = strlen(link), m = strlen(part);

	if (part[0] != '/' || part[m - 1] == '/')
		return (strstr(link, part) != NULL);
	return (n >= m && strcmp(link + n - m, part) == 0);
}

unsigned
live_check_fds(pid_t pid, const struct sandbox *sb, void (*say)(const char *))
{
	struct look l = { pid, sb, say, 0 };
	unsigned count[32] = { 0 };
	char dir[64], path[384], link[512];
	struct dirent *d;
	ssize_t n;
	size_t i;
	DIR *dp;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	if ((dp = opendir(dir)) == NULL) {
		differs(&l, "%s: %s", dir, strerror(errno));
		return (l.bad);
	}
	while ((d = readdir(dp)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		if ((n = readlink(path, link, sizeof(link) - 1)) == -1)
			continue; /* closed meanwhile */
		link[n] = '\0';
		/* Where a sanitizer's report goes, see spawn.c. */
		if (SANITIZED && strcmp(sb->name, "parent") != 0 &&
		    strcmp(d->d_name, "2") == 0)
			snprintf(link, sizeof(link), "/dev/null");
		for (i = 0; sb->fds[i].link != NULL; i++)
			if (fd_is(link, sb->fds[i].link))
				break;
		if (sb->fds[i].link == NULL)
			differs(&l, "fd %s is %s", d->d_name, link);
		else
			count[i]++;
	}
	closedir(dp);
	for (i = 0; sb->fds[i].link != NULL; i++)
		if (count[i] < sb->fds[i].min || count[i] > sb->fds[i].max)
			differs(&l, "%u fds \"%s\", not %u to %u", count[i],
			    sb->fds[i].link, sb->fds[i].min, sb->fds[i].max);
	return (l.bad);
}
