#include "request_memo.h"

#include "secret.h"
#include <string.h>

/* Which set a request goes to, and which one was seen: whoever makes requests that collide takes
 * the places of their own, and what is found is always compared. */
static uint32_t hash_of(uid_t who, const char *bytes, size_t length)
{
	const uint64_t factor = 0x9e3779b97f4a7c15U;
	uint64_t hash = (who ^ (uint64_t)length << 32) * factor, word;

	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = (hash ^ word) * factor;
		hash ^= hash >> 29;
	}
	word = 0;
	memcpy(&word, bytes, length);
	hash = (hash ^ word) * factor;
	return (uint32_t)(hash >> 32);
}

static bool is_it(const struct request_memory *known, uid_t who, const char *bytes, size_t length)
{
	return known->length && known->who == who && known->length <= length &&
	       !memcmp(known->bytes, bytes, known->length);
}

const struct http_request *request_memo_find(
	struct request_memo *m, uid_t who, const char *bytes, size_t length)
{
	uint32_t hash;
	size_t set, way;

	/* without its hash, which takes longer; and so where others follow it in one piece */
	if (m->latest && is_it(m->latest, who, bytes, length))
		return &m->latest->request;
	if (length > REQUEST_MEMO_LONGEST)
		return NULL;
	hash = hash_of(who, bytes, length);
	set = hash % REQUEST_MEMO_SETS;
	for (way = 0; way < REQUEST_MEMO_WAYS; way++) {
		struct request_memory *known = &m->sets[set].ways[way];

		if (m->sets[set].hashes[way] != hash || known->length != length ||
			!is_it(known, who, bytes, length))
			continue;
		m->sets[set].next = (uint8_t)((way + 1) % REQUEST_MEMO_WAYS);
		m->latest = known;
		return &known->request;
	}
	return NULL;
}

void request_memo_drop(struct request_memo *m, struct request_memory *known)
{
	if (m->latest == known)
		m->latest = NULL;
	secret_wipe(known, sizeof(*known));
}

/* The same bytes, in memory that stays. */
static struct http_span span_in(
	const struct request_memory *known, const char *bytes, struct http_span span)
{
	return (struct http_span){known->bytes + (span.at - bytes), span.length};
}

/* A way for one that came with `hash`; -1: none yet. */
static int way_for(struct request_memo *m, size_t set, uint32_t hash)
{
	uint32_t *seen = m->sets[set].seen;
	int way;

	for (way = 0; way < REQUEST_MEMO_WAYS; way++)
		if (!m->sets[set].ways[way].length)
			return way;
	for (way = 0; way < REQUEST_MEMO_WAYS; way++)
		if (seen[way] == hash)
			return m->sets[set].next;
	seen[m->sets[set].seen_next++ % REQUEST_MEMO_WAYS] = hash;
	return -1;
}

struct request_memory *request_memo_add(
	struct request_memo *m, uid_t who, const char *bytes, const struct http_request *request)
{
	struct request_memory *known;
	uint32_t hash;
	size_t set;
	int way;

	if (!request->plain || request->length > REQUEST_MEMO_LONGEST)
		return NULL;
	hash = hash_of(who, bytes, request->length);
	set = hash % REQUEST_MEMO_SETS;
	way = way_for(m, set, hash);
	if (way < 0)
		return NULL;
	known = &m->sets[set].ways[way];
	m->sets[set].hashes[way] = hash;
	m->sets[set].next = (uint8_t)((way + 1) % REQUEST_MEMO_WAYS);
	request_memo_drop(m, known);
	known->who = who;
	known->length = (uint16_t)request->length;
	memcpy(known->bytes, bytes, request->length);
	known->request = *request;
	known->request.path = span_in(known, bytes, request->path);
	known->request.query = span_in(known, bytes, request->query);
	known->request.note = &known->note;
	return known;
}
