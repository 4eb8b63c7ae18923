/* SPDX-License-Identifier: ISC */
/*
 * usage: start socket vm n
 *
 * Start and kill a VM n times: the median of each step, of their sum (from the
 * request to the guest's first instruction), and of what the client waited.  A
 * start passes through four processes and wakes threads of the kernel's, so on
 * a host whose CPUs are busy most of it is waiting for one: the best tenth of
 * the sums has the least of that.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "regress/lib/wire.h"
#include "shared/str.h"

#define MAX 1000

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3);
}

static int
compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d < 0 ? -1 : d > 0);
}

static void
print(const char *name, double *us, size_t n, const char *budget)
{
	qsort(us, n, sizeof(*us), compare);
	printf("start_%s\t%.3f\tms\t%s\n", name, us[n / 2] / 1e3, budget);
}

static void
once(struct wire *w, const char *vm, double us[STEP_N + 2])
{
	struct msg_start start;
	struct msg_stop stop;
	struct msg_started st;
	struct wire_msg m;
	double t;
	int i;

	memset(&start, 0, sizeof(start));
	memset(&stop, 0, sizeof(stop));
	strlcpy(start.vm.name, vm, sizeof(start.vm.name));
	strlcpy(stop.vm.name, vm, sizeof(stop.vm.name));
	stop.flags = STOP_FORCE | STOP_WAIT;
	t = now_us();
	wire_send(w, MSG_START, 1, -1, &start, sizeof(start));
	if (!wire_recv(w, &m) || m.type != MSG_STARTED)
		errx(1, "start: %s",
		    m.type == MSG_ERR ? m.err.text : "no answer");
	us[STEP_N + 1] = now_us() - t;
	memcpy(&st, m.raw, sizeof(st));
	us[STEP_N] = 0;
	for (i = 0; i < STEP_N; i++) {
		us[i] = st.step_us[i];
		us[STEP_N] += us[i];
	}
	wire_send(w, MSG_STOP, 2, -1, &stop, sizeof(stop));
	if (!wire_recv(w, &m) || m.type != MSG_OK)
		errx(1, "stop failed");
}

int
main(int argc, char **argv)
{
	static double us[STEP_N + 2][MAX];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	double one[STEP_N + 2];
	struct wire w;
	size_t n, i, k;
	int fd;

	if (argc != 4 || (n = (size_t)atoi(argv[3])) == 0 || n > MAX)
		errx(1, "usage: start socket vm n");
	strlcpy(sun.sun_path, argv[1], sizeof(sun.sun_path));
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		err(1, "%s", argv[1]);
	wire_init(&w, fd);
	for (i = 0; i < n; i++) {
		once(&w, argv[2], one);
		for (k = 0; k < STEP_N + 2; k++)
			us[k][i] = one[k];
	}
	for (k = 0; k < STEP_N; k++)
		print(start_step_name(k), us[k], n, "-");
	print("first_instruction", us[STEP_N], n, "25");
	/* Sorted by now. */
	printf("start_first_instruction_p10\t%.3f\tms\t-\n",
	    us[STEP_N][n / 10] / 1e3);
	print("client_waits", us[STEP_N + 1], n, "-");
	wire_close(&w);
	return (0);
}
