/* SPDX-License-Identifier: ISC */
/*
 * vhost-user's front end, under a virtio device in a guest, against back ends
 * that get each answer wrong in each way: the device is lost, is told of once,
 * leaves no fd behind, and its guest can go on, reset it, and have another.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/dev/vio_proxy.h"
#include "daemon/dev/virtio_pci.h"
#include "regress/lib/fakeback.h"
#include "regress/lib/fakeguest.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

#define OFFERED (VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1)
#define LIMIT_MS 1000 /* an honest answer may take a while on a busy host */

static struct fakeguest g;
static struct fakeback b;
static struct devpage page;

static bool
up(const struct vio_ops *ops, struct err *e)
{
	struct vio_conf conf = {
		.conf = &page.conf, .page = &page, .fd = &b.sock, .nfds = 1
	};

	memcpy(page.conf.serial, "home", 5);
	fakeback_open(&b);
	return (fg_try(&g, ops, &conf, e));
}

static struct vio *
vio(void)
{
	return (&((struct vpci *)g.dev->state)->vio);
}

/* In the order of the document, and what the guest agreed to. */
static void
handshake(void)
{
	struct err e;

	fakeback_init(&b);
	if (!up(&vio_proxy_blk, &e)) {
		tap_fail(__FILE__, __LINE__, "%s", e.text);
		return;
	}
	CHECK_EQ(b.agreed, b.protocol);
	CHECK_EQ(b.seen[VHU_SET_OWNER], 1);
	CHECK_EQ(b.seen[VHU_SET_MEM_TABLE], 0);
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 4);
	CHECK_EQ(fg_offered(&g), OFFERED | 1ull << 9 | 1ull << 12);
	CHECK_EQ(fg_mem_in(&g, g.device.addr, 8), 8);
	fg_up(&g, VIO_F_VERSION_1 | 1ull << 9, 64);
	CHECK_EQ(b.seen[VHU_SET_MEM_TABLE], 1);
	CHECK_EQ(b.seen[VHU_SET_INFLIGHT_FD], 1);
	CHECK_EQ(
	    b.acked, VIO_F_VERSION_1 | 1ull << 9 | VHU_F_PROTOCOL_FEATURES);
	CHECK_EQ(b.enabled[0], 1);
	CHECK_EQ(b.enabled[1], 0);
	CHECK_EQ(b.status, 15);
	fg_out(&g, FG_STATUS, 0);
	CHECK_EQ(b.status, 0);
	CHECK_EQ(b.seen[VHU_GET_VRING_BASE], 1);
	CHECK_EQ(b.seen[VHU_RESET_DEVICE], 0); /* the status says it */
	CHECK_EQ(b.wrong, 0);
	fg_close(&g);
	fakeback_close(&b);
}

/* One that can do little: no acknowledgements, no log, no status. */
static void
plain(void)
{
	struct err e;

	fakeback_init(&b);
	b.protocol = VHU_P_CONFIG;
	CHECK(up(&vio_proxy_blk, &e));
	CHECK_EQ(b.agreed, VHU_P_CONFIG);
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 1); /* it cannot say more */
	fg_up(&g, VIO_F_VERSION_1, 64);
	fg_out(&g, FG_STATUS, 0);
	CHECK_EQ(b.seen[VHU_SET_INFLIGHT_FD], 0);
	CHECK_EQ(b.seen[VHU_GET_QUEUE_NUM], 0);
	CHECK_EQ(b.seen[VHU_SET_STATUS], 0);
	fg_close(&g);
	fakeback_close(&b);
	fakeback_init(&b);
	b.protocol = VHU_P_CONFIG | VHU_P_RESET_DEVICE | VHU_P_REPLY_ACK;
	CHECK(up(&vio_proxy_blk, &e));
	fg_up(&g, VIO_F_VERSION_1, 64);
	fg_out(&g, FG_STATUS, 0);
	CHECK(b.seen[VHU_RESET_DEVICE] > 0);
	fg_close(&g);
	fakeback_close(&b);
}

/* As virtiofsd: no configuration, and its tag is ours to know. */
static void
share(void)
{
	char tag[36] = "", i;
	struct err e;

	fakeback_init(&b);
	b.protocol = VHU_P_MQ | VHU_P_REPLY_ACK;
	b.nqueues = 2;
	CHECK(up(&vio_proxy_fs, &e));
	CHECK_EQ(fg_cfg_in(&g, 0, 4), 0x105a1af4);
	for (i = 0; i < 36; i += 4)
		*(uint32_t *)(void *)(tag + i) =
		    (uint32_t)fg_mem_in(&g, g.device.addr + i, 4);
	CHECK_STR(tag, "home");
	CHECK_EQ(fg_mem_in(&g, g.device.addr + 36, 4), 1);
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), 2);
	CHECK_EQ(b.seen[VHU_GET_CONFIG], 0);
	fg_close(&g);
	fakeback_close(&b);
	fakeback_init(&b);
	b.nqueues = 1;
	CHECK(!up(&vio_proxy_fs, &e));
	CHECK_MSG(strstr(e.text, "two queues") != NULL, "%s", e.text);
	fakeback_close(&b);
}

/* More of anything than there is room for is cut, or refused in words. */
static void
bounds(void)
{
	static const struct {
		uint64_t features, nqueues;
		const char *words;
	} row[] = {
		{ VIO_F_VERSION_1, 4, "protocol features" },
		{ VHU_F_PROTOCOL_FEATURES, 4, "virtio 1" },
		{ ~0ull, 0, "no queue" },
	};
	struct err e;
	unsigned i;

	for (i = 0; i < 3; i++) {
		fakeback_init(&b);
		b.features = row[i].features;
		b.nqueues = row[i].nqueues;
		CHECK(!up(&vio_proxy_blk, &e));
		CHECK_MSG(strstr(e.text, row[i].words) != NULL, "%s", e.text);
		fakeback_close(&b);
	}
	fakeback_init(&b);
	b.features = ~0ull;
	b.nqueues = ~0ull;
	memset(b.cfg, 0xff, sizeof(b.cfg));
	CHECK(up(&vio_proxy_blk, &e));
	CHECK_EQ(fg_in(&g, FG_NUM_QUEUES), VIO_QUEUES_MAX);
	CHECK_EQ(fg_mem_in(&g, g.device.addr + 34, 2), VIO_QUEUES_MAX);
	CHECK_EQ(fg_offered(&g) & ~(OFFERED | 0x7676ull), 0);
	fg_close(&g);
	fakeback_close(&b);
}

/* Silence takes its time: of a few. */
static bool
may_wait(unsigned fault, uint32_t request)
{
	return (fault != FB_SILENT || request == VHU_GET_FEATURES ||
	    request == VHU_SET_VRING_KICK || request == VHU_GET_VRING_BASE);
}

/* Each answer of the handshake wrong: it is not opened, and says why. */
static void
wrong_handshakes(void)
{
	static const uint32_t at[] = { VHU_GET_FEATURES,
		VHU_GET_PROTOCOL_FEATURES, VHU_SET_OWNER, VHU_GET_QUEUE_NUM,
		VHU_GET_CONFIG };
	unsigned i, f;
	int n = tap_fds();
	struct err e;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		for (f = FB_CLOSE; f < FB_FAULTS; f++) {
			/* Numbers of these are bounded: above. */
			if (f == FB_VALUE &&
			    (at[i] == VHU_GET_FEATURES ||
				at[i] == VHU_GET_PROTOCOL_FEATURES ||
				at[i] == VHU_GET_QUEUE_NUM))
				continue;
			if (!may_wait(f, at[i]))
				continue;
			fakeback_init(&b);
			b.fault = f;
			b.fault_at = at[i];
			b.limit_ms = f == FB_SILENT ? LIMIT_MS : 0;
			CHECK_MSG(!up(&vio_proxy_blk, &e), "%s, fault %u",
			    vhu_row(at[i])->name, f);
			CHECK(e.code != 0 && e.text[0] != '\0');
			fakeback_close(&b);
		}
	CHECK_EQ(tap_fds(), n);
}

static void
do_all(void)
{
	fg_up(&g, VIO_F_VERSION_1, 64);
	dev_quiesce(g.dev);
	dev_resume(g.dev);
	fg_out(&g, FG_STATUS, 0);
}

/* Each answer of a running device wrong. */
static void
wrong_answers(void)
{
	static const uint32_t at[] = { VHU_SET_MEM_TABLE, VHU_SET_FEATURES,
		VHU_SET_INFLIGHT_FD, VHU_SET_VRING_NUM, VHU_SET_VRING_ADDR,
		VHU_SET_VRING_BASE, VHU_SET_VRING_CALL, VHU_SET_VRING_ERR,
		VHU_SET_VRING_KICK, VHU_SET_VRING_ENABLE, VHU_SET_STATUS,
		VHU_GET_VRING_BASE };
	unsigned i, f;
	int n = tap_fds();
	struct err e;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		for (f = FB_CLOSE; f < FB_FAULTS; f++) {
			if (!may_wait(f, at[i]))
				continue;
			fakeback_init(&b);
			b.fault = f;
			b.fault_at = at[i];
			b.limit_ms = f == FB_SILENT ? LIMIT_MS : 0;
			if (!up(&vio_proxy_blk, &e)) {
				tap_fail(__FILE__, __LINE__, "%s", e.text);
				return;
			}
			do_all();
			CHECK_MSG(g.f.dev_events[MACH_DEV_LOST] == 1,
			    "%s, fault %u: told %u times", vhu_row(at[i])->name,
			    f, g.f.dev_events[MACH_DEV_LOST]);
			CHECK(g.f.dev_err.code != 0);
			CHECK(!vio_proxy_there(vio()));
			/* T13: no reset while it may write to memory. */
			CHECK(fg_in(&g, FG_STATUS) != 0);
			fakemach_run(&g.f, 1900000000);
			CHECK(fg_in(&g, FG_STATUS) != 0);
			fakemach_run(&g.f, 57100000000);
			CHECK_EQ(fg_in(&g, FG_STATUS) == 0,
			    f == FB_CLOSE || f == FB_HALF);
			fakemach_run(&g.f, 1000000000);
			CHECK_EQ(fg_in(&g, FG_STATUS), 0); /* not for ever */
			if (f != FB_CLOSE && f != FB_HALF)
				vio_proxy_log(vio(), 0)->desc[3].inflight = 1;
			fakeback_close(&b);
			/* Another one, and all is well. */
			fakeback_init(&b);
			fakeback_open(&b);
			CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), 0);
			CHECK_EQ(vio_proxy_log(vio(), 0)->desc[3].inflight, 0);
			CHECK_EQ(fg_in(&g, FG_STATUS), 0);
			do_all();
			CHECK_EQ(g.f.dev_events[MACH_DEV_LOST], 1);
			CHECK_EQ(b.enabled[0], 1);
			fg_close(&g);
			fakeback_close(&b);
		}
	CHECK_EQ(tap_fds(), n);
}

/* T13: what the parent says of it counts, before and after it is lost. */
static void
dies(bool told_first)
{
	struct err e;

	fakeback_init(&b);
	REQUIRE(up(&vio_proxy_blk, &e));
	fg_up(&g, VIO_F_VERSION_1, 64);
	if (told_first)
		virtio_pci_gone(g.dev);
	CHECK_EQ(virtio_pci_lingers(g.dev), 0);
	shutdown(b.end, SHUT_RDWR);
	while (g.f.dev_events[MACH_DEV_LOST] == 0)
		fakemach_poll(&g.f, 1000);
	CHECK_EQ(virtio_pci_lingers(g.dev) == 0, told_first);
	fg_out(&g, FG_STATUS, 0);
	CHECK_EQ(fg_in(&g, FG_STATUS) == 0, told_first);
	vio_proxy_log(vio(), 0)->desc[3].inflight = 1;
	virtio_pci_gone(g.dev);
	CHECK_EQ(fg_in(&g, FG_STATUS), 0);
	CHECK_EQ(virtio_pci_lingers(g.dev), 0);
	CHECK_EQ(vio_proxy_log(vio(), 0)->desc[3].inflight, told_first);
	fakeback_close(&b);
	/* It was said of that one. */
	fakeback_init(&b);
	fakeback_open(&b);
	CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), 0);
	shutdown(b.end, SHUT_RDWR);
	while (g.f.dev_events[MACH_DEV_LOST] == 1)
		fakemach_poll(&g.f, 1000);
	CHECK(virtio_pci_lingers(g.dev) > 0);
	fg_close(&g);
	fakeback_close(&b);
}

static void
told(void)
{
	dies(false);
	dies(true);
}

/* One that is less than the one before is none; its guest has to be told. */
static void
worse(void)
{
	struct err e;

	fakeback_init(&b);
	CHECK(up(&vio_proxy_blk, &e));
	fg_up(&g, VIO_F_VERSION_1 | 1ull << 9, 64);
	shutdown(b.end, SHUT_RDWR);
	while (fakemach_poll(&g.f, 5000) > 0 && vio_proxy_there(vio()))
		;
	CHECK(!vio_proxy_there(vio()));
	fakeback_close(&b);
	fakeback_init(&b);
	b.features &= ~(1ull << 9);
	fakeback_open(&b);
	CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), -1);
	CHECK_MSG(strstr(e.text, "0x200") != NULL, "%s", e.text);
	CHECK(fg_needs_reset(&g));
	fakeback_close(&b);
	fakeback_init(&b);
	b.nqueues = 3;
	fakeback_open(&b);
	CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), -1);
	CHECK_MSG(strstr(e.text, "3 queues") != NULL, "%s", e.text);
	fakeback_close(&b);
	/* A larger disk is told as that. */
	fg_up(&g, VIO_F_VERSION_1, 64);
	fakeback_init(&b);
	b.cfg[0] = 16;
	fakeback_open(&b);
	CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), 0);
	CHECK_EQ(fg_in(&g, FG_GENERATION), 1);
	CHECK_EQ(fg_mem_in(&g, g.device.addr, 8), 16);
	fg_close(&g);
	fakeback_close(&b);
}

/* A process that says why it ends is quoted. */
static void
words(void)
{
	struct err e, said;

	fakeback_init(&b);
	b.fault = FB_CLOSE;
	b.fault_at = VHU_GET_FEATURES;
	err_set(&said, EACCES, "the image is not for us");
	devpage_err_put(&page, &said);
	atomic_store(&page.state, DEVP_FAILED);
	CHECK(!up(&vio_proxy_blk, &e));
	CHECK_MSG(strstr(e.text, "not for us") != NULL, "%s", e.text);
	atomic_store(&page.state, DEVP_RUNS);
	fakeback_close(&b);
}

static int
flags_of(int fd)
{
	return (fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
}

/* As a process does that its guest has taken over: the next write blocks. */
static void
fill(int efd)
{
	uint64_t n, full = UINT64_MAX - 1;
	int flags = flags_of(efd);

	CHECK_EQ(fcntl(efd, F_SETFL, flags | O_NONBLOCK), 0);
	if (read(efd, &n, sizeof(n)) == -1)
		CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(write(efd, &full, sizeof(full)), sizeof(full));
	CHECK_EQ(write(efd, &full, sizeof(full)), -1);
	CHECK_EQ(fcntl(efd, F_SETFL, flags), 0);
}

/* Kicked, held, let go on and replaced: nobody here waits; it is named. */
static void
filled(const struct vio_ops *ops, int flags)
{
	const struct vio_proxy *x;
	struct err e;
	unsigned i;

	fakeback_init(&b);
	REQUIRE(up(ops, &e));
	fg_up(&g, VIO_F_VERSION_1, 64);
	fakemach_run(&g.f, 4000000000ull); /* idle: no doorbell */
	x = vio()->state;
	for (i = 0; i < vio()->nqueues; i++)
		fill(x->kick_fd[i]);
	alarm(10);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	fakemach_run(&g.f, 0);
	fakemach_run(&g.f, 5000000000ull);
	CHECK_EQ(g.f.dev_events[MACH_DEV_HUNG], 1);
	dev_quiesce(g.dev);
	dev_resume(g.dev);
	CHECK(vio_proxy_there(vio()));
	shutdown(b.end, SHUT_RDWR);
	while (g.f.dev_events[MACH_DEV_LOST] == 0)
		fakemach_poll(&g.f, 1000);
	fakeback_close(&b);
	fakeback_init(&b);
	fakeback_open(&b);
	fill(x->kick_fd[0]);
	CHECK_EQ(virtio_pci_replace(g.dev, &b.sock, &e), 0);
	CHECK_EQ(b.enabled[0], 1);
	fill(x->call_fd[0]);
	fill(x->err_fd);
	fg_out(&g, FG_STATUS, 0);
	fg_out(&g, FG_STATUS, 0); /* there is nothing more to take */
	alarm(0);
	CHECK_EQ(flags_of(x->kick_fd[0]), flags);
	CHECK_EQ(flags_of(x->call_fd[0]), O_RDWR | O_NONBLOCK);
	CHECK_EQ(flags_of(x->err_fd), O_RDWR | O_NONBLOCK);
	fg_close(&g);
	fakeback_close(&b);
}

static void
full(void)
{
	filled(&vio_proxy_blk, O_RDWR);
	filled(&vio_proxy_fs, O_RDWR | O_NONBLOCK);
}

static const struct tap_case cases[] = {
	{ "front: a disk, from handshake to reset", handshake },
	{ "front: a back end that can do little", plain },
	{ "front: a share that tells no configuration", share },
	{ "front: numbers out of bounds", bounds },
	{ "front: wrong answers to the handshake", wrong_handshakes },
	{ "front: wrong answers later", wrong_answers },
	{ "T13 front: told that its process is dead", told },
	{ "front: replaced by one that is less", worse },
	{ "front: last words", words },
	{ "front: eventfds that the other process fills", full },
};
TAP_MAIN(cases)
