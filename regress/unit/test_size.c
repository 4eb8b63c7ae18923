/* SPDX-License-Identifier: ISC */
/* shared/size.h */
#include <errno.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/size.h"

#define K UINT64_C(1024)

static void
test_parse(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} t[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "1b", 1 },
		{ "1k", K },
		{ "512M", 512 * K * K },
		{ " \t+2g", 2 * K * K * K },
		{ "1T", K * K * K * K },
		{ "1P", K * K * K * K * K },
		{ "7E", 7 * K * K * K * K * K * K },
		{ "1.5G", 3 * K * K * K / 2 },
		{ "1.5", 1 },
		{ ".5K", 512 },
		{ "1.K", K },
		{ "0.1K", 102 },
		{ "1.0009765625K", 1025 },
		{ "0.99999999999999999999999999999999999K", 1023 },
		{ "7.5E", 15 * K * K * K * K * K * K / 2 },
		{ "007", 7 },
		{ "9223372036854775807", INT64_MAX },
		{ "8796093022207M", 8796093022207 * K * K },
		{ "8796093022207.99999999999M", INT64_MAX },
	};
	uint64_t n;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		err_clear(&e);
		n = 77;
		CHECK_MSG(size_parse(t[i].text, &n, &e) == 0 &&
			n == t[i].bytes && e.code == 0,
		    "\"%s\" is %llu", t[i].text, (unsigned long long)n);
	}
}

static void
test_refused(void)
{
	static const struct {
		const char *text;
		int code;
	} t[] = {
		{ "", EINVAL },
		{ " ", EINVAL },
		{ ".", EINVAL },
		{ "M", EINVAL },
		{ ".M", EINVAL },
		{ "+", EINVAL },
		{ "-1", EINVAL },
		{ "1X", EINVAL },
		{ "1MB", EINVAL },
		{ "1 M", EINVAL },
		{ "1M ", EINVAL },
		{ "1..5M", EINVAL },
		{ "0x10", EINVAL },
		{ "1e3", EINVAL },
		{ "9223372036854775808", ERANGE },
		{ "18446744073709551617", ERANGE },
		{ "99999999999999999999999999", ERANGE },
		{ "8E", ERANGE },
		{ "8796093022208M", ERANGE },
	};
	uint64_t n = 77;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		err_clear(&e);
		CHECK_MSG(size_parse(t[i].text, &n, &e) == -1 &&
			e.code == t[i].code && n == 77,
		    "\"%s\": code %d", t[i].text, e.code);
	}
	CHECK_EQ(size_parse("1X", &n, NULL), -1);
	size_parse("1\033", &n, &e);
	CHECK_STR(e.text, "\"1?\" is no size; write it like 512M or 1.5G");
}

static void
test_format(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} t[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ K, "1.0K" },
		{ 3 * K / 2, "1.5K" },
		{ 64 * K * K, "64.0M" },
		{ 512 * K * K, "512M" },
		{ 3 * K * K * K / 2, "1.5G" },
		{ 1075, "1.0K" },
		{ 1076, "1.1K" },
		{ 100 * K - 1, "100K" },
		{ 2 * K - 1, "2.0K" },
		{ 1023 * K + 511, "1023K" },
		{ 1023 * K + 512, "1.0M" },
		{ K * K - 1, "1.0M" },
		{ INT64_MAX, "8.0E" },
		{ UINT64_MAX, "16.0E" },
	};
	char d[SIZE_TEXT_BYTES];
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CHECK_STR(size_format(d, sizeof(d), t[i].bytes), t[i].text);
	CHECK_STR(size_format(d, 3, 512 * K * K), "51");
}

static const struct tap_case cases[] = {
	{ "size parse", test_parse },
	{ "size refused", test_refused },
	{ "size format", test_format },
};

TAP_MAIN(cases)
