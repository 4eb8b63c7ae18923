/* SPDX-License-Identifier: ISC */
/*
 * Themes: what a role looks like with 256 colours, with 16 and without any.
 * Views name roles; the file format is vmtop-theme(5).
 */
#ifndef TUI_THEME_H
#define TUI_THEME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

/* id, name in the file, role to fall back to, text for the manual */
#define THEME_ROLES(X)                                                         \
	X(TEXT, "text", TEXT, "everything that has no role of its own")        \
	X(DIM, "dim", TEXT, "what matters less: units, stopped guests")        \
	X(TITLE, "title", TEXT, "the name of the program, titles of frames")   \
	X(CHIP, "chip", TEXT, "a view's name on the first line")               \
	X(CHIP_ON, "chip-active", CHIP, "the name of the view that is shown")  \
	X(BORDER, "border", DIM, "frames and rules")                           \
	X(HEADER, "header", TEXT, "column titles")                             \
	X(HEADER_SORT, "header-sort", HEADER, "the column that sorts")         \
	X(SELECT, "select", TEXT, "the row with the cursor")                   \
	X(TAGGED, "tagged", TEXT, "rows tagged with Space")                    \
	X(METER_LOW, "meter-low", TEXT, "a meter or graph below 60 %")         \
	X(METER_MID, "meter-mid", METER_LOW, "the same below 85 %")            \
	X(METER_HIGH, "meter-high", METER_MID, "the same above")               \
	X(METER_EMPTY, "meter-empty", DIM, "the empty part of a meter")        \
	X(METER_TEXT, "meter-text", TEXT, "the figure in a meter")             \
	X(RUNNING, "state-running", TEXT, "a running guest")                   \
	X(PAUSED, "state-paused", TEXT, "a paused guest")                      \
	X(STOPPED, "state-stopped", DIM, "a stopped guest")                    \
	X(CHANGING, "state-changing", PAUSED, "a guest that starts or stops")  \
	X(FAILED, "state-failed", ERROR, "a guest that failed")                \
	X(ERROR, "error", TEXT, "errors, and the reason on a row")             \
	X(NOTICE, "notice", TEXT, "messages on the status line")               \
	X(WARN, "warn", NOTICE, "questions before something is lost")          \
	X(KEY, "key", TEXT, "keys in the bar and in the help")                 \
	X(LABEL, "label", HEADER, "what the keys in the bar do")               \
	X(PROMPT, "prompt", TEXT, "the line that is typed")                    \
	X(MATCH, "match", SELECT, "what a search found")                       \
	X(SELECTION, "selection", SELECT, "text marked with the mouse")        \
	X(UNREAD, "unread", TEXT, "the mark of unread console output")         \
	X(TAB, "tab", CHIP, "an attached console's name")                      \
	X(TAB_ON, "tab-active", CHIP_ON, "the console that takes the keys")    \
	X(CONSOLE, "console", TEXT, "console cells in the default colours")

enum trole {
#define X(id, name, up, text) TR_##id,
	THEME_ROLES(X)
#undef X
	    TR_MAX
};

#define THEME_UNSET (-2) /* colour: not given; -1: the terminal's own */
#define THEME_FILE_BYTES (64 * 1024)

struct theme_style {
	int16_t fg256, bg256; /* 0..255, -1 default, THEME_UNSET */
	int8_t fg16, bg16;    /* 0..15, the same specials */
	uint8_t attr, mono;   /* CA_*; mono: when there are no colours */
	bool set;
};

struct theme {
	struct theme_style style[TR_MAX];
};

struct theme_role {
	const char *name;
	enum trole up;
	const char *text;
};
extern const struct theme_role theme_roles[TR_MAX];

/* The text of the theme that is used when no file is named. */
extern const char theme_builtin[];

/*
 * Read a theme.  Every role gets a style: its own, or that of the role it
 * falls back to.  -1 with "line N, column M: ..." in *e; *t is then unchanged.
 */
int theme_parse(struct theme *t, const char *bytes, size_t len, struct err *e);
void theme_default(struct theme *);

/* The nearest of the 256 (16) colours of xterm. */
int theme_rgb256(unsigned r, unsigned g, unsigned b);
int theme_256to16(int colour);

#endif
