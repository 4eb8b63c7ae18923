/* SPDX-License-Identifier: ISC */
/* Which guests are shown, in which order.  Equal ones stay by id. */
#include <stdlib.h>
#include <string.h>

#include "tui/guests.h"

struct sorter {
	enum sort_key key;
	bool invert;
};

static int
cmp_u64(uint64_t a, uint64_t b)
{
	return (a < b ? -1 : a > b);
}

static int
cmp_float(float a, float b)
{
	return (a < b ? -1 : a > b);
}

/* Figures and times sort the highest first, words and ids the lowest. */
static int
compare(enum sort_key key, const struct guest *a, const struct guest *b)
{
	switch (key) {
	case SORT_NAME:
		return (strcmp(a->name, b->name));
	case SORT_STATE:
		return (cmp_u64(b->state, a->state));
	case SORT_OWNER:
		return (strcmp(a->owner, b->owner));
	case SORT_VCPUS:
		return (cmp_u64(b->ncpus, a->ncpus));
	case SORT_CPU:
		return (cmp_float(b->cpu_pct, a->cpu_pct));
	case SORT_MEM:
		return (cmp_u64(b->resident_bytes, a->resident_bytes));
	case SORT_TIME: /* the longest up first, stopped ones last */
		return (cmp_u64(
		    (uint64_t)a->started_s - 1, (uint64_t)b->started_s - 1));
	case SORT_EXITS:
		return (cmp_float(b->exits, a->exits));
	default:
		return (0);
	}
}

static int
by_key(const void *pa, const void *pb, void *arg)
{
	const struct guest *a = *(const struct guest *const *)pa;
	const struct guest *b = *(const struct guest *const *)pb;
	const struct sorter *s = arg;
	int c = compare(s->key, a, b);

	if (c == 0)
		c = cmp_u64(a->id, b->id);
	return (s->invert ? -c : c);
}

/* Keep the cursor on its guest, or near where that was. */
static void
place_cursor(struct guests_view *gv)
{
	size_t i;

	for (i = 0; i < gv->norder; i++)
		if (gv->order[i] == gv->sel) {
			gv->sel_at = i;
			return;
		}
	if (gv->norder == 0) {
		gv->sel = 0;
		gv->sel_at = 0;
		return;
	}
	if (gv->sel_at >= gv->norder)
		gv->sel_at = gv->norder - 1;
	gv->sel = gv->order[gv->sel_at];
}

int
guests_order(struct guests_view *gv)
{
	const struct model *m = gv->v.app->model;
	struct sorter s = { gv->sort, gv->invert };
	const struct guest **list;
	size_t i, n = 0;

	if (m->nguests > gv->room) {
		uint32_t *o = reallocarray(gv->order, m->nguests, sizeof(*o));

		if (o == NULL)
			return (-1);
		gv->order = o;
		gv->room = m->nguests;
	}
	if ((list = calloc(m->nguests + 1, sizeof(*list))) == NULL)
		return (-1);
	for (i = 0; i < m->nguests; i++)
		if (filter_match(&gv->filter, &m->guests[i]))
			list[n++] = &m->guests[i];
	qsort_r(list, n, sizeof(*list), by_key, &s);
	for (i = 0; i < n; i++)
		gv->order[i] = list[i]->id;
	free(list);
	gv->norder = n;
	place_cursor(gv);
	return (0);
}
