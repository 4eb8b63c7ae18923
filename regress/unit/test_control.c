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
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "regress/lib/tap.h"
#include "regress/lib/ctlplay.h"
#include "regress/lib/silentfuse.h"
#include "regress/lib/wire.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define RING PLAY_RING
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define ALL_CREDIT (1u << 30)
#define WATCHERS 8

/* ---- cases ---- */

static void
test_replay(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_vm_print(&vm, 3 * RING + 123);
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.start, 2 * RING + 123);
	CHECK_EQ(m.attached.end, 3 * RING + 123);
	CHECK_EQ(m.attached.writer, 1);
	CHECK_EQ(play_drain(&cl, 0, m.attached.start, 3 * RING + 123, &lost),
	    3 * RING + 123);
	CHECK_EQ(lost, 0);
	play_vm_print(&vm, 1); /* and live, one byte at a time */
	CHECK_EQ(play_drain(&cl, 0, 3 * RING + 123, 3 * RING + 124, &lost),
	    3 * RING + 124);
	play_vm_print(&vm, 1000);
	CHECK_EQ(play_drain(&cl, 0, 3 * RING + 124, 3 * RING + 1124, &lost),
	    3 * RING + 1124);
	CHECK_EQ(lost, 0);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* A reconnecting client goes on where it was, without a byte twice. */
static void
test_from(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_vm_print(&vm, 5000);
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 3, CONS_FROM, ALL_CREDIT, 4000, &m));
	CHECK_EQ(m.attached.start, 4000);
	CHECK_EQ(play_drain(&cl, 3, 4000, 5000, &lost), 5000);
	REQUIRE(play_attach(&cl, 1, 4, CONS_NOREPLAY, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.start, 5000);
	/* Behind the end: of an earlier run; starts over. */
	REQUIRE(play_attach(&cl, 1, 5, CONS_FROM, ALL_CREDIT, 1 << 20, &m));
	CHECK_EQ(m.attached.start, 0);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* Held until the VM's link has come; given up, or with the VM, answered. */
static void
test_held(void)
{
	struct msg_attach at = { .vm = { .id = 1 }, .credit = ALL_CREDIT };
	struct msg_chan chan = { .chan = 0 };
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm;

	play_setup();
	play_row(1, "one", VM_RUNNING, 0);
	play_client(&cl);
	wire_send(&cl, MSG_CONS_ATTACH, 7, -1, &at, sizeof(at));
	wire_send(&cl, MSG_CONS_DETACH, 8, -1, &chan, sizeof(chan));
	REQUIRE(wire_expect(&cl, MSG_ERR, &m));
	CHECK_EQ(m.reqno, 7);
	CHECK_EQ(m.err.code, ECANCELED);
	REQUIRE(wire_expect(&cl, MSG_OK, &m));
	CHECK_EQ(m.reqno, 8);

	wire_send(&cl, MSG_CONS_ATTACH, 9, -1, &at, sizeof(at));
	play_vm_open(&vm, 1, "one");
	REQUIRE(wire_expect(&cl, MSG_CONS_ATTACHED, &m));
	CHECK_EQ(m.reqno, 9);
	CHECK_EQ(m.attached.id, 1);

	play_row(2, "two", VM_STARTING, 0);
	at.vm.id = 2;
	at.chan = 1;
	wire_send(&cl, MSG_CONS_ATTACH, 10, -1, &at, sizeof(at));
	play_row(2, "two", VM_STOPPED, 0);
	REQUIRE(wire_expect(&cl, MSG_ERR, &m));
	CHECK_EQ(m.reqno, 10);
	CHECK_EQ(m.err.code, ENOTCONN);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* F7, F8: a stalled watcher costs a fast one nothing, and is told its gap. */
static void
test_stalled(void)
{
	struct wire fast, slow;
	struct wire_msg m;
	struct msg_credit credit = { .chan = 0, .bytes = ALL_CREDIT };
	uint64_t lost = 0, off = 0, end = 0;
	struct play_vm vm;
	int i;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&fast);
	play_client(&slow);
	REQUIRE(play_attach(&slow, 1, 0, 0, 100, 0, &m));
	REQUIRE(play_attach(&fast, 1, 0, 0, ALL_CREDIT, 0, &m));
	for (i = 0; i < 64; i++) {
		play_vm_print(&vm, RING / 2);
		end += RING / 2;
		off = play_drain(&fast, 0, off, end, &lost);
	}
	CHECK_EQ(off, end);
	CHECK_EQ(lost, 0);
	off = play_drain(&slow, 0, 0, 100, &lost);
	CHECK_EQ(off, 100);
	CHECK_EQ(lost, 0);
	wire_send(&slow, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
	CHECK_EQ(play_drain(&slow, 0, 100, end, &lost), end);
	CHECK_EQ(lost, end - RING - 100);
	wire_close(&fast);
	wire_close(&slow);
	play_vm_close(&vm);
	play_teardown();
}

/* Credit given in small pieces loses nothing either. */
static void
test_credit(void)
{
	struct msg_credit credit = { .chan = 0, .bytes = 7 };
	struct wire cl;
	struct wire_msg m;
	uint64_t off = 0, lost = 0;
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	play_vm_print(&vm, 700);
	REQUIRE(play_attach(&cl, 1, 0, 0, 0, 0, &m));
	while (off < 700) {
		wire_send(&cl, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
		off = play_drain(&cl, 0, off, off + 7, &lost);
	}
	CHECK_EQ(off, 700);
	play_settle(&cl, 1); /* nothing more without credit */
	CHECK_EQ(wire_poll(&cl, &m), 0);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* One writer, many watchers; the keyboard can be taken. */
static void
test_writer(void)
{
	struct msg_chan chan = { .chan = 0 };
	struct wire a, b;
	struct wire_msg m;
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&a);
	play_client(&b);
	REQUIRE(play_attach(&a, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.writer, 1);
	CHECK_EQ(m.attached.input_credit, CONS_INPUT_BYTES);
	REQUIRE(play_attach(&b, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
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
	play_vm_close(&vm);
	play_teardown();
}

/* Who leaves passes the keyboard on, with its credit; not to a mere watcher. */
static void
test_next_writer(void)
{
	struct wire cl[4];
	struct wire_msg m;
	struct play_vm vm;
	int i;

	play_setup();
	play_vm_open(&vm, 1, "one");
	for (i = 0; i < 4; i++) {
		play_client(&cl[i]);
		REQUIRE(play_attach(
		    &cl[i], 1, 0, i == 1 ? 0 : CONS_WRITE, ALL_CREDIT, 0, &m));
		CHECK_EQ(m.attached.writer, i == 0);
	}
	wire_send_chunk(&cl[0], MSG_CONS_INPUT, 0, "abc", 3);
	REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
	wire_close(&cl[0]);
	do
		REQUIRE(wire_expect(&cl[2], MSG_CONS_PEERS, &m));
	while (!m.peers.you_write);
	CHECK_EQ(m.peers.n, 3);
	CHECK(!m.peers.peer[0].writer && m.peers.peer[1].writer);
	REQUIRE(wire_expect(&cl[2], MSG_CONS_INPUT_CREDIT, &m));
	CHECK_EQ(m.credit.bytes, CONS_INPUT_BYTES - 3);
	wire_send_chunk(&cl[2], MSG_CONS_INPUT, 0, "mine", 4);
	REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
	CHECK_EQ(m.chunk.len, 4);
	wire_close(&cl[2]);
	do
		REQUIRE(wire_expect(&cl[3], MSG_CONS_PEERS, &m));
	while (!m.peers.you_write);
	wire_close(&cl[3]);
	do
		REQUIRE(wire_expect(&cl[1], MSG_CONS_PEERS, &m));
	while (m.peers.n > 1);
	CHECK_EQ(m.peers.you_write, 0);
	wire_close(&cl[1]);
	play_vm_close(&vm);
	play_teardown();
}

/* As many keys as there is credit for, one by one, to a vm that is slow. */
static void
test_single_keys(void)
{
	struct msg_hello hello = { .version = PROTO_VERSION };
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm;
	unsigned i;
	char key;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, ALL_CREDIT, 0, &m));
	for (i = 0; i < CONS_INPUT_BYTES; i++) {
		key = (char)i;
		wire_send_chunk(&cl, MSG_CONS_INPUT, 0, &key, 1);
		wire_send(&cl, MSG_HELLO, 2, -1, &hello, sizeof(hello));
		REQUIRE(wire_expect(&cl, MSG_HELLO, &m)); /* each alone */
	}
	for (i = 0; i < CONS_INPUT_BYTES; i++) {
		REQUIRE(wire_expect(&vm.link, MSG_CONS_INPUT, &m));
		CHECK_EQ(m.chunk.len, 1);
		CHECK_EQ(m.raw[sizeof(m.chunk)], (uint8_t)i);
	}
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* Input beyond the credit is refused, not queued; credit comes back. */
static void
test_input_credit(void)
{
	static char big[CONS_INPUT_BYTES];
	struct msg_credit credit = { .bytes = 600 };
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 2, CONS_WRITE, ALL_CREDIT, 0, &m));
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
	play_vm_close(&vm);
	play_teardown();
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
	struct play_vm vm;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, 10, 0, &m));
	play_vm_print(&vm, 3000);
	play_vm_close(&vm);
	wire_send(&play_parent, MSG_VM_GONE, 0, -1, &gone, sizeof(gone));
	CHECK_EQ(play_drain(&cl, 0, 0, 10, &lost), 10);
	wire_send(&cl, MSG_CONS_CREDIT, 0, -1, &credit, sizeof(credit));
	CHECK_EQ(play_drain(&cl, 0, 10, 3000, &lost), 3000);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	CHECK_EQ(m.closed.chan, 0);
	CHECK_EQ(lost, 0);
	wire_close(&cl);
	play_teardown();
}

/* A VM that stopped keeps its history until it runs again. */
static void
test_history_of_stopped(void)
{
	struct wire cl;
	struct wire_msg m;
	uint64_t lost = 0;
	struct play_vm vm, again;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_vm_print(&vm, 500);
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(play_drain(&cl, 0, 0, 500, &lost), 500);
	play_vm_close(&vm);
	play_row(1, "one", VM_STOPPED, 0);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	REQUIRE(play_attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(play_drain(&cl, 0, 0, 500, &lost), 500);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	play_vm_open(&again, 1, "one");
	play_vm_print(&again, 20);
	do {
		REQUIRE(play_attach(&cl, 1, 1, 0, ALL_CREDIT, 0, &m));
		if (m.attached.end == 20)
			break;
		REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	} while (1);
	CHECK_EQ(play_drain(&cl, 1, 0, 20, &lost), 20);
	wire_close(&cl);
	play_vm_close(&again);
	play_teardown();
}

/* T68: a console is its owner's and root's. */
static void
test_owner(void)
{
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m));
	wire_close(&cl);
	play_client_as(&cl, 12345);
	CHECK_EQ(play_attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m), 0);
	CHECK_EQ(m.err.code, EPERM);
	play_row(1, "one", VM_RUNNING, 12345);
	play_settle(&cl, 1);
	CHECK_EQ(play_attach(&cl, 1, 0, 0, ALL_CREDIT, 0, &m), 1);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
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
	play_setup();
	play_client_as(&cl, 54321);
	start.cred.uid = 0;
	wire_send(&cl, MSG_START, 42, -1, &start, sizeof(start));
	REQUIRE(wire_expect(&play_parent, MSG_START, &m));
	CHECK_EQ(m.start.cred.uid, 54321);
	wire_send(&play_parent, MSG_ERR, m.reqno, -1, &no, sizeof(no));
	REQUIRE(wire_expect(&cl, MSG_ERR, &m));
	CHECK_EQ(m.reqno, 42);
	CHECK_STR(m.err.text, "no");
	wire_close(&cl);
	play_teardown();
}

/* Who leaves takes along what it asked for: the parent is told. */
static void
test_forget(void)
{
	struct msg_ref ref = { .vm = { .id = 4 } };
	struct wire cl, other;
	struct wire_msg m;
	uint32_t up[3];
	int i;

	play_setup();
	play_client(&other);
	play_client(&cl);
	for (i = 0; i < 3; i++) {
		wire_send(i == 1 ? &other : &cl, MSG_WAIT, 10 + i, -1, &ref,
		    sizeof(ref));
		REQUIRE(wire_expect(&play_parent, MSG_WAIT, &m));
		up[i] = m.reqno;
	}
	wire_close(&cl);
	REQUIRE(wire_expect(&play_parent, MSG_FORGET, &m));
	CHECK_EQ(m.reqno, up[0]);
	REQUIRE(wire_expect(&play_parent, MSG_FORGET, &m));
	CHECK_EQ(m.reqno, up[2]);
	/* Answers that crossed it on the way find nobody. */
	for (i = 0; i < 3; i++)
		wire_send(&play_parent, MSG_OK, up[i], -1, NULL, 0);
	REQUIRE(wire_expect(&other, MSG_OK, &m));
	CHECK_EQ(m.reqno, 11);
	wire_close(&other);
	play_teardown();
}

/* Those of one user who do not read hold little together, and nobody up. */
static void
test_not_reading(void)
{
	struct msg_subscribe sub = { .what = SUB_ROWS, .interval_ms = 1000 };
	static struct wire lazy[200];
	unsigned i, n, left = 0;
	struct wire good;
	struct wire_msg m;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	play_setup();
	for (i = 0; i < 200; i++) {
		play_client_as(&lazy[i], 12345);
		wire_send(&lazy[i], MSG_SUBSCRIBE, 1, -1, &sub, sizeof(sub));
		REQUIRE(wire_expect(&lazy[i], MSG_OK, &m));
	}
	play_client_as(&good, 12346);
	wire_send(&good, MSG_SUBSCRIBE, 1, -1, &sub, sizeof(sub));
	REQUIRE(wire_expect(&good, MSG_OK, &m));
	/* 460 KiB for each: less than what one may hold alone. */
	for (n = 0; n < 1200; n++) {
		play_row(1, "one", n % VM_NSTATES, 0);
		REQUIRE(wire_expect(&good, MSG_VM_ROW, &m));
	}
	for (i = 0; i < 200; i++) {
		for (n = 0; n < 1200 && wire_recv(&lazy[i], &m); n++)
			continue;
		left += n == 1200;
		wire_close(&lazy[i]);
	}
	CHECK_MSG(left > 0 && left < 200, "%u are left", left);
	wire_close(&good);
	play_teardown();
}

/* What the parent lends goes down to who asked. */
static void
test_lend(void)
{
	struct msg_lend lend = { .bytes = 4096 };
	struct msg_lent lent = { .id = 3 };
	struct wire cl;
	struct wire_msg m;
	struct stat st;

	play_setup();
	play_client(&cl);
	wire_send(&cl, MSG_LEND, 9, -1, &lend, sizeof(lend));
	REQUIRE(wire_expect(&play_parent, MSG_LEND, &m));
	wire_send(&play_parent, MSG_LENT, m.reqno,
	    memfd_lent("test", lend.bytes), &lent, sizeof(lent));
	REQUIRE(wire_expect(&cl, MSG_LENT, &m));
	CHECK(m.reqno == 9 && m.lent.id == 3);
	REQUIRE(fstat(m.fd, &st) == 0);
	CHECK_EQ(st.st_size, 4096);
	close(m.fd);
	wire_close(&cl);
	play_teardown();
}

/*
 * No client may send an fd: close(2) of this one would never return, nor would
 * the exit of who has it.
 */
static void
test_silent_fuse(void)
{
	struct msg_list list = { .vm.id = 0 };
	struct silentfuse fuse;
	struct wire cl, good;
	struct wire_msg m;
	int fd;

	if (geteuid() != 0) {
		tap_skip("needs root to mount a file system");
		return;
	}
	play_setup();
	play_client(&good);
	REQUIRE((fd = silentfuse_open(&fuse)) != -1);
	play_client(&cl);
	wire_send(&cl, MSG_LIST, 9, fd, &list, sizeof(list));
	play_settle(&good, 1);
	CHECK_EQ(wire_recv(&cl, &m), 0);
	wire_close(&cl);
	wire_close(&good);
	play_teardown();
	silentfuse_close(&fuse);
}

/* F7: one user cannot take all places. */
static void
test_places(void)
{
	static struct wire cl[CLIENTS_UID + 1];
	struct wire good, bob;
	struct wire_msg m;
	unsigned i;

	if (geteuid() != 0) {
		tap_skip("needs root to be somebody else");
		return;
	}
	play_setup();
	for (i = 0; i < CLIENTS_UID; i++) {
		play_client_as(&cl[i], 12345);
		play_settle(&cl[i], 0);
	}
	play_client_as(&cl[i], 12345);
	CHECK_EQ(wire_recv(&cl[i], &m), 0);
	play_client_as(&bob, 12346);
	play_settle(&bob, 0);
	play_client(&good);
	play_settle(&good, 0);
	wire_close(&bob);
	wire_close(&good);
	for (i = 0; i <= CLIENTS_UID; i++)
		wire_close(&cl[i]);
	play_teardown();
}

/* T63: a client that breaks a rule is closed, others do not notice. */
static void
test_hostile_client(void)
{
	struct wire good, bad;
	struct wire_msg m;
	uint32_t type;
	char junk[64];

	play_setup();
	memset(junk, 0xa5, sizeof(junk));
	play_client(&good);
	for (type = 0; type < MSG_NTYPES + 3; type++) {
		play_client(&bad);
		wire_send(&bad, type, 1, -1, junk, 1 + type % sizeof(junk));
		while (wire_recv(&bad, &m))
			CHECK(m.type == MSG_ERR);
		wire_close(&bad);
	}
	play_settle(&good, 0);
	wire_close(&good);
	play_teardown();
}

/* ---- hostile VM processes ---- */

static void
test_unsealed(void)
{
	struct msg_page page = { .id = 1, .bytes = RING_HEAD_BYTES + RING };
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm, other;
	int fd;

	play_setup();
	play_vm_open(&other, 2, "two");
	play_vm_print(&other, 10);
	play_vm_link(&vm, 1, "one");
	fd = memfd_create("ring", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(fd, RING_HEAD_BYTES + RING), 0);
	wire_send(&vm.link, MSG_PAGE_RING, 0, fd, &page, sizeof(page));
	CHECK_EQ(wire_recv(&vm.link, &m), 0); /* its link is closed */
	play_client(&cl);
	play_settle(&cl, 0);
	REQUIRE(play_attach(&cl, 2, 0, 0, ALL_CREDIT, 0, &m));
	CHECK_EQ(m.attached.end, 10);
	wire_close(&vm.link);
	wire_close(&cl);
	play_vm_close(&other);
	play_teardown();
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
	struct play_vm vm;
	size_t i;

	play_setup();
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		play_vm_link(&vm, 1, "one");
		page.bytes = sizes[i];
		wire_send(&vm.link, MSG_PAGE_RING, 0,
		    memfd_sealed("ring", RING_HEAD_BYTES + RING, SEALS), &page,
		    sizeof(page));
		CHECK_EQ(wire_recv(&vm.link, &m), 0);
		wire_close(&vm.link);
	}
	play_teardown();
}

/* The head of the ring lies: runs backwards, jumps, claims the future. */
static void
test_lying_ring(void)
{
	static const uint64_t lies[] = { 5, UINT64_MAX, 0, 1ull << 63, 3,
		UINT64_MAX - RING, 100 };
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm;
	uint64_t one = 1;
	size_t i;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, 1 << 20, 0, &m));
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		atomic_store(&vm.ring.head->end, lies[i]);
		atomic_store(&vm.ring.head->oldest, lies[(i + 1) % 7]);
		CHECK_EQ(write(vm.ring.bell_fd, &one, 8), 8);
		play_settle(&cl, 1);
	}
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* The "bell" is always ready, or no eventfd at all. */
static void
test_bell_junk(void)
{
	struct msg_page page = { .id = 1, .bytes = 8 };
	struct wire cl;
	struct play_vm vm;
	int pipefd[2], round;

	play_setup();
	for (round = 0; round < 3; round++) {
		play_vm_link(&vm, 1, "one");
		play_vm_pages(&vm);
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
		play_vm_attach(&vm);
		play_client(&cl);
		play_settle(&cl, 0);
		wire_close(&cl);
		play_vm_close(&vm);
	}
	(void)page;
	play_teardown();
}

/* A bell of any other kind than an eventfd costs the VM its link. */
static void
test_bell_kinds(void)
{
	struct wire_msg m;
	struct play_vm vm;
	int sv[2], kind;
	char byte;

	play_setup();
	for (kind = 0; kind < 3; kind++) {
		play_vm_link(&vm, 1, "one");
		play_vm_pages(&vm);
		close(vm.ring.bell_fd);
		if (kind == 0)
			CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		else if (kind == 1)
			CHECK_EQ(pipe(sv), 0);
		else {
			sv[0] = open("/dev/null", O_RDWR);
			sv[1] = dup(sv[0]);
		}
		vm.ring.bell_fd = sv[0];
		play_vm_attach(&vm);
		CHECK_EQ(wire_recv(&vm.link, &m), 0);
		CHECK_EQ(recv(vm.link.fd, &byte, 1, MSG_DONTWAIT), 0);
		close(sv[1]);
		play_vm_close(&vm);
	}
	play_teardown();
}

static void
spin(unsigned turns)
{
	static atomic_uint n;

	while (turns-- > 0)
		atomic_fetch_add(&n, 1);
}

/* A client that watches VM 1 as often as one client can. */
static void
watch_all(struct wire *cl)
{
	struct wire_msg m;
	unsigned chan;

	play_client(cl);
	for (chan = 0; chan < CONS_CHANS; chan++)
		REQUIRE(play_attach(cl, 1, chan, 0, ALL_CREDIT, 0, &m));
}

/* Read until all chans together have had that many bytes. */
static uint64_t
drain_all(struct wire *cl, uint64_t have, uint64_t want)
{
	struct wire_msg m;

	while (have < want && wire_recv(cl, &m))
		if (m.type == MSG_CONS_DATA)
			have += m.chunk.len;
	return (have);
}

/* What is printed while the watchers are served one by one reaches all. */
static void
test_many_watchers(void)
{
	uint64_t have = 0, end = 0;
	struct wire cl[WATCHERS];
	struct play_vm vm;
	unsigned i, c;

	play_setup();
	play_vm_open(&vm, 1, "one");
	for (c = 0; c < WATCHERS; c++)
		watch_all(&cl[c]);
	for (i = 0; i < 400 && have == end * CONS_CHANS; i++) {
		play_vm_print(&vm, 1);
		spin(i * 100);
		play_vm_print(&vm, 1);
		for (c = 0; c < WATCHERS; c++) {
			have = drain_all(
			    &cl[c], end * CONS_CHANS, (end + 2) * CONS_CHANS);
			if (have != (end + 2) * CONS_CHANS)
				break;
		}
		end += 2;
	}
	CHECK_EQ(have, end * CONS_CHANS);
	for (c = 0; c < WATCHERS; c++)
		wire_close(&cl[c]);
	play_vm_close(&vm);
	play_teardown();
}

/*
 * The eventfd's flags are the VM process's as well: it makes it block, rings,
 * and takes the ring back when control has woken and not yet read it, being
 * busy with the watchers of another VM.
 */
static void
test_bell_blocks(void)
{
	uint64_t n = 1;
	struct iovec iov = { .iov_base = &n, .iov_len = sizeof(n) };
	struct wire cl[WATCHERS], idle;
	struct play_vm vm, evil;
	unsigned i, c;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_vm_open(&evil, 2, "two");
	play_client(&idle);
	play_settle(&idle, 2);
	for (c = 0; c < WATCHERS; c++)
		watch_all(&cl[c]);
	CHECK_EQ(fcntl(evil.ring.bell_fd, F_SETFL, 0), 0);
	for (i = 0; i < 400; i++) {
		n = 1;
		play_vm_print(&vm, 1);
		atomic_store(&evil.ring.head->end, i + 1);
		CHECK_EQ(write(evil.ring.bell_fd, &n, sizeof(n)), 8);
		spin(i * 100);
		(void)!preadv2(evil.ring.bell_fd, &iov, 1, -1, RWF_NOWAIT);
		for (c = 0; c < WATCHERS; c++)
			REQUIRE(drain_all(&cl[c], 0, CONS_CHANS) == CONS_CHANS);
	}
	play_settle(&idle, 1);
	for (c = 0; c < WATCHERS; c++)
		wire_close(&cl[c]);
	wire_close(&idle);
	play_vm_close(&vm);
	play_vm_close(&evil);
	play_teardown();
}

/* Figures come while somebody asks, and a silent VM does not hold them up. */
static void
test_figures(void)
{
	struct msg_subscribe sub = { .what = SUB_FIGURES, .interval_ms = 200 };
	struct msg_sample sampled;
	struct wire cl;
	struct wire_msg m;
	struct play_vm vm, mute;
	int seen = 0;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_vm_open(&mute, 2, "two");
	play_client(&cl);
	play_settle(&cl, 0);
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
	play_vm_close(&vm);
	play_vm_close(&mute);
	play_teardown();
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

	play_setup();
	for (id = 1; id <= 3000; id++) {
		snprintf(name, sizeof(name), "vm%u", id);
		play_row(id, name, id % 2 ? VM_STOPPED : VM_RUNNING, 0);
	}
	play_client(&cl);
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
	play_teardown();
}

/* A row of the VM with that many devices, and of its first one. */
static void
dev_rows(uint32_t ndevs)
{
	struct msg_row row = { .id = 1,
		.state = VM_RUNNING,
		.ncpus = 1,
		.owner_gid = UINT32_MAX,
		.console_ring = RING,
		.ndevs = ndevs };
	struct msg_dev_row dev = {
		.id = 1, .kind = DEV_BLK, .state = DEV_UP, .pid = 77
	};

	strlcpy(row.name, "one", sizeof(row.name));
	wire_send(&play_parent, MSG_VM_ROW, 0, -1, &row, sizeof(row));
	strlcpy(dev.name, "blk0", sizeof(dev.name));
	strlcpy(dev.path, "/disk.img", sizeof(dev.path));
	wire_send(&play_parent, MSG_DEV_ROW, 0, -1, &dev, sizeof(dev));
}

static void
dev_page(struct play_vm *vm, int fd, uint32_t bytes)
{
	struct msg_page_dev m = {
		.id = vm->id, .kind = DEV_BLK, .bytes = bytes
	};

	wire_send(&vm->link, MSG_PAGE_DEV, 0, fd, &m, sizeof(m));
}

/* List with devices: how many of a type came before the end. */
static unsigned
list_devs(struct wire *cl, uint32_t type, struct wire_msg *last)
{
	struct msg_list list = { .flags = LIST_DEVS };
	static struct wire_msg m;
	unsigned n = 0;

	wire_send(cl, MSG_LIST, 90, -1, &list, sizeof(list));
	while (wire_recv(cl, &m) && m.type != MSG_OK && m.type != MSG_ERR)
		if (m.type == type) {
			*last = m;
			n++;
		}
	return (n);
}

/* Until so many are there: what a VM process sends has an order of its own. */
static bool
wait_devs(struct wire *cl, uint32_t type, unsigned n, uint64_t reads,
    struct wire_msg *last)
{
	const struct msg_dev_figures *f = (const void *)last->raw;
	unsigned i;

	for (i = 0; i < 1000; i++)
		if (list_devs(cl, type, last) == n &&
		    (n == 0 || type != MSG_DEV_FIGURES || f->reads == reads))
			return (true);
	return (false);
}

/* A VM's devices: what the parent says, and figures from pages. */
static void
test_devs(void)
{
	static struct wire_msg m;
	const struct msg_dev_figures *f = (const void *)m.raw;
	struct devpage *page;
	struct play_vm vm;
	struct wire cl;
	void *map;
	int fd;

	play_setup();
	play_vm_open(&vm, 1, "one");
	fd = memfd_sealed_map("device", DEVPAGE_BYTES, SEALS, &map);
	REQUIRE(fd != -1);
	page = map;
	dev_page(&vm, fd, DEVPAGE_BYTES);
	dev_rows(1);
	play_client(&cl);
	play_settle(&cl, 1);
	devpage_count(&page->reads, 5);
	devpage_count(&page->inflight, 3);
	devpage_hist_add(page->flush_hist, 3000);
	CHECK(wait_devs(&cl, MSG_DEV_ROW, 1, 0, &m));
	CHECK_STR(((const struct msg_dev_row *)(const void *)m.raw)->path,
	    "/disk.img");
	CHECK(wait_devs(&cl, MSG_DEV_FIGURES, 1, 5, &m));
	CHECK_EQ(f->inflight, 3);
	CHECK_EQ(f->flush_hist[1], 1);
	/* A process of a later vmd: another page takes its place. */
	munmap(map, DEVPAGE_BYTES);
	fd = memfd_sealed_map("device", DEVPAGE_BYTES, SEALS, &map);
	REQUIRE(fd != -1);
	dev_page(&vm, fd, DEVPAGE_BYTES);
	/* Its VM has none any more. */
	dev_rows(0);
	play_settle(&cl, 1);
	CHECK(wait_devs(&cl, MSG_DEV_ROW, 0, 0, &m));
	CHECK(wait_devs(&cl, MSG_DEV_FIGURES, 0, 0, &m));
	dev_rows(1);
	play_settle(&cl, 1);
	CHECK(wait_devs(&cl, MSG_DEV_FIGURES, 1, 0, &m));
	munmap(map, DEVPAGE_BYTES);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* One that could shrink under us, or is of another size, ends the link. */
static void
test_devs_bad(void)
{
	static struct wire_msg m;
	struct play_vm vm;
	struct wire cl;
	unsigned i;
	int fd;

	for (i = 0; i < 3; i++) {
		play_setup();
		play_vm_open(&vm, 1, "one");
		dev_rows(1);
		if (i == 0) {
			fd = memfd_create("device", MFD_CLOEXEC);
			CHECK_EQ(ftruncate(fd, DEVPAGE_BYTES), 0);
		} else
			fd = memfd_sealed("device",
			    i == 1 ? DEVPAGE_BYTES / 2 : DEVPAGE_BYTES, SEALS);
		dev_page(&vm, fd, i == 2 ? DEVPAGE_BYTES / 2 : DEVPAGE_BYTES);
		while (wire_recv(&vm.link, &m))
			CHECK(m.type != MSG_OK);
		play_client(&cl);
		CHECK_EQ(list_devs(&cl, MSG_DEV_FIGURES, &m), 0);
		wire_close(&cl);
		play_vm_close(&vm);
		play_teardown();
	}
}

static const struct tap_case cases[] = {
	{ "control: devices and their figures", test_devs },
	{ "control: bad pages of devices", test_devs_bad },
	{ "control: history replayed exactly, then live", test_replay },
	{ "control: attach from an offset", test_from },
	{ "F7 F8 control: stalled watcher beside a fast one", test_stalled },
	{ "control: a console that is about to come", test_held },
	{ "control: credit in small pieces", test_credit },
	{ "control: one writer, many watchers", test_writer },
	{ "control: the next writer", test_next_writer },
	{ "control: keys one by one", test_single_keys },
	{ "control: input credit", test_input_credit },
	{ "control: last words before the close", test_end },
	{ "control: history of a stopped vm", test_history_of_stopped },
	{ "T68 control: console is its owner's", test_owner },
	{ "T68 control: credentials cannot be claimed", test_cred },
	{ "control: requests of who has left", test_forget },
	{ "F7 control: places of one user", test_places },
	{ "F7 control: clients who do not read", test_not_reading },
	{ "control: memory is lent", test_lend },
	{ "F5 control: the file of a silent FUSE server", test_silent_fuse },
	{ "T63 control: hostile clients", test_hostile_client },
	{ "control: unsealed page of a hostile vm", test_unsealed },
	{ "control: ring sizes of a hostile vm", test_ring_sizes },
	{ "control: ring that lies", test_lying_ring },
	{ "control: bell that is none", test_bell_junk },
	{ "control: bell of another kind is refused", test_bell_kinds },
	{ "control: bell that a vm process makes block", test_bell_blocks },
	{ "control: many watchers, every byte to each", test_many_watchers },
	{ "control: figures, and a mute vm", test_figures },
	{ "control: long lists", test_long_list },
};

TAP_MAIN(cases)
