/* SPDX-License-Identifier: ISC */
/*
 * Logging: one line each, lower case, names the object and the number.
 * To stderr in the foreground (one write(2) a line), to syslog(3) otherwise.
 * Control bytes in a line come out as \ooo (str_vis() in str.h, T71); a line is
 * cut at about 1000 bytes.  Any thread; not in a signal handler; errno stays.
 */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include <stdarg.h>

/* What goes out: 0 warnings and information, 1 also debug ("verbose"). */
/*
 * syslog(3) connects here, before the sandbox.  prefix is copied; "": none.
 */
void log_init(const char *prefix, int to_stderr, int verbose);
void log_setverbose(int verbose);
int log_getverbose(void);
/* The name in front of every line, "vm/alpine"; copied. */
void log_setprefix(const char *prefix);
/*
 * Where finished lines go instead of stderr or syslog; NULL: back.  A process
 * with an empty root sends them to the parent with this.  prio: LOG_* of
 * syslog(3).  Called one line at a time under the log's lock, but from any
 * thread that logs: an imsgbuf of another thread needs a lock of its own.  What
 * the sink itself logs goes to stderr or syslog.
 */
void log_setsink(
    void (*sink)(void *ctx, int prio, const char *line), void *ctx);
/* Write a finished line of another process (already prefixed by it). */
void log_line(int prio, const char *line);

/* Appends ": strerror(errno)". */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * Caused by a guest or a client: at most 20 lines in any minute of a process.
 * "N more lines left out" counts as one of them and is written as soon as there
 * is room again and anything is logged.  T21, S5.
 */
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Only before the sandbox (set-up): log and exit(1). */
void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));
void fatalx(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* Our own bug: says where and aborts this one process. */
#define bug_on(cond)                                                           \
	do {                                                                   \
		if (cond)                                                      \
			bug_abort(#cond, __FILE__, __LINE__);                  \
	} while (0)
void bug_abort(const char *cond, const char *file, int line)
    __attribute__((noreturn));

#endif
