/* Instants and durations in distinct types, so that the compiler refuses to mix the clocks.
 *
 * boot_time is CLOCK_BOOTTIME: it counts through suspend and no one can set it. Everything that
 * decides whether a token may be served is in boot_time. wall_time is CLOCK_REALTIME, which anyone
 * may step; it is shown, compared and never trusted. All values are nanoseconds; arithmetic
 * saturates at the ends instead of wrapping, so that a hostile expires_in or Retry-After can only
 * make an instant very far away, never a negative one. */
#ifndef GCTOKEND_CORE_TIMES_H
#define GCTOKEND_CORE_TIMES_H

#include <stdbool.h>
#include <stdint.h>

struct boot_time {
	int64_t ns;
};

struct wall_time {
	int64_t ns;
};

struct duration {
	int64_t ns;
};

/* What an edge reads at one wake-up; the core never reads a clock itself.
 * slew is MONOTONIC_RAW - MONOTONIC and suspended is BOOTTIME - MONOTONIC: only their changes
 * matter. A change of slew is what NTP bent our clock by, a change of suspended is sleep. */
struct clock_reading {
	struct boot_time boot;
	struct wall_time wall;
	struct duration slew;
	struct duration suspended;
};

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

#define BOOT_TIME_NEVER ((struct boot_time){INT64_MAX})
#define DURATION_ZERO ((struct duration){0})

static inline int64_t ns_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

static inline int64_t ns_sub(int64_t a, int64_t b)
{
	int64_t difference;

	if (__builtin_sub_overflow(a, b, &difference))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return difference;
}

/* |a - b|, also where that does not fit. */
static inline int64_t ns_distance(int64_t a, int64_t b)
{
	int64_t difference = ns_sub(a, b);

	return difference < 0 ? ns_sub(0, difference) : difference;
}

static inline struct duration duration_ns(int64_t ns)
{
	return (struct duration){ns};
}

static inline struct duration duration_ms(int64_t ms)
{
	int64_t ns;

	if (__builtin_mul_overflow(ms, NS_PER_MS, &ns))
		ns = ms < 0 ? INT64_MIN : INT64_MAX;
	return (struct duration){ns};
}

static inline struct duration duration_s(int64_t s)
{
	int64_t ns;

	if (__builtin_mul_overflow(s, NS_PER_S, &ns))
		ns = s < 0 ? INT64_MIN : INT64_MAX;
	return (struct duration){ns};
}

static inline struct duration duration_add(struct duration a, struct duration b)
{
	return (struct duration){ns_add(a.ns, b.ns)};
}

static inline struct duration duration_sub(struct duration a, struct duration b)
{
	return (struct duration){ns_sub(a.ns, b.ns)};
}

static inline struct duration duration_min(struct duration a, struct duration b)
{
	return a.ns < b.ns ? a : b;
}

static inline struct duration duration_max(struct duration a, struct duration b)
{
	return a.ns > b.ns ? a : b;
}

static inline struct boot_time boot_add(struct boot_time t, struct duration d)
{
	return (struct boot_time){ns_add(t.ns, d.ns)};
}

static inline struct boot_time boot_sub(struct boot_time t, struct duration d)
{
	return (struct boot_time){ns_sub(t.ns, d.ns)};
}

/* a - b */
static inline struct duration boot_since(struct boot_time a, struct boot_time b)
{
	return (struct duration){ns_sub(a.ns, b.ns)};
}

static inline bool boot_before(struct boot_time a, struct boot_time b)
{
	return a.ns < b.ns;
}

static inline struct boot_time boot_min(struct boot_time a, struct boot_time b)
{
	return a.ns < b.ns ? a : b;
}

static inline struct boot_time boot_max(struct boot_time a, struct boot_time b)
{
	return a.ns > b.ns ? a : b;
}

/* REALTIME - BOOTTIME: constant while nobody steps the wall clock. */
static inline struct duration clock_wall_offset(const struct clock_reading *r)
{
	return (struct duration){ns_sub(r->wall.ns, r->boot.ns)};
}

/* Whole seconds, towards minus infinity, of a duration. */
static inline int64_t duration_floor_s(struct duration d)
{
	int64_t s = d.ns / NS_PER_S;

	return d.ns % NS_PER_S < 0 ? s - 1 : s;
}

/* Whole seconds, towards plus infinity, of a duration. */
static inline int64_t duration_ceil_s(struct duration d)
{
	int64_t s = d.ns / NS_PER_S;

	return d.ns % NS_PER_S > 0 ? s + 1 : s;
}

#endif
