/* SPDX-License-Identifier: ISC */
/*
 * Making a process: clone3 into the namespaces of its row, then this very
 * executable again, so that no two processes share an address layout.
 *
 * Between clone3 and execveat the child is a copy of the parent, with only the
 * thread that cloned: only async-signal-safe calls there.  It gets no
 * PR_SET_PDEATHSIG: a vm process outlives its parent.
 *
 * Runs in: parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "shared/clock.h"
#include "shared/fd.h"

#define NFDS PROC_FDS_MAX
#define HIGH_FD (PROC_LINK_FD + NFDS) /* above all that a child is given */
#define NARGS 16
#define TITLE_BYTES (VM_NAME_BYTES + DEV_NAME_BYTES)
#define ARG_BYTES (TITLE_BYTES + 16)
#define EXEC_FAILED 127

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#else
#define SANITIZER 0
#endif

static int exe_fd = -1; /* survives an upgrade of the file */
static int null_fd = -1;

/* All that the child needs, made while malloc is still allowed. */
struct plan {
	char args[NARGS][ARG_BYTES];
	char *argv[NARGS + 1];
	int argc;
	char *envp[4];
	int fd[NFDS];
};

int
proc_init(struct err *e)
{
	exe_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (exe_fd == -1)
		return (err_errno(e, "/proc/self/exe (is /proc mounted?)"));
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd == -1)
		return (err_errno(e, "/dev/null"));
	return (0);
}

__attribute__((format(printf, 2, 3))) static void
plan_arg(struct plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->args[p->argc], ARG_BYTES, fmt, ap);
	va_end(ap);
	p->argv[p->argc] = p->args[p->argc];
	p->argc++;
}

/*
 * What the sanitizers were told goes to the children, and nothing else.  In an
 * empty root no report can go to a file.  Nor can leaks be looked for: that
 * takes /proc, ptrace(2) and a process more; unit tests do it for this code.
 */
static void
plan_env(struct plan *p)
{
	static const char *const names[] = { "ASAN_OPTIONS", "TSAN_OPTIONS",
		"UBSAN_OPTIONS" };
	static char text[3][512];
	const char *v;
	size_t i;

	for (i = 0; SANITIZER && i < 3; i++) {
		v = getenv(names[i]);
		snprintf(text[i], sizeof(text[i]), "%s=%s:log_path=stderr%s",
		    names[i], v != NULL ? v : "",
		    i == 0 ? ":detect_leaks=0" : "");
		p->envp[i] = text[i];
	}
}

static void
plan_make(struct plan *p, const struct proc_desc *desc,
    const struct proc_spawn_conf *conf)
{
	const char *slash = conf->title[0] != '\0' ? "/" : "";
	const char *word = desc->word != NULL ? desc->word : desc->name;
	size_t i;

	memset(p, 0, sizeof(*p));
	plan_arg(p, "vmd: %s%s%s", word, slash, conf->title);
	plan_arg(p, "-P");
	plan_arg(p, "%s", desc->name);
	plan_arg(p, "-t");
	plan_arg(p, "%s%s%s", word, slash, conf->title);
	plan_arg(p, "-i");
	plan_arg(p, "%u", conf->id);
	plan_arg(p, "-u");
	plan_arg(p, "%u", (unsigned)conf->uid);
	plan_arg(p, "-g");
	plan_arg(p, "%u", (unsigned)conf->gid);
	plan_arg(p, "-s");
	plan_arg(p, "%" PRIu64, clock_now_ns());
	if (conf->verbose)
		plan_arg(p, "-v");
	plan_env(p);
	for (i = 0; i < NFDS; i++)
		p->fd[i] = i < desc->nfds ? conf->fd[i] : -1;
}

/*
 * Give the fds their numbers.  A source may have the number of another's
 * target, so all go up out of the way first.  What is left open goes at the
 * exec, the executable itself too.
 */
static bool
child_fds(const struct plan *p)
{
	int high[NFDS], null, exe, i;

	for (i = 0; i < NFDS; i++)
		if (p->fd[i] != -1 &&
		    (high[i] = fcntl(p->fd[i], F_DUPFD_CLOEXEC, HIGH_FD)) == -1)
			return (false);
	null = fcntl(null_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	exe = fcntl(exe_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	if (null == -1 || exe == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1)
		return (false);
	if (!SANITIZER && dup2(null, STDERR_FILENO) == -1)
		return (false);
	if (close_range(PROC_LINK_FD, ~0u, CLOSE_RANGE_CLOEXEC) == -1)
		return (false);
	for (i = 0; i < NFDS; i++)
		if (p->fd[i] != -1 && dup2(high[i], PROC_LINK_FD + i) == -1)
			return (false);
	exe_fd = exe;
	return (true);
}

/* No handler, nothing ignored, nothing blocked. */
static bool
child_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL); /* KILL, STOP, glibc's own: EINVAL */
	sigemptyset(&none);
	return (sigprocmask(SIG_SETMASK, &none, NULL) == 0);
}

__attribute__((noreturn)) static void
child(struct plan *p)
{
	/* A session of its own: ^C at `vmd -d` is for the parent alone. */
	if (setsid() != -1 && child_fds(p) && child_signals())
		syscall(
		    SYS_execveat, exe_fd, "", p->argv, p->envp, AT_EMPTY_PATH);
	_exit(EXEC_FAILED);
}

int
proc_spawn(const struct proc_desc *desc, const struct proc_spawn_conf *conf,
    pid_t *pid, int *pidfd, struct err *e)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	sigset_t all, old;
	struct plan p;
	long rc;
	int fd = -1, code;

	if (strlen(conf->title) >= TITLE_BYTES)
		return (
		    err_set(e, EINVAL, "%s: its name is too long", desc->name));
	plan_make(&p, desc, conf);
	args.flags = CLONE_PIDFD | desc->sandbox->namespaces;
	args.pidfd = (uint64_t)(uintptr_t)&fd;
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	rc = syscall(SYS_clone3, &args, sizeof(args));
	if (rc == 0)
		child(&p);
	code = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = code;
	if (rc == -1)
		return (err_errno(e, "%s: clone", p.args[0]));
	*pid = (pid_t)rc;
	*pidfd = fd;
	return (0);
}
