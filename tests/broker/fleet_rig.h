/* The rig's broker in a fleet. What store/store.h declares is played here as well, so that the
 * daemon's own is never linked: an operation stands until the test says how it ends, and whether
 * the store is reached, what it says unasked, and what other hosts sealed is the test's. */
#ifndef GCTOKEND_TESTS_BROKER_FLEET_RIG_H
#define GCTOKEND_TESTS_BROKER_FLEET_RIG_H

#include "broker_fixture.h"

#include "core/fleet_record.h"
#include "core/fleet_reply.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIFE_S 3600 /* as rig_answer_token has it */

struct store {
	struct store_settings settings; /* its texts are copies: these */
	char *texts[8];
	size_t text_count;
	const struct store_hooks *hooks;
	void *context;
	unsigned tokens;
	int64_t hosts;
};

struct store_token {
	struct store *store;
	void *context;
	struct fleet_subject subject;
	bool busy;
	enum fleet_operation operation;
	struct boot_time sent;
	/* What it was begun with, whatever of it that operation has. The texts are copies. */
	struct store_acquire acquire;
	struct fleet_id break_lease, break_hold;
	struct store_put put;
	struct store_fail fail;
	struct store_stop stop;
	struct store_accept accept;
	char proof[FLEET_PROOF_DIGITS + 1];
	uint64_t fence;
	struct duration lease;
	char tag[FLEET_TAG_DIGITS + 1];
	char sealed[FLEET_SEALED_MAX];
	/* Beside it. */
	unsigned permits;
	uint32_t permit_most;
	struct duration permit_keep;
};

/* A record of the store, with its bytes. */
struct sealed {
	struct fleet_stored stored;
	char bytes[FLEET_SEALED_MAX];
};

/* A fleet's key, of hex digits in a file: there are three. */
const char *fleet_key_path(unsigned number);
const unsigned char *fleet_key_bytes(unsigned number);

/* `broker`: keys of [broker], in which a store and the first of the keys need not be named;
 * `profiles`: as rig_new. The store is not reached yet. */
struct rig *fleet_rig_new(const char *broker, const char *profiles);
/* Another configuration, in the fleet as well; rig_reload takes it over. */
void fleet_rig_configure(struct rig *r, const char *broker, const char *profiles);
/* Looks that no store is left. */
void fleet_rig_free(struct rig *r);
extern unsigned stores_opened;    /* ever */
extern int store_error;           /* while not 0, how every operation fails at once */
extern const char *store_problem; /* while not NULL, why none can be opened */

/* ---- the connection; all turn the loop ---- */

void store_connects(struct rig *r);
/* `was_up`: as store_hooks has it. */
void store_goes(struct rig *r, bool was_up, const char *why);
void store_pings(struct rig *r);

/* A rig whose store is reached, and has nothing. */
struct rig *fleet_rig_connected(const char *broker, const char *profiles);
/* ... or another host's token: "token-7", the fleet's 7th, which profile "a" serves. */
struct rig *fleet_rig_with(struct sealed *ret, const char *broker, const char *profiles);

/* ---- its operations ---- */

/* The token of a profile at the store; it is in the fleet. */
struct store_token *shared(struct rig *r, const char *profile);
/* Turns the loop. Of profile "a", what is under way there: it has to be that. */
struct store_token *asked(struct rig *r, enum fleet_operation operation);
bool is_asked(struct rig *r, enum fleet_operation operation);
/* What the store's clock says. */
int64_t store_now_us(const struct rig *r);
struct fleet_answer says(const struct rig *r, enum fleet_word word);
/* The operation of "a" ends so; turns the loop. */
void answers(struct rig *r, const struct fleet_answer *a);
/* Reads find that (NULL: nothing) until something else is asked, or nothing is. */
void answer_reads(struct rig *r, const struct sealed *found);
/* ACQUIRE, which is under way, is granted. */
void grants(struct rig *r, uint64_t fence);
/* With an error. */
void refuses(struct rig *r, const char *problem);
/* Time passes, a second at a time; reads find that. */
void pass_reading(struct rig *r, int64_t seconds, const struct sealed *found);

/* ---- what others put there ---- */

/* Another host's, sealed with that key; it ends in LIFE_S by the login server's clock. `text` NULL:
 * an admin's stop. */
void seal(struct rig *r, struct sealed *ret, uint64_t generation, const char *text, unsigned key);
/* The same, not to be used before so long after it was put. */
void seal_later(struct rig *r, struct sealed *ret, uint64_t generation, const char *text,
	unsigned key, struct duration not_before);
/* A message brings it, or a failure. */
void message(struct rig *r, const struct sealed *s);
void message_failure(struct rig *r, enum response_class class, struct duration hold);
/* READ, which is under way, finds it; "a"'s, or that profile's. */
void found(struct rig *r, const struct sealed *s);
void found_by(struct rig *r, const char *profile, const struct sealed *s);

/* ---- stories ---- */

/* How many events of a profile have these words. */
unsigned told(struct rig *r, const char *profile, const char *words);

#endif
