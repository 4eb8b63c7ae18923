/* SPDX-License-Identifier: ISC */
/* The escapes of vmctl console, as cu(1) has them: "~." after a newline. */
#ifndef CTL_ESC_H
#define CTL_ESC_H

#include <stddef.h>
#include <stdint.h>

enum esc_act {
	ESC_NONE, /* all bytes were taken */
	ESC_QUIT,
	ESC_HELP,
	ESC_BREAK,
	ESC_TAKE,
	ESC_SUSPEND,
};

struct esc {
	enum { ESC_AT_START, ESC_IN_LINE, ESC_TILDE } state; /* 0: fresh */
};

/* The letter after "~", what it does; also the help screen and the manual. */
struct esc_key {
	char key;
	enum esc_act act;
	const char *shown, *help;
};
extern const struct esc_key esc_table[];
extern const size_t esc_ntable;

/*
 * Take typed bytes until they end or an escape is whole.  What goes to the
 * guest is written to out (n + 1 bytes: a held tilde may come first) and
 * counted in *nout.  Returns the bytes taken; call again with the rest.
 */
size_t esc_feed(struct esc *, const uint8_t *in, size_t n, uint8_t *out,
    size_t *nout, enum esc_act *);

#endif
