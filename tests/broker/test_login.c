/* One token request of a login, in each state it can be in. What nothing may break: a refresh token
 * that came is on the disk before the access token that came with it is served; once it came, the
 * one before it is never sent again; and none that came is lost. */
#include "broker_fixture.h"

#include "broker/login.h"
#include "broker/oauth_client.h"
#include "broker/pages.h"
#include "broker/profile_type.h"
#include "broker/token_exchange.h"
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN \
	"[profile a]\ngrant = authorization_code\nredirect_uri = http://127.0.0.1:8484/callback\n" \
	"authorize_url = https://login.test/oauth/authorize\n"
#define OTHER "[profile other]\nclient_id = other\nprefetch = no\n"

/* The timer for which there is no memory. */
static const struct event *fails;

int __wrap_event_add(struct event *e, const struct timeval *tv);
int __real_event_add(struct event *e, const struct timeval *tv);

int __wrap_event_add(struct event *e, const struct timeval *tv)
{
	return e == fails ? -1 : __real_event_add(e, tv);
}

/* What is looked for in what secret_text_free wipes, and how often it was there. */
static struct {
	const char *text;
	unsigned times;
} wiped;

void __wrap_secret_text_free(char *text);
void __real_secret_text_free(char *text);

void __wrap_secret_text_free(char *text)
{
	wiped.times += text && wiped.text && !strcmp(text, wiped.text);
	__real_secret_text_free(text);
}

static bool reply_has(struct rig *r, struct caller *c, int status, const char *words)
{
	return caller_status(r, c) == status && strstr(caller_body(c), words);
}

/* A login that has the token "token-1" and the refresh token "refresh-1". */
static struct rig *logged_in(const char *sections)
{
	struct rig *r = rig_new(sections);
	struct caller *c = rig_log_in(r, "a", "code-1");

	assert_string_equal(rig_token(r, "a"), "");
	rig_answer_token(r, rig_post_with(r, "code=code-1"), "token-1", "refresh-1");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_string_equal(rig_token(r, "a"), "token-1");
	return r;
}

/* Time passes until the token is refreshed. */
static struct fetch *refresh(struct rig *r, const char *refresh_token)
{
	char words[64];

	rig_pass(r, 3590);
	snprintf(words, sizeof(words), "refresh_token=%s", refresh_token);
	assert_int_equal(rig_posts(r), 1);
	assert_non_null(rig_post_with(r, words));
	return rig_post(r);
}

/* The one before it may serve to its end. */
static void assert_serves(struct rig *r, const char *token)
{
	rig_pass(r, 10);
	assert_string_equal(rig_token(r, "a"), token);
}

/* ---- a code ---- */

static void test_a_code_is_exchanged_and_stored_before_it_serves(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *finishing, *asking;

	(void)state;
	assert_int_equal(rig_posts(r), 0);
	finishing = rig_log_in(r, "a", "code-1");
	asking = caller_ask(r, "GET", "/v1/token?profile=a&wait=60");
	assert_non_null(rig_post_with(r, "grant_type=authorization_code&code=code-1"));
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	assert_int_equal(rig_profile(r, "a")->exchange->state, EXCHANGE_STORING);
	assert_false(rig_file_exists(r, ".login"));
	assert_int_equal(caller_status(r, finishing), 0);
	assert_int_equal(caller_status(r, asking), 0);
	rig_disk_end(r, 0);
	assert_true(rig_file_exists(r, ".login"));
	assert_int_equal(caller_status(r, finishing), 200);
	assert_string_equal(caller_member(finishing, "login_ends_in"), "null");
	assert_string_equal(caller_member(finishing, "profile"), "a");
	assert_true(rig_logged(r, " logged in; the login is refreshed from here on\n"));
	assert_int_equal(caller_status(r, asking), 200);
	assert_string_equal(caller_member(asking, "access_token"), "token-1");
	caller_gone(r, finishing);
	caller_gone(r, asking);
	rig_free(r);
}

static void test_a_login_without_refresh_token_stores_nothing(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "login_ends_in"), "3600");
	assert_true(rig_logged(r, "lasts 3600 s and then somebody has to log in again\n"));
	caller_gone(r, c);
	rig_disk_heal(r);
	assert_false(rig_file_exists(r, ".login"));
	/* and there is nothing to refresh with */
	rig_pass(r, 3590);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_a_login_with_a_refresh_token_that_no_request_could_carry(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	rig_answer_token(r, rig_post(r), "token-1", "no token");
	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "login_ends_in"), "3600");
	caller_gone(r, c);
	assert_true(rig_logged(r, "log in again (it gave one that cannot be used)\n"));
	assert_false(rig_file_exists(r, ".login"));
	rig_free(r);
}

static void test_a_new_login_without_refresh_token_removes_the_one_there_was(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	assert_true(rig_file_exists(r, ".login"));
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_serves(r, "token-2");
	assert_false(rig_file_exists(r, ".login"));
	rig_free(r);
}

static void test_a_code_that_is_refused_leaves_the_login_there_was(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	rig_answer(r, rig_post_with(r, "code=code-2"), 400, "{\"error\":\"invalid_grant\"}");
	assert_true(reply_has(r, c, 503, "the login server did not accept the code"));
	assert_string_equal(caller_member(c, "error"), "login_required");
	caller_gone(r, c);
	assert_string_equal(rig_token(r, "a"), "token-1");
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", NULL);
	assert_serves(r, "token-2");
	rig_free(r);
}

static void test_nobody_waits_for_a_code_that_is_not_sent_yet(void **state)
{
	struct rig *r = rig_new(LOGIN);

	(void)state;
	r->disk_hangs = true;
	caller_gone(r, rig_log_in(r, "a", "code-1"));
	rig_disk_heal(r);
	/* it had begun: it goes on */
	rig_answer_token(r, rig_post_with(r, "code=code-1"), "token-1", "refresh-1");
	assert_string_equal(rig_token(r, "a"), "token-1");
	rig_free(r);
}

static void test_a_code_for_which_there_is_no_room(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	r->fetch_error = -EAGAIN;
	c = rig_log_in(r, "a", "code-1");
	assert_int_equal(rig_posts(r), 0);
	r->fetch_error = 0;
	rig_pass(r, 1);
	rig_answer_token(r, rig_post_with(r, "code=code-1"), "token-1", "refresh-1");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_a_code_that_cannot_be_sent(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	r->fetch_error = -ENOMEM;
	c = rig_log_in(r, "a", "code-1");
	assert_true(reply_has(r, c, 503, "out of memory"));
	assert_string_equal(caller_member(c, "error"), "temporarily_unavailable");
	caller_gone(r, c);
	/* the next person can log in */
	r->fetch_error = 0;
	c = rig_log_in(r, "a", "code-2");
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-1", "refresh-1");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

/* Or somebody who tries codes would have the server throttle the client. */
static void test_a_user_whose_codes_are_refused_has_to_wait(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	for (int i = 0; i < 5; i++) {
		c = rig_log_in(r, "a", "code");
		rig_answer(r, rig_post_with(r, "code=code"), 400, "{\"error\":\"invalid_grant\"}");
		assert_int_equal(caller_status(r, c), 503);
		caller_gone(r, c);
		rig_pass(r, 10);
	}
	rig_pass(r, 240);
	c = rig_log_in(r, "a", "code");
	assert_true(reply_has(r, c, 429, "refused too many codes of this user"));
	caller_gone(r, c);
	rig_pass(r, 20);
	c = rig_log_in(r, "a", "code");
	assert_non_null(rig_post_with(r, "code=code"));
	caller_gone(r, c);
	rig_free(r);
}

/* What happened to a login is in the history, with its time and without a token's number. */
static bool remembered(struct rig *r, const char *event)
{
	struct caller *c = caller_ask(r, "GET", "/v1/history?profile=a");
	char words[96];
	bool ret;

	snprintf(words, sizeof(words), "\"ago\":0,\"event\":\"%s\",\"generation\":null", event);
	assert_int_equal(caller_status(r, c), 200);
	ret = strstr(caller_body(c), words);
	caller_gone(r, c);
	return ret;
}

static void test_the_history_tells_who_logged_in(void **state)
{
	static const char *const refresh_tokens[] = {"refresh-1", NULL};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *r = rig_new(LOGIN);

		caller_gone(r, rig_log_in(r, "a", "code-1"));
		assert_false(remembered(r, "logged_in"));
		rig_answer_token(r, rig_post(r), "token-1", refresh_tokens[i]);
		assert_true(remembered(r, "logged_in"));
		rig_free(r);
	}
}

/* One at a time, as long as there is a code to exchange or somebody who waits for what became of
 * it. */
static void test_another_person_waits_until_a_code_is_exchanged(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *first = rig_log_in(r, "a", "code-1"), *c;

	(void)state;
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	/* the code is on its way, whether or not anybody waits */
	caller_gone(r, first);
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	rig_answer(r, rig_post_with(r, "code=code-1"), 500, "");
	first = rig_log_in(r, "a", "code-3");
	assert_non_null(rig_post_with(r, "code=code-3"));
	/* the code is dropped, but who brought it has not been told yet */
	caller_gone(r, caller_ask(r, "POST", "/v1/logout?profile=a"));
	c = rig_log_in(r, "a", "code-4");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	rig_answer(r, rig_post(r), 500, "");
	assert_int_equal(caller_status(r, first), 503);
	caller_gone(r, first);
	c = rig_log_in(r, "a", "code-5");
	assert_non_null(rig_post_with(r, "code=code-5"));
	caller_gone(r, c);
	rig_free(r);
}

/* A code that is on its way is exchanged to the end, also when it is of no use any more; only then
 * the next person's is sent. */
static void test_another_person_waits_for_a_code_that_was_given_up(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	caller_gone(r, rig_log_in(r, "a", "code-1"));
	caller_gone(r, caller_ask(r, "POST", "/v1/logout?profile=a"));
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	rig_answer(r, rig_post_with(r, "code=code-1"), 500, "");
	c = rig_log_in(r, "a", "code-3");
	rig_answer_token(r, rig_post_with(r, "code=code-3"), "token-3", "refresh-3");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

/* The mint limit holds it back, and the person who brought it leaves. */
static void test_a_code_that_nobody_waits_for_is_not_sent(void **state)
{
	struct rig *r = rig_new(LOGIN "mint_limit = 1\n");
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	caller_gone(r, c);
	caller_gone(r, rig_log_in(r, "a", "code-2"));
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 0);
	c = rig_log_in(r, "a", "code-3");
	assert_non_null(rig_post_with(r, "code=code-3"));
	caller_gone(r, c);
	rig_free(r);
}

/* ---- the disk ---- */

static void test_a_disk_that_hangs_keeps_nobody_for_ever(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	rig_pass_ms(r, 9999);
	assert_int_equal(caller_status(r, c), 0);
	rig_pass_ms(r, 1);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_true(rig_logged(r, "storing a new refresh token takes longer than 10 s"));
	/* the write that ends at last ends nothing but itself */
	rig_disk_heal(r);
	assert_true(rig_file_exists(r, ".login"));
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", "refresh-2");
	assert_serves(r, "token-2");
	rig_free(r);
}

static void test_a_disk_that_fails_keeps_the_login_in_memory(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, f, "token-2", "refresh-2");
	assert_string_equal(rig_token(r, "a"), "token-1");
	rig_disk_end(r, -ENOSPC);
	assert_serves(r, "token-2");
	assert_true(rig_logged(r, "The login is kept in memory"));
	/* it is tried again */
	rig_disk_heal(r);
	rig_pass(r, 5);
	rig_stop(r);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	rig_free(r);
}

static void test_without_memory_for_a_timer_the_disk_is_not_waited_for(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_hangs = true;
	fails = &rig_profile(r, "a")->client->login->patience;
	rig_answer_token(r, f, "token-2", "refresh-2");
	fails = NULL;
	assert_serves(r, "token-2");
	rig_disk_heal(r);
	assert_serves(r, "token-2");
	rig_free(r);
}

static void test_a_disk_that_refuses_keeps_nobody(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_refuses = -ENOMEM;
	rig_answer_token(r, f, "token-2", "refresh-2");
	assert_serves(r, "token-2");
	rig_disk_heal(r);
	rig_pass(r, 5);
	rig_stop(r);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	rig_free(r);
}

/* ---- a refresh ---- */

static void test_a_refresh_token_is_sent_once(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", "refresh-2");
	rig_answer_token(r, refresh(r, "refresh-2"), "token-3", "refresh-3");
	rig_stop(r);
	rig_start(r);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-3"), "token-4", "refresh-4");
	assert_serves(r, "token-4");
	rig_free(r);
}

static void test_a_server_that_does_not_rotate_keeps_nobody_waiting(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, f, "token-2", "refresh-1");
	/* the state of the client alone */
	assert_int_equal(rig_disk_jobs(r), 1);
	assert_serves(r, "token-2");
	rig_free(r);
}

static void test_a_refresh_token_that_no_request_could_carry_is_not_taken(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", "no token");
	assert_serves(r, "token-2");
	assert_true(rig_logged(r, "the login server's new refresh token cannot be used"));
	rig_answer_token(r, refresh(r, "refresh-1"), "token-3", NULL);
	assert_serves(r, "token-3");
	rig_free(r);
}

/* Whatever else is in the response: the one before it may be void by now. */
static void test_a_refresh_token_that_came_is_kept_whatever_came_with_it(void **state)
{
	static const char *const bodies[] = {
		"{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"3600\","
		"\"refresh_token\":\"rotated\"}",
		"{\"access_token\":\"t\",\"expires_in\":3600,\"refresh_token\":\"rotated\"}",
		"{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":5,"
		"\"refresh_token\":\"rotated\"}",
		"{\"refresh_token\":\"rotated\"}",
		"\xef\xbb\xbf{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":9000,"
		"\"refresh_token\":\"rotated\"}",
		"{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":9000,"
		"\"refresh_token\":\"rotated\"} more",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		struct rig *r = logged_in(LOGIN);

		rig_answer(r, refresh(r, "refresh-1"), 200, bodies[i]);
		/* it is on the disk, and counts in the next run */
		rig_stop(r);
		rig_start(r);
		rig_pass(r, 60);
		rig_answer_token(r, rig_post_with(r, "refresh_token=rotated"), "token-2", "next");
		assert_serves(r, "token-2");
		rig_free(r);
	}
}

/* With the code it is a login all the same. */
static void test_a_login_whose_first_token_is_unfit(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	rig_answer(r, rig_post(r), 200, "{\"access_token\":\"t\",\"refresh_token\":\"refresh-1\"}");
	assert_int_equal(caller_status(r, c), 503);
	caller_gone(r, c);
	rig_pass(r, 60);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-1", NULL);
	assert_serves(r, "token-1");
	rig_free(r);
}

/* Then the person before has no part in it any more. */
static void test_another_persons_login_whose_first_token_is_unfit(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	rig_answer(r, rig_post(r), 200, "{\"access_token\":\"t\",\"refresh_token\":\"refresh-2\"}");
	assert_int_equal(caller_status(r, c), 503);
	caller_gone(r, c);
	rig_pass(r, 60);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-2", NULL);
	assert_serves(r, "token-2");
	rig_free(r);
}

/* Nor has that one where the first token is dead when it comes. */
static void test_another_persons_login_whose_first_token_is_dead(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	rig_pass(r, 8);
	rig_answer(r, rig_post(r), 200,
		"{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":10,"
		"\"refresh_token\":\"refresh-2\"}");
	assert_int_equal(caller_status(r, c), 503);
	caller_gone(r, c);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-2", NULL);
	assert_serves(r, "token-2");
	rig_free(r);
}

/* A refresh token that cannot be written is lost with the process: that is to be known before. */
static void test_the_lack_of_room_is_told_before_the_next_refresh(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	r->no_room = -ENOSPC;
	c = rig_log_in(r, "a", "code-1");
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_true(rig_logged(r, "no room for the next refresh token of"));
	assert_true(rig_logged(r, "No space left on device"));
	c = caller_ask(r, "GET", "/v1/status");
	assert_int_equal(caller_status(r, c), 200);
	assert_non_null(strstr(caller_body(c), "there is no room for the next refresh token"));
	assert_string_equal(caller_member(c, "stored"), "true");
	caller_gone(r, c);
	/* once; and that it is over */
	rig_forget_log(r);
	rig_pass(r, 12);
	assert_false(rig_logged(r, "room"));
	r->no_room = 0;
	rig_pass(r, 6);
	assert_true(rig_logged(r, "has room for the next refresh token"));
	c = caller_ask(r, "GET", "/v1/status");
	assert_int_equal(caller_status(r, c), 200);
	assert_null(strstr(caller_body(c), "no room"));
	caller_gone(r, c);
	rig_free(r);
}

/* Whoever else shares the directory may have refreshed it: the file is read before somebody has to
 * log in again. */
static void test_a_refused_refresh_token_reads_the_file_anew(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	rig_pass(r, 3590);
	rig_disk_end(r, 0);
	rig_answer(r, rig_post(r), 400, "{\"error\":\"invalid_grant\"}");
	/* read, and what is there is what was refused */
	assert_int_equal(rig_disk_jobs(r), 1);
	rig_disk_end(r, 0);
	/* so that is stored */
	assert_int_equal(rig_disk_jobs(r), 1);
	c = caller_ask(r, "GET", "/v1/status");
	assert_int_equal(caller_status(r, c), 200);
	assert_null(strstr(caller_body(c), "login_required"));
	caller_gone(r, c);
	rig_disk_heal(r);
	assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
	/* by a restart it is not tried again, by an admin it is */
	rig_stop(r);
	rig_start(r);
	assert_int_equal(rig_posts(r), 0);
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", NULL);
	assert_serves(r, "token-2");
	/* and what was accepted is refused no more */
	rig_stop(r);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
	rig_free(r);
}

/* The file was read in time; it is the next write that hangs. */
static void test_a_disk_that_hangs_behind_what_was_read(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer(r, f, 400, "{\"error\":\"invalid_grant\"}");
	rig_disk_end(r, 0);
	assert_int_equal(rig_disk_jobs(r), 1);
	rig_pass(r, 10);
	assert_true(rig_logged(r, "storing a new refresh token takes longer than 10 s"));
	assert_false(rig_logged(r, "the disk does not say whether there is another"));
	assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
	rig_free(r);
}

/* Puts the login's file of a run that went on into the state directory. */
static void test_another_refresh_token_in_the_file_is_tried(void **state)
{
	struct rig *r = logged_in(LOGIN);
	char *later;
	size_t length;

	(void)state;
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", "refresh-2");
	later = rig_file_read(r, ".login", &length);
	rig_answer_token(r, refresh(r, "refresh-2"), "token-3", "refresh-3");
	rig_file_write(r, ".login", later, length);
	rig_answer(r, refresh(r, "refresh-3"), 400, "{\"error\":\"invalid_grant\"}");
	assert_true(rig_logged(r, "there is another in the state file, which is tried next"));
	rig_pass(r, 5);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-4", NULL);
	assert_serves(r, "token-4");
	free(later);
	rig_free(r);
}

static void test_a_file_that_cannot_be_read_anew_offers_nothing(void **state)
{
	(void)state;
	for (int refuses = 0; refuses < 2; refuses++) {
		struct rig *r = logged_in(LOGIN);
		struct fetch *f = refresh(r, "refresh-1");

		r->disk_hangs = true;
		r->disk_refuses = refuses ? -ENOMEM : 0;
		rig_answer(r, f, 400, "{\"error\":\"invalid_grant\"}");
		if (!refuses)
			rig_disk_end(r, -EIO);
		rig_disk_heal(r);
		assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
		rig_free(r);
	}
}

#define UNREAD "the disk does not say whether there is another one"

/* Of all that the disk has to do then, reading the login's file comes first. */
static void refuse_on_a_disk_that_hangs(struct rig *r, struct fetch *f)
{
	r->disk_hangs = true;
	rig_answer(r, f, 400, "{\"error\":\"invalid_grant\"}");
}

/* It is as if there were nothing in it, but that the next run looks again. */
static void test_a_file_that_is_read_for_long_keeps_nobody(void **state)
{
	struct rig *r = logged_in(LOGIN);
	char *later;
	size_t length;

	(void)state;
	rig_answer_token(r, refresh(r, "refresh-1"), "token-2", "refresh-2");
	later = rig_file_read(r, ".login", &length);
	rig_answer_token(r, refresh(r, "refresh-2"), "token-3", "refresh-3");
	refuse_on_a_disk_that_hangs(r, refresh(r, "refresh-3"));
	rig_pass_ms(r, 9999);
	assert_int_equal(rig_profile(r, "a")->exchange->state, EXCHANGE_STORING);
	rig_pass_ms(r, 1);
	assert_true(rig_logged(r, UNREAD));
	assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
	/* what is read at last is another one, but too late */
	rig_file_write(r, ".login", later, length);
	rig_disk_heal(r);
	rig_pass(r, 600);
	assert_int_equal(rig_posts(r), 0);
	assert_false(rig_logged(r, "there is another in the state file"));
	rig_stop(r);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	free(later);
	rig_free(r);
}

static void test_of_a_login_that_a_person_ended_nothing_is_told(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	refuse_on_a_disk_that_hangs(r, refresh(r, "refresh-1"));
	caller_gone(r, caller_ask(r, "POST", "/v1/logout?profile=a"));
	rig_pass(r, 10);
	assert_null(rig_profile(r, "a")->client->login->exchange);
	assert_false(rig_logged(r, UNREAD));
	rig_disk_heal(r);
	rig_free(r);
}

/* The first read ends while a second one is waited for. */
static void test_what_is_read_too_late_counts_no_more(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;

	(void)state;
	refuse_on_a_disk_that_hangs(r, refresh(r, "refresh-1"));
	rig_pass(r, 10);
	c = rig_log_in(r, "a", "code-2");
	rig_pass(r, 2); /* its record is not waited for */
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", "refresh-2");
	rig_pass(r, 10); /* nor is its file */
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_pass(r, 3590);
	rig_pass(r, 2);
	rig_answer(r, rig_post_with(r, "refresh_token=refresh-2"), 400,
		"{\"error\":\"invalid_grant\"}");
	rig_disk_end(r, 0);
	assert_int_equal(rig_profile(r, "a")->exchange->state, EXCHANGE_STORING);
	rig_disk_heal(r);
	assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
	rig_free(r);
}

static void test_without_memory_for_a_timer_the_file_is_not_waited_for(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	fails = &rig_profile(r, "a")->client->login->patience;
	refuse_on_a_disk_that_hangs(r, f);
	fails = NULL;
	assert_true(rig_logged(r, UNREAD));
	assert_true(rig_logged(r, "the login has ended: somebody has to log in again"));
	rig_free(r);
}

static void test_a_failed_refresh_is_tried_again_with_the_same(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	rig_answer(r, refresh(r, "refresh-1"), 500, "");
	rig_pass(r, 5);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", "refresh-2");
	assert_serves(r, "token-2");
	rig_free(r);
}

static void test_the_codes_secrets_stay_secret(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "abracadabra");

	(void)state;
	rig_answer(r, rig_post(r), 400,
		"{\"error\":\"invalid_request\",\"error_description\":\"what is abracadabra\"}");
	assert_int_equal(caller_status(r, c), 503);
	assert_null(strstr(caller_body(c), "abracadabra"));
	assert_false(rig_logged(r, "abracadabra"));
	caller_gone(r, c);
	rig_free(r);
}

/* A crash may come between the two files: what the client was told of the old login does not hold
 * for the new one. */
static void test_a_login_that_is_new_need_not_wait_for_what_the_old_was_told(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;
	size_t length;
	char *told;

	(void)state;
	rig_answer(r, refresh(r, "refresh-1"), 400, "{\"error\":\"invalid_grant\"}");
	told = rig_file_read(r, ".state", &length);
	c = rig_log_in(r, "a", "code-2");
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", "refresh-2");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_stop(r);
	rig_file_write(r, ".state", told, length);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	free(told);
	rig_free(r);
}

static void test_a_login_waits_for_what_the_client_was_told(void **state)
{
	static const struct {
		long status;
		const char *body;
	} rows[] = {{503, ""}, {401, "{\"error\":\"invalid_client\"}"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *r = logged_in(LOGIN);

		rig_answer(r, refresh(r, "refresh-1"), rows[i].status, rows[i].body);
		rig_stop(r);
		rig_start(r);
		assert_int_equal(rig_posts(r), 0);
		rig_pass(r, 900);
		assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
		rig_free(r);
	}
}

/* ---- a reload takes the profile away ---- */

static void test_gone_while_a_code_is_recorded(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = rig_log_in(r, "a", "code-1");
	rig_configure(r, OTHER);
	rig_reload(r);
	assert_true(reply_has(r, c, 404, "a reload of the configuration removed the profile"));
	caller_gone(r, c);
	rig_disk_heal(r);
	rig_pass(r, 3);
	assert_int_equal(rig_posts(r), 0);
	/* it comes back, and somebody logs in */
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	c = rig_log_in(r, "a", "code-2");
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", "refresh-2");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_gone_while_a_code_waits_for_room(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c;

	(void)state;
	r->fetch_error = -EAGAIN;
	c = rig_log_in(r, "a", "code-1");
	rig_configure(r, OTHER);
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 404);
	caller_gone(r, c);
	r->fetch_error = 0;
	rig_pass(r, 3);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

/* A code that waits for a refresh to end goes with the profile; the refresh does not. */
static void test_gone_while_a_code_waits_for_a_refresh(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);
	struct fetch *f = refresh(r, "refresh-1");
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	rig_configure(r, OTHER);
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 404);
	caller_gone(r, c);
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	c = rig_log_in(r, "a", "code-3");
	assert_int_equal(caller_status(r, c), 0);
	rig_answer_token(r, f, "token-2", "refresh-2");
	/* the profile that is back has begun one before the code came */
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-3", "refresh-3");
	rig_answer_token(r, rig_post_with(r, "code=code-3"), "token-4", "refresh-4");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

/* One that is sent is exchanged to the end, and until then no other. */
static void test_back_while_a_code_is_sent(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	rig_configure(r, OTHER);
	rig_reload(r);
	assert_int_equal(caller_status(r, c), 404);
	caller_gone(r, c);
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	rig_answer_token(r, rig_post_with(r, "code=code-1"), "token-1", "refresh-1");
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", NULL);
	assert_serves(r, "token-2");
	rig_free(r);
}

/* What was sent is exchanged to the end, and the refresh token is there when the profile is. */
static void gone_and_back(struct rig *r, bool answered)
{
	rig_configure(r, OTHER);
	rig_reload(r);
	if (!answered) {
		assert_int_equal(rig_posts(r), 1);
		rig_answer_token(r, rig_post(r), "token-9", "refresh-9");
	}
	rig_disk_heal(r);
	assert_true(rig_file_exists(r, ".login"));
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-9"), "token-10", "refresh-10");
	assert_string_equal(rig_token(r, "a"), "token-10");
	rig_answer_token(r, refresh(r, "refresh-10"), "token-11", NULL);
	rig_free(r);
}

static void test_gone_while_a_code_is_sent(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	assert_int_equal(rig_posts(r), 1);
	caller_gone(r, c);
	gone_and_back(r, false);
}

static void test_gone_while_a_refresh_is_sent(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);

	(void)state;
	refresh(r, "refresh-1");
	gone_and_back(r, false);
}

static void test_gone_while_a_refresh_token_is_stored(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, f, "token-9", "refresh-9");
	gone_and_back(r, true);
}

static void test_gone_while_a_refused_one_is_looked_for(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);

	(void)state;
	r->disk_hangs = true;
	rig_pass(r, 3590);
	rig_disk_end(r, 0);
	rig_answer(r, rig_post(r), 400, "{\"error\":\"invalid_grant\"}");
	rig_configure(r, OTHER);
	rig_reload(r);
	rig_disk_heal(r);
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	assert_int_equal(rig_posts(r), 0);
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
	rig_free(r);
}

static void test_gone_while_it_is_recorded_is_never_sent(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);

	(void)state;
	r->disk_hangs = true;
	rig_pass(r, 3590);
	assert_int_equal(rig_posts(r), 0);
	rig_configure(r, OTHER);
	rig_reload(r);
	rig_disk_heal(r);
	rig_pass(r, 3);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

/* A reload takes the profile away while its request is under way, and one brings it back. */
static void orphan(struct rig *r)
{
	rig_configure(r, OTHER);
	rig_reload(r);
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	assert_int_equal(rig_posts(r), 1);
}

/* Back before the exchange has ended: there is one of a login at a time. */
static void test_back_while_it_is_sent_waits_for_its_end(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);
	struct fetch *f = refresh(r, "refresh-1");

	(void)state;
	rig_configure(r, OTHER);
	rig_reload(r);
	rig_configure(r, LOGIN OTHER);
	rig_reload(r);
	rig_pass(r, 2);
	assert_int_equal(rig_posts(r), 1);
	assert_ptr_equal(rig_post(r), f);
	r->disk_hangs = true;
	rig_answer_token(r, f, "token-2", "refresh-2");
	rig_pass(r, 2);
	assert_int_equal(rig_posts(r), 0);
	rig_disk_heal(r);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-3", "refresh-3");
	assert_serves(r, "token-3");
	rig_free(r);
}

/* One that waits for its login's request keeps no room from others. */
static void test_room_is_for_whoever_can_use_it(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);
	struct caller *c;

	(void)state;
	refresh(r, "refresh-1");
	orphan(r);
	r->fetch_error = -EAGAIN;
	c = caller_ask(r, "GET", "/v1/token?profile=other");
	r->fetch_error = 0;
	rig_pass(r, 1);
	assert_int_equal(rig_posts(r), 2);
	rig_answer_token(r, rig_post_with(r, "client_credentials"), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

/* ---- a person logs out, an admin revokes ---- */

static void end_by(struct rig *r, const char *path)
{
	struct caller *c = caller_ask(r, "POST", path);

	r->fetch_error = 0;
	rig_disk_heal(r);
	while (rig_delete(r))
		rig_answer(r, rig_delete(r), 204, "");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
}

static void nobody_is_logged_in(struct rig *r)
{
	assert_string_equal(rig_token(r, "a"), "");
	assert_false(rig_file_exists(r, ".login"));
	rig_pass(r, 600);
	assert_int_equal(rig_posts(r), 0);
	rig_stop(r);
	rig_start(r);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_logged_out_while_a_code_is_recorded(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = rig_log_in(r, "a", "code-1");
	end_by(r, "/v1/logout?profile=a");
	assert_true(reply_has(r, c, 503, "the profile was revoked or logged out"));
	caller_gone(r, c);
	nobody_is_logged_in(r);
}

static void test_logged_out_while_a_code_waits_for_room(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c;

	(void)state;
	r->fetch_error = -EAGAIN;
	c = rig_log_in(r, "a", "code-1");
	end_by(r, "/v1/logout?profile=a");
	rig_pass(r, 1);
	assert_true(reply_has(r, c, 503, "the profile was revoked or logged out"));
	caller_gone(r, c);
	nobody_is_logged_in(r);
}

/* What comes is revoked: nobody may have it. */
static void token_is_revoked(struct rig *r, const char *token)
{
	char authorization[64];

	snprintf(authorization, sizeof(authorization), "Bearer %s", token);
	assert_non_null(rig_delete(r));
	assert_string_equal(rig_delete(r)->authorization, authorization);
	rig_answer(r, rig_delete(r), 204, "");
}

static void test_logged_out_while_a_code_is_sent(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	end_by(r, "/v1/logout?profile=a");
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	token_is_revoked(r, "token-1");
	assert_true(reply_has(r, c, 503, "the profile was revoked or logged out"));
	caller_gone(r, c);
	nobody_is_logged_in(r);
}

static void test_logged_out_while_a_refresh_is_sent(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	refresh(r, "refresh-1");
	end_by(r, "/v1/logout?profile=a");
	rig_answer_token(r, rig_post(r), "token-2", "refresh-2");
	token_is_revoked(r, "token-2");
	nobody_is_logged_in(r);
}

static struct rig *ended_while_it_is_stored(const char *path)
{
	struct rig *r = logged_in(LOGIN);
	struct fetch *f = refresh(r, "refresh-1");
	struct caller *c;

	r->disk_hangs = true;
	rig_answer_token(r, f, "token-2", "refresh-2");
	c = caller_ask(r, "POST", path);
	token_is_revoked(r, "token-1");
	rig_disk_heal(r);
	token_is_revoked(r, "token-2");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	return r;
}

static void test_logged_out_while_it_is_stored(void **state)
{
	(void)state;
	nobody_is_logged_in(ended_while_it_is_stored("/v1/logout?profile=a"));
}

static void test_logged_out_while_the_file_is_read_anew(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	rig_pass(r, 3590);
	rig_disk_end(r, 0);
	rig_answer(r, rig_post(r), 400, "{\"error\":\"invalid_grant\"}");
	c = caller_ask(r, "POST", "/v1/logout?profile=a");
	token_is_revoked(r, "token-1");
	rig_disk_heal(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	nobody_is_logged_in(r);
}

static void test_logged_out_of_a_profile_that_was_gone_for_a_while(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);

	(void)state;
	refresh(r, "refresh-1");
	orphan(r);
	end_by(r, "/v1/logout?profile=a");
	rig_answer_token(r, rig_post(r), "token-2", "refresh-2");
	token_is_revoked(r, "token-2");
	nobody_is_logged_in(r);
}

static void test_logged_out_of_a_code_whose_profile_was_gone_for_a_while(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c;

	(void)state;
	caller_gone(r, rig_log_in(r, "a", "code-1"));
	orphan(r);
	end_by(r, "/v1/logout?profile=a");
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(caller_status(r, c), 429);
	caller_gone(r, c);
	rig_answer_token(r, rig_post_with(r, "code=code-1"), "token-1", "refresh-1");
	token_is_revoked(r, "token-1");
	nobody_is_logged_in(r);
}

/* Then nothing says where to revoke it. */
static void test_logged_out_before_the_profile_goes_away(void **state)
{
	struct rig *r = logged_in(LOGIN OTHER);

	(void)state;
	refresh(r, "refresh-1");
	end_by(r, "/v1/logout?profile=a");
	rig_configure(r, OTHER);
	rig_reload(r);
	rig_answer_token(r, rig_post(r), "token-2", "refresh-2");
	assert_null(rig_delete(r));
	assert_true(rig_logged(r, "cannot be revoked at Genesys: its profile is gone"));
	assert_false(rig_file_exists(r, ".login"));
	rig_free(r);
}

/* It costs the disk nothing, however often it is done. */
static void test_a_logout_of_nobody(void **state)
{
	struct rig *r = rig_new(LOGIN);

	(void)state;
	r->disk_hangs = true;
	for (int logins = 0; logins < 2; logins++) {
		for (int i = 0; i < 3; i++) {
			struct caller *c = caller_ask(r, "POST", "/v1/logout?profile=a");

			assert_int_equal(caller_status(r, c), 200);
			assert_int_equal(rig_disk_jobs(r), 0);
			caller_gone(r, c);
		}
		rig_disk_heal(r);
		caller_gone(r, rig_log_in(r, "a", "code-1"));
		rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
		assert_true(rig_file_exists(r, ".login"));
		end_by(r, "/v1/logout?profile=a");
		assert_false(rig_file_exists(r, ".login"));
		r->disk_hangs = true;
	}
	rig_free(r);
}

static void test_a_logout_ends_the_page(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct profile *p = rig_profile(r, "a");
	const struct page *page;

	(void)state;
	assert_int_equal(pages_get(p, &page), 0);
	assert_int_equal(p->page.retired, 0);
	end_by(r, "/v1/logout?profile=a");
	assert_int_equal(p->page.retired, 1);
	rig_free(r);
}

/* Nobody knows whose login it is, and it must not come back either. */
static void test_a_logout_removes_a_file_that_cannot_be_read(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	rig_stop(r);
	rig_file_write(r, ".login", "damaged", 7);
	rig_start(r);
	end_by(r, "/v1/logout?profile=a");
	assert_false(rig_file_exists(r, ".login"));
	rig_free(r);
}

/* That the server refused the old one is nothing to be stored of the new one. */
static void test_logged_out_when_the_login_had_ended(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;

	(void)state;
	rig_answer(r, refresh(r, "refresh-1"), 400, "{\"error\":\"invalid_grant\"}");
	end_by(r, "/v1/logout?profile=a");
	c = rig_log_in(r, "a", "code-2");
	assert_non_null(rig_post_with(r, "code=code-2"));
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

static void test_logged_out_and_the_disk_fails(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = caller_ask(r, "POST", "/v1/logout?profile=a");
	token_is_revoked(r, "token-1");
	while (caller_status(r, c) == 0)
		rig_disk_end(r, -EIO);
	assert_true(reply_has(r, c, 503, "its file in state_dir could not be removed"));
	caller_gone(r, c);
	/* it is tried again */
	rig_disk_heal(r);
	assert_true(rig_file_exists(r, ".login"));
	rig_pass(r, 5);
	nobody_is_logged_in(r);
}

/* A revocation ends no login: what comes is not served, but kept to go on with. */
static void test_revoked_while_a_refresh_is_sent(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	refresh(r, "refresh-1");
	end_by(r, "/v1/revoke?profile=a");
	rig_answer_token(r, rig_post(r), "token-2", "refresh-2");
	token_is_revoked(r, "token-2");
	assert_string_equal(rig_token(r, "a"), "");
	caller_gone(r, caller_ask(r, "POST", "/v1/refresh?profile=a"));
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-2"), "token-3", NULL);
	assert_serves(r, "token-3");
	rig_free(r);
}

static void test_revoked_while_it_is_stored(void **state)
{
	(void)state;
	rig_free(ended_while_it_is_stored("/v1/revoke?profile=a"));
}

static void test_revoked_while_a_code_is_sent(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	end_by(r, "/v1/revoke?profile=a");
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	token_is_revoked(r, "token-1");
	assert_true(reply_has(r, c, 503, "the profile was revoked or logged out"));
	caller_gone(r, c);
	rig_free(r);
}

/* The mint limit holds a code back; a profile that is stopped meanwhile sends it no more. */
static void test_revoked_before_a_code_is_sent(void **state)
{
	struct rig *r = rig_new(LOGIN "mint_limit = 1\n");
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	caller_gone(r, c);
	c = rig_log_in(r, "a", "code-2");
	assert_int_equal(rig_posts(r), 0);
	assert_int_equal(caller_status(r, c), 0);
	end_by(r, "/v1/revoke?profile=a");
	assert_true(reply_has(r, c, 503, "the profile was revoked or logged out"));
	caller_gone(r, c);
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

/* ---- the daemon stops ---- */

#define WAITS "stopping when the login server has answered a refresh"

static void answer(struct rig *r)
{
	rig_answer_token(r, TAILQ_FIRST(&r->fetches), "token-2", "refresh-2");
}

static struct event time_passes;

/* A tenth of a second in each pass of the loop. */
static void pass_some(int fd, short events, void *context)
{
	static const struct timeval next_pass;
	struct rig *r = context;

	(void)fd;
	(void)events;
	r->now.boot.ns += 100 * NS_PER_MS;
	r->now.wall.ns += 100 * NS_PER_MS;
	assert_int_equal(evtimer_add(&time_passes, &next_pass), 0);
}

static void pass_on(struct rig *r)
{
	assert_int_equal(evtimer_assign(&time_passes, r->base, pass_some, r), 0);
	pass_some(-1, EV_TIMEOUT, r);
}

static void test_a_stop_waits_for_a_refresh(void **state)
{
	struct rig *r = logged_in(LOGIN);

	(void)state;
	refresh(r, "refresh-1");
	rig_when_logged(r, WAITS, answer);
	rig_stop(r);
	assert_true(rig_logged(r, WAITS));
	assert_false(rig_logged(r, "stopping although a refresh has not been answered"));
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	rig_free(r);
}

static void test_a_stop_waits_for_a_refresh_no_longer_than_a_minute(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct boot_time begun;

	(void)state;
	refresh(r, "refresh-1");
	begun = r->now.boot;
	rig_when_logged(r, WAITS, pass_on);
	rig_stop(r);
	evtimer_del(&time_passes);
	assert_in_range(
		boot_since(r->now.boot, begun).ns, 60 * NS_PER_S, 60 * NS_PER_S + 200 * NS_PER_MS);
	assert_true(rig_logged(r, "stopping although a refresh has not been answered"));
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
	rig_free(r);
}

/* Nobody uses it any more, and nobody finds it in memory. */
static void test_a_stop_wipes_a_code_whose_profile_is_gone(void **state)
{
	struct rig *r = rig_new(LOGIN OTHER);
	struct caller *c = rig_log_in(r, "a", "code:1");

	(void)state;
	assert_non_null(rig_post_with(r, "code=code%3A1"));
	rig_configure(r, OTHER);
	rig_reload(r);
	caller_gone(r, c);
	wiped.text = "code:1";
	wiped.times = 0;
	rig_when_logged(r, WAITS, pass_on);
	rig_stop(r);
	evtimer_del(&time_passes);
	assert_int_equal(wiped.times, 2); /* the login's, and the request's */
	wiped.text = NULL;
	rig_start(r);
	rig_free(r);
}

/* ---- what could not be read ---- */

/* A broker that found the login's file, or its key, damaged; and what is to be put back. */
static struct rig *with_damaged(const char *suffix, char **ret_bytes, size_t *ret_length)
{
	struct rig *r = logged_in(LOGIN);

	rig_stop(r);
	*ret_bytes = rig_file_read(r, suffix, ret_length);
	rig_file_write(r, suffix, "damaged", 7);
	rig_start(r);
	assert_true(rig_logged(r, "the login in it cannot be used"));
	rig_pass(r, 100);
	assert_int_equal(rig_posts(r), 0);
	assert_string_equal(rig_token(r, "a"), "");
	return r;
}

static void test_a_file_that_is_put_back_is_used(void **state)
{
	static const char *const spoilt[] = {".login", ".key"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t length;
		char *bytes;
		struct rig *r = with_damaged(spoilt[i], &bytes, &length);
		struct caller *c;

		rig_file_write(r, spoilt[i], bytes, length);
		rig_pass(r, 31);
		assert_true(rig_logged(r, "can be read now: the login in it is used"));
		c = caller_ask(r, "GET", "/v1/status");
		assert_int_equal(caller_status(r, c), 200);
		assert_string_equal(caller_member(c, "stored"), "true");
		assert_null(strstr(caller_body(c), "cannot be used"));
		caller_gone(r, c);
		rig_answer_token(
			r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", "refresh-2");
		assert_serves(r, "token-2");
		rig_stop(r);
		rig_start(r);
		assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
		rig_free(r);
		free(bytes);
	}
}

/* Then there is nothing to be repaired any more. */
static void test_a_damaged_file_that_is_taken_away(void **state)
{
	size_t length;
	char *bytes;
	struct rig *r = with_damaged(".login", &bytes, &length);
	struct caller *c;

	(void)state;
	rig_file_remove(r, ".login");
	rig_pass(r, 31);
	c = caller_ask(r, "GET", "/v1/status");
	assert_int_equal(caller_status(r, c), 200);
	assert_null(strstr(caller_body(c), "is damaged"));
	caller_gone(r, c);
	rig_free(r);
	free(bytes);
}

static void test_a_login_before_the_file_is_put_back_counts(void **state)
{
	size_t length;
	char *bytes;
	struct rig *r = with_damaged(".login", &bytes, &length);
	struct caller *c = rig_log_in(r, "a", "code-2");

	(void)state;
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", "refresh-2");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_pass(r, 100);
	assert_serves(r, "token-2");
	assert_int_equal(rig_posts(r), 0);
	assert_false(rig_logged(r, "can be read now"));
	rig_free(r);
	free(bytes);
}

/* What was read before it is removed is not what the person wants back. */
static void test_logged_out_while_a_file_that_was_put_back_is_read(void **state)
{
	size_t length;
	char *bytes;
	struct rig *r = with_damaged(".login", &bytes, &length);
	struct caller *c;

	(void)state;
	rig_file_write(r, ".login", bytes, length);
	r->disk_hangs = true;
	rig_pass(r, 31);
	assert_int_equal(rig_disk_jobs(r), 1);
	c = caller_ask(r, "POST", "/v1/logout?profile=a");
	assert_int_equal(rig_disk_jobs(r), 2);
	rig_disk_heal(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_pass(r, 100);
	assert_false(rig_logged(r, "can be read now"));
	assert_false(rig_file_exists(r, ".login"));
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
	free(bytes);
}

/* The daemon's own key could not be had at the start. */
static void test_a_login_is_stored_as_soon_as_there_is_a_key(void **state)
{
	struct rig *r = logged_in(LOGIN);
	struct caller *c;
	size_t length;
	char *key;

	(void)state;
	end_by(r, "/v1/logout?profile=a");
	rig_stop(r);
	key = rig_file_read(r, ".key", &length);
	rig_file_write(r, ".key", "damaged", 7);
	rig_start(r);
	c = rig_log_in(r, "a", "code-2");
	rig_answer_token(r, rig_post_with(r, "code=code-2"), "token-2", "refresh-2");
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_pass(r, 30);
	assert_true(rig_logged(r, "cannot be written"));
	assert_false(rig_file_exists(r, ".login"));
	rig_file_write(r, ".key", key, length);
	rig_pass(r, 6);
	assert_true(rig_logged(r, "is written"));
	rig_stop(r);
	rig_start(r);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-2"));
	rig_free(r);
	free(key);
}

/* The key that was beside it is gone as well. */
static void test_a_login_is_stored_in_a_directory_that_is_new(void **state)
{
	struct rig *r = logged_in(LOGIN);
	size_t before, after;
	char *old_key = rig_file_read(r, ".key", &before), *key;

	(void)state;
	rig_state_replaced(r);
	assert_true(rig_logged(r, "has become another directory"));
	key = rig_file_read(r, ".key", &after);
	assert_string_not_equal(key, old_key);
	rig_stop(r);
	rig_start(r);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", "refresh-2");
	assert_serves(r, "token-2");
	rig_free(r);
	free(old_key);
	free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_code_is_exchanged_and_stored_before_it_serves),
		cmocka_unit_test(test_a_login_without_refresh_token_stores_nothing),
		cmocka_unit_test(test_a_login_with_a_refresh_token_that_no_request_could_carry),
		cmocka_unit_test(test_a_new_login_without_refresh_token_removes_the_one_there_was),
		cmocka_unit_test(test_a_code_that_is_refused_leaves_the_login_there_was),
		cmocka_unit_test(test_nobody_waits_for_a_code_that_is_not_sent_yet),
		cmocka_unit_test(test_a_code_for_which_there_is_no_room),
		cmocka_unit_test(test_a_code_that_cannot_be_sent),
		cmocka_unit_test(test_a_user_whose_codes_are_refused_has_to_wait),
		cmocka_unit_test(test_the_history_tells_who_logged_in),
		cmocka_unit_test(test_another_person_waits_until_a_code_is_exchanged),
		cmocka_unit_test(test_another_person_waits_for_a_code_that_was_given_up),
		cmocka_unit_test(test_a_code_that_nobody_waits_for_is_not_sent),
		cmocka_unit_test(test_a_disk_that_hangs_keeps_nobody_for_ever),
		cmocka_unit_test(test_a_disk_that_fails_keeps_the_login_in_memory),
		cmocka_unit_test(test_without_memory_for_a_timer_the_disk_is_not_waited_for),
		cmocka_unit_test(test_a_disk_that_refuses_keeps_nobody),
		cmocka_unit_test(test_a_refresh_token_is_sent_once),
		cmocka_unit_test(test_a_server_that_does_not_rotate_keeps_nobody_waiting),
		cmocka_unit_test(test_a_refresh_token_that_no_request_could_carry_is_not_taken),
		cmocka_unit_test(test_a_refresh_token_that_came_is_kept_whatever_came_with_it),
		cmocka_unit_test(test_a_login_whose_first_token_is_unfit),
		cmocka_unit_test(test_another_persons_login_whose_first_token_is_unfit),
		cmocka_unit_test(test_another_persons_login_whose_first_token_is_dead),
		cmocka_unit_test(test_the_lack_of_room_is_told_before_the_next_refresh),
		cmocka_unit_test(test_a_refused_refresh_token_reads_the_file_anew),
		cmocka_unit_test(test_a_disk_that_hangs_behind_what_was_read),
		cmocka_unit_test(test_another_refresh_token_in_the_file_is_tried),
		cmocka_unit_test(test_a_file_that_cannot_be_read_anew_offers_nothing),
		cmocka_unit_test(test_a_file_that_is_read_for_long_keeps_nobody),
		cmocka_unit_test(test_of_a_login_that_a_person_ended_nothing_is_told),
		cmocka_unit_test(test_what_is_read_too_late_counts_no_more),
		cmocka_unit_test(test_without_memory_for_a_timer_the_file_is_not_waited_for),
		cmocka_unit_test(test_a_failed_refresh_is_tried_again_with_the_same),
		cmocka_unit_test(test_the_codes_secrets_stay_secret),
		cmocka_unit_test(test_a_login_that_is_new_need_not_wait_for_what_the_old_was_told),
		cmocka_unit_test(test_a_login_waits_for_what_the_client_was_told),
		cmocka_unit_test(test_gone_while_a_code_is_recorded),
		cmocka_unit_test(test_gone_while_a_code_waits_for_room),
		cmocka_unit_test(test_gone_while_a_code_waits_for_a_refresh),
		cmocka_unit_test(test_back_while_a_code_is_sent),
		cmocka_unit_test(test_gone_while_a_code_is_sent),
		cmocka_unit_test(test_gone_while_a_refresh_is_sent),
		cmocka_unit_test(test_gone_while_a_refresh_token_is_stored),
		cmocka_unit_test(test_gone_while_a_refused_one_is_looked_for),
		cmocka_unit_test(test_gone_while_it_is_recorded_is_never_sent),
		cmocka_unit_test(test_back_while_it_is_sent_waits_for_its_end),
		cmocka_unit_test(test_room_is_for_whoever_can_use_it),
		cmocka_unit_test(test_logged_out_while_a_code_is_recorded),
		cmocka_unit_test(test_logged_out_while_a_code_waits_for_room),
		cmocka_unit_test(test_logged_out_while_a_code_is_sent),
		cmocka_unit_test(test_logged_out_while_a_refresh_is_sent),
		cmocka_unit_test(test_logged_out_while_it_is_stored),
		cmocka_unit_test(test_logged_out_while_the_file_is_read_anew),
		cmocka_unit_test(test_logged_out_of_a_profile_that_was_gone_for_a_while),
		cmocka_unit_test(test_logged_out_of_a_code_whose_profile_was_gone_for_a_while),
		cmocka_unit_test(test_logged_out_before_the_profile_goes_away),
		cmocka_unit_test(test_a_logout_of_nobody),
		cmocka_unit_test(test_a_logout_ends_the_page),
		cmocka_unit_test(test_a_logout_removes_a_file_that_cannot_be_read),
		cmocka_unit_test(test_logged_out_when_the_login_had_ended),
		cmocka_unit_test(test_logged_out_and_the_disk_fails),
		cmocka_unit_test(test_revoked_while_a_refresh_is_sent),
		cmocka_unit_test(test_revoked_while_it_is_stored),
		cmocka_unit_test(test_revoked_while_a_code_is_sent),
		cmocka_unit_test(test_revoked_before_a_code_is_sent),
		cmocka_unit_test(test_a_file_that_is_put_back_is_used),
		cmocka_unit_test(test_a_damaged_file_that_is_taken_away),
		cmocka_unit_test(test_a_login_before_the_file_is_put_back_counts),
		cmocka_unit_test(test_logged_out_while_a_file_that_was_put_back_is_read),
		cmocka_unit_test(test_a_login_is_stored_as_soon_as_there_is_a_key),
		cmocka_unit_test(test_a_login_is_stored_in_a_directory_that_is_new),
		cmocka_unit_test(test_a_stop_waits_for_a_refresh),
		cmocka_unit_test(test_a_stop_waits_for_a_refresh_no_longer_than_a_minute),
		cmocka_unit_test(test_a_stop_wipes_a_code_whose_profile_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
