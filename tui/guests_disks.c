/* SPDX-License-Identifier: ISC */
/* Disks of a guest, a line each, in the pane below the table.  Pure. */
#include <stdio.h>
#include <string.h>

#include "tui/guests.h"

#define RATES_COLS 57 /* and then the image, as much of it as fits */

/* "850us", "1.2ms", "3.0s"; "-": none yet */
static void
fmt_us(char *buf, size_t size, uint64_t us)
{
	if (us == 0)
		snprintf(buf, size, "-");
	else if (us < 1000)
		snprintf(buf, size, "%uus", (unsigned)us);
	else if (us < 100000)
		snprintf(buf, size, "%.1fms", (double)us / 1e3);
	else
		snprintf(buf, size, "%.1fs", (double)us / 1e6);
}

static void
disk_rates(const struct gdisk *d, struct canvas *c, struct rect r)
{
	char n[2][16], b[2][16], p50[16], p99[16], text[128];

	fmt_count(n[0], sizeof(n[0]), (double)d->reads);
	fmt_bytes(b[0], sizeof(b[0]), (uint64_t)d->read_bytes);
	fmt_count(n[1], sizeof(n[1]), (double)d->writes);
	fmt_bytes(b[1], sizeof(b[1]), (uint64_t)d->write_bytes);
	fmt_us(p50, sizeof(p50), d->flush_p50_us);
	fmt_us(p99, sizeof(p99), d->flush_p99_us);
	snprintf(text, sizeof(text),
	    "r %5s %4s/s  w %5s %4s/s  q %2u  flush %s %s", n[0], b[0], n[1],
	    b[1], (unsigned)d->inflight, p50, p99);
	canvas_text(c, r.row, r.col, r.cols, TR_TEXT, text);
}

static void
disk_draw(const struct gdisk *d, struct canvas *c, struct rect r)
{
	char text[ERR_TEXT_BYTES + 32];

	canvas_text(c, r.row, r.col, 9, TR_DIM, d->name);
	r.col += 10;
	r.cols -= 10;
	if (d->state != DEV_UP && d->state != DEV_ENDED) {
		snprintf(text, sizeof(text), "%s: %s", dev_state_name(d->state),
		    d->reason);
		canvas_text(c, r.row, r.col, r.cols, TR_ERROR, text);
		return;
	}
	if (d->have_rates) {
		disk_rates(d, c, r);
		r.col += RATES_COLS + 2;
		r.cols -= RATES_COLS + 2;
	}
	if (r.cols < 12)
		return;
	snprintf(text, sizeof(text), "%s%s%s", d->path,
	    d->flags & DEV_READONLY ? ", read-only" : "",
	    d->replaced > 0 ? ", replaced" : "");
	canvas_text(c, r.row, r.col, r.cols, TR_DIM, text);
}

void
disks_draw(const struct guest *g, struct canvas *c, struct rect r)
{
	int i;

	for (i = 0; i < r.rows && i < (int)g->ndisks; i++)
		disk_draw(&g->disk[i], c,
		    (struct rect){ r.row + i, r.col, 1, r.cols });
}
