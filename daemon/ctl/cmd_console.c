/* SPDX-License-Identifier: ISC */
/* vmctl console: a guest's serial line on this terminal. */
#include "daemon/ctl/cmd.h"
#include "daemon/ctl/cons.h"

#define OPTS "ntw"
enum { NO_HISTORY = 1u << 0, TAKE = 1u << 1, WATCH = 1u << 2 };

static int
console_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct cons_conf conf = { 0 };
	unsigned flags;

	if (cmd_flags(&cmd_console, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	if ((flags & TAKE) && (flags & WATCH))
		return (CMD_USAGE);
	if (vm_ref_parse(&conf.vm, argv[0], e) == -1)
		return (-1);
	conf.name = argv[0];
	conf.no_history = (flags & NO_HISTORY) != 0;
	conf.take = (flags & TAKE) != 0;
	conf.watch = (flags & WATCH) != 0;
	return (cons_run(ctl, &conf, e));
}

const struct cmd cmd_console = {
	.name = "console",
	.opts = OPTS,
	.usage = "[-n] [-t | -w] id",
	.min_args = 1,
	.max_args = 1,
	.run = console_run,
};
