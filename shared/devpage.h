/* SPDX-License-Identifier: ISC */
/*
 * The page of a device process: what the parent tells it, its figures, its
 * words.  A sealed memfd that the parent makes and the device process, its vm
 * process and control map.  Nobody trusts what another wrote there: numbers are
 * shown, words are copied once and cleaned.
 */
#ifndef SHARED_DEVPAGE_H
#define SHARED_DEVPAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "shared/err.h"

#define DEVPAGE_BYTES 4096
#define DEVPAGE_MAGIC 0x65676170u /* "page" */
#define DEVPAGE_QUEUES 16
#define DEVPAGE_SERIAL_BYTES 20 /* virtio 1.2, 5.2.6.1 */
#define DEVPAGE_TEXT_BYTES 124
#define DEVPAGE_HIST 32

enum dev_kind {
	DEV_BLK = 1,
	DEV_FS,
};

/* What a device does with an error of its host. */
enum dev_on_error {
	DEV_ERROR_PAUSE_ENOSPC, /* pause when the host is full, else report */
	DEV_ERROR_REPORT,
	DEV_ERROR_PAUSE,
	DEV_ERROR_N,
};

/* Written by the parent, before each start of the process, and only then. */
struct devpage_conf {
	uint32_t magic, kind, nqueues; /* nqueues: 1..DEVPAGE_QUEUES */
	uint8_t readonly, direct, on_error, pad;
	char serial[DEVPAGE_SERIAL_BYTES]; /* NUL-padded, not terminated */
};
_Static_assert(sizeof(struct devpage_conf) == 36, "the page");

enum devpage_state {
	DEVP_START, /* not yet open */
	DEVP_RUNS,
	DEVP_STUCK,  /* err says why: a request waits for its host */
	DEVP_FAILED, /* err says why: the process is ending */
};

/* Last words: seq is odd while they are being written. */
struct devpage_err {
	_Atomic uint32_t seq;
	int32_t code;
	char text[DEVPAGE_TEXT_BYTES];
};

struct devpage {
	struct devpage_conf conf;
	_Atomic uint32_t state; /* enum devpage_state */
	struct devpage_err err;
	/* Figures: written by the device's threads. */
	_Atomic uint64_t reads, writes, flushes, discards, errors;
	_Atomic uint64_t read_bytes, write_bytes;
	_Atomic uint64_t inflight; /* now */
	_Atomic uint64_t broken_rings;
	/* 1: a flush failed; no later one of this image is believed. */
	_Atomic uint64_t lost;
	/* [n]: how many took 2^n to 2^(n+1) - 1 us; [0]: 0 us too. */
	_Atomic uint64_t flush_hist[DEVPAGE_HIST], io_hist[DEVPAGE_HIST];
};
_Static_assert(sizeof(struct devpage) <= DEVPAGE_BYTES, "the page");

/* Copy of the configuration, checked. */
int devpage_conf_get(
    const struct devpage *, struct devpage_conf *, struct err *);

/* Words: one writer at a time; text that does not fit is cut. */
void devpage_err_put(struct devpage *, const struct err *);
/*
 * The words, once, terminated and printable; code 0: there are none, or the
 * writer died in the middle.
 */
void devpage_err_get(const struct devpage *, struct err *);

/* Any thread. */
void devpage_count(_Atomic uint64_t *, uint64_t n);
void devpage_hist_add(_Atomic uint64_t hist[DEVPAGE_HIST], uint64_t ns);
/*
 * From a copy of a histogram (or the difference of two): the microseconds that
 * percent of all took no longer than; 0: nothing was counted.
 */
uint64_t devpage_percentile_us(
    const uint64_t hist[DEVPAGE_HIST], unsigned percent);

#endif
