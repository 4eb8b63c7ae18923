/* SPDX-License-Identifier: ISC */
/* vmctl reboot: press a VM's reset button. */
#include "daemon/ctl/cmd.h"

static int
reboot_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	unsigned flags;

	if (cmd_flags(&cmd_reboot, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	return (ctl_vm_op(ctl, MSG_REBOOT, argv[0], "reset", e));
}

const struct cmd cmd_reboot = {
	.name = "reboot",
	.opts = "",
	.usage = "id",
	.min_args = 1,
	.max_args = 1,
	.run = reboot_run,
};
