#include "state_key.h"

#include "secret.h"
#include "text.h"

#include <openssl/evp.h>
#include <string.h>

#define HEX_LENGTH (2 * SEALED_KEY_LENGTH)
#define BASE64_LENGTH 44 /* the last character is '=' */

static bool parse_base64(const char *text, unsigned char *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char decoded[BASE64_LENGTH / 4 * 3];
	bool good;

	/* strict: EVP_DecodeBlock would skip white space */
	for (size_t i = 0; i < BASE64_LENGTH - 1; i++)
		if (!text[i] || !strchr(digits, text[i]))
			return false;
	good = text[BASE64_LENGTH - 1] == '=' &&
	       EVP_DecodeBlock(decoded, (const unsigned char *)text, BASE64_LENGTH) ==
		       (int)sizeof(decoded);
	if (good)
		memcpy(ret, decoded, SEALED_KEY_LENGTH);
	secret_wipe(decoded, sizeof(decoded));
	return good;
}

bool state_key_parse(const char *bytes, size_t length, unsigned char ret_key[SEALED_KEY_LENGTH])
{
	unsigned char key[SEALED_KEY_LENGTH];
	bool good;

	if (length == SEALED_KEY_LENGTH) {
		memcpy(ret_key, bytes, SEALED_KEY_LENGTH);
		return true;
	}
	if (length > 0 && bytes[length - 1] == '\n')
		length--;
	if (length > 0 && bytes[length - 1] == '\r')
		length--;
	good = length == HEX_LENGTH ? hex_read(bytes, SEALED_KEY_LENGTH, key)
				    : length == BASE64_LENGTH && parse_base64(bytes, key);
	if (good)
		memcpy(ret_key, key, sizeof(key));
	secret_wipe(key, sizeof(key));
	return good;
}
