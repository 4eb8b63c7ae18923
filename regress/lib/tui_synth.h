/* SPDX-License-Identifier: ISC */
/* A made-up vmtop: guests, a daemon that only takes notes, goldens. */
#ifndef REGRESS_LIB_TUI_SYNTH_H
#define REGRESS_LIB_TUI_SYNTH_H

#include "tui/app.h"
#include "tui/console.h"

#define SYNTH_NOTES 16384

struct synth {
	struct model model;
	struct app app;
	char notes[SYNTH_NOTES]; /* a line for each request */
	size_t nnotes;
	bool refuse;       /* requests fail with EPERM */
	char copied[4096]; /* what went to the clipboard */
};

/* n guests in mixed states, 60 samples of each, host figures. */
void synth_init(struct synth *, int nguests, int rows, int cols);
void synth_fini(struct synth *);
/* Feed figures for one more second. */
void synth_second(struct synth *);
void synth_key(struct synth *, uint32_t key);
void synth_keys(struct synth *, const char *text);
/* Attach whatever was asked for, as the daemon would. */
void synth_attached(
    struct synth *, uint32_t chan, bool writer, uint64_t start, uint64_t end);
void synth_print(struct synth *, uint32_t chan, const char *text);
/* True when this line is among the notes. */
bool synth_noted(const struct synth *, const char *line);

/*
 * Draw the app at this size and compare it with regress/tui/golden/NAME.  With
 * GOLDEN_WRITE=1 in the environment the file is written instead.
 */
void synth_golden(struct synth *, const char *name, int rows, int cols,
    struct charset, bool roles);
/* The same for a grid; NULL: equal, else what differs (static). */
const char *golden_diff(const char *name, const struct canvas *, bool roles);

extern const struct charset cs_braille, cs_block, cs_ascii;

#endif
