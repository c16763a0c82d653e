#include "token.h"
#include "secret.h"
#include "text.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

static bool fingerprint_make(char ret[FINGERPRINT_LENGTH + 1], const char *text, size_t length)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (!EVP_Q_digest(NULL, "SHA256", NULL, text, length, hash, NULL))
		return false;
	hex_write(hash, FINGERPRINT_LENGTH / 2, ret);
	return true;
}

int token_init(struct token *ret, const char *text, size_t length)
{
	struct token t = {.length = length};

	if (length == 0 || length > TOKEN_MAX)
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			return -EINVAL;
	if (!fingerprint_make(t.fingerprint, text, length))
		return -ENOMEM; /* the one way hashing a short text can fail */
	t.text = secret_copy(text, length);
	if (!t.text)
		return -ENOMEM;
	*ret = t;
	return 0;
}

void token_fini(struct token *t)
{
	secret_free(t->text, t->length + 1);
	*t = TOKEN_NONE;
}

void token_move(struct token *to, struct token *from)
{
	if (to == from)
		return;
	token_fini(to);
	*to = *from;
	*from = TOKEN_NONE;
}

bool token_equal(const struct token *a, const struct token *b)
{
	if (a->length != b->length)
		return false;
	return a->length == 0 || CRYPTO_memcmp(a->text, b->text, a->length) == 0;
}
