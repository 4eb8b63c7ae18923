/* SPDX-License-Identifier: ISC */
/* vmtop's sandbox: see sandbox.h, seccomp(2). */
#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tui/sandbox.h"

/* May be called with any arguments. */
static const struct {
	int nr;
	const char *why;
} plain[] = {
	{ SCMP_SYS(read), "the terminal" },
	{ SCMP_SYS(write), "the terminal; libevent's wake-up" },
	{ SCMP_SYS(writev), "assertions of libc that print" },
	{ SCMP_SYS(pread64), "/proc/stat and meminfo; the frame in memory" },
	{ SCMP_SYS(lseek), "the frame in memory" },
	{ SCMP_SYS(recvmsg), "the daemon" },
	{ SCMP_SYS(recvfrom), "libevent's signal pair" },
	{ SCMP_SYS(sendmsg), "the daemon" },
	{ SCMP_SYS(sendto), "libevent's signal pair" },
	{ SCMP_SYS(close), "a daemon that is gone" },
	{ SCMP_SYS(connect), "the daemon again; sockets are local ones only" },
	{ SCMP_SYS(getsockopt), "how that went" },
	{ SCMP_SYS(shutdown), "the daemon's socket" },
	{ SCMP_SYS(epoll_wait), "libevent" },
	{ SCMP_SYS(epoll_pwait), "libevent" },
	{ SCMP_SYS(epoll_ctl), "libevent" },
	{ SCMP_SYS(poll), "imsg and curses" },
	{ SCMP_SYS(brk), "malloc" },
	{ SCMP_SYS(munmap), "malloc" },
	{ SCMP_SYS(mremap), "malloc" },
	{ SCMP_SYS(madvise), "malloc" },
	{ SCMP_SYS(futex), "locks of libc" },
	{ SCMP_SYS(clock_gettime), "where the vDSO has none" },
	{ SCMP_SYS(gettimeofday), "the same" },
	{ SCMP_SYS(clock_nanosleep), "curses: padding of slow terminals" },
	{ SCMP_SYS(nanosleep), "the same" },
	{ SCMP_SYS(rt_sigaction), "curses and libevent, at the end" },
	{ SCMP_SYS(rt_sigprocmask), "the same" },
	{ SCMP_SYS(rt_sigreturn), "signals" },
	{ SCMP_SYS(getpid), "imsg's header" },
	{ SCMP_SYS(getrandom), "malloc" },
	{ SCMP_SYS(sysinfo),
	    "qsort(3) of glibc before 2.37: how much to copy" },
	{ SCMP_SYS(restart_syscall), "after a stop" },
	{ SCMP_SYS(exit), "the end" },
	{ SCMP_SYS(exit_group), "the end" },
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* ONLY in sanitizer builds: what their runtimes do behind our back. */
	{ SCMP_SYS(mmap), "shadow memory" },
	{ SCMP_SYS(mprotect), "the same" },
	{ SCMP_SYS(openat), "reports" },
	{ SCMP_SYS(open), "the same" },
	{ SCMP_SYS(readlink), "the same" },
	{ SCMP_SYS(newfstatat), "the same" },
	{ SCMP_SYS(gettid), "the same" },
	{ SCMP_SYS(sched_yield), "locks" },
	{ SCMP_SYS(sigaltstack), "the end of a thread" },
	{ SCMP_SYS(tgkill), "the end" },
	{ SCMP_SYS(set_robust_list), "threads" },
	{ SCMP_SYS(prctl), "names of threads" },
	{ SCMP_SYS(getrlimit), "stack sizes" },
	{ SCMP_SYS(prlimit64), "the same" },
	{ SCMP_SYS(sched_getaffinity), "the same" },
	{ SCMP_SYS(pipe2), "is a pointer readable" },
	{ SCMP_SYS(getrusage), "memory limits" },
#endif
#ifdef __SANITIZE_ADDRESS__
	{ SCMP_SYS(clone), "leaks: looked for from a process of its own" },
	{ SCMP_SYS(ptrace), "the same: no thread runs meanwhile" },
	{ SCMP_SYS(getppid), "the same" },
	{ SCMP_SYS(wait4), "the same" },
	{ SCMP_SYS(getdents), "the same: which threads" },
#endif
};

/* May be called when argument arg, masked, is value. */
static const struct {
	int nr;
	unsigned arg;
	uint64_t mask, value;
	const char *why;
} checked[] = {
	{ SCMP_SYS(socket), 0, ~0ull, AF_UNIX, "the daemon again" },
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0, "malloc; never code" },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0, "malloc; never code" },
	{ SCMP_SYS(fcntl), 1, ~0ull, 1 /* F_GETFD */, "a new socket" },
	{ SCMP_SYS(fcntl), 1, ~0ull, 2 /* F_SETFD */, "a new socket" },
	{ SCMP_SYS(fcntl), 1, ~0ull, 3 /* F_GETFL */, "a new socket" },
	{ SCMP_SYS(fcntl), 1, ~0ull, 4 /* F_SETFL */, "a new socket" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x5401 /* TCGETS */, "curses" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x5402 /* TCSETS */, "curses" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x5403 /* TCSETSW */, "curses" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x5404 /* TCSETSF */, "curses" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x540b /* TCFLSH */, "curses" },
	{ SCMP_SYS(ioctl), 1, ~0ull, 0x5413 /* TIOCGWINSZ */, "the size" },
};

static bool
is_plain(int nr)
{
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i].nr == nr)
			return (true);
	return (false);
}

static int
add_rules(scmp_filter_ctx ctx)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if ((rc = seccomp_rule_add(
			 ctx, SCMP_ACT_ALLOW, plain[i].nr, 0)) != 0)
			return (rc);
	for (i = 0; i < sizeof(checked) / sizeof(checked[0]); i++)
		if (!is_plain(checked[i].nr) &&
		    (rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, checked[i].nr,
			 1,
			 SCMP_CMP(checked[i].arg, SCMP_CMP_MASKED_EQ,
			     checked[i].mask, checked[i].value))) != 0)
			return (rc);
	return (0);
}

int
sandbox_tui(struct err *e)
{
	scmp_filter_ctx ctx;
	int rc;

	if (prctl(PR_SET_DUMPABLE, 0) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (err_errno(e, "prctl"));
	if ((ctx = seccomp_init(SCMP_ACT_KILL_PROCESS)) == NULL)
		return (err_set(e, ENOMEM, "seccomp: no memory"));
	if ((rc = add_rules(ctx)) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0)
		return (err_set(e, -rc,
		    "seccomp: error %d; this kernel must "
		    "know filters",
		    -rc));
	return (0);
}
