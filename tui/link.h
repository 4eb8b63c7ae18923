/* SPDX-License-Identifier: ISC */
/*
 * The connection to vmd: fills the model, carries requests, comes back by
 * itself.  Runs in: vmtop, inside its sandbox.  Trusts: what proto.c checked.
 */
#ifndef TUI_LINK_H
#define TUI_LINK_H

#include "tui/app.h"

struct event_base;
struct link;

extern const struct link_ops link_ops; /* their ctx is a struct link * */

/* There is something to draw: the model is another, or only a console. */
typedef void link_changed(void *ctx, bool model);

/* Nothing connects before link_start(). */
struct link *link_open(struct event_base *, struct model *, const char *path,
    link_changed *, void *ctx);
/* app: whose consoles and status line take what comes.  Borrowed. */
void link_start(struct link *, struct app *);
void link_close(struct link *);
/* Once a second: counts down to the next try. */
void link_tick(struct link *);

#endif
