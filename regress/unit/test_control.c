/* SPDX-License-Identifier: ISC */
/*
 * control, run whole in a process of its own without its sandbox, between a
 * parent, VM processes and clients that this test plays.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "regress/lib/tap.h"
#include "regress/lib/wire.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define RING (64u << 10)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define ALL_CREDIT (1u << 30)

static struct wire parent;
static pid_t control_pid;
static char socket_path[64];

static void __attribute__((noreturn)) control_child(int fd)
{
	static struct control ctl;
	struct event_base *base = event_base_new();
	struct err e;

	signal(SIGPIPE, SIG_IGN);
	log_init("control", 1, 0);
	if (control_open(&ctl, base, &fd, &e) == -1)
		_exit(1);
	event_base_dispatch(base);
	_exit(0);
}

static void
setup(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int sv[2], fd;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
	if ((control_pid = fork()) == 0) {
		close(sv[0]);
		control_child(sv[1]);
	}
	close(sv[1]);
	wire_init(&parent, sv[0]);
	snprintf(socket_path, sizeof(socket_path), "/tmp/vmd-test.%d.sock",
	    (int)getpid());
	unlink(socket_path);
	strlcpy(sun.sun_path, socket_path, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(socket_path, 0666) == -1 || listen(fd, 64) == -1)
		tap_fail(__FILE__, __LINE__, "listen");
	wire_send(&parent, MSG_CTL_LISTEN, 0, fd, NULL, 0);
}

/* control must have lived through the test, and end with its parent. */
static void
teardown(void)
{
	int status = -1;

	wire_close(&parent);
	waitpid(control_pid, &status, 0);
	CHECK_EQ(status, 0);
	unlink(socket_path);
}

static void
client_as(struct wire *w, uid_t uid)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	uid_t ruid, euid, suid;
	int fd;

	getresuid(&ruid, &euid, &suid);
	strlcpy(sun.sun_path, socket_path, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (uid != euid && seteuid(uid) == -1)
		tap_fail(__FILE__, __LINE__, "seteuid");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		tap_fail(__FILE__, __LINE__, "connect");
	if (uid != euid && seteuid(euid) == -1)
		tap_fail(__FILE__, __LINE__, "seteuid");
	wire_init(w, fd);
}

static void
client(struct wire *w)
{
	client_as(w, geteuid());
}

/* ---- a VM as the test plays it ---- */

struct vm {
	uint32_t id;
	struct wire link;
	struct ring_w ring;
	struct figures *figures;
	int ring_fd, bell_page_fd, figures_fd;
};

static void
row_send(uint32_t id, const char *name, uint32_t state, uint32_t owner)
{
	struct msg_row row = { .id = id,
		.state = state,
		.ncpus = 1,
		.owner_uid = owner,
		.owner_gid = UINT32_MAX,
		.mem_bytes = 64 << 20,
		.console_ring = RING };

	strlcpy(row.name, name, sizeof(row.name));
	wire_send(&parent, MSG_VM_ROW, 0, -1, &row, sizeof(row));
}

static void *
map(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		tap_fail(__FILE__, __LINE__, "mmap");
	return (p);
}

static void
vm_pages(struct vm *vm)
{
	vm->ring_fd = memfd_sealed("ring", RING_HEAD_BYTES + RING, SEALS);
	vm->bell_page_fd = memfd_sealed("bell", 4096, SEALS);
	vm->figures_fd = memfd_sealed("figures", FIGURES_BYTES, SEALS);
	vm->ring.head = map(vm->ring_fd, RING_HEAD_BYTES + RING);
	vm->ring.data = (uint8_t *)vm->ring.head + RING_HEAD_BYTES;
	vm->ring.size = RING;
	vm->ring.bell = map(vm->bell_page_fd, 4096);
	vm->ring.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->figures = map(vm->figures_fd, FIGURES_BYTES);
}

/* Only the link; the pages are sent by who wants them right or wrong. */
static void
vm_link(struct vm *vm, uint32_t id, const char *name)
{
	struct msg_vm_channel ch = { .id = id };
	int sv[2];

	memset(vm, 0, sizeof(*vm));
	vm->id = id;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
	wire_init(&vm->link, sv[0]);
	row_send(id, name, VM_RUNNING, 0);
	wire_send(&parent, MSG_CTL_VM, 0, sv[1], &ch, sizeof(ch));
}

static void
vm_attach(struct vm *vm)
{
	struct msg_attached_vm at = {
		.id = vm->id, .state = VM_RUNNING, .console_bytes = RING
	};
	struct msg_page page = { .id = vm->id,
		.bytes = RING_HEAD_BYTES + RING };
	struct wire *l = &vm->link;

	strlcpy(at.name, "x", sizeof(at.name));
	wire_send(l, MSG_PAGE_RING, 0, dup(vm->ring_fd), &page, sizeof(page));
	page.bytes = 4096;
	wire_send(
	    l, MSG_PAGE_BELL, 0, dup(vm->bell_page_fd), &page, sizeof(page));
	page.bytes = FIGURES_BYTES;
	wire_send(
	    l, MSG_PAGE_FIGURES, 0, dup(vm->figures_fd), &page, sizeof(page));
	page.bytes = 8;
	wire_send(
	    l, MSG_BELL_EVENT, 0, dup(vm->ring.bell_fd), &page, sizeof(page));
	wire_send(l, MSG_ATTACHED, 0, -1, &at, sizeof(at));
}

/* Until control says so to a subscriber, it may not have read our messages. */
static void
settle(struct wire *cl, uint32_t id)
{
	struct msg_subscribe sub = { .what = SUB_ROWS, .interval_ms = 1000 };
	struct msg_list list = { .vm = { .id = id } };
	struct wire_msg m;

	(void)sub;
	wire_send(cl, MSG_LIST, 77, -1, &list, sizeof(list));
	while (wire_recv(cl, &m))
		if (m.reqno == 77 && (m.type == MSG_OK || m.type == MSG_ERR))
			return;
	tap_fail(__FILE__, __LINE__, "no answer to LIST");
}

static void
vm_open(struct vm *vm, uint32_t id, const char *name)
{
	vm_link(vm, id, name);
	vm_pages(vm);
	vm_attach(vm);
}

static void
vm_close(struct vm *vm)
{
	wire_close(&vm->link);
	munmap(vm->ring.head, RING_HEAD_BYTES + RING);
	munmap(vm->ring.bell, 4096);
	munmap(vm->figures, FIGURES_BYTES);
	close(vm->ring.bell_fd);
	close(vm->ring_fd);
	close(vm->bell_page_fd);
	close(vm->figures_fd);
}

/* Byte n of every console in these tests. */
static uint8_t
pattern(uint64_t n)
{
	return ((n * 2654435761u) >> 13);
}

static void
vm_print(struct vm *vm, size_t len)
{
	static uint8_t buf[RING];
	uint64_t at = vm->ring.end;
	size_t i, n;

	for (; len > 0; len -= n, at += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		for (i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		ring_write(&vm->ring, buf, n);
	}
}

static int
attach(struct wire *cl, uint32_t id, uint32_t chan, uint32_t flags,
    uint32_t credit, uint64_t from, struct wire_msg *m)
{
	struct msg_attach at = { .vm = { .id = id },
		.chan = chan,
		.flags = flags,
		.credit = credit,
		.from = from };

	wire_send(cl, MSG_CONS_ATTACH, 5, -1, &at, sizeof(at));
	/* The VM's pages may still be on their way to control. */
	while (wire_recv(cl, m)) {
		if (m->type == MSG_CONS_ATTACHED)
			return (1);
		if (m->type == MSG_ERR && m->err.code == ENOTCONN) {
			settle(cl, id);
			wire_send(cl, MSG_CONS_ATTACH, 5, -1, &at, sizeof(at));
		} else if (m->type == MSG_ERR)
			return (0);
	}
	return (0);
}

/* Read console messages of chan until offset end; bad bytes fail. */
static uint64_t
drain(
    struct wire *cl, uint32_t chan, uint64_t off, uint64_t end, uint64_t *lost)
{
	struct wire_msg m;
	uint32_t i;

	while (off < end && wire_recv(cl, &m)) {
		if (m.type == MSG_CONS_GAP && m.gap.chan == chan) {
			CHECK_EQ(m.gap.off, off);
			*lost += m.gap.lost;
			off += m.gap.lost;
		}
		if (m.type != MSG_CONS_DATA || m.chunk.chan != chan)
			continue;
		CHECK_EQ(m.chunk.off, off);
		for (i = 0; i < m.chunk.len; i++)
			if (m.raw[sizeof(m.chunk) + i] != pattern(off + i)) {
				tap_fail(__FILE__, __LINE__,
				    "wrong byte at "
				    "%llu",
				    (unsigned long long)off + i);
				return (off);
			}
		off += m.chunk.len;
	}
	return (off);
}

/* ---- cases ---- */

static void
test_replay(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	vm_print(&vm, 3 * RING + 123);
	client(&cl);
	REQUIRE(attach(&cl, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.start, 2 * RING + 123);
	CHECK_EQ(m.attached.end, 3 * RING + 123);
	CHECK_EQ(m.attached.writer, 1);
	CHECK_EQ(drain(&cl, 0, m.attached.start, 3 * RING + 123, &lost),
	    3 * RING + 123);
	CHECK_EQ(lost, 0);
	vm_print(&vm, 1); /* and live, one byte at a time */
	CHECK_EQ(drain(&cl, 0, 3 * RING + 123, 3 * RING + 124, &lost),
	    3 * RING + 124);
	vm_print(&vm, 1000);
	CHECK_EQ(drain(&cl, 0, 3 * RING + 124, 3 * RING + 1124, &lost),
	    3 * RING + 1124);
	CHECK_EQ(lost, 0);
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* A reconnecting client goes on where it was, without a byte twice. */
static void
test_from(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	vm_print(&vm, 5000);
	client(&cl);
	REQUIRE(attach(&cl, 1, 3, CONS_FROM, ALL_CREDIT, 4000, &m));
	CHECK_EQ(m.attached.start, 4000);
	CHECK_EQ(drain(&cl, 3, 4000, 5000, &lost), 5000);
	REQUIRE(attach(&cl, 1, 4, CONS_NOREPLAY, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.start, 5000);
	/* Behind the end: of an earlier run; starts over. */
	REQUIRE(attach(&cl, 1, 5, CONS_FROM, ALL_CREDIT, 1 << 20, &m));
	CHECK_EQ(m.attached.start, 0);
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* F7, F8: a stalled watcher costs a fast one nothing, and is told its gap. */
static void
test_stalled(void)
{
	struct wire fast, slow;
	struct wire_msg m;
	struct msg_credit credit = { .chan = 0, .bytes = ALL_CREDIT };
	uint64_t lost = 0, off = 0, end = 0;
	struct vm vm;
	int i;

	setup();
	vm_open(&vm, 1, "one");
	client(&fast);
	client(&slow);
	REQUIRE(attach(&slow, 1, 0, 0, 100, 0, &m));
	REQUIRE(attach(&fast, 1, 0, 0, ALL_CREDIT, 0, &m));
	for (i = 0; i < 64; i++) {
		vm_print(&vm, RING / 2);
		end += RING / 2;
		off = drain(&fast, 0, off, end, &lost);
	}
	CHECK_EQ(off, end);
	CHECK_EQ(lost, 0);
	off = drain(&slow, 0, 0, 100, &lost);
	CHECK_EQ(off, 100);
	CHECK_EQ(lost, 0);
	wire_send(&slow, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
	CHECK_EQ(drain(&slow, 0, 100, end, &lost), end);
	CHECK_EQ(lost, end - RING - 100);
	wire_close(&fast);
	wire_close(&slow);
	vm_close(&vm);
	teardown();
}

/* Credit given in small pieces loses nothing either. */
static void
test_credit(void)
{
	struct msg_credit credit = { .chan = 0, .bytes = 7 };
	struct wire cl;
	struct wire_msg m;
	uint64_t off = 0, lost = 0;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	client(&cl);
	vm_print(&vm, 700);
	REQUIRE(attach(&cl, 1, 0, 0, 0, 0, &m));
	while (off < 700) {
		wire_send(&cl, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
		off = drain(&cl, 0, off, off + 7, &lost);
	}
	CHECK_EQ(off, 700);
	settle(&cl, 1); /* nothing more without credit */
	CHECK_EQ(wire_poll(&cl, &m), 0);
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* One writer, many watchers; the keyboard can be taken. */
static void
test_writer(void)
{
	struct msg_chan chan = { .chan = 0 };
	struct wire a, b;
	struct wire_msg m;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	client(&a);
	client(&b);
	REQUIRE(attach(&a, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.writer, 1);
	CHECK_EQ(m.attached.input_credit, CONS_INPUT_BYTES);
	REQUIRE(attach(&b, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.writer, 0);
	wire_send_chunk(&b, MSG_CONS_INPUT, 0, "no", 2);
	wire_send(&b, MSG_CONS_BREAK, 9, -1, &chan, sizeof(chan));
	REQUIRE(wire_expect(&b, MSG_ERR, &m)); /* of the break */
	wire_send_chunk(&a, MSG_CONS_INPUT, 0, "yes", 3);
	REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
	CHECK_EQ(m.chunk.len, 3);
	CHECK(memcmp(m.raw + sizeof(m.chunk), "yes", 3) == 0);
	wire_send(&b, MSG_CONS_TAKE, 10, -1, &chan, sizeof(chan));
	REQUIRE(wire_expect(&b, MSG_CONS_INPUT_CREDIT, &m));
	CHECK_EQ(m.credit.bytes, CONS_INPUT_BYTES - 3);
	wire_send_chunk(&b, MSG_CONS_INPUT, 0, "mine", 4);
	REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
	CHECK_EQ(m.chunk.len, 4);
	wire_send(&b, MSG_CONS_BREAK, 11, -1, &chan, sizeof(chan));
	REQUIRE(wire_expect(&vm.link, MSG_CONS_BREAK, &m));
	wire_close(&a);
	wire_close(&b);
	vm_close(&vm);
	teardown();
}

/* Input beyond the credit is refused, not queued; credit comes back. */
static void
test_input_credit(void)
{
	static char big[CONS_INPUT_BYTES];
	struct msg_credit credit = { .bytes = 600 };
	struct wire cl;
	struct wire_msg m;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	client(&cl);
	REQUIRE(attach(&cl, 1, 2, CONS_WRITE, ALL_CREDIT, 0, &m));
	wire_send_chunk(&cl, MSG_CONS_INPUT, 2, big, sizeof(big));
	REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
	CHECK_EQ(m.chunk.len, CONS_INPUT_BYTES);
	wire_send(
	    &vm.link, MSG_CONS_INPUT_CREDIT, 0, -1, &credit, sizeof(credit));
	REQUIRE(wire_expect(&cl, MSG_CONS_INPUT_CREDIT, &m));
	CHECK_EQ(m.credit.bytes, 600);
	CHECK_EQ(m.credit.chan, 2);
	/* A VM process that gives more than there is gives no more. */
	credit.bytes = 60000;
	wire_send(
	    &vm.link, MSG_CONS_INPUT_CREDIT, 0, -1, &credit, sizeof(credit));
	REQUIRE(wire_expect(&cl, MSG_CONS_INPUT_CREDIT, &m));
	CHECK_EQ(m.credit.bytes, CONS_INPUT_BYTES - 600);
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* What a VM printed last is delivered before its console closes. */
static void
test_end(void)
{
	struct msg_gone gone = { .id = 1, .name = "one" };
	struct msg_credit credit = { .chan = 0, .bytes = ALL_CREDIT };
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct vm vm;

	setup();
	vm_open(&vm, 1, "one");
	client(&cl);
	REQUIRE(attach(&cl, 1, 0, CONS_WRITE, 10, 0, &m));
	vm_print(&vm, 3000);
	vm_close(&vm);
	wire_send(&parent, MSG_VM_GONE, 0, -1, &gone, sizeof(gone));
	CHECK_EQ(drain(&cl, 0, 0, 10, &lost), 10);
	wire_send(&cl, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
	CHECK_EQ(drain(&cl, 0, 10, 3000, &lost), 3000);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	CHECK_EQ(m.closed.chan, 0);
	CHECK_EQ(lost, 0);
	wire_close(&cl);
	teardown();
}

/* A VM that stopped keeps its history until it runs again. */
static void
test_history_of_stopped(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct vm vm, again;

	setup();
	vm_open(&vm, 1, "one");
	vm_print(&vm, 500);
	client(&cl);
	REQUIRE(attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(drain(&cl, 0, 0, 500, &lost), 500);
	vm_close(&vm);
	row_send(1, "one", VM_STOPPED, 0);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	REQUIRE(attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(drain(&cl, 0, 0, 500, &lost), 500);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	vm_open(&again, 1, "one");
	vm_print(&again, 20);
	do {
		REQUIRE(attach(&cl, 1, 1, 0, ALL_CREDIT, 0, &m));
		if (m.attached.end == 20)
			break;
		REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	} while (1);
	CHECK_EQ(drain(&cl, 1, 0, 20, &lost), 20);
	wire_close(&cl);
	vm_close(&again);
	teardown();
}

/* T68: a console is its owner's and root's. */
static void
test_owner(void)
{
	struct wire cl;
	struct wire_msg m;
	struct vm vm;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	setup();
	vm_open(&vm, 1, "one");
	client(&cl);
	REQUIRE(attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	wire_close(&cl);
	client_as(&cl, 12345);
	CHECK_EQ(attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m), 0);
	CHECK_EQ(m.err.code, EPERM);
	row_send(1, "one", VM_RUNNING, 12345);
	settle(&cl, 1);
	CHECK_EQ(attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m), 1);
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* A client's claim about itself is overwritten on the way to the parent. */
static void
test_cred(void)
{
	struct msg_start start = { .vm = { .id = 4 } };
	struct msg_err no = { .code = EPERM, .text = "no" };
	struct wire cl;
	struct wire_msg m;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	setup();
	client_as(&cl, 54321);
	start.cred.uid = 0;
	wire_send(&cl, MSG_START, 42, -1, &start, sizeof(start));
	REQUIRE(wire_expect(&parent, MSG_START, &m));
	CHECK_EQ(m.start.cred.uid, 54321);
	wire_send(&parent, MSG_ERR, m.reqno, -1, &no, sizeof(no));
	REQUIRE(wire_expect(&cl, MSG_ERR, &m));
	CHECK_EQ(m.reqno, 42);
	CHECK_STR(m.err.text, "no");
	wire_close(&cl);
	teardown();
}

/* T63: a client that breaks a rule is closed, others do not notice. */
static void
test_hostile_client(void)
{
	struct wire good, bad;
	struct wire_msg m;
	uint32_t type;
	char junk[64];

	setup();
	memset(junk, 0xa5, sizeof(junk));
	client(&good);
	for (type = 0; type < MSG_NTYPES + 3; type++) {
		client(&bad);
		wire_send(&bad, type, 1, -1, junk, 1 + type % sizeof(junk));
		while (wire_recv(&bad, &m))
			CHECK(m.type == MSG_ERR);
		wire_close(&bad);
	}
	settle(&good, 0);
	wire_close(&good);
	teardown();
}

/* ---- hostile VM processes ---- */

static void
test_unsealed(void)
{
	struct msg_page page = { .id = 1, .bytes = RING_HEAD_BYTES + RING };
	struct wire cl;
	struct wire_msg m;
	struct vm vm, other;
	int fd;

	setup();
	vm_open(&other, 2, "two");
	vm_print(&other, 10);
	vm_link(&vm, 1, "one");
	fd = memfd_create("ring", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(fd, RING_HEAD_BYTES + RING), 0);
	wire_send(&vm.link, MSG_PAGE_RING, 0, fd, &page, sizeof(page));
	CHECK_EQ(wire_recv(&vm.link, &m), 0); /* its link is closed */
	client(&cl);
	settle(&cl, 0);
	REQUIRE(attach(&cl, 2, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.end, 10);
	wire_close(&vm.link);
	wire_close(&cl);
	vm_close(&other);
	teardown();
}

/* Sizes that are no power of two, too small, too big, or not the file's. */
static void
test_ring_sizes(void)
{
	static const uint32_t sizes[] = { 0, 1, RING_HEAD_BYTES,
		RING_HEAD_BYTES + RING - 1, RING_HEAD_BYTES + RING + 1,
		RING_HEAD_BYTES + 2 * RING,
		RING_HEAD_BYTES + RING_MAX_BYTES * 2u, UINT32_MAX };
	struct msg_page page = { .id = 1 };
	struct wire_msg m;
	struct vm vm;
	size_t i;

	setup();
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vm_link(&vm, 1, "one");
		page.bytes = sizes[i];
		wire_send(&vm.link, MSG_PAGE_RING, 0,
		    memfd_sealed("ring", RING_HEAD_BYTES + RING, SEALS), &page,
		    sizeof(page));
		CHECK_EQ(wire_recv(&vm.link, &m), 0);
		wire_close(&vm.link);
	}
	teardown();
}

/* The head of the ring lies: runs backwards, jumps, claims the future. */
static void
test_lying_ring(void)
{
	static const uint64_t lies[] = { 5, UINT64_MAX, 0, 1ull << 63, 3,
		UINT64_MAX - RING, 100 };
	struct wire cl;
	struct wire_msg m;
	struct vm vm;
	uint64_t one = 1;
	size_t i;

	setup();
	vm_open(&vm, 1, "one");
	client(&cl);
	REQUIRE(attach(&cl, 1, 0, CONS_WRITE, 1 << 20, 0, &m));
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		atomic_store(&vm.ring.head->end, lies[i]);
		atomic_store(&vm.ring.head->oldest, lies[(i + 1) % 7]);
		CHECK_EQ(write(vm.ring.bell_fd, &one, 8), 8);
		settle(&cl, 1);
	}
	wire_close(&cl);
	vm_close(&vm);
	teardown();
}

/* The "bell" is always ready, or no eventfd at all. */
static void
test_bell_junk(void)
{
	struct msg_page page = { .id = 1, .bytes = 8 };
	struct wire cl;
	struct vm vm;
	int pipefd[2], round;

	setup();
	for (round = 0; round < 3; round++) {
		vm_link(&vm, 1, "one");
		vm_pages(&vm);
		close(vm.ring.bell_fd);
		if (round == 0)
			vm.ring.bell_fd = open("/dev/zero", O_RDONLY);
		else if (round == 1)
			vm.ring.bell_fd = open("/dev/null", O_RDONLY);
		else {
			CHECK_EQ(pipe(pipefd), 0);
			close(pipefd[1]); /* for ever at its end */
			vm.ring.bell_fd = pipefd[0];
		}
		vm_attach(&vm);
		client(&cl);
		settle(&cl, 0);
		wire_close(&cl);
		vm_close(&vm);
	}
	(void)page;
	teardown();
}

/* Figures come while somebody asks, and a silent VM does not hold them up. */
static void
test_figures(void)
{
	struct msg_subscribe sub = { .what = SUB_FIGURES, .interval_ms = 200 };
	struct msg_sample sampled;
	struct wire cl;
	struct wire_msg m;
	struct vm vm, mute;
	int seen = 0;

	setup();
	vm_open(&vm, 1, "one");
	vm_open(&mute, 2, "two");
	client(&cl);
	settle(&cl, 0);
	wire_send(&cl, MSG_SUBSCRIBE, 1, -1, &sub, sizeof(sub));
	REQUIRE(wire_expect(&vm.link, MSG_SAMPLE, &m));
	atomic_store(&vm.figures->resident_bytes, 12345678);
	atomic_store(&vm.figures->vcpu[0].run_ns, 999);
	atomic_store(&vm.figures->vcpu[0].exits[EXIT_HLT], 17);
	memcpy(&sampled, m.raw, sizeof(sampled));
	wire_send(&vm.link, MSG_SAMPLED, 0, -1, &sampled, sizeof(sampled));
	while (seen < 2 && wire_expect(&cl, MSG_VM_FIGURES, &m))
		if (m.figures.id == 1) {
			seen = m.figures.run_ns == 999 ? 2 : seen;
			if (seen == 2) {
				CHECK_EQ(m.figures.resident_bytes, 12345678);
				CHECK_EQ(m.figures.exits[EXIT_HLT], 17);
			}
		}
	CHECK_EQ(seen, 2);
	wire_close(&cl);
	vm_close(&vm);
	vm_close(&mute);
	teardown();
}

/* More rows than a queue holds at once still all come, in order. */
static void
test_long_list(void)
{
	struct msg_list list = { .flags = 0 };
	struct wire cl;
	struct wire_msg m;
	uint32_t id, n = 0;
	char name[32];

	setup();
	for (id = 1; id <= 3000; id++) {
		snprintf(name, sizeof(name), "vm%u", id);
		row_send(id, name, id % 2 ? VM_STOPPED : VM_RUNNING, 0);
	}
	client(&cl);
	/* Rows and list travel on different sockets. */
	do {
		n = 0;
		wire_send(&cl, MSG_LIST, 3, -1, &list, sizeof(list));
		while (wire_recv(&cl, &m) && m.type == MSG_VM_ROW)
			CHECK_EQ(m.row.id, ++n);
		CHECK_EQ(m.type, MSG_OK);
	} while (n < 3000 && m.type == MSG_OK);
	CHECK_EQ(n, 3000);
	list.flags = LIST_RUNNING;
	wire_send(&cl, MSG_LIST, 4, -1, &list, sizeof(list));
	for (n = 0; wire_recv(&cl, &m) && m.type == MSG_VM_ROW; n++)
		CHECK_EQ(m.row.state, VM_RUNNING);
	CHECK_EQ(n, 1500);
	wire_close(&cl);
	teardown();
}

static const struct tap_case cases[] = {
	{ "control: history replayed exactly, then live", test_replay },
	{ "control: attach from an offset", test_from },
	{ "F7 F8 control: stalled watcher beside a fast one", test_stalled },
	{ "control: credit in small pieces", test_credit },
	{ "control: one writer, many watchers", test_writer },
	{ "control: input credit", test_input_credit },
	{ "control: last words before the close", test_end },
	{ "control: history of a stopped vm", test_history_of_stopped },
	{ "T68 control: console is its owner's", test_owner },
	{ "T68 control: credentials cannot be claimed", test_cred },
	{ "T63 control: hostile clients", test_hostile_client },
	{ "control: unsealed page of a hostile vm", test_unsealed },
	{ "control: ring sizes of a hostile vm", test_ring_sizes },
	{ "control: ring that lies", test_lying_ring },
	{ "control: bell that is none", test_bell_junk },
	{ "control: figures, and a mute vm", test_figures },
	{ "control: long lists", test_long_list },
};

TAP_MAIN(cases)
