/* The token of one profile: when to fetch it, until when to serve it, what to tell whoever asks.
 *
 * A deterministic state machine. Events go in with the time they happened at; what is to be done
 * comes out of token_source_decide(). It performs nothing itself, reads no clock, and takes its
 * jitter from a seed: the same events and the same seed give the same decisions. After an event or
 * an ask, if token_source_needs_turn() says so, its owner asks for decisions and carries them out.
 *
 * States and transitions stand at the top of token_source.c, which takes the events; token_decide.c
 * holds the decisions and views, token_ask.c what a caller gets, token_page.c what readers who do
 * not ask may take. */
#ifndef GCTOKEND_CORE_TOKEN_SOURCE_H
#define GCTOKEND_CORE_TOKEN_SOURCE_H

#include "history.h"
#include "lifetime.h"
#include "random.h"
#include "retry.h"
#include "skew.h"
#include "times.h"
#include "token_response.h"
#include "token_slot.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* What there is to fetch with. */
enum source_login {
	SOURCE_LOGIN_NOT_NEEDED, /* the client's own credentials */
	SOURCE_LOGIN_NONE,       /* nobody has logged in, or in a way that cannot be refreshed */
	SOURCE_LOGIN_REFUSED,    /* a refresh token that the server did not take: only an admin's
				    refresh tries it again */
	SOURCE_LOGIN_READY,      /* a refresh token */
};

struct token_source_settings {
	struct lifetime_policy policy;
	bool prefetch;
	struct duration reject_cooldown;
	unsigned mint_limit;
};

struct source_failure {
	bool any;
	enum response_class class;
	long status;
	char error[64];
	char words[256];
	char correlation_id[80];
	struct boot_time at;
};

struct source_counters {
	uint64_t fetches[RESPONSE_LOGIN_REQUIRED + 1]; /* ended, by class */
	uint64_t same_token;
	uint64_t served, served_stale;
	uint64_t reported;    /* 401s that started or joined a replacement */
	uint64_t cooled_down; /* 401s refused within the cool-down */
	uint64_t waited;      /* asks that had to be held */
};

struct token_source {
	struct token_source_settings settings;
	struct mint_window *mint;          /* of the client; lent */
	struct history *history;           /* lent */
	LIST_ENTRY(token_source) of_clock; /* in server_clock.sources */
	struct random random;
	struct token_slot current, previous;
	struct boot_time refresh_at; /* of current */

	enum source_login login;
	bool code_waiting; /* a person logged in: the next fetch is to exchange their code */
	bool fetching_code;
	bool fetching_forgotten; /* the login that the fetch under way is for was ended */
	bool login_end_told;     /* of the current token */
	bool fetching;
	bool replacing; /* the fetch under way is to replace a reported token: callers wait for it
			 */
	bool request_outdated;    /* the fetch under way asks for a token as it was wanted before */
	bool credential_outdated; /* or with a credential that was replaced since */
	bool wanted;              /* somebody needs a fetch now */
	bool forced;              /* and it may ignore the backoff */
	bool revoked;             /* stopped by an admin until the next forced fetch */
	uint64_t fetches_begun, fetches_ended, fetch_succeeded; /* numbers of fetches, from 1 */
	unsigned failures;                                      /* in a row */
	struct boot_time not_before; /* of the next fetch: backoff, Retry-After, rejection */
	struct boot_time forced_at;  /* of the latest replacement asked by a report */
	bool was_forced;
	struct boot_time step_refresh_at; /* latest refresh because of a lone exchange */
	bool had_step_refresh;
	bool mint_limit_told;
	struct source_failure last_failure; /* cleared by a success */

	bool attention;             /* decisions are due */
	bool changed;               /* what asks get may have changed */
	struct boot_time change_at; /* and will by itself, without an event */
	uint64_t picked;            /* generation that a plain ask got at the latest decision */
	unsigned probes_wanted;
	struct source_counters counters;
};

/* `mint` and `history` outlive the source. `seed` for the jitter only. The first decision fetches
 * if the profile prefetches. */
void token_source_init(struct token_source *s, const struct token_source_settings *settings,
	struct mint_window *mint, struct history *history, uint64_t seed);
void token_source_fini(struct token_source *s);

/* ---- events ---- */

/* What an earlier run hands over by way of core/handover.h. The rest of a source begins anew. */
struct token_source_past {
	struct token_slot current, previous;
	struct boot_time refresh_at;
	bool revoked;
	bool replacing; /* a fetch was under way to replace the current one, which was reported */
	unsigned failures;
	bool was_forced;
	struct boot_time forced_at;
	bool had_step_refresh;
	struct boot_time step_refresh_at;
};

void token_source_past_fini(struct token_source_past *past);
/* Once, before the first decision and after token_source_restore: goes on where an earlier run
 * ended. Takes the tokens out of `past`. `request_changed`: what is asked for is not what the token
 * was asked for, so another is fetched. */
void token_source_resume(struct token_source *s, const struct clock_reading *now,
	struct token_source_past *past, bool request_changed);

/* What an earlier run knew: no fetch before `not_before`, because of `failure` (NULL: none). */
void token_source_restore(
	struct token_source *s, struct boot_time not_before, const struct source_failure *failure);
/* What the next run is to restore. */
void token_source_save(const struct token_source *s, struct boot_time *ret_not_before,
	struct source_failure *ret_failure);

/* Any exchange with this source's token endpoint that had a usable Date, already in the estimator
 * whose spread is given. For the exchange that also brings a token, this comes first. */
void token_source_exchange(struct token_source *s, const struct clock_reading *now,
	const struct skew_sample *sample, struct duration spread);

/* What became of a fetch. */
enum fetched {
	FETCHED_TOKEN,    /* a new one, which has taken the generation */
	FETCHED_SAME,     /* the token that there is already */
	FETCHED_FAILED,   /* no token, or one of no use */
	FETCHED_UNWANTED, /* an admin revoked, or a person logged out, while it was under way: a
			     token that came is left in the response, for its owner to revoke */
};

/* The fetch under way ended. Takes the token that it brought, and turns the class of a response
 * whose token is of no use into RESPONSE_UNAVAILABLE. `sample`: NULL if the Date proves nothing.
 * `generation`: the number a new token is to have, greater than any before. */
enum fetched token_source_fetched(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation);

/* `other`, another profile of the same client with the same secret, has just ended a fetch: where
 * the server said to wait, or refused the client, this one need not be told the same; where a
 * refused client was accepted again, it need not wait any more. */
void token_source_sibling_fetched(
	struct token_source *s, const struct clock_reading *now, const struct token_source *other);

/* The wall clock was stepped, or the machine was resumed: look again. */
void token_source_clock_changed(struct token_source *s);
/* A HEAD that asked for the server's clock ended. Whether it proved anything or not: a suspicion
 * that it could not clear is asked about again. */
void token_source_probed(struct token_source *s);

/* New settings. `request_changed`: a token from now on would be another one (scope, parameters), so
 * fetch one; `credential_changed`: what the server refused before is worth another try at once. */
void token_source_configure(struct token_source *s, const struct clock_reading *now,
	const struct token_source_settings *settings, bool request_changed,
	bool credential_changed);

/* Forgets its tokens (moved into ret_tokens[0] and [1], either may be TOKEN_NONE; the caller
 * revokes and ends them) and stays stopped. */
void token_source_revoke(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2]);

/* Of a profile that people log in to: what there is to refresh with. */
void token_source_set_login(struct token_source *s, enum source_login login);
/* A person logged in: the next fetch exchanges their code, as soon as the mint limit allows. It
 * starts what an admin stopped, if it succeeds. */
void token_source_code_came(struct token_source *s);
/* Nobody waits for that exchange any more. True: it had not begun, and never will. */
bool token_source_code_gone(struct token_source *s);
/* Forgets tokens and login, as token_source_revoke does, and asks for a new login. */
void token_source_log_out(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2]);
/* How long the login will last, where it cannot be refreshed. False: it can, or there is none. */
bool token_source_login_ends(
	const struct token_source *s, const struct clock_reading *now, struct duration *ret_in);

/* ---- decisions ---- */

/* Are decisions due, because of what happened since the latest? */
bool token_source_needs_turn(const struct token_source *s);

struct token_source_decisions {
	bool fetch;               /* send a token request now; token_source_fetched must follow */
	bool code;                /* the one that exchanges the code */
	unsigned probes;          /* send so many HEADs, the first at once */
	bool changed;             /* ask again for everybody who is held */
	struct boot_time wake_at; /* decide again then at the latest */
};

void token_source_decide(struct token_source *s, const struct clock_reading *now,
	struct token_source_decisions *ret);

/* ---- asks ---- */

enum ask_kind {
	ASK_GET,
	ASK_REJECT,  /* "the API answered 401 to `generation`" */
	ASK_REFRESH, /* an admin wants a new token now */
};

struct token_ask {
	enum ask_kind kind;
	struct duration min_ttl;
	bool has_after;
	uint64_t after;      /* wait for another generation than this */
	uint64_t generation; /* ASK_REJECT */
	struct boot_time deadline;
	/* the source's own, zero at first */
	bool begun;
	uint64_t ticket; /* the fetch whose end answers */
};

enum ask_outcome {
	OUTCOME_TOKEN,
	OUTCOME_HOLD,      /* ask again when something changed, at the latest at the deadline */
	OUTCOME_UNCHANGED, /* the wait ended without another generation */
	OUTCOME_MIN_TTL,   /* more than limit_s can be had of no token */
	OUTCOME_COOLDOWN,  /* reported too soon after an earlier report */
	OUTCOME_UNAVAILABLE,
	OUTCOME_CLIENT_REJECTED,
	OUTCOME_LOGIN_REQUIRED,
	OUTCOME_REVOKED,
	OUTCOME_TIMEOUT, /* the wait ended while a fetch ran */
};

struct token_outcome {
	enum ask_outcome kind;
	/* OUTCOME_TOKEN; good until the next event */
	const struct token_slot *slot;
	struct duration expires_in; /* at least 1 s */
	int64_t refresh_in_s;
	bool stale;
	int64_t limit_s;       /* OUTCOME_MIN_TTL */
	int64_t retry_after_s; /* failures; -1: nothing to say */
};

/* May be called any number of times for the same ask. At `ask->deadline` or later the outcome is
 * never OUTCOME_HOLD. */
void token_source_ask(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, struct token_outcome *ret);

/* ---- views ---- */

enum source_state {
	SOURCE_FRESH,
	SOURCE_STALE,       /* the token is good, its refresh overdue or failing */
	SOURCE_WAITING,     /* no token yet, nothing failed */
	SOURCE_UNAVAILABLE, /* no token, fetching fails */
	SOURCE_CLIENT_REJECTED,
	SOURCE_LOGIN_REQUIRED,
	SOURCE_REVOKED,
};

struct source_view {
	enum source_state state;
	const struct token_slot *slot; /* what a plain ask gets now; NULL: nothing */
	struct duration expires_in;    /* of slot */
	struct duration refresh_in;    /* until the planned refresh; negative: overdue */
	struct boot_time next_attempt; /* of a fetch; BOOT_TIME_NEVER: none planned */
};

void token_source_view(
	const struct token_source *s, const struct clock_reading *now, struct source_view *ret);
const char *source_state_name(enum source_state state);
/* How long the current token was issued for; zero if there is none. */
struct duration token_source_issued(const struct token_source *s);
/* The generation of the token with that fingerprint, 0 if it is neither current nor previous. */
uint64_t token_source_generation_of(const struct token_source *s, const char *fingerprint);

/* What a plain ask gets, told ahead: for readers who see it without asking. From now until `until`,
 * if no event comes before, a get without `after` has this outcome: the token, with
 * expires_in = dead - then, stale from stale_from on, and min_ttl as far as it is at most
 * min_ttl_limit_s and expires_in. */
struct source_page {
	const struct token_slot *slot; /* NULL: one has to ask */
	struct boot_time until, dead;
	struct boot_time stale_from; /* BOOT_TIME_NEVER: not before `until` */
	int64_t min_ttl_limit_s;     /* for more than this one has to ask */
};

void token_source_page(
	const struct token_source *s, const struct clock_reading *now, struct source_page *ret);

/* ---- between the files of the token source ---- */

/* A refresh that takes longer than this is overdue. */
#define SOURCE_OVERDUE_S 15

/* What may be served at `now`; NULL: nothing. `not_generation`: 0, or one that was just reported.
 */
const struct token_slot *token_source_pick(
	const struct token_source *s, const struct clock_reading *now, uint64_t not_generation);
/* Would it be dead already if a suspected loss of time is real? */
bool token_source_doubtful(const struct token_slot *slot, const struct clock_reading *now);
/* Now or the instant before which no fetch may begin. */
struct boot_time token_source_gate(const struct token_source *s, struct boot_time now, bool forced);
/* When there is something to tell about a login that ends; tells it, once that is so. */
struct boot_time token_source_tell_login_end(
	struct token_source *s, const struct clock_reading *now);
void token_source_code_failed(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response);
bool token_source_stale(const struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot);
/* The next instant at which what is served changes by itself. */
struct boot_time token_source_next_change(
	const struct token_source *s, const struct clock_reading *now);
/* Longest remaining life that a token of this issuing can surely be asked for. */
int64_t token_source_min_ttl_limit_s(const struct token_slot *slot);

#endif
