/* SPDX-License-Identifier: ISC */
/*
 * attach SOCKET: this terminal becomes the terminal of a command in the lab,
 * through QEMU's socket for the port lab.tty.
 *
 * To the lab go records: type, length (two bytes, low first), body.  "o", once,
 * says "rows cols TERM"; "s" a new size; "d" are keys.  Back come plain bytes.
 * The terminal stays as it is until the first of them, so that ^C ends a lab
 * that does not come up.  Ends with 0 when the lab is gone, 129 when this
 * terminal is.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define RECORD_BYTES 4096
#define RETRY_MS 100
#define RETRIES 100
#define GONE 129

static struct termios saved;
static bool raw;
static volatile sig_atomic_t resized;

static void
on_winch(int sig)
{
	(void)sig;
	resized = 1;
}

static void
restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

static void
on_end(int sig)
{
	(void)sig;
	restore();
	_exit(GONE);
}

static void
make_raw(void)
{
	struct termios t;

	if (raw || tcgetattr(STDIN_FILENO, &saved) == -1)
		return;
	raw = true;
	t = saved;
	cfmakeraw(&t);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

/* QEMU makes the socket a moment after it was started. */
static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, i;

	if (strlen(path) >= sizeof(sun.sun_path))
		errx(1, "%s: name too long", path);
	strcpy(sun.sun_path, path);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		err(1, "socket");
	for (i = 0; i < RETRIES; i++) {
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
			return (fd);
		poll(NULL, 0, RETRY_MS);
	}
	err(1, "%s", path);
}

/* False when the other side is gone. */
static bool
write_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	for (; len > 0; buf += n, len -= (size_t)n)
		if ((n = write(fd, buf, len)) == -1) {
			if (errno != EINTR)
				return (false);
			n = 0;
		}
	return (true);
}

static bool
record(int fd, char type, const char *body, size_t len)
{
	char head[3] = { type, (char)(len & 0xff), (char)(len >> 8) };

	return (write_all(fd, head, sizeof(head)) && write_all(fd, body, len));
}

static bool
send_size(int fd, char type)
{
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	const char *term = getenv("TERM");
	char text[128];

	ioctl(STDIN_FILENO, TIOCGWINSZ, &ws);
	snprintf(text, sizeof(text), "%u %u %.63s", ws.ws_row, ws.ws_col,
	    term != NULL && *term != '\0' ? term : "vt100");
	return (record(fd, type, text, strlen(text)));
}

/* Bytes one way: 1 passed on, 0 fd is at its end or other is gone. */
static int
from_lab(int fd)
{
	char buf[65536];
	ssize_t n;

	if ((n = read(fd, buf, sizeof(buf))) <= 0)
		return (n == -1 && errno == EINTR);
	make_raw();
	if (!write_all(STDOUT_FILENO, buf, (size_t)n))
		on_end(SIGHUP);
	return (1);
}

static int
from_keys(int fd)
{
	char buf[RECORD_BYTES];
	ssize_t n;

	n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n == 0 || (n == -1 && errno != EINTR))
		on_end(SIGHUP);
	return (n <= 0 || record(fd, 'd', buf, (size_t)n));
}

int
main(int argc, char **argv)
{
	struct sigaction end = { .sa_handler = on_end };
	struct sigaction winch = { .sa_handler = on_winch };
	struct pollfd p[2];
	sigset_t block, open_mask;
	int fd, alive;

	if (argc != 2)
		errx(2, "usage: attach socket");
	fd = connect_to(argv[1]);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGWINCH, &winch, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGWINCH); /* but while polling */
	sigprocmask(SIG_BLOCK, &block, &open_mask);
	signal(SIGPIPE, SIG_IGN);
	for (alive = send_size(fd, 'o'); alive;) {
		p[0] = (struct pollfd){ fd, POLLIN, 0 };
		p[1] = (struct pollfd){ raw ? STDIN_FILENO : -1, POLLIN, 0 };
		if (ppoll(p, 2, NULL, &open_mask) == -1) {
			if (errno != EINTR)
				err(1, "ppoll");
			if (resized)
				alive = send_size(fd, 's');
			resized = 0;
			continue;
		}
		if (p[0].revents != 0)
			alive = from_lab(fd);
		if (alive && p[1].revents != 0)
			alive = from_keys(fd);
	}
	restore();
	return (0);
}
