/* SPDX-License-Identifier: ISC */
/* usage: fakevmd SOCKET [GUESTS [flood]]: try vmtop by hand without vmd. */
#include <stdio.h>
#include <stdlib.h>

#include "regress/lib/fakevmd.h"

int
main(int argc, char *argv[])
{
	static const char history[] =
	    "[    0.000000] Linux version 6.1.0-28-amd64\r\n"
	    "[    0.402117] systemd[1]: Reached target graphical.target\r\n"
	    "\r\nDebian GNU/Linux 12 guest ttyS0\r\n\r\nguest login: ";
	struct fakevmd_conf c = { .nguests = 8,
		.history = history,
		.history_len = sizeof(history) - 1 };

	if (argc < 2) {
		fputs("usage: fakevmd socket [guests [flood]]\n", stderr);
		return (1);
	}
	c.path = argv[1];
	if (argc > 2)
		c.nguests = atoi(argv[2]);
	c.flood = argc > 3;
	fakevmd_run(&c);
}
