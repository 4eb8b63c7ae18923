/* SPDX-License-Identifier: ISC */
/* Names of users: see users.h. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "tui/users.h"

#define USERS_MAX 4096

static struct user {
	uint32_t uid;
	char name[OWNER_BYTES];
} * users;
static size_t nusers;

void
users_load(void)
{
	struct passwd *pw;

	free(users);
	nusers = 0;
	if ((users = calloc(USERS_MAX, sizeof(*users))) == NULL)
		return;
	setpwent();
	while (nusers < USERS_MAX && (pw = getpwent()) != NULL) {
		users[nusers].uid = pw->pw_uid;
		snprintf(users[nusers].name, sizeof(users[nusers].name), "%s",
		    pw->pw_name);
		nusers++;
	}
	endpwent();
}

void
user_name(uint32_t uid, char buf[OWNER_BYTES])
{
	size_t i;

	for (i = 0; i < nusers; i++)
		if (users[i].uid == uid) {
			snprintf(buf, OWNER_BYTES, "%s", users[i].name);
			return;
		}
	snprintf(buf, OWNER_BYTES, "%u", uid);
}
