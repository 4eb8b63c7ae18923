/* SPDX-License-Identifier: ISC */
/*
 * The page of counters that each vm process keeps and control maps read-only.
 * Each counter has one writer; readers take them one by one (relaxed), since
 * figures need not be of one instant.  Control trusts nothing in it: numbers
 * are shown, never used as sizes or indexes.
 */
#ifndef SHARED_FIGURES_H
#define SHARED_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>

#include "shared/proto.h"

#define FIGURES_MAGIC 0x73676966u /* "figs" */
#define FIGURES_VCPUS 64
#define FIGURES_BYTES 12288

struct figures_vcpu { /* written by its vCPU thread, */
	_Atomic uint64_t exits[EXIT_N];
	_Atomic uint64_t run_ns; /* this by the main thread, on SAMPLE */
	uint64_t pad[3];
};
_Static_assert(sizeof(struct figures_vcpu) == 128, "two cache lines");

struct figures {
	uint32_t magic, ncpus;
	_Atomic uint64_t resident_bytes; /* main thread, on SAMPLE */
	_Atomic uint64_t sampled_ns;     /* CLOCK_MONOTONIC of that */
	_Atomic uint64_t console_bytes;  /* under the UART's lock */
	uint64_t pad[12];
	struct figures_vcpu vcpu[FIGURES_VCPUS];
};
_Static_assert(sizeof(struct figures) <= FIGURES_BYTES, "the page");

#endif
