/* What callers are told, each outcome brought about in a real token source. */
#include "source_fixture.h"

#include "core/config.h"
#include "core/reply.h"
#include "core/reply_outcome.h"
#include "core/reply_token.h"
#include "core/token_login.h"
#include "core/token_past.h"
#include "core/token_reject.h"

static char name[] = "default", api_url[] = "https://api.example";

/* The reply to `ask`, whose outcome is the latest, as a string in `ret`. */
static int reply_to(const struct rig *r, const struct token_ask *ask, char *ret, size_t size)
{
	const struct profile_settings settings = {.name = name, .api_url = api_url};
	struct token_reply_cache cache = {0};
	struct buffer out;
	struct reply reply = {.out = &out, .keep_alive = true};
	int status;

	buffer_init(&out, NULL, 0);
	status = reply_outcome(&reply, &cache, &settings, &r->s, &r->now, ask, &r->o);
	assert_false(buffer_failed(&out));
	assert_true(out.length < size);
	memcpy(ret, out.data, out.length);
	ret[out.length] = '\0';
	buffer_fini(&out);
	token_reply_cache_fini(&cache);
	return status;
}

/* Asks, and holds the reply against what it is to be. `retry_after_s` < 0: none. */
static void expect_refusal(struct rig *r, struct token_ask ask, int status, const char *code,
	const char *words, int64_t retry_after_s)
{
	char text[2000], body[1000], retry[40] = "", line[40];

	rig_ask(r, &ask);
	assert_int_equal(reply_to(r, &ask, text, sizeof(text)), status);
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	assert_memory_equal(text, line, strlen(line));
	if (retry_after_s >= 0)
		snprintf(retry, sizeof(retry), ",\"retry_after\":%lld", (long long)retry_after_s);
	snprintf(body, sizeof(body), "{\"error\":\"%s\",\"error_description\":\"%s\"%s}\n", code,
		words, retry);
	assert_non_null(strstr(text, "\r\n\r\n"));
	assert_string_equal(strstr(text, "\r\n\r\n") + 4, body);
}

static void fetch_fails(struct rig *r, enum response_class class, long status, const char *error)
{
	struct token_response response = {
		.class = class,
		.status = status,
		.minted = !status,
		.words = "words of the server",
	};

	snprintf(response.error, sizeof(response.error), "%s", error);
	assert_false(rig_fetched(r, &response));
	assert_false(rig_decide(r));
}

static void a_token_is_handed_out(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask = rig_get(r, 5);
	char text[2000];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(reply_to(r, &ask, text, sizeof(text)), 200);
	assert_non_null(strstr(text, "{\"access_token\":\"one\""));
	rig_free(r);
}

static void nothing_new_is_not_modified(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;
	char text[2000];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_get(r, 0);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNCHANGED);
	assert_int_equal(reply_to(r, &ask, text, sizeof(text)), 304);
	assert_non_null(strstr(text, "HTTP/1.1 304 "));
	rig_free(r);
}

static void too_much_is_asked_for(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(9999);
	expect_refusal(r, ask, 400, "invalid_request",
		"min_ttl: this profile's tokens allow at most 1800 s (half of their lifetime), and "
		"9999 s were asked for",
		-1);
	rig_free(r);
}

static void a_second_rejection_comes_too_soon(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	assert_true(rig_answer_token(r, "two", 3600));
	rig_decide(r);
	rig_pass(r, 9 * S);
	expect_refusal(r, rig_reject(r, 2, 5), 429, "reject_cooldown",
		"a token of this profile was rejected only a moment ago; if the API keeps refusing "
		"tokens, the token is not the reason",
		21);
	rig_free(r);
}

static void the_api_accepts_what_is_rejected(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_verifiable();

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	assert_true(rig_answer_token(r, "two", 3600));
	rig_pass(r, 9 * S);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_decide(r);
	token_source_verified(&r->s, &r->now, 2, VERDICT_ACCEPTED);
	expect_refusal(r, ask, 429, "reject_cooldown",
		"the API was asked and accepts this token (HEAD /api/v2/tokens/me): the token is "
		"not the reason for the 401",
		21);
	rig_free(r);
}

static void a_wait_ends_before_the_fetch(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	assert_true(rig_decide(r));
	expect_refusal(r, rig_get(r, 0), 504, "timeout",
		"the wait ended while a token was still being fetched", 1);
	rig_free(r);
}

static void an_admin_revoked(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_revoke(r);
	expect_refusal(r, rig_get(r, 5), 503, "revoked",
		"an admin revoked the token; POST /v1/refresh fetches a new one", -1);
	rig_free(r);
}

/* Whatever the server said is told with it, and when the next attempt is: in words only where a
 * person has to act. */
static void failures_by_class(void **state)
{
	static const struct {
		enum response_class class;
		long status;
		const char *error, *code, *words;
	} cases[] = {
		{RESPONSE_UNAVAILABLE, 500, "", "temporarily_unavailable",
			"unavailable (HTTP 500): words of the server"},
		{RESPONSE_UNAVAILABLE, 0, "", "temporarily_unavailable",
			"unavailable (no response): words of the server"},
		{RESPONSE_THROTTLED, 429, "slow_down", "temporarily_unavailable",
			"throttled (HTTP 429, slow_down): words of the server"},
		{RESPONSE_CLIENT_REJECTED, 401, "invalid_client", "client_rejected",
			"client_rejected (HTTP 401, invalid_client): words of the server"},
		{RESPONSE_LOGIN_REQUIRED, 400, "invalid_grant", "login_required",
			"login_required (HTTP 400, invalid_grant): words of the server"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		char words[200];
		int64_t pause_s;

		if (cases[i].class == RESPONSE_LOGIN_REQUIRED)
			token_source_set_login(&r->s, SOURCE_LOGIN_READY);
		assert_true(rig_decide(r));
		fetch_fails(r, cases[i].class, cases[i].status, cases[i].error);
		pause_s = duration_ceil_s(boot_since(r->s.not_before, r->now.boot));
		if (strcmp(cases[i].code, "temporarily_unavailable")) {
			snprintf(words, sizeof(words), "%s; next attempt in %lld s", cases[i].words,
				(long long)pause_s);
			expect_refusal(r, rig_get(r, 0), 503, cases[i].code, words, -1);
		} else {
			expect_refusal(
				r, rig_get(r, 0), 503, cases[i].code, cases[i].words, pause_s);
		}
		rig_free(r);
	}
}

static void the_correlation_id_is_told(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	int64_t pause_s;

	(void)state;
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	pause_s = duration_ceil_s(boot_since(r->s.not_before, r->now.boot));
	expect_refusal(r, rig_get(r, 0), 503, "temporarily_unavailable",
		"unavailable (HTTP 500, an_error): words of the server; correlation id c0ffee",
		pause_s);
	rig_free(r);
}

static void before_the_first_fetch(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	token_source_restore(&r->s, boot_add(r->now.boot, duration_s(40)), NULL);
	expect_refusal(r, rig_get(r, 5), 503, "temporarily_unavailable",
		"no token has been fetched yet", 40);
	rig_free(r);
}

static void the_server_gives_no_other(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;
	char text[2000];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_refresh(r, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	assert_false(rig_answer_token(r, "one", 3600));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	assert_int_equal(reply_to(r, &ask, text, sizeof(text)), 503);
	assert_non_null(strstr(text, "the login server gave no other token than the current one"));
	rig_free(r);
}

/* The limit is named where it is what the caller waits for, not where the backoff is longer. */
static void the_limit_of_fetches(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r;

	(void)state;
	settings.mint_limit = 1;
	r = rig_new(&settings, 1);
	mint_window_add(&r->mint, r->now.boot);
	rig_decide(r);
	expect_refusal(r, rig_get(r, 5), 503, "temporarily_unavailable",
		"mint_limit: all 1 token requests allowed in 300 s are used up; next attempt in "
		"300 s",
		60);
	rig_pass(r, 270 * S);
	expect_refusal(r, rig_get(r, 5), 503, "temporarily_unavailable",
		"mint_limit: all 1 token requests allowed in 300 s are used up", 30);
	rig_pass(r, 30 * S);
	assert_true(rig_decide(r));
	/* it may have minted a token */
	fetch_fails(r, RESPONSE_UNAVAILABLE, 0, "");
	expect_refusal(r, rig_get(r, 5), 503, "temporarily_unavailable",
		"mint_limit: all 1 token requests allowed in 300 s are used up; the latest: "
		"unavailable (no response): words of the server; next attempt in 300 s",
		60);
	rig_pass(r, 300 * S);
	assert_true(rig_decide(r));
	fetch_fails(r, RESPONSE_CLIENT_REJECTED, 401, "");
	expect_refusal(r, rig_get(r, 5), 503, "client_rejected",
		"client_rejected (HTTP 401): words of the server; next attempt in 900 s", -1);
	rig_free(r);
}

static void only_a_person_can_help(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	token_source_set_login(&r->s, SOURCE_LOGIN_NONE);
	rig_decide(r);
	expect_refusal(r, rig_get(r, 5), 503, "login_required",
		"nobody is logged in to this profile: run gctoken login, or POST /v1/login", -1);
	token_source_set_login(&r->s, SOURCE_LOGIN_READY);
	assert_true(rig_decide(r));
	token_source_set_login(&r->s, SOURCE_LOGIN_REFUSED);
	fetch_fails(r, RESPONSE_LOGIN_REQUIRED, 400, "invalid_grant");
	expect_refusal(r, rig_get(r, 5), 503, "login_required",
		"the login server ended the login (invalid_grant: words of the server): run "
		"gctoken login, or POST /v1/login",
		-1);
	rig_free(r);
}

static void a_login_that_lasts_as_long_as_its_token(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	token_source_set_login(&r->s, SOURCE_LOGIN_NONE);
	ask = rig_reject(r, 1, 5);
	expect_refusal(r, ask, 503, "login_required",
		"this login cannot be refreshed: run gctoken login, or POST /v1/login", -1);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_handed_out),
		cmocka_unit_test(nothing_new_is_not_modified),
		cmocka_unit_test(too_much_is_asked_for),
		cmocka_unit_test(a_second_rejection_comes_too_soon),
		cmocka_unit_test(the_api_accepts_what_is_rejected),
		cmocka_unit_test(a_wait_ends_before_the_fetch),
		cmocka_unit_test(an_admin_revoked),
		cmocka_unit_test(failures_by_class),
		cmocka_unit_test(the_correlation_id_is_told),
		cmocka_unit_test(before_the_first_fetch),
		cmocka_unit_test(the_server_gives_no_other),
		cmocka_unit_test(the_limit_of_fetches),
		cmocka_unit_test(only_a_person_can_help),
		cmocka_unit_test(a_login_that_lasts_as_long_as_its_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
