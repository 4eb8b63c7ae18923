/* SPDX-License-Identifier: ISC */
/*
 * check_live ROLE PID UID [ROLE PID UID ...]: compare live processes of vmd with
 * the process table.  Silent and 0 when all agree.  As root, from the parent's
 * namespaces.  T65, T67, S2.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/proc/proc.h"
#include "regress/lib/live.h"

static void
say(const char *line)
{
	puts(line);
}

int
main(int argc, char **argv)
{
	const struct proc_desc *desc;
	unsigned bad = 0;
	uid_t uid;
	pid_t pid;
	int i;

	if (argc < 4 || (argc - 1) % 3 != 0) {
		fprintf(stderr, "usage: check_live ROLE PID UID ...\n");
		return (2);
	}
	for (i = 1; i < argc; i += 3) {
		if ((desc = proc_find(argv[i])) == NULL) {
			fprintf(stderr, "no role %s\n", argv[i]);
			return (2);
		}
		pid = (pid_t)atoi(argv[i + 1]);
		uid = (uid_t)strtoul(argv[i + 2], NULL, 10);
		bad += live_check(pid, desc->sandbox, uid, uid, say);
		bad += live_check_fds(pid, desc->sandbox, say);
	}
	return (bad > 0 ? 1 : 0);
}
