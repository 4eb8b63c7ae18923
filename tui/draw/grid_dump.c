/* SPDX-License-Identifier: ISC */
/* A grid as text: see grid_dump.h. */
#include "tui/draw/grid_dump.h"

static const char letters[] =
    ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

_Static_assert(sizeof(letters) > TR_MAX, "a letter for every role");

static int
row_len(const struct canvas *c, int row, bool roles)
{
	int col;

	for (col = c->cols; col > 0; col--) {
		const struct cell *cell = canvas_peek(c, row, col - 1);

		if (roles ? cell->role != TR_TEXT
			  : cell->ch != ' ' && cell->width != 0)
			break;
	}
	return (col);
}

static void
dump_roles(FILE *f, const struct canvas *c)
{
	bool seen[TR_MAX] = { false };
	int row, col, i;

	fputs("--- roles\n", f);
	for (row = 0; row < c->rows; row++) {
		for (col = 0; col < row_len(c, row, true); col++) {
			i = canvas_peek(c, row, col)->role;
			seen[i] = true;
			putc(letters[i], f);
		}
		putc('\n', f);
	}
	for (i = 1; i < TR_MAX; i++)
		if (seen[i])
			fprintf(f, "%c %s\n", letters[i], theme_roles[i].name);
	if (c->cur_row >= 0)
		fprintf(f, "cursor %d,%d\n", c->cur_row, c->cur_col);
}

void
grid_dump(FILE *f, const struct canvas *c, bool roles)
{
	char u[5];
	int row, col;

	for (row = 0; row < c->rows; row++) {
		for (col = 0; col < row_len(c, row, false); col++) {
			const struct cell *cell = canvas_peek(c, row, col);

			if (cell->width == 0)
				continue;
			utf8_put(u, cell->ch);
			fputs(u, f);
		}
		putc('\n', f);
	}
	if (roles)
		dump_roles(f, c);
}
