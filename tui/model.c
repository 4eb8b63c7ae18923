/* SPDX-License-Identifier: ISC */
/* The client's copy of what the daemon runs: see model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/devpage.h"
#include "tui/model.h"

#define ROW_SEEN 0x80000000u /* ours, in flags: the new LIST named it */
#define GUESTS_MAX 65536

void
model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->host.cpu_frac = -1;
	m->delay_ms = 1000;
}

void
model_fini(struct model *m)
{
	free(m->guests);
	memset(m, 0, sizeof(*m));
}

/* Where id is, or where it would go. */
static size_t
slot(const struct model *m, uint32_t id)
{
	size_t lo = 0, hi = m->nguests;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->guests[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

const struct guest *
model_peek(const struct model *m, uint32_t id)
{
	size_t i = slot(m, id);

	if (i == m->nguests || m->guests[i].id != id)
		return (NULL);
	return (&m->guests[i]);
}

struct guest *
model_find(struct model *m, uint32_t id)
{
	size_t i = slot(m, id);

	if (i == m->nguests || m->guests[i].id != id)
		return (NULL);
	return (&m->guests[i]);
}

static struct guest *
insert(struct model *m, uint32_t id)
{
	size_t i = slot(m, id), room;
	struct guest *g;

	if (i < m->nguests && m->guests[i].id == id)
		return (&m->guests[i]);
	if (m->nguests == m->room) {
		if (m->room >= GUESTS_MAX)
			return (NULL);
		room = m->room == 0 ? 16 : m->room * 2;
		g = reallocarray(m->guests, room, sizeof(*g));
		if (g == NULL)
			return (NULL);
		m->guests = g;
		m->room = room;
	}
	g = &m->guests[i];
	memmove(g + 1, g, (m->nguests - i) * sizeof(*g));
	memset(g, 0, sizeof(*g));
	g->id = id;
	m->nguests++;
	return (g);
}

/* Figures of a run that is over. */
static void
clear_rates(struct guest *g)
{
	int i;

	g->have_rates = false;
	g->cpu_pct = g->exits = 0;
	g->last_ns = 0;
	g->cpu.n = g->exit_ring.n = 0;
	memset(g->exit_rate, 0, sizeof(g->exit_rate));
	for (i = 0; i < MODEL_DISKS; i++) {
		g->disk[i].have_rates = false;
		g->disk[i].last.now_ns = 0;
		g->disk[i].flush_p50_us = g->disk[i].flush_p99_us = 0;
	}
}

static bool
state_runs(uint32_t state)
{
	return (state == VM_RUNNING || state == VM_PAUSED ||
	    state == VM_STOPPING || state == VM_STARTING);
}

struct guest *
model_row(struct model *m, const struct msg_row *r, const char *owner)
{
	struct guest *g;

	if ((g = insert(m, r->id)) == NULL)
		return (NULL);
	if (g->started_s != r->started_s)
		clear_rates(g);
	/* A new run's console begins at 0: what was seen is of the old one. */
	if (r->console_bytes < g->console_seen)
		g->console_seen = 0;
	g->state = r->state;
	g->flags = (r->flags & ~ROW_SEEN) | ROW_SEEN;
	g->pid = r->pid;
	g->ncpus = r->ncpus;
	g->owner_uid = r->owner_uid;
	g->restarts = r->restarts;
	g->mem_bytes = r->mem_bytes;
	g->resident_bytes = r->resident_bytes;
	g->started_s = r->started_s;
	g->console_bytes = r->console_bytes;
	g->ndisks = r->ndevs < MODEL_DISKS ? r->ndevs : MODEL_DISKS;
	g->busy[0] = '\0';
	snprintf(g->name, sizeof(g->name), "%s", r->name);
	snprintf(g->owner, sizeof(g->owner), "%s", owner);
	if (r->flags & ROW_FAILED)
		snprintf(g->reason, sizeof(g->reason), "%s", r->reason);
	else if (state_runs(r->state))
		g->reason[0] = '\0';
	if (!state_runs(r->state))
		clear_rates(g);
	m->generation++;
	return (g);
}

void
model_remove(struct model *m, uint32_t id)
{
	struct guest *g = model_find(m, id);
	size_t i;

	if (g == NULL)
		return;
	i = (size_t)(g - m->guests);
	memmove(g, g + 1, (m->nguests - i - 1) * sizeof(*g));
	m->nguests--;
	m->generation++;
}

void
model_gone(struct model *m, const struct msg_gone *gone)
{
	struct guest *g = model_find(m, gone->id);

	if (g == NULL)
		return;
	m->generation++;
	if ((g->flags & ROW_CONFIGURED) == 0) {
		model_remove(m, gone->id);
		return;
	}
	g->state = VM_STOPPED;
	g->pid = 0;
	g->started_s = 0;
	g->resident_bytes = 0;
	g->busy[0] = '\0';
	clear_rates(g);
}

void
ring60_add(struct ring60 *r, float v)
{
	if (r->n == MODEL_SAMPLES) {
		memmove(r->v, r->v + 1, (MODEL_SAMPLES - 1) * sizeof(r->v[0]));
		r->n--;
	}
	r->v[r->n++] = v;
}

/* Of what a page says, which may be anything: at most 1e18. */
static float
rate(uint64_t now, uint64_t before, double secs)
{
	double r = now < before ? 0 : (double)(now - before) / secs;

	return (r < 1e18 ? (float)r : 1e18f);
}

void
model_figures(struct model *m, const struct msg_figures *f)
{
	struct guest *g = model_find(m, f->id);
	double secs;
	float used;
	int i;

	if (g == NULL)
		return;
	g->resident_bytes = f->resident_bytes;
	g->console_bytes = f->console_bytes;
	if (g->last_ns != 0 && f->now_ns > g->last_ns) {
		secs = (double)(f->now_ns - g->last_ns) / 1e9;
		g->cpu_pct = rate(f->run_ns, g->last_run_ns, secs) / 1e7f;
		g->exits = 0;
		for (i = 0; i < EXIT_N; i++) {
			g->exit_rate[i] =
			    rate(f->exits[i], g->last_exits[i], secs);
			g->exits += g->exit_rate[i];
		}
		used = g->cpu_pct / 100 / (g->ncpus == 0 ? 1 : (float)g->ncpus);
		ring60_add(&g->cpu, used > 1 ? 1 : used);
		ring60_add(&g->exit_ring, g->exits);
		g->have_rates = true;
	}
	g->last_ns = f->now_ns;
	g->last_run_ns = f->run_ns;
	memcpy(g->last_exits, f->exits, sizeof(g->last_exits));
	m->generation++;
}

void
model_dev(struct model *m, const struct msg_dev_row *r)
{
	struct guest *g = model_find(m, r->id);
	struct gdisk *d;

	if (g == NULL || r->index >= MODEL_DISKS)
		return;
	d = &g->disk[r->index];
	d->state = r->state;
	d->flags = r->flags;
	d->pid = r->pid;
	d->replaced = r->replaced;
	snprintf(d->name, sizeof(d->name), "%s", r->name);
	snprintf(
	    d->path, sizeof(d->path), "%.*s", DISK_PATH_BYTES - 1, r->path);
	snprintf(d->reason, sizeof(d->reason), "%s", r->reason);
	m->generation++;
}

/* Of the flushes between two samples, if there were any. */
static void
disk_flushes(struct gdisk *d, const struct msg_dev_figures *f)
{
	uint64_t hist[DEV_HIST], n = 0;
	int i;

	for (i = 0; i < DEV_HIST; i++) {
		hist[i] = f->flush_hist[i] < d->last.flush_hist[i]
		    ? 0
		    : f->flush_hist[i] - d->last.flush_hist[i];
		n += hist[i];
	}
	if (n == 0)
		return;
	d->flush_p50_us = devpage_percentile_us(hist, 50);
	d->flush_p99_us = devpage_percentile_us(hist, 99);
}

void
model_dev_figures(struct model *m, const struct msg_dev_figures *f)
{
	struct guest *g = model_find(m, f->id);
	struct gdisk *d;
	double secs;

	if (g == NULL || f->index >= MODEL_DISKS)
		return;
	d = &g->disk[f->index];
	d->inflight = f->inflight;
	if (d->last.now_ns != 0 && f->now_ns > d->last.now_ns) {
		secs = (double)(f->now_ns - d->last.now_ns) / 1e9;
		d->reads = rate(f->reads, d->last.reads, secs);
		d->writes = rate(f->writes, d->last.writes, secs);
		d->read_bytes = rate(f->read_bytes, d->last.read_bytes, secs);
		d->write_bytes =
		    rate(f->write_bytes, d->last.write_bytes, secs);
		disk_flushes(d, f);
		d->have_rates = true;
	}
	d->last = *f;
	m->generation++;
}

void
model_event(struct model *m, const struct msg_event *ev)
{
	struct event_line *l;

	if (m->nevents == MODEL_EVENTS) {
		memmove(m->events, m->events + 1,
		    (MODEL_EVENTS - 1) * sizeof(m->events[0]));
		m->nevents--;
	}
	l = &m->events[m->nevents++];
	l->time_s = ev->time_s;
	l->bad = ev->bad != 0;
	snprintf(l->name, sizeof(l->name), "%s", ev->name);
	snprintf(l->text, sizeof(l->text), "%s", ev->text);
	m->generation++;
}

void
model_reason(struct model *m, uint32_t id, const char *text)
{
	struct guest *g = model_find(m, id);

	if (g == NULL)
		return;
	g->busy[0] = '\0';
	snprintf(g->reason, sizeof(g->reason), "%s", text);
	m->generation++;
}

void
model_mark(struct model *m)
{
	size_t i;

	for (i = 0; i < m->nguests; i++)
		m->guests[i].flags &= ~ROW_SEEN;
}

void
model_sweep(struct model *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->nguests; i++)
		if (m->guests[i].flags & ROW_SEEN)
			m->guests[n++] = m->guests[i];
	m->nguests = n;
	m->generation++;
}

void
model_totals(const struct model *m, struct totals *t)
{
	const struct guest *g;
	size_t i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < m->nguests; i++) {
		g = &m->guests[i];
		if (g->state == VM_STOPPED) {
			t->stopped++;
			t->failed += (g->flags & ROW_FAILED) != 0;
			continue;
		}
		if (g->state == VM_RUNNING)
			t->running++;
		else if (g->state == VM_PAUSED)
			t->paused++;
		else
			t->other++;
		t->vcpus += g->ncpus;
		t->cpu_pct += g->cpu_pct;
		t->exits += g->exits;
		t->resident += g->resident_bytes;
		t->mem += g->mem_bytes;
	}
}

static void
scale_bytes(char *buf, size_t size, uint64_t bytes, double decimals_below)
{
	static const char unit[] = "KMGTPE";
	double v = (double)bytes / 1024;
	int i = 0;

	if (bytes < 1000) {
		snprintf(buf, size, "%uB", (unsigned)bytes);
		return;
	}
	for (; v >= 999.5 && i < 5; i++)
		v /= 1024;
	if (v < decimals_below && i > 0)
		snprintf(buf, size, "%.1f%c", v, unit[i]);
	else
		snprintf(buf, size, "%.0f%c", v, unit[i]);
}

void
fmt_bytes(char *buf, size_t size, uint64_t bytes)
{
	scale_bytes(buf, size, bytes, 9.95);
}

void
fmt_bytes5(char *buf, size_t size, uint64_t bytes)
{
	scale_bytes(buf, size, bytes, 99.95);
}

void
fmt_count(char *buf, size_t size, double v)
{
	static const char unit[] = " kMGTPE";
	int i = 0;

	if (!(v >= 0))
		v = 0;
	for (; v >= 999.5 && i < 6; i++)
		v /= 1000;
	if (i == 0)
		snprintf(buf, size, "%.0f", v);
	else
		snprintf(
		    buf, size, v < 99.95 ? "%.1f%c" : "%.0f%c", v, unit[i]);
}

void
fmt_uptime(char *buf, size_t size, int64_t s)
{
	int64_t d;

	if (s < 0)
		s = 0;
	d = s / 86400;
	if (d == 0)
		snprintf(buf, size, "%02d:%02d:%02d", (int)(s / 3600),
		    (int)(s / 60 % 60), (int)(s % 60));
	else if (d < 100)
		snprintf(buf, size, "%dd%02d:%02d", (int)d,
		    (int)(s / 3600 % 24), (int)(s / 60 % 60));
	else
		snprintf(buf, size, "%dd", (int)(d > 9999999 ? 9999999 : d));
}
