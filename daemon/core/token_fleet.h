/* The token source's side of a fleet: a fetch may end with a token that another host requested, or
 * with the failure that another host met, and a token may come although nobody asked. The source
 * knows nothing of a store; core/fleet decides, and whoever carries that out says it here. */
#ifndef GCTOKEND_CORE_TOKEN_FLEET_H
#define GCTOKEND_CORE_TOKEN_FLEET_H

#include "lifetime.h"
#include "times.h"
#include "token.h"
#include "token_source.h"

#include <stdbool.h>
#include <stdint.h>

struct token_adoption {
	const struct lifetime *life;
	uint64_t generation;       /* greater than any before on this host */
	uint64_t fleet_generation; /* by which all hosts know it */
	bool ends_fetch;           /* no token request of this host's is under way */
};

/* A token of the fleet takes the place of the current one, and is taken out of `token`. False: an
 * admin has revoked, or it is the current one already; it stays in `token`. */
bool token_source_adopt(struct token_source *s, const struct clock_reading *now,
	struct token *token, const struct token_adoption *a);
/* An admin had stopped it for the whole fleet, and one has it started again on another host. */
void token_source_start_again(struct token_source *s);
/* The login server's clock is asked for: an end by it is known of a token that came without an
 * exchange with that server. */
void token_source_ask_clock(struct token_source *s);
/* The current token is the fleet's of that number: whoever minted it says so once the fleet agrees.
 */
void token_source_share(struct token_source *s, uint64_t fleet_generation);
/* The token of that number ends, margins apart, at `end` at the latest. */
void token_source_end_earlier(
	struct token_source *s, uint64_t fleet_generation, struct boot_time end);
/* A caller of another host rejected it: it is to be replaced. */
void token_source_rejected_elsewhere(
	struct token_source *s, const struct clock_reading *now, uint64_t fleet_generation);

/* Why a fetch ends without a token, as the fleet says. */
struct token_refusal {
	enum response_class class;
	const char *words;
	struct duration wait; /* no fetch for so long */
	bool accepted;        /* what callers rejected was replaced only just, and stays */
};

/* The fetch under way, of which no token request was sent, ends so. */
void token_source_give_up(struct token_source *s, const struct clock_reading *now,
	const struct token_refusal *refusal);
/* Its token request was answered with a token, but the fleet has a newer one, which was adopted
 * meanwhile. */
void token_source_superseded(struct token_source *s, const struct clock_reading *now);
/* Its token request is sent now, and not when it began: that counts for mint_limit. */
void token_source_posts(struct token_source *s, const struct clock_reading *now);

#endif
