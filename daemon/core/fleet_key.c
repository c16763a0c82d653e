#include "fleet_key.h"

#include "digest.h"
#include "secret.h"
#include "text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define ID_LABEL "gctokend fleet key"
#define PROOF_LABEL "gctokend fleet verdict"
#define DERIVATION_LABEL "gctfleet"
#define LABEL_LENGTH 8
#define HMAC_LENGTH 32

static bool hmac(const void *key, size_t key_length, const void *data, size_t length,
	unsigned char ret[HMAC_LENGTH])
{
	size_t written;

	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_length, data, length, ret,
		       HMAC_LENGTH, &written) != NULL;
}

/* digest_hex writes zeros where it fails. */
static bool hashed(const char *hex)
{
	return hex[strspn(hex, "0")] != '\0';
}

int fleet_subject_init(struct fleet_subject *ret, const char *token_url, const char *client_id,
	const char *grant, const char *scope, const char *extra_params)
{
	const char *parts[] = {
		token_url, client_id, grant, scope ? scope : "", extra_params ? extra_params : ""};
	char whole[2 * FLEET_DIGEST_LENGTH + 1];
	struct fleet_subject s = {0};

	digest_hex(parts, 3, s.client, FLEET_CLIENT_DIGITS);
	digest_hex(parts + 3, 2, s.request, FLEET_REQUEST_DIGITS);
	digest_hex(parts, 5, whole, 2 * FLEET_DIGEST_LENGTH);
	if (!hashed(s.client) || !hashed(s.request) || !hashed(whole) ||
		!hex_read(s.client, FLEET_DIGEST_LENGTH, s.client_digest) ||
		!hex_read(whole, FLEET_DIGEST_LENGTH, s.digest))
		return -ENOMEM;
	*ret = s;
	return 0;
}

/* RFC 5869; 32 bytes are one round of its second step. */
static bool derive(const unsigned char *fleet_key, const struct fleet_subject *subject,
	unsigned char ret[GCM_KEY_LENGTH])
{
	static const unsigned char no_salt[HMAC_LENGTH];
	unsigned char info[LABEL_LENGTH + FLEET_DIGEST_LENGTH + 1];
	unsigned char extracted[HMAC_LENGTH];
	bool ok;

	memcpy(info, DERIVATION_LABEL, LABEL_LENGTH);
	memcpy(info + LABEL_LENGTH, subject->client_digest, FLEET_DIGEST_LENGTH);
	info[sizeof(info) - 1] = 1;
	ok = hmac(no_salt, sizeof(no_salt), fleet_key, FLEET_KEY_LENGTH, extracted) &&
	     hmac(extracted, sizeof(extracted), info, sizeof(info), ret);
	secret_wipe(extracted, sizeof(extracted));
	return ok;
}

int fleet_key_init(struct fleet_key *ret, const unsigned char fleet_key[FLEET_KEY_LENGTH],
	const struct fleet_subject *subject)
{
	const void *parts[] = {ID_LABEL, fleet_key};
	const size_t lengths[] = {sizeof(ID_LABEL), FLEET_KEY_LENGTH};
	struct fleet_key key = {0};
	bool ok = digest_front(parts, lengths, 2, key.id, sizeof(key.id)) &&
		  derive(fleet_key, subject, key.sealing);

	if (ok)
		*ret = key;
	secret_wipe(&key, sizeof(key));
	return ok ? 0 : -ENOMEM;
}

int fleet_key_tag(const unsigned char fleet_key[FLEET_KEY_LENGTH], const char *client_id,
	const char *client_secret, char ret_tag[FLEET_TAG_DIGITS + 1])
{
	size_t id = strlen(client_id) + 1, secret = strlen(client_secret) + 1;
	unsigned char tag[HMAC_LENGTH];
	char *both = secret_alloc(id + secret);
	bool ok;

	if (!both)
		return -ENOMEM;
	memcpy(both, client_id, id);
	memcpy(both + id, client_secret, secret);
	ok = hmac(fleet_key, FLEET_KEY_LENGTH, both, id + secret, tag);
	secret_free(both, id + secret);
	if (!ok)
		return -ENOMEM;
	hex_write(tag, FLEET_TAG_DIGITS / 2, ret_tag);
	return 0;
}

static void store_number(unsigned char *at, uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		at[i] = (unsigned char)value;
}

int fleet_key_proof(const unsigned char fleet_key[FLEET_KEY_LENGTH],
	const struct fleet_subject *subject, uint64_t generation, uint64_t fence,
	char ret_proof[FLEET_PROOF_DIGITS + 1])
{
	unsigned char said[sizeof(PROOF_LABEL) + FLEET_DIGEST_LENGTH + 16];
	unsigned char *at = said + sizeof(PROOF_LABEL), proof[HMAC_LENGTH];

	memcpy(said, PROOF_LABEL, sizeof(PROOF_LABEL));
	memcpy(at, subject->digest, FLEET_DIGEST_LENGTH);
	store_number(at + FLEET_DIGEST_LENGTH, generation);
	store_number(at + FLEET_DIGEST_LENGTH + 8, fence);
	if (!hmac(fleet_key, FLEET_KEY_LENGTH, said, sizeof(said), proof))
		return -ENOMEM;
	hex_write(proof, FLEET_PROOF_DIGITS / 2, ret_proof);
	return 0;
}
