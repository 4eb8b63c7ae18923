/* SPDX-License-Identifier: ISC */
/*
 * check_live ROLE PID UID GID ...: compare live processes of vmd with
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
	gid_t gid;
	pid_t pid;
	int i;

	if (argc < 5 || (argc - 1) % 4 != 0) {
		fprintf(stderr, "usage: check_live ROLE PID UID GID ...\n");
		return (2);
	}
	for (i = 1; i < argc; i += 4) {
		if ((desc = proc_find(argv[i])) == NULL) {
			fprintf(stderr, "no role %s\n", argv[i]);
			return (2);
		}
		pid = (pid_t)atoi(argv[i + 1]);
		uid = (uid_t)strtoul(argv[i + 2], NULL, 10);
		gid = (gid_t)strtoul(argv[i + 3], NULL, 10);
		bad += live_check(pid, desc->sandbox, uid, gid, say);
		bad += live_check_fds(pid, desc->sandbox, say);
	}
	return (bad > 0 ? 1 : 0);
}
