/* Callers report the token that a fleet shares: one host asks the API, and tells the others so that
 * they can believe it. */
#include "fleet_rig.h"

#include "broker/fleet_member.h"
#include "broker/profile_type.h"

#include "core/fleet_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ONE "[profile a]\nclock_probe = no\n"

/* Another host's token, which is here since so long. */
static struct rig *start(struct sealed *ret, const char *profile, int64_t since_s)
{
	struct rig *r = fleet_rig_with(ret, "", profile);

	pass_reading(r, since_s, ret);
	return r;
}

/* A caller rejects it. */
static struct caller *report(struct rig *r)
{
	char path[128];

	snprintf(path, sizeof(path), "/v1/token/reject?profile=a&wait=30&generation=%llu",
		(unsigned long long)rig_profile(r, "a")->source.current.generation);
	return caller_ask(r, "POST", path);
}

static struct rig *start_reported(struct sealed *ret, struct caller **ret_caller)
{
	struct rig *r = start(ret, ONE, 60);

	*ret_caller = report(r);
	answer_reads(r, ret);
	return r;
}

static void check_asked_for(struct rig *r)
{
	const struct store_token *t = asked(r, FLEET_ACQUIRE);

	assert_true(t->acquire.check && t->acquire.reject == 7);
	assert_true(TAILQ_EMPTY(&r->fetches));
}

static struct fetch *question(struct rig *r)
{
	struct fetch *f = TAILQ_FIRST(&r->fetches);

	assert_non_null(f);
	assert_null(TAILQ_NEXT(f, link));
	assert_int_equal(f->method, FETCH_HEAD);
	assert_string_equal(f->authorization, "Bearer token-7");
	return f;
}

static void proof_of(struct rig *r, unsigned key, uint64_t generation, uint64_t fence,
	char ret[FLEET_PROOF_DIGITS + 1])
{
	assert_int_equal(fleet_key_proof(fleet_key_bytes(key), &shared(r, "a")->subject, generation,
				 fence, ret),
		0);
}

/* Another host's verdict on generation 7, by whoever has that key. */
static struct fleet_answer verdict(struct rig *r, unsigned key, uint64_t generation, uint64_t fence)
{
	struct fleet_answer a = says(r, FLEET_SAYS_ACCEPTED);

	a.verdict.fence = fence;
	a.verdict.at_us = a.stamp_us;
	proof_of(r, key, generation, fence, a.verdict.proof);
	return a;
}

static void expect_reply(struct rig *r, struct caller *c, int status, const char *words)
{
	assert_int_equal(caller_status(r, c), status);
	if (!strstr(caller_body(c), words))
		fail_msg("\"%s\" is not in %s", words, caller_body(c));
	caller_gone(r, c);
}

static void test_this_host_asks_for_all(void **state)
{
	char proof[FLEET_PROOF_DIGITS + 1];
	const struct store_token *t;
	struct sealed other;
	struct fleet_answer a;
	struct caller *c;
	struct rig *r = start_reported(&other, &c);

	(void)state;
	check_asked_for(r);
	grants(r, 9);
	rig_answer(r, question(r), 204, "");
	expect_reply(r, c, 429, "accepts this token");
	t = asked(r, FLEET_ACCEPT);
	assert_true(t->accept.fence == 9 && t->accept.generation == 7);
	proof_of(r, 0, 7, 9, proof);
	assert_string_equal(t->proof, proof);
	a = says(r, FLEET_SAYS_PUT);
	answers(r, &a);
	assert_string_equal(rig_token(r, "a"), "token-7");
	assert_int_equal(told(r, "a", "asks the API about the reported token"), 1);
	assert_true(TAILQ_EMPTY(&r->fetches));
	fleet_rig_free(r);
}

static void test_what_the_api_refuses_is_replaced(void **state)
{
	struct sealed other;
	struct caller *c;
	struct rig *r = start_reported(&other, &c);

	(void)state;
	check_asked_for(r);
	grants(r, 9);
	rig_answer(r, question(r), 401, "");
	assert_int_equal(asked(r, FLEET_ACQUIRE)->acquire.reject, 7);
	assert_false(shared(r, "a")->acquire.check);
	grants(r, 10);
	rig_answer_token(r, rig_post(r), "token-10", NULL);
	expect_reply(r, c, 200, "token-10");
	fleet_rig_free(r);
}

/* A token so new that the API may not know it yet is not judged: others need not wait for that. */
static void test_what_the_api_cannot_know_yet(void **state)
{
	struct sealed other;
	struct fleet_answer a;
	struct rig *r = start(&other, ONE, 0);
	struct caller *c = report(r);
	const struct store_token *t;

	(void)state;
	answer_reads(r, &other);
	check_asked_for(r);
	grants(r, 9);
	rig_answer(r, question(r), 401, "");
	t = asked(r, FLEET_RENEW);
	assert_true(t->fence == 9 && t->lease.ns == NS_PER_MS);
	a = says(r, FLEET_SAYS_KEPT);
	answers(r, &a);
	assert_int_equal(caller_status(r, c), 0);
	pass_reading(r, 3, &other);
	check_asked_for(r);
	grants(r, 10);
	rig_answer(r, question(r), 204, "");
	expect_reply(r, c, 429, "accepts this token");
	fleet_rig_free(r);
}

static void test_another_host_has_asked(void **state)
{
	struct sealed other;
	struct fleet_answer a;
	struct caller *c;
	struct rig *r = start_reported(&other, &c);

	(void)state;
	check_asked_for(r);
	a = verdict(r, 0, 7, 9);
	answers(r, &a);
	expect_reply(r, c, 429, "accepts this token");
	assert_true(TAILQ_EMPTY(&r->fetches));
	assert_int_equal(told(r, "a", "another host of the fleet has asked the API"), 1);
	fleet_rig_free(r);
}

/* By a key that is not the fleet's, of another token, or of another lease. */
static void test_what_is_not_proven_is_not_believed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sealed other;
		struct fleet_answer a;
		struct caller *c;
		struct rig *r = start_reported(&other, &c);

		check_asked_for(r);
		a = verdict(r, i == 0 ? 1 : 0, i == 1 ? 6 : 7, i == 2 ? 8 : 9);
		a.verdict.fence = 9;
		answers(r, &a);
		assert_int_equal(caller_status(r, c), 0);
		check_asked_for(r);
		assert_int_equal(shared(r, "a")->acquire.doubted, 9);
		grants(r, 12);
		rig_answer(r, question(r), 204, "");
		expect_reply(r, c, 429, "accepts this token");
		fleet_rig_free(r);
	}
}

/* For as long as that can be so. */
static void test_another_token_replaced_one_only_just(void **state)
{
	struct sealed other;
	struct fleet_answer a;
	struct rig *r = start(&other, ONE, 20);
	struct caller *c = report(r);

	(void)state;
	answer_reads(r, &other);
	check_asked_for(r);
	a = says(r, FLEET_SAYS_COOLDOWN);
	a.wait = duration_s(9);
	answers(r, &a);
	expect_reply(r, c, 429, "only a moment ago");
	assert_true(TAILQ_EMPTY(&r->fetches));
	assert_string_equal(rig_token(r, "a"), "token-7");

	pass_reading(r, 20, &other);
	c = report(r);
	answer_reads(r, &other);
	check_asked_for(r);
	a = says(r, FLEET_SAYS_COOLDOWN);
	a.wait = duration_s(9);
	answers(r, &a);
	rig_answer(r, question(r), 204, "");
	expect_reply(r, c, 429, "accepts this token");
	fleet_rig_free(r);
}

/* Whoever was to say who asks is gone, refuses, or knows the token by another name since a reload.
 */
static void test_it_asks_for_itself(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sealed other;
		struct caller *c;
		struct rig *r = start_reported(&other, &c);

		check_asked_for(r);
		if (i == 0) {
			store_goes(r, true, "it is gone");
		} else if (i == 1) {
			refuses(r, "ACQUIRE: no");
		} else {
			fleet_rig_configure(r, "", ONE "scope = other\n");
			rig_reload(r);
		}
		rig_answer(r, question(r), 204, "");
		expect_reply(r, c, 429, "accepts this token");
		fleet_rig_free(r);
	}
}

/* A store that cannot even be asked holds nobody up: not the caller, and not the daemon. */
static void test_what_cannot_be_asked_is_not_asked_again_and_again(void **state)
{
	(void)state;
	for (int follows = 0; follows < 2; follows++) {
		struct sealed other;
		struct caller *c;
		struct rig *r = start(&other, follows ? ONE "client_secret_file =\n" : ONE, 60);

		store_error = -ENOMEM;
		c = report(r);
		rig_answer(r, question(r), 204, "");
		expect_reply(r, c, 429, "accepts this token");
		assert_in_range(told(r, "a", "could not be made"), 1, 3);
		store_error = 0;
		fleet_rig_free(r);
	}
}

/* ... and where another host has found out that it is refused. */
static void test_it_was_refused_elsewhere(void **state)
{
	struct sealed other;
	struct fleet_answer a;
	struct caller *c;
	struct rig *r = start_reported(&other, &c);

	(void)state;
	check_asked_for(r);
	a = says(r, FLEET_SAYS_NEWER);
	a.record = other.stored;
	a.record.rejected = true;
	answers(r, &a);
	assert_true(rig_profile(r, "a")->source.current.rejected);
	assert_int_equal(caller_status(r, c), 0);
	pass_reading(r, 2, &other);
	assert_false(asked(r, FLEET_ACQUIRE)->acquire.check);
	grants(r, 9);
	rig_answer_token(r, rig_post(r), "token-9", NULL);
	expect_reply(r, c, 200, "token-9");
	fleet_rig_free(r);
}

/* The fleet has the same text under another number: what the caller asked is still to be known. */
static void test_the_same_token_under_another_number(void **state)
{
	struct sealed other, again;
	struct caller *c;
	struct rig *r = start_reported(&other, &c);

	(void)state;
	check_asked_for(r);
	seal(r, &again, 8, "token-7", 0);
	message(r, &again);
	rig_answer(r, question(r), 204, "");
	expect_reply(r, c, 429, "accepts this token");
	fleet_rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_host_asks_for_all),
		cmocka_unit_test(test_what_the_api_refuses_is_replaced),
		cmocka_unit_test(test_what_the_api_cannot_know_yet),
		cmocka_unit_test(test_another_host_has_asked),
		cmocka_unit_test(test_what_is_not_proven_is_not_believed),
		cmocka_unit_test(test_another_token_replaced_one_only_just),
		cmocka_unit_test(test_it_asks_for_itself),
		cmocka_unit_test(test_what_cannot_be_asked_is_not_asked_again_and_again),
		cmocka_unit_test(test_it_was_refused_elsewhere),
		cmocka_unit_test(test_the_same_token_under_another_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
