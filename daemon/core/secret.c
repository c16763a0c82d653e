#include "secret.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

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

char *secret_copy(const char *text, size_t length)
{
	char *copy = secret_alloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

void secret_text_free(char *text)
{
	secret_free(text, text ? strlen(text) + 1 : 0);
}

void secret_wipe(void *p, size_t size)
{
	if (p)
		explicit_bzero(p, size);
}
