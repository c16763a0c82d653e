/* A token that is rejected soon after another: the API is asked whether it accepts it, by the
 * profile's own path, and what it says is what callers are told. */
#include "broker_fixture.h"

#include "broker/profile_type.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define ONE "[profile a]\nprefetch = no\nmint_limit = 10\n"

static struct caller *reject(struct rig *r, const char *generation)
{
	char path[100] = "/v1/token/reject?profile=a&wait=10&generation=";

	return caller_ask(r, "POST", strcat(path, generation));
}

/* Its token "token-2" has replaced "token-1", which was rejected, ten seconds ago. */
static struct rig *start(void)
{
	struct rig *r = rig_new(ONE);
	struct caller *c = caller_ask(r, "GET", "/v1/token?profile=a");

	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	c = reject(r, "1");
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_true(TAILQ_EMPTY(&r->fetches));
	rig_pass(r, 10);
	return r;
}

/* The only request under way, which asks about token-2. */
static struct fetch *question(struct rig *r)
{
	struct fetch *f = TAILQ_FIRST(&r->fetches);

	assert_non_null(f);
	assert_null(TAILQ_NEXT(f, link));
	assert_int_equal(f->method, FETCH_HEAD);
	assert_string_equal(f->url, "https://api.test/api/v2/tokens/me");
	assert_string_equal(f->authorization, "Bearer token-2");
	return f;
}

static void test_accepted(void **state)
{
	struct rig *r = start();
	struct caller *c = reject(r, "2"), *other = reject(r, "2");

	(void)state;
	assert_int_equal(caller_status(r, c), 0);
	assert_string_equal(rig_token(r, "a"), "token-2");
	rig_answer(r, question(r), 204, "");
	assert_int_equal(caller_status(r, c), 429);
	assert_non_null(strstr(caller_body(c), "accepts this token"));
	assert_int_equal(caller_status(r, other), 429);
	assert_true(TAILQ_EMPTY(&r->fetches));
	caller_gone(r, c);
	caller_gone(r, other);
	rig_free(r);
}

static void test_refused(void **state)
{
	struct rig *r = start();
	struct caller *c = reject(r, "2");

	(void)state;
	rig_answer(r, question(r), 401, "");
	assert_int_equal(caller_status(r, c), 0);
	rig_answer_token(r, rig_post(r), "token-3", NULL);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "access_token"), "token-3");
	caller_gone(r, c);
	rig_free(r);
}

/* Whatever else it says, or if it says nothing, or cannot be asked. */
static void test_no_verdict(void **state)
{
	static const long statuses[] = {0, 200 + 100, 400, 403, 404, 429, 500, 503};

	(void)state;
	for (size_t i = 0; i <= sizeof(statuses) / sizeof(*statuses); i++) {
		struct rig *r = start();
		bool unsent = i == sizeof(statuses) / sizeof(*statuses);
		struct caller *c;

		r->fetch_error = unsent ? -EAGAIN : 0;
		c = reject(r, "2");
		r->fetch_error = 0;
		if (!unsent && statuses[i])
			rig_answer(r, question(r), statuses[i], "");
		else if (!unsent)
			rig_answer_failure(r, question(r), "no answer");
		assert_int_equal(caller_status(r, c), 429);
		assert_non_null(strstr(caller_body(c), "only a moment ago"));
		assert_true(TAILQ_EMPTY(&r->fetches));
		caller_gone(r, c);
		rig_free(r);
	}
}

/* The login server is down, and one caller says that a good token was refused. */
static void test_accepted_where_the_fetch_fails(void **state)
{
	struct rig *r = rig_new(ONE);
	struct caller *c = caller_ask(r, "GET", "/v1/token?profile=a"), *other;

	(void)state;
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	c = reject(r, "1");
	other = caller_ask(r, "GET", "/v1/token?profile=a&wait=10");
	rig_answer(r, rig_post(r), 503, "down");
	assert_int_equal(caller_status(r, c), 0);
	assert_int_equal(caller_status(r, other), 0);
	rig_answer(r, question(r), 204, "");
	assert_int_equal(caller_status(r, c), 429);
	assert_non_null(strstr(caller_body(c), "accepts this token"));
	assert_int_equal(caller_status(r, other), 200);
	assert_string_equal(caller_member(other, "access_token"), "token-2");
	assert_string_equal(caller_member(other, "state"), "fresh");
	assert_true(TAILQ_EMPTY(&r->fetches));
	caller_gone(r, c);
	caller_gone(r, other);
	rig_free(r);
}

/* Nobody is left to hear it. */
static void test_the_profile_goes_meanwhile(void **state)
{
	struct rig *r = start();
	struct caller *c = reject(r, "2");

	(void)state;
	question(r);
	rig_configure(r, "[profile b]\nprefetch = no\n");
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 404);
	assert_true(TAILQ_EMPTY(&r->fetches));
	caller_gone(r, c);
	rig_free(r);
}

/* A question about a token that is not the current one any more gives way to the next. */
static void test_one_question_at_a_time(void **state)
{
	struct rig *r = start();
	struct caller *c = reject(r, "2"), *admin;

	(void)state;
	question(r);
	admin = caller_ask(r, "POST", "/v1/refresh?profile=a");
	rig_answer_token(r, rig_post(r), "token-3", NULL);
	assert_int_equal(caller_status(r, admin), 200);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "access_token"), "token-3");
	caller_gone(r, c);
	c = reject(r, "3");
	assert_int_equal(caller_status(r, c), 0);
	assert_string_equal(TAILQ_FIRST(&r->fetches)->authorization, "Bearer token-3");
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&r->fetches), link));
	caller_gone(r, c);
	caller_gone(r, admin);
	rig_free(r);
}

/* A JWT that begins so many seconds from now. */
static void answer_jwt(struct rig *r, int64_t begins_in_s)
{
	char claims[64], encoded[100], token[160];

	/* a multiple of three, so that it is not padded */
	snprintf(claims, sizeof(claims), "{\"nbf\":%-22lld}",
		(long long)(r->now.wall.ns / NS_PER_S + r->server_ahead_s + begins_in_s));
	assert_int_equal(strlen(claims) % 3, 0);
	EVP_EncodeBlock(
		(unsigned char *)encoded, (const unsigned char *)claims, (int)strlen(claims));
	snprintf(token, sizeof(token), "e30.%s.bm9uZQ", encoded);
	rig_answer_token(r, rig_post(r), token, NULL);
}

static bool is_in_history(struct rig *r, const char *words)
{
	const struct history_event *all[HISTORY_ALL];

	for (size_t i = history_all(&rig_profile(r, "a")->history, all); i-- > 0;)
		if (strstr(all[i]->words, words))
			return true;
	return false;
}

/* "token-2" serves, and a third one that came ten seconds later is not valid for three more. Two
 * callers: the first has rejected token-2, the second waits for that to change. */
static struct rig *start_between(struct caller *ret[2])
{
	struct rig *r = start();
	struct caller *admin = caller_ask(r, "POST", "/v1/refresh?profile=a");

	answer_jwt(r, 3);
	assert_int_equal(caller_status(r, admin), 200);
	caller_gone(r, admin);
	assert_string_equal(rig_token(r, "a"), "token-2");
	ret[0] = reject(r, "2");
	ret[1] = caller_ask(r, "GET", "/v1/token?profile=a&after=2&wait=10");
	assert_int_equal(caller_status(r, ret[0]), 0);
	assert_int_equal(caller_status(r, ret[1]), 0);
	assert_true(is_in_history(r, "the API refused it; the next one is here"));
	return r;
}

static void end_between(struct rig *r, struct caller *c[2])
{
	rig_pass(r, 8); /* and the guard */
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(caller_status(r, c[i]), 200);
		assert_int_equal(strncmp(caller_member(c[i], "access_token"), "e30.", 4), 0);
		caller_gone(r, c[i]);
	}
	rig_free(r);
}

/* What a caller says of the token before the current one is no other caller's loss, unless it is
 * true. */
static void test_the_older_one_is_accepted(void **state)
{
	struct caller *c[2], *plain;
	struct rig *r = start_between(c);

	(void)state;
	rig_answer(r, question(r), 204, "");
	assert_true(is_in_history(r, "accepts token"));
	plain = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(caller_status(r, plain), 200);
	assert_string_equal(caller_member(plain, "access_token"), "token-2");
	assert_string_equal(caller_member(plain, "state"), "fresh");
	caller_gone(r, plain);
	end_between(r, c);
}

static void test_the_older_one_is_refused(void **state)
{
	struct caller *c[2], *plain;
	struct rig *r = start_between(c);

	(void)state;
	rig_answer(r, question(r), 401, "");
	assert_true(is_in_history(r, "refuses token"));
	assert_string_equal(rig_token(r, "a"), "");
	plain = caller_ask(r, "GET", "/v1/token?profile=a&wait=10");
	assert_int_equal(caller_status(r, plain), 0);
	caller_gone(r, plain);
	end_between(r, c);
}

static void test_nothing_is_known_of_the_older_one(void **state)
{
	struct caller *c[2], *plain;
	struct rig *r = start_between(c);

	(void)state;
	rig_answer_failure(r, question(r), "no answer");
	plain = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(caller_status(r, plain), 200);
	assert_string_equal(caller_member(plain, "access_token"), "token-2");
	assert_string_equal(caller_member(plain, "state"), "stale");
	caller_gone(r, plain);
	end_between(r, c);
}

/* Whoever has a token can end it at the API and then reject it, each time a new one comes. That
 * takes from other profiles of the client neither their first token nor the replacement of one that
 * has died. */
static void test_who_ends_every_token(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n[profile b]\nprefetch = no\n"
				"[profile z]\nprefetch = no\n");
	struct caller *c = caller_ask(r, "GET", "/v1/token?profile=b");
	unsigned replaced = 0;
	char generation[24], text[32];
	struct fetch *f;

	(void)state;
	rig_answer_token(r, rig_post(r), "of-b", NULL);
	assert_string_equal(rig_token(r, "b"), "of-b");
	caller_gone(r, c);
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	rig_answer_token(r, rig_post(r), "of-a", NULL);
	caller_gone(r, c);
	for (unsigned n = 0; n < 40; n++) {
		rig_pass(r, 3);
		snprintf(generation, sizeof(generation), "%u", n + 2);
		c = reject(r, generation);
		f = TAILQ_FIRST(&r->fetches);
		if (f && f->method == FETCH_HEAD)
			rig_answer(r, f, 401, "");
		if (!rig_posts(r)) {
			caller_gone(r, c);
			break;
		}
		snprintf(text, sizeof(text), "of-a-%u", n);
		rig_answer_token(r, rig_post(r), text, NULL);
		assert_int_equal(caller_status(r, c), 200);
		caller_gone(r, c);
		replaced++;
	}
	assert_int_equal(replaced, 10);
	assert_true(rig_logged(r, "all 10 fetches that rejections may cause in 300 s"));
	/* the others of this profile are told that it is stale, and have it all the same */
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=10");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "state"), "stale");
	caller_gone(r, c);
	c = caller_ask(r, "POST", "/v1/token/reject?profile=b&generation=1");
	rig_answer_token(r, rig_post(r), "of-b-too", NULL);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "access_token"), "of-b-too");
	caller_gone(r, c);
	c = caller_ask(r, "GET", "/v1/token?profile=z");
	rig_answer_token(r, rig_post(r), "of-z", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	/* and who waits for the share is told so, and when */
	snprintf(generation, sizeof(generation), "%u", replaced + 2);
	c = reject(r, generation);
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "all 10 token requests that rejections may cause"));
	caller_gone(r, c);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_verdict),
		cmocka_unit_test(test_the_older_one_is_accepted),
		cmocka_unit_test(test_the_older_one_is_refused),
		cmocka_unit_test(test_nothing_is_known_of_the_older_one),
		cmocka_unit_test(test_who_ends_every_token),
		cmocka_unit_test(test_accepted_where_the_fetch_fails),
		cmocka_unit_test(test_the_profile_goes_meanwhile),
		cmocka_unit_test(test_one_question_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
