/* SPDX-License-Identifier: ISC */
/*
 * The filter of the guests view: words that must all match.
 *	web  !web  state:run  owner:alice  id:3  cpu>50  mem>1G  exits<100
 * A word that is none of these forms is looked for in names.  Pure.
 */
#ifndef TUI_FILTER_H
#define TUI_FILTER_H

#include "tui/model.h"

#define FILTER_BYTES 128
#define FILTER_TERMS 8

struct filter_term {
	int field; /* index into filter.c's table; -1: name */
	bool negate;
	char op; /* ':' '>' '<' */
	double num;
	char text[FILTER_BYTES];
};

struct filter {
	struct filter_term term[FILTER_TERMS];
	int n;
};

/* Never fails; words beyond FILTER_TERMS are ignored. */
void filter_parse(struct filter *, const char *text);
bool filter_match(const struct filter *, const struct guest *);

#endif
