/* SPDX-License-Identifier: ISC */
/*
 * Logging: see log.h.
 * Runs in: every process, any thread.  Trusts: no text that it prints.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "shared/str.h"

#define LOG_TEXT_BYTES 1024 /* a line with its prefix, newline and NUL */
#define GUEST_LINES 20      /* in any GUEST_WINDOW_NS; DESIGN section 6 */
#define GUEST_WINDOW_NS UINT64_C(60000000000)

static pthread_mutex_t mtx = PTHREAD_MUTEX_INITIALIZER;
static char prefix_text[64];                       /* lock: mtx */
static bool use_syslog;                            /* lock: mtx */
static void (*sink_fn)(void *, int, const char *); /* lock: mtx */
static void *sink_ctx;                             /* lock: mtx */
static _Thread_local bool in_sink; /* this thread holds mtx already */
static atomic_int verbosity;

/* When the last lines of log_guest() went out, a ring.  lock: mtx */
static struct {
	uint64_t at_ns[GUEST_LINES];
	unsigned next, used;
	unsigned long left_out;
} guest;

static void
lock(void)
{
	if (!in_sink)
		pthread_mutex_lock(&mtx);
}

static void
unlock(void)
{
	if (!in_sink)
		pthread_mutex_unlock(&mtx);
}

/* mtx is held; line has room for one more byte. */
static void
put_line(int prio, char *line, size_t n)
{
	ssize_t r;

	if (sink_fn != NULL && !in_sink) {
		in_sink = true;
		sink_fn(sink_ctx, prio, line);
		in_sink = false;
	} else if (use_syslog)
		syslog(prio, "%s", line);
	else {
		line[n] = '\n';
		r = write(STDERR_FILENO, line, n + 1);
		(void)r; /* nowhere left to complain */
	}
}

/* mtx is held.  A body that does not fit is cut by str_vis(). */
static void
put_text(int prio, const char *text)
{
	char line[LOG_TEXT_BYTES];
	size_t n = 0;

	if (prefix_text[0] != '\0') {
		n = str_vis(line, sizeof(line) - 3, prefix_text);
		line[n++] = ':';
		line[n++] = ' ';
	}
	n += str_vis(line + n, sizeof(line) - 1 - n, text);
	put_line(prio, line, n);
}

/* Is there room for one more line in this window?  It is taken.  mtx held. */
static bool
guest_slot(void)
{
	uint64_t now = clock_now_ns();

	if (guest.used == GUEST_LINES &&
	    now - guest.at_ns[guest.next] < GUEST_WINDOW_NS)
		return (false);
	guest.at_ns[guest.next] = now;
	guest.next = (guest.next + 1) % GUEST_LINES;
	if (guest.used < GUEST_LINES)
		guest.used++;
	return (true);
}

/* Say how many were left out as soon as there is room; mtx is held. */
static void
guest_report(void)
{
	char text[64];

	if (guest.left_out == 0 || !guest_slot())
		return;
	snprintf(text, sizeof(text), "%lu more lines left out", guest.left_out);
	guest.left_out = 0;
	put_text(LOG_WARNING, text);
}

__attribute__((format(printf, 2, 0))) static void
vlog(int prio, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_BYTES];
	int saved = errno;

	vsnprintf(text, sizeof(text), fmt, ap);
	lock();
	guest_report();
	put_text(prio, text);
	unlock();
	errno = saved;
}

__attribute__((format(printf, 2, 0))) static void
vlog_errno(int prio, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_BYTES], why[128];
	int saved = errno;
	size_t n;

	vsnprintf(text, sizeof(text), fmt, ap);
	/* Keep the reason whole: it says more than the end of a long name. */
	n = strlcpy(why,
	    strerrordesc_np(saved) != NULL ? strerrordesc_np(saved)
					   : "unknown error",
	    sizeof(why));
	text[str_utf8_cut(text, sizeof(text) - 3 - n - sizeof(prefix_text))] =
	    '\0';
	strlcat(text, ": ", sizeof(text));
	strlcat(text, why, sizeof(text));
	lock();
	guest_report();
	put_text(prio, text);
	unlock();
	errno = saved;
}

void
log_init(const char *prefix, int to_stderr, int verbose)
{
	log_setverbose(verbose);
	log_setprefix(prefix);
	lock();
	use_syslog = !to_stderr;
	if (use_syslog) /* connect now: later there is no /dev/log to see */
		openlog(program_invocation_short_name, LOG_PID | LOG_NDELAY,
		    LOG_DAEMON);
	else
		closelog();
	unlock();
	tzset(); /* syslog(3) reads the zone's file, out of reach later */
}

void
log_setverbose(int verbose)
{
	atomic_store(&verbosity, verbose);
}

int
log_getverbose(void)
{
	return (atomic_load(&verbosity));
}

void
log_setprefix(const char *prefix)
{
	lock();
	strlcpy(prefix_text, prefix, sizeof(prefix_text));
	prefix_text[str_utf8_cut(prefix_text, sizeof(prefix_text))] = '\0';
	unlock();
}

void
log_setsink(void (*sink)(void *ctx, int prio, const char *line), void *ctx)
{
	lock();
	sink_fn = sink;
	sink_ctx = ctx;
	unlock();
}

void
log_line(int prio, const char *line)
{
	char text[LOG_TEXT_BYTES];
	int saved = errno;
	size_t n;

	n = str_vis(text, sizeof(text) - 1, line);
	lock();
	put_line(LOG_PRI(prio), text, n);
	unlock();
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog_errno(LOG_ERR, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_ERR, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	if (log_getverbose() < 1)
		return;
	va_start(ap, fmt);
	vlog(LOG_DEBUG, fmt, ap);
	va_end(ap);
}

void
log_guest(const char *fmt, ...)
{
	char text[LOG_TEXT_BYTES];
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lock();
	guest_report();
	if (guest_slot())
		put_text(LOG_WARNING, text);
	else
		guest.left_out++;
	unlock();
	errno = saved;
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog_errno(LOG_CRIT, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_CRIT, fmt, ap);
	va_end(ap);
	exit(1);
}

void
bug_abort(const char *cond, const char *file, int line)
{
	char text[LOG_TEXT_BYTES];

	snprintf(text, sizeof(text), "bug: %s at %s:%d", cond, file, line);
	log_warnx("%s", text);
	abort();
}
