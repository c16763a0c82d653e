/* One login server's clock: what is known of it, and everything that the daemon decides about it:
 * what it learns from an exchange, when a HEAD asks for the time, what a disagreement or a step of
 * our own wall clock leads to, and which token sources have to know.
 *
 * Whoever uses it sends the HEADs and passes on the exchanges, but decides nothing. The daemon, the
 * simulation and the fuzzer share it. */
#ifndef GCTOKEND_CORE_SERVER_CLOCK_H
#define GCTOKEND_CORE_SERVER_CLOCK_H

#include "knock.h"
#include "probe.h"
#include "skew.h"
#include "times.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct exchange;
struct token_source;
struct token_source_decisions;

/* The clocks of all login servers, and our own wall clock. */
struct server_clocks {
	LIST_HEAD(, server_clock) list;
	struct duration wall_offset; /* at the latest look; a step is a change of it */
	uint64_t wall_steps;         /* since the start */
};

struct server_clock {
	LIST_ENTRY(server_clock) link; /* in server_clocks.list */
	LIST_HEAD(, token_source) sources;
	const char *probe_url; /* lent, for messages */
	struct skew skew;
	struct probe_plan plan;
	struct knock knock;
	bool series_begun; /* the series of HEADs after the first POST */
	bool was_asked;
	struct boot_time asked_at; /* the latest HEAD that a caller wanted */
};

void server_clocks_init(struct server_clocks *all, const struct clock_reading *now);
/* Call this first in each turn. If our wall clock was stepped, all token sources have it in their
 * histories and decide again, and each server in use is asked for its clock at once. */
void server_clocks_look(struct server_clocks *all, const struct clock_reading *now);

/* `probing`: HEADs may be sent. `probe_url` must outlive the clock. */
void server_clock_init(
	struct server_clock *c, struct server_clocks *all, bool probing, const char *probe_url);
/* After all its sources have left. */
void server_clock_fini(struct server_clock *c);
/* The source fetches from this server. It joins after token_source_init, is with one clock at a
 * time, and leaves before token_source_fini. A server without sources is not asked. */
void server_clock_join(struct server_clock *c, struct token_source *s);
void server_clock_leave(struct token_source *s);

/* What an earlier run hands over by way of core/handover.h. */
struct server_clock_past {
	struct skew skew;
	struct probe_plan plan; /* but for `enabled` */
	bool series_begun;
};

void server_clock_resume(struct server_clock *c, const struct server_clock_past *past);

/* ---- exchanges ---- */

/* A POST to the token endpoint ended: the estimate and all sources learn from its Date. True: the
 * Date is evidence, and *ret_sample is its sample, for token_source_fetched, which comes next. */
bool server_clock_post_ended(struct server_clock *c, const struct clock_reading *now,
	const struct exchange *x, struct skew_sample *ret_sample);
/* The HEAD ended: the same, and all sources decide again. */
bool server_clock_head_ended(
	struct server_clock *c, const struct clock_reading *now, const struct exchange *x);
/* The HEAD that server_clock_turn wanted could not be sent. */
void server_clock_head_failed(struct server_clock *c, const struct clock_reading *now);

/* ---- decisions ---- */

/* token_source_decide, for a source that has joined. HEADs that the decision wants are planned. */
void server_clock_decide(struct server_clock *c, struct token_source *s,
	const struct clock_reading *now, struct token_source_decisions *ret);
/* Call this when all sources have decided. *ret_head: send a HEAD now; it counts as sent, and
 * server_clock_head_ended or _failed must follow. Returns when to call again if nothing happens;
 * BOOT_TIME_NEVER: no need to. */
struct boot_time server_clock_turn(
	struct server_clock *c, const struct clock_reading *now, bool *ret_head);

/* Call this with server_clock_turn. *ret_knock: send a HEAD now that only asks whether somebody is
 * there; it has KNOCK_TIMEOUT_MS, and server_clock_knock_ended must follow. Nothing else is learnt
 * from it. Never where probing is turned off, or HEADs are answered by another clock. Returns when
 * to call again. */
struct boot_time server_clock_knock(
	struct server_clock *c, const struct clock_reading *now, bool *ret_knock);
/* `x`: NULL if it could not be sent. */
void server_clock_knock_ended(
	struct server_clock *c, const struct clock_reading *now, const struct exchange *x);

/* May a caller have the clock measured? */
enum server_clock_measure {
	SERVER_CLOCK_MEASURABLE = 0,
	SERVER_CLOCK_OFF,       /* probing is turned off */
	SERVER_CLOCK_FOREIGN,   /* another clock answers HEAD */
	SERVER_CLOCK_TOO_SOON,  /* after the latest time; it may in *ret_in */
	SERVER_CLOCK_TOO_OFTEN, /* the other HEADs are for the daemon itself; it may in *ret_in */
};

enum server_clock_measure server_clock_may_measure(
	const struct server_clock *c, const struct clock_reading *now, struct duration *ret_in);
/* Sends a HEAD at once, and more over some seconds; server_clock_may_measure allowed it. */
void server_clock_measure(struct server_clock *c, const struct clock_reading *now);
/* Is a HEAD under way, or another one to follow? */
bool server_clock_measuring(const struct server_clock *c, const struct clock_reading *now);

/* How far apart the server's clocks are, for token_source_fetched. */
struct duration server_clock_spread(const struct server_clock *c, const struct clock_reading *now);

#endif
