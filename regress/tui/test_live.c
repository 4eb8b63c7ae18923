/* SPDX-License-Identifier: ISC */
/*
 * The program itself on a pseudo-terminal, with a daemon that only speaks the
 * protocol: it works inside its sandbox, and all that it writes to its terminal
 * is on a list (T70).
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regress/lib/fakevmd.h"
#include "regress/lib/tap.h"
#include "tui/draw/canvas.h"
#include "tui/draw/grid_dump.h"
#include "tui/term/vt.h"
#include "shared/clock.h"

#define LIMIT_MS 20000
#define MARK "the end of what it printed"

static char dir[] = "/tmp/vmtop.XXXXXX";
static char sock[64];
static char *out; /* all that vmtop wrote */
static size_t nout;
static struct vt *vt; /* the terminal it runs on */
static int tty = -1, daemon_pid = -1, vmtop_pid = -1;
static int status;

static void
no_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static void
run_daemon(const void *history, size_t len, uint64_t lost, int flood)
{
	struct fakevmd_conf c = { sock, 200, history, len, lost, flood };

	daemon_pid = fakevmd_fork(&c);
	CHECK(daemon_pid > 0);
}

static void
stop_daemon(void)
{
	if (daemon_pid > 0) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
	}
	daemon_pid = -1;
}

static void
run_vmtop(const char *term, const char *locale, int no_colour)
{
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	char path[256];
	const char *b = getenv("B");

	snprintf(path, sizeof(path), "%s/vmtop", b != NULL ? b : "build");
	vt_close(vt);
	vt = NULL;
	free(out);
	out = NULL;
	nout = 0;
	CHECK_EQ(vt_open(&vt, 24, 80, no_answer, NULL), 0);
	vmtop_pid = forkpty(&tty, NULL, NULL, &ws);
	if (vmtop_pid == 0) {
		setenv("TERM", term, 1);
		setenv("LC_ALL", locale, 1);
		unsetenv("NO_COLOR");
		if (no_colour)
			setenv("NO_COLOR", "1", 1);
		execl(path, "vmtop", "-s", sock, (char *)NULL);
		_exit(127);
	}
	CHECK(vmtop_pid > 0);
	fcntl(tty, F_SETFL, O_NONBLOCK);
}

static const char *
screen(void)
{
	const struct charset cs = { true, GRAPH_BRAILLE };
	static char *text;
	struct canvas c;
	size_t len;
	FILE *f;

	free(text);
	text = NULL;
	if (canvas_init(&c, 24, 80, cs) == -1)
		return ("");
	vt_draw(vt, &c, canvas_rect(&c), true);
	f = open_memstream(&text, &len);
	grid_dump(f, &c, false);
	fclose(f);
	canvas_fini(&c);
	return (text);
}

/* What it has written, kept and shown; false: it has ended. */
static bool
take(int timeout_ms)
{
	struct pollfd p = { .fd = tty, .events = POLLIN };
	char buf[4096], *more;
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return (true);
	n = read(tty, buf, sizeof(buf));
	if (n <= 0)
		return (n == -1 && errno == EAGAIN);
	if ((more = realloc(out, nout + (size_t)n)) == NULL)
		abort();
	out = more;
	memcpy(out + nout, buf, (size_t)n);
	nout += (size_t)n;
	vt_feed(vt, buf, (size_t)n, false);
	return (true);
}

static bool
wait_for(const char *text)
{
	int64_t end = clock_now_ms() + LIMIT_MS;

	while (clock_now_ms() < end) {
		if (strstr(screen(), text) != NULL)
			return (true);
		if (!take(200))
			break;
	}
	tap_fail(__FILE__, __LINE__, "\"%s\" never came; screen:\n%s", text,
	    screen());
	return (false);
}

static void
type(const char *keys)
{
	CHECK_EQ(write(tty, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* Until it has ended; its status. */
static void
end_vmtop(void)
{
	int64_t end = clock_now_ms() + LIMIT_MS;

	while (take(100) && clock_now_ms() < end)
		;
	if (clock_now_ms() >= end)
		kill(vmtop_pid, SIGKILL);
	waitpid(vmtop_pid, &status, 0);
	close(tty);
	tty = -1;
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "status 0x%x%s", (unsigned)status,
	    WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
		? ": a call that its sandbox forbids"
		: "");
}

/* ---- the list ---- */

struct allowed {
	char final;
	const char *priv; /* what may stand before the numbers */
	const char *set;  /* NULL: any numbers; else these, as text */
};

/* Every CSI that terminfo of our terminals has, and the modes we set. */
static const struct allowed csi_list[] = {
	{ 'H', "", NULL }, { 'A', "", NULL }, { 'B', "", NULL },
	{ 'C', "", NULL }, { 'D', "", NULL }, { 'G', "", NULL },
	{ 'd', "", NULL }, { 'J', "", NULL }, { 'K', "", NULL },
	{ 'L', "", NULL }, { 'M', "", NULL }, { 'P', "", NULL },
	{ '@', "", NULL }, { 'X', "", NULL }, { 'S', "", NULL },
	{ 'T', "", NULL }, { 'm', "", NULL }, { 'r', "", NULL },
	{ 'b', "", NULL }, { 'Z', "", NULL }, { 'I', "", NULL },
	{ 't', "", "22;0;0 23;0;0" }, { 'l', "", "4" }, { 'h', "", "4" },
	{ 'h', "?", "1049 25 12;25 1000 1002 1006 2004 7 1 5" },
	{ 'l', "?", "1049 25 12 1000 1002 1006 2004 7 1 5" },
	{ 'c', "?", "0 1 8" }, /* the Linux console's cursor shapes */
};

static bool
in_set(const char *set, const char *what, size_t len)
{
	const char *p = set;

	for (; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == len && strncmp(p, what, len) == 0)
			return (true);
	return (false);
}

/* Length of the allowed CSI at p (after ESC [), 0: not allowed. */
static size_t
csi_ok(const char *p, size_t len)
{
	size_t i = 0, from, k;
	char priv[2] = "";

	if (i < len && strchr("<=>?", p[i]) != NULL)
		priv[0] = p[i++];
	from = i;
	while (i < len && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';'))
		i++;
	if (i == len)
		return (0);
	for (k = 0; k < sizeof(csi_list) / sizeof(csi_list[0]); k++)
		if (csi_list[k].final == p[i] &&
		    strcmp(csi_list[k].priv, priv) == 0 &&
		    (csi_list[k].set == NULL ||
			in_set(csi_list[k].set, p + from, i - from)))
			return (i + 1);
	return (0);
}

/* Length of what stands at p and may; 0: it may not. */
static size_t
allowed(const char *p, size_t len)
{
	unsigned char c = (unsigned char)p[0];
	const char *q = p;
	size_t left = len, n;
	uint32_t ch;

	if (c == 0x1b) {
		if (len < 2)
			return (0);
		if (p[1] == '[')
			return ((n = csi_ok(p + 2, len - 2)) == 0 ? 0 : n + 2);
		if (strchr("()", p[1]) != NULL)
			return (len > 2 && strchr("B0", p[2]) != NULL ? 3 : 0);
		return (strchr("78>=MD", p[1]) != NULL ? 2 : 0);
	}
	if (c < 0x20) /* BS TAB LF CR SO SI; NUL pads for a VT100 */
		return (strchr("\b\t\n\r\016\017", c) != NULL || c == 0);
	if (c == 0x7f)
		return (0);
	ch = utf8_next(&q, &left);
	if (ch == 0xfffd && (len < 3 || memcmp(p, "\357\277\275", 3) != 0))
		return (0);
	if ((ch >= 0x80 && ch < 0xa0) || (ch >= 0x200b && ch <= 0x200f) ||
	    (ch >= 0x2028 && ch <= 0x202e) || (ch >= 0x2066 && ch <= 0x2069))
		return (0);
	return (len - left);
}

static void
check_output(void)
{
	size_t i, n, k;
	char hex[64];

	for (i = 0; i < nout; i += n) {
		if ((n = allowed(out + i, nout - i)) != 0)
			continue;
		for (k = 0; k < 16 && i + k < nout; k++)
			snprintf(
			    hex + k * 3, 4, "%02x ", (unsigned char)out[i + k]);
		tap_fail(__FILE__, __LINE__,
		    "byte %zu of %zu is not on the list: %s", i, nout, hex);
		return;
	}
	CHECK(nout > 500);
}

/* ---- cases ---- */

static const char hostile[] =
    "\033]0;title\007\033]2;title\033\\\033]4;1;rgb:ff/ff/ff\033\\"
    "\033]8;;http://evil/\033\\link\033]8;;\033\\\033]10;?\007\033]52;c;"
    "ZXZpbA==\007\033]52;c;?\007\033]1337;File=:AAAA\007\033]777;notify;a;b\007"
    "\033[c\033[>c\033[=c\033[5n\033[6n\033[?6n\033[21t\033[18t\033[8;9;9t"
    "\033P$qm\033\\\033P+q544e\033\\\033P1;2q#0~~\033\\\033_Gf=24;AAAA\033\\"
    "\033^private\033\\\033Xstring\033\\\005\033[?1000h\033[?1002h\033[?1003h"
    "\033[?1006h\033[?1049h\033[?47h\033[?2004h\033[?1004h\033[?5h\033[?3h"
    "\033c\033[!p\033#8\033[2J\033[99999b\033[2147483647@\033[0;0r\033[99;1r"
    "\x9b\x32\x4a\x9d\x30;x\x9c\x90\x71\x9c\302\2332J\302\2350;x\302\234"
    "\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80\xff\xfe"
    "\342\200\256txt.exe\342\200\254\342\201\246x\342\201\251\342\200\213"
    "\342\200\215\342\200\250\342\200\251\357\273\277\007\007\016\017\010\010"
    "e\314\201\314\202\314\203\330\247\331\204\327\251\360\237\221\250\342\200"
    "\215\360\237\221\251\033[38;5;300m\033[38;2;999;1;1m\033[4:3m\033[58;5;1m"
    "\033[3;1H\033(0qqq\033(B\033[1;31;42;7;5;4mx\033[m\033[?25h\033[?7h"
    "\033[?1l\033[4l\033[r\033[H\033[J" MARK "\r\n";

static void
session(const char *term, const char *locale, int no_colour)
{
	run_daemon(hostile, sizeof(hostile) - 1, 0, 0);
	run_vmtop(term, locale, no_colour);
	if (wait_for("guest-1")) {
		type("\r");
		wait_for(MARK);
		type("hello\r");
		wait_for("hello");
		type("\035/end of\r");
		wait_for("C-] ? keys, Esc");
		type("q\035g");
		wait_for("EXIT/S");
		type("j|");
		wait_for("guest-2: ");
		type("\035g?");
		wait_for("Keys: Guests");
		type("qq");
	} else
		kill(vmtop_pid, SIGTERM);
	end_vmtop();
	stop_daemon();
	check_output();
}

static void
xterm(void)
{
	session("xterm-256color", "C.UTF-8", 0);
}

static void
no_color(void)
{
	size_t i;

	session("xterm-256color", "C.UTF-8", 1);
	/* No SGR with a colour: 30 to 49, 90 to 107. */
	for (i = 0; i + 3 < nout; i++)
		if (out[i] == '\033' && out[i + 1] == '[') {
			size_t k = i + 2, v = 0;

			for (; k < nout &&
			     (out[k] == ';' ||
				 (out[k] >= '0' && out[k] <= '9'));
			     k++) {
				v = out[k] == ';'
				    ? 0
				    : v * 10 + (size_t)(out[k] - '0');
				if (out[k + 1] == 'm' && v != 39 && v != 49)
					CHECK_MSG(v < 30, "colour %zu", v);
			}
		}
}

static void
ascii(void)
{
	size_t i;

	session("xterm-256color", "C", 0);
	for (i = 0; i < nout; i++)
		if ((unsigned char)out[i] >= 0x80) {
			tap_fail(__FILE__, __LINE__, "byte 0x%02x in locale C",
			    (unsigned char)out[i]);
			break;
		}
}

static void
linux_console(void)
{
	session("linux", "C.UTF-8", 0);
	CHECK(memmem(out, nout, "\033[?1000h", 8) == NULL);
	CHECK(memmem(out, nout, "\033[?2004h", 8) == NULL);
}

static void
vt100(void)
{
	session("vt100", "C", 0);
}

/* Gone and back: the screen stays, nothing comes twice, what is lost is said. */
static void
comes_back(void)
{
	static const char first[] = "first line\r\nsecond line\r\n";
	const char *text;

	run_daemon(first, sizeof(first) - 1, 0, 0);
	run_vmtop("xterm-256color", "C.UTF-8", 0);
	if (!wait_for("guest-1"))
		return;
	type("\r");
	wait_for("second line");
	stop_daemon();
	wait_for("no daemon");
	wait_for("second line");
	/* The same console again, of which 100 bytes more are gone. */
	run_daemon(first, sizeof(first) - 1, sizeof(first) - 1 + 100, 0);
	wait_for("-- 100 bytes lost --");
	wait_for("yours to type");
	text = strstr(screen(), "first line");
	CHECK(text != NULL && strstr(text + 1, "first line") != NULL);
	kill(vmtop_pid, SIGTERM);
	end_vmtop();
	stop_daemon();
	check_output();
	/* The terminal is as it was: no mouse, no paste mode, main screen. */
	CHECK(memmem(out, nout, "\033[?1000l", 8) != NULL);
	CHECK(memmem(out, nout, "\033[?2004l", 8) != NULL);
	CHECK(memmem(out, nout, "\033[?1049l", 8) != NULL);
}

static void
resize(void)
{
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	int i;

	run_daemon(hostile, sizeof(hostile) - 1, 0, 1);
	run_vmtop("xterm-256color", "C.UTF-8", 0);
	if (!wait_for("guest-1"))
		return;
	type("\r");
	wait_for("never stops");
	for (i = 0; i < 60; i++) {
		ws.ws_row = (unsigned short)(1 + i * 7 % 50);
		ws.ws_col = (unsigned short)(1 + i * 31 % 200);
		ioctl(tty, TIOCSWINSZ, &ws);
		kill(vmtop_pid, SIGWINCH);
		take(20);
	}
	ws.ws_row = 24;
	ws.ws_col = 80;
	ioctl(tty, TIOCSWINSZ, &ws);
	kill(vmtop_pid, SIGWINCH);
	wait_for("never stops");
	type("\035dq");
	end_vmtop();
	stop_daemon();
	check_output();
}

static const struct tap_case cases[] = {
	{ "T70 live: hostile guest, xterm-256color", xterm },
	{ "T70 live: hostile guest, NO_COLOR", no_color },
	{ "T70 live: hostile guest, locale C", ascii },
	{ "T70 live: hostile guest, Linux console", linux_console },
	{ "T70 live: hostile guest, VT100", vt100 },
	{ "live: the daemon goes and comes back", comes_back },
	{ "live: resizes under a flood", resize },
};

int
main(int argc, char **argv)
{
	int rc;

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL || mkdtemp(dir) == NULL)
		return (1);
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	rc = tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
	unlink(sock);
	rmdir(dir);
	return (rc);
}
