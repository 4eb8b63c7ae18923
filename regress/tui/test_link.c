/* SPDX-License-Identifier: ISC */
/* The link to a daemon that only speaks the protocol: what it tells the loop. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/fakevmd.h"
#include "regress/lib/tap.h"
#include "tui/app.h"
#include "tui/console.h"
#include "tui/link.h"

#define LIMIT_S 10

static struct event_base *base;
static struct app app;
static uint64_t wanted; /* offset that a console must have reached */
static bool told;

static struct console *
cons(void)
{
	return (console_by_chan(app.views[VIEW_CONSOLE], 0));
}

static void
on_changed(void *ctx, bool model)
{
	(void)ctx;
	told = true;
	if (model)
		app_model_changed(&app);
	if (wanted == 0 ? app.model->nguests > 0
			: !model && cons() != NULL && cons()->next >= wanted)
		event_base_loopbreak(base);
}

static void
until(uint64_t offset)
{
	struct timeval limit = { .tv_sec = LIMIT_S };

	wanted = offset;
	told = false;
	event_base_loopexit(base, &limit);
	event_base_dispatch(base);
	CHECK_MSG(told && !event_base_got_exit(base), "waited in vain");
}

static void
key(uint32_t k)
{
	struct input in = { .kind = IN_KEY, .key = k };

	app_input(&app, &in);
}

/* Else what a guest says is seen when something else is drawn. */
static void
told_of_output(void)
{
	char dir[] = "/tmp/vmtop.XXXXXX", path[64];
	struct fakevmd_conf c = {
		.path = path, .nguests = 2, .history = "hello", .history_len = 5
	};
	static const struct term_ops term = { 0 };
	struct model model;
	struct link *l;
	pid_t pid;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	REQUIRE((pid = fakevmd_fork(&c)) > 0);
	REQUIRE((base = event_base_new()) != NULL);
	model_init(&model);
	REQUIRE((l = link_open(base, &model, path, on_changed, NULL)) != NULL);
	REQUIRE(app_init(&app, &model, &link_ops, l, &term, NULL) == 0);
	app.rows = 24;
	app.cols = 80;
	link_start(l, &app);
	until(0);
	key(K_ENTER);
	until(5);
	key('x'); /* which it echoes */
	until(6);
	link_close(l);
	app_fini(&app);
	model_fini(&model);
	event_base_free(base);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(dir);
}

static const struct tap_case cases[] = {
	{ "link: output of a guest is to be drawn", told_of_output },
};
TAP_MAIN(cases)
