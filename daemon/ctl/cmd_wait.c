/* SPDX-License-Identifier: ISC */
/* vmctl wait: return when a VM has ended. */
#include "daemon/ctl/cmd.h"

static int
wait_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	unsigned flags;

	if (cmd_flags(&cmd_wait, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	return (ctl_vm_op(ctl, MSG_WAIT, argv[0], "terminated", e));
}

const struct cmd cmd_wait = {
	.name = "wait",
	.opts = "",
	.usage = "id",
	.min_args = 1,
	.max_args = 1,
	.run = wait_run,
};
