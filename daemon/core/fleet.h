/* One host's part in a fleet that shares the token of an OAuth client: when to ask the store, what
 * to believe of it, and who sends the token request.
 *
 * A deterministic state machine, as the token source is: events go in with the time at which they
 * happened, and fleet_decide says the one thing to do. It does no I/O, reads no clock, holds no
 * secret and knows no engine. It knows of a token when it ends and its number, of which a higher
 * one always wins; the token itself is the token source's. All instants are this host's
 * CLOCK_BOOTTIME; the store's clock counts in differences of two readings only.
 *
 * While the store is connected:
 *
 *   idle ── fleet_want ──► asking ── granted ──► minting ── fleet_minted ──► putting ──► idle
 *    ▲                       │ newer: take it       │ fleet_mint_failed: FAIL
 *    └── a message, a poll ──┴ held, hold, limit: wait, or give up
 *
 * While it is not, or refuses to say who may mint, a token is served to its end; then those hosts
 * that have a permit mint for themselves, and when it is back the highest generation wins.
 *
 * Invariants:
 *   - the end of a generation never moves out, whatever is read or pushed
 *   - the generation never goes back
 *   - no lease or hold stops this host for longer than it says and 2 s more, by its own clock
 *   - a record that is sealed with another key is not overwritten while it lives
 *   - a token that the store has lost is put there again by a host that has it
 *   - that the API takes a reported token is believed of other hosts alone, each time for a
 *     cool-down by this host's clock, and not for ever without a question of its own
 *
 * fleet.c has the events, fleet_look.c what a record of the store means, fleet_check.c who asks the
 * API about a reported token, fleet_decide.c what is to be done, and fleet_judge.c what these ask
 * and set in common. */
#ifndef GCTOKEND_CORE_FLEET_H
#define GCTOKEND_CORE_FLEET_H

#include "fleet_reply.h"
#include "random.h"
#include "times.h"

#include <stdbool.h>
#include <stdint.h>

#define FLEET_LEASE_S 5         /* while nothing is to be served */
#define FLEET_LEASE_LIVING_S 15 /* while an older token lives */
#define FLEET_NO_PERMIT UINT32_MAX

struct fleet_settings {
	bool may_mint; /* there is a client secret */
	struct duration poll;
	struct duration use_margin;
	uint32_t alone;           /* so many hosts may mint without the store; UINT32_MAX: all */
	struct duration cooldown; /* so long the API's word on a reported token is good */
};

/* What a token is wanted for. The greater one counts. */
enum fleet_wish {
	FLEET_WISH_NONE,
	FLEET_WISH_REFRESH, /* the one there is gets old */
	FLEET_WISH_TOKEN,   /* there is none */
	FLEET_WISH_REPORT,  /* a caller says that the API refused the current one */
	FLEET_WISH_ADMIN,   /* an admin wants another one */
};

/* What opening a record told. */
enum fleet_seal {
	FLEET_SEAL_NONE,    /* there was nothing to open */
	FLEET_SEAL_GOOD,    /* a token */
	FLEET_SEAL_STOPPED, /* an admin stopped the fleet */
	FLEET_SEAL_DAMAGED, /* nobody can use it */
	FLEET_SEAL_FOREIGN, /* other hosts can: another key, or a later version */
};

struct fleet_sight {
	enum fleet_seal seal;
	bool proven;              /* the answer's verdict is of a host that has the fleet's key */
	struct duration issued;   /* GOOD: as it is authenticated */
	struct boot_time ceiling; /* GOOD: its end by what is known of the login server's clock;
				     BOOT_TIME_NEVER: nothing is */
};

/* What became of a record that was read or pushed. */
enum fleet_taken {
	FLEET_TAKEN_NOTHING,  /* nothing new */
	FLEET_TAKEN_TOKEN,    /* it is the current one now: token_source_adopt */
	FLEET_TAKEN_EARLIER,  /* the current one ends earlier than was thought */
	FLEET_TAKEN_REJECTED, /* the current one was rejected on another host */
	FLEET_TAKEN_STOP,     /* an admin stopped the fleet */
};

struct fleet_token {
	uint64_t generation;  /* 0: none */
	struct boot_time end; /* no margin taken off */
	struct boot_time received;
	struct duration issued;
	bool stopped;  /* there is no token: an admin's revoke */
	bool rejected; /* by a caller, on whatever host */
	bool own;      /* this host minted it */
};

/* Why a fetch ends without a token. */
enum fleet_reason {
	FLEET_BECAUSE_HOLD,     /* another host's request failed */
	FLEET_BECAUSE_LIMIT,    /* the fleet's mint_limit is used up */
	FLEET_BECAUSE_COOLDOWN, /* a reported token was replaced only just */
	FLEET_BECAUSE_DOWN,     /* the store cannot be reached, and this host may not mint alone */
	FLEET_BECAUSE_REFUSED, /* the store refuses to be asked, and this host may not mint alone */
	FLEET_BECAUSE_FOREIGN, /* the store's token is sealed with a key that is not known here */
	FLEET_BECAUSE_FOLLOWER, /* this host has no secret, and no other has a token */
};

enum fleet_todo {
	FLEET_TODO_NOTHING,
	FLEET_TODO_OPERATION, /* begin it; fleet_answered, fleet_refused or fleet_down follows */
	FLEET_TODO_MINT,    /* send the token request; fleet_minted or fleet_mint_failed follows */
	FLEET_TODO_GIVE_UP, /* end the fetch that it is wanted for */
	FLEET_TODO_CHECK,   /* ask the API about the current token; fleet_checked follows */
	FLEET_TODO_CHECKED, /* what fleet_check wanted to know is known */
};

struct fleet_decision {
	enum fleet_todo todo;
	enum fleet_operation operation; /* the numbers of an operation follow it */
	bool poll;                      /* READ: it was due, and nothing else wants it */
	uint64_t generation;            /* ACQUIRE: the highest known; PUT, STOP: of what is put;
					   ACCEPT: of the token */
	uint64_t reject;                /* ACQUIRE: the reported generation, or 0 */
	bool check;                     /* ACQUIRE: the lease is for asking the API about it */
	uint64_t doubted;               /* ACQUIRE: a verdict that does not count */
	uint64_t floor;                 /* ACQUIRE: the highest ever seen */
	uint64_t fence;                 /* RENEW, FAIL, ACCEPT */
	struct duration lease;          /* ACQUIRE, RENEW */
	struct fleet_id break_lease, break_hold; /* ACQUIRE: what has stood too long */
	int64_t stamp_us, left_us; /* PUT: what was left when the store's clock said so */
	struct duration issued;    /* PUT */
	enum response_class class; /* FAIL; GIVE_UP because of a hold */
	struct duration wait;      /* FAIL: nobody asks for so long, at the least; GIVE_UP */
	bool living;               /* FAIL: a token still lives */
	bool alone;                /* MINT: without the store */
	enum fleet_reason reason;  /* GIVE_UP */
	bool accepted; /* CHECKED: the API takes it; else the token is too new to be replaced */
	struct boot_time wake_at; /* decide again then, if nothing happens */
};

/* What became of an operation: an enum fleet_word, or one of these. */
enum fleet_result {
	FLEET_RESULT_EMPTY = FLEET_SAYS_ACCEPTED + 1, /* of READ: the store has no record */
	FLEET_RESULT_REFUSED,                         /* with an error, or it could not be asked */
	FLEET_RESULT_LOST,                            /* with the connection */
	FLEET_RESULTS,
};
#define FLEET_OPERATIONS (FLEET_ACCEPT + 1)

struct fleet_counters {
	uint64_t minted, minted_alone, adopted, put, restored, superseded, held, cooled_down;
	uint64_t store_clock_steps, broken, undated, stale;
	uint64_t missed; /* of the adopted ones, those whose message should have come and did not */
	uint64_t operations[FLEET_OPERATIONS][FLEET_RESULTS];
	/* From a token's put to its message: at the most, since the store's clock is known to lie
	 * between two readings of ours. */
	uint64_t pushed;
	struct duration push_delay; /* the sum of all */
};

/* What stands in the way, and since when by our own clock. */
struct fleet_obstacle {
	struct fleet_id id;
	struct boot_time since;
	bool outlived; /* it is to be broken */
};

enum fleet_check_state {
	FLEET_CHECK_NONE,
	FLEET_CHECK_WANTED,    /* the store is to say who asks the API */
	FLEET_CHECK_GRANTED,   /* this host is to */
	FLEET_CHECK_UNDER_WAY, /* it does */
	FLEET_CHECK_ENDED,     /* nobody need ask: what is known is to be told */
};

/* What this host's own question came to. */
enum fleet_found {
	FLEET_FOUND_NOTHING,
	FLEET_FOUND_ACCEPTED, /* the API takes the token */
	FLEET_FOUND_REJECTED, /* it counts as rejected: fleet_want of a report follows */
};

/* Whether the API takes the current token, which a caller reported. */
struct fleet_check {
	enum fleet_check_state state;
	bool leased;            /* GRANTED, UNDER_WAY: no other host asks meanwhile */
	bool accepted;          /* ENDED */
	bool want_accept;       /* the store is to be told that the API takes it */
	bool want_release;      /* no report follows: the lease is of no more use */
	uint64_t fence;         /* of the lease */
	struct boot_time since; /* when it was wanted */
	struct boot_time at;    /* the store is asked then */
	/* That the API takes it, by whichever host's word. */
	uint64_t verdict;            /* the fence of the latest that counted; 0: none did */
	unsigned in_a_row;           /* so many of others counted since the API was asked here */
	struct boot_time good_until; /* by our own clock */
	uint64_t doubted;            /* since it was wanted: the fence of one that does not
					count; 0: none */
};

/* A reading of the store's clock: it was so at some instant between these two. */
struct fleet_stamp {
	bool known;
	int64_t us;
	struct boot_time sent, received;
};

struct fleet {
	struct fleet_settings settings;
	struct random random;
	struct fleet_counters counters;
	struct fleet_token current;
	uint64_t seen;    /* the highest generation that was ever heard of */
	uint64_t lowest;  /* what is older is not taken: the highest that this host had, or the one
			     behind it once that was over */
	uint64_t refused; /* of the store, but of no use here */
	uint32_t rank;    /* this host's permit to mint alone; FLEET_NO_PERMIT: none */
	bool permit_lost; /* the store may have forgotten that it has one */

	bool up;
	struct boot_time since;   /* up, or down */
	struct fleet_stamp clock; /* the latest of any connection */
	struct fleet_stamp stamp; /* the latest of this one */
	struct duration step;     /* of the store's clock, the latest that was noticed */
	struct boot_time anchor;  /* what is pushed from now on was put after this */
	bool busy;                /* `operation` is under way */
	enum fleet_operation operation;
	bool for_check;            /* an ACQUIRE: for asking the API */
	struct boot_time asked_at; /* when it began */

	enum fleet_wish wish;
	struct boot_time wished_at;
	struct boot_time not_before;    /* of the next ACQUIRE */
	struct boot_time refused_since; /* the store answers what leads to a token with errors,
					   since then; BOOT_TIME_NEVER: it does not */
	struct boot_time refused_at;    /* the latest of these */
	struct fleet_obstacle lease, hold;
	bool minting, alone, want_mint;
	uint64_t fence;
	struct fleet_check check;
	struct duration lease_length; /* as it was asked for */
	struct boot_time renew_at;

	struct boot_time read_at; /* BOOT_TIME_NEVER: not wanted */
	struct boot_time poll_at;
	struct boot_time put_at; /* BOOT_TIME_NEVER: not wanted */
	bool unpublished;        /* the store never had the current one */
	bool want_fail, want_stop, want_give_up;
	enum response_class class; /* of the failure that is to be told */
	struct duration fail_wait;
	enum fleet_reason give_up;
	struct duration give_up_wait;
	struct boot_time foreign_since, foreign_until; /* long ago, or a record lives that
							  is not ours */
};

/* `seed` for the jitter only. It begins without a connection. */
void fleet_init(struct fleet *f, const struct fleet_settings *settings, uint64_t seed,
	struct boot_time now);
void fleet_configure(struct fleet *f, const struct fleet_settings *settings);

/* ---- what the previous run knew; before any other event ---- */

/* No generation below `seen`, an earlier fleet_lowest, is taken, and none up to it is made. `rank`:
 * FLEET_NO_PERMIT, or as fleet_permitted says. */
void fleet_restore(struct fleet *f, uint64_t seen, uint32_t rank);
/* It has a token already. */
void fleet_resume(struct fleet *f, const struct fleet_token *token);

/* ---- the connection ---- */

/* Connected, to a primary, and messages are heard: whatever is put from `now` on comes. */
void fleet_up(struct fleet *f, struct boot_time now);
/* It is gone, and the operation under way with it. */
void fleet_down(struct fleet *f, struct boot_time now);
/* A ping on the connection by which messages come was answered; it was sent at `sent`. */
void fleet_anchored(struct fleet *f, struct boot_time sent);
/* The operation under way was answered. `sight`: what opening its record told. */
enum fleet_taken fleet_answered(struct fleet *f, struct boot_time now,
	const struct fleet_answer *answer, const struct fleet_sight *sight);
/* Another token's record is being read, since that was due: true if this one's is soon, and is read
 * now. A host with many tokens wakes once for all. */
bool fleet_poll_along(struct fleet *f, struct boot_time now);
/* It was refused with an error, and the connection stays. */
void fleet_refused(struct fleet *f, struct boot_time now);
/* A message on the token's channel. */
enum fleet_taken fleet_pushed(struct fleet *f, struct boot_time now,
	const struct fleet_message *message, const struct fleet_sight *sight);
/* This host is the `rank`-th, from 0, of those that may mint alone. */
void fleet_permitted(struct fleet *f, uint32_t rank);
/* True, once: it has a permit that the store may have forgotten, and give to another host as well;
 * it is to be asked for again. */
bool fleet_permit_lost(struct fleet *f);

/* ---- the token source's side ---- */

/* A fetch began that the token source wants. It ends with FLEET_TAKEN_TOKEN, MINT or GIVE_UP. */
void fleet_want(struct fleet *f, struct boot_time now, enum fleet_wish wish);
/* What others were refused, or this host, was another credential's. */
void fleet_credential_changed(struct fleet *f, struct boot_time now);
/* The token request brought a token that lives until `end` (no margin taken off). False: it is
 * superseded already; the fleet has a newer one. */
bool fleet_minted(
	struct fleet *f, struct boot_time now, struct boot_time end, struct duration issued);
/* It did not. `retry_after`: zero, or what the server said. */
void fleet_mint_failed(struct fleet *f, struct boot_time now, enum response_class class,
	struct duration retry_after);
/* A caller says that the API refused the current token, and the API is to be asked, once for the
 * fleet. Ends with CHECK or CHECKED, or with FLEET_TAKEN_TOKEN or FLEET_TAKEN_REJECTED. */
void fleet_check(struct fleet *f, struct boot_time now);
/* What CHECK asked for ended. */
void fleet_checked(struct fleet *f, struct boot_time now, enum fleet_found found);
/* The current token ends at `end`, says what was learnt of the login server's clock. */
void fleet_ends(struct fleet *f, struct boot_time end);
/* An admin stops the token for the whole fleet; only where this host may mint. */
void fleet_stop(struct fleet *f, struct boot_time now);

/* ---- what there is ---- */

/* What the next run is to restore. */
uint64_t fleet_lowest(const struct fleet *f);
/* Does the current token live? */
bool fleet_alive(const struct fleet *f, struct boot_time now);

#endif
