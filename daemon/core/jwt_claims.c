#include "jwt_claims.h"
#include "json.h"
#include "secret.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_MAX (INT64_C(1) << 53)
#define EXPONENT_MAX 1000000 /* longer than any token has digits */

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

/* Writes at most length * 3 / 4 bytes. False: a foreign character, padding, a length no encoder
 * makes, or bits set behind the last byte. */
static bool base64url_decode(const char *text, size_t length, unsigned char *to, size_t *ret_length)
{
	size_t written = 0;
	uint32_t bits = 0;
	unsigned held = 0;

	if (length % 4 == 1)
		return false;
	for (size_t i = 0; i < length; i++) {
		int value = base64url_value(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			to[written++] = (unsigned char)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	*ret_length = written;
	return bits == 0;
}

/* A JSON number as a whole one, by its digits: a double would round, and overflow at 1e400. */
static bool number_read(const char *text, size_t length, bool raise, int64_t *ret)
{
	const char *end = text + length;
	const char *mantissa, *mantissa_end, *at = text;
	bool negative = false, zero = true, fraction = false;
	int64_t exponent = 0, value = 0, place = 0;

	if (at < end && *at == '-') {
		negative = true;
		at++;
	}
	mantissa = at;
	while (at < end && *at != 'e' && *at != 'E')
		at++;
	mantissa_end = at;
	if (at < end) {
		bool down = false;

		at++;
		if (at < end && (*at == '+' || *at == '-'))
			down = *at++ == '-';
		for (; at < end; at++)
			if (exponent < EXPONENT_MAX)
				exponent = exponent * 10 + (*at - '0');
		if (down)
			exponent = -exponent;
	}
	/* `place` is the power of ten of the digit at hand, before the exponent is applied. */
	for (at = mantissa; at < mantissa_end && *at != '.'; at++)
		place++;
	for (at = mantissa; at < mantissa_end; at++) {
		if (*at == '.')
			continue;
		place--;
		if (*at != '0')
			zero = false;
		if (place + exponent >= 0) {
			value = value * 10 + (*at - '0');
			if (value > CLAIM_MAX)
				return false;
		} else if (*at != '0') {
			fraction = true;
		}
	}
	for (int64_t power = place + exponent; power > 0 && !zero; power--) {
		value *= 10;
		if (value > CLAIM_MAX)
			return false;
	}
	if (negative && !zero)
		return false;
	if (fraction && raise)
		value++;
	if (value > CLAIM_MAX || (value == CLAIM_MAX && fraction && !raise))
		return false;
	*ret = value;
	return true;
}

static bool key_is(const char *key, size_t length, const char *name)
{
	return length == strlen(name) && memcmp(key, name, length) == 0;
}

static int payload_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t text_length)
{
	struct jwt_claims *c = context;

	if (kind != JSON_NUMBER)
		return 0;
	if (key_is(key, key_length, "iat"))
		c->has_iat = number_read(text, text_length, true, &c->iat);
	else if (key_is(key, key_length, "nbf"))
		c->has_nbf = number_read(text, text_length, true, &c->nbf);
	else if (key_is(key, key_length, "exp"))
		c->has_exp = number_read(text, text_length, false, &c->exp);
	return 0;
}

static int header_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t text_length)
{
	(void)context, (void)key, (void)key_length, (void)kind, (void)text, (void)text_length;
	return 0;
}

/* One part of the token, decoded into `room`, read as a JSON object. */
static bool part_read(const char *part, size_t length, unsigned char *room, json_member *member,
	struct jwt_claims *claims)
{
	const char *problem;
	size_t decoded;

	return base64url_decode(part, length, room, &decoded) &&
	       json_read_object((char *)room, decoded, member, claims, &problem) == 0;
}

bool jwt_claims_read(const char *token, size_t length, struct jwt_claims *ret)
{
	const char *end = token + length;
	struct jwt_claims claims = {0};
	const char *payload, *signature;
	unsigned char *room;
	size_t ignored;
	bool whole;

	*ret = (struct jwt_claims){0};
	payload = memchr(token, '.', length);
	if (!payload)
		return false;
	payload++;
	signature = memchr(payload, '.', (size_t)(end - payload));
	if (!signature || ++signature == end)
		return false;
	room = malloc(length);
	if (!room)
		return false;
	/* The signature is only looked at for its alphabet: a fourth part, or an encrypted token's
	 * five, fail there. */
	whole = base64url_decode(signature, (size_t)(end - signature), room, &ignored) &&
		part_read(token, (size_t)(payload - 1 - token), room, header_member, &claims) &&
		part_read(
			payload, (size_t)(signature - 1 - payload), room, payload_member, &claims);
	secret_wipe(room, length);
	free(room);
	if (!whole || !(claims.has_iat || claims.has_nbf || claims.has_exp))
		return false;
	*ret = claims;
	return true;
}
