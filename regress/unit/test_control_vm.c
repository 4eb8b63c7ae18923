/* SPDX-License-Identifier: ISC */
/*
 * control (regress/lib/ctlplay.h) and VM processes: their rings, bells, figures
 * and devices, and those of hostile ones.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "regress/lib/ctlplay.h"
#include "regress/lib/tap.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/str.h"

#define RING PLAY_RING
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define WATCHERS 8

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
	REQUIRE(play_attach(&cl, 2, 0, 0, PLAY_CREDIT, 0, &m));
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
		REQUIRE(play_attach(cl, 1, chan, 0, PLAY_CREDIT, 0, &m));
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
	{ "control: unsealed page of a hostile vm", test_unsealed },
	{ "control: ring sizes of a hostile vm", test_ring_sizes },
	{ "control: ring that lies", test_lying_ring },
	{ "control: bell that is none", test_bell_junk },
	{ "control: bell of another kind is refused", test_bell_kinds },
	{ "control: bell that a vm process makes block", test_bell_blocks },
	{ "control: many watchers, every byte to each", test_many_watchers },
};

TAP_MAIN(cases)
