/* Our clock and a server's, as far apart as a test wants, drifting as a crystal may; and exchanges
 * between them as upstream/fetch would report them. Only what the core is given is in the exchange;
 * the truth (theta) stays in the model. */
#ifndef GCTOKEND_TESTS_UNIT_CLOCK_MODEL_H
#define GCTOKEND_TESTS_UNIT_CLOCK_MODEL_H

#include "core/exchange.h"
#include "core/random.h"
#include "core/skew.h"
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock_model {
	struct random random;
	struct clock_reading now;
	int64_t theta;    /* ns: server clock - boot */
	int64_t ppm_max;  /* theta moves by at most this, */
	int64_t slew_ppm; /* and by this while NTP bends our clock */
};

/* Uniform in [0, most]. */
static inline int64_t model_up_to(struct clock_model *m, int64_t most)
{
	return random_duration(&m->random, duration_ns(most)).ns;
}

static inline void clock_model_init(struct clock_model *m, uint64_t seed)
{
	*m = (struct clock_model){.random = {seed}, .ppm_max = SKEW_DRIFT_PPM};
	m->now.boot.ns = model_up_to(m, 1000000 * NS_PER_S);
	m->now.wall.ns = 1700000000 * NS_PER_S + m->now.boot.ns;
	/* most often near our own wall clock, as in life; sometimes nowhere near */
	m->theta = 1700000000 * NS_PER_S + model_up_to(m, 240 * NS_PER_S) - 120 * NS_PER_S;
	if (seed % 8 == 0)
		m->theta = model_up_to(m, 4000000000 * NS_PER_S);
}

/* Time passes; the servers' clock gains or loses what crystals may. */
static inline void model_pass(struct clock_model *m, int64_t ns)
{
	int64_t rate = model_up_to(m, 2 * m->ppm_max) - m->ppm_max;

	/* at the limits half of the time: in between nothing breaks */
	if (random_next(&m->random) % 2)
		rate = rate < 0 ? -m->ppm_max : m->ppm_max;
	m->now.boot.ns += ns;
	m->now.wall.ns += ns;
	m->theta += (int64_t)((__int128)ns * rate / 1000000);
	m->theta += (int64_t)((__int128)ns * m->slew_ppm / 1000000);
	m->now.slew.ns += (int64_t)((__int128)ns * m->slew_ppm / 1000000);
}

static inline int64_t model_server_s(const struct clock_model *m)
{
	return duration_floor_s(duration_ns(m->now.boot.ns + m->theta));
}

static inline void model_write_date(struct exchange *x, int64_t date_s)
{
	time_t t = (time_t)date_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(x->date, sizeof(x->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* One exchange that leaves now; the server reads its clock after `forward`, or that much earlier if
 * it keeps its Date for a while. */
static inline struct exchange model_exchange(
	struct clock_model *m, int64_t forward, int64_t back, int64_t stale)
{
	struct exchange x = {.status = 200, .sent = m->now};

	model_pass(m, forward);
	model_write_date(&x, duration_floor_s(duration_ns(m->now.boot.ns + m->theta - stale)));
	model_pass(m, back);
	x.received = m->now;
	return x;
}

#endif
