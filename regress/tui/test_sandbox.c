/* SPDX-License-Identifier: ISC */
/* vmtop's sandbox: what it needs works, what it does not ends it (T65). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "tui/sandbox.h"

/* The sanitizer's runtime that this test is linked with. */
#define ADDRESS 1u
#define THREAD 2u
#if defined(__SANITIZE_ADDRESS__)
#define RUNTIME ADDRESS
#elif defined(__SANITIZE_THREAD__)
#define RUNTIME THREAD
#else
#define RUNTIME 0u
#endif

/* Run fn in a child inside the sandbox; its wait status. */
static int
inside(int (*fn)(void))
{
	struct err e;
	int status = -1;
	pid_t pid;

	if ((pid = fork()) == 0) {
		if (sandbox_tui(&e) == -1)
			_exit(99);
		_exit(fn());
	}
	waitpid(pid, &status, 0);
	return (status);
}

static int
try_open(void)
{
	return (open("/dev/null", O_RDONLY) >= 0);
}

static int
try_creat(void)
{
	return ((int)syscall(SYS_creat, "/tmp/vmtop-was-here", 0600));
}

static int
try_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return (0);
}

static int
try_fork(void)
{
	return (fork() == 0);
}

static int
try_inet(void)
{
	return (socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static int
try_netlink(void)
{
	return (socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
}

static int
try_code(void)
{
	return (mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static int
try_make_code(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
}

static int
try_ptrace(void)
{
	return ((int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int
try_kill(void)
{
	return (kill(1, 0));
}

/* Type into the terminal that vmtop was started from. */
static int
try_tiocsti(void)
{
	return (ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int
try_bind(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	return (bind(s, (struct sockaddr *)&sun, sizeof(sun)));
}

static int
try_unlink(void)
{
	return (unlink("/tmp/nothing"));
}

static int
try_setuid(void)
{
	return (setuid(0));
}

static int
try_dumpable(void)
{
	return (prctl(PR_SET_DUMPABLE, 1));
}

static void
denied(void)
{
	static const struct {
		const char *name;
		int (*fn)(void);
		unsigned for_runtime; /* that may call it, too */
	} t[] = {
		{ "open", try_open, ADDRESS | THREAD },
		{ "mmap of code", try_code, ADDRESS | THREAD },
		{ "mprotect to code", try_make_code, ADDRESS | THREAD },
		{ "prctl", try_dumpable, ADDRESS | THREAD },
		{ "fork", try_fork, ADDRESS },
		{ "ptrace", try_ptrace, ADDRESS },
		{ "creat", try_creat, 0 },
		{ "execve", try_exec, 0 },
		{ "socket AF_INET", try_inet, 0 },
		{ "socket AF_NETLINK", try_netlink, 0 },
		{ "kill", try_kill, 0 },
		{ "ioctl TIOCSTI", try_tiocsti, 0 },
		{ "bind", try_bind, 0 },
		{ "unlink", try_unlink, 0 },
		{ "setuid", try_setuid, 0 },
	};
	size_t i;
	int status;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if ((t[i].for_runtime & RUNTIME) != 0)
			continue;
		status = inside(t[i].fn);
		CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		    "%s: status 0x%x", t[i].name, (unsigned)status);
	}
}

static int
needed(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
		.sun_path = "/nosuch/socket" };
	struct winsize ws;
	void *p;
	int s;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (p == MAP_FAILED || s == -1 ||
	    connect(s, (struct sockaddr *)&sun, sizeof(sun)) != -1 ||
	    errno != ENOENT || close(s) == -1)
		return (1);
	return (42);
}

static void
allowed(void)
{
	int status = inside(needed);

	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status 0x%x",
	    (unsigned)status);
}

static const struct tap_case cases[] = {
	{ "T65 vmtop: a call that it does not need ends it", denied },
	{ "vmtop: reconnecting works in the sandbox", allowed },
};
TAP_MAIN(cases)
