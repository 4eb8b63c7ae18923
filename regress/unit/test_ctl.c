/* SPDX-License-Identifier: ISC */
/*
 * vmctl without a daemon: which verb a word means, what status looks like to
 * people and to programs, what the console's escapes do.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/ctl/cmd.h"
#include "daemon/ctl/esc.h"
#include "daemon/ctl/fmt.h"
#include "regress/lib/tap.h"
#include "shared/devpage.h"
#include "shared/str.h"

/* ---- Verbs ---------------------------------------------------------------- */

static void
test_prefix(void)
{
	static const struct {
		const char *word, *verb;
	} good[] = {
		{ "console", "console" },
		{ "c", NULL },
		{ "co", "console" },
		{ "cr", "create" },
		{ "l", NULL },
		{ "lo", NULL },
		{ "loa", "load" },
		{ "log", "log" },
		{ "p", "pause" },
		{ "re", NULL },
		{ "rel", "reload" },
		{ "res", "reset" },
		{ "s", NULL },
		{ "sh", "status" },
		{ "show", "status" },
		{ "sta", NULL },
		{ "star", "start" },
		{ "stat", "status" },
		{ "sto", "stop" },
		{ "u", "unpause" },
		{ "w", "wait" },
		{ "", NULL },
		{ "statuses", NULL },
		{ "Stop", NULL },
	};
	const struct cmd *cmd;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cmd = cmd_find(good[i].word, &e);
		CHECK_MSG((cmd == NULL) == (good[i].verb == NULL), "\"%s\"",
		    good[i].word);
		if (cmd != NULL && good[i].verb != NULL)
			CHECK_STR(cmd->name, good[i].verb);
	}
}

static void
test_prefix_words(void)
{
	struct err e;

	CHECK(cmd_find("st", &e) == NULL);
	CHECK_STR(e.text,
	    "ambiguous command \"st\": it could be start, status, stop");
	CHECK(cmd_find("mkdisk", &e) == NULL);
	CHECK(strstr(e.text, "unknown command \"mkdisk\"") != NULL);
	CHECK(strstr(e.text, "console, create, load, log") != NULL);
}

/* A word that is a whole name is that, whatever else it begins. */
static void
test_exact(void)
{
	static const char *const names[] = { "log", "logs", "loge" };
	struct err e;

	CHECK_EQ(ctl_pick(names, 3, "x", "log", &e), 0);
	CHECK_EQ(ctl_pick(names, 3, "x", "logs", &e), 1);
	CHECK_EQ(ctl_pick(names, 3, "x", "lo", &e), -1);
}

static void
test_flags(void)
{
	char *ok[] = { "stop", "-fw", "web", NULL };
	char *late[] = { "stop", "web", "-f", NULL };
	char *bad[] = { "stop", "-x", "web", NULL };
	char *many[] = { "stop", "a", "b", NULL };
	char **argv = ok;
	unsigned flags;
	int argc = 3;

	CHECK_EQ(cmd_flags(&cmd_stop, &argc, &argv, &flags), 0);
	CHECK_EQ(argc, 1);
	CHECK_STR(argv[0], "web");
	CHECK_EQ(flags, 0x6);
	argv = late;
	argc = 3;
	CHECK_EQ(cmd_flags(&cmd_stop, &argc, &argv, &flags), 0);
	CHECK_EQ(flags, 0x2);
	argv = many;
	argc = 3;
	CHECK_EQ(cmd_flags(&cmd_stop, &argc, &argv, &flags), CMD_USAGE);
	opterr = 0;
	argv = bad;
	argc = 3;
	CHECK_EQ(cmd_flags(&cmd_stop, &argc, &argv, &flags), CMD_USAGE);
	opterr = 1;
}

/* What is wrong with a command line is said before vmd is asked. */
static void
test_start_args(void)
{
	static const struct {
		const char *flag, *arg, *text;
	} bad[] = {
		{ "-m", "0", "memory \"0\" is less than 1M" },
		{ "-m", "lots", "memory" },
		{ "-C", "0", "a number from 1 to 64" },
		{ "-C", "65", "a number from 1 to 64" },
		{ "-C", "2x", "a number from 1 to 64" },
		{ "-C", "-1", "a number from 1 to 64" },
		{ "-i", "65", "a number from 0 to 64" },
		{ "-B", "floppy", "cdrom, disk, net" },
		{ "-b", "/nonexistent/vmlinux", "kernel /nonexistent/vmlinux" },
		{ "-b", "/dev/null", "not a regular file" },
		{ "-d", "qcow2:/nonexistent", "disk /nonexistent" },
		{ "-r", "/nonexistent", "CD-ROM /nonexistent" },
		{ "-t", "../x", "no name of a vm" },
		{ "-n", "a b", "no name of a switch" },
	};
	char flag[8], arg[64], name[] = "web", verb[] = "start";
	char *argv[] = { verb, flag, arg, name, NULL };
	struct ctl ctl = { .socket = "/nonexistent/vmd.sock" };
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strlcpy(flag, bad[i].flag, sizeof(flag));
		strlcpy(arg, bad[i].arg, sizeof(arg));
		err_clear(&e);
		CHECK_EQ(cmd_start.run(&ctl, 4, argv, &e), -1);
		CHECK_MSG(strstr(e.text, bad[i].text) != NULL, "%s %s: \"%s\"",
		    bad[i].flag, bad[i].arg, e.text);
	}
	strlcpy(flag, "-m", sizeof(flag));
	strlcpy(arg, "64M", sizeof(arg));
	CHECK_EQ(cmd_start.run(&ctl, 4, argv, &e), -1);
	CHECK(strstr(e.text, "vmd is not running") != NULL);
	ctl_close(&ctl);
}

/* ---- Status --------------------------------------------------------------- */

static const struct msg_row row_web = { .id = 3,
	.state = VM_RUNNING,
	.flags = ROW_CONFIGURED,
	.pid = 4711,
	.ncpus = 2,
	.owner_uid = 0,
	.owner_gid = UINT32_MAX,
	.restarts = 1,
	.mem_bytes = UINT64_C(512) << 20,
	.resident_bytes = UINT64_C(93) << 20,
	.started_s = 1000,
	.console_bytes = 12345,
	.console_ring = 262144,
	.name = "web" };
static const struct msg_row row_bad = { .id = 12,
	.state = VM_STOPPED,
	.flags = ROW_CONFIGURED | ROW_FAILED | ROW_DISABLED,
	.pid = 99,
	.ncpus = 1,
	.owner_uid = 3999999999u,
	.owner_gid = 3999999998u,
	.mem_bytes = UINT64_C(2) << 30,
	.resident_bytes = 1,
	.name = "alpine-test",
	.reason = "KVM exit 17 at rip 0xfff0" };

/* What a function of fmt.h prints; to be freed. */
static char *
printed(const struct msg_row *row, void (*fn)(FILE *, const struct msg_row *))
{
	char *text = NULL;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		abort();
	fn(f, row);
	fclose(f);
	return (text);
}

static void
status_both(FILE *f, const struct msg_row *row)
{
	fmt_head(f);
	fmt_row(f, row);
}

static void
more_at_4700(FILE *f, const struct msg_row *row)
{
	fmt_row_more(f, row, 4700);
}

static void
json(FILE *f, const struct msg_row *row)
{
	CHECK_EQ(fmt_row_json(f, row, NULL, 0), 0);
}

static void
check_printed(const struct msg_row *row,
    void (*fn)(FILE *, const struct msg_row *), const char *want)
{
	char *text = printed(row, fn);

	CHECK_STR(text, want);
	free(text);
}

static void
test_status(void)
{
	check_printed(&row_web, status_both,
	    "   ID   PID VCPUS  MAXMEM  CURMEM     TTY        OWNER    STATE "
	    "NAME\n"
	    "    3  4711     2    512M   93.0M       -         root  running "
	    "web\n");
	/* Stopped: no process, no resident memory, whatever the row says. */
	check_printed(&row_bad, status_both,
	    "   ID   PID VCPUS  MAXMEM  CURMEM     TTY        OWNER    STATE "
	    "NAME\n"
	    "   12     -     1    2.0G       -       - 3999999999:3999  "
	    "stopped alpine-test\n");
}

static void
test_states(void)
{
	struct msg_row row = row_web;
	char *text;
	uint32_t s;

	for (s = 0; s < VM_NSTATES; s++) {
		row.state = s;
		text = printed(&row, fmt_row);
		CHECK(strstr(text, vm_state_name(s)) != NULL);
		CHECK_EQ(strstr(text, "4711") != NULL,
		    s != VM_STOPPED && s != VM_WAITING);
		free(text);
	}
}

static void
test_more(void)
{
	check_printed(&row_web, more_at_4700,
	    "      up 1h01m, 1 restart, console 12.1K\n");
	check_printed(&row_bad, more_at_4700,
	    "      failed: KVM exit 17 at rip 0xfff0\n"
	    "      disabled: not started with vmd\n");
}

/* A name or reason with an escape in it shows as such. */
static void
test_visible(void)
{
	struct msg_row row = row_bad;
	char *text;

	strlcpy(row.name, "a\033[2Jb", sizeof(row.name));
	strlcpy(row.reason, "\033]0;x\007 \xff", sizeof(row.reason));
	text = printed(&row, fmt_row);
	CHECK(strchr(text, '\033') == NULL);
	CHECK(strstr(text, "a\\033[2Jb") != NULL);
	free(text);
	text = printed(&row, more_at_4700);
	CHECK(strchr(text, '\033') == NULL && strchr(text, '\007') == NULL);
	free(text);
	text = printed(&row, json);
	CHECK(strchr(text, '\033') == NULL &&
	    memchr(text, 0xff, strlen(text)) == NULL);
	free(text);
}

static void
test_json(void)
{
	char *text = printed(&row_web, json);
	json_t *o = json_loads(text, 0, NULL);

	CHECK_EQ(text[strlen(text) - 1], '\n');
	CHECK(strchr(text, '\n') == text + strlen(text) - 1);
	CHECK_MSG(
	    strncmp(text, "{\"version\":1,\"id\":3,", 20) == 0, "%s", text);
	free(text);
	REQUIRE(o != NULL);
	CHECK_EQ(json_integer_value(json_object_get(o, "memory")), 512 << 20);
	CHECK_EQ(json_integer_value(json_object_get(o, "resident")), 93 << 20);
	CHECK_EQ(json_integer_value(json_object_get(o, "pid")), 4711);
	CHECK_EQ(json_integer_value(json_object_get(o, "started")), 1000);
	CHECK_STR(json_string_value(json_object_get(o, "name")), "web");
	CHECK_STR(json_string_value(json_object_get(o, "state")), "running");
	CHECK_STR(json_string_value(json_object_get(o, "owner")), "root");
	CHECK(json_is_null(json_object_get(o, "group")));
	CHECK(json_is_null(json_object_get(o, "reason")));
	CHECK(json_is_true(json_object_get(o, "configured")));
	CHECK(json_is_true(json_object_get(o, "enabled")));
	CHECK(json_is_false(json_object_get(o, "failed")));
	json_decref(o);
	text = printed(&row_bad, json);
	o = json_loads(text, 0, NULL);
	free(text);
	REQUIRE(o != NULL);
	CHECK(json_is_null(json_object_get(o, "pid")));
	CHECK(json_is_null(json_object_get(o, "resident")));
	CHECK(json_is_null(json_object_get(o, "started")));
	CHECK(json_is_true(json_object_get(o, "failed")));
	CHECK(json_is_false(json_object_get(o, "enabled")));
	CHECK_STR(
	    json_string_value(json_object_get(o, "reason")), row_bad.reason);
	json_decref(o);
}

static void
test_owner(void)
{
	char dst[FMT_OWNER_BYTES];

	fmt_owner(dst, sizeof(dst), 0, UINT32_MAX);
	CHECK_STR(dst, "root");
	fmt_owner(dst, sizeof(dst), 0, 0);
	CHECK_STR(dst, "root:root");
	fmt_owner(dst, sizeof(dst), 3999999999u, UINT32_MAX);
	CHECK_STR(dst, "3999999999");
	fmt_owner(dst, sizeof(dst), 3999999999u, 3999999998u);
	CHECK_EQ(strlen(dst), 15);
}

static void
test_duration(void)
{
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = { { -5, "0m00s" }, { 0, "0m00s" }, { 303, "5m03s" },
		{ 3599, "59m59s" }, { 3600, "1h00m" }, { 3723, "1h02m" },
		{ 86399, "23h59m" }, { 86400, "1d00h" },
		{ 3 * 86400 + 4 * 3600, "3d04h" } };
	char dst[32];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fmt_duration(dst, sizeof(dst), rows[i].s);
		CHECK_STR(dst, rows[i].text);
	}
}

static void
test_steps(void)
{
	struct msg_started m = { .step_us = { 1, 2, 3, 4, 5, 6, 7, 8 } };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	REQUIRE(f != NULL);
	fmt_steps(f, &m);
	fclose(f);
	CHECK(strncmp(text, "open             1 us\nspawn ", 27) == 0);
	CHECK(strstr(text, "total           36 us\n") != NULL);
	free(text);
}

/* ---- Escapes -------------------------------------------------------------- */

/* Feed text in pieces of step bytes; write down what comes out. */
static void
esc_run(const char *in, size_t n, size_t step, char *got)
{
	static const char acts[] = { [ESC_QUIT] = 'Q',
		[ESC_HELP] = '?',
		[ESC_BREAK] = '#',
		[ESC_TAKE] = 'T',
		[ESC_SUSPEND] = 'Z' };
	struct esc s = { 0 };
	enum esc_act act;
	uint8_t out[256];
	size_t part, used, nout;

	for (; n > 0; in += used, n -= used) {
		part = n < step ? n : step;
		used =
		    esc_feed(&s, (const uint8_t *)in, part, out, &nout, &act);
		REQUIRE(used <= part && nout <= part + 1);
		memcpy(got, out, nout);
		got += nout;
		if (act != ESC_NONE) {
			*got++ = '<';
			*got++ = acts[act];
			*got++ = '>';
		}
		REQUIRE(used > 0);
	}
	*got = '\0';
}

static void
test_escapes(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "ls\r", "ls\r" },
		{ "~.", "<Q>" },
		{ "\r~.", "\r<Q>" },
		{ "\n~.", "\n<Q>" },
		{ "a~.", "a~." }, /* only after a newline */
		{ "a\r~.b", "a\r<Q>b" },
		{ "~?", "<?>" },
		{ "~#", "<#>" },
		{ "~t", "<T>" },
		{ "~\032", "<Z>" },
		{ "~~.", "~." },   /* one ~ to the guest */
		{ "~~~.", "~~." }, /* and then in the line */
		{ "~x", "~x" },    /* no escape: both */
		{ "~\r~.", "~\r<Q>" },
		{ "~#~.", "<#><Q>" }, /* still after a newline */
		{ "~", "" },          /* held */
		{ "ab~c~d\r", "ab~c~d\r" },
		{ "~?x~.", "<?>x~." },
		{ "\xc3\xa4~.\r~.", "\xc3\xa4~.\r<Q>" },
	};
	char got[512];
	size_t i, step;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (step = 1; step <= 16; step++) {
			esc_run(rows[i].in, strlen(rows[i].in), step, got);
			CHECK_MSG(strcmp(got, rows[i].out) == 0,
			    "row %zu in steps of %zu: \"%s\"", i, step, got);
		}
}

/* Every byte after "~" but the escapes goes through, the NUL as well. */
static void
test_escape_bytes(void)
{
	struct esc s;
	enum esc_act act;
	uint8_t in[2] = { '~', 0 }, out[3];
	size_t nout, i;
	unsigned acts = 0, c;
	bool known;

	for (c = 0; c < 256; c++) {
		memset(&s, 0, sizeof(s));
		in[1] = (uint8_t)c;
		known = c == '~';
		for (i = 0; i < esc_ntable; i++)
			known = known || (uint8_t)esc_table[i].key == c;
		CHECK_EQ(esc_feed(&s, in, 2, out, &nout, &act), 2);
		acts += act != ESC_NONE;
		CHECK_EQ(nout == 2 && out[1] == c, !known);
	}
	CHECK_EQ(acts, esc_ntable);
}

static const struct fmt_dev dev_web = {
	.row = { .id = 3,
	    .kind = 1,
	    .state = DEV_UP,
	    .flags = DEV_READONLY,
	    .pid = 4713,
	    .replaced = 2,
	    .nqueues = 2,
	    .size_bytes = 10ull << 30,
	    .name = "blk0",
	    .format = "raw",
	    .serial = "web-1",
	    .path = "/srv/web.img" },
	.old = { .now_ns = 1000000000,
	    .reads = 100,
	    .read_bytes = 1 << 20,
	    .writes = 9 },
	.now = { .now_ns = 1500000000,
	    .reads = 160,
	    .read_bytes = 3 << 20,
	    .writes = 4, /* of a page that is new */
	    .inflight = 3,
	    .flush_hist = { [10] = 98, [13] = 2 } },
	.has_old = true,
	.has_now = true,
};

static char *
printed_dev(const struct fmt_dev *d)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		abort();
	fmt_dev(f, d, "web");
	fclose(f);
	return (text);
}

static void
test_dev(void)
{
	struct fmt_dev d = dev_web;
	char *text = printed_dev(&d);

	CHECK_STR(text,
	    "      blk0 /srv/web.img, raw, 10.0G, read-only, serial web-1\n"
	    "           process 4713, vm/web/blk0, replaced 2 times\n"
	    "           reads 120/s 4.0M/s, writes 0/s 0B/s, 3 in flight, "
	    "flush p50 2.0ms p99 16.4ms\n");
	free(text);
	/* Not running: only what vm.conf says. */
	d.has_now = false;
	d.row.pid = 0;
	d.row.state = DEV_ENDED;
	d.row.size_bytes = 0;
	d.row.flags = 0;
	text = printed_dev(&d);
	CHECK_STR(text, "      blk0 /srv/web.img, raw, serial web-1\n");
	free(text);
	d.row.state = DEV_STUCK;
	strlcpy(d.row.reason, "no space\033[2J", sizeof(d.row.reason));
	strlcpy(d.row.path, "/\033]0;x\007", sizeof(d.row.path));
	text = printed_dev(&d);
	CHECK(strchr(text, '\033') == NULL && strchr(text, '\007') == NULL);
	CHECK(strstr(text, "           stuck: no space") != NULL);
	free(text);
	/* Numbers of a device that lies are numbers. */
	d = dev_web;
	d.now.read_bytes = UINT64_MAX;
	d.now.now_ns = d.old.now_ns + 1;
	text = printed_dev(&d);
	CHECK(strstr(text, " 888P/s, ") != NULL);
	free(text);
}

static void
test_share(void)
{
	struct fmt_dev d = { .row = { .id = 1,
				 .kind = DEV_FS,
				 .state = DEV_UP,
				 .flags = DEV_READONLY,
				 .pid = 4714,
				 .name = "fs0",
				 .format = "share",
				 .serial = "home",
				 .path = "/home/me" } };
	char *text = printed_dev(&d);
	json_t *o;
	size_t len;
	FILE *f;

	CHECK_STR(text,
	    "      fs0 /home/me, share, read-only, tag home\n"
	    "           process 4714, virtiofsd\n");
	free(text);
	if ((f = open_memstream(&text, &len)) == NULL)
		abort();
	CHECK_EQ(fmt_row_json(f, &row_web, &d, 1), 0);
	fclose(f);
	o = json_loads(text, 0, NULL);
	free(text);
	REQUIRE(o != NULL);
	CHECK_EQ(json_array_size(json_object_get(o, "disks")), 0);
	CHECK_STR(json_string_value(json_object_get(
		      json_array_get(json_object_get(o, "shares"), 0), "tag")),
	    "home");
	json_decref(o);
}

static void
test_dev_json(void)
{
	char *text = NULL;
	json_t *o, *d;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		abort();
	CHECK_EQ(fmt_row_json(f, &row_web, &dev_web, 1), 0);
	fclose(f);
	o = json_loads(text, 0, NULL);
	free(text);
	REQUIRE(o != NULL);
	d = json_array_get(json_object_get(o, "disks"), 0);
	CHECK_STR(
	    json_string_value(json_object_get(d, "path")), "/srv/web.img");
	CHECK_EQ(json_integer_value(json_object_get(d, "reads")), 160);
	CHECK_EQ(json_integer_value(json_object_get(d, "flush_p99_us")), 16383);
	CHECK(json_real_value(json_object_get(d, "reads_per_s")) == 120.0);
	CHECK(json_is_null(json_object_get(d, "reason")));
	json_decref(o);
}

static const struct tap_case cases[] = {
	{ "ctl: a disk and its figures", test_dev },
	{ "ctl: a disk as JSON", test_dev_json },
	{ "ctl: a share", test_share },
	{ "ctl: beginnings of verbs", test_prefix },
	{ "ctl: ambiguous and unknown, in words", test_prefix_words },
	{ "ctl: a whole name is that", test_exact },
	{ "ctl: flags of verbs", test_flags },
	{ "ctl: start checks what it is given", test_start_args },
	{ "ctl: status", test_status },
	{ "ctl: every state", test_states },
	{ "ctl: status -v", test_more },
	{ "ctl: nothing raw in names and reasons", test_visible },
	{ "ctl: status -j", test_json },
	{ "ctl: owners", test_owner },
	{ "ctl: durations", test_duration },
	{ "ctl: steps of a start", test_steps },
	{ "ctl: console escapes", test_escapes },
	{ "ctl: any byte after a tilde", test_escape_bytes },
};
TAP_MAIN(cases)
