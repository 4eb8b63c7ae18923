/* SPDX-License-Identifier: ISC */
/*
 * The system calls of disk images, written down and made to fail: in place of
 * disk_sys_linux.  Not for several threads at once, but for hook().
 */
#ifndef REGRESS_FAULTSYS_H
#define REGRESS_FAULTSYS_H

#include "daemon/disk/disk.h"

enum fs_call {
	FS_PREADV,
	FS_PWRITEV,
	FS_FALLOCATE,
	FS_FDATASYNC,
	FS_SUBMIT,    /* cut: takes no more than so many requests */
	FS_GETEVENTS, /* counted by events; cut: so many bytes were moved */
	FS_NCALLS,
};

/* The calls nth, nth + 1 ... nth + times - 1 of their kind, from 1 on. */
struct fs_fault {
	enum fs_call call;
	unsigned nth, times;
	int error;  /* 0: cut it short */
	size_t cut; /* bytes */
};

struct fs_op {
	enum fs_call call;
	int mode; /* of fallocate */
	uint64_t off, bytes;
};

#define FS_FAULTS_MAX 4
#define FS_OPS_MAX 4096

struct faultsys {
	unsigned calls[FS_NCALLS];
	struct fs_fault fault[FS_FAULTS_MAX];
	struct fs_op op[FS_OPS_MAX];
	unsigned nops;              /* more than FS_OPS_MAX are counted only */
	void (*hook)(enum fs_call); /* before each; a slow disk */
};

extern struct faultsys faultsys;
extern const struct disk_sys faultsys_sys;

/* Forget all. */
void faultsys_reset(void);
/* One more fault; nth counts from now. */
void faultsys_fail(
    enum fs_call, unsigned nth, unsigned times, int error, size_t cut);
unsigned faultsys_total(void);

#endif
