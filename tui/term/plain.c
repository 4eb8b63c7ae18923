/* SPDX-License-Identifier: ISC */
/*
 * Plain output: see plain.h.  States and ranges are those of ECMA-48 (5.4,
 * 5.6) and of the parser for DEC's terminals that libtsm follows, too.
 */
#include <string.h>

#include "tui/term/plain.h"

#define ESC 0x1b
#define CAN 0x18
#define SUB 0x1a

enum state {
	GROUND,
	ESCAPE,   /* after ESC */
	ESC_MORE, /* and an intermediate */
	CSI,      /* after ESC [ */
	CSI_NUM,  /* and numbers */
	CSI_MORE, /* and anything else */
	OSC,      /* after ESC ] */
	STRING,   /* DCS and the like; whatever is not looked into */
};

static bool
is_text(uint8_t c)
{
	return ((c >= 0x20 && c < 0x7f) || c == '\r' || c == '\n' ||
	    c == '\t' || c == '\b');
}

/* The end of a CSI: colours are plain, margins are remembered. */
static bool
csi_end(struct plain *p, uint8_t c)
{
	bool numbers = p->state == CSI_NUM, odd = p->state == CSI_MORE;

	p->state = GROUND;
	if (c == 'r')
		p->margins = numbers || odd;
	if (c == 'p' && odd)
		p->other = true; /* DECSCL among others */
	return (c == 'm' && !odd);
}

static bool
csi(struct plain *p, uint8_t c)
{
	if (c >= 0x40 && c < 0x7f)
		return (csi_end(p, c));
	if ((c >= '0' && c <= '9') || c == ';') {
		if (p->state == CSI)
			p->state = CSI_NUM;
		return (p->state == CSI_NUM);
	}
	if (c >= 0x20)
		p->state = CSI_MORE;
	return (false);
}

static bool
escape(struct plain *p, uint8_t c)
{
	if (p->state == ESCAPE && c == '[') {
		p->state = CSI;
		return (true);
	}
	if (p->state == ESCAPE && c == ']')
		p->state = OSC;
	else if (p->state == ESCAPE && c != '\0' && strchr("PX^_ %", c) != NULL)
		p->state = STRING;
	else if (c >= 0x30 && c < 0x7f)
		p->state = GROUND;
	else if (c >= 0x20 && c != 0x7f)
		p->state = ESC_MORE;
	return (false);
}

/*
 * Bytes of UTF-8 are characters, but these may be a C1 control, as U+0080 to
 * U+009F or in a form that is too long and some would take.
 */
static bool
is_c1(uint8_t before, uint8_t c)
{
	return (c == 0xc0 || c == 0xc1 || c >= 0xf5 ||
	    (before == 0xc2 && c < 0xa0) || (before == 0xe0 && c < 0xa0) ||
	    (before == 0xf0 && c < 0x90));
}

/*
 * As libtsm counts: what comes where a character has to go on is taken with it,
 * be it ESC.
 */
static void
count(struct plain *p, uint8_t c)
{
	if (p->left > 0)
		p->left = c >= 0x80 && c < 0xc0 ? p->left - 1 : 0;
	else if (c >= 0xc0 && c < 0xf8)
		p->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

/* A byte of a character: true when that is whole or may still be. */
static bool
high(struct plain *p, uint8_t c)
{
	uint8_t before = p->high;
	bool goes_on = p->left > 0;

	p->high = c;
	count(p, c);
	if (p->other || is_c1(before, c)) {
		p->state = STRING;
		return (false);
	}
	if (p->state == CSI || p->state == CSI_NUM)
		p->state = CSI_MORE;
	else if (p->state == ESCAPE)
		p->state = ESC_MORE;
	if (c >= 0xc0)
		return (before == 0 && p->state == GROUND);
	if (!goes_on || (before == 0xed && c >= 0xa0) ||
	    (before == 0xf4 && c >= 0x90))
		return (false);
	if (p->left == 0)
		p->high = 0;
	return (p->state == GROUND);
}

static bool
step(struct plain *p, uint8_t c)
{
	bool cut = p->high != 0;

	if (c >= 0x80)
		return (high(p, c));
	p->high = 0;
	if (p->left > 0) {
		count(p, c);
		return (false);
	}
	if (c == ESC) {
		p->state = ESCAPE;
		return (!cut);
	}
	if (c == CAN || c == SUB) {
		p->state = GROUND;
		return (false);
	}
	switch (p->state) {
	case GROUND:
		return (is_text(c) && !cut);
	case ESCAPE:
	case ESC_MORE:
		return (escape(p, c));
	case CSI:
	case CSI_NUM:
	case CSI_MORE:
		return (csi(p, c));
	case OSC:
		if (c == '\a')
			p->state = GROUND;
		return (false);
	default:
		return (false);
	}
}

bool
plain_scan(struct plain *p, const void *bytes, size_t len)
{
	const uint8_t *s = bytes, *end = s + len;
	bool plain = (p->high == 0 || p->left > 0) && p->state <= CSI_NUM &&
	    p->state != ESC_MORE && !p->margins;

	while (s < end) {
		if (p->state == GROUND && p->high == 0)
			while (s < end && is_text(*s)) /* nearly all */
				s++;
		if (s < end && !step(p, *s++))
			plain = false;
	}
	return (plain);
}

bool
plain_between(const struct plain *p)
{
	return (p->state == GROUND && p->high == 0);
}

/* A line that does not begin with a carriage return begins where the one
 * before it ended: only "\r\n" is a place to cut. */
size_t
plain_tail(const void *bytes, size_t len, unsigned lines)
{
	const uint8_t *s = bytes, *nl;

	while ((nl = memrchr(s, '\n', len)) != NULL) {
		len = (size_t)(nl - s);
		if (lines > 0)
			lines--;
		else if (len > 0 && s[len - 1] == '\r')
			return (len + 1);
	}
	return (0);
}

const void *
plain_colour(const void *bytes, size_t len, size_t *at, size_t *colour_len)
{
	const uint8_t *s = bytes, *from, *to;

	if ((from = memchr(s + *at, ESC, len - *at)) == NULL ||
	    (to = memchr(from, 'm', len - (size_t)(from - s))) == NULL)
		return (NULL);
	*at = (size_t)(to + 1 - s);
	*colour_len = (size_t)(to + 1 - from);
	return (from);
}
