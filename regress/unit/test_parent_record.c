/* SPDX-License-Identifier: ISC */
/* Records of running VMs, whole and damaged.  C8. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/log.h"

/* A record of a process that is there; its text into buf. */
static size_t
record(struct vment *v, char *buf, size_t size)
{
	struct err e;
	ssize_t n;
	int fd;

	CHECK_EQ(record_write(v, &e), 0);
	fd = openat(parent.state_fd, "1.rec", O_RDONLY | O_CLOEXEC);
	n = readall(fd, buf, size);
	close(fd);
	return (n > 0 ? (size_t)n : 0);
}

enum taken { GONE, WHOLE, DAMAGED, KEPT };

/*
 * What becomes of a record: only that very process is taken for the VM's, and
 * what is not as it was written is not believed.
 */
static enum taken
take_back(const char *buf, size_t len, pid_t pid)
{
	enum taken what = GONE;
	struct vment *v;
	int fd;

	fd = openat(parent.state_fd, "1.rec",
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, buf, len), (ssize_t)len);
	close(fd);
	parent.leftovers = false;
	record_take_back(&parent);
	if ((v = TAILQ_FIRST(&parent.vms)) != NULL) {
		CHECK(TAILQ_NEXT(v, entry) == NULL);
		CHECK_EQ(v->pid, pid);
		CHECK_EQ(v->id, 1);
		what = v->damaged ? DAMAGED : WHOLE;
		CHECK_STR(v->conf.name, v->damaged ? "lost-1" : "web");
		CHECK_EQ(v->ndevs, v->damaged ? 0 : 1);
		CHECK_EQ(v->asked_disks, v->ndevs);
		CHECK_EQ(v->reason[0] != '\0', v->damaged);
		/* It is the next vmd's, too. */
		CHECK_EQ(faccessat(parent.state_fd, "1.rec", F_OK, 0), 0);
		par_drop(v);
	}
	CHECK_EQ(
	    parent.leftovers, unlinkat(parent.state_fd, "1.damaged", 0) == 0);
	if (parent.leftovers) {
		CHECK_EQ(what, GONE);
		what = KEPT;
	}
	unlinkat(parent.state_fd, "1.rec", 0);
	return (what);
}

static void
quiet(void *ctx, int prio, const char *line)
{
	(void)ctx;
	(void)prio;
	(void)line;
}

/* One of a uid of its own, as those of a VM are. */
static pid_t
other_process(void)
{
	int ready[2];
	pid_t pid;
	char c;

	CHECK_EQ(pipe2(ready, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		if (setuid(60000) == -1 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return (pid);
}

/* C8: every byte of a record changed, and every length of it. */
static void
test_records(void)
{
	static const uint8_t flips[] = { 0x01, 0x10, 0x80, 0xff };
	char buf[4096] = "", bad[4096], buf2[4096] = "";
	struct vment *v;
	size_t i, k, len, len2, head;
	enum taken what;
	struct err none;
	pid_t pid, dev, late;
	int status = 0;

	if (geteuid() != 0) {
		tap_skip("needs root to make a process of another uid");
		return;
	}
	par_open();
	log_setsink(quiet, NULL);
	peer_close(parent.control.peer);
	parent.control.peer = NULL;
	pid = other_process();
	/* No number that a flipped bit makes of the first one. */
	dev = other_process();
	kill(dev, SIGKILL);
	CHECK_EQ(waitpid(dev, NULL, 0), dev);
	dev = other_process();
	late = other_process();
	v = par_add("web");
	v->pid = pid;
	v->pid_start = pid_start_time(pid);
	v->uid = 60000;
	memset(v->token, 0x5a, sizeof(v->token));
	/* A disk with its process, and the wish of somebody. */
	par_put("a.img", "image", 0600, 0);
	v->conf.ndisks = 1;
	conf_disk_init(&v->conf.disks[0]);
	snprintf(v->conf.disks[0].path, sizeof(v->conf.disks[0].path),
	    "%s/a.img", par_dir);
	CHECK_EQ(vmdev_open(v, &none), 0);
	v->dev[0].pid = dev;
	v->dev[0].pid_start = pid_start_time(dev);
	v->asked_disks = 1;
	v->asker =
	    (struct msg_cred){ .uid = 7, .ngroups = 2, .groups = { 8, 9 } };
	len = record(v, buf, sizeof(buf));
	v->dev[0].pid = late;
	v->dev[0].pid_start = pid_start_time(late);
	len2 = record(v, buf2, sizeof(buf2));
	par_drop(v);
	CHECK(len > 200);
	CHECK(strstr(buf, "asker 1 7 0 2 8 9\n--\n") != NULL);
	CHECK_EQ(take_back(buf, len, pid), WHOLE);
	head = (size_t)(strstr(buf, "\ndev ") - buf);
	for (i = 0; i < len; i++) {
		for (k = 0; k < sizeof(flips); k++) {
			memcpy(bad, buf, len);
			bad[i] = (char)(bad[i] ^ flips[k]);
			what = take_back(bad, len, pid);
			CHECK(what == DAMAGED || (i < head && what == KEPT));
		}
		CHECK_EQ(take_back(buf, i, pid), i < head ? KEPT : DAMAGED);
	}
	/* Of what nobody was sure to know nothing was ended. */
	CHECK_EQ(waitpid(dev, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	/* Its number is nobody's. */
	CHECK_EQ(take_back(buf, len, pid), GONE);
	/* What served it may hold its image, and its uid, for ever. */
	CHECK_EQ(take_back(buf2, len2, pid), GONE);
	kill(late, SIGTERM); /* too late, if all is well */
	CHECK_EQ(waitpid(late, &status, 0), late);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	kill(dev, SIGKILL);
	CHECK_EQ(waitpid(dev, NULL, 0), dev);
	log_setsink(NULL, NULL);
	par_close();
}

/* A VM that cannot be taken back is named, and its uid is no other VM's. */
static void
test_leftovers(void)
{
	const struct msg_event *ev;
	struct wire_msg m;
	struct err e;
	uid_t uid;
	pid_t pid;

	if (geteuid() != 0) {
		tap_skip("needs root to make a process of another uid");
		return;
	}
	par_open();
	log_setsink(quiet, NULL);
	parent.conf->uid_first = 60000;
	parent.conf->uid_last = 60001;
	pid = other_process();
	par_put("1.rec", "vmd-record 9\nsomething else\n", 0600, 0);
	record_take_back(&parent);
	CHECK(TAILQ_EMPTY(&parent.vms));
	CHECK_EQ(parent.next_id, 1); /* and its id is not another's */
	record_leftovers(&parent);
	par_turn();
	REQUIRE(wire_expect(&par_control, MSG_EVENT, &m));
	ev = (const void *)m.raw;
	CHECK(strstr(ev->text, "record is damaged") != NULL);
	CHECK_EQ(vmtab_uid(&parent, &uid, &e), 0);
	CHECK_EQ(uid, 60001);
	CHECK_EQ(faccessat(parent.state_fd, "1.damaged", F_OK, 0), 0);
	/* The next vmd says so again, until it has ended. */
	parent.leftovers = false;
	record_take_back(&parent);
	CHECK(parent.leftovers);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	record_leftovers(&parent);
	CHECK_EQ(vmtab_uid(&parent, &uid, &e), 0);
	CHECK_EQ(uid, 60000);
	CHECK_EQ(faccessat(parent.state_fd, "1.damaged", F_OK, 0), -1);
	log_setsink(NULL, NULL);
	par_close();
}

static const struct tap_case cases[] = {
	{ "C8 parent: damaged records", test_records },
	{ "C8 parent: vms that cannot be taken back", test_leftovers },
};

TAP_MAIN(cases)
