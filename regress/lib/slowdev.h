/* SPDX-License-Identifier: ISC */
/*
 * A device for tests of the back end: it copies what it is asked to, and is slow
 * or stuck where we say so; and requests to it.
 */
#ifndef REGRESS_SLOWDEV_H
#define REGRESS_SLOWDEV_H

#include <stdatomic.h>

#include "regress/lib/fakefront.h"

#define SLOW_SIZE 64 /* of a ring, as requests and answers take it */

/* What it did since slow_open(), and how it shall be. */
extern struct slowdev {
	atomic_uint done, starts, resets;
	atomic_bool stuck; /* the host is full */
} slow;

/* The device behind a front end that has not said anything yet. */
void slow_open(struct fakefront *);

/* A gate before its answers; wait until n requests stand there. */
void slow_gate(bool closed);
void slow_gate_wait(unsigned n);

/* Request number n of a queue: a word to be copied. */
void slow_request(struct fakefront *, unsigned q, unsigned n);
/* n of them come back, each once, as they should be. */
void slow_answers(struct fakefront *, unsigned q, unsigned n);
/* n requests, a kick, their answers. */
void slow_round(struct fakefront *, unsigned q, unsigned n);

#endif
