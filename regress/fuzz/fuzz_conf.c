/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as vm.conf: parse, print, parse again; the two must be equal and
 * print the same.  "include" gives the bytes back, cut in half.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf.h"

struct input {
	const char *bytes;
	size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
fuzz_include(void *ctx, const char *from, const char *name, char **bytes,
    size_t *len, char **path, struct err *e)
{
	const struct input *in = ctx;

	(void)from;
	if (strcmp(name, "none") == 0)
		return (err_set(e, 2, "no such file"));
	*len = in->len / 2;
	if ((*bytes = malloc(*len + 1)) == NULL ||
	    (*path = strdup(name)) == NULL)
		abort();
	memcpy(*bytes, in->bytes, *len);
	return (0);
}

static int
fuzz_id(void *ctx, const char *name, uint32_t *id)
{
	(void)ctx;
	*id = (uint32_t)strlen(name);
	return (name[0] == 'x' ? -1 : 0);
}

static char *
print(const struct conf *c, size_t *len)
{
	char *text;
	FILE *f;

	if ((f = open_memstream(&text, len)) == NULL)
		abort();
	conf_print(f, c);
	fclose(f);
	return (text);
}

/* A finding must be one line that names its place. */
static void
fuzz_report(void *ctx, enum conf_level level, const char *line)
{
	(void)ctx;
	(void)level;
	if (strchr(line, '\n') != NULL || line[0] == '\0')
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { (const char *)data, size };
	struct conf_env env = { .ctx = &in,
		.include = fuzz_include,
		.user = fuzz_id,
		.group = fuzz_id,
		.report = fuzz_report,
		.cwd = "/here" };
	struct err e = { 0 };
	struct conf *a, *b;
	char *once, *twice;
	size_t once_len, twice_len;

	if (conf_parse(&a, "fuzz", in.bytes, size, &env, &e) == -1) {
		if (e.text[0] == '\0' || a != NULL)
			abort();
		return (0);
	}
	once = print(a, &once_len);
	if (conf_parse(&b, "canonical", once, once_len, &env, &e) == -1) {
		fprintf(stderr, "%s\n%s\n", e.text, once);
		abort();
	}
	twice = print(b, &twice_len);
	if (!conf_equal(a, b) || strcmp(once, twice) != 0) {
		fprintf(stderr, "%s---\n%s", once, twice);
		abort();
	}
	free(once);
	free(twice);
	conf_free(a);
	conf_free(b);
	return (0);
}
