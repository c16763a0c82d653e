/* What the files of core/fleet ask and set in common; for them alone. */
#ifndef GCTOKEND_CORE_FLEET_JUDGE_H
#define GCTOKEND_CORE_FLEET_JUDGE_H

#include "fleet.h"
#include "times.h"

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_US 1000
#define FLEET_LONG_AGO ((struct boot_time){INT64_MIN})
/* Reads and puts after a loss are spread over this. */
#define FLEET_SPREAD_S 3
/* A lease or hold is broken when it has stood so much longer than it says. */
#define FLEET_OVERDUE_S 2
/* Those who wait for a lease do not all ask again at once. */
#define FLEET_LEASE_JITTER_S 2
#define FLEET_RENEW_NS (FLEET_LEASE_S * NS_PER_S / 3)
/* rho: 100 ppm. */
#define FLEET_DRIFT(ns) ((ns) / 10000)

static inline struct boot_time boot_in_s(struct boot_time now, int64_t s)
{
	return boot_add(now, duration_s(s));
}

static inline bool boot_is_never(struct boot_time t)
{
	return t.ns == BOOT_TIME_NEVER.ns;
}

/* By so much a look at the store may come later than fleet_poll: hosts do not keep step. */
static inline struct duration fleet_poll_slack(const struct fleet *f)
{
	return duration_ns(f->settings.poll.ns / 10);
}

/* Saturates. */
struct duration duration_from_us(int64_t us);

/* When a token is served no more: a margin before its end. BOOT_TIME_NEVER for a stop. */
struct boot_time fleet_dead_of(const struct fleet *f, const struct fleet_token *t);
/* The current one's. */
struct boot_time fleet_dead(const struct fleet *f);
/* The store has a living record that is sealed with another key. */
bool fleet_is_foreign(const struct fleet *f, struct boot_time now);
/* What ACQUIRE need not tell. */
uint64_t fleet_highest_known(const struct fleet *f);

/* A lease of that number may be used. */
bool fleet_may_be_fence(const struct fleet *f, uint64_t fence);

/* A generation was heard of. */
void fleet_see(struct fleet *f, uint64_t generation);
/* The fetch that wished for a token ends with what came. */
void fleet_wish_granted(struct fleet *f);
/* It is to end without; the next decision says so. */
void fleet_give_up(struct fleet *f, enum fleet_reason reason, struct duration wait);
/* It is the current one from now on. */
void fleet_take(struct fleet *f, const struct fleet_token *token);
/* There is none, or another one: whatever the API says is of no use. */
void fleet_forget_check(struct fleet *f);
/* The store may say that the current one has only just replaced a reported token: for as long as
 * that can be so by our own clock. */
bool fleet_may_be_new(const struct fleet *f, struct boot_time now);
/* A lease or hold of another host is in the way: when to ask again, the jitter included. By our own
 * clock it ends, whatever the store's does. */
struct boot_time fleet_wait_for(struct fleet *f, struct boot_time now, struct fleet_obstacle *o,
	const struct fleet_answer *a, struct duration jitter);

#endif
