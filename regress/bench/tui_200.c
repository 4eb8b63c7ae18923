/* SPDX-License-Identifier: ISC */
/*
 * What vmtop costs with 200 guests, without a terminal: a second of figures,
 * sorting and drawing at 200x50, in CPU time.  Prints name, value, unit, budget.
 */
#include <stdio.h>
#include <time.h>

#include "regress/lib/tui_synth.h"

#define SECONDS 300

static double
cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ((double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6);
}

int
main(void)
{
	struct canvas c;
	struct synth s;
	double t;
	int i;

	synth_init(&s, 200, 50, 200);
	synth_key(&s, 'P');
	if (canvas_init(&c, 50, 200, cs_braille) == -1)
		return (1);
	t = cpu_ms();
	for (i = 0; i < SECONDS; i++) {
		synth_second(&s);
		app_draw(&s.app, &c);
	}
	t = (cpu_ms() - t) / SECONDS;
	printf("tui_200_frame\t%.3f\tms\t20\n", t);
	canvas_fini(&c);
	synth_fini(&s);
	return (0);
}
