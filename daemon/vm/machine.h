/* SPDX-License-Identifier: ISC */
/*
 * A virtual machine: memory, hypervisor, board and vCPU threads, run from one
 * event loop.  Knows nothing of processes, messages or sandboxes, so that a
 * test or a runner of tiny guests uses the very same one as vmd's vm process.
 * All calls are for the thread that runs the event loop ("main thread").
 */
#ifndef VM_MACHINE_H
#define VM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/dev/virtio.h"
#include "daemon/hv/hv.h"
#include "daemon/mach/mach.h"
#include "daemon/mach/mem.h"
#include "shared/err.h"
#include "shared/figures.h"

struct event_base;
struct machine;
struct vio_ops;

enum machine_event {
	MACHINE_STARTED,  /* boot processor enters the guest, first time */
	MACHINE_RESET,    /* the guest reset itself; it runs again */
	MACHINE_POWEROFF, /* it powered itself off; all vCPUs stand */
	MACHINE_EXIT,     /* debug-exit device, arg: the code; they stand */
	MACHINE_FAILED,   /* cannot go on, err says why; they stand */
};

#define MACHINE_DEVS_MAX 16

/*
 * A virtio device beside those of the board, in PCI slot 2 and up.  With one of
 * daemon/dev/vio_proxy.h, conf.fd[0] is the socket of the process that serves
 * it; with any other it is served in this one.  fds are taken.
 */
struct machine_dev_conf {
	char name[16]; /* "blk0" */
	const struct vio_ops *vio;
	struct vio_conf conf;
};

struct machine_ops {
	/* Put the guest in memory (zeroed): at start and at each reset. */
	int (*load)(void *ctx, struct mem *, struct hv_regs *, struct err *);
	/* May call machine_close() only from a later turn of the loop. */
	void (*event)(
	    void *ctx, enum machine_event, uint32_t arg, const struct err *);
	/* Console output.  vCPU thread, the UART's lock is held. */
	void (*console)(void *ctx, const void *, size_t);
	/* The UART has room again after machine_input() took too few. */
	void (*console_room)(void *ctx);
	/*
	 * Optional: of conf.devs[index].  The machine is paused when it is
	 * MACH_DEV_STUCK.  May call machine_dev_replace().
	 */
	void (*dev)(
	    void *ctx, unsigned index, enum mach_dev_event, const struct err *);
	/* Optional: somebody called machine_poke(). */
	void (*poked)(void *ctx);
	/* Optional: in each vCPU thread, last thing before it may run. */
	int (*thread)(void *ctx, unsigned id, struct err *);
};

struct machine_conf {
	const char *name;
	const struct hv_ops *hv;
	int kvm_fd; /* borrowed; may be closed after machine_open() */
	unsigned ncpus;
	uint64_t mem_bytes;
	bool hugepages;
	bool debug_exit; /* with the device that ends the machine */
	const struct machine_dev_conf *devs; /* borrowed by machine_open() */
	unsigned ndevs;
	struct event_base *base;
	const struct machine_ops *ops;
	void *ctx;
	struct figures *figures; /* NULL: nobody reads them */
};

/* All of it made, vCPU threads parked, nothing loaded. */
int machine_open(struct machine **, const struct machine_conf *, struct err *);
/* Stops the threads first.  NULL: no-op. */
void machine_close(struct machine *);
/* Load and let it run. */
int machine_start(struct machine *, struct err *);
/* Once there is a person's or a guest's wish to start over: in place. */
int machine_reset(struct machine *, struct err *);
void machine_pause(struct machine *);
void machine_unpause(struct machine *);
bool machine_paused(const struct machine *);
unsigned machine_restarts(const struct machine *);
/* Microseconds of STEP_MEMORY .. STEP_RUN, as far as they are done. */
const uint32_t *machine_steps(const struct machine *);

/*
 * Another process takes the place of that of devs[index]: takes *sock.  -1: it
 * cannot, and the device goes on as one whose process is lost.
 */
int machine_dev_replace(
    struct machine *, unsigned index, int *sock, struct err *);
/* The process of devs[index] is dead, whatever became of its socket. */
void machine_dev_gone(struct machine *, unsigned index);
/* Its device, for tests. */
struct dev *machine_dev(struct machine *, unsigned index);

/* Keys: bytes taken; when fewer than len, console_room() will be called. */
size_t machine_input(struct machine *, const void *, size_t len);
void machine_break(struct machine *);
void machine_power_button(struct machine *);
/* Bring figures up to date that nobody counts as they happen. */
void machine_sample(struct machine *);

/* Have poked() called in the main thread.  Any thread. */
void machine_poke(struct machine *);

/* vmd's rule, vmd.h: so many restarts, each within so many seconds. */
#define MACHINE_RESTARTS_MAX 3
#define MACHINE_RESTART_S 6

#endif
