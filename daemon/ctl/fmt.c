/* SPDX-License-Identifier: ISC */
/*
 * How vmctl shows things: see fmt.h.  Names and reasons come from elsewhere:
 * they pass str_vis() first, which also makes them UTF-8 for JSON.
 */
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>

#include <jansson.h>

#include "daemon/ctl/fmt.h"
#include "shared/devpage.h"
#include "shared/size.h"
#include "shared/str.h"

#define COLUMNS "%5s %5s %5s %7s %7s %7s %12s %8s %s\n"
#define NO_GROUP UINT32_MAX
#define SHOWN_BYTES (4 * ERR_TEXT_BYTES)

/* The last one is kept: a thousand VMs of one owner are one look-up. */
static void
user_name(char *dst, size_t size, uint32_t uid)
{
	static char name[64];
	static uint32_t of;
	struct passwd *pw;

	if (name[0] == '\0' || uid != of) {
		of = uid;
		if ((pw = getpwuid(uid)) != NULL)
			str_vis(name, sizeof(name), pw->pw_name);
		else
			snprintf(name, sizeof(name), "%" PRIu32, uid);
	}
	strlcpy(dst, name, size);
}

static void
group_name(char *dst, size_t size, uint32_t gid)
{
	static char name[64];
	static uint32_t of;
	struct group *gr;

	if (name[0] == '\0' || gid != of) {
		of = gid;
		if ((gr = getgrgid(gid)) != NULL)
			str_vis(name, sizeof(name), gr->gr_name);
		else
			snprintf(name, sizeof(name), "%" PRIu32, gid);
	}
	strlcpy(dst, name, size);
}

void
fmt_owner(char *dst, size_t size, uint32_t uid, uint32_t gid)
{
	char user[64], group[64];

	user_name(user, sizeof(user), uid);
	strlcpy(dst, user, size);
	if (gid == NO_GROUP)
		return;
	group_name(group, sizeof(group), gid);
	strlcat(dst, ":", size);
	strlcat(dst, group, size);
}

void
fmt_duration(char *dst, size_t size, int64_t seconds)
{
	long long s = seconds < 0 ? 0 : seconds;

	if (s < 3600)
		snprintf(dst, size, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(dst, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(dst, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

/* Has it a process? */
static bool
runs(const struct msg_row *row)
{
	return (row->state != VM_STOPPED && row->state != VM_WAITING);
}

void
fmt_head(FILE *f)
{
	fprintf(f, COLUMNS, "ID", "PID", "VCPUS", "MAXMEM", "CURMEM", "TTY",
	    "OWNER", "STATE", "NAME");
}

void
fmt_row(FILE *f, const struct msg_row *row)
{
	char id[16], pid[16] = "-", ncpus[16], owner[FMT_OWNER_BYTES];
	char max[SIZE_TEXT_BYTES], cur[SIZE_TEXT_BYTES] = "-";
	char name[4 * VM_NAME_BYTES];

	snprintf(id, sizeof(id), "%" PRIu32, row->id);
	snprintf(ncpus, sizeof(ncpus), "%" PRIu32, row->ncpus);
	size_format(max, sizeof(max), row->mem_bytes);
	if (runs(row)) {
		snprintf(pid, sizeof(pid), "%" PRIu32, row->pid);
		size_format(cur, sizeof(cur), row->resident_bytes);
	}
	fmt_owner(owner, sizeof(owner), row->owner_uid, row->owner_gid);
	str_vis(name, sizeof(name), row->name);
	/* A console of ours is no terminal device: never a TTY to name. */
	fprintf(f, COLUMNS, id, pid, ncpus, max, cur, "-", owner,
	    vm_state_name(row->state), name);
}

void
fmt_row_more(FILE *f, const struct msg_row *row, int64_t now_s)
{
	char up[32], written[SIZE_TEXT_BYTES], reason[SHOWN_BYTES];

	if (runs(row) && row->started_s != 0) {
		fmt_duration(up, sizeof(up), now_s - row->started_s);
		size_format(written, sizeof(written), row->console_bytes);
		fprintf(f, "      up %s, %" PRIu32 " restart%s, console %s\n",
		    up, row->restarts, row->restarts == 1 ? "" : "s", written);
	}
	if (row->reason[0] != '\0') {
		str_vis(reason, sizeof(reason), row->reason);
		fprintf(f, "      %s: %s\n",
		    runs(row)                     ? vm_state_name(row->state)
			: row->flags & ROW_FAILED ? "failed"
						  : "last",
		    reason);
	}
	if (row->flags & ROW_DISABLED)
		fprintf(f, "      disabled: not started with vmd\n");
}

/* NULL is JSON's null. */
static json_t *
text_or_null(const char *text)
{
	char shown[SHOWN_BYTES];

	if (text[0] == '\0')
		return (json_null());
	str_vis(shown, sizeof(shown), text);
	return (json_string(shown));
}

static json_t *
number_or_null(bool there, uint64_t n)
{
	return (there ? json_integer((json_int_t)n) : json_null());
}

/* Takes the value; remembers what failed. */
static void
put(json_t *o, const char *key, json_t *value, bool *bad)
{
	if (json_object_set_new(o, key, value) == -1)
		*bad = true;
}

static json_t *
devs_array(const struct fmt_dev *devs, size_t n, bool shares)
{
	json_t *a;
	size_t i;

	if ((a = json_array()) == NULL)
		return (NULL);
	for (i = 0; i < n; i++)
		if ((devs[i].row.kind == DEV_FS) == shares &&
		    json_array_append_new(a, fmt_dev_object(&devs[i])) == -1) {
			json_decref(a);
			return (NULL);
		}
	return (a);
}

static json_t *
row_object(const struct msg_row *row, const struct fmt_dev *devs, size_t ndevs)
{
	char user[64], group[64] = "";
	bool up = runs(row), bad = false;
	json_t *o;

	if ((o = json_object()) == NULL)
		return (NULL);
	user_name(user, sizeof(user), row->owner_uid);
	if (row->owner_gid != NO_GROUP)
		group_name(group, sizeof(group), row->owner_gid);
	put(o, "version", json_integer(FMT_JSON_VERSION), &bad);
	put(o, "id", json_integer(row->id), &bad);
	put(o, "name", text_or_null(row->name), &bad);
	put(o, "state", json_string(vm_state_name(row->state)), &bad);
	put(o, "pid", number_or_null(up, row->pid), &bad);
	put(o, "vcpus", json_integer(row->ncpus), &bad);
	put(o, "memory", json_integer((json_int_t)row->mem_bytes), &bad);
	put(o, "resident", number_or_null(up, row->resident_bytes), &bad);
	put(o, "owner", json_string(user), &bad);
	put(o, "group", text_or_null(group), &bad);
	put(o, "started",
	    number_or_null(row->started_s != 0, (uint64_t)row->started_s),
	    &bad);
	put(o, "restarts", json_integer(row->restarts), &bad);
	put(o, "console", json_integer((json_int_t)row->console_bytes), &bad);
	put(o, "configured", json_boolean((row->flags & ROW_CONFIGURED) != 0),
	    &bad);
	put(o, "enabled", json_boolean((row->flags & ROW_DISABLED) == 0), &bad);
	put(o, "failed", json_boolean((row->flags & ROW_FAILED) != 0), &bad);
	put(o, "reason", text_or_null(row->reason), &bad);
	put(o, "disks", devs_array(devs, ndevs, false), &bad);
	put(o, "shares", devs_array(devs, ndevs, true), &bad);
	if (bad) {
		json_decref(o);
		return (NULL);
	}
	return (o);
}

int
fmt_row_json(FILE *f, const struct msg_row *row, const struct fmt_dev *devs,
    size_t ndevs)
{
	json_t *o;
	int r;

	if ((o = row_object(row, devs, ndevs)) == NULL)
		return (-1);
	r = json_dumpf(o, f, JSON_COMPACT);
	json_decref(o);
	if (r == -1 || fputc('\n', f) == EOF)
		return (-1);
	return (0);
}

void
fmt_steps(FILE *f, const struct msg_started *m)
{
	uint64_t total_us = 0;
	uint32_t i;

	for (i = 0; i < STEP_N; i++) {
		fprintf(f, "%-8s %9" PRIu32 " us\n", start_step_name(i),
		    m->step_us[i]);
		total_us += m->step_us[i];
	}
	fprintf(f, "%-8s %9" PRIu64 " us\n", "total", total_us);
}
