/* One login server's clock: what is known of it, and everything the daemon decides about it. What
 * an exchange teaches, when a HEAD asks for the time, what a disagreement and a step of our own
 * wall clock lead to, and which token sources are told.
 *
 * The caller sends HEADs and carries exchanges here. It decides nothing: the daemon, the simulation
 * and the fuzzer all call these functions. */
#ifndef GCTOKEND_CORE_SERVER_CLOCK_H
#define GCTOKEND_CORE_SERVER_CLOCK_H

#include "probe.h"
#include "skew.h"
#include "times.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct exchange;
struct token_source;
struct token_source_decisions;

/* The clocks of all login servers, and our own wall clock beside them. */
struct server_clocks {
	LIST_HEAD(, server_clock) list;
	struct duration wall_offset; /* at the latest look, to notice a step */
	uint64_t wall_steps;         /* since the start */
};

struct server_clock {
	LIST_ENTRY(server_clock) link; /* in server_clocks.list */
	LIST_HEAD(, token_source) sources;
	const char *probe_url; /* lent, for messages */
	struct skew skew;
	struct probe_plan plan;
	bool series_begun; /* the HEADs after the first POST */
	bool was_asked;
	struct boot_time asked_at; /* the latest HEAD that a caller wanted */
};

void server_clocks_init(struct server_clocks *all, const struct clock_reading *now);
/* Before the decisions of each turn. Where our wall clock was stepped, every token source of `all`
 * has it in its history and looks again, and each server that is in use is asked at once. */
void server_clocks_look(struct server_clocks *all, const struct clock_reading *now);

/* `probing`: HEADs may be sent. `probe_url` is lent and outlives the clock. */
void server_clock_init(
	struct server_clock *c, struct server_clocks *all, bool probing, const char *probe_url);
/* All sources have left. */
void server_clock_fini(struct server_clock *c);
/* The source fetches from this server; at one clock at a time, from its init on and left before its
 * fini. A server without a source is never asked. */
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

/* A POST to the token endpoint ended: its Date goes to the estimate and to every source. True:
 * the Date is evidence, and *ret_sample is what it says, for token_source_fetched, which comes
 * after this. */
bool server_clock_post_ended(struct server_clock *c, const struct clock_reading *now,
	const struct exchange *x, struct skew_sample *ret_sample);
/* The HEAD ended. Every source has to decide anew. True: its Date was evidence. */
bool server_clock_head_ended(
	struct server_clock *c, const struct clock_reading *now, const struct exchange *x);
/* The HEAD that server_clock_turn wanted could not even begin. */
void server_clock_head_failed(struct server_clock *c, const struct clock_reading *now);

/* ---- decisions ---- */

/* token_source_decide, for a source that has joined; what its decision wants of the clock is done.
 */
void server_clock_decide(struct server_clock *c, struct token_source *s,
	const struct clock_reading *now, struct token_source_decisions *ret);
/* After the decisions of all sources. *ret_head: send a HEAD now; it counts as sent, and
 * server_clock_head_ended or _failed must follow. Returns when to ask again; BOOT_TIME_NEVER: not
 * before something happens. */
struct boot_time server_clock_turn(
	struct server_clock *c, const struct clock_reading *now, bool *ret_head);

/* May a caller have the clock measured now? */
enum server_clock_measure {
	SERVER_CLOCK_MEASURABLE = 0,
	SERVER_CLOCK_OFF,      /* probing is turned off */
	SERVER_CLOCK_FOREIGN,  /* another clock answers HEAD */
	SERVER_CLOCK_TOO_SOON, /* *ret_in from now it may */
};

enum server_clock_measure server_clock_may_measure(
	const struct server_clock *c, const struct clock_reading *now, struct duration *ret_in);
/* Then: a HEAD at once. */
void server_clock_measure(struct server_clock *c, const struct clock_reading *now);

/* How far the server's clocks are apart, as token_source_fetched wants it. */
struct duration server_clock_spread(const struct server_clock *c, const struct clock_reading *now);

#endif
