/* SPDX-License-Identifier: ISC */
/* The escapes of vmctl console: see esc.h.  Pure. */
#include <stdbool.h>

#include "daemon/ctl/esc.h"

const struct esc_key esc_table[] = {
	{ '.', ESC_QUIT, "~.", "leave; the guest runs on" },
	{ '#', ESC_BREAK, "~#", "send a break" },
	{ 't', ESC_TAKE, "~t", "take the keyboard from who has it" },
	{ 0x1a, ESC_SUSPEND, "~^Z", "suspend vmctl" },
	{ '?', ESC_HELP, "~?", "this help" },
};
const size_t esc_ntable = sizeof(esc_table) / sizeof(esc_table[0]);

static enum esc_act
esc_find(uint8_t key)
{
	size_t i;

	for (i = 0; i < esc_ntable; i++)
		if ((uint8_t)esc_table[i].key == key)
			return (esc_table[i].act);
	return (ESC_NONE);
}

static bool
is_newline(uint8_t c)
{
	return (c == '\r' || c == '\n');
}

size_t
esc_feed(struct esc *s, const uint8_t *in, size_t n, uint8_t *out, size_t *nout,
    enum esc_act *act)
{
	size_t i, o = 0;

	*act = ESC_NONE;
	for (i = 0; i < n && *act == ESC_NONE; i++) {
		if (s->state == ESC_AT_START && in[i] == '~') {
			s->state = ESC_TILDE;
			continue;
		}
		if (s->state == ESC_TILDE) {
			s->state = ESC_AT_START;
			if ((*act = esc_find(in[i])) != ESC_NONE)
				continue;
			out[o++] = '~';
			s->state = ESC_IN_LINE;
			if (in[i] == '~')
				continue;
		}
		out[o++] = in[i];
		s->state = is_newline(in[i]) ? ESC_AT_START : ESC_IN_LINE;
	}
	*nout = o;
	return (i);
}
