/* SPDX-License-Identifier: ISC */
/* The keyboard decoder: see keydec.h. */
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/term/keydec.h"

#define DOUBLE_CLICK_MS 400
#define PASTE_END "\033[201~"

static const struct {
	char final;
	uint32_t key;
} finals[] = {
	{ 'A', K_UP },
	{ 'B', K_DOWN },
	{ 'C', K_RIGHT },
	{ 'D', K_LEFT },
	{ 'H', K_HOME },
	{ 'F', K_END },
	{ 'Z', K_BTAB },
	{ 'P', K_F1 },
	{ 'Q', K_F2 },
	{ 'R', K_F3 },
	{ 'S', K_F4 },
	{ 'M', K_ENTER },
	{ 'a', K_UP | K_SHIFT },
	{ 'b', K_DOWN | K_SHIFT },
};

static const struct {
	int num;
	uint32_t key;
} tildes[] = {
	{ 1, K_HOME },
	{ 2, K_INS },
	{ 3, K_DEL },
	{ 4, K_END },
	{ 5, K_PGUP },
	{ 6, K_PGDN },
	{ 7, K_HOME },
	{ 8, K_END },
	{ 11, K_F1 },
	{ 12, K_F2 },
	{ 13, K_F3 },
	{ 14, K_F4 },
	{ 15, K_F5 },
	{ 17, K_F6 },
	{ 18, K_F7 },
	{ 19, K_F8 },
	{ 20, K_F9 },
	{ 21, K_F10 },
	{ 23, K_F11 },
	{ 24, K_F12 },
};

static void
emit(const struct keydec_sink *s, uint32_t key)
{
	struct input in = { .kind = IN_KEY, .key = key };

	s->input(s->ctx, &in);
}

static uint32_t
final_key(char final)
{
	size_t i;

	for (i = 0; i < sizeof(finals) / sizeof(finals[0]); i++)
		if (finals[i].final == final)
			return (finals[i].key);
	return (0);
}

static uint32_t
tilde_key(int num)
{
	size_t i;

	for (i = 0; i < sizeof(tildes) / sizeof(tildes[0]); i++)
		if (tildes[i].num == num)
			return (tildes[i].key);
	return (0);
}

/* xterm's modifier parameter: 1 + shift 1 + alt 2 + control 4. */
static uint32_t
modifiers(int p)
{
	p = p > 0 ? p - 1 : 0;
	return (((p & 1) ? K_SHIFT : 0) | ((p & 2) ? K_ALT : 0) |
	    ((p & 4) ? K_CONTROL : 0));
}

/* Up to 3 numbers of the parameters; a missing one is 0. */
static int
params(const char *p, size_t len, int out[3])
{
	int n = 0, v = 0;
	size_t i;

	out[0] = out[1] = out[2] = 0;
	for (i = 0; i <= len; i++) {
		if (i == len || p[i] == ';') {
			if (n < 3)
				out[n] = v;
			n++;
			v = 0;
		} else if (p[i] >= '0' && p[i] <= '9' && v < 100000)
			v = v * 10 + (p[i] - '0');
	}
	return (n);
}

/* Button bits of xterm: 0..2 button, 32 motion, 64 wheel. */
static void
mouse(struct keydec *d, int b, int col, int row, bool release, int64_t now_ms,
    const struct keydec_sink *s)
{
	struct input in = { .kind = IN_MOUSE, .row = row - 1, .col = col - 1 };

	if (in.row < 0 || in.col < 0)
		return;
	if (b & 64) {
		if ((b & 3) > 1)
			return;
		in.what = MOUSE_WHEEL;
		in.button = (b & 1) ? 1 : -1;
	} else {
		in.button = (b & 3) + 1;
		in.what = release ? MOUSE_RELEASE
		    : (b & 32)    ? MOUSE_DRAG
				  : MOUSE_PRESS;
	}
	if (in.what == MOUSE_PRESS) {
		in.clicks = now_ms - d->click_ms < DOUBLE_CLICK_MS &&
			in.row == d->click_row && in.col == d->click_col
		    ? 2
		    : 1;
		d->click_ms = in.clicks == 2 ? 0 : now_ms;
		d->click_row = in.row;
		d->click_col = in.col;
	}
	s->input(s->ctx, &in);
}

/* ESC [ params final. */
static void
csi(struct keydec *d, const char *p, size_t len, char final, int64_t now_ms,
    const struct keydec_sink *s)
{
	struct input paste = { .kind = IN_PASTE_BEGIN };
	uint32_t key;
	int v[3];

	if (len > 0 && p[0] == '<') {
		if (params(p + 1, len - 1, v) == 3)
			mouse(d, v[0], v[1], v[2], final == 'm', now_ms, s);
		return;
	}
	params(p, len, v);
	if (final == '~' && v[0] == 200) {
		d->paste = true;
		s->input(s->ctx, &paste);
		return;
	}
	key = final == '~' ? tilde_key(v[0]) : final_key(final);
	if (key != 0)
		emit(s, key | modifiers(v[1]));
}

/* A whole sequence at the front of buf: its length; 0: not whole yet. */
static size_t
sequence(struct keydec *d, int64_t now_ms, const struct keydec_sink *s)
{
	const unsigned char *b = (const unsigned char *)d->buf;
	uint32_t key;
	size_t i;

	if (d->len < 2)
		return (0);
	if (b[1] == 'O') {
		if (d->len < 3)
			return (0);
		if ((key = final_key((char)b[2])) != 0)
			emit(s, key);
		return (3);
	}
	if (b[1] != '[')
		return (1); /* Alt and a key: the caller's */
	if (d->len < 3)
		return (0);
	if (b[2] == '[') { /* Linux console, F1 to F5 */
		if (d->len < 4)
			return (0);
		if (b[3] >= 'A' && b[3] <= 'E')
			emit(s, K_F1 + b[3] - 'A');
		return (4);
	}
	if (b[2] == 'M') { /* X10 mouse */
		if (d->len < 6)
			return (0);
		i = b[3] - 32u;
		mouse(d, (int)i, b[4] - 32, b[5] - 32,
		    (i & 3) == 3 && !(i & 64), now_ms, s);
		return (6);
	}
	for (i = 2; i < d->len && b[i] < 0x40; i++)
		if (b[i] < 0x20)
			return (i); /* broken off */
	if (i == d->len)
		return (0);
	csi(d, d->buf + 2, i - 2, d->buf[i], now_ms, s);
	return (i + 1);
}

/* One character at the front of buf that is no ESC; 0: more bytes needed. */
static size_t
character(
    struct keydec *d, size_t at, uint32_t mods, const struct keydec_sink *s)
{
	const char *p = d->buf + at;
	size_t len = d->len - at, before = len;
	unsigned char c = (unsigned char)*p;
	size_t want = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t ch;

	if (len < want)
		return (0);
	ch = utf8_next(&p, &len);
	if (ch == '\n')
		ch = K_CTRL('j');
	emit(s, ch | mods);
	return (before - len);
}

static void
drop(struct keydec *d, size_t n)
{
	memmove(d->buf, d->buf + n, d->len - n);
	d->len -= n;
}

/* Take one key or sequence off the front; false: wait for more. */
static bool
step(struct keydec *d, int64_t now_ms, const struct keydec_sink *s)
{
	size_t n;

	if (d->len == 0)
		return (false);
	if (d->buf[0] != 0x1b) {
		n = character(d, 0, 0, s);
	} else if ((n = sequence(d, now_ms, s)) == 1) {
		if (d->buf[1] == 0x1b) { /* Esc, then a sequence */
			emit(s, K_ESC);
		} else {
			n = character(d, 1, K_ALT, s);
			n += n > 0;
		}
	}
	if (n == 0 && d->len == sizeof(d->buf))
		n = d->len; /* no terminal sends that */
	drop(d, n);
	return (n > 0);
}

/* Inside a paste only its end means anything. */
static size_t
paste(struct keydec *d, const char *p, size_t len, const struct keydec_sink *s)
{
	static const size_t endlen = sizeof(PASTE_END) - 1;
	struct input end = { .kind = IN_PASTE_END };
	size_t n = 0;

	while (n < len && d->paste) {
		d->buf[d->len++] = p[n++];
		if (d->len >= endlen &&
		    memcmp(d->buf + d->len - endlen, PASTE_END, endlen) == 0) {
			d->len -= endlen;
			d->paste = false;
		} else if (d->len < sizeof(d->buf))
			continue;
		/* Keep what may be the beginning of the end. */
		if (d->paste) {
			s->paste(s->ctx, d->buf, d->len - endlen, false);
			drop(d, d->len - endlen);
		} else {
			s->paste(s->ctx, d->buf, d->len, true);
			d->len = 0;
			s->input(s->ctx, &end);
		}
	}
	return (n);
}

void
keydec_feed(struct keydec *d, const char *bytes, size_t len, int64_t now_ms,
    const struct keydec_sink *s)
{
	while (len > 0) {
		if (d->paste) {
			size_t n = paste(d, bytes, len, s);

			bytes += n;
			len -= n;
			continue;
		}
		d->buf[d->len++] = *bytes++;
		len--;
		while (!d->paste && step(d, now_ms, s))
			;
	}
}

bool
keydec_waits(const struct keydec *d)
{
	return (d->len > 0 && !d->paste);
}

void
keydec_flush(struct keydec *d, const struct keydec_sink *s)
{
	size_t i;

	if (d->paste)
		return;
	if (d->len == 1 && d->buf[0] == 0x1b)
		emit(s, K_ESC);
	else if (d->len == 2 && d->buf[0] == 0x1b)
		emit(s, K_ALT | (unsigned char)d->buf[1]);
	else
		for (i = 0; i < d->len; i++)
			if ((unsigned char)d->buf[i] >= 0x20 &&
			    (unsigned char)d->buf[i] < 0x7f)
				emit(s, (unsigned char)d->buf[i]);
	d->len = 0;
}
