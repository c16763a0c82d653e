/* TLS to a store: what all connections have in common, and one of them. TLS 1.2 and up; the
 * server's certificate is always verified, and so is its name. */
#ifndef GCTOKEND_STORE_REDIS_TLS_H
#define GCTOKEND_STORE_REDIS_TLS_H

#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st;
struct ssl_st;

#define REDIS_TLS_WHY_MAX 256

/* Reads the files; NULL `ca_file`: what the system trusts; `cert_file` and `key_file`: this host's,
 * or NULL both. 0, ended with SSL_CTX_free; -ENOMEM; -EINVAL: ret_why says which file cannot be
 * used, and why. */
int redis_tls_new(struct ssl_ctx_st **ret, const char *ca_file, const char *cert_file,
	const char *key_file, char ret_why[REDIS_TLS_WHY_MAX]);
/* For a connection to a server of that name, or address. NULL without memory. */
struct ssl_st *redis_tls_connection(struct ssl_ctx_st *context, const char *name);
/* When the server's certificate ends, in s since 1970; 0: there is none, or nobody can tell. */
int64_t redis_tls_certificate_end(const struct ssl_st *tls);
/* Why it failed: by the verdict on the certificate, or by OpenSSL's `error`, 0 for none. */
void redis_tls_why(const struct ssl_st *tls, unsigned long error, const char *name,
	char ret_why[REDIS_TLS_WHY_MAX]);

#endif
