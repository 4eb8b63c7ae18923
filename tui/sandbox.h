/* SPDX-License-Identifier: ISC */
/*
 * vmtop's sandbox: entered before the first byte of a guest is read.  No file
 * can be opened, no process made, no socket but a local one; a call that is
 * not on the list ends vmtop.
 */
#ifndef TUI_SANDBOX_H
#define TUI_SANDBOX_H

#include "shared/err.h"

int sandbox_tui(struct err *);

#endif
