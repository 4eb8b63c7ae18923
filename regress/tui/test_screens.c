/* SPDX-License-Identifier: ISC */
/* Every screen as text, at three sizes and in three character sets. */
#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"

static void
guests_24(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_golden(&s, "guests-80x24", 24, 80, cs_braille, true);
	synth_golden(&s, "guests-80x24-block", 24, 80, cs_block, false);
	synth_golden(&s, "guests-80x24-ascii", 24, 80, cs_ascii, true);
	synth_fini(&s);
}

static void
guests_large(void)
{
	struct synth s;

	synth_init(&s, 60, 40, 120);
	synth_golden(&s, "guests-120x40", 40, 120, cs_braille, false);
	synth_golden(&s, "guests-200x50", 50, 200, cs_block, false);
	synth_golden(&s, "guests-40x8", 8, 40, cs_braille, false);
	synth_golden(&s, "too-small", 6, 30, cs_braille, false);
	synth_fini(&s);
}

static void
details(void)
{
	struct synth s;

	synth_init(&s, 8, 40, 120);
	synth_key(&s, K_DOWN);
	synth_key(&s, 'i');
	synth_golden(&s, "details-120x40", 40, 120, cs_braille, true);
	synth_golden(&s, "details-80x24", 24, 80, cs_ascii, false);
	synth_key(&s, K_F6);
	synth_golden(&s, "sortmenu-80x24", 24, 80, cs_braille, false);
	synth_fini(&s);
}

/* Two disks of the second guest: one at work, one whose process is gone. */
static void
disks(void)
{
	struct msg_dev_row row = { .id = 2,
		.kind = 1,
		.state = DEV_UP,
		.pid = 4100,
		.name = "blk0",
		.path = "/srv/build.img" };
	struct msg_dev_figures f = { .id = 2, .kind = 1, .now_ns = 1 };
	struct synth s;

	synth_init(&s, 8, 40, 120);
	model_find(&s.model, 2)->ndisks = 2;
	model_dev(&s.model, &row);
	model_dev_figures(&s.model, &f);
	f.now_ns += 1000000000;
	f.reads = 1234;
	f.read_bytes = 40 << 20;
	f.writes = 30;
	f.write_bytes = 120 << 10;
	f.inflight = 7;
	f.flush_hist[9] = 90;
	f.flush_hist[13] = 10;
	model_dev_figures(&s.model, &f);
	/* A second without flushes keeps what the last ones took. */
	f.now_ns += 1000000000;
	f.reads += 1234;
	f.read_bytes += 40 << 20;
	f.writes += 30;
	f.write_bytes += 120 << 10;
	model_dev_figures(&s.model, &f);
	row.index = 1;
	row.state = DEV_LOST;
	snprintf(row.name, sizeof(row.name), "blk1");
	snprintf(row.reason, sizeof(row.reason),
	    "its process was killed by signal 9 \033[2J");
	model_dev(&s.model, &row);
	synth_key(&s, K_DOWN);
	synth_key(&s, 'i');
	synth_golden(&s, "disks-120x40", 40, 120, cs_block, false);
	synth_golden(&s, "disks-80x24", 24, 80, cs_ascii, false);
	/* A device that lies: numbers all the same. */
	f.now_ns++;
	f.read_bytes = f.reads = UINT64_MAX;
	model_dev_figures(&s.model, &f);
	CHECK(model_find(&s.model, 2)->disk[0].read_bytes <= 1e18f);
	CHECK(model_find(&s.model, 2)->disk[0].reads <= 1e18f);
	synth_fini(&s);
}

static void
help(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, '?');
	synth_golden(&s, "help-80x24", 24, 80, cs_braille, false);
	synth_golden(&s, "help-200x50", 50, 200, cs_braille, true);
	synth_fini(&s);
}

static void
lines(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "/cpu>50");
	synth_golden(&s, "filter-typing", 24, 80, cs_braille, false);
	synth_key(&s, K_ENTER);
	synth_keys(&s, "  ");
	synth_golden(&s, "filter-set", 24, 80, cs_braille, false);
	synth_key(&s, 'x');
	synth_golden(&s, "danger", 24, 80, cs_braille, true);
	synth_key(&s, 'k');
	synth_golden(&s, "danger-kill", 24, 80, cs_braille, true);
	synth_fini(&s);
}

static void
daemon_gone(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	s.model.link = LINK_LOST;
	s.model.retry_s = 4;
	snprintf(s.model.link_text, sizeof(s.model.link_text),
	    "/run/vmd.sock: Connection refused; is vmd running?");
	synth_golden(&s, "daemon-gone", 24, 80, cs_braille, true);
	synth_fini(&s);
	synth_init(&s, 0, 24, 80);
	synth_golden(&s, "no-guests", 24, 80, cs_braille, false);
	synth_fini(&s);
}

static const char boot[] =
    "[    0.000000] Linux version 6.1.0-28-amd64 (debian-kernel)\r\n"
    "[    0.311822] virtio_blk virtio1: [vda] 8388608 512-byte blocks\r\n"
    "[    0.402117] systemd[1]: Reached target graphical.target\r\n"
    "\r\nDebian GNU/Linux 12 firefox ttyS0\r\n\r\n"
    "firefox login: root\r\n"
    "\033[1;32mroot@firefox\033[0m:\033[1;34m~\033[0m# \033[7mls\033[0m\r\n"
    "caf\303\251 \346\227\245\346\234\254 \342\224\200\r\n# ";

static void
console(void)
{
	struct synth s;
	int i;
	char buf[64];

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	CHECK(synth_noted(&s, "attach 1 chan 0 flags 1 from 0"));
	synth_attached(&s, 0, true, 0, 0);
	synth_print(&s, 0, boot);
	synth_golden(&s, "console-80x24", 24, 80, cs_braille, true);
	synth_golden(&s, "console-80x24-ascii", 24, 80, cs_ascii, false);
	synth_key(&s, K_CTRL(']'));
	synth_golden(&s, "console-prefix", 24, 80, cs_braille, false);
	synth_keys(&s, "g");
	synth_key(&s, K_DOWN);
	synth_keys(&s, "|");
	synth_attached(&s, 1, false, 0, 0);
	for (i = 0; i < 100; i++) {
		snprintf(buf, sizeof(buf), "line %d of the build log\r\n", i);
		synth_print(&s, 1, buf);
	}
	synth_golden(&s, "split-80x24", 24, 80, cs_braille, false);
	synth_golden(&s, "split-120x40", 40, 120, cs_braille, true);
	synth_golden(&s, "split-200x50", 50, 200, cs_braille, false);
	synth_key(&s, K_CTRL(']'));
	synth_keys(&s, "/line 4");
	synth_key(&s, K_ENTER);
	synth_golden(&s, "search-120x40", 40, 120, cs_braille, true);
	synth_fini(&s);
}

static const struct tap_case cases[] = {
	{ "guests 80x24", guests_24 },
	{ "guests 120x40, 200x50, tiny", guests_large },
	{ "details and sort menu", details },
	{ "details with disks", disks },
	{ "help", help },
	{ "filter line, two-stroke, question", lines },
	{ "daemon gone, no guests", daemon_gone },
	{ "console, split, search", console },
};
TAP_MAIN(cases)
