/* The answer with a token, beside one that is written the plain way, whatever was asked before. */
#include "core/reply_token.h"

#include "core/config.h"
#include "core/random.h"
#include "core/reply.h"
#include "core/token_ask.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct form {
	bool keep_alive, text;
	uint32_t idle_s;
	enum token_place token_in;
};

static char name[] = "default", region[] = "us-west-2", api_url[] = "https://api.usw2.pure.cloud";

static struct profile_settings settings_make(void)
{
	return (struct profile_settings){.name = name, .region = region, .api_url = api_url};
}

static void slot_make(struct token_slot *slot, const char *text, uint64_t generation)
{
	memset(slot, 0, sizeof(*slot));
	assert_int_equal(token_init(&slot->token, text, strlen(text)), 0);
	slot->generation = generation;
}

/* As http-api.md has it, without any of the means of the code under test. */
static size_t expected(char *to, size_t size, struct form f, const char *escaped,
	const struct profile_settings *s, const struct token_outcome *o)
{
	const char *state = o->stale ? "stale" : "fresh";
	char body[20000], field[10000] = "", where[300], idle[80] = "";
	char url[200] = "", type[80];
	int length;

	if (f.idle_s)
		snprintf(idle, sizeof(idle), "Connection: keep-alive\r\nKeep-Alive: timeout=%u\r\n",
			f.idle_s);

	snprintf(where, sizeof(where),
		s->region ? "\"%s\",\"api_url\":\"%s\"" : "null,\"api_url\":null", s->region,
		s->api_url);
	if (f.token_in != TOKEN_IN_BODY)
		snprintf(field, sizeof(field), "Authorization: Bearer %s\r\n", o->slot->token.text);
	if (s->api_url)
		snprintf(url, sizeof(url), "Gctoken-Api-Url: %s\r\n", s->api_url);
	snprintf(type, sizeof(type), "Content-Type: %s\r\n",
		f.text ? "text/plain; charset=utf-8" : "application/json");
	if (f.token_in == TOKEN_IN_FIELD)
		length = *type = *body = '\0';
	else if (f.text)
		length = snprintf(body, sizeof(body), "%s\n", o->slot->token.text);
	else
		length = snprintf(body, sizeof(body),
			"{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%" PRId64
			",\"refresh_in\":%" PRId64 ",\"generation\":%" PRIu64
			",\"fingerprint\":\"%s\",\"state\":\"%s\",\"profile\":\"%s\",\"region\":%s}"
			"\n",
			escaped, o->expires_in.ns / NS_PER_S, o->refresh_in_s, o->slot->generation,
			o->slot->token.fingerprint, state, s->name, where);
	length = snprintf(to, size,
		"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n%sGctoken-Generation: %" PRIu64
		"\r\nGctoken-Expires-In-Ms: %" PRId64
		"\r\n%s%sGctoken-Fingerprint: %s\r\nGctoken-State: %s\r\n%s"
		"Content-Length: %d\r\n\r\n%s",
		f.keep_alive ? idle : "Connection: close\r\n", o->slot->generation,
		o->expires_in.ns / NS_PER_MS, field, url, o->slot->token.fingerprint, state, type,
		length, body);
	assert_true(length > 0 && (size_t)length < size);
	return (size_t)length;
}

static void assert_reported(struct token_reply_cache *reply_cache, struct form f,
	const char *escaped, const struct profile_settings *s, const struct token_outcome *o)
{
	static char storage[40000], wanted[40000];
	size_t length = expected(wanted, sizeof(wanted), f, escaped, s, o);
	struct buffer out;
	struct reply reply = {.out = &out,
		.keep_alive = f.keep_alive,
		.idle_s = f.idle_s,
		.text = f.text,
		.token_in = f.token_in};

	buffer_init(&out, storage, sizeof(storage));
	buffer_put_text(&out, "what stands before it: ");
	reply_token(&reply, reply_cache, s, o);
	assert_false(buffer_failed(&out));
	assert_int_equal(out.length, 23 + length);
	assert_memory_equal(out.data + 23, wanted, length);
	buffer_fini(&out);
}

static struct token_outcome outcome_make(
	const struct token_slot *slot, int64_t expires_ms, int64_t refresh_s, bool stale)
{
	return (struct token_outcome){
		.kind = OUTCOME_TOKEN,
		.slot = slot,
		.expires_in = duration_ms(expires_ms),
		.refresh_in_s = refresh_s,
		.stale = stale,
	};
}

/* Tokens, forms, states and settings change from answer to answer, with numbers of every length. */
static void whatever_was_answered_before(void **state)
{
	static const char *const texts[] = {"p3cJ_x", "a\"quote\\and{more}", "another-token"};
	static const char *const escaped[] = {"p3cJ_x", "a\\\"quote\\\\and{more}", "another-token"};
	struct profile_settings settings[2] = {settings_make(), settings_make()};
	struct token_reply_cache reply_cache = {0};
	struct token_slot slots[3];
	struct random random = {20240601};
	size_t with = 0;

	(void)state;
	settings[1].region = settings[1].api_url = NULL;
	for (uint64_t i = 0; i < 3; i++)
		slot_make(&slots[i], texts[i], i ? 999 * i : (UINT64_C(1) << 53) - 1);
	for (int i = 0; i < 20000; i++) {
		uint64_t draw = random_next(&random);
		size_t which = draw % 3;
		int64_t most = INT64_C(1) << (10 + (draw >> 8) % 36);
		int64_t expires = 1000 + (int64_t)(random_next(&random) % (uint64_t)most);
		struct form f = {.keep_alive = (draw >> 16) % 8 > 0,
			.text = (draw >> 20) % 8 == 0,
			.idle_s = (draw >> 34) % 4 ? 600 : 0,
			.token_in = (draw >> 38) % 4 ? TOKEN_IN_BODY
						     : (enum token_place)((draw >> 40) % 3)};
		struct token_outcome o;

		o = outcome_make(&slots[which], expires,
			(int64_t)(random_next(&random) % (uint64_t)(expires / 1000 + 1)),
			(draw >> 24) % 8 == 0);
		if ((draw >> 28) % 64 == 0) {
			with = !with;
			token_reply_cache_drop(&reply_cache);
		}
		assert_reported(&reply_cache, f, escaped[which], &settings[with], &o);
	}
	for (size_t i = 0; i < 3; i++)
		token_slot_empty(&slots[i]);
	token_reply_cache_fini(&reply_cache);
}

static void the_longest_token(void **state)
{
	struct profile_settings settings = settings_make();
	static char text[TOKEN_MAX + 1], escaped[2 * TOKEN_MAX + 1];
	struct token_reply_cache reply_cache = {0};
	struct token_outcome o;
	struct token_slot slot;

	(void)state;
	memset(text, '\\', TOKEN_MAX);
	memset(escaped, '\\', 2 * (size_t)TOKEN_MAX);
	slot_make(&slot, text, 1);
	o = outcome_make(&slot, 1000, 0, false);
	for (enum token_place in = TOKEN_IN_BODY; in <= TOKEN_IN_FIELD; in++) {
		assert_reported(
			&reply_cache, (struct form){true, false, 0, in}, escaped, &settings, &o);
		assert_reported(
			&reply_cache, (struct form){true, true, 0, in}, escaped, &settings, &o);
	}
	token_slot_empty(&slot);
	token_reply_cache_fini(&reply_cache);
}

/* Also behind its end, where valgrind would say, rightly, that nobody may look. */
static bool has_canary(const struct buffer *b)
{
	const char *preloaded = getenv("LD_PRELOAD");
	bool valgrind = preloaded && strstr(preloaded, "vgpreload");

	return memmem(b->data, valgrind ? b->length : b->capacity, "canary", 6) != NULL;
}

static bool keeps_canary(const struct token_reply_cache *s)
{
	return has_canary(&s->front) || has_canary(&s->behind);
}

/* What is kept between two answers has no token in it, and is not allocated anew. */
static void keeps_no_token(void **state)
{
	struct profile_settings settings = settings_make();
	struct token_reply_cache reply_cache = {0};
	struct token_outcome o;
	struct token_slot slot;
	const char *kept;

	(void)state;
	slot_make(&slot, "canary-of-a-token", 17);
	o = outcome_make(&slot, 3600000, 3000, false);
	assert_reported(
		&reply_cache, (struct form){true, false, 0, 0}, "canary-of-a-token", &settings, &o);
	assert_false(keeps_canary(&reply_cache));
	for (enum token_place in = TOKEN_IN_BODY; in <= TOKEN_IN_FIELD; in++) {
		struct form both[] = {{true, true, 0, in}, {false, false, 0, in}};

		for (size_t i = 0; i < 2; i++)
			assert_reported(&reply_cache, both[i], "canary-of-a-token", &settings, &o);
		assert_false(keeps_canary(&reply_cache));
	}
	kept = reply_cache.front.data;
	assert_reported(
		&reply_cache, (struct form){true, true, 0, 0}, "canary-of-a-token", &settings, &o);
	assert_reported(&reply_cache, (struct form){false, false, 0, 0}, "canary-of-a-token",
		&settings, &o);
	assert_ptr_equal(reply_cache.front.data, kept);
	assert_false(keeps_canary(&reply_cache));
	token_slot_empty(&slot);
	token_reply_cache_fini(&reply_cache);
	token_reply_cache_fini(&reply_cache); /* twice does no harm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_was_answered_before),
		cmocka_unit_test(the_longest_token),
		cmocka_unit_test(keeps_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
