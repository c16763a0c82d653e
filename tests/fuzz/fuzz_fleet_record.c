/* A sealed token of a fleet. The input is its token; numbers and damage are drawn from the input.
 * "raw:" in front makes it the record itself. */
#include "core/fleet_record.h"

#include "fuzz.h"

#define GENERATION UINT64_C(1795693523001)

static const unsigned char fleet_key[FLEET_KEY_LENGTH] = "thirty-two bytes that are a key";
static const unsigned char nonce[GCM_NONCE_LENGTH] = "used once.";

/* All 0xa5 at first: a failure must leave it so. */
static enum sealed_verdict open_record(const struct fleet_key *key,
	const struct fleet_subject *subject, const char *bytes, size_t length,
	struct fleet_record *ret)
{
	char *copy = fuzz_copy(bytes, length);
	enum sealed_verdict verdict;

	memset(ret, 0xa5, sizeof(*ret));
	verdict = fleet_record_open(key, 1, subject, GENERATION, copy, length, ret);
	if (verdict != SEALED_GOOD)
		for (size_t i = 0; i < sizeof(*ret); i++)
			CHECK(((unsigned char *)ret)[i] == 0xa5);
	free(copy);
	return verdict;
}

static void check_round(const struct fleet_record *r, const struct fleet_key *key,
	const struct fleet_subject *subject, struct random *dice)
{
	struct fleet_record again;
	struct buffer out;
	size_t at;

	buffer_init(&out, NULL, 0);
	CHECK(fleet_record_seal(r, key, subject, nonce, &out) == 0);
	CHECK(out.length <= FLEET_SEALED_MAX);
	CHECK(r->token.length < 20 ||
		!memmem(out.data, out.length, r->token.text, r->token.length));
	CHECK(open_record(key, subject, out.data, out.length, &again) == SEALED_GOOD);
	CHECK(again.generation == r->generation && again.stopped == r->stopped);
	CHECK(again.issued.ns == r->issued.ns && again.end.ns == r->end.ns);
	CHECK(again.not_before.ns == r->not_before.ns);
	CHECK(!memcmp(again.host, r->host, FLEET_HOST_LENGTH));
	CHECK(r->stopped || token_equal(&again.token, &r->token));
	fleet_record_fini(&again);
	/* its end missing, or one bit */
	at = fuzz_below(dice, out.length);
	CHECK(open_record(key, subject, out.data, at, &again) != SEALED_GOOD);
	out.data[at] ^= (char)(1u << fuzz_below(dice, 8));
	CHECK(open_record(key, subject, out.data, out.length, &again) != SEALED_GOOD);
	buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct random dice = fuzz_random(data, size);
	struct fleet_record r = {.generation = GENERATION};
	struct fleet_subject subject;
	struct fleet_key key;

	CHECK(!fleet_subject_init(&subject, "https://login.example.com/oauth/token", "one",
		"client_credentials", "scope", NULL));
	CHECK(!fleet_key_init(&key, fleet_key, &subject));
	if (size >= 4 && !memcmp(data, "raw:", 4)) {
		/* nobody makes one without the key */
		CHECK(open_record(&key, &subject, (const char *)data + 4, size - 4, &r) !=
			SEALED_GOOD);
		return 0;
	}
	r.stopped = token_init(&r.token, (const char *)data, size) != 0;
	r.issued = duration_ms(1 + (int64_t)fuzz_below(&dice, FLEET_ISSUED_MAX_S * 1000));
	r.end.ns = duration_ms((int64_t)fuzz_below(&dice, INT64_C(1) << 43)).ns;
	r.not_before =
		duration_ms((int64_t)fuzz_below(&dice, (size_t)(r.issued.ns / NS_PER_MS) + 1));
	memcpy(r.host, &dice, sizeof(dice));
	check_round(&r, &key, &subject, &dice);
	fleet_record_fini(&r);
	return 0;
}
