/* Requests that came before, byte for byte, and what was made of them: programs ask in the same
 * words each time, and to read those again costs more than all else that is done for a request.
 *
 * What is remembered follows from the bytes alone, so nothing outdates it: who may do what, and
 * what a profile is just now, is found out for each request. Each user has memories of its own:
 * nobody can tell from the time a reply takes what others ask for. A request takes the
 * place of another when it comes for the second time. It is remembered only if its header has
 * nothing but fields that hold no secret and whoever handled it kept what was asked for in its note
 * (see api.h). */
#ifndef GCTOKEND_CORE_REQUEST_MEMO_H
#define GCTOKEND_CORE_REQUEST_MEMO_H

#include "api.h"
#include "http_request.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* For a thousand profiles, and for callers of several kinds. */
#define REQUEST_MEMO_SETS 512
#define REQUEST_MEMO_WAYS 4
#define REQUEST_MEMO_LONGEST 384 /* longer ones are not remembered */

struct request_memory {
	uid_t who;
	uint16_t length; /* 0: none */
	struct http_request request;
	struct api_note note;
	char bytes[REQUEST_MEMO_LONGEST];
};

/* All zero is empty; nothing in it has to be freed, and pages that were never used cost nothing. */
struct request_memo {
	struct request_memory *latest; /* may be NULL */
	struct {
		uint32_t seen[REQUEST_MEMO_WAYS]; /* what came and was not remembered, by hashes */
		uint8_t seen_next;
		uint8_t next; /* the one that is replaced: not the one used last */
		/* By their hashes, so that only the one it may be is looked at. */
		uint32_t hashes[REQUEST_MEMO_WAYS];
		struct request_memory ways[REQUEST_MEMO_WAYS];
	} sets[REQUEST_MEMO_SETS];
};

/* The request at the front of `bytes`, just as http_parser_run would give it, if `who` has sent it
 * before; its spans point into the memo. NULL: not known. It holds until request_memo_add. */
const struct http_request *request_memo_find(
	struct request_memo *m, uid_t who, const char *bytes, size_t length);
/* `request` was parsed from the front of `bytes`. Returns it as it is remembered now, with an empty
 * note; NULL if it is not, or not yet. */
struct request_memory *request_memo_add(
	struct request_memo *m, uid_t who, const char *bytes, const struct http_request *request);
/* Forgets it, and wipes it. */
void request_memo_drop(struct request_memo *m, struct request_memory *known);

#endif
