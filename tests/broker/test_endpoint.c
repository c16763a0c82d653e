/* The HEADs that read a login server's clock: which server gets them and when, who learns from
 * them, and who waits for them. What is decided about clocks is tests/unit/test_server_clock.c's.
 */
#include "broker/turn.h"
#include "broker_fixture.h"

#include <errno.h>
#include <string.h>

/* Is there a service manager, for which the tokens and clocks are kept in memory? */
static bool manager_there;

bool __wrap_systemd_is_there(void);

bool __wrap_systemd_is_there(void)
{
	return manager_there;
}

#define ONE "[profile a]\nclock_probe = yes\n"
#define TWO ONE "[profile b]\nclock_probe = yes\nclient_id = another\n"
#define MEASURE "/v1/skew/probe?profile=a"

/* The oldest one under way; NULL: none. */
static struct fetch *oldest(struct rig *r, enum fetch_method method)
{
	struct fetch *f;

	rig_run(r);
	TAILQ_FOREACH(f, &r->fetches, link)
	if (f->method == method)
		return f;
	return NULL;
}

static struct fetch *head(struct rig *r)
{
	struct fetch *f = oldest(r, FETCH_HEAD);

	assert_non_null(f);
	return f;
}

static void answer_head(struct rig *r)
{
	struct fetch *f = head(r);

	rig_pass_ms(r, 40);
	rig_answer(r, f, 404, "");
}

/* In the small steps that an aimed HEAD needs to leave. False: none did. */
static bool head_leaves_within(struct rig *r, int64_t ms)
{
	for (int64_t passed = 0; passed < ms && !rig_heads(r); passed += 10)
		rig_pass_ms(r, 10);
	return rig_heads(r) > 0;
}

/* Answers every HEAD until no more are wanted; how many there were. */
static unsigned answer_heads(struct rig *r)
{
	unsigned n = 0;

	while (head_leaves_within(r, 3000)) {
		assert_int_equal(rig_heads(r), 1);
		answer_head(r);
		n++;
	}
	return n;
}

/* All profiles have tokens, and the first series of HEADs is over. */
static struct rig *rig_at_rest(const char *sections)
{
	struct rig *r = rig_new(sections);
	struct fetch *f;

	while ((f = oldest(r, FETCH_POST)) != NULL) {
		rig_pass_ms(r, 40);
		rig_answer_token(r, f, "token", NULL);
	}
	answer_heads(r);
	assert_int_equal(rig_heads(r), 0);
	return r;
}

static void test_a_series_follows_the_first_token(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	assert_false(head_leaves_within(r, 3000));
	rig_answer_token(r, rig_post(r), "token", NULL);
	assert_true(head_leaves_within(r, 2000));
	assert_string_equal(head(r)->url, "https://login.test/");
	assert_null(head(r)->authorization);
	assert_in_range(answer_heads(r), 2, 6);
	rig_free(r);
}

static void test_profiles_of_one_server_share_its_clock(void **state)
{
	struct rig *r = rig_at_rest(TWO);
	struct caller *c;

	(void)state;
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(rig_heads(r), 1);
	r->server_ahead_s = 30;
	answer_head(r);
	assert_int_equal(caller_status(r, c), 0); /* it is asked about at once, and so on */
	assert_true(rig_logged(r, "profile a: one exchange says that the login server's clock"));
	assert_true(rig_logged(r, "profile b: one exchange says that the login server's clock"));
	/* the disagreement is asked about at once */
	assert_int_equal(rig_posts(r), 0);
	assert_int_equal(rig_heads(r), 1);
	assert_in_range(answer_heads(r), 1, 8);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_other_connection_settings_are_another_clock(void **state)
{
	struct rig *r = rig_new(ONE "[profile b]\nclock_probe = yes\nclient_id = another\n"
				    "ca_file = /etc/hostname\n");
	const struct fetch *f;
	unsigned with_ca = 0;

	(void)state;
	turn_now(&r->broker->turn);
	r->now.wall.ns -= 60 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_heads(r), 2);
	TAILQ_FOREACH(f, &r->fetches, link)
	with_ca += f->method == FETCH_HEAD && f->ca_file && !strcmp(f->ca_file, "/etc/hostname");
	assert_int_equal(with_ca, 1);
	rig_free(r);
}

static void test_another_way_to_the_proxy_is_another_clock(void **state)
{
	struct rig *r = rig_new(ONE "[profile b]\nclock_probe = yes\nclient_id = b\n"
				    "proxy = https://p.test:1\n"
				    "[profile c]\nclock_probe = yes\nclient_id = c\n"
				    "proxy = https://p.test:1\nproxy_ca_file = /etc/hostname\n"
				    "[profile d]\nclock_probe = yes\nclient_id = d\n"
				    "proxy = https://p.test:1\n");

	(void)state;
	turn_now(&r->broker->turn);
	r->now.wall.ns -= 60 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_heads(r), 3);
	rig_free(r);
}

static void test_another_clock_is_told_and_left_alone(void **state)
{
	struct rig *r = rig_new(ONE);
	struct caller *c;

	(void)state;
	rig_answer_token(r, rig_post(r), "token", NULL);
	assert_true(head_leaves_within(r, 2000));
	r->server_ahead_s = 20;
	answer_head(r);
	assert_true(rig_logged(r, "profile a: HEAD https://login.test/ is answered by another"));
	assert_false(head_leaves_within(r, 5000));
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "another clock answers HEAD there"));
	caller_gone(r, c);
	rig_free(r);
}

/* Back, so that no token is in doubt: it is the step alone that asks. */
static void test_a_step_of_the_wall_clock_asks_at_once(void **state)
{
	struct rig *r = rig_at_rest(TWO);

	(void)state;
	r->now.wall.ns -= 60 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_heads(r), 1);
	assert_true(rig_logged(r, "profile a: the local wall clock was set back by 60000 ms"));
	assert_true(rig_logged(r, "profile b: the local wall clock was set back by 60000 ms"));
	rig_free(r);
}

#define TOO_EARLY "TLS: certificate is not yet valid"

/* Whether a certificate is valid goes by the clock that was set. */
static void test_a_clock_that_is_set_right_lets_a_fetch_begin(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	/* until it is tried only once a minute */
	for (int i = 0; i < 10; i++) {
		rig_answer_unsent(r, rig_post(r), TOO_EARLY);
		rig_pass(r, 61);
	}
	rig_answer_unsent(r, rig_post(r), TOO_EARLY);
	rig_pass(r, 12);
	assert_int_equal(rig_posts(r), 0);
	r->now.wall.ns += 3600 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_posts(r), 1);
	/* one that is set again and again makes no loop */
	for (int i = 0; i < 4; i++) {
		rig_answer_unsent(r, rig_post(r), TOO_EARLY);
		for (int k = 0; k < 5; k++) {
			assert_int_equal(rig_posts(r), 0);
			r->now.wall.ns -= 3600 * NS_PER_S;
			turn_now(&r->broker->turn);
			rig_pass(r, 1);
		}
		assert_int_equal(rig_posts(r), 1);
	}
	rig_free(r);
}

/* What was sent and had no answer, or another one, says nothing about clocks. */
static void test_a_clock_that_is_set_is_no_way_around_backoff(void **state)
{
	static const long statuses[] = {0, 401, 503};

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct rig *r = rig_new("[profile a]\nmint_limit = 1000\n");

		for (int k = 0; k < 12; k++) {
			rig_pass(r, 901);
			if (statuses[i])
				rig_answer(r, rig_post(r), statuses[i],
					"{\"error\":\"invalid_client\"}");
			else
				rig_answer_failure(r, rig_post(r), "timed out");
		}
		rig_pass(r, 6);
		r->now.wall.ns += 3600 * NS_PER_S;
		turn_now(&r->broker->turn);
		assert_int_equal(rig_posts(r), 0);
		rig_free(r);
	}
}

static void test_a_rejected_token_asks_at_once(void **state)
{
	struct rig *r = rig_at_rest(ONE);
	struct caller *c = caller_ask(r, "POST", "/v1/token/reject?profile=a&generation=1&wait=0");

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	assert_int_equal(rig_heads(r), 1);
	caller_gone(r, c);
	rig_free(r);
}

static void test_callers_wait_for_the_head_they_want(void **state)
{
	struct rig *r = rig_at_rest(TWO);
	struct caller *c = caller_ask(r, "POST", MEASURE), *again;

	(void)state;
	assert_int_equal(rig_heads(r), 1);
	assert_int_equal(caller_status(r, c), 0);
	/* also by another profile of the server */
	again = caller_ask(r, "POST", "/v1/skew/probe?profile=b");
	assert_int_equal(caller_status(r, again), 429);
	caller_gone(r, again);
	answer_head(r);
	/* it is known as well as can be: one is enough */
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "clocks_seen"), "1");
	caller_gone(r, c);
	rig_pass(r, 10);
	/* a HEAD that tells nothing ends the wait as well */
	c = caller_ask(r, "POST", MEASURE);
	rig_answer_failure(r, head(r), "connection refused");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

/* It ends the wait like one that tells nothing, and the next one is not tried at once. */
static void test_a_head_that_cannot_be_sent(void **state)
{
	struct rig *r = rig_at_rest(ONE);
	struct caller *c;

	(void)state;
	r->fetch_error = -EAGAIN;
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	r->fetch_error = 0;
	assert_false(head_leaves_within(r, 4000));
	rig_pass(r, 12);
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(rig_heads(r), 1);
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_server_that_nobody_uses_is_left_alone(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	rig_answer_token(r, rig_post(r), "token", NULL);
	assert_int_equal(rig_heads(r), 0); /* aimed, and wanted still */
	rig_configure(r, ONE "token_url = https://other.test/oauth/token\n");
	rig_reload(r);
	assert_false(head_leaves_within(r, 3000));
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_true(head_leaves_within(r, 2000));
	assert_string_equal(head(r)->url, "https://other.test/");
	rig_free(r);
}

/* HEADs have failed so often that the next has to wait. */
static struct caller *ask_for_a_later_head(struct rig *r)
{
	struct caller *c;

	for (int i = 0; i < 3; i++) {
		c = caller_ask(r, "POST", MEASURE);
		rig_answer_failure(r, head(r), "connection refused");
		assert_int_equal(caller_status(r, c), 200);
		caller_gone(r, c);
		rig_pass(r, 10);
	}
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(rig_heads(r), 0);
	assert_int_equal(caller_status(r, c), 0);
	return c;
}

static void test_nobody_waits_for_a_server_that_is_not_asked_any_more(void **state)
{
	struct rig *r = rig_at_rest(ONE);
	struct caller *c = ask_for_a_later_head(r);

	(void)state;
	rig_configure(r, ONE "clock_probe_url = https://elsewhere.test/\n");
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_the_last_user_of_a_server_waits_on(void **state)
{
	struct rig *r = rig_at_rest(TWO);
	struct caller *c = ask_for_a_later_head(r);

	(void)state;
	rig_configure(r, ONE "[profile b]\nclock_probe = yes\nclient_id = another\n"
			     "clock_probe_url = https://elsewhere.test/\n");
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 0);
	rig_pass(r, 10);
	answer_head(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_after_a_reload_the_server_is_asked_as_before(void **state)
{
	struct rig *r = rig_at_rest(ONE);

	(void)state;
	rig_configure(r, ONE "use_margin = 20s\n");
	rig_reload(r);
	r->now.wall.ns -= 60 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_heads(r), 1);
	assert_true(rig_logged(r, "profile a: the local wall clock was set back by 60000 ms"));
	rig_free(r);
}

/* Nobody waits for it, and nobody is told how it would have ended. */
static void test_a_stop_ends_a_head(void **state)
{
	struct rig *r = rig_at_rest(ONE);
	struct caller *c = caller_ask(r, "POST", MEASURE);

	(void)state;
	assert_int_equal(rig_heads(r), 1);
	rig_stop(r);
	assert_int_equal(rig_heads(r), 0);
	caller_gone(r, c);
	rig_start(r);
	rig_free(r);
}

/* Or the next run would send it again. */
static void test_a_head_that_was_sent_is_handed_over(void **state)
{
	struct rig *r;
	struct caller *c;
	uint64_t before;

	(void)state;
	manager_there = true;
	r = rig_at_rest(ONE);
	before = r->broker->handover.sequence;
	rig_pass_ms(r, 10);
	assert_int_equal(r->broker->handover.sequence, before);
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(rig_heads(r), 1);
	assert_int_equal(r->broker->handover.sequence, before + 1);
	caller_gone(r, c);
	rig_free(r);
	manager_there = false;
}

static void test_probing_can_be_off(void **state)
{
	struct rig *r = rig_at_rest("[profile a]\nclock_probe = no\n"
				    "[profile b]\nclock_probe = yes\nclient_id = another\n");
	struct caller *c;

	(void)state;
	r->now.wall.ns -= 60 * NS_PER_S;
	turn_now(&r->broker->turn);
	assert_int_equal(rig_heads(r), 1); /* for b */
	c = caller_ask(r, "POST", MEASURE);
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "clock_probe = no"));
	caller_gone(r, c);
	rig_free(r);
}

/* A token request and a caller who is refused for want of a token. */
static void ask_in_vain(struct rig *r)
{
	struct caller *c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");

	assert_int_not_equal(caller_status(r, c), 200);
	caller_gone(r, c);
}

static void test_a_silent_server_is_knocked_at(void **state)
{
	struct rig *r = rig_new(ONE);
	struct fetch *f;

	(void)state;
	rig_pass(r, 10);
	rig_answer_failure(r, rig_post(r), "no response");
	assert_int_equal(rig_heads(r), 0);
	ask_in_vain(r);
	f = head(r);
	assert_string_equal(f->url, "https://login.test/");
	assert_null(f->authorization);
	assert_true(f->fresh);
	assert_int_equal(f->timeout.ns, 3 * NS_PER_S);
	rig_pass(r, 3);
	rig_answer_failure(r, f, "no response");
	/* the next request has no answer either, and the next HEAD has one */
	f = rig_post(r);
	assert_non_null(f);
	ask_in_vain(r);
	assert_true(head_leaves_within(r, 1100));
	rig_answer(r, head(r), 404, "");
	assert_ptr_equal(rig_post(r), f);
	rig_pass_ms(r, 600);
	assert_true(rig_logged(r, "by now the login server answers other requests"));
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token", NULL);
	assert_string_equal(rig_token(r, "a"), "token");
	rig_free(r);
}

static void test_a_knock_that_cannot_be_sent(void **state)
{
	struct rig *r = rig_new(ONE);

	(void)state;
	rig_pass(r, 10);
	rig_answer_failure(r, rig_post(r), "no response");
	r->fetch_error = -EAGAIN;
	ask_in_vain(r);
	assert_int_equal(rig_heads(r), 0);
	r->fetch_error = 0;
	assert_true(head_leaves_within(r, 4500));
	/* and one that is under way when the daemon stops */
	rig_free(r);
}

static void test_nobody_knocks_where_probing_is_off(void **state)
{
	struct rig *r = rig_new("[profile a]\nclock_probe = no\n");

	(void)state;
	rig_pass(r, 10);
	rig_answer_failure(r, rig_post(r), "no response");
	ask_in_vain(r);
	assert_false(head_leaves_within(r, 500));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_series_follows_the_first_token),
		cmocka_unit_test(test_profiles_of_one_server_share_its_clock),
		cmocka_unit_test(test_other_connection_settings_are_another_clock),
		cmocka_unit_test(test_another_way_to_the_proxy_is_another_clock),
		cmocka_unit_test(test_another_clock_is_told_and_left_alone),
		cmocka_unit_test(test_a_step_of_the_wall_clock_asks_at_once),
		cmocka_unit_test(test_a_clock_that_is_set_right_lets_a_fetch_begin),
		cmocka_unit_test(test_a_clock_that_is_set_is_no_way_around_backoff),
		cmocka_unit_test(test_a_rejected_token_asks_at_once),
		cmocka_unit_test(test_callers_wait_for_the_head_they_want),
		cmocka_unit_test(test_a_head_that_cannot_be_sent),
		cmocka_unit_test(test_a_server_that_nobody_uses_is_left_alone),
		cmocka_unit_test(test_nobody_waits_for_a_server_that_is_not_asked_any_more),
		cmocka_unit_test(test_the_last_user_of_a_server_waits_on),
		cmocka_unit_test(test_after_a_reload_the_server_is_asked_as_before),
		cmocka_unit_test(test_a_stop_ends_a_head),
		cmocka_unit_test(test_a_head_that_was_sent_is_handed_over),
		cmocka_unit_test(test_probing_can_be_off),
		cmocka_unit_test(test_a_silent_server_is_knocked_at),
		cmocka_unit_test(test_a_knock_that_cannot_be_sent),
		cmocka_unit_test(test_nobody_knocks_where_probing_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
