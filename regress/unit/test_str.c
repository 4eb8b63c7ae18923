/* SPDX-License-Identifier: ISC */
/* shared/str.h */
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/str.h"

static void
test_copy(void)
{
	char d[6] = "zzzzz";

	CHECK_EQ(strlcpy(d, "abc", sizeof(d)), 3);
	CHECK_STR(d, "abc");
	CHECK_EQ(strlcat(d, "defg", sizeof(d)), 7);
	CHECK_STR(d, "abcde");
	CHECK_EQ(strlcpy(d, "0123456789", sizeof(d)), 10);
	CHECK_STR(d, "01234");
	CHECK_EQ(strlcpy(d, "x", 0), 1);
	CHECK_STR(d, "01234");
	CHECK_EQ(strlcat(d, "xy", 3), 5); /* no NUL in the first 3: untouched */
	CHECK_STR(d, "01234");
}

static void
test_utf8(void)
{
	static const struct {
		const char *s;
		size_t n, len;
		uint32_t cp;
	} t[] = {
		{ "", 0, 0, 0 },
		{ "a", 1, 1, 'a' },
		{ "\0", 1, 1, 0 },
		{ "\x7f", 1, 1, 0x7f },
		{ "\x80", 1, 0, 0 },
		{ "\xc0\x80", 2, 0, 0 }, /* overlong */
		{ "\xc1\xbf", 2, 0, 0 },
		{ "\xc2\x80", 2, 2, 0x80 },
		{ "\xc3\xbc", 2, 2, 0xfc },
		{ "\xc3\xbc", 1, 0, 0 }, /* cut */
		{ "\xc3\x28", 2, 0, 0 },
		{ "\xe0\x9f\xbf", 3, 0, 0 }, /* overlong */
		{ "\xe0\xa0\x80", 3, 3, 0x800 },
		{ "\xed\x9f\xbf", 3, 3, 0xd7ff },
		{ "\xed\xa0\x80", 3, 0, 0 }, /* surrogate */
		{ "\xef\xbf\xbf", 3, 3, 0xffff },
		{ "\xf0\x8f\xbf\xbf", 4, 0, 0 }, /* overlong */
		{ "\xf0\x90\x80\x80", 4, 4, 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "\xf4\x90\x80\x80", 4, 0, 0 }, /* beyond */
		{ "\xf5\x80\x80\x80", 4, 0, 0 },
		{ "\xff", 1, 0, 0 },
	};
	uint32_t cp;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		cp = 0;
		CHECK_MSG(
		    str_utf8(t[i].s, t[i].n, &cp) == t[i].len && cp == t[i].cp,
		    "row %zu", i);
		CHECK_EQ(str_utf8(t[i].s, t[i].n, NULL), t[i].len);
	}
}

static void
test_cut(void)
{
	CHECK_EQ(str_utf8_cut("abc", 10), 3);
	CHECK_EQ(str_utf8_cut("abc", 2), 2);
	CHECK_EQ(str_utf8_cut("abc", 0), 0);
	CHECK_EQ(str_utf8_cut("a\xc3\xbc", 2), 1);
	CHECK_EQ(str_utf8_cut("a\xc3\xbc", 3), 3);
	CHECK_EQ(str_utf8_cut("\xf0\x90\x80\x80", 3), 0);
	CHECK_EQ(str_utf8_cut("\xff\xff\xff", 2), 2);
}

static void
check_vis(const char *in, const char *want)
{
	char d[256], again[256];

	CHECK_EQ(str_vis(d, sizeof(d), in), strlen(want));
	CHECK_STR(d, want);
	str_vis(again, sizeof(again), d);
	CHECK_STR(again, d);
}

static void
test_vis(void)
{
	char d[64];

	check_vis("", "");
	check_vis("plain ~ text", "plain ~ text");
	check_vis("\t\n\r\033[31m\177", "\\011\\012\\015\\033[31m\\177");
	check_vis("a\\b", "a\\b");
	check_vis("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa1",
	    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa1");
	check_vis("\xc2\x9b"
		  "2J",
	    "\\302\\2332J"); /* C1 CSI */
	check_vis("\x9b"
		  "2J",
	    "\\2332J"); /* and 8 bit */
	check_vis("\xc0\xaf", "\\300\\257");
	check_vis("a\xe2\x80\xae"
		  "b",
	    "a\\342\\200\\256b"); /* RLO */
	check_vis("a\xe2\x81\xa6"
		  "b",
	    "a\\342\\201\\246b"); /* LRI */
	check_vis("a\xe2\x80\xa8"
		  "b",
	    "a\\342\\200\\250b");                     /* LS */
	check_vis("\xef\xbb\xbf", "\\357\\273\\277"); /* BOM */
	check_vis("\xe2\x82", "\\342\\202");
	CHECK_EQ(str_visn(d, sizeof(d), "a\0b", 3), 6);
	CHECK_STR(d, "a\\000b");
}

static void
test_vis_cut(void)
{
	char d[12], out[16];
	size_t n, len;

	CHECK_EQ(str_vis(d, 0, "x"), 0);
	CHECK_EQ(str_vis(d, 1, "x"), 0);
	CHECK_STR(d, "");
	CHECK_EQ(str_vis(d, 11, "0123456789"), 10);
	CHECK_STR(d, "0123456789");
	CHECK_EQ(str_vis(d, 10, "0123456789"), 9);
	CHECK_STR(d, "012345...");
	CHECK_EQ(str_vis(d, 12, "01234567\033[2J"), 11);
	CHECK_STR(d, "01234567...");
	CHECK_EQ(str_vis(d, 9,
		     "0123\xc3\xbc"
		     "6789"),
	    7);
	CHECK_STR(d, "0123...");
	CHECK_EQ(str_vis(d, 3, "0123"), 2);
	CHECK_STR(d, "..");
	for (n = 0; n <= sizeof(out); n++) {
		memset(out, 'Z', sizeof(out));
		len = str_vis(out, n, "\033\xc3\xbc\033\xc3\xbc\033\xc3\xbc");
		CHECK(n == 0 || (len < n && out[len] == '\0'));
		for (; n > 0 && ++len < sizeof(out);)
			CHECK(len < n || out[len] == 'Z');
	}
}

static void
test_name(void)
{
	char name[66];

	CHECK(str_valid_name("a"));
	CHECK(str_valid_name("9web.example-2_x"));
	CHECK(!str_valid_name(""));
	CHECK(!str_valid_name(".hidden"));
	CHECK(!str_valid_name("-v"));
	CHECK(!str_valid_name("_x"));
	CHECK(!str_valid_name("a/b"));
	CHECK(!str_valid_name("a b"));
	CHECK(!str_valid_name("a\n"));
	CHECK(!str_valid_name("gr\xc3\xbc"));
	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	CHECK(!str_valid_name(name));
	name[63] = '\0';
	CHECK(str_valid_name(name));
}

static const struct tap_case cases[] = {
	{ "str strlcpy, strlcat", test_copy },
	{ "str utf8 decode", test_utf8 },
	{ "str utf8 cut", test_cut },
	{ "T71 str vis", test_vis },
	{ "str vis cut", test_vis_cut },
	{ "str vm names", test_name },
};

TAP_MAIN(cases)
