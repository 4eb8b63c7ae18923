/* SPDX-License-Identifier: ISC */
/*
 * Process 1 of the lab's machine, once the host's root is in place: runs
 * /run/lab/cmd, carries its output (or its terminal) to the host over
 * virtio-serial ports, reports its status and switches the machine off.
 *
 *	agent limit_s dir [rows cols]
 *
 * With a size the command gets a terminal of that size; later sizes come as
 * "rows cols" lines on the port lab.size.  A limit of 0 is none.
 */
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PM1A_CONTROL 0x604 /* of QEMU's PIIX4 */
#define PM1A_SLP_S5 0x2000 /* SLP_EN, type 0 */
#define STATUS_LIMIT 124   /* as timeout(1) */
#define QUIET_MS 200       /* how long what is left behind may hold our pipes */
#define NRELAY 2

/* Bytes of one descriptor go to another; from is -1 when that way is closed. */
struct relay {
	int from, to;
};

struct job {
	struct relay relay[NRELAY];
	int size_port; /* -1: no terminal */
	int tty;
	pid_t pid;
	int status; /* -1: it runs */
};

static volatile sig_atomic_t time_is_up;

static void
on_alarm(int sig)
{
	(void)sig;
	time_is_up++;
	kill(-1, time_is_up == 1 ? SIGTERM : SIGKILL);
	alarm(5);
}

/* The virtio-serial port that the host calls name. */
static int
port_open(const char *name)
{
	char path[64], found[32];
	glob_t g;
	size_t i;
	FILE *fp;
	int fd = -1;

	if (glob("/sys/class/virtio-ports/*", 0, NULL, &g) != 0)
		errx(1, "no virtio-serial ports");
	for (i = 0; i < g.gl_pathc && fd == -1; i++) {
		snprintf(path, sizeof(path), "%s/name", g.gl_pathv[i]);
		if ((fp = fopen(path, "re")) == NULL)
			continue;
		found[0] = '\0';
		if (fscanf(fp, "%31s", found) == 1 &&
		    strcmp(found, name) == 0) {
			snprintf(path, sizeof(path), "/dev/%s",
			    strrchr(g.gl_pathv[i], '/') + 1);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		fclose(fp);
	}
	globfree(&g);
	if (fd == -1)
		err(1, "port %s", name);
	return (fd);
}

static void
write_all(int fd, const char *buf, ssize_t len)
{
	ssize_t n;

	for (; len > 0; buf += n, len -= n)
		if ((n = write(fd, buf, (size_t)len)) == -1) {
			if (errno != EINTR)
				return;
			n = 0;
		}
}

static void
pass_on(struct relay *r)
{
	char buf[16384];
	ssize_t n;

	n = read(r->from, buf, sizeof(buf));
	if (n > 0)
		write_all(r->to, buf, n);
	else if (n == 0 || errno != EINTR)
		r->from = -1; /* EIO: the terminal's last user left */
}

static void
resize(struct job *j)
{
	struct winsize ws = { 0 };
	char line[64];
	ssize_t n;

	if ((n = read(j->size_port, line, sizeof(line) - 1)) <= 0)
		return;
	line[n] = '\0';
	if (sscanf(line, "%hu %hu", &ws.ws_row, &ws.ws_col) == 2)
		ioctl(j->tty, TIOCSWINSZ, &ws);
}

/* The child: a session of its own, in dir; does not return. */
static void
run_command(const char *dir, int in, int out, int errout)
{
	if (setsid() == -1 || dup2(in, 0) == -1 || dup2(out, 1) == -1 ||
	    dup2(errout, 2) == -1)
		err(126, "child");
	if (isatty(0) && ioctl(0, TIOCSCTTY, 0) == -1)
		err(126, "controlling terminal");
	if (chdir(dir) == -1)
		err(126, "%s", dir);
	execl("/bin/sh", "sh", "/run/lab/cmd", (char *)NULL);
	err(127, "/bin/sh");
}

static void
start_piped(struct job *j, const char *dir)
{
	int null, out[2], errout[2];

	if ((null = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1 ||
	    pipe2(out, O_CLOEXEC) == -1 || pipe2(errout, O_CLOEXEC) == -1)
		err(1, "pipes");
	j->relay[0] = (struct relay){ out[0], port_open("lab.out") };
	j->relay[1] = (struct relay){ errout[0], port_open("lab.err") };
	if ((j->pid = fork()) == 0)
		run_command(dir, null, out[1], errout[1]);
	close(out[1]);
	close(errout[1]);
}

static void
start_on_tty(struct job *j, const char *dir, const char *rows, const char *cols)
{
	struct winsize ws = { 0 };
	int sub, port;

	ws.ws_row = (unsigned short)atoi(rows);
	ws.ws_col = (unsigned short)atoi(cols);
	if ((j->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) == -1 ||
	    grantpt(j->tty) == -1 || unlockpt(j->tty) == -1 ||
	    (sub = open(ptsname(j->tty), O_RDWR | O_NOCTTY | O_CLOEXEC)) ==
		-1 ||
	    ioctl(sub, TIOCSWINSZ, &ws) == -1)
		err(1, "terminal");
	port = port_open("lab.tty");
	j->relay[0] = (struct relay){ j->tty, port };
	j->relay[1] = (struct relay){ port, j->tty };
	j->size_port = port_open("lab.size");
	if ((j->pid = fork()) == 0)
		run_command(dir, sub, sub, sub);
	close(sub);
}

static void
reap(struct job *j)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != j->pid)
			continue;
		j->status = WIFEXITED(status) ? WEXITSTATUS(status)
					      : 128 + WTERMSIG(status);
	}
}

/* Carry bytes until the command has ended and its output is out. */
static void
attend(struct job *j)
{
	struct pollfd p[NRELAY + 1];
	int i, n;

	for (;;) {
		for (i = 0; i < NRELAY; i++)
			p[i] = (struct pollfd){ j->relay[i].from, POLLIN, 0 };
		p[i] = (struct pollfd){ j->size_port, POLLIN, 0 };
		n = poll(p, NRELAY + 1, QUIET_MS);
		reap(j);
		if (j->status != -1 && (n == 0 || j->relay[0].from == -1))
			return;
		for (i = 0; i < NRELAY && n > 0; i++)
			if (p[i].revents != 0)
				pass_on(&j->relay[i]);
		if (n > 0 && p[NRELAY].revents & POLLIN)
			resize(j);
	}
}

static void
switch_off(int status)
{
	char line[16];
	int fd;

	fd = port_open("lab.status");
	write_all(fd, line, snprintf(line, sizeof(line), "%d\n", status));
	sync();
	/* The kernel's own way out takes a second of closing devices. */
	if (iopl(3) == -1)
		err(1, "iopl");
	outw(PM1A_SLP_S5, PM1A_CONTROL);
	for (;;)
		pause();
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 1024, 524288 }; /* as systemd */
	struct sigaction sa = { .sa_handler = on_alarm };
	struct job j = { .status = -1, .size_port = -1, .tty = -1 };

	if (argc != 3 && argc != 5)
		errx(1, "usage: agent limit_s dir [rows cols]");
	setrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGALRM, &sa, NULL);
	if (argc == 5)
		start_on_tty(&j, argv[2], argv[3], argv[4]);
	else
		start_piped(&j, argv[2]);
	if (j.pid == -1)
		err(1, "fork");
	alarm((unsigned)atoi(argv[1]));
	attend(&j);
	if (time_is_up > 0)
		fprintf(
		    stderr, "agent: the time limit of %s s is up\n", argv[1]);
	switch_off(time_is_up > 0 ? STATUS_LIMIT : j.status);
}
