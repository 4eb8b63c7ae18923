/* SPDX-License-Identifier: ISC */
/*
 * blkserve [-dr] [-q queues] [-s serial] socket image
 *
 * Our disk for other front ends: each connection gets a process with the code
 * and the filter of vmd's own.  Its number goes to stdout, its last words to
 * stderr.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/vhu/devproc.h"
#include "shared/devpage.h"
#include "shared/fd.h"

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		errx(1, "%s: too long for a socket", path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	unlink(path);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 4) == -1)
		err(1, "%s", path);
	return (fd);
}

__attribute__((noreturn)) static void
serve(int sock, int image, struct devpage *page)
{
	struct vio_conf vc = {
		.conf = &page->conf,
		.page = page,
		.fd = &image,
		.nfds = 1,
	};
	struct err e;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0);
	_exit(devproc_serve(&vio_blk, &filter_blk, &vc, sock, &e) == 0 ? 0 : 1);
}

static void
connection(int sock, int image, struct devpage *page)
{
	struct err why;
	int status;
	pid_t pid;

	memset((char *)page + sizeof(page->conf), 0,
	    sizeof(*page) - sizeof(page->conf));
	if ((pid = fork()) == 0)
		serve(sock, image, page);
	close(sock);
	if (pid == -1)
		err(1, "fork");
	printf("%d\n", (int)pid);
	fflush(stdout);
	if (waitpid(pid, &status, 0) == -1)
		err(1, "waitpid");
	devpage_err_get(page, &why);
	if (WIFSIGNALED(status))
		warnx("signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0 || why.code != 0)
		warnx("%s", why.text);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
	    "usage: blkserve [-dr] [-q queues] [-s serial] "
	    "socket image\n");
	exit(1);
}

int
main(int argc, char **argv)
{
	struct devpage *page;
	int c, image, sock;

	page = mmap(NULL, DEVPAGE_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");
	page->conf = (struct devpage_conf){
		.magic = DEVPAGE_MAGIC,
		.kind = DEV_BLK,
		.nqueues = 1,
	};
	while ((c = getopt(argc, argv, "dq:rs:")) != -1) {
		switch (c) {
		case 'd':
			page->conf.direct = 1;
			break;
		case 'q':
			page->conf.nqueues = (uint32_t)atoi(optarg);
			break;
		case 'r':
			page->conf.readonly = 1;
			break;
		case 's':
			memcpy(page->conf.serial, optarg,
			    strnlen(optarg, sizeof(page->conf.serial)));
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2 || page->conf.nqueues == 0 ||
	    page->conf.nqueues > DEVPAGE_QUEUES)
		usage();
	image = open(argv[optind + 1],
	    (page->conf.readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (image == -1)
		err(1, "%s", argv[optind + 1]);
	sock = listen_at(argv[optind]);
	while ((c = accept4(sock, NULL, NULL, SOCK_CLOEXEC)) != -1)
		connection(c, image, page);
	err(1, "accept");
}
