/* SPDX-License-Identifier: ISC */
/* The one error type: see err.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/err.h"

static void
err_clean(struct err *e, int wanted)
{
	unsigned char *p;

	if (wanted >= (int)sizeof(e->text))
		memcpy(e->text + sizeof(e->text) - 4, "...", 4);
	for (p = (unsigned char *)e->text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (e == NULL)
		return (-1);
	e->code = code;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	err_clean(e, n);
	return (-1);
}

int
err_errno(struct err *e, const char *fmt, ...)
{
	char text[ERR_TEXT_BYTES];
	int code = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return (err_set(e, code, "%s: %s", text, strerror(code)));
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_BYTES], text[ERR_TEXT_BYTES];
	va_list ap;

	if (e == NULL)
		return (-1);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(old, e->text, sizeof(old));
	return (err_set(e, e->code, "%s: %s", text, old));
}

void
err_clear(struct err *e)
{
	memset(e, 0, sizeof(*e));
}
