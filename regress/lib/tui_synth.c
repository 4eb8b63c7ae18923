/* SPDX-License-Identifier: ISC */
/* A made-up vmtop: see tui_synth.h. */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"
#include "tui/draw/grid_dump.h"

#define NOW 1700000000

const struct charset cs_braille = { true, GRAPH_BRAILLE };
const struct charset cs_block = { true, GRAPH_BLOCK };
const struct charset cs_ascii = { false, GRAPH_TTY };

static const struct {
	const char *name, *owner;
	uint32_t state, ncpus, mem_mb, used_mb, age_s;
	int load; /* percent of all vCPUs, at its middle */
	const char *reason;
	bool unread;
} cast[] = {
	{ "firefox", "alice", VM_RUNNING, 4, 3072, 1640, 372, 41, "", true },
	{ "build", "alice", VM_RUNNING, 8, 8192, 6041, 94261, 62, "", false },
	{ "obsd", "alice", VM_RUNNING, 2, 1024, 411, 1068005, 2, "", true },
	{ "db-test", "bob", VM_PAUSED, 2, 1024, 1019, 11520, 0, "", false },
	{ "web", "bob", VM_STOPPED, 1, 512, 0, 0, 0, "", false },
	{ "mail", "_vmd", VM_STOPPED, 1, 512, 0, 0, 0,
	    "kernel /srv/mail/vmlinuz: No such file or directory", false },
	{ "sample-9", "carol", VM_RUNNING, 1, 512, 502, 51, 97, "", true },
	{ "router", "root", VM_STOPPING, 1, 256, 121, 400000, 5, "", false },
};
#define NCAST (int)(sizeof(cast) / sizeof(cast[0]))

__attribute__((format(printf, 2, 3))) static void
note(struct synth *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->notes + s->nnotes, SYNTH_NOTES - s->nnotes, fmt, ap);
	va_end(ap);
	if (n > 0 && s->nnotes + (size_t)n + 2 < SYNTH_NOTES) {
		s->nnotes += (size_t)n;
		s->notes[s->nnotes++] = '\n';
		s->notes[s->nnotes] = '\0';
	}
}

static int
on_op(void *ctx, enum guest_op op, uint32_t id, struct err *e)
{
	static const char *const names[] = { "start", "pause", "unpause",
		"shutdown", "reset", "kill" };
	struct synth *s = ctx;

	if (s->refuse)
		return (
		    err_set(e, EPERM, "guest %u belongs to bob; ask him", id));
	note(s, "%s %u", names[op], id);
	return (0);
}

static void
on_interval(void *ctx, int ms)
{
	note(ctx, "interval %d", ms);
}

static int
on_attach(void *ctx, const struct msg_attach *a, struct err *e)
{
	(void)e;
	note(ctx, "attach %u chan %u flags %u from %llu", a->vm.id, a->chan,
	    a->flags, (unsigned long long)a->from);
	return (0);
}

static void
on_detach(void *ctx, uint32_t chan)
{
	note(ctx, "detach %u", chan);
}

static int
on_input(void *ctx, uint32_t chan, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	char hex[160];
	size_t i;

	for (i = 0; i < len && i < 50; i++)
		snprintf(hex + i * 3, 4, "%02x ", p[i]);
	hex[i > 0 ? i * 3 - 1 : 0] = '\0';
	note(ctx, "input %u %zu: %s", chan, len, hex);
	return (0);
}

static void
on_credit(void *ctx, uint32_t chan, uint32_t bytes)
{
	note(ctx, "credit %u %u", chan, bytes);
}

static void
on_break(void *ctx, uint32_t chan)
{
	note(ctx, "break %u", chan);
}

static void
on_take(void *ctx, uint32_t chan)
{
	note(ctx, "take %u", chan);
}

static void
on_copy(void *ctx, const char *text, size_t len)
{
	struct synth *s = ctx;

	snprintf(s->copied, sizeof(s->copied), "%.*s", (int)len, text);
}

static const struct link_ops ops = { on_op, on_interval, on_attach, on_detach,
	on_input, on_credit, on_break, on_take };
static const struct term_ops term = { .copy = on_copy };

static void
add_guest(struct synth *s, int i)
{
	struct msg_row r = { 0 };
	int n = i % NCAST;
	struct guest *g;

	r.id = (uint32_t)i + 1;
	r.state = cast[n].state;
	r.ncpus = cast[n].ncpus;
	r.flags = ROW_CONFIGURED | (cast[n].reason[0] ? ROW_FAILED : 0);
	r.pid = r.state == VM_STOPPED ? 0 : 4000 + r.id;
	r.mem_bytes = (uint64_t)cast[n].mem_mb << 20;
	r.resident_bytes = (uint64_t)cast[n].used_mb << 20;
	r.started_s = r.state == VM_STOPPED ? 0 : NOW - cast[n].age_s;
	r.console_bytes = r.state == VM_STOPPED ? 0 : 34567;
	r.owner_gid = ~0u;
	if (i < NCAST)
		snprintf(r.name, sizeof(r.name), "%s", cast[n].name);
	else
		snprintf(r.name, sizeof(r.name), "%.40s-%d", cast[n].name, i);
	snprintf(r.reason, sizeof(r.reason), "%s", cast[n].reason);
	if ((g = model_row(&s->model, &r, cast[n].owner)) != NULL)
		g->console_seen = cast[n].unread ? 0 : r.console_bytes;
}

/* A wave that every run makes alike. */
static int
wave(int i, int t)
{
	static const int w[16] = { 0, 3, 8, 14, 18, 22, 20, 14, 7, 1, -6, -13,
		-18, -15, -9, -4 };

	return (w[(t + i * 5) % 16]);
}

void
synth_second(struct synth *s)
{
	struct msg_figures f = { 0 };
	uint64_t t = (uint64_t)s->model.generation;
	int i, n, load, k;

	s->model.now_s++;
	for (i = 0; i < (int)s->model.nguests; i++) {
		struct guest *g = &s->model.guests[i];

		n = i % NCAST;
		if (cast[n].state == VM_STOPPED)
			continue;
		load = cast[n].load;
		if (load > 1)
			load += wave(i, (int)s->model.now_s) * load / 60;
		load = load > 100 ? 100 : load;
		f.id = g->id;
		f.ncpus = g->ncpus;
		f.now_ns = (uint64_t)s->model.now_s * 1000000000ull;
		f.run_ns =
		    g->last_run_ns + (uint64_t)load * 10000000ull * g->ncpus;
		f.resident_bytes = g->resident_bytes;
		f.console_bytes = g->console_bytes;
		for (k = 0; k < EXIT_N; k++)
			f.exits[k] = g->last_exits[k] +
			    (k < 5 ? (uint64_t)(load * 61 / (k + 1)) : 0);
		model_figures(&s->model, &f);
	}
	ring60_add(&s->model.host.cpu, 0.3f);
	(void)t;
	app_model_changed(&s->app);
}

void
synth_init(struct synth *s, int nguests, int rows, int cols)
{
	struct host *h;
	int i;

	memset(s, 0, sizeof(*s));
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		tap_fail(__FILE__, __LINE__, "no C.UTF-8 locale");
	model_init(&s->model);
	h = &s->model.host;
	snprintf(h->name, sizeof(h->name), "thinkpad");
	h->nthreads = 16;
	h->cpu_frac = 0.314f;
	h->mem_total = 31100ull << 20;
	h->mem_used = 18200ull << 20;
	s->model.link = LINK_UP;
	snprintf(s->model.daemon, sizeof(s->model.daemon), "vmd 0.1");
	snprintf(s->model.clock, sizeof(s->model.clock), "14:32:07");
	s->model.now_s = NOW - 61;
	s->model.uid = 1000;
	if (app_init(&s->app, &s->model, &ops, s, &term, s) == -1)
		tap_fail(__FILE__, __LINE__, "app_init");
	s->app.rows = rows;
	s->app.cols = cols;
	for (i = 0; i < nguests; i++)
		add_guest(s, i);
	for (i = 0; i < 61; i++)
		synth_second(s);
}

void
synth_fini(struct synth *s)
{
	app_fini(&s->app);
	model_fini(&s->model);
}

void
synth_key(struct synth *s, uint32_t key)
{
	struct input in = { .kind = IN_KEY, .key = key };

	app_input(&s->app, &in);
}

void
synth_keys(struct synth *s, const char *text)
{
	for (; *text != '\0'; text++)
		synth_key(s, (uint32_t)(unsigned char)*text);
}

void
synth_attached(
    struct synth *s, uint32_t chan, bool writer, uint64_t start, uint64_t end)
{
	struct console *c = console_by_chan(s->app.views[VIEW_CONSOLE], chan);
	struct msg_attached a = { .chan = chan,
		.writer = writer,
		.input_credit = CONS_INPUT_BYTES,
		.start = start,
		.end = end };

	if (c == NULL) {
		tap_fail(__FILE__, __LINE__, "no console on %u", chan);
		return;
	}
	a.id = c->id;
	console_attached(c, &a);
}

void
synth_print(struct synth *s, uint32_t chan, const char *text)
{
	struct console *c = console_by_chan(s->app.views[VIEW_CONSOLE], chan);

	if (c == NULL)
		tap_fail(__FILE__, __LINE__, "no console on %u", chan);
	else
		console_data(c, c->next, text, strlen(text));
}

bool
synth_noted(const struct synth *s, const char *line)
{
	const char *p = s->notes;
	size_t n = strlen(line);

	for (; (p = strstr(p, line)) != NULL; p++)
		if ((p == s->notes || p[-1] == '\n') && p[n] == '\n')
			return (true);
	return (false);
}

static char *
slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *buf = calloc(1, 1 << 20);

	if (f != NULL && buf != NULL && fread(buf, 1, (1 << 20) - 1, f) == 0)
		buf[0] = '\0';
	if (f != NULL)
		fclose(f);
	return (buf);
}

static const char *
first_difference(const char *name, const char *have, const char *want)
{
	static char msg[1200];
	const char *h = have, *w = want;
	int line = 1;

	while (*h != '\0' && *h == *w) {
		if (*h == '\n') {
			line++;
			have = h + 1;
			want = w + 1;
		}
		h++;
		w++;
	}
	if (*h == *w)
		return (NULL);
	snprintf(msg, sizeof(msg), "%s line %d:\n#  is: %.*s\n# was: %.*s",
	    name, line, (int)strcspn(have, "\n"), have,
	    (int)strcspn(want, "\n"), want);
	return (msg);
}

const char *
golden_diff(const char *name, const struct canvas *c, bool roles)
{
	char path[256], *have = NULL, *want;
	const char *diff;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "regress/tui/golden/%s", name);
	if ((f = open_memstream(&have, &len)) == NULL)
		return ("no memory");
	grid_dump(f, c, roles);
	fclose(f);
	if (getenv("GOLDEN_WRITE") != NULL && (f = fopen(path, "w")) != NULL) {
		fputs(have, f);
		fclose(f);
	}
	want = slurp(path);
	diff = first_difference(name, have, want);
	free(want);
	free(have);
	return (diff);
}

void
synth_golden(struct synth *s, const char *name, int rows, int cols,
    struct charset cs, bool roles)
{
	const char *diff;
	struct canvas c;

	s->app.rows = rows;
	s->app.cols = cols;
	s->app.cs = cs;
	app_model_changed(&s->app);
	if (canvas_init(&c, rows, cols, cs) == -1) {
		tap_fail(__FILE__, __LINE__, "canvas");
		return;
	}
	app_draw(&s->app, &c);
	if ((diff = golden_diff(name, &c, roles)) != NULL)
		tap_fail(__FILE__, __LINE__, "%s", diff);
	canvas_fini(&c);
}
