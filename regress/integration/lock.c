/* SPDX-License-Identifier: ISC */
/* lock FILE: hold a lock of the whole file, by our pid, until we are killed. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;

	if (argc != 2 || (fd = open(argv[1], O_RDWR | O_CLOEXEC)) == -1 ||
	    fcntl(fd, F_SETLK, &fl) == -1) {
		perror("lock");
		return (1);
	}
	printf("locked\n");
	fflush(stdout);
	for (;;)
		pause();
}
