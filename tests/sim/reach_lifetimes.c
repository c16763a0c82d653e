/* What depends on how long a token lives: the number of requests, and how far the server's clock
 * may be set without anybody noticing. */
#include "reach_parts.h"

#include <math.h>

#define PROMISED_POSTS_PERCENT 5

/* m: how long before its last moment a token is replaced, jitter aside. */
static double margin_of(double life)
{
	return fmin(fmax(0.15 * life, 10), life / 4);
}

/* ---- token requests ---- */

struct plain_run {
	int64_t lifetime_s, hours;
	unsigned in_an_hour;
};

static const struct plain_run plain_runs[] = {
	{60, 48, 3600}, {300, 96, 3600}, {3600, 480, 360}, {86400, 4800, 60}};
#define PLAIN_RUNS (sizeof(plain_runs) / sizeof(*plain_runs))

/* From one request to the next if nothing happens: what is left of the lifetime when rounding,
 * drift, both margins and the mean jitter are taken off. */
static double mean_interval(double life)
{
	return (life - 1) * (1 - 1e-4) - fmin(5, life / 10) - margin_of(life) * 9 / 8;
}

static void plain_run(struct reach *r, const struct plain_run *p)
{
	double least = 1 + (double)p->hours * 3600 / mean_interval((double)p->lifetime_s), more;
	struct scenario s = reach_plain;
	struct sums ours = {0}, theirs = {0};
	struct baseline baseline;
	struct tally tally;
	bool fine;

	s.hours = p->hours;
	s.server.lifetime_s = p->lifetime_s;
	s.load.in_an_hour = p->in_an_hour;
	fine = run_ours(&s, r->seed, &ours, &tally);
	tally_fini(&tally);
	run_theirs(&s, r->seed, &reach_policies[0], &theirs, &baseline);
	more = 100 * ((double)ours.posts / least - 1);
	printf("# %8lld s %8lld h %10llu %10.1f %+8.2f %% %10llu\n", (long long)p->lifetime_s,
		(long long)p->hours, (unsigned long long)ours.posts, least, more,
		(unsigned long long)theirs.posts);
	expect(r, fine && fabs(more) <= PROMISED_POSTS_PERCENT,
		"tokens of %lld s: POSTs %+.2f %% beside the least possible, at most %d %%",
		(long long)p->lifetime_s, more, PROMISED_POSTS_PERCENT);
}

void reach_requests(struct reach *r)
{
	printf("#\n# Token requests in a plain run, and the least possible for that lifetime, "
	       "margin and jitter\n# %10s %10s %10s %10s %10s %10s\n",
		"lifetime", "for", "POSTs", "least", "more", "baseline");
	for (size_t i = 0; i < PLAIN_RUNS; i++)
		plain_run(r, &plain_runs[i]);
	expectations_print(r);
}

/* ---- what is shown ---- */

struct look_run {
	int64_t lifetime_s, hours;
	unsigned in_an_hour;
};

static const struct look_run look_runs[] = {
	{60, 6, 60}, {300, 12, 60}, {3600, 48, 60}, {86400, 96, 60}};
#define LOOK_RUNS (sizeof(look_runs) / sizeof(*look_runs))
#define LOOK_SEEDS 25
#define PROMISED_LOOK_RMS_S 0.05
#define PROMISED_LOOK_WORST_S 0.25
#define PROMISED_LOOK_WIDTH_S 1.3

static void look_run(struct reach *r, const struct look_run *run)
{
	double squares = 0, rms, worst = 0, widest = 0, hours = (double)(run->hours * LOOK_SEEDS);
	uint64_t looks = 0, heads = 0;
	struct scenario s = reach_look;
	struct sums unused = {0};
	bool fine = true;

	s.hours = run->hours;
	s.server.lifetime_s = run->lifetime_s;
	s.load.in_an_hour = run->in_an_hour;
	for (uint64_t seed = r->seed; seed < r->seed + LOOK_SEEDS; seed++) {
		struct tally t;

		fine &= run_ours(&s, seed, &unused, &t);
		fine &= t.looks && t.covered == t.estimates;
		looks += t.looks;
		heads += t.heads;
		squares += t.look_squares_s2;
		worst = fmax(worst, (double)t.look_worst.ns / 1e9);
		widest = fmax(widest, (double)t.look_widest.ns / 1e9);
		tally_fini(&t);
	}
	rms = sqrt(squares / (double)(looks ? looks : 1));
	printf("# %8lld s %9llu %9.1f %9.1f %9.3f %9.1f\n", (long long)run->lifetime_s,
		(unsigned long long)looks, 1e3 * rms, 1e3 * worst, widest, (double)heads / hours);
	expect(r,
		fine && rms <= PROMISED_LOOK_RMS_S && worst <= PROMISED_LOOK_WORST_S &&
			widest <= PROMISED_LOOK_WIDTH_S,
		"tokens of %lld s: at any moment the shown skew is off by %.0f ms (RMS), at most "
		"%.0f ms, and its interval, at most %.2f s wide, holds the truth",
		(long long)run->lifetime_s, 1e3 * rms, 1e3 * worst, widest);
}

void reach_looks(struct reach *r)
{
	printf("#\n# The shown skew at any moment of a token's life, 40 ms; looks every 30 s, %d "
	       "runs\n# %10s %9s %9s %9s %9s %9s\n",
		LOOK_SEEDS, "lifetime", "looks", "RMS, ms", "worst, ms", "widest, s", "HEADs/h");
	for (size_t i = 0; i < LOOK_RUNS; i++)
		look_run(r, &look_runs[i]);
	expectations_print(r);
}

/* ---- steps of the server's clock ---- */

struct step_run {
	int64_t lifetime_s, hours, from_s;
	unsigned in_an_hour, seeds;
};

/* Steps are spread evenly over one lifetime, so that rare moments are not left to luck. */
static const struct step_run step_runs[] = {{60, 1, 1200, 3600, 60}, {300, 1, 1200, 3600, 60},
	{3600, 3, 3600, 1200, 120}, {86400, 48, 86400, 60, 576}};
static const int64_t step_sizes_s[] = {5, 30, 120, 600};
#define STEP_RUNS (sizeof(step_runs) / sizeof(*step_runs))
#define STEP_SIZES (sizeof(step_sizes_s) / sizeof(*step_sizes_s))

/* Of the calls of a day in which it happens once, in percent. */
static double of_a_day(const struct sums *s, const struct step_run *run)
{
	return percent(s->refused, s->used) * (double)run->hours / 24;
}

/* False: even a step that the margin covers was noticed. */
static bool step_run(struct reach *r, const struct step_run *run, int64_t step_s)
{
	struct scenario s = reach_step;
	struct sums ours = {0}, theirs = {0};
	bool fine = true;

	s.hours = run->hours;
	s.server.lifetime_s = run->lifetime_s;
	s.load.in_an_hour = run->in_an_hour;
	s.happenings[0].by = step_s * 1000;
	for (unsigned n = 0; n < run->seeds; n++) {
		struct baseline baseline;
		struct tally tally;

		s.happenings[0].at_s = run->from_s + run->lifetime_s * n / run->seeds;
		fine &= run_ours(&s, r->seed + n, &ours, &tally);
		tally_fini(&tally);
		run_theirs(&s, r->seed + n, &reach_policies[0], &theirs, &baseline);
	}
	printf(" | %8.5f (%3.0f s) %8.5f (%3.0f s)", of_a_day(&ours, run),
		of_a_day(&ours, run) * 864, of_a_day(&theirs, run), of_a_day(&theirs, run) * 864);
	return fine && (step_s > (int64_t)margin_of((double)run->lifetime_s) || !ours.refused);
}

void reach_steps(struct reach *r)
{
	printf("#\n# One step forward of the server's clock a day, nobody rejects: refused in %% "
	       "of "
	       "the day's calls, and s\n# %10s",
		"");
	for (size_t i = 0; i < STEP_SIZES; i++)
		printf(" | %+5lld s: gctokend     baseline", (long long)step_sizes_s[i]);
	printf("\n");
	for (size_t l = 0; l < STEP_RUNS; l++) {
		bool fine = true;

		printf("# %8lld s", (long long)step_runs[l].lifetime_s);
		for (size_t i = 0; i < STEP_SIZES; i++)
			fine &= step_run(r, &step_runs[l], step_sizes_s[i]);
		printf("\n");
		expect(r, fine, "tokens of %lld s: server steps of up to %.0f s are never noticed",
			(long long)step_runs[l].lifetime_s,
			margin_of((double)step_runs[l].lifetime_s));
	}
	expectations_print(r);
}
