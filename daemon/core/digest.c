#include "digest.h"

#include "text.h"

#include <openssl/evp.h>
#include <string.h>

/* `lengths` NULL: the parts are texts, each with its NUL. */
static bool hash(const void *const *parts, const size_t *lengths, size_t count,
	unsigned char ret[EVP_MAX_MD_SIZE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; i < count && ok; i++)
		ok = EVP_DigestUpdate(
			     context, parts[i], lengths ? lengths[i] : strlen(parts[i]) + 1) == 1;
	ok = ok && EVP_DigestFinal_ex(context, ret, NULL) == 1;
	EVP_MD_CTX_free(context);
	return ok;
}

bool digest_front(
	const void *const *parts, const size_t *lengths, size_t count, void *ret, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!hash(parts, lengths, count, digest))
		return false;
	memcpy(ret, digest, size);
	return true;
}

void digest_hex(const char *const *parts, size_t count, char *ret_hex, size_t digits)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!hash((const void *const *)parts, NULL, count, digest))
		memset(digest, 0, sizeof(digest));
	hex_write(digest, digits / 2, ret_hex);
}
