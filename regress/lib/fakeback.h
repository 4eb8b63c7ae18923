/* SPDX-License-Identifier: ISC */
/*
 * A vhost-user back end that serves no ring: it answers in a thread as it
 * should, but for one kind of request, which it gets wrong in one way.
 */
#ifndef REGRESS_FAKEBACK_H
#define REGRESS_FAKEBACK_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/vhu/wire.h"

enum fb_fault {
	FB_NONE,
	FB_CLOSE,   /* closes instead */
	FB_HALF,    /* closes in the middle of the answer */
	FB_SILENT,  /* says nothing */
	FB_OTHER,   /* answers another request */
	FB_REQUEST, /* the answer is none */
	FB_VERSION, /* of another version */
	FB_SHORT,   /* four bytes */
	FB_LONG,    /* eight bytes more */
	FB_HUGE,    /* says that four gigabytes follow */
	FB_FDS,     /* with fds where none belong */
	FB_VALUE,   /* all ones */
	FB_FAULTS,
};

struct fakeback {
	/* What it is; set before fakeback_open(). */
	uint64_t features, protocol;
	uint64_t nqueues;
	uint8_t cfg[VHU_CONFIG_MAX];
	enum fb_fault fault;
	uint32_t fault_at; /* enum vhu_request; 0: none */
	unsigned limit_ms; /* of the front end's patience; 0: 5 s */
	/* The front end's socket, until it is taken. */
	int sock;
	/* What it saw. */
	atomic_uint seen[64]; /* by request */
	_Atomic uint64_t agreed, status, acked;
	atomic_uint base[16], enabled[16];
	atomic_uint wrong; /* messages that are none */
	int end;
	pthread_t thread;
};

void fakeback_init(struct fakeback *);
void fakeback_open(struct fakeback *);
/* Waits for its end, which is that of the connection. */
void fakeback_close(struct fakeback *);

#endif
