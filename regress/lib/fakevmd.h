/* SPDX-License-Identifier: ISC */
/*
 * A daemon that only speaks the protocol: guests that exist in its memory,
 * consoles that echo what is typed.  For tests of clients.
 */
#ifndef REGRESS_LIB_FAKEVMD_H
#define REGRESS_LIB_FAKEVMD_H

#include <stddef.h>
#include <stdint.h>

struct fakevmd_conf {
	const char *path;    /* socket to make */
	int nguests;         /* every fourth is stopped */
	const void *history; /* what each console printed already */
	size_t history_len;
	uint64_t history_lost; /* bytes before it that are gone */
	int flood;             /* consoles print without end */
};

/* Serve until killed; never returns. */
void fakevmd_run(const struct fakevmd_conf *) __attribute__((noreturn));
/* The same in a child: its pid, once the socket can be connected to; or -1. */
int fakevmd_fork(const struct fakevmd_conf *);

#endif
