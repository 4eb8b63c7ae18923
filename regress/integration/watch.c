/* SPDX-License-Identifier: ISC */
/*
 * usage: watch [-afk] [-c bytes] [-n bytes] socket vm
 *
 * A client that watches a VM's console, for the integration tests: all that
 * comes goes to standard output.  What is not the guest's goes to standard
 * error, a word first: "attached START END", "gap OFFSET LOST", "down WHY",
 * "closed WHY".  It ends with 0 when the console is closed or -n bytes have
 * come, with 1 when it cannot attach or vmd is gone.
 *
 *   -a  attach again where it was when the connection went down, until it
 *       stands again
 *   -c  credit given once and never again: it stalls after so many bytes
 *   -f  keep every byte away from standard output, only count them at the end
 *   -k  attached, stop reading the socket at all
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/client.h"
#include "shared/str.h"

#define WINDOW_BYTES (256u << 10)
#define RETRY_MS 50
#define CHAN 1 /* not 0, which is too easily right */

struct watch {
	struct event_base *base;
	struct client *client;
	const char *vm;
	bool again, count_only, no_read;
	uint32_t once; /* -c; 0: as it goes */
	uint64_t most; /* -n */
	bool been;     /* attached once: next is valid */
	uint64_t next; /* offset after the last byte that came */
	uint64_t came;
	int status;
};

static void attach(struct watch *);

static void
end(struct watch *w, int status)
{
	w->status = status;
	event_base_loopbreak(w->base);
}

static int
on_data(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_chunk *head = m->body;
	struct msg_credit credit = { .chan = CHAN, .bytes = head->len };
	struct watch *w = ctx;

	(void)peer;
	(void)e;
	if (head->off != w->next) {
		fprintf(stderr, "offset %" PRIu64 " is not %" PRIu64 "\n",
		    head->off, w->next);
		end(w, 1);
		return (0);
	}
	w->next += head->len;
	w->came += head->len;
	if (!w->count_only && fwrite(head + 1, 1, head->len, stdout) == 0)
		end(w, 1);
	fflush(stdout);
	if (w->most > 0 && w->came >= w->most)
		end(w, 0);
	else if (w->once == 0)
		client_send(
		    w->client, MSG_CONS_CREDIT, &credit, sizeof(credit));
	return (0);
}

static int
on_gap(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_gap *gap = m->body;
	struct watch *w = ctx;

	(void)peer;
	(void)e;
	fprintf(stderr, "gap %" PRIu64 " %" PRIu64 "\n", gap->off, gap->lost);
	w->next = gap->off + gap->lost;
	return (0);
}

static int
on_closed(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_cons_closed *closed = m->body;
	struct watch *w = ctx;

	(void)peer;
	(void)e;
	fprintf(stderr, "closed %s\n", closed->why.text);
	/* Of a control that is new, and has no link to the VM yet. */
	if (w->again && closed->why.code != ENOTCONN)
		attach(w);
	else
		end(w, 0);
	return (0);
}

static void
on_attached(void *arg, struct client *client, const struct msg *m)
{
	const struct msg_attached *at = m->body;
	const struct msg_err *err = m->body;
	struct watch *w = arg;

	if (m->type != MSG_CONS_ATTACHED) {
		fprintf(stderr, "refused %s\n",
		    m->type == MSG_ERR ? err->text : msg_name(m->type));
		end(w, 1);
		return;
	}
	fprintf(
	    stderr, "attached %" PRIu64 " %" PRIu64 "\n", at->start, at->end);
	if (w->been && at->start != w->next)
		fprintf(stderr, "gap %" PRIu64 " %" PRIu64 "\n", w->next,
		    at->start - w->next);
	w->been = true;
	w->next = at->start;
	if (w->no_read)
		peer_pause(client_peer(client), 1);
}

static void
attach(struct watch *w)
{
	struct msg_attach m = {
		.chan = CHAN,
		.flags = w->been ? CONS_FROM : 0,
		.credit = w->once > 0 ? w->once : WINDOW_BYTES,
		.from = w->next,
	};
	struct err e;

	if (vm_ref_parse(&m.vm, w->vm, &e) == -1 ||
	    client_request(w->client, MSG_CONS_ATTACH, &m, sizeof(m),
		on_attached, w, &e) == 0) {
		fprintf(stderr, "refused %s\n", e.text);
		end(w, 1);
	}
}

static void
on_up(void *ctx, struct client *client, const struct msg_hello *hello)
{
	struct watch *w = ctx;

	(void)hello;
	w->client = client;
	attach(w);
}

static void
on_down(void *ctx, struct client *client, const struct err *why)
{
	struct watch *w = ctx;

	(void)client;
	fprintf(stderr, "down %s\n", why->text);
	if (!w->again)
		end(w, 1);
}

static void
on_term(int sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	end(arg, 0);
}

static const struct msg_handler handlers[] = {
	{ MSG_CONS_DATA, on_data },
	{ MSG_CONS_GAP, on_gap },
	{ MSG_CONS_CLOSED, on_closed },
};

static void
usage(void)
{
	fprintf(
	    stderr, "usage: watch [-afk] [-c bytes] [-n bytes] socket vm\n");
	exit(2);
}

static void
options(struct watch *w, int argc, char **argv)
{
	int ch;

	while ((ch = getopt(argc, argv, "ac:fkn:")) != -1) {
		switch (ch) {
		case 'a':
			w->again = true;
			break;
		case 'c':
			w->once = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			w->count_only = true;
			break;
		case 'k':
			w->no_read = true;
			break;
		case 'n':
			w->most = strtoull(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2)
		usage();
	w->vm = argv[optind + 1];
}

int
main(int argc, char **argv)
{
	struct watch w = { .base = event_base_new() };
	struct client_conf conf = {
		.text = "watch",
		.handlers = handlers,
		.nhandlers = sizeof(handlers) / sizeof(handlers[0]),
		.ctx = &w,
		.up = on_up,
		.down = on_down,
	};
	struct event *term;
	struct err e;

	options(&w, argc, argv);
	conf.path = argv[optind];
	conf.retry_ms = w.again ? RETRY_MS : 0;
	setvbuf(stderr, NULL, _IOLBF, 0);
	if (w.base == NULL ||
	    (w.client = client_open(w.base, &conf, &e)) == NULL) {
		fprintf(stderr, "down %s\n", e.text);
		return (1);
	}
	/* Also what keeps the loop when nothing is read. */
	term = evsignal_new(w.base, SIGTERM, on_term, &w);
	if (term == NULL || event_add(term, NULL) == -1)
		return (1);
	event_base_dispatch(w.base);
	event_free(term);
	if (w.count_only)
		printf("%" PRIu64 "\n", w.came);
	client_close(w.client);
	return (w.status);
}
