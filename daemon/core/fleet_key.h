/* What names the token that the hosts of a fleet share, and what seals it: digests, and keys that
 * are derived from the fleet's for this one client.
 *
 * A key of a client is HKDF-SHA256(fleet key, no salt, "gctfleet" and the client's digest). A
 * sealed record names the fleet key by the front of SHA-256 over a label and it, so that hosts tell
 * a record that is sealed with another key from a damaged one. */
#ifndef GCTOKEND_CORE_FLEET_KEY_H
#define GCTOKEND_CORE_FLEET_KEY_H

#include "gcm.h"

#include <stdint.h>

#define FLEET_KEY_LENGTH 32
#define FLEET_KEY_ID_LENGTH 8
#define FLEET_DIGEST_LENGTH 16
#define FLEET_CLIENT_DIGITS 32
#define FLEET_REQUEST_DIGITS 16
#define FLEET_TAG_DIGITS 16
#define FLEET_PROOF_DIGITS 32

/* A token that hosts share. The texts stand in the names of the store's keys, and say nothing to
 * whoever does not know the client. */
struct fleet_subject {
	char client[FLEET_CLIENT_DIGITS + 1];   /* hex: token URL, client id, grant */
	char request[FLEET_REQUEST_DIGITS + 1]; /* hex: scope, extra_params */
	unsigned char client_digest[FLEET_DIGEST_LENGTH];
	unsigned char digest[FLEET_DIGEST_LENGTH]; /* of all of it; bound into what is sealed */
};

struct fleet_key {
	unsigned char id[FLEET_KEY_ID_LENGTH]; /* of the fleet's key */
	unsigned char sealing[GCM_KEY_LENGTH]; /* derived from it for one client */
};

/* `grant` as the configuration spells it; `scope`, `extra_params`: NULL is the same as "". 0 or
 * -ENOMEM, *ret untouched. */
int fleet_subject_init(struct fleet_subject *ret, const char *token_url, const char *client_id,
	const char *grant, const char *scope, const char *extra_params);

/* Derives. `ret` belongs into secret_alloc, and is wiped by secret_free. 0 or -ENOMEM. */
int fleet_key_init(struct fleet_key *ret, const unsigned char fleet_key[FLEET_KEY_LENGTH],
	const struct fleet_subject *subject);
/* Tells credentials apart without giving them away: hex digits of HMAC-SHA256(fleet key, client id
 * and secret, each with its NUL). 0 or -ENOMEM. */
int fleet_key_tag(const unsigned char fleet_key[FLEET_KEY_LENGTH], const char *client_id,
	const char *client_secret, char ret_tag[FLEET_TAG_DIGITS + 1]);
/* Shows that whoever says that the API takes a token has the fleet's key: hex digits of
 * HMAC-SHA256(fleet key, a label, the subject, the token's generation, and the fence under which
 * it was asked). 0 or -ENOMEM. */
int fleet_key_proof(const unsigned char fleet_key[FLEET_KEY_LENGTH],
	const struct fleet_subject *subject, uint64_t generation, uint64_t fence,
	char ret_proof[FLEET_PROOF_DIGITS + 1]);

#endif
