/* Claims of a JWT. The input is the JSON: its first line the header, the rest the payload, which
 * this target encodes, or else nothing would get past base64. "raw:" in front makes it a token as
 * it is. The claims are judged against the same numbers read as long double, whose 64 bits hold
 * every whole number that counts. */
#include "core/json.h"
#include "core/jwt_claims.h"
#include "fuzz.h"
#include <stdbool.h>

#define CLAIM_MAX (INT64_C(1) << 53)

struct number {
	bool any;
	bool negative;
	long double value;
};

struct numbers {
	struct number iat, nbf, exp;
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t base64url(const void *bytes, size_t length, char *to)
{
	const uint8_t *at = bytes;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t written = 0;

	for (size_t i = 0; i < length; i++) {
		bits = bits << 8 | at[i];
		for (held += 8; held >= 6; held -= 6)
			to[written++] = digits[bits >> (held - 6) & 63];
	}
	if (held)
		to[written++] = digits[bits << (6 - held) & 63];
	return written;
}

static int number_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t text_length)
{
	struct numbers *n = context;
	struct number *number = NULL;
	char *copy;

	if (key_length != 3 || kind != JSON_NUMBER)
		return 0;
	if (!memcmp(key, "iat", 3))
		number = &n->iat;
	else if (!memcmp(key, "nbf", 3))
		number = &n->nbf;
	else if (!memcmp(key, "exp", 3))
		number = &n->exp;
	if (!number)
		return 0;
	copy = malloc(text_length + 1);
	CHECK(copy);
	memcpy(copy, text, text_length);
	copy[text_length] = '\0';
	*number = (struct number){true, *copy == '-', strtold(copy, NULL)};
	free(copy);
	return 0;
}

static void check_claim(bool has, int64_t claim, const struct number *n, bool raised)
{
	if (!has) {
		CHECK(!n->any || n->negative || n->value >= (long double)(CLAIM_MAX - 1));
		return;
	}
	CHECK(n->any);
	CHECK(claim >= 0 && claim <= CLAIM_MAX);
	/* Rounding to 64 bits moves a number to its neighbour at most, never past a whole one. */
	CHECK(raised ? (long double)claim >= n->value : (long double)claim <= n->value);
	CHECK((long double)claim - n->value <= 1 && n->value - (long double)claim <= 1);
}

static void check_claims(const struct jwt_claims *c, bool found)
{
	CHECK(found == (c->has_iat || c->has_nbf || c->has_exp));
	CHECK(!c->has_iat || (c->iat >= 0 && c->iat <= CLAIM_MAX));
	CHECK(!c->has_nbf || (c->nbf >= 0 && c->nbf <= CLAIM_MAX));
	CHECK(!c->has_exp || (c->exp >= 0 && c->exp <= CLAIM_MAX));
	if (!found)
		CHECK(!c->iat && !c->nbf && !c->exp);
}

static bool read_token(const char *token, size_t length, struct jwt_claims *ret)
{
	char *copy = fuzz_copy(token, length);
	bool found = jwt_claims_read(copy, length, ret);

	free(copy);
	check_claims(ret, found);
	return found;
}

/* As an encoder writes it: its digits alone, no bit set behind the last byte. */
static void check_part(const char *part, size_t length)
{
	size_t last = 0;

	for (size_t i = 0; i < length; i++) {
		CHECK(part[i] && strchr(digits, part[i]));
		last = (size_t)(strchr(digits, part[i]) - digits);
	}
	CHECK(length % 4 != 1);
	CHECK(length % 4 != 2 || last % 16 == 0);
	CHECK(length % 4 != 3 || last % 4 == 0);
}

static void check_raw(const char *token, size_t length)
{
	struct jwt_claims claims;
	size_t begin = 0;
	unsigned parts = 0;

	if (!read_token(token, length, &claims))
		return;
	for (size_t i = 0; i <= length; i++)
		if (i == length || token[i] == '.') {
			check_part(token + begin, i - begin);
			begin = i + 1;
			parts++;
		}
	CHECK(parts == 3);
}

static void check_encoded(
	const char *header, size_t header_length, const char *payload, size_t payload_length)
{
	char *token = malloc((header_length + payload_length) * 4 / 3 + 32);
	struct numbers numbers = {0};
	struct jwt_claims claims, other;
	const char *problem;
	size_t length;
	bool found, json;

	CHECK(token);
	length = base64url(header, header_length, token);
	token[length++] = '.';
	length += base64url(payload, payload_length, token + length);
	memcpy(token + length, ".c2ln", 5);
	length += 5;

	found = read_token(token, length, &claims);
	json = json_read_object(payload, payload_length, number_member, &numbers, &problem) == 0;
	if (found) {
		CHECK(json);
		check_claim(claims.has_iat, claims.iat, &numbers.iat, true);
		check_claim(claims.has_nbf, claims.nbf, &numbers.nbf, true);
		check_claim(claims.has_exp, claims.exp, &numbers.exp, false);
		/* Unverified: another signature changes nothing. What is no JWT has none. */
		token[length - 1] = 'g';
		token[length - 2] = 'A';
		CHECK(read_token(token, length, &other));
		CHECK(claims.has_iat == other.has_iat && claims.iat == other.iat);
		CHECK(claims.has_nbf == other.has_nbf && claims.nbf == other.nbf);
		CHECK(claims.has_exp == other.has_exp && claims.exp == other.exp);
		memcpy(token + length, "=", 1);
		CHECK(!read_token(token, length + 1, &other));
		memcpy(token + length, ".AA", 3);
		CHECK(!read_token(token, length + 3, &other));
		CHECK(!read_token(token, length - 4, &other));
	}
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
	const char *text = (const char *)data;
	const char *line = size ? memchr(text, '\n', size) : NULL;

	if (size >= 4 && !memcmp(text, "raw:", 4)) {
		check_raw(text + 4, size - 4);
	} else if (line) {
		size_t first = (size_t)(line - text);

		check_encoded(text, first, line + 1, size - first - 1);
	} else {
		check_encoded(header, sizeof(header) - 1, text, size);
	}
	return 0;
}
