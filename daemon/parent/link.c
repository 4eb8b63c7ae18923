/* SPDX-License-Identifier: ISC */
/*
 * Running VM processes, found again.
 *
 * Each vm process listens on a socket of its own, STATE/vm/ID.sock, which the
 * parent made for it.  Who holds the VM's token may connect and become its vmm
 * or its control: the parent connects, shows the token and hands the socket to
 * that role.  STATE/vm/ID.rec says what the next vmd must know to do the same.
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
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/fd.h"
#include "shared/imsg.h"
#include "shared/log.h"
#include "shared/str.h"

#define RECORD_VERSION 1
#define RECORD_BYTES 65536
#define DEVS_MAX (CONF_DISKS_MAX + CONF_SHARES_MAX)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* A path that is short whatever the state directory's is. */
static void
link_addr(const struct vment *v, struct sockaddr_un *sun)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	snprintf(sun->sun_path, sizeof(sun->sun_path),
	    "/proc/self/fd/%d/%" PRIu32 ".sock", v->p->state_fd, v->id);
}

static void
link_file(const struct vment *v, const char *suffix, char *buf, size_t len)
{
	snprintf(buf, len, "%" PRIu32 ".%s", v->id, suffix);
}

int
link_listen(struct vment *v, int *fd, struct err *e)
{
	struct sockaddr_un sun;
	char file[32];

	if (getrandom(v->token, sizeof(v->token), 0) != sizeof(v->token))
		return (err_errno(e, "getrandom"));
	link_addr(v, &sun);
	link_file(v, "sock", file, sizeof(file));
	if (unlinkat(v->p->state_fd, file, 0) == -1 && errno != ENOENT)
		return (err_errno(e, "state directory: %s", file));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd == -1)
		return (err_errno(e, "socket"));
	if (bind(*fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(*fd, 8) == -1) {
		err_errno(e, "state directory: %s", file);
		fd_close(fd);
		return (-1);
	}
	return (0);
}

int
link_connect(struct vment *v, enum role role, int *fd, struct err *e)
{
	struct msg_rendezvous body = { .role = role };
	struct imsgbuf buf;
	struct sockaddr_un sun;
	int rc = -1;

	link_addr(v, &sun);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd == -1)
		return (err_errno(e, "socket"));
	if (connect(*fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		err_errno(e, "the process of vm %s does not take calls",
		    v->conf.name);
		fd_close(fd);
		return (-1);
	}
	memcpy(body.token, v->token, sizeof(body.token));
	if (imsgbuf_init(&buf, *fd) == -1 ||
	    imsg_compose(&buf, MSG_RENDEZVOUS, 0, 0, -1, &body, sizeof(body)) ==
		-1 ||
	    imsgbuf_flush(&buf) == -1)
		err_errno(
		    e, "the process of vm %s does not listen", v->conf.name);
	else
		rc = 0;
	imsgbuf_clear(&buf);
	explicit_bzero(&body, sizeof(body));
	if (rc == -1)
		fd_close(fd);
	return (rc);
}

void
link_control(struct vment *v)
{
	struct msg_vm_channel body = { .id = v->id };
	struct err e;
	int fd;

	if (v->p->control.peer == NULL || !vm_runs(v))
		return;
	if (link_connect(v, ROLE_CONTROL, &fd, &e) == -1) {
		parent_event(v->p, v, true, "no console: %s", e.text);
		return;
	}
	peer_send(v->p->control.peer, MSG_CTL_VM, 0, &fd, &body, sizeof(body));
}

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

/* Written whole or not at all: to a temporary name first. */
int
record_write(const struct vment *v, struct err *e)
{
	char name[32], temp[32], boot[64];
	unsigned i;
	FILE *f;
	int fd, bad;

	link_file(v, "rec", name, sizeof(name));
	link_file(v, "new", temp, sizeof(temp));
	fd = openat(v->p->state_fd, temp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || (f = fdopen(fd, "w")) == NULL) {
		fd_close(&fd);
		return (err_errno(e, "state directory: %s", temp));
	}
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
	bad = ferror(f);
	if (fclose(f) == EOF || bad ||
	    renameat(v->p->state_fd, temp, v->p->state_fd, name) == -1)
		return (err_errno(e, "state directory: %s", name));
	return (0);
}

void
record_remove(const struct vment *v)
{
	char name[32];

	link_file(v, "rec", name, sizeof(name));
	unlinkat(v->p->state_fd, name, 0);
	link_file(v, "sock", name, sizeof(name));
	unlinkat(v->p->state_fd, name, 0);
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
	const char *conf; /* into the text */
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

static int
record_parse(char *text, struct record *r, struct err *e)
{
	char hex[2 * TOKEN_BYTES + 1];
	int n = 0;

	memset(r, 0, sizeof(*r));
	if (sscanf(text,
		"vmd-record %u id %" SCNu32 " uid %" SCNu32 " pid %d start "
		"%" SCNu64 " boot %63s started %" SCNd64 " by %" SCNu32
		" token %64s%n",
		&r->version, &r->id, &r->uid, &r->pid, &r->start, r->boot,
		&r->started_s, &r->starter, hex, &n) != 9 ||
	    n == 0 || r->version != RECORD_VERSION || r->id == 0 ||
	    r->pid <= 1 || strlen(hex) != 2 * TOKEN_BYTES ||
	    record_token(hex, r->token) == -1 ||
	    (r->conf = record_more(text + n, r)) == NULL)
		return (err_set(e, EINVAL, "not a record of this vmd"));
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
	if ((fd = pid_open(r->pid, r->start, r->uid, e)) == -1)
		record_end_devs(r);
	return (fd);
}

/* Of its devices some may be gone: they get another process. */
static int
record_adopt_devs(struct vment *v, const struct record *r, struct err *e)
{
	uint32_t share_uid, share_gid;
	struct err none;
	unsigned i;
	int fd, rc;

	v->asker = r->asker;
	v->asked_disks = r->asked_disks;
	if (r->asked_disks > v->conf.ndisks ||
	    r->ndevs != (unsigned)v->conf.ndisks + v->conf.nshares)
		return (err_set(e, EINVAL, "devices do not agree"));
	share_ids(&v->conf.owner, &share_uid, &share_gid);
	for (i = 0; i < r->ndevs; i++) {
		fd = pid_open(r->dev[i].pid, r->dev[i].pid_start,
		    r->dev[i].index < v->conf.ndisks ? v->uid : share_uid,
		    &none);
		rc = vmdev_adopt(v, &r->dev[i], &fd, e);
		fd_close(&fd);
		if (rc == -1)
			return (-1);
	}
	return (0);
}

static int
record_adopt(struct parent *p, const struct record *r, struct err *e)
{
	struct conf_env env = { .cwd = "/" };
	struct conf *conf = NULL;
	struct vment *v;
	int fd, rc = -1;

	if ((fd = record_pidfd(r, e)) == -1)
		return (-1);
	if (conf_parse(&conf, "record", r->conf, strlen(r->conf), &env, e) ==
	    -1)
		goto out;
	if (conf->nvms != 1) {
		err_set(e, EINVAL, "holds %zu vms, not one", conf->nvms);
		goto out;
	}
	if (vmtab_id(p, r->id) != NULL) {
		err_set(e, EEXIST, "id %u is in use", r->id);
		goto out;
	}
	if ((v = vmtab_add(p, &conf->vms[0], e)) == NULL)
		goto out;
	v->id = r->id;
	if (p->next_id < r->id)
		p->next_id = r->id;
	v->state = VM_RUNNING;
	v->pid = r->pid;
	v->pid_start = r->start;
	v->pidfd = fd_move(&fd);
	v->uid = r->uid;
	v->starter = r->starter;
	v->started_s = r->started_s;
	memcpy(v->token, r->token, sizeof(v->token));
	if ((rc = vm_watch(v, e)) == 0 &&
	    (rc = record_adopt_devs(v, r, e)) == 0)
		parent_event(p, v, false, "taken back, process %d", r->pid);
out:
	fd_close(&fd);
	conf_free(conf);
	return (rc);
}

static void
record_read(struct parent *p, const char *name)
{
	struct record r;
	struct err e;
	char *text, sock[64];
	ssize_t n = -1;
	int fd;

	if ((text = malloc(RECORD_BYTES + 1)) == NULL)
		fatal("malloc");
	fd = openat(p->state_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1)
		n = readall(fd, text, RECORD_BYTES);
	if (n == -1)
		err_errno(&e, "read");
	else
		text[n] = '\0';
	if (n == -1 || record_parse(text, &r, &e) == -1 ||
	    record_adopt(p, &r, &e) == -1) {
		log_info("state %s: %s; removed", name, e.text);
		unlinkat(p->state_fd, name, 0);
		snprintf(sock, sizeof(sock), "%.*s.sock",
		    (int)strcspn(name, "."), name);
		unlinkat(p->state_fd, sock, 0);
	}
	fd_close(&fd);
	explicit_bzero(text, RECORD_BYTES);
	free(text);
}

void
record_take_back(struct parent *p)
{
	struct dirent *d;
	DIR *dir;
	int fd;

	if ((fd = openat(
		 p->state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    (dir = fdopendir(fd)) == NULL)
		fatal("state directory");
	while ((d = readdir(dir)) != NULL)
		if (strlen(d->d_name) < 32 && strlen(d->d_name) > 4 &&
		    strcmp(d->d_name + strlen(d->d_name) - 4, ".rec") == 0)
			record_read(p, d->d_name);
	closedir(dir);
}
