/* SPDX-License-Identifier: ISC */
/* Rows of buffers: every cut of small ones, against one buffer. */
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/iov.h"

#define N 4
#define BYTES 10

/* Row number k of all that have N buffers and BYTES bytes. */
static void
row(struct iovec *v, char *mem, unsigned k)
{
	size_t left = BYTES, len;
	unsigned i;

	for (i = 0; i < N; i++, k /= 4) {
		len = i == N - 1 ? left : k % 4;
		if (len > left)
			len = left;
		v[i] = (struct iovec){ mem, len };
		mem += len + 1; /* a byte that is nobody's between two */
		left -= len;
	}
}

static void
get_put(void)
{
	char mem[BYTES + N], flat[BYTES + 1], part[BYTES + 1];
	struct iovec v[N];
	size_t off, len, want;
	unsigned k;

	for (k = 0; k < 64; k++) {
		memset(mem, '.', sizeof(mem));
		row(v, mem, k);
		CHECK_EQ(iov_put(v, N, 0, "0123456789xx", 12), BYTES);
		CHECK_EQ(iov_get(v, N, 0, flat, sizeof(flat)), BYTES);
		CHECK_EQ(memcmp(flat, "0123456789", BYTES), 0);
		for (off = 0; off <= BYTES + 1; off++)
			for (len = 0; len <= BYTES; len++) {
				want = off > BYTES ? 0 : BYTES - off;
				want = want < len ? want : len;
				CHECK_EQ(iov_get(v, N, off, part, len), want);
				CHECK_EQ(memcmp(part, flat + off, want), 0);
			}
	}
	for (k = off = 0; off < sizeof(mem); off++)
		k += mem[off] == '.';
	CHECK_EQ(k, N); /* the last byte and those between */
}

static void
cut(void)
{
	char mem[BYTES + N], flat[BYTES];
	struct iovec v[N];
	unsigned k, n;
	size_t c;

	for (k = 0; k < 64; k++)
		for (c = 0; c <= BYTES; c++) {
			row(v, mem, k);
			iov_put(v, N, 0, "0123456789", BYTES);
			n = iov_cut_front(v, N, c);
			CHECK_EQ(iov_get(v, n, 0, flat, BYTES), BYTES - c);
			CHECK_EQ(memcmp(flat, "0123456789" + c, BYTES - c), 0);
			row(v, mem, k);
			n = iov_cut_back(v, N, c);
			CHECK_EQ(iov_get(v, n, 0, flat, BYTES), BYTES - c);
			CHECK_EQ(memcmp(flat, "0123456789", BYTES - c), 0);
			CHECK(n == 0 || v[n - 1].iov_len > 0 || c == 0);
		}
}

static const struct tap_case cases[] = {
	{ "iov: get and put, all small rows", get_put },
	{ "iov: cut at both ends", cut },
};
TAP_MAIN(cases)
