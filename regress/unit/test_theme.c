/* SPDX-License-Identifier: ISC */
/* Themes: grammar, errors with their place, fall-back, the shipped files. */
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "tui/draw/canvas.h"

static int
parse(struct theme *t, const char *text, struct err *e)
{
	err_clear(e);
	return (theme_parse(t, text, strlen(text), e));
}

static void
good(void)
{
	struct theme t;
	struct err e;

	CHECK_EQ(parse(&t, "# only a comment\n\n", &e), 0);
	CHECK_EQ(t.style[TR_TEXT].fg256, -1);
	CHECK_EQ(
	    parse(&t, "text 250/white #101010 bold,underline reverse", &e), 0);
	CHECK_EQ(t.style[TR_TEXT].fg256, 250);
	CHECK_EQ(t.style[TR_TEXT].fg16, 7);
	CHECK_EQ(t.style[TR_TEXT].bg256, 233);
	CHECK_EQ(t.style[TR_TEXT].attr, CA_BOLD | CA_UNDERLINE);
	CHECK_EQ(t.style[TR_TEXT].mono, CA_REVERSE);
	/* All others follow. */
	CHECK_EQ(t.style[TR_FAILED].fg256, 250);
	CHECK(!t.style[TR_FAILED].set);
	CHECK_EQ(parse(&t, "error red default bold\r\n", &e), 0);
	CHECK_EQ(t.style[TR_FAILED].fg16, 1);
	CHECK_EQ(t.style[TR_FAILED].mono, CA_BOLD);
	CHECK_EQ(t.style[TR_TEXT].fg16, -1);
	CHECK_EQ(parse(&t, "text default default # the end", &e), 0);
}

static void
bad(void)
{
	static const struct {
		const char *text, *err;
	} cases[] = {
		{ "nosuch 1 2 -",
		    "line 1, column 1: no such role: \"nosuch\"" },
		{ "text 1 2 -\ntext 1 2 -",
		    "line 2, column 1: given twice: \"text\"" },
		{ "text 256 2 -", "line 1, column 6: not a colour: \"256\"" },
		{ "text 1 1/16 -",
		    "line 1, column 10: not one of the 16 colours: \"16\"" },
		{ "text 1 2 bold,fat",
		    "line 1, column 15: not an attribute: \"fat\"" },
		{ "text 1", "line 1, column 7: expected: role fg bg attrs" },
		{ "text 1 2 - - x",
		    "line 1, column 14: too much on the line: \"x\"" },
		{ "text #12345g 1 -",
		    "line 1, column 6: not a colour: \"#12345g\"" },
		{ "te\033xt 1 2", "line 1, column 3: a byte that is not text" },
		{ "textaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 2",
		    "line 1, column 1: word is too long" },
	};
	struct theme t, before;
	struct err e;
	size_t i;

	theme_default(&before);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t = before;
		CHECK_EQ(parse(&t, cases[i].text, &e), -1);
		CHECK_STR(e.text, cases[i].err);
		CHECK(memcmp(&t, &before, sizeof(t)) == 0);
	}
}

static size_t
slurp(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;

	CHECK_MSG(f != NULL, "%s", path);
	if (f != NULL) {
		n = fread(buf, 1, size - 1, f);
		fclose(f);
	}
	buf[n] = '\0';
	return (n);
}

static void
shipped(void)
{
	static const char *const names[] = { "default", "light", "mono",
		"high-contrast" };
	char path[64], buf[16384];
	struct theme t;
	struct err e;
	size_t i, n;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "themes/%s.theme", names[i]);
		n = slurp(path, buf, sizeof(buf));
		err_clear(&e);
		CHECK_MSG(
		    theme_parse(&t, buf, n, &e) == 0, "%s: %s", path, e.text);
		if (i == 0)
			CHECK_STR(buf, theme_builtin);
	}
}

/* A selected row must stand out without colours, in every shipped theme. */
static void
mono(void)
{
	static const char *const names[] = { "default", "light", "mono",
		"high-contrast" };
	static const enum trole roles[] = { TR_SELECT, TR_CHIP_ON, TR_WARN,
		TR_TAB_ON, TR_HEADER };
	char path[64], buf[16384];
	struct theme t;
	size_t i, k, n;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "themes/%s.theme", names[i]);
		n = slurp(path, buf, sizeof(buf));
		if (theme_parse(&t, buf, n, NULL) == -1)
			continue;
		for (k = 0; k < 5; k++)
			CHECK_MSG(t.style[roles[k]].mono & CA_REVERSE, "%s: %s",
			    path, theme_roles[roles[k]].name);
	}
}

static void
nearest(void)
{
	CHECK_EQ(theme_rgb256(0, 0, 0), 16);
	CHECK_EQ(theme_rgb256(255, 255, 255), 231);
	CHECK_EQ(theme_rgb256(255, 0, 0), 196);
	CHECK_EQ(theme_rgb256(128, 128, 128), 244);
	CHECK_EQ(theme_256to16(5), 5);
	CHECK_EQ(theme_256to16(196), 9);
	CHECK_EQ(theme_256to16(16), 0);
	CHECK_EQ(theme_256to16(255), 7);
}

static const struct tap_case cases[] = {
	{ "theme: what may be written", good },
	{ "theme: errors name their place", bad },
	{ "theme: shipped ones are whole, the built-in is default", shipped },
	{ "theme: without colours marks still show", mono },
	{ "theme: nearest colours", nearest },
};
TAP_MAIN(cases)
