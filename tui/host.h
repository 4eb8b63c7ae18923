/* SPDX-License-Identifier: ISC */
/*
 * The host's own figures, from /proc files that are opened before the sandbox
 * and read again and again.
 */
#ifndef TUI_HOST_H
#define TUI_HOST_H

#include "tui/model.h"

struct host_files {
	int stat_fd, meminfo_fd;
	uint64_t busy, total; /* of the last sample */
};

/* Never fails: what cannot be opened stays "not known". */
void host_open(struct host_files *, struct host *);
void host_close(struct host_files *);
void host_sample(struct host_files *, struct host *);

/* Parsers, pure: /proc/stat's first line; a field of /proc/meminfo in bytes. */
bool host_parse_stat(const char *text, uint64_t *busy, uint64_t *total);
bool host_parse_meminfo(const char *text, const char *field, uint64_t *bytes);

#endif
