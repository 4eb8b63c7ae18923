/* SPDX-License-Identifier: ISC */
/*
 * Names of users: read once before the sandbox closes the file system.  A uid
 * that is not there is shown as a number.
 */
#ifndef TUI_USERS_H
#define TUI_USERS_H

#include <stdint.h>

#include "tui/model.h"

void users_load(void);
void user_name(uint32_t uid, char buf[OWNER_BYTES]);

#endif
