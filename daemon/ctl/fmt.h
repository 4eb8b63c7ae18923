/* SPDX-License-Identifier: ISC */
/* How vmctl shows things: columns for people, JSON lines for programs. */
#ifndef CTL_FMT_H
#define CTL_FMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/proto.h"

#define FMT_JSON_VERSION 1
#define FMT_OWNER_BYTES 16 /* 15 characters and NUL */

/* A device, with two samples of its figures for rates. */
struct fmt_dev {
	struct msg_dev_row row;
	struct msg_dev_figures now, old;
	bool has_now, has_old;
};

/* The header of status, and a VM's line: vmctl(8) tells the columns. */
void fmt_head(FILE *);
void fmt_row(FILE *, const struct msg_row *);
/* What -v adds below it: run time, restarts, why it ended. */
void fmt_row_more(FILE *, const struct msg_row *, int64_t now_s);
/* Two or more lines about a device. */
void fmt_dev(FILE *, const struct fmt_dev *, const char *vm);
/* One object on one line, its devices in it.  0 or -1. */
int fmt_row_json(
    FILE *, const struct msg_row *, const struct fmt_dev *, size_t ndevs);
struct json_t;
struct json_t *fmt_dev_object(const struct fmt_dev *); /* or NULL */
/* The steps of a start and their time. */
void fmt_steps(FILE *, const struct msg_started *);

/* "user", "user:group", numbers where there is no name; cut to dst. */
void fmt_owner(char *dst, size_t size, uint32_t uid, uint32_t gid);
/* "5m03s", "1h02m", "3d04h" */
void fmt_duration(char *dst, size_t size, int64_t seconds);

#endif
