#include "digest.h"

#include "text.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

void digest_hex(const char *const *parts, size_t count, char *ret_hex, size_t digits)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; i < count && ok; i++)
		ok = EVP_DigestUpdate(context, parts[i], strlen(parts[i]) + 1) == 1;
	ok = ok && EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	if (!ok)
		memset(digest, 0, sizeof(digest));
	hex_write(digest, digits / 2, ret_hex);
}
