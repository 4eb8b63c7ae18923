/* SPDX-License-Identifier: ISC */
/*
 * Guest memory: see mem.h.
 * Runs in: vm process, device processes.  Trusts: nobody's addresses.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mach/mem.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; Debian 12's headers lack it */
#endif

#define MIB (1ull << 20)
#define MEM_MAX (128ull << 30)
#define MEM_PAGE 4096
#define GPA_MAX (1ull << 52) /* no processor has more */
#define MEM_ALIGN (2 * MIB)  /* so that guest and host huge pages coincide */
#define MEM_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int
mem_size_ok(uint64_t bytes, struct err *e)
{
	if (bytes < MIB || bytes > MEM_MAX || bytes % MIB != 0)
		return (err_set(e, EINVAL,
		    "guest memory of %llu bytes: must be 1 MiB to 128 GiB, "
		    "in whole MiB",
		    (unsigned long long)bytes));
	return (0);
}

static void
mem_slots(struct mem *m)
{
	uint64_t low = m->bytes < MEM_LOW_MAX ? m->bytes : MEM_LOW_MAX;

	m->slot[0] = (struct mem_slot){ 0, low, 0 };
	m->nslots = 1;
	if (m->bytes > low) {
		m->slot[1] =
		    (struct mem_slot){ MEM_HIGH_BASE, m->bytes - low, low };
		m->nslots = 2;
	}
}

/* Map m->fd at a multiple of 2 MiB: reserve more, then put it inside. */
static int
mem_map(struct mem *m, struct err *e)
{
	size_t room = m->bytes + MEM_ALIGN, head;
	uint8_t *p;

	p = mmap(NULL, room, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return (err_errno(e, "no room for %llu MiB of guest memory",
		    (unsigned long long)(m->bytes / MIB)));
	head = -(uintptr_t)p & (MEM_ALIGN - 1);
	if (mmap(p + head, m->bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, m->fd, 0) == MAP_FAILED) {
		err_errno(e, "cannot map guest memory");
		munmap(p, room);
		return (-1);
	}
	if (head > 0)
		munmap(p, head);
	if (head < MEM_ALIGN)
		munmap(p + head + m->bytes, MEM_ALIGN - head);
	m->base = p + head;
	mem_slots(m);
	return (0);
}

int
mem_open(struct mem *m, const char *name, uint64_t bytes, bool hugepages,
    struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->fd = -1;
	m->bytes = bytes;
	if (mem_size_ok(bytes, e) == -1)
		return (-1);
	m->fd = memfd_create(
	    name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (m->fd == -1 && errno == EINVAL) /* before Linux 6.3 */
		m->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd == -1)
		return (err_errno(e, "cannot make guest memory"));
	if (ftruncate(m->fd, (off_t)bytes) == -1 ||
	    fcntl(m->fd, F_ADD_SEALS, MEM_SEALS) == -1) {
		err_errno(e, "cannot make %llu MiB of guest memory",
		    (unsigned long long)(bytes / MIB));
		goto fail;
	}
	if (mem_map(m, e) == -1)
		goto fail;
	/* Advice: where the kernel has none of it, small pages do as well. */
	if (hugepages)
		(void)madvise(m->base, m->bytes, MADV_HUGEPAGE);
	(void)madvise(m->base, m->bytes, MADV_DONTDUMP);
	(void)madvise(m->base, m->bytes, MADV_DONTFORK);
	return (0);
fail:
	mem_close(m);
	return (-1);
}

int
mem_attach(struct mem *m, int *fd, uint64_t bytes, struct err *e)
{
	struct stat st;
	int seals;

	memset(m, 0, sizeof(*m));
	m->fd = *fd;
	*fd = -1;
	m->bytes = bytes;
	if (mem_size_ok(bytes, e) == -1)
		goto fail;
	/* Without the seals the maker could shrink it under us: SIGBUS. */
	if ((seals = fcntl(m->fd, F_GET_SEALS)) == -1 ||
	    (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) !=
		(F_SEAL_SHRINK | F_SEAL_GROW)) {
		err_set(e, EINVAL, "guest memory came without its seals");
		goto fail;
	}
	if (fstat(m->fd, &st) == -1 || (uint64_t)st.st_size != bytes) {
		err_set(e, EINVAL, "guest memory has %lld bytes, not %llu",
		    (long long)st.st_size, (unsigned long long)bytes);
		goto fail;
	}
	if (mem_map(m, e) == 0)
		return (0);
fail:
	mem_close(m);
	return (-1);
}

static bool
region_meets(const struct mem_region *a, const struct mem_region *b)
{
	return (
	    a->gpa < b->gpa + b->len_bytes && b->gpa < a->gpa + a->len_bytes);
}

static int
region_check(const struct mem_region *r, unsigned i, struct err *e)
{
	struct stat st;
	unsigned k;
	int seals;

	if (r[i].len_bytes == 0 ||
	    (r[i].gpa | r[i].len_bytes | r[i].off_bytes) % MEM_PAGE != 0 ||
	    r[i].len_bytes > MEM_MAX || r[i].gpa > GPA_MAX - MEM_MAX ||
	    r[i].off_bytes > GPA_MAX - MEM_MAX)
		return (err_set(e, EINVAL,
		    "memory region %u: 0x%llx bytes at 0x%llx, 0x%llx in its "
		    "file",
		    i, (unsigned long long)r[i].len_bytes,
		    (unsigned long long)r[i].gpa,
		    (unsigned long long)r[i].off_bytes));
	for (k = 0; k < i; k++)
		if (region_meets(&r[k], &r[i]))
			return (err_set(e, EINVAL,
			    "memory regions %u and %u overlap", k, i));
	if ((seals = fcntl(r[i].fd, F_GET_SEALS)) == -1 ||
	    !(seals & F_SEAL_SHRINK))
		return (err_set(e, EINVAL,
		    "memory region %u: not a memfd with F_SEAL_SHRINK", i));
	if (fstat(r[i].fd, &st) == -1 ||
	    (uint64_t)st.st_size < r[i].off_bytes + r[i].len_bytes)
		return (err_set(
		    e, EINVAL, "memory region %u: its file ends before it", i));
	return (0);
}

/*
 * Each where its file would have it in an address space of huge pages: room for
 * that in front.
 */
static uint64_t
region_place(struct mem *m, const struct mem_region *r)
{
	m->bytes += (r->off_bytes - m->bytes) & (MEM_ALIGN - 1);
	m->slot[m->nslots++] =
	    (struct mem_slot){ r->gpa, r->len_bytes, m->bytes };
	return (m->bytes += r->len_bytes);
}

int
mem_map_regions(
    struct mem *m, const struct mem_region *r, unsigned n, struct err *e)
{
	uint8_t *p;
	size_t head;
	unsigned i;

	memset(m, 0, sizeof(*m));
	m->fd = -1;
	if (n == 0 || n > MEM_SLOTS_MAX)
		return (err_set(e, EINVAL, "%u memory regions", n));
	for (i = 0; i < n; i++) {
		if (region_check(r, i, e) == -1)
			goto fail;
		if (region_place(m, &r[i]) > 2 * MEM_MAX) {
			err_set(e, EINVAL, "too much guest memory");
			goto fail;
		}
	}
	p = mmap(NULL, m->bytes + MEM_ALIGN, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		err_errno(e, "no room for guest memory");
		goto fail;
	}
	head = -(uintptr_t)p & (MEM_ALIGN - 1);
	if (head > 0)
		munmap(p, head);
	munmap(p + head + m->bytes, MEM_ALIGN - head);
	m->base = p + head;
	for (i = 0; i < n; i++)
		if (mmap(m->base + m->slot[i].off_bytes, r[i].len_bytes,
			PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r[i].fd,
			(off_t)r[i].off_bytes) == MAP_FAILED) {
			err_errno(e, "memory region %u", i);
			goto fail;
		}
	return (0);
fail:
	mem_close(m);
	return (-1);
}

void
mem_close(struct mem *m)
{
	if (m->base != NULL)
		munmap(m->base, m->bytes);
	if (m->fd != -1)
		close(m->fd);
	m->base = NULL;
	m->fd = -1;
	m->nslots = 0;
}

int
mem_clear(struct mem *m, struct err *e)
{
	if (madvise(m->base, m->bytes, MADV_REMOVE) == -1)
		return (err_errno(e, "cannot clear guest memory"));
	return (0);
}

void *
mem_ptr(const struct mem *m, uint64_t gpa, uint64_t len_bytes)
{
	const struct mem_slot *s;
	unsigned i;

	for (i = 0; i < m->nslots; i++) {
		s = &m->slot[i];
		if (gpa < s->gpa || gpa - s->gpa > s->len_bytes)
			continue;
		if (len_bytes <= s->len_bytes - (gpa - s->gpa))
			return (m->base + s->off_bytes + (gpa - s->gpa));
	}
	return (NULL);
}

int
mem_read(const struct mem *m, uint64_t gpa, void *buf, size_t len_bytes)
{
	const void *p;

	if ((p = mem_ptr(m, gpa, len_bytes)) == NULL) {
		errno = EFAULT;
		return (-1);
	}
	memcpy(buf, p, len_bytes);
	return (0);
}

int
mem_write(struct mem *m, uint64_t gpa, const void *buf, size_t len_bytes)
{
	void *p;

	if ((p = mem_ptr(m, gpa, len_bytes)) == NULL) {
		errno = EFAULT;
		return (-1);
	}
	memcpy(p, buf, len_bytes);
	return (0);
}

uint64_t
mem_resident(const struct mem *m)
{
	struct stat st;

	if (fstat(m->fd, &st) == -1)
		return (0);
	return ((uint64_t)st.st_blocks * 512);
}
