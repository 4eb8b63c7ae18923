/* SPDX-License-Identifier: ISC */
/* Inside of a machine: machine.c, mach_ops.c and vcpu.c, nobody else. */
#ifndef VM_MACHINE_INT_H
#define VM_MACHINE_INT_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include "daemon/dev/dev.h"
#include "daemon/mach/mach.h"
#include "daemon/vm/board.h"
#include "daemon/vm/machine.h"
#include "shared/proto.h"

#define MACHINE_CPUS 64

/* What a vCPU wants of the main thread; all vCPUs stand until it is done. */
enum machine_request {
	REQ_RESET = 1 << 0,
	REQ_POWEROFF = 1 << 1,
	REQ_EXIT = 1 << 2,
	REQ_TRIPLE = 1 << 3,
	REQ_ERROR = 1 << 4,
};
/* What it tells the main thread, and goes on. */
enum machine_note {
	NOTE_STARTED = 1 << 0,
	NOTE_ROOM = 1 << 1,
	NOTE_TIMER = 1 << 2,
	NOTE_POKE = 1 << 3,
};

struct vcpu {
	struct machine *m;
	unsigned id;
	pthread_t thread;
	bool started;       /* there is a thread to join; main thread only */
	struct hv_vcpu *hv; /* set before the thread first parks */
	struct figures_vcpu *figures;
};

struct machine {
	struct mach mach; /* what devices see; mach.ctx is the machine */
	struct machine_conf conf;
	struct mem mem;
	struct hv_vm *hv;
	struct dev *dev[BOARD_DEVS]; /* by row of board_pc; NULL: left out */
	struct dev *uart, *pm;
	struct vcpu vcpu[MACHINE_CPUS];
	struct figures *own_figures; /* when conf.figures is NULL */

	/* Parking: vCPUs stand while hold or requests say so. */
	pthread_mutex_t lock;
	pthread_cond_t parked_cond, go_cond;
	unsigned nparked;            /* lock */
	atomic_bool hold;            /* written under lock */
	atomic_uint requests, notes; /* machine_request, machine_note */
	bool quit;                   /* lock */
	struct err why;              /* lock: of REQ_ERROR, or of opening */
	bool open_failed;            /* lock */
	atomic_uint exit_code;
	atomic_bool first_run, input_waits;
	atomic_ullong first_run_ns;

	/* Main thread only. */
	struct event *wake_ev, *timer_ev;
	int wake_fd;
	bool paused, stopped, started;
	unsigned restarts, quick_restarts;
	uint64_t last_start_ns, load_done_ns;
	uint32_t step_us[STEP_N];

	atomic_ullong skew_ns, frozen_ns; /* guest's monotonic clock */
	pthread_mutex_t timer_lock;
	struct {
		struct dev *dev;
		uint64_t at_ns;
	} timer[BOARD_DEVS]; /* timer_lock */
};

uint64_t machine_now_ns(void);
void machine_note(struct machine *, enum machine_note);
void machine_request(struct machine *, enum machine_request);

/* mach_ops.c */
extern const struct mach_ops machine_mach_ops;
void machine_timers_run(struct machine *);
void machine_timers_arm(struct machine *);
void machine_clock_freeze(struct machine *, bool freeze);

/* vcpu.c */
int vcpus_open(struct machine *, struct err *);
void vcpus_close(struct machine *);
/* All vCPUs stand, state settled; and let them go on. */
void vcpus_hold(struct machine *);
void vcpus_release(struct machine *);

#endif
