/* SPDX-License-Identifier: ISC */
/*
 * What vmtop knows: the only thing that views read.  link.c fills it from
 * messages, tests fill it by hand.  Text in it comes from the daemon and from
 * other users; views put it through the canvas, which lets no control
 * character pass.
 */
#ifndef TUI_MODEL_H
#define TUI_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto.h"

#define MODEL_SAMPLES 60 /* of a graph: one a second */
#define MODEL_EVENTS 64
#define OWNER_BYTES 33

struct ring60 {
	float v[MODEL_SAMPLES]; /* oldest first */
	int n;
};

#define MODEL_DISKS 4
#define DISK_PATH_BYTES 160 /* as much of it as is ever shown */

struct gdisk {
	uint32_t state, flags; /* enum dev_state; DEV_READONLY, DEV_DIRECT */
	uint32_t pid, replaced;
	char name[DEV_NAME_BYTES]; /* "": not told of yet */
	char path[DISK_PATH_BYTES];
	char reason[ERR_TEXT_BYTES];

	/* from two samples; rates are per second */
	bool have_rates;
	float reads, writes, read_bytes, write_bytes;
	uint64_t inflight;
	uint64_t flush_p50_us, flush_p99_us; /* of the last that there were */
	struct msg_dev_figures last;         /* now_ns 0: none yet */
};

struct guest {
	uint32_t id, state; /* enum vm_state */
	uint32_t flags;     /* ROW_* */
	uint32_t pid, ncpus, owner_uid, restarts;
	uint64_t mem_bytes, resident_bytes;
	int64_t started_s; /* CLOCK_REALTIME, 0: not running */
	char name[VM_NAME_BYTES];
	char owner[OWNER_BYTES];
	char reason[ERR_TEXT_BYTES]; /* why its last run or start ended */
	char busy[16];          /* a request is under way: "starting"; or "" */
	uint64_t console_bytes; /* written since the start */
	uint64_t console_seen;  /* of these, shown in this vmtop */

	uint32_t ndisks;
	struct gdisk disk[MODEL_DISKS];

	/* from two samples; rates are per second */
	bool have_rates;
	float cpu_pct; /* of one host thread: 4 vCPUs reach 400 */
	float exits, exit_rate[EXIT_N];
	struct ring60 cpu;       /* 0..1 of all its vCPUs */
	struct ring60 exit_ring; /* exits a second */
	uint64_t last_ns, last_run_ns, last_exits[EXIT_N];
};

struct host {
	char name[65];
	int nthreads;
	float cpu_frac; /* 0..1, negative: not known yet */
	uint64_t mem_total, mem_used;
	struct ring60 cpu;
};

struct event_line {
	int64_t time_s;
	bool bad;
	char name[VM_NAME_BYTES];
	char text[ERR_TEXT_BYTES];
};

enum link_state { LINK_CONNECTING, LINK_UP, LINK_LOST };

struct model {
	struct host host;
	struct guest *guests; /* sorted by id */
	size_t nguests, room;
	struct event_line events[MODEL_EVENTS]; /* oldest first */
	int nevents;
	enum link_state link;
	char link_text[ERR_TEXT_BYTES]; /* why there is no daemon */
	int retry_s;                    /* seconds to the next try; 0: now */
	char daemon[56];                /* what it calls itself */
	char socket[108];
	char user[OWNER_BYTES];
	uint32_t uid;
	int64_t now_s;       /* CLOCK_REALTIME, moved by the tick */
	char clock[9];       /* "14:32:07", local time */
	int delay_ms;        /* between figures */
	uint64_t generation; /* grows with every change a view could show */
};

void model_init(struct model *);
void model_fini(struct model *);

struct guest *model_find(struct model *, uint32_t id);
const struct guest *model_peek(const struct model *, uint32_t id);
/* Make or update a guest; NULL: no memory.  owner: its owner's name. */
struct guest *model_row(
    struct model *, const struct msg_row *, const char *owner);
/* A run ended: figures go; the row goes too when it is not from vm.conf. */
void model_gone(struct model *, const struct msg_gone *);
void model_remove(struct model *, uint32_t id);
void model_figures(struct model *, const struct msg_figures *);
void model_dev(struct model *, const struct msg_dev_row *);
void model_dev_figures(struct model *, const struct msg_dev_figures *);
void model_event(struct model *, const struct msg_event *);
/* Put err's text on the guest's row. */
void model_reason(struct model *, uint32_t id, const char *text);
/* Forget rows that a new LIST did not name: mark, fill, sweep. */
void model_mark(struct model *);
void model_sweep(struct model *);

void ring60_add(struct ring60 *, float);

/* Sums that the header shows. */
struct totals {
	int running, paused, stopped, failed, other;
	uint32_t vcpus;
	float cpu_pct, exits;
	uint64_t resident, mem;
};
void model_totals(const struct model *, struct totals *);

/* "1.6G", "411M", "12K": at most 4 columns. */
void fmt_bytes(char *buf, size_t, uint64_t bytes);
/* With a decimal wherever there is room: "17.8G", at most 5. */
void fmt_bytes5(char *buf, size_t, uint64_t bytes);
/* "48.1k", "312": at most 5 columns. */
void fmt_count(char *buf, size_t, double);
/* "00:06:12", "1d02:11", "412d": at most 8 columns. */
void fmt_uptime(char *buf, size_t, int64_t seconds);

#endif
