/* SPDX-License-Identifier: ISC */
/*
 * The one error type: filled where the trouble is found, shown unchanged where
 * the person is (status bar, vmctl's stderr, the log).
 */
#ifndef SHARED_ERR_H
#define SHARED_ERR_H

#define ERR_TEXT_BYTES 252

struct err {
	int code; /* errno value, 0: no error */
	char text
	    [ERR_TEXT_BYTES]; /* one line, NUL-terminated, says what to do */
};

/*
 * Fill *e (NULL is allowed: only the return value then) and return -1, so that
 * failing reads "return (err_set(e, ENOENT, "no vm named %s", name));".
 * A text that does not fit is cut and ends in "...".  Control bytes in the
 * formatted text are replaced by '?', since parts of it may come from a client.
 */
int err_set(struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with errno as code; appends ": strerror(errno)". */
int err_errno(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "prefix: " in front of the text that is there; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

#endif
