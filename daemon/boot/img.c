/* SPDX-License-Identifier: ISC */
/* Images: a file that was opened elsewhere, or bytes in memory. */
#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "daemon/boot/boot.h"

/* One pread for all of it, as far as the kernel is willing. */
static int
read_fd(const struct boot_img *img, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	uint8_t *p;
	ssize_t n;

	for (p = buf; len > 0; p += n, off += (size_t)n, len -= (size_t)n) {
		n = pread(img->fd, p, len, (off_t)off);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return (err_errno(e, "read at byte %" PRIu64, off));
		else if (n == 0)
			return (err_set(e, EIO,
			    "file ends at byte %" PRIu64
			    ", it was longer when it was opened",
			    off));
	}
	return (0);
}

static int
read_mem(const struct boot_img *img, uint64_t off, void *buf, size_t len,
    struct err *e)
{
	if (len > img->bytes || off > img->bytes - len)
		return (
		    err_set(e, EIO, "file ends at byte %" PRIu64, img->bytes));
	memcpy(buf, img->data + off, len);
	return (0);
}

int
boot_img_fd(struct boot_img *img, int fd, struct err *e)
{
	struct stat st;
	size_t len;

	memset(img, 0, sizeof(*img));
	img->fd = fd;
	img->read = read_fd;
	if (fstat(fd, &st) == -1)
		return (err_errno(e, "fstat"));
	if (S_ISDIR(st.st_mode))
		return (err_set(e, EISDIR, "is a directory, not a file"));
	if (!S_ISREG(st.st_mode) || st.st_size < 0)
		return (err_set(e, EINVAL, "is not a regular file"));
	img->bytes = (uint64_t)st.st_size;
	len = BOOT_HEAD_BYTES;
	if (img->bytes < len)
		len = (size_t)img->bytes;
	return (read_fd(img, 0, img->head, len, e));
}

void
boot_img_mem(struct boot_img *img, const void *data, size_t bytes)
{
	memset(img, 0, sizeof(*img));
	img->fd = -1;
	img->read = read_mem;
	img->data = data;
	img->bytes = bytes;
	if (bytes > 0)
		memcpy(img->head, data,
		    bytes < BOOT_HEAD_BYTES ? bytes : BOOT_HEAD_BYTES);
}
