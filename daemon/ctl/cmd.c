/* SPDX-License-Identifier: ISC */
/* The table of verbs and how one is found: see cmd.h. */
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/cmd.h"

const struct cmd *const cmd_table[] = {
	&cmd_console,
	&cmd_create,
	&cmd_load,
	&cmd_log,
	&cmd_pause,
	&cmd_reboot,
	&cmd_reload,
	&cmd_reset,
	&cmd_start,
	&cmd_status,
	&cmd_stop,
	&cmd_unpause,
	&cmd_wait,
};
#define NCMDS (sizeof(cmd_table) / sizeof(cmd_table[0]))
const size_t cmd_ntable = NCMDS;

const struct cmd *
cmd_find(const char *word, struct err *e)
{
	const struct cmd *of[2 * NCMDS];
	const char *names[2 * NCMDS];
	size_t i, n = 0;
	int found;

	for (i = 0; i < NCMDS; i++) {
		of[n] = cmd_table[i];
		names[n++] = cmd_table[i]->name;
		if (cmd_table[i]->alias == NULL)
			continue;
		of[n] = cmd_table[i];
		names[n++] = cmd_table[i]->alias;
	}
	if ((found = ctl_pick(names, n, "command", word, e)) == -1)
		return (NULL);
	return (of[found]);
}

int
cmd_flags(const struct cmd *cmd, int *argc, char ***argv, unsigned *flags)
{
	int ch;

	*flags = 0;
	optind = 0;
	while ((ch = getopt(*argc, *argv, cmd->opts)) != -1) {
		if (ch == '?')
			return (CMD_USAGE);
		*flags |= 1u << (strchr(cmd->opts, ch) - cmd->opts);
	}
	*argc -= optind;
	*argv += optind;
	if (*argc < cmd->min_args || *argc > cmd->max_args)
		return (CMD_USAGE);
	return (0);
}
