/* SPDX-License-Identifier: ISC */
/*
 * Process 1 of the lab's machine, once the host's root is in place: runs
 * /run/lab/cmd, carries its output (or its terminal) to the host over
 * virtio-serial ports, reports its status and switches the machine off.
 *
 *	agent limit_s dir [tty]
 *
 * With "tty" the command waits for regress/lab/attach on the port lab.tty and
 * gets a terminal; it is hung up when attach goes, and starts anew when attach
 * comes again, until it ends by itself.  A limit of 0 is none.
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
#define RECORD_BYTES 4096
#define QUIET_MS 200 /* how long what is left behind may hold our pipes */
#define ALONE_S 1800 /* how long nobody need be attached */
#define NRELAY 2

/* Bytes of one descriptor go to another; from is -1 when that way is closed. */
struct relay {
	int from, to;
};

struct job {
	struct relay relay[NRELAY];
	pid_t pid;
	int status; /* -1: it runs */
};

/* A terminal for attach: what comes from it are records (see attach.c). */
struct desk {
	struct job job;
	const char *dir;
	int port, tty; /* tty is -1 while nobody is attached */
	unsigned char in[8192];
	size_t nin;
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
	if (j->pid == -1)
		err(1, "fork");
	close(out[1]);
	close(errout[1]);
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
	struct pollfd p[NRELAY];
	int i, n;

	for (;;) {
		for (i = 0; i < NRELAY; i++)
			p[i] = (struct pollfd){ j->relay[i].from, POLLIN, 0 };
		n = poll(p, NRELAY, QUIET_MS);
		reap(j);
		if (j->status != -1 && n == 0)
			return;
		for (i = 0; i < NRELAY && n > 0; i++)
			if (p[i].revents != 0)
				pass_on(&j->relay[i]);
	}
}

static void
desk_resize(struct desk *d, const char *size)
{
	struct winsize ws = { 0 };

	if (sscanf(size, "%hu %hu", &ws.ws_row, &ws.ws_col) == 2)
		ioctl(d->tty, TIOCSWINSZ, &ws);
}

static void
desk_hang_up(struct desk *d)
{
	if (d->tty == -1)
		return;
	close(d->tty); /* SIGHUP for the session */
	d->tty = -1;
	d->job.pid = -1; /* its status is nobody's */
	d->job.status = -1;
}

/* Attached: "rows cols TERM". */
static void
desk_open(struct desk *d, const char *hello)
{
	char term[64] = "vt100";
	int sub;

	desk_hang_up(d);
	sscanf(hello, "%*u %*u %63s", term);
	setenv("TERM", term, 1);
	if ((d->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) == -1 ||
	    grantpt(d->tty) == -1 || unlockpt(d->tty) == -1 ||
	    (sub = open(ptsname(d->tty), O_RDWR | O_NOCTTY | O_CLOEXEC)) == -1)
		err(1, "terminal");
	desk_resize(d, hello);
	d->job.relay[0] = (struct relay){ d->tty, d->port };
	if ((d->job.pid = fork()) == 0)
		run_command(d->dir, sub, sub, sub);
	if (d->job.pid == -1)
		err(1, "fork");
	close(sub);
}

/* One record of len bytes, NUL-terminated in place. */
static void
desk_record(struct desk *d, unsigned char type, char *body, size_t len)
{
	switch (type) {
	case 'o':
		desk_open(d, body);
		break;
	case 's':
		desk_resize(d, body);
		break;
	case 'd':
		write_all(d->tty, body, (ssize_t)len);
		break;
	}
}

/* Records are type, length (two bytes, low first), body. */
static void
desk_read(struct desk *d)
{
	char body[RECORD_BYTES + 1];
	size_t len;
	ssize_t n;

	n = read(d->port, d->in + d->nin, sizeof(d->in) - d->nin);
	if (n <= 0) { /* detached; nothing will tell of the return */
		d->nin = 0;
		desk_hang_up(d);
		poll(NULL, 0, QUIET_MS);
		return;
	}
	d->nin += (size_t)n;
	while (d->nin >= 3) {
		len = (size_t)(d->in[1] | d->in[2] << 8);
		if (len > RECORD_BYTES)
			errx(1, "a record of %zu bytes", len);
		if (d->nin < 3 + len)
			return;
		memcpy(body, d->in + 3, len);
		body[len] = '\0';
		desk_record(d, d->in[0], body, len);
		d->nin -= 3 + len;
		memmove(d->in, d->in + 3 + len, d->nin);
	}
}

/* Serve attach until the command ends, or nobody came for long. */
static int
desk_attend(struct desk *d)
{
	struct pollfd p[2];
	time_t seen = time(NULL);
	int n;

	for (;;) {
		p[0] = (struct pollfd){ d->port, POLLIN, 0 };
		p[1] = (struct pollfd){ d->tty, POLLIN, 0 };
		n = poll(p, 2, QUIET_MS);
		reap(&d->job);
		if (n > 0 && p[1].revents != 0)
			pass_on(&d->job.relay[0]);
		if (n > 0 && p[0].revents & POLLIN)
			desk_read(d);
		else if (n > 0 && p[0].revents & POLLHUP) {
			desk_hang_up(d);
			poll(NULL, 0,
			    QUIET_MS); /* nothing tells of its return */
		}
		if (d->job.status != -1 &&
		    (n == 0 || d->job.relay[0].from == -1))
			return (d->job.status);
		if (d->tty != -1)
			seen = time(NULL);
		else if (time(NULL) - seen > ALONE_S)
			return (0);
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
	struct job j = { .status = -1 };
	struct desk d = { .job.status = -1, .job.pid = -1, .tty = -1 };
	int status;

	if (argc != 3 && argc != 4)
		errx(1, "usage: agent limit_s dir [tty]");
	setrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGALRM, &sa, NULL);
	alarm((unsigned)atoi(argv[1]));
	if (argc == 4) {
		d.dir = argv[2];
		d.port = port_open("lab.tty");
		status = desk_attend(&d);
	} else {
		start_piped(&j, argv[2]);
		attend(&j);
		status = j.status;
	}
	if (time_is_up > 0) {
		warnx("the time limit of %s s is up", argv[1]);
		status = STATUS_LIMIT;
	}
	switch_off(status);
}
