#include "run.h"

#include <stdlib.h>

#define LOOK_EVERY_S 30
#define FIRST_MINUTE_S 60

struct world {
	const struct scenario *scenario;
	struct sim sim;
	struct machine machine;
	struct server server;
	struct driver driver;
	struct callers callers;
	struct baseline *baseline; /* instead of driver and callers */
	struct tally *tally;
	struct random random;
};

static void something_happens(struct world *w, const struct happening *h)
{
	struct duration by = duration_ms(h->by);

	switch (h->kind) {
	case HAPPENS_NOTHING:
		break;
	case HAPPENS_WALL_STEP:
		tally_wall_stepped(w->tally, by);
		machine_step_wall(&w->machine, by);
		break;
	case HAPPENS_SLEW:
		machine_slew(&w->machine, h->by);
		break;
	case HAPPENS_SUSPEND:
		machine_suspend(&w->machine, by);
		break;
	case HAPPENS_PAUSE:
		tally_disturbed(w->tally, by);
		machine_pause(&w->machine, by);
		break;
	case HAPPENS_SERVER_STEP:
		tally_disturbed(w->tally, DURATION_ZERO);
		server_step(&w->server, by);
		break;
	case HAPPENS_MOOD:
		server_set_mood(&w->server, (enum server_mood)h->by);
		break;
	case HAPPENS_EVICTION:
		server_evict_all(&w->server);
		break;
	case HAPPENS_RESTART:
		if (w->baseline)
			baseline_restart(w->baseline);
		else
			driver_restart(&w->driver);
		break;
	case HAPPENS_STORM:
		if (!w->baseline)
			callers_storm(&w->callers, (unsigned)h->by, ASK_GET);
		break;
	case HAPPENS_REJECTIONS:
		if (!w->baseline)
			callers_storm(&w->callers, (unsigned)h->by, ASK_REJECT);
		break;
	case HAPPENS_REST:
		if (w->baseline)
			w->baseline->resting = h->by != 0;
		else
			callers_rest(&w->callers, h->by != 0);
		break;
	}
}

static void happening_due(void *context, uint64_t index)
{
	struct world *w = context;

	something_happens(w, &w->scenario->happenings[index]);
}

/* A wall clock is set, and calls are made, by software: not while the machine stands still. */
static enum sim_place place_of(enum happening_kind kind)
{
	switch (kind) {
	case HAPPENS_WALL_STEP:
	case HAPPENS_SLEW:
	case HAPPENS_SUSPEND:
	case HAPPENS_PAUSE:
	case HAPPENS_RESTART:
	case HAPPENS_STORM:
	case HAPPENS_REJECTIONS:
		return SIM_LOCAL;
	case HAPPENS_NOTHING:
	case HAPPENS_SERVER_STEP:
	case HAPPENS_MOOD:
	case HAPPENS_EVICTION:
	case HAPPENS_REST:
		break;
	}
	return SIM_WORLD;
}

static void happenings_plan(struct world *w)
{
	for (size_t i = 0; i < HAPPENINGS_MAX; i++) {
		const struct happening *h = &w->scenario->happenings[i];

		for (unsigned n = 0; h->kind && n < (h->times ? h->times : 1); n++) {
			struct true_time at = {
				duration_s(h->at_s + (int64_t)n * h->every_s).ns +
				random_duration(&w->random, duration_s(h->within_s)).ns};

			sim_at(&w->sim, at, place_of(h->kind), happening_due, w, i);
		}
	}
}

static void look_at_estimate(void *context, uint64_t value)
{
	struct world *w = context;
	struct clock_reading now = machine_read(&w->machine);

	(void)value;
	tally_estimate(w->tally, &w->driver.broker.clock.skew, &w->server, &now);
	tally_look(w->tally, &w->driver.broker.clock.skew, &w->server, &now);
	sim_after(&w->sim, duration_s(LOOK_EVERY_S), SIM_LOCAL, look_at_estimate, w, 0);
}

static void expect_at_most(struct tally *t, const char *what, uint64_t is, uint64_t most)
{
	if (is > most)
		tally_fail(t, "%s: %llu, at most %llu expected", what, (unsigned long long)is,
			(unsigned long long)most);
}

static void judge_estimates(const struct world *w, const struct expectation *e)
{
	const struct server_settings *server = &w->scenario->server;
	struct tally *t = w->tally;
	uint64_t percent = e->covered_percent ? e->covered_percent : 100;

	if (e->no_estimate) {
		expect_at_most(t, "estimates without any Date", t->estimates, 0);
		return;
	}
	if (!t->estimates || t->covered * 100 < t->estimates * percent)
		tally_fail(t, "%llu of %llu estimates have the truth, %llu %% expected",
			(unsigned long long)t->covered, (unsigned long long)t->estimates,
			(unsigned long long)percent);
	if (e->point_error_ms &&
		(t->point_error.ns < 0 || t->point_error.ns > e->point_error_ms * NS_PER_MS))
		tally_fail(t, "the estimate is off by %lld ms after %d exchanges, %lld expected",
			(long long)(t->point_error.ns / NS_PER_MS), TALLY_POINT_AT,
			(long long)e->point_error_ms);
	/* One clock that shows itself live and is never touched is seen as one, and tightly. */
	if (server->date != DATE_LIVE || t->cluster || t->ever_disturbed || percent < 100)
		return;
	expect_at_most(t, "clocks seen", t->clocks_most, 1);
	expect_at_most(t, "tight intervals without the truth", t->estimates - t->tight_covered, 0);
}

/* The first of them may be one more: the request that found out. */
static void judge_failing(const struct world *w, const struct expectation *e)
{
	struct true_time from = {e->failing_from_s * NS_PER_S};
	struct true_time later = {(e->failing_from_s + FIRST_MINUTE_S) * NS_PER_S};
	struct true_time until = {e->failing_until_s * NS_PER_S};
	struct tally *t = w->tally;
	struct true_time back = {INT64_MAX};

	if (!e->failing_until_s)
		return;
	for (size_t i = 0; i < t->post_count && t->posts[i].at.ns < until.ns; i++)
		if (t->posts[i].at.ns >= from.ns && !t->posts[i].token) {
			/* the minute begins with the first one that fails */
			later.ns = t->posts[i].at.ns + FIRST_MINUTE_S * NS_PER_S;
			break;
		}
	expect_at_most(t, "requests in the first minute of failing",
		tally_posts_in(t, duration_s(FIRST_MINUTE_S), from, later, false), FIRST_MINUTE_S);
	expect_at_most(t, "requests in any minute after it",
		tally_posts_in(t, duration_s(60), later, until, false),
		e->failing_in_minute ? e->failing_in_minute : 2);
	if (e->failing_posts_max)
		expect_at_most(t, "requests while failing",
			tally_posts_in(t, duration_s(INT64_C(1000000)), from, until, false),
			e->failing_posts_max);
	for (size_t i = t->post_count; i--;)
		if (t->posts[i].token && t->posts[i].came.ns >= until.ns)
			back = t->posts[i].at;
	if (e->recovered_in_s && back.ns > until.ns + e->recovered_in_s * NS_PER_S)
		tally_fail(t, "the fetch that brought a token came %lld ms after the end",
			(long long)(true_since(back, until).ns / NS_PER_MS));
}

static void judge(struct world *w)
{
	const struct expectation *e = &w->scenario->expect;
	struct tally *t = w->tally;
	unsigned mint_limit = w->scenario->driver.source.mint_limit;

	expect_at_most(t, "token requests", t->post_count, e->posts_max);
	if (t->post_count < e->posts_min)
		tally_fail(t, "token requests: %llu, at least %u expected",
			(unsigned long long)t->post_count, e->posts_min);
	expect_at_most(t, "token requests in 300 s that may have made a token",
		tally_posts_in(t, duration_s(MINT_WINDOW_S), (struct true_time){0},
			(struct true_time){INT64_MAX}, true),
		mint_limit);
	expect_at_most(t, "calls that waited", t->waited, e->waited_max);
	if (e->knocks_max)
		expect_at_most(t, "knocks", t->knocks, e->knocks_max);
	if (t->knocks < e->knocks_min)
		tally_fail(t, "%llu knocks, at least %llu expected", (unsigned long long)t->knocks,
			(unsigned long long)e->knocks_min);
	if (e->heads_max)
		expect_at_most(t, "HEADs", t->heads, e->heads_max);
	if (e->longest_wait_ms)
		expect_at_most(t, "the longest wait in ms", t->longest_wait_ms, e->longest_wait_ms);
	expect_at_most(t, "calls without a token", t->errors, e->errors_max);
	expect_at_most(t, "calls let down while a token was good", t->errors_needless, 0);
	expect_at_most(t, "refused in blind time", t->refused_blind, e->blind_max);
	expect_at_most(t, "refused after a step", t->refused_overtaken, e->overtaken_max);
	expect_at_most(t, "refused for eviction", t->refused_revoked, e->revoked_max);
	expect_at_most(t, "refused at a cold start", t->refused_cold, e->cold_max);
	if (!t->served)
		tally_fail(t, "nothing was served");
	judge_estimates(w, e);
	judge_failing(w, e);
}

struct world_seeds {
	uint64_t driver, callers;
};

/* Everything but those who fetch and use tokens. */
static struct world *world_new(const struct scenario *scenario, uint64_t seed, struct tally *tally,
	struct world_seeds *ret_seeds)
{
	struct random seeds = {seed};
	struct random machine_random = {random_next(&seeds)};
	uint64_t server_seed = random_next(&seeds);
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	ret_seeds->driver = random_next(&seeds);
	ret_seeds->callers = random_next(&seeds);
	w->scenario = scenario;
	w->tally = tally;
	w->random.state = random_next(&seeds);
	sim_init(&w->sim);
	tally_init(tally, &w->sim, scenario->server.clocks > 1);
	machine_init(
		&w->machine, &w->sim, &scenario->machine, SIM_EPOCH_S * NS_PER_S, &machine_random);
	server_init(&w->server, &w->sim, &scenario->server, server_seed);
	happenings_plan(w);
	return w;
}

static void world_run(struct world *w)
{
	sim_run(&w->sim, (struct true_time){w->scenario->hours * 3600 * NS_PER_S});
}

static void world_free(struct world *w)
{
	server_fini(&w->server);
	sim_fini(&w->sim);
	free(w);
}

void run_scenario(const struct scenario *scenario, uint64_t seed, bool trace, struct tally *ret)
{
	struct world_seeds seeds;
	struct world *w = world_new(scenario, seed, ret, &seeds);

	driver_init(
		&w->driver, &w->sim, &w->machine, &w->server, ret, &scenario->driver, seeds.driver);
	w->driver.trace = trace;
	callers_init(&w->callers, &w->sim, &w->machine, &w->server, &w->driver, ret,
		&scenario->load, seeds.callers);
	look_at_estimate(w, 0);
	world_run(w);
	judge(w);
	ret->sim = NULL;
	callers_fini(&w->callers);
	driver_fini(&w->driver);
	world_free(w);
}

void run_baseline(const struct scenario *scenario, uint64_t seed,
	const struct baseline_policy *policy, struct baseline *ret)
{
	struct world_seeds seeds;
	struct tally unused;
	struct world *w = world_new(scenario, seed, &unused, &seeds);

	w->baseline = ret;
	baseline_init(ret, &w->sim, &w->machine, &w->server, policy, scenario->load.in_an_hour,
		policy->careful && !scenario->load.silent, seeds.callers);
	world_run(w);
	tally_fini(&unused);
	world_free(w);
}
