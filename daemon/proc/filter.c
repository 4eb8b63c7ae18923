/* SPDX-License-Identifier: ISC */
/*
 * From a table of allowed calls to a seccomp filter: all else kills the process,
 * and its parent's waitid(2) says SIGSYS.
 * Runs in: every process of the daemon, once a thread.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>

#include "daemon/proc/filter.h"

/* libseccomp's priorities run from 0 to 255: the table's first come first. */
static uint8_t
priority(size_t i)
{
	return (i < 255 ? (uint8_t)(255 - i) : 0);
}

static int
add_call(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
	const unsigned long *v;
	struct scmp_arg_cmp cmp;
	int rc;

	if (c->values == NULL)
		return (seccomp_rule_add_array(
		    ctx, SCMP_ACT_ALLOW, c->nr, 0, NULL));
	v = c->values;
	do {
		cmp = c->bits != 0
		    ? SCMP_CMP(c->arg, SCMP_CMP_MASKED_EQ, c->bits, *v)
		    : SCMP_CMP(c->arg, SCMP_CMP_EQ, *v, 0);
		rc =
		    seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, c->nr, 1, &cmp);
	} while (rc == 0 && c->bits == 0 && *++v != 0);
	return (rc);
}

static int
add_calls(scmp_filter_ctx ctx, const struct sandbox_call *calls, size_t n,
    size_t first, struct err *e)
{
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		if ((rc = add_call(ctx, &calls[i])) != 0 ||
		    (rc = seccomp_syscall_priority(
			 ctx, calls[i].nr, priority(first + i))) != 0)
			return (err_set(e, -rc, "filter row %zu (call %d): %s",
			    i, calls[i].nr, strerror(-rc)));
	}
	return (0);
}

/*
 * What a stop or the host's suspend interrupts, the kernel goes on with by
 * restart_syscall(2), which a process never calls itself: it is told EINTR, and
 * whoever waits for some time only looks at the clock and waits again.
 */
static int
add_restart(scmp_filter_ctx ctx, struct err *e)
{
	int rc = seccomp_rule_add_array(
	    ctx, SCMP_ACT_ERRNO(EINTR), SCMP_SYS(restart_syscall), 0, NULL);

	return (rc == 0
		? 0
		: err_set(e, -rc, "restart_syscall: %s", strerror(-rc)));
}

int
filter_build(
    const struct sandbox_filter *f, scmp_filter_ctx *out, struct err *e)
{
	scmp_filter_ctx ctx;

	if ((ctx = seccomp_init(SCMP_ACT_KILL_PROCESS)) == NULL)
		return (err_set(e, ENOMEM, "no memory for a filter"));
	/* no_new_privs is set already, and a parent's list may lack prctl. */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) != 0 ||
	    seccomp_attr_set(
		ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0) {
		err_set(e, EINVAL, "libseccomp does not know our attributes");
		goto fail;
	}
	if (add_calls(ctx, f->calls, f->ncalls, 0, e) == -1 ||
	    add_calls(ctx, filter_sanitizer, filter_nsanitizer, f->ncalls, e) ==
		-1 ||
	    add_restart(ctx, e) == -1)
		goto fail;
	*out = ctx;
	return (0);
fail:
	seccomp_release(ctx);
	return (err_prefix(e, "seccomp %s", f->name));
}

static int
enter(const struct sandbox_filter *f, uint32_t all, struct err *e)
{
	scmp_filter_ctx ctx;
	int rc;

	if (filter_build(f, &ctx, e) == -1)
		return (-1);
	if ((rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, all)) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0)
		return (
		    err_set(e, -rc, "seccomp %s: %s", f->name, strerror(-rc)));
	return (0);
}

int
sandbox_filter_enter(const struct sandbox_filter *f, struct err *e)
{
	return (enter(f, 0, e));
}

int
sandbox_filter_enter_all(const struct sandbox_filter *f, struct err *e)
{
	return (enter(f, 1, e));
}
