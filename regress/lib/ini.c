/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/ini.h"

/* Without blanks at either end. */
static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
		n--;
	s[n] = '\0';
	return (s);
}

static int
take_word(char *to, const char *from)
{
	int n;

	n = snprintf(to, INI_WORD, "%s", from);
	return (n > 0 && n < INI_WORD ? 0 : -1);
}

static int
take_line(struct ini *ini, char *s, unsigned line)
{
	struct ini_section *sec;
	char *eq;

	s = trim(s);
	if (*s == '\0' || *s == '#')
		return (0);
	if (*s == '[' && s[strlen(s) - 1] == ']') {
		if (ini->nsec == INI_SECTIONS)
			return (-1);
		sec = &ini->sec[ini->nsec++];
		s[strlen(s) - 1] = '\0';
		sec->line = line;
		return (take_word(sec->name, s + 1));
	}
	if ((eq = strchr(s, '=')) == NULL || ini->nsec == 0)
		return (-1);
	sec = &ini->sec[ini->nsec - 1];
	if (sec->nkv == INI_KEYS)
		return (-1);
	*eq = '\0';
	if (take_word(sec->kv[sec->nkv].key, trim(s)) == -1 ||
	    take_word(sec->kv[sec->nkv].val, trim(eq + 1)) == -1)
		return (-1);
	sec->nkv++;
	return (0);
}

int
ini_read(struct ini *ini, const char *path, struct err *e)
{
	char buf[512];
	unsigned line;
	FILE *f;
	int rc;

	memset(ini, 0, sizeof(*ini));
	if ((f = fopen(path, "re")) == NULL)
		return (err_errno(e, "%s", path));
	rc = 0;
	for (line = 1; rc == 0 && fgets(buf, sizeof(buf), f) != NULL; line++)
		if (take_line(ini, buf, line) == -1)
			rc = err_set(
			    e, EINVAL, "%s:%u: cannot be read", path, line);
	fclose(f);
	return (rc);
}

const char *
ini_get(const struct ini_section *sec, const char *key, const char *def)
{
	unsigned i;

	for (i = 0; i < sec->nkv; i++)
		if (strcmp(sec->kv[i].key, key) == 0)
			return (sec->kv[i].val);
	return (def);
}

unsigned long
ini_num(const struct ini_section *sec, const char *key, unsigned long def)
{
	const char *s;

	s = ini_get(sec, key, NULL);
	return (s == NULL ? def : strtoul(s, NULL, 10));
}

static int
known(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		if (strcmp(key, *keys) == 0)
			return (1);
	return (0);
}

int
ini_known(const struct ini *ini, const char *const *keys, struct err *e)
{
	const struct ini_section *s;
	unsigned i, j;

	for (i = 0; i < ini->nsec; i++) {
		s = &ini->sec[i];
		for (j = 0; j < s->nkv; j++)
			if (!known(s->kv[j].key, keys))
				return (
				    err_set(e, EINVAL, "[%s]: no setting %s",
					s->name, s->kv[j].key));
	}
	return (0);
}
