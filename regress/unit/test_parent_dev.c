/* SPDX-License-Identifier: ISC */
/* Devices as the parent has them: images, rows, and processes that die. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/proc/opener.h"
#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/clock.h"
#include "shared/fd.h"

#define HIGH 100 /* an fd above those of a process */

/* As a device process begins, and it stays; or one that says nothing. */
static int
image_process(struct vmdev *d, int *sock, bool silent)
{
	struct err e;

	fflush(stdout);
	if ((d->pid = fork()) == 0) {
		if (dup2(*sock, HIGH) == HIGH && dup2(0, PROC_LINK_FD) != -1 &&
		    dup2(0, PROC_PAGE_FD) != -1 &&
		    dup2(HIGH, PROC_IMAGE_FD) != -1 &&
		    close_range(PROC_IMAGE_FD + 1, ~0u, 0) == 0 &&
		    (silent || opener_run(&e) == 0))
			pause();
		_exit(1);
	}
	fd_close(sock);
	d->pidfd = (int)syscall(SYS_pidfd_open, d->pid, 0);
	d->ours = true;
	return (d->pidfd == -1 ? -1 : 0);
}

/* A process on the way to its image. */
static int
begin(struct vmdev *d, bool silent, struct err *e)
{
	struct vment *v = d->v;
	int sock;

	v->state = VM_STARTING;
	v->killed = v->failed = v->dev_failed = false;
	v->reason[0] = '\0';
	d->state = DEV_DOWN;
	if (vmdev_image_order(d, &sock, e) == -1 ||
	    image_process(d, &sock, silent) == -1)
		return (-1);
	d->launching = true;
	d->started_ns = clock_now_ns();
	return (0);
}

/* Until it has its image, or not. */
static int
serve(struct vmdev *d, bool silent, struct err *e)
{
	struct vment *v = d->v;

	if (begin(d, silent, e) == -1)
		return (-1);
	if (silent)
		d->started_ns -= 10000000000ull;
	if (vmdev_image_watch(d, e) == -1)
		return (-1);
	while (d->launching)
		event_base_loop(parent.base, EVLOOP_ONCE);
	return (d->state == DEV_UP ? 0 : err_set(e, EIO, "%s", v->reason));
}

/* A VM of the table with one disk, and a process that has it. */
static int
with_disk(const char *vm, const char *file, bool readonly, struct err *e)
{
	struct vment *v = par_add(vm);
	struct conf_disk *d = &v->conf.disks[v->conf.ndisks++];

	conf_disk_init(d);
	d->readonly = readonly;
	snprintf(d->path, sizeof(d->path), "%s/%s", par_dir, file);
	if (vmdev_open(v, e) == -1)
		return (-1);
	return (serve(&v->dev[0], false, e));
}

/* T49: who writes is alone, who reads is not; and who it is, is said. */
static void
test_lock(void)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct vment *v;
	struct err e;
	char path[96];
	int fd;

	par_open();
	par_put("a.img", "image", 0600, 0);
	par_put("b.img", "image", 0600, 0);
	par_put("c.img", "image", 0600, 0);
	CHECK_EQ(with_disk("one", "a.img", false, &e), 0);
	CHECK_EQ(with_disk("two", "a.img", false, &e), -1);
	CHECK(strstr(e.text, "in use by vm one") != NULL);
	CHECK_EQ(with_disk("three", "a.img", true, &e), -1);
	CHECK_EQ(with_disk("four", "b.img", true, &e), 0);
	CHECK_EQ(with_disk("five", "b.img", true, &e), 0);
	CHECK_EQ(with_disk("six", "b.img", false, &e), -1);
	CHECK(strstr(e.text, "vm four") != NULL ||
	    strstr(e.text, "vm five") != NULL);
	/* Another program that keeps the rules. */
	snprintf(path, sizeof(path), "%s/c.img", par_dir);
	CHECK((fd = open(path, O_RDWR | O_CLOEXEC)) != -1);
	CHECK_EQ(fcntl(fd, F_OFD_SETLK, &fl), 0);
	CHECK_EQ(with_disk("seven", "c.img", false, &e), -1);
	CHECK(strstr(e.text, "another program") != NULL);
	/* By its pid, as the host counts. */
	fl.l_type = F_UNLCK;
	CHECK_EQ(fcntl(fd, F_OFD_SETLK, &fl), 0);
	fl.l_type = F_RDLCK;
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	v = TAILQ_LAST(&parent.vms, vmhead);
	CHECK_EQ(serve(&v->dev[0], false, &e), -1);
	snprintf(path, sizeof(path), "in use by process %d, ", (int)getpid());
	CHECK(strstr(e.text, path) != NULL);
	close(fd);
	CHECK_EQ(serve(&v->dev[0], false, &e), 0);
	/* Free again when the VM that had it is gone. */
	v = TAILQ_FIRST(&parent.vms);
	par_end_process(&v->dev[0]);
	vmdev_clear(v);
	CHECK_EQ(with_disk("eight", "a.img", false, &e), 0);
	/* While its process is replaced nobody has the lock. */
	v = TAILQ_LAST(&parent.vms, vmhead);
	par_end_process(&v->dev[0]);
	CHECK_EQ(with_disk("nine", "a.img", false, &e), -1);
	CHECK(strstr(e.text, "in use by vm eight") != NULL);
	CHECK_EQ(with_disk("ten", "a.img", true, &e), -1);
	CHECK_EQ(serve(&v->dev[0], false, &e), 0);
	par_close();
}

/* What the next process finds there must be what the guest has seen. */
static void
test_other_image(void)
{
	struct vmdev *d;
	struct err e;

	par_open();
	par_put("a.img", "image", 0600, 0);
	par_put("b.img", "other", 0600, 0);
	CHECK_EQ(with_disk("web", "a.img", false, &e), 0);
	d = &TAILQ_FIRST(&parent.vms)->dev[0];
	CHECK_EQ(d->image_bytes, 5);
	par_end_process(d);
	CHECK_EQ(renameat2(parent.state_fd, "a.img", parent.state_fd, "b.img",
		     RENAME_EXCHANGE),
	    0);
	CHECK_EQ(serve(d, false, &e), -1);
	CHECK(strstr(e.text, "a.img is not the file any more") != NULL);
	CHECK_EQ(renameat2(parent.state_fd, "a.img", parent.state_fd, "b.img",
		     RENAME_EXCHANGE),
	    0);
	CHECK_EQ(serve(d, false, &e), 0);
	par_end_process(d);
	CHECK_EQ(unlinkat(parent.state_fd, "a.img", 0), 0);
	CHECK_EQ(serve(d, false, &e), -1);
	CHECK(strstr(e.text, "a.img: no such file") != NULL);
	par_close();
}

/* One that says nothing is killed, reaped when it is dead, and told of. */
static void
test_silent_image(void)
{
	struct vmdev *d;
	struct err e;

	par_open();
	par_put("a.img", "image", 0600, 0);
	CHECK_EQ(with_disk("web", "a.img", false, &e), 0);
	d = &TAILQ_FIRST(&parent.vms)->dev[0];
	par_end_process(d);
	CHECK_EQ(serve(d, true, &e), -1);
	CHECK(strstr(e.text, "a.img: its file system does not answer") != NULL);
	CHECK_EQ(d->pidfd, -1);
	while (child_left(&parent, d->v->id) > 0)
		event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK_EQ(waitpid(d->pid, NULL, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
	par_close();
}

/* What clients are told of a VM's disks. */
static void
test_dev_rows(void)
{
	const struct msg_dev_row *row;
	struct wire_msg m;
	struct vment *v;
	struct err e;

	par_open();
	par_put("a.img", "image", 0600, 0);
	CHECK_EQ(with_disk("web", "a.img", true, &e), 0);
	v = TAILQ_FIRST(&parent.vms);
	vmdev_rows(v);
	par_turn();
	do
		REQUIRE(wire_expect(&par_control, MSG_DEV_ROW, &m));
	while (
	    ((const struct msg_dev_row *)(const void *)m.raw)->state != DEV_UP);
	row = (const void *)m.raw;
	CHECK_STR(row->name, "blk0");
	CHECK_STR(row->format, "raw");
	CHECK_EQ(row->flags, DEV_READONLY);
	CHECK_EQ(row->size_bytes, 5);
	CHECK_EQ(row->pid, v->dev[0].pid);
	par_close();
}

/* One that dies again and again: at once, then once a second. */
static void
test_dies_again(void)
{
	const uint64_t s = 1000000000;
	struct vmdev d = { .index = 0 };
	uint64_t now = s, end;
	unsigned i, wait, n = 0;

	/* F1: killed each second, it is missed for no moment. */
	for (i = 0; i < 1000; i++, now += s)
		CHECK_EQ(vmdev_wait_ms(&d, now), 0);
	/* As often as it likes: once a second, in the long run. */
	now += 20 * s;
	for (end = now + 1000 * s; now < end; n++) {
		wait = vmdev_wait_ms(&d, now);
		CHECK(wait <= 1000);
		CHECK(n >= 10 || wait == 0);
		now += wait * 1000000ull + 150000000;
	}
	CHECK(n >= 1000 && n <= 1012);
	/* Forgiven. */
	now += 20 * s;
	CHECK_EQ(vmdev_wait_ms(&d, now), 0);
}

static bool
is_there(pid_t pid)
{
	return (kill(pid, 0) == 0 || errno != ESRCH);
}

static void
launched(struct msg_launched *m)
{
	struct msg msg = {
		.type = MSG_LAUNCHED, .body = m, .len = sizeof(*m), .fd = -1
	};
	struct err e;
	size_t i;

	for (i = 0; i < parent.launch.nhandlers; i++)
		if (parent.launch.handlers[i].type == MSG_LAUNCHED)
			CHECK_EQ(parent.launch.handlers[i].fn(
				     &parent.launch, NULL, &msg, &e),
			    0);
}

/* What launch made for a device that is gone: killed and reaped, and no other. */
static void
test_no_device(void)
{
	struct msg_launched m = { .id = 99, .index = 1 };
	pid_t pid, ours = getppid();

	par_open();
	share_init(&parent);
	if ((pid = fork()) == 0) {
		pause();
		_exit(0);
	}
	m.pid = (uint32_t)pid;
	launched(&m);
	alarm(20);
	while (is_there(pid))
		event_base_loop(parent.base, EVLOOP_ONCE);
	alarm(0);
	/* Not ours to end, whatever launch says. */
	m.pid = (uint32_t)ours;
	launched(&m);
	CHECK(is_there(ours));
	/* It has made none. */
	m.pid = 0;
	launched(&m);
	CHECK_EQ(event_base_get_num_events(parent.base, EVENT_BASE_COUNT_ADDED),
	    1); /* control's */
	par_close();
}

/* A disk with a process on its way, of a VM that runs. */
static struct vmdev *
with_coming(bool silent)
{
	struct vmdev *d;
	struct err e;

	par_put("a.img", "image", 0600, 0);
	CHECK_EQ(with_disk("web", "a.img", false, &e), 0);
	d = &TAILQ_FIRST(&parent.vms)->dev[0];
	par_end_process(d);
	CHECK_EQ(begin(d, silent, &e), 0);
	d->v->state = VM_RUNNING;
	CHECK_EQ(vmdev_image_watch(d, &e), 0);
	return (d);
}

/* launch makes no disk's process; so its end is none to that. */
static void
test_launch_dies(void)
{
	struct msg_launched m = { .index = 0 };
	struct vmdev *d;

	par_open();
	share_init(&parent);
	d = with_coming(false);
	m.id = d->v->id;
	m.gen = d->replaced;
	launched(&m);
	parent.launch.down(&parent, &parent.launch);
	CHECK(d->launching);
	CHECK(d->pidfd != -1);
	CHECK_EQ(d->state, DEV_DOWN);
	while (d->launching)
		event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK_EQ(d->state, DEV_UP);
	par_close();
}

/* F1: a vm that has no use for the process to come; whether it has that, or not. */
static void
test_let_go_early(void)
{
	struct msg_vm_event ev = { .what = WHAT_DEV_LOST, .dev = 0 };
	struct vmdev *d;

	par_open();
	d = with_coming(true);
	d->vm_sock = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ev.gen = d->replaced;
	vmdev_event(d->v, &ev);
	CHECK(!event_pending(d->ev_again, EV_TIMEOUT, NULL));
	fd_close(&d->vm_sock);
	d->v->unpausing = true;
	vmdev_event(d->v, &ev);
	while (d->launching)
		event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK_EQ(d->pidfd, -1);
	CHECK_EQ(d->state, DEV_LOST);
	CHECK(strstr(d->v->reason, "let its process go") != NULL);
	CHECK(!d->v->unpausing);
	par_close();
}

/* It has its image when its VM has none of it any more: it ends all the same. */
static void
test_image_late(void)
{
	struct vmdev *d;

	par_open();
	d = with_coming(false);
	d->tired = true;
	d->v->killed = true;
	while (d->launching)
		event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK(d->pidfd != -1);
	CHECK(!d->trial);
	CHECK(event_pending(d->ev_again, EV_TIMEOUT, NULL));
	while (event_pending(d->ev_again, EV_TIMEOUT, NULL))
		event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK(d->shot);
	par_close();
}

/* Of a dead process its tracer is told first: *tracer. */
static pid_t
traced(pid_t *tracer)
{
	pid_t pid;
	int sv[2];
	char c;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		pause();
		_exit(0);
	}
	if ((*tracer = fork()) == 0) {
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 &&
		    write(sv[1], "t", 1) == 1)
			pause();
		_exit(1);
	}
	close(sv[1]);
	CHECK_EQ(read(sv[0], &c, 1), 1);
	close(sv[0]);
	return (pid);
}

/* The look at one that is dead, but not yet ours to reap, goes with its device. */
static void
test_traced(void)
{
	struct vmdev old = { .index = 0 };
	pid_t tracer, pid = traced(&tracer);
	struct vment *v;
	struct err e;
	int pidfd, n;

	par_open();
	v = par_add("web");
	conf_disk_init(&v->conf.disks[v->conf.ndisks++]);
	n = event_base_get_num_events(parent.base, EVENT_BASE_COUNT_ADDED);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK_EQ(vmdev_adopt(v, &old, &pidfd, &e), 0);
	v->dev[0].ours = true;
	kill(pid, SIGKILL);
	event_base_loop(parent.base, EVLOOP_ONCE);
	CHECK(v->dev[0].pidfd != -1);
	CHECK_EQ(event_base_get_num_events(parent.base, EVENT_BASE_COUNT_ADDED),
	    n + 1);
	vmdev_clear(v);
	CHECK_EQ(
	    event_base_get_num_events(parent.base, EVENT_BASE_COUNT_ADDED), n);
	kill(tracer, SIGKILL);
	CHECK_EQ(waitpid(tracer, NULL, 0), tracer);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	par_close();
}

static const struct tap_case cases[] = {
	{ "T49 parent: two vms, one image", test_lock },
	{ "parent: an image that is another file now", test_other_image },
	{ "parent: an image whose file system is silent", test_silent_image },
	{ "parent: rows of disks", test_dev_rows },
	{ "F1 parent: a process that dies again and again", test_dies_again },
	{ "parent: a process of no device", test_no_device },
	{ "parent: launch dies while a disk comes", test_launch_dies },
	{ "F1 parent: a process to come is let go", test_let_go_early },
	{ "parent: an image for a vm that ends", test_image_late },
	{ "parent: a device goes that is looked at", test_traced },
};

TAP_MAIN(cases)
