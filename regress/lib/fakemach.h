/* SPDX-License-Identifier: ISC */
/*
 * A machine for device tests: real buses, a megabyte or more of memory, and
 * recorders where the hypervisor would be.  The test owns both clocks.
 */
#ifndef REGRESS_FAKEMACH_H
#define REGRESS_FAKEMACH_H

#include "daemon/dev/dev.h"

#define FAKE_DEVS 16
#define FAKE_GSIS 24
#define FAKE_FDS 128
#define FAKE_ROUTES 512
#define FAKE_CONSOLE_BYTES 4096

struct fakemach {
	struct mach m; /* first: ops get back from it */
	struct mem mem;
	struct dev *dev[FAKE_DEVS];
	unsigned ndevs;

	uint64_t mono_ns;
	int64_t wall_s;
	bool line[FAKE_GSIS];
	unsigned rises[FAKE_GSIS]; /* low to high */
	unsigned irq_calls;
	unsigned msis;
	uint64_t msi_addr; /* of the last one */
	uint32_t msi_data;

	/* What devices of other processes need: mach_ops.defer and on. */
	struct dev *deferred[FAKE_DEVS];
	unsigned ndeferred;
	struct fake_fd {
		int fd; /* -1: free */
		enum { FAKE_DOORBELL, FAKE_IRQFD, FAKE_WATCH } kind;
		unsigned arg; /* port, GSI, which */
		struct dev *dev;
	} fds[FAKE_FDS];
	struct mach_msi route[FAKE_ROUTES]; /* by GSI */
	bool fail_doorbell, fail_irqfd, fail_routes;
	unsigned route_calls;
	unsigned dev_events[MACH_DEV_EVENTS];
	struct err dev_err; /* of the last one */

	unsigned resets, poweroffs, exits;
	uint32_t exit_code;

	uint8_t console[FAKE_CONSOLE_BYTES]; /* the first of them */
	uint64_t console_bytes;
	unsigned room_calls;
	uint64_t room_bytes; /* told by console_room */

	struct {
		struct dev *dev;
		uint64_t at_ns;
	} timer[FAKE_DEVS];
	unsigned timer_fired;
};

/* One table of all devices as a PC has them, debug_exit too. */
extern const struct board_slot fake_board[];
extern const unsigned fake_board_n;

/* mem_bytes of guest memory (whole MiB); aborts when the host has none. */
void fakemach_open(struct fakemach *, uint64_t mem_bytes, unsigned ncpus);
void fakemach_close(struct fakemach *);
/* Add one device, or every device of fake_board. */
struct dev *fakemach_add(struct fakemach *, const struct board_slot *);
void fakemach_add_all(struct fakemach *);
/* The slot of fake_board with these ops. */
const struct board_slot *fakemach_slot(const struct dev_ops *);
struct dev *fakemach_dev(struct fakemach *, const struct dev_ops *);

void fake_out(struct fakemach *, uint16_t port, unsigned bytes, uint32_t v);
uint32_t fake_in(struct fakemach *, uint16_t port, unsigned bytes);
void fake_outb(struct fakemach *, uint16_t port, uint8_t v);
uint8_t fake_inb(struct fakemach *, uint16_t port);

/*
 * What other processes did: wait up to ms for eventfds of GSIs and watches, and
 * hand them on.  How many there were.
 */
unsigned fakemach_poll(struct fakemach *, int ms);
/* As the main thread does between two accesses of a guest. */
void fakemach_sync(struct fakemach *);
/* Who has fd? NULL: nobody. */
const struct fake_fd *fakemach_fd(const struct fakemach *, int kind, int fd);

/* Move the clock, firing timers in order at their time.  Wall follows. */
void fakemach_run(struct fakemach *, uint64_t ns);
/* When the device's timer goes off, ~0: not armed. */
uint64_t fakemach_armed(const struct fakemach *, const struct dev *);

#endif
