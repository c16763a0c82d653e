/* The ring of events and what users cause: folding, bounds, and the tables that logs and alerts
 * refer to. */
#include "core/history.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static struct history h;
static uint64_t logged;

static struct clock_reading at_s(int64_t s)
{
	return (struct clock_reading){
		.boot = {s * NS_PER_S}, .wall = {(1700000000 + s) * NS_PER_S}};
}

static int empty(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	logged = 0;
	return 0;
}

static void begins_empty(void **state)
{
	(void)state;
	assert_int_equal(history_first(&h), 1);
	assert_null(history_get(&h, 0));
	assert_null(history_get(&h, 1));
	assert_null(history_get(&h, UINT64_MAX));
}

static void keeps_what_was_said(void **state)
{
	struct clock_reading now = at_s(5);
	const struct history_event *e;

	(void)state;
	history_add(&h, &now, EVENT_TOKEN, 17, "token %s for %d s", "9f86d081884c7d65", 3600);
	e = history_get(&h, 1);
	assert_non_null(e);
	assert_int_equal(e->order, 1);
	assert_int_equal(e->kind, EVENT_TOKEN);
	assert_int_equal(e->generation, 17);
	assert_int_equal(e->times, 1);
	assert_int_equal(e->at.boot.ns, now.boot.ns);
	assert_int_equal(e->at.wall.ns, now.wall.ns);
	assert_string_equal(e->words, "token 9f86d081884c7d65 for 3600 s");
	assert_null(history_get(&h, 2));
}

static void overwrites_the_oldest(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 3 * HISTORY_EVENTS + 5; n++) {
		struct clock_reading now = at_s((int64_t)n);
		uint64_t first = n > HISTORY_EVENTS ? n - HISTORY_EVENTS + 1 : 1;

		history_add(&h, &now, EVENT_TOKEN, n, "%llu", (unsigned long long)n);
		assert_int_equal(history_first(&h), first);
		assert_null(history_get(&h, first - 1));
		assert_null(history_get(&h, n + 1));
		for (uint64_t k = first; k <= n; k++) {
			assert_int_equal(history_get(&h, k)->order, k);
			assert_int_equal(history_get(&h, k)->generation, k);
		}
	}
}

static const struct history_event *latest(void)
{
	const struct history_event *all[HISTORY_ALL];

	return all[history_all(&h, all) - 1];
}

static void denied_at(int64_t s, uid_t uid)
{
	struct clock_reading now = at_s(s);

	history_add_caused(&h, &now, EVENT_DENIED, uid, 0, "denied: uid %u", (unsigned)uid);
}

static void cuts_words_that_do_not_fit(void **state)
{
	struct clock_reading now = at_s(1);
	char longer[2 * HISTORY_WORDS + 1];

	(void)state;
	memset(longer, 'w', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	history_add(&h, &now, EVENT_DENIED, 0, "%s", longer);
	assert_int_equal(strlen(history_get(&h, 1)->words), HISTORY_WORDS - 1);
	history_add_caused(&h, &now, EVENT_DENIED, 5, 0, "%s", longer);
	assert_int_equal(strlen(latest()->words), HISTORY_WORDS - 1);
	for (uid_t uid = 100; uid < 100 + HISTORY_PLACES; uid++)
		history_add_caused(&h, &now, EVENT_DENIED, uid, 0, "%s", longer);
	/* of others their number is said in any case */
	history_add_caused(&h, &now, EVENT_DENIED, 300, 0, "%s", longer);
	assert_int_equal(strlen(latest()->words), HISTORY_WORDS - 1);
	assert_non_null(strstr(latest()->words, "www (and 1 other user)"));
}

static void one_event_while_it_goes_on(void **state)
{
	const struct history_event *all[HISTORY_ALL];

	(void)state;
	denied_at(100, 1000);
	denied_at(110, 1001);
	for (int64_t s = 130; s <= 130 + 59 * 600; s += 59) /* a night */
		denied_at(s, 1000);
	assert_int_equal(h.count, 0);
	assert_int_equal(history_all(&h, all), 2);
	assert_string_equal(all[0]->words, "denied: uid 1001");
	assert_int_equal(all[1]->times, 602);
	assert_int_equal(all[1]->since.boot.ns, 100 * NS_PER_S);
	assert_int_equal(all[1]->at.boot.ns, (130 + 59 * 600) * NS_PER_S);
	/* more than a minute later it is another one */
	denied_at(130 + 59 * 600 + 60, 1000);
	assert_int_equal(history_all(&h, all), 3);
	assert_int_equal(all[2]->times, 1);
}

static void kinds_and_users_are_apart(void **state)
{
	static const enum event_kind kinds[HISTORY_CAUSED_KINDS] = {
		EVENT_DENIED, EVENT_LOGIN_FAILED, EVENT_REJECTED, EVENT_REFRESH_ASKED};
	const struct history_event *all[HISTORY_ALL];
	struct clock_reading now = at_s(1);

	(void)state;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < HISTORY_CAUSED_KINDS; i++)
			for (uid_t uid = 0; uid < 3; uid++)
				history_add_caused(&h, &now, kinds[i], uid, i, "%d", (int)uid);
	assert_int_equal(history_all(&h, all), HISTORY_CAUSED_KINDS * 3);
	for (size_t i = 0; i < HISTORY_CAUSED_KINDS * 3; i++) {
		assert_int_equal(all[i]->kind, kinds[i / 3]);
		assert_int_equal(all[i]->generation, i / 3);
		assert_int_equal(all[i]->times, 2);
	}
}

static void the_latest_words_stand(void **state)
{
	struct clock_reading now = at_s(1);

	(void)state;
	history_add_caused(&h, &now, EVENT_REJECTED, 5, 1, "first");
	history_add_caused(&h, &now, EVENT_REJECTED, 5, 2, "%s", "%s%n%d");
	assert_string_equal(latest()->words, "%s%n%d");
	assert_int_equal(latest()->generation, 2);
	assert_int_equal(latest()->times, 2);
}

static void in_order_of_time(void **state)
{
	const struct history_event *all[HISTORY_ALL];
	struct clock_reading now = at_s(20);

	(void)state;
	denied_at(10, 1000);
	denied_at(10, 1001);
	history_add(&h, &now, EVENT_TOKEN, 1, "token");
	denied_at(30, 1000);
	assert_int_equal(history_all(&h, all), 3);
	assert_string_equal(all[0]->words, "denied: uid 1001");
	assert_string_equal(all[1]->words, "token");
	assert_string_equal(all[2]->words, "denied: uid 1000");
}

/* However many users there are, and however often they come back. */
static void users_beyond_the_table_share_an_event(void **state)
{
	const struct history_event *all[HISTORY_ALL];
	char words[80];

	(void)state;
	for (uid_t n = 1; n <= 200; n++) {
		uid_t uid = 1000 + n, others = n - HISTORY_PLACES - 1;

		denied_at(5, uid);
		denied_at(5, uid);
		if (n <= HISTORY_PLACES + 1)
			snprintf(words, sizeof(words), "denied: uid %u", uid);
		else
			snprintf(words, sizeof(words), "denied: uid %u (and %s%u other user%s)",
				uid, others < HISTORY_OTHERS ? "" : "at least ",
				others < HISTORY_OTHERS ? others : HISTORY_OTHERS,
				others == 1 ? "" : "s");
		assert_string_equal(latest()->words, words);
	}
	assert_int_equal(history_all(&h, all), HISTORY_PLACES + 1);
	assert_int_equal(latest()->times, 2 * (200 - HISTORY_PLACES));
	/* one who has a place of their own keeps it */
	denied_at(6, 1001);
	assert_string_equal(latest()->words, "denied: uid 1001");
	assert_int_equal(latest()->times, 3);
	/* and a place that is over is free: the one that has been so for longest */
	denied_at(66, 5000);
	assert_string_equal(latest()->words, "denied: uid 5000");
	assert_int_equal(history_all(&h, all), HISTORY_PLACES + 1);
	for (size_t i = 0; i < HISTORY_PLACES + 1; i++)
		assert_string_not_equal(all[i]->words, "denied: uid 1002");
}

/* One who was counted comes back when there are more than can be told apart. */
static void a_full_table_is_told_as_such(void **state)
{
	uid_t last = HISTORY_PLACES + HISTORY_OTHERS;

	(void)state;
	for (uid_t uid = 1; uid <= last; uid++)
		denied_at(5, uid);
	assert_string_equal(latest()->words, "denied: uid 79 (and 63 other users)");
	denied_at(5, last - 1);
	assert_string_equal(latest()->words, "denied: uid 78 (and 63 other users)");
	denied_at(5, last + 1);
	assert_string_equal(latest()->words, "denied: uid 80 (and at least 64 other users)");
	denied_at(5, last - 1);
	assert_string_equal(latest()->words, "denied: uid 78 (and at least 64 other users)");
	/* when it has been over, they are counted anew */
	for (uid_t uid = 1; uid <= HISTORY_PLACES; uid++)
		denied_at(60, uid);
	denied_at(70, last);
	denied_at(70, last - 1);
	assert_string_equal(latest()->words, "denied: uid 78 (and 1 other user)");
}

static void others_are_counted_anew(void **state)
{
	(void)state;
	for (uid_t uid = 0; uid < 40; uid++)
		denied_at(5, uid);
	assert_non_null(strstr(latest()->words, "and 24 other users"));
	for (uid_t uid = 0; uid < HISTORY_PLACES; uid++)
		denied_at(60, uid); /* they go on, and keep their places */
	denied_at(70, 500);
	assert_string_equal(latest()->words, "denied: uid 500");
	assert_int_equal(latest()->times, 1);
}

/* A day of what matters stays, whatever users do meanwhile. */
static void floods_push_nothing_out(void **state)
{
	struct clock_reading now = at_s(0);

	(void)state;
	history_add(&h, &now, EVENT_TOKEN, 1, "first");
	for (int64_t i = 0; i < 86400; i++) {
		denied_at(i, (uid_t)(i % 130));
		now = at_s(i);
		history_add_caused(&h, &now, EVENT_LOGIN_FAILED, 1000, 0, "failed");
		history_add_caused(&h, &now, EVENT_REJECTED, (uid_t)i, 0, "rejected");
	}
	assert_int_equal(h.count, 1);
	assert_string_equal(history_get(&h, 1)->words, "first");
}

/* What is worth a line since the last look. */
static unsigned lines(void)
{
	const struct history_event *all[HISTORY_ALL];
	unsigned n = 0;

	for (size_t i = history_all(&h, all); i-- > 0;)
		n += all[i]->log_order > logged;
	logged = h.log_order;
	return n;
}

static void a_line_at_first_and_each_hour(void **state)
{
	(void)state;
	denied_at(0, 1000);
	assert_int_equal(lines(), 1);
	for (int64_t s = 1; s < 3600; s++)
		denied_at(s, 1000);
	assert_int_equal(lines(), 0);
	denied_at(3600, 1000);
	denied_at(3600, 1000); /* looked at later: the line is not forgotten */
	assert_int_equal(lines(), 1);
	denied_at(3601, 1001);
	assert_int_equal(lines(), 1);
	denied_at(3661, 1000);
	assert_int_equal(lines(), 1);
}

static void a_reload_makes_it_news(void **state)
{
	struct clock_reading now = at_s(10);

	(void)state;
	denied_at(10, 1000);
	assert_int_equal(lines(), 1);
	history_add(&h, &now, EVENT_TOKEN, 1, "token");
	denied_at(10, 1000);
	assert_int_equal(lines(), 1); /* the token's */
	history_add(&h, &now, EVENT_RELOADED, 0, "reloaded");
	denied_at(10, 1000);
	assert_int_equal(latest()->times, 1);
	assert_int_equal(lines(), 1); /* the reload's: the other one was a moment ago */
	denied_at(11, 1000);
	assert_int_equal(latest()->times, 2);
	assert_int_equal(lines(), 1);
}

static void denied_for(int64_t ms, uid_t uid, int reason)
{
	struct clock_reading now = at_s(0);

	now.boot.ns = ms * NS_PER_MS;
	history_add_caused(&h, &now, EVENT_DENIED, uid, 0, "uid %u, %d", (unsigned)uid, reason);
}

/* Each is a line, but not at once; and of reasons that a user can make up there is no end. */
static void reasons_are_told_apart(void **state)
{
	const struct history_event *all[HISTORY_ALL];

	(void)state;
	for (int round = 0; round < 2; round++) {
		denied_for(round, 5, 1);
		denied_for(round, 5, 2);
		denied_for(round, 6, 1);
	}
	assert_int_equal(history_all(&h, all), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(all[i]->times, 2);
	assert_int_equal(lines(), 2); /* one of each user */
	denied_for(1001, 5, 2);
	assert_int_equal(lines(), 1);
	for (int i = 0; i < 3000; i++) {
		denied_for(2001 + i, 5, i);
		assert_int_equal(lines(), i == 0); /* the third; then they share its place */
	}
	assert_int_equal(history_all(&h, all), HISTORY_REASONS + 1);
	assert_string_equal(all[HISTORY_REASONS]->words, "uid 5, 2999");
}

static void who_has_a_place_is_none_of_the_others(void **state)
{
	const struct history_event *all[HISTORY_ALL];

	(void)state;
	for (uid_t uid = 0; uid < HISTORY_PLACES; uid++)
		denied_for(0, uid, 1);
	denied_for(0, 3, 2);
	assert_int_equal(history_all(&h, all), HISTORY_PLACES);
	assert_string_equal(latest()->words, "uid 3, 2");
	assert_int_equal(latest()->times, 2);
}

static void every_kind_is_named(void **state)
{
	(void)state;
	for (int i = 0; i < EVENT_KINDS; i++) {
		const char *name = event_kind_name((enum event_kind)i);
		const char *id = event_kind_message_id((enum event_kind)i);
		int priority = event_kind_priority((enum event_kind)i);

		assert_non_null(name);
		assert_in_range(priority, LOG_ERR, LOG_INFO);
		assert_non_null(id);
		assert_int_equal(strlen(id), 32);
		for (const char *c = name; *c; c++)
			assert_true(islower((unsigned char)*c) || *c == '_');
		for (const char *c = id; *c; c++)
			assert_true(isxdigit((unsigned char)*c) && !isupper((unsigned char)*c));
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(name, event_kind_name((enum event_kind)j));
			assert_string_not_equal(id, event_kind_message_id((enum event_kind)j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(begins_empty, empty),
		cmocka_unit_test_setup(keeps_what_was_said, empty),
		cmocka_unit_test_setup(overwrites_the_oldest, empty),
		cmocka_unit_test_setup(cuts_words_that_do_not_fit, empty),
		cmocka_unit_test_setup(one_event_while_it_goes_on, empty),
		cmocka_unit_test_setup(kinds_and_users_are_apart, empty),
		cmocka_unit_test_setup(the_latest_words_stand, empty),
		cmocka_unit_test_setup(in_order_of_time, empty),
		cmocka_unit_test_setup(users_beyond_the_table_share_an_event, empty),
		cmocka_unit_test_setup(a_full_table_is_told_as_such, empty),
		cmocka_unit_test_setup(others_are_counted_anew, empty),
		cmocka_unit_test_setup(floods_push_nothing_out, empty),
		cmocka_unit_test_setup(a_line_at_first_and_each_hour, empty),
		cmocka_unit_test_setup(a_reload_makes_it_news, empty),
		cmocka_unit_test_setup(reasons_are_told_apart, empty),
		cmocka_unit_test_setup(who_has_a_place_is_none_of_the_others, empty),
		cmocka_unit_test(every_kind_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
