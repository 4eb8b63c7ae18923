/* SPDX-License-Identifier: ISC */
/*
 * control: serves the clients.
 *
 * It knows of VMs only what the parent pushes (rows), asks the parent in a
 * client's name, reads console rings and figures straight from the pages that
 * VM processes share, and streams them.  It keeps no console byte of its own.
 *
 * Runs in: control.  Trusts: the parent.  Not: clients, VM processes, and what
 * stands in their pages.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/figures.h"
#include "shared/peer.h"
#include "shared/proto.h"
#include "shared/ring.h"

#define CLIENTS_MAX 1024
#define CLIENTS_UID 256         /* of one user who is not root */
#define CLIENTS_ROOT 16         /* places that are kept for root */
#define REQUESTS_MAX 64         /* of one client, unanswered */
#define CLIENT_LOW (128u << 10) /* queue: go on with a list below it */
#define CLIENT_QUEUE (1u << 20)
#define CLIENT_QUEUE_UID (16u << 20) /* of all clients of one user, at rest */
#define EVENTS_KEPT 64
#define HELD_LIMIT_S 2      /* for a console that is about to come */
#define SAMPLE_LIMIT_MS 100 /* a VM process that does not answer by then */

struct event;
struct event_base;
struct client;
struct control;
struct devpage;
struct held;

/* One attachment of a client to a console. */
struct attach {
	TAILQ_ENTRY(attach) entry; /* of the console */
	struct client *client;
	struct cons *cons;
	uint32_t chan;
	uint32_t credit; /* bytes the client still takes */
	uint64_t off;    /* next byte to send */
	bool types;      /* wants the keyboard, when it is free */
};

/* A VM's console: its pages, and who looks at it.  One per run of the VM. */
struct cons {
	struct control *ctl;
	struct cvm *vm;    /* NULL: the VM is gone or runs anew */
	struct peer *link; /* NULL: the run has ended */
	const void *ring_map;
	size_t ring_bytes;
	struct ring_r ring;
	struct bell_page *bell;
	int bell_fd;
	struct event *ev_bell, *ev_rest;
	struct event *ev_peers; /* tell all who is attached */
	bool credit_due;        /* and the writer its credit, after that */
	uint64_t rung_end;      /* ring_end() at the last bell */
	const struct figures *figures;
	const struct devpage *dev[VM_DEVS_MAX]; /* or NULL */
	TAILQ_HEAD(, attach) attached;
	struct attach *writer;
	uint32_t input_credit; /* what the VM process still takes */
	uint32_t sampled;      /* last answer to SAMPLE */
};

struct cvm {
	TAILQ_ENTRY(cvm) entry; /* by id */
	struct control *ctl;
	struct msg_row row;   /* as the parent has it */
	struct cons *cons;    /* of the present or last run, or NULL */
	struct cons *joining; /* its pages are still coming */
	struct msg_dev_row *dev[VM_DEVS_MAX]; /* as the parent has them */
};

/* A request that the parent answers. */
struct request {
	TAILQ_ENTRY(request) entry;
	uint32_t up, down;     /* its number there, and the client's */
	struct client *client; /* NULL: left */
};

struct client {
	TAILQ_ENTRY(client) entry;
	struct control *ctl;
	struct peer *peer;
	struct msg_cred cred;
	unsigned nrequests, nheld;
	uint32_t subs;
	struct event *ev_tick;
	struct timeval interval;
	bool wants_figures; /* at the end of this round of samples */
	/* A list under way; reqno 0: none. */
	struct {
		uint32_t reqno, flags, after_id;
		struct vm_ref vm;
		bool sampling;     /* waits for the round to end */
		bool any, stopped; /* a row was sent, or left out as such */
	} list;
	struct attach *chan[CONS_CHANS];
};

struct control {
	struct event_base *base;
	struct peer *parent;
	int listen_fd;
	struct event *ev_listen, *ev_accept_again;
	unsigned nclients;
	TAILQ_HEAD(, client) clients;
	TAILQ_HEAD(cvmhead, cvm) vms;
	TAILQ_HEAD(, request) requests;
	TAILQ_HEAD(, held) held;
	uint32_t next_request;
	/* A round of samples. */
	struct event *ev_round;
	bool round;
	uint32_t round_seq;
	struct msg_event events[EVENTS_KEPT];
	unsigned nevents; /* ever; the last EVENTS_KEPT are there */
};

/* control.c */
/* Ready to be run by the loop; ends it when the parent's link closes. */
int control_open(
    struct control *, struct event_base *, int *link, struct err *);
struct cvm *cvm_find(struct control *, const struct vm_ref *);
struct cvm *cvm_id(struct control *, uint32_t id);

/* client.c */
int client_listen(struct control *, int *fd, struct err *);
void client_drop(struct client *, const char *why);
void client_answer(struct control *, struct msg *);
/* To every client that subscribed to any of subs. */
void client_push(
    struct control *, uint32_t subs, enum msg_type, const void *, size_t);
extern const struct msg_handler from_client[];
extern const size_t nfrom_client;

/* view.c: rows, figures, rounds of samples */
int on_list(void *, struct peer *, struct msg *, struct err *);
int on_subscribe(void *, struct peer *, struct msg *, struct err *);
void list_go_on(struct client *);
void view_row(const struct cvm *, struct msg_row *);
void view_sampled(struct cons *, uint32_t seq);
void view_client_gone(struct client *);

/* cdev.c: devices */
int on_dev_row(void *, struct peer *, struct msg *, struct err *);
void cdev_forget(struct cvm *, unsigned from); /* rows from that index on */
int cdev_map(struct cons *, const struct msg_page_dev *, int fd, struct err *);
void cdev_unmap(struct cons *);
void cdev_send_rows(struct peer *, uint32_t reqno, const struct cvm *);
void cdev_send_figures(struct peer *, uint32_t reqno, const struct cvm *);

/* cons.c: the link to a VM process, and its pages */
/* Map a page of a VM process, if its size is sealed; NULL with *e. */
void *page_map(int fd, size_t bytes, int prot, struct err *);
int cons_open(struct cvm *, int *fd, struct err *);
void cons_release(struct cons *); /* its VM is gone or runs anew */
void cons_free(struct cons *);    /* with nobody attached */
/* Its VM runs, but the link to it has not come yet. */
bool cons_expected(const struct cvm *);

/* attach.c: clients at consoles */
/* Answer a request for a console with what is there: 0, or -1 with *e. */
int attach_open(
    struct client *, uint32_t reqno, const struct msg_attach *, struct err *);
/* Send what is there and wanted. */
void attach_pump(struct cons *);
/* The guest has taken so many bytes: whoever types may send them. */
void attach_credit(struct cons *, uint32_t bytes);
/* Event: who is attached has changed. */
void attach_peers_due(int fd, short what, void *cons);
int on_attach(void *, struct peer *, struct msg *, struct err *);
int on_detach(void *, struct peer *, struct msg *, struct err *);
int on_credit(void *, struct peer *, struct msg *, struct err *);
int on_input(void *, struct peer *, struct msg *, struct err *);
int on_break(void *, struct peer *, struct msg *, struct err *);
int on_take(void *, struct peer *, struct msg *, struct err *);
void attach_drop_all(struct client *);
void attach_pump_all(struct client *);

/* held.c: requests for a console that is about to come */
int held_add(struct client *, const struct cvm *, uint32_t reqno,
    const struct msg_attach *, struct err *);
/* The VM's console has come, or will not: answer who waits for it. */
void held_vm(struct control *, uint32_t id);
/* The client detaches what is not attached yet: false, there is no such. */
bool held_cancel(struct client *, uint32_t chan);
void held_client_gone(struct client *);

#endif
