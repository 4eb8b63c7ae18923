/* SPDX-License-Identifier: ISC */
/*
 * usage: grid_svg [console] >man/vmtop.svg
 * The picture in the README: synthetic guests, the default theme.
 */
#include <stdio.h>

#include "regress/lib/tui_synth.h"
#include "tui/draw/grid_dump.h"

static void
consoles(struct synth *s)
{
	synth_key(s, K_ENTER);
	synth_attached(s, 0, true, 0, 0);
	synth_print(s, 0,
	    "Debian GNU/Linux 12 firefox ttyS0\r\n\r\n"
	    "\033[1;32mroot@firefox\033[0m:\033[1;34m~\033[0m# uname -sr\r\n"
	    "Linux 6.1.0-28-amd64\r\n"
	    "\033[1;32mroot@firefox\033[0m:\033[1;34m~\033[0m# ");
}

int
main(int argc, char *argv[])
{
	struct canvas c;
	struct theme t;
	struct synth s;

	(void)argv;
	synth_init(&s, 8, 26, 110);
	s.app.cs = cs_block;
	synth_key(&s, K_DOWN);
	if (argc > 1)
		consoles(&s);
	else
		synth_key(&s, 'i');
	app_model_changed(&s.app);
	theme_default(&t);
	if (canvas_init(&c, s.app.rows, s.app.cols, cs_block) == -1)
		return (1);
	app_draw(&s.app, &c);
	grid_svg(stdout, &c, &t);
	canvas_fini(&c);
	synth_fini(&s);
	return (0);
}
