/* SPDX-License-Identifier: ISC */
/* vmctl pause: stop the vCPUs of a VM where they are. */
#include "daemon/ctl/cmd.h"

static int
pause_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	unsigned flags;

	if (cmd_flags(&cmd_pause, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	return (ctl_vm_op(ctl, MSG_PAUSE, argv[0], "paused", e));
}

const struct cmd cmd_pause = {
	.name = "pause",
	.opts = "",
	.usage = "id",
	.min_args = 1,
	.max_args = 1,
	.run = pause_run,
};
