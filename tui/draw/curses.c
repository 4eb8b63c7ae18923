/* SPDX-License-Identifier: ISC */
/* Grid to curses, and nothing else does curses: see screen.h. */
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

#include "shared/fd.h"
#include "tui/draw/screen.h"

/*
 * curses writes whenever it moves the cursor.  So it writes into memory, and
 * that goes to the terminal in one piece: a frame is one write(2), and there
 * is one gate for all that leaves.  A memory file has no size of a screen;
 * curses starts with the one below and is resized at once.
 */
#define START_LINES "24"
#define START_COLS "80"
#define GATE_BYTES (256 * 1024)

#define MOUSE_ON "\033[?1000h\033[?1002h\033[?1006h"
#define MOUSE_OFF "\033[?1006l\033[?1002l\033[?1000l"
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

struct screen {
	SCREEN *sp;
	FILE *mem;          /* what curses takes for the terminal */
	struct termios tty; /* as it was */
	const struct theme *theme;
	struct charset cs;
	struct canvas shown; /* what the terminal has */
	bool all;            /* of which nothing is known */
	bool xterm;          /* understands the sequences above */
	bool mouse;
	int colours; /* 0, 8, 16, 256 */
	int rows, cols;
};

/*
 * Terminals that follow xterm's ctlseqs: those with its mouse reports.  The
 * Linux console has them only by way of gpm, and nothing of the rest.
 */
static bool
like_xterm(void)
{
	const char *kmous = tigetstr("kmous"), *term = getenv("TERM");

	return (kmous != NULL && kmous != (char *)-1 &&
	    strncmp(kmous, "\033[", 2) == 0 && term != NULL &&
	    strncmp(term, "linux", 5) != 0);
}

static enum graph_style
graph_style(void)
{
	const char *term = getenv("TERM");

	/* The kernel's console has 512 glyphs, lines among them, no braille;
	 * a real VT has none at all. */
	if (term == NULL || strncmp(term, "linux", 5) == 0 ||
	    strncmp(term, "vt", 2) == 0)
		return (GRAPH_TTY);
	return (GRAPH_BRAILLE);
}

static bool
utf8_terminal(void)
{
	const char *term = getenv("TERM");

	return (strcmp(nl_langinfo(CODESET), "UTF-8") == 0 && term != NULL &&
	    strncmp(term, "vt", 2) != 0);
}

static int
set_colours(bool no_colour)
{
	if (no_colour || !has_colors() || start_color() == ERR ||
	    use_default_colors() == ERR)
		return (0);
	return (COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : COLORS >= 8 ? 8 : 0);
}

/* All that was put into memory goes out; nothing else writes to fd 1. */
static void
gate(struct screen *s)
{
	static char buf[GATE_BYTES];
	int fd = fileno(s->mem);
	off_t end = lseek(fd, 0, SEEK_CUR), at;
	ssize_t n, put, w;

	for (at = 0; at < end; at += n) {
		n = end - at < GATE_BYTES ? end - at : GATE_BYTES;
		if ((n = pread(fd, buf, (size_t)n, at)) <= 0)
			break;
		for (put = 0; put < n; put += w) {
			w = write(STDOUT_FILENO, buf + put, (size_t)(n - put));
			if (w == -1 && errno == EINTR)
				w = 0;
			else if (w == -1)
				break; /* the loop sees that it is gone */
		}
	}
	lseek(fd, 0, SEEK_SET);
}

static void
emit(struct screen *s, const char *bytes)
{
	size_t len = strlen(bytes);

	if (write(fileno(s->mem), bytes, len) != (ssize_t)len)
		s->all = true;
}

static int
open_memory(struct screen *s, struct err *e)
{
	int fd = memfd_create("screen", MFD_CLOEXEC);

	if (fd == -1 || (s->mem = fdopen(fd, "w")) == NULL) {
		err_errno(e, "memory for the screen");
		fd_close(&fd);
		return (-1);
	}
	return (0);
}

/* Every byte as it was typed, every byte as it is written. */
static int
tty_raw(struct screen *s, struct err *e)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &s->tty) == -1)
		return (err_errno(e, "the terminal's settings"));
	t = s->tty;
	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) == -1)
		return (err_errno(e, "the terminal's settings"));
	return (0);
}

static int
start_curses(struct screen *s, struct err *e)
{
	const char *term = getenv("TERM");
	int rc;

	if (term == NULL || setupterm(term, STDOUT_FILENO, &rc) == ERR)
		return (err_set(e, ENOENT,
		    "terminal type \"%s\" is not "
		    "known; set TERM to one that is",
		    term != NULL ? term : ""));
	del_curterm(cur_term);    /* newterm() makes its own */
	signal(SIGTSTP, SIG_IGN); /* else curses takes it */
	setenv("LINES", START_LINES, 1);
	setenv("COLUMNS", START_COLS, 1);
	s->sp = newterm(NULL, s->mem, stdin);
	unsetenv("LINES");
	unsetenv("COLUMNS");
	if (s->sp == NULL)
		return (err_set(e, ENOTTY,
		    "terminal type \"%s\" cannot move "
		    "its cursor",
		    term));
	nonl();
	typeahead(-1); /* a frame is drawn whole */
	scrollok(stdscr, FALSE);
	leaveok(stdscr, FALSE);
	return (0);
}

int
screen_open(struct screen **out, const struct theme *theme, bool mouse,
    bool no_colour, struct err *e)
{
	struct screen *s;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return (err_set(
		    e, ENOTTY, "standard input and output must be a terminal"));
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (err_errno(e, "screen"));
	if (open_memory(s, e) == -1 || start_curses(s, e) == -1 ||
	    tty_raw(s, e) == -1) {
		if (s->mem != NULL)
			fclose(s->mem);
		free(s);
		return (-1);
	}
	s->theme = theme;
	s->cs = (struct charset){ utf8_terminal(), graph_style() };
	s->colours = set_colours(no_colour);
	s->xterm = like_xterm();
	s->all = true;
	if (s->xterm)
		emit(s, PASTE_ON);
	screen_mouse(s, mouse);
	screen_size(s, &s->rows, &s->cols);
	*out = s;
	return (0);
}

void
screen_close(struct screen *s)
{
	if (s == NULL)
		return;
	screen_mouse(s, false);
	if (s->xterm)
		emit(s, PASTE_OFF);
	endwin();
	gate(s);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &s->tty);
	delscreen(s->sp);
	fclose(s->mem);
	canvas_fini(&s->shown);
	free(s);
}

struct charset
screen_charset(const struct screen *s)
{
	return (s->cs);
}

void
screen_size(struct screen *s, int *rows, int *cols)
{
	struct winsize ws;

	*rows = 24;
	*cols = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0 &&
	    ws.ws_col > 0) {
		*rows = ws.ws_row > 1000 ? 1000 : ws.ws_row;
		*cols = ws.ws_col > 1000 ? 1000 : ws.ws_col;
	}
	if (*rows != LINES || *cols != COLS) {
		resizeterm(*rows, *cols);
		s->all = true;
	}
}

void
screen_redraw(struct screen *s)
{
	s->all = true;
}

void
screen_mouse(struct screen *s, bool on)
{
	if (!s->xterm || on == s->mouse)
		return;
	s->mouse = on;
	emit(s, on ? MOUSE_ON : MOUSE_OFF);
	gate(s);
}

bool
screen_copy(struct screen *s, const char *text, size_t len)
{
	static char buf[SCREEN_COPY_BYTES * 4 / 3 + 64];

	if (!s->xterm || osc52(buf, sizeof(buf), text, len) == 0)
		return (false);
	emit(s, buf);
	gate(s);
	return (true);
}

static attr_t
curses_attr(uint8_t a)
{
	return (((a & CA_BOLD) ? A_BOLD : 0) |
	    ((a & CA_UNDERLINE) ? A_UNDERLINE : 0) |
	    ((a & CA_REVERSE) ? A_REVERSE : 0) | ((a & CA_DIM) ? A_DIM : 0) |
	    ((a & CA_ITALIC) ? A_ITALIC : 0) | ((a & CA_BLINK) ? A_BLINK : 0));
}

/* What a cell looks like on this terminal. */
static void
look(const struct screen *s, const struct cell *cell, attr_t *attr, int *fg,
    int *bg)
{
	const struct theme_style *st = &s->theme->style[cell->role];
	uint8_t a = cell->attr;

	a |= s->colours == 0 ? st->mono : st->attr;
	if ((cell->attr & CA_REVERSE) && (st->attr & CA_REVERSE))
		a &= (uint8_t)~CA_REVERSE;
	*fg = s->colours == 256 ? st->fg256 : st->fg16;
	*bg = s->colours == 256 ? st->bg256 : st->bg16;
	if (cell->role == TR_CONSOLE) {
		if (cell->fg != CELL_DEFAULT)
			*fg = s->colours == 256 ? cell->fg
						: theme_256to16(cell->fg);
		if (cell->bg != CELL_DEFAULT)
			*bg = s->colours == 256 ? cell->bg
						: theme_256to16(cell->bg);
	}
	*attr = curses_attr(a);
	if (s->colours == 8) { /* bright is bold there */
		if (*fg >= 8)
			*attr |= A_BOLD;
		*fg = *fg >= 8 ? *fg - 8 : *fg;
		*bg = *bg >= 8 ? *bg - 8 : *bg;
	}
}

static void
put_cell(const struct screen *s, int row, int col, const struct cell *cell)
{
	wchar_t wc[2] = { (wchar_t)cell->ch, L'\0' };
	int fg, bg, pair = 0;
	attr_t attr;
	cchar_t cc;

	if (cell->width == 0)
		return;
	look(s, cell, &attr, &fg, &bg);
	if (s->colours > 0 && (fg != -1 || bg != -1) &&
	    (pair = alloc_pair(fg, bg)) == -1)
		pair = 0;
	if (setcchar(&cc, wc, attr, 0, &pair) == OK)
		mvadd_wchnstr(row, col, &cc, 1);
}

static bool
same(const struct cell *a, const struct cell *b)
{
	return (memcmp(a, b, sizeof(*a)) == 0);
}

/* A changed right half means that its left half is put again. */
static void
put_row(struct screen *s, const struct canvas *c, int row)
{
	const struct cell *now = canvas_peek(c, row, 0);
	struct cell *was = canvas_at(&s->shown, row, 0);
	int col;

	for (col = 0; col < c->cols; col++) {
		bool twice = now[col].width == 2 && col + 1 < c->cols &&
		    !same(&now[col + 1], &was[col + 1]);

		if (s->all || twice || !same(&now[col], &was[col]))
			put_cell(s, row, col, &now[col]);
	}
	memcpy(was, now, sizeof(*now) * (size_t)c->cols);
}

void
screen_show(struct screen *s, const struct canvas *c)
{
	int row;

	if (s->shown.rows != c->rows || s->shown.cols != c->cols) {
		canvas_fini(&s->shown);
		if (canvas_init(&s->shown, c->rows, c->cols, c->cs) == -1)
			return;
		s->all = true;
	}
	if (s->all)
		clearok(curscr, TRUE);
	for (row = 0; row < c->rows; row++)
		put_row(s, c, row);
	s->all = false;
	curs_set(c->cur_row >= 0 ? 1 : 0);
	if (c->cur_row >= 0)
		move(c->cur_row, c->cur_col);
	wnoutrefresh(stdscr);
	doupdate();
	gate(s);
}
