/* Sealed files: every bit and every length counts, what is wrong is told apart, and what an earlier
 * version wrote stays readable. */
#include "core/login_record.h"
#include "core/sealed_state.h"
#include "core/secret.h"
#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHECK_LENGTH 8 /* the front of the SHA-256 of all that is before */

static unsigned char key[SEALED_KEY_LENGTH], other_key[SEALED_KEY_LENGTH];
static unsigned char nonce[SEALED_NONCE_LENGTH];
static struct sealed_client client, other_client;

static int prepare(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (unsigned char)i;
	memcpy(other_key, key, sizeof(key));
	other_key[31] ^= 1;
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (unsigned char)(0xa0 + i);
	return sealed_client_init(&client, "https://login.example/oauth/token", "client-1",
		       "authorization_code") ||
	       sealed_client_init(&other_client, "https://login.example/oauth/token", "client-2",
		       "authorization_code");
}

/* Version 1 as it was first released, made by another program from the description in
 * sealed_state.h: whatever comes later has to read it. */
static const char version_1[] = "6763746c6f67696e01000000468957e66752a85a0cabdf6f63ac73a5b3ea2dba"
				"27ca08200000004aa0a1a2a3a4a5a6a7a8a9aaab966a134b2ca7679f0600e1b2"
				"7216b4d41cc33e77f7d31d05f22e17b1469e4338e14375cca550365b2df977a0"
				"560eec922275663b16bf681b2573793bc202e0c3dc91f1005bc08acdc5e87077"
				"cbffc2b4549a66151f6bb66b47c508e83f1612d0db2d";

static size_t stored(char *ret)
{
	size_t length = strlen(version_1) / 2;

	for (size_t i = 0; i < length; i++) {
		char digits[3] = {version_1[2 * i], version_1[2 * i + 1], '\0'};

		ret[i] = (char)strtoul(digits, NULL, 16);
	}
	return length;
}

static void a_stored_file_of_version_1_is_read(void **state)
{
	struct login_record r = LOGIN_RECORD_NONE;
	struct buffer written;
	char bytes[256];
	size_t length = stored(bytes);

	(void)state;
	assert_int_equal(login_record_read(key, &client, bytes, length, &r), SEALED_GOOD);
	assert_string_equal(r.refresh_token.text, "stored-refresh-token-1");
	assert_string_equal(r.profile, "default");
	assert_int_equal(r.logged_in_s, 1795693523);
	assert_false(r.refused);

	/* and this version writes just that */
	buffer_init(&written, NULL, 0);
	assert_int_equal(login_record_write(&r, key, nonce, &client, &written), 0);
	assert_int_equal(written.length, length);
	assert_memory_equal(written.data, bytes, length);
	buffer_fini(&written);
	login_record_fini(&r);
}

static enum sealed_verdict judge(const char *bytes, size_t length)
{
	struct login_record r = LOGIN_RECORD_NONE;
	/* of just that size, so that a sanitizer sees a byte too far */
	char *copy = malloc(length ? length : 1);
	enum sealed_verdict verdict;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	verdict = login_record_read(key, &client, copy, length, &r);
	if (verdict != SEALED_GOOD)
		assert_null(r.refresh_token.text);
	login_record_fini(&r);
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
		assert_int_equal(judge(bytes, length), SEALED_DAMAGED);
		bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << i % 8));
	}
	assert_int_equal(judge(bytes, length), SEALED_GOOD);
}

static void every_length_counts(void **state)
{
	char bytes[256];
	size_t length = stored(bytes);

	(void)state;
	for (size_t i = 0; i < length; i++)
		assert_int_equal(judge(bytes, i), SEALED_DAMAGED);
	bytes[length] = '\0';
	assert_int_equal(judge(bytes, length + 1), SEALED_DAMAGED);
	/* blocks that a crash left as zeros, behind and in front */
	memset(bytes + 64, 0, length - 64);
	assert_int_equal(judge(bytes, length), SEALED_DAMAGED);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(judge(bytes, length), SEALED_DAMAGED);
}

static void seal(const unsigned char *with, const struct sealed_client *of, struct buffer *out)
{
	const char text[] = "refresh_token abc\n";

	buffer_init(out, NULL, 0);
	assert_int_equal(sealed_state_write(with, nonce, of, text, strlen(text), out), 0);
}

/* Changes a byte and mends the check at the end, as nobody but a program would. */
static enum sealed_verdict judge_mended(const struct buffer *from, size_t at, char value)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char bytes[256], *text;
	size_t length;
	enum sealed_verdict verdict;

	memcpy(bytes, from->data, from->length);
	bytes[at] = value;
	assert_true(
		EVP_Q_digest(NULL, "SHA256", NULL, bytes, from->length - CHECK_LENGTH, hash, NULL));
	memcpy(bytes + from->length - CHECK_LENGTH, hash, CHECK_LENGTH);
	verdict = sealed_state_read(key, &client, bytes, from->length, &text, &length);
	if (verdict == SEALED_GOOD)
		secret_free(text, length + 1);
	return verdict;
}

static void what_is_wrong_is_told_apart(void **state)
{
	struct buffer out;

	(void)state;
	seal(other_key, &client, &out);
	assert_int_equal(judge(out.data, out.length), SEALED_OTHER_KEY);
	buffer_fini(&out);
	seal(key, &other_client, &out);
	assert_int_equal(judge(out.data, out.length), SEALED_FOREIGN);
	buffer_fini(&out);
	seal(key, &client, &out);
	assert_int_equal(judge(out.data, out.length), SEALED_GOOD);
	assert_int_equal(judge_mended(&out, 8, 1), SEALED_GOOD);
	assert_int_equal(judge_mended(&out, 8, 2), SEALED_NEWER);
	assert_int_equal(judge_mended(&out, 8, 0), SEALED_DAMAGED);
	/* Whatever else is changed by who knows how to mend the check, GCM notices. */
	for (size_t i = 9; i < out.length - 8; i++)
		assert_int_not_equal(judge_mended(&out, i, (char)(out.data[i] ^ 4)), SEALED_GOOD);
	buffer_fini(&out);
}

static void sizes_have_ends(void **state)
{
	char *text = calloc(1, SEALED_TEXT_MAX + 1), *read;
	struct buffer out;
	size_t length;

	(void)state;
	assert_non_null(text);
	buffer_init(&out, NULL, 0);
	assert_int_equal(
		sealed_state_write(key, nonce, &client, text, SEALED_TEXT_MAX + 1, &out), -EFBIG);
	assert_int_equal(out.length, 0);
	for (size_t n = 0; n <= SEALED_TEXT_MAX; n += SEALED_TEXT_MAX) {
		assert_int_equal(sealed_state_write(key, nonce, &client, text, n, &out), 0);
		assert_int_equal(
			sealed_state_read(key, &client, out.data, out.length, &read, &length),
			SEALED_GOOD);
		assert_int_equal(length, n);
		secret_free(read, length + 1);
		buffer_fini(&out);
		buffer_init(&out, NULL, 0);
	}
	buffer_fini(&out);
	free(text);
}

static void the_text_of_a_record(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{"refresh_token abc\n", true},
		{"refresh_token abc\nof_a_later_version x y\n", true},
		{"refused yes\nrefresh_token abc\n", true},
		{"", false},
		{"profile p\n", false},
		{"refresh_token abc", false},
		{"refresh_token \n", false},
		{"refresh_token a b\n", false},
		{"refresh_token a\x01\n", false},
		{"refresh_token a\nrefresh_token b\n", false},
		{"refused no\nrefresh_token a\n", false},
		{"profile P\nrefresh_token a\n", false},
		{"logged_in x\nrefresh_token a\n", false},
		{"logged_in 1234567890123456789\nrefresh_token a\n", false},
		{"\nrefresh_token a\n", false},
		{" a\nrefresh_token a\n", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct login_record r = LOGIN_RECORD_NONE;

		assert_int_equal(
			login_record_parse(cases[i].text, strlen(cases[i].text), &r) == SEALED_GOOD,
			cases[i].good);
		assert_int_equal(r.refresh_token.text != NULL, cases[i].good);
		login_record_fini(&r);
	}
}

static void the_longest_token_fits(void **state)
{
	struct login_record r = {.refused = true}, again = LOGIN_RECORD_NONE;
	char text[TOKEN_MAX];
	struct buffer out;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(token_init(&r.refresh_token, text, sizeof(text)), 0);
	buffer_init(&out, NULL, 0);
	assert_int_equal(login_record_write(&r, key, nonce, &client, &out), 0);
	assert_int_equal(
		login_record_read(key, &client, out.data, out.length, &again), SEALED_GOOD);
	assert_true(token_equal(&r.refresh_token, &again.refresh_token));
	assert_true(again.refused);
	assert_string_equal(again.profile, "");
	buffer_fini(&out);
	login_record_fini(&again);
	login_record_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stored_file_of_version_1_is_read),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(every_length_counts),
		cmocka_unit_test(what_is_wrong_is_told_apart),
		cmocka_unit_test(sizes_have_ends),
		cmocka_unit_test(the_text_of_a_record),
		cmocka_unit_test(the_longest_token_fits),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
