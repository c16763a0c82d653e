/* Virtual time: a queue of events that happen in order, as fast as the processor can go.
 *
 * true_time is what no clock in the simulation shows: the machine's clocks and the servers' all
 * drift against it. A run depends on its scenario and its seed alone. */
#ifndef GCTOKEND_TESTS_SIM_SIM_H
#define GCTOKEND_TESTS_SIM_SIM_H

#include "core/times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since the run began. */
struct true_time {
	int64_t ns;
};

enum sim_place {
	SIM_WORLD, /* happens whether our machine runs or not */
	SIM_LOCAL, /* runs on our machine, so it waits while that sleeps */
};

struct sim_event;

struct sim {
	struct true_time now;
	struct true_time local_from; /* our machine does not run before this */
	struct sim_event *heap;
	size_t count, room;
	uint64_t order;
};

void sim_init(struct sim *s);
void sim_fini(struct sim *s);
/* Calls happen(context, value) at `at`, which is not before now. Events at the same instant happen
 * in the order they were planned. Nothing can be cancelled: pass a serial number in `value` and
 * ignore old ones. */
void sim_at(struct sim *s, struct true_time at, enum sim_place place,
	void (*happen)(void *context, uint64_t value), void *context, uint64_t value);
void sim_after(struct sim *s, struct duration delay, enum sim_place place,
	void (*happen)(void *context, uint64_t value), void *context, uint64_t value);
/* Runs everything up to `until`; then it is `until`. */
void sim_run(struct sim *s, struct true_time until);

/* malloc that ends the program: a simulation without memory proves nothing. */
void *sim_grow(void *array, size_t *room, size_t size);

/* What a clock that gains `ppm` gains in d of true time. */
static inline struct duration drift_of(struct duration d, int64_t ppm)
{
	/* In whole microseconds, so that years fit. */
	return duration_ns(d.ns / 1000 * ppm / 1000);
}

static inline struct duration true_since(struct true_time a, struct true_time b)
{
	return duration_ns(a.ns - b.ns);
}

#endif
