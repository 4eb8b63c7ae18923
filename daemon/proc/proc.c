/* SPDX-License-Identifier: ISC */
/*
 * The first steps of a process that the parent made: who it is, its sandbox,
 * its role.  And the user that the roles without a uid of their own run as.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "shared/clock.h"
#include "shared/devpage.h"
#include "shared/imsg.h"
#include "shared/log.h"

#define DAEMON_USER "_vmd"

int
proc_daemon_user(uid_t *uid, gid_t *gid, struct err *e)
{
	struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(DAEMON_USER)) == NULL && errno != 0)
		return (err_errno(e, "user " DAEMON_USER));
	if (pw == NULL)
		return (err_set(e, ENOENT,
		    "no user " DAEMON_USER
		    ": run systemd-sysusers, which reads "
		    "sysusers.d/vmd.conf, or make it with useradd -r "
		    "-s /usr/sbin/nologin " DAEMON_USER));
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return (err_set(e, EPERM,
		    "user " DAEMON_USER " has uid %u and gid %u: neither may "
		    "be 0",
		    (unsigned)pw->pw_uid, (unsigned)pw->pw_gid));
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return (0);
}

/*
 * ps(1) shows argv[0] alone: what follows is of no use to a person.  A last
 * byte that is not NUL tells the kernel that the area was rewritten.
 */
static void
set_title(int argc, char **argv, const char *title)
{
	size_t area, n = strlen(argv[0]);
	char *last = argv[argc - 1];

	area = (size_t)(last + strlen(last) + 1 - argv[0]);
	if (argc > 1 && area > n + 1) {
		memset(argv[0] + n, '\0', area - n - 1);
		argv[0][area - 1] = ' ';
	}
	prctl(PR_SET_NAME, title, 0, 0, 0);
}

/* A device process has no link at all: its words are in its page. */
static void
start_failed_page(const struct err *why)
{
	struct devpage *page;

	page = mmap(NULL, DEVPAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
	    PROC_PAGE_FD, 0);
	if (page == MAP_FAILED)
		return;
	devpage_err_put(page, why);
	atomic_store(&page->state, DEVP_FAILED);
}

/*
 * Before its loop runs a process has no log: one line up the link, by hand.
 */
__attribute__((noreturn)) static void
start_failed(const struct proc_desc *desc, const struct err *why)
{
	struct msg_logline head = { .prio = LOG_ERR };
	struct iovec iov[2];
	struct imsgbuf buf;

	log_warnx("%s", why->text);
	head.len = (uint32_t)strlen(why->text);
	iov[0].iov_base = &head;
	iov[0].iov_len = sizeof(head);
	memcpy(&iov[1].iov_base, &(const char *){ why->text }, sizeof(void *));
	iov[1].iov_len = head.len;
	if (desc->peers == 0) {
		start_failed_page(why);
		_exit(1);
	}
	if (desc->nfds > 0 && imsgbuf_init(&buf, PROC_LINK_FD) == 0 &&
	    imsg_composev(&buf, MSG_LOG, 0, 0, -1, iov, 2) == 1)
		imsgbuf_flush(&buf);
	_exit(1);
}

/* A number of our parent's making: all digits, or this is not our parent. */
static uint64_t
number(const char *s)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno != 0 || s[0] < '0' || s[0] > '9' || *end != '\0')
		fatalx("-P is for vmd itself: bad number \"%s\"", s);
	return (n);
}

struct child_args {
	const struct proc_desc *desc;
	struct proc_start start;
	uid_t uid;
	gid_t gid;
};

static void
parse_args(int argc, char **argv, struct child_args *a)
{
	int c;

	while ((c = getopt(argc, argv, "P:t:i:u:g:s:v")) != -1) {
		switch (c) {
		case 'P':
			a->desc = proc_find(optarg);
			break;
		case 't': /* the argument area is about to be wiped */
			a->start.title = strdup(optarg);
			break;
		case 'i':
			a->start.id = (uint32_t)number(optarg);
			break;
		case 'u':
			a->uid = (uid_t)number(optarg);
			break;
		case 'g':
			a->gid = (gid_t)number(optarg);
			break;
		case 's':
			a->start.spawned_ns = number(optarg);
			break;
		case 'v':
			a->start.verbose = 1;
			break;
		default:
			fatalx("-P is for vmd itself");
		}
	}
	if (a->desc == NULL || a->desc->run == NULL || a->start.title == NULL)
		fatalx("-P is for vmd itself: no such role");
}

void
proc_child_main(int argc, char **argv)
{
	struct child_args a = { .start.link_fd = -1, .start.listen_fd = -1 };
	struct err e;

	a.start.entered_ns = clock_now_ns();
	parse_args(argc, argv, &a);
	set_title(argc, argv, a.start.title);
	log_init(a.start.title, 1, a.start.verbose);
	if (a.desc->nfds > 0)
		a.start.link_fd = PROC_LINK_FD;
	if (a.desc->nfds > 1 && a.desc->peers != 0)
		a.start.listen_fd = PROC_LISTEN_FD;
	a.start.desc = a.desc;
	if (a.desc->before != NULL && a.desc->before(&e) == -1)
		start_failed(a.desc, &e);
	if (sandbox_enter(a.desc->sandbox, a.uid, a.gid,
		PROC_LINK_FD + a.desc->nfds, &e) == -1)
		start_failed(a.desc, &e);
	a.start.sandboxed_ns = clock_now_ns();
	exit(a.desc->run(&a.start));
}
