/* SPDX-License-Identifier: ISC */
/*
 * vmctl(8): asks vmd for what the command line says.
 * Runs in: vmctl, as the caller.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/ctl/cmd.h"

static int
usage(void)
{
	size_t i;

	fprintf(stderr,
	    "usage: vmctl [-v] [-s socket] command [argument ...]\n"
	    "commands:\n");
	for (i = 0; i < cmd_ntable; i++)
		fprintf(stderr, "\t%s%s%s\n", cmd_table[i]->name,
		    cmd_table[i]->usage[0] != '\0' ? " " : "",
		    cmd_table[i]->usage);
	return (1);
}

static int
cmd_usage(const struct cmd *cmd)
{
	fprintf(stderr, "usage: vmctl [-v] [-s socket] %s%s%s\n", cmd->name,
	    cmd->usage[0] != '\0' ? " " : "", cmd->usage);
	return (1);
}

static int
run(struct ctl *ctl, int argc, char **argv)
{
	const struct cmd *cmd;
	struct err e = { 0 };
	char title[64];
	int r;

	if ((cmd = cmd_find(argv[0], &e)) == NULL) {
		ctl_note("%s", e.text);
		return (1);
	}
	/* What getopt(3) puts in front of its complaints. */
	snprintf(title, sizeof(title), "vmctl %s", cmd->name);
	argv[0] = title;
	r = cmd->run(ctl, argc, argv, &e);
	ctl_close(ctl);
	if (r == CMD_USAGE)
		return (cmd_usage(cmd));
	if (r == -1 && e.text[0] != '\0')
		ctl_note("%s", e.text);
	return (r == 0 ? 0 : 1);
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int ch;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	while ((ch = getopt(argc, argv, "+s:v")) != -1) {
		switch (ch) {
		case 's':
			ctl.socket = optarg;
			break;
		case 'v':
			ctl.verbose = 1;
			break;
		default:
			return (usage());
		}
	}
	if (optind == argc)
		return (usage());
	return (run(&ctl, argc - optind, argv + optind));
}
