/* One token request of a client's own credentials, in each state it can be in: recorded, waiting
 * for room, sent, ended. Of logins see test_login.c. */
#include "broker_fixture.h"

#include "broker/profile_type.h"
#include "broker/token_exchange.h"
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#define ONE "[profile a]\n"
#define NOBODY "[profile other]\nprefetch = no\n"

/* The timer for which there is no memory. */
static const struct event *fails;

int __wrap_event_add(struct event *e, const struct timeval *tv);
int __real_event_add(struct event *e, const struct timeval *tv);

int __wrap_event_add(struct event *e, const struct timeval *tv)
{
	return e == fails ? -1 : __real_event_add(e, tv);
}

static void test_it_is_recorded_before_it_is_sent(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(rig_posts(r), 0);
	assert_int_equal(rig_disk_jobs(r), 1);
	assert_false(rig_file_exists(r, ".state"));
	rig_disk_end(r, 0);
	assert_true(rig_file_exists(r, ".state"));
	assert_int_equal(rig_posts(r), 1);
	assert_string_equal(rig_post(r)->url, "https://login.test/oauth/token");
	assert_string_equal(rig_post(r)->body, "grant_type=client_credentials");
	/* what has to outlive the process is written anew once the request has ended */
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(rig_disk_jobs(r), 1);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "access_token"), "token-1");
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_disk_that_fails_stops_no_request(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	rig_disk_end(r, -ENOSPC);
	assert_true(rig_logged(r, ".state cannot be written: No space left on device"));
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	rig_disk_end(r, 0);
	assert_true(rig_logged(r, ".state can be written again"));
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_write_that_cannot_begin_stops_no_request(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");
	struct caller *c;

	(void)state;
	r->disk_refuses = -ENOMEM;
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_disk_that_hangs_stops_no_request_for_long(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");
	char words[256];

	(void)state;
	r->disk_hangs = true;
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	/* the files stay where they are until a restart */
	rig_configure(r, "state_dir = /somewhere/else\n[profile a]\nprefetch = no\n");
	rig_reload(r);
	assert_true(rig_logged(r, "configuration reloaded"));
	rig_pass_ms(r, 1999);
	assert_int_equal(rig_posts(r), 0);
	rig_pass_ms(r, 2);
	assert_int_equal(rig_posts(r), 1);
	snprintf(words, sizeof(words), "profile a: writing %s/", r->state);
	assert_true(rig_logged(r, words));
	assert_true(rig_logged(r, "takes longer than 2 s"));
	/* and the write that ends at last sends it no second time */
	rig_disk_end(r, 0);
	assert_int_equal(r->fetches_begun, 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	rig_disk_heal(r);
	assert_string_equal(rig_token(r, "a"), "token-1");
	assert_int_equal(r->fetches_begun, 1);
	rig_free(r);
}

static void test_two_profiles_of_a_client_wait_each_for_its_own_write(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n[profile b]\nprefetch = no\n"
				"scope = x\n");

	(void)state;
	r->disk_hangs = true;
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=b"));
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	assert_int_equal(rig_disk_jobs(r), 2);
	rig_disk_end(r, 0);
	assert_int_equal(rig_posts(r), 1);
	assert_non_null(rig_post_with(r, "scope=x"));
	rig_disk_end(r, 0);
	assert_int_equal(rig_posts(r), 2);
	rig_free(r);
}

static void test_it_waits_for_room(void **state)
{
	struct rig *r = rig_new("[profile a]\n[profile b]\nscope = x\n");

	(void)state;
	r->fetch_error = -EAGAIN;
	rig_run(r);
	assert_int_equal(rig_posts(r), 0);
	/* what frees a place may not say so */
	rig_pass_ms(r, 499);
	r->fetch_error = 0;
	assert_int_equal(rig_posts(r), 0);
	rig_pass_ms(r, 1);
	assert_int_equal(rig_posts(r), 2);
	rig_answer_token(r, rig_post_with(r, "scope=x"), "token-b", NULL);
	rig_answer_token(r, rig_post(r), "token-a", NULL);
	assert_string_equal(rig_token(r, "a"), "token-a");
	assert_string_equal(rig_token(r, "b"), "token-b");
	assert_int_equal(r->fetches_begun, 2);
	rig_free(r);
}

static void test_one_that_cannot_be_sent_ends_like_one_without_an_answer(void **state)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
		{-EINVAL, "the token URL cannot be used"},
		{-ENOMEM, "out of memory"},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *r = rig_new("[profile a]\nprefetch = no\n");
		struct caller *c;

		r->fetch_error = rows[i].error;
		caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
		assert_true(rig_logged(r, rows[i].words));
		c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
		assert_int_equal(caller_status(r, c), 503);
		assert_string_equal(caller_member(c, "error"), "temporarily_unavailable");
		assert_non_null(strstr(caller_body(c), rows[i].words));
		caller_gone(r, c);
		/* and the next one is sent after a backoff */
		r->fetch_error = 0;
		caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
		assert_int_equal(rig_posts(r), 0);
		rig_pass(r, 5);
		assert_int_equal(rig_posts(r), 1);
		rig_free(r);
	}
}

static void test_no_answer_and_a_bad_one(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	struct caller *c;

	(void)state;
	rig_answer_failure(r, rig_post(r), "login.test: connection refused");
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "login.test: connection refused"));
	caller_gone(r, c);
	rig_pass(r, 5);
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	assert_string_equal(caller_member(c, "error"), "client_rejected");
	caller_gone(r, c);
	rig_free(r);
}

/* A reload may bring another secret while a request is under way: what came back is judged by what
 * was sent. */
static void test_what_was_sent_stays_secret_after_a_reload(void **state)
{
	struct rig *r;
	struct caller *c;

	(void)state;
	r = rig_new("[profile a]\n");
	assert_non_null(rig_post(r));
	rig_secret(r, "a", "another");
	rig_reload(r);
	rig_answer(r, rig_post(r), 500,
		"{\"error\":\"server_error\",\"error_description\":\"no secret here\"}");
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	assert_null(strstr(caller_body(c), "no secret here"));
	assert_false(rig_logged(r, "no secret here"));
	caller_gone(r, c);
	rig_pass(r, 5);
	rig_answer(r, rig_post(r), 500,
		"{\"error\":\"server_error\",\"error_description\":\"no secret here\"}");
	assert_true(rig_logged(r, "no secret here"));
	rig_free(r);
}

static void test_a_credential_that_is_replaced_meanwhile_is_tried_at_once(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	assert_non_null(rig_post(r));
	rig_secret(r, "a", "another");
	rig_reload(r);
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	rig_free(r);
}

static void test_generations_are_of_all_clients(void **state)
{
	struct rig *r = rig_new("[profile a]\n[profile b]\nclient_id = other\nscope = x\n");
	struct caller *c;

	(void)state;
	rig_answer_token(r, rig_post_with(r, "scope=x"), "token-b", NULL);
	rig_answer_token(r, rig_post(r), "token-a", NULL);
	c = caller_ask(r, "GET", "/v1/token?profile=b");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "generation"), "1");
	caller_gone(r, c);
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "generation"), "2");
	caller_gone(r, c);
	rig_free(r);
}

/* What one profile of a client was told counts for the others with the same secret, and for them
 * alone. */
static void test_siblings_are_told(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n[profile b]\n[profile c]\n"
				"prefetch = no\n[profile d]\nprefetch = no\nscope = x\n");

	(void)state;
	rig_secret(r, "d", "another");
	rig_reload(r);
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=c"));
	assert_int_equal(rig_posts(r), 0);
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=d"));
	assert_int_equal(rig_posts(r), 1);
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	rig_free(r);
}

static enum token_exchange_state state_of(struct rig *r)
{
	return rig_profile(r, "a")->exchange->state;
}

static void test_its_states_by_name(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");

	(void)state;
	rig_run(r);
	assert_int_equal(state_of(r), EXCHANGE_IDLE);
	r->disk_hangs = true;
	r->fetch_error = -EAGAIN;
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	assert_int_equal(state_of(r), EXCHANGE_RECORDING);
	rig_disk_end(r, 0);
	assert_int_equal(state_of(r), EXCHANGE_NO_ROOM);
	r->fetch_error = 0;
	rig_pass(r, 1);
	assert_int_equal(state_of(r), EXCHANGE_SENT);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(state_of(r), EXCHANGE_IDLE);
	rig_free(r);
}

/* Then nothing would end a write that hangs: it is not waited for. */
static void test_without_memory_for_a_timer_it_is_sent_at_once(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");

	(void)state;
	r->disk_hangs = true;
	fails = &rig_profile(r, "a")->exchange->patience;
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	fails = NULL;
	assert_int_equal(rig_posts(r), 1);
	rig_disk_end(r, 0);
	assert_int_equal(r->fetches_begun, 1);
	rig_free(r);
}

/* Every exchange with a Date says something of the server's clock; one that never was says nothing.
 */
static void test_its_date_is_learnt_from(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	struct caller *c;

	(void)state;
	rig_answer_failure(r, rig_post(r), "no answer");
	c = caller_ask(r, "GET", "/v1/skew?profile=a");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "samples"), "0");
	caller_gone(r, c);
	rig_pass(r, 5);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	c = caller_ask(r, "GET", "/v1/skew?profile=a");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "samples"), "1");
	caller_gone(r, c);
	rig_free(r);
}

/* ---- a reload takes the profile away ---- */

static void test_gone_while_it_is_recorded(void **state)
{
	struct rig *r = rig_new("[profile other]\nprefetch = no\nclient_id = other\n" ONE);

	(void)state;
	r->disk_hangs = true;
	rig_run(r);
	assert_int_equal(rig_disk_jobs(r), 1);
	rig_configure(r, NOBODY);
	rig_reload(r);
	rig_disk_heal(r);
	rig_pass(r, 3);
	assert_int_equal(r->fetches_begun, 0);
	rig_free(r);
}

static void test_gone_while_it_waits_for_room(void **state)
{
	struct rig *r = rig_new("[profile other]\nprefetch = no\nclient_id = other\n" ONE);

	(void)state;
	r->fetch_error = -EAGAIN;
	rig_run(r);
	rig_configure(r, NOBODY);
	rig_reload(r);
	r->fetch_error = 0;
	rig_pass(r, 3);
	assert_int_equal(r->fetches_begun, 0);
	rig_free(r);
}

static void test_gone_while_it_is_sent(void **state)
{
	struct rig *r = rig_new(ONE);
	struct caller *c;

	(void)state;
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(rig_posts(r), 1);
	rig_configure(r, NOBODY);
	rig_reload(r);
	assert_int_equal(rig_posts(r), 0);
	assert_int_equal(caller_status(r, c), 404);
	caller_gone(r, c);
	rig_free(r);
}

/* Another client under the same name: who waited gets that one's token. */
static void test_gone_for_another_of_the_name(void **state)
{
	struct rig *r = rig_new(ONE);
	struct caller *c;

	(void)state;
	c = caller_ask(r, "GET", "/v1/token?profile=a");
	assert_int_equal(rig_posts(r), 1);
	rig_configure(r, "[profile a]\nclient_id = other\nscope = x\n");
	rig_reload(r);
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post_with(r, "scope=x"), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "access_token"), "token-2");
	caller_gone(r, c);
	rig_free(r);
}

/* ---- an admin revokes ---- */

/* The request goes its way; the token that it brings is revoked, and nobody gets it. */
static void revoke_and_answer(struct rig *r)
{
	struct caller *c = caller_ask(r, "POST", "/v1/revoke?profile=a");

	/* who revokes is told once that is on the disk */
	assert_int_equal(caller_status(r, c), r->disk_hangs ? 0 : 200);
	rig_disk_heal(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	r->fetch_error = 0;
	rig_pass(r, 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_string_equal(rig_delete(r)->authorization, "Bearer token-1");
	rig_answer(r, rig_delete(r), 204, "");
	assert_string_equal(rig_token(r, "a"), "");
	/* and none is fetched until an admin says so */
	rig_pass(r, 600);
	assert_int_equal(rig_posts(r), 0);
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_string_equal(rig_token(r, "a"), "token-2");
	rig_free(r);
}

static void test_revoked_while_it_is_recorded(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	r->disk_hangs = true;
	rig_run(r);
	assert_int_equal(rig_posts(r), 0);
	revoke_and_answer(r);
}

static void test_revoked_while_it_waits_for_room(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	r->fetch_error = -EAGAIN;
	rig_run(r);
	assert_int_equal(rig_posts(r), 0);
	revoke_and_answer(r);
}

static void test_revoked_while_it_is_sent(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	revoke_and_answer(r);
}

static void test_revoked_and_it_fails(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	caller_gone(r, caller_ask(r, "POST", "/v1/revoke?profile=a"));
	rig_answer_failure(r, rig_post(r), "no response");
	assert_null(rig_delete(r));
	assert_string_equal(rig_token(r, "a"), "");
	rig_free(r);
}

/* ---- the daemon stops ---- */

static void test_a_stop_gives_up_what_is_under_way(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	rig_stop(r);
	/* the next run knows that one was sent */
	rig_configure(r, "[profile a]\nmint_limit = 1\n");
	rig_start(r);
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

/* The places in a mint window that is full are not given by name: who has no token goes first. */
static void test_who_has_no_token_has_the_next_place(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\nmint_limit = 2\n"
				"[profile b]\nprefetch = no\nmint_limit = 2\n"
				"[profile z]\nprefetch = no\nmint_limit = 2\n");
	struct caller *reports, *waits, *c = caller_ask(r, "GET", "/v1/token?profile=a");

	(void)state;
	assert_ptr_equal(rig_profile(r, "a")->client, rig_profile(r, "z")->client);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	caller_gone(r, c);
	rig_pass(r, 50);
	c = caller_ask(r, "GET", "/v1/token?profile=b");
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	caller_gone(r, c);
	rig_pass(r, 10);
	reports = caller_ask(r, "POST", "/v1/token/reject?profile=a&generation=1&wait=300");
	waits = caller_ask(r, "GET", "/v1/token?profile=z&wait=300");
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 239);
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 1);
	rig_answer_token(r, rig_post(r), "token-3", NULL);
	assert_int_equal(caller_status(r, waits), 200);
	assert_string_equal(caller_member(waits, "access_token"), "token-3");
	assert_int_equal(caller_status(r, reports), 0);
	rig_pass(r, 50);
	rig_answer_token(r, rig_post(r), "token-4", NULL);
	assert_int_equal(caller_status(r, reports), 200);
	caller_gone(r, reports);
	caller_gone(r, waits);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_recorded_before_it_is_sent),
		cmocka_unit_test(test_a_disk_that_fails_stops_no_request),
		cmocka_unit_test(test_a_write_that_cannot_begin_stops_no_request),
		cmocka_unit_test(test_a_disk_that_hangs_stops_no_request_for_long),
		cmocka_unit_test(test_two_profiles_of_a_client_wait_each_for_its_own_write),
		cmocka_unit_test(test_it_waits_for_room),
		cmocka_unit_test(test_one_that_cannot_be_sent_ends_like_one_without_an_answer),
		cmocka_unit_test(test_no_answer_and_a_bad_one),
		cmocka_unit_test(test_what_was_sent_stays_secret_after_a_reload),
		cmocka_unit_test(test_a_credential_that_is_replaced_meanwhile_is_tried_at_once),
		cmocka_unit_test(test_generations_are_of_all_clients),
		cmocka_unit_test(test_siblings_are_told),
		cmocka_unit_test(test_its_states_by_name),
		cmocka_unit_test(test_without_memory_for_a_timer_it_is_sent_at_once),
		cmocka_unit_test(test_its_date_is_learnt_from),
		cmocka_unit_test(test_gone_while_it_is_recorded),
		cmocka_unit_test(test_gone_while_it_waits_for_room),
		cmocka_unit_test(test_gone_while_it_is_sent),
		cmocka_unit_test(test_gone_for_another_of_the_name),
		cmocka_unit_test(test_revoked_while_it_is_recorded),
		cmocka_unit_test(test_revoked_while_it_waits_for_room),
		cmocka_unit_test(test_revoked_while_it_is_sent),
		cmocka_unit_test(test_revoked_and_it_fails),
		cmocka_unit_test(test_a_stop_gives_up_what_is_under_way),
		cmocka_unit_test(test_who_has_no_token_has_the_next_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
