/* What one run of the daemon hands to the next, in memory that the service manager keeps: the
 * tokens with all that is known of their life, and what was learnt of the login servers' clocks.
 * Losing it is harmless, tokens are fetched anew; so whoever reads it reads strictly or not at all.
 *
 * There are two places, written in turn: a copy is whole before the one before it is wiped, so that
 * a crash at any instant leaves one that holds. A copy:
 *
 *   0   SHA-256 of all that follows
 *   32  "gctokhnd", major and minor (16 bits each), 4 zero bytes, sequence, length of the records
 *   64  records: tag (4 bytes), length (4), that many bytes
 *
 * Numbers are little-endian; in a record each takes 8 bytes, a text its length and its bytes. The
 * first record says where and when it was written; a clock of another boot or time namespace tells
 * nothing. A later version may add fields at a record's end and whole records, which an older one
 * skips, and raises `minor`; whatever else changes raises `major`. */
#ifndef GCTOKEND_CORE_HANDOVER_H
#define GCTOKEND_CORE_HANDOVER_H

#include "server_clock.h"
#include "times.h"
#include "token_past.h"
#include "token_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOVER_MAJOR 1
#define HANDOVER_MINOR 0
#define HANDOVER_HEAD 64
#define HANDOVER_TEXT_MAX 64

/* Where instants mean the same. */
struct handover_place {
	char boot_id[40];
	uint64_t time_namespace; /* its inode */
};

/* Whose token it is: the client (token URL, id, grant) and what it asks for, as digests. */
struct handover_profile {
	char name[HANDOVER_TEXT_MAX];
	char client[HANDOVER_TEXT_MAX];
	char request[HANDOVER_TEXT_MAX];
};

/* ---- writing ---- */

struct handover_writer {
	unsigned char *start, *at, *end;
	bool full;
};

/* `size` bytes at `to` are the place; what is there before is void at once. */
void handover_begin(struct handover_writer *w, void *to, size_t size,
	const struct handover_place *here, const struct clock_reading *now);
/* False: there is no room for it, and it is left out. */
bool handover_put_source(struct handover_writer *w, const struct handover_profile *profile,
	const struct token_source *source);
/* `key`: a digest of the settings by which an endpoint is told. */
bool handover_put_endpoint(
	struct handover_writer *w, const char *key, const struct server_clock *clock);
/* Makes it hold. `sequence` is higher than the other place's. False: hashing failed, it does not.
 */
bool handover_end(struct handover_writer *w, uint64_t sequence);
/* The hash over what stands there, for tests too. */
bool handover_seal(void *place, uint64_t records_length);

/* ---- reading ---- */

enum handover_verdict {
	HANDOVER_GOOD = 0,
	HANDOVER_EMPTY,   /* never written, or wiped */
	HANDOVER_DAMAGED, /* or cut short by a crash */
	HANDOVER_NEWER,   /* of a major version this one does not know */
	HANDOVER_FOREIGN, /* of another boot or time namespace, or from the future */
};

enum handover_kind {
	HANDOVER_SOURCE = 2,
	HANDOVER_ENDPOINT = 3,
};

struct handover_reader {
	const unsigned char *at, *end;
	uint64_t sequence;
	struct boot_time written_at, read_at;
};

/* One record; points into the place. */
struct handover_record {
	uint32_t kind;
	const unsigned char *at, *end;
};

struct handover_endpoint {
	char key[HANDOVER_TEXT_MAX];
	struct server_clock_past clock;
};

enum handover_verdict handover_open(const void *place, size_t size,
	const struct handover_place *here, struct boot_time now, struct handover_reader *ret);
const char *handover_verdict_words(enum handover_verdict verdict);
/* The next record of a kind that is known; copy the reader to read from its start again. */
bool handover_next(struct handover_reader *r, struct handover_record *ret);
/* Whose it is. False: not such a record. */
bool handover_read_profile(const struct handover_record *record, struct handover_profile *ret);
/* The whole; its tokens are the caller's. 0; -EINVAL: what it says cannot be; -ENOMEM. */
int handover_read_source(const struct handover_reader *r, const struct handover_record *record,
	struct token_source_past *ret);
/* 0 or -EINVAL. */
int handover_read_endpoint(const struct handover_reader *r, const struct handover_record *record,
	struct handover_endpoint *ret);

#endif
