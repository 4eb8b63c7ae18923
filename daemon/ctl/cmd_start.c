/* SPDX-License-Identifier: ISC */
/*
 * vmctl start: run a VM of vm.conf(5), or one made up on the spot.  Settings
 * are checked here as far as they can be; vmd refuses by name what it cannot
 * start.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/cons.h"
#include "daemon/ctl/fmt.h"
#include "shared/size.h"
#include "shared/str.h"

#define NICS_MAX 64

struct start {
	struct msg_start m;
	struct ctl_file kernel, initrd; /* -b, -I */
	bool console, steps;
	uint32_t nics, switches;
	struct msg_started started;
};

/* An image must be there; the path goes to vmd absolute. */
static int
image_path(
    char *dst, size_t size, const char *what, const char *path, struct err *e)
{
	char *abs;

	if ((abs = realpath(path, NULL)) == NULL)
		return (err_errno(e, "%s %s", what, path));
	if (strlcpy(dst, abs, size) >= size) {
		free(abs);
		return (err_set(e, ENAMETOOLONG,
		    "the path of %s %s is longer than %zu bytes", what, path,
		    size - 1));
	}
	free(abs);
	return (0);
}

static int
opt_disk(struct start *s, const char *arg, struct err *e)
{
	static const char *const formats[] = { "raw:", "qcow2:" };
	struct msg_start_disk *d;
	const char *name = arg;
	uint32_t i;

	if (s->m.ndisks == START_DISKS_MAX)
		return (
		    err_set(e, EINVAL, "more than %d disks", START_DISKS_MAX));
	d = &s->m.disk[s->m.ndisks];
	for (i = 0; i < 2; i++)
		if (strncmp(arg, formats[i], strlen(formats[i])) == 0) {
			name = arg + strlen(formats[i]);
			d->format = i + 1;
		}
	if (image_path(d->path, sizeof(d->path), "disk", name, e) == -1)
		return (-1);
	s->m.ndisks++;
	return (0);
}

static int
opt_boot_device(struct start *s, const char *arg, struct err *e)
{
	static const char *const names[] = { "cdrom", "disk", "net" };
	int i;

	if ((i = ctl_pick(names, 3, "boot device", arg, e)) == -1)
		return (-1);
	s->m.bootdev = (uint32_t)i + 1;
	return (0);
}

static int
number(const char *what, const char *text, uint32_t min, uint32_t max,
    uint32_t *n, struct err *e)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' ||
	    v < min || v > max)
		return (err_set(e, EINVAL,
		    "%s \"%s\": a number from %" PRIu32 " to %" PRIu32
		    " is needed",
		    what, text, min, max));
	*n = (uint32_t)v;
	return (0);
}

static int
opt_memory(struct start *s, const char *arg, struct err *e)
{
	if (size_parse(arg, &s->m.mem_bytes, e) == -1)
		return (err_prefix(e, "memory"));
	if (s->m.mem_bytes < (1u << 20))
		return (
		    err_set(e, EINVAL, "memory \"%s\" is less than 1M", arg));
	s->m.set |= START_MEMORY;
	return (0);
}

static int
opt_cmdline(struct start *s, const char *arg, struct err *e)
{
	if (strlcpy(s->m.cmdline, arg, sizeof(s->m.cmdline)) >=
	    sizeof(s->m.cmdline))
		return (err_set(e, EINVAL,
		    "the kernel's command line is longer than %zu bytes",
		    sizeof(s->m.cmdline) - 1));
	s->m.set |= START_CMDLINE;
	return (0);
}

static int
opt_switch(struct start *s, const char *arg, struct err *e)
{
	if (!str_valid_name(arg))
		return (
		    err_set(e, EINVAL, "\"%s\" is no name of a switch", arg));
	if (s->switches++ == NICS_MAX)
		return (err_set(e, EINVAL, "more than %d switches", NICS_MAX));
	return (0);
}

static int
opt_template(struct start *s, const char *arg, struct err *e)
{
	if (!vm_name_ok(arg))
		return (err_set(e, EINVAL, "\"%s\" is no name of a vm", arg));
	strlcpy(s->m.template_name, arg, sizeof(s->m.template_name));
	return (0);
}

static int
start_opt(struct start *s, int ch, const char *arg, struct err *e)
{
	switch (ch) {
	case 'B':
		return (opt_boot_device(s, arg, e));
	case 'b':
		return (ctl_file_read(&s->kernel, "kernel", arg, e));
	case 'C':
		s->m.set |= START_CPUS;
		return (number("cpus", arg, 1, VM_CPUS_MAX, &s->m.ncpus, e));
	case 'c':
		s->console = true;
		return (0);
	case 'd':
		return (opt_disk(s, arg, e));
	case 'I':
		return (ctl_file_read(&s->initrd, "initrd", arg, e));
	case 'i':
		return (number("interfaces", arg, 0, NICS_MAX, &s->nics, e));
	case 'k':
		return (opt_cmdline(s, arg, e));
	case 'L':
		s->m.local = 1;
		return (0);
	case 'm':
		return (opt_memory(s, arg, e));
	case 'n':
		return (opt_switch(s, arg, e));
	case 'r':
		return (image_path(
		    s->m.cdrom, sizeof(s->m.cdrom), "CD-ROM", arg, e));
	case 't':
		return (opt_template(s, arg, e));
	case 'v':
		s->steps = true;
		return (0);
	default:
		return (CMD_USAGE);
	}
}

static void
on_started(void *arg, const struct msg *m)
{
	struct start *s = arg;

	if (m->type == MSG_STARTED)
		memcpy(&s->started, m->body, sizeof(s->started));
}

static int
start_console(
    struct ctl *ctl, const struct start *s, const char *name, struct err *e)
{
	struct cons_conf conf = { .name = name };

	conf.vm.id = s->started.id;
	return (cons_run(ctl, &conf, e));
}

static int
start_vm(struct ctl *ctl, struct start *s, const char *name, struct err *e)
{
	if (vm_ref_parse(&s->m.vm, name, e) == -1)
		return (-1);
	/* Each -n is of an interface; -i may count more of them. */
	s->m.nifs = s->nics > s->switches ? s->nics : s->switches;
	if (ctl_connect(ctl, NULL, e) == -1 ||
	    (s->kernel.data != NULL &&
		ctl_file_lend(ctl, &s->kernel, &s->m.kernel, e) == -1) ||
	    (s->initrd.data != NULL &&
		ctl_file_lend(ctl, &s->initrd, &s->m.initrd, e) == -1) ||
	    client_call(ctl->client, MSG_START, &s->m, sizeof(s->m), on_started,
		s, e) == -1)
		return (-1);
	ctl_note(
	    "started vm %s successfully, id %" PRIu32, name, s->started.id);
	if (s->steps || ctl->verbose)
		fmt_steps(stdout, &s->started);
	if (fflush(stdout) == EOF)
		return (err_errno(e, "standard output"));
	return (s->console ? start_console(ctl, s, name, e) : 0);
}

static int
start_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct start s = { 0 };
	int ch, r = 0;

	optind = 0;
	while (r == 0 && (ch = getopt(argc, argv, cmd_start.opts)) != -1)
		r = start_opt(&s, ch, optarg, e);
	if (r == 0 && argc - optind != 1)
		r = CMD_USAGE;
	if (r == 0)
		r = start_vm(ctl, &s, argv[optind], e);
	ctl_file_free(&s.kernel);
	ctl_file_free(&s.initrd);
	return (r);
}

const struct cmd cmd_start = {
	.name = "start",
	.opts = "B:b:C:cd:I:i:k:Lm:n:r:t:v",
	.usage = "[-cLv] [-B device] [-b path] [-C cpus] [-d disk] "
		 "[-I initrd] [-i count] [-k cmdline] [-m size] [-n switch] "
		 "[-r path] [-t name] id | name",
	.min_args = 1,
	.max_args = 1,
	.run = start_run,
};
