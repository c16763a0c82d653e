/* Outages of the login server, of every kind and at every phase of a token's life. */
#include "reach_parts.h"

#define SHORT_OUTAGES 120 /* each a tenth of a life */
#define LONG_OUTAGES 25   /* each a whole one: longer than whatever a token has left */
#define RATE_OF_DAYS 120  /* calls in an hour, where a token lives for a day */

static const struct {
	const char *name;
	enum server_mood mood;
	int64_t back_s; /* promised: a token again so soon after its end */
} kinds[] = {
	{"refuses connections", SERVER_REFUSES, 5},
	{"HTTP 503", SERVER_BROKEN, 10},
	{"HTTP 400 rate limit exceeded", SERVER_THROTTLES, 10},
	{"takes requests and is silent", SERVER_SILENT, 5},
	{"swallows connections", SERVER_SWALLOWS, 5},
	{"is silent but to HEAD", SERVER_HALF_SILENT, 0},
};

static const int64_t lives_s[] = {60, 300, 3600, 86400};

#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define LIVES (sizeof(lives_s) / sizeof(*lives_s))

/* The distance of the outages is no multiple of what passes between refreshes, so that they wander
 * through all phases of a life. */
static struct scenario outages(
	enum server_mood mood, int64_t life_s, int64_t length_s, unsigned times, int64_t every_s)
{
	struct scenario s = reach_plain;

	s.name = "outages";
	s.server.lifetime_s = life_s;
	s.load.in_an_hour = life_s > 3600 ? RATE_OF_DAYS : 3600;
	s.hours = (2 * life_s + times * every_s) / 3600 + 1;
	s.happenings[0] = (struct happening){HAPPENS_MOOD, .at_s = 2 * life_s, .by = (int64_t)mood,
		.times = times, .every_s = every_s};
	s.happenings[1] = (struct happening){HAPPENS_MOOD, .at_s = 2 * life_s + length_s,
		.by = SERVER_WELL, .times = times, .every_s = every_s};
	return s;
}

/* The longest from an outage's end until the request left that brought a token. */
static double longest_back_s(const struct tally *t, const struct scenario *s, size_t outage)
{
	const struct happening *end = &s->happenings[1];
	double longest = 0;
	size_t i = 0;

	for (unsigned n = 0; n < outage; n++) {
		int64_t ended = (end->at_s + (int64_t)n * end->every_s) * NS_PER_S;

		while (i < t->post_count && (!t->posts[i].token || t->posts[i].came.ns < ended))
			i++;
		if (i < t->post_count && (double)(t->posts[i].at.ns - ended) / 1e9 > longest)
			longest = (double)(t->posts[i].at.ns - ended) / 1e9;
	}
	return longest;
}

static void short_outages(struct reach *r)
{
	printf("#\n# %d outages of a tenth of the life, calls that wait or get no token\n# %-29s",
		SHORT_OUTAGES, "");
	for (size_t l = 0; l < LIVES; l++)
		printf(" | %14lld s", (long long)lives_s[l]);
	printf("\n");
	for (size_t k = 0; k < KINDS; k++) {
		uint64_t errors = 0, calls = 0;
		bool fine = true;

		printf("# %-29s", kinds[k].name);
		for (size_t l = 0; l < LIVES; l++) {
			struct scenario s = outages(kinds[k].mood, lives_s[l], lives_s[l] / 10,
				SHORT_OUTAGES, lives_s[l] / 10 * 17 + lives_s[l] / 60);
			struct sums sums = {0};
			struct tally tally;

			fine &= run_ours(&s, r->seed + l, &sums, &tally);
			printf(" | %7llu %8llu", (unsigned long long)tally.waited,
				(unsigned long long)tally.errors);
			errors += tally.errors;
			calls += tally.calls;
			tally_fini(&tally);
		}
		printf("\n");
		expect(r, fine, "%s, a tenth of a life: %llu of %llu calls got no token",
			kinds[k].name, (unsigned long long)errors, (unsigned long long)calls);
	}
	expectations_print(r);
}

static void long_outages(struct reach *r)
{
	printf("#\n# %d outages of a whole life: seconds from the end of one until the request "
	       "that "
	       "brings a token, at most\n# %-29s",
		LONG_OUTAGES, "");
	for (size_t l = 0; l + 1 < LIVES; l++)
		printf(" | %6lld s", (long long)lives_s[l]);
	printf("\n");
	for (size_t k = 0; k < KINDS; k++) {
		double longest = 0;

		printf("# %-29s", kinds[k].name);
		for (size_t l = 0; l + 1 < LIVES; l++) {
			struct scenario s = outages(kinds[k].mood, lives_s[l], lives_s[l],
				LONG_OUTAGES, lives_s[l] / 10 * 33 + lives_s[l] / 60);
			struct sums sums = {0};
			struct tally tally;
			double back;

			run_ours(&s, r->seed + l, &sums, &tally);
			back = longest_back_s(&tally, &s, LONG_OUTAGES);
			longest = back > longest ? back : longest;
			printf(" | %8.1f", back);
			tally_fini(&tally);
		}
		printf("\n");
		if (kinds[k].back_s)
			expect(r, longest <= (double)kinds[k].back_s,
				"%s: the request that brings a token leaves %.1f s after the end "
				"at most, %lld promised",
				kinds[k].name, longest, (long long)kinds[k].back_s);
	}
	expectations_print(r);
}

void reach_outages(struct reach *r)
{
	short_outages(r);
	long_outages(r);
}
