/* SPDX-License-Identifier: ISC */
/*
 * Attached consoles.  A console keeps the offset of the next byte it wants, so
 * that after a broken link nothing comes twice and what is missing is shown.
 */
#ifndef TUI_CONSOLE_H
#define TUI_CONSOLE_H

#include "tui/app.h"
#include "tui/term/vt.h"

#define CONS_CREDIT_BYTES (256 * 1024)
#define CONS_QUEUE_BYTES (1024 * 1024) /* typed or pasted, not yet sent */

enum cons_state {
	CONS_DOWN,  /* no link: is attached again with it */
	CONS_ASKED, /* CONS_ATTACH is under way */
	CONS_LIVE,
	CONS_CLOSED, /* the guest ended, or we may not */
};

struct console {
	struct app *app; /* borrowed */
	uint32_t id, chan;
	int64_t run_s; /* started_s of the run it was attached to */
	char name[VM_NAME_BYTES];
	enum cons_state state;
	char why[ERR_TEXT_BYTES]; /* CONS_CLOSED */
	struct vt *vt;
	bool writer;
	bool had;            /* next is valid */
	uint64_t next;       /* offset of the next byte */
	uint64_t replay_end; /* bytes before it are from before we came */
	uint64_t lost;
	uint32_t taken; /* bytes since the last credit */
	uint32_t input_credit;
	char *queue; /* to the guest */
	size_t qlen, qroom;
	struct msg_cons_peer peer[CONS_PEERS_MAX];
	uint32_t npeers;

	/* looking back; NULL: live */
	struct vt_snap *snap;
	bool marking; /* the snapshot is only for a mark */
	int top;      /* its first line shown */
	char search[PROMPT_BYTES];
	struct vt_pos hit;
	bool found, marked;
	struct vt_pos mark_a, mark_b;
};

struct console *console_new(
    struct app *, const struct guest *, uint32_t chan, int rows, int cols);
void console_free(struct console *);
void console_attach(struct console *);
/* Messages of this channel, in the order they come. */
void console_attached(struct console *, const struct msg_attached *);
void console_data(struct console *, uint64_t off, const void *, size_t);
void console_gap(struct console *, const struct msg_gap *);
void console_closed(struct console *, const char *why);
void console_link_lost(struct console *);
void console_input_credit(struct console *, uint32_t bytes);
void console_peers(struct console *, const struct msg_cons_peers *);
/* Bytes for the guest; false: not the writer, or the queue is full. */
bool console_send(struct console *, const void *, size_t);
/* Enter and leave the look back. */
bool console_look_back(struct console *);
void console_live(struct console *);

/* The view shows a copy: its keys are those of console_scroll_keytab. */
bool console_looks_back(const struct view *);

/* The view's list, for link.c. */
struct console *console_by_chan(struct view *, uint32_t chan);
void consoles_link_up(struct view *);
void consoles_link_lost(struct view *);

extern const struct keytab console_keytab, console_prefix_keytab,
    console_scroll_keytab;

#endif
