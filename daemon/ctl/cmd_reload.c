/* SPDX-License-Identifier: ISC */
/* vmctl reload: read vm.conf(5) again. */
#include "daemon/ctl/cmd.h"

static int
reload_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct msg_verbose m = { 0 };
	unsigned flags;

	if (cmd_flags(&cmd_reload, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	return (
	    client_call(ctl->client, MSG_RELOAD, &m, sizeof(m), NULL, NULL, e));
}

const struct cmd cmd_reload = {
	.name = "reload",
	.opts = "",
	.usage = "",
	.run = reload_run,
};
