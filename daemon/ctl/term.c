/* SPDX-License-Identifier: ISC */
/* The terminal of vmctl console: see term.h. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "daemon/ctl/term.h"

static struct termios before;
static int raw_fd;
static volatile sig_atomic_t raw, known;

/* From signal handlers too: tcsetattr(3) is safe there. */
void
term_restore(void)
{
	if (!raw)
		return;
	raw = 0;
	/* Not TCSADRAIN: a terminal that is stopped would keep us here. */
	tcsetattr(raw_fd, TCSANOW, &before);
}

static void
on_crash(int sig)
{
	term_restore();
	raise(sig); /* SA_RESETHAND: for good */
}

static void
catch_crashes(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT,
		SIGSYS };
	struct sigaction sa;
	size_t i;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_crash;
	sa.sa_flags = SA_RESETHAND | SA_NODEFER;
	for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaction(deadly[i], &sa, NULL);
}

int
term_raw(int fd, struct err *e)
{
	struct termios t;

	if (!known) {
		if (tcgetattr(fd, &before) == -1)
			return (err_errno(e, "terminal"));
		raw_fd = fd;
		known = 1;
		atexit(term_restore);
		catch_crashes();
	}
	t = before;
	cfmakeraw(&t);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	raw = 1;
	if (tcsetattr(fd, TCSANOW, &t) == -1) {
		raw = 0;
		return (err_errno(e, "terminal"));
	}
	return (0);
}

int
term_is_raw(void)
{
	return (raw);
}
