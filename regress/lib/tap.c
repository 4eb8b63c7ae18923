/* SPDX-License-Identifier: ISC */
/* The test harness: see tap.h. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "regress/lib/tap.h"

static int failures; /* of the case that runs */
static const char *skipped;

void
tap_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (++failures > 20)
		return;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
tap_skip(const char *why)
{
	skipped = why;
}

int
tap_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n);
}

int
tap_main(int argc, char **argv, const struct tap_case *cases, size_t n)
{
	int npass = 0, nfail = 0, nskip = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < n; i++) {
		if (argc > 1 && strstr(cases[i].name, argv[1]) == NULL)
			continue;
		failures = 0;
		skipped = NULL;
		cases[i].fn();
		if (failures > 0) {
			nfail++;
			printf("not ok %s\n", cases[i].name);
		} else if (skipped != NULL) {
			nskip++;
			printf("skip %s: %s\n", cases[i].name, skipped);
		} else {
			npass++;
			printf("ok %s\n", cases[i].name);
		}
	}
	printf("%d passed, %d failed, %d skipped\n", npass, nfail, nskip);
	return (nfail > 0 ? 1 : 0);
}
