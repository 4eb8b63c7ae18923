/* SPDX-License-Identifier: ISC */
/* The page of a device process: words, configuration, percentiles. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/devpage.h"

static struct devpage page;
static atomic_bool stop;

static void
configuration(void)
{
	struct devpage_conf c;
	struct err e;
	uint32_t i;

	memset(&page, 0, sizeof(page));
	CHECK_EQ(devpage_conf_get(&page, &c, &e), -1);
	page.conf.magic = DEVPAGE_MAGIC;
	for (i = 0; i < 5; i++) {
		page.conf.kind = i;
		page.conf.nqueues = 1;
		CHECK_EQ(devpage_conf_get(&page, &c, &e),
		    i == DEV_BLK || i == DEV_FS ? 0 : -1);
	}
	page.conf.kind = DEV_BLK;
	for (i = 0; i < 20; i++) {
		page.conf.nqueues = i;
		CHECK_EQ(devpage_conf_get(&page, &c, &e),
		    i >= 1 && i <= DEVPAGE_QUEUES ? 0 : -1);
	}
	page.conf.nqueues = 4;
	page.conf.on_error = DEV_ERROR_N;
	CHECK_EQ(devpage_conf_get(&page, &c, &e), -1);
	page.conf.on_error = DEV_ERROR_PAUSE;
	page.conf.readonly = 2;
	CHECK_EQ(devpage_conf_get(&page, &c, &e), -1);
	page.conf.readonly = 1;
	CHECK_EQ(devpage_conf_get(&page, &c, &e), 0);
	CHECK_EQ(c.nqueues, 4);
	CHECK_EQ(c.on_error, DEV_ERROR_PAUSE);
}

static void
words(void)
{
	struct err e, got;
	unsigned i;

	memset(&page, 0, sizeof(page));
	devpage_err_get(&page, &got);
	CHECK_EQ(got.code, 0);
	err_set(&e, ENOSPC, "the host is full");
	devpage_err_put(&page, &e);
	devpage_err_get(&page, &got);
	CHECK_EQ(got.code, ENOSPC);
	CHECK_STR(got.text, "the host is full");
	memset(e.text, 'x', sizeof(e.text) - 1);
	devpage_err_put(&page, &e);
	devpage_err_get(&page, &got);
	CHECK_EQ(strlen(got.text), DEVPAGE_TEXT_BYTES - 1);
	/* T71: of one who writes there what he likes. */
	for (i = 0; i < DEVPAGE_TEXT_BYTES; i++)
		page.err.text[i] = (char)(i + 128);
	devpage_err_get(&page, &got);
	for (i = 0; got.text[i] != '\0'; i++)
		CHECK(got.text[i] >= 0x20 && got.text[i] <= 0x7e);
	CHECK_EQ(i, DEVPAGE_TEXT_BYTES - 1);
	/* A writer that died in the middle is waited for not long. */
	page.err.seq = 7;
	devpage_err_get(&page, &got);
	CHECK_EQ(got.code, 0);
	devpage_err_put(&page, &e); /* and the next one goes on */
	devpage_err_get(&page, &got);
	CHECK_EQ(got.code, ENOSPC);
}

static void *
writer(void *arg)
{
	struct err e;
	unsigned i;

	(void)arg;
	for (i = 0; !atomic_load(&stop); i++) {
		memset(&e, 0, sizeof(e));
		memset(e.text, 'a' + (int)(i % 26), 100);
		e.code = (int)(i % 26) + 1;
		devpage_err_put(&page, &e);
		sched_yield(); /* a reader has its chance on one processor */
	}
	return (NULL);
}

/* Whole words or none. */
static void
torn(void)
{
	struct err got;
	pthread_t t;
	unsigned k, seen = 0;

	memset(&page, 0, sizeof(page));
	atomic_store(&stop, false);
	CHECK_EQ(pthread_create(&t, NULL, writer, NULL), 0);
	while (seen < 2000) {
		devpage_err_get(&page, &got);
		if (got.code == 0) {
			sched_yield();
			continue;
		}
		seen++;
		for (k = 0; k < 100; k++)
			CHECK_EQ(got.text[k], 'a' + got.code - 1);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
}

static void
percentiles(void)
{
	uint64_t h[DEVPAGE_HIST] = { 0 };
	unsigned i;

	CHECK_EQ(devpage_percentile_us(h, 50), 0);
	memset(&page, 0, sizeof(page));
	devpage_hist_add(page.io_hist, 0);
	devpage_hist_add(page.io_hist, 1999);
	CHECK_EQ(page.io_hist[0], 2);
	devpage_hist_add(page.io_hist, 2000);
	CHECK_EQ(page.io_hist[1], 1);
	devpage_hist_add(page.io_hist, 1024 * 1000);
	CHECK_EQ(page.io_hist[10], 1);
	devpage_hist_add(page.io_hist, UINT64_MAX);
	CHECK_EQ(page.io_hist[DEVPAGE_HIST - 1], 1);
	h[3] = 98;
	h[10] = 2;
	CHECK_EQ(devpage_percentile_us(h, 0), 15);
	CHECK_EQ(devpage_percentile_us(h, 50), 15);
	CHECK_EQ(devpage_percentile_us(h, 98), 15);
	CHECK_EQ(devpage_percentile_us(h, 99), 2047);
	CHECK_EQ(devpage_percentile_us(h, 100), 2047);
	for (i = 0; i < DEVPAGE_HIST; i++)
		h[i] = UINT64_MAX; /* hostile: no overflow, some number */
	CHECK(devpage_percentile_us(h, 99) > 0);
}

static const struct tap_case cases[] = {
	{ "devpage: configuration", configuration },
	{ "T71 devpage: words", words },
	{ "devpage: words are whole", torn },
	{ "devpage: percentiles", percentiles },
};

TAP_MAIN(cases)
