/* SPDX-License-Identifier: ISC */
/*
 * A console that floods, all the way: a VM process's ring (the test plays it)
 * through control to vmtop on a terminal of 120x40.  Bytes a second that vmtop
 * takes, and meanwhile the time from a key to what it does on that terminal:
 * a key of vmtop's own, and one that the guest answers by other letters.  First
 * at the rate of the budget, then as fast as all of them together can.
 *
 * Nothing may be lost: the next piece goes into the ring when control, which
 * sends no more than vmtop has room for, has taken all and arms the bell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "regress/lib/ctlplay.h"
#include "tui/draw/canvas.h"
#include "tui/draw/grid_dump.h"
#include "tui/term/vt.h"

#define ROWS 40
#define COLS 120
#define ROUNDS 100
#define LIMIT_S 30
#define LINE 64
#define PIECE (PLAY_RING / 2 / LINE * LINE)
#define BUDGET 30e6 /* bytes a second */
#define WORD 20     /* of its letter: what a line of the guest is known by */

static struct play_vm vm;
static _Atomic int letter = 'a'; /* what the guest prints, 0: the end */
static _Atomic uint64_t printed;
static _Atomic bool paced = true;
static struct vt *terminal;
static int tty;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* Lines with a number, as a log has them. */
static void
fill(uint8_t *piece, uint64_t at, int with)
{
	char line[LINE + 1];
	size_t i;

	for (i = 0; i < PIECE; i += LINE) {
		memset(line, with, sizeof(line));
		snprintf(
		    line, sizeof(line), "%12llu", (unsigned long long)(at + i));
		line[12] = ' ';
		line[LINE - 2] = '\r';
		line[LINE - 1] = '\n';
		memcpy(piece + i, line, LINE);
	}
}

static void *
guest(void *arg)
{
	static uint8_t piece[PIECE];
	struct timespec moment = { 0, 20000 };
	double due = now();
	int with;

	(void)arg;
	prctl(PR_SET_TIMERSLACK, 1);
	while ((with = letter) != 0) {
		fill(piece, vm.ring.end, with);
		while ((!vm.ring.bell->armed || (paced && now() < due)) &&
		    letter != 0)
			nanosleep(&moment, NULL);
		ring_write(&vm.ring, piece, sizeof(piece));
		/* A frame's time may be made up for, and no more. */
		due += sizeof(piece) / BUDGET;
		if (due < now() - 0.1)
			due = now() - 0.1;
		printed = vm.ring.end;
	}
	return (NULL);
}

/* What control wants of the VM process: its keys change the letter. */
static void
serve(void)
{
	struct msg_credit credit = { 0 };
	struct wire_msg m;

	while (wire_poll(&vm.link, &m)) {
		if (m.type == MSG_SAMPLE)
			wire_send(&vm.link, MSG_SAMPLED, 0, -1, m.raw, m.len);
		if (m.type != MSG_CONS_INPUT)
			continue;
		letter = m.raw[sizeof(m.chunk) + m.chunk.len - 1];
		credit.bytes = m.chunk.len;
		wire_send(&vm.link, MSG_CONS_INPUT_CREDIT, 0, -1, &credit,
		    sizeof(credit));
	}
}

static void
no_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static pid_t
run_vmtop(void)
{
	struct winsize ws = { .ws_row = ROWS, .ws_col = COLS };
	const char *b = getenv("B");
	char path[256];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/vmtop", b != NULL ? b : "build");
	if (vt_open(&terminal, ROWS, COLS, no_answer, NULL) == -1)
		return (-1);
	if ((pid = forkpty(&tty, NULL, NULL, &ws)) == 0) {
		setenv("TERM", "xterm-256color", 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		execl(path, "vmtop", "-s", play_socket(), (char *)NULL);
		_exit(127);
	}
	return (pid);
}

static bool
shows(const char *text)
{
	const struct charset cs = { true, GRAPH_BRAILLE };
	struct canvas c;
	char *dump = NULL;
	size_t len;
	bool found;
	FILE *f;

	if (canvas_init(&c, ROWS, COLS, cs) == -1 ||
	    (f = open_memstream(&dump, &len)) == NULL)
		exit(1);
	vt_draw(terminal, &c, canvas_rect(&c), true);
	grid_dump(f, &c, false);
	fclose(f);
	canvas_fini(&c);
	found = strstr(dump, text) != NULL;
	free(dump);
	return (found);
}

/* Type, and wait until the terminal shows text (or no more): milliseconds. */
static double
answer(const char *keys, const char *text, bool there)
{
	struct pollfd p[2] = { { .fd = tty, .events = POLLIN },
		{ .fd = vm.link.fd, .events = POLLIN } };
	double t = now();
	char buf[65536];
	ssize_t n;

	n = write(tty, keys, strlen(keys));
	do {
		if (n == -1 || now() - t > LIMIT_S) {
			fprintf(stderr, "vmtop_console: \"%s\": %s\n", text,
			    n == -1 ? strerror(errno) : "does not come");
			exit(1);
		}
		poll(p, 2, 1000);
		if (p[1].revents != 0)
			serve();
		if (p[0].revents == 0)
			continue;
		if ((n = read(tty, buf, sizeof(buf))) > 0)
			vt_feed(terminal, buf, (size_t)n, false);
	} while (shows(text) != there);
	return ((now() - t) * 1e3);
}

static int
compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d < 0 ? -1 : d > 0);
}

static void
figure(const char *flood, const char *name, double *ms, size_t n)
{
	qsort(ms, n, sizeof(*ms), compare);
	printf("vmtop_%s_%s_key_p50\t%.1f\tms\t-\n", flood, name, ms[n / 2]);
	printf("vmtop_%s_%s_key_p99\t%.1f\tms\t%s\n", flood, name,
	    ms[n * 99 / 100], paced ? "50" : "-");
}

static void
keys(const char *flood)
{
	static double own[2 * ROUNDS], its[ROUNDS];
	char key[2] = "a", word[WORD + 1] = { 0 };
	uint64_t from = printed;
	double t = now();
	int i;

	for (i = 0; i < ROUNDS; i++) {
		own[2 * i] = answer("\035", "C-] d detach", true);
		own[2 * i + 1] = answer("|", "C-] d detach", false);
		key[0] = (char)('a' + (i + 1) % 26);
		memset(word, key[0], WORD);
		its[i] = answer(key, word, true);
	}
	printf("vmtop_%s\t%.0f\tMB/s\t30\n", flood,
	    (double)(printed - from) / (now() - t) / 1e6);
	figure(flood, "own", own, 2 * ROUNDS);
	figure(flood, "guest", its, ROUNDS);
}

int
main(void)
{
	struct rusage ru;
	pthread_t flood;
	pid_t pid;

	play_setup();
	play_vm_open(&vm, 1, "flood");
	if ((pid = run_vmtop()) == -1)
		return (1);
	answer("", "running", true);
	answer("\r", "yours to type", true);
	pthread_create(&flood, NULL, guest, NULL);
	answer("", "aaaaaaaaaaaaaaaaaaaa", true);
	keys("flood_paced");
	paced = false;
	answer("a", "aaaaaaaaaaaaaaaaaaaa", true);
	keys("flood");
	letter = 0;
	pthread_join(flood, NULL);
	kill(pid, SIGTERM);
	while (read(tty, (char[4096]){ 0 }, 4096) > 0)
		;
	wait4(pid, NULL, 0, &ru);
	printf("vmtop_console_cpu\t%.2f\tms/MB\t-\n",
	    ((double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e3 +
		(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e3) /
		((double)printed / 1e6));
	vt_close(terminal);
	play_vm_close(&vm);
	play_teardown();
	return (0);
}
