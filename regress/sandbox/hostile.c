/* SPDX-License-Identifier: ISC */
/* What a process that a guest has taken over would try: see hostile.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "regress/sandbox/hostile.h"

static char page[4096] __attribute__((aligned(4096)));
static char *const no_args[] = { NULL };

/* A try of one call with up to six arguments. */
#define TRY(id, ...)                                                           \
	static long try_##id(void)                                             \
	{                                                                      \
		return (syscall(__VA_ARGS__));                                 \
	}

TRY(open, SYS_open, "/etc/shadow", O_RDONLY)
TRY(openat, SYS_openat, AT_FDCWD, "/etc/shadow", O_RDONLY)
TRY(openat_root, SYS_openat, AT_FDCWD, "/", O_RDONLY)
TRY(openat2, SYS_openat2, AT_FDCWD, "/etc/shadow", page, 24)
TRY(creat, SYS_creat, "/x", 0600)
TRY(handle, SYS_open_by_handle_at, AT_FDCWD, page, O_RDONLY)
TRY(socket_inet, SYS_socket, AF_INET, SOCK_STREAM, 0)
TRY(socket_unix, SYS_socket, AF_UNIX, SOCK_STREAM, 0)
TRY(socket_netlink, SYS_socket, AF_NETLINK, SOCK_RAW, 0)
TRY(socket_packet, SYS_socket, AF_PACKET, SOCK_RAW, 0)
TRY(socketpair, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, page)
TRY(connect, SYS_connect, 3, page, 2)
TRY(bind, SYS_bind, 3, page, 2)
TRY(listen, SYS_listen, 3, 1)
TRY(sendto, SYS_sendto, 3, page, 0, 0, NULL, 0)
TRY(ptrace_parent, SYS_ptrace, PTRACE_ATTACH, 1, 0, 0)
TRY(ptrace_me, SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)
TRY(vm_readv, SYS_process_vm_readv, 1, page, 1, page, 1, 0)
TRY(vm_writev, SYS_process_vm_writev, 1, page, 1, page, 1, 0)
TRY(madvise_other, SYS_process_madvise, 3, page, 1, MADV_COLD, 0)
TRY(kill_init, SYS_kill, 1, SIGKILL)
TRY(kill_all, SYS_kill, -1, SIGKILL)
TRY(tkill, SYS_tkill, 1, SIGKILL)
TRY(sigqueue, SYS_rt_sigqueueinfo, 1, SIGKILL, page)
TRY(pidfd_open, SYS_pidfd_open, 1, 0)
TRY(pidfd_signal, SYS_pidfd_send_signal, 3, SIGKILL, NULL, 0)
TRY(pidfd_getfd, SYS_pidfd_getfd, 3, 0, 0)
TRY(execve, SYS_execve, "/bin/sh", no_args, no_args)
TRY(execveat, SYS_execveat, AT_FDCWD, "/bin/sh", no_args, no_args, 0)
TRY(fork, SYS_fork)
TRY(vfork, SYS_vfork)
TRY(clone, SYS_clone, SIGCHLD, 0, 0, 0, 0)
TRY(unshare, SYS_unshare, CLONE_NEWUSER)
TRY(setns, SYS_setns, 3, 0)
TRY(mount, SYS_mount, "none", "/", "tmpfs", 0, NULL)
TRY(remount, SYS_mount, NULL, "/", NULL, 32, NULL) /* MS_REMOUNT */
TRY(umount, SYS_umount2, "/", 0)
TRY(pivot_root, SYS_pivot_root, ".", ".")
TRY(chroot, SYS_chroot, "/")
TRY(fsopen, SYS_fsopen, "tmpfs", 0)
TRY(open_tree, SYS_open_tree, AT_FDCWD, "/", 1)
TRY(move_mount, SYS_move_mount, 3, "", 3, "", 0)
TRY(io_uring, SYS_io_uring_setup, 1, page)
TRY(userfaultfd, SYS_userfaultfd, 1)
TRY(bpf, SYS_bpf, 0, page, 64)
TRY(perf, SYS_perf_event_open, page, 0, -1, -1, 0)
TRY(keyctl, SYS_keyctl, 0, -3, 1)
TRY(add_key, SYS_add_key, "user", "x", "x", 1, -3)
TRY(request_key, SYS_request_key, "user", "x", NULL, 0)
TRY(mmap_exec, SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC,
    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
TRY(mmap_wx, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
    MAP_SHARED | MAP_ANONYMOUS, -1, 0)
TRY(mprotect_exec, SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC)
TRY(pkey_mprotect, SYS_pkey_mprotect, page, 4096, PROT_EXEC, -1)
TRY(memfd, SYS_memfd_create, "x", 0)
TRY(memfd_secret, SYS_memfd_secret, 0)
TRY(shmget, SYS_shmget, 1, 4096, 01600)
TRY(msgget, SYS_msgget, 1, 01600)
TRY(semget, SYS_semget, 1, 1, 01600)
TRY(mq_open, SYS_mq_open, "x", O_CREAT, 0600, NULL)
TRY(init_module, SYS_init_module, page, 1, "")
TRY(finit_module, SYS_finit_module, 0, "", 0)
TRY(delete_module, SYS_delete_module, "x", 0)
TRY(kexec, SYS_kexec_load, 0, 0, NULL, 0)
TRY(reboot, SYS_reboot, 0, 0, 0, NULL)
TRY(swapon, SYS_swapon, "/x", 0)
TRY(sethostname, SYS_sethostname, "x", 1)
TRY(settime, SYS_clock_settime, 0, page)
TRY(adjtimex, SYS_adjtimex, page)
TRY(iopl, SYS_iopl, 3)
TRY(ioperm, SYS_ioperm, 0x80, 1, 1)
TRY(ldt, SYS_modify_ldt, 0, page, 16)
TRY(setuid, SYS_setuid, 0)
TRY(setresuid, SYS_setresuid, 0, 0, 0)
TRY(setresgid, SYS_setresgid, 0, 0, 0)
TRY(setgroups, SYS_setgroups, 0, NULL)
TRY(capset, SYS_capset, page, page)
TRY(dumpable, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
TRY(ptracer, SYS_prctl, PR_SET_PTRACER, -1, 0, 0, 0)
TRY(seccomp, SYS_seccomp, 1, 0, page)
TRY(personality, SYS_personality, 0x0040000)
TRY(tun_persist, SYS_ioctl, 3, TUNSETPERSIST, 1)
TRY(tiocsti, SYS_ioctl, 0, TIOCSTI, "x")
TRY(mknod, SYS_mknodat, AT_FDCWD, "/x", 020666, 0x101)
TRY(chmod, SYS_chmod, "/", 0777)
TRY(fchmod, SYS_fchmod, 3, 0777)
TRY(chown, SYS_chown, "/", 0, 0)
TRY(unlink, SYS_unlinkat, AT_FDCWD, "/x", 0)
TRY(link, SYS_linkat, AT_FDCWD, "/x", AT_FDCWD, "/y", 0)
TRY(symlink, SYS_symlinkat, "/x", AT_FDCWD, "/y")
TRY(rename, SYS_renameat2, AT_FDCWD, "/x", AT_FDCWD, "/y", 0)
TRY(mkdir, SYS_mkdirat, AT_FDCWD, "/x", 0700)
TRY(truncate, SYS_truncate, "/x", 0)
TRY(inotify, SYS_inotify_init1, 0)
TRY(fanotify, SYS_fanotify_init, 0, 0)
TRY(setrlimit, SYS_setrlimit, RLIMIT_CORE, page)
TRY(prlimit, SYS_prlimit64, 1, RLIMIT_CORE, page, NULL)
TRY(scheduler, SYS_sched_setscheduler, 0, 1, page)
TRY(priority, SYS_setpriority, PRIO_PROCESS, 0, -20)
TRY(move_pages, SYS_move_pages, 1, 0, NULL, NULL, NULL, 0)
TRY(kcmp, SYS_kcmp, 1, 1, 0, 0, 0)
TRY(acct, SYS_acct, "/x")
TRY(syslog, SYS_syslog, 3, page, 64)
TRY(quotactl, SYS_quotactl, 0, "", 0, NULL)
TRY(getdents, SYS_getdents64, 3, page, 4096)
TRY(x32, 0x40000000 | SYS_getpid)
TRY(unknown, 0x3fff)

/* The flags of clone3 are behind a pointer. */
static long
try_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	return (syscall(SYS_clone3, &args, sizeof(args)));
}

/* The 32-bit gate: getpid of another table. */
static long
try_int80(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
	if (r < 0) {
		errno = (int)-r;
		return (-1);
	}
	return (r);
}

/* clang-format off */
#define ROW(id, nr) { #id, nr, try_##id }
const struct attempt attempts[] = {
	ROW(open, SYS_open),
	ROW(openat, SYS_openat),
	ROW(openat_root, SYS_openat),
	ROW(openat2, SYS_openat2),
	ROW(creat, SYS_creat),
	ROW(handle, SYS_open_by_handle_at),
	ROW(socket_inet, SYS_socket),
	ROW(socket_unix, SYS_socket),
	ROW(socket_netlink, SYS_socket),
	ROW(socket_packet, SYS_socket),
	ROW(socketpair, SYS_socketpair),
	ROW(connect, SYS_connect),
	ROW(bind, SYS_bind),
	ROW(listen, SYS_listen),
	ROW(sendto, SYS_sendto),
	ROW(ptrace_parent, SYS_ptrace),
	ROW(ptrace_me, SYS_ptrace),
	ROW(vm_readv, SYS_process_vm_readv),
	ROW(vm_writev, SYS_process_vm_writev),
	ROW(madvise_other, SYS_process_madvise),
	ROW(kill_init, SYS_kill),
	ROW(kill_all, SYS_kill),
	ROW(tkill, SYS_tkill),
	ROW(sigqueue, SYS_rt_sigqueueinfo),
	ROW(pidfd_open, SYS_pidfd_open),
	ROW(pidfd_signal, SYS_pidfd_send_signal),
	ROW(pidfd_getfd, SYS_pidfd_getfd),
	ROW(execve, SYS_execve),
	ROW(execveat, SYS_execveat),
	ROW(fork, SYS_fork),
	ROW(vfork, SYS_vfork),
	ROW(clone, SYS_clone),
	ROW(clone3, SYS_clone3),
	ROW(unshare, SYS_unshare),
	ROW(setns, SYS_setns),
	ROW(mount, SYS_mount),
	ROW(remount, SYS_mount),
	ROW(umount, SYS_umount2),
	ROW(pivot_root, SYS_pivot_root),
	ROW(chroot, SYS_chroot),
	ROW(fsopen, SYS_fsopen),
	ROW(open_tree, SYS_open_tree),
	ROW(move_mount, SYS_move_mount),
	ROW(io_uring, SYS_io_uring_setup),
	ROW(userfaultfd, SYS_userfaultfd),
	ROW(bpf, SYS_bpf),
	ROW(perf, SYS_perf_event_open),
	ROW(keyctl, SYS_keyctl),
	ROW(add_key, SYS_add_key),
	ROW(request_key, SYS_request_key),
	ROW(mmap_exec, SYS_mmap),
	ROW(mmap_wx, SYS_mmap),
	ROW(mprotect_exec, SYS_mprotect),
	ROW(pkey_mprotect, SYS_pkey_mprotect),
	ROW(memfd, SYS_memfd_create),
	ROW(memfd_secret, SYS_memfd_secret),
	ROW(shmget, SYS_shmget),
	ROW(msgget, SYS_msgget),
	ROW(semget, SYS_semget),
	ROW(mq_open, SYS_mq_open),
	ROW(init_module, SYS_init_module),
	ROW(finit_module, SYS_finit_module),
	ROW(delete_module, SYS_delete_module),
	ROW(kexec, SYS_kexec_load),
	ROW(reboot, SYS_reboot),
	ROW(swapon, SYS_swapon),
	ROW(sethostname, SYS_sethostname),
	ROW(settime, SYS_clock_settime),
	ROW(adjtimex, SYS_adjtimex),
	ROW(iopl, SYS_iopl),
	ROW(ioperm, SYS_ioperm),
	ROW(ldt, SYS_modify_ldt),
	ROW(setuid, SYS_setuid),
	ROW(setresuid, SYS_setresuid),
	ROW(setresgid, SYS_setresgid),
	ROW(setgroups, SYS_setgroups),
	ROW(capset, SYS_capset),
	ROW(dumpable, SYS_prctl),
	ROW(ptracer, SYS_prctl),
	ROW(seccomp, SYS_seccomp),
	ROW(personality, SYS_personality),
	ROW(tun_persist, SYS_ioctl),
	ROW(tiocsti, SYS_ioctl),
	ROW(mknod, SYS_mknodat),
	ROW(chmod, SYS_chmod),
	ROW(fchmod, SYS_fchmod),
	ROW(chown, SYS_chown),
	ROW(unlink, SYS_unlinkat),
	ROW(link, SYS_linkat),
	ROW(symlink, SYS_symlinkat),
	ROW(rename, SYS_renameat2),
	ROW(mkdir, SYS_mkdirat),
	ROW(truncate, SYS_truncate),
	ROW(inotify, SYS_inotify_init1),
	ROW(fanotify, SYS_fanotify_init),
	ROW(setrlimit, SYS_setrlimit),
	ROW(prlimit, SYS_prlimit64),
	ROW(scheduler, SYS_sched_setscheduler),
	ROW(priority, SYS_setpriority),
	ROW(move_pages, SYS_move_pages),
	ROW(kcmp, SYS_kcmp),
	ROW(acct, SYS_acct),
	ROW(syslog, SYS_syslog),
	ROW(quotactl, SYS_quotactl),
	ROW(getdents, SYS_getdents64),
	ROW(x32, -1),
	ROW(unknown, -1),
	ROW(int80, -1),
};
const size_t nattempts = sizeof(attempts) / sizeof(attempts[0]);
