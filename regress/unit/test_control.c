/* SPDX-License-Identifier: ISC */
/*
 * control (regress/lib/ctlplay.h) and its clients: who may what, how many, and
 * those that break rules.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/control/control.h"
#include "regress/lib/ctlplay.h"
#include "regress/lib/silentfuse.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

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

static const struct tap_case cases[] = {
	{ "T68 control: credentials cannot be claimed", test_cred },
	{ "control: requests of who has left", test_forget },
	{ "F7 control: places of one user", test_places },
	{ "F7 control: clients who do not read", test_not_reading },
	{ "control: memory is lent", test_lend },
	{ "F5 control: the file of a silent FUSE server", test_silent_fuse },
	{ "T63 control: hostile clients", test_hostile_client },
	{ "control: figures, and a mute vm", test_figures },
	{ "control: long lists", test_long_list },
};

TAP_MAIN(cases)
