/* SPDX-License-Identifier: ISC */
/*
 * The manuals and the tables, both ways: every key of every table is an .It of
 * its section in vmtop(1), and none other is; roles and vmtop-theme(5) alike.
 */
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "tui/app.h"
#include "tui/console.h"
#include "tui/guests.h"

#define ITEMS 256

static struct {
	char section[64], text[96];
	bool used;
} items[ITEMS];
static int nitems;

/* Without \& and the quotes of an argument. */
static void
plain(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from != '\0' && *from != '\n' && n + 1 < size; from++) {
		if (from[0] == '\\' && from[1] == '&')
			from++;
		else if (*from != '"')
			to[n++] = *from;
	}
	to[n] = '\0';
}

/* All ".It MACRO text" lines with the section they are in. */
static void
read_items(const char *path, const char *macro)
{
	char line[256], section[64] = "", head[32];
	FILE *f = fopen(path, "r");

	nitems = 0;
	CHECK_MSG(f != NULL, "%s", path);
	snprintf(head, sizeof(head), ".It %s ", macro);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, ".Sh ", 4) == 0 ||
		    strncmp(line, ".Ss ", 4) == 0)
			plain(section, sizeof(section), line + 4);
		if (strncmp(line, head, strlen(head)) != 0 || nitems == ITEMS)
			continue;
		snprintf(items[nitems].section, sizeof(items[0].section), "%s",
		    section);
		plain(items[nitems].text, sizeof(items[0].text),
		    line + strlen(head));
		items[nitems++].used = false;
	}
	if (f != NULL)
		fclose(f);
}

static bool
find(const char *section, const char *text)
{
	int i;

	for (i = 0; i < nitems; i++)
		if (strcmp(items[i].section, section) == 0 &&
		    strcmp(items[i].text, text) == 0 && !items[i].used)
			return (items[i].used = true);
	return (false);
}

static void
left_over(const char *where)
{
	int i;

	for (i = 0; i < nitems; i++)
		CHECK_MSG(items[i].used, "%s, %s: \"%s\" is in no table", where,
		    items[i].section, items[i].text);
}

static const char *
section_of(const struct keytab *t)
{
	if (t == &app_keytab)
		return ("EVERYWHERE");
	if (t == &console_scroll_keytab)
		return ("Looking back");
	if (t == &guests_keytab || t == &guests_danger_keytab)
		return ("GUESTS");
	return ("CONSOLES");
}

static void
keys(void)
{
	char text[128], name[KEY_NAME_BYTES];
	const struct keybind *b;
	size_t t, i, len;
	int k;

	read_items("man/vmtop.1", "Ic");
	for (t = 0; t < app_nkeytabs; t++)
		for (i = 0; i < app_keytabs[t]->nrows; i++) {
			b = &app_keytabs[t]->rows[i];
			len = 0;
			if (app_keytabs[t]->prefix != NULL &&
			    app_keytabs[t]->prefix[0] != '\0')
				len = (size_t)snprintf(text, sizeof(text),
				    "%s ", app_keytabs[t]->prefix);
			for (k = 0; k < KEYBIND_KEYS && b->key[k] != 0; k++) {
				key_name(name, b->key[k]);
				len += (size_t)snprintf(text + len,
				    sizeof(text) - len, "%s%s",
				    k > 0 ? " " : "", name);
			}
			CHECK_MSG(find(section_of(app_keytabs[t]), text),
			    "vmtop(1), %s: no .It Ic %s (%s)",
			    section_of(app_keytabs[t]), text, b->action);
		}
	left_over("vmtop(1)");
}

static void
roles(void)
{
	int i;

	read_items("man/vmtop-theme.5", "Cm");
	for (i = 0; i < nitems; i++) /* only the list of roles */
		if (strcmp(items[i].section, "ROLES") != 0)
			items[i].used = true;
	for (i = 0; i < TR_MAX; i++)
		CHECK_MSG(find("ROLES", theme_roles[i].name),
		    "vmtop-theme(5): no .It Cm %s", theme_roles[i].name);
	left_over("vmtop-theme(5)");
}

static const struct tap_case cases[] = {
	{ "manual: keys are those of the tables", keys },
	{ "manual: roles are those of the themes", roles },
};
TAP_MAIN(cases)
