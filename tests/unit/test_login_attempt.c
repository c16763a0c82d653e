/* Logins that were begun: whose they are, how often they are good, for how long; and their URL. */
#include "core/login_attempt.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LATER(s) ((struct boot_time){(1000 + (s)) * NS_PER_S})

static const unsigned char *some_random(void)
{
	static unsigned char bytes[LOGIN_RANDOM];
	static unsigned count;

	count++;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(count * 31 + i * 7);
	return bytes;
}

static int begin_as(struct login_attempts *t, int64_t at_s, uid_t uid, bool privileged,
	char ret_state[LOGIN_TEXT + 1])
{
	const struct login_attempt *p;
	struct duration wait = {-1};
	int r = login_attempt_begin(t, LATER(at_s), uid, privileged, some_random(), &p, &wait);

	if (r)
		return (int)(wait.ns / NS_PER_S);
	memcpy(ret_state, p->state, LOGIN_TEXT + 1);
	return 0;
}

static int begin(struct login_attempts *t, int64_t at_s, uid_t uid, char ret_state[LOGIN_TEXT + 1])
{
	return begin_as(t, at_s, uid, false, ret_state);
}

static enum login_verdict take(struct login_attempts *t, int64_t at_s, uid_t uid, const char *state)
{
	char verifier[LOGIN_TEXT + 1] = "";
	enum login_verdict verdict = login_attempt_take(t, LATER(at_s), uid, state, verifier);

	assert_int_equal(verdict == LOGIN_GOOD, strlen(verifier) == LOGIN_TEXT);
	if (verdict == LOGIN_GOOD)
		assert_string_not_equal(verifier, state);
	return verdict;
}

static void a_login_is_good_once_for_who_began_it(void **state)
{
	struct login_attempts t = {0};
	char one[LOGIN_TEXT + 1], two[LOGIN_TEXT + 1], wrong[LOGIN_TEXT + 1];

	(void)state;
	assert_int_equal(begin(&t, 0, 7, one), 0);
	assert_int_equal(begin(&t, 0, 8, two), 0);
	assert_string_not_equal(one, two);
	assert_int_equal(strlen(one), LOGIN_TEXT);
	assert_int_equal(take(&t, 1, 8, one), LOGIN_UNKNOWN);
	assert_int_equal(take(&t, 1, 0, one), LOGIN_UNKNOWN);
	assert_int_equal(take(&t, 1, 7, ""), LOGIN_UNKNOWN);
	memcpy(wrong, one, sizeof(wrong));
	for (size_t i = 0; i < LOGIN_TEXT; i++) {
		wrong[i] ^= 1;
		assert_int_equal(take(&t, 1, 7, wrong), LOGIN_UNKNOWN);
		wrong[i] ^= 1;
	}
	wrong[LOGIN_TEXT - 1] = '\0';
	assert_int_equal(take(&t, 1, 7, wrong), LOGIN_UNKNOWN);
	assert_int_equal(take(&t, 1, 7, one), LOGIN_GOOD);
	assert_int_equal(take(&t, 1, 7, one), LOGIN_UNKNOWN);
	assert_int_equal(take(&t, 1, 8, two), LOGIN_GOOD);
}

static void a_login_ends_after_ten_minutes(void **state)
{
	struct login_attempts t = {0};
	char one[LOGIN_TEXT + 1], two[LOGIN_TEXT + 1];

	(void)state;
	begin(&t, 0, 7, one);
	begin(&t, 0, 7, two);
	assert_int_equal(take(&t, LOGIN_LASTS_S - 1, 7, one), LOGIN_GOOD);
	assert_int_equal(take(&t, LOGIN_LASTS_S, 7, two), LOGIN_LATE);
	assert_int_equal(take(&t, LOGIN_LASTS_S, 7, two), LOGIN_UNKNOWN);
	begin(&t, 0, 7, one);
	login_attempts_forget(&t);
	assert_int_equal(take(&t, 1, 7, one), LOGIN_UNKNOWN);
}

static void a_logout_ends_ones_own(void **state)
{
	struct login_attempts t = {0};
	char states[4][LOGIN_TEXT + 1];

	(void)state;
	begin(&t, 0, 7, states[0]);
	begin(&t, 10, 7, states[1]);
	begin(&t, 10, 8, states[2]);
	begin(&t, 10, 0, states[3]);
	/* of the two the first has ended already, and both are wiped */
	assert_int_equal(login_attempts_end(&t, LATER(LOGIN_LASTS_S), 7, false), 1);
	assert_int_equal(take(&t, 11, 7, states[0]), LOGIN_UNKNOWN);
	assert_int_equal(take(&t, 11, 7, states[1]), LOGIN_UNKNOWN);
	assert_int_equal(login_attempts_end(&t, LATER(11), 7, false), 0);
	assert_int_equal(take(&t, 11, 8, states[2]), LOGIN_GOOD);
	assert_int_equal(take(&t, 11, 0, states[3]), LOGIN_GOOD);
	/* the places that are free are nobody's, not root's */
	assert_int_equal(login_attempts_end(&t, LATER(11), 0, false), 0);
}

static void an_admins_logout_ends_all(void **state)
{
	struct login_attempts t = {0};
	char states[3][LOGIN_TEXT + 1];

	(void)state;
	for (int i = 0; i < 3; i++)
		begin(&t, 0, (uid_t)(7 + i), states[i]);
	assert_int_equal(login_attempts_end(&t, LATER(1), 0, true), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(&t, 1, (uid_t)(7 + i), states[i]), LOGIN_UNKNOWN);
	assert_int_equal(login_attempts_end(&t, LATER(1), 0, true), 0);
}

static void nobody_begins_more_than_fit(void **state)
{
	struct login_attempts t = {0};
	char states[LOGINS_PENDING][LOGIN_TEXT + 1], more[LOGIN_TEXT + 1], other[LOGIN_TEXT + 1];

	(void)state;
	/* one user's fifth takes the place of the first, and of nobody else */
	begin(&t, 0, 1, other);
	for (int i = 0; i < LOGINS_OF_USER + 1; i++)
		assert_int_equal(begin(&t, i, 9, states[i]), 0);
	assert_int_equal(take(&t, 9, 9, states[0]), LOGIN_UNKNOWN);
	for (int i = 1; i < LOGINS_OF_USER + 1; i++)
		assert_int_equal(take(&t, 9, 9, states[i]), LOGIN_GOOD);
	assert_int_equal(take(&t, 9, 1, other), LOGIN_GOOD);

	/* many users fill it, with one each; whoever comes waits until the first of them ends */
	for (int i = 0; i < LOGINS_PENDING; i++)
		assert_int_equal(begin(&t, i, (uid_t)(100 + i), states[i]), 0);
	assert_int_equal(begin(&t, 20, 99, more), LOGIN_LASTS_S - 20);
	assert_int_equal(take(&t, 20, 101, states[1]), LOGIN_GOOD);
	assert_int_equal(begin(&t, 20, 99, more), 0);
	/* those that have ended make room, the free places first */
	assert_int_equal(begin(&t, 21, 98, more), LOGIN_LASTS_S - 21);
	assert_int_equal(begin(&t, LOGIN_LASTS_S + 15, 98, more), 0);
	assert_int_equal(take(&t, LOGIN_LASTS_S + 15, 98, more), LOGIN_GOOD);
}

/* A few users fill the table: whoever has most gives way, the oldest first, and to nobody who would
 * have as many then. */
static void who_has_most_gives_way(void **state)
{
	struct login_attempts t = {0};
	char states[LOGINS_PENDING][LOGIN_TEXT + 1], more[4][LOGIN_TEXT + 1];

	(void)state;
	for (int i = 0; i < LOGINS_PENDING; i++)
		assert_int_equal(begin(&t, i, (uid_t)(100 + i / LOGINS_OF_USER), states[i]), 0);
	assert_int_equal(begin(&t, 20, 99, more[0]), 0);
	assert_int_equal(take(&t, 20, 100, states[0]), LOGIN_UNKNOWN);
	assert_int_equal(begin(&t, 21, 99, more[1]), 0);
	assert_int_equal(take(&t, 21, 101, states[LOGINS_OF_USER]), LOGIN_UNKNOWN);
	assert_int_equal(begin(&t, 22, 99, more[2]), 0);
	assert_int_equal(take(&t, 22, 102, states[2 * LOGINS_OF_USER]), LOGIN_UNKNOWN);
	/* a fourth against four of one user; and then all are even */
	assert_int_equal(begin(&t, 23, 99, more[3]), LOGIN_LASTS_S - 23 + 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(&t, 24, 99, more[i]), LOGIN_GOOD);
}

/* Where everybody has one, too. */
static void an_admin_always_finds_a_place(void **state)
{
	struct login_attempts t = {0};
	char states[LOGINS_PENDING][LOGIN_TEXT + 1], more[LOGIN_TEXT + 1];

	(void)state;
	for (int i = 0; i < LOGINS_PENDING; i++)
		assert_int_equal(begin(&t, i, (uid_t)(100 + i), states[i]), 0);
	assert_int_equal(begin_as(&t, 20, 0, true, more), 0);
	assert_int_equal(take(&t, 20, 100, states[0]), LOGIN_UNKNOWN);
	for (int i = 1; i < LOGINS_PENDING; i++)
		assert_int_equal(take(&t, 20, (uid_t)(100 + i), states[i]), LOGIN_GOOD);
	assert_int_equal(take(&t, 20, 0, more), LOGIN_GOOD);
}

static int64_t code_wait_s(const struct login_attempts *t, int64_t at_s, uid_t uid)
{
	struct duration wait = login_code_wait(t, LATER(at_s), uid);

	return wait.ns > 0 ? wait.ns / NS_PER_S : 0;
}

static void who_brings_bad_codes_has_to_wait(void **state)
{
	struct login_attempts t = {0};

	(void)state;
	for (int i = 0; i < CODES_REFUSED; i++) {
		assert_int_equal(code_wait_s(&t, 10 * i, 9), 0);
		login_code_refused(&t, LATER(10 * i), 9);
		login_code_refused(&t, LATER(10 * i), i == 0 ? 0 : 100 + (uid_t)i);
	}
	login_attempts_forget(&t);
	assert_int_equal(code_wait_s(&t, 40, 9), CODES_REFUSED_S - 40);
	assert_int_equal(code_wait_s(&t, 40, 0), 0);
	assert_int_equal(code_wait_s(&t, 40, 101), 0);
	assert_int_equal(code_wait_s(&t, 40, 8), 0);
	assert_int_equal(code_wait_s(&t, CODES_REFUSED_S, 9), 0);
	/* it begins anew */
	for (int i = 0; i < CODES_REFUSED - 1; i++)
		login_code_refused(&t, LATER(CODES_REFUSED_S), 9);
	assert_int_equal(code_wait_s(&t, CODES_REFUSED_S, 9), 0);
	login_code_refused(&t, LATER(CODES_REFUSED_S), 9);
	assert_int_equal(code_wait_s(&t, CODES_REFUSED_S, 9), CODES_REFUSED_S);
	/* more users than are remembered: those whose first is oldest are forgotten */
	for (uid_t uid = 200; uid < 207; uid++)
		login_code_refused(&t, LATER(CODES_REFUSED_S + 1), uid);
	assert_int_equal(code_wait_s(&t, CODES_REFUSED_S + 1, 9), CODES_REFUSED_S - 1);
	login_code_refused(&t, LATER(CODES_REFUSED_S + 1), 207);
	assert_int_equal(code_wait_s(&t, CODES_REFUSED_S + 1, 9), 0);
}

static void the_url_holds_what_is_asked(void **state)
{
	static const struct {
		const char *url, *client, *redirect, *scope, *begin;
	} cases[] = {
		{"https://h/a", "id", "http://127.0.0.1:8/cb", NULL,
			"https://h/a?response_type=code&client_id=id&redirect_uri=http%3A%2F%2F127."
			"0.0.1%3A8%2Fcb&state="},
		{"https://h/a?tenant=x", "i d&", "http://[::1]/", "openid a:b",
			"https://h/a?tenant=x&response_type=code&client_id=i%20d%26&redirect_uri="
			"http%3A%2F%2F%5B%3A%3A1%5D%2F&scope=openid%20a%3Ab&state="},
		{"https://h/a?", "i-._~", "https://h/", NULL,
			"https://h/a?response_type=code&client_id=i-._~&redirect_uri=https%3A%2F%2F"
			"h%2F&state="},
		{"https://h/a?b=c&", "i", "https://h/", NULL,
			"https://h/a?b=c&response_type=code&client_id=i&redirect_uri=https%3A%2F%2F"
			"h%2F&state="},
	};
	/* RFC 7636 appendix B */
	struct login_attempt p = {
		.state = "the-state", .verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buffer out;
		char expected[600];

		buffer_init(&out, NULL, 0);
		login_attempt_put_url(
			&out, cases[i].url, cases[i].client, cases[i].redirect, cases[i].scope, &p);
		buffer_put(&out, "", 1);
		snprintf(expected, sizeof(expected),
			"%sthe-state&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
			"&code_challenge_method=S256",
			cases[i].begin);
		assert_string_equal(out.data, expected);
		buffer_fini(&out);
	}
}

static void clashes_are_found(void **state)
{
	(void)state;
	assert_null(login_url_clash("https://h/state"));
	assert_null(login_url_clash("https://h/a?states=1&x_state=2&tenant=3"));
	assert_string_equal(login_url_clash("https://h/a?state=1"), "state");
	assert_string_equal(login_url_clash("https://h/a?x=1&client_id"), "client_id");
	assert_string_equal(
		login_url_clash("https://h/a?x=1&&response_type=code"), "response_type");
}

static void an_issuer_is_of_the_same_origin(void **state)
{
	static const struct {
		const char *url, *iss;
		bool fits;
	} cases[] = {
		{"https://login.example/oauth/authorize", "https://login.example", true},
		{"https://login.example/oauth/authorize", "https://login.example/", true},
		{"https://login.example/oauth/authorize", "https://login.example/realms/x", true},
		{"https://login.example/oauth/authorize", "https://login.example:443", true},
		{"https://login.example:443/a", "https://login.example", true},
		{"https://login.example:8443/a", "https://login.example:8443/x", true},
		{"https://login.example:8443/a", "https://login.example", false},
		{"https://login.example/a", "https://login.example:8443", false},
		{"https://login.example/a", "https://login.example.evil", false},
		{"https://login.example/a", "https://evil@login.example", false},
		{"https://login.example/a", "http://login.example", false},
		{"https://login.example/a", "https://login.example/?x", false},
		{"https://login.example/a", "login.example", false},
		{"https://login.example/a", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(login_issuer_fits(cases[i].url, cases[i].iss), cases[i].fits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_login_is_good_once_for_who_began_it),
		cmocka_unit_test(a_login_ends_after_ten_minutes),
		cmocka_unit_test(a_logout_ends_ones_own),
		cmocka_unit_test(an_admins_logout_ends_all),
		cmocka_unit_test(nobody_begins_more_than_fit),
		cmocka_unit_test(who_has_most_gives_way),
		cmocka_unit_test(an_admin_always_finds_a_place),
		cmocka_unit_test(who_brings_bad_codes_has_to_wait),
		cmocka_unit_test(the_url_holds_what_is_asked),
		cmocka_unit_test(clashes_are_found),
		cmocka_unit_test(an_issuer_is_of_the_same_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
