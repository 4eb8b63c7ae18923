/* SPDX-License-Identifier: ISC */
/*
 * hv_fake: a hypervisor without a guest.  Each vCPU hands out the exits of its
 * script, in order, and then sleeps like a halted one until it is kicked.
 * For tests of everything above hv.h.
 */
#ifndef HV_FAKE_H
#define HV_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/hv/hv.h"

#define FAKE_VCPUS 64
#define FAKE_DATA_BYTES 4096
#define FAKE_EVENTFDS 64

struct fake_step {
	enum hv_exit_why why;
	bool write;
	uint8_t len_bytes;
	uint32_t count; /* 0: 1 */
	uint64_t addr;
	/* write: what the guest writes; read: what it must get, NULL: any */
	const void *data;
	uint32_t system;
	const char *text; /* HV_ERROR */
	int fail_errno;   /* != 0: run() returns -1 with it */
	bool hold;        /* wait here for fake_go() */
};

struct fake {
	struct {
		const struct fake_step *step;
		size_t nsteps;
	} script[FAKE_VCPUS];
	int fail_vm_open, fail_mark, fail_reset; /* errno, 0: works */
	/* What was done to it; lock. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned go, nlines, nmsis, nmarks, nresets, nboots, nkicks, nsettles;
	unsigned nholds, nreleases, nopen; /* nopen: vCPUs open now */
	unsigned wrong; /* reads that gave other data than the script */
	uint64_t wrong_addr, wrong_got;
	unsigned ndone; /* scripts that have ended */
	unsigned nheld; /* times that a vCPU stood at a step with hold set */
	unsigned last_gsi;
	bool level[64];                 /* of GSIs */
	struct hv_regs entry;           /* of the last boot() */
	int fail_irqfd, fail_ioeventfd; /* errno, 0: works */
	unsigned nroutes, nroute_calls;
	struct hv_route route[HV_ROUTES_MAX];
	struct fake_eventfd {
		int fd;  /* -1: free */
		bool io; /* a write at addr, else GSI addr */
		unsigned len_bytes;
		uint64_t addr;
	} eventfd[FAKE_EVENTFDS];
	unsigned neventfds; /* registered now */
	unsigned nkicked;   /* writes that went to an eventfd, not to run() */
	uint32_t last_data; /* of the last message */
};

void fake_init(struct fake *);
void fake_fini(struct fake *);
/* The one that the next vm_open() takes; the caller keeps it. */
void fake_use(struct fake *);
/* Has one come to a step with hold set, and is done with all before it? */
bool fake_held(struct fake *);
/* Let n steps with hold set go on. */
void fake_go(struct fake *, unsigned n);
/*
 * What KVM does at once: hand on what is in the eventfds of GSIs.  How many
 * messages that were.
 */
unsigned fake_irqs(struct fake *);
/* Wait until n scripts have ended. */
void fake_wait_done(struct fake *, unsigned n);

#endif
