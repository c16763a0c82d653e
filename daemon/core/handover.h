/* What one run of the daemon hands to the next, in memory that the service manager keeps: the
 * tokens with all that is known of their life, and what was learnt of the login servers' clocks.
 * Losing it is harmless, tokens are fetched again; so whoever reads it reads strictly or not at
 * all.
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

#include <stdint.h>

#define HANDOVER_MAJOR 1
#define HANDOVER_MINOR 1
#define HANDOVER_HEAD 64
#define HANDOVER_TEXT_MAX 64

/* Tags of records. */
enum handover_kind {
	HANDOVER_SOURCE = 2,
	HANDOVER_ENDPOINT = 3,
	HANDOVER_FLEET = 4, /* since minor 1: what a fleet knows of a profile's token */
};

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

#endif
