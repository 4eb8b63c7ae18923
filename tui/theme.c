/* SPDX-License-Identifier: ISC */
/*
 * The theme parser.  Grammar, a line each, '#' begins a comment:
 *	role fg bg attrs [attrs-without-colour]
 * Colour: NAME, 0..255, #rrggbb or "default"; "A/B" gives B to terminals with
 * 16 colours.  attrs: "-" or a comma list.  Touches no global but tables.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/theme.h"

const struct theme_role theme_roles[TR_MAX] = {
#define X(id, name, up, text) { name, TR_##up, text },
	THEME_ROLES(X)
#undef X
};

static const char *const colour_names[16] = {
	"black",
	"red",
	"green",
	"yellow",
	"blue",
	"magenta",
	"cyan",
	"white",
	"bright-black",
	"bright-red",
	"bright-green",
	"bright-yellow",
	"bright-blue",
	"bright-magenta",
	"bright-cyan",
	"bright-white",
};

static const struct {
	const char *name;
	uint8_t attr;
} attr_names[] = {
	{ "bold", CA_BOLD },
	{ "underline", CA_UNDERLINE },
	{ "reverse", CA_REVERSE },
	{ "dim", CA_DIM },
	{ "italic", CA_ITALIC },
	{ "blink", CA_BLINK },
};

/* xterm's own default values for the first 16. */
static const uint8_t rgb16[16][3] = {
	{ 0, 0, 0 },
	{ 205, 0, 0 },
	{ 0, 205, 0 },
	{ 205, 205, 0 },
	{ 0, 0, 238 },
	{ 205, 0, 205 },
	{ 0, 205, 205 },
	{ 229, 229, 229 },
	{ 127, 127, 127 },
	{ 255, 0, 0 },
	{ 0, 255, 0 },
	{ 255, 255, 0 },
	{ 92, 92, 255 },
	{ 255, 0, 255 },
	{ 0, 255, 255 },
	{ 255, 255, 255 },
};
static const uint8_t cube[6] = { 0, 95, 135, 175, 215, 255 };

struct reader {
	const char *p, *end;
	int line;
	const char *bol;
	struct err *e;
};

static int
bad(const struct reader *r, const char *at, const char *what, const char *tok)
{
	return (err_set(r->e, EINVAL, "line %d, column %d: %s%s%s%s", r->line,
	    (int)(at - r->bol) + 1, what, tok[0] != '\0' ? " \"" : "", tok,
	    tok[0] != '\0' ? "\"" : ""));
}

static unsigned
distance(const uint8_t *c, unsigned r, unsigned g, unsigned b)
{
	int dr = (int)c[0] - (int)r, dg = (int)c[1] - (int)g,
	    db = (int)c[2] - (int)b;

	return ((unsigned)(dr * dr * 2 + dg * dg * 4 + db * db * 3));
}

static int
cube_near(unsigned v)
{
	int i, best = 0;

	for (i = 1; i < 6; i++)
		if (abs((int)cube[i] - (int)v) < abs((int)cube[best] - (int)v))
			best = i;
	return (best);
}

int
theme_rgb256(unsigned r, unsigned g, unsigned b)
{
	int ir = cube_near(r), ig = cube_near(g), ib = cube_near(b), gi;
	uint8_t c[3] = { cube[ir], cube[ig], cube[ib] }, grey[3];
	unsigned avg = (r + g + b) / 3;

	gi = avg < 8 ? 0 : avg > 238 ? 23 : ((int)avg - 3) / 10;
	grey[0] = grey[1] = grey[2] = (uint8_t)(8 + gi * 10);
	if (distance(grey, r, g, b) < distance(c, r, g, b))
		return (232 + gi);
	return (16 + 36 * ir + 6 * ig + ib);
}

int
theme_256to16(int colour)
{
	uint8_t c[3];
	int i, best = 0;

	if (colour < 16)
		return (colour);
	if (colour >= 232) {
		c[0] = c[1] = c[2] = (uint8_t)(8 + (colour - 232) * 10);
	} else {
		colour -= 16;
		c[0] = cube[colour / 36];
		c[1] = cube[colour / 6 % 6];
		c[2] = cube[colour % 6];
	}
	for (i = 1; i < 16; i++)
		if (distance(rgb16[i], c[0], c[1], c[2]) <
		    distance(rgb16[best], c[0], c[1], c[2]))
			best = i;
	return (best);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c |= 0x20;
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* One colour word; returns false when it is none. */
static bool
colour_word(const char *s, int max, int *out)
{
	int i, v = 0, d[6];

	if (strcmp(s, "default") == 0) {
		*out = CELL_DEFAULT;
		return (true);
	}
	for (i = 0; i < 16; i++)
		if (strcmp(s, colour_names[i]) == 0) {
			*out = i;
			return (true);
		}
	if (s[0] == '#' && strlen(s) == 7 && max > 15) {
		for (i = 0; i < 6; i++)
			if ((d[i] = hex(s[i + 1])) == -1)
				return (false);
		*out = theme_rgb256((unsigned)(d[0] << 4 | d[1]),
		    (unsigned)(d[2] << 4 | d[3]), (unsigned)(d[4] << 4 | d[5]));
		return (true);
	}
	if (s[0] == '\0' || strlen(s) > 3)
		return (false);
	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] < '0' || s[i] > '9')
			return (false);
		v = v * 10 + (s[i] - '0');
	}
	*out = v;
	return (v <= max);
}

static int
parse_colour(
    struct reader *r, const char *at, char *tok, int16_t *c256, int8_t *c16)
{
	char *slash = strchr(tok, '/');
	int v;

	if (slash != NULL)
		*slash = '\0';
	if (!colour_word(tok, 255, &v))
		return (bad(r, at, "not a colour:", tok));
	*c256 = (int16_t)v;
	*c16 = (int8_t)(v < 0 ? v : theme_256to16(v));
	if (slash == NULL)
		return (0);
	if (!colour_word(slash + 1, 15, &v))
		return (bad(r, at + (slash + 1 - tok),
		    "not one of the 16 colours:", slash + 1));
	*c16 = (int8_t)v;
	return (0);
}

static int
parse_attrs(struct reader *r, const char *at, char *tok, uint8_t *out)
{
	char *word, *next;
	size_t i;

	*out = 0;
	if (strcmp(tok, "-") == 0)
		return (0);
	for (word = tok; word != NULL; word = next) {
		if ((next = strchr(word, ',')) != NULL)
			*next++ = '\0';
		for (i = 0; i < sizeof(attr_names) / sizeof(*attr_names); i++)
			if (strcmp(word, attr_names[i].name) == 0)
				break;
		if (i == sizeof(attr_names) / sizeof(*attr_names))
			return (bad(
			    r, at + (word - tok), "not an attribute:", word));
		*out |= attr_names[i].attr;
	}
	return (0);
}

/* The next word of this line: 1, or 0 at its end; -1: too long or not text. */
static int
word(struct reader *r, char *buf, size_t size, const char **at)
{
	size_t n = 0;

	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
	*at = r->p;
	/* '#' begins a comment, but not in "#rrggbb" after the role. */
	if (r->p == r->end || *r->p == '\n' || *r->p == '\r' ||
	    (*r->p == '#' &&
		(r->p + 1 == r->end || hex(r->p[1]) == -1 || r->p == r->bol)))
		return (0);
	while (r->p < r->end && strchr(" \t\r\n", *r->p) == NULL) {
		if (*r->p < 0x21 || *r->p > 0x7e)
			return (bad(r, r->p, "a byte that is not text", ""));
		if (n + 1 >= size)
			return (bad(r, *at, "word is too long", ""));
		buf[n++] = *r->p++;
	}
	buf[n] = '\0';
	return (1);
}

static int
find_role(const char *name)
{
	int i;

	for (i = 0; i < TR_MAX; i++)
		if (strcmp(name, theme_roles[i].name) == 0)
			return (i);
	return (-1);
}

static int
parse_style(struct reader *r, struct theme_style *s)
{
	char tok[32];
	const char *at;
	int i, rc;

	for (i = 0; i < 4; i++) {
		if ((rc = word(r, tok, sizeof(tok), &at)) == -1)
			return (-1);
		if (rc == 0 && i < 2)
			return (bad(r, at, "expected: role fg bg attrs", ""));
		if (rc == 0)
			return (0);
		if (i == 0)
			rc = parse_colour(r, at, tok, &s->fg256, &s->fg16);
		else if (i == 1)
			rc = parse_colour(r, at, tok, &s->bg256, &s->bg16);
		else if (i == 2)
			rc = parse_attrs(r, at, tok, &s->attr);
		else
			rc = parse_attrs(r, at, tok, &s->mono);
		if (rc == -1)
			return (-1);
		if (i == 2)
			s->mono = s->attr;
	}
	if ((rc = word(r, tok, sizeof(tok), &at)) == 1)
		return (bad(r, at, "too much on the line:", tok));
	return (rc);
}

static int
parse_line(struct reader *r, struct theme *t)
{
	struct theme_style s = { .set = true };
	const char *at;
	char name[32];
	int rc, role;

	if ((rc = word(r, name, sizeof(name), &at)) != 1)
		return (rc);
	if ((role = find_role(name)) == -1)
		return (bad(r, at, "no such role:", name));
	if (t->style[role].set)
		return (bad(r, at, "given twice:", name));
	if (parse_style(r, &s) == -1)
		return (-1);
	t->style[role] = s;
	return (0);
}

/* Roles without a line take that of the role above, TEXT the terminal's. */
static void
resolve(struct theme *t)
{
	struct theme_style *s;
	int i, up;

	s = &t->style[TR_TEXT];
	if (!s->set)
		*s = (struct theme_style){ -1, -1, -1, -1, 0, 0, true };
	for (i = 0; i < TR_MAX; i++) {
		for (up = i; !t->style[up].set;)
			up = (int)theme_roles[up].up;
		if (up != i) {
			t->style[i] = t->style[up];
			t->style[i].set = false;
		}
	}
}

int
theme_parse(struct theme *t, const char *bytes, size_t len, struct err *e)
{
	struct reader r = { bytes, bytes + len, 1, bytes, e };
	struct theme new;

	memset(&new, 0, sizeof(new));
	if (len > THEME_FILE_BYTES)
		return (err_set(e, EFBIG, "a theme has at most %d bytes",
		    THEME_FILE_BYTES));
	while (r.p < r.end) {
		r.bol = r.p;
		if (parse_line(&r, &new) == -1)
			return (-1);
		while (r.p < r.end && *r.p != '\n')
			r.p++;
		if (r.p < r.end)
			r.p++;
		r.line++;
	}
	resolve(&new);
	*t = new;
	return (0);
}

void
theme_default(struct theme *t)
{
	struct err e;

	/* The text is ours; regress/unit/test_theme reads it. */
	if (theme_parse(t, theme_builtin, strlen(theme_builtin), &e) == -1) {
		memset(t, 0, sizeof(*t));
		resolve(t);
	}
}
