/* SPDX-License-Identifier: ISC */
/* vmctl load: add the VMs and settings of another file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/cmd.h"
#include "shared/str.h"

static int
load_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct msg_load m = { 0 };
	unsigned flags;
	char *path;

	if (cmd_flags(&cmd_load, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	/* The parent opens it, and sits in another directory. */
	if ((path = realpath(argv[0], NULL)) == NULL)
		return (err_errno(e, "%s", argv[0]));
	if (strlcpy(m.path, path, sizeof(m.path)) >= sizeof(m.path)) {
		free(path);
		return (err_set(e, ENAMETOOLONG,
		    "the path of %s is longer than %zu bytes", argv[0],
		    sizeof(m.path) - 1));
	}
	free(path);
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	return (
	    client_call(ctl->client, MSG_LOAD, &m, sizeof(m), NULL, NULL, e));
}

const struct cmd cmd_load = {
	.name = "load",
	.opts = "",
	.usage = "file",
	.min_args = 1,
	.max_args = 1,
	.run = load_run,
};
