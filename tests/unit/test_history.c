/* The ring of events: numbers, folding, bounds, and the tables that logs and alerts refer to. */
#include "core/history.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static struct history h;

static struct clock_reading at_s(int64_t s)
{
	return (struct clock_reading){
		.boot = {s * NS_PER_S}, .wall = {(1700000000 + s) * NS_PER_S}};
}

static int empty(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
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
	assert_int_equal(e->number, 1);
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
			assert_int_equal(history_get(&h, k)->number, k);
			assert_int_equal(history_get(&h, k)->generation, k);
		}
	}
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
	/* the same cut words are still the same */
	history_add_folded(&h, &now, EVENT_DENIED, longer);
	assert_int_equal(h.count, 1);
	assert_int_equal(history_get(&h, 1)->times, 2);
}

/* Words that a client can choose must not be taken for a format. */
static void folded_words_are_no_format(void **state)
{
	struct clock_reading now = at_s(1);

	(void)state;
	history_add_folded(&h, &now, EVENT_DENIED, "%s%n%d");
	assert_string_equal(history_get(&h, 1)->words, "%s%n%d");
}

static void folds_repeats_of_a_minute(void **state)
{
	struct clock_reading now = at_s(100);

	(void)state;
	history_add_folded(&h, &now, EVENT_DENIED, "uid 1000");
	history_add_folded(&h, &now, EVENT_DENIED, "uid 1001");
	history_add(&h, &now, EVENT_TOKEN, 1, "uid 1000");
	now = at_s(130);
	history_add_folded(&h, &now, EVENT_DENIED, "uid 1000");
	now = at_s(160);
	history_add_folded(&h, &now, EVENT_DENIED, "uid 1000");
	assert_int_equal(h.count, 3);
	assert_int_equal(history_get(&h, 1)->times, 3);
	assert_int_equal(history_get(&h, 1)->at.boot.ns, 100 * NS_PER_S);
	assert_int_equal(history_get(&h, 2)->times, 1);
	assert_int_equal(history_get(&h, 3)->times, 1);
	/* a minute after the first a new one begins, even if they never ceased */
	now.boot.ns = 160 * NS_PER_S + 1;
	history_add_folded(&h, &now, EVENT_DENIED, "uid 1000");
	assert_int_equal(h.count, 4);
	assert_int_equal(history_get(&h, 4)->times, 1);
	assert_int_equal(history_get(&h, 1)->times, 3);
}

/* However fast a client repeats itself, what happened before stays to be read. */
static void flood_does_not_push_out(void **state)
{
	struct clock_reading now = at_s(0);

	(void)state;
	history_add(&h, &now, EVENT_TOKEN, 1, "first");
	for (int64_t i = 0; i < 100000; i++) {
		now.boot.ns = i * NS_PER_MS * 36; /* an hour */
		history_add_folded(&h, &now, EVENT_DENIED, "uid 1000");
	}
	assert_non_null(history_get(&h, 1));
	assert_string_equal(history_get(&h, 1)->words, "first");
	assert_in_range(h.count, 50, 62);
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
		cmocka_unit_test_setup(folded_words_are_no_format, empty),
		cmocka_unit_test_setup(folds_repeats_of_a_minute, empty),
		cmocka_unit_test_setup(flood_does_not_push_out, empty),
		cmocka_unit_test(every_kind_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
