/* SPDX-License-Identifier: ISC */
/*
 * A whole vm process (regress/lib/vmrig.h): started, watched, left alone and
 * taken back as vmm and control do it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "regress/lib/backthread.h"
#include "regress/lib/tap.h"
#include "regress/lib/vmrig.h"
#include "shared/fd.h"

static bool
is_root(void)
{
	if (getuid() != 0)
		tap_skip("the rendezvous takes root only");
	return (getuid() == 0);
}

static void
t_console(void)
{
	static struct rig r;
	struct msg_sample sample = { .seq = 9 };

	if (!is_root() || !rig_open(&r, 2))
		return;
	CHECK(r.vmm.event.step_us[STEP_KVM] > 0);
	CHECK_EQ(r.vmm.event.state, VM_RUNNING);
	rig_attach(&r);
	CHECK_STR(r.control.attached.name, "t");
	CHECK_EQ(r.control.attached.console_bytes, RING_MIN_BYTES);
	CHECK_EQ(r.ring.head_ro->size, RING_MIN_BYTES);
	/* Not even root may write what the vm process says. */
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		  r.control.fd[MSG_PAGE_RING], 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		  r.control.fd[MSG_PAGE_FIGURES], 0) == MAP_FAILED);
	rig_expect(&r, "A");
	rig_keys(&r.control, "welve keys!");
	rig_expect(&r, "welve keys!");
	RIG_UNTIL(&r, r.control.credit == 11);
	peer_send(r.control.peer, MSG_SAMPLE, 3, NULL, &sample, sizeof(sample));
	RIG_UNTIL(&r, r.control.got[MSG_SAMPLED] == 1);
	CHECK_EQ(r.control.reqno, 3);
	CHECK(r.figures->vcpu[0].run_ns > 0);
	CHECK_EQ(r.figures->console_bytes, 12);
	CHECK(r.figures->resident_bytes >= 4096);
	rig_keys(&r.control, "q");
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_ops(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	rig_attach(&r);
	rig_expect(&r, "A");
	rig_op(&r, OP_UNPAUSE, 0, 5);
	RIG_UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	CHECK_EQ(r.vmm.reqno, 5);
	CHECK(strstr(r.vmm.err.text, "not paused") != NULL);
	rig_op(&r, OP_PAUSE, 0, 6);
	RIG_UNTIL(&r, r.vmm.got[MSG_OK] == 1);
	CHECK_EQ(r.vmm.event.state, VM_PAUSED);
	rig_keys(&r.control, "k");
	RIG_UNTIL(&r, r.control.credit == 1); /* it is in the UART */
	CHECK_EQ(ring_end(&r.ring), 1);       /* and not echoed */
	rig_op(&r, OP_UNPAUSE, 0, 7);
	rig_expect(&r, "k");
	rig_op(&r, OP_RESET, 0, 8);
	rig_expect(&r, "A");
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_RESET);
	CHECK_STR(r.vmm.event.why.text, "by request");
	rig_keys(&r.control, "t");
	rig_expect(&r, "tA");
	RIG_UNTIL(&r, r.vmm.event.restarts == 2);
	CHECK_STR(r.vmm.event.why.text, "triple fault");
	rig_op(&r, OP_STOP, 0, 9);
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(r.vmm.event.state, VM_STOPPING);
	CHECK_EQ(r.vmm.event.why.code, 0);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_grace(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	rig_attach(&r);
	rig_keys(&r.control, "d");
	rig_expect(&r, "Ad");
	rig_op(&r, OP_STOP, 50, 1);
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK(strstr(r.vmm.event.why.text, "did not shut down") != NULL);
	CHECK_EQ(rig_close(&r), 0);
	if (!rig_open(&r, 1))
		return;
	rig_op(&r, OP_KILL, 0, 1);
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_storm(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	rig_attach(&r);
	rig_keys(&r.control, "r");
	rig_expect(&r, "ArA");
	rig_keys(&r.control, "r");
	rig_expect(&r, "rA");
	rig_keys(&r.control, "r");
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_FAILED);
	CHECK(strstr(r.vmm.event.why.text, "restarted 3 times") != NULL);
	CHECK_EQ(rig_close(&r), 1);
}

static void
t_links(void)
{
	static struct rig r;
	struct msg_vm_op m = { .id = 99, .op = OP_KILL };
	struct rig_side s;
	int fd;

	if (!is_root() || !rig_open(&r, 1))
		return;
	rig_attach(&r);
	rig_expect(&r, "A");
	/* Not its VM: refused, goes on. */
	peer_send(r.vmm.peer, MSG_VM_OP, 4, NULL, &m, sizeof(m));
	RIG_UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	/* A wrong token, a wrong first word: hung up, nothing else. */
	rig_call(&r, &s, ROLE_VMM, 1);
	RIG_UNTIL(&r, s.peer == NULL);
	CHECK_EQ(s.got[MSG_ATTACHED], 0);
	rig_side_close(&s);
	/* vmm breaks the rules, then is gone; the guest does not notice. */
	fd = dup(peer_fd(r.vmm.peer));
	CHECK_EQ(send(fd, "garbage, sixteen bytes and more", 31, 0), 31);
	close(fd);
	RIG_UNTIL(&r, r.vmm.peer == NULL);
	rig_keys(&r.control, "x");
	rig_expect(&r, "x");
	rig_call(&r, &r.vmm, ROLE_VMM, 0);
	RIG_UNTIL(&r, r.vmm.got[MSG_ATTACHED] == 1);
	CHECK_EQ(r.vmm.attached.id, RIG_ID);
	CHECK_EQ(r.vmm.attached.state, VM_RUNNING);
	/* control dies, another comes; a third takes the place of a living one */
	rig_side_close(&r.control);
	rig_attach(&r);
	CHECK_EQ(r.control.got[MSG_ATTACHED], 1);
	rig_call(&r, &s, ROLE_CONTROL, 0);
	RIG_UNTIL(&r, s.got[MSG_ATTACHED] == 1 && r.control.peer == NULL);
	rig_keys(&s, "yq");
	rig_expect(&r, "yq");
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	rig_side_close(&s);
	CHECK_EQ(rig_close(&r), 0);
}

/* T63, T64: callers that say nothing, or nonsense, again and again. */
static void
t_callers(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	static struct rig r;
	int fd[40];
	size_t i;

	if (!is_root() || !rig_open(&r, 1))
		return;
	strcpy(sun.sun_path, r.path);
	for (i = 0; i < 40; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK_EQ(
		    connect(fd[i], (struct sockaddr *)&sun, sizeof(sun)), 0);
		if (i % 2)
			CHECK(send(fd[i], "x", 1, MSG_NOSIGNAL) != 0);
	}
	rig_attach(&r); /* comes behind all of them */
	CHECK_EQ(r.control.got[MSG_ATTACHED], 1);
	for (i = 0; i < 40; i++)
		close(fd[i]);
	rig_keys(&r.control, "q");
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static unsigned
count_dir(const char *path)
{
	struct dirent *d;
	unsigned n = 0;
	DIR *dir;

	if ((dir = opendir(path)) == NULL)
		return (0);
	while ((d = readdir(dir)) != NULL)
		n += d->d_name[0] != '.';
	closedir(dir);
	return (n);
}

/* Every thread of it is under a filter before the guest runs. */
static void
t_filters(void)
{
	static struct rig r;
	char path[64], file[384], line[128];
	struct dirent *d;
	unsigned n = 0;
	FILE *f;
	DIR *dir;

	if (!rig_open(&r, 3))
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)r.pid);
	REQUIRE((dir = opendir(path)) != NULL);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s/status", path, d->d_name);
		REQUIRE((f = fopen(file, "r")) != NULL);
		while (fgets(line, sizeof(line), f) != NULL)
			n += strcmp(line, "Seccomp:\t2\n") == 0;
		fclose(f);
	}
	closedir(dir);
	/* Ours, and what newer kernels run in KVM's name inside of it. */
	CHECK(n >= 4);
#ifdef __SANITIZE_THREAD__ /* its own thread is there before any filter */
	CHECK(n < count_dir(path));
#else
	CHECK_EQ(n, count_dir(path));
#endif
	rig_op(&r, OP_KILL, 0, 0);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_bad_starts(void)
{
	static struct rig r;

	if (!rig_spawn(&r))
		return;
	rig_side_close(&r.vmm); /* before there is anything: it ends */
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	rig_go(&r, 1);
	RIG_UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	CHECK(strstr(r.vmm.err.text, "no VM yet") != NULL);
	rig_new(&r, 1);
	rig_send_fd(&r, VMFD_KVM, open("/dev/null", O_RDWR | O_CLOEXEC));
	rig_go(&r, 2);
	RIG_UNTIL(&r, r.vmm.peer == NULL);
	CHECK_EQ(r.vmm.event.what, WHAT_FAILED);
	CHECK(strstr(r.vmm.event.why.text, "before the kernel") != NULL);
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	rig_new(&r, 1);
	rig_send_fd(&r, VMFD_KVM, open("/dev/null", O_RDWR | O_CLOEXEC));
	rig_send_fd(&r, VMFD_KERNEL, rig_kernel_fd());
	rig_go(&r, 0);
	RIG_UNTIL(&r, r.vmm.peer == NULL);
	CHECK(strstr(r.vmm.event.why.text, "not KVM") != NULL);
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	rig_new(&r, 1);
	rig_send_fd(&r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	rig_send_fd(&r, VMFD_KERNEL, open("/dev/null", O_RDONLY | O_CLOEXEC));
	rig_go(&r, 0);
	RIG_UNTIL(&r, r.vmm.peer == NULL);
	CHECK_EQ(r.vmm.event.what, WHAT_FAILED);
	CHECK_MSG(strstr(r.vmm.event.why.text, "kernel") != NULL, "%s",
	    r.vmm.event.why.text);
	CHECK_EQ(rig_close(&r), 1);
}

static int
guest_fd(const char *name)
{
	const char *dir = getenv("B");
	char path[256];

	snprintf(path, sizeof(path), "%s/regress/guests/%s",
	    dir != NULL ? dir : "build", name);
	return (open(path, O_RDONLY | O_CLOEXEC));
}

static void
send_dev(struct rig *r, enum dev_fd what, int *fd, uint32_t reqno)
{
	struct msg_vm_dev m = {
		.id = RIG_ID, .kind = DEV_BLK, .what = what, .name = "blk0"
	};

	CHECK_EQ(
	    peer_send(r->vmm.peer, MSG_VM_DEV, reqno, fd, &m, sizeof(m)), 0);
}

static int
page_fd(const struct devpage_conf *conf)
{
	struct devpage *page;
	void *p;
	int fd;

	fd = memfd_sealed_map(
	    "page", DEVPAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW, &p);
	page = p;
	page->conf = *conf;
	munmap(p, DEVPAGE_BYTES);
	return (fd);
}

/* Until its guest has written and flushed: no message tells. */
static void
flushed(struct rig *r, struct backthread *t)
{
	while (atomic_load(&t->page.flushes) < 4 ||
	    atomic_load(&t->page.inflight) != 0) {
		event_base_loop(r->base, EVLOOP_NONBLOCK);
		(void)poll(NULL, 0, 1);
	}
}

/*
 * A disk that another process serves, four CPUs on it, with the filters on:
 * set up, held, lost, replaced, and from the start again.
 */
static void
t_device(void)
{
	static struct rig r;
	static struct backthread t;
	struct msg_vm_spec spec = {
		.id = RIG_ID,
		.uid = 60000,
		.ncpus = 4,
		.console_bytes = RING_MIN_BYTES,
		.mem_bytes = 16 << 20,
		.grace_ms = 30000,
		.ndevs = 1,
		.name = "t",
	};
	struct devpage_conf conf = {
		.magic = DEVPAGE_MAGIC,
		.kind = DEV_BLK,
		.nqueues = 4,
		.serial = "flat guest",
	};
	int fd;

	if (!is_root() || !rig_spawn(&r))
		return;
	fd = memfd_create("disk", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(fd, 1 << 20), 0);
	backthread_open(&t, &vio_blk, &conf, &fd, 1);
	CHECK_EQ(
	    peer_send(r.vmm.peer, MSG_VM_NEW, 0, NULL, &spec, sizeof(spec)), 0);
	rig_send_fd(&r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	rig_send_fd(&r, VMFD_KERNEL, guest_fd("blk.elf"));
	fd = page_fd(&conf);
	send_dev(&r, DEVFD_PAGE, &fd, 0);
	send_dev(&r, DEVFD_SOCKET, &t.sock, 0);
	rig_go(&r, 0);
	RIG_UNTIL(&r, r.vmm.got[MSG_VM_EVENT] > 0 || r.vmm.peer == NULL);
	CHECK_MSG(r.vmm.event.what == WHAT_STEPS, "%s", r.vmm.event.why.text);
	flushed(&r, &t);
	rig_attach(&r);
	CHECK_EQ(r.control.got[MSG_PAGE_DEV], 1);
	rig_op(&r, OP_PAUSE, 0, 6);
	RIG_UNTIL(&r, r.vmm.got[MSG_OK] == 1);
	rig_op(&r, OP_UNPAUSE, 0, 7);
	RIG_UNTIL(&r, r.vmm.got[MSG_OK] == 2);
	backthread_kill(&t);
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_DEV_LOST);
	CHECK_EQ(r.vmm.event.dev, 0);
	CHECK(r.vmm.event.why.text[0] != '\0');
	(void)backthread_join(&t);
	backthread_again(&t);
	send_dev(&r, DEVFD_SOCKET, &t.sock, 8);
	RIG_UNTIL(&r, r.vmm.event.what == WHAT_DEV_OK);
	RIG_UNTIL(&r, r.vmm.got[MSG_OK] == 3);
	atomic_store(&t.page.flushes, 0);
	rig_op(&r, OP_RESET, 0, 9);
	flushed(&r, &t);
	CHECK_EQ(r.vmm.got[MSG_ERR], 0);
	rig_op(&r, OP_KILL, 0, 10);
	CHECK_EQ(rig_close(&r), 0);
	(void)backthread_join(&t);
	vhu_back_free(t.b);
}

static const struct tap_case cases[] = {
	{ "vmproc: start, console, keys, figures, power-off", t_console },
	{ "vmproc: pause, unpause, reset, triple fault, stop", t_ops },
	{ "vmproc: a deaf guest is powered off in time; kill", t_grace },
	{ "T76 vmproc: three restarts are enough", t_storm },
	{ "T63 vmproc: links break, the guest runs on, is taken back",
	    t_links },
	{ "T64 vmproc: silent and broken callers", t_callers },
	{ "vmproc: a disk of another process, lost and replaced", t_device },
	{ "vmproc: every thread has its filter", t_filters },
	{ "vmproc: starts that fail say why", t_bad_starts },
};
TAP_MAIN(cases)
