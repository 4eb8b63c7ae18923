/* SPDX-License-Identifier: ISC */
/* "vmd -n" alone, for work on the parser without the daemon. */
#include <stdlib.h>
#include <unistd.h>

#include "daemon/parent/conf.h"

int
main(int argc, char **argv)
{
	const char *macros[16], *path = NULL;
	bool verbose = false;
	size_t nmacros = 0;
	int c;

	while ((c = getopt(argc, argv, "D:f:nv")) != -1)
		switch (c) {
		case 'D':
			if (nmacros == sizeof(macros) / sizeof(macros[0]))
				return (2);
			macros[nmacros++] = optarg;
			break;
		case 'f':
			path = optarg;
			break;
		case 'n':
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return (2);
		}
	return (conf_check_main(path, macros, nmacros, verbose));
}
