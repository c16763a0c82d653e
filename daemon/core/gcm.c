#include "gcm.h"

#include <openssl/evp.h>
#include <string.h>

bool gcm_seal(const unsigned char key[GCM_KEY_LENGTH], const unsigned char nonce[GCM_NONCE_LENGTH],
	const unsigned char *header, size_t header_length, const char *text, size_t length,
	unsigned char *to)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		  EVP_EncryptUpdate(c, NULL, &n, header, (int)header_length) == 1 &&
		  EVP_EncryptUpdate(c, to, &n, (const unsigned char *)text, (int)length) == 1 &&
		  EVP_EncryptFinal_ex(c, to + n, &n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, GCM_TAG_LENGTH, to + length) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

enum gcm_verdict gcm_open(const unsigned char key[GCM_KEY_LENGTH],
	const unsigned char nonce[GCM_NONCE_LENGTH], const unsigned char *header,
	size_t header_length, const unsigned char *from, size_t length, char *to)
{
	unsigned char tag[GCM_TAG_LENGTH];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	bool begun = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1;
	bool ok;

	memcpy(tag, from + length, GCM_TAG_LENGTH);
	ok = begun && EVP_DecryptUpdate(c, NULL, &n, header, (int)header_length) == 1 &&
	     EVP_DecryptUpdate(c, (unsigned char *)to, &n, from, (int)length) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, GCM_TAG_LENGTH, tag) == 1 &&
	     EVP_DecryptFinal_ex(c, (unsigned char *)to + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		return GCM_GOOD;
	return begun ? GCM_DAMAGED : GCM_NO_MEMORY;
}
