/* SPDX-License-Identifier: ISC */
/* vmd(8): options, then the parent; or, as -P says, one of its roles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/parent/conf.h"
#include "daemon/parent/parent.h"
#include "daemon/proc/proc.h"
#include "shared/log.h"

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: vmd [-dnv] [-D macro=value] [-f file]\n");
	exit(1);
}

int
main(int argc, char **argv)
{
	static struct parent p;
	const char **macros;
	bool check = false;
	int c;

	/* Executed by the parent: no option of a person's applies. */
	if (argc > 1 && strcmp(argv[1], "-P") == 0)
		proc_child_main(argc, argv);
	close_range(STDERR_FILENO + 1, ~0u, 0); /* whoever starts us: T65 */
	if ((macros = calloc((size_t)argc, sizeof(*macros))) == NULL)
		fatal("calloc");
	while ((c = getopt(argc, argv, "D:df:nv")) != -1) {
		switch (c) {
		case 'D':
			macros[p.nmacros++] = optarg;
			break;
		case 'd':
			p.foreground = true;
			break;
		case 'f':
			p.conf_path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'v':
			p.verbose++;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	p.macros = macros;
	log_init("vmd", p.foreground || check, p.verbose > 0);
	if (check)
		return (conf_check_main(
		    p.conf_path, macros, p.nmacros, p.verbose > 0));
	return (parent_main(&p));
}
