/* Reads what the run before wrote; the format is described in handover.h. */
#ifndef GCTOKEND_CORE_HANDOVER_READ_H
#define GCTOKEND_CORE_HANDOVER_READ_H

#include "handover.h"
#include "handover_fleet.h"
#include "server_clock.h"
#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token_source_past;

enum handover_verdict {
	HANDOVER_GOOD = 0,
	HANDOVER_EMPTY,   /* never written, or wiped */
	HANDOVER_DAMAGED, /* or cut short by a crash */
	HANDOVER_NEWER,   /* of a major version this one does not know */
	HANDOVER_FOREIGN, /* of another boot or time namespace, or from the future */
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
/* 0; -EINVAL: it is no such record, or what it says cannot be; so for the next one. */
int handover_read_fleet(const struct handover_reader *r, const struct handover_record *record,
	struct handover_fleet *ret);
int handover_read_endpoint(const struct handover_reader *r, const struct handover_record *record,
	struct handover_endpoint *ret);

#endif
