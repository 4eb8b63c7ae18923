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
/* Rows of the board, then conf.devs. */
#define MACHINE_ALL (BOARD_ROWS + MACHINE_DEVS_MAX)

/* What a vCPU wants of the main thread; all vCPUs stand until it is done. */
enum machine_request {
	REQ_RESET = 1 << 0,
	REQ_POWEROFF = 1 << 1,
	REQ_EXIT = 1 << 2,
	REQ_TRIPLE = 1 << 3,
	REQ_ERROR = 1 << 4,
	REQ_DEVICE = 1 << 5, /* deferred says which */
};
/* What it tells the main thread, and goes on. */
enum machine_note {
	NOTE_STARTED = 1 << 0,
	NOTE_ROOM = 1 << 1,
	NOTE_TIMER = 1 << 2,
	NOTE_POKE = 1 << 3,
	NOTE_DEV = 1 << 4, /* events of extra says which */
};

struct vcpu {
	struct machine *m;
	unsigned id;
	pthread_t thread;
	bool started;       /* there is a thread to join; main thread only */
	struct hv_vcpu *hv; /* set before the thread first parks */
	struct figures_vcpu *figures;
};

struct machine_watch {
	struct machine *m;
	struct dev *dev;
	unsigned which;
	struct event *ev;
};

/* One of conf.devs.  Main thread only, but for events. */
struct machine_dev {
	struct board_slot slot;
	struct machine_watch watch[DEV_WATCHES];
	atomic_uint events; /* bits of enum mach_dev_event */
	struct err why[MACH_DEV_EVENTS];
};

struct machine {
	struct mach mach; /* what devices see; mach.ctx is the machine */
	struct machine_conf conf;
	struct mem mem;
	struct hv_vm *hv;
	/* By row of board_pc, then by conf.devs; NULL: left out. */
	struct dev *dev[MACHINE_ALL];
	struct machine_dev *extra; /* conf.ndevs */
	struct hv_route route[HV_ROUTES_MAX];
	unsigned nroutes;
	struct dev *uart, *pm;
	struct vcpu vcpu[MACHINE_CPUS];
	struct figures *own_figures; /* when conf.figures is NULL */

	/* Parking: vCPUs stand while hold or requests say so. */
	pthread_mutex_t lock;
	pthread_cond_t parked_cond, go_cond;
	unsigned nparked;            /* lock */
	atomic_bool hold;            /* written under lock */
	atomic_uint requests, notes; /* machine_request, machine_note */
	atomic_uint deferred;        /* of dev[], a bit each */
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
	bool clearing; /* a reset waits for processes: machine_clear() */
	struct event *clear_ev;
	unsigned restarts, quick_restarts;
	uint64_t last_start_ns, load_done_ns;
	uint32_t step_us[STEP_N];

	atomic_ullong skew_ns, frozen_ns; /* guest's monotonic clock */
	pthread_mutex_t timer_lock;
	struct {
		struct dev *dev;
		uint64_t at_ns;
	} timer[MACHINE_ALL]; /* timer_lock */
};
_Static_assert(MACHINE_ALL <= 32, "deferred");

void machine_note(struct machine *, enum machine_note);
void machine_request(struct machine *, enum machine_request);

/* Let the vCPUs go on, unless there is a reason why they stand. */
void machine_go(struct machine *);

/* A process that a reset waits for may be gone: go on with it if so. */
void machine_clear(struct machine *, bool late);

/* mach_ops.c */
extern const struct mach_ops machine_mach_ops;
void machine_timers_run(struct machine *);
void machine_timers_arm(struct machine *);
void machine_clock_freeze(struct machine *, bool freeze);

/* extra.c: conf.devs. */
int machine_devs_open(struct machine *, struct err *);
void machine_devs_close(struct machine *);
/* With all vCPUs standing. */
void machine_devs_sync(struct machine *);
void machine_devs_hold(struct machine *, bool hold);
/* What they told; may pause the machine. */
void machine_devs_told(struct machine *);
/* How long one that is lost may yet write to memory; 0: none may. */
uint64_t machine_devs_linger(struct machine *);
/* The index in conf.devs; -1: not one of them. */
int machine_dev_index(const struct machine *, const struct dev *);

/* vcpu.c */
int vcpus_open(struct machine *, struct err *);
void vcpus_close(struct machine *);
/* All vCPUs stand, state settled; and let them go on. */
void vcpus_hold(struct machine *);
void vcpus_release(struct machine *);

#endif
