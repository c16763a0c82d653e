#include "machine.h"

#define BOOTED_AGO_MAX_S 1000000

int64_t machine_some_ppm(struct random *random, int most)
{
	int64_t ppm = (int64_t)(random_next(random) % (uint64_t)(4 * most + 1)) - 2 * most;

	return ppm < -most ? -most : ppm > most ? most : ppm;
}

void machine_init(struct machine *m, struct sim *sim, const struct machine_settings *settings,
	int64_t time_of_day, struct random *random)
{
	struct duration up = random_duration(random, duration_s(BOOTED_AGO_MAX_S));
	struct duration asleep = random_duration(random, duration_ns(up.ns / 2));

	*m = (struct machine){
		.sim = sim,
		.as_of = sim->now,
		.boot = {up.ns},
		.raw = duration_sub(up, duration_add(asleep, duration_ms(70))),
		.mono = duration_sub(up, asleep),
		.wall_offset = duration_ns(time_of_day + settings->wall_ahead.ns - up.ns),
		.drift_ppm = machine_some_ppm(random, settings->drift_ppm),
	};
}

/* How far each clock has run since as_of. */
static void machine_passed(const struct machine *m, struct duration *ret_boot,
	struct duration *ret_mono, struct duration *ret_raw)
{
	struct duration d = true_since(m->sim->now, m->as_of);

	*ret_boot = *ret_mono = *ret_raw = DURATION_ZERO;
	switch (m->state) {
	case MACHINE_RUNS:
		*ret_raw = duration_add(d, drift_of(d, m->drift_ppm));
		*ret_mono = *ret_boot = duration_add(d, drift_of(d, m->drift_ppm + m->slew_ppm));
		break;
	case MACHINE_SUSPENDED:
		*ret_boot = duration_add(d, drift_of(d, m->drift_ppm));
		break;
	case MACHINE_PAUSED:
		break;
	}
}

struct clock_reading machine_read(const struct machine *m)
{
	struct duration boot_passed, mono_passed, raw_passed, mono, raw;
	struct clock_reading r;

	machine_passed(m, &boot_passed, &mono_passed, &raw_passed);
	mono = duration_add(m->mono, mono_passed);
	raw = duration_add(m->raw, raw_passed);
	r.boot = boot_add(m->boot, boot_passed);
	r.wall = (struct wall_time){r.boot.ns + m->wall_offset.ns};
	r.slew = duration_sub(raw, mono);
	r.suspended = duration_ns(r.boot.ns - mono.ns);
	return r;
}

/* Everything so far is counted; from here on the clocks may run otherwise. */
static void machine_settle(struct machine *m)
{
	struct duration boot, mono, raw;

	machine_passed(m, &boot, &mono, &raw);
	m->boot = boot_add(m->boot, boot);
	m->mono = duration_add(m->mono, mono);
	m->raw = duration_add(m->raw, raw);
	m->as_of = m->sim->now;
}

struct true_time machine_when(const struct machine *m, struct boot_time boot)
{
	struct duration left = boot_since(boot, machine_read(m).boot);

	if (left.ns <= 0)
		return m->sim->now;
	/* A microsecond more, for the rounding; the error of the linear term is far below that for
	 * any wait after which somebody looks again. */
	left = duration_sub(left, drift_of(left, m->drift_ppm + m->slew_ppm));
	return (struct true_time){ns_add(ns_add(m->sim->now.ns, left.ns), 1000)};
}

void machine_step_wall(struct machine *m, struct duration by)
{
	m->wall_offset = duration_add(m->wall_offset, by);
	if (m->clock_set)
		m->clock_set(m->clock_set_context);
}

void machine_slew(struct machine *m, int64_t ppm)
{
	machine_settle(m);
	m->slew_ppm = ppm;
}

static void machine_wakes(void *context, uint64_t was)
{
	struct machine *m = context;

	machine_settle(m);
	m->state = MACHINE_RUNS;
	if (was == MACHINE_SUSPENDED && m->clock_set)
		m->clock_set(m->clock_set_context);
}

static void machine_stop(struct machine *m, enum machine_state state, struct duration length)
{
	if (m->state != MACHINE_RUNS)
		return;
	machine_settle(m);
	m->state = state;
	m->sim->local_from = (struct true_time){ns_add(m->sim->now.ns, length.ns)};
	sim_at(m->sim, m->sim->local_from, SIM_WORLD, machine_wakes, m, state);
}

void machine_suspend(struct machine *m, struct duration length)
{
	machine_stop(m, MACHINE_SUSPENDED, length);
}

void machine_pause(struct machine *m, struct duration length)
{
	machine_stop(m, MACHINE_PAUSED, length);
}
