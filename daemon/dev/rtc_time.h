/* SPDX-License-Identifier: ISC */
/*
 * Calendar arithmetic for the RTC: no time zone, no libc, any number in.
 * Trusts: nobody; the guest sets any date and the host's clock may be anywhere.
 */
#ifndef DEV_RTC_TIME_H
#define DEV_RTC_TIME_H

#include <stdint.h>

#define RTC_TIME_MAX 253402300799 /* 9999-12-31 23:59:59 */

struct rtc_tm {
	int sec, min, hour; /* 0.. */
	int day, month;     /* 1.. */
	int year;           /* whole: 2026 */
	int wday;           /* 1 Sunday .. 7 */
};

/* t is clamped to 0..RTC_TIME_MAX. */
void rtc_split(int64_t t, struct rtc_tm *);
/* Fields may be out of range (they carry over); clamped as above. */
int64_t rtc_join(const struct rtc_tm *);
/* a + b, clamped as above. */
int64_t rtc_add(int64_t a, int64_t b);

#endif
