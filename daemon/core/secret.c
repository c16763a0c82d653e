#include "secret.h"
#include <openssl/crypto.h>
#include <openssl/err.h>

void *secret_alloc(size_t size)
{
	void *p;

	/* A full heap is no error to us; left in OpenSSL's queue it could be taken for one of TLS.
	 */
	ERR_set_mark();
	p = OPENSSL_secure_malloc(size);
	ERR_pop_to_mark();
	return p ? p : OPENSSL_malloc(size);
}

void secret_free(void *p, size_t size)
{
	/* Asks CRYPTO_secure_allocated itself and wipes in both cases. */
	OPENSSL_secure_clear_free(p, size);
}
