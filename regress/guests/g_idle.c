/* SPDX-License-Identifier: ISC */
/* Says that it is up and sleeps for ever: for benchmarks and the daemon. */
#include "regress/guests/guest.h"

void
guest(void)
{
	print("up\n");
	die();
}
