/* What libgctoken takes for an answer of the broker: every shorter piece of it asks for more,
 * whatever follows it changes nothing, a refusal stays one, and an answer written again from what
 * was read says the same. */
#include "fuzz.h"
#include "response_parser.h"
#include <errno.h>
#include <stdbool.h>
#include <strings.h>

static int parse(const char *bytes, size_t length, struct response *ret)
{
	static const struct response untouched = {.status = 4711, .length = 4712};
	char *copy = fuzz_copy(bytes, length);
	int error;

	*ret = untouched;
	error = gctoken_response_parse(copy, length, ret);
	if (error) {
		CHECK(error == -EAGAIN || error == -EBADMSG);
		CHECK(!memcmp(ret, &untouched, sizeof(untouched)));
	} else {
		struct response_span *spans[] = {&ret->generation, &ret->expires_in_ms,
			&ret->fingerprint, &ret->state, &ret->retry_after, &ret->body};

		for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
			if (!spans[i]->at)
				continue;
			CHECK(spans[i]->at >= copy && spans[i]->at <= copy + ret->length);
			CHECK(spans[i]->length <= ret->length - (size_t)(spans[i]->at - copy));
			spans[i]->at = bytes + (spans[i]->at - copy);
		}
	}
	free(copy);
	return error;
}

static bool span_same(const struct response_span *a, const struct response_span *b)
{
	return !a->at == !b->at && a->length == b->length &&
	       (!a->length || !memcmp(a->at, b->at, a->length));
}

static bool same(const struct response *a, const struct response *b)
{
	return a->status == b->status && a->keep_alive == b->keep_alive &&
	       span_same(&a->generation, &b->generation) &&
	       span_same(&a->expires_in_ms, &b->expires_in_ms) &&
	       span_same(&a->fingerprint, &b->fingerprint) && span_same(&a->state, &b->state) &&
	       span_same(&a->retry_after, &b->retry_after) && span_same(&a->body, &b->body);
}

static void check_number(const struct response_span *span)
{
	uint64_t n = 4711;
	char text[32] = "";

	if (!gctoken_response_number(span, &n)) {
		CHECK(n == 4711);
		return;
	}
	CHECK(span->length >= 1 && span->length < sizeof(text));
	memcpy(text, span->at, span->length);
	CHECK(n <= INT64_MAX && strtoull(text, NULL, 10) == n);
	CHECK(strspn(text, "0123456789") == span->length);
}

static void check_error(const struct response *r)
{
	char code[64] = "untouched!";
	char quoted[80];

	if (!gctoken_response_error(r, code)) {
		CHECK(!strcmp(code, "untouched!"));
		return;
	}
	CHECK(*code && strspn(code, "abcdefghijklmnopqrstuvwxyz_") == strlen(code));
	snprintf(quoted, sizeof(quoted), "\"%s\"", code);
	CHECK(memmem(r->body.at, r->body.length, quoted, strlen(quoted)));
}

static void put(char **to, const char *name, const struct response_span *value)
{
	if (value->at)
		*to += sprintf(*to, "%s:%.*s\r\n", name, (int)value->length, value->at);
}

static void check_written_again(const struct response *r)
{
	char *text = malloc(r->length + 1024), *to = text;
	struct response again;

	CHECK(text);
	to += sprintf(
		to, "HTTP/1.1 %d \r\n%s", r->status, r->keep_alive ? "" : "Connection: close\r\n");
	put(&to, "GCTOKEN-GENERATION", &r->generation);
	put(&to, "gctoken-expires-in-ms", &r->expires_in_ms);
	put(&to, "Gctoken-Fingerprint", &r->fingerprint);
	put(&to, "Gctoken-State", &r->state);
	put(&to, "Retry-After", &r->retry_after);
	to += sprintf(to, "Content-Length: %zu\r\n\r\n", r->body.length);
	if (r->body.length)
		memcpy(to, r->body.at, r->body.length);
	to += r->body.length;
	CHECK(parse(text, (size_t)(to - text), &again) == 0);
	CHECK(again.length == (size_t)(to - text) && same(r, &again));
	free(text);
}

/* The fields that count stand there once at most, and the head ends where it has to. */
static void check_head(const char *bytes, const struct response *r)
{
	static const char *const names[] = {
		"\r\ncontent-length:", "\r\ngctoken-generation:", "\r\ngctoken-expires-in-ms:",
		"\r\ngctoken-fingerprint:", "\r\ngctoken-state:", "\r\nretry-after:"};
	size_t length = (size_t)(r->body.at - bytes);
	unsigned found[sizeof(names) / sizeof(*names)] = {0};

	CHECK(length <= RESPONSE_HEAD_MAX && r->length == length + r->body.length);
	CHECK(length >= 4 && !memcmp(r->body.at - 4, "\r\n\r\n", 4));
	for (size_t i = 0; i < length; i++)
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			found[k] += length - i >= strlen(names[k]) &&
				    !strncasecmp(bytes + i, names[k], strlen(names[k]));
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
		CHECK(found[k] <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct random dice = fuzz_random(data, size);
	struct response r, other;
	int error = parse(bytes, size, &r);
	char *longer;

	/* With what may follow: the broker's next answer, or anything. */
	longer = malloc(size + 24);
	CHECK(longer);
	if (size)
		memcpy(longer, data, size);
	for (size_t i = 0; i < 24; i += 8) {
		uint64_t noise = random_next(&dice);

		memcpy(longer + size + i, &noise, 8);
	}
	if (error == 0) {
		CHECK(r.status >= 200 && r.status <= 599 && r.length <= size);
		CHECK(parse(longer, size + 24, &other) == 0);
		CHECK(other.length == r.length && same(&r, &other));
		for (size_t n = 0; n < 64 && n < r.length; n++)
			CHECK(parse(bytes, fuzz_below(&dice, r.length), &other) == -EAGAIN);
		CHECK(parse(bytes, r.length - 1, &other) == -EAGAIN);
		CHECK(parse(bytes, r.length, &other) == 0 && same(&r, &other));
		check_head(bytes, &r);
		check_number(&r.generation);
		check_number(&r.expires_in_ms);
		check_number(&r.retry_after);
		check_error(&r);
		check_written_again(&r);
	} else if (error == -EBADMSG) {
		CHECK(parse(longer, size + 24, &other) == -EBADMSG);
	} else if (size) {
		CHECK(size < RESPONSE_HEAD_MAX || memmem(bytes, RESPONSE_HEAD_MAX, "\r\n\r\n", 4));
		CHECK(parse(bytes, fuzz_below(&dice, size), &other) == -EAGAIN);
	}
	free(longer);
	return 0;
}
