/* What an admin who revokes is told, and when: once Genesys has answered for every token there was.
 */
#include "broker_fixture.h"

#include "broker/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ONE "[profile a]\nprefetch = no\nmint_limit = 10\n"

static void fetch(struct rig *r, const char *method, const char *path, const char *token)
{
	struct caller *c = caller_ask(r, method, path);

	rig_answer_token(r, rig_post(r), token, NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
}

/* With so many tokens that are alive. */
static struct rig *start(unsigned tokens)
{
	struct rig *r = rig_new(ONE);

	if (tokens)
		fetch(r, "GET", "/v1/token?profile=a", "token-1");
	if (tokens > 1)
		fetch(r, "POST", "/v1/refresh?profile=a", "token-2");
	return r;
}

static struct fetch *deletion(struct rig *r, const char *token)
{
	struct fetch *f;
	char authorization[40];

	snprintf(authorization, sizeof(authorization), "Bearer %s", token);
	TAILQ_FOREACH(f, &r->fetches, link)
	if (f->method == FETCH_DELETE && !strcmp(f->authorization, authorization))
		return f;
	fail_msg("nobody revokes %s", token);
	return NULL;
}

static struct caller *revoke(struct rig *r)
{
	return caller_ask(r, "POST", "/v1/revoke?profile=a");
}

static void test_each_token_is_revoked_first(void **state)
{
	struct rig *r = start(2);
	struct caller *c = revoke(r);

	(void)state;
	assert_int_equal(caller_status(r, c), 0);
	rig_answer(r, deletion(r, "token-1"), 204, "");
	assert_int_equal(caller_status(r, c), 0);
	rig_answer(r, deletion(r, "token-2"), 200, "");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "state"), "revoked");
	assert_int_equal(r->broker->waiters.count, 0);
	assert_true(TAILQ_EMPTY(&r->broker->revocations));
	caller_gone(r, c);
	rig_free(r);
}

static void test_without_a_token_it_is_done_at_once(void **state)
{
	struct rig *r = start(0);
	struct caller *c = revoke(r);

	(void)state;
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_token_that_is_dead_already_is_revoked(void **state)
{
	static const long statuses[] = {401, 404};

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct rig *r = start(1);
		struct caller *c = revoke(r);

		rig_answer(r, deletion(r, "token-1"), statuses[i], "");
		assert_int_equal(caller_status(r, c), 200);
		caller_gone(r, c);
		rig_free(r);
	}
}

static void test_what_genesys_does_not_do_is_told(void **state)
{
	static const long statuses[] = {199, 300, 400, 403, 429, 500};
	char words[40];

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct rig *r = start(2);
		struct caller *c = revoke(r);

		rig_answer(r, deletion(r, "token-2"), statuses[i], "");
		rig_answer(r, deletion(r, "token-1"), 204, "");
		assert_int_equal(caller_status(r, c), 503);
		snprintf(words, sizeof(words), "could not be told: HTTP %ld.", statuses[i]);
		assert_non_null(strstr(caller_body(c), words));
		caller_gone(r, c);
		rig_free(r);
	}
}

static void test_no_answer_in_time(void **state)
{
	struct rig *r = start(1);
	struct caller *c = revoke(r);

	(void)state;
	rig_pass_ms(r, 29999);
	assert_int_equal(caller_status(r, c), 0);
	rig_pass_ms(r, 1);
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "no response in time"));
	/* it goes on, with nobody to be told but the log */
	rig_answer_failure(r, deletion(r, "token-1"), "connection refused");
	assert_true(rig_logged(r, "could not be revoked at Genesys: connection refused"));
	assert_true(TAILQ_EMPTY(&r->broker->revocations));
	caller_gone(r, c);
	rig_free(r);
}

static void test_it_goes_on_when_the_admin_leaves(void **state)
{
	struct rig *r = start(2);

	(void)state;
	caller_gone(r, revoke(r));
	rig_answer(r, deletion(r, "token-2"), 204, "");
	rig_answer(r, deletion(r, "token-1"), 204, "");
	assert_true(rig_logged(r, "is revoked"));
	assert_true(TAILQ_EMPTY(&r->broker->revocations));
	assert_int_equal(r->broker->waiters.count, 0);
	rig_free(r);
}

/* One has ended, one has not. */
static void test_it_goes_on_when_the_admin_leaves_between(void **state)
{
	struct rig *r = start(2);
	struct caller *c = revoke(r);

	(void)state;
	rig_answer(r, deletion(r, "token-1"), 204, "");
	caller_gone(r, c);
	rig_answer(r, deletion(r, "token-2"), 204, "");
	assert_true(TAILQ_EMPTY(&r->broker->revocations));
	rig_free(r);
}

static void test_what_cannot_begin_is_told_at_once(void **state)
{
	struct rig *r = start(1);
	struct caller *c;

	(void)state;
	r->fetch_error = -EAGAIN;
	c = revoke(r);
	r->fetch_error = 0;
	assert_int_equal(caller_status(r, c), 503);
	assert_int_equal(r->broker->waiters.count, 0);
	caller_gone(r, c);
	rig_free(r);
}

/* The reply is a promise that a stop or a reboot does not break. */
static void test_the_reply_waits_for_the_disk(void **state)
{
	static const char *const sections[] = {ONE, ONE "api_url =\n"};
	static const int errors[] = {0, -EIO};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		bool told = i % 2 == 0, written = i / 2 == 0;
		struct rig *r = rig_new(sections[i % 2]);
		struct caller *c;

		fetch(r, "GET", "/v1/token?profile=a", "token-1");
		r->disk_hangs = true;
		c = revoke(r);
		if (told)
			rig_answer(r, deletion(r, "token-1"), 204, "");
		assert_int_equal(caller_status(r, c), 0);
		rig_disk_end(r, errors[i / 2]);
		assert_int_equal(caller_status(r, c), told && written ? 200 : 503);
		assert_int_equal(
			strstr(caller_body(c),
				"Genesys could not be told: the profile has no api_url") != NULL,
			!told);
		assert_int_equal(
			strstr(caller_body(c), "cannot be written to state_dir") != NULL, !written);
		caller_gone(r, c);
		rig_disk_heal(r);
		rig_free(r);
	}
}

static void test_a_stop_says_what_is_left_open(void **state)
{
	struct rig *r = start(1);

	(void)state;
	caller_gone(r, revoke(r));
	rig_stop(r);
	assert_true(rig_logged(r, "stopping before Genesys confirmed that token"));
	rig_start(r);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_token_is_revoked_first),
		cmocka_unit_test(test_without_a_token_it_is_done_at_once),
		cmocka_unit_test(test_a_token_that_is_dead_already_is_revoked),
		cmocka_unit_test(test_what_genesys_does_not_do_is_told),
		cmocka_unit_test(test_no_answer_in_time),
		cmocka_unit_test(test_it_goes_on_when_the_admin_leaves),
		cmocka_unit_test(test_it_goes_on_when_the_admin_leaves_between),
		cmocka_unit_test(test_what_cannot_begin_is_told_at_once),
		cmocka_unit_test(test_the_reply_waits_for_the_disk),
		cmocka_unit_test(test_a_stop_says_what_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
