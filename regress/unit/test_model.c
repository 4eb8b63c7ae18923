/* SPDX-License-Identifier: ISC */
/* The model: rows, rates, filter; formats; the host's /proc texts. */
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "tui/filter.h"
#include "tui/host.h"
#include "tui/model.h"

static void
row(struct model *m, uint32_t id, uint32_t state, const char *name)
{
	struct msg_row r = { .id = id,
		.state = state,
		.ncpus = 2,
		.flags = ROW_CONFIGURED,
		.started_s = 100 };

	snprintf(r.name, sizeof(r.name), "%s", name);
	if (state == VM_STOPPED)
		r.started_s = 0;
	model_row(m, &r, "alice");
}

static void
figures(
    struct model *m, uint32_t id, uint64_t s, uint64_t run_ms, uint64_t exits)
{
	struct msg_figures f = { .id = id,
		.ncpus = 2,
		.now_ns = s * 1000000000u,
		.run_ns = run_ms * 1000000u };

	f.exits[0] = exits;
	f.resident_bytes = 1 << 20;
	model_figures(m, &f);
}

static void
rows(void)
{
	struct msg_gone gone = { .id = 3 };
	struct model m;
	uint32_t i;

	model_init(&m);
	for (i = 200; i > 0; i -= 2)
		row(&m, i, VM_RUNNING, "g");
	row(&m, 3, VM_RUNNING, "three");
	CHECK_EQ(m.nguests, 101);
	for (i = 1; i < m.nguests; i++)
		CHECK(m.guests[i - 1].id < m.guests[i].id);
	CHECK_STR(model_peek(&m, 3)->name, "three");
	CHECK(model_peek(&m, 5) == NULL);
	/* From vm.conf: the row stays, without figures. */
	figures(&m, 3, 1, 0, 0);
	figures(&m, 3, 2, 500, 10);
	CHECK(model_peek(&m, 3)->have_rates);
	model_gone(&m, &gone);
	CHECK_EQ(model_peek(&m, 3)->state, VM_STOPPED);
	CHECK(!model_peek(&m, 3)->have_rates);
	CHECK_EQ(model_peek(&m, 3)->cpu.n, 0);
	/* Not from vm.conf: it goes. */
	model_find(&m, 3)->flags = 0;
	model_gone(&m, &gone);
	CHECK(model_peek(&m, 3) == NULL);
	model_gone(&m, &gone);
	/* What a new list does not name goes. */
	model_mark(&m);
	row(&m, 2, VM_RUNNING, "g");
	row(&m, 9, VM_RUNNING, "g");
	model_sweep(&m);
	CHECK_EQ(m.nguests, 2);
	model_fini(&m);
}

static void
rates(void)
{
	struct model m;
	const struct guest *g;
	int i;

	model_init(&m);
	row(&m, 1, VM_RUNNING, "a");
	figures(&m, 1, 10, 1000, 100);
	g = model_peek(&m, 1);
	CHECK(!g->have_rates);
	figures(&m, 1, 12, 4000, 300);
	CHECK_EQ(g->cpu_pct + 0.5f, 150);
	CHECK_EQ(g->exits, 100);
	CHECK_EQ(g->cpu.n, 1);
	CHECK_EQ(g->cpu.v[0] * 100, 75);
	/* The same sample again, and counters that run backwards. */
	figures(&m, 1, 12, 4000, 300);
	CHECK_EQ(g->cpu.n, 1);
	figures(&m, 1, 13, 0, 0);
	CHECK_EQ(g->cpu_pct, 0);
	/* More than there is. */
	figures(&m, 1, 14, 100000, 0);
	CHECK_EQ(g->cpu.v[2], 1);
	for (i = 0; i < 100; i++)
		figures(&m, 1, 20 + (uint64_t)i, 0, 0);
	CHECK_EQ(g->cpu.n, MODEL_SAMPLES);
	/* A new run begins with nothing. */
	row(&m, 1, VM_STOPPED, "a");
	CHECK_EQ(g->cpu.n, 0);
	figures(&m, 99, 1, 1, 1);
	model_fini(&m);
}

static void
reasons(void)
{
	struct msg_row r = { .id = 1, .flags = ROW_CONFIGURED | ROW_FAILED };
	struct model m;

	model_init(&m);
	snprintf(r.name, sizeof(r.name), "a");
	snprintf(r.reason, sizeof(r.reason), "no memory");
	model_row(&m, &r, "alice");
	CHECK_STR(model_peek(&m, 1)->reason, "no memory");
	r.flags = ROW_CONFIGURED;
	r.state = VM_RUNNING;
	model_row(&m, &r, "alice");
	CHECK_STR(model_peek(&m, 1)->reason, "");
	model_reason(&m, 1, "belongs to bob");
	CHECK_STR(model_peek(&m, 1)->reason, "belongs to bob");
	model_reason(&m, 7, "x");
	model_fini(&m);
}

static bool
match(const char *text)
{
	struct guest g = { .id = 7,
		.state = VM_RUNNING,
		.ncpus = 4,
		.cpu_pct = 60,
		.exits = 1500,
		.resident_bytes = 3ull << 29 };
	struct filter f;

	snprintf(g.name, sizeof(g.name), "Web-1");
	snprintf(g.owner, sizeof(g.owner), "alice");
	filter_parse(&f, text);
	return (filter_match(&f, &g));
}

static void
filters(void)
{
	static const char *const yes[] = { "", "web", "WEB", "!mail",
		"state:run", "owner:ali", "cpu>50", "cpu<61", "mem>1G",
		"mem<1.6g", "exits>1k", "id:7", "vcpus:4", "web state:run",
		"state:", "  web  " };
	static const char *const no[] = { "mail", "!web", "state:stop",
		"cpu>60", "mem>2G", "id:8", "web owner:bob", "cpu>x", "cpu>",
		"state>run", "!state:run", "cpu:61" };
	char many[FILTER_BYTES * 2];
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		CHECK_MSG(match(yes[i]), "\"%s\"", yes[i]);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		CHECK_MSG(!match(no[i]), "\"%s\"", no[i]);
	for (i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 ? ' ' : 'w';
	many[i] = '\0';
	CHECK(match(many));
}

static void
formats(void)
{
	static const struct {
		uint64_t v;
		const char *four, *five;
	} b[] = {
		{ 0, "0B", "0B" },
		{ 999, "999B", "999B" },
		{ 1000, "1K", "1K" },
		{ 1024, "1K", "1K" },
		{ 411ull << 20, "411M", "411M" },
		{ 1019ull << 20, "1.0G", "1.0G" },
		{ 1ull << 30, "1.0G", "1.0G" },
		{ 17ull << 30, "17G", "17.0G" },
		{ 999ull << 30, "999G", "999G" },
		{ ~0ull, "16E", "16.0E" },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < sizeof(b) / sizeof(b[0]); i++) {
		fmt_bytes(buf, sizeof(buf), b[i].v);
		CHECK_STR(buf, b[i].four);
		fmt_bytes5(buf, sizeof(buf), b[i].v);
		CHECK_STR(buf, b[i].five);
	}
	fmt_count(buf, sizeof(buf), 999.4);
	CHECK_STR(buf, "999");
	fmt_count(buf, sizeof(buf), 48123);
	CHECK_STR(buf, "48.1k");
	fmt_count(buf, sizeof(buf), -1);
	CHECK_STR(buf, "0");
	fmt_uptime(buf, sizeof(buf), 372);
	CHECK_STR(buf, "00:06:12");
	fmt_uptime(buf, sizeof(buf), 86400 + 7860);
	CHECK_STR(buf, "1d02:11");
	fmt_uptime(buf, sizeof(buf), 86400ll * 412);
	CHECK_STR(buf, "412d");
	fmt_uptime(buf, sizeof(buf), -5);
	CHECK_STR(buf, "00:00:00");
}

static void
host(void)
{
	uint64_t busy, total, v;

	CHECK(host_parse_stat(
	    "cpu  10 1 5 80 4 0 1 2 9 0\ncpu0 1", &busy, &total));
	CHECK_EQ(total, 103);
	CHECK_EQ(busy, 19);
	CHECK(!host_parse_stat("cp", &busy, &total));
	CHECK(!host_parse_stat("", &busy, &total));
	CHECK(host_parse_meminfo(
	    "MemTotal:  100 kB\nMemAvailable: 40 kB\n", "MemAvailable", &v));
	CHECK_EQ(v, 40 * 1024);
	CHECK(!host_parse_meminfo("MemTotal:  100 kB\n", "Mem", &v));
}

static const struct tap_case cases[] = {
	{ "model: rows come, go and stay in order", rows },
	{ "model: rates from counters", rates },
	{ "model: reasons on rows", reasons },
	{ "model: filter", filters },
	{ "model: formats keep their width", formats },
	{ "model: /proc/stat and meminfo", host },
};
TAP_MAIN(cases)
