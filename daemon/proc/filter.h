/* SPDX-License-Identifier: ISC */
/* Inside of the seccomp filters, for filter.c and the tests. */
#ifndef PROC_FILTER_H
#define PROC_FILTER_H

#include <seccomp.h>

#include "daemon/proc/sandbox.h"

/* What a sanitizer's runtime does on its own; none in a plain build. */
extern const struct sandbox_call filter_sanitizer[];
extern const size_t filter_nsanitizer;

/* The filter, not loaded: seccomp_export_bpf() it, seccomp_release() it. */
int filter_build(
    const struct sandbox_filter *, scmp_filter_ctx *, struct err *);

#endif
