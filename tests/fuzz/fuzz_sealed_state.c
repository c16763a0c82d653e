/* The file of a login. The input is the text that is sealed in it; "raw:" in front makes it the
 * file itself, up to the last field, which this target adds. */
#include "core/login_record.h"
#include "core/sealed_state.h"
#include "core/secret.h"
#include "fuzz.h"
#include <openssl/evp.h>

#define CHECK_LENGTH 8

static const unsigned char key[SEALED_KEY_LENGTH] = "thirty-two bytes that are a key";
static const unsigned char other_key[SEALED_KEY_LENGTH] = "thirty-two others that are a key";
static const unsigned char nonce[SEALED_NONCE_LENGTH] = "used once.";

static struct sealed_client client_of(const char *id)
{
	struct sealed_client client;

	CHECK(!sealed_client_init(
		&client, "https://login.example.com/oauth/token", id, "authorization_code"));
	return client;
}

/* On the heap and all 0xa5 at first: a failure must leave it so. */
static enum sealed_verdict read_record(const unsigned char *with,
	const struct sealed_client *client, const char *bytes, size_t length,
	struct login_record **ret)
{
	struct login_record *r = malloc(sizeof(*r));
	char *copy = fuzz_copy(bytes, length);
	enum sealed_verdict verdict;

	CHECK(r);
	memset(r, 0xa5, sizeof(*r));
	verdict = login_record_read(with, client, copy, length, r);
	CHECK(*sealed_verdict_words(verdict) || verdict == SEALED_GOOD);
	if (verdict != SEALED_GOOD) {
		for (size_t i = 0; i < sizeof(*r); i++)
			CHECK(((unsigned char *)r)[i] == 0xa5);
		free(r);
		r = NULL;
	}
	free(copy);
	*ret = r;
	return verdict;
}

static void record_free(struct login_record *r)
{
	login_record_fini(r);
	free(r);
}

static void check_sealed(const struct login_record *r)
{
	struct sealed_client client = client_of("one"), other = client_of("another");
	struct login_record *again, *none;
	struct buffer file;
	struct random dice;
	size_t at;

	buffer_init(&file, NULL, 0);
	CHECK(login_record_write(r, key, nonce, &client, &file) == 0);
	CHECK(!memmem(file.data, file.length, r->refresh_token.text, r->refresh_token.length) ||
		r->refresh_token.length < 4);
	CHECK(read_record(key, &client, file.data, file.length, &again) == SEALED_GOOD);
	CHECK(!strcmp(again->refresh_token.text, r->refresh_token.text));
	CHECK(again->refused == r->refused && again->logged_in_s == r->logged_in_s);
	CHECK(!strcmp(again->profile, r->profile));
	record_free(again);
	CHECK(read_record(key, &other, file.data, file.length, &none) == SEALED_FOREIGN);
	CHECK(read_record(other_key, &client, file.data, file.length, &none) == SEALED_OTHER_KEY);
	/* one bit, or its end missing */
	dice = fuzz_random(file.data, file.length);
	at = fuzz_below(&dice, file.length);
	CHECK(read_record(key, &client, file.data, at, &none) == SEALED_DAMAGED);
	file.data[at] ^= (char)(1u << fuzz_below(&dice, 8));
	CHECK(read_record(key, &client, file.data, file.length, &none) == SEALED_DAMAGED);
	buffer_fini(&file);
}

static void check_text(const char *text, size_t length)
{
	struct login_record r, untouched;
	char *copy = fuzz_copy(text, length);
	enum sealed_verdict verdict;

	memset(&r, 0xa5, sizeof(r));
	memset(&untouched, 0xa5, sizeof(untouched));
	verdict = login_record_parse(copy, length, &r);
	free(copy);
	CHECK(verdict == SEALED_GOOD || verdict == SEALED_DAMAGED);
	if (verdict != SEALED_GOOD) {
		CHECK(!memcmp(&r, &untouched, sizeof(r)));
		return;
	}
	CHECK(r.refresh_token.length && fuzz_printable(r.refresh_token.text));
	CHECK(memchr(r.profile, '\0', sizeof(r.profile)));
	CHECK(r.logged_in_s >= 0);
	check_sealed(&r);
	login_record_fini(&r);
}

static void check_file(const uint8_t *data, size_t size)
{
	struct sealed_client client = client_of("one");
	unsigned char hash[EVP_MAX_MD_SIZE];
	char *file = malloc(size + CHECK_LENGTH);
	struct login_record *r;

	CHECK(file);
	memcpy(file, data, size);
	CHECK(EVP_Q_digest(NULL, "SHA256", NULL, file, size, hash, NULL));
	memcpy(file + size, hash, CHECK_LENGTH);
	if (read_record(key, &client, file, size + CHECK_LENGTH, &r) == SEALED_GOOD)
		record_free(r);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 4 && !memcmp(data, "raw:", 4))
		check_file(data + 4, size - 4);
	else
		check_text((const char *)data, size);
	return 0;
}
