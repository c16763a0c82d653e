/* Beside simple policies: 24 kinds of worlds, tokens of four lifetimes in each. What is more
 * elaborate has to earn it, and must not do worse anywhere. */
#include "reach_parts.h"
#include "scenario_parts.h"

#include <math.h>

#define WORLD_SEEDS 12
#define MOST UINT32_MAX
#define LOST_MS 20000
#define YEARS_SINCE_1970_S (SIM_EPOCH_S)

static const struct baseline_policy policies[] = {
	{.name = "twenty lines",
		.careful = true,
		.wall_steps = true,
		.refresh_from = 81,
		.refresh_till = 85},
	{.name = "serve to 90 %, refresh at 80 to 88 %",
		.careful = true,
		.serve_percent = 90,
		.refresh_from = 80,
		.refresh_till = 88},
};
#define POLICIES (sizeof(policies) / sizeof(*policies))

/* Happenings come EVERY_S from one to the next, for as long as the run lasts. */
#define EVERY_S 900
#define OFTEN .within_s = 600, .times = 96, .every_s = EVERY_S

struct kind {
	const char *name;
	unsigned outage_percent; /* of the lifetime: so long is the login away, again and again */
	bool reported;           /* callers report what the API refuses */
	struct machine_settings machine;
	struct server_settings server;
	struct happening happenings[HAPPENINGS_MAX];
};

static const struct kind kinds[] = {
	{.name = "opaque tokens, nothing happens"},
	{.name = "JWTs, nothing happens", .server = {.jwt = true}},
	{.name = "JWTs backdated by 300 s", .server = {.jwt = true, .iat_ahead = S(-300)}},
	{.name = "our clock 120 s ahead, JWTs",
		.machine = {.wall_ahead = S(120)},
		.server = {.jwt = true}},
	{.name = "a boot in 1970, set after 40 s, JWTs",
		.machine = {.wall_ahead = {-YEARS_SINCE_1970_S * NS_PER_S}},
		.server = {.jwt = true},
		.happenings = {{HAPPENS_WALL_STEP, .at_s = 40, .by = YEARS_SINCE_1970_S * 1000}}},
	{.name = "our clock set by 20 s, to and fro",
		.happenings = {{HAPPENS_WALL_STEP, .at_s = 300, .by = 20000, OFTEN},
			{HAPPENS_WALL_STEP, .at_s = 700, .by = -20000, OFTEN}}},
	{.name = "suspended for 8 min again and again",
		.happenings = {{HAPPENS_SUSPEND, .at_s = 300, .by = 480000, OFTEN}}},
	{.name = "paused for 20 s again and again, NTP follows",
		.happenings = {{HAPPENS_PAUSE, .at_s = 600, .by = LOST_MS, .times = 96,
				       .every_s = EVERY_S},
			{HAPPENS_WALL_STEP, .at_s = 623, .by = LOST_MS, .times = 96,
				.every_s = EVERY_S}}},
	{.name = "paused for 20 s again and again, nobody tells",
		.happenings = {{HAPPENS_PAUSE, .at_s = 600, .by = LOST_MS, .times = 96,
			.every_s = EVERY_S}}},
	{.name = "our clock held back by 500 ppm",
		.happenings = {{HAPPENS_SLEW, .at_s = 60, .by = -500}}},
	{.name = "a leap smear of our clock, 12 ppm",
		.happenings = {{HAPPENS_SLEW, .at_s = 60, .by = -12}},
		.server = {.jwt = true}},
	{.name = "two nodes 0.7 s apart, JWTs",
		.server = {.jwt = true, .clocks = 2, .clocks_apart = MS(700)}},
	{.name = "two nodes 2 s apart, opaque", .server = {.clocks = 2, .clocks_apart = S(2)}},
	{.name = "two nodes 4.5 s apart, JWTs",
		.server = {.jwt = true, .clocks = 2, .clocks_apart = MS(4500)}},
	{.name = "one node of three lags by 3 s, JWTs",
		.server = {.jwt = true, .clocks = 3, .last_ahead = S(-3)}},
	{.name = "one node of three leads by 3 s, JWTs",
		.server = {.jwt = true, .clocks = 3, .last_ahead = S(3)}},
	{.name = "a Date that is frozen, JWTs", .server = {.jwt = true, .date = DATE_FROZEN}},
	{.name = "a Date 20 s behind, JWTs", .server = {.jwt = true, .date_ahead = S(-20)}},
	{.name = "a Date 2 h behind, JWTs", .server = {.jwt = true, .date_ahead = S(-7200)}},
	{.name = "a Date 20 s ahead, JWTs", .server = {.jwt = true, .date_ahead = S(20)}},
	{.name = "tokens that die early",
		.reported = true,
		.happenings = {{HAPPENS_EVICTION, .at_s = 100, OFTEN}}},
	{.name = "three live tokens at most, answers of 4 s",
		.reported = true,
		.server = {.live_max = 3, .thinks = MS(3500)}},
	{.name = "the login is away for 10 % of a lifetime", .outage_percent = 10},
	{.name = "the login is away for 130 % of a lifetime", .outage_percent = 130},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static const struct {
	int64_t lifetime_s, hours;
} lives[] = {{20, 1}, {60, 2}, {300, 6}, {3600, 24}};
#define LIVES (sizeof(lives) / sizeof(*lives))

struct one {
	uint64_t calls, refused, waited, denied, posts;
};

/* From the end of an outage on everything repeats itself, so the time to the next one decides at
 * which age it meets a token: another one in each run. */
static void plan_outages(struct scenario *s, int64_t long_s, int64_t run_s, unsigned run)
{
	int64_t every_s = 3 * s->server.lifetime_s + s->server.lifetime_s * run / WORLD_SEEDS;
	unsigned times = (unsigned)((run_s - long_s) / every_s);

	s->happenings[0] = (struct happening){.kind = HAPPENS_MOOD,
		.at_s = s->server.lifetime_s / 2,
		.by = SERVER_REFUSES,
		.times = times,
		.every_s = every_s};
	s->happenings[1] = s->happenings[0];
	s->happenings[1].by = SERVER_WELL;
	s->happenings[1].at_s += long_s;
}

static struct scenario world_of(const struct kind *k, size_t life, unsigned run)
{
	struct scenario s = {
		.name = k->name,
		.hours = lives[life].hours,
		.machine = k->machine,
		.server = k->server,
		.driver = {.source = {USUAL_SOURCE, .prefetch = true}},
		.load = {.silent = !k->reported},
		.expect = {.posts_max = MOST},
	};

	for (size_t i = 0; i < HAPPENINGS_MAX; i++)
		s.happenings[i] = k->happenings[i];
	s.machine.drift_ppm = s.server.drift_ppm = 45;
	s.server.latency = duration_ms(20);
	s.server.jitter = duration_ms(15);
	if (!s.server.thinks.ns)
		s.server.thinks = duration_ms(15);
	s.server.lifetime_s = lives[life].lifetime_s;
	s.driver.source.mint_limit = MINT_LIMIT_AUTO;
	if (k->outage_percent)
		plan_outages(
			&s, s.server.lifetime_s * k->outage_percent / 100, s.hours * 3600, run);
	return s;
}

static void add_ours(const struct scenario *s, uint64_t seed, struct one *sum)
{
	struct tally t;

	run_scenario(s, seed, false, &t);
	sum->calls += t.calls;
	sum->refused += t.refused_early + t.refused_late + t.refused_blind + t.refused_overtaken +
			t.refused_cold + t.refused_revoked;
	sum->waited += t.waited;
	sum->denied += t.errors;
	sum->posts += t.post_count;
	tally_fini(&t);
}

static void add_theirs(const struct scenario *s, uint64_t seed,
	const struct baseline_policy *policy, struct one *sum)
{
	struct baseline b;

	run_baseline(s, seed, policy, &b);
	sum->calls += b.calls;
	sum->refused += b.refused;
	sum->waited += b.waited;
	sum->denied += b.denied;
	sum->posts += b.posts;
}

/* By more than chance, and more than one call in 20,000? */
static bool is_worse(uint64_t ours, uint64_t theirs, uint64_t calls)
{
	double more = (double)ours - (double)theirs;

	return more > 3 * sqrt((double)(ours + theirs)) + 3 && more > (double)calls / 20000;
}

static const char *worse_than(const struct one *ours, const struct one *theirs)
{
	if (is_worse(ours->refused, theirs->refused, ours->calls))
		return "refusals";
	if (is_worse(ours->denied, theirs->denied, ours->calls))
		return "denied calls";
	if (is_worse(ours->waited, theirs->waited, ours->calls))
		return "waits";
	return NULL;
}

static void one_print(const struct one *o)
{
	printf(" | %8.4f %8.4f %8.4f %6llu", percent(o->refused, o->calls),
		percent(o->waited, o->calls), percent(o->denied, o->calls),
		(unsigned long long)(o->posts / WORLD_SEEDS));
}

/* In how many respects it is worse than the simple ones. */
static unsigned world_run(struct reach *r, const struct kind *k, size_t life, FILE *data)
{
	struct one ours = {0}, theirs[POLICIES] = {{0}};
	unsigned worse = 0;

	for (unsigned run = 0; run < WORLD_SEEDS; run++) {
		struct scenario s = world_of(k, life, run);

		add_ours(&s, r->seed + run, &ours);
		for (size_t p = 0; p < POLICIES; p++)
			add_theirs(&s, r->seed + run, &policies[p], &theirs[p]);
	}
	printf("# %-46s %5lld s", k->name, (long long)lives[life].lifetime_s);
	one_print(&ours);
	for (size_t p = 0; p < POLICIES; p++) {
		const char *what = worse_than(&ours, &theirs[p]);

		one_print(&theirs[p]);
		if (what)
			printf(" WORSE: %s", what);
		worse += what != NULL;
	}
	printf("\n");
	if (data) {
		fprintf(data, "\"%s\" %lld %.6f", k->name, (long long)lives[life].lifetime_s,
			percent(ours.refused + ours.denied, ours.calls));
		for (size_t p = 0; p < POLICIES; p++)
			fprintf(data, " %.6f",
				percent(theirs[p].refused + theirs[p].denied, theirs[p].calls));
		fprintf(data, "\n");
	}
	return worse;
}

void reach_simple(struct reach *r)
{
	FILE *data = data_open(r, "simple.dat");
	unsigned worse = 0;

	printf("#\n# Beside simple policies: refused, waited and denied calls in %%, and POSTs; "
	       "%d runs each\n# %-54s | %-33s",
		WORLD_SEEDS, "", "gctokend");
	for (size_t p = 0; p < POLICIES; p++)
		printf(" | %-33s", policies[p].name);
	printf("\n");
	for (size_t k = 0; k < KINDS; k++)
		for (size_t life = 0; life < LIVES; life++)
			worse += world_run(r, &kinds[k], life, data);
	data_close(data);
	expect(r, !worse, "in %zu worlds of %zu kinds never worse than a simple policy: %u times",
		KINDS * LIVES, KINDS, worse);
	expectations_print(r);
}
