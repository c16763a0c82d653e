#include "http_date.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Reads a date from left to right. Any mismatch makes the reader `bad` for good, so that a format
 * is written down as one run of steps and asked once at the end. Everything is matched by bytes:
 * strptime would ask the locale, and take white space and signs that no date may have. */
struct reader {
	const char *at;
	const char *end;
	bool bad;
};

struct civil {
	int64_t year, month, day, hour, minute, second;
};

static const char short_days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_days[7] = {
	"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool looking_at(const struct reader *r, const char *text)
{
	size_t length = strlen(text);

	return (size_t)(r->end - r->at) >= length && memcmp(r->at, text, length) == 0;
}

static void skip(struct reader *r, const char *text)
{
	if (!r->bad && looking_at(r, text))
		r->at += strlen(text);
	else
		r->bad = true;
}

static int64_t digits(struct reader *r, int count)
{
	int64_t value = 0;

	for (int i = 0; i < count && !r->bad; i++) {
		if (r->at == r->end || *r->at < '0' || *r->at > '9')
			r->bad = true;
		else
			value = value * 10 + (*r->at++ - '0');
	}
	return value;
}

static int64_t month(struct reader *r)
{
	for (int i = 0; i < 12 && !r->bad; i++)
		if (looking_at(r, months[i])) {
			r->at += 3;
			return i + 1;
		}
	r->bad = true;
	return 1;
}

static void clock_of_day(struct reader *r, struct civil *t)
{
	t->hour = digits(r, 2);
	skip(r, ":");
	t->minute = digits(r, 2);
	skip(r, ":");
	t->second = digits(r, 2);
}

/* Behind "Sun": ", 06 Nov 1994 08:49:37 GMT" */
static void read_fixdate(struct reader *r, struct civil *t)
{
	skip(r, ", ");
	t->day = digits(r, 2);
	skip(r, " ");
	t->month = month(r);
	skip(r, " ");
	t->year = digits(r, 4);
	skip(r, " ");
	clock_of_day(r, t);
	skip(r, " GMT");
}

/* Behind "Sunday": ", 06-Nov-94 08:49:37 GMT" */
static void read_rfc850(struct reader *r, struct civil *t)
{
	skip(r, ", ");
	t->day = digits(r, 2);
	skip(r, "-");
	t->month = month(r);
	skip(r, "-");
	t->year = digits(r, 2);
	t->year += t->year < 70 ? 2000 : 1900;
	skip(r, " ");
	clock_of_day(r, t);
	skip(r, " GMT");
}

/* Behind "Sun": " Nov  6 08:49:37 1994" */
static void read_asctime(struct reader *r, struct civil *t)
{
	skip(r, " ");
	t->month = month(r);
	skip(r, " ");
	if (!r->bad && looking_at(r, " ")) {
		skip(r, " ");
		t->day = digits(r, 1);
	} else {
		t->day = digits(r, 2);
	}
	skip(r, " ");
	clock_of_day(r, t);
	skip(r, " ");
	t->year = digits(r, 4);
}

static bool leap_year(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool civil_possible(const struct civil *t)
{
	static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t last;

	last = lengths[t->month - 1] + (t->month == 2 && leap_year(t->year) ? 1 : 0);
	/* 60 is a leap second; it counts as the first one of the next minute. */
	return t->day >= 1 && t->day <= last && t->hour <= 23 && t->minute <= 59 && t->second <= 60;
}

/* Days from 1970-01-01 in the Gregorian calendar. A year is taken to begin in March, so that the
 * leap day is its last one and the days before a month are a straight line, (153 m + 2) / 5. */
static int64_t civil_days(const struct civil *t)
{
	int64_t year = t->month > 2 ? t->year : t->year - 1;
	int64_t m = t->month > 2 ? t->month - 3 : t->month + 9;
	int64_t leaps;

	year += 400; /* year 0 begins before its March; whole cycles keep the divisions positive */
	leaps = year / 4 - year / 100 + year / 400;
	return year * 365 + leaps + (153 * m + 2) / 5 + (t->day - 1) - 719468 - 146097;
}

int http_date_parse(const char *text, size_t length, int64_t *ret_s)
{
	struct reader r = {.at = text, .end = text + length};
	struct civil t = {0};
	bool read = false;

	/* The long names first: each begins with its short one. */
	for (int i = 0; i < 7 && !read; i++)
		if (looking_at(&r, long_days[i])) {
			skip(&r, long_days[i]);
			read_rfc850(&r, &t);
			read = true;
		}
	for (int i = 0; i < 7 && !read; i++)
		if (looking_at(&r, short_days[i])) {
			skip(&r, short_days[i]);
			if (looking_at(&r, ","))
				read_fixdate(&r, &t);
			else
				read_asctime(&r, &t);
			read = true;
		}
	if (!read || r.bad || r.at != r.end || !civil_possible(&t))
		return -EINVAL;
	*ret_s = civil_days(&t) * 86400 + t.hour * 3600 + t.minute * 60 + t.second;
	return 0;
}

int retry_after_parse(const char *text, size_t length, int64_t server_now_s, struct duration *ret)
{
	int64_t seconds = 0;
	size_t i;
	int r;

	for (i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		if (__builtin_mul_overflow(seconds, 10, &seconds) ||
			__builtin_add_overflow(seconds, text[i] - '0', &seconds))
			seconds = INT64_MAX;
	if (length > 0 && i == length) {
		*ret = duration_s(seconds);
		return 0;
	}
	r = http_date_parse(text, length, &seconds);
	if (r < 0)
		return r;
	seconds = ns_sub(seconds, server_now_s);
	*ret = duration_s(seconds > 0 ? seconds : 0);
	return 0;
}
