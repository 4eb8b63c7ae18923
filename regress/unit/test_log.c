/* SPDX-License-Identifier: ISC */
/* shared/log.h: quoting, cutting, rate limit, threads.  The clock is ours. */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "shared/log.h"

static struct timespec fake = { .tv_sec = 1000 };
static char last[4096];
static int lines, last_prio;

/* In place of libc's, for shared/log.c. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = fake;
	return (0);
}

static int opened_options, opened_facility, closed;

/* The same for syslog(3). */
void
openlog(const char *ident, int options, int facility)
{
	CHECK(strcmp(ident, program_invocation_short_name) == 0);
	opened_options = options;
	opened_facility = facility;
}

void
closelog(void)
{
	closed++;
}

void
syslog(int prio, const char *fmt, ...)
{
	va_list ap;

	CHECK_STR(fmt, "%s");
	va_start(ap, fmt);
	snprintf(last, sizeof(last), "%s", va_arg(ap, const char *));
	va_end(ap);
	last_prio = prio;
	lines++;
}

static void
sink(void *ctx, int prio, const char *line)
{
	CHECK(ctx == &lines);
	lines++;
	last_prio = prio;
	snprintf(last, sizeof(last), "%s", line);
}

static void
set_up(const char *prefix)
{
	log_init(prefix, 1, 0);
	log_setsink(sink, &lines);
	lines = 0;
	last[0] = '\0';
}

static void
test_lines(void)
{
	set_up("vm/web");
	log_info("started in %d ms", 12);
	CHECK_STR(last, "vm/web: started in 12 ms");
	CHECK_EQ(last_prio, LOG_INFO);
	errno = ENOENT;
	log_warn("%s", "/a/b");
	CHECK_STR(last, "vm/web: /a/b: No such file or directory");
	CHECK_EQ(last_prio, LOG_ERR);
	CHECK_EQ(errno, ENOENT);
	log_warnx("plain");
	CHECK_STR(last, "vm/web: plain");
	CHECK_EQ(lines, 3);
	log_debug("not shown");
	CHECK_EQ(lines, 3);
	log_setverbose(1);
	CHECK_EQ(log_getverbose(), 1);
	log_debug("shown");
	CHECK_STR(last, "vm/web: shown");
	CHECK_EQ(last_prio, LOG_DEBUG);
	log_setprefix("");
	log_info("bare");
	CHECK_STR(last, "bare");
}

static void
test_syslog(void)
{
	set_up("x");
	log_setsink(NULL, NULL);
	log_init("vm/web", 0, 0);
	CHECK_EQ(opened_options, LOG_PID | LOG_NDELAY);
	CHECK_EQ(opened_facility, LOG_DAEMON);
	log_warnx("100%%s\n");
	CHECK_STR(last, "vm/web: 100%s\\012");
	CHECK_EQ(last_prio, LOG_ERR);
	log_line(LOG_INFO, "vm/a: y");
	CHECK_STR(last, "vm/a: y");
	CHECK_EQ(last_prio, LOG_INFO);
	CHECK_EQ(lines, 2);
	closed = 0;
	log_init("vm/web", 1, 0);
	CHECK_EQ(closed, 1);
}

/* T71: no byte of a guest or client controls the terminal of who reads. */
static void
test_quoting(void)
{
	set_up("x\033");
	log_info("a\nroot: b\r\033[2J\177 \xc2\x9b"
		 "31m gr\xc3\xbc\xc3\x9f \xff");
	CHECK_STR(last,
	    "x\\033: a\\012root: b\\015\\033[2J\\177 \\302\\23331m "
	    "gr\xc3\xbc\xc3\x9f \\377");
	log_line(LOG_INFO, "vm/a: x\n\\012");
	CHECK_STR(last, "vm/a: x\\012\\012");
	log_line(LOG_AUTH | LOG_INFO, "y"); /* the priority only */
	CHECK_EQ(last_prio, LOG_INFO);
}

static void
test_cut(void)
{
	char big[5000];
	size_t i;

	set_up("p");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	CHECK(strlen(last) < 1024 && strlen(last) > 1000);
	memset(big, 1, sizeof(big) - 1);
	log_info("%s", big);
	i = strlen(last);
	CHECK(i < 1024 && i > 1000);
	CHECK_STR(last + i - 7, "\\001...");
	memset(big, 'a', sizeof(big) - 1);
	errno = EIO;
	log_warn("%s", big);
	CHECK_STR(last + strlen(last) - 20, ": Input/output error");
	memset(big, 'p', sizeof(big) - 1);
	log_setprefix(big);
	log_info("end");
	CHECK_STR(last + strlen(last) - 5, ": end");
}

static void
test_rate(void)
{
	int i;

	set_up("vm/a");
	fake.tv_sec += 100;
	for (i = 0; i < 1000; i++)
		log_guest("bad ring %d", i);
	CHECK_EQ(lines, 20);
	CHECK_STR(last, "vm/a: bad ring 19");
	fake.tv_sec += 59;
	log_guest("more");
	log_info("ours"); /* is never held back */
	CHECK_EQ(lines, 21);
	CHECK_STR(last, "vm/a: ours");
	fake.tv_sec += 1;
	log_guest("again");
	CHECK_EQ(lines, 23); /* the count and the line */
	CHECK_STR(last, "vm/a: again");
	for (i = 0; i < 100; i++)
		log_guest("bad ring %d", i);
	CHECK_EQ(lines, 21 + 20);
	fake.tv_sec += 60;
	set_up("vm/a");
	log_info("ours");
	CHECK_EQ(lines, 2);
	log_info("ours");
	CHECK_EQ(lines, 3);
}

/* In no minute more than 20, wherever it begins. */
static void
test_rate_window(void)
{
	int i, at[4000], n = 0;

	set_up("vm/a");
	fake.tv_sec += 100;
	for (i = 0; i < 4000; i++) {
		int before = lines;

		log_guest("line %d", i);
		for (; before < lines; before++)
			at[n++] = i;
		fake.tv_nsec += 500000000;
		if (fake.tv_nsec >= 1000000000) {
			fake.tv_nsec -= 1000000000;
			fake.tv_sec++;
		}
	}
	for (i = 20; i < n; i++)
		CHECK(at[i] - at[i - 20] >= 120);
	CHECK(n > 600);
}

static void
test_left_out_text(void)
{
	int i;

	set_up("");
	fake.tv_sec += 100;
	for (i = 0; i < 25; i++)
		log_guest("x");
	fake.tv_sec += 60;
	fake.tv_nsec = 0;
	for (i = 0; i < 20; i++) {
		log_guest("y");
		if (i == 0)
			CHECK_EQ(lines, 22);
	}
	/* 5 were left out, said in the first of 20; the 20th y had no room. */
	CHECK_EQ(lines, 40);
	fake.tv_sec += 60;
	log_setsink(NULL, NULL);
	log_setsink(sink, &lines);
	log_guest("z");
	CHECK_EQ(lines, 42);
}

static int records; /* write(2)s that capture() saw */

/* What comes out at fd 2. */
static void
capture(void (*fn)(void), char *out, size_t size, int *status)
{
	size_t n = 0;
	ssize_t r;
	int p[2];
	pid_t pid;

	records = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p) == -1 ||
	    (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		signal(SIGABRT, SIG_DFL);
		log_setsink(NULL, NULL);
		fn();
		_exit(0);
	}
	close(p[1]);
	for (; (r = read(p[0], out + n, size - 1 - n)) > 0; records++)
		n += (size_t)r;
	out[n] = '\0';
	close(p[0]);
	waitpid(pid, status, 0);
}

static void *
chatter(void *arg)
{
	int i;

	for (i = 0; i < 50; i++)
		log_info("%s", (const char *)arg);
	return (NULL);
}

static void
two_threads(void)
{
	pthread_t t[2];

	pthread_create(&t[0], NULL, chatter, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	pthread_create(&t[1], NULL, chatter, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

static void
test_threads(void)
{
	static char out[64 * 1024];
	int status, n = 0;
	char *p, *q;

	log_init("p", 1, 0);
	capture(two_threads, out, sizeof(out), &status);
	for (p = out; (q = strchr(p, '\n')) != NULL; p = q + 1, n++) {
		CHECK_EQ(q - p, 3 + 29);
		CHECK_EQ(strspn(p + 3, p[3] == 'a' ? "a" : "b"), 29);
	}
	CHECK_EQ(n, 100);
	CHECK_EQ(records, 100);
	CHECK_EQ(*p, 0);
}

static void
do_fatal(void)
{
	errno = EACCES;
	fatal("open %s", "/x");
}

static void
do_fatalx(void)
{
	fatalx("no %s", "kvm");
}

static void
do_bug(void)
{
	int zero = lines - lines;

	bug_on(zero == 1);
	bug_on(zero == 0);
}

static void
loud_sink(void *ctx, int prio, const char *line)
{
	(void)ctx;
	(void)prio;
	log_warnx("lost: %s", line);
}

static void
do_loud_sink(void)
{
	log_setsink(loud_sink, NULL);
	log_info("one");
	log_setsink(NULL, NULL);
	log_info("two");
}

static void
test_stderr(void)
{
	char out[1024];
	int status;

	log_init("vmd", 1, 0);
	capture(do_fatal, out, sizeof(out), &status);
	CHECK_STR(out, "vmd: open /x: Permission denied\n");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	capture(do_fatalx, out, sizeof(out), &status);
	CHECK_STR(out, "vmd: no kvm\n");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	capture(do_bug, out, sizeof(out), &status);
	CHECK(strstr(out, "vmd: bug: zero == 0 at regress/unit/") == out);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	capture(do_loud_sink, out, sizeof(out), &status);
	CHECK_STR(out, "vmd: lost: vmd: one\nvmd: two\n");
}

static const struct tap_case cases[] = {
	{ "log lines, prefix, verbosity", test_lines },
	{ "log to syslog", test_syslog },
	{ "T71 log quoting", test_quoting },
	{ "log long lines are cut", test_cut },
	{ "T21 log guest rate limit", test_rate },
	{ "T21 log no minute above 20", test_rate_window },
	{ "log lines left out are counted", test_left_out_text },
	{ "log threads, one write a line", test_threads },
	{ "log fatal, bug, sink that logs", test_stderr },
};

TAP_MAIN(cases)
