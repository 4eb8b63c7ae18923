/* SPDX-License-Identifier: ISC */
/* vmctl reset: forget VMs, switches or all that was configured. */
#include "daemon/ctl/cmd.h"

static int
reset_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	static const char *const names[] = { "all", "switches", "vms" };
	static const uint32_t what[] = { RESET_VMS | RESET_SWITCHES |
		    RESET_CONF,
		RESET_SWITCHES, RESET_VMS };
	struct msg_reset m = { .what = what[0] };
	unsigned flags;
	int i;

	if (cmd_flags(&cmd_reset, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	if (argc == 1) {
		if ((i = ctl_pick(names, 3, "part", argv[0], e)) == -1)
			return (-1);
		m.what = what[i];
	}
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	return (
	    client_call(ctl->client, MSG_RESET, &m, sizeof(m), NULL, NULL, e));
}

const struct cmd cmd_reset = {
	.name = "reset",
	.opts = "",
	.usage = "[all | switches | vms]",
	.max_args = 1,
	.run = reset_run,
};
