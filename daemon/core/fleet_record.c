#include "fleet_record.h"

#include "secret.h"

#include <errno.h>
#include <string.h>

#define MAGIC "gctfleet"
#define VERSION 1
#define FLAG_STOPPED 1

#define VERSION_AT 8
#define FLAGS_AT 9
#define ZERO_AT 10
#define SUBJECT_AT 12
#define KEY_AT 28
#define GENERATION_AT 36
#define ISSUED_AT 44
#define END_AT 52
#define NOT_BEFORE_AT 60
#define HOST_AT 68
#define LENGTH_AT 84
#define NONCE_AT 88
#define TEXT_AT 100

static void store(unsigned char *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)(value >> 8 * (size - 1 - i));
}

static uint64_t load(const unsigned char *from, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | from[i];
	return value;
}

static bool is_whole_ms(int64_t ns)
{
	return ns >= 0 && ns % NS_PER_MS == 0;
}

static bool is_sound(const struct fleet_record *r)
{
	return r->generation > 0 && r->generation <= FLEET_GENERATION_MAX && r->issued.ns > 0 &&
	       r->issued.ns <= FLEET_ISSUED_MAX_S * NS_PER_S && is_whole_ms(r->issued.ns) &&
	       is_whole_ms(r->end.ns) && is_whole_ms(r->not_before.ns) &&
	       r->not_before.ns <= r->issued.ns && r->stopped == !r->token.text;
}

void fleet_record_fini(struct fleet_record *r)
{
	token_fini(&r->token);
}

int fleet_record_seal(const struct fleet_record *r, const struct fleet_key *key,
	const struct fleet_subject *subject, const unsigned char nonce[GCM_NONCE_LENGTH],
	struct buffer *out)
{
	size_t length = r->token.text ? r->token.length : 0;
	unsigned char bytes[FLEET_SEALED_MAX];

	if (!is_sound(r))
		return -EINVAL;
	memset(bytes, 0, TEXT_AT);
	memcpy(bytes, MAGIC, VERSION_AT);
	bytes[VERSION_AT] = VERSION;
	bytes[FLAGS_AT] = r->stopped ? FLAG_STOPPED : 0;
	memcpy(bytes + SUBJECT_AT, subject->digest, FLEET_DIGEST_LENGTH);
	memcpy(bytes + KEY_AT, key->id, FLEET_KEY_ID_LENGTH);
	store(bytes + GENERATION_AT, r->generation, 8);
	store(bytes + ISSUED_AT, (uint64_t)(r->issued.ns / NS_PER_MS), 8);
	store(bytes + END_AT, (uint64_t)(r->end.ns / NS_PER_MS), 8);
	store(bytes + NOT_BEFORE_AT, (uint64_t)(r->not_before.ns / NS_PER_MS), 8);
	memcpy(bytes + HOST_AT, r->host, FLEET_HOST_LENGTH);
	store(bytes + LENGTH_AT, length, 4);
	memcpy(bytes + NONCE_AT, nonce, GCM_NONCE_LENGTH);
	if (!gcm_seal(key->sealing, nonce, bytes, NONCE_AT, length ? r->token.text : "", length,
		    bytes + TEXT_AT))
		return -ENOMEM;
	buffer_put(out, (const char *)bytes, TEXT_AT + length + GCM_TAG_LENGTH);
	return buffer_failed(out) ? -ENOMEM : 0;
}

/* The key that it names; NULL: none of these. */
static const struct fleet_key *find_key(
	const struct fleet_key *keys, size_t count, const unsigned char *id)
{
	for (size_t i = 0; i < count; i++)
		if (!memcmp(keys[i].id, id, FLEET_KEY_ID_LENGTH))
			return &keys[i];
	return NULL;
}

/* ms to ns; false: no record of ours says so. */
static bool load_ms(const unsigned char *from, int64_t *ret_ns)
{
	uint64_t ms = load(from, 8);

	if (ms > INT64_MAX / NS_PER_MS)
		return false;
	*ret_ns = (int64_t)ms * NS_PER_MS;
	return true;
}

/* All that can be said without the token. *ret_length: the token's. */
static enum sealed_verdict look(const struct fleet_key *keys, size_t key_count,
	const struct fleet_subject *subject, const unsigned char *bytes, size_t length,
	const struct fleet_key **ret_key, size_t *ret_length)
{
	uint64_t text;

	if (length < VERSION_AT + 1 || memcmp(bytes, MAGIC, VERSION_AT) != 0 || !bytes[VERSION_AT])
		return SEALED_DAMAGED;
	if (bytes[VERSION_AT] > VERSION)
		return SEALED_NEWER;
	if (length < TEXT_AT + GCM_TAG_LENGTH)
		return SEALED_DAMAGED;
	if ((bytes[FLAGS_AT] & ~FLAG_STOPPED) || load(bytes + ZERO_AT, 2))
		return SEALED_NEWER;
	text = load(bytes + LENGTH_AT, 4);
	if (text > TOKEN_MAX || text != length - TEXT_AT - GCM_TAG_LENGTH)
		return SEALED_DAMAGED;
	if (memcmp(bytes + SUBJECT_AT, subject->digest, FLEET_DIGEST_LENGTH) != 0)
		return SEALED_FOREIGN;
	*ret_key = find_key(keys, key_count, bytes + KEY_AT);
	if (!*ret_key)
		return SEALED_OTHER_KEY;
	*ret_length = text;
	return SEALED_GOOD;
}

static enum sealed_verdict take_token(
	const struct fleet_key *key, const unsigned char *bytes, size_t length, struct token *ret)
{
	char *text = secret_alloc(length + 1);
	enum sealed_verdict verdict = SEALED_DAMAGED;
	int r;

	if (!text)
		return SEALED_NO_MEMORY;
	switch (gcm_open(
		key->sealing, bytes + NONCE_AT, bytes, NONCE_AT, bytes + TEXT_AT, length, text)) {
	case GCM_GOOD:
		r = length ? token_init(ret, text, length) : 0;
		verdict = r == -ENOMEM ? SEALED_NO_MEMORY : r ? SEALED_DAMAGED : SEALED_GOOD;
		break;
	case GCM_DAMAGED:
		break;
	case GCM_NO_MEMORY:
		verdict = SEALED_NO_MEMORY;
		break;
	}
	secret_free(text, length + 1);
	return verdict;
}

enum sealed_verdict fleet_record_open(const struct fleet_key *keys, size_t key_count,
	const struct fleet_subject *subject, uint64_t generation, const char *bytes, size_t length,
	struct fleet_record *ret)
{
	const unsigned char *b = (const unsigned char *)bytes;
	struct fleet_record r = FLEET_RECORD_NONE;
	const struct fleet_key *key;
	size_t text_length;
	enum sealed_verdict verdict = look(keys, key_count, subject, b, length, &key, &text_length);

	if (verdict != SEALED_GOOD)
		return verdict;
	verdict = take_token(key, b, text_length, &r.token);
	if (verdict != SEALED_GOOD)
		return verdict;
	r.generation = load(b + GENERATION_AT, 8);
	r.stopped = b[FLAGS_AT] & FLAG_STOPPED;
	memcpy(r.host, b + HOST_AT, FLEET_HOST_LENGTH);
	if (!load_ms(b + ISSUED_AT, &r.issued.ns) || !load_ms(b + END_AT, &r.end.ns) ||
		!load_ms(b + NOT_BEFORE_AT, &r.not_before.ns) || !is_sound(&r) ||
		r.generation != generation) {
		fleet_record_fini(&r);
		return SEALED_DAMAGED;
	}
	*ret = r;
	return SEALED_GOOD;
}
