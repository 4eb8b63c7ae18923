/* SPDX-License-Identifier: ISC */
/*
 * vmtop's one loop: keyboard, daemon, size of the window, a tick a second.
 * Between two frames lie at least 33 ms, and no frame is drawn when nothing
 * that it shows has changed.
 */
#ifndef TUI_LOOP_H
#define TUI_LOOP_H

#include "tui/app.h"
#include "tui/draw/screen.h"
#include "tui/host.h"

struct loop;

/* screen and host are borrowed; path: the daemon's socket. */
struct loop *loop_open(struct screen *, struct host_files *, struct model *,
    const char *path, bool mouse, struct err *);
/* Inside the sandbox: until the person leaves. */
void loop_run(struct loop *);
void loop_close(struct loop *);

#endif
