/* SPDX-License-Identifier: ISC */
/* THE board table: which device at which ports, on which GSI. */
#ifndef VM_BOARD_H
#define VM_BOARD_H

#include <stddef.h>

#include "daemon/dev/dev.h"

#define BOARD_ROWS 8 /* there may be */

extern const struct board_slot board_pc[];
extern const size_t board_pc_n;

#endif
