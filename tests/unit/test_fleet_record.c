/* Sealed tokens of a fleet: every bit and every length counts, what is wrong is told apart, and
 * what an earlier version wrote stays readable. */
#include "core/fleet_record.h"

#include "core/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GENERATION UINT64_C(1795693523001)

static unsigned char fleet_key[FLEET_KEY_LENGTH], other_fleet_key[FLEET_KEY_LENGTH];
static unsigned char nonce[GCM_NONCE_LENGTH];
static struct fleet_subject subject;
static struct fleet_key key, other_key;

static struct fleet_subject subject_of(
	const char *client_id, const char *scope, const char *extra_params)
{
	struct fleet_subject s;

	assert_int_equal(fleet_subject_init(&s, "https://login.example/oauth/token", client_id,
				 "client_credentials", scope, extra_params),
		0);
	return s;
}

static int prepare(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fleet_key); i++)
		fleet_key[i] = (unsigned char)i;
	memcpy(other_fleet_key, fleet_key, sizeof(fleet_key));
	other_fleet_key[31] ^= 1;
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (unsigned char)(0xa0 + i);
	subject = subject_of("client-1", NULL, NULL);
	return fleet_key_init(&key, fleet_key, &subject) ||
	       fleet_key_init(&other_key, other_fleet_key, &subject);
}

/* Version 1 as it was first released, made by another program from the descriptions in
 * fleet_record.h and fleet_key.h. */
static const char version_1[] = "676374666c65657401000000b2b102acbcb3a197422c79a88ca2d7ced7ac2c12"
				"f8b15a04000001a217acb0390000000005265c00000001a21cd3085000000000"
				"000000fa101112131415161718191a1b1c1d1e1f00000014a0a1a2a3a4a5a6a7"
				"a8a9aaab0a9ce9b76db51f3594065dce1218149e1a4e4c327cfac7f3a8f911d9"
				"464d7e1e8d4bfd4a";

static size_t stored(char *ret)
{
	assert_true(hex_read(version_1, strlen(version_1) / 2, ret));
	return strlen(version_1) / 2;
}

static void a_stored_record_of_version_1_is_read(void **state)
{
	struct fleet_record r = FLEET_RECORD_NONE;
	struct buffer written;
	char bytes[256];
	size_t length = stored(bytes);

	(void)state;
	assert_int_equal(
		fleet_record_open(&key, 1, &subject, GENERATION, bytes, length, &r), SEALED_GOOD);
	assert_string_equal(r.token.text, "stored-fleet-token-1");
	assert_false(r.stopped);
	assert_true(r.generation == GENERATION);
	assert_true(r.issued.ns == 86400 * NS_PER_S);
	assert_true(r.end.ns == 1795779922000 * NS_PER_MS);
	assert_true(r.not_before.ns == 250 * NS_PER_MS);
	for (size_t i = 0; i < FLEET_HOST_LENGTH; i++)
		assert_int_equal(r.host[i], 0x10 + i);

	/* and this version writes just that */
	buffer_init(&written, NULL, 0);
	assert_int_equal(fleet_record_seal(&r, &key, &subject, nonce, &written), 0);
	assert_int_equal(written.length, length);
	assert_memory_equal(written.data, bytes, length);
	buffer_fini(&written);
	fleet_record_fini(&r);
}

static enum sealed_verdict judge(const char *bytes, size_t length)
{
	struct fleet_record r, untouched;
	/* of just that size, so that a sanitizer sees a byte too far */
	char *copy = malloc(length ? length : 1);
	enum sealed_verdict verdict;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	memset(&r, 0xa5, sizeof(r));
	memset(&untouched, 0xa5, sizeof(untouched));
	verdict = fleet_record_open(&key, 1, &subject, GENERATION, copy, length, &r);
	if (verdict == SEALED_GOOD)
		fleet_record_fini(&r);
	else
		assert_memory_equal(&r, &untouched, sizeof(r));
	free(copy);
	return verdict;
}

static void every_bit_counts(void **state)
{
	char bytes[256];
	size_t length = stored(bytes);

	(void)state;
	for (size_t i = 0; i < length * 8; i++) {
		bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
		assert_int_not_equal(judge(bytes, length), SEALED_GOOD);
		assert_int_not_equal(judge(bytes, length), SEALED_NO_MEMORY);
		bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
	}
	assert_int_equal(judge(bytes, length), SEALED_GOOD);
}

static void every_length_counts(void **state)
{
	char bytes[256] = {0};
	size_t length = stored(bytes);

	(void)state;
	for (size_t i = 0; i < length; i++)
		assert_int_equal(judge(bytes, i), SEALED_DAMAGED);
	assert_int_equal(judge(bytes, length + 1), SEALED_DAMAGED);
}

static struct fleet_record sample(const char *token)
{
	struct fleet_record r = {
		.generation = GENERATION,
		.stopped = !token,
		.issued = {3600 * NS_PER_S},
		.end = {1795700000 * NS_PER_S},
		.host = "0123456789abcde",
	};

	if (token)
		assert_int_equal(token_init(&r.token, token, strlen(token)), 0);
	return r;
}

static enum sealed_verdict judge_sealed(const struct fleet_record *r, const struct fleet_key *with,
	const struct fleet_subject *of, size_t at, int flip)
{
	enum sealed_verdict verdict;
	struct buffer out;

	buffer_init(&out, NULL, 0);
	assert_int_equal(fleet_record_seal(r, with, of, nonce, &out), 0);
	out.data[at] = (char)(out.data[at] ^ flip);
	verdict = judge(out.data, out.length);
	buffer_fini(&out);
	return verdict;
}

static void what_is_wrong_is_told_apart(void **state)
{
	struct fleet_subject scoped = subject_of("client-1", "a b", NULL);
	struct fleet_subject another = subject_of("client-2", NULL, NULL);
	struct fleet_key others;
	struct fleet_record r = sample("token");

	(void)state;
	assert_int_equal(fleet_key_init(&others, fleet_key, &another), 0);
	assert_int_equal(judge_sealed(&r, &key, &subject, 0, 0), SEALED_GOOD);
	assert_int_equal(judge_sealed(&r, &other_key, &subject, 0, 0), SEALED_OTHER_KEY);
	assert_int_equal(judge_sealed(&r, &key, &scoped, 0, 0), SEALED_FOREIGN);
	assert_int_equal(judge_sealed(&r, &others, &another, 0, 0), SEALED_FOREIGN);
	/* as if it were ours: each client has a key of its own */
	assert_int_equal(judge_sealed(&r, &others, &subject, 0, 0), SEALED_DAMAGED);
	assert_int_equal(judge_sealed(&r, &key, &subject, 0, 1), SEALED_DAMAGED);
	assert_int_equal(judge_sealed(&r, &key, &subject, 8, 3), SEALED_NEWER);
	assert_int_equal(judge_sealed(&r, &key, &subject, 8, 1), SEALED_DAMAGED);
	assert_int_equal(judge_sealed(&r, &key, &subject, 9, 2), SEALED_NEWER);
	assert_int_equal(judge_sealed(&r, &key, &subject, 10, 1), SEALED_NEWER);
	/* a token that is said to be none */
	assert_int_equal(judge_sealed(&r, &key, &subject, 9, 1), SEALED_DAMAGED);
	r.generation++;
	assert_int_equal(judge_sealed(&r, &key, &subject, 0, 0), SEALED_DAMAGED);
	fleet_record_fini(&r);
}

static void a_record_can_have_no_token(void **state)
{
	struct fleet_record r = sample(NULL), again;
	struct buffer out;

	(void)state;
	buffer_init(&out, NULL, 0);
	assert_int_equal(fleet_record_seal(&r, &key, &subject, nonce, &out), 0);
	assert_int_equal(
		fleet_record_open(&key, 1, &subject, GENERATION, out.data, out.length, &again),
		SEALED_GOOD);
	assert_true(again.stopped);
	assert_null(again.token.text);
	buffer_fini(&out);
}

static void older_keys_open(void **state)
{
	const struct fleet_key keys[] = {other_key, key};
	struct fleet_record r;
	char bytes[256];
	size_t length = stored(bytes);

	(void)state;
	assert_int_equal(
		fleet_record_open(keys, 2, &subject, GENERATION, bytes, length, &r), SEALED_GOOD);
	fleet_record_fini(&r);
	assert_int_equal(fleet_record_open(keys, 1, &subject, GENERATION, bytes, length, &r),
		SEALED_OTHER_KEY);
	assert_int_equal(fleet_record_open(keys, 0, &subject, GENERATION, bytes, length, &r),
		SEALED_OTHER_KEY);
}

static void what_contradicts_itself_is_not_sealed(void **state)
{
	static const struct fleet_record cases[] = {
		{.generation = 0, .stopped = true, .issued = {NS_PER_S}},
		{.generation = FLEET_GENERATION_MAX + 1, .stopped = true, .issued = {NS_PER_S}},
		{.generation = 1, .stopped = false, .issued = {NS_PER_S}},
		{.generation = 1, .stopped = true, .issued = {0}},
		{.generation = 1, .stopped = true, .issued = {-NS_PER_S}},
		{.generation = 1, .stopped = true, .issued = {NS_PER_S + 1}},
		{.generation = 1, .stopped = true, .issued = {(FLEET_ISSUED_MAX_S + 1) * NS_PER_S}},
		{.generation = 1, .stopped = true, .issued = {NS_PER_S}, .end = {-NS_PER_MS}},
		{.generation = 1, .stopped = true, .issued = {NS_PER_S}, .end = {1}},
		{.generation = 1,
			.stopped = true,
			.issued = {NS_PER_S},
			.not_before = {-NS_PER_MS}},
		{.generation = 1,
			.stopped = true,
			.issued = {NS_PER_S},
			.not_before = {NS_PER_S + NS_PER_MS}},
	};
	struct fleet_record stopped_with_token = sample("token");
	struct buffer out;

	(void)state;
	buffer_init(&out, NULL, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(
			fleet_record_seal(&cases[i], &key, &subject, nonce, &out), -EINVAL);
	stopped_with_token.stopped = true;
	assert_int_equal(
		fleet_record_seal(&stopped_with_token, &key, &subject, nonce, &out), -EINVAL);
	assert_int_equal(out.length, 0);
	fleet_record_fini(&stopped_with_token);
	buffer_fini(&out);
}

static void the_longest_token_fits(void **state)
{
	struct fleet_record r = sample(NULL), again;
	char text[TOKEN_MAX];
	struct buffer out;

	(void)state;
	memset(text, 'x', sizeof(text));
	r.stopped = false;
	assert_int_equal(token_init(&r.token, text, sizeof(text)), 0);
	buffer_init(&out, NULL, 0);
	assert_int_equal(fleet_record_seal(&r, &key, &subject, nonce, &out), 0);
	assert_int_equal(out.length, FLEET_SEALED_MAX);
	assert_null(memmem(out.data, out.length, "xxxx", 4));
	assert_int_equal(
		fleet_record_open(&key, 1, &subject, GENERATION, out.data, out.length, &again),
		SEALED_GOOD);
	assert_true(token_equal(&r.token, &again.token));
	buffer_fini(&out);
	fleet_record_fini(&again);
	fleet_record_fini(&r);
}

/* Sealed by whoever has the key, and yet no token. */
static void what_is_sealed_is_not_believed_blindly(void **state)
{
	struct fleet_record r = sample("token"), again;
	struct buffer out;

	(void)state;
	buffer_init(&out, NULL, 0);
	r.token.text[2] = '\n';
	assert_int_equal(fleet_record_seal(&r, &key, &subject, nonce, &out), 0);
	assert_int_equal(
		fleet_record_open(&key, 1, &subject, GENERATION, out.data, out.length, &again),
		SEALED_DAMAGED);
	buffer_fini(&out);
	fleet_record_fini(&r);
}

/* It is of the one token, the one lease, and whoever has the key. */
static void proofs(void **state)
{
	struct fleet_subject one, another;
	char proof[FLEET_PROOF_DIGITS + 1], other[FLEET_PROOF_DIGITS + 1];

	(void)state;
	assert_int_equal(fleet_subject_init(&one, "https://login.example/oauth/token", "client-1",
				 "client_credentials", NULL, NULL),
		0);
	assert_int_equal(fleet_subject_init(&another, "https://login.example/oauth/token",
				 "client-1", "client_credentials", "scope", NULL),
		0);
	assert_int_equal(fleet_key_proof(fleet_key, &one, 7, 9, proof), 0);
	assert_int_equal(strlen(proof), FLEET_PROOF_DIGITS);
	assert_int_equal(fleet_key_proof(fleet_key, &one, 7, 9, other), 0);
	assert_string_equal(proof, other);
	assert_int_equal(fleet_key_proof(fleet_key, &one, 9, 7, other), 0);
	assert_string_not_equal(proof, other);
	assert_int_equal(fleet_key_proof(fleet_key, &one, 7, 10, other), 0);
	assert_string_not_equal(proof, other);
	assert_int_equal(fleet_key_proof(fleet_key, &another, 7, 9, other), 0);
	assert_string_not_equal(proof, other);
	assert_int_equal(fleet_key_proof(other_fleet_key, &one, 7, 9, other), 0);
	assert_string_not_equal(proof, other);
}

static void names_and_tags(void **state)
{
	struct fleet_subject scoped = subject_of("client-1", "a b", NULL);
	struct fleet_subject with_parameters = subject_of("client-1", NULL, "a=b");
	struct fleet_subject empty = subject_of("client-1", "", "");
	struct fleet_key scoped_key;
	char tag[FLEET_TAG_DIGITS + 1], other[FLEET_TAG_DIGITS + 1];

	(void)state;
	assert_string_equal(subject.client, "5a0a1e1efcbb38cd4e7fb17d9ef90a96");
	assert_string_equal(subject.request, "96a296d224f285c6");
	assert_string_equal(empty.request, subject.request);
	assert_string_equal(scoped.client, subject.client);
	assert_string_not_equal(scoped.request, subject.request);
	assert_string_not_equal(scoped.request, with_parameters.request);
	assert_memory_not_equal(scoped.digest, subject.digest, FLEET_DIGEST_LENGTH);
	/* one key a client, whatever the scope */
	assert_int_equal(fleet_key_init(&scoped_key, fleet_key, &scoped), 0);
	assert_memory_equal(scoped_key.sealing, key.sealing, GCM_KEY_LENGTH);

	assert_int_equal(fleet_key_tag(fleet_key, "client-1", "secret-1", tag), 0);
	assert_string_equal(tag, "d2a752a889d66e1e");
	assert_int_equal(fleet_key_tag(fleet_key, "client-1", "secret-2", other), 0);
	assert_string_not_equal(tag, other);
	assert_int_equal(fleet_key_tag(other_fleet_key, "client-1", "secret-1", other), 0);
	assert_string_not_equal(tag, other);
	assert_int_equal(fleet_key_tag(fleet_key, "client-1s", "ecret-1", other), 0);
	assert_string_not_equal(tag, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stored_record_of_version_1_is_read),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(every_length_counts),
		cmocka_unit_test(what_is_wrong_is_told_apart),
		cmocka_unit_test(a_record_can_have_no_token),
		cmocka_unit_test(older_keys_open),
		cmocka_unit_test(what_contradicts_itself_is_not_sealed),
		cmocka_unit_test(the_longest_token_fits),
		cmocka_unit_test(what_is_sealed_is_not_believed_blindly),
		cmocka_unit_test(names_and_tags),
		cmocka_unit_test(proofs),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
