/* The key that seals refresh tokens: from where the configuration says, or one of the daemon's own
 * in the state directory. All of it blocks; for starts and reloads. */
#ifndef GCTOKEND_HOST_STATE_KEY_H
#define GCTOKEND_HOST_STATE_KEY_H

#include <stdbool.h>
#include <stddef.h>

struct broker_settings;
struct secret_source;

/* In the state directory, where none is configured. */
#define STATE_KEY_NAME "state.key"

/* A key of SEALED_KEY_LENGTH bytes into ret_key. `directory` is the state directory. 0; negative
 * errno, which is -ENOENT if there is none, and a `problem` that names the key of the configuration
 * or the file, what is wrong, and what to do; never a byte of the file. */
int state_key_load(const struct broker_settings *settings, const char *directory,
	unsigned char *ret_key, char *problem, size_t problem_size);

/* Makes one of the daemon's own in the directory, which has to be there, and writable for nobody
 * else. 0 when it is durable; otherwise as state_key_load. */
int state_key_make(
	const char *directory, unsigned char *ret_key, char *problem, size_t problem_size);

/* Likewise, the key that the source holds. */
int state_key_read(const struct secret_source *source, unsigned char *ret_key);

/* Could the key be used that the source holds? Without `thorough` only whether it can be read. As
 * state_key_load. */
int state_key_check(const struct secret_source *source, bool thorough);

#endif
