/* SPDX-License-Identifier: ISC */
/* shared/err.h */
#include <errno.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/err.h"

static void
test_set(void)
{
	struct err e;

	memset(&e, 'x', sizeof(e));
	err_clear(&e);
	CHECK_EQ(e.code, 0);
	CHECK_STR(e.text, "");
	CHECK_EQ(err_set(&e, ENOENT, "no vm named %s", "web"), -1);
	CHECK_EQ(e.code, ENOENT);
	CHECK_STR(e.text, "no vm named web");
	CHECK_EQ(err_set(NULL, EINVAL, "x"), -1);
}

static void
test_errno(void)
{
	struct err e;

	errno = EACCES;
	CHECK_EQ(err_errno(&e, "open %s", "/x"), -1);
	CHECK_EQ(e.code, EACCES);
	CHECK_STR(e.text, "open /x: Permission denied");
	errno = EACCES;
	CHECK_EQ(err_errno(NULL, "open"), -1);
}

static void
test_prefix(void)
{
	struct err e;

	err_set(&e, EIO, "short read");
	CHECK_EQ(err_prefix(&e, "vm %s", "web"), -1);
	CHECK_EQ(err_prefix(&e, "start"), -1);
	CHECK_EQ(e.code, EIO);
	CHECK_STR(e.text, "start: vm web: short read");
	CHECK_EQ(err_prefix(NULL, "start"), -1);
}

static void
test_cut(void)
{
	char big[400];
	struct err e;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, EINVAL, "%.251s", big);
	CHECK_EQ(strlen(e.text), ERR_TEXT_BYTES - 1);
	CHECK_EQ(e.text[ERR_TEXT_BYTES - 2], 'a');
	err_set(&e, EINVAL, "%.252s", big);
	CHECK_EQ(strlen(e.text), ERR_TEXT_BYTES - 1);
	CHECK_STR(e.text + ERR_TEXT_BYTES - 5, "a...");
	err_prefix(&e, "%s", big);
	CHECK_EQ(strlen(e.text), ERR_TEXT_BYTES - 1);
	CHECK_STR(e.text + ERR_TEXT_BYTES - 5, "a...");
}

static void
test_control_bytes(void)
{
	struct err e;

	err_set(&e, EINVAL, "no vm named %s", "a\n\033[2J\177");
	CHECK_STR(e.text, "no vm named a??[2J?");
	err_prefix(&e, "%s", "x\ry");
	CHECK_STR(e.text, "x?y: no vm named a??[2J?");
}

static const struct tap_case cases[] = {
	{ "err set and clear", test_set },
	{ "err errno", test_errno },
	{ "err prefix", test_prefix },
	{ "err long texts are cut", test_cut },
	{ "T71 err control bytes", test_control_bytes },
};

TAP_MAIN(cases)
