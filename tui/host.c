/* SPDX-License-Identifier: ISC */
/* The host's figures: see host.h, proc(5). */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/fd.h"
#include "tui/host.h"

void
host_open(struct host_files *f, struct host *h)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	memset(f, 0, sizeof(*f));
	f->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	f->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	h->nthreads = n > 0 ? (int)n : 1;
	if (gethostname(h->name, sizeof(h->name) - 1) == -1)
		snprintf(h->name, sizeof(h->name), "localhost");
	h->name[strcspn(h->name, ".")] = '\0';
}

void
host_close(struct host_files *f)
{
	fd_close(&f->stat_fd);
	fd_close(&f->meminfo_fd);
}

bool
host_parse_stat(const char *text, uint64_t *busy, uint64_t *total)
{
	uint64_t v[8] = { 0 };
	int i, n;

	/* user nice system idle iowait irq softirq steal; guest is in user */
	n = sscanf(text,
	    "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	    " %" SCNu64 " %" SCNu64 " %" SCNu64,
	    &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
	if (n < 4)
		return (false);
	*total = 0;
	for (i = 0; i < 8; i++)
		*total += v[i];
	*busy = *total - v[3] - v[4];
	return (true);
}

bool
host_parse_meminfo(const char *text, const char *field, uint64_t *bytes)
{
	size_t len = strlen(field);
	const char *p = text;
	uint64_t kb;

	while (p != NULL && *p != '\0') {
		if (strncmp(p, field, len) == 0 && p[len] == ':' &&
		    sscanf(p + len + 1, "%" SCNu64, &kb) == 1) {
			*bytes = kb * 1024;
			return (true);
		}
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	}
	return (false);
}

static bool
read_again(int fd, char *buf, size_t size)
{
	ssize_t n;

	if (fd == -1 || (n = pread(fd, buf, size - 1, 0)) <= 0)
		return (false);
	buf[n] = '\0';
	return (true);
}

void
host_sample(struct host_files *f, struct host *h)
{
	uint64_t busy, total, avail;
	char buf[2048];

	if (read_again(f->stat_fd, buf, sizeof(buf)) &&
	    host_parse_stat(buf, &busy, &total)) {
		if (f->total != 0 && total > f->total && busy >= f->busy) {
			h->cpu_frac =
			    (float)(busy - f->busy) / (float)(total - f->total);
			ring60_add(&h->cpu, h->cpu_frac);
		}
		f->busy = busy;
		f->total = total;
	}
	if (read_again(f->meminfo_fd, buf, sizeof(buf)) &&
	    host_parse_meminfo(buf, "MemTotal", &total) &&
	    host_parse_meminfo(buf, "MemAvailable", &avail)) {
		h->mem_total = total;
		h->mem_used = total > avail ? total - avail : 0;
	}
}
