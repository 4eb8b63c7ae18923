/* SPDX-License-Identifier: ISC */
/* The filter of the guests view: see filter.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/filter.h"

static void
text_state(const struct guest *g, char *buf, size_t size)
{
	bool failed = g->state == VM_STOPPED && (g->flags & ROW_FAILED);

	snprintf(buf, size, "%s", failed ? "failed" : vm_state_name(g->state));
}

static void
text_owner(const struct guest *g, char *buf, size_t size)
{
	snprintf(buf, size, "%s", g->owner);
}

static double
num_id(const struct guest *g)
{
	return (g->id);
}

static double
num_cpu(const struct guest *g)
{
	return ((double)g->cpu_pct);
}

static double
num_mem(const struct guest *g)
{
	return ((double)g->resident_bytes);
}

static double
num_exits(const struct guest *g)
{
	return ((double)g->exits);
}

static double
num_vcpus(const struct guest *g)
{
	return (g->ncpus);
}

static const struct {
	const char *name;
	void (*text)(const struct guest *, char *, size_t);
	double (*num)(const struct guest *);
} fields[] = {
	{ "state", text_state, NULL },
	{ "owner", text_owner, NULL },
	{ "id", NULL, num_id },
	{ "cpu", NULL, num_cpu },
	{ "mem", NULL, num_mem },
	{ "exits", NULL, num_exits },
	{ "vcpus", NULL, num_vcpus },
};
#define NFIELDS (int)(sizeof(fields) / sizeof(fields[0]))

/* "1.5G": 1024 for memory, 1000 for the rest, as the columns show them. */
static bool
number(const char *s, bool memory, double *out)
{
	static const char units[] = "kmgt";
	double step = memory ? 1024 : 1000;
	const char *u;
	char *end;

	*out = strtod(s, &end);
	if (end == s)
		return (false);
	if (*end != '\0' && (u = strchr(units, *end | 0x20)) != NULL) {
		for (; u >= units; u--)
			*out *= step;
		end++;
	}
	return (*end == '\0');
}

static void
parse_term(struct filter_term *t, const char *w)
{
	size_t len;
	int i;

	memset(t, 0, sizeof(*t));
	t->field = -1;
	if (*w == '!' && w[1] != '\0') {
		t->negate = true;
		w++;
	}
	snprintf(t->text, sizeof(t->text), "%s", w);
	for (i = 0; i < NFIELDS; i++) {
		len = strlen(fields[i].name);
		if (strncasecmp(w, fields[i].name, len) != 0 ||
		    w[len] == '\0' || strchr(":<>", w[len]) == NULL)
			continue;
		t->op = w[len];
		if (fields[i].text != NULL
			? t->op != ':'
			: !number(
			      w + len + 1, fields[i].num == num_mem, &t->num))
			return;
		t->field = i;
		snprintf(t->text, sizeof(t->text), "%s", w + len + 1);
		return;
	}
}

void
filter_parse(struct filter *f, const char *text)
{
	char buf[FILTER_BYTES], *save, *w;

	f->n = 0;
	snprintf(buf, sizeof(buf), "%s", text);
	for (w = strtok_r(buf, " \t", &save); w != NULL && f->n < FILTER_TERMS;
	     w = strtok_r(NULL, " \t", &save))
		parse_term(&f->term[f->n++], w);
}

static bool
term_match(const struct filter_term *t, const struct guest *g)
{
	char buf[VM_NAME_BYTES];
	double v;

	if (t->field < 0)
		return (strcasestr(g->name, t->text) != NULL);
	if (fields[t->field].text != NULL) {
		fields[t->field].text(g, buf, sizeof(buf));
		return (strcasestr(buf, t->text) != NULL);
	}
	v = fields[t->field].num(g);
	return (t->op == '>'   ? v > t->num
		: t->op == '<' ? v < t->num
			       : v == t->num);
}

bool
filter_match(const struct filter *f, const struct guest *g)
{
	int i;

	for (i = 0; i < f->n; i++)
		if (term_match(&f->term[i], g) == f->term[i].negate)
			return (false);
	return (true);
}
