/* The daemon's own key, which seals logins: made once, where there is none. One that is only away
 * for a moment, or lies where it cannot be read, is waited for, and none but the one on the disk
 * says that a login is stored. */
#include "broker_fixture.h"

#include "host/state_key.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGIN \
	"[profile a]\ngrant = authorization_code\nredirect_uri = http://127.0.0.1:8484/callback\n" \
	"authorize_url = https://login.test/oauth/authorize\n"

/* Somebody has logged in, and has the token and the refresh token of that number. */
static void log_in(struct rig *r, const char *number)
{
	char token[32], refresh[32], code[32];
	struct caller *c;

	snprintf(token, sizeof(token), "token-%s", number);
	snprintf(refresh, sizeof(refresh), "refresh-%s", number);
	snprintf(code, sizeof(code), "code-%s", number);
	c = rig_log_in(r, "a", code);
	rig_answer_token(r, rig_post_with(r, code), token, refresh);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
}

static struct rig *logged_in(void)
{
	struct rig *r = rig_new(LOGIN);

	log_in(r, "1");
	assert_true(rig_file_exists(r, STATE_KEY_NAME));
	return r;
}

static void move(struct rig *r, const char *from, const char *to)
{
	char paths[2][256];

	snprintf(paths[0], sizeof(paths[0]), "%s/%s", r->directory, from);
	snprintf(paths[1], sizeof(paths[1]), "%s/%s", r->directory, to);
	assert_return_code(rename(paths[0], paths[1]), errno);
}

static void assert_stored(struct rig *r, bool stored)
{
	struct caller *c = caller_ask(r, "GET", "/v1/status");

	assert_int_equal(caller_status(r, c), 200);
	assert_string_equal(caller_member(c, "stored"), stored ? "true" : "false");
	caller_gone(r, c);
}

/* A start finds the login of that number on the disk. */
static void assert_kept(struct rig *r, const char *number)
{
	char refresh[64];

	rig_stop(r);
	rig_start(r);
	snprintf(refresh, sizeof(refresh), "refresh_token=refresh-%s", number);
	assert_non_null(rig_post_with(r, refresh));
}

/* The key was damaged at the start, and then it is taken away to put a good one there. */
static struct rig *with_a_key_that_is_away(void)
{
	struct rig *r = logged_in();
	size_t length;
	char *key;

	rig_stop(r);
	key = rig_file_read(r, STATE_KEY_NAME, &length);
	rig_file_write(r, STATE_KEY_NAME, "damaged", 7);
	rig_start(r);
	rig_file_write(r, STATE_KEY_NAME, key, length);
	free(key);
	move(r, "state/" STATE_KEY_NAME, "away");
	return r;
}

static void test_a_key_that_is_away_while_it_is_repaired_is_not_made(void **state)
{
	struct rig *r = with_a_key_that_is_away();

	(void)state;
	rig_pass(r, 100);
	assert_false(rig_file_exists(r, STATE_KEY_NAME));
	move(r, "away", "state/" STATE_KEY_NAME);
	rig_pass(r, 31);
	assert_true(rig_logged(r, "can be read now: the login in it is used"));
	assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
	rig_free(r);
}

static void test_a_login_waits_for_a_key_that_is_away(void **state)
{
	struct rig *r = with_a_key_that_is_away();

	(void)state;
	log_in(r, "2");
	rig_pass(r, 30);
	assert_false(rig_file_exists(r, STATE_KEY_NAME));
	assert_stored(r, false);
	move(r, "away", "state/" STATE_KEY_NAME);
	rig_pass(r, 6);
	assert_stored(r, true);
	assert_kept(r, "2");
	rig_free(r);
}

static void test_a_reload_makes_none_that_is_away(void **state)
{
	struct rig *r = with_a_key_that_is_away();

	(void)state;
	rig_reload(r);
	assert_false(rig_file_exists(r, STATE_KEY_NAME));
	assert_true(rig_logged(r, STATE_KEY_NAME " cannot be read: No such file or directory"));
	move(r, "away", "state/" STATE_KEY_NAME);
	rig_reload(r);
	rig_pass(r, 31);
	assert_non_null(rig_post_with(r, "refresh_token=refresh-1"));
	rig_free(r);
}

/* The one that was there went with the directory. */
static void test_one_is_made_in_a_directory_that_is_new(void **state)
{
	struct rig *r = logged_in();

	(void)state;
	rig_stop(r);
	rig_start(r);
	rig_answer_token(r, rig_post_with(r, "refresh_token=refresh-1"), "token-2", "refresh-2");
	rig_state_replaced(r);
	assert_true(rig_file_exists(r, STATE_KEY_NAME));
	assert_stored(r, true);
	assert_kept(r, "2");
	rig_free(r);
}

/* With the first login: the directory is not made for the key alone. */
static void test_a_directory_that_is_away_is_not_made(void **state)
{
	struct rig *r = rig_new("[profile a]\nprefetch = no\n");

	(void)state;
	move(r, "state", "away");
	rig_configure(r, LOGIN);
	rig_reload(r);
	assert_int_equal(access(r->state, F_OK), -1);
	assert_true(rig_logged(r, STATE_KEY_NAME " cannot be written: No such file or directory"));
	move(r, "away", "state");
	log_in(r, "1");
	assert_true(rig_file_exists(r, STATE_KEY_NAME));
	assert_kept(r, "1");
	rig_free(r);
}

static void test_none_is_made_where_others_can_change_it(void **state)
{
	struct rig *r = logged_in();

	(void)state;
	assert_return_code(chmod(r->state, 0770), errno);
	rig_state_replaced(r);
	rig_pass(r, 30);
	assert_false(rig_file_exists(r, STATE_KEY_NAME));
	assert_stored(r, false);
	assert_return_code(chmod(r->state, 0700), errno);
	rig_pass(r, 6);
	assert_stored(r, true);
	assert_kept(r, "1");
	rig_free(r);
}

/* What is on its way to the disk is sealed with the key that is gone. */
static void test_a_directory_that_is_new_while_a_login_is_stored(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	assert_int_equal(rig_disk_jobs(r), 1);
	rig_state_replaced(r);
	assert_int_equal(rig_disk_jobs(r), 3); /* the client's state, and the login */
	rig_disk_end(r, 0);
	assert_true(rig_file_exists(r, ".login"));
	assert_stored(r, false);
	assert_int_equal(caller_status(r, c), 0);
	rig_disk_end(r, 0);
	assert_int_equal(caller_status(r, c), 0);
	rig_disk_end(r, 0);
	assert_int_equal(caller_status(r, c), 200);
	assert_stored(r, true);
	assert_false(rig_logged(r, "cannot be written"));
	caller_gone(r, c);
	rig_disk_heal(r);
	assert_kept(r, "1");
	rig_free(r);
}

/* It does not become good by coming to its end. */
static void test_no_key_in_a_directory_that_is_new_while_a_login_is_stored(void **state)
{
	struct rig *r = rig_new(LOGIN);
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	r->disk_hangs = true;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	assert_return_code(chmod(r->state, 0770), errno);
	rig_state_replaced(r);
	rig_disk_end(r, 0);
	/* as with a disk that fails */
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_stored(r, false);
	assert_return_code(chmod(r->state, 0700), errno);
	rig_disk_heal(r);
	rig_pass(r, 6);
	assert_stored(r, true);
	assert_kept(r, "1");
	rig_free(r);
}

/* It is gone, whichever key it was sealed with. */
static void test_a_directory_that_is_new_while_a_logout_removes_the_file(void **state)
{
	struct rig *r = logged_in();
	struct caller *c;

	(void)state;
	r->disk_hangs = true;
	c = caller_ask(r, "POST", "/v1/logout?profile=a");
	rig_answer(r, rig_delete(r), 200, "");
	assert_int_equal(rig_disk_jobs(r), 1);
	rig_state_replaced(r);
	rig_disk_heal(r);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	assert_false(rig_file_exists(r, ".login"));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_that_is_away_while_it_is_repaired_is_not_made),
		cmocka_unit_test(test_a_login_waits_for_a_key_that_is_away),
		cmocka_unit_test(test_a_reload_makes_none_that_is_away),
		cmocka_unit_test(test_one_is_made_in_a_directory_that_is_new),
		cmocka_unit_test(test_a_directory_that_is_away_is_not_made),
		cmocka_unit_test(test_none_is_made_where_others_can_change_it),
		cmocka_unit_test(test_a_directory_that_is_new_while_a_login_is_stored),
		cmocka_unit_test(test_no_key_in_a_directory_that_is_new_while_a_login_is_stored),
		cmocka_unit_test(test_a_directory_that_is_new_while_a_logout_removes_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
