/* SPDX-License-Identifier: ISC */
/* control (regress/lib/ctlplay.h) and consoles: what clients see, who types. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "regress/lib/ctlplay.h"
#include "regress/lib/tap.h"

#define RING PLAY_RING

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
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, PLAY_CREDIT, 0, &m));
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
	REQUIRE(play_attach(&cl, 1, 3, CONS_FROM, PLAY_CREDIT, 4000, &m));
	CHECK_EQ(m.attached.start, 4000);
	CHECK_EQ(play_drain(&cl, 3, 4000, 5000, &lost), 5000);
	REQUIRE(play_attach(&cl, 1, 4, CONS_NOREPLAY, PLAY_CREDIT, 0, &m));
	CHECK_EQ(m.attached.start, 5000);
	/* Behind the end: of an earlier run; starts over. */
	REQUIRE(play_attach(&cl, 1, 5, CONS_FROM, PLAY_CREDIT, 1 << 20, &m));
	CHECK_EQ(m.attached.start, 0);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

/* Held until the VM's link has come; given up, or with the VM, answered. */
static void
test_held(void)
{
	struct msg_attach at = { .vm = { .id = 1 }, .credit = PLAY_CREDIT };
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
	struct msg_credit credit = { .chan = 0, .bytes = PLAY_CREDIT };
	uint64_t lost = 0, off = 0, end = 0;
	struct play_vm vm;
	int i;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&fast);
	play_client(&slow);
	REQUIRE(play_attach(&slow, 1, 0, 0, 100, 0, &m));
	REQUIRE(play_attach(&fast, 1, 0, 0, PLAY_CREDIT, 0, &m));
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
	REQUIRE(play_attach(&a, 1, 0, CONS_WRITE, PLAY_CREDIT, 0, &m));
	CHECK_EQ(m.attached.writer, 1);
	CHECK_EQ(m.attached.input_credit, CONS_INPUT_BYTES);
	REQUIRE(play_attach(&b, 1, 0, CONS_WRITE, PLAY_CREDIT, 0, &m));
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
		    &cl[i], 1, 0, i == 1 ? 0 : CONS_WRITE, PLAY_CREDIT, 0, &m));
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
	REQUIRE(play_attach(&cl, 1, 0, CONS_WRITE, PLAY_CREDIT, 0, &m));
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
	REQUIRE(play_attach(&cl, 1, 2, CONS_WRITE, PLAY_CREDIT, 0, &m));
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
	struct msg_credit credit = { .chan = 0, .bytes = PLAY_CREDIT };
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
	REQUIRE(play_attach(&cl, 1, 0, 0, PLAY_CREDIT, 0, &m));
	CHECK_EQ(play_drain(&cl, 0, 0, 500, &lost), 500);
	play_vm_close(&vm);
	play_row(1, "one", VM_STOPPED, 0);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	REQUIRE(play_attach(&cl, 1, 0, 0, PLAY_CREDIT, 0, &m));
	CHECK_EQ(play_drain(&cl, 0, 0, 500, &lost), 500);
	REQUIRE(wire_expect(&cl, MSG_CONS_CLOSED, &m));
	play_vm_open(&again, 1, "one");
	play_vm_print(&again, 20);
	do {
		REQUIRE(play_attach(&cl, 1, 1, 0, PLAY_CREDIT, 0, &m));
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
	REQUIRE(play_attach(&cl, 1, 0, 0, PLAY_CREDIT, 0, &m));
	wire_close(&cl);
	play_client_as(&cl, 12345);
	CHECK_EQ(play_attach(&cl, 1, 0, 0, PLAY_CREDIT, 0, &m), 0);
	CHECK_EQ(m.err.code, EPERM);
	play_row(1, "one", VM_RUNNING, 12345);
	play_settle(&cl, 1);
	CHECK_EQ(play_attach(&cl, 1, 0, 0, PLAY_CREDIT, 0, &m), 1);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
}

static const struct tap_case cases[] = {
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
};

TAP_MAIN(cases)
