/* SPDX-License-Identifier: ISC */
/* Tables of tests: "[name]" and "key = value" lines, '#' begins a comment. */
#ifndef REGRESS_INI_H
#define REGRESS_INI_H

#include <stddef.h>

#include "shared/err.h"

#define INI_SECTIONS 64
#define INI_KEYS 16
#define INI_WORD 128

struct ini_section {
	char name[INI_WORD];
	struct {
		char key[INI_WORD], val[INI_WORD];
	} kv[INI_KEYS];
	unsigned nkv, line;
};

struct ini {
	struct ini_section sec[INI_SECTIONS];
	unsigned nsec;
};

int ini_read(struct ini *, const char *path, struct err *);
/* def when it is not there. */
const char *ini_get(
    const struct ini_section *, const char *key, const char *def);
unsigned long ini_num(
    const struct ini_section *, const char *key, unsigned long def);
/* -1 and the first key that is not in the NULL-terminated list. */
int ini_known(const struct ini *, const char *const *keys, struct err *);

#endif
