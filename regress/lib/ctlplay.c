/* SPDX-License-Identifier: ISC */
/* control, and all its neighbours played: see ctlplay.h. */
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
#include "regress/lib/ctlplay.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct wire play_parent;
static pid_t control_pid;
static char socket_path[64];

const char *
play_socket(void)
{
	return (socket_path);
}

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

void
play_setup(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int sv[2], fd;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
	if ((control_pid = fork()) == 0) {
		close(sv[0]);
		control_child(sv[1]);
	}
	close(sv[1]);
	wire_init(&play_parent, sv[0]);
	snprintf(socket_path, sizeof(socket_path), "/tmp/vmd-test.%d.sock",
	    (int)getpid());
	unlink(socket_path);
	strlcpy(sun.sun_path, socket_path, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(socket_path, 0666) == -1 || listen(fd, 64) == -1)
		tap_fail(__FILE__, __LINE__, "listen");
	wire_send(&play_parent, MSG_CTL_LISTEN, 0, fd, NULL, 0);
}

/* control must have lived through the test, and end with its parent. */
void
play_teardown(void)
{
	int status = -1;

	wire_close(&play_parent);
	waitpid(control_pid, &status, 0);
	CHECK_EQ(status, 0);
	unlink(socket_path);
}

void
play_client_as(struct wire *w, uid_t uid)
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

void
play_client(struct wire *w)
{
	play_client_as(w, geteuid());
}

void
play_row(uint32_t id, const char *name, uint32_t state, uint32_t owner)
{
	struct msg_row row = { .id = id,
		.state = state,
		.ncpus = 1,
		.owner_uid = owner,
		.owner_gid = UINT32_MAX,
		.mem_bytes = 64 << 20,
		.console_ring = PLAY_RING };

	strlcpy(row.name, name, sizeof(row.name));
	wire_send(&play_parent, MSG_VM_ROW, 0, -1, &row, sizeof(row));
}

static void *
map(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		tap_fail(__FILE__, __LINE__, "mmap");
	return (p);
}

void
play_vm_pages(struct play_vm *vm)
{
	vm->ring_fd = memfd_sealed("ring", RING_HEAD_BYTES + PLAY_RING, SEALS);
	vm->bell_page_fd = memfd_sealed("bell", 4096, SEALS);
	vm->figures_fd = memfd_sealed("figures", FIGURES_BYTES, SEALS);
	vm->ring.head = map(vm->ring_fd, RING_HEAD_BYTES + PLAY_RING);
	vm->ring.data = (uint8_t *)vm->ring.head + RING_HEAD_BYTES;
	vm->ring.size = PLAY_RING;
	vm->ring.bell = map(vm->bell_page_fd, 4096);
	vm->ring.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->figures = map(vm->figures_fd, FIGURES_BYTES);
}

/* Only the link; the pages are sent by who wants them right or wrong. */
void
play_vm_link(struct play_vm *vm, uint32_t id, const char *name)
{
	struct msg_vm_channel ch = { .id = id };
	int sv[2];

	memset(vm, 0, sizeof(*vm));
	vm->id = id;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
	wire_init(&vm->link, sv[0]);
	play_row(id, name, VM_RUNNING, 0);
	wire_send(&play_parent, MSG_CTL_VM, 0, sv[1], &ch, sizeof(ch));
}

void
play_vm_attach(struct play_vm *vm)
{
	struct msg_attached_vm at = {
		.id = vm->id, .state = VM_RUNNING, .console_bytes = PLAY_RING
	};
	struct msg_page page = { .id = vm->id,
		.bytes = RING_HEAD_BYTES + PLAY_RING };
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
	/* A control that did not like a page has closed by now. */
	wire_offer(l, MSG_ATTACHED, &at, sizeof(at));
}

/* Until control says so to a subscriber, it may not have read our messages. */
void
play_settle(struct wire *cl, uint32_t id)
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

void
play_vm_open(struct play_vm *vm, uint32_t id, const char *name)
{
	play_vm_link(vm, id, name);
	play_vm_pages(vm);
	play_vm_attach(vm);
}

void
play_vm_close(struct play_vm *vm)
{
	wire_close(&vm->link);
	munmap(vm->ring.head, RING_HEAD_BYTES + PLAY_RING);
	munmap(vm->ring.bell, 4096);
	munmap(vm->figures, FIGURES_BYTES);
	close(vm->ring.bell_fd);
	close(vm->ring_fd);
	close(vm->bell_page_fd);
	close(vm->figures_fd);
}

/* Byte n of every console in these tests. */
uint8_t
play_pattern(uint64_t n)
{
	return ((n * 2654435761u) >> 13);
}

void
play_vm_print(struct play_vm *vm, size_t len)
{
	static uint8_t buf[PLAY_RING];
	uint64_t at = vm->ring.end;
	size_t i, n;

	for (; len > 0; len -= n, at += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		for (i = 0; i < n; i++)
			buf[i] = play_pattern(at + i);
		ring_write(&vm->ring, buf, n);
	}
}

int
play_attach(struct wire *cl, uint32_t id, uint32_t chan, uint32_t flags,
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
			play_settle(cl, id);
			wire_send(cl, MSG_CONS_ATTACH, 5, -1, &at, sizeof(at));
		} else if (m->type == MSG_ERR)
			return (0);
	}
	return (0);
}

/* Read console messages of chan until offset end; bad bytes fail. */
uint64_t
play_drain(
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
			if (m.raw[sizeof(m.chunk) + i] !=
			    play_pattern(off + i)) {
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
