/* The keys of a token that hosts share, and the bytes of each operation's commands. */
#ifndef GCTOKEND_STORE_REDIS_COMMANDS_H
#define GCTOKEND_STORE_REDIS_COMMANDS_H

#include "core/buffer.h"
#include "redis_scripts.h"
#include "store.h"

#define REDIS_KEY_MAX (STORE_PREFIX_MAX + FLEET_CLIENT_DIGITS + FLEET_REQUEST_DIGITS + 32)

/* All of a client's have one hash tag. */
struct redis_keys {
	char record[REDIS_KEY_MAX], lease[REDIS_KEY_MAX], channel[REDIS_KEY_MAX];
	/* of the client, whatever is asked for */
	char mints[REDIS_KEY_MAX], hold[REDIS_KEY_MAX], fails[REDIS_KEY_MAX], seq[REDIS_KEY_MAX];
	char alone[REDIS_KEY_MAX];
};

void redis_keys_init(struct redis_keys *ret, const char *prefix,
	const struct fleet_subject *subject, unsigned slot);

/* Answered by HMGET, TIME and PUBSUB NUMSUB, in that order. */
#define REDIS_READ_ANSWERS 3
void redis_write_read(struct buffer *out, const struct redis_keys *k);
/* Answered by one script each. `host`: this one. */
void redis_write_acquire(struct buffer *out, const struct redis_keys *k, const char *host,
	const struct store_acquire *a);
void redis_write_renew(
	struct buffer *out, const struct redis_keys *k, uint64_t fence, struct duration lease);
void redis_write_put(struct buffer *out, const struct redis_keys *k, const struct store_put *p);
/* `permille`: random, 0 to 1000. */
void redis_write_fail(struct buffer *out, const struct redis_keys *k, const struct store_fail *f,
	unsigned permille);
void redis_write_accept(
	struct buffer *out, const struct redis_keys *k, const struct store_accept *a);
void redis_write_stop(struct buffer *out, const struct redis_keys *k, const struct store_stop *o);
void redis_write_permit(struct buffer *out, const struct redis_keys *k, const char *host,
	uint32_t most, struct duration keep);

/* Answered by the script's SHA-1. */
void redis_write_load(struct buffer *out, const struct redis_script *script);
/* "SUBSCRIBE" and "UNSUBSCRIBE", answered by an array; "PING". `channel`: NULL for none. */
void redis_write_plain(struct buffer *out, const char *command, const char *channel);

#endif
