/* What the store of a fleet answered, read strictly: an answer is one of those that an operation
 * can have, in every element, or it is none. Pure: the edge parses bytes into a tree of elements,
 * and what is read here points into it.
 *
 * Every script answers with an array of texts: a word, what the store's clock said in microseconds,
 * and for some words more. `record` stands for: generation, t0, left, issued, sealed, rejected.
 *
 *   newer     record                what the store has is newer than what is known here
 *   cooldown  ms                    a reported token was replaced a short while ago
 *   hold      ms class id whole     another host's request failed; nobody is to ask for so long
 *   held      ms host id whole      another host asks, or is about to
 *   limit     ms                    the fleet's mint_limit is used up
 *   granted   fence                 this host is to ask; of STOP: come again with this generation
 *   kept, late                      the lease is, or is not, this host's
 *   put, same, dead, stale          the record is there; it was; the token is over; another try
 *   failed                          the lease was given back
 *   accepted  verdict               another host asked the API, which takes the reported token
 *
 * `ms`: how long from now, by the store; `whole`: how long it lasts in all; `id`: tells it from
 * every other lease or hold, a renewed lease too. Times to live may be negative, as PTTL is. */
#ifndef GCTOKEND_CORE_FLEET_REPLY_H
#define GCTOKEND_CORE_FLEET_REPLY_H

#include "fleet_key.h"
#include "times.h"
#include "token_response.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what the edge parses ---- */

/* No answer has more elements in one array, or bytes in one text. */
#define FLEET_ELEMENTS_MAX 8
#define FLEET_TEXT_MAX 8448

enum fleet_element_type {
	FLEET_ELEMENT_NIL,
	FLEET_ELEMENT_INTEGER,
	FLEET_ELEMENT_TEXT, /* a bulk string, or a simple one */
	FLEET_ELEMENT_ERROR,
	FLEET_ELEMENT_ARRAY,
};

struct fleet_element {
	enum fleet_element_type type;
	int64_t integer;
	const char *bytes; /* a text's or an error's; no NUL behind them */
	size_t length;
	const struct fleet_element *items; /* an array's */
	size_t count;
};

/* ---- what it says ---- */

/* What stands in the store beside the sealed bytes, and those. */
struct fleet_stored {
	uint64_t generation; /* 0: the store has none, and nothing else counts */
	int64_t t0_us;       /* what the store's clock said when it was put */
	int64_t left_us;     /* how much of its life was left then */
	int64_t issued_us;
	bool rejected;
	const char *sealed; /* lent */
	size_t sealed_length;
};

#define FLEET_ID_MAX 39

/* That the API takes a token: "FENCE AT PROOF", beside the record. */
struct fleet_verdict {
	uint64_t fence; /* of the lease under which it was asked; 0: there is no verdict */
	int64_t at_us;  /* what the store's clock said when it was told */
	char proof[FLEET_PROOF_DIGITS + 1]; /* fleet_key_proof, of whoever asked */
};

/* What tells one lease or hold from another: an opaque text. */
struct fleet_id {
	char text[FLEET_ID_MAX + 1]; /* "": none */
};

enum fleet_word {
	FLEET_SAYS_RECORD, /* of READ alone: what the store has, if anything */
	FLEET_SAYS_NEWER,
	FLEET_SAYS_COOLDOWN,
	FLEET_SAYS_HOLD,
	FLEET_SAYS_HELD,
	FLEET_SAYS_LIMIT,
	FLEET_SAYS_GRANTED,
	FLEET_SAYS_KEPT,
	FLEET_SAYS_LATE,
	FLEET_SAYS_PUT,
	FLEET_SAYS_SAME,
	FLEET_SAYS_DEAD,
	FLEET_SAYS_STALE,
	FLEET_SAYS_FAILED,
	FLEET_SAYS_ACCEPTED,
};

/* What operations there are at the store. */
enum fleet_operation {
	FLEET_READ,
	FLEET_ACQUIRE,
	FLEET_RENEW,
	FLEET_PUT,
	FLEET_FAIL,
	FLEET_STOP,
	FLEET_ACCEPT,
};

struct fleet_answer {
	enum fleet_word word;
	int64_t stamp_us;             /* what the store's clock said */
	struct fleet_stored record;   /* RECORD, NEWER */
	struct fleet_verdict verdict; /* RECORD, ACCEPTED */
	struct duration wait;         /* COOLDOWN, HOLD, HELD, LIMIT; never negative */
	struct duration whole;        /* HOLD, HELD; above 0 */
	struct fleet_id id;           /* HOLD, HELD */
	enum response_class class;    /* HOLD: THROTTLED, CLIENT_REJECTED, UNAVAILABLE */
	char host[FLEET_ID_MAX + 1];  /* HELD: whose lease it is */
	uint64_t fence;               /* GRANTED */
};

/* All of these: 0; -EPROTO: no answer that there can be; *ret is untouched. */

/* READ: HMGET of gen, t0, left, issued, sealed, rejected and accepted, and the TIME that was asked
 * for behind it. */
int fleet_reply_read(const struct fleet_element *fields, const struct fleet_element *time,
	struct fleet_answer *ret);
/* What the script of any other operation answered. */
int fleet_reply_script(enum fleet_operation operation, const struct fleet_element *element,
	struct fleet_answer *ret);

/* What the script answered that permits to mint without the store: "permit" and this host's rank
 * among those that may, or "none". */
int fleet_reply_permit(const struct fleet_element *element, bool *ret_granted, uint32_t *ret_rank);

/* A message on the token's channel: "T gen t0 left issued SEALED", or "F ms class". */
struct fleet_message {
	bool failure;
	struct fleet_stored record; /* where it is none */
	struct duration hold;
	enum response_class class;
};

int fleet_reply_message(const char *bytes, size_t length, struct fleet_message *ret);

/* The word by which a class stands in the store; NULL: such a failure is not the fleet's. */
const char *fleet_class_word(enum response_class class);

#endif
