/* SPDX-License-Identifier: ISC */
/* vmctl unpause: let a paused VM go on. */
#include "daemon/ctl/cmd.h"

static int
unpause_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	unsigned flags;

	if (cmd_flags(&cmd_unpause, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	return (ctl_vm_op(ctl, MSG_UNPAUSE, argv[0], "unpaused", e));
}

const struct cmd cmd_unpause = {
	.name = "unpause",
	.opts = "",
	.usage = "id",
	.min_args = 1,
	.max_args = 1,
	.run = unpause_run,
};
