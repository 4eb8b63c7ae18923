/* SPDX-License-Identifier: ISC */
/*
 * The parent's table, requests, records and files, without its processes: what
 * a client asks is handed to its handlers, what it tells control is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "regress/lib/tap.h"
#include "regress/lib/wire.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define ALICE 12345

static struct parent p;
static struct wire control;
static char dir[64];

static void
setup(void)
{
	struct peer_conf conf = { .other = ROLE_CONTROL };
	struct err e;
	int sv[2];

	memset(&p, 0, sizeof(p));
	TAILQ_INIT(&p.vms);
	TAILQ_INIT(&p.loans);
	p.base = event_base_new();
	p.conf = conf_new();
	p.lock_fd = p.listen_fd = -1;
	p.control.p = p.vmm.p = &p;
	strlcpy(dir, "/tmp/vmd-parent.XXXXXX", sizeof(dir));
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		tap_fail(__FILE__, __LINE__, "mkdtemp");
	p.state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	p.control.peer = peer_open(p.base, &sv[0], &conf, &e);
	wire_init(&control, sv[1]);
}

static void
drop(struct vment *v)
{
	struct event *ev[] = { v->ev_pidfd, v->ev_kill, v->ev_gone };
	size_t i;

	for (i = 0; i < sizeof(ev) / sizeof(ev[0]); i++)
		if (ev[i] != NULL)
			event_free(ev[i]);
	fd_close(&v->pidfd);
	v->state = VM_STOPPED;
	vmtab_remove(v, "test");
}

static void
teardown(void)
{
	char cmd[128];

	lend_clear(&p);
	while (!TAILQ_EMPTY(&p.vms))
		drop(TAILQ_FIRST(&p.vms));
	peer_close(p.control.peer);
	wire_close(&control);
	fd_close(&p.state_fd);
	conf_free(p.conf);
	if (p.ev_stagger != NULL)
		event_free(p.ev_stagger);
	event_base_free(p.base);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static struct vment *
add(const char *name)
{
	struct conf_vm c;
	struct vment *v;
	struct err e;

	conf_vm_init(&c);
	strlcpy(c.name, name, sizeof(c.name));
	strlcpy(c.boot, "/boot/kernel", sizeof(c.boot));
	v = vmtab_add(&p, &c, &e);
	v->configured = true;
	return (v);
}

/* What a handler of control's messages says to this one. */
static int
ask(enum msg_type type, uint32_t reqno, const void *body, size_t len,
    struct err *e)
{
	struct msg m = {
		.type = type, .reqno = reqno, .body = body, .len = len, .fd = -1
	};
	size_t i;

	for (i = 0; i < parent_nfrom_control; i++)
		if (parent_from_control[i].type == type)
			return (parent_from_control[i].fn(
			    &p.control, p.control.peer, &m, e));
	return (err_set(e, ENOENT, "no handler"));
}

static void
turn(void)
{
	event_base_loop(p.base, EVLOOP_NONBLOCK);
}

/* Memory for a kernel: for whom, how much, and what it is afterwards. */
static void
test_lend(void)
{
	struct msg_lend m = { .cred.uid = ALICE, .bytes = 8192 };
	struct msg_cred bob = { .uid = ALICE + 1 };
	struct vment *v;
	uint32_t id, other;
	int i, fd, got;
	struct err e;

	setup();
	v = add("web");
	CHECK_EQ(lend(&p, &m, &id, &fd, &e), -1);
	CHECK_EQ(e.code, EPERM);
	v->conf.owner.uid = ALICE;
	REQUIRE(lend(&p, &m, &id, &fd, &e) == 0);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 8192);
	CHECK(ftruncate(fd, 0) == -1 && ftruncate(fd, 16384) == -1);
	CHECK_EQ(pwrite(fd, "x", 1, 8191), 1);
	CHECK_EQ(pwrite(fd, "x", 1, 8192), -1);
	CHECK_EQ(lend_take(&p, &bob, id, &got, &e), -1);
	CHECK(got == -1 && e.code == ENOENT);
	CHECK_EQ(lend_take(&p, &m.cred, id + 1, &got, &e), -1);
	CHECK_EQ(lend_take(&p, &m.cred, 0, &got, &e), 0);
	CHECK_EQ(got, -1);
	REQUIRE(lend_take(&p, &m.cred, id, &got, &e) == 0);
	CHECK_EQ(pwrite(fd, "y", 1, 0), -1); /* what was started stays so */
	CHECK_EQ(errno, EPERM);
	close(got);
	close(fd);
	CHECK_EQ(lend_take(&p, &m.cred, id, &got, &e), -1);
	for (i = 0; i < 4; i++) {
		REQUIRE(lend(&p, &m, &other, &fd, &e) == 0);
		CHECK(other != id);
		close(fd);
	}
	CHECK_EQ(lend(&p, &m, &id, &fd, &e), -1);
	CHECK_EQ(e.code, EAGAIN);
	for (m.cred.uid = 0; i < 64; i++) {
		REQUIRE(lend(&p, &m, &other, &fd, &e) == 0);
		close(fd);
	}
	CHECK_EQ(lend(&p, &m, &id, &fd, &e), -1);
	teardown();
}

/* Linux 6.16 refuses an fd where it is sent; before, control drops it. */
static void
test_no_rights(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int no = -1, cl, fd = dup(0), pass = 83;
	socklen_t len = sizeof(no);
	struct imsgbuf buf;
	struct err e;

	setup();
	snprintf(p.conf->socket_path, sizeof(p.conf->socket_path), "%s/s", dir);
	p.conf->socket_owner.gid = CONF_NONE;
	REQUIRE(host_listen(&p, &e) == 0);
	strlcpy(sun.sun_path, p.conf->socket_path, sizeof(sun.sun_path));
	cl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE(connect(cl, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	CHECK_EQ(imsgbuf_init(&buf, cl), 0);
	imsgbuf_allow_fdpass(&buf);
	CHECK_EQ(imsg_compose(&buf, MSG_HELLO, 1, 0, fd, NULL, 0), 1);
	if (getsockopt(p.listen_fd, SOL_SOCKET, pass, &no, &len) == 0) {
		CHECK_EQ(no, 0);
		CHECK_EQ(imsgbuf_flush(&buf), -1);
		CHECK_EQ(errno, EPERM);
	}
	imsgbuf_clear(&buf);
	close(cl);
	fd_close(&p.listen_fd);
	unlink(p.conf->socket_path);
	teardown();
}

/* Settings that came with a start are gone when that start fails. */
static void
test_failed_start(void)
{
	struct msg_start m = { .vm = { .name = "web" },
		.set = START_CMDLINE | START_CPUS,
		.ncpus = 7,
		.cmdline = "init=/evil" };
	struct vment *v;
	struct err e;

	setup();
	v = add("web");
	CHECK_EQ(ask(MSG_START, 1, &m, sizeof(m), &e), -1); /* no vmm */
	CHECK_EQ(e.code, EAGAIN);
	CHECK_STR(v->conf.cmdline, "");
	CHECK_EQ(v->conf.cpus, 1);
	CHECK(v->later == NULL);
	p.stopping = true;
	CHECK_EQ(ask(MSG_START, 2, &m, sizeof(m), &e), -1);
	CHECK_EQ(e.code, ESHUTDOWN);
	CHECK_STR(v->conf.cmdline, "");
	CHECK(v->later == NULL);
	teardown();
}

static unsigned
waiters(const struct vment *v)
{
	const struct waiter *w;
	unsigned n = 0;

	TAILQ_FOREACH(w, &v->waiters, entry)
		n++;
	return (n);
}

/* A client that asks, leaves and comes back does not fill the memory. */
static void
test_forget(void)
{
	struct msg_ref m = { .vm = { .name = "web" } };
	struct vment *v;
	struct err e;
	uint32_t i;

	setup();
	v = add("web");
	v->state = VM_RUNNING;
	for (i = 1; i <= 100; i++)
		CHECK_EQ(ask(MSG_WAIT, i, &m, sizeof(m), &e), 0);
	CHECK_EQ(waiters(v), 100);
	for (i = 2; i <= 100; i++)
		CHECK_EQ(ask(MSG_FORGET, i, NULL, 0, &e), 0);
	CHECK_EQ(ask(MSG_FORGET, 4711, NULL, 0, &e), 0);
	CHECK_EQ(waiters(v), 1);
	CHECK_EQ(TAILQ_FIRST(&v->waiters)->reqno, 1);
	vm_forget_waiters(&p);
	teardown();
}

/* T75: ids wrap, and none is given twice. */
static void
test_ids(void)
{
	struct vment *v[6];

	setup();
	v[0] = add("a");
	v[1] = add("b");
	CHECK_EQ(v[0]->id, 1);
	CHECK_EQ(v[1]->id, 2);
	p.next_id = UINT32_MAX - 2;
	v[2] = add("c");
	v[3] = add("d");
	v[4] = add("e");
	v[5] = add("f");
	CHECK_EQ(v[2]->id, UINT32_MAX - 1);
	CHECK_EQ(v[3]->id, UINT32_MAX);
	CHECK_EQ(v[4]->id, 3);
	CHECK_EQ(v[5]->id, 4);
	teardown();
}

/* S5: what a VM process says does not fill the log, nor control's list. */
static void
test_event_flood(void)
{
	struct msg_vm_event ev = { .what = WHAT_RESET };
	struct wire_msg m;
	struct vment *v, *other;
	unsigned i, told = 0, rows = 0;

	setup();
	v = add("evil");
	other = add("good");
	v->state = other->state = VM_RUNNING;
	for (i = 1; i <= 2000; i++) {
		ev.restarts = i;
		vm_event(v, &ev);
		turn();
		while (wire_poll(&control, &m)) {
			told += m.type == MSG_EVENT;
			rows += m.type == MSG_VM_ROW;
		}
	}
	vm_event(other, &ev);
	turn();
	REQUIRE(wire_expect(&control, MSG_EVENT, &m));
	CHECK(told >= 20 && told <= 200);
	CHECK_EQ(rows, 2000); /* how it is, is always told */
	CHECK_EQ(v->restarts, 2000);
	teardown();
}

static void
put(const char *name, const char *text, mode_t mode, uid_t uid)
{
	int fd = openat(
	    p.state_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_EQ(fchmod(fd, mode), 0);
	CHECK_EQ(fchown(fd, uid, uid), 0);
	close(fd);
}

/* A VM that has left vm.conf and is in it again before it ends stays. */
static void
test_leaves(void)
{
	char path[96];
	struct vment *v;
	struct err e;

	setup();
	snprintf(path, sizeof(path), "%s/vm.conf", dir);
	put("vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/k\"\n}\n", 0600, 0);
	CHECK_EQ(parent_load(&p, path, false, &e), 0);
	REQUIRE((v = TAILQ_FIRST(&p.vms)) != NULL);
	v->state = VM_RUNNING;
	put("vm.conf", "\n", 0600, 0);
	CHECK_EQ(parent_load(&p, path, false, &e), 0);
	CHECK(v->leaves);
	put("vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/k\"\n}\n", 0600, 0);
	CHECK_EQ(parent_load(&p, path, false, &e), 0);
	CHECK(!v->leaves);
	vm_gone(v);
	CHECK(TAILQ_FIRST(&p.vms) == v);
	CHECK_EQ(v->state, VM_STOPPED);
	/* "vmctl load" of new settings for one that does not run. */
	put("vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/other\"\n}\n", 0600,
	    0);
	CHECK_EQ(parent_load(&p, path, true, &e), 0);
	CHECK_STR(v->conf.boot, "/other");
	CHECK(v->later == NULL);
	teardown();
}

static int
try_open(const char *name, uid_t uid, gid_t gid, struct err *e)
{
	struct conf_owner owner = { .uid = uid, .gid = gid };
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
	CHECK_EQ(fchownat(p.state_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("secret", p.state_fd, "link"), 0);
	CHECK_EQ(symlinkat("open", p.state_fd, "fine"), 0);
	CHECK_EQ(symlinkat(".", p.state_fd, "d"), 0);
	CHECK_EQ(mkfifoat(p.state_fd, "fifo", 0666), 0);
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
	CHECK_EQ(linkat(p.state_fd, "secret", p.state_fd, "second", 0), 0);
	CHECK_EQ(try_open("second", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(try_open("none", ALICE, CONF_NONE, &e), -1);
	CHECK_EQ(e.code, ENOENT);
	teardown();
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
	snprintf(d.path, sizeof(d.path), "%s/%s", dir, name);
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
	setup();
	put("root", "root's", 0600, 0);
	put("shown", "to be read", 0644, 0);
	put("mine", "alice's", 0600, ALICE);
	put("group", "a group's", 0660, 0);
	CHECK_EQ(fchownat(p.state_fd, "group", 0, 777, 0), 0);
	CHECK_EQ(symlinkat("root", p.state_fd, "link"), 0);
	CHECK_EQ(linkat(p.state_fd, "shown", p.state_fd, "second", 0), 0);
	CHECK_EQ(mkfifoat(p.state_fd, "fifo", 0666), 0);
	CHECK_EQ(fchmodat(p.state_fd, "fifo", 0666, 0), 0);
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
	setup();
	put("secret", "root's", 0600, 0);
	put("mine", "alice's", 0600, ALICE);
	CHECK_EQ(fstatat(p.state_fd, "secret", &secret, 0), 0);
	CHECK_EQ(symlinkat("secret", p.state_fd, "trap"), 0);
	CHECK_EQ(symlinkat("mine", p.state_fd, "disk"), 0);
	conf_disk_init(&d);
	snprintf(d.path, sizeof(d.path), "%s/disk", dir);
	fflush(stdout);
	if ((pid = fork()) == 0)
		for (;;)
			renameat2(p.state_fd, "trap", p.state_fd, "disk",
			    RENAME_EXCHANGE);
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
	teardown();
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
	setup();
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
	snprintf(path, sizeof(path), "%s/disk", dir);
	CHECK_EQ(symlink(d.path, path), 0);
	strlcpy(d.path, path, sizeof(d.path));
	CHECK_EQ(open_disk(&d, &owner, NULL, &direct, &fd, &e), -1);
	fd_close(&fd);
	CHECK_EQ(open_image("kernel", path, &owner, &fd, &e), -1);
	fd_close(&fd);
	fd_close(&own);
	teardown();
}

/* A process that says it is stuck before it runs keeps nobody waiting. */
static void
test_stuck_early(void)
{
	struct msg_vm_event ev = { .what = WHAT_DEV_STUCK };
	struct wire_msg m;
	struct vment *v;

	setup();
	v = add("evil");
	v->state = VM_STARTING;
	vm_wait(v, 7, WAIT_START);
	vm_event(v, &ev);
	CHECK_EQ(v->state, VM_STARTING);
	ev.what = WHAT_STEPS;
	vm_event(v, &ev);
	turn();
	REQUIRE(wire_expect(&control, MSG_STARTED, &m));
	teardown();
}

/* A VM of the table with one disk, opened. */
static int
with_disk(const char *vm, const char *file, bool readonly, struct err *e)
{
	struct vment *v = add(vm);
	struct conf_disk *d = &v->conf.disks[v->conf.ndisks++];

	conf_disk_init(d);
	d->readonly = readonly;
	snprintf(d->path, sizeof(d->path), "%s/%s", dir, file);
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

	setup();
	put("a.img", "image", 0600, 0);
	put("b.img", "image", 0600, 0);
	put("c.img", "image", 0600, 0);
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
	snprintf(path, sizeof(path), "%s/c.img", dir);
	CHECK((fd = open(path, O_RDWR | O_CLOEXEC)) != -1);
	CHECK_EQ(fcntl(fd, F_OFD_SETLK, &fl), 0);
	CHECK_EQ(with_disk("seven", "c.img", false, &e), -1);
	CHECK(strstr(e.text, "another program") != NULL);
	close(fd);
	v = TAILQ_LAST(&p.vms, vmhead);
	vmdev_clear(v);
	CHECK_EQ(vmdev_open(v, &e), 0);
	/* Free again when the VM that had it is gone. */
	vmdev_clear(TAILQ_FIRST(&p.vms));
	CHECK_EQ(with_disk("eight", "a.img", false, &e), 0);
	/* Of an earlier vmd, while its process is replaced: the lock is gone. */
	v = TAILQ_LAST(&p.vms, vmhead);
	fd_close(&v->dev[0].image_fd);
	CHECK_EQ(with_disk("nine", "a.img", false, &e), -1);
	CHECK(strstr(e.text, "in use by vm eight") != NULL);
	CHECK_EQ(with_disk("ten", "a.img", true, &e), -1);
	CHECK_EQ(vmdev_image(&v->dev[0], &e), 0);
	teardown();
}

/* What clients are told of a VM's disks. */
static void
test_dev_rows(void)
{
	const struct msg_dev_row *row;
	struct wire_msg m;
	struct vment *v;
	struct err e;

	setup();
	put("a.img", "image", 0600, 0);
	CHECK_EQ(with_disk("web", "a.img", true, &e), 0);
	v = TAILQ_FIRST(&p.vms);
	vmdev_rows(v);
	turn();
	REQUIRE(wire_expect(&control, MSG_DEV_ROW, &m));
	row = (const void *)m.raw;
	CHECK_STR(row->name, "blk0");
	CHECK_STR(row->format, "raw");
	CHECK_EQ(row->flags, DEV_READONLY);
	CHECK_EQ(row->size_bytes, 5);
	CHECK_EQ(row->pid, 0);
	teardown();
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

	for (i = 0; i < p.launch.nhandlers; i++)
		if (p.launch.handlers[i].type == MSG_LAUNCHED)
			CHECK_EQ(
			    p.launch.handlers[i].fn(&p.launch, NULL, &msg, &e),
			    0);
}

/* What launch made for a device that is gone: killed and reaped, and no other. */
static void
test_no_device(void)
{
	struct msg_launched m = { .id = 99, .index = 1 };
	pid_t pid, parent = getppid();

	setup();
	share_init(&p);
	if ((pid = fork()) == 0) {
		pause();
		_exit(0);
	}
	m.pid = (uint32_t)pid;
	launched(&m);
	alarm(20);
	while (is_there(pid))
		event_base_loop(p.base, EVLOOP_ONCE);
	alarm(0);
	/* Not ours to end, whatever launch says. */
	m.pid = (uint32_t)parent;
	launched(&m);
	CHECK(is_there(parent));
	/* It has made none. */
	m.pid = 0;
	launched(&m);
	CHECK_EQ(event_base_get_num_events(p.base, EVENT_BASE_COUNT_ADDED),
	    1); /* control's */
	teardown();
}

/* A record of a process that is there; its text into buf. */
static size_t
record(struct vment *v, char *buf, size_t size)
{
	struct err e;
	ssize_t n;
	int fd;

	CHECK_EQ(record_write(v, &e), 0);
	fd = openat(p.state_fd, "1.rec", O_RDONLY | O_CLOEXEC);
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

	fd = openat(p.state_fd, "1.rec",
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, buf, len), (ssize_t)len);
	close(fd);
	p.leftovers = false;
	record_take_back(&p);
	if ((v = TAILQ_FIRST(&p.vms)) != NULL) {
		CHECK(TAILQ_NEXT(v, entry) == NULL);
		CHECK_EQ(v->pid, pid);
		CHECK_EQ(v->id, 1);
		what = v->damaged ? DAMAGED : WHOLE;
		CHECK_STR(v->conf.name, v->damaged ? "lost-1" : "web");
		CHECK_EQ(v->ndevs, v->damaged ? 0 : 1);
		CHECK_EQ(v->asked_disks, v->ndevs);
		CHECK_EQ(v->reason[0] != '\0', v->damaged);
		/* It is the next vmd's, too. */
		CHECK_EQ(faccessat(p.state_fd, "1.rec", F_OK, 0), 0);
		drop(v);
	}
	CHECK_EQ(p.leftovers, unlinkat(p.state_fd, "1.damaged", 0) == 0);
	if (p.leftovers) {
		CHECK_EQ(what, GONE);
		what = KEPT;
	}
	unlinkat(p.state_fd, "1.rec", 0);
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
	setup();
	log_setsink(quiet, NULL);
	peer_close(p.control.peer);
	p.control.peer = NULL;
	pid = other_process();
	/* No number that a flipped bit makes of the first one. */
	dev = other_process();
	kill(dev, SIGKILL);
	CHECK_EQ(waitpid(dev, NULL, 0), dev);
	dev = other_process();
	late = other_process();
	v = add("web");
	v->pid = pid;
	v->pid_start = pid_start_time(pid);
	v->uid = 60000;
	memset(v->token, 0x5a, sizeof(v->token));
	/* A disk with its process, and the wish of somebody. */
	put("a.img", "image", 0600, 0);
	v->conf.ndisks = 1;
	conf_disk_init(&v->conf.disks[0]);
	snprintf(v->conf.disks[0].path, sizeof(v->conf.disks[0].path),
	    "%s/a.img", dir);
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
	drop(v);
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
	teardown();
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
	setup();
	log_setsink(quiet, NULL);
	p.conf->uid_first = 60000;
	p.conf->uid_last = 60001;
	pid = other_process();
	put("1.rec", "vmd-record 9\nsomething else\n", 0600, 0);
	record_take_back(&p);
	CHECK(TAILQ_EMPTY(&p.vms));
	CHECK_EQ(p.next_id, 1); /* and its id is not another's */
	record_leftovers(&p);
	turn();
	REQUIRE(wire_expect(&control, MSG_EVENT, &m));
	ev = (const void *)m.raw;
	CHECK(strstr(ev->text, "record is damaged") != NULL);
	CHECK_EQ(vmtab_uid(&p, &uid, &e), 0);
	CHECK_EQ(uid, 60001);
	CHECK_EQ(faccessat(p.state_fd, "1.damaged", F_OK, 0), 0);
	/* The next vmd says so again, until it has ended. */
	p.leftovers = false;
	record_take_back(&p);
	CHECK(p.leftovers);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	record_leftovers(&p);
	CHECK_EQ(vmtab_uid(&p, &uid, &e), 0);
	CHECK_EQ(uid, 60000);
	CHECK_EQ(faccessat(p.state_fd, "1.damaged", F_OK, 0), -1);
	log_setsink(NULL, NULL);
	teardown();
}

static const struct tap_case cases[] = {
	{ "parent: memory is lent", test_lend },
	{ "F5 parent: no fd of a client", test_no_rights },
	{ "parent: settings of a start that failed", test_failed_start },
	{ "parent: requests of who has left", test_forget },
	{ "T75 parent: ids wrap", test_ids },
	{ "S5 parent: a vm process that tells events", test_event_flood },
	{ "S5 parent: a vm process that is stuck too early", test_stuck_early },
	{ "parent: a vm that left vm.conf and came back", test_leaves },
	{ "T66 parent: kernels with the owner's rights", test_open },
	{ "T66 parent: disks with their rights", test_open_disk },
	{ "T66 parent: a link that is changed meanwhile", test_swap },
	{ "T66 parent: what the parent itself holds", test_own_fds },
	{ "T49 parent: two vms, one image", test_lock },
	{ "parent: rows of disks", test_dev_rows },
	{ "F1 parent: a process that dies again and again", test_dies_again },
	{ "parent: a process of no device", test_no_device },
	{ "C8 parent: damaged records", test_records },
	{ "C8 parent: vms that cannot be taken back", test_leftovers },
};

TAP_MAIN(cases)
