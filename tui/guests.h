/* SPDX-License-Identifier: ISC */
/* Between the files of the guests view. */
#ifndef TUI_GUESTS_H
#define TUI_GUESTS_H

#include "tui/app.h"
#include "tui/filter.h"

enum sort_key {
	SORT_ID,
	SORT_NAME,
	SORT_STATE,
	SORT_OWNER,
	SORT_VCPUS,
	SORT_CPU,
	SORT_MEM,
	SORT_TIME,
	SORT_EXITS,
	SORT_N
};

struct guests_view {
	struct view v;
	uint32_t sel;  /* id under the cursor, 0: none */
	size_t sel_at; /* its place in order */
	size_t top;    /* first row shown */
	enum sort_key sort;
	bool invert;
	char filter_text[FILTER_BYTES];
	struct filter filter;
	uint32_t *order; /* ids as shown */
	size_t norder, room;
	uint32_t *tags; /* ids, any order */
	size_t ntags, tag_room;
	bool details;
	bool sort_menu;
	int sort_at;
	enum guest_op asked; /* what the question is about */
	uint32_t *asked_ids;
	size_t nasked;
	int page; /* rows of the last draw's table */
};

struct table_hit {
	int row;            /* index into order; -1: none */
	enum sort_key sort; /* header; SORT_N: none */
};

/* guests_table.c: drawing, all of it pure. */
void guests_draw(const struct view *, struct canvas *, struct rect);
struct table_hit guests_hit(
    const struct guests_view *, struct rect, int row, int col);
/* Rows that the table has in this rectangle. */
int guests_rows(const struct guests_view *, struct rect);
bool guests_tagged(const struct guests_view *, uint32_t id);
const char *sort_name(enum sort_key);

/* guests_disks.c */
void disks_draw(const struct guest *, struct canvas *, struct rect);
/* guests_details.c: the pane below. */
#define DETAILS_ROWS 10 /* and one for each disk */
void details_draw(
    const struct model *, const struct guest *, struct canvas *, struct rect);

/* guests_order.c: what is shown, in which order. */
int guests_order(struct guests_view *);

extern const struct keytab guests_keytab;
extern const struct keytab guests_danger_keytab;

#endif
