/* A profile's client id and secret, and the password for its proxy, read from where the
 * configuration says: a strict file or a systemd credential. In OpenSSL's secure heap where that
 * has room; wiped when let go. */
#ifndef GCTOKEND_HOST_CREDENTIAL_H
#define GCTOKEND_HOST_CREDENTIAL_H

#include <stddef.h>

struct profile_settings;
struct secret_source;

struct credential {
	char *client_id;
	char *client_secret;  /* "": a public client, which has none */
	char *proxy_password; /* NULL: none */
};

#define CREDENTIAL_NONE ((struct credential){0})

/* Reads all of it now. 0; negative errno with *ret untouched and `problem` (a NUL-terminated
 * sentence that names the key, the file, what is wrong and what to do; never a byte of its content)
 * filled.
 */
int credential_load(const struct profile_settings *profile, struct credential *ret, char *problem,
	size_t problem_size);
/* The value that the source holds, from secret_alloc: end it with secret_text_free. As
 * credential_load. */
int credential_read(const struct secret_source *source, char **ret);
/* Could the value be used that the source holds? As credential_load; where it could, but has
 * something at its ends that was hardly meant, the problem is that. */
int credential_check(const struct secret_source *source);
/* Likewise of a client's id, which a file may hold as the configuration may. */
int credential_check_id(const struct secret_source *source);
void credential_fini(struct credential *c);

#endif
