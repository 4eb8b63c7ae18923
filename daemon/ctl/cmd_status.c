/* SPDX-License-Identifier: ISC */
/* vmctl status: the VMs, as a table or as JSON lines. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/fmt.h"

#define OPTS "jrv"
enum { JSON = 1u << 0, RUNNING = 1u << 1, MORE = 1u << 2 };

struct show {
	bool json, more, headed, any;
	int64_t now_s;
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

static void
status_row(void *arg, const struct msg *m)
{
	const struct msg_row *row = m->body;
	struct show *show = arg;

	if (m->type != MSG_VM_ROW)
		return;
	show->any = true;
	if (show->json) {
		if (fmt_row_json(stdout, row) == -1)
			show->result = err_set(
			    show->e, EIO, "cannot write vm %s", row->name);
		return;
	}
	status_head(show);
	fmt_row(stdout, row);
	if (show->more)
		fmt_row_more(stdout, row, show->now_s);
}

static int
status_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	struct msg_list m = { 0 };
	struct show show = { .e = e };
	unsigned flags;

	if (cmd_flags(&cmd_status, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	show.json = (flags & JSON) != 0;
	show.more = (flags & MORE) != 0 || ctl->verbose;
	show.now_s = time(NULL);
	if (flags & RUNNING)
		m.flags |= LIST_RUNNING;
	if (argc == 1 && vm_ref_parse(&m.vm, argv[0], e) == -1)
		return (-1);
	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	if (client_call(ctl->client, MSG_LIST, &m, sizeof(m), status_row, &show,
		e) == -1)
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
