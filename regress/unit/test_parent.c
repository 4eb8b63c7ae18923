/* SPDX-License-Identifier: ISC */
/*
 * The parent's table and requests (regress/lib/parplay.h): what is started, told,
 * lent and forgotten.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "regress/lib/parplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/str.h"

#define ALICE 12345

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

	par_open();
	v = par_add("web");
	CHECK_EQ(lend(&parent, &m, &id, &fd, &e), -1);
	CHECK_EQ(e.code, EPERM);
	v->conf.owner.uid = ALICE;
	REQUIRE(lend(&parent, &m, &id, &fd, &e) == 0);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 8192);
	CHECK(ftruncate(fd, 0) == -1 && ftruncate(fd, 16384) == -1);
	CHECK_EQ(pwrite(fd, "x", 1, 8191), 1);
	CHECK_EQ(pwrite(fd, "x", 1, 8192), -1);
	CHECK_EQ(lend_take(&parent, &bob, id, &got, &e), -1);
	CHECK(got == -1 && e.code == ENOENT);
	CHECK_EQ(lend_take(&parent, &m.cred, id + 1, &got, &e), -1);
	CHECK_EQ(lend_take(&parent, &m.cred, 0, &got, &e), 0);
	CHECK_EQ(got, -1);
	REQUIRE(lend_take(&parent, &m.cred, id, &got, &e) == 0);
	CHECK_EQ(pwrite(fd, "y", 1, 0), -1); /* what was started stays so */
	CHECK_EQ(errno, EPERM);
	close(got);
	close(fd);
	CHECK_EQ(lend_take(&parent, &m.cred, id, &got, &e), -1);
	for (i = 0; i < 4; i++) {
		REQUIRE(lend(&parent, &m, &other, &fd, &e) == 0);
		CHECK(other != id);
		close(fd);
	}
	CHECK_EQ(lend(&parent, &m, &id, &fd, &e), -1);
	CHECK_EQ(e.code, EAGAIN);
	for (m.cred.uid = 0; i < 64; i++) {
		REQUIRE(lend(&parent, &m, &other, &fd, &e) == 0);
		close(fd);
	}
	CHECK_EQ(lend(&parent, &m, &id, &fd, &e), -1);
	par_close();
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

	par_open();
	snprintf(parent.conf->socket_path, sizeof(parent.conf->socket_path),
	    "%s/s", par_dir);
	parent.conf->socket_owner.gid = CONF_NONE;
	REQUIRE(host_listen(&parent, &e) == 0);
	strlcpy(sun.sun_path, parent.conf->socket_path, sizeof(sun.sun_path));
	cl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE(connect(cl, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	CHECK_EQ(imsgbuf_init(&buf, cl), 0);
	imsgbuf_allow_fdpass(&buf);
	CHECK_EQ(imsg_compose(&buf, MSG_HELLO, 1, 0, fd, NULL, 0), 1);
	if (getsockopt(parent.listen_fd, SOL_SOCKET, pass, &no, &len) == 0) {
		CHECK_EQ(no, 0);
		CHECK_EQ(imsgbuf_flush(&buf), -1);
		CHECK_EQ(errno, EPERM);
	}
	imsgbuf_clear(&buf);
	close(cl);
	fd_close(&parent.listen_fd);
	unlink(parent.conf->socket_path);
	par_close();
}

/* Settings that came with a start are gone when that start fails. */
static void
test_failed_start(void)
{
	struct msg_start m = { .vm = { .name = "web" },
		.set = START_CMDLINE | START_CPUS,
		.ncpus = 7,
		.cmdline = "init=/evil" },
			 n;
	static const char *const odd[] = { "quiet\\", "a\nb", "\033[2J" };
	struct vment *v;
	struct err e;
	size_t i;

	par_open();
	v = par_add("web");
	CHECK_EQ(par_ask(MSG_START, 1, &m, sizeof(m), &e), -1); /* no vmm */
	CHECK_EQ(e.code, EAGAIN);
	CHECK_STR(v->conf.cmdline, "");
	CHECK_EQ(v->conf.cpus, 1);
	CHECK(v->later == NULL);
	/* A record could not be read back with these. */
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		n = m;
		strlcpy(n.cmdline, odd[i], sizeof(n.cmdline));
		CHECK_EQ(par_ask(MSG_START, 1, &n, sizeof(n), &e), -1);
		CHECK_EQ(e.code, EINVAL);
		CHECK_STR(v->conf.cmdline, "");
	}
	parent.stopping = true;
	CHECK_EQ(par_ask(MSG_START, 2, &m, sizeof(m), &e), -1);
	CHECK_EQ(e.code, ESHUTDOWN);
	CHECK_STR(v->conf.cmdline, "");
	CHECK(v->later == NULL);
	par_close();
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

	par_open();
	v = par_add("web");
	v->state = VM_RUNNING;
	for (i = 1; i <= 100; i++)
		CHECK_EQ(par_ask(MSG_WAIT, i, &m, sizeof(m), &e), 0);
	CHECK_EQ(waiters(v), 100);
	for (i = 2; i <= 100; i++)
		CHECK_EQ(par_ask(MSG_FORGET, i, NULL, 0, &e), 0);
	CHECK_EQ(par_ask(MSG_FORGET, 4711, NULL, 0, &e), 0);
	CHECK_EQ(waiters(v), 1);
	CHECK_EQ(TAILQ_FIRST(&v->waiters)->reqno, 1);
	vm_forget_waiters(&parent);
	par_close();
}

/* T75: ids wrap, and none is given twice. */
static void
test_ids(void)
{
	struct vment *v[6];

	par_open();
	v[0] = par_add("a");
	v[1] = par_add("b");
	CHECK_EQ(v[0]->id, 1);
	CHECK_EQ(v[1]->id, 2);
	parent.next_id = UINT32_MAX - 2;
	v[2] = par_add("c");
	v[3] = par_add("d");
	v[4] = par_add("e");
	v[5] = par_add("f");
	CHECK_EQ(v[2]->id, UINT32_MAX - 1);
	CHECK_EQ(v[3]->id, UINT32_MAX);
	CHECK_EQ(v[4]->id, 3);
	CHECK_EQ(v[5]->id, 4);
	par_close();
}

/* S5: what a VM process says does not fill the log, nor control's list. */
static void
test_event_flood(void)
{
	struct msg_vm_event ev = { .what = WHAT_RESET };
	struct wire_msg m;
	struct vment *v, *other;
	unsigned i, told = 0, rows = 0;

	par_open();
	v = par_add("evil");
	other = par_add("good");
	v->state = other->state = VM_RUNNING;
	for (i = 1; i <= 2000; i++) {
		ev.restarts = i;
		vm_event(v, &ev);
		par_turn();
		while (wire_poll(&par_control, &m)) {
			told += m.type == MSG_EVENT;
			rows += m.type == MSG_VM_ROW;
		}
	}
	vm_event(other, &ev);
	par_turn();
	REQUIRE(wire_expect(&par_control, MSG_EVENT, &m));
	CHECK(told >= 20 && told <= 200);
	CHECK_EQ(rows, 2000); /* how it is, is always told */
	CHECK_EQ(v->restarts, 2000);
	par_close();
}

/* A VM that has left vm.conf and is in it again before it ends stays. */
static void
test_leaves(void)
{
	char path[96];
	struct vment *v;
	struct err e;

	par_open();
	snprintf(path, sizeof(path), "%s/vm.conf", par_dir);
	par_put(
	    "vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/k\"\n}\n", 0600, 0);
	CHECK_EQ(parent_load(&parent, path, false, &e), 0);
	REQUIRE((v = TAILQ_FIRST(&parent.vms)) != NULL);
	v->state = VM_RUNNING;
	par_put("vm.conf", "\n", 0600, 0);
	CHECK_EQ(parent_load(&parent, path, false, &e), 0);
	CHECK(v->leaves);
	par_put(
	    "vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/k\"\n}\n", 0600, 0);
	CHECK_EQ(parent_load(&parent, path, false, &e), 0);
	CHECK(!v->leaves);
	vm_gone(v);
	CHECK(TAILQ_FIRST(&parent.vms) == v);
	CHECK_EQ(v->state, VM_STOPPED);
	/* "vmctl load" of new settings for one that does not run. */
	par_put("vm.conf", "vm \"web\" {\n\tdisable\n\tboot \"/other\"\n}\n",
	    0600, 0);
	CHECK_EQ(parent_load(&parent, path, true, &e), 0);
	CHECK_STR(v->conf.boot, "/other");
	CHECK(v->later == NULL);
	par_close();
}

/* A process that says it is stuck before it runs keeps nobody waiting. */
static void
test_stuck_early(void)
{
	struct msg_vm_event ev = { .what = WHAT_DEV_STUCK };
	struct wire_msg m;
	struct vment *v;

	par_open();
	v = par_add("evil");
	v->state = VM_STARTING;
	vm_wait(v, 7, WAIT_START);
	vm_event(v, &ev);
	CHECK_EQ(v->state, VM_STARTING);
	ev.what = WHAT_STEPS;
	vm_event(v, &ev);
	par_turn();
	REQUIRE(wire_expect(&par_control, MSG_STARTED, &m));
	par_close();
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
};

TAP_MAIN(cases)
