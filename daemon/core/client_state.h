/* What has to outlive the process so that no crash loop can harm: when a client's token requests
 * were sent, until when the next has to wait and why, which generations were used, and what an
 * admin has revoked. No token and no secret is in it. It belongs to token URL + client id + grant,
 * not to a profile's name; only what is revoked are profiles. */
#ifndef GCTOKEND_CORE_CLIENT_STATE_H
#define GCTOKEND_CORE_CLIENT_STATE_H

#include "buffer.h"
#include "fleet.h"
#include "retry.h"
#include "times.h"
#include "token_source.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENERATION_BLOCK 1000
#define GENERATION_MAX ((UINT64_C(1) << 53) - 1) /* JavaScript has to read it */
#define CREDENTIAL_TAG_LENGTH 32

struct client_state {
	struct mint_window mint;
	uint64_t generation_used;     /* the highest number given to a token, or skipped */
	uint64_t generation_reserved; /* numbers up to this one are durable */
	struct boot_time not_before;  /* INT64_MIN: none */
	struct source_failure failure;
	/* Of the credential that not_before is about: random salt, and hex of the first half of
	 * SHA-256(salt id 0 secret). Another credential is worth a try at once. */
	char salt[CREDENTIAL_TAG_LENGTH + 1];
	char tag[CREDENTIAL_TAG_LENGTH + 1];
	/* Of a client that is shared with other hosts: no generation of the fleet below the first
	 * is taken any more, and the rank of this host's permit to mint alone. */
	bool fleet;
	uint64_t fleet_lowest;
	uint32_t fleet_rank; /* FLEET_NO_PERMIT: none */
	char *revoked;       /* names of profiles, each with a newline behind it; NULL: none */
};

void client_state_fini(struct client_state *s);

/* Whether `profile` is stopped until an admin refreshes it. Setting it: 0 or -ENOMEM. */
bool client_state_revoked(const struct client_state *s, const char *profile);
int client_state_set_revoked(struct client_state *s, const char *profile, bool revoked);

/* Lines of text that end with a checksum. `clock_id` names the CLOCK_BOOTTIME of the instants: the
 * boot's id, and the time namespace behind a slash. */
void client_state_write(const struct client_state *s, const char *clock_id, struct buffer *out);

/* 0, and *ret is to be ended with client_state_fini; -EINVAL: damaged; -ENOMEM; *ret untouched. By
 * another clock: only generations and what is revoked count, since its instants say nothing now. Of
 * a version that wrote no time namespace, the boot alone has to agree; lines that a later one has
 * added are skipped. */
int client_state_read(
	const char *text, size_t length, const char *clock_id, struct client_state *ret);
/* Drops what cannot have happened by `now`, nor wait for so long: a file from elsewhere must not
 * lock the client out. */
void client_state_drop_future(struct client_state *s, struct boot_time now);

/* Fills s->tag for a credential, with s->salt; 32 hex digits. */
void client_state_tag(const char *salt, const char *client_id, const char *client_secret,
	char ret_tag[CREDENTIAL_TAG_LENGTH + 1]);

/* The name of the file for a client: 32 hex digits of SHA-256 and ".state". */
void client_state_name(
	const char *token_url, const char *client_id, const char *grant, char ret_name[40]);

#endif
