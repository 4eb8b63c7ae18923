/* SPDX-License-Identifier: ISC */
/*
 * T68: who may do what to which VM, every user with every verb on every VM,
 * against a table that was written by hand from vmctl(8), PERMISSIONS.
 */
#include <string.h>

#include "daemon/proc/perm.h"
#include "regress/lib/tap.h"

#define NO_GROUP UINT32_MAX
#define OWNER 1000
#define GROUP 2000
#define STARTER 1004

static const struct user {
	const char *name;
	struct msg_cred cred;
} users[] = {
	{ "root", { .uid = 0, .gid = 0 } },
	{ "owner", { .uid = OWNER, .gid = 100 } },
	{ "primary member", { .uid = 1001, .gid = GROUP } },
	{ "member",
	    { .uid = 1002,
		.gid = 100,
		.ngroups = 3,
		.groups = { 5, 6, GROUP } } },
	{ "stranger",
	    { .uid = 1003, .gid = 100, .ngroups = 2, .groups = { 5, 6 } } },
	{ "starter", { .uid = STARTER, .gid = 100 } },
};
#define NUSERS (sizeof(users) / sizeof(users[0]))

/* Letters stand for the verbs, in the order of enum perm_verb. */
static const char verbs[PERM_NVERBS + 1] = "CSTPRWLA";

/* What each user, in the order above, may do: the letters, the rest is "-". */
static const struct {
	const char *name;
	struct perm_vm vm;
	const char *may[NUSERS];
} vms[] = {
	{ "owner's own, stopped", { .owner_uid = OWNER, .owner_gid = NO_GROUP },
	    { "CSTPRWLA", "CSTPRWL-", "------L-", "------L-", "------L-",
		"------L-" } },
	{ "owner's own, started by the starter",
	    { .owner_uid = OWNER,
		.owner_gid = NO_GROUP,
		.started = true,
		.starter_uid = STARTER },
	    { "CSTPRWLA", "CSTPRWL-", "------L-", "------L-", "------L-",
		"--T---L-" } },
	{ "of owner and group", { .owner_uid = OWNER, .owner_gid = GROUP },
	    { "CSTPRWLA", "CSTPRWL-", "CSTPRWL-", "CSTPRWL-", "------L-",
		"------L-" } },
	{ "root's, shared with the group",
	    { .owner_uid = 0, .owner_gid = GROUP },
	    { "CSTPRWLA", "------L-", "CSTPRWL-", "CSTPRWL-", "------L-",
		"------L-" } },
	{ "root's", { .owner_uid = 0, .owner_gid = NO_GROUP },
	    { "CSTPRWLA", "------L-", "------L-", "------L-", "------L-",
		"------L-" } },
	/* The uid of who started an earlier run counts no more. */
	{ "root's, stopped again",
	    { .owner_uid = 0, .owner_gid = NO_GROUP, .starter_uid = STARTER },
	    { "CSTPRWLA", "------L-", "------L-", "------L-", "------L-",
		"------L-" } },
	{ "root's, started by the starter",
	    { .owner_uid = 0,
		.owner_gid = NO_GROUP,
		.started = true,
		.starter_uid = STARTER },
	    { "CSTPRWLA", "------L-", "------L-", "------L-", "------L-",
		"--T---L-" } },
};
#define NVMS (sizeof(vms) / sizeof(vms[0]))

static void
test_matrix(void)
{
	size_t u, v, cells = 0;
	unsigned verb;
	bool want;

	CHECK_EQ(strlen(verbs), PERM_NVERBS);
	for (v = 0; v < NVMS; v++)
		for (u = 0; u < NUSERS; u++)
			for (verb = 0; verb < PERM_NVERBS; verb++) {
				want = vms[v].may[u][verb] == verbs[verb];
				cells++;
				CHECK_MSG(perm_ok(&users[u].cred, verb,
					      &vms[v].vm) == want,
				    "%s, %c, vm %s: not %s", users[u].name,
				    verbs[verb], vms[v].name,
				    want ? "allowed" : "refused");
			}
	CHECK_EQ(cells, 336);
}

/* "No group" is a number too, and nobody is in it. */
static void
test_no_group(void)
{
	struct perm_vm vm = { .owner_uid = 0, .owner_gid = NO_GROUP };
	struct msg_cred c = { .uid = 1, .gid = NO_GROUP, .ngroups = 1 };

	c.groups[0] = NO_GROUP;
	CHECK(!perm_ok(&c, PERM_START, &vm));
	CHECK(!perm_ok(&c, PERM_CONSOLE, &vm));
}

/* The last group that fits counts, one more is not read. */
static void
test_groups(void)
{
	struct perm_vm vm = { .owner_uid = 0, .owner_gid = GROUP };
	struct msg_cred c = { .uid = 1, .gid = 1, .ngroups = CRED_GROUPS };

	c.groups[CRED_GROUPS - 1] = GROUP;
	CHECK(perm_ok(&c, PERM_START, &vm));
	c.groups[CRED_GROUPS - 1] = 3;
	c.ngroups = UINT32_MAX;
	CHECK(!perm_ok(&c, PERM_START, &vm));
	c.groups[0] = GROUP;
	c.ngroups = 0;
	CHECK(!perm_ok(&c, PERM_START, &vm));
}

static void
test_unknown_verb(void)
{
	struct perm_vm vm = { .owner_uid = OWNER, .owner_gid = GROUP };

	CHECK(!perm_ok(&users[1].cred, PERM_NVERBS, &vm));
	CHECK(perm_ok(&users[0].cred, PERM_ADMIN, NULL));
	CHECK(!perm_ok(&users[1].cred, PERM_ADMIN, NULL));
}

static const struct tap_case cases[] = {
	{ "T68 perm: user x verb x vm", test_matrix },
	{ "T68 perm: nobody is in no group", test_no_group },
	{ "T68 perm: as many groups as there are", test_groups },
	{ "T68 perm: a verb of tomorrow", test_unknown_verb },
};
TAP_MAIN(cases)
