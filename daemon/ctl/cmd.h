/* SPDX-License-Identifier: ISC */
/* The verbs of vmctl: one file cmd_NAME.c each, one const entry each. */
#ifndef CTL_CMD_H
#define CTL_CMD_H

#include <stddef.h>

#include "daemon/ctl/ctl.h"
#include "shared/err.h"

#define CMD_USAGE 1 /* what run() returns for a wrong command line */

struct cmd {
	const char *name;
	const char *alias; /* another name, or NULL */
	const char *opts;  /* for getopt(3) */
	const char *usage; /* flags and arguments, as in vmctl(8) */
	int min_args, max_args;
	/*
	 * argc and argv as of main(), argv[0] to be ignored.  0, CMD_USAGE, or
	 * -1 with *e; its text is "" when all has been said.
	 */
	int (*run)(struct ctl *, int argc, char **argv, struct err *);
};

extern const struct cmd cmd_console, cmd_create, cmd_load, cmd_log, cmd_pause,
    cmd_reboot, cmd_reload, cmd_reset, cmd_start, cmd_status, cmd_stop,
    cmd_unpause, cmd_wait;

/* THE table of verbs, in the order of the alphabet. */
extern const struct cmd *const cmd_table[];
extern const size_t cmd_ntable;

/* By name, alias or a beginning that fits one of them; NULL with *e. */
const struct cmd *cmd_find(const char *word, struct err *);

/*
 * For a verb whose flags take no arguments: the bit i of *flags is set when
 * opts[i] was given; what is left is argv[0..argc) after the call.  0 or
 * CMD_USAGE.
 */
int cmd_flags(const struct cmd *, int *argc, char ***argv, unsigned *flags);

#endif
