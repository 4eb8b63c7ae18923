/* SPDX-License-Identifier: ISC */
/* vmctl stop: ask a VM to shut down, or end it. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/ctl/cmd.h"
#include "shared/str.h"

#define STOP_AT_ONCE 16
#define OPTS "afw"
enum { ALL = 1u << 0, FORCE = 1u << 1, WAIT = 1u << 2 };

struct stop {
	struct ctl *ctl;
	uint32_t flags; /* STOP_* */
	bool failed;
	unsigned open; /* requests without an answer */
	size_t nvms;
	struct victim {
		struct stop *stop;
		char name[VM_NAME_BYTES];
	} * vms;
};

static const char *
stop_done(uint32_t flags)
{
	if (flags & STOP_WAIT)
		return ("terminated");
	return (flags & STOP_FORCE ? "forced to terminate"
				   : "requested to shut down");
}

static int
stop_one(struct ctl *ctl, const char *vm, uint32_t flags, struct err *e)
{
	struct msg_stop m = { .flags = flags };

	if (vm_ref_parse(&m.vm, vm, e) == -1 ||
	    ctl_connect(ctl, NULL, e) == -1 ||
	    client_call(ctl->client, MSG_STOP, &m, sizeof(m), NULL, NULL, e) ==
		-1)
		return (-1);
	ctl_note("%s vm %s", stop_done(flags), vm);
	return (0);
}

/* ---- All of them ---------------------------------------------------------- */

static void
all_row(void *arg, const struct msg *m)
{
	const struct msg_row *row = m->body;
	struct stop *s = arg;
	struct victim *v;

	if (m->type != MSG_VM_ROW)
		return;
	v = realloc(s->vms, (s->nvms + 1) * sizeof(*v));
	if (v == NULL) {
		ctl_note("vm %s: no memory", row->name);
		s->failed = true;
		return;
	}
	s->vms = v;
	memcpy(v[s->nvms].name, row->name, sizeof(row->name));
	v[s->nvms++].stop = s;
}

static void
all_answer(void *arg, struct client *c, const struct msg *m)
{
	struct victim *v = arg;
	struct err e;

	(void)c;
	v->stop->open--;
	if (m->type == MSG_ERR) {
		msg_to_err(m->body, &e);
		ctl_note("%s", e.text);
		v->stop->failed = true;
	} else
		ctl_note("%s vm %s", stop_done(v->stop->flags), v->name);
}

/* They shut down at the same time, few enough for vmd's limit on requests. */
static int
all_ask(struct stop *s, struct err *e)
{
	struct msg_stop m;
	size_t i;

	for (i = 0; i < s->nvms || s->open > 0;) {
		if (i < s->nvms && s->open < STOP_AT_ONCE) {
			memset(&m, 0, sizeof(m));
			m.flags = s->flags;
			strlcpy(m.vm.name, s->vms[i].name, sizeof(m.vm.name));
			if (client_request(s->ctl->client, MSG_STOP, &m,
				sizeof(m), all_answer, &s->vms[i], e) == 0)
				return (-1);
			s->open++;
			i++;
		} else if (event_base_loop(s->ctl->base, EVLOOP_ONCE) != 0)
			return (err_set(e, EIO, "the event loop failed"));
	}
	return (0);
}

static int
stop_all(struct ctl *ctl, uint32_t flags, struct err *e)
{
	struct msg_list list = { .flags = LIST_RUNNING };
	struct stop s = { .ctl = ctl, .flags = flags };
	int r;

	if (ctl_connect(ctl, NULL, e) == -1)
		return (-1);
	r = client_call(
	    ctl->client, MSG_LIST, &list, sizeof(list), all_row, &s, e);
	if (r == 0)
		r = all_ask(&s, e);
	ctl_disconnect(ctl); /* no answer may come for what is freed now */
	free(s.vms);
	return (r == 0 && s.failed ? -1 : r);
}

static int
stop_run(struct ctl *ctl, int argc, char **argv, struct err *e)
{
	uint32_t how = 0;
	unsigned flags;

	if (cmd_flags(&cmd_stop, &argc, &argv, &flags) != 0)
		return (CMD_USAGE);
	if (flags & FORCE)
		how |= STOP_FORCE;
	if (flags & WAIT)
		how |= STOP_WAIT;
	if (((flags & ALL) != 0) == (argc == 1))
		return (CMD_USAGE);
	if (flags & ALL)
		return (stop_all(ctl, how, e));
	return (stop_one(ctl, argv[0], how, e));
}

const struct cmd cmd_stop = {
	.name = "stop",
	.opts = OPTS,
	.usage = "[-fw] id | [-fw] -a",
	.max_args = 1,
	.run = stop_run,
};
