/* SPDX-License-Identifier: ISC */
/* vmctl status: the VMs, as a table or as JSON lines. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/fmt.h"

#define OPTS "jrv"
enum { JSON = 1u << 0, RUNNING = 1u << 1, MORE = 1u << 2 };

#define SAMPLE_MS 500 /* between the two that a rate takes */

/* What the first of two lists said of a device. */
struct sample {
	struct msg_dev_figures figures;
	struct sample *next;
};

struct show {
	bool json, more, headed, any;
	bool first; /* of two lists: nothing is shown yet */
	int64_t now_s;
	struct sample *samples;
	/* The VM whose messages are coming. */
	struct msg_row row;
	struct fmt_dev dev[VM_DEVS_MAX];
	size_t ndevs;
	bool pending;
	struct err *e;
	int result;
};

/* Once, and not above an error about the one VM that was asked for. */
static void
status_head(struct show *show)
{
	if (!show->json && !show->headed)
		fmt_head(stdout);
	show->headed = true;
}

/* All of a VM has come. */
static void
status_show(struct show *show)
{
	size_t i;

	if (!show->pending || show->first)
		return;
	show->pending = false;
	if (show->json) {
		if (fmt_row_json(stdout, &show->row, show->dev, show->ndevs) ==
		    -1)
			show->result = err_set(
			    show->e, EIO, "cannot write vm %s", show->row.name);
		return;
	}
	status_head(show);
	fmt_row(stdout, &show->row);
	if (!show->more)
		return;
	fmt_row_more(stdout, &show->row, show->now_s);
	for (i = 0; i < show->ndevs; i++)
		fmt_dev(stdout, &show->dev[i], show->row.name);
}

static void
status_row(struct show *show, const struct msg_row *row)
{
	status_show(show);
	show->any = show->pending = true;
	show->row = *row;
	show->ndevs = 0;
}

static void
status_dev(struct show *show, const struct msg_dev_row *row)
{
	struct fmt_dev *d;

	if (!show->pending || show->ndevs == VM_DEVS_MAX)
		return;
	d = &show->dev[show->ndevs++];
	memset(d, 0, sizeof(*d));
	d->row = *row;
}

static void
sample_keep(struct show *show, const struct msg_dev_figures *m)
{
	struct sample *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return; /* no rate of it, then */
	s->figures = *m;
	s->next = show->samples;
	show->samples = s;
}

static void
status_figures(struct show *show, const struct msg_dev_figures *m)
{
	const struct sample *s;
	struct fmt_dev *d;

	if (show->first) {
		sample_keep(show, m);
		return;
	}
	for (d = show->dev; d < show->dev + show->ndevs; d++)
		if (d->row.id == m->id && d->row.index == m->index)
			break;
	if (d == show->dev + show->ndevs)
		return;
	d->now = *m;
	d->has_now = true;
	for (s = show->samples; s != NULL; s = s->next)
		if (s->figures.id == m->id && s->figures.index == m->index) {
			d->old = s->figures;
			d->has_old = true;
		}
}

static void
status_message(void *arg, const struct msg *m)
{
	if (m->type == MSG_VM_ROW)
		status_row(arg, m->body);
	else if (m->type == MSG_DEV_ROW)
		status_dev(arg, m->body);
	else if (m->type == MSG_DEV_FIGURES)
		status_figures(arg, m->body);
}

static int
status_list(
    struct ctl *ctl, struct show *show, const struct msg_list *m, struct err *e)
{
	const struct timespec wait = { .tv_nsec = SAMPLE_MS * 1000000l };
	int rc;

	/* A rate takes two looks, but only where there is something to see. */
	show->first = show->more;
	rc = client_call(
	    ctl->client, MSG_LIST, m, sizeof(*m), status_message, show, e);
	if (rc == 0 && show->first) {
		show->first = show->pending = false;
		if (show->samples != NULL)
			nanosleep(&wait, NULL);
		rc = client_call(ctl->client, MSG_LIST, m, sizeof(*m),
		    status_message, show, e);
	}
	status_show(show);
	return (rc);
}

static int
status_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct show show = { .e = e };
	struct msg_list m = { 0 };
	struct sample *s;
	unsigned flags;
	int rc;

	if (cmd_flags(&cmd_status, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	show.json = (flags & JSON) != 0;
	show.more = (flags & MORE) != 0 || ctl->verbose;
	show.now_s = time(NULL);
	if (flags & RUNNING)
		m.flags |= LIST_RUNNING;
	if (show.json || show.more)
		m.flags |= LIST_DEVS;
	if (argc == 1 && vm_ref_parse(&m.vm, argv[0], e) == -1)
		return (-1);
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	rc = status_list(ctl, &show, &m, e);
	while ((s = show.samples) != NULL) {
		show.samples = s->next;
		free(s);
	}
	if (rc == -1)
		return (-1);
	if (argc == 1 && !show.any)
		ctl_note("vm %s is not running", argv[0]);
	else
		status_head(&show);
	if (fflush(stdout) == EOF)
		return (err_errno(e, "standard output"));
	return (show.result);
}

const struct cmd cmd_status = {
	.name = "status",
	.alias = "show",
	.opts = OPTS,
	.usage = "[-jrv] [id]",
	.max_args = 1,
	.run = status_run,
};
