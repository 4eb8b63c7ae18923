/* SPDX-License-Identifier: ISC */
/* How vmctl shows things: columns for people, JSON lines for programs. */
#ifndef CTL_FMT_H
#define CTL_FMT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/proto.h"

#define FMT_JSON_VERSION 1
#define FMT_OWNER_BYTES 16 /* 15 characters and NUL */

/* The header of status, and a VM's line: vmctl(8) tells the columns. */
void fmt_head(FILE *);
void fmt_row(FILE *, const struct msg_row *);
/* What -v adds below it: run time, restarts, why it ended. */
void fmt_row_more(FILE *, const struct msg_row *, int64_t now_s);
/* One object on one line.  0 or -1. */
int fmt_row_json(FILE *, const struct msg_row *);
/* The steps of a start and their time. */
void fmt_steps(FILE *, const struct msg_started *);

/* "user", "user:group", numbers where there is no name; cut to dst. */
void fmt_owner(char *dst, size_t size, uint32_t uid, uint32_t gid);
/* "5m03s", "1h02m", "3d04h" */
void fmt_duration(char *dst, size_t size, int64_t seconds);

#endif
