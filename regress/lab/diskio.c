/* SPDX-License-Identifier: ISC */
/*
 * What a Linux guest does to its disk, in one static program.
 *
 *	diskio verify DEVICE SECONDS THREADS [PAUSE]
 *	diskio bench DEVICE SECONDS
 *
 * verify: random reads and writes in a disk of zeros, for so long (0: until
 * there is a file /tmp/stop), each thread in MiB of its own: by turns direct,
 * through the page cache, direct and eight at once.  Every sector says where it
 * belongs and how often it was written, and the rest of it follows from that;
 * at the end all are read again.  Ends with 1 for a wrong byte or an error.
 * Each rests PAUSE milliseconds after a request or eight, where others need the
 * processors.
 *
 * bench: one line for each of eight ways to read and write: name and figure,
 * for so long each.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define WORDS (SECTOR / 8)
#define AREA_SECTORS 4096 /* of a thread: 2 MiB */
#define REQUEST_SECTORS 64
#define DEPTH 16
#define THREADS_MAX 16
#define BATCH 8
#define FLUSH_EVERY 32

enum how { DIRECT, CACHED, AT_ONCE, HOW_N };

struct worker {
	pthread_t thread;
	enum how how;
	int fd;
	aio_context_t aio;
	uint64_t first; /* sector */
	uint32_t *age;  /* of each sector: how often it was written */
	uint64_t *data; /* DEPTH buffers */
	uint64_t random;
	unsigned long reads, writes, flushes, bad;
};

static atomic_bool stop;
static unsigned pause_ms;

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (*x);
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static uint64_t *
aligned(size_t bytes)
{
	void *p;

	if (posix_memalign(&p, 4096, bytes) != 0)
		err(1, "memory");
	memset(p, 0x55, bytes);
	return (p);
}

/* ---- What is in a sector ---------------------------------------------------- */

/* Never written: zeros. */
static void
sector_fill(uint64_t *w, uint64_t sector, uint32_t age)
{
	uint64_t x = (sector + 1) * 0x9e3779b97f4a7c15ull ^ age;
	unsigned i;

	if (age == 0) {
		memset(w, 0, SECTOR);
		return;
	}
	w[0] = sector;
	w[1] = age;
	for (i = 2; i < WORDS; i++)
		w[i] = next(&x);
}

static void
sector_check(struct worker *w, const uint64_t *got, unsigned i)
{
	uint64_t want[WORDS];

	sector_fill(want, w->first + i, w->age[i]);
	if (memcmp(got, want, SECTOR) == 0)
		return;
	if (w->bad++ == 0)
		printf("diskio: sector %llu, written %u times: found %llu, "
		       "%llu (how %u)\n",
		    (unsigned long long)(w->first + i), w->age[i],
		    (unsigned long long)got[0], (unsigned long long)got[1],
		    (unsigned)w->how);
}

static void
failed(struct worker *w, const char *what, long got)
{
	if (w->bad++ == 0)
		printf("diskio: %s: %s\n", what,
		    got >= 0 ? "short" : strerror(errno));
}

/* ---- verify ----------------------------------------------------------------- */

static uint64_t *
buffer(struct worker *w, unsigned n)
{
	return (w->data + n * REQUEST_SECTORS * WORDS);
}

/* A request within sectors [from, from + span) of the area. */
static struct iocb
request(struct worker *w, unsigned n, unsigned from, unsigned span)
{
	unsigned at, i, sectors;
	struct iocb cb;

	sectors = 1 + (unsigned)(next(&w->random) % REQUEST_SECTORS);
	at = from + (unsigned)(next(&w->random) % (span - sectors + 1));
	memset(&cb, 0, sizeof(cb));
	cb.aio_data = n;
	cb.aio_fildes = (uint32_t)w->fd;
	cb.aio_buf = (uintptr_t)buffer(w, n);
	cb.aio_nbytes = sectors * SECTOR;
	cb.aio_offset = (int64_t)((w->first + at) * SECTOR);
	cb.aio_lio_opcode = IOCB_CMD_PREAD;
	if (next(&w->random) % 2 == 0)
		return (cb);
	cb.aio_lio_opcode = IOCB_CMD_PWRITE;
	for (i = at; i < at + sectors; i++)
		sector_fill(
		    buffer(w, n) + (i - at) * WORDS, w->first + i, ++w->age[i]);
	return (cb);
}

static void
done(struct worker *w, const struct iocb *cb, long got)
{
	unsigned at, i;

	if (got != (long)cb->aio_nbytes) {
		failed(w,
		    cb->aio_lio_opcode == IOCB_CMD_PREAD ? "read" : "write",
		    got);
		return;
	}
	if (cb->aio_lio_opcode == IOCB_CMD_PWRITE) {
		w->writes++;
		return;
	}
	w->reads++;
	at = (unsigned)((uint64_t)cb->aio_offset / SECTOR - w->first);
	for (i = 0; i < cb->aio_nbytes / SECTOR; i++)
		sector_check(
		    w, buffer(w, (unsigned)cb->aio_data) + i * WORDS, at + i);
}

static void
one(struct worker *w)
{
	struct iocb cb = request(w, 0, 0, AREA_SECTORS);

	if (cb.aio_lio_opcode == IOCB_CMD_PREAD)
		done(w, &cb,
		    pread(w->fd, buffer(w, 0), cb.aio_nbytes, cb.aio_offset));
	else
		done(w, &cb,
		    pwrite(w->fd, buffer(w, 0), cb.aio_nbytes, cb.aio_offset));
}

static void
batch(struct worker *w)
{
	unsigned i, span = AREA_SECTORS / BATCH;
	struct iocb cb[BATCH], *list[BATCH];
	struct io_event ev[BATCH];

	for (i = 0; i < BATCH; i++) {
		cb[i] = request(w, i, i * span, span);
		list[i] = &cb[i];
	}
	if (syscall(SYS_io_submit, w->aio, BATCH, list) != BATCH ||
	    syscall(SYS_io_getevents, w->aio, BATCH, BATCH, ev, NULL) != BATCH)
		err(1, "aio");
	for (i = 0; i < BATCH; i++) {
		errno = (int)-ev[i].res;
		done(w, &cb[ev[i].data], ev[i].res);
	}
}

static void
flush(struct worker *w)
{
	w->flushes++;
	if (fdatasync(w->fd) == -1)
		failed(w, "flush", -1);
	if (w->how == CACHED)
		posix_fadvise(w->fd, (off_t)w->first * SECTOR,
		    AREA_SECTORS * SECTOR, POSIX_FADV_DONTNEED);
}

static void
all_again(struct worker *w)
{
	unsigned i, j;

	for (i = 0; i < AREA_SECTORS; i += REQUEST_SECTORS) {
		if (pread(w->fd, w->data, REQUEST_SECTORS * SECTOR,
			(off_t)(w->first + i) * SECTOR) !=
		    REQUEST_SECTORS * SECTOR)
			failed(w, "last read", -1);
		for (j = 0; j < REQUEST_SECTORS; j++)
			sector_check(w, w->data + j * WORDS, i + j);
	}
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	unsigned long n;

	for (n = 0; !atomic_load(&stop) && w->bad == 0; n++) {
		if (w->how == AT_ONCE)
			batch(w);
		else
			one(w);
		if (n % FLUSH_EVERY == FLUSH_EVERY - 1)
			flush(w);
		if (pause_ms > 0)
			usleep(pause_ms * 1000);
	}
	flush(w);
	all_again(w);
	return (NULL);
}

static void
worker_start(struct worker *w, const char *device, unsigned n)
{
	w->how = n % HOW_N;
	w->first = (uint64_t)n * AREA_SECTORS;
	w->random = (n + 1) * 0xbf58476d1ce4e5b9ull;
	w->age = calloc(AREA_SECTORS, sizeof(*w->age));
	w->data = aligned(DEPTH * REQUEST_SECTORS * SECTOR);
	w->fd = open(device, O_RDWR | (w->how == CACHED ? 0 : O_DIRECT));
	if (w->age == NULL || w->fd == -1)
		err(1, "%s", device);
	if (w->how == AT_ONCE && syscall(SYS_io_setup, BATCH, &w->aio) == -1)
		err(1, "io_setup");
	if (pthread_create(&w->thread, NULL, work, w) != 0)
		errx(1, "no thread");
}

static int
verify(const char *device, unsigned seconds, unsigned threads)
{
	static struct worker w[THREADS_MAX];
	unsigned long reads = 0, writes = 0, flushes = 0, bad = 0;
	double end = now_s() + seconds;
	unsigned i;

	if (threads == 0 || threads > THREADS_MAX)
		errx(1, "1 to %u threads", THREADS_MAX);
	for (i = 0; i < threads; i++)
		worker_start(&w[i], device, i);
	while (seconds != 0 ? now_s() < end : access("/tmp/stop", F_OK) == -1)
		usleep(100000);
	atomic_store(&stop, true);
	for (i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		reads += w[i].reads;
		writes += w[i].writes;
		flushes += w[i].flushes;
		bad += w[i].bad;
	}
	printf("diskio: %lu reads, %lu writes, %lu flushes, %lu bad\n", reads,
	    writes, flushes, bad);
	return (bad != 0 || reads == 0 || writes == 0);
}

/* ---- bench ------------------------------------------------------------------ */

struct way {
	const char *name, *unit;
	bool write, random;
	unsigned depth, bytes;
};

static const struct way ways[] = {
	{ "seq_write_128k_1", "MB/s", true, false, 1, 131072 },
	{ "seq_write_128k_16", "MB/s", true, false, 16, 131072 },
	{ "seq_read_128k_1", "MB/s", false, false, 1, 131072 },
	{ "seq_read_128k_16", "MB/s", false, false, 16, 131072 },
	{ "random_write_4k_1", "1/s", true, true, 1, 4096 },
	{ "random_write_4k_16", "1/s", true, true, 16, 4096 },
	{ "random_read_4k_1", "1/s", false, true, 1, 4096 },
	{ "random_read_4k_16", "1/s", false, true, 16, 4096 },
};

struct bench {
	const struct way *way;
	int fd;
	aio_context_t aio;
	uint64_t blocks, n, random;
	uint64_t *data;
	struct iocb cb[DEPTH];
};

static void
submit(struct bench *b, unsigned i)
{
	const struct way *way = b->way;
	struct iocb *cb = &b->cb[i];
	uint64_t at;

	at = (way->random ? next(&b->random) : b->n) % b->blocks;
	b->n++;
	memset(cb, 0, sizeof(*cb));
	cb->aio_data = i;
	cb->aio_fildes = (uint32_t)b->fd;
	cb->aio_lio_opcode = way->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
	cb->aio_buf = (uintptr_t)b->data + i * way->bytes;
	cb->aio_nbytes = way->bytes;
	cb->aio_offset = (int64_t)(at * way->bytes);
	if (syscall(SYS_io_submit, b->aio, 1, &cb) != 1)
		err(1, "io_submit");
}

static void
reap(struct bench *b, bool again)
{
	struct io_event ev[DEPTH];
	long i, n;

	n = syscall(SYS_io_getevents, b->aio, 1, DEPTH, ev, NULL);
	if (n < 1)
		err(1, "io_getevents");
	for (i = 0; i < n; i++) {
		if (ev[i].res != (int64_t)b->way->bytes)
			errx(1, "%s: %lld", b->way->name, (long long)ev[i].res);
		if (again)
			submit(b, (unsigned)ev[i].data);
	}
}

static void
bench_way(struct bench *b, const struct way *way, off_t bytes, double seconds)
{
	double start, took;
	unsigned i;

	b->way = way;
	b->blocks = (uint64_t)bytes / way->bytes;
	b->n = 0;
	start = now_s();
	for (i = 0; i < way->depth; i++)
		submit(b, i);
	while ((took = now_s() - start) < seconds)
		reap(b, true);
	/* Those that are still under way count for nothing. */
	printf("%s %.1f %s\n", way->name,
	    (double)(b->n - way->depth) / took *
		(way->random ? 1 : way->bytes / 1e6),
	    way->unit);
	fflush(stdout);
	syscall(SYS_io_destroy, b->aio);
	b->aio = 0;
	if (syscall(SYS_io_setup, DEPTH, &b->aio) == -1)
		err(1, "io_setup");
}

static int
bench(const char *device, double seconds)
{
	struct bench b = { .random = 88172645463325252ull };
	size_t i;
	off_t bytes;

	b.data = aligned(DEPTH * 131072);
	if ((b.fd = open(device, O_RDWR | O_DIRECT)) == -1 ||
	    (bytes = lseek(b.fd, 0, SEEK_END)) == -1 ||
	    syscall(SYS_io_setup, DEPTH, &b.aio) == -1)
		err(1, "%s", device);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		bench_way(&b, &ways[i], bytes, seconds);
	return (0);
}

int
main(int argc, char **argv)
{
	if (argc == 6)
		pause_ms = (unsigned)atoi(argv[5]);
	if ((argc == 5 || argc == 6) && strcmp(argv[1], "verify") == 0)
		return (verify(
		    argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4])));
	if (argc == 4 && strcmp(argv[1], "bench") == 0)
		return (bench(argv[2], atof(argv[3])));
	errx(2,
	    "usage: diskio verify DEVICE SECONDS THREADS\n"
	    "       diskio bench DEVICE SECONDS");
}
