/* Date and Retry-After: what is accepted is a date of the Gregorian calendar that comes out the
 * same letter for letter when it is written again, and reads the same in all three formats; what is
 * refused leaves no trace. */
#include "core/http_date.h"
#include "fuzz.h"
#include <errno.h>
#include <time.h>

#define YEAR_0 INT64_C(-62167219200)
#define YEAR_10000 INT64_C(253402300800)
#define YEAR_1970 INT64_C(0)
#define YEAR_2070 INT64_C(3155760000)

#define FIXDATE "%a, %d %b @@@@ %H:%M:%S GMT"
#define ASCTIME "%a %b %e %H:%M:%S @@@@"
#define RFC850 "%A, %d-%b-%y %H:%M:%S GMT"

static void write_date(char *text, size_t size, const char *format, int64_t s)
{
	const time_t at = (time_t)s;
	struct tm tm;
	char year[8], *place;

	/* Four digits always, which strftime's own %Y does not give. */
	CHECK(gmtime_r(&at, &tm));
	snprintf(year, sizeof(year), "%04d", tm.tm_year + 1900);
	CHECK(strftime(text, size, format, &tm));
	place = strchr(text, '@');
	if (place)
		memcpy(place, year, 4);
}

static int64_t written_and_read(const char *format, int64_t s)
{
	char text[64];
	int64_t again = 0;

	write_date(text, sizeof(text), format, s);
	CHECK(http_date_parse(text, strlen(text), &again) == 0);
	return again;
}

/* But for the weekday, of which only the form counts, and for leap seconds. */
static void check_letters(const char *text, size_t length, int64_t s)
{
	const char *format = length == 29 && text[3] == ',' ? FIXDATE
			     : text[length - 1] == 'T'      ? RFC850
							    : ASCTIME;
	const char *rest = memchr(text, ' ', length);
	char again[64];

	if (memmem(text, length, ":60", 3))
		return;
	write_date(again, sizeof(again), format, s);
	CHECK(rest && strlen(strchr(again, ' ')) == (size_t)(text + length - rest));
	/* asctime may have a zero where a blank is usual */
	for (const char *a = strchr(again, ' '); *a; a++, rest++)
		CHECK(*a == *rest || (format[3] == '%' && *a == ' ' && *rest == '0'));
}

static void check_date(const char *text, size_t length)
{
	int64_t s = INT64_C(0x5ca1ab1e);

	if (http_date_parse(text, length, &s) < 0) {
		CHECK(s == INT64_C(0x5ca1ab1e));
		return;
	}
	CHECK(length >= 24 && length <= 33);
	CHECK(s >= YEAR_0 && s <= YEAR_10000);
	if (s == YEAR_10000) /* a leap second at the very end, which has no year of four digits */
		return;
	check_letters(text, length, s);
	CHECK(written_and_read(FIXDATE, s) == s);
	CHECK(written_and_read(ASCTIME, s) == s);
	if (s >= YEAR_1970 && s < YEAR_2070)
		CHECK(written_and_read(RFC850, s) == s);
	/* One byte more or less is no date. */
	CHECK(http_date_parse(text, length - 1, &s) == -EINVAL);
	CHECK(http_date_parse(text + 1, length - 1, &s) == -EINVAL);
}

/* Saturating, as an independent reader would count it. */
static int64_t count_ns(const char *digits, size_t length)
{
	__int128 ns = 0;

	for (size_t i = 0; i < length; i++) {
		ns = ns * 10 + (__int128)(digits[i] - '0') * NS_PER_S;
		if (ns > INT64_MAX)
			ns = INT64_MAX;
	}
	return (int64_t)ns;
}

static void check_retry_after(const char *text, size_t length)
{
	static const int64_t nows[] = {
		INT64_MIN, YEAR_0, -1, 0, 784111777, 784111778, YEAR_10000, INT64_MAX};
	bool digits = length > 0;
	int64_t date = 0;
	bool dated = http_date_parse(text, length, &date) == 0;
	struct duration before = {INT64_MAX};

	for (size_t i = 0; i < length; i++)
		digits = digits && text[i] >= '0' && text[i] <= '9';
	for (size_t i = 0; i < sizeof(nows) / sizeof(*nows); i++) {
		struct duration d = {-7};
		int error = retry_after_parse(text, length, nows[i], &d);

		CHECK(error == (digits || dated ? 0 : -EINVAL));
		if (error) {
			CHECK(d.ns == -7);
			continue;
		}
		CHECK(d.ns >= 0);
		CHECK(d.ns <= before.ns); /* a later server has less to wait */
		before = d;
		if (digits)
			CHECK(d.ns == count_ns(text, length));
	}
	if (dated) {
		struct duration d = {-7};

		CHECK(retry_after_parse(text, length, date, &d) == 0 && d.ns == 0);
		CHECK(retry_after_parse(text, length, date - 1, &d) == 0 && d.ns == NS_PER_S);
		CHECK(retry_after_parse(text, length, date + 1, &d) == 0 && d.ns == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_date((const char *)data, size);
	check_retry_after((const char *)data, size);
	return 0;
}
