#include "sealed_state.h"

#include "digest.h"
#include "gcm.h"
#include "secret.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAGIC "gctlogin"
#define VERSION 1
#define KEY_LABEL "gctokend state key"

#define VERSION_AT 8
#define CLIENT_AT 12
#define KEY_AT 28
#define LENGTH_AT 36
#define NONCE_AT 40
#define TEXT_AT 52

#define KEY_ID_LENGTH 8
#define CHECK_LENGTH 8
#define AROUND (TEXT_AT + GCM_TAG_LENGTH + CHECK_LENGTH)

static bool key_id(const unsigned char *key, unsigned char ret[KEY_ID_LENGTH])
{
	const void *parts[] = {KEY_LABEL, key};
	const size_t lengths[] = {sizeof(KEY_LABEL), SEALED_KEY_LENGTH};

	return digest_front(parts, lengths, 2, ret, KEY_ID_LENGTH);
}

static bool check_of(const unsigned char *bytes, size_t length, unsigned char ret[CHECK_LENGTH])
{
	const void *parts[] = {bytes};

	return digest_front(parts, &length, 1, ret, CHECK_LENGTH);
}

int sealed_client_init(
	struct sealed_client *ret, const char *token_url, const char *client_id, const char *grant)
{
	const void *parts[] = {token_url, client_id, grant};
	const size_t lengths[] = {strlen(token_url) + 1, strlen(client_id) + 1, strlen(grant) + 1};

	return digest_front(parts, lengths, 3, ret->digest, sizeof(ret->digest)) ? 0 : -ENOMEM;
}

int sealed_state_write(const unsigned char key[SEALED_KEY_LENGTH],
	const unsigned char nonce[SEALED_NONCE_LENGTH], const struct sealed_client *client,
	const char *text, size_t length, struct buffer *out)
{
	size_t size = AROUND + length;
	unsigned char *bytes;
	int r = -ENOMEM;

	if (length > SEALED_TEXT_MAX)
		return -EFBIG;
	bytes = secret_alloc(size);
	if (!bytes)
		return -ENOMEM;
	memset(bytes, 0, TEXT_AT);
	memcpy(bytes, MAGIC, VERSION_AT);
	bytes[VERSION_AT] = VERSION;
	memcpy(bytes + CLIENT_AT, client->digest, SEALED_CLIENT_LENGTH);
	for (size_t i = 0; i < 4; i++)
		bytes[LENGTH_AT + i] = (unsigned char)(length >> (24 - 8 * i));
	memcpy(bytes + NONCE_AT, nonce, SEALED_NONCE_LENGTH);
	if (key_id(key, bytes + KEY_AT) &&
		gcm_seal(key, nonce, bytes, NONCE_AT, text, length, bytes + TEXT_AT) &&
		check_of(bytes, size - CHECK_LENGTH, bytes + size - CHECK_LENGTH)) {
		buffer_put(out, (const char *)bytes, size);
		r = buffer_failed(out) ? -ENOMEM : 0;
	}
	secret_free(bytes, size);
	return r;
}

/* All that can be said without the text. *ret_length: the text's. */
static enum sealed_verdict look(const unsigned char *key, const struct sealed_client *client,
	const unsigned char *bytes, size_t length, size_t *ret_length)
{
	unsigned char check[CHECK_LENGTH], id[KEY_ID_LENGTH];
	size_t text = 0;

	if (length < VERSION_AT + 1 + CHECK_LENGTH || memcmp(bytes, MAGIC, VERSION_AT) != 0)
		return SEALED_DAMAGED;
	if (!check_of(bytes, length - CHECK_LENGTH, check) || !key_id(key, id))
		return SEALED_NO_MEMORY;
	if (memcmp(bytes + length - CHECK_LENGTH, check, CHECK_LENGTH) != 0)
		return SEALED_DAMAGED;
	if (bytes[VERSION_AT] > VERSION)
		return SEALED_NEWER;
	if (bytes[VERSION_AT] < VERSION || length < AROUND)
		return SEALED_DAMAGED;
	for (size_t i = 0; i < 4; i++)
		text = text << 8 | bytes[LENGTH_AT + i];
	if (text > SEALED_TEXT_MAX || text != length - AROUND)
		return SEALED_DAMAGED;
	if (memcmp(bytes + CLIENT_AT, client->digest, SEALED_CLIENT_LENGTH) != 0)
		return SEALED_FOREIGN;
	if (memcmp(bytes + KEY_AT, id, KEY_ID_LENGTH) != 0)
		return SEALED_OTHER_KEY;
	*ret_length = text;
	return SEALED_GOOD;
}

enum sealed_verdict sealed_state_read(const unsigned char key[SEALED_KEY_LENGTH],
	const struct sealed_client *client, const char *bytes, size_t length, char **ret_text,
	size_t *ret_length)
{
	const unsigned char *b = (const unsigned char *)bytes;
	size_t text_length = 0;
	enum sealed_verdict verdict = look(key, client, b, length, &text_length);
	char *text;

	if (verdict != SEALED_GOOD)
		return verdict;
	text = secret_alloc(text_length + 1);
	if (!text)
		return SEALED_NO_MEMORY;
	switch (gcm_open(key, b + NONCE_AT, b, NONCE_AT, b + TEXT_AT, text_length, text)) {
	case GCM_GOOD:
		break;
	case GCM_DAMAGED:
		secret_free(text, text_length + 1);
		return SEALED_DAMAGED;
	case GCM_NO_MEMORY:
		secret_free(text, text_length + 1);
		return SEALED_NO_MEMORY;
	}
	text[text_length] = '\0';
	*ret_text = text;
	*ret_length = text_length;
	return SEALED_GOOD;
}

const char *sealed_verdict_words(enum sealed_verdict verdict)
{
	switch (verdict) {
	case SEALED_GOOD:
		break;
	case SEALED_DAMAGED:
		return "is damaged";
	case SEALED_NEWER:
		return "was written by a newer version of gctokend";
	case SEALED_FOREIGN:
		return "belongs to another client";
	case SEALED_OTHER_KEY:
		return "is sealed with another key than the one there is now";
	case SEALED_NO_MEMORY:
		return "could not be read: out of memory";
	}
	return "is good";
}
