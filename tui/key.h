/* SPDX-License-Identifier: ISC */
/*
 * Keys as numbers, and tables of what they do.  One table per view is the
 * truth for dispatch, the help screen, the bar of function keys and the
 * manual (regress/tui/test_mankeys).
 */
#ifndef TUI_KEY_H
#define TUI_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is a code point, a control character, or one of these, plus bits. */
#define K_CTRL(c) ((uint32_t)((c)&0x1f))
#define K_TAB 0x09
#define K_ENTER 0x0d
#define K_ESC 0x1b
#define K_BACKSPACE 0x7f
enum key_special {
	K_UP = 0x110000,
	K_DOWN,
	K_LEFT,
	K_RIGHT,
	K_HOME,
	K_END,
	K_PGUP,
	K_PGDN,
	K_INS,
	K_DEL,
	K_BTAB,
	K_F0,
	K_F1,
	K_F2,
	K_F3,
	K_F4,
	K_F5,
	K_F6,
	K_F7,
	K_F8,
	K_F9,
	K_F10,
	K_F11,
	K_F12,
	K_LAST
};
#define K_SHIFT 0x01000000u
#define K_ALT 0x02000000u
#define K_CONTROL 0x04000000u /* with specials; letters have K_CTRL() */
#define K_CODE 0x001fffffu

/* "C-]", "F10", "Space", "M-x", "PgUp". */
#define KEY_NAME_BYTES 24
void key_name(char buf[KEY_NAME_BYTES], uint32_t key);
/* The other way; 0: no such key. */
uint32_t key_parse(const char *name);

enum mouse_what { MOUSE_PRESS, MOUSE_RELEASE, MOUSE_DRAG, MOUSE_WHEEL };

/* What the keyboard decoder hands on. */
struct input {
	enum { IN_KEY, IN_MOUSE, IN_PASTE_BEGIN, IN_PASTE_END } kind;
	uint32_t key;         /* IN_KEY */
	enum mouse_what what; /* IN_MOUSE */
	int button;           /* 1..3; wheel: -1 up, 1 down */
	int row, col;         /* from 0 */
	int clicks;           /* of a press: 1, or 2 for a double click */
};

struct view;
struct keytab;

#define KEYBIND_KEYS 4
struct keybind {
	uint32_t key[KEYBIND_KEYS];
	const char *action; /* "guest-start": the name in the manual */
	const char *bar;    /* its word in the bar at the bottom, or NULL */
	const char *help;
	void (*fn)(struct view *, int arg);
	int arg;
	const struct keytab *sub; /* instead of fn: a second stroke */
};

struct keytab {
	const char *name;   /* "Guests": heading in the help */
	const char *prefix; /* NULL, or the stroke before: "x" */
	const struct keybind *rows;
	size_t nrows;
};

/* The row for this key, or NULL. */
const struct keybind *keytab_find(const struct keytab *, uint32_t key);

#endif
