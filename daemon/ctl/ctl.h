/* SPDX-License-Identifier: ISC */
/* What the verbs of vmctl share: the connection, and how to speak to people. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stddef.h>

#include "shared/client.h"
#include "shared/err.h"
#include "shared/proto.h"

#define CTL_VERSION "0.1"

struct event_base;

struct ctl {
	const char *socket; /* -s, or NULL */
	int verbose;        /* -v */
	struct event_base *base;
	struct client *client;
};

/*
 * Connect and exchange HELLO.  extra: handlers, ctx and down of a verb that
 * listens; or NULL.  0 or -1.
 */
int ctl_connect(struct ctl *, const struct client_conf *extra, struct err *);
void ctl_disconnect(struct ctl *);
/* The same, and free what is left. */
void ctl_close(struct ctl *);

/*
 * Connect and send a message about one VM that is answered by OK; then tell
 * the person, if done is not NULL: "done vm NAME", NAME as it was given.
 */
int ctl_vm_op(struct ctl *, enum msg_type, const char *vm, const char *done,
    struct err *);

/* "vmctl: text" to stderr, control bytes made visible. */
void ctl_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A file whose bytes vmd is to have: read whole with the rights of who asks,
 * later written into memory that vmd lends, whose number goes into the request.
 * Begins as { NULL, 0 }.  what: "kernel".  0 or -1.
 */
struct ctl_file {
	void *data;
	size_t bytes;
};
int ctl_file_read(
    struct ctl_file *, const char *what, const char *path, struct err *);
int ctl_file_lend(
    struct ctl *, const struct ctl_file *, uint32_t *id, struct err *);
void ctl_file_free(struct ctl_file *);

/*
 * The index of the one name that word is, or begins; -1 with *e that names
 * what would fit.  what: "command", "level".
 */
int ctl_pick(const char *const *names, size_t n, const char *what,
    const char *word, struct err *);

#endif
