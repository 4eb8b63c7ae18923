/* SPDX-License-Identifier: ISC */
/*
 * What each role may do; the vm process's filters are with its code, in
 * daemon/vm/policy.c.
 *
 * Filters stack: a child runs under its parent's filter as well, for ever.  So
 * the parent's list is the union of what it does itself, of the steps into a
 * child's sandbox, and of the children's own lists; a test proves it.  The
 * other way would be a launcher without a filter, from which the parent has its
 * processes made.  But a launcher that died could not be replaced by a parent
 * under a filter, and a launcher that lives is a root process without one.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>

#include "daemon/proc/filter.h"
#include "daemon/proc/sandbox.h"

#define CALLS(f) f, sizeof(f) / sizeof(f[0])
#define MANY 65536

/* clang-format off */
#define CALL(name, why) { SCMP_SYS(name), why, NULL, 0, 0 }
#define CALL_IF(name, why, values, arg) { SCMP_SYS(name), why, values, arg, 0 }
#define CALL_MASK(name, why, values, arg, bits)				\
	{ SCMP_SYS(name), why, values, arg, bits }

static const unsigned long zero[] = { 0, 0 };
static const unsigned long fcntl_flags[] = { F_GETFL, F_SETFL, 0 };
static const unsigned long fcntl_seals[] = {
	F_GETFL, F_SETFL, F_GET_SEALS, 0,
};
static const unsigned long at_empty_path[] = { AT_EMPTY_PATH, 0 };
static const unsigned long sig_abort[] = { SIGABRT, 0 };

#define CALL_MMAP                                                              \
	CALL_MASK(                                                             \
	    mmap, "malloc, shared pages; nothing to run", zero, 2, PROT_EXEC)
#define CALL_FCNTL                                                             \
	CALL_IF(fcntl, "a socket is made non-blocking", fcntl_flags, 1)
#define CALL_ABORT                                                             \
	CALL(rt_sigprocmask, "abort(3) of bug_on()"),                          \
	    CALL(gettid, "the same"),                                          \
	    CALL_IF(tgkill, "the same; no other signal", sig_abort, 2)

/* Sends and receives messages, on an event loop. */
static const struct sandbox_call calls_vmm[] = {
	CALL(epoll_wait, "event loop"),
	CALL(recvmsg, "messages"),
	CALL(sendmsg, "messages"),
	CALL(epoll_ctl, "event loop: a channel comes, goes, is full"),
	CALL(close, "fds passed on, channels that ended"),
	CALL_MMAP,
	CALL(munmap, "free"),
	CALL(mremap, "realloc"),
	CALL(brk, "malloc"),
	CALL_IF(fcntl, "a socket is made non-blocking", fcntl_flags, 1),
	CALL(getpid, "stamped on messages"),
	CALL(clock_gettime, "where the vdso has no clock"),
	CALL(poll, "last words before it ends"),
	CALL(write, "stderr, before there is a link"),
	CALL(exit_group, "the parent has gone"),
	CALL_ABORT,
};
const struct sandbox_filter filter_vmm = { "vmm", CALLS(calls_vmm) };

/*
 * As vmm; and accepts clients, maps console rings read-only.  Its abort(3) ends
 * in SIGSYS, after bug_on() has said why: three calls are not worth it.  No
 * write(2): it shares each VM's bell, an eventfd, with the vCPU that rings it.
 * Who could fill its counter (and clear O_NONBLOCK, which is shared as well)
 * would stop the guest in its next line of output.
 */
static const struct sandbox_call calls_control[] = {
	CALL(epoll_wait, "event loop"),
	CALL(recvmsg, "messages"),
	CALL(sendmsg, "messages"),
	CALL(preadv2, "a console's bell, which must not block"),
	CALL(epoll_ctl, "event loop: a client comes, goes, is full"),
	CALL(accept4, "clients"),
	CALL(getsockopt, "who is it: SO_PEERCRED, SO_PEERGROUPS"),
	CALL(close, "clients that left"),
	CALL_MMAP,
	CALL(munmap, "free; a ring whose VM ended"),
	CALL(mremap, "realloc"),
	CALL(brk, "malloc"),
	CALL_IF(
	    fcntl, "non-blocking fds; is a shared page sealed", fcntl_seals, 1),
	CALL_IF(newfstatat, "fstat: is a ring as large as was said",
	    at_empty_path, 3),
	CALL(getpid, "stamped on messages"),
	CALL(clock_gettime, "where the vdso has no clock"),
	CALL(exit_group, "the parent has gone"),
};
const struct sandbox_filter filter_control = {
	"control",
	CALLS(calls_control),
};

static const struct sandbox_call calls_parent[] = {
	/* its own needs */
	CALL(epoll_wait, "event loop"),
	CALL(epoll_ctl, "event loop"),
	CALL(recvmsg, "messages"),
	CALL(sendmsg, "messages"),
	CALL(recvfrom, "libevent's signal pipe; users' database"),
	CALL(sendto, "the same; syslog; NOTIFY_SOCKET"),
	CALL(close, "fds that went to a child"),
	CALL(openat, "vm.conf, kernels, records, /dev/kvm"),
	CALL(open, "the same, by older libraries"),
	CALL(openat2, "kernels; blk: its image"),
	CALL(setfsuid, "the same, with the rights of a VM's owner"),
	CALL(setfsgid, "the same"),
	CALL(read, "the same"),
	CALL(write, "records, log"),
	CALL(newfstatat, "is it a regular file"),
	CALL(fstat, "the same"),
	CALL(stat, "the same"),
	CALL(lstat, "the same"),
	CALL(statx, "the same"),
	CALL(statfs, "the same"),
	CALL(fstatfs, "the same"),
	CALL(lseek, "stdio"),
	CALL(pread64, "dynamic loader"),
	CALL(fcntl, "flags of fds; blk: the lock of its image"),
	CALL(flock, "one vmd a state directory"),
	CALL(fsync, "records"),
	CALL(fdatasync, "records"),
	CALL(getdents64, "records left by an earlier vmd"),
	CALL(access, "dynamic loader; users' database"),
	CALL(faccessat, "the same"),
	CALL(faccessat2, "the same"),
	CALL(readlink, "paths"),
	CALL(readlinkat, "paths"),
	CALL(getcwd, "relative paths of vm.conf"),
	CALL(unlink, "the control socket"),
	CALL(unlinkat, "records and sockets of VMs"),
	CALL(rename, "records are written whole or not at all"),
	CALL(renameat, "the same"),
	CALL(renameat2, "the same"),
	CALL(mkdir, "state directory"),
	CALL(mkdirat, "state directory"),
	CALL(chown, "control socket"),
	CALL(fchown, "control socket"),
	CALL(fchownat, "control socket"),
	CALL(fchmod, "control socket"),
	CALL(fchmodat, "control socket"),
	CALL(umask, "control socket"),
	CALL(socket, "rendezvous, syslog, users' database"),
	CALL(socketpair, "links of children"),
	CALL(bind, "rendezvous sockets"),
	CALL(listen, "rendezvous sockets"),
	CALL(connect, "rendezvous, syslog, users' database"),
	CALL(accept4, "control"),
	CALL(shutdown, "users' database"),
	CALL(getsockopt, "control; users' database"),
	CALL(setsockopt, "devices' time limit; users' database"),
	CALL(getsockname, "users' database"),
	CALL(getpeername, "users' database"),
	CALL(dup, "the listening socket, for each new control"),
	CALL(dup2, "stdio and links of a child"),
	CALL(dup3, "the same"),
	CALL(
	    clone3, "children, threads; its flags are out of a filter's sight"),
	CALL(waitid, "how a child ended"),
	CALL(pidfd_open, "VMs that an earlier vmd started"),
	CALL(pidfd_send_signal, "stop a child; there is no kill(2)"),
	CALL(rt_sigaction, "event loop; a child's defaults"),
	CALL(rt_sigprocmask, "around clone3"),
	CALL(rt_sigreturn, "event loop"),
	CALL(getrandom, "tokens"),
	CALL(getpid, "stamped on messages"),
	CALL(gettid, "abort(3)"),
	CALL(tgkill, "abort(3); kicks of vCPU threads"),
	CALL(getuid, "users' database"),
	CALL(geteuid, "who starts vmd"),
	CALL(getgid, "users' database"),
	CALL(getegid, "users' database"),
	CALL(clock_gettime, "where the vdso has no clock"),
	CALL(clock_getres, "event loop"),
	CALL(gettimeofday, "where the vdso has no clock"),
	CALL(time, "the same"),
	CALL(clock_nanosleep, "between tries"),
	CALL(poll, "a socket that is full"),
	CALL(ppoll, "the same"),
	CALL(epoll_create1, "event loop; users' database of systemd"),
	CALL(epoll_pwait, "the same"),
	CALL(epoll_pwait2, "the same"),
	CALL(uname, "users' database of systemd"),
	CALL(sysinfo, "how much memory a VM may have"),
	CALL(sched_getaffinity, "how many start at once"),
	CALL(ioctl, "is stdout a terminal; KVM, in a vm process's set-up"),
	CALL(brk, "malloc"),
	CALL(mmap, "malloc, dynamic loader"),
	CALL(munmap, "free"),
	CALL(mremap, "realloc"),
	CALL(madvise, "free; guest memory"),
	CALL(futex, "locks, threads"),
	CALL(exit_group, "end"),
	CALL(exit, "end of a thread"),
	/* from clone3 to the role's run() */
	CALL(setsid, "^C is for the parent alone"),
	CALL(close_range, "nothing is inherited"),
	CALL(execveat, "the executable, by its fd; there is no execve(2)"),
	CALL(arch_prctl, "dynamic loader"),
	CALL(set_tid_address, "dynamic loader"),
	CALL(set_robust_list, "dynamic loader, threads"),
	CALL(rseq, "dynamic loader, threads"),
	CALL(mprotect, "dynamic loader, stacks of threads"),
	CALL(prlimit64, "limits of a child"),
	CALL(getrlimit, "the same"),
	CALL(setrlimit, "the same"),
	CALL(mount, "empty root of a child"),
	CALL(pivot_root, "the same"),
	CALL(umount2, "the same"),
	CALL(chdir, "the same"),
	CALL(prctl, "capabilities, no_new_privs, name of a process"),
	CALL(setgroups, "a child's user; blk: an asker's rights"),
	CALL(setresgid, "the same"),
	CALL(setresuid, "the same"),
	CALL(capget, "capabilities"),
	CALL(capset, "capabilities"),
	CALL(landlock_create_ruleset, "no path for a child"),
	CALL(landlock_restrict_self, "the same"),
	CALL(seccomp, "the child's own filter"),
	/* from run() to the role's filter, and what that allows */
	CALL(eventfd2, "kicks, bells"),
	CALL(memfd_create, "pages of devices; guest memory, ring, figures"),
	CALL(ftruncate, "the same"),
	CALL(fallocate, "the same"),
	CALL(mincore, "how much of it is resident"),
	CALL(preadv, "kernel and initrd, into guest memory"),
	CALL(readv, "the same"),
	CALL(preadv2, "control: a console's bell; blk: image, kicks"),
	CALL(pwritev2, "blk: image, interrupts"),
	CALL(io_setup, "blk: asynchronous I/O"),
	CALL(io_submit, "the same"),
	CALL(io_getevents, "the same"),
	CALL(writev, "log"),
	CALL(pwrite64, "guest memory"),
	CALL(fadvise64, "kernel and initrd are read once"),
	CALL(clone, "threads, before clone3"),
	CALL(sched_yield, "threads"),
	CALL(sched_setaffinity, "threads"),
	CALL(signalfd4, "vm"),
	CALL(rt_sigtimedwait, "vm"),
	CALL(rt_sigpending, "vm"),
	CALL(sigaltstack, "vm"),
	CALL(timerfd_create, "vm: the RTC's interrupts"),
	CALL(timerfd_settime, "the same"),
	CALL(timerfd_gettime, "the same"),
	CALL(getrusage, "figures"),
	CALL(pipe2, "event loop"),
#ifdef __SANITIZE_ADDRESS__
	/* ONLY in sanitizer builds: leaks, looked for at the end. */
	CALL(ptrace, "its threads stand still meanwhile"),
	CALL(wait4, "the same"),
	CALL(getppid, "the same"),
	CALL(getdents, "the same"),
#endif
};
const struct sandbox_filter filter_parent = { "parent", CALLS(calls_parent) };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* ONLY in sanitizer builds: what their runtimes do behind our back. */
const struct sandbox_call filter_sanitizer[] = {
	CALL(mmap, "shadow memory"),
	CALL(munmap, "the same"),
	CALL(mprotect, "the same"),
	CALL(madvise, "the same"),
	CALL(mremap, "the same"),
	CALL(write, "reports"),
	CALL(openat, "reports: /proc/self/maps, which is not there"),
	CALL(open, "the same"),
	CALL(readlink, "the same"),
	CALL(read, "the same"),
	CALL(close, "the same"),
	CALL(lseek, "the same"),
	CALL(newfstatat, "the same"),
	CALL(fstat, "the same"),
	CALL(getpid, "the same"),
	CALL(gettid, "the same"),
	CALL(sched_yield, "locks"),
	CALL(futex, "locks"),
	CALL(clock_gettime, "locks"),
	CALL(clock_nanosleep, "thread sanitizer's background thread"),
	CALL(gettimeofday, "the same"),
	CALL(nanosleep, "the same"),
	CALL(sigaltstack, "end of a thread"),
	CALL(rt_sigprocmask, "threads"),
	CALL(rt_sigaction, "the end"),
	CALL(tgkill, "the end"),
	CALL(set_robust_list, "threads"),
	CALL(rseq, "threads that begin late"),
	CALL(prctl, "names of threads"),
	CALL(getrlimit, "stack sizes"),
	CALL(prlimit64, "stack sizes"),
	CALL(sched_getaffinity, "stack sizes"),
	CALL(exit, "threads"),
	CALL(pipe2, "is a pointer readable"),
	CALL(getrusage, "memory limits"),
};
const size_t filter_nsanitizer =
    sizeof(filter_sanitizer) / sizeof(filter_sanitizer[0]);
#else
const struct sandbox_call filter_sanitizer[] = { { 0, NULL, NULL, 0, 0 } };
const size_t filter_nsanitizer = 0;
#endif

/*
 * The parent opens what the caller may see, makes namespaces, and gives its
 * children their users.  Whatever is not here is not in its bounding set.
 */
static const int caps_parent[] = {
	CAP_SYS_ADMIN,    /* namespaces and roots of children */
	CAP_SETUID,       /* users of children */
	CAP_SETGID,       /* and their groups */
	CAP_SETPCAP,      /* children drop their bounding set */
	CAP_CHOWN,        /* owner of the control socket */
	CAP_FOWNER,       /* its mode, when it is another's */
	CAP_DAC_OVERRIDE, /* kernels and sockets in others' directories */
	CAP_KILL,         /* children have other uids */
	-1,
};

static const struct sandbox_fd fds_parent[] = {
	{ "socket:", 1, MANY, "links, signals, the control socket" },
	{ "[eventpoll]", 1, 1, "event loop" },
	{ "pidfd", 0, MANY, "children" },
	{ "/dev/null", 1, 4, "stdio, its own and the children's" },
	{ "/vmd", 1, 1, "the executable, O_PATH" },
	{ "/lock", 1, 1, "state directory" },
	{ "/vm", 1, 1, "records and rendezvous sockets" },
	{ "pipe:", 2, 5, "libevent: signals; stdio in the foreground" },
	{ "/dev/pts/", 0, 3, "the same" },
	{ "/dev/tty", 0, 3, "the same" },
	{ "memfd:", 0, MANY, "pages of devices" },
	{ "/", 0, MANY, "directories of shares; stdio" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_parent = {
	.name = "parent",
	.uid = SANDBOX_ROOT,
	.caps = caps_parent,
	.nofile = 16384,
	.nproc = UINT32_MAX,
	.filter = &filter_parent,
	.fds = fds_parent,
};

static const struct sandbox_fd fds_control[] = {
	{ "socket:", 1, MANY, "parent, control socket, clients, VMs" },
	{ "[eventpoll]", 1, 1, "event loop" },
	{ "[eventfd]", 0, MANY, "bells of consoles" },
	{ "/dev/null", 3, 3, "stdio" },
	{ "pipe:", 2, 2, "libevent: signals, of which it has none" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_control = {
	.name = "control",
	.uid = SANDBOX_DAEMON,
	.namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	.empty_root = 1,
	.nofile = 8192,
	.nproc = 0,
	.as_bytes = UINT64_C(32) << 30, /* rings are mapped, not copied */
	.filter = &filter_control,
	.fds = fds_control,
};

static const struct sandbox_fd fds_vmm[] = {
	{ "socket:", 1, MANY, "parent and VMs" },
	{ "[eventpoll]", 1, 1, "event loop" },
	{ "/dev/null", 3, 3, "stdio" },
	{ "pipe:", 2, 2, "libevent: signals, of which it has none" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_vmm = {
	.name = "vmm",
	.uid = SANDBOX_DAEMON,
	.namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	.empty_root = 1,
	.nofile = 8192,
	.nproc = 0,
	.as_bytes = UINT64_C(1) << 30,
	.filter = &filter_vmm,
	.fds = fds_vmm,
};

static const struct sandbox_fd fds_vm[] = {
	{ "socket:", 1, 24, "vmm, control, its rendezvous, devices" },
	{ "[eventpoll]", 1, 1, "event loop" },
	{ "kvm-vm", 1, 1, "the VM" },
	{ "kvm-vcpu", 1, 64, "its CPUs" },
	{ "memfd:", 4, 36, "memory, ring, bell, figures; page and log a device" },
	{ "[eventfd]", 2, 256, "its vCPUs wake it, it wakes control; devices" },
	{ "/dev/null", 3, 3, "stdio" },
	{ "pipe:", 2, 2, "libevent: signals, of which it has none" },
	{ "/", 0, 2, "kernel and initrd, to load again at a reset" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_vm = {
	.name = "vm",
	.uid = SANDBOX_OWN,
	.namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
	    CLONE_NEWPID,
	.empty_root = 1,
	.nofile = 512,
	.nproc = 256, /* a thread a vCPU, a few, and its devices' */
	.filter = &filter_vm,
	.fds = fds_vm,
};

/*
 * It makes a process that may do less than itself, for which it needs what that
 * is to lose.  It reads no byte of a guest, and nobody can connect to it.
 */
static const int caps_launch[] = {
	CAP_SYS_ADMIN, /* namespaces and mounts */
	CAP_SETUID,    /* a user in a namespace of its own is the owner */
	CAP_SETGID,    /* and his group */
	CAP_SETPCAP,   /* it drops what it needs no more */
	CAP_SETFCAP,   /* shares of root's VMs: the kernel asks for it */
	-1,
};

static const struct sandbox_fd fds_launch[] = {
	{ "socket:", 1, 2, "the parent; what comes from it" },
	{ "[eventpoll]", 1, 1, "event loop" },
	{ "/dev/null", 3, 3, "stdio" },
	{ "pipe:", 2, 2, "libevent: signals, of which it has none" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_launch = {
	.name = "launch",
	.uid = SANDBOX_ROOT,
	.namespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	.caps = caps_launch,
	.nofile = 65536, /* virtiofsd has an fd for each file a guest knows */
	.nproc = UINT32_MAX,
	.filter = &filter_launch,
	.fds = fds_launch,
};

static const struct sandbox_fd fds_blk[] = {
	{ "socket:", 1, 1, "its vm" },
	{ "memfd:", 0, 3, "its page, guest memory, the log" },
	{ "[eventfd]", 0, 48, "kicks, calls and errors of 16 queues" },
	{ "/dev/null", 3, 3, "stdio" },
	{ "/", 1, 1, "its image" },
	{ NULL, 0, 0, NULL },
};
const struct sandbox sandbox_blk = {
	.name = "blk",
	.uid = SANDBOX_OWN,
	.namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
	    CLONE_NEWPID,
	.empty_root = 1,
	.nofile = 128,
	.nproc = 256, /* its vm's count too: they share the uid */
	.filter = &filter_blk,
	.fds = fds_blk,
};
