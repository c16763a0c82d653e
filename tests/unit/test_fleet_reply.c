/* What a store answers: each answer that there is, and that nothing else is one. */
#include "core/fleet_reply.h"

#include "core/fleet_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STAMP "1795693523000001"

/* An array of texts; NULL is a nil. */
struct words {
	const char *of[FLEET_ELEMENTS_MAX + 2];
};

static size_t make(const struct words *w, struct fleet_element *items, struct fleet_element *ret)
{
	size_t count = 0;

	/* the last word ends with the first pair of NULLs */
	for (size_t i = 0; i < FLEET_ELEMENTS_MAX + 2; i++)
		if (w->of[i])
			count = i + 1;
	for (size_t i = 0; i < count; i++)
		items[i] = w->of[i] ? (struct fleet_element){.type = FLEET_ELEMENT_TEXT,
					      .bytes = w->of[i],
					      .length = strlen(w->of[i])}
				    : (struct fleet_element){.type = FLEET_ELEMENT_NIL};
	*ret = (struct fleet_element){.type = FLEET_ELEMENT_ARRAY, .items = items, .count = count};
	return count;
}

#define PROOF "0123456789abcdef0123456789abcdef"

static int script(enum fleet_operation operation, const struct words *w, struct fleet_answer *ret)
{
	struct fleet_element items[FLEET_ELEMENTS_MAX + 2], array;

	make(w, items, &array);
	return fleet_reply_script(operation, &array, ret);
}

static const struct {
	enum fleet_operation operation;
	struct words words;
	enum fleet_word word;
} good[] = {
	{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "-3", "9", "sealed", "0"}}, FLEET_SAYS_NEWER},
	{FLEET_ACQUIRE, {{"cooldown", STAMP, "1500"}}, FLEET_SAYS_COOLDOWN},
	{FLEET_ACQUIRE, {{"hold", STAMP, "250", "throttled", "77", "1000"}}, FLEET_SAYS_HOLD},
	{FLEET_ACQUIRE, {{"held", STAMP, "-1", "host", "7:3", "5000"}}, FLEET_SAYS_HELD},
	{FLEET_ACQUIRE, {{"limit", STAMP, "299000"}}, FLEET_SAYS_LIMIT},
	{FLEET_ACQUIRE, {{"granted", STAMP, "9007199254740991"}}, FLEET_SAYS_GRANTED},
	{FLEET_RENEW, {{"kept", STAMP}}, FLEET_SAYS_KEPT},
	{FLEET_RENEW, {{"late", STAMP}}, FLEET_SAYS_LATE},
	{FLEET_PUT, {{"put", STAMP}}, FLEET_SAYS_PUT},
	{FLEET_PUT, {{"same", STAMP}}, FLEET_SAYS_SAME},
	{FLEET_PUT, {{"dead", STAMP}}, FLEET_SAYS_DEAD},
	{FLEET_PUT, {{"stale", STAMP}}, FLEET_SAYS_STALE},
	{FLEET_PUT, {{"newer", STAMP, "7", "5", "3", "9", "sealed", "1"}}, FLEET_SAYS_NEWER},
	{FLEET_FAIL, {{"failed", STAMP}}, FLEET_SAYS_FAILED},
	{FLEET_FAIL, {{"late", STAMP}}, FLEET_SAYS_LATE},
	{FLEET_STOP, {{"put", STAMP}}, FLEET_SAYS_PUT},
	{FLEET_STOP, {{"newer", STAMP, "7", "5", "3", "9", "sealed", NULL}}, FLEET_SAYS_NEWER},
	{FLEET_STOP, {{"granted", STAMP, "8"}}, FLEET_SAYS_GRANTED},
	{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5 " PROOF}}, FLEET_SAYS_ACCEPTED},
	{FLEET_ACCEPT, {{"put", STAMP}}, FLEET_SAYS_PUT},
	{FLEET_ACCEPT, {{"late", STAMP}}, FLEET_SAYS_LATE},
	{FLEET_ACQUIRE, {{"hold", STAMP, "1", "throttled", "7", "3600000"}}, FLEET_SAYS_HOLD},
};
#define GOOD_COUNT (sizeof(good) / sizeof(*good))

static void every_answer_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD_COUNT; i++) {
		struct words w = good[i].words;
		struct fleet_element items[FLEET_ELEMENTS_MAX + 2], array;
		struct fleet_answer a;

		make(&w, items, &array);
		if (good[i].word == FLEET_SAYS_NEWER) /* a nil at the end counts */
			array.count = 8;
		if (array.count == 8 && !w.of[7])
			items[7] = (struct fleet_element){.type = FLEET_ELEMENT_NIL};
		assert_int_equal(fleet_reply_script(good[i].operation, &array, &a), 0);
		assert_int_equal(a.word, good[i].word);
		assert_true(a.stamp_us == 1795693523000001);
	}
}

static void what_they_say_is_taken_over(void **state)
{
	struct fleet_answer a;

	(void)state;
	assert_int_equal(script(FLEET_ACQUIRE, &good[0].words, &a), 0);
	assert_true(a.record.generation == 7 && a.record.t0_us == 5 && a.record.left_us == -3 &&
		    a.record.issued_us == 9 && !a.record.rejected);
	assert_int_equal(a.record.sealed_length, 6);
	assert_memory_equal(a.record.sealed, "sealed", 6);
	assert_int_equal(script(FLEET_ACQUIRE, &good[1].words, &a), 0);
	assert_true(a.wait.ns == 1500 * NS_PER_MS);
	assert_int_equal(script(FLEET_ACQUIRE, &good[2].words, &a), 0);
	assert_true(a.wait.ns == 250 * NS_PER_MS && a.whole.ns == NS_PER_S);
	assert_int_equal(a.class, RESPONSE_THROTTLED);
	assert_string_equal(a.id.text, "77");
	assert_int_equal(script(FLEET_ACQUIRE, &good[3].words, &a), 0);
	assert_true(a.wait.ns == 0 && a.whole.ns == 5 * NS_PER_S);
	assert_string_equal(a.id.text, "7:3");
	assert_string_equal(a.host, "host");
	assert_int_equal(script(FLEET_ACQUIRE, &good[5].words, &a), 0);
	assert_true(a.fence == FLEET_GENERATION_MAX);
	assert_int_equal(script(FLEET_PUT, &good[12].words, &a), 0);
	assert_true(a.record.rejected);
	assert_int_equal(script(FLEET_ACQUIRE, &good[18].words, &a), 0);
	assert_true(a.verdict.fence == 8 && a.verdict.at_us == 5);
	assert_string_equal(a.verdict.proof, PROOF);
}

/* No operation answers with another one's word; none with a text less or more, with a text that is
 * missing, or with one of another type. */
static void nothing_else_is_an_answer(void **state)
{
	struct fleet_answer a, untouched;

	(void)state;
	memset(&a, 0xa5, sizeof(a));
	memset(&untouched, 0xa5, sizeof(untouched));
	for (size_t i = 0; i < GOOD_COUNT; i++) {
		struct fleet_element items[FLEET_ELEMENTS_MAX + 2], array;
		size_t count = make(&good[i].words, items, &array);

		for (size_t less = 0; less < count; less++) {
			array.count = less;
			assert_int_equal(
				fleet_reply_script(good[i].operation, &array, &a), -EPROTO);
		}
		items[count] = items[1];
		array.count = count + 1;
		if (!(good[i].word == FLEET_SAYS_NEWER && count == 7))
			assert_int_equal(
				fleet_reply_script(good[i].operation, &array, &a), -EPROTO);
		array.count = count;
		for (size_t at = 0; at < count; at++) {
			static const enum fleet_element_type wrong[] = {FLEET_ELEMENT_NIL,
				FLEET_ELEMENT_INTEGER, FLEET_ELEMENT_ERROR, FLEET_ELEMENT_ARRAY};

			for (size_t t = 0; t < 4; t++) {
				struct fleet_element right = items[at];

				if (at == 7 && wrong[t] == FLEET_ELEMENT_NIL)
					continue; /* not rejected */
				items[at] = (struct fleet_element){.type = wrong[t]};
				assert_int_equal(
					fleet_reply_script(good[i].operation, &array, &a), -EPROTO);
				items[at] = right;
			}
		}
		array.type = FLEET_ELEMENT_ERROR;
		assert_int_equal(fleet_reply_script(good[i].operation, &array, &a), -EPROTO);
		array.type = FLEET_ELEMENT_ARRAY;
		for (enum fleet_operation o = FLEET_ACQUIRE; o <= FLEET_ACCEPT; o++) {
			bool its = false;

			for (size_t j = 0; j < GOOD_COUNT; j++)
				its |= good[j].operation == o && good[j].word == good[i].word;
			if (!its)
				assert_int_equal(fleet_reply_script(o, &array, &a), -EPROTO);
		}
		assert_int_equal(fleet_reply_script(FLEET_READ, &array, &a), -EPROTO);
	}
	assert_memory_equal(&a, &untouched, sizeof(a));
}

static void texts_are_read_strictly(void **state)
{
	static const struct {
		enum fleet_operation operation;
		struct words words;
	} bad[] = {
		{FLEET_RENEW, {{"KEPT", STAMP}}},
		{FLEET_RENEW, {{"kept ", STAMP}}},
		{FLEET_RENEW, {{"", STAMP}}},
		{FLEET_RENEW, {{"kept", "-1"}}},
		{FLEET_RENEW, {{"kept", "+1"}}},
		{FLEET_RENEW, {{"kept", " 1"}}},
		{FLEET_RENEW, {{"kept", "1 "}}},
		{FLEET_RENEW, {{"kept", "01"}}},
		{FLEET_RENEW, {{"kept", "1e3"}}},
		{FLEET_RENEW, {{"kept", "1.5"}}},
		{FLEET_RENEW, {{"kept", ""}}},
		{FLEET_RENEW, {{"kept", "-"}}},
		{FLEET_RENEW, {{"kept", "9007199254740992"}}},
		{FLEET_RENEW, {{"kept", "99999999999999999999"}}},
		{FLEET_ACQUIRE, {{"granted", STAMP, "0"}}},
		{FLEET_ACQUIRE, {{"granted", STAMP, "-5"}}},
		{FLEET_ACQUIRE, {{"granted", STAMP, "9007199254740992"}}},
		{FLEET_ACQUIRE, {{"cooldown", STAMP, "nan"}}},
		{FLEET_ACQUIRE, {{"cooldown", STAMP, "-0"}}},
		{FLEET_ACQUIRE, {{"hold", STAMP, "1", "token", "7", "1000"}}},
		{FLEET_ACQUIRE, {{"hold", STAMP, "1", "throttled", "", "1000"}}},
		{FLEET_ACQUIRE, {{"hold", STAMP, "1", "throttled", "7", "0"}}},
		{FLEET_ACQUIRE, {{"hold", STAMP, "1", "throttled", "7", "-1"}}},
		{FLEET_ACQUIRE, {{"hold", STAMP, "1", "throttled", "7", "3600001"}}},
		{FLEET_ACQUIRE, {{"held", STAMP, "1", "", "7", "1000"}}},
		{FLEET_ACQUIRE, {{"held", STAMP, "1", "a b", "7", "1000"}}},
		{FLEET_ACQUIRE, {{"held", STAMP, "1", "host", "7", "60001"}}},
		{FLEET_ACQUIRE, {{"held", STAMP, "1", "host", "\x7f", "1000"}}},
		{FLEET_ACQUIRE, {{"held", STAMP, "1", "0123456789012345678901234567890123456789",
					"7", "1000"}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, ""}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8"}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5"}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5 "}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "0 5 " PROOF}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "-8 5 " PROOF}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 -5 " PROOF}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8  " PROOF}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5 " PROOF "0"}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5 " PROOF " "}}},
		{FLEET_ACQUIRE, {{"accepted", STAMP, "8 5 0123456789ABCDEF0123456789abcdef"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "0", "5", "3", "9", "sealed", "0"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "-5", "3", "9", "sealed", "0"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "x", "9", "sealed", "0"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "3", "0", "sealed", "0"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "3", "9", "", "0"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "3", "9", "sealed", "2"}}},
		{FLEET_ACQUIRE, {{"newer", STAMP, "7", "5", "3", "9", "sealed", "true"}}},
	};
	struct fleet_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(script(bad[i].operation, &bad[i].words, &a), -EPROTO);
}

static int reading(const struct words *fields, size_t count, const struct words *time,
	struct fleet_answer *ret)
{
	struct fleet_element items[2][FLEET_ELEMENTS_MAX + 2], arrays[2];

	make(fields, items[0], &arrays[0]);
	make(time, items[1], &arrays[1]);
	for (size_t i = arrays[0].count; i < count; i++)
		items[0][i] = (struct fleet_element){.type = FLEET_ELEMENT_NIL};
	arrays[0].count = count;
	return fleet_reply_read(&arrays[0], &arrays[1], ret);
}

static void a_reading(void **state)
{
	const struct words fields = {{"7", "5", "3", "9", "sealed", "1"}}, none = {{NULL}};
	const struct words time = {{"1795693523", "1"}};
	struct words w;
	struct fleet_answer a;

	(void)state;
	assert_int_equal(reading(&fields, 7, &time, &a), 0);
	assert_int_equal(a.word, FLEET_SAYS_RECORD);
	assert_true(a.stamp_us == 1795693523000001);
	assert_true(a.record.generation == 7 && a.record.rejected);
	assert_int_equal(reading(&none, 7, &time, &a), 0);
	assert_true(a.record.generation == 0);
	assert_null(a.record.sealed);
	assert_true(a.verdict.fence == 0);

	w = fields;
	w.of[6] = "8 5 " PROOF;
	assert_int_equal(reading(&w, 7, &time, &a), 0);
	assert_true(a.record.generation == 7 && a.verdict.fence == 8 && a.verdict.at_us == 5);
	w.of[6] = "8 5 proof";
	assert_int_equal(reading(&w, 7, &time, &a), -EPROTO);
	w = none;
	w.of[6] = "8 5 " PROOF;
	assert_int_equal(reading(&w, 7, &time, &a), -EPROTO);

	/* some of it is not there */
	for (size_t i = 0; i < 5; i++) {
		w = fields;
		w.of[i] = NULL;
		assert_int_equal(reading(&w, 7, &time, &a), -EPROTO);
		w = none;
		w.of[i] = fields.of[i];
		assert_int_equal(reading(&w, 7, &time, &a), -EPROTO);
	}
	w = none;
	w.of[5] = "1";
	assert_int_equal(reading(&w, 7, &time, &a), -EPROTO);
	assert_int_equal(reading(&fields, 6, &time, &a), -EPROTO);
	assert_int_equal(reading(&fields, 8, &time, &a), -EPROTO);
	for (size_t i = 0; i < 8; i++) {
		static const struct words bad[] = {
			{{"1795693523"}},
			{{"1795693523", "1000000"}},
			{{"1795693523", "-1"}},
			{{"-1", "1"}},
			{{"9007199254", "1"}},
			{{"1795693523", "1", "1"}},
			{{"x", "1"}},
			{{"1795693523", ""}},
		};

		assert_int_equal(reading(&fields, 7, &bad[i], &a), -EPROTO);
	}
}

static int message(const char *text, size_t length, struct fleet_message *ret)
{
	char *copy = malloc(length ? length : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, text, length);
	r = fleet_reply_message(copy, length, ret);
	free(copy);
	return r;
}

static void messages(void **state)
{
	static const char token[] = "T 7 5 3 9 a \0 b";
	static const char *const bad[] = {"", " ", "T", "T ", "T 7 5 3 9", "T 7 5 3 9 ",
		"T  5 3 9 x", "T 0 5 3 9 x", "T 7 5 3 0 x", "t 7 5 3 9 x", "T 7 5 3 x x",
		" T 7 5 3 9 x", "F", "F ", "F 5", "F 5 ", "F x throttled", "F 5 throttled ",
		"F 5  throttled", "F 5 token", "F 3600001 throttled", "X 7 5 3 9 x"};
	char *longest = malloc(FLEET_SEALED_MAX + 11);
	struct fleet_message m;

	(void)state;
	assert_int_equal(fleet_reply_message(token, sizeof(token) - 1, &m), 0);
	assert_false(m.failure);
	assert_true(m.record.generation == 7 && m.record.t0_us == 5 && m.record.left_us == 3 &&
		    m.record.issued_us == 9 && !m.record.rejected);
	assert_int_equal(m.record.sealed_length, 5);
	assert_memory_equal(m.record.sealed, "a \0 b", 5);
	assert_int_equal(message("F 1500 unavailable", 18, &m), 0);
	assert_true(m.failure && m.hold.ns == 1500 * NS_PER_MS);
	assert_int_equal(m.class, RESPONSE_UNAVAILABLE);
	assert_int_equal(message("F -2 throttled", 14, &m), 0);
	assert_true(m.hold.ns == 0);
	assert_int_equal(message("F 3600000 throttled", 19, &m), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(message(bad[i], strlen(bad[i]), &m), -EPROTO);
	assert_non_null(longest);
	memset(longest, 'x', FLEET_SEALED_MAX + 11);
	memcpy(longest, "T 7 5 3 9 ", 10);
	assert_int_equal(message(longest, FLEET_SEALED_MAX + 10, &m), 0);
	assert_int_equal(message(longest, FLEET_SEALED_MAX + 11, &m), -EPROTO);
	free(longest);
}

static void classes_have_words(void **state)
{
	(void)state;
	assert_string_equal(fleet_class_word(RESPONSE_THROTTLED), "throttled");
	assert_string_equal(fleet_class_word(RESPONSE_CLIENT_REJECTED), "client_rejected");
	assert_string_equal(fleet_class_word(RESPONSE_UNAVAILABLE), "unavailable");
	assert_null(fleet_class_word(RESPONSE_TOKEN));
	assert_null(fleet_class_word(RESPONSE_LOGIN_REQUIRED));
}

static int permit(const struct words *w, bool *granted, uint32_t *rank)
{
	struct fleet_element items[FLEET_ELEMENTS_MAX + 2], array;

	make(w, items, &array);
	return fleet_reply_permit(&array, granted, rank);
}

static void permits(void **state)
{
	static const struct words bad[] = {
		{{"permit", STAMP}},
		{{"permit", STAMP, "-1"}},
		{{"permit", STAMP, "1000001"}},
		{{"permit", STAMP, "x"}},
		{{"permit", "x", "1"}},
		{{"permit", STAMP, "1", "1"}},
		{{"none", STAMP, "1"}},
		{{"none"}},
		{{"none", "x"}},
		{{"put", STAMP}},
		{{""}},
	};
	uint32_t rank = 77;
	bool granted = false;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(permit(&bad[i], &granted, &rank), -EPROTO);
	assert_true(!granted && rank == 77);
	assert_int_equal(permit(&(struct words){{"permit", STAMP, "2"}}, &granted, &rank), 0);
	assert_true(granted && rank == 2);
	assert_int_equal(permit(&(struct words){{"none", STAMP}}, &granted, &rank), 0);
	assert_false(granted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_is_read),
		cmocka_unit_test(what_they_say_is_taken_over),
		cmocka_unit_test(nothing_else_is_an_answer),
		cmocka_unit_test(texts_are_read_strictly),
		cmocka_unit_test(a_reading),
		cmocka_unit_test(messages),
		cmocka_unit_test(permits),
		cmocka_unit_test(classes_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
