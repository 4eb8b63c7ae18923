/* SPDX-License-Identifier: ISC */
/* Calendar arithmetic for the RTC: see rtc_time.h. */
#include "daemon/dev/rtc_time.h"

#define DAY_S 86400
#define ERA_DAYS 146097  /* 400 years */
#define EPOCH_DAY 719468 /* 1970-01-01, counted from 0000-03-01 */

static int64_t
clamp(int64_t t)
{
	return (t < 0 ? 0 : t > RTC_TIME_MAX ? RTC_TIME_MAX : t);
}

int64_t
rtc_add(int64_t a, int64_t b)
{
	int64_t t;

	if (__builtin_add_overflow(a, b, &t))
		return (b < 0 ? 0 : RTC_TIME_MAX);
	return (clamp(t));
}

/* Years are counted from March, so that a leap day comes last. */
void
rtc_split(int64_t t, struct rtc_tm *tm)
{
	int64_t day, era, doe, yoe, doy, mp;

	t = clamp(t);
	tm->sec = (int)(t % 60);
	tm->min = (int)(t / 60 % 60);
	tm->hour = (int)(t / 3600 % 24);
	day = t / DAY_S;
	tm->wday = (int)((day + 4) % 7) + 1; /* 1970 began on a Thursday */
	day += EPOCH_DAY;
	era = day / ERA_DAYS;
	doe = day % ERA_DAYS;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	tm->day = (int)(doy - (153 * mp + 2) / 5) + 1;
	tm->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	tm->year = (int)(yoe + era * 400) + (tm->month <= 2 ? 1 : 0);
}

int64_t
rtc_join(const struct rtc_tm *tm)
{
	int64_t m = (int64_t)tm->month - 1, y = tm->year, era, yoe, doy, day;

	y += m / 12;
	m %= 12;
	if (m < 0) {
		m += 12;
		y--;
	}
	if (m < 2)
		y--;
	if (y < 1969)
		return (0);
	era = y / 400;
	yoe = y % 400;
	doy = (153 * ((m + 10) % 12) + 2) / 5;
	day = era * ERA_DAYS + yoe * 365 + yoe / 4 - yoe / 100 + doy;
	day += (int64_t)tm->day - 1 - EPOCH_DAY;
	return (clamp(day * DAY_S + (int64_t)tm->hour * 3600 +
	    (int64_t)tm->min * 60 + tm->sec));
}
