/* SPDX-License-Identifier: ISC */
/*
 * control in a process of its own, without its sandbox, between a parent, VM
 * processes and clients that a test or benchmark plays.
 */
#ifndef REGRESS_CTLPLAY_H
#define REGRESS_CTLPLAY_H

#include <stdint.h>
#include <sys/types.h>

#include "regress/lib/wire.h"
#include "shared/figures.h"
#include "shared/ring.h"

#define PLAY_RING (64u << 10)  /* bytes of each console's ring */
#define PLAY_CREDIT (1u << 30) /* more than any test reads */

extern struct wire play_parent;

void play_setup(void);
const char *play_socket(void); /* for a client that is a program */
/* control must have lived through it, and end with its parent. */
void play_teardown(void);
void play_client(struct wire *);
void play_client_as(struct wire *, uid_t);
void play_row(uint32_t id, const char *name, uint32_t state, uint32_t owner);

struct play_vm {
	uint32_t id;
	struct wire link;
	struct ring_w ring;
	struct figures *figures;
	int ring_fd, bell_page_fd, figures_fd;
};

/* Only the link; the pages are sent by who wants them right or wrong. */
void play_vm_link(struct play_vm *, uint32_t id, const char *name);
void play_vm_pages(struct play_vm *);
void play_vm_attach(struct play_vm *);
void play_vm_open(struct play_vm *, uint32_t id, const char *name);
void play_vm_close(struct play_vm *);
/* Byte n of every console is play_pattern(n). */
uint8_t play_pattern(uint64_t n);
void play_vm_print(struct play_vm *, size_t len);

/* Ask for a list: when its end is here, control has read all before it. */
void play_settle(struct wire *client, uint32_t id);
/* 1 and the CONS_ATTACHED, or 0 and the ERR in *m. */
int play_attach(struct wire *client, uint32_t id, uint32_t chan, uint32_t flags,
    uint32_t credit, uint64_t from, struct wire_msg *m);
/* Read console messages of chan until offset end; wrong bytes fail.  Gives
 * the offset reached. */
uint64_t play_drain(struct wire *client, uint32_t chan, uint64_t off,
    uint64_t end, uint64_t *lost);

#endif
