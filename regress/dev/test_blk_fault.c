/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk on a host that fails: short transfers, errors at the nth call, a
 * full host, a flush that failed once, an image that shrinks, direct I/O.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/disk/raw_int.h"
#include "regress/lib/blkguest.h"
#include "regress/lib/faultsys.h"
#include "regress/lib/tap.h"

#define N 8 /* requests at once */

static struct blkguest g;

static bool
image_has(uint64_t off, size_t n, unsigned seed)
{
	uint8_t buf[65536];

	return (n <= sizeof(buf) &&
	    pread(g.fd, buf, n, (off_t)off) == (ssize_t)n &&
	    bg_same(buf, n, seed));
}

/* N requests of 4 KiB in one kick, each in slot, sector and place i. */
static void
ask(uint32_t type)
{
	unsigned i;

	for (i = 0; i < N; i++) {
		if (type == BLK_T_OUT)
			bg_fill(bg_ptr(&g, BG_DATA + i * 4096), 4096, i);
		bg_ask(&g, 0, i, type, i * 8, BG_DATA + i * 4096, 4096);
	}
	bg_kick(&g, 0);
}

static unsigned
used(void)
{
	uint32_t id, len;
	unsigned n = 0;

	while (bg_used(&g, 0, &id, &len))
		n++;
	return (n);
}

/* ---- Errors that are told to the guest ------------------------------------------ */

static void
short_one(bool aio, enum fs_call call, size_t cut)
{
	struct bg_conf c = { .aio = aio };
	enum fs_call then = aio ? FS_GETEVENTS : call;
	unsigned i;

	bg_open(&g, &c);
	faultsys_fail(then, 2, 3, 0, cut);
	faultsys_fail(call, 5, 5, 0, cut); /* and what is left, again */
	ask(BLK_T_OUT);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++) {
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
		CHECK(image_has(i * 4096, 4096, i));
	}
	memset(bg_ptr(&g, BG_DATA), 0, N * 4096);
	faultsys_fail(aio ? FS_GETEVENTS : FS_PREADV, 1, 7, 0, cut);
	ask(BLK_T_IN);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++)
		CHECK(bg_same(bg_ptr(&g, BG_DATA + i * 4096), 4096, i));
	CHECK_EQ(g.page.errors, 0);
	bg_close(&g);
}

static void
short_transfers(void)
{
	short_one(false, FS_PWRITEV, 1);
	short_one(false, FS_PWRITEV, 4095);
	short_one(true, FS_PWRITEV, 1);
	short_one(true, FS_PWRITEV, 512);
}

/* A transfer cut anywhere, over several buffers of the guest. */
static void
short_anywhere(void)
{
	struct bg_conf c = { 0 };
	struct bg_buf b[6] = { { BG_HEAD, 16, false }, { BG_DATA, 1, true },
		{ BG_DATA + 1, 510, true }, { BG_DATA + 511, 700, true },
		{ BG_DATA + 1211, 325, true }, { BG_HEAD + 20, 1, true } };
	uint32_t id, n;
	size_t cut;

	bg_open(&g, &c);
	bg_fill(bg_ptr(&g, BG_DATA), 1536, 5);
	CHECK_EQ(pwrite(g.fd, bg_ptr(&g, BG_DATA), 1536, 0), 1536);
	for (cut = 1; cut <= 1536; cut++) {
		memset(bg_ptr(&g, BG_DATA), 0, 1536);
		faultsys_reset();
		faultsys_fail(FS_PREADV, 1, 1, 0, cut);
		bg_put(&g, 0, b, 6);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &id, &n) && n == 1537);
		CHECK(bg_same(bg_ptr(&g, BG_DATA), 1536, 5));
	}
	bg_close(&g);
}

/* Signals come at any time; they are no error. */
static void
interrupted(void)
{
	struct bg_conf c = { 0 };
	struct blk_range *r;

	bg_open(&g, &c);
	faultsys_fail(FS_PWRITEV, 1, 3, EINTR, 0);
	faultsys_fail(FS_FDATASYNC, 1, 3, EINTR, 0);
	faultsys_fail(FS_FALLOCATE, 1, 3, EINTR, 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, BG_DATA, 512, NULL), BLK_S_OK);
	CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, NULL), BLK_S_OK);
	r = bg_ptr(&g, BG_DATA);
	*r = (struct blk_range){ 0, 8, 0 };
	CHECK_EQ(bg_do(&g, BLK_T_DISCARD, 0, BG_DATA, 16, NULL), BLK_S_OK);
	CHECK_EQ(faultsys.calls[FS_PWRITEV], 4);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], 4);
	CHECK_EQ(faultsys.calls[FS_FALLOCATE], 4);
	bg_close(&g);
}

/* The nth of N fails: that one alone, with its status alone written. */
static void
nth_error(bool aio, uint32_t type, int error)
{
	struct bg_conf c = {
		.aio = aio, .log = true, .on_error = DEV_ERROR_REPORT
	};
	enum fs_call call = aio ? FS_GETEVENTS
	    : type == BLK_T_IN  ? FS_PREADV
				: FS_PWRITEV;
	unsigned nth, i, bad;
	uint32_t id, len;

	for (nth = 1; nth <= N; nth++) {
		bg_open(&g, &c);
		faultsys_fail(call, nth, 1, error, 0);
		ask(type);
		for (i = bad = 0; i < N; i++) {
			CHECK(bg_used(&g, 0, &id, &len));
			bad += bg_status(&g, i) != BLK_S_OK;
			if (bg_status(&g, id / 3) == BLK_S_IOERR)
				CHECK_EQ(len, 1);
		}
		CHECK_EQ(bad, 1);
		CHECK_EQ(g.page.errors, 1);
		CHECK_EQ(g.stucks, 0);
		CHECK_EQ(g.page.inflight, 0);
		bg_close(&g);
	}
}

static void
errors(void)
{
	nth_error(false, BLK_T_IN, EIO);
	nth_error(false, BLK_T_OUT, EIO);
	nth_error(false, BLK_T_OUT, ENOSPC);
	nth_error(true, BLK_T_IN, EIO);
	nth_error(true, BLK_T_OUT, EIO);
	nth_error(true, BLK_T_OUT, ENOSPC);
}

/* io_submit(2) takes a part, or nothing: the rest is done the other way. */
static void
submit_short(void)
{
	static const struct {
		int error;
		size_t cut;
	} how[] = { { 0, 1 }, { 0, 3 }, { EAGAIN, 0 }, { EINVAL, 0 } };
	struct bg_conf c = { .aio = true };
	unsigned i, j;

	for (j = 0; j < sizeof(how) / sizeof(how[0]); j++) {
		bg_open(&g, &c);
		faultsys_fail(FS_SUBMIT, 1, 3, how[j].error, how[j].cut);
		ask(BLK_T_OUT);
		CHECK_EQ(used(), N);
		for (i = 0; i < N; i++) {
			CHECK_EQ(bg_status(&g, i), BLK_S_OK);
			CHECK(image_has(i * 4096, 4096, i));
		}
		CHECK_EQ(g.page.inflight, 0);
		bg_close(&g);
	}
}

/* ---- A host that is full -------------------------------------------------------- */

/* The other requests end; that one waits, and ends well when there is room. */
static void
stuck_one(bool aio, uint8_t on_error, int error)
{
	struct bg_conf c = { .aio = aio, .log = true, .on_error = on_error };
	unsigned i;

	bg_open(&g, &c);
	faultsys_fail(aio ? FS_GETEVENTS : FS_PWRITEV, 3, 2, error, 0);
	ask(BLK_T_OUT);
	CHECK_EQ(g.stucks, 1);
	CHECK_EQ(g.stuck.code, error);
	CHECK(strstr(g.stuck.text, "cannot write 4096 bytes at ") != NULL);
	CHECK(strstr(g.stuck.text, "unpause") != NULL);
	CHECK(strlen(g.stuck.text) < DEVPAGE_TEXT_BYTES);
	CHECK_EQ(used(), N - 2);
	CHECK_EQ(vq_inflight(&g.v.vq[0]), 2);
	CHECK_EQ(g.page.errors, 0);
	CHECK_EQ(g.page.inflight, 0);
	CHECK_EQ(bg_restart(&g, 0), 0);
	CHECK_EQ(g.stucks, 1);
	CHECK_EQ(used(), 2);
	for (i = 0; i < N; i++) {
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
		CHECK(image_has(i * 4096, 4096, i));
	}
	CHECK_EQ(vq_inflight(&g.v.vq[0]), 0);
	bg_close(&g);
}

static void
stuck(void)
{
	stuck_one(false, DEV_ERROR_PAUSE_ENOSPC, ENOSPC);
	stuck_one(false, DEV_ERROR_PAUSE_ENOSPC, EDQUOT);
	stuck_one(true, DEV_ERROR_PAUSE_ENOSPC, ENOSPC);
	stuck_one(false, DEV_ERROR_PAUSE, EIO);
	stuck_one(true, DEV_ERROR_PAUSE, EIO);
}

/* Still no room: stuck again, as often as it takes; one request alone. */
static void
stuck_again(void)
{
	struct bg_conf c = { .log = true };
	unsigned i;

	bg_open(&g, &c);
	faultsys_fail(FS_PWRITEV, 1, 5, ENOSPC, 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 9, BG_DATA, 512, NULL), 0xff);
	for (i = 2; i <= 5; i++) {
		CHECK_EQ(bg_restart(&g, 0), 0);
		CHECK_EQ(g.stucks, i);
		CHECK_EQ(used(), 0);
	}
	CHECK_STR(g.stuck.text,
	    "cannot write 512 bytes at 4608: No space left on device; "
	    "help it, then unpause");
	CHECK_EQ(bg_restart(&g, 0), 0);
	CHECK_EQ(used(), 1);
	CHECK_EQ(bg_status(&g, 0), BLK_S_OK);
	bg_close(&g);
}

/* Where nobody could bring it back, the guest is told. */
static void
stuck_nobody(void)
{
	struct bg_conf c = { 0 };

	bg_open(&g, &c);
	faultsys_fail(FS_PWRITEV, 1, 1, ENOSPC, 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, BG_DATA, 512, NULL), BLK_S_IOERR);
	CHECK_EQ(g.stucks, 0);
	bg_close(&g);
}

/* 64 KiB of file system under a disk of 1 MiB; then there is more. */
static void
full_really(bool aio)
{
	char dir[] = "/tmp/vmd-full.XXXXXX";
	struct bg_conf c = { .dir = dir, .aio = aio, .log = true };
	unsigned i, kicks;

	REQUIRE(mkdtemp(dir) != NULL);
	REQUIRE(mount("full", dir, "tmpfs", 0, "size=64k") == 0);
	bg_open(&g, &c);
	for (kicks = 0; g.stucks == 0 && kicks < 32; kicks++)
		for (i = 0; i <= N; i++)
			if (i < N)
				bg_ask(&g, 0, i, BLK_T_OUT, (kicks * N + i) * 8,
				    BG_DATA, 4096);
			else
				bg_kick(&g, 0);
	CHECK_EQ(kicks, 3);
	CHECK_EQ(used(), 16);
	CHECK_EQ(g.stucks, 1);
	CHECK_EQ(g.stuck.code, ENOSPC);
	CHECK_EQ(g.page.errors, 0);
	CHECK_EQ(mount("full", dir, "tmpfs", MS_REMOUNT, "size=2m"), 0);
	CHECK_EQ(bg_restart(&g, 0), 0);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++)
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
	bg_close(&g);
	CHECK_EQ(umount(dir), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static void
full(void)
{
	if (unshare(CLONE_NEWNS) == -1 &&
	    unshare(CLONE_NEWNS | CLONE_NEWUSER) == -1) {
		tap_skip("no mounts of its own here");
		return;
	}
	REQUIRE(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	full_really(false);
	full_really(true);
}

/* ---- Flush ----------------------------------------------------------------------- */

/* One failure, and no flush is believed again; reading goes on. */
static void
flush_failed(void)
{
	struct bg_conf c = { .log = true, .on_error = DEV_ERROR_PAUSE };
	unsigned i;

	bg_open(&g, &c);
	CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, NULL), BLK_S_OK);
	faultsys_fail(FS_FDATASYNC, 1, 1, EIO, 0);
	for (i = 0; i < 5; i++)
		CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, NULL), BLK_S_IOERR);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], 2);
	CHECK_EQ(bg_do(&g, BLK_T_IN, 0, BG_DATA, 512, NULL), BLK_S_OK);
	CHECK_EQ(g.page.errors, 5);
	CHECK_EQ(g.stucks, 0);
	CHECK_EQ(g.page.lost, 1);
	bg_close(&g);
	c.lost = true; /* another process takes over, with that page */
	bg_open(&g, &c);
	CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, NULL), BLK_S_IOERR);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], 0);
	bg_close(&g);
	c.lost = false;
	bg_open(&g, &c); /* opened again */
	CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, NULL), BLK_S_OK);
	bg_close(&g);
}

/* All flushes of a kick are one, behind the writes that came with them. */
static void
flush_many(void)
{
	struct bg_conf c = { .aio = true };
	unsigned i;

	bg_open(&g, &c);
	for (i = 0; i < N; i++)
		bg_ask(&g, 0, i, i & 1 ? BLK_T_FLUSH : BLK_T_OUT, i, BG_DATA,
		    i & 1 ? 0 : 512);
	bg_kick(&g, 0);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++)
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], 1);
	CHECK_EQ(faultsys.calls[FS_SUBMIT], 1);
	CHECK_EQ(g.page.flushes, N / 2);
	bg_close(&g);
}

/* 5.2.6.2: who cannot flush has each write on the medium when it ends. */
static void
write_through(bool aio)
{
	struct bg_conf c = { .aio = aio, .features = BLK_F_FLUSH };
	unsigned i, nsync = 0;

	bg_open(&g, &c);
	ask(BLK_T_OUT);
	CHECK_EQ(used(), N);
	CHECK_EQ(faultsys.nops, 2 * N);
	for (i = 0; i < faultsys.nops; i++) {
		CHECK(
		    faultsys.op[i].call == (i & 1 ? FS_FDATASYNC : FS_PWRITEV));
		nsync += faultsys.op[i].call == FS_FDATASYNC;
	}
	CHECK_EQ(nsync, N);
	ask(BLK_T_IN);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], N);
	CHECK_EQ(used(), N);
	faultsys_fail(FS_FDATASYNC, 1, 1, EIO, 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, BG_DATA, 512, NULL), BLK_S_IOERR);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, BG_DATA, 512, NULL), BLK_S_IOERR);
	bg_close(&g);
}

static void
stable_writes(void)
{
	write_through(false);
	write_through(true);
}

/* It waits, or has ended. */
static bool
sleeps(int tid)
{
	char path[64], line[256] = "", state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if ((f = fopen(path, "r")) == NULL)
		return (true);
	if (fgets(line, sizeof(line), f) != NULL && strrchr(line, ')') != NULL)
		state = strrchr(line, ')')[2];
	fclose(f);
	return (state == 'S');
}

/* Many at once are done by few, and none before it began. */
#define FLUSHERS 8
static _Atomic int flusher_tid[FLUSHERS];
static struct {
	pthread_mutex_t mtx;
	unsigned running, most, calls;
} slow = { .mtx = PTHREAD_MUTEX_INITIALIZER };

static bool
others_sleep(void)
{
	unsigned i;
	int tid;

	for (i = 0; i < FLUSHERS; i++) {
		tid = atomic_load(&flusher_tid[i]);
		if (tid == 0 || (tid != gettid() && !sleeps(tid)))
			return (false);
	}
	return (true);
}

/* So slow that all others have come to wait for it, or are in it as well. */
static int
slow_flush(struct disk *d)
{
	bool alone = true;

	(void)d;
	pthread_mutex_lock(&slow.mtx);
	slow.calls++;
	if (++slow.running > slow.most)
		slow.most = slow.running;
	pthread_mutex_unlock(&slow.mtx);
	while (alone && !others_sleep()) {
		sched_yield();
		pthread_mutex_lock(&slow.mtx);
		alone = slow.most == 1;
		pthread_mutex_unlock(&slow.mtx);
	}
	pthread_mutex_lock(&slow.mtx);
	slow.running--;
	pthread_mutex_unlock(&slow.mtx);
	return (slow.calls < 20 ? 0 : -1);
}

struct flusher {
	unsigned n;
	int failed;
};

static void *
flusher(void *arg)
{
	struct flusher *f = arg;
	int i;

	atomic_store(&flusher_tid[f->n], gettid());
	for (i = 0; i < 20; i++)
		if (disk_flush(&bg_blk(&g)->disk) == -1)
			f->failed++;
		else if (f->failed > 0)
			f->failed = -1000; /* believed again */
	return (NULL);
}

static void
flush_together(void)
{
	struct disk_ops ops = disk_raw;
	struct bg_conf c = { 0 };
	struct flusher f[FLUSHERS] = { 0 };
	pthread_t t[FLUSHERS];
	unsigned i;

	bg_open(&g, &c);
	ops.flush = slow_flush;
	bg_blk(&g)->disk.ops = &ops;
	for (i = 0; i < FLUSHERS; i++) {
		f[i].n = i;
		pthread_create(&t[i], NULL, flusher, &f[i]);
	}
	for (i = 0; i < FLUSHERS; i++) {
		pthread_join(t[i], NULL);
		CHECK(f[i].failed > 0);
	}
	CHECK_EQ(slow.most, 1);
	CHECK_EQ(slow.calls, 20);
	bg_blk(&g)->disk.ops = &disk_raw;
	bg_close(&g);
}

/* One that was under way when it came is not its own. */
static _Atomic int late_tid;

static int
count_flush(struct disk *d)
{
	(void)d;
	slow.calls++;
	return (0);
}

static void *
late_main(void *arg)
{
	atomic_store(&late_tid, gettid());
	*(int *)arg = disk_flush(&bg_blk(&g)->disk);
	return (NULL);
}

static void
flush_late(void)
{
	struct disk_ops ops = disk_raw;
	struct bg_conf c = { 0 };
	struct disk_flusher *f;
	pthread_t t;
	int ret = -1;

	bg_open(&g, &c);
	ops.flush = count_flush;
	bg_blk(&g)->disk.ops = &ops;
	f = &bg_blk(&g)->disk.flusher;
	slow.calls = 0;
	f->begun = 1; /* as if another thread were in it */
	pthread_create(&t, NULL, late_main, &ret);
	while (atomic_load(&late_tid) == 0 || !sleeps(late_tid))
		sched_yield();
	CHECK_EQ(slow.calls, 0);
	pthread_mutex_lock(&f->mtx);
	f->ended = 1;
	pthread_cond_broadcast(&f->done);
	pthread_mutex_unlock(&f->mtx);
	pthread_join(t, NULL);
	CHECK_EQ(ret, 0);
	CHECK_EQ(slow.calls, 1);
	bg_blk(&g)->disk.ops = &disk_raw;
	bg_close(&g);
}

/* ---- The image ---------------------------------------------------------------------- */

/* T50: it shrinks; what is left serves, what is gone is an error. */
static void
shrinks(bool aio)
{
	struct bg_conf c = { .aio = aio };
	unsigned i;

	bg_open(&g, &c);
	ask(BLK_T_OUT);
	CHECK_EQ(used(), N);
	CHECK_EQ(ftruncate(g.fd, 4096 * 3 + 100), 0);
	ask(BLK_T_IN);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++)
		CHECK_EQ(bg_status(&g, i), i < 3 ? BLK_S_OK : BLK_S_IOERR);
	CHECK_EQ(ftruncate(g.fd, 0), 0);
	CHECK_EQ(bg_do(&g, BLK_T_IN, 0, BG_DATA, 512, NULL), BLK_S_IOERR);
	CHECK_EQ(ftruncate(g.fd, 1 << 20), 0);
	CHECK_EQ(bg_do(&g, BLK_T_IN, 0, BG_DATA, 512, NULL), BLK_S_OK);
	CHECK_EQ(g.page.errors, N - 3 + 1);
	bg_close(&g);
}

static void
shrunk(void)
{
	shrinks(false);
	shrinks(true);
}

/* A limit of file sizes is an error, where the signal is ignored. */
static void
file_limit(void)
{
	struct rlimit was, now;
	struct bg_conf c = { 0 };

	bg_open(&g, &c);
	getrlimit(RLIMIT_FSIZE, &was);
	now = was;
	now.rlim_cur = 8192;
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &now), 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 15, BG_DATA, 512, NULL), BLK_S_OK);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 16, BG_DATA, 512, NULL), BLK_S_IOERR);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 12, BG_DATA, 4096, NULL), BLK_S_IOERR);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 16, BG_DATA, 512, NULL), BLK_S_OK);
	signal(SIGXFSZ, SIG_DFL);
	bg_close(&g);
}

/* ---- Direct I/O ---------------------------------------------------------------------- */

static struct raw *
raw(void)
{
	return (bg_blk(&g)->disk.state);
}

/* Buffers at every address, of odd lengths; sectors smaller than blocks. */
static void
direct_one(uint32_t off_align, bool aio)
{
	struct bg_conf c = { .direct = true, .aio = aio };
	uint64_t at, sector;
	struct bg_buf b[4] = { { BG_HEAD, 16, false } };
	uint32_t id, n, len, part;
	unsigned i;
	uint8_t *h;

	if ((c.dir = bg_direct_dir()) == NULL)
		return;
	bg_open(&g, &c);
	REQUIRE(raw()->bounce != NULL); /* any file system does this here */
	CHECK(fcntl(bg_blk(&g)->disk.fd[0], F_GETFL) & O_DIRECT);
	raw()->off_align = off_align;
	h = bg_ptr(&g, BG_HEAD);
	for (i = 0; i < 300; i++) {
		sector = (i * 37) % 1024;
		len = 512 * (1 + (i * 5) % 64);
		at = BG_DATA + (i % 3 == 0 ? 0 : i % 512);
		part = i % 5 == 0 ? len / 2 : (i * 13) % len;
		memset(h, 0, 32);
		h[0] = BLK_T_OUT;
		memcpy(h + 8, &sector, 8);
		bg_fill(bg_ptr(&g, at), len, i);
		b[1] = (struct bg_buf){ at, part, false };
		b[2] = (struct bg_buf){ at + part, len - part, false };
		b[3] = (struct bg_buf){ BG_HEAD + 16, 1, true };
		bg_put(&g, 0, b, 4);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &id, &n) && n == 1 && h[16] == 0);
		memset(bg_ptr(&g, at), 0, len);
		h[0] = BLK_T_IN;
		b[1].in = b[2].in = true;
		bg_put(&g, 0, b, 4);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &id, &n) && n == len + 1 && h[16] == 0);
		CHECK(bg_same(bg_ptr(&g, at), len, i));
		CHECK(image_has(sector * 512, len, i));
	}
	CHECK_EQ(g.page.errors, 0);
	bg_close(&g);
}

static void
direct(void)
{
	direct_one(512, false);
	direct_one(512, true);
	direct_one(4096, false);
}

/* Neighbours of half a block keep what they had, larger than the bounce. */
static void
direct_blocks(void)
{
	struct bg_conf c = { .direct = true };
	uint32_t len = RAW_BOUNCE_BYTES * 2 + 1024;

	if ((c.dir = bg_direct_dir()) == NULL)
		return;
	bg_open(&g, &c);
	raw()->off_align = 4096;
	raw()->mem_align = 4096;
	bg_fill(bg_ptr(&g, BG_DATA), 1 << 20, 1);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, BG_DATA, 1 << 20, NULL), BLK_S_OK);
	bg_fill(bg_ptr(&g, BG_DATA), len, 2);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 3, BG_DATA, len, NULL), BLK_S_OK);
	bg_fill(bg_ptr(&g, BG_DATA + (1 << 20)), 1 << 20, 1);
	memcpy(bg_ptr(&g, BG_DATA + (1 << 20) + 3 * 512), bg_ptr(&g, BG_DATA),
	    len);
	CHECK_EQ(bg_do(&g, BLK_T_IN, 0, BG_DATA, 1 << 20, NULL), BLK_S_OK);
	CHECK_EQ(memcmp(bg_ptr(&g, BG_DATA), bg_ptr(&g, BG_DATA + (1 << 20)),
		     1 << 20),
	    0);
	bg_close(&g);
}

/* The host refuses what it said it takes: by the bounce buffer then. */
static void
direct_refused(bool aio)
{
	struct bg_conf c = { .direct = true, .aio = aio };
	unsigned i;

	if ((c.dir = bg_direct_dir()) == NULL)
		return;
	bg_open(&g, &c);
	faultsys_fail(aio ? FS_GETEVENTS : FS_PWRITEV, 1, 1, EINVAL, 0);
	if (aio)
		faultsys_fail(FS_PWRITEV, 1, 1, EINVAL, 0);
	ask(BLK_T_OUT);
	CHECK_EQ(used(), N);
	for (i = 0; i < N; i++) {
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
		CHECK(image_has(i * 4096, 4096, i));
	}
	faultsys_fail(FS_PREADV, 1, 1, EIO, 0);
	raw()->off_align = 4096; /* a whole block is read first */
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 1, BG_DATA, 512, NULL), BLK_S_IOERR);
	faultsys_fail(FS_PWRITEV, 1, 1, EIO, 0);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 1, BG_DATA, 512, NULL), BLK_S_IOERR);
	bg_close(&g);
}

static void
direct_einval(void)
{
	direct_refused(false);
	direct_refused(true);
}

static const struct tap_case cases[] = {
	{ "blk: short reads and writes", short_transfers },
	{ "blk: short at every byte", short_anywhere },
	{ "blk: interrupted calls", interrupted },
	{ "blk: an error at the nth request", errors },
	{ "blk: io_submit takes less", submit_short },
	{ "blk: a full host, and room again", stuck },
	{ "blk: a file system that is full", full },
	{ "blk: stuck again and again", stuck_again },
	{ "blk: stuck without a log", stuck_nobody },
	{ "blk: a failed flush is not forgotten", flush_failed },
	{ "blk: flushes of a kick are one", flush_many },
	{ "blk: without flush, writes are stable", stable_writes },
	{ "blk: flushes of many threads", flush_together },
	{ "blk: a flush that came late", flush_late },
	{ "T50 blk: the image shrinks", shrunk },
	{ "blk: a limit of file sizes", file_limit },
	{ "blk: direct I/O of any buffers", direct },
	{ "blk: direct I/O of parts of blocks", direct_blocks },
	{ "blk: direct I/O that is refused", direct_einval },
};
TAP_MAIN(cases)
