/* SPDX-License-Identifier: ISC */
/* How vmctl shows the devices of a VM: see fmt.h. */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "daemon/ctl/fmt.h"
#include "shared/devpage.h"
#include "shared/size.h"
#include "shared/str.h"

#define INDENT "      "
#define RATE_MAX 1e18 /* no disk; what a page says is its device's word */

/* A counter that went back is of a page that is new. */
static double
rate(const struct fmt_dev *d, uint64_t old, uint64_t now)
{
	double r;

	if (!d->has_old || !d->has_now || now < old ||
	    d->now.now_ns <= d->old.now_ns)
		return (0);
	r = (double)(now - old) * 1e9 / (double)(d->now.now_ns - d->old.now_ns);
	return (r < RATE_MAX ? r : RATE_MAX);
}

#define RATE(d, f) rate(d, (d)->old.f, (d)->now.f)

/* "850us", "1.2ms", "3.0s"; "-" when nothing was counted. */
static const char *
latency(char *dst, size_t size, const uint64_t *hist, unsigned percent)
{
	uint64_t us = devpage_percentile_us(hist, percent);

	if (us == 0)
		snprintf(dst, size, "-");
	else if (us < 1000)
		snprintf(dst, size, "%" PRIu64 "us", us);
	else if (us < 1000000)
		snprintf(dst, size, "%.1fms", (double)us / 1e3);
	else
		snprintf(dst, size, "%.1fs", (double)us / 1e6);
	return (dst);
}

static void
dev_figures(FILE *f, const struct fmt_dev *d)
{
	char in[SIZE_TEXT_BYTES], out[SIZE_TEXT_BYTES], p50[32], p99[32];

	size_format(in, sizeof(in), (uint64_t)RATE(d, read_bytes));
	size_format(out, sizeof(out), (uint64_t)RATE(d, write_bytes));
	fprintf(f,
	    INDENT "     reads %.0f/s %s/s, writes %.0f/s %s/s, %" PRIu64
		   " in flight",
	    RATE(d, reads), in, RATE(d, writes), out, d->now.inflight);
	fprintf(f, ", flush p50 %s p99 %s",
	    latency(p50, sizeof(p50), d->now.flush_hist, 50),
	    latency(p99, sizeof(p99), d->now.flush_hist, 99));
	if (d->now.errors > 0)
		fprintf(f, ", %" PRIu64 " errors", d->now.errors);
	fputc('\n', f);
}

void
fmt_dev(FILE *f, const struct fmt_dev *d, const char *vm)
{
	char text[4 * PATH_BYTES], size[SIZE_TEXT_BYTES];
	const struct msg_dev_row *r = &d->row;

	str_vis(text, sizeof(text), r->path);
	fprintf(f, INDENT "%s %s, %s", r->name, text, r->format);
	if (r->size_bytes != 0)
		fprintf(
		    f, ", %s", size_format(size, sizeof(size), r->size_bytes));
	str_vis(text, sizeof(text), r->serial);
	fprintf(f, "%s%s%s%s\n", r->flags & DEV_READONLY ? ", read-only" : "",
	    r->flags & DEV_DIRECT ? ", direct" : "",
	    text[0] == '\0'         ? ""
		: r->kind == DEV_FS ? ", tag "
				    : ", serial ",
	    text);
	if (r->pid != 0 && r->kind == DEV_FS)
		fprintf(
		    f, INDENT "     process %" PRIu32 ", virtiofsd", r->pid);
	else if (r->pid != 0)
		fprintf(f, INDENT "     process %" PRIu32 ", vm/%s/%s", r->pid,
		    vm, r->name);
	if (r->pid != 0 && r->replaced > 0)
		fprintf(f, ", replaced %" PRIu32 " time%s", r->replaced,
		    r->replaced == 1 ? "" : "s");
	if (r->pid != 0)
		fputc('\n', f);
	if (r->state != DEV_UP && r->state != DEV_ENDED) {
		str_vis(text, sizeof(text), r->reason);
		fprintf(
		    f, INDENT "     %s: %s\n", dev_state_name(r->state), text);
	}
	if (d->has_now)
		dev_figures(f, d);
}

static void
put(json_t *o, const char *key, json_t *value, bool *bad)
{
	if (json_object_set_new(o, key, value) == -1)
		*bad = true;
}

static json_t *
shown(const char *text)
{
	char vis[4 * PATH_BYTES];

	if (text[0] == '\0')
		return (json_null());
	str_vis(vis, sizeof(vis), text);
	return (json_string(vis));
}

static void
put_figures(json_t *o, const struct fmt_dev *d, bool *bad)
{
	const struct msg_dev_figures *m = &d->now;
	const struct {
		const char *key;
		uint64_t n;
	} all[] = {
		{ "reads", m->reads },
		{ "writes", m->writes },
		{ "flushes", m->flushes },
		{ "discards", m->discards },
		{ "errors", m->errors },
		{ "read_bytes", m->read_bytes },
		{ "write_bytes", m->write_bytes },
		{ "inflight", m->inflight },
		{ "io_p50_us", devpage_percentile_us(m->io_hist, 50) },
		{ "io_p99_us", devpage_percentile_us(m->io_hist, 99) },
		{ "flush_p50_us", devpage_percentile_us(m->flush_hist, 50) },
		{ "flush_p99_us", devpage_percentile_us(m->flush_hist, 99) },
	};
	size_t i;

	for (i = 0; d->has_now && i < sizeof(all) / sizeof(all[0]); i++)
		put(o, all[i].key, json_integer((json_int_t)all[i].n), bad);
	if (!d->has_now || !d->has_old)
		return;
	put(o, "reads_per_s", json_real(RATE(d, reads)), bad);
	put(o, "writes_per_s", json_real(RATE(d, writes)), bad);
	put(o, "read_bytes_per_s", json_real(RATE(d, read_bytes)), bad);
	put(o, "write_bytes_per_s", json_real(RATE(d, write_bytes)), bad);
}

static void
put_disk(json_t *o, const struct msg_dev_row *r, bool *bad)
{
	put(o, "format", shown(r->format), bad);
	put(o, "serial", shown(r->serial), bad);
	put(o, "direct", json_boolean((r->flags & DEV_DIRECT) != 0), bad);
	put(o, "size",
	    r->size_bytes != 0 ? json_integer((json_int_t)r->size_bytes)
			       : json_null(),
	    bad);
}

json_t *
fmt_dev_object(const struct fmt_dev *d)
{
	const struct msg_dev_row *r = &d->row;
	bool bad = false;
	json_t *o;

	if ((o = json_object()) == NULL)
		return (NULL);
	put(o, "name", shown(r->name), &bad);
	put(o, "path", shown(r->path), &bad);
	put(o, "readonly", json_boolean((r->flags & DEV_READONLY) != 0), &bad);
	if (r->kind == DEV_FS)
		put(o, "tag", shown(r->serial), &bad);
	else
		put_disk(o, r, &bad);
	put(o, "state", json_string(dev_state_name(r->state)), &bad);
	put(o, "reason", shown(r->reason), &bad);
	put(o, "pid", r->pid != 0 ? json_integer(r->pid) : json_null(), &bad);
	put(o, "replaced", json_integer(r->replaced), &bad);
	put(o, "queues", json_integer(r->nqueues), &bad);
	put_figures(o, d, &bad);
	if (bad) {
		json_decref(o);
		return (NULL);
	}
	return (o);
}
