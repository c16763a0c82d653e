/* What outlives the process of an OAuth client: how many tokens were asked for, which generations
 * were used, and until when it has to wait; and what becomes of that when the file is damaged. */
#include "broker_fixture.h"

#include "broker/oauth_client.h"
#include "broker/profile_type.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A "[profile a]\n"

static void restart(struct rig *r, const char *sections)
{
	rig_stop(r);
	rig_configure(r, sections);
	rig_start(r);
}

static void assert_generation(struct rig *r, const char *profile, const char *generation)
{
	struct caller *c;
	char path[64];

	snprintf(path, sizeof(path), "/v1/token?profile=%s", profile);
	c = caller_ask(r, "GET", path);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "generation"), generation);
	caller_gone(r, c);
}

static struct rig *with_token(const char *sections)
{
	struct rig *r = rig_new(sections);

	rig_answer_token(r, rig_post(r), "token-1", NULL);
	return r;
}

/* A run may end before it has written which numbers it used: the whole block counts as used. */
static void test_no_generation_comes_twice(void **state)
{
	struct rig *r = with_token(A);

	(void)state;
	assert_generation(r, "a", "1");
	restart(r, A);
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_generation(r, "a", "1001");
	/* also of clients that are no longer configured */
	restart(r, "[profile b]\nclient_id = other\n");
	rig_answer_token(r, rig_post(r), "token-3", NULL);
	assert_generation(r, "b", "2001");
	rig_free(r);
}

/* Half a block ahead, so that a disk that is full for a while stops nobody. */
static void test_generations_are_reserved_half_a_block_ahead(void **state)
{
	struct rig *r = rig_new("[profile a]\nmint_limit = 1000\n");
	const struct client_state *s = &rig_profile(r, "a")->client->state;
	char token[32];

	(void)state;
	for (int i = 1; i <= 501; i++) {
		snprintf(token, sizeof(token), "token-%d", i);
		rig_answer_token(r, rig_post(r), token, NULL);
		assert_int_equal(s->generation_used, i);
		assert_int_equal(s->generation_reserved, i <= 500 ? 1000 : 1501);
		caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	}
	rig_free(r);
}

static void test_requests_of_an_earlier_run_are_counted(void **state)
{
	struct rig *r = with_token("[profile a]\nmint_limit = 2\n");

	(void)state;
	restart(r, "[profile a]\nmint_limit = 2\n");
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	restart(r, "[profile a]\nmint_limit = 2\n");
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

/* So many requests does the file tell the next run of. */
static unsigned counted_on_disk(struct rig *r)
{
	size_t length;
	char *bytes, *line;
	unsigned n = 0;

	rig_run(r);
	line = bytes = rig_file_read(r, ".state", &length);
	for (; (line = memmem(line, length - (size_t)(line - bytes), "\nmint ", 6)); line++)
		n++;
	free(bytes);
	return n;
}

/* Before one leaves nobody knows what becomes of it. What is known to have minted nothing is taken
 * back; a run that ends before it knows has it counted. */
static void test_only_what_may_have_minted_is_counted(void **state)
{
	struct rig *r = rig_new("[profile a]\nmint_limit = 1\n");

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(counted_on_disk(r), 1);
		if (i == 0)
			rig_answer(r, rig_post(r), 503, "");
		else if (i == 1)
			rig_answer(r, rig_post(r), 400, "{\"error\":\"slow_down\"}");
		else
			rig_answer_unsent(r, rig_post(r), "could not resolve host");
		assert_int_equal(counted_on_disk(r), 0);
		rig_pass(r, 60);
		assert_int_equal(rig_posts(r), 1);
	}
	restart(r, "[profile a]\nmint_limit = 1\n");
	assert_int_equal(counted_on_disk(r), 1);
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 1);
	rig_answer_failure(r, rig_post(r), "timed out");
	assert_int_equal(counted_on_disk(r), 2);
	rig_free(r);
}

/* Tokens of 20 s: twice what they need, and the next run knows it before it has one. */
static void test_the_limit_that_tokens_need_outlives_the_run(void **state)
{
	static const char brief[] =
		"{\"access_token\":\"token-%d\",\"token_type\":\"bearer\",\"expires_in\":20}";
	struct rig *r = rig_new(A);
	struct caller *c;
	char body[128];

	(void)state;
	for (int i = 0; i < 25; i++) {
		while (!rig_posts(r))
			rig_pass(r, 1);
		snprintf(body, sizeof(body), brief, i);
		rig_answer(r, rig_post(r), 200, body);
	}
	assert_false(rig_logged(r, "mint_limit"));
	assert_in_range(counted_on_disk(r), 20, 25);
	restart(r, A);
	assert_int_equal(rig_posts(r), 1);
	/* such as live for an hour go by the usual one */
	rig_answer_token(r, rig_post(r), "token-long", NULL);
	c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(
		strstr(caller_body(c), "mint_limit: all 15 token requests allowed in 300 s"));
	caller_gone(r, c);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_a_damaged_file_is_told_and_repeats_no_generation(void **state)
{
	struct rig *r = with_token("[profile a]\nmint_limit = 1\n");
	char words[96], generation[32];
	char *bytes;
	size_t length;
	/* of the time of day, in units of 10 us */
	uint64_t used = (uint64_t)(r->now.wall.ns / 10000);

	(void)state;
	rig_stop(r);
	bytes = rig_file_read(r, ".state", &length);
	bytes[length / 2] ^= 1;
	rig_file_write(r, ".state", bytes, length);
	rig_start(r);
	snprintf(words, sizeof(words),
		": damaged; the limit on token requests starts afresh and generations go on from "
		"%llu. ",
		(unsigned long long)used);
	assert_true(rig_logged(r, words));
	/* the limit is not held */
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	snprintf(generation, sizeof(generation), "%llu", (unsigned long long)used + 1);
	assert_generation(r, "a", generation);
	/* and what is written then is good */
	rig_stop(r);
	rig_forget_log(r);
	rig_start(r);
	assert_false(rig_logged(r, "damaged"));
	free(bytes);
	rig_free(r);
}

/* ---- until when to wait ---- */

static struct rig *refused(void)
{
	struct rig *r = rig_new(A);

	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	return r;
}

/* It may have been enabled since; but no loop of crashes tries it all the time. */
static void test_a_client_that_was_refused_is_tried_at_a_start(void **state)
{
	struct rig *r = refused();
	struct caller *c;

	(void)state;
	restart(r, A);
	assert_int_equal(rig_posts(r), 0);
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	assert_string_equal(caller_member(c, "error"), "client_rejected");
	caller_gone(r, c);
	assert_true(rig_logged(r, "an earlier run was told to wait another 2 s: "));
	c = caller_ask(r, "GET", "/v1/history?profile=a");
	assert_int_equal(caller_status(r, c), 200);
	assert_non_null(strstr(caller_body(c), "\"event\":\"started\",\"generation\":null"));
	caller_gone(r, c);
	rig_pass(r, 1);
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 1);
	rig_answer(r, rig_post(r), 401, "{\"error\":\"invalid_client\"}");
	rig_pass(r, 60);
	assert_int_equal(rig_posts(r), 0);
	restart(r, A);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

static void test_another_secret_need_not_wait_for_the_old_one(void **state)
{
	struct rig *r = refused();

	(void)state;
	rig_secret(r, "a", "another");
	restart(r, A);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

static void test_a_wait_that_is_over_says_nothing(void **state)
{
	struct rig *r = refused();

	(void)state;
	rig_stop(r);
	rig_forget_log(r);
	r->now.boot.ns += 900 * NS_PER_S;
	rig_start(r);
	assert_int_equal(rig_posts(r), 1);
	assert_false(rig_logged(r, "an earlier run was told to wait"));
	rig_free(r);
}

static void test_a_success_ends_the_wait(void **state)
{
	struct rig *r = refused();

	(void)state;
	rig_pass(r, 900);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	rig_stop(r);
	rig_forget_log(r);
	rig_start(r);
	assert_int_equal(rig_posts(r), 1);
	assert_false(rig_logged(r, "an earlier run was told to wait"));
	rig_free(r);
}

static void test_what_an_admin_stopped_stays_stopped(void **state)
{
	struct rig *r = with_token(A);
	struct caller *c = caller_ask(r, "POST", "/v1/revoke?profile=a");

	(void)state;
	rig_answer(r, rig_delete(r), 204, "");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	restart(r, A);
	assert_int_equal(rig_posts(r), 0);
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	assert_string_equal(caller_member(c, "error"), "revoked");
	caller_gone(r, c);
	rig_free(r);
}

/* ---- a disk that fails ---- */

static void test_a_disk_that_fails_is_told_once_until_it_works(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\nmint_limit = 1000\n");

	(void)state;
	r->disk_hangs = true;
	caller_gone(r, caller_ask(r, "GET", "/v1/token?profile=a"));
	rig_disk_end(r, -EIO);
	assert_true(rig_logged(r, ".state cannot be written: Input/output error. "));
	rig_forget_log(r);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	rig_disk_end(r, -EIO);
	assert_false(rig_logged(r, "cannot be written"));
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	rig_disk_end(r, 0);
	assert_true(rig_logged(r, ".state can be written again"));
	rig_forget_log(r);
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	rig_disk_end(r, 0);
	assert_false(rig_logged(r, "can be written again"));
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	rig_disk_end(r, -EIO);
	assert_true(rig_logged(r, "cannot be written"));
	rig_free(r);
}

static bool stays_stopped(struct rig *r)
{
	struct caller *c;
	bool stopped;

	restart(r, A);
	c = caller_ask(r, "GET", "/v1/token?profile=a&wait=0");
	assert_int_equal(caller_status(r, c), 503);
	stopped = !strcmp(caller_member(c, "error"), "revoked");
	caller_gone(r, c);
	return stopped;
}

/* With a token that is gone, and the disk did not take what says so. */
static struct rig *revoked_in_vain(int refused)
{
	struct rig *r = with_token(A);
	struct caller *c;

	r->disk_hangs = true;
	r->disk_refuses = refused;
	c = caller_ask(r, "POST", "/v1/revoke?profile=a");
	rig_answer(r, rig_delete(r), 204, "");
	if (!refused)
		rig_disk_end(r, -ENOSPC);
	assert_int_equal(caller_status(r, c), 503);
	assert_non_null(strstr(caller_body(c), "cannot be written"));
	caller_gone(r, c);
	return r;
}

/* Nothing else is written while nothing is fetched. */
static void test_what_an_admin_stopped_is_written_when_the_disk_works(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct rig *r = revoked_in_vain(way == 1 ? -ENOMEM : 0);

		r->disk_refuses = 0;
		if (way < 2) {
			rig_pass(r, 9);
			assert_int_equal(rig_disk_jobs(r), 0);
			rig_pass(r, 1);
			assert_int_equal(rig_disk_jobs(r), 1);
			if (way == 0) {
				rig_disk_end(r, -ENOSPC);
				rig_pass(r, 10);
			}
			rig_disk_end(r, 0);
			rig_pass(r, 60);
			assert_int_equal(rig_disk_jobs(r), 0);
		}
		/* else the stop itself is the last attempt */
		rig_disk_heal(r);
		assert_true(stays_stopped(r));
		rig_free(r);
	}
}

/* Of all clients, also of those that ask for nothing. */
static void test_a_directory_that_is_new_gets_all_there_is(void **state)
{
	struct rig *r = with_token("[profile a]\n");
	struct caller *c = caller_ask(r, "POST", "/v1/revoke?profile=a");

	(void)state;
	rig_answer(r, rig_delete(r), 200, "");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_state_replaced(r);
	assert_true(rig_file_exists(r, ".state"));
	rig_stop(r);
	rig_start(r);
	assert_int_equal(rig_posts(r), 0);
	c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	/* nor does any generation come back */
	assert_string_equal(caller_member(c, "generation"), "1001");
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_directory_that_cannot_be_listed_is_told(void **state)
{
	struct rig *r = with_token(A);
	char path[128];

	(void)state;
	rig_stop(r);
	snprintf(path, sizeof(path), "%s.away", r->state);
	assert_int_equal(rename(r->state, path), 0);
	rig_start(r);
	assert_true(rig_logged(r, "state cannot be listed: No such file or directory. "));
	r->disk_hangs = true;
	rig_run(r);
	assert_int_equal(rename(path, r->state), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_generation_comes_twice),
		cmocka_unit_test(test_generations_are_reserved_half_a_block_ahead),
		cmocka_unit_test(test_requests_of_an_earlier_run_are_counted),
		cmocka_unit_test(test_only_what_may_have_minted_is_counted),
		cmocka_unit_test(test_the_limit_that_tokens_need_outlives_the_run),
		cmocka_unit_test(test_a_damaged_file_is_told_and_repeats_no_generation),
		cmocka_unit_test(test_a_client_that_was_refused_is_tried_at_a_start),
		cmocka_unit_test(test_another_secret_need_not_wait_for_the_old_one),
		cmocka_unit_test(test_a_wait_that_is_over_says_nothing),
		cmocka_unit_test(test_a_success_ends_the_wait),
		cmocka_unit_test(test_what_an_admin_stopped_stays_stopped),
		cmocka_unit_test(test_a_disk_that_fails_is_told_once_until_it_works),
		cmocka_unit_test(test_what_an_admin_stopped_is_written_when_the_disk_works),
		cmocka_unit_test(test_a_directory_that_is_new_gets_all_there_is),
		cmocka_unit_test(test_a_directory_that_cannot_be_listed_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
