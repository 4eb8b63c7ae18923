/* SPDX-License-Identifier: ISC */
/*
 * vm.conf(5): from bytes to plain data, and back.  Nothing here opens a file,
 * logs, exits or changes the system, but for conf_load() and conf_check_main()
 * in conf_load.c.  The parent alone applies what comes out.
 *
 * Runs in: parent, and vmd -n.  Trusts: root's vm.conf to mean well, not to be
 * well formed.
 */
#ifndef PARENT_CONF_H
#define PARENT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/err.h"
#include "shared/str.h"

#define CONF_FILE "/etc/vm.conf"
#define CONF_SOCKET "/run/vmd.sock"
#define CONF_STATE_DIR "/var/lib/vmd"
#define CONF_AGENTX "/var/agentx/master"
#define CONF_PREFIX 0x64400000u /* 100.64.0.0 */
#define CONF_PREFIX_LEN 10
#define CONF_DELAY 30
/*
 * A uid for each of CONF_VMS_MAX, out of what Debian's policy and systemd give
 * to nobody (60001 on are systemd-homed's, 61184 on DynamicUser's).
 */
#define CONF_UID_FIRST 70000
#define CONF_UID_LAST 74095

#define CONF_NAME_BYTES STR_NAME_BYTES /* vm and switch names, with NUL */
#define CONF_PATH_BYTES 1024
#define CONF_SOCKET_BYTES 108 /* sun_path, with NUL */
#define CONF_CMDLINE_BYTES 2048
#define CONF_GROUP_BYTES 16
#define CONF_IFNAME_BYTES 16 /* IFNAMSIZ */
#define CONF_LOGIN_BYTES 33  /* user and group names */
#define CONF_CONTEXT_BYTES 33

#define CONF_DISKS_MAX 4
#define CONF_NICS_MAX 4
#define CONF_SHARES_MAX 4
#define CONF_CPUS_MAX 64
#define CONF_VMS_MAX 4096
#define CONF_SWITCHES_MAX 256

#define CONF_NONE UINT32_MAX /* "not set" of rdomain, gid, stop timeout */

/* Numbers are what counts; the names are as written, "" for a number. */
struct conf_owner {
	uint32_t uid;
	uint32_t gid; /* CONF_NONE: no group */
	char user[CONF_LOGIN_BYTES];
	char group[CONF_LOGIN_BYTES];
};

enum conf_format { CONF_FORMAT_AUTO, CONF_FORMAT_RAW, CONF_FORMAT_QCOW2 };

#define CONF_SERIAL_MAX 20 /* characters; virtio 1.2, 5.2.6.1 */
#define CONF_TAG_MAX 20    /* of 36, virtio 1.2, 5.11.4 */

struct conf_disk {
	uint8_t format;   /* enum conf_format */
	uint8_t on_error; /* enum dev_on_error */
	bool readonly, direct;
	char serial[CONF_SERIAL_MAX + 1];
	char path[CONF_PATH_BYTES];
};

struct conf_share {
	bool writable;
	char tag[CONF_TAG_MAX + 1];
	char path[CONF_PATH_BYTES];
};

struct conf_nic {
	bool local, locked, up, has_lladdr;
	uint8_t lladdr[6];
	uint32_t rdomain;            /* CONF_NONE: the switch's */
	char tap[CONF_IFNAME_BYTES]; /* "": the next free one */
	char sw[CONF_NAME_BYTES];    /* "": no switch */
	char group[CONF_GROUP_BYTES];
};

enum conf_bootdev {
	CONF_BOOTDEV_AUTO,
	CONF_BOOTDEV_CDROM,
	CONF_BOOTDEV_DISK,
	CONF_BOOTDEV_NET
};

/* Rights of "allow instance". */
#define CONF_ALLOW_BOOT 0x01u
#define CONF_ALLOW_MEMORY 0x02u
#define CONF_ALLOW_INTERFACE 0x04u
#define CONF_ALLOW_DISK 0x08u
#define CONF_ALLOW_CDROM 0x10u
#define CONF_ALLOW_INSTANCE 0x20u
#define CONF_ALLOW_OWNER 0x40u /* allow_owner is set */

struct conf_vm {
	char name[CONF_NAME_BYTES];
	char instance[CONF_NAME_BYTES]; /* name of the template, "": none */
	/*
	 * One bit per row of conf_keys[CONF_SCOPE_VM]: written in the file, not
	 * defaulted.  Of meaning for an instance only, which inherits the rest.
	 */
	uint64_t set;
	bool enabled, sev, seves;
	uint8_t bootdev; /* enum conf_bootdev */
	uint8_t ndisks, nnics, nshares;
	uint32_t cpus;
	uint32_t stop_timeout; /* seconds; CONF_NONE: the global one */
	uint32_t allow;        /* CONF_ALLOW_* */
	uint64_t memory;       /* bytes, whole megabytes */
	uint64_t console_size; /* bytes, a power of two */
	struct conf_owner owner, allow_owner;
	char boot[CONF_PATH_BYTES]; /* "": firmware */
	char initrd[CONF_PATH_BYTES];
	char cdrom[CONF_PATH_BYTES];
	char cmdline[CONF_CMDLINE_BYTES];
	struct conf_disk disks[CONF_DISKS_MAX];
	struct conf_share shares[CONF_SHARES_MAX];
	struct conf_nic nics[CONF_NICS_MAX];
};

struct conf_switch {
	char name[CONF_NAME_BYTES];
	bool enabled, locked, up;
	uint32_t rdomain; /* CONF_NONE: not set */
	char ifname[CONF_IFNAME_BYTES];
	char group[CONF_GROUP_BYTES];
};

enum conf_hugepages { CONF_HUGE_ADVISE, CONF_HUGE_OFF };

struct conf {
	bool agentx, inet6, has_prefix6, staggered;
	uint8_t hugepages; /* enum conf_hugepages */
	uint8_t prefix_len, prefix6_len;
	uint32_t prefix;       /* IPv4, host order */
	uint8_t prefix6[16];   /* if has_prefix6, else chosen at random */
	uint32_t parallel;     /* 0: as many as the host has CPUs */
	uint32_t delay;        /* seconds */
	uint32_t stop_timeout; /* seconds */
	uint32_t uid_first, uid_last; /* a uid of its own for each VM */
	struct conf_owner socket_owner;
	char socket_path[CONF_SOCKET_BYTES];
	char state_dir[CONF_PATH_BYTES];
	char agentx_path[CONF_PATH_BYTES];
	char agentx_context[CONF_CONTEXT_BYTES];
	struct conf_switch *switches; /* in the file's order */
	size_t nswitches;
	struct conf_vm *vms; /* in the file's order */
	size_t nvms;
};

/* ---- keys: the one truth for parser, printer, manual check and forms ---- */

enum conf_scope {
	CONF_SCOPE_GLOBAL,
	CONF_SCOPE_SWITCH,
	CONF_SCOPE_VM,
	CONF_SCOPE_IF,
	CONF_SCOPE_DISK,
	CONF_SCOPE_SHARE,
	CONF_NSCOPES
};

enum conf_type {
	CONF_FLAG,    /* word alone; bool field becomes min (== max) */
	CONF_CHOICE,  /* one of choices[]; uint8_t field: its index + min */
	CONF_NUM,     /* min..max; uint32_t field */
	CONF_SIZE,    /* bytes with K M G T, min..max; uint64_t field */
	CONF_STRING,  /* char field of max + 1 bytes; so are the next five */
	CONF_PATH,    /* a relative one is made absolute */
	CONF_ABSPATH, /* must be absolute */
	CONF_NAME,    /* of a switch */
	CONF_IFNAME,  /* of an interface of the host */
	CONF_GROUP,   /* interface group, last character not a digit */
	CONF_OWNER,   /* struct conf_owner field; def: its gid */
	CONF_SPECIAL  /* grammar of its own, see vm.conf(5) */
};

struct conf_key {
	const char *name; /* one to two words, as in the manual */
	const char *text; /* one line for a person */
	const char *unit; /* "bytes", "seconds", or NULL */
	uint64_t min, max, def;
	const char *sdef;           /* default of strings; NULL: "" */
	const char *const *choices; /* CONF_CHOICE, NULL-terminated */
	size_t field;               /* offsetof; unused for CONF_SPECIAL */
	uint32_t step;              /* CONF_SIZE: rounded down to; 0: no */
	enum conf_type type;
	bool many; /* may be given more than once; strings: last wins */
	bool pow2; /* CONF_SIZE: a power of two */
};

struct conf_keys {
	const char *name; /* "vm", for messages */
	const struct conf_key *rows;
	size_t nrows;
};

extern const struct conf_keys conf_keys[CONF_NSCOPES];

/* NULL if there is none. */
const struct conf_key *conf_key_find(enum conf_scope, const char *name);

/* With its defaults. */
void conf_disk_init(struct conf_disk *);
/* No control character, and nothing that a file could not hold. */
bool conf_text_ok(const char *);

/* ---- parse ---- */

enum conf_level {
	CONF_NOTE, /* unused macro: for the verbose */
	CONF_WARN,
	CONF_ERROR
};

/* What the parser asks of its caller.  Every callback may be NULL. */
struct conf_env {
	void *ctx;
	/*
	 * Read the file that "include" names in file from.  Gives malloc'd
	 * bytes and a malloc'd name for messages; the parser frees both.
	 */
	int (*include)(void *ctx, const char *from, const char *name,
	    char **bytes, size_t *len, char **path, struct err *);
	/* getpwnam, getgrnam: 0 and the id, or -1 for an unknown name. */
	int (*user)(void *ctx, const char *name, uint32_t *uid);
	int (*group)(void *ctx, const char *name, uint32_t *gid);
	/* Every finding, "file:line:column: text", in the file's order. */
	void (*report)(void *ctx, enum conf_level, const char *line);
	const char *const *macros; /* "name=value" of -D */
	size_t nmacros;
	const char *cwd; /* for relative paths; NULL: "/" */
	/*
	 * VMs and switches known already ("vmctl load"): a name defined there
	 * counts as a template or switch, but may be defined again.
	 */
	const struct conf *base;
};

/*
 * Parse len bytes.  0 and *out (free with conf_free), or -1 and the first
 * error in *e.  Warnings do not fail.  The bytes need no NUL.
 */
int conf_parse(struct conf **out, const char *name, const char *bytes,
    size_t len, const struct conf_env *, struct err *e);
/* As conf_parse("", 0): the defaults.  NULL: no memory. */
struct conf *conf_new(void);
void conf_free(struct conf *);

/* Set the plain keys of a zeroed object to their defaults. */
void conf_defaults(enum conf_scope, void *object);
/* Set every field to its default (name stays ""). */
void conf_vm_init(struct conf_vm *);
/* By name; NULL: not found. */
const struct conf_vm *conf_vm_find(const struct conf *, const char *name);
const struct conf_switch *conf_switch_find(
    const struct conf *, const char *name);
/* Seconds between power button and force. */
uint32_t conf_stop_timeout(const struct conf *, const struct conf_vm *);
/*
 * -1 and the first setting that this version parses but cannot start yet;
 * 0 if the VM can be started.
 */
int conf_vm_unsupported(const struct conf_vm *, struct err *e);

/* ---- print ---- */

/* Canonical form; parsing it gives an equal conf. */
void conf_print(FILE *, const struct conf *);
void conf_print_vm(FILE *, const struct conf_vm *);
/* With owners as numbers: for a record that is read back by itself, without
 * the host's users. */
void conf_print_vm_ids(FILE *, const struct conf_vm *);

/* ---- compare ---- */

bool conf_equal(const struct conf *, const struct conf *);
bool conf_vm_equal(const struct conf_vm *, const struct conf_vm *);
bool conf_switch_equal(const struct conf_switch *, const struct conf_switch *);

enum conf_act {
	CONF_GLOBAL_CHANGE,   /* key */
	CONF_SWITCHES_CHANGE, /* take the new list */
	CONF_VM_REMOVE,       /* have: stopped, not in the file any more */
	CONF_VM_CHANGE,       /* have, vm: stopped, take the new settings */
	CONF_VM_ADD,          /* vm */
	CONF_VM_LATER         /* have: runs on with its old settings; vm: new
				 * ones, or NULL if it has left the file */
};

/* A VM that the parent has, whatever file it came from. */
struct conf_have {
	const struct conf_vm *vm;
	bool running;
};

struct conf_action {
	enum conf_act act;
	size_t have;              /* index in have[] */
	const struct conf_vm *vm; /* borrowed from the new conf */
	const struct conf_key *key;
};

/*
 * What a reload has to do, in the order to do it.  add_only: "vmctl load",
 * which changes nothing that is there.  0 and a malloc'd array in *acts
 * (NULL if *nacts is 0), or -1 without memory.
 */
int conf_diff(const struct conf *old, const struct conf_have *have,
    size_t nhave, const struct conf *new, bool add_only,
    struct conf_action **acts, size_t *nacts);

/* ---- with files: conf_load.c ---- */

/*
 * Read and parse path with the host's users and files.  NULL: CONF_FILE, and
 * then a missing file gives the defaults.  report as in struct conf_env.
 */
int conf_load(struct conf **out, const char *path, const char *const *macros,
    size_t nmacros, const struct conf *base,
    void (*report)(void *ctx, enum conf_level, const char *line), void *ctx,
    struct err *e);

/*
 * vmd -n: canonical form to stdout, findings to stderr (unused macros only if
 * verbose).  Returns the exit status.
 */
int conf_check_main(
    const char *path, const char *const *macros, size_t nmacros, bool verbose);

#endif
