/* The token of one profile: when to fetch it, how long to serve it, what to tell callers.
 *
 * A deterministic state machine. Events go in with the time at which they happened; decisions come
 * out of token_source_decide(). It does no I/O, reads no clock, and takes its jitter from a seed:
 * the same events and the same seed give the same decisions. After an event or an ask its owner
 * calls token_source_needs_turn(), and if that is true, asks for decisions and carries them out.
 *
 *   token_source.c    the state; clocks, settings and admins change it
 *   token_past.c      what the previous run knew
 *   token_login.c     people log in
 *   token_next.c      the next fetch: who wants it, what holds it back
 *   token_fetch.c     what a fetch brought
 *   token_failure.c   that it failed, and how long to wait
 *   token_fleet.c     what other hosts of a fleet fetched
 *   token_knock.c     a login server that does not answer
 *   token_sibling.c   a fetch of another profile of the same OAuth client
 *   token_decide.c    what to do now
 *   token_ask.c       what a caller gets
 *   token_reject.c    what it means that a caller rejects a token
 *   token_page.c      what readers of the shared page may take without asking
 *   token_view.c      what status and metrics show
 *   token_judge.c     what these judge by: which token may be served, when a fetch may begin
 *
 * The states and what leads from one to the next are drawn at the top of token_source.c. */
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
	SOURCE_LOGIN_NONE,       /* nobody has logged in, or the login cannot be refreshed */
	SOURCE_LOGIN_REFUSED,    /* a refresh token that the server refused: only an admin's
				    refresh tries it again */
	SOURCE_LOGIN_READY,      /* a refresh token */
};

struct token_source_settings {
	struct lifetime_policy policy;
	bool prefetch;
	struct duration reject_cooldown;
	bool shared;         /* by the hosts of a fleet */
	bool verifiable;     /* the API can be asked whether it accepts a token */
	unsigned mint_limit; /* MINT_LIMIT_AUTO: by the lifetime of the tokens */
};

struct source_failure {
	bool any;
	/* of an earlier run neither is known */
	bool unfit;  /* a token came, in a form that is refused */
	bool unsent; /* nothing could be sent */
	enum response_class class;
	long status;
	char error[64];
	char words[256];
	char correlation_id[80];
	struct boot_time at;
};

struct source_counters {
	uint64_t fetches[RESPONSE_LOGIN_REQUIRED + 1]; /* ended, by class */
	uint64_t served, served_stale;
	uint64_t rejected;    /* 401s that started or joined a replacement */
	uint64_t cooled_down; /* 401s refused within the cool-down */
};

/* The instant of what never happened. */
#define SOURCE_LONG_AGO ((struct boot_time){INT64_MIN})

enum fetch_urgency {
	URGENCY_NONE,   /* it begins when the current token's refresh is due */
	URGENCY_WANTED, /* somebody needs a token now: as soon as the backoff allows */
	URGENCY_FORCED, /* an admin does: the backoff does not count */
};

/* What the next fetch is wanted for. Forgotten when one begins. */
struct fetch_next {
	enum fetch_urgency urgency;
	bool code;    /* a person logged in: exchange their code, whatever the backoff */
	bool waited;  /* callers are held or refused for want of it */
	bool knocked; /* a knock was answered */
};

enum fetch_purpose {
	PURPOSE_NONE,  /* no fetch is under way */
	PURPOSE_TOKEN, /* by the credentials, or a login's refresh token */
	PURPOSE_CODE,  /* to finish a login */
};

/* The fetch under way: set when it begins, in token_next.c, cleared when it ends, in token_fetch.c.
 * What happens meanwhile is noted here and judged at the end. */
struct fetch_under_way {
	enum fetch_purpose purpose;
	bool waited;                 /* callers are held, or were refused, for want of it */
	bool knocked;                /* it began because a knock was answered */
	bool given_up;               /* it left before the server could answer, and ends now */
	struct boot_time give_up_at; /* then, if nothing comes; BOOT_TIME_NEVER: not at all */
	bool by_rejection;        /* a caller has rejected a token, and there is no other reason */
	struct boot_time begun;   /* its place in the mint window */
	bool request_outdated;    /* it asks for a token as it was wanted before */
	bool credential_outdated; /* or with a credential that was replaced since */
	bool forgotten;           /* somebody logged out: what comes is not wanted */
};

enum verification_state {
	VERIFICATION_NONE,
	VERIFICATION_DUE, /* at `at` */
	VERIFICATION_UNDER_WAY,
	VERIFICATION_ENDED, /* at `at` */
};

/* Whether the API accepts a token that was rejected soon after another one, that could not be
 * replaced, or that is before one that is not valid yet; see token_reject.h. */
struct token_verification {
	enum verification_state state;
	bool accepted;         /* ended: it does */
	bool refused;          /* ended: it does not */
	uid_t uid;             /* who rejected it */
	uint64_t fetches_seen; /* fetches_ended when it was asked, or the token was rejected */
	uint64_t generation;   /* of the token */
	struct boot_time at;
};

/* What is remembered of the latest token when it is gone: a server may give the same one again. */
struct source_latest {
	char fingerprint[FINGERPRINT_LENGTH + 1]; /* "": none came yet */
	struct boot_time end;
	bool again; /* the latest fetch brought just that one */
};

/* What is known of a login server that does not answer; see token_knock.h. */
struct source_knock {
	bool silence;  /* the latest fetch had no answer */
	bool unheard;  /* nor had the latest knock */
	unsigned vain; /* fetches in a row that an answered knock led to, without an answer */
	struct boot_time next; /* when the next knock leaves */
};

#define SOURCE_KNOCK_NONE ((struct source_knock){.next = SOURCE_LONG_AGO})

struct token_source {
	struct token_source_settings settings;
	struct mint_window *mint;          /* of the client; lent */
	unsigned mint_number;              /* of this source, there */
	struct history *history;           /* lent */
	LIST_ENTRY(token_source) of_clock; /* in server_clock.sources */
	struct random random;
	struct token_slot current, previous;
	struct boot_time refresh_at;         /* of current */
	struct boot_time refresh_unrejected; /* what it was before current was rejected */
	bool refresh_by_doubt;               /* it was moved because a lone exchange disagreed */

	enum source_login login;
	bool revoked; /* stopped by an admin until the next forced fetch, or login */
	struct fetch_next next;
	uid_t code_uid; /* who brought the latest code */
	struct fetch_under_way fetch;
	uint64_t fetches_ended;             /* so many; they are numbered from 1 */
	uint64_t fetch_succeeded;           /* number of the latest that brought a new token */
	unsigned failures;                  /* in a row */
	unsigned refusals;                  /* among them, of those that no time heals */
	struct source_failure last_failure; /* cleared by a success */
	struct boot_time not_before;        /* of the next fetch: backoff, Retry-After, refusal */
	struct boot_time not_before_waited; /* the same if callers are refused for want of it; never
					       later */
	struct source_knock knock;
	struct source_latest latest;
	struct boot_time replaced_at; /* when a rejected token was last replaced, or accepted */
	struct token_verification verification;
	struct boot_time step_refresh_at; /* the latest refresh because of a lone exchange */
	bool mint_limit_told;             /* that it is used up */
	bool low_limit_told; /* that it can never be enough; since the latest configuration */
	bool login_end_told; /* of the current token */

	bool attention;             /* decisions are due */
	bool changed;               /* what callers get may have changed */
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

/* Are decisions due, because of what happened since the latest? */
bool token_source_needs_turn(const struct token_source *s);

/* ---- events; the end of a fetch is one of token_fetch.h ---- */

/* An exchange with this source's token endpoint had a usable Date. The sample is already in the
 * estimator, whose spread is given. If the exchange also brought a token, this comes first. */
void token_source_exchange(struct token_source *s, const struct clock_reading *now,
	const struct skew_sample *sample, struct duration spread);

/* The wall clock was stepped, or the machine was resumed: look again. And what could not be sent,
 * because no certificate was valid, say, may be sent now. */
void token_source_clock_changed(struct token_source *s);
/* A HEAD that asked for the server's clock ended, whether it proved anything or not: a suspicion
 * that it could not clear is asked about again. */
void token_source_probed(struct token_source *s);

/* New settings. `request_changed`: another token is asked for from now on (scope, parameters), so
 * fetch one; `credential_changed`: what the server refuses now was sent with another. And what
 * failed before may be mended by what was configured. */
void token_source_configure(struct token_source *s, const struct clock_reading *now,
	const struct token_source_settings *settings, bool request_changed,
	bool credential_changed);

/* Another credential is sent from now on. What the server refuses, or has refused, was sent with
 * the previous one: the next fetch need not wait. */
void token_source_credential_changed(struct token_source *s);
/* What the latest fetch failed at may have been mended: the next one need not wait, unless the
 * login server has answered and neither refused the client or a login, nor given a token of no
 * use. */
void token_source_mended(struct token_source *s);

/* An admin stops it. Forgets its tokens (moved into ret_tokens[0] and [1], either may be
 * TOKEN_NONE; the caller revokes and ends them) and stays stopped. */
void token_source_revoke(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2]);
/* A person logs out. Forgets its tokens as token_source_revoke does, and the login: it asks for a
 * new one. */
void token_source_log_out(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2]);

#endif
