/* SPDX-License-Identifier: ISC */
/* Key names and look-up: see key.h. */
#include <stdio.h>
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/key.h"

static const struct {
	uint32_t key;
	const char *name;
} names[] = {
	{ K_UP, "Up" },
	{ K_DOWN, "Down" },
	{ K_LEFT, "Left" },
	{ K_RIGHT, "Right" },
	{ K_HOME, "Home" },
	{ K_END, "End" },
	{ K_PGUP, "PgUp" },
	{ K_PGDN, "PgDn" },
	{ K_INS, "Ins" },
	{ K_DEL, "Del" },
	{ K_BTAB, "S-Tab" },
	{ K_TAB, "Tab" },
	{ K_ENTER, "Enter" },
	{ K_ESC, "Esc" },
	{ K_BACKSPACE, "Backspace" },
	{ ' ', "Space" },
};

static const char *
special_name(uint32_t key)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].key == key)
			return (names[i].name);
	return (NULL);
}

void
key_name(char buf[KEY_NAME_BYTES], uint32_t key)
{
	uint32_t code = key & K_CODE;
	const char *name, *mods;
	char u[5];

	mods = (key & K_ALT)    ? "M-"
	    : (key & K_CONTROL) ? "C-"
	    : (key & K_SHIFT)   ? "S-"
				: "";
	if ((name = special_name(code)) != NULL)
		snprintf(buf, KEY_NAME_BYTES, "%s%s", mods, name);
	else if (code >= K_F1 && code <= K_F12)
		snprintf(
		    buf, KEY_NAME_BYTES, "%sF%d", mods, (int)(code - K_F0));
	else if (code < 0x20)
		snprintf(buf, KEY_NAME_BYTES, "%sC-%c", mods,
		    code >= 1 && code <= 26 ? (int)code + 'a' - 1
					    : (int)code + '@');
	else {
		utf8_put(u, code);
		snprintf(buf, KEY_NAME_BYTES, "%s%s", mods, u);
	}
}

uint32_t
key_parse(const char *s)
{
	uint32_t mods = 0, ch;
	size_t i, len;
	int f = 0, used = 0;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(s, names[i].name) == 0)
			return (names[i].key);
	if (strncmp(s, "M-", 2) == 0 && s[2] != '\0') {
		mods = K_ALT;
		s += 2;
	}
	if (strncmp(s, "C-", 2) == 0 && s[2] > 0x3f && s[2] < 0x7f &&
	    s[3] == '\0')
		return (mods | K_CTRL(s[2]));
	if (sscanf(s, "F%2d%n", &f, &used) == 1 && f >= 1 && f <= 12 &&
	    s[used] == '\0')
		return (mods | (K_F0 + (uint32_t)f));
	len = strlen(s);
	if (len == 0)
		return (0);
	ch = utf8_next(&s, &len);
	return (len == 0 && ch > 0x20 && ch != 0xfffd ? mods | ch : 0);
}

const struct keybind *
keytab_find(const struct keytab *t, uint32_t key)
{
	size_t i, k;

	for (i = 0; i < t->nrows; i++)
		for (k = 0; k < KEYBIND_KEYS && t->rows[i].key[k] != 0; k++)
			if (t->rows[i].key[k] == key)
				return (&t->rows[i]);
	return (NULL);
}
