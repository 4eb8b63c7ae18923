/* SPDX-License-Identifier: ISC */
/* What a process that a guest has taken over would try; S3. */
#ifndef REGRESS_HOSTILE_H
#define REGRESS_HOSTILE_H

#include <stddef.h>

struct attempt {
	const char *name;
	int nr; /* the system call, to be looked up in a role's list; -1 */
	long (*try)(void); /* >= 0: it worked; -1 with errno */
};
extern const struct attempt attempts[];
extern const size_t nattempts;

#endif
