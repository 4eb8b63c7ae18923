/* SPDX-License-Identifier: ISC */
/* What the files of a console session share: see cons.h. */
#ifndef CTL_CONS_INT_H
#define CTL_CONS_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/util.h>

#include "daemon/ctl/cons.h"
#include "daemon/ctl/esc.h"
#include "daemon/ctl/out.h"
#include "shared/peer.h"

struct event;

#define CHAN 0 /* our only console on this connection */
#define WINDOW_BYTES (512u << 10)
#define KEYS_BYTES (64u << 10) /* typed or piped, not yet taken */
#define READ_BYTES 4096
#define STUCK_MS 3000 /* a guest that takes no key for so long */

struct cons {
	struct ctl *ctl;
	const struct cons_conf *conf;
	bool tty;      /* standard input is a terminal */
	bool attached; /* and not closed again */
	bool writer;   /* the keyboard is ours */
	enum { KEYS_UNKNOWN, KEYS_OURS, KEYS_TAKEN, KEYS_FREE } told;
	bool leaving; /* done when out is empty */
	int result;
	int signal; /* that ends us, 0: none */
	struct err *e;
	struct esc esc;
	uint8_t keys[KEYS_BYTES + READ_BYTES + 1];
	size_t nkeys;
	uint32_t key_credit;   /* keys that vmd takes */
	uint32_t credit, owed; /* bytes that may come; to be given back */
	struct out out;
	struct event *ev_in, *ev_stuck, *ev_sig[6];
};

/* cons.c: one line of ours between the guest's */
void cons_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The session ends when all that was received is on standard output. */
void cons_leave(struct cons *, int result);
void cons_fail(struct cons *, const struct err *why);

/* cons_keys.c: from standard input to the guest */
void keys_want(struct cons *);
void keys_read(evutil_socket_t, short, void *);
void keys_stuck(evutil_socket_t, short, void *);
void keys_suspend(struct cons *);
int keys_peers(void *, struct peer *, struct msg *, struct err *);
int keys_credit(void *, struct peer *, struct msg *, struct err *);

#endif
