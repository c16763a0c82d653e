/* What gctoken login takes for the browser that comes back: any bytes as a request, as a pasted
 * address and as a redirect_uri. What is not the answer leaves nothing behind, what follows a
 * request changes nothing, and an answer written again from what was read says the same. */
#include "cli/redirect.h"
#include "core/text.h"
#include "fuzz.h"

#include <stdbool.h>
#include <strings.h>

#define STATE "s3cret-State_43"

static const char *const uris[] = {"http://127.0.0.1:8090/callback", "http://localhost:1",
	"http://[::1]/a?b=c", "https://tools.example/back"};

static struct redirect_target target_of(const char *uri)
{
	struct redirect_target t;

	CHECK(redirect_target_read(uri, &t) == 0);
	return t;
}

static bool same(const struct redirect_response *a, const struct redirect_response *b)
{
	return !strcmp(a->code, b->code) && !strcmp(a->iss, b->iss) &&
	       !strcmp(a->error, b->error) && !strcmp(a->description, b->description);
}

/* `pasted`, or a request. */
static int read_as(bool pasted, const char *bytes, size_t length,
	const struct redirect_target *target, struct redirect_response *ret)
{
	static struct redirect_response untouched;
	char *copy = fuzz_copy(bytes, length);
	int verdict;

	memset(&untouched, 0x55, sizeof(untouched));
	*ret = untouched;
	verdict = pasted ? redirect_pasted_read(copy, length, target, STATE, ret)
			 : redirect_request_read(copy, length, target, STATE, ret);
	free(copy);
	CHECK(verdict >= 0 && verdict <= REDIRECT_WRONG_STATE);
	CHECK(!pasted || verdict != REDIRECT_MORE);
	if (verdict)
		CHECK(!memcmp(ret, &untouched, sizeof(untouched)));
	return verdict;
}

static void check_response(const struct redirect_response *a)
{
	CHECK(strlen(a->code) <= REDIRECT_CODE_MAX && strlen(a->iss) < sizeof(a->iss));
	CHECK(strlen(a->error) < sizeof(a->error));
	CHECK(strlen(a->description) < sizeof(a->description));
	CHECK(!*a->code != !*a->error);
	CHECK(fuzz_printable(a->code) && fuzz_printable(a->iss) && fuzz_printable(a->error));
}

static void put(char *to, size_t size, const char *name, const char *value)
{
	size_t used = strlen(to);

	used += (size_t)snprintf(to + used, size - used, "&%s=", name);
	CHECK(used + percent_length(PERCENT_URL, value) < size);
	*percent_write(PERCENT_URL, to + used, value) = '\0';
}

static void check_written_again(
	bool pasted, const struct redirect_response *a, const struct redirect_target *t)
{
	static char text[16384];
	struct redirect_response again;

	snprintf(text, sizeof(text), "%s%.*s?x=y&state=" STATE, pasted ? "" : "GET ",
		(int)(pasted ? t->base.length : t->path.length), pasted ? t->base.at : t->path.at);
	put(text, sizeof(text), *a->code ? "code" : "error", *a->code ? a->code : a->error);
	put(text, sizeof(text), "iss", a->iss);
	put(text, sizeof(text), "error_description", a->description);
	if (!pasted)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			" HTTP/1.1\r\nhost:%.*s\r\n\r\n", (int)t->authority.length,
			t->authority.at);
	CHECK(read_as(pasted, text, strlen(text), t, &again) == 0);
	CHECK(same(a, &again));
}

static void try_request(const char *bytes, size_t size, const struct redirect_target *t)
{
	struct random dice = fuzz_random(bytes, size);
	struct redirect_response a, other;
	int verdict = read_as(false, bytes, size, t, &a);
	const char *end = memmem(bytes, size, "\r\n\r\n", 4);
	char *longer;

	CHECK((verdict == REDIRECT_MORE) == (!end && size < REDIRECT_HEAD_MAX));
	if (!end)
		return;
	for (size_t n = 0; n < 16; n++)
		CHECK(read_as(false, bytes, fuzz_below(&dice, (size_t)(end - bytes) + 4), t,
			      &other) == REDIRECT_MORE);
	longer = malloc(size + 3);
	CHECK(longer);
	memcpy(longer, bytes, size);
	memcpy(longer + size, "\r\n\0", 3);
	CHECK(read_as(false, longer, size + 3, t, &other) == verdict);
	free(longer);
	if (verdict)
		return;
	CHECK(same(&a, &other));
	check_response(&a);
	CHECK(!memcmp(bytes, "GET ", 4) && !memcmp(bytes + 4, t->path.at, t->path.length));
	CHECK(bytes[4 + t->path.length] == '?');
	CHECK(memmem(bytes, (size_t)(end - bytes), "state=", 6));
	check_written_again(false, &a, t);
}

static void try_pasted(const char *bytes, size_t size, const struct redirect_target *t)
{
	struct redirect_response a, other;
	char *blanks;
	int verdict = read_as(true, bytes, size, t, &a);

	blanks = malloc(size + 4);
	CHECK(blanks);
	memcpy(blanks, " \t", 2);
	memcpy(blanks + 2, bytes, size);
	memcpy(blanks + 2 + size, "\r\n", 2);
	CHECK(read_as(true, blanks, size + 4, t, &other) == verdict);
	free(blanks);
	if (verdict)
		return;
	CHECK(same(&a, &other));
	check_response(&a);
	check_written_again(true, &a, t);
}

/* An address that was taken apart can be written from its parts. */
static void try_uri(const char *bytes, size_t size)
{
	char *uri = malloc(size + 1);
	struct redirect_target t;
	size_t scheme;

	CHECK(uri);
	memcpy(uri, bytes, size);
	uri[size] = '\0';
	if (redirect_target_read(uri, &t) == 0) {
		scheme = t.local || !strncasecmp(uri, "http://", 7) ? 7 : 8;
		CHECK(t.base.at == uri && t.base.length <= strlen(uri) && t.port);
		CHECK(t.authority.at == uri + scheme && t.authority.length);
		CHECK(t.authority.length + scheme <= t.base.length && t.path.at[0] == '/');
		CHECK(*t.host && strlen(t.host) <= t.authority.length && fuzz_printable(uri));
		CHECK(memmem(t.authority.at, t.authority.length, t.host, strlen(t.host)));
		CHECK(!t.local || scheme == 7);
	}
	free(uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	if (!size)
		bytes = "";
	for (size_t i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		struct redirect_target t = target_of(uris[i]);

		try_request(bytes, size, &t);
		try_pasted(bytes, size, &t);
	}
	try_uri(bytes, size);
	return 0;
}
