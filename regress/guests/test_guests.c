/* SPDX-License-Identifier: ISC */
/*
 * Runs the flat guests of guests.ini, each on a machine of its own in a
 * process of its own, and says how each went.
 * A device in slot 2 where the table asks for one, served here or by our back
 * end of vhost-user in a thread.
 *
 * usage: test_guests [-g group] [-t file] [-k] [name ...]
 *	-g group	only those of the group
 *	-k		show what each prints while it does
 *	-t file		another table than regress/guests/guests.ini
 *
 * Exit status 77 where /dev/kvm cannot be opened.
 */
#include <event2/event.h>
#include <event2/thread.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/boot/boot.h"
#include "daemon/dev/acpi.h"
#include "daemon/vm/machine.h"
#include "regress/lib/guestdev.h"
#include "regress/lib/ini.h"

#define MIB (1024ull * 1024)
#define TAIL_BYTES 4096
#define COUNTER_GPA 0x500000 /* of the pause guest */
#define PAUSE_LOOKS 20       /* a millisecond apart */
#define GRACE_MS 5000        /* for a runner that hangs */
#define POOL 32              /* device processes, one after another */

/* T30: what a flood may cost; ThreadSanitizer keeps books of each access. */
#if defined(__SANITIZE_THREAD__)
#define RSS_KB_MAX 16384
#else
#define RSS_KB_MAX 1024
#endif

static const char *const settings[] = { "kernel", "cmdline", "initrd", "memory",
	"cpus", "timeout", "expect", "resets", "lines", "bytes", "prompt",
	"device", "disk", "keys", "groups", NULL };

struct run {
	const struct ini_section *conf;
	struct event_base *base;
	struct event *asked, *moved, *typed;
	struct machine *m;
	const volatile uint64_t *counter;
	struct boot_img kernel, initrd;
	uint8_t *initrd_data;
	bool has_initrd;
	struct guestdev dev;
	char answers[INI_WORD], *next;
	unsigned long nkeys, keys; /* sent, to be sent */
	unsigned resets;
	uint64_t held_at;
	long rss_kb;
	bool ended, ok, show;
	char why[512];
	/* The console callback's, under lock. */
	pthread_mutex_t lock;
	char tail[TAIL_BYTES + 1];
	size_t ntail, nbytes;
	unsigned nlines;
	atomic_uint prompts;
};

static void
end(struct run *r, bool ok, const char *why)
{
	if (r->ended)
		return;
	r->ended = true;
	r->ok = ok;
	snprintf(r->why, sizeof(r->why), "%s", why);
	event_base_loopbreak(r->base);
}

/* Anonymous memory: guest RAM is a memfd and does not count. */
static long
rss_anon_kb(void)
{
	char line[128];
	long kb;
	FILE *f;

	if ((f = fopen("/proc/self/status", "re")) == NULL)
		return (0);
	kb = 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "RssAnon: %ld", &kb) == 1)
			break;
	fclose(f);
	return (kb);
}

static int
run_load(void *ctx, struct mem *mem, struct hv_regs *regs, struct err *e)
{
	struct run *r = ctx;
	struct boot_conf conf = {
		.cmdline = ini_get(r->conf, "cmdline", ""),
		.ncpus = (unsigned)ini_num(r->conf, "cpus", 1),
		.initrd = r->has_initrd ? &r->initrd : NULL,
	};

	r->counter = mem_ptr(mem, COUNTER_GPA, sizeof(*r->counter));
	if (acpi_write(mem, conf.ncpus, &conf.rsdp_gpa, e) == -1)
		return (-1);
	return (boot_load(&r->kernel, &conf, mem, regs, e));
}

/* vCPU thread: remember the end of it, count lines, wake the main thread. */
static void
run_console(void *ctx, const void *data, size_t len)
{
	struct run *r = ctx;
	const char *p = data;
	size_t i;

	if (r->show)
		fwrite(data, 1, len, stdout);
	pthread_mutex_lock(&r->lock);
	for (i = 0; i < len; i++) {
		if (r->ntail == TAIL_BYTES) {
			memmove(
			    r->tail, r->tail + TAIL_BYTES / 2, TAIL_BYTES / 2);
			r->ntail = TAIL_BYTES / 2;
		}
		r->tail[r->ntail++] = p[i];
		r->tail[r->ntail] = '\0';
		if (p[i] == '\n' && r->ntail >= 3 &&
		    memcmp(r->tail + r->ntail - 3, "up\n", 3) == 0)
			r->nlines++;
		if (p[i] == '?' && r->answers[0] != '\0') {
			atomic_fetch_add(&r->prompts, 1);
			event_active(r->asked, 0, 0);
		}
	}
	r->nbytes += len;
	pthread_mutex_unlock(&r->lock);
}

static void
run_console_room(void *ctx)
{
	struct run *r = ctx;

	if (r->nkeys > 0 && r->nkeys < r->keys)
		event_active(r->typed, 0, 0);
}

/* One key; the next at once, or after up to 200 us. */
static void
on_typed(int fd, short what, void *ctx)
{
	struct timespec ts = { .tv_nsec = rand() % 200000 };
	struct run *r = ctx;
	uint8_t key = (uint8_t)r->nkeys;

	(void)fd;
	(void)what;
	if (r->nkeys >= r->keys || machine_input(r->m, &key, 1) == 0)
		return;
	r->nkeys++;
	if (rand() % 4 == 0)
		nanosleep(&ts, NULL);
	event_active(r->typed, 0, 0);
}

/* Did it end as the table says?  What it printed is judged as well. */
static void
judge(struct run *r)
{
	char why[256];
	unsigned long resets, lines, bytes;

	resets = ini_num(r->conf, "resets", 0);
	lines = ini_num(r->conf, "lines", 0);
	bytes = ini_num(r->conf, "bytes", 0);
	why[0] = '\0';
	pthread_mutex_lock(&r->lock);
	if (strstr(r->tail, "not ok") != NULL)
		snprintf(why, sizeof(why), "the guest found faults");
	else if (r->resets != resets)
		snprintf(
		    why, sizeof(why), "%u resets, not %lu", r->resets, resets);
	else if (r->nlines != lines)
		snprintf(why, sizeof(why), "began %u times, not %lu", r->nlines,
		    lines);
	else if (r->nbytes < bytes)
		snprintf(
		    why, sizeof(why), "%zu bytes, not %lu", r->nbytes, bytes);
	else if (*r->next != '\0')
		snprintf(
		    why, sizeof(why), "it never asked for \"%s\"", r->next);
	else if (bytes > 0 && rss_anon_kb() > r->rss_kb + RSS_KB_MAX)
		snprintf(why, sizeof(why), "T30: %ld KiB more memory",
		    rss_anon_kb() - r->rss_kb);
	pthread_mutex_unlock(&r->lock);
	if (why[0] != '\0')
		end(r, false, why);
}

static void
end_as(struct run *r, const char *how, const char *why)
{
	const char *want;
	char text[512];
	size_t n;

	want = ini_get(r->conf, "expect", "pass");
	n = strcspn(want, " ");
	snprintf(text, sizeof(text), "%s: %s", how, why);
	if (strlen(how) != n || strncmp(how, want, n) != 0)
		end(r, false, text);
	else if (want[n] == ' ' && strstr(why, want + n + 1) == NULL)
		end(r, false, text);
	else {
		judge(r);
		end(r, true, text);
	}
}

static void
run_event(void *ctx, enum machine_event what, uint32_t arg, const struct err *e)
{
	struct run *r = ctx;
	char text[64];

	switch (what) {
	case MACHINE_STARTED:
		break;
	case MACHINE_RESET:
		r->resets++;
		break;
	case MACHINE_POWEROFF:
		end_as(r, "poweroff", "");
		break;
	case MACHINE_EXIT:
		snprintf(text, sizeof(text), "%u checks, %u bad", arg >> 16,
		    arg & 0xffff);
		end_as(r, arg >> 16 > 0 && (arg & 0xffff) == 0 ? "pass" : "bad",
		    text);
		break;
	case MACHINE_FAILED:
		end_as(r, "failed", e->text);
		break;
	}
}

static const struct machine_ops run_ops = {
	.load = run_load,
	.event = run_event,
	.console = run_console,
	.console_room = run_console_room,
};

/* The pause guest counts in memory: it must stand, and then go on. */
static void
hold(struct run *r)
{
	unsigned i;

	machine_pause(r->m);
	r->held_at = *r->counter;
	for (i = 0; i < PAUSE_LOOKS; i++)
		if (poll(NULL, 0, 1) != 0 || *r->counter != r->held_at)
			break;
	if (i < PAUSE_LOOKS || !machine_paused(r->m)) {
		end(r, false, "it runs on while it is paused");
		return;
	}
	machine_unpause(r->m);
	event_add(r->moved, &(struct timeval){ .tv_usec = 1000 });
}

/* One answer for each question, in turn. */
static void
answer(struct run *r)
{
	char *word;

	word = r->next;
	if (*word == '\0') {
		end(r, false, "it asks more often than there are answers");
		return;
	}
	r->next += strcspn(word, " ");
	if (*r->next == ' ')
		*r->next++ = '\0';
	if (strcmp(word, "button") == 0)
		machine_power_button(r->m);
	else if (strcmp(word, "pause") == 0)
		hold(r);
	else if (strcmp(word, "keys") == 0)
		event_active(r->typed, 0, 0);
	else
		machine_input(r->m, word, 1);
}

static void
on_asked(int fd, short what, void *ctx)
{
	struct run *r = ctx;
	unsigned n;

	(void)fd;
	(void)what;
	for (n = atomic_exchange(&r->prompts, 0); n > 0; n--)
		answer(r);
}

/* Does the counter move again?  Then the guest is told to stop counting. */
static void
on_moved(int fd, short what, void *ctx)
{
	struct run *r = ctx;

	(void)fd;
	(void)what;
	if (*r->counter == r->held_at)
		event_add(r->moved, &(struct timeval){ .tv_usec = 1000 });
	else
		answer(r);
}

static void
on_timeout(int fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	end(ctx, false, "no end within its time");
}

static int
open_image(struct boot_img *img, const char *name, struct err *e)
{
	const char *dir;
	char path[512];
	int fd;

	dir = getenv("B");
	if (*name == '/')
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%s/regress/guests/%s",
		    dir == NULL ? "build" : dir, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (err_errno(e, "%s", path));
	if (boot_img_fd(img, fd, e) == -1)
		return (err_prefix(e, "%s", path));
	return (0);
}

static int
open_images(struct run *r, struct err *e)
{
	const char *initrd;
	size_t i, n;

	if (open_image(&r->kernel, ini_get(r->conf, "kernel", "?"), e) == -1)
		return (-1);
	if ((initrd = ini_get(r->conf, "initrd", NULL)) == NULL)
		return (0);
	r->has_initrd = true;
	if ((n = strtoul(initrd, NULL, 10)) == 0)
		return (open_image(&r->initrd, initrd, e));
	if ((r->initrd_data = malloc(n)) == NULL)
		return (err_errno(e, "initrd"));
	for (i = 0; i < n; i++)
		r->initrd_data[i] = (uint8_t)(i * 7 + 3);
	boot_img_mem(&r->initrd, r->initrd_data, n);
	return (0);
}

static void
dev_failed(void *ctx, const char *why)
{
	end(ctx, false, why);
}

static int
run_open(struct run *r, int kvm_fd, struct err *e)
{
	struct machine_conf conf = {
		.name = r->conf->name,
		.hv = &hv_kvm,
		.kvm_fd = kvm_fd,
		.ncpus = (unsigned)ini_num(r->conf, "cpus", 1),
		.mem_bytes = ini_num(r->conf, "memory", 16) * MIB,
		.debug_exit = true,
		.ops = &run_ops,
		.ctx = r,
	};

	conf.base = r->base;
	r->dev.m = &r->m;
	r->dev.failed = dev_failed;
	r->dev.ctx = r;
	if (open_images(r, e) == -1 ||
	    guestdev_open(&r->dev, r->conf, r->base, &conf, e) == -1 ||
	    machine_open(&r->m, &conf, e) == -1)
		return (-1);
	r->rss_kb = rss_anon_kb();
	return (machine_start(r->m, e));
}

static void
run_loop(struct run *r, int kvm_fd)
{
	struct event *timeout;
	struct err e;

	evthread_use_pthreads(); /* the console wakes us from a vCPU thread */
	r->base = event_base_new();
	r->asked = event_new(r->base, -1, 0, on_asked, r);
	r->moved = evtimer_new(r->base, on_moved, r);
	r->typed = event_new(r->base, -1, 0, on_typed, r);
	r->keys = ini_num(r->conf, "keys", 0);
	timeout = evtimer_new(r->base, on_timeout, r);
	event_add(timeout,
	    &(struct timeval){
		.tv_sec = (time_t)ini_num(r->conf, "timeout", 20) });
	if (run_open(r, kvm_fd, &e) == -1)
		end(r, false, e.text);
	else
		event_base_loop(r->base, EVLOOP_NO_EXIT_ON_EMPTY);
	machine_close(r->m);
	guestdev_close(&r->dev);
	event_free(timeout);
	event_free(r->asked);
	event_free(r->moved);
	event_free(r->typed);
	event_base_free(r->base);
	free(r->initrd_data);
}

/* In a child: one guest, one line, the console when it went wrong. */
static int
run_one(const struct ini_section *conf, int kvm_fd, bool show)
{
	static struct run r;

	r.conf = conf;
	r.show = show;
	pthread_mutex_init(&r.lock, NULL);
	snprintf(
	    r.answers, sizeof(r.answers), "%s", ini_get(conf, "prompt", ""));
	r.next = r.answers;
	run_loop(&r, kvm_fd);
	printf("%s %s: %s\n", r.ok ? "ok" : "not ok", conf->name, r.why);
	if (!r.ok && !show)
		printf("%s%s", r.tail, r.ntail > 0 ? "\n" : "");
	fflush(stdout);
	return (r.ok ? 0 : 1);
}

/* A child that does not end by itself, because a thread hangs, is killed. */
static bool
wait_for(pid_t pid, const struct ini_section *conf)
{
	struct pollfd p = { .events = POLLIN };
	siginfo_t si;
	int ms;

	ms = (int)ini_num(conf, "timeout", 20) * 1000 + GRACE_MS;
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd == -1 || poll(&p, 1, ms) != 1) {
		printf("not ok %s: its process hangs\n", conf->name);
		if (p.fd != -1)
			syscall(SYS_pidfd_send_signal, p.fd, SIGKILL, NULL, 0);
	}
	memset(&si, 0, sizeof(si));
	waitid(P_PID, (id_t)pid, &si, WEXITED);
	if (p.fd != -1)
		close(p.fd);
	if (si.si_code != CLD_EXITED)
		printf("not ok %s: its process died of signal %d\n", conf->name,
		    si.si_status);
	return (si.si_code == CLD_EXITED && si.si_status == 0);
}

static bool
chosen(const struct ini_section *conf, const char *group, char **names)
{
	const char *groups;

	groups = ini_get(conf, "groups", "");
	if (group != NULL && strstr(groups, group) == NULL)
		return (false);
	if (*names == NULL)
		return (true);
	for (; *names != NULL; names++)
		if (strcmp(*names, conf->name) == 0)
			return (true);
	return (false);
}

static int
run_all(const struct ini *ini, int kvm_fd, const char *group, char **names,
    bool show)
{
	unsigned i, good, bad;
	pid_t pid;

	good = bad = 0;
	for (i = 0; i < ini->nsec; i++) {
		if (!chosen(&ini->sec[i], group, names))
			continue;
		fflush(stdout);
		if ((pid = fork()) == 0)
			exit(run_one(&ini->sec[i], kvm_fd, show));
		if (pid != -1 && wait_for(pid, &ini->sec[i]))
			good++;
		else
			bad++;
	}
	printf("%u passed, %u failed, 0 skipped\n", good, bad);
	return (good > 0 && bad == 0 ? 0 : 1);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: test_guests [-k] [-g group] [-t file] "
	    "[name ...]\n");
	exit(1);
}

int
main(int argc, char **argv)
{
	static struct ini ini;
	const char *table, *group;
	struct err e;
	bool show;
	int ch, kvm_fd;

	table = "regress/guests/guests.ini";
	group = NULL;
	show = false;
	while ((ch = getopt(argc, argv, "g:kt:")) != -1) {
		if (ch == 'g')
			group = optarg;
		else if (ch == 'k')
			show = true;
		else if (ch == 't')
			table = optarg;
		else
			usage();
	}
	if (ini_read(&ini, table, &e) == -1 ||
	    ini_known(&ini, settings, &e) == -1) {
		fprintf(stderr, "test_guests: %s\n", e.text);
		return (1);
	}
	if ((kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC)) == -1) {
		fprintf(stderr, "test_guests: /dev/kvm: %s\n", strerror(errno));
		return (77);
	}
	return (run_all(&ini, kvm_fd, group, argv + optind, show));
}
