/* What a fleet's hosts share and its store must not know, and what the store asks for: keys and a
 * password, read from where the configuration says. All of it blocks; for starts and reloads. */
#ifndef GCTOKEND_HOST_FLEET_SECRETS_H
#define GCTOKEND_HOST_FLEET_SECRETS_H

#include "core/config.h"
#include "core/fleet_key.h"

#include <stddef.h>

struct fleet_secrets {
	/* From secret_alloc. The first seals and opens, the others only open. */
	unsigned char (*keys)[FLEET_KEY_LENGTH];
	size_t key_count;
	char *password; /* NULL: none */
};

#define FLEET_SECRETS_NONE ((struct fleet_secrets){0})

/* Of a fleet that has a store. 0: end it with fleet_secrets_fini; negative errno with *ret
 * untouched and `problem` (a sentence that names the key, the file, what is wrong and what to do;
 * never a byte of its content) filled. */
int fleet_secrets_load(const struct fleet_config *fleet, gid_t socket_gid,
	struct fleet_secrets *ret, char *problem, size_t problem_size);
/* Wipes. */
void fleet_secrets_fini(struct fleet_secrets *s);

#endif
