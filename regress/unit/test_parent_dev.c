/* SPDX-License-Identifier: ISC */
/* Devices as the parent has them: locks, rows, and processes that die. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

/* A VM of the table with one disk, opened. */
static int
with_disk(const char *vm, const char *file, bool readonly, struct err *e)
{
	struct vment *v = par_add(vm);
	struct conf_disk *d = &v->conf.disks[v->conf.ndisks++];

	conf_disk_init(d);
	d->readonly = readonly;
	snprintf(d->path, sizeof(d->path), "%s/%s", par_dir, file);
	return (vmdev_open(v, e));
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
	CHECK_EQ(e.code, EBUSY);
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
	close(fd);
	v = TAILQ_LAST(&parent.vms, vmhead);
	vmdev_clear(v);
	CHECK_EQ(vmdev_open(v, &e), 0);
	/* Free again when the VM that had it is gone. */
	vmdev_clear(TAILQ_FIRST(&parent.vms));
	CHECK_EQ(with_disk("eight", "a.img", false, &e), 0);
	/* Of an earlier vmd, while its process is replaced: the lock is gone. */
	v = TAILQ_LAST(&parent.vms, vmhead);
	fd_close(&v->dev[0].image_fd);
	CHECK_EQ(with_disk("nine", "a.img", false, &e), -1);
	CHECK(strstr(e.text, "in use by vm eight") != NULL);
	CHECK_EQ(with_disk("ten", "a.img", true, &e), -1);
	CHECK_EQ(vmdev_image(&v->dev[0], &e), 0);
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
	REQUIRE(wire_expect(&par_control, MSG_DEV_ROW, &m));
	row = (const void *)m.raw;
	CHECK_STR(row->name, "blk0");
	CHECK_STR(row->format, "raw");
	CHECK_EQ(row->flags, DEV_READONLY);
	CHECK_EQ(row->size_bytes, 5);
	CHECK_EQ(row->pid, 0);
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

static const struct tap_case cases[] = {
	{ "T49 parent: two vms, one image", test_lock },
	{ "parent: rows of disks", test_dev_rows },
	{ "F1 parent: a process that dies again and again", test_dies_again },
	{ "parent: a process of no device", test_no_device },
};

TAP_MAIN(cases)
