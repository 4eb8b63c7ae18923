/* SPDX-License-Identifier: ISC */
/* vmctl create: an empty disk image.  vmd is not asked. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/image.h"
#include "shared/size.h"

#define SECTOR 512u

/* Up to whole sectors, which is what a disk is made of. */
static int
size_arg(const char *text, uint64_t *bytes, struct err *e)
{
	if (size_parse(text, bytes, e) == -1)
		return (-1);
	if (*bytes == 0)
		return (err_set(e, EINVAL, "a disk of no size is none"));
	if (*bytes > INT64_MAX - SECTOR)
		return (err_set(e, ERANGE, "size \"%s\" is too large", text));
	*bytes = (*bytes + SECTOR - 1) / SECTOR * SECTOR;
	return (0);
}

static bool
ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return (n > m && strcmp(text + n - m, end) == 0);
}

/* OpenBSD's names: the format before it, or else at its end. */
static int
path_arg(const char *arg, const char **path, struct err *e)
{
	bool qcow2 = ends_in(arg, ".qcow2") || ends_in(arg, ".qc2");

	*path = arg;
	if (strncmp(arg, "raw:", 4) == 0) {
		*path = arg + 4;
		return (0);
	}
	if (strncmp(arg, "qcow2:", 6) == 0 || qcow2)
		return (err_set(e, EOPNOTSUPP,
		    "this version makes raw images only%s",
		    qcow2 ? "; raw: before the path makes one of this name"
			  : ""));
	return (0);
}

static int
create_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	char text[SIZE_TEXT_BYTES];
	const char *size = NULL, *path;
	uint64_t bytes;
	int ch;

	optind = 0;
	while ((ch = getopt(argc, argv, cmd_create.opts)) != -1) {
		if (ch != 's')
			return (CMD_USAGE);
		size = optarg;
	}
	if (argc - optind != 1)
		return (CMD_USAGE);
	if (size == NULL)
		return (err_set(e, EINVAL, "say how large: -s 10G"));
	if (path_arg(argv[optind], &path, e) == -1 ||
	    size_arg(size, &bytes, e) == -1 ||
	    image_create(path, bytes, e) == -1)
		return (-1);
	if (ctl->verbose)
		ctl_note("created %s, %s", path,
		    size_format(text, sizeof(text), bytes));
	return (0);
}

const struct cmd cmd_create = {
	.name = "create",
	.opts = "s:",
	.usage = "-s size disk",
	.min_args = 1,
	.max_args = 1,
	.run = create_run,
};
