/* The file that limits token requests over restarts. The input is its lines; this target adds the
 * checksum, without which nothing gets any further. "raw:" in front makes it a file as it is. */
#include "core/client_state.h"
#include "fuzz.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>

#define BOOT "6f3c8f0e-0000-4000-8000-000000000001"
#define OTHER_BOOT "6f3c8f0e-0000-4000-8000-000000000002"

/* On the heap and all 0xa5 at first: a failure must leave it so. */
static int read_state(const char *text, size_t length, const char *boot, struct client_state **ret)
{
	struct client_state *s = malloc(sizeof(*s));
	char *copy = fuzz_copy(text, length);
	int error;

	CHECK(s);
	memset(s, 0xa5, sizeof(*s));
	error = client_state_read(copy, length, boot, s);
	CHECK(error == 0 || error == -EINVAL);
	if (error)
		for (size_t i = 0; i < sizeof(*s); i++)
			CHECK(((unsigned char *)s)[i] == 0xa5);
	free(copy);
	*ret = s;
	return error;
}

static void check_whole(const struct client_state *s)
{
	const struct source_failure *f = &s->failure;

	CHECK(s->generation_used <= s->generation_reserved);
	CHECK(s->generation_reserved <= GENERATION_MAX);
	CHECK(s->mint.count <= MINT_LIMIT_MAX && s->mint.first < MINT_LIMIT_MAX);
	CHECK(memchr(s->salt, '\0', sizeof(s->salt)) && memchr(s->tag, '\0', sizeof(s->tag)));
	CHECK(memchr(f->error, '\0', sizeof(f->error)));
	CHECK(memchr(f->words, '\0', sizeof(f->words)));
	CHECK(memchr(f->correlation_id, '\0', sizeof(f->correlation_id)));
	if (f->any)
		CHECK(f->class > RESPONSE_TOKEN && f->class <= RESPONSE_LOGIN_REQUIRED);
}

/* "-" stands for none in the file. */
static bool same_word(const char *a, const char *b)
{
	return !strcmp(*a ? a : "-", *b ? b : "-");
}

static void check_same(const struct client_state *a, const struct client_state *b)
{
	const struct source_failure *f = &a->failure, *g = &b->failure;

	CHECK(a->generation_used == b->generation_used);
	CHECK(a->generation_reserved == b->generation_reserved);
	CHECK(a->fleet == b->fleet && a->fleet_lowest == b->fleet_lowest);
	CHECK(a->fleet_rank == b->fleet_rank);
	CHECK(a->not_before.ns == b->not_before.ns);
	CHECK(same_word(a->salt, b->salt) && same_word(a->tag, b->tag));
	CHECK(!a->revoked == !b->revoked && (!a->revoked || !strcmp(a->revoked, b->revoked)));
	CHECK(a->mint.count == b->mint.count);
	for (unsigned i = 0; i < a->mint.count; i++)
		CHECK(mint_window_at(&a->mint, i).ns == mint_window_at(&b->mint, i).ns);
	CHECK(f->any == g->any);
	if (f->any) {
		CHECK(f->class == g->class && f->status == g->status && f->at.ns == g->at.ns);
		CHECK(!strcmp(f->error, g->error) && !strcmp(f->words, g->words));
		CHECK(!strcmp(f->correlation_id, g->correlation_id));
	}
}

static void check_written_again(const struct client_state *s)
{
	struct client_state *again, *later;
	struct buffer text, text_again;

	buffer_init(&text, NULL, 0);
	client_state_write(s, BOOT, &text);
	CHECK(!buffer_failed(&text));
	CHECK(read_state(text.data, text.length, BOOT, &again) == 0);
	check_same(s, again);

	buffer_init(&text_again, NULL, 0);
	client_state_write(again, BOOT, &text_again);
	CHECK(text.length == text_again.length && !memcmp(text.data, text_again.data, text.length));

	/* After a boot only the generations are left, the credential's tag, and what is revoked. */
	CHECK(read_state(text.data, text.length, OTHER_BOOT, &later) == 0);
	CHECK(later->generation_used == s->generation_used);
	CHECK(later->generation_reserved == s->generation_reserved);
	CHECK(same_word(later->salt, s->salt) && same_word(later->tag, s->tag));
	CHECK(!later->revoked == !s->revoked &&
		(!s->revoked || !strcmp(later->revoked, s->revoked)));
	CHECK(!later->mint.count && later->not_before.ns == INT64_MIN && !later->failure.any);
	buffer_fini(&text_again);
	buffer_fini(&text);
	client_state_fini(later);
	client_state_fini(again);
	free(later);
	free(again);
}

static void check_file(const char *text, size_t length)
{
	struct random dice = fuzz_random(text, length);
	struct client_state *s, *broken;

	if (read_state(text, length, BOOT, &s) == 0) {
		char *damaged = fuzz_copy(text, length);

		check_whole(s);
		check_written_again(s);
		/* One bit, or a piece missing at the end. */
		damaged[fuzz_below(&dice, length)] ^= (char)(1u << fuzz_below(&dice, 8));
		CHECK(read_state(damaged, length, BOOT, &broken) == -EINVAL);
		free(broken);
		CHECK(read_state(text, fuzz_below(&dice, length), BOOT, &broken) == -EINVAL);
		free(broken);
		free(damaged);
		client_state_fini(s);
	}
	free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t length = size;
	char *text;

	if (size >= 4 && !memcmp(data, "raw:", 4)) {
		check_file((const char *)data + 4, size - 4);
		return 0;
	}
	text = malloc(size + 80);
	CHECK(text);
	if (size)
		memcpy(text, data, size);
	if (!length || text[length - 1] != '\n')
		text[length++] = '\n';
	text[length] = '\0'; /* which the sum covers */
	CHECK(EVP_Q_digest(NULL, "SHA256", NULL, text, length + 1, digest, NULL));
	length += (size_t)sprintf(text + length, "sum ");
	for (size_t i = 0; i < 32; i++)
		length += (size_t)sprintf(text + length, "%02x", digest[i]);
	text[length++] = '\n';
	check_file(text, length);
	free(text);
	return 0;
}
