/* SPDX-License-Identifier: ISC */
/* vmctl log: how much vmd writes to its log. */
#include "daemon/ctl/cmd.h"

static int
log_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	static const char *const levels[] = { "brief", "verbose" };
	struct msg_verbose m = { 0 };
	unsigned flags;
	int level;

	if (cmd_flags(&cmd_log, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	if ((level = ctl_pick(levels, 2, "log level", argv[0], e)) == -1)
		return (-1);
	m.level = (uint32_t)level;
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	return (client_call(
	    ctl->client, MSG_LOGLEVEL, &m, sizeof(m), NULL, NULL, e));
}

const struct cmd cmd_log = {
	.name = "log",
	.opts = "",
	.usage = "brief | verbose",
	.min_args = 1,
	.max_args = 1,
	.run = log_run,
};
