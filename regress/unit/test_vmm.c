/* SPDX-License-Identifier: ISC */
/* vmm, run whole in a process of its own, between a parent and VM processes. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "regress/lib/tap.h"
#include "regress/lib/wire.h"
#include "shared/clock.h"
#include "shared/str.h"

#define FLOOD 600 /* more than vmm takes in two seconds */

static struct wire parent;
static pid_t vmm_pid;

static void
setup(void)
{
	struct proc_start start = { .title = "vmm", .listen_fd = -1 };
	int sv[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	if ((vmm_pid = fork()) == 0) {
		close(sv[0]);
		signal(SIGPIPE, SIG_IGN);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		start.link_fd = sv[1];
		_exit(vmm_run(&start));
	}
	close(sv[1]);
	wire_init(&parent, sv[0]);
}

static void
teardown(void)
{
	int status = -1;

	wire_close(&parent);
	waitpid(vmm_pid, &status, 0);
	CHECK_EQ(status, 0);
}

static void
vm_new(struct wire *vm, uint32_t id)
{
	struct msg_vm_spec spec = { .id = id,
		.uid = 60000,
		.ncpus = 1,
		.console_bytes = 65536,
		.mem_bytes = 64 << 20,
		.name = "one" };
	int sv[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	wire_init(vm, sv[0]);
	wire_send(&parent, MSG_VM_NEW, 0, sv[1], &spec, sizeof(spec));
}

static void
say(struct wire *vm, uint32_t id, enum vm_what what, uint32_t restarts)
{
	struct msg_vm_event ev = { .id = id,
		.what = what,
		.state = VM_RUNNING,
		.restarts = restarts };

	wire_send(vm, MSG_VM_EVENT, 0, -1, &ev, sizeof(ev));
}

static int
heard(struct msg_vm_event *ev)
{
	struct wire_msg m;

	if (!wire_expect(&parent, MSG_VM_EVENT, &m))
		return (0);
	memcpy(ev, m.raw, sizeof(*ev));
	return (1);
}

/* Whatever id it says, and that it is gone is not its to say. */
static void
test_lies(void)
{
	struct msg_reaped reaped = { .id = 7, .code = CLD_EXITED };
	struct msg_vm_event ev;
	struct wire vm;

	setup();
	vm_new(&vm, 7);
	say(&vm, 3, WHAT_GONE, 0);
	say(&vm, 3, WHAT_STATE, 1);
	REQUIRE(heard(&ev));
	CHECK_EQ(ev.id, 7);
	CHECK_EQ(ev.what, WHAT_STATE);
	say(&vm, 3, WHAT_POWEROFF, 2);
	wire_send(&parent, MSG_VM_REAPED, 0, -1, &reaped, sizeof(reaped));
	wire_close(&vm);
	REQUIRE(heard(&ev));
	CHECK_EQ(ev.what, WHAT_POWEROFF);
	REQUIRE(heard(&ev));
	CHECK_EQ(ev.id, 7);
	CHECK_EQ(ev.what, WHAT_GONE);
	teardown();
}

/* S5: one that talks without end is heard in full, but not at its own speed. */
static void
test_flood(void)
{
	struct msg_vm_event ev;
	struct wire vm;
	uint64_t start;
	uint32_t i;
	pid_t pid;

	setup();
	vm_new(&vm, 7);
	start = clock_now_ms();
	if ((pid = fork()) == 0) {
		for (i = 0; i < FLOOD; i++)
			say(&vm, 7, WHAT_STATE, i);
		_exit(0);
	}
	for (i = 0; i < FLOOD; i++) {
		REQUIRE(heard(&ev));
		REQUIRE(ev.restarts == i);
	}
	CHECK_MSG(clock_now_ms() - start >= 1000, "all at once");
	waitpid(pid, NULL, 0);
	wire_close(&vm);
	teardown();
}

/*
 * A VM process that got its own end of the link into other hands has died, and
 * its VM starts again: the parent's word counts.
 */
static void
test_id_again(void)
{
	struct msg_vm_op op = { .id = 7, .op = OP_PAUSE };
	struct msg_vm_event ev;
	struct wire_msg m;
	struct wire old, new;

	setup();
	vm_new(&old, 7);
	REQUIRE(wire_expect(&old, MSG_VM_NEW, &m));
	vm_new(&new, 7);
	REQUIRE(wire_expect(&new, MSG_VM_NEW, &m));
	CHECK_EQ(wire_recv(&old, &m), 0);
	wire_send(&parent, MSG_VM_OP, 0, -1, &op, sizeof(op));
	REQUIRE(wire_expect(&new, MSG_VM_OP, &m));
	say(&new, 7, WHAT_STATE, 5);
	REQUIRE(heard(&ev));
	CHECK_EQ(ev.restarts, 5);
	wire_close(&old);
	wire_close(&new);
	teardown();
}

static const struct tap_case cases[] = {
	{ "vmm: a vm process that lies about who it is", test_lies },
	{ "S5 vmm: a vm process that talks without end", test_flood },
	{ "vmm: an id again while its old link is open", test_id_again },
};

TAP_MAIN(cases)
