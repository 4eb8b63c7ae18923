/* SPDX-License-Identifier: ISC */
/*
 * What a running VM leaves for the next vmd: STATE/vm/ID.rec.
 *
 * Its head names the process and the token; where that is whole and the process
 * is there, the VM is taken back, whatever the rest is like.  Where it is not,
 * the record is kept, and processes that nobody knows are named: their uids are
 * no other VM's.
 *
 * Runs in: parent.  Trusts: the state directory, which is root's alone.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define RECORD_VERSION 1
#define RECORD_BYTES 65536
#define DEVS_MAX (CONF_DISKS_MAX + CONF_SHARES_MAX)
#define SUM "sum "
#define SUM_BYTES (sizeof(SUM) - 1 + 16 + 1)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

uint64_t
pid_start_time(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], buf[1024], *p;
	ssize_t n;
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (0);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return (0);
	buf[n] = '\0';
	/* The name, field 2, may hold anything: go on after its bracket. */
	if ((p = strrchr(buf, ')')) == NULL)
		return (0);
	for (i = 2; i < 22 && p != NULL; i++)
		p = strchr(p + 1, ' ');
	if (p == NULL || sscanf(p, " %llu", &start) != 1)
		return (0);
	return (start);
}

/* Its real uid, or -1. */
static int64_t
pid_uid(pid_t pid)
{
	char path[64], line[256];
	long long uid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return (-1);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Uid: %lld", &uid) == 1)
			break;
	fclose(f);
	return (uid);
}

static void
record_file(uint32_t id, const char *suffix, char *buf, size_t len)
{
	snprintf(buf, len, "%" PRIu32 ".%s", id, suffix);
}

static void
boot_id(char *buf, size_t len)
{
	ssize_t n = -1;
	int fd;

	if ((fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, buf, len - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* Its devices, and with whose rights images are opened again. */
static void
record_devs(FILE *f, const struct vment *v)
{
	const struct msg_cred *c = &v->asker;
	const struct vmdev *d;
	unsigned i;

	for (d = v->dev; d < v->dev + v->ndevs; d++)
		fprintf(f,
		    "dev %u %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		    " %d %" PRIu32 "\n",
		    d->index, (int)d->pid, d->pid_start, d->image_dev,
		    d->image_ino, d->image_bytes, d->direct, d->replaced);
	if (v->asked_disks == 0)
		return;
	fprintf(f, "asker %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32,
	    v->asked_disks, c->uid, c->gid, c->ngroups);
	for (i = 0; i < c->ngroups; i++)
		fprintf(f, " %" PRIu32, c->groups[i]);
	fputc('\n', f);
}

/* FNV-1a: against accidents. */
static uint64_t
record_sum(const char *text, size_t len)
{
	uint64_t sum = 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < len; i++)
		sum = (sum ^ (uint8_t)text[i]) * 0x100000001b3u;
	return (sum);
}

static void
record_print(FILE *f, const struct vment *v)
{
	char boot[64];
	unsigned i;

	boot_id(boot, sizeof(boot));
	fprintf(f, "vmd-record %d\nid %" PRIu32 "\nuid %u\npid %d\n",
	    RECORD_VERSION, v->id, (unsigned)v->uid, (int)v->pid);
	fprintf(f,
	    "start %" PRIu64 "\nboot %s\nstarted %" PRId64 "\nby %" PRIu32
	    "\ntoken ",
	    v->pid_start, boot, v->started_s, v->starter);
	for (i = 0; i < TOKEN_BYTES; i++)
		fprintf(f, "%02x", v->token[i]);
	fputc('\n', f);
	record_devs(f, v);
	fprintf(f, "--\n");
	conf_print_vm_ids(f, &v->conf);
}

static int
record_save(const struct vment *v, const char *text, size_t len, struct err *e)
{
	char name[32], temp[32];
	int fd, bad;

	record_file(v->id, "rec", name, sizeof(name));
	record_file(v->id, "new", temp, sizeof(temp));
	fd = openat(v->p->state_fd, temp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return (err_errno(e, "state directory: %s", temp));
	bad = dprintf(fd, "%.*s" SUM "%016" PRIx64 "\n", (int)len, text,
		  record_sum(text, len)) < 0;
	if (close(fd) == -1 || bad ||
	    renameat(v->p->state_fd, temp, v->p->state_fd, name) == -1)
		return (err_errno(e, "state directory: %s", name));
	return (0);
}

/* Written whole or not at all: to a temporary name first. */
int
record_write(const struct vment *v, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	int bad, rc;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		return (err_errno(e, "record of vm %s", v->conf.name));
	record_print(f, v);
	bad = ferror(f);
	if (fclose(f) == EOF || bad)
		rc = err_set(e, ENOMEM, "record of vm %s", v->conf.name);
	else
		rc = record_save(v, text, len, e);
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
	return (rc);
}

static void
record_unlink(const struct parent *p, uint32_t id)
{
	char name[32];

	record_file(id, "rec", name, sizeof(name));
	unlinkat(p->state_fd, name, 0);
	record_file(id, "sock", name, sizeof(name));
	unlinkat(p->state_fd, name, 0);
}

void
record_remove(const struct vment *v)
{
	record_unlink(v->p, v->id);
}

struct record {
	unsigned version;
	uint32_t id, uid, starter;
	int pid;
	uint64_t start;
	int64_t started_s;
	char boot[64];
	uint8_t token[TOKEN_BYTES];
	struct vmdev dev[DEVS_MAX];
	unsigned ndevs;
	struct msg_cred asker;
	uint32_t asked_disks;
	const char *conf; /* into the text; NULL: there is none */
	bool whole;       /* as it was written */
};

static int
record_token(const char *hex, uint8_t *token)
{
	unsigned i, byte;

	for (i = 0; i < TOKEN_BYTES; i++) {
		if (!isxdigit((unsigned char)hex[2 * i]) ||
		    !isxdigit((unsigned char)hex[2 * i + 1]) ||
		    sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return (-1);
		token[i] = byte;
	}
	return (0);
}

static int
record_dev(const char *line, struct vmdev *d)
{
	int direct;

	memset(d, 0, sizeof(*d));
	if (sscanf(line,
		"dev %u %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		" %d %" SCNu32,
		&d->index, &d->pid, &d->pid_start, &d->image_dev, &d->image_ino,
		&d->image_bytes, &direct, &d->replaced) != 8 ||
	    d->index >= DEVS_MAX)
		return (-1);
	d->direct = direct != 0;
	return (0);
}

static int
record_asker(const char *line, struct record *r)
{
	struct msg_cred *c = &r->asker;
	uint32_t i;
	int n = 0;

	if (sscanf(line,
		"asker %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 "%n",
		&r->asked_disks, &c->uid, &c->gid, &c->ngroups, &n) != 4 ||
	    n == 0 || c->ngroups > CRED_GROUPS)
		return (-1);
	line += n;
	for (i = 0; i < c->ngroups; i++, line += n)
		if (sscanf(line, " %" SCNu32 "%n", &c->groups[i], &n) != 1)
			return (-1);
	return (0);
}

/* The lines up to "--": what follows that; NULL: not ours. */
static const char *
record_more(const char *line, struct record *r)
{
	if (*line != '\n')
		return (NULL);
	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		if (strncmp(line, "--\n", 3) == 0)
			return (line + 2);
		if (strncmp(line, "dev ", 4) == 0) {
			if (r->ndevs == DEVS_MAX ||
			    record_dev(line, &r->dev[r->ndevs++]) == -1)
				return (NULL);
		} else if (strncmp(line, "asker ", 6) != 0 ||
		    record_asker(line, r) == -1)
			return (NULL);
	}
	return (NULL);
}

/* Takes the sum off. */
static bool
record_whole(char *text, size_t len)
{
	char want[SUM_BYTES + 1];

	if (len < SUM_BYTES)
		return (false);
	len -= SUM_BYTES;
	snprintf(
	    want, sizeof(want), SUM "%016" PRIx64 "\n", record_sum(text, len));
	if (memcmp(text + len, want, SUM_BYTES) != 0)
		return (false);
	text[len] = '\0';
	return (true);
}

/* Its head; what is not whole says no more. */
static int
record_parse(char *text, size_t len, uint32_t id, struct record *r)
{
	char hex[2 * TOKEN_BYTES + 1];
	int n = 0;

	memset(r, 0, sizeof(*r));
	r->whole = record_whole(text, len);
	if (sscanf(text,
		"vmd-record %u id %" SCNu32 " uid %" SCNu32 " pid %d start "
		"%" SCNu64 " boot %63s started %" SCNd64 " by %" SCNu32
		" token %64s%n",
		&r->version, &r->id, &r->uid, &r->pid, &r->start, r->boot,
		&r->started_s, &r->starter, hex, &n) != 9 ||
	    n == 0 || r->version != RECORD_VERSION || r->id == 0 ||
	    r->id != id || r->pid <= 1 || strlen(hex) != 2 * TOKEN_BYTES ||
	    record_token(hex, r->token) == -1)
		return (-1);
	if (r->whole)
		r->conf = record_more(text + n, r);
	return (0);
}

int
pid_open(pid_t pid, uint64_t start, uid_t uid, struct err *e)
{
	int fd;

	if ((fd = (int)syscall(SYS_pidfd_open, pid, 0)) == -1)
		return (err_errno(e, "process %d", (int)pid));
	/* Start times are hundredths of a second: the uid is the VM's own. */
	if (pid_start_time(pid) != start || pid_uid(pid) != uid) {
		close(fd);
		return (err_set(
		    e, ESRCH, "process %d is another one now", (int)pid));
	}
	return (fd);
}

/*
 * Its VM's process ended while there was no vmd.  Devices end with it, if they
 * are well; one that does not would keep its image, and the uid that another VM
 * is given.
 */
static void
record_end_devs(const struct record *r)
{
	const struct vmdev *d;
	struct err none;
	int fd;

	for (d = r->dev; d < r->dev + r->ndevs; d++) {
		if ((fd = pid_open(d->pid, d->pid_start, r->uid, &none)) == -1)
			continue;
		pidfd_kill(fd, SIGKILL);
		fd_close(&fd);
	}
}

/* The very process that the record speaks of, or -1. */
static int
record_pidfd(const struct record *r, struct err *e)
{
	char boot[64];
	int fd;

	boot_id(boot, sizeof(boot));
	if (strcmp(boot, r->boot) != 0)
		return (err_set(e, ESRCH, "of an earlier boot"));
	if ((fd = pid_open(r->pid, r->start, r->uid, e)) == -1 && r->whole)
		record_end_devs(r);
	return (fd);
}

static bool
record_devs_agree(const struct conf_vm *conf, const struct record *r)
{
	uint32_t seen = 0;
	unsigned i;

	if (r->asked_disks > conf->ndisks ||
	    r->ndevs != (unsigned)conf->ndisks + conf->nshares)
		return (false);
	for (i = 0; i < r->ndevs; i++)
		seen |= 1u << r->dev[i].index;
	return (seen == (1u << r->ndevs) - 1);
}
_Static_assert(DEVS_MAX < 32, "a bit a device");

/* Of its devices some may be gone: they get another process. */
static void
record_adopt_devs(struct vment *v, const struct record *r)
{
	uint32_t share_uid, share_gid;
	struct err e;
	unsigned i;
	int fd;

	v->asker = r->asker;
	v->asked_disks = r->asked_disks;
	share_ids(&v->conf.owner, &share_uid, &share_gid);
	for (i = 0; i < r->ndevs; i++) {
		fd = pid_open(r->dev[i].pid, r->dev[i].pid_start,
		    r->dev[i].index < v->conf.ndisks ? v->uid : share_uid, &e);
		if (vmdev_adopt(v, &r->dev[i], &fd, &e) == -1)
			fatalx("vm %s: %s", v->conf.name, e.text);
		fd_close(&fd);
	}
}

/* What it runs with; or -1: nobody knows, and only root may end it. */
static int
record_conf(const struct record *r, struct conf_vm *vm)
{
	struct conf_env env = { .cwd = "/" };
	struct conf *conf = NULL;
	struct err e;
	int rc = -1;

	if (r->conf != NULL &&
	    conf_parse(&conf, "record", r->conf, strlen(r->conf), &env, &e) ==
		0 &&
	    conf->nvms == 1 && record_devs_agree(&conf->vms[0], r)) {
		*vm = conf->vms[0];
		rc = 0;
	} else {
		conf_vm_init(vm);
		snprintf(vm->name, sizeof(vm->name), "lost-%" PRIu32, r->id);
	}
	conf_free(conf);
	return (rc);
}

/* Its process is there; takes *pidfd. */
static void
record_adopt(struct parent *p, const struct record *r, int *pidfd)
{
	struct conf_vm conf;
	struct vment *v;
	struct err e;
	bool damaged = record_conf(r, &conf) == -1;

	if ((v = vmtab_add(p, &conf, &e)) == NULL)
		fatalx("%s", e.text);
	v->id = r->id;
	v->state = VM_RUNNING;
	v->damaged = damaged;
	v->pid = r->pid;
	v->pid_start = r->start;
	v->pidfd = fd_move(pidfd);
	v->uid = r->uid;
	v->starter = r->starter;
	v->started_s = r->started_s;
	memcpy(v->token, r->token, sizeof(v->token));
	if (vm_watch(v, &e) == -1)
		fatalx("%s", e.text);
	if (damaged)
		strlcpy(v->reason,
		    "its record is damaged: name, settings, owner and disks "
		    "are not known; it runs on, and root may stop it",
		    sizeof(v->reason));
	else
		record_adopt_devs(v, r);
	parent_event(p, v, damaged, "taken back, process %d%s%s", r->pid,
	    damaged ? ": " : "", v->reason);
}

/* Not by this vmd, nor by the next; a process of its may be there. */
static void
record_keep(struct parent *p, const char *name, uint32_t id)
{
	char to[32];

	record_file(id, "damaged", to, sizeof(to));
	log_warnx("state %s: damaged; kept as %s", name, to);
	if (renameat(p->state_fd, name, p->state_fd, to) == -1)
		log_warn("state %s", name);
	p->leftovers = true;
}

static void
record_read(struct parent *p, const char *name, uint32_t id)
{
	struct record r;
	ssize_t n = -1;
	int fd, pidfd;
	struct err e;
	char *text;

	if ((text = malloc(RECORD_BYTES + 1)) == NULL)
		fatal("malloc");
	fd = openat(p->state_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1)
		n = readall(fd, text, RECORD_BYTES);
	fd_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	if (n <= 0 || record_parse(text, (size_t)n, id, &r) == -1 ||
	    vmtab_id(p, id) != NULL)
		record_keep(p, name, id);
	else if ((pidfd = record_pidfd(&r, &e)) != -1)
		record_adopt(p, &r, &pidfd);
	else if (!r.whole)
		record_keep(p, name, id);
	else {
		log_info("state %s: %s; removed", name, e.text);
		record_unlink(p, id);
	}
	explicit_bzero(text, RECORD_BYTES);
	free(text);
}

/* Each file of the state directory with that suffix and an id. */
static void
record_each(struct parent *p, const char *suffix,
    void (*fn)(struct parent *, const char *name, uint32_t id))
{
	char name[32];
	struct dirent *d;
	uint32_t id;
	DIR *dir;
	int fd;

	if ((fd = openat(
		 p->state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    (dir = fdopendir(fd)) == NULL)
		fatal("state directory");
	while ((d = readdir(dir)) != NULL) {
		id = (uint32_t)strtoul(d->d_name, NULL, 10);
		record_file(id, suffix, name, sizeof(name));
		if (id == 0 || strcmp(name, d->d_name) != 0)
			continue;
		/* Whoever has it, its id and its socket are not another's. */
		if (p->next_id < id)
			p->next_id = id;
		fn(p, name, id);
	}
	closedir(dir);
}

static void
record_is_kept(struct parent *p, const char *name, uint32_t id)
{
	(void)name;
	(void)id;
	p->leftovers = true;
}

void
record_take_back(struct parent *p)
{
	record_each(p, "damaged", record_is_kept);
	record_each(p, "rec", record_read);
}

/* ---- processes that no record tells of ---- */

static bool
uid_is_known(const struct parent *p, int64_t uid)
{
	const struct vment *v;

	if (uid < p->conf->uid_first || uid > p->conf->uid_last ||
	    uid == p->uid)
		return (true);
	TAILQ_FOREACH(v, &p->vms, entry)
		if (vm_runs(v) && v->uid == uid)
			return (true);
	return (false);
}

/* Calls fn for each; until that returns true. */
static bool
each_process(struct parent *p,
    bool (*fn)(struct parent *, pid_t, int64_t uid, uid_t want), uid_t want)
{
	struct dirent *d;
	bool found = false;
	pid_t pid;
	DIR *dir;

	if ((dir = opendir("/proc")) == NULL)
		return (true); /* then any may be there */
	while (!found && (d = readdir(dir)) != NULL)
		if ((pid = (pid_t)strtol(d->d_name, NULL, 10)) > 0)
			found = fn(p, pid, pid_uid(pid), want);
	closedir(dir);
	return (found);
}

static bool
has_uid(struct parent *p, pid_t pid, int64_t uid, uid_t want)
{
	(void)p;
	(void)pid;
	return (uid == want);
}

bool
record_uid_used(struct parent *p, uid_t uid)
{
	return (p->leftovers && each_process(p, has_uid, uid));
}

static bool
end_process(struct parent *p, pid_t pid, int64_t uid, uid_t want)
{
	int fd;

	(void)p;
	if (uid != want || (fd = (int)syscall(SYS_pidfd_open, pid, 0)) == -1)
		return (false);
	/* The number may be another's by now; then so is the uid. */
	if (pid_uid(pid) == want)
		pidfd_kill(fd, SIGKILL);
	fd_close(&fd);
	return (false);
}

void
record_end_uid(struct parent *p, uid_t uid)
{
	p->leftovers = true; /* they take a moment, or for ever */
	(void)each_process(p, end_process, uid);
}

static bool
name_leftover(struct parent *p, pid_t pid, int64_t uid, uid_t want)
{
	(void)want;
	if (uid_is_known(p, uid))
		return (false);
	p->leftovers = true;
	parent_event(p, NULL, true,
	    "process %d of uid %lld is of a vm whose record is damaged: this "
	    "vmd cannot take it back; it runs on until it is ended: kill -KILL %d",
	    (int)pid, (long long)uid, (int)pid);
	return (false);
}

static void
record_forget(struct parent *p, const char *name, uint32_t id)
{
	unlinkat(p->state_fd, name, 0);
	if (vmtab_id(p, id) == NULL)
		record_unlink(p, id);
}

void
record_leftovers(struct parent *p)
{
	if (!p->leftovers)
		return;
	p->leftovers = false;
	(void)each_process(p, name_leftover, 0);
	if (!p->leftovers)
		record_each(p, "damaged", record_forget);
}
