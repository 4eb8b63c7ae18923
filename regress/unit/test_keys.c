/* SPDX-License-Identifier: ISC */
/* The keyboard decoder and the tables of keys. */
#include <string.h>

#include "regress/lib/tap.h"
#include "tui/app.h"
#include "tui/term/keydec.h"

static char log_text[8192];
static size_t nlog;

static void
say(const char *text)
{
	nlog += (size_t)snprintf(log_text + nlog, sizeof(log_text) - nlog,
	    "%s%s", nlog > 0 ? " " : "", text);
}

static void
on_input(void *ctx, const struct input *in)
{
	static const char *const what[] = { "press", "release", "drag",
		"wheel" };
	char buf[64];

	(void)ctx;
	if (in->kind == IN_KEY)
		key_name(buf, in->key);
	else if (in->kind == IN_MOUSE)
		snprintf(buf, sizeof(buf), "%s%d@%d,%d%s", what[in->what],
		    in->button, in->row, in->col, in->clicks == 2 ? "x2" : "");
	else
		snprintf(buf, sizeof(buf), "%s",
		    in->kind == IN_PASTE_BEGIN ? "<" : ">");
	say(buf);
}

static void
on_paste(void *ctx, const char *bytes, size_t len, bool last)
{
	(void)ctx;
	(void)last;
	nlog += (size_t)snprintf(
	    log_text + nlog, sizeof(log_text) - nlog, "%.*s", (int)len, bytes);
}

static const struct keydec_sink sink = { on_input, on_paste, NULL };

static const struct {
	const char *bytes, *want;
} sequences[] = {
	{ "abc\r", "a b c Enter" },
	{ "\033[A\033OB\033[C\033OD", "Up Down Right Left" },
	{ "\033[H\033[F\033[1~\033[4~\033[7~", "Home End Home End Home" },
	{ "\033[2~\033[3~\033[5~\033[6~", "Ins Del PgUp PgDn" },
	{ "\033OP\033[11~\033[[A\033[15~\033[24~", "F1 F1 F1 F5 F12" },
	{ "\033[21~\033[[E", "F10 F5" },
	{ "\033[1;5A\033[1;2C\033[5;3~", "C-Up S-Right M-PgUp" },
	{ "\033x\033\r", "M-x M-Enter" },
	{ "\033[Z\t", "S-Tab Tab" },
	{ "\001\035\177", "C-a C-] Backspace" },
	{ "\303\251\346\227\245", "\303\251 \346\227\245" },
	{ "\033[<0;5;3M\033[<0;5;3m", "press1@2,4 release1@2,4" },
	{ "\033[<0;5;3M\033[<0;5;3M\033[<0;5;3M",
	    "press1@2,4 press1@2,4x2 press1@2,4" },
	{ "\033[<32;6;3M\033[<64;1;1M\033[<65;1;1M",
	    "drag1@2,5 wheel-1@0,0 wheel1@0,0" },
	{ "\033[M !!", "press1@0,0" },
	{ "\033[200~a\033[Ab\033[201~c", "<a\033[Ab > c" },
	{ "\033[200~\033[201~", "< >" },
	{ "\033[999~\033[12;34;56xq", "q" },
	{ "\033[<1;1M\033[<0;0;0Mq", "q" },
};

/* Whole, and one byte at a time: the same. */
static void
decode(void)
{
	struct keydec d;
	size_t i, k;
	int cut;

	for (i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		for (cut = 0; cut < 2; cut++) {
			const char *b = sequences[i].bytes;

			memset(&d, 0, sizeof(d));
			nlog = 0;
			log_text[0] = '\0';
			d.click_ms = -10000;
			if (!cut)
				keydec_feed(&d, b, strlen(b), 1000, &sink);
			else
				for (k = 0; b[k] != '\0'; k++)
					keydec_feed(&d, b + k, 1, 1000, &sink);
			CHECK_STR(log_text, sequences[i].want);
			CHECK(!keydec_waits(&d));
		}
}

static void
escape(void)
{
	struct keydec d = { 0 };

	nlog = 0;
	keydec_feed(&d, "\033", 1, 0, &sink);
	CHECK(keydec_waits(&d));
	keydec_flush(&d, &sink);
	CHECK_STR(log_text, "Esc");
	CHECK(!keydec_waits(&d));
	nlog = 0;
	keydec_feed(&d, "\033\033[A", 4, 0, &sink);
	CHECK_STR(log_text, "Esc Up");
}

/* Any bytes: no crash, and the decoder stays usable. */
static void
garbage(void)
{
	struct keydec d = { 0 };
	unsigned seed = 1, i;
	char c;

	for (i = 0; i < 200000; i++) {
		seed = seed * 1103515245u + 12345u;
		c = (char)((seed >> 16) % 5 == 0 ? 0x1b : seed >> 20);
		nlog = 0;
		keydec_feed(&d, &c, 1, i, &sink);
		if (i % 100 == 0)
			keydec_flush(&d, &sink);
	}
	keydec_feed(&d, "\033[201~", 6, 0, &sink);
	keydec_flush(&d, &sink);
	nlog = 0;
	keydec_feed(&d, "q", 1, 0, &sink);
	CHECK_STR(log_text, "q");
}

/* A key has one meaning in a table, and every name leads back to its key. */
static void
tables(void)
{
	char name[KEY_NAME_BYTES];
	const struct keybind *b;
	size_t t, i;
	int k;

	for (t = 0; t < app_nkeytabs; t++)
		for (i = 0; i < app_keytabs[t]->nrows; i++) {
			b = &app_keytabs[t]->rows[i];
			CHECK_MSG(
			    b->key[0] != 0 && b->help != NULL, "%s", b->action);
			CHECK_MSG((b->fn != NULL) != (b->sub != NULL), "%s",
			    b->action);
			for (k = 0; k < KEYBIND_KEYS && b->key[k] != 0; k++) {
				CHECK_MSG(
				    keytab_find(app_keytabs[t], b->key[k]) == b,
				    "%s: key %d is taken", b->action, k);
				key_name(name, b->key[k]);
				CHECK_EQ(key_parse(name), b->key[k]);
			}
		}
}

/* A view's own keys win over the program's: none of these is lost to one. */
static void
shadows(void)
{
	static const char *const keep[] = { "quit", "help", "view-next" };
	size_t i, k, t;

	for (i = 0; i < app_keytab.nrows; i++)
		for (k = 0; k < 3; k++)
			for (t = 0; t < KEYBIND_KEYS; t++)
				if (strcmp(app_keytab.rows[i].action,
					keep[k]) == 0 &&
				    app_keytab.rows[i].key[t] != 0)
					CHECK_MSG(
					    keytab_find(app_keytabs[1],
						app_keytab.rows[i].key[t]) ==
						NULL,
					    "%s", keep[k]);
}

static const struct tap_case cases[] = {
	{ "keys: sequences of many terminals", decode },
	{ "keys: Esc alone, Esc before a sequence", escape },
	{ "keys: garbage", garbage },
	{ "keys: tables hold no key twice", tables },
	{ "keys: quit, help and Tab work in the guests view", shadows },
};
TAP_MAIN(cases)
