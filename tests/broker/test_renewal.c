/* What is renewed on the disk without a signal: it is found when token requests fail. */
#include "broker/profile_type.h"
#include "broker_fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSAL "{\"error\":\"invalid_client\",\"error_description\":\"authentication failed\"}"

static void write_text(struct rig *r, const char *name, const char *text)
{
	char path[128], made[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", r->directory, name);
	snprintf(made, sizeof(made), "%s.new", path);
	file = fopen(made, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(made, path), 0);
}

static void refuse(struct rig *r)
{
	rig_answer(r, rig_post(r), 401, REFUSAL);
}

static void test_a_secret_that_was_renewed_is_sent_at_once(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	char before[256];

	(void)state;
	snprintf(before, sizeof(before), "%s", rig_post(r)->authorization);
	rig_secret(r, "a", "another");
	refuse(r);
	assert_true(rig_logged(r, "the secrets on disk have changed"));
	assert_int_equal(rig_posts(r), 1);
	assert_string_not_equal(rig_post(r)->authorization, before);
	/* once: that one is refused as well */
	refuse(r);
	assert_int_equal(rig_posts(r), 0);
	rig_pass(r, 600);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

/* Whatever the server makes of the wrong secret; and a time to wait is kept to. */
static void test_however_the_client_is_refused(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	rig_secret(r, "a", "another");
	rig_answer(r, rig_post(r), 400, "{\"error\":\"invalid_grant\"}");
	assert_true(rig_logged(r, "the secrets on disk have changed"));
	assert_int_equal(rig_posts(r), 1);
	rig_secret(r, "a", "a third");
	rig_answer(r, rig_post(r), 503, REFUSAL);
	assert_string_equal(rig_profile(r, "a")->credential.client_secret, "a third");
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_a_secret_that_is_renewed_later_is_found(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	refuse(r);
	rig_pass(r, 300);
	assert_int_equal(rig_posts(r), 0);
	rig_secret(r, "a", "another");
	rig_pass(r, 6);
	assert_int_equal(rig_posts(r), 1);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	assert_string_equal(rig_token(r, "a"), "token-1");
	/* while all is well it is not looked at */
	rig_secret(r, "a", "a third");
	rig_pass(r, 60);
	assert_string_equal(rig_profile(r, "a")->credential.client_secret, "another");
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_of_two_profiles_each_has_its_own(void **state)
{
	struct rig *r = rig_new("[profile a]\n[profile b]\nscope = x\n");

	(void)state;
	rig_secret(r, "b", "another");
	rig_answer(r, rig_post_with(r, "scope=x"), 401, REFUSAL);
	assert_int_equal(rig_posts(r), 2);
	rig_answer_token(r, rig_post_with(r, "scope=x"), "token-b", NULL);
	refuse(r); /* the other one's */
	assert_int_equal(rig_posts(r), 0);
	assert_string_equal(rig_token(r, "b"), "token-b");
	rig_free(r);
}

static void test_another_client_takes_a_reload(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	char sections[256];

	(void)state;
	write_text(r, "id", "client-1");
	snprintf(sections, sizeof(sections), "[profile a]\nclient_id =\nclient_id_file = %s/id\n",
		r->directory);
	rig_configure(r, sections);
	rig_answer_token(r, rig_post(r), "token-0", NULL);
	rig_reload(r);
	write_text(r, "id", "client-2");
	rig_secret(r, "a", "another");
	refuse(r);
	assert_int_equal(rig_posts(r), 0);
	assert_true(rig_logged(r, "/id: names another client, which takes a reload"));
	rig_reload(r);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

static void test_a_secret_that_cannot_be_read_changes_nothing(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	rig_secret(r, "a", "");
	refuse(r);
	assert_int_equal(rig_posts(r), 0);
	rig_secret(r, "a", "another");
	rig_pass(r, 6);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

/* An admin asks for a token, and is refused; the secrets are read again before that. */
static void refresh(struct rig *r)
{
	struct caller *c = caller_ask(r, "POST", "/v1/refresh?profile=a");

	refuse(r);
	assert_int_equal(caller_status(r, c), 503);
	caller_gone(r, c);
}

/* The file as it is would do; what is around it is mended. */
static void test_a_folder_that_is_mended_lets_the_secret_be_read(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	rig_secret(r, "a", "another");
	assert_int_equal(chmod(r->directory, 0777), 0);
	refuse(r);
	assert_true(rig_logged(r, "others could change"));
	rig_pass(r, 20);
	assert_int_equal(rig_posts(r), 0);
	assert_int_equal(chmod(r->directory, 0700), 0);
	rig_pass(r, 6);
	assert_true(rig_logged(r, "the secrets on disk have changed"));
	assert_int_equal(rig_posts(r), 1);
	assert_string_equal(rig_profile(r, "a")->credential.client_secret, "another");
	rig_free(r);
}

/* Read again and found to be the one that was refused, it is not sent again. */
static void test_a_folder_that_is_mended_around_the_refused_secret(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	assert_int_equal(chmod(r->directory, 0777), 0);
	refuse(r);
	assert_int_equal(chmod(r->directory, 0700), 0);
	rig_pass(r, 20);
	assert_true(rig_logged(r, "can be read again, and are those that are in use"));
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static unsigned lines(const struct rig *r, const char *text)
{
	const char *at = r->log;
	unsigned n = 0;

	while (at && (at = strstr(at, text)) != NULL) {
		at += strlen(text);
		n++;
	}
	return n;
}

/* However often it is tried, one line for each way in which it ends. */
static void test_what_cannot_be_read_is_told_once(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s", rig_profile(r, "a")->settings->client_secret_file);
	refuse(r);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 3; i++)
		refresh(r);
	rig_pass(r, 20);
	assert_int_equal(lines(r, path), 1);
	assert_true(rig_logged(r, "No such file"));
	assert_int_equal(lines(r, "those that were read before stay in use"), 1);
	rig_secret(r, "a", "");
	for (int i = 0; i < 3; i++)
		refresh(r);
	assert_int_equal(lines(r, path), 2);
	assert_true(rig_logged(r, "is empty"));
	rig_secret(r, "a", "secret");
	for (int i = 0; i < 3; i++)
		refresh(r);
	assert_int_equal(lines(r, path), 2);
	assert_int_equal(lines(r, "can be read again, and are those that are in use"), 1);
	/* well again in another way */
	rig_secret(r, "a", "");
	refresh(r);
	rig_secret(r, "a", "another");
	refresh(r);
	assert_int_equal(lines(r, path), 3);
	assert_int_equal(lines(r, "the secrets on disk have changed"), 1);
	assert_int_equal(lines(r, "can be read again"), 1);
	/* a reload reads for itself, and says so */
	rig_secret(r, "a", "");
	refresh(r);
	rig_secret(r, "a", "another");
	rig_reload(r);
	refuse(r);
	assert_int_equal(lines(r, "can be read again"), 1);
	rig_free(r);
}

static void test_authorities_that_are_renewed_are_read_again(void **state)
{
	struct rig *r = rig_new("[profile other]\nclient_id = other\nprefetch = no\n");
	unsigned forgotten;
	char sections[256];

	(void)state;
	write_text(r, "ca.pem", "one");
	snprintf(sections, sizeof(sections), "[profile a]\nca_file = %s/ca.pem\n", r->directory);
	rig_configure(r, sections);
	rig_reload(r);
	/* until it is tried only once a minute */
	for (int i = 0; i < 10; i++) {
		rig_answer_failure(r, rig_post(r), "TLS: unable to get local issuer certificate");
		rig_pass(r, 61);
	}
	rig_answer_failure(r, rig_post(r), "TLS: unable to get local issuer certificate");
	forgotten = r->ca_forgotten;
	rig_pass(r, 12);
	assert_int_equal(r->ca_forgotten, forgotten);
	assert_int_equal(rig_posts(r), 0);
	write_text(r, "ca.pem", "another");
	rig_pass(r, 6);
	assert_int_equal(r->ca_forgotten, forgotten + 1);
	assert_int_equal(rig_posts(r), 1);
	rig_free(r);
}

static bool is_looking(struct rig *r)
{
	return evtimer_pending(&r->broker->renewal, NULL);
}

/* A server in trouble is no matter of files, and one that is not reached only where some could be
 * the reason. */
static void test_what_no_file_can_mend_is_not_looked_for(void **state)
{
	static const struct {
		bool has_ca_file;
		long status; /* 0: no response */
		bool looking;
	} rows[] = {
		{false, 500, false},
		{false, 0, false},
		{false, 401, true},
		{true, 500, false},
		{true, 0, true},
		{true, 407, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rig *r = rig_new("[profile other]\nclient_id = other\nprefetch = no\n");
		char sections[256];

		write_text(r, "ca.pem", "one");
		snprintf(sections, sizeof(sections), "[profile a]\n%s%s%s\n",
			rows[i].has_ca_file ? "ca_file = " : "",
			rows[i].has_ca_file ? r->directory : "",
			rows[i].has_ca_file ? "/ca.pem" : "");
		rig_configure(r, sections);
		rig_reload(r);
		if (rows[i].status)
			rig_answer(r, rig_post(r), rows[i].status,
				rows[i].status == 401 ? REFUSAL : "");
		else
			rig_answer_failure(r, rig_post(r), "no route to host");
		assert_int_equal(is_looking(r), rows[i].looking);
		rig_free(r);
	}
}

/* Somebody has to log in: that shows without a look at the disk. */
static void test_a_login_that_has_ended_is_not_looked_for(void **state)
{
	struct rig *r = rig_new("[profile a]\ngrant = authorization_code\n"
				"redirect_uri = http://127.0.0.1:8484/callback\n"
				"authorize_url = https://login.test/oauth/authorize\n");
	struct caller *c = rig_log_in(r, "a", "code-1");

	(void)state;
	rig_answer_token(r, rig_post(r), "token-1", "refresh-1");
	caller_gone(r, c);
	rig_pass(r, 3590);
	refuse(r);
	assert_true(is_looking(r));
	rig_secret(r, "a", "another");
	rig_pass(r, 6);
	rig_answer(r, rig_post(r), 400, "{\"error\":\"invalid_grant\"}");
	assert_true(rig_logged(r, "the login has ended"));
	rig_pass(r, 6);
	assert_false(is_looking(r));
	rig_free(r);
}

/* A login server that asks to wait is waited for, whatever happens on the disk. */
static void test_who_is_throttled_waits(void **state)
{
	struct rig *r = rig_new("[profile a]\n");

	(void)state;
	rig_answer(r, rig_post(r), 400,
		"{\"error\":\"invalid_request\",\"description\":\"rate limit "
		"exceeded\"}");
	rig_reload(r);
	assert_int_equal(rig_posts(r), 0);
	rig_free(r);
}

static void test_a_refresh_reads_the_secret(void **state)
{
	struct rig *r = rig_new("[profile a]\n");
	struct caller *c;
	char before[256];

	(void)state;
	snprintf(before, sizeof(before), "%s", rig_post(r)->authorization);
	rig_answer_token(r, rig_post(r), "token-1", NULL);
	rig_secret(r, "a", "another");
	c = caller_ask(r, "POST", "/v1/refresh?profile=a");
	assert_string_not_equal(rig_post(r)->authorization, before);
	rig_answer_token(r, rig_post(r), "token-2", NULL);
	assert_int_equal(caller_status(r, c), 200);
	caller_gone(r, c);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_secret_that_was_renewed_is_sent_at_once),
		cmocka_unit_test(test_however_the_client_is_refused),
		cmocka_unit_test(test_a_secret_that_is_renewed_later_is_found),
		cmocka_unit_test(test_of_two_profiles_each_has_its_own),
		cmocka_unit_test(test_another_client_takes_a_reload),
		cmocka_unit_test(test_a_secret_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(test_a_folder_that_is_mended_lets_the_secret_be_read),
		cmocka_unit_test(test_a_folder_that_is_mended_around_the_refused_secret),
		cmocka_unit_test(test_what_cannot_be_read_is_told_once),
		cmocka_unit_test(test_authorities_that_are_renewed_are_read_again),
		cmocka_unit_test(test_what_no_file_can_mend_is_not_looked_for),
		cmocka_unit_test(test_a_login_that_has_ended_is_not_looked_for),
		cmocka_unit_test(test_who_is_throttled_waits),
		cmocka_unit_test(test_a_refresh_reads_the_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
