/* SPDX-License-Identifier: ISC */
/*
 * Which loader takes an image; for those that none takes, what they are and
 * what to do about it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/boot/boot.h"

static const struct boot_ops *const loaders[] = { &boot_linux, &boot_pvh };

static const struct {
	const char *bytes;
	unsigned len;
	const char *text;
} others[] = {
	{ "\x1f\x8b", 2, "is compressed: unpack it with gunzip" },
	{ "\x28\xb5\x2f\xfd", 4, "is compressed: unpack it with unzstd" },
	{ "\xfd\x37zXZ", 5, "is compressed: unpack it with unxz" },
	{ "BZh", 3, "is compressed: unpack it with bunzip2" },
	{ "\x04\x22\x4d\x18", 4, "is compressed: unpack it with unlz4" },
	{ "\x02\x21\x4c\x18", 4, "is compressed: unpack it with unlz4" },
	{ "\x5d\x00\x00", 3, "is compressed: unpack it with unlzma" },
	{ "MZ", 2,
	    "is an EFI program without a Linux boot header: use the kernel's "
	    "bzImage" },
	{ "07070", 5, "is a cpio archive: it belongs behind 'initrd'" },
	{ "!<arch>", 7, "is a package or library: unpack it first" },
	{ "QFI\xfb", 4, "is a disk image: it belongs behind 'disk'" },
	{ "#!", 2, "is a script" },
};

static int
unknown(const struct boot_img *img, struct err *e)
{
	unsigned i;

	if (img->bytes == 0)
		return (err_set(e, ENOEXEC, "kernel: the file is empty"));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (img->bytes >= others[i].len &&
		    memcmp(img->head, others[i].bytes, others[i].len) == 0)
			return (err_set(
			    e, ENOEXEC, "kernel: the file %s", others[i].text));
	return (err_set(e, ENOEXEC,
	    "kernel: the file is neither a Linux bzImage nor an ELF kernel "
	    "with a PVH note (%" PRIu64 " bytes)",
	    img->bytes));
}

int
boot_load(const struct boot_img *img, const struct boot_conf *conf,
    struct mem *m, struct hv_regs *entry, struct err *e)
{
	unsigned i;

	for (i = 0; i < sizeof(loaders) / sizeof(loaders[0]); i++)
		if (loaders[i]->probe(img))
			return (loaders[i]->load(img, conf, m, entry, e));
	return (unknown(img, e));
}
