/* SPDX-License-Identifier: ISC */
/* Themes: any bytes; what is taken is within its ranges. */
#include <stdlib.h>
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/theme.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct theme t, before;
	struct err e;
	char *copy = malloc(len + 1); /* no NUL: exactly what there is */
	int i;

	if (copy == NULL)
		return (0);
	memcpy(copy, data, len);
	memset(&t, 0x5a, sizeof(t));
	before = t;
	err_clear(&e);
	if (theme_parse(&t, copy, len, &e) == -1) {
		if (memcmp(&t, &before, sizeof(t)) != 0 || e.text[0] == '\0')
			abort();
	} else
		for (i = 0; i < TR_MAX; i++)
			if (t.style[i].fg256 < -1 || t.style[i].fg256 > 255 ||
			    t.style[i].bg256 < -1 || t.style[i].bg256 > 255 ||
			    t.style[i].fg16 < -1 || t.style[i].fg16 > 15 ||
			    t.style[i].bg16 < -1 || t.style[i].bg16 > 15 ||
			    t.style[i].attr > 0x3f)
				abort();
	free(copy);
	return (0);
}
