/* SPDX-License-Identifier: ISC */
/* The process table and the lists of system calls, as data; no root needed. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/proc/filter.h"
#include "daemon/proc/proc.h"
#include "regress/lib/tap.h"

static const struct {
	const struct sandbox_filter *f;
	size_t budget; /* S1 */
} lists[] = {
	{ &filter_control, 20 },
	{ &filter_vmm, 30 },
	{ &filter_vm, 24 },
	{ &filter_vcpu, 12 },
	{ &filter_blk, 16 },
};
#define NLISTS (sizeof(lists) / sizeof(lists[0]))

static const struct sandbox_call *
row(const struct sandbox_filter *f, int nr)
{
	size_t i;

	for (i = 0; i < f->ncalls; i++)
		if (f->calls[i].nr == nr)
			return (&f->calls[i]);
	return (NULL);
}

static const char *
call_name(int nr)
{
	static char name[64];
	char *s = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

	snprintf(name, sizeof(name), "%s", s != NULL ? s : "?");
	free(s);
	return (name);
}

static void
test_budgets(void)
{
	size_t i;

	for (i = 0; i < NLISTS; i++)
		CHECK_MSG(lists[i].f->ncalls <= lists[i].budget,
		    "%s allows %zu calls, its budget is %zu", lists[i].f->name,
		    lists[i].f->ncalls, lists[i].budget);
}

/* Each row once, with a reason. */
static void
check_rows(const struct sandbox_filter *f)
{
	size_t i;

	for (i = 0; i < f->ncalls; i++) {
		CHECK_MSG(f->calls[i].why != NULL && f->calls[i].why[0] != '\0',
		    "%s: %s without a reason", f->name,
		    call_name(f->calls[i].nr));
		CHECK_MSG(row(f, f->calls[i].nr) == &f->calls[i],
		    "%s: %s twice", f->name, call_name(f->calls[i].nr));
	}
}

static void
test_rows(void)
{
	size_t i;

	check_rows(&filter_parent);
	for (i = 0; i < NLISTS; i++)
		check_rows(lists[i].f);
}

/* Filters stack: what the parent may not, no child can. */
static void
test_superset(void)
{
	const struct sandbox_call *p;
	size_t i, j;

	for (i = 0; i < NLISTS; i++)
		for (j = 0; j < lists[i].f->ncalls; j++) {
			p = row(&filter_parent, lists[i].f->calls[j].nr);
			CHECK_MSG(p != NULL && p->values == NULL,
			    "%s may %s, the parent not or not in full",
			    lists[i].f->name,
			    call_name(lists[i].f->calls[j].nr));
		}
}

/* A VM process could make control's read(2) of a shared eventfd block. */
static void
test_control_blocks(void)
{
	CHECK(row(&filter_control, SCMP_SYS(read)) == NULL);
	CHECK(row(&filter_control, SCMP_SYS(readv)) == NULL);
	CHECK(row(&filter_control, SCMP_SYS(poll)) == NULL);
	/* Of a bell, which a vCPU must always be able to write to. */
	CHECK(row(&filter_control, SCMP_SYS(write)) == NULL);
}

/* Denied to all, the parent among them; and more to the children. */
static void
test_denied(void)
{
	static const int all[] = {
#ifndef __SANITIZE_ADDRESS__ /* which looks for leaks at the end */
		SCMP_SYS(ptrace),
#endif
		SCMP_SYS(execve), SCMP_SYS(fork), SCMP_SYS(vfork),
		SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev), SCMP_SYS(io_uring_setup),
		SCMP_SYS(userfaultfd), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
		SCMP_SYS(keyctl), SCMP_SYS(init_module), SCMP_SYS(finit_module),
		SCMP_SYS(kexec_load), SCMP_SYS(reboot), SCMP_SYS(unshare),
		SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(mknod),
		SCMP_SYS(mknodat), SCMP_SYS(pidfd_getfd)
	};
	static const int children[] = { SCMP_SYS(open), SCMP_SYS(openat),
		SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
		SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(execveat),
		SCMP_SYS(mount), SCMP_SYS(mprotect), SCMP_SYS(prctl),
		SCMP_SYS(seccomp), SCMP_SYS(setresuid), SCMP_SYS(memfd_create),
		SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal) };
	size_t i, j;

	for (j = 0; j < sizeof(all) / sizeof(all[0]); j++)
		CHECK_MSG(row(&filter_parent, all[j]) == NULL, "parent: %s",
		    call_name(all[j]));
	for (i = 0; i < NLISTS; i++)
		for (j = 0; j < sizeof(children) / sizeof(children[0]); j++)
			CHECK_MSG(row(lists[i].f, children[j]) == NULL,
			    "%s: %s", lists[i].f->name, call_name(children[j]));
}

/* These are nothing without their arguments. */
static void
test_arguments(void)
{
	static const int limited[] = { SCMP_SYS(ioctl), SCMP_SYS(fcntl),
		SCMP_SYS(mmap) };
	const struct sandbox_call *c;
	const unsigned long *v;
	size_t i, j;

	for (i = 0; i < NLISTS; i++) {
		for (j = 0; j < sizeof(limited) / sizeof(limited[0]); j++) {
			c = row(lists[i].f, limited[j]);
			CHECK_MSG(c == NULL || c->values != NULL, "%s: any %s",
			    lists[i].f->name, call_name(limited[j]));
		}
		c = row(lists[i].f, SCMP_SYS(mmap));
		if (c == NULL || (c->bits & PROT_EXEC) != 0)
			continue;
		for (v = c->values; *v != 0; v++)
			CHECK((*v & PROT_EXEC) == 0);
	}
}

/*
 * launch is no child of the parent's filter: it is made before that is on.  It
 * may make namespaces and mounts, and what it makes may do what virtiofsd does,
 * but no more than these.
 */
static void
test_launch(void)
{
	static const int denied[] = {
#ifndef __SANITIZE_ADDRESS__
		SCMP_SYS(ptrace),
#endif
		SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
		SCMP_SYS(io_uring_setup), SCMP_SYS(bpf), SCMP_SYS(keyctl),
		SCMP_SYS(perf_event_open), SCMP_SYS(init_module),
		SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(reboot),
		SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(socket),
		SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
		SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal),
		SCMP_SYS(open_by_handle_at), SCMP_SYS(ioctl), SCMP_SYS(mknod),
		SCMP_SYS(swapon), SCMP_SYS(quotactl), SCMP_SYS(fsopen)
	};
	size_t i;

	check_rows(&filter_launch);
	for (i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		CHECK_MSG(row(&filter_launch, denied[i]) == NULL, "launch: %s",
		    call_name(denied[i]));
	CHECK_EQ(sandbox_launch.uid, SANDBOX_ROOT);
	CHECK((sandbox_launch.namespaces & CLONE_NEWNET) != 0);
	/* The parent's mounts, or it could not copy one. */
	CHECK((sandbox_launch.namespaces & CLONE_NEWNS) == 0);
	for (i = 0; sandbox_launch.caps[i] != -1; i++)
		CHECK(sandbox_launch.caps[i] != CAP_DAC_OVERRIDE &&
		    sandbox_launch.caps[i] != CAP_SYS_PTRACE &&
		    sandbox_launch.caps[i] != CAP_KILL);
	CHECK_EQ(i, 5);
}

/* The program is one that the kernel takes: 4096 instructions at most. */
static void
test_compile(void)
{
	const struct sandbox_filter *f;
	scmp_filter_ctx ctx;
	struct err e;
	off_t bytes;
	size_t i;
	FILE *out;

	for (i = 0; i <= NLISTS + 1; i++) {
		f = i == NLISTS       ? &filter_parent
		    : i == NLISTS + 1 ? &filter_launch
				      : lists[i].f;
		if (filter_build(f, &ctx, &e) == -1) {
			tap_fail(__FILE__, __LINE__, "%s", e.text);
			continue;
		}
		REQUIRE((out = tmpfile()) != NULL);
		CHECK_EQ(seccomp_export_bpf(ctx, fileno(out)), 0);
		bytes = lseek(fileno(out), 0, SEEK_END);
		printf("# %s: %zu calls, %lld instructions\n", f->name,
		    f->ncalls, (long long)bytes / 8);
		CHECK(bytes > 0 && bytes / 8 <= 4096);
		fclose(out);
		seccomp_release(ctx);
	}
}

/* Waits for an hour under a filter, and says how that ended. */
static _Noreturn void
waiter(const struct sandbox_filter *f)
{
	const struct timespec hour = { .tv_sec = 3600 };
	uint32_t word = 0;
	struct err e;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    sandbox_filter_enter(f, &e) == -1)
		_exit(100);
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &hour, NULL, 0);
	_exit(errno == EINTR ? 0 : 101);
}

/* Is the process in that system call? */
static bool
waits_in(pid_t pid, int nr)
{
	char path[64], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return (false);
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	return (strtol(text, NULL, 10) == nr && strchr(text, ' ') != NULL);
}

/* A stop, as a suspend of the host, makes the kernel restart what waits. */
static void
test_stopped(void)
{
	const struct sandbox_filter *f;
	int status = 0;
	size_t i;
	pid_t pid;

	for (i = 0; i < NLISTS; i++) {
		f = lists[i].f;
		if (row(f, SCMP_SYS(futex)) == NULL ||
		    row(f, SCMP_SYS(exit_group)) == NULL)
			continue;
		fflush(stdout);
		if ((pid = fork()) == 0)
			waiter(f);
		while (!waits_in(pid, SCMP_SYS(futex)) &&
		    waitpid(pid, &status, WNOHANG) == 0)
			sched_yield();
		kill(pid, SIGSTOP);
		if (waitpid(pid, &status, WUNTRACED) == pid &&
		    WIFSTOPPED(status)) {
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
		}
		CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		    "%s: wait status 0x%x", f->name, (unsigned)status);
	}
}

static void
test_table(void)
{
	const struct proc_desc *d;
	const int *c;
	size_t i, n;

	CHECK_EQ(proc_table[0].role, ROLE_PARENT);
	CHECK(proc_find("nobody") == NULL && proc_find("") == NULL);
	for (i = 0; i < proc_ntable; i++) {
		d = &proc_table[i];
		CHECK(proc_find(d->name) == d);
		CHECK_STR(d->sandbox->name, d->name);
		CHECK((d->peers & d->role) == 0);
		/* A device process speaks no imsg, and is no role. */
		CHECK_EQ(d->peers == 0, d->vio != NULL);
		CHECK_EQ(d->role == 0, d->vio != NULL);
		CHECK(d->nfds <= PROC_FDS_MAX);
		CHECK(d->sandbox->filter != NULL && d->sandbox->fds != NULL);
		CHECK_EQ(d->run == NULL, d->role == ROLE_PARENT);
		if (d->role == ROLE_PARENT || d->role == ROLE_LAUNCH)
			continue;
		CHECK(d->sandbox->caps == NULL && d->sandbox->empty_root);
		CHECK(d->sandbox->uid != SANDBOX_ROOT);
		CHECK((d->sandbox->namespaces & CLONE_NEWNS) != 0);
		/* A child can't have more than its parent's hard limit. */
		CHECK(d->sandbox->nofile <= sandbox_parent.nofile);
	}
	CHECK_EQ(sandbox_vm.uid, SANDBOX_OWN);
	CHECK_EQ(sandbox_blk.uid, SANDBOX_OWN);
	for (n = 0, c = sandbox_parent.caps; *c != -1; c++, n++)
		CHECK(*c != CAP_SYS_PTRACE && *c != CAP_SYS_MODULE &&
		    *c != CAP_NET_ADMIN && *c != CAP_SYS_RAWIO);
	CHECK(n <= 8);
}

/* Both sides of a channel know of it. */
static void
test_peers(void)
{
	size_t i, j;

	for (i = 0; i < proc_ntable; i++)
		for (j = 0; j < proc_ntable; j++) {
			/* The parent only opens the rendezvous of a vm. */
			if (proc_table[i].role == ROLE_PARENT ||
			    proc_table[j].role == ROLE_PARENT)
				continue;
			CHECK_EQ(
			    (proc_table[i].peers & proc_table[j].role) != 0,
			    (proc_table[j].peers & proc_table[i].role) != 0);
		}
}

static void
test_user(void)
{
	uid_t uid = 0;
	gid_t gid = 0;
	struct err e;

	err_clear(&e);
	if (proc_daemon_user(&uid, &gid, &e) == 0)
		CHECK(uid != 0 && gid != 0);
	else
		CHECK(strstr(e.text, "_vmd") != NULL &&
		    strstr(e.text, "sysusers") != NULL);
}

static const struct tap_case cases[] = {
	{ "policies: nothing blocks control", test_control_blocks },
	{ "S1 budgets of system calls", test_budgets },
	{ "S1 each call once and with a reason", test_rows },
	{ "sandbox the parent's list holds its children's", test_superset },
	{ "S3 T77 what nobody may: no kill(2) by pid", test_denied },
	{ "S3 arguments are limited", test_arguments },
	{ "launch may what it must", test_launch },
	{ "sandbox filters compile", test_compile },
	{ "sandbox a process that was stopped waits on", test_stopped },
	{ "proc table", test_table },
	{ "proc peers", test_peers },
	{ "proc the daemon's user", test_user },
};

TAP_MAIN(cases)
